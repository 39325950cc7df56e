# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write down what each task of each run of a scenario answered; recorded.py reads it."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from ansible import context
from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: recorder
type: notification
short_description: write down what each task of a scenario answered
description:
  - Adds one line of JSON for each playbook, and one for each result of each task, to C(recorded.jsonl) in Molecule's
    directory of the run.
requirements:
  - E(MOLECULE_EPHEMERAL_DIRECTORY) is set.
"""


class CallbackModule(CallbackBase):
    """One line for each result; a loop's items are lines of their own."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "recorded.jsonl"
        # A playbook may start another one and go on after it.
        self.run = secrets.token_hex(8)

    def _write(self, entry: dict) -> None:
        entry["run"] = self.run
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, cls=AnsibleJSONEncoder, sort_keys=True) + "\n")

    def _record(self, result, status: str) -> None:
        # Names of ansible-core 2.19 and of those before.
        host, task, answer = (
            getattr(result, name, None) or getattr(result, f"_{name}") for name in ("host", "task", "result")
        )
        if "results" in answer and task.loop is not None:
            return
        label = answer.get("_ansible_item_label", answer.get("item"))
        kept = {key: value for key, value in answer.items() if key != "invocation" and not key.startswith("_ansible")}
        self._write(
            {"host": host.get_name(), "task": task.get_name(), "item": label, "status": status, "result": kept}
            | {"check": bool(task.check_mode), "action": task.action}
        )

    def v2_playbook_on_start(self, playbook) -> None:
        """Begin a run."""
        name = Path(playbook._file_name).name
        self._write({"playbook": name, "check": bool(context.CLIARGS.get("check"))})

    def v2_runner_on_ok(self, result) -> None:
        """Record a task's answer."""
        self._record(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:
        """Record a failure."""
        self._record(result, "ignored" if ignore_errors else "failed")

    def v2_runner_item_on_ok(self, result) -> None:
        """Record the answer for one item of a loop."""
        self._record(result, "ok")

    def v2_runner_item_on_failed(self, result) -> None:
        """Record the failure of one item of a loop."""
        self._record(result, "failed")
