# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the four roles cost on hosts where everything is in place, against the same written by hand.

    bench_roles.py [--hosts 20] [--containers 1] [--rounds 3] [--forks 10] [--json build/bench_roles.json]

roles/ours.yml uses the roles; roles/by_hand.yml brings the same end state about with ansible.posix.sysctl, template,
systemd, mount and command tasks, as it is written without the collection. Each has a container of its own (or several),
and each container is so many hosts of the inventory: what changes nothing does not meet. Both have run once before
anything is measured, and a run that changes something ends the measurement. Then they take turns, and the ratio of the
medians is told, with the modules that each host had to run.

Containers are unprivileged. Their kernel's values are read-only and no swap can be on, so neither half sets a running
value: the roles read all of it and say so, the tasks write the files only (sysctl_set: false) and leave swapon out. The
roles do more than the tasks - they read back from kernel and systemd, and name what would override a file at boot - and
that is in their time. Neither gathers facts.

What is measured is not how a host is reached: podman exec takes longer than most modules do, which would only favour
whoever runs fewer of them. The hosts are made with podman's connection; then each module is given, with pipelining, to
an interpreter that enters the container (nsenter) with no more rights than the container has (setpriv). That takes less
than a module over SSH with a connection that is kept, so that a fleet's ratio is rather lower than this one. On a
machine that does other things as well the seconds of the processor say more than those of the clock: both are told.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lab"), str(ROOT / "tests" / "tools")]
import containers  # noqa: E402 - beside the lab
from collection_cache import collections  # noqa: E402
from rootfs import LabError  # noqa: E402

HERE = Path(__file__).resolve().parent / "roles"
OURS, BY_HAND = "ours", "by_hand"
# The project's goals: a share of the time, and the modules of one role on one host.
GOAL, MOST_MODULES = 0.25, 3
# A directory of the machine, so that there is a disk below a path.
FOLDER = "/usr/share/zoneinfo"
# What podman leaves to root in a container (containers.conf(5), default_capabilities).
RIGHTS = (
    "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+net_bind_service,+setfcap,+setgid,+setpcap,+setuid,+sys_chroot"
)
ORDINARY = ("ext3", "ext4", "xfs", "f2fs")


def disk() -> str:
    """Return the type of the file system below the volume where its disk can be found by a path, else nothing."""
    command = ["findmnt", "-no", "FSTYPE", "-T", FOLDER]
    kind = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return kind if kind in ORDINARY else ""


def start(names: list[str]) -> None:
    """Start the containers and wait for their systemd."""
    image = containers.image("bookworm")
    for name in names:
        options = ["--name", name, "--hostname", name[-8:].strip("-"), "--systemd=always", "--network=none"]
        options += ["--volume", f"{FOLDER}:/srv:ro", "--security-opt", "unmask=/sys/dev/block"]
        containers.podman("run", "--detach", *options, image, "/sbin/init")
    for name in names:
        subprocess.run(
            ["podman", "exec", name, "systemctl", "is-system-running", "--wait"], capture_output=True, check=False
        )


def interpreter(folder: Path, name: str) -> Path:
    """Write the program that runs Python in a container, with the rights that podman gives to whoever is root there."""
    number = containers.podman("inspect", "--format", "{{.State.Pid}}", name).stdout.strip()
    path = folder / f"python-{name}"
    enter = f"nsenter --target {number} --all -- setpriv --bounding-set {RIGHTS} -- /usr/bin/python3"
    path.write_text(f'#!/bin/sh\nexec {enter} "$@"\n', encoding="ascii")
    path.chmod(0o700)
    return path


def inventory(folder: Path, hosts: int, started: dict[str, list[str]], make: bool) -> Path:
    """Write an inventory: each container once, to be made, or so many hosts for each half, to be measured."""
    path = folder / ("made" if make else "hosts")
    lines = []
    for half, names in started.items():
        lines.append(f"[{half}]")
        if make:
            podman = "ansible_connection=containers.podman.podman ansible_python_interpreter=/usr/bin/python3"
            lines += [f"{half}{number} ansible_host={name} {podman}" for number, name in enumerate(names)]
            continue
        inside = [f"ansible_connection=local ansible_python_interpreter={interpreter(folder, name)}" for name in names]
        lines += [f"{half}{number} {inside[number % len(names)]}" for number in range(hosts)]
    path.write_text("\n".join([*lines, "[furnish:children]", *started]) + "\n", encoding="utf-8")
    return path


def environment(folder: Path) -> dict[str, str]:
    """Return an environment that knows this checkout alone, and no setting of the user's."""
    settings = folder / "ansible.cfg"
    settings.touch()
    paths = [ROOT / "build" / "collections", collections()]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, paths)),
        "ANSIBLE_CONFIG": str(settings),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "controller"),
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "module_runs",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "BENCH_DISK": disk(),
        "BENCH_RUNS": str(folder / "runs.jsonl"),
    }


class Bench:
    """The inventory and the environment of a measurement."""

    def __init__(self, folder: Path, forks: int) -> None:
        self.variables = environment(folder)
        self.forks = forks

    def play(self, name: str, hosts: Path) -> tuple[tuple[float, float], list[dict], dict[str, dict]]:
        """Run a playbook and return ((seconds, seconds of the processor), modules that ran, how each host came off).

        Ends where one fails.
        """
        log = Path(self.variables["BENCH_RUNS"])
        log.unlink(missing_ok=True)
        program = str(Path(sys.executable).parent / "ansible-playbook")
        command = [program, "-i", str(hosts), "-f", str(self.forks), str(HERE / f"{name}.yml")]
        before, started = os.times(), time.perf_counter()
        done = subprocess.run(command, env=self.variables, capture_output=True, text=True, check=False)
        elapsed, after = time.perf_counter() - started, os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return (
            (elapsed, used),
            [one for one in lines if "module" in one],
            {one["end"]: one for one in lines if "end" in one},
        )


def per_host(runs: list[dict], host: str) -> tuple[int, dict[str, int]]:
    """Return how many modules ran on a host: all, and by role."""
    mine = [one for one in runs if one["host"] == host]
    return len(mine), dict(Counter(str(one["role"]) for one in mine))


def measure(bench: Bench, made: Path, hosts: Path, rounds: int) -> dict:
    """Bring both halves to their end state, measure them in turns, and return what was found."""
    for name in ("furnish", OURS, BY_HAND):
        print(f"{name}: {bench.play(name, made)[0][0]:.0f} s to make", flush=True)
    taken: dict[str, list[tuple[float, float]]] = {OURS: [], BY_HAND: []}
    modules = {}
    # Round 0 warms caches of byte code and pages, and is not counted.
    for number in range(rounds + 1):
        for half in (OURS, BY_HAND) if number % 2 == 0 else (BY_HAND, OURS):
            seconds, runs, ends = bench.play(half, hosts)
            taken[half].append(seconds)
            modules[half] = per_host(runs, sorted(ends)[0])
            changed = [host for host, end in ends.items() if end["changed"]]
            if changed:
                sys.exit(f"{half} changed {', '.join(changed)}, where everything was in place")
        told = ", ".join(
            f"{half} {some[-1][0]:.1f} s, {some[-1][1]:.1f} of the processor" for half, some in taken.items()
        )
        print(f"round {number}: {told}", flush=True)
    elapsed, used = ({half: [one[which] for one in some[1:]] for half, some in taken.items()} for which in (0, 1))
    return {
        "seconds": elapsed,
        "processor_seconds": used,
        "medians": medians(elapsed),
        "processor_medians": medians(used),
        "ratio": ratio(elapsed),
        "processor_ratio": ratio(used),
        "modules": {half: found[0] for half, found in modules.items()},
        "modules_by_role": modules[OURS][1],
    }


def medians(taken: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each half."""
    return {half: statistics.median(some) for half, some in taken.items()}


def ratio(taken: dict[str, list[float]]) -> float:
    """Return the roles' median as a share of the other."""
    return medians(taken)[OURS] / medians(taken)[BY_HAND]


def main() -> None:
    """Measure and tell, as text and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--containers", type=int, default=1, help="of each half; a container is several hosts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--forks", type=int, default=10)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench_roles.json")
    arguments = parser.parse_args()
    os.environ.update(containers.environment(ROOT / "build" / "lab"))
    run = f"linux-memory-oom-bench-{secrets.token_hex(3)}"
    count = min(arguments.containers, arguments.hosts)
    started = {
        half: [f"{run}-{half.replace('_', '-')}-{number}" for number in range(count)] for half in (OURS, BY_HAND)
    }
    names = [name for some in started.values() for name in some]
    load = os.getloadavg()[0]
    # A terminated run cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_what: sys.exit(143))
    try:
        start(names)
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = Path(name)
            made, hosts = (inventory(folder, arguments.hosts, started, make) for make in (True, False))
            found = measure(Bench(folder, arguments.forks), made, hosts, arguments.rounds)
    except LabError as error:
        sys.exit(str(error))
    finally:
        command = ["podman", "rm", "--force", "--ignore", "--time", "0", *names]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    verdict = "met" if found["ratio"] <= GOAL else "missed"
    most = max(found["modules_by_role"].values())
    print(
        f"\n{arguments.hosts} hosts in {len(names)} containers, {arguments.forks} forks, {os.cpu_count()} processors, "
        f"load before {load:.1f}, median of {arguments.rounds} rounds in turns, everything in place"
    )
    for half in (OURS, BY_HAND):
        print(
            f"  {half:8} {found['medians'][half]:6.1f} s, {found['processor_medians'][half]:6.1f} s of the processors, "
            f"{found['modules'][half]} modules a host"
        )
    print(
        f"  ratio {found['ratio']:.3f} (goal {GOAL}): {verdict}; of the processors' time {found['processor_ratio']:.3f}"
    )
    told = ", ".join(f"{role} {number}" for role, number in sorted(found["modules_by_role"].items()))
    print(f"  modules by role: {told} (goal {MOST_MODULES}): {'met' if most <= MOST_MODULES else 'missed'}")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    result = {"hosts": arguments.hosts, "load": load, "processors": os.cpu_count(), **found}
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
