# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One OOM report while it is read: its parts in their order, and what its lines said so far.

Builder collects what the parsers of oom_report_fields read; oom_report_finish makes the report of it.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

# The parts of a report in the order in which the kernel prints them (mm/oom_kill.c: dump_header and after).
(
    HEADER,
    PREAMBLE,
    MEMCG,
    MEMINFO,
    NODES,
    ZONES,
    BUDDY,
    HUGEPAGES,
    TAIL,
    ALLOCATIONS,
    SLAB,
    TASKS,
    CONTEXT,
    KILL,
    AFTER,
) = range(15)


# More zones, caches or cgroups, and more tasks, than any kernel prints in one report: a log of garbage must not fill
# the memory.
MOST_ENTRIES = 4096
MOST_ROWS = 200000
# Seconds by which lines of one report may be out of order: those of several CPUs differ by much less.
CLOCK = 1.0


class Builder:
    """One report while its lines come in."""

    def __init__(self, kind, line, number):
        self.kind = kind
        self.line = line
        self.caller = line.caller
        self.number = self._last = number
        # Reports that began while this one had no end, printed by nobody knows whom.
        self.newer = []
        # Who asked for memory in reports of which only the first lines were known when this one began.
        self.rivals = []
        self.uptime = line.uptime
        self.headed = False
        self.position = HEADER
        self.mixed = False
        self.sysrq = False
        # What the call trace shows: that a cgroup was out of memory, that the page allocator was.
        self.charging = self.allocating = False
        self.kernel = None
        self.trigger = {
            "comm": None,
            "pid": None,
            "uid": None,
            "gfp_mask": None,
            "gfp_flags": None,
            "order": None,
            "oom_score_adj": None,
            "oom_adj": None,
            "cpu": None,
        }
        self.nodemask = self.cpuset = self.mems_allowed = None
        self.meminfo = False
        self.pages = {}
        self.sizes = {}
        self.nodes = []
        self.zones = []
        self.hugepages = []
        self.swap_stats = None
        self.memcg = {}
        self.protection = {}
        self.groups = []
        self.tables = 0
        self.columns = None
        self.rows = []
        self.pids = {}
        self.allocations = None
        self.slab = None
        self.context = None
        self.message = None
        self.intent = None
        self.victims = []
        self.outcome = None
        self.panic = None
        self.group = None
        self.reaped = []
        self.unparsed = []
        self.unparsed_count = 0
        self.seen = set()

    @property
    def last(self):
        """The number of the last line that was taken for this report's."""
        return self._last

    @last.setter
    def last(self, number):
        self._last = number
        for other in self.newer:
            # This report went on after the other began: lines of either may have been taken for the other's.
            other.mixed = True

    @property
    def finished(self):
        """True when the end of the report was read."""
        if self.kind == "allocation_failure":
            return "reserved" in self.pages
        return bool(self.victims) or self.outcome is not None

    @property
    def body(self):
        """True when the report's account of memory has begun."""
        return self.meminfo or bool(self.memcg) or bool(self.pages)

    @property
    def worth(self):
        """True when enough was read to call it a report."""
        if self.headed or self.victims or self.intent or self.outcome or self.context:
            return True
        return bool(self.pages) or "usage" in self.memcg or self.meminfo and bool(self.zones)

    def saw(self, line):
        """Note the time of a line that was taken for this report's; within a report the kernel's clock goes forward."""
        if line.uptime is not None:
            if self.uptime is not None and line.uptime < self.uptime - CLOCK:
                self.mixed = True
            self.uptime = line.uptime

    def store(self, target, values):
        """Put values into target; a value that differs from the one read before marks the report as mixed."""
        for key, value in values.items():
            if target.setdefault(key, value) != value:
                self.mixed = True

    def room(self, entries, most=MOST_ENTRIES):
        """Return whether a list may grow; one that no kernel prints marks the report as mixed and stays as it is."""
        if len(entries) < most:
            return True
        self.mixed = True
        return False

    def add_row(self, values, name):
        """Add a row of the task table; the same task with other values marks the report as mixed."""
        row = (values, name)
        if values[0] not in self.pids and not self.room(self.rows, MOST_ROWS):
            return
        if self.pids.setdefault(values[0], row) is row:
            self.rows.append(row)
        elif self.pids[values[0]] != row:
            self.mixed = True

    def zone(self, node, name, fresh=None):
        """Return the entry of a zone, made where it is new."""
        for entry in self.zones:
            if entry["node"] == node and entry["zone"] == name:
                return entry
        entry = {"node": node, "zone": name, "sizes": fresh, "flags": {}, "reserve": None, "buddy": None, "total": None}
        if self.room(self.zones):
            self.zones.append(entry)
        return entry


def empty_victim(pid, comm):
    """Return a victim of whom only the name is known."""
    return {
        "comm": comm,
        "pid": pid,
        "uid": None,
        "total_vm": None,
        "anon_rss": None,
        "file_rss": None,
        "shmem_rss": None,
        "pgtables": None,
        "oom_score_adj": None,
        "score": None,
    }


def integer(text):
    """Return a number that may not have been printed, or None."""
    return int(text) if text is not None else None
