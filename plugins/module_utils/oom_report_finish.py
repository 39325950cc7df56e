# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plain data that becomes of a report when all its lines were read.

Pages become bytes only here, because the size of a page is known only when the whole report is.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections

from ansible_collections.linux_memory.oom.plugins.module_utils import kernel_log
from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report_fields as fields
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_data import empty_victim

# The log that a report was read from. reference: the epoch time that it does not reach beyond. boot_time: the epoch
# time of the boot that runs now, where the log is of that boot, so that seconds since boot tell the time.
Log = collections.namedtuple("Log", ["reference", "path", "source", "boot_time"])


def finish(builder, log):
    """Return the report as plain data. All sizes are bytes; what was not printed is None or missing."""
    size, how = _page_size(builder)
    when, epoch, assumed = kernel_log.wall_clock(builder.line, log.reference)
    from_boot = when is None and builder.line.uptime is not None and log.boot_time is not None
    if from_boot:
        epoch = log.boot_time + builder.line.uptime
        when = kernel_log.iso_utc(epoch)
    victims = [_with_row(victim, builder, size) for victim in builder.victims]
    if not victims and builder.intent is not None:
        victims = [
            _with_row(
                dict(empty_victim(builder.intent["pid"], builder.intent["comm"]), score=builder.intent["score"]),
                builder,
                size,
            )
        ]
    context = builder.context or {}
    report = {
        "kind": builder.kind,
        "path": log.path,
        "source": log.source,
        "time": when,
        "epoch": epoch,
        "time_text": _text(builder.line.stamp),
        "year_assumed": assumed,
        "time_computed": from_boot,
        "uptime": builder.line.uptime,
        "host": builder.line.host,
        "boot": builder.line.boot,
        "kernel": builder.kernel,
        "scope": None,
        "constraint": _constraint(builder),
        "cgroup": None,
        "oom_memcg": context.get("oom_memcg") or builder.memcg.get("limit_of"),
        "task_memcg": context.get("task_memcg") or builder.memcg.get("task"),
        "nodemask": _mask(context.get("nodemask")) or _mask(builder.nodemask),
        "mems_allowed": context.get("mems_allowed", builder.mems_allowed),
        "cpuset": context.get("cpuset", builder.cpuset),
        "sysrq": builder.sysrq,
        "trigger": builder.trigger,
        "victim": victims[0] if victims else None,
        "victims": victims,
        "group_kill": builder.group,
        "outcome": _outcome(builder),
        "allocating_task": "oom_kill_allocating_task" in (builder.message or ""),
        "panicked": builder.panic is not None,
        "panic": builder.panic,
        "reaped": builder.reaped,
        "page_size": size,
        "page_size_from": how,
        "memory": {name: pages * size for name, pages in builder.pages.items()} or None,
        "swap": _swap_totals(builder, size),
        "nodes": [_flat(node, "node") for node in builder.nodes],
        "zones": [_zone_entry(zone, size) for zone in builder.zones],
        "hugepages": builder.hugepages,
        "memcg": _memcg(builder),
        "protection": builder.protection or None,
        "tasks": _tasks(builder, size),
        "tasks_total": None,
        "tasks_by_comm": None,
        "tasks_left_out": 0,
        "slab_info": None
        if builder.slab is None
        else [{"name": name, "used": used, "total": total} for name, used, total in builder.slab],
        "allocations": builder.allocations,
        "unparsed": builder.unparsed,
        "bytes": None,
    }
    report["cgroup"] = report["oom_memcg"] or (report["memcg"] or {}).get("path")
    report["scope"] = _scope(builder, report)
    report["truncated"] = _truncated(builder, report)
    return report


def _text(stamp):
    return stamp if isinstance(stamp, str) else None


def _mask(value):
    return None if value in (None, "(null)", "") else value


def _constraint(builder):
    if builder.context and builder.context.get("constraint"):
        return builder.context["constraint"]
    return fields.message_constraint(builder.message)


def _outcome(builder):
    if builder.outcome is not None:
        return builder.outcome
    if builder.victims:
        return "killed"
    return None


_SCOPES = {
    "CONSTRAINT_NONE": "global",
    "CONSTRAINT_CPUSET": "cpuset",
    "CONSTRAINT_MEMORY_POLICY": "mempolicy",
    "CONSTRAINT_MEMCG": "cgroup",
}


def _scope(builder, report):
    """Return where memory was short: global, cgroup, cpuset, mempolicy, or None where the report does not say."""
    if report["oom_memcg"] or "usage" in builder.memcg or (builder.message or "").startswith("Memory cgroup"):
        return "cgroup"
    constraint = report["constraint"]
    if constraint in _SCOPES:
        return _SCOPES[constraint]
    if constraint is not None or builder.kind == "overcommit_refusal":
        return None
    if builder.context is not None and builder.context["global"]:
        return "global"
    if builder.kind == "allocation_failure":
        return None
    # Kernels before 5.0 do not tell the constraint; a kill line with all figures and no "oom-kill:" before it means
    # that the line was lost.
    told_elsewhere = (
        builder.message is not None
        and builder.victims
        and builder.intent is None
        and any(victim["anon_rss"] is not None for victim in builder.victims)
    )
    if told_elsewhere or not (builder.meminfo or builder.pages or builder.message or builder.panic):
        return None
    return "global"


def _swap_totals(builder, size):
    totals = {name[5:]: value for name, value in builder.sizes.items()}
    if "swap_cache" in builder.pages:
        totals["cached"] = builder.pages["swap_cache"] * size
    if builder.swap_stats:
        totals.update(builder.swap_stats)
    if not totals:
        return None
    for name in ("total", "free", "cached"):
        totals.setdefault(name, None)
    return totals


def _flat(entry, *names):
    flat = dict(entry["sizes"] or {})
    flat.update(entry["flags"])
    for name in names:
        flat[name] = entry[name]
    return flat


def _zone_entry(zone, size):
    flat = _flat(zone, "node", "zone")
    flat["lowmem_reserve"] = None if zone["reserve"] is None else [pages * size for pages in zone["reserve"]]
    flat["blocks"] = zone["buddy"]
    flat["blocks_total"] = zone["total"]
    return flat


def _memcg(builder):
    if not builder.memcg and not builder.groups:
        return None
    found = builder.memcg
    groups = [{"path": path, "stats": stats} for path, stats in builder.groups]
    path = _limited(builder) or (groups[0]["path"] if groups else None)
    # The first account is the group's own; another one first means that it was lost.
    own = groups[0]["stats"] if groups and groups[0]["path"] in (None, path) else {}
    return {
        "path": path,
        "usage": found.get("usage"),
        "limit": found.get("limit"),
        "failcnt": found.get("failcnt"),
        "swap": found.get("swap"),
        "memsw": found.get("memsw"),
        "kmem": found.get("kmem"),
        "stats": own,
        "groups": groups,
    }


def _limited(builder):
    """Return the path of the cgroup that met its limit as other lines than its account name it, or None."""
    return builder.memcg.get("limit_of") or (builder.context or {}).get("oom_memcg")


def _tasks(builder, size):
    if builder.columns is None:
        return None
    plan = _plan(builder.columns, size)
    return [_task(plan, values, name) for values, name in builder.rows]


_NAMES = {
    "swapents": "swap",
    "pgtables_bytes": "pgtables",
    "nr_ptes": "pgtables",
    "nr_pmds": "pgtables",
    "nr_puds": "pgtables",
}
_IN_PAGES = frozenset(
    [
        "total_vm",
        "rss",
        "rss_anon",
        "rss_file",
        "rss_shmem",
        "swapents",
        "nr_ptes",
        "nr_pmds",
        "nr_puds",
    ]
)


def _plan(columns, size):
    """Return [(position, name, factor)] of a table's columns: what each is called in a report, and in which unit."""
    return [
        (position, _NAMES.get(column, column), size if column in _IN_PAGES else 1)
        for position, column in enumerate(columns)
        if column != "?"
    ]


def _task(plan, values, name):
    task = {"comm": name, "swap": None, "pgtables": None, "oom_score_adj": None}
    for position, column, factor in plan:
        value = values[position] * factor
        # Page tables of several levels are counted in columns of their own.
        task[column] = value if column != "pgtables" or task[column] is None else task[column] + value
    return task


def _with_row(victim, builder, size):
    """Return the victim with what its row of the task table adds: rss, swap, and what an old kill line left out."""
    victim = dict(victim, rss=None, swap=None)
    row = builder.pids.get(victim["pid"])
    if row is not None and row[1] == victim["comm"]:
        task = _task(_plan(builder.columns, size), row[0], row[1])
        victim["rss"], victim["swap"] = task.get("rss"), task["swap"]
        for name in ("uid", "total_vm", "pgtables", "oom_score_adj"):
            if victim[name] is None:
                victim[name] = task.get(name)
    context = builder.context
    if context and victim["uid"] is None and context.get("pid") == victim["pid"]:
        victim["uid"] = context["uid"]
    return victim


def _page_size(builder):
    """Return (bytes of a page, where that is from): "blocks", "nodes", "victim", or "assumed"."""
    for zone in builder.zones:
        if zone["buddy"]:
            smallest = zone["buddy"][0]["size"]
            if smallest & (smallest - 1) == 0 and 4096 <= smallest <= 262144:
                return smallest, "blocks"
    for name in ("active_anon", "inactive_anon", "active_file", "inactive_file", "mapped", "unevictable"):
        pages = builder.pages.get(name, 0)
        total = sum(node["sizes"].get(name, 0) for node in builder.nodes)
        if pages >= 64 and total and len(builder.nodes):
            size = _power(total / float(pages))
            if size:
                return size, "nodes"
    for victim in builder.victims:
        row = builder.pids.get(victim["pid"])
        if row is not None and victim["total_vm"] and row[0][3]:
            size = _power(victim["total_vm"] / float(row[0][3]))
            if size and size * row[0][3] == victim["total_vm"]:
                return size, "victim"
    return 4096, "assumed"


def _power(ratio):
    """Return the page size that a ratio of bytes to pages is close to, or None."""
    for shift in range(12, 19):
        if abs(ratio / (1 << shift) - 1) < 0.05:
            return 1 << shift
    return None


def _truncated(builder, report):
    """Return whether lines of the report are missing, cut, or may be another report's."""
    if builder.mixed or not builder.headed or builder.unparsed_count:
        return True
    if _zones_differ(builder) or _ends_twice(builder):
        return True
    if builder.kind == "allocation_failure":
        return "free" not in builder.pages or "reserved" not in builder.pages
    if not (builder.meminfo and "free" in builder.pages or "usage" in builder.memcg):
        return True
    if not builder.meminfo and (builder.pages or builder.sizes or builder.zones or builder.nodes or builder.hugepages):
        return True
    if report["scope"] is None or not builder.finished:
        return True
    if _trace_differs(builder, report["scope"] == "cgroup"):
        return True
    if builder.meminfo and _memory_incomplete(builder):
        return True
    return _end_incomplete(builder)


def _ends_twice(builder):
    """Return whether a report has the end of another one: where the kernel panics, it has chosen and killed nobody."""
    return builder.outcome in ("panic", "deadlocked", "no_killable_process") and bool(
        builder.victims or builder.context or builder.intent
    )


def _zones_differ(builder):
    """Return whether a zone has figures and no list of free blocks, or the reverse: both are printed for each."""
    for zone in builder.zones:
        if (zone["sizes"] is None) != (zone["buddy"] is None) or zone["sizes"] is not None and zone["reserve"] is None:
            return True
    return False


def _memory_incomplete(builder):
    pages = builder.pages
    if not builder.zones or "swap_free" not in builder.sizes and "swap_total" in builder.sizes:
        return True
    old = "active" in pages
    wanted = (
        ("free", "dirty", "writeback")
        if old
        else (
            "active_anon",
            "inactive_anon",
            "active_file",
            "free",
            "dirty",
            "writeback",
            "slab_reclaimable",
            "slab_unreclaimable",
            "shmem",
            "mapped",
            "pagetables",
        )
    )
    return any(name not in pages for name in wanted) or "ram" not in pages


def _trace_differs(builder, of_cgroup):
    """Return whether the call trace is that of another report: a cgroup's limit is not met in the page allocator."""
    return builder.allocating and not builder.charging if of_cgroup else builder.charging


def _victim_unlisted(builder):
    """Return whether a report names a victim that is not in its task table: another report's, or its row is lost.

    Of a task that was killed for asking, the kernel names the thread, and lists the process.
    """
    named = (builder.context or builder.intent or {}).get("pid")
    if named is None or not builder.rows:
        return False
    if "oom_kill_allocating_task" in (builder.message or ""):
        return builder.trigger["pid"] not in (None, named)
    columns = builder.columns or []
    tgid = columns.index("tgid") if "tgid" in columns else 0
    return named not in builder.pids and all(values[tgid] != named for values, _name in builder.rows)


def _other_asked(builder):
    """Return whether what follows the first lines may be another report's, of which only the first lines are known."""
    for asked in builder.rivals:
        row = builder.pids.get(asked["pid"])
        if not builder.rows or row is not None and row[1] == asked["comm"]:
            return True
    return False


def _end_incomplete(builder):
    if _victim_unlisted(builder) or _other_asked(builder):
        return True
    if builder.groups and _limited(builder) and builder.groups[0][0] not in (None, _limited(builder)):
        return True
    if builder.rows and not builder.tables or builder.tables and not builder.rows and builder.victims:
        return True
    if builder.outcome == "no_killable_process":
        # Except for a cgroup and by hand, the kernel panics then and says so.
        return "usage" not in builder.memcg and not builder.sysrq
    if builder.outcome is not None:
        return False
    # A kill line without the reason before it is the second of two; the first was lost.
    return builder.message is None and builder.intent is None
