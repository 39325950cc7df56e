# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of a dumped kernel's numbers, where dumps and symbols are looked for, and what is said where none are.

The numbers come from a made-up Kernel here; tests/lab/vmcore_check.py compares a real dump with crash(8).
"""

from __future__ import annotations

import gzip
import json
import os
import stat
import struct
from types import SimpleNamespace

import oom_texts
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import log_source, vmcore, vmcore_drgn, vmcore_files
from ansible_collections.linux_memory.oom.plugins.modules import vmcore_info
from hypothesis import given
from hypothesis import strategies as st

PAGE = 4096
UNLIMITED = ((1 << 63) - 1) // PAGE


class FakeKernel:
    """A kernel with round numbers: 100000 pages, 1000 of them free."""

    page = PAGE

    def __init__(self):
        self.variables = {
            "totalreserve_pages": 100,
            "nr_vmalloc_pages": 30,
            "pcpu_nr_populated": 10,
            "pcpu_nr_units": 2,
            "vm_swappiness": 60,
            "sysctl_panic_on_oom": 1,
            "vm_dirty_ratio": 20,
            "vm_dirty_bytes": 0,
            "dirty_background_ratio": 10,
            "dirty_background_bytes": 0,
        }
        self.counted = {
            "NR_FREE_PAGES": 1000,
            "NR_ACTIVE_FILE": 4000,
            "NR_INACTIVE_FILE": 6000,
            "NR_FILE_PAGES": 12000,
            "NR_FILE_DIRTY": 2500,
            "NR_WRITEBACK": 500,
            "NR_SLAB_RECLAIMABLE_B": 800,
            "NR_SLAB_UNRECLAIMABLE_B": 200,
            "NR_KERNEL_STACK_KB": 16,
            "NR_ANON_MAPPED": 70000,
        }

    def counters(self):
        return dict(self.counted)

    def value(self, *names):
        for name in names:
            if name in self.variables:
                return self.variables[name]
        raise LookupError(f"no symbol {names[0]}")

    def array(self, *names):
        raise LookupError(f"no symbol {names[0]}")

    def ram(self):
        return 100000

    def buffers(self):
        return 50

    def swap_cached(self):
        return 150

    def swap_usage(self):
        return 2000, 500

    def swaps(self):
        return [{"path": "/dev/zram0", "file": False, "pages": 2000, "used": 1500, "priority": 100}]

    def commit(self):
        return 52000, 90000

    def hugepages(self):
        return [
            {"size": 1 << 30, "total": 0, "free": 0, "reserved": 0, "surplus": 0, "default": False},
            {"size": 2 << 20, "total": 7, "free": 3, "reserved": 1, "surplus": 0, "default": True},
        ]

    def zones(self):
        return [
            {
                "node": 0,
                "name": "DMA32",
                "present": 110000,
                "managed": 100000,
                "min": 300,
                "low": 400,
                "high": 500,
                "lowmem_reserve": [0, 9],
                "counters": {"NR_FREE_PAGES": 1000},
                "blocks": [(0, 10), (1, 5)],
            }
        ]

    def disks(self):
        return {"254:0": "vda"}

    def devices(self):
        row = {"read_ahead": 32, "min_ratio": 0, "max_ratio": 100, "ratio_scale": 100, "write_bandwidth": 10}
        fine = {"min_ratio": 0, "max_ratio": 1000000, "ratio_scale": None}
        return [
            {"device": "0:45", "dirty": 5, "writeback": 0, **row},
            {"device": "254:0", "dirty": 2495, "writeback": 500, **row, **fine},
        ]

    def caches(self):
        return [
            {"name": "small", "size": 64, "objects": 64, "free": 0, "pages": 1, "reclaimable": True},
            {"name": "large", "size": 1000, "objects": 400, "free": 100, "pages": 104, "reclaimable": False},
        ]

    def tasks(self):
        row = {"uid": 0, "threads": 1, "oom_score_adj": 0, "locked": 0, "page_tables_bytes": 8192, "file": 1}
        unit = "/system.slice/app.service"
        return [
            {"pid": 2, "comm": "worker", "anon": 100, "shmem": 0, "swap": 0, "cgroup": unit, **row},
            {"pid": 3, "comm": "worker", "anon": 120, "shmem": 9, "swap": 0, "cgroup": unit, **row},
            {"pid": 1, "comm": "asleep", "anon": -2, "shmem": 0, "swap": 90, "cgroup": None, **row},
        ]

    def groups(self):
        counter = {"usage": 300, "max": UNLIMITED, "high": 250, "peak": 310}
        swap = {"usage": 7, "max": UNLIMITED, "high": None, "peak": None}
        row = {"path": "/system.slice/app.service", "memory": counter, "swap": swap}
        return "v2", [{**row, "counts": {"NR_FILE_DIRTY": 3}, "events": {"MEMCG_OOM": 2}}]

    def names(self):
        return {"kernel": "6.1.0", "hostname": "lab", "architecture": "x86_64"}


def read(kernel=None, limit=10):
    reader = vmcore.Reader(kernel or FakeKernel(), limit)
    return reader.read(), reader.unavailable


def test_memory_is_told_as_meminfo_would():
    memory = read()[0]["memory"]
    assert memory["mem_total"] == 100000 * PAGE
    assert memory["cached"] == (12000 - 50 - 150) * PAGE
    assert memory["slab"] == 1000 * PAGE
    assert memory["kernel_stack"] == 16 * 1024
    assert memory["percpu"] == 20 * PAGE
    assert memory["hugetlb"] == 14 << 20
    assert (memory["huge_pages_total"], memory["huge_pages_rsvd"]) == (7, 1)
    # free - reserve + cache - min(half of it, low) + reclaimable - min(half of it, low)
    assert memory["mem_available"] == (1000 - 100 + 10000 - 400 + 800 - 400) * PAGE


def test_dirty_limits_and_devices():
    writeback = read()[0]["writeback"]
    assert writeback["dirtyable"] == (900 + 10000) * PAGE
    assert writeback["dirty_threshold"] == (20 * PAGE // 100) * 10900 // PAGE * PAGE
    first, second = writeback["devices"]
    assert (first["name"], first["dirty"], first["writeback"]) == ("vda", 2495 * PAGE, 500 * PAGE)
    assert (first["max_ratio"], second["max_ratio"]) == (100.0, 100)
    assert second["name"] is None


def test_tasks_by_memory_and_by_swap():
    processes = read(limit=1)[0]["processes"]
    assert [task["pid"] for task in processes["top"]] == [3, 1]
    assert processes["top"][0]["unit"] == "app.service"
    assert processes["top"][1]["rss_anon"] == 0
    assert processes["by_comm"][0]["processes"] == 2
    assert processes["by_comm"][0]["rss"] == 231 * PAGE
    assert processes["count"] == 3


def test_caches_and_groups():
    result = read(limit=1)[0]
    assert result["slab"]["caches"][0]["name"] == "large"
    assert (result["slab"]["count"], result["slab"]["bytes"]) == (2, 105 * PAGE)
    assert result["slab"]["caches"][0]["used"] == 300000
    group = result["cgroups"]["groups"][0]
    assert (group["max"], group["high"], group["dirty"], group["anon"]) == (None, 250 * PAGE, 3 * PAGE, None)
    assert group["events"]["oom"] == 2


@pytest.mark.parametrize(
    ("missing", "name"),
    [("caches", "slab"), ("devices", "writeback.devices"), ("groups", "cgroups"), ("tasks", "processes")],
)
def test_what_a_kernel_does_not_tell_is_null_with_a_reason(missing, name):
    kernel = FakeKernel()

    def fail():
        raise AttributeError("'struct x' has no member 'y'")

    setattr(kernel, missing, fail)
    result, unavailable = read(kernel)
    assert "this kernel's structures do not give it" in unavailable[name]
    where, _dot, part = name.partition(".")
    assert (result[where][part] if part else result[where]) is None
    assert result["memory"]["mem_free"] == 1000 * PAGE


def test_a_counter_that_is_missing_is_no_zero():
    kernel = FakeKernel()
    del kernel.counted["NR_FILE_DIRTY"], kernel.variables["sysctl_panic_on_oom"]
    result, unavailable = read(kernel)
    assert result["memory"]["dirty"] is None
    assert "memory.dirty" in unavailable
    assert result["sysctl"]["keys"]["vm.panic_on_oom"]["running"] is None
    assert "sysctl.vm.panic_on_oom" in unavailable


LOG = (
    "[    0.000000] Linux version 6.12.0-amd64 (x@y) #1\n"
    + "\n".join(f"[  120.000001] {line}" for line in oom_texts.global_612() if "ill" not in line)
    + "\n[  130.5] Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled\n"
)


def test_the_log_tells_kernel_panic_and_time():
    told = vmcore.from_log(LOG.encode(), "/x/dmesg", 1000.0)
    assert told["kernel"] == "6.12.0-amd64"
    assert told["panic"] == "Out of memory: system-wide panic_on_oom is enabled"
    assert told["oom_reports"] == 1
    assert told["report"]["outcome"] == "panic"


@given(st.binary(max_size=2000))
def test_any_log_can_be_read(data):
    told = vmcore.from_log(data, "/x/dmesg", 1000.0)
    json.dumps(told)
    assert told["report"] is None or told["report"]["panicked"]


def dump(folder, name, data=b"KDUMP   x", mode=0o600, when=1000):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, (when, when))
    return path


def test_crashes_of_debian_and_rhel_with_their_logs(tmp_path):
    dump(tmp_path / "202611231105", "dump.202611231105", when=3000)
    dump(tmp_path / "202611231105", "dmesg.202611231105", LOG.encode())
    dump(tmp_path / "127.0.0.1-2026-11-22", "vmcore", when=2000)
    dump(tmp_path / "127.0.0.1-2026-11-22", "vmcore-dmesg.txt", LOG.encode())
    dump(tmp_path / "202611210000", "dmesg.202611210000", LOG.encode(), when=1000)
    dump(tmp_path, "kexec_cmd", b"x")
    found, missing = vmcore_files.crashes(str(tmp_path))
    names = [
        (one["dump"] and os.path.basename(one["dump"]), one["log"] and os.path.basename(one["log"])) for one in found
    ]
    assert names == [
        (None, "dmesg.202611210000"),
        ("vmcore", "vmcore-dmesg.txt"),
        ("dump.202611231105", "dmesg.202611231105"),
    ]
    assert missing == {}


def module_read(path, **options):
    params = {"path": str(path), "which": "newest", "debuginfo": None, "debuginfod": False, "limit": 5, **options}
    vmcore_info.check(params)
    chosen, _found, _missing = vmcore_info.chosen(params)
    return [vmcore_info.read(one, params, None) for one in chosen]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the dump is empty"),
        (gzip.compress(b"KDUMP   ", mtime=0), "packed with gzip; unpack it first"),
        (b"KDUMP   " + bytes(100), "drgn"),
        (b"makedumpfile" + bytes(5000), "cut off"),
        (b"\x7fELF" + bytes(100), "drgn"),
    ],
)
def test_a_dump_that_cannot_be_read_leaves_its_log_and_one_sentence(tmp_path, monkeypatch, data, why):
    # Whether this machine has makedumpfile is no part of it: none of these dumps comes so far that it is run.
    monkeypatch.setattr(log_source, "find_command", lambda name: "/nowhere/makedumpfile")
    dump(tmp_path / "crash", "vmcore", data)
    dump(tmp_path / "crash", "vmcore-dmesg.txt", LOG.encode())
    (crash,) = module_read(tmp_path)
    assert crash["source"] == "dmesg"
    assert why in crash["why"]
    assert "\n" not in crash["why"]
    assert crash["kernel"] == "6.12.0-amd64"


def test_without_makedumpfile_a_flattened_dump_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(log_source, "find_command", lambda name: None)
    dump(tmp_path / "crash", "vmcore", b"makedumpfile" + bytes(5000))
    dump(tmp_path / "crash", "vmcore-dmesg.txt", LOG.encode())
    (crash,) = module_read(tmp_path)
    assert crash["source"] == "dmesg"
    assert "install makedumpfile" in crash["why"]


def test_without_drgn_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(vmcore_drgn, "drgn", None)
    monkeypatch.setattr(vmcore_drgn, "WHY_NOT", "drgn is not there; install it with pip install drgn")
    dump(tmp_path / "crash", "vmcore")
    dump(tmp_path / "crash", "vmcore-dmesg.txt", LOG.encode())
    assert "pip install drgn" in module_read(tmp_path)[0]["why"]


class Program:
    """A program of drgn that finds no symbols, with the finders that it was built with."""

    def __init__(self, *finders):
        self.finders = set(finders)

    def registered_debug_info_finders(self):
        return self.finders

    def set_enabled_debug_info_finders(self, names):
        if not set(names) <= self.finders:
            raise ValueError(f"module debug info finder {names[0]!r} not found")

    def load_debug_info(self, paths, main):
        raise LookupError("missing debugging symbols; see https://example.org")


@pytest.mark.parametrize(
    ("finders", "servers", "why"),
    [
        (("standard",), "http://127.0.0.1:1", "this drgn was built without debuginfod"),
        (("standard", "debuginfod"), None, "DEBUGINFOD_URLS is not set in the environment of the module"),
        (("standard", "debuginfod"), " ", "DEBUGINFOD_URLS is not set in the environment of the module"),
        (("standard", "debuginfod"), "http://127.0.0.1:1", "missing debugging symbols"),
    ],
)
def test_debuginfod_says_why_no_symbols_come_from_it(monkeypatch, finders, servers, why):
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)
    if servers is not None:
        monkeypatch.setenv("DEBUGINFOD_URLS", servers)
    with pytest.raises(vmcore_drgn.OpenError, match=why):
        vmcore_drgn.load_symbols(Program(*finders), None)


def fake_makedumpfile(folder, script):
    command = folder / "makedumpfile"
    command.write_text("#!/bin/sh\n" + script)
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return str(command)


def test_the_log_in_a_dump_is_read_by_makedumpfile_in_a_private_directory(tmp_path, monkeypatch):
    script = 'stat -c %a "$(dirname "$3")" > {0}/mode; dirname "$3" > {0}/where; cp {0}/log "$3"\n'.format(tmp_path)
    command = fake_makedumpfile(tmp_path, script)
    monkeypatch.setattr(log_source, "find_command", lambda name: command)
    (tmp_path / "log").write_text(LOG)
    path = dump(tmp_path / "crash", "vmcore")
    (crash,) = module_read(path)
    assert crash["source"] == "dmesg"
    assert crash["panic"] == "Out of memory: system-wide panic_on_oom is enabled"
    assert (tmp_path / "mode").read_text().strip() == "700"
    assert not os.path.exists((tmp_path / "where").read_text().strip())


def flattened(*parts, end=True):
    data = b"makedumpfile".ljust(4096, b"\0")
    for offset, part in parts:
        data += struct.pack(">qq", offset, len(part)) + part
    return data + (struct.pack(">qq", -1, -1) if end else b"")


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.data())
def test_a_flattened_dump_that_is_cut_anywhere_is_never_rearranged(tmp_path_factory, parts, data):
    whole = flattened(*enumerate(parts))
    path = tmp_path_factory.mktemp("flat") / "vmcore"
    path.write_bytes(whole)
    vmcore_files.check_flattened(str(path))
    path.write_bytes(whole[: data.draw(st.integers(12, len(whole) - 1))])
    with pytest.raises(ValueError, match="cut off at"):
        vmcore_files.check_flattened(str(path))


def test_no_room_to_rearrange_is_refused_with_both_numbers(tmp_path):
    with pytest.raises(ValueError, match=r"has \d+ bytes free, and \d+ are needed"):
        vmcore_files.room(str(tmp_path), 1 << 60)


def test_the_temporary_directory_goes_also_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), vmcore_files.Scratch(str(tmp_path)) as scratch:
        path = scratch.path("x")
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_dump_that_others_may_read_is_told(tmp_path, mode):
    assert vmcore_files.open_to_others(str(dump(tmp_path, "vmcore"))) is None
    assert f"{mode:04o}" in vmcore_files.open_to_others(str(dump(tmp_path, "vmcore", mode=mode)))


def test_symbols_in_the_places_of_the_distributions(tmp_path):
    wanted = [
        "boot/vmlinux-6.1.0",
        "lib/modules/6.1.0/vmlinux",
        ".build-id/bb/603a914700.debug",
        "usr/lib/debug/boot/vmlinux-6.1.0",
    ]
    for name in wanted:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = vmcore_files.symbols(str(tmp_path), "6.1.0", "bb603a914700")
    assert sorted(found) == sorted(str(tmp_path / name) for name in wanted)
    assert vmcore_files.symbols(str(tmp_path), "6.1.1", None) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": 0}, "limit: 0 is not allowed; it has to be from 1 to 100000"),
        ({"path": "/nowhere"}, "path: /nowhere: does not exist; it has to be a dump"),
        ({"debuginfo": "/nowhere"}, "debuginfo: /nowhere: does not exist; it has to be a vmlinux"),
    ],
)
def test_arguments_that_are_not_allowed(options, said):
    params = {"path": "/", "debuginfo": None, "limit": 5, **options}
    with pytest.raises(ValueError, match="^" + said):
        vmcore_info.check(params)


def test_an_empty_directory_holds_no_crash(tmp_path):
    assert module_read(tmp_path) == []


@pytest.mark.parametrize(
    ("table", "places"),
    [
        (None, [0, 1, 2]),
        # Not kept: 0, and the first place is 1.
        ([2, 0, 1], [1, None, 0]),
        # Not kept: U8_MAX, and the first place is 0.
        ([1, 0xFF, 0], [1, None, 0]),
    ],
)
def test_where_a_kernel_keeps_the_counters_of_a_cgroup(table, places):
    kernel = object.__new__(vmcore_drgn.Kernel)
    entries = [SimpleNamespace(value_=lambda value=value: value) for value in table or []]
    kernel.program = {"mem_cgroup_stats_index": entries}
    kernel._has = lambda name: table is not None
    place = kernel._places()
    assert [place(value) for value in range(3)] == places
    assert table is None or place(3) is None
