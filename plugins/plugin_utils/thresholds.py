# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every number that a diagnosis turns on, with its reason and its source. There is no other place for such numbers.

Where a source gives a number it is taken; where it gives only a mechanism, the reason says how the number follows.
"""

from __future__ import annotations

from typing import NamedTuple

MIB = 1 << 20
GIB = 1 << 30


class Threshold(NamedTuple):
    """One limit: its value, the unit of that value, why it is this one, and where that can be read."""

    value: float
    unit: str
    why: str
    source: str


_OLED = "oled-memstate, constants of its health checks (Oracle oled-tools and drgn-tools)"
_WEINER = "J. Weiner, linux-mm 2024-02-14 <20240214062020.GA989328@cmpxchg.org>"
_OOMD = "systemd oomd.conf(5)"
_PSI = "Linux Documentation/accounting/psi.rst"
_WRITEBACK = "Linux mm/page-writeback.c"
_MEANING = "the meaning of confidence in this collection: how far the evidence carries by itself"
_ARTICLE = "the article this collection implements"

THRESHOLDS = {
    # When is memory short?
    "available_low": Threshold(
        0.10,
        "share",
        "below a tenth of RAM (huge pages apart) one ordinary burst is enough; a widely used early killer acts here",
        "earlyoom(1), -m: default 10 %",
    ),
    "available_critical": Threshold(
        0.05,
        "share",
        "half of available_low, where the same killer stops asking and uses SIGKILL",
        "earlyoom(1), -m: KILL_PERCENT is half of PERCENT",
    ),
    "available_low_bytes": Threshold(
        8 * GIB,
        "bytes",
        "a share alone cries wolf on large hosts: the kernel's own reserve never grows by itself above 256 MiB, and "
        "32 times that is room enough on any host",
        "Linux mm/page_alloc.c calculate_min_free_kbytes",
    ),
    "available_roomy": Threshold(
        0.25,
        "share",
        "with a quarter of RAM available a stall on memory is that of a cgroup at its limit, not of the host: reclaim "
        "of the host stops at a watermark, by default a few percent",
        "Linux Documentation/admin-guide/sysctl/vm.rst watermark_scale_factor; cgroup-v2.rst memory.pressure",
    ),
    "pressure_some": Threshold(
        10,
        "percent",
        "the kernel's own example of a trigger is 150 ms in a second, a kill daemon in wide use starts at 70 ms: "
        "between them programs lose time that their users notice",
        _PSI + ", triggers; Android lmkd ro.lmk.psi_partial_stall_ms",
    ),
    "pressure_full": Threshold(
        10,
        "percent",
        "time in which no program at all made progress: systemd-oomd kills at 60 % of some, and a tenth of full "
        "already means that the working set does not fit",
        _PSI + " (a long time in full is thrashing); " + _OOMD + " DefaultMemoryPressureLimit=",
    ),
    "pressure_quiet": Threshold(
        1,
        "percent",
        "below one percent nobody waits for memory, so that little available memory is use, not shortage",
        _PSI,
    ),
    "pressure_io": Threshold(
        40,
        "percent",
        "writers that wait for storage four tenths of the time: not a burst that the disk absorbs",
        _PSI + "; systemd-oomd.service(8) takes 40 % as the point where users suffer",
    ),
    # Swap
    "swap_untouched": Threshold(
        0.05,
        "share",
        "where memory is gone and swap hardly used, what fills memory cannot go to swap: the kernel has it",
        _ARTICLE + ", 2: swap untouched with RAM gone points to the kernel",
    ),
    "swap_full": Threshold(
        0.90, "share", "the point at which systemd-oomd treats swap as used up", _OOMD + " SwapUsedLimit= 90 %"
    ),
    "swap_in": Threshold(
        100,
        "per_second",
        "pages read back each second: as many random reads as one rotating disk can do; only with pressure_some, "
        "because on zram or an SSD the same rate may cost nothing",
        _ARTICLE + ", 2b: occasional si is fine, si that goes on is not",
    ),
    "swap_growth_horizon": Threshold(
        6 * 3600,
        "seconds",
        "swap that is full within one working shift needs a person today; beyond that a sample of seconds says "
        "nothing about the trend",
        _ARTICLE + ", 2a: swap overflow is failure",
    ),
    "swap_growth_used": Threshold(
        0.25,
        "share",
        "the first pages that go to swap are idle start-up code of every program; growth is a trend once a quarter "
        "of swap is used",
        _ARTICLE + ", 2",
    ),
    "swap_hours": Threshold(
        24 * 3600,
        "seconds",
        "swap proposed for slow growth must last from one nightly restart to the next",
        _ARTICLE + ", 2d: swap plus restarts at intervals",
    ),
    "restart_share": Threshold(
        0.5,
        "share",
        "a restart at half of the time that a service takes to its size at the kill comes in time when it grows twice "
        "as fast",
        _ARTICLE + ", 2d",
    ),
    "restart_shortest": Threshold(
        3600,
        "seconds",
        "what has to be restarted more often than each hour does not grow slowly",
        _ARTICLE + ", 3: restarts only where they come at intervals of days",
    ),
    "major_faults": Threshold(
        500,
        "per_second",
        "programs wait for their own code and files to be read again",
        "Prometheus node-mixin NodeMemoryMajorPagesFaults",
    ),
    # Dirty pages
    "dirty_share": Threshold(
        0.10,
        "share",
        "a tenth of RAM that storage must first accept is as much as all of available_low",
        "earlyoom(1); " + _WRITEBACK,
    ),
    "dirty_share_full": Threshold(
        0.40,
        "share",
        "twice the kernel's default dirty_ratio, of all RAM: nothing else explains a shortage better",
        "Linux Documentation/admin-guide/sysctl/vm.rst dirty_ratio (default 20)",
    ),
    "dirty_of_file": Threshold(
        0.50,
        "share",
        "when half of the file pages are dirty, reclaim meets dirty pages as often as clean ones",
        "Linux mm/vmscan.c shrink_folio_list, handling of dirty and writeback folios",
    ),
    "dirty_drain": Threshold(
        60,
        "seconds",
        "twice vm.dirty_expire_centisecs: storage is behind by more than the kernel lets data wait",
        "Linux Documentation/admin-guide/sysctl/vm.rst dirty_expire_centisecs (default 30 s)",
    ),
    "same_shortage": Threshold(
        600,
        "seconds",
        "the kernel goes on killing while the cause goes on; whom it killed in these minutes systemd starts again, and "
        "a limit has to leave room for all of them",
        "systemd.service(5) Restart=; a service that is killed again and again is back well within it",
    ),
    "dirty_seconds": Threshold(
        10,
        "seconds",
        "dirty data worth ten seconds of the measured write rate: reclaim or sync never waits longer, and it is still "
        "under the 30 s after which the kernel writes by itself",
        "L. Torvalds, linux-mm 2016-11-29 <CA+55aFzNe=3e=cDig+vEzZS5jm2c6apPV4s5NKG4eYL4_jxQjQ@mail.gmail.com>; "
        "vm.rst dirty_expire_centisecs",
    ),
    "dirty_bytes_floor": Threshold(
        64 * MIB,
        "bytes",
        "below it writes lose their batching: sixteen of the smallest chunks that the flusher writes",
        "Linux fs/fs-writeback.c MIN_WRITEBACK_PAGES (4 MiB)",
    ),
    "dirty_background": Threshold(
        0.50,
        "share",
        "background flushing starts at half of the limit, as the kernel's defaults 10 and 20 do",
        _WRITEBACK + " dirty_background_ratio, vm_dirty_ratio",
    ),
    "limit_least": Threshold(
        0.05,
        "share",
        "a limit of less than a twentieth of memory for the largest owner of it would kill that at any use: then what "
        "all others hold is to be looked at",
        "half of available_low",
    ),
    "others_vary": Threshold(
        0.01,
        "share",
        "what a host holds beside its programs is not the same from one minute to the next: in the lab (kernels 6.1 "
        "and 6.12) available memory of an idle host differed by up to 5 MiB of 750",
        "docs/effects.md",
    ),
    "dirty_overshoot": Threshold(
        0.125,
        "share",
        "the limit is soft: the kernel looks at writers once in a 32nd of it, and does not hold back what file systems "
        "write of their own; in the lab (kernels 6.1 and 6.12) up to 7 % above it were seen",
        "Linux mm/page-writeback.c writeback_set_ratelimit; docs/effects.md",
    ),
    "flushing_stopped": Threshold(
        0.01,
        "share",
        "all dirty and next to nothing under writeback: nobody flushes, as on kernels 6.7 and 6.8 with MGLRU",
        "linux-mm thread of <ZcWOh9u3uqZjNFMa@chrisdown.name>",
    ),
    "cgroup_dirty": Threshold(
        0.40,
        "share",
        "twice the share of its memory that the kernel lets a v2 cgroup dirty; v1 has no such limit at all",
        "Linux Documentation/admin-guide/cgroup-v2.rst Writeback; J. Weiner <Y3Z0ZIroRFd1B6ad@cmpxchg.org>",
    ),
    # Storage
    "disk_errors": Threshold(
        100,
        "count",
        "a few errors are counted on healthy devices, for commands that they do not know",
        "Linux Documentation/ABI/stable/sysfs-block-device and drivers/scsi/scsi_sysfs.c ioerr_cnt",
    ),
    "disk_error_share": Threshold(
        0.01,
        "share",
        "one request in a hundred fails: no healthy device does that",
        "Linux drivers/scsi/scsi_sysfs.c ioerr_cnt, iodone_cnt",
    ),
    "io_errors_age": Threshold(
        24 * 3600,
        "seconds",
        "a request that failed within a day belongs to the trouble of now; the kernel has tried again before it tells, "
        "so that one is enough",
        "Linux block/blk-mq.c blk_print_req_error; drivers/scsi/scsi_error.c scsi_noretry_cmd",
    ),
    "disk_busy": Threshold(
        0.99,
        "share",
        "the device had a request under way for all of the sample",
        "Linux Documentation/admin-guide/iostats.rst field 10",
    ),
    "disk_stuck_window": Threshold(
        5,
        "seconds",
        "a flush of a slow device's cache takes seconds; a device that finishes nothing for longer hangs",
        "Linux Documentation/block/stat.rst",
    ),
    "latency_rotational": Threshold(
        0.1,
        "seconds",
        "a turn at 5400 per minute and a long seek take a quarter of it; what takes longer tries again and again",
        "arithmetic: 11 ms and about 15 ms; smartctl(8) -l scterc for how long a disk tries",
    ),
    "latency_ssd": Threshold(
        0.025,
        "seconds",
        "flash answers in less than a millisecond; a device that takes as long as a disk that turns is worn or stalls",
        "arithmetic: as long as a turn and a seek of latency_rotational",
    ),
    "latency_nvme": Threshold(
        0.01,
        "seconds",
        "flash without the queue of SATA between: a hundred requests a second are what one rotating disk does",
        "arithmetic: as swap_in in this table",
    ),
    "latency_virtual": Threshold(
        0.1,
        "seconds",
        "nobody says what lies below, so that it is at least as slow as a rotating disk ought never to be",
        "as latency_rotational in this table",
    ),
    "latency_network": Threshold(
        0.1,
        "seconds",
        "an array has a cache before its disks and is milliseconds away; this is four times what most requests need",
        "Broadcom knowledge base 309140: most commands of a storage device complete in less than 25 ms",
    ),
    "latency_ios": Threshold(
        30,
        "count",
        "a mean over fewer requests is that of one outlier, such as a disk that spins up; among thirty, one of "
        "a second adds 33 ms",
        "arithmetic",
    ),
    "latency_busy": Threshold(
        0.9,
        "share",
        "a device that was busy for nearly all of the window with a few requests was not held up by one outlier: the "
        "slower it is, the fewer requests it can finish",
        "arithmetic: of two seconds, a pause of one leaves half",
    ),
    "latency_busy_ios": Threshold(
        3,
        "count",
        "with latency_busy; two seconds, the window of the playbook, have room for three of 0.6 s",
        "arithmetic",
    ),
    "latency_history_ios": Threshold(
        1000,
        "count",
        "booting alone takes thousands of requests; a device with fewer has no usual latency yet",
        "arithmetic: an outlier of a second adds a millisecond to the mean",
    ),
    "latency_times": Threshold(
        10,
        "count",
        "ten times its own mean since boot: the mixture of requests changes latency by a few times, and a longer queue "
        "does not count, since the time per request has to be as much longer",
        "Linux Documentation/admin-guide/iostats.rst fields 4, 8 and 10; the idea: Broadcom knowledge base 318927",
    ),
    "latency_floor": Threshold(
        0.025,
        "seconds",
        "below it even ten times the usual latency holds no writer back for longer than the kernel itself does",
        _WRITEBACK + " MAX_PAUSE (200 ms)",
    ),
    "history_depth": Threshold(
        32,
        "count",
        "requests under way at once on average while busy, which no device has for days: with more the sum of waiting "
        "times could have run over once more than is reckoned with",
        "SATA native command queuing: 32; Linux block/genhd.c diskstats_show prints 32 bits of milliseconds",
    ),
    "smart_pending": Threshold(
        1,
        "count",
        "each read of such a sector holds the disk for seconds; a healthy disk has replaced it at the next write",
        "smartctl(8) -A, attribute 197 Current_Pending_Sector",
    ),
    # Reports
    "free_elsewhere": Threshold(
        0.10,
        "share",
        "as much as available_low, free and yet not for the request: with it the host would not have been short",
        "earlyoom(1), -m: default 10 %; Linux mm/page_alloc.c zone_watermark_ok, mm/oom_kill.c constrained_alloc",
    ),
    "cut_report": Threshold(
        0.85,
        "share",
        "of the confidence in a report that is whole: the line that says otherwise may be among those that are lost",
        "as much as one step from certain to strong in this table",
    ),
    "growth_reports": Threshold(
        3,
        "count",
        "two sizes are a difference, three that rise are a direction",
        "arithmetic: a chance order of three rises once in six times",
    ),
    "growth_factor": Threshold(
        1.10,
        "count",
        "a tenth more over the reports: as much as available_low, the room that a host needs",
        "earlyoom(1), -m: default 10 %; " + _ARTICLE + ", 2",
    ),
    "ram_differs": Threshold(
        0.05,
        "share",
        "what a kernel keeps for itself differs by a few percent between releases; more is another amount of RAM",
        "Linux mm/show_mem.c: pages RAM, reserved; /proc/meminfo MemTotal",
    ),
    # Cgroups
    "cgroup_near": Threshold(
        0.95,
        "share",
        "as near to memory.max as a cgroup under reclaim stays",
        "Linux Documentation/admin-guide/cgroup-v2.rst memory.max",
    ),
    "cgroup_held": Threshold(
        0.85,
        "share",
        "of the limit, in memory that reclaim cannot take without swap; page cache up to the limit is normal",
        "Linux Documentation/admin-guide/cgroup-v2.rst memory.stat anon, shmem, kernel",
    ),
    "cgroup_full": Threshold(
        40,
        "percent",
        "a unit of which no task runs four tenths of the time: it is as good as stopped",
        "systemd-oomd.service(8), ManagedOOMMemoryPressureLimit= for user sessions",
    ),
    "limit_headroom": Threshold(
        1.25,
        "share",
        "a limit a quarter above the largest use seen leaves room for the use not seen",
        "Linux Documentation/admin-guide/cgroup-v2.rst memory.peak",
    ),
    "limit_search_headroom": Threshold(
        2,
        "share",
        "who is refused or killed at a limit again and again has shown only that it needs more than that: doubling "
        "finds the size in few steps, and never ends above twice the need",
        "exponential search; the role shows the unit's peak for the next step down",
    ),
    "search_repeats": Threshold(
        3,
        "count",
        "twice may be chance, three times at the same limit is a size that does not fit",
        _MEANING,
    ),
    "search_period": Threshold(
        3600,
        "seconds",
        "within an hour of the last one it is the start or the ordinary work that does not fit, no growth over days",
        "systemd.unit(5) StartLimitIntervalSec=, and the article's condition for restarts",
    ),
    "limit_high": Threshold(
        0.90,
        "share",
        "MemoryHigh a little below MemoryMax: far apart, a unit without swap is throttled for ever and never killed",
        "systemd.resource-control(5) MemoryHigh=, MemoryMax=; Containarium #1454",
    ),
    # Who holds memory
    "owner_share": Threshold(
        0.50, "share", "most of memory: more than all others together", "the meaning of the cause, " + _ARTICLE + ", 3"
    ),
    "many_workers": Threshold(
        5,
        "count",
        "a program and its helpers are a few; five and more of one name are a pool that somebody sized",
        _ARTICLE + ", 4: tune the application's own memory settings",
    ),
    "spread_share": Threshold(
        0.50,
        "share",
        "anonymous memory and swap hold most, and no single owner does: ordinary programs together",
        _ARTICLE + ", 4",
    ),
    "shmem_share": Threshold(
        0.25,
        "share",
        "half of what one tmpfs may take by default; more is in nobody's RSS and survives every kill",
        "Linux Documentation/filesystems/tmpfs.rst size (default half of RAM)",
    ),
    "kernel_share": Threshold(
        0.25,
        "share",
        "slab of any kind is called unsafe at 30 %; here only what cannot be reclaimed counts",
        _OLED + ": slab 30 %",
    ),
    "page_tables_share": Threshold(
        0.10,
        "share",
        "five times what is called safe: a tenth of RAM only to map the rest",
        _OLED + ": page tables 2 %",
    ),
    "mlocked_share": Threshold(
        0.30,
        "share",
        "reclaim cannot touch it; RLIMIT_MEMLOCK keeps ordinary programs below 8 MiB, so this was configured",
        "Linux Documentation/mm/unevictable-lru.rst; include/uapi/linux/resource.h MLOCK_LIMIT",
    ),
    "hugepages_unused": Threshold(
        0.10,
        "share",
        "as much as available_low, taken from every program and given to none",
        "Linux Documentation/admin-guide/mm/hugetlbpage.rst HugePages_Free, HugePages_Rsvd",
    ),
    "hugepages_pool": Threshold(
        0.50,
        "share",
        "half of RAM and more in the pool, while what is left is short",
        "Linux Documentation/admin-guide/mm/hugetlbpage.rst",
    ),
    "unaccounted_share": Threshold(
        0.15,
        "share",
        "several GiB are usual; of a large fleet only one host in a hundred shows 15 to 30 %",
        _WEINER + "; " + _OLED + ": 10 %",
    ),
    "dominance_low": Threshold(
        0.25,
        "share",
        "of the memory that is held: an owner of a quarter is one of several",
        "arithmetic: four owners of a quarter each would be equally likely",
    ),
    "dominance_high": Threshold(
        0.75,
        "share",
        "of the memory that is held: an owner of three quarters leaves no other explanation",
        "arithmetic: all others together hold a third of it",
    ),
    # Promised memory
    "overcommit_used": Threshold(
        0.95,
        "share",
        "in mode 2 the last few percent are kept for root and for recovery, so ordinary programs are refused here",
        "Linux mm/util.c __vm_enough_memory; vm.rst admin_reserve_kbytes, user_reserve_kbytes (3 %)",
    ),
    "overcommit_headroom": Threshold(
        1.25,
        "share",
        "a new limit a quarter above what is promised now, so that a fork of a large program still works",
        "Linux Documentation/mm/overcommit-accounting.rst",
    ),
}

# How sure a finding is, in words. Numbers between two of them are interpolated by the size of what was measured.
CONFIDENCE = {
    "certain": Threshold(0.95, "share", "the kernel itself counted it; only the reading could be wrong", _MEANING),
    "strong": Threshold(0.85, "share", "large, and memory is short: one owner explains the shortage", _MEANING),
    "likely": Threshold(0.65, "share", "the mechanism is seen at work, its origin is inferred", _MEANING),
    "even": Threshold(0.50, "share", "true, but something else may explain more", _MEANING),
    "possible": Threshold(0.45, "share", "one sign of two that the cause needs", _MEANING),
    "weak": Threshold(0.30, "share", "little headroom and nobody suffers: worth a line, not an alarm", _MEANING),
}


def limit(name: str) -> float:
    """Return the value of a threshold. Raises KeyError for a name that is not in the table."""
    return THRESHOLDS[name].value


def level(name: str) -> float:
    """Return the confidence (0 to 1) that a word stands for. Raises KeyError for a word that is not in the table."""
    return CONFIDENCE[name].value
