# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The OOM killers: settings, kills, and which of user space are installed and run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import oom as subject
from ansible_collections.linux_memory.oom.plugins.module_utils import processes
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = {"top": 10, "process_arguments": False, "seconds": 0}
V2 = "26 22 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
HYBRID = (
    "35 22 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "40 22 0:37 / /cgroups/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
)
KERNEL = {
    "/proc/self/mountinfo": V2,
    "/proc/vmstat": "nr_free_pages 5\noom_kill 3\n",
    "/proc/sys/vm/panic_on_oom": "2\n",
    "/proc/sys/vm/oom_kill_allocating_task": "1\n",
    "/proc/sys/vm/oom_dump_tasks": "0\n",
    "/proc/sys/kernel/panic": "-1\n",
    "/proc/1/comm": "systemd\n",
}


def build(root, *parts):
    for files in parts:
        for name, text in files.items():
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return Tree(str(root))


def killers(tree):
    return {found["name"]: (found["present"], found["active"]) for found in subject.collect(tree, OPTIONS)["killers"]}


NONE = {"systemd-oomd": (False, False), "earlyoom": (False, False), "nohang": (False, False)}


def test_settings(tmp_path):
    tree = build(tmp_path, KERNEL)
    value = subject.collect(tree, OPTIONS)
    assert value.pop("killers") == [
        {"name": name, "present": False, "active": False} for name in ("systemd-oomd", "earlyoom", "nohang")
    ]
    assert value == {
        "kills": 3,
        "panic_on_oom": 2,
        "oom_kill_allocating_task": 1,
        "oom_dump_tasks": 0,
        "panic": -1,
    }
    assert tree.unavailable == {}


def test_sosreport(tmp_path):
    listed = "kernel.panic = 10\nvm.oom_dump_tasks = 1\nvm.panic_on_oom = 0\n"
    tree = build(tmp_path, {"/sos_commands/kernel/sysctl_-a": listed, "/proc/vmstat": "nr_free_pages 5\n"})
    value = subject.collect(tree, OPTIONS)
    assert (value["panic"], value["oom_dump_tasks"], value["panic_on_oom"]) == (10, 1, 0)
    assert value["kills"] is None
    assert tree.unavailable["oom.kills"] == "/proc/vmstat: the kernel does not count them (before 4.13)"
    # Nothing in this report says what runs.
    assert [killer["active"] for killer in value["killers"]] == [None, None, None]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/lib/systemd/systemd-oomd", "systemd-oomd"),
        ("/lib/systemd/system/systemd-oomd.service", "systemd-oomd"),
        ("/usr/bin/earlyoom", "earlyoom"),
        ("/usr/sbin/nohang", "nohang"),
        ("/usr/local/lib/systemd/system/nohang-desktop.service", "nohang"),
    ],
)
def test_installed(tmp_path, path, name):
    assert killers(build(tmp_path, KERNEL, {path: ""})) == dict(NONE, **{name: (True, False)})


@pytest.mark.parametrize(
    ("mounts", "directory"),
    [(V2, "/sys/fs/cgroup"), (HYBRID, "/cgroups/systemd"), ("", "/sys/fs/cgroup")],
    ids=["v2", "v1", "no list of mounts"],
)
@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("systemd-oomd.service", "systemd-oomd"),
        ("earlyoom.service", "earlyoom"),
        ("nohang-desktop.service", "nohang"),
    ],
)
def test_active_by_its_group(tmp_path, mounts, directory, unit, name):
    group = "%s/system.slice/%s/cgroup.procs" % (directory, unit)
    tree = build(tmp_path, KERNEL, {"/proc/self/mountinfo": mounts, group: "77\n"})
    assert killers(tree) == dict(NONE, **{name: (True, True)})
    empty = build(tmp_path / "empty", KERNEL, {"/proc/self/mountinfo": mounts, group: ""})
    assert killers(empty) == NONE


@pytest.mark.parametrize("name", ["systemd-oomd", "earlyoom", "nohang"])
def test_active_by_its_process(tmp_path, name):
    assert killers(build(tmp_path, KERNEL, {"/proc/99/comm": name + "\n"})) == dict(NONE, **{name: (True, True)})


def test_the_reading_of_processes_is_used(tmp_path):
    tree = build(tmp_path, KERNEL)
    tree.once("process_names", lambda: {"earlyoom"})
    assert killers(tree)["earlyoom"] == (True, True)


def test_a_name_that_only_begins_alike(tmp_path):
    assert killers(build(tmp_path, KERNEL, {"/proc/99/comm": "earlyoom-helper\n"})) == NONE


def test_hidden_processes_prove_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "hidden", lambda tree: "hidepid=2")
    assert killers(build(tmp_path / "a", KERNEL))["earlyoom"] == (False, None)
    seen = build(tmp_path / "b", KERNEL, {"/sys/fs/cgroup/system.slice/cgroup.procs": ""})
    assert killers(seen)["earlyoom"] == (False, False)


def test_hidepid(monkeypatch):
    monkeypatch.setattr(processes.os, "geteuid", lambda: 1000)
    for options, expected in ((["rw", "hidepid=2"], True), (["rw", "hidepid=invisible"], True), (["hidepid=0"], False)):
        tree = Tree()
        proc = {"mount": "/proc", "type": "proc", "super_options": options}
        tree.once("mounts", lambda proc=proc: [proc])
        assert (processes.hidden(tree) is not None) is expected
    monkeypatch.setattr(processes.os, "geteuid", lambda: 0)
    tree = Tree()
    tree.once("mounts", lambda: [{"mount": "/proc", "type": "proc", "super_options": ["hidepid=2"]}])
    assert processes.hidden(tree) is None


def test_nothing_to_read(tmp_path):
    tree = build(tmp_path, {"/etc/hostname": "x\n"})
    assert subject.collect(tree, OPTIONS) is None
    assert "oom" in tree.unavailable


def test_a_mounted_host_shows_what_is_installed(tmp_path):
    tree = build(tmp_path, {"/usr/bin/earlyoom": ""})
    assert killers(tree)["earlyoom"] == (True, None)


@given(st.text())
def test_garbage(text):
    class Garbage(Tree):
        def read(self, path):
            return text

    value = subject.collect(Garbage("/nonexistent"), OPTIONS)
    if value is not None:
        for name in ("kills", "panic_on_oom", "oom_kill_allocating_task", "oom_dump_tasks", "panic"):
            assert value[name] is None or isinstance(value[name], int)


def check_live(value):
    assert value["kills"] >= 0
    assert value["panic_on_oom"] == int(Path("/proc/sys/vm/panic_on_oom").read_text())
    assert value["panic"] == int(Path("/proc/sys/kernel/panic").read_text())
    assert [killer["name"] for killer in value["killers"]] == ["systemd-oomd", "earlyoom", "nohang"]


def test_live_host():
    check_live(subject.collect(Tree(), OPTIONS))


def test_live_host_sees_a_killer_start(tmp_path):
    program = tmp_path / "earlyoom"
    program.write_text("#!/bin/sh\necho\nread line\n")
    program.chmod(0o755)
    before = killers(Tree())["earlyoom"]
    child = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        assert killers(Tree())["earlyoom"] == (True, True)
    finally:
        child.communicate()
    assert killers(Tree())["earlyoom"] == before


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_live_host_unprivileged(checkout):
    code = (
        "import sys, os, json; sys.path.insert(0, {path!r})\n"
        "from ansible_collections.linux_memory.oom.plugins.module_utils import oom\n"
        "from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print(json.dumps(oom.collect(Tree(), {options!r})))\n"
    ).format(path=str(checkout / "build/collections"), options=OPTIONS)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    check_live(json.loads(done.stdout))
