# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""bdi_limits killed at each call that writes: old or new, never half, and the next run repairs."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import owned_file
from killed_at_each_call import killed_at_each_call
from test_bdi_limits import RULES, Devices

NAME = RULES.lstrip("/")
START = ("100", "0", "100")
FIRST = {"/srv": {"max_ratio": 10, "strict_limit": True}, "/": {"max_ratio": 20}}
OTHER = {"/srv": {"max_ratio": 15}, "/": {"max_ratio": 25}}
LESS = {"/srv": {"max_ratio": 15}}


class There(Devices):
    """A host that is there already."""

    def __init__(self, root):
        self.root = root

    def files(self):
        """Return every file with its text, by its path on the host; numbers of the kernel without their ends."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and not path.is_symlink():
                text = path.read_text(encoding="utf-8")
                name = str(path.relative_to(self.root))
                found[name] = text.strip() if name.startswith("sys/") else text
        return found


@pytest.mark.parametrize(
    ("before", "wanted"),
    [(None, FIRST), (FIRST, OTHER), (FIRST, LESS), (LESS, FIRST), (FIRST, None)],
    ids=["first", "other", "less", "more", "undo"],
)
def test_old_or_new_and_repaired(before, wanted, tmp_path):
    start, end = tmp_path / "start", tmp_path / "end"
    for place in (start, end):
        host = Devices(place)
        if before:
            host.change(before)
    There(end).change(wanted)
    old, new = There(start).files(), There(end).files()
    killed = []

    def arrange(place):
        shutil.copytree(start, place, symlinks=True, dirs_exist_ok=True)

    for place, call in killed_at_each_call(lambda place: There(place).change(wanted), arrange, tmp_path):
        left = There(place).files()
        for name, text in left.items():
            if name == NAME:
                # While something is given up, the file holds its old values as well, and is whole.
                whole = owned_file.is_owned(text) and text.endswith('"\n')
                assert text in (old.get(name), new.get(name)) or (before and whole), call
            elif name in old:
                assert text in (old[name], new.get(name)), (call, name)
            else:
                assert name.startswith("etc/udev/rules.d/.") and not name.endswith(".rules"), (call, name)
        # Whoever gives up after that gets everything back, too.
        undone = tmp_path / "undone"
        shutil.copytree(place, undone, symlinks=True)
        There(undone).change()
        assert There(undone).running() == START, call
        shutil.rmtree(undone)
        There(place).change(wanted)
        assert There(place).files() == new, call
        assert not There(place).change(wanted).changed, call
        There(place).change()
        assert There(place).running() == START, call
        assert NAME not in There(place).files(), call
        killed.append(call[0])
    assert len(killed) >= 2 and {"rename", "unlink"} & set(killed)
