# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From anything to its whole disks: through partitions, dm, md, loop, zram, btrfs, overlay; in sysfs and by lsblk."""

import json
import shutil
import subprocess

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import blockdev as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mounts
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from block_trees import Host
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def host(tmp_path):
    """Two disks, one rotating: partitions, RAID 1 of them, LVM and a crypt device on it, and what is virtual."""
    made = Host(tmp_path)
    made.disk("sda", "8:0").disk("sdb", "8:16", rotational=0).disk("nvme0n1", "259:0", rotational=0)
    made.partition("sda1", "8:1", "sda").partition("sda2", "8:2", "sda").partition("sdb1", "8:17", "sdb")
    made.partition("nvme0n1p1", "259:1", "nvme0n1")
    made.virtual("md127", "9:127", ["sda2", "sdb1"], md__array_state="clean")
    made.virtual("dm-0", "253:0", ["md127"], dm__name="vg--x-root")
    made.virtual("dm-1", "253:1", ["dm-0"], dm__name="luks")
    made.virtual("loop0", "7:0", loop__backing_file="/srv/image")
    made.virtual("loop1", "7:1").virtual("zram0", "252:0").virtual("zram1", "252:1", backing_dev="/dev/nvme0n1p1")
    made.virtual("dm-9", "253:9")
    made.mountinfo(
        "253:1 / / rw - ext4 /dev/mapper/luks rw",
        "259:1 / /srv rw - xfs /dev/nvme0n1p1 rw",
        "0:40 /@a /bt rw - btrfs /dev/sda1 rw,subvol=/@a",
        "0:41 / /nfs rw - nfs4 server:/x rw",
        "0:42 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/srv/up,workdir=/srv/work",
        "0:43 / /pool rw - zfs pool/data rw",
        "0:44 / /bc rw - bcachefs /dev/sda1:/dev/sdb1 rw",
        "0:45 / /tmp rw - tmpfs tmpfs rw",
    )
    return made


@pytest.mark.parametrize(
    ("name", "disks"),
    [
        ("sda", ["sda"]),
        ("sda2", ["sda"]),
        ("nvme0n1p1", ["nvme0n1"]),
        ("md127", ["sda", "sdb"]),
        ("dm-1", ["sda", "sdb"]),
        ("loop0", ["nvme0n1"]),
        ("loop1", []),
        ("zram0", []),
        ("zram1", ["nvme0n1"]),
        ("dm-9", []),
    ],
)
def test_disks_below(host, name, disks):
    assert subject.blocks(host.tree).disks(name) == disks


@pytest.mark.parametrize(
    ("mount", "disks"),
    [
        ("/", ["sda", "sdb"]),
        ("/srv", ["nvme0n1"]),
        ("/bt", ["sda"]),
        ("/nfs", []),
        ("/merged", ["nvme0n1"]),
        ("/pool", []),
        ("/bc", ["sda", "sdb"]),
        ("/tmp", []),
    ],
)
def test_disks_of_mounts_and_of_paths_on_them(host, mount, disks):
    tree = host.tree
    (entry,) = [entry for entry in mounts(tree) if entry["mount"] == mount]
    assert subject.blocks(tree).of_mount(entry) == disks
    assert subject.blocks(tree).of_path(mount + "/some/file") == disks


def test_btrfs_on_several_devices(host):
    for name in ("sda1", "nvme0n1p1"):
        host.link("/sys/fs/btrfs/1234/devices/" + name, "../../../../class/block/" + name)
    host.link("/sys/fs/btrfs/5678/devices/sdb1", "../../../../class/block/sdb1")
    assert subject.blocks(host.tree).of_path("/bt/x") == ["nvme0n1", "sda"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/dev/sda1", "sda1"),
        ("/dev/mapper/vg--x-root", "dm-0"),
        ("/dev/vg-x/root", "dm-0"),
        ("/dev/mapper/luks", "dm-1"),
        ("/dev/disk/by-id/ata-1", "sda"),
        ("UUID=12-34", "sda1"),
        ('LABEL="data"', "sdb1"),
        ("UUID=none", None),
        ("/dev/sdz", None),
        ("/dev/", None),
        ("/dev/..", None),
        ("tmpfs", None),
        ("", None),
    ],
)
def test_sources(host, source, name):
    host.put("/dev/sda").link("/dev/disk/by-id/ata-1", "../../sda").link("/dev/disk/by-uuid/12-34", "../../sda1")
    host.link("/dev/disk/by-label/data", "/dev/sdb1")
    assert subject.blocks(host.tree).of_source(source) == name


def test_numbers_partitions_holders(host):
    known = subject.blocks(host.tree)
    assert (known.name("8:17"), known.name("99:1"), known.number("sdb1")) == ("sdb1", None, "8:17")
    assert (known.parent("sda2"), known.parent("sda"), known.parent("md127")) == ("sda", None, None)
    assert (known.partitions("sda"), known.holders("sda")) == (["sda1", "sda2"], ["md127"])


def test_rotational(host):
    known = subject.blocks(host.tree)
    assert [known.rotational(names) for names in (["sda", "sdb"], ["sdb"], [], ["sdz"], ["sdz", "sda"])] == [
        True,
        False,
        None,
        None,
        True,
    ]


def test_whole_disks(host):
    host.disk("sr0", "11:0").disk("nbd0", "43:0", size=0).disk("nvme0c0n1", "259:9", hidden=1).disk("vda", "254:0")
    assert subject.blocks(host.tree).whole_disks() == ["nvme0n1", "sda", "sdb", "vda"]


def test_links_that_a_copy_left_out(tmp_path):
    """tar without links, or a collector that follows them: only directories are there."""
    host = Host(tmp_path)
    host.put("/sys/block/nvme0n1/dev", "259:0\n").put("/sys/block/sda/dev", "8:0\n")
    host.put("/sys/block/sda/sda1/dev", "8:1\n")
    host.put("/sys/block/sda/sda1/partition", "1\n").put("/sys/class/block/sda1/dev", "8:1\n")
    host.put("/sys/class/block/sda1/partition", "1\n")
    known = subject.blocks(host.tree)
    assert (known.name("8:1"), known.disks("sda1")) == ("sda1", ["sda"])


def test_loops_in_the_tree_end(tmp_path):
    host = Host(tmp_path)
    host.virtual("dm-0", "253:0").virtual("dm-1", "253:1", ["dm-0"])
    host.link("/sys/class/block/dm-0/slaves/dm-1", "../../dm-1")
    host.virtual("loop0", "7:0", loop__backing_file="/x").mountinfo("7:0 / / rw - ext4 /dev/loop0 rw")
    known = subject.blocks(host.tree)
    assert known.disks("dm-1") == known.disks("loop0") == known.of_path("/x") == []


PAIRS = """NAME="sda" KNAME="sda" PKNAME="" MAJ:MIN="8:0" ROTA="1" TYPE="disk" SIZE="1000"
NAME="sda1" KNAME="sda1" PKNAME="sda" MAJ:MIN="8:1" ROTA="1" TYPE="part" SIZE="10M"
NAME="vg-root" KNAME="dm-0" PKNAME="sda1" MAJ_MIN="253:0" ROTA="0" TYPE="lvm"
NAME="sdb" KNAME="sdb" PKNAME="" MAJ:MIN="8:16" ROTA="0" TYPE="disk"
NAME="vg-root" KNAME="dm-0" PKNAME="sdb" MAJ:MIN="253:0" ROTA="0" TYPE="lvm"
NAME="sr0" KNAME="sr0" PKNAME="" MAJ:MIN="11:0" ROTA="1" TYPE="rom"
garbage
"""
TREE = """NAME          MAJ:MIN RM  SIZE RO TYPE MOUNTPOINT
sda             8:0    0  100G  0 disk
├─sda1          8:1    0    1G  0 part /boot
└─sda2          8:2    0   99G  0 part
  ├─vg-root   253:0    0   50G  0 lvm  /
  └─vg-swap   253:1    0    4G  0 lvm  [SWAP]
sdb             8:16   0  100G  0 disk
`-vg-root     253:0    0   50G  0 lvm  /
"""


def test_sosreport_with_pairs(tmp_path):
    host = Host(tmp_path).put("/sos_commands/block/lsblk_-O_-P", PAIRS)
    known = subject.blocks(host.tree)
    assert (known.name("253:0"), known.disks("dm-0"), known.of_source("/dev/mapper/vg-root")) == (
        "dm-0",
        ["sda", "sdb"],
        "dm-0",
    )
    assert (known.whole_disks(), known.partitions("sda"), known.holders("sda")) == (["sda", "sdb"], ["sda1"], ["dm-0"])
    assert (known.rotational(["sda"]), known.rotational(["sdb"])) == (True, False)
    assert (known.listed["sda"]["size"], known.listed["sda1"]["size"]) == (1000, None)


def test_sosreport_with_the_tree_of_lsblk(tmp_path):
    known = subject.blocks(Host(tmp_path).put("/sos_commands/block/lsblk", TREE).tree)
    assert {name: known.disks(name) for name in ("sda1", "vg-root", "vg-swap")} == {
        "sda1": ["sda"],
        "vg-root": ["sda", "sdb"],
        "vg-swap": ["sda"],
    }
    assert known.of_source("/dev/mapper/vg-swap") == "vg-swap"
    assert (known.whole_disks(), known.rotational(["sda"])) == (["sda", "sdb"], None)


def test_no_sysfs_at_all(tmp_path):
    text = "major minor  #blocks  name\n\n   8        0  100 sda\n   8        1  50 sda1\n 259 2 9 nvme0n1p2\n"
    known = subject.blocks(Host(tmp_path).put("/proc/partitions", text).tree)
    assert (known.name("8:1"), known.disks("sda1"), known.disks("nvme0n1p2")) == ("sda1", ["sda"], ["nvme0n1"])
    assert known.whole_disks(["sda", "sda1", "nvme0n1", "nvme0n1p2", "dm-0", "loop0"]) == ["nvme0n1", "sda"]


@pytest.mark.skipif(shutil.which("lsblk") is None, reason="no lsblk here")
def test_same_as_lsblk_on_this_machine():
    run = ["lsblk", "-s", "-J", "-l", "-o", "KNAME,TYPE,MAJ:MIN"]
    listed = subprocess.run(run, capture_output=True, check=False)
    if listed.returncode or not listed.stdout:
        pytest.skip("lsblk finds nothing here")
    known = subject.blocks(Tree("/"))
    for device in json.loads(listed.stdout)["blockdevices"]:
        assert known.name(device["maj:min"].strip()) == device["kname"]
        if device["type"] == "disk" and not device["kname"].startswith("zram"):
            assert known.disks(device["kname"]) == [device["kname"]]


@given(st.text())
def test_any_text(text):
    for parse, start in ((subject.parse_lsblk_pairs, PAIRS), (subject.parse_lsblk_tree, TREE)):
        parse(text)
        for entry in parse(start + text).values():
            assert entry["device"]


@given(st.text(alphabet='KNAMEP="sdav1 :08\n├└│─` -', max_size=200))
def test_text_that_is_nearly_lsblk(text):
    subject.parse_lsblk_pairs(text)
    subject.parse_lsblk_tree(text)


@given(st.text())
def test_any_source_and_name(tmp_path_factory, text):
    host = Host(tmp_path_factory.getbasetemp())
    known = subject.blocks(host.tree)
    for source in (text, "/dev/" + text, "UUID=" + text):
        known.of_source(source)
    known.disks(text)
    known.of_path("/" + text)
