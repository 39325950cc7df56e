# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a disk comes from: local, of a virtual machine, or a target on a network, by its place below /sys/devices.

The places are those that the kernel's transport classes give their devices (drivers/scsi/scsi_transport_iscsi.c,
scsi_transport_fc.c, drivers/nvme/host/fabrics.c, drivers/block/rbd.c).
"""

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import disk_origin as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from block_trees import Host

IQN = "iqn.2003-01.org.linux-iscsi.store1.x8664:sn.8b9d"
NQN = "nqn.2014-08.org.nvmexpress:uuid:6a1c"


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def origin(host, name):
    """Return (class, target) of a disk."""
    tree = host.tree
    target = subject.disk_target(tree, blocks(tree), name)
    return subject.disk_class(tree, blocks(tree), name, target), target


@pytest.mark.parametrize(
    ("name", "below", "rotational", "expected"),
    [
        ("sda", "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block", 1, "rotational"),
        ("sda", "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block", 0, "ssd"),
        ("nvme0n1", "pci0000:00/0000:00:1d.0/0000:3d:00.0/nvme/nvme0", 0, "nvme"),
        ("vda", "pci0000:00/0000:00:05.0/virtio2/block", 1, "virtual"),
        ("xvda", "vbd-51712/block", 0, "virtual"),
        ("sdb", "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block", 1, None),
        ("mmcblk0", "platform/mmc_host/mmc0/mmc0:0001/block", 0, None),
        ("nbd0", "virtual/block", 0, "network"),
    ],
)
def test_class_of_a_local_disk(host, name, below, rotational, expected):
    host.disk(name, "8:0", below=below, rotational=rotational)
    assert origin(host, name) == (expected, None)


def test_a_machine_in_a_machine_has_virtual_disks(host):
    host.disk("sda", "8:0").put("/proc/cpuinfo", "flags\t\t: fpu hypervisor lahf_lm\n")
    assert origin(host, "sda") == ("virtual", None)


def test_a_disk_that_does_not_say_whether_it_turns_has_no_class(host):
    assert origin(host, "sdz") == (None, None)


def test_iscsi(host):
    host.disk("sdb", "8:16", below="platform/host3/session2/target3:0:0/3:0:0:1/block", device__wwid="naa.6001405aa")
    assert origin(host, "sdb") == ("rotational", None)  # a session that is not known any more
    host.put("/sys/class/iscsi_session/session2/targetname", IQN + "\n")
    assert origin(host, "sdb") == ("network", {"kind": "iscsi", "name": IQN, "lun": "naa.6001405aa"})


def test_fibre_channel_is_known_by_the_array_and_else_by_its_port(host):
    host.disk("sdc", "8:32", below="pci0000:00/0000:04:00.0/host7/rport-7:0-4/target7:0:2/7:0:2:5/block")
    ports = "/sys/class/fc_remote_ports/rport-7:0-4/"
    host.put(ports + "port_name", "0x50001fe1500a8f2a\n")
    assert origin(host, "sdc")[1] == {"kind": "fc", "name": "0x50001fe1500a8f2a", "lun": None}
    host.put(ports + "node_name", "0x50001fe1500a8f20\n")
    assert origin(host, "sdc")[1]["name"] == "0x50001fe1500a8f20"


@pytest.mark.parametrize(("transport", "network"), [("tcp", True), ("rdma", True), ("fc", True), ("pcie", False)])
@pytest.mark.parametrize("below", ["virtual/nvme-fabrics/ctl/nvme1", "virtual/nvme-subsystem/nvme-subsys1"])
def test_nvme_over_fabrics_with_and_without_multipath(host, below, transport, network):
    host.disk("nvme1n1", "259:3", rotational=0, below=below, wwid="uuid.0c7c")
    host.put("/sys/class/nvme/nvme1/transport", transport + "\n").put("/sys/class/nvme/nvme1/subsysnqn", NQN + "\n")
    host.put("/sys/class/nvme-subsystem/nvme-subsys1/nvme1/state").put(
        "/sys/class/nvme-subsystem/nvme-subsys1/nvme1n1/x"
    )
    target = {"kind": "nvme", "name": NQN, "lun": "uuid.0c7c"} if network else None
    assert origin(host, "nvme1n1") == ("network" if network else "nvme", target)


def test_rados_block_device(host):
    host.disk("rbd0", "252:0", below="virtual/block", rotational=0)
    assert origin(host, "rbd0") == ("network", None)
    host.put("/sys/bus/rbd/devices/0/pool", "vms\n")
    assert origin(host, "rbd0")[1]["name"] == "vms"
    host.put("/sys/bus/rbd/devices/0/cluster_fsid", "4f5a7c2e\n")
    assert origin(host, "rbd0")[1] == {"kind": "rbd", "name": "4f5a7c2e/vms", "lun": None}


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [
        ("nfs4", "filer1:/export/home", ("nfs", "filer1:/export/home")),
        ("nfs", "[fd00::1]:/srv", ("nfs", "[fd00::1]:/srv")),
        ("cifs", "//nas/share", ("smb", "//nas/share")),
        ("ext4", "/dev/sda1", None),
        # The tag is a name on this host's side of its hypervisor.
        ("virtiofs", "shared", None),
        ("nfs4", "", None),
    ],
)
def test_targets_of_mounts(kind, source, expected):
    found = subject.mount_target({"type": kind, "source": source})
    assert found == (expected and {"kind": expected[0], "name": expected[1], "lun": None})
