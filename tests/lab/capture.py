# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a guest of the lab: writes a tar archive of the files that memory_facts reads to its output.

With them goes expected.json: what independent tools of the guest said at the same moment. Environments and command
lines of processes are not read. Python 3.9 and newer (Debian 11).
"""

from __future__ import annotations

import glob
import io
import json
import os
import stat
import subprocess
import sys
import tarfile

LIMIT = 262144

FILES = """\
/proc/meminfo /proc/vmstat /proc/zoneinfo /proc/buddyinfo /proc/swaps /proc/diskstats /proc/mdstat /proc/mounts
/proc/self/mountinfo /proc/stat /proc/uptime /proc/loadavg /proc/cmdline /proc/version /proc/slabinfo /proc/partitions
/proc/filesystems /proc/cpuinfo /proc/cgroups /proc/self/cgroup /proc/sys/kernel/osrelease /proc/sys/kernel/hostname
/proc/sys/kernel/ostype /proc/sys/kernel/panic* /etc/fstab /etc/os-release /usr/lib/os-release /etc/hostname
/etc/sysctl.conf
/etc/default/kdump-tools /etc/default/grub /etc/kdump.conf /sys/kernel/kexec_crash_size /sys/kernel/kexec_crash_loaded
/usr/lib/systemd/system/systemd-sysctl.service /lib/systemd/system/systemd-sysctl.service
/sys/class/dmi/id/sys_vendor /lib
"""

FOLDERS = """\
/proc/pressure /proc/sys/vm /etc/sysctl.d /run/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d /lib/sysctl.d
/sys/kernel/mm/hugepages /sys/kernel/mm/lru_gen /sys/kernel/mm/swap /sys/kernel/mm/transparent_hugepage
/sys/module/zswap/parameters /sys/fs/cgroup /sys/class/bdi /sys/class/block /sys/dev/block /sys/block
/etc/systemd/system
"""

OF_A_PROCESS = ("comm", "stat", "status", "statm", "smaps_rollup", "oom_score", "oom_score_adj", "cgroup")

COMMANDS = {
    "free": "free -b",
    "swapon": "swapon --show --bytes --raw --output-all",
    "lsblk": "lsblk --json --bytes --output NAME,KNAME,MAJ:MIN,SIZE,TYPE,ROTA,MOUNTPOINT,PKNAME",
    "findmnt": "findmnt --json --bytes --output TARGET,SOURCE,FSTYPE,MAJ:MIN,OPTIONS",
    "sysctl": "sysctl -a",
    "ps": "ps -eo pid,comm:32,uid,rss,nlwp",
    "units": "systemctl show '*.service' '*.slice' --property=Id,ControlGroup,MemoryCurrent,MemoryMax,MemoryLimit",
    "mdadm": "mdadm --detail /dev/md0",
    "uname": "uname -r",
}


class Archive:
    """A tar archive that is written to an open file, each path once."""

    def __init__(self, file):
        self.tar = tarfile.TarFile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT)
        self.seen = set()

    def add(self, path, content):
        """Add a file."""
        if path not in self.seen:
            self.seen.add(path)
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size = len(content)
            self.tar.addfile(entry, io.BytesIO(content))

    def link(self, path):
        """Add a symbolic link as it is."""
        if path not in self.seen:
            self.seen.add(path)
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type = tarfile.SYMTYPE
            entry.linkname = os.readlink(path)
            self.tar.addfile(entry)

    def folder(self, path):
        """Add an empty directory."""
        if path not in self.seen:
            self.seen.add(path)
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o755
            self.tar.addfile(entry)

    def copy(self, path):
        """Add a file of this machine, if it is an ordinary one that can be read."""
        if os.path.realpath(os.path.dirname(path)) != os.path.dirname(path) and not path.startswith("/proc/self"):
            return
        try:
            if os.path.islink(path):
                self.link(path)
                return
            if not stat.S_ISREG(os.stat(path).st_mode) or not os.stat(path).st_mode & 0o444:
                return
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                content = os.read(descriptor, LIMIT)
                while len(content) < LIMIT:
                    more = os.read(descriptor, LIMIT - len(content))
                    if not more:
                        break
                    content += more
            finally:
                os.close(descriptor)
        except OSError:
            return
        self.add(path, content)

    def walk(self, top, deepest):
        """Add a directory and what is below it, links as links."""
        if os.path.realpath(os.path.dirname(top)) != os.path.dirname(top):
            return  # behind a link (/lib): it has another name, under which it is added
        if os.path.islink(top):
            self.link(top)
            return
        for directory, below, files in os.walk(top):
            self.folder(directory)
            depth = directory[len(top) :].count("/")
            skipped = ("power", "trace", "integrity", "mq", "iostats_cpu")
            if depth >= deepest:
                below[:] = []
            below[:] = [name for name in below if name not in skipped]
            for name in [*files, *(name for name in below if os.path.islink(os.path.join(directory, name)))]:
                self.copy(os.path.join(directory, name))


def devices():
    """Return the real directories of all block devices and backing devices."""
    found = set()
    for kind in ("/sys/class/block", "/sys/class/bdi"):
        for name in os.listdir(kind):
            found.add(os.path.realpath(os.path.join(kind, name)))
    return sorted(found)


def expected():
    """Return what independent tools say, by a short name."""
    said = {}
    for name, command in COMMANDS.items():
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
        said[name] = done.stdout
    return said


def main():
    """Write the archive."""
    archive = Archive(sys.stdout.buffer)
    # The figures that move are read close together, the tools' answers right after them.
    for pattern in FILES.split():
        for path in sorted(glob.glob(pattern)):
            archive.copy(path)
    said = expected()
    for path in FOLDERS.split():
        archive.walk(path, 6)
    for path in devices():
        archive.walk(path, 2)
        # A SCSI or virtio device's own attributes lie above the block device, behind the link "device".
        device = os.path.realpath(os.path.join(path, "device"))
        if os.path.isdir(device) and device != path:
            for name in ("state", "vendor", "model", "ioerr_cnt", "iodone_cnt", "iorequest_cnt", "type"):
                archive.copy(os.path.join(device, name))
    for name in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        for file in OF_A_PROCESS:
            archive.copy("/proc/%s/%s" % (name, file))
    # The version of systemd is in this name; what is in it is not read.
    for path in glob.glob("/usr/lib/*/systemd/libsystemd-shared-*") + glob.glob("/usr/lib/systemd/libsystemd-shared-*"):
        archive.add(path, b"")
    archive.add("/expected.json", json.dumps(said, indent=1).encode())
    archive.tar.close()


if __name__ == "__main__":
    main()
