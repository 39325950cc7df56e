# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes a dump that has something to tell: used swap, dirty pages on a slow disk, settings that are no defaults.

    .venv/bin/python tests/lab/vmcore_dump.py bookworm DIRECTORY

It leaves in DIRECTORY live.json, what the kernel said of itself just before the crash, and the dump in each form that
makedumpfile of this machine can make: elf, flattened, and kdump with each way to compress. In DIRECTORY/oom it leaves
the dump and the log of a second crash, a panic because memory ran out. vmcore_check.py compares.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import machines
import play

LAB = Path(__file__).resolve().parent
sys.path.insert(0, str(LAB / "effects"))
from crash import ROLE  # noqa: E402 - the experiments are no package

MIB = 1024**2
LIVE = LAB / "vmcore_live.py"
# None is a default, so that a setting read from the wrong variable is seen.
SETTINGS = {
    "vm.admin_reserve_kbytes": "9001",
    "vm.dirty_background_bytes": str(16 * MIB),
    "vm.dirty_bytes": str(64 * MIB),
    "vm.dirty_expire_centisecs": "2345",
    "vm.dirty_writeback_centisecs": "432",
    "vm.lowmem_reserve_ratio": "200 150 30 0 0",
    "vm.max_map_count": "71234",
    "vm.min_free_kbytes": "20480",
    "vm.oom_dump_tasks": "0",
    "vm.oom_kill_allocating_task": "1",
    "vm.overcommit_memory": "1",
    "vm.overcommit_ratio": "57",
    "vm.page-cluster": "2",
    "vm.swappiness": "42",
    "vm.user_reserve_kbytes": "33333",
    "vm.vfs_cache_pressure": "90",
    "vm.watermark_boost_factor": "14000",
    "vm.watermark_scale_factor": "21",
}
# The services: which MiB of memory each takes, and how much of it may stay in RAM.
HOLDERS = {"ledger": (256, 128), "archive": (128, 48)}
LOAD = f"""
mount | grep -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
dd if=/dev/zero of=/swapfile bs=1M count=512 status=none
chmod 0600 /swapfile
mkswap -q /swapfile
swapon --priority 7 /swapfile
mkdir -p /srv/slow
# What is dirty waits in the page cache, and little of it in the queue of the disk.
echo 128 > /sys/block/vdb/queue/max_sectors_kb
echo 16 > /sys/block/vdb/queue/nr_requests
mount /dev/disk/by-id/virtio-lab0 /srv/slow
{"".join(f"sysctl -qw '{key}={value}'{chr(10)}" for key, value in SETTINGS.items())}
{"".join(f"systemd-run --quiet --unit={name} --property=MemoryMax={most}M --property=OOMScoreAdjust=-500 python3 /root/live.py hold {size}{chr(10)}" for name, (size, most) in HOLDERS.items())}
systemd-run --quiet --unit=writer python3 /root/live.py write /srv/slow/file 256
"""  # noqa: E501
COMPRESSED = {"zlib": "-c", "lzo": "-l", "snappy": "-p", "zstd": "-z", "not": ""}


def ready(one: machines.Machine) -> bool:
    """Return whether the services hold what they have to, and the slow disk lags behind."""
    swapped = int(one.run("awk 'NR > 1 {print $4}' /proc/swaps").stdout) // 1024
    dirty = int(one.run("awk '/^(Dirty|Writeback):/ {sum += $2} END {print sum}' /proc/meminfo").stdout) // 1024
    sys.stderr.write(f"{swapped} MiB in swap, {dirty} MiB dirty or under writeback\n")
    return swapped > 180 and dirty > 24


def dump(name: str, place: Path) -> None:
    """Crash a machine and fetch what it saved."""
    with machines.machine(
        name + machines.KDUMP,
        memory=1536 * MIB,
        disks=(machines.Disk(512 * MIB, write_limit=MIB // 2, filesystem="ext4"),),
    ) as one:
        subprocess.run(one.ssh("cat > /root/live.py"), input=LIVE.read_bytes(), check=True)
        play.role(one, "panic_on_oom_kdump", ROLE)
        # In a pipe the form is always flattened; of ELF all other forms can be made. It has to hold its pages of zeros
        # (1 of -d 31): makedumpfile takes one that is not in its source for one that was left out.
        one.run("echo 'MAKEDUMP_ARGS=\"-E -d 30\"' >> /etc/default/kdump-tools; systemctl restart kdump-tools")
        one.run("cat /sys/kernel/kexec_crash_loaded | grep -q 1; sync")
        one.run(LOAD)
        end = time.monotonic() + 900
        while not ready(one):
            if time.monotonic() > end:
                raise machines.LabError(f"the load does not come about:\n{one.told()}")
            time.sleep(5)
        # What is dirty then only falls, by no more than the disk takes.
        one.run("echo 1 > /sys/fs/cgroup/system.slice/writer.service/cgroup.freeze; sleep 5")
        before = one.boot_id()
        one.run("nohup python3 /root/live.py crash /root/live.json > /dev/null 2>&1 < /dev/null &")
        # Nobody logs in meanwhile.
        time.sleep(30)
        one.wait_for_other_boot(before, 1800)
        fetch(one, "/root/live.json", place / "live.json")
        fetch(one, "/var/crash/2*/dump.*", place / "saved")
        run_out(one, place / "oom")


def run_out(one: machines.Machine, place: Path) -> None:
    """Let a program take all memory, and fetch what the panic saved, under names that vmcore_info knows."""
    place.mkdir(exist_ok=True)
    before = one.boot_id()
    # It keeps all that comes until a line ends, which never does.
    one.run("rm -rf /var/crash/2*; sync; systemd-run --quiet tail /dev/zero")
    one.wait_for_other_boot(before, 1800)
    fetch(one, "/var/crash/2*/dump.*", place / "vmcore")
    fetch(one, "/var/crash/2*/dmesg.*", place / "vmcore-dmesg.txt")


def fetch(one: machines.Machine, what: str, kept: Path) -> None:
    """Bring a file of the machine."""
    with open(kept, "wb") as file:
        subprocess.run(one.ssh(f"cat {what}"), stdout=file, stdin=subprocess.DEVNULL, check=True)


def forms(place: Path) -> None:
    """Make each form of the dump; a way to compress that this makedumpfile was built without is left out."""
    elf = place / "elf"
    with open(place / "saved", "rb") as file:
        subprocess.run(["makedumpfile", "-R", elf], stdin=file, check=True)
    for name, option in COMPRESSED.items():
        target = place / f"kdump-{name}"
        target.unlink(missing_ok=True)
        command = ["makedumpfile", *([option] if option else []), "-d", "31", elf, target]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        # It ends well all the same, with a dump that is not compressed.
        if done.returncode or "option is disabled" in done.stdout + done.stderr:
            target.unlink(missing_ok=True)
            sys.stderr.write(f"this makedumpfile cannot make {name}\n")
    with open(place / "flattened", "wb") as file:
        subprocess.run(["makedumpfile", "-F", "-c", "-d", "31", elf], stdout=file, check=True)


def main() -> int:
    """Make the dump and its forms."""
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[1].strip())
    place = Path(sys.argv[2])
    os.umask(0o077)
    place.mkdir(parents=True, exist_ok=True)
    dump(sys.argv[1], place)
    forms(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
