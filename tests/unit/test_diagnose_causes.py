# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each cause on a host that has it, and on the same host just below each of its thresholds."""

from __future__ import annotations

import pytest
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from diagnose_hosts import GIB, HUGE_PAGE, MIB, TOTAL, causes, group, host, meminfo, pressure, process, size, verdict

A_LITTLE = 0.02  # GiB

STALLED = {"memory": pressure(30.0, 15.0), "io": pressure(10.0)}
NO_PROGRAMS = {"count": 9, "top": [process("journald", 0.05)], "by_comm": []}


def short(**changes):
    """Return a host that is short of memory: programs wait for it."""
    return host(**{"pressure": STALLED, **changes})


def evidence(finding, what):
    """Return the value of the piece of evidence whose text begins with what."""
    return next(piece["value"] for piece in finding["evidence"] if piece["what"].startswith(what))


# dirty_pages


def dirty(amount, available=None, io=60.0, rate=20.0 * MIB, stalled=0.0, anon=7.5, file=6.0):
    """Return a host with so many GiB dirty; the page cache is mostly dirty."""
    memory = meminfo(anon=anon, file=file, dirty=amount - 0.1, writeback=0.1, available=available)
    disk = {"write_rate": rate, "utilisation": 1.0, "in_flight": 40}
    return host(
        meminfo=memory,
        processes=NO_PROGRAMS,
        pressure={"memory": pressure(stalled), "io": pressure(io)},
        storage={"disks": {"sdb": disk}},
    )


def test_dirty_pages_that_leave_no_clean_memory_are_the_verdict():
    found = causes(dirty(5.5, available=6.2))
    assert next(iter(found)) == "dirty_pages"
    finding = found["dirty_pages"]
    assert "5.5 GiB" in finding["summary"] and "sdb" in finding["summary"]
    assert finding["article"] == "1c"
    assert evidence(finding, "dirty and writeback") == size(5.4) + size(0.1)
    assert evidence(finding, "time to write it") == pytest.approx(5.5 * 1024 / 20, rel=0.01)
    settings = finding["remedy"]["vars"]
    assert settings == {
        "dirty_throttle_bytes": 200 * MIB,
        "dirty_throttle_background_bytes": 100 * MIB,
    }


def test_dirty_pages_need_a_tenth_of_memory():
    amount = TOTAL * limit("dirty_share")
    low = {"dirty_threshold": size(0.5), "dirty_background_threshold": size(0.2)}
    assert "dirty_pages" in causes({**dirty(amount + A_LITTLE, stalled=20, available=1.5), "writeback": low})
    assert "dirty_pages" not in causes({**dirty(amount - A_LITTLE, stalled=20, available=1.5), "writeback": low})


def test_dirty_pages_below_the_point_of_throttling_are_nobodys_trouble():
    middle = (2.6 + 1.3) / 2
    assert "dirty_pages" in causes(dirty(middle + A_LITTLE, available=2.5))
    assert "dirty_pages" not in causes(dirty(middle - A_LITTLE, available=2.5))


def test_dirty_pages_are_nothing_while_clean_memory_is_left_and_storage_keeps_up():
    assert verdict(dirty(2.2, io=5.0)) == "none"


def test_slow_storage_with_memory_left_is_only_possible():
    # 2.2 GiB at 37 MiB/s take just over a minute.
    slow = dirty(2.2, io=limit("pressure_io"), rate=37.0 * MIB)
    assert causes(slow)["dirty_pages"]["confidence"] == level("possible")
    assert verdict(dirty(2.2, io=limit("pressure_io") - 1, rate=37.0 * MIB)) == "none"
    assert verdict(dirty(2.2, io=limit("pressure_io"), rate=38.0 * MIB)) == "none"


def test_writers_of_one_slow_device_wait_below_the_limit_of_the_host():
    """As on a machine of the lab: the kernel let 46 % of memory be dirty for a slow disk, and 70 % of all."""
    lazy = {"dirty_threshold": size(11.2), "dirty_background_threshold": size(10.6)}

    def found(amount, **options):
        facts = dirty(amount, available=11, anon=3, file=9, **options)
        return causes({**facts, "writeback": lazy}).get("dirty_pages")

    full = TOTAL * limit("dirty_share_full")
    assert found(full + A_LITTLE)["confidence"] == level("likely")
    assert found(full + A_LITTLE)["remedy"]["vars"]["dirty_throttle_bytes"] == 200 * MIB
    assert found(full - A_LITTLE) is None
    assert found(full + A_LITTLE, io=limit("pressure_io") - 1) is None
    assert found(full + A_LITTLE, rate=200.0 * MIB) is None


def test_dirty_pages_without_writeback_say_that_flushing_stopped():
    facts = dirty(5.5, available=6.2)
    facts["meminfo"].update(dirty=size(5.5), writeback=0)
    facts["system"]["lru_gen"] = True
    advice = causes(facts)["dirty_pages"]["advice"]
    assert "flushing itself does not work" in advice and "6.7" in advice


def test_dirty_bytes_stay_within_their_bounds():
    slow = causes(dirty(5.5, available=6.2, rate=1.0 * MIB))["dirty_pages"]["remedy"]["vars"]
    assert slow["dirty_throttle_bytes"] == limit("dirty_bytes_floor")
    fast = causes(dirty(5.5, available=6.2, rate=2000.0 * MIB))["dirty_pages"]["remedy"]["vars"]
    assert fast["dirty_throttle_bytes"] == size(2.6)
    unknown = causes(dirty(5.5, available=6.2, rate=None))["dirty_pages"]
    assert unknown["remedy"] == {"role": "dirty_throttle", "vars": {}, "why": [], "counterfactual": None}
    assert "Sample" in unknown["advice"]


def throttled(in_force, by="bytes", version="v2", **options):
    """Return the finding for 5.5 GiB dirty with a limit in force."""
    limits = {"dirty_threshold": in_force, "dirty_background_threshold": in_force // 2, "limit_by": by}
    groups = {"version": version, "groups": []}
    facts = {**dirty(5.5, available=6.2, **options), "cgroups": groups, "writeback": limits}
    return causes(facts)["dirty_pages"]


def test_no_limit_is_proposed_that_is_not_below_the_one_in_force():
    """A remedy that changes nothing is none, and one that raises the limit is worse."""
    for low in (200 * MIB, 32 * MIB):
        assert throttled(low)["remedy"]["vars"] == {}
        assert "is as low as one that would be proposed" in throttled(low)["advice"]
    lower = throttled(201 * MIB)
    assert lower["remedy"]["vars"]["dirty_throttle_bytes"] == 200 * MIB
    assert "is as low" not in lower["advice"]


def test_a_ratio_that_allows_little_while_memory_is_full_is_no_low_limit():
    """Before, it allowed what is dirty now."""
    assert throttled(200 * MIB, by="ratio")["remedy"]["vars"]["dirty_throttle_bytes"] == 200 * MIB
    assert "as a ratio it is lower" in throttled(200 * MIB, by="ratio")["advice"]
    held = throttled(size(5.5), by="ratio", rate=2000.0 * MIB)
    assert held["remedy"]["vars"] == {}
    assert "is as low as one" in held["advice"]


def test_more_dirty_than_the_limit_in_force_allows_is_told():
    """As on a machine of the lab: 7.3 does not hold a service that was started again over its old file."""
    assert "although" not in throttled(size(5.5) / (1 + limit("dirty_overshoot")))["advice"]
    advice = throttled(size(4.8))["advice"]
    assert "5.5 GiB wait although the limit in force is 4.8 GiB" in advice
    assert "ExecStartPre=rm -f FILE" in advice
    assert "ExecStartPre" not in throttled(size(4.8), version="v1")["advice"]


def dirty_unit(amount, current=1.0, oom=0):
    unit = group(
        "/backup.service", current=current, max=1.0, anon=0.1, dirty=amount, writeback=0.0, oom=oom, oom_kill=0
    )
    return host(cgroups={"version": "v1", "groups": [unit]})


def test_a_unit_whose_limit_is_full_of_dirty_pages():
    found = causes(dirty_unit(0.9))
    assert next(iter(found)) == "dirty_pages"
    assert "backup.service" in found["dirty_pages"]["summary"]
    assert "v1" in found["dirty_pages"]["advice"]


def test_a_unit_with_dirty_pages_is_fine_below_its_limit():
    assert "dirty_pages" in causes(dirty_unit(limit("cgroup_dirty") + 0.01))
    assert verdict(dirty_unit(limit("cgroup_dirty") - 0.01)) == "none"
    assert "dirty_pages" in causes(dirty_unit(0.8, current=limit("cgroup_near") + 0.01))
    assert verdict(dirty_unit(0.8, current=limit("cgroup_near") - 0.01)) == "none"


def test_a_unit_that_was_killed_over_its_dirty_pages():
    unit = group("/backup.service", current=0.5, max=1.0, anon=0.1, dirty=0.45, oom_kill=4)
    finding = causes(host(cgroups={"version": "v1", "groups": [unit]}))["dirty_pages"]
    assert evidence(finding, "times it ran out of memory at its limit") == 4
    assert "20 MiB/s measured on sda x 10 s = 200 MiB" in finding["remedy"]["why"][0]


# storage_fault


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ({"arrays": [{"name": "md0", "level": "raid1", "degraded": 1}]}, "md0"),
        ({"not_running": [{"device": "sdc", "state": "offline"}]}, "sdc is offline"),
        ({"read_only": [{"mount": "/var", "source": "/dev/sdb1", "type": "ext4", "why": "remounted"}]}, "/var"),
        ({"disks": {"sdd": {"errors": {"ioerr": 100, "iodone": 10000}}}}, "sdd"),
        ({"disks": {"sde": {"utilisation": 1, "in_flight": 3, "read_iops": 0, "write_iops": 0}}}, "sde"),
        ({"file_system_errors": [{"device": "sda1", "type": "ext4", "errors": 3, "last": 1}]}, "sda1 has recorded 3"),
    ],
)
def test_storage_faults_are_told_on_any_host(storage, words):
    found = causes(host(storage=storage))
    assert list(found) == ["storage_fault"]
    assert words in found["storage_fault"]["summary"]
    assert found["storage_fault"]["remedy"] is None and found["storage_fault"]["article"] == "1a"
    assert found["storage_fault"]["confidence"] <= level("even")


@pytest.mark.parametrize(
    "storage",
    [
        {"arrays": [{"name": "md0", "level": "raid1", "degraded": 0}]},
        {"disks": {"sdd": {"errors": {"ioerr": limit("disk_errors") - 1, "iodone": 200}}}},
        {"disks": {"sdd": {"errors": {"ioerr": 99, "iodone": 10000}}}},
        {"disks": {"sdd": {"errors": {"ioerr": 1000, "iodone": 1000 / limit("disk_error_share") + 1}}}},
        {"disks": {"sde": {"utilisation": 0.98, "in_flight": 3, "read_iops": 0, "write_iops": 0}}},
        {"disks": {"sde": {"utilisation": 1, "in_flight": 3, "read_iops": 0, "write_iops": 0.1}}},
        {"disks": {"sde": {"utilisation": 1, "in_flight": 0, "read_iops": 0, "write_iops": 0}}},
    ],
)
def test_storage_that_works_is_not_named(storage):
    assert verdict(host(storage=storage)) == "none"


def test_many_faults_are_one_finding():
    faults = {"arrays": [{"name": "md0", "degraded": 1}], "not_running": [{"device": "sdc", "state": "offline"}]}
    finding = causes(host(storage=faults))["storage_fault"]
    assert finding["summary"] == "Storage needs a look: the device sdc is offline, and 1 more."
    assert len(finding["evidence"]) == 2
    assert "more" not in causes(host(storage={"arrays": faults["arrays"]}))["storage_fault"]["summary"]


def test_a_short_sample_proves_no_hanging_disk():
    stuck = {"disks": {"sde": {"utilisation": 1, "in_flight": 3, "read_iops": 0, "write_iops": 0}}}
    assert verdict(host(storage=stuck, system={"sample_seconds": limit("disk_stuck_window") - 1})) == "none"


def test_a_storage_fault_under_a_pile_of_dirty_pages_is_sure():
    facts = dirty(5.5, available=6.2)
    facts["storage"]["arrays"] = [{"name": "md0", "degraded": 1}]
    found = causes(facts)
    assert list(found)[:2] == ["dirty_pages", "storage_fault"]
    assert found["storage_fault"]["confidence"] == level("strong")


def test_a_storage_fault_is_surer_where_a_short_host_waits_for_it():
    def faulty(io, stalled, storage):
        memory = meminfo(anon=13, file=1.0, available=0.7 if stalled else 2.0)
        return host(meminfo=memory, pressure={"memory": pressure(stalled), "io": pressure(io)}, storage=storage)

    array = {"arrays": [{"name": "md0", "degraded": 1}]}
    waiting = limit("pressure_io")
    assert causes(faulty(waiting, 30, array))["storage_fault"]["confidence"] == level("strong")
    assert causes(faulty(waiting - 1, 30, array))["storage_fault"]["confidence"] == level("even")
    assert causes(faulty(waiting, 0, array))["storage_fault"]["confidence"] == level("even")
    stuck = {"disks": {"sde": {"utilisation": 1, "in_flight": 3, "read_iops": 0, "write_iops": 0}}}
    assert causes(faulty(waiting, 0, stuck))["storage_fault"]["confidence"] == level("even")
    assert causes(faulty(waiting - 1, 0, stuck))["storage_fault"]["confidence"] == level("possible")


def test_dirty_pages_are_judged_by_what_is_known():
    facts = dirty(5.5, available=6.2)
    del facts["meminfo"]["cached"]
    assert verdict(facts) == "dirty_pages"
    facts["writeback"], facts["vmstat"] = None, None
    assert verdict(facts) == "none"
    facts = dirty(5.5, available=6.2)
    facts["writeback"], facts["vmstat"] = None, None
    assert verdict(facts) == "dirty_pages"
    facts["meminfo"].update(file=size(5.5), writeback=size(1))
    assert "flushing" not in causes(facts)["dirty_pages"]["advice"]
    del facts["meminfo"]["writeback"], facts["meminfo"]["dirty"]
    assert verdict(facts) == "none"


# anonymous_growth


def growing(until, used=1.0, available=2.0, stalled=20.0):
    memory = meminfo(anon=12, file=1.8, swap_total=2, swap_free=2 - used, available=available)
    return host(
        meminfo=memory,
        swap={"growth": (2 - used) * GIB / max(until, 1.0), "seconds_until_full": until},
        processes={"top": [process("java", 5, 42, "shop.service", swap=0.5)], "by_comm": []},
        pressure={"memory": pressure(stalled), "io": pressure(5.0)},
    )


def test_swap_that_fills_while_one_looks():
    found = causes(growing(600.0))
    finding = found["anonymous_growth"]
    assert next(iter(found)) == "anonymous_growth"
    assert "10 min" in finding["summary"] and "java" in finding["summary"] and "shop.service" in finding["summary"]
    assert finding["remedy"]["role"] == "swap_tuning"
    assert finding["remedy"]["vars"] == {
        "swap_tuning_swappiness": 100,
        "swap_tuning_files": [{"path": "/swapfile-linux_memory_oom", "size": "16384M"}],
        "swap_tuning_restarts": [{"unit": "shop.service", "calendar": "*-*-* 03:00:00"}],
    }


def test_swap_that_is_full_is_full_now():
    assert " and is full now; " in causes(growing(0.0))["anonymous_growth"]["summary"]


def test_the_proposed_swap_lasts_a_day():
    horizon = limit("swap_growth_horizon")
    settings = causes(growing(horizon))["anonymous_growth"]["remedy"]["vars"]
    assert int(settings["swap_tuning_files"][0]["size"][:-1]) == pytest.approx(1024 * 24 / 6, rel=0.01)


def test_growth_below_its_thresholds_is_not_named():
    horizon = limit("swap_growth_horizon")
    assert "anonymous_growth" not in causes(growing(horizon + 60))
    assert "anonymous_growth" not in causes(growing(600.0, used=2 * limit("swap_growth_used") - A_LITTLE))
    assert "anonymous_growth" not in causes(growing(600.0, available=TOTAL * limit("available_roomy") + A_LITTLE))
    assert "anonymous_growth" in causes(growing(600.0, available=TOTAL * limit("available_roomy") - A_LITTLE))


def test_growth_of_an_unknown_program_restarts_nothing():
    for programs in (None, {"top": [process("java", 5)], "by_comm": []}):
        facts = growing(600.0)
        facts["processes"] = programs
        assert "swap_tuning_restarts" not in causes(facts)["anonymous_growth"]["remedy"]["vars"]


def test_growth_needs_a_sample():
    facts = growing(600.0)
    facts["swap"].update(growth=None, seconds_until_full=None)
    assert "anonymous_growth" not in causes(facts)


# runaway_process, too_many_workers


def hog(gib, swap=0.0, unit="batch.service", **changes):
    memory = meminfo(anon=13, file=1.0, available=0.7, swap_total=2, swap_free=2 - swap)
    top = [process("hog", gib, 4242, unit, swap=swap), process("sshd", 0.01, 7)]
    return short(meminfo=memory, processes={"top": top, "by_comm": []}, **changes)


def test_one_process_that_holds_most():
    found = causes(hog(12.0))
    finding = found["runaway_process"]
    assert next(iter(found)) == "runaway_process"
    assert "hog (PID 4242) in batch.service holds 12 GiB" in finding["summary"]
    limits = finding["remedy"]["vars"]["cgroup_memory_limit_units"]["batch.service"]
    # All others hold 16 - 0.7 - 12 GiB; a tenth of 16 GiB stays free.
    assert limits["MemoryMax"] == pytest.approx((16 * 0.9 - (16 - 0.7 - 12)) * GIB, rel=0.001)
    assert limits["MemoryHigh"] == pytest.approx(limits["MemoryMax"] * 0.9, abs=MIB)


def test_a_process_holds_most_from_a_half_on():
    half = TOTAL * limit("owner_share")
    assert "runaway_process" in causes(hog(half + A_LITTLE))
    assert "runaway_process" not in causes(hog(half - A_LITTLE))
    # Used swap counts, as part of the process and of the whole.
    assert "runaway_process" in causes(hog(half - 0.5 + A_LITTLE, swap=1.0))
    assert "runaway_process" not in causes(hog(half - 0.5 - A_LITTLE, swap=1.0))


def test_without_a_unit_there_is_advice_and_no_role():
    finding = causes(hog(12.0, unit=None))["runaway_process"]
    assert finding["remedy"] is None and "unit is not known" in finding["advice"]


def test_one_unit_of_many_programs_that_holds_most():
    memory = meminfo(anon=13, file=1.0, available=0.7)
    unit = group("/system.slice/build.service", current=12.5, anon=12.0, file=0.5, oom=0, oom_kill=0)
    top = [process(f"cc{index}", 1.5, 100 + index, "build.service") for index in range(8)]
    facts = short(
        meminfo=memory,
        processes={"top": top, "by_comm": []},
        cgroups={"groups": [unit, group("/system.slice", anon=12.4)]},
    )
    found = causes(facts)
    assert next(iter(found)) == "runaway_process"
    assert found["runaway_process"]["summary"].startswith("build.service holds 12 GiB")


def workers(count, each, **changes):
    memory = meminfo(anon=13, file=1.0, available=0.7)
    top = [process("php-fpm", each, 100 + index, "php-fpm.service") for index in range(min(count, 10))]
    pool = {"comm": "php-fpm", "processes": count, "rss": size(each * count), "swap": 0}
    return short(meminfo=memory, processes={"top": top, "by_comm": [pool]}, **changes)


def test_many_workers_together_hold_most():
    found = causes(workers(60, 0.2))
    finding = found["too_many_workers"]
    assert next(iter(found)) == "too_many_workers"
    assert "60 processes named php-fpm in php-fpm.service" in finding["summary"]
    # 11.1 of 12 GiB may stay: 55 of 60.
    assert "55 of these 60" in finding["advice"]
    assert finding["remedy"]["vars"]["cgroup_memory_limit_units"]["php-fpm.service"]["MemoryMax"] < 12 * GIB


def test_workers_are_many_from_five_and_hold_most_from_a_half():
    many = int(limit("many_workers"))
    assert "too_many_workers" in causes(workers(many, 2.0))
    assert "too_many_workers" not in causes(workers(many - 1, 2.5))
    half = TOTAL * limit("owner_share")
    assert "too_many_workers" in causes(workers(10, half / 10 + A_LITTLE))
    assert "too_many_workers" not in causes(workers(10, half / 10 - A_LITTLE))


def test_one_process_that_holds_most_is_no_pool():
    facts = hog(12.0)
    facts["processes"]["by_comm"] = [{"comm": "hog", "processes": 6, "rss": size(12.5), "swap": 0}]
    assert "too_many_workers" not in causes(facts)
    facts["processes"]["top"] = []
    assert next(iter(causes(facts))) == "too_many_workers"


def test_shared_pages_are_not_counted_once_for_each_worker():
    memory = meminfo(anon=5.0, file=1.0, slab_unreclaimable=8.0, available=0.7)
    facts = workers(60, 0.2)
    facts["meminfo"] = memory
    assert "too_many_workers" not in causes(facts)


# undersized_memory, swap_exhausted


def swapping(rate, some=30.0, available=1.0, **changes):
    memory = meminfo(anon=13, file=1.0, available=available, swap_total=4, swap_free=2)
    facts = host(meminfo=memory, processes=NO_PROGRAMS, pressure={"memory": pressure(some)}, **changes)
    facts["vmstat"]["rates"]["pswpin"] = rate
    return facts


def test_swap_in_that_goes_on():
    found = causes(swapping(1800.0))
    finding = found["undersized_memory"]
    assert next(iter(found)) == "undersized_memory"
    assert "1800 pages/s" in finding["summary"]
    assert finding["remedy"]["role"] == "memory_sizing" and finding["article"] == "4"


def test_swap_in_below_its_thresholds_is_fine():
    assert causes(swapping(limit("swap_in")))["undersized_memory"]["confidence"] >= level("likely")
    assert "keeps reading" not in causes(swapping(limit("swap_in") - 1))["undersized_memory"]["summary"]
    quiet = swapping(1800.0, some=limit("pressure_some") - 1, available=2.0)
    assert verdict(quiet) == "none"
    assert verdict(swapping(1800.0, some=limit("pressure_some"), available=2.0)) == "undersized_memory"
    assert verdict(swapping(1800.0, available=TOTAL * limit("available_roomy") + A_LITTLE)) == "none"


def rereading(faults, full=20.0):
    memory = meminfo(anon=3.0, file=1.0, slab_unreclaimable=3.0, lost=2.0, available=1.0, swap_total=0, swap_free=0)
    facts = host(meminfo=memory, processes=NO_PROGRAMS, pressure={"memory": pressure(max(full, 30.0), full)})
    facts["vmstat"]["rates"]["pgmajfault"] = faults
    return facts


def test_code_that_is_read_again_and_again():
    assert "their own code" in causes(rereading(limit("major_faults")))["undersized_memory"]["summary"]
    assert "undersized_memory" not in causes(rereading(limit("major_faults") - 1))
    assert "undersized_memory" not in causes(rereading(900.0, full=limit("pressure_full") - 1))


def test_memory_spread_over_ordinary_programs():
    spread = short(meminfo=meminfo(anon=13, file=1.0, available=0.7), processes=NO_PROGRAMS)
    assert verdict(spread) == "undersized_memory"
    # Anonymous and shared memory and used swap: just below a half of what programs can have.
    other = meminfo(anon=7.88, shmem=0.1, file=1.0, slab_unreclaimable=3, page_tables=1, lost=2, available=0.7)
    assert "undersized_memory" not in causes(short(meminfo=other, processes=NO_PROGRAMS))


def test_spread_without_knowing_the_programs_is_a_guess():
    facts = short(meminfo=meminfo(anon=13, file=1.0, available=0.7), processes=None, cgroups=None)
    found = causes(facts)
    assert found["undersized_memory"]["confidence"] <= level("possible")


def test_what_programs_hold_counts_shared_memory_and_swap():
    rest = {"file": 1.0, "slab_unreclaimable": 3, "page_tables": 1, "lost": 1.8, "available": 0.7}
    shared = meminfo(anon=6.0, shmem=2.05, **rest)
    assert "undersized_memory" in causes(short(meminfo=shared, processes=NO_PROGRAMS))
    # 16 GiB of memory and 4 of used swap: half is 10.
    for anon, expected in ((5.95, True), (5.85, False)):
        swapped = meminfo(anon=anon, shmem=0.1, swap_total=4.5, swap_free=0.5, **rest)
        assert ("undersized_memory" in causes(short(meminfo=swapped, processes=NO_PROGRAMS))) is expected


def test_units_alone_show_that_memory_is_spread():
    facts = short(meminfo=meminfo(anon=13, file=1.0, available=0.7), processes=None)
    assert causes(facts)["undersized_memory"]["confidence"] > level("possible")


def test_without_a_sample_there_are_no_rates_to_go_by():
    facts = short(meminfo=meminfo(anon=13, file=1.0, available=0.7), processes=NO_PROGRAMS)
    facts["vmstat"]["rates"] = None
    assert "no single program" in causes(facts)["undersized_memory"]["summary"]


def full_swap(used, available=1.0, some=None):
    memory = meminfo(
        anon=6.0,
        file=1.0,
        slab_unreclaimable=3.0,
        lost=2.0,
        swap_total=2,
        swap_free=2 * (1 - used),
        available=available,
    )
    facts = host(meminfo=memory, processes=NO_PROGRAMS)
    facts["pressure"] = None if some is None else {"memory": pressure(some)}
    return facts


def test_full_swap_with_memory_short():
    found = causes(full_swap(1.0))
    assert next(iter(found)) == "swap_exhausted"
    remedy = found["swap_exhausted"]["remedy"]
    assert remedy["role"] == "swap_tuning"
    assert remedy["vars"] == {"swap_tuning_files": [{"path": "/swapfile-linux_memory_oom", "size": "2048M"}]}
    assert "as much again as the 2 GiB that is full, at most the 16 GiB of RAM" in remedy["why"][0]
    assert "swap_exhausted" in causes(full_swap(limit("swap_full") + 0.01))
    assert "swap_exhausted" not in causes(full_swap(limit("swap_full") - 0.01))


def test_full_swap_with_memory_available_is_where_idle_pages_live():
    assert verdict(full_swap(1.0, available=TOTAL * limit("available_low") + A_LITTLE)) == "none"
    assert verdict(full_swap(1.0, available=TOTAL * limit("available_low") - A_LITTLE)) == "swap_exhausted"


# cgroup_limit


def limited(**given):
    given = {"current": 0.99, "max": 1.0, "anon": 0.9, "file": 0.05, "oom": 0, "oom_kill": 0, "some": 0.0, **given}
    return host(cgroups={"version": "v2", "groups": [group("/system.slice", current=4, anon=3), group(**given)]})


def test_a_unit_that_was_killed_at_its_limit():
    found = causes(limited(oom=3, oom_kill=3, peak=1.0))
    finding = found["cgroup_limit"]
    assert list(found) == ["cgroup_limit"]
    assert finding["summary"].startswith("shop.service ran out of its own memory limit of 1 GiB, while this host has")
    assert finding["confidence"] == level("strong")
    assert finding["remedy"]["vars"] == {
        "cgroup_memory_limit_units": {
            "shop.service": {"MemoryMax": int(1.25 * GIB), "MemoryHigh": int(1.25 * 1024 * 0.9) * MIB}
        }
    }


def test_how_often_the_limit_was_met_is_not_how_often_that_failed():
    finding = causes(limited(oom=0, some=limit("pressure_some"), events_max=1264))["cgroup_limit"]
    assert evidence(finding, "times it met the limit") == 1264
    assert evidence(finding, "times it ran out of memory at its limit") == 0


def test_a_limit_met_long_ago_is_less_sure():
    assert causes(limited(oom=1, oom_kill=1, current=0.2))["cgroup_limit"]["confidence"] == level("likely")


def test_kills_by_the_host_are_no_limit_of_the_unit():
    assert verdict(limited(oom=0, oom_kill=4, current=0.5)) == "none"


def test_page_cache_at_the_limit_is_normal():
    assert verdict(limited(anon=0.3, file=0.69, events_max=900)) == "none"


def test_waiting_at_the_limit_is_not():
    some = limit("pressure_some")
    assert verdict(limited(some=some)) == "cgroup_limit"
    assert verdict(limited(some=some - 0.1)) == "none"
    assert verdict(limited(some=some, current=limit("cgroup_near") - 0.01)) == "none"


def test_without_pressure_the_kind_of_memory_decides():
    held = limit("cgroup_held")
    for anon, expected in ((held + 0.01, "cgroup_limit"), (held - 0.01, "none")):
        facts = limited(anon=anon)
        facts["cgroups"]["groups"][1]["pressure"] = None
        assert verdict(facts) == expected


def test_memory_high_that_stops_a_unit_for_ever():
    full = limit("cgroup_full")
    slow = {"max": None, "high": 0.9, "events_high": 556267}
    found = causes(limited(some=80.0, full=full, **slow))
    assert "throttled almost to a stop" in found["cgroup_limit"]["summary"]
    assert verdict(limited(some=80.0, full=full - 1, **slow)) == "none"
    assert verdict(limited(some=80.0, full=full, current=0.89, max=None, high=0.9)) == "none"


def test_the_deepest_cgroup_is_named_once():
    inner = group("/system.slice/shop.service", current=1, max=1, anon=0.9, oom=2, oom_kill=2)
    outer = group("/system.slice", current=2, max=8, anon=1.5, oom=2, oom_kill=2)
    found = causes(host(cgroups={"version": "v2", "groups": [outer, inner]}))
    assert "shop.service ran out" in found["cgroup_limit"]["summary"]
    assert "more" not in found["cgroup_limit"]["summary"]


def test_the_unit_that_ran_out_at_its_limit_most_often_comes_first():
    units = [group(f"/{name}.service", current=1, max=1, anon=0.9, oom=times) for name, times in (("a", 2), ("b", 9))]
    finding = causes(host(cgroups={"version": "v2", "groups": units}))["cgroup_limit"]
    assert finding["summary"].startswith("b.service (and 1 more) ran out")
    assert [piece["value"] for piece in finding["evidence"] if piece["what"].startswith("times it ran")] == [9, 2]


def test_a_limit_on_a_host_that_is_short_claims_no_room():
    unit = group(current=1, max=1, anon=0.9, oom=2, oom_kill=2)
    facts = short(meminfo=meminfo(anon=13, file=1.0, available=0.7), cgroups={"version": "v2", "groups": [unit]})
    assert causes(facts)["cgroup_limit"]["summary"].endswith("of 1 GiB.")
    unknown = host(cgroups={"version": "v2", "groups": [unit]})
    del unknown["meminfo"]
    assert causes(unknown)["cgroup_limit"]["summary"].endswith("of 1 GiB.")


def test_a_raised_limit_counts_what_the_unit_uses_and_has_swapped():
    unit = group(current=1.0, swap_current=0.6, max=1.0, anon=0.9, oom=1, oom_kill=1)
    settings = causes(host(cgroups={"version": "v2", "groups": [unit]}))["cgroup_limit"]["remedy"]["vars"]
    assert settings["cgroup_memory_limit_units"]["shop.service"]["MemoryMax"] == pytest.approx(
        1.6 * 1.25 * GIB, rel=0.001
    )
    # 8 x 1.25 GiB fit into 3.7 available less the reserve of 1.6, and the 8 that the unit has.
    unit = group(current=8.0, max=8.0, anon=7.5, oom=1, oom_kill=1)
    roomy = host(meminfo=meminfo(anon=9, file=3, available=3.7), cgroups={"version": "v2", "groups": [unit]})
    assert causes(roomy)["cgroup_limit"]["remedy"]["vars"]
    roomy["meminfo"]["mem_available"] = size(3.5)
    assert not causes(roomy)["cgroup_limit"]["remedy"]["vars"]


def test_v1_counts_kills_only():
    unit = group(current=0.5, peak=1.0, max=1, anon=0.4, oom_kill=2)
    assert verdict(host(cgroups={"version": "v1", "groups": [unit]})) == "cgroup_limit"
    unit = group(current=0.5, peak=0.9, max=1, anon=0.4, oom_kill=2)
    assert verdict(host(cgroups={"version": "v1", "groups": [unit]})) == "none"


def test_a_limit_is_raised_only_where_the_host_has_room():
    unit = group(current=11, peak=11, max=11, anon=10, oom=1, oom_kill=1)
    facts = host(meminfo=meminfo(anon=12, file=1.0, available=2.0), cgroups={"version": "v2", "groups": [unit]})
    finding = causes(facts)["cgroup_limit"]
    assert finding["remedy"]["vars"] == {} and "no room" in finding["advice"]


def test_a_container_at_its_own_limit_speaks_of_itself():
    unit = group("/", current=0.99, max=1, anon=0.9, oom=2, oom_kill=2)
    finding = causes(host(cgroups={"version": "v2", "groups": [unit]}, system={"container": "podman"}))["cgroup_limit"]
    assert finding["summary"].startswith("this container ran out")
    assert "the machine that runs this container has" in finding["summary"]
    assert finding["remedy"] is None


# Kinds of memory


def owner_cases():
    rest = {"anon": 2.0, "file": 0.5, "available": 0.7}
    half_gib_of_pages = GIB // HUGE_PAGE
    return [
        ("shared_memory", "shmem_share", lambda gib: meminfo(shmem=gib, **rest)),
        ("kernel_memory", "kernel_share", lambda gib: meminfo(slab_unreclaimable=gib - 0.06, **rest)),
        ("page_tables", "page_tables_share", lambda gib: meminfo(page_tables=gib, **rest)),
        ("mlocked_memory", "mlocked_share", lambda gib: meminfo(mlocked=gib, **{**rest, "anon": 6.0})),
        ("unaccounted_memory", "unaccounted_share", lambda gib: meminfo(lost=gib, **rest)),
        (
            "hugepages_reserved",
            "hugepages_unused",
            lambda gib: meminfo(
                huge_total=round(gib * half_gib_of_pages) + 100,
                huge_free=round(gib * half_gib_of_pages) + 50,
                huge_rsvd=50,
                **rest,
            ),
        ),
        (
            "hugepages_reserved",
            "hugepages_pool",
            lambda gib: meminfo(huge_total=round(gib * half_gib_of_pages), **{**rest, "available": 0.5}),
        ),
    ]


@pytest.mark.parametrize(("cause", "threshold", "memory"), owner_cases())
def test_an_owner_matters_from_its_threshold_on_and_only_when_memory_is_short(cause, threshold, memory):
    amount = TOTAL * limit(threshold)
    above, below = memory(amount + A_LITTLE), memory(amount - A_LITTLE)
    assert cause in causes(short(meminfo=above, processes=NO_PROGRAMS))
    assert cause not in causes(short(meminfo=below, processes=NO_PROGRAMS))
    roomy = {**above, "mem_available": size(5.0)}
    assert list(causes(host(meminfo=roomy, processes=NO_PROGRAMS))) == ["none"]
    assert cause not in causes(short(meminfo=roomy, processes=NO_PROGRAMS))


@pytest.mark.parametrize(
    ("cause", "memory", "words"),
    [
        ("shared_memory", {"shmem": 11.0}, "11 GiB (69 %) is shared memory"),
        ("kernel_memory", {"slab_unreclaimable": 11.0}, "held by the kernel itself"),
        ("page_tables", {"page_tables": 11.0}, "page tables"),
        ("mlocked_memory", {"anon": 12.0, "mlocked": 11.5}, "locked by programs"),
        ("unaccounted_memory", {"lost": 11.0}, "belongs to no counter"),
        ("hugepages_reserved", {"huge_total": 5600, "huge_free": 5600}, "reserved and used by nobody"),
    ],
)
def test_an_owner_of_most_memory_is_the_verdict(cause, memory, words):
    memory = meminfo(**{"anon": 2.0, "file": 0.5, "available": 0.7, **memory})
    found = causes(short(meminfo=memory, processes=NO_PROGRAMS))
    assert next(iter(found)) == cause
    assert words in found[cause]["summary"]
    assert found[cause]["remedy"] is None and found[cause]["advice"]
    assert found[cause]["confidence"] >= level("likely")


def test_unused_huge_pages_come_with_the_number_to_keep():
    memory = meminfo(anon=2.0, file=0.5, available=0.7, huge_total=5600, huge_free=5000, huge_rsvd=100)
    advice = causes(short(meminfo=memory, processes=NO_PROGRAMS))["hugepages_reserved"]["advice"]
    assert "from 5600 to 700" in advice


def test_shared_memory_names_the_tmpfs():
    mounts = [
        {"mount": "/", "type": "ext4"},
        {"mount": "/tmp", "type": "tmpfs", "used": size(10), "size": size(12)},
        {"mount": "/run", "type": "tmpfs", "used": size(0.1), "size": size(1)},
    ]
    memory = meminfo(shmem=11, anon=2, file=0.5, available=0.7)
    finding = causes(short(meminfo=memory, storage={"mounts": mounts}))["shared_memory"]
    assert evidence(finding, "used in the tmpfs on /tmp") == size(10)


def test_the_balloon_is_shown_in_what_no_counter_owns():
    memory = {**meminfo(lost=11, anon=2, file=0.5, available=0.7), "balloon": size(10.5)}
    assert evidence(causes(short(meminfo=memory))["unaccounted_memory"], "held by the hypervisor's balloon") == size(
        10.5
    )


def test_compressed_swap_in_ram_has_an_owner():
    memory = meminfo(lost=11, anon=2, file=0.5, available=0.7)
    pages = {"nr_zspages": size(10.9) // 4096}
    zram = short(meminfo=memory, vmstat={"pages": pages}, system={"page_size": 4096})
    assert "unaccounted_memory" in causes(short(meminfo=memory))
    assert "unaccounted_memory" not in causes(zram)


# overcommit_limit


def strict(used, mode=2, **changes):
    return host(overcommit={"mode": mode, "commit_limit": size(10), "committed": size(10 * used), **changes})


def test_strict_accounting_at_its_limit():
    found = causes(strict(0.99))
    finding = found["overcommit_limit"]
    assert list(found) == ["overcommit_limit"]
    assert "9.9 GiB of at most 10 GiB" in finding["summary"]
    # (9.9 x 1.25 - 2 of swap) of 16 GiB
    assert finding["remedy"]["vars"] == {"overcommit_limit_ratio": 65}


def test_strict_accounting_below_its_limit_or_in_another_mode_is_fine():
    assert verdict(strict(limit("overcommit_used") + 0.001)) == "overcommit_limit"
    assert verdict(strict(limit("overcommit_used") - 0.001)) == "none"
    assert verdict(strict(3.0, mode=0)) == "none"
    assert verdict(strict(3.0, mode=1)) == "none"


def test_strict_accounting_by_size_or_beyond_all_memory():
    by_size = causes(strict(0.99, kbytes=size(8)))["overcommit_limit"]["remedy"]["vars"]
    assert by_size == {"overcommit_limit_kbytes": pytest.approx((9.9 * 1.25 - 2) * MIB, rel=0.001)}
    beyond = host(overcommit={"mode": 2, "commit_limit": size(15), "committed": size(15)})
    assert causes(beyond)["overcommit_limit"]["remedy"]["vars"] == {"overcommit_limit_mode": 0}


# unexplained


def test_a_shortage_that_nothing_explains_is_said_openly():
    memory = meminfo(anon=3.0, file=1.0, slab_unreclaimable=3.0, lost=2.0, available=0.7, swap_total=0, swap_free=0)
    found = causes(short(meminfo=memory, processes=NO_PROGRAMS))
    assert list(found) == ["unexplained"]
    assert "support no cause" in found["unexplained"]["summary"]


def test_unexplained_names_what_is_missing_and_why():
    facts = host(pressure=None, unavailable={"pressure": "switched off in this kernel (boot with psi=1)"})
    del facts["meminfo"]
    found = causes(facts)
    assert next(iter(found)) == "unexplained"
    pieces = {piece["source"]: piece["value"] for piece in found["unexplained"]["evidence"]}
    assert pieces["pressure"] == "switched off in this kernel (boot with psi=1)"
    assert pieces["meminfo"] == "meminfo was not gathered"
