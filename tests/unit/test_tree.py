# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading from a tree: inside it, whatever it holds."""

from __future__ import annotations

import os

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import READ_LIMIT, Tree


@pytest.fixture
def root(tmp_path):
    """Return a directory to fill and a function that makes a Tree of it."""
    (tmp_path / "etc").mkdir()
    return tmp_path


def test_absolute_links_stay_in_the_tree(root):
    (root / "etc" / "real").write_text("inside\n")
    (root / "etc" / "link").symlink_to("/etc/real")
    assert Tree(str(root)).text("/etc/link") == "inside"


def test_links_cannot_climb_out_of_the_tree(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("secret")
    (root / "etc" / "link").symlink_to(f"../../../../../../../../..{outside}")
    assert Tree(str(root)).text("/etc/link") is None
    assert Tree(str(root)).text(f"/../../../..{outside}") is None


def test_a_link_in_the_middle_of_a_path_is_followed_inside(root):
    (root / "data").mkdir()
    (root / "data" / "file").write_text("7")
    (root / "etc" / "dir").symlink_to("/data")
    assert Tree(str(root)).integer("/etc/dir/file") == 7
    assert Tree(str(root)).names("/etc/dir") == ["file"]


def test_a_loop_of_links_is_an_error_and_not_a_hang(root):
    (root / "etc" / "a").symlink_to("b")
    (root / "etc" / "b").symlink_to("a")
    tree = Tree(str(root))
    with pytest.raises(OSError, match="symbolic links"):
        tree.read("/etc/a")
    assert tree.text("/etc/a", "none") == "none"
    assert not tree.exists("/etc/a")


def test_a_fifo_is_refused_and_does_not_block(root):
    os.mkfifo(root / "etc" / "fifo")
    assert Tree(str(root)).text("/etc/fifo") is None


@pytest.mark.parametrize("live", [True, False])
def test_a_nul_in_a_path_is_an_ordinary_error(root, live):
    tree = Tree("/" if live else str(root))
    with pytest.raises(OSError, match="Invalid argument"):
        tree.read("/etc/a\0b")
    assert tree.names("/etc/a\0b") == []
    assert not tree.exists("/etc/a\0b")
    assert tree.link("/etc\0/a") is None


def test_a_directory_is_no_file(root):
    assert Tree(str(root)).text("/etc") is None


def test_bytes_that_are_not_utf8_are_replaced(root):
    (root / "etc" / "file").write_bytes(b"a\xff\xfeb")
    assert Tree(str(root)).text("/etc/file") == "a\ufffd\ufffdb"


def test_a_huge_file_is_cut(root):
    with open(root / "etc" / "file", "wb") as file:
        file.truncate(READ_LIMIT + 1)
    assert len(Tree(str(root)).read("/etc/file")) == READ_LIMIT


@pytest.mark.parametrize("content", ["", "x", "1 2", "0x10", "99e3"])
def test_what_is_no_number_is_none(root, content):
    (root / "etc" / "number").write_text(content)
    assert Tree(str(root)).integer("/etc/number") is None


def test_reasons_name_the_path_as_the_host_knows_it(root):
    tree = Tree(str(root))
    try:
        tree.read("/proc/meminfo")
    except OSError as error:
        tree.missing("meminfo", error)
    tree.missing("meminfo", "a later reason does not replace the first")
    assert tree.unavailable == {"meminfo": "/proc/meminfo: does not exist"}


def test_link_returns_the_target_as_written(root):
    (root / "etc" / "link").symlink_to("/dev/null")
    tree = Tree(str(root))
    assert tree.link("/etc/link") == "/dev/null"
    assert tree.link("/etc/absent") is None


def test_a_sosreport_is_known_by_its_commands(root):
    assert not Tree(str(root)).sosreport
    (root / "sos_commands").mkdir()
    assert Tree(str(root)).sosreport
    assert not Tree("/").sosreport


def test_what_is_computed_once_is_not_computed_again(root):
    calls = []
    tree = Tree(str(root))

    def compute():
        calls.append(1)
        return 5

    assert [tree.once("key", compute), tree.once("key", compute)] == [5, 5]
    assert calls == [1]
