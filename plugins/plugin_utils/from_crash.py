# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads one crash of vmcore_info: what the dump tells beyond the report that led to it, or instead of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import item
from ansible_collections.linux_memory.oom.plugins.plugin_utils.from_facts import state_of, tasks_of
from ansible_collections.linux_memory.oom.plugins.plugin_utils.from_report import pools_of
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import State
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import (
    at,
    mapping,
    number,
    rows,
    text,
    total,
)

# How many devices and caches a finding names.
_MOST = 3


def was_read(crash: Any) -> bool:
    """Return whether this is a crash whose kernel was read, not its log alone."""
    return text(at(crash, "source")) == "drgn" and bool(mapping(at(crash, "memory")))


def state_of_crash(crash: Mapping[str, Any]) -> State:
    """Return the state of a host when it crashed, as its structures tell: for a crash that no report led to."""
    return replace(
        state_of({**crash, "meminfo": crash["memory"]}), subject="At the time of the crash this host", tasks_read=True
    )


def with_crash(state: State, crash: Any) -> State:
    """Return the state of a report with what the dump adds: the units of tasks, and the tasks where it lists none."""
    if not was_read(crash):
        return state
    found = tasks_of(at(crash, "processes"))
    if not state.tasks_read and found:
        return replace(state, tasks=found, pools=pools_of({}, found), tasks_read=True)
    units = {(task.pid, task.name): task.unit for task in found}
    tasks = tuple(replace(task, unit=task.unit or units.get((task.pid, task.name))) for task in state.tasks)
    return replace(state, tasks=tasks, pools=pools_of(mapping(at(crash, "report")), tasks))


def _devices(crash: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    listed = []
    for row in rows(at(crash, "writeback", "devices")):
        held = total(number(row.get("dirty")), number(row.get("writeback")))
        if held:
            listed.append((held, text(row.get("name")) or text(row.get("device")) or "unnamed"))
    for held, name in sorted(listed, reverse=True)[:_MOST]:
        yield item(f"dirty and under writeback for {name}", held, "bytes", "dump, backing devices")


def _caches(crash: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for row in list(rows(at(crash, "slab", "caches")))[:_MOST]:
        name, held = text(row.get("name")), number(row.get("bytes"))
        if name and held:
            yield item(f"slab cache {name}", held, "bytes", "dump, slab caches")


_BY_CAUSE = {"dirty_pages": _devices, "storage_fault": _devices, "kernel_memory": _caches}


def tell(findings: list[dict[str, Any]], crash: Any) -> None:
    """Add to the findings what the dump tells of each, and to the verdict what it tells of the crash."""
    if text(at(crash, "source")) is None:
        return
    for each in findings:
        if was_read(crash) and each["cause"] in _BY_CAUSE:
            each["evidence"] += _BY_CAUSE[each["cause"]](crash)
    pieces = []
    panic, when = text(at(crash, "panic")), text(at(crash, "time"))
    if panic:
        pieces.append(item("the kernel panicked", panic, "text", "dump, log"))
    if when and at(crash, "report") is None:
        pieces.append(item("time of the crash", when, "text", "dump"))
    if was_read(crash):
        mode = number(at(crash, "sysctl", "keys", "vm.panic_on_oom", "running"))
        if mode is not None:
            pieces.append(item("vm.panic_on_oom at the crash", mode, "count", "dump, settings"))
        promised, bound = number(at(crash, "memory", "committed_as")), number(at(crash, "memory", "commit_limit"))
        if promised is not None:
            pieces.append(
                item("memory promised to programs at the crash", promised, "bytes", "dump, Committed_AS", bound)
            )
    elif text(at(crash, "why")):
        pieces.append(item("read from the crash's log alone", text(at(crash, "why")), "text", "vmcore_info"))
    findings[0]["evidence"] += pieces
