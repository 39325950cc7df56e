# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_sysctl and the role dirty_throttle on a machine with a kernel of its own: set, restart, take back.

The tests are one story and run in their order. The disks below /srv are two, behind a striped logical volume.
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

# The scenario `kernel` has the role in each make test; here it is in parts, on a striped volume.
pytestmark = pytest.mark.matrix

IMAGE = machines.tested()
MIB = 1024**2
DISKS = (machines.Disk(160 * MIB), machines.Disk(160 * MIB))
WATCHED = (
    *("vm.dirty_bytes", "vm.dirty_ratio", "vm.dirty_background_bytes", "vm.dirty_background_ratio"),
    *("vm.dirty_expire_centisecs", "vm.swappiness", "vm.overcommit_ratio", "vm.overcommit_kbytes", "kernel.panic"),
)
FURNISH = """
pvcreate -qq /dev/disk/by-id/virtio-lab0 /dev/disk/by-id/virtio-lab1 >/dev/null
vgcreate -qq lab /dev/disk/by-id/virtio-lab0 /dev/disk/by-id/virtio-lab1 >/dev/null
lvcreate -qq --yes --stripes 2 --extents 100%FREE --name data lab >/dev/null
mkfs.ext4 -q /dev/lab/data
echo '/dev/lab/data /srv ext4 defaults 0 2' >>/etc/fstab
systemctl daemon-reload
mount /srv
cat >/etc/systemd/system/backup.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl -q enable --now backup.service
"""
ROLE = {
    "dirty_throttle_bytes": 100000000,
    "dirty_throttle_background_bytes": 25000000,
    "dirty_throttle_expire_seconds": 7.5,
    "dirty_throttle_limits": [{"unit": "backup.service", "path": "/srv", "write_bandwidth": "4M"}],
    "dirty_throttle_devices": [{"path": "/srv", "max_ratio": 20}],
}


class Guest:
    """The machine, and what asks it."""

    def __init__(self, machine):
        self.machine = machine
        self.first = self.values()

    def said(self, script):
        """Return what a shell script prints."""
        return self.machine.run(script).stdout

    def values(self):
        """Return what the kernel has."""
        return dict(zip(WATCHED, self.said(f"sysctl -n {' '.join(WATCHED)}").split("\n"), strict=False))

    def ours(self):
        """Return the files that belong to the collection."""
        return self.said("find /etc -name '*linux_memory*' | sort").split()

    def vm_sysctl(self, **options):
        """Run the module and return its answer."""
        words = ("guest", "-m", "linux_memory.oom.vm_sysctl", "-a", json.dumps(options))
        done = play.ansible(self.machine, "ansible", *words)
        match = re.search(r"(?:=> |! => )(\{.*\})\s*$", done.stdout, re.DOTALL)
        assert match, done.stdout + done.stderr
        return json.loads(match[1])

    def role(self, **variables):
        """Run the role and return how many tasks changed something."""
        return play.changed(play.role(self.machine, "dirty_throttle", variables))


@pytest.fixture(scope="module")
def guest():
    """Return a booted machine with a striped volume and a service."""
    with machines.machine(IMAGE, disks=DISKS) as one:
        one.run(FURNISH)
        yield Guest(one)


def throttled(guest):
    """Assert that everything that the role sets is in force."""
    values = guest.values()
    assert (values["vm.dirty_bytes"], values["vm.dirty_ratio"]) == ("100000000", "0")
    assert (values["vm.dirty_background_bytes"], values["vm.dirty_background_ratio"]) == ("25000000", "0")
    assert values["vm.dirty_expire_centisecs"] == "750"
    limits = guest.said("cat /sys/fs/cgroup/system.slice/backup.service/io.max 2>/dev/null || true").splitlines()
    numbers = guest.said("for d in 0 1; do lsblk -dno MAJ:MIN /dev/disk/by-id/virtio-lab$d; done").split()
    assert sorted(line.split()[0] for line in limits) == sorted(numbers)
    assert all("wbps=4000000" in line for line in limits)
    assert guest.said("cat /sys/class/bdi/$(lsblk -dno MAJ:MIN /dev/lab/data | tr -d ' ')/max_ratio").strip() == "20"


def test_a_later_file_is_named_before_anything_changes(guest):
    guest.said("printf '#\\nvm.dirty_ratio = 30\\n' >/etc/sysctl.d/95-late.conf")
    wish = {"vm.dirty_bytes": 100000000, "vm.dirty_background_bytes": 25000000, "vm.swappiness": 10}
    answer = guest.vm_sysctl(settings=wish)
    assert "/etc/sysctl.d/95-late.conf line 2 sets vm.dirty_ratio, which makes vm.dirty_bytes 0" in answer["msg"]
    assert (guest.values(), guest.ours()) == (guest.first, [])
    answer = guest.vm_sysctl(settings=wish, on_override="rename")
    assert answer["file"] == "/etc/sysctl.d/99-linux_memory_oom.conf"
    # What a boot would do, done by the program that does it.
    guest.said(
        "sysctl -qw vm.dirty_ratio=20 vm.dirty_background_ratio=10 vm.swappiness=60; /lib/systemd/systemd-sysctl"
    )
    assert (guest.values()["vm.dirty_bytes"], guest.values()["vm.swappiness"]) == ("100000000", "10")
    guest.vm_sysctl(state="absent")
    assert (guest.values(), guest.ours()) == (guest.first, [])
    guest.said("rm /etc/sysctl.d/95-late.conf")


def test_pairs_go_there_and_back(guest):
    for settings in (
        {"vm.dirty_ratio": 5, "vm.dirty_background_bytes": 8192, "vm.overcommit_kbytes": 900000},
        {"vm.dirty_bytes": 50000000, "vm.dirty_background_ratio": 0},
        {"vm.dirty_ratio": 60, "vm.dirty_background_ratio": 50},
    ):
        answer = guest.vm_sysctl(settings=settings)
        assert answer["changed"], answer
        values = guest.values()
        assert {name: values[name] for name in settings} == {name: str(value) for name, value in settings.items()}
        assert {name: item["after"] for name, item in answer["keys"].items()} == {
            name: values[name] for name in answer["keys"]
        }
    guest.vm_sysctl(state="absent")
    assert (guest.values(), guest.ours()) == (guest.first, [])


def test_a_value_beyond_the_kernels_range_is_refused(guest):
    answer = guest.vm_sysctl(settings={"vm.swappiness": 201, "kernel.panic": 10})
    assert "vm.swappiness is 201; this kernel" in answer["msg"]
    # Not by sysctl(8), whose status is 0 in Debian 11 where the kernel refuses.
    refused = guest.machine.run("echo 201 > /proc/sys/vm/swappiness", check=False)
    assert refused.returncode != 0, "the kernel takes it"
    assert guest.values() == guest.first


def test_the_role_sets_everything_and_then_nothing(guest):
    assert guest.role(**ROLE) == 1, "one task changes all that the role sets"
    throttled(guest)
    assert guest.role(**ROLE) == 0


def test_the_service_writes_no_faster_than_it_may(guest):
    # 4 MB/s on each of two disks: 24 MB take 3 s, give or take what may be written at once.
    script = (
        "echo $$ >/sys/fs/cgroup/system.slice/backup.service/cgroup.procs\n"
        "start=$(date +%s%N)\n"
        "dd if=/dev/zero of=/srv/x bs=1M count=24 oflag=direct 2>/dev/null\n"
        "echo $(( ($(date +%s%N) - start) / 1000000 ))\n"
    )
    assert int(guest.said(script)) > 2000


def test_it_is_all_there_after_a_restart(guest):
    guest.machine.reboot()
    throttled(guest)
    assert guest.role(**ROLE) == 0


def test_undo_leaves_nothing(guest):
    assert guest.role(dirty_throttle_state="absent") == 1
    assert (guest.values(), guest.ours()) == (guest.first, [])
    assert guest.said("cat /sys/class/bdi/$(lsblk -dno MAJ:MIN /dev/lab/data | tr -d ' ')/max_ratio").strip() == "100"
    assert "wbps=4000000" not in guest.said("cat /sys/fs/cgroup/system.slice/backup.service/io.max 2>/dev/null || true")
    assert guest.role(dirty_throttle_state="absent") == 0
