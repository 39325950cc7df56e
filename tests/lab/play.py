# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the collection of this checkout against machines of the lab, over SSH, as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import machines
from rootfs import LabError

COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "collections"


def run(one: machines.Machine, plays: list[dict], *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run plays on the machine, which is the host `guest`. Raises LabError where they fail and check is set."""
    with tempfile.TemporaryDirectory() as place:
        inventory, playbook = Path(place) / "inventory.json", Path(place) / "play.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"guest": machines.ansible_host(one)}}}), encoding="utf-8")
        playbook.write_text(json.dumps(plays), encoding="utf-8")
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), *words, str(playbook)],
            capture_output=True,
            text=True,
            check=False,
            cwd=place,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_TIMEOUT": "120"},
        )
    if check and done.returncode:
        raise LabError(f"ansible-playbook failed on {one.image.name}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    return done


def role(one: machines.Machine, name: str, variables: dict, *words: str, check: bool = True):
    """Apply a role of the collection with variables."""
    play = {
        "hosts": "guest",
        "gather_facts": False,
        "vars": variables,
        "roles": [f"linux_memory.oom.{name}"],
    }
    return run(one, [play], *words, check=check)
