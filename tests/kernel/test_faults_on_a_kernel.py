# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong while a role works: power cut, full disk, read-only root. The host boots, the next run converges."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
import machines  # noqa: E402 - the lab is no package of the collection
import play  # noqa: E402

pytestmark = pytest.mark.matrix

SNAPSHOT = (ROOT / "molecule" / "kernel" / "snapshot.sh").read_text(encoding="utf-8")
UNIT = """\
cat > /etc/systemd/system/steady.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable -q --now steady
"""
# Nothing of ours, whole or begun, is left anywhere.
LEFT = "find / -xdev \\( -name '*linux_memory*' -o -name '.ansible_tmp*' -o -name '.swapfile*' \\) -not -path '/root/*'"

# Ansible needs room for a module of its own, before ours can say anything.
WHERE_ANSIBLE_WORKS = "mountpoint -q /tmp || mount -t tmpfs tmpfs /tmp"

ROLES = {
    "dirty_throttle": {"dirty_throttle_bytes": 64 << 20, "dirty_throttle_background_bytes": 32 << 20},
    "swap_tuning": {"swap_tuning_files": [{"path": "/swapfile", "size": "384M"}], "swap_tuning_swappiness": 80},
    "cgroup_memory_limit": {"cgroup_memory_limit_units": {"steady.service": {"MemoryMax": "96M"}}},
    "panic_on_oom_kdump": {"panic_on_oom_kdump_crashkernel": "256M", "panic_on_oom_kdump_packages": False},
}
# role: where it begins to write. The power goes in the moment in which something is there.
FIRST_WRITE = {
    "dirty_throttle": "/etc/sysctl.d",
    "swap_tuning": "/",
    "cgroup_memory_limit": "/etc/systemd/system",
    "panic_on_oom_kdump": "/etc/default/grub.d /etc/sysctl.d",
}


@pytest.fixture(scope="module")
def guest():
    """Return a booted machine with a unit to limit."""
    with machines.machine(machines.tested(), memory=1536 << 20) as one:
        # The menu of the image is older than what its packages ask for; the first undo would bring it up to date.
        one.run("if command -v update-grub; then update-grub; fi")
        one.run(UNIT)
        yield one


@pytest.fixture(scope="module")
def before(guest):
    """Return the state of the host that nobody has touched."""
    return state(guest)


def state(one) -> list[str]:
    """Return what the roles may change of a host."""
    return one.run(SNAPSHOT).stdout.splitlines()


def converges(one, name: str) -> None:
    """Assert that the role applies, and then has nothing to do."""
    done = play.role(one, name, ROLES[name])
    assert play.changed(done), done.stdout
    again = play.role(one, name, ROLES[name])
    assert play.changed(again) == 0, again.stdout


def undone(one, name: str, before: list[str]) -> None:
    """Assert that undo leaves the host as it was."""
    play.role(one, name, {f"{name}_state": "absent"})
    assert state(one) == before
    assert one.run(LEFT).stdout.split() == []


@pytest.mark.parametrize("name", ROLES)
def test_a_power_cut_while_it_writes(guest, before, name):
    seen = threading.Thread(target=guest.run, args=(changes_below(FIRST_WRITE[name]),), kwargs={"check": False})
    seen.start()
    # Its end says nothing: the host goes away below it.
    running = threading.Thread(target=play.role, args=(guest, name, ROLES[name]), kwargs={"check": False})
    running.start()
    seen.join()
    was_running = running.is_alive()
    guest.cut()
    running.join()
    assert was_running, "the role had ended before the power went"
    guest.start()
    guest.wait()
    play.role(guest, name, ROLES[name])
    again = play.role(guest, name, ROLES[name])
    assert play.changed(again) == 0, again.stdout
    undone(guest, name, before)


def changes_below(folders: str) -> str:
    """Return a script that ends when a name appears directly below one of the folders."""
    return f'was=$(ls -A {folders}); while [ "$(ls -A {folders})" = "$was" ]; do :; done; sync -f /'


@pytest.mark.parametrize("name", ROLES)
def test_a_full_disk(guest, before, name):
    # To the last block, and those that are kept for root as well.
    guest.run(WHERE_ANSIBLE_WORKS)
    guest.run("for block in 1M 4k; do dd if=/dev/zero of=/filler.$block bs=$block status=none || true; done")
    done = play.role(guest, name, ROLES[name], check=False)
    # It boots as it is, with no room at all.
    guest.reboot()
    guest.run("rm -f /filler.*")
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    assert state(guest) == before
    converges(guest, name)
    undone(guest, name, before)


@pytest.mark.parametrize("name", ROLES)
def test_a_root_that_is_read_only(guest, before, name):
    guest.run(WHERE_ANSIBLE_WORKS)
    # The kernel's own way, which does not ask who has a file open.
    guest.run("sync; echo u > /proc/sysrq-trigger; until grep -q ' / ext4 ro' /proc/mounts; do sleep 0.2; done")
    done = play.role(guest, name, ROLES[name], check=False)
    guest.reboot()
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    assert state(guest) == before
    converges(guest, name)
    undone(guest, name, before)
