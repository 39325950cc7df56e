# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run Molecule scenarios: make or find what they need, then `molecule test` each of them.

    scenarios.py [--host NAME | --ends] [NAME ...]

Without a name all scenarios run. Several run side by side, and what each printed is shown when it has ended. Each run
has a name of its own, in the names of its containers and in the directory for what it leaves behind (build/molecule/),
and its containers are removed however it ends.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from collection_cache import collections

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
import containers  # noqa: E402 - beside the lab, not beside the tools
from rootfs import LabError  # noqa: E402

SCENARIOS = ROOT / "molecule"
# What all scenarios share; Molecule takes it by itself where it is started by hand.
BASE = ROOT / ".config" / "molecule" / "config.yml"
BUILD = ROOT / "build" / "molecule"
# How many scenarios run at a time: between the tasks of one, the hosts of another work.
SIDE_BY_SIDE = 2


def names() -> list[str]:
    """Return the scenarios that this tool runs: those on the hosts of matrix.yml."""
    return sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml") if not has_machines(path))


def has_machines(path: Path) -> bool:
    """Return whether a scenario brings hosts of its own: virtual machines, which Molecule alone can start."""
    return "platforms" in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})


def choose(matrix: list[dict], own: dict, only: list[str]) -> list[dict]:
    """Return the hosts on which a scenario runs, those of the matrix that it names in its hosts.yml, with its options.

    Raises LabError for a name that the matrix does not have.
    """
    there = [host["name"] for host in matrix]
    wanted = own.get("hosts") or there
    options = own.get("options") or {}
    unknown = {*wanted, *options} - set(there)
    if unknown:
        raise LabError(f"matrix.yml has no host {', '.join(sorted(unknown))}; it has {', '.join(there)}")
    chosen = [host for host in matrix if host["name"] in wanted and (not only or host["name"] in only)]
    return [{**host, **(options.get(host["name"]) or {})} for host in chosen]


def ends(hosts: list[dict]) -> list[dict]:
    """Return the first and the last of a scenario's hosts: matrix.yml has them from the oldest system to the newest."""
    return hosts if len(hosts) < 3 else [hosts[0], hosts[-1]]


def platforms(name: str, only: list[str], some: bool = False) -> list[dict]:
    """Return the hosts of a scenario with the image of each, made where it is missing; some: the first and the last."""
    matrix = yaml.safe_load((SCENARIOS / "matrix.yml").read_text(encoding="utf-8"))["hosts"]
    own = SCENARIOS / name / "hosts.yml"
    hosts = choose(matrix, yaml.safe_load(own.read_text(encoding="utf-8")) if own.exists() else {}, only)
    hosts = ends(hosts) if some else hosts
    made = containers.images(host["suite"] for host in hosts if "suite" in host)
    return [{**host, "image": host.get("image") or made[host["suite"]]} for host in hosts]


def lacks(name: str) -> str | None:
    """Return what a scenario has to have and has not: Molecule would pass without having looked."""
    folder = SCENARIOS / name
    wanted = ["tests"]
    sequence = yaml.safe_load((folder / "molecule.yml").read_text(encoding="utf-8")) or {}
    if not (sequence.get("scenario") or {}).get("test_sequence"):
        # That of BASE.
        wanted.append("tests_undone")
        if not (folder / "undo.yml").exists():
            return f"molecule/{name} has no undo.yml"
    empty = [one for one in wanted if not list((folder / one).glob("test_*.py"))]
    return f"molecule/{name}/{empty[0]} has no test_*.py" if empty else None


def environment(run: str, folder: Path) -> dict[str, str]:
    """Return the environment of a run."""
    paths = [ROOT / "build" / "collections", collections()]
    return {
        **os.environ,
        **containers.environment(ROOT / "build" / "lab"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, paths)),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "MOLECULE_EPHEMERAL_DIRECTORY": str(folder),
        "LINUX_MEMORY_OOM_RUN": run,
        # Molecule frames what it prints, and breaks lines at 80 columns where there is no terminal.
        "COLUMNS": "160",
    }


def molecule(name: str, command: list[str], hosts: list[dict]) -> int:
    """Run one scenario and return Molecule's exit status; none of its containers is left."""
    missing = lacks(name)
    if missing:
        print(f"{missing}: Molecule would pass without having looked", file=sys.stderr)
        return 1
    run = f"linux-memory-oom-{secrets.token_hex(4)}"
    folder = BUILD / run / name
    folder.mkdir(parents=True)
    matrix = BUILD / run / "platforms.yml"
    matrix.write_text(yaml.safe_dump({"platforms": hosts}), encoding="utf-8")
    variables = environment(run, folder)
    base = ["--base-config", str(BASE), "--base-config", str(matrix)]
    started = time.monotonic()
    try:
        status = finish(
            [str(Path(sys.executable).parent / "molecule"), *base, *command, "--scenario-name", name], variables
        )
    finally:
        remove(run, hosts, variables)
    print(f"scenario {name}: {'failed' if status else 'passed'} in {time.monotonic() - started:.0f} s", flush=True)
    return status


def finish(command: list[str], variables: dict[str, str]) -> int:
    """Run a command to its end and return its exit status; where this program is stopped, nothing of it goes on."""
    with subprocess.Popen(command, cwd=ROOT, env=variables, start_new_session=True) as process:
        try:
            return process.wait()
        except BaseException:
            # Ansible below Molecule would go on to make containers while they are being removed.
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            raise


def remove(run: str, hosts: list[dict], variables: dict[str, str]) -> None:
    """Remove the containers of a run, where Molecule was stopped before it could."""
    there = [f"{run}-{host['name']}" for host in hosts]
    subprocess.run(
        ["podman", "rm", "--force", "--ignore", "--time", "0", *there],
        env=variables,
        stdout=subprocess.DEVNULL,
        check=False,
    )


def side_by_side(names: list[str], options: list[str]) -> int:
    """Run scenarios in programs of their own, some at a time, and return the worst exit status.

    What those that failed printed comes last, and then why in a few lines: of a long run often only its end is kept.
    """
    waiting, running, failed, worst = list(names), {}, {}, 0
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        while waiting or running:
            while waiting and len(running) < SIDE_BY_SIDE:
                log = BUILD / f"{waiting[0]}-{secrets.token_hex(4)}.log"
                with log.open("w", encoding="utf-8") as output:
                    name = waiting.pop(0)
                    command = [sys.executable, __file__, *options, name]
                    running[subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)] = name, log
            for process in [process for process in running if process.poll() is not None]:
                name, log = running.pop(process)
                printed = log.read_text(encoding="utf-8", errors="replace")
                if process.returncode:
                    failed[name] = printed
                    worst = max(worst, abs(process.returncode))
                    printed = f"scenario {name}: failed; what it printed comes last\n"
                print(printed, flush=True)
            time.sleep(0.5)
    finally:
        # Where this program is stopped, each of the others cleans up after itself.
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
    for name, printed in failed.items():
        print(f"{printed}\nscenario {name} failed: above is what it printed, and in short:", flush=True)
        print(reasons(printed), flush=True)
    return worst


def reasons(printed: str, most: int = 8, width: int = 160) -> str:
    """Return the last lines that say why a run failed, for those who see but the end of a long log."""
    # Without colours and the frame that Molecule draws around what others print.
    lines = (line.strip(" \u2502") for line in re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines())
    telling = [line[:width] for line in lines if re.match(r"E  |FAILED|fatal:|\[ERROR\]|\S+\.py:[0-9]+: in", line)]
    return "\n".join(telling[-most:])


def main(arguments: list[str]) -> int:
    """Run the named scenarios, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; all where none is named")
    parser.add_argument("--host", action="append", help="only this host of the matrix (may be given more than once)")
    parser.add_argument("--ends", action="store_true", help="only the first and the last host of each scenario")
    chosen = parser.parse_args(arguments)
    wanted = chosen.names or names()
    unknown = set(wanted) - set(names())
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    # A terminated run cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_what: sys.exit(143))
    try:
        hosts = {name: platforms(name, chosen.host or [], chosen.ends) for name in wanted}
        if not any(hosts.values()):
            parser.error("no host of the matrix has that name")
        there = [name for name, some in hosts.items() if some]
        if len(there) == 1:
            return molecule(there[0], ["test"], hosts[there[0]])
        options = [word for host in chosen.host or [] for word in ("--host", host)]
        return side_by_side(there, [*options, *(["--ends"] if chosen.ends else [])])
    except LabError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
