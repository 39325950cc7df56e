# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads one OOM report of oom_report_info, or the report in a saved crash, into the same State as facts.

Reports tell what their kernel printed, in bytes. They say nothing of rates, pressure, storage or limits in force. A
report of a cgroup has no counters of the host: the memory of its State is then that of the facts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.pools import pools
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import (
    Event,
    Group,
    Memory,
    Moment,
    State,
    Swap,
    Task,
    Zone,
)
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import (
    at,
    mapping,
    number,
    numbers,
    rows,
    text,
    total,
)

# (PID, name) of a task to its unit
Units = dict[tuple[float | None, str | None], str]

# Reports of one shortage that are looked at for what others hold; a storm of kills has hundreds that differ little.
_MOST_EARLIER = 20

_SOURCES = {
    "total": "OOM report, pages RAM less pages reserved",
    "available": "OOM report, free + clean file pages, less what zones keep (high, low, lowmem_reserve)",
    "anon": "OOM report, active_anon + inactive_anon + isolated_anon - shmem",
    "shmem": "OOM report, shmem",
    "kernel": "OOM report, slab_unreclaimable + slab_reclaimable + kernel_stack",
    "slab_reclaimable": "OOM report, slab_reclaimable",
    "slab_unreclaimable": "OOM report, slab_unreclaimable",
    "kernel_stack": "OOM report, kernel_stack",
    "page_tables": "OOM report, pagetables + sec_pagetables",
    "mlocked": "OOM report, unevictable",
    "huge_pool": "OOM report, hugepages_total x hugepages_size",
    "huge_unused": "OOM report, hugepages_free x hugepages_size",
    "undrained": "OOM report, dirty + writeback + unstable",
    "file": "OOM report, active_file + inactive_file",
    "unaccounted": "OOM report, RAM less everything that has a counter",
    "balloon": "OOM report, Balloon",
}
_SUMMED = "OOM report, the sum of its counters, for want of a line on RAM"
_TABLED = "OOM report, the sum of its task table, for want of Mem-Info"

# Global counters that do not overlap: what they do not own, nobody does.
_OWNERS = (
    *("active_anon", "inactive_anon", "isolated_anon", "active_file", "inactive_file", "isolated_file", "unevictable"),
    *("active", "inactive", "slab", "slab_reclaimable", "slab_unreclaimable", "kernel_misc_reclaimable"),
    *("pagetables", "sec_pagetables", "bounce", "free", "free_pcp"),
)
# Counted only by node or by zone: kernel stacks, what graphics drivers hold, and compressed swap in RAM (zsmalloc).
_LOCAL_OWNERS = ("kernel_stack", "gpu_active", "gpu_reclaim", "zspages")
# Without these a sum of owners says nothing: (one of, ...) of the names that old and new kernels use.
_NEEDED = (("free",), ("active_anon", "active"), ("inactive_anon", "inactive"), ("slab_unreclaimable", "slab"))

# A cgroup of which only that it met its limit is left in the log.
_UNNAMED = "An unnamed cgroup"
_UNITS = (".service", ".scope", ".slice", ".mount", ".swap", ".socket")
_HEXADECIMAL = 16
# Of the page cache MemAvailable counts half as needed, at most the low watermarks.
_HALF = 0.5
# No machine has more nodes (Linux include/linux/numa.h, CONFIG_NODES_SHIFT of at most 10).
_MOST_NODES = 1024


def _local(report: Mapping[str, Any], name: str) -> float | None:
    """Return the sum of a counter that nodes or else zones have, and the host has not, as kernel stacks."""
    for place in ("nodes", "zones"):
        found = total(*(number(row.get(name)) for row in rows(report.get(place))))
        if found is not None:
            return found
    return None


def _pools(report: Mapping[str, Any]) -> list[tuple[float, float, float]]:
    """Return (bytes of a page, pages, free pages) of each pool of huge pages that is not empty."""
    found = []
    for row in rows(report.get("hugepages")):
        each, pages, free = number(row.get("size")), number(row.get("total")), number(row.get("free"))
        if each and pages:
            found.append((each, pages, min(free or 0, pages)))
    return found


def _has_whole_table(report: Mapping[str, Any]) -> bool:
    """Return whether the task table is there as far as it tells: of one that has lost the victim the sum says nothing.

    Where the kernel panicked instead of killing, the table stands right before that, and has all but its beginning.
    """
    listed = [number(row.get("pid")) for row in rows(report.get("tasks"))]
    victim = number(at(report, "victim", "pid"))
    return len(listed) > 1 and (victim in listed or (victim is None and report.get("panicked") is True))


def _whole(
    report: Mapping[str, Any], get: Any, owned: float | None, facts: State, tasks: Sequence[Task]
) -> tuple[float | None, str]:
    """Return all RAM and where it is from: the report, the facts, the sum of the counters, or of the task table.

    None where all of these are lost or in part: a share of what happens to be left would be invented.
    """
    ram = get("ram")
    if ram:
        return max(0, ram - (get("reserved") or 0)) or None, _SOURCES["total"]
    if facts.memory.total:
        return facts.memory.total, facts.memory.source("total")
    if owned:
        return owned, _SUMMED
    if tasks and number(report.get("tasks_left_out")):
        return _held(mapping(report.get("tasks_total"))), _TABLED
    return (total(*(task.size for task in tasks)), _TABLED) if tasks else (None, "")


def _available(report: Mapping[str, Any], free: float, clean: float) -> tuple[float, float]:
    """Return what MemAvailable would have been (Linux mm/show_mem.c si_mem_available), less dirty pages and slab, and
    how much page cache it would count as needed beyond that which is left.

    The zones keep free memory back for the kernel's own use: 50 MiB of 750 where transparent huge pages are on
    (mm/khugepaged.c set_recommended_min_free_kbytes). In a shortage that is used too: then it is less than 0.
    """
    zones = list(rows(report.get("zones")))
    kept = total(*(_kept(zone) for zone in zones)) or 0
    low = total(*(number(zone.get("low")) for zone in zones)) or 0
    needed = min(low, clean * _HALF)
    return free - kept + clean - needed, low - needed


def _kept(zone: Mapping[str, Any]) -> float | None:
    """Return what a zone keeps from programs (Linux mm/page_alloc.c calculate_totalreserve_pages)."""
    high = number(zone.get("high"))
    if high is None:
        return None
    pages = zone.get("lowmem_reserve")
    reserve = max((number(each) or 0 for each in pages), default=0) if isinstance(pages, list) else 0
    managed = number(zone.get("managed"))
    return high + reserve if managed is None else min(high + reserve, managed)


def memory_of(report: Mapping[str, Any], facts: State, tasks: Sequence[Task] = ()) -> Memory:
    """Return the memory of a report by owner."""
    get = numbers(report.get("memory")).get
    pools = _pools(report)
    pool = total(*(each * pages for each, pages, _free in pools)) or 0
    owned = total(*(get(name) for name in _OWNERS), *(_local(report, name) for name in _LOCAL_OWNERS), pool or None)
    summable = all(any(get(name) is not None for name in names) for names in _NEEDED)
    table = tasks if _has_whole_table(report) else ()
    whole, source = _whole(report, get, owned if summable else None, facts, table)
    if whole and pool > whole:
        # The lines of another report: nothing can be said of the pools.
        pools, pool = [], 0
    shmem, lru = get("shmem"), total(get("active_anon"), get("inactive_anon"), get("isolated_anon"))
    file, dirty, writeback = (
        total(get("active_file"), get("inactive_file")),
        get("dirty"),
        total(get("writeback"), get("unstable")),
    )
    available, regrowing = None, 0
    if get("free") is not None and whole:
        clean = max(0, (file or 0) - (dirty or 0) - (writeback or 0))
        available, regrowing = _available(report, get("free"), clean)
    return Memory(
        total=whole,
        free=get("free"),
        available=None if available is None else max(0, min(whole, available)),
        overdrawn=max(0, -(available or 0)),
        regrowing=regrowing,
        # Shared pages are on the lists of anonymous ones, too.
        anon=None if lru is None else max(0, lru - (shmem or 0)),
        file=file,
        shmem=shmem,
        slab_reclaimable=get("slab_reclaimable"),
        slab_unreclaimable=get("slab") if get("slab_unreclaimable") is None else get("slab_unreclaimable"),
        slab_stuck=get("slab_reclaimable"),
        kernel_stack=_local(report, "kernel_stack"),
        page_tables=total(get("pagetables"), get("sec_pagetables")),
        mlocked=get("unevictable"),
        huge_pool=pool,
        huge_unused=total(*(each * free for each, _pages, free in pools)) or 0,
        # A number of pages to keep can only be told where there is one size.
        huge_page=pools[0][0] if len({each for each, _pages, _free in pools}) == 1 else None,
        huge_pages=total(*(pages for _each, pages, _free in pools)),
        dirty=dirty,
        writeback=writeback,
        unaccounted=max(0, whole - owned) if get("ram") and whole and owned and summable else None,
        balloon=_local(report, "balloon"),
        sources={**_SOURCES, "total": source},
    )


def _held(row: Mapping[str, Any]) -> float | None:
    """Return what a task holds: anonymous and shared memory and swap, where the kernel tells them apart."""
    private = total(number(row.get("rss_anon")), number(row.get("rss_shmem")))
    if private is None:
        private = total(number(row.get("anon_rss")), number(row.get("shmem_rss")))
    if private is None:
        private = number(row.get("rss"))
    return total(private, number(row.get("swap")))


def unit_of(path: Any) -> str | None:
    """Return the systemd unit that a cgroup's path ends in, else None."""
    name = (text(path) or "").rstrip("/").rpartition("/")[-1]
    return name if name.endswith(_UNITS) else None


def _task(row: Mapping[str, Any], unit: str | None = None) -> Task | None:
    held, name, pid = _held(row), text(row.get("comm")), number(row.get("pid"))
    if held is None or not name:
        return None
    return Task(name, held, pid=None if pid is None else int(pid), unit=unit)


def tasks_of(report: Mapping[str, Any], units: Units | None = None) -> tuple[Task, ...]:
    """Return the tasks of the report's table, or those that were killed where there is none; largest first.

    units: the units of tasks that are known from elsewhere, as units_of() has them: a table tells none.
    """
    known = {**(units or {}), **_unit_of_victim(report)}
    listed = list(rows(report.get("tasks"))) or list(rows(report.get("victims")))
    found = [_task(row, known.get(_identity(row))) for row in listed]
    return tuple(sorted((task for task in found if task), key=lambda task: -task.size))


def _identity(row: Mapping[str, Any]) -> tuple[float | None, str | None]:
    return number(row.get("pid")), text(row.get("comm"))


def _unit_of_victim(report: Mapping[str, Any]) -> Units:
    unit, victim = unit_of(report.get("task_memcg")), mapping(report.get("victim"))
    return {_identity(victim): unit} if unit and number(victim.get("pid")) is not None else {}


def units_of(report: Mapping[str, Any], reports: Iterable[Mapping[str, Any]], facts: State) -> Units:
    """Return the units of tasks by PID and name: of those that other reports of the boot killed, and of those that run
    now and ran already when the report was printed."""
    found: Units = {}
    epoch = number(report.get("epoch"))
    # In a container a process has another number than in the machine's log.
    for task in () if facts.container or epoch is None else facts.tasks:
        if task.unit and task.since is not None and task.since <= epoch:
            found[task.pid, task.name] = task.unit
    for other in reports:
        if other.get("boot") == report.get("boot"):
            found.update(_unit_of_victim(other))
    return found


def pools_of(report: Mapping[str, Any], tasks: Iterable[Task], units: Units | None = None) -> tuple[Task, ...]:
    """Return the tasks of one name taken together, largest first: the sums over all tasks where the table was cut."""
    if not number(report.get("tasks_left_out")):
        return pools(tasks, known=units)
    sums = {}
    for row in rows(report.get("tasks_by_comm")):
        name, count, held = text(row.get("comm")), number(row.get("tasks")), _held(row)
        if name and count and held is not None:
            sums[name] = (int(count), held)
    return pools(tasks, sums, units)


def group_of(report: Mapping[str, Any]) -> Group:
    """Return the cgroup that met its limit, by any of the three ways in which kernels print its account."""
    account = mapping(report.get("memcg"))
    path = text(report.get("cgroup")) or text(account.get("path")) or _UNNAMED
    stats = numbers(account.get("stats"))

    def get(*names: str) -> float | None:
        # On v1 total_NAME includes the cgroups below, which share the limit.
        known = (stats.get(prefix + name) for name in names for prefix in ("total_", ""))
        return next((value for value in known if value is not None), None)

    shmem = get("shmem")
    kernel = stats.get("kernel")
    if kernel is None:
        kernel = total(*(stats.get(name) for name in ("slab", "kernel_stack", "pagetables", "percpu", "sock")))
    if kernel is None:
        kernel = number(at(account, "kmem", "usage"))
    return Group(
        path=path,
        unit=unit_of(path),
        current=number(account.get("usage")),
        max=number(account.get("limit")),
        swap=number(at(account, "swap", "usage")),
        anon=get("anon", "rss"),
        shmem=shmem,
        kernel=kernel,
        dirty=get("file_dirty", "dirty"),
        writeback=get("file_writeback", "writeback"),
        ooms=1,
    )


def _version(report: Mapping[str, Any], facts: State) -> str | None:
    """Return the version of the cgroups: v1 accounts for memory and swap together, v2 for each."""
    account = mapping(report.get("memcg"))
    if mapping(account.get("memsw")):
        return "v1"
    return "v2" if mapping(account.get("swap")) else facts.cgroup_version


def _nodes(*lists: Any) -> frozenset[int] | None:
    """Return the nodes in the first list that names some, such as "0-1,3"; None for any node."""
    for listed in lists:
        found: set[int] = set()
        for part in (text(listed) or "").split(","):
            first, _dash, last = part.strip().partition("-")
            start, end = number(first), number(last or first)
            if start is not None and end is not None and int(start) <= int(end) < _MOST_NODES:
                found.update(range(int(start), int(end) + 1))
        if found:
            return frozenset(found)
    return None


def zones_of(report: Mapping[str, Any]) -> tuple[Zone, ...]:
    """Return the zones of which the report tells how much is free."""
    found = []
    for row in rows(report.get("zones")):
        get, name = numbers(row).get, text(row.get("zone"))
        if name is None or get("free") is None:
            continue
        reserves = row.get("lowmem_reserve")
        known = [number(each) or 0 for each in reserves] if isinstance(reserves, (list, tuple)) else []
        sized = ((number(each.get("size")), number(each.get("count"))) for each in rows(row.get("blocks")))
        found.append(
            Zone(
                name=name,
                node=None if get("node") is None else int(get("node")),
                free=get("free"),
                file=total(get("active_file"), get("inactive_file")) or 0,
                low=get("low", get("min", 0)),
                reserve=max(known, default=0),
                free_cma=get("free_cma", 0),
                blocks=tuple((size, count) for size, count in sized if size and count),
            )
        )
    return tuple(found)


def _integer(value: Any) -> int | None:
    """Return a whole number from -1, which orders have that are none, else None."""
    if isinstance(value, bool) or not isinstance(value, int):
        known = number(value)
        return None if known is None else int(known)
    return value if value >= -1 else None


def _mask(value: Any) -> int | None:
    """Return a gfp mask, which a report tells in hexadecimal."""
    try:
        return int(text(value) or "", _HEXADECIMAL)
    except ValueError:
        return None


def event_of(report: Mapping[str, Any]) -> Event:
    """Return what the report tells of the event itself."""
    trigger = mapping(report.get("trigger"))
    order = _integer(trigger.get("order"))
    return Event(
        kind=text(report.get("kind")) or "oom",
        scope=text(report.get("scope")),
        constraint=text(report.get("constraint")),
        cgroup=text(report.get("cgroup")),
        sysrq=report.get("sysrq") is True or order == -1,
        order=order,
        gfp=_mask(trigger.get("gfp_mask")),
        whole=report.get("truncated") is not True,
        outcome=text(report.get("outcome")),
        trigger=text(trigger.get("comm")),
        victim=_task(mapping(report.get("victim")), unit_of(report.get("task_memcg"))),
        nodes=_nodes(report.get("nodemask"), report.get("mems_allowed")),
        zones=zones_of(report),
        page=number(report.get("page_size")),
        wanted=number(report.get("bytes")),
        when=text(report.get("time")) or text(report.get("time_text")),
        host=text(report.get("host")),
        counted=bool(mapping(report.get("memory")) or mapping(report.get("memcg"))),
    )


def _moment(report: Mapping[str, Any]) -> float | None:
    """Return when a report was written, in seconds since 1970, or since boot where no more is known."""
    epoch = number(report.get("epoch"))
    return number(report.get("uptime")) if epoch is None else epoch


def _place(report: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes two reports the same trouble: the kind, the scope and the cgroup, for the host the victim."""
    scope, group = text(report.get("scope")), text(report.get("cgroup"))
    who = None if scope == "cgroup" else text(at(report, "victim", "comm"))
    return (text(report.get("kind")), scope, group, who)


def _largest_over(reports: Sequence[Mapping[str, Any]], task: Task | None) -> tuple[tuple[float | None, float], ...]:
    """Return when and how large a task was in each of the reports that list it."""
    if task is None or task.pid is None:
        return ()
    found = []
    for report in reports:
        for row in rows(report.get("tasks")):
            # The name last: it costs most to clean.
            if number(row.get("pid")) == task.pid and text(row.get("comm")) == task.name and _held(row) is not None:
                found.append((_moment(report), _held(row)))
                break
    return tuple(found)


def joined(report: Mapping[str, Any], reports: Sequence[Mapping[str, Any]], tasks: Sequence[Task]) -> dict[str, Any]:
    """Return what several reports tell together: repeats, period and growth of an Event. reports are oldest first."""
    place = _place(report)
    same = [each for each in reports if _place(each) == place]
    times = [moment for moment in map(_moment, same) if moment is not None]
    steps = len(times) - 1
    return {
        "repeats": max(1, len(same)),
        "period": (max(times) - min(times)) / steps if steps > 0 else None,
        "growth": _largest_over(reports, tasks[0] if tasks else None),
    }


def earlier_of(
    report: Mapping[str, Any], reports: Iterable[Mapping[str, Any]], facts: State, units: Units
) -> tuple[Moment, ...]:
    """Return what was held in the host's reports of the same shortage before this one, the last ones of many."""
    same = (
        each
        for each in reports
        if each is not report and each.get("boot") == report.get("boot") and each.get("scope") == report.get("scope")
    )
    return _moments(same, _moment(report), facts, units)


def with_earlier(facts: State, reports: Sequence[Mapping[str, Any]]) -> State:
    """Return the state of facts that knows what was held in the reports of the host's shortage in the minutes before.

    Who was killed in them is no longer there, and comes back. reports are oldest first.
    """
    same = [
        each
        for each in reports
        if each.get("scope") == "global" and (number(each.get("epoch")) or 0) >= (facts.booted or math.inf)
    ]
    units = units_of(same[-1], reports, facts) if same else {}
    return replace(facts, earlier=_moments(same, facts.time, facts, units))


def _moments(reports: Iterable[Mapping[str, Any]], now: float | None, facts: State, units: Units) -> tuple[Moment, ...]:
    """Return what was held in those reports that are of the minutes before."""
    found = []
    for each in reports:
        moment = _moment(each)
        if None in (now, moment) or not 0 <= now - moment <= limit("same_shortage"):
            continue
        tasks = tasks_of(each, units)
        then = State(memory=memory_of(each, facts, tasks), swap=_swap_of(each))
        if then.to_fit is not None and tasks:
            found.append(Moment(then.to_fit, then.programs, tasks, _unlisted(each, tasks)))
    return tuple(found[-_MOST_EARLIER:])


def _unlisted(report: Mapping[str, Any], tasks: Iterable[Task]) -> dict[str, float]:
    """Return what tasks of each name held that are not in the table; nothing where it is whole."""
    if not number(report.get("tasks_left_out")):
        return {}
    left = {text(row.get("comm")): _held(row) or 0 for row in rows(report.get("tasks_by_comm"))}
    for task in tasks:
        left[task.name] = left.get(task.name, 0) - task.size
    return {name: size for name, size in left.items() if name and size > 0}


def state_of_report(report: Mapping[str, Any], facts: State, reports: Sequence[Mapping[str, Any]] = ()) -> State:
    """Return the state of the host, or of the cgroup, when the report was printed.

    facts lend what a report does not tell: RAM, the cgroups' version, the tmpfs mounts. reports are all of the host,
    oldest first, this one included.
    """
    units = units_of(report, reports, facts)
    tasks = tasks_of(report, units)
    event = replace(event_of(report), **joined(report, reports, tasks))
    state = State(
        origin="report",
        container=facts.container,
        storage=replace(facts.storage, faults=(), suspicions=(), slow=()),
        cgroup_version=_version(report, facts),
        tasks=tasks,
        pools=pools_of(report, tasks, units),
        tasks_read=any(rows(report.get("tasks"))),
        overcommit=facts.overcommit,
        lru_gen=facts.lru_gen,
        event=event,
        earlier=earlier_of(report, reports, facts, units),
    )
    if event.kind != "oom" and not event.counted:
        return replace(state, subject=facts.subject, memory=facts.memory, swap=facts.swap)
    if event.scope == "cgroup":
        return replace(
            state,
            subject=facts.subject,
            memory=facts.memory,
            writeback=facts.writeback,
            swap=Swap(total=facts.swap.total, free=facts.swap.free),
            groups=(group_of(report),),
        )
    return replace(
        state,
        subject="At the time of the OOM report this host",
        memory=memory_of(report, facts, tasks),
        swap=_swap_of(report),
    )


def _swap_of(report: Mapping[str, Any]) -> Swap:
    return Swap(total=number(at(report, "swap", "total")), free=number(at(report, "swap", "free")))


def in_order(reports: Iterable[Any]) -> list[Mapping[str, Any]]:
    """Return the reports, oldest first: by their time, or as they are listed where one lacks it."""
    found = list(rows(list(reports)))
    if all(number(report.get("epoch")) is not None for report in found):
        found.sort(key=lambda report: number(report.get("epoch")) or 0)
    return found


def latest(reports: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any] | None:
    """Return the newest report of a kind. reports are oldest first."""
    return next((each for each in reversed(reports) if (text(each.get("kind")) or "oom") == kind), None)


def of_crash(crash: Any) -> Mapping[str, Any] | None:
    """Return the report that led to a crash, or the crash itself where it tells of memory as a report does."""
    led_to = at(crash, "report")
    if isinstance(led_to, Mapping):
        return led_to
    if text(at(crash, "source")) is not None:
        # A crash of vmcore_info: its memory is named as in /proc/meminfo (see from_crash.py).
        return None
    return mapping(crash) if mapping(at(crash, "memory")) else None
