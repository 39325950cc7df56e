# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OOM reports written line by line after the kernel's own formats, and the prefixes that logs put before them.

No report here is anybody's. Each era's lines follow the printk formats of that kernel's mm/oom_kill.c,
mm/page_alloc.c (mm/show_mem.c) and mm/memcontrol.c; the numbers are made up, and all different where the
test wants to see that none is taken for another.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent / "fixtures" / "oom_texts"
# What the lines of a report's end begin with.
ENDS = ("oom-kill:", "Out of memory", "Killed", "oom_reaper", "Memory cgr", "Tasks in")


def lines_of(name: str) -> list[str]:
    """Return the records of a text; "\\n" in it is a newline inside one record."""
    return [line.replace("\\n", "\n") for line in (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()]


def global_612(victim: int = 4321) -> list[str]:
    """Return a global report of a 6.12 kernel, as x86-64 with NUMA prints it."""
    return [line.replace("4321", str(victim)) for line in lines_of("global_612")]


def global_310() -> list[str]:
    """Return a global report of a 3.10 kernel of RHEL 7, whose zones carry every counter."""
    return lines_of("global_310")


def global_2632() -> list[str]:
    """Return a global report of the 2.6.32 kernel of RHEL 6: per-cpu lists, each counter's line a printk of its own."""
    return lines_of("global_2632")


def global_2624() -> list[str]:
    """Return a global report of a 2.6.24 kernel of 32 bits: no nodes, no task table."""
    return lines_of("global_2624")


def memcg_v1() -> list[str]:
    """Return a report of a v1 cgroup with a child, of a 4.8 kernel: one line of statistics per group."""
    return lines_of("memcg_v1")


def memcg_v2(kills: int = 1) -> list[str]:
    """Return a report of a v2 cgroup at its limit, with so many tasks killed at once (memory.oom.group)."""
    lines = lines_of("memcg_group")
    group = next(at for at, line in enumerate(lines) if line.startswith("Tasks in"))
    return lines[:group] if kills == 1 else lines[: group + kills]


def without_end(lines: list[str]) -> list[str]:
    """Return a report's lines up to its task table."""
    return [line for line in lines if not line.startswith(ENDS) or line.startswith("Memory cgroup stats")]


def panicked() -> list[str]:
    """Return a report that ends in the panic of vm.panic_on_oom, which prints no kill line."""
    return [
        *without_end(global_612()),
        "Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled",
        "CPU: 1 UID: 1001 PID: 4319 Comm: python3 Not tainted 6.12.48+deb13-cloud-amd64 #1  Debian 6.12.48-1",
    ]


def deadlocked() -> list[str]:
    """Return a report that finds nothing to kill."""
    return [
        *without_end(global_612()),
        "Out of memory and no killable processes...",
        "Kernel panic - not syncing: System is deadlocked on memory",
    ]


def allocation_failure() -> list[str]:
    """Return what the kernel says of a page allocation that failed."""
    body = global_612()
    start = body.index("Mem-Info:")
    end = next(at for at, line in enumerate(body) if line.startswith("Tasks state"))
    first = (
        "kworker/0:2: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), "
        "nodemask=(null),cpuset=/,mems_allowed=0"
    )
    second = "CPU: 0 UID: 0 PID: 55 Comm: kworker/0:2 Not tainted 6.12.48+deb13-cloud-amd64 #1  Debian 6.12.48-1"
    return [first, second, "Workqueue: events request_firmware_work_func", *body[start:end]]


# Prefixes: each takes a report's lines (a line may hold newlines, as one printk may) and returns a log's text.

BASE = 5000.25


def _times(lines: list[str]) -> list[tuple[float, str]]:
    return [(BASE + at / 1000, line) for at, line in enumerate(lines)]


def callers(lines: list[str]) -> list[str]:
    """Return the caller id of each line: the task that the second or third line of its report names."""
    found, caller = [], "T1"
    for at, line in enumerate(lines):
        if at == 0 or "invoked oom-killer" in line or "page allocation failure" in line:
            named = (match.group(1) for match in (re.search(r"P[Ii][Dd]: (\d+)", one) for one in lines[at:]) if match)
            caller = "T" + next(named, "1")
        found.append(caller)
    return found


def plain(lines: list[str]) -> str:
    """The kernel's text alone."""
    return "".join(line + "\n" for line in lines)


def dmesg(lines: list[str]) -> str:
    """dmesg: seconds since boot; each line of a record has the prefix."""
    return "".join(f"[{when:12.6f}] {part}\n" for when, line in _times(lines) for part in line.split("\n"))


def dmesg_caller(lines: list[str]) -> str:
    """CONFIG_PRINTK_CALLER: the printing task beside the time."""
    return "".join(
        f"[{when:12.6f}][{caller:>6}] {part}\n"
        for (when, line), caller in zip(_times(lines), callers(lines), strict=True)
        for part in line.split("\n")
    )


def dmesg_decoded(lines: list[str]) -> str:
    """dmesg -x."""
    return "".join(
        f"kern  :warn  : [{when:12.6f}] {part}\n" for when, line in _times(lines) for part in line.split("\n")
    )


def dmesg_human(lines: list[str]) -> str:
    """dmesg -T in a German locale; later lines of a record are padded."""
    stamp = "[Di Mär 11 03:54:03 2025] "
    return "".join(stamp + line.replace("\n", "\n" + " " * len(stamp)) + "\n" for line in lines)


def pstore(lines: list[str]) -> str:
    """pstore: the level before the time."""
    return "".join(f"<4>[{when:12.6f}] {part}\n" for when, line in _times(lines) for part in line.split("\n"))


def kmsg(lines: list[str]) -> str:
    """/dev/kmsg: sequence number, microseconds, newlines escaped, dictionary lines after a record."""
    return "".join(
        f"4,{at},{int(when * 1e6)},-,caller={caller};" + line.replace("\n", "\\x0a") + "\n"
        for at, ((when, line), caller) in enumerate(zip(_times(lines), callers(lines), strict=True))
    )


def syslog(lines: list[str]) -> str:
    """Traditional syslog without the kernel's time, newlines as rsyslog escapes them."""
    return "".join("Mar 11 03:54:03 db-1 kernel: " + line.replace("\n", "#012") + "\n" for line in lines)


def syslog_seconds(lines: list[str]) -> str:
    """Traditional syslog with the kernel's time."""
    return "".join(
        f"Mar 11 03:54:03 db-1 kernel: [{when:12.6f}] {part}\n"
        for when, line in _times(lines)
        for part in line.split("\n")
    )


def syslog_iso(lines: list[str]) -> str:
    """rsyslog's default since 8.23xx on Debian 12: ISO time stamps with a zone."""
    return "".join(
        f"2025-03-11T03:54:03.500000+02:00 db-1 kernel: [{when:12.6f}] {part}\n"
        for when, line in _times(lines)
        for part in line.split("\n")
    )


def syslog_5424(lines: list[str]) -> str:
    """RFC 5424 with priority, version and empty structured data."""
    return "".join(
        f"<4>1 2025-03-11T03:54:03.5Z db-1 kernel - - - [{when:12.6f}] {part}\n"
        for when, line in _times(lines)
        for part in line.split("\n")
    )


def journal_short(lines: list[str]) -> str:
    """journalctl -k: later lines of a record are padded to the text's column."""
    head = "Mar 11 03:54:03 db-1 kernel: "
    return "".join(head + line.replace("\n", "\n" + " " * len(head)) + "\n" for line in lines)


def _entries(lines: list[str]) -> list[dict[str, str]]:
    return [
        {
            "__CURSOR": f"s=1;i={at}",
            "__REALTIME_TIMESTAMP": str(1741658043500000 + at),
            "_SOURCE_MONOTONIC_TIMESTAMP": str(int(when * 1e6)),
            "_BOOT_ID": "0123456789abcdef0123456789abcdef",
            "_TRANSPORT": "kernel",
            "_HOSTNAME": "db-1",
            "SYSLOG_IDENTIFIER": "kernel",
            "PRIORITY": "4",
            "MESSAGE": line,
        }
        for at, (when, line) in enumerate(_times(lines))
    ]


def journal_json(lines: list[str]) -> str:
    """journalctl -k -o json."""
    return "".join(json.dumps(entry) + "\n" for entry in _entries(lines))


def journal_bytes(lines: list[str]) -> str:
    """The same, each message as a list of bytes, as the journal does with what it finds unprintable."""
    return "".join(
        json.dumps(dict(entry, MESSAGE=list(entry["MESSAGE"].encode())), separators=(",", ":")) + "\n"
        for entry in _entries(lines)
    )


def journal_pretty(lines: list[str]) -> str:
    """journalctl -k -o json-pretty."""
    return "".join(json.dumps(entry, indent="\t").replace('": ', '" : ') + "\n" for entry in _entries(lines))


def journal_export(lines: list[str]) -> str:
    """journalctl -k -o export: a field with a newline is written with its length."""
    text = ""
    for entry in _entries(lines):
        for name, value in entry.items():
            if "\n" in value:
                text += name + "\n" + len(value.encode()).to_bytes(8, "little").decode("latin-1") + value + "\n"
            else:
                text += f"{name}={value}\n"
        text += "\n"
    return text


def docker(lines: list[str]) -> str:
    """Docker's json-file driver around dmesg's output."""
    return "".join(
        json.dumps({"log": part + "\n", "stream": "stdout", "time": "2025-03-11T01:54:03.5Z"}) + "\n"
        for part in dmesg(lines).splitlines()
    )


def cri(lines: list[str]) -> str:
    """CRI's format (containerd, CRI-O) around dmesg's output."""
    return "".join(f"2025-03-11T01:54:03.500000000Z stdout F {part}\n" for part in dmesg(lines).splitlines())


def mail(lines: list[str]) -> str:
    """A mail that quotes and wraps dmesg's output at 72 columns."""
    text = ""
    for line in dmesg(lines).splitlines():
        while len(line) > 72 and " " in line[20:72]:
            cut = line.rindex(" ", 20, 73)
            text += "> " + line[:cut] + "\n"
            line = line[cut + 1 :]
        text += "> " + line + "\n"
    return text


def unknown(lines: list[str]) -> str:
    """A log shipper's own template, which no parser can know beforehand."""
    return "".join(
        f"{1741658043 + at}|fleet-7|kern.warn|#{at}| {part}\n"
        for at, line in enumerate(lines)
        for part in line.split("\n")
    )


PREFIXES = (
    plain,
    dmesg,
    dmesg_caller,
    dmesg_decoded,
    dmesg_human,
    pstore,
    kmsg,
    syslog,
    syslog_seconds,
    syslog_iso,
    syslog_5424,
    journal_short,
    journal_json,
    journal_bytes,
    journal_pretty,
    journal_export,
    docker,
    cri,
    mail,
    unknown,
)
REPORTS = {
    "global_612": global_612,
    "global_310": global_310,
    "global_2632": global_2632,
    "global_2624": global_2624,
    "memcg_v2": memcg_v2,
    "memcg_v1": memcg_v1,
    "memcg_group": lambda: memcg_v2(3),
    "panicked": panicked,
    "deadlocked": deadlocked,
    "allocation_failure": allocation_failure,
}
