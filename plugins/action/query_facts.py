# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action of linux_memory.oom.query_facts: asks the facts of all hosts of a play one question, on the controller."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.linux_memory.oom.plugins.plugin_utils import files, human, play, query

OPTIONS = {
    "query": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "output": {"type": "str", "default": "table"},
    "dest": {"type": "path"},
    "file_mode": {"type": "str", "default": "0600"},
    "check_options": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Answers a JMESPath expression from the facts that the hosts of a play have."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Return the answer. Raises AnsibleActionFail with one sentence."""
        result = super().run(tmp, task_vars)
        _spec, options = self.validate_argument_spec(OPTIONS)
        try:
            query.compiled(options["query"])
            query.render([], options["output"])
            permissions = files.mode(options["file_mode"], "file_mode")
            if options["check_options"]:
                return result
            answer = query.search(list(asked(task_vars, options["hosts"])), options["query"])
            text = query.render(answer, options["output"])
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        if options["dest"]:
            result.update(self._write(text, options["dest"], permissions))
        Display().display(f"\n{human.printable(text, keep_lines=True)}\n")
        result["answer"] = answer
        return result

    def _write(self, text, dest, permissions):
        path = Path(os.path.expanduser(dest)).absolute()
        try:
            before = path.read_text("utf-8") if path.is_file() else None
            if before != text + "\n" and not self._task.check_mode:
                files.write(path, text + "\n", permissions)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it holds something that is no text"
            raise AnsibleActionFail(f"dest: {path} cannot be written: {reason}") from None
        return {"changed": before != text + "\n", "path": str(path)}


def asked(task_vars, hosts):
    """Yield {host, ...facts} of every host that has facts, in the order given."""
    for host in hosts:
        facts = play.memory_facts(play.variables(task_vars, host))
        if facts:
            yield {"host": str(host), **facts}
