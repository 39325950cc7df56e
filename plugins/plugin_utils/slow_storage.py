# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which disks and servers are slow: for what they are, or for what they usually do.

A queue makes every request wait, also on a device that works as fast as it can. So a long wait alone is no sign: the
device must also take long for each request that it finishes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import duration, plain_number
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Fault
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import limit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import at, mapping, number, ratio, rows, text

TARGETS = {
    "iscsi": "iSCSI target",
    "fc": "Fibre Channel target",
    "nvme": "NVMe-oF subsystem",
    "rbd": "Ceph pool",
    "cephfs": "CephFS",
    "nfs": "NFS export",
    "smb": "SMB share",
    "gluster": "Gluster volume",
    "lustre": "Lustre file system",
}

# Where the kernel's sums of waiting time start again (unsigned int, milliseconds).
_WRAP_SECONDS = 2**32 / 1000

# The longest name of an iSCSI target or an NVMe subsystem has 223 bytes (RFC 7143; NVM Express Base Specification).
_LONGEST_NAME = 256


class Device(NamedTuple):
    """A disk or a mount of a server: its facts, and what it is called in a sentence."""

    name: str
    said: str
    kind: str | None
    facts: Mapping[str, Any]
    source: str


class Usual(NamedTuple):
    """What a device has needed since boot: mean seconds to an answer, and busy per request."""

    waited: float
    service: float


def target_of(facts: Any) -> tuple[str, str] | None:
    """Return (kind, name) of the target on a network that a disk or a mount lies on, or None."""
    kind, name = text(at(facts, "target", "kind")), text(at(facts, "target", "name"), _LONGEST_NAME)
    return (kind, name) if kind and name else None


def target_label(target: tuple[str, str]) -> str:
    """Return what a person calls a target."""
    kind, name = target
    return f"{TARGETS.get(kind, kind)} {name}"


def devices(facts: Mapping[str, Any]) -> Iterator[Device]:
    """Yield the whole disks, and the mounts that lie on a server."""
    for key, disk in mapping(at(facts, "storage", "disks")).items():
        name = text(key)
        if name and isinstance(disk, Mapping):
            target = target_of(disk)
            said = f"the disk {name}" + (f" ({target_label(target)})" if target else "")
            yield Device(name, said, text(disk.get("class")), disk, "/proc/diskstats")
    for mount in rows(at(facts, "storage", "mounts")):
        name, target = text(mount.get("mount")), target_of(mount)
        if name and target:
            said = f"the {target_label(target)} on {name}"
            yield Device(name, said, "network", mount, "/proc/self/mountstats")


def slow(facts: Mapping[str, Any]) -> dict[str, Fault]:
    """Return {name: what is slow about it} of the devices that were slow in the window; {} without one."""
    window, uptime = (number(at(facts, "system", name)) for name in ("sample_seconds", "uptime"))
    found = ((device.name, _slow(device, window, uptime)) for device in devices(facts)) if window else ()
    return {name: fault for name, fault in found if fault}


def _slow(device: Device, window: float, uptime: float | None) -> Fault | None:
    """Return what is slow about a device in the direction that is worse, None where nothing is."""
    found = [_slow_at(device, kind, window, uptime) for kind in ("read", "write")]
    return max((each for each in found if each), key=lambda each: each.value, default=None)


def _slow_at(device: Device, kind: str, window: float, uptime: float | None) -> Fault | None:
    waited, service = number(device.facts.get(f"{kind}_await")), number(device.facts.get("service_time"))
    if waited is None or service is None or not _is_measured(device.facts, kind, window, service):
        return None
    bound, why = None, []
    expected, called = _expected(device.kind)
    if expected is not None and min(waited, service) >= expected:
        bound = expected
        why.append(f"{duration(bound)} is long for {called}")
    usual = _usual(device.facts.get("history"), kind, uptime)
    if usual and _is_unusual(waited, service, usual):
        # Both may hold; the threshold shown is the one that is met first.
        own = max(limit("latency_floor"), usual.waited * limit("latency_times"))
        bound = own if bound is None else min(bound, own)
        why.append(f"{plain_number(waited / usual.waited)} times its own mean until then")
    if bound is None:
        return None
    said = f"{device.said} takes {duration(waited)} to {kind}, busy for {duration(service)} with each request"
    return Fault(f"{said} ({', '.join(why)})", waited, device.source, "seconds", bound)


def _is_measured(facts: Mapping[str, Any], kind: str, window: float, service: float) -> bool:
    """Return whether the mean of a window is one of enough requests not to be that of an outlier."""
    per_second = {each: number(facts.get(f"{each}_iops")) or 0 for each in ("read", "write")}
    finished = per_second[kind] * window
    if finished >= limit("latency_ios"):
        return True
    busy = service * sum(per_second.values())
    return finished >= limit("latency_busy_ios") and busy >= limit("latency_busy")


def _expected(kind: str | None) -> tuple[float | None, str]:
    """Return the longest time that a request may take on a device of a class, and what a person calls it."""
    classes = {
        "rotational": (limit("latency_rotational"), "a rotating disk"),
        "ssd": (limit("latency_ssd"), "an SSD"),
        "nvme": (limit("latency_nvme"), "NVMe"),
        "virtual": (limit("latency_virtual"), "a virtual disk"),
        "network": (limit("latency_network"), "storage on a network"),
    }
    return classes.get(kind or "", (None, ""))


def _is_unusual(waited: float, service: float, usual: Usual) -> bool:
    times = limit("latency_times")
    return waited >= max(limit("latency_floor"), times * usual.waited) and service >= times * usual.service


def _usual(history: Any, kind: str, uptime: float | None) -> Usual | None:
    """Return what a device has needed before the window, rather too much than too little; None where that is not known.

    Each sum of seconds may have started again without a trace. It is taken to have done so as often as the time that
    the device was busy allows, since a mean that is too small would call a healthy device slow.
    """
    number_of, spent = number(at(history, f"{kind}s")), number(at(history, f"{kind}_time"))
    if not number_of or spent is None or number_of < limit("latency_history_ios"):
        return None
    busy = number(at(history, "busy_time"))
    if busy is None:
        # The sums of a mount have 64 bits, and there is none of the time that it was busy.
        return Usual(spent / number_of, spent / number_of) if spent else None
    if uptime is None:
        return None
    busy += _wraps(uptime - busy) * _WRAP_SECONDS
    spent += _wraps(busy * limit("history_depth") - spent) * _WRAP_SECONDS
    everything = (number(at(history, "reads")) or 0) + (number(at(history, "writes")) or 0)
    service = ratio(busy, everything)
    return Usual(spent / number_of, service) if spent and service else None


def _wraps(seconds: float) -> int:
    """Return how often a sum may have started again while it grew by so many seconds."""
    return int(max(0, seconds) // _WRAP_SECONDS)
