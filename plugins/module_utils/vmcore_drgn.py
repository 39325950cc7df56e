# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dumped kernel as plain numbers: the only place that knows drgn.

Kernel answers a few questions (which counters, which zones, which tasks) with Python data in the kernel's own units,
pages mostly; vmcore.py makes facts of them, and tests put another object in its place. Which structure a kernel has is
asked of the structures, never of its version: a symbol or member that is not there raises LookupError or
AttributeError, a page that is not in the dump drgn.FaultError. Nothing here reads what processes have in memory.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import logging
import os
import re

try:
    import drgn
    from drgn.helpers.linux import block as drgn_block
    from drgn.helpers.linux import cgroup as drgn_cgroup
    from drgn.helpers.linux import hugetlb as drgn_hugetlb
    from drgn.helpers.linux import mm as drgn_mm
    from drgn.helpers.linux import mmzone as drgn_mmzone
    from drgn.helpers.linux import percpu as drgn_percpu
    from drgn.helpers.linux import pid as drgn_pid
    from drgn.helpers.linux import printk as drgn_printk
    from drgn.helpers.linux import slab as drgn_slab
    from drgn.helpers.linux import swap as drgn_swap
    from drgn.helpers.linux import timekeeping as drgn_time
    from drgn.helpers.linux.list import list_for_each_entry

    WHY_NOT = None
except ImportError as error:
    drgn = None
    WHY_NOT = "drgn, which reads dumps, is not there for this Python (%s); install it with pip install drgn" % error

# MAJ:MIN of a device number inside the kernel (include/linux/kdev_t.h MINORBITS).
_MINOR_BITS = 20
# The bit of include/linux/slab.h SLAB_RECLAIM_ACCOUNT; before 6.9 a macro, which no debug information tells.
_RECLAIM_NAME = "_SLAB_RECLAIM_ACCOUNT"


def text(value):
    """Return the bytes of a dump as text that can be printed."""
    return "".join(sign if sign.isprintable() else "?" for sign in value.decode("utf-8", "replace"))


class OpenError(Exception):
    """A dump that cannot be opened; the text says why, in one clause."""


def open_dump(path):
    """Return the drgn.Program of a dump. Raises OpenError."""
    if drgn is None:
        raise OpenError(WHY_NOT)
    logging.getLogger("drgn").addHandler(logging.NullHandler())
    logging.getLogger("drgn").propagate = False
    program = drgn.Program()
    try:
        program.set_core_dump(path)
    except Exception as error:  # drgn and libkdumpfile raise whatever fits
        raise OpenError("drgn cannot open it: %s" % str(error).strip().splitlines()[0])
    return program


def identity(program):
    """Return (kernel release, build ID or None) of the dump, without debug symbols. Raises OpenError."""
    try:
        info = program["VMCOREINFO"].string_().decode("ascii", "replace")
    except Exception as error:
        raise OpenError("it holds no VMCOREINFO, which names its kernel (%s)" % error)
    found = dict(line.split("=", 1) for line in info.splitlines() if "=" in line)
    release = found.get("OSRELEASE")
    if not release or not re.match(r"^[\w.+~:-]+$", release):
        raise OpenError("its VMCOREINFO names no kernel release")
    return release, found.get("BUILD-ID")


def load_symbols(program, path):
    """Load a vmlinux into the program; None asks debuginfod. Raises OpenError where it does not fit the dump."""
    if path is None:
        _check_debuginfod(program)
    try:
        # Named, since drgn leaves debuginfod out for kernels other than Fedora's.
        program.set_enabled_debug_info_finders(["debuginfod"] if path is None else [])
        program.load_debug_info([path] if path else None, main=path is None)
    except Exception as error:
        raise OpenError(str(error).strip().splitlines()[0])
    if program.main_module().wants_debug_file():
        raise OpenError("it is of another build of the kernel, or holds no debug information")


def _check_debuginfod(program):
    """Raise OpenError where nobody can be asked: drgn itself then only says that symbols are missing."""
    if "debuginfod" not in program.registered_debug_info_finders():
        raise OpenError("this drgn was built without debuginfod")
    if not os.environ.get("DEBUGINFOD_URLS", "").strip():
        raise OpenError("DEBUGINFOD_URLS is not set in the environment of the module, so that no server is asked")


def is_missing(error):
    """Return whether an error means that this kernel has no such symbol or member."""
    return isinstance(error, (LookupError, AttributeError))


def reason(error):
    """Return why something could not be read, in one clause."""
    if is_missing(error):
        return "this kernel's structures do not give it (%s)" % str(error).strip("'\"")
    if drgn is not None and isinstance(error, drgn.FaultError):
        return "the page is not in the dump (%s)" % error
    return "%s: %s" % (type(error).__name__, error)


class Kernel:
    """The kernel of a dump. All sizes are pages unless a name says bytes."""

    def __init__(self, program):
        self.program = program
        self.page = program["PAGE_SIZE"].value_()
        self._paths = {}

    def value(self, *names):
        """Return the number in the first of these variables that the kernel has. Raises LookupError."""
        for name in names:
            try:
                found = self.program[name]
            except LookupError:
                continue
            return self._plain(found)
        raise LookupError("no symbol %s" % " or ".join(names))

    def array(self, *names):
        """Return the numbers in the first of these arrays that the kernel has. Raises LookupError."""
        for name in names:
            try:
                return [each.value_() for each in self.program[name]]
            except LookupError:  # noqa: PERF203 (a handful of names)
                continue
        raise LookupError("no symbol %s" % " or ".join(names))

    def _plain(self, found):
        try:
            return found.counter.value_()
        except AttributeError:
            return found.value_()

    def _has(self, name):
        try:
            return bool(self.program[name].type_)
        except LookupError:
            return False

    def _enumerators(self, name):
        try:
            return self.program.type("enum " + name).enumerators
        except LookupError:
            return ()

    def counters(self):
        """Return {name: pages} of the kernel's global counters, as /proc/vmstat has them: never below 0."""
        return self._counted(
            (("node_stat_item", ("vm_node_stat",)), ("zone_stat_item", ("vm_zone_stat", "vm_stat"))), self.program
        )

    def _counted(self, kinds, place):
        found = {}
        for kind, arrays in kinds:
            for name in arrays:
                try:
                    values = place[name] if place is self.program else getattr(place, name)
                except (LookupError, AttributeError):
                    continue
                values = values.read_()
                length = values.type_.length
                for item in self._enumerators(kind):
                    if 0 <= item.value < length:
                        found.setdefault(item.name, max(0, values[item.value].counter.value_()))
                break
        return found

    def zones(self):
        """Return each zone that has pages: its node, name, sizes, watermarks, reserves, counters and free blocks."""
        found = []
        for node in drgn_mmzone.for_each_online_pgdat(self.program):
            for zone in node.node_zones:
                if not zone.present_pages.value_():
                    continue
                found.append(self._zone(node, zone))
        return found

    def _zone(self, node, zone):
        managed = self._plain(zone.managed_pages)
        return {
            "node": node.node_id.value_(),
            "name": text(zone.name.string_()),
            "present": zone.present_pages.value_(),
            "managed": managed,
            "min": int(drgn_mmzone.min_wmark_pages(zone)),
            "low": int(drgn_mmzone.low_wmark_pages(zone)),
            "high": int(drgn_mmzone.high_wmark_pages(zone)),
            "lowmem_reserve": [each.value_() for each in zone.lowmem_reserve],
            "counters": self._counted((("zone_stat_item", ("vm_stat",)),), zone),
            "blocks": [(order, area.nr_free.value_()) for order, area in enumerate(zone.free_area)],
        }

    def hugepages(self):
        """Return the pools of huge pages: size in bytes, the others counts; the default pool says so."""
        try:
            default = self.program["default_hstate_idx"].value_()
        except LookupError:
            default = None
        found = []
        for index, state in enumerate(drgn_hugetlb.for_each_hstate(self.program)):
            found.append(
                {
                    "size": int(drgn_hugetlb.huge_page_size(state)),
                    "total": state.nr_huge_pages.value_(),
                    "free": state.free_huge_pages.value_(),
                    "reserved": state.resv_huge_pages.value_(),
                    "surplus": state.surplus_huge_pages.value_(),
                    "default": index == default,
                }
            )
        return found

    def ram(self):
        """Return all RAM that the kernel manages."""
        return drgn_mm.totalram_pages(self.program)

    def buffers(self):
        """Return the pages of the caches of block devices."""
        return drgn_block.nr_blockdev_pages(self.program)

    def swap_cached(self):
        """Return the pages in the swap cache."""
        return drgn_swap.total_swapcache_pages(self.program)

    def swap_usage(self):
        """Return (pages, free pages) of all swap."""
        usage = drgn_swap.swap_total_usage(self.program)
        return usage.pages, usage.free_pages

    def commit(self):
        """Return (limit, committed)."""
        return drgn_mm.vm_commit_limit(self.program), drgn_mm.vm_memory_committed(self.program)

    def swaps(self):
        """Return each swap device: path, whether a file, pages, used pages, priority."""
        return [
            {
                "path": text(drgn_swap.swap_file_path(info)),
                "file": bool(drgn_swap.swap_is_file(info)),
                "pages": info.pages.value_(),
                "used": drgn_swap.swap_usage_in_pages(info),
                "priority": info.prio.value_(),
            }
            for info in drgn_swap.for_each_swap_info(self.program)
        ]

    def disks(self):
        """Return {"MAJ:MIN": name} of the disks."""
        found = {}
        for disk in drgn_block.for_each_disk(self.program):
            number = drgn_block.disk_devt(disk).value_()
            found[self._number(number)] = text(drgn_block.disk_name(disk))
        return found

    def _number(self, number):
        return "%d:%d" % (number >> _MINOR_BITS, number & ((1 << _MINOR_BITS) - 1))

    def devices(self):
        """Return each backing device with its dirty and written pages and its limits, summed over its cgroups."""
        items = {item.name: item.value for item in self._enumerators("wb_stat_item")}
        found = []
        head = self.program["bdi_list"].address_of_()
        for info in list_for_each_entry("struct backing_dev_info", head, "bdi_list"):
            try:
                parts = list(list_for_each_entry("struct bdi_writeback", info.wb_list.address_of_(), "bdi_node"))
            except AttributeError:
                parts = [info.wb.address_of_()]
            sums = {}
            for name in ("WB_RECLAIMABLE", "WB_WRITEBACK"):
                sums[name] = sum(
                    max(0, drgn_percpu.percpu_counter_sum(part.stat[items[name]].address_of_())) for part in parts
                )
            found.append(
                {
                    "device": self._device_name(info),
                    "dirty": sums["WB_RECLAIMABLE"],
                    "writeback": sums["WB_WRITEBACK"],
                    "write_bandwidth": sum(self._optional(part, "avg_write_bandwidth") or 0 for part in parts),
                    "min_ratio": self._optional(info, "min_ratio"),
                    "max_ratio": self._optional(info, "max_ratio"),
                    "ratio_scale": 100 if self._optional(info, "max_ratio") in (None, *range(101)) else None,
                    "read_ahead": self._optional(info, "ra_pages"),
                }
            )
        return found

    def _device_name(self, info):
        """Return "MAJ:MIN" of a backing device, or what else it is called."""
        try:
            return text(info.dev_name.string_())
        except AttributeError:
            device = info.dev.read_()
            return text(device.kobj.name.string_()) if device else "?"

    def _optional(self, place, name):
        try:
            return self._plain(getattr(place, name))
        except AttributeError:
            return None

    def caches(self):
        """Return each slab cache: name, bytes of an object, objects, free objects, pages, whether reclaimable."""
        try:
            reclaimable = 1 << self.program[_RECLAIM_NAME].value_()
        except LookupError:
            reclaimable = None
        found = []
        for cache in drgn_slab.for_each_slab_cache(self.program):
            usage = drgn_slab.slab_cache_usage(cache)
            found.append(
                {
                    "name": text(cache.name.string_()),
                    "size": cache.size.value_(),
                    "objects": usage.num_objs,
                    "free": usage.free_objs,
                    "pages": usage.num_slabs * drgn_slab.slab_cache_pages_per_slab(cache),
                    "reclaimable": None if reclaimable is None else bool(cache.flags.value_() & reclaimable),
                }
            )
        return found

    def tasks(self):
        """Return each process with memory of its own: by pages; name only, never arguments or environment."""
        found = []
        for task in drgn_pid.for_each_task(self.program):
            if task.tgid.value_() != task.pid.value_():
                continue
            holder = self._with_memory(task)
            if holder is not None:
                found.append(self._task(task, holder))
        return found

    def _with_memory(self, task):
        """Return a thread of the process that still has its memory, or None (a kernel thread, or it has ended)."""
        if task.mm.value_():
            return task
        for thread in drgn_pid.for_each_task_in_group(task):
            if thread.mm.value_():
                return thread
        return None

    def _task(self, task, holder):
        rss, memory, signal = drgn_mm.task_rss(self.program, holder), holder.mm.read_(), task.signal.read_()
        try:
            tables = memory.pgtables_bytes.counter.value_()
        except AttributeError:
            tables = None
        return {
            "pid": task.pid.value_(),
            "comm": text(task.comm.string_()),
            "uid": self._plain(task.cred.uid.val),
            "anon": rss.anon,
            "file": rss.file,
            "shmem": rss.shmem,
            "swap": rss.swap,
            "locked": memory.locked_vm.value_() if not hasattr(memory.locked_vm, "counter") else None,
            "page_tables_bytes": tables,
            "threads": signal.nr_threads.value_(),
            "oom_score_adj": signal.oom_score_adj.value_(),
            "cgroup": self._cgroup(task),
        }

    def _cgroup(self, task):
        """Return the path of the process's cgroup in the hierarchy of the memory controller, else in that of v2."""
        sets = task.cgroups.read_()
        group = sets.dfl_cgrp.read_()
        try:
            state = sets.subsys[self.program["memory_cgrp_id"].value_()].read_()
            # On v1 the memory controller has a hierarchy of its own; on v2 it may be off below some group.
            if state and state.cgroup.root.value_() != self.program["cgrp_dfl_root"].address_of_().value_():
                group = state.cgroup.read_()
        except LookupError:
            pass
        return self._path(group)

    def _path(self, group):
        address = group.value_()
        if address not in self._paths:
            self._paths[address] = text(drgn_cgroup.cgroup_path(group)) if address else None
        return self._paths[address]

    def groups(self):
        """Return (version, rows) of the memory cgroups; None where the controller is off."""
        root = self.program["root_mem_cgroup"].read_()
        if not root:
            return None
        unified = root.css.cgroup.root.value_() == self.program["cgrp_dfl_root"].address_of_().value_()
        indices = self._statistics()
        events = {item.name: item.value for item in self._enumerators("memcg_memory_event")}
        found = []
        for state in drgn_cgroup.css_for_each_descendant_pre(root.css.address_of_()):
            group = drgn.container_of(state, "struct mem_cgroup", "css")
            if group == root:
                continue
            found.append(self._group(group, unified, indices, events))
        return "v2" if unified else "v1", found

    def _statistics(self):
        """Return the index of each counter in the statistics of a cgroup, or {} where it is not told."""
        wanted = {"NR_ANON_MAPPED", "NR_FILE_PAGES", "NR_SHMEM", "NR_FILE_DIRTY", "NR_WRITEBACK", "MEMCG_KMEM"}
        place = self._places()
        found = {}
        for kind in ("node_stat_item", "memcg_stat_item"):
            for item in self._enumerators(kind):
                index = place(item.value) if item.name in wanted else None
                if index is not None:
                    found[item.name] = index
        return found

    def _places(self):
        """Return a function from a counter to its place in the statistics of a cgroup, None where it is not kept there.

        Since 6.10 only a part is kept, and a table tells the places (mm/memcontrol.c, init_memcg_stats()). The first
        such kernels count places from 1 and leave 0 for what is not kept, later ones count from 0 and leave U8_MAX.
        """
        if not self._has("mem_cgroup_stats_index"):
            return lambda value: value
        table = [entry.value_() for entry in self.program["mem_cgroup_stats_index"]]
        none, first = (0xFF, 0) if 0xFF in table else (0, 1)
        return lambda value: table[value] - first if value < len(table) and table[value] != none else None

    def _group(self, group, unified, indices, events):
        counts, told = {}, {}
        try:
            state = group.vmstats.state
            counts = {
                name: max(0, state[index].value_()) for name, index in indices.items() if index < state.type_.length
            }
        except AttributeError:
            counts = {}
        try:
            told = {name: group.memory_events[index].counter.value_() for name, index in events.items()}
        except AttributeError:
            told = {}
        swap = self._counter(group, "swap" if unified else "memsw")
        memory = self._counter(group, "memory")
        return {
            "path": self._path(group.css.cgroup.read_()),
            "memory": memory,
            "swap": swap,
            "counts": counts,
            "events": told,
        }

    def _counter(self, group, name):
        try:
            counter = group.member_(name)
        except LookupError:
            return None
        top = getattr(counter, "max", None)
        if top is None:
            top = counter.limit
        return {
            "usage": max(0, counter.usage.counter.value_()),
            "max": top.value_(),
            "high": self._optional(counter, "high"),
            "peak": self._optional(counter, "watermark"),
        }

    def names(self):
        """Return release, host name and machine of the dumped system."""
        name = self.program["init_uts_ns"].name
        return {
            "kernel": text(name.release.string_()),
            "hostname": text(name.nodename.string_()),
            "architecture": text(name.machine.string_()),
        }

    def log(self):
        """Return the kernel's log in bytes, as dmesg prints it."""
        return drgn_printk.get_dmesg(self.program)

    def times(self):
        """Return (seconds since 1970, seconds since boot) of the crash."""
        return int(drgn_time.ktime_get_real_seconds(self.program)), float(drgn_time.uptime(self.program))
