# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines of an OOM report, one parser per kind of line, recognised by their structure; task tables: oom_report_rows.

The kernel prints them in mm/oom_kill.c, mm/show_mem.c (mm/page_alloc.c before 6.3, lib/show_mem.c), mm/memcontrol.c,
mm/hugetlb.c, mm/swap_state.c, mm/slab_common.c and mm/util.c. Counters are read by their printed names, so a
counter that a future kernel adds is read too. Every pattern takes any white space where one blank is printed: a
line may come wrapped by a mail program.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

HEADER = re.compile(
    r"(?:^(?P<comm>.*?)\s+invoked\s+)?\boom[\w-]*:\s+gfp_mask=(?P<mask>0x[0-9a-fA-F]+)(?:\((?P<flags>[^)]*)\))?"
    r"(?:,\s*nodemask=(?P<nodemask>\(null\)|[\d,-]*?))?,\s*order=(?P<order>-?\d+)"
    r"(?:,\s*oom_?(?:kill)?_?adj=(?P<adj>-?\d+))?(?:,\s*oom_score_adj=(?P<score>-?\d+))?"
)
ALLOCATION = re.compile(
    r"^(?:(?P<comm>.*?):\s+)?(?:page\s+allocation\s+(?:failure|stalls)|(?:vmalloc|vmap)\S*\s.*?(?:failure|error))"
    r"(?P<rest>.*?)\bmode:\s*(?P<mask>0x[0-9a-fA-F]+)(?:\((?P<flags>[^)]*)\))?"
    r"(?:,\s*nodemask=(?P<nodemask>\(null\)|[\d,-]*?(?=,|\s|$)))?"
    r"(?:,\s*cpuset=(?P<cpuset>.*?),\s*mems_allowed=(?P<mems>[\d,-]+))?",
    re.S,
)
# Such a line without its mode, which lines of another CPU cut off.
ALLOCATION_CUT = re.compile(r"^(?:(?P<comm>.*?):\s+)?page\s+allocation\s+failure[:.]\s+order:\s*(?P<order>\d+)")
ORDER = re.compile(r"\border[:=]\s*(-?\d+)")
CPUSET = re.compile(r"^(?P<comm>.*?)\s+cpuset=(?P<cpuset>\S+)\s+mems_allowed=(?P<mems>[\d,-]+)")
CPU = re.compile(
    r"(?:CPU:\s*(?P<cpu>\d+)\s+(?:UID:\s*(?P<uid>\d+)\s+)?PID:\s*(?P<pid>\d+)\s+Comm:|Pid:\s*(?P<oldpid>\d+),\s*comm:)"
    r"\s+(?P<comm>.*?)(?:\s+Kdump:\s+loaded)?\s+(?:Not\s+tainted|Tainted:(?:\s+[A-Z]+)*)\s+(?P<kernel>\d+\.\S+)",
    re.S,
)
CPU_NO_KERNEL = re.compile(
    r"(?:CPU:\s*(?P<cpu>\d+)\s+(?:UID:\s*(?P<uid>\d+)\s+)?PID:\s*(?P<pid>\d+)\s+Comm:|Pid:\s*(?P<oldpid>\d+),\s*comm:)"
    r"\s+(?P<comm>\S+)(?P<kernel>\Z)?"
)
TASK_IN = re.compile(r"^Task\s+in\s+(.*?)\s+killed\s+as\s+a\s+result\s+of\s+limit\s+of\s+(.*?)\s*$", re.S)
USAGE = re.compile(r"\b(memory\+swap|memory|swap|kmem):\s+usage\s+(\d+)kB,\s+limit\s+(\d+)kB,\s+failcnt\s+(\d+)")
PROTECTION = re.compile(r"min\s+protection\s+(\d+)kB\s+--\s+low\s+protection\s+(\d+)kB")
STATS = re.compile(r"^Memory\s+cgroup\s+stats(?:\s+for\s+(.*?))?:(?=\s|$)(?!\s*\S*/)(.*)$", re.S)
STAT_KB = re.compile(r"\b([a-z][\w()]*):(\d+)KB")
STAT = re.compile(r"(?:^|\s)([a-z][a-z0-9_.]*)\s+(\d+)(?=\s|$)")
_WHOLE_STATS = re.compile(r"\s*(?:(?:[a-z][\w()]*:\d+KB\s*)*|(?:[a-z][a-z0-9_.]*\s+\d+\s*)*)$")
STAT_LINE = re.compile(r"^(?:[a-z][a-z0-9_.]*\s+\d+(?:\s+|$))+$")

COUNTER = re.compile(r"([A-Za-z][\w()-]*):\s*(\d+)")
COUNTERS = re.compile(r"^\s*(?:[A-Za-z][\w()-]*:\s*\d+(?=\s|$)\s*)+(?P<rest>.*)$", re.S)
KILOBYTES = re.compile(r"([A-Za-z][\w()]*):\s*(\d+)\s*([kK]B)(?=\s|$|\W)")
FLAGS = re.compile(r"\b(all_unreclaimable|pages_scanned)(?:\?\s*(\w+)|:\s*(\d+)(?=\s|$))")
NODE = re.compile(r"^Node\s+(\d+)\s+(?=\w[\w()]*:\s*\d+\s*kB)")
ZONE = re.compile(r"^(?:Node\s+(\d+)\s+)?([A-Za-z]\w*)\s+free:\s*\d+\s*kB")
PER_CPU = re.compile(r"^(?:(?:Node\s+\d+\s+)?\w+\s+per-cpu:|CPU\s+\d+:\s+(?:Hot:\s+)?hi:|cpu\s+\d+\s+(?:hot|cold):)")
LOWMEM = re.compile(r"^(?:lowmem_reserve|protections)\[\]:((?:\s+-?\d+)*)\s*$")
BUDDY = re.compile(r"^(?:Node\s+(\d+)\s+)?([A-Za-z]\w*):\s+(\d+\*\d+kB.*)$", re.S)
BUDDY_NONE = re.compile(r"^(?:Node\s+(\d+)\s+)?([A-Za-z]\w*):\s+empty\s*$")
BUDDY_PART = re.compile(r"(\d+)\*(\d+)kB(?:\s+\(([A-Z]+)\))?")
BUDDY_TOTAL = re.compile(r"=\s*(\d+)kB")
HUGEPAGES = re.compile(
    r"^(?:Node\s+(\d+)\s+)?hugepages_total=(\d+)\s+hugepages_free=(\d+)\s+hugepages_surp=(\d+)\s+hugepages_size=(\d+)kB"
)
PAGECACHE = re.compile(r"^(\d+)\s+total\s+pagecache\s+pages")
PAGES = re.compile(r"^(\d+)\s+(pages?\s+[A-Za-z][\w/ -]*?|[a-z]+\s+pages)\s*$")
SWAP_STATS = re.compile(r"^Swap\s+cache(?:\s+stats)?:\s+add\s+(\d+),\s+delete\s+(\d+),\s+find\s+(\d+)/(\d+)")
SWAP = re.compile(r"^(Free|Total)\s+swap\s*[=:]\s*(\d+)kB")
ALLOCATION_TAG = re.compile(r"^([\d.]+)\s*([KMGTPE]i?B|[kB]B?)?\s+(\d+)\s+(\S+?):(\d+)\s+(?:\[(\S+)\]\s+)?func:(\S+)")
SLAB = re.compile(r"^(\S(?:.*?\S)?)\s+(\d+)KB\s+(\d+)KB\s*$", re.S)
SLAB_TITLE = re.compile(r"^Name\s+Used\s+Total")
OOM_KILL = re.compile(r"oom-kill:\s*constraint=")
KILLED = re.compile(
    r"^(?:(?P<message>[A-Z][\w ]*(?:\([\w ]+\))?):\s+)?Killed\s+process\s+(?P<pid>\d+)(?:,\s+UID\s+(?P<uid>\d+),)?\s+"
    r"\((?:(?P<comm>.*)\)(?=\s+(?:total-vm|vsz):)|(?P<short>.*?)\)(?=[\s,.]|$))(?P<rest>.*)$",
    re.S,
)
KILLED_CUT = re.compile(
    r"^(?:(?P<message>[A-Z][\w ]*(?:\([\w ]+\))?):\s+)?Killed\s+process\s+(?P<pid>\d+)\s*"
    r"(?P<comm>(?!))?(?P<short>(?!))?(?:\([^()]*)?$"
)
KILL = re.compile(
    r"^(?:(?P<message>[A-Z][\w ]*(?:\([\w ]+\))?):\s+)?[Kk]ill\s+process\s+(?P<pid>\d+)\s+\((?P<comm>.*)\)"
    r"\s+(?:\[[^\]]*\]\s+)?(?:score\s+(?P<score>-?\d+)|(?P<sharing>sharing\s+same\s+memory))",
    re.S,
)
EXITING = re.compile(r"^(?P<message>[A-Z][\w ]*(?:\([\w ]+\))?):\s+OOM\s+victim\s+(?P<pid>\d+)\s+\((?P<comm>.*)\)\s+is")
REAPED = re.compile(
    r"oom_reaper:\s+reaped\s+process\s*:?(?P<pid>\d+)\s+\((?P<comm>.*?)\)(?:,?\s+(?:now|anon-rss)|,?$)", re.S
)
NOT_REAPED = re.compile(r"oom_reaper:\s+unable\s+to\s+reap\s+pid:\s*(?P<pid>\d+)\s+\((?P<comm>.*)\)")
GROUP = re.compile(r"^Tasks\s+in\s+(.*?)\s+are\s+going\s+to\s+be\s+killed\s+due\s+to\s+memory\.oom\.group\s+set", re.S)
PANIC = re.compile(r"^Kernel\s+panic\s+-\s+not\s+syncing:\s+(.*)$", re.S)
REFUSAL = re.compile(
    r"\bpid:\s*(?P<pid>\d+),\s+comm:\s+(?P<comm>.*?),\s+(?:bytes:\s*(?P<bytes>\d+)\s+not|no)\s+enough\s+memory\s+for"
    r"\s+the\s+allocation",
    re.S,
)
_PANIC_REASON = re.compile(
    r"[Oo]ut of memory\S* \S*\s*panic_on_oom is (?:enabled|selected)|[Oo]ut of memory and no killable processes\.\.\.|"
    r"System is deadlocked on memory"
)
LOST = re.compile(
    r"\b(?:\d+ printk messages dropped|[Mm]issed \d+ kernel messages|log lost \d+|\d+ callbacks suppressed)"
)

# Kill messages of kernels before 2.6.36, which told the constraint in words.
_MESSAGE_CONSTRAINT = {
    "No available memory (MPOL_BIND)": "CONSTRAINT_MEMORY_POLICY",
    "No available memory in cpuset": "CONSTRAINT_CPUSET",
}

# Above this many kB a limit is the kernel's "no limit": PAGE_COUNTER_MAX or RES_COUNTER_MAX of 64-bit kernels.
_NO_LIMIT_KB = 1 << 52
# PAGE_COUNTER_MAX of a 32-bit kernel with 4 KiB pages, in kB.
_NO_LIMIT_KB_32 = 8589934588

# The words of lines of figures: what is broken elsewhere than between them was broken inside a word.
_WORD = re.compile(
    r"(?:Node|\d+|[A-Z]\w*|[A-Za-z][\w()-]*:(?:\d+(?:[kK]B)?)?|\d+[kK]B|\w+\?|yes|no|Mem-[Ii]nfo:|free:|pages_scanned:\d+)$"
)
# How a whole line of these kinds ends.
_WHOLE_SIZES = re.compile(r"(?:\d[kK]B|\?\s*(?:yes|no)|pages_scanned:\d+)$")
_OF_VICTIM = re.compile(r"\d\s*kB\b|\bUID:|oom_score_adj|^\s*-?\d+,?\s*$|^\s*kB")
_WHOLE_VICTIM = re.compile(r"(?:\dkB|UID:\s*\d+|oom_score_adj:\s*-?\d+)$")

# The last names that the kernel puts on a line of global counters; a line that ends otherwise was cut.
LAST_COUNTERS = frozenset(
    [
        "isolated_anon",
        "isolated_file",
        "unstable",
        "writeback",
        "bounce",
        "pagetables",
        "kernel_misc_reclaimable",
        "free_cma",
        "slab_unreclaimable",
        "inactive_file",
        "inactive_anon",
        "free_pcp",
        "shmem",
        "mlocked",
        "pages_scanned",
        "unevictable",
        "sec_pagetables",
        "free_highatomic",
        "zspages",
        "zsmalloc",
        "mapped",
    ]
)

# Names that only a line of Mem-Info's global counters has; one line of it may begin with any of them.
KNOWN_COUNTERS = LAST_COUNTERS | frozenset(
    [
        "active_anon",
        "active_file",
        "active",
        "inactive",
        "dirty",
        "slab_reclaimable",
        "slab",
        "free",
    ]
)

# What follows the number at the end of Mem-Info, and what it is called in a report's memory.
_PAGES_NAMES = {
    "pages ram": "ram",
    "pages of ram": "ram",
    "pages highmem/movableonly": "highmem",
    "pages highmem": "highmem",
    "pages of highmem": "highmem",
    "pages reserved": "reserved",
    "reserved pages": "reserved",
    "pages cma reserved": "cma_reserved",
    "pages hwpoisoned": "hwpoisoned",
    "pages in swap cache": "swap_cache",
    "pages swap cached": "swap_cache",
    "pages shared": "shared",
    "pages non-shared": "non_shared",
    "pages dirty": "dirty",
    "pages writeback": "writeback",
    "pages mapped": "mapped",
    "pages slab": "slab",
    "pages pagetables": "pagetables",
    "free pages": "free",
}

_UNITS = {
    "B": 1,
    "kB": 1024,
    "KB": 1024,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "PiB": 1 << 50,
    "EiB": 1 << 60,
    "k": 1024,
}


def name_of(printed):
    """Return a counter's name in snake_case: "isolated(anon)" -> "isolated_anon", "Active" -> "active"."""
    return printed.replace("(", "_").replace(")", "").replace("-", "_").lower()


def pairs_kb(text):
    """Return {name: bytes} for every "name:<n>kB" in text."""
    return {name_of(name): int(value) * 1024 for name, value, _unit in KILOBYTES.findall(text)}


def cut_end(text):
    """Return text without its last word where a pager or the end of the file cut it ("…inactiv>", "…file:12>")."""
    if text.endswith(">"):
        head = text[:-1].rstrip()
        return head[: head.rfind(" ") + 1], True
    return text, False


def _broken(text, unit):
    """Return whether a line that was wrapped is broken inside a word; unit: what each number ends with."""
    parts = text.split("\n")
    for number in range(1, len(parts)):
        last, first = parts[number - 1].split()[-1:], parts[number].split()[:1]
        for word in last + first:
            if not _WORD.match(word) or unit and re.match(r"(?!pages_scanned)\D.*:\d+$", word):
                return True
        if first and last and not unit and first[0].isdigit() != last[0].endswith(":"):
            return True
    return False


def parse_counters(text):
    """Return ({name: pages}, cut) of a line of Mem-Info's global counters; None where text is no such line."""
    text, cut = cut_end(text)
    match = COUNTERS.match(text)
    if not match:
        return None
    found = COUNTER.findall(text)
    if not found:
        return None
    rest = match.group("rest").strip()
    values = {name_of(name): int(value) for name, value in found}
    known = [name for name in values if name in KNOWN_COUNTERS]
    if not known and (rest or len(values) < 2):
        return None
    if "\n" not in text and name_of(found[-1][0]) not in LAST_COUNTERS and known:
        cut = True
    return values, cut or bool(rest) or "\n" in text and _broken(text, False)


def parse_sizes(text):
    """Return ({name: bytes}, {flag: value}, cut) of a node's or zone's line of Mem-Info."""
    text, cut = cut_end(text)
    values = pairs_kb(text)
    flags = {}
    for name, word, number in FLAGS.findall(text):
        if number:
            flags[name] = int(number)
        elif word in ("yes", "no"):
            flags[name] = word == "yes"
    # "name:<n>" at the very end without its unit was cut inside the number or the unit.
    cut = cut or "\n" in text and _broken(text, True)
    return values, flags, cut or not _WHOLE_SIZES.search(text.rstrip()[-40:])


def parse_buddy(text):
    """Return ([{size, count, types}], total, cut): free blocks by size (bytes), and their sum as printed or None."""
    text, cut = cut_end(text)
    parts = [
        {"size": int(size) * 1024, "count": int(count), "types": types or None}
        for count, size, types in BUDDY_PART.findall(text)
    ]
    total = BUDDY_TOTAL.search(text)
    return parts, int(total.group(1)) * 1024 if total else None, cut or not total


def limit_bytes(kilobytes):
    """Return a cgroup's limit in bytes, or None where it is the kernel's "no limit"."""
    if kilobytes >= _NO_LIMIT_KB or kilobytes == _NO_LIMIT_KB_32:
        return None
    return kilobytes * 1024


def parse_stats(text):
    """Return ({name: number}, cut) of a cgroup's statistics: KB as bytes, memory.stat's bytes and counts as printed.

    cut: the text was wrapped inside a word.
    """
    found = STAT_KB.findall(text)
    whole = all(_WHOLE_STATS.match(part) for part in text.split("\n"))
    if found:
        return {name_of(name): int(value) * 1024 for name, value in found}, not whole
    return {name: int(value) for name, value in STAT.findall(text)}, not whole


def parse_context(text):
    """Return the fields of an "oom-kill:" line as a dict, with "cut" True where its end is missing.

    A mail program wraps this line inside words, because it has no blanks; so line ends are taken out.
    """
    text = re.sub(r"\s*\n\s*", "", text[text.find("oom-kill:") :])
    text, cut = (text[:-1], True) if text.endswith(">") else (text, False)
    fields = {"global": ",global_oom" in text}
    for name, pattern in _CONTEXT:
        match = pattern.search(text)
        if match:
            fields[name] = match.group(1)
    task = re.search(r",\s*task=(.*),\s*pid=(\d+),\s*uid=(\d+)\s*$", text) or re.search(
        r",\s*task=(.*),\s*pid=(\d+),\s*uid=(\d+)(?=\s)", text
    )
    if task:
        fields["comm"], fields["pid"], fields["uid"] = task.group(1), int(task.group(2)), int(task.group(3))
    fields["cut"] = cut or not task
    return fields


_CONTEXT = (
    ("constraint", re.compile(r"constraint=(\w+)(?=,)")),
    # A person or a mail may have wrapped the line after a comma.
    ("nodemask", re.compile(r",\s*nodemask=(\(null\)|[\d,-]*?)(?=,\s*[a-z])")),
    ("cpuset", re.compile(r",\s*cpuset=(.*?),\s*mems_allowed=")),
    ("mems_allowed", re.compile(r",\s*mems_allowed=([\d,-]*?)(?=,\s*[a-z])")),
    ("oom_memcg", re.compile(r",\s*oom_memcg=(.*?)(?=,\s*task_memcg=|,\s*task=)")),
    ("task_memcg", re.compile(r",\s*task_memcg=(.*?)(?=,\s*task=)")),
)


def parse_victim(match):
    """Return a victim's fields (bytes) from a match of KILLED; "cut" is True where the line ends inside a field."""
    # What follows a log in a letter or on a page is no part of its last line.
    parts = match.group("rest").split("\n")
    rest = "\n".join(parts[:1] + [part for part in parts[1:] if _OF_VICTIM.search(part)])
    sizes = {name: int(value) * 1024 for name, value in re.findall(r"([a-z-]+):\s*(\d+)\s*kB", rest)}
    uid = match.group("uid") or _first(re.search(r"\bUID:?\s*(\d+)(?=[\s,]|$)", rest))
    adjustment = _first(re.search(r"\boom_score_adj:\s*(-?\d+)", rest))
    victim = {
        "comm": match.group("comm") or match.group("short") or "",
        "pid": int(match.group("pid")),
        "uid": int(uid) if uid else None,
        "total_vm": sizes.get("total-vm", sizes.get("vsz")),
        "anon_rss": sizes.get("anon-rss"),
        "file_rss": sizes.get("file-rss"),
        "shmem_rss": sizes.get("shmem-rss"),
        "pgtables": sizes.get("pgtables"),
        "oom_score_adj": int(adjustment) if adjustment else None,
    }
    # The oldest kernels print nothing after the name, or a full stop.
    tail = rest.rstrip()[-40:]
    broken = "\n" in victim["comm"]
    victim["comm"] = victim["comm"].replace("\n", " ").strip()
    broken = broken or any(not re.match(r"\s*,?\s*(?:[A-Za-z_-]+[:,]?|\d+,)", part) for part in rest.split("\n")[1:])
    victim["cut"] = (
        broken or bool(tail.strip(".")) and not _WHOLE_VICTIM.search(tail) or bool(sizes) and "file-rss" not in sizes
    )
    return victim


def _first(match):
    return match.group(1) if match else None


def message_constraint(message):
    """Return the constraint that a kill line's first words name, or None."""
    return _MESSAGE_CONSTRAINT.get(message or "")


def panic_reason(text):
    """Return the reason of a panic, on one line; of the known ones also where a mail program broke the line."""
    joined = " ".join(text.split())
    match = _PANIC_REASON.match(joined)
    return match.group(0) if match else text.split("\n", 1)[0].strip()


def pages_name(printed):
    """Return a report's name for what follows the number in "N pages …", or None where the words were cut."""
    plain = " ".join(printed.lower().split())
    if plain in _PAGES_NAMES:
        return _PAGES_NAMES[plain]
    if any(known.startswith(plain) for known in _PAGES_NAMES):
        return None
    return re.sub(r"\W+", "_", re.sub(r"^pages? (?:of |in )?| pages$", "", plain))


def parse_tag(match):
    """Return one line of "Memory allocations:" (CONFIG_MEM_ALLOC_PROFILING) as a dict; bytes are rounded by the
    kernel where it prints a unit (exact is False then)."""
    number, unit, calls, path, line, module, function = match.groups()
    scale = _UNITS.get(unit or "B")
    if scale is None:
        return None
    try:
        size = int(round(float(number) * scale))
    except (ValueError, OverflowError):
        return None
    return {
        "bytes": size,
        "exact": unit in (None, "B"),
        "calls": int(calls),
        "file": path,
        "line": int(line),
        "module": module,
        "function": function,
    }
