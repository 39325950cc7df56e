# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What diagnose makes of a saved crash: the verdict of its report, and what only the dump tells.

fixtures/vmcore_bookworm.json is the answer of vmcore_info to a dump of the lab (Debian 12): one program took all
memory, quiet.service held 50 MiB, /dev/shm 40 MiB. fixtures/vmcore_bookworm_load.json is that to a dump of
tests/lab/vmcore_dump.py: two services with used swap, one with dirty pages on a slow disk, and settings of its own.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from ansible_collections.linux_memory.oom.plugins.filter.diagnose import diagnose

MIB = 1024**2


@pytest.fixture
def crash():
    path = Path(__file__).parent / "fixtures" / "vmcore_bookworm.json"
    return json.loads(path.read_text())["crashes"][0]


@pytest.fixture
def loaded():
    path = Path(__file__).parent / "fixtures" / "vmcore_bookworm_load.json"
    return json.loads(path.read_text())["crashes"][0]


def said(finding):
    return {each["what"]: each for each in finding["evidence"]}


def test_the_verdict_of_the_dump_is_that_of_the_live_report(crash):
    live = diagnose({}, [crash["report"]])
    dead = diagnose({}, crash=crash)
    assert live[0]["cause"] == "runaway_process"
    assert [(one["cause"], one["confidence"]) for one in dead] == [(one["cause"], one["confidence"]) for one in live]
    assert diagnose({}, crash=dict(crash, source="dmesg", memory=None))[0]["cause"] == live[0]["cause"]


def test_the_dump_tells_more_than_the_report(crash):
    live = diagnose({}, [crash["report"]])[0]
    dead = diagnose({}, crash=crash)[0]
    assert set(said(live)) < set(said(dead))
    assert said(dead)["the kernel panicked"]["value"] == "Out of memory: system-wide panic_on_oom is enabled"
    assert said(dead)["vm.panic_on_oom at the crash"]["value"] == 1
    assert "ssh.service" in json.dumps(dead["remedy"])
    assert "ssh.service" not in json.dumps(live["remedy"])


def test_tasks_come_from_the_dump_where_the_report_lists_none(crash):
    crash["report"]["tasks"] = None
    assert diagnose({}, [crash["report"]])[0]["cause"] != "runaway_process"
    assert diagnose({}, crash=crash)[0]["cause"] == "runaway_process"


def test_dirty_memory_is_told_by_device(crash):
    report = crash["report"]
    report["memory"].update(dirty=700 * MIB, writeback=100 * MIB, active_file=820 * MIB, inactive_anon=150 * MIB)
    report["tasks"] = [dict(row, rss=MIB) for row in report["tasks"]]
    crash["writeback"]["devices"][1].update(name="vdb", dirty=700 * MIB, writeback=100 * MIB)
    first = diagnose({}, crash=crash)[0]
    assert first["cause"] == "dirty_pages"
    assert said(first)["dirty and under writeback for vdb"]["value"] == 800 * MIB


def test_a_crash_without_a_report_is_judged_by_its_memory(crash):
    crash.update(report=None, panic="sysrq triggered crash")
    first = diagnose({}, crash=crash)[0]
    assert first["cause"] == "runaway_process"
    assert first["summary"].startswith("At the time of the crash this host") or "python3" in first["summary"]
    assert said(first)["the kernel panicked"]["value"] == "sysrq triggered crash"
    healthy = copy.deepcopy(crash)
    healthy["memory"].update(mem_available=1000 * MIB, mem_free=1000 * MIB, anon_pages=100 * MIB)
    healthy["processes"].update(top=[], by_comm=[])
    assert diagnose({}, crash=healthy)[0]["cause"] == "none"


def test_a_crash_of_which_only_the_log_was_read_and_no_report_leaves_the_facts(crash):
    empty = {"source": "dmesg", "report": None, "panic": "Oops", "why": "no symbols"}
    assert diagnose({}, crash=empty) == diagnose({})


def test_the_parts_of_a_loaded_dump_add_up(loaded):
    """They come from different structures: processes, cgroups, devices, and the kernel's totals."""
    swap, processes = loaded["swap"], loaded["processes"]
    assert processes["swapped"] == sum(row["swap"] for row in processes["top"])
    # The swap cache is counted with the device and no more with a process.
    assert 200 * MIB < processes["swapped"] <= swap["used"] <= processes["swapped"] + swap["cached"]
    groups = {group["path"]: group for group in loaded["cgroups"]["groups"]}
    swapped = [row for row in processes["top"] if row["swap"]]
    assert {row["unit"] for row in swapped} == {"ledger.service", "archive.service"}
    for row in swapped:
        assert row["swap"] <= groups[row["cgroup"]]["swap_current"] <= row["swap"] + MIB, row
    devices = loaded["writeback"]["devices"]
    writer, slow = groups["/system.slice/writer.service"], devices[0]
    for kind in ("dirty", "writeback"):
        assert slow[kind] == writer[kind] > 8 * MIB - 1
        assert 0 <= loaded["memory"][kind] - sum(row[kind] for row in devices) < MIB


def test_a_loaded_dump_is_judged_by_units_and_settings_of_its_own(loaded):
    first = diagnose({}, crash=loaded)[0]
    assert (first["cause"], first["summary"].split()[0]) == ("cgroup_limit", "ledger.service")
    assert said(first)["times it met the limit"]["value"] > 1000
    loaded["memory"].update(dirty=700 * MIB, writeback=100 * MIB, mem_available=20 * MIB, mem_free=20 * MIB)
    loaded["writeback"]["devices"][0].update(dirty=700 * MIB, writeback=100 * MIB)
    dirty = next(one for one in diagnose({}, crash=loaded) if one["cause"] == "dirty_pages")
    assert said(dirty)["dirty and under writeback for vdb"]["value"] == 800 * MIB


def test_the_record_of_the_comparison_has_no_difference_and_says_with_what(loaded):
    """tests/lab/vmcore_check.py wrote it; this is the dump of the fixture."""
    path = Path(__file__).parents[1] / "lab" / "vmcore_check.json"
    record = json.loads(path.read_text())
    assert record["different"] == []
    assert record["kernel"] == loaded["kernel"]
    assert record["had"]["swap_used"] == loaded["swap"]["used"]
    assert record["had"]["dirty"] == loaded["memory"]["dirty"]
    assert {one["form"] for one in record["forms"].values()} == {"elf", "kdump", "flattened"}
    assert all(one["same"] for one in [*record["forms"].values(), record["debuginfod"]])
    assert all(kind["not_zero"] > 0 for kind in record["kinds"].values())


def test_the_record_has_one_verdict_of_the_structures_in_a_dump_and_of_the_log_saved_with_it():
    """tests/lab/vmcore_check.py compared them for a panic of the lab because memory ran out."""
    path = Path(__file__).parents[1] / "lab" / "vmcore_check.json"
    verdicts = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
    dump, log = verdicts["dump"], verdicts["log"]
    assert verdicts["same"]
    assert verdicts["panic"].startswith("Out of memory")
    assert dump["findings"] == log["findings"]
    assert dump["findings"][0][0] == "runaway_process"
    assert dump["process"] == log["process"] == "The process tail (PID 624)"
    # Only the structures tell the unit of a process that was not killed.
    assert (".service" in dump["in_words"], ".service" in log["in_words"]) == (True, False)
