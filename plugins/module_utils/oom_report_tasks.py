# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines of a report's task table: what each task holds."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report_rows as rows
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_data import TASKS
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_open import GAP


class TaskLines:
    """Takes the lines of task tables. table: the report whose table is being read, or None."""

    def __init__(self, opened):
        self._opened = opened
        self.table = None

    def match_fast(self, raw):
        """Return a match for a row of the open table behind a common prefix, or None: tables are most of a report."""
        builder, opened = self.table, self._opened
        if builder is not opened.current or builder.position != TASKS or len(opened.builders) != 1:
            return None
        return rows.fast_row(builder.columns).match(raw.decode("utf-8", "replace"))

    def take_fast(self, match):
        """Take the row that match_fast found; False where it is not certainly one of the open table."""
        builder, opened = self.table, self._opened
        if opened.current is not builder or builder.position != TASKS:
            return False
        groups = match.groups()
        uptime = float(groups[1]) if groups[1] else None
        if groups[2] != builder.caller or uptime is None and groups[0] is None:
            return False
        if uptime is not None and builder.uptime is not None and uptime - builder.uptime > GAP:
            return False
        opened.number += 1
        builder.last = opened.number
        builder.uptime = uptime if uptime is not None else builder.uptime
        builder.add_row(tuple(map(int, groups[3:-1])), groups[-1].rstrip())
        return True

    def line(self, line, text):
        """Take a table's first line, or a row of it."""
        if rows.ROW_START.match(text):
            return self._row(line, text)
        match = rows.TABLE.match(text)
        if match:
            builder = self._opened.pick(line, TASKS, True)
            builder.tables += 1
            builder.columns = rows.parse_columns(match.group(1))
            return True
        return False

    def _row(self, line, text):
        if not self._opened.builders and self._opened.current is None and rows.headless_columns(text) is None:
            return False
        builder = self._opened.pick(line, TASKS)
        columns = builder.columns
        if columns is None:
            columns = builder.columns = rows.headless_columns(text)
            builder.mixed = True
            if columns is None:
                return False
        row = rows.parse_row(text, columns)
        if row is None:
            return False
        values, name, cut = row
        builder.mixed = builder.mixed or cut
        builder.add_row(values, name)
        # What was cleaned here has to be cleaned in the next row, too.
        self.table = None if line.cleaned else builder
        return True
