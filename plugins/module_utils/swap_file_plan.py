# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done so that swap files are as they are wished, in which order, and whether it may be done.

Pure functions: the state of the host goes in, steps and refusals come out. Swap that is in use is never switched off
before as much has been switched on beside it: its pages would have to fit into memory at once. What takes the place of
an area meanwhile is a file beside it, the bridge.

Sources: swapon(8) and mkswap(8) of util-linux (notes on files with holes, preallocated files and btrfs), swapon(2),
mm/swapfile.c, Documentation of btrfs on swap files (btrfs(5)), fs/namei.c (an active swap file can be neither renamed
nor removed since 5.15).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

MIB = 1024**2
GIB = 1024**3

# mkswap refuses less than ten pages; below this nobody is helped.
MIN_SIZE = MIB
# The largest file of ext4 with 4 KiB blocks.
MAX_SIZE = 16 * 1024 * GIB
PRIORITIES = (0, 32767)
DISCARDS = ("none", "once", "pages", "both")

_UNITS = {"": 1, "K": 1024, "M": MIB, "G": GIB, "T": 1024 * GIB}
_SIZE = re.compile(r"([0-9]{1,15})(?:([KMGT])(?:i?B)?)?$")

# File systems whose files may be swap, and the first kernel on which preallocated ones may. swapon(8): XFS since 4.18,
# btrfs since 5.0, and there no other way. ext4 gives the blocks of unwritten extents (ext4_map_blocks).
PREALLOCATED_SINCE = {"ext4": (0, 0), "xfs": (4, 18), "btrfs": (5, 0)}
WRITTEN = ("ext2", "ext3")
REASONS = {
    "tmpfs": "it lies in memory itself",
    "ramfs": "it lies in memory itself",
    "overlay": "the kernel cannot map its files to blocks of a disk",
    "nfs": "swap on it needs the network and memory for it, when there is none",
    "nfs4": "swap on it needs the network and memory for it, when there is none",
    "cifs": "swap on it needs the network and memory for it, when there is none",
    "zfs": "ZFS has to allocate memory to write, and its files have no fixed place on a disk",
}
_NOT_KNOWN = "only ext2, ext3, ext4, xfs and btrfs are known to hold swap files"


def parse_size(value):
    """Return bytes of a number or of a text such as "2G" (powers of 1024). Raises ValueError."""
    match = _SIZE.match(str(value).strip())
    if isinstance(value, bool) or not match:
        raise ValueError("it must be a whole number of bytes, or one with K, M, G or T (powers of 1024), such as 2G")
    size = int(match.group(1)) * _UNITS[match.group(2) or ""]
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError("it must be from 1M to 16T")
    return size


def human(size):
    """Return a number of bytes for a message, such as "1536.0 MiB"."""
    return "%.1f MiB" % (size / MIB)


def rounded(size, page):
    """Return the size of the file: whole pages."""
    return size - size % page


def part_of(path):
    """Return the name under which a swap file is made before it gets its own."""
    return os.path.join(os.path.dirname(path), ".%s.linux_memory_oom.part" % os.path.basename(path))


def parts_of(path):
    """Return the names of all half-written files that a stopped run can leave beside a swap file."""
    return [part_of(path), part_of(bridge_of(path))]


def bridge_of(path):
    """Return the name of the area that stands in for another while that is replaced."""
    return os.path.join(os.path.dirname(path), ".%s.linux_memory_oom.bridge" % os.path.basename(path))


def boot_options(wish):
    """Return the options of fstab for a wished area. nofail: a boot goes on without it, and does not wait for it."""
    options = ["sw", "nofail"]
    if wish["priority"] is not None:
        options.append("pri=%d" % wish["priority"])
    if wish["discard"] != "none":
        options.append("discard" if wish["discard"] == "both" else "discard=" + wish["discard"])
    return options


def discard_of(options):
    """Return the discard policy of the options of fstab (swapon(8): without a value both)."""
    for option in options or []:
        if option == "discard":
            return "both"
        if option.startswith("discard="):
            return option[len("discard=") :]
    return "none"


def file_system_refusal(kind, kernel, profiles=(), devices=1):
    """Return why files of a file system cannot be swap, or None.

    kernel: (major, minor). profiles, devices: of a btrfs, the profiles of its data and how many devices it has.
    """
    if kind in REASONS or (kind not in PREALLOCATED_SINCE and kind not in WRITTEN):
        return "the file system there is %s: %s" % (kind or "not known", REASONS.get(kind, _NOT_KNOWN))
    if kind == "btrfs":
        if kernel < PREALLOCATED_SINCE["btrfs"]:
            return "btrfs holds swap files since kernel 5.0, and this is %d.%d" % kernel
        if devices > 1:
            return "the btrfs there has %d devices, and a swap file must be on one" % devices
        wrong = [profile for profile in profiles if profile != "single"]
        if wrong:
            return "the btrfs there keeps data as %s, and a swap file needs the profile single" % ", ".join(wrong)
    return None


def may_preallocate(kind, kernel):
    """Return whether the kernel takes preallocated files of the file system for swap."""
    return kind in PREALLOCATED_SINCE and kernel >= PREALLOCATED_SINCE[kind]


def memory_margin(total):
    """Return the bytes of memory that must stay available: a twentieth, since readahead and the pages of page tables
    come on top of what is read back, and 64 MiB on small hosts.
    """
    return max(64 * MIB, total // 20)


def disk_margin(total):
    """Return the bytes that must stay free on a file system: a twentieth, at most 1 GiB, at least 16 MiB."""
    return max(16 * MIB, min(GIB, total // 20))


def leftover(path, state):
    """Return the steps that clear what an interrupted run left beside an area and nobody uses."""
    steps = []
    steps += [{"do": "delete", "path": name} for name in state["parts"]]
    bridge = state["bridge"]
    if bridge and not bridge["active"]:
        steps.append({"do": "delete", "path": bridge_of(path)})
    return steps


def _end_bridge(path):
    return [{"do": "off", "path": bridge_of(path)}, {"do": "delete", "path": bridge_of(path)}]


def is_right(state, wish):
    """Return whether an active area is what is wished (what fstab says of discard is all that is known of it)."""
    return (
        state["active"]
        and state["size"] == wish["size"]
        and state["active_size"] == wish["size"]
        and state["mode_right"]
        and state["priority"] == wish["priority"]
        and discard_of(state["fstab"]) == wish["discard"]
    )


def steps_for(path, state, wish):
    """Return the steps that bring one area from its state to the wish (None: away with it).

    state: kind (file|device), exists, size (of the file or device), signature, mode_right, active, active_size (with
    the header), used, priority (None: the kernel's choice), fstab (its options in our block, or None), parts (the
    half-written files beside it), bridge (None or {active, size}).
    Each step is a dict: do = fstab|create|format|mode|on|off|delete, path, and what it needs.
    """
    steps = leftover(path, state)
    bridge = state["bridge"] if state["bridge"] and state["bridge"]["active"] else None
    if wish is None:
        return steps + _removal(path, state, bridge)
    options = boot_options(wish)
    if state["fstab"] != options:
        # First: it says that the area is ours, for a run that comes after this one was stopped. Boot does not mind
        # (nofail) that the area is not there yet.
        steps.append({"do": "fstab", "path": path, "options": options})
    if is_right(state, wish):
        return steps + (_end_bridge(path) if bridge else [])
    on = {"do": "on", "path": path, "priority": wish["priority"], "discard": wish["discard"]}
    if state["kind"] == "device":
        return steps + _device_steps(path, state, on)
    if state["active"]:
        needed = min(state["active_size"], wish["size"])
        if bridge and bridge["size"] < needed:
            steps += _end_bridge(path)
            bridge = None
        if not bridge:
            steps.append({"do": "create", "path": bridge_of(path), "size": needed})
            steps.append({"do": "on", "path": bridge_of(path), "priority": wish["priority"], "discard": "none"})
        steps.append({"do": "off", "path": path})
        bridge = True
    if state["exists"] and state["size"] == wish["size"] and state["signature"]:
        steps += [] if state["mode_right"] else [{"do": "mode", "path": path}]
    else:
        # A file that is not active is worth nothing: its place on the disk is needed sooner.
        steps += [{"do": "delete", "path": path}] if state["exists"] else []
        steps.append({"do": "create", "path": path, "size": wish["size"]})
    return steps + [on] + (_end_bridge(path) if bridge else [])


def _device_steps(path, state, on):
    """A device has no room for a bridge: changing it needs room in memory, see refuse_room."""
    steps = [{"do": "off", "path": path}] if state["active"] else []
    if not state["signature"]:
        steps.append({"do": "format", "path": path})
    return steps + [on]


def _removal(path, state, bridge):
    steps = []
    if state["fstab"] is None:
        return steps
    if state["active"]:
        steps.append({"do": "off", "path": path})
    if bridge:
        steps += _end_bridge(path)
    if state["kind"] == "device":
        # Without its signature nobody takes the device for swap, and the next run for somebody else's.
        steps += [{"do": "wipe", "path": path}] if state["signature"] else []
    elif state["exists"]:
        steps.append({"do": "delete", "path": path})
    return steps + [{"do": "fstab", "path": path, "options": None}]


def memory_needed(states, wishes):
    """Return the bytes of used swap that may have to go into memory: those of areas that go or become smaller, and of
    devices, which have nothing to stand in for them.
    """
    needed = 0
    for path, state in states.items():
        wish = wishes.get(path)
        if state["bridge"] and wish is None and state["fstab"] is not None:
            needed += state["bridge"].get("used", 0)
        if not state["active"]:
            continue
        if wish is None:
            needed += state["used"] if state["fstab"] is not None else 0
        elif state["kind"] == "device":
            needed += 0 if is_right(state, wish) else state["used"]
        elif wish["size"] < state["active_size"]:
            needed += state["used"]
    return needed


def refuse_room(states, wishes, available, total):
    """Return why swap may not be switched off now, with both numbers, or None. available: MemAvailable."""
    needed = memory_needed(states, wishes)
    margin = memory_margin(total)
    if needed == 0 or needed + margin <= available:
        return None
    return (
        "%s of swap in use would have to go into memory, where %s are available (MemAvailable) and %s of them must "
        "stay so: stop what is swapped out first, or say force" % (human(needed), human(available), human(margin))
    )


def walk(states, steps):
    """Yield (step, bytes of active swap, bytes that the files take on the disk) after each step, from the start on."""
    files = {}
    active = {}
    for path, state in states.items():
        if state["kind"] == "file" and state["exists"]:
            files[path] = state["size"]
        if state["kind"] == "device":
            files[path] = state["size"]
        if state["active"]:
            active[path] = state["active_size"]
        files.update(dict.fromkeys(state["parts"], 0))
        if state["bridge"]:
            files[bridge_of(path)] = state["bridge"]["size"]
            if state["bridge"]["active"]:
                active[bridge_of(path)] = state["bridge"]["size"]
    yield None, sum(active.values()), sum(files.values())
    for step in steps:
        what, path = step["do"], step["path"]
        if what == "create":
            files[path] = step["size"]
        elif what == "delete":
            files.pop(path, None)
        elif what == "on":
            active[path] = files[path]
        elif what == "off":
            active.pop(path, None)
        yield step, sum(active.values()), sum(files.values())


def disk_needed(states, steps):
    """Return how many bytes more than now the files take at the most."""
    sizes = [size for _step, _active, size in walk(states, steps)]
    return max(sizes) - sizes[0]


def refuse_disk(needed, free, total, where):
    """Return why the files do not fit on the file system, or None."""
    margin = disk_margin(total)
    if needed <= 0 or needed + margin <= free:
        return None
    return "%s needs %s more on its file system while it is made, where %s are free and %s of them must stay so" % (
        where,
        human(needed),
        human(free),
        human(margin),
    )


def predicted(state, wish):
    """Return (before, after) as the module shows them: what is active, and what boot will make active."""

    def shown(size, active, priority, discard, boot):
        return {"size": size, "active": active, "priority": priority, "discard": discard, "boot": boot}

    nothing = shown(None, False, None, "none", False)
    there = state["exists"] or state["active"]
    before = (
        shown(
            state["active_size"] if state["active"] else state["size"],
            state["active"],
            state["priority"] if state["active"] else None,
            discard_of(state["fstab"]),
            state["fstab"] is not None,
        )
        if there or state["fstab"] is not None
        else nothing
    )
    if wish is None:
        # A device stays where it is.
        left = shown(state["size"], False, None, "none", False) if state["kind"] == "device" else nothing
        return before, left if state["fstab"] is not None else before
    return before, shown(wish["size"], True, wish["priority"], wish["discard"], True)
