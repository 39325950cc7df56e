# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role `cgroup_memory_limit` on a machine with a kernel of its own, where limits really limit.

The tests build on each other, in their order: limit, kill, restart in bounds, reboot, undo.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
import machines  # noqa: E402 - the lab is no package of the collection
import play  # noqa: E402

IMAGE = machines.tested()
MIB = 1024**2

HOLD = "import time; held = [bytearray(1 << 20) for _ in range({})]; time.sleep(3600)"
UNITS = {
    "steady.service": "[Service]\nExecStart=/bin/sleep infinity\n",
    # Holds 80 MiB before anybody limits it.
    "large.service": f"[Service]\nExecStart=/usr/bin/python3 -c '{HOLD.format(80)}'\n",
    # Takes more than it will be allowed.
    "eater.service": f"[Service]\nExecStart=/usr/bin/python3 -c '{HOLD.format(160)}'\n",
}
LIMITS = {
    "steady.service": {"MemoryMax": "96M", "MemorySwapMax": "25%", "OOMPolicy": "kill", "OOMScoreAdjust": 250},
    "eater.service": {
        "MemoryMax": "64M",
        "MemorySwapMax": 0,
        "Restart": "on-failure",
        "RestartSec": 1,
        "StartLimitIntervalSec": "1h",
        "StartLimitBurst": 2,
    },
    "user-.slice": {"MemoryMax": "40%"},
}


@pytest.fixture(scope="module")
def guest():
    """Return a booted machine with units to limit."""
    with machines.machine(IMAGE) as one:
        for name, text in UNITS.items():
            one.run(f"cat > /etc/systemd/system/{name} <<'END'\n{text}END\n")
        one.run("systemctl daemon-reload && systemctl start steady large")
        yield one


@pytest.fixture(scope="module")
def role(guest, tmp_path_factory):
    """Return a function that runs the role and gives (exit status, the module's result, what was printed)."""
    result = tmp_path_factory.mktemp("role") / "result.json"
    copy = {"content": "{{ __cgroup_memory_limit_result | to_json }}", "dest": str(result), "mode": "0600"}
    save = {"ansible.builtin.copy": copy, "delegate_to": "localhost", "check_mode": False, "changed_when": False}

    def run(*options, **variables):
        result.unlink(missing_ok=True)
        given = {f"cgroup_memory_limit_{name}": value for name, value in variables.items()}
        done = play.role(guest, "cgroup_memory_limit", given, *options, check=False, then=(save,))
        answer = json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}
        return done.returncode, answer, done.stdout + done.stderr

    return run


def group(guest, unit: str, name: str) -> str:
    """Return a file of the control group of a unit."""
    return guest.run(f"cat /sys/fs/cgroup/system.slice/{unit}/{name}").stdout.strip()


def show(guest, unit: str, *names: str) -> list[str]:
    """Return properties of a unit."""
    properties = " ".join(f"-p {name}" for name in names)
    said = dict(line.split("=", 1) for line in guest.run(f"systemctl show {properties} {unit}").stdout.split())
    return [said[name] for name in names]


def changes(result: dict) -> list[tuple]:
    """Return what a result says of each item."""
    return [(one["unit"], one["directive"], one["before"], one["after"]) for one in result["items"]]


def test_a_limit_below_what_a_unit_uses_is_refused(guest, role):
    end = time.monotonic() + 60
    while int(group(guest, "large.service", "memory.current")) < 80 * MIB and time.monotonic() < end:
        time.sleep(1)
    status, _result, said = role(units={"large.service": {"MemoryMax": "40M"}})
    assert status != 0
    assert "MemoryMax=40M is below the" in said
    assert "that the unit uses now" in said
    assert group(guest, "large.service", "memory.max") == "max"
    assert "linux_memory_oom" not in guest.run("find /etc/systemd/system").stdout


def test_check_mode_as_a_keyword_of_the_play_changes_nothing(guest):
    wish = {"cgroup_memory_limit_units": {"steady.service": {"MemoryMax": "96M"}}}
    role = {"name": "linux_memory.oom.cgroup_memory_limit"}
    for how in ("import_role", "include_role"):
        tasks = [{f"ansible.builtin.{how}": role}]
        play.run(guest, [{"hosts": "guest", "gather_facts": False, "check_mode": True, "vars": wish, "tasks": tasks}])
    assert group(guest, "steady.service", "memory.max") == "max"
    assert "linux_memory_oom" not in guest.run("find /etc/systemd/system").stdout


def test_limits_are_those_of_the_kernel(guest, role):
    _status, predicted, _said = role("--check", units=LIMITS, restart="if_needed")
    status, result, said = role(units=LIMITS, restart="if_needed")
    assert status == 0, said
    assert changes(predicted) == changes(result)
    assert result["restarted"] == ["steady.service"]
    assert {one["status"] for one in result["items"]} <= {"applied", "not_running"}
    assert group(guest, "steady.service", "memory.max") == str(96 * MIB)
    assert group(guest, "steady.service", "memory.oom.group") == "1"
    (pid,) = show(guest, "steady.service", "MainPID")
    assert guest.run(f"cat /proc/{pid}/oom_score_adj").stdout.strip() == "250"
    _status, again, _said = role(units=LIMITS, restart="if_needed")
    assert not again["changed"]


def test_a_limit_that_was_changed_behind_systemds_back_is_set_again(guest, role):
    guest.run("echo max > /sys/fs/cgroup/system.slice/steady.service/memory.max")
    _status, result, said = role(units=LIMITS)
    assert ("steady.service", "MemoryMax", "infinity", str(96 * MIB)) in changes(result), said
    assert group(guest, "steady.service", "memory.max") == str(96 * MIB)


def test_a_unit_is_killed_at_its_own_limit_and_restarts_in_bounds(guest):
    guest.run("systemctl start eater.service")
    end = time.monotonic() + 120
    while show(guest, "eater.service", "ActiveState") != ["failed"] and time.monotonic() < end:
        time.sleep(1)
    state, restarts = show(guest, "eater.service", "ActiveState", "NRestarts")
    assert state == "failed"
    # Started twice, killed twice; the third start was refused.
    assert restarts in ("1", "2")
    log = guest.run("journalctl --no-pager -b -u eater.service -k; dmesg").stdout
    assert log.count("Memory cgroup out of memory: Killed process") >= 2
    assert "\nOut of memory: " not in log
    # The host was fine, and so was everything else on it.
    assert show(guest, "steady.service", "ActiveState") == ["active"]
    assert show(guest, "large.service", "ActiveState", "NRestarts") == ["active", "0"]


def test_a_reboot_keeps_the_limits(guest, role):
    guest.reboot()
    guest.run("systemctl start steady")
    assert group(guest, "steady.service", "memory.max") == str(96 * MIB)
    status, result, said = role(units=LIMITS)
    assert status == 0, said
    assert not result["changed"]


def test_undo_removes_them(guest, role):
    _status, predicted, _said = role("--check", state="absent", restart="if_needed")
    status, result, said = role(state="absent", restart="if_needed")
    assert status == 0, said
    assert changes(predicted) == changes(result)
    assert [group(guest, "steady.service", name) for name in ("memory.max", "memory.swap.max")] == ["max", "max"]
    (pid,) = show(guest, "steady.service", "MainPID")
    assert guest.run(f"cat /proc/{pid}/oom_score_adj").stdout.strip() == "0"
    assert "linux_memory_oom" not in guest.run("find /etc/systemd/system").stdout
    _status, again, _said = role(state="absent")
    assert not again["changed"]
