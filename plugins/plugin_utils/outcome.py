# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host is worse off than before a change: two readings of memory_facts in, sentences out.

Worse is what the host itself counts: the OOM killer killed outside of the units that were limited just now, or all
programs stand still for memory more than before. Inside a limited unit both are what its limit is there for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import duration, percent
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import PERCENT, at, number, rows, text

# How much more of the time than before has to be lost: pressure varies by itself, and seldom to the double.
_MORE = 2
# A reading over less than this says nothing about a share of time.
_SHORTEST = 2  # seconds


def worse(before: Mapping[str, Any], after: Mapping[str, Any], limited: Iterable[str] = ()) -> list[str]:
    """Return what is worse in the second reading, a sentence each; limited: units that the change has limited."""
    units = set(limited)
    if _uptime(after) < _uptime(before):
        return ["The host has started anew since the change."]
    found = (_kills(before, after, units), _stalled(before, after, units))
    return [sentence for sentence in found if sentence]


def _uptime(facts: Mapping[str, Any]) -> float:
    return number(at(facts, "system", "uptime")) or 0


def _kills(before: Mapping[str, Any], after: Mapping[str, Any], units: set[str]) -> str | None:
    """Return what to say of kills since the first reading, less those inside of the limited units."""
    new = {unit: _unit_kills(after)[unit] - _unit_kills(before).get(unit, 0) for unit in _unit_kills(after)}
    inside = sum(max(0, new.get(unit, 0)) for unit in units)
    if _in_container(after):
        # The counters of /proc/vmstat are those of the machine, with all that happens beside the container.
        outside = sum(max(0, kills) for unit, kills in new.items() if unit not in units)
    else:
        earlier, later = (number(at(facts, "vmstat", "counters", "oom_kill")) for facts in (before, after))
        outside = 0 if earlier is None or later is None else later - earlier - inside
    if outside <= 0:
        return None
    where = f" (and {inside} inside, which their limits are for)" if inside else ""
    told = "a process" if outside == 1 else f"{outside} processes"
    return f"The OOM killer has killed {told} outside of the limited units{where} since the change."


def _in_container(facts: Mapping[str, Any]) -> bool:
    return bool(at(facts, "system", "container"))


def _unit_kills(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return how many processes were killed in each unit; a slice's are those of what it holds."""
    named = ((text(group.get("unit")), group) for group in rows(at(facts, "cgroups", "groups")))
    return {
        unit: number(at(group, "events", "oom_kill")) or 0
        for unit, group in named
        if unit and not unit.endswith(".slice")
    }


def _stalled(before: Mapping[str, Any], after: Mapping[str, Any], units: set[str]) -> str | None:
    """Return what to say of the time in which no program made progress for lack of memory."""
    earlier, later = (number(at(facts, "pressure", "memory", "full", "total")) for facts in (before, after))
    seconds = _uptime(after) - _uptime(before)
    if earlier is None or later is None or seconds < _SHORTEST or _in_container(after):
        return None
    share = min(PERCENT, max(0, later - earlier) / seconds * PERCENT)
    was = max(number(at(before, "pressure", "memory", "full", name)) or 0 for name in ("avg10", "avg60", "avg300"))
    if share < limit("pressure_full") or share < _MORE * was or _is_of_units(after, units):
        return None
    return (
        f"All programs stood still for memory in {percent(share)} of the {duration(seconds)} since the change, and in "
        f"{percent(was)} before."
    )


def _is_of_units(facts: Mapping[str, Any], units: set[str]) -> bool:
    """Return whether a limited unit stands still itself: with nothing else to run, the host counts that as its own."""
    for group in rows(at(facts, "cgroups", "groups")):
        stalled = number(at(group, "pressure", "full", "avg10")) or 0
        if group.get("unit") in units and stalled >= limit("pressure_full"):
            return True
    return False
