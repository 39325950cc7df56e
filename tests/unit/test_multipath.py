# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths that are down, in the forms of sysfs, of dmsetup and of NVMe.

The status lines are of the forms in the kernel's Documentation/admin-guide/device-mapper (dm-queue-length,
dm-service-time), and of round-robin, whose paths have no arguments.
"""

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import multipath as subject
from block_trees import Host
from hypothesis import given
from hypothesis import strategies as st

SERVICE_TIME = "mpatha: 0 62914560 multipath 2 0 0 0 2 1 A 0 1 2 8:32 A 0 0 1 E 0 1 2 8:48 F 3 0 1\n"
QUEUE_LENGTH = "test: 0 10 multipath 2 0 0 0 1 1 E 0 2 1 8:0 A 0 0 8:16 A 0 0\n"
ROUND_ROBIN = "3600a0980 with blank: 0 4194304000 multipath 2 1 0 0 2 1 A 0 2 0 65:32 A 0 65:48 F 12 E 0 1 0 8:0 A 0 \n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SERVICE_TIME, {"mpatha": {"8:32": True, "8:48": False}}),
        (QUEUE_LENGTH, {"test": {"8:0": True, "8:16": True}}),
        (ROUND_ROBIN, {"3600a0980 with blank": {"65:32": True, "65:48": False, "8:0": True}}),
        ("vg-root: 0 100 linear \nNo devices found\n", {}),
        ("mpathz: 0 10 multipath 2 0 0 0 0 0 \n", {"mpathz": {}}),
    ],
)
def test_status_of_each_selector(text, expected):
    assert subject.parse_status(text) == expected


@given(st.text(alphabet="mpath:0123456789 AF\n") | st.text())
def test_any_status(text):
    for paths in subject.parse_status(text + "\n" + QUEUE_LENGTH).values():
        assert set(paths.values()) <= {True, False}


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    for name, number, state in (("sdc", "8:32", "running"), ("sdd", "8:48", "running"), ("sde", "8:64", "offline")):
        made.disk(name, number, device__state=state)
    made.virtual("dm-2", "253:2", ["sdc", "sdd", "sde"], dm__name="mpatha", dm__uuid="mpath-3600140500")
    return made.virtual("dm-3", "253:3", ["dm-2"], dm__name="vg-data", dm__uuid="LVM-abc")


def paths(found):
    return {one["name"]: one["down"] for one in found["paths"]}


def test_paths_in_sysfs(host):
    (found,) = subject.collect(host.tree)
    assert (found["name"], found["kind"], found["id"]) == ("mpatha", "dm", "3600140500")
    assert paths(found) == {"sdc": None, "sdd": None, "sde": "offline"}


@pytest.fixture
def live(host, monkeypatch):
    """Return a function that collects as root on a live host whose dmsetup answers what it is given."""

    def collect(answer, user=0, command="/usr/sbin/dmsetup"):
        tree = host.tree
        tree.live = True
        monkeypatch.setattr(tree, "real", lambda path: str(host.root / path.lstrip("/")))
        monkeypatch.setattr(subject, "find_command", lambda name: command)
        monkeypatch.setattr(subject.os, "geteuid", lambda: user)
        monkeypatch.setattr(subject, "run", answer)
        return subject.collect(tree), tree.unavailable

    return collect


def test_a_path_that_device_mapper_has_failed_while_its_device_runs(live):
    asked = []
    (found,), missing = live(lambda command, seconds: asked.append(command) or (0, SERVICE_TIME))
    assert paths(found) == {"sdc": None, "sdd": "failed", "sde": "offline"}
    assert (missing, asked) == ({}, [["/usr/sbin/dmsetup", "status", "--noflush", "--target", "multipath"]])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"user": 1000}, "needs root"),
        ({"command": None}, "not installed"),
        ({"status": 1}, "status 1"),
        ({"error": "dmsetup did not end within 3 seconds"}, "did not end"),
    ],
)
def test_without_dmsetup_sysfs_still_tells_and_the_reason_is_said(live, given, words):
    def answer(_command, _seconds):
        if "error" in given:
            raise ValueError(given["error"])
        return given.get("status", 0), ""

    (found,), missing = live(answer, given.get("user", 0), given.get("command", "/usr/sbin/dmsetup"))
    assert paths(found)["sde"] == "offline"
    assert words in missing["storage.multipath_status"]


def test_dmsetup_is_not_asked_where_there_is_no_map(tmp_path, host, live):
    (host.root / "sys/block/dm-2").unlink()
    found, missing = live(None, command=None)
    assert (found, missing) == ([], {})


def subsystem(host, name, **states):
    host.put("/sys/class/nvme-subsystem/%s/subsysnqn" % name, "nqn.2014-08.org.nvmexpress:uuid:6a1c\n")
    host.put("/sys/class/nvme-subsystem/%s/nvme0n1/size" % name, "1")
    for controller, (transport, state) in states.items():
        host.put("/sys/class/nvme-subsystem/%s/%s/x" % (name, controller))
        host.put("/sys/class/nvme/%s/transport" % controller, transport + "\n")
        host.put("/sys/class/nvme/%s/state" % controller, state + "\n")


def test_controllers_of_nvme_are_paths(tmp_path):
    host = Host(tmp_path)
    subsystem(host, "nvme-subsys0", nvme0=("tcp", "live"), nvme1=("tcp", "connecting"))
    (found,) = subject.collect(host.tree)
    assert (found["kind"], paths(found)) == ("nvme", {"nvme0": None, "nvme1": "connecting"})
    assert found["id"] == "nqn.2014-08.org.nvmexpress:uuid:6a1c"


def test_one_local_controller_is_no_multipath(tmp_path):
    host = Host(tmp_path)
    subsystem(host, "nvme-subsys0", nvme0=("pcie", "live"))
    assert subject.collect(host.tree) == []
    subsystem(host, "nvme-subsys1", nvme2=("rdma", "live"))
    subsystem(host, "nvme-subsys2", nvme3=("pcie", "live"), nvme4=("pcie", "dead"))
    assert [one["name"] for one in subject.collect(host.tree)] == ["nvme-subsys1", "nvme-subsys2"]
