# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a guest of the lab, as root: the programs of the experiments, and the one that watches what they do.

`guest.py install` writes the units, those named as UNIT=COMMAND with another command of this file; `guest.py drive
EXPERIMENT SECONDS` starts those of an experiment, looks four times a second, and prints what it saw as a line of JSON;
`guest.py stop EXPERIMENT` stops those that were left running.
Python 3.9 and newer (Debian 11), standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import mmap
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time

MIB = 1024**2
PLACE = "/run/effects"
SLOW = "/srv/slow"
UNITS = "/etc/systemd/system"
CGROUPS = "/sys/fs/cgroup/system.slice"
STEP = 0.25  # seconds between two looks
MCL_CURRENT_AND_FUTURE = 3  # mlockall(2)

# unit: command of this file, further lines of its [Service] section. The roles are applied to these units.
SERVICES = {
    # A program that writes faster than its disk takes it, and one beside it that reads a little now and then.
    "writer": (f"write {SLOW}/written 512", ""),
    "direct-writer": (f"write {SLOW}/written 512 direct", ""),
    "reader": (f"read {SLOW}/read 32", ""),
    # A program that never gives back, and one that uses all of its memory again and again.
    "leaky": ("leak 4", "OOMPolicy=continue\nRestart=no"),
    "innocent": ("use 60", ""),
    # Two servers that hold what they need, and one that starts workers without measure.
    "first": ("serve first 150", "OOMPolicy=continue"),
    "second": ("serve second 150", "OOMPolicy=continue"),
    "bursty": ("burst 12 40", "OOMPolicy=continue\nRestart=no"),
    # A server whose limit is too low for it, and one that reserves what it holds.
    "tight": ("serve tight 56", "OOMPolicy=continue\nRestart=on-failure\nRestartSec=2"),
    "reserving": ("serve reserving 200", "Restart=on-failure\nRestartSec=2"),
    # Takes all there is, at once.
    "hog": ("leak 256", "Restart=no"),
}


# Programs


def hold(size):
    """Return so many MiB of its own that are really there. Without the flags Python would share them, as tmpfs does."""
    area = mmap.mmap(-1, size * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block = os.urandom(MIB)
    for _number in range(size):
        area.write(block)
    return area


def write(path, size, mode="buffered"):
    """Write to a file of so many MiB without end, through the page cache or beside it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_DIRECT if mode == "direct" else 0), 0o600)
    block = mmap.mmap(-1, MIB)
    block.write(os.urandom(4096) * 256)
    number = 0
    while True:
        os.pwrite(handle, block, number % int(size) * MIB)
        number += 1


def read(path, size):
    """Read small pieces of a file that is not in the cache, for ever, and tell how long each took."""
    with open(path, "wb") as file:
        file.write(os.urandom(int(size) * MIB))
        file.flush()
        os.fsync(file.fileno())
    handle = os.open(path, os.O_RDONLY)
    chosen = random.Random(1)
    with open(f"{PLACE}/reads", "w", buffering=1, encoding="ascii") as told:
        while True:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            started = time.monotonic()
            os.pread(handle, 64 * 1024, chosen.randrange(int(size) * 16) * 64 * 1024)
            told.write(f"{time.monotonic() - started:.6f}\n")
            time.sleep(0.1)


def leak(step):
    """Take so many MiB each second and never look at them again."""
    held = []
    while True:
        held.append(hold(int(step)))
        time.sleep(1)


def use(size):
    """Touch each page of so many MiB again and again."""
    area = hold(int(size))
    while True:
        for page in range(0, len(area), 4096):
            area[page] = (area[page] + 1) % 256
        time.sleep(0.2)


def serve(name, size):
    """Hold so many MiB and answer each question with one of them."""
    area = hold(int(size))
    path = f"{PLACE}/{name}.sock"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        while True:
            asking, _address = listening.accept()
            # Who asked may have lost patience: that is no reason to end.
            with asking, contextlib.suppress(OSError):
                asking.sendall(bytes([area[random.randrange(len(area))]]))


def burst(workers, size):
    """Start so many workers, one a second, each with so many MiB."""
    for _number in range(int(workers)):
        if os.fork() == 0:
            held = hold(int(size))
            signal.pause()
            os._exit(held[0])
        time.sleep(1)
    signal.pause()


# What is seen


def table(text):
    """Return the first number of each line."""
    return {words[0].rstrip(":"): int(words[1]) for words in map(str.split, text.splitlines()) if len(words) > 1}


def text(path):
    """Return a kernel file's text; empty where it is not there (any more)."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def stall(unit, resource):
    """Return the seconds for which some task of a unit has waited for a resource (cgroup v2, PSI)."""
    for line in text(f"{CGROUPS}/{unit}.service/{resource}.pressure").splitlines():
        if line.startswith("some"):
            return int(line.rpartition("=")[2]) / 1e6
    return None


def of_unit(unit):
    """Return what the kernel says of a unit's group; all None where the unit does not run."""
    stat = table(text(f"{CGROUPS}/{unit}.service/memory.stat"))
    current = text(f"{CGROUPS}/{unit}.service/memory.current")
    return {
        "memory": int(current) if current else None,
        "major_faults": stat.get("pgmajfault"),
        "io_stall": stall(unit, "io"),
        "memory_stall": stall(unit, "memory"),
    }


def written():
    """Return the bytes that all virtual disks have written, through the page cache or beside it (512 in a sector)."""
    disks = [line.split() for line in text("/proc/diskstats").splitlines()]
    return sum(512 * int(words[9]) for words in disks if words[2].startswith("vd"))


def look(started, units):
    """Return one look at the machine: bytes, counts, seconds."""
    memory, counters = table(text("/proc/meminfo")), table(text("/proc/vmstat"))
    return {
        "time": round(time.monotonic() - started, 3),
        "dirty": memory["Dirty"] * 1024,
        "writeback": memory["Writeback"] * 1024,
        "available": memory["MemAvailable"] * 1024,
        "swap_total": memory["SwapTotal"] * 1024,
        "commit_limit": memory["CommitLimit"] * 1024,
        "promisable": (memory["CommitLimit"] - memory["Committed_AS"]) * 1024,
        "swap_used": (memory["SwapTotal"] - memory["SwapFree"]) * 1024,
        "swapped_in": counters["pswpin"],
        "kills": counters["oom_kill"],
        "written": written(),
        "units": {unit: of_unit(unit) for unit in units},
    }


def log():
    """Return the log of the kernel."""
    return subprocess.run(["dmesg"], stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout


def mark_log(name):
    """Write a line into the log of the kernel and return it. The kernel drops some where many are written at once."""
    mark = f"effects: {name} begins at {time.time()}"
    while mark not in log():
        with open("/dev/kmsg", "w", encoding="ascii") as file:
            file.write(mark)
        time.sleep(STEP)
    return mark


def killed(logged):
    """Return in which groups tasks were killed, one for each: the kernel's own words (5.0)."""
    return re.findall(r"oom-kill:.*task_memcg=([^,]+)", logged)


def ran_out(logged):
    """Return how often the whole host ran out of memory, and not a group at its limit."""
    return len(re.findall("oom-kill:constraint=CONSTRAINT_NONE", logged))


def ask(name):
    """Return whether a server answers within a second."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1)
        try:
            asking.connect(f"{PLACE}/{name}.sock")
            return len(asking.recv(1)) == 1
        except OSError:
            return False


def main_pids(units):
    """Return the PID of each unit's main process; 0 where it does not run."""
    return {
        unit: int(subprocess.run(
            ["systemctl", "show", "-P", "MainPID", f"{unit}.service"], stdout=subprocess.PIPE, check=True
        ).stdout)
        for unit in units
    }  # fmt: skip


def systemctl(*words):
    """Run systemctl; a unit that fails is part of some experiments."""
    subprocess.run(["systemctl", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


# Experiments: the units that are there first, the ones that do the harm, the servers that are asked meanwhile


EXPERIMENTS = {
    "dirty": (("reader",), ("writer",), ()),
    "dirty_direct": (("reader",), ("direct-writer",), ()),
    "leak": (("innocent",), ("leaky",), ()),
    "burst": (("first", "second"), ("bursty",), ("first", "second")),
    "hog": ((), ("hog",), ()),
    "runaway": (("first", "second"), ("hog",), ("first", "second")),
    "limit": ((), ("tight",), ("tight",)),
    "refusal": ((), ("reserving",), ("reserving",)),
}


def install(others):
    """Write the units, some with another command (UNIT=COMMAND), and the file system on the slow disk."""
    commands = dict(other.split("=", 1) for other in others)
    for name, (command, lines) in SERVICES.items():
        command = commands.get(name, command)
        with open(f"{UNITS}/{name}.service", "w", encoding="ascii") as file:
            file.write(f"[Service]\nExecStart=/usr/bin/python3 /root/guest.py {command}\n{lines}\n")
    os.makedirs(SLOW, exist_ok=True)
    disk = "/dev/disk/by-id/virtio-lab0"
    if os.path.exists(disk):
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0", disk], check=True)
        subprocess.run(["mount", disk, SLOW], check=True)
    systemctl("daemon-reload")


def ready(unit):
    """Wait until a unit of the beginning does what it is there for."""
    marks = {"reader": f"{PLACE}/reads", "first": f"{PLACE}/first.sock", "second": f"{PLACE}/second.sock"}
    end = time.monotonic() + 120
    while unit in marks and not os.path.exists(marks[unit]) and time.monotonic() < end:
        time.sleep(0.2)
    held = {"innocent": 55 * MIB, "first": 145 * MIB, "second": 145 * MIB}.get(unit, 0)
    while (of_unit(unit)["memory"] or 0) < held and time.monotonic() < end:
        time.sleep(0.2)


def drive(name, seconds, until_kill=None, stream=False, leave=False):
    """Let an experiment happen and return what was seen.

    seconds: how long to look, at most where until_kill is given: then it ends so many seconds after the first kill.
    stream: print each look at once, while the machine lives. leave: what still runs then runs on, until `stop`.
    """
    present, harmful, servers = EXPERIMENTS[name]
    os.makedirs(PLACE, exist_ok=True)
    for unit in present:
        systemctl("start", f"{unit}.service")
        ready(unit)
    pids = main_pids(present)
    reads_before = len(text(f"{PLACE}/reads").split())
    mark = mark_log(name)
    started, seen, asked, lost = time.monotonic(), [], 0, 0
    # A server that the experiment itself starts cannot answer before it is up.
    starting = {server: 0 for server in servers if server in harmful}
    seen.append(look(started, (*present, *harmful)))
    for unit in harmful:
        systemctl("start", "--no-block", f"{unit}.service")
    end = started + seconds
    while time.monotonic() < end:
        time.sleep(STEP)
        for server in servers:
            asked += 1
            if ask(server):
                starting.pop(server, None)
            elif server in starting:
                starting[server] += 1
            else:
                lost += 1
        seen.append(look(started, (*present, *harmful)))
        if stream:
            print(json.dumps(seen[-1]), flush=True)
        if until_kill is not None and seen[-1]["kills"] > seen[0]["kills"]:
            end, until_kill = time.monotonic() + until_kill, None
    seen.append(look(started, (*present, *harmful)))
    same = {unit: bool(pid) and pid == pids[unit] for unit, pid in main_pids(present).items()}
    logged = log().rpartition(mark)[2]
    restarts = {unit: int(shown(unit, "NRestarts") or 0) for unit in harmful}
    results = {unit: shown(unit, "Result") for unit in harmful}
    if not leave:
        stop(name)
    return {
        "seen": seen,
        "reads": [float(line) for line in text(f"{PLACE}/reads").split()],
        "reads_before": reads_before,
        "killed": killed(logged),
        "ran_out": ran_out(logged),
        "asked": asked,
        # One that never answered has lost all.
        "lost": lost + sum(starting.values()),
        "survived": same,
        "restarts": restarts,
        "results": results,
    }


def stop(name):
    """Stop the units of an experiment."""
    present, harmful, _servers = EXPERIMENTS[name]
    for unit in (*harmful, *present):
        systemctl("stop", f"{unit}.service")
        systemctl("reset-failed", f"{unit}.service")


def shown(unit, name):
    """Return a property of a unit as systemd has it."""
    done = subprocess.run(
        ["systemctl", "show", "-P", name, f"{unit}.service"], stdout=subprocess.PIPE, check=True, text=True
    )
    return done.stdout.strip()


def watch_unharmed():
    """Keep the watcher out of what it watches: never killed, never waiting for its own pages."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("-1000")
    if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT_AND_FUTURE):
        raise OSError(ctypes.get_errno(), "mlockall")


PROGRAMS = {"write": write, "read": read, "leak": leak, "use": use, "serve": serve, "burst": burst}


def main():
    """Do what the command line says."""
    if len(sys.argv) > 1 and sys.argv[1] in PROGRAMS:
        return PROGRAMS[sys.argv[1]](*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    one = commands.add_parser("install")
    one.add_argument("others", nargs="*", metavar="UNIT=COMMAND")
    one = commands.add_parser("drive")
    one.add_argument("experiment", choices=EXPERIMENTS)
    one.add_argument("seconds", type=float)
    one.add_argument("--until-kill", nargs="?", type=float, const=0.0, metavar="SECONDS")
    one.add_argument("--stream", action="store_true")
    one.add_argument("--leave", action="store_true")
    one = commands.add_parser("stop")
    one.add_argument("experiment", choices=EXPERIMENTS)
    options = parser.parse_args()
    if not os.path.exists("/dev/disk/by-id/virtio-labkey"):
        sys.exit("this is no machine of the lab")
    if options.command == "install":
        return install(options.others)
    if options.command == "stop":
        return stop(options.experiment)
    watch_unharmed()
    told = drive(options.experiment, options.seconds, options.until_kill, options.stream, options.leave)
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
