# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readings: what other tools say before, what memory_facts says, and what the tools say after, on each host.

Ansible puts the module on the hosts once, as it would for a run, and leaves it there; a reading then is one process in
the container that runs the tools, the module and the tools again, as root or as nobody, so that little moves meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import pytest
import testinfra
import yaml

RUN = os.environ["LINUX_MEMORY_OOM_RUN"]
PLATFORMS = yaml.safe_load(Path(os.environ["MOLECULE_FILE"]).read_text(encoding="utf-8"))["platforms"]
USERS = ("root", "nobody")
PLACE = "/var/tmp/memory-facts"

# The module's arguments: as they are by default, and with those that change what it does.
VARIANTS = {"plain": "", "sampled": "sample_seconds=2 top=8 process_arguments=true"}

# How often a reading is repeated before a difference is taken for a fault: other work moves memory between the two
# looks of the tools, back and forth, so that a right value can lie outside them; a wrong one does so each time.
ATTEMPTS = 5

# What does not move: looked at before the module runs.
STEADY = {
    "swapon": "swapon --bytes --show=NAME,TYPE,SIZE,USED,PRIO --raw --noheadings",
    "sysctl": "sysctl -a",
    "findmnt": "findmnt --json --list -o TARGET,SOURCE,FSTYPE,OPTIONS,MAJ:MIN",
}

# What moves: looked at before and after.
MOVING = {
    "free": "free -b -w",
    "vmstat": "vmstat -s",
    "counters": "cat /proc/vmstat",
    "meminfo": "cat /proc/meminfo",
    "pressure": "cd /proc/pressure && grep . memory io cpu",
    "diskstats": "cat /proc/diskstats",
    "ps": "ps -e -ww -o pid=,uid=,nlwp=,rss=,etimes=,unit=,comm=",
    "df": "df --block-size=1 --output=target,size,used,avail",
    "date": "date +%s.%N",
    "uptime": "cat /proc/uptime",
}

READER = """\
import json, os, subprocess, sys, time
steady, moving, payload, write = json.loads(sys.argv[1])
# The module unpacks itself into the directory for temporary files; in /tmp it would find itself as memory in use.
os.environ.update(LC_ALL="C", TMPDIR="/var/tmp")
def look(tools):
    said = {}
    for name, command in tools.items():
        done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        said[name] = done.stdout.decode(errors="replace")
    return said
writer = None
if write:
    writer = subprocess.Popen([sys.executable, "-c", write])
    time.sleep(0.5)
before = {**look(steady), **look(moving)}
started = time.time()
done = subprocess.run([sys.executable, payload], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
seconds = time.time() - started
after = look(moving)
if writer:
    writer.kill()
print(json.dumps({"before": before, "after": after, "seconds": seconds, "status": done.returncode,
                  "out": done.stdout.decode(), "err": done.stderr.decode()}))
"""

# A steady load on the disk below the container: a few MB a second, written through.
WRITER = """\
import os, time
file = os.open("/var/tmp/memory-facts/written", os.O_WRONLY | os.O_CREAT, 0o600)
for number in range(2000):
    os.pwrite(file, b"x" * (1 << 18), (number % 16) << 18)
    os.fdatasync(file)
    time.sleep(0.03)
"""


class Reading:
    """One reading of one host."""

    def __init__(self, said: dict) -> None:
        assert said["status"] == 0, said["out"] + said["err"]
        assert not said["err"], said["err"]
        self.before, self.after, self.seconds = said["before"], said["after"], said["seconds"]
        self.facts = json.loads(said["out"])["ansible_facts"]["linux_memory"]
        self.unavailable = self.facts["unavailable"]

    def __getitem__(self, subset: str):
        return self.facts[subset]

    def between(self, value, take, slack=0) -> None:
        """Assert that a value lies between what take(tools) gives before and after, give or take slack.

        Where slack is given the value may go up and down, and what moved while the tools looked may have moved as
        much there and back: that is allowed as well.
        """
        ends = sorted((take(self.before), take(self.after)))
        slack += ends[1] - ends[0] if slack else 0
        assert ends[0] - slack <= value <= ends[1] + slack, f"{value} is not between {ends}, slack {slack}"


@lru_cache(maxsize=None)
def constant(container: str, command: str) -> str:
    """Return what a command prints, as root, asked for once in each container."""
    return testinfra.get_host(f"podman://{container}").check_output(command)


class Host:
    """One host of the matrix, seen as one user."""

    def __init__(self, platform: dict, user: str) -> None:
        self.platform, self.user = platform, user
        self.container = f"{RUN}-{platform['name']}"
        self.testinfra = testinfra.get_host(f"podman://{self.container}")
        self.readings: dict[str, list[Reading]] = {}

    def constant(self, command: str) -> str:
        """Return what a command on the host prints, where that does not change."""
        return constant(self.container, command)

    def said(self, command: str) -> str:
        """Return what a command on the host prints, as root."""
        return self.testinfra.check_output(command)

    def read(self, variant: str) -> Reading:
        """Take one reading."""
        write = WRITER if variant == "sampled" and self.user == "root" else ""
        arguments = json.dumps([STEADY, MOVING, f"{PLACE}/{variant}.py", write])
        done = subprocess.run(
            ["podman", "exec", "--user", self.user, self.container, "python3", "-c", READER, arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Reading(json.loads(done.stdout))

    def look(self, check, variant: str = "plain") -> None:
        """Run check(reading) on a reading, and on further ones where it fails."""
        taken = self.readings.setdefault(variant, [])
        for attempt in range(ATTEMPTS):
            if attempt == len(taken):
                taken.append(self.read(variant))
            try:
                check(taken[attempt])
                return
            except AssertionError:
                if attempt == ATTEMPTS - 1:
                    raise


@pytest.fixture(scope="session")
def module_on_hosts() -> None:
    """Have Ansible put the module on each host and leave it there, one file for each variant, readable by all."""

    def put(variant: str) -> None:
        remote = f"{PLACE}/{variant}"
        done = subprocess.run(
            ["ansible", "-i", os.environ["MOLECULE_INVENTORY_FILE"], "all", "--one-line"]
            + ["-m", "linux_memory.oom.memory_facts", "-a", VARIANTS[variant]],
            env={**os.environ, "ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_REMOTE_TMP": remote, "ANSIBLE_FORKS": "4"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    with ThreadPoolExecutor() as pool:
        list(pool.map(put, VARIANTS))
    for platform in PLATFORMS:
        moves = "; ".join(f"mv {one}/ansible-tmp-*/*.py {one}.py; rm -r {one}" for one in VARIANTS)
        Host(platform, "root").said(f"sh -c 'set -e; cd {PLACE}; {moves}; chmod 0755 .; chmod 0644 *.py'")


@pytest.fixture(
    scope="session",
    params=[(platform, user) for platform in PLATFORMS for user in USERS],
    ids=lambda both: f"{both[0]['name']}-{both[1]}",
)
def host(request, module_on_hosts) -> Host:
    """Return each host of the matrix, as root and as nobody."""
    return Host(*request.param)


@pytest.fixture
def look(host):
    """Return the decorator that runs a check on the host's readings."""
    return host.look
