# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From facts, reports and a crash to findings: a pure function, the same for a live host, last week's file or a test.

To add a cause: describe it in evidence.CAUSES, write one function (State, Shortage) -> finding or None in causes/, and
add it to JUDGES in the order in which a person would think of it. Its numbers belong into thresholds.THRESHOLDS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.causes.limits import cgroup_limit, overcommit_limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.causes.owners import (
    hugepages_reserved,
    kernel_memory,
    mlocked_memory,
    page_tables,
    shared_memory,
    unaccounted_memory,
)
from ansible_collections.linux_memory.oom.plugins.plugin_utils.causes.programs import (
    anonymous_growth,
    runaway_process,
    swap_exhausted,
    too_many_workers,
    undersized_memory,
)
from ansible_collections.linux_memory.oom.plugins.plugin_utils.causes.storage import dirty_pages, storage_fault
from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import finding, item
from ansible_collections.linux_memory.oom.plugins.plugin_utils.from_facts import state_of
from ansible_collections.linux_memory.oom.plugins.plugin_utils.from_report import latest, state_of_report
from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import size
from ansible_collections.linux_memory.oom.plugins.plugin_utils.shortage import Level, Shortage, judge
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import State
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import mapping, percent, ratio, text

Finding = dict[str, Any]
Judge = Callable[[State, Shortage], "Finding | None"]

# The article's order of thought: storage first, then whose memory it is, then limits, then the kernel's own. At equal
# confidence the earlier cause comes first.
JUDGES: tuple[Judge, ...] = (
    dirty_pages,
    storage_fault,
    anonymous_growth,
    runaway_process,
    too_many_workers,
    undersized_memory,
    swap_exhausted,
    cgroup_limit,
    shared_memory,
    kernel_memory,
    unaccounted_memory,
    page_tables,
    mlocked_memory,
    hugepages_reserved,
    overcommit_limit,
)

# What a diagnosis needs, and what it cannot see without it.
_NEEDED = (
    ("meminfo", "how much memory is available and what holds it"),
    ("pressure", "whether programs wait for memory"),
    ("processes", "which program holds memory"),
    ("cgroups", "whether a unit met its own limit"),
)


def _is_known(state: State) -> bool:
    """Return whether it is known how much memory is available, and of how much."""
    return ratio(state.memory.available, state.memory.usable) is not None


def _missing(state: State) -> list[Finding]:
    """Return what could not be seen, with the reason that memory_facts gave."""
    absent = {
        "meminfo": not _is_known(state),
        "pressure": not state.pressure_measured,
        "processes": not state.tasks_read,
        "cgroups": not state.groups,
    }
    return [
        item(f"not known: {what}", state.unavailable.get(subset, f"{subset} was not gathered"), "text", subset)
        for subset, what in _NEEDED
        if absent[subset]
    ]


def _largest(state: State) -> list[Finding]:
    """Return the largest program, where little memory is left and nobody suffers."""
    return [item(f"largest program, {task.name}", task.size, "bytes", "/proc/PID/status") for task in state.tasks[:1]]


def _healthy(state: State, shortage: Shortage) -> Finding:
    """Return the verdict none, with the headroom, and how far the reading carries."""
    memory = state.memory
    sure = level("strong") if state.pressure_measured else level("likely")
    share = ratio(memory.available, memory.usable)
    room = f"{size(memory.available)} of {size(memory.usable)} ({percent(share)}) is available"
    advice, evidence = None, list(shortage.evidence)
    said = f"{state.subject} has memory: {room}."
    if state.pressure_measured and state.pressure.some < limit("pressure_some"):
        said = f"{said[:-1]}, and programs hardly wait for it."
    elif state.pressure_measured:
        sure = level("likely")
        said = f"{said[:-1]}; the programs that wait for memory must do so within a cgroup."
        advice = "Look for the cgroup that stalls: gather more of them (top), and as root."
    if shortage.level == Level.TIGHT:
        sure = level("likely")
        said = f"{state.subject} has little memory left ({room}), but nothing waits for it."
        advice = "Watch it: one more program of ordinary size does not fit."
        evidence += _largest(state)
    if state.kills_since_boot:
        sure = min(sure, level("likely"))
        kills = state.kills_since_boot
        evidence.append(item("processes killed since boot", kills, "count", "/proc/vmstat oom_kill", 0))
        said = f"{said[:-1]}; {kills:.0f} processes were killed since boot, and only the kernel log says why."
        advice = " ".join(filter(None, (advice, "Read the kernel log with oom_report_info and give its reports too.")))
    return finding("none", sure, said, evidence + _missing(state), advice=advice)


def _unexplained(state: State, shortage: Shortage, found: Sequence[Finding]) -> Finding:
    """Return the open admission that the numbers support no cause."""
    highest = max((each["confidence"] for each in found), default=0)
    if not _is_known(state) and not shortage.suffers:
        said = "The state of memory could not be read, so nothing can be said about it."
    elif found:
        said = f"{state.subject} is short of memory, and the numbers only hint at a cause."
    else:
        said = f"{state.subject} is short of memory, and the numbers support no cause."
    return finding("unexplained", max(level("possible"), highest), said, [*shortage.evidence, *_missing(state)])


def findings_of(state: State) -> list[Finding]:
    """Return what one moment of one host supports, the surest first; never empty."""
    shortage = judge(state)
    found = [each for each in (find(state, shortage) for find in JUDGES) if each]
    found.sort(key=lambda each: -each["confidence"])
    if found and found[0]["confidence"] >= level("possible"):
        return found
    if shortage.suffers or not _is_known(state):
        return [_unexplained(state, shortage, found), *found]
    return [_healthy(state, shortage)]


def _joined(now: list[Finding], then: list[Finding]) -> list[Finding]:
    """Return the findings of facts and of a report as one list: each cause once, with its higher confidence.

    What was reported outweighs that the host is healthy now; unexplained stays only where nothing else is found.
    """
    best: dict[str, Finding] = {}
    for each in [*then, *now]:
        if each["cause"] not in best or best[each["cause"]]["confidence"] < each["confidence"]:
            best[each["cause"]] = each
    best.pop("none", None)
    if len(best) > 1:
        best.pop("unexplained", None)
    return sorted(best.values(), key=lambda each: -each["confidence"])


def diagnose(facts: Mapping[str, Any], reports: Sequence[Any] = (), crash: Any = None) -> list[Finding]:
    """Return the findings, the verdict first: confidences fall, none stands alone. Never raises for what JSON can hold.

    facts is the value of ansible_facts.linux_memory, any part of it missing; reports those of oom_report_info, of which
    the newest is read; crash the result of vmcore_info or None.
    """
    state = state_of(mapping(facts))
    now = findings_of(state)
    report = latest(reports, crash)
    if report is None:
        return now
    if text(report.get("scope")) not in (None, "global"):
        # A report of a cgroup or a node says nothing about the memory of the host.
        return now
    return _joined(now, findings_of(state_of_report(report, state)))
