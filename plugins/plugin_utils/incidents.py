# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OOM reports as a person reads them: what a log tells, reports of one trouble together, each in a sentence."""

from __future__ import annotations

import os
import time

from ansible_collections.linux_memory.oom.plugins.plugin_utils import human
from ansible_collections.linux_memory.oom.plugins.plugin_utils.plain import plain
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import at, mapping, rows

SCOPES = ("global", "cgroup", "node", "other")
SCOPE_LABELS = {
    "global": "whole host",
    "cgroup": "cgroup at its limit",
    "node": "cpuset or memory policy",
    "other": "scope not told",
}
KINDS = {"allocation_failure": "allocation failed", "overcommit_refusal": "allocation refused"}
OUTCOMES = {
    "panic": "the kernel panicked",
    "deadlocked": "nothing was left to kill, and the kernel panicked",
    "no_killable_process": "no process could be killed",
    "victim_exiting": "the victim was already exiting",
}
# More logs than this are not named one by one in a sentence.
MOST_REASONS = 3


def kind(report):
    """Return the kind of a report; what has none is one of the OOM killer."""
    return str(report.get("kind") or "oom")


def of_killer(reports):
    """Return the reports of the OOM killer, without those of allocations that failed or were refused."""
    return [report for report in rows(reports) if kind(report) == "oom"]


def scope(report):
    """Return one of SCOPES."""
    told = report.get("scope")
    return "node" if told in ("cpuset", "mempolicy") else told if told in ("global", "cgroup") else "other"


def epoch(report):
    """Return the time of a report in seconds since 1970, or None."""
    return human.number(report.get("epoch"))


def instant(seconds):
    """Return a time in seconds since the epoch as "2026-11-23 05:11 UTC", or an empty text."""
    numeric = human.number(seconds)
    try:
        return "" if numeric is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(numeric))
    except (OverflowError, ValueError, OSError):
        return ""


def moment(report):
    """Return when a report was written, as exactly as its log tells: with UTC only where the log knows its zone."""
    told = report.get("time")
    if isinstance(told, str) and told:
        text = human.shorten(told, 40)
        day, _separator, clock = text.partition("T")
        clock, _dot, fraction = clock.removesuffix("Z").partition(".")
        # A fraction ends where the zone begins.
        zone = fraction.lstrip("0123456789")
        return f"{day} {clock}{zone}".strip() + (" UTC" if text.endswith("Z") else "")
    since = human.number(report.get("uptime"))
    return "time not told" if since is None else f"{human.duration(since)} after boot"


def ordered(reports):
    """Return the reports oldest first; where one has no time, in the order of the list."""
    found = list(rows(reports))
    if all(epoch(report) is not None for report in found):
        found.sort(key=epoch)
    return found


def _place(report):
    return (
        kind(report),
        str(report.get("scope")),
        str(report.get("cgroup")),
        str(at(report, "victim", "comm")),
        str(report.get("outcome")),
    )


def joined(reports):
    """Return the reports as lists of those with the same kind, scope, cgroup, victim and end, each oldest first; the
    list with the newest report comes first."""
    groups = {}
    for report in reversed(ordered(reports)):
        groups.setdefault(_place(report), []).append(report)
    return [list(reversed(group)) for group in groups.values()]


def counts(reports):
    """Return what summary.json tells of the reports of one host."""
    found = ordered(of_killer(reports))
    killed = sum(len(list(rows(report.get("victims")))) or int(bool(report.get("victim"))) for report in found)
    return {
        "oom_reports": len(found),
        "oom_killed": killed,
        "oom_last": found[-1].get("time") if found else None,
        "other_reports": len(list(rows(reports))) - len(found),
    }


def task_size(task):
    """Return the resident memory of a task, as the kill line or the task table tells it, or None."""
    whole = human.number(task.get("rss"))
    if whole is not None:
        return whole
    parts = [human.number(task.get(name)) for name in ("anon_rss", "file_rss", "shmem_rss")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def task_text(task):
    """Return a task as "java (4242), 1.9 GiB"."""
    pid, held = task.get("pid"), task_size(task)
    name = str(task.get("comm") or "a task")
    text = name if pid is None else f"{name} ({pid})"
    return text if held is None else f"{text}, {human.size(held)}"


def where(report):
    """Return where memory was short, in a few words."""
    what = scope(report)
    if what == "cgroup":
        return f"in {report.get('cgroup') or 'a cgroup'}"
    if what == "node":
        nodes = report.get("nodemask") or report.get("mems_allowed")
        name = "cpuset" if report.get("scope") == "cpuset" else "memory policy"
        return f"in a {name}" + (f" of node {nodes}" if nodes else "")
    return "on the host" if what == "global" else ""


def happened(report):
    """Return what a report tells of its end, in a few words: "killed java (4242), 1.9 GiB"."""
    what, trigger = kind(report), mapping(report.get("trigger"))
    if what != "oom":
        wanted = human.number(report.get("bytes"))
        of = f" of {human.size(wanted)}" if wanted is not None else ""
        return f"{KINDS.get(what, what)}{of}: {task_text(trigger)}"
    victims = list(rows(report.get("victims")))
    victim = mapping(report.get("victim")) or (victims[0] if victims else {})
    if not victim:
        return OUTCOMES.get(str(report.get("outcome")), "no victim is told")
    others = len(victims) - 1
    return f"killed {task_text(victim)}" + (f" and {others} more" if others > 0 else "")


def repeats(group):
    """Return how often and since when what a group tells of has happened, or an empty text for once."""
    if len(group) < 2:
        return ""
    times = [epoch(report) for report in group if epoch(report) is not None]
    text = f"{len(group)} times"
    if len(times) < 2 or times[-1] <= times[0]:
        return text
    return f"{text} since {moment(group[0])}, every {human.duration((times[-1] - times[0]) / (len(times) - 1))}"


def sizes(group):
    """Return how the victim's size changed from the first report of a group to the last, or an empty text."""
    first, last = (human.number(task_size(mapping(report.get("victim")))) for report in (group[0], group[-1]))
    if len(group) < 2 or not first or not last:
        return ""
    told = human.size(first), human.size(last)
    return f"{told[0]} then, {told[1]} the last time" if told[0] != told[1] else f"{told[1]} each time"


def line(group):
    """Return a group of reports in one line."""
    newest = group[-1]
    parts = [f"{moment(newest)}  {happened(newest)}", where(newest), repeats(group)]
    if newest.get("sysrq") is True:
        parts.insert(1, "run by hand (SysRq)")
    return ", ".join(part for part in parts if part)


# What was read of a log.


def log_of(found):
    """Return what is kept of a result of oom_report_info beside its reports, or None where there is none."""
    found = mapping(found)
    if not found or (found.get("skipped") and "reports" not in found):
        return None
    if found.get("failed") or found.get("unreachable") or "reports" not in found:
        message = human.shorten(found.get("msg") or "the module gave no reason", 300)
        return {"failed": message, "sources": [], "unavailable": {}, "unparsed": {"count": 0}, "limited": False}
    return {
        "failed": None,
        "sources": list(rows(plain(found.get("sources")))),
        "unavailable": dict(mapping(plain(found.get("unavailable")))),
        "unparsed": dict(mapping(plain(found.get("unparsed")))),
        "limited": found.get("limited") is True,
    }


def unread(log):
    """Return in one sentence what of the kernel log could not be read and is missed, or an empty text."""
    log = mapping(log)
    if log.get("failed"):
        return f"The kernel log was not read: {log['failed'].rstrip('.')}."
    names = {str(row.get("source")) for row in rows(log.get("sources"))}
    if not log or names & {"journal", "file"}:
        return ""
    missing = mapping(log.get("unavailable"))
    reasons = [f"{os.path.basename(str(name)) or name}: {why}" for name, why in missing.items()]
    more = f", and {len(reasons) - MOST_REASONS} more" if len(reasons) > MOST_REASONS else ""
    said = f" ({'; '.join(reasons[:MOST_REASONS])}{more})" if reasons else ""
    advice = "; run with --become to read it" if any("permi" in str(why).lower() for why in missing.values()) else ""
    if "kmsg" in names:
        return f"Of the kernel log only the ring buffer could be read{said}, so older OOM kills are not seen{advice}."
    return f"The kernel log could not be read{said}, so OOM kills of the past are not seen{advice}."


def not_understood(log):
    """Return in one sentence that lines of a log were not understood, or an empty text."""
    number = human.number(at(mapping(log), "unparsed", "count")) or 0
    if not number:
        return ""
    lines = "1 line looks" if number == 1 else f"{number:.0f} lines look"
    return f"{lines} like an OOM report's and could not be understood: please report it."


def notes(log):
    """Return the sentences that a reader should know of what was read."""
    older = "Only the newest reports were read: the limit was met." if mapping(log).get("limited") else ""
    return [text for text in (unread(log), not_understood(log), older) if text]
