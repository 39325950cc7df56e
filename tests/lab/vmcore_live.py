# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a machine that vmcore_dump.py crashes: load, and what the living kernel says of itself just before the end.

    vmcore_live.py hold MIB         take so much memory, from several threads, and keep it
    vmcore_live.py write PATH MIB   write a file of that size again and again, never waiting for the disk
    vmcore_live.py crash PATH       write the record, and crash

The record names programs and cgroups, never arguments or environments.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

MIB = 1024**2
PAGE = os.sysconf("SC_PAGE_SIZE")
THREADS = 4
SETTINGS = ("vm", "kernel")
# Where the slow disk is, to which only writer.service writes.
SLOW = "/srv/slow"


def hold(size: int) -> None:
    """Take size MiB and keep them; each page has other content."""
    held = []

    def take(part: int) -> None:
        memory = bytearray(size * MIB // THREADS)
        for place in range(0, len(memory), PAGE):
            memory[place : place + 8] = (place ^ part << 56).to_bytes(8, "little")
        held.append(memory)
        threading.Event().wait()

    for part in range(THREADS):
        threading.Thread(target=take, args=(part,), daemon=True).start()
    threading.Event().wait()


def write(path: str, size: int) -> None:
    """Write a file of size MiB over and over."""
    chunk = os.urandom(MIB // 4)
    with open(path, "wb", buffering=0) as file:
        while True:
            file.seek(0)
            for _part in range(size * 4):
                file.write(chunk)


def numbers(path: Path) -> dict[str, int]:
    """Return the first number after each name of a file of such lines."""
    found = {}
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        name, _colon, rest = line.replace(":", " ", 1).partition(" ")
        words = rest.split()
        if words and words[0].lstrip("-").isdigit():
            found[name] = int(words[0])
    return found


def tasks() -> list[dict]:
    """Return each process with memory of its own."""
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            status = (place / "status").read_text(encoding="utf-8", errors="replace")
            groups = (place / "cgroup").read_text(encoding="utf-8", errors="replace")
            # The kernel walks the page tables for it; the counters of status lag by what a thread has not added yet.
            walked = numbers(place / "smaps_rollup") if "VmSwap" in status else {}
        except OSError:
            continue
        lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        if "VmSwap" in lines:
            found.append(
                {
                    "pid": int(place.name),
                    "comm": lines["Name"].strip(),
                    "swap": walked["Swap"] * 1024,
                    "rss": walked["Rss"] * 1024,
                    "threads": int(lines["Threads"]),
                    "cgroup": next(line[3:] for line in groups.splitlines() if line.startswith("0::")),
                }
            )
    return found


def settings() -> dict[str, str]:
    """Return the values below /proc/sys that matter here."""
    found = {}
    for part in SETTINGS:
        for path in sorted(Path("/proc/sys", part).iterdir()):
            try:
                found[f"{part}.{path.name}"] = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):  # noqa: PERF203 (a hundred files)
                continue  # a folder, or only to be written
    wanted = ("kernel.panic", "kernel.hung_task", "kernel.softlockup", "vm.")
    return {key: value for key, value in found.items() if key.startswith(wanted)}


def groups() -> list[dict]:
    """Return each cgroup below the root that counts memory."""
    found = []
    for path in Path("/sys/fs/cgroup").rglob("memory.stat"):
        folder = path.parent
        if folder == Path("/sys/fs/cgroup"):
            continue
        try:
            counts = numbers(path)
            row = {name: counts.get(name) for name in ("anon", "file", "file_dirty", "file_writeback")}
            row["path"] = "/" + str(folder.relative_to("/sys/fs/cgroup"))
            for name in ("memory.current", "memory.swap.current", "memory.max", "memory.high", "memory.swap.max"):
                row[name] = (folder / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        found.append(row)
    return found


def record() -> dict:
    """Return what the kernel says; what moves most comes last."""
    found = {
        "page_size": PAGE,
        "kernel": os.uname().release,
        "sysctl": settings(),
        "tasks": tasks(),
        "cgroups": groups(),
    }
    device = os.stat(SLOW).st_dev
    found["slow"] = {"device": f"{os.major(device)}:{os.minor(device)}", "cgroup": "/system.slice/writer.service"}
    found["swaps"] = [line.split() for line in Path("/proc/swaps").read_text(encoding="utf-8").splitlines()[1:]]
    found["meminfo"] = {name: value * 1024 for name, value in numbers(Path("/proc/meminfo")).items()}
    found["vmstat"] = numbers(Path("/proc/vmstat"))
    found["time"] = time.time()
    return found


def crash(path: str) -> None:
    """Write the record to the disk, that one file only, and crash."""
    # A first turn loads what is needed, so that the second one changes nothing; then who started this is gone.
    record()
    time.sleep(10)
    text = json.dumps(record(), indent=1, sort_keys=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path("/proc/sysrq-trigger").write_text("c", encoding="ascii")


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    {
        "hold": lambda size: hold(int(size)),
        "write": lambda path, size: write(path, int(size)),
        "crash": crash,
    }[what](*words)
