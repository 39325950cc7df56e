# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd and the kernel say of the units after the role has limited them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2] / "shared"))
import recorded  # noqa: E402 - shared by the scenarios, and no package
from waiting import eventually  # noqa: E402

MIB = 1024**2
MODULE = "linux_memory.oom.systemd_dropin"
REFUSALS = yaml.safe_load((HERE.parents[1] / "vars" / "refusals.yml").read_text(encoding="utf-8"))["refusals"]


def answer(host, check: bool = False) -> dict:
    """Return what the module answered in its first run on the host."""
    return recorded.runs("converge.yml", check=check)[0].answers(host.name, MODULE)[0]


def items(host) -> dict[tuple[str, str], dict]:
    """Return the items of the first run by unit and directive."""
    return {(item["unit"], item["directive"]): item for item in answer(host)["items"]}


def memory(host) -> int:
    """Return what a percentage is of: the host's memory."""
    return int(re.search(r"MemTotal: +(\d+)", host.file("/proc/meminfo"))[1]) * 1024


@pytest.mark.parametrize(
    ("unit", "directive", "value"),
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
def test_systemd_has_what_was_asked_for(host, unit, directive, value):
    assert host.steady(unit)[directive] == str(value)


def test_the_pressure_limit_has_the_name_that_this_systemd_knows(host):
    properties = host.steady("batch.slice")
    if "ManagedOOMMemoryPressureLimitPercent" in properties:
        assert properties["ManagedOOMMemoryPressureLimitPercent"] == "60%"
    else:
        assert int(properties["ManagedOOMMemoryPressureLimit"]) / (2**32 - 1) == pytest.approx(0.6, abs=0.001)


@pytest.mark.parametrize("instance", ["one", "two", "three"])
def test_every_instance_of_a_template_is_limited(host, instance):
    # three never ran: systemd reads the drop-in for it as well.
    assert int(host.steady(f"worker@{instance}.service")["MemoryMax"]) == pytest.approx(memory(host) * 0.2, abs=MIB)


def test_the_slice_of_each_user_is_limited(host):
    assert int(host.steady("user-4711.slice")["MemoryMax"]) == pytest.approx(memory(host) * 0.125, abs=MIB)


def test_nothing_waits_for_a_reload(host):
    for unit in ("steady.service", "batch.slice", "worker@one.service", "dbus.socket"):
        assert host.steady(unit)["NeedDaemonReload"] == "no"


def test_the_score_is_that_of_the_process(host):
    # Only a restart changes it, and if_needed has restarted the unit once.
    pid = host.steady("steady.service")["MainPID"]
    assert host.said(f"cat /proc/{pid}/oom_score_adj") == "250"
    assert answer(host)["restarted"] == answer(host, check=True)["restarted"] == ["steady.service"]
    assert items(host)["steady.service", "OOMScoreAdjust"]["status"] == "applied"


def limit_of(host, unit: str) -> str | None:
    """Return what the kernel has for a unit that runs, on cgroup v2; None where it has nothing."""
    group = host.show(unit)["ControlGroup"]
    done = host.testinfra.run(f"cat '/sys/fs/cgroup{group}/memory.max'")
    return done.stdout.strip() if group and done.succeeded else None


def test_the_group_has_the_limit_or_the_role_says_that_nothing_limits(host):
    item = items(host)["steady.service", "MemoryMax"]
    limit = limit_of(host, "steady.service")
    if limit is None:
        assert item["status"] == "not_enforced"
        assert "is not there" in item["reason"]
    else:
        assert (item["status"], item["kernel"], limit) == ("applied", str(96 * MIB), str(96 * MIB))


def test_a_unit_is_killed_at_its_limit(host):
    host.said("systemctl reset-failed eater.service; systemctl start eater.service")
    enforced = limit_of(host, "eater.service") is not None
    if enforced:
        eventually(lambda: host.show("eater.service")["ActiveState"] != "active")
    properties = host.show("eater.service")
    host.said("systemctl stop eater.service")
    if enforced:
        assert properties["Result"] == "oom-kill"
    else:
        # No limit of the kernel's here: the role has said so, and the unit lives.
        assert items(host)["steady.service", "MemoryMax"]["status"] == "not_enforced"
        assert properties["ActiveState"] == "active"
    assert host.said("systemctl is-active steady.service") == "active"


def test_a_failing_unit_stops_to_restart(host):
    host.said("systemctl reset-failed flaky.service; systemctl start flaky.service || true")
    eventually(lambda: host.show("flaky.service")["ActiveState"] == "failed")
    properties = host.show("flaky.service")
    assert properties["ActiveState"] == "failed"
    # Three starts as StartLimitBurst says; the next one is refused, which some versions count as a restart.
    assert properties["NRestarts"] in ("2", "3")


def test_the_plan_says_what_a_unit_uses_and_what_changes(host):
    (sentence,) = [one for one in answer(host)["plan"] if one.startswith("steady.service ")]
    assert re.search(r" (uses \d|runs, and what it uses is not known)", sentence)
    assert "MemoryMax goes from infinity to 96.0 MiB" in sentence


def test_one_run_of_a_module_and_one_reload(host):
    runs = [one.answers(host.name, MODULE) for one in recorded.runs("converge.yml", check=False)]
    assert [len(answers) for answers in runs] == [1] * len(runs)
    assert [answers[0]["reloaded"] for answers in runs] == [True, *[False] * (len(runs) - 1)]
    assert [answers[0]["restarted"] for answers in runs[1:]] == [[]] * (len(runs) - 1)


@pytest.mark.parametrize("asked", REFUSALS, ids=lambda asked: asked["name"])
def test_bad_input_is_refused(host, asked):
    said = json.loads(host.file("/root/refused.json"))[asked["name"]]
    assert said is not None, "it was not refused"
    assert re.search(asked["says"], said), said


def test_bad_input_changed_nothing(host):
    before, after = (host.file(f"/root/{name}").splitlines() for name in ("before", "after"))
    assert len(before) > 200
    assert before == after
