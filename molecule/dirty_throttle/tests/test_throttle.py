# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role has set, asked of systemd, of the kernel, and of the programs that read the files."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "shared"))
import recorded  # noqa: E402 - beside the scenarios

ASKED = yaml.safe_load((HERE.parent / "refusals.yml").read_text(encoding="utf-8"))
SETTINGS = {
    "vm.dirty_bytes": "100000000",
    "vm.dirty_ratio": "0",
    "vm.dirty_background_bytes": "25000000",
    "vm.dirty_background_ratio": "0",
    "vm.dirty_expire_centisecs": "750",
    "vm.dirty_writeback_centisecs": "200",
}
OURS = "/etc/sysctl.d/99-linux_memory_oom-dirty_throttle.conf"


@pytest.fixture
def answers(name):
    """Return what the module answered in the first run in earnest."""
    return lambda module: recorded.runs("converge.yml", check=False)[0].answers(name, f"linux_memory.oom.{module}")


def test_the_kernels_settings_are_as_the_module_says(host, answers):
    keys = answers("vm_sysctl")[-1]["keys"]
    assert {name: item["boot"] for name, item in keys.items()} == SETTINGS
    for name, item in keys.items():
        assert item["after"] == host.check_output(f"sysctl -n {name}")
        # /proc/sys is read-only in these containers, which the module has to find out and to say.
        agrees = item["after"] == SETTINGS[name]
        assert item["status"] == ("applied" if agrees else "read_only")
        assert item["before"] == item["after"]
    assert "read_only" in {item["status"] for item in keys.values()}
    assert host.run("sysctl -w vm.dirty_ratio=10").rc != 0


def test_a_boot_would_set_what_was_asked_for(host):
    # The later file makes the role take a later name; systemd-sysctl says in which order it reads.
    told = host.check_output("/lib/systemd/systemd-sysctl --cat-config")
    places = [told.index(f"# {path}\n") for path in ("/etc/sysctl.d/95-late.conf", OURS)]
    assert places == sorted(places)
    ours = told[places[1] :]
    for name in ("dirty_bytes", "dirty_background_bytes", "dirty_expire_centisecs", "dirty_writeback_centisecs"):
        assert f"\nvm.{name} = {SETTINGS['vm.' + name]}\n" in f"{ours}\n"
    assert not re.search(r"^vm\.dirty\w*_ratio", ours, re.MULTILINE)


def disks(answers):
    """Return the disks below /srv; skip the test where this machine has none that can be found."""
    units = answers("systemd_dropin")[-1]["units"]
    if not units:
        pytest.skip("the file system of this machine lies on no disk that can be found")
    return units["backup.service"]["disks"]["/srv"]


def test_units_have_one_line_for_each_disk(host, answers):
    found = disks(answers)
    assert found
    for unit, name, amount in (
        ("backup.service", "IOWriteBandwidthMax", "20000000"),
        ("backup.service", "IOWriteIOPSMax", "500"),
        ("user.slice", "IOWriteBandwidthMax", "50000000"),
    ):
        told = host.check_output(f"systemctl show --property={name} {unit}").partition("=")[2]
        assert told.split() == [word for disk in found for word in (f"/dev/{disk}", amount)]
    assert host.check_output("systemctl show --property=NeedDaemonReload --value backup.service") == "no"
    assert host.service("backup.service").is_running


def test_udev_takes_the_rule_and_the_share_is_as_the_module_says(host, answers):
    devices = answers("bdi_limits")[-1]["devices"]
    if not devices:
        pytest.skip("the file system of this machine lies on no disk that can be found")
    assert list(devices) == disks(answers)
    for disk, item in devices.items():
        share = item["max_ratio"]
        assert share["boot"] == "20"
        assert share["after"] == host.check_output(f"cat /sys/class/bdi/{item['device']}/max_ratio")
        assert share["status"] == ("applied" if share["after"] == "20" else "read_only")
        told = host.run(f"udevadm test --action=add /sys/class/block/{disk} 2>&1").stdout
        rules = "99-linux_memory_oom-dirty_throttle.rules"
        assert rules in told
        assert not re.search(rf"{rules}:\d+ (?:Invalid|Unknown|Failed to parse)", told)


def test_one_module_ran_where_nothing_changed(name):
    assert recorded.modules_of_the_second_run(name) == ["linux_memory.oom.together"]


@pytest.mark.parametrize("asked", [play["vars"] for play in ASKED], ids=lambda asked: asked["asked"].replace(" ", "-"))
def test_what_cannot_be_right_was_refused_in_one_sentence(host, asked):
    refused = json.loads(host.file("/var/tmp/refused.json").content_string)["refused"][asked["asked"]]
    assert refused, "it was not refused"
    assert re.search(asked["says"], refused), refused
    # Ansible's own check of the arguments puts its sentence into a second line.
    assert "\n" not in refused.strip().replace("Validation of arguments failed:\n", "")


def test_what_was_refused_changed_nothing(host):
    kept = json.loads(host.file("/var/tmp/refused.json").content_string)
    assert len(kept["before"]) > 100
    assert kept["before"] == kept["after"]
    assert len(kept["refused"]) == len(ASKED) >= 10
