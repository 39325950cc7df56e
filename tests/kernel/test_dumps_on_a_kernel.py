# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a dump goes, and what becomes of the host when it cannot be saved: full disk, power cut, a second disk."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
import machines  # noqa: E402 - the lab is no package of the collection
import play  # noqa: E402

pytestmark = pytest.mark.matrix

MIB = 1024**2
NAME = "panic_on_oom_kdump"
ROLE = {
    "panic_on_oom_kdump_crashkernel": "256M",
    "panic_on_oom_kdump_packages": False,
    "panic_on_oom_kdump_wait_seconds": 300,
    "panic_on_oom_kdump_reboot_ok": True,
    "panic_on_oom_kdump_reboot_timeout": 900,
}
CRASH = "sync; echo 1 > /proc/sys/kernel/sysrq; nohup sh -c 'sleep 1; echo c > /proc/sysrq-trigger' > /dev/null 2>&1 &"
# It keeps all that comes until a line ends, which never does.
EATER = "sync; systemd-run --quiet tail /dev/zero"


@pytest.fixture(scope="module")
def guest():
    """Return a machine whose crash kernel is loaded, with a second disk at /srv/crash."""
    with machines.machine(
        machines.tested(), memory=1536 * MIB, disks=(machines.Disk(1024 * MIB, filesystem="ext4"),)
    ) as one:
        one.run(
            "mkdir -p /srv/crash; echo '/dev/disk/by-id/virtio-lab0 /srv/crash ext4 nofail 0 2' >> /etc/fstab;"
            " systemctl daemon-reload; mount /srv/crash"
        )
        play.role(one, NAME, ROLE)
        yield one


@pytest.fixture
def crashes(guest, tmp_path):
    """Return a function that asks vmcore_info for the crashes below a directory."""

    def ask(path: str) -> list[dict]:
        kept = tmp_path / "crashes.json"
        content = {"content": "{{ answer.crashes | to_json }}", "dest": str(kept), "mode": "0600"}
        tasks = [
            {"linux_memory.oom.vmcore_info": {"path": path, "which": "all"}, "register": "answer"},
            {"ansible.builtin.copy": content, "delegate_to": "localhost"},
        ]
        play.run(guest, [{"hosts": "guest", "gather_facts": False, "tasks": tasks}])
        return json.loads(kept.read_text(encoding="utf-8"))

    return ask


def crash(guest, command: str = CRASH) -> None:
    """Crash the machine and wait until it is back."""
    before = guest.boot_id()
    guest.run(command)
    guest.wait_for_other_boot(before, 1800)


def ready(guest) -> None:
    """Assert that the next run of the role has nothing to do, and the crash kernel waits for the next crash."""
    assert play.changed(play.role(guest, NAME, ROLE)) == 0
    assert guest.run("cat /sys/kernel/kexec_crash_loaded").stdout.strip() == "1"


def test_a_full_disk_loses_the_dump_and_not_the_host(guest, crashes):
    # To the last block, and then room for the log and not for the dump.
    guest.run("dd if=/dev/zero of=/filler bs=1M status=none || truncate -s -2M /filler; sync")
    said = guest.console.stat().st_size
    crash(guest)
    guest.run("rm -f /filler; sync")
    console = guest.console.read_bytes()[said:]
    assert b"No space left on device" in console
    assert b"failed to save vmcore in /var/crash/2" in console
    assert b" saved vmcore in" not in console
    # kdump-config leaves what it had begun, and its name says so.
    found = crashes("/var/crash")
    assert found
    assert all(one["incomplete"] for one in found), found
    ready(guest)
    guest.run("rm -rf /var/crash/2*")


def test_a_power_cut_while_it_is_saved_leaves_what_is_called_incomplete(guest, crashes):
    said = guest.console.stat().st_size
    guest.run(CRASH)
    end = time.monotonic() + 900
    while b"Copying data" not in guest.console.read_bytes()[said:]:
        assert time.monotonic() < end, guest.told()
        assert guest.running(), guest.told()
        time.sleep(0.1)
    guest.cut()
    guest.start()
    guest.wait()
    found = crashes("/var/crash")
    # kdump-config saves the log first and lets it be written to the disk. That of Debian 11 does so last, and the disk
    # may have nothing yet.
    if b"saved dmesg content in" in guest.console.read_bytes()[said:]:
        assert [one for one in found if one["log"]], found
    assert all(one["incomplete"] or one["form"] == "log" for one in found), found
    ready(guest)
    guest.run("rm -rf /var/crash/2*")


def test_a_second_disk_takes_the_dump(guest, crashes):
    wishes = {
        **ROLE,
        "panic_on_oom_kdump_target": "device",
        "panic_on_oom_kdump_target_location": "/dev/disk/by-id/virtio-lab0",
        "panic_on_oom_kdump_path": "/host",
    }
    guest.run("umount /srv/crash")
    done = play.role(guest, NAME, wishes, check=False)
    assert "virtio-lab0 is in /etc/fstab and not mounted; mount it at /srv/crash first" in " ".join(done.stdout.split())
    guest.run("mount /srv/crash")
    play.role(guest, NAME, wishes)
    for relation in ("Requires", "After"):
        said = guest.run(
            f"systemctl show --property={relation} --value linux_memory_oom-crash-retention.service"
        ).stdout
        assert "srv-crash.mount" in said.split(), (relation, said)
    crash(guest)
    assert guest.run("findmnt -no SOURCE -T $(ls -d /srv/crash/host/2*/dump.*)").stdout.strip() == "/dev/vdb"
    (one,) = crashes("/srv/crash/host")
    assert (one["incomplete"], one["path"].startswith("/srv/crash/host/2")) == (False, True)
    assert guest.run("ls -d /var/crash/2* 2>/dev/null || true").stdout == ""
    play.role(guest, NAME, ROLE)


def test_a_reservation_that_was_forced_and_is_too_small_saves_nothing(guest, crashes):
    """The crash kernel itself runs out of memory, and without panic= on its command line it stands still: what the role
    has said beforehand."""
    small = {**ROLE, "panic_on_oom_kdump_crashkernel": "64M"}
    done = play.role(guest, NAME, small, check=False)
    assert "64M reserves 64 MiB, and this host's crash kernel needs" in " ".join(done.stdout.split())
    done = play.role(guest, NAME, {**small, "panic_on_oom_kdump_force": True}, check=False)
    loaded = guest.run("cat /sys/kernel/kexec_crash_loaded").stdout.strip() == "1"
    print("a crash kernel in 64M is loaded:", loaded)
    assert loaded or done.returncode, done.stdout
    if loaded:
        before, said = guest.boot_id(), guest.console.stat().st_size
        guest.run(CRASH)
        end = time.monotonic() + 900
        # It restarts by itself, or the second panic is the end.
        while guest.console.read_bytes()[said:].count(b"Kernel panic - not syncing") < 2:
            assert time.monotonic() < end, guest.told()
            if guest.boot_id() not in ("", before):
                break
            time.sleep(1)
        else:
            guest.cut()
            guest.start()
        guest.wait()
    assert not [one for one in crashes("/var/crash") if not one["incomplete"] and one["form"] != "log"]
    play.role(guest, NAME, ROLE)
    ready(guest)


def test_each_form_of_a_dump_is_read_and_tells_the_same(guest, crashes):
    """One crash saved as ELF, and what makedumpfile makes of it: compressed, and flattened as it is sent over SSH.

    No log lies beside them, so that each has to be read itself. All tell what the log tells that kdump saved.
    """
    guest.run("cp -p /etc/default/kdump-tools /root/kdump-tools; rm -rf /var/crash/2* /srv/crash/*")
    guest.run("echo 'MAKEDUMP_ARGS=\"-E -d 31\"' >> /etc/default/kdump-tools; systemctl restart kdump-tools")
    try:
        crash(guest, EATER)
    finally:
        guest.run("cp -p /root/kdump-tools /etc/default/kdump-tools; systemctl restart kdump-tools")
    guest.run(
        """
        elf=$(ls /var/crash/2*/dump.*); cd /srv/crash; mkdir elf compressed flattened
        # kdump-config always pipes, and what goes through a pipe is flattened.
        makedumpfile -R elf/vmcore < "$elf"
        makedumpfile -c -d 31 elf/vmcore compressed/vmcore
        makedumpfile -F -c -d 31 elf/vmcore > flattened/vmcore
        # Without debug symbols, the time of a crash is that of its file.
        touch -r "$elf" */vmcore
        """
    )
    (saved,) = crashes("/var/crash")
    found = {one["form"]: one for one in crashes("/srv/crash")}
    assert {form: one["path"] for form, one in found.items()} == {
        "elf": "/srv/crash/elf/vmcore",
        "kdump": "/srv/crash/compressed/vmcore",
        "flattened": "/srv/crash/flattened/vmcore",
    }
    assert {(one["source"], one["log"]) for one in found.values()} == {("dmesg", None)}
    assert (saved["source"], saved["log"] is None) == ("dmesg", False)
    assert not any(one["incomplete"] for one in found.values())
    assert saved["report"]["panicked"]
    assert [task for task in saved["report"]["tasks"] if task["comm"] == "tail"]
    for form, one in found.items():
        assert told(one) == told(saved), form


def told(one: dict) -> dict:
    """Return what a crash tells, without what is said of its files."""
    rest = {name: value for name, value in one.items() if name not in ("path", "log", "size", "form")}
    return {**rest, "report": {**one["report"], "path": None}}
