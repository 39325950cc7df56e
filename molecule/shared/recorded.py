# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tasks of a scenario's runs answered, as the callback plugin `recorder` wrote it down.

Tests import it from molecule/shared:

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))
    import recorded

    recorded.runs("converge.yml", check=False)[0].answers("debian-12", "linux_memory.oom.vm_sysctl")
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Run:
    """One run of one playbook: its results in their order."""

    playbook: str
    check: bool
    results: list[dict] = field(default_factory=list)

    def answers(self, host: str, action: str) -> list[dict]:
        """Return what the module answered on a host, each time it ran: by itself, or as a part of together."""
        found = []
        for one in self.results:
            if one["host"] != host:
                continue
            if one["action"] == action:
                found.append(one["result"])
            if one["action"] == "linux_memory.oom.together":
                parts = one["result"].get("parts", {}).values()
                found += [part for part in parts if f"linux_memory.oom.{part['module']}" == action]
        return found

    def hosts(self) -> set[str]:
        """Return the hosts that have answered."""
        return {one["host"] for one in self.results}

    def changes(self) -> dict[tuple, dict]:
        """Return what changed, or was predicted to: {(host, task, item, how many times before): its changed items}."""
        seen: Counter = Counter()
        found = {}
        for one in self.results:
            name = (one["host"], one["task"], json.dumps(one["item"], sort_keys=True))
            seen[name] += 1
            if one["result"].get("changed"):
                found[(*name, seen[name])] = changed_items(one["result"])
        return found


def runs(playbook: str, *, check: bool) -> list[Run]:
    """Return the runs of a playbook so far, in check mode or in earnest, the oldest first."""
    found: dict[str, Run] = {}
    path = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "recorded.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "playbook" in entry:
            found[entry["run"]] = Run(entry["playbook"], entry["check"])
        else:
            found[entry["run"]].results.append(entry)
    return [run for run in found.values() if (run.playbook, run.check) == (playbook, check)]


def modules_of_the_second_run(host: str) -> list[str]:
    """Return the modules of this collection that ran on a host where nothing was to change; skip the test before."""
    second = runs("converge.yml", check=False)[1:]
    if not second:
        pytest.skip("there was one run so far")
    actions = [one["action"] for one in second[0].results if one["host"] == host]
    return [action for action in actions if action.startswith("linux_memory.oom.")]


def changed_items(answer: dict) -> dict:
    """Return what a result says has changed, by its place in the result: [before, after], and the diff.

    An item is whatever has a `before` and an `after`; the diff's own are compared line by line, as a whole.
    """
    found = {}
    todo: list[tuple[str, object]] = [("", {key: value for key, value in answer.items() if key != "diff"})]
    while todo:
        place, value = todo.pop()
        if isinstance(value, dict):
            if {"before", "after"} <= value.keys() and value["before"] != value["after"]:
                found[place] = [value["before"], value["after"]]
            todo += [(f"{place}/{key}", inner) for key, inner in value.items() if key not in ("before", "after")]
        elif isinstance(value, list):
            todo += [(f"{place}/{number}", inner) for number, inner in enumerate(value)]
    diffs = answer.get("diff") or []
    found["diff"] = [
        [(one.get(side) or "") for side in ("before", "after")]
        for one in (diffs if isinstance(diffs, list) else [diffs])
        if one
    ]
    return found


def assert_predicted(predicted: Run, done: Run, *, something: bool) -> None:
    """Assert that check mode said what the run did, item by item; something: that each host had something to change."""
    assert predicted.hosts() == done.hosts()
    expected, actual = predicted.changes(), done.changes()
    assert sorted(expected) == sorted(actual), "check mode and the run did not change the same tasks"
    for name, items in actual.items():
        assert expected[name] == items, f"check mode and the run differ in {name}"
    if something:
        assert {name[0] for name in actual} == done.hosts(), "a host had nothing to change: nothing was compared"
