# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The block in /etc/fstab: what is outside stays byte for byte, what is inside comes back."""

from __future__ import annotations

import re

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils.fstab import Fstab, parse_line, swap_line
from hypothesis import given
from hypothesis import strategies as st

# What others may write: anything, with line ends of all kinds, that is not a marker of ours.
PIECES = st.lists(st.sampled_from([*"ab /#\t\r\n\\0=", "swap ", "none ", "/dev/sda1 ", "\n/x none swap sw"]))
TEXTS = st.none() | PIECES.map("".join) | st.text()
PATHS = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from(" \t\\"), min_size=1)
PATHS = PATHS.map(lambda name: "/" + name)


def lines_of(paths):
    return [swap_line(path, ["sw", "nofail"]) for path in paths]


@given(TEXTS, st.lists(PATHS, min_size=1, unique=True))
def test_what_is_entered_comes_back_and_undo_restores_every_byte(text, paths):
    written = Fstab(text, "x").with_lines(lines_of(paths))
    again = Fstab(written, "x")
    assert again.ours() == {path: ["sw", "nofail"] for path in paths}
    assert again.with_lines(lines_of(paths)) == written
    assert again.with_lines([]) == text
    assert written.startswith(text or "")


@given(TEXTS, st.lists(st.tuples(st.sampled_from("xyz"), st.lists(PATHS, max_size=2, unique=True)), max_size=8))
def test_owners_never_touch_each_other(text, changes):
    now, expected = text, {}
    for owner, paths in changes:
        now = Fstab(now, owner).with_lines(lines_of(paths))
        expected[owner] = set(paths)
        for name, wanted in expected.items():
            assert set(Fstab(now, name).ours()) == wanted
    for owner in expected:
        now = Fstab(now, owner).with_lines([])
    # Where one was appended to a line without an end, the end may stay; where there was no file, an empty one may.
    assert (now or "").rstrip("\n") == (text or "").rstrip("\n")


def test_the_end_that_the_last_line_lacked_is_kept_while_others_stand_below():
    first = Fstab("/dev/vda / ext4 defaults 0 1", "x").with_lines(["/a none swap sw 0 0"])
    second = Fstab(first + "/dev/vdb /srv ext4 defaults 0 2\n", "x")
    assert second.with_lines([]) == "/dev/vda / ext4 defaults 0 1\n/dev/vdb /srv ext4 defaults 0 2\n"


def test_swap_of_others_is_found_with_its_line():
    text = "/dev/vda / ext4 defaults 0 1\n/my\\040swap none swap sw 0 0\nLABEL=s none swap defaults\n#/x none swap sw\n"
    assert Fstab(text, "x").others() == {"/my swap": 2, "LABEL=s": 3}
    grown = Fstab(text, "x").with_lines(["/a none swap sw 0 0"]) + "/late none swap sw 0 0\n"
    assert Fstab(grown, "x").others() == {"/my swap": 2, "LABEL=s": 3, "/late": 8}
    assert grown.split("\n")[7].startswith("/late")
    open_end = Fstab("/old none swap sw", "x").with_lines(["/a none swap sw 0 0"]) + "/late none swap sw 0 0\n"
    assert Fstab(open_end, "x").others() == {"/old": 1, "/late": 5}
    assert open_end.split("\n")[4].startswith("/late")


@pytest.mark.parametrize("damage", ["begin", "end", "both"])
def test_a_block_that_somebody_damaged_is_refused(damage):
    lines = Fstab("", "x").with_lines(["/a none swap sw 0 0"]).split("\n")
    text = {"begin": lines[1:], "end": lines[:-2], "both": lines + lines}[damage]
    with pytest.raises(ValueError, match="mend the file by hand"):
        Fstab("\n".join(text), "x")


@given(st.text())
def test_any_line_is_read(line):
    parse_line(line)


@given(PATHS)
def test_every_path_fits_into_a_field(path):
    line = swap_line(path, ["sw"])
    assert len(re.split("[ \t]+", line)) == 6
    assert parse_line(line)["source"] == path
