# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles by their tags: preflight and verify never change a host, verify looks, and nothing is set that is refused.

And the examples: each runs as it is, and uses what its role has.
"""

from __future__ import annotations

import pytest
import roles_without_a_host as hosts

ROLES = {
    "cgroup_memory_limit": {"units": {"a.service": {"MemoryMax": "1G"}}},
    "dirty_throttle": {"bytes": 100000000, "devices": [{"path": "/srv", "max_ratio": 5}]},
    "memory_sizing": {"sampler": {"interval_seconds": 60}},
    "oom_canary": {"canaries": [{"unit": "db.service", "size": "64M"}], "protect": ["db.service"]},
    "overcommit_limit": {"ratio": 80, "admin_reserve_kbytes": 131072},
    "panic_on_oom_kdump": {},
    "swap_tuning": {"swappiness": 10},
}


def play(role, folder, variables=None, **how):
    given = {f"{role}_{name}": value for name, value in (variables or ROLES[role]).items()}
    task = {"name": "Try", "ansible.builtin.import_role": {"name": f"linux_memory.oom.{role}"}, "vars": given}
    plays = [{"name": "Try", "hosts": "all", "gather_facts": False, "tasks": [task]}]
    return hosts.play(folder, plays, **how)


@pytest.mark.parametrize("role", ROLES)
def test_verify_looks_and_changes_nothing(role, tmp_path):
    right = play(role, tmp_path / "right", tags=f"{role}_verify")
    assert (right.status, right.changing()) == (0, []), right.output
    wrong = play(role, tmp_path / "wrong", tags=f"{role}_verify", differs=True)
    assert (wrong.status, wrong.changing()) == (2, []), wrong.output
    assert role in wrong.output
    assert "not as" in wrong.output


@pytest.mark.parametrize("role", ROLES)
def test_preflight_changes_nothing(role, tmp_path):
    done = play(role, tmp_path / "host", tags=f"{role}_preflight", differs=True)
    assert (done.status, done.changing()) == (0, []), done.output


@pytest.mark.parametrize("role", ROLES)
def test_undo_is_verified_in_the_same_way(role, tmp_path):
    done = play(role, tmp_path / "host", {"state": "absent"}, tags=f"{role}_verify", differs=True)
    assert (done.status, done.changing()) == (2, []), done.output


@pytest.mark.parametrize("role", ROLES)
def test_where_nothing_changes_there_is_one_module_run(role, tmp_path):
    done = play(role, tmp_path / "host")
    assert done.status == 0, done.output
    # What memory_sizing is for is a second question.
    assert done.runs() == (2 if role == "memory_sizing" else 1)


@pytest.mark.parametrize("role", ROLES)
def test_a_change_costs_at_most_three_module_runs(role, tmp_path):
    done = play(role, tmp_path / "host", differs=True)
    assert done.status == 0, done.output
    assert done.changing()
    assert done.runs() <= 3


PROMISED = hosts.ANSWERS["memory_facts"]["ansible_facts"]["linux_memory"]
JAVA = {"comm": "java", "processes": 1, "reserved": 3 << 30, "used": 1 << 28}
REFUSED = [
    ("cgroup_memory_limit", {"units": {"a.service": {"Memory": "1G"}}}, {}),
    ("dirty_throttle", {"ratio": 101}, {}),
    ("oom_canary", {"protect": ["db"]}, {}),
    # 7 GiB beside a tenth of 8 GiB that stays, where 4 GiB are available.
    ("oom_canary", {"canaries": [{"unit": "db.service", "size": "7G"}]}, {}),
    (
        "oom_canary",
        {"canaries": [{"unit": "db.service", "size": "1M"}]},
        {"memory_facts": {"ansible_facts": {"linux_memory": {**PROMISED, "oom": {"panic_on_oom": 1}}}}},
    ),
    (
        "oom_canary",
        {"canaries": [{"unit": "db.service", "size": "1M"}]},
        {"memory_facts": {"ansible_facts": {"linux_memory": {**PROMISED, "oom": {"oom_kill_allocating_task": 1}}}}},
    ),
    ("overcommit_limit", {"ratio": 80, "kbytes": 4000000}, {}),
    # 10 % of 8 GiB, where 1 GiB is promised.
    ("overcommit_limit", {"ratio": 10}, {}),
    (
        "overcommit_limit",
        {"ratio": 80},
        {"memory_facts": {"ansible_facts": {"linux_memory": {**PROMISED, "processes": {"by_reserved": [JAVA]}}}}},
    ),
    ("swap_tuning", {"swappiness": 201}, {}),
    (
        "panic_on_oom_kdump",
        {"panic_seconds": 0},
        {"kdump": {**hosts.ANSWERS["kdump"], "loaded": False}},
    ),
    (
        "panic_on_oom_kdump",
        {"panic_seconds": 0, "crash_kernel": "unmanaged"},
        {"memory_facts": {"ansible_facts": {"linux_memory": {"kdump": {"loaded": False}, "cgroups": {}}}}},
    ),
    (
        "panic_on_oom_kdump",
        {"mode": 2},
        {"memory_facts": {"ansible_facts": {"linux_memory": {"cgroups": {"limited": {"count": 1, "paths": ["/a"]}}}}}},
    ),
    (
        "panic_on_oom_kdump",
        {"mode": 2},
        {"memory_facts": {"ansible_facts": {"linux_memory": {"cgroups": {"limited": {"count": 0, "units": ["a"]}}}}}},
    ),
]


@pytest.mark.parametrize("tag", ["", "preflight", "apply"])
@pytest.mark.parametrize(("role", "variables", "answers"), REFUSED)
def test_what_preflight_refuses_is_not_applied_by_any_tag(role, variables, answers, tag, tmp_path):
    tags = f"{role}_{tag}" if tag else ""
    done = play(role, tmp_path / "host", variables, tags=tags, answers=answers, differs=True)
    assert (done.status, done.changing()) == (2, []), done.output


@pytest.mark.parametrize("role", ROLES)
def test_the_example_runs_as_it_is(role, tmp_path):
    done = hosts.play(tmp_path / "host", hosts.ROOT / "examples" / f"{role}.yml", differs=True)
    assert done.status == 0, done.output
    assert done.changing()


def test_a_restart_at_a_time_has_a_random_delay_and_one_after_a_time_has_a_restart(tmp_path):
    restarts = [
        {"unit": "a.service", "calendar": "daily"},
        {"unit": "b.service", "calendar": "daily", "random_delay": "5min"},
        {"unit": "c.service", "runtime_max": "7d", "restart": "always"},
    ]
    done = play("swap_tuning", tmp_path / "host", {"restarts": restarts})
    (asked,) = (arguments for name, _check, arguments, _run in done.calls if name == "owned_units")
    delays = {one["path"].split("-")[-1]: one["content"] for one in asked["files"] if one["path"].endswith(".timer")}
    assert "\nRandomizedDelaySec=1h\n" in delays["a.timer"]
    assert "\nRandomizedDelaySec=5min\n" in delays["b.timer"]
    (drop_in,) = (one["content"] for one in asked["files"] if one["path"].endswith(".conf"))
    assert "RuntimeMaxSec=7d\nRestart=always" in drop_in
    assert asked["need_restart"] == ["c.service"]
