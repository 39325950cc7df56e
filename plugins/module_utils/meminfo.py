# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/proc/meminfo (proc_meminfo(5), fs/proc/meminfo.c)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

_LINE = re.compile(r"^([A-Za-z0-9_()]+):\s+([0-9]+)(?:\s+(kB))?\s*$")
_WORD_END = re.compile(r"([a-z])([A-Z])")
_ACRONYM_END = re.compile(r"([A-Z])([A-Z][a-z])")


def snake(name):
    """Return a kernel counter's name in snake_case: "Active(anon)" becomes "active_anon"."""
    name = name.replace("(", "_").replace(")", "")
    return _ACRONYM_END.sub(r"\1_\2", _WORD_END.sub(r"\1_\2", name)).lower()


def parse_meminfo(text):
    """Return every line that can be understood: {name: bytes}, and counts for lines without a unit (HugePages_*)."""
    values = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            values[snake(match.group(1))] = int(match.group(2)) * (1024 if match.group(3) else 1)
    return values


def meminfo(tree):
    """Return the parsed /proc/meminfo, read once for all subsets; empty where it cannot be read."""
    return tree.once("meminfo", lambda: parse_meminfo(tree.text("/proc/meminfo", "")))


def collect(tree, options, earlier=None):
    """Return /proc/meminfo in bytes, or None with the reason recorded."""
    try:
        tree.read("/proc/meminfo")
    except EnvironmentError as error:
        tree.missing("meminfo", error)
        return None
    values = meminfo(tree)
    if not values:
        tree.missing("meminfo", "/proc/meminfo: no line could be understood")
    return values or None
