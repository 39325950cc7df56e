# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles refuse without asking a host: one sentence that names the option, the value and what is allowed.

Each case is a host of an inventory, so that one run of a role tries all of its cases. Their Python interpreter does not
exist: a role that sent a module to a host would fail with another message, so that nothing can have been changed. What
needs a host to be refused is tried in the scenarios, with a look at the host before and after.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# What Ansible itself says of a variable that argument_specs.yml does not allow.
VALIDATION = "Validation of arguments failed:\n"

# role: (variables without the role's name, what the message names: option, value, what is allowed).
CASES = {
    "memory_sizing": [
        ({"state": "gone"}, ["state", "gone", "present, absent"]),
        ({"source": "guess"}, ["source", "guess", "auto, sampler, pcp, sysstat, atop, none"]),
        ({"days": 0}, ["days", "is 0", "1 to 366"]),
        ({"days": "long"}, ["days", "long", "int"]),
        ({"headroom_percent": 201}, ["headroom_percent", "201", "0 to 200"]),
        ({"horizon_days": -1}, ["horizon_days", "-1", "0 to 3650"]),
        ({"sampler": {"interval_seconds": 5}}, ["sampler", "interval_seconds 5", "10 to 86400"]),
        ({"sampler": {"most_bytes": 1}}, ["sampler", "most_bytes 1", "65536 to 1073741824"]),
        ({"sampler": {"units": 201}}, ["sampler", "units 201", "0 to 200"]),
        ({"sampler": {"often": True}}, ["sampler", "often"]),
    ],
    "dirty_throttle": [
        ({}, ["state", "present", "at least one setting, limit or device"]),
        ({"state": "gone", "ratio": 5}, ["state", "gone", "present, absent"]),
        ({"bytes": 100000000, "ratio": 10}, ["bytes and dirty_throttle_ratio", "100000000 and 10", "only one"]),
        ({"background_bytes": 5, "background_ratio": 1}, ["background_bytes and", "5 and 1", "only one"]),
        ({"ratio": 101}, ["ratio", "101", "1 to 100"]),
        ({"ratio": 0}, ["ratio", "is 0", "1 to 100"]),
        ({"ratio": "much"}, ["ratio", "much", "int"]),
        ({"background_ratio": 101}, ["background_ratio", "101", "0 to 100"]),
        ({"bytes": 4096}, ["bytes", "4096", "at least 8192"]),
        ({"background_bytes": 0}, ["background_bytes", "is 0", "at least 1"]),
        ({"bytes": 9000, "background_bytes": 9000}, ["background_bytes", "9000", "below dirty_throttle_bytes, 9000"]),
        ({"ratio": 5, "background_ratio": 6}, ["background_ratio", "is 6", "below dirty_throttle_ratio, 5"]),
        ({"expire_seconds": -1}, ["expire_seconds", "-1", "0 to 86400"]),
        ({"writeback_seconds": 90000}, ["writeback_seconds", "90000", "0 to 86400"]),
        ({"writeback_seconds": 0}, ["writeback_seconds", "is 0", "dirty_throttle_force"]),
        ({"on_override": "perhaps", "ratio": 5}, ["on_override", "perhaps", "fail, rename, warn"]),
        ({"limits": [{"unit": "a.service", "path": "/srv"}]}, ["limits", "a.service", "none of write_bandwidth"]),
        ({"limits": [{"path": "/srv", "write_iops": 5}]}, ["limits", "unit", "required"]),
        (
            {"limits": [{"unit": "a.service", "path": "srv", "write_iops": 5}]},
            ["limits", "path srv", "not absolute"],
        ),
        (
            {"limits": [{"unit": "a.service", "path": "/srv", "read_bandwidth": "fast"}]},
            ["limits", "fast", "positive number of bytes, or one with K, M, G or T"],
        ),
        ({"limits": [{"unit": "a.service", "path": "/", "write_iops": 0}]}, ["limits", "is 0", "at least 1"]),
        ({"devices": [{"path": "srv", "max_ratio": 5}]}, ["devices", "path srv", "not absolute"]),
        ({"devices": [{"path": "/srv"}]}, ["devices", "/srv", "max_ratio nor strict_limit"]),
        ({"devices": [{"path": "/srv", "max_ratio": 101}]}, ["devices", "101", "1 to 100"]),
    ],
    "cgroup_memory_limit": [
        ({}, ["units", "{}", "needs a unit"]),
        ({"state": "gone"}, ["state", "gone", "present, absent"]),
        ({"units": ["a.service"]}, ["units", "type list", "dict"]),
        ({"units": {"a.service": 512}}, ["units: a.service", "512", "a dictionary of directives"]),
        ({"units": {"a.service": None}}, ["units: a.service", "null", "a dictionary of directives"]),
        ({"units": {"a.service": {"MemoryMaximum": "1G"}}}, ["units", "MemoryMaximum", "which knows MemoryMax"]),
        ({"others": "all"}, ["others", "all", "keep, remove"]),
        ({"restart": "soon"}, ["restart", "soon", "never, if_needed, always"]),
        ({"restarts_per_hour": "few"}, ["restarts_per_hour", "few", "int"]),
        ({"restarts_per_hour": 0}, ["restarts_per_hour", "is 0", "at least 1"]),
        ({"missing_units": "ignore"}, ["missing_units", "ignore", "fail, allow"]),
        ({"unknown_directives": "ignore"}, ["unknown_directives", "ignore", "fail, skip"]),
        ({"force": "perhaps"}, ["force", "perhaps", "Valid booleans"]),
    ],
    "oom_canary": [
        ({}, ["canaries is []", "protect is []", "needs an entry"]),
        ({"state": "gone"}, ["state", "gone", "present, absent"]),
        ({"canaries": [{"unit": "db", "size": "9M"}]}, ["canaries: unit db", "such as db.service"]),
        ({"canaries": [{"unit": "db@.service", "size": "9M"}]}, ["canaries", "db@.service", "such as db@one.service"]),
        ({"canaries": [{"unit": "db.socket", "size": "9M"}]}, ["canaries", "db.socket", "service or a target"]),
        ({"canaries": [{"size": "9M"}]}, ["canaries", "unit", "required"]),
        ({"canaries": [{"unit": "db.service", "size": "much"}]}, ["size much of db.service", "at least 1M"]),
        ({"canaries": [{"unit": "db.service", "size": "1000K"}]}, ["size 1000K of db.service", "at least 1M"]),
        ({"canaries": [{"unit": "a.service", "size": "9M"}] * 2}, ["canaries", "a.service", "more than one canary"]),
        ({"canaries": [{"unit": "a.service", "size": "9M", "stops": []}]}, ["a.service", "neither stops nor"]),
        (
            {"canaries": [{"unit": "a.service", "size": "9M", "stops": ["a.service", "b"]}]},
            ["stops of a.service", "b,", "full name"],
        ),
        ({"canaries": [{"unit": "a.service", "size": "9M", "slice": "app"}]}, ["slice app", "such as app.slice"]),
        ({"canaries": [{"unit": "a.service", "size": "9M", "command": ["ls"]}]}, ["command", "ls", "absolute path"]),
        (
            {"canaries": [{"unit": "a.service", "size": "9M", "command": ["/bin/x", "a\nExecStart=/bin/y"]}]},
            ["command of a.service", "more than one line"],
        ),
        ({"protect": ["db"]}, ["protect", "db", "such as db.service"]),
        ({"protect": [f"s{number}.service" for number in range(6)]}, ["protect has 6 units", "protect_at_most, 5"]),
        ({"protect": ["a.service"], "protect_score": -1000}, ["protect_score", "-1000", "-999 to -1", "force"]),
        ({"protect": ["a.service"], "protect_score": 5}, ["protect_score", "is 5", "-999 to -1"]),
        ({"protect": ["a.service"], "protect_at_most": -1}, ["protect_at_most", "-1", "0 or more"]),
        ({"protect": ["a.service"], "margin_percent": 101}, ["margin_percent", "101", "0 to 100"]),
        ({"protect": ["a.service"], "restart": "always"}, ["restart", "always", "never, if_needed"]),
        ({"protect": ["a.service"], "force": "perhaps"}, ["force", "perhaps", "Valid booleans"]),
    ],
    "overcommit_limit": [
        ({}, ["mode", "is 2", "either overcommit_limit_ratio or overcommit_limit_kbytes"]),
        ({"state": "gone"}, ["state", "gone", "present, absent"]),
        ({"mode": 3}, ["mode", "3", "0, 1, 2"]),
        ({"ratio": 80, "kbytes": 900000}, ["ratio and overcommit_limit_kbytes", "80 and 900000", "only one"]),
        ({"mode": 0, "ratio": 80}, ["ratio", "80", "only where overcommit_limit_mode is 2, which is 0"]),
        ({"mode": 1, "kbytes": 9}, ["kbytes", "9", "only where overcommit_limit_mode is 2, which is 1"]),
        ({"ratio": 0}, ["ratio", "is 0", "1 to 1000"]),
        ({"ratio": 1001}, ["ratio", "1001", "1 to 1000"]),
        ({"ratio": "half"}, ["ratio", "half", "int"]),
        ({"kbytes": 0}, ["kbytes", "is 0", "takes 1 to"]),
        ({"ratio": 80, "user_reserve_kbytes": -1}, ["user_reserve_kbytes", "-1", "takes 0 to"]),
        ({"ratio": 80, "admin_reserve_kbytes": -5}, ["admin_reserve_kbytes", "-5", "takes 0 to"]),
        ({"ratio": 80, "margin_percent": 1001}, ["margin_percent", "1001", "0 to 1000"]),
        ({"ratio": 80, "accepted_programs": {"java": 1}}, ["accepted_programs", "dict", "list"]),
        ({"ratio": 80, "on_override": "perhaps"}, ["on_override", "perhaps", "fail, rename, warn"]),
        ({"ratio": 80, "force": "perhaps"}, ["force", "perhaps", "Valid booleans"]),
    ],
    "swap_tuning": [
        ({"state": "gone"}, ["state", "gone", "present, absent"]),
        ({"swappiness": 201}, ["swappiness", "201", "0 to 200"]),
        ({"swappiness": "some"}, ["swappiness", "some", "int"]),
        ({"page_cluster": 11}, ["page_cluster", "11", "0 to 10"]),
        ({"files": [{"path": "/a", "size": "1G"}] * 2}, ["files", "/a", "twice"]),
        ({"files": [{"size": "1G"}]}, ["files", "path", "required"]),
        ({"files": [{"path": "/a", "discard": "some"}]}, ["discard", "some", "none, once, pages, both"]),
        ({"on_refusal": "cry"}, ["on_refusal", "cry", "fail, skip"]),
        ({"restarts": [{"unit": "leaky", "calendar": "daily"}]}, ["restarts", "leaky", "such as leaky.service"]),
        ({"restarts": [{"unit": "a.service"}]}, ["restarts", "a.service", "either calendar or runtime_max"]),
        (
            {"restarts": [{"unit": "a.service", "runtime_max": "infinity"}]},
            ["restarts", "runtime_max infinity", "never ends it"],
        ),
        ({"watch": {"for_seconds": 5}}, ["watch", "without a limit", "used_percent or swap_in_mib"]),
        ({"watch": {"used_percent": 101}}, ["watch", "101", "1 to 100"]),
        ({"watch": {"used_percent": 5, "interval_seconds": 1}}, ["watch", "interval_seconds 1", "10 to 3600"]),
        ({"zram": {"priority": 40000}}, ["zram", "40000", "0 to 32767"]),
        ({"zram": {"size": "$(reboot)"}}, ["zram", "$(reboot)", "numbers, ram, min() and max()"]),
        ({"zram": {"algorithm": "Z std"}}, ["zram", "Z std", "small letters"]),
    ],
    "panic_on_oom_kdump": [
        ({"state": "gone"}, ["state", "gone", "present, absent"]),
        ({"mode": 3}, ["mode", "3", "0, 1, 2"]),
        ({"panic_seconds": -5}, ["panic_seconds", "-5", "-1, 0 or seconds"]),
        ({"panic_seconds": "soon"}, ["panic_seconds", "soon", "int"]),
        ({"reboot_timeout": 0}, ["reboot_timeout", "0", "at least 1"]),
        ({"test_crash_timeout": -1}, ["test_crash_timeout", "-1", "at least 1"]),
        ({"on_override": "perhaps"}, ["on_override", "perhaps", "fail, rename, warn"]),
        ({"crash_kernel": "maybe"}, ["crash_kernel", "maybe", "configured"]),
        ({"target": "tape"}, ["target", "tape", "local, device, nfs, ssh"]),
        ({"compression": "rar"}, ["compression", "rar", "zlib"]),
        ({"boot_loader": "lilo"}, ["boot_loader", "lilo", "auto, grub, grubby, none"]),
        ({"keep_dumps": "few"}, ["keep_dumps", "few", "int"]),
        ({"reboot_ok": "perhaps"}, ["reboot_ok", "perhaps", "Valid booleans"]),
    ],
}  # fmt: skip


def play(role: str, folder: Path) -> dict[str, str]:
    """Run the role for each of its cases and return what each was told."""
    hosts = {}
    for number, (variables, _says) in enumerate(CASES[role]):
        own = {f"{role}_{name}": value for name, value in variables.items()}
        hosts[f"case{number}"] = {
            **own,
            "ansible_connection": "local",
            "ansible_python_interpreter": "/nowhere/python3",
        }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
    task = {"name": "Try", "ansible.builtin.import_role": {"name": f"linux_memory.oom.{role}"}}
    plays = [{"name": "Try", "hosts": "all", "gather_facts": False, "tasks": [task]}]
    (folder / "play.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
    (folder / "ansible.cfg").touch()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "molecule" / "shared" / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "recorder",
        "MOLECULE_EPHEMERAL_DIRECTORY": str(folder),
    }
    program = str(Path(sys.executable).parent / "ansible-playbook")
    command = [program, "-i", str(folder / "hosts.yml"), "--check", "--forks", "4", str(folder / "play.yml")]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [json.loads(line) for line in (folder / "recorded.jsonl").read_text(encoding="utf-8").splitlines()]
    return {line["host"]: line["result"].get("msg", "") for line in lines if line.get("status") == "failed"}


@pytest.mark.parametrize("role", CASES)
def test_each_refusal_names_option_value_and_what_is_allowed(role, tmp_path):
    told = play(role, tmp_path)
    assert len(CASES[role]) >= 10
    wrong = []
    for number, (variables, says) in enumerate(CASES[role]):
        message = told.get(f"case{number}", "nothing was refused")
        sentence = message.replace(VALIDATION, "").strip()
        named = role in message or any(name in message for name in variables)
        several = VALIDATION not in message and re.search(r"\. [A-Z]", sentence)
        if not named or not all(word in sentence for word in says) or "\n" in sentence or several:
            wrong.append(f"{variables}: {message!r} does not name {says} in one sentence")
    assert not wrong, "\n".join(wrong)
