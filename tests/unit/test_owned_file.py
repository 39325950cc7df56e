# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that the collection owns: what they remember, and that they are old or new, never half."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import owned_file
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_what_is_remembered_comes_back(before):
    text = owned_file.render(["vm.swappiness = 10"], before.items())
    assert owned_file.is_owned(text)
    assert owned_file.remembered(text) == before
    assert text.endswith("\nvm.swappiness = 10\n")


@given(st.text())
def test_any_text_is_read(text):
    owned_file.remembered(text)
    owned_file.remembered(owned_file.BEFORE + text)


def test_not_ours():
    assert not owned_file.is_owned(None)
    assert not owned_file.is_owned("")
    assert not owned_file.is_owned("vm.swappiness = 10\n" + owned_file.MARK)


def test_write_and_remove(tmp_path):
    path = tmp_path / "made" / "60-x.conf"
    assert owned_file.read(str(path)) is None
    old = os.umask(0o077)
    try:
        owned_file.write(str(path), "one\n", os.rename)
    finally:
        os.umask(old)
    assert owned_file.read(str(path)) == "one\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    owned_file.write(str(path), "two\n", os.rename, mode=0o600)
    assert path.read_text(encoding="utf-8") == "two\n"
    assert [one.name for one in path.parent.iterdir()] == ["60-x.conf"]
    assert owned_file.remove(str(path))
    assert not owned_file.remove(str(path))


def test_a_failed_move_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "x.conf"
    path.write_text("old\n", encoding="utf-8")

    def refuse(_source, _destination):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        owned_file.write(str(path), "new\n", refuse)
    assert path.read_text(encoding="utf-8") == "old\n"
    assert os.listdir(str(tmp_path)) == ["x.conf"]


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(OSError):
        owned_file.read(str(tmp_path))
