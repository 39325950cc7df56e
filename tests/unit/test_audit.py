# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the audit says of hosts: a sentence for each setting, from what modules answer in check mode."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from ansible_collections.linux_memory.oom.plugins.filter import audit as plugin
from ansible_collections.linux_memory.oom.plugins.plugin_utils import audit
from hypothesis import given
from hypothesis import strategies as st

SYSCTL = {"before": "60", "after": "80", "boot_before": None, "boot": "80", "status": "applied"}
ANSWERS = {
    "a running value that differs": ({"keys": {"vm.swappiness": {**SYSCTL, "boot_before": "80"}}}, [False, True]),
    "a boot value that differs": ({"keys": {"vm.swappiness": {**SYSCTL, "before": "80"}}}, [True, False]),
    "a value that may not be written here": (
        {"keys": {"vm.swappiness": {**SYSCTL, "before": "80", "boot_before": "80", "status": "read_only"}}},
        [False, True],
    ),
    "a limit that is there": (
        {"items": [{"unit": "a.service", "directive": "MemoryMax", "before": 5, "after": 5, "status": "applied"}]},
        [True],
    ),
    "a process with the old score": (
        {"items": [{"unit": "a.service", "directive": "X", "before": 5, "after": 5, "status": "needs_restart"}]},
        [False],
    ),
    "a service that does not run": (
        {"items": [{"unit": "a.service", "directive": "X", "before": 5, "after": 5, "status": "not_running"}]},
        [True],
    ),
    "a setting of kdump": ({"items": [{"name": "loaded", "before": False, "after": True}]}, [False]),
    "a share of a device": (
        {"devices": {"sdb": {"device": "8:16", "max_ratio": {**SYSCTL, "before": "80", "boot_before": "80"}}}},
        [True, True],
    ),
    "a swap file": (
        {"files": [{"path": "/s", "before": {"size": 1, "boot": False}, "after": {"size": 1, "boot": True}}]},
        [True, False],
    ),
    "a unit of ours": (
        {"units": [{"name": "a.timer", "before": {"active": True}, "after": {"active": True}}]},
        [True],
    ),
    "units of systemd_dropin": ({"units": {"a.service": {"id": "a.service"}}}, []),
    "parts of together": (
        {"parts": {"one": {"keys": {"vm.swappiness": SYSCTL}}, "two": {"items": []}}},
        [False, False],
    ),
    "nothing": ({}, []),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_each_setting_has_its_verdict(case):
    answer, expected = ANSWERS[case]
    assert [check.passed for check in audit.checks("web1", "role", answer)] == expected


def test_the_sentences_say_what_is_and_what_has_to_be():
    first, second = audit.checks("web1", "swap_tuning", {"keys": {"vm.swappiness": SYSCTL}})
    assert first.told() == "FAIL web1: vm.swappiness is 60 and has to be 80."
    assert second.told() == "FAIL web1: vm.swappiness at boot is not set and has to be 80."


def test_a_role_that_refuses_has_failed_and_says_why():
    (check,) = audit.checks("web1", "swap_tuning", {}, "300 is not\nfrom 0 to 200.")
    assert check.told() == "FAIL web1: swap_tuning cannot be applied: 300 is not from 0 to 200."


def test_the_filter_counts_and_a_silent_host_has_failed():
    told = plugin.audit({"a": [{"role": "r", "answer": ANSWERS["a limit that is there"][0]}], "b": None, "c": []})
    assert (told["passed"], told["failed"]) == (1, 1)
    assert told["lines"] == ["PASS a: a.service MemoryMax is 5.", "FAIL b: the host could not be asked."]
    assert json.loads(told["json"])["failed"] == 1


texts = st.text(max_size=30)


@given(st.lists(st.builds(audit.Check, host=texts, role=texts, what=texts, passed=st.booleans(), sentence=texts)))
def test_whatever_a_host_says_both_formats_can_be_read_again(found):
    assert len(json.loads(audit.as_json(found))["checks"]) == len(found)
    root = ElementTree.fromstring(audit.as_junit(found))
    assert len(root.findall("./testsuite/testcase")) == len(found)
    failures = sum(int(suite.get("failures")) for suite in root)
    assert failures == len(root.findall(".//failure")) == sum(1 for check in found if not check.passed)
