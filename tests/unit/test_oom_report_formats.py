# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every format that a report may have, item by item: where each is tested, and the cases that stand nowhere else.

WHERE names for each item the tests that fail when it is not read; a test looks whether they are there.
"""

from __future__ import annotations

import re
from pathlib import Path

import oom_texts
import oom_wrappers
import pytest
from test_oom_report import one, parse

HERE = Path(__file__).resolve().parent
HEAD = oom_texts.global_612()[0]

WHERE = {
    # Eras, each by its own text.
    "2.6.18 and 2.6.24": ["test_the_report_of_2_6_18", "test_the_oldest_form_of_2_6_18", "test_numbers_against_a_second_reading"],
    "2.6.32, 3.10, 4.8, 6.12": ["test_numbers_against_a_second_reading"],
    "5.10, 6.1, 6.12, 7.3 as booted": ["test_every_number_is_the_one_that_an_eye_sees"],
    # The first lines.
    "gfp_mask, nodemask, cpuset, order, oom_adj, oom_score_adj": ["test_first_lines", "test_cpuset_lines"],
    "order=-1 and other signs of SysRq f": ["test_called_by_hand"],
    "page allocation failures": ["test_a_page_allocation_failure_is_a_kind_of_its_own", "test_the_first_lines_of_allocation_failures"],
    "__vm_enough_memory": ["test_refusals_of_strict_accounting", "test_every_refusal_is_counted"],
    # Summary lines.
    "constraint=": ["test_constraints", "test_summary_lines"],
    "constraints in words": ["test_constraints_that_old_kernels_say_in_words"],
    "unknown constraints are kept": ["test_constraints"],
    # Cgroups.
    "Task in ... killed as a result of limit of": ["test_a_cgroup_of_v1_with_a_child", "test_task_in_lines"],
    "oom_memcg=": ["test_a_cgroup_of_v2"],
    "statistics in kB, in bytes, as memory.stat": ["test_statistics_of_a_cgroup"],
    "usage and limit lines": ["test_a_cgroup_of_v2", "test_a_cgroup_of_v1_with_a_child", "test_usage_lines"],
    "what memory.min and memory.low protect": ["test_what_is_protected_from_reclaim"],
    "memory.oom.group": ["test_the_tasks_of_a_group_are_killed_by_one_report"],
    # Mem-Info.
    "global, node and zone lines": ["test_numbers_against_a_second_reading", "test_a_global_report_in_full"],
    "counters of the future": ["test_counters_that_a_future_kernel_may_add"],
    "zones of 32 bits": ["test_a_32_bit_host_has_zones_without_nodes"],
    "hugepages": ["test_hugepages_lines", "test_a_global_report_in_full"],
    "swap cache and swap totals": ["test_swap_lines"],
    "pages of 64 KiB": ["test_pages_of_64_kib", "test_where_the_size_of_a_page_is_from", "test_the_size_of_a_page_that_nothing_tells"],
    "Memory allocations, Unreclaimable slab info": ["test_slab_and_allocations"],
    # Task tables.
    "column sets": ["test_task_tables", "test_page_tables_are_bytes_in_every_table", "test_rows_without_their_first_line"],
    "no table": ["test_the_table_may_be_switched_off"],
    # Ends.
    "kill lines": ["test_kill_lines", "test_the_kill_line_of_rhel_7_with_the_user", "test_the_allocating_task_killed_by_setting"],
    "oom_reaper": ["test_reaper_lines", "test_who_was_reaped"],
    "victims that exit": ["test_a_victim_that_exits_by_itself"],
    "panic_on_oom, deadlocked on memory": ["test_a_panic_ends_the_report", "test_panic_lines"],
    "no killable processes": ["test_nothing_to_kill_in_a_cgroup_is_no_panic"],
    # What logs do to them.
    "prefixes": ["test_every_prefix_gives_the_same_report", "test_a_written_report_is_the_same_behind", "test_prefixes"],
    "wrapped and quoted mail": ["test_every_prefix_gives_the_same_report", "test_mail_in_quoted_printable"],
    "interleaved and mixed": ["test_two_reports_mixed", "test_two_cpus_told_apart_by_caller", "test_other_programs_lines_between"],
    "rate limits and lost lines": ["test_kills_whose_reports_were_suppressed", "test_lines_dropped_by_printk_are_said"],
    "ring buffer overwritten": ["test_the_ring_buffer_was_overwritten_at_its_start"],
    "not understood": ["test_a_report_nobody_understands_is_counted", "test_figures_inside_a_report_that_nobody_understands"],
    # Sources.
    "journal, --directory, exported files": ["test_the_journal", "test_the_journal_of_another_tree", "test_journal_files_and_directories_among_the_paths"],
    "dmesg and /dev/kmsg": ["test_the_ring_buffer", "test_the_ring_buffer_of_a_host_without_dev_kmsg"],
    "kern.log, messages, syslog with rotation": ["test_the_logs_of_a_host", "test_what_a_file_is_packed_with_is_seen_in_it", "test_zstd_by_its_command"],
    "root": ["test_the_logs_of_a_sosreport"],
    "since, until, limit": ["test_points_in_time", "test_the_newest_of_many"],
    "boots": ["test_the_journal"],
    "paths on this host": ["test_the_module", "test_only_the_paths_are_read_when_there_are_any"],
}  # fmt: skip


def test_every_item_has_its_tests():
    written = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py"))
    tests = set(re.findall(r"^def (test_\w+)\(", written, re.M))
    assert {name for names in WHERE.values() for name in names} - tests == set()


def test_every_prefix_of_the_list_is_among_those_that_are_tried():
    tried = {function.__name__ for function in oom_texts.PREFIXES} | set(oom_wrappers.WRAPPERS)
    assert tried >= {
        "syslog",
        "syslog_5424",
        "journal_short",
        "dmesg",
        "dmesg_human",
        "dmesg_caller",
        "pstore",
        "docker",
    }
    assert tried >= {"cri", "kmsg", "mail", "quoted", "journal_json", "journal_export", "journal_verbose", "dmesg_json"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gfp_mask=0xd0, order=0, oomkilladj=-17", ("0xd0", None, None, 0, -17, None)),
        ("gfp_mask=0x201da, order=1, oom_adj=-4, oom_score_adj=-235", ("0x201da", None, None, 1, -4, -235)),
        ("gfp_mask=0x280da, order=0, oom_score_adj=1000", ("0x280da", None, None, 0, None, 1000)),
        ("gfp_mask=0x26080c0(GFP_KERNEL|__GFP_ZERO), order=3, oom_score_adj=0", ("0x26080c0", "GFP_KERNEL|__GFP_ZERO", None, 3, None, 0)),
        ("gfp_mask=0x14200ca(GFP_X), nodemask=(null),  order=0, oom_score_adj=7", ("0x14200ca", "GFP_X", None, 0, None, 7)),
        ("gfp_mask=0x14200ca(GFP_X), nodemask=0,2-3, order=0, oom_score_adj=7", ("0x14200ca", "GFP_X", "0,2-3", 0, None, 7)),
        ("gfp_mask=0x0(), order=0, oom_score_adj=-999", ("0x0", "", None, 0, None, -999)),
        ("gfp_mask=0xcc0(GFP_KERNEL), order=-1, oom_score_adj=0", ("0xcc0", "GFP_KERNEL", None, -1, None, 0)),
    ],
)  # fmt: skip
def test_first_lines(line, expected):
    report = one(["kworker/0:2 invoked oom-killer: " + line, *oom_texts.global_612()[1:]])
    trigger = report["trigger"]
    assert trigger["comm"] == "kworker/0:2"
    told = (trigger["gfp_mask"], trigger["gfp_flags"], report["nodemask"], trigger["order"], trigger["oom_adj"])
    assert (*told, trigger["oom_score_adj"]) == expected


@pytest.mark.parametrize("path", ["/", "docker-0a1b.scope", "/kubepods/besteffort/pod1"])
def test_cpuset_lines(path):
    lines = oom_texts.global_310()
    at = next(number for number, line in enumerate(lines) if " cpuset=" in line)
    lines[at] = f"httpd cpuset={path} mems_allowed=0-3"
    assert (one(lines)["cpuset"], one(lines)["mems_allowed"]) == (path, "0-3")


@pytest.mark.parametrize(
    ("middle", "oom_memcg", "task_memcg"),
    [
        ("global_oom,task_memcg=/a,", None, "/a"),
        ("oom_memcg=/a,task_memcg=/a/b,", "/a", "/a/b"),
        ("oom_memcg=/x,y=1/z,task_memcg=/x,y=1/z,", "/x,y=1/z", "/x,y=1/z"),
    ],
)
def test_summary_lines(middle, oom_memcg, task_memcg):
    lines = [
        f"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0-1,{middle}task=a,b=c,pid=4321,uid=1002"
        if line.startswith("oom-kill:")
        else line
        for line in oom_texts.global_612()
    ]
    report = one(lines)
    assert (report["oom_memcg"], report["task_memcg"], report["mems_allowed"]) == (oom_memcg, task_memcg, "0-1")


@pytest.mark.parametrize("limit", ["/docker/a", "/a b/c", "/"])
def test_task_in_lines(limit):
    lines = oom_texts.memcg_v1()
    at = next(number for number, line in enumerate(lines) if line.startswith("Task in "))
    lines[at] = f"Task in {limit}/b killed as a result of limit of {limit}"
    report = parse(oom_texts.dmesg(lines))[0][0]
    assert (report["oom_memcg"], report["task_memcg"]) == (limit, limit + "/b")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("memory: usage 5kB, limit 8kB, failcnt 3", {"usage": 5120, "limit": 8192, "failcnt": 3}),
        ("memory: usage 5kB, limit 9007199254740988kB, failcnt 3", {"usage": 5120, "limit": None}),
        ("memory: usage 5kB, limit 18014398509481983kB, failcnt 3", {"usage": 5120, "limit": None}),
        ("memory+swap: usage 7kB, limit 9kB, failcnt 1", {"memsw": {"usage": 7168, "limit": 9216, "failcnt": 1}}),
        ("swap: usage 7kB, limit 9kB, failcnt 1", {"swap": {"usage": 7168, "limit": 9216, "failcnt": 1}}),
        (
            "kmem: usage 7kB, limit 9007199254740988kB, failcnt 0",
            {"kmem": {"usage": 7168, "limit": None, "failcnt": 0}},
        ),
    ],
)
def test_usage_lines(line, expected):
    lines = [each for each in oom_texts.memcg_v2() if ": usage " not in each]
    at = next(number for number, each in enumerate(lines) if each.startswith("Memory cgroup stats"))
    memcg = parse(oom_texts.dmesg([*lines[:at], line, *lines[at:]]))[0][0]["memcg"]
    assert {name: memcg[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Memory cgroup stats for /a: cache:8KB rss:16KB mapped_file:0KB dirty:4KB"], {"cache": 8192, "rss": 16384, "dirty": 4096}),
        (["Memory cgroup stats: cache:8KB rss:16KB"], {"cache": 8192}),
        (["Memory cgroup stats for /a:\nanon 300\nfile 400\nslab_reclaimable 5"], {"anon": 300, "file": 400, "slab_reclaimable": 5}),
        (["Memory cgroup stats for /a:", "anon 300", "file_dirty 400", "workingset_refault 5"], {"anon": 300, "file_dirty": 400}),
    ],
)  # fmt: skip
def test_statistics_of_a_cgroup(lines, expected):
    body = oom_texts.memcg_v2()
    start = next(number for number, line in enumerate(body) if line.startswith("Memory cgroup stats"))
    end = next(number for number, line in enumerate(body) if line.startswith("Tasks state"))
    text = oom_texts.dmesg([*body[:start], *lines, *body[end:]])
    stats = parse(text)[0][0]["memcg"]["groups"][0]["stats"]
    assert {name: stats[name] for name in expected} == expected


@pytest.mark.parametrize("body", [oom_texts.global_612, oom_texts.memcg_v2])
def test_what_is_protected_from_reclaim(body):
    """Newer kernels print it in every report, not only in that of a cgroup."""
    lines = body()
    at = next(number for number, line in enumerate(lines) if line.startswith("Tasks state"))
    told = "Memory cgroup min protection 4096kB -- low protection 12kB"
    (report,), unparsed = parse(oom_texts.dmesg([*lines[:at], told, *lines[at:]]))
    (without,), _unparsed = parse(oom_texts.dmesg(lines))
    assert unparsed["count"] == 0
    assert report["protection"] == {"min": 4 << 20, "low": 12 << 10}
    assert without["protection"] is None
    assert {**report, "protection": None, "trigger": None, "uptime": None, "unparsed": []} == {
        **without, "protection": None, "trigger": None, "uptime": None, "unparsed": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Node 1 hugepages_total=4 hugepages_free=3 hugepages_surp=1 hugepages_size=1048576kB", (1, 4, 3, 1, 1 << 30)),
        ("hugepages_total=9 hugepages_free=0 hugepages_surp=0 hugepages_size=2048kB", (None, 9, 0, 0, 2 << 20)),
    ],
)
def test_hugepages_lines(line, expected):
    lines = [each for each in oom_texts.global_612() if "hugepages_total" not in each]
    at = next(number for number, each in enumerate(lines) if "total pagecache" in each)
    (entry,) = one([*lines[:at], line, *lines[at:]])["hugepages"]
    assert tuple(entry[name] for name in ("node", "total", "free", "surplus", "size")) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Swap cache stats: add 11, delete 12, find 13/14", {"added": 11, "deleted": 12, "found": 13, "looked_up": 14}),
        (
            "Swap cache: add 11, delete 12, find 13/14, race 0+0",
            {"added": 11, "deleted": 12, "found": 13, "looked_up": 14},
        ),
        ("77 pages in swap cache", {"cached": 77 * 4096}),
        ("Free swap  = 88kB", {"free": 88 * 1024}),
        ("Free swap:       88kB", {"free": 88 * 1024}),
        ("Total swap = 99kB", {"total": 99 * 1024}),
    ],
)
def test_swap_lines(line, expected):
    lines = [each for each in oom_texts.global_612() if not re.search("[Ss]wap cache|(?:Free|Total) swap", each)]
    at = next(number for number, each in enumerate(lines) if each.endswith("pages RAM"))
    swap = parse(oom_texts.dmesg([*lines[:at], line, *lines[at:]]))[0][0]["swap"]
    assert {name: swap[name] for name in expected} == expected


TABLES = {
    "rss cpu oom_adj oom_score_adj name": ("   50 2 -17 -1000", {"cpu": 2, "oom_adj": -17, "oom_score_adj": -1000, "swap": None}),
    "rss nr_ptes swapents oom_score_adj name": ("   50 3 9 -5", {"pgtables": 3 * 4096, "swap": 9 * 4096, "oom_score_adj": -5}),
    "rss nr_ptes nr_pmds swapents oom_score_adj name": ("   50 3 2 9 -5", {"pgtables": 5 * 4096, "swap": 9 * 4096}),
    "rss nr_ptes nr_pmds nr_puds swapents oom_score_adj name": ("   50 3 2 1 9 -5", {"pgtables": 6 * 4096}),
    "rss pgtables_bytes swapents oom_score_adj name": ("   50 8192 9 -5", {"pgtables": 8192, "swap": 9 * 4096}),
    "rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name": (
        "   50 40 7 3 8192 9 -5",
        {"rss_anon": 40 * 4096, "rss_file": 7 * 4096, "rss_shmem": 3 * 4096, "pgtables": 8192, "oom_score_adj": -5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("columns", TABLES)
@pytest.mark.parametrize("first", ["[ pid ]", "[  pid  ]"])
def test_task_tables(columns, first):
    numbers, expected = TABLES[columns]
    lines = [line for line in oom_texts.global_612() if not line.startswith("[ ")]
    at = lines.index("Tasks state (memory values in pages):") + 1
    table = [f"{first}   uid  tgid total_vm      {columns}", f"[ 4321]  1002  4321      100 {numbers} a (b) c"]
    (task,) = parse(oom_texts.dmesg([*lines[:at], *table, *lines[at:]]))[0][0]["tasks"]
    assert (task["pid"], task["uid"], task["total_vm"], task["rss"], task["comm"]) == (
        4321,
        1002,
        409600,
        204800,
        "a (b) c",
    )
    assert {name: task[name] for name in expected} == expected


KILLS = {
    "Out of memory: kill process 7 (a b) score 99 or a child|Killed process 7 (a b)": {"score": 99, "total_vm": None},
    "Out of memory: Kill process 7 (a b) score 99 or sacrifice child|Killed process 7 (a b) vsz:8kB, anon-rss:4kB, file-rss:0kB":
        {"score": 99, "total_vm": 8192, "anon_rss": 4096},
    "Out of memory: Kill process 7 (a b) score 99 or sacrifice child|Killed process 7, UID 5, (a b) total-vm:8kB, anon-rss:4kB, file-rss:0kB":
        {"uid": 5, "total_vm": 8192, "anon_rss": 4096, "file_rss": 0},
    "Out of memory: Kill process 7 (a b) score 99 or sacrifice child|Killed process 7 (a b) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:12kB":
        {"shmem_rss": 12288, "score": 99},
    "Out of memory: Killed process 7 (a b) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB":
        {"total_vm": 8192, "pgtables": None},
    "Out of memory: Killed process 7 (a b) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:5":
        {"uid": 5},
    "Out of memory: Killed process 7 (a b) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:5 pgtables:16kB oom_score_adj:-7":
        {"uid": 5, "pgtables": 16384, "oom_score_adj": -7},
    "Memory cgroup out of memory: Killed process 7 (a b) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:5 pgtables:16kB oom_score_adj:0":
        {"total_vm": 8192, "oom_score_adj": 0},
    "Memory cgroup out of memory: Kill process 7 (a b) score 99 or sacrifice child|Killed process 7 (a b) total-vm:8kB, anon-rss:4kB, file-rss:0kB":
        {"score": 99},
    "Out of memory (oom_kill_allocating_task): Killed process 7 (a b) total-vm:8kB, anon-rss:4kB, file-rss:0kB, "
    "shmem-rss:0kB, UID:5 pgtables:16kB oom_score_adj:0":
        {"total_vm": 8192},
}  # fmt: skip


@pytest.mark.parametrize("text", KILLS)
def test_kill_lines(text):
    lines = [line for line in oom_texts.without_end(oom_texts.global_612()) if not line.startswith("oom-kill:")]
    report = one([*lines, *text.split("|")])
    victim = report["victim"]
    assert (victim["pid"], victim["comm"], len(report["victims"])) == (7, "a b", 1)
    assert {name: victim[name] for name in KILLS[text]} == KILLS[text]
    assert report["allocating_task"] is ("allocating_task" in text)
    assert (report["scope"] == "cgroup") is text.startswith("Memory cgroup")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reaped process 4321 (hog (x) 1), now anon-rss:0kB, file-rss:4kB, shmem-rss:8kB", (True, 0, 4096, 8192)),
        ("reaped process :4321 (hog (x) 1) anon-rss:0kB, file-rss:4kB, shmem-rss:8kB", (True, 0, 4096, 8192)),
        ("unable to reap pid:4321 (hog (x) 1)", (False, None, None, None)),
    ],
)
def test_reaper_lines(line, expected):
    lines = [each for each in oom_texts.global_612() if not each.startswith("oom_reaper")]
    (entry,) = one([*lines, "oom_reaper: " + line])["reaped"]
    assert (entry["pid"], entry["comm"]) == (4321, "hog (x) 1")
    assert (entry["reaped"], entry["anon_rss"], entry["file_rss"], entry["shmem_rss"]) == expected


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("Out of memory: system-wide panic_on_oom is enabled", "panic"),
        ("Out of memory: compulsory panic_on_oom is enabled", "panic"),
        ("out of memory. panic_on_oom is selected", "panic"),
        ("out of memory. Compulsory panic_on_oom is selected.", "panic"),
        ("Out of memory and no killable processes...", "panic"),
        ("System is deadlocked on memory", "deadlocked"),
    ],
)
def test_panic_lines(reason, outcome):
    report = one([*oom_texts.without_end(oom_texts.global_612()), "Kernel panic - not syncing: " + reason])
    assert (report["outcome"], report["panicked"], report["victims"]) == (outcome, True, [])
    assert report["panic"].rstrip(".") == reason.rstrip(".")


@pytest.mark.parametrize("how", ["blocks", "nodes", "victim"])
def test_where_the_size_of_a_page_is_from(how):
    """The smallest free block; what a node tells in kB of what the host tells in pages; the victim's two sizes."""
    lines = oom_texts.global_612()
    if how == "blocks":
        lines = [re.sub(r"(Node 0 DMA\w*): .*", r"\1: 3*16kB (U) 2*32kB (M) = 112kB", line) for line in lines]
        assert (one(lines)["page_size"], one(lines)["page_size_from"]) == (16384, "blocks")
        return
    lines = [line for line in lines if not re.match(r"Node 0 DMA\w*: ", line)]
    if how == "nodes":
        lines = [
            re.sub(
                "^Node 0 active_anon:4404kB inactive_anon:720808kB",
                "Node 0 active_anon:70464kB inactive_anon:11532928kB",
                line,
            )
            for line in lines
        ]
    else:
        lines = [
            re.sub(
                r"^(Node 0) active_anon:\S+ inactive_anon:\S+ active_file:\S+ inactive_file:\S+ unevictable:\S+ (.*?) mapped:\S+",
                r"\1 \2",
                line,
            )
            for line in lines
        ]
        lines = [line.replace("total-vm:841200kB", "total-vm:13459200kB") for line in lines]
    report = parse(oom_texts.dmesg(lines))[0][0]
    assert (report["page_size"], report["page_size_from"]) == (65536, how)
