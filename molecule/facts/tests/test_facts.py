# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each subset of memory_facts against a tool that reads the same host in another way."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))
import machine_sysctl

MIB = 1 << 20

# A page counter may lag by this much: the kernel folds each processor's share into the sum at intervals
# (mm/vmstat.c, calculate_normal_threshold: at most 125 pages per processor and zone).
COUNTER_SLACK = 4 * MIB


def table(text: str) -> dict[str, int]:
    """Return the numbers of a text with a name and a number in each line."""
    return {words[0].rstrip(":"): int(words[1]) for words in map(str.split, text.splitlines()) if len(words) > 1}


# What the module and its interpreter take themselves while they look: the tools see the host without them.
OWN = 64 * MIB


def free(column: str, row: str = "Mem:"):
    """Return a function that takes one number out of what free said."""

    def take(tools):
        lines = tools["free"].splitlines()
        (values,) = [line.split()[1:] for line in lines if line.startswith(row)]
        return int(values[lines[0].split().index(column)])

    return take


def in_meminfo(name: str):
    """Return a function that takes one line of /proc/meminfo, in bytes."""
    return lambda tools: table(tools["meminfo"])[name] * 1024


def sysctls(tools) -> dict[str, str]:
    """Return what sysctl -a said."""
    pairs = (line.partition(" = ") for line in tools["sysctl"].splitlines() if " = " in line or line.endswith(" ="))
    return {key.removesuffix(" ="): value for key, _sign, value in pairs}


# system


def test_system_is_what_the_systems_own_tools_say(host, look):
    shell = host.constant("sh -c 'uname -r; uname -m; getconf PAGESIZE; hostname; getconf _NPROCESSORS_ONLN'").split()
    release = host.constant("sh -c '. /etc/os-release; echo $ID; echo $VERSION_ID; echo $PRETTY_NAME'").splitlines()

    @look
    def compare(reading):
        system = reading["system"]
        assert shell == [str(system[key]) for key in ("kernel", "architecture", "page_size", "hostname", "cpus")]
        assert release == [system["distribution"][key] for key in ("id", "version_id", "pretty_name")]
        assert system["container"] == "podman"
        reading.between(system["time"], lambda tools: float(tools["date"]))
        reading.between(system["uptime"], lambda tools: float(tools["uptime"].split()[0]), slack=0.01)


def test_the_reading_user_is_the_one_that_is_meant(host):
    done = subprocess.run(
        ["podman", "exec", "--user", host.user, host.container, "grep", "CapEff", "/proc/self/status"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (int(done.stdout.split()[1], 16) != 0) == (host.user == "root")


def test_the_container_is_not_privileged(host):
    (inspected,) = json.loads(
        subprocess.run(["podman", "inspect", host.container], stdout=subprocess.PIPE, check=True).stdout
    )
    assert inspected["HostConfig"]["Privileged"] is False
    assert inspected["HostConfig"]["NetworkMode"] == "none"
    assert host.testinfra.run("sh -c 'echo 60 > /proc/sys/vm/swappiness'").failed


# meminfo


@pytest.mark.parametrize(
    ("key", "column", "slack"),
    [
        ("mem_total", "total", 0),
        ("mem_free", "free", OWN),
        ("mem_available", "available", OWN),
        ("shmem", "shared", COUNTER_SLACK),
        ("buffers", "buffers", COUNTER_SLACK),
    ],
)
def test_meminfo_is_what_free_says(look, key, column, slack):
    @look
    def compare(reading):
        reading.between(reading["meminfo"][key], free(column), slack)


def test_the_page_cache_is_what_free_says(look):
    @look
    def compare(reading):
        meminfo = reading["meminfo"]
        reading.between(meminfo["cached"] + meminfo["s_reclaimable"], free("cache"), OWN)


def test_every_line_of_meminfo_is_between_what_the_kernel_says_before_and_after(look):
    of_processes = ("mem", "active", "inactive", "anon", "committed", "cached", "mapped")

    @look
    def compare(reading):
        said = {re.sub(r"\W|_", "", name).lower(): name for name in table(reading.before["meminfo"])}
        for key, value in reading["meminfo"].items():
            name = said[key.replace("_", "")]
            unit = 1 if name.startswith("HugePages_") else 1024
            slack = 0 if unit == 1 else OWN if key.startswith(of_processes) else MIB
            reading.between(value, lambda tools, name=name, unit=unit: table(tools["meminfo"])[name] * unit, slack)


def test_meminfo_has_every_line_and_huge_pages_as_counts(look):
    @look
    def compare(reading):
        lines = reading.before["meminfo"].splitlines()
        assert len(reading["meminfo"]) == len(lines)
        assert reading["meminfo"]["huge_pages_total"] == int(sysctls(reading.before)["vm.nr_hugepages"])
        # Constants of a running kernel: the same to the byte, whatever their unit.
        for key, name in (("vmalloc_total", "VmallocTotal"), ("hugepagesize", "Hugepagesize")):
            assert reading["meminfo"][key] == in_meminfo(name)(reading.before)


# vmstat


def test_counters_are_between_what_the_kernel_says_before_and_after(look):
    @look
    def compare(reading):
        events = {name for name in table(reading.before["counters"]) if not name.startswith("nr_")}
        counters = reading["vmstat"]["counters"]
        assert events <= set(counters)
        for name in events:
            reading.between(counters[name], lambda tools, name=name: table(tools["counters"])[name])
        pages = reading["vmstat"]["pages"]
        assert set(pages) == set(table(reading.before["counters"])) - events
        for name, value in pages.items():
            reading.between(value, lambda tools, name=name: table(tools["counters"])[name], OWN // 4096)
        assert reading["vmstat"]["rates"] is None


def test_counters_are_what_vmstat_says(look):
    words = {
        "pgpgin": "(?:K|pages) paged in",
        "pgpgout": "(?:K|pages) paged out",
        "pswpin": "pages swapped in",
        "pswpout": "pages swapped out",
    }

    @look
    def compare(reading):
        for name, said in words.items():
            reading.between(
                reading["vmstat"]["counters"][name],
                lambda tools, said=said: int(re.search(rf"(\d+) {said}", tools["vmstat"])[1]),
            )


def test_sums_over_zones_and_reasons(look):
    parts = {
        "pgscan": r"pgscan_(kswapd|direct|khugepaged|proactive)",
        "pgsteal": r"pgsteal_(kswapd|direct|khugepaged|proactive)",
        "allocstall": r"allocstall_\w+",
    }

    @look
    def compare(reading):
        for name, pattern in parts.items():
            reading.between(
                reading["vmstat"]["counters"][name],
                lambda tools, pattern=pattern: sum(
                    number for line, number in table(tools["counters"]).items() if re.fullmatch(pattern, line)
                ),
            )


def test_rates_are_what_the_counters_rose_by(look):
    def compare(reading):
        rates, window = reading["vmstat"]["rates"], reading["system"]["sample_seconds"]
        assert window == 2
        for name in ("oom_kill", "pswpin", "pswpout", "pgmajfault", "compact_stall"):
            rose = table(reading.after["counters"])[name] - table(reading.before["counters"])[name]
            # The window lies inside the reading, and is a little longer than was asked for.
            assert 0 <= rates[name] * window <= rose

    look(compare, "sampled")


# pressure


def pressure(tools) -> dict[tuple[str, str], dict[str, float]]:
    """Return /proc/pressure by (resource, some or full)."""
    found = {}
    for line in tools["pressure"].splitlines():
        name, kind, *pairs = re.split(r"[: ]", line)
        found[name, kind] = {key: float(value) for key, value in (pair.split("=") for pair in pairs)}
    return found


def test_pressure_is_what_the_kernel_prints(look):
    @look
    def compare(reading):
        expected = pressure(reading.before)
        if not expected:
            assert "pressure" not in reading.facts
            assert reading.unavailable["pressure"]
            return
        for of in expected:
            value = reading["pressure"][of[0]][of[1]]
            reading.between(value["total"], lambda tools, of=of: pressure(tools)[of]["total"] / 1e6, 1e-6)
            for average in ("avg10", "avg60", "avg300"):
                reading.between(value[average], lambda tools, of=of, key=average: pressure(tools)[of][key])
            assert value["share"] is None


def test_the_share_of_the_window_is_what_the_total_rose_by(look):
    def compare(reading):
        for name, kind in pressure(reading.before):
            rose = pressure(reading.after)[name, kind]["total"] - pressure(reading.before)[name, kind]["total"]
            share = reading["pressure"][name][kind]["share"]
            assert 0 <= share <= 1
            # The window of two seconds lies inside the reading: at most all of the stalls, at least all but the rest.
            assert share * 2 <= rose / 1e6 + 0.05
            assert share * 2 >= rose / 1e6 - (float(reading.after["date"]) - float(reading.before["date"]) - 2) - 0.05

    look(compare, "sampled")


# swap


def test_swap_is_what_swapon_and_free_say(look):
    @look
    def compare(reading):
        swap = reading["swap"]
        reading.between(swap["total"], free("total", "Swap:"))
        reading.between(swap["used"], free("used", "Swap:"), COUNTER_SLACK)
        reading.between(swap["free"], free("free", "Swap:"), COUNTER_SLACK)
        listed = [line.split() for line in reading.before["swapon"].splitlines()]
        assert [device["path"] for device in swap["devices"]] == [words[0] for words in listed]
        for device, (_name, _type, size, used, priority) in zip(swap["devices"], listed, strict=True):
            assert (device["size"], device["priority"]) == (int(size), int(priority))
            assert abs(device["used"] - int(used)) <= COUNTER_SLACK
        said = sysctls(reading.before)
        assert swap["swappiness"] == int(said["vm.swappiness"])
        assert swap["page_cluster"] == int(said["vm.page-cluster"])


def test_zswap_is_what_its_parameters_say(host, look):
    said = host.testinfra.run("sh -c 'cd /sys/module/zswap/parameters && cat enabled compressor max_pool_percent'")

    @look
    def compare(reading):
        zswap = reading["swap"]["zswap"]
        if said.failed:
            assert zswap is None
        else:
            enabled, compressor, percent = said.stdout.split()
            assert [zswap["enabled"], zswap["compressor"]] == [enabled == "Y", compressor]
            assert zswap["max_pool_percent"] == int(percent)
        assert reading["swap"]["growth"] is None
        assert reading["swap"]["seconds_until_full"] is None


# writeback


def test_writeback_is_what_sysctl_and_the_kernel_say(look):
    plain = ("dirty_ratio", "dirty_bytes", "dirty_background_ratio", "dirty_background_bytes")

    @look
    def compare(reading):
        writeback, said = reading["writeback"], sysctls(reading.before)
        assert [writeback[key] for key in plain] == [int(said[f"vm.{key}"]) for key in plain]
        assert writeback["dirty_expire"] == int(said["vm.dirty_expire_centisecs"]) / 100
        assert writeback["dirty_writeback"] == int(said["vm.dirty_writeback_centisecs"]) / 100
        assert writeback["limit_by"] == ("bytes" if int(said["vm.dirty_bytes"]) else "ratio")
        assert writeback["background_limit_by"] == ("bytes" if int(said["vm.dirty_background_bytes"]) else "ratio")
        reading.between(writeback["dirty"], in_meminfo("Dirty"), MIB)
        reading.between(writeback["writeback"], in_meminfo("Writeback"), MIB)


def test_thresholds_are_those_that_the_kernel_computed(host, look):
    page = int(host.constant("getconf PAGESIZE"))

    @look
    def compare(reading):
        for subset in ("writeback", "vmstat"):
            for key in ("dirty_threshold", "dirty_background_threshold"):
                # The kernel computes them anew when /proc/vmstat is read, from what is free at that moment.
                reading.between(
                    reading[subset][key],
                    lambda tools, key=key: table(tools["counters"])[f"nr_{key}"] * page,
                    OWN,
                )
        writeback = reading["writeback"]
        if writeback["limit_by"] == "ratio":
            assert writeback["dirtyable"] * writeback["dirty_ratio"] / 100 == pytest.approx(
                writeback["dirty_threshold"], rel=0.02
            )


def test_backing_devices_are_what_lsblk_and_their_limits_say(host, look):
    said = {disk["name"]: disk for disk in machines_disks()}

    @look
    def compare(reading):
        devices = [device for device in reading["writeback"]["devices"] if device["name"] in said]
        for device in devices:
            assert device["read_ahead"] == said[device["name"]]["ra"] * 1024
            assert device["device"] == said[device["name"]]["maj:min"]
            limits = host.constant(f"sh -c 'cd /sys/class/bdi/{device['device']} && cat min_ratio max_ratio'")
            assert [device["min_ratio"], device["max_ratio"]] == [int(limit) for limit in limits.split()]
            for mount in device["mounts"]:
                major_minor = host.constant(f"findmnt -n -o MAJ:MIN {mount}").split()
                assert device["device"] in major_minor


# storage


def machines_disks() -> list[dict]:
    """Return the disks by lsblk on the machine itself: its kernel is the containers', and they lack /sys/dev/block."""
    columns = "NAME,SIZE,ROTA,TYPE,MAJ:MIN,RA,RO"
    done = subprocess.run(["lsblk", "-b", "-J", "-d", "-o", columns], stdout=subprocess.PIPE, check=True)
    return [disk for disk in json.loads(done.stdout)["blockdevices"] if disk["size"] and disk["type"] != "rom"]


def test_disks_are_those_that_lsblk_lists(look):
    expected = {disk["name"]: (disk["size"], disk["rota"]) for disk in machines_disks() if disk["type"] == "disk"}
    assert expected, "lsblk lists no disk on this machine, and nothing was compared"

    @look
    def compare(reading):
        disks = reading["storage"]["disks"]
        assert {
            name: (disks[name]["size"], disks[name]["rotational"]) for name in expected if name in disks
        } == expected


def test_lsblk_in_the_container_lists_the_same_disks(host, look):
    if "/sys/dev/block" not in host.platform.get("unmask", []):
        pytest.skip("podman hides /sys/dev/block here, and lsblk finds nothing without it")
    listed = json.loads(host.constant("lsblk -b -J -d -o NAME,SIZE,TYPE"))["blockdevices"]
    expected = {disk["name"]: disk["size"] for disk in listed if disk["size"] and disk["type"] == "disk"}
    assert expected

    @look
    def compare(reading):
        assert expected.items() <= {name: disk["size"] for name, disk in reading["storage"]["disks"].items()}.items()


def test_mounts_are_those_that_findmnt_lists(look):
    @look
    def compare(reading):
        listed = {mount["target"]: mount for mount in json.loads(reading.before["findmnt"])["filesystems"]}
        mounts = {mount["mount"]: mount for mount in reading["storage"]["mounts"]}
        assert "/" in mounts
        for target, mount in mounts.items():
            said = listed[target]
            assert mount["type"] == said["fstype"]
            assert mount["device"] == said["maj:min"].strip()
            assert mount["source"] == re.sub(r"\[.*\]$", "", said["source"])
            # As the mount says, not the file system: /proc/acpi is a read-only mount of a writable tmpfs.
            assert mount["read_only"] == ("ro" in said["options"].split(","))
        # Each file system once, however often a part of it is mounted somewhere.
        wanted = ("ext4", "xfs", "btrfs", "overlay", "tmpfs")
        devices = [mount["device"] for mount in mounts.values()]
        assert len(devices) == len(set(devices))
        assert {said["maj:min"].strip() for said in listed.values() if said["fstype"] in wanted} <= set(devices)
        assert not reading["storage"]["read_only"]


def df(tools) -> dict[str, list[int]]:
    """Return size, used and available by mount point."""
    return {words[0]: [int(word) for word in words[1:]] for words in map(str.split, tools["df"].splitlines()[1:])}


def test_tmpfs_sizes_are_what_df_says(look):
    @look
    def compare(reading):
        mounts = [mount for mount in reading["storage"]["mounts"] if mount["type"] == "tmpfs" and "size" in mount]
        compared = [mount for mount in mounts if mount["mount"] in df(reading.before)]
        assert any(mount["used"] for mount in compared)
        for mount in compared:
            assert mount["size"] == df(reading.before)[mount["mount"]][0]
            reading.between(mount["used"], lambda tools, mount=mount: df(tools)[mount["mount"]][1], 1 << 16)


def test_rates_of_the_disk_are_what_its_counters_rose_by(host, look):
    if host.user != "root":
        pytest.skip("the load on the disk is root's")

    def written(tools, disk):
        (words,) = [line.split() for line in tools["diskstats"].splitlines() if line.split()[2] == disk]
        return int(words[9]) * 512, int(words[7])  # sectors and writes (Documentation/admin-guide/iostats.rst)

    def compare(reading):
        elapsed = float(reading.after["date"]) - float(reading.before["date"])
        busiest = max(reading["storage"]["disks"].items(), key=lambda item: item[1]["write_rate"])
        name, disk = busiest
        old, new = written(reading.before, name), written(reading.after, name)
        rose, writes = new[0] - old[0], new[1] - old[1]
        assert 0 < disk["write_rate"] * 2 <= rose + MIB
        assert disk["write_iops"] == pytest.approx(writes / elapsed, rel=0.6)
        # Written steadily, so that the window saw about the mean of the whole reading.
        assert disk["write_rate"] == pytest.approx(rose / elapsed, rel=0.6)
        assert 0 < disk["write_await"] < elapsed
        assert 0 < disk["utilisation"] <= 1

    look(compare, "sampled")


# cgroups


def test_the_hierarchy_is_the_one_that_is_mounted(host, look):
    kinds = set(host.constant("findmnt -n -t cgroup,cgroup2 -o FSTYPE").split())
    version = {("cgroup",): "v1", ("cgroup2",): "v2"}.get(tuple(sorted(kinds)), "hybrid")

    @look
    def compare(reading):
        assert reading["cgroups"]["version"] == version


def human(text: str) -> float:
    """Return the bytes of podman's words (decimal units)."""
    number, unit = re.fullmatch(r"([\d.]+)([kMGT]?)B", text).groups()
    return float(number) * 1000 ** " kMGT".index(unit or " ")


def test_the_containers_memory_is_what_podman_says(host, look):
    limit = json.loads(
        subprocess.run(["podman", "inspect", host.container], stdout=subprocess.PIPE, check=True).stdout
    )[0]["HostConfig"]["Memory"]
    assert bool(limit) == bool(host.platform.get("memory"))

    @look
    def compare(reading):
        stats = subprocess.run(
            ["podman", "stats", "--no-stream", "--format", "json", host.container], stdout=subprocess.PIPE, check=True
        )
        (said,) = json.loads(stats.stdout)
        groups = reading["cgroups"]["groups"]
        own = max(groups, key=lambda group: group["current"])
        # The readers' own processes come and go: tools, Python and its files.
        assert own["current"] == pytest.approx(human(said["mem_usage"].split(" / ")[0]), rel=0.35, abs=24 * MIB)
        assert own["peak"] is None or own["peak"] >= own["current"]
        assert own["max"] == (limit or None)
        assert own["container"] or own["unit"]
        assert reading["cgroups"]["examined"] >= len(groups)


def test_the_containers_group_is_what_its_files_say(host, look):
    """What the largest group holds, by the files that systemd-cgtop and podman stats do not show."""
    if host.constant("stat -f -c %T /sys/fs/cgroup") == "cgroup2fs":
        files, names = "/sys/fs/cgroup", {"anon": "anon", "file": "file", "shmem": "shmem"}
    else:
        files, names = "/sys/fs/cgroup/memory", {"anon": "total_rss", "file": "total_cache", "shmem": "total_shmem"}

    @look
    def compare(reading):
        own = max(reading["cgroups"]["groups"], key=lambda group: group["current"])
        said = table(host.said(f"cat {files}/memory.stat"))
        for key, name in names.items():
            # Python and its files come and go with each reading: 32 MiB.
            assert own[key] == pytest.approx(said[name], abs=MIB if key == "shmem" else 32 * MIB)
        assert own["anon"] + own["file"] <= own["current"] + COUNTER_SLACK
        assert own["kernel"] < own["current"]
        assert own["events"]["oom_kill"] == 0
        assert not own["swap_current"] or reading["swap"]["total"]


def test_units_are_what_systemd_says(host, look):
    @look
    def compare(reading):
        for group in reading["cgroups"]["groups"]:
            if not group["unit"] or not group["unit"].endswith(".service"):
                continue
            shown = host.said(f"systemctl show -p MemoryCurrent -p MemoryMax -p TasksCurrent {group['unit']}")
            said = dict(line.split("=", 1) for line in shown.splitlines())
            if said["MemoryCurrent"].isdigit():
                assert group["current"] == pytest.approx(int(said["MemoryCurrent"]), rel=0.25, abs=4 * MIB)
                assert str(group["max"] or "infinity") == said["MemoryMax"]


# processes


def processes(tools) -> dict[int, list[str]]:
    """Return the processes that ps lists: pid -> uid, threads, RSS in KiB, seconds since the start, unit, comm."""
    listed = (line.split(None, 6) for line in tools["ps"].splitlines())
    return {int(words[0]): words[1:] for words in listed}


def test_processes_are_what_ps_says(look):
    @look
    def compare(reading):
        stayed = processes(reading.before).keys() & processes(reading.after).keys()
        listed = {process["pid"]: process for process in reading["processes"]["top"]}
        # The largest of those that were there throughout is in the list.
        assert max(stayed, key=lambda pid: int(processes(reading.before)[pid][2])) in listed
        compared = 0
        for pid in stayed & listed.keys():
            process, (uid, threads, _rss, age, unit, comm) = listed[pid], processes(reading.before)[pid]
            assert (process["uid"], process["threads"]) == (int(uid), int(threads))
            assert process["comm"] == comm.strip()
            assert (process["unit"] or "-") == unit
            assert process["start_time"] == pytest.approx(float(reading.before["date"]) - int(age), abs=2)
            # Counted per processor in newer kernels, 32 pages each way before they are added up.
            reading.between(process["rss"], lambda tools, pid=pid: int(processes(tools)[pid][2]) * 1024, MIB)
            compared += 1
        assert compared >= 3


def test_processes_are_sorted_and_complete(look):
    @look
    def compare(reading):
        found = reading["processes"]
        sizes = [process["rss"] + process["swap"] for process in found["top"]]
        assert sizes == sorted(sizes, reverse=True)
        counts = [len(processes(tools)) for tools in (reading.before, reading.after)]
        # ps and its shell are in its own list, the module is in its own.
        assert min(counts) - 2 <= found["count"] <= max(counts) + 1
        total = sum(int(words[2]) for words in processes(reading.before).values()) * 1024
        assert found["resident"] == pytest.approx(total, rel=0.5)
        assert sum(process["rss"] for process in found["by_comm"]) <= found["resident"] + MIB


def test_the_memory_of_the_first_process_is_what_the_kernel_lists(host, look):
    @look
    def compare(reading):
        (first,) = [process for process in reading["processes"]["top"] if process["pid"] == 1]
        status = table("\n".join(line for line in host.said("cat /proc/1/status").splitlines() if line.endswith("kB")))
        names = {
            "rss": "VmRSS",
            "rss_anon": "RssAnon",
            "rss_file": "RssFile",
            "rss_shmem": "RssShmem",
            "swap": "VmSwap",
        }
        names.update(locked="VmLck", page_tables="VmPTE", hugetlb="HugetlbPages")
        for key, name in names.items():
            assert first[key] == pytest.approx(status[name] * 1024, abs=MIB // 2 if key.startswith("rss") else 64 << 10)
        if host.user == "root":
            (shared,) = re.findall(r"(?m)^Pss:\s+(\d+) kB", host.said("cat /proc/1/smaps_rollup"))
            # Shared with whoever else runs from the same files.
            assert first["pss"] == pytest.approx(int(shared) * 1024, rel=0.5)
        else:
            assert first["pss"] is None


def test_names_are_counted_as_ps_counts_them(look):
    @look
    def compare(reading):
        before, after = (
            [words[5].strip() for words in processes(tools).values()] for tools in (reading.before, reading.after)
        )
        for entry in reading["processes"]["by_comm"]:
            name = entry["comm"]
            if name.startswith("python3") or name not in before:
                continue
            assert min(before.count(name), after.count(name)) <= entry["processes"]
            assert entry["processes"] <= max(before.count(name), after.count(name))


def test_scores_of_the_oom_killer_are_what_choom_says(host, look):
    @look
    def compare(reading):
        first = next(process for process in reading["processes"]["top"] if process["pid"] == 1)
        said = [int(number) for number in re.findall(r": (-?\d+)", host.said("choom -p 1"))]
        assert abs(first["oom_score"] - said[0]) <= 20
        assert first["oom_score_adj"] == said[1]


def test_the_length_of_the_list_and_the_arguments_are_what_was_asked_for(look):
    def compare(reading):
        listed = reading["processes"]["top"]
        assert len(listed) == min(8, reading["processes"]["count"])
        (init,) = [process for process in listed if process["pid"] == 1]
        assert init["arguments"] == ["/sbin/init"]

    look(compare, "sampled")

    @look
    def not_asked_for(reading):
        assert not [process for process in reading["processes"]["top"] if "arguments" in process]


# overcommit, oom


def test_overcommit_is_what_sysctl_and_the_kernel_say(look):
    @look
    def compare(reading):
        overcommit, said = reading["overcommit"], sysctls(reading.before)
        assert [overcommit["mode"], overcommit["ratio"]] == [
            int(said[f"vm.overcommit_{key}"]) for key in ("memory", "ratio")
        ]
        for key, name in (
            ("kbytes", "overcommit"),
            ("user_reserve", "user_reserve"),
            ("admin_reserve", "admin_reserve"),
        ):
            assert overcommit[key] == int(said[f"vm.{name}_kbytes"]) * 1024
        assert overcommit["limit_by"] == ("kbytes" if int(said["vm.overcommit_kbytes"]) else "ratio")
        assert overcommit["commit_limit"] == in_meminfo("CommitLimit")(reading.before)
        reading.between(overcommit["committed"], in_meminfo("Committed_AS"), OWN)
        # The kernel shows this limit in each mode.
        assert overcommit["limit_in_mode_2"] == pytest.approx(overcommit["commit_limit"], abs=2 * 4096)
        assert overcommit["fits_mode_2"] == (overcommit["committed"] <= overcommit["limit_in_mode_2"])


def test_oom_settings_are_what_sysctl_says(look):
    @look
    def compare(reading):
        oom, said = reading["oom"], sysctls(reading.before)
        for key in ("panic_on_oom", "oom_kill_allocating_task", "oom_dump_tasks"):
            assert oom[key] == int(said[f"vm.{key}"])
        assert oom["panic"] == int(said["kernel.panic"])
        reading.between(oom["kills"], lambda tools: table(tools["counters"])["oom_kill"])


def test_killers_in_user_space_are_what_systemd_says(host, look):
    @look
    def compare(reading):
        killers = {killer["name"]: killer for killer in reading["oom"]["killers"]}
        assert set(killers) >= {"systemd-oomd", "earlyoom", "nohang"}
        for name, killer in killers.items():
            service = host.said(f"systemctl show -p LoadState -p ActiveState {name}.service")
            assert killer["present"] == ("LoadState=loaded" in service)
            assert killer["active"] == ("ActiveState=active" in service)


# kdump


def test_kdump_is_what_the_kernel_and_the_files_say(host, look):
    crash = host.testinfra.run("cat /sys/kernel/kexec_crash_size /sys/kernel/kexec_crash_loaded")
    line = host.constant("cat /proc/cmdline")
    size, changed = host.constant("stat -c '%s %Y' /var/crash/202601020304/dump.202601020304").split()

    @look
    def compare(reading):
        kdump = reading["kdump"]
        if crash.failed:
            assert kdump["reserved"] is None and "kdump.reserved" in reading.unavailable
        else:
            assert [kdump["reserved"], kdump["loaded"]] == [
                int(crash.stdout.split()[0]),
                crash.stdout.split()[1] == "1",
            ]
        found = re.search(r"\bcrashkernel=(\S+)", line)
        assert kdump["crashkernel"] == (found[1] if found else None)
        assert kdump["config"] == "/etc/default/kdump-tools"
        assert kdump["target"] == "local"
        assert kdump["directory"]["path"] == "/var/crash"
        reading.between(kdump["directory"]["free"], lambda tools: df(tools)["/"][2], 16 * MIB)
        assert kdump["directory"]["size"] == df(reading.before)["/"][0]
        assert kdump["directory"]["exists"] is True
        assert kdump["switched_on"] is True
        assert kdump["service"] is None
        (dump,) = kdump["dumps"]
        assert dump["path"].startswith("/var/crash/202601020304")
        assert dump["size"] == int(size)
        assert abs(dump["time"] - int(changed)) < 2


# sysctl

# key: running values are compared below; these are what furnish.sh sets, as systemd-sysctl would (sysctl.d(5)).
FURNISHED = {
    "vm.swappiness": ("71", "/usr/lib/sysctl.d/70-late.conf", 3),
    "vm.dirty_ratio": ("13", "/etc/sysctl.d/10-early.conf", 2),
    "vm.page-cluster": ("2", "/run/sysctl.d/80-vendor.conf", 1),
    "vm.overcommit_memory": ("0", "/etc/sysctl.d/90-pattern.conf", 1),
    "vm.overcommit_kbytes": ("4096", "/etc/sysctl.d/90-pattern.conf", 3),
    "vm.max_map_count": ("262144", "/etc/sysctl.d/95-may-fail.conf", 1),
    "kernel.panic": ("10", "/etc/sysctl.d/95-may-fail.conf", 2),
}


def test_running_values_are_what_sysctl_says(look):
    @look
    def compare(reading):
        said = {key: value for key, value in sysctls(reading.before).items() if re.match(r"vm\.|kernel\.panic", key)}
        keys = reading["sysctl"]["keys"]
        assert set(said) <= set(keys)
        assert {key: keys[key]["running"].split() for key in said} == {key: said[key].split() for key in said}


def test_files_are_read_in_the_order_of_systemd_sysctl(host, look):
    program = "/lib/systemd/systemd-sysctl"
    told = host.constant(f"{program} --cat-config")
    # A heading is the name of a file that exists; comments within the files look the same.
    headings = [line[2:] for line in told.splitlines() if re.fullmatch(r"# /\S+\.conf", line)]

    @look
    def compare(reading):
        order = [path for path in reading["sysctl"]["files"] if not path.endswith("85-off.conf")]
        assert order == [path for path in headings if not path.endswith("85-off.conf")]


@pytest.mark.parametrize("key", sorted(FURNISHED))
def test_the_next_boot_sets_what_the_files_decide(host, look, key):
    value, file, line = FURNISHED[key]
    assert value in host.constant(f"sed -n {line}p {file}")

    @look
    def compare(reading):
        entry = reading["sysctl"]["keys"][key]
        assert (entry["boot"], entry["file"], entry["line"]) == (value, file, line)
        assert entry["agrees"] == (entry["running"] == value)


def test_a_key_that_no_file_names_keeps_its_value(host, look):
    told = host.constant("/lib/systemd/systemd-sysctl --cat-config")

    @look
    def compare(reading):
        for key, entry in reading["sysctl"]["keys"].items():
            if key not in told and key.replace(".", "/") not in told and not key.startswith("vm.overcommit_"):
                # A ratio and its bytes: the kernel zeroes one when the other is written.
                if entry.get("zeroed_by"):
                    assert entry["zeroed_by"] in FURNISHED
                    continue
                assert (entry["boot"], entry["file"], entry["line"], entry["losers"]) == (None, None, None, [])
                assert entry["agrees"] is True


def test_losers_and_masked_files_are_named(look):
    @look
    def compare(reading):
        sysctl = reading["sysctl"]
        assert sysctl["keys"]["vm.swappiness"]["losers"] == [
            {"file": "/etc/sysctl.d/10-early.conf", "line": 1, "value": "11"}
        ]
        masked = {entry["path"]: entry["by"] for entry in sysctl["masked"]}
        assert masked["/usr/lib/sysctl.d/80-vendor.conf"] == "/run/sysctl.d/80-vendor.conf"
        assert masked["/usr/local/lib/sysctl.d/85-off.conf"] == "/etc/sysctl.d/85-off.conf"
        # Excluded from the pattern, and set by none.
        assert sysctl["keys"]["vm.overcommit_ratio"].get("zeroed_by") == "vm.overcommit_kbytes"


# all of it


def test_nothing_is_missing_without_a_reason(host, look):
    @look
    def compare(reading):
        for reason in reading.unavailable.values():
            assert "please report" not in reason
        assert reading["system"]["sample_seconds"] == 0
        if host.user == "nobody":
            assert "permission denied" in reading.unavailable["processes.pss"]


def test_the_machines_own_settings_did_not_change():
    recorded = json.loads(
        (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "machine_sysctl.json").read_text(encoding="utf-8")
    )
    assert len(recorded) > 20
    assert machine_sysctl.settings() == recorded
