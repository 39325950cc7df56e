# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures that are induced on a running kernel, and the playbook `diagnose` that has to name the cause of each.

The same failures as in tests/unit/fixtures/oom, but here the host is asked while it runs: facts and log together.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).resolve().parents[1] / "lab"
sys.path.insert(0, str(LAB))
import induce  # noqa: E402 - the lab is no package of the collection
import machines  # noqa: E402
import oom_fixtures  # noqa: E402
import play  # noqa: E402

IMAGE = machines.tested().removesuffix(machines.KDUMP)
MIB = 1024**2
# What ends the machine is the crash of the scenario `kernel`.
CASES = [
    (setup, name)
    for setup in ("v2", "v2_numa")
    for name in oom_fixtures.kinds_for(setup)
    if "end" not in induce.KINDS[name].needs
]
pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def collector(request):
    """Return what makes failures happen on a machine of the set-up."""
    append, options, _offered = oom_fixtures.SETUPS[request.param]
    with machines.machine(
        IMAGE, append=append, memory=512 * MIB, processors=1, disks=oom_fixtures.DISKS, qemu_options=options
    ) as one:
        yield oom_fixtures.Collector(one, IMAGE, request.param)


@pytest.mark.parametrize(("collector", "name"), CASES, indirect=["collector"], ids=[f"{a}-{b}" for a, b in CASES])
def test_the_cause_that_was_induced_is_named(collector, name, tmp_path):
    began = collector.one.run("date +%s.%N").stdout.strip()
    said, _texts = collector.induced(name, [])
    assert "failed" not in said, said
    asked = {"since": f"@{began}", "sample_seconds": 0, "host_timeout": 900, "memory_report_dest": str(tmp_path)}
    done = play.ansible(collector.one, "ansible-playbook", "linux_memory.oom.diagnose", "-e", json.dumps(asked))
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "hosts").glob("*.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    first = record["findings"][0]
    assert first["cause"] in induce.KINDS[name].accepted, (induce.KINDS[name].told, first["summary"])
