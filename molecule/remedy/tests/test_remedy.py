# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was reviewed is in force, an audit says so, and what is refused or not reviewed changes nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import xml.etree.ElementTree

import pytest

ALL = "find /etc /usr/local -path /etc/resolv.conf -prune -o -type f -exec sha256sum {} + | sort"


def playbook(name: str, *words: str) -> tuple[int, str]:
    """Run a playbook of the collection on the hosts; return its exit status and what it said, as one line."""
    done = subprocess.run(
        ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], f"linux_memory.oom.{name}", *words],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
    return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)


def remediate(target: str, **variables) -> tuple[int, str]:
    """Run remediate on a host with other variables than its own."""
    extra = {"target": target, "remediate_watch_seconds": 10, **variables}
    return playbook("remediate", "-e", json.dumps(extra))


def test_the_limit_is_what_systemd_has(host):
    assert host.check_output("systemctl show -P MemoryMax steady.service") == str(96 << 20)


def test_the_next_boot_would_have_the_bytes(host):
    assert "vm.dirty_bytes = 67108864" in host.check_output("/lib/systemd/systemd-sysctl --cat-config")


def test_an_audit_tells_what_is_so_and_notices_a_change(host, name, tmp_path):
    extra = {"target": name, "audit_dest": str(tmp_path), "audit_roles": ["cgroup_memory_limit"]}
    status, said = playbook("audit", "--check", "-e", json.dumps(extra))
    # Where the container has no control groups of its own, an audit says so, and that is no PASS.
    enforced = f"PASS {name}: steady.service MemoryMax is {96 << 20}."
    not_so = f"FAIL {name}: steady.service MemoryMax has to be {96 << 20}: systemd has it, and this host's kernel"
    assert (enforced in said, not_so in said) in ((True, False), (False, True)), said
    assert (status == 0) == (enforced in said)
    host.run_expect([0], "systemctl set-property --runtime steady.service MemoryMax=97M")
    try:
        status, said = playbook("audit", "--check", "-e", json.dumps(extra))
    finally:
        host.run_expect([0], "rm -r /run/systemd/system.control && systemctl daemon-reload")
    assert status != 0
    assert f"FAIL {name}: steady.service MemoryMax is {97 << 20} and has to be {96 << 20}." in said
    told = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert (told["passed"], told["failed"]) == (0, 1)
    (suite,) = xml.etree.ElementTree.parse(tmp_path / "audit.xml").getroot()
    assert (suite.get("name"), suite.get("failures")) == (name, "1")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"linux_memory_oom_reviewed": False, "swap_tuning_swappiness": 1}, "its proposal is not reviewed"),
        ({"linux_memory_oom_roles": ["swap_tuning"], "remediate_roles": ["dirty_throttle"]}, "was asked for"),
    ],
    ids=["not reviewed", "not asked for"],
)
def test_what_is_not_reviewed_or_not_asked_for_is_not_applied(host, name, variables, said):
    before = host.check_output(ALL)
    status, told = remediate(name, **variables)
    assert (status, said in told) == (0, True), told
    assert host.check_output(ALL) == before


def test_a_refusal_is_told_and_what_came_before_it_is_taken_back(host, name):
    before = host.check_output(ALL)
    status, told = remediate(
        name, linux_memory_oom_roles=["swap_tuning", "cgroup_memory_limit"], swap_tuning_swappiness=1,
        cgroup_memory_limit_units={"steady.service": {"MemoryMax": "96M", "MemoryHigh": "1.5X"}},
    )  # fmt: skip
    assert status != 0
    assert f"{name}: cgroup_memory_limit cannot be applied" in told, told
    assert "'1.5X'" in told
    assert ". swap_tuning is taken back." in told
    assert host.check_output(ALL) == before


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"remediate_roles": ["prayer"]}, "remediate_roles is prayer and may hold dirty_throttle"),
        ({"remediate_batch": "0"}, "remediate_batch is 0 and has to be a number of hosts from 1"),
        ({"remediate_watch_seconds": "5"}, "remediate_watch_seconds is 5 and has to be a number from 10 to 3600"),
    ],
    ids=["role", "batch", "seconds"],
)
def test_a_wrong_option_is_refused_before_a_host_is_asked(name, variables, said):
    status, told = remediate(name, **variables)
    assert (status != 0, said in told) == (True, True), told
    assert f"{name} :" not in told.partition("PLAY RECAP")[2]
