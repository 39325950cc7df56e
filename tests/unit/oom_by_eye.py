# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads OOM reports a second time, as an eye would: searches the whole text for what stands there.

Nothing here is shared with the plugins, and nothing is clever: no states, no lines taken apart, no prefixes stripped,
no damage repaired. It serves for logs of kernels from 5.10 on with pages of 4 KiB and no gaps. What it returns has the
keys of a report, each with all that the text says about it, so that a test can ask for equality.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone

PAGE = 4096
KIB = 1024
UNLIMITED = 9007199254740988  # kB, as the kernel prints it for PAGE_COUNTER_MAX


def plain(text: bytes, form: str) -> str:
    """Return a log as lines, with one newline where the kernel had one."""
    told = text.decode("utf-8", errors="replace").replace("\r", "")
    if form == "journal_json":
        return "\n".join(json.loads(line)["MESSAGE"] for line in told.splitlines())
    return told.replace("\\x0a", "\n")


BEGINS = "invoked oom-killer|: page allocation failure: "


def reports(told: str) -> list[str]:
    """Return the text of each report, from its first line to that of the next."""
    return [piece for piece in re.split(rf"^(?=.*(?:{BEGINS}))", told, flags=re.M) if re.search(BEGINS, piece)]


def between(text: str, first: str, *ends: str) -> str:
    """Return what stands after the first pattern and before the earliest of the others."""
    start = re.search(first, text, re.M)
    if not start:
        return ""
    rest = text[start.end() :]
    return rest[: min([found.start() for end in ends for found in [re.search(end, rest, re.M)] if found], default=None)]


def numbers(pattern: str, text: str, scale: int = 1) -> dict[str, int]:
    """Return what a pattern of a name and a number finds."""
    return {name: int(number) * scale for name, number in re.findall(pattern, text, re.M)}


def kilobytes(text: str) -> dict[str, int]:
    """Return the pairs such as "isolated(anon):0kB"; in small letters, with brackets made underscores."""
    found = numbers(r"([\w()]+): ?(-?\d+)[kK]B", text, KIB)
    return {re.sub(r"\((\w+)\)", r"_\1", name).lower(): number for name, number in found.items()}


def read(text: str) -> dict:
    """Return all numbers and names of one report."""
    tasks = task_table(text)
    return {
        "trigger": trigger(text),
        "kernel": match(r"(?:Not tainted|Tainted: .*?) (\d+\.\d\S*) #", text),
        **constraint(text),
        "victims": victims(text, tasks),
        "group_kill": match(r"Tasks in (\S+) are going to be killed due to memory.oom.group set", text),
        "panic": match(r"Kernel panic - not syncing: (.*)$", text),
        "allocating_task": "(oom_kill_allocating_task)" in text,
        "memory": memory(text),
        "swap": swap(text),
        "nodes": nodes(text),
        "zones": zones(text),
        "hugepages": hugepages(text),
        "memcg": cgroup(text),
        "protection": protection(text),
        "tasks": tasks,
        "slab_info": slab(text),
    }


def match(pattern: str, text: str, default=None):
    """Return what the bracket of a pattern holds."""
    found = re.search(pattern, text, re.M)
    return found[1] if found else default


def trigger(text: str) -> dict | None:
    """Return who asked for memory, and for how much."""
    first = re.search(
        r"([^\s;=]+) invoked oom-killer: gfp_mask=(0x\w+)\((.*?)\), order=(-?\d+), oom_score_adj=(-?\d+)", text
    )
    failure = re.search(r"([^\s;=]+): page allocation failure: order:(\d+), mode:(0x\w+)\((.*?)\), nodemask=", text)
    if first:
        comm, mask, flags, order, adjust = first.groups()
    elif failure:
        comm, order, mask, flags = failure.groups()
        adjust = None
    else:
        return None
    second = re.search(r"CPU: (\d+) (?:UID: (\d+) )?PID: (\d+) Comm: (\S+)", text)
    cpu, uid, pid, again = second.groups()
    assert again == comm
    return {
        "comm": comm,
        "pid": int(pid),
        "uid": int(uid) if uid else None,
        "gfp_mask": mask,
        "gfp_flags": flags or None,
        "order": int(order),
        "oom_score_adj": int(adjust) if adjust else None,
        "oom_adj": None,
        "cpu": int(cpu),
    }


def constraint(text: str) -> dict:
    """Return the summary line: which limit was met, where, and by whom."""
    names = ("constraint", "nodemask", "cpuset", "mems_allowed", "oom_memcg", "task_memcg", "task", "pid", "uid")
    found = re.search(
        r"oom-kill:constraint=(\w+),nodemask=(.*?),cpuset=(.*?),mems_allowed=(.*?),"
        r"(?:global_oom|oom_memcg=(.*?)),task_memcg=(.*?),task=(.*?),pid=(\d+),uid=(\d+)",
        text,
    )
    row = dict(zip(names, found.groups(), strict=True)) if found else dict.fromkeys(names)
    failure = re.search(r"page allocation failure: .*nodemask=(.*?),cpuset=(.*?),mems_allowed=(\S+)", text)
    if failure:
        row["nodemask"], row["cpuset"], row["mems_allowed"] = failure.groups()
    if row["nodemask"] == "(null)":
        row["nodemask"] = None
    return row


def task_table(text: str) -> list[dict] | None:
    """Return the rows of the task table, each column under its own heading."""
    table = between(text, r"Tasks state \(memory values in pages\)", "oom-kill:", "Killed process", "Kernel panic")
    if not table:
        return None
    columns = ["pid", *match(r"\[ *pid *\] +(.*) name", table).split()]
    in_pages = ("total_vm", "rss", "rss_anon", "rss_file", "rss_shmem", "swapents")
    names = {"swapents": "swap", "pgtables_bytes": "pgtables"}
    rows = []
    for pid, rest, comm in re.findall(r"\[ *(\d+)\]((?: +-?\d+)+) (\S.*)$", table, re.M):
        row = dict(zip(columns, map(int, [pid, *rest.split()]), strict=True))
        rows.append({names.get(key, key): value * (PAGE if key in in_pages else 1) for key, value in row.items()})
        rows[-1]["comm"] = comm
    return rows


def victims(text: str, tasks: list[dict] | None) -> list[dict]:
    """Return the tasks that were killed, in order, each once: a group kill names its first one twice."""
    found: dict[int, dict] = {}
    rows = {row["pid"]: row for row in tasks or []}
    for kill in re.findall(
        r"Killed process (\d+) \((.*?)\) total-vm:(\d+)kB, anon-rss:(\d+)kB, file-rss:(\d+)kB, shmem-rss:(\d+)kB,"
        r" UID:(\d+) pgtables:(\d+)kB oom_score_adj:(-?\d+)",
        text,
    ):
        pid, total_vm, anon, file, shmem, uid, pgtables, adjust = map(int, kill[:1] + kill[2:])
        found[pid] = {
            "comm": kill[1],
            "pid": pid,
            "uid": uid,
            "total_vm": total_vm * KIB,
            "anon_rss": anon * KIB,
            "file_rss": file * KIB,
            "shmem_rss": shmem * KIB,
            "pgtables": pgtables * KIB,
            "oom_score_adj": adjust,
            "score": None,
            "rss": rows[pid]["rss"] if pid in rows else None,
            "swap": rows[pid]["swap"] if pid in rows else None,
        }
    assert text.count("Killed process") >= len(found)
    return list(found.values())


def reaped(told: str) -> list[tuple]:
    """Return what the reaper left of each victim, over the whole log: it may come after the next report began."""
    pattern = r"reaped process (\d+) \((.*?)\), now anon-rss:(\d+)kB, file-rss:(\d+)kB, shmem-rss:(\d+)kB"
    return [
        (int(pid), comm, int(anon) * KIB, int(file) * KIB, int(shmem) * KIB)
        for pid, comm, anon, file, shmem in re.findall(pattern, told)
    ]


def memory(text: str) -> dict | None:
    """Return the machine's counters; the kernel prints all of them in pages."""
    head = between(text, "Mem-Info:", r"Node \d+ ")
    found = numbers(r"(?<![\w:])([a-z]\w*):(\d+)(?![\d:])", head, PAGE)
    for name, words in (
        ("pagecache", "total pagecache pages"),
        ("swap_cache", "pages in swap cache"),
        ("ram", "pages RAM"),
        ("highmem", "pages HighMem/MovableOnly"),
        ("reserved", "pages reserved"),
        ("cma_reserved", "pages cma reserved"),
        ("hwpoisoned", "pages hwpoisoned"),
    ):
        value = match(rf"(\d+) {words}", text)
        if value is not None:
            found[name] = int(value) * PAGE
    return found or None


def swap(text: str) -> dict | None:
    """Return the swap's totals."""
    free, total = match(r"Free swap +=(.*)kB", text), match(r"Total swap +=(.*)kB", text)
    if total is None:
        return None
    cached = int(match(r"(\d+) pages in swap cache", text))
    found = {"free": int(free) * KIB, "total": int(total) * KIB, "cached": cached * PAGE}
    traffic = re.search(r"Swap cache stats: add (\d+), delete (\d+), find (\d+)/(\d+)", text)
    if traffic:  # up to 5.19; these are counts
        found.update(zip(("added", "deleted", "found", "looked_up"), map(int, traffic.groups()), strict=True))
    return found


def zones(text: str) -> list[dict]:
    """Return each zone: its counters, the reserves of the line after it, and its free blocks."""
    reserves = [
        [int(word) * PAGE for word in words.split()] for words in re.findall(r"lowmem_reserve\[\]:([ \d]+)", text)
    ]
    lists = {}
    for node, zone, row, total in re.findall(r"Node (\d+) (\w+): (\d+\*\d+kB.*) = (\d+)kB", text):
        blocks = [
            {"count": int(count), "size": int(size) * KIB, "types": types or None}
            for count, size, types in re.findall(r"(\d+)\*(\d+)kB(?: \((\w+)\))?", row)
        ]
        lists[node, zone] = blocks, int(total) * KIB
    found = re.findall(r"Node (\d+) (\w+) (free:.*)", text)
    assert len(found) == len(reserves)
    result = []
    for (node, zone, rest), reserve in zip(found, reserves, strict=True):
        blocks, total = lists[node, zone]
        counters = kilobytes(rest)
        result.append({
            **counters, "node": int(node), "zone": zone, "lowmem_reserve": reserve, "blocks": blocks,
            "blocks_total": total,
        })  # fmt: skip
    return result


def nodes(text: str) -> list[dict]:
    """Return the counters of each node."""
    return [
        {**kilobytes(rest), "all_unreclaimable": "all_unreclaimable? yes" in rest, "node": int(node)}
        for node, rest in re.findall(r"Node (\d+) (active_anon:.*all_unreclaimable\? (?:yes|no).*)$", text, re.M)
    ]


def hugepages(text: str) -> list[dict]:
    """Return the huge pages of each node and size."""
    pattern = r"Node (\d+) hugepages_total=(\d+) hugepages_free=(\d+) hugepages_surp=(\d+) hugepages_size=(\d+)kB"
    return [
        {"node": node, "total": total, "free": free, "surplus": surplus, "size": size * KIB}
        for node, total, free, surplus, size in (map(int, row) for row in re.findall(pattern, text))
    ]


def cgroup(text: str) -> dict | None:
    """Return usage, limits and statistics of the cgroup whose limit was met."""

    def limits(name: str) -> dict | None:
        found = re.search(rf"(?<![\w+]){re.escape(name)}: usage (\d+)kB, limit (\d+)kB, failcnt (\d+)", text)
        if not found:
            return None
        usage, limit, failed = map(int, found.groups())
        return {"usage": usage * KIB, "limit": None if limit == UNLIMITED else limit * KIB, "failcnt": failed}

    if not limits("memory"):
        return None
    block = between(text, r"Memory cgroup stats for .*:$", "Tasks state", "oom-kill:")
    stats = numbers(r"(?<![^\s;=\0])([a-z]\w*) (\d+)$", block)
    path = match(r"Memory cgroup stats for (.*):$", text)
    return {
        "path": path,
        **limits("memory"),
        "swap": limits("swap"),
        "memsw": limits("memory+swap"),
        "kmem": limits("kmem"),
        "stats": stats,
        "groups": [{"path": path, "stats": stats}],
    }


def protection(text: str) -> dict | None:
    """Return what memory.min and memory.low protect."""
    found = re.search(r"Memory cgroup min protection (\d+)kB -- low protection (\d+)kB", text)
    return {"min": int(found[1]) * KIB, "low": int(found[2]) * KIB} if found else None


def slab(text: str) -> list[dict] | None:
    """Return the table of slab caches that cannot be reclaimed."""
    table = between(text, "Unreclaimable slab info:", "Tasks state", "oom-kill:")
    found = re.findall(r"(\S+) +(\d+)KB +(\d+)KB$", table, re.M)
    return [{"name": name, "used": int(used) * KIB, "total": int(total) * KIB} for name, used, total in found] or None


def refusals(told: str) -> list[tuple]:
    """Return the requests that strict accounting refused; up to 6.5 the kernel does not say how much was wanted."""
    pattern = r"__vm_enough_memory: pid: (\d+), comm: (\S+?), (?:no enough|bytes: (\d+) not enough) memory for the"
    return [(int(pid), comm, int(size) if size else None) for pid, comm, size in re.findall(pattern, told)]


# Where and when


def uptimes(text: bytes, form: str) -> list[float | None]:
    """Return the seconds since the boot that stand before the first line of each report."""
    found: list[float | None] = []
    for line in text.decode("utf-8", errors="replace").splitlines():
        if not re.search(BEGINS, line):
            continue
        bracket = match(r"\[ *(\d+\.\d{6})\]", line)
        record = match(r"^\d+,\d+,(\d+),", line)
        found.append(float(bracket) if bracket else int(record) / 1e6 if record and form == "kmsg" else None)
    return found


def epochs(text: bytes, form: str) -> list[float] | None:
    """Return the time of each report where the form says it whole (year and zone)."""
    if form == "journal_json":
        return [
            int(record["__REALTIME_TIMESTAMP"]) / 1e6
            for record in map(json.loads, text.splitlines())
            if re.search(BEGINS, record["MESSAGE"])
        ]
    if form in ("dmesg_iso", "journal_iso"):
        lines = [line for line in text.decode().splitlines() if re.search(BEGINS, line)]
        return [datetime.fromisoformat(stamp(line)).astimezone(timezone.utc).timestamp() for line in lines]
    return None


def stamp(line: str) -> str:
    """Return the ISO time at the beginning of a line, as Python 3.10 reads it."""
    word = line.split(" ")[0].replace(",", ".")
    return re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", word)
