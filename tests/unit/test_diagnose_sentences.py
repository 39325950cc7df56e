# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of thought of a diagnosis, sentence by sentence: which test fails when a sentence is no longer true.

SENTENCES names the tests of each; those that stand nowhere else are here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.linux_memory.oom.plugins.plugin_utils import diagnosis
from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import CAUSES
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from test_diagnose_reports import CASES, GIB, HOG, MIB, TASK, TOTAL, WORKERS, gone, report, verdict

HERE = Path(__file__).resolve().parent

SENTENCES = {
    # From reports.
    "dirty and writeback against dirtyable memory first": ["test_dirty_memory_is_thought_of_first", "test_dirty_is_measured_against_what_may_be_dirty"],
    "whose anonymous memory: one task, one unit, many": ["test_whose_memory", "test_one_unit_of_many_programs_that_holds_most"],
    "swap present, full or absent": ["test_swap_full_present_or_absent"],
    "a limit of a cgroup or of a node, so the host is fine": ["test_a_report_of_a_cgroup_says_nothing_of_the_host", "test_a_node_is_short_and_the_host_is_not"],
    "kernel, shared, page tables, mlocked, hugepages": ["test_each_cause_is_found_in_a_report"],
    "order > 0 with free memory left": ["test_order_and_free_memory"],
    "always the sum: RAM that no counter owns": ["test_ram_that_no_counter_owns_is_found_beside_others"],
    "the trigger is not the culprit": ["test_the_trigger_is_not_the_culprit_and_the_victim_need_not_be"],
    "swap untouched with RAM gone points to the kernel": ["test_swap_that_nobody_used_points_to_the_kernel"],
    "the same victim at growing size is a leak": ["test_the_same_task_growing_over_reports_is_a_leak", "test_what_does_not_grow_is_no_leak"],
    "at intervals a loop": ["test_kills_of_one_cgroup_again_and_again_are_a_loop"],
    "one report of a huge task is a runaway": ["test_whose_memory"],
    "facts and reports together beat either alone": ["test_facts_and_a_report_that_agree_are_surer_than_either"],
    "where they disagree the finding says so": ["test_facts_that_say_otherwise_are_told"],
    "two causes equally supported are both shown": ["test_two_causes_equally_supported_are_both_shown"],
    "no verdict is forced": [
        "test_memory_that_was_left_is_no_shortage_and_not_forced_into_one",
        "test_a_report_without_numbers_is_unexplained_and_says_what_is_missing",
    ],
    # Remedies.
    "MemoryMax from the unit's use and the host's size": ["test_one_process_that_holds_most", "test_a_raised_limit_counts_what_the_unit_uses_and_has_swapped"],
    "a limit only where the host has room": ["test_a_limit_is_raised_only_where_the_host_has_room"],
    "dirty_bytes from the write rate times seconds": ["test_a_unit_that_was_killed_over_its_dirty_pages"],
    "swap from growth and hours": ["test_the_proposed_swap_lasts_a_day", "test_a_restart_comes_before_the_service_is_as_large_as_it_was"],
    "the arithmetic is shown": ["test_the_arithmetic_of_a_remedy_is_shown_wherever_its_values_are", "test_findings_are_well_formed"],
    "roles take what is proposed": ["test_the_role_takes_what_is_proposed"],
    "where no role can help a person is told what to do": ["test_every_cause_has_a_role_or_advice"],
}  # fmt: skip


def test_every_sentence_has_its_tests():
    written = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py"))
    tests = set(re.findall(r"^def (test_\w+)\(", written, re.M))
    assert {name for names in SENTENCES.values() for name in names} - tests == set()


def causes(*reports):
    """Return {cause: finding} in order."""
    return {each["cause"]: each for each in diagnosis.diagnose({}, list(reports))}


def test_dirty_memory_is_thought_of_first():
    order = [judge.__name__ for judge in diagnosis.JUDGES]
    assert order[:2] == ["manual_trigger", "dirty_pages"]
    # At equal confidence the earlier thought is the verdict.
    both = causes(report({"inactive_file": 5 * GIB, "dirty": 5 * GIB}, tasks=[dict(HOG, rss=2 * GIB)]))
    assert next(iter(both)) == "dirty_pages"


def test_dirty_is_measured_against_what_may_be_dirty():
    """The same 1 GiB is all of a small page cache and little of a large one."""
    small = report({"inactive_file": GIB + 100 * MIB, "dirty": GIB})
    large = report({"inactive_file": 6 * GIB, "dirty": GIB // 4})
    assert "dirty_pages" in causes(small)
    assert "dirty_pages" not in causes(large)


@pytest.mark.parametrize(
    ("tasks", "cause", "words"),
    [
        ([HOG], "runaway_process", "hog (PID 900)"),
        (WORKERS, "too_many_workers", "20 "),
        ([dict(TASK, pid=pid, comm=f"a{pid}", rss=150 * MIB) for pid in range(40)], "undersized_memory", ""),
    ],
)
def test_whose_memory(tasks, cause, words):
    found = verdict(report(tasks=tasks))
    assert found["cause"] == cause
    assert words in found["summary"]


@pytest.mark.parametrize(
    ("total", "free", "named"), [(GIB, 0, True), (GIB, GIB // 2, False), (0, 0, False), (None, None, False)]
)
def test_swap_full_present_or_absent(total, free, named):
    found = causes(report(gone(GIB), tasks=[], swap={"total": total, "free": free}))
    assert ("swap_exhausted" in found) is named


def test_a_node_is_short_and_the_host_is_not():
    found = verdict(CASES["node_constraint"])
    assert found["cause"] == "node_constraint"
    assert "node 1" in found["summary"]


@pytest.mark.parametrize(("order", "cause"), [(3, "fragmentation"), (0, None)])
def test_order_and_free_memory(order, cause):
    trigger = {"comm": "x", "gfp_mask": "0xcc0", "order": order}
    found = causes(dict(CASES["fragmentation"], trigger=trigger))
    assert ("fragmentation" in found) is (cause == "fragmentation")


def test_ram_that_no_counter_owns_is_found_beside_others():
    found = causes(report({"active_anon": 4 * GIB}, tasks=[dict(HOG, rss=4 * GIB)]))
    assert {"runaway_process", "unaccounted_memory"} <= set(found)


@pytest.mark.parametrize(
    ("memory", "cause"),
    [
        ({"slab_unreclaimable": 2 * GIB}, "kernel_memory"),
        ({"pagetables": 2 * GIB}, "page_tables"),
        (gone(2 * GIB), "unaccounted_memory"),
    ],
)
def test_swap_that_nobody_used_points_to_the_kernel(memory, cause):
    def sure(free):
        return causes(report(memory, swap={"total": 4 * GIB, "free": free}))[cause]

    untouched, used = sure(4 * GIB), sure(2 * GIB)
    assert used["confidence"] < level("likely") <= untouched["confidence"]
    told = [piece["what"] for piece in untouched["evidence"]]
    assert "share of swap that is used, though memory is gone" in told
    assert "share of swap that is used, though memory is gone" not in [piece["what"] for piece in used["evidence"]]
    edge = 4 * GIB * (1 - limit("swap_untouched"))
    assert sure(edge + MIB)["confidence"] > sure(edge - MIB)["confidence"]


def test_two_causes_equally_supported_are_both_shown():
    half = 3 * GIB + 512 * MIB
    found = causes(report({"slab_unreclaimable": half, "shmem": half}, tasks=[]))
    one, two = found["kernel_memory"], found["shared_memory"]
    assert abs(one["confidence"] - two["confidence"]) <= 0.05
    # None of them is called certain.
    assert max(one["confidence"], two["confidence"]) < level("strong")
    assert TOTAL == 8 * GIB


def test_every_cause_has_a_role_or_advice():
    for name, cause in CAUSES.items():
        assert cause.role or cause.advice or name in ("none",), name
