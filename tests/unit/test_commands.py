# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that end while nobody looks: all that they print is read."""

from __future__ import annotations

import json
import selectors
import time
from pathlib import Path
from unittest import mock

import pytest
from ansible.module_utils import basic
from ansible_collections.linux_memory.oom.plugins.module_utils import commands
from ansible_collections.linux_memory.oom.plugins.module_utils.commands import runner

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@pytest.fixture
def module(tmp_path):
    """Return a module as it runs on a host."""
    text = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_tmpdir": str(tmp_path), "_ansible_remote_tmp": str(tmp_path)}})
    with (
        mock.patch.object(basic, "_ANSIBLE_ARGS", text.encode()),
        mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True),
    ):
        yield basic.AnsibleModule({})


@pytest.fixture
def busy(tmp_path, monkeypatch):
    """Let the first look at the output find nothing and go on only when the command has ended, as on a busy host.

    Returns the shell command that prints.
    """
    born, mark, looks = tmp_path / "born", tmp_path / "looked", []
    look = selectors.PollSelector.select

    def late(self, timeout=None):
        looks.append(timeout)
        if len(looks) > 1:
            return look(self, timeout)
        until(lambda: born.exists() and born.read_text().endswith("\n"))
        mark.touch()
        until(lambda: state(born.read_text().strip()) == "Z")
        return []

    monkeypatch.setattr(selectors.PollSelector, "select", late)
    waiting = f"echo $$ > {born}; until test -e {mark}; do sleep 0.01; done"
    return ["sh", "-c", f"{waiting}; echo said; echo complained >&2; exit 3"]


def until(true) -> None:
    """Wait until something is true."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def state(pid: str) -> str:
    """Return the state of a process (proc_pid_stat(5)): Z where it has ended and nobody has asked for its status."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]


def test_what_a_command_prints_between_two_looks_is_read(module, busy):
    assert runner(module)(busy) == (3, "said\n", "complained\n")


def test_a_command_that_has_closed_its_output_is_not_looked_at_again(module, monkeypatch):
    looks = []
    # However long it takes from one question for the end to the next.
    monkeypatch.setattr(commands, "_BETWEEN_LOOKS", 60)
    look = selectors.PollSelector.select
    monkeypatch.setattr(selectors.PollSelector, "select", lambda *given: looks.append(look(*given)) or looks[-1])
    assert runner(module)(["sh", "-c", "echo said"]) == (0, "said\n", "")
    assert looks[-1], "a look in vain lasts a second"


def test_who_holds_the_output_does_not_keep_the_command_from_its_end(module):
    began = time.monotonic()
    assert runner(module)(["sh", "-c", "sleep 60 & echo said"]) == (0, "said\n", "")
    assert time.monotonic() - began < 30


def test_options_are_handed_on(module):
    run = runner(module)
    assert run(["sh", "-c", 'echo "$WHAT"'], environ_update={"WHAT": "that"}) == (0, "that\n", "")
    assert run(["cat"], data="given") == (0, "given\n", "")


def test_nothing_else_runs_commands_by_itself():
    found = [path.name for path in PLUGINS.rglob("*.py") if ".run_command" in path.read_text(encoding="utf-8")]
    assert found == ["commands.py"]
