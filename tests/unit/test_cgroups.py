# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control groups: v2, v1 and both; what is listed, under which names, and that no file is read in vain."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import booted_trees
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import cgroups as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024 * 1024
OPTIONS = {"top": 10, "process_arguments": False, "seconds": 0}

V2_MOUNT = "26 22 0:23 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
V1_MOUNT = (
    "31 22 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs ro,mode=755\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
)
HYBRID_MOUNT = V1_MOUNT + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"

STAT_V2 = """anon 104857600
file 41943040
kernel 12582912
kernel_stack 1048576
pagetables 2097152
percpu 65536
sock 0
vmalloc 4096
shmem 4194304
file_mapped 1048576
file_dirty 2097152
file_writeback 1048576
slab_reclaimable 4194304
slab_unreclaimable 2097152
slab 6291456
"""
EVENTS = "low 1\nhigh 2\nmax 3\noom {oom}\noom_kill {oom_kill}\noom_group_kill 1\n"
PRESSURE = (
    "some avg10=1.00 avg60=2.00 avg300=3.00 total=4000000\nfull avg10=0.50 avg60=0.40 avg300=0.30 total=2000000\n"
)


def write(root, files):
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def group_v2(current, maximum="max", oom=0, oom_kill=0, **more):
    files = {
        "memory.current": "%d\n" % current,
        "memory.max": "%s\n" % maximum,
        "memory.events": EVENTS.format(oom=oom, oom_kill=oom_kill),
        "memory.events.local": EVENTS.format(oom=0, oom_kill=0),
        "cgroup.procs": "",
    }
    files.update({name.replace("__", "."): text for name, text in more.items()})
    return files


def tree_v2(root, groups, mount=V2_MOUNT):
    write(root, {"/proc/self/mountinfo": mount, "/sys/fs/cgroup/cgroup.controllers": "cpu io memory pids\n"})
    for path, files in groups.items():
        write(root, {"/sys/fs/cgroup%s/%s" % (path, name): text for name, text in files.items()})
    return Tree(str(root))


def tree_v1(root, groups, mount=V1_MOUNT):
    write(root, {"/proc/self/mountinfo": mount, "/sys/fs/cgroup/memory/memory.stat": ""})
    write(root, {"/sys/fs/cgroup/memory/release_agent": "\n"})
    for path, files in groups.items():
        write(root, {"/sys/fs/cgroup/memory%s/%s" % (path, name): text for name, text in files.items()})
    return Tree(str(root))


def paths(value):
    return [group["path"] for group in value["groups"]]


def test_v2_group(tmp_path):
    tree = tree_v2(
        tmp_path,
        {
            "/system.slice": group_v2(300 * MIB),
            "/system.slice/db.service": group_v2(
                200 * MIB,
                maximum="268435456",
                oom=4,
                oom_kill=5,
                memory__peak="262144000\n",
                memory__low="1048576\n",
                memory__min="0\n",
                memory__high="241172480\n",
                memory__swap__current="8192\n",
                memory__swap__max="max\n",
                memory__stat=STAT_V2,
                memory__pressure=PRESSURE,
                memory__oom__group="1\n",
                cgroup__procs="12\n13\n",
            ),
            "/system.slice/db.service/worker": {"cgroup.procs": "14\n"},
        },
    )
    value = subject.collect(tree, OPTIONS)
    # The parent's events say that nothing happened, and they count the children's: so its own file was not asked.
    assert value["groups"][1]["events"]["oom_kill"] == 5
    assert (value["version"], value["examined"]) == ("v2", 2)
    assert paths(value) == ["/system.slice", "/system.slice/db.service"]
    assert value["groups"][1] == {
        "path": "/system.slice/db.service",
        "unit": "db.service",
        "container": False,
        "current": 200 * MIB,
        "peak": 250 * MIB,
        "low": MIB,
        "min": 0,
        "high": 230 * MIB,
        "max": 256 * MIB,
        "swap_current": 8192,
        "swap_max": None,
        "anon": 100 * MIB,
        "file": 40 * MIB,
        "shmem": 4 * MIB,
        "kernel": 12 * MIB,
        "slab": 6 * MIB,
        "dirty": 2 * MIB,
        "writeback": MIB,
        "events": {"low": 1, "high": 2, "max": 3, "oom": 4, "oom_kill": 5, "oom_group_kill": 1},
        "pressure": {
            "some": {"avg10": 1.0, "avg60": 2.0, "avg300": 3.0, "total": 4.0},
            "full": {"avg10": 0.5, "avg60": 0.4, "avg300": 0.3, "total": 2.0},
        },
        "oom_group": True,
        "processes": 3,
    }
    assert value["groups"][0]["processes"] is None
    assert value["groups"][0]["unit"] == "system.slice"
    assert tree.unavailable == {}


def test_v2_kernel_before_5_18_is_the_sum_of_its_parts(tmp_path):
    stat = STAT_V2.replace("kernel 12582912\n", "")
    tree = tree_v2(tmp_path, {"/a.slice": group_v2(MIB, memory__stat=stat)})
    found = subject.collect(tree, OPTIONS)["groups"][0]
    assert found["kernel"] == 1048576 + 2097152 + 65536 + 4096 + 6291456
    assert found["peak"] is None


def test_v2_lists_the_largest_the_killed_and_the_full(tmp_path):
    groups = {"/system.slice": group_v2(900 * MIB, oom=1, oom_kill=1)}
    for number in range(20):
        groups["/system.slice/big%02d.service" % number] = group_v2((100 - number) * MIB)
    groups["/system.slice/full.service"] = group_v2(9 * MIB, maximum=str(10 * MIB))
    groups["/system.slice/roomy.service"] = group_v2(8 * MIB, maximum=str(10 * MIB))
    groups["/system.slice/killed.service"] = group_v2(7 * MIB, oom_kill=1)
    groups["/system.slice/refused.service"] = group_v2(6 * MIB, oom=2)
    value = subject.collect(tree_v2(tmp_path, groups), dict(OPTIONS, top=3))
    assert value["examined"] == 25
    # Also those that are not listed: mode 2 of panic_on_oom would panic for each of them.
    paths_of = ["/system.slice/full.service", "/system.slice/roomy.service"]
    assert value["limited"] == {"count": 2, "paths": paths_of, "units": []}
    assert [path.rsplit("/", 1)[1] for path in paths(value)] == [
        "system.slice",
        "big00.service",
        "big01.service",
        "full.service",
        "killed.service",
        "refused.service",
    ]


def test_of_many_limited_groups_the_first_are_named_and_all_are_counted(tmp_path):
    groups = {"/pod%03d.slice" % number: group_v2(MIB, maximum=str(9 * MIB)) for number in range(120)}
    limited = subject.collect(tree_v2(tmp_path, groups), OPTIONS)["limited"]
    assert (limited["count"], len(limited["paths"]), limited["paths"][0]) == (120, 100, "/pod000.slice")


class Counting(Tree):
    def __init__(self, root):
        Tree.__init__(self, root)
        self.asked = []

    def read(self, path):
        self.asked.append(path)
        return Tree.read(self, path)


def test_v2_events_are_not_read_below_a_quiet_group(tmp_path):
    groups = {"/system.slice": group_v2(50 * MIB), "/loud.slice": group_v2(40 * MIB, oom_kill=1)}
    for number in range(5):
        groups["/system.slice/s%d.service" % number] = group_v2(number * MIB)
        groups["/loud.slice/l%d.service" % number] = group_v2(number * MIB, oom_kill=1 if number == 2 else 0)
    tree_v2(tmp_path, groups)
    tree = Counting(str(tmp_path))
    value = subject.collect(tree, dict(OPTIONS, top=1))
    assert paths(value) == ["/system.slice", "/loud.slice", "/loud.slice/l2.service"]
    asked = [path for path in tree.asked if path.endswith("/memory.events")]
    assert len(asked) == 7, asked
    assert not [path for path in asked if "/s3.service" in path]
    # What the cheap pass does not need is read for the listed groups only.
    assert len([path for path in tree.asked if path.endswith("/memory.stat")]) == 3


@pytest.mark.parametrize("how", ["memory_localevents", "before 5.2"])
def test_v2_local_events_are_read_everywhere(tmp_path, how):
    groups = {
        "/system.slice": group_v2(50 * MIB),
        "/system.slice/a.service": group_v2(MIB, oom_kill=1),
        "/system.slice/b.service": group_v2(2 * MIB),
    }
    mount = V2_MOUNT
    if how == "memory_localevents":
        mount = V2_MOUNT.replace("rw,nsdelegate", "rw,memory_localevents")
    else:
        for files in groups.values():
            del files["memory.events.local"]
    value = subject.collect(tree_v2(tmp_path, groups, mount), dict(OPTIONS, top=1))
    assert paths(value) == ["/system.slice", "/system.slice/a.service"]


def test_v2_group_without_the_controller_ends_the_walk(tmp_path):
    tree = tree_v2(
        tmp_path,
        {
            "/user.slice": group_v2(MIB),
            "/user.slice/bare": {"cgroup.procs": "1\n"},
            "/user.slice/bare/deep": group_v2(MIB),
        },
    )
    assert paths(subject.collect(tree, OPTIONS)) == ["/user.slice"]


def test_v2_container_sees_its_own_root(tmp_path):
    write(tmp_path, {"/run/systemd/container": "podman\n"})
    tree = tree_v2(tmp_path, {"": group_v2(64 * MIB, "134217728", oom_kill=2), "/init.scope": group_v2(MIB)})
    value = subject.collect(tree, OPTIONS)
    assert paths(value) == ["/", "/init.scope"]
    assert (value["groups"][0]["unit"], value["groups"][0]["container"]) == (None, True)
    assert value["groups"][0]["max"] == 128 * MIB
    assert (value["groups"][1]["unit"], value["groups"][1]["container"]) == ("init.scope", False)


def test_v2_container_without_cgroup_namespace(tmp_path):
    name = "libpod-" + "0123456789abcdef" * 4 + ".scope"
    mount = V2_MOUNT.replace(" / /sys", " /machine.slice/%s /sys" % name)
    tree = tree_v2(tmp_path, {"": group_v2(MIB), "/sub": group_v2(1)}, mount)
    found = subject.collect(tree, OPTIONS)["groups"]
    assert [(group["path"], group["unit"]) for group in found] == [
        ("/machine.slice/" + name, name),
        ("/machine.slice/%s/sub" % name, None),
    ]
    assert all(group["container"] for group in found)


def test_the_widest_mount_is_taken(tmp_path):
    bind = "90 22 0:23 /kubepods.slice /var/lib/kubelet/groups rw - cgroup2 cgroup2 rw\n"
    tree = tree_v2(tmp_path, {"/system.slice": group_v2(MIB)}, bind + V2_MOUNT)
    write(tmp_path, {"/var/lib/kubelet/groups/cgroup.controllers": "memory\n"})
    assert paths(subject.collect(tree, OPTIONS)) == ["/system.slice"]


def test_v2_where_the_tree_has_no_list_of_mounts(tmp_path):
    tree = tree_v2(tmp_path, {"/system.slice": group_v2(MIB)})
    os.unlink(str(tmp_path / "proc/self/mountinfo"))
    assert paths(subject.collect(tree, OPTIONS)) == ["/system.slice"]


def test_v2_without_the_memory_controller(tmp_path):
    tree = tree_v2(tmp_path, {"/system.slice": {"cgroup.procs": ""}})
    assert subject.collect(tree, OPTIONS) is None
    assert tree.unavailable == {"cgroups": "/sys/fs/cgroup: no group has the memory controller"}


def test_no_cgroups_at_all(tmp_path):
    write(tmp_path, {"/proc/self/mountinfo": "22 1 0:21 / /proc rw - proc proc rw\n"})
    tree = Tree(str(tmp_path))
    assert subject.collect(tree, OPTIONS) is None
    assert tree.unavailable["cgroups"] == "no cgroup file system with the memory controller is mounted"


STAT_V1 = """cache 1
rss 2
shmem 3
dirty 4
writeback 5
swap 6
total_cache 41943040
total_rss 104857600
total_shmem 4194304
total_dirty 2097152
total_writeback 1048576
total_swap 8192
"""


def group_v1(usage, limit=9223372036854771712, **more):
    files = {
        "memory.usage_in_bytes": "%d\n" % usage,
        "memory.limit_in_bytes": "%d\n" % limit,
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
        "cgroup.procs": "",
    }
    files.update({name.replace("__", "."): text for name, text in more.items()})
    return files


@pytest.mark.parametrize("mount", [V1_MOUNT, HYBRID_MOUNT], ids=["v1", "hybrid"])
def test_v1_by_the_words_of_v2(tmp_path, mount):
    tree = tree_v1(
        tmp_path,
        {
            "": {"memory.usage_in_bytes": "99999999999\n", "memory.limit_in_bytes": "9223372036854771712\n"},
            "/system.slice": group_v1(300 * MIB),
            "/system.slice/db.service": group_v1(
                200 * MIB,
                256 * MIB,
                memory__max_usage_in_bytes="262144000\n",
                memory__memsw__usage_in_bytes="209731584\n",
                memory__memsw__limit_in_bytes="%d\n" % (300 * MIB),
                memory__kmem__usage_in_bytes="12582912\n",
                memory__failcnt="3\n",
                memory__soft_limit_in_bytes="1048576\n",
                memory__stat=STAT_V1,
                memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
                cgroup__procs="12\n13\n",
            ),
        },
        mount,
    )
    write(
        tmp_path,
        {
            "/sys/fs/cgroup/unified/cgroup.controllers": "",
            "/sys/fs/cgroup/unified/system.slice/db.service/memory.pressure": PRESSURE,
        },
    )
    value = subject.collect(tree, OPTIONS)
    hybrid = mount == HYBRID_MOUNT
    assert (value["version"], value["examined"]) == ("hybrid" if hybrid else "v1", 2)
    assert paths(value) == ["/system.slice", "/system.slice/db.service"]
    found = value["groups"][1]
    pressure = found.pop("pressure")
    assert found == {
        "path": "/system.slice/db.service",
        "unit": "db.service",
        "container": False,
        "current": 200 * MIB,
        "peak": 250 * MIB,
        "low": None,
        "min": None,
        "high": None,
        "max": 256 * MIB,
        "swap_current": 8192,
        "swap_max": 44 * MIB,
        "anon": 100 * MIB,
        "file": 40 * MIB,
        "shmem": 4 * MIB,
        "kernel": 12 * MIB,
        "slab": None,
        "dirty": 2 * MIB,
        "writeback": MIB,
        "events": {"low": None, "high": None, "max": 3, "oom": None, "oom_kill": 5, "oom_group_kill": None},
        "oom_group": None,
        "processes": 2,
    }
    assert value["groups"][0]["max"] is None
    if hybrid:
        assert pressure["some"]["total"] == 4.0
        assert tree.unavailable == {}
    else:
        assert pressure is None
        assert tree.unavailable == {"cgroups.pressure": "cgroup v1 does not count pressure by group"}


def test_v1_and_v2_groups_have_the_same_keys(tmp_path):
    first = tree_v1(tmp_path / "first", {"/a.slice": group_v1(1)})
    second = tree_v2(tmp_path / "second", {"/a.slice": group_v2(1)})
    keys = [set(subject.collect(tree, OPTIONS)["groups"][0]) for tree in (first, second)]
    assert keys[0] == keys[1]


def test_v1_root_is_a_group_inside_a_container_only(tmp_path):
    groups = {"": group_v1(5 * MIB, 6 * MIB), "/a.slice": group_v1(1)}
    host = tree_v1(tmp_path / "host", groups)
    assert paths(subject.collect(host, OPTIONS)) == ["/a.slice"]
    copied = tree_v1(tmp_path / "copied", groups)
    os.unlink(str(tmp_path / "copied/sys/fs/cgroup/memory/release_agent"))
    assert paths(subject.collect(copied, OPTIONS)) == ["/a.slice"]
    inside = tree_v1(tmp_path / "inside", groups, V1_MOUNT.replace("0:32 / ", "0:32 /docker/" + "ab" * 32 + " "))
    os.unlink(str(tmp_path / "inside/sys/fs/cgroup/memory/release_agent"))
    found = subject.collect(inside, OPTIONS)["groups"]
    assert [(group["path"], group["container"]) for group in found] == [
        ("/docker/" + "ab" * 32, True),
        ("/docker/%s/a.slice" % ("ab" * 32), True),
    ]


def test_v1_swap_without_the_line_in_memory_stat(tmp_path):
    more = {"memory__memsw__usage_in_bytes": "12582912\n", "memory__memsw__limit_in_bytes": "9223372036854771712\n"}
    tree = tree_v1(tmp_path, {"/a.slice": group_v1(8 * MIB, **more), "/b.slice": group_v1(MIB)})
    found = subject.collect(tree, OPTIONS)["groups"]
    assert [(group["swap_current"], group["swap_max"]) for group in found] == [(4 * MIB, None), (None, None)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9223372036854771712\n", None),  # 4 KiB pages
        ("9223372036854710272\n", None),  # 64 KiB pages
        ("18446744073709551615\n", None),  # before 3.19
        ("8796093018112\n", None),  # 32 bits
        ("9223372036854705152\n", 9223372036854705152),  # one 64 KiB page below the largest
        ("8796093022208\n", 8796093022208),  # 8 TiB is a limit that can be meant
        ("0\n", 0),
        ("1048576", 1048576),
        ("-1", None),
        ("max", None),
        ("", None),
        (None, None),
    ],
)
def test_limits_of_v1(text, value):
    assert subject.parse_limit_v1(text) == value


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/", None),
        ("", None),
        ("/system.slice/ssh.service", "ssh.service"),
        ("/system.slice/db.service/worker/1", "db.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.service", "app-x.service"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        ("/user.slice", "user.slice"),
        ("/system.slice/system-getty.slice", "system-getty.slice"),
        (r"/system.slice/dev-disk-by\x2dlabel-swap.swap", r"dev-disk-by\x2dlabel-swap.swap"),
        ("/system.slice/_cpu.service", "cpu.service"),
        ("/docker/" + "ab" * 32, None),
        ("/init.scope", "init.scope"),
    ],
)
def test_unit_of_a_path(path, unit):
    assert subject.unit_of(path) == unit


ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", False),
        ("/system.slice/docker.service", False),
        ("/system.slice/docker-%s.scope" % ID, True),
        ("/docker", False),
        ("/docker/" + ID, True),
        ("/machine.slice/libpod-%s.scope" % ID, True),
        ("/machine.slice/libpod-%s.scope/container" % ID, True),
        ("/machine.slice/libpod-conmon-%s.scope" % ID, False),
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-%s.scope" % ID, True),
        ("/libpod_parent/libpod-" + ID, True),
        ("/system.slice/crio-%s.scope" % ID, True),
        ("/system.slice/crio-conmon-%s.scope" % ID, False),
        ("/kubepods.slice", False),
        ("/kubepods.slice/kubepods-burstable.slice", False),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b2c3d_1111_2222_3333_444455556666.slice",
            True,
        ),
        ("/kubepods.slice/kubepods-pod0a1b2c3d_1111_2222_3333_444455556666.slice/cri-containerd-%s.scope" % ID, True),
        ("/kubepods/besteffort/pod0a1b2c3d-1111-2222-3333-444455556666", True),
        ("/kubepods/besteffort/pod0a1b2c3d-1111-2222-3333-444455556666/" + ID, True),
        ("/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podda4cbc30e0dc1d5f5b2bdd0d5dc4b7ab.slice", True),
        ("/system.slice/podman.service", False),
        ("/system.slice/pod0a1b2c3d-1111-2222-backup.service", False),
        ("/lxc.payload.web", True),
        ("/lxc.payload.web/system.slice/ssh.service", True),
        ("/lxc.monitor.web", False),
        ("/lxc", False),
        ("/lxc/100/ns", True),
        ("/machine.slice/systemd-nspawn@web.service/payload", True),
        ("/machine.slice/machine-web.scope", True),
        (r"/machine.slice/machine-qemu\x2d1\x2dvm.scope", False),
        ("/process_api/8cb5026a4aab5778687a9fd471cb954c", False),
        ("/system.slice/ssh.service", False),
    ],
)
def test_containers(path, expected):
    assert subject.in_container(path) is expected


def test_proc_cgroup():
    text = (
        "12:cpu,cpuacct:/system.slice/a.service\n4:memory:/docker/x:y\n1:name=systemd:/system.slice/a.service\n"
        "0::/gone.scope (deleted)\ngarbage\n9:x\n"
    )
    assert subject.parse_proc_cgroup(text) == {
        "cpu": "/system.slice/a.service",
        "cpuacct": "/system.slice/a.service",
        "memory": "/docker/x:y",
        "name=systemd": "/system.slice/a.service",
        "": "/gone.scope",
    }


def test_unreadable_files_are_said(tmp_path):
    tree = tree_v2(tmp_path, {"/a.slice": group_v2(MIB), "/b.slice": group_v2(2 * MIB)})
    real = Tree.read

    class Denying(Tree):
        def read(self, path):
            if path.endswith("/a.slice/memory.stat"):
                raise PermissionError(13, "Permission denied", path)
            return real(self, path)

    tree = Denying(str(tmp_path))
    value = subject.collect(tree, OPTIONS)
    assert [group["anon"] for group in value["groups"]] == [None, None]
    assert tree.unavailable["cgroups.files"] == "/sys/fs/cgroup/a.slice/memory.stat: permission denied"


def test_groups_that_vanish_are_skipped(tmp_path):
    tree_v2(tmp_path, {"/a.slice": group_v2(MIB), "/b.slice": group_v2(2 * MIB)})
    real = Tree.read

    class Vanishing(Tree):
        def read(self, path):
            if path.endswith("/b.slice/memory.current"):
                shutil.rmtree(str(tmp_path / "sys/fs/cgroup/b.slice"))
            if path.endswith("/a.slice/memory.stat"):
                raise OSError(19, "No such device", path)
            return real(self, path)

    tree = Vanishing(str(tmp_path))
    assert paths(subject.collect(tree, OPTIONS)) == ["/a.slice"]
    assert "cgroups.files" not in tree.unavailable


def test_deep_and_many(tmp_path, monkeypatch):
    deep = "/d" * 60
    groups = {"/d" * number: group_v2(100 - number, cgroup__procs="1\n") for number in range(1, 61)}
    assert deep in groups
    tree = tree_v2(tmp_path / "deep", groups)
    value = subject.collect(tree, OPTIONS)
    assert (value["examined"], value["groups"][0]["processes"]) == (60, 60)
    monkeypatch.setattr(subject, "MOST_GROUPS", 7)
    tree = Tree(str(tmp_path / "deep"))
    assert subject.collect(tree, OPTIONS)["examined"] == 7
    assert tree.unavailable["cgroups.groups"] == "only the first 7 groups were read"


def test_a_link_in_the_tree_is_not_walked(tmp_path):
    tree = tree_v2(tmp_path, {"/a.slice": group_v2(MIB)})
    (tmp_path / "sys/fs/cgroup/a.slice/bare").mkdir()
    os.symlink(".", str(tmp_path / "sys/fs/cgroup/a.slice/up"))
    assert subject.collect(tree, OPTIONS)["examined"] == 1


@given(st.text())
def test_parsers_take_anything(text):
    for values in (subject.parse_flat(text), subject.parse_flat(STAT_V2 + text)):
        assert all(isinstance(name, str) and isinstance(value, int) and value >= 0 for name, value in values.items())
    for value in (subject.parse_number(text), subject.parse_limit_v1(text)):
        assert value is None or (isinstance(value, int) and value >= 0)
    assert all(path.startswith("/") for path in subject.parse_proc_cgroup(text).values())
    unit = subject.unit_of(text)
    assert unit is None or "/" not in unit
    assert subject.in_container(text) in (True, False)


@given(st.data())
def test_mutated_files_never_raise(data):
    for original in (STAT_V2, STAT_V1, EVENTS, "4:memory:/docker/x\n0::/a (deleted)\n"):
        place = data.draw(st.integers(0, len(original)))
        text = original[:place] + data.draw(st.text(max_size=5)) + original[place + data.draw(st.integers(0, 5)) :]
        assert all(value >= 0 for value in subject.parse_flat(text).values())
        assert all(path.startswith("/") for path in subject.parse_proc_cgroup(text).values())


@pytest.mark.parametrize("garbage", ["", "\n", "nonsense", "-5\n", "1e9\n", "\ufffd" * 50, "9" * 400])
def test_garbage_in_every_file(tmp_path, garbage):
    for number, tree in enumerate((tree_v2(tmp_path / "a", {}), tree_v1(tmp_path / "b", {}))):
        files = dict((group_v2, group_v1)[number](MIB))
        where = ("/sys/fs/cgroup", "/sys/fs/cgroup/memory")[number]
        names = [
            "memory.stat memory.peak memory.high memory.low memory.min memory.swap.current memory.swap.max",
            "memory.pressure memory.oom.group memory.failcnt memory.memsw.limit_in_bytes memory.memsw.usage_in_bytes",
        ]
        for name in " ".join(names).split():
            files[name] = garbage
        for name in set(files) - {"memory.current", "memory.usage_in_bytes"}:
            files[name] = garbage
        write(Path(tree.root), {"%s/x.slice/%s" % (where, name): text for name, text in files.items()})
        found = subject.collect(tree, OPTIONS)["groups"][0]
        for name in ("peak", "high", "low", "max", "anon", "kernel", "swap_current", "swap_max"):
            assert found[name] is None or found[name] >= 0
        assert found["pressure"] is None


def check_sane(value):
    assert value["version"] in ("v2", "v1", "hybrid")
    assert len(value["groups"]) <= value["examined"]
    for group in value["groups"]:
        assert group["path"].startswith("/")
        assert group["current"] >= 0
        for name in ("anon", "file", "shmem", "kernel", "dirty", "writeback", "swap_current", "peak"):
            assert group[name] is None or 0 <= group[name] < 1 << 50, (name, group)
        if group["anon"] is not None and group["current"] > 64 * MIB:
            # Counters are gathered from the CPUs, and not at one moment.
            assert group["anon"] + group["file"] <= group["current"] * 1.5 + 64 * MIB
    json.dumps(value)


def test_live_host():
    tree = Tree()
    value = subject.collect(tree, OPTIONS)
    if value is None:
        assert "cgroups" in tree.unavailable
        return
    check_sane(value)
    currents = [group["current"] for group in value["groups"][:10]]
    assert currents == sorted(currents, reverse=True)
    place = subject.hierarchy(tree)
    if value["version"] != "v2" and Path(place.file("", "release_agent")).exists():
        assert "/" not in paths(subject.collect(tree, dict(OPTIONS, top=10000)))
    group = value["groups"][0]
    below = group["path"][len(place.root) :].rstrip("/")
    name = "memory.max" if value["version"] == "v2" else "memory.limit_in_bytes"
    text = Path(place.file(below, name)).read_text().strip()
    assert group["max"] == (None if text == "max" or int(text) >= 1 << 62 else int(text))


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_live_host_unprivileged(checkout):
    code = (
        "import sys, os, json; sys.path.insert(0, {path!r})\n"
        "from ansible_collections.linux_memory.oom.plugins.module_utils import cgroups\n"
        "from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "tree = Tree(); value = cgroups.collect(tree, {options!r})\n"
        "print(json.dumps([value, tree.unavailable]))\n"
    ).format(path=str(checkout / "build/collections"), options=OPTIONS)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    value, unavailable = json.loads(done.stdout)
    if value is None:
        assert "cgroups" in unavailable
    else:
        check_sane(value)


def units_of(name):
    """Return {cgroup path: {property: value}} of what systemctl show said in the machine."""
    found = {}
    for block in booted_trees.expected(name)["units"].split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if properties.get("ControlGroup"):
            found[properties["ControlGroup"]] = properties
    return found


@pytest.mark.parametrize("name", booted_trees.NAMES)
def test_booted_machines(name):
    tree = Tree(str(booted_trees.root(name)))
    value = subject.collect(tree, dict(OPTIONS, top=1000))
    check_sane(value)
    version = value["version"]
    assert version == "v2" if name.endswith("v2") else version in ("v1", "hybrid")
    found = {group["path"]: group for group in value["groups"]}
    assert "/" not in found
    compared = 0
    for path, properties in units_of(name).items():
        # Before 256, systemd on cgroup v1 knows the limit that is in force by its old name.
        limit = properties["MemoryMax" if version == "v2" else "MemoryLimit"]
        if path not in found or not properties["MemoryCurrent"].isdigit():
            continue
        compared += 1
        assert found[path]["unit"] == properties["Id"]
        assert found[path]["max"] == (None if limit == "infinity" else int(limit)), path
        assert abs(found[path]["current"] - int(properties["MemoryCurrent"])) < 32 * MIB, path
    assert compared >= 5
    greedy, holder = (found["/system.slice/%s.service" % unit] for unit in ("greedy", "holder"))
    assert (greedy["max"], greedy["processes"]) == (48 * MIB, 1)
    assert greedy["events"]["oom_kill"] == 1
    assert greedy["peak"] is None or greedy["peak"] >= 47 * MIB
    assert holder["max"] == 256 * MIB
    assert holder["high"] == (200 * MIB if version == "v2" else None)
    assert holder["events"]["oom_kill"] == 0
    assert 80 * MIB <= holder["anon"] + holder["swap_current"] < 110 * MIB
    # However few are asked for, the one that met its limit is there.
    few = subject.collect(Tree(str(booted_trees.root(name))), dict(OPTIONS, top=1))
    assert "/system.slice/greedy.service" in paths(few)
    assert len(few["groups"]) < 6
