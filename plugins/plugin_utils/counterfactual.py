# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would have been, had a proposal been in force: one sentence with one number, from the same evidence.

The number is a bound that the lab measures when it lets the same failure happen again with the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import duration, size, until
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import State, Task
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import KIB, MIB, PERCENT, mapping

Told = dict[str, Any]


def of(state: State, settings: Mapping[str, Any]) -> Told | None:
    """Return {said, what, value, unit} for the variables that a finding proposes; None where nothing follows.

    value is bytes or seconds: at least so much where it is what is left, at most so much where it is what is held.
    """
    parts = (_of_limits, _of_restarts, _of_swap, _of_dirty, _of_promises)
    return next((told for told in (part(state, settings) for part in parts) if told), None)


def _told(said: str, what: str, value: float, unit: str = "bytes") -> Told:
    return {"said": said, "what": what, "value": int(value), "unit": unit}


def _then(state: State) -> str:
    """Return when it would have been so, as the end of a sentence begins."""
    if state.event is None:
        return " now"
    return f" at {state.event.when}" if state.event.when else ""


def _of_limits(state: State, settings: Mapping[str, Any]) -> Told | None:
    memory = state.memory
    for unit, limits in mapping(settings.get("cgroup_memory_limit_units")).items():
        most = limits.get("MemoryMax")
        if not isinstance(most, (int, float)) or memory.usable is None or memory.available is None:
            return None
        held = min(_held_by(state, unit), state.to_fit)
        # The page cache that the shortage took comes back, and MemAvailable counts some of it as needed.
        varies = memory.usable * limit("others_vary")
        left = memory.usable - state.others(held, _owner(state, unit)) - most - memory.regrowing - varies
        if left <= 0:
            return None
        instead = f" instead of {size(memory.available)}" if left > memory.available else ""
        said = (
            f"With MemoryMax={size(most)} on {unit}, at least {size(left)} would be available{_then(state)}{instead}."
        )
        return _told(said, "memory available", left)
    return None


def _held_by(state: State, unit: str) -> float:
    """Return what reclaim cannot take from a unit and what it has in swap, by whichever account knows most of it."""
    mine = [group for group in state.groups if group.unit == unit]
    groups = [(group.held or group.current or 0) + (group.swap or 0) for group in mine]
    pools = [pool.size for pool in state.pools if pool.unit == unit]
    tasks = sum(task.size for task in state.tasks if task.unit == unit)
    return max([*groups, *pools, tasks])


def _owner(state: State, unit: str) -> Task | None:
    """Return the unit's processes, of one name or the one that holds most."""
    return next((one for one in (*state.pools, *state.tasks) if one.unit == unit), None)


def _of_restarts(state: State, settings: Mapping[str, Any]) -> Told | None:
    restarts = settings.get("swap_tuning_restarts") or []
    growth = state.event.growth if state.event else ()
    if not restarts or not growth[1:] or None in (growth[0][0], growth[-1][0]):
        return None
    seconds, grown = growth[-1][0] - growth[0][0], growth[-1][1] - growth[0][1]
    every = re.match(r"([0-9]+)s$", str(restarts[0].get("runtime_max") or ""))
    if not every or seconds <= 0 or grown <= 0:
        return None
    most = grown / seconds * int(every[1])
    said = (
        f"Restarted after {duration(int(every[1]))}, {restarts[0]['unit']} would hold at most {size(most)}"
        f"{_then(state)} instead of {size(growth[-1][1])}."
    )
    return _told(said, "memory of the service", most)


def _of_swap(state: State, settings: Mapping[str, Any]) -> Told | None:
    sizes = [re.match(r"([0-9]+)M$", str(file.get("size"))) for file in settings.get("swap_tuning_files") or []]
    added = sum(int(found[1]) * MIB for found in sizes if found)
    if not added:
        return None
    if state.swap.growth and state.swap.seconds_until_full is not None:
        later = state.swap.seconds_until_full + added / state.swap.growth
        said = (
            f"With {size(added)} more swap and the same growth, swap would be full {until(later)} instead of "
            f"{until(state.swap.seconds_until_full)}."
        )
        return _told(said, "time until swap is full", later, "seconds")
    said = f"With {size(added)} more swap, {size(added + (state.swap.free or 0))} of it would be free{_then(state)}."
    return _told(said, "free swap", added + (state.swap.free or 0))


def _of_dirty(state: State, settings: Mapping[str, Any]) -> Told | None:
    most, waiting = settings.get("dirty_throttle_bytes"), state.memory.undrained
    if not isinstance(most, (int, float)) or waiting is None:
        return None
    held = most * (1 + limit("dirty_overshoot"))
    said = (
        f"With dirty_bytes {size(most)}, at most {size(held)} would wait for storage{_then(state)} instead of "
        f"{size(waiting)}: the kernel sees a little late that the limit is met."
    )
    return _told(said, "dirty and writeback", held)


def _of_promises(state: State, settings: Mapping[str, Any]) -> Told | None:
    over, swap = state.overcommit, state.swap.total or 0
    kbytes, share = settings.get("overcommit_limit_kbytes"), settings.get("overcommit_limit_ratio")
    if over.committed is None or (kbytes is None and (share is None or state.memory.usable is None)):
        return None
    # The kernel counts in pages, and rounds down.
    most = (swap + (kbytes * KIB if kbytes is not None else state.memory.usable * share / PERCENT)) // MIB * MIB
    refused = state.event is not None
    asked = state.event.wanted if refused else None
    left = most - over.committed
    if asked is not None:
        # Who was refused reserves a little more than that, once it runs.
        left -= asked + limit("others_vary") * (state.memory.usable or 0)
    if left <= 0:
        return None
    more = f"With it {size(most)} may be promised, {size(most - over.committed)} more than is now"
    if not refused:
        return _told(f"{more}.", "memory that may still be promised", left)
    if asked is None:
        # Of that the refused program takes what it asks for, and older kernels do not say how much that is.
        return _told(f"{more}; how much was refused is not known.", "memory that may be promised", most)
    said = f"{more}, and {size(left)} once the {size(asked)} that were refused are promised too."
    return _told(said, "memory that may still be promised", left)
