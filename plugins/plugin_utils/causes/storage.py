# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes in storage: dirty pages that wait for it, and devices that fail."""

from __future__ import annotations

from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import finding, item
from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import duration, size
from ansible_collections.linux_memory.oom.plugins.plugin_utils.shortage import Shortage, is_low
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Group, State
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import percent, ratio

Finding = dict[str, Any]


def _storable(state: State) -> float | None:
    """Return what the busiest disk writes in a bounded time, in bytes."""
    rate = state.writeback.write_rate
    return rate * limit("dirty_seconds") if rate else None


def _is_exceeded(state: State) -> bool:
    waiting, in_force = state.memory.undrained, state.writeback.limit
    return bool(waiting and in_force and waiting > in_force * (1 + limit("dirty_overshoot")))


def _is_low_enough(state: State) -> bool:
    """Whether the limit in force is as low as one that would be proposed, and not just now: a ratio lowers it as
    programs take the memory that could be dirty."""
    storable, in_force = _storable(state), state.writeback.limit
    if not storable or not in_force or (_is_exceeded(state) and not state.writeback.in_bytes):
        return False
    return in_force <= max(storable, limit("dirty_bytes_floor"))


def throttle_settings(state: State) -> dict[str, Any]:
    """Return the variables of dirty_throttle: what the busiest disk writes in a bounded time, as bytes.

    dirty_throttle_bytes: measured write rate (bytes per second) x dirty_seconds, never above the limit in force
    nor below dirty_bytes_floor. dirty_throttle_background_bytes: half of it. {} without a measured rate, and where the
    limit in force is low enough.
    """
    proposed = _storable(state)
    if proposed is None or _is_low_enough(state):
        return {}
    if state.writeback.limit:
        proposed = min(proposed, state.writeback.limit)
    proposed = int(max(proposed, limit("dirty_bytes_floor")))
    return {
        "dirty_throttle_bytes": proposed,
        "dirty_throttle_background_bytes": int(proposed * limit("dirty_background")),
    }


def _wanting(state: State) -> str | None:
    """Return what is wanted for values where none are proposed, or why none would help."""
    if _storable(state) is None:
        return "Sample for some seconds while the writers run to have the limit computed from the write rate."
    if _is_low_enough(state):
        return (
            f"The limit in force, {size(state.writeback.limit)}, is as low as one that would be proposed: bound the "
            "writer, or look for faster storage."
        )
    return None


def _exceeded(state: State) -> str | None:
    """Return why more may wait than the limit in force allows."""
    if not _is_exceeded(state):
        return None
    waiting, in_force = size(state.memory.undrained), size(state.writeback.limit)
    if not state.writeback.in_bytes:
        return (
            f"{waiting} wait although the limit in force is {in_force}: as a ratio it is lower the less memory is free "
            "or page cache."
        )
    said = f"{waiting} wait although the limit in force is {in_force}: it was lowered a moment ago, or "
    if state.cgroup_version == "v1":
        return said + "the kernel does not hold those who write."
    # balance_dirty_pages (mm/page-writeback.c) lets go whose control group has nothing dirty, after a pause for each
    # folio. What is dirty counts for the group that a file belongs to, which changes late (fs/fs-writeback.c).
    return said + (
        "the kernel does not hold a service that rewrites a file from before it was started again, which belongs to "
        "its former control group still. One that begins a new file is held: ExecStartPre=rm -f FILE, if it may go."
    )


def throttle_why(state: State, settings: dict[str, Any]) -> list[str]:
    """Return how each variable of dirty_throttle follows from what was measured."""
    if not settings:
        return []
    rate, seconds = state.writeback.write_rate, limit("dirty_seconds")
    bounds = [f"at least {size(limit('dirty_bytes_floor'))}"]
    if state.writeback.limit:
        bounds.insert(0, f"at most the {size(state.writeback.limit)} in force")
    return [
        (
            f"dirty_throttle_bytes {size(settings['dirty_throttle_bytes'])}: {size(rate)}/s measured on "
            f"{state.writeback.slowest} x {seconds:.0f} s = {size(rate * seconds)}; {', '.join(bounds)}."
        ),
        (
            f"dirty_throttle_background_bytes {size(settings['dirty_throttle_background_bytes'])} = "
            f"{percent(limit('dirty_background'))} of it."
        ),
    ]


def _flushing_stopped(state: State) -> str | None:
    memory = state.memory
    if memory.writeback is None or (ratio(memory.writeback, memory.undrained) or 0) >= limit("flushing_stopped"):
        return None
    said = "Almost nothing is under writeback: flushing itself does not work, look at the kernel and the file system."
    return said + (" The multi-generational LRU is on, which kernels 6.7 and 6.8 got wrong." if state.lru_gen else "")


def _dirty_evidence(state: State) -> list[Finding]:
    memory, writeback = state.memory, state.writeback
    source = memory.source("undrained")
    pieces = [
        item("dirty and writeback", memory.undrained, "bytes", source, writeback.throttled_at),
        item("share of all memory", ratio(memory.undrained, memory.total), "share", source, "dirty_share"),
    ]
    share = ratio(memory.undrained, memory.file)
    if share is not None:
        pieces.append(item("share of the page cache", share, "share", memory.source("file"), "dirty_of_file"))
    if writeback.write_rate:
        drain = memory.undrained / writeback.write_rate
        said = f"time to write it to {writeback.slowest}"
        pieces.append(item(said, drain, "seconds", "/proc/diskstats", "dirty_drain"))
    if state.pressure_io.some is not None:
        waited = state.pressure_io.some
        said = "time in which a task waited for io"
        pieces.append(item(said, waited, "percent", "/proc/pressure/io some", "pressure_io"))
    return pieces


def _host_dirty(state: State, shortage: Shortage) -> Finding | None:
    memory, writeback = state.memory, state.writeback
    if memory.undrained is None or not memory.total:
        return None
    share = memory.undrained / memory.total
    throttled = writeback.throttled_at is not None and memory.undrained >= writeback.throttled_at
    most = (ratio(memory.undrained, memory.file) or 0) >= limit("dirty_of_file")
    if share < limit("dirty_share") or not (throttled or most):
        return None
    # MemAvailable takes dirty pages for reclaimable at once, which they are not.
    clean = None if memory.available is None else memory.available - memory.undrained
    settings = throttle_settings(state)
    where = f" for {writeback.slowest}" if writeback.slowest else ""
    amount = f"{size(memory.undrained)} ({percent(share)} of memory)"
    common = {
        "settings": settings,
        "why": throttle_why(state, settings),
        "advice": " ".join(filter(None, (_flushing_stopped(state), _exceeded(state), _wanting(state)))),
        "machine_only": state.container is not None,
    }
    if shortage.suffers or (clean is not None and is_low(max(0, clean), memory.usable)):
        span = limit("dirty_share_full") - limit("dirty_share")
        start, end = level("likely"), level("certain")
        sure = start + (end - start) * min(1, (share - limit("dirty_share")) / span)
        said = f"{state.subject} waits{where} to write {amount} of dirty pages, which cannot be freed before."
        return finding("dirty_pages", sure, said, [*_dirty_evidence(state), *shortage.evidence], **common)
    drain = ratio(memory.undrained, writeback.write_rate)
    waiting = state.pressure_io.some
    # Of one slow device among fast ones the kernel lets less be dirty than of the host (__wb_calc_thresh).
    much = share >= limit("dirty_share_full")
    behind = drain is not None and drain >= limit("dirty_drain")
    if (throttled or much) and behind and waiting and waiting >= limit("pressure_io"):
        said = (
            f"{state.subject} has memory, but writers wait for storage: {amount} of dirty pages would take "
            f"{duration(drain)} to write{where}."
        )
        sure = level("likely" if much else "possible")
        return finding("dirty_pages", sure, said, _dirty_evidence(state), **common)
    return None


def _is_at_limit(group: Group) -> bool:
    return bool(group.ooms or group.kills) or (ratio(group.current, group.max) or 0) >= limit("cgroup_near")


def _group_dirty(state: State) -> Finding | None:
    """A cgroup whose own limit is full of dirty pages: on v1 nothing throttles its writers before."""
    filled = [
        group
        for group in state.groups
        if group.max and _is_at_limit(group) and (ratio(group.undrained, group.max) or 0) >= limit("cgroup_dirty")
    ]
    if not filled:
        return None
    group = max(filled, key=lambda each: each.undrained / each.max)
    share = min(1.0, group.undrained / group.max)
    settings = throttle_settings(state)
    stat, events = state.where("memory.stat", "account"), state.where("memory.events", "account")
    reason = "cgroup v1 has no dirty limit of its own per cgroup." if state.cgroup_version == "v1" else None
    return finding(
        "dirty_pages",
        level("strong"),
        f"{percent(share)} of the limit of {group.name} ({size(group.max)}) is dirty pages that wait for storage.",
        [
            item(f"dirty and writeback of {group.name}", group.undrained, "bytes", f"{stat} of {group.path}"),
            item("share of its limit", share, "share", f"{stat} and limit of {group.path}", "cgroup_dirty"),
            item(
                "times it ran out of memory at its limit",
                group.ooms or group.kills or 0,
                "count",
                f"{events} of {group.path}",
            ),
        ],
        settings=settings,
        why=throttle_why(state, settings),
        advice=" ".join(filter(None, (reason, _wanting(state)))),
        machine_only=state.container is not None,
    )


def dirty_pages(state: State, shortage: Shortage) -> Finding | None:
    """Storage is slower than the writers, for the host or for a cgroup at its own limit."""
    found = [each for each in (_host_dirty(state, shortage), _group_dirty(state)) if each]
    return max(found, key=lambda each: each["confidence"], default=None)


def storage_fault(state: State, shortage: Shortage) -> Finding | None:
    """A device is failing or degraded. It is told on any host; it is sure as a cause only where writes pile up."""
    faults, suspicions = state.storage.faults, state.storage.suspicions
    told = [*faults, *suspicions, *state.storage.slow]
    if not told:
        return None
    piling = (state.memory.undrained or 0) >= (state.writeback.throttled_at or float("inf"))
    waiting = (state.pressure_io.some or 0) >= limit("pressure_io")
    if faults:
        sure = level("strong") if piling or (waiting and shortage.suffers) else level("even")
    elif suspicions:
        sure = level("even") if piling or waiting else level("possible")
    else:
        # Slow storage for which nobody waits is no trouble. Where writes pile up, dirty_pages has a remedy for it.
        trouble = piling or waiting or shortage.suffers or state.pressure_io.some is None
        sure = level("possible") if trouble else level("weak")
    more = f", and {len(told) - 1} more" if len(told) > 1 else ""
    first = told[0].said
    return finding(
        "storage_fault",
        sure,
        f"Storage needs a look: {first}{more}.",
        [item(each.said, each.value, each.unit, each.source, each.threshold) for each in told],
    )
