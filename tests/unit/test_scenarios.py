# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scenarios share: which hosts they run on, and whether check mode predicted what a run did."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "tools"), str(ROOT / "tests" / "lab"), str(ROOT / "molecule" / "shared")]
import recorded  # noqa: E402 - beside the scenarios
import scenarios  # noqa: E402 - beside the tools

MATRIX = [{"name": "one", "suite": "x"}, {"name": "two", "suite": "y", "memory": "1g"}]


def test_a_scenario_chooses_hosts_and_adds_options():
    assert scenarios.choose(MATRIX, {}, []) == MATRIX
    assert scenarios.choose(MATRIX, {}, ["two"]) == MATRIX[1:]
    own = {"hosts": ["two"], "options": {"two": {"memory": "2g"}, "one": None}}
    assert scenarios.choose(MATRIX, own, []) == [{"name": "two", "suite": "y", "memory": "2g"}]
    assert scenarios.choose(MATRIX, own, ["one"]) == []
    with pytest.raises(scenarios.LabError, match="no host three"):
        scenarios.choose(MATRIX, {"options": {"three": {}}}, [])


def test_the_ends_are_the_first_and_the_last_host():
    assert scenarios.ends([{"name": name} for name in "abc"]) == [{"name": "a"}, {"name": "c"}]
    assert scenarios.ends(MATRIX) == MATRIX
    assert scenarios.ends(MATRIX[:1]) == MATRIX[:1]


def test_scenarios_side_by_side_are_all_run_and_the_worst_counts(tmp_path, monkeypatch, capfd):
    program = tmp_path / "one.py"
    program.write_text(
        "import sys; print('ran', *sys.argv[1:]); print('E   why'); sys.exit(sys.argv[-1] == 'b')\n", encoding="utf-8"
    )
    monkeypatch.setattr(scenarios, "__file__", str(program))
    monkeypatch.setattr(scenarios, "BUILD", tmp_path / "build")
    assert scenarios.side_by_side(["a", "b", "c"], ["--ends"]) == 1
    told = list(filter(None, capfd.readouterr().out.splitlines()))
    passed = ["E   why", "E   why", "ran --ends a", "ran --ends c"]
    assert sorted(told[:-4]) == [*passed, "scenario b: failed; what it printed comes last"]
    short = "scenario b failed: above is what it printed, and in short:"
    assert told[-4:] == ["ran --ends b", "E   why", short, "E   why"]
    assert scenarios.side_by_side(["a", "c"], []) == 0


def test_why_a_scenario_failed_is_told_in_short():
    printed = """
\x1b[31mERROR   \x1b[0m Verifier tests failed
  \x1b[2m│\x1b[0m ___ test_x[debian-12] ___
  \x1b[2m│\x1b[0m tests/test_x.py:30: in
  \x1b[2m│\x1b[0m   test_x
  \x1b[2m│\x1b[0m     assert (status, said in told) == (0, True), told
  \x1b[2m│\x1b[0m E   assert (1, False) == (0, True)
  \x1b[2m│\x1b[0m FAILED tests/test_x.py::test_x[debian-12] - AssertionError
scenario x: failed in 1 s
"""
    told = scenarios.reasons(printed, width=40).splitlines()
    assert told == [
        "tests/test_x.py:30: in",
        "E   assert (1, False) == (0, True)",
        "FAILED tests/test_x.py::test_x[debian-12",
    ]
    assert len(scenarios.reasons(printed, most=2).splitlines()) == 2


def test_every_scenario_has_what_its_sequence_runs():
    assert {name: scenarios.lacks(name) for name in scenarios.names()} == dict.fromkeys(scenarios.names())


def test_a_scenario_without_tests_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(scenarios, "SCENARIOS", tmp_path)
    (tmp_path / "x" / "tests").mkdir(parents=True)
    (tmp_path / "x" / "molecule.yml").write_text("{}\n", encoding="utf-8")
    assert scenarios.lacks("x") == "molecule/x has no undo.yml"
    (tmp_path / "x" / "undo.yml").touch()
    (tmp_path / "x" / "tests" / "test_x.py").touch()
    assert scenarios.lacks("x") == "molecule/x/tests_undone has no test_*.py"


def record(tmp_path, monkeypatch, *answers):
    """Write a run in check mode and one in earnest, and return them."""
    monkeypatch.setenv("MOLECULE_EPHEMERAL_DIRECTORY", str(tmp_path))
    lines = []
    for check, result in zip((True, False), answers, strict=True):
        lines.append({"run": str(check), "playbook": "converge.yml", "check": check})
        lines.append({"run": str(check), "host": "h", "task": "t", "item": None, "action": "m", "result": result})
    (tmp_path / "recorded.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return [recorded.runs("converge.yml", check=check)[0] for check in (True, False)]


ANSWER = {"changed": True, "keys": {"a": {"before": "1", "after": "2"}, "b": {"before": "3", "after": "3"}}}


def test_the_same_items_are_a_prediction(tmp_path, monkeypatch):
    runs = record(tmp_path, monkeypatch, ANSWER, {**ANSWER, "live": 5})
    recorded.assert_predicted(*runs, something=True)
    assert runs[1].changes() == {("h", "t", "null", 1): {"/keys/a": ["1", "2"], "diff": []}}


@pytest.mark.parametrize(
    "other",
    [
        {"changed": False},
        {"changed": True},
        {**ANSWER, "keys": {"a": {"before": "1", "after": "3"}}},
        {**ANSWER, "keys": {**ANSWER["keys"], "b": {"before": "3", "after": "4"}}},
        {**ANSWER, "diff": {"before": "x", "after": "y"}},
    ],
)
def test_another_item_is_none(tmp_path, monkeypatch, other):
    with pytest.raises(AssertionError, match="check mode and the run"):
        recorded.assert_predicted(*record(tmp_path, monkeypatch, ANSWER, other), something=True)


def test_nothing_changed_is_no_proof(tmp_path, monkeypatch):
    runs = record(tmp_path, monkeypatch, {"changed": False}, {"changed": False})
    recorded.assert_predicted(*runs, something=False)
    with pytest.raises(AssertionError, match="nothing was compared"):
        recorded.assert_predicted(*runs, something=True)
