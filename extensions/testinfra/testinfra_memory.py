# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helpers for testinfra: memory settings of a host, for the tests of your own roles and images (docs/verify.md).

testinfra has to reach the host through Ansible, as it does in Molecule.
"""

from __future__ import annotations

import json
from typing import Any


def memory_checks(host: Any, **expected: Any) -> list[dict[str, Any]]:
    """Return a check for each expectation; expected are the options of the module linux_memory.oom.settings_info.

    Raises AssertionError with the module's sentence where an expectation cannot be one.
    """
    answer = host.ansible("linux_memory.oom.settings_info", json.dumps(expected), check=False)
    assert "checks" in answer, answer.get("msg", answer)
    return answer["checks"]


def assert_memory(host: Any, **expected: Any) -> None:
    """Fail with all sentences of what is not as expected."""
    wrong = [check["sentence"] for check in memory_checks(host, **expected) if not check["passed"]]
    assert not wrong, "\n".join(wrong)


def unit_kills(host: Any, unit: str) -> int:
    """Return how many processes of a unit the OOM killer has killed since the unit has started (cgroup v2)."""
    group = host.check_output("systemctl show --property=ControlGroup --value %s", unit)
    told = host.check_output("cat %s", f"/sys/fs/cgroup{group}/memory.events")
    return int(dict(line.split() for line in told.splitlines())["oom_kill"])
