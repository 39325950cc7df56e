# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine's own boot loader would boot: kernel, initrd and command line, read from its disk without running it.

The lab hands these to qemu, so that a change to GRUB's configuration in the guest is real at the next boot. Understood
is what grub-mkconfig(8) writes: menu entries, submenus, `set default`, and the variables of grubenv.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rootfs import LabError

CONFIGURATION = "/boot/grub/grub.cfg"
VARIABLES = "/boot/grub/grubenv"


@dataclass(frozen=True)
class Entry:
    """One entry of the menu. names: all that GRUB calls it: position, title or id, each below those of its submenu."""

    names: frozenset[str]
    kernel: str
    initrds: tuple[str, ...]
    arguments: str


@dataclass
class _Open:
    """A menu entry or submenu that has begun and not ended."""

    names: tuple[str, ...]
    is_entry: bool
    children: int = 0
    kernel: str = ""
    initrds: tuple[str, ...] = ()
    arguments: str = ""


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quote that is closed on a later line: no menu entry
        return []


def _names(words: list[str], position: int) -> tuple[str, ...]:
    """Return what an entry is called: its position, its title, and its id."""
    idents = [words[words.index(option) + 1] for option in ("--id", "$menuentry_id_option") if option in words[:-1]]
    return (str(position), words[1], *idents)


def entries(text: str) -> list[Entry]:
    """Return the menu entries of a grub.cfg that start a kernel, in order."""
    found: list[Entry] = []
    stack = [_Open((), is_entry=False)]
    for line in text.splitlines():
        words = _words(line)
        if not words:
            continue
        if words[0] in ("menuentry", "submenu") and len(words) > 1:
            parent = stack[-1]
            above = [f"{name}>" for name in parent.names] or [""]
            names = [f"{prefix}{name}" for prefix in above for name in _names(words, parent.children)]
            parent.children += 1
            stack.append(_Open(tuple(names), words[0] == "menuentry"))
        elif words[0] == "}" and len(stack) > 1:
            ended = stack.pop()
            if ended.is_entry and ended.kernel:
                found.append(Entry(frozenset(ended.names), ended.kernel, ended.initrds, ended.arguments))
        elif words[0] in ("linux", "linux16", "linuxefi") and len(words) > 1:
            stack[-1].kernel = words[1]
            # Quotes in the command line are the kernel's: taken as they are written.
            stack[-1].arguments = line.split(words[1], 1)[1].strip()
        elif words[0] in ("initrd", "initrd16", "initrdefi"):
            stack[-1].initrds = tuple(words[1:])
    return found


def variables(text: str) -> dict[str, str]:
    """Return the variables of a grubenv."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def default_name(text: str, environment: dict[str, str]) -> str:
    """Return the name of the entry that a grub.cfg boots without anybody's choice."""
    if environment.get("next_entry"):
        return environment["next_entry"]
    for value in re.findall(r'^\s*set default="([^"]*)"', text, re.MULTILINE):
        if value == "${saved_entry}" and environment.get("saved_entry"):
            return environment["saved_entry"]
        if "$" not in value and value:
            return value
    return "0"


def chosen(text: str, grubenv: str = "") -> Entry:
    """Return the entry that a grub.cfg boots; the first one where the chosen one is not there, as GRUB does it."""
    menu = entries(text)
    if not menu:
        raise LabError("the guest's grub.cfg holds no entry that starts a kernel")
    name = default_name(text, variables(grubenv))
    return next((entry for entry in menu if name in entry.names), menu[0])


def _run(*command: str | Path, wrong: int = 1) -> bytes:
    """Run a command and return what it printed. Raises LabError from the exit status wrong on."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, check=False, env={**os.environ, "PATH": path})
    if done.returncode >= wrong:
        raise LabError(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


class Disk:
    """The ext4 file system on a disk image of a machine that is off. A context: a copy is made where one is needed."""

    def __init__(self, image: Path):
        self.image = image
        self._copy: tempfile.TemporaryDirectory | None = None

    def __enter__(self) -> Disk:
        if json.loads(_run("qemu-img", "info", "--output", "json", self.image))["format"] != "raw":
            self._copy = tempfile.TemporaryDirectory(dir=self.image.parent)
            copied = Path(self._copy.name) / "disk.raw"
            _run("qemu-img", "convert", "-O", "raw", self.image, copied)
            # A machine that lost its power left its last changes in the journal. 1: there were some.
            _run("e2fsck", "-y", "-E", "journal_only", copied, wrong=2)
            self.image = copied
        return self

    def __exit__(self, *_error: object) -> None:
        if self._copy:
            self._copy.cleanup()

    def text(self, path: str) -> str:
        """Return the text of a file, empty where there is none."""
        return _run("debugfs", "-R", f"cat {path}", self.image).decode(errors="replace")

    def copy_out(self, path: str, target: Path) -> None:
        """Copy a file out of the image. Raises LabError where there is none."""
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        _run("debugfs", "-R", f"dump {self.resolve(path)} {partial}", self.image)
        if not partial.exists() or not partial.stat().st_size:
            partial.unlink(missing_ok=True)
            raise LabError(f"{path} is not in {self.image.name}")
        partial.replace(target)

    def resolve(self, path: str, deepest: int = 8) -> str:
        """Return where a symbolic link of the image leads."""
        for _step in range(deepest):
            told = _run("debugfs", "-R", f"stat {path}", self.image).decode(errors="replace")
            link = re.search(r'^Fast link dest: "(.*)"', told, re.MULTILINE)
            if not link:
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), link[1]))
        return path


@dataclass(frozen=True)
class Boot:
    """Files on this machine, and the command line, with which qemu boots a guest."""

    kernel: Path
    initrd: Path
    arguments: str


def read(image: Path, into: Path, otherwise: Boot | None = None) -> Boot:
    """Return what the boot loader on a disk image would boot; kernel and initrd are copied into a directory.

    Where no boot loader is configured yet, it is what the caller gave as otherwise.
    """
    into.mkdir(parents=True, exist_ok=True)
    with Disk(image) as disk:
        text = disk.text(CONFIGURATION)
        if not text.strip() and otherwise:
            return otherwise
        entry = chosen(text, disk.text(VARIABLES))
        if len(entry.initrds) != 1:
            raise LabError(f"the guest boots with {len(entry.initrds)} initial RAM disks; the lab can hand over one")
        disk.copy_out(entry.kernel, into / "vmlinuz")
        disk.copy_out(entry.initrds[0], into / "initrd")
    return Boot(into / "vmlinuz", into / "initrd", entry.arguments)
