# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes by owner: which kind of memory, or whose, fills a host that is short of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import finding, item
from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import size
from ansible_collections.linux_memory.oom.plugins.plugin_utils.shortage import Shortage, confidence, dominance
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import State
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import percent, ratio

Finding = dict[str, Any]

# Evidence is for a person: of many tmpfs mounts the largest few are shown.
SHOWN = 3
# What the kernel has for itself, and swap can never take.
_NOT_TO_SWAP = ("kernel", "page_tables", "unaccounted")


def _group_owner(state: State, cause: str, name: str, said: str) -> Finding | None:
    """Return a finding where one kind of memory has most of a cgroup's limit that a report says was met."""
    for group in state.groups if state.event is not None else ():
        amount = getattr(group, name)
        share = ratio(amount, group.max)
        if share is not None and share >= limit("owner_share"):
            source = f"OOM report, account of {group.path}"
            return finding(
                cause,
                level("strong"),
                f"{group.name} met its own memory limit ({size(group.max)}), and {size(amount)} ({percent(share)}) of "
                f"that {said}.",
                [
                    item(f"{cause.replace('_', ' ')} of {group.name}", amount, "bytes", source, group.max),
                    item("share of its limit", share, "share", source, "owner_share"),
                ],
            )
    return None


def _share(state: State, amount: float | None) -> float | None:
    return ratio(amount, state.memory.total)


def _owner(
    state: State, shortage: Shortage, cause: str, name: str, threshold: str, said: str, advice: str | None = None
) -> Finding | None:
    """Return a finding where one kind of memory is large and memory is short. said is what follows its amount."""
    amount = getattr(state.memory, name)
    share = _share(state, amount)
    if share is None or share < limit(threshold) or not shortage.suffers:
        return None
    source = state.memory.source(name)
    sure, untouched = confidence(dominance(state, amount)), None
    used = state.swap.used_share
    if name in _NOT_TO_SWAP and used is not None and used <= limit("swap_untouched"):
        # Memory of programs would have gone there.
        sure = max(sure, level("likely"))
        where = state.where("/proc/meminfo SwapTotal, SwapFree", "Total swap, Free swap")
        untouched = item("share of swap that is used, though memory is gone", used, "share", where, "swap_untouched")
    return finding(
        cause,
        sure,
        f"{state.subject} is short of memory while {size(amount)} ({percent(share)}) {said}.",
        [
            item(f"{name.replace('_', ' ')} memory", amount, "bytes", source),
            item("share of all memory", share, "share", source, threshold),
            untouched,
            *shortage.evidence,
        ],
        advice=advice,
    )


def kernel_memory(state: State, shortage: Shortage) -> Finding | None:
    """Slab that cannot be reclaimed, kernel stacks, vmalloc and per-cpu data."""
    said = "is held by the kernel itself and cannot be reclaimed"
    if state.groups and state.event is not None:
        return _group_owner(state, "kernel_memory", "kernel", said)
    found = _owner(state, shortage, "kernel_memory", "kernel", "kernel_share", said)
    if found:
        memory, reclaimable = state.memory, state.memory.source("slab_reclaimable")
        parts = (
            ("of it unreclaimable slab", memory.slab_unreclaimable, memory.source("slab_unreclaimable")),
            ("of it vmalloc areas", memory.vmalloc, memory.source("vmalloc")),
            ("of it kernel stacks", memory.kernel_stack, memory.source("kernel_stack")),
            ("of it per-cpu data", memory.percpu, memory.source("percpu")),
            ("reclaimable slab, not counted here", None if memory.slab_stuck else memory.slab_reclaimable, reclaimable),
            ("of it slab that could have been reclaimed and was not", memory.slab_stuck, reclaimable),
        )
        found["evidence"] += [item(what, value, "bytes", source) for what, value, source in parts if value is not None]
    return found


def shared_memory(state: State, shortage: Shortage) -> Finding | None:
    """tmpfs and shared segments; a kill does not give them back."""
    said = "is shared memory or files in tmpfs, which no kill frees"
    if state.groups and state.event is not None:
        return _group_owner(state, "shared_memory", "shmem", said)
    found = _owner(state, shortage, "shared_memory", "shmem", "shmem_share", said)
    if found:
        for mount, used, size_limit in state.storage.tmpfs[:SHOWN]:
            found["evidence"].append(item(f"used in the tmpfs on {mount}", used, "bytes", "statvfs(3)", size_limit))
    return found


def page_tables(state: State, shortage: Shortage) -> Finding | None:
    """Page tables of many processes that map much."""
    said = "is page tables, the map and not the contents"
    return _owner(state, shortage, "page_tables", "page_tables", "page_tables_share", said)


def mlocked_memory(state: State, shortage: Shortage) -> Finding | None:
    """Memory that programs have locked."""
    said = "is locked by programs, out of reach of reclaim and swap"
    return _owner(state, shortage, "mlocked_memory", "mlocked", "mlocked_share", said)


def hugepages_reserved(state: State, shortage: Shortage) -> Finding | None:
    """Huge pages that nobody uses, or a pool that leaves too little for the rest."""
    memory = state.memory
    unused = _share(state, memory.huge_unused)
    if unused is not None and unused >= limit("hugepages_unused"):
        fewer = None
        if memory.huge_page and memory.huge_pages:
            keep = max(0, int(memory.huge_pages - memory.huge_unused / memory.huge_page))
            fewer = f"vm.nr_hugepages could fall from {memory.huge_pages:.0f} to {keep}."
        said = "is huge pages that are reserved and used by nobody"
        found = _owner(state, shortage, "hugepages_reserved", "huge_unused", "hugepages_unused", said, fewer)
        if found:
            # Nothing else can be said for pages that nobody uses, however small their part of what is held.
            most = unused >= limit("owner_share")
            found["confidence"] = max(found["confidence"], level("certain") if most else level("likely"))
        return found
    said = "is the huge page pool and what is left for all else does not suffice"
    return _owner(state, shortage, "hugepages_reserved", "huge_pool", "hugepages_pool", said)


def unaccounted_memory(state: State, shortage: Shortage) -> Finding | None:
    """RAM that no counter owns."""
    hint = "ZFS is mounted: its cache (ARC) is such memory, see zfs_arc_max." if state.storage.zfs else None
    said = "belongs to no counter of the kernel: a leak, a driver or a balloon"
    found = _owner(state, shortage, "unaccounted_memory", "unaccounted", "unaccounted_share", said, hint)
    if found and state.memory.balloon:
        source = state.memory.source("balloon")
        found["evidence"].append(item("held by the hypervisor's balloon", state.memory.balloon, "bytes", source))
    return found
