# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads one OOM report of oom_report_info, or the memory of a saved crash, into the same State as facts.

Reports tell what their kernel printed, in bytes. They say nothing of rates, pressure, storage or limits in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Memory, State, Swap, Task
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import (
    at,
    mapping,
    number,
    numbers,
    rows,
    text,
    total,
)

_SOURCES = {
    "anon": "OOM report, active_anon + inactive_anon + isolated_anon",
    "shmem": "OOM report, shmem",
    "kernel": "OOM report, slab_unreclaimable",
    "slab_reclaimable": "OOM report, slab_reclaimable",
    "page_tables": "OOM report, pagetables + sec_pagetables",
    "mlocked": "OOM report, unevictable",
    "undrained": "OOM report, dirty + writeback + unstable",
    "file": "OOM report, active_file + inactive_file",
}


def memory_of(report: Mapping[str, Any], known_total: float | None) -> Memory:
    """Return the memory of a report. RAM is the report's own number of pages, else what the facts tell."""
    get = numbers(report.get("memory")).get
    whole = next((value for value in (get("total"), get("ram"), get("present"), known_total) if value), None)
    return Memory(
        total=whole,
        free=get("free"),
        anon=total(get("active_anon"), get("inactive_anon"), get("isolated_anon")),
        file=total(get("active_file"), get("inactive_file")),
        shmem=get("shmem"),
        slab_reclaimable=get("slab_reclaimable"),
        slab_unreclaimable=get("slab_unreclaimable"),
        page_tables=total(get("pagetables"), get("sec_pagetables")),
        mlocked=get("unevictable"),
        dirty=get("dirty"),
        writeback=total(get("writeback"), get("unstable")),
        sources=_SOURCES,
    )


def tasks_of(report: Mapping[str, Any]) -> tuple[Task, ...]:
    """Return the tasks of the report's table, largest first."""
    found = []
    for row in rows(report.get("tasks")):
        held = total(number(row.get("rss")), number(row.get("swap")))
        name = text(row.get("name")) or text(row.get("comm"))
        pid = number(row.get("pid"))
        if held is not None and name:
            found.append(Task(name, held, pid=None if pid is None else int(pid)))
    return tuple(sorted(found, key=lambda task: -task.size))


def pools_of(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Return the tasks of one name taken together, largest first."""
    sums: dict[str, tuple[float, int]] = {}
    for task in tasks:
        held, count = sums.get(task.name, (0, 0))
        sums[task.name] = (held + task.size, count + 1)
    found = [Task(name, held, count=count) for name, (held, count) in sums.items()]
    return tuple(sorted(found, key=lambda task: -task.size))


def state_of_report(report: Mapping[str, Any], facts: State) -> State:
    """Return the state of the host when the report was printed; facts lend RAM and the cgroups' version only."""
    tasks = tasks_of(report)
    return State(
        origin="report",
        subject="At the time of the OOM report this host",
        memory=memory_of(report, facts.memory.total),
        swap=Swap(total=number(at(report, "swap", "total")), free=number(at(report, "swap", "free"))),
        storage=facts.storage,
        cgroup_version=facts.cgroup_version,
        tasks=tasks,
        pools=pools_of(tasks),
        tasks_read=bool(tasks),
        report=report,
    )


def latest(reports: Iterable[Any], crash: Any) -> Mapping[str, Any] | None:
    """Return the report that led to the crash, else the newest of the reports that hold a memory state."""
    led_to_crash = at(crash, "report")
    candidates = [led_to_crash] if isinstance(led_to_crash, Mapping) else []
    if not candidates and mapping(at(crash, "memory")):
        candidates = [mapping(crash)]
    candidates = candidates or [report for report in rows(list(reports)) if mapping(report.get("memory"))]
    return max(candidates, key=lambda report: number(report.get("time")) or 0, default=None)
