# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host in a directory with mkswap, swapon and swapoff, whose kernel is its file /proc/swaps; for module_host."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import module_host
from ansible_collections.linux_memory.oom.plugins.module_utils import swap_file_change
from ansible_collections.linux_memory.oom.plugins.modules import swap_file

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
HEADER = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
FSTAB = "# the host's own\nUUID=1 / ext4 defaults 0 1\n/dev/sdz9 none swap sw 0 0"


def make(place: Path, fstab: str | None = FSTAB, used: int = 0, available: int = 4000) -> None:
    """Make the host. available: MiB of memory."""
    texts = {
        "proc/swaps": HEADER,
        "proc/meminfo": f"MemTotal: 8388608 kB\nMemAvailable: {available * 1024} kB\n",
        "proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/vda1 rw\n",
        "etc/hostname": "host\n",
    }
    if fstab is not None:
        texts["etc/fstab"] = fstab
    for name, text in texts.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (place / "srv").mkdir()


def areas(text: str) -> dict[str, list[str]]:
    """Return {path: its other fields} of /proc/swaps."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()[1:]}


def _set(entries: dict[str, list[str]]) -> None:
    module_host.put("/proc/swaps", HEADER + "".join(" ".join([path, *rest]) + "\n" for path, rest in entries.items()))


def mkswap(words: list[str]) -> tuple[int, str, str]:
    """Write the signature (mkswap(8))."""
    with open(words[-1], "r+b") as file:
        file.seek(PAGE - 10)
        file.write(b"SWAPSPACE2")
    return 0, "", ""


def swapon(words: list[str]) -> tuple[int, str, str]:
    """Switch an area on, as the kernel would: only whole swap, for root alone, once."""
    path, entries = words[-1], areas(Path("/proc/swaps").read_text(encoding="utf-8"))
    priority = words[words.index("--priority") + 1] if "--priority" in words else "-2"
    if not swap_file_change.has_signature(path):
        return 255, "", f"swapon: {path}: read swap header failed"
    if os.stat(path).st_mode & 0o077 or path in entries:
        return 255, "", f"swapon: {path}: swapon failed: Device or resource busy"
    _set({**entries, path: ["file", str((os.stat(path).st_size - PAGE) // 1024), "0", priority]})
    return 0, "", ""


def swapoff(words: list[str]) -> tuple[int, str, str]:
    """Switch an area off."""
    entries = areas(Path("/proc/swaps").read_text(encoding="utf-8"))
    if entries.pop(words[-1], None) is None:
        return 255, "", f"swapoff: {words[-1]}: swapoff failed: Invalid argument"
    _set(entries)
    return 0, "", ""


PROGRAMS = {"mkswap": mkswap, "swapon": swapon, "swapoff": swapoff}


def work(options: dict, check: bool = False) -> dict:
    """Run the module, with the host as the root directory."""
    with mock.patch.object(swap_file_change, "swap_permitted", lambda: True):
        return module_host.run(swap_file, options, PROGRAMS, check)


def swap(place: Path, check: bool = False, **options) -> dict:
    """Run the module on a host."""
    return module_host.inside(place, lambda: work(options, check))


def state(place: Path) -> dict[str, str]:
    """Return what counts of a host: fstab, what is active, and each file below /srv by size, mode and signature."""
    found = {"swaps": (place / "proc/swaps").read_text(encoding="utf-8")}
    fstab = place / "etc/fstab"
    found["fstab"] = fstab.read_text(encoding="utf-8") if fstab.exists() else ""
    for path in sorted((place / "srv").iterdir()):
        information = path.stat()
        found[f"/srv/{path.name}"] = (
            f"{information.st_size} {information.st_mode & 0o7777:o} {swap_file_change.has_signature(str(path))}"
        )
    return found
