# Copyright: (c) 2026, linux_memory.oom contributors
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

TRACE = [
    "Call Trace:", " <TASK>", " dump_stack_lvl+0x49/0x63", " dump_header+0x4a/0x211", " oom_kill_process.cold+0xb/0x10",
    " out_of_memory+0x1ed/0x540", " __alloc_pages_slowpath.constprop.0+0xc8a/0xdd0", " ? exc_page_fault+0x78/0x170",
    " asm_exc_page_fault+0x26/0x30", "RIP: 0033:0x7f3fa8a9c43b", "Code: Unable to access opcode bytes at 0x7f3fa8a9c411.",
    "RSP: 002b:00007ffc2a9bd478 EFLAGS: 00010206", "RAX: 0000000000000005 RBX: 00007f3f98001510 RCX: 0000000000000000",
    " </TASK>",
]

BUDDY = ("1*4kB (U) 2*8kB (UM) 3*16kB (M) 0*32kB 0*64kB 0*128kB 0*256kB 1*512kB (H) 0*1024kB 1*2048kB (M) 2*4096kB (M) "
         "= 10820kB")


def global_612(victim: int = 4321) -> list[str]:
    """Return a global report of a 6.12 kernel, as x86-64 with NUMA prints it."""
    return [
        "python3 invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=17",
        "CPU: 1 UID: 1001 PID: 4319 Comm: python3 Not tainted 6.12.48+deb13-cloud-amd64 #1  Debian 6.12.48-1",
        "Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2-debian-1.16.2-1 04/01/2014",
        *TRACE,
        "Mem-Info:",
        "active_anon:1101 inactive_anon:180202 isolated_anon:3\n active_file:104 inactive_file:205 isolated_file:6\n"
        " unevictable:907 dirty:38 writeback:19\n slab_reclaimable:3010 slab_unreclaimable:4011\n"
        " mapped:512 shmem:813 pagetables:714\n sec_pagetables:15 bounce:0\n kernel_misc_reclaimable:16\n"
        " free:12117 free_pcp:18 free_cma:21",
        "Node 0 active_anon:4404kB inactive_anon:720808kB active_file:416kB inactive_file:820kB unevictable:3628kB "
        "isolated(anon):12kB isolated(file):24kB mapped:2048kB dirty:152kB writeback:76kB shmem:3252kB shmem_thp:0kB "
        "shmem_pmdmapped:0kB anon_thp:4096kB writeback_tmp:0kB kernel_stack:1808kB pagetables:2856kB sec_pagetables:60kB "
        "all_unreclaimable? yes",
        "Node 0 DMA free:3628kB boost:0kB min:732kB low:912kB high:1092kB reserved_highatomic:0KB active_anon:4kB "
        "inactive_anon:8kB active_file:12kB inactive_file:16kB unevictable:0kB writepending:20kB present:15992kB "
        "managed:15360kB mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB",
        "lowmem_reserve[]: 0 901 902 903 904",
        "Node 0 DMA32 free:44840kB boost:2048kB min:44400kB low:55500kB high:66600kB reserved_highatomic:4096KB "
        "active_anon:4400kB inactive_anon:720800kB active_file:404kB inactive_file:804kB unevictable:3628kB "
        "writepending:208kB present:1032064kB managed:950000kB mlocked:3624kB bounce:0kB free_pcp:72kB local_pcp:36kB "
        "free_cma:84kB",
        "lowmem_reserve[]: 0 0 1 2 3",
        f"Node 0 DMA: {BUDDY}",
        "Node 0 DMA32: 9*4kB (UME) 7*8kB (UE) 5*16kB (E) 3*32kB (C) 1*64kB (I) 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB "
        "0*4096kB = 332kB",
        "Node 0 hugepages_total=4 hugepages_free=3 hugepages_surp=1 hugepages_size=1048576kB",
        "Node 0 hugepages_total=64 hugepages_free=60 hugepages_surp=2 hugepages_size=2048kB",
        "1234 total pagecache pages", "112 pages in swap cache", "Free swap  = 4kB", "Total swap = 524284kB",
        "262014 pages RAM", "0 pages HighMem/MovableOnly", "20674 pages reserved", "7 pages cma reserved",
        "5 pages hwpoisoned",
        "Tasks state (memory values in pages):",
        "[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name",
        "[    201]     0   201     8251      640      256      384         0    90112       32          -250 systemd-journal",
        "[   4319]  1001  4319    30100     2200     2000      150        50   131072      100            17 python3",
        f"[{victim:7d}]  1002  {victim}   210300   150400   150000      300       100  1310720   120000           200 hog (x) 1",
        "[   4400]     0  4400      601       33        0       33         0    40960        0         -1000 sshd: root",
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=user.slice,mems_allowed=0,global_oom,"
        f"task_memcg=/user.slice/user-1002.slice/session-3.scope,task=hog (x) 1,pid={victim},uid=1002",
        f"Out of memory: Killed process {victim} (hog (x) 1) total-vm:841200kB, anon-rss:600000kB, file-rss:1200kB, "
        "shmem-rss:400kB, UID:1002 pgtables:1280kB oom_score_adj:200",
        f"oom_reaper: reaped process {victim} (hog (x) 1), now anon-rss:8kB, file-rss:1200kB, shmem-rss:404kB",
    ]


def global_310() -> list[str]:
    """Return a global report of a 3.10 kernel of RHEL 7, whose zones carry every counter."""
    return [
        "httpd invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0",
        "httpd cpuset=/ mems_allowed=0",
        "CPU: 3 PID: 2211 Comm: httpd Not tainted 3.10.0-1160.el7.x86_64 #1",
        "Hardware name: Red Hat KVM, BIOS 0.5.1 01/01/2011",
        "Call Trace:", " [<ffffffff816862ac>] dump_stack+0x19/0x1b", " [<ffffffff8118475e>] oom_kill_process+0x24e/0x3c0",
        "Mem-Info:",
        "active_anon:207111 inactive_anon:10088 isolated_anon:1\n active_file:127 inactive_file:3605 isolated_file:2\n"
        " unevictable:4 dirty:31 writeback:5 unstable:6\n slab_reclaimable:4700 slab_unreclaimable:4777\n"
        " mapped:1453 shmem:10230 pagetables:2301 bounce:7\n free:12222 free_pcp:30 free_cma:8",
        "Node 0 DMA free:4584kB min:708kB low:884kB high:1060kB active_anon:10168kB inactive_anon:380kB active_file:4kB "
        "inactive_file:176kB unevictable:0kB isolated(anon):0kB isolated(file):0kB present:15988kB managed:15904kB "
        "mlocked:0kB dirty:0kB writeback:0kB mapped:148kB shmem:392kB slab_reclaimable:40kB slab_unreclaimable:100kB "
        "kernel_stack:16kB pagetables:44kB unstable:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB "
        "writeback_tmp:0kB pages_scanned:37 all_unreclaimable? yes",
        "lowmem_reserve[]: 0 970 971 972",
        "Node 0 DMA32 free:44304kB min:44344kB low:55428kB high:66516kB active_anon:818276kB inactive_anon:39972kB "
        "active_file:504kB inactive_file:14244kB unevictable:16kB isolated(anon):4kB isolated(file):8kB present:1028096kB "
        "managed:993600kB mlocked:16kB dirty:124kB writeback:20kB mapped:5664kB shmem:40528kB slab_reclaimable:18760kB "
        "slab_unreclaimable:19008kB kernel_stack:2320kB pagetables:9160kB unstable:24kB bounce:28kB free_pcp:120kB "
        "local_pcp:116kB free_cma:32kB writeback_tmp:0kB pages_scanned:0 all_unreclaimable? no",
        "lowmem_reserve[]: 0 0 0 0",
        f"Node 0 DMA: {BUDDY}",
        "Node 0 DMA32: 370*4kB (UE) 247*8kB (UEM) 1*16kB (U) 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB "
        "0*4096kB = 3472kB",
        "Node 0 hugepages_total=0 hugepages_free=0 hugepages_surp=0 hugepages_size=2048kB",
        "13941 total pagecache pages", "10 pages in swap cache", "Swap cache stats: add 555, delete 545, find 44/77",
        "Free swap  = 12kB", "Total swap = 2097148kB", "261021 pages RAM", "0 pages HighMem/MovableOnly",
        "8645 pages reserved",
        "[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name",
        "[  501]     0   501     9218       61      21       11             0 systemd-journal",
        "[ 2211]    48  2211    87000    21000      90      700             0 httpd",
        "[ 2300]    27  2300   400100   150200     410    90001             0 mysqld",
        "Out of memory: Kill process 2300 (mysqld) score 573 or sacrifice child",
        "Killed process 2300 (mysqld) total-vm:1600400kB, anon-rss:600800kB, file-rss:0kB, shmem-rss:12kB",
    ]


def global_2632() -> list[str]:
    """Return a global report of the 2.6.32 kernel of RHEL 6: per-cpu lists, each counter's line a printk of its own."""
    return [
        "php-fpm invoked oom-killer: gfp_mask=0x280da, order=0, oom_adj=2, oom_score_adj=117",
        "php-fpm cpuset=/ mems_allowed=0-1", "Pid: 23212, comm: php-fpm Not tainted 2.6.32-754.el6.x86_64 #1",
        "Call Trace:", " [<ffffffff81131420>] ? dump_header+0x90/0x1b0",
        "Mem-Info:", "Node 0 DMA per-cpu:", "CPU    0: hi:    0, btch:   1 usd:   0", "Node 0 Normal per-cpu:",
        "CPU    0: hi:  186, btch:  31 usd: 133",
        "active_anon:734396 inactive_anon:55652 isolated_anon:9", " active_file:304 inactive_file:144 isolated_file:317",
        " unevictable:1 dirty:22 writeback:23 unstable:24", " free:49825 slab_reclaimable:13213 slab_unreclaimable:44840",
        " mapped:38195 shmem:52281 pagetables:12433 bounce:25",
        "Node 0 DMA free:15744kB min:28kB low:32kB high:40kB active_anon:0kB inactive_anon:0kB active_file:0kB "
        "inactive_file:0kB unevictable:0kB isolated(anon):0kB isolated(file):0kB present:15352kB mlocked:0kB dirty:0kB "
        "writeback:0kB mapped:0kB shmem:0kB slab_reclaimable:0kB slab_unreclaimable:0kB kernel_stack:0kB pagetables:0kB "
        "unstable:0kB bounce:0kB writeback_tmp:0kB pages_scanned:0 all_unreclaimable? yes",
        "lowmem_reserve[]: 0 3211 32248 32248",
        "Node 0 Normal free:183556kB min:6724kB low:8404kB high:10084kB active_anon:2937584kB inactive_anon:222608kB "
        "active_file:1216kB inactive_file:576kB unevictable:4kB isolated(anon):36kB isolated(file):1268kB "
        "present:3288224kB mlocked:4kB dirty:88kB writeback:92kB mapped:152780kB shmem:209124kB slab_reclaimable:52852kB "
        "slab_unreclaimable:179360kB kernel_stack:5840kB pagetables:49732kB unstable:96kB bounce:100kB writeback_tmp:0kB "
        "pages_scanned:14 all_unreclaimable? no",
        "lowmem_reserve[]: 0 0 0 0",
        "Node 0 DMA: 2*4kB 1*8kB 1*16kB 1*32kB 1*64kB 0*128kB 1*256kB 0*512kB 1*1024kB 1*2048kB 3*4096kB = 15744kB",
        "Node 0 Normal: 204*4kB 187*8kB 1*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 2328kB",
        "72485 total pagecache pages", "19568 pages in swap cache",
        "Swap cache stats: add 3171300, delete 3151732, find 175974644/176167521", "Free swap  = 0kB",
        "Total swap = 2097148kB", "838860 pages RAM", "18179 pages reserved", "315539 pages shared",
        "810426 pages non-shared",
        "[ pid ]   uid  tgid total_vm      rss cpu oom_adj oom_score_adj name",
        "[  788]     0   788     2671        1   7     -17         -1000 udevd",
        "[23212]    48 23212    53756    18810  11       2           117 php-fpm",
        "[40738]    27 40738  1606079     3283   0       0             0 mysqld",
        "Out of memory: Kill process 40738 (mysqld) score 16 or sacrifice child",
        "Killed process 40738, UID 27, (mysqld) total-vm:6424316kB, anon-rss:13128kB, file-rss:4kB",
    ]


def global_2624() -> list[str]:
    """Return a global report of a 2.6.24 kernel of 32 bits: no nodes, no task table."""
    return [
        "smbd invoked oom-killer: gfp_mask=0x1201d2, order=0, oomkilladj=-4", "Pid: 2757, comm: smbd Not tainted 2.6.24.2 #1",
        " [<c0151e3c>] oom_kill_process+0x10a/0x120", " =======================",
        "Mem-info:", "DMA per-cpu:", "CPU    0: Hot: hi:    0, btch:   1 usd:   0   Cold: hi:    0, btch:   1 usd:   0",
        "HighMem per-cpu:", "CPU    0: Hot: hi:  186, btch:  31 usd:  46   Cold: hi:   62, btch:  15 usd:  60",
        "Active:150615 inactive:339150 dirty:41 writeback:42 unstable:43",
        " free:12146 slab:6561 mapped:78 pagetables:2862 bounce:44",
        "DMA free:8132kB min:68kB low:84kB high:100kB active:1872kB inactive:1256kB present:16256kB pages_scanned:5836 "
        "all_unreclaimable? yes",
        "lowmem_reserve[]: 0 873 2016 2016",
        "HighMem free:452kB min:512kB low:1736kB high:2964kB active:200720kB inactive:956076kB present:1170372kB "
        "pages_scanned:3284202 all_unreclaimable? yes",
        "lowmem_reserve[]: 0 0 0 0",
        "DMA: 49*4kB 44*8kB 40*16kB 37*32kB 22*64kB 6*128kB 0*256kB 1*512kB 1*1024kB 1*2048kB 0*4096kB = 8132kB",
        "HighMem: 11*4kB 5*8kB 1*16kB 1*32kB 1*64kB 0*128kB 1*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 452kB",
        "Swap cache: add 550090, delete 550089, find 1023187/1039769, race 0+22", "Free swap  = 36kB",
        "Total swap = 899064kB", "Free swap:           36kB", "524272 pages of RAM", "294896 pages of HIGHMEM",
        "5542 reserved pages", "55226 pages shared", "1 pages swap cached", "40 pages dirty", "42 pages writeback",
        "78 pages mapped", "6561 pages slab", "2862 pages pagetables",
        "Out of memory: kill process 5928 (apache2) score 40674 or a child", "Killed process 5928 (apache2)",
    ]


def memcg_v2(kills: int = 1) -> list[str]:
    """Return a report of a v2 cgroup at its limit, with so many tasks killed at once (memory.oom.group)."""
    path = "/system.slice/app@1.service"
    lines = [
        "worker invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=-5",
        "CPU: 0 PID: 700 Comm: worker Not tainted 6.1.0-40-amd64 #1  Debian 6.1.153-1", *TRACE,
        "memory: usage 131072kB, limit 131072kB, failcnt 91", "swap: usage 2112kB, limit 9007199254740988kB, failcnt 3",
        f"Memory cgroup stats for {path}:",
        *[f"{name} {value}" for name, value in (
            ("anon", 130000001), ("file", 4198400), ("kernel", 1212416), ("kernel_stack", 16384), ("pagetables", 372736),
            ("sock", 0), ("shmem", 4096), ("file_mapped", 8192), ("file_dirty", 3919872), ("file_writeback", 12288),
            ("inactive_anon", 129900000), ("active_anon", 100001), ("slab", 33816), ("workingset_refault_file", 21),
            ("pgfault", 39001))],
        "Tasks state (memory values in pages):",
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
        "[    700]   998   700     3449      864    65536      192            -5 worker",
        "[    701]   998   701    40523    31288   327680      288            -5 worker",
        "[    702]   998   702     3523      289    57344       29            -5 helper",
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={path},"
        f"task_memcg={path},task=worker,pid=701,uid=998",
        "Memory cgroup out of memory: Killed process 701 (worker) total-vm:162092kB, anon-rss:124000kB, file-rss:1152kB, "
        "shmem-rss:0kB, UID:998 pgtables:320kB oom_score_adj:-5",
    ]
    if kills > 1:
        lines.append(f"Tasks in {path} are going to be killed due to memory.oom.group set")
        lines += [
            "Memory cgroup out of memory: Killed process 700 (worker) total-vm:13796kB, anon-rss:2304kB, file-rss:1152kB, "
            "shmem-rss:0kB, UID:998 pgtables:64kB oom_score_adj:-5",
            "Memory cgroup out of memory: Killed process 702 (helper) total-vm:14092kB, anon-rss:4kB, file-rss:1152kB, "
            "shmem-rss:0kB, UID:998 pgtables:56kB oom_score_adj:-5",
        ][:kills - 1]
    return lines


def memcg_v1() -> list[str]:
    """Return a report of a v1 cgroup with a child, of a 4.8 kernel: one line of statistics per group."""
    return [
        "hog invoked oom-killer: gfp_mask=0x24000c0(GFP_KERNEL), order=0, oom_score_adj=0",
        "hog cpuset=docker mems_allowed=0", "CPU: 0 PID: 1381 Comm: hog Tainted: G           O    4.8.0 #2", *TRACE,
        "Task in /docker/a/b killed as a result of limit of /docker/a",
        "memory: usage 20480kB, limit 20480kB, failcnt 1204", "memory+swap: usage 40940kB, limit 40960kB, failcnt 6",
        "kmem: usage 220kB, limit 9007199254740988kB, failcnt 0",
        "Memory cgroup stats for /docker/a: cache:0KB rss:16KB rss_huge:0KB mapped_file:0KB dirty:4KB writeback:8KB",
        "Memory cgroup stats for /docker/a/b: cache:12KB rss:20260KB rss_huge:0KB mapped_file:0KB dirty:20KB "
        "writeback:1016KB swap:20460KB inactive_anon:10232KB active_anon:10028KB",
        "[ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name",
        "[ 1381]     0  1381   530382     5191      34       4     5489             0 hog",
        "Memory cgroup out of memory: Kill process 1381 (hog) score 1046 or sacrifice child",
        "Killed process 1381 (hog) total-vm:2121528kB, anon-rss:18624kB, file-rss:2140kB, shmem-rss:0kB",
        "oom_reaper: reaped process 1381 (hog), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    ]


def without_end(lines: list[str]) -> list[str]:
    """Return a report's lines up to its task table."""
    return [line for line in lines if not line.startswith(("oom-kill:", "Out of memory", "Killed", "oom_reaper", "Memory cgr"))]


def panicked() -> list[str]:
    """Return a report that ends in the panic of vm.panic_on_oom, which prints no kill line."""
    return [*without_end(global_612()), "Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled",
            "CPU: 1 UID: 1001 PID: 4319 Comm: python3 Not tainted 6.12.48+deb13-cloud-amd64 #1  Debian 6.12.48-1"]


def deadlocked() -> list[str]:
    """Return a report that finds nothing to kill."""
    return [*without_end(global_612()), "Out of memory and no killable processes...",
            "Kernel panic - not syncing: System is deadlocked on memory"]


def allocation_failure() -> list[str]:
    """Return what the kernel says of a page allocation that failed."""
    body = global_612()
    start = body.index("Mem-Info:")
    end = next(at for at, line in enumerate(body) if line.startswith("Tasks state"))
    return [
        "kworker/0:2: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), nodemask=(null),cpuset=/,"
        "mems_allowed=0",
        "CPU: 0 UID: 0 PID: 55 Comm: kworker/0:2 Not tainted 6.12.48+deb13-cloud-amd64 #1  Debian 6.12.48-1",
        "Workqueue: events request_firmware_work_func", *TRACE, *body[start:end],
    ]


# Prefixes: each takes a report's lines (a line may hold newlines, as one printk may) and returns a log's text.

BASE = 5000.25


def _times(lines: list[str]) -> list[tuple[float, str]]:
    return [(BASE + at / 1000, line) for at, line in enumerate(lines)]


def _caller(lines: list[str]) -> str:
    """Return the caller id of a report: the task that its second or third line names."""
    return "T" + next(match.group(1) for match in (re.search(r"P[Ii][Dd]: (\d+)", line) for line in lines) if match)


def plain(lines: list[str]) -> str:
    """The kernel's text alone."""
    return "".join(line + "\n" for line in lines)


def dmesg(lines: list[str]) -> str:
    """dmesg: seconds since boot; each line of a record has the prefix."""
    return "".join(f"[{when:12.6f}] {part}\n" for when, line in _times(lines) for part in line.split("\n"))


def dmesg_caller(lines: list[str]) -> str:
    """CONFIG_PRINTK_CALLER: the printing task beside the time."""
    caller = _caller(lines)
    return "".join(f"[{when:12.6f}][{caller:>6}] {part}\n" for when, line in _times(lines) for part in line.split("\n"))


def dmesg_decoded(lines: list[str]) -> str:
    """dmesg -x."""
    return "".join(f"kern  :warn  : [{when:12.6f}] {part}\n" for when, line in _times(lines) for part in line.split("\n"))


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
        f"4,{at},{int(when * 1e6)},-,caller={_caller(lines)};" + line.replace("\n", "\\x0a") + "\n"
        for at, (when, line) in enumerate(_times(lines)))


def syslog(lines: list[str]) -> str:
    """Traditional syslog without the kernel's time, newlines as rsyslog escapes them."""
    return "".join("Mar 11 03:54:03 db-1 kernel: " + line.replace("\n", "#012") + "\n" for line in lines)


def syslog_seconds(lines: list[str]) -> str:
    """Traditional syslog with the kernel's time."""
    return "".join(f"Mar 11 03:54:03 db-1 kernel: [{when:12.6f}] {part}\n"
                   for when, line in _times(lines) for part in line.split("\n"))


def syslog_iso(lines: list[str]) -> str:
    """rsyslog's default since 8.23xx on Debian 12: ISO time stamps with a zone."""
    return "".join(f"2025-03-11T03:54:03.500000+02:00 db-1 kernel: [{when:12.6f}] {part}\n"
                   for when, line in _times(lines) for part in line.split("\n"))


def syslog_5424(lines: list[str]) -> str:
    """RFC 5424 with priority, version and empty structured data."""
    return "".join(f"<4>1 2025-03-11T03:54:03.5Z db-1 kernel - - - [{when:12.6f}] {part}\n"
                   for when, line in _times(lines) for part in line.split("\n"))


def journal_short(lines: list[str]) -> str:
    """journalctl -k: later lines of a record are padded to the text's column."""
    head = "Mar 11 03:54:03 db-1 kernel: "
    return "".join(head + line.replace("\n", "\n" + " " * len(head)) + "\n" for line in lines)


def _entries(lines: list[str]) -> list[dict[str, str]]:
    return [{"__CURSOR": f"s=1;i={at}", "__REALTIME_TIMESTAMP": str(1741658043500000 + at),
             "_SOURCE_MONOTONIC_TIMESTAMP": str(int(when * 1e6)), "_BOOT_ID": "0123456789abcdef0123456789abcdef",
             "_TRANSPORT": "kernel", "_HOSTNAME": "db-1", "SYSLOG_IDENTIFIER": "kernel", "PRIORITY": "4", "MESSAGE": line}
            for at, (when, line) in enumerate(_times(lines))]


def journal_json(lines: list[str]) -> str:
    """journalctl -k -o json."""
    return "".join(json.dumps(entry) + "\n" for entry in _entries(lines))


def journal_bytes(lines: list[str]) -> str:
    """The same, each message as a list of bytes, as the journal does with what it finds unprintable."""
    return "".join(json.dumps(dict(entry, MESSAGE=list(entry["MESSAGE"].encode())), separators=(",", ":")) + "\n"
                   for entry in _entries(lines))


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
    return "".join(json.dumps({"log": part + "\n", "stream": "stdout", "time": "2025-03-11T01:54:03.5Z"}) + "\n"
                   for part in dmesg(lines).splitlines())


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
            line = line[cut + 1:]
        text += "> " + line + "\n"
    return text


PREFIXES = (
    plain, dmesg, dmesg_caller, dmesg_decoded, dmesg_human, pstore, kmsg, syslog, syslog_seconds, syslog_iso, syslog_5424,
    journal_short, journal_json, journal_bytes, journal_pretty, journal_export, docker, cri, mail,
)
REPORTS = {
    "global_612": global_612, "global_310": global_310, "global_2632": global_2632, "global_2624": global_2624,
    "memcg_v2": memcg_v2, "memcg_v1": memcg_v1, "memcg_group": lambda: memcg_v2(3), "panicked": panicked,
    "deadlocked": deadlocked, "allocation_failure": allocation_failure,
}
