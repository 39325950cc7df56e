# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that run with another unit and hold memory: when they run, when they are started anew, what is read back."""

from __future__ import annotations

import json

import pytest
import units_host
from ansible_collections.linux_memory.oom.plugins.module_utils import companions, unit_files
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

MIB = 1024**2
BIRD = "linux_memory_oom-x-bird.service"
WISH = units_host.companion(64 * MIB)


@pytest.fixture
def host(tmp_path):
    """Return a host on which the partner runs."""
    units_host.make(tmp_path)
    units_host.activate(tmp_path, "leaky.service")
    return tmp_path


def active(place):
    return json.loads((place / units_host.STATE.lstrip("/")).read_text(encoding="utf-8"))["active"]


def status_of(place):
    return place / "proc" / str(100 + len(BIRD)) / "status"


def unit(answer):
    (one,) = (one for one in answer["units"] if one["name"] == BIRD)
    return one


def test_a_companion_follows_from_its_file():
    path = f"/etc/systemd/system/{BIRD}"
    assert unit_files.partner(path, "[Unit]\nPartOf=a.service\n") == "a.service"
    assert unit_files.units_of(path, "[Unit]\nPartOf=a.service\n") == [BIRD]
    assert unit_files.partner(path, "[Unit]\n#PartOf=a.service\nAfter=a.service\n") is None
    assert unit_files.partner(path.replace(".service", ".target"), "[Unit]\nPartOf=a.service\n") is None
    assert unit_files.partner("/usr/local/lib/x.service", "[Unit]\nPartOf=a.service\n") is None


def test_it_is_started_where_its_partner_runs_and_holds_what_it_is_to_hold(host):
    predicted = units_host.units(host, check=True, **WISH)
    done = units_host.units(host, **WISH)
    assert unit(predicted) == unit(done) == {
        "name": BIRD,
        "before": {"active": False, "enabled": None, "holds": False},
        "after": {"active": True, "enabled": None, "holds": True},
    }  # fmt: skip
    assert BIRD in active(host)
    told = done["processes"][BIRD]
    assert (told["resident"], told["oom_score_adj"], told["swapped"]) == (64 * MIB, 1000, 0)
    again = units_host.units(host, **WISH)
    assert not again["changed"]
    assert again["processes"] == done["processes"]


def test_it_waits_where_its_partner_does_not_run(tmp_path):
    units_host.make(tmp_path)
    done = units_host.units(tmp_path, **WISH)
    assert done["changed"]
    assert unit(done)["after"] == {"active": False, "enabled": None, "holds": False}
    assert active(tmp_path) == []
    assert not units_host.units(tmp_path, **WISH)["changed"]


def test_one_that_runs_without_its_partner_is_stopped(host):
    units_host.units(host, **WISH)
    path = host / units_host.STATE.lstrip("/")
    path.write_text(path.read_text(encoding="utf-8").replace('"leaky.service"', '"cron.service"', 1), encoding="utf-8")
    assert units_host.units(host, **WISH)["changed"]
    assert BIRD not in active(host)


def test_one_of_another_size_is_started_anew(host):
    units_host.units(host, **WISH)
    larger = units_host.companion(96 * MIB)
    done = units_host.units(host, **larger)
    assert done["processes"][BIRD]["resident"] == 96 * MIB
    assert not units_host.units(host, **larger)["changed"]


def test_one_that_has_lost_memory_is_started_anew(host):
    """Swapped out, for example: its file is the same, and so is what systemd says."""
    units_host.units(host, **WISH)
    status_of(host).write_text(units_host.status(10 * MIB), encoding="utf-8")
    predicted = units_host.units(host, check=True, **WISH)
    assert unit(predicted)["before"] == {"active": True, "enabled": None, "holds": False}
    assert units_host.units(host, **WISH)["changed"]
    assert units_host.units(host, check=True, **WISH)["processes"][BIRD]["resident"] == 64 * MIB


def test_one_that_is_dead_is_started_again(host):
    units_host.units(host, **WISH)
    path = host / units_host.STATE.lstrip("/")
    path.write_text(path.read_text(encoding="utf-8").replace(f'"{BIRD}"', '"cron.service"', 1), encoding="utf-8")
    assert units_host.units(host, **WISH)["changed"]
    assert BIRD in active(host)


def test_one_that_gets_less_than_it_is_to_hold_fails_with_both_numbers(host, monkeypatch):
    monkeypatch.setattr(companions, "PATIENCE", 0.0)
    monkeypatch.setattr(companions.wait_until, "__defaults__", (0.0,))
    asked = WISH | {"resident": {BIRD: 65 * MIB}}
    answer = units_host.units(host, **asked)
    assert answer["failed"]
    assert f"was to hold {65 * MIB} bytes in RAM, and holds {64 * MIB}" in answer["msg"]


@pytest.mark.parametrize(
    ("resident", "words"),
    [
        ({"other.service": 5}, "other.service is no service among the files that is part of another unit"),
        ({BIRD: "much"}, f"resident: much of {BIRD} is not a number of bytes"),
    ],
)
def test_what_is_no_companion_is_refused(host, resident, words):
    answer = units_host.units(host, **(WISH | {"resident": resident}))
    assert words in answer["msg"]
    assert active(host) == ["leaky.service"]


def test_undo_stops_it_and_leaves_nothing(host):
    before = units_host.state(host)
    units_host.units(host, **WISH)
    assert units_host.units(host, state="absent")["changed"]
    assert units_host.state(host) == before
    assert not units_host.units(host, state="absent")["changed"]


def test_undo_ends_the_mark_of_a_death(host):
    before = units_host.state(host)
    units_host.units(host, **WISH)
    units_host.activate(host, "linux_memory_oom-x-bird-died.target")
    assert units_host.units(host, state="absent")["changed"]
    assert units_host.state(host) == before


def test_a_run_that_was_stopped_leaves_it_to_the_next_to_start_it_anew(host):
    """Its file may have changed after it was started: what it holds is enough, and its unit may say something else."""
    units_host.units(host, **WISH)
    status_of(host).write_text(units_host.status(65 * MIB), encoding="utf-8")
    pending = host / unit_files.pending("x").lstrip("/")
    pending.parent.mkdir(exist_ok=True)
    pending.touch()
    assert units_host.units(host, **WISH)["processes"][BIRD]["resident"] == 64 * MIB
    assert not pending.exists()


def test_a_process_is_what_the_kernel_says(tmp_path):
    (tmp_path / "proc/7").mkdir(parents=True)
    tree = Tree(str(tmp_path))
    assert companions.Process.read(tree, "7") is None
    assert companions.Process.read(tree, "0") is None
    assert companions.Process.read(tree, None) is None
    text = "Name:\tx\nVmLck:\t 8 kB\nVmRSS:\t 90 kB\n{}VmSwap:\t 4 kB\n"
    (tmp_path / "proc/7/status").write_text(text.format("RssAnon:\t 30 kB\n"), encoding="utf-8")
    (tmp_path / "proc/7/oom_score_adj").write_text("-17\n", encoding="utf-8")
    process = companions.Process.read(tree, "7")
    assert process.told() == {
        "pid": 7, "resident": 30 * 1024, "locked": 8 * 1024, "swapped": 4 * 1024, "oom_score_adj": -17,
    }  # fmt: skip
    assert process.holds(30 * 1024)
    assert not process.holds(30 * 1024 + 1)
    # Kernels before 4.5 tell no more than the whole.
    (tmp_path / "proc/7/status").write_text(text.format(""), encoding="utf-8")
    assert companions.Process.read(tree, "7").resident == 90 * 1024
