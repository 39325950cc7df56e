# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast a kernel log is read: megabytes a second and peak memory, against grep -c of the same file.

    python tests/benchmarks/bench_oom_report.py [--megabytes 500] [--reports 1000] [--keep FILE]

The log is made once per size: kernel and system noise of many kinds, with OOM reports of several formats spread
evenly among it. Peak memory is the resident set of a fresh Python process (VmHWM); one core, no threads.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TASKS = 90

NOISE = (
    (
        '{stamp} web{host} kernel: [{up:12.6f}] audit: type=1400 audit(1700000000.{n:03d}:{n}): apparmor="DENIED" '
        'operation="open" name="/proc/{n}/room" pid={n} comm="node" requested_mask="r" fsuid=1000 ouid=0\n'
    ),
    (
        "{stamp} web{host} kernel: [{up:12.6f}] [UFW BLOCK] IN=eth0 OUT= MAC=00:16:3e SRC=10.0.{m}.7 DST=10.0.0.1 "
        "LEN=40 TOS=0x00 TTL=243 ID={n} PROTO=TCP SPT=4{m:03d} DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0\n"
    ),
    "{stamp} web{host} systemd[1]: Started Session {n} of user deploy.\n",
    "{stamp} web{host} systemd[1]: app-{n}.service: Memory: 112.4M (peak: 150.0M), process exited.\n",
    "{stamp} web{host} kernel: [{up:12.6f}] EXT4-fs (sdb{m}): mounted filesystem with ordered data mode.\n",
    "{stamp} web{host} kernel: [{up:12.6f}] nfs: server filer{m} not responding, still trying\n",
    "{stamp} web{host} sshd[{n}]: Failed password for invalid user admin from 203.0.113.{m} port {n} ssh2\n",
    "{stamp} web{host} kernel: [{up:12.6f}] TCP: request_sock_TCP: Possible SYN flooding on port 443.\n",
    "{stamp} web{host} java[{n}]: WARN low on memory: heap {m}% used, process will collect; room left {n} kB\n",
)


def stamp(second: int) -> str:
    """Return a syslog time stamp of a made-up year."""
    return time.strftime("%b %e %H:%M:%S", time.gmtime(1_700_000_000 + second))


def report(number: int, second: int) -> str:
    """Return one global OOM report of a 6.1 kernel as syslog writes it, with figures of its own."""
    pid, free = 20_000 + number, 5_000 + number
    lines = [
        f"python3 invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj={number % 9}",
        f"CPU: 1 PID: {pid} Comm: python3 Not tainted 6.1.0-18-amd64 #1  Debian 6.1.76-1",
        "Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2 04/01/2014",
        "Call Trace:",
        " <TASK>",
    ]
    lines += [f" function_{step}+0x{step:x}/0x{step + 64:x}" for step in range(30)]
    lines += [
        " </TASK>",
        "Mem-Info:",
        (
            f"active_anon:221 inactive_anon:{200_000 + number} isolated_anon:0#012 active_file:9 inactive_file:21 "
            f"isolated_file:0#012 unevictable:0 dirty:{number % 50} writeback:0#012 slab_reclaimable:6027 "
            "slab_unreclaimable:6546#012 mapped:153 shmem:231 pagetables:812#012 sec_pagetables:0 bounce:0#012 "
            f"kernel_misc_reclaimable:0#012 free:{free} free_pcp:153 free_cma:0"
        ),
        (
            f"Node 0 active_anon:884kB inactive_anon:{4 * (200_000 + number)}kB active_file:36kB inactive_file:84kB "
            f"unevictable:0kB isolated(anon):0kB mapped:8kB dirty:{4 * (number % 50)}kB writeback:0kB "
            "shmem:924kB shmem_thp: 0kB writeback_tmp:0kB kernel_stack:1856kB pagetables:3248kB all_unreclaimable? yes"
        ),
        (
            f"Node 0 DMA32 free:{4 * free}kB boost:0kB min:44700kB low:55872kB high:67044kB reserved_highatomic:0KB "
            "active_anon:884kB inactive_anon:800000kB active_file:36kB inactive_file:84kB writepending:0kB "
            "present:2080640kB managed:2010036kB mlocked:0kB bounce:0kB free_pcp:612kB local_pcp:612kB free_cma:0kB"
        ),
        "lowmem_reserve[]: 0 0 0 0 0",
        f"Node 0 DMA32: {free}*4kB (UM) 0*8kB 0*16kB = {4 * free}kB",
        "Node 0 hugepages_total=0 hugepages_free=0 hugepages_surp=0 hugepages_size=2048kB",
        "251 total pagecache pages",
        "0 pages in swap cache",
        "Free swap  = 0kB",
        "Total swap = 0kB",
        "524158 pages RAM",
        "0 pages HighMem/MovableOnly",
        "17809 pages reserved",
        "0 pages hwpoisoned",
        "Tasks state (memory values in pages):",
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
    ]
    lines += [
        f"[{task:7d}] {task % 7:5d} {task:5d} {9458 + task:8d} {task:8d}    77824        0             0 w-{task}"
        for task in range(pid - TASKS, pid + 1)
    ]
    lines += [
        (
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
            f"task_memcg=/system.slice/app.service,task=w-{pid},pid={pid},uid={pid % 7}"
        ),
        (
            f"Out of memory: Killed process {pid} (w-{pid}) total-vm:{4 * (9458 + pid)}kB, anon-rss:{4 * pid}kB, "
            f"file-rss:0kB, shmem-rss:0kB, UID:{pid % 7} pgtables:76kB oom_score_adj:0"
        ),
    ]
    up = second + 0.5
    return "".join(
        f"{stamp(second)} web{number % 7} kernel: [{up + at / 1e6:12.6f}] {text}\n" for at, text in enumerate(lines)
    )


def generate(path: Path, size: int, reports: int) -> None:
    """Write a log of about size bytes with so many reports, always the same for the same arguments."""
    chance = random.Random(20160215)
    block = [chance.choice(NOISE) for _line in range(4000)]
    every = size // reports
    second = written = 0
    with path.open("w", encoding="ascii") as stream:
        for number in range(reports):
            while written < every * (number + 1) - 30_000:
                second += 1
                text = "".join(
                    line.format(
                        stamp=stamp(second), host=second % 7, up=second + 0.1, n=second % 30_000, m=second % 250
                    )
                    for line in block[second % 3600 : second % 3600 + 400]
                )
                written += stream.write(text)
            written += stream.write(report(number, second))


def measure(path: Path) -> tuple[int, float, float, int]:
    """Read the file in a fresh process: (reports, seconds by the clock, seconds of one core, peak bytes)."""
    code = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(ROOT / 'build' / 'collections')!r})\n"
        "from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report, oom_report_scan\n"
        "start, spent = time.perf_counter(), time.process_time()\n"
        "assembler = oom_report.Assembler(time.time(), sys.argv[1])\n"
        "with open(sys.argv[1], 'rb', buffering=0) as stream:\n"
        "    pieces = iter(lambda: stream.read(oom_report_scan.PIECE), b'')\n"
        "    count = sum(1 for _report in oom_report_scan.scan(pieces, assembler))\n"
        "seconds, spent = time.perf_counter() - start, time.process_time() - spent\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(count, seconds, spent, int(peak.split()[1]) * 1024, assembler.unparsed['count'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    count, seconds, spent, peak, unparsed = result.stdout.split()
    if int(unparsed):
        raise SystemExit(f"{unparsed} lines were not understood")
    return int(count), float(seconds), float(spent), int(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--reports", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="use this file, and make it where it is not there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.keep or Path(folder) / "kern.log"
        if not path.exists():
            generate(path, arguments.megabytes * 1_000_000, arguments.reports)
        size = path.stat().st_size
        subprocess.run(["cat", str(path)], stdout=subprocess.DEVNULL, check=True)  # into the page cache
        start = time.perf_counter()
        floor = subprocess.run(
            ["grep", "-c", "invoked oom-killer", str(path)],
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        grep = time.perf_counter() - start
        count, seconds, spent, peak = measure(path)
    megabytes = size / 1e6
    print(f"log of {megabytes:.0f} MB; grep -c: {int(floor.stdout)} in {grep:.2f} s ({megabytes / grep:.0f} MB/s)")
    print(
        f"read: {count} reports in {seconds:.2f} s by the clock ({megabytes / seconds:.0f} MB/s), {spent:.2f} s of "
        f"one core ({megabytes / spent:.0f} MB/s), peak {peak / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
