# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a guest of the lab, as root: makes the memory fail in one known way.

`python3 induce.py KIND` does it, cleans up, and prints one line of JSON: what was done, how many tasks the kernel
killed. Each kind names the cause that a diagnosis is to find. Nothing here is for a machine that is needed: it refuses
to run outside the lab. Python 3.9 and newer (Debian 11), standard library only; the host imports it for its table.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import traceback

MIB = 1024**2
PAGE = 4096
F_SETPIPE_SZ = 1031  # fcntl(2)
SO_SNDBUFFORCE = 32  # socket(7)
PR_SET_NAME = 15  # prctl(2)
SYS_SET_MEMPOLICY = 238  # x86_64
MPOL_BIND = 2  # set_mempolicy(2)
MCL_CURRENT_AND_FUTURE = 3  # mlockall(2)
MADV_NOHUGEPAGE = 15  # madvise(2)
NEVER_KILL = -1000

LIBC = ctypes.CDLL(None, use_errno=True)
KINDS = {}  # name: Kind


class Kind:
    """One way to make memory fail. needs: what the machine must have; "start": it comes first, "end": it comes last.

    told_from: the first kernel that says anything about it, as (5, 15); () for all.
    """

    def __init__(self, function, cause, accepted, needs, told_from):
        self.function, self.cause, self.accepted, self.needs = function, cause, (cause, *accepted), needs
        self.told_from = told_from

    @property
    def told(self):
        """Return one sentence about it."""
        return " ".join(self.function.__doc__.split())


def kind(cause, accepted=(), needs=(), told_from=()):
    """Enter a function into the table under its own name."""

    def enter(function):
        KINDS[function.__name__] = Kind(function, cause, tuple(accepted), frozenset(needs), told_from)
        return function

    return enter


# What the machine is and says


def write(path, value):
    """Write a value to a kernel file."""
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def read(path):
    """Return the text of a kernel file."""
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def table(path):
    """Return the first number of each line of a file such as /proc/meminfo."""
    return {words[0].rstrip(":"): int(words[1]) for words in map(str.split, read(path).splitlines()) if len(words) > 1}


def total():
    """Return the memory of the machine in bytes."""
    return table("/proc/meminfo")["MemTotal"] * 1024


def available():
    """Return the memory in bytes that programs could still have."""
    return table("/proc/meminfo")["MemAvailable"] * 1024


def kills():
    """Return how many tasks the kernel has killed for want of memory."""
    return table("/proc/vmstat")["oom_kill"]


def is_v2():
    """Return whether the machine has cgroup v2 alone."""
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")


# Processes that do the harm


class Crew:
    """The processes, settings, mounts and files that one failure is made of; all end with it."""

    def __init__(self):
        self.pids = []
        self.undo = []
        self.killed = kills()

    def child(self, name, function, *arguments, adjust=0, **options):
        """Start a process with a name of its own that runs a function."""
        pid = os.fork()
        if pid == 0:
            try:
                write("/proc/self/oom_score_adj", adjust)
                LIBC.prctl(PR_SET_NAME, name.encode())
                function(*arguments, **options)
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(0)
        self.pids.append(pid)
        return pid

    def bystanders(self, count=3, size=20 * MIB):
        """Start ordinary programs that hold a little and do nothing."""
        for number in range(count):
            self.child(f"bystander{number}", hold, size)
        settle()

    def set(self, path, value):
        """Change a setting until the end. Each value is a line: some settings take nothing less."""
        before = read(path).split("\n")[0]
        write(path, f"{value}\n")
        self.undo.append(lambda: write(path, f"{before}\n"))

    def run(self, *command, undo=None):
        """Run a command; undo is the one that takes it back."""
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if undo:
            self.undo.append(lambda: subprocess.run(undo, check=False, stderr=subprocess.DEVNULL))

    def wait(self, seconds=600, wanted=1):
        """Wait until the kernel has killed that many. Raises TimeoutError where it does not."""
        end = time.monotonic() + seconds
        while kills() - self.killed < wanted:
            if time.monotonic() > end:
                raise TimeoutError(f"no OOM kill within {seconds} s; {available() // MIB} MiB are available")
            time.sleep(0.25)

    def close(self):
        """End what is left and take all settings back."""
        for pid in self.pids:
            end_child(pid)
        for step in reversed(self.undo):
            step()


def end_child(pid):
    """End a process that was started here, if the kernel has not done so."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def settle(seconds=0.5):
    """Give the others a moment to get their memory."""
    time.sleep(seconds)


def touched(size):
    """Return private memory of that size, every page of it in use."""
    return b"\xa5" * size


def hold(size):
    """Hold memory until the end."""
    held = touched(size)
    signal.pause()
    del held


def grow(step=4 * MIB, pause=0.0, limit=None):
    """Take more and more memory; at the limit, where there is one, keep it."""
    held = []
    while limit is None or len(held) * step < limit:
        held.append(touched(step))
        if pause:
            time.sleep(pause)
    signal.pause()


def grow_to_share(share, **options):
    """Grow to a share of the machine's memory."""
    grow(limit=int(total() * share), **options)


def grow_locked(size):
    """Lock all memory, and grow."""
    if LIBC.mlockall(MCL_CURRENT_AND_FUTURE):
        raise OSError(ctypes.get_errno(), "mlockall")
    grow(limit=size)


def grow_on_node(node):
    """Grow on one node only, by memory policy."""
    mask = ctypes.c_ulong(1 << node)
    if LIBC.syscall(SYS_SET_MEMPOLICY, MPOL_BIND, ctypes.byref(mask), 64):
        raise OSError(ctypes.get_errno(), "set_mempolicy")
    grow()


def grow_in(group):
    """Enter a cgroup, and grow."""
    write(f"{group}/cgroup.procs", os.getpid())
    grow()


def fill_file(path, size):
    """Write a file of a size."""
    with open(path, "wb") as file:
        for _number in range(size // MIB):
            file.write(touched(MIB))
            file.flush()


def grow_sockets():
    """Fill a socket that nobody reads, in pieces that the slab allocator serves, until somebody is killed."""
    writer, reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    writer.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2**30 - 1)
    writer.setblocking(False)
    before, piece, sent = kills(), b"\xa5" * 3400, 0
    while sent % 64 or kills() == before:
        writer.send(piece)
        sent += 1
    settle(1)
    reader.close()


def pipes():
    """Give pipes without end, each as a pair of descriptors."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (200_000, 200_000))
    while True:
        yield os.pipe()


def grow_pipes():
    """Fill pipes that nobody reads: their pages are in no counter of the kernel. Ends when somebody is killed."""
    before, piece = kills(), b"\xa5" * (16 * PAGE)
    for number, (_reader, writer) in enumerate(pipes()):
        os.write(writer, piece)
        if number % 8 == 0 and kills() != before:
            break
    settle(1)


def fragment():
    """Scatter free memory in single pages between pages that cannot move, then ask for blocks of eight pages."""
    before, piece = kills(), b"\xa5" * PAGE
    freed, kept = [], []
    source = pipes()
    while available() > 0.12 * total() and kills() == before:
        one, other = next(source), next(source)
        for _page in range(16):
            os.write(one[1], piece)
            os.write(other[1], piece)
        freed.append(one)
        kept.append(other)
    for reader, _writer in freed:
        os.read(reader, 16 * PAGE)
    # A pipe of 512 slots has an array of 20 KiB, which takes a block of eight pages.
    while kills() == before:
        _reader, writer = next(source)
        fcntl.fcntl(writer, F_SETPIPE_SZ, 512 * PAGE)
    settle(1)


def grow_page_tables():
    """Read one page in each 2 MiB of a large mapping: the zero page costs nothing, its page table does."""
    size = 64 * 1024 * MIB
    private, anonymous, no_reserve = 0x02, 0x20, 0x4000
    area = mmap.mmap(-1, size, flags=private | anonymous | no_reserve, prot=mmap.PROT_READ)
    area.madvise(MADV_NOHUGEPAGE)
    for offset in range(0, size, 2 * MIB):
        area[offset]
    signal.pause()


def ask_too_much():
    """Ask for more than strict accounting grants, again and again."""
    for _number in range(3):
        try:
            mmap.mmap(-1, 16 * total(), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError:
            pass
        time.sleep(0.2)


# Units: what systemd starts is this file again, as a body


def workers_of_a_unit():
    """Start three workers in this unit; the last one grows."""
    for number in range(3):
        if os.fork() == 0:
            LIBC.prctl(PR_SET_NAME, b"shop-worker")
            hold(12 * MIB) if number < 2 else grow(step=MIB)
    signal.pause()


BODIES = {
    "grow": grow,
    "slow": lambda: grow(step=MIB, pause=0.02),
    "files": lambda: fill_file("/dev/shm/induced", total()),
    "workers": workers_of_a_unit,
}


def unit(crew, name, body, *properties, slice_name=None):
    """Start a transient unit that runs a body."""
    options = [f"--property={one}" for one in properties]
    if slice_name:
        options.append(f"--slice={slice_name}")
    started = ["systemd-run", "--quiet", "--collect", f"--unit={name}", *options]
    crew.run(*started, sys.executable, os.path.abspath(__file__), "--body", body, undo=["systemctl", "stop", name])


# The failures


@kind("runaway_process")
def global_hog(crew):
    """One program takes all memory of the machine; there is no swap."""
    crew.bystanders()
    crew.child("leaker", grow)
    crew.wait()


@kind("runaway_process", needs=["swap"])
def global_hog_swap(crew):
    """One program takes all memory, and all of a small swap file."""
    swap_file(crew, 64)
    crew.bystanders()
    crew.child("leaker", grow)
    crew.wait()


@kind("too_many_workers")
def global_workers(crew):
    """Sixteen workers of one name share the memory; each of them is small."""
    for _number in range(16):
        crew.child("worker", grow_to_share, 0.08, step=MIB, pause=0.02)
    crew.wait()


@kind("undersized_memory")
def global_spread(crew):
    """Ten programs of different names and ordinary sizes need more than there is; there is no swap."""
    names = ("database", "webserver", "search", "queue", "mailer", "cache", "monitor", "builder", "proxy", "backup")
    for name in names:
        crew.child(name, grow_to_share, 0.11, step=MIB, pause=0.02)
    crew.wait()


# Not swap_exhausted: that is for full swap which nothing else explains, and here the programs explain it.
@kind("undersized_memory", needs=["swap"])
def global_spread_swap(crew):
    """Ten programs of different names need more than memory and swap together."""
    swap_file(crew, 96)
    names = ("database", "webserver", "search", "queue", "mailer", "cache", "monitor", "builder", "proxy", "backup")
    for name in names:
        crew.child(name, grow_to_share, 0.16, step=MIB, pause=0.02)
    crew.wait()


@kind("anonymous_growth")
def global_leak(crew):
    """A protected program leaks slowly; others die in its place, one after another, and each report shows it larger."""
    crew.bystanders(count=4, size=int(total() * 0.06))
    crew.child("leaker", grow, adjust=-900, step=MIB, pause=0.02)
    crew.wait(wanted=3)


@kind("cgroup_limit", needs=["cgroup"])
def cgroup_hog(crew):
    """A service grows beyond its MemoryMax; the machine has plenty."""
    unit(crew, "shop", "grow", "MemoryMax=64M")
    crew.wait()


@kind("cgroup_limit", needs=["cgroup"])
def cgroup_loop(crew):
    """A leaking service is killed at its MemoryMax and started anew, three times."""
    unit(crew, "shop", "slow", "MemoryMax=48M", "Restart=always", "RestartSec=1", "StartLimitBurst=10")
    crew.wait(wanted=3)


@kind("cgroup_limit", needs=["cgroup"])
def cgroup_slice(crew):
    """The limit of a slice, not that of the service in it, is met."""
    crew.run("systemctl", "set-property", "--runtime", "shop.slice", "MemoryMax=64M",
             undo=["systemctl", "revert", "shop.slice"])  # fmt: skip
    unit(crew, "shop-web", "grow", slice_name="shop.slice")
    crew.wait()


@kind("shared_memory", accepted=["cgroup_limit"], needs=["cgroup"])
def cgroup_tmpfs(crew):
    """A service fills a tmpfs until its MemoryMax is met: killing it does not free the files."""
    crew.undo.append(lambda: os.path.exists("/dev/shm/induced") and os.unlink("/dev/shm/induced"))
    unit(crew, "shop", "files", "MemoryMax=48M")
    crew.wait()


@kind("cgroup_limit", needs=["v2"])
def cgroup_group_kill(crew):
    """A service with OOMPolicy=kill meets its limit: all of its tasks die together (memory.oom.group)."""
    unit(crew, "shop", "workers", "MemoryMax=80M", "OOMPolicy=kill")
    crew.wait(wanted=3)


# A writer in a small cgroup v1 on a slow disk kills nobody: on 5.10 reclaim waited for the disk instead, over a minute.
@kind("dirty_pages", needs=["disk"])
def global_dirty(crew):
    """Dirty pages fill most of memory when their disk stops answering, and programs want memory."""
    disk = os.path.realpath("/dev/disk/by-id/virtio-lab0")
    crew.run("dmsetup", "create", "stalling", "--table", f"0 {sectors(disk)} linear {disk} 0",
             undo=["dmsetup", "remove", "--deferred", "stalling"])  # fmt: skip
    crew.run("udevadm", "settle")
    crew.run("mkfs.ext4", "-q", "-F", "/dev/mapper/stalling")
    mount(crew, "/dev/mapper/stalling", "/mnt/stalling")
    crew.set("/proc/sys/vm/dirty_ratio", 95)
    crew.set("/proc/sys/vm/dirty_background_ratio", 90)
    crew.set("/proc/sys/vm/dirty_expire_centisecs", 360000)
    fill_file("/mnt/stalling/induced", int(available() * 0.75))
    crew.run("dmsetup", "suspend", "--nolockfs", "--noflush", "stalling", undo=["dmsetup", "resume", "stalling"])
    for number in range(4):
        crew.child(f"worker{number}", grow, step=MIB)
    crew.wait()


@kind("node_constraint", needs=["numa"])
def cpuset(crew):
    """A program in a cpuset of one node takes all of that node; the other has plenty."""
    top = "/sys/fs/cgroup" if is_v2() else "/sys/fs/cgroup/cpuset"
    if is_v2():
        write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset")
    group = f"{top}/pinned"
    os.makedirs(group, exist_ok=True)
    write(f"{group}/cpuset.cpus", "0")
    write(f"{group}/cpuset.mems", "1")
    crew.undo.append(lambda: os.rmdir(group))
    crew.child("leaker", grow_in, group)
    crew.wait()


@kind("node_constraint", needs=["numa"])
def mempolicy(crew):
    """A program bound to one node by set_mempolicy takes all of that node."""
    crew.child("leaker", grow_on_node, 1)
    crew.wait()


@kind("mlocked_memory")
def mlocked(crew):
    """A protected program has locked most of memory; another one then wants some."""
    crew.bystanders(count=2)
    crew.child("locker", grow_locked, int(available() * 0.8), adjust=NEVER_KILL)
    settle(4)
    crew.child("worker", grow, step=MIB)
    crew.wait()


@kind("shared_memory")
def tmpfs(crew):
    """Files in a tmpfs fill most of memory; a program then wants some."""
    mount(crew, "-t", "tmpfs", "-o", "size=95%", "tmpfs", "/mnt/files")
    fill_file("/mnt/files/held", int(available() * 0.8))
    crew.bystanders(count=2)
    crew.child("worker", grow, step=MIB)
    crew.wait()


@kind("kernel_memory")
def slab(crew):
    """Messages that nobody reads fill the slab."""
    crew.bystanders()
    crew.child("holder", grow_sockets, adjust=NEVER_KILL)
    crew.wait()


@kind("unaccounted_memory")
def unaccounted(crew):
    """Pipe buffers fill memory: the kernel counts them nowhere."""
    crew.bystanders()
    crew.child("holder", grow_pipes, adjust=NEVER_KILL)
    crew.wait()


@kind("fragmentation")
def fragmented(crew):
    """Half of memory is free, but in single pages, when blocks of eight are wanted."""
    crew.bystanders()
    crew.child("holder", fragment, adjust=NEVER_KILL)
    crew.wait()


@kind("page_tables")
def page_tables(crew):
    """Workers map much and use little of it: their page tables fill memory."""
    for _number in range(8):
        crew.child("mapper", grow_page_tables)
    crew.wait()


@kind("hugepages_reserved", needs=["start"])
def hugepages(crew):
    """Much of memory is set aside as huge pages that nobody uses, and programs do not find room."""
    wanted = int(total() * 0.6) // (2 * MIB)
    crew.set("/proc/sys/vm/nr_hugepages", 0)
    for _number in range(20):  # memory is in pieces: each try moves some of them
        write("/proc/sys/vm/drop_caches", 3)
        write("/proc/sys/vm/compact_memory", 1)
        write("/proc/sys/vm/nr_hugepages", wanted)
        if table("/proc/meminfo")["HugePages_Total"] == wanted:
            break
    else:
        raise OSError(f"only {table('/proc/meminfo')['HugePages_Total']} of {wanted} huge pages were to be had")
    for number in range(6):
        crew.child(f"service{number}", grow_to_share, 0.08, step=MIB, pause=0.02)
    crew.wait()


@kind("runaway_process")
def allocating_task(crew):
    """With oom_kill_allocating_task the small one that asks dies, not the large one."""
    crew.set("/proc/sys/vm/oom_kill_allocating_task", 1)
    crew.child("leaker", grow, step=MIB, limit=int(available() * 0.8))
    settle(3)
    for number in range(3):
        crew.child(f"bystander{number}", grow, step=MIB, pause=0.02)
    crew.wait()


@kind("runaway_process")
def no_task_table(crew):
    """With vm.oom_dump_tasks=0 the report has no list of tasks."""
    crew.set("/proc/sys/vm/oom_dump_tasks", 0)
    crew.child("leaker", grow)
    crew.wait()


@kind("manual_trigger")
def sysrq(crew):
    """Somebody asks for a kill with the magic SysRq key f; memory is free."""
    crew.child("leaker", hold, int(available() * 0.3))
    settle(2)
    write("/proc/sysrq-trigger", "f")
    crew.wait()


@kind("overcommit_limit", told_from=(5, 15))
def overcommit(crew):
    """Strict accounting refuses a request (the kernel prints it from 5.15 on); nothing is killed."""
    crew.set("/proc/sys/vm/overcommit_memory", 2)
    crew.child("database", ask_too_much)
    settle(2)


@kind("runaway_process", needs=["end"])
def panic(crew):
    """One program takes all memory, and vm.panic_on_oom stops the machine."""
    crew.bystanders()
    write("/proc/sys/vm/panic_on_oom", 1)
    crew.child("leaker", grow)
    crew.wait()


@kind("runaway_process", accepted=["unexplained"])
def ring_overflow(crew):
    """The report of one large program lost its beginning: the kernel's ring buffer was too small for what followed."""
    crew.bystanders()
    crew.child("leaker", grow)
    crew.wait()
    settle(1)
    crew.set("/proc/sys/kernel/printk_devkmsg", "on")
    for number in range(2000):
        log = subprocess.run(["dmesg"], stdout=subprocess.PIPE, check=True).stdout
        if b"invoked oom-killer" not in log and b"Mem-Info" not in log:
            break
        for line in range(20):
            write("/dev/kmsg", f"lab: message {number}.{line} {'.' * 160}\n")


def swap_file(crew, size):
    """Add a swap file of a size in MiB."""
    path = "/swap.induced"
    crew.undo.append(lambda: os.unlink(path))
    crew.run("dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={size}")
    os.chmod(path, 0o600)
    crew.run("mkswap", path)
    crew.run("swapon", path, undo=["swapoff", path])


def mount(crew, *arguments):
    """Mount something until the end; the directory is made."""
    os.makedirs(arguments[-1], exist_ok=True)
    crew.run("mount", *arguments, undo=["umount", "--lazy", arguments[-1]])


def sectors(disk):
    """Return the size of a disk in sectors of 512 bytes."""
    return int(read(f"/sys/class/block/{os.path.basename(disk)}/size"))


def in_the_lab():
    """Return whether this is a guest of the lab, and not a machine that somebody needs."""
    return read("/proc/sys/kernel/hostname").strip() == "lab" and os.path.exists("/dev/disk/by-id/virtio-labkey")


def main():
    """Make memory fail as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="?", choices=sorted(KINDS))
    parser.add_argument("--body", choices=sorted(BODIES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not in_the_lab():
        parser.error("this is no guest of the lab, and this makes a machine run out of memory: nothing was done")
    if options.body:
        LIBC.prctl(PR_SET_NAME, f"shop-{options.body}".encode())
        BODIES[options.body]()
        return 0
    if not options.kind:
        for name, one in KINDS.items():
            print(f"{name:18} {one.cause:20} {one.told}")
        return 0
    # This program looks on while memory runs out: were its own pages read again and again, it would take minutes.
    write("/proc/self/oom_score_adj", NEVER_KILL)
    LIBC.mlockall(MCL_CURRENT_AND_FUTURE)
    started, crew = time.time(), Crew()
    said = {"kind": options.kind, "memory": total(), "started": started, "cgroups": "v2" if is_v2() else "v1"}
    try:
        KINDS[options.kind].function(crew)
    except (TimeoutError, OSError, subprocess.CalledProcessError) as error:
        said["failed"] = str(error)
    finally:
        settle(1)
        crew.close()
        said["kills"] = kills() - crew.killed
    said["seconds"] = round(time.time() - started, 1)
    print(json.dumps(said))
    return 1 if "failed" in said else 0


if __name__ == "__main__":
    sys.exit(main())
