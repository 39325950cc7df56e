# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Swap: its devices and the disks below them, zswap, and how fast it fills.

Sources: /proc/swaps (mm/swapfile.c), /proc/meminfo, /sys/block/zram*/mm_stat (Documentation/admin-guide/blockdev/
zram.rst), /sys/module/zswap (Documentation/admin-guide/mm/zswap.rst).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo, parse_meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import unescape
from ansible_collections.linux_memory.oom.plugins.module_utils.system import page_size, vm_setting

_LINE = re.compile(r"^(\S+)\s+(\S+)\s+([0-9]{1,19})\s+([0-9]{1,19})\s+(-?[0-9]{1,6})\s*$")
_DELETED = " (deleted)"


def parse_swaps(text, unit=1024):
    """Return the devices of /proc/swaps: [{path, type, size, used (bytes), priority, deleted}].

    deleted tells that the file of an active swap file was removed. swapon --show prints the same columns, in bytes:
    unit=1.
    """
    found = []
    for line in text.split("\n"):
        match = _LINE.match(line)
        if not match:
            continue
        path = unescape(match.group(1))
        deleted = path.endswith(_DELETED)
        found.append(
            {
                "path": path[: -len(_DELETED)] if deleted else path,
                "type": match.group(2),
                "size": int(match.group(3)) * unit,
                "used": int(match.group(4)) * unit,
                "priority": int(match.group(5)),
                "deleted": deleted,
            }
        )
    return found


def _devices(tree):
    """Return what /proc/swaps says; None where it cannot be read."""
    try:
        return parse_swaps(tree.read("/proc/swaps"))
    except EnvironmentError as error:
        listed = tree.text("/sos_commands/memory/swapon_--bytes_--show") if tree.sosreport else None
        if listed is None:
            tree.missing("swap.devices", error)
            return None
        return parse_swaps(listed, unit=1)


def _described(tree, device):
    """Return one device with its kind and what is below it.

    In a container /proc/swaps is that of the host and its files are not there: then no disk is named.
    """
    known = blocks(tree)
    path = device["path"]
    kind = device["type"] if device["type"] in ("file", "partition") else "unknown"
    disks, memory = [], None
    if kind == "file":
        disks = [] if device["deleted"] else known.of_path(path)
    elif path.startswith("/dev/"):
        name = known.of_source(path) or path[len("/dev/") :].replace("/", "!")
        if re.match(r"zram[0-9]+$", name):
            kind = "zram"
            memory = _zram_memory(known.text(name, "mm_stat"))
        if kind == "zram" or known.directory(name) or name in known.listed:
            disks = known.disks(name)
    return {
        "path": path,
        "kind": kind,
        "size": device["size"],
        "used": device["used"],
        "priority": device["priority"],
        "disks": disks,
        "rotational": known.rotational(disks),
        "memory": memory,
        "deleted": device["deleted"],
    }


def _zram_memory(text):
    """Return the bytes of memory that a zram device holds: the third field of mm_stat, mem_used_total."""
    fields = (text or "").split()
    return int(fields[2]) if len(fields) > 2 and re.match("[0-9]{1,20}$", fields[2]) else None


def _zswap(tree, memory):
    """Return the state of zswap, None where the kernel lacks it.

    meminfo has its sizes since 5.19; before, only debugfs, which root may read.
    """
    where = "/sys/module/zswap/parameters/"
    enabled = tree.text(where + "enabled")
    if enabled is None:
        return None
    pool, stored = memory.get("zswap"), memory.get("zswapped")
    if pool is None:
        pool = tree.integer("/sys/kernel/debug/zswap/pool_total_size")
        pages = tree.integer("/sys/kernel/debug/zswap/stored_pages")
        stored = None if pages is None else pages * page_size(tree)
    return {
        "enabled": enabled in ("Y", "1"),
        "compressor": tree.text(where + "compressor"),
        "max_pool_percent": tree.integer(where + "max_pool_percent"),
        "pool_size": pool,
        "stored": stored,
    }


def _used(memory):
    if "swap_total" not in memory or "swap_free" not in memory:
        return None
    return max(0, memory["swap_total"] - memory["swap_free"])


def sample(tree):
    """Return the swap in use (bytes) at the start of the window, None where not known."""
    return {"used": _used(parse_meminfo(tree.text("/proc/meminfo", "")))}


def _growth(earlier, used, free):
    """Return (bytes per second, seconds until full); the second is None where swap does not grow."""
    before = earlier[0].get("used") if earlier else None
    if before is None or used is None or earlier[1] <= 0:
        return None, None
    growth = (used - before) / earlier[1]
    return growth, free / growth if growth > 0 and free is not None else None


def collect(tree, options, earlier=None):
    """Return sizes in bytes, the devices, zswap, and with an earlier sample growth and seconds until full.

    memory is what a zram device holds, deleted tells that a swap file was removed while in use. Sizes come from
    meminfo, which in containers with lxcfs is the container's own.
    """
    memory = meminfo(tree)
    devices = _devices(tree)
    total, free, used = memory.get("swap_total"), memory.get("swap_free"), _used(memory)
    if total is None and devices is not None:
        total, used = sum(one["size"] for one in devices), sum(one["used"] for one in devices)
        free = total - used
    if total is None:
        tree.missing("swap", "neither /proc/meminfo nor /proc/swaps could be read")
        return None
    growth, until_full = _growth(earlier, used, free)
    return {
        "total": total,
        "free": free,
        "used": used,
        "cached": memory.get("swap_cached"),
        "swappiness": vm_setting(tree, "swappiness"),
        "page_cluster": vm_setting(tree, "page-cluster"),
        "devices": [_described(tree, device) for device in devices or []],
        "zswap": _zswap(tree, memory),
        "growth": growth,
        "seconds_until_full": until_full,
    }
