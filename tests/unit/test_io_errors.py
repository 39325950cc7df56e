# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failed requests in the kernel's log, in the forms of its releases, and what looks like them and is none.

The forms are those of block/blk-core.c end_request (2.6 to 4.2), blk_update_request (4.3 to 5.15), print_req_error
(4.14 to 5.0) and of block/blk-mq.c blk_print_req_error (5.16 and newer).
"""

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import io_errors as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

OLD = "Apr 12 10:19:58 files kernel: [   18.367607] end_request: critical medium error, dev sdd, sector 1908896"
SHORT = "[  121.253095] print_req_error: I/O error, dev sdd, sector 0"
MIDDLE = (
    "[ 5120.401200] blk_update_request: critical medium error, dev sda, sector 41943040 op 0x0:(READ) flags 0x80700 "
    "phys_seg 1 prio class 2"
)
NEW = "[ 7027.271948] I/O error, dev nvme0n1, sector 78016 op 0x1:(WRITE) flags 0x8800 phys_seg 1 prio class 0"
KMSG = "3,1042,9027000001,-;I/O error, dev cciss/c0d0, sector 8 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2"


@pytest.mark.parametrize(
    ("line", "name", "last"),
    [
        (OLD, "sdd", 18.367607),
        (SHORT, "sdd", 121.253095),
        (MIDDLE, "sda", 5120.4012),
        (NEW, "nvme0n1", 7027.271948),
        (KMSG, "cciss!c0d0", 9027.000001),
        ("timeout error, dev sdb, sector 5 op 0x2:(FLUSH) flags 0x0", "sdb", None),
    ],
)
def test_each_release_says_it_in_its_own_way(line, name, last):
    assert subject.parse([line]) == {name: {"count": 1, "last": last}}


@pytest.mark.parametrize(
    "line",
    [
        "[534.136955] I/O error, dev mmcblk1, sector 5890048 op 0x3:(DISCARD) flags 0x0 phys_seg 1 prio class 2",
        "[534.136955] I/O error, dev sda, sector 58 op 0x9:(WRITE_ZEROES) flags 0x0 phys_seg 0 prio class 2",
        "[1.5] blk_update_request: critical target error, dev sda, sector 0 op 0x0:(READ) flags 0x0",
        "[1.5] operation not supported error, dev loop0, sector 8 op 0x9:(WRITE_ZEROES) flags 0x8000800",
        "[1.5] blk_update_request: recoverable transport error, dev sdc, sector 0 op 0x0:(READ) flags 0x0",
        "[1.5] Buffer I/O error on dev sda1, logical block 5242880, async page read",
        "[1.5] blk_print_req_error: 77 callbacks suppressed",
        "Apr 12 10:19:58 files myapp[77]: I/O error, dev sda, sector 8",
    ],
)
def test_what_is_no_fault_of_a_disk(line):
    assert subject.parse([line]) == {}


def test_errors_of_a_disk_are_counted_and_the_last_is_known():
    later = NEW.replace("7027.", "7100.")
    assert subject.parse([NEW, later, NEW])["nvme0n1"] == {"count": 3, "last": 7100.271948}


@pytest.fixture
def sos(tmp_path):
    where = tmp_path / "sos_commands" / "kernel"
    where.mkdir(parents=True)
    (where / "dmesg").write_text(MIDDLE + "\n" + NEW + "\n")
    return Tree(str(tmp_path))


def test_only_disks_that_are_there_now(sos):
    assert subject.read(sos, {"sda": {}}) == {"sda": {"count": 1, "last": 5120.4012}}


def test_a_tree_that_is_neither_live_nor_a_sosreport(tmp_path):
    assert subject.read(Tree(str(tmp_path)), {"sda": {}}) == {}


def test_the_ring_buffer_of_a_live_host(monkeypatch):
    pieces = [KMSG.encode() + b"\n", b"6,1,2,-;nothing\n", b"\xff\xfe error, dev \xff\n"]
    monkeypatch.setattr(subject.KmsgSource, "pieces", lambda self: iter(pieces))
    assert subject.read(Tree("/"), {"cciss!c0d0": {}})["cciss!c0d0"]["count"] == 1


def test_a_ring_buffer_that_may_not_be_read(monkeypatch):
    def refused(_self):
        raise subject.SourceError("permission denied")

    monkeypatch.setattr(subject.KmsgSource, "pieces", refused)
    tree = Tree("/")
    assert subject.read(tree, {"sda": {}}) == {}
    assert tree.unavailable == {"storage.io_errors": "the kernel's log: permission denied"}


@given(st.lists(st.text() | st.text().map(lambda text: text + " error, dev " + text), max_size=5))
def test_any_lines(lines):
    assert subject.parse([*lines, NEW])["nvme0n1"]["count"] >= 1
