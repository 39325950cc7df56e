# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All subsets on hosts that were captured from booted kernels, against what tools of those hosts said.

The files and the tools' answers were not read at the same instant, so figures that move are compared with room.
"""

from __future__ import annotations

import functools
import json

import booted_trees
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from ansible_collections.linux_memory.oom.plugins.modules import memory_facts
from ansible_collections.linux_memory.oom.plugins.plugin_utils.diagnosis import diagnose

MIB = 1024**2

pytestmark = pytest.mark.parametrize("name", booted_trees.NAMES)


@functools.cache
def facts_of(name):
    """Return all facts of a captured host."""
    options = {"top": 50, "process_arguments": False, "seconds": 0}
    return memory_facts.gather(Tree(str(booted_trees.root(name))), set(memory_facts.NAMES), options)


def told(name, tool):
    """Return what a tool said, or skip where the host does not have it."""
    text = booted_trees.expected(name)[tool]
    if not text:
        pytest.skip(f"{name} has no {tool}")
    return text


def flat(nodes, below="children"):
    """Yield the nodes of a tree in the JSON of lsblk and findmnt."""
    for node in nodes:
        yield node
        yield from flat(node.get(below, []), below)


def test_at_least_three_kernels_and_both_hierarchies(name):
    kernels = {".".join(facts_of(each)["system"]["kernel"].split(".")[:2]) for each in booted_trees.NAMES}
    assert {"5.10", "6.1", "6.12"} <= kernels
    versions = {facts_of(each)["cgroups"]["version"] for each in booted_trees.NAMES}
    assert "v2" in versions
    assert versions & {"v1", "hybrid"}
    assert facts_of(name)["system"]["kernel"] == told(name, "uname").strip()


def test_every_subset_is_read(name):
    facts = facts_of(name)
    missing = set(memory_facts.NAMES) - set(facts)
    assert missing <= {"pressure"}, facts["unavailable"]
    assert missing <= set(facts["unavailable"])
    assert not [why for why in facts["unavailable"].values() if "error in this collection" in why]
    json.dumps(facts, allow_nan=False)


def test_memory_and_swap_as_free_says(name):
    facts = facts_of(name)
    rows = {line.split(":")[0]: line.split()[1:] for line in told(name, "free").splitlines()[1:]}
    total, _used, free = map(int, rows["Mem"][:3])
    assert facts["meminfo"]["mem_total"] == total
    assert abs(facts["meminfo"]["mem_free"] - free) < 64 * MIB
    assert abs(facts["meminfo"]["shmem"] - int(rows["Mem"][3])) < 8 * MIB
    assert facts["swap"]["total"] == int(rows["Swap"][0])


def test_swap_devices_as_swapon_says(name):
    head, *lines = [line.split() for line in told(name, "swapon").splitlines()]
    devices = {device["path"]: device for device in facts_of(name)["swap"]["devices"]}
    assert len(lines) == len(devices) >= 2
    for row in (dict(zip(head, line, strict=False)) for line in lines):
        device = devices[row["NAME"]]
        # swapon counts the header page, the kernel's list does not.
        assert int(row["SIZE"]) - device["size"] in (0, 4096)
        assert device["priority"] == int(row["PRIO"])
        assert device["kind"] == ("zram" if "zram" in row["NAME"] else row["TYPE"])
    assert devices["/swapfile"]["disks"] == ["vda"]


def test_commit_limit_is_the_kernels_own(name):
    overcommit = facts_of(name)["overcommit"]
    # The kernel computes CommitLimit from the same figures, whatever the mode.
    assert abs(overcommit["limit_in_mode_2"] - overcommit["commit_limit"]) <= 4096


def test_disks_as_lsblk_says(name):
    nodes = list(flat(json.loads(told(name, "lsblk"))["blockdevices"]))
    disks = facts_of(name)["storage"]["disks"]
    for node in nodes:
        if node["type"] == "disk" and not node["kname"].startswith("zram"):
            disk = disks[node["kname"]]
            assert disk["size"] == int(node["size"])
            assert disk["rotational"] == (node["rota"] in (True, "1"))
    assert {"vda", "vdb", "vdc"} <= set(disks)


def test_mounts_as_findmnt_says(name):
    found = {
        node["target"]: node
        for node in flat(json.loads(told(name, "findmnt"))["filesystems"])
        if node["fstype"] == "ext4"
    }
    mounts = {mount["mount"]: mount for mount in facts_of(name)["storage"]["mounts"] if mount["type"] == "ext4"}
    assert set(mounts) == set(found)
    for target, node in found.items():
        assert mounts[target]["device"] == node["maj:min"]
        assert mounts[target]["read_only"] == ("ro" in node["options"].split(","))


def test_mounts_lie_on_the_disks_below_mapper_array_partition_and_loop(name):
    on = {mount["mount"]: mount["disks"] for mount in facts_of(name)["storage"]["mounts"]}
    assert on["/"] == ["vda"]
    assert on["/srv/with space"] == ["vdd"]
    assert on["/srv/part"] == ["vde"]
    assert on["/srv/loop"] == ["vde"]
    assert on["/srv/array"] == ["vdc"]


def test_faults_of_storage_are_seen(name):
    storage = facts_of(name)["storage"]
    (array,) = [array for array in storage["arrays"] if array["name"] == "md0"]
    assert array["degraded"] == 1
    assert "degraded" in told(name, "mdadm")
    assert [row["mount"] for row in storage["read_only"]] == ["/srv/broken"]


def test_settings_as_sysctl_says(name):
    said = dict(line.split(" = ", 1) for line in told(name, "sysctl").splitlines() if " = " in line)
    keys = facts_of(name)["sysctl"]["keys"]
    ours = {key: value for key, value in keys.items() if value["running"] is not None}
    for key, value in ours.items():
        assert value["running"].split() == said[key].split()
    assert {key for key in said if key.startswith("vm.")} - {"vm.stat_refresh", "vm.drop_caches"} <= set(ours)


def test_the_boot_sets_what_systemd_sysctl_set(name):
    keys = facts_of(name)["sysctl"]["keys"]
    # The guest ran systemd-sysctl after the files were written, and then changed two settings by hand.
    by_hand = {"vm.page-cluster", "vm.nr_hugepages"}
    wrong = {key: value for key, value in keys.items() if value["agrees"] is False and key not in by_hand}
    assert not wrong
    swappiness = keys["vm.swappiness"]
    assert (swappiness["boot"], swappiness["file"]) == ("40", "/usr/local/lib/sysctl.d/50-later.conf")
    assert [loser["file"] for loser in swappiness["losers"]] == ["/etc/sysctl.d/10-first.conf"]
    assert keys["vm.dirty_background_ratio"]["running"] == "0"
    assert keys["vm.max_map_count"]["file"] == "/run/sysctl.d/70-pattern.conf"


def test_the_service_that_met_its_limit_is_listed(name):
    groups = {group["unit"]: group for group in facts_of(name)["cgroups"]["groups"] if group["unit"]}
    assert groups["greedy.service"]["max"] == 48 * MIB
    assert groups["greedy.service"]["events"]["oom_kill"] >= 1
    assert groups["holder.service"]["current"] >= 80 * MIB
    assert facts_of(name)["oom"]["kills"] >= 1


def test_the_largest_process_is_the_one_that_holds_memory(name):
    largest = facts_of(name)["processes"]["top"][0]
    assert (largest["comm"], largest["unit"], largest["oom_score_adj"]) == ("python3", "holder.service", -500)
    assert largest["rss"] >= 80 * MIB


def test_huge_pages_and_tmpfs_are_counted(name):
    meminfo = facts_of(name)["meminfo"]
    assert meminfo["huge_pages_total"] == 8
    assert meminfo["shmem"] >= 24 * MIB


def test_the_diagnosis_names_the_limit_and_the_array(name):
    found = {finding["cause"]: finding for finding in diagnose(facts_of(name))}
    assert "greedy.service" in found["cgroup_limit"]["summary"]
    assert "md0" in json.dumps(found["storage_fault"])
    assert "none" not in found
