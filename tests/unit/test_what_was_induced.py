# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures that were made on booted kernels: each is read as a whole, number by number, and its known cause is found.

tests/lab/oom_fixtures.py made the logs; index.json says of each what was done to the machine that wrote it.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import oom_by_eye
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import log_source
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_merge import Collection
from ansible_collections.linux_memory.oom.plugins.plugin_utils.diagnosis import diagnose
from test_diagnose_contract import assert_well_formed

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import oom_fixtures

ROWS = oom_fixtures.rows()
CUT = ("ring_overflow",)  # these logs have no beginning, on purpose
REFUSED = ("overcommit",)  # nothing is killed, a request is refused

# Whom or what the verdict has to name.
NAMED = {
    "global_hog": "leaker",
    "global_hog_swap": "leaker",
    "global_workers": "processes named worker",
    "global_leak": "leaker",
    "allocating_task": "leaker",
    "no_task_table": "leaker",
    "panic": "leaker",
    "cgroup_hog": "shop.service",
    "cgroup_loop": "shop.service",
    "cgroup_slice": "shop.slice",
    "cgroup_tmpfs": "shop.service",
    "cgroup_group_kill": "shop.service",
    "cpuset": "node 1",
    "mempolicy": "node 1",
    "overcommit": "database",
    "sysrq": "SysRq",
}


def logs(*but: str):
    """Parametrize a test with the rows of the table."""
    chosen = [row for row in ROWS.values() if row["kind"] not in but]
    return pytest.mark.parametrize("row", chosen, ids=[row["file"].removesuffix(".log.xz") for row in chosen])


@functools.cache
def read(name: str) -> tuple[list[dict], dict]:
    """Return the reports of a log and what was not understood in it, as oom_report_info reads it."""
    collection = Collection()
    for source in log_source.path_sources(str(oom_fixtures.FIXTURES / name)):
        collection.read(source)
    assert collection.unavailable == {}
    return collection.reports(), collection.unparsed


@functools.cache
def seen(name: str) -> list[dict]:
    """Return what an eye sees of each report of a log."""
    told = oom_by_eye.plain(oom_fixtures.log(name), ROWS[name]["form"])
    return [oom_by_eye.read(text) for text in oom_by_eye.reports(told)]


def test_enough_kinds_on_enough_kernels():
    by_kernel: dict[str, set[str]] = {}
    for row in ROWS.values():
        by_kernel.setdefault(".".join(row["kernel"].split(".")[:2]), set()).add(row["kind"])
    assert len(set().union(*by_kernel.values())) >= 12
    assert {kernel for kernel, kinds in by_kernel.items() if len(kinds) >= 10} >= {"5.10", "6.1", "6.12", "7.3"}
    assert {row["cgroups"] for row in ROWS.values()} == {"v1", "v2"}
    assert {row["form"] for row in ROWS.values()} == set(oom_fixtures.FORMS)


@logs()
def test_all_of_it_is_understood(row):
    reports, unparsed = read(row["file"])
    assert reports
    assert unparsed == {"count": 0, "samples": []}
    assert [report["unparsed"] for report in reports] == [[]] * len(reports)
    assert [report["truncated"] for report in reports] == [row["kind"] in CUT] * len(reports)


@logs(*CUT, *REFUSED)
def test_no_report_is_missed_and_none_counted_twice(row):
    reports, _unparsed = read(row["file"])
    assert [report["trigger"]["pid"] for report in reports] == [eye["trigger"]["pid"] for eye in seen(row["file"])]
    # Where page tables cannot be had, the allocation fails as well: a report of another kind.
    assert {report["kind"] for report in reports} - {"allocation_failure"} == {"oom"}
    killed = [victim["pid"] for report in reports for victim in report["victims"]]
    assert len(killed) == len(set(killed))
    # The kernel counts, as it writes, the first one of a group twice.
    assert len(killed) + sum(report["group_kill"] is not None for report in reports) == row["kills"]


@logs(*CUT, *REFUSED)
def test_every_number_is_the_one_that_an_eye_sees(row):
    reports, _unparsed = read(row["file"])
    expected = seen(row["file"])
    assert len(reports) == len(expected)
    for report, eye in zip(reports, expected, strict=True):
        told = {name: report[name] for name in eye.keys() & report.keys()}
        assert told == {name: eye[name] for name in told}
        # The summary line names the first victim, too.
        victim = report["victim"] or {}
        if eye["task"]:
            assert (victim["comm"], victim["pid"], victim["uid"]) == (eye["task"], int(eye["pid"]), int(eye["uid"]))
        assert victim == (eye["victims"][0] if eye["victims"] else {})
        assert report["page_size"] == oom_by_eye.PAGE


@logs(*CUT, *REFUSED)
def test_an_eye_sees_all_that_a_report_has(row):
    """So that no number goes unchecked: what the eye did not look at has to be empty, or be checked by another test."""
    elsewhere = {"kind", "path", "source", "time", "epoch", "time_text", "year_assumed", "time_computed",
                 "uptime", "host", "boot", "scope", "cgroup", "sysrq", "victim", "outcome", "panicked", "reaped",
                 "page_size", "page_size_from", "unparsed", "truncated", "also_in", "tasks_total", "tasks_by_comm",
                 "tasks_left_out"}  # fmt: skip
    for report, eye in zip(read(row["file"])[0], seen(row["file"]), strict=True):
        assert {name for name in report.keys() - eye.keys() - elsewhere if report[name] is not None} == set()


@logs(*CUT, *REFUSED)
def test_the_sums_of_a_table_are_those_of_the_rows_that_an_eye_sees(row):
    for report, eye in zip(read(row["file"])[0], seen(row["file"]), strict=True):
        rows = eye["tasks"]
        assert report["tasks_left_out"] == 0
        if rows is None:
            assert (report["tasks_total"], report["tasks_by_comm"]) == (None, None)
            continue
        for sums in [report["tasks_total"], *report["tasks_by_comm"]]:
            of = [task for task in rows if task["comm"] == sums.get("comm", task["comm"])]
            assert sums["tasks"] == len(of)
            for name in ("rss", "swap", "rss_anon"):
                assert sums[name] == (sum(task[name] for task in of) if rows and name in rows[0] else None)
        assert {sums["comm"] for sums in report["tasks_by_comm"]} == {task["comm"] for task in rows}


@logs(*CUT, *REFUSED)
def test_when_it_was(row):
    reports, _unparsed = read(row["file"])
    text = oom_fixtures.log(row["file"])
    by_eye = oom_by_eye.uptimes(text, row["form"])
    if row["form"] not in ("journal_json", "journal_export"):
        assert [report["uptime"] for report in reports] == by_eye
    epochs = oom_by_eye.epochs(text, row["form"])
    if epochs is not None:
        assert [report["epoch"] for report in reports] == pytest.approx(epochs, abs=1e-3)


@logs(*CUT, *REFUSED)
def test_who_was_reaped(row):
    reports, _unparsed = read(row["file"])
    told = [
        (one["pid"], one["comm"], one["anon_rss"], one["file_rss"], one["shmem_rss"])
        for report in reports
        for one in report["reaped"]
    ]
    assert told == oom_by_eye.reaped(oom_by_eye.plain(oom_fixtures.log(row["file"]), row["form"]))


@logs(*CUT, *REFUSED)
def test_where_memory_was_short(row):
    needs = {"cgroup_limit": "cgroup", "node_constraint": row["kind"]}
    scope = "cgroup" if row["kind"].startswith("cgroup") else needs.get(row["cause"], "global")
    for report in read(row["file"])[0]:
        if report["kind"] == "allocation_failure":
            assert (report["outcome"], report["victims"]) == (None, [])
            continue
        assert report["scope"] == scope
        assert report["cgroup"] == report["oom_memcg"]
        assert report["sysrq"] == (row["kind"] == "sysrq")
        assert report["outcome"] == ("panic" if row["kind"] == "panic" else "killed")
        assert report["panicked"] == (row["kind"] == "panic")
        assert row["kernel"] == report["kernel"]


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row["kind"] in REFUSED], ids=lambda row: row["file"])
def test_every_refusal_is_counted(row):
    told = [(one["trigger"]["pid"], one["trigger"]["comm"], one["bytes"]) for one in read(row["file"])[0]]
    by_eye = oom_by_eye.refusals(oom_by_eye.plain(oom_fixtures.log(row["file"]), row["form"]))
    assert told == by_eye
    assert len(told) == 3


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row["kind"] in CUT], ids=lambda row: row["file"])
def test_of_a_report_without_its_beginning_what_is_left_is_read(row):
    """What is left of it is the end: at least who was killed, and no number of the memory before that is made up."""
    text = oom_by_eye.plain(oom_fixtures.log(row["file"]), row["form"])
    assert "invoked oom-killer" not in text
    (report,) = read(row["file"])[0]
    eye = oom_by_eye.read(text)
    assert report["trigger"]["comm"] is None
    assert [(one["pid"], one["anon_rss"]) for one in report["victims"]] == [
        (one["pid"], one["anon_rss"]) for one in eye["victims"]
    ]
    assert (report["constraint"], report["task_memcg"]) == (eye["constraint"], eye["task_memcg"])
    for name in ("memory", "nodes", "zones", "hugepages", "tasks", "swap", "protection"):
        assert report[name] == eye[name], name


@logs()
def test_the_cause_is_found(row):
    found = diagnose({}, read(row["file"])[0])
    assert_well_formed(found)
    assert found[0]["cause"] in row["accepted"], [(one["cause"], one["confidence"]) for one in found]
    assert NAMED.get(row["kind"], "") in found[0]["summary"]
