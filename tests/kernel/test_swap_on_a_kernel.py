# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Swap on a kernel of its own: grown while it is in use, never less than before, refused, killed, restarted, undone.

The role is applied and taken back by Ansible over SSH. Between, the module runs in the machine from a copy of the
checkout, since each connection costs more than the module. The tests stand in the order of one machine's life.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import ansible
import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"
sys.path.insert(0, str(LAB))
import machines  # noqa: E402 - the lab is no package of the collection
import play  # noqa: E402

IMAGE = machines.tested()
MIB = 1024**2
PLUGINS = "ansible_collections/linux_memory/oom/plugins"
FILE = "/swapfile"
# File systems that hold swap files in ways of their own: without copy on write, with extents that were never written.
OTHERS = ("btrfs", "xfs")

# Runs a module with the arguments in JSON: what Ansible does, less the connection.
RUN = """\
import importlib, json, sys
from ansible.module_utils import basic
basic._ANSIBLE_PROFILE = "legacy"
basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.loads(sys.argv[2])}).encode()
importlib.import_module("ansible_collections.linux_memory.oom.plugins.modules." + sys.argv[1]).main()
"""

# Holds memory until most of it is in swap, then sleeps. A unit, since systemd ends those before it ends swap.
HOG = """\
import sys, time
held = bytearray(int(sys.argv[1]))
for place in range(0, len(held), 4096):
    held[place] = 1 + place % 255
open("/run/hog.ready", "w").close()
time.sleep(86400)
"""

# Watches the total of swap while another program works.
LEAST = """\
import signal, time
least, end = 1 << 60, []
signal.signal(signal.SIGTERM, lambda *_what: end.append(1))
while not end:
    for line in open("/proc/meminfo"):
        if line.startswith("SwapTotal:"):
            least = min(least, int(line.split()[1]) * 1024)
    time.sleep(0.005)
print(least)
"""


def archive() -> bytes:
    """Return what a machine needs to run the modules of the checkout: Ansible's module_utils, and ours."""
    packed = io.BytesIO()

    def usual(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "__pycache__" in entry.name else entry

    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        above = Path(ansible.__file__).parent
        for name in ("release.py", "module_utils", "_internal"):
            if (above / name).exists():
                tar.add(above / name, f"ansible/{name}", filter=usual)
        for name in ("modules", "module_utils"):
            tar.add(ROOT / "plugins" / name, f"{PLUGINS}/{name}", filter=usual)
        empty = ["ansible/__init__.py"]
        empty += [f"{'/'.join(PLUGINS.split('/')[:depth])}/__init__.py" for depth in range(1, 5)]
        for name, text in (*[(name, "") for name in empty], ("run.py", RUN), ("hog.py", HOG), ("least.py", LEAST)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


class Guest:
    """The machine, and what is asked of it."""

    def __init__(self, machine: machines.Machine) -> None:
        self.machine = machine
        done = subprocess.run(
            machine.ssh("mkdir -p /opt/lab && tar -xz -C /opt/lab"), input=archive(), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def run(self, script: str, check: bool = True) -> str:
        return self.machine.run(script, check=check).stdout

    def module(self, before: str = "", after: str = "", **arguments):
        """Run swap_file, with shell lines before and after it; return (its answer, what those printed)."""
        words = json.dumps({"owner": "swap_tuning", **arguments}).replace("'", "'\\''")
        said = self.run(f"{before}\ncd /opt/lab; python3 run.py swap_file '{words}' || true\necho; echo ---\n{after}\n")
        answer, _line, rest = said.partition("\n---\n")
        lines = [line for line in answer.splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else None, rest

    def swaps(self) -> dict[str, tuple[int, int]]:
        """Return {path: (size with its header, priority)} as the kernel says it."""
        return swaps_of(self.run("cat /proc/swaps"))


def swaps_of(text: str) -> dict[str, tuple[int, int]]:
    """Return what the lines of /proc/swaps say, wherever they are: {path: (size with its header, priority)}."""
    line = re.compile(r"^(/\S+)\s+(?:file|partition)\s+([0-9]+)\s+[0-9]+\s+(-?[0-9]+)$", re.MULTILINE)
    return {path: (int(size) * 1024 + 4096, int(priority)) for path, size, priority in line.findall(text)}


@pytest.fixture(scope="module")
def guest():
    """Return a booted machine with disks for a small file system, to be swap as a whole, and of other kinds."""
    disks = (
        machines.Disk(100 * MIB),
        machines.Disk(64 * MIB),
        *(machines.Disk(320 * MIB, filesystem=name) for name in OTHERS),
    )
    with machines.machine(IMAGE, memory=640 * MIB, disks=disks) as one:
        yield Guest(one)


def apply(guest: Guest, **variables) -> None:
    """Run the role on the machine."""
    play.role(guest.machine, "swap_tuning", {f"swap_tuning_{name}": value for name, value in variables.items()})


WANTED = {
    "files": [{"path": FILE, "size": "96M", "priority": 5}],
    "swappiness": 90,
    "page_cluster": 0,
    "watch": {
        "used_percent": 1,
        "for_seconds": 0,
        "interval_seconds": 10,
        "command": ["/usr/bin/touch", "/run/alarmed"],
    },
}


@pytest.fixture(scope="module")
def applied(guest):
    """Apply the role; return fstab as it was."""
    before = guest.run("cat /etc/fstab; echo .; cat /proc/sys/vm/swappiness /proc/sys/vm/page-cluster")
    apply(guest, **WANTED)
    return before


def test_the_role_is_in_the_kernel(guest, applied):
    assert guest.swaps() == {FILE: (96 * MIB, 5)}
    said = guest.run(
        f"cat /proc/sys/vm/swappiness /proc/sys/vm/page-cluster; stat -c %a%U {FILE}; ls -A / | grep memory_oom || true"
    )
    assert said.split() == ["90", "0", "600root"]


def test_swap_grows_while_it_is_in_use_and_is_never_less(guest, applied):
    """The watch alarms meanwhile, since swap is used."""
    answer, said = guest.module(
        path=FILE, size="256M", priority=7,
        before="""
rm -f /run/hog.ready; available=$(awk '/MemAvailable/ {print $2}' /proc/meminfo)
systemd-run -q --unit hog python3 /opt/lab/hog.py $((available * 1024 + 20000000))
while [ ! -e /run/hog.ready ]; do sleep 1; done
grep SwapFree /proc/meminfo >&2
python3 /opt/lab/least.py > /run/least & echo $! > /run/least.pid""",
        after="kill $(cat /run/least.pid); sleep 1; cat /run/least; cat /proc/swaps; ls -A / | grep memory_oom || true",
    )  # fmt: skip
    assert answer["changed"], answer
    least, *rest = said.splitlines()
    assert int(least) >= 96 * MIB - 4096
    assert swaps_of(said) == {FILE: (256 * MIB, 7)}
    assert "linux_memory_oom" not in said
    used = int([line for line in rest if line.startswith(FILE)][0].split()[3])
    assert used > 1000, "nothing was in swap: nothing was shown"


def test_the_watch_has_told(guest, applied):
    guest.run("for try in $(seq 60); do [ -e /run/alarmed ] && exit 0; sleep 1; done; exit 1")
    said = guest.run("journalctl -q -t linux_memory_oom-swap-watch -o cat")
    assert "swap in use is" in said
    assert said.count("at or over the limit of 1 %") == 1


@pytest.mark.parametrize("wish", [{"path": FILE, "size": "32M"}, {"state": "absent"}], ids=["shrink", "removal"])
def test_less_swap_is_refused_with_both_numbers_while_it_is_needed(guest, applied, wish):
    answer, said = guest.module(**wish, after="cat /proc/swaps; free -m >&2")
    assert answer["failed"], answer
    assert "of swap in use would have to go into memory" in answer["msg"]
    assert "are available (MemAvailable)" in answer["msg"]
    assert swaps_of(said) == {FILE: (256 * MIB, 7)}


def test_it_is_active_after_a_restart(guest, applied):
    # What is in swap does not fit into memory: with the hog alive, the swapoff of the shutdown would end in a panic.
    guest.run("systemctl stop hog")
    guest.machine.reboot()
    assert guest.swaps() == {FILE: (256 * MIB, 7)}
    said = guest.run("cat /proc/sys/vm/swappiness; systemctl is-active linux_memory_oom-swap_tuning-watch.timer")
    assert said.split() == ["90", "active"]


# When the module is killed: at which of its commands, before that has done its work or after, and how often before.
KILLS = [("mkswap", "before"), ("mkswap", "after"), ("swapon", "after"), ("swapoff", "before"), ("swapoff", "after")]


@pytest.mark.parametrize("command, when", KILLS)
def test_a_run_that_was_killed_is_completed_by_the_next(guest, applied, command, when):
    size = 260 + 4 * KILLS.index((command, when))
    real = f'/sbin/{command} "$@"'
    wrapper = f"#!/bin/sh\n{real + chr(10) if when == 'after' else ''}kill -9 $PPID\n"
    before = f"mkdir -p /opt/kill; printf %s '{wrapper}' > /opt/kill/{command}; chmod +x /opt/kill/{command}"
    killed, said = guest.module(
        path=FILE, size=f"{size}M", priority=7,
        before=before + "; PATH=/opt/kill:$PATH; export PATH",
        after="PATH=${PATH#/opt/kill:}; rm -r /opt/kill; cat /proc/swaps; cat /etc/fstab",
    )  # fmt: skip
    assert killed is None, "it was not killed"
    assert sum(one for one, _priority in swaps_of(said).values()) >= 200 * MIB
    answer, said = guest.module(path=FILE, size=f"{size}M", priority=7, after="cat /proc/swaps; ls -A /")
    assert answer["changed"], answer
    assert swaps_of(said) == {FILE: (size * MIB, 7)}
    assert "linux_memory_oom" not in said


def test_a_full_disk_is_refused_and_nothing_is_left(guest, applied):
    answer, said = guest.module(
        files=[{"path": "/mnt/swap", "size": "95M"}],
        before="mke2fs -q -t ext4 /dev/disk/by-id/virtio-lab0; mount /dev/disk/by-id/virtio-lab0 /mnt",
        after="ls -A /mnt; cat /proc/swaps; cat /etc/fstab",
    )
    assert answer["failed"]
    assert "needs 95.0 MiB more on its file system" in answer["msg"]
    assert "/mnt" not in said
    assert "swap\n" not in said.split("Filename")[0]


def test_a_device_is_swap_only_where_it_holds_nothing(guest, applied):
    device = "/dev/disk/by-id/virtio-lab"
    answer, _said = guest.module(path=device + "0")
    assert "mounted on /mnt" in answer["msg"]
    answer, said = guest.module(path=device + "0", before="umount /mnt")
    assert "holds ext4" in answer["msg"]
    answer, said = guest.module(path=device + "1", priority=1, after="cat /proc/swaps")
    assert answer["changed"], answer
    assert sorted(priority for _size, priority in swaps_of(said).values()) == [1, 7]


@pytest.mark.parametrize("number, name", list(enumerate(OTHERS, start=2)), ids=OTHERS)
def test_another_file_system_holds_swap_that_the_kernel_takes_and_grows(guest, applied, number, name):
    path = f"/srv/{name}/swap"
    for size in (32, 48):
        answer, said = guest.module(
            path=path, size=f"{size}M", priority=2,
            before=f"mkdir -p /srv/{name}; findmnt /srv/{name} || mount /dev/disk/by-id/virtio-lab{number} /srv/{name}",
            after=f"cat /proc/swaps; findmnt -no FSTYPE /srv/{name}; lsattr {path} 2>&1",
        )  # fmt: skip
        assert answer.get("changed"), answer
        assert swaps_of(said)[path] == (size * MIB, 2)
        assert f"\n{name}\n" in said
    # Swap on btrfs must not be copied on write, which lsattr shows as C.
    assert ("C" in said.splitlines()[-1].split()[0]) == (name == "btrfs")
    answer, said = guest.module(path=path, state="absent", after=f"cat /proc/swaps /etc/fstab; ls -A /srv/{name}")
    assert answer.get("changed"), answer
    assert path not in said
    assert not said.endswith("swap\n")
    guest.run(f"umount /srv/{name}")


def test_undo_restores_what_was(guest, applied):
    apply(guest, **WANTED, state="absent")
    assert guest.run("cat /etc/fstab; echo .; cat /proc/sys/vm/swappiness /proc/sys/vm/page-cluster") == applied
    assert guest.swaps() == {}
    said = guest.run(
        "find / -xdev -name '*linux_memory_oom*' -not -path '/opt/*' -not -path '/var/log/*'; ls -A /swapfile || true"
    )
    assert said == ""
    assert guest.run("blkid -p -o value -s TYPE /dev/disk/by-id/virtio-lab1 || true") == ""


ZRAM = {"zram": {"size": "64", "priority": 50}}
GENERATOR = "dpkg-query -W -f '${Status}' systemd-zram-generator 2>/dev/null || true"


@pytest.fixture(scope="module")
def offered(guest):
    """Let apt know zram-generator, which comes on the disk."""
    if not guest.run("ls /opt/packages"):
        pytest.skip("Debian 11 has no zram-generator")
    guest.run(
        "mv /etc/apt/sources.list /root; echo 'deb [trusted=yes] file:/opt/packages ./' > /etc/apt/sources.list"
        "; apt-get -q update"
    )


def zram(guest) -> tuple[int, int] | None:
    """Return (size with its header, priority) of the device, where it is swap."""
    return guest.swaps().get("/dev/zram0")


def test_a_generator_that_cannot_be_had_leaves_no_note_of_it(guest):
    done = play.role(
        guest.machine, "swap_tuning", {f"swap_tuning_{name}": value for name, value in ZRAM.items()}, check=False
    )
    assert done.returncode != 0
    assert "swap_tuning_zram: systemd-zram-generator cannot be installed: " in " ".join(done.stdout.split())
    assert guest.run("find /etc /var/lib -name '*linux_memory_oom*' -o -name 'zram-generator*'") == ""
    assert guest.swaps() == {}


def test_zram_is_swap_with_its_generator_now_and_after_a_restart(guest, offered):
    apply(guest, **ZRAM)
    assert zram(guest) == (64 * MIB, 50)
    assert play.changed(play.role(guest.machine, "swap_tuning", {"swap_tuning_zram": ZRAM["zram"]})) == 0
    apply(guest, zram={"size": "96", "priority": 60})
    assert zram(guest) == (96 * MIB, 60)
    guest.machine.reboot()
    assert zram(guest) == (96 * MIB, 60)


def test_undo_takes_the_generator_that_came_with_the_role(guest, offered):
    apply(guest, state="absent")
    assert zram(guest) is None
    assert "installed" not in guest.run(GENERATOR)
    assert guest.run("find /etc /var/lib -name '*linux_memory_oom*' -o -name 'zram-generator*'") == ""
    assert guest.run("systemctl daemon-reload; systemctl list-units --all --type swap --no-legend 'dev-zram*'") == ""


def test_undo_gives_back_the_device_that_the_host_had(guest, offered):
    guest.run(
        "apt-get -qy install systemd-zram-generator; printf '[zram0]\nzram-size = 32\nswap-priority = 9\n' "
        "> /etc/systemd/zram-generator.conf; systemctl daemon-reload; systemctl start dev-zram0.swap"
    )
    assert zram(guest) == (32 * MIB, 9)
    apply(guest, **ZRAM)
    assert zram(guest) == (64 * MIB, 50)
    apply(guest, state="absent")
    assert zram(guest) == (32 * MIB, 9)
    assert "installed" in guest.run(GENERATOR)
