# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_sysctl killed at each call that writes: old or new, never half, and the next run repairs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils.vm_sysctl_change import Change
from killed_at_each_call import killed_at_each_call
from sysctl_hosts import Kernel

OURS = "/etc/sysctl.d/90-linux_memory_oom.conf"
FIRST = {"vm.swappiness": 10, "vm.min_free_kbytes": 50000}
SECOND = {"vm.swappiness": 20, "vm.page-cluster": 0}
OPTIONS = {"path": OURS, "state": "present", "on_override": "rename", "force": True}


class Host(Kernel):
    """A host that is there already."""

    def __init__(self, root):
        self.root = root


def run(place, settings, **options):
    """Do the module's work, on files. Values keep their length, as the kernel's do."""
    change = Change({**OPTIONS, "settings": settings, **options}, root=str(place))
    change.look()
    change.apply()


def untouched(place):
    """Make a host."""
    Kernel(place)


def set_before(place):
    """Make a host on which something was set."""
    untouched(place)
    run(place, FIRST)


def overridden(place):
    """Make a host on which another file has come, so that the next run has to take a later name."""
    set_before(place)
    Host(place).put("/etc/sysctl.d/99-sysctl.conf", "vm.swappiness = 60\n")


def is_undone(place, call):
    """Take everything back and see that it is as it was."""
    run(place, None, state="absent")
    undone = Host(place).state()
    assert undone["proc/sys/vm/swappiness"] == "60\n", call
    assert undone["proc/sys/vm/page-cluster"] == "3\n", call
    assert not [name for name in undone if name.endswith("oom.conf")], call


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        (untouched, {"settings": FIRST}),
        (set_before, {"settings": SECOND}),
        (overridden, {"settings": FIRST}),
        (set_before, {"settings": None, "state": "absent"}),
    ],
    ids=["first", "other", "rename", "undo"],
)
def test_old_or_new_and_repaired(before, wanted, tmp_path):
    start, end = tmp_path / "start", tmp_path / "end"
    for place in (start, end):
        place.mkdir()
        before(place)
    run(end, **wanted)
    old, new = Host(start).state(), Host(end).state()
    ours = {name for name in {*old, *new} if name.endswith("linux_memory_oom.conf")}
    killed = []

    def work(place):
        run(place, **wanted)

    def arrange(place):
        shutil.copytree(start, place, dirs_exist_ok=True)

    for place, call in killed_at_each_call(work, arrange, tmp_path):
        left = Host(place).state()
        for name in ours & left.keys():
            text = left[name]
            # While something is given up, the file holds what was and what is wished, and is whole as well.
            both = text.startswith("# Managed by") and text.endswith("\n") and "vm.page-cluster = 0" in text
            assert text in (old.get(name), new.get(name)) or both, call
        for name in left.keys() - ours:
            # A rest of the file that was being written is not read by anybody.
            assert name in old or (Path(name).name.startswith(".") and not name.endswith(".conf")), (call, name)
        # Whoever gives up after that gets everything back, too.
        given_up = tmp_path / "given_up"
        shutil.copytree(place, given_up)
        is_undone(given_up, call)
        shutil.rmtree(given_up)
        run(place, **wanted)
        assert Host(place).state() == new, call
        is_undone(place, call)
        killed.append(call[0])
    assert len(killed) >= 2
    assert {"rename", "unlink"} & set(killed)
