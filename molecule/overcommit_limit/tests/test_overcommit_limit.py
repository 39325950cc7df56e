# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host would boot with, what is refused, and that a container's kernel stays as it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))
import recorded

PLATFORMS = yaml.safe_load(Path(os.environ["MOLECULE_FILE"]).read_text(encoding="utf-8"))["platforms"]
FIRST = PLATFORMS[0]["name"]
MODULE = "linux_memory.oom.vm_sysctl"
WISHED = {
    "vm.overcommit_memory": "2", "vm.overcommit_ratio": "900", "vm.admin_reserve_kbytes": "131072",
    "vm.user_reserve_kbytes": "65536",
    "vm.overcommit_kbytes": "0",
}  # fmt: skip
LOOK = "find /etc/sysctl.d -type f -printf '%p %m %s %T@\\n'; sysctl vm.overcommit_memory vm.overcommit_ratio"


def test_the_next_boot_would_be_strict(host, name):
    answer = recorded.runs("converge.yml", check=False)[0].answers(name, MODULE)[-1]
    assert {key: item["boot"] for key, item in answer["keys"].items()} == WISHED
    # The other one of the pair is 0 already.
    stuck = {key for key, item in answer["keys"].items() if item["status"] == "read_only"}
    assert stuck == set(WISHED) - {"vm.overcommit_kbytes"}
    # What reads the file at boot, with its own parser.
    said = host.run("/lib/systemd/systemd-sysctl --cat-config").stdout
    assert {f"{key} = {WISHED[key]}" for key in stuck} <= set(said.splitlines())


def test_the_table_names_the_program_with_what_it_reserves_and_uses(host, name):
    run = recorded.runs("converge.yml", check=False)[0]
    (told,) = (
        one["result"]["msg"] for one in run.results
        if one["host"] == name and one["task"].endswith("Say what programs reserve against what they use")
    )  # fmt: skip
    rows = {line.split()[0]: line for line in told}
    assert {"program", "together", "systemd", "java"} <= set(rows)
    # The kernel's own account of the same: the private writable mappings of the service's process that it charges.
    maps = host.check_output("cat /proc/$(systemctl show -p MainPID --value shop.service)/smaps")
    sizes = [
        int(re.search(r"^Size: +([0-9]+) kB", one, re.MULTILINE)[1])
        for one in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", maps, flags=re.MULTILINE)
        if re.search(r"^VmFlags:.* ac\b", one, re.MULTILINE)
    ]
    reserved = float(rows["java"].split()[2])
    assert rows["java"].split()[3] == "KiB"
    assert reserved == pytest.approx(sum(sizes), rel=0.2)


def test_one_module_ran_where_nothing_changed(name):
    assert recorded.modules_of_the_second_run(name) == [MODULE]


# What is promised on the machine depends on what runs there meanwhile: so many times that is enough, but for a margin.
OF_PROMISED = 3
REFUSED = {
    "a program that needs overcommit": ({"overcommit_limit_ratio": 901}, ["java reserves ", "commits its heap"]),
    "less than is promised": (
        {"overcommit_limit_kbytes": 1, "overcommit_limit_accepted_programs": ["java"]},
        ["overcommit_limit_kbytes is 1, with which ", " are promised already (Committed_AS)", "overcommit_limit_force"],
    ),
    "a margin that is not there": (
        {"overcommit_limit_kbytes": OF_PROMISED, "overcommit_limit_margin_percent": 1000}
        | {"overcommit_limit_accepted_programs": ["java"]},
        ["overcommit_limit_margin_percent"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_host_could_not_live_with_is_refused(host, name, case):
    if name != FIRST:
        pytest.skip("one host is enough: the numbers are judged on the controller")
    variables, words = REFUSED[case]
    if variables.get("overcommit_limit_kbytes") == OF_PROMISED:
        promised = int(host.check_output("awk '/^Committed_AS/ {print $2}' /proc/meminfo"))
        variables = {**variables, "overcommit_limit_kbytes": OF_PROMISED * promised}
    before = host.check_output("sh -c %s", LOOK)
    done = subprocess.run(
        ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", name]
        + ["-e", json.dumps(variables), str(Path(__file__).with_name("refusal.yml"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    # Ansible wraps lines.
    said = " ".join((done.stdout + done.stderr).split())
    assert all(word in said for word in words), said
    assert host.check_output("sh -c %s", LOOK) == before, "something changed"
