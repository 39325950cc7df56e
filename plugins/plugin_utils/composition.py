# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the memory of a host holds, as parts that add up to MemTotal; the same of an OOM report.

The counters of /proc/meminfo overlap (proc_meminfo(5), fs/proc/meminfo.c), so each part below says what it leaves out.
A report of a cgroup is divided by the cgroup's own account, any other by the counters of the host (mm/show_mem.c).
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
    "lists": "Programs and file cache",
    "unevictable": "Locked (unevictable)",
    "clean_cache": "File cache, clean",
    "dirty": "Dirty and writeback",
    "shared": "Shared and tmpfs",
    "swap_cache": "Swap cache, unmapped",
    "compressed": "Compressed swap in RAM",
    "kernel": "Kernel",
    "slab_reclaimable": "Kernel, reclaimable",
    "slab_unreclaimable": "Slab, unreclaimable",
    "kernel_stacks": "Kernel stacks",
    "page_tables": "Page tables",
    "per_cpu": "Per-CPU",
    "vmalloc": "vmalloc",
    "graphics": "Graphics drivers",
    "huge_pages": "Huge page pool",
    "free": "Free",
    "other": "Not told apart",
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
        "graphics": value("gpu_active") + value("gpu_reclaim"),
        "huge_pages": pool,
    }


def compressed(facts):
    """Return the bytes that zram and zswap occupy: zsmalloc's pages, which no line of older /proc/meminfo shows."""
    pages = values.number(values.at(facts, "vmstat", "pages", "nr_zspages")) or 0
    page_size = values.number(values.at(facts, "system", "page_size")) or 0
    return max(int(pages * page_size), _values(values.mapping(facts.get("meminfo")))("zswap"))


def parts(facts):
    """Return the parts of memory that are not empty, in the order of LABELS; empty where the facts hold no MemTotal.

    The sizes add up to MemTotal. Counters are read one after the other and some overlap on some kernels; where they add
    up to more than MemTotal, every part but the free memory is scaled down.
    """
    value = _values(values.mapping(facts.get("meminfo")))
    total = value("mem_total")
    if not total:
        return []
    sizes = {"anonymous": value("anon_pages"), "compressed": compressed(facts), "free": value("mem_free")}
    sizes.update(_cache(value), **_kernel(value))
    sizes = _fitted(sizes, total)
    sizes["unaccounted"] = total - sum(sizes.values())
    return _parts(sizes, total)


def _parts(sizes, total):
    known = ((name, label, sizes.get(name, 0)) for name, label in LABELS.items())
    return [Part(name, label, size, size * 100.0 / total) for name, label, size in known if size > 0]


# Without these a rest is not memory that no counter owns: the report has lost lines. One name of each, by kernel.
_NEEDED = (("free",), ("active_anon", "active"), ("active_file", "active"), ("slab_unreclaimable", "slab"))


def parts_of_report(report):
    """Return the parts of memory that an OOM report counts: of the cgroup that met its limit, else of the host.

    Empty where the report holds no counters. The sizes add up to the cgroup's usage or the host's RAM, and to what is
    counted where the report tells neither.
    """
    account = values.mapping(report.get("memcg"))
    of_cgroup = report.get("scope") == "cgroup" and account
    sizes, total, rest = _of_cgroup(account) if of_cgroup else _of_host(report)
    total = total or sum(sizes.values())
    if not total or not any(sizes.values()):
        return []
    sizes = _fitted({"free": 0, **sizes}, total)
    sizes[rest] = total - sum(sizes.values())
    return _parts(sizes, total)


def _of_host(report):
    """Return (sizes, all RAM or 0, what the rest is) of the counters of Mem-Info."""
    memory = values.mapping(report.get("memory"))
    value = _values(memory)
    lists = value("active_anon") + value("inactive_anon") + value("isolated_anon")
    files = value("active_file") + value("inactive_file") + value("isolated_file")
    # Kernels before 2.6.28 do not tell programs from the file cache.
    unsplit = value("active") + value("inactive")
    shared, dirty = value("shmem"), value("dirty") + value("writeback") + value("unstable")
    sizes = {
        # Shared pages are on the lists of anonymous ones, those that are locked on the unevictable one.
        "anonymous": max(0, lists - shared),
        "shared": shared,
        "unevictable": max(0, value("unevictable") - max(0, shared - lists)),
        "dirty": min(files + unsplit, dirty),
        "clean_cache": max(0, files - dirty),
        "lists": max(0, unsplit - max(0, dirty - files)),
        "slab_reclaimable": value("slab_reclaimable") + value("kernel_misc_reclaimable"),
        "slab_unreclaimable": value("slab_unreclaimable") + value("slab"),
        "kernel_stacks": _local(report, "kernel_stack"),
        "page_tables": value("pagetables") + value("sec_pagetables"),
        "graphics": _local(report, "gpu_active") + _local(report, "gpu_reclaim"),
        "compressed": _local(report, "zspages"),
        "huge_pages": sum(_whole(row.get("size")) * _whole(row.get("total")) for row in _rows(report, "hugepages")),
        "free": value("free") + value("free_pcp"),
    }
    whole = not report.get("truncated") and all(any(name in memory for name in names) for names in _NEEDED)
    return sizes, max(0, value("ram") - value("reserved")), "unaccounted" if whole else "other"


def _of_cgroup(account):
    """Return (sizes, usage or 0, what the rest is) of a cgroup's account, of either version of cgroups."""
    value = _account(account)
    shared, files = value("shmem"), value("file", "cache")
    files = max(0, files - shared)
    dirty = min(files, value("file_dirty", "dirty") + value("file_writeback", "writeback"))
    sizes = {
        "anonymous": value("anon", "rss"),
        "shared": shared,
        "dirty": dirty,
        "clean_cache": files - dirty,
        "compressed": value("zswap"),
        "slab_reclaimable": value("slab_reclaimable"),
        "slab_unreclaimable": value("slab_unreclaimable"),
        "kernel_stacks": value("kernel_stack"),
        "page_tables": value("pagetables") + value("sec_pagetables"),
        "per_cpu": value("percpu"),
        "vmalloc": value("vmalloc"),
    }
    if not any(value(name) for name in ("slab", "slab_unreclaimable", "kernel_stack")):
        sizes["kernel"] = value("kernel") or _whole(values.at(account, "kmem", "usage"))
    return sizes, _whole(account.get("usage")), "other"


def _account(account):
    """Return a function that gives a value of a cgroup's account by the first of its names that is there, else 0."""
    stats = values.mapping(account.get("stats"))
    groups = [values.mapping(row.get("stats")) for row in _rows(account, "groups")]
    # Kernels before 4.18 print one account for each cgroup below, none of which includes another.
    apart = len(groups) > 1 and not any(name in stats for name in ("anon", "total_rss", "total_cache"))

    def value(*names):
        for name in names:
            # On cgroup v1 total_NAME includes the cgroups below.
            for key in (f"total_{name}", name):
                if key in stats:
                    return sum(_whole(group.get(key)) for group in groups) if apart else _whole(stats[key])
        return 0

    return value


def _local(report, name):
    """Return the sum of a counter that nodes or else zones have, and the host has not, as kernel stacks."""
    for place in ("nodes", "zones"):
        found = [_whole(row[name]) for row in _rows(report, place) if name in row]
        if found:
            return sum(found)
    return 0


def _rows(found, name):
    return list(values.rows(found.get(name)))


def _whole(value):
    return int(values.number(value) or 0)


def _fitted(sizes, total):
    """Return the sizes, scaled so that they do not exceed total."""
    free = min(sizes["free"], total)
    used, room = sum(sizes.values()) - sizes["free"], total - free
    if used > room:
        # Whole numbers: a quotient would be rounded, and the parts could again exceed the whole.
        sizes = {name: size * room // used for name, size in sizes.items()}
    return {**sizes, "free": free}
