# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that look alarming and are not: a false alarm is the worst that a diagnosis can do."""

from __future__ import annotations

import pytest
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from diagnose_hosts import GIB, HUGE_PAGE, MIB, TOTAL, causes, group, host, meminfo, pressure, process, size, verdict

A_LITTLE = 0.02  # GiB
BUSY = {"memory": pressure(2.0), "io": pressure(5.0)}


def pages(gib):
    """Return GiB as a number of huge pages."""
    return round(gib * GIB / HUGE_PAGE)


def terabyte():
    """Return a host of 1 TiB, 96 % of it in use and 40 GiB available."""
    return host(
        meminfo=meminfo(total=1024, anon=950, file=30, shmem=1, available=40),
        pressure=BUSY,
        processes={"top": [process("mysqld", 940, 5, "mysqld.service")], "by_comm": []},
    )


def zfs():
    """Return a host with a large ZFS cache, which no counter owns and MemAvailable does not know."""
    return host(
        meminfo=meminfo(anon=2, file=0.5, lost=11, available=0.9),
        pressure=BUSY,
        storage={"mounts": [{"mount": "/tank", "type": "zfs"}]},
    )


def flooded(kind, waited, service, per_second):
    """Return a host that writes a large file as fast as a healthy disk takes it: a long queue, short requests."""
    past = {"reads": 90000, "writes": 400000, "read_time": 500, "write_time": 3000, "busy_time": 1500}
    disk = {"class": kind, "rotational": kind == "rotational", "utilisation": 1, "in_flight": 64, "history": past}
    disk.update(write_await=waited, write_iops=per_second, read_await=waited / 9, read_iops=4, service_time=service)
    return host(
        storage={
            "disks": {"sda": disk},
            "multipath": [],
            "smart": {"sda": {"passed": True, "failing": [], "pending": 0}},
        },
        system={"uptime": 90000.0},
        pressure={"memory": pressure(0.2), "io": pressure(70)},
    )


QUIET = {
    "a backup on a rotating disk": flooded("rotational", 0.5, 0.008, 125),
    "a backup on an SSD": flooded("ssd", 0.25, 0.002, 500),
    "a backup on NVMe": flooded("nvme", 0.06, 0.0002, 5000),
    "a backup on a volume in a cloud that is held to 100 requests a second": flooded("virtual", 1.2, 0.01, 100),
    "fresh": host(),
    "nine tenths page cache": host(meminfo=meminfo(anon=0.6, file=14.2, shmem=0.05)),
    "full swap, nothing read back": host(meminfo=meminfo(anon=8, file=4, swap_free=0)),
    "swap read back after a shortage": host(
        meminfo=meminfo(anon=8, file=4, swap_free=1), vmstat={"rates": {"pswpin": 900.0}, "counters": {}}
    ),
    "no swap": host(meminfo=meminfo(swap_total=0, swap_free=0)),
    "huge pages of a database, all in use": host(
        meminfo=meminfo(anon=1.5, file=2.0, huge_total=pages(11), huge_free=0, available=1.6)
    ),
    "huge pages reserved and still free, memory left": host(
        meminfo=meminfo(anon=1.5, file=2.0, huge_total=pages(8), huge_free=pages(8))
    ),
    "a tmpfs that fits": host(meminfo=meminfo(shmem=6, file=3, anon=2)),
    "a large shared buffer": host(meminfo=meminfo(shmem=7, file=3, anon=2), pressure=BUSY),
    "a dentry cache": host(meminfo=meminfo(slab_reclaimable=7, file=2, anon=2)),
    "memory locked by a virtual machine": host(meminfo=meminfo(anon=9, mlocked=8.5, file=3)),
    "one database that owns the host": host(
        meminfo=meminfo(anon=11, file=3), processes={"top": [process("mysqld", 10.5, 5)], "by_comm": []}
    ),
    "many workers that fit": host(
        meminfo=meminfo(anon=11, file=3),
        processes={
            "top": [process("php-fpm", 0.2, 5)],
            "by_comm": [{"comm": "php-fpm", "processes": 55, "rss": size(10.5), "swap": 0}],
        },
    ),
    "one unit that owns the host": host(
        meminfo=meminfo(anon=11, file=3),
        cgroups={"version": "v2", "groups": [group("/db.service", current=11, anon=10.5, oom=0, oom_kill=0)]},
    ),
    "a terabyte in use": terabyte(),
    "the cache of ZFS": zfs(),
    "a balloon that leaves enough": host(meminfo={**meminfo(lost=6, anon=2, file=3), "balloon": size(5.8)}),
    "a stall in a sample of one second": host(
        meminfo=meminfo(anon=9, file=2.5, lost=1), pressure={"memory": {"some": {**pressure(2)["some"], "share": 0.4}}}
    ),
    "a burst of writes that storage takes": host(meminfo=meminfo(dirty=2.5, file=6)),
    "writes to a slow stick": host(
        meminfo=meminfo(dirty=0.8, file=6, writeback=0.4), pressure={"memory": pressure(0.2), "io": pressure(70)}
    ),
    "a cgroup that stalls while the host has room": host(pressure={"memory": pressure(60, 40), "io": pressure(2)}),
    "optimistic promises": host(overcommit={"mode": 0, "commit_limit": size(10), "committed": size(90)}),
    "panic_on_oom without a crash kernel": host(
        oom={"panic_on_oom": 1, "panic": 0, "kills": 0}, kdump={"loaded": False, "reserved": 0}
    ),
    "an optical drive that counts errors": host(storage={"disks": {"sr0": {"errors": {"ioerr": 40, "iodone": 120}}}}),
    "a container full of its own cache": host(
        cgroups={"version": "v2", "groups": [group("/a.scope", current=1, max=1, anon=0.2, file=0.7, some=1.0)]}
    ),
    "a limit that is larger than the host": host(
        cgroups={"version": "v2", "groups": [group("/a.scope", current=2, max=64, anon=2, oom=0, oom_kill=0)]}
    ),
}


@pytest.mark.parametrize("name", QUIET)
def test_a_healthy_host_yields_exactly_none(name):
    found = causes(QUIET[name])
    assert list(found) == ["none"], found
    finding = found["none"]
    assert finding["remedy"] is None
    assert finding["confidence"] >= level("likely")
    assert any(piece["what"] == "memory available" for piece in finding["evidence"])


def test_none_shows_the_headroom():
    finding = causes(host())["none"]
    shown = {piece["what"]: piece for piece in finding["evidence"]}
    assert shown["memory available"]["value"] == host()["meminfo"]["mem_available"]
    share = shown["share of usable memory that is available"]
    assert share["threshold"] == limit("available_low") and share["value"] > 0.6
    assert shown["swap used"]["value"] == 0
    assert shown["time in which a task waited for memory"]["threshold"] == limit("pressure_some")
    assert "GiB of 16 GiB" in finding["summary"]
    assert finding["confidence"] == level("strong")


def test_none_without_pressure_is_less_sure_and_says_what_is_missing():
    finding = causes(host(pressure=None, unavailable={"pressure": "psi=0"}))["none"]
    assert finding["confidence"] == level("likely")
    assert any(piece["value"] == "psi=0" for piece in finding["evidence"])


def test_a_tight_host_is_healthy_and_says_so():
    memory = meminfo(anon=13.5, file=0.8, available=1.2)
    owner = {"top": [process("mysqld", 12.5, 5, "mysqld.service")], "by_comm": []}
    found = causes(host(meminfo=memory, processes=owner))
    assert list(found) == ["none"]
    assert "little memory left" in found["none"]["summary"]
    assert any("mysqld" in piece["what"] for piece in found["none"]["evidence"])
    assert verdict(host(meminfo=memory, processes=owner, pressure=None)) == "runaway_process"
    assert verdict(host(meminfo=memory, processes=owner, pressure={"memory": pressure(1.0)})) == "runaway_process"
    assert verdict(host(meminfo=memory, processes=owner, pressure={"memory": pressure(0.9)})) == "none"


def brim(available, some=0.5):
    memory = meminfo(anon=13.5, file=0.8, available=available)
    owner = {"top": [process("mysqld", 12.5, 5, "mysqld.service")], "by_comm": []}
    return host(meminfo=memory, processes=owner, pressure=None if some is None else {"memory": pressure(some)})


def test_memory_is_short_from_its_thresholds_on():
    low, critical = TOTAL * limit("available_low"), TOTAL * limit("available_critical")
    assert verdict(brim(low + A_LITTLE, some=None)) == "none"
    assert verdict(brim(low - A_LITTLE, some=None)) == "runaway_process"
    assert verdict(brim(critical + A_LITTLE)) == "none"
    assert verdict(brim(critical - A_LITTLE)) == "runaway_process"


def test_memory_of_a_large_host_is_short_by_size():
    enough = limit("available_low_bytes") / GIB
    for available, expected in ((enough + A_LITTLE, "none"), (enough - A_LITTLE, "runaway_process")):
        facts = terabyte()
        facts["meminfo"]["mem_available"] = size(available)
        assert verdict(facts) == expected


def test_a_kill_in_the_sample_makes_a_shortage_unless_there_is_room():
    facts = brim(3.0)
    facts["vmstat"]["rates"]["oom_kill"] = 0.1
    assert verdict(facts) == "runaway_process"
    facts["meminfo"]["mem_available"] = size(TOTAL * limit("available_roomy") + A_LITTLE)
    assert verdict(facts) == "none"


def test_full_stall_is_a_shortage():
    facts = brim(3.0)
    facts["pressure"]["memory"] = pressure(some=9.0, full=limit("pressure_full"))
    assert verdict(facts) == "runaway_process"
    facts["pressure"]["memory"] = pressure(some=9.0, full=limit("pressure_full") - 1)
    assert verdict(facts) == "none"


def test_a_stall_with_room_left_is_sought_in_a_cgroup():
    finding = causes(QUIET["a cgroup that stalls while the host has room"])["none"]
    assert "within a cgroup" in finding["summary"] and "cgroup" in finding["advice"]
    assert finding["confidence"] == level("likely")
    assert "hardly wait" in causes(host())["none"]["summary"]


def test_kills_since_boot_ask_for_the_log():
    found = causes(host(oom={"kills": 7}))
    assert list(found) == ["none"]
    assert "7 processes were killed since boot" in found["none"]["summary"]
    assert "oom_report_info" in found["none"]["advice"]


def test_old_kernels_without_mem_available():
    memory = meminfo()
    del memory["mem_available"]
    assert list(causes(host(meminfo=memory))) == ["none"]


def test_a_container_speaks_of_the_machine():
    facts = host(system={"container": "podman"})
    assert causes(facts)["none"]["summary"].startswith("The machine that runs this container has memory")
    crowded = brim(0.5)
    crowded["system"]["container"] = "docker"
    crowded["vmstat"]["rates"]["pswpin"] = 900.0
    crowded["pressure"]["memory"] = pressure(40.0)
    found = causes(crowded)
    assert "the machine that runs this container is short of it" in found["runaway_process"]["summary"]
    assert causes(host(system={"container": "lxc"}))["none"]["summary"].startswith("This host")


def test_a_made_up_meminfo_has_no_lost_memory():
    # lxcfs tells a container's own total and use, and no slab at all.
    memory = {**meminfo(anon=2, file=0.5, lost=11, available=0.5), "slab": 0, "s_reclaimable": 0, "s_unreclaim": 0}
    assert "unaccounted_memory" not in causes(host(meminfo=memory, pressure={"memory": pressure(40)}))


def test_zfs_under_pressure_is_told_of_its_cache():
    facts = zfs()
    facts["pressure"]["memory"] = pressure(40)
    assert "zfs_arc_max" in causes(facts)["unaccounted_memory"]["advice"]


def test_the_rate_of_a_slow_stick_is_the_one_that_counts():
    facts = host(
        meminfo=meminfo(anon=7.5, dirty=5.5, file=6.0, available=6.2),
        storage={
            "disks": {
                "nvme0n1": {"write_rate": 900.0 * MIB, "utilisation": 0.3},
                "sdb": {"write_rate": 9.0 * MIB, "utilisation": 1.0},
            }
        },
    )
    assert "for sdb" in causes(facts)["dirty_pages"]["summary"]
