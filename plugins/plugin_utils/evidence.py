# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shape of a finding and of its evidence, and what is fixed for each cause: role, article section, advice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import limit

UNITS = ("bytes", "bytes_per_second", "percent", "per_second", "seconds", "count", "share", "text")


class Cause(NamedTuple):
    """What is fixed for one cause: its meaning, the role that helps, the article's section, what a person does."""

    meaning: str
    role: str | None
    article: str | None
    advice: str | None


CAUSES = {
    "dirty_pages": Cause(
        "storage is slower than the writers: dirty and writeback fill what may be dirty, of the host or of a cgroup",
        "dirty_throttle",
        "1c",
        "Faster storage is the real cure; until then bound what may be dirty, or the write bandwidth of the writer.",
    ),
    "storage_fault": Cause(
        "a storage device is failing, degraded, not running or slow for what it is",
        None,
        "1a",
        "Repair or replace the device first: no setting makes a failing device accept data. One on a network may have "
        "more hosts than it can serve: see which of them share it.",
    ),
    "anonymous_growth": Cause(
        "one program's memory grows slowly, and swap fills with it",
        "swap_tuning",
        "2",
        "Let swap absorb the growth and restart the program at intervals, until its leak is repaired.",
    ),
    "runaway_process": Cause(
        "one task, or one unit, holds most of memory",
        "cgroup_memory_limit",
        "3",
        "Bound it by a cgroup, so that a burst ends inside its own unit.",
    ),
    "too_many_workers": Cause(
        "many tasks of one name together hold most of memory",
        "cgroup_memory_limit",
        "4",
        "Lower the number of workers in the program's own settings; a limit only decides who is killed.",
    ),
    "undersized_memory": Cause(
        "ordinary programs together need more than there is, or swap-in goes on",
        "memory_sizing",
        "4",
        "Estimate what is needed, lower the programs' own memory settings, or add memory.",
    ),
    "swap_exhausted": Cause(
        "swap existed and is full, and nothing else explains more",
        "swap_tuning",
        "2a",
        "Swap that overflows is a failure: enlarge it, find what fills it, and watch it.",
    ),
    "cgroup_limit": Cause(
        "a cgroup met its own limit while the host had memory",
        "cgroup_memory_limit",
        "3",
        "Raise the unit's limit if the host has room, or make the program inside need less.",
    ),
    "node_constraint": Cause(
        "a cpuset or memory policy kept the request on a node without memory while another had some",
        None,
        "0",
        "Widen cpuset.mems or the memory policy, or spread the program over the nodes.",
    ),
    "zone_exhausted": Cause(
        "memory was free, but not in a zone that the request may use",
        None,
        None,
        "Use a 64-bit kernel; where a DMA or CMA zone is short, shrink the reservation or what pins pages in it.",
    ),
    "fragmentation": Cause(
        "a request for several adjoining pages failed while single pages were free or reclaimable",
        None,
        None,
        "Raise vm.min_free_kbytes or vm.watermark_scale_factor, and avoid the driver setting that needs large blocks.",
    ),
    "shared_memory": Cause(
        "tmpfs or shared memory holds RAM that no kill gives back",
        None,
        None,
        "Remove files from the tmpfs, bound it with its size= option, and remove orphaned segments (ipcs -m, ipcrm).",
    ),
    "kernel_memory": Cause(
        "slab, kernel stacks, vmalloc or per-cpu data hold memory",
        None,
        None,
        "Find the largest cache (slabtop -s c) and the subsystem that owns it; a leak needs another kernel or module.",
    ),
    "unaccounted_memory": Cause(
        "RAM that no counter owns: a page leak, a driver, a balloon, or a file system with a cache of its own",
        None,
        None,
        "Look at drivers that allocate pages themselves (network, GPU, hypervisor balloon, ZFS); dump and analyse "
        "with drgn if it grows.",
    ),
    "page_tables": Cause(
        "page tables hold memory: many processes each map the same large area",
        None,
        None,
        "Use huge pages for the shared area that many processes map, or fewer processes.",
    ),
    "mlocked_memory": Cause(
        "programs have locked memory that reclaim cannot touch",
        None,
        None,
        "Lower what the programs lock (their settings, LimitMEMLOCK= of the unit).",
    ),
    "hugepages_reserved": Cause(
        "the huge page pool takes memory that the rest of the host needs",
        None,
        None,
        "Lower vm.nr_hugepages (or hugepages= on the kernel command line) to what is used.",
    ),
    "overcommit_limit": Cause(
        "allocations are refused by strict accounting although memory is free",
        "overcommit_limit",
        "6",
        "Raise the limit, or return to vm.overcommit_memory = 0: mode 2 suits a host owned by one application.",
    ),
    "manual_trigger": Cause(
        "somebody ran the OOM killer by hand (SysRq f)", None, None, "Nothing to repair: find out who pressed it."
    ),
    "unexplained": Cause(
        "the numbers do not support any cause",
        None,
        "0b",
        "Collect what is named as missing; sample for longer, read the kernel log, or save a dump at the next event.",
    ),
    "none": Cause("the host is healthy", None, None, None),
}


def item(what: str, value: Any, unit: str, source: str, threshold: str | float | None = None) -> dict[str, Any]:
    """Return one piece of evidence. threshold is a name of the table, a number, or None."""
    bound = limit(threshold) if isinstance(threshold, str) else threshold
    if isinstance(value, float):
        value = round(value, 4)
    return {"what": what, "value": value, "unit": unit, "threshold": bound, "source": source}


def finding(
    cause: str,
    confidence: float,
    summary: str,
    evidence: Iterable[dict[str, Any] | None],
    settings: dict[str, Any] | None = None,
    why: Iterable[str] = (),
    advice: str | None = None,
    machine_only: bool = False,
) -> dict[str, Any]:
    """Return one finding; None in evidence is left out.

    settings are the role's variables, why the arithmetic that leads to them, a sentence for each; a role without any
    still stands as the remedy with {}. machine_only leaves the
    role out, because the remedy belongs to a machine that these facts are not of (a container's host).
    """
    fixed = CAUSES[cause]
    remedy = None
    if fixed.role is not None and not machine_only:
        remedy = {"role": fixed.role, "vars": dict(settings or {}), "why": list(why), "counterfactual": None}
    return {
        "cause": cause,
        "confidence": round(max(0.0, min(1.0, confidence)), 2),
        "summary": summary,
        "evidence": [piece for piece in evidence if piece],
        "remedy": remedy,
        "advice": " ".join(filter(None, (advice, fixed.advice))) or None,
        "article": fixed.article,
    }
