# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes of one name taken together, by unit where more than one unit has such processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Task, in_common

Sums = Mapping[str, tuple[int, float]]


def pools(
    tasks: Iterable[Task], sums: Sums | None = None, known: Mapping[tuple, str] | None = None
) -> tuple[Task, ...]:
    """Return the tasks of one name taken together, largest first.

    sums: {name: (how many, bytes)} over all processes, where tasks are only the largest of them. known: the units of
    processes by PID and name, those that have ended too.
    A unit that is known of one of a name is taken to be that of all, unless another one of the name is of another unit:
    python3 and java are names of many things.
    """
    elsewhere: dict[str, set[str]] = {}
    for (_pid, name), unit in (known or {}).items():
        elsewhere.setdefault(name, set()).add(unit)
    named: dict[str, list[Task]] = {name: [] for name in sums or {}}
    for task in tasks:
        if sums is None or task.name in sums:
            named.setdefault(task.name, []).append(task)
    found = [
        pool
        for name, mine in named.items()
        for pool in _of_name(name, mine, (sums or {}).get(name), elsewhere.get(name, set()))
    ]
    return tuple(sorted(found, key=lambda pool: -pool.size))


def _of_name(name: str, tasks: list[Task], whole: tuple[int, float] | None, elsewhere: set[str]) -> list[Task]:
    units = {task.unit for task in tasks if task.unit}
    count, size = whole or (len(tasks), sum(task.size for task in tasks))
    if len(units | elsewhere) <= 1:
        return [_together(name, tasks, count, size, next(iter(units), None))]
    found = []
    for unit in sorted(units):
        mine = [task for task in tasks if task.unit == unit]
        found.append(_together(name, mine, len(mine), sum(task.size for task in mine), unit))
    left = count - sum(pool.count for pool in found)
    if left > 0:
        rest = [task for task in tasks if not task.unit]
        found.append(_together(name, rest, left, max(0, size - sum(pool.size for pool in found)), None))
    return found


def _together(name: str, tasks: list[Task], count: int, size: float, unit: str | None) -> Task:
    pids = frozenset(task.pid for task in tasks if task.pid is not None)
    sizes = [task.size for task in tasks]
    # Of those that are not listed only their sum is known: each is taken for the mean of them.
    left = count - len(sizes)
    if left > 0:
        sizes.append(max(0, size - sum(sizes)) / left)
    return Task(name, size, count=count, unit=unit, pids=pids, shared=in_common(sizes, count))
