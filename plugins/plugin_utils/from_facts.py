# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the facts of one host, ansible_facts.linux_memory of memory_facts, into a State."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils import composition
from ansible_collections.linux_memory.oom.plugins.plugin_utils.from_storage import storage_of, writeback_of
from ansible_collections.linux_memory.oom.plugins.plugin_utils.pools import pools
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import (
    Group,
    Memory,
    Overcommit,
    Pressure,
    Rates,
    State,
    Swap,
    Task,
)
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import (
    at,
    flag,
    mapping,
    number,
    numbers,
    rows,
    text,
    total,
)

# Of the page cache, what MemAvailable would roughly count (Documentation/filesystems/proc.rst MemAvailable).
HALF = 0.5

_SOURCES = {
    "total": "/proc/meminfo MemTotal",
    "available": "/proc/meminfo MemAvailable",
    "anon": "/proc/meminfo AnonPages",
    "shmem": "/proc/meminfo Shmem",
    "kernel": "/proc/meminfo SUnreclaim + Percpu + the larger of VmallocUsed and KernelStack",
    "slab_reclaimable": "/proc/meminfo SReclaimable",
    "slab_unreclaimable": "/proc/meminfo SUnreclaim",
    "vmalloc": "/proc/meminfo VmallocUsed",
    "kernel_stack": "/proc/meminfo KernelStack",
    "percpu": "/proc/meminfo Percpu",
    "page_tables": "/proc/meminfo PageTables + SecPageTables",
    "mlocked": "/proc/meminfo Mlocked",
    "huge_pool": "/proc/meminfo Hugetlb",
    "huge_unused": "/proc/meminfo (HugePages_Free - HugePages_Rsvd) x Hugepagesize",
    "undrained": "/proc/meminfo Dirty + Writeback + NFS_Unstable",
    "file": "/proc/meminfo Cached + Buffers - Shmem",
    "unaccounted": "/proc/meminfo MemTotal less everything that has a counter",
    "balloon": "/proc/meminfo Balloon",
    "swap": "/proc/meminfo SwapTotal - SwapFree",
}


def _unaccounted(known: Mapping[str, float], compressed: float) -> float | None:
    """Return RAM that no counter owns, or None where the counters are too few to say. compressed: zram and zswap.

    Pages on the LRU lists and pages by what they are for are two readings of the same memory; the larger is taken, so
    that pages on their way between lists do not look lost. A kernel with no slab at all is a made-up meminfo (lxcfs).
    """

    def add(*names: str) -> float:
        return sum(known.get(name, 0) for name in names)

    needed = ("mem_total", "mem_free", "cached", "slab", "anon_pages", "inactive_file", "page_tables")
    if any(name not in known for name in needed) or not known["slab"]:
        return None
    lists = add("active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable")
    purposes = add("anon_pages", "cached", "buffers", "swap_cached")
    kernel = add("slab", "kernel_stack", "page_tables", "sec_page_tables", "percpu", "vmalloc_used", "bounce")
    kernel += max(0, known.get("k_reclaimable", 0) - known.get("s_reclaimable", 0))
    others = add("writeback_tmp", "hardware_corrupted", "gpu_active", "gpu_reclaim")
    owned = known["mem_free"] + max(lists, purposes) + kernel + others + compressed + (_huge_pool(known) or 0)
    return max(0, known["mem_total"] - owned)


def _huge_pool(known: Mapping[str, float]) -> float | None:
    """Return the bytes in the pools of huge pages; kernels before 4.16 only tell the pool of the default size."""
    pages, each = known.get("huge_pages_total"), known.get("hugepagesize")
    return known.get("hugetlb", pages * each if pages is not None and each is not None else None)


def _estimated_available(known: Mapping[str, float]) -> float | None:
    """Return MemAvailable for kernels before 3.14, which lack it: free memory and half of the page cache."""
    if "mem_free" not in known or "inactive_file" not in known:
        return None
    return known["mem_free"] + (known.get("active_file", 0) + known["inactive_file"]) * HALF


def memory_of(meminfo: Any, compressed: float = 0) -> Memory:
    """Return the memory of a host by owner. compressed: what zram and zswap occupy, which meminfo may not tell."""
    known = numbers(meminfo)
    get = known.get
    cached, shmem = get("cached"), get("shmem")
    available = get("mem_available")
    sources = dict(_SOURCES)
    if available is None:
        available = _estimated_available(known)
        sources["available"] = "/proc/meminfo MemFree + (Active(file) + Inactive(file)) / 2, for want of MemAvailable"
    huge_free, each = get("huge_pages_free"), get("hugepagesize")
    unused = None
    if huge_free is not None and each is not None:
        unused = max(0, huge_free - get("huge_pages_rsvd", 0)) * each
    return Memory(
        total=get("mem_total"),
        free=get("mem_free"),
        available=available,
        anon=get("anon_pages"),
        file=None if cached is None else max(0, cached + get("buffers", 0) - (shmem or 0)),
        shmem=shmem,
        slab_reclaimable=get("s_reclaimable"),
        slab_unreclaimable=get("s_unreclaim"),
        kernel_stack=get("kernel_stack"),
        # Before 4.17, which brought Percpu, VmallocUsed also counted device memory that is not RAM.
        vmalloc=get("vmalloc_used") if "percpu" in known else None,
        percpu=get("percpu"),
        page_tables=total(get("page_tables"), get("sec_page_tables")),
        mlocked=get("mlocked"),
        huge_pool=_huge_pool(known),
        huge_unused=unused,
        huge_page=each,
        huge_pages=get("huge_pages_total"),
        dirty=get("dirty"),
        writeback=total(get("writeback"), get("nfs_unstable")),
        unaccounted=_unaccounted(known, compressed),
        balloon=get("balloon"),
        sources=sources,
    )


def swap_of(facts: Any, meminfo: Any) -> Swap:
    """Return swap; totals from the swap subset, or from meminfo where only that was gathered."""
    whole, free = number(at(facts, "total")), number(at(facts, "free"))
    if whole is None or free is None:
        whole, free = number(at(meminfo, "swap_total")), number(at(meminfo, "swap_free"))
    return Swap(
        total=whole,
        free=free,
        swappiness=number(at(facts, "swappiness")),
        growth=number(at(facts, "growth")),
        seconds_until_full=number(at(facts, "seconds_until_full")),
    )


def pressure_of(facts: Any) -> Pressure:
    """Return the stronger of the last ten seconds and the last minute of {"some": {...}, "full": {...}}.

    The share of the sample is left out: in a sample of one second a stall that nobody notices is a large share.
    """

    def strongest(kind: str) -> float | None:
        recent = (number(at(facts, kind, "avg10")), number(at(facts, kind, "avg60")))
        return max((value for value in recent if value is not None), default=None)

    return Pressure(some=strongest("some"), full=strongest("full"))


def rates_of(facts: Any) -> Rates | None:
    """Return the rates of a sample, or None where there was none."""
    rates = mapping(at(facts, "rates"))
    if not rates:
        return None
    return Rates(
        swap_in=number(rates.get("pswpin")),
        swap_out=number(rates.get("pswpout")),
        major_faults=number(rates.get("pgmajfault")),
        refault_anon=number(rates.get("workingset_refault_anon")),
        refault_file=number(rates.get("workingset_refault_file")),
        direct_reclaim=number(rates.get("allocstall")),
        kills=number(rates.get("oom_kill")),
    )


def groups_of(facts: Any) -> tuple[Group, ...]:
    """Return the cgroups that have a path."""
    found = []
    for row in rows(at(facts, "groups")):
        path = text(row.get("path"))
        if path is None:
            continue
        get = numbers(row).get
        events = mapping(row.get("events"))
        kernel = get("kernel")
        found.append(
            Group(
                path=path,
                unit=text(row.get("unit")),
                container=flag(row.get("container")) or False,
                current=get("current"),
                peak=get("peak"),
                high=get("high"),
                max=get("max"),
                swap=get("swap_current"),
                anon=get("anon"),
                shmem=get("shmem"),
                kernel=get("slab") if kernel is None else kernel,
                dirty=get("dirty"),
                writeback=get("writeback"),
                met=number(events.get("max")),
                ooms=number(events.get("oom")),
                kills=number(events.get("oom_kill")),
                throttled=number(events.get("high")),
                processes=get("processes"),
                pressure=pressure_of(row.get("pressure")),
            )
        )
    return tuple(found)


def _task_size(row: Mapping[str, Any]) -> float | None:
    """Return what a process holds that a kill gives back: anonymous and shared resident memory, and swap."""
    resident = total(number(row.get("rss_anon")), number(row.get("rss_shmem")))
    if resident is None:
        resident = number(row.get("rss"))
    return total(resident, number(row.get("swap")))


def tasks_of(facts: Any) -> tuple[Task, ...]:
    """Return the single processes, largest first."""
    found = []
    for row in rows(at(facts, "top")):
        held, name, pid = _task_size(row), text(row.get("comm")), number(row.get("pid"))
        if held is not None and name:
            since, unit = number(row.get("start_time")), text(row.get("unit"))
            found.append(Task(name, held, pid=None if pid is None else int(pid), unit=unit, since=since))
    return tuple(sorted(found, key=lambda task: -task.size))


def pools_of(facts: Any, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """Return the processes of one name taken together, largest first."""
    sums = {}
    for row in rows(at(facts, "by_comm")):
        held, name, count = _task_size(row), text(row.get("comm")), number(row.get("processes"))
        if held is not None and name and count:
            sums[name] = (int(count), held)
    return pools(tasks, sums)


def overcommit_of(facts: Any, meminfo: Any) -> Overcommit:
    """Return the promises; CommitLimit and Committed_AS from meminfo where only that was gathered."""
    bound, committed = number(at(facts, "commit_limit")), number(at(facts, "committed"))
    return Overcommit(
        mode=number(at(facts, "mode")),
        ratio=number(at(facts, "ratio")),
        kbytes=number(at(facts, "kbytes")),
        limit=number(at(meminfo, "commit_limit")) if bound is None else bound,
        committed=number(at(meminfo, "committed_as")) if committed is None else committed,
    )


def state_of(facts: Mapping[str, Any]) -> State:
    """Return the state of the host that the facts are of. Never raises for anything that JSON can hold."""
    system, meminfo, vmstat = facts.get("system"), facts.get("meminfo"), facts.get("vmstat")
    container = text(at(system, "container"))
    tasks = tasks_of(facts.get("processes"))
    kills = number(at(facts, "oom", "kills"))
    read, up = number(at(system, "time")), number(at(system, "uptime"))
    reasons = {text(key): text(why) for key, why in mapping(facts.get("unavailable")).items()}
    # lxcfs shows a container its own numbers in /proc/meminfo; every other container sees the machine's.
    shared = container is not None and container != "lxc"
    return State(
        subject="The machine that runs this container" if shared else "This host",
        container=container,
        memory=memory_of(meminfo, composition.compressed(facts)),
        swap=swap_of(facts.get("swap"), meminfo),
        pressure=pressure_of(at(facts, "pressure", "memory")),
        pressure_io=pressure_of(at(facts, "pressure", "io")),
        pressure_measured=pressure_of(at(facts, "pressure", "memory")).some is not None,
        rates=rates_of(vmstat),
        writeback=writeback_of(facts),
        storage=storage_of(facts),
        cgroup_version=text(at(facts, "cgroups", "version")),
        groups=groups_of(facts.get("cgroups")),
        tasks=tasks,
        pools=pools_of(facts.get("processes"), tasks),
        tasks_read=bool(mapping(facts.get("processes"))),
        overcommit=overcommit_of(facts.get("overcommit"), meminfo),
        kills_since_boot=number(at(vmstat, "counters", "oom_kill")) if kills is None else kills,
        lru_gen=flag(at(system, "lru_gen")),
        unavailable={key: why for key, why in reasons.items() if key and why},
        time=read,
        booted=None if None in (read, up) else read - up,
    )
