# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watch of role swap_tuning: it alarms once for what lasts, and not for what swings."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

PROGRAM = Path(__file__).resolve().parents[2] / "roles" / "swap_tuning" / "files" / "swap_watch.py"
_SPEC = importlib.util.spec_from_file_location("swap_watch", PROGRAM)
watch = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(watch)

MIB = watch.MIB
GIB = 1024 * MIB


def settings(**changed):
    usual = {"used_percent": 80, "swap_in_mib": 10, "for_seconds": 120, "clear_percent": 80, "command": [], "state": ""}
    return {**usual, **changed}


def sample(time, used=0, swapped_in=0, total=100):
    """Return a sample: swap in MiB, what was read back in MiB since boot."""
    return {
        "time": float(time), "total": total * MIB, "free": (total - used) * MIB, "available": GIB,
        "swapped_in": swapped_in * MIB,
    }  # fmt: skip


def told(samples, **changed):
    """Return [(time, name, kind)] of what is told of samples, one after another."""
    state, found = {}, []
    for one in samples:
        state, events = watch.judge(settings(**changed), json.loads(json.dumps(state)), one)
        found += [(one["time"], event["name"], event["kind"]) for event in events]
    return found


def test_an_alarm_begins_when_it_has_lasted_and_ends_well_below():
    used = [10, 85, 85, 85, 85, 79, 65, 63, 10, 10]
    assert told(sample(60 * number, one) for number, one in enumerate(used)) == [
        (180.0, "used", "begins"), (420.0, "used", "ends"),
    ]  # fmt: skip


def test_what_swings_about_the_limit_alarms_once():
    used = [85, 85, 85] + [79, 81] * 30
    assert told(sample(60 * number, one) for number, one in enumerate(used)) == [(120.0, "used", "begins")]


def test_a_short_peak_is_no_alarm():
    assert told(sample(60 * number, one) for number, one in enumerate([85, 85, 79] * 20)) == []


def test_swap_in_is_a_rate_between_two_looks():
    swapped = [0, 1200, 2400, 3600, 4800, 4801]
    assert told(sample(60 * number, swapped_in=one) for number, one in enumerate(swapped)) == [
        (180.0, "swap_in", "begins"), (300.0, "swap_in", "ends"),
    ]  # fmt: skip


def test_much_read_back_long_ago_is_no_rate():
    assert told([sample(10, swapped_in=10**6), sample(70, swapped_in=10**6)], for_seconds=0) == []


def test_counters_that_go_back_are_no_rate():
    assert watch.values_of(sample(70, swapped_in=1), sample(10, swapped_in=5))["swap_in"] is None
    assert watch.values_of(sample(10), sample(10))["swap_in"] is None


def test_without_swap_there_is_nothing_to_tell_and_an_alarm_ends():
    assert told([sample(0, 90), sample(60, 0, total=0)], for_seconds=0) == [
        (0.0, "used", "begins"), (60.0, "used", "ends"),
    ]  # fmt: skip
    assert told([sample(60 * number, 0, total=0) for number in range(5)], for_seconds=0) == []


def test_a_limit_that_is_not_set_is_not_watched():
    samples = [sample(60 * number, 99, 10**4 * number) for number in range(9)]
    assert {name for _time, name, _kind in told(samples, used_percent=None)} == {"swap_in"}
    assert {name for _time, name, _kind in told(samples, swap_in_mib=None)} == {"used"}


@given(st.lists(st.tuples(st.floats(0, 600), st.integers(0, 100), st.integers(0, 10**4))), st.integers(0, 600))
def test_alarms_begin_and_end_in_turn_and_only_after_their_time(steps, lasting):
    time, swapped, state = 0.0, 0, {}
    over_since, inside = None, False
    for seconds, used, read in steps:
        time, swapped = time + seconds, swapped + read
        state, events = watch.judge(settings(for_seconds=lasting), state, sample(time, used, swapped))
        over_since = None if used < 80 else time if over_since is None else over_since
        for event in [event for event in events if event["name"] == "used"]:
            assert (event["kind"] == "begins") != inside
            inside = not inside
            assert (used >= 80 and time - over_since >= lasting) if inside else used < 64
        assert watch.sentence(
            {"name": "used", "kind": "begins", "value": used, "limit": 80, "seconds": 1}, state["last"]
        )


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"last": 1}', '{"since": {"used": "x"}, "alarm": {}, "last": {}}']
)
def test_a_state_that_makes_no_sense_is_none(tmp_path, text):
    (tmp_path / "state").write_text(text, encoding="utf-8")
    assert watch.read_state(str(tmp_path / "state")) == {}
    assert watch.read_state(str(tmp_path / "nowhere")) == {}


def test_it_reads_the_kernels_files(tmp_path):
    (tmp_path / "proc").mkdir()
    texts = {
        "meminfo": "MemTotal: 2048 kB\nMemAvailable: 1024 kB\nSwapTotal: 4096 kB\nSwapFree: 1024 kB\nHugePages: 0\n",
        "vmstat": "pswpin 3\npswpout 9\n",
        "uptime": "123.45 99.00\n",
    }
    for name, text in texts.items():
        (tmp_path / "proc" / name).write_text(text, encoding="ascii")
    page = watch.os.sysconf("SC_PAGE_SIZE")
    assert watch.look(str(tmp_path)) == {
        "time": 123.45, "total": 4 * MIB, "free": MIB, "available": MIB, "swapped_in": 3 * page,
    }  # fmt: skip


def test_main_tells_once_and_runs_the_command(tmp_path, monkeypatch, capsys):
    left = tmp_path / "left"
    command = ["/bin/sh", "-c", f'echo "$SWAP_WATCH_LIMIT $SWAP_WATCH_MESSAGE" >> {left}; exit 3']
    wanted = settings(for_seconds=0, command=command, state=str(tmp_path / "state"))
    (tmp_path / "settings").write_text("# Managed\n# before: []\n" + json.dumps(wanted), encoding="utf-8")
    times = iter([sample(1, 90), sample(2, 91), sample(3, 1)])
    monkeypatch.setattr(watch, "look", lambda: next(times))
    assert watch.main([str(tmp_path / "settings")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "<4>swap in use is 90.0 %, at or over the limit of 80 % for 0 s "
        "(swap 90 of 100 MiB in use, 1024 MiB of memory available)"
    )
    assert lines[1] == "<3>the command /bin/sh failed with status 3"
    assert left.read_text(encoding="utf-8") == "used " + lines[0][3:] + "\n"
    assert watch.main([str(tmp_path / "settings")]) == 0
    assert capsys.readouterr().out == ""
    assert watch.main([str(tmp_path / "settings")]) == 0
    assert capsys.readouterr().out.startswith("<5>swap in use is 1.0 %, well below")
    assert len(left.read_text(encoding="utf-8").splitlines()) == 1


def test_a_command_that_hangs_or_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(watch, "COMMAND_SECONDS", 0.2)
    assert "did not end" in watch.run_command(["/bin/sleep", "9"], "", "used")
    assert "could not be run" in watch.run_command(["/nowhere"], "", "used")
