# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role `overcommit_limit` on a machine with a kernel of its own, where strict accounting really refuses.

The tests build on each other, in their order: refused preflight, strict, a greedy program, restart, undo.
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

pytestmark = pytest.mark.matrix

IMAGE = machines.tested()
MIB = 1024**2
NAMES = ("memory", "ratio", "kbytes")
ROLE = {
    "overcommit_limit_ratio": 90,
    "overcommit_limit_admin_reserve_kbytes": 16384,
    "overcommit_limit_user_reserve_kbytes": 16384,
}
# Asks for all of RAM at once, then a MiB at a time, and says how each request ended. It never touches what it gets.
GREEDY = """
import errno, json, mmap
def ask(size):
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), None
    except OSError as error:
        return None, errno.errorcode[error.errno]
total = int(open("/proc/meminfo").readline().split()[1]) * 1024
held, why = [], None
at_once = ask(total)[1]
while why is None and len(held) < 100000:
    got, why = ask(1 << 20)
    held.append(got)
print(json.dumps({"at_once": at_once, "last": why, "got": len(held) - 1}))
"""
# Reserves 256 MiB and uses none of it, under a name that needs overcommit.
HOLD = "import mmap, time; held = mmap.mmap(-1, 1 << 28, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); time.sleep(1e6)"
SPARSE = f"""
mkdir -p /opt/shop
cp /usr/bin/python3 /opt/shop/java
cat >/etc/systemd/system/shop.service <<'END'
[Service]
Environment=PYTHONHOME=/usr
ExecStart=/opt/shop/java -c '{HOLD}'
END
systemctl daemon-reload
systemctl start shop.service
"""


class Guest:
    """The machine, and what asks it."""

    def __init__(self, machine):
        self.machine = machine
        self.first = self.values()

    def said(self, script):
        """Return what a shell script prints."""
        return self.machine.run(script).stdout

    def values(self):
        """Return the mode, both settings and both reserves of the kernel."""
        names = [f"vm.overcommit_{name}" for name in NAMES] + ["vm.admin_reserve_kbytes", "vm.user_reserve_kbytes"]
        return self.said(f"sysctl -n {' '.join(names)}").split()

    def meminfo(self):
        """Return /proc/meminfo in bytes."""
        lines = (line.split() for line in self.said("cat /proc/meminfo").splitlines())
        return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}

    def kills(self):
        """Return how often the OOM killer has killed."""
        return int(self.said("awk '/^oom_kill /{print $2}' /proc/vmstat"))

    def role(self, **variables):
        """Run the role; return how it ended."""
        return play.role(self.machine, "overcommit_limit", {**ROLE, **variables}, check=False)


@pytest.fixture(scope="module")
def guest():
    """Return a booted machine with a program that reserves much and uses little."""
    with machines.machine(IMAGE) as one:
        one.run(SPARSE)
        yield Guest(one)


def told(done):
    """Return what Ansible printed, on one line: it wraps."""
    return " ".join((done.stdout + done.stderr).split())


def test_a_program_that_needs_overcommit_is_refused_with_its_numbers(guest):
    done = guest.role()
    assert done.returncode == 2, told(done)
    # 256 MiB, and what this Python takes for itself.
    assert re.search(r"java reserves 2[56]\d MiB and uses \d\.\d MiB", told(done)), told(done)
    assert "commits its heap piece by piece" in told(done)
    assert guest.values() == guest.first


def test_a_limit_below_what_is_promised_is_refused(guest):
    done = guest.role(overcommit_limit_accepted_programs=["java"], overcommit_limit_ratio=1)
    assert done.returncode == 2, told(done)
    assert "are promised already (Committed_AS)" in told(done)
    assert guest.values() == guest.first


def test_the_limit_is_what_the_role_computed(guest):
    done = guest.role(overcommit_limit_accepted_programs=["java"])
    assert play.changed(done) == 1, told(done)
    assert guest.values() == ["2", "90", "0", "16384", "16384"]
    memory = guest.meminfo()
    pages = (memory["MemTotal"] - memory.get("Hugetlb", 0)) // 4096
    assert memory["CommitLimit"] == pages * 90 // 100 * 4096 // 1024 * 1024 + memory["SwapTotal"]
    assert play.changed(guest.role(overcommit_limit_accepted_programs=["java"])) == 0


def test_a_greedy_program_is_refused_early_and_nobody_is_killed(guest):
    before, room = guest.kills(), guest.meminfo()
    answer = json.loads(guest.said(f"runuser -u nobody -- python3 - <<'END'\n{GREEDY}END\n"))
    assert answer["at_once"] == "ENOMEM"
    assert answer["last"] == "ENOMEM"
    left = (room["CommitLimit"] - room["Committed_AS"]) // MIB
    # What is kept for root and for the user, and the program itself.
    assert left - 96 <= answer["got"] <= left
    assert guest.kills() == before
    assert guest.said("systemctl is-active shop.service").strip() == "active"
    assert guest.said("dmesg | grep -c 'Out of memory' || true").strip() == "0"


def test_it_is_strict_after_a_restart(guest):
    guest.machine.reboot()
    assert guest.values() == ["2", "90", "0", "16384", "16384"]
    guest.said("systemctl start shop.service")
    assert play.changed(guest.role()) == 0, "what runs already is not judged again"


def test_undo_gives_back_what_was_before(guest):
    assert play.changed(guest.role(overcommit_limit_state="absent")) == 1
    assert guest.values() == guest.first
    assert guest.said("find /etc -name '*linux_memory*'") == ""
    answer = json.loads(guest.said(f"runuser -u nobody -- timeout 60 python3 - <<'END'\n{GREEDY}END\n"))
    assert answer["got"] * MIB > guest.meminfo()["MemTotal"], "still strict"
    assert play.changed(guest.role(overcommit_limit_state="absent")) == 0
