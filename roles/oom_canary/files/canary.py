# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hold memory that is really there until somebody kills this: python3 canary.py BYTES.

Its unit gives it the highest score, so that the kernel's OOM killer takes it first, and does something when it dies.
Where there is no room it ends before it takes any: killed while it fills its memory, it would call an alarm that it
made itself. After that it sleeps in one call for ever. Python 3.6, standard library.
"""

import ctypes
import mmap
import os
import signal
import sys

NOTICE, WARNING = "<5>", "<4>"
NO_ROOM = 3
# Where control groups are, and the files of a limit, of what is used, and of the part of that which is cache.
HIERARCHIES = {
    "": ("sys/fs/cgroup", "memory.max", "memory.current", "file"),
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache"),
}
# What cgroup v1 writes for no limit is somewhat below 2**63.
NO_LIMIT = 1 << 60
# include/uapi/asm-generic/mman-common.h; the module mmap has it since Python 3.8.
MADV_NOHUGEPAGE = 15


def read(*parts):
    """Return the text of a file, or "" where there is none."""
    try:
        with open(os.path.join(*parts), encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def numbers(text):
    """Return {first word without its colon: number} of lines of two or three words."""
    words = [line.split() for line in text.split("\n")]
    return {one[0].rstrip(":"): int(one[1]) for one in words if len(one) in (2, 3) and one[1].isdecimal()}


def groups(root):
    """Yield (directory, names of files) of the control group of this process and of those above it, as far as seen."""
    for line in read(root, "proc/self/cgroup").split("\n"):
        _number, _colon, rest = line.partition(":")
        controllers, _colon, path = rest.partition(":")
        for name in set(controllers.split(",")) & set(HIERARCHIES):
            base, files = os.path.join(root, HIERARCHIES[name][0]), HIERARCHIES[name][1:]
            parts = path.strip("/").split("/")
            # In a container the path can begin outside of what is mounted here.
            while parts and not os.path.isdir(os.path.join(base, *parts)):
                parts.pop(0)
            for depth in range(len(parts), -1, -1):
                yield os.path.join(base, *parts[:depth]), files


def room(root="/"):
    """Return how many bytes could be taken without calling the OOM killer: of the host, and of each limit."""
    memory = numbers(read(root, "proc/meminfo"))
    found = [memory["MemAvailable"] * 1024] if "MemAvailable" in memory else []
    for place, (limit, used, cache) in groups(root):
        most, now = read(place, limit).strip(), read(place, used).strip()
        if most.isdecimal() and now.isdecimal() and int(most) < NO_LIMIT:
            found.append(int(most) - int(now) + numbers(read(place, "memory.stat")).get(cache, 0))
    return min(found) if found else None


def call(name, held, *more):
    """Call a function of the C library on this memory; return why the kernel refuses it, or None."""
    start = ctypes.addressof(ctypes.c_char.from_buffer(held))
    if getattr(ctypes.CDLL(None, use_errno=True), name)(ctypes.c_void_p(start), ctypes.c_size_t(len(held)), *more):
        return os.strerror(ctypes.get_errno())
    return None


def may_swap(root):
    """Return whether the kernel may swap this out: no control group of cgroup v2 that it is in forbids it."""
    return all(read(place, "memory.swap.max").strip() != "0" for place, _files in groups(root))


def hold(size, is_small):
    """Return memory of which each page has been written to: one that was only read is the shared page of zeros."""
    held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if is_small:
        # A kernel without huge pages refuses it, and needs none.
        call("madvise", held, MADV_NOHUGEPAGE)
    for start in range(0, size, mmap.PAGESIZE):
        held[start] = 1
    return held


def keep(size, root="/"):
    """Return memory that is not swapped out, which would give no RAM back, and in words how that is so, and a level.

    It has to be free before the kernel looks for another victim, and the kernel counts one as done early (MMF_OOM_SKIP,
    exit_mmap in mm/mmap.c). Since 6.0 up to 10,000 entries may still wait to be freed then (MAX_GATHER_BATCH_COUNT,
    include/asm-generic/tlb.h): with huge pages, an entry each, all of the memory. Before that, what is locked is only
    then unlocked, page by page, which takes long where pages are small; the rest is free by then. So pages are small
    and not locked, but where MemorySwapMax=0 of the unit does nothing: cgroup v1, kernels that do not account for swap.
    """
    if not may_swap(root):
        return hold(size, is_small=True), "its control group has no swap", NOTICE
    held = hold(size, is_small=False)
    refused = call("mlock", held)
    if refused is None:
        return held, "it is locked", NOTICE
    return held, "it could not be locked (%s) and may be swapped out" % refused, WARNING


def main(arguments):
    """Hold the memory and sleep; return an exit status where there is no room for it."""
    size = int(arguments[0])
    free = room()
    if free is not None and size > free:
        print("%snot armed: %d bytes are to be held, and %d are free" % (WARNING, size, free), flush=True)
        return NO_ROOM
    held, how, level = keep(size)
    print("%sholding %d bytes, %s" % (level, len(held), how), flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
