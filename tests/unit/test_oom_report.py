# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an OOM report becomes: every number against a second reading of the same text, every format, every prefix."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import oom_texts
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report, oom_report_scan

HERE = Path(__file__).resolve().parent
WHERE = {"line", "time", "epoch", "time_text", "uptime", "host", "boot", "year_assumed", "time_computed"}


def raw(text: str) -> bytes:
    """Return a log's bytes; a journal export was made with its binary lengths as Latin-1."""
    return text.encode("latin-1" if text.startswith("__CURSOR=") else "utf-8")


def parse(text: str, **options) -> tuple[list[dict], dict]:
    """Return the reports in a text, and what was not understood."""
    assembler = oom_report.Assembler(options.pop("reference", 1.75e9), "x", **options)
    return list(oom_report_scan.scan([raw(text)], assembler)), assembler.unparsed


def one(lines: list[str]) -> dict:
    """Return the only report of these lines, all of which were understood."""
    reports, unparsed = parse(oom_texts.dmesg(lines))
    assert unparsed == {"count": 0, "samples": []}
    assert len(reports) == 1
    return reports[0]


# A second reading: nothing but regular expressions over the whole text, one for each number that is looked for.


def number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text, re.M)
    return int(found.group(1)) if found else None


def second_reading(text: str, page: int) -> dict:
    """Return the numbers of a report by searching its text for each name, page counts as bytes."""
    text = text.replace("#012", "\n").replace("\\x0a", "\n")
    memory = {}
    head = text[text.lower().find("mem-info:") :] if "em-info:" in text.lower() else ""
    for name in (
        "active_anon",
        "inactive_anon",
        "isolated_anon",
        "active_file",
        "inactive_file",
        "isolated_file",
        "unevictable",
        "dirty",
        "writeback",
        "unstable",
        "slab_reclaimable",
        "slab_unreclaimable",
        "slab",
        "mapped",
        "shmem",
        "pagetables",
        "sec_pagetables",
        "bounce",
        "kernel_misc_reclaimable",
        "free",
        "free_pcp",
        "free_cma",
        "Active",
        "inactive",
    ):
        value = number(rf"(?<![\w(]){name}:(\d+)(?!\d|kB)", head)
        if value is not None:
            memory[name.lower()] = value * page
    for name, words in (
        ("ram", "pages (?:of )?RAM"),
        ("reserved", "(?:pages reserved|reserved pages)"),
        ("pagecache", "total pagecache pages"),
        ("hwpoisoned", "pages hwpoisoned"),
        ("cma_reserved", "pages cma reserved"),
        ("shared", "pages shared"),
    ):
        value = number(rf"(\d+) {words}", head)
        if value is not None:
            memory[name] = value * page
    swap = {
        name: number(rf"{words}\s*=\s*(\d+)kB", text)
        for name, words in (("free", "Free swap"), ("total", "Total swap"))
    }
    rows = {}
    for row in re.findall(r"\[ *(\d+)\] +(-?\d+) +(\d+) +(\d+) +(\d+) [ \d-]*? (-?\d+) ([^\d\s].*)$", text, re.M):
        rows[int(row[0])] = (int(row[3]) * page, int(row[4]) * page, int(row[5]), row[6])
    kills = [int(pid) for pid in re.findall(r"Killed process (\d+)", text)]
    zones = {
        (int(node) if node else None, zone): {
            name: int(value) * 1024 for name, value in re.findall(r"([\w()]+):(\d+)[kK]B", rest)
        }
        for node, zone, rest in re.findall(r"(?:Node (\d+) )?([A-Z]\w+) (free:\d+kB.*)$", text, re.M)
    }
    return {"memory": memory, "swap": swap, "rows": rows, "kills": kills, "zones": zones}


def assert_same_numbers(report: dict, text: str) -> None:
    """Compare a report with the second reading of its text."""
    second = second_reading(text, report["page_size"])
    memory = report["memory"] or {}
    for name, value in second["memory"].items():
        assert memory[name] == value, name
    for name, value in second["swap"].items():
        if value is not None:
            assert report["swap"][name] == value * 1024
    tasks = {task["pid"]: task for task in report["tasks"] or []}
    assert len(tasks) == len(second["rows"])
    for pid, (total_vm, rss, adjustment, comm) in second["rows"].items():
        task = tasks[pid]
        assert (task["total_vm"], task["rss"], task["oom_score_adj"], task["comm"]) == (total_vm, rss, adjustment, comm)
    # A kernel that kills a whole group names its first victim twice.
    assert [victim["pid"] for victim in report["victims"]] == list(dict.fromkeys(second["kills"]))
    zones = {(zone["node"], zone["zone"]): zone for zone in report["zones"]}
    assert set(zones) == set(second["zones"])
    for key, values in second["zones"].items():
        for name, value in values.items():
            assert zones[key][name.replace("(", "_").replace(")", "")] == value


@pytest.mark.parametrize("name", sorted(oom_texts.REPORTS))
def test_numbers_against_a_second_reading(name):
    lines = oom_texts.REPORTS[name]()
    report = one(lines)
    assert report["truncated"] is False
    assert report["unparsed"] == []
    assert_same_numbers(report, oom_texts.plain(lines))


@pytest.mark.parametrize("prefix", oom_texts.PREFIXES, ids=lambda prefix: prefix.__name__)
@pytest.mark.parametrize("name", sorted(oom_texts.REPORTS))
def test_every_prefix_gives_the_same_report(name, prefix):
    lines = oom_texts.REPORTS[name]()
    expected = {key: value for key, value in one(lines).items() if key not in WHERE}
    reports, unparsed = parse(prefix(lines))
    assert unparsed["count"] == 0, unparsed["samples"]
    assert len(reports) == 1
    assert {key: value for key, value in reports[0].items() if key not in WHERE} == expected


def test_a_global_report_in_full():
    report = one(oom_texts.global_612())
    assert (report["kind"], report["scope"], report["constraint"]) == ("oom", "global", "CONSTRAINT_NONE")
    assert (report["kernel"], report["cpuset"], report["mems_allowed"]) == (
        "6.12.48+deb13-cloud-amd64",
        "user.slice",
        "0",
    )
    assert report["nodemask"] is None
    assert report["cgroup"] is None
    assert report["task_memcg"] == "/user.slice/user-1002.slice/session-3.scope"
    assert report["trigger"] == {
        "comm": "python3",
        "pid": 4319,
        "uid": 1001,
        "gfp_mask": "0x140cca",
        "order": 0,
        "oom_score_adj": 17,
        "oom_adj": None,
        "gfp_flags": "GFP_HIGHUSER_MOVABLE|__GFP_COMP",
        "cpu": 1,
    }
    assert report["victim"] == {
        "comm": "hog (x) 1",
        "pid": 4321,
        "uid": 1002,
        "total_vm": 841200 * 1024,
        "anon_rss": 600000 * 1024,
        "file_rss": 1200 * 1024,
        "shmem_rss": 400 * 1024,
        "pgtables": 1280 * 1024,
        "oom_score_adj": 200,
        "score": None,
        "rss": 150400 * 4096,
        "swap": 120000 * 4096,
    }
    assert report["outcome"] == "killed"
    assert (report["page_size"], report["page_size_from"]) == (4096, "blocks")
    assert report["memory"]["dirty"] == 38 * 4096
    assert report["memory"]["ram"] == 262014 * 4096
    assert report["swap"] == {"total": 524284 * 1024, "free": 4096, "cached": 112 * 4096}
    assert report["nodes"][0]["anon_thp"] == 4096 * 1024
    assert report["nodes"][0]["all_unreclaimable"] is True
    zone = report["zones"][1]
    assert (zone["node"], zone["zone"], zone["free"], zone["boost"]) == (0, "DMA32", 44840 * 1024, 2048 * 1024)
    assert zone["reserved_highatomic"] == 4096 * 1024
    assert zone["lowmem_reserve"] == [0, 0, 4096, 8192, 12288]
    assert zone["blocks"][0] == {"size": 4096, "count": 9, "types": "UME"}
    assert zone["blocks_total"] == 332 * 1024
    assert report["hugepages"][0] == {"node": 0, "total": 4, "free": 3, "surplus": 1, "size": 1 << 30}
    task = report["tasks"][1]
    assert task == {
        "comm": "python3",
        "pid": 4319,
        "uid": 1001,
        "tgid": 4319,
        "total_vm": 30100 * 4096,
        "rss": 2200 * 4096,
        "rss_anon": 2000 * 4096,
        "rss_file": 150 * 4096,
        "rss_shmem": 50 * 4096,
        "pgtables": 131072,
        "swap": 100 * 4096,
        "oom_score_adj": 17,
    }
    assert report["reaped"] == [
        {
            "pid": 4321,
            "comm": "hog (x) 1",
            "reaped": True,
            "anon_rss": 8192,
            "file_rss": 1200 * 1024,
            "shmem_rss": 404 * 1024,
        }
    ]
    assert report["uptime"] == pytest.approx(oom_texts.BASE)


def test_page_tables_are_bytes_in_every_table():
    assert [task["pgtables"] for task in one(oom_texts.global_310())["tasks"]] == [21 * 4096, 90 * 4096, 410 * 4096]
    assert one(oom_texts.memcg_v1())["tasks"][0]["pgtables"] == (34 + 4) * 4096
    assert one(oom_texts.global_612())["tasks"][0]["pgtables"] == 90112
    old = one(oom_texts.global_2632())["tasks"][0]
    assert (old["pgtables"], old["swap"], old["oom_adj"], old["cpu"]) == (None, None, -17, 7)


def test_a_cgroup_of_v2():
    report = one(oom_texts.memcg_v2())
    assert (report["scope"], report["cgroup"]) == ("cgroup", "/system.slice/app@1.service")
    memcg = report["memcg"]
    assert (memcg["usage"], memcg["limit"], memcg["failcnt"]) == (131072 * 1024, 131072 * 1024, 91)
    assert memcg["swap"] == {"usage": 2112 * 1024, "limit": None, "failcnt": 3}
    assert (memcg["stats"]["file_dirty"], memcg["stats"]["pgfault"], memcg["stats"]["anon"]) == (
        3919872,
        39001,
        130000001,
    )
    assert (report["memory"], report["swap"], report["zones"]) == (None, None, [])
    assert report["page_size_from"] == "victim"


def test_a_cgroup_of_v1_with_a_child():
    report = one(oom_texts.memcg_v1())
    assert (report["scope"], report["cgroup"], report["task_memcg"]) == ("cgroup", "/docker/a", "/docker/a/b")
    memcg = report["memcg"]
    assert memcg["memsw"] == {"usage": 40940 * 1024, "limit": 40960 * 1024, "failcnt": 6}
    assert memcg["kmem"]["limit"] is None
    assert [group["path"] for group in memcg["groups"]] == ["/docker/a", "/docker/a/b"]
    assert memcg["groups"][1]["stats"]["writeback"] == 1016 * 1024
    assert memcg["stats"]["dirty"] == 4096


def test_the_tasks_of_a_group_are_killed_by_one_report():
    report = one(oom_texts.memcg_v2(3))
    assert [victim["pid"] for victim in report["victims"]] == [701, 700, 702]
    assert report["group_kill"] == "/system.slice/app@1.service"
    assert report["victim"]["pid"] == 701
    assert report["truncated"] is False


@pytest.mark.parametrize(
    ("lines", "outcome", "panic"),
    [
        (oom_texts.panicked, "panic", "Out of memory: system-wide panic_on_oom is enabled"),
        (oom_texts.deadlocked, "deadlocked", "System is deadlocked on memory"),
    ],
)
def test_a_panic_ends_the_report(lines, outcome, panic):
    report = one(lines())
    assert (report["outcome"], report["panicked"], report["panic"]) == (outcome, True, panic)
    assert (report["victim"], report["victims"]) == (None, [])
    assert report["truncated"] is False


def test_nothing_to_kill_in_a_cgroup_is_no_panic():
    lines = [*oom_texts.without_end(oom_texts.memcg_v2()), "Out of memory and no killable processes..."]
    report = one(lines)
    assert (report["outcome"], report["panicked"], report["truncated"]) == ("no_killable_process", False, False)


def test_a_victim_that_exits_by_itself():
    lines = [
        *oom_texts.without_end(oom_texts.memcg_v2()),
        "Memory cgroup out of memory: OOM victim 701 (worker) is already exiting. Skip killing the task",
    ]
    report = one(lines)
    assert (report["outcome"], report["victim"]["pid"], report["victim"]["rss"]) == (
        "victim_exiting",
        701,
        31288 * 4096,
    )


def test_the_allocating_task_killed_by_setting():
    lines = [
        line.replace("Out of memory:", "Out of memory (oom_kill_allocating_task):") for line in oom_texts.global_612()
    ]
    report = one(lines)
    assert report["allocating_task"] is True
    assert report["victim"]["pid"] == 4321


@pytest.mark.parametrize("how", ["order", "trace", "line"])
def test_called_by_hand(how):
    lines = oom_texts.global_612()
    if how == "order":
        lines[0] = lines[0].replace("order=0", "order=-1")
    elif how == "trace":
        lines.insert(5, "Workqueue: events moom_callback")
    else:
        lines.insert(0, "sysrq: Manual OOM execution")
    assert one(lines)["sysrq"] is True
    assert one(oom_texts.global_612())["sysrq"] is False


@pytest.mark.parametrize(
    ("constraint", "scope"),
    [
        ("CONSTRAINT_CPUSET", "cpuset"),
        ("CONSTRAINT_MEMORY_POLICY", "mempolicy"),
        ("CONSTRAINT_NONE", "global"),
        ("CONSTRAINT_BPF_PSI_MEM", None),
    ],
)
def test_constraints(constraint, scope):
    lines = [
        line.replace("CONSTRAINT_NONE,nodemask=(null)", f"{constraint},nodemask=0,2-3")
        for line in oom_texts.global_612()
    ]
    report = one(lines)
    assert (report["constraint"], report["scope"], report["nodemask"]) == (constraint, scope, "0,2-3")


@pytest.mark.parametrize(
    ("words", "constraint", "scope"),
    [
        ("No available memory (MPOL_BIND)", "CONSTRAINT_MEMORY_POLICY", "mempolicy"),
        ("No available memory in cpuset", "CONSTRAINT_CPUSET", "cpuset"),
    ],
)
def test_constraints_that_old_kernels_say_in_words(words, constraint, scope):
    lines = [line.replace("Out of memory: kill", words + ": kill") for line in oom_texts.global_2624()]
    report = one(lines)
    assert (report["constraint"], report["scope"]) == (constraint, scope)


def test_the_header_of_4_8_names_the_nodes():
    lines = oom_texts.global_310()
    lines[0] = (
        "httpd invoked oom-killer: gfp_mask=0x24201ca(GFP_HIGHUSER_MOVABLE|__GFP_COLD), nodemask=0-1, order=0, "
        "oom_score_adj=-998"
    )
    report = one(lines)
    assert (report["nodemask"], report["trigger"]["oom_score_adj"]) == ("0-1", -998)


def test_the_oldest_form_of_2_6_18():
    lines = oom_texts.global_2624()
    lines[0] = "oom-killer: gfp_mask=0x201d2, order=0"
    lines[-2:] = [
        "Out of Memory: Kill process 5928 (apache2) score 40674 and children.",
        "Out of memory: Killed process 5928 (apache2).",
    ]
    report = one(lines)
    assert (report["trigger"]["comm"], report["trigger"]["gfp_mask"]) == (None, "0x201d2")
    assert (report["victim"]["pid"], report["victim"]["comm"], report["victim"]["score"]) == (5928, "apache2", 40674)


def test_pages_of_64_kib():
    lines = oom_texts.global_612()
    lines = [
        re.sub(r"Node 0 (DMA\w*): .*", r"Node 0 \1: 3*64kB (U) 2*128kB (M) 0*256kB = 448kB", line) for line in lines
    ]
    report = one(lines)
    assert (report["page_size"], report["page_size_from"]) == (65536, "blocks")
    assert report["memory"]["dirty"] == 38 * 65536
    assert report["tasks"][0]["rss"] == 640 * 65536
    assert report["tasks"][0]["pgtables"] == 90112


def test_the_size_of_a_page_that_nothing_tells():
    lines = [line for line in oom_texts.memcg_v2() if not line.startswith("[    701]")]
    report = one(lines)
    assert (report["page_size"], report["page_size_from"]) == (4096, "assumed")


def test_a_32_bit_host_has_zones_without_nodes():
    report = one(oom_texts.global_2624())
    assert [(zone["node"], zone["zone"]) for zone in report["zones"]] == [(None, "DMA"), (None, "HighMem")]
    assert report["memory"]["active"] == 150615 * 4096
    assert report["memory"]["dirty"] == 41 * 4096
    assert report["memory"]["highmem"] == 294896 * 4096
    assert report["tasks"] is None
    assert report["trigger"]["oom_adj"] == -4
    assert report["victim"]["score"] == 40674


def test_slab_and_allocations():
    lines = oom_texts.global_612()
    at = lines.index("Tasks state (memory values in pages):")
    lines[at:at] = [
        "Memory allocations:",
        "  3176243200   247900 mm/slub.c:2264 func:alloc_slab_page",
        "     998 MiB   511334 fs/xfs/xfs_icache.c:82 [xfs] func:xfs_inode_alloc",
        "    3.03 GiB        2 mm/a.c:1 func:a",
        "Unreclaimable slab info:",
        "Name                      Used          Total",
        "RAWv6                    154KB        155KB",
        "btrfs_delayed_extent_op         75KB         76KB",
        "dma-kmalloc-512           16KB         16KB",
    ]
    report = one(lines)
    assert report["slab_info"] == [
        {"name": "RAWv6", "used": 154 * 1024, "total": 155 * 1024},
        {"name": "btrfs_delayed_extent_op", "used": 75 * 1024, "total": 76 * 1024},
        {"name": "dma-kmalloc-512", "used": 16 * 1024, "total": 16 * 1024},
    ]
    assert report["allocations"][0] == {
        "bytes": 3176243200,
        "exact": True,
        "calls": 247900,
        "file": "mm/slub.c",
        "line": 2264,
        "module": None,
        "function": "alloc_slab_page",
    }
    assert [(tag["bytes"], tag["exact"], tag["module"]) for tag in report["allocations"][1:]] == [
        (998 << 20, False, "xfs"),
        (round(3.03 * (1 << 30)), False, None),
    ]
    assert report["truncated"] is False


def test_counters_that_a_future_kernel_may_add():
    lines = [
        line.replace("free_cma:21", "free_cma:21 zspages:99").replace("free_cma:84kB", "free_cma:84kB new_zone:44kB")
        for line in oom_texts.global_612()
    ]
    lines[lines.index("5 pages hwpoisoned")] = "5 pages of something new"
    report = one(lines)
    assert report["memory"]["zspages"] == 99 * 4096
    assert report["memory"]["something_new"] == 5 * 4096
    assert report["zones"][1]["new_zone"] == 44 * 1024


def test_a_page_allocation_failure_is_a_kind_of_its_own():
    report = one(oom_texts.allocation_failure())
    assert (report["kind"], report["trigger"]["comm"], report["trigger"]["order"]) == (
        "allocation_failure",
        "kworker/0:2",
        4,
    )
    assert (report["trigger"]["pid"], report["cpuset"], report["mems_allowed"]) == (55, "/", "0")
    assert (report["victims"], report["outcome"], report["scope"]) == ([], None, None)
    assert report["memory"]["free"] == 12117 * 4096


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("swapper/0: page allocation failure: order:0, mode:0x20", 0),
        ("modprobe: page allocation failure. order:5, mode:0x4020", 5),
        ("dd: page allocation stalls for 10007ms, order:2, mode:0x14201ca(GFP_HIGHUSER_MOVABLE), nodemask=(null)", 2),
    ],
)
def test_the_first_lines_of_allocation_failures(text, order):
    reports, unparsed = parse(oom_texts.dmesg([text]))
    assert unparsed["count"] == 0
    assert [(report["kind"], report["trigger"]["order"], report["truncated"]) for report in reports] == [
        ("allocation_failure", order, True)
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (
            "__vm_enough_memory: pid: 812, comm: java x, bytes: 8589934592 not enough memory for the allocation",
            8589934592,
        ),
        ("__vm_enough_memory: pid: 812, comm: java x, no enough memory for the allocation", None),
    ],
)
def test_refusals_of_strict_accounting(text, size):
    reports, unparsed = parse(oom_texts.syslog_seconds([text, text.replace("812", "813")]))
    assert unparsed["count"] == 0
    assert [
        (report["kind"], report["trigger"]["pid"], report["trigger"]["comm"], report["bytes"]) for report in reports
    ] == [("overcommit_refusal", 812, "java x", size), ("overcommit_refusal", 813, "java x", size)]
    assert reports[0]["truncated"] is False


def test_memory_shown_by_hand_is_no_report():
    body = oom_texts.allocation_failure()
    lines = ["sysrq: Show Memory", *body[body.index("Mem-Info:") :]]
    assert parse(oom_texts.dmesg(lines)) == ([], {"count": 0, "samples": []})


def test_kills_whose_reports_were_suppressed():
    """oom_kill.c prints a report at most ten times in five seconds; the kill lines go on."""
    kill = (
        "Memory cgroup out of memory: Killed process {} (w) total-vm:40kB, anon-rss:8kB, file-rss:4kB, shmem-rss:0kB, "
        "UID:0 pgtables:4kB oom_score_adj:0"
    )
    lines = [*oom_texts.memcg_v2(), kill.format(801), kill.format(802)]
    reports, unparsed = parse(oom_texts.dmesg(lines))
    assert unparsed["count"] == 0
    assert [(report["victim"]["pid"], report["truncated"]) for report in reports] == [
        (701, False),
        (801, True),
        (802, True),
    ]
    assert reports[1]["scope"] == "cgroup"


def test_reports_one_after_the_other():
    lines = [
        *oom_texts.global_612(),
        *oom_texts.memcg_v2(3),
        *oom_texts.allocation_failure(),
        *oom_texts.global_612(5555),
    ]
    reports, unparsed = parse(oom_texts.dmesg(lines))
    assert unparsed["count"] == 0
    assert [(report["kind"], report["truncated"]) for report in reports] == [
        ("oom", False),
        ("oom", False),
        ("allocation_failure", False),
        ("oom", False),
    ]
    assert [report["victim"] and report["victim"]["pid"] for report in reports] == [4321, 701, None, 5555]


def test_the_ring_buffer_was_overwritten_at_its_start():
    lines = oom_texts.dmesg(oom_texts.global_612()).splitlines(True)
    start = next(at for at, line in enumerate(lines) if " Node 0 DMA32 free" in line)
    reports, unparsed = parse("".join(lines[start:]))
    assert unparsed["count"] == 0
    assert [(report["truncated"], report["trigger"]["comm"], report["memory"].get("dirty")) for report in reports] == [
        (True, None, None)
    ]
    assert reports[0]["victim"]["pid"] == 4321
    assert len(reports[0]["tasks"]) == 4


def test_rows_without_their_first_line():
    lines = [line for line in oom_texts.global_612() if "uid  tgid" not in line]
    reports, _unparsed = parse(oom_texts.dmesg(lines))
    assert reports[0]["truncated"] is True
    assert reports[0]["tasks"][2]["swap"] == 120000 * 4096
    old = [line for line in oom_texts.global_2632() if "uid  tgid" not in line]
    assert parse(oom_texts.dmesg(old))[0][0]["tasks"][1]["swap"] is None


def test_lines_dropped_by_printk_are_said():
    lines = oom_texts.global_612()
    lines.insert(30, "** 14 printk messages dropped **")
    assert parse(oom_texts.dmesg(lines))[0][0]["truncated"] is True


def test_the_table_may_be_switched_off():
    lines = [line for line in oom_texts.global_612() if not line.startswith(("[ ", "Tasks state"))]
    report = one(lines)
    assert report["tasks"] is None
    assert report["truncated"] is False
    assert report["victim"]["rss"] is None


def test_other_programs_lines_between():
    text = oom_texts.syslog_seconds(oom_texts.global_612()).splitlines(True)
    noise = [
        "Mar 11 03:54:03 db-1 systemd[1]: app.service: A process of this unit has been killed by the OOM killer.\n",
        "Mar 11 03:54:03 db-1 earlyoom[77]: Out of memory: Killed process 99 (fake) total-vm:1kB, anon-rss:1kB\n",
        "Mar 11 03:54:03 db-1 kernel: [ 5000.251000] usb 1-1: new high-speed USB device number 5\n",
    ]
    mixed = "".join(line + noise[at % 3] for at, line in enumerate(text))
    reports, unparsed = parse(mixed)
    assert unparsed["count"] == 0
    assert [(report["truncated"], report["victim"]["pid"]) for report in reports] == [(False, 4321)]


def test_a_report_nobody_understands_is_counted():
    lines = [
        "bash invoked oom-killer: by a new kernel in new words",
        "Out of memory: have to kill somebody, maybe process 7",
        "usb 1-1: new device",
        "Out of memory",
        "memory is fine",
    ]
    reports, unparsed = parse(oom_texts.dmesg(lines))
    assert reports == []
    assert unparsed["count"] == 2
    assert unparsed["samples"][0] == lines[0]


def test_figures_inside_a_report_that_nobody_understands():
    lines = oom_texts.global_612()
    at = lines.index("1234 total pagecache pages")
    lines.insert(at, "Memoryfoo:77kB in a new form")
    reports, unparsed = parse(oom_texts.dmesg(lines))
    assert reports[0]["unparsed"] == ["Memoryfoo:77kB in a new form"]
    assert (reports[0]["truncated"], unparsed["count"]) == (True, 1)


def test_prose_about_the_oom_killer_is_no_report():
    text = (
        "Hello,\n\nthe kernel ran out of memory and my java process was killed. I think the oom-killer\n"
        "is wrong: it killed process 12 though swap was free. Out of memory is bad.\nRegards\n"
    )
    assert parse(text) == ([], {"count": 0, "samples": []})


@pytest.mark.parametrize(
    ("prefix", "time", "computed"),
    [
        (oom_texts.syslog, "2025-03-11T03:54:03", False),
        (oom_texts.syslog_iso, "2025-03-11T03:54:03.500000+02:00", False),
        (oom_texts.syslog_5424, "2025-03-11T03:54:03.5Z", False),
        (oom_texts.dmesg_human, "2025-03-11T03:54:03", False),
        (oom_texts.journal_json, "2025-03-11T01:54:03.500000Z", False),
        (oom_texts.docker, "2025-03-11T01:54:03.5Z", False),
        (oom_texts.dmesg, None, False),
    ],
)
def test_times(prefix, time, computed):
    report = parse(prefix(oom_texts.global_612()))[0][0]
    assert (report["time"], report["time_computed"]) == (time, computed)
    assert report["year_assumed"] is (prefix is oom_texts.syslog)


def test_the_time_of_a_line_of_this_boot():
    report = parse(oom_texts.dmesg(oom_texts.global_612()), boot_time=1741650000.0)[0][0]
    assert (report["epoch"], report["time_computed"]) == (1741650000.0 + oom_texts.BASE, True)


def test_a_log_of_noise_costs_no_parsing():
    noise = "".join(f"[{at:12.6f}] audit: op=room pid={at} low on memory\n" for at in range(20000)).encode()
    assembler = oom_report.Assembler()
    assert list(oom_report_scan.scan([noise], assembler)) == []
    assert assembler.number == 0


@pytest.mark.skipif(not os.environ.get("OOM_CORPUS"), reason="OOM_CORPUS names no folder of logs")
def test_corpus():
    tool = HERE.parent / "tools" / "corpus_check.py"
    result = subprocess.run(
        [sys.executable, str(tool), os.environ["OOM_CORPUS"]], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_the_report_of_2_6_18():
    """RHEL 5: all counters on one line, zones without memory, free lists that are empty."""
    lines = oom_texts.global_2624()
    at = lines.index("Active:150615 inactive:339150 dirty:41 writeback:42 unstable:43")
    lines[at : at + 2] = [
        "cpu 0 hot: high 186, batch 31 used:29",
        "Free pages:       48584kB (452kB HighMem)",
        "Active:150615 inactive:339150 dirty:41 writeback:42 unstable:43 free:12146 slab:6561 mapped-file:78 \
mapped-anon:4711 pagetables:2862",
    ]
    lines = [re.sub("^HighMem: .*", "HighMem: empty", line) for line in lines]
    report = one(lines)
    assert report["truncated"] is False
    assert (report["memory"]["mapped_anon"], report["memory"]["pagetables"]) == (4711 * 4096, 2862 * 4096)
    assert report["zones"][1]["blocks"] == []


def test_the_kill_line_of_rhel_7_with_the_user():
    lines = oom_texts.global_310()
    lines[-1] = lines[-1].replace("(mysqld) total", "(mysqld), UID 27, total")
    report = one(lines)
    assert (report["victim"]["comm"], report["victim"]["uid"]) == ("mysqld", 27)
    assert report["victim"]["anon_rss"] == 600800 * 1024


def test_the_verbose_journal():
    text = ""
    for at, line in enumerate(oom_texts.global_2632()):
        text += f"Tue 2025-03-11 03:54:03.{at:06d} CET [s=a;i={at}]\n    _TRANSPORT=kernel\n    MESSAGE={line}\n"
    reports, unparsed = parse(text)
    assert unparsed["count"] == 0, unparsed["samples"]
    assert [(report["truncated"], report["victim"]["pid"]) for report in reports] == [(False, 40738)]


def test_garbage_without_end_does_not_fill_the_memory():
    rows = [f"[{pid:7d}]     0 {pid:5d}     3449      864    65536      192            -5 w" for pid in range(5000)]
    zones = [f"Node {node} DMA free:1kB min:1kB" for node in range(5000)]
    lines = oom_texts.memcg_v2()
    table = lines.index("Tasks state (memory values in pages):")
    report = parse(oom_texts.dmesg([*oom_texts.global_612()[:19], *zones]))[0][0]
    assert (len(report["zones"]), report["truncated"]) == (4096, True)
    report = parse(oom_texts.dmesg([*lines[: table + 2], *rows]))[0][0]
    assert len(report["tasks"]) == 5000


def of(text):
    """Return the reports in a text, and what was not understood."""
    assembler = oom_report.Assembler(1.75e9, "x")
    return list(oom_report_scan.scan([text.encode()], assembler)), assembler.unparsed["count"]


def test_a_vendor_may_put_the_state_of_the_victim_before_its_score():
    text = (
        "[1.5] Memory cgroup out of memory: Kill process 77 (dd) [State: 0 Flags: 42] score 977 or sacrifice child\n"
        "[1.6] Killed process 77 (dd) total-vm:8kB, anon-rss:4kB, file-rss:0kB\n"
    )
    (report,), unparsed = of(text)
    assert report["victim"]["score"] == 977 and report["victim"]["pid"] == 77
    assert unparsed == 0


def test_lines_that_were_glued_together_are_taken_apart():
    lines = [
        "[  9.100000] Task in /box killed as a result of limit of /box",
        "[  9.100001] memory: usage 512kB, limit 512kB, failcnt 7",
        "[  9.100002] memory+swap: usage 0kB, limit 9007199254740988kB, failcnt 0",
        "[  9.100003] kmem: usage 4kB, limit 9007199254740988kB, failcnt 0",
        "[  9.100004] Memory cgroup out of memory: Kill process 77 (dd) score 977 or sacrifice child",
        "[  9.100005] Killed process 77 (dd) total-vm:8kB, anon-rss:4kB, file-rss:0kB",
    ]
    (glued,), unparsed = of("".join(lines) + "\n")
    (apart,), _none = of("\n".join(lines) + "\n")
    assert unparsed == 0
    assert glued["memcg"] == apart["memcg"] and glued["victim"] == apart["victim"]
    assert glued["cgroup"] == "/box" and glued["memcg"]["limit"] == 512 * 1024


def test_an_allocation_failure_whose_first_line_other_cpus_cut_is_no_kill():
    text = (
        "[  4.100000] page allocation failure: order:3\n[  4.100001] , mode:0x2080020(GFP_ATOMIC)\n"
        "[  4.100002] Mem-Info:\n[  4.100003] active_anon:5 inactive_anon:6 isolated_anon:0\n"
    )
    (report,), unparsed = of(text)
    assert report["kind"] == "allocation_failure" and report["truncated"]
    assert report["trigger"]["comm"] is None and report["trigger"]["order"] == 3
    assert report["victim"] is None and unparsed == 0


def test_what_a_monitor_repeats_of_a_kill_is_not_counted():
    killed = "Memory cgroup out of memory: Killed process 77 (dd) total-vm:8kB, anon-rss:4kB, file-rss:0kB"
    text = (
        f"Oct 12 19:00:20 n1 kernel: [ 8523.100000] {killed}\n"
        f"Oct 12 19:00:20 n1 monitor[3240]: I1012 19:00:20.8 log.go:160] New status: [{{Message:{killed}}}]\n"
    )
    reports, unparsed = of(text)
    assert len(reports) == 1 and unparsed == 0


def test_a_line_that_a_person_wrapped_after_its_commas():
    (report,), unparsed = parse(
        """[581.3] python invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0
[581.5] oom-kill:constraint=CONSTRAINT_MEMCG, oom_memcg=/pods/01a0/app,
               task=python, pid=2269, uid=0
[581.5] Memory cgroup out of memory: Killed process 2269 (python)
               total-vm:31786400kB, anon-rss:13945980kB, file-rss:11996kB,
               shmem-rss:0kB, pgtables:28172kB
"""
    )
    assert unparsed["count"] == 0
    assert report["cgroup"] == "/pods/01a0/app"
    assert report["victim"]["anon_rss"] == 13945980 * 1024


def test_mail_in_quoted_printable():
    (report,), unparsed = parse(
        """[4.2] ip invoked oom-killer: gfp_mask=3D0xc2cc0(GFP_KERNEL|__GFP_N=
OWARN|__GFP_COMP), order=3D3, oom_score_adj=3D0
[4.3] Out of memory: Killed process 77 (ip) total-vm:100kB, anon-rss:50kB=
, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:28kB oom_score_adj:0
"""
    )
    assert unparsed["count"] == 0
    assert report["trigger"]["gfp_flags"] == "GFP_KERNEL|__GFP_NOWARN|__GFP_COMP"
    assert report["trigger"]["order"] == 3
    assert report["victim"]["anon_rss"] == 50 * 1024
