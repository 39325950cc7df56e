# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the facts of storage and writeback: dirty limits, write rate, faults and suspicions of devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import duration
from ansible_collections.linux_memory.oom.plugins.plugin_utils.slow_storage import slow
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Fault, Storage, Writeback
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import at, mapping, number, ratio, rows, text

# Bits of critical_warning in the SMART log of NVMe (NVM Express Base Specification, Figure "SMART / Health Information
# Log Page"). Heat is another matter: the device protects itself by being slow.
_NVME_WARNINGS = {
    1: "its spare blocks run out",
    4: "errors have degraded its reliability",
    8: "it has become read-only",
    16: "its cache is not safe from a power failure any more",
    32: "its persistent memory has become read-only or unreliable",
}
_NVME_HEAT = 2


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
        in_bytes=at(writeback, "limit_by") == "bytes",
        background=_first(at(writeback, "dirty_background_threshold"), at(vmstat, "dirty_background_threshold")),
        write_rate=rate_of_busiest,
        slowest=name_of_busiest,
    )


def _array_faults(facts: Any) -> Iterator[Fault]:
    for array in rows(at(facts, "arrays")):
        missing, name = number(array.get("degraded")), text(array.get("name"))
        if missing and name:
            lost = f"{missing} missing"
            yield Fault(f"the array {name} lacks {missing} of its disks", lost, f"/sys/block/{name}/md/degraded")


def _path_names(device: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return the paths of a multipath device with why each is down, None for one that works."""
    found = ((text(path.get("name")), text(path.get("down"))) for path in rows(device.get("paths")))
    return [(name, down) for name, down in found if name]


def _path_faults(facts: Any) -> Iterator[Fault]:
    for device in rows(at(facts, "multipath")):
        name, paths = text(device.get("name")), _path_names(device)
        down = [f"{path} is {why}" for path, why in paths if why]
        if name and down:
            many = f"all of its {len(paths)} paths" if len(down) == len(paths) else f"{len(down)} of {len(paths)} paths"
            where = "/sys/class/nvme" if text(device.get("kind")) == "nvme" else "/sys/block, dmsetup status"
            yield Fault(f"the multipath device {name} has lost {many}", ", ".join(down), where)


def _device_faults(facts: Any) -> Iterator[Fault]:
    # A path that is down is told as such, with what is left beside it. A namespace is called after its controller.
    paths = {path for device in rows(at(facts, "multipath")) for path, _down in _path_names(device)}
    for device in rows(at(facts, "not_running")):
        name, state = text(device.get("device")), text(device.get("state"))
        if name and state and name not in paths and name.rpartition("n")[0] not in paths:
            yield Fault(f"the device {name} is {state}", state, f"/sys/class/block/{name}/device/state")


def _read_only_faults(facts: Any) -> Iterator[Fault]:
    for mount in rows(at(facts, "read_only")):
        name = text(mount.get("mount"))
        if name:
            yield Fault(f"the file system on {name} has gone read-only", "read-only", "/proc/self/mountinfo")


def _error_faults(facts: Any) -> Iterator[Fault]:
    for name, disk in _disks(facts):
        errors = number(at(disk, "errors", "ioerr"))
        share = ratio(errors, number(at(disk, "errors", "iodone")))
        if errors and share and errors >= limit("disk_errors") and share >= limit("disk_error_share"):
            counted = f"{errors} failed requests"
            yield Fault(f"the disk {name} has had {counted}", counted, f"/sys/block/{name}/device/ioerr_cnt")


def _smart(facts: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, said in mapping(at(facts, "smart")).items():
        name = text(key)
        if name and isinstance(said, Mapping):
            yield name, said


def _smart_faults(facts: Any) -> Iterator[Fault]:
    """Yield what disks say themselves. NVMe has a bit for each kind of trouble, and calls itself failed for any."""
    for name, said in _smart(facts):
        warning, failing = number(said.get("critical_warning")), said.get("failing")
        if warning is not None:
            told = [words for bit, words in _NVME_WARNINGS.items() if int(warning) & bit]
        else:
            told = ["it has failed its own health test"] if said.get("passed") is False else []
            told += filter(None, map(text, failing if isinstance(failing, list) else ()))
        if told:
            yield Fault(f"the disk {name} says that it is failing", ", ".join(told), "smartctl -H -A")


def _smart_suspicions(facts: Any) -> Iterator[Fault]:
    for name, said in _smart(facts):
        pending, rotates = number(said.get("pending")), at(facts, "disks", name, "rotational")
        # Flash reads a page again in no time, and some of its firmware counts one that is not there.
        if pending and pending >= limit("smart_pending") and rotates is True:
            told = f"the disk {name} has sectors that it cannot read, and tries again and again"
            yield Fault(told, pending, "smartctl -A, Current_Pending_Sector", "count", limit("smart_pending"))
        if int(number(said.get("critical_warning")) or 0) & _NVME_HEAT:
            heat = number(said.get("temperature"))
            value = "too hot" if heat is None else f"{heat} °C"
            yield Fault(f"the disk {name} is too hot, and slow to save itself", value, "smartctl -H -A")


def _recorded(facts: Any) -> Iterator[Fault]:
    """Yield the file systems that remember errors; they may be old, a check of the file system clears them."""
    for entry in rows(at(facts, "file_system_errors")):
        name, errors = text(entry.get("device")), number(entry.get("errors"))
        if name and errors:
            counted = f"{errors} errors since its last check"
            yield Fault(
                f"the file system on {name} has recorded {counted}", counted, f"/sys/fs/ext4/{name}/errors_count"
            )


def _told_errors(facts: Any, uptime: float | None) -> Iterator[Fault]:
    """Yield the disks of which the kernel's log tells failed requests that are not long past."""
    for key, told in mapping(at(facts, "io_errors")).items():
        name, count, last = text(key), number(at(told, "count")), number(at(told, "last"))
        age = None if uptime is None or last is None else max(0, uptime - last)
        if name and count and age is not None and age <= limit("io_errors_age"):
            said = f"{count} in the log, the last {duration(age)} ago"
            yield Fault(f"requests to the disk {name} have failed", said, 'kernel log, "error, dev"')


def _stuck(facts: Any, window: float | None) -> Iterator[Fault]:
    """Yield the disks that had requests under way for the whole sample and finished none."""
    if window is None or window < limit("disk_stuck_window"):
        return
    for name, disk in _disks(facts):
        busy, waiting = number(disk.get("utilisation")), number(disk.get("in_flight"))
        done = (number(disk.get("read_iops")), number(disk.get("write_iops")))
        if busy is not None and busy >= limit("disk_busy") and waiting and done == (0, 0):
            said = f"{waiting} requests under way, none finished in {window:.0f} s"
            yield Fault(f"the disk {name} finishes no request", said, "/proc/diskstats")


def storage_of(facts: Mapping[str, Any]) -> Storage:
    """Return faults (the kernel says so), suspicions (a measurement says so), what is slow, ZFS and memory in tmpfs."""
    storage = facts.get("storage")
    mounts = list(rows(at(storage, "mounts")))
    tmpfs = []
    for mount in mounts:
        used, name = number(mount.get("used")), text(mount.get("mount"))
        if text(mount.get("type")) == "tmpfs" and used and name:
            tmpfs.append((name, used, number(mount.get("size"))))
    checks = (_read_only_faults, _path_faults, _device_faults, _array_faults, _smart_faults, _error_faults)
    window = number(at(facts, "system", "sample_seconds"))
    uptime = number(at(facts, "system", "uptime"))
    suspected = (
        _stuck(storage, window),
        _told_errors(storage, uptime),
        _smart_suspicions(storage),
        _recorded(storage),
    )
    return Storage(
        faults=tuple(fault for check in checks for fault in check(storage)),
        suspicions=tuple(fault for found in suspected for fault in found),
        slow=tuple(slow(facts).values()),
        zfs=any(text(mount.get("type")) == "zfs" for mount in mounts),
        tmpfs=tuple(sorted(tmpfs, key=lambda entry: -entry[1])),
    )
