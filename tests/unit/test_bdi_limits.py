# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits of single devices: found by path, set now, and by a rule that finds the device again."""

from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import bdi as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.bdi import Refused
from block_trees import Host
from hypothesis import given
from hypothesis import strategies as st

RULES = "/etc/udev/rules.d/99-linux_memory_oom-bdi.rules"


class Devices(Host):
    """Two disks, a volume on one of them, and what has no device of its own."""

    def __init__(self, root):
        super().__init__(root)
        self.disk("sda", "8:0").disk("sdb", "8:16").disk("sdc", "8:32").partition("sda1", "8:1", "sda")
        self.virtual("dm-0", "253:0", ["sdb"], dm__name="vg-data")
        self.mountinfo(
            "8:1 / / rw - ext4 /dev/sda1 rw",
            "253:0 / /srv rw - xfs /dev/mapper/vg-data rw",
            "0:45 / /tmp rw - tmpfs tmpfs rw",
            "0:46 / /nfs rw - nfs4 server:/x rw",
        )
        for number in ("8:0", "8:16", "8:32", "253:0", "0:46"):
            for name, value in (("min_ratio", 0), ("max_ratio", 100), ("strict_limit", 0)):
                self.put(f"/sys/class/bdi/{number}/{name}", f"{value}\n")
        self.put("/run/udev/data/b8:0", "E:ID_SERIAL=WD_1\nE:ID_WWN=0x5\nE:DM_UUID=\n")
        self.put("/run/udev/data/b253:0", "S:x\nE:DM_NAME=vg-data\nE:DM_UUID=LVM-abc\n")
        self.put("/srv/x")
        self.put("/tmp/x")
        self.put("/nfs/x")
        self.put("/etc/udev/rules.d/README")

    def get(self, number, name):
        """Return a running value."""
        return (self.root / f"sys/class/bdi/{number}/{name}").read_text(encoding="utf-8").strip()

    def running(self):
        """Return both limits of /srv and the share of /."""
        return self.get("253:0", "max_ratio"), self.get("253:0", "strict_limit"), self.get("8:0", "max_ratio")

    def state(self):
        """Return every file with its text."""
        return {str(file): file.read_text(encoding="utf-8") for file in sorted(self.root.rglob("*")) if file.is_file()}

    def change(self, devices=None, check=False, path=RULES):
        """Run the module's work and return it."""
        options = {"devices": devices, "path": path, "state": "absent" if devices is None else "present"}
        one = subject.Change(options, root=str(self.root))
        one.look()
        if not check:
            one.apply()
        return one


@pytest.fixture
def host(tmp_path):
    """Return a host as it starts."""
    return Devices(tmp_path)


def test_set_now_and_at_boot_and_back(host):
    start = host.state()
    wish = {"/srv/x": {"max_ratio": 10, "strict_limit": True}, "/": {"max_ratio": "20"}}
    predicted = host.change(wish, check=True)
    assert host.state() == start
    done = host.change(wish)
    assert predicted.items == done.items
    assert predicted.diff() == done.diff()
    assert done.changed and predicted.changed
    assert done.items["dm-0"] == {
        "device": "253:0",
        "paths": ["/srv/x"],
        "max_ratio": {"before": "100", "after": "10", "boot_before": None, "boot": "10", "status": "applied"},
        "strict_limit": {"before": "0", "after": "1", "boot_before": None, "boot": "1", "status": "applied"},
    }
    assert (host.get("253:0", "max_ratio"), host.get("253:0", "strict_limit"), host.get("8:0", "max_ratio")) == (
        "10",
        "1",
        "20",
    )
    match = 'ACTION!="remove", SUBSYSTEM=="block", ENV{DEVTYPE}=="disk", '
    text = (host.root / RULES.lstrip("/")).read_text(encoding="utf-8")
    assert text.splitlines()[-2:] == [
        match + 'ENV{DM_UUID}=="LVM-abc", ATTR{bdi/max_ratio}="10", ATTR{bdi/strict_limit}="1"',
        match + 'ENV{ID_SERIAL}=="WD_1", ATTR{bdi/max_ratio}="20"',
    ]
    assert not host.change(wish).changed
    undone = host.change()
    assert undone.items["sda"]["max_ratio"] == {
        "before": "20",
        "after": "100",
        "boot_before": "20",
        "boot": None,
        "status": "restored",
    }
    assert host.state() == start
    assert not host.change().changed


def test_less_is_asked_for(host):
    host.change({"/srv": {"max_ratio": 10, "strict_limit": True}, "/": {"max_ratio": 20}})
    done = host.change({"/srv": {"max_ratio": 15}})
    assert (host.get("253:0", "max_ratio"), host.get("253:0", "strict_limit"), host.get("8:0", "max_ratio")) == (
        "15",
        "0",
        "100",
    )
    assert done.items["sda"]["max_ratio"]["status"] == "restored"
    host.change()
    assert host.get("253:0", "max_ratio") == "100"


def test_what_somebody_else_changed_is_left(host):
    host.change({"/srv": {"max_ratio": 10}})
    host.put("/sys/class/bdi/253:0/max_ratio", "33\n")
    done = host.change()
    assert done.items["dm-0"]["max_ratio"]["status"] == "left"
    assert host.get("253:0", "max_ratio") == "33"
    assert "changed by somebody else" in done.warnings[0]


def test_a_device_that_udev_knows_nothing_of_is_found_by_its_name(host):
    host.change({"/dev/sdc": {"max_ratio": 10}})
    assert 'KERNEL=="sdc", ATTR{bdi/max_ratio}="10"' in host.state()[str(host.root / RULES.lstrip("/"))]


def test_a_rule_is_kept_when_udev_learns_more_of_the_device(host):
    host.change({"/dev/sdc": {"max_ratio": 10}})
    first = host.state()
    host.put("/run/udev/data/b8:32", "E:ID_SERIAL=Late_1\n")
    after = host.state()
    assert not host.change({"/dev/sdc": {"max_ratio": 10}}).changed
    assert host.state() == after
    assert host.change().changed
    assert str(host.root / RULES.lstrip("/")) in first
    assert str(host.root / RULES.lstrip("/")) not in host.state()
    assert host.get("8:32", "max_ratio") == "100"


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ({"/tmp/x": {"max_ratio": 10}}, "/tmp/x does not exist or lies on no device"),
        ({"/nfs/x": {"max_ratio": 10}}, "/nfs/x does not exist or lies on no device"),
        ({"/nowhere": {"max_ratio": 10}}, "/nowhere does not exist or lies on no device"),
        ({"srv": {"max_ratio": 10}}, "srv is not an absolute path"),
        ({"/srv": {}}, "/srv has none of max_ratio and strict_limit"),
        ({"/srv": 10}, "/srv has none of max_ratio and strict_limit"),
        ({"/srv": {"max_bytes": 10}}, "max_bytes of /srv is none of"),
        ({"/srv": {"max_ratio": 0}}, "max_ratio of /srv is 0, which is not a percentage from 1 to 100"),
        ({"/srv": {"max_ratio": 101}}, "not a percentage"),
        ({"/srv": {"max_ratio": True}}, "not a percentage"),
        ({"/srv": {"strict_limit": "maybe"}}, "'maybe', which is neither true nor false"),
        ({"/srv": {"max_ratio": 1}, "/srv/x": {"max_ratio": 2}}, "/srv and /srv/x lie on one device, dm-0"),
    ],
)
def test_bad_wishes_are_refused_in_one_sentence(host, devices, words):
    before = host.state()
    with pytest.raises(Refused, match=words) as caught:
        host.change(devices)
    assert str(caught.value).startswith("devices: ")
    assert str(caught.value).endswith(".")
    assert host.state() == before


def test_what_the_kernel_would_not_take_is_refused(host):
    host.put("/sys/class/bdi/253:0/min_ratio", "5\n")
    with pytest.raises(Refused, match="max_ratio of /srv is 4, which is below the device's min_ratio, 5"):
        host.change({"/srv": {"max_ratio": 4}})
    (host.root / "sys/class/bdi/253:0/strict_limit").unlink()
    with pytest.raises(Refused, match="this kernel has no strict_limit for /srv"):
        host.change({"/srv": {"strict_limit": True}})


def test_files_of_others(host):
    host.put(RULES, "x\n")
    with pytest.raises(Refused, match="is not a file of this collection"):
        host.change({"/srv": {"max_ratio": 10}})
    with pytest.raises(Refused, match="path: /etc/x.rules is not a file in"):
        host.change({"/srv": {"max_ratio": 10}}, path="/etc/x.rules")
    later = RULES.replace("99-linux", "99-zz")
    host.put(later.replace("99", "10"), 'ATTR{bdi/max_ratio}="3"\n')
    host.put(later, '# ATTR{bdi/max_ratio}="3"\nSUBSYSTEM=="bdi", ATTR{max_ratio}="3"\n')
    done = host.change({"/srv": {"max_ratio": 10}}, path="/etc/udev/rules.d/99-linux_memory_oom-x.rules")
    assert done.warnings == [f"{later} line 2 may set another value at boot."]


@pytest.mark.parametrize(("number", "status"), [(errno.EROFS, "read_only"), (errno.EACCES, "persisted_only")])
def test_what_cannot_be_written_is_told(host, monkeypatch, number, status):
    real = os.open

    def refuse(path, flags, *rest, **more):
        if "/bdi/" in str(path) and flags & os.O_WRONLY:
            raise OSError(number, os.strerror(number), path)
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(subject.os, "open", refuse)
    predicted = host.change({"/srv": {"max_ratio": 10}}, check=True)
    done = host.change({"/srv": {"max_ratio": 10}})
    assert predicted.items == done.items
    assert done.items["dm-0"]["max_ratio"]["status"] == status
    assert done.items["dm-0"]["max_ratio"]["boot"] == "10"
    assert done.refusals()
    assert not host.change({"/srv": {"max_ratio": 10}}).changed


def test_a_kernel_that_says_something_else(host, monkeypatch):
    before = host.state()
    real = subject.Change._write

    def other(self, name, what, value):
        real(self, name, what, "33" if value == "10" else value)

    monkeypatch.setattr(subject.Change, "_write", other)
    with pytest.raises(
        Refused, match="max_ratio of dm-0 was to be 10, and the kernel says 33; everything is as it was"
    ):
        host.change({"/srv": {"max_ratio": 10}})
    assert host.state() == before


NAMES = st.sampled_from([*subject._NAMES, "KERNEL"])
VALUES = st.dictionaries(st.sampled_from(subject.ATTRIBUTES), st.integers(0, 100).map(str), min_size=1)


@given(NAMES, st.text("abcXYZ0189_-.:x ?", min_size=1), VALUES)
def test_rules_are_read_as_they_were_written(name, value, values):
    assert subject.parse_rules(subject.rule((name, value), values)) == {(name, value): values}


@given(st.text())
def test_any_text_is_read(text):
    subject.parse_rules(text)
    subject.parse_rules("ACTION" + text)
    who = subject.identity({"ID_SERIAL": text}, "sda")
    assert not set(who[1]) & set('"\\*[]|')
