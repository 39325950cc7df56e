# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports that are open, and which of them a line belongs to.

A line of a report says where it belongs by the task or CPU that printed it (printk's caller id), else by its place
in the order in which the kernel prints a report. Where neither is certain the report is marked as mixed.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections

from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_data import (
    CONTEXT,
    KILL,
    MEMCG,
    TAIL,
    TASKS,
    Builder,
)
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_finish import finish

# Lines without anything of a report after which it is closed: after its end, and before it.
GRACE = 24
PATIENCE = 400
# Seconds of kernel time without a line of an unfinished report after which the next line is of another one.
GAP = 600.0
# Reports that may be open at once; more than two CPUs at a time was never seen.
MOST_OPEN = 4
# Lines of a call trace, at most, between the function that prints a report and the report.
TRACE = 60
SAMPLES = 10


class OpenReports:
    """The reports whose lines still come in. complete holds those that are closed; unparsed what nobody understood.

    number: how many lines were read. mark: what tells the line that is read from all others, or None.
    warned, show_memory, sysrq: the line that announced an allocation failure, SysRq m, SysRq f.
    """

    def __init__(self, log):
        self.log = log
        self.builders = []
        self.current = None
        self.complete = []
        self.unparsed = {"count": 0, "samples": []}
        self.number = 0
        self.mark = None
        self.warned = -TRACE - 1
        self.show_memory = -1
        self.sysrq = -1
        self._closed = collections.deque(maxlen=MOST_OPEN)

    def expire(self):
        """Close the reports of which nothing came for long."""
        for builder in list(self.builders):
            # What may yet turn out to have another's lines has to wait for them.
            unsure = any(builder in other.newer for other in self.builders if other is not builder)
            if self.number - builder.last > (GRACE if builder.finished and not unsure else PATIENCE):
                self.close(builder)

    def close(self, builder):
        """Make a report of what was read."""
        self.builders.remove(builder)
        if self.current is builder:
            self.current = self.builders[-1] if self.builders else None
        if builder.worth:
            report = finish(builder, self.log)
            self.complete.append(report)
            self._closed.append(report)
        self.count(builder.unparsed_count, builder.unparsed)

    def count(self, count, samples):
        """Count lines that were not understood."""
        self.unparsed["count"] += count
        for sample in samples:
            if len(self.unparsed["samples"]) < SAMPLES:
                self.unparsed["samples"].append(sample)

    def just_seen(self, number):
        """Return whether one of the last few lines has this number, which is below 0 for none."""
        return number >= 0 and self.number - number <= 3

    # Which report a line belongs to

    def start(self, line, kind="oom"):
        """Open a report."""
        if len(self.builders) >= MOST_OPEN:
            self.close(self.builders[0])
        builder = Builder(kind, line, self.number)
        builder.seen.add(self.mark)
        self.builders.append(builder)
        self.current = builder
        return builder

    def new_header(self, line, kind):
        """Open the report that a first line begins, and close those that it ends."""
        unsure = []
        for other in list(self.builders):
            same = line.caller is None or other.caller is None or other.caller == line.caller
            if not same:
                continue
            own = line.caller is not None and other.caller == line.caller
            if own or other.finished and other.group is None:
                self.close(other)
            else:
                # Lines of the older report may still come; nothing tells them from the newer one's.
                other.mixed = other.mixed or not other.finished
                unsure.append(other)
        builder = self.start(line, kind)
        builder.headed = True
        for other in unsure:
            other.newer.append(builder)
            if not other.body and not other.finished:
                # Two first lines: whose account of memory follows, its task table may tell if they are far apart.
                builder.rivals.append(other.trigger)
                builder.mixed = builder.mixed or self.number - other.number <= TRACE
        return builder

    def pick(self, line, part, begins=False):
        """Return the report that a line of this part belongs to; one is opened where none can take it.

        begins: the line begins an account of memory or a task table, which a report has once.
        """
        builder = self._by_caller(line, part, begins)
        if builder is None and not (line.caller is not None and self.builders and self._callers()):
            builder = self._by_order(line, part, begins)
        if builder is None:
            # The call trace still tells what a report is of that lost its first line.
            warned = 0 <= self.number - self.warned <= TRACE and part < TASKS
            builder = self.start(line, "allocation_failure" if warned else "oom")
        builder.last = self.number
        builder.saw(line)
        if part > builder.position:
            builder.position = part
        self.current = builder
        return builder

    def _callers(self):
        return all(builder.caller is not None for builder in self.builders)

    def _by_caller(self, line, part, begins):
        if line.caller is None:
            return None
        for builder in reversed(self.builders):
            if builder.caller == line.caller:
                if part >= KILL or not (builder.finished and part != TAIL or begins and _has(builder, part)):
                    return builder
                self.close(builder)
                return None
        return None

    def _by_order(self, line, part, begins):
        current = self.current
        if len(self.builders) == 1 and not begins and self._fits(current, line, part, begins):
            return current
        able = [builder for builder in self.builders if self._fits(builder, line, part, begins)]
        if current in able and (current.body or begins or not any(other.body for other in able)):
            return current
        if able:
            best = max(able, key=lambda builder: (builder.position, builder.number))
            if current is not None and current is not best and not current.finished:
                current.mixed = best.mixed = True
            return best
        return self._out_of_order(part, begins)

    def _out_of_order(self, part, begins):
        """Return the open report that a line out of its order can still belong to, marked as mixed, or None."""
        for builder in self.builders:
            if not builder.finished and not (begins and _has(builder, part)):
                builder.mixed = True
                return builder
        for builder in self.builders:
            if part == TASKS and not begins and builder.columns and builder.finished:
                builder.mixed = True
                return builder
        return None

    def _fits(self, builder, line, part, begins):
        if builder.finished:
            return part == TAIL and builder.kind == "allocation_failure" and builder is self.current
        if builder.position > part or begins and _has(builder, part):
            return False
        return line.uptime is None or builder.uptime is None or line.uptime - builder.uptime <= GAP

    def mine(self, line):
        """Return the open report that a line goes on with, which says nothing else of where it belongs; or None."""
        if line.caller is not None:
            for builder in reversed(self.builders):
                if builder.caller == line.caller:
                    return builder
            if self.builders and self._callers():
                return None
        return self.current

    # Which report a line of the end belongs to

    def context_owner(self, line, found):
        """Return the report that an "oom-kill:" line belongs to."""
        for builder in self.builders:
            if builder.context is not None and builder.context == found and not builder.finished:
                return builder
        current = self.current
        if current is not None and current.context is not None and not current.finished:
            # The kill line of the report before was lost.
            current.mixed = True
            return self.start(line)
        return self.pick(line, CONTEXT)

    def kill_owner(self, line, pid):
        """Return the report whose victim has this pid, by what names it; else the unfinished one, else a new one."""
        able = [
            one
            for one in self.builders
            if one.kind == "oom" and (line.caller is None or one.caller is None or one.caller == line.caller)
        ]
        for one in able:
            if any(victim["pid"] == pid for victim in one.victims) and not (one.finished and self._older(one, line)):
                return one
        for one in able:
            if not one.victims and one.context is not None and one.context.get("pid") == pid:
                return one
        for one in able:
            if not one.victims and one.intent is not None and one.intent["pid"] == pid:
                return one
        unfinished = [one for one in able if not one.finished]
        for one in able:
            if one.group is not None:
                for other in unfinished:
                    # It may be the end of this one as well.
                    one.mixed = other.mixed = True
                return one
        if unfinished:
            if len(unfinished) > 1:
                for one in unfinished:
                    one.mixed = True
            return self.current if self.current in unfinished and self.current.body else unfinished[0]
        return self.start(line)

    def _older(self, builder, line):
        """Return whether a finished report is too old for a line to repeat its kill."""
        return line.uptime is not None and builder.uptime is not None and line.uptime - builder.uptime > 1.0

    def group_owner(self, group):
        """Return the report whose victim was in this cgroup or below, as far as reports tell; None without a victim."""
        killed = [one for one in self.builders if one.victims]
        for one in reversed(killed):
            context = one.context or {}
            named = (
                context.get("task_memcg"),
                context.get("oom_memcg"),
                one.memcg.get("task"),
                one.memcg.get("limit_of"),
            )
            if any(path and (path + "/").startswith(group.rstrip("/") + "/") for path in named):
                return one
        if killed and len(self.builders) > 1:
            # Nothing tells which of them it is.
            killed[-1].mixed = True
        return killed[-1] if killed else None

    def end(self, line):
        """Return the report that a line without a process ends."""
        able = [
            one
            for one in self.builders
            if one.kind == "oom" and not one.finished and (line.caller is None or one.caller in (None, line.caller))
        ]
        if len(able) > 1:
            # Nothing tells which of them it is.
            for one in able:
                one.mixed = True
        builder = able[-1] if able else self.start(line)
        builder.last = self.number
        return builder

    def last_of(self, test):
        """Return the report opened last for which test is true, or None."""
        for builder in reversed(self.builders):
            if test(builder):
                return builder
        return None

    def reaped_late(self, entry):
        """Return whether an earlier report tells of that victim; what the reaper did is added to it."""
        for report in reversed(self._closed):
            known = {one["pid"] for one in report["reaped"]}
            for victim in report["victims"]:
                if (victim["pid"], victim["comm"]) == (entry["pid"], entry["comm"]) and entry["pid"] not in known:
                    report["reaped"].append(entry)
                    return True
        return False

    def touch(self, builder, line, part):
        """Note that a line of this part belongs to a report; return True."""
        builder.last = self.number
        builder.position = max(builder.position, part)
        builder.saw(line)
        self.current = builder
        return True


def _has(builder, part):
    """Return whether a report has already what a line of this part would begin."""
    if part == TASKS:
        return bool(builder.rows) or builder.tables > 0
    if part == MEMCG:
        return "usage" in builder.memcg
    return bool(builder.pages) or builder.meminfo and bool(builder.zones)
