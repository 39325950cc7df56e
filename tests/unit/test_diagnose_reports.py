# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What reports of the OOM killer are diagnosed as: induced by the lab, written, joined, damaged."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import oom_texts
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report, oom_report_scan
from ansible_collections.linux_memory.oom.plugins.plugin_utils import from_report
from ansible_collections.linux_memory.oom.plugins.plugin_utils.diagnosis import diagnose
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import State
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from diagnose_hosts import host, meminfo, pressure, process
from hypothesis import given, settings
from hypothesis import strategies as st
from test_diagnose_contract import JUNK, assert_well_formed, paths

FIXTURES = Path(__file__).resolve().parent / "fixtures" / "oom"
MIB = 1 << 20
GIB = 1 << 30


def parsed(data: bytes) -> list[dict]:
    """Return the reports in a log, oldest first."""
    return list(oom_report_scan.scan([data], oom_report.Assembler(1.75e9, "x")))


def induced() -> list[dict]:
    """Return the rows of the lab's table, each JSON after a dash, that have their log."""
    table = FIXTURES / "index.yml"
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    found = [json.loads(line[2:]) for line in lines if line.startswith("- ")]
    return [row for row in found if (FIXTURES / row["file"]).exists()]


@pytest.mark.parametrize("row", induced(), ids=lambda row: row["file"])
def test_what_was_induced_is_what_is_found(row):
    found = diagnose({}, parsed((FIXTURES / row["file"]).read_bytes()))
    assert_well_formed(found)
    assert found[0]["cause"] in row["accepted"], [(each["cause"], each["confidence"]) for each in found]


# Reports whose numbers add up: a host of 8 GiB, of which 200 MiB are free in the end.

TOTAL = 8 * GIB
TASK = {"pid": 900, "comm": "app", "uid": 1, "rss": 100 * MIB, "swap": 0}


def zone(name="Normal", node=0, free=200 * MIB, **more):
    """Return one zone, of which everything is at its low watermark."""
    return {"node": node, "zone": name, "free": free, "min": free, "low": free, "lowmem_reserve": [0, 0], **more}


def report(memory=None, tasks=None, **more):
    """Return a report in which what is given holds memory; what remains is anonymous memory of small programs."""
    given = {"free": 200 * MIB, "active_file": 5 * MIB, "inactive_file": 5 * MIB, "dirty": 0, "writeback": 0}
    given.update({"shmem": 0, "slab_reclaimable": 20 * MIB, "slab_unreclaimable": 30 * MIB, "pagetables": 10 * MIB})
    given.update({"unevictable": 0, "inactive_anon": 0, **(memory or {})})
    apart = sum(value for name, value in given.items() if name not in ("dirty", "writeback", "shmem", "active_anon"))
    given.setdefault("active_anon", max(0, TOTAL - apart))
    programs = [dict(TASK, pid=number, comm=f"app{number}", rss=MIB) for number in range(1000, 1040)]
    return {
        "kind": "oom",
        "scope": "global",
        "constraint": "CONSTRAINT_NONE",
        "epoch": 1.75e9,
        "sysrq": False,
        "truncated": False,
        "page_size": 4096,
        "outcome": "killed",
        "trigger": {"comm": "innocent", "pid": 7, "gfp_mask": "0x100cca", "order": 0},
        "victim": None,
        "memory": {**given, "ram": TOTAL + 100 * MIB, "reserved": 100 * MIB},
        "swap": {"total": 0, "free": 0},
        "zones": [zone()],
        "hugepages": [],
        "tasks": programs if tasks is None else tasks,
        **more,
    }


def verdict(*reports, facts=None):
    """Return the first finding of reports."""
    found = diagnose(facts or {}, list(reports))
    assert_well_formed(found)
    return found[0]


def gone(amount):
    """Return counters of which anonymous memory lacks so much that no counter has it."""
    return {"active_anon": 7 * GIB - amount}


HOG = dict(TASK, comm="hog", rss=6 * GIB)
WORKERS = [dict(TASK, pid=number, comm="worker", rss=300 * MIB) for number in range(100, 120)]
NODES = [zone(node=0, free=4 * GIB), zone(node=1, free=100 * MIB)]
CASES = {
    "manual_trigger": report({"free": 5 * GIB}, sysrq=True),
    "dirty_pages": report({"inactive_file": 5 * GIB, "dirty": 4 * GIB, "writeback": GIB // 2}),
    "runaway_process": report(tasks=[HOG]),
    "too_many_workers": report(tasks=WORKERS),
    "undersized_memory": report(),
    "swap_exhausted": report(gone(GIB), tasks=[], swap={"total": GIB, "free": 0}),
    "node_constraint": report({"free": 4 * GIB + 100 * MIB}, scope="cpuset", nodemask="1", zones=NODES),
    "zone_exhausted": report(
        {"free": 3 * GIB},
        zones=[zone(free=10 * MIB), zone("HighMem", free=3 * GIB - 10 * MIB)],
        trigger={"comm": "x", "gfp_mask": "0xcc0", "order": 0},
    ),
    "fragmentation": report(
        {"free": 3 * GIB},
        zones=[zone(free=3 * GIB, low=20 * MIB)],
        trigger={"comm": "x", "gfp_mask": "0xcc0", "order": 3},
    ),
    "shared_memory": report({"shmem": 6 * GIB}),
    "kernel_memory": report({"slab_unreclaimable": 5 * GIB}),
    "unaccounted_memory": report(gone(6 * GIB)),
    "page_tables": report({"pagetables": 5 * GIB}),
    "mlocked_memory": report({"unevictable": 6 * GIB}),
    "hugepages_reserved": report(
        {"active_anon": GIB}, hugepages=[{"node": 0, "size": 2 * MIB, "total": 3300, "free": 3300, "surplus": 0}]
    ),
    "overcommit_limit": {"kind": "overcommit_refusal", "trigger": {"comm": "big"}, "bytes": GIB, "truncated": False},
}


@pytest.mark.parametrize("cause", CASES)
def test_each_cause_is_found_in_a_report(cause):
    found = verdict(CASES[cause])
    assert found["cause"] == cause
    assert not any("/proc/" in piece["source"] for piece in found["evidence"])


@pytest.mark.parametrize(
    ("place", "row"),
    [
        ("nodes", {"node": 0, "gpu_active": 6 * GIB}),
        ("nodes", {"node": 0, "gpu_active": 2 * GIB, "gpu_reclaim": 4 * GIB}),
        ("nodes", {"node": 0, "kernel_stack": 6 * GIB}),
        ("zones", zone(zspages=6 * GIB)),
    ],
)
def test_what_only_nodes_or_zones_count_has_an_owner(place, row):
    found = diagnose({}, [{**CASES["unaccounted_memory"], place: [row]}])
    assert "unaccounted_memory" not in [each["cause"] for each in found]


def test_the_balloon_that_a_report_tells_of_is_shown_in_what_no_counter_owns():
    found = verdict({**CASES["unaccounted_memory"], "nodes": [{"node": 0, "balloon": 5 * GIB}]})
    shown = {piece["what"]: (piece["value"], piece["source"]) for piece in found["evidence"]}
    assert shown["held by the hypervisor's balloon"] == (5 * GIB, "OOM report, Balloon")


def test_reclaimable_slab_that_stayed_counts_as_the_kernels():
    found = verdict(report({"slab_reclaimable": 5 * GIB}))
    assert found["cause"] == "kernel_memory"


@pytest.mark.parametrize("cause", [cause for cause in CASES if cause not in ("manual_trigger", "overcommit_limit")])
def test_a_report_that_was_cut_is_less_sure(cause):
    whole, cut = verdict(CASES[cause]), verdict({**CASES[cause], "truncated": True})
    assert cut["cause"] == cause
    assert cut["confidence"] == pytest.approx(whole["confidence"] * limit("cut_report"), abs=0.01)
    assert "the report is not whole" in [piece["what"] for piece in cut["evidence"]]


def test_a_report_without_numbers_is_unexplained_and_says_what_is_missing():
    found = verdict(report(memory=None) | {"memory": None, "tasks": None, "zones": [], "swap": None, "truncated": True})
    assert found["cause"] == "unexplained"
    missing = [piece["what"] for piece in found["evidence"]]
    assert "not known: what held memory" in missing and "not known: which program held memory" in missing


def test_memory_that_was_left_is_no_shortage_and_not_forced_into_one():
    roomy = report({"free": 4 * GIB}, zones=[zone(free=4 * GIB, low=MIB)], tasks=[dict(HOG, rss=5 * GIB)])
    found = verdict(roomy)
    assert found["cause"] == "unexplained"
    assert "4 GiB of memory was available" in found["summary"]
    fault = {**roomy, "trigger": {"comm": "x", "gfp_mask": "0x0", "order": 0}}
    assert verdict(fault)["cause"] == "cgroup_limit"


def test_the_trigger_is_not_the_culprit_and_the_victim_need_not_be():
    victim = {"pid": 1001, "comm": "app1001", "anon_rss": MIB, "shmem_rss": 0}
    found = verdict(report(tasks=[HOG, dict(TASK, pid=1001, comm="app1001", rss=MIB)], victim=victim))
    assert found["summary"].startswith("The process hog (PID 900) holds")
    said = {piece["what"]: piece["value"] for piece in found["evidence"]}
    assert said["asked for memory, which makes nobody the cause"] == "innocent"
    assert said["killed: app1001"] == MIB
    assert said["largest task, which was not killed: hog"] == 6 * GIB


def test_without_a_table_the_victim_tells_who_held_memory():
    victim = {"pid": 900, "comm": "hog", "anon_rss": 6 * GIB, "shmem_rss": 0}
    one = report(tasks=[], victim=victim, victims=[victim], task_memcg="/system.slice/hog.service")
    found = verdict(one)
    assert found["cause"] == "runaway_process"
    assert list(found["remedy"]["vars"]["cgroup_memory_limit_units"]) == ["hog.service"]


def test_an_allocation_that_failed_is_no_kill():
    found = verdict(report(kind="allocation_failure", outcome=None, scope=None, tasks=[HOG]))
    assert found["cause"] == "unexplained" and "nothing was killed" in found["summary"]


def test_a_kill_outweighs_a_refusal_and_both_are_told():
    found = diagnose({}, [report(tasks=[HOG]), dict(CASES["overcommit_limit"], epoch=1.75e9 + 9)])
    assert [each["cause"] for each in found][0] == "runaway_process"
    assert "overcommit_limit" in [each["cause"] for each in found]


# Cgroups


def of_group(stats=None, **more):
    """Return a report of a cgroup of 1 GiB at its limit."""
    account = {"path": "/a.slice/a.service", "usage": GIB, "limit": GIB, "stats": stats or {"anon": GIB}}
    account["swap"] = {"usage": 0, "limit": None}
    place = {"scope": "cgroup", "cgroup": account["path"], "constraint": "CONSTRAINT_MEMCG", "memory": None}
    return report(tasks=[dict(TASK, rss=GIB)], memcg=account, zones=[]) | {**place, "swap": None, **more}


@pytest.mark.parametrize(
    ("stats", "cause"),
    [
        ({"anon": GIB}, "cgroup_limit"),
        ({"anon": 1, "file_dirty": GIB // 2, "file_writeback": GIB // 4}, "dirty_pages"),
        ({"total_rss": 1, "dirty": 0, "total_dirty": GIB // 2}, "dirty_pages"),
        ({"anon": 1, "shmem": GIB - MIB}, "shared_memory"),
        ({"anon": 1, "slab": GIB - MIB}, "kernel_memory"),
    ],
)
def test_a_cgroup_at_its_limit_is_told_by_what_fills_it(stats, cause):
    found = diagnose({}, [of_group(stats)])
    assert found[0]["cause"] == cause
    assert "cgroup_limit" in [each["cause"] for each in found]


def test_a_larger_limit_is_proposed_where_the_host_has_room():
    found = verdict(of_group(), facts=host())
    assert found["remedy"]["vars"]["cgroup_memory_limit_units"]["a.service"]["MemoryMax"] == int(1.25 * GIB)
    assert [piece for piece in found["evidence"] if piece["source"] == "memory_facts"]


def test_kills_of_one_cgroup_again_and_again_are_a_loop():
    found = verdict(*(of_group(epoch=1.75e9 + number * 3600) for number in range(4)))
    assert "4 times in these reports" in found["summary"]
    assert [piece["value"] for piece in found["evidence"] if piece["what"] == "time between them"] == [3600]


def test_a_constraint_that_is_not_known_is_not_called_a_limit():
    account = {"path": "/x", "usage": GIB, "limit": None, "stats": {}}
    found = verdict(of_group(constraint="CONSTRAINT_BPF_PSI_MEM", memcg=account))
    assert found["cause"] == "unexplained" and "CONSTRAINT_BPF_PSI_MEM" in found["summary"]


# Several reports, and facts


def grown(*sizes):
    """Return reports an hour apart, in which one task has these sizes in GiB."""
    return [report(tasks=[dict(HOG, rss=int(size * GIB))], epoch=1.75e9 + 3600 * at) for at, size in enumerate(sizes)]


def test_the_same_task_growing_over_reports_is_a_leak():
    found = verdict(*reversed(grown(4, 5, 6)))
    assert found["cause"] == "anonymous_growth"
    assert "grew from 4 GiB to 6 GiB over 3 reports in 2 h" in found["summary"]


def test_no_limit_is_proposed_that_leaves_a_unit_next_to_nothing():
    """What others have in swap comes back, too."""
    found = {}
    for in_swap in (0.1, 0.85):
        one = report(tasks=[dict(HOG, rss=int(TOTAL * 0.95))], task_memcg="/system.slice/hog.service")
        one["victim"] = dict(HOG)
        one["swap"] = {"total": TOTAL, "free": int(TOTAL * (1 - in_swap))}
        found[in_swap] = next(each for each in diagnose({}, [one]) if each["cause"] == "runaway_process")
    assert "hog.service" in found[0.1]["remedy"]["vars"]["cgroup_memory_limit_units"]
    remedy = found[0.85]["remedy"] or {"vars": {}}
    assert remedy["vars"] == {}
    assert "No limit of hog.service is proposed" in found[0.85]["advice"]


def growing(seconds, *others):
    """Return three reports so many seconds apart, in which HOG grows from 2 GiB to 3 GiB, and others by so many GiB."""
    found = []
    for number in range(3):
        programs = [
            dict(TASK, pid=100 + at, comm=f"b{at}", rss=int((1 + by * number / 2) * GIB))
            for at, by in enumerate(others)
        ]
        tasks = [dict(HOG, rss=int((2 + number / 2) * GIB)), *programs]
        found.append(report(tasks=tasks, epoch=1.75e9 + seconds * number))
    return found


def test_who_grows_among_others_that_grow_is_no_leak():
    assert verdict(*growing(1, 0.5, 0.4, 0.5))["cause"] != "anonymous_growth"
    assert verdict(*growing(1, 0.5, 0.4, -0.5))["cause"] == "anonymous_growth"
    # Of hours before only the largest task is known.
    assert verdict(*growing(3600, 0.5, 0.4, 0.5))["cause"] == "anonymous_growth"


def test_swappiness_is_proposed_where_there_is_swap():
    without, with_swap = grown(4, 5, 6), grown(4, 5, 6)
    for each in with_swap:
        each["swap"] = {"total": GIB, "free": GIB // 2}
    assert "swap_tuning_swappiness" not in verdict(*without)["remedy"]["vars"]
    assert verdict(*without)["remedy"]["why"][0].startswith("No swappiness: ")
    assert verdict(*with_swap)["remedy"]["vars"]["swap_tuning_swappiness"] == 100


@pytest.mark.parametrize("sizes", [(4, 6), (6, 6, 6), (6, 4, 6), (6,)])
def test_what_does_not_grow_is_no_leak(sizes):
    assert verdict(*grown(*sizes))["cause"] == "runaway_process"


def test_facts_that_say_otherwise_are_told():
    found = verdict(report(tasks=[HOG]), facts=host())
    assert found["cause"] == "runaway_process"
    told = [piece["value"] for piece in found["evidence"] if piece["source"] == "memory_facts"]
    assert told and told[0].startswith("none: ")
    # The made-up host has 16 GiB, the report's had 8.
    assert [piece for piece in found["evidence"] if "not what the host has now" in piece["what"]]


def test_facts_and_a_report_that_agree_are_surer_than_either():
    short = host(meminfo=meminfo(anon=4, file=0.2, shmem=10, available=0.5))
    alone, told = verdict(report({"shmem": 6 * GIB})), diagnose(short)[0]
    both = verdict(report({"shmem": 6 * GIB}), facts=short)
    assert alone["cause"] == told["cause"] == both["cause"] == "shared_memory"
    assert max(alone["confidence"], told["confidence"]) < both["confidence"] <= level("certain")


# Written reports and damage


WRITTEN = {
    "global_310": "undersized_memory",
    "global_2632": "undersized_memory",
    "global_2624": "swap_exhausted",
    "memcg_v1": "cgroup_limit",
    "memcg_v2": "cgroup_limit",
    "allocation_failure": "unexplained",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_reports_of_every_era_are_understood(name):
    reports = parsed(oom_texts.plain(getattr(oom_texts, name)()).encode())
    assert verdict(*reports)["cause"] == WRITTEN[name]


def test_memory_of_a_report_by_owner():
    (one,) = parsed(oom_texts.plain(oom_texts.global_310()).encode())
    memory = from_report.memory_of(one, State())
    counters = one["memory"]
    assert memory.total == counters["ram"] - counters["reserved"]
    assert memory.anon == counters["active_anon"] + counters["inactive_anon"] + counters["isolated_anon"] - memory.shmem
    assert memory.undrained == counters["dirty"] + counters["writeback"] + counters["unstable"]
    kept = sum(zone["high"] + max(zone["lowmem_reserve"]) for zone in one["zones"])
    low = sum(zone["low"] for zone in one["zones"])
    clean = memory.file - memory.undrained
    assert memory.available == max(0, memory.free - kept + max(clean - low, clean / 2))


@pytest.mark.parametrize(
    ("zones", "expected"),
    [
        ([], (380 * MIB, 0, 0)),
        ([{"low": 10 * MIB, "high": 20 * MIB, "lowmem_reserve": [0, 5 * MIB, 5 * MIB]}], (345 * MIB, 0, 0)),
        # No zone keeps more than it has.
        (
            [{"low": 10 * MIB, "high": 20 * MIB, "lowmem_reserve": [0, 90 * MIB], "managed": 15 * MIB}],
            (355 * MIB, 0, 0),
        ),
        # At most half of the page cache is taken to be needed.
        ([{"low": 60 * MIB, "high": 80 * MIB, "lowmem_reserve": None}], (260 * MIB, 0, 20 * MIB)),
        ([{"low": 90 * MIB, "high": 400 * MIB}], (0, 60 * MIB, 50 * MIB)),
    ],
)
def test_what_zones_keep_is_not_available(zones, expected):
    counters = {"ram": 1 << 30, "free": 300 * MIB, "active_file": 90 * MIB, "inactive_file": 0, "dirty": 10 * MIB}
    memory = from_report.memory_of({"memory": counters, "zones": zones}, State())
    assert (memory.available, memory.overdrawn, memory.regrowing) == expected
    assert memory.held == memory.total - memory.available
    assert State(memory=memory).to_fit == memory.held + memory.overdrawn


@pytest.mark.parametrize(
    ("text", "nodes"),
    [("0", {0}), ("0-2,5", {0, 1, 2, 5}), ("", None), (None, None), ("5-1", None), ("0-99999999", None)],
)
def test_lists_of_nodes(text, nodes):
    assert from_report.event_of({"nodemask": text}).nodes == (None if nodes is None else frozenset(nodes))


DAMAGED = [
    *CASES.values(),
    of_group(),
    *(report_ for name in WRITTEN for report_ in parsed(oom_texts.plain(getattr(oom_texts, name)()).encode())),
]
PATHS = [list(paths(each)) for each in DAMAGED]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_reports_never_raise(data):
    index = data.draw(st.integers(0, len(DAMAGED) - 1))
    damaged = copy.deepcopy(DAMAGED[index])
    for path in data.draw(st.lists(st.sampled_from(PATHS[index]), min_size=1, max_size=6)):
        inner = damaged
        try:
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = data.draw(JUNK)
        except (KeyError, IndexError, TypeError):
            pass  # an entry above was replaced before
    assert_well_formed(diagnose(host(), [damaged, DAMAGED[index]]))
    assert_well_formed(diagnose({}, [DAMAGED[index], damaged]))


@pytest.mark.parametrize("report", DAMAGED)
def test_no_memory_is_called_available_where_it_is_not_known(report):
    assert_well_formed(diagnose({}, [{**report, "kind": None, "scope": "0"}]))


def test_no_share_of_memory_is_told_where_its_size_is_lost():
    victim = {"pid": 7, "comm": "hog", "anon_rss": GIB}
    found = diagnose({}, [{"kind": "oom", "scope": "global", "truncated": True, "victim": victim, "victims": [victim]}])
    assert [each["cause"] for each in found] == ["unexplained"]
    assert "%" not in found[0]["summary"]
    assert any(piece["what"] == "killed: hog" and piece["value"] == GIB for piece in found[0]["evidence"])


def test_a_cgroup_whose_name_is_lost_met_its_limit_all_the_same():
    found = diagnose({}, [{"kind": "oom", "scope": "cgroup", "truncated": True, "victim": {"pid": 7, "comm": "hog"}}])
    assert found[0]["cause"] == "cgroup_limit" and "unnamed cgroup" in found[0]["summary"]


def test_no_kill_is_told_where_none_was_read():
    memory = {"free": 4 * GIB, "active_anon": GIB, "inactive_anon": 0, "slab_unreclaimable": 0}
    found = diagnose({}, [{"kind": "oom", "scope": None, "truncated": True, "memory": memory, "trigger": {"order": 2}}])
    assert "killed" not in found[-1]["summary"]


# What is left of a report that was cut


def test_a_kill_line_alone_is_no_verdict():
    line = b"[9.5] Killed process 11726, UID 498, (mysqld) total-vm:7823732kB, anon-rss:2539268kB, file-rss:768kB\n"
    (first, *_others) = diagnose({}, parsed(line))
    assert first["cause"] == "unexplained"
    assert "killed mysqld (PID 11726), which held 2.4 GiB" in first["summary"]


def test_a_table_that_has_lost_the_victim_is_no_verdict():
    log = b"""[364.7] oom02 invoked oom-killer: gfp_mask=0x16080c0(GFP_KERNEL), nodemask=1,  order=0, oom_score_adj=0
[365.0] [ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name
[365.1] [ 1905]     0  1905     3236     1714      10       4        0             0 systemd-journal
[365.2] [ 1908]     0  1908    20247      590       8       4        0             0 lvmetad
[366.0] Out of memory: Kill process 4578 (oom02) score 945 or sacrifice child
[366.1] Killed process 4578 (oom02) total-vm:3149824kB, anon-rss:3098112kB, file-rss:0kB, shmem-rss:0kB
"""
    (first, *_others) = diagnose({}, parsed(log))
    assert first["cause"] == "unexplained"


def test_a_limit_is_told_where_the_report_has_lost_whose_it_was():
    line = b"[9.5] Memory cgroup out of memory: Killed process 7 (app) total-vm:9kB, anon-rss:8kB, file-rss:0kB\n"
    (first, *_others) = diagnose({}, parsed(line))
    assert first["cause"] == "cgroup_limit"
    assert first["summary"].startswith("An unnamed cgroup met its own memory limit")
    assert first["remedy"] is None


# Whose unit, and room for whom it pushed out


def killing(task, unit, **more):
    """Return what a report says of the kill of a task."""
    return {"victim": dict(task), "task_memcg": f"/system.slice/{unit}", **more}


def many(first, count, size, **more):
    """Return the rows of so many Python programs."""
    return [dict(TASK, pid=pid, comm="python3", rss=size, **more) for pid in range(first, first + count)]


def test_the_unit_of_a_victim_is_not_that_of_all_programs_of_its_name():
    """Two servers in Python were killed before the workers of a third service, in Python as well."""
    servers, workers = many(10, 2, GIB), many(100, 20, 250 * MIB)
    reports = [
        report(tasks=servers + workers, **killing(servers[0], "first.service"), epoch=1.75e9),
        report(tasks=servers[1:] + workers, **killing(servers[1], "second.service"), epoch=1.75e9 + 2),
        report(tasks=workers, **killing(workers[0], "bursty.service"), epoch=1.75e9 + 4),
    ]
    found = verdict(*reports)
    assert found["cause"] == "too_many_workers"
    assert found["remedy"] is None and "Its unit is not known" in found["advice"]
    rows = [dict(row, unit="bursty.service", start_time=1.75e9 - 60, swap=0) for row in workers[1:]]
    found = verdict(*reports, facts={"processes": {"top": rows, "by_comm": []}})
    assert list(found["remedy"]["vars"]["cgroup_memory_limit_units"]) == ["bursty.service"]


def test_a_process_that_started_after_the_report_tells_nothing_of_it():
    workers = many(100, 20, 300 * MIB)
    rows = [dict(row, unit="other.service", start_time=1.75e9 + 60, swap=0) for row in workers]
    found = verdict(report(tasks=workers), facts={"processes": {"top": rows, "by_comm": []}})
    assert found["remedy"] is None


def test_a_limit_leaves_room_for_those_who_were_killed():
    servers, workers = many(10, 2, GIB), many(100, 20, 250 * MIB)
    rows = [dict(row, unit="bursty.service", start_time=1.75e9 - 60, swap=0) for row in workers]

    def proposed(*reports):
        found = verdict(*reports, facts={"processes": {"top": rows, "by_comm": []}})
        return found["remedy"]["vars"]["cgroup_memory_limit_units"]["bursty.service"]["MemoryMax"]

    # What the servers held the workers have taken since.
    last = report(tasks=many(100, 20, 350 * MIB), epoch=1.75e9 + 9)
    first = report(tasks=servers + workers, **killing(servers[0], "first.service"), epoch=1.75e9)
    alone, after = proposed(last), proposed(first, last)
    assert alone - after == 20 * 100 * MIB
    # What was killed an hour before was another shortage.
    assert proposed({**first, "epoch": 1.75e9 - 3600}, last) == alone


def test_who_is_killed_right_after_each_start_gets_twice_as_much():
    reports = [of_group(epoch=1.75e9 + number * 4) for number in range(5)]
    found = verdict(*reports, facts=host())
    assert found["remedy"]["vars"]["cgroup_memory_limit_units"]["a.service"]["MemoryMax"] == 2 * GIB
    assert "again and again" in " ".join(found["remedy"]["why"])
    # Once a day is no loop: the size is nearly right.
    reports = [of_group(epoch=1.75e9 + number * 86400) for number in range(5)]
    found = verdict(*reports, facts=host())
    assert found["remedy"]["vars"]["cgroup_memory_limit_units"]["a.service"]["MemoryMax"] == int(1.25 * GIB)


@pytest.mark.parametrize(("asked", "times", "ratio"), [(None, 1, 7), (None, 4, 25), (3 * GIB, 4, 38)])
def test_a_refusal_never_lowers_what_may_be_promised(asked, times, ratio):
    """8 GiB of RAM and 2 GiB of swap, in all 2 GiB of which may be promised; 1 GiB is."""
    refusal = {"kind": "overcommit_refusal", "trigger": {"comm": "big"}, "bytes": asked, "truncated": False}
    facts = host(overcommit={"mode": 2, "ratio": 25, "kbytes": 0, "commit_limit": 2 * GIB, "committed": GIB})
    facts["meminfo"]["mem_total"] = 8 * GIB
    found = verdict(*({**refusal, "epoch": 1.75e9 + 4 * number} for number in range(times)), facts=facts)
    assert found["remedy"]["vars"] == {"overcommit_limit_ratio": ratio}


def test_what_forks_share_is_not_taken_from_the_room_of_others():
    """Twenty workers of 300 MiB each, of which 100 MiB are their parent's: together they hold 4.1 GiB and not 6."""
    workers = many(100, 20, 300 * MIB)
    servers = [dict(TASK, pid=pid, comm="server", rss=GIB) for pid in (10, 11, 12)]
    rows = [dict(row, unit="bursty.service", start_time=1.75e9 - 60, swap=0) for row in workers]
    true = 20 * 200 * MIB + 100 * MIB + 3 * GIB
    facts = {"processes": {"top": rows, "by_comm": []}}
    found = verdict(report({"active_anon": true}, tasks=servers + workers), facts=facts)
    (limits,) = found["remedy"]["vars"]["cgroup_memory_limit_units"].values()
    # What the servers hold, and a tenth of the host, is left to others.
    assert limits["MemoryMax"] <= TOTAL * 0.9 - 3 * GIB
    assert limits["MemoryMax"] > TOTAL * 0.9 - 4.5 * GIB


def short_after_a_kill(seconds: float, up: float = 3600):
    """Return facts of a host of 8 GiB, short of memory still, and the report of a kill so many seconds before.

    At the report hog.service had 4 GiB and app.service 3 GiB; now that is dead and hog.service has 6.5 GiB.
    """
    killed = dict(TASK, pid=901, comm="app", rss=3 * GIB)
    tasks = [dict(HOG, rss=4 * GIB), killed]
    before = report(tasks=tasks, victim=killed, victims=[killed], task_memcg="/system.slice/app.service", epoch=1.75e9)
    owners = {"file": 0.1, "shmem": 0, "slab_reclaimable": 0.02, "slab_unreclaimable": 0.1, "lost": 0}
    hog = process(HOG["comm"], 6.5, HOG["pid"], "hog.service")
    return before, host(
        system={"time": 1.75e9 + seconds, "uptime": up},
        meminfo=meminfo(total=8, anon=6.8, available=0.2, swap_total=0, swap_free=0, **owners),
        pressure={"memory": pressure(60)},
        processes={"top": [hog], "by_comm": []},
    )


@pytest.mark.parametrize(
    ("seconds", "up", "room_for_the_killed"),
    [(30, 3600, True), (limit("same_shortage") + 1, 3600, False), (30, 20, False)],
)
def test_a_limit_leaves_room_for_who_was_killed_just_before(seconds, up, room_for_the_killed):
    """Reports of another boot, or of a while ago, say nothing about who comes back."""
    before, facts = short_after_a_kill(seconds, up)
    alone = next(each for each in diagnose(facts) if each["cause"] == "runaway_process")
    both = next(each for each in diagnose(facts, [before]) if each["cause"] == "runaway_process")
    free, told = (
        each["remedy"]["vars"]["cgroup_memory_limit_units"]["hog.service"]["MemoryMax"] for each in (alone, both)
    )
    assert told == free if not room_for_the_killed else free - told > 2 * GIB
    words = "that all others held before the OOM killer ended some"
    assert any(words in why for why in both["remedy"]["why"]) == room_for_the_killed
