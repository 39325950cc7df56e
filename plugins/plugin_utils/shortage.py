# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether memory is short: the question before every other. A large owner of memory that nobody misses is no cause."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import item
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Event, State
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import ratio


class Level(IntEnum):
    """How short memory is.

    TIGHT: little is available and yet nobody waits for memory, as on a database's host that is sized to the brim. It is
    no shortage: its owners are not named, the verdict none says that little is left.
    """

    UNKNOWN = auto()
    FINE = auto()
    TIGHT = auto()
    SHORT = auto()
    CRITICAL = auto()


@dataclass(frozen=True)
class Shortage:
    """How short memory of the host is, and the evidence for it."""

    level: Level
    evidence: tuple[dict[str, Any], ...]

    @property
    def suffers(self) -> bool:
        """Return whether memory is short, so that a cause is owed and a large owner of memory is worth naming."""
        return self.level >= Level.SHORT


def is_low(available: float | None, usable: float | None) -> bool:
    """Return whether so much available memory is little, by share and by size."""
    share = ratio(available, usable)
    return share is not None and share < limit("available_low") and available < limit("available_low_bytes")


def _available_is_trusted(state: State) -> bool:
    """The cache of ZFS is reclaimable and counted nowhere, so that MemAvailable is too low by its size."""
    return not state.storage.zfs


def is_of_host(event: Event) -> bool:
    """Return whether a report is of memory that the whole host ran out of, as far as it tells."""
    return event.scope in (None, "global") and event.kind in ("oom", "allocation_failure")


def left_share(state: State) -> float | None:
    """Return the share of usable memory that is available; in a report, that was free or clean page cache."""
    return ratio(state.memory.available, state.memory.usable)


def _in_report(state: State) -> Level:
    """Return how short memory of the host was by a report.

    A report of the whole host is a shortage by itself, except where much was left: then the request could not use it.
    A kill by hand, or for a cgroup or a node, says nothing by itself, and an allocation that failed killed nobody.
    """
    event, left = state.event, left_share(state)
    if event is None or event.scope == "cgroup" or event.kind != "oom":
        return Level.UNKNOWN
    if left is not None and left >= limit("available_roomy"):
        return Level.FINE
    if is_of_host(event) and not event.sysrq:
        return Level.CRITICAL
    return Level.SHORT if is_low(state.memory.available, state.memory.usable) else Level.FINE


def judge(state: State) -> Shortage:
    """Return how short memory is.

    In a report, see _in_report. In facts, little available memory counts, unless pressure is
    measured and quiet; pressure counts, unless so much is available that it must come from a cgroup's own limit.
    """
    evidence = tuple(_evidence(state))
    if state.origin == "report":
        return Shortage(_in_report(state), evidence)
    memory = state.memory
    share = ratio(memory.available, memory.usable)
    some, full = state.pressure.some, state.pressure.full
    killing = bool(state.rates and state.rates.kills)
    if share is None and some is None:
        return Shortage(Level.UNKNOWN, evidence)
    roomy = share is not None and share >= limit("available_roomy")
    low = _available_is_trusted(state) and is_low(memory.available, memory.usable)
    stalled = some is not None and some >= limit("pressure_some") and not roomy
    thrashing = full is not None and full >= limit("pressure_full") and not roomy
    if thrashing or (killing and not roomy):
        return Shortage(Level.CRITICAL, evidence)
    if stalled:
        return Shortage(Level.CRITICAL if low else Level.SHORT, evidence)
    if not low:
        return Shortage(Level.FINE, evidence)
    if share < limit("available_critical") or some is None or some >= limit("pressure_quiet"):
        return Shortage(Level.SHORT, evidence)
    return Shortage(Level.TIGHT, evidence)


def _evidence(state: State):
    """Yield available memory, pressure, swap and kills: with a shortage its proof, without one the headroom."""
    memory, swap = state.memory, state.swap
    if memory.available is not None:
        source = memory.source("available")
        yield item("memory available", memory.available, "bytes", source)
        share = ratio(memory.available, memory.usable)
        if share is not None:
            yield item("share of usable memory that is available", share, "share", source, "available_low")
    swaps = state.where("/proc/meminfo SwapTotal, SwapFree", "Total swap, Free swap")
    if swap.total:
        if swap.used is not None:
            yield item("swap used", swap.used_share, "share", swaps, "swap_full")
    elif swap.total is not None:
        yield item("swap", 0, "bytes", swaps)
    for name, value in (("some", state.pressure.some), ("full", state.pressure.full)):
        if value is not None:
            said = "time in which a task waited for memory" if name == "some" else "time in which no task could run"
            yield item(said, value, "percent", f"/proc/pressure/memory {name}", f"pressure_{name}")
    if state.rates and state.rates.kills:
        yield item("processes killed in the sample", state.rates.kills, "per_second", "/proc/vmstat oom_kill", 0)


def confidence(position: float, low: str = "possible", high: str = "strong") -> float:
    """Return a confidence between two words, by a position of 0 to 1."""
    start, end = level(low), level(high)
    return start + (end - start) * max(0.0, min(1.0, position))


def dominance(state: State, amount: float) -> float:
    """Return how much of the memory that is held one owner has: 0 at a quarter, 1 at three quarters and above."""
    held = state.memory.held or state.memory.usable or state.memory.total
    low, high = limit("dominance_low"), limit("dominance_high")
    return ((ratio(amount, held) or 0) - low) / (high - low)
