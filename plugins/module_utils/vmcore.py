# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a dumped kernel says of memory, in the words of memory_facts.

Pure functions of a Kernel (see vmcore_drgn.py) or of a saved log. Formulas are those of the kernel: MemAvailable of
mm/show_mem.c si_mem_available(), dirty limits of mm/page-writeback.c. What a kernel's structures do not give is None,
with the reason in unavailable.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils import cgroups, kernel_log, writeback
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report import Assembler
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_scan import scan
from ansible_collections.linux_memory.oom.plugins.module_utils.vmcore_drgn import reason

_PANIC = re.compile(
    rb"^(?:<\d+>)?(?:\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? )?Kernel panic - not syncing: (.*)$", re.MULTILINE
)
_OTHER_PANIC = re.compile(rb"(?:BUG: .*|Oops: .*|[Kk]ernel BUG at .*|sysrq: Trigger a crash)$", re.MULTILINE)
_RELEASE = re.compile(rb"Linux version (\S+) ")
_COMM_RELEASE = re.compile(rb"Comm: .{1,15} .*?(?:Not tainted|Tainted: [A-Z ]+?) (\d+\.\d+\S*) ")
_UPTIME = re.compile(rb"^(?:<\d+>)?\[ *(\d+\.\d+)\]", re.MULTILINE)

# Names of /proc/meminfo by the kernel's counters; the first that the kernel has.
_COUNTED = (
    ("mem_free", ("NR_FREE_PAGES",)),
    ("active_anon", ("NR_ACTIVE_ANON",)),
    ("inactive_anon", ("NR_INACTIVE_ANON",)),
    ("active_file", ("NR_ACTIVE_FILE",)),
    ("inactive_file", ("NR_INACTIVE_FILE",)),
    ("unevictable", ("NR_UNEVICTABLE",)),
    ("mlocked", ("NR_MLOCK",)),
    ("dirty", ("NR_FILE_DIRTY",)),
    ("writeback", ("NR_WRITEBACK",)),
    ("anon_pages", ("NR_ANON_MAPPED", "NR_ANON_PAGES")),
    ("mapped", ("NR_FILE_MAPPED",)),
    ("shmem", ("NR_SHMEM",)),
    ("s_reclaimable", ("NR_SLAB_RECLAIMABLE_B", "NR_SLAB_RECLAIMABLE")),
    ("s_unreclaim", ("NR_SLAB_UNRECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE")),
    ("page_tables", ("NR_PAGETABLE",)),
    ("sec_page_tables", ("NR_SECONDARY_PAGETABLE",)),
    ("nfs_unstable", ("NR_UNSTABLE_NFS",)),
    ("bounce", ("NR_BOUNCE",)),
    ("writeback_tmp", ("NR_WRITEBACK_TEMP",)),
    ("cma_free", ("NR_FREE_CMA_PAGES",)),
)
# Counters that came or went with kernels: no line of /proc/meminfo is no gap.
_COME_AND_GO = ("sec_page_tables", "nfs_unstable", "bounce", "writeback_tmp", "cma_free")

# Settings by the variables that hold them, the newest name first.
SETTINGS = (
    ("kernel.panic", ("panic_timeout",)),
    ("kernel.panic_on_oops", ("panic_on_oops",)),
    ("kernel.panic_on_warn", ("panic_on_warn",)),
    ("kernel.hung_task_panic", ("sysctl_hung_task_panic",)),
    ("kernel.softlockup_panic", ("softlockup_panic",)),
    ("vm.admin_reserve_kbytes", ("sysctl_admin_reserve_kbytes",)),
    ("vm.dirty_background_bytes", ("dirty_background_bytes",)),
    ("vm.dirty_background_ratio", ("dirty_background_ratio",)),
    ("vm.dirty_bytes", ("vm_dirty_bytes",)),
    # Kept in hundredths of a second, as they are set.
    ("vm.dirty_expire_centisecs", ("dirty_expire_interval",)),
    ("vm.dirty_ratio", ("vm_dirty_ratio",)),
    ("vm.dirty_writeback_centisecs", ("dirty_writeback_interval",)),
    ("vm.max_map_count", ("sysctl_max_map_count",)),
    ("vm.min_free_kbytes", ("min_free_kbytes",)),
    ("vm.oom_dump_tasks", ("sysctl_oom_dump_tasks",)),
    ("vm.oom_kill_allocating_task", ("sysctl_oom_kill_allocating_task",)),
    ("vm.overcommit_kbytes", ("sysctl_overcommit_kbytes",)),
    ("vm.overcommit_memory", ("sysctl_overcommit_memory",)),
    ("vm.overcommit_ratio", ("sysctl_overcommit_ratio",)),
    ("vm.page-cluster", ("page_cluster",)),
    ("vm.panic_on_oom", ("sysctl_panic_on_oom",)),
    ("vm.swappiness", ("vm_swappiness",)),
    ("vm.user_reserve_kbytes", ("sysctl_user_reserve_kbytes",)),
    ("vm.vfs_cache_pressure", ("sysctl_vfs_cache_pressure",)),
    ("vm.watermark_boost_factor", ("watermark_boost_factor",)),
    ("vm.watermark_scale_factor", ("watermark_scale_factor",)),
    ("vm.zone_reclaim_mode", ("node_reclaim_mode", "zone_reclaim_mode")),
)


class Reader:
    """Reads one dumped kernel. One part that fails in a way nobody foresaw does not cost the others."""

    def __init__(self, kernel, limit):
        self.kernel = kernel
        self.limit = limit
        self.page = kernel.page
        self.unavailable = {}

    def attempt(self, name, function, *arguments):
        """Return the function's answer, or None with the reason."""
        try:
            return function(*arguments)
        except Exception as error:  # a dump may hold anything, half-written structures too
            self.unavailable[name] = reason(error)
            return None

    def _pages(self, name, function, *arguments):
        value = self.attempt(name, function, *arguments)
        return None if value is None else value * self.page

    def read(self):
        """Return everything but the log."""
        counters = self.attempt("memory", self.kernel.counters) or {}
        zones = self.attempt("zones", self.kernel.zones)
        swap = self.attempt("swap", self._swap)
        memory = self._memory(counters, zones, swap)
        groups = self.attempt("cgroups", self._groups)
        settings = self._settings()
        return {
            "system": self.attempt("system", self._system),
            "memory": memory,
            "swap": swap,
            "zones": self._zones(zones),
            "hugepages": self.attempt("hugepages", self.kernel.hugepages),
            "slab": self.attempt("slab", self._slab),
            "writeback": self._writeback(memory, zones, settings),
            "processes": self.attempt("processes", self._processes),
            "cgroups": groups,
            "overcommit": self._overcommit(memory, settings),
            "sysctl": {"keys": {key: {"running": value} for key, value in settings.items()}},
        }

    def _system(self):
        return dict(self.kernel.names(), page_size=self.page)

    def _swap(self):
        whole, free = self.kernel.swap_usage()
        devices = [
            {
                "path": each["path"],
                "kind": "file" if each["file"] else "zram" if "/zram" in each["path"] else "partition",
                "size": each["pages"] * self.page,
                "used": each["used"] * self.page,
                "priority": each["priority"],
            }
            for each in self.attempt("swap.devices", self.kernel.swaps) or []
        ]
        return {
            "total": whole * self.page,
            "free": free * self.page,
            "used": (whole - free) * self.page,
            "cached": self._pages("swap.cached", self.kernel.swap_cached),
            "swappiness": self.attempt("swap.swappiness", self.kernel.value, "vm_swappiness"),
            "devices": devices,
        }

    def _memory(self, counters, zones, swap):
        """Return the lines of /proc/meminfo, in bytes."""
        found = {"mem_total": self._pages("memory.mem_total", self.kernel.ram)}
        for name, sources in _COUNTED:
            value = next((counters[source] for source in sources if source in counters), None)
            if value is not None:
                found[name] = value * self.page
            elif name not in _COME_AND_GO:
                found[name] = None
                self.unavailable.setdefault("memory." + name, "this kernel has no counter %s" % " or ".join(sources))
        found["buffers"] = self._pages("memory.buffers", self.kernel.buffers)
        found["swap_cached"] = None if swap is None else swap["cached"]
        file_pages = counters.get("NR_FILE_PAGES")
        parts = (found["buffers"], found["swap_cached"])
        found["cached"] = None
        if file_pages is not None and None not in parts:
            found["cached"] = max(0, file_pages * self.page - sum(parts))
        if None not in (found["s_reclaimable"], found["s_unreclaim"]):
            found["slab"] = found["s_reclaimable"] + found["s_unreclaim"]
            misc = counters.get("NR_KERNEL_MISC_RECLAIMABLE")
            if misc is not None:
                found["k_reclaimable"] = found["s_reclaimable"] + misc * self.page
        found["kernel_stack"] = self._stacks(counters)
        found["swap_total"], found["swap_free"] = (None, None) if swap is None else (swap["total"], swap["free"])
        commit = self.attempt("memory.commit_limit", self.kernel.commit)
        found["commit_limit"], found["committed_as"] = [
            None if commit is None else each * self.page for each in commit or (None, None)
        ]
        found["vmalloc_used"] = self._pages("memory.vmalloc_used", self.kernel.value, "nr_vmalloc_pages")
        found["percpu"] = self._pages("memory.percpu", self._percpu)
        found["mem_available"] = self._pages("memory.mem_available", self._available, counters, zones)
        self._huge(found)
        return found

    def _stacks(self, counters):
        if "NR_KERNEL_STACK_KB" in counters:
            return counters["NR_KERNEL_STACK_KB"] * 1024
        # Counted in stacks before 4.9, and their size is no counter.
        self.unavailable["memory.kernel_stack"] = "this kernel counts stacks, not their size"
        return None

    def _percpu(self):
        return self.kernel.value("pcpu_nr_populated") * self.kernel.value("pcpu_nr_units")

    def _available(self, counters, zones):
        if zones is None:
            raise LookupError("no zones")
        low = sum(zone["low"] for zone in zones)
        cache = counters["NR_ACTIVE_FILE"] + counters["NR_INACTIVE_FILE"]
        slab = next(counters[name] for name in ("NR_SLAB_RECLAIMABLE_B", "NR_SLAB_RECLAIMABLE") if name in counters)
        slab += counters.get("NR_KERNEL_MISC_RECLAIMABLE", 0)
        available = counters["NR_FREE_PAGES"] - self.kernel.value("totalreserve_pages")
        available += cache - min(cache // 2, low) + slab - min(slab // 2, low)
        return max(0, available)

    def _huge(self, found):
        pools = self.attempt("memory.hugetlb", self.kernel.hugepages)
        if pools is None:
            return
        found["hugetlb"] = sum(pool["size"] * pool["total"] for pool in pools)
        default = next((pool for pool in pools if pool["default"]), None)
        if default:
            found["hugepagesize"] = default["size"]
            for name, part in (("total", "total"), ("free", "free"), ("rsvd", "reserved"), ("surp", "surplus")):
                found["huge_pages_" + name] = default[part]

    def _zones(self, zones):
        """Return the zones as a report of the OOM killer names their counters."""
        if zones is None:
            return None
        names = (
            ("free", "NR_FREE_PAGES"),
            ("active_anon", "NR_ZONE_ACTIVE_ANON"),
            ("inactive_anon", "NR_ZONE_INACTIVE_ANON"),
            ("active_file", "NR_ZONE_ACTIVE_FILE"),
            ("inactive_file", "NR_ZONE_INACTIVE_FILE"),
            ("unevictable", "NR_ZONE_UNEVICTABLE"),
            ("writepending", "NR_ZONE_WRITE_PENDING"),
            ("mlocked", "NR_MLOCK"),
            ("free_cma", "NR_FREE_CMA_PAGES"),
        )
        found = []
        for zone in zones:
            row = {"node": zone["node"], "zone": zone["name"]}
            for name in ("present", "managed", "min", "low", "high"):
                row[name] = zone[name] * self.page
            for name, counter in names:
                if counter in zone["counters"]:
                    row[name] = zone["counters"][counter] * self.page
            row["lowmem_reserve"] = [each * self.page for each in zone["lowmem_reserve"]]
            row["blocks"] = [{"size": self.page << order, "count": count} for order, count in zone["blocks"]]
            found.append(row)
        return found

    def _slab(self):
        """Return the caches, the largest first, and how many there are; used and total as a report has them."""
        found = [
            {
                "name": cache["name"],
                "used": (cache["objects"] - cache["free"]) * cache["size"],
                "total": cache["objects"] * cache["size"],
                "bytes": cache["pages"] * self.page,
                "objects": cache["objects"],
                "objects_used": cache["objects"] - cache["free"],
                "object_size": cache["size"],
                "reclaimable": cache["reclaimable"],
            }
            for cache in self.kernel.caches()
        ]
        found.sort(key=lambda cache: (-cache["bytes"], cache["name"]))
        if found and found[0]["reclaimable"] is None:
            self.unavailable["slab.reclaimable"] = "the flag is a macro in this kernel, which debug symbols do not tell"
        return {"count": len(found), "bytes": sum(each["bytes"] for each in found), "caches": found[: self.limit]}

    def _settings(self):
        found = {}
        for key, names in SETTINGS:
            value = self.attempt("sysctl." + key, self.kernel.value, *names)
            found[key] = None if value is None else str(value)
        key = "vm.lowmem_reserve_ratio"
        reserve = self.attempt("sysctl." + key, self.kernel.array, "sysctl_lowmem_reserve_ratio")
        found[key] = None if reserve is None else "\t".join(str(each) for each in reserve)
        return found

    def _writeback(self, memory, zones, settings):
        def known(name):
            value = settings.get("vm." + name)
            return None if value is None else int(value)

        names = ("dirty_ratio", "dirty_bytes", "dirty_background_ratio", "dirty_background_bytes")
        found = {name: known(name) for name in names}
        found.update(dirty=memory["dirty"], writeback=memory["writeback"], nfs_unstable=memory.get("nfs_unstable", 0))
        dirtyable = self.attempt("writeback.dirtyable", self._dirtyable, memory)
        limit, background = None, None
        if dirtyable is not None:
            limit, background = writeback.limits(dirtyable, {name: found[name] for name in names}, self.page)
        found.update(dirtyable=dirtyable, dirty_threshold=limit, dirty_background_threshold=background)
        found["limit_by"] = "bytes" if found["dirty_bytes"] else "ratio"
        found["background_limit_by"] = "bytes" if found["dirty_background_bytes"] else "ratio"
        for name, key in (("dirty_expire", "dirty_expire_centisecs"), ("dirty_writeback", "dirty_writeback_centisecs")):
            found[name] = None if known(key) is None else known(key) / 100.0
        found["devices"] = self.attempt("writeback.devices", self._devices)
        return found

    def _dirtyable(self, memory):
        free, reserve = memory["mem_free"], self.kernel.value("totalreserve_pages") * self.page
        return max(0, free - min(free, reserve)) + memory["active_file"] + memory["inactive_file"]

    def _devices(self):
        disks = self.attempt("writeback.disks", self.kernel.disks) or {}
        found = []
        for each in self.kernel.devices():
            row = {"device": each["device"], "name": disks.get(each["device"])}
            for name in ("dirty", "writeback", "read_ahead"):
                row[name] = None if each[name] is None else each[name] * self.page
            # Pages a second, as the kernel estimates it.
            row["write_bandwidth"] = each["write_bandwidth"] * self.page
            for name in ("min_ratio", "max_ratio"):
                # Newer kernels keep it in parts of a hundred thousand, as their max_ratio_fine has it.
                row[name] = each[name] if each["ratio_scale"] else each[name] / 10000.0
            found.append(row)
        return sorted(found, key=lambda row: (-(row["dirty"] + row["writeback"]), row["device"]))

    def _processes(self):
        found, sums = [], {}
        for task in self.kernel.tasks():
            row = {name: task[name] for name in ("pid", "comm", "uid", "threads", "oom_score_adj", "cgroup")}
            for name, part in (
                ("rss_anon", "anon"),
                ("rss_file", "file"),
                ("rss_shmem", "shmem"),
                ("swap", "swap"),
                ("locked", "locked"),
            ):
                row[name] = None if task[part] is None else max(0, task[part]) * self.page
            row["rss"] = row["rss_anon"] + row["rss_file"] + row["rss_shmem"]
            row["page_tables"] = task["page_tables_bytes"]
            row["unit"] = cgroups.unit_of(task["cgroup"]) if task["cgroup"] else None
            found.append(row)
            group = sums.setdefault(
                row["comm"], {"comm": row["comm"], "processes": 0, "rss": 0, "swap": 0, "rss_anon": 0, "rss_shmem": 0}
            )
            group["processes"] += 1
            for name in ("rss", "swap", "rss_anon", "rss_shmem"):
                group[name] += row[name]

        def by_size(row):
            return (-(row["rss"] + row["swap"]), row.get("pid", 0), row["comm"])

        # Both the largest in memory and the largest in swap.
        found.sort(key=by_size)
        top = found[: self.limit]
        listed = {row["pid"] for row in top}
        swapped = sorted(found, key=lambda row: (-row["swap"], row["pid"]))[: self.limit]
        top += [row for row in swapped if row["swap"] and row["pid"] not in listed]
        return {
            "count": len(found),
            "examined": len(found),
            "resident": sum(row["rss"] for row in found),
            "swapped": sum(row["swap"] for row in found),
            "top": top,
            "by_comm": sorted(sums.values(), key=by_size)[: self.limit],
        }

    def _groups(self):
        answer = self.kernel.groups()
        if answer is None:
            return None
        version, rows = answer
        # PAGE_COUNTER_MAX: no limit. It is LONG_MAX / PAGE_SIZE, on 32 bits LONG_MAX (include/linux/page_counter.h).
        unlimited = ((1 << 63) - 1) // self.page if self.page else 0
        found = []
        for row in rows:
            memory, swap, counts, events = row["memory"], row["swap"], row["counts"], row["events"]

            def size(value):
                return None if value is None or value >= unlimited else value * self.page

            def counted(name, counts=counts):
                return None if name not in counts else counts[name] * self.page

            found.append(
                {
                    "path": row["path"],
                    "unit": cgroups.unit_of(row["path"]),
                    "container": cgroups.in_container(row["path"]),
                    "current": size(memory["usage"]),
                    "peak": size(memory["peak"]),
                    "high": size(memory["high"]),
                    "max": size(memory["max"]),
                    "swap_current": size(swap["usage"]) if swap and version == "v2" else None,
                    "swap_max": size(swap["max"]) if swap and version == "v2" else None,
                    "anon": counted("NR_ANON_MAPPED"),
                    "file": counted("NR_FILE_PAGES"),
                    "shmem": counted("NR_SHMEM"),
                    "dirty": counted("NR_FILE_DIRTY"),
                    "writeback": counted("NR_WRITEBACK"),
                    "kernel": counted("MEMCG_KMEM"),
                    "events": {
                        name: events.get("MEMCG_" + name.upper()) for name in ("low", "high", "max", "oom", "oom_kill")
                    },
                }
            )
        if rows and not rows[0]["counts"]:
            self.unavailable["cgroups.anon"] = (
                "where this kernel keeps a cgroup's counters is in none of its structures"
            )
        found.sort(key=lambda row: (-(row["current"] or 0), row["path"]))
        return {"version": version, "examined": len(found), "groups": found[: self.limit]}

    def _overcommit(self, memory, settings):
        def known(name):
            value = settings.get("vm.overcommit_" + name)
            return None if value is None else int(value)

        return {
            "mode": known("memory"),
            "ratio": known("ratio"),
            "kbytes": known("kbytes"),
            "commit_limit": memory["commit_limit"],
            "committed": memory["committed_as"],
        }


def from_log(data, path, crashed=None, uptime=None):
    """Return what the log of a crash tells: kernel, panic message, the report that led to it.

    data is the log in bytes, crashed the seconds since 1970 and uptime the seconds since boot of the crash where known.
    """
    last = None
    for match in _UPTIME.finditer(data[-65536:]):
        last = float(match.group(1))
    uptime = last if uptime is None else uptime
    boot = None if crashed is None or uptime is None else crashed - uptime
    assembler = Assembler(crashed, path, "file", boot)
    reports = [report for report in scan([data], assembler) if report["kind"] == "oom"]
    panics = _PANIC.findall(data) or _OTHER_PANIC.findall(data)
    release = _RELEASE.search(data) or _COMM_RELEASE.search(data)
    led_to = reports[-1] if reports and reports[-1]["panicked"] else None
    message = None
    if panics:
        message = "".join(sign if sign.isprintable() else "?" for sign in panics[-1].decode("utf-8", "replace").strip())
    return {
        "panic": message,
        "report": led_to,
        "oom_reports": len(reports),
        "kernel": release.group(1).decode("ascii", "replace") if release else None,
        "uptime": uptime,
        "log_bytes": len(data),
    }


def moment(epoch):
    """Return seconds since 1970 as ISO 8601, or None."""
    return None if epoch is None else kernel_log.iso_utc(epoch)
