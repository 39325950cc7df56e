# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines of a report that account for memory: of a cgroup, Mem-Info by node and zone, slab, allocations, swap."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report_fields as fields
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_data import (
    ALLOCATIONS,
    BUDDY,
    HUGEPAGES,
    MEMCG,
    MEMINFO,
    NODES,
    SLAB,
    TAIL,
    ZONES,
    integer,
)


class MemoryLines:
    """Takes the lines of an account of memory; each method returns whether it understood the line."""

    def __init__(self, opened):
        self._opened = opened

    def meminfo(self, line, text):
        """Take Mem-Info's first line."""
        if self._opened.just_seen(self._opened.show_memory):
            # SysRq m: the same lines, but no report.
            builder = self._opened.start(line, "memory_dump")
            self._opened.show_memory = -1
        else:
            builder = self._opened.pick(line, MEMINFO, True)
        builder.meminfo = True
        rest = text[9:].strip()
        if rest:
            self.line(line, rest)
        return True

    # Of a cgroup

    def usage(self, line, text):
        """Take what a cgroup uses, and its limits."""
        first = fields.USAGE.search(text).group(1)
        builder = self._opened.pick(line, MEMCG, first == "memory")
        for what, usage, limit, failures in fields.USAGE.findall(text):
            values = {"usage": int(usage) * 1024, "limit": fields.limit_bytes(int(limit)), "failcnt": int(failures)}
            if what == "memory":
                builder.store(builder.memcg, values)
            else:
                builder.store(builder.memcg, {"memsw" if what == "memory+swap" else what: values})
        return True

    def stats(self, line, text):
        """Take the first line of a cgroup's statistics."""
        match = fields.STATS.match(text)
        if not match:
            return False
        builder = self._opened.pick(line, MEMCG)
        if builder.room(builder.groups):
            stats, cut = fields.parse_stats(match.group(2))
            builder.groups.append((match.group(1), stats))
            builder.mixed = builder.mixed or cut
        builder.memcg.setdefault("stats", True)
        return True

    def protection(self, line, text):
        """Take what memory.min and memory.low protect: in the cgroup at its limit, or on the host."""
        match = fields.PROTECTION.search(text)
        builder = self._opened.mine(line) if match else None
        if builder is None:
            return False
        if builder.position > SLAB:
            # The kernel prints it before it lists the tasks, also where it only says that an allocation failed.
            builder.mixed = True
            return True
        minimum, low = (int(one) * 1024 for one in match.groups())
        builder.store(builder.protection, {"min": minimum, "low": low})
        builder.last = self._opened.number
        return True

    def _stat_line(self, line, text):
        builder = None
        for one in reversed(self._opened.builders):
            if (
                one.groups
                and not one.tables
                and not one.finished
                and (line.caller is None or one.caller in (None, line.caller))
            ):
                builder = one
                break
        if builder is None:
            return False
        builder.store(builder.groups[-1][1], fields.parse_stats(text)[0])
        builder.last = self._opened.number
        return True

    def _task_in(self, line, match):
        builder = self._opened.pick(line, MEMCG, True)
        builder.store(builder.memcg, {"task": match.group(1), "limit_of": match.group(2)})
        return True

    # Of the host

    def line(self, line, text):
        """Take any other line with figures."""
        first = text[0]
        if first.isdigit():
            return self._pages_line(line, text)
        colon = text.find(":")
        if colon < 0:
            return self._plain_line(line, text)
        if "kB" in text:
            return self._sizes_line(line, text)
        if first in "aAiusfmkdwpznbv" or text.startswith(("sec_", "slab")):
            match = fields.COUNTERS.match(text)
            if match:
                return self._counters(line, text)
        if "[]:" in text:
            return self._lowmem(line, text)
        return self._colon_line(line, text)

    def _colon_line(self, line, text):
        if fields.PER_CPU.match(text):
            if self._opened.builders:
                self._opened.pick(
                    line, MEMINFO if self._opened.current is None or self._opened.current.position <= MEMINFO else ZONES
                )
            return True
        match = fields.BUDDY_NONE.match(text)
        if match:
            entry = self._opened.pick(line, BUDDY).zone(integer(match.group(1)), match.group(2))
            entry["buddy"], entry["total"] = entry["buddy"] or [], entry["total"] or 0
            return True
        match = fields.SWAP_STATS.match(text)
        if match:
            builder = self._opened.pick(line, TAIL)
            added, deleted, found, looked_up = (int(one) for one in match.groups())
            values = {"added": added, "deleted": deleted, "found": found, "looked_up": looked_up}
            if builder.swap_stats not in (None, values):
                builder.mixed = True
            builder.swap_stats = builder.swap_stats or values
            return True
        match = fields.TASK_IN.match(text)
        if match:
            return self._task_in(line, match)
        if text.startswith("Unreclaimable slab info:"):
            builder = self._opened.pick(line, SLAB)
            builder.slab = builder.slab or []
            return True
        builder = self._opened.mine(line) if "func:" in text else None
        if builder is not None and builder.allocations is not None:
            return self._tags(builder, text)
        return False

    def _plain_line(self, line, text):
        match = fields.TASK_IN.match(text)
        if match:
            return self._task_in(line, match)
        match = fields.SWAP.match(text)
        if match:
            return self._swap(line, match)
        match = fields.HUGEPAGES.match(text)
        if match:
            return self._hugepages(line, match)
        builder = self._opened.mine(line)
        if builder is None:
            return False
        if builder.slab is not None and builder.position == SLAB:
            return self._slab_line(builder, text)
        if fields.STAT_LINE.match(text):
            return self._stat_line(line, text)
        if "moom_callback" in text and builder.kind == "oom":
            builder.sysrq = True
        return False

    def _counters(self, line, text):
        parsed = fields.parse_counters(text)
        if parsed is None:
            return False
        values, cut = parsed
        begins = "active_anon" in values or "active" in values
        if not begins and not any(builder.pages for builder in self._opened.builders):
            return False
        builder = self._opened.pick(
            line, MEMINFO, begins and bool(self._opened.current and "free" in self._opened.current.pages)
        )
        builder.store(builder.pages, values)
        if cut:
            builder.mixed = True
        return True

    def _sizes_line(self, line, text):
        match = fields.ZONE.match(text)
        if match:
            return self._zone(line, match, text)
        match = fields.NODE.match(text)
        if match:
            builder = self._opened.pick(line, NODES)
            values, flags, cut = fields.parse_sizes(text)
            node = int(match.group(1))
            for entry in builder.nodes:
                if entry["node"] == node:
                    builder.mixed = builder.mixed or entry["sizes"] != values
                    return True
            if builder.room(builder.nodes):
                builder.nodes.append({"node": node, "sizes": values, "flags": flags})
            builder.mixed = builder.mixed or cut
            return True
        match = fields.BUDDY.match(text)
        if match:
            return self._buddy(line, match)
        match = fields.SWAP.match(text)
        if match:
            return self._swap(line, match)
        return self._colon_line(line, text)

    def _zone(self, line, match, text):
        builder = self._opened.pick(line, ZONES)
        values, flags, cut = fields.parse_sizes(text)
        node = integer(match.group(1))
        entry = builder.zone(node, match.group(2), values)
        if entry["sizes"] != values:
            builder.mixed = True
            return True
        entry["flags"] = flags
        builder.mixed = builder.mixed or cut
        return True

    def _lowmem(self, line, text):
        match = fields.LOWMEM.match(text)
        if not match:
            return False
        if not self._opened.builders:
            return True
        builder = self._opened.pick(line, ZONES)
        values = [int(one) for one in match.group(1).split()]
        if builder.zones:
            entry = builder.zones[-1]
            others = [zone["reserve"] for zone in builder.zones if zone["reserve"] is not None]
            if entry["reserve"] not in (None, values) or entry["buddy"] is not None:
                builder.mixed = True
            elif others and len(others[0]) != len(values):
                # Every zone's line has a number for each zone.
                builder.mixed = True
            elif entry["reserve"] is None:
                entry["reserve"] = values
        return True

    def _buddy(self, line, match):
        builder = self._opened.pick(line, BUDDY)
        parts, total, cut = fields.parse_buddy(match.group(3))
        entry = builder.zone(integer(match.group(1)), match.group(2))
        if entry["buddy"] not in (None, parts):
            builder.mixed = True
        elif total is not None and not cut and sum(one["size"] * one["count"] for one in parts) != total:
            # The kernel prints the sum of what it printed before; a difference is a damaged line.
            builder.mixed = True
        else:
            entry["buddy"], entry["total"] = parts, total
        builder.mixed = builder.mixed or cut
        return True

    def _hugepages(self, line, match):
        builder = self._opened.pick(line, HUGEPAGES)
        node, total, free, surplus, size = match.groups()
        entry = {
            "node": integer(node),
            "total": int(total),
            "free": int(free),
            "surplus": int(surplus),
            "size": int(size) * 1024,
        }
        for other in builder.hugepages:
            if (other["node"], other["size"]) == (entry["node"], entry["size"]):
                builder.mixed = builder.mixed or other != entry
                return True
        if builder.room(builder.hugepages):
            builder.hugepages.append(entry)
        return True

    def _swap(self, line, match):
        builder = self._opened.pick(line, TAIL)
        builder.store(builder.sizes, {"swap_" + match.group(1).lower(): int(match.group(2)) * 1024})
        return True

    def _pages_line(self, line, text):
        match = fields.PAGECACHE.match(text)
        if match:
            builder = self._opened.pick(line, TAIL)
            builder.store(builder.pages, {"pagecache": int(match.group(1))})
            return True
        match = fields.PAGES.match(text)
        if match:
            builder = self._opened.pick(line, TAIL)
            name = fields.pages_name(match.group(2))
            if name is None:
                builder.mixed = True
            elif name in ("dirty", "writeback", "mapped", "slab", "pagetables", "free", "shared", "non_shared"):
                # The oldest kernels say these twice, at different moments; the first account stands.
                builder.pages.setdefault(name, int(match.group(1)))
            else:
                builder.store(builder.pages, {name: int(match.group(1))})
            return True
        builder = self._opened.mine(line) if "func:" in text else None
        return builder is not None and builder.allocations is not None and self._tags(builder, text)

    # Of the kernel's own

    def _slab_line(self, builder, text):
        match = fields.SLAB.match(text)
        if not match:
            return bool(fields.SLAB_TITLE.match(text))
        row = (match.group(1), int(match.group(2)) * 1024, int(match.group(3)) * 1024)
        if row not in builder.slab and builder.room(builder.slab):
            builder.slab.append(row)
        builder.last = self._opened.number
        return True

    def allocations(self, line, text):
        """Take the first line of what the kernel's functions had allocated."""
        builder = self._opened.pick(line, ALLOCATIONS)
        builder.allocations = builder.allocations or []
        self._tags(builder, text)
        return True

    def _tags(self, builder, text):
        done = False
        for part in text.split("\n"):
            match = fields.ALLOCATION_TAG.match(part.strip())
            tag = fields.parse_tag(match) if match else None
            if tag:
                if tag not in builder.allocations and builder.room(builder.allocations):
                    builder.allocations.append(tag)
                builder.last = self._opened.number
                done = True
        return done
