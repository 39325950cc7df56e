# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The experiments that compare machines: the same failure, on a machine without a remedy and on some with it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import machines
import play

GUEST = Path(__file__).resolve().with_name("guest.py")
MIB = 1024**2


@dataclass(frozen=True)
class Variant:
    """One machine of an experiment. drive: what guest.py lets happen; role and variables: what is applied before.

    earlier: commands of the guest, for what had happened before the role came.
    """

    name: str
    drive: str
    role: str = ""
    variables: dict = field(default_factory=dict)
    earlier: str = ""


@dataclass(frozen=True)
class Experiment:
    """An experiment: its machines, for how long they are watched, and which numbers tell what happened."""

    title: str
    setting: str
    variants: tuple[Variant, ...]
    numbers: Callable[[dict], dict]
    plotted: tuple[str, ...]
    seconds: float
    memory: int = 1024 * MIB
    disks: tuple[machines.Disk, ...] = ()
    until_kill: bool = False


# What the numbers are made of


def growth(seen: list[dict], take: Callable[[dict], float | None]) -> float:
    """Return by how much a counter grew between the first and the last look at which it was there."""
    values = [value for value in map(take, seen) if value is not None]
    return values[-1] - values[0] if values else 0


def seconds(seen: list[dict]) -> float:
    """Return for how long was looked."""
    return seen[-1]["time"] - seen[0]["time"]


def of_dirty(told: dict) -> dict:
    """Return how much waited to be written, and how the reader fared."""
    seen, during = told["seen"], told["reads"][told["reads_before"] :]
    stalled = growth(seen, lambda look: look["units"]["reader"]["io_stall"])
    return {
        "peak of dirty + writeback (bytes)": max(look["dirty"] + look["writeback"] for look in seen),
        "reader stalled on io (share of the time)": round(stalled / seconds(seen), 3),
        "reads done": len(during),
        "longest read (seconds)": max(during, default=None),
        "written to disk (bytes)": growth(seen, lambda look: look["written"]),
    }


def of_leak(told: dict) -> dict:
    """Return when the OOM killer came, and what the innocent program felt."""
    seen = told["seen"]
    killed = next((look["time"] for look in seen if look["kills"] > seen[0]["kills"]), None)
    return {
        "OOM killer after (seconds; none: not while it was watched)": killed,
        "watched for (seconds)": seconds(seen),
        "peak of swap used (bytes)": max(look["swap_used"] for look in seen),
        "pages swapped in (a second)": round(growth(seen, lambda look: look["swapped_in"]) / seconds(seen), 1),
        "innocent: major faults (a second)": round(
            growth(seen, lambda look: look["units"]["innocent"]["major_faults"]) / seconds(seen), 1
        ),
        "leaky service restarted": told["restarts"]["leaky"],
    }


def of_burst(told: dict) -> dict:
    """Return who was killed, and what was lost."""
    seen = told["seen"]
    return {
        "tasks killed": seen[-1]["kills"] - seen[0]["kills"],
        "servers that survived": sum(told["survived"].values()),
        "requests to the servers": told["asked"],
        "requests lost": told["lost"],
        "bursting service restarted": told["restarts"]["bursty"],
        "bursting service ended as": told["results"]["bursty"],
    }


SLOW_DISK = machines.Disk(1024 * MIB, limit=4 * MIB)
DIRTY = {"dirty_throttle_bytes": 16 * MIB, "dirty_throttle_background_bytes": 8 * MIB}
WRITER = {
    "dirty_throttle_limits": [
        {"unit": unit, "path": "/srv/slow", "write_bandwidth": "2M"}
        for unit in ("writer.service", "direct-writer.service")
    ]
}
# The writer had run already: its file is in the page cache and belongs to its first control group, which is gone.
RAN = """
fallocate -l 512M /srv/slow/written
sysctl -q -w vm.dirty_ratio=90 vm.dirty_background_ratio=80
systemctl start writer
for try in $(seq 600); do
  if awk '/^Dirty/ {exit $2 < 400000}' /proc/meminfo; then break; fi
  sleep 1
done
test $try -lt 600
systemctl stop writer
sysctl -q -w vm.dirty_ratio=20 vm.dirty_background_ratio=10
sync
"""
NEW_FILE = """
mkdir -p /etc/systemd/system/writer.service.d
printf '[Service]\\nExecStartPre=rm -f /srv/slow/written\\n' > /etc/systemd/system/writer.service.d/10-admin.conf
systemctl daemon-reload
"""
SWAP = {"swap_tuning_files": [{"path": "/swapfile-effects", "size": "384M"}], "swap_tuning_swappiness": 60}
# Every 40 s is more often than the role allows by itself: a day of the article in the minutes of the experiment.
RESTARTS = {
    "swap_tuning_restarts": [{"unit": "leaky.service", "runtime_max": "40s", "restart": "always"}],
    "swap_tuning_force": True,
}
LIMIT = {"cgroup_memory_limit_units": {"bursty.service": {"MemoryMax": "192M"}}}
# Killed as a whole and started anew, in bounds.
BOUNDED = {
    "cgroup_memory_limit_units": {
        "bursty.service": {
            "MemoryMax": "192M",
            "OOMPolicy": "kill",
            "Restart": "on-failure",
            "RestartSec": 1,
            "StartLimitIntervalSec": "1h",
            "StartLimitBurst": 3,
        }
    }
}

EXPERIMENTS = {
    "dirty_throttle": Experiment(
        title="A program that writes faster than its disk takes it",
        setting="1 GiB of memory; a disk of 4 MiB/s for reads and writes together; a second program reads 64 KiB now "
        "and then from the same disk.",
        variants=(
            Variant("without", "dirty"),
            Variant("dirty bytes", "dirty", "dirty_throttle", DIRTY),
            Variant("dirty bytes, writer started again", "dirty", "dirty_throttle", DIRTY, RAN),
            Variant(
                "dirty bytes, writer started again with a new file", "dirty", "dirty_throttle", DIRTY, RAN + NEW_FILE
            ),
            Variant("dirty bytes, writer limited", "dirty", "dirty_throttle", {**DIRTY, **WRITER}),
            Variant("direct, without", "dirty_direct"),
            Variant("direct, writer limited", "dirty_direct", "dirty_throttle", WRITER),
        ),
        numbers=of_dirty,
        plotted=("dirty + writeback", "reader: stalled on io"),
        seconds=40,
        disks=(SLOW_DISK,),
    ),
    "swap_tuning": Experiment(
        title="A service that leaks slowly",
        setting="512 MiB of memory; the service takes 4 MiB each second and never looks at them again; a second one "
        "uses 60 MiB again and again.",
        variants=(
            Variant("without", "leak"),
            Variant("swap file", "leak", "swap_tuning", SWAP),
            Variant("scheduled restarts", "leak", "swap_tuning", {**SWAP, **RESTARTS}),
        ),
        numbers=of_leak,
        plotted=("available", "swap used"),
        seconds=300,
        memory=512 * MIB,
        until_kill=True,
    ),
    "cgroup_memory_limit": Experiment(
        title="A service that starts workers without measure, beside two that are larger than each of them",
        setting="768 MiB of memory; two servers hold 150 MiB each and are asked four times a second; the third service "
        "starts 12 workers of 40 MiB.",
        variants=(
            Variant("without", "burst"),
            Variant("MemoryMax", "burst", "cgroup_memory_limit", LIMIT),
            Variant("MemoryMax, bounded restarts", "burst", "cgroup_memory_limit", BOUNDED),
        ),
        numbers=of_burst,
        plotted=("available", "servers: memory"),
        seconds=60,
        memory=768 * MIB,
    ),
}


def watch(one: machines.Machine, experiment: Experiment, variant: Variant) -> dict:
    """Apply what the variant is about, let the failure happen, and return what was seen."""
    subprocess.run(one.ssh("cat > /root/guest.py"), input=GUEST.read_bytes(), check=True)
    one.run("python3 /root/guest.py install")
    if variant.earlier:
        one.run(variant.earlier, seconds=1800)
    if variant.role:
        play.role(one, variant.role, variant.variables)
    until = "--until-kill" if experiment.until_kill else ""
    done = one.run(f"python3 /root/guest.py drive {variant.drive} {experiment.seconds} {until}", seconds=1800)
    return json.loads(done.stdout)


def series(told: dict) -> dict[str, list]:
    """Return what a plot can show, a list for each quantity: seconds, bytes, shares."""
    seen = told["seen"]
    found = {
        "time": [look["time"] for look in seen],
        "dirty + writeback": [look["dirty"] + look["writeback"] for look in seen],
        "available": [look["available"] for look in seen],
        "swap used": [look["swap_used"] for look in seen],
    }
    if "reader" in seen[0]["units"]:
        found["reader: stalled on io"] = shares(seen, lambda look: look["units"]["reader"]["io_stall"])
    if "first" in seen[0]["units"]:
        found["servers: memory"] = [
            sum(look["units"][name]["memory"] or 0 for name in ("first", "second")) for look in seen
        ]
    return found


def shares(seen: list[dict], take: Callable[[dict], float | None], width: int = 8) -> list[float]:
    """Return which share of the time before each look was spent in a stall, over some looks: one alone jumps."""
    found = []
    for number, look in enumerate(seen):
        before = seen[max(0, number - width)]
        ends = take(before), take(look)
        passed = look["time"] - before["time"]
        found.append(round((ends[1] - ends[0]) / passed, 3) if passed and None not in ends else 0.0)
    return found


def compare(name: str, image: str, **other: object) -> dict:
    """Run an experiment and return what was measured; other: what is not as in EXPERIMENTS, as with a shorter time."""
    experiment, variants, kernel = replace(EXPERIMENTS[name], **other), [], ""
    for variant in experiment.variants:
        with machines.machine(image, memory=experiment.memory, disks=experiment.disks) as one:
            kernel = one.run("uname -r").stdout.strip()
            told = watch(one, experiment, variant)
        numbers = experiment.numbers(told)
        print(f"{name} {image}, {variant.name}: {json.dumps(numbers)}", flush=True)
        shown = {key: values for key, values in series(told).items() if key in ("time", *experiment.plotted)}
        variants.append(
            {"name": variant.name, "role": variant.role, "variables": variant.variables, "numbers": numbers}
            | {"series": shown}
        )
    return {"title": experiment.title, "setting": experiment.setting, "kernel": kernel, "variants": variants}
