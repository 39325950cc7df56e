# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the facts of storage and writeback: dirty limits, write rate, faults and suspicions of devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Storage, Writeback
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import at, mapping, number, ratio, rows, text

Fault = tuple[str, str, str]


def _disks(facts: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, disk in mapping(at(facts, "disks")).items():
        name = text(key)
        if name and isinstance(disk, Mapping):
            yield name, disk


def _first(*values: Any) -> float | None:
    return next((known for known in map(number, values) if known is not None), None)


def writeback_of(facts: Mapping[str, Any]) -> Writeback:
    """Return the limits in force and the write rate of the disk that is busiest with writing."""
    writeback, vmstat = facts.get("writeback"), facts.get("vmstat")
    busiest: tuple[float, float | None, str | None] = (0, None, None)
    for name, disk in _disks(facts.get("storage")):
        rate = number(disk.get("write_rate"))
        if rate:
            busy = number(disk.get("utilisation")) or 0
            busiest = (busy, rate, name) if busiest[1] is None or (busy, rate) > busiest[:-1] else busiest
    _busy, rate_of_busiest, name_of_busiest = busiest
    return Writeback(
        limit=_first(at(writeback, "dirty_threshold"), at(vmstat, "dirty_threshold")),
        background=_first(at(writeback, "dirty_background_threshold"), at(vmstat, "dirty_background_threshold")),
        write_rate=rate_of_busiest,
        slowest=name_of_busiest,
    )


def _array_faults(facts: Any) -> Iterator[Fault]:
    for array in rows(at(facts, "arrays")):
        missing, name = number(array.get("degraded")), text(array.get("name"))
        if missing and name:
            lost = f"{missing} missing"
            yield (f"the array {name} lacks {missing} of its disks", lost, f"/sys/block/{name}/md/degraded")


def _device_faults(facts: Any) -> Iterator[Fault]:
    for device in rows(at(facts, "not_running")):
        name, state = text(device.get("device")), text(device.get("state"))
        if name and state:
            yield (f"the device {name} is {state}", state, f"/sys/class/block/{name}/device/state")


def _read_only_faults(facts: Any) -> Iterator[Fault]:
    for mount in rows(at(facts, "read_only")):
        name = text(mount.get("mount"))
        if name:
            yield (f"the file system on {name} has gone read-only", "read-only", "/proc/self/mountinfo")


def _error_faults(facts: Any) -> Iterator[Fault]:
    for name, disk in _disks(facts):
        errors = number(at(disk, "errors", "ioerr"))
        share = ratio(errors, number(at(disk, "errors", "iodone")))
        if errors and share and errors >= limit("disk_errors") and share >= limit("disk_error_share"):
            counted = f"{errors} failed requests"
            yield (f"the disk {name} has had {counted}", counted, f"/sys/block/{name}/device/ioerr_cnt")


def _recorded(facts: Any) -> Iterator[Fault]:
    """Yield the file systems that remember errors; they may be old, a check of the file system clears them."""
    for entry in rows(at(facts, "file_system_errors")):
        name, errors = text(entry.get("device")), number(entry.get("errors"))
        if name and errors:
            counted = f"{errors} errors since its last check"
            yield (f"the file system on {name} has recorded {counted}", counted, f"/sys/fs/ext4/{name}/errors_count")


def _stuck(facts: Any, window: float | None) -> Iterator[Fault]:
    """Yield the disks that had requests under way for the whole sample and finished none."""
    if window is None or window < limit("disk_stuck_window"):
        return
    for name, disk in _disks(facts):
        busy, waiting = number(disk.get("utilisation")), number(disk.get("in_flight"))
        done = (number(disk.get("read_iops")), number(disk.get("write_iops")))
        if busy is not None and busy >= limit("disk_busy") and waiting and done == (0, 0):
            said = f"{waiting} requests under way, none finished in {window:.0f} s"
            yield (f"the disk {name} finishes no request", said, "/proc/diskstats")


def storage_of(facts: Mapping[str, Any]) -> Storage:
    """Return faults (the kernel says so), suspicions (a measurement says so), ZFS and the memory in tmpfs mounts."""
    storage = facts.get("storage")
    mounts = list(rows(at(storage, "mounts")))
    tmpfs = []
    for mount in mounts:
        used, name = number(mount.get("used")), text(mount.get("mount"))
        if text(mount.get("type")) == "tmpfs" and used and name:
            tmpfs.append((name, used, number(mount.get("size"))))
    checks = (_read_only_faults, _device_faults, _array_faults, _error_faults)
    return Storage(
        faults=tuple(fault for check in checks for fault in check(storage)),
        suspicions=(*_stuck(storage, number(at(facts, "system", "sample_seconds"))), *_recorded(storage)),
        zfs=any(text(mount.get("type")) == "zfs" for mount in mounts),
        tmpfs=tuple(sorted(tmpfs, key=lambda entry: -entry[1])),
    )
