# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""owned_units killed at each call that writes: files are old or new, and the next run repairs files and systemd."""

from __future__ import annotations

import shutil

import module_host
import pytest
import units_host
from killed_at_each_call import killed_at_each_call
from units_host import drop_in, program, timer

FIRST = {"files": timer("daily") + drop_in("1d") + program("first"), "need_restart": ["leaky.service"]}
OTHER = {"files": timer("weekly") + drop_in("2d") + program("other")}
LESS = {"files": timer("hourly", "two")}
BIRD = units_host.companion(64 << 20)
LARGER = units_host.companion(96 << 20)
ABSENT = {"state": "absent"}


@pytest.mark.parametrize(
    ("before", "wanted"),
    [(None, FIRST), (FIRST, OTHER), (FIRST, LESS), (FIRST, ABSENT), (None, BIRD), (BIRD, LARGER), (BIRD, ABSENT)],
    ids=["first", "other", "less", "undo", "companion", "larger", "no companion"],
)
def test_old_or_new_and_repaired(before, wanted, tmp_path):
    untouched, start, end = (tmp_path / name for name in ("untouched", "start", "end"))
    for place in (untouched, start, end):
        place.mkdir()
        units_host.make(place)
        units_host.activate(place, "leaky.service")
    if before:
        for place in (start, end):
            assert "failed" not in units_host.units(place, **before)
    assert "failed" not in units_host.units(end, **wanted)
    nothing, old, new = (units_host.state(place) for place in (untouched, start, end))
    killed = []

    def work(place):
        module_host.enter(place)
        assert "failed" not in units_host.work(wanted)

    def arrange(place):
        shutil.copytree(start, place, symlinks=True, dirs_exist_ok=True)

    for place, call in killed_at_each_call(work, arrange, tmp_path):
        for name, text in units_host.state(place).items():
            if name.startswith("/etc") and not name.rpartition("/")[2].startswith("."):
                assert text in (old.get(name), new.get(name)), (call, name)
        # Whoever gives up after that gets everything back, too.
        undone = tmp_path / "undone"
        shutil.copytree(place, undone, symlinks=True)
        assert "failed" not in units_host.units(undone, **ABSENT), call
        assert units_host.state(undone) == nothing, call
        shutil.rmtree(undone)
        first, second = module_host.inside(place, lambda: [units_host.work(wanted), units_host.work(wanted)])
        assert "failed" not in first, (call, first)
        assert units_host.state(place) == new, call
        assert not second["changed"], (call, second)
        killed.append(call[0])
    assert len(killed) >= 5 and {"rename", "unlink"} & set(killed)
