# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports of the OOM killer put together from the lines of a log.

oom_report_scan looks for a few words in large pieces of a log, so that noise costs next to nothing, and hands only
the neighbourhood of a report to Assembler. Assembler takes line after line, joins what was wrapped, gives each line
to the report that it belongs to, and closes a report when nothing more comes.

A report is known by its structure, never by a kernel version. Where lines were lost, cut or mixed with those of
another report, the report says truncated; a number that is not certain is left out.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import re

from ansible_collections.linux_memory.oom.plugins.module_utils import kernel_log
from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report_fields as fields
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_data import (
    AFTER,
    ALLOCATIONS,
    BUDDY,
    CONTEXT,
    HUGEPAGES,
    KILL,
    MEMCG,
    MOST_ROWS,
    MEMINFO,
    NODES,
    PREAMBLE,
    SLAB,
    TAIL,
    TASKS,
    ZONES,
    Builder,
    empty_victim,
    finish,
)

# Lines without anything of a report after which it is closed: after its end, and before it.
GRACE = 24
PATIENCE = 400
# Seconds of kernel time without a line of an unfinished report after which the next line is of another one.
GAP = 600.0
# Reports that may be open at once; more than two CPUs at a time was never seen.
MOST_OPEN = 4
# Lines of a call trace, at most, between the function that prints a report and the report.
TRACE = 60
# Wrapped or continued lines that are joined to one record: a cgroup's statistics are under 150 lines.
MOST_CONTINUED = 400
SAMPLES = 10
# Bytes above which a line may be several that were glued together, as a copy from a web page is.
GLUED = 200
_GLUE = re.compile(rb"(?<=[^\s\"'=>|-])(?=\[ *\d+\.\d{6}\] )")

# A line without a prefix that begins something, so it is no continuation of the line before.
_BEGINS = re.compile(
    r".{0,40}\binvoked oom|.{0,30}\S cpuset=|Mem-[Ii]nfo:|Node \d+ |\w+ free:\d+kB|(?:lowmem_reserve|protections)\[\]|"
    r"\d+ (?:total pagecache |reserved )?pages|\[ *pid *\]|\[ *\d+\] +-?\d+ +\d|oom-kill:|oom_reaper:|"
    r"[Kk]ill(?:ed)? process|Out of [Mm]emory|Memory (?:cgroup|allocations:)|(?:memory(?:\+swap)?|swap|kmem): usage|"
    r"Tasks? |[Aa]ctive(?:_anon)?:\d+ |"
    r"Free swap|Total swap|Swap cache|CPU:? +\d|Pid: |Hardware name|Call [Tt]race|\w+: \d+\*\d+kB|Kernel panic|"
    r"Unreclaimable slab|Linux version|Name +Used +Total|\S+ +\d+KB +\d+KB$|.*\bfunc:\w|Workqueue:|\w+ per-cpu:|"
    r"System is deadlocked|.{1,30}: page allocation"
)

# One of these words is in every line that the pattern after them finds; looking for a word costs less.
_LOSS = ("dropped", "issed", "suppressed", "lost")
_SUSPECT_WORDS = ("oom", "emory", "process", "allocation")
_SUSPECT = re.compile(
    r"(?:^|[\]:;>] )(?:.{1,15} invoked oom|(?:Memory cgroup )?[Oo]ut of [Mm]emory\b.*\b[Kk]ill|oom-kill:|"
    r"Kill(?:ed)? process \d|"
    r"oom_reaper: |.{1,20}: page allocation (?:failure|stalls))"
)
_FIRST = r"(?: invoked oom-killer: gfp_mask=|: page allocation (?:failure|stalls))"
_FIRST_AT = re.compile(_FIRST)
# A separator with a blank before the name is surer than one without, which the name itself may hold (kworker/0:2).
_UNKNOWN = re.compile(
    "|".join(
        start + _FIRST + ")"
        for start in (r".*[\]:>|;,\t] (?=\S.{0,14}", r".*[\]:>|;,\t](?=\S.{0,14}", r".* (?=\S{1,15}")
    )
)
_TRACE = re.compile(r"[^\n]*\+0x[0-9a-f]+/0x[0-9a-f]")
_FIGURES = re.compile(r"^Node \d+ \S|^[A-Za-z][\w()]*:\s?\d+\s?[kKMG]B(?:\s|$)|^\d+ pages \S|^\[ *\d+\] +-?\d+ +\d+ ")


class Assembler:
    """Takes the lines of a log one by one and puts reports together.

    reports holds what is complete; take it away as you like. unparsed counts what looked like a report's line and
    was not understood. reference: the epoch time that the log does not reach beyond (kernel_log.wall_clock).
    boot_time: the epoch time of the boot where the log is of the boot that runs now, so that seconds since boot
    tell the time of a report whose lines tell no other.
    """

    def __init__(self, reference=None, path=None, source="file", boot_time=None):
        self.reference = reference
        self.boot_time = boot_time
        self.path = path
        self.source = source
        self.reports = []
        self.unparsed = {"count": 0, "samples": []}
        self.number = 0
        self._open = []
        self._complete = collections.deque(maxlen=MOST_OPEN)
        self._current = None
        self._pending = None
        self._expected = None
        self._rest = []
        self._previous = None
        self._table = None
        self._prefix = None
        self._mark = None
        self._after_row = False
        self._show_memory = -1
        self._sysrq = -1
        self._warned = -TRACE - 1

    @property
    def idle(self):
        """True when no report is open, so that lines without a sign of a report need not be fed."""
        return not self._open and (self._expected is None or self._expected is not self._pending)

    def expect(self):
        """Say that the line fed last may begin a report: what continues it is wanted too."""
        self._expected = self._pending

    def feed(self, raw):
        """Take one raw line (bytes, without its newline)."""
        if raw == self._previous and raw:
            return
        self._previous = raw
        if len(raw) > GLUED and raw.count(b"[") > 2:
            parts = _GLUE.split(raw)
            if len(parts) > 2:
                for part in parts:
                    self.feed_line(kernel_log.decode(part))
                return
        if self._table is not None and self._table is self._current and self._fast_row(raw):
            return
        self.feed_line(kernel_log.decode(raw))

    def _fast_row(self, raw):
        """Take a row of the open task table in one match: tables are most of a report. False: not such a row."""
        builder = self._table
        if builder.position != TASKS or len(self._open) != 1:
            return False
        match = fields.fast_row(builder.columns).match(raw.decode("utf-8", "replace"))
        if match is None:
            return False
        if self._pending is not None:
            self._flush()
            if self._current is not builder or builder.position != TASKS:
                return False
        groups = match.groups()
        uptime = float(groups[1]) if groups[1] else None
        if groups[2] != builder.caller or uptime is None and groups[0] is None:
            return False
        if uptime is not None and builder.uptime is not None and uptime - builder.uptime > GAP:
            return False
        self.number += 1
        builder.last = self.number
        builder.uptime = uptime if uptime is not None else builder.uptime
        values = tuple(map(int, groups[3:-1]))
        builder.add_row(values, groups[-1].rstrip())
        self._after_row = True
        return True

    def feed_line(self, line):
        """Take one kernel_log.Line."""
        self.number += 1
        if line.bare and line.text:
            self._unknown_prefix(line)
        if not line.kernel:
            self._flush()
        elif line.bare:
            self._feed_bare(line)
        else:
            if self._pending is not None:
                self._flush()
            self._pending = line
            self._after_row = False
        if not self.number & 15:
            self._expire()

    def _unknown_prefix(self, line):
        """Take off a prefix of a kind that kernel_log does not know, once a report's first line has shown it.

        A task's name has at most 15 bytes, so what is longer before "invoked oom-killer" is a prefix; the lines
        after it have the same with other digits.
        """
        text = line.text
        first = _FIRST_AT.search(text) if "oom-killer" in text or "page alloc" in text else None
        if first:
            match = _UNKNOWN.match(text)
            self._prefix = None
            if match and len(text[: first.start()].encode("utf-8")) > 15:
                shape = re.sub(r"(?:\\ )+", " +", re.sub(r"\d+", r"\\d+", re.escape(match.group(0).rstrip())))
                self._prefix = re.compile(shape + " ?")
        match = self._prefix.match(text) if self._prefix is not None else None
        if match:
            line.text = text[match.end() :]
            line.bare = False

    def _feed_bare(self, line):
        text = line.text
        if not text or text.isspace() or text in ("{", "}"):
            # An empty line ends what it follows; a brace is the frame of a journal's entry.
            self._flush()
        elif self._pending is None and self._after_row and not _BEGINS.match(text):
            # The line before ended in a task's name, which may have been wrapped.
            self._table.mixed = True
            self._after_row = False
        elif self._pending is not None and not _BEGINS.match(text):
            if len(self._rest) < MOST_CONTINUED:
                self._rest.append(text)
        else:
            self._flush()
            self._pending = line

    def _flush(self):
        """Handle the record that was waiting for its continuation."""
        line = self._pending
        if line is None:
            return
        self._pending = None
        text = line.text
        if self._rest:
            text = text + "\n" + "\n".join(self._rest) if text else "\n".join(self._rest)
            self._rest = []
        if "\\" in text or "#012" in text:
            text = kernel_log.unescape(text)
        if "=3D" in text:
            # Mail that was sent as quoted-printable (RFC 2045, 6.7): a line that ends with "=" goes on.
            text = text.replace("=\n", "").replace("=3D", "=")
        self._handle(line, text.strip())

    def finish(self):
        """Close whatever is open: the log has ended."""
        self._flush()
        for builder in list(self._open):
            self._close(builder)

    def rest(self):
        """Handle the record that waits, where no continuation is to come because the lines after it are skipped."""
        self._flush()

    def _expire(self):
        for builder in list(self._open):
            if self.number - builder.last > (GRACE if builder.finished else PATIENCE):
                self._close(builder)

    def _close(self, builder):
        self._open.remove(builder)
        if self._current is builder:
            self._current = self._open[-1] if self._open else None
        if builder.worth:
            report = finish(builder, self)
            self.reports.append(report)
            self._complete.append(report)
        self._count(builder.unparsed_count, builder.unparsed)

    def _count(self, count, samples):
        self.unparsed["count"] += count
        for sample in samples:
            if len(self.unparsed["samples"]) < SAMPLES:
                self.unparsed["samples"].append(sample)

    # Which report a line belongs to

    def _start(self, line, kind="oom"):
        if len(self._open) >= MOST_OPEN:
            self._close(self._open[0])
        builder = Builder(kind, line, self.number)
        builder.seen.add(self._mark)
        self._open.append(builder)
        self._current = builder
        return builder

    def _new_header(self, line, kind):
        """Open the report that a first line begins, and close those that it ends."""
        for other in list(self._open):
            same = line.caller is None or other.caller is None or other.caller == line.caller
            if not same:
                continue
            if other.finished or (line.caller is not None and other.caller == line.caller):
                self._close(other)
            else:
                # Lines of the older report may still come; nothing tells them from the newer one's.
                other.mixed = True
        builder = self._start(line, kind)
        builder.headed = True
        return builder

    def _pick(self, line, part, begins=False):
        """Return the report that a line of this part belongs to; one is opened where none can take it.

        begins: the line begins an account of memory or a task table, which a report has once.
        """
        builder = self._by_caller(line, part, begins)
        if builder is None and not (line.caller is not None and self._open and self._callers()):
            builder = self._by_order(line, part, begins)
        if builder is None:
            # The call trace still tells what a report is of that lost its first line.
            warned = 0 <= self.number - self._warned <= TRACE and part < TASKS
            builder = self._start(line, "allocation_failure" if warned else "oom")
        builder.last = self.number
        if line.uptime is not None:
            builder.uptime = line.uptime
        if part > builder.position:
            builder.position = part
        self._current = builder
        return builder

    def _callers(self):
        return all(builder.caller is not None for builder in self._open)

    def _by_caller(self, line, part, begins):
        if line.caller is None:
            return None
        for builder in reversed(self._open):
            if builder.caller == line.caller:
                if part >= KILL or not (builder.finished and part != TAIL or begins and _has(builder, part)):
                    return builder
                self._close(builder)
                return None
        return None

    def _by_order(self, line, part, begins):
        current = self._current
        if len(self._open) == 1 and not begins and self._fits(current, line, part, begins):
            return current
        able = [builder for builder in self._open if self._fits(builder, line, part, begins)]
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
        for builder in self._open:
            if not builder.finished and not (begins and _has(builder, part)):
                builder.mixed = True
                return builder
        for builder in self._open:
            if part == TASKS and not begins and builder.columns and builder.finished:
                builder.mixed = True
                return builder
        return None

    def _fits(self, builder, line, part, begins):
        if builder.finished:
            return part == TAIL and builder.kind == "allocation_failure" and builder is self._current
        if builder.position > part or begins and _has(builder, part):
            return False
        return line.uptime is None or builder.uptime is None or line.uptime - builder.uptime <= GAP

    # What a line says

    def _handle(self, line, text):
        if not text:
            return
        if "+0x" in text and _TRACE.match(text):
            # A line of the call trace, many in each report.
            if "moom_callback" in text and self._current is not None and self._current.kind == "oom":
                self._current.sysrq = True
            if "warn_alloc" in text:
                self._warned = self.number
            return
        self._mark = None
        if line.uptime is not None and self._repeated(line, text):
            return
        first = text[0]
        if first == "[":
            done = self._table_line(line, text)
        else:
            done = self._rare_line(line, text) or self._memory_line(line, text)
        if not done:
            self._other(line, text)

    def _repeated(self, line, text):
        """Return whether this very line, with its time, was read already: printk's time and the text tell."""
        mark = self._mark = hash((line.uptime, text))
        for builder in self._open:
            if mark in builder.seen:
                return True
        if self._current is not None and len(self._current.seen) < MOST_ROWS:
            self._current.seen.add(mark)
        return False

    def _table_line(self, line, text):
        if fields.ROW_START.match(text):
            return self._row(line, text)
        match = fields.TABLE.match(text)
        if match:
            builder = self._pick(line, TASKS, True)
            builder.tables += 1
            builder.columns = fields.parse_columns(match.group(1))
            return True
        return False

    def _row(self, line, text):
        if not self._open and self._current is None and fields.headless_columns(text) is None:
            return False
        builder = self._pick(line, TASKS)
        columns = builder.columns
        if columns is None:
            columns = builder.columns = fields.headless_columns(text)
            builder.mixed = True
            if columns is None:
                return False
        row = fields.parse_row(text, columns)
        if row is None:
            return False
        values, name, cut = row
        builder.mixed = builder.mixed or cut
        builder.add_row(values, name)
        self._table = builder
        return True

    def _rare_line(self, line, text):
        """Handle the lines that name the OOM killer, its victim, a cgroup or the machine; True when understood."""
        if "oom" in text and self._oom_line(line, text):
            return True
        if "process" in text and self._kill_line(line, text):
            return True
        if ": usage " in text and "failcnt" in text and fields.USAGE.search(text):
            return self._usage(line, text)
        if "emory" in text and self._named_line(line, text):
            return True
        if text.startswith("Mem-") and text[:9].lower() == "mem-info:":
            return self._meminfo(line, text)
        if "omm" in text and ("PID:" in text or "Pid:" in text):
            return self._cpu_line(text)
        if "mode:" in text and self._allocation(line, text):
            return True
        if "page allocation failure" in text and self._allocation_cut(line, text):
            return True
        if "cpuset=" in text:
            return self._cpuset_line(text)
        if text.startswith("Linux version "):
            for builder in list(self._open):
                self._close(builder)
            return True
        return False

    def _oom_line(self, line, text):
        if "gfp_mask=" in text:
            match = fields.HEADER.search(text)
            if match:
                self._header(line, match)
                return True
        if "oom-kill:" in text and fields.OOM_KILL.search(text):
            self._context(line, text)
            return True
        if "oom_reaper" in text:
            return self._reaper(text)
        match = fields.GROUP.match(text)
        if match:
            builder = self._group_owner(match.group(1)) or self._pick(line, KILL)
            builder.group = match.group(1)
            builder.last = self.number
            return True
        return self._panic(line, text)

    def _group_owner(self, group):
        """Return the report whose victim was in this cgroup or below, as far as reports tell; None without a victim."""
        killed = [one for one in self._open if one.victims]
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
        if killed and len(self._open) > 1:
            # Nothing tells which of them it is.
            killed[-1].mixed = True
        return killed[-1] if killed else None

    def _header(self, line, match):
        builder = self._new_header(line, "oom")
        trigger = builder.trigger
        trigger["comm"] = _comm(match.group("comm"))
        trigger["gfp_mask"] = match.group("mask")
        trigger["gfp_flags"] = match.group("flags")
        trigger["order"] = int(match.group("order"))
        trigger["oom_score_adj"] = _integer(match.group("score"))
        if match.group("adj") is not None:
            trigger["oom_adj"] = int(match.group("adj"))
        builder.nodemask = match.group("nodemask")
        builder.sysrq = trigger["order"] == -1 or self.number - self._sysrq <= 3 and self._sysrq >= 0
        if line.caller and line.caller[0] == "T":
            trigger["pid"] = int(line.caller[1:])

    def _allocation(self, line, text):
        match = fields.ALLOCATION.match(text)
        if not match:
            return False
        builder = self._new_header(line, "allocation_failure")
        trigger = builder.trigger
        trigger["comm"] = _comm(match.group("comm"))
        builder.mixed = trigger["comm"] is None
        trigger["gfp_mask"] = match.group("mask")
        trigger["gfp_flags"] = match.group("flags")
        order = fields.ORDER.search(match.group("rest"))
        trigger["order"] = int(order.group(1)) if order else None
        builder.nodemask, builder.cpuset = match.group("nodemask"), match.group("cpuset")
        builder.mems_allowed = match.group("mems")
        if line.caller and line.caller[0] == "T":
            trigger["pid"] = int(line.caller[1:])
        return True

    def _allocation_cut(self, line, text):
        """Begin the report of an allocation that failed where lines of other CPUs cut its first line to pieces."""
        match = fields.ALLOCATION_CUT.match(text)
        if not match:
            return False
        builder = self._new_header(line, "allocation_failure")
        builder.trigger["comm"] = _comm(match.group("comm"))
        builder.trigger["order"] = int(match.group("order"))
        builder.mixed = True
        return True

    def _context(self, line, text):
        found = fields.parse_context(text)
        builder = self._context_owner(line, found)
        if found["cut"]:
            builder.mixed = True
        if builder.context is None:
            builder.context = found
        elif builder.context != found:
            builder.mixed = True

    def _context_owner(self, line, found):
        for builder in self._open:
            if builder.context is not None and builder.context == found and not builder.finished:
                return builder
        current = self._current
        if current is not None and current.context is not None and not current.finished:
            # The kill line of the report before was lost.
            current.mixed = True
            return self._start(line)
        return self._pick(line, CONTEXT)

    def _reaper(self, text):
        match = fields.REAPED.search(text) or fields.NOT_REAPED.search(text)
        if not match:
            return False
        pid = int(match.group("pid"))
        done = "reaped process" in text
        sizes = fields.pairs_kb(text[match.start() :].replace("-rss:", "_rss:")) if done else {}
        entry = {
            "pid": pid,
            "comm": match.group("comm"),
            "reaped": done,
            "anon_rss": sizes.get("anon_rss"),
            "file_rss": sizes.get("file_rss"),
            "shmem_rss": sizes.get("shmem_rss"),
        }
        builder = self._last_of(lambda one: any(victim["pid"] == pid for victim in one.victims))
        if builder is None and self._reaped_late(entry):
            return True
        if builder is None:
            builder = self._last_of(lambda one: one.kind == "oom" and bool(one.victims))
        if builder is not None:
            if entry not in builder.reaped and builder.room(builder.reaped):
                builder.reaped.append(entry)
            builder.last = self.number
        return True

    def _reaped_late(self, entry):
        """Return whether an earlier report tells of that victim; what the reaper did is added to it."""
        for report in reversed(self._complete):
            known = {one["pid"] for one in report["reaped"]}
            for victim in report["victims"]:
                if (victim["pid"], victim["comm"]) == (entry["pid"], entry["comm"]) and entry["pid"] not in known:
                    report["reaped"].append(entry)
                    return True
        return False

    def _last_of(self, test):
        for builder in reversed(self._open):
            if test(builder):
                return builder
        return None

    def _panic(self, line, text):
        match = fields.PANIC.match(text)
        reason = fields.panic_reason(match.group(1)) if match else None
        if reason is not None and "emory" not in reason:
            return True
        if reason is None:
            if "no killable" in text and text.lower().startswith(("out of memory", "memory cgroup out of memory")):
                builder = self._end(line)
                builder.outcome = builder.outcome or "no_killable_process"
                builder.last = self.number
                return True
            return False
        builder = self._last_of(lambda one: one.outcome == "no_killable_process") or self._end(line)
        builder.panic = builder.panic or reason
        builder.outcome = "deadlocked" if "deadlock" in reason else "panic"
        builder.last = self.number
        builder.position = AFTER
        return True

    def _end(self, line):
        """Return the report that a line without a process ends."""
        builder = self._last_of(
            lambda one: (
                one.kind == "oom" and not one.finished and (line.caller is None or one.caller in (None, line.caller))
            )
        )
        if builder is None:
            builder = self._start(line)
        builder.last = self.number
        return builder

    def _kill_line(self, line, text):
        match = fields.KILLED.match(text) or fields.KILLED_CUT.match(text)
        if match:
            return self._killed(line, match)
        match = fields.KILL.match(text)
        if match:
            return self._kill(line, match)
        return False

    def _killed(self, line, match):
        if match.group("comm") is None and match.group("short") is None:
            return self._killed_cut(line, match)
        victim = fields.parse_victim(match)
        builder = self._kill_owner(line, victim["pid"])
        if any(other["pid"] == victim["pid"] for other in builder.victims):
            builder.last = self.number
            return True
        if victim.pop("cut"):
            builder.mixed = True
        expected = builder.context.get("pid") if builder.context else None
        if expected not in (None, victim["pid"]) and not builder.victims and builder.intent is None:
            builder.mixed = True
        victim["score"] = builder.intent["score"] if builder.intent else None
        builder.victims.append(victim)
        builder.message = builder.message or match.group("message")
        return self._touch(builder, line, KILL)

    def _killed_cut(self, line, match):
        """Handle a kill line that ends after the pid, or inside it: the line before it names the victim."""
        builder = self._kill_owner(line, int(match.group("pid")))
        context = builder.context or {}
        builder.mixed = True
        if not builder.victims and str(context.get("pid", "")).startswith(match.group("pid")):
            builder.victims.append(dict(empty_victim(context["pid"], context["comm"]), uid=context["uid"]))
        builder.outcome = builder.outcome or "killed"
        builder.message = builder.message or match.group("message")
        return self._touch(builder, line, KILL)

    def _kill(self, line, match):
        pid = int(match.group("pid"))
        if match.group("sharing"):
            builder = self._last_of(lambda one: bool(one.victims))
            if builder is not None and all(victim["pid"] != pid for victim in builder.victims):
                builder.victims.append(empty_victim(pid, match.group("comm")))
            return True
        builder = self._kill_owner(line, pid)
        if builder.intent is None:
            builder.intent = {"pid": pid, "comm": match.group("comm"), "score": _integer(match.group("score"))}
        elif builder.intent["pid"] != pid:
            builder.mixed = True
        builder.message = builder.message or match.group("message")
        return self._touch(builder, line, KILL)

    def _touch(self, builder, line, part):
        builder.last = self.number
        builder.position = max(builder.position, part)
        if line.uptime is not None:
            builder.uptime = line.uptime
        self._current = builder
        return True

    def _kill_owner(self, line, pid):
        """Return the report whose victim has this pid, by what names it; else the unfinished one, else a new one."""
        able = [
            one
            for one in self._open
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
        for one in able:
            if one.group is not None:
                return one
        unfinished = [one for one in able if not one.finished]
        if unfinished:
            if len(unfinished) > 1:
                for one in unfinished:
                    one.mixed = True
            return self._current if self._current in unfinished and self._current.body else unfinished[0]
        return self._start(line)

    def _older(self, builder, line):
        """Return whether a finished report is too old for a line to repeat its kill."""
        return line.uptime is not None and builder.uptime is not None and line.uptime - builder.uptime > 1.0

    def _named_line(self, line, text):
        match = fields.STATS.match(text)
        if match:
            builder = self._pick(line, MEMCG)
            if builder.room(builder.groups):
                builder.groups.append((match.group(1), fields.parse_stats(match.group(2))))
            builder.memcg.setdefault("stats", True)
            return True
        match = fields.EXITING.match(text)
        if match:
            builder = self._end(line)
            builder.outcome = "victim_exiting"
            builder.message = match.group("message")
            builder.victims.append(empty_victim(int(match.group("pid")), match.group("comm")))
            return self._touch(builder, line, KILL)
        return self._rare_memory_line(line, text)

    def _rare_memory_line(self, line, text):
        match = fields.REFUSAL.search(text)
        if match:
            self._refusal(line, match)
            return True
        if text.startswith("Memory allocations:"):
            builder = self._pick(line, ALLOCATIONS)
            builder.allocations = builder.allocations or []
            self._tags(builder, text)
            return True
        if text.startswith("Tasks state (memory values"):
            return True
        if "memory.oom.group" in text:
            return self._oom_line(line, text)
        match = fields.PROTECTION.search(text)
        builder = self._mine(line) if match else None
        if builder is not None:
            builder.memcg["min_protection"] = int(match.group(1)) * 1024
            builder.memcg["low_protection"] = int(match.group(2)) * 1024
            builder.last = self.number
            return True
        lowered = text[:40].lower()
        if lowered.startswith(("sysrq", "sysrq :")) and "show memory" in lowered:
            self._show_memory = self.number
            return True
        return self._panic(line, text)

    def _usage(self, line, text):
        first = fields.USAGE.search(text).group(1)
        builder = self._pick(line, MEMCG, first == "memory")
        for what, usage, limit, failures in fields.USAGE.findall(text):
            values = {"usage": int(usage) * 1024, "limit": fields.limit_bytes(int(limit)), "failcnt": int(failures)}
            if what == "memory":
                builder.store(builder.memcg, values)
            else:
                builder.store(builder.memcg, {"memsw" if what == "memory+swap" else what: values})
        return True

    def _meminfo(self, line, text):
        if self._show_memory >= 0 and self.number - self._show_memory <= 3:
            # SysRq m: the same lines, but no report.
            builder = self._start(line, "memory_dump")
            self._show_memory = -1
        else:
            builder = self._pick(line, MEMINFO, True)
        builder.meminfo = True
        rest = text[9:].strip()
        if rest:
            self._memory_line(line, rest)
        return True

    def _refusal(self, line, match):
        builder = Builder("overcommit_refusal", line, self.number)
        builder.headed = True
        builder.trigger["pid"], builder.trigger["comm"] = int(match.group("pid")), match.group("comm")
        report = finish(builder, self)
        report["bytes"] = _integer(match.group("bytes"))
        report["truncated"] = False
        self.reports.append(report)

    def _cpu_line(self, text):
        match = fields.CPU.search(text) or fields.CPU_NO_KERNEL.search(text)
        if not match:
            return False
        pid, comm = int(match.group("pid") or match.group("oldpid")), match.group("comm").strip()
        for builder in reversed(self._open):
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
                trigger["comm"], trigger["pid"], builder.last = comm, pid, self.number
                trigger["cpu"], trigger["uid"] = _integer(match.group("cpu")), _integer(match.groupdict().get("uid"))
                builder.kernel = builder.kernel or match.group("kernel") or None
                builder.position = max(builder.position, PREAMBLE)
                return True
        for builder in self._open:
            if builder.kernel is None and match.group("kernel") and (builder.panic or builder.trigger["comm"] == comm):
                builder.kernel = match.group("kernel")
        return True

    def _cpuset_line(self, text):
        match = fields.CPUSET.match(text)
        if not match:
            return False
        for builder in reversed(self._open):
            if builder.trigger["comm"] == match.group("comm") and builder.cpuset is None:
                builder.cpuset, builder.mems_allowed = match.group("cpuset"), match.group("mems")
                builder.last = self.number
                break
        return True

    # The account of memory

    def _memory_line(self, line, text):
        first = text[0]
        if first.isdigit():
            return self._pages_line(line, text)
        colon = text.find(":")
        if colon < 0:
            return self._plain_line(line, text)
        if "kB" in text:
            return self._sizes_line(line, text)
        if first in "aAiusfmkdwpznbv" or text.startswith(("sec_", "slab")):
            match = fields.COUNTERS.match(text)
            if match:
                return self._counters(line, text)
        if "[]:" in text:
            return self._lowmem(line, text)
        return self._colon_line(line, text)

    def _colon_line(self, line, text):
        if fields.PER_CPU.match(text):
            if self._open:
                self._pick(line, MEMINFO if self._current is None or self._current.position <= MEMINFO else ZONES)
            return True
        match = fields.BUDDY_NONE.match(text)
        if match:
            entry = self._pick(line, BUDDY).zone(_integer(match.group(1)), match.group(2))
            entry["buddy"], entry["total"] = entry["buddy"] or [], entry["total"] or 0
            return True
        match = fields.SWAP_STATS.match(text)
        if match:
            builder = self._pick(line, TAIL)
            added, deleted, found, looked_up = (int(one) for one in match.groups())
            values = {"added": added, "deleted": deleted, "found": found, "looked_up": looked_up}
            if builder.swap_stats not in (None, values):
                builder.mixed = True
            builder.swap_stats = builder.swap_stats or values
            return True
        match = fields.TASK_IN.match(text)
        if match:
            return self._task_in(line, match)
        if text.startswith("Unreclaimable slab info:"):
            builder = self._pick(line, SLAB)
            builder.slab = builder.slab or []
            return True
        builder = self._mine(line) if "func:" in text else None
        if builder is not None and builder.allocations is not None:
            return self._tags(builder, text)
        return self._system_line(line, text)

    def _system_line(self, line, text):
        lowered = text[:60].lower()
        if lowered.startswith("sysrq"):
            if "manual oom" in lowered:
                self._sysrq = self.number
            elif "show memory" in lowered:
                self._show_memory = self.number
            return True
        if lowered.startswith("system is deadlocked on memory"):
            builder = self._end(line)
            builder.outcome = "deadlocked"
            return True
        return False

    def _plain_line(self, line, text):
        match = fields.TASK_IN.match(text)
        if match:
            return self._task_in(line, match)
        match = fields.SWAP.match(text)
        if match:
            return self._swap(line, match)
        match = fields.HUGEPAGES.match(text)
        if match:
            return self._hugepages(line, match)
        builder = self._mine(line)
        if builder is None:
            return False
        if builder.slab is not None and builder.position == SLAB:
            return self._slab_line(builder, text)
        if fields.STAT_LINE.match(text):
            return self._stat_line(line, text)
        if "moom_callback" in text and builder.kind == "oom":
            builder.sysrq = True
        return False

    def _slab_line(self, builder, text):
        match = fields.SLAB.match(text)
        if not match:
            return bool(fields.SLAB_TITLE.match(text))
        row = (match.group(1), int(match.group(2)) * 1024, int(match.group(3)) * 1024)
        if row not in builder.slab and builder.room(builder.slab):
            builder.slab.append(row)
        builder.last = self.number
        return True

    def _mine(self, line):
        """Return the open report that a line goes on with, which says nothing else of where it belongs; or None."""
        if line.caller is not None:
            for builder in reversed(self._open):
                if builder.caller == line.caller:
                    return builder
            if self._open and self._callers():
                return None
        return self._current

    def _stat_line(self, line, text):
        builder = None
        for one in reversed(self._open):
            if (
                one.groups
                and not one.tables
                and not one.finished
                and (line.caller is None or one.caller in (None, line.caller))
            ):
                builder = one
                break
        if builder is None:
            return False
        builder.store(builder.groups[-1][1], fields.parse_stats(text))
        builder.last = self.number
        return True

    def _task_in(self, line, match):
        builder = self._pick(line, MEMCG, True)
        builder.store(builder.memcg, {"task": match.group(1), "limit_of": match.group(2)})
        return True

    def _swap(self, line, match):
        builder = self._pick(line, TAIL)
        builder.store(builder.sizes, {"swap_" + match.group(1).lower(): int(match.group(2)) * 1024})
        return True

    def _pages_line(self, line, text):
        match = fields.PAGECACHE.match(text)
        if match:
            builder = self._pick(line, TAIL)
            builder.store(builder.pages, {"pagecache": int(match.group(1))})
            return True
        match = fields.PAGES.match(text)
        if match:
            builder = self._pick(line, TAIL)
            name = fields.pages_name(match.group(2))
            if name is None:
                builder.mixed = True
            elif name in ("dirty", "writeback", "mapped", "slab", "pagetables", "free", "shared", "non_shared"):
                # The oldest kernels say these twice, at different moments; the first account stands.
                builder.pages.setdefault(name, int(match.group(1)))
            else:
                builder.store(builder.pages, {name: int(match.group(1))})
            return True
        builder = self._mine(line) if "func:" in text else None
        return builder is not None and builder.allocations is not None and self._tags(builder, text)

    def _tags(self, builder, text):
        done = False
        for part in text.split("\n"):
            match = fields.ALLOCATION_TAG.match(part.strip())
            tag = fields.parse_tag(match) if match else None
            if tag:
                if tag not in builder.allocations and builder.room(builder.allocations):
                    builder.allocations.append(tag)
                builder.last = self.number
                done = True
        return done

    def _counters(self, line, text):
        parsed = fields.parse_counters(text)
        if parsed is None:
            return False
        values, cut = parsed
        begins = "active_anon" in values or "active" in values
        if not begins and not any(builder.pages for builder in self._open):
            return False
        builder = self._pick(line, MEMINFO, begins and bool(self._current and "free" in self._current.pages))
        builder.store(builder.pages, values)
        if cut:
            builder.mixed = True
        return True

    def _sizes_line(self, line, text):
        match = fields.ZONE.match(text)
        if match:
            return self._zone(line, match, text)
        match = fields.NODE.match(text)
        if match:
            builder = self._pick(line, NODES)
            values, flags, cut = fields.parse_sizes(text)
            node = int(match.group(1))
            for entry in builder.nodes:
                if entry["node"] == node:
                    builder.mixed = builder.mixed or entry["sizes"] != values
                    return True
            if builder.room(builder.nodes):
                builder.nodes.append({"node": node, "sizes": values, "flags": flags})
            builder.mixed = builder.mixed or cut
            return True
        match = fields.BUDDY.match(text)
        if match:
            return self._buddy(line, match)
        match = fields.SWAP.match(text)
        if match:
            return self._swap(line, match)
        return self._colon_line(line, text)

    def _zone(self, line, match, text):
        builder = self._pick(line, ZONES)
        values, flags, cut = fields.parse_sizes(text)
        node = _integer(match.group(1))
        entry = builder.zone(node, match.group(2), values)
        if entry["sizes"] != values:
            builder.mixed = True
            return True
        entry["flags"] = flags
        builder.mixed = builder.mixed or cut
        return True

    def _lowmem(self, line, text):
        match = fields.LOWMEM.match(text)
        if not match:
            return False
        if not self._open:
            return True
        builder = self._pick(line, ZONES)
        values = [int(one) for one in match.group(1).split()]
        if builder.zones:
            entry = builder.zones[-1]
            others = [zone["reserve"] for zone in builder.zones if zone["reserve"] is not None]
            if entry["reserve"] not in (None, values) or entry["buddy"] is not None:
                builder.mixed = True
            elif others and len(others[0]) != len(values):
                # Every zone's line has a number for each zone.
                builder.mixed = True
            elif entry["reserve"] is None:
                entry["reserve"] = values
        return True

    def _buddy(self, line, match):
        builder = self._pick(line, BUDDY)
        parts, total, cut = fields.parse_buddy(match.group(3))
        entry = builder.zone(_integer(match.group(1)), match.group(2))
        if entry["buddy"] not in (None, parts):
            builder.mixed = True
        elif total is not None and not cut and sum(one["size"] * one["count"] for one in parts) != total:
            # The kernel prints the sum of what it printed before; a difference is a damaged line.
            builder.mixed = True
        else:
            entry["buddy"], entry["total"] = parts, total
        builder.mixed = builder.mixed or cut
        return True

    def _hugepages(self, line, match):
        builder = self._pick(line, HUGEPAGES)
        node, total, free, surplus, size = match.groups()
        entry = {
            "node": _integer(node),
            "total": int(total),
            "free": int(free),
            "surplus": int(surplus),
            "size": int(size) * 1024,
        }
        for other in builder.hugepages:
            if (other["node"], other["size"]) == (entry["node"], entry["size"]):
                builder.mixed = builder.mixed or other != entry
                return True
        if builder.room(builder.hugepages):
            builder.hugepages.append(entry)
        return True

    def _other(self, line, text):
        """Handle a line that nothing understood: noise, or something of a report that must be seen."""
        current = self._current
        if current is not None and any(word in text for word in _LOSS) and fields.LOST.search(text):
            current.mixed = True
            return
        if "moom_callback" in text and current is not None and current.kind == "oom":
            current.sysrq = True
        if any(word in text for word in _SUSPECT_WORDS) and _SUSPECT.search(text):
            self._count(1, [text[:400]])
            return
        if current is None or current.finished or not current.body or current.position >= CONTEXT:
            return
        if _FIGURES.match(text) and (line.caller is None or line.caller == current.caller):
            current.unparsed_count += 1
            if len(current.unparsed) < SAMPLES:
                current.unparsed.append(text[:400])


def _has(builder, part):
    """Return whether a report has already what a line of this part would begin."""
    if part == TASKS:
        return bool(builder.rows) or builder.tables > 0
    if part == MEMCG:
        return "usage" in builder.memcg
    return bool(builder.pages) or builder.meminfo and bool(builder.zones)


def _integer(text):
    return int(text) if text is not None else None


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
