# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines before a report's account of memory: its first line, whose task and which CPU, its cpuset."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report_fields as fields
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_data import PREAMBLE, Builder, integer
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_finish import finish


class HeadLines:
    """Takes the first lines of reports; each method returns whether it understood the line."""

    def __init__(self, opened):
        self._opened = opened

    def oom(self, line, text):
        """Take "… invoked oom-killer: …"."""
        match = fields.HEADER.search(text)
        if not match:
            return False
        builder = self._opened.new_header(line, "oom")
        trigger = builder.trigger
        trigger["comm"] = _comm(match.group("comm"))
        trigger["gfp_mask"] = match.group("mask")
        trigger["gfp_flags"] = _flags(match.group("flags"))
        trigger["order"] = int(match.group("order"))
        trigger["oom_score_adj"] = integer(match.group("score"))
        if match.group("adj") is not None:
            trigger["oom_adj"] = int(match.group("adj"))
        builder.nodemask = match.group("nodemask")
        builder.sysrq = trigger["order"] == -1 or self._opened.just_seen(self._opened.sysrq)
        if line.caller and line.caller[0] == "T":
            trigger["pid"] = int(line.caller[1:])
        return True

    def allocation(self, line, text):
        """Take the first line of an allocation that failed."""
        match = fields.ALLOCATION.match(text)
        if not match:
            return False
        builder = self._opened.new_header(line, "allocation_failure")
        trigger = builder.trigger
        trigger["comm"] = _comm(match.group("comm"))
        builder.mixed = trigger["comm"] is None
        trigger["gfp_mask"] = match.group("mask")
        trigger["gfp_flags"] = _flags(match.group("flags"))
        order = fields.ORDER.search(match.group("rest"))
        trigger["order"] = int(order.group(1)) if order else None
        builder.nodemask, builder.cpuset = match.group("nodemask"), match.group("cpuset")
        builder.mems_allowed = match.group("mems")
        if line.caller and line.caller[0] == "T":
            trigger["pid"] = int(line.caller[1:])
        return True

    def allocation_cut(self, line, text):
        """Begin the report of an allocation that failed where lines of other CPUs cut its first line to pieces."""
        match = fields.ALLOCATION_CUT.match(text)
        if not match:
            return False
        builder = self._opened.new_header(line, "allocation_failure")
        builder.trigger["comm"] = _comm(match.group("comm"))
        builder.trigger["order"] = int(match.group("order"))
        builder.mixed = True
        return True

    def refusal(self, line, text):
        """Take what strict accounting says when it refuses memory: a report of one line."""
        match = fields.REFUSAL.search(text)
        if not match:
            return False
        builder = Builder("overcommit_refusal", line, self._opened.number)
        builder.headed = True
        builder.trigger["pid"], builder.trigger["comm"] = int(match.group("pid")), match.group("comm")
        report = finish(builder, self._opened.log)
        report["bytes"] = integer(match.group("bytes"))
        report["truncated"] = False
        self._opened.complete.append(report)
        return True

    def cpu(self, text):
        """Take the line that names CPU, task and kernel."""
        match = fields.CPU.search(text) or fields.CPU_NO_KERNEL.search(text)
        if not match:
            return False
        pid, comm = int(match.group("pid") or match.group("oldpid")), match.group("comm").strip()
        for builder in reversed(self._opened.builders):
            trigger = builder.trigger
            after_panic = not builder.headed and builder.panic is not None
            if trigger["comm"] is not None and comm != trigger["comm"] and trigger["comm"].endswith(comm):
                trigger["comm"] = comm
            begun = builder.line.bare and bool(trigger["comm"]) and comm != trigger["comm"]
            if begun and comm.endswith(trigger["comm"]):
                # The text begins inside the report's first line.
                trigger["comm"], builder.mixed = comm, True
            if trigger["comm"] == comm and trigger["cpu"] is None or after_panic and trigger["comm"] is None:
                if trigger["pid"] not in (None, pid):
                    continue
                trigger["comm"], trigger["pid"], builder.last = comm, pid, self._opened.number
                trigger["cpu"], trigger["uid"] = integer(match.group("cpu")), integer(match.groupdict().get("uid"))
                builder.kernel = builder.kernel or match.group("kernel") or None
                # A release is followed by "#", or it was broken inside.
                builder.mixed = (
                    builder.mixed
                    or text[match.end() : match.end() + 1] == "\n" != text[-1:]
                    and (text[match.end() + 1 : match.end() + 2] != "#")
                )
                builder.position = max(builder.position, PREAMBLE)
                return True
        for builder in self._opened.builders:
            if builder.kernel is None and match.group("kernel") and (builder.panic or builder.trigger["comm"] == comm):
                builder.kernel = match.group("kernel")
        return True

    def cpuset(self, text):
        """Take the line that names the task's cpuset."""
        match = fields.CPUSET.match(text)
        if not match:
            return False
        for builder in reversed(self._opened.builders):
            if builder.trigger["comm"] == match.group("comm") and builder.cpuset is None:
                builder.cpuset, builder.mems_allowed = match.group("cpuset"), match.group("mems")
                builder.last = self._opened.number
                break
        return True

    def by_hand(self, text):
        """Take SysRq's own lines: f calls the OOM killer, m shows memory, which is no report."""
        lowered = text[:60].lower()
        if not lowered.startswith("sysrq"):
            return False
        if "manual oom" in lowered:
            self._opened.sysrq = self._opened.number
        elif "show memory" in lowered:
            self._opened.show_memory = self._opened.number
        return True


def _flags(text):
    """Return the names of a gfp mask, between which a mail program or a terminal may have broken the line."""
    return None if text is None else "".join(text.split())


def _comm(text):
    """Return a task's name from what stands before "invoked": at most 15 bytes, the rest is a prefix unknown here."""
    if text is None:
        return None
    text = text.strip()
    if len(text.encode("utf-8")) > 15:
        for mark in ("] ", "; ", ": ", "> ", " "):
            tail = text.rsplit(mark, 1)[-1]
            if tail and len(tail) <= 15:
                return tail
    return text
