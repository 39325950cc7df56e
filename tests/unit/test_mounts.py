# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mount list: exact values, what covers what, and no traceback on garbage."""

import json
import os
import shutil
import subprocess

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import mounts as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

MOUNTINFO = r"""21 1 254:3 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw,errors=remount-ro
22 21 0:20 / /proc rw,nosuid shared:2 master:7 - proc proc rw
30 21 0:41 /@home /home rw,noatime shared:9 - btrfs /dev/sda2 rw,space_cache=v2,subvolid=257,subvol=/@home
31 21 8:17 / /srv/two\040words\011tab ro,relatime - xfs /dev/sdb1 rw,attr2
32 21 0:50 / /mnt/nfs rw - nfs4 server:/export/caf\303\251 rw,addr=10.0.0.1
33 21 0:51 / /empty rw - tmpfs  rw,size=64k
"""


def tree(tmp_path, **files):
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(str(tmp_path))


def test_fields():
    found = subject.parse_mountinfo(MOUNTINFO)
    assert found[0] == {
        "id": 21,
        "parent": 1,
        "device": "254:3",
        "root": "/",
        "mount": "/",
        "options": ["rw", "relatime"],
        "type": "ext4",
        "source": "/dev/mapper/vg-root",
        "super_options": ["rw", "errors=remount-ro"],
    }
    assert [entry["type"] for entry in found] == ["ext4", "proc", "btrfs", "xfs", "nfs4", "tmpfs"]
    assert found[2]["root"] == "/@home"
    assert found[3]["mount"] == "/srv/two words\ttab"
    assert found[3]["options"] == ["ro", "relatime"]
    assert found[4]["source"] == "server:/export/café"
    assert (found[5]["source"], found[5]["super_options"]) == ("", ["rw", "size=64k"])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "garbage",
        "21 1 254:3 / / rw,relatime shared:1 ext4 /dev/sda rw,x y z",
        "21 1 254:3 / relative rw - ext4 /dev/sda rw",
        "x 1 254:3 / / rw,relatime - ext4 /dev/sda rw",
        "21 1 254 / / rw,relatime - ext4 /dev/sda rw",
        "21 1 254:3 / / rw,relatime - ext4",
    ],
)
def test_lines_that_are_no_mounts(line):
    assert subject.parse_mountinfo(line) == []
    assert len(subject.parse_mountinfo(line + "\n" + MOUNTINFO)) == 6


def test_proc_mounts_and_mount_command():
    (entry,) = subject.parse_mounts("/dev/sda1 /a\\040b ext4 rw,noatime 0 0\nnonsense\n")
    assert (entry["source"], entry["mount"], entry["type"], entry["device"]) == ("/dev/sda1", "/a b", "ext4", None)
    assert entry["options"] == entry["super_options"] == ["rw", "noatime"]
    (entry,) = subject.parse_mount_command("/dev/sda1 on /a b type xfs (ro,seclabel) [data]\nx on y type z\n")
    assert (entry["source"], entry["mount"], entry["type"]) == ("/dev/sda1", "/a b", "xfs")
    assert entry["options"] == ["ro", "seclabel"]


def test_order_of_sources(tmp_path):
    old = "/dev/vda1 / ext3 rw 0 0\n"
    one = "9 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    assert subject.mounts(tree(tmp_path, proc__mounts=old))[0]["type"] == "ext3"
    assert subject.mounts(tree(tmp_path, proc__1__mountinfo=one))[0]["type"] == "ext4"
    assert subject.mounts(tree(tmp_path, proc__self__mountinfo=MOUNTINFO))[0]["device"] == "254:3"


def test_sosreport_without_proc(tmp_path):
    here = tree(tmp_path, **{"sos_commands__filesys__mount_-l": "/dev/sda1 on / type ext4 (rw)\n"})
    assert subject.mounts(here)[0]["source"] == "/dev/sda1"


def test_nothing_there_is_said_once(tmp_path):
    here = Tree(str(tmp_path))
    assert subject.mounts(here) == []
    assert here.unavailable == {"mounts": "/proc/self/mountinfo: does not exist"}


STACKED = """1 1 0:1 / / rw - rootfs rootfs rw
20 1 8:1 / / rw - ext4 /dev/sda1 rw
21 20 8:2 / /a rw - ext4 /dev/sda2 rw
22 21 8:3 / /a/b rw - ext4 /dev/sda3 rw
23 21 8:4 / /a rw - ext4 /dev/sda4 rw
24 20 8:5 / /c rw - ext4 /dev/sda5 rw
"""


def test_what_a_path_lies_on():
    entries = subject.parse_mountinfo(STACKED)
    at = {path: subject.mount_of(entries, path)["device"] for path in ("/", "/x", "/a", "/a/b/x", "/c/d", "/cc")}
    # /a/b is hidden: /dev/sda4 was mounted over the /a that holds it.
    assert at == {"/": "8:1", "/x": "8:1", "/a": "8:4", "/a/b/x": "8:4", "/c/d": "8:5", "/cc": "8:1"}
    assert [entry["device"] for entry in subject.visible(entries)] == ["8:1", "8:4", "8:5"]


def test_order_in_the_file_does_not_matter_where_parents_are_known():
    entries = subject.parse_mountinfo("\n".join(reversed(STACKED.strip().split("\n"))))
    assert subject.mount_of(entries, "/a/b")["device"] == "8:4"


def test_without_parents_the_last_wins():
    text = "/dev/a / ext4 rw 0 0\n/dev/b /a/b ext4 rw 0 0\n/dev/c /a ext4 rw 0 0\n"
    entries = subject.parse_mounts(text)
    assert subject.mount_of(entries, "/a/b/c")["source"] == "/dev/c"
    assert subject.mount_of(entries, "/ab")["source"] == "/dev/a"
    assert [entry["source"] for entry in subject.visible(entries)] == ["/dev/a", "/dev/c"]


def test_no_root_in_the_list():
    entries = subject.parse_mountinfo("5 4 8:1 / /data rw - ext4 /dev/sda1 rw\n")
    assert subject.mount_of(entries, "/other") is None
    assert subject.mount_of(entries, "/data/x")["device"] == "8:1"
    assert subject.mount_of([], "/") is None


@pytest.mark.skipif(shutil.which("findmnt") is None, reason="no findmnt here")
def test_same_as_findmnt_on_this_machine():
    entries = subject.mounts(Tree("/"))
    for path in ("/", "/proc", "/usr/lib", "/dev/shm", "/sys/fs/cgroup", os.getcwd()):
        run = ["findmnt", "-J", "-o", "TARGET,SOURCE,FSTYPE,MAJ:MIN", "-T", path]
        theirs = json.loads(subprocess.run(run, capture_output=True, check=True).stdout)["filesystems"][-1]
        ours = subject.mount_of(entries, path)
        assert (ours["mount"], ours["type"], ours["device"]) == (
            theirs["target"],
            theirs["fstype"],
            theirs["maj:min"].strip(),
        )


@given(st.text())
def test_any_text(text):
    for parse in (subject.parse_mountinfo, subject.parse_mounts, subject.parse_mount_command):
        entries = parse(text)
        subject.visible(entries)
        subject.mount_of(entries, "/" + text)


@given(st.lists(st.tuples(st.integers(0, len(MOUNTINFO) - 1), st.text(max_size=3)), max_size=8), st.data())
def test_mutated_text(changes, data):
    text = MOUNTINFO + STACKED
    for position, piece in changes:
        text = text[:position] + piece + text[position + data.draw(st.integers(0, 5)) :]
    for entry in subject.visible(subject.parse_mountinfo(text)):
        assert entry["mount"].startswith("/")


@given(st.text(alphabet=" \t\n\\#a7é/", max_size=20))
def test_escaping_round_trip(name):
    escaped = "".join("\\%03o" % ord(letter) if letter in " \t\n\\#" else letter for letter in name)
    assert subject.unescape(escaped) == name
