# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same failures, on the same machine, before the roles and after them."""

from __future__ import annotations

MIB = 1024**2


def kills(seen: dict) -> int:
    """Return how many tasks the OOM killer ended meanwhile."""
    return seen["seen"][-1]["kills"] - seen["seen"][0]["kills"]


def peak(seen: dict) -> int:
    """Return how many bytes waited to be written at most."""
    return max(look["dirty"] + look["writeback"] for look in seen["seen"])


def causes(told: dict) -> list[str]:
    """Return the causes that diagnose found, the verdict first."""
    return [finding["cause"] for finding in told["findings"]]


def process(told: dict) -> str:
    """Return which process the verdict names; that of another boot has another PID."""
    return told["findings"][0]["summary"].split(" (PID ")[0]


def test_less_waits_to_be_written(before, after):
    # The limit is 16 MiB, and a little more is under way at any time.
    assert peak(before["seen"]["dirty"]) > 64 * MIB
    assert peak(after["seen"]["dirty"]) < 24 * MIB


def test_the_leak_kills_nobody(before, after):
    assert kills(before["seen"]["leak"]) > 0
    assert kills(after["seen"]["leak"]) == 0
    assert after["seen"]["leak"]["restarts"]["leaky"] >= 2


def test_the_burst_is_killed_within_its_own_unit(before, after):
    assert kills(before["seen"]["burst"]) > 0
    scopes = {report["scope"] for report in before["reports"]}
    assert "global" in scopes
    # The machine panics when it is out of memory now: it is still there because it was not.
    assert kills(after["seen"]["burst"]) > 0
    assert {report["scope"] for report in after["reports"]} == {"cgroup"}
    assert all(report["cgroup"].endswith("/bursty.service") for report in after["reports"])


def test_the_servers_beside_it_answer_all_requests(after):
    seen = after["seen"]["burst"]
    assert seen["asked"] > 20
    assert (seen["lost"], seen["survived"]) == (0, {"first": True, "second": True})


def test_a_limit_that_was_met_is_the_verdict(after):
    assert causes(after)[0] == "cgroup_limit"


def test_the_saved_log_tells_what_the_live_report_told(before, crash):
    assert crash["crash"]["report"]["panicked"]
    assert causes(before)[0] == causes(crash)[0] == "runaway_process"
    assert "hog.service" in before["findings"][0]["summary"]
    # A panic comes before a victim is chosen, and the log has no task's unit without one.
    assert process(before) == process(crash) == "The process python3"


def test_the_dump_itself_tells_what_the_live_report_told(before, crash, dump):
    assert crash["crash"]["log"] is not None
    read = dump["crash"]
    assert (read["form"], read["source"], read["log"]) == ("flattened", "dmesg", None)
    assert not read["incomplete"]
    assert read["report"]["panicked"]
    assert causes(before)[0] == causes(dump)[0] == "runaway_process"
    assert process(before) == process(dump) == "The process python3"
    # It is the same crash.
    assert dump["findings"] == crash["findings"]


def test_the_dump_is_for_root_only(host):
    (dump,) = host.check_output("find /var/crash -name 'dump.*'").split()
    file = host.file(dump)
    assert (file.user, file.mode) == ("root", 0o600)
    assert file.size > MIB
