# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take one sample of how memory is used: python3 memory_sampler.py FILE MAX_BYTES UNITS.

A timer runs it. The sample is a line of JSON at the end of FILE, which never grows beyond MAX_BYTES: its oldest third
goes first. UNITS is how many units are told of, those with the most memory. Sizes are bytes; events are counts since
boot, as the kernel has them (proc_vmstat(5)). No names of processes, no command lines. Python 3.6, standard library.
"""

import json
import os
import sys
import tempfile
import time

MEMORY = (
    "MemTotal",
    "MemFree",
    "MemAvailable",
    "Active(file)",
    "Inactive(file)",
    "SReclaimable",
    "Mapped",
    "Shmem",
    "SwapTotal",
    "SwapFree",
    "Committed_AS",
    "CommitLimit",
)
# The refaults of files have one name since Linux 5.9, and another one before.
EVENTS = ("pswpin", "oom_kill", "workingset_refault", "workingset_refault_file")
# A host with more groups has them by accident; a sample must end soon.
MOST_GROUPS = 5000
UNITS = (".service", ".scope")


def text_of(path):
    """Return a file's text; empty where it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def table(text):
    """Return {name: number} of lines that are a name and a number."""
    pairs = (line.split()[:2] for line in text.split("\n"))
    return {pair[0].rstrip(":"): int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def groups(root):
    """Give (unit, directory) for each unit that is no slice. What a unit has made below itself is part of it."""
    waiting, seen = [root], 0
    while waiting and seen < MOST_GROUPS:
        try:
            with os.scandir(waiting.pop()) as entries:
                found = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        seen += len(found)
        for entry in found:
            if entry.name.endswith(UNITS):
                yield entry.name, entry.path
            else:
                waiting.append(entry.path)


def units(root="/", most=20):
    """Return {unit: [memory in use, of it anonymous, swapped out]} of the units with the most, in bytes."""
    second = os.path.join(root, "sys/fs/cgroup")
    first = os.path.join(second, "memory")
    if os.path.isdir(first):
        place, current, anon, swap = first, "memory.usage_in_bytes", "total_rss", "total_swap"
    else:
        place, current, anon, swap = second, "memory.current", "anon", None
    found = {}
    for name, path in groups(place):
        number = text_of(os.path.join(path, current)).strip()
        if number.isdigit():
            found[name] = max(found.get(name, (0, "")), (int(number), path))
    largest = sorted(found, key=lambda name: (-found[name][0], name))[:most]
    told = {}
    for name in largest:
        used, path = found[name]
        stat = table(text_of(os.path.join(path, "memory.stat")))
        swapped = stat.get(swap, 0) if swap else text_of(os.path.join(path, "memory.swap.current")).strip()
        told[name] = [used, stat.get(anon, 0), int(swapped) if str(swapped).isdigit() else 0]
    return told


def sample(root="/", most=20):
    """Return one sample."""

    def proc(name):
        return text_of(os.path.join(root, "proc", name))

    memory, events = table(proc("meminfo")), table(proc("vmstat"))
    return {
        "time": int(time.time()),
        "boot": proc("sys/kernel/random/boot_id").strip(),
        "page": os.sysconf("SC_PAGE_SIZE"),
        "memory": {name: memory[name] * 1024 for name in MEMORY if name in memory},
        "events": {name: events[name] for name in EVENTS if name in events},
        "units": units(root, most),
    }


def shortened(text, room):
    """Return whole lines, the newest ones, that are no longer than the room."""
    # A last line without an end was being written when the power went: it is no sample, and must not spoil the next.
    text = text[: text.rfind("\n") + 1]
    if len(text) <= room:
        return text
    kept = text[len(text) - max(1, room) :]
    return kept[kept.index("\n") + 1 :]


def is_whole(file):
    """Return whether what is in the file ends with a line; nothing in it does."""
    if file.tell():
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
    return True


def add(path, line, most):
    """Add a line to the file, and let the oldest go where it would become larger than that many bytes."""
    line += "\n"
    with open(path, "ab+") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() + len(line) <= most and is_whole(file):
            file.write(line.encode("ascii"))
            return
        file.seek(0)
        text = file.read().decode("ascii", "replace")
    handle, partial = tempfile.mkstemp(prefix=".samples.", dir=os.path.dirname(path))
    with os.fdopen(handle, "w", encoding="ascii", errors="replace") as file:
        file.write(shortened(text, min(most * 2 // 3, most - len(line))) + line)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def main(arguments):
    """Take one sample."""
    path, most, count = arguments
    add(path, json.dumps(sample(most=int(count)), separators=(",", ":"), sort_keys=True), int(most))


if __name__ == "__main__":
    main(sys.argv[1:])
