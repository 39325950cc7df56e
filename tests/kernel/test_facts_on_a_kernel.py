# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook `diagnose` on a machine with a kernel of its own: what no container shows.

A container shares the kernel of the machine that runs it; here swap, pressure, cgroup limits, a degraded array and a
service that met its limit are real, the host is reached by SSH, and the answer is compared with the host's own tools.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"
sys.path.insert(0, str(LAB))
import machines  # noqa: E402 - the lab is no package of the collection
import play  # noqa: E402
from rootfs import LabError  # noqa: E402

IMAGE = machines.tested()
MIB = 1024**2
SPARE_DISKS = (machines.Disk(256 * MIB), *[machines.Disk(96 * MIB)] * 5)


@pytest.fixture(scope="module")
def guest():
    """Return a booted machine that has one of everything."""
    with machines.machine(IMAGE, disks=SPARE_DISKS) as one:
        one.run((LAB / "furnish.sh").read_text(encoding="utf-8"))
        yield one


@pytest.fixture(scope="module")
def report(guest, tmp_path_factory):
    """Run the playbook on the machine and return (what it printed, the directory of the report)."""
    place = tmp_path_factory.mktemp("report")
    asked = {"sample_seconds": 3, "memory_report_dest": str(place / "reports"), "host_timeout": 600}
    done = play.ansible(guest, "ansible-playbook", "linux_memory.oom.diagnose", "-e", json.dumps(asked))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, place / "reports"


@pytest.fixture(scope="module")
def record(report):
    """Return the JSON record of the machine."""
    (path,) = (report[1] / "hosts").glob("*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_playbook_writes_its_report(report):
    said, place = report
    assert "guest" in said
    assert "greedy.service" in said
    assert (place / "index.html").stat().st_size > 10000
    summary = json.loads((place / "summary.json").read_text(encoding="utf-8"))
    assert [host["status"] for host in summary["hosts"]] == ["ok"]


def test_the_verdict_names_what_is_wrong(record):
    found = {finding["cause"]: finding for finding in record["findings"]}
    assert "greedy.service" in found["cgroup_limit"]["summary"]
    assert "md0" in json.dumps(found["storage_fault"])


def test_nothing_failed_in_the_collection(record):
    assert not [why for why in record["facts"]["unavailable"].values() if "error in this collection" in why]


def test_rates_and_pressure_come_from_the_running_kernel(record):
    facts = record["facts"]
    assert all(value is not None and value >= 0 for value in facts["vmstat"]["rates"].values())
    assert 0 <= facts["pressure"]["memory"]["some"]["share"] <= 1
    assert facts["storage"]["disks"]["vda"]["utilisation"] is not None


def test_memory_is_what_free_says(guest, record):
    said = guest.run("free -b").stdout.splitlines()
    total, _used, _free = map(int, said[1].split()[1:4])
    assert record["facts"]["meminfo"]["mem_total"] == total
    assert record["facts"]["swap"]["total"] == int(said[2].split()[1])
    # The services in the guest hold what they hold: between the two readings only small things move.
    available = int(said[1].split()[6])
    assert abs(record["facts"]["meminfo"]["mem_available"] - available) < 64 * MIB


def test_limits_are_what_the_kernel_has(guest, record):
    groups = {group["unit"]: group for group in record["facts"]["cgroups"]["groups"]}
    for unit in ("greedy.service", "holder.service"):
        said = guest.run(f"cat /sys/fs/cgroup/system.slice/{unit}/memory.max").stdout
        assert groups[unit]["max"] == int(said)
    events = guest.run("cat /sys/fs/cgroup/system.slice/greedy.service/memory.events").stdout
    assert f"oom_kill {groups['greedy.service']['events']['oom_kill']}\n" in events


def test_pss_is_readable_for_root(guest, record):
    (largest,) = [one for one in record["facts"]["processes"]["top"] if one["unit"] == "holder.service"]
    said = guest.run(f"cat /proc/{largest['pid']}/smaps_rollup").stdout
    (pss,) = [int(line.split()[1]) * 1024 for line in said.splitlines() if line.startswith("Pss:")]
    assert abs(largest["pss"] - pss) < 8 * MIB


def test_a_machine_that_cannot_be_made_says_so_in_one_sentence():
    with pytest.raises(LabError, match="image: sarge is not one of"):
        machines.image("sarge")
