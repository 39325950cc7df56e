# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook `remediate` on hosts one of which gets worse: it takes back there what it applied, and goes no further.

Both names of the inventory are one machine: what the second would have got is seen there too. The tests build on each
other, in their order.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
import machines  # noqa: E402 - the lab is no package of the collection
import play  # noqa: E402

IMAGE = machines.tested()
MIB = 1024**2
# A unit to be limited, and one that the kernel kills again and again: by the counters of the host nobody is to blame.
UNITS = {
    "steady": "[Service]\nExecStart=/bin/sleep infinity\n",
    "dying": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nMemoryMax=16M\nMemorySwapMax=0\nRestart=always\n"
    "RestartSec=1\nExecStart=/usr/bin/python3 -c 'held = bytearray(1 << 26)'\n",
}
REVIEWED = {
    "linux_memory_oom_reviewed": True,
    "linux_memory_oom_roles": ["cgroup_memory_limit"],
    "cgroup_memory_limit_units": {"steady.service": {"MemoryMax": "64M"}},
    "remediate_watch_seconds": 20,
}


@pytest.fixture(scope="module")
def guest():
    """Return a booted machine with the units."""
    with machines.machine(IMAGE, memory=512 * MIB) as one:
        for name, text in UNITS.items():
            one.run(f"cat >/etc/systemd/system/{name}.service <<'END'\n{text}END\n")
        one.run("systemctl daemon-reload; systemctl start steady")
        yield one


@pytest.fixture(scope="module")
def second(guest, tmp_path_factory):
    """Return an inventory in which the machine has another name too."""
    path = tmp_path_factory.mktemp("inventory") / "second.json"
    path.write_text(json.dumps({"all": {"hosts": {"second": machines.ansible_host(guest)}}}), encoding="utf-8")
    return path


def remediate(guest, second) -> tuple[int, str]:
    """Run the playbook, one host after the other, and return its exit status and what it said, as one line."""
    words = ("linux_memory.oom.remediate", "-i", str(second), "-e", json.dumps(REVIEWED))
    done = play.ansible(guest, "ansible-playbook", *words)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def limit(guest) -> str:
    """Return what the kernel has for the unit."""
    return guest.run("cat /sys/fs/cgroup/system.slice/steady.service/memory.max").stdout.strip()


def kills(guest) -> int:
    """Return how many processes the OOM killer has killed since boot."""
    return int(guest.run("awk '/^oom_kill / {print $2}' /proc/vmstat").stdout)


def test_where_a_host_gets_worse_all_is_taken_back_and_no_other_is_touched(guest, second):
    guest.run("systemctl start dying")
    before = kills(guest)
    status, said = remediate(guest, second)
    guest.run("systemctl stop dying; systemctl reset-failed")
    assert kills(guest) > before, "nothing was killed: the test has shown nothing"
    assert status != 0
    assert re.search("guest is worse off than before: The OOM killer has killed .+ outside of the limited units", said)
    assert "cgroup_memory_limit was taken back, and no further batch of hosts is touched." in said
    assert "[second]" not in said.partition("PLAY [Apply it, batch by batch]")[2].partition("PLAY RECAP")[0]
    assert limit(guest) == "max"
    assert guest.run("find /etc /var/lib -name '*linux_memory_oom*'").stdout == ""


def test_where_none_gets_worse_all_have_it(guest, second):
    status, said = remediate(guest, second)
    assert status == 0, said
    assert "guest: cgroup_memory_limit is applied, and the host is not worse off after 20 s." in said
    assert "second: nothing has to be changed." in said
    assert limit(guest) == str(64 * MIB)
