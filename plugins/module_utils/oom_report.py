# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports of the OOM killer put together from the lines of a log.

oom_report_scan looks for a few words in large pieces of a log, so that noise costs next to nothing, and hands only
the neighbourhood of a report to Assembler. Assembler takes line after line, joins what was wrapped, and gives each
to those who know its kind: oom_report_heads, _memory, _tasks and _ends, in the order of a report. They take it
apart with oom_report_fields and _rows, ask oom_report_open which report it belongs to, and store it there
(oom_report_data). oom_report_finish makes plain data of a report when nothing more comes. oom_report_merge joins
several logs.

A report is known by its structure, never by a kernel version. Where lines were lost, cut or mixed with those of
another report, the report says truncated; a number that is not certain is left out.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils import kernel_log
from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report_fields as fields
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_data import CONTEXT, MOST_ROWS
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_ends import EndLines
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_finish import Log
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_heads import HeadLines
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_memory import MemoryLines
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_open import SAMPLES, OpenReports
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_tasks import TaskLines

# Wrapped or continued lines that are joined to one record: a cgroup's statistics are under 150 lines.
MOST_CONTINUED = 400
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
# Frames of a journal's entry and of JSON, fences and tags around a log in a page: they end what they follow.
_FRAME = re.compile(r"[\s{}\[\],]*$|```|~~~|</?[a-z]")
# Quotes and brackets that end each line, as the first line of a report shows.
_SUFFIX = re.compile(r"[\"'`][\])},;]{0,3}$")
# Where terminals break lines inside words.
_COLUMNS = frozenset([80, 100, 120, 132])
_PADDING = (b"\t", b">")
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

    take() gives what is complete; unparsed counts what looked like a report's line and was not understood.
    reference: the epoch time that the log does not reach beyond (kernel_log.wall_clock).
    boot_time: the epoch time of the boot where the log is of the boot that runs now, so that seconds since boot
    tell the time of a report whose lines tell no other.
    """

    def __init__(self, reference=None, path=None, source="file", boot_time=None):
        self._opened = OpenReports(Log(reference, path, source, boot_time))
        self._heads = HeadLines(self._opened)
        self._memory = MemoryLines(self._opened)
        self._tasks = TaskLines(self._opened)
        self._ends = EndLines(self._opened)
        self._pending = None
        self._expected = None
        self._rest = []
        self._previous = None
        self._prefix = None
        self._suffix = None
        self._length = 0
        self._folded = None
        self._pending_length = 0
        self._after_row = False

    @property
    def number(self):
        """How many lines were read."""
        return self._opened.number

    @property
    def unparsed(self):
        """What looked like a report's line and was not understood: {count, samples}."""
        return self._opened.unparsed

    @property
    def idle(self):
        """True when no report is open, so that lines without a sign of a report need not be fed."""
        return not self._opened.builders and (self._expected is None or self._expected is not self._pending)

    def take(self):
        """Return the reports that are complete, each once."""
        reports, self._opened.complete = self._opened.complete, []
        return [report for report in reports if report["kind"] != "memory_dump"]

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
        length = len(raw)
        self._length = length
        # What is padded or quoted was broken by a program, between words.
        self._folded = None if raw[:2] == b"  " or raw[:1] in _PADDING else " " if raw[:1] == b" " else ""
        match = self._tasks.match_fast(raw) if self._tasks.table is not None and length not in _COLUMNS else None
        if match:
            if self._pending is not None:
                self._flush()
            if self._tasks.take_fast(match):
                self._after_row = True
                return
        self.feed_line(kernel_log.decode(raw))

    def feed_line(self, line):
        """Take one kernel_log.Line."""
        text = line.text
        if line.sender == "journal" or not text and not line.bare and line.uptime is None:
            # Another field of an entry that has one on each line.
            self._flush()
            return
        self._opened.number += 1
        if "oom-killer" in text or "page alloc" in text:
            self._learn(line)
        if self._suffix is not None and text.endswith(self._suffix):
            line.text = text[: -len(self._suffix)]
            line.cleaned = True
        match = self._prefix.match(line.text) if self._prefix is not None and line.bare else None
        if match:
            line.text = line.text[match.end() :]
            line.bare = False
        if not line.kernel:
            self._flush()
        elif line.bare:
            self._feed_bare(line)
        else:
            if self._pending is not None:
                self._flush()
            self._pending = line
            self._pending_length = self._length
            self._after_row = False
        if not self._opened.number & 15:
            self._opened.expire()

    def _learn(self, line):
        """Learn from a report's first line what stands around each line where kernel_log does not know it.

        A task's name has at most 15 bytes, so what is longer before "invoked oom-killer" is a prefix; the lines
        after it have the same with other digits. The kernel ends no first line with a quote.
        """
        text = line.text
        first = _FIRST_AT.search(text)
        if not first:
            return
        end = _SUFFIX.search(text)
        self._suffix = end.group(0) if end else None
        if not line.bare:
            return
        match = _UNKNOWN.match(text)
        self._prefix = None
        if match and len(text[: first.start()].encode("utf-8")) > 15:
            shape = re.sub(r"(?:\\ )+", " +", re.sub(r"\d+", r"\\d+", re.escape(match.group(0).rstrip())))
            self._prefix = re.compile(shape + " ?")

    def _feed_bare(self, line):
        text = line.text
        if _FRAME.match(text):
            self._flush()
        elif self._pending is None and self._after_row and not _BEGINS.match(text):
            # The line before ended in a task's name, which may have been wrapped.
            self._tasks.table.mixed = True
            self._after_row = False
        elif self._pending is not None and not _BEGINS.match(text):
            if len(self._rest) < MOST_CONTINUED:
                if self._pending_length in _COLUMNS and self._folded is not None:
                    # A terminal broke the line, inside a word where no blank follows.
                    if self._rest:
                        self._rest[-1] += self._folded + text
                    else:
                        self._pending.text += self._folded + text
                else:
                    self._rest.append(text)
                self._pending_length = self._length
        else:
            self._flush()
            self._pending = line
            self._pending_length = self._length

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
        for builder in list(self._opened.builders):
            self._opened.close(builder)

    def rest(self):
        """Handle the record that waits, where no continuation is to come because the lines after it are skipped."""
        self._flush()

    # What a line says

    def _handle(self, line, text):
        if not text:
            return
        if "+0x" in text and _TRACE.match(text):
            # A line of the call trace, many in each report.
            self._trace(line, text)
            return
        self._opened.mark = None
        if line.uptime is not None and self._repeated(line, text):
            return
        first = text[0]
        done = first == "[" and self._tasks.line(line, text)
        if not done:
            done = self._rare_line(line, text) or first != "[" and self._memory.line(line, text)
        if not (done or self._heads.by_hand(text) or self._ends.deadlocked(line, text)):
            self._other(line, text)

    def _trace(self, line, text):
        """Take what a line of a call trace tells of a report; a frame after "?" is a leftover on the stack."""
        if "warn_alloc" in text:
            self._opened.warned = self._opened.number
        if not ("moom_c" in text or "mem_cgroup_out" in text or "_pages_" in text):
            return
        builder = self._opened.mine(line)
        if builder is None or builder.kind != "oom":
            return
        if "moom_callback" in text:
            builder.sysrq = True
        elif "mem_cgroup_out_of_memory+" in text:
            builder.charging = builder.charging or "? " not in text
        elif "_pages_slowpath" in text or "_pages_may_oom" in text:
            builder.allocating = builder.allocating or "? " not in text

    def _repeated(self, line, text):
        """Return whether this very line, with its time, was read already: printk's time and the text tell."""
        mark = self._opened.mark = hash((line.uptime, text))
        for builder in self._opened.builders:
            if mark in builder.seen:
                return True
        if self._opened.current is not None and len(self._opened.current.seen) < MOST_ROWS:
            self._opened.current.seen.add(mark)
        return False

    def _rare_line(self, line, text):
        """Handle the lines that name the OOM killer, its victim, a cgroup or the machine; True when understood."""
        if "oom" in text and self._oom_line(line, text):
            return True
        if "process" in text and self._ends.kill(line, text):
            return True
        if ": usage " in text and "failcnt" in text and fields.USAGE.search(text):
            return self._memory.usage(line, text)
        if "emory" in text and self._named_line(line, text):
            return True
        if text.startswith("Mem-") and text[:9].lower() == "mem-info:":
            return self._memory.meminfo(line, text)
        if "omm" in text and ("PID:" in text or "Pid:" in text):
            return self._heads.cpu(text)
        if "mode:" in text and self._heads.allocation(line, text):
            return True
        if "page allocation failure" in text and self._heads.allocation_cut(line, text):
            return True
        if "cpuset=" in text:
            return self._heads.cpuset(text)
        if text.startswith("Linux version "):
            for builder in list(self._opened.builders):
                self._opened.close(builder)
            return True
        return False

    def _oom_line(self, line, text):
        if "gfp_mask=" in text and self._heads.oom(line, text):
            return True
        if "oom-kill:" in text and self._ends.context(line, text):
            return True
        if "oom_reaper" in text:
            return self._ends.reaper(text)
        return self._ends.group(line, text) or self._ends.panic(line, text)

    def _named_line(self, line, text):
        if self._memory.stats(line, text) or self._ends.exiting(line, text) or self._heads.refusal(line, text):
            return True
        if text.startswith("Memory allocations:"):
            return self._memory.allocations(line, text)
        if text.startswith("Tasks state (memory values"):
            return True
        if "memory.oom.group" in text:
            return self._oom_line(line, text)
        return self._memory.protection(line, text) or self._heads.by_hand(text) or self._ends.panic(line, text)

    def _other(self, line, text):
        """Handle a line that nothing understood: noise, or something of a report that must be seen."""
        current = self._opened.current
        if current is not None and any(word in text for word in _LOSS) and fields.LOST.search(text):
            current.mixed = True
            return
        if "moom_callback" in text and current is not None and current.kind == "oom":
            current.sysrq = True
        if any(word in text for word in _SUSPECT_WORDS) and _SUSPECT.search(text):
            self._opened.count(1, [text[:400]])
            return
        if current is None or current.finished or not current.body or current.position >= CONTEXT:
            return
        if _FIGURES.match(text) and (line.caller is None or line.caller == current.caller):
            current.unparsed_count += 1
            if len(current.unparsed) < SAMPLES:
                current.unparsed.append(text[:400])
