# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as a whole: its arguments, its answer on this host, on other trees, as another user, on old Pythons."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from ansible_collections.linux_memory.oom.plugins.modules import memory_facts

OPTIONS = {"top": 5, "process_arguments": False, "seconds": 0}


def arguments(**given):
    """Return the module's parameters as AnsibleModule would make them."""
    return {"gather_subset": ["all"], "sample_seconds": 0.0, "root": "/", "top": 10, **given}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["all"], set(memory_facts.NAMES)),
        (["meminfo"], {"meminfo"}),
        (["!processes"], set(memory_facts.NAMES) - {"processes"}),
        (["all", "!sysctl", "!kdump"], set(memory_facts.NAMES) - {"sysctl", "kdump"}),
        (["!all", "swap"], {"swap"}),
        (["!all"], set()),
        (["meminfo", "swap", "!swap"], {"meminfo"}),
    ],
)
def test_subsets(wanted, expected):
    assert memory_facts.chosen(wanted) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"gather_subset": ["memory"]}, ["gather_subset", "memory", "allowed are all, meminfo"]),
        ({"gather_subset": ["!!swap"]}, ["gather_subset", "!!swap"]),
        ({"gather_subset": [""]}, ["gather_subset", "allowed"]),
        ({"sample_seconds": -1.0}, ["sample_seconds", "-1", "0 to 3600"]),
        ({"sample_seconds": float("nan")}, ["sample_seconds", "nan", "0 to 3600"]),
        ({"sample_seconds": float("inf")}, ["sample_seconds", "inf"]),
        ({"sample_seconds": 3601.0}, ["sample_seconds", "3601"]),
        ({"top": 0}, ["top", "0", "1 to 10000"]),
        ({"top": -5}, ["top", "-5"]),
        ({"root": "/does/not/exist"}, ["root", "/does/not/exist", "does not exist"]),
        ({"root": __file__}, ["root", "is not a directory", "unpack"]),
        ({"root": str(Path(__file__).parent)}, ["root", "none of proc, sys and etc"]),
    ],
)
def test_bad_arguments_get_one_sentence(given, words):
    with pytest.raises(ValueError) as caught:
        memory_facts.check(arguments(**given))
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_stored_tree_cannot_be_sampled(tmp_path):
    (tmp_path / "proc").mkdir()
    with pytest.raises(ValueError, match="sample_seconds.*has to be 0"):
        memory_facts.check(arguments(root=str(tmp_path), sample_seconds=1.0))


def test_this_host_has_every_subset_or_a_reason():
    facts = memory_facts.gather(Tree("/"), set(memory_facts.NAMES), OPTIONS)
    for name in memory_facts.NAMES:
        assert name in facts or name in facts["unavailable"], name
    assert not [reason for reason in facts["unavailable"].values() if "error in this collection" in reason]
    json.dumps(facts, allow_nan=False)


def test_a_window_gives_rates():
    names = {"vmstat", "pressure", "swap", "storage"}
    facts = memory_facts.gather(Tree("/"), names, {**OPTIONS, "seconds": 0.2})
    assert facts["vmstat"]["rates"]["pgmajfault"] is not None
    assert all(disk["utilisation"] is not None for disk in facts["storage"]["disks"].values())
    if "pressure" in facts:
        assert 0 <= facts["pressure"]["memory"]["some"]["share"] <= 1


def test_an_empty_tree_gives_reasons_and_no_traceback(tmp_path):
    (tmp_path / "proc").mkdir()
    facts = memory_facts.gather(Tree(str(tmp_path)), set(memory_facts.NAMES), OPTIONS)
    assert {"meminfo", "vmstat", "pressure"} <= set(facts["unavailable"])
    assert not [reason for reason in facts["unavailable"].values() if "error in this collection" in reason]
    json.dumps(facts, allow_nan=False)


@pytest.mark.parametrize(
    "garbage", [b"", b"\0" * 4096, b"\xff\xfe\xfd", b"99999999999999999999999999\n" * 3, b"a: b: c\n"]
)
def test_a_tree_of_garbage_gives_no_traceback(tmp_path, garbage):
    for directory, _below, files in list(os.walk("/proc/sys/vm")) + [("/proc", [], os.listdir("/proc"))]:
        for name in files:
            path = tmp_path / directory[1:] / name
            if not os.path.isdir(os.path.join(directory, name)):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(garbage)
    for name in (
        "proc/self/mountinfo",
        "proc/1/stat",
        "proc/1/status",
        "proc/1/statm",
        "proc/1/cgroup",
        "proc/pressure/memory",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(garbage)
    for name in (
        "etc/fstab",
        "etc/sysctl.conf",
        "etc/sysctl.d/a.conf",
        "etc/kdump.conf",
        "etc/default/kdump-tools",
        "sys/block/sda/size",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(garbage)
    facts = memory_facts.gather(Tree(str(tmp_path)), set(memory_facts.NAMES), {**OPTIONS, "process_arguments": True})
    assert not [reason for reason in facts["unavailable"].values() if "error in this collection" in reason]
    json.dumps(facts, allow_nan=False)


def test_one_broken_subset_does_not_cost_the_others(monkeypatch):
    def broken(tree, options, earlier=None):
        raise KeyError("unforeseen")

    monkeypatch.setattr(memory_facts.swap, "collect", broken)
    facts = memory_facts.gather(Tree("/"), {"swap", "meminfo"}, OPTIONS)
    assert "swap" not in facts
    assert "KeyError" in facts["unavailable"]["swap"]
    assert facts["meminfo"]["mem_total"] > 0


def test_command_lines_only_when_asked_for():
    without = memory_facts.gather(Tree("/"), {"processes"}, {**OPTIONS, "top": 1000})
    assert not any("arguments" in process for process in without["processes"]["top"])
    asked = memory_facts.gather(Tree("/"), {"processes"}, {**OPTIONS, "top": 1000, "process_arguments": True})
    assert any(sys.executable in str(process["arguments"]) for process in asked["processes"]["top"])


PROBE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.linux_memory.oom.plugins.module_utils import (
    cgroups, kdump, meminfo, oom, overcommit, pressure, processes, storage, swap, sysctl, system, vmstat, writeback)
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
tree = Tree("/")
options = {"top": 3, "process_arguments": False, "seconds": 0}
facts = {"system": system.collect(tree, options)}
for module in (cgroups, kdump, meminfo, oom, overcommit, pressure, processes, storage, swap, sysctl, vmstat, writeback):
    facts[module.__name__.rsplit(".", 1)[1]] = module.collect(tree, options)
print(json.dumps(facts))
"""


def pythons():
    """Return the interpreters of the supported versions that this machine has."""
    return [path for path in (shutil.which(f"python3.{minor}") for minor in range(6, 15)) if path]


@pytest.mark.parametrize("python", pythons())
def test_subsets_run_on_each_python_of_this_machine(python, checkout):
    done = subprocess.run(
        [python, "-c", PROBE, str(checkout / "build/collections")], capture_output=True, text=True, check=False
    )
    if "not installed" in done.stderr or "command not found" in done.stderr:
        pytest.skip(f"{python} is a placeholder of a version manager")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["meminfo"]["mem_total"] > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_nobody_reads_all_subsets_too(tmp_path_factory, checkout):
    copied = tmp_path_factory.mktemp("collections") / "ansible_collections" / "linux_memory" / "oom" / "plugins"
    shutil.copytree(checkout / "plugins" / "module_utils", copied / "module_utils")
    top = copied.parents[3]
    for directory in (top, *top.parents):
        if directory.stat().st_uid == 0 and str(directory).startswith(str(Path(os.environ.get("TMPDIR", "/tmp")))):
            directory.chmod(0o755)
    # The environment's own Python may lie below /root, which nobody may not enter.
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", PROBE, str(top)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["meminfo"]["mem_total"] > 0
    assert facts["processes"]["top"]
