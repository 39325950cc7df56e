# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd and the kernel say after the role: its timers run, its watch tells, and swap is refused honestly."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))
import recorded
from waiting import eventually

BASE = "linux_memory_oom-swap_tuning"
NEVER = {"ExecMainExitTimestampMonotonic": "0"}


def shown(host, unit, *names):
    said = host.check_output("systemctl show --property=%s -- %s", ",".join(names), unit)
    return dict(line.split("=", 1) for line in said.splitlines())


@pytest.mark.parametrize("timer", [f"{BASE}-restart-leaky.timer", f"{BASE}-watch.timer"])
def test_timers_wait_and_come_back_at_boot(host, timer):
    assert shown(host, timer, "ActiveState", "UnitFileState", "NeedDaemonReload") == {
        "ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no",
    }  # fmt: skip


def test_the_restart_has_its_time_and_its_delay(host):
    said = shown(host, f"{BASE}-restart-leaky.timer", "TimersCalendar", "RandomizedDelayUSec")
    assert "OnCalendar=*-*-* 03:00:00" in said["TimersCalendar"]
    assert said["RandomizedDelayUSec"] == "30min"


def test_the_restart_restarts(host):
    before = shown(host, "leaky.service", "MainPID")
    host.check_output(f"systemctl start {BASE}-restart-leaky.service")
    after = shown(host, "leaky.service", "MainPID", "ActiveState")
    assert after["ActiveState"] == "active"
    assert after["MainPID"] not in ("0", before["MainPID"])


def test_a_service_that_was_stopped_stays_stopped(host):
    host.check_output("systemctl stop leaky.service")
    host.check_output(f"systemctl start {BASE}-restart-leaky.service")
    assert shown(host, "leaky.service", "ActiveState") == {"ActiveState": "inactive"}
    host.check_output("systemctl start leaky.service")


def test_the_running_service_has_its_longest_time(host):
    said = shown(host, "growing.service", "RuntimeMaxUSec", "Restart", "ActiveState")
    assert said == {"RuntimeMaxUSec": "1w", "Restart": "on-failure", "ActiveState": "active"}


def test_the_watch_ran_and_left_its_state_for_root_only(host):
    watch = f"{BASE}-watch.service"
    # The first run comes a second after its timer, and takes what a busy machine takes.
    ended = eventually(lambda: shown(host, watch, "ExecMainExitTimestampMonotonic") != NEVER)
    assert ended, "the watch has never run"
    said = shown(host, watch, "Result", "ExecMainStatus")
    assert (said["Result"], said["ExecMainStatus"]) == ("success", "0")
    state = json.loads(host.check_output(f"cat /run/{BASE}/watch.json"))
    assert state["last"]["time"] > 0
    modes = host.check_output(
        f"stat -c %a%U /run/{BASE} /usr/local/lib/linux_memory_oom/{BASE}-watch.py"
        f" /etc/linux_memory_oom/{BASE}-watch.json"
    )
    assert modes.split() == ["700root", "700root", "600root"]


def test_the_watch_alarms_once_and_runs_its_command(host):
    """The program that is installed, with a limit that is crossed at once: 0 MiB/s are read back at any time."""
    host.check_output("rm -f /run/alarmed /run/try.json")
    program = f"/usr/local/lib/linux_memory_oom/{BASE}-watch.py"
    settings = {
        "used_percent": None, "swap_in_mib": 0, "for_seconds": 0, "clear_percent": 80, "state": "/run/try.json",
        "command": ["/bin/sh", "-c", 'echo "$SWAP_WATCH_LIMIT: $SWAP_WATCH_MESSAGE" > /run/alarmed'],
    }  # fmt: skip
    host.check_output("printf %s %s > /run/try-settings.json", "%s", json.dumps(settings))
    # The first look knows no rate yet.
    assert host.check_output(f"python3 {program} /run/try-settings.json") == ""
    said = host.check_output(f"python3 {program} /run/try-settings.json")
    assert said.startswith("<4>swap-in is ")
    assert "MiB of memory available" in said
    assert host.check_output("cat /run/alarmed") == "swap_in: " + said.removeprefix("<4>")
    assert host.check_output(f"python3 {program} /run/try-settings.json") == ""


def test_swap_is_refused_where_the_kernel_refuses_it(host, name):
    for check in (True, False):
        for run in recorded.runs("converge.yml", check=check):
            for answer in run.answers(name, "linux_memory.oom.swap_file"):
                (one,) = answer["files"]
                assert (one["path"], one["status"], answer["changed"]) == ("/swapfile", "not_permitted", False)
                assert one["before"] == one["after"]
    assert not host.file("/swapfile").exists
    assert host.run("grep -q linux_memory.oom /etc/fstab").rc != 0
    assert host.run("ls -A / | grep linux_memory").rc != 0


def test_the_settings_are_in_the_file_for_boot(host, name):
    run = recorded.runs("converge.yml", check=False)[0]
    answer = run.answers(name, "linux_memory.oom.vm_sysctl")[-1]
    assert {key: item["boot"] for key, item in answer["keys"].items()} == {
        "vm.swappiness": "80",
        "vm.page-cluster": "0",
    }
    assert {item["status"] for item in answer["keys"].values()} == {"read_only"}


def test_one_module_ran_where_nothing_changed(name):
    assert recorded.modules_of_the_second_run(name) == ["linux_memory.oom.together"]
