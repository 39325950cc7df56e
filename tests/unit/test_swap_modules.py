# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What swap_file and owned_units refuse, and the files that units follow from."""

from __future__ import annotations

import os

import pytest
import units_host
from ansible_collections.linux_memory.oom.plugins.module_utils import owned_file, unit_files
from ansible_collections.linux_memory.oom.plugins.module_utils import owned_units_change as owned_units
from ansible_collections.linux_memory.oom.plugins.module_utils import swap_file_change as swap_file
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import Refused
from hypothesis import given
from hypothesis import strategies as st


def params(**changed):
    return {
        "files": None, "path": None, "size": None, "priority": None, "discard": "none", "state": "present",
        "exclusive": False, "owner": "swap_file", **changed,
    }  # fmt: skip


def one(path, **changed):
    return {"path": path, "size": "1G", "priority": None, "discard": "none", **changed}


@pytest.mark.parametrize(
    "given_, words",
    [
        ({}, "name at least one path"),
        ({"files": [], "path": "/a"}, "path and files were both given"),
        ({"size": "1G", "files": [one("/a")]}, "given without path"),
        ({"path": "a", "size": "1G"}, "plain absolute path"),
        ({"path": "/a/../b", "size": "1G"}, "plain absolute path"),
        ({"path": "//a", "size": "1G"}, "plain absolute path"),
        ({"path": "/", "size": "1G"}, "plain absolute path"),
        ({"path": "/a\nb", "size": "1G"}, "control characters"),
        ({"path": "/" + "a" * 201, "size": "1G"}, "longer than 200 bytes"),
        ({"files": [one("/a"), one("/a")]}, "given twice"),
        ({"path": "/a", "size": "1.5G"}, "it must be a whole number"),
        ({"path": "/a", "size": "1K"}, "from 1M to 16T"),
        ({"path": "/a", "size": "1G", "priority": 32768}, "not from 0 to 32767"),
        ({"path": "/a", "size": "1G", "priority": -1}, "not from 0 to 32767"),
        ({"path": "/a", "size": "1G", "owner": "a b"}, "letters, digits"),
    ],
)
def test_swap_file_refuses(given_, words):
    with pytest.raises(Refused, match=words):
        swap_file.wishes_of(params(**given_))


def test_sizes_are_whole_pages():
    page = os.sysconf("SC_PAGE_SIZE")
    assert swap_file.wishes_of(params(path="/a", size=str(2**20 + 5)))["/a"]["size"] == 2**20 // page * page
    assert swap_file.wishes_of(params(path="/a", state="absent")) == {"/a": None}


def test_zeros_fill_a_file_without_holes(tmp_path):
    path = tmp_path / "zeros"
    size = swap_file.CHUNK * 2 + 4096
    with open(path, "wb") as file:
        swap_file.write_zeros(file.fileno(), size)
    assert path.stat().st_size == size
    assert path.stat().st_blocks * 512 >= size
    assert not any(path.read_bytes())


def test_a_signature_is_found_at_the_end_of_the_first_page(tmp_path):
    page = os.sysconf("SC_PAGE_SIZE")
    path = tmp_path / "swap"
    path.write_bytes(b"\0" * (page - 10) + b"SWAPSPACE2" + b"\0" * page)
    assert swap_file.has_signature(str(path))
    for wrong in (b"", b"SWAPSPACE2", b"\0" * (page - 11) + b"SWAPSPACE2" + b"\0" * page):
        path.write_bytes(wrong)
        assert not swap_file.has_signature(str(path))


NAME = "linux_memory_oom-x"


def wish(**changed):
    return {"purpose": "x", "state": "present", "files": [], **changed}


@pytest.mark.parametrize(
    "given_, words",
    [
        ({"purpose": "A b"}, "purpose"),
        ({"state": "absent", "files": [{"path": "/x", "content": "", "mode": "0644"}]}, "there are none to give"),
        ({"files": ["/etc/passwd"]}, "its directory must be"),
        ({"files": ["/etc/systemd/system/other.timer"]}, "its name must begin"),
        ({"files": [f"/etc/systemd/system/../{NAME}.timer"]}, "plain absolute path"),
        ({"files": [f"/etc/systemd/system/{NAME}y.timer"]}, "its name must begin"),
        ({"files": [f"/etc/systemd/system/{NAME}.timer"] * 2}, "given twice"),
        ({"files": [f"/etc/systemd/system/{NAME}.timer"], "text": "[Timer]\nOnBootSec=soon"}, "OnBootSec=soon"),
    ],
)
def test_owned_units_refuses(given_, words):
    text = given_.pop("text", "")
    if given_.get("files") and isinstance(given_["files"][0], str):
        given_["files"] = [{"path": path, "content": text, "mode": "0644"} for path in given_["files"]]
    with pytest.raises(Refused, match=words):
        owned_units.wished(wish(**given_))


def test_the_interpreter_is_filled_in_and_the_file_is_ours():
    path = f"/etc/systemd/system/{NAME}.service"
    found = owned_units.wished(wish(files=[{"path": path, "content": "ExecStart=@PYTHON@ /x\n", "mode": "0644"}]))
    text, mode = found[path]
    assert owned_file.is_owned(text)
    assert text.endswith(f"\nExecStart={owned_units.sys.executable} /x\n")
    assert mode == "0644"


def test_units_follow_from_files():
    assert unit_files.units_of(f"/etc/systemd/system/{NAME}.timer", "") == [f"{NAME}.timer"]
    assert unit_files.units_of(f"/etc/systemd/system/{NAME}.service", "") == []
    text = "# x\n[zram0]\nzram-size = ram\n[zram12]\n"
    assert unit_files.units_of(f"/etc/systemd/zram-generator.conf.d/90-{NAME}.conf", text) == [
        "dev-zram0.swap", "dev-zram12.swap",
    ]  # fmt: skip
    assert unit_files.drop_in_unit(f"/etc/systemd/system/a@b.service.d/50-{NAME}.conf") == "a@b.service"
    assert unit_files.drop_in_unit(f"/etc/systemd/system/{NAME}.timer") is None


def test_what_zram_generator_reads():
    """The main file of the first directory, and drop-ins of all, one of each name, as zram-generator.conf(5) says."""
    there = {
        "/usr/lib/systemd/zram-generator.conf": None,
        "/run/systemd/zram-generator.conf": None,
        "/etc/systemd/zram-generator.conf.d": ["20-b.conf", "x.txt"],
        "/usr/lib/systemd/zram-generator.conf.d": ["10-a.conf", "20-b.conf"],
    }
    assert unit_files.zram_settings(there.__contains__, there.__getitem__) == [
        "/run/systemd/zram-generator.conf",
        "/usr/lib/systemd/zram-generator.conf.d/10-a.conf",
        "/etc/systemd/zram-generator.conf.d/20-b.conf",
    ]
    assert unit_files.zram_settings(lambda path: False, None) == []


def test_what_a_file_says_of_zram():
    text = "[zram0]\nzram-size = 64\nswap-priority = 50\n[zram1]\nzram-size = ram\n"
    assert unit_files.zram_priorities(text) == {"zram0": 50, "zram1": None}
    assert unit_files.zram_priorities("") == {}
    assert unit_files.zram_device("dev-zram0.swap") == "zram0"
    assert unit_files.zram_device("dev-sda.swap") is None


class Zram:
    """A host with zram-generator and with swap as /proc/swaps says it."""

    def __init__(self, swaps="", others=()):
        self.swaps, self.others = swaps, others

    def zram_swaps(self, units):
        return {one.split()[0]: {"priority": int(one.split()[1])} for one in self.swaps.splitlines()}

    def others_zram(self, there):
        return set(self.others)

    def units(self, names):
        return {name: {"active": "zram0" in self.swaps, "enabled": None} for name in names}

    def processes(self, units):
        return {}


ZRAM = f"/etc/systemd/zram-generator.conf.d/90-{NAME}.conf"
OURS = {ZRAM: ("[zram0]\nswap-priority = 50\n", "0644")}


@pytest.mark.parametrize(("swaps", "words"), [("", "does not have it"), ("zram0 100", "/proc/swaps says 100")])
def test_zram_is_read_back_from_the_kernel(swaps, words):
    owned_units.verify_zram(Zram("zram0 50"), OURS)
    with pytest.raises(Refused, match=words):
        owned_units.verify_zram(Zram(swaps), OURS)


def test_a_device_that_the_host_has_already_is_made_anew():
    _items, units, stop, start = owned_units.plan(Zram("zram0 100"), OURS, {}, {})
    assert (stop, start) == (["dev-zram0.swap"], ["dev-zram0.swap"])
    assert units[0]["after"]["active"]
    assert owned_units.plan(Zram("zram0 50"), OURS, OURS, {})[2:] == ([], [])


@pytest.mark.parametrize("others", [(), ("dev-zram0.swap",)])
def test_without_ours_the_host_has_the_device_of_its_own_settings(others):
    _items, units, stop, start = owned_units.plan(Zram("zram0 50", others), {}, OURS, {})
    assert (stop, start) == (["dev-zram0.swap"], list(others))
    assert units[0]["after"]["active"] == bool(others)


@pytest.mark.parametrize("text", ["1s", "90", "1h 30min", "2.5h", "1d12h", "1w", "30 min", "infinity"])
def test_time_spans(text):
    assert unit_files.wrong_spans("[Timer]\nRandomizedDelaySec=%s\n" % text) == []


@pytest.mark.parametrize("text", ["", "soon", "1 fortnight", "-1s", "1h,2m", "h"])
def test_time_spans_that_are_none(text):
    assert unit_files.wrong_spans("[Timer]\nRandomizedDelaySec=%s\n" % text) == [("RandomizedDelaySec", text)]


@given(st.text(), st.sampled_from(["x", "xy", "y"]))
def test_names_of_other_purposes_are_never_ours(name, purpose):
    assert not unit_files.name_is_owned("linux_memory_oom-%sz%s" % (purpose, name), purpose)
    assert unit_files.name_is_owned("50-linux_memory_oom-%s.conf" % purpose, purpose)
    assert not unit_files.name_is_owned(name, purpose) or "linux_memory_oom-" in name


@pytest.mark.parametrize(
    ("kind", "kernel", "steps"),
    [
        ("ext4", (3, 10), ["preallocate", "mkswap"]),
        ("ext2", (6, 1), ["write", "mkswap"]),
        ("xfs", (4, 17), ["write", "mkswap"]),
        ("xfs", (4, 18), ["preallocate", "mkswap"]),
        # The file is still empty then: no other can be taken out of copy-on-write.
        ("btrfs", (6, 1), ["chattr +C", "preallocate", "mkswap"]),
    ],
)
def test_a_file_is_made_as_its_file_system_takes_it(tmp_path, monkeypatch, kind, kernel, steps):
    done = []
    host = swap_file.Host.__new__(swap_file.Host)
    monkeypatch.setattr(host, "mount", lambda folder: {"type": kind}, raising=False)
    host.module = None
    monkeypatch.setattr(swap_file, "must", lambda module, words: done.append(" ".join(words[:-1])))
    monkeypatch.setattr(swap_file, "kernel_version", lambda: kernel)
    monkeypatch.setattr(swap_file.os, "fchown", lambda handle, user, group: done.append((user, group)))
    monkeypatch.setattr(swap_file.os, "posix_fallocate", lambda handle, start, size: done.append("preallocate"))
    monkeypatch.setattr(swap_file, "write_zeros", lambda handle, size: done.append("write"))
    monkeypatch.setattr(swap_file, "label", lambda path: None)
    path = tmp_path / "swap"
    old = os.umask(0)
    try:
        host.do_create(str(path), {"size": 1 << 20})
    finally:
        os.umask(old)
    assert done == [(0, 0), *steps]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["swap"]


@pytest.mark.parametrize("text", ["5s", "359", "5min 59s 999ms", "1us"])
def test_a_service_that_its_runtime_would_restart_again_and_again_is_refused(text, tmp_path):
    units_host.make(tmp_path)
    before = units_host.state(tmp_path)
    asked = {"files": units_host.drop_in(text), "need_restart": ["leaky.service"]}
    refused = units_host.units(tmp_path, **asked)
    assert refused["msg"] == (
        f"need_restart: RuntimeMaxSec={text} would restart leaky.service again and again; "
        "take at least 360 s, or say force."
    )
    assert units_host.state(tmp_path) == before
    assert units_host.units(tmp_path, **asked, force=True)["changed"]


@pytest.mark.parametrize("text", ["6min", "360", "7d"])
def test_a_service_may_be_restarted_ten_times_an_hour(text, tmp_path):
    units_host.make(tmp_path)
    assert units_host.units(tmp_path, files=units_host.drop_in(text), need_restart=["leaky.service"])["changed"]


def test_a_systemctl_that_says_nothing_is_not_taken_for_a_missing_unit(tmp_path, monkeypatch):
    """As seen once on a machine that had just been out of memory: it ended well, and had printed nothing."""
    units_host.make(tmp_path)
    before = units_host.state(tmp_path)
    monkeypatch.setitem(units_host.PROGRAMS, "systemctl", lambda _words: (0, "", ""))
    refused = units_host.units(tmp_path, files=units_host.drop_in("7d"), need_units=["leaky.service"])
    assert refused["msg"] == "systemctl show failed: it answered for too few units."
    assert units_host.state(tmp_path) == before
