# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes in programs: one that grows, one that holds most, many of one name, or all of them together."""

from __future__ import annotations

import math
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.causes.limits import high_why, unit_limits
from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import finding, item
from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import duration, size, until
from ansible_collections.linux_memory.oom.plugins.plugin_utils.shortage import Shortage, confidence, dominance, is_low
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Group, State, Task
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import MIB, level, limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import PERCENT, percent, ratio, total

Finding = dict[str, Any]

# The article's value for memory that grows slowly (section 2); every kernel takes it, newer ones up to 200.
SWAPPINESS = 100
SWAP_FILE = "/swapfile-linux_memory_oom"
# A quiet hour; the role spreads it over the hosts.
NIGHTLY = "*-*-* 03:00:00"
HOUR = 3600  # seconds


def _whole(state: State) -> float | None:
    """Return what programs can hold: usable RAM and the swap that is in use."""
    usable = state.memory.usable
    return None if not usable else usable + (state.swap.used or 0)


def _bounded(state: State, amount: float) -> float:
    """Return amount, at most what all programs hold: RSS counts pages that are shared by a fork once for each."""
    programs = state.programs
    return amount if programs is None else min(amount, programs)


def _owns_most(state: State, amount: float | None) -> bool:
    return amount is not None and (ratio(_bounded(state, amount), _whole(state)) or 0) >= limit("owner_share")


def _leaf_units(state: State) -> list[tuple[Group, float]]:
    """Return the services, scopes and containers with what they hold, largest first; slices are sums of others."""
    sized = [
        (group, total(group.held, group.swap))
        for group in state.groups
        if group.container or (group.unit and not group.unit.endswith(".slice"))
    ]
    return sorted(((group, held) for group, held in sized if held is not None), key=lambda pair: -pair[1])


def _ceiling(state: State, amount: float, owner: Task | None) -> float | None:
    """Return the memory that one unit may have: usable RAM less what all others hold and less the usual reserve.

    None where that is next to nothing: such a limit would kill the unit whatever it does.
    """
    usable, others = state.memory.usable, state.others(amount, owner)
    if usable is None or others is None:
        return None
    room = usable * (1 - limit("available_low")) - others
    return room if room >= usable * limit("limit_least") else None


def _bounding(
    state: State, unit: str | None, amount: float, owner: Task | None = None
) -> tuple[dict[str, Any], str | None]:
    """Return the variables of cgroup_memory_limit for a unit, and where there are none, what else to do."""
    ceiling = _ceiling(state, amount, owner)
    if unit is None:
        return {}, "Its unit is not known: run it as a service of its own to bound it."
    if unit.endswith(".scope"):
        return {}, (
            f"{unit} is made anew at each start and keeps no settings: bound the slice above it (user-.slice for "
            "logins), set the limit where the container is started, or run the program as a service of its own."
        )
    if state.others(amount, owner) is None:
        return {}, None
    if ceiling is None:
        return {}, f"No limit of {unit} is proposed: all others hold so much that it would leave it next to nothing."
    return unit_limits(unit, ceiling, state.swap.total), None


def _bounding_why(state: State, amount: float, owner: Task | None, settings: dict[str, Any]) -> list[str]:
    """Return how the limit for the owner of most memory follows from the host's size and what others hold."""
    if not settings:
        return []
    memory = state.memory
    (limits,) = settings["cgroup_memory_limit_units"].values()
    others, reserve = state.others(amount, owner), memory.usable * limit("available_low")
    held = "hold" if others == state.others_now(amount, owner) else "held before the OOM killer ended some"
    in_swap = ", in swap too" if state.swap.used else ""
    return [
        (
            f"MemoryMax {size(limits['MemoryMax'])} = {size(memory.usable)} of usable memory - {size(others)} that all "
            f"others {held}{in_swap} - {size(reserve)} reserve ({percent(limit('available_low'))}), in whole MiB; "
            f"the unit held {size(amount)}."
        ),
        *high_why(settings),
    ]


def _most(
    state: State,
    shortage: Shortage,
    cause: str,
    said: str,
    amount: float,
    pieces: list[Finding],
    settings: dict[str, Any],
    advice: str | None,
    owner: Task | None = None,
) -> Finding:
    """Return the finding for an owner of most memory; said is what precedes its amount."""
    share = ratio(amount, _whole(state))
    return finding(
        cause,
        confidence(dominance(state, amount)),
        f"{said} {size(amount)}, {percent(share)} of memory and used swap, and {_lower(state.subject)} is short of it.",
        [*pieces, item("share of memory and used swap", share, "share", "computed", "owner_share"), *shortage.evidence],
        settings=settings,
        why=_bounding_why(state, amount, owner, settings),
        advice=advice,
        machine_only=not settings,
    )


def _lower(subject: str) -> str:
    return subject[:1].lower() + subject[1:]


def _in_unit(task: Task) -> str:
    return f" in {task.unit}" if task.unit else ""


def runaway_process(state: State, shortage: Shortage) -> Finding | None:
    """One process, or one unit that is no pool of workers, holds most of memory."""
    if not shortage.suffers:
        return None
    if state.tasks and _owns_most(state, state.tasks[0].size):
        task = state.tasks[0]
        amount = _bounded(state, task.size)
        settings, advice = _bounding(state, task.unit, amount, task)
        process = f"{task.name}{'' if task.pid is None else f' (PID {task.pid})'}"
        pieces = [
            item(
                f"resident and swapped memory of {process}",
                amount,
                "bytes",
                state.where(f"/proc/{task.pid}/status", "task table"),
            )
        ]
        said = f"The process {process}{_in_unit(task)} holds"
        return _most(state, shortage, "runaway_process", said, amount, pieces, settings, advice, task)
    if too_many_workers(state, shortage):
        return None
    for group, held in _leaf_units(state)[:1]:
        if _owns_most(state, held):
            amount = _bounded(state, held)
            settings, advice = _bounding(state, group.unit, amount)
            pieces = [item(f"memory and swap of {group.name}", amount, "bytes", f"memory.stat of {group.path}")]
            return _most(state, shortage, "runaway_process", f"{group.name} holds", amount, pieces, settings, advice)
    return None


def too_many_workers(state: State, shortage: Shortage) -> Finding | None:
    """Many processes of one name together hold most of memory, and none of them alone."""
    if not shortage.suffers or (state.tasks and _owns_most(state, state.tasks[0].size)):
        return None
    pools = [pool for pool in state.pools if pool.count >= limit("many_workers") and _owns_most(state, pool.size)]
    if not pools:
        return None
    pool = pools[0]
    amount = _bounded(state, pool.size)
    settings, limited = _bounding(state, pool.unit, amount, pool)
    ceiling = _ceiling(state, amount, pool)
    fewer = None if ceiling is None else max(1, math.floor(pool.count * min(1, ceiling / amount)))
    advice = None if fewer is None else f"At their present size {fewer} of these {pool.count} workers fit."
    pieces = [
        item(
            f"resident and swapped memory of all {pool.name}",
            amount,
            "bytes",
            state.where("/proc/PID/status", "task table"),
        ),
        item(
            f"processes named {pool.name}",
            pool.count,
            "count",
            state.where("/proc/PID/comm", "task table"),
            "many_workers",
        ),
    ]
    said = f"{pool.count} processes named {pool.name}{_in_unit(pool)} together hold"
    both = " ".join(filter(None, (advice, limited))) or None
    return _most(state, shortage, "too_many_workers", said, amount, pieces, settings, both, pool)


def _growing(state: State) -> str:
    """Return the words for who is likely to grow: the largest process, which is a guess and said as one."""
    if not state.tasks:
        return ""
    task = state.tasks[0]
    return f"; the largest program is {task.name}{_in_unit(task)} with {size(task.size)}"


def growth_settings(state: State) -> dict[str, Any]:
    """Return the variables of swap_tuning for slow growth.

    swap_tuning_swappiness: 100. swap_tuning_files: one file of the measured growth x swap_hours, at most the size of
    RAM. swap_tuning_restarts: the service to restart each night, where it is known.
    """
    return {
        "swap_tuning_swappiness": SWAPPINESS,
        "swap_tuning_files": swap_files(growth_size(state)),
        **_restarts(state),
    }


def growth_size(state: State) -> float:
    """Return the bytes of swap to add for slow growth."""
    wanted = state.swap.growth * limit("swap_hours")
    return min(wanted, state.memory.total or wanted)


def swap_files(amount: float) -> list[dict[str, str]]:
    """Return the value of swap_tuning_files for so many bytes, in whole MiB."""
    return [{"path": SWAP_FILE, "size": f"{max(1, math.ceil(amount / MIB))}M"}]


def _restarts(state: State) -> dict[str, Any]:
    """Return swap_tuning_restarts for the service of the largest program; other units cannot be restarted."""
    unit = state.tasks[0].unit if state.tasks else None
    if unit is None or not unit.endswith(".service"):
        return {}
    return {"swap_tuning_restarts": [{"unit": unit, "calendar": NIGHTLY}]}


def restart_in_time(task: Task, seconds: float | None, sizes: list[float]) -> tuple[dict[str, Any], list[str]] | None:
    """Return the variable of swap_tuning that restarts a service before it is large, and the arithmetic in words.

    After restart_share of the time in which it would grow from nothing to its size in the newest report, and none
    where that is shorter than restart_shortest. None where the reports do not tell how fast it grows.
    """
    if not seconds or not (task.unit or "").endswith(".service"):
        return None
    rate = (sizes[-1] - sizes[0]) / seconds
    whole = sizes[-1] / rate
    chosen = int(whole * limit("restart_share"))
    if chosen < limit("restart_shortest"):
        return {}, [f"No restarts: at {size(rate * HOUR)} an hour it grows too fast for them; bound it with MemoryMax."]
    why = (
        f"swap_tuning_restarts {task.unit}: it grew by {size(rate * HOUR)} an hour, so that it has {size(sizes[-1])} "
        f"after {duration(whole)}; a restart after {percent(limit('restart_share'))} of that comes in time."
    )
    restart = {"unit": task.unit, "runtime_max": f"{chosen}s", "restart": "always"}
    return {"swap_tuning_restarts": [restart]}, [why]


def growth_why(state: State, settings: dict[str, Any]) -> list[str]:
    """Return how each variable of swap_tuning follows from what was measured."""
    said = ["No swappiness: the host has no swap that anything could go to."]
    if "swap_tuning_swappiness" in settings:
        said = [
            f"swap_tuning_swappiness {SWAPPINESS}: pages that a leak never touches again go to swap, not the cache."
        ]
    if "swap_tuning_files" in settings:
        hours, growth = limit("swap_hours"), state.swap.growth
        said.append(
            f"swap_tuning_files {settings['swap_tuning_files'][0]['size']}: {size(growth)}/s x {duration(hours)} = "
            f"{size(growth * hours)}, at most the size of RAM. Name the files of an earlier run too, or they go."
        )
    if "swap_tuning_restarts" in settings:
        said.append(f"swap_tuning_restarts: each night, because swap is sized for {duration(limit('swap_hours'))}.")
    return said


def _grew_alone(state: State, task: Task) -> bool:
    """Return whether a task grew by more than all others together since the first report of the shortage, as far as
    that is known: where ordinary programs need more than there is, the largest of them grows too."""
    for first in state.earlier[:1]:
        then = {each.pid: each.size for each in first.tasks}
        grown = {each.pid: each.size - then[each.pid] for each in state.tasks if each.pid in then}
        return grown.pop(task.pid, 0) >= sum(max(0, size) for size in grown.values())
    return True


def _growth_in_reports(state: State, shortage: Shortage) -> Finding | None:
    """The largest task of the newest report was in the ones before it, and smaller each time."""
    growth = state.event.growth
    sizes = [held for _moment, held in growth]
    if len(growth) < limit("growth_reports") or sizes != sorted(sizes) or not shortage.suffers:
        return None
    factor = ratio(sizes[-1], sizes[0])
    if factor is None or factor < limit("growth_factor"):
        return None
    task = state.tasks[0]
    if not _grew_alone(state, task):
        return None
    seconds = None if growth[0][0] is None or growth[-1][0] is None else growth[-1][0] - growth[0][0]
    name = f"{task.name} (PID {task.pid})"
    settings: dict[str, Any] = {} if state.swap.total == 0 else {"swap_tuning_swappiness": SWAPPINESS}
    measured = restart_in_time(task, seconds, sizes)
    why = growth_why(state, settings | (_restarts(state) if measured is None else {}))
    restarts, more = measured or (_restarts(state), [])
    over = f" in {duration(seconds)}" if seconds else ""
    pieces = [
        item(f"memory of {name} in the first of the reports", sizes[0], "bytes", "OOM reports, task tables"),
        item(f"memory of {name} in the newest", sizes[-1], "bytes", "OOM reports, task tables"),
        item("reports that list it", len(growth), "count", "OOM reports, task tables", "growth_reports"),
        item("growth over them, as a factor", factor, "count", "computed", "growth_factor"),
    ]
    return finding(
        "anonymous_growth",
        level("certain") if _owns_most(state, task.size) else level("likely"),
        f"{name}{_in_unit(task)} grew from {size(sizes[0])} to {size(sizes[-1])} over {len(growth)} reports{over}.",
        [*pieces, *shortage.evidence],
        settings=settings | restarts,
        why=[*why, *more],
        machine_only=state.container is not None,
    )


def anonymous_growth(state: State, shortage: Shortage) -> Finding | None:
    """Swap fills while we look: seen only with a sample, and only once a good part of it is used."""
    swap = state.swap
    if state.event is not None:
        return _growth_in_reports(state, shortage)
    if not swap.growth or swap.seconds_until_full is None or swap.used_share is None:
        return None
    roomy = (ratio(state.memory.available, state.memory.usable) or 0) >= limit("available_roomy")
    if swap.seconds_until_full > limit("swap_growth_horizon") or swap.used_share < limit("swap_growth_used") or roomy:
        return None
    settings = growth_settings(state)
    urgency = 1 - swap.seconds_until_full / limit("swap_growth_horizon")
    return finding(
        "anonymous_growth",
        confidence(urgency, "possible", "likely") if shortage.suffers else level("possible"),
        f"Swap grows by {size(swap.growth)}/s and is full {until(swap.seconds_until_full)}{_growing(state)}.",
        [
            item("growth of used swap", swap.growth, "bytes_per_second", "/proc/swaps, two readings", 0),
            item("time until swap is full", swap.seconds_until_full, "seconds", "computed", "swap_growth_horizon"),
            item("swap used", swap.used_share, "share", "/proc/swaps", "swap_growth_used"),
            *shortage.evidence,
        ],
        settings=settings,
        why=growth_why(state, settings),
        advice=(
            f"{size(growth_size(state))} more swap lasts {duration(limit('swap_hours'))} at this growth, or "
            "is all that is sensible. The growth was measured over seconds: look again before you act."
        ),
        machine_only=state.container is not None,
    )


def _swap_in_goes_on(state: State) -> bool:
    rates, some = state.rates, state.pressure.some
    if rates is None or some is None or some < limit("pressure_some"):
        return False
    return rates.swap_in is not None and rates.swap_in >= limit("swap_in")


def _code_is_reread(state: State) -> bool:
    """Return whether programs wait for their own file pages: the shortage of a host without swap."""
    rates, full = state.rates, state.pressure.full
    if rates is None or full is None or full < limit("pressure_full"):
        return False
    return rates.major_faults is not None and rates.major_faults >= limit("major_faults")


def _is_spread(state: State) -> bool | None:
    """Return whether programs together hold most and none of them does; None where the programs are not known."""
    programs, whole = state.programs, _whole(state)
    if programs is None or not whole or programs / whole < limit("spread_share"):
        return False
    largest = [state.tasks[0].size] if state.tasks else []
    largest += [pool.size for pool in state.pools[:1]] + [held for _group, held in _leaf_units(state)[:1]]
    if any(_owns_most(state, amount) for amount in largest):
        return False
    return True if (state.tasks and state.tasks_read) or _leaf_units(state) else None


def _undersized_evidence(state: State, shortage: Shortage) -> list[Finding]:
    rates, memory = state.rates, state.memory
    pieces = list(shortage.evidence)
    if rates is not None:
        measured = (
            ("pages read back from swap", rates.swap_in, "pswpin", "swap_in"),
            ("major page faults", rates.major_faults, "pgmajfault", "major_faults"),
            ("anonymous pages faulted back soon after reclaim", rates.refault_anon, "workingset_refault_anon", None),
            ("file pages faulted back soon after reclaim", rates.refault_file, "workingset_refault_file", None),
            ("allocations that had to reclaim by themselves", rates.direct_reclaim, "allocstall", None),
        )
        for what, value, name, bound in measured:
            if value is not None:
                pieces.append(item(what, value, "per_second", f"/proc/vmstat {name}", bound))
    if memory.anon is not None:
        pieces.append(item("anonymous memory", memory.anon, "bytes", memory.source("anon")))
    return pieces


def undersized_memory(state: State, shortage: Shortage) -> Finding | None:
    """Swap-in that goes on, code that is read again and again, or ordinary programs that together need too much."""
    if not shortage.suffers:
        return None
    memory, swap = state.memory, state.swap
    if _swap_in_goes_on(state):
        sure = confidence(state.pressure.some / PERCENT, "likely", "strong")
        back = f"{state.rates.swap_in:.0f} pages/s"
        said = f"{state.subject} keeps reading {back} back from swap, and programs wait for it"
    elif _code_is_reread(state):
        sure = confidence(state.pressure.full / PERCENT, "likely", "strong")
        said = f"{state.subject} has {state.rates.major_faults:.0f} major faults/s: programs wait for their own code"
    else:
        spread = _is_spread(state)
        if spread is False:
            return None
        low, high = ("weak", "possible") if spread is None else ("possible", "even")
        if spread is None and (swap.used_share or 0) >= limit("swap_full"):
            # Who holds it is not known, that swap is full is.
            high = low
        sure = confidence(dominance(state, state.programs or 0), low, high)
        said = f"{state.subject} is short of memory and no single program is the reason"
    demand = state.demand
    there_is = total(memory.usable, swap.total)
    amount = "" if demand is None else f"; they hold {size(demand)} of {size(there_is)} of memory and swap together"
    pieces = _undersized_evidence(state, shortage)
    if demand is not None:
        source = state.where("MemTotal - MemAvailable + used swap", "RAM less what was available, and used swap")
        pieces.append(item("memory and swap in use", demand, "bytes", source, there_is))
    return finding("undersized_memory", sure, said + amount + ".", pieces)


def swap_exhausted(state: State, shortage: Shortage) -> Finding | None:
    """Swap is full and memory is short too. Full swap with memory available is only where idle pages live."""
    swap, memory = state.swap, state.memory
    if swap.used_share is None or swap.used_share < limit("swap_full") or not shortage.suffers:
        return None
    settings, why = {}, []
    if memory.total:
        # As much again, at most RAM: more would only make the thrashing longer (swap buys time, it adds no memory).
        amount = min(swap.total, memory.total)
        settings = {"swap_tuning_files": swap_files(amount)}
        more = settings["swap_tuning_files"][0]["size"]
        why = [
            (
                f"swap_tuning_files {more}: as much again as the {size(swap.total)} that is full, "
                f"at most the {size(memory.total)} of RAM. Name the files of an earlier run too, or they go."
            )
        ]
    low = is_low(memory.available, memory.usable)
    source = state.where("/proc/meminfo SwapTotal, SwapFree", "Total swap, Free swap")
    left = f" and {size(memory.available)} of memory is available" if low else " and programs wait for memory"
    if state.event is not None:
        left = " and the kernel found nothing else to free"
    return finding(
        "swap_exhausted",
        level("possible"),
        f"Swap is full ({size(swap.used)} of {size(swap.total)}){left}.",
        [
            item("swap used", swap.used, "bytes", source),
            item("share of swap that is used", swap.used_share, "share", source, "swap_full"),
            *shortage.evidence,
        ],
        settings=settings,
        why=why,
        machine_only=state.container is not None,
    )
