# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role panic_on_oom_kdump on a machine with a kernel of its own: out of memory, panic, crash kernel, dump, restart.

One machine, one story in the order of the tests: what the role refuses, what it sets, the restart with the command line
that the guest's own GRUB has, the crash, the dump, and the way back.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"
sys.path[:0] = [str(LAB), str(ROOT / "tests" / "tools")]
import corpus_check  # noqa: E402 - lab and tools are no packages of the collection
import machines  # noqa: E402
import play  # noqa: E402
from ansible_collections.linux_memory.oom.plugins.module_utils import crashkernel  # noqa: E402
from ansible_collections.linux_memory.oom.plugins.plugin_utils.diagnosis import diagnose  # noqa: E402

# The scenario `kernel` has the loop in each make test; here it is in parts, with refusals and the crash on request.
pytestmark = pytest.mark.matrix

IMAGE = machines.tested()
MIB = 1024**2
ROLE = "panic_on_oom_kdump"
# The crash kernel is sized by the role itself, as by default; the scenario `kernel` names a size.
WISHES = {
    "panic_on_oom_kdump_panic_seconds": 10,
    "panic_on_oom_kdump_keep_dumps": 3,
    "panic_on_oom_kdump_packages": False,
    "panic_on_oom_kdump_wait_seconds": 300,
}
# What the role may change, and nothing else of the host.
STATE = (
    "cat /etc/default/kdump-tools /etc/default/grub.d/*.cfg /etc/sysctl.d/*; ls /etc/systemd/system;"
    " systemctl is-enabled kdump-tools || true;"
    " cat /proc/sys/vm/panic_on_oom /proc/sys/kernel/panic; ls /var/crash; true"
)
# Takes memory until there is none. The kernel kills nothing before it panics.
HOG = "nohup python3 -c 'held = []\nwhile True: held.append(bytearray(b\"x\" * (16 << 20)))' >/dev/null 2>&1 &"


class Guest:
    """The machine, and the role run on it."""

    def __init__(self, machine):
        self.machine = machine

    def role(self, *options, **wishes):
        """Run the role and return (status, what it printed)."""
        told = {
            "ansible.builtin.debug": {"msg": "reboot_required={{ panic_on_oom_kdump_reboot_required | default(none) }}"}
        }
        done = play.role(self.machine, ROLE, {**WISHES, **wishes}, "--diff", *options, check=False, then=(told,))
        return done.returncode, done.stdout + done.stderr

    def read(self, command):
        """Return what a command prints."""
        return self.machine.run(command).stdout.strip()


@pytest.fixture(scope="module")
def guest():
    """Return a booted machine with GRUB's tools and kdump-tools, and no memory for a crash kernel."""
    with machines.machine(IMAGE, memory=1536 * MIB) as one:
        yield Guest(one)


@pytest.fixture(scope="module")
def state_before(guest):
    """Return the state of the host before the role first ran."""
    return guest.read(STATE)


BAD = {
    "a reservation that is too small": (
        {"panic_on_oom_kdump_crashkernel": "48M"},
        "48M reserves 48 MiB, and this host's crash kernel needs",
    ),
    "a panic after which the host would stand still": (
        {"panic_on_oom_kdump_panic_seconds": 0},
        "would stand still until somebody comes",
    ),
    "mode 2 with a limited unit": ({"panic_on_oom_kdump_mode": 2}, "limited.service"),
}


@pytest.mark.parametrize("case", BAD)
def test_it_refuses_with_the_numbers_of_this_host(guest, state_before, case):
    guest.machine.run("systemctl is-active -q limited || systemd-run --unit limited -p MemoryMax=64M sleep infinity")
    wishes, reason = BAD[case]
    status, said = guest.role(**wishes)
    assert status and reason in " ".join(said.split()), said
    assert guest.read(STATE) == state_before


def test_it_sets_up_and_says_that_a_restart_is_needed(guest, state_before):
    status, said = guest.role()
    assert status == 0, said
    assert "reboot_required=True" in said
    assert guest.read("cat /proc/sys/vm/panic_on_oom /proc/sys/kernel/panic") == "1\n10"
    # Once, in the menu that the guest's own update-grub has written.
    assert menu_value(guest)


def menu_value(guest):
    """Return the one crashkernel= of the entry that boots by default."""
    (line,) = {
        line for line in guest.read("grep '^[[:space:]]linux' /boot/grub/grub.cfg").splitlines() if "single" not in line
    }
    (word,) = (word for word in line.split() if word.startswith("crashkernel="))
    return word.partition("=")[2]


def test_a_restart_that_is_allowed_sets_memory_aside_and_loads_the_crash_kernel(guest):
    before = guest.machine.boot_id()
    status, said = guest.role(panic_on_oom_kdump_reboot_ok=True, panic_on_oom_kdump_reboot_timeout=900)
    assert status == 0, said
    assert guest.machine.boot_id() not in ("", before)
    assert "reboot_required=False" in said
    reserved = crashkernel.reserves(menu_value(guest), 1536 * MIB)
    assert reserved >= 64 * MIB
    assert guest.read("cat /sys/kernel/kexec_crash_size /sys/kernel/kexec_crash_loaded") == f"{reserved}\n1"
    status, said = guest.role()
    assert status == 0, said
    assert "changed=0" in said, said


def test_out_of_memory_leaves_a_dump_and_the_host_comes_back(guest, tmp_path):
    before = guest.machine.boot_id()
    guest.machine.run(HOG)
    guest.machine.wait_for_other_boot(before)
    dump, log = guest.read("ls -d /var/crash/2*/dump.* /var/crash/2*/dmesg.*").splitlines()[::-1]
    assert dump.rsplit("/", 1)[1].startswith("dump.")
    assert guest.read(f"stat -c '%a %U' {dump} $(dirname {dump})") == "600 root\n700 root"
    assert int(guest.read(f"stat -c %s {dump}")) > MIB
    told = guest.read(f"cat {log}")
    assert "Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled" in told
    # Who asked for memory last may be anybody; who holds it is what the report says.
    (tmp_path / "dmesg").write_text(told, encoding="utf-8")
    verdict = diagnose({}, corpus_check.read(tmp_path / "dmesg")[0])[0]
    assert (verdict["cause"], "python3" in verdict["summary"]) == ("runaway_process", True), verdict["summary"]
    # Ready for the next one.
    assert guest.read("cat /sys/kernel/kexec_crash_loaded") == "1"


def test_a_crash_that_is_asked_for_is_tried_and_its_dump_is_found(guest):
    before, dumps = guest.machine.boot_id(), guest.read("ls -d /var/crash/2*").splitlines()
    status, said = guest.role(panic_on_oom_kdump_test_crash=True, panic_on_oom_kdump_test_crash_timeout=900)
    assert status == 0, said
    assert guest.machine.boot_id() not in ("", before)
    (new,) = set(guest.read("ls -d /var/crash/2*").splitlines()) - set(dumps)
    assert "sysrq: Trigger a crash" in guest.read(f"cat {new}/dmesg.*")


def test_the_crash_kernel_is_disabled_and_its_memory_comes_back(guest):
    total = int(guest.read("awk '/MemTotal/ {print $2}' /proc/meminfo"))
    reserved = int(guest.read("cat /sys/kernel/kexec_crash_size"))
    status, said = guest.role(panic_on_oom_kdump_crash_kernel="disabled")
    assert status == 0, said
    assert guest.read("cat /sys/kernel/kexec_crash_size /sys/kernel/kexec_crash_loaded") == "0\n0"
    assert int(guest.read("awk '/MemTotal/ {print $2}' /proc/meminfo")) - total > reserved // 1024 * 3 // 4
    assert "crashkernel" not in guest.read("cat /boot/grub/grub.cfg")


def test_undo_brings_back_what_was_there(guest, state_before):
    status, said = guest.role(panic_on_oom_kdump_state="absent")
    assert status == 0, said
    dumps = guest.read("ls /var/crash").split()
    now, before = (
        [line for line in text.splitlines() if line not in dumps] for text in (guest.read(STATE), state_before)
    )
    assert now == before
    status, said = guest.role(panic_on_oom_kdump_state="absent")
    assert status == 0 and "changed=0" in said, said
