# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swap subset: what /proc/swaps says, what lies below, zswap, growth."""

import json
import shutil
import subprocess

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import swap as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from block_trees import Host
from hypothesis import given
from hypothesis import strategies as st

SWAPS = """Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/dm-1                               partition\t8388604\t\t1024\t\t-2
/srv/swap\\040file                       file\t\t2097148\t\t0\t\t10
/old\\040(deleted)                       file\t\t4096\t\t12\t\t-3
/dev/zram0                              partition\t524284\t\t100\t\t100
"""
MEMINFO = "MemTotal: 1000 kB\nSwapCached: 7 kB\nSwapTotal: 11014132 kB\nSwapFree: 11012996 kB\n"
OPTIONS = {"top": 10, "process_arguments": False, "seconds": 0}


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path).put("/proc/swaps", SWAPS).put("/proc/meminfo", MEMINFO)
    made.disk("sda", "8:0", rotational=1).disk("nvme0n1", "259:0", rotational=0).partition("sda2", "8:2", "sda")
    made.virtual("dm-1", "253:1", ["sda2"], dm__name="vg-swap")
    made.virtual("zram0", "252:0", mm_stat="    4096     1000  20480        0 20480  0  0  0  0")
    made.mountinfo("253:1 / / rw - ext4 /dev/dm-1 rw", "259:0 / /srv rw - xfs /dev/nvme0n1 rw")
    made.put("/proc/sys/vm/swappiness", "60\n").put("/proc/sys/vm/page-cluster", "3\n")
    return made


def test_swaps():
    found = subject.parse_swaps(SWAPS)
    assert [(one["path"], one["type"], one["size"], one["used"], one["priority"], one["deleted"]) for one in found] == [
        ("/dev/dm-1", "partition", 8388604 * 1024, 1024 * 1024, -2, False),
        ("/srv/swap file", "file", 2097148 * 1024, 0, 10, False),
        ("/old", "file", 4096 * 1024, 12 * 1024, -3, True),
        ("/dev/zram0", "partition", 524284 * 1024, 100 * 1024, 100, False),
    ]


def test_collect(host):
    here = host.tree
    found = subject.collect(here, OPTIONS)
    assert here.unavailable == {}
    assert {key: found[key] for key in ("total", "free", "used", "cached", "swappiness", "page_cluster")} == {
        "total": 11014132 * 1024,
        "free": 11012996 * 1024,
        "used": 1136 * 1024,
        "cached": 7 * 1024,
        "swappiness": 60,
        "page_cluster": 3,
    }
    shown = [tuple(one[key] for key in ("path", "kind", "disks", "rotational", "memory")) for one in found["devices"]]
    assert shown == [
        ("/dev/dm-1", "partition", ["sda"], True, None),
        ("/srv/swap file", "file", ["nvme0n1"], False, None),
        ("/old", "file", [], None, None),
        ("/dev/zram0", "zram", [], None, 20480),
    ]
    assert (found["growth"], found["seconds_until_full"], found["zswap"]) == (None, None, None)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("before", "seconds", "growth", "until_full"),
    [
        (1136 * 1024 - 4096, 2.0, 2048.0, 11012996 * 1024 / 2048.0),
        (1136 * 1024 - 1024, 2048.0, 0.5, 11012996 * 1024 / 0.5),
        (1136 * 1024, 2.0, 0.0, None),
        (1136 * 1024 + 1024, 2.0, -512.0, None),
        (1136 * 1024, 0, None, None),
        (None, 2.0, None, None),
    ],
)
def test_growth(host, before, seconds, growth, until_full):
    found = subject.collect(host.tree, OPTIONS, ({"used": before}, seconds))
    assert (found["growth"], found["seconds_until_full"]) == (growth, until_full)


def test_sample(host):
    assert subject.sample(host.tree) == {"used": 1136 * 1024}
    assert subject.sample(Tree(str(host.root / "srv"))) == {"used": None}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, {"pool_size": None, "stored": None}),
        ({"/proc/meminfo": MEMINFO + "Zswap: 10 kB\nZswapped: 40 kB\n"}, {"pool_size": 10240, "stored": 40960}),
        (
            {"/sys/kernel/debug/zswap/pool_total_size": "8192\n", "/sys/kernel/debug/zswap/stored_pages": "5\n"},
            {"pool_size": 8192, "stored": 5 * 4096},
        ),
    ],
)
@pytest.mark.parametrize(("word", "enabled"), [("Y", True), ("N", False)])
def test_zswap(host, files, expected, word, enabled):
    where = "/sys/module/zswap/parameters/"
    host.put(where + "enabled", word + "\n").put(where + "compressor", "zstd\n").put(where + "max_pool_percent", "20\n")
    for path, text in files.items():
        host.put(path, text)
    found = subject.collect(host.tree, OPTIONS)["zswap"]
    assert found == dict({"enabled": enabled, "compressor": "zstd", "max_pool_percent": 20}, **expected)


def test_no_swap(tmp_path):
    host = (
        Host(tmp_path)
        .put("/proc/swaps", SWAPS.split("\n", maxsplit=1)[0] + "\n")
        .put("/proc/meminfo", "SwapTotal: 0 kB\nSwapFree: 0 kB\n")
    )
    found = subject.collect(host.tree, OPTIONS, ({"used": 0}, 1.0))
    assert (found["total"], found["used"], found["devices"], found["growth"]) == (0, 0, [], 0.0)
    assert found["seconds_until_full"] is None


def test_kernel_without_swap(tmp_path):
    here = Host(tmp_path).put("/proc/meminfo", "SwapTotal: 0 kB\nSwapFree: 0 kB\n").tree
    assert subject.collect(here, OPTIONS)["devices"] == []
    assert here.unavailable == {"swap.devices": "/proc/swaps: does not exist"}


def test_without_meminfo_the_devices_are_summed(tmp_path):
    found = subject.collect(Host(tmp_path).put("/proc/swaps", SWAPS).tree, OPTIONS)
    assert found["total"] == (8388604 + 2097148 + 4096 + 524284) * 1024
    assert found["free"] == found["total"] - 1136 * 1024


def test_devices_of_another_host_name_no_disk(tmp_path):
    """A container sees the swap of its host, without its devices."""
    found = subject.collect(Host(tmp_path).put("/proc/swaps", SWAPS).put("/proc/meminfo", MEMINFO).tree, OPTIONS)
    assert [(one["kind"], one["disks"], one["rotational"]) for one in found["devices"]] == [
        ("partition", [], None),
        ("file", [], None),
        ("file", [], None),
        ("zram", [], None),
    ]


def test_sosreport(tmp_path):
    listing = "NAME      TYPE      SIZE USED PRIO\n/dev/sda2 partition 8192 4096   -2\n"
    host = Host(tmp_path).put("/sos_commands/memory/swapon_--bytes_--show", listing)
    (device,) = subject.collect(host.tree, OPTIONS)["devices"]
    assert (device["size"], device["used"], device["priority"]) == (8192, 4096, -2)


def test_nothing_there(tmp_path):
    here = Tree(str(tmp_path))
    assert subject.collect(here, OPTIONS) is None
    assert set(here.unavailable) == {"swap", "swap.devices"}


@pytest.mark.skipif(shutil.which("swapon") is None, reason="no swapon here")
def test_same_as_swapon_on_this_machine():
    run = ["swapon", "--show=NAME,SIZE,PRIO", "--bytes", "--noheadings", "--raw"]
    listed = subprocess.run(run, capture_output=True, text=True, check=False).stdout
    found = subject.collect(Tree("/"), OPTIONS)["devices"]
    assert sorted(line.split()[0] for line in listed.split("\n") if line) == sorted(one["path"] for one in found)


@given(st.text())
def test_any_text(text):
    subject.parse_swaps(text)
    subject._zram_memory(text)
    assert len(subject.parse_swaps(SWAPS + text)) >= 4


@given(st.lists(st.tuples(st.integers(0, len(SWAPS) - 1), st.text(max_size=3)), max_size=8))
def test_mutated_text(tmp_path_factory, changes):
    text = SWAPS
    for position, piece in changes:
        text = text[:position] + piece + text[position + 1 :]
    host = Host(tmp_path_factory.getbasetemp() / "swap").put("/proc/swaps", text)
    found = subject.collect(host.tree, OPTIONS)
    assert all(one["size"] >= 0 for one in (found or {"devices": []})["devices"])
