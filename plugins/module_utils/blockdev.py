# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which whole disks lie below a block device, a mount or a file.

Sources: /sys/dev/block and /sys/class/block (Documentation/ABI/stable/sysfs-block of the kernel), /sys/fs/btrfs, and
in a sosreport, which lacks most of sysfs, the output of lsblk. Names are those of sysfs ("sda1", "dm-0").
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import stat

from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mount_of, mounts

# Devices that hold nothing themselves: without anything below them they lie on no disk.
_VIRTUAL = re.compile(r"(?:loop|ram|zram|dm-|md)[_0-9]")
# Optical and floppy drives are no place for swap or dirty pages; nvme0c0n1 is one path of the multipath nvme0n1.
_NO_DISK = re.compile(r"(?:sr|fd|scd)[0-9]+$|nvme[0-9]+c[0-9]+n[0-9]+$")
# Only where neither sysfs nor lsblk says what is a partition.
_WHOLE_NAME = re.compile(r"(?:(?:sd|vd|hd|dasd)[a-z]+|xvd[a-z]+|(?:nvme[0-9]+n|mmcblk|nbd|rbd|pmem|drbd)[0-9]+)$")
_PARTITION_NAME = re.compile(
    r"((?:sd|vd|hd|xvd|dasd)[a-z]+)[0-9]+$|((?:nvme[0-9]+n|mmcblk|nbd|rbd|pmem)[0-9]+)p[0-9]+$"
)

_PAIR = re.compile(r'([A-Z][A-Z0-9:_%-]*)="([^"]*)"')
_ROW = re.compile(r"^([ |`│├└─-]*)([^ |`│├└─-]\S*)\s+([0-9]+:[0-9]+)\s+[0-9]+\s+\S+\s+[0-9]+\s+(\S+)")
_TAGS = {"UUID": "by-uuid", "LABEL": "by-label", "PARTUUID": "by-partuuid", "PARTLABEL": "by-partlabel"}

# dm on dm on md on partitions on multipath is seen in the field; a loop in a made-up tree must still end.
_DEPTH = 16


def parse_lsblk_pairs(text):
    """Return {name: {device, type, alias, parents, rotational, size}} of lsblk -O -P (KEY="value" pairs, a line each).

    A device below several others (RAID, multipath) has a line for each. rotational and size (bytes) can be None.
    """
    found = {}
    for line in text.split("\n"):
        fields = dict(_PAIR.findall(line))
        name = fields.get("KNAME") or fields.get("NAME")
        number = fields.get("MAJ:MIN") or fields.get("MAJ_MIN")
        if not name or not number:
            continue
        entry = found.setdefault(name, _listed(number.strip(), fields.get("TYPE"), fields.get("NAME")))
        size = fields.get("SIZE", "")
        entry["size"] = int(size) if re.match(r"[0-9]{1,20}$", size) else entry["size"]
        entry["rotational"] = {"0": False, "1": True}.get(fields.get("ROTA"))
        parent = fields.get("PKNAME")
        if parent and parent not in entry["parents"]:
            entry["parents"].append(parent)
    return found


def parse_lsblk_tree(text):
    """Return the same as parse_lsblk_pairs of the tree that plain lsblk prints; size and rotational are None."""
    found = {}
    above = []
    for line in text.split("\n"):
        match = _ROW.match(line)
        if not match:
            continue
        depth, name = len(match.group(1)) // 2, match.group(2)
        del above[depth:]
        entry = found.setdefault(name, _listed(match.group(3), match.group(4), name))
        if depth and above and above[-1] not in entry["parents"] and above[-1] != name:
            entry["parents"].append(above[-1])
        above.append(name)
    return found


def _listed(number, kind, alias):
    return {"device": number, "type": kind, "alias": alias, "parents": [], "size": None, "rotational": None}


def blocks(tree):
    """Return the Blocks of a tree, made once."""
    return tree.once("blockdev", lambda: Blocks(tree))


class Blocks:
    """The block devices of one host."""

    def __init__(self, tree):
        self.tree = tree
        self.listed = self._lsblk() if tree.sosreport else {}
        self._where = {}
        self._numbers = None

    def _lsblk(self):
        where = "/sos_commands/block"
        names = self.tree.names(where)
        for name in [name for name in names if name.startswith("lsblk") and "-P" in name]:
            found = parse_lsblk_pairs(self.tree.text(os.path.join(where, name), ""))
            if found:
                return found
        return parse_lsblk_tree(self.tree.text(os.path.join(where, "lsblk"), ""))

    def directory(self, name):
        """Return the path of the device's directory in sysfs, or None."""
        if name not in self._where:
            self._where[name] = self._find_directory(name)
        return self._where[name]

    def _find_directory(self, name):
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            return None
        for parent in ("/sys/class/block", "/sys/block"):
            if self.tree.is_dir(os.path.join(parent, name)):
                return os.path.join(parent, name)
        match = _PARTITION_NAME.match(name)
        below = "/sys/block/%s/%s" % (match.group(1) or match.group(2), name) if match else None
        return below if below and self.tree.is_dir(below) else None

    def text(self, name, attribute):
        """Return an attribute of the device in sysfs, such as "queue/rotational", or None."""
        where = self.directory(name)
        return self.tree.text(os.path.join(where, attribute)) if where else None

    def integer(self, name, attribute):
        """Return an attribute of the device in sysfs as a whole number, or None."""
        where = self.directory(name)
        return self.tree.integer(os.path.join(where, attribute)) if where else None

    def names(self, name, attribute):
        """Return the sorted names in a directory of the device, such as "slaves"."""
        where = self.directory(name)
        return self.tree.names(os.path.join(where, attribute)) if where else []

    def name(self, number):
        """Return the name of the device with a number such as "8:1", or None."""
        target = self.tree.link("/sys/dev/block/%s" % number) if re.match(r"[0-9]+:[0-9]+$", number) else None
        if target:
            return os.path.basename(target)
        if self._numbers is None:
            self._numbers = self._all_numbers()
        return self._numbers.get(number)

    def _all_numbers(self):
        found = {entry["device"]: name for name, entry in self.listed.items()}
        for where in ("/sys/class/block", "/sys/block"):
            for name in self.tree.names(where):
                number = self.text(name, "dev")
                if number:
                    found.setdefault(number, name)
        # A copied tree can lack all of sysfs and still have the kernel's own list.
        for line in self.tree.text("/proc/partitions", "").split("\n"):
            fields = line.split()
            if len(fields) == 4 and fields[0].isdigit():
                found.setdefault("%s:%s" % (fields[0], fields[1]), fields[3].replace("/", "!"))
        return found

    def number(self, name):
        """Return the number of the device of that name such as "8:1", or None."""
        number = self.text(name, "dev")
        return number or self.listed.get(name, {}).get("device")

    def parent(self, name):
        """Return the whole disk of a partition, or None for what is no partition."""
        where = self.directory(name)
        if where and self.tree.exists(os.path.join(where, "partition")):
            target = self.tree.link("/sys/class/block/" + name)
            if target:
                return os.path.basename(os.path.dirname(target)) or None
            for disk in self.tree.names("/sys/block"):
                if self.tree.is_dir("/sys/block/%s/%s" % (disk, name)):
                    return disk
        elif where or name in self.listed:
            return None
        match = _PARTITION_NAME.match(name)
        return (match.group(1) or match.group(2)) if match else None

    def below(self, name):
        """Return the names of the devices directly below one: a partition's disk, the members of dm and md, a loop
        device's backing file's devices. An empty list for a whole disk.
        """
        if name in self.listed:
            return list(self.listed[name]["parents"])
        parent = self.parent(name)
        if parent:
            return [parent]
        slaves = self.names(name, "slaves")
        if slaves:
            return slaves
        if name.startswith("loop"):
            return self._of_file(self.text(name, "loop/backing_file"), 1)
        if name.startswith("zram"):
            backing = self.of_source(self.text(name, "backing_dev") or "")
            return [backing] if backing else []
        return []

    def disks(self, name, depth=0):
        """Return the sorted names of the whole disks that a device lies on; [] for one that lies on none (zram)."""
        below = self.below(name) if depth < _DEPTH else []
        if not below:
            return [] if _VIRTUAL.match(name) or depth >= _DEPTH else [name]
        found = set()
        for lower in below:
            found.update(self.disks(lower, depth + 1) if lower != name else [])
        return sorted(found)

    def of_source(self, source):
        """Return the name of the device that a mount's source or a line of fstab means, or None."""
        tag, _equals, value = source.partition("=")
        if tag in _TAGS:
            source = "/dev/disk/%s/%s" % (_TAGS[tag], value.strip('"'))
        if not source.startswith("/dev/") or "\0" in source:
            return None
        return self._of_node(source) or self._of_link(source) or self._of_mapper(source)

    def _of_node(self, source):
        """By the device number of the node; copied trees hold none."""
        try:
            found = self.tree.stat(source)
        except (EnvironmentError, ValueError):
            return None
        if not stat.S_ISBLK(found.st_mode):
            return None
        return self.name("%d:%d" % (os.major(found.st_rdev), os.minor(found.st_rdev)))

    def _of_link(self, source):
        try:
            paths = (source, self.tree.host_path(self.tree.real(source)))
        except EnvironmentError:
            paths = (source,)
        for path in paths:
            name = path[len("/dev/") :].replace("/", "!") if path.startswith("/dev/") else ""
            if name and (name in self.listed or self.directory(name)):
                return name
        return None

    def _of_mapper(self, source):
        """By the name of a device-mapper device; that of a volume is GROUP-VOLUME with "-" doubled (lvm(8))."""
        parts = source.split("/")[2:]
        if parts[0] == "mapper":
            wanted = "/".join(parts[1:])
        elif len(parts) == 2:
            wanted = "-".join(part.replace("-", "--") for part in parts)
        else:
            return None
        for name, entry in self.listed.items():
            if entry["alias"] == wanted:
                return name
        for name in self.tree.names("/sys/class/block"):
            if name.startswith("dm-") and self.text(name, "dm/name") == wanted:
                return name
        return None

    def devices_of_mount(self, entry, depth=0):
        """Return the names of the block devices that a mount (as mounts() gives them) lies on, not yet resolved."""
        number = entry["device"] or "0:0"
        if not number.startswith("0:"):
            name = self.name(number)
            return [name] if name else []
        if entry["type"] == "overlay":
            return self._of_overlay(entry, depth)
        # Anonymous numbers: bcachefs names all its members as one source, btrfs one of them.
        names = [self.of_source(source) for source in re.split(r":(?=/dev/)", entry["source"])]
        names = [name for name in names if name]
        return self._btrfs_members(names[0]) if entry["type"] == "btrfs" and names else names

    def _btrfs_members(self, name):
        for uuid in self.tree.names("/sys/fs/btrfs"):
            members = self.tree.names("/sys/fs/btrfs/%s/devices" % uuid)
            if name in members:
                return members
        return [name]

    def _of_overlay(self, entry, depth):
        """What is written to an overlay goes to its upper directory; a container sees that of the host, not its own."""
        for option in entry["super_options"]:
            if option.startswith("upperdir="):
                return self._of_file(option[len("upperdir=") :], depth + 1)
        return []

    def of_mount(self, entry):
        """Return the whole disks that a mount lies on; [] for network and memory file systems, zfs, and containers."""
        found = set()
        for name in self.devices_of_mount(entry):
            found.update(self.disks(name))
        return sorted(found)

    def of_path(self, path):
        """Return the whole disks that a file or directory of the host lies on."""
        found = set()
        for name in self._of_file(path, 0):
            found.update(self.disks(name))
        return sorted(found)

    def of_path_or_device(self, path):
        """Return the whole disks of a device node such as /dev/mapper/vg-data, or those that another path lies on."""
        name = self.of_source(path)
        return self.disks(name) if name else self.of_path(path)

    def _of_file(self, path, depth):
        # A path that is not there belongs to another mount namespace, the host's seen from a container. A copied tree
        # does not hold the files.
        if not path or not path.startswith("/") or "\0" in path or depth >= _DEPTH:
            return []
        if self.tree.live and not self.tree.exists(path):
            return []
        entry = mount_of(mounts(self.tree), os.path.realpath(path) if self.tree.live else path)
        return self.devices_of_mount(entry, depth) if entry else []

    def rotational(self, disks):
        """Return True where any of the disks rotates, False where none does, None where that is not known."""
        known = [self._rotates(disk) for disk in disks]
        if not known or (None in known and True not in known):
            return None
        return True in known

    def _rotates(self, disk):
        value = self.integer(disk, "queue/rotational")
        return self.listed.get(disk, {}).get("rotational") if value is None else value == 1

    def partitions(self, disk):
        """Return the sorted names of a disk's partitions."""
        where = self.directory(disk)
        if where:
            inside = [name for name in self.tree.names(where) if name.startswith(disk)]
            return [name for name in inside if self.tree.exists(os.path.join(where, name, "partition"))]
        below = [name for name, entry in self.listed.items() if disk in entry["parents"]]
        return sorted(name for name in below if self.listed[name]["type"] == "part")

    def holders(self, disk):
        """Return the sorted names of the dm and md devices directly on a disk or on its partitions."""
        found = set()
        for name in [disk] + self.partitions(disk):
            found.update(self.names(name, "holders"))
            found.update(key for key, entry in self.listed.items() if name in entry["parents"])
        return sorted(found - set(self.partitions(disk)))

    def whole_disks(self, candidates=()):
        """Return the sorted names of all whole disks; candidates (from diskstats) serve where nothing else is known."""
        names = self.tree.names("/sys/block")
        if names and not self.listed:
            return [name for name in names if self._is_disk(name)]
        if self.listed:
            found = [name for name, entry in self.listed.items() if entry["type"] == "disk"]
            return sorted(name for name in found if not (_VIRTUAL.match(name) or _NO_DISK.match(name)))
        return sorted(name for name in candidates if _WHOLE_NAME.match(name))

    def _is_disk(self, name):
        if _VIRTUAL.match(name) or _NO_DISK.match(name) or self.integer(name, "hidden") == 1:
            return False
        # nbd and rbd devices that are not connected have no size; bcache and the like lie on others.
        return self.integer(name, "size") != 0 and not self.names(name, "slaves")
