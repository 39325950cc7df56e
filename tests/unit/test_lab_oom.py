# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's induced failures, and the table of the logs that came from them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import induce
import oom_fixtures

ROWS = oom_fixtures.rows()


def test_every_log_has_a_row():
    assert {path.name for path in oom_fixtures.FIXTURES.glob("*.log.xz")} == set(ROWS)


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row["file"])
def test_a_row_says_what_its_log_is(row):
    text = oom_fixtures.log(row["file"])
    one = induce.KINDS[row["kind"]]
    assert row == oom_fixtures.told(row)
    if row["kind"] == "overcommit":
        assert re.search(rb"not? enough memory for the allocation", text)
    elif "end" in one.needs:
        assert b"Kernel panic - not syncing: Out of memory" in text
    else:
        assert len(re.findall(rb"Killed process \d+ \(", text)) == row["kills"] > 0


def test_each_failure_is_made_and_most_of_them_on_one_set_up():
    made = [name for setup in oom_fixtures.SETUPS for name in oom_fixtures.kinds_for(setup)]
    assert set(made) == set(induce.KINDS)
    assert {name for name in made if made.count(name) > 1} == {"cgroup_hog", "cgroup_slice", "cpuset", "mempolicy"}
    order = oom_fixtures.kinds_for("v2")
    assert (order[0], order[-1]) == ("hugepages", "panic")


def test_forms_take_turns():
    assert oom_fixtures.forms_for("panic", 0, True) == ["console"]
    assert oom_fixtures.forms_for("ring_overflow", 3, True) == ["dmesg"]
    assert len({oom_fixtures.forms_for("slab", turn, False)[0] for turn in range(9)}) > 6
    everything = oom_fixtures.forms_for("global_hog", 0, True)
    assert everything == list(oom_fixtures.FORMS)
    assert "journal_json" not in oom_fixtures.forms_for("global_hog", 0, False)


def test_only_the_kernels_words_of_a_console():
    console = b"[    1.5] Mem-Info:\r\n[  OK  ] Started x.\r\n[   2.0] systemd[1]: hello\r\nlogin: \r\n[ 2.1] end\r\n"
    assert oom_fixtures.console_part(console) == b"[    1.5] Mem-Info:\r\n[ 2.1] end\r\n"


def test_only_the_records_since_the_failure_began():
    records = b"6,1,999999,-;old\n SUBSYSTEM=x\n4,2,1000000,-,caller=T1;new\n DEVICE=y\n"
    assert oom_fixtures.kmsg_part(records, 1.0) == b"4,2,1000000,-,caller=T1;new\n DEVICE=y\n"


def test_the_table_keeps_what_it_had_and_says_of_each_kind_what_is_known_now(tmp_path, monkeypatch):
    monkeypatch.setattr(oom_fixtures, "FIXTURES", tmp_path)
    monkeypatch.setattr(oom_fixtures, "INDEX", tmp_path / "index.json")
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    a, b = ({"file": f"{name}.log", "kind": "slab", "made": 'with: "x" # y'} for name in "ab")
    oom_fixtures.save({"a.log": {**a, "cause": "an older one"}, "gone.log": {**a, "file": "gone.log"}})
    oom_fixtures.save({"b.log": b})
    known = {"cause": "kernel_memory", "accepted": ["kernel_memory"], "told": induce.KINDS["slab"].told}
    assert oom_fixtures.rows() == {"a.log": {**a, **known}, "b.log": {**b, **known}}
