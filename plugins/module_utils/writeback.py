# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dirty memory, what may be dirty, and the limits of each backing device.

Sources: mm/page-writeback.c (global_dirtyable_memory, domain_dirty_limits), mm/page_alloc.c
(calculate_totalreserve_pages), /proc/zoneinfo (mm/vmstat.c), Documentation/ABI/testing/sysfs-class-bdi.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mount_of, mounts, reachable
from ansible_collections.linux_memory.oom.plugins.module_utils.system import page_size, vm_setting
from ansible_collections.linux_memory.oom.plugins.module_utils.vmstat import vmstat

# Only these lines matter here; most of the file on a large host are the page sets of each CPU, indented by 14.
_ZONE_LINE = re.compile(
    r"^(?:Node [0-9]+, zone +(\S+)"
    r"|(?:  pages | {6,8})(free|boost|min|low|high|managed|present|nr_zone_(?:in)?active_file) +([0-9]{1,19})$"
    r"| {8}protection: \(([0-9, ]+)\))",
    re.MULTILINE,
)
# Devices that nobody writes to unless they are mounted.
_IDLE = re.compile(r"(?:loop|ram|zram|fd|sr)[0-9]+$")


def parse_zoneinfo(text):
    """Return the zones of /proc/zoneinfo: [{name, free, boost, min, low, high, managed, present, protection, ...}].

    All in pages; protection is the list of lowmem reserves. A zone has only the fields that its text has.
    """
    zones = []
    for match in _ZONE_LINE.finditer(text):
        name, field, value, protection = match.groups()
        if name:
            zones.append({"name": name, "protection": []})
        elif zones and field:
            zones[-1].setdefault(field, int(value))
        elif zones:
            zones[-1]["protection"] = [int(word) for word in re.findall("[0-9]{1,19}", protection)]
    return zones


def reserved_pages(zones):
    """Return totalreserve_pages as calculate_totalreserve_pages() does: per zone the largest reserve kept for other
    zones plus the high watermark (without its temporary boost), at most what the zone manages.
    """
    total = 0
    for zone in zones:
        wanted = max(zone["protection"] or [0]) + max(0, zone.get("high", 0) - zone.get("boost", 0))
        total += min(wanted, zone.get("managed", zone.get("present", 0)))
    return total


def reserve(tree):
    """Return what the kernel keeps free for itself in bytes, 0 where it cannot be read."""
    return reserved_pages(parse_zoneinfo(tree.text("/proc/zoneinfo", ""))) * page_size(tree)


def highmem_pages(zones, total):
    """Return how much of total lies in high memory, which a 32-bit kernel does not let become dirty by default."""
    found = 0
    for zone in zones:
        if zone["name"] == "HighMem":
            found += max(0, zone.get("free", 0) - max(0, zone.get("high", 0) - zone.get("boost", 0)))
            found += zone.get("nr_zone_inactive_file", 0) + zone.get("nr_zone_active_file", 0)
    return min(found, total)


def dirtyable_pages(free, file_pages, zones, highmem_is_dirtyable):
    """Return the pages that may become dirty, as global_dirtyable_memory() does: never less than 1."""
    pages = free - min(free, reserved_pages(zones)) + file_pages
    if highmem_is_dirtyable == 0:
        pages -= highmem_pages(zones, pages)
    return pages + 1


def limits(dirtyable, settings, page):
    """Return (limit, background limit) in bytes as domain_dirty_limits() does for an ordinary task.

    settings is {dirty_ratio, dirty_bytes, dirty_background_ratio, dirty_background_bytes}; None where one is missing.
    """

    def limit(prefix):
        in_bytes, ratio = settings[prefix + "_bytes"], settings[prefix + "_ratio"]
        if in_bytes:
            return -(-in_bytes // page)
        return None if ratio is None else (ratio * page // 100) * (dirtyable // page) // page

    dirty, background = limit("dirty"), limit("dirty_background")
    if dirty is None:
        return None, None
    if background is not None and background >= dirty:
        background = dirty // 2
    return dirty * page, None if background is None else background * page


def implied_dirtyable(threshold, ratio, page):
    """Return the dirtyable pages that a threshold (pages) by ratio (percent) was computed from, None where unknown."""
    share = (ratio or 0) * page // 100
    return threshold * page // share if share and threshold is not None else None


def dirtyable_memory(tree):
    """Return the memory of which a dirty ratio is taken now, in bytes, or None where it cannot be read."""
    names = ("dirty_ratio", "dirty_bytes")
    return _dirtyable(tree, {name: vm_setting(tree, name) for name in names})


def _dirtyable(tree, settings):
    """Return the dirtyable memory in bytes, or None where its parts cannot be read."""
    pages, page = vmstat(tree), page_size(tree)
    computed = _computed_dirtyable(tree, pages)
    implied = None
    if not settings["dirty_bytes"]:
        implied = implied_dirtyable(pages.get("nr_dirty_threshold"), settings["dirty_ratio"], page)
    # The same within rounding. Where the kernel of a guest counts memory that its host has yet to give it, it alone
    # knows what it counts.
    if implied is not None and (computed is None or abs(computed - implied) > implied / 10):
        computed = implied
    if computed is None:
        tree.missing("writeback.dirtyable", "/proc/zoneinfo or /proc/vmstat: not there, or not in a form that is known")
        return None
    return computed * page


def _computed_dirtyable(tree, pages):
    names = ("nr_free_pages", "nr_inactive_file", "nr_active_file")
    zones = parse_zoneinfo(tree.text("/proc/zoneinfo", ""))
    if not zones or any(name not in pages for name in names):
        return None
    file_pages = pages["nr_inactive_file"] + pages["nr_active_file"]
    return dirtyable_pages(pages["nr_free_pages"], file_pages, zones, vm_setting(tree, "highmem_is_dirtyable"))


def _amounts(tree):
    """Return dirty, writeback and (None on kernels that no longer count it) unstable NFS memory in bytes."""
    memory, pages, page = meminfo(tree), vmstat(tree), page_size(tree)
    result = {}
    for key, line in (("dirty", "nr_dirty"), ("writeback", "nr_writeback"), ("nfs_unstable", "nr_unstable")):
        result[key] = memory.get(key, pages[line] * page if line in pages else None)
    return result


def _thresholds(tree, dirtyable, settings):
    """Return both thresholds in force in bytes: the kernel's own numbers, else computed as it does."""
    pages, page = vmstat(tree), page_size(tree)
    if "nr_dirty_threshold" in pages and "nr_dirty_background_threshold" in pages:
        return pages["nr_dirty_threshold"] * page, pages["nr_dirty_background_threshold"] * page
    return limits(dirtyable, settings, page) if dirtyable is not None else (None, None)


def _rule(settings, prefix):
    """Return which of a pair rules; the other one is 0."""
    if settings[prefix + "_bytes"] is None and settings[prefix + "_ratio"] is None:
        return None
    return "bytes" if settings[prefix + "_bytes"] else "ratio"


def _mounts_by_device(tree):
    """Return {number of the backing device: [entry]}: partitions are written through their disk's."""
    known = blocks(tree)
    backing = {}
    found = {}
    for entry in reachable(tree):
        number = entry["device"]
        if number is None:
            continue
        if number not in backing:
            backing[number] = _backing(tree, known, entry)
        found.setdefault(backing[number], []).append(entry)
    return found


def _backing(tree, known, entry):
    number = entry["device"]
    if entry["type"] == "btrfs":
        return _btrfs_backing(tree, known.devices_of_mount(entry)) or number
    if number.startswith("0:"):
        return number
    name = known.name(number)
    parent = known.parent(name) if name else None
    return (known.number(parent) if parent else None) or number


def _btrfs_backing(tree, devices):
    for uuid in tree.names("/sys/fs/btrfs"):
        target = tree.link("/sys/fs/btrfs/%s/bdi" % uuid)
        if target and set(devices) & set(tree.names("/sys/fs/btrfs/%s/devices" % uuid)):
            return target.rsplit("/", 1)[-1]
    return None


def backing_of(tree, path):
    """Return the number of the device whose dirty pages a path's are, such as "254:16", or None.

    path: a device node, or an absolute path whose file system is meant. Where that is btrfs or on the network, the
    number or name is one that lasts until it is unmounted.
    """
    known = blocks(tree)
    name = known.of_source(path)
    if name is None:
        real = os.path.realpath(path) if tree.live else path
        entry = mount_of(mounts(tree), real) if tree.exists(path) else None
        if entry is None:
            return None
        if entry["type"] != "overlay":
            number = _backing(tree, known, entry)
            return number if number in tree.names("/sys/class/bdi") else None
        name = (known.devices_of_mount(entry) or [None])[0]
    return known.number(known.parent(name) or name) if name else None


def _devices(tree):
    names = tree.names("/sys/class/bdi")
    if not names:
        tree.missing("writeback.devices", "/sys/class/bdi: does not exist or is empty")
        return []
    mounted = _mounts_by_device(tree)
    named = [(number, _name(tree, number, mounted.get(number, []))) for number in names]
    return [
        _device(tree, number, name, mounted.get(number, []))
        for number, name in named
        if number in mounted or not _IDLE.match(name)
    ]


def _device(tree, number, name, entries):
    where = "/sys/class/bdi/%s/" % number
    read_ahead = tree.integer(where + "read_ahead_kb")
    strict = tree.integer(where + "strict_limit")
    result = {
        "device": number,
        "name": name,
        "mounts": sorted({entry["mount"] for entry in entries}),
        "strict_limit": None if strict is None else strict == 1,
        "read_ahead": None if read_ahead is None else read_ahead * 1024,
    }
    for key in ("min_ratio", "max_ratio", "min_bytes", "max_bytes"):
        result[key] = tree.integer(where + key)
    return result


def _name(tree, number, entries):
    """Return "sda" for a block device, "nfs 0:45" for what has an anonymous number, the kernel's name for others."""
    if re.match(r"[0-9]+:[0-9]+$", number) and not number.startswith("0:"):
        return blocks(tree).name(number) or number
    return "%s %s" % (entries[0]["type"], number) if entries and number.startswith("0:") else number


def collect(tree, options, earlier=None):
    """Return amounts and limits in bytes, expire and writeback intervals in seconds, and the backing devices."""
    amounts = _amounts(tree)
    if amounts["dirty"] is None:
        tree.missing("writeback", "neither /proc/meminfo nor /proc/vmstat could be read")
        return None
    names = ("dirty_ratio", "dirty_bytes", "dirty_background_ratio", "dirty_background_bytes")
    settings = {name: vm_setting(tree, name) for name in names}
    dirtyable = _dirtyable(tree, settings)
    limit, background = _thresholds(tree, dirtyable, settings)
    expire, interval = (vm_setting(tree, "dirty_%s_centisecs" % name) for name in ("expire", "writeback"))
    result = dict(amounts, **settings)
    result.update(
        {
            "dirtyable": dirtyable,
            "dirty_threshold": limit,
            "dirty_background_threshold": background,
            "limit_by": _rule(settings, "dirty"),
            "background_limit_by": _rule(settings, "dirty_background"),
            "dirty_expire": None if expire is None else expire / 100.0,
            "dirty_writeback": None if interval is None else interval / 100.0,
            "devices": _devices(tree),
        }
    )
    return result
