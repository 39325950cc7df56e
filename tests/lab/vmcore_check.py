# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares what vmcore_info reads in a dump with what crash(8), an independent reader, reads in the same dump.

    .venv/bin/python tests/lab/vmcore_check.py /var/crash/STAMP /usr/lib/debug

With --live FILE it compares with what the kernel said of itself just before the crash as well, with --form PATH further
forms of the same dump, which have to tell the very same, and with --debuginfod it lets drgn fetch the symbols from a
server of its own. With --oom DIRECTORY it reads a dump and the log saved with it, of a panic because memory ran out:
diagnose has to come to the same verdict from both. vmcore_dump.py makes all these files. --record FILE keeps what was
compared.

It needs crash and makedumpfile, and drgn for this Python (requirements/test.txt has it). Differences end it with
status 1. Tolerances, where the two mean something different:

- counters, zones, buffers, swap, Committed_AS, tasks' swap, devices, settings: none, they are the same words of memory;
- cached: none beyond what crash leaves out (the swap cache);
- memory of a task: the kernel's own table in the log, where it has one, and else crash, which adds what kernels before
  6.2 keep in each thread. What no CPU has added yet differs: 64 pages per thread (TASK_RSS_EVENTS_THRESH);
- objects of a slab cache: what each CPU holds may count as used or free: the objects of two slabs per CPU;
- the living kernel: settings, cgroups' names and limits, tasks' swap have none. The rest moves until the crash: tasks'
  memory by SELF, free memory and what goes from dirty to writeback by ROUND, the others by MOVED.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import vmcore_crash

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build" / "collections"))

from ansible_collections.linux_memory.oom.plugins.filter.diagnose import diagnose  # noqa: E402
from ansible_collections.linux_memory.oom.plugins.module_utils import vmcore, vmcore_drgn, vmcore_files  # noqa: E402
from ansible_collections.linux_memory.oom.plugins.modules import vmcore_info  # noqa: E402

MIB = 1024**2
# What the record of the living kernel may differ by: its own writing, and the crash.
MOVED = 2 * MIB
# And by what goes from dirty to writeback at once (fs/fs-writeback.c MIN_WRITEBACK_PAGES), which takes free memory too.
ROUND = MOVED + 4 * MIB
HASTY = ("MemFree", "MemAvailable", "Dirty", "Writeback", "dirty", "writeback")
# What the program that writes the record may take for it.
SELF = MIB // 2
# Of a dump, what its form decides or says of its file.
OF_THE_FILE = ("path", "log", "size", "form", "epoch", "time", "debuginfo")


def told_by(where: str, debug: str | None, debuginfod: bool = False) -> dict:
    """Return the newest crash as vmcore_info has it."""
    params = {"path": where, "which": "newest", "debuginfo": debug, "debuginfod": debuginfod, "limit": 100000}
    chosen, _found, _missing = vmcore_info.chosen(params)
    if not chosen:
        sys.exit(f"{where} holds no dump")
    return vmcore_info.read(chosen[0], params, tempfile.gettempdir())


def read(where: str, debug: str | None, debuginfod: bool = False) -> tuple[dict, str, str]:
    """Return (the crash as vmcore_info has it, the dump, its symbols)."""
    crash = told_by(where, debug, debuginfod)
    if crash["source"] != "drgn":
        sys.exit(f"vmcore_info could not read the dump: {crash['why']}")
    return crash, crash["path"], crash["debuginfo"]


def ask_crash(dump: str, symbols: str) -> dict:
    """Return what crash(8) says; it cannot read flattened dumps quickly, so they are rearranged first."""
    with vmcore_files.Scratch(None) as scratch:
        if vmcore_files.form_of(dump) == "flattened":
            dump = vmcore_files.rearrange(dump, scratch)
        with vmcore_crash.Crash(symbols, dump) as one:
            told = vmcore_crash.parse(one.ask(vmcore_crash.COMMANDS))
            told["settings"] = vmcore_crash.settings(one, dict(vmcore.SETTINGS))
            told["processes"] = vmcore_crash.tasks(one, told["cpus"])
            told["writeback"] = vmcore_crash.devices(one, told["cpus"])
            told["committed"] = vmcore_crash.percpu(one, {"all": "vm_committed_as"}, told["cpus"])["all"]
    return told


class Comparison:
    """Counts what was compared and keeps what differs."""

    def __init__(self) -> None:
        self.compared: dict[str, int] = {}
        self.different: list[str] = []
        self.nonzero: dict[str, int] = {}
        self.largest: dict[str, float] = {}

    def same(self, kind: str, name: str, ours: float | None, theirs: float | None, tolerance: float = 0) -> None:
        """Note a pair of values; a missing one differs."""
        self.compared[kind] = self.compared.get(kind, 0) + 1
        self.nonzero[kind] = self.nonzero.get(kind, 0) + bool(theirs)
        if ours is None or theirs is None or abs(ours - theirs) > tolerance:
            self.different.append(f"{kind} {name}: vmcore_info {ours}, the other {theirs}, tolerance {tolerance}")
        else:
            self.largest[kind] = max(self.largest.get(kind, 0), abs(ours - theirs))

    def equal(self, kind: str, name: str, ours: object, theirs: object) -> None:
        """Note a pair of what are no numbers."""
        self.compared[kind] = self.compared.get(kind, 0) + 1
        self.nonzero[kind] = self.nonzero.get(kind, 0) + bool(theirs)
        if ours != theirs:
            self.different.append(f"{kind} {name}: vmcore_info {ours!r}, the other {theirs!r}")

    def told(self) -> dict:
        """Return it for a record: by kind how many were compared and not zero, and the largest difference allowed."""
        kinds = {
            kind: {"compared": count, "not_zero": self.nonzero[kind], "largest_difference": self.largest.get(kind)}
            for kind, count in self.compared.items()
        }
        return {"kinds": kinds, "different": self.different}


def compare(crash: dict, told: dict, found: Comparison) -> None:
    """Compare with what the commands of crash tell."""
    page, memory = crash["system"]["page_size"], crash["memory"]
    info = told["info"]
    for name, row in (("mem_total", "TOTAL MEM"), ("mem_free", "FREE"), ("buffers", "BUFFERS"), ("cached", "CACHED")):
        found.same("kmem -i", name, memory[name], info.get(row, -1) * page)
    for name, row in (("swap_total", "TOTAL SWAP"), ("swap_free", "SWAP FREE"), ("commit_limit", "COMMIT LIMIT")):
        found.same("kmem -i", name, memory[name], info.get(row, -1) * page)
    # What kmem -i has is the shared part, without those of the CPUs: up to a quarter of RAM (mm/mm_init.c).
    found.same("percpu_counter", "committed_as", memory["committed_as"], told["committed"] * page)
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


def compare_structures(crash: dict, told: dict, found: Comparison) -> None:
    """Compare with the structures and variables that crash prints."""
    page = crash["system"]["page_size"]
    for key, value in sorted(told["settings"].items()):
        ours = crash["sysctl"]["keys"][key]["running"]
        found.same("variables", key, None if ours is None else int(ours), value)
    ours = {task["pid"]: task for task in crash["processes"]["top"]}
    found.equal("mm_struct", "processes", sorted(ours), sorted(told["processes"]))
    for pid, theirs in told["processes"].items():
        task = ours.get(pid, {})
        for name, kind in (("swap", "swap"), ("rss_anon", "anon"), ("rss_file", "file"), ("rss_shmem", "shmem")):
            found.same("mm_struct", f"{pid} {name}", task.get(name), max(0, theirs[kind]) * page)
        found.equal("css_set", f"{pid} cgroup", task.get("cgroup"), theirs["cgroup"])
    devices = {row["device"]: row for row in crash["writeback"]["devices"]}
    found.equal("bdi_writeback", "devices", sorted(devices), sorted(told["writeback"]))
    for name, theirs in told["writeback"].items():
        row = devices.get(name, {})
        for ours_name, its in (("dirty", "dirty"), ("writeback", "writeback"), ("write_bandwidth", "bandwidth")):
            found.same("bdi_writeback", f"{name} {ours_name}", row.get(ours_name), theirs[its] * page)


def compare_living(crash: dict, live: dict, found: Comparison) -> None:
    """Compare with what the kernel said of itself just before the crash."""
    memory = crash["memory"]
    for key, row in crash["sysctl"]["keys"].items():
        if key in live["sysctl"]:
            found.equal("/proc/sys", key, (row["running"] or "").split(), live["sysctl"][key].split())
    for name, theirs in live["meminfo"].items():
        ours = re.sub(r"[^a-z]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")
        if ours in memory and not ours.startswith("huge"):
            found.same("/proc/meminfo", name, memory[ours], theirs, ROUND if name in HASTY else MOVED)
    devices = {device["path"]: device for device in crash["swap"]["devices"]}
    for path, kind, size, used, priority in live["swaps"]:
        row = devices.get(path, {})
        found.equal("/proc/swaps", f"{path} kind", row.get("kind"), kind)
        found.same("/proc/swaps", f"{path} size", row.get("size"), int(size) * 1024)
        found.same("/proc/swaps", f"{path} used", row.get("used"), int(used) * 1024, MOVED)
        found.same("/proc/swaps", f"{path} priority", row.get("priority"), int(priority))
    ours = {task["pid"]: task for task in crash["processes"]["top"]}
    for row in live["tasks"]:
        task = ours.get(row["pid"])
        if task is None:
            found.same("/proc/PID", f"{row['pid']} {row['comm']}", None, row["rss"])
        else:
            found.equal("/proc/PID/cgroup", str(row["pid"]), task["cgroup"], row["cgroup"])
            found.same("/proc/PID", f"{row['pid']} Swap", task["swap"], row["swap"])
            found.same("/proc/PID", f"{row['pid']} Rss", task["rss"], row["rss"], SELF)
            found.same("/proc/PID", f"{row['pid']} Threads", task["threads"], row["threads"])
    compare_groups(crash, live, found)
    compare_devices(crash, live, found)


def compare_groups(crash: dict, live: dict, found: Comparison) -> None:
    """Compare the cgroups."""
    groups = {group["path"]: group for group in crash["cgroups"]["groups"]}
    for row in live["cgroups"]:
        group, path = groups.get(row["path"], {}), row["path"]
        for ours_name, its in (("max", "memory.max"), ("high", "memory.high"), ("swap_max", "memory.swap.max")):
            limit = None if row[its] == "max" else int(row[its])
            found.equal("limits of cgroups", f"{path} {its}", group.get(ours_name, ""), limit)
        found.same("cgroups", f"{path} memory.current", group.get("current"), int(row["memory.current"]), MOVED)
        swap = int(row["memory.swap.current"])
        found.same("cgroups", f"{path} memory.swap.current", group.get("swap_current"), swap, MOVED)
        for ours_name, its in (
            ("anon", "anon"), ("file", "file"), ("dirty", "file_dirty"), ("writeback", "file_writeback"),
        ):  # fmt: skip
            moved = ROUND if ours_name in HASTY else MOVED
            found.same("cgroups", f"{path} {its}", group.get(ours_name), row[its], moved)


def compare_devices(crash: dict, live: dict, found: Comparison) -> None:
    """Compare what is dirty: of the slow disk with the only cgroup that writes to it, of all with all."""
    rows = {row["device"]: row for row in crash["writeback"]["devices"]}
    writer = next(row for row in live["cgroups"] if row["path"] == live["slow"]["cgroup"])
    slow = rows[live["slow"]["device"]]
    # Nothing was made dirty any more, and the disk took no more than it can.
    undrained = writer["file_dirty"] + writer["file_writeback"]
    found.same("slow disk", "both", slow["dirty"] + slow["writeback"], undrained, SELF)
    for ours_name, its, whole in (("dirty", "file_dirty", "nr_dirty"), ("writeback", "file_writeback", "nr_writeback")):
        found.same("slow disk", ours_name, slow[ours_name], writer[its], ROUND)
        every = sum(row[ours_name] for row in rows.values())
        # Swap is written by no backing device that counts it.
        found.same("all devices", ours_name, every, live["vmstat"][whole] * live["page_size"], ROUND)


def numbers(crash: dict) -> dict:
    """Return what a dump tells, in whatever form it was saved."""
    return {name: value for name, value in crash.items() if name not in OF_THE_FILE}


def leaves(value: object) -> int:
    """Return how many single values there are in a nested one."""
    if isinstance(value, dict):
        return sum(leaves(each) for each in value.values())
    return sum(leaves(each) for each in value) if isinstance(value, list) else 1


def compare_forms(crash: dict, paths: list[str], debug: str) -> dict:
    """Return {file: its form, how many values, whether they are those of the first}."""
    answer = {}
    for path in paths:
        other = read(path, debug)[0]
        same = numbers(other) == numbers(crash)
        answer[Path(path).name] = {"form": other["form"], "values": leaves(numbers(other)), "same": same}
    return answer


def verdict(crash: dict) -> dict:
    """Return what diagnose finds in a crash, and the process that it names; of a unit only the structures tell."""
    found = diagnose({}, crash=crash)
    named = re.match(r"The process \S+ \(PID \d+\)", found[0]["summary"])
    return {
        "findings": [[one["cause"], one["confidence"]] for one in found],
        "process": named[0] if named else None,
        "in_words": found[0]["summary"],
    }


def compare_verdicts(where: str, debug: str) -> dict:
    """Return the verdict from a dump after an OOM panic, and from the log that kdump saved with it."""
    crash = read(where, debug)[0]
    if "log" in crash["unavailable"] or not (crash["report"] or {}).get("panicked"):
        sys.exit(f"{crash['path']} holds no report that led to the panic: {crash['unavailable']}")
    dump, log = verdict(crash), verdict(told_by(crash["log"], debug))
    same = all(dump[name] == log[name] for name in ("findings", "process"))
    return {"kernel": crash["kernel"], "panic": crash["panic"], "dump": dump, "log": log, "same": same}


@contextlib.contextmanager
def server(symbols: Path, asked: list[str]) -> Iterator[str]:
    """Give the address of a server of symbols that has one file, as debuginfod(8) answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if not re.fullmatch(r"/buildid/[0-9a-f]{40}/debuginfo", self.path):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(symbols.stat().st_size))
            self.end_headers()
            with open(symbols, "rb") as file:
                while block := file.read(MIB):
                    self.wfile.write(block)

        def log_message(self, *_words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{one.server_port}"
        finally:
            one.shutdown()


def compare_debuginfod(crash: dict, dump: str, symbols: str) -> dict:
    """Return what came of reading the dump with symbols from a server."""
    asked: list[str] = []
    with server(Path(symbols), asked) as address, tempfile.TemporaryDirectory() as cache, \
            tempfile.TemporaryDirectory() as nothing:  # fmt: skip
        os.environ.update(DEBUGINFOD_URLS=address, DEBUGINFOD_CACHE_PATH=cache)
        other = read(dump, nothing, debuginfod=True)[0]
    build_id = next((path.split("/")[2] for path in asked), None)
    return {"debuginfo": other["debuginfo"], "build_id": build_id, "same": numbers(other) == numbers(crash)}


def versions() -> dict:
    """Return what read the dumps."""
    made = subprocess.run(["makedumpfile", "-v"], capture_output=True, text=True, check=False)
    return {
        "drgn": vmcore_drgn.drgn.__version__,
        "crash": vmcore_crash.version(),
        "makedumpfile": re.search(r"version ([^ ]+)", made.stdout + made.stderr)[1],
    }


def main() -> int:
    """Compare and tell; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("dump")
    parser.add_argument("debuginfo")
    parser.add_argument("--live", type=Path, help="what the kernel said of itself just before the crash")
    parser.add_argument("--form", action="append", default=[], help="a further form of the same dump")
    parser.add_argument("--debuginfod", action="store_true", help="get the symbols from a server, too")
    parser.add_argument("--oom", help="the directory of a dump and its log, of a panic because memory ran out")
    parser.add_argument("--record", type=Path, help="where to keep what was compared")
    options = parser.parse_args()
    crash, dump, symbols = read(options.dump, options.debuginfo)
    found = Comparison()
    told = ask_crash(dump, symbols)
    compare(crash, told, found)
    compare_structures(crash, told, found)
    if options.live:
        compare_living(crash, json.loads(options.live.read_text(encoding="utf-8")), found)
    record = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "kernel": crash["kernel"],
        "form": crash["form"],
        "had": {
            "swap_used": crash["swap"]["used"],
            "swap_of_processes": crash["processes"]["swapped"],
            "dirty": crash["memory"]["dirty"],
            "writeback": crash["memory"]["writeback"],
        },
        "versions": versions(),
        **found.told(),
        "forms": compare_forms(crash, [dump, *options.form], options.debuginfo),
        "debuginfod": compare_debuginfod(crash, dump, symbols) if options.debuginfod else None,
        "verdicts": compare_verdicts(options.oom, options.debuginfo) if options.oom else None,
    }
    text = json.dumps(record, indent=1) + "\n"
    sys.stdout.write(text)
    if options.record:
        options.record.write_text(text, encoding="utf-8")
    others = [*record["forms"].values(), record["debuginfod"], record["verdicts"]]
    unlike = [each for each in others if each and not each["same"]]
    return 1 if found.different or unlike else 0


if __name__ == "__main__":
    sys.exit(main())
