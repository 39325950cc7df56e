# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd, the boot loader's menu and the kernel say after the role has run."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))
import recorded

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
REFUSALS = yaml.safe_load((SCENARIO / "refusals.yml").read_text(encoding="utf-8"))


def test_the_next_boot_reserves_once(host):
    lines = host.file("/boot/grub/grub.cfg").content_string.splitlines()
    assert [re.findall(r"crashkernel=\S*", line) for line in lines] == [["crashkernel=512M"], []]
    assert "quiet" in lines[0] and "splash" in lines[0]


def test_kdump_tools_reads_what_was_asked_for(host):
    script = '. /etc/default/kdump-tools; umask; echo "$USE_KDUMP $KDUMP_COREDIR $KDUMP_NUM_DUMPS $MAKEDUMP_ARGS"'
    assert host.check_output(script) == "0077\n1 /srv/crash 2 -l -d 31"


def test_services_are_enabled(host):
    for unit in ("kdump-tools.service", "linux_memory_oom-crash-retention.service"):
        assert host.check_output(f"systemctl is-enabled {unit}") == "enabled"


def test_retention_runs_and_keeps_the_newest(host):
    assert host.run("systemctl start linux_memory_oom-crash-retention").rc == 0
    host.check_output(
        "cd /srv/crash && for day in 1 2 3; do mkdir -p 2026010$day && echo x > 2026010$day/dump.2026010${day}0000;"
        " touch -d 2026-01-0$day 2026010$day; done; systemctl restart linux_memory_oom-crash-retention"
    )
    left = host.check_output("ls /srv/crash")
    host.check_output("rm -r /srv/crash/2026*")
    assert left.split() == ["20260102", "20260103"]


def test_the_directory_of_dumps_is_for_root_alone(host):
    assert host.file("/srv/crash").mode == 0o700


def test_the_panic_waits_for_a_kernel_that_can_be_written_to(host):
    """/proc/sys is read-only in a container without privileges; the file is for a boot, and the answer says so."""
    name = host.check_output("hostname")
    answer = recorded.runs("converge.yml", check=False)[0].answers(name, "linux_memory.oom.vm_sysctl")[-1]
    assert {key: (value["boot"], value["status"]) for key, value in answer["keys"].items()} == {
        "vm.panic_on_oom": ("1", "read_only"),
        "kernel.panic": ("15", "read_only"),
    }
    assert host.check_output("cat /proc/sys/vm/panic_on_oom") == "0"


def test_a_change_costs_two_module_runs_and_nothing_to_do_costs_one(host):
    name = host.check_output("hostname")
    for number, run in enumerate(recorded.runs("converge.yml", check=False)):
        ours = [one for one in run.results if one["host"] == name and one["action"].startswith("linux_memory.oom.")]
        assert len(ours) == (2 if number == 0 else 1)


@pytest.fixture(scope="module")
def refused(host):
    """Return what the role said to each bad wish before anything was set up: {name: message, None where it ran}."""
    return json.loads(host.file("/root/refused.json").content_string)


@pytest.mark.parametrize("asked", REFUSALS, ids=[one["name"] for one in REFUSALS])
def test_what_is_bad_was_refused(refused, asked):
    said = refused[asked["name"]]
    assert said and re.search(asked["says"], " ".join(said.split())), said


def test_refusals_changed_nothing(host):
    assert host.file("/root/refused").content_string == host.file("/root/start").content_string
