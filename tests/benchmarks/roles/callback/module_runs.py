# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Count the modules that ran on each host, and what a play changed: bench_roles.py reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: module_runs
type: aggregate
short_description: count the modules that ran on each host
description:
  - Writes a line of JSON for each module that an action sent to a host, with the role of its task, and one for each
    host at the end.
requirements:
  - E(BENCH_RUNS) names the file.
"""

_original = ActionBase._execute_module


def _counted(self, module_name=None, *arguments, **options):
    """Note the module and run it. The processes that run tasks are forks of this one, so that all of them do this."""
    role = self._task._role
    line = {
        "host": self._connection._play_context.remote_addr and self._templar.available_variables["inventory_hostname"],
        "module": module_name or self._task.action,
        "role": role.get_name() if role else None,
    }
    handle = os.open(os.environ["BENCH_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, (json.dumps(line) + "\n").encode())
    os.close(handle)
    return _original(self, module_name, *arguments, **options)


class CallbackModule(CallbackBase):
    """The end of a play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "module_runs"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        ActionBase._execute_module = _counted

    def v2_playbook_on_stats(self, stats) -> None:
        """Say how each host came off."""
        with Path(os.environ["BENCH_RUNS"]).open("a", encoding="utf-8") as file:
            for host in stats.processed:
                file.write(json.dumps({"end": host, **stats.summarize(host)}) + "\n")
