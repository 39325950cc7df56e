# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits by path: one line for each whole disk, through dm, md and partitions."""

from __future__ import annotations

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from ansible_collections.linux_memory.oom.plugins.module_utils.disk_limits import expand
from block_trees import Host

DISKS = {"/srv": ["sda", "sdb"], "/srv/x": ["sda"], "/dev/cciss/c0d0": ["cciss!c0d0"], "/with blank": ["sdc"]}


def service(**directives):
    """Expand directives of [Service] on the made-up disks."""
    sections, resolved = expand({"Service": directives, "Unit": {"Description": "x"}}, lambda path: DISKS.get(path, []))
    assert sections["Unit"] == {"Description": "x"}
    return sections["Service"], resolved


def test_one_line_for_each_disk():
    assert service(IOWriteBandwidthMax="/srv 20M", MemoryMax="1G") == (
        {"IOWriteBandwidthMax": ["/dev/sda 20M", "/dev/sdb 20M"], "MemoryMax": "1G"},
        {"/srv": ["sda", "sdb"]},
    )


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("/srv/x 5", "/dev/sda 5"),
        (["/srv/x 5"], ["/dev/sda 5"]),
        ("'/with blank' 1K", "/dev/sdc 1K"),
        ("/dev/cciss/c0d0 1K", "/dev/cciss/c0d0 1K"),
        # The smaller one holds where two paths meet on a disk.
        (["/srv 20M", "/srv/x 1000K"], ["/dev/sda 1000K", "/dev/sdb 20M"]),
        (["/srv/x 1M", "/srv 1500K"], ["/dev/sda 1M", "/dev/sdb 1500K"]),
        (["/srv/x infinity", "/srv/x 1500K"], ["/dev/sda 1500K"]),
        # An empty value forgets what other files said, and what stood before it.
        (["/srv 1M", "", "/srv/x 2M"], ["", "/dev/sda 2M"]),
        ("", ""),
    ],
)
def test_lines(given, lines):
    assert service(IOReadIOPSMax=given)[0] == {"IOReadIOPSMax": lines}


@pytest.mark.parametrize(
    ("directive", "given", "words"),
    [
        ("IOWriteBandwidthMax", "/nowhere 1M", "/nowhere does not exist or lies on no disk"),
        ("IOWriteBandwidthMax", "1M", "'1M' is not a path and a value"),
        ("IOWriteBandwidthMax", "srv 1M", "'srv 1M' is not a path and a value"),
        ("IODeviceWeight", ["/srv 100", "/srv/x 200"], "100 and 200 are both asked for disk sda"),
        ("IOWriteIOPSMax", ["/srv 100", "/srv/x many"], "100 and many are both asked for disk sda"),
    ],
)
def test_refused_in_one_sentence(directive, given, words):
    with pytest.raises(ValueError, match=words) as caught:
        service(**{directive: given})
    assert str(caught.value).startswith(directive + ": ")
    assert str(caught.value).endswith(".")


def test_paths_and_devices_of_a_host(tmp_path):
    host = Host(tmp_path)
    host.disk("sda", "8:0").disk("sdb", "8:16").partition("sda1", "8:1", "sda")
    host.virtual("md0", "9:0", ["sda1", "sdb"]).virtual("dm-0", "253:0", ["md0"], dm__name="vg-data")
    host.mountinfo("253:0 / /srv rw - ext4 /dev/mapper/vg-data rw", "0:45 / /tmp rw - tmpfs tmpfs rw")
    known = blocks(host.tree)
    for path in ("/srv", "/srv/deep/file", "/dev/mapper/vg-data", "/dev/vg/data", "/dev/md0"):
        assert known.of_path_or_device(path) == ["sda", "sdb"], path
    assert known.of_path_or_device("/dev/sda1") == ["sda"]
    assert known.of_path_or_device("/tmp/x") == []
