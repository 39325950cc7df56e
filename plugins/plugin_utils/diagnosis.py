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

from ansible_collections.linux_memory.oom.plugins.plugin_utils import counterfactual
from ansible_collections.linux_memory.oom.plugins.plugin_utils.causes.events import (
    fragmentation,
    manual_trigger,
    node_constraint,
    zone_exhausted,
)
from ansible_collections.linux_memory.oom.plugins.plugin_utils.causes.limits import (
    OWN_LIMIT,
    cgroup_limit,
    overcommit_limit,
)
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
from ansible_collections.linux_memory.oom.plugins.plugin_utils.from_crash import (
    state_of_crash,
    tell,
    was_read,
    with_crash,
)
from ansible_collections.linux_memory.oom.plugins.plugin_utils.from_facts import state_of
from ansible_collections.linux_memory.oom.plugins.plugin_utils.from_report import (
    in_order,
    latest,
    of_crash,
    state_of_report,
    with_earlier,
)
from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import size
from ansible_collections.linux_memory.oom.plugins.plugin_utils.shortage import Level, Shortage, judge
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Event, State
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import at, mapping, percent, ratio, text

Finding = dict[str, Any]
Judge = Callable[[State, Shortage], "Finding | None"]

# The article's order of thought: storage first, then whose memory it is, then limits, then the kernel's own. Before
# all of them comes what a report says outright: by hand. At equal confidence the earlier cause comes first.
JUDGES: tuple[Judge, ...] = (
    manual_trigger,
    dirty_pages,
    storage_fault,
    anonymous_growth,
    runaway_process,
    too_many_workers,
    undersized_memory,
    swap_exhausted,
    cgroup_limit,
    node_constraint,
    zone_exhausted,
    fragmentation,
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


def _missing_in_report(state: State) -> list[Finding]:
    """Return what a report does not tell, and what of it could have told the cause."""
    event, memory = state.event, state.memory
    lacks = (
        ("which memory was short", event.scope is None, "the report names no scope"),
        ("what held memory", not event.counted, "the report has no counters (Mem-Info, or a cgroup's account)"),
        ("which program held memory", not state.tasks_read, "no task table: lost, or vm.oom_dump_tasks is 0"),
        ("which zones were short", event.scope == "global" and not event.zones, "the report has no zones"),
        ("RAM that no counter owns", memory.unaccounted is None and event.scope == "global", "counters are missing"),
    )
    return [item(f"not known: {what}", why, "text", "OOM report") for what, lacking, why in lacks if lacking]


def _killed(event: Event) -> str:
    """Return the words for who was killed, where that is known."""
    victim = event.victim
    if victim is None:
        return ""
    held = f", which held {size(victim.size)}" if victim.size else ""
    return f" and killed {victim.name} (PID {victim.pid}){held}"


def _unexplained_report(state: State, shortage: Shortage, found: Sequence[Finding]) -> Finding:
    """Return the open admission that a report supports no cause."""
    event, highest = state.event, max((each["confidence"] for each in found), default=0)
    if event.kind == "allocation_failure":
        said = "An allocation of the kernel failed, nothing was killed, and the report supports no cause."
    elif event.constraint is not None and event.scope == "cgroup" and event.constraint not in OWN_LIMIT:
        said = f"Something else than a limit asked for the kill in a cgroup: the kernel names it {event.constraint}."
    elif event.outcome is None and event.victim is None and not event.sysrq and event.trigger is None:
        said = "An account of memory was found whose first and last lines are lost: why it is there is unknown."
    elif shortage.level == Level.FINE and state.memory.available is not None:
        left = size(state.memory.available)
        said = f"The kernel killed although {left} of memory was available, and the report does not say why."
    elif event.counted:
        said = "The OOM killer ran, and the numbers of its report support no cause."
    else:
        said = f"The OOM killer ran{_killed(event)}, and its report has lost the numbers that would say why."
    return finding(
        "unexplained", max(level("possible"), highest), said, [*shortage.evidence, *_missing_in_report(state)]
    )


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
    for each in found:
        if each["remedy"]:
            each["remedy"]["counterfactual"] = counterfactual.of(state, each["remedy"]["vars"])
    found.sort(key=lambda each: -each["confidence"])
    if found and found[0]["confidence"] >= level("possible"):
        return found
    if state.event is not None:
        return [_unexplained_report(state, shortage, found), *found]
    if shortage.suffers or not _is_known(state):
        return [_unexplained(state, shortage, found), *found]
    return [_healthy(state, shortage)]


def _of_event(state: State) -> list[Finding]:
    """Return who asked, who was killed and how often: the trigger is not the culprit, and the victim need not be."""
    event, largest = state.event, state.tasks[:1]
    pieces = [] if event.when is None else [item("time of the report", event.when, "text", "OOM report")]
    if event.trigger and not event.sysrq:
        pieces.append(item("asked for memory, which makes nobody the cause", event.trigger, "text", "OOM report"))
    if event.victim:
        pieces.append(item(f"killed: {event.victim.name}", event.victim.size, "bytes", "OOM report"))
        if largest and largest[0].pid != event.victim.pid and state.tasks_read:
            said = f"largest task, which was not killed: {largest[0].name}"
            pieces.append(item(said, largest[0].size, "bytes", "OOM report, task table"))
    elif event.outcome:
        pieces.append(item("outcome", event.outcome, "text", "OOM report"))
    if event.repeats > 1 and event.scope != "cgroup":
        pieces.append(item("such reports with the same victim", event.repeats, "count", "OOM reports", 1))
        if event.period:
            pieces.append(item("time between them", event.period, "seconds", "OOM reports"))
    return pieces


def _findings_of_report(state: State) -> list[Finding]:
    """Return the findings of a report: less sure where it has lost lines, the first with what tells of the event."""
    found = findings_of(state)
    if not state.event.whole:
        for each in found:
            each["confidence"] = round(each["confidence"] * limit("cut_report"), 2)
            lost = "lines of it are lost, cut or another report's"
            each["evidence"].append(item("the report is not whole", lost, "text", "OOM report"))
    found[0]["evidence"] += _of_event(state)
    return found


def _disagreement(now: Sequence[Finding], then: State, facts: State, host: str | None) -> list[Finding]:
    """Return where the facts of now do not fit the report."""
    pieces, verdict = [], now[0]
    if _is_known(facts) or facts.pressure_measured:
        said = "the facts of now, which were read after it, say otherwise" if verdict["cause"] == "none" else "now"
        pieces.append(item(said, f"{verdict['cause']}: {verdict['summary']}", "text", "memory_facts"))
    ours, theirs = facts.memory.total, then.memory.total
    if (
        then.event.scope != "cgroup"
        and ours
        and theirs
        and abs(ours - theirs) / max(ours, theirs) > limit("ram_differs")
    ):
        pieces.append(
            item("memory in the report, which is not what the host has now", theirs, "bytes", "OOM report", ours)
        )
    reported = then.event.host
    if host and reported and host.partition(".")[0] != reported.partition(".")[0]:
        pieces.append(
            item("host that the log names, which is not the one of the facts", reported, "text", "OOM report")
        )
    return pieces


def _joined(now: list[Finding], then: list[Finding]) -> list[Finding]:
    """Return the findings of facts and of reports as one list: each cause once, surer where both found it.

    What was reported outweighs that the host is healthy now; unexplained stays only where nothing else is found.
    """
    best: dict[str, Finding] = {}
    for each in [*then, *now]:
        other = best.get(each["cause"])
        if other is None:
            best[each["cause"]] = each
            continue
        surer, less = (each, other) if each["confidence"] > other["confidence"] else (other, each)
        both = 1 - (1 - surer["confidence"]) * (1 - less["confidence"])
        sure = max(surer["confidence"], min(both, level("certain")))
        best[each["cause"]] = {
            **surer,
            "confidence": round(sure, 2),
            "evidence": [*surer["evidence"], *less["evidence"]],
        }
    best.pop("none", None)
    if len(best) > 1:
        best.pop("unexplained", None)
    return sorted(best.values(), key=lambda each: -each["confidence"])


def _reported(state: State, reports: Sequence[Mapping[str, Any]], crash: Any) -> tuple[list[Finding], State] | None:
    """Return the findings of what was reported, and the state that the first of them are of; None without reports.

    The newest report of the OOM killer decides. Refusals of strict accounting kill nobody and are told beside it; an
    allocation that failed is a warning, told where there is nothing worse.
    """
    led_to = of_crash(crash)
    decisive = led_to if led_to is not None else latest(reports, "oom")
    refusal = latest(reports, "overcommit_refusal")
    if decisive is None and refusal is None:
        decisive = latest(reports, "allocation_failure")
    chosen = [each for each in (decisive, refusal) if each is not None]
    if not chosen:
        return None
    states = [state_of_report(each, state, reports) for each in chosen]
    if led_to is not None:
        states[0] = with_crash(states[0], crash)
    found = [_findings_of_report(each) for each in states]
    if len(found) > 1:
        # A refusal before or after a kill is a second trouble, not the explanation of the kill.
        for each in found[1]:
            each["confidence"] = min(each["confidence"], level("possible"))
    return [each for findings in found for each in findings], states[0]


def diagnose(facts: Mapping[str, Any], reports: Sequence[Any] = (), crash: Any = None) -> list[Finding]:
    """Return the findings, the verdict first: confidences fall, none stands alone. Never raises for what JSON can hold.

    facts is the value of ansible_facts.linux_memory, any part of it missing; reports those of oom_report_info, of which
    the newest decides and the others tell of growth; crash the result of vmcore_info or None.
    """
    facts, told = mapping(facts), in_order(reports)
    state = with_earlier(state_of(facts), told)
    now = findings_of(state)
    if was_read(crash) and of_crash(crash) is None:
        # The panic had another reason than the OOM killer; what held memory then is told nevertheless.
        found = findings_of(state_of_crash(crash))
        tell(found, crash)
        return found
    reported = _reported(state, told, crash)
    if reported is None:
        return now
    then, past = reported
    if crash is not None:
        tell(then, crash)
    found = _joined([each for each in now if each["cause"] != "unexplained" or _is_known(state)], then)
    verdict = found[0]
    if now[0]["cause"] != verdict["cause"]:
        host = text(at(facts, "system", "hostname"))
        found[0] = {**verdict, "evidence": [*verdict["evidence"], *_disagreement(now, past, state, host)]}
    return found
