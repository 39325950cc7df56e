# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks `investigate` and `collect_dumps` on two machines, in the order in which a person uses them."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"
sys.path[:0] = [str(LAB), str(LAB / "effects")]
import cure  # noqa: E402 - the lab is no package of the collection
import machines  # noqa: E402
import play  # noqa: E402

pytestmark = pytest.mark.matrix

MIB = 1024**2
WISHES = {
    "panic_on_oom_kdump_crashkernel": "256M",
    "panic_on_oom_kdump_packages": False,
    "panic_on_oom_kdump_wait_seconds": 300,
    "panic_on_oom_kdump_reboot_timeout": 900,
}
LEAVE = {"panic_on_oom_kdump_reboot_ok": True}
LOADED = "cat /sys/kernel/kexec_crash_loaded"
HOG = "nohup python3 -c 'held = []\nwhile True: held.append(bytearray(b\"x\" * (16 << 20)))' >/dev/null 2>&1 &"


class Fleet:
    """Two machines, and the playbooks run on both."""

    def __init__(self, **ones):
        self.ones = ones

    def play(self, name, *words, **variables):
        """Run a playbook and return (status, what it printed)."""
        told = json.dumps(variables)
        done = play.fleet(self.ones, "ansible-playbook", f"linux_memory.oom.{name}", *words, "-e", told)
        return done.returncode, done.stdout + done.stderr

    def look(self, **wishes):
        """Run the role on the first machine, with leave to restart it, in a play that has check_mode as a keyword."""
        role = {"ansible.builtin.include_role": {"name": "linux_memory.oom.panic_on_oom_kdump"}}
        told = {"vars": {**WISHES, **LEAVE, **wishes}, "check_mode": True, "gather_facts": False}
        play.run(self.ones["first"], [{"hosts": "guest", **told, "tasks": [role]}])

    def read(self, command):
        """Return what a command prints on each."""
        return {name: one.run(command).stdout.strip() for name, one in self.ones.items()}

    def state(self):
        """Return what the roles may change of each, with the unit running that the snapshot looks at."""
        self.read("systemctl start steady")
        return {name: cure.snapshot(one) for name, one in self.ones.items()}

    def boots(self):
        """Return the name of each machine's boot."""
        return {name: one.boot_id() for name, one in self.ones.items()}


@pytest.fixture(scope="module")
def fleet():
    """Return two booted machines without memory for a crash kernel, with the menu that an installed Debian has."""
    with (
        machines.machine(machines.tested(), memory=1280 * MIB) as first,
        machines.machine(machines.tested(), memory=1280 * MIB) as second,
    ):
        for one in (first, second):
            one.run(cure.STEADY)
        yield Fleet(first=first, second=second)


@pytest.fixture(scope="module")
def state_before(fleet):
    """Return the state of the hosts before the first run."""
    return fleet.state()


@pytest.fixture(scope="module")
def dumps(tmp_path_factory):
    """Return where everything is brought to."""
    return tmp_path_factory.mktemp("collected") / "dumps"


def test_it_is_tried_first_and_changes_nothing(fleet, state_before):
    status, said = fleet.play("investigate", "--check", "--diff", **WISHES)
    assert status == 0, said
    assert "crashkernel=256M" in said
    assert fleet.state() == state_before


def test_check_mode_as_a_keyword_of_the_play_changes_and_restarts_nothing(fleet, state_before):
    boots = fleet.boots()
    fleet.look()
    assert (fleet.boots(), fleet.state()) == (boots, state_before)


def test_one_host_that_refuses_holds_all_of_them_back(fleet, state_before):
    fleet.ones["second"].run("systemd-run --unit limited -p MemoryMax=64M sleep infinity")
    status, said = fleet.play("investigate", panic_on_oom_kdump_mode=2, **WISHES)
    fleet.ones["second"].run("systemctl stop limited")
    assert status and "limited.service" in said, said
    assert fleet.state() == state_before


def test_a_host_that_fails_ends_it_before_the_next_is_changed(fleet, state_before):
    first, second = fleet.ones.values()
    first.run("chattr +i /etc/default/kdump-tools")
    status, said = fleet.play("investigate", **WISHES)
    first.run("chattr -i /etc/default/kdump-tools")
    assert status and "/etc/default/kdump-tools" in said, said
    assert cure.snapshot(second) == state_before["second"]


def test_without_leave_it_names_the_hosts_that_wait_for_a_restart(fleet):
    before = fleet.boots()
    status, said = fleet.play("investigate", investigate_batch=2, **WISHES)
    assert status == 0, said
    assert "first, second need a restart before a crash can be saved" in said
    assert (fleet.boots(), fleet.read(LOADED)) == (before, {"first": "0", "second": "0"})


def test_with_leave_the_hosts_restart_one_after_another_and_wait_for_the_crash(fleet):
    before = fleet.boots()
    status, said = fleet.play("investigate", **WISHES, **LEAVE)
    assert status == 0, said
    assert all(boot not in ("", before[name]) for name, boot in fleet.boots().items())
    assert fleet.read(LOADED) == {"first": "1", "second": "1"}
    began = fleet.read("awk '/^btime/ {print $2}' /proc/stat")
    assert int(began["first"]) < int(began["second"])
    status, said = fleet.play("investigate", **WISHES, **LEAVE)
    assert status == 0 and said.count("changed=0") == 3, said  # localhost is the third


def test_check_mode_as_a_keyword_of_the_play_crashes_nothing(fleet):
    boots = fleet.boots()
    fleet.look(panic_on_oom_kdump_test_crash=True)
    assert fleet.boots() == boots


def test_the_crashes_are_brought_without_their_dumps(fleet, dumps):
    before = fleet.boots()
    for one in fleet.ones.values():
        one.run(HOG)
    for name, one in fleet.ones.items():
        one.wait_for_other_boot(before[name], 1800)
    state = fleet.read("find /var/crash -printf '%p %m %s\\n' | sort")
    status, said = fleet.play("collect_dumps", collect_dumps_dest=str(dumps))
    assert status == 0, said
    for name in fleet.ones:
        kept = [path for path in (dumps / name).rglob("*") if path.is_file()]
        assert sorted(path.name.split(".")[0] for path in kept) == ["crashes", "dmesg"], kept
        record = json.loads((dumps / "report" / "hosts" / f"{name}.json").read_text(encoding="utf-8"))
        assert record["findings"][0]["cause"] == "runaway_process", record["findings"][0]
    assert (dumps / "report" / "index.html").stat().st_size > 10_000
    for path in dumps.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    # It only reads.
    assert fleet.read("find /var/crash -printf '%p %m %s\\n' | sort") == state


def test_a_dump_that_does_not_fit_is_not_begun(fleet, dumps):
    status, said = fleet.play(
        "collect_dumps", collect_dumps_dest=str(dumps), collect_dumps_dump=True, collect_dumps_keep_free=1 << 60
    )
    assert status and "bytes free and" in said, said
    assert not list(dumps.rglob("*dump.*"))


def test_the_dump_is_brought_on_request_and_goes_on_where_it_stopped(fleet, dumps):
    on_host = fleet.read("sha256sum /var/crash/2*/dump.* | tr -s ' '")
    digest, path = on_host["first"].split()
    whole = fleet.ones["first"].run(f"stat -c %s {path}").stdout.strip()
    # What an earlier run had brought when it was interrupted: the first half of the file.
    half = int(whole) // 2 // 65536 * 65536
    folder = dumps / "first" / Path(path).parent.name
    part = folder / f".{Path(path).name}.{digest[:16]}.part"
    taken = subprocess.run(fleet.ones["first"].ssh("head", "-c", str(half), path), capture_output=True, check=True)
    part.write_bytes(taken.stdout)
    status, said = fleet.play("collect_dumps", "-v", collect_dumps_dest=str(dumps), collect_dumps_dump=True)
    assert status == 0, said
    assert f'"resumed_at": {half}' in said
    for name, told in on_host.items():
        digest, path = told.split()
        (brought,) = (dumps / name).rglob("dump.*")
        assert hashlib.sha256(brought.read_bytes()).hexdigest() == digest
        assert stat.S_IMODE(brought.stat().st_mode) == 0o600
    assert not list(dumps.rglob("*.part"))


def test_it_is_all_taken_back(fleet, state_before):
    status, said = fleet.play("investigate", panic_on_oom_kdump_state="absent", **WISHES)
    assert status == 0, said
    assert fleet.state() == state_before
