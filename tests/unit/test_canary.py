# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The canary itself, and the units that the role oom_canary writes for it."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import roles_without_a_host as hosts
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "roles/oom_canary/files/canary.py"
MIB = 1024**2
BASE = "/etc/systemd/system/linux_memory_oom-oom_canary"

_spec = importlib.util.spec_from_file_location("canary", PROGRAM)
canary = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(canary)


@pytest.fixture
def bird():
    """Return a canary that holds 32 MiB, and what it says of itself."""
    process = subprocess.Popen([sys.executable, "-IS", str(PROGRAM), str(32 * MIB)], stdout=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_its_memory_is_really_there_and_it_costs_no_time(bird):
    process, said = bird
    assert re.match(
        rf"<[45]>holding {32 * MIB} bytes, it(s control group has no swap| is locked| could not be locked)", said
    )
    place = Path(f"/proc/{process.pid}")
    status = (place / "status").read_text(encoding="utf-8")
    anon = int(re.search(r"^RssAnon:\s+([0-9]+) kB", status, re.MULTILINE)[1]) * 1024
    assert 32 * MIB <= anon < 48 * MIB
    # It has said so just before it sleeps.
    end = time.monotonic() + 10
    while stat_of(place)[0] != "S" and time.monotonic() < end:
        time.sleep(0.01)
    before = stat_of(place)
    time.sleep(0.2)
    assert stat_of(place) == before
    assert before[0] == "S"


def stat_of(place):
    """Return the state of a process and the time that it has taken, in ticks."""
    fields = (place / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return fields[0], *fields[11:13]


def test_each_page_is_written_to():
    """Also where it may not be locked: what was never written to is the page of zeros that all share."""
    script = """
import canary, re
def resident():
    return int(re.search("RssAnon:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1])
before = resident()
held = canary.hold(32 << 20, True)
print(resident() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROGRAM.parent, env={"PYTHONPATH": str(PROGRAM.parent)} | dict(os.environ),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) >= 32 * 1024


@pytest.mark.parametrize(
    ("files", "swapped", "flags"),
    [
        # Small pages that are locked are given back too late on kernels before 6.0, and huge ones on those since.
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.swap.max": "0\n"}, False, {"nh"}),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.swap.max": "0\n"}, False, {"nh"}),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.swap.max": "max\n"}, True, {"lo"}),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, True, {"lo"}),
        ({"proc/self/cgroup": "4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9\n"}, True, {"lo"}),
        ({}, True, {"lo"}),
    ],
)
def test_it_is_locked_only_where_its_control_group_may_swap(tmp_path, files, swapped, flags):
    root = tree(tmp_path, files)
    (tmp_path / "sys/fs/cgroup/a/b").mkdir(parents=True, exist_ok=True)
    script = f"""
import canary, re
held, how, _level = canary.keep(8 << 20, {root!r})
areas = open("/proc/self/smaps").read()
print(how)
print(re.search(r"^Size: +8192 kB$.*?^VmFlags: ([a-z ]+)$", areas, re.MULTILINE | re.DOTALL)[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROGRAM.parent, env={"PYTHONPATH": str(PROGRAM.parent)} | dict(os.environ),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    how, found = done.stdout.splitlines()
    if "could not be locked" in how:
        flags = set()
    assert ("lock" in how, how == "its control group has no swap") == (swapped, not swapped)
    assert {"nh", "lo"} & set(found.split()) == flags


def test_it_ends_at_once_when_it_is_asked_to(bird):
    process, _said = bird
    process.terminate()
    assert process.wait(timeout=10) == -signal.SIGTERM


def tree(place, files):
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(place)


HOST = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 5000 kB\nHugePages_Total: 0\n"}


def test_room_is_what_the_host_has_where_nothing_limits(tmp_path):
    unlimited = {
        "proc/self/cgroup": "0::/system.slice/x.service\n",
        "sys/fs/cgroup/system.slice/x.service/memory.max": "max\n",
        "sys/fs/cgroup/system.slice/x.service/memory.current": "4096\n",
    }
    assert canary.room(tree(tmp_path, {**HOST, **unlimited})) == 5000 * 1024


def test_room_is_bounded_by_every_group_above(tmp_path):
    limited = {
        "proc/self/cgroup": "0::/app.slice/x.service\n",
        "sys/fs/cgroup/app.slice/memory.max": "1000000\n",
        "sys/fs/cgroup/app.slice/memory.current": "900000\n",
        # Cache gives way.
        "sys/fs/cgroup/app.slice/memory.stat": "anon 500000\nfile 300000\n",
        "sys/fs/cgroup/app.slice/x.service/memory.max": "800000\n",
        "sys/fs/cgroup/app.slice/x.service/memory.current": "4096\n",
    }
    assert canary.room(tree(tmp_path, {**HOST, **limited})) == 400000


def test_room_in_a_container_of_cgroup_v1(tmp_path):
    """Its path begins outside of what is mounted in it, and no limit is a large number."""
    limited = {
        "proc/self/cgroup": "5:cpu,cpuacct:/pod/c1\n4:memory:/pod/c1/system.slice/x.service\n1:name=systemd:/pod/c1\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1500000\n",
        "sys/fs/cgroup/memory/memory.stat": "cache 5\ntotal_cache 100000\n",
        "sys/fs/cgroup/memory/system.slice/x.service/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/system.slice/x.service/memory.usage_in_bytes": "0\n",
    }
    assert canary.room(tree(tmp_path, {**HOST, **limited})) == 600000


def test_what_cannot_be_read_does_not_keep_it_from_being_armed(tmp_path):
    assert canary.room(str(tmp_path)) is None


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_of_the_kernel_ends_it(first, second):
    assert all(isinstance(value, int) for value in canary.numbers(first + "\n" + second).values())


# The units.


def written(tmp_path, *canaries, **variables):
    """Return {name: content} of the files that the role asks for, with the options of the part that writes them."""
    given_ = {"oom_canary_canaries": list(canaries), **variables}
    task = {"name": "Try", "ansible.builtin.import_role": {"name": "linux_memory.oom.oom_canary"}, "vars": given_}
    plays = [{"name": "Try", "hosts": "all", "gather_facts": False, "tasks": [task]}]
    done = hosts.play(tmp_path / "host", plays)
    assert done.status == 0, done.output
    (options,) = [arguments for name, _check, arguments, _run in done.calls if name == "owned_units"]
    return {one["path"]: one["content"] for one in options["files"]}, options


def test_the_death_of_the_canary_stops_by_a_target_and_nothing_is_run(tmp_path):
    files, options = written(
        tmp_path, {"unit": "db@15.service", "size": "64M", "stops": ["db@15.service", "db.socket"]}
    )
    name = f"{BASE}-db-at-15"
    bird = files[f"{name}.service"]
    assert options["resident"] == {f"{Path(name).name}.service": 64 * MIB}
    assert set(options["need_units"]) == {"db@15.service", "db.socket"}
    assert f"\nOnFailure={Path(name).name}-died.target\n" in bird
    assert "\nPartOf=db@15.service\n" in bird
    assert "\nOOMScoreAdjust=1000\n" in bird
    assert f" {64 * MIB}\n" in bird
    # Every status but that of SIGKILL is a good one.
    good = set(re.search(r"^SuccessExitStatus=(.*)$", bird, re.MULTILINE)[1].split())
    assert {str(number) for number in range(1, 256)} <= good
    assert "SIGKILL" not in good
    died = files[f"{name}-died.target"]
    assert "\nConflicts=db@15.service db.socket\n" in died
    assert "Exec" not in died
    assert files["/etc/systemd/system/db@15.service.d/50-linux_memory_oom-oom_canary.conf"] == (
        f"[Unit]\nWants={Path(name).name}.service\n"
    )


def test_a_command_alone_stops_nothing(tmp_path):
    words = ["/usr/bin/logger", 'a "word"', "100% $HOME", "back\\slash"]
    files, _options = written(tmp_path, {"unit": "app.target", "size": "1M", "stops": [], "command": words})
    name = f"{BASE}-app.target"
    assert f"\nOnFailure={Path(name).name}-command.service\n" in files[f"{name}.service"]
    assert not [path for path in files if path.endswith("died.target")]
    command = files[f"{name}-command.service"]
    assert '\nExecStart="/usr/bin/logger" "a \\"word\\"" "100%% $$HOME" "back\\\\slash"\n' in command


def test_without_canaries_nothing_is_written(tmp_path):
    files, options = written(tmp_path, oom_canary_protect=["db.service"])
    assert (files, options["resident"]) == ({}, {})
