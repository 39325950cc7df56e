# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Virtual machines with kernels of their own, for what containers cannot show.

An image is made once from Debian packages and never written to: each machine has an overlay of its own that goes when
it goes. Machines run with KVM where the processor has it, and else under emulation. A machine that restarts comes up
with what its own boot loader is configured to boot (boot.py, keeper.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import boot
from boot import Boot
from rootfs import LabError, Recipe, build, locked

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3",
    "procps",
    "udev",
    "iproute2",
    "util-linux",
    "mount",
    "openssh-server",
    "initramfs-tools",
    "linux-image-cloud-amd64",
    "e2fsprogs",
    "mdadm",
    "dmsetup",
    "lvm2",
)

# The key of the run comes on a small disk of its own, so that the image needs to know none.
SETUP = r"""
cat > /etc/systemd/system/lab-key.service <<'END'
[Unit]
Description=Take the lab's SSH key from its disk
Before=ssh.service
DefaultDependencies=no
After=local-fs.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir -p -m 0700 /root/.ssh && tr -d "\\000" < /dev/disk/by-id/virtio-labkey > /root/.ssh/authorized_keys'
[Install]
WantedBy=multi-user.target
END
mkdir -p /etc/systemd/network
printf '[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\n' > /etc/systemd/network/80-lab.network
printf '/dev/vda / ext4 defaults 0 1\n' > /etc/fstab
systemctl enable lab-key.service systemd-networkd.service ssh.service
systemctl mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer \
  e2scrub_all.timer man-db.timer mdmonitor.service
"""  # noqa: E501

# An image NAME-kdump can save its crashes: GRUB's configuration tools, so that a change to the command line is real,
# and kdump-tools with its crash initrd, which would take a minute of emulation at the first boot. Its package reads
# /proc when it is installed. MODULES=list: the initrd finds the lab's disks without asking the machine that builds it.
KDUMP = "-kdump"
KDUMP_SETUP = r"""
echo MODULES=list > /etc/initramfs-tools/conf.d/lab
printf 'virtio_pci\nvirtio_blk\next4\n' >> /etc/initramfs-tools/modules
printf '%s\n' GRUB_DEFAULT=0 GRUB_TIMEOUT=0 GRUB_DISTRIBUTOR=Debian GRUB_CMDLINE_LINUX_DEFAULT= \
  'GRUB_CMDLINE_LINUX="console=ttyS0"' GRUB_DISABLE_LINUX_UUID=true GRUB_DISABLE_OS_PROBER=true > /etc/default/grub
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Retries=5 install --yes --no-install-recommends \
  grub2-common kdump-tools kexec-tools makedumpfile zstd python3-apt
mkdir -p /boot/grub
version=$(ls /lib/modules)
update-initramfs -u -k "$version"
[ -s "/var/lib/kdump/initrd.img-$version" ] || /etc/kernel/postinst.d/kdump-tools "$version"
# kdump-config makes the initrd anew where these settings are not what they were when it was made.
[ ! -e /etc/kdump/sysctl.conf ] || cp /etc/kdump/sysctl.conf "/var/lib/kdump/latest_sysctls-$version"
systemctl disable kdump-tools.service
# What a role may install, as a repository on the disk, since a machine of the lab has no network. Debian 11 has none.
mkdir /opt/packages
cd /opt/packages
if apt-get -q download systemd-zram-generator; then
  for file in *.deb; do
    dpkg-deb -f "$file"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' \
      "$file" "$(stat -c %s "$file")" "$(sha256sum "$file" | cut -d ' ' -f 1)"
  done > Packages
fi
cd /
sed -i 's/^USE_KDUMP=.*/USE_KDUMP=0/' /etc/default/kdump-tools
"""

# An image NAME-kdump-remote can save them on another machine as well, and be that machine: it has what NFS needs on
# both sides. The server is off, and what waits for the network is on, as it is on a host.
REMOTE = "-kdump-remote"
REMOTE_PACKAGES = ("openssh-client", "nfs-common", "nfs-kernel-server")
REMOTE_SETUP = r"""
systemctl disable nfs-kernel-server.service rpcbind.service rpcbind.socket
systemctl unmask systemd-networkd-wait-online.service
systemctl enable systemd-networkd-wait-online.service
"""

# name: suite, pockets, packages taken from the pocket
IMAGES = {
    "bullseye": ("bullseye", (), ()),
    "bookworm": ("bookworm", (), ()),
    "trixie": ("trixie", (), ()),
    "backports": ("trixie", ("trixie-backports",), ("linux-*",)),
}

# suffix: further packages, further setup
KINDS = {KDUMP: ((), KDUMP_SETUP), REMOTE: (REMOTE_PACKAGES, KDUMP_SETUP + REMOTE_SETUP)}

# QEMU 7.2 (Debian 12) corrupts the flags after cmpxchg16b under emulation, and kernels from 6.x on use it for every
# allocation: they crash at random. Without the feature they take another way. 57-bit addresses only cost time. Without
# the fast string operations (erms, fsrm) kernel and C library clear and copy memory in words; emulation would make of
# them a loop over single bytes.
EMULATION = ["-accel", "tcg,thread=multi", "-cpu", "max,cx16=off,la57=off,erms=off,fsrm=off"]

BOOT_SECONDS = 900  # generous: 15 to 40 s are usual, minutes under emulation on a busy machine
SSH_OPTIONS = (
    "-o", "StrictHostKeyChecking=no",
    "-o", "UserKnownHostsFile=/dev/null",
    "-o", "LogLevel=ERROR",
    "-o", "BatchMode=yes",
    "-o", "ConnectTimeout=10",
    # A guest that hangs for good is given up after ten minutes. One that is short of memory may not answer for two to
    # five of them under emulation, and is still what a test wants to see.
    "-o", "ServerAliveInterval=30",
    "-o", "ServerAliveCountMax=20",
)  # fmt: skip


# How a machine boots whose boot loader nobody has configured yet.
ARGUMENTS = "root=/dev/vda ro console=ttyS0"

KEEPER = Path(__file__).resolve().with_name("keeper.py")

# What the kernel prints when it has stopped for good, neither dumping nor restarting (kernel/panic.c).
STOPPED = b"---[ end Kernel panic"

# What the lab writes to a console where the machine starts: what stands before it is of earlier boots.
STARTS = b"\n---[ the lab starts this machine ]---\n"

# Consoles of machines that were taken away: a test that failed is often understood from them only.
CONSOLES = Path(__file__).resolve().parents[1] / "output" / "consoles"
KEPT_CONSOLES = 100  # about what `make test-matrix` starts; 20 MB


@dataclass(frozen=True)
class Image:
    """A disk that is never written to, and what boots it."""

    name: str
    disk: Path
    boot: Boot


@dataclass(frozen=True)
class Disk:
    """A further disk: size in bytes; write_limit and limit (of reads and writes together) in bytes/s (0: none).

    filesystem: what it holds when the machine starts, by the name that mkfs(8) has for it; nothing by default.
    """

    size: int
    write_limit: int = 0
    limit: int = 0
    filesystem: str = ""

    @property
    def throttling(self) -> str:
        """Return what qemu is told of the limits."""
        limits = {"write": self.write_limit, "total": self.limit}
        return "".join(f",throttling.bps-{what}={rate}" for what, rate in limits.items() if rate)


def image(name: str) -> Image:
    """Return the named image, built where it is not in the cache yet. Raises LabError for another name."""
    kind = next((suffix for suffix in KINDS if name.endswith(suffix)), "")
    base = name.removesuffix(kind)
    if base not in IMAGES:
        raise LabError(f"image: {name} is not one of {', '.join(IMAGES)}, nor one of them with {' or '.join(KINDS)}")
    suite, pockets, pinned = IMAGES[base]
    packages, script = KINDS.get(kind, ((), ""))
    recipe = Recipe(suite, PACKAGES + packages, pockets, pinned, SETUP + script)
    with locked(f"machine-{recipe.key}") as place:
        if not place.exists():
            _make_disk(build(recipe), place)
    return Image(name, place / "disk.raw", Boot(place / "vmlinuz", place / "initrd", ARGUMENTS))


def tested(kind: str = KDUMP) -> str:
    """Return the name of the image that the kernel tests use: one for all of them, since it takes minutes to make.

    kind: one of KINDS, for a test that needs another one.
    """
    return os.environ.get("LINUX_MEMORY_OOM_IMAGE", "bookworm") + kind


def _make_disk(archive: Path, place: Path) -> None:
    """Turn a root file system into a disk, with its kernel and initrd beside it."""
    partial = place.with_name(f"{place.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with tempfile.TemporaryDirectory(dir=partial) as root:
            _run("tar", "--extract", "--file", archive, "--directory", root, "--same-owner", "--xattrs")
            for link, copied in (("vmlinuz", "vmlinuz"), ("initrd.img", "initrd")):
                # The link is relative to the root of the guest, or to its /boot on some releases.
                target = os.readlink(Path(root) / link).lstrip("/")
                shutil.copy2(Path(root) / target, partial / copied)
            _run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, partial / "disk.raw", "4G")
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _run(*command: str | Path) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    if done.returncode:
        raise LabError(f"{command[0]} failed: {done.stderr.strip()}")


def has_kvm() -> bool:
    """Return whether the processor can run guests. /dev/kvm alone does not say so: a guest may hang on it."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and ("vmx" in flags or "svm" in flags)


def usual_processors() -> int:
    """Return how many processors a machine gets.

    Under emulation it is one: a second can lose its timer when this machine is busy, and the guest then stands still at
    boot. Its clock is slow as well, since two emulated TSCs are not in step.
    """
    return 2 if has_kvm() else 1


def free_port() -> int:
    """Return a TCP port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Machine:
    """A running machine. memory in bytes; append is added to the kernel's command line.

    forwards: further (port on loopback, port of the guest). Another machine reaches the first one at 10.0.2.2.
    """

    image: Image
    place: Path
    memory: int = 1024**3
    processors: int = field(default_factory=usual_processors)
    append: str = ""
    disks: tuple[Disk, ...] = ()
    qemu_options: tuple[str, ...] = ()
    forwards: tuple[tuple[int, int], ...] = ()
    port: int = field(default_factory=free_port)
    pid: int = 0

    @property
    def console(self) -> Path:
        """Return the file that holds all that the machine wrote to its console, in all of its boots."""
        return self.place / "console.log"

    @property
    def kept_console(self) -> Path:
        """Return the file that holds the same when the machine has been taken away."""
        return CONSOLES / f"{self.place.name}.log"

    @property
    def key(self) -> Path:
        """Return the private key that opens the machine."""
        return self.place / "key"

    def save(self) -> None:
        """Write down what the machine is, for its keeper and for other programs."""
        known = {**asdict(self), "image": self.image.name, "place": str(self.place)}
        partial = self.place / "machine.json.partial"
        partial.write_text(json.dumps(known), encoding="utf-8")
        partial.replace(self.place / "machine.json")

    @classmethod
    def load(cls, place: Path) -> Machine:
        """Return the machine that was saved in a directory. Raises LabError where there is none."""
        try:
            known = json.loads((place / "machine.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LabError(f"there is no machine in {place}") from None
        known["disks"] = tuple(Disk(**disk) for disk in known["disks"])
        known["qemu_options"] = tuple(known["qemu_options"])
        known["forwards"] = tuple(tuple(pair) for pair in known["forwards"])
        return cls(**{**known, "image": image(known["image"]), "place": place})

    def first_boot(self) -> Boot:
        """Return what boots the machine while its disk is as the image made it."""
        return self.image.boot

    def next_boot(self) -> Boot:
        """Return what the boot loader on the machine's disk would boot now. The machine is off."""
        return boot.read(self.place / "root.qcow2", self.place / "boot", otherwise=self.image.boot)

    def command(self, now: Boot) -> list[str]:
        """Return the command that runs the machine."""
        accelerator = ["-accel", "kvm", "-cpu", "host"] if has_kvm() else EMULATION
        # The root disk comes first, so that it is /dev/vda; the others are found by their serial.
        drives = [("root", "root.qcow2", "format=qcow2,cache=unsafe")]
        for number, disk in enumerate(self.disks):
            drives.append((f"lab{number}", f"lab{number}.raw", f"format=raw,cache=unsafe{disk.throttling}"))
        drives.append(("labkey", "key.raw", "format=raw,readonly=on"))
        ports = [(self.port, 22), *self.forwards]
        return [
            "qemu-system-x86_64",
            *accelerator,
            *("-smp", str(self.processors), "-m", f"{self.memory // 1024**2}M"),
            *("-display", "none", "-monitor", "none", "-no-reboot"),
            # Without append=on each start would empty the file: a panic would be gone when its machine has restarted.
            *("-chardev", f"file,id=console,path={self.console},append=on", "-serial", "chardev:console"),
            *("-kernel", str(now.kernel), "-initrd", str(now.initrd)),
            *("-append", f"{now.arguments} {self.append}".strip()),
            *("-netdev", ",".join(["user,id=net", *(f"hostfwd=tcp:127.0.0.1:{ours}-:{its}" for ours, its in ports)])),
            *("-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"),
            *(
                word
                for serial, file, options in drives
                for word in (
                    *("-drive", f"if=none,id={serial},file={self.place / file},{options}"),
                    *("-device", f"virtio-blk-pci,drive={serial},serial={serial}"),
                )
            ),
            *self.qemu_options,
        ]

    def prepare(self) -> None:
        """Make the disks and the key."""
        self.place.mkdir(parents=True, exist_ok=True)
        _run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.image.disk, self.place / "root.qcow2")
        for number, disk in enumerate(self.disks):
            with open(self.place / f"lab{number}.raw", "wb") as file:
                file.truncate(disk.size)
            if disk.filesystem:
                _run(f"mkfs.{disk.filesystem}", "-q", self.place / f"lab{number}.raw")
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", self.key)
        public = self.key.with_suffix(".pub").read_bytes()
        (self.place / "key.raw").write_bytes(public.ljust(65536, b"\0"))

    def start(self) -> None:
        """Start the machine; it goes on when this program ends."""
        self.save()
        # Before the keeper runs: who waits from now on must not read what an earlier start has left.
        self.begin()
        with open(self.place / "qemu.log", "ab") as log:
            self.pid = subprocess.Popen(
                [sys.executable, str(KEEPER), str(self.place)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            ).pid  # fmt: skip
        self.save()

    def begin(self) -> None:
        """Write to the console that the machine starts now."""
        with open(self.console, "ab") as console:
            console.write(STARTS)

    def said(self) -> bytes:
        """Return what the machine wrote to its console since it was started or restarted the last time."""
        return self.console.read_bytes().rpartition(STARTS)[2]

    def keep_console(self) -> None:
        """Copy the console to where it is found when the machine has been taken away; only the newest stay there."""
        CONSOLES.mkdir(parents=True, exist_ok=True)
        # There is none where the machine was never started; another run may remove the same old ones.
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(self.console, self.kept_console)
            for old in sorted(CONSOLES.glob("*.log"), key=os.path.getmtime)[:-KEPT_CONSOLES]:
                old.unlink()

    def running(self) -> bool:
        """Return whether the machine's keeper lives (and reap it where it was ours and has ended)."""
        if not self.pid:
            return False
        try:
            ended, _status = os.waitpid(self.pid, os.WNOHANG)
            return ended == 0
        except ChildProcessError:
            return str(self.place).encode() in _command_line(self.pid)

    def ssh(self, *command: str) -> list[str]:
        """Return the command that runs another one in the machine."""
        to = ["ssh", *SSH_OPTIONS, "-i", str(self.key), "-p", str(self.port), "root@127.0.0.1"]
        return [*to, *command]

    def run(self, script: str, check: bool = True, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the machine. Raises LabError where it hangs, and where it fails if check is set."""
        try:
            done = subprocess.run(
                self.ssh("sh", "-eu", "-s"), input=script, capture_output=True, text=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            said = f"in {self.image.name}: {script.strip()[:200]!r} did not end within {seconds:.0f} s"
            raise LabError(f"{said}:\n{self.told()}") from None
        if check and done.returncode:
            raise LabError(f"in {self.image.name}: exit status {done.returncode}: {done.stderr.strip() or done.stdout}")
        return done

    def answer(self, *command: str, seconds: float = 60) -> str:
        """Return what a command in the machine prints; empty where the machine does not answer in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(
                self.ssh(*command),
                capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=seconds,
            ).stdout.strip()  # fmt: skip
        return ""

    def wait(self, seconds: float = BOOT_SECONDS) -> None:
        """Wait until the machine has booted. Raises LabError with the end of its console where it does not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.running():
                raise LabError(f"{self.image.name} ended while it booted:\n{self.told()}")
            if STOPPED in self.said()[-4096:]:
                raise LabError(f"the kernel of {self.image.name} stopped:\n{self.told()}")
            left = max(1.0, end - time.monotonic())
            if self.answer("systemctl", "is-system-running", "--wait", seconds=left) in ("running", "degraded"):
                return
            time.sleep(1)
        raise LabError(f"{self.image.name} did not boot within {seconds:.0f} s:\n{self.told()}")

    def told(self, lines: int = 40) -> str:
        """Return the end of what qemu and the console wrote, every earlier panic, and where all of it is."""
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in (self.place / "qemu.log", self.console)
                 if path.exists()]  # fmt: skip
        told = "".join(texts).splitlines()
        panics = [line for line in told[:-lines] if "Kernel panic" in line]
        where = f"(the whole console: {self.console}; {self.kept_console} when the machine has been taken away)"
        return "\n".join([*panics, *told[-lines:], where])

    def boot_id(self) -> str:
        """Return the name of the current boot; empty while the machine does not answer."""
        return self.answer("cat", "/proc/sys/kernel/random/boot_id")

    def reboot(self, seconds: float = BOOT_SECONDS) -> None:
        """Restart the machine and wait until it is up again. Raises LabError where it does not come back."""
        before = self.boot_id()
        self.answer("systemctl", "reboot")
        self.wait_for_other_boot(before, seconds)

    def wait_for_other_boot(self, before: str, seconds: float = BOOT_SECONDS) -> None:
        """Wait until the machine is up in another boot than before. Raises LabError where that does not happen."""
        end = time.monotonic() + seconds
        while self.boot_id() in ("", before):
            if time.monotonic() > end or not self.running():
                raise LabError(f"{self.image.name} did not come back:\n{self.told()}")
            time.sleep(1)
        self.wait(max(1.0, end - time.monotonic()))

    def cut(self) -> None:
        """Cut the power: the machine's process is ended, and what it had not written is lost."""
        if self.running():
            os.kill(self.pid, signal.SIGTERM)
            while self.running():
                time.sleep(0.1)

    def stop(self, seconds: float = 60) -> None:
        """Switch the machine off; where it hangs, cut its power."""
        if self.running():
            self.answer("systemctl", "poweroff")
            end = time.monotonic() + seconds
            while self.running() and time.monotonic() < end:
                time.sleep(0.2)
            self.cut()


def _command_line(pid: int) -> bytes:
    """Return the command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def machine(name: str, **options) -> Iterator[Machine]:
    """Give a booted machine and take it away afterwards, with everything it wrote but its console."""
    with tempfile.TemporaryDirectory(prefix=f"lab-{name}-") as place:
        one = Machine(image(name), Path(place), **options)
        one.prepare()
        one.start()
        try:
            one.wait()
            yield one
        finally:
            one.stop()
            one.keep_console()


def ansible_host(one: Machine) -> dict[str, str]:
    """Return the variables with which Ansible reaches the machine."""
    return {
        "ansible_host": "127.0.0.1",
        "ansible_port": str(one.port),
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(one.key),
        "ansible_ssh_common_args": shlex.join(SSH_OPTIONS),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
