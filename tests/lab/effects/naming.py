# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures that are induced on a running kernel, and the playbook `diagnose` that has to name the cause of each.

The same failures as in tests/unit/fixtures/oom, but here the host is asked while it runs: facts and log together.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cure
import induce
import machines
import oom_fixtures
import play

MIB = 1024**2
# A machine on cgroup v2, and one with two nodes for what needs them.
SETUPS = ("v2", "v2_numa")


def causes(image: str) -> dict:
    """Induce each failure that does not end the machine, diagnose the host, and compare."""
    variants, kernel = [], ""
    for setup in SETUPS:
        with booted(image + machines.KDUMP, setup) as collector:
            kernel = collector.release
            for name in kinds(setup):
                numbers = named(collector, name)
                print(f"{name}: {json.dumps(numbers)}", flush=True)
                variants.append({"name": name, "role": "", "variables": {}, "series": {}, "numbers": numbers})
    right = [one["numbers"]["right"] for one in variants]
    return {
        "title": "What is induced, and what is found",
        "setting": "512 MiB of memory; each failure of the list is made to happen on the running kernel, and the host "
        f"is diagnosed after it. The cause of {right.count('yes')} of {len(right)} was named.",
        "kernel": kernel,
        "variants": variants,
        "broken": [f"{one['name']}: {one['numbers']['named']}" for one in variants if one["numbers"]["right"] == "no"],
    }


@contextmanager
def booted(image: str, setup: str) -> Iterator[oom_fixtures.Collector]:
    """Give a machine of a set-up on which failures can be induced."""
    append, options, _offered = oom_fixtures.SETUPS[setup]
    with machines.machine(
        image, append=append, memory=512 * MIB, processors=1, disks=oom_fixtures.DISKS, qemu_options=options
    ) as one:
        yield oom_fixtures.Collector(one, image, setup)


def kinds(setup: str) -> list[str]:
    """Return the failures of a set-up. What ends the machine is the crash of the scenario `kernel`."""
    return [name for name in oom_fixtures.kinds_for(setup) if "end" not in induce.KINDS[name].needs]


def named(collector: oom_fixtures.Collector, name: str) -> dict:
    """Return which cause was induced and which was named."""
    kind = induce.KINDS[name]
    told = {"what happens": kind.told, "induced": kind.cause}
    began = collector.one.run("date +%s.%N").stdout.strip()
    said, _texts = collector.induced(name, [])
    if "failed" in said:
        return {**told, "named": f"not induced: {said['failed']}", "right": "no"}
    first = diagnosed(collector.one, began)["findings"][0]
    right = "yes" if first["cause"] in kind.accepted else "no"
    if first["cause"] == "none" and tuple(map(int, collector.kernel.split("."))) < kind.told_from:
        right = cure.UNTOLD
    return {**told, "named": first["cause"], "right": right, "in words": first["summary"]}


def diagnosed(one: machines.Machine, since: str) -> dict:
    """Return what the playbook `diagnose` writes of the machine."""
    with tempfile.TemporaryDirectory() as place:
        asked = {"since": f"@{since}", "sample_seconds": 0, "host_timeout": 900, "memory_report_dest": place}
        play.must(play.ansible(one, "ansible-playbook", "linux_memory.oom.diagnose", "-e", json.dumps(asked)))
        (path,) = (Path(place) / "hosts").glob("*.json")
        return json.loads(path.read_text(encoding="utf-8"))
