# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares what vmcore_info reads in a dump with what crash(8), an independent reader, reads in the same dump.

    .venv/bin/python tests/lab/vmcore_check.py /var/crash/STAMP /usr/lib/debug

It needs crash and makedumpfile, and drgn for this Python (requirements/test.txt has it). Differences end it with
status 1. Tolerances, where the two mean something different:

- counters, zones, buffers, swap: none, they are the same words of memory;
- cached: none beyond what crash leaves out (the swap cache);
- Committed_AS: crash reads the shared counter alone, which lags by a batch per CPU (mm/mm_init.c: a share of RAM), so
  that only the order is compared: within 30 %;
- memory of a task: the kernel's own table in the log, where it has one, and else crash, which adds what kernels before
  6.2 keep in each thread. What no CPU has added yet differs: 64 pages per thread (TASK_RSS_EVENTS_THRESH);
- objects of a slab cache: what each CPU holds may count as used or free: the objects of two slabs per CPU.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build" / "collections"))

from ansible_collections.linux_memory.oom.plugins.module_utils import vmcore, vmcore_files  # noqa: E402
from ansible_collections.linux_memory.oom.plugins.modules import vmcore_info  # noqa: E402

COMMANDS = "kmem -i\nkmem -V\nkmem -z\nswap\nps -u\nkmem -s\nquit\n"
CPUS = 64


def read(where: str, debug: str) -> tuple[dict, str, str]:
    """Return (the crash as vmcore_info has it, the dump, its symbols)."""
    params = {"path": where, "which": "newest", "debuginfo": debug, "debuginfod": False, "limit": 100000}
    chosen, _found, _missing = vmcore_info.chosen(params)
    if not chosen:
        sys.exit(f"{where} holds no dump")
    crash = vmcore_info.read(chosen[0], params, tempfile.gettempdir())
    if crash["source"] != "drgn":
        sys.exit(f"vmcore_info could not read the dump: {crash['why']}")
    return crash, chosen[0]["dump"], crash["debuginfo"]


def ask_crash(dump: str, symbols: str) -> str:
    """Return what crash(8) prints; it cannot read flattened dumps quickly, so they are rearranged first."""
    with vmcore_files.Scratch(None) as scratch:
        if vmcore_files.form_of(dump) == "flattened":
            dump = vmcore_files.rearrange(dump, scratch)
        done = subprocess.run(
            ["crash", "-s", symbols, dump], input=COMMANDS, capture_output=True, text=True, check=False, timeout=900
        )
    return done.stdout


def parse(text: str) -> dict:
    """Return what crash printed: info, counters, zones, swaps, tasks (kB by pid), caches (objects by name)."""
    info = {name.strip(): int(pages) for name, pages in re.findall(r"^ *([A-Z][A-Z ]+?)  +(\d+)  ", text, re.MULTILINE)}
    head, _rest = text.split("VM_EVENT_STATES", 1)
    counters = {name: max(0, int(pages)) for name, pages in re.findall(r"^ *(NR_\w+): (-?\d+)$", head, re.MULTILINE)}
    zones = {}
    for found in re.finditer(
        r'NODE: (\d+)  ZONE: \d+  ADDR: \w+  NAME: "(\w+)"\n'
        r"(?:\s*\[[^\n]*\n)?\s*SIZE: (\d+)(?:[^\n]*?)MIN/LOW/HIGH: (\d+)/(\d+)/(\d+)",
        text,
    ):
        node, name, _size, low, mid, high = found.groups()
        zones[(int(node), name)] = (int(low), int(mid), int(high))
    tasks = {}
    for pid, rss, name in re.findall(
        r"^>? +(\d+) +-?\d+ +\d+ +[0-9a-f]{16} +\w\w +[\d.]+ +\d+ +(\d+) +(.+)$", text, re.MULTILINE
    ):
        tasks[int(pid)] = (int(rss) * 1024, name)
    caches = {}
    pattern = r"^[0-9a-f]{16} +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)k  (\S+)$"
    for size, used, whole, slabs, each, name in re.findall(pattern, text, re.MULTILINE):
        caches[name] = (int(used), int(whole), int(slabs) * int(each) * 1024, int(size))
    swaps = re.findall(r"^[0-9a-f]{16} +(?:PARTITION|FILE) +(\d+)k +(\d+)k +\d+% +(-?\d+) +(\S+)", text, re.MULTILINE)
    return {"info": info, "counters": counters, "zones": zones, "tasks": tasks, "caches": caches, "swaps": swaps}


class Comparison:
    """Counts what was compared and keeps what differs."""

    def __init__(self) -> None:
        self.compared: dict[str, int] = {}
        self.different: list[str] = []

    def same(self, kind: str, name: str, ours: float | None, theirs: float | None, tolerance: float = 0) -> None:
        """Note a pair of values; a missing one differs."""
        self.compared[kind] = self.compared.get(kind, 0) + 1
        if ours is None or theirs is None or abs(ours - theirs) > tolerance:
            self.different.append(f"{kind} {name}: vmcore_info {ours}, crash {theirs}, tolerance {tolerance}")


def compare(crash: dict, told: dict) -> Comparison:
    """Return the comparison of both readings."""
    page, memory, found = crash["system"]["page_size"], crash["memory"], Comparison()
    info = told["info"]
    for name, row in (("mem_total", "TOTAL MEM"), ("mem_free", "FREE"), ("buffers", "BUFFERS"), ("cached", "CACHED")):
        found.same("kmem -i", name, memory[name], info.get(row, -1) * page)
    for name, row in (("swap_total", "TOTAL SWAP"), ("swap_free", "SWAP FREE"), ("commit_limit", "COMMIT LIMIT")):
        found.same("kmem -i", name, memory[name], info.get(row, -1) * page)
    found.same(
        "kmem -i", "committed_as", memory["committed_as"], info["COMMITTED"] * page, memory["committed_as"] * 0.3
    )
    for name, sources in vmcore._COUNTED:
        theirs = next((told["counters"][one] for one in sources if one in told["counters"]), None)
        if theirs is not None:
            found.same("kmem -V", name, memory.get(name), theirs * page)
    for zone in crash["zones"]:
        marks = told["zones"].get((zone["node"], zone["zone"]))
        for index, name in enumerate(("min", "low", "high")):
            found.same("kmem -z", f"{zone['zone']} {name}", zone[name], None if marks is None else marks[index] * page)
    found.same("swap", "devices", len(crash["swap"]["devices"]), len(told["swaps"]))
    for device, (size, used, priority, path) in zip(crash["swap"]["devices"], told["swaps"], strict=False):
        found.same("swap", f"{path} size", device["size"], int(size) * 1024, page)
        found.same("swap", f"{path} used", device["used"], int(used) * 1024)
        found.same("swap", f"{path} priority", device["priority"], int(priority))
    ours = {task["pid"]: task for task in crash["processes"]["top"]}
    table = (crash["report"] or {}).get("tasks") or []
    listed = {row["pid"] for row in table}
    for pid, (rss, name) in sorted(told["tasks"].items()):
        if pid in ours and pid not in listed:
            found.same("ps", f"{pid} {name}", ours[pid]["rss"], rss, 64 * page * ours[pid]["threads"])
    for row in table:
        task = ours.get(row["pid"], {})
        found.same(
            "report", f"{row['pid']} {row['comm']}", task.get("rss"), row["rss"], 64 * page * task.get("threads", 1)
        )
    if crash["report"]:
        for name in ("active_anon", "inactive_anon", "active_file", "inactive_file", "dirty", "writeback", "shmem"):
            found.same("report", name, memory[name], crash["report"]["memory"].get(name))
    mine = {cache["name"]: cache for cache in crash["slab"]["caches"]}
    found.same("kmem -s", "caches", len(mine), len(told["caches"]))
    for name, (used, whole, held, _size) in sorted(told["caches"].items()):
        cache = mine.get(name, {})
        found.same("kmem -s", f"{name} objects", cache.get("objects"), whole)
        found.same("kmem -s", f"{name} bytes", cache.get("bytes"), held)
        a_slab = whole * page / held * 8 if held else 0
        found.same("kmem -s", f"{name} used", cache.get("objects_used"), used, max(2 * a_slab, 0))
    return found


def main() -> int:
    """Compare and tell; 1 where something differs."""
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[1].strip())
    crash, dump, symbols = read(sys.argv[1], sys.argv[2])
    found = compare(crash, parse(ask_crash(dump, symbols)))
    sys.stdout.write(json.dumps({"compared": found.compared, "different": found.different}, indent=1) + "\n")
    return 1 if found.different else 0


if __name__ == "__main__":
    sys.exit(main())
