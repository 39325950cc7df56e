# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage: how busy and how healthy each whole disk is, and which mounts lie on it.

Sources: /proc/diskstats (Documentation/admin-guide/iostats.rst), /sys/block (Documentation/ABI/stable/sysfs-block),
/sys/block/sd*/device (drivers/scsi/scsi_sysfs.c), /sys/block/md*/md and /proc/mdstat
(Documentation/admin-guide/md.rst), /sys/fs/ext4/*/errors_count, proc_pid_mountinfo(5), fstab(5). Rates are those of
iostat(1). Where a disk comes from, its paths and its own verdict are in disk_origin, multipath and smart.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible_collections.linux_memory.oom.plugins.module_utils import io_errors, mountstats, multipath, smart
from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from ansible_collections.linux_memory.oom.plugins.module_utils.disk_origin import disk_class, disk_target, mount_target
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import reachable, unescape

# Sectors of diskstats and of sysfs sizes are 512 bytes, whatever the device has.
SECTOR = 512

# Columns of /proc/diskstats after the name. 11 of them before 4.18, 15 with discards, 17 with flushes (5.5).
FIELDS = (
    "reads", "reads_merged", "sectors_read", "read_ms", "writes", "writes_merged", "sectors_written", "write_ms",
    "in_flight", "io_ms", "weighted_ms", "discards", "discards_merged", "sectors_discarded", "discard_ms",
    "flushes", "flush_ms",
)  # fmt: skip
RATES = (
    "read_rate", "write_rate", "read_iops", "write_iops", "await", "read_await", "write_await", "utilisation",
    "queue_depth", "service_time",
)  # fmt: skip

_TIMES = (("read_time", "read_ms"), ("write_time", "write_ms"), ("busy_time", "io_ms"))

# Several of the counters are 32 bits wide on some kernels and start again at 0.
WRAP = 2**32

# Classes of disks that may be asked for SMART: those that are hardware of this machine. One that is behind USB can be
# woken up by the question (smartmontools ticket 1381), and an array on the network answers for no disk of its own.
_WITH_SMART = ("rotational", "ssd", "nvme")

# State of every file system of these is read-only by design.
_READ_ONLY_TYPES = ("squashfs", "iso9660", "udf", "cramfs", "erofs", "romfs", "overlay", "rootfs")
_NETWORK_TYPES = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "afs", "9p", "virtiofs",
    "ocfs2", "gfs2", "orangefs", "ncpfs", "coda", "vboxsf", "vmhgfs", "prl_fs",
)  # fmt: skip
# With anonymous device numbers, but on disks or flash of this host.
_LOCAL_TYPES = ("btrfs", "zfs", "bcachefs", "ubifs", "jffs2", "yaffs2")
# Views of other things than storage that happen to be written in user space.
_NO_STORAGE = ("fusectl", "fuse.gvfsd-fuse", "fuse.portal", "fuse.lxcfs", "fuse.snapfuse")

_MDSTAT = re.compile(
    r"^(md\S*) : (active|inactive)(?: \(([a-z-]+)\))?(?: (raid[0-9]+|linear|multipath|faulty))?((?: \S+)*)$"
)
_MEMBER = re.compile(r"^(\S+?)\[[0-9]+\]((?:\([A-Z]\))*)$")
_COUNTS = re.compile(r"\[([0-9]{1,4})/([0-9]{1,4})\]")
# "resync=PENDING" waits until somebody writes to the array, and nothing goes on.
_ACTION = re.compile(r"(resync|recovery|reshape|check|repair) *=(?!PENDING)")


def parse_diskstats(text):
    """Return {name: {field: count}} of /proc/diskstats; fields that the kernel does not have are missing.

    Numbers are those of the file: operations, sectors of 512 bytes, milliseconds.
    """
    found = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) < 14 or not (words[0].isdigit() and words[1].isdigit()):
            continue
        try:
            # in_flight can be negative for a moment on kernels before 5.0.
            counts = [max(0, int(word)) for word in words[3 : 3 + len(FIELDS)]]
        except ValueError:
            continue
        found[words[2].replace("/", "!")] = {FIELDS[at]: count for at, count in enumerate(counts)}
    return found


def rates(before, after, seconds):
    """Return the RATES between two readings of one disk: bytes and operations per second, seconds, shares of 0 to 1.

    The awaits are the mean time of the operations that ended in the window, as iostat computes them, None where none
    did. service_time is how long the device was busy for each of them: an await that is long only because many wait
    has a short one. What discards took is left out of it, since they take as long as the device likes. All are None
    where the device is another one now (a counter went back further than by an overflow).
    """
    result = dict.fromkeys(RATES)
    delta = {key: _delta(before[key], after[key]) for key in after if key in before and key != "in_flight"}
    if seconds <= 0 or not delta or None in delta.values():
        return result
    done = delta["reads"] + delta["writes"] + delta.get("discards", 0)
    spent = delta["read_ms"] + delta["write_ms"] + delta.get("discard_ms", 0)
    result["read_rate"] = delta["sectors_read"] * SECTOR / seconds
    result["write_rate"] = delta["sectors_written"] * SECTOR / seconds
    result["read_iops"] = delta["reads"] / seconds
    result["write_iops"] = delta["writes"] / seconds
    result["await"] = spent / 1000.0 / done if done else None
    result["read_await"] = delta["read_ms"] / 1000.0 / delta["reads"] if delta["reads"] else None
    result["write_await"] = delta["write_ms"] / 1000.0 / delta["writes"] if delta["writes"] else None
    # Time is counted in ticks of the kernel, so a busy device can seem busier than the window was long.
    result["utilisation"] = min(1.0, delta["io_ms"] / 1000.0 / seconds)
    result["queue_depth"] = delta["weighted_ms"] / 1000.0 / seconds
    asked = delta["reads"] + delta["writes"] + delta.get("flushes", 0)
    if asked:
        busy = min(delta["io_ms"] / 1000.0, seconds) - delta.get("discard_ms", 0) / 1000.0
        result["service_time"] = max(0.0, busy) / asked
    return result


def history(counts):
    """Return what a disk did since boot, or a mount since it was made, before the window: operations and their seconds.

    busy_time is how long a disk had any under way. The kernel prints these times in milliseconds of 32 bits for
    disks, so that each may lack a multiple of 2**32 ms.
    """
    seconds = {name: counts[key] / 1000.0 for name, key in _TIMES if key in counts}
    return dict(seconds, reads=counts.get("reads"), writes=counts.get("writes"))


def _delta(before, after):
    if after >= before:
        return after - before
    wrapped = after + WRAP - before
    return wrapped if before < WRAP and wrapped < WRAP // 2 else None


def parse_mdstat(text):
    """Return the arrays of /proc/mdstat: [{name, level, state, degraded, members, sync_action}].

    degraded is how many members are missing, None where the array does not count them (raid0, inactive).
    """
    found = []
    for line in text.split("\n"):
        match = _MDSTAT.match(line.rstrip())
        if match:
            members = [_MEMBER.match(word) for word in match.group(5).split()]
            found.append(
                {
                    "name": match.group(1),
                    "level": match.group(4),
                    "state": match.group(3) or match.group(2),
                    "degraded": None,
                    "members": sorted(member.group(1) for member in members if member),
                    "sync_action": "idle" if match.group(2) == "active" else None,
                }
            )
            continue
        if not found or not line.startswith(" "):
            continue
        counts, action = _COUNTS.search(line), _ACTION.search(line)
        if counts and found[-1]["degraded"] is None:
            found[-1]["degraded"] = max(0, int(counts.group(1)) - int(counts.group(2)))
        if action:
            found[-1]["sync_action"] = {"recovery": "recover"}.get(action.group(1), action.group(1))
    return found


def parse_fstab(text):
    """Return {mount: {source, type, options}} of fstab(5); the last line for a mount counts, as with mount(8)."""
    found = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) < 3 or words[0].startswith("#") or not words[1].startswith("/"):
            continue
        mount = unescape(words[1])
        found[mount.rstrip("/") or "/"] = {
            "source": unescape(words[0]),
            "type": words[2],
            "options": words[3].split(",") if len(words) > 3 else [],
        }
    return found


def sample(tree):
    """Return the counters at the start of the window, of all devices that were ever used and of NFS mounts by their
    mount points, which no device is named like.
    """
    found = parse_diskstats(tree.text("/proc/diskstats", ""))
    used = {name: counts for name, counts in found.items() if any(counts.values())}
    return dict(used, **mountstats.parse(tree.text("/proc/self/mountstats", "")))


def _disks(tree, stats, earlier):
    known = blocks(tree)
    found = {}
    for name in known.whole_disks(stats):
        counts = stats.get(name)
        before = earlier[0].get(name) if earlier else None
        if earlier and before is None and counts:
            before = dict.fromkeys(counts, 0)
        measured = rates(before, counts, earlier[1]) if counts and before else dict.fromkeys(RATES)
        past = before if earlier else counts
        found[name] = dict(_disk(tree, known, name), in_flight=counts["in_flight"] if counts else None, **measured)
        found[name]["history"] = history(past) if past else None
    return found


def _disk(tree, known, name):
    sectors = known.integer(name, "size")
    listed = known.listed.get(name, {}).get("size")
    target = disk_target(tree, known, name)
    return {
        "size": listed if sectors is None else sectors * SECTOR,
        "class": disk_class(tree, known, name, target),
        "target": target,
        "rotational": known.rotational([name]),
        "state": known.text(name, "device/state"),
        "vendor_model": _vendor_model(known, name),
        "partitions": known.partitions(name),
        "holders": known.holders(name),
        "errors": {
            key: _hexadecimal(known.text(name, "device/%s_cnt" % key))
            for key in ("ioerr", "iodone", "iorequest", "iotmo")
        },
    }


def _vendor_model(known, name):
    """Return what the device says it is; a virtio disk has the number of its vendor and no model, and yields None."""
    model = known.text(name, "device/model") or known.text(name, "device/name")
    vendor = known.text(name, "device/vendor") or ""
    if not model:
        return None
    return model if vendor.startswith("0x") or not vendor else "%s %s" % (vendor, model)


def _hexadecimal(text):
    """Return the number of a counter such as "0x1f", or None. A few errors from the time of booting are usual."""
    try:
        return int(text, 16) if text else None
    except ValueError:
        return None


def _arrays(tree):
    known = blocks(tree)
    listed = {array["name"]: array for array in parse_mdstat(tree.text("/proc/mdstat", ""))}
    in_sysfs = [name for name in tree.names("/sys/block") if name.startswith("md")]
    found = []
    for name in sorted(set(listed) | {name for name in in_sysfs if known.text(name, "md/array_state")}):
        array = listed.get(name, {})
        members = known.names(name, "slaves") or array.get("members", [])
        degraded = known.integer(name, "md/degraded")
        found.append(
            {
                "name": name,
                "level": known.text(name, "md/level") or array.get("level"),
                "state": known.text(name, "md/array_state") or array.get("state"),
                "degraded": (array.get("degraded") or 0) if degraded is None else degraded,
                "disks": sorted({disk for member in members for disk in known.disks(member)}),
                "sync_action": known.text(name, "md/sync_action") or array.get("sync_action"),
            }
        )
    # An array that was stopped leaves its name behind.
    return [array for array in found if array["state"] != "clear"]


def _mounts(tree):
    """Return the entries of the file systems that store something: once each, not for every bind mount."""
    chosen = {}
    for entry in reachable(tree):
        if not _is_storage(entry):
            continue
        key = _identity(entry)
        if key not in chosen or (entry["root"] == "/" and chosen[key]["root"] != "/"):
            chosen[key] = entry
    return sorted(chosen.values(), key=lambda entry: entry["mount"])


def _is_storage(entry):
    kind = entry["type"]
    number = entry["device"] or "0:"
    if kind in _NO_STORAGE:
        return False
    # Layers are listed where they are the root of a container, not for each container of a host.
    if kind == "overlay":
        return entry["mount"] == "/"
    if kind == "tmpfs" or kind in _NETWORK_TYPES or kind in _LOCAL_TYPES or kind.startswith("fuse"):
        return True
    return not number.startswith("0:") or (entry["source"].startswith("/dev/") and kind != "devtmpfs")


def _identity(entry):
    """Return what tells one file system from another; subvolumes of btrfs are mounts of their own right."""
    if entry["type"] == "btrfs":
        subvolume = [option for option in entry["super_options"] if option.startswith("subvol=")]
        return entry["device"] or entry["source"], tuple(subvolume)
    return entry["device"] or (entry["source"], entry["mount"]), ()


def _mount(tree, known, entry):
    result = {
        "mount": entry["mount"],
        "source": entry["source"],
        "type": entry["type"],
        "device": entry["device"],
        "disks": [] if entry["type"] == "tmpfs" else known.of_mount(entry),
        "read_only": "ro" in entry["options"] or "ro" in entry["super_options"],
        "target": mount_target(entry),
    }
    # Only for memory: asking a network file system whose server is gone would not return.
    if entry["type"] == "tmpfs" and tree.live:
        try:
            space = os.statvfs(entry["mount"])
        except EnvironmentError:
            return result
        # Without a size option there is no limit, and the kernel says 0 blocks.
        result["used"] = (space.f_blocks - space.f_bfree) * space.f_frsize if space.f_blocks else None
        result["size"] = space.f_blocks * space.f_frsize or None
    return result


def _mounts_of(tree, earlier):
    """Return the mounts, those of NFS with their latency: their server is a device that diskstats does not have."""
    known = blocks(tree)
    stats = mountstats.parse(tree.text("/proc/self/mountstats", ""))
    found = [_mount(tree, known, entry) for entry in _mounts(tree)]
    for one in found:
        counts = stats.get(one["mount"])
        if counts and one["target"]:
            before = earlier[0].get(one["mount"]) if earlier else None
            measured = mountstats.latency(before, counts, earlier[1]) if before else dict.fromkeys(mountstats.KEYS)
            one.update(measured, history=history(before or counts))
    return found


def _gone_read_only(tree):
    """Return the file systems on block devices that are read-only and were not meant to be.

    After an error the kernel makes the file system read-only (errors=remount-ro of ext4, always with btrfs) and leaves
    the mount's own option alone; a person's "mount -o remount,ro" changes both. The second sign is an fstab that wants
    it writable. A mount that is read-only on its own (containers, ProtectSystem=) has a writable file system.
    """
    fstab = parse_fstab(tree.text("/etc/fstab", ""))
    found = {}
    for entry in reachable(tree):
        if not _on_block_device(entry) or entry["type"] in _READ_ONLY_TYPES:
            continue
        why = _why_read_only(entry, fstab)
        if why and _identity(entry)[0] not in found:
            found[_identity(entry)[0]] = {key: entry[key] for key in ("mount", "source", "type")}
            found[_identity(entry)[0]]["why"] = why
    return sorted(found.values(), key=lambda one: one["mount"])


def _on_block_device(entry):
    anonymous = (entry["device"] or "0:").startswith("0:")
    return _is_storage(entry) and (not anonymous or entry["source"].startswith("/dev/"))


def _why_read_only(entry, fstab):
    emergency = {"emergency_ro", "shutdown"} & set(entry["super_options"])
    if emergency:
        return "remounted"
    if "ro" not in entry["super_options"]:
        return None
    if "rw" in entry["options"]:
        return "remounted"
    wanted = fstab.get(entry["mount"])
    if not wanted or wanted["type"] in _READ_ONLY_TYPES or "ro" in wanted["options"]:
        return None
    return "fstab"


def _not_running(disks):
    return [
        {"device": name, "state": disk["state"]}
        for name, disk in sorted(disks.items())
        # "new", "created" and "connecting" pass on their own or end in one that is bad, and are as unusable meanwhile.
        if disk["state"] and disk["state"] not in multipath.GOOD_STATES
    ]


def _file_system_errors(tree):
    """Return the ext4 file systems that have recorded errors since they were last checked (time: epoch seconds)."""
    found = []
    for device in tree.names("/sys/fs/ext4"):
        errors = tree.integer("/sys/fs/ext4/%s/errors_count" % device)
        if errors:
            last = tree.integer("/sys/fs/ext4/%s/last_error_time" % device)
            found.append({"device": device, "type": "ext4", "errors": errors, "last": last or None})
    return found


def collect(tree, options, earlier=None):
    """Return disks, arrays, mounts and what is wrong with them; sizes in bytes, rates None without an earlier sample.

    read_only tells why: "remounted" (the kernel did it) or "fstab" (fstab wants it writable). file_system_errors are
    those that ext4 keeps count of. utilisation is 0 to 1; a device that serves several requests at once can still take
    more when it is at 1.
    """
    try:
        stats = parse_diskstats(tree.read("/proc/diskstats"))
    except EnvironmentError as error:
        stats = {}
        tree.missing("storage.rates", error)
    disks = _disks(tree, stats, earlier)
    own = [name for name, disk in sorted(disks.items()) if disk["class"] in _WITH_SMART]
    found = {
        "disks": disks,
        "arrays": _arrays(tree),
        "not_running": _not_running(disks),
        "multipath": multipath.collect(tree),
        "smart": smart.read(tree, own) if options.get("smart") else {},
        "read_only": _gone_read_only(tree),
        "mounts": _mounts_of(tree, earlier),
        "io_errors": io_errors.read(tree, disks),
        "file_system_errors": _file_system_errors(tree),
    }
    if not stats and not disks and not found["mounts"]:
        tree.missing("storage", "no disk and no mount could be read")
        return None
    return found
