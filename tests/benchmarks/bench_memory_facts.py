# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What memory_facts costs on many hosts side by side, against ansible.builtin.ping and ansible.builtin.setup.

    bench_memory_facts.py [--hosts 20] [--rounds 5] [--json build/bench_memory_facts.json]

All hosts are this machine over the local connection, as many forks as hosts. In a round each module runs once, in an
order that changes from round to round, so that what else the machine does meets all of them; medians over the rounds
and the ratios of one run are printed. A second part says where the time goes: the module as Ansible sends it, run
without Ansible, and each subset alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FACTS, PING, SETUP = "linux_memory.oom.memory_facts", "ansible.builtin.ping", "ansible.builtin.setup"
MODULES = (PING, FACTS, SETUP)

# The project's goal for all subsets, as a multiple of ping.
GOAL = 1.3


def environment(folder: Path) -> dict[str, str]:
    """Return an environment that knows this checkout alone, and no setting of the user's."""
    settings = folder / "ansible.cfg"
    settings.touch()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "ANSIBLE_CONFIG": str(settings),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "controller"),
        "ANSIBLE_REMOTE_TMP": str(folder / "remote"),
    }


def inventory(folder: Path, hosts: int) -> Path:
    """Write an inventory of so many names for this machine."""
    path = folder / "hosts"
    variables = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
    path.write_text("".join(f"host{number} {variables}\n" for number in range(hosts)), encoding="utf-8")
    return path


def ad_hoc(module: str, hosts: Path, forks: int, variables: dict[str, str], *more: str) -> float:
    """Run a module once on all hosts and return the seconds. Ends the program where a host fails."""
    command = [
        str(Path(sys.executable).parent / "ansible"),
        "-i",
        str(hosts),
        "-f",
        str(forks),
        "-m",
        module,
        *more,
        "all",
    ]
    started = time.perf_counter()
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    answered = len(re.findall(r"^host\d+ \| SUCCESS", done.stdout, re.MULTILINE))
    if done.returncode or answered != len(hosts.read_text(encoding="utf-8").splitlines()):
        sys.exit(f"{module} failed on some host:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def rounds(count: int, hosts: Path, forks: int, variables: dict[str, str]) -> dict[str, list[float]]:
    """Return the seconds of each module over all rounds."""
    taken: dict[str, list[float]] = {module: [] for module in MODULES}
    order, chance = list(MODULES), random.Random(1)
    for module in MODULES:  # warm: byte code, page cache
        ad_hoc(module, hosts, forks, variables)
    for number in range(count):
        chance.shuffle(order)
        for module in order:
            taken[module].append(ad_hoc(module, hosts, forks, variables))
        told = ", ".join(f"{module.rpartition('.')[2]} {taken[module][-1]:.2f} s" for module in MODULES)
        print(f"round {number + 1}: {told}", flush=True)
    return taken


def payloads(folder: Path, variables: dict[str, str]) -> dict[str, dict[str, float]]:
    """Return, for each module as Ansible sends it: bytes, and the median of processor and elapsed seconds alone."""
    hosts, found = inventory(folder, 1), {}
    for module in MODULES:
        remote = folder / "kept" / module
        ad_hoc(module, hosts, 1, {**variables, "ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_REMOTE_TMP": str(remote)})
        (payload,) = remote.glob(f"ansible-tmp-*/AnsiballZ_{module.rpartition('.')[2]}.py")
        elapsed, processor = [], []
        for _repetition in range(5):
            before, started = os.times(), time.perf_counter()
            subprocess.run([sys.executable, str(payload)], env=variables, stdout=subprocess.DEVNULL, check=True)
            after = os.times()
            elapsed.append(time.perf_counter() - started)
            processor.append(
                after.children_user - before.children_user + after.children_system - before.children_system
            )
        found[module] = {
            "bytes": payload.stat().st_size,
            "elapsed": statistics.median(elapsed),
            "processor": statistics.median(processor),
        }
    return found


SUBSETS_CODE = """\
import json, sys, time
import ansible.module_utils.basic  # what ping needs as well
start = time.perf_counter()
from ansible_collections.linux_memory.oom.plugins.modules import memory_facts as facts
taken = {"import": time.perf_counter() - start}
options = {"top": 10, "process_arguments": False, "seconds": 0.0}
for name, module in facts.SUBSETS:
    start = time.perf_counter()
    module.collect(facts.Tree("/"), options, None)
    taken[name] = time.perf_counter() - start
start = time.perf_counter()
everything = facts.gather(facts.Tree("/"), set(facts.NAMES), options)
taken["all together"] = time.perf_counter() - start
start = time.perf_counter()
json.dumps(everything)
taken["as JSON"] = time.perf_counter() - start
print(json.dumps(taken))
"""


def subsets(variables: dict[str, str]) -> dict[str, float]:
    """Return the median seconds of each subset alone in fresh processes, its first reading."""
    runs = []
    for _repetition in range(5):
        done = subprocess.run(
            [sys.executable, "-c", SUBSETS_CODE],
            env={**variables, "PYTHONPATH": str(ROOT / "build" / "collections")},
            stdout=subprocess.PIPE,
            check=True,
        )
        runs.append(json.loads(done.stdout))
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main() -> None:
    """Measure and tell, as text and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench_memory_facts.json")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        variables = environment(folder)
        hosts = inventory(folder, arguments.hosts)
        taken = rounds(arguments.rounds, hosts, arguments.hosts, variables)
        alone = payloads(folder, variables)
        parts = subsets(variables)
    medians = {module: statistics.median(seconds) for module, seconds in taken.items()}
    ratio, against_setup = medians[FACTS] / medians[PING], medians[FACTS] / medians[SETUP]
    print(
        f"\n{arguments.hosts} local hosts, {arguments.hosts} forks, {os.cpu_count()} processors, "
        f"load before {load:.1f}, median of {arguments.rounds} rounds"
    )
    for module in MODULES:
        own = alone[module]
        print(
            f"  {module:32} {medians[module]:6.2f} s (fastest {min(taken[module]):.2f}, slowest "
            f"{max(taken[module]):.2f}); payload {own['bytes'] / 1000:.0f} kB, without Ansible "
            f"{own['elapsed'] * 1000:.0f} ms, of them on the processor {own['processor'] * 1000:.0f} ms"
        )
    verdict = "met" if ratio <= GOAL and against_setup < 1 else "missed"
    print(f"  memory_facts / ping {ratio:.2f} (goal {GOAL}), / setup {against_setup:.2f} (goal below 1): {verdict}")
    print("  where it goes, ms: " + ", ".join(f"{part} {seconds * 1000:.1f}" for part, seconds in parts.items()))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "hosts": arguments.hosts,
        "load": load,
        "machine": {"processors": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "seconds": taken,
        "medians": medians,
        "ratio_ping": ratio,
        "ratio_setup": against_setup,
        "payloads": alone,
        "parts": parts,
    }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
