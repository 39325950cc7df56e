# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a finding proposes is what the role takes: its variables, by the role's own argument_specs."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.linux_memory.oom.plugins.plugin_utils.causes import limits, programs, storage
from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import CAUSES
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import Task

MIB = 1024**2


def options(checkout, role):
    """Return the options of a role as Ansible's own validator takes them."""
    path = checkout / "roles" / role / "meta" / "argument_specs.yml"
    if not path.exists():
        pytest.skip(f"this version does not carry the role {role} yet")
    return yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]


class Some:
    """A state of which only some parts are asked for."""

    def __init__(self, **parts):
        self.__dict__.update(parts)


SHOP = Task(name="shop", pid=7, unit="shop.service", size=900 * MIB)
GROWING = Some(swap=Some(growth=20000.0, total=MIB), memory=Some(total=1024 * MIB), tasks=[SHOP])
WRITING = Some(writeback=Some(write_rate=30.0 * MIB, limit=None))
PROPOSED = {
    "dirty bytes": ("dirty_throttle", storage.throttle_settings(WRITING)),
    "growth": ("swap_tuning", programs.growth_settings(GROWING)),
    "growth in reports": ("swap_tuning", programs.restart_in_time(SHOP, 86400.0, [300 * MIB, 900 * MIB])[0]),
    "a limit with swap": ("cgroup_memory_limit", limits.unit_limits("shop.service", 512 * MIB, MIB)),
    "a limit without swap": (
        "cgroup_memory_limit",
        limits.unit_limits("a.service", 64 * MIB, 0),
    ),
}


@pytest.mark.parametrize("name", PROPOSED)
def test_the_role_takes_what_is_proposed(checkout, name):
    role, settings = PROPOSED[name]
    spec = options(checkout, role)
    assert settings
    assert set(settings) <= set(spec)
    result = ArgumentSpecValidator(spec).validate(settings)
    assert not result.error_messages


def test_every_role_that_a_cause_names_is_one_of_the_design():
    assert {cause.role for cause in CAUSES.values() if cause.role} <= {
        "cgroup_memory_limit",
        "dirty_throttle",
        "memory_sizing",
        "overcommit_limit",
        "panic_on_oom_kdump",
        "swap_tuning",
    }


def test_a_restart_comes_before_the_service_is_as_large_as_it_was():
    settings, why = programs.restart_in_time(SHOP, 86400.0, [300 * MIB, 900 * MIB])
    (restart,) = settings["swap_tuning_restarts"]
    # 600 MiB in a day: 900 MiB in a day and a half, of which half is 18 hours.
    assert restart == {"unit": "shop.service", "runtime_max": "64800s", "restart": "always"}
    assert re.search(r"25 MiB an hour.*900 MiB after", why[0])


def test_what_grows_in_minutes_is_not_restarted_for_ever():
    settings, why = programs.restart_in_time(SHOP, 600.0, [300 * MIB, 900 * MIB])
    assert settings == {}
    assert "MemoryMax" in why[0]


def test_no_restart_for_what_is_no_service():
    assert programs.restart_in_time(Task(name="x", pid=1, unit="session-1.scope", size=1), 600.0, [1, 9]) is None


def test_no_throttling_for_ever_on_a_host_without_swap():
    units = limits.unit_limits("a.service", 64 * MIB, 0)["cgroup_memory_limit_units"]
    assert units == {"a.service": {"MemoryMax": 64 * MIB}}
