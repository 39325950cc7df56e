# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host records for the tests of the report: hosts as a fleet has them, and hosts whose strings are an attack."""

from __future__ import annotations

import time

from ansible_collections.linux_memory.oom.plugins.plugin_utils import report

MIB = 1 << 20
GIB = 1 << 30
TIME = 1763874000.0

# What a host can call itself, its processes and its units, and what must never act on the reader of a report.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "</title></style></script><svg onload=document.title='owned'>",
    "'; alert(1) //",
    "{{ 7 * 7 }}{% for x in y %}",
    "../../../etc/passwd",
    "\x1b[31mred\x1b[0m\u202egnp.exe",
    "&amp;&lt;b&gt;",
    "javascript:alert(1)",
)


def meminfo(total=8 * GIB, anonymous=0.3, dirty=0.01, cached=0.35, free=0.2):
    """Return the counters of a host whose memory is divided by the given shares."""
    return {
        "mem_total": total,
        "mem_free": int(total * free),
        "mem_available": int(total * (free + cached * 0.8)),
        "buffers": 64 * MIB,
        "cached": int(total * cached),
        "swap_cached": 3 * MIB,
        "active": int(total * (anonymous + cached) * 0.6),
        "inactive": int(total * (anonymous + cached) * 0.4) + 70 * MIB,
        "unevictable": 16 * MIB,
        "anon_pages": int(total * anonymous),
        "dirty": int(total * dirty * 0.8),
        "writeback": int(total * dirty * 0.2),
        "shmem": 120 * MIB,
        "k_reclaimable": 210 * MIB,
        "s_reclaimable": 200 * MIB,
        "s_unreclaim": 140 * MIB,
        "kernel_stack": 9 * MIB,
        "page_tables": 33 * MIB,
        "percpu": 12 * MIB,
        "vmalloc_used": 40 * MIB,
        "hugetlb": 0,
    }


def facts(name="web", **shares):
    """Return the facts of an ordinary host."""
    memory = meminfo(**shares)
    total = memory["mem_total"]
    averages = {"avg10": 0.31, "avg60": 0.12, "avg300": 0.02, "total": 12.5, "share": 0.004}
    return {
        "system": {
            "time": TIME,
            "kernel": "6.12.48+deb13-cloud-amd64",
            "page_size": 4096,
            "uptime": 1234567.8,
            "container": None,
            "hypervisor": "QEMU",
            "distribution": {"id": "debian", "version_id": "13", "pretty_name": "Debian GNU/Linux 13 (trixie)"},
            "hostname": name,
            "cpus": 8,
        },
        "meminfo": memory,
        "pressure": {
            "memory": {"some": dict(averages), "full": dict(averages, avg10=0.0)},
            "io": {"some": dict(averages, avg10=34.2, avg60=21.0), "full": dict(averages, avg10=12.9)},
        },
        "swap": {
            "total": 2 * GIB,
            "free": GIB,
            "used": GIB,
            "swappiness": 60,
            "growth": 120000.0,
            "seconds_until_full": 8947.8,
            "zswap": {"enabled": True, "compressor": "zstd", "max_pool_percent": 20},
            "devices": [
                {
                    "path": "/dev/vda3",
                    "kind": "partition",
                    "size": 2 * GIB,
                    "used": GIB,
                    "priority": -2,
                    "disks": ["vda"],
                    "rotational": True,
                }
            ],
        },
        "cgroups": {
            "version": "v2",
            "groups": [
                group("system.slice/postgresql@17-main.service", total * 0.28, total * 0.3, kills=2),
                group("user.slice", total * 0.1, None),
                group("system.slice/system-backup\\x2dnightly.slice/backup-nightly@home.service", total * 0.05, total),
                group("system.slice/systemd-journald.service", total * 0.01, None),
            ],
        },
        "processes": {
            "count": 214,
            "top": [process("postgres", 1200 + number, total * 0.06 / number) for number in range(1, 9)],
            "by_comm": [{"comm": "postgres", "processes": 48, "rss": int(total * 0.25), "swap": 0}],
        },
        "oom": {"kills": 2},
        "unavailable": {
            "pressure.cpu": "/proc/pressure/cpu: no line could be understood",
            "kdump": "/sys/kernel/kexec_crash_size: does not exist",
        },
    }


def group(path, current, limit, kills=0):
    """Return one cgroup."""
    return {
        "path": f"/{path}",
        "unit": path.rsplit("/", 1)[-1],
        "current": int(current),
        "max": None if limit is None else int(limit),
        "swap_current": 12 * MIB,
        "events": {"oom": kills, "oom_kill": kills},
        "pressure": {"some": {"avg10": 4.2}},
    }


def process(comm, pid, rss):
    """Return one process."""
    return {
        "pid": pid,
        "comm": comm,
        "uid": 106,
        "unit": "postgresql@17-main.service",
        "rss": int(rss),
        "swap": 5 * MIB,
        "oom_score_adj": -900,
    }


def finding(cause="dirty_pages", confidence=0.86, **more):
    """Return one finding."""
    return {
        "cause": cause,
        "confidence": confidence,
        "summary": "Storage is slower than the writers: dirty pages and writeback fill 91 % of what may be dirty.",
        "evidence": [
            {
                "what": "dirty and writeback",
                "value": 1.41 * GIB,
                "unit": "bytes",
                "threshold": 1.2 * GIB,
                "source": "/proc/meminfo Dirty + Writeback",
            },
            {
                "what": "utilisation of vda",
                "value": 0.994,
                "unit": "share",
                "threshold": 0.9,
                "source": "/proc/diskstats",
            },
            {"what": "await of vda", "value": 0.412, "unit": "seconds", "threshold": None, "source": "/proc/diskstats"},
        ],
        "remedy": {
            "role": "dirty_throttle",
            "vars": {"dirty_throttle_bytes": 268435456, "dirty_throttle_background_bytes": 67108864},
            "why": [
                (
                    "dirty_throttle_bytes 256 MiB: 25.6 MiB/s measured on vda x 10 s = 256 MiB; at most the 1.5 GiB in "
                    "force, at least 64 MiB."
                ),
                "dirty_throttle_background_bytes 64 MiB = 25 % of it.",
            ],
        },
        "advice": "Faster storage is the real cure; until then bound what may be dirty.",
        "article": "1c",
        **more,
    }


def healthy(share=0.55):
    """Return the finding of a healthy host."""
    evidence = {
        "what": "memory available",
        "value": share,
        "unit": "share",
        "threshold": 0.1,
        "source": "/proc/meminfo",
    }
    return finding(
        "none", 0.9, summary="Memory is in order.", evidence=[evidence], remedy=None, advice=None, article=None
    )


def ok(host, findings=None, host_facts=None):
    """Return the record of a host that was read."""
    return {
        "host": host,
        "status": "ok",
        "message": None,
        "findings": [healthy()] if findings is None else findings,
        "facts": facts(host) if host_facts is None else host_facts,
        "reports": [],
        "collected": TIME,
    }


IQN = "iqn.2003-01.org.linux-iscsi.store1.x8664:sn.8b9d"
SLOW = {"write_iops": 20.0, "write_await": 0.9, "service_time": 0.2}
FAST = {"write_iops": 20.0, "write_await": 0.002, "service_time": 0.001}


def on_target(name, speed=None, target=IQN, kind="iscsi", findings=(), device="sdb"):
    """Return the record of a host with a disk on a target, as fast as speed says (FAST), and one of its own."""
    made = facts(name)
    made["system"]["sample_seconds"] = 10
    disk = {**(speed or FAST), "class": "network", "target": {"kind": kind, "name": target, "lun": None}}
    made["storage"] = {"disks": {device: disk, "sda": {"class": "ssd", "target": None, **FAST}}}
    return ok(name, list(findings) or [finding(cause="none")], made)


def sharing():
    """Return the records of hosts that share a target with a long name, which is slow for one of them."""
    target = "nqn.2014-08.com.example:" + "0123456789abcdef" * 10
    return [
        on_target(f"compute-node-{number:03}.cluster.example.org", FAST if number else SLOW, target, "nvme")
        for number in range(3)
    ]


def oom_report(epoch=TIME - 3600, **more):
    """Return one report of the OOM killer, of a host of 8 GiB unless told otherwise."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)) if epoch is not None else None
    tasks = [process("java", 4242, 5 * GIB), process("nginx", 77, 30 * MIB), process("nginx", 78, 29 * MIB)]
    victim = dict(process("java", 4242, 5 * GIB), anon_rss=5 * GIB, file_rss=0, shmem_rss=0)
    report = {
        "kind": "oom",
        "path": "journal",
        "also_in": ["/var/log/kern.log"],
        "time": when,
        "epoch": epoch,
        "uptime": None,
        "host": "web1",
        "kernel": "6.12.48+deb13-cloud-amd64",
        "scope": "global",
        "cgroup": None,
        "task_memcg": "/system.slice/tomcat.service",
        "trigger": {
            "comm": "nginx",
            "pid": 77,
            "gfp_mask": "0x140dca",
            "gfp_flags": "GFP_HIGHUSER_MOVABLE",
            "order": 0,
        },
        "victim": victim,
        "victims": [victim],
        "outcome": "killed",
        "page_size": 4096,
        "memory": {
            "active_anon": 2 * GIB,
            "inactive_anon": 4 * GIB,
            "active_file": 20 * MIB,
            "inactive_file": 40 * MIB,
            "dirty": 8 * MIB,
            "writeback": MIB,
            "unevictable": 16 * MIB,
            "shmem": 512 * MIB,
            "slab_reclaimable": 64 * MIB,
            "slab_unreclaimable": 128 * MIB,
            "pagetables": 32 * MIB,
            "free": 100 * MIB,
            "ram": 8 * GIB,
            "reserved": 200 * MIB,
        },
        "swap": {"total": 2 * GIB, "free": 0},
        "nodes": [{"node": 0, "kernel_stack": 9 * MIB}],
        "tasks": tasks,
        "tasks_left_out": 40,
        "truncated": False,
    }
    return {**report, **more}


def cgroup_report(epoch=TIME - 7200, unit="shop.service", **more):
    """Return one report of a unit that met its limit."""
    account = {
        "anon": 900 * MIB,
        "file": 60 * MIB,
        "shmem": 20 * MIB,
        "kernel": 40 * MIB,
        "slab_unreclaimable": 30 * MIB,
    }
    memcg = {"path": f"/system.slice/{unit}", "usage": GIB, "limit": GIB, "stats": account, "swap": {"usage": 0}}
    cgroup = {"scope": "cgroup", "cgroup": f"/system.slice/{unit}", "memcg": memcg, "memory": None, "swap": None}
    return oom_report(epoch, **{**cgroup, **more})


def node_report(epoch=TIME - 90000):
    """Return one report of a program that was bound to a node."""
    return oom_report(epoch, scope="cpuset", mems_allowed="1")


def log(reports=(), **more):
    """Return a result of oom_report_info."""
    read = {"source": "journal", "path": "journal", "reports": len(list(reports))}
    result = {"sources": [read], "unavailable": {}, "unparsed": {"count": 0, "samples": []}, "limited": False}
    return {"changed": False, "reports": list(reports), "found": len(list(reports)), **result, **more}


def killed(host="app1.example.org", reports=None):
    """Return the record of a host on which the OOM killer ran: a loop in a unit, then once on the whole host."""
    loop = [cgroup_report(TIME - 86400 * 3 + number * 1800) for number in range(12)]
    found = [*loop, oom_report()] if reports is None else reports
    return report.record(host, {"status": "ok"}, facts(host), log(found))


def unread(host, status="unreachable", message="Failed to connect to the host via ssh: No route to host"):
    """Return the record of a host that was not read."""
    return {
        "host": host,
        "status": status,
        "message": message,
        "findings": [],
        "facts": {},
        "reports": [],
        "collected": None,
    }


def fleet():
    """Return an ordinary fleet with one of everything."""
    swap_full = finding("swap_exhausted", 0.41, summary="Swap is full.", remedy=None)
    return [
        ok("web1.example.org"),
        ok("web2.example.org", host_facts=facts(anonymous=0.1, cached=0.6)),
        ok("db1.example.org", [finding(), swap_full], facts(dirty=0.17, anonymous=0.45, cached=0.3, free=0.02)),
        ok("cache1.example.org", [finding("unexplained", 0.2, summary="Nothing fits.", remedy=None, evidence=[])]),
        unread("old-backup.example.org"),
        unread("build7.example.org", "failed", "The module result deserialization failed: no Python was found."),
    ]


def hostile_report(text, epoch):
    """Return an OOM report in which every string that a host or a log decides is the given one."""
    task = dict(process(text, 1, GIB), unit=text)
    strings = (
        "path",
        "host",
        "kernel",
        "cgroup",
        "task_memcg",
        "group_kill",
        "panic",
        "outcome",
        "nodemask",
        "constraint",
    )
    told = dict.fromkeys(strings, text)
    trigger = {"comm": text, "pid": 1, "gfp_mask": text, "gfp_flags": text, "order": 1}
    return cgroup_report(
        epoch, also_in=[text], trigger=trigger, victim=task, victims=[task], tasks=[task, task], truncated=True, **told
    )


def hostile():
    """Return hosts that put markup into every string that a host decides."""
    records = []
    for text in HOSTILE:
        nasty = facts(text)
        nasty["system"].update(kernel=text, hypervisor=text, distribution={"pretty_name": text})
        nasty["cgroups"]["groups"] = [dict(group("x", GIB, None), unit=text, path=text)]
        nasty["processes"]["top"] = [dict(process(text, 1, GIB), unit=text)]
        nasty["processes"]["by_comm"] = [{"comm": text, "processes": 5, "rss": GIB, "swap": 0}]
        nasty["swap"]["devices"][0].update(path=text, disks=[text])
        nasty["unavailable"] = {"pressure": text, text: text}
        del nasty["pressure"]
        evidence = [{"what": text, "value": text, "unit": "text", "threshold": text, "source": text}]
        bad = finding(
            summary=text,
            evidence=evidence,
            advice=text,
            remedy={"role": text, "vars": {text: text}, "why": [text]},
            article=text,
        )
        seen = ok(text, [bad, dict(bad, cause=text)], nasty)
        seen["reports"] = [hostile_report(text, TIME - 60), dict(hostile_report(text, None), kind=text, time=text)]
        seen["log"] = {"failed": text, "sources": [], "unavailable": {text: text}, "unparsed": {"count": 3}}
        records += [seen, unread(f"{text} down", message=text)]
    return records
