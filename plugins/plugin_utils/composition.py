# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the memory of a host holds, as parts that add up to MemTotal.

The counters of /proc/meminfo overlap (proc_meminfo(5), fs/proc/meminfo.c), so each part below says what it leaves out.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.linux_memory.oom.plugins.plugin_utils import values


class Part(NamedTuple):
    """One part of memory: a name for code, a label for people, bytes, and the share of MemTotal in percent."""

    name: str
    label: str
    size: int
    percent: float


# In the order of the bar: what programs hold, the page cache, shared memory, the kernel, the rest.
LABELS = {
    "anonymous": "Anonymous (programs)",
    "clean_cache": "File cache, clean",
    "dirty": "Dirty and writeback",
    "shared": "Shared and tmpfs",
    "swap_cache": "Swap cache, unmapped",
    "compressed": "Compressed swap in RAM",
    "slab_reclaimable": "Kernel, reclaimable",
    "slab_unreclaimable": "Slab, unreclaimable",
    "kernel_stacks": "Kernel stacks",
    "page_tables": "Page tables",
    "per_cpu": "Per-CPU",
    "vmalloc": "vmalloc",
    "huge_pages": "Huge page pool",
    "free": "Free",
    "unaccounted": "Owned by no counter",
}


def _values(meminfo):
    """Return a function that gives a counter as a whole number, 0 where it is missing or none."""

    def value(name):
        return int(values.number(meminfo.get(name)) or 0)

    return value


def _cache(value):
    """Return the sizes of what stems from files, shared memory and swap."""
    shared = value("shmem")
    # Cached holds shmem (a tmpfs is page cache to the kernel), and never the swap cache.
    files = max(0, value("cached") + value("buffers") - shared)
    # Writeback also counts anonymous pages on their way to swap, so it may exceed the file pages.
    dirty = min(files, value("dirty") + value("writeback") + value("nfs_unstable"))
    lists = value("active") + value("inactive") + value("unevictable")
    # Mapped pages of the swap cache are in AnonPages already; the LRU lists hold every page exactly once.
    unmapped = max(0, lists - value("anon_pages") - value("cached") - value("buffers"))
    return {
        "clean_cache": files - dirty,
        "dirty": dirty,
        "shared": shared,
        "swap_cache": min(value("swap_cached"), unmapped),
    }


def _kernel(value):
    """Return the sizes of what the kernel itself holds."""
    pool = value("hugetlb") or value("huge_pages_total") * value("hugepagesize")
    return {
        # KReclaimable holds SReclaimable and what drivers give back on request.
        "slab_reclaimable": max(value("k_reclaimable"), value("s_reclaimable")),
        "slab_unreclaimable": value("s_unreclaim"),
        "kernel_stacks": value("kernel_stack"),
        "page_tables": value("page_tables") + value("sec_page_tables"),
        "per_cpu": value("percpu"),
        # Kernel stacks come from vmalloc (CONFIG_VMAP_STACK) on all common architectures, and are counted in both.
        "vmalloc": max(0, value("vmalloc_used") - value("kernel_stack")),
        "huge_pages": pool,
    }


def _compressed(facts, value):
    """Return the bytes that zram and zswap occupy: zsmalloc's pages, which no line of older /proc/meminfo shows."""
    pages = values.number(values.at(facts, "vmstat", "pages", "nr_zspages")) or 0
    page_size = values.number(values.at(facts, "system", "page_size")) or 0
    return max(int(pages * page_size), value("zswap"))


def parts(facts):
    """Return the parts of memory that are not empty, in the order of LABELS; empty where the facts hold no MemTotal.

    The sizes add up to MemTotal. Counters are read one after the other and some overlap on some kernels; where they add
    up to more than MemTotal, every part but the free memory is scaled down.
    """
    value = _values(values.mapping(facts.get("meminfo")))
    total = value("mem_total")
    if not total:
        return []
    sizes = {"anonymous": value("anon_pages"), "compressed": _compressed(facts, value), "free": value("mem_free")}
    sizes.update(_cache(value), **_kernel(value))
    sizes = _fitted(sizes, total)
    sizes["unaccounted"] = total - sum(sizes.values())
    return [
        Part(name, label, sizes[name], sizes[name] * 100.0 / total) for name, label in LABELS.items() if sizes[name] > 0
    ]


def _fitted(sizes, total):
    """Return the sizes, scaled so that they do not exceed total."""
    free = min(sizes["free"], total)
    used, room = sum(sizes.values()) - sizes["free"], total - free
    if used > room:
        # Whole numbers: a quotient would be rounded, and the parts could again exceed the whole.
        sizes = {name: size * room // used for name, size in sizes.items()}
    return {**sizes, "free": free}
