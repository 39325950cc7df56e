# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""swap_file killed at each call that writes: fstab is never half, nothing but swap is ever switched on at boot, and the
next run repairs."""

from __future__ import annotations

import shutil
from pathlib import Path

import module_host
import pytest
import swap_host
from ansible_collections.linux_memory.oom.plugins.module_utils.fstab import Fstab
from killed_at_each_call import killed_at_each_call
from swap_host import MIB

ONE = {"files": [{"path": "/srv/one", "size": "1M", "priority": 5}]}
GROWN = {"files": [{"path": "/srv/one", "size": "2M", "priority": 7}]}
TWO = {"files": [{"path": "/srv/two", "size": "1M"}], "exclusive": True}
ABSENT = {"state": "absent"}


def active(place: Path) -> int:
    """Return the bytes of swap that are on."""
    return sum(
        int(fields[1]) * 1024 for fields in swap_host.areas((place / "proc/swaps").read_text(encoding="utf-8")).values()
    )


def check_whole(place: Path, old: str | None, new: str | None) -> None:
    """See that fstab is whole, and that each of its lines names swap, or nothing yet."""
    path = place / "etc/fstab"
    text = path.read_text(encoding="utf-8") if path.exists() else None
    assert (text is None) <= (None in (old, new))
    fstab, before, after = (Fstab(one, "swap_file") for one in (text, old, new))
    assert fstab.before + fstab.after in (before.before + before.after, before.before + "\n")
    for name, options in fstab.ours().items():
        assert options in (before.ours().get(name), after.ours().get(name))
        file = place / name.lstrip("/")
        assert not file.exists() or (
            swap_host.swap_file_change.has_signature(str(file)) and file.stat().st_mode & 0o777 == 0o600
        )


@pytest.mark.parametrize(
    ("before", "wanted", "fstab"),
    [
        (None, ONE, swap_host.FSTAB),
        (None, ONE, None),
        (ONE, GROWN, swap_host.FSTAB),
        (ONE, TWO, swap_host.FSTAB),
        (ONE, ABSENT, swap_host.FSTAB),
        (ONE, ABSENT, None),
    ],
    ids=["first", "first-no-fstab", "grown", "other", "undo", "undo-no-fstab"],
)
def test_whole_and_repaired(before, wanted, fstab, tmp_path):
    start, end = tmp_path / "start", tmp_path / "end"
    for place in (start, end):
        place.mkdir()
        swap_host.make(place, fstab)
        if before:
            assert "failed" not in swap_host.swap(place, **before)
    untouched = tmp_path / "untouched"
    untouched.mkdir()
    swap_host.make(untouched, fstab)
    assert "failed" not in swap_host.swap(end, **wanted)
    old, new = swap_host.state(start), swap_host.state(end)
    texts = [
        (place / "etc/fstab").read_text(encoding="utf-8") if (place / "etc/fstab").exists() else None
        for place in (start, end)
    ]
    least = min(active(start), active(end))
    killed = []

    def work(place):
        module_host.enter(place)
        assert "failed" not in swap_host.work(wanted)

    def arrange(place):
        shutil.copytree(start, place, dirs_exist_ok=True)

    for place, call in killed_at_each_call(work, arrange, tmp_path):
        check_whole(place, *texts)
        assert active(place) >= least, call
        # Whoever gives up after that gets everything back, too.
        undone = tmp_path / "undone"
        shutil.copytree(place, undone)
        assert "failed" not in swap_host.swap(undone, **ABSENT), call
        assert swap_host.state(undone) == swap_host.state(untouched), call
        shutil.rmtree(undone)
        first, second = module_host.inside(place, lambda: [swap_host.work(wanted), swap_host.work(wanted)])
        assert "failed" not in first, (call, first)
        assert swap_host.state(place) == new, call
        assert not second["changed"], call
        killed.append(call[0])
    assert old != new
    assert len(killed) >= 5 and {"rename", "unlink"} & set(killed)


def test_the_host_is_one_that_refuses_what_a_kernel_refuses(tmp_path):
    swap_host.make(tmp_path)
    (tmp_path / "srv/none").write_bytes(b"\0" * MIB)
    said = module_host.inside(tmp_path, lambda: swap_host.swapon(["/srv/none"]))
    assert said[0] == 255 and "read swap header failed" in said[2]
