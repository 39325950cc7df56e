# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the collection of this checkout against machines of the lab, over SSH, as a user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import machines
from rootfs import LabError

COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "collections"
ENVIRONMENT = {
    "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
    "ANSIBLE_LOCALHOST_WARNING": "False",
    "ANSIBLE_PIPELINING": "True",
    # A machine under emulation may take long to answer.
    "ANSIBLE_TIMEOUT": "120",
}

# Generous, in seconds: a run restarts machines in batches, and a role waits for each restart up to 15 minutes.
LONGEST = 2 * 3600


def ansible(one: machines.Machine, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible that knows the machine by the name guest, and return how it ended."""
    return fleet({"guest": one}, program, *words)


def fleet(ones: dict[str, machines.Machine], program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible that knows machines by their names, and return how it ended.

    Raises LabError where it does not end.
    """
    hosts = {name: machines.ansible_host(one) for name, one in ones.items()}
    with tempfile.TemporaryDirectory() as place:
        inventory = Path(place) / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
        try:
            return subprocess.run(
                [str(Path(sys.executable).parent / program), "-i", str(inventory), *words],
                # SSH makes the standard input that it inherits non-blocking, and Ansible refuses such a one.
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                cwd=place,
                env={**os.environ, **ENVIRONMENT},
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired as late:
            printed = (late.stdout or b"").decode(errors="replace")[-4000:]
            consoles = "".join(f"\n{name}:\n{one.told()}" for name, one in ones.items())
            raise LabError(f"{program} did not end within {LONGEST} s:\n{printed}{consoles}") from None


def run(one: machines.Machine, plays: list[dict], *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run plays on the machine. Raises LabError where they fail and check is set."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as playbook:
        json.dump(plays, playbook)
        playbook.flush()
        done = ansible(one, "ansible-playbook", *words, playbook.name)
    if check:
        must(done)
    return done


def must(done: subprocess.CompletedProcess[str]) -> None:
    """Raise LabError with the end of what a playbook said where it failed."""
    if done.returncode:
        raise LabError(f"{' '.join(done.args)}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")


def role(
    one: machines.Machine, name: str, variables: dict, *words: str, check: bool = True, then: tuple[dict, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Apply a role of the collection with variables, and then run further tasks."""
    play = {
        "hosts": "guest",
        "gather_facts": False,
        "vars": variables,
        "tasks": [{"ansible.builtin.import_role": {"name": f"linux_memory.oom.{name}"}}, *then],
    }
    return run(one, [play], *words, check=check)


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """Return how many tasks a run of ansible-playbook changed something with. Raises LabError where it did not end."""
    recap = re.search(r"^guest +: .*\bchanged=([0-9]+)", done.stdout, re.MULTILINE)
    if not recap:
        raise LabError(f"ansible-playbook did not come to its end:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    return int(recap[1])
