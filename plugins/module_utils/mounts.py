# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mounts of a host, from /proc/self/mountinfo, and which of them a path lies on.

Format: proc_pid_mountinfo(5), fs/proc_namespace.c.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

# The kernel escapes blank, tab, newline, backslash and (in some fields) "#" as three octal digits.
_ESCAPES = re.compile(r"(?:\\[0-3][0-7]{2})+")
_START = re.compile(r"[0-9]{1,10} [0-9]{1,10} [0-9]{1,8}:[0-9]{1,8} [^ ]+ /")
_MOUNT_L = re.compile(r"^(.*) on (/.*) type (\S+) \(([^)]*)\)")

# In this order. A tree that was copied holds another process's directory instead of self.
_MOUNTINFO = ("/proc/self/mountinfo", "/proc/1/mountinfo", "/proc/thread-self/mountinfo")
_MOUNTS = ("/proc/mounts", "/proc/self/mounts", "/proc/1/mounts", "/etc/mtab")


def unescape(text):
    """Return text with the octal escapes of kernel files (mountinfo, swaps) decoded."""
    return _ESCAPES.sub(_decode, text) if "\\" in text else text


def _decode(match):
    codes = match.group(0).split("\\")[1:]
    return bytes(bytearray(int(code, 8) for code in codes)).decode("utf-8", "replace")


def parse_mountinfo(text):
    """Return the mounts of a mountinfo file, in its order: a list of dicts.

    id and parent are the kernel's numbers of the mounts; device is "MAJOR:MINOR"; root is the directory of the file
    system that is mounted (not "/" for a bind mount or a btrfs subvolume); options belong to the mount,
    super_options to the file system. Lines that are not of this form are skipped.
    """
    found = []
    for line in text.split("\n"):
        if not _START.match(line):
            continue
        fields = line.split(" ")
        # Optional fields, none or several, end with a single hyphen. The source can be empty, so no other splitting.
        try:
            end = fields.index("-", 6)
        except ValueError:
            continue
        if len(fields) < end + 4:
            continue
        found.append(
            {
                "id": int(fields[0]),
                "parent": int(fields[1]),
                "device": fields[2],
                "root": unescape(fields[3]),
                "mount": unescape(fields[4]),
                "options": _options(fields[5]),
                "type": fields[end + 1],
                "source": unescape(fields[end + 2]),
                "super_options": _options(" ".join(fields[end + 3 :])),
            }
        )
    return found


def _options(text):
    return [option for option in unescape(text.strip()).split(",") if option]


def parse_mounts(text):
    """Return the mounts of a file in the form of /proc/mounts (fstab(5)), as parse_mountinfo does.

    Such a file knows neither device numbers nor roots (None), and one list of options stands for both.
    """
    found = []
    for line in text.split("\n"):
        fields = line.split(" ")
        if len(fields) < 4 or not fields[1].startswith("/"):
            continue
        found.append(_entry(unescape(fields[0]), unescape(fields[1]), fields[2], _options(fields[3])))
    return found


def parse_mount_command(text):
    """Return the mounts that mount(8) printed ("SOURCE on MOUNT type TYPE (OPTIONS)"), as parse_mounts does."""
    found = []
    for line in text.split("\n"):
        match = _MOUNT_L.match(line)
        if match:
            found.append(_entry(match.group(1), match.group(2), match.group(3), _options(match.group(4))))
    return found


def _entry(source, mount, kind, options):
    return {
        "id": None,
        "parent": None,
        "device": None,
        "root": None,
        "mount": mount,
        "options": options,
        "type": kind,
        "source": source,
        "super_options": options,
    }


def mounts(tree):
    """Return the mounts of the host (see parse_mountinfo), read once; [] and an entry in unavailable where none."""
    return tree.once("mounts", lambda: _read(tree))


def _read(tree):
    error = None
    for paths, parse in ((_MOUNTINFO, parse_mountinfo), (_MOUNTS, parse_mounts)):
        for path in paths:
            try:
                found = parse(tree.read(path))
            except EnvironmentError as problem:
                error = error or problem
                continue
            if found:
                return found
    for name in _mount_outputs(tree):
        found = parse_mount_command(tree.text(name, ""))
        if found:
            return found
    tree.missing("mounts", error or "no mount could be understood in /proc/self/mountinfo")
    return []


def _mount_outputs(tree):
    if not tree.sosreport:
        return []
    where = "/sos_commands/filesys"
    return [os.path.join(where, name) for name in tree.names(where) if name.startswith("mount_")]


def visible(entries):
    """Return the mounts of the list that a path can still reach: those that no later mount covers."""
    index = _Index(entries)
    return [entry for entry in entries if index.find(entry["mount"]) is entry]


def reachable(tree):
    """Return the visible mounts of the host, computed once."""
    return tree.once("mounts.reachable", lambda: visible(mounts(tree)))


def mount_of(entries, path):
    """Return the mount (of the list that mounts() gives) that an absolute path lies on, or None."""
    return _Index(entries).find(path)


class _Index:
    """Mounts by where they are attached, to walk a path as the kernel does."""

    def __init__(self, entries):
        self.entries = entries
        self.children = {}
        known = {entry["id"] for entry in entries}
        self.top = None
        for entry in entries:
            if entry["id"] is None:
                return
            if entry["parent"] != entry["id"]:
                self.children[(entry["parent"], entry["mount"])] = entry
            if entry["mount"] == "/" and self.top is None and entry["parent"] not in known - {entry["id"]}:
                self.top = entry

    def find(self, path):
        steps = [step for step in path.split("/") if step]
        if self.top is None:
            return self._last(steps)
        here = self._covered(self.top, "/")
        name = ""
        for step in steps:
            name += "/" + step
            here = self._covered(here, name)
        return here

    def _covered(self, here, name):
        """Return the topmost of the mounts stacked on name, starting from the mount that name lies on."""
        seen = set()
        while here["id"] not in seen:
            seen.add(here["id"])
            here = self.children.get((here["id"], name), here)
        return here

    def _last(self, steps):
        """Without parents: of the mounts above the path the last one made covers the others."""
        found = None
        for entry in self.entries:
            above = [step for step in entry["mount"].split("/") if step]
            if steps[: len(above)] == above:
                found = entry
        return found
