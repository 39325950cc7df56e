# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes that only a report tells: by hand, and a node, a zone or blocks that were gone while other memory was free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import finding, item
from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import size
from ansible_collections.linux_memory.oom.plugins.plugin_utils.shortage import Shortage, is_of_host, left_share
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Event, State, Zone
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import percent, ratio

Finding = dict[str, Any]

# include/linux/gfp_types.h: the bits that choose a zone are the same in all kernels since 2.6.31.
GFP_DMA, GFP_HIGHMEM, GFP_DMA32, GFP_MOVABLE = 0x1, 0x2, 0x4, 0x8
# Zones from the lowest to the highest; a request may use its own and those below (mm/page_alloc.c gfp_zone).
ZONES = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")


def _highest_zone(gfp: int | None) -> int | None:
    """Return the place in ZONES of the highest zone that a request may use."""
    if gfp is None:
        return None
    if gfp & GFP_HIGHMEM:
        return ZONES.index("Movable" if gfp & GFP_MOVABLE else "HighMem")
    if gfp & GFP_DMA:
        return ZONES.index("DMA")
    return ZONES.index("DMA32" if gfp & GFP_DMA32 else "Normal")


def _divided(event: Event) -> tuple[list[Zone], list[Zone]]:
    """Return the zones that the request might use, and the others."""
    highest = _highest_zone(event.gfp)
    usable, others = [], []
    for zone in event.zones:
        allowed = highest is None or zone.name not in ZONES or ZONES.index(zone.name) <= highest
        on_node = event.nodes is None or zone.node is None or zone.node in event.nodes
        (usable if allowed and on_node else others).append(zone)
    return usable, others


def _is_movable(event: Event) -> bool:
    return event.gfp is None or bool(event.gfp & GFP_MOVABLE)


def _usable_free(zone: Zone, event: Event) -> float:
    """Return free memory of a zone that the request may take: a CMA area is only for what can be moved."""
    return zone.free if _is_movable(event) else max(0, zone.free - zone.free_cma)


def _is_starved(zone: Zone, event: Event) -> bool:
    """Return whether a zone is down to what it keeps: its watermark, and its reserve from requests of higher zones."""
    highest = _highest_zone(event.gfp)
    lower = highest is None or zone.name not in ZONES or ZONES.index(zone.name) < highest
    return _usable_free(zone, event) <= zone.low + (zone.reserve if lower else 0)


def _zone_evidence(zones: Iterable[Zone], said: str) -> list[Finding]:
    return [
        item(
            f"free in zone {zone.name}{'' if zone.node is None else f' of node {zone.node}'}, {said}",
            zone.free,
            "bytes",
            "OOM report, the zone's line",
            zone.low,
        )
        for zone in zones
    ]


def manual_trigger(state: State, shortage: Shortage) -> Finding | None:
    """Somebody asked for a kill with SysRq f."""
    event = state.event
    if event is None or not event.sysrq:
        return None
    left = "" if state.memory.available is None else f" {size(state.memory.available)} of memory was available."
    return finding(
        "manual_trigger",
        level("certain"),
        f"Somebody ran the OOM killer by hand (SysRq f).{left}",
        [item("order of the request", "-1, which only SysRq f has", "text", "OOM report, its first line")]
        + list(shortage.evidence),
    )


def _nodes_said(nodes: Iterable[int]) -> str:
    listed = sorted(nodes)
    return f"node{'s' if len(listed) > 1 else ''} {', '.join(map(str, listed))}"


def node_constraint(state: State, shortage: Shortage) -> Finding | None:
    """A cpuset or a memory policy kept the request on some nodes, and others had memory."""
    event, memory = state.event, state.memory
    if event is None or event.sysrq or event.kind != "oom" or event.scope == "cgroup":
        return None
    told = event.scope in ("cpuset", "mempolicy")
    # Kernels before 5.0 do not tell the constraint, but which nodes the request might use.
    if not told and (event.constraint is not None or event.nodes is None):
        return None
    nodes = event.nodes or frozenset()
    inside = [zone for zone in event.zones if zone.node in nodes]
    outside = [zone for zone in event.zones if zone.node is not None and zone.node not in nodes]
    if outside:
        elsewhere = sum(zone.free for zone in outside)
    else:
        elsewhere = None if memory.free is None else max(0, memory.free - sum(zone.free for zone in inside))
    share = ratio(elsewhere, memory.total)
    roomy = share is not None and share >= limit("free_elsewhere")
    if not told and not (roomy and outside):
        return None
    by = {"cpuset": "A cpuset", "mempolicy": "A memory policy"}.get(event.scope, "A cpuset or a memory policy")
    where = f" on {_nodes_said(nodes)}" if nodes else " on some nodes"
    had = f", while the others had {size(elsewhere)} free" if roomy else ""
    sure = level("strong") if roomy else level("likely") if share is None else level("possible")
    pieces = [
        item("nodes that the request might use", _nodes_said(nodes), "text", "OOM report, nodemask or mems_allowed")
    ]
    if elsewhere is not None:
        pieces.append(item("free on other nodes", elsewhere, "bytes", "OOM report, Mem-Info and zones"))
    if share is not None:
        pieces.append(item("share of all memory", share, "share", "computed", "free_elsewhere"))
    return finding(
        "node_constraint",
        sure,
        f"{by} kept the request{where}, which had no memory for it{had}.",
        [*(pieces if nodes else pieces[1:]), *_zone_evidence(inside, "which the request might use")],
    )


def zone_exhausted(state: State, shortage: Shortage) -> Finding | None:
    """Memory was free, but not in a zone that the request may use."""
    event, memory = state.event, state.memory
    if event is None or event.sysrq or not is_of_host(event) or not memory.total:
        return None
    usable, others = _divided(event)
    if not event.zones:
        return _zone_unknown(state, shortage)
    if not usable or any(not _is_starved(zone, event) for zone in usable):
        return None
    unusable = sum(zone.free + zone.file for zone in others)
    if not _is_movable(event):
        unusable += sum(zone.free_cma for zone in usable)
    share = unusable / memory.total
    if share < limit("free_elsewhere"):
        return None
    names = ", ".join(sorted({zone.name for zone in usable}))
    return finding(
        "zone_exhausted",
        level("strong"),
        f"{size(unusable)} ({percent(share)} of memory) was free or cache, but not for this request: it may use only "
        f"{names}, and that was exhausted.",
        [
            item("free or cache where the request may not go", unusable, "bytes", "OOM report, zones"),
            item("share of all memory", share, "share", "computed", "free_elsewhere"),
            *_zone_evidence(usable, "which the request might use"),
            *_zone_evidence(others, "which it might not use"),
        ],
    )


def _zone_unknown(state: State, shortage: Shortage) -> Finding | None:
    """Judge a report that lost its zones: so much free memory that a single page must have been refused by a zone."""
    event, memory = state.event, state.memory
    share = ratio(memory.free, memory.total)
    if event.kind != "oom":
        return None
    if share is None or share < limit("available_roomy") or event.order or event.gfp == 0:
        return None
    whole = "of what has a counter" if memory.unaccounted is None else "of memory"
    return finding(
        "zone_exhausted",
        level("possible"),
        f"{size(memory.free)} ({percent(share)} {whole}) was free, so the request must have been for a zone without "
        "any; the report has lost the zones.",
        [item("free memory", memory.free, "bytes", "OOM report, free"), *shortage.evidence],
    )


def fragmentation(state: State, shortage: Shortage) -> Finding | None:
    """Several adjoining pages were wanted; single ones were free or could be reclaimed."""
    event, memory = state.event, state.memory
    if event is None or event.sysrq or not event.order or not is_of_host(event) or memory.free is None:
        return None
    usable, _others = _divided(event)
    fed = [zone for zone in usable if not _is_starved(zone, event)]
    left = left_share(state)
    reclaimable = left is not None and left >= limit("available_roomy")
    free_share = ratio(memory.free, memory.total) or 0
    if not fed and not (reclaimable and (usable or free_share >= limit("free_elsewhere"))):
        return None
    block = (event.page or 0) * (1 << event.order)
    sure = level("strong") if fed else level("likely")
    if fed and not reclaimable and free_share < limit("free_elsewhere"):
        # Above the watermark by little: another CPU may just have freed it.
        sure = level("possible")
    whole = sum(size_ * count for zone in fed for size_, count in zone.blocks if size_ >= block)
    had = f"{size(memory.free)} was free" + (f" and {size(memory.available)} available" if memory.available else "")
    return finding(
        "fragmentation",
        sure,
        f"The request was for {size(block) if block else 'several pages'} in one piece (order {event.order}), while "
        f"{had}: memory was in pieces, not gone.",
        [
            item("order of the request", event.order, "count", "OOM report, its first line", 0),
            item("free memory", memory.free, "bytes", "OOM report, free"),
            item("free in blocks that are large enough, of any kind", whole, "bytes", "OOM report, lists of blocks"),
            *_zone_evidence(usable, "which the request might use"),
            *shortage.evidence,
        ],
    )
