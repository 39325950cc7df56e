# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The canary is there and goes first; its death, and nothing else, ends what is important, in order."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))
import recorded
from waiting import eventually

MIB = 1024**2
BASE = "linux_memory_oom-oom_canary"
CANARY, DIED = f"{BASE}-important.service", f"{BASE}-important-died.target"
IMPORTANT = "important.service"
TOLD = '/run/told %n $HOME "x" \\t'
# A second run of the role that changes nothing takes nothing of this away.
once = pytest.mark.skipif(len(recorded.runs("converge.yml", check=False)) > 1, reason="shown after the first run")

# Everything as it was after the role, in one command: each costs a while.
ARM = f"""
systemctl stop eater.service 2>/dev/null
systemctl start {IMPORTANT} && systemctl start {CANARY}
for try in $(seq 100); do
    pid=$(systemctl show --property=MainPID --value {CANARY})
    held=$(awk '/^RssAnon/ {{print $2}}' /proc/$pid/status)
    test "${{held:-0}}" -ge {48 * 1024} && break
    sleep 0.1
done
rm -f /run/told*
test "${{held:-0}}" -ge {48 * 1024}
"""
PROGRAM = f"/usr/local/lib/linux_memory_oom/{BASE}.py"


def shown(host, unit, *names):
    said = host.check_output("systemctl show --property=%s -- %s", ",".join(names), unit)
    return dict(line.split("=", 1) for line in said.splitlines())


def state(host):
    """Return what is active: the important service, its canary, and the mark of the canary's death."""
    said = host.check_output("systemctl show --property=ActiveState -- %s %s %s", IMPORTANT, CANARY, DIED)
    return [line.partition("=")[2] for line in said.split()]


def pid(host, unit=CANARY):
    return shown(host, unit, "MainPID")["MainPID"]


def resident(host):
    lines = host.check_output("cat /proc/%s/status", pid(host)).splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


@pytest.fixture(autouse=True)
def armed(host):
    """Begin and end with the service running and its canary in place: a second run of the role finds it so."""
    yield
    host.check_output("sh -c %s", ARM)


def test_the_canary_holds_its_memory_and_goes_first(host):
    assert state(host) == ["active", "active", "inactive"]
    assert 48 * MIB <= resident(host) < 64 * MIB
    assert host.check_output("cat /proc/%s/oom_score_adj", pid(host)) == "1000"
    scores = host.check_output("cat /proc/[0-9]*/oom_score 2>/dev/null; true").split()
    assert int(host.check_output("cat /proc/%s/oom_score", pid(host))) == max(map(int, scores))


@once
def test_the_canary_costs_no_time(host):
    """Ticks of user and kernel time, of which there are a hundred in a second."""
    look = f"cut -d' ' -f14,15 /proc/{pid(host)}/stat"
    before = host.check_output(look)
    time.sleep(1)
    assert host.check_output(look) == before


def test_the_kernel_kills_the_canary_and_the_service_ends_in_order(host):
    before, dead = pid(host), shown(host, CANARY, "ExecMainExitTimestampMonotonic")
    host.check_output("systemd-run --collect --unit=eater /usr/local/bin/eater")
    assert eventually(lambda: state(host) == ["inactive", "failed", "active"]), state(host)
    # Nobody here sends SIGKILL but the kernel.
    said = shown(host, CANARY, "ExecMainStatus", "ExecMainPID", "Result", "ExecMainExitTimestampMonotonic")
    assert (said["ExecMainStatus"], said["ExecMainPID"]) == ("9", before)
    assert said["Result"] in ("signal", "oom-kill")
    assert said["ExecMainExitTimestampMonotonic"] != dead["ExecMainExitTimestampMonotonic"]
    ended = shown(host, IMPORTANT, "Result", "ExecMainCode", "ExecMainStatus")
    assert ended == {"Result": "success", "ExecMainCode": "1", "ExecMainStatus": "0"}
    assert host.check_output("tail -n 1 /var/tmp/data") == "end"
    assert eventually(lambda: host.file(TOLD).exists), "the command did not run, or had other words"
    journal = host.check_output("journalctl --no-pager --output=cat --lines=40 --unit=%s --unit=%s", CANARY, DIED)
    assert "Triggering OnFailure= dependencies" in journal
    assert "was killed, so important.service is stopped in order" in journal


@once
def test_it_is_armed_again_by_the_start_of_the_service(host):
    host.check_output("systemctl kill --signal=KILL %s", CANARY)
    assert eventually(lambda: state(host) == ["inactive", "failed", "active"]), state(host)
    assert host.check_output("tail -n 1 /var/tmp/data") == "end"
    host.check_output("systemctl start important.service")
    assert eventually(lambda: state(host) == ["active", "active", "inactive"]), state(host)
    # And the second death counts as the first did.
    host.check_output("systemctl kill --signal=KILL %s", CANARY)
    assert eventually(lambda: state(host) == ["inactive", "failed", "active"]), state(host)


@once
def test_a_stop_of_the_service_is_no_death(host):
    host.check_output("systemctl stop important.service")
    assert eventually(lambda: state(host) == ["inactive", "inactive", "inactive"]), state(host)
    host.check_output("systemctl start important.service")
    assert eventually(lambda: state(host) == ["active", "active", "inactive"]), state(host)
    host.check_output("systemctl restart important.service")
    assert eventually(lambda: state(host) == ["active", "active", "inactive"]), state(host)
    assert not host.file(TOLD).exists


@once
@pytest.mark.parametrize("signal", ["TERM", "SEGV", "ABRT"])
def test_another_end_of_the_canary_leaves_the_service_alone(host, signal):
    host.check_output("systemctl kill --signal=%s %s", signal, CANARY)
    assert eventually(lambda: state(host)[1] == "inactive"), state(host)
    time.sleep(1)
    assert state(host) == ["active", "inactive", "inactive"]
    assert not host.file(TOLD).exists


@once
def test_a_canary_that_cannot_start_leaves_the_service_alone(host):
    host.check_output("mv %s %s.away", PROGRAM, PROGRAM)
    host.run("systemctl restart %s", CANARY)
    assert eventually(lambda: state(host)[1] != "active"), state(host)
    host.check_output("mv %s.away %s", PROGRAM, PROGRAM)
    time.sleep(1)
    assert state(host) == ["active", "inactive", "inactive"]


def test_a_canary_that_finds_no_room_does_not_arm(host):
    """More than the limit of all of the container: it would be killed while it fills its memory, and call the alarm."""
    done = host.run("python3 -IS %s %s", PROGRAM, str(400 * MIB))
    assert done.rc == 3
    assert done.stdout.startswith(f"<4>not armed: {400 * MIB} bytes are to be held, and ")
    assert int(done.stdout.split()[-3]) < 256 * MIB


def test_the_shield_waits_for_the_next_start(host, name):
    assert shown(host, IMPORTANT, "OOMScoreAdjust") == {"OOMScoreAdjust": "-500"}
    run = recorded.runs("converge.yml", check=False)[0]
    (item,) = run.answers(name, "linux_memory.oom.systemd_dropin")[-1]["items"]
    assert (item["directive"], item["status"], item["kernel"]) == ("OOMScoreAdjust", "needs_restart", "0")


def test_what_was_read_back_is_told(host, name):
    run = recorded.runs("converge.yml", check=False)[0]
    told = run.answers(name, "linux_memory.oom.owned_units")[-1]["processes"]
    assert list(told) == [CANARY]
    assert told[CANARY]["oom_score_adj"] == 1000
    assert told[CANARY]["resident"] >= 48 * MIB


def test_one_module_ran_where_nothing_changed(name):
    assert recorded.modules_of_the_second_run(name) == ["linux_memory.oom.together"]
