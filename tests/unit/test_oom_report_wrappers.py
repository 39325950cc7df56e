# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever was put around a report, the report is the same: every wrapper, written reports, logs of booted kernels."""

from __future__ import annotations

import functools
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import oom_texts
import oom_wrappers
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import log_source, oom_report, oom_report_scan

FIXTURES = Path(__file__).parent / "fixtures" / "oom"
# What a wrapper may tell of the place and the time, and dmesg does not.
WHERE = {"time", "epoch", "time_text", "uptime", "host", "boot", "year_assumed", "time_computed"}
# One log of each kind of report, of one kernel each.
LOGS = (
    "5.10_cgroup_hog_v1.dmesg",
    "5.10_cpuset",
    "5.10_fragmented",
    "5.10_panic",
    "5.10_slab",
    "6.1_cgroup_group_kill_v2",
    "6.1_global_hog_swap",
    "6.12_allocating_task",
    "6.12_cgroup_tmpfs_v2",
    "6.12_global_hog.dmesg",
    "6.12_hugepages",
    "6.12_no_task_table",
    "6.12_overcommit",
    "6.12_sysrq",
)
# What stands before the kernel's text in these logs: the records of /dev/kmsg, journalctl's or dmesg's prefix.
BEFORE = re.compile(r"^(?:\d+,\d+,\d+,[^;]*;|\S.*? lab kernel: |(?:<\d+>)?\[ *\d+\.\d+\] ?)")
WRAPPERS = {**oom_wrappers.WRAPPERS, **{function.__name__: function for function in oom_texts.PREFIXES}}


def read(text: str | bytes) -> tuple[list[dict], dict]:
    """Return what the reports in a log say, and what was not understood."""
    if isinstance(text, str):
        text = text.encode("latin-1" if text.startswith("__CURSOR=") else "utf-8")
    assembler = oom_report.Assembler(1.75e9, "x")
    found = oom_report_scan.scan(log_source.as_utf8([text]), assembler)
    return [{key: value for key, value in one.items() if key not in WHERE} for one in found], assembler.unparsed


@functools.cache
def records(name: str) -> tuple[str, ...]:
    """Return the kernel's records from the first report of a log on, without what stood before them."""
    lines: list[str] = []
    for told in lzma.decompress((FIXTURES / f"{name}.log.xz").read_bytes()).decode("utf-8").splitlines():
        if told.startswith("{"):
            lines.append(json.loads(told)["MESSAGE"])
        elif told.startswith("          ") and lines:
            lines[-1] += "\n" + told.strip()
        elif not told.startswith(" "):
            lines.append(BEFORE.sub("", told).replace("\\x0a", "\n"))
    begins = re.compile("invoked oom-killer|page allocation failure|__vm_enough_memory|Manual OOM")
    start = next(at for at, line in enumerate(lines) if begins.search(line))
    # Refusals of one program are all the same but for the time, which not every wrapper keeps.
    return tuple(lines[start : start + (1 if "vm_enough_memory" in lines[start] else 1500)])


@functools.cache
def expected(name: str) -> list[dict]:
    """Return what the reports of a log say behind dmesg's own prefix."""
    found, unparsed = read(oom_texts.dmesg(list(records(name))))
    assert found
    assert unparsed["count"] == 0
    return found


@functools.cache
def written(name: str) -> list[dict]:
    """Return what a written report says behind dmesg's prefix."""
    found, _unparsed = read(oom_texts.dmesg(oom_texts.REPORTS[name]()))
    assert [one["truncated"] for one in found] == [False]
    return found


def every(wrappers: dict[str, Callable]):
    """Parametrize a test with wrappers by their names."""
    return pytest.mark.parametrize("wrap", wrappers.values(), ids=[name.replace(" ", "_") for name in wrappers])


@every(oom_wrappers.WRAPPERS)
def test_a_written_report_is_the_same_behind(wrap):
    for name, make in oom_texts.REPORTS.items():
        found, unparsed = read(wrap(make()))
        assert unparsed["count"] == 0, (name, unparsed["samples"])
        assert found == written(name), name


@every(WRAPPERS)
def test_a_report_of_a_booted_kernel_is_the_same_behind(wrap):
    for name in LOGS:
        found, unparsed = read(wrap(list(records(name))))
        assert unparsed["count"] == 0, (name, unparsed["samples"])
        assert found == expected(name), name
