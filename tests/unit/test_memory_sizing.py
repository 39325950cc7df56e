# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much memory a host needs: the samples of each source, the arithmetic, growth, and the words."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import time
from pathlib import Path

import booted_trees
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import (
    memory_archives,
    memory_samples,
    sizing,
    sizing_words,
)
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from ansible_collections.linux_memory.oom.plugins.modules import memory_sizing_info
from hypothesis import given
from hypothesis import strategies as st

PROGRAM = Path(__file__).resolve().parents[2] / "roles" / "memory_sizing" / "files" / "memory_sampler.py"
_SPEC = importlib.util.spec_from_file_location("memory_sampler", PROGRAM)
sampler = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sampler)

MIB, GIB, DAY = 1024**2, 1024**3, 86400
OPTIONS = {"source": "auto", "path": "/samples", "days": 28, "headroom_percent": 15, "horizon_days": 90}

# What `sadf -j FILE -- -r ALL -S -W` of sysstat 12.6 said of a machine with 24,684,096 kB of RAM, shortened.
SADF = """
{"sysstat": {"hosts": [{"nodename": "vm", "sysname": "Linux", "number-of-cpus": 2, "statistics": [
 {"timestamp": {"date": "2026-11-24", "time": "01:56:31", "utc": 1, "interval": 600},
  "swap-pages": {"pswpin": 0.50, "pswpout": 0.00},
  "memory": {"memfree": 19842292, "avail": 21379956, "memused": 2899144, "memused-percent": 11.74, "buffers": 11720,
   "cached": 1000808, "commit": 5227804, "commit-percent": 21.18, "active": 270876, "inactive": 3539268, "dirty": 85908,
   "anonpg": 2809676, "slab": 930132, "kstack": 1808, "pgtbl": 8544, "vmused": 14588, "swpfree": 1000, "swpused": 24,
   "swpused-percent": 2.34, "swpcad": 0, "swpcad-percent": 0.00}}],
 "restarts": [{"boot": {"date": "2026-11-24", "time": "01:00:00", "utc": 1}}]}]}}
"""
# What `atop -r FILE -P MEM,SWP,PAG` of atop 2.8 said of the same machine.
ATOP = """\
RESET
MEM vm 1795485539 2026/11/24 01:58:59 78222 4096 6171024 4412789 238204 2659 232309 428 217029 0 2228 0 0 2097152 0 0
SWP vm 1795485539 2026/11/24 01:58:59 78222 4096 0 0 0 1349298 3085512 0 0 0
PAG vm 1795485539 2026/11/24 01:58:59 78222 4096 369261 0 0 0 0 48 0 0 0 13748321 43156889
SEP
MEM vm 1795486139 2026/11/24 02:08:59 600 4096 6171024 4412671 237627 2657 232337 475 217029 0 2228 0 0 2097152 0 0
SWP vm 1795486139 2026/11/24 02:08:59 600 4096 100 40 0 1349599 3085512 0 0 0
PAG vm 1795486139 2026/11/24 02:08:59 600 4096 0 0 0 7 0 1 0 0 0 0 0
SEP
"""


# What `pmrep -a ARCHIVE -o csv -r --ignore-unknown -f %s` of PCP 6.0 said of it, with a column that it lacked.
PMREP = """\
Time,"mem.physmem","mem.util.free","mem.util.available","mem.util.active_file","mem.util.inactive_file","swap.pagesin"
1795488623,,,,,,
1795488624,24684096,13792696,19124836,916332,3790316,5
1795488924,24684096,13791552,19124000,916344,3790596,12
1795489224,24684096,13834300,19114756,906812,3748700,3
1795489524,24684096,,,,,
"""


def one(when, held=GIB, total=8 * GIB, file=GIB, **more):
    """Return a sample whose held memory is told."""
    sample = memory_samples.blank(when, more.pop("boot", "a"))
    sample.update({"total": total, "file": file, "active_file": file // 2, "mapped_file": file // 8, "reclaimable": 0})
    sample.update({"free": total - file - held, "available": total - held, "swap_total": GIB, "swap_used": 0})
    sample.update({"swapped_in": 0, "refaulted": 0, "killed": 0, **more})
    return sample


def series(days, held, step=1800, **more):
    """Return samples of so many days; held is a function of the seconds."""
    return [one(when, int(held(when)), **more) for when in range(0, int(days * DAY), step)]


# The sampler


def proc(place, free=1000, events="pswpin 5\noom_kill 1\nworkingset_refault_file 7\n"):
    """Write what the sampler reads of a host."""
    (place / "proc/sys/kernel/random").mkdir(parents=True, exist_ok=True)
    (place / "proc/meminfo").write_text(
        f"MemTotal: 4000 kB\nMemFree: {free} kB\nMemAvailable: 1500 kB\nActive(file): 300 kB\nInactive(file): 200 kB\n"
        "SReclaimable: 50 kB\nMapped: 180 kB\nShmem: 60 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\nCommitted_AS: 9 kB\n"
    )
    (place / "proc/vmstat").write_text(events)
    (place / "proc/sys/kernel/random/boot_id").write_text("b1\n")
    return place


def test_a_sample_of_the_second_hierarchy(tmp_path):
    proc(tmp_path)
    group = tmp_path / "sys/fs/cgroup/system.slice"
    for unit, size in (("db.service", 900), ("web.service", 400), ("small.service", 1)):
        (group / unit).mkdir(parents=True)
        (group / unit / "memory.current").write_text(f"{size}\n")
        (group / unit / "memory.stat").write_text(f"anon {size // 2}\nfile 3\n")
        (group / unit / "memory.swap.current").write_text("17\n")
    # What a unit makes below itself is counted in it.
    (group / "db.service/inner.scope").mkdir()
    (group / "db.service/inner.scope/memory.current").write_text("800\n")
    found = sampler.sample(str(tmp_path), 2)
    assert found["units"] == {"db.service": [900, 450, 17], "web.service": [400, 200, 17]}
    assert (found["boot"], found["memory"]["MemFree"]) == ("b1", 1000 * 1024)
    assert found["events"] == {"pswpin": 5, "oom_kill": 1, "workingset_refault_file": 7}
    (sample, counters), *rest = memory_samples.parse_sampler(json.dumps(found))
    assert (sample["mapped_file"], sample["file"], rest) == (120 * 1024, 500 * 1024, [])
    assert counters == {"swapped_in": 5 * found["page"], "refaulted": 7 * found["page"], "killed": 1}


def test_a_sample_of_the_first_hierarchy(tmp_path):
    proc(tmp_path)
    group = tmp_path / "sys/fs/cgroup/memory/system.slice/db.service"
    group.mkdir(parents=True)
    (group / "memory.usage_in_bytes").write_text("900\n")
    (group / "memory.stat").write_text("rss 1\ntotal_rss 600\ntotal_swap 30\n")
    assert sampler.sample(str(tmp_path))["units"] == {"db.service": [900, 600, 30]}


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(600, 4000))
def test_the_file_stays_small_and_keeps_what_is_new(tmp_path_factory, sizes, most):
    path = tmp_path_factory.mktemp("samples") / "samples.jsonl"
    lines = [f"{number:05d}" + "x" * size for number, size in enumerate(sizes)]
    for line in lines:
        sampler.add(str(path), line, most)
        kept = path.read_text().splitlines()
        assert path.stat().st_size <= most
        assert kept[-1] == line
        assert kept == lines[lines.index(kept[0]) : lines.index(line) + 1]
    # A third goes, and of a line that reaches into it all.
    sizes = [len(line) + 1 for line in lines]
    assert path.stat().st_size >= min(most * 2 // 3 - max(sizes), sum(sizes))


def test_a_line_that_was_cut_by_a_power_cut_is_dropped(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text('{"a":1}\n{"b":')
    sampler.add(str(path), '{"c":1}', 1000)
    assert path.read_text() == '{"a":1}\n{"c":1}\n'


@given(st.text())
def test_lines_that_are_no_samples_are_left_out(text):
    assert memory_samples.parse_sampler(text) == []


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["time", "boot", "page", "memory", "events", "units", "x"]), inner)
        ),
        max_leaves=12,
    )
)
def test_whatever_json_a_line_holds(told):
    for sample, counters in memory_samples.parse_sampler(json.dumps(told)):
        assert set(memory_samples.FIELDS) < set(sample)
        assert set(counters) == {"swapped_in", "refaulted", "killed"}


# Other sources


def test_sysstat():
    (sample,) = memory_samples.parse_sadf(SADF, 4096)
    assert (sample["total"], sample["free"]) == (24684096 * 1024, 19842292 * 1024)
    assert (sample["file"], sample["swap_used"]) == ((1000808 + 11720) * 1024, 24 * 1024)
    assert (sample["swapped_in"], sample["refaulted"]) == (int(0.5 * 600 * 4096), None)
    assert time.strftime("%d %H:%M", time.gmtime(sample["time"])) == "24 01:56"


def test_sysstat_before_version_12_counts_caches_as_used():
    told = json.loads(SADF)
    memory = told["sysstat"]["hosts"][0]["statistics"][0]["memory"]
    memory.update({"memused": 24684096 - 19842292, "memused-percent": 19.62})
    (sample,) = memory_samples.parse_sadf(json.dumps(told), 4096)
    assert sample["total"] == 24684096 * 1024


def test_sysstat_tells_boots_apart():
    told = json.loads(SADF)
    host = told["sysstat"]["hosts"][0]
    later = json.loads(json.dumps(host["statistics"][0]))
    later["timestamp"]["time"] = "05:00:00"
    host["statistics"].append(later)
    host["restarts"].append({"boot": {"date": "2026-11-24", "time": "04:00:00", "utc": 1}})
    first, second = memory_samples.parse_sadf(json.dumps(told), 4096)
    assert first["boot"] != second["boot"]


def test_atop():
    first, second = memory_samples.parse_atop(ATOP)
    assert (first["total"], first["free"]) == (6171024 * 4096, 4412789 * 4096)
    assert (first["file"], first["reclaimable"]) == ((238204 + 2659 - 2228) * 4096, 217029 * 4096)
    # What is counted since boot was not of that moment.
    assert (first["swapped_in"], second["swapped_in"], second["killed"]) == (None, 7 * 4096, 1)
    assert (second["swap_used"], second["commit_limit"]) == (60 * 4096, 3085512 * 4096)
    assert first["boot"] == second["boot"]


@given(st.text(alphabet="MEMSWPAG RT0123456789-./:\n", max_size=300))
def test_whatever_atop_says(text):
    assert all(sample["total"] is not None for sample in memory_samples.parse_atop(text))


def test_performance_co_pilot():
    pairs = memory_samples.parse_pmrep(PMREP, 4096)
    first, second, third = memory_samples.with_differences(pairs)
    assert (first["total"], first["free"]) == (24684096 * 1024, 13792696 * 1024)
    assert (first["file"], first["active_file"]) == ((916332 + 3790316) * 1024, 916332 * 1024)
    # Less than before: another boot.
    assert (second["swapped_in"], third["swapped_in"]) == (7 * 4096, None)
    assert first["boot"] == second["boot"] != third["boot"]


@given(st.text(alphabet='Time,memphysutil.fre"0123456789\n-', max_size=300))
def test_whatever_pmrep_says(text):
    assert isinstance(memory_samples.parse_pmrep(text, 4096), list)


def test_the_archive_of_this_host_is_the_one_that_was_written_last(tmp_path):
    proc(tmp_path)
    for name, age in (("this", 10), ("other", 9999)):
        archive(tmp_path / "var/log/pcp/pmlogger" / name, ["x.0"])
        os.utime(tmp_path / "var/log/pcp/pmlogger" / name, (time.time() - age,) * 2)
    asked = []

    def run(command, environ_update):
        asked.append(command[2])
        return 0, PMREP, ""

    source, found = memory_archives.samples(Tree(str(tmp_path)), run, {**OPTIONS, "days": 3660})
    assert (source, asked, len(found)) == ("pcp", ["/var/log/pcp/pmlogger/this"], 4)


def archive(place, names, age=0):
    place.mkdir(parents=True)
    for name in names:
        (place / name).write_text("")
        os.utime(place / name, (time.time() - age, time.time() - age))


def test_the_archive_of_sysstat_is_read_file_by_file(tmp_path):
    asked = []

    def run(command, environ_update):
        asked.append(command[2])
        return (0, SADF, "") if command[2].endswith("sa24") else (1, "", "Invalid system activity file\nmore")

    proc(tmp_path)
    archive(tmp_path / "var/log/sysstat", ["sa23", "sa24", "sar23", "sa22.xz"])
    options = {**OPTIONS, "days": 366 * 10}
    source, found = memory_archives.samples(Tree(str(tmp_path)), run, options)
    assert (source, sorted(asked)) == ("sysstat", ["/var/log/sysstat/sa23", "/var/log/sysstat/sa24"])
    # The one of the file, and that of now.
    assert [sample["total"] for sample in found] == [24684096 * 1024, 4000 * 1024]


def test_what_is_asked_for_and_not_there(tmp_path):
    proc(tmp_path)
    tree = Tree(str(tmp_path))

    def fails(command, environ_update):
        return 2, "", "no such program"

    with pytest.raises(memory_archives.NoSamples, match=r"source is atop, and it has no sample of the last 28 days: "):
        memory_archives.samples(tree, fails, {**OPTIONS, "source": "atop"})
    archive(tmp_path / "var/log/sa", ["sa01"])
    with pytest.raises(memory_archives.NoSamples, match="no such program"):
        memory_archives.samples(tree, fails, {**OPTIONS, "source": "sysstat"})
    source, found = memory_archives.samples(tree, fails, OPTIONS)
    assert (source, len(found), sorted(tree.unavailable)) == ("none", 1, ["atop", "pcp", "sampler", "sysstat"])


def test_many_samples_are_thinned_to_the_worst():
    pairs = [(one(number, held=GIB + (number % 7) * MIB), {}) for number in range(1000)]
    found = memory_archives.thinned(pairs, 100)
    assert len(found) <= 100
    assert max(sizing.demands([sample])[0]["held"] for sample, _counters in found) == GIB + 6 * MIB


@pytest.mark.parametrize(("enabled", "cache"), [(None, 300), ("0x0000\n", 300), ("0x0007\n", 250)])
def test_the_lists_of_generations_do_not_tell_what_is_used_again(tmp_path, enabled, cache):
    """Of the 500 kB of files 300 are on the active list; where that says nothing, half of them is taken."""
    proc(tmp_path)
    if enabled:
        (tmp_path / "sys/kernel/mm/lru_gen").mkdir(parents=True)
        (tmp_path / "sys/kernel/mm/lru_gen/enabled").write_text(enabled)
    (tmp_path / "samples").write_text(json.dumps(sampler.sample(str(tmp_path), 2)) + "\n")
    found = memory_sizing_info.answer(Tree(str(tmp_path)), None, {**OPTIONS, "source": "sampler"})
    assert found["sizing"]["window"]["samples"] == 2
    assert found["sizing"]["parts"]["page_cache"] == cache * 1024
    assert found["sizing"]["page_cache_told"] == (cache == 300)
    assert ("half of it is taken" in " ".join(found["sentences"])) == (cache == 250)


# The arithmetic


def test_the_parts_of_a_need():
    (need,) = sizing.demands([one(0, held=3 * GIB, file=2 * GIB, swap_used=100 * MIB)])
    assert (need["least"], need["likely"]) == (3 * GIB + 256 * MIB, 4 * GIB)
    assert need["most"] == 5 * GIB + 100 * MIB


def test_swap_counts_as_far_as_it_is_wanted_back():
    samples = [
        one(0),
        one(300, swap_used=400 * MIB, swapped_in=30 * MIB),
        one(600, swap_used=400 * MIB, swapped_in=MIB),
    ]
    needs = sizing.demands(samples)
    assert [need["swap"] for need in needs] == [0, 30 * MIB, 31 * MIB]
    assert needs[2]["cold_swap"] == 369 * MIB
    # Read back again and again, and still no more than is there.
    samples = [one(0), one(300, swap_used=400 * MIB, swapped_in=9000 * MIB)]
    assert sizing.demands(samples)[1]["swap"] == 400 * MIB


def test_what_came_back_in_an_hour_was_not_wanted_at_once():
    samples = [one(0), one(3600, swap_used=GIB, swapped_in=600 * MIB)]
    assert sizing.demands(samples)[1]["swap"] == 100 * MIB


def test_refaults_count_as_cache_that_is_missing():
    samples = [one(0), one(300, refaulted=700 * MIB)]
    quiet, thrashing = sizing.demands(samples)
    assert thrashing["likely"] - quiet["likely"] == 700 * MIB


@given(
    st.lists(
        st.tuples(*(st.integers(0, 8 * GIB) for _field in range(6)), st.sampled_from("ab"), st.booleans()), max_size=20
    )
)
def test_the_interval_holds_the_likely_need(rows):
    samples = []
    for number, (held, file, active, mapped, swap, back, boot, lacks) in enumerate(rows):
        sample = one(number * 60, held, file=file, boot=boot)
        sample.update({"active_file": min(active, file), "mapped_file": min(mapped, file)})
        sample.update({"swap_used": swap, "swapped_in": back, "refaulted": None if lacks else back})
        samples.append(sample)
    found = sizing.size(samples, 50 * MIB, 15, 90)
    if not samples:
        assert found is None
        return
    assert found["least"] <= found["likely"] <= found["most"]
    assert found["usual"] <= found["likely"] <= found["advised"]
    assert sum(found["parts"].values()) == found["likely"]
    json.dumps(found)


# Growth


def test_growth_is_told_from_the_rhythm_of_the_day():
    chance = random.Random(7)

    def held(when):
        rhythm = 300 * MIB * math.sin(2 * math.pi * when / DAY)
        return 2 * GIB + 100 * MIB * when / DAY + rhythm + chance.gauss(0, 20 * MIB)

    found = sizing.size(series(14, held), 0, 15, 90)
    assert abs(found["growth"]["bytes_per_day"] - 100 * MIB) < 10 * MIB
    assert found["growth"]["low"] < found["growth"]["bytes_per_day"] < found["growth"]["high"]
    assert found["growth_added"] == int(found["growth"]["bytes_per_day"] * 90)
    room = found["total"] - found["likely"]
    when = found["window"]["until"] + room / found["growth"]["bytes_per_day"] * DAY
    assert abs(found["full"]["likely"] - when) < DAY
    assert found["full"]["earliest"] <= found["full"]["likely"] <= found["full"]["latest"]


def test_noise_is_no_growth():
    chance = random.Random(3)
    found = sizing.size(series(10, lambda when: 2 * GIB + chance.gauss(0, 50 * MIB)), 0, 15, 90)
    assert found["growth"]["low"] <= 0 <= found["growth"]["high"]
    assert (found["full"]["likely"], found["growth_added"]) == (None, 0)


def test_a_morning_is_no_growth():
    found = sizing.size(series(1, lambda when: 2 * GIB + 500 * MIB * when / DAY), 0, 15, 90)
    assert found["growth"]["bytes_per_day"] is None
    assert "1.0 days" in found["growth"]["why"]


def test_growth_is_that_of_the_last_boot():
    before = series(5, lambda when: GIB, boot="a")
    after = [
        {**sample, "time": sample["time"] + 5 * DAY, "boot": "b"}
        for sample in series(5, lambda when: GIB + 50 * MIB * when / DAY)
    ]
    found = sizing.size(before + after, 0, 15, 90)["growth"]
    assert abs(found["bytes_per_day"] - 50 * MIB) < MIB
    assert found["seconds"] < 5 * DAY


def test_a_single_peak_does_not_look_like_growth():
    found = sizing.size(series(10, lambda when: 4 * GIB if when > 9.9 * DAY else 2 * GIB), 0, 15, 90)
    assert found["growth"]["bytes_per_day"] == 0
    assert found["likely"] == 4 * GIB + GIB // 2


# When it may be more


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"killed": 2}, "the OOM killer ended 2 programs"),
        ({"available": GIB // 4}, "less than 5 %"),
        ({"swapped_in": 300 * MIB, "swap_used": GIB}, "read back from swap all the time"),
    ],
)
def test_what_was_used_may_be_less_than_what_was_needed(more, why):
    found = sizing.size([one(0), one(300), one(600, **more)], 0, 15, 90)
    assert why in found["at_least_only"]
    assert sizing_words.sentences("sampler", found, [], OPTIONS)[0].startswith("This host needs at least ")


# Units


def test_peaks_of_units():
    samples = [
        one(0, units={"db.service": (800 * MIB, 600 * MIB, 0), "web.service": (100 * MIB, 90 * MIB, 0)}),
        one(300, units={"db.service": (500 * MIB, 400 * MIB, 50 * MIB), "web.service": (300 * MIB, 290 * MIB, 0)}),
    ]
    found = sizing.size(samples, 0, 15, 90)
    assert [(unit["unit"], unit["peak"], unit["time"]) for unit in found["units"]] == [
        ("db.service", 800 * MIB, 0),
        ("web.service", 300 * MIB, 300),
    ]
    # 600 and 290 at once, of which 740 was seen.
    assert found["all_units_at_their_peak"] == (600 + 290 - 740) * MIB


# The module


@pytest.mark.parametrize("name", booted_trees.NAMES)
def test_every_host_gets_an_answer(name):
    def none(command, environ_update):
        return 2, "", "not there"

    tree = Tree(str(booted_trees.root(name)))
    found = memory_sizing_info.answer(tree, none, OPTIONS)
    total = memory_archives.of_now(tree, 0, [])[0]["total"]
    assert found["sizing"]["total"] == total
    assert 0 < found["sizing"]["least"] <= found["sizing"]["likely"] <= found["sizing"]["most"] <= total * 1.1
    assert found["sentences"][0].startswith("This host needs ")
    assert "single reading" in " ".join(found["sentences"])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("days", 0, "days is 0, and takes 1 to 366."),
        ("headroom_percent", 201, "headroom_percent is 201, and takes 0 to 200."),
        ("horizon_days", -1, "horizon_days is -1, and takes 0 to 3650."),
    ],
)
def test_what_is_out_of_range(name, value, said):
    assert memory_sizing_info.out_of_range({**OPTIONS, name: value}) == said
    assert memory_sizing_info.out_of_range(OPTIONS) is None
