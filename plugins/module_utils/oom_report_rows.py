# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task table of an OOM report (mm/oom_kill.c dump_tasks): its columns, and one row, with and without a prefix."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

TABLE = re.compile(r"^\[\s*pid\s*\]\s+uid\s+tgid\s+total_vm\s+rss\s+(.*?)\s*\bname\s*$", re.S)
ROW_START = re.compile(r"^\[\s*\d+\]\s+-?\d+\s+\d+\s")
_COLUMNS = frozenset(
    [
        "rss_anon",
        "rss_file",
        "rss_shmem",
        "nr_ptes",
        "nr_pmds",
        "nr_puds",
        "pgtables_bytes",
        "swapents",
        "cpu",
        "oom_adj",
        "oom_score_adj",
    ]
)

# Rows by the number of integers in them.
ROW_PATTERNS = {
    count: re.compile(r"\[\s*(\d+)\]" + r"\s+(-?\d+)" * (count - 1) + r"(?:\s+(\S.*))?\s*$", re.S)
    for count in range(6, 15)
}
# The same behind the commonest prefixes, as kernel_log takes them off.
_FAST_ROWS = {
    count: re.compile(
        r"(?:([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) \S+ kernel: )?(?:<\d+>)?(?:\[ *(\d+\.\d+)\](?:\[ *([TC]\d+)\])? )?"
        r"\[ *(\d+)\]" + r" +(-?\d+)" * (count - 1) + r" (\S[^\\#&\r\x1b]*)$"
    )
    for count in range(6, 15)
}
_NO_ROW = re.compile(r"(?!)")


# Columns by their number, for tables whose first line was lost. Those that cannot be told apart without it are "?".
_HEADLESS = {
    7: ["pid", "uid", "tgid", "total_vm", "rss", "cpu", "oom_adj"],
    8: ["pid", "uid", "tgid", "total_vm", "rss", "?", "swapents", "oom_score_adj"],
    9: ["pid", "uid", "tgid", "total_vm", "rss", "nr_ptes", "nr_pmds", "swapents", "oom_score_adj"],
    11: [
        "pid",
        "uid",
        "tgid",
        "total_vm",
        "rss",
        "rss_anon",
        "rss_file",
        "rss_shmem",
        "pgtables_bytes",
        "swapents",
        "oom_score_adj",
    ],
}
_OLD_ROW = re.compile(r"\[\s*\d+\]\s+-?\d+\s+\d+\s+\d+\s+\d+ {1,4}\d{1,3} {4,6}-?\d{1,2} {8,13}-?\d+ ")


def fast_row(columns):
    """Return the pattern of a row behind a common prefix: its time, uptime and caller, the integers, the name."""
    return _FAST_ROWS.get(len(columns), _NO_ROW)


def parse_columns(names):
    """Return the integer columns of a task table from the words between rss and name in its first line.

    A word that a mail program broke is put together again where its parts make a known column.
    """
    columns = []
    for word in names.split():
        if columns and columns[-1] not in _COLUMNS and columns[-1] + word in _COLUMNS:
            columns[-1] += word
        else:
            columns.append(word)
    return ["pid", "uid", "tgid", "total_vm", "rss"] + columns


def parse_row(text, columns):
    """Return (values, name, cut) of a row of the task table, or None where it does not fit the columns.

    cut is True where there is no name, or a line break follows it, which may have stood inside the name.
    """
    pattern = ROW_PATTERNS.get(len(columns))
    match = pattern.match(text) if pattern else None
    if not match:
        return None
    groups = match.groups()
    name, _newline, rest = (groups[-1] or "").strip().partition("\n")
    # A task may have an empty name, but far more often the line was cut.
    return tuple([int(group) for group in groups[:-1]]), name.rstrip(), bool(rest) or not name


def headless_columns(text):
    """Return the columns of a row whose table's first line was lost, or None where they cannot be told."""
    if _OLD_ROW.match(text):
        return ["pid", "uid", "tgid", "total_vm", "rss", "cpu", "oom_adj", "oom_score_adj"]
    for count in (11, 9, 8, 7):
        if re.match(r"\[\s*\d+\]" + r"\s+-?\d+" * (count - 1) + r"\s+(?!-?\d+(?:\s|$))\S", text):
            return _HEADLESS[count]
    return None
