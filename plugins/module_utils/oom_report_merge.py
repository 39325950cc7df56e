# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports of several logs made into one list: read, chosen by time, each once, oldest first."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import calendar
import collections
import re
import time

from ansible_collections.linux_memory.oom.plugins.module_utils import log_source
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report import Assembler
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_open import SAMPLES
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_scan import scan
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_table import NEWEST, shorten, sum_up

# Seconds that two logs may differ about the time of one message: syslog writes it down later than the kernel says
# it, and without fractions.
CLOCKS_DIFFER = 2.0
# Seconds by which the kernel's own time of one message may differ between logs: it is printed rounded to µs.
UPTIMES_DIFFER = 0.001

_UNITS = {
    "s": 1,
    "sec": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
    "w": 604800,
    "week": 604800,
}
_AGO = re.compile(r"^-?(\d+(?:\.\d+)?)\s*(sec|min|hour|day|week|[smhdw])s?(?:\s+ago)?$")
_WHEN = re.compile(r"^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?)?$")


def parse_when(text, now):
    """Return epoch seconds for a point in time: ISO 8601, "@<epoch>", "now", or an age such as "12h" or "7d".

    A time without a zone is local time. Raises ValueError.
    """
    text = text.strip()
    if text == "now":
        return now
    if re.match(r"^@\d+(\.\d+)?$", text):
        return float(text[1:])
    match = _AGO.match(text)
    if match:
        return now - float(match.group(1)) * _UNITS[match.group(2)]
    match = _WHEN.match(text)
    if not match:
        raise ValueError(text)
    year, month, day, hours, minutes, seconds, fraction, zone = match.groups()
    fields = (int(year), int(month), int(day), int(hours or 0), int(minutes or 0), int(seconds or 0))
    if not 1 <= fields[1] <= 12 or not 1 <= fields[2] <= calendar.monthrange(fields[0] or 1, fields[1])[1]:
        raise ValueError(text)
    if fields[3] > 23 or fields[4] > 59 or fields[5] > 60:
        raise ValueError(text)
    try:
        if zone is None:
            epoch = time.mktime(fields + (0, 0, -1))
        else:
            epoch = calendar.timegm(fields + (0, 0, 0)) - _zone_seconds(zone)
    except OverflowError:
        raise ValueError(text)
    return epoch + float(fraction or 0)


def _zone_seconds(zone):
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "")
    return (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1 if zone[0] == "-" else 1)


class Collection:
    """Reads sources one after the other and keeps the newest reports of each.

    since, until: epoch seconds or None; a report whose time is not known is kept. limit: how many reports of a
    source are kept, 0 for all. tasks: how many rows of a task table are kept, 0 for all; the newest report keeps more.
    """

    def __init__(self, since=None, until=None, limit=0, tasks=0):
        self.since = since
        self.until = until
        self.limit = limit
        self.tasks = tasks
        self.found = 0
        self.kept = []
        self.sources = []
        self.unavailable = {}
        self.unparsed = {"count": 0, "samples": []}

    def read(self, source):
        """Read one log_source.Source; where it fails, what was read until then stays and the reason is kept."""
        assembler = Assembler(source.reference, source.path, source.name, source.boot_time)
        newest = collections.deque(maxlen=self.limit or None)
        count = 0
        try:
            for report in scan(source.pieces(), assembler):
                if self._wanted(report):
                    count += 1
                    self._keep(newest, report)
        except log_source.SourceError as error:
            # scan() was left in the middle; what had begun is a report cut short.
            assembler.finish()
            late = [report for report in assembler.take() if self._wanted(report)]
            count += len(late)
            for report in late:
                self._keep(newest, report)
            self.unavailable[source.path] = str(error)
        except Exception as error:  # whatever a log may hold, the other logs are still wanted
            self.unavailable[source.path] = "error in this collection, please report it: %s: %s" % (
                type(error).__name__,
                error,
            )
        self.found += count
        self.kept.append(list(newest))
        self._add_unparsed(source.path, assembler.unparsed)
        if source.path not in self.unavailable or count:
            self.sources.append({"source": source.name, "path": source.path, "reports": count})

    def _keep(self, newest, report):
        """Add a report to those of its log, the tables made small at once: a hundred large ones fill memory."""
        sum_up(report)
        if self.tasks:
            shorten(report, max(self.tasks, NEWEST))
            if report["kind"] == "oom":
                for older in reversed(newest):
                    shorten(older, self.tasks)
                    if older["kind"] == "oom":
                        # Those before it were made small when it came.
                        break
        newest.append(report)

    def _wanted(self, report):
        epoch = report["epoch"]
        if epoch is None:
            return True
        return not (self.since is not None and epoch < self.since or self.until is not None and epoch > self.until)

    def _add_unparsed(self, path, unparsed):
        self.unparsed["count"] += unparsed["count"]
        for text in unparsed["samples"]:
            if len(self.unparsed["samples"]) < SAMPLES:
                self.unparsed["samples"].append({"path": path, "text": text})

    def reports(self):
        """Return the reports of all sources, each once, oldest first, at most limit of them."""
        merged = merge(self.kept)
        return merged[-self.limit :] if self.limit else merged


def merge(lists):
    """Return the reports of several logs as one list, oldest first, what two logs tell of one event as one report.

    Reports of the same log are never taken for one. also_in names the other logs that hold the same report.
    """
    merged = []
    index = {}
    for number, reports in enumerate(lists):
        last = 0.0
        for place, report in enumerate(reports):
            # A report without a time keeps its place in its own log.
            last = report["epoch"] if report["epoch"] is not None else last
            entry = {"key": (last, number, place), "report": report, "lists": {number}}
            report["also_in"] = []
            twin = _twin(index, entry, number)
            if twin is None:
                merged.append(entry)
                index.setdefault(_identity(report), []).append(entry)
            else:
                _join(twin, entry)
    merged.sort(key=lambda entry: entry["key"])
    return [entry["report"] for entry in merged]


def _identity(report):
    """Return what is equal in two accounts of one event, whatever the log."""
    trigger, victim = report["trigger"], report["victim"] or {}
    return (report["kind"], trigger["comm"], trigger["order"], victim.get("pid"), victim.get("comm"), report["bytes"])


def _twin(index, entry, number):
    for other in index.get(_identity(entry["report"]), []):
        if number not in other["lists"] and _same_event(other["report"], entry["report"]):
            return other
    return None


def _same_event(one, two):
    """Return whether two reports of different logs are of one event. In doubt they are not."""
    if one["boot"] and two["boot"] and one["boot"] != two["boot"]:
        return False
    if one["host"] and two["host"] and one["host"].split(".")[0] != two["host"].split(".")[0]:
        return False
    pids = (one["trigger"]["pid"], two["trigger"]["pid"])
    if None not in pids and pids[0] != pids[1]:
        return False
    times = (one["epoch"], two["epoch"])
    near = None if None in times else abs(times[0] - times[1]) <= CLOCKS_DIFFER
    if one["uptime"] is not None and two["uptime"] is not None:
        # The clock may have been set between the two, or computed from the uptime: more than a day apart it is not.
        return abs(one["uptime"] - two["uptime"]) <= UPTIMES_DIFFER and (
            None in times or abs(times[0] - times[1]) <= 86400
        )
    named = one["victim"] is not None or None not in pids
    return bool(near) and named


def _join(twin, entry):
    """Keep the better of two accounts of one event: the whole one, else the one that says more."""
    ours, theirs = twin["report"], entry["report"]
    paths = ours["also_in"] + [ours["path"]]
    if (_worth(theirs)) > (_worth(ours)):
        theirs["also_in"] = paths
        twin["report"] = theirs
        if ours["epoch"] is not None and theirs["epoch"] is None:
            theirs["time"], theirs["epoch"] = ours["time"], ours["epoch"]
    else:
        ours["also_in"].append(theirs["path"])
        if ours["epoch"] is None and theirs["epoch"] is not None:
            ours["time"], ours["epoch"] = theirs["time"], theirs["epoch"]
    if twin["report"]["epoch"] is not None:
        twin["key"] = (twin["report"]["epoch"],) + twin["key"][1:]
    twin["lists"] |= entry["lists"]


def _worth(report):
    """Return how much an account says: whole before cut, then its parts, then an exact time."""
    return (
        not report["truncated"],
        report["memory"] is not None,
        (report["tasks_total"] or {}).get("tasks", 0),
        report["uptime"] is not None,
        report["boot"] is not None,
    )
