# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What disks say of themselves: the JSON of smartctl 7, reduced to the keys that are read, and everything else.

The keys and the messages are those of smartmontools (smartctl(8), ataprint.cpp, nvmeprint.cpp, scsiprint.cpp).
"""

from __future__ import annotations

import json
import sys
import time

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import bounded
from ansible_collections.linux_memory.oom.plugins.module_utils import smart as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st


def attribute(number, name, raw, when_failed="", prefailure=False):
    return {
        "id": number,
        "name": name,
        "value": 100,
        "worst": 100,
        "thresh": 5,
        "when_failed": when_failed,
        "flags": {"value": 51, "string": "PO--CK ", "prefailure": prefailure, "updated_online": True},
        "raw": {"value": raw, "string": str(raw)},
    }


def answer(status=0, messages=(), **more):
    said = {
        "json_format_version": [1, 0],
        "smartctl": {"version": [7, 1], "exit_status": status, "messages": list(messages)},
    }
    return json.dumps({**said, **more})


def ata(*table, passed=True, status=0):
    return answer(
        status,
        device={"name": "/dev/sda", "type": "sat", "protocol": "ATA"},
        smart_status={"passed": passed},
        ata_smart_attributes={"revision": 16, "table": list(table)},
        power_on_time={"hours": 65592},
        temperature={"current": 25},
    )


NVME = answer(
    smart_status={"passed": False, "nvme": {"value": 4}},
    nvme_smart_health_information_log={
        "critical_warning": 4, "temperature": 35, "available_spare": 99, "available_spare_threshold": 10,
        "percentage_used": 103, "media_errors": 7, "num_err_log_entries": 62,
    },
    temperature={"current": 35},
    status=8,
)  # fmt: skip


def test_a_disk_that_has_failed_its_own_test():
    found = subject.parse(
        ata(
            attribute(5, "Reallocated_Sector_Ct", 1975, "now", prefailure=True),
            attribute(10, "Spin_Retry_Count", 1, "past", prefailure=True),
            attribute(190, "Airflow_Temperature_Cel", 60, "now"),
            attribute(197, "Current_Pending_Sector", 8),
            attribute(198, "Offline_Uncorrectable", 0),
            passed=False,
            status=216,
        )
    )
    assert found["passed"] is False and found["failing"] == ["Reallocated_Sector_Ct"]
    assert (found["reallocated"], found["pending"], found["uncorrectable"]) == (1975, 8, 0)
    assert (found["power_on_hours"], found["temperature"], found["grown_defects"]) == (65592, 25, None)
    assert found["critical_warning"] is None


def test_a_healthy_disk():
    found = subject.parse(ata(attribute(197, "Current_Pending_Sector", 0)))
    assert (found["passed"], found["failing"], found["pending"]) == (True, [], 0)


@pytest.mark.parametrize(
    ("status", "passed", "failing"),
    [
        (0, True, 0), (4, True, 0), (8, False, 0), (16, True, 1), (32, True, 0), (64, True, 0), (128, True, 0),
    ],
)  # fmt: skip
def test_bits_of_the_exit_status(status, passed, failing):
    found = subject.parse(ata(status=status))
    assert (found["passed"], len(found["failing"])) == (passed, failing)


def test_nvme_and_scsi():
    found = subject.parse(NVME)
    assert (found["passed"], found["critical_warning"], found["percentage_used"]) == (False, 4, 103)
    assert (found["available_spare"], found["available_spare_threshold"], found["media_errors"]) == (99, 10, 7)
    scsi = subject.parse(answer(smart_status={"passed": True}, scsi_grown_defect_list=56))
    assert (scsi["passed"], scsi["grown_defects"]) == (True, 56)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (answer(2, [{"string": "Device is in STANDBY mode, exit(2)", "severity": "information"}]), "asleep"),
        (answer(2, [{"string": "Device is in STANDBY (OS) mode, exit(2)"}]), "asleep"),
        (answer(2, [{"string": "Device is in SLEEP mode, exit(2)"}]), "asleep"),
        (answer(1, [{"string": "/dev/sdx: Unable to detect device type", "severity": "error"}]), "Unable to detect"),
        (answer(2), "status 2"),
        (answer(4), "no SMART data"),
        (answer(0, smart_status={"passed": None}), "no SMART data"),
        ("smartctl 6.6 2017-11-05 r4594\nUNRECOGNIZED OPTION: json\n", "7.0"),
        ("", "7.0"),
        ("[1, 2]", "no SMART data"),
    ],
)
def test_what_says_nothing_of_the_disk(text, words):
    with pytest.raises(ValueError, match=words):
        subject.parse(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "smartctl",
                    "messages",
                    "string",
                    "exit_status",
                    "smart_status",
                    "passed",
                    "table",
                    "id",
                    "raw",
                    "value",
                ]
                + [
                    "ata_smart_attributes",
                    "nvme_smart_health_information_log",
                    "when_failed",
                    "flags",
                    "critical_warning",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON.map(json.dumps) | st.text())
def test_any_answer_is_read_or_refused(text):
    try:
        found = subject.parse(text)
    except ValueError:
        return
    assert found["passed"] in (True, False, None) and isinstance(found["failing"], list)
    assert all(found[key] is None or found[key] >= 0 for key in ("pending", "uncorrectable", "critical_warning"))


@pytest.fixture
def host(monkeypatch):
    """Return a function that reads disks as a host does on which smartctl answers by a function."""

    def read(names, answers, user=0, command="/usr/sbin/smartctl"):
        tree = Tree("/")
        monkeypatch.setattr(subject, "find_command", lambda name: command)
        monkeypatch.setattr(subject.os, "geteuid", lambda: user)
        monkeypatch.setattr(subject, "run", answers)
        return subject.read(tree, names), tree.unavailable

    return read


def test_each_disk_is_asked_without_waking_it(host):
    asked = []
    found, missing = host(["sda", "cciss!c0d0"], lambda command, seconds: asked.append(command) or (0, ata()))
    assert (sorted(found), missing) == (["cciss!c0d0", "sda"], {})
    assert asked[0] == ["/usr/sbin/smartctl", "--json", "-n", "standby", "-H", "-A", "/dev/sda"]
    assert asked[1][-1] == "/dev/cciss/c0d0"


def test_one_disk_that_does_not_answer_does_not_cost_the_others(host):
    def answers(command, _seconds):
        if command[-1] == "/dev/sda":
            raise ValueError("smartctl did not end within 5 seconds")
        return 0, ata()

    found, missing = host(["sda", "sdb"], answers)
    assert (list(found), missing) == (["sdb"], {"storage.smart.sda": "smartctl did not end within 5 seconds"})


def test_a_host_full_of_disks_that_hang_takes_bounded_time(host, monkeypatch):
    clock, waits = [0.0], []
    monkeypatch.setattr(subject.time, "monotonic", lambda: clock[0])

    def answers(_command, seconds):
        waits.append(seconds)
        clock[0] += seconds
        raise ValueError("smartctl did not end")

    found, missing = host(["sd%d" % number for number in range(40)], answers)
    assert found == {} and sum(waits) <= subject.HOST_SECONDS and max(waits) <= subject.DISK_SECONDS
    assert "not asked" in missing["storage.smart.sd39"]


@pytest.mark.parametrize(
    ("given", "words"), [({"user": 1000}, "needs root"), ({"command": None}, "smartctl is not installed")]
)
def test_why_nothing_was_asked(host, given, words):
    found, missing = host(["sda"], None, **given)
    assert (found, list(missing)) == ({}, ["storage.smart"]) and words in missing["storage.smart"]
    assert host([], None, **given) == ({}, {})


def test_another_tree_is_not_asked(tmp_path):
    tree = Tree(str(tmp_path))
    assert (subject.read(tree, ["sda"]), tree.unavailable) == ({}, {})


def test_a_command_that_does_not_end_is_left():
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"did not end within 0\.2 seconds"):
        bounded.run([sys.executable, "-c", "import time; time.sleep(60)"], 0.2)
    assert time.monotonic() - start < 30


def test_a_command_gives_its_status_and_its_output():
    code = "import os, sys; print(os.environ['LC_ALL']); print('x', file=sys.stderr); sys.exit(3)"
    assert bounded.run([sys.executable, "-c", code], 60) == (3, "C\n")
    with pytest.raises(ValueError, match="/does/not/exist"):
        bounded.run(["/does/not/exist"], 1)
