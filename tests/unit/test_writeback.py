# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The writeback subset: dirtyable memory and limits worked out by hand, and the backing devices."""

import json

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import writeback as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from block_trees import Host
from hypothesis import given
from hypothesis import strategies as st

ZONEINFO = """Node 0, zone      DMA
  per-node stats
      nr_inactive_file 111
  pages free     3840
        boost    0
        min      50
        low      60
        high     70
        spanned  4095
        present  3998
        managed  3840
        protection: (0, 3000, 9000, 9000)
      nr_zone_inactive_file 5
  pagesets
    cpu: 0
              count: 1
              high:  186
              high:     9999
Node 0, zone    DMA32
  pages free     20000
        boost    500
        min      1000
        low      1250
        high     2000
        present  100000
        managed  90000
        protection: (0, 0, 6000, 6000)
Node 0, zone  Movable
  pages free     0
        min      0
        high     32
        managed  0
        protection: (0, 0, 0, 0)
"""
# DMA: all 3840 it manages (9000 + 70 would be more). DMA32: 6000 + 2000 - 500 of boost. Movable: nothing to manage.
RESERVED = 3840 + 7500
VMSTAT = "nr_free_pages 50000\nnr_inactive_file 8000\nnr_active_file 2000\nnr_dirty 30\nnr_writeback 4\n"
DIRTYABLE = 50000 - RESERVED + 10000 + 1
MEMINFO = "MemFree: 200000 kB\nDirty: 124 kB\nWriteback: 16 kB\nNFS_Unstable: 8 kB\n"
SETTINGS = {
    "dirty_ratio": 20,
    "dirty_bytes": 0,
    "dirty_background_ratio": 10,
    "dirty_background_bytes": 0,
    "dirty_expire_centisecs": 3000,
    "dirty_writeback_centisecs": 500,
}
OPTIONS = {"top": 10, "process_arguments": False, "seconds": 0}


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path).put("/proc/zoneinfo", ZONEINFO).put("/proc/vmstat", VMSTAT).put("/proc/meminfo", MEMINFO)
    return settle(made, SETTINGS)


def settle(host, settings):
    for key, value in settings.items():
        host.put("/proc/sys/vm/" + key, "%d\n" % value)
    return host


def test_zones():
    first, second, third = subject.parse_zoneinfo(ZONEINFO)
    assert first == {
        "name": "DMA", "free": 3840, "boost": 0, "min": 50, "low": 60, "high": 70, "present": 3998, "managed": 3840,
        "protection": [0, 3000, 9000, 9000], "nr_zone_inactive_file": 5,
    }  # fmt: skip
    assert (second["boost"], third["name"], third["high"]) == (500, "Movable", 32)
    assert subject.reserved_pages([first, second, third]) == RESERVED


def test_dirtyable():
    zones = subject.parse_zoneinfo(ZONEINFO)
    assert subject.dirtyable_pages(50000, 10000, zones, None) == DIRTYABLE
    assert subject.dirtyable_pages(100, 10, zones, None) == 11
    assert subject.dirtyable_pages(0, 0, zones, None) == 1


def test_high_memory_counts_only_where_it_may_be_dirty():
    zones = [
        {"name": "Normal", "protection": [0, 0], "high": 0, "managed": 1000},
        {
            "name": "HighMem", "protection": [0, 0], "free": 300, "high": 100, "managed": 2000,
            "nr_zone_inactive_file": 40, "nr_zone_active_file": 2,
        },
    ]  # fmt: skip
    # 500 free less 100 reserved, 100 of files; of these 500 high memory has 200 free above its watermark and 42 files.
    assert subject.dirtyable_pages(500, 100, zones, 0) == 500 - 242 + 1
    assert subject.dirtyable_pages(500, 100, zones, 1) == subject.dirtyable_pages(500, 100, zones, None) == 501


@pytest.mark.parametrize(
    ("changed", "limit", "background"),
    [
        # 20 % is 819/4096 to the kernel, 10 % is 409/4096.
        ({}, 819 * DIRTYABLE // 4096, 409 * DIRTYABLE // 4096),
        ({"dirty_bytes": 4096 * 100 + 1, "dirty_ratio": 0}, 101, 50),
        ({"dirty_background_bytes": 4096, "dirty_background_ratio": 0}, 819 * DIRTYABLE // 4096, 1),
        ({"dirty_background_ratio": 20}, 819 * DIRTYABLE // 4096, 819 * DIRTYABLE // 4096 // 2),
        ({"dirty_background_ratio": 50}, 819 * DIRTYABLE // 4096, 819 * DIRTYABLE // 4096 // 2),
    ],
)
def test_limits(host, changed, limit, background):
    settle(host, changed)
    found = subject.collect(host.tree, OPTIONS)
    assert (found["dirty_threshold"], found["dirty_background_threshold"]) == (limit * 4096, background * 4096)


def test_collect(host):
    host.put("/proc/vmstat", VMSTAT + "nr_dirty_threshold 9730\nnr_dirty_background_threshold 4859\n")
    here = host.tree
    found = subject.collect(here, OPTIONS)
    assert found == {
        "dirty": 124 * 1024, "writeback": 16 * 1024, "nfs_unstable": 8 * 1024, "dirtyable": DIRTYABLE * 4096,
        "dirty_threshold": 9730 * 4096, "dirty_background_threshold": 4859 * 4096,
        "dirty_ratio": 20, "dirty_bytes": 0, "dirty_background_ratio": 10, "dirty_background_bytes": 0,
        "limit_by": "ratio", "background_limit_by": "ratio", "dirty_expire": 30.0, "dirty_writeback": 5.0,
        "devices": [],
    }  # fmt: skip
    assert list(here.unavailable) == ["writeback.devices"]


def test_kernel_that_counts_otherwise_is_believed(host):
    host.put("/proc/vmstat", VMSTAT + "nr_dirty_threshold 81900\nnr_dirty_background_threshold 40900\n")
    assert subject.collect(host.tree, OPTIONS)["dirtyable"] == 81900 * 4096 // 819 * 4096
    settle(host, {"dirty_bytes": 81900 * 4096, "dirty_ratio": 0})
    assert subject.collect(host.tree, OPTIONS)["dirtyable"] == DIRTYABLE * 4096


def test_which_of_the_pair_rules(host):
    settle(host, {"dirty_bytes": 1 << 30, "dirty_ratio": 0})
    found = subject.collect(host.tree, OPTIONS)
    assert (found["limit_by"], found["background_limit_by"]) == ("bytes", "ratio")


@pytest.mark.parametrize(("readable", "rule"), [("dirty_ratio", "ratio"), ("dirty_bytes", "bytes")])
def test_one_of_the_pair_is_enough(tmp_path, readable, rule):
    host = settle(Host(tmp_path).put("/proc/vmstat", VMSTAT), {readable: 8192})
    assert subject.collect(host.tree, OPTIONS)["limit_by"] == rule


def test_old_kernel_and_no_meminfo(tmp_path):
    host = Host(tmp_path).put("/proc/vmstat", VMSTAT + "nr_unstable 2\n")
    found = subject.collect(host.tree, OPTIONS)
    assert (found["dirty"], found["writeback"], found["nfs_unstable"]) == (30 * 4096, 4 * 4096, 2 * 4096)
    assert (found["dirtyable"], found["dirty_threshold"], found["limit_by"]) == (None, None, None)


def test_nothing_there(tmp_path):
    here = Tree(str(tmp_path))
    assert subject.collect(here, OPTIONS) is None
    assert list(here.unavailable) == ["writeback"]


def bdi(host, number, **values):
    for key, value in dict({"read_ahead_kb": 128, "min_ratio": 0, "max_ratio": 100}, **values).items():
        host.put("/sys/class/bdi/%s/%s" % (number, key), "%s\n" % value)


def test_devices(host):
    host.disk("sda", "8:0").partition("sda1", "8:1", "sda").virtual("dm-0", "253:0", ["sda1"]).virtual("loop0", "7:0")
    host.virtual("loop1", "7:1").disk("sdb", "8:16")
    host.mountinfo(
        "253:0 / / rw - ext4 /dev/mapper/root rw",
        "8:1 / /boot rw - ext4 /dev/sda1 rw",
        "8:1 / /boot2 rw - ext4 /dev/sda1 rw",
        "0:45 / /nfs rw - nfs4 server:/x rw",
        "7:0 / /snap ro - squashfs /dev/loop0 ro",
        "0:60 /@ /bt rw - btrfs /dev/sdb rw,subvol=/@",
    )
    host.link("/sys/fs/btrfs/1234/devices/sdb", "../x").link("/sys/fs/btrfs/1234/bdi", "../../virtual/bdi/btrfs-1")
    for number in ("253:0", "7:0", "7:1", "8:16", "0:45", "btrfs-1", "mtd-0"):
        bdi(host, number)
    bdi(host, "8:0", max_ratio=20, min_ratio=1, strict_limit=1, max_bytes=5, min_bytes=0, read_ahead_kb=4)
    found = subject.collect(host.tree, OPTIONS)["devices"]
    assert {(one["device"], one["name"]): one["mounts"] for one in found} == {
        ("0:45", "nfs4 0:45"): ["/nfs"],
        ("253:0", "dm-0"): ["/"],
        ("7:0", "loop0"): ["/snap"],
        ("8:0", "sda"): ["/boot", "/boot2"],
        ("8:16", "sdb"): [],
        ("btrfs-1", "btrfs-1"): ["/bt"],
        ("mtd-0", "mtd-0"): [],
    }
    (sda,) = [one for one in found if one["device"] == "8:0"]
    assert sda == {
        "device": "8:0", "name": "sda", "mounts": ["/boot", "/boot2"], "min_ratio": 1, "max_ratio": 20, "min_bytes": 0,
        "max_bytes": 5, "strict_limit": True, "read_ahead": 4096,
    }  # fmt: skip
    assert [one["strict_limit"] for one in found if one["device"] == "253:0"] == [None]
    assert [one["max_bytes"] for one in found if one["device"] == "253:0"] == [None]
    assert json.loads(json.dumps(found)) == found


@given(st.text())
def test_any_text(text):
    for zones in (subject.parse_zoneinfo(text), subject.parse_zoneinfo(ZONEINFO + text)):
        assert subject.reserved_pages(zones) >= 0
        assert subject.dirtyable_pages(5, 5, zones, 0) >= 1


@given(st.lists(st.tuples(st.integers(0, len(ZONEINFO) - 1), st.text(max_size=3)), max_size=10))
def test_mutated_text(changes):
    text = ZONEINFO
    for position, piece in changes:
        text = text[:position] + piece + text[position + 1 :]
    zones = subject.parse_zoneinfo(text)
    assert subject.reserved_pages(zones) >= 0
    assert subject.dirtyable_pages(5, 5, zones, 0) >= 1
