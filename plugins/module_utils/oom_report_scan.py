# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OOM reports found in a log of any size, quickly and in flat memory.

A kernel log is nearly all noise. So a few words are looked for in large pieces of it, which a machine does at
gigabytes a second; only what stands around them is taken apart line by line.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils import kernel_log

# A report has at least one of these. Each is looked for in a large piece of the log at once, which costs far less
# than looking at lines; so the fewer the better.
MARKS = (b"oom-kill", b"illed process ", b"ut of memory", b"page allocation", b"vm_enough_memory", b"active_anon:")
# A journal's message that is no UTF-8 is a list of numbers in JSON, in which no word can be found.
JSON_MARKS = MARKS + (b'"MESSAGE":[',)

_CONFIRM = re.compile(
    rb"oom-kill(?:er)?:|Mem-[Ii]nfo:|Killed process \d|[Oo]ut of memory(?: \([\w ]+\))?(?::|\.| and no)|"
    rb"page allocation (?:failure|stalls)|vm_enough_memory: +pid|uid +tgid +total_vm|active_anon:\d+|"
    rb"\"MESSAGE\":\["
)
# Lines that are part of a report though they come before its first mark, where its beginning was lost.
_PART = re.compile(
    rb"\] +-?\d+ +\d+ +\d+ +\d+ +\d+ |[a-z_]+ \d+\s*$|\d+kB|KB\s|invoked|gfp_mask|lowmem_reserve|cpuset=|PID: |"
    rb"Pid: |limit of|pages|\w+:\d+ |func:|Mem-|[sS]ys[rR]q"
)
PIECE = 1024 * 1024
LOOKBACK = 128 * 1024
# Lines before the first mark that need not look like a part of a report.
SLACK = 6
LONGEST_LINE = 1024 * 1024


def scan(pieces, assembler):
    """Feed the reports in a log to assembler and yield each report when it is complete.

    pieces: bytes of the log in order, cut anywhere. Memory stays flat whatever the size of the log.
    """
    data = b""
    start = 0
    export = None
    marks = MARKS
    for piece in pieces:
        # What is before start was looked at; some of it is kept for reports whose beginning was lost.
        keep = max(0, start - LOOKBACK)
        data = data[keep:] + piece
        start -= keep
        if export is None and data:
            export = data.startswith(b"__CURSOR=")
            marks = JSON_MARKS if data[:16].lstrip(b"\x1edat: ").startswith(b"{") else MARKS
        start = _scan_data(data, start, assembler, export, marks, False)
        yield from assembler.take()
    _scan_data(data, start, assembler, export, marks, True)
    assembler.finish()
    yield from assembler.take()


def _scan_data(data, start, assembler, export, marks, last):
    """Look through data[start:] up to its last whole line; return where the next call is to go on."""
    end = len(data)
    if not last:
        newline = data.rfind(b"\n", start)
        if newline < 0:
            return start if end - start < LONGEST_LINE else end
        end = newline + 1
    step = _entry if export else _line
    found = dict.fromkeys(marks, -2)
    position = start
    while position < end:
        if assembler.idle:
            assembler.rest()
        if assembler.idle:
            mark = _next_mark(data, position, end, found)
            if mark < 0:
                return end
            position = _beginning(data, position, mark, export)
            stop = data.find(b"\n", mark)
            stop = end if stop < 0 else stop + 1
            searching = True
        else:
            stop = position
            searching = False
        position = step(data, position, max(stop, position + 1), end, assembler, last)
        if position < 0:
            return -position - 1
        if searching:
            assembler.expect()
    return position


def _line(data, position, stop, end, assembler, last):
    """Feed the lines of data[position:stop], and return where the next one starts."""
    find = data.find
    feed = assembler.feed
    while position < stop or position < end and not assembler.idle:
        newline = find(b"\n", position, end)
        if newline < 0:
            newline = end
        feed(data[position:newline])
        position = newline + 1
    return min(position, end)


def _entry(data, position, stop, end, assembler, last):
    """Feed the entries of a journal export in data[position:stop]; a negative number: cut, go on at -n - 1."""
    while position < stop and position < end:
        if data[position : position + 1] == b"\n":
            position += 1
            continue
        entry = kernel_log.export_entry(data, position)
        if entry is None:
            return end if last else -position - 1
        fields_found, position = entry
        assembler.feed_line(kernel_log.from_fields(fields_found))
    return position


def _next_mark(data, position, end, found):
    """Return where the next confirmed mark is in data[position:end], or -1."""
    while True:
        best = -1
        for mark, at in found.items():
            if at != -1 and at < position:
                at = found[mark] = data.find(mark, position, end)
            if at >= 0 and (best < 0 or at < best):
                best = at
        if best < 0:
            return -1
        line_start = max(data.rfind(b"\n", 0, best) + 1, 0)
        line_end = data.find(b"\n", best, end)
        line_end = end if line_end < 0 else line_end
        if _CONFIRM.search(data, max(line_start, best - 4096), min(line_end, best + 4096)):
            return best
        position = line_end


def _beginning(data, position, mark, export):
    """Return where to begin with the lines before a mark: at the report's start, where its first line was lost."""
    if export:
        return max(position, data.rfind(b"\n\n", position, mark) + 2)
    start = data.rfind(b"\n", position, mark) + 1 or position
    line_end = data.find(b"\n", mark)
    if start <= position:
        return start
    if b"oom-killer:" in data[start : line_end if line_end >= 0 else len(data)]:
        # The first line of a whole report; only somebody's hand may have been noted before it.
        hand = data.find(b"Manual OOM execution", max(position, start - 300), start)
        return start if hand < 0 else data.rfind(b"\n", position, hand) + 1 or position
    slack = SLACK
    here = start
    while here > position and slack:
        before = data.rfind(b"\n", position, here - 1) + 1 or position
        if _PART.search(data, before, here - 1):
            start = before
            slack = SLACK
        else:
            slack -= 1
        here = before
    return start
