# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of made-up hosts whose numbers add up: a healthy one, and what a test changes in it. Sizes are given in GiB."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.diagnosis import diagnose

GIB = 1 << 30
MIB = 1 << 20
TOTAL = 16.0
HUGE_PAGE = 2 * MIB

# What a freshly started server of 16 GiB with a database holds. lost is what no counter owns.
OWNERS = {
    "anon": 3.0,
    "file": 6.0,
    "shmem": 0.1,
    "slab_reclaimable": 0.4,
    "slab_unreclaimable": 0.2,
    "kernel_stack": 0.02,
    "vmalloc": 0.05,
    "percpu": 0.01,
    "page_tables": 0.05,
    "lost": 0.3,
}


def size(gib: float) -> int:
    """Return GiB in bytes, in whole pages."""
    return int(gib * GIB) // 4096 * 4096


def meminfo(total: float = TOTAL, available: float | None = None, **given: float) -> dict[str, int]:
    """Return /proc/meminfo of a host. What is not given is free.

    given: the owners above, and mlocked, dirty, writeback, huge_total, huge_free, huge_rsvd (pages), swap_total,
    swap_free. available: MemAvailable, by default what the kernel would estimate.
    """
    owners = {name: given.get(name, amount) for name, amount in OWNERS.items()}
    pool = given.get("huge_total", 0) * HUGE_PAGE / GIB
    free = total - sum(owners.values()) - pool
    assert free >= 0, f"this host holds {-free:.2f} GiB more than it has"
    if available is None:
        available = max(0.0, free - 0.1) + owners["file"] * 0.97 + owners["slab_reclaimable"] * 0.5
    slab = owners["slab_reclaimable"] + owners["slab_unreclaimable"]
    gib = {
        "mem_total": total,
        "mem_free": free,
        "mem_available": available,
        "buffers": owners["file"] * 0.1,
        "cached": owners["file"] * 0.9 + owners["shmem"],
        "swap_cached": 0,
        "active_anon": owners["anon"] / 2,
        "inactive_anon": owners["anon"] / 2 + owners["shmem"],
        "active_file": owners["file"] / 2,
        "inactive_file": owners["file"] / 2,
        "unevictable": 0,
        "mlocked": given.get("mlocked", 0),
        "swap_total": given.get("swap_total", 2),
        "swap_free": given.get("swap_free", 2),
        "dirty": given.get("dirty", 0.01),
        "writeback": given.get("writeback", 0),
        "anon_pages": owners["anon"],
        "mapped": 0.5,
        "shmem": owners["shmem"],
        "k_reclaimable": owners["slab_reclaimable"],
        "slab": slab,
        "s_reclaimable": owners["slab_reclaimable"],
        "s_unreclaim": owners["slab_unreclaimable"],
        "kernel_stack": owners["kernel_stack"],
        "page_tables": owners["page_tables"],
        "vmalloc_used": owners["vmalloc"],
        "percpu": owners["percpu"],
        "commit_limit": total / 2 + given.get("swap_total", 2),
        "committed_as": owners["anon"] * 1.5,
        "hugepagesize": HUGE_PAGE / GIB,
        "hugetlb": pool,
    }
    values = {name: size(amount) for name, amount in gib.items()}
    for name in ("total", "free", "rsvd", "surp"):
        values["huge_pages_" + name] = int(given.get("huge_" + name, 0))
    return values


def pressure(some: float = 0.0, full: float | None = None) -> dict[str, Any]:
    """Return one resource's pressure, the same over every window."""
    full = some / 2 if full is None else full

    def kind(value: float) -> dict[str, float]:
        return {"avg10": value, "avg60": value, "avg300": value, "total": value, "share": value / 100}

    return {"some": kind(some), "full": kind(full)}


def process(comm: str, gib: float, pid: int = 1000, unit: str | None = None, swap: float = 0.0) -> dict[str, Any]:
    """Return one entry of processes.top."""
    return {
        "pid": pid,
        "comm": comm,
        "uid": 1000,
        "unit": unit,
        "rss": size(gib + 0.01),
        "rss_anon": size(gib),
        "rss_file": size(0.01),
        "rss_shmem": 0,
        "swap": size(swap),
        "oom_score": 100,
        "oom_score_adj": 0,
    }


def group(path: str = "/system.slice/shop.service", **given: Any) -> dict[str, Any]:
    """Return one cgroup in GiB. given: current, peak, high, max, anon, file, dirty, oom, oom_kill, some, full, ..."""
    name = path.rsplit("/", 1)[-1]
    unit = given.get("unit", name if name.endswith((".service", ".scope", ".slice")) else None)
    row: dict[str, Any] = {"path": path, "unit": unit, "container": given.get("container", False)}
    for key in ("current", "peak", "low", "min", "high", "max", "swap_current", "swap_max", "anon", "file", "shmem"):
        row[key] = None if given.get(key) is None else size(given[key])
    for key in ("kernel", "slab", "dirty", "writeback"):
        row[key] = None if given.get(key) is None else size(given[key])
    events = ("low", "high", "max", "oom", "oom_kill", "oom_group_kill")
    row["events"] = {key: given.get("events_" + key, given.get(key) if "oom" in key else 0) for key in events}
    row["pressure"] = pressure(given["some"], given.get("full")) if "some" in given else None
    return row


def host(**changes: Any) -> dict[str, Any]:
    """Return the facts of a healthy host, with whole subsets or parts of them changed: {"swap": {"growth": 1}}."""
    memory = changes.pop("meminfo", None) or meminfo()
    facts: dict[str, Any] = {
        "system": {
            "time": 1800000000.0,
            "root": "/",
            "sample_seconds": 10,
            "kernel": "6.1.0-32-amd64",
            "page_size": 4096,
            "container": None,
            "cpus": 4,
            "lru_gen": False,
        },
        "unavailable": {},
        "meminfo": memory,
        "vmstat": {
            "counters": {"oom_kill": 0, "pswpin": 12, "pswpout": 40},
            "dirty_threshold": size(2.6),
            "dirty_background_threshold": size(1.3),
            "rates": dict.fromkeys(("oom_kill", "pswpin", "pswpout", "pgmajfault", "pgscan", "pgsteal"), 0.0)
            | dict.fromkeys(("allocstall", "workingset_refault_anon", "workingset_refault_file"), 0.0),
        },
        "pressure": {"memory": pressure(), "io": pressure(1.0), "cpu": pressure(5.0)},
        "swap": {
            "total": memory["swap_total"],
            "free": memory["swap_free"],
            "used": memory["swap_total"] - memory["swap_free"],
            "swappiness": 60,
            "growth": 0.0,
            "seconds_until_full": None,
        },
        "writeback": {"dirty_threshold": size(2.6), "dirty_background_threshold": size(1.3), "limit_by": "ratio"},
        "storage": {
            "disks": {"sda": {"write_rate": 20.0 * MIB, "utilisation": 0.2, "in_flight": 0, "errors": {"ioerr": 2}}},
            "arrays": [],
            "not_running": [],
            "read_only": [],
            "mounts": [{"mount": "/", "source": "/dev/sda1", "type": "ext4", "disks": ["sda"]}],
        },
        "cgroups": {
            "version": "v2",
            "groups": [
                group("/system.slice", current=4, anon=2.5, file=1.4),
                group("/system.slice/postgresql.service", current=3, anon=2, file=1, oom=0, oom_kill=0, some=0.0),
            ],
        },
        "processes": {
            "count": 120,
            "top": [process("postgres", 0.5, 700, "postgresql.service"), process("journald", 0.05, 300)],
            "by_comm": [{"comm": "postgres", "processes": 12, "rss": size(2.4), "swap": 0}],
        },
        "overcommit": {
            "mode": 0,
            "ratio": 50,
            "kbytes": 0,
            "commit_limit": memory["commit_limit"],
            "committed": memory["committed_as"],
        },
        "oom": {"kills": 0, "panic_on_oom": 0, "panic": 0},
    }
    facts = copy.deepcopy(facts)
    for subset, change in changes.items():
        if isinstance(change, dict) and isinstance(facts.get(subset), dict):
            facts[subset].update(change)
        else:
            facts[subset] = change
    return facts


def causes(facts: dict[str, Any], **arguments: Any) -> dict[str, dict[str, Any]]:
    """Return the findings by cause, in their order."""
    return {each["cause"]: each for each in diagnose(facts, **arguments)}


def verdict(facts: dict[str, Any], **arguments: Any) -> str:
    """Return the first cause."""
    return diagnose(facts, **arguments)[0]["cause"]
