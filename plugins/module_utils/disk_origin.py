# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kind of device a disk is, and which target on a network it lies on, if any.

Sources: the place of a disk below /sys/devices; /sys/class/iscsi_session (drivers/scsi/scsi_transport_iscsi.c),
/sys/class/fc_remote_ports (scsi_transport_fc.c), /sys/class/nvme and /sys/class/nvme-subsystem
(drivers/nvme/host/sysfs.c), /sys/bus/rbd/devices (Documentation/ABI/testing/sysfs-bus-rbd of the kernel).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils.system import hypervisor

_SESSION = re.compile(r"/(session[0-9]+)/")
_REMOTE_PORT = re.compile(r"/(rport-[0-9:-]+)/")
_CONTROLLER = re.compile(r"/(nvme[0-9]+)/nvme[0-9]+(?:c[0-9]+)?n[0-9]+$")
_SUBSYSTEM = re.compile(r"/(nvme-subsys[0-9]+)/")
_CONTROLLER_NAME = re.compile(r"nvme[0-9]+$")

_VIRTUAL = re.compile(r"(?:vd|xvd|ubd)[a-z]+$")
_NETWORK = re.compile(r"(?:rbd|nbd|drbd)[0-9]+$")
# Sticks and cards: everything from a fast SSD to the slowest flash there is, so that no class says what to expect.
_ANY_SPEED = re.compile(r"mmcblk[0-9]+$|pmem[0-9]+$")

# Transports of NVMe that leave the machine. "loop" and "pcie" do not.
NVME_FABRICS = ("tcp", "rdma", "fc")

# File systems whose mount source names a server, by the kind of target. Sources such as the tag of virtiofs mean
# another thing on each host.
_SHARES = {
    "nfs": "nfs", "nfs4": "nfs", "cifs": "smb", "smb3": "smb", "ceph": "cephfs", "glusterfs": "gluster",
    "fuse.glusterfs": "gluster", "lustre": "lustre",
}  # fmt: skip


def controllers(tree, subsystem):
    """Return the sorted names of the controllers of an NVMe subsystem, each of them a path to it."""
    names = tree.names("/sys/class/nvme-subsystem/" + subsystem)
    return [name for name in names if _CONTROLLER_NAME.match(name)]


def transport(tree, controller):
    """Return the transport of an NVMe controller such as "pcie" or "tcp", or None."""
    return tree.text("/sys/class/nvme/%s/transport" % controller)


def disk_target(tree, known, name):
    """Return {kind, name, lun} of the target that a disk lies on, or None for a disk of this machine or an unknown one.

    lun is what identifies the very volume, None where the kernel does not say. known are the Blocks of the tree.
    """
    path = tree.link("/sys/class/block/" + name) or ""
    session, port = _SESSION.search(path), _REMOTE_PORT.search(path)
    if session:
        found = ("iscsi", tree.text("/sys/class/iscsi_session/%s/targetname" % session.group(1)))
    elif port:
        where = "/sys/class/fc_remote_ports/%s/" % port.group(1)
        # The node is the array, which has many ports; two hosts may reach it by different ones.
        found = ("fc", tree.text(where + "node_name") or tree.text(where + "port_name"))
    elif name.startswith("nvme"):
        found = ("nvme", _fabric_subsystem(tree, path))
    elif name.startswith("rbd"):
        found = ("rbd", _rbd_pool(tree, name[len("rbd") :]))
    else:
        return None
    kind, target = found
    lun = known.text(name, "device/wwid") or known.text(name, "wwid")
    return {"kind": kind, "name": target, "lun": lun} if target else None


def _fabric_subsystem(tree, path):
    """Return the NQN of the subsystem that an NVMe disk lies on, None where it is in this machine."""
    for controller in _controllers_of(tree, path):
        if transport(tree, controller) in NVME_FABRICS:
            return tree.text("/sys/class/nvme/%s/subsysnqn" % controller)
    return None


def _controllers_of(tree, path):
    own, subsystem = _CONTROLLER.search(path), _SUBSYSTEM.search(path)
    if own:
        return [own.group(1)]
    return controllers(tree, subsystem.group(1)) if subsystem else []


def _rbd_pool(tree, number):
    where = "/sys/bus/rbd/devices/%s/" % number
    pool, cluster = tree.text(where + "pool"), tree.text(where + "cluster_fsid")
    return "/".join(filter(None, (cluster, pool))) if pool else None


def mount_target(entry):
    """Return {kind, name, lun} of the server that a mount (as mounts() gives them) lies on, or None."""
    kind = _SHARES.get(entry["type"])
    return {"kind": kind, "name": entry["source"], "lun": None} if kind and entry["source"] else None


def disk_class(tree, known, name, target):
    """Return "rotational", "ssd", "nvme", "virtual", "network", or None where nothing says how fast it ought to be."""
    if target or _NETWORK.match(name):
        return "network"
    path = tree.link("/sys/class/block/" + name) or ""
    if _ANY_SPEED.match(name) or "/usb" in path:
        return None
    # A machine in a machine sees disks of the kind that somebody chose for it, whatever is below.
    if _VIRTUAL.match(name) or tree.once("hypervisor", lambda: hypervisor(tree)):
        return "virtual"
    rotates = known.rotational([name])
    if rotates is None:
        return None
    return "rotational" if rotates else "nvme" if name.startswith("nvme") else "ssd"
