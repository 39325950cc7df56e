# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the causes look at: a typed view of one moment of one host, whether read from facts or from an OOM report.

All sizes are bytes, all times seconds, all rates per second, all pressures percent. None means: not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Memory:
    """RAM by owner. The owners do not overlap, except that mlocked pages are anonymous or file pages too.

    total is all RAM, usable is total less the huge page pool, which ordinary memory never gets. file is page cache
    without shared memory. slab_stuck is reclaimable slab that was not reclaimed although memory ran out. unaccounted is
    the RAM that no counter owns. overdrawn is what was taken of the memory that zones keep from programs, and
    regrowing the page cache that is lost and will count as needed once it is back. sources says where each value was
    read.
    """

    total: float | None = None
    free: float | None = None
    available: float | None = None
    anon: float | None = None
    file: float | None = None
    shmem: float | None = None
    slab_reclaimable: float | None = None
    slab_unreclaimable: float | None = None
    slab_stuck: float | None = None
    kernel_stack: float | None = None
    vmalloc: float | None = None
    percpu: float | None = None
    page_tables: float | None = None
    mlocked: float | None = None
    huge_pool: float | None = None
    huge_unused: float | None = None
    huge_page: float | None = None
    huge_pages: float | None = None
    dirty: float | None = None
    writeback: float | None = None
    unaccounted: float | None = None
    balloon: float | None = None
    overdrawn: float = 0
    regrowing: float = 0
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> float | None:
        """Return RAM that ordinary pages can have: all but the huge page pool."""
        return None if self.total is None else max(0, self.total - (self.huge_pool or 0))

    @property
    def held(self) -> float | None:
        """Return usable RAM that is not available: what somebody holds."""
        if self.usable is None or self.available is None:
            return None
        return max(0, self.usable - self.available)

    @property
    def undrained(self) -> float | None:
        """Return dirty and writeback together: what storage must accept before it can be dropped."""
        return None if self.dirty is None else self.dirty + (self.writeback or 0)

    @property
    def kernel(self) -> float | None:
        """Return slab that cannot be or was not reclaimed, per-cpu data, and the larger of vmalloc and kernel stacks
        (most stacks are vmalloc areas, so that their sum would count them twice)."""
        if self.slab_unreclaimable is None:
            return None
        slab = self.slab_unreclaimable + (self.slab_stuck or 0)
        return slab + (self.percpu or 0) + max(self.vmalloc or 0, self.kernel_stack or 0)

    def source(self, name: str) -> str:
        """Return where the value of that name was read."""
        return self.sources.get(name, "")


@dataclass(frozen=True)
class Swap:
    """Swap space; growth is bytes per second over the sample, None without one."""

    total: float | None = None
    free: float | None = None
    swappiness: float | None = None
    growth: float | None = None
    seconds_until_full: float | None = None

    @property
    def used(self) -> float | None:
        """Return used swap in bytes."""
        return None if self.total is None or self.free is None else max(0, self.total - self.free)

    @property
    def used_share(self) -> float | None:
        """Return used swap as a share, None without swap."""
        return self.used / self.total if self.total and self.used is not None else None


@dataclass(frozen=True)
class Pressure:
    """The stronger of the last ten seconds and the last minute, in percent."""

    some: float | None = None
    full: float | None = None


@dataclass(frozen=True)
class Rates:
    """Events per second over the sample."""

    swap_in: float | None = None
    swap_out: float | None = None
    major_faults: float | None = None
    refault_anon: float | None = None
    refault_file: float | None = None
    direct_reclaim: float | None = None
    kills: float | None = None


@dataclass(frozen=True)
class Writeback:
    """The dirty limits in force, and what writers did to storage in the sample.

    in_bytes: whether the limit was set as bytes; one that was set as a ratio changes with the memory that can be dirty.
    """

    limit: float | None = None
    in_bytes: bool = False
    background: float | None = None
    write_rate: float | None = None
    slowest: str | None = None

    @property
    def throttled_at(self) -> float | None:
        """Return where the kernel starts to hold writers back (mm/page-writeback.c dirty_freerun_ceiling)."""
        return None if self.limit is None else (self.limit + (self.background or 0)) / 2


class Fault(NamedTuple):
    """One thing that is wrong with storage: a clause that says so, what was read, where, and its threshold if any."""

    said: str
    value: str | float
    source: str
    unit: str = "text"
    threshold: float | None = None


@dataclass(frozen=True)
class Storage:
    """What is wrong with storage: faults are what the kernel or the device says, suspicions what was measured, and slow
    what works and takes long."""

    faults: tuple[Fault, ...] = ()
    suspicions: tuple[Fault, ...] = ()
    slow: tuple[Fault, ...] = ()
    zfs: bool = False
    tmpfs: tuple[tuple[str, float, float | None], ...] = ()


@dataclass(frozen=True)
class Group:
    """One cgroup."""

    path: str
    unit: str | None = None
    container: bool = False
    current: float | None = None
    peak: float | None = None
    high: float | None = None
    max: float | None = None
    swap: float | None = None
    anon: float | None = None
    shmem: float | None = None
    kernel: float | None = None
    dirty: float | None = None
    writeback: float | None = None
    met: float | None = None
    ooms: float | None = None
    kills: float | None = None
    throttled: float | None = None
    processes: float | None = None
    pressure: Pressure = Pressure()

    @property
    def name(self) -> str:
        """Return what a person calls it."""
        return self.unit or ("this container" if self.path == "/" else self.path)

    @property
    def held(self) -> float | None:
        """Return what reclaim cannot take without swap."""
        if self.anon is None:
            return None
        return self.anon + (self.shmem or 0) + (self.kernel or 0)

    @property
    def undrained(self) -> float | None:
        """Return dirty and writeback together."""
        return None if self.dirty is None else self.dirty + (self.writeback or 0)


@dataclass(frozen=True)
class Task:
    """One process, or several of one name (count, pids). size is resident without file pages, plus swap; since is when
    it started (seconds since 1970)."""

    name: str
    size: float
    count: int = 1
    pid: int | None = None
    unit: str | None = None
    pids: frozenset[int] = frozenset()
    since: float | None = None
    shared: float = 0


@dataclass(frozen=True)
class Overcommit:
    """Promised memory."""

    mode: float | None = None
    ratio: float | None = None
    kbytes: float | None = None
    limit: float | None = None
    committed: float | None = None


@dataclass(frozen=True)
class Zone:
    """One zone of a report. reserve is what it keeps from requests that may use a higher zone (the largest value)."""

    name: str
    node: int | None = None
    free: float = 0
    file: float = 0
    low: float = 0
    reserve: float = 0
    free_cma: float = 0
    # (bytes of a free block, how many)
    blocks: tuple[tuple[float, float], ...] = ()


def in_common(sizes: Sequence[float], count: int = 0) -> float:
    """Return how much processes can have in common: a fork shares with all of them what the smallest has at most.

    count: how many they are, where not all sizes are known.
    """
    return (max(count, len(sizes)) - 1) * min(sizes) if sizes else 0


def apart(amount: float, shared: float, counted: float, programs: float | None) -> float:
    """Return what an owner holds, of an amount that is the sum over its processes.

    The resident size counts a page that a fork shares once for each process. What all sizes together are more than
    programs hold was counted so; of it at most what the processes may have in common is this owner's.
    """
    return amount if programs is None else amount - min(shared, max(0, counted - programs))


@dataclass(frozen=True)
class Moment:
    """What was held when an earlier report of the same shortage was printed, in all (in swap too) and by programs, and
    by whom.

    unlisted: {name: bytes} of processes that are not in the table, where it was cut.
    """

    held: float
    programs: float | None = None
    tasks: tuple[Task, ...] = ()
    unlisted: Mapping[str, float] = field(default_factory=dict)

    def of(self, owner: Task) -> float:
        """Return what an owner held then: its processes of now, those that its unit had, and what is not listed."""
        pids = owner.pids or frozenset([owner.pid])
        sizes = [task.size for task in self.tasks if task.pid in pids or (owner.unit and task.unit == owner.unit)]
        amount = sum(sizes) + (self.unlisted.get(owner.name, 0) if owner.count > len(pids) else 0)
        counted = sum(task.size for task in self.tasks) + sum(self.unlisted.values())
        return apart(amount, max(owner.shared, in_common(sizes)), counted, self.programs)


@dataclass(frozen=True)
class Event:
    """What a report tells of the event itself. growth: (epoch or None, bytes) of the largest task, report by report.

    kind, scope, constraint and outcome are those of oom_report_info; whole is False for a truncated report; nodes are
    those that the request might use, None for any; repeats are the reports of the same kind and place, this included,
    and period the seconds between them.
    """

    kind: str = "oom"
    scope: str | None = None
    constraint: str | None = None
    cgroup: str | None = None
    sysrq: bool = False
    order: int | None = None
    gfp: int | None = None
    whole: bool = True
    outcome: str | None = None
    trigger: str | None = None
    victim: Task | None = None
    nodes: frozenset[int] | None = None
    zones: tuple[Zone, ...] = ()
    page: float | None = None
    wanted: float | None = None
    when: str | None = None
    host: str | None = None
    counted: bool = False
    repeats: int = 1
    period: float | None = None
    growth: tuple[tuple[float | None, float], ...] = ()


@dataclass(frozen=True)
class State:
    """One moment of one host. origin is "facts" or "report"; subject is how a sentence begins to speak of it.

    time and booted are seconds since 1970; earlier are the reports of the same shortage in the minutes before.
    """

    origin: str = "facts"
    subject: str = "This host"
    container: str | None = None
    memory: Memory = Memory()
    swap: Swap = Swap()
    pressure: Pressure = Pressure()
    pressure_io: Pressure = Pressure()
    pressure_measured: bool = False
    rates: Rates | None = None
    writeback: Writeback = Writeback()
    storage: Storage = Storage()
    cgroup_version: str | None = None
    groups: tuple[Group, ...] = ()
    tasks: tuple[Task, ...] = ()
    pools: tuple[Task, ...] = ()
    tasks_read: bool = False
    overcommit: Overcommit = Overcommit()
    kills_since_boot: float | None = None
    lru_gen: bool | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)
    event: Event | None = None
    time: float | None = None
    booted: float | None = None
    earlier: tuple[Moment, ...] = ()

    def others(self, amount: float, owner: Task | None) -> float | None:
        """Return what all others hold, in swap too, where an owner holds so much; None where that is not known.

        What the owner has driven into swap comes back once it is bounded, and so does who was killed: in a shortage
        with several kills it is the most of all its reports.
        """
        now = self.others_now(amount, owner)
        return None if now is None else max(now, self._others_before(owner))

    def others_now(self, amount: float, owner: Task | None) -> float | None:
        """Return the same without who was killed before."""
        if self.to_fit is None:
            return None
        counted = sum(pool.size for pool in self.pools)
        return max(0, self.to_fit - apart(amount, owner.shared if owner else 0, counted, self.programs))

    def _others_before(self, owner: Task | None) -> float:
        """Return the most that all others held in an earlier report; 0 where the owner is nobody that it could list."""
        return max((each.held - each.of(owner) for each in self.earlier), default=0) if owner else 0

    @property
    def demand(self) -> float | None:
        """Return what is held in memory and in swap; None where it is not known."""
        return None if self.memory.held is None else self.memory.held + (self.swap.used or 0)

    @property
    def to_fit(self) -> float | None:
        """Return what has to fit into memory for all to be well: the demand, and what zones keep and do not have."""
        return None if self.demand is None else self.demand + self.memory.overdrawn

    @property
    def programs(self) -> float | None:
        """Return what programs hold: anonymous and shared memory, and used swap."""
        memory = self.memory
        return None if memory.anon is None else memory.anon + (memory.shmem or 0) + (self.swap.used or 0)

    def where(self, in_facts: str, in_report: str) -> str:
        """Return the source of a value: a kernel file for facts, a part of the report for a report."""
        return f"OOM report, {in_report}" if self.origin == "report" else in_facts
