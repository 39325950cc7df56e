# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the experiment cure_rate makes of what it saw: no failure passes for cured that was not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab" / "effects"))

import cure

MIB = 1024**2
LEAK = cure.FAILURES["a slow leak"]


@pytest.mark.parametrize(
    "roles, unharmed, said",
    [
        (["swap_tuning"], True, "yes"),
        (["swap_tuning"], False, "no"),
        ([], True, cure.NOTHING),
        ([], False, cure.NOTHING),
    ],
)
def test_only_a_host_with_a_remedy_is_cured(roles, unharmed, said):
    assert cure.is_cured(roles, unharmed) == said


def test_who_was_killed_outside_of_the_guilty_unit():
    killed = ["/system.slice/leaky.service", "/system.slice/server@1.service", "/system.slice/notleaky.service"]
    assert cure.outside({"killed": killed}, LEAK) == 2


def look(**changed: int) -> dict:
    """Return one look of guest.py at a host, with values of its own here and there."""
    values = {"available": 300, "dirty": 10, "writeback": 5, "swap_total": 200, "swap_used": 50, "commit_limit": 700}
    return {name: value * MIB for name, value in {**values, "promisable": 90, **changed}.items()}


def finding(what: str, value: int, role: str = "swap_tuning", confidence: float = 0.9) -> dict:
    """Return a finding that promises something of its remedy."""
    told = {"what": what, "value": value * MIB, "unit": "bytes"}
    return {"confidence": confidence, "remedy": {"role": f"linux_memory.oom.{role}", "counterfactual": told}}


@pytest.mark.parametrize(
    "what, bound, worst, value",
    [
        ("memory available", "at least", {"available": 120}, 120),
        ("dirty and writeback", "at most", {"dirty": 90, "writeback": 30}, 120),
        ("free swap", "at least", {"swap_used": 80}, 120),
        ("memory that may be promised", "at least", {"commit_limit": 120}, 120),
        ("memory that may still be promised", "at least", {"promisable": 30}, 30),
    ],
)
def test_a_promise_is_held_against_the_worst_moment(what, bound, worst, value):
    run = {"seen": [look(), look(**worst), look()]}
    for promise in (value - 1, value, value + 1):
        kept = promise <= value if bound == "at least" else promise >= value
        said = cure.promised([finding(what, promise)], ["swap_tuning"], run)
        assert said == f"{what} {bound} {promise} MiB: was {value} MiB, {'kept' if kept else 'missed'}"


def test_what_was_not_applied_has_promised_nothing():
    run = {"seen": [look()]}
    unsure = finding("memory available", 10, confidence=0.5)
    other = finding("memory available", 10, role="dirty_throttle")
    silent = {"confidence": 0.9, "remedy": {"role": "linux_memory.oom.swap_tuning", "counterfactual": None}}
    none = {"confidence": 0.9, "remedy": None}
    assert cure.promised([unsure, other, silent, none], ["swap_tuning"], run) == "nothing"


def test_a_promise_that_cannot_be_seen_is_not_kept_in_silence():
    said = cure.promised([finding("days until it is full", 3)], ["swap_tuning"], {"seen": [look()]})
    assert said.endswith(": not seen here")


SHORT, SWAPS, PLENTY = {"MemAvailable": 40000}, {"SwapFree": 100000}, {"MemAvailable": 300000, "SwapFree": 190000}


@pytest.mark.parametrize(
    "kib, waiting, killed, worth",
    [
        (PLENTY, 0.0, 0, False),
        (PLENTY | SHORT, 20.0, 0, False),
        (PLENTY | SWAPS, 20.0, 0, False),
        (SHORT | SWAPS, 4.99, 0, False),
        (SHORT | SWAPS, 10.0, 0, True),
        (PLENTY, 0.0, 1, True),  # too late for the leak: its end is looked at
    ],
)
def test_when_a_leak_is_worth_a_look(tmp_path, kib, waiting, killed, worth):
    lines = {"MemTotal": 500000, "SwapTotal": 196604, **kib}
    (tmp_path / "meminfo").write_text("".join(f"{name}: {kb} kB\n" for name, kb in lines.items()), encoding="ascii")
    waits = "".join(f"{kind} avg10={waiting:.2f} avg60=99.00 avg300=0.00 total=7\n" for kind in ("some", "full"))
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "memory").write_text(waits, encoding="ascii")
    (tmp_path / "vmstat").write_text(f"pgfault 7\noom_kill {killed}\n", encoding="ascii")
    assert succeeds(cure.SWAPPING, tmp_path) == worth


@pytest.mark.parametrize("kib, worth", [(399999, False), (400000, True)])
def test_when_a_writer_is_worth_a_look(tmp_path, kib, worth):
    (tmp_path / "meminfo").write_text(f"MemTotal: 900000 kB\nDirty: {kib} kB\n", encoding="ascii")
    assert succeeds(cure.PILING, tmp_path) == worth


def succeeds(command: str, proc: Path) -> bool:
    """Return whether a command of the guest succeeds with these files instead of /proc."""
    return subprocess.run(["sh", "-c", command.replace("/proc/", f"{proc}/")], check=False).returncode == 0
