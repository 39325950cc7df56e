# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles of this collection on a host that is none: each module notes how it was called, and touches nothing.

The roles are the real ones, in a copy of the collection whose modules answer what a host would that is as wished, or
one that is not. What a role asks, in which order, and what it makes of the answers is seen; what a module does is not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]

# What each module answers beside changed and differs, as far as the roles read it.
ANSWERS = {
    "bdi_limits": {"devices": {"sda": {}}},
    "kdump": {"loaded": True, "reserved": 1, "reboot_required": False, "crashkernel": "1M", "dumps": [], "items": []},
    "memory_facts": {
        "ansible_facts": {
            "linux_memory": {
                "cgroups": {},
                "kdump": {"loaded": True},
                "oom": {"panic_on_oom": 0, "oom_kill_allocating_task": 0},
                "meminfo": {"mem_total": 8 << 30, "swap_total": 0, "mem_available": 4 << 30},
                "overcommit": {"mode": 0, "committed": 1 << 30, "commit_limit": 4 << 30, "admin_reserve": 8 << 20},
                "processes": {"by_reserved": []},
                "system": {"page_size": 4096},
            }
        }
    },
    "memory_sizing_info": {"sizing": {}, "applications": [], "sentences": ["This host needs nothing."]},
    "owned_units": {
        "files": [],
        "units": [],
        "processes": {},
        "missing": [],
        "brought": False,
        "package_manager": "apt",
    },  # fmt: skip
    "swap_file": {"files": []},
    "systemd_dropin": {"items": [], "plan": [], "reloaded": False, "restarted": []},
    "vm_sysctl": {"agents": [], "file": "/none"},
}
MODULE = """\
#!/usr/bin/python
import json
import os
from ansible.module_utils.basic import AnsibleModule
import ansible.module_utils.basic as basic

NAME, ANSWERS, CALLS, DIFFERS = {settings!r}
arguments = {{key: value for key, value in basic._load_params().items() if not key.startswith("_ansible")}}
module = AnsibleModule({{key: {{"type": "raw"}} for key in arguments}}, supports_check_mode=True)


def answer(name, given):
    with open(CALLS, "a") as file:
        file.write(json.dumps([name, bool(module.check_mode), given, os.getpid()]) + "\\n")
    said = dict(ANSWERS[name])
    if name == "vm_sysctl":
        wished = given.get("settings") or {{}}
        said["keys"] = {{key: {{"after": str(value), "status": "applied"}} for key, value in wished.items()}}
    if name == "systemd_dropin":
        said["units"] = {{unit: {{}} for unit in given.get("units") or {{}}}}
    if name not in ("memory_facts", "memory_sizing_info"):
        said.update(changed=DIFFERS, differs=DIFFERS, diff={{"before": "", "after": ""}})
    return said


if NAME == "together":
    parts = {{one["name"]: answer(one["module"], one["options"]) for one in arguments["parts"]}}
    module.exit_json(changed=DIFFERS, differs=DIFFERS, diff=[], parts=parts)
module.exit_json(**answer(NAME, arguments))
"""


@dataclass
class Played:
    """What a run did: its exit status, what it printed, and each call of a module, alone or as a part of together:
    (name, check mode, arguments, the run that it was part of)."""

    status: int
    output: str
    calls: list[tuple[str, bool, dict, int]]

    def runs(self) -> int:
        """Return how many modules ran on the host."""
        return len({run for _name, _check, _arguments, run in self.calls})

    def changing(self) -> list[str]:
        """Return the modules that were called to change the host."""
        return [name for name, check, _arguments, _run in self.calls if not check and name != "memory_facts"]


def collection(folder: Path, calls: Path, answers: dict, *, differs: bool) -> Path:
    """Make the copy; return the directory for Ansible's path of collections."""
    copy = folder / "collections" / "ansible_collections" / "linux_memory" / "oom"
    modules = copy / "plugins" / "modules"
    modules.mkdir(parents=True)
    for name in ("galaxy.yml", "meta", "roles"):
        (copy / name).symlink_to(ROOT / name)
    for path in (ROOT / "plugins").iterdir():
        if path.name != "modules":
            (copy / "plugins" / path.name).symlink_to(path)
    for name in [*ANSWERS, "together"]:
        text = MODULE.format(settings=(name, {**ANSWERS, **answers}, str(calls), differs))
        (modules / f"{name}.py").write_text(text, encoding="utf-8")
    return folder / "collections"


def play(folder: Path, plays: list | Path, *, tags: str = "", differs: bool = False, answers: dict | None = None):
    """Play on the host that is none. plays: a playbook, or its plays."""
    folder.mkdir(exist_ok=True)
    calls = folder / "calls.jsonl"
    path = collection(folder, calls, answers or {}, differs=differs)
    if not isinstance(plays, Path):
        (folder / "play.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
        plays = folder / "play.yml"
    (folder / "ansible.cfg").touch()
    (folder / "hosts.yml").write_text("all: {hosts: {none: {ansible_connection: local}}}\n", encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(path),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder / "hosts.yml"), str(plays)]
    command += ["-e", json.dumps({"ansible_become": False, "ansible_python_interpreter": sys.executable})]
    command += ["--tags", tags] if tags else []
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    lines = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    return Played(done.returncode, done.stdout + done.stderr, [tuple(json.loads(line)) for line in lines])
