# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd and the kernel say of the units after the role has limited them."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2] / "shared"))
import recorded  # noqa: E402 - shared by the scenarios, and no package

MIB = 1024**2
MODULE = "linux_memory.oom.systemd_dropin"
REFUSALS = yaml.safe_load((HERE.parents[1] / "refusals.yml").read_text(encoding="utf-8"))


def show(host, unit: str) -> dict[str, str]:
    """Return the properties of a unit."""
    said = host.check_output("systemctl show %s", unit)
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def answer(host, check: bool = False) -> dict:
    """Return what the module answered in its first run on the host."""
    name = host.check_output("hostname")
    return recorded.runs("converge.yml", check=check)[0].answers(name, MODULE)[0]


def items(host) -> dict[tuple[str, str], dict]:
    """Return the items of the first run by unit and directive."""
    return {(item["unit"], item["directive"]): item for item in answer(host)["items"]}


def memory(host) -> int:
    """Return what a percentage is of: the host's memory."""
    return int(re.search(r"MemTotal: +(\d+)", host.file("/proc/meminfo").content_string)[1]) * 1024


@pytest.mark.parametrize(
    ("unit", "name", "value"),
    [
        ("steady.service", "MemoryMax", 96 * MIB),
        ("steady.service", "MemorySwapMax", 1536 * MIB),
        ("steady.service", "MemoryLow", 8 * MIB),
        ("steady.service", "OOMPolicy", "kill"),
        ("steady.service", "OOMScoreAdjust", 250),
        ("eater.service", "MemoryMax", 64 * MIB),
        ("eater.service", "MemorySwapMax", 0),
        ("flaky.service", "Restart", "on-failure"),
        ("flaky.service", "RestartUSec", "1s"),
        ("flaky.service", "StartLimitIntervalUSec", "1h"),
        ("flaky.service", "StartLimitBurst", 3),
        ("batch.slice", "MemoryMax", 2048 * MIB),
        ("batch.slice", "ManagedOOMMemoryPressure", "kill"),
        ("dbus.socket", "MemoryMax", 32 * MIB),
    ],
)
def test_systemd_has_what_was_asked_for(host, unit, name, value):
    assert show(host, unit)[name] == str(value)


def test_the_pressure_limit_has_the_name_that_this_systemd_knows(host):
    properties = show(host, "batch.slice")
    if "ManagedOOMMemoryPressureLimitPercent" in properties:
        assert properties["ManagedOOMMemoryPressureLimitPercent"] == "60%"
    else:
        assert int(properties["ManagedOOMMemoryPressureLimit"]) / (2**32 - 1) == pytest.approx(0.6, abs=0.001)


@pytest.mark.parametrize("instance", ["one", "two", "three"])
def test_every_instance_of_a_template_is_limited(host, instance):
    # three never ran: systemd reads the drop-in for it as well.
    assert int(show(host, f"worker@{instance}.service")["MemoryMax"]) == pytest.approx(memory(host) * 0.2, abs=MIB)


def test_the_slice_of_each_user_is_limited(host):
    assert int(show(host, "user-4711.slice")["MemoryMax"]) == pytest.approx(memory(host) * 0.125, abs=MIB)


def test_nothing_waits_for_a_reload(host):
    for unit in ("steady.service", "batch.slice", "worker@one.service", "dbus.socket"):
        assert show(host, unit)["NeedDaemonReload"] == "no"


def test_the_score_is_that_of_the_process(host):
    # Only a restart changes it, and if_needed has restarted the unit once.
    pid = show(host, "steady.service")["MainPID"]
    assert host.file(f"/proc/{pid}/oom_score_adj").content_string.strip() == "250"
    first = answer(host)
    assert first["restarted"] == ["steady.service"]
    assert answer(host, check=True)["restarted"] == ["steady.service"]
    assert items(host)["steady.service", "OOMScoreAdjust"]["status"] == "applied"


def test_the_group_has_the_limit_or_the_role_says_that_nothing_limits(host):
    item = items(host)["steady.service", "MemoryMax"]
    group = show(host, "steady.service")["ControlGroup"]
    path = f"/sys/fs/cgroup{group}/memory.max"
    if host.file(path).exists:
        assert item["status"] == "applied"
        assert host.file(path).content_string.strip() == item["kernel"] == str(96 * MIB)
    else:
        assert item["status"] == "not_enforced"
        assert "is not there" in item["reason"]


def test_a_unit_is_killed_at_its_limit(host):
    host.run("systemctl reset-failed eater.service; systemctl start eater.service")
    end = time.monotonic() + 10
    while show(host, "eater.service")["Result"] == "success" and time.monotonic() < end:
        if not host.file(f"/sys/fs/cgroup{show(host, 'eater.service')['ControlGroup']}/memory.max").exists:
            break
        time.sleep(0.5)
    properties = show(host, "eater.service")
    host.run("systemctl stop eater.service")
    if properties["Result"] == "success":
        # No limit of the kernel's here: the role has to have said so.
        assert items(host)["eater.service", "MemoryMax"]["status"] in ("not_enforced", "not_running")
        assert properties["ActiveState"] == "active"
    else:
        assert properties["Result"] == "oom-kill"
    assert host.check_output("systemctl is-active steady.service") == "active"


def test_a_failing_unit_stops_to_restart(host):
    host.run("systemctl reset-failed flaky.service; systemctl start flaky.service")
    end = time.monotonic() + 20
    while show(host, "flaky.service")["ActiveState"] != "failed" and time.monotonic() < end:
        time.sleep(0.5)
    properties = show(host, "flaky.service")
    assert properties["ActiveState"] == "failed"
    # Started as often as StartLimitBurst says, the first time included; the next start was refused.
    assert properties["NRestarts"] in ("2", "3")
    assert "repeated too quickly" in host.check_output("journalctl --no-pager --unit flaky.service")


def test_the_plan_says_what_a_unit_uses_and_what_changes(host):
    (sentence,) = [one for one in answer(host)["plan"] if one.startswith("steady.service ")]
    assert re.search(r" (uses \d|runs, and what it uses is not known)", sentence)
    assert "MemoryMax goes from infinity to 96.0 MiB" in sentence


def test_one_reload_and_one_run_of_a_module(host):
    name = host.check_output("hostname")
    first, second = (
        recorded.runs("converge.yml", check=False)[:2]
        if len(recorded.runs("converge.yml", check=False)) > 1
        else (recorded.runs("converge.yml", check=False)[0], None)
    )
    assert len(first.answers(name, MODULE)) == 1
    assert first.answers(name, MODULE)[0]["reloaded"] is True
    if second is not None:
        assert second.answers(name, MODULE)[0]["reloaded"] is False
        assert second.answers(name, MODULE)[0]["restarted"] == []


@pytest.mark.parametrize("asked", REFUSALS, ids=lambda asked: asked["name"])
def test_bad_input_is_refused(host, asked):
    refused = json.loads(host.file("/root/refused.json").content_string)
    assert refused[asked["name"]] is not None, "it was not refused"
    assert re.search(asked["says"], refused[asked["name"]]), refused[asked["name"]]


def test_bad_input_changed_nothing(host):
    before, after = (host.file(f"/root/{name}").content_string for name in ("before", "after"))
    assert len(before.splitlines()) > 200
    assert before.splitlines() == after.splitlines()
