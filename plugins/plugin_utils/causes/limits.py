# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes in limits: a cgroup at its own limit, and strict accounting at its limit."""

from __future__ import annotations

import math
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import finding, item
from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import size
from ansible_collections.linux_memory.oom.plugins.plugin_utils.shortage import Level, Shortage, is_of_host
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Group, State
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import MIB, level, limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import KIB, PERCENT, percent, ratio

Finding = dict[str, Any]

# vm.overcommit_memory: refuse what exceeds CommitLimit (Documentation/mm/overcommit-accounting.rst).
STRICT = 2
# The kernel's names for a kill at a cgroup's own limit: 5.2 printed the first for it.
OWN_LIMIT = ("CONSTRAINT_NONE", "CONSTRAINT_MEMCG")
# Evidence is for a person: of many cgroups at their limits the first few are shown.
SHOWN = 3


def unit_limits(unit: str, ceiling: float, swap: float | None) -> dict[str, Any]:
    """Return the variables of cgroup_memory_limit for one unit.

    cgroup_memory_limit_units: {unit: {MemoryMax: bytes, MemoryHigh: bytes}}, systemd's own names, in whole MiB. High
    is a little below Max, and only where there is swap: without, it throttles a unit for ever, and the role refuses it.
    """
    limits = {"MemoryMax": _whole_mib(ceiling)}
    if swap:
        limits["MemoryHigh"] = _whole_mib(ceiling * limit("limit_high"))
    return {"cgroup_memory_limit_units": {unit: limits}}


def _whole_mib(amount: float) -> int:
    return int(amount) // MIB * MIB if amount >= MIB else int(amount)


def high_why(settings: dict[str, Any]) -> list[str]:
    """Return how MemoryHigh follows from MemoryMax, or why there is none."""
    (limits,) = settings["cgroup_memory_limit_units"].values()
    if "MemoryHigh" not in limits:
        return ["No MemoryHigh: no swap is known, and without swap it throttles a unit for ever."]
    return [f"MemoryHigh {size(limits['MemoryHigh'])} = {percent(limit('limit_high'))} of MemoryMax."]


def largest_use(group: Group) -> float:
    """Return the most that a cgroup used or was allowed."""
    return max(group.max or 0, group.peak or 0, (group.current or 0) + (group.swap or 0))


def _step(state: State, usual: str) -> float:
    """Return by which factor a limit is raised: the usual one, or more where it was met again and again."""
    event = state.event
    again = event is not None and event.repeats >= limit("search_repeats") and event.period is not None
    return limit("limit_search_headroom" if again and event.period <= limit("search_period") else usual)


def _room(state: State, group: Group) -> float:
    """Return how large the limit of a unit may be on this host."""
    return state.memory.available - state.memory.usable * limit("available_low") + (group.current or 0)


def raised_limit(state: State, group: Group) -> float | None:
    """Return a MemoryMax above the largest use seen, where the host has room for a quarter more; else None."""
    memory = state.memory
    if group.unit is None or group.max is None or memory.available is None or memory.usable is None:
        return None
    most, room = largest_use(group), _room(state, group)
    if most * limit("limit_headroom") > room:
        return None
    return min(most * _step(state, "limit_headroom"), room)


def raised_why(state: State, group: Group, settings: dict[str, Any]) -> list[str]:
    """Return how the raised limit follows from the unit's use and the host's room."""
    memory, most = state.memory, largest_use(group)
    reserve = memory.usable * limit("available_low")
    room, step = _room(state, group), _step(state, "limit_headroom")
    (limits,) = settings["cgroup_memory_limit_units"].values()
    again = (
        "; it met that again and again, which tells only that it needs more" if step > limit("limit_headroom") else ""
    )
    most_said = f"{step:g} x {size(most)}, the most that {group.name} used or was allowed{again}"
    if most * step > room:
        most_said = f"all the room that the host has, less than {most_said}"
    return [
        f"MemoryMax {size(limits['MemoryMax'])} = {most_said}.",
        (
            f"The host has room for {size(room)}: {size(memory.available)} available - {size(reserve)} reserve + "
            f"{size(group.current or 0)} that the unit holds."
        ),
        *high_why(settings),
    ]


def _is_throttled_for_ever(group: Group) -> bool:
    """Return whether MemoryHigh stops the unit without ever killing it."""
    stalled = group.pressure.full is not None and group.pressure.full >= limit("cgroup_full")
    return bool(group.high and group.current and group.current >= group.high and stalled)


def _was_killed_at_limit(group: Group, state: State) -> bool:
    """Return whether the kernel killed in this cgroup for its own limit.

    max counts how often the limit was met, oom how often reclaim failed there. oom_kill counts kills for any
    reason, so that it proves something only on v1, which has no oom, and only at a limit that was once reached.
    """
    if group.ooms is not None:
        return group.ooms > 0
    reached = (ratio(group.peak or group.current, group.max) or 0) >= limit("cgroup_near")
    return bool(group.kills) and state.cgroup_version != "v2" and reached


def _is_full(group: Group) -> bool:
    """Return whether the limit is full of what reclaim cannot take, and its tasks wait for that.

    A limit full of page cache is how a limit is meant to work.
    """
    near = (ratio(group.current, group.max) or 0) >= limit("cgroup_near")
    held = (ratio(group.held, group.max) or 0) >= limit("cgroup_held")
    stalled = group.pressure.some is not None and group.pressure.some >= limit("pressure_some")
    return near and (stalled if group.pressure.some is not None else held)


def _has_limit(group: Group, state: State) -> bool:
    """Return whether a limit is known to be there: its value, or that a report names it as the reason."""
    return bool(group.max) or (state.event is not None and state.event.constraint in (None, *OWN_LIMIT))


def _fill(group: Group) -> float:
    """Return the largest share of the limit that one kind of memory other than a program's own has."""
    kinds = (group.undrained, group.shmem, group.kernel)
    return max(ratio(amount, group.max) or 0 for amount in kinds)


def _weight(group: Group, state: State) -> tuple[float, float]:
    """Return how sure it is that this cgroup met its limit, and how often, to sort by."""
    times = group.ooms or group.kills or 0
    near = (ratio(group.current, group.max) or 0) >= limit("cgroup_near")
    if state.event is not None:
        if not _has_limit(group, state):
            return (0, times)
        # What fills the limit says more than that it was met.
        return (level("likely") if _fill(group) >= limit("owner_share") else level("strong"), times)
    if group.max and _was_killed_at_limit(group, state):
        return (level("strong") if near else level("likely"), times)
    if (group.max and _is_full(group)) or _is_throttled_for_ever(group):
        return (level("likely"), times)
    return (0, times)


def _deepest(groups: list[Group]) -> list[Group]:
    """Drop a cgroup where one below it is in the list too: memory.events of a parent counts its children's."""
    paths = {group.path: group.path.rstrip("/") + "/" for group in groups}
    return [
        group
        for group in groups
        if not any(below != paths[group.path] and below.startswith(paths[group.path]) for below in paths.values())
    ]


def _reported_evidence(group: Group, state: State) -> list[Finding | None]:
    """Return what a report tells of the cgroup whose limit was met."""
    event, source = state.event, f"OOM report, account of {group.path}"
    parts = (
        (f"memory of {group.name}", group.current, group.max),
        ("its limit", group.max, None),
        ("its anonymous memory", group.anon, None),
        ("its shared memory", group.shmem, None),
        ("its kernel memory", group.kernel, None),
        ("its dirty pages and writeback", group.undrained, None),
        ("its swap", group.swap, None),
    )
    pieces = [item(what, value, "bytes", source, bound) for what, value, bound in parts if value is not None]
    largest, table = state.tasks[:1], "OOM report, task table"
    pieces += [item(f"its largest task, {task.name}", task.size, "bytes", table) for task in largest]
    if event.repeats > 1:
        pieces.append(item("reports of this cgroup", event.repeats, "count", "OOM reports", 1))
    if event.period:
        pieces.append(item("time between them", event.period, "seconds", "OOM reports"))
    return pieces


def _group_evidence(group: Group, state: State) -> list[Finding | None]:
    if state.event is not None:
        return _reported_evidence(group, state)
    where = f"of {group.path}"
    pressure = group.pressure.some
    times = group.ooms if group.ooms is not None else group.kills
    return [
        item(f"memory of {group.name}", group.current, "bytes", f"memory.current {where}", group.max)
        if group.current is not None
        else None,
        item("its limit", group.max, "bytes", f"memory.max {where}") if group.max else None,
        item("its throttling limit", group.high, "bytes", f"memory.high {where}") if group.high else None,
        item("times it met the limit", group.met, "count", f"memory.events {where}") if group.met is not None else None,
        item("times it ran out of memory at its limit", times, "count", f"memory.events {where}", 0)
        if times is not None
        else None,
        item("processes killed in it", group.kills, "count", f"memory.events {where}", 0) if group.kills else None,
        item("time in which its tasks waited", pressure, "percent", f"memory.pressure {where}", "pressure_some")
        if pressure is not None
        else None,
    ]


def _cgroup_summary(group: Group, others: int, state: State, shortage: Shortage) -> str:
    more = f" (and {others} more)" if others else ""
    ceiling = f" of {size(group.max)}" if group.max else ""
    if state.event is not None:
        often = f" {state.event.repeats} times in these reports" if state.event.repeats > 1 else ""
        return f"{group.name} met its own memory limit{ceiling}{often}, and the kernel killed within it."
    if _is_throttled_for_ever(group) and not group.ooms:
        what = f"{group.name}{more} is above MemoryHigh ({size(group.high)}) and throttled almost to a stop"
    elif _was_killed_at_limit(group, state):
        what = f"{group.name}{more} ran out of its own memory limit{ceiling}"
    else:
        what = f"{group.name}{more} fills its own memory limit{ceiling} and waits for memory"
    if shortage.level != Level.FINE or state.memory.available is None:
        return what + "."
    return f"{what}, while {state.subject[:1].lower()}{state.subject[1:]} has {size(state.memory.available)} available."


def _limit_in_fault(state: State, shortage: Shortage) -> Finding | None:
    """A kill without a request (gfp_mask=0x0) comes from a page fault that failed, most often at a cgroup's limit
    (Linux mm/oom_kill.c pagefault_out_of_memory); it counts where the host had memory."""
    if state.event.sysrq or shortage.suffers or state.memory.available is None:
        return None
    return finding(
        "cgroup_limit",
        level("possible"),
        f"A page fault failed and the kernel killed although {size(state.memory.available)} of the host was available: "
        "most likely a cgroup of the task that asked was at its limit.",
        [item("gfp_mask of the request", "0x0, which a failed page fault has", "text", "OOM report, its first line")]
        + list(shortage.evidence),
        machine_only=True,
    )


def cgroup_limit(state: State, shortage: Shortage) -> Finding | None:
    """A unit or container met its own limit."""
    if state.event is not None and state.event.gfp == 0 and is_of_host(state.event):
        return _limit_in_fault(state, shortage)
    weights = {group.path: _weight(group, state) for group in state.groups}
    met = _deepest([group for group in state.groups if weights[group.path][0]])
    if not met:
        return None
    met.sort(key=lambda group: weights[group.path], reverse=True)
    group = met[0]
    raised = raised_limit(state, group)
    settings = {} if raised is None else unit_limits(group.unit, raised, state.swap.total)
    advice = None
    if raised is not None:
        advice = f"The host has room for a limit of {size(raised)}, above the most that was used or allowed."
    elif group.unit is None:
        advice = "This limit was set outside systemd: raise it where the container or cgroup is defined."
    elif state.memory.available is None:
        advice = "Whether the host has room for a higher limit is not known: read its facts too."
    elif group.max is not None:
        advice = f"The host has no room for a limit a quarter above {size(group.max)}: lower what the unit needs."
    return finding(
        "cgroup_limit",
        weights[group.path][0],
        _cgroup_summary(group, len(met) - 1, state, shortage),
        [piece for each in met[:SHOWN] for piece in _group_evidence(each, state)] + list(shortage.evidence),
        settings=settings,
        why=raised_why(state, group, settings) if settings else (),
        advice=advice,
        machine_only=group.unit is None,
    )


def _promises(state: State) -> tuple[float, str, float]:
    """Return how much has to be promised at least, in words what that is, and the factor for what was not seen.

    Refused was what would have gone over the limit: where nobody says how much that was, more than the limit is wanted.
    """
    over, wanted = state.overcommit, state.event.wanted if state.event else None
    if wanted is not None and over.committed + wanted > (over.limit or 0):
        asked = f"({size(over.committed)} promised + {size(wanted)} refused)"
        return over.committed + wanted, asked, limit("overcommit_headroom")
    step = _step(state, "overcommit_headroom")
    if state.event and over.limit is not None and over.limit > over.committed:
        return over.limit, f"{size(over.limit)} that may be promised", step
    return over.committed, f"{size(over.committed)} promised", step


def accounting_settings(state: State) -> dict[str, Any]:
    """Return the variables of overcommit_limit: a larger ratio or size, or the way back to heuristics.

    overcommit_limit_kbytes: KiB, where a size rules; overcommit_limit_ratio: percent of RAM without huge pages, at
    most 100; overcommit_limit_mode: 0, where even all of RAM and swap would not do. (The role's state absent would give
    back what was before it, which may have been mode 2 as well.)
    """
    over, needed, usable = state.overcommit, _needed(state), state.memory.usable
    if not usable or needed > usable:
        return {"overcommit_limit_mode": 0}
    if over.kbytes:
        return {"overcommit_limit_kbytes": math.ceil(needed / KIB)}
    return {"overcommit_limit_ratio": min(PERCENT, math.ceil(needed / usable * PERCENT))}


def _needed(state: State) -> float:
    """Return the RAM that the limit has to be made of beside swap."""
    amount, _words, step = _promises(state)
    return max(0, amount * step - (state.swap.total or 0))


def accounting_why(state: State, settings: dict[str, Any]) -> list[str]:
    """Return how the variables of overcommit_limit follow from what is promised."""
    _amount, words, step = _promises(state)
    swap, needed = state.swap.total or 0, _needed(state)
    said = f"{step:g} x {words} - {size(swap)} swap = {size(needed)} of RAM"
    if "overcommit_limit_mode" in settings:
        return [f"{said}, more than the {size(state.memory.usable or 0)} that there is: strict accounting cannot hold."]
    if "overcommit_limit_kbytes" in settings:
        return [f"overcommit_limit_kbytes {settings['overcommit_limit_kbytes']}: {said}, in KiB."]
    return [
        (
            f"overcommit_limit_ratio {settings['overcommit_limit_ratio']:g} %: {said}, as a share of "
            f"{size(state.memory.usable)} of RAM without huge pages, rounded up."
        )
    ]


def _refusal(state: State) -> Finding | None:
    """A refusal in the log. Mode 2 refuses at its limit, other modes only what RAM and swap could never hold."""
    event, over = state.event, state.overcommit
    if event.kind != "overcommit_refusal":
        return None
    asked = "memory" if event.wanted is None else size(event.wanted)
    known = over.committed is not None and over.limit is not None
    strict = over.mode == STRICT
    said = f"The kernel refused {event.trigger or 'a program'} {asked}"
    often = f", one of {event.repeats} refusals in these reports" if event.repeats > 1 else ""
    pieces = []
    if event.wanted is not None:
        pieces.append(item("asked for and refused", event.wanted, "bytes", "kernel log, __vm_enough_memory"))
    if known:
        source = "/proc/meminfo Committed_AS, CommitLimit"
        pieces.append(item("promised memory now", over.committed, "bytes", source, over.limit))
    if over.mode is not None:
        pieces.append(item("vm.overcommit_memory now", over.mode, "count", "/proc/sys/vm/overcommit_memory"))
    other = over.mode is not None and not strict
    settings = accounting_settings(state) if strict and known else {}
    return finding(
        "overcommit_limit",
        level("possible") if other else level("strong"),
        f"{said}: more than may be promised{often}. Nothing was killed.",
        pieces,
        settings=settings,
        why=accounting_why(state, settings) if settings else (),
        advice="This host does not account strictly now: only a request that RAM and swap can never hold is refused."
        if other
        else None,
        machine_only=state.container is not None or other,
    )


def overcommit_limit(state: State, shortage: Shortage) -> Finding | None:
    """Strict accounting that refuses, or is about to refuse, what programs ask for."""
    over = state.overcommit
    if state.event is not None:
        return _refusal(state)
    used = ratio(over.committed, over.limit)
    if over.mode != STRICT or used is None or used < limit("overcommit_used"):
        return None
    source = "/proc/meminfo Committed_AS, CommitLimit; /proc/sys/vm/overcommit_memory"
    settings = accounting_settings(state)
    free = "" if state.memory.available is None else f" although {size(state.memory.available)} is available"
    return finding(
        "overcommit_limit",
        level("strong"),
        f"Strict accounting has promised {size(over.committed)} of at most {size(over.limit)}, so programs are refused"
        f" memory{free}.",
        [
            item("promised memory", over.committed, "bytes", source, over.limit),
            item("share of the limit", used, "share", source, "overcommit_used"),
            *shortage.evidence,
        ],
        settings=settings,
        why=accounting_why(state, settings),
        advice=f"{percent(used)} of the limit is promised; mode 2 refuses the rest.",
        machine_only=state.container is not None,
    )
