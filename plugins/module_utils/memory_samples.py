# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Samples of how a host's memory was used over time, in one form from each source that a host may have.

A sample is a dict; what a source does not tell is None:
  time          seconds since 1970
  boot          which boot it is of, any text; samples of one boot can be compared
  total, free   bytes of RAM
  file          bytes of the page cache that files can be read into again (no shared memory)
  active_file   of it, bytes that were used more than once
  mapped_file   of it, bytes that programs have mapped, their own code first of all
  reclaimable   bytes of the slab caches that can be given back
  available     bytes, as the kernel estimates it
  swap_total, swap_used     bytes
  committed, commit_limit   bytes
  swapped_in    bytes that were read back from swap since the sample before it
  refaulted     bytes of files that were read again since then, though they had been in memory not long before
  killed        how many programs the OOM killer has ended since then
  units         {unit: (bytes in use, of them anonymous, swapped out)}

Sources: the role memory_sizing's own sampler, sysstat (sadf(1)), atop (atop(1), -P), Performance Co-Pilot (pmrep(1)).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import calendar
import csv
import json
import re
import time

FIELDS = (
    "total",
    "free",
    "file",
    "active_file",
    "mapped_file",
    "reclaimable",
    "available",
    "swap_total",
    "swap_used",
    "committed",
    "commit_limit",
    "swapped_in",
    "refaulted",
    "killed",
)
KB = 1024
# Kernels before 5.9 count what was read again in one number for files alone.
REFAULTS = ("workingset_refault_file", "workingset_refault")


def blank(when, boot):
    """Return a sample that knows nothing but its time."""
    sample = dict.fromkeys(FIELDS)
    sample.update({"time": when, "boot": boot, "units": {}})
    return sample


# The sampler of the role, and what the host says now


def from_kernel(when, boot, page, memory, events, units):
    """Return (sample, counters) of /proc/meminfo in bytes and of /proc/vmstat; events become differences later."""
    sample = blank(when, boot)
    file = _sum(memory.get("Active(file)"), memory.get("Inactive(file)"))
    sample.update(
        {
            "total": memory.get("MemTotal"),
            "free": memory.get("MemFree"),
            "available": memory.get("MemAvailable"),
            "file": file,
            "active_file": memory.get("Active(file)"),
            "mapped_file": _mapped(memory.get("Mapped"), memory.get("Shmem"), file),
            "reclaimable": memory.get("SReclaimable"),
            "swap_total": memory.get("SwapTotal"),
            "swap_used": _less(memory.get("SwapTotal"), memory.get("SwapFree")),
            "committed": memory.get("Committed_AS"),
            "commit_limit": memory.get("CommitLimit"),
            "units": units,
        }
    )
    refaults = next((events[name] for name in REFAULTS if name in events), None)
    counters = {
        "swapped_in": _times(events.get("pswpin"), page),
        "refaulted": _times(refaults, page),
        "killed": events.get("oom_kill"),
    }
    return sample, counters


def with_differences(pairs):
    """Return the samples of (sample, counters), in the order of time, with what happened between two of one boot."""
    found = []
    before = None
    for sample, counters in sorted(pairs, key=lambda pair: pair[0]["time"]):
        if before is not None and before[0]["boot"] == sample["boot"]:
            for name, count in counters.items():
                earlier = before[1].get(name)
                if count is not None and earlier is not None and count >= earlier:
                    sample[name] = count - earlier
        found.append(sample)
        before = (sample, counters)
    return found


def parse_sampler(text):
    """Return [(sample, counters)] of the sampler's file; a line that is none is left out."""
    return [pair for pair in map(_of_line, text.splitlines()) if pair is not None]


def _of_line(line):
    try:
        told = json.loads(line)
        units = {name: tuple(int(one) for one in sizes) for name, sizes in told["units"].items()}
        memory, events = [{name: int(value) for name, value in told[part].items()} for part in ("memory", "events")]
        when, boot, page = int(told["time"]), str(told["boot"]), int(told["page"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if any(len(sizes) != 3 for sizes in units.values()):
        return None
    return from_kernel(when, boot, page, memory, events, units)


# sysstat


def parse_sadf(text, page):
    """Return the samples of `sadf -j FILE -- -r ALL -S -W -B`. Raises ValueError where the text is no such output.

    sar counts shared memory as cached and does not tell which part of the cache is used twice: those are not known. Its
    rates are of the interval that a sample ends.
    """
    found = []
    for host in json.loads(text)["sysstat"]["hosts"]:
        boots = sorted(when for when in map(_boot_of, host.get("restarts") or []) if when is not None)
        for told in host.get("statistics") or []:
            memory, stamp = told.get("memory"), told.get("timestamp")
            when = _moment(stamp)
            if not memory or when is None:
                continue
            boot = "sar boot %d" % sum(1 for one in boots if one <= when)
            found.append(_of_sadf(memory, told.get("swap-pages") or {}, when, boot, stamp.get("interval"), page))
    return found


def _of_sadf(memory, swap, when, boot, interval, page):
    sample = blank(when, boot)

    def size(name):
        return int(memory[name] * KB) if name in memory else None

    sample.update(
        {
            "total": _total_of_sadf(memory),
            "free": size("memfree"),
            "available": size("avail"),
            "file": _sum(size("cached"), size("buffers")),
            "swap_total": _sum(size("swpfree"), size("swpused")),
            "swap_used": size("swpused"),
            "committed": size("commit"),
        }
    )
    if "pswpin" in swap and interval:
        sample["swapped_in"] = int(swap["pswpin"] * interval * page)
    return sample


def _total_of_sadf(memory):
    """Return the size of RAM in bytes.

    What sar calls used is all that is not free in old versions, and in newer ones less the caches as well: the
    percentage, which has two digits, tells which of the sums is meant.
    """
    used, share = memory.get("memused"), memory.get("memused-percent")
    if used is None or "memfree" not in memory:
        return None
    old = used + memory["memfree"]
    new = old + sum(memory.get(name, 0) for name in ("buffers", "cached", "slab"))
    if not share:
        return new * KB
    return min(old, new, key=lambda total: abs(total - used * 100.0 / share)) * KB


def _boot_of(restart):
    return _moment(restart.get("boot"))


def _moment(stamp):
    """Return the seconds since 1970 of sadf's {"date", "time", "utc"}; None where it is none (or in local time)."""
    if not isinstance(stamp, dict) or str(stamp.get("utc")) != "1":
        return None
    try:
        return calendar.timegm(time.strptime("%s %s" % (stamp["date"], stamp["time"]), "%Y-%m-%d %H:%M:%S"))
    except (KeyError, ValueError):
        return None


# atop

# Label, host, seconds since 1970, date, time, interval, and then the numbers.
_ATOP_LINE = re.compile(r"^(MEM|SWP|PAG) \S+ ([0-9]+) \S+ \S+ [0-9]+ ([0-9 -]+)$", re.ASCII)
_ATOP_LEAST = {"MEM": 8, "SWP": 3, "PAG": 6}


def parse_atop(text):
    """Return the samples of `atop -r FILE -P MEM,SWP,PAG`, all of the boot that RESET begins.

    Fields by their place, as atop(1) gives them: those of MEM up to the size of shared memory are in every version 2.
    """
    found, boot, of_boot = [], 0, None
    for line in text.splitlines():
        if line.strip() == "RESET":
            boot, of_boot = boot + 1, len(found)
            continue
        match = _ATOP_LINE.match(line)
        if not match:
            continue
        label, when, numbers = match.group(1), int(match.group(2)), match.group(3).split()
        if len(numbers) < _ATOP_LEAST[label]:
            continue
        if not found or found[-1]["time"] != when:
            found.append(blank(when, "atop boot %d" % boot))
        if label != "PAG" or len(found) - 1 != of_boot:
            # What the first sample after RESET counts is of the whole boot.
            _ATOP[label](found[-1], [int(one) for one in numbers])
    return [sample for sample in found if sample["total"] is not None]


def _atop_memory(sample, numbers):
    page, total, free, cache, buffers, _slab, _dirty, reclaimable = numbers[:8]
    shared = numbers[9] if len(numbers) > 9 else 0
    sample.update(
        {
            "total": total * page,
            "free": free * page,
            "file": max(0, cache + buffers - shared) * page,
            "reclaimable": reclaimable * page,
        }
    )


def _atop_swap(sample, numbers):
    page, total, free = numbers[:3]
    sample.update({"swap_total": total * page, "swap_used": (total - free) * page})
    if len(numbers) > 5:
        sample.update({"committed": numbers[4] * page, "commit_limit": numbers[5] * page})


def _atop_paging(sample, numbers):
    page, swapped_in = numbers[0], numbers[4]
    sample["swapped_in"] = swapped_in * page
    # -1 where the kernel does not count it.
    if len(numbers) > 6 and numbers[6] >= 0:
        sample["killed"] = numbers[6]


_ATOP = {"MEM": _atop_memory, "SWP": _atop_swap, "PAG": _atop_paging}


# Performance Co-Pilot

# Its names of the kernel's numbers: those of /proc/meminfo in KiB, those of /proc/vmstat as they are.
PCP_MEMORY = {
    "mem.physmem": "MemTotal",
    "mem.util.free": "MemFree",
    "mem.util.available": "MemAvailable",
    "mem.util.active_file": "Active(file)",
    "mem.util.inactive_file": "Inactive(file)",
    "mem.util.slabReclaimable": "SReclaimable",
    "mem.util.mapped": "Mapped",
    "mem.util.shmem": "Shmem",
    "mem.util.swapTotal": "SwapTotal",
    "mem.util.swapFree": "SwapFree",
    "mem.util.committed_AS": "Committed_AS",
    "mem.util.commitLimit": "CommitLimit",
}
PCP_EVENTS = {
    "swap.pagesin": "pswpin",
    "mem.vmstat.oom_kill": "oom_kill",
    "mem.vmstat.workingset_refault": "workingset_refault",
    "mem.vmstat.workingset_refault_file": "workingset_refault_file",
}
PCP_UPTIME = "kernel.all.uptime"


def parse_pmrep(text, page):
    """Return [(sample, counters)] of `pmrep -o csv -r -f %s` with these metrics; a time at which one lacks is left out.

    PCP names no boot: where the uptime or a counter is less than before, another one has begun.
    """
    found, boot, before = [], 0, {}
    for row in csv.DictReader(text.splitlines()):
        told = {name: int(float(value)) for name, value in row.items() if name and _is_number(value)}
        if "Time" not in told or not {"mem.physmem", "mem.util.free"} <= set(told):
            continue
        counted = {name: told[name] for name in tuple(PCP_EVENTS) + (PCP_UPTIME,) if name in told}
        boot += any(count < before.get(name, 0) for name, count in counted.items())
        before = counted
        memory = {PCP_MEMORY[name]: size * KB for name, size in told.items() if name in PCP_MEMORY}
        events = {PCP_EVENTS[name]: count for name, count in counted.items() if name in PCP_EVENTS}
        found.append(from_kernel(told["Time"], "pcp boot %d" % boot, page, memory, events, {}))
    return found


def _is_number(text):
    return isinstance(text, str) and re.match(r"^[0-9]{1,20}(\.[0-9]*)?$", text, re.ASCII) is not None


# Sums of what may not be known


def _sum(*values):
    return None if None in values else sum(values)


def _less(first, second):
    return None if None in (first, second) else max(0, first - second)


def _times(count, size):
    return None if count is None else count * size


def _mapped(mapped, shared, file):
    """Return how much of the page cache is mapped, at least: of what is mapped all shared memory might be."""
    return None if None in (mapped, shared, file) else min(file, max(0, mapped - shared))
