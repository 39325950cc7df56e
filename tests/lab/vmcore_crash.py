# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks crash(8), which shares no code with drgn, for what vmcore_info says of a dump; vmcore_check.py compares.

Its commands tell totals, zones, swap, tasks' RSS and slab caches. Tasks' swap, cgroups, devices and settings they do
not: there crash walks the lists and prints the variables and members themselves. So it does for every process too,
since the ps of crash 8.0.2 (Debian 12) finds none in kernels that have the array of struct pid without a length.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterable

COMMANDS = ("sys", "kmem -i", "kmem -V", "kmem -z", "swap", "ps -u", "kmem -s")
# How deep a cgroup may lie.
DEPTH = 8
# What include/linux/mm_types_task.h counts of each memory.
KINDS = ("file", "anon", "swap", "shmem")


class Crash:
    """crash(8) on one dump, from its start until it is left."""

    END = "@end of the answer@"

    def __init__(self, symbols: str, dump: str) -> None:
        self.process = subprocess.Popen(
            ["crash", "-s", symbols, dump],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def __enter__(self) -> Crash:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.communicate("quit\n", timeout=60)

    def ask(self, commands: Iterable[str]) -> str:
        """Return what it prints. Raises EOFError where it ends before its time."""
        # A thread, since it may print more than a pipe holds before it reads on.
        text = "\n".join([*commands, f'gdb printf "{self.END}\\n"', ""])
        writing = threading.Thread(target=self._write, args=(text,), daemon=True)
        writing.start()
        lines = []
        for line in self.process.stdout:
            if line.startswith(self.END):
                writing.join()
                return "".join(lines)
            lines.append(line)
        raise EOFError(f"crash ended: {''.join(lines)}")

    def _write(self, text: str) -> None:
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def values(self, expressions: dict[str, str], form: str = "%ld") -> dict[str, str]:
        """Return what expressions of C are, by name; what this kernel has not is left out."""
        # A unit's name may hold an @.
        commands = [f'gdb printf "@{name}|{form}|\\n", {expression}' for name, expression in expressions.items()]
        return dict(re.findall(r"@([^@|\n]+)\|([^|\n]*)\|$", self.ask(commands), re.MULTILINE))

    def lists(self, commands: dict[str, str]) -> dict[str, list[str]]:
        """Return the addresses that commands print, by name."""
        asked = [line for name, command in commands.items() for line in (f'gdb printf "@{name}\\n"', command)]
        parts = [part.split() for part in self.ask(asked).split("@")[1:]]
        return {name: [word for word in rest if re.fullmatch("[0-9a-f]{16}", word)] for name, *rest in parts}


def version() -> str:
    """Return which crash this is."""
    done = subprocess.run(["crash", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.split("\n", 2)[1].strip() if done.stdout.startswith("\n") else done.stdout.split("\n", 1)[0]


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
    return {
        "info": info,
        "counters": counters,
        "zones": zones,
        "tasks": tasks,
        "caches": caches,
        "swaps": swaps,
        "cpus": int(re.search(r"^ *CPUS: (\d+)", text, re.MULTILINE)[1]),
    }


def settings(one: Crash, variables: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Return the variables of the settings, the first that the kernel has."""
    found = one.values({name: name for each in variables.values() for name in each})
    told = {key: next((found[name] for name in each if name in found), None) for key, each in variables.items()}
    return {key: int(value) for key, value in told.items() if value is not None}


def percpu(one: Crash, counters: dict[str, str], cpus: int) -> dict[str, int]:
    """Return the sums of struct percpu_counter, by name: the shared part and that of each CPU."""
    asked = {name: f"({expression}).count" for name, expression in counters.items()}
    for cpu in range(cpus):
        for name, expression in counters.items():
            asked[f"{name}+{cpu}"] = f"*(int *)((unsigned long)({expression}).counters + __per_cpu_offset[{cpu}])"
    found = {name: int(value) for name, value in one.values(asked).items()}
    return {
        name: sum(found[part] for part in [name, *(f"{name}+{cpu}" for cpu in range(cpus))])
        for name in counters
        if name in found
    }


def tasks(one: Crash, cpus: int) -> dict[int, dict]:
    """Return the pages and the cgroup of each process with memory: {pid: {file, anon, swap, shmem, cgroup}}."""
    task = "((struct task_struct *)0x{})".format
    leaders = one.lists({"tasks": "list -o task_struct.tasks -h init_task"})["tasks"][1:]
    heads = one.values({leader: f"&{task(leader)}->signal->thread_head" for leader in leaders}, "%lx")
    threads = one.lists({leader: f"list -H {head} -o task_struct.thread_node" for leader, head in heads.items()})
    spaces = one.values({each: f"{task(each)}->mm" for row in threads.values() for each in row}, "%lx")
    # The first thread that has not ended has the memory; a thread of the kernel has none.
    holders = {leader: [each for each in row if int(spaces[each], 16)] for leader, row in threads.items()}
    memories = {leader: f"((struct mm_struct *)0x{spaces[row[0]]})" for leader, row in holders.items() if row}
    asked, names = {}, {}
    for leader, memory in memories.items():
        asked[f"{leader} pid"] = f"{task(leader)}->pid"
        for index, kind in enumerate(KINDS):
            # One word before 6.2, and what no thread has added yet; since then a counter with a part for each CPU.
            asked[f"{leader} {kind}"] = f"{memory}->rss_stat.count[{index}].counter"
            for each in threads[leader]:
                asked[f"{leader} {kind} {each}"] = f"{task(each)}->rss_stat.count[{index}]"
        node = f"{task(leader)}->cgroups->dfl_cgrp->kn"
        for depth in range(DEPTH):
            names[f"{leader} {depth}"] = f"{node}->name"
            node += "->parent"
    numbers = {name: int(value) for name, value in one.values(asked).items()}
    newer = {
        f"{leader} {kind}": f"{memory}->rss_stat[{index}]"
        for leader, memory in memories.items()
        for index, kind in enumerate(KINDS)
        if f"{leader} {kind}" not in numbers
    }
    numbers.update(percpu(one, newer, cpus) if newer else {})
    words = one.values(names, "%s")
    answer = {}
    for leader in memories:
        path = [words.get(f"{leader} {depth}", "") for depth in range(DEPTH)]
        row = answer[numbers[f"{leader} pid"]] = {"cgroup": "/" + "/".join(word for word in reversed(path) if word)}
        for kind in KINDS:
            own = sum(numbers.get(f"{leader} {kind} {each}", 0) for each in threads[leader])
            row[kind] = numbers[f"{leader} {kind}"] + own
    return answer


def devices(one: Crash, cpus: int) -> dict[str, dict[str, int]]:
    """Return the pages of each backing device over its cgroups: {name: {dirty, writeback, bandwidth, parts}}."""
    addresses = one.lists({"devices": "list -H bdi_list -o backing_dev_info.bdi_list"})["devices"]
    device = {address: f"((struct backing_dev_info *)0x{address})" for address in addresses}
    names = one.values({address: f"{each}->dev_name" for address, each in device.items()}, "%s")
    heads = one.values({address: f"&{each}->wb_list" for address, each in device.items()}, "%lx")
    walked = one.lists({address: f"list -H {head} -o bdi_writeback.bdi_node" for address, head in heads.items()})
    parts = {address: [f"((struct bdi_writeback *)0x{at})" for at in row] for address, row in walked.items()}
    counted = {
        f"{part} {kind}": f"{part}->stat[{kind}]"
        for each in parts.values()
        for part in each
        for kind in ("WB_RECLAIMABLE", "WB_WRITEBACK")
    }
    numbers = percpu(one, counted, cpus)
    speeds = one.values({part: f"{part}->avg_write_bandwidth" for each in parts.values() for part in each})
    return {
        names[address]: {
            "dirty": sum(max(0, numbers[f"{part} WB_RECLAIMABLE"]) for part in each),
            "writeback": sum(max(0, numbers[f"{part} WB_WRITEBACK"]) for part in each),
            "bandwidth": sum(int(speeds[part]) for part in each),
            "parts": len(each),
        }
        for address, each in parts.items()
    }
