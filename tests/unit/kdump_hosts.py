# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts in a directory, whose boot loader, service and kernel answer the module kdump as the real ones do.

update-grub here reads the same files in the same order as grub-mkconfig, with a shell. grubby changes entries as
grubby-bls does. A crash kernel is loaded where memory is set aside.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

from ansible_collections.linux_memory.oom.plugins.module_utils.kdump_change import Change

MIB = 1 << 20
RELEASE = "6.1.0-32-amd64"

# Written after the file that Debian's package kdump-tools 1.8 installs: its settings, with comments of our own.
KDUMP_TOOLS = """\
# whether the crash kernel is loaded
USE_KDUMP=0

# crash kernel
KDUMP_KERNEL=/var/lib/kdump/vmlinuz
KDUMP_INITRD=/var/lib/kdump/initrd.img

KDUMP_COREDIR="/var/crash"
#KDUMP_NUM_DUMPS=
#MAKEDUMP_ARGS="-c -d 31"
#SSH="<user at server>"
"""
PACKAGE_GRUB = 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=384M-:128M"\n'
# What other scripts of /etc/grub.d say: nothing of it is made from /etc/default/grub.
OTHER_ENTRIES = {
    "20_memtest86+": "\tlinux\t/boot/memtest86+x64.bin\n",
    "30_os-prober": "\tlinux\t/boot/vmlinuz-6.1.0-1-amd64 root=/dev/vdb1 ro\n",
}
# Written after kdump.conf(5) and gen-kdump-conf.sh of kdump-utils.
KDUMP_CONF = """\
# Commands for the kdump kernel.
#nfs my.server.com:/export/tmp
ext4 /dev/vg/dumps   # the old disk
path /var/crash
core_collector makedumpfile -l --message-level 7 -d 31
failure_action shell
"""
# Written after the output of grubby --info=ALL (grubby(8)), from two kernels of which one has the argument twice.
GRUBBY = {
    "/boot/vmlinuz-5.14.0-427.el9.x86_64": "ro crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M rhgb quiet",
    "/boot/vmlinuz-5.14.0-362.el9.x86_64": "ro crashkernel=256M,high crashkernel=72M,low rhgb",
}
ESTIMATE = """\
Reserved crashkernel:    256M
Recommended crashkernel: 192M

Kernel image size:   47M
Kernel modules size: 8M
Initramfs size:      20M
Runtime reservation: 16M
Large modules: <none>
"""
MEMINFO = """\
MemTotal:        1990000 kB
MemFree:          800000 kB
Buffers:           10000 kB
Cached:           500000 kB
AnonPages:        600000 kB
Slab:              40000 kB
"""
DEFAULTS = {
    "state": "present",
    "crashkernel": "256M",
    "target": "local",
    "target_location": None,
    "path": "/var/crash",
    "ssh_key": None,
    "dump_level": 31,
    "compression": "zlib",
    "keep_dumps": 3,
    "keep_bytes": None,
    "packages": True,
    "boot_loader": "auto",
    "wait_seconds": 0,
    "force": False,
}


class Host:
    """A host of one family, with 2 GiB of memory."""

    def __init__(self, root: Path, family: str = "debian", installed: bool = True, reserved: int = 0) -> None:
        self._begin(root, family)
        self.entries = dict(GRUBBY)
        self.put("/proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 ro quiet\n")
        self.put("/proc/meminfo", MEMINFO)
        self.put("/proc/iomem", "00001000-7fffffff : System RAM\n  01000000-02ffffff : Kernel code\n")
        self.put("/proc/modules", "ext4 983040 1 - Live 0x0\nvirtio_blk 32768 2 - Live 0x0\n")
        self.put("/proc/sys/kernel/osrelease", RELEASE + "\n")
        self.put("/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/vda1 rw\n30 22 0:9 / /run rw - tmpfs tmpfs rw\n")
        self.put("/sys/kernel/kexec_crash_size", f"{reserved}\n")
        self.put("/sys/kernel/kexec_crash_loaded", "0\n")
        self.put("/run/systemd/system/.keep", "")
        self.put("/var/crash/.keep", "")
        self.put("/server/.keep", "")
        self.put("/usr/bin/ssh", "")
        self.put("/usr/sbin/mount.nfs", "")
        self.put("/usr/lib/systemd/system/systemd-networkd-wait-online.service", "")
        self.systemctl("enable", "systemd-networkd-wait-online.service", "network-online.target")
        if family == "debian":
            self.put("/etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
            self.put("/usr/sbin/update-grub", "")
            self.put("/etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="console=ttyS0"\n')
            self.put("/boot/initrd.img-" + RELEASE, "x" * MIB)
            (root / "etc/default/grub.d").mkdir(parents=True)
        else:
            self.put("/etc/os-release", 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n')
            self.put("/usr/sbin/grubby", "")
        if installed:
            self.install()
        self.update_grub()

    def _begin(self, root: Path, family: str) -> None:
        self.root = root
        self.family = family
        self.calls: list[list[str]] = []
        self.fails: dict[str, str] = {}
        self.estimate = ESTIMATE
        self.makedumpfile = ""
        self.server_says: tuple[int, str, str] | None = None

    @classmethod
    def there(cls, root: Path, family: str) -> Host:
        """Return a host that is there already, as another process has left it."""
        host = cls.__new__(cls)
        host._begin(root, family)
        return host

    @property
    def entries(self) -> dict[str, str]:
        """Return the kernels that grubby knows, and their arguments."""
        return json.loads(self.get("/boot/entries.json"))

    @entries.setter
    def entries(self, value: dict[str, str]) -> None:
        self.put("/boot/entries.json", json.dumps(value))

    def put(self, path: str, text: str) -> None:
        """Write a file of the host, at once: what a tool or the kernel does is not cut in two here."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(file.name + "~")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)

    def get(self, path: str) -> str:
        """Return the text of a file of the host."""
        return (self.root / path.lstrip("/")).read_text(encoding="utf-8")

    @property
    def unit(self) -> str:
        """Return the service's name."""
        return "kdump-tools.service" if self.family == "debian" else "kdump.service"

    def install(self) -> None:
        """What the package brings."""
        self.put("/usr/bin/makedumpfile", "")
        self.put("/usr/sbin/kexec", "")
        self.put("/usr/lib/systemd/system/" + self.unit, "[Install]\nWantedBy=multi-user.target\n")
        if self.family == "debian":
            self.put("/usr/sbin/kdump-config", "")
            self.put("/etc/default/kdump-tools", KDUMP_TOOLS)
            self.put("/etc/default/grub.d/kdump-tools.cfg", PACKAGE_GRUB)
        else:
            self.put("/usr/bin/kdumpctl", "")
            self.put("/etc/kdump.conf", KDUMP_CONF)

    def update_grub(self) -> None:
        """Write the menu, as grub-mkconfig reads its files."""
        if self.family != "debian":
            return
        script = ". ./grub; for file in grub.d/*.cfg; do [ ! -e $file ] || . ./$file; done;"
        script += (
            ' printf "%s %s" "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"; printf "\\n%s" "$GRUB_CMDLINE_LINUX"'
        )
        done = subprocess.run(
            ["sh", "-eu", "-c", script], cwd=self.root / "etc/default", capture_output=True, text=True, check=True
        )
        normal, recovery = done.stdout.split("\n")
        linux = f"\tlinux\t/boot/vmlinuz root=/dev/vda1 ro {normal}\n\tlinux\t/boot/vmlinuz ro single {recovery}\n"
        sections = {"10_linux": linux, **OTHER_ENTRIES}
        text = "".join(f"### BEGIN /etc/grub.d/{x} ###\n{sections[x]}### END /etc/grub.d/{x} ###\n" for x in sections)
        self.put("/boot/grub/grub.cfg", text)

    def server(self, words, script):
        """Answer as ssh or mount do: the script runs below the directory of the server."""
        if self.server_says:
            return self.server_says
        path, below = words[words.index("--") + 1 :][:2]
        place = self.root / "server"
        inside = str(place) + (path[len(below) :] if below != "/" else path)
        done = subprocess.run(
            ["sh", "-s", "--", inside, str(place), "export"],
            input="mount() { true; }\n" + script, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def run(self, command, environ_update=None, data=None):
        """Answer as AnsibleModule.run_command does."""
        self.calls.append(command)
        name = os.path.basename(command[0])
        words = command[1:]
        for what, why in self.fails.items():
            if what in " ".join(command):
                return 1, "", why
        if name == "update-grub":
            self.update_grub()
        elif name in ("apt-get", "dnf", "yum"):
            self.install()
            self.put("/usr/bin/ssh", "")
            self.put("/usr/sbin/mount.nfs", "")
        elif name == "grubby":
            return 0, self.grubby(words), ""
        elif name == "kdumpctl":
            return (
                0,
                "1G-4G:192M,4G-64G:256M,64G-:512M\n" if words == ["get-default-crashkernel"] else self.estimate,
                "",
            )
        elif name == "makedumpfile":
            assert words == ["-v"]
            return 0, self.makedumpfile, ""
        elif name == "timeout":
            return self.server(words, data)
        elif name == "systemctl" and words[0] == "show":
            drop_ins = sorted((self.root / "etc/systemd/system" / (words[-1] + ".d")).glob("*.conf"))
            return 0, " ".join(["network-online.target", *(self.after(path) for path in drop_ins)]) + "\n", ""
        elif name == "systemctl":
            self.systemctl(*words)
        elif name == "kexec":
            self.put("/sys/kernel/kexec_crash_loaded", "0\n")
        elif name == "sh":
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stderr
        return 0, "", ""

    @staticmethod
    def after(drop_in) -> str:
        """Return what a drop-in says in After=, as systemctl show quotes it (seen with systemd 247, 252 and 257)."""
        names = " ".join(re.findall(r"^After=(.*)$", drop_in.read_text(encoding="utf-8"), re.MULTILINE)).split()
        return " ".join('"%s"' % name.replace("\\", "\\\\") if "\\" in name else name for name in names)

    def grubby(self, words) -> str:
        """Change or print the entries."""
        options = dict(word[2:].split("=", 1) for word in words)
        if "info" in options:
            blocks = [
                f'index={number}\nkernel="{kernel}"\nargs="{arguments}"\nroot="/dev/mapper/rhel-root"\n'
                for number, (kernel, arguments) in enumerate(self.entries.items())
            ]
            return "".join(blocks)
        entries = self.entries
        for kernel in list(entries) if options["update-kernel"] == "ALL" else [options["update-kernel"]]:
            kept = entries[kernel].split()
            if "remove-args" in options:
                kept = [word for word in kept if word.split("=")[0] != options["remove-args"]]
            entries[kernel] = " ".join(kept + shlex.split(options.get("args", "")))
        self.entries = entries
        return ""

    def systemctl(self, verb, unit="", target="multi-user.target") -> None:
        """Enable, disable, start and stop."""
        link = self.root / f"etc/systemd/system/{target}.wants" / unit
        if verb == "enable":
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to("/usr/lib/systemd/system/" + unit)
        elif verb == "disable" and link.is_symlink():
            link.unlink()
        elif verb == "restart" and int(self.get("/sys/kernel/kexec_crash_size")):
            self.put("/sys/kernel/kexec_crash_loaded", "1\n")
        elif verb == "stop":
            self.put("/sys/kernel/kexec_crash_loaded", "0\n")

    def change(self, check_mode: bool = False, **wishes) -> Change:
        """Return a run of the module that has looked."""
        change = Change(
            {**DEFAULTS, **wishes},
            self.run,
            os.rename,
            str(self.root),
            sleep=lambda _seconds: None,
            check_mode=check_mode,
        )
        change.look()
        return change

    def apply(self, **wishes) -> Change:
        """Run the module."""
        change = self.change(**wishes)
        if change.steps:
            change.apply()
            change.refresh()
        return change

    def files(self) -> dict[str, str]:
        """Return all files and links that a run may write."""
        found = {}
        for path in sorted((self.root / "etc").rglob("*")) + sorted((self.root / "usr/local").rglob("*")):
            if path.is_symlink():
                found[str(path)] = "-> " + os.readlink(path)
            elif path.is_file():
                found[str(path)] = path.read_text(encoding="utf-8")
        # grubby adds at the end: the order of a command line's words does not matter here.
        return {**found, "entries": str({kernel: sorted(words.split()) for kernel, words in self.entries.items()})}
