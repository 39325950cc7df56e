# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose /proc/sys/vm does what the kernel's does, in a directory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ansible_collections.linux_memory.oom.plugins.module_utils.sysctl import PAIRS
from ansible_collections.linux_memory.oom.plugins.module_utils.vm_sysctl_change import Change

# As a machine with kernel 6.1 starts.
START = {
    "vm/admin_reserve_kbytes": "8192",
    "vm/dirty_background_bytes": "0",
    "vm/dirty_background_ratio": "10",
    "vm/dirty_bytes": "0",
    "vm/dirty_expire_centisecs": "3000",
    "vm/dirty_ratio": "20",
    "vm/dirty_writeback_centisecs": "500",
    "vm/drop_caches": "0",
    "vm/lowmem_reserve_ratio": "256\t256\t32\t0\t0",
    "vm/min_free_kbytes": "67584",
    "vm/overcommit_kbytes": "0",
    "vm/overcommit_memory": "0",
    "vm/overcommit_ratio": "50",
    "vm/page-cluster": "3",
    "vm/panic_on_oom": "0",
    "vm/swappiness": "60",
    "vm/watermark_scale_factor": "10",
    "kernel/panic": "0",
    "kernel/panic_on_oops": "0",
    "kernel/sysrq": "438",
}
MEMINFO = """\
MemTotal:        4000000 kB
MemFree:         1600000 kB
SwapTotal:       1000000 kB
CommitLimit:     3000000 kB
Committed_AS:    2900000 kB
"""
# Free pages and file pages of 2 GB: what may be dirty.
VMSTAT = "nr_free_pages 400000\nnr_inactive_file 50000\nnr_active_file 50000\n"
ZONEINFO = """\
Node 0, zone   Normal
  pages free     400000
        high     0
        managed  1000000
        protection: (0)
"""


class Kernel:
    """Settings in files, with the kernel's rules for pairs; remembers what was written."""

    def __init__(self, root: Path, release: str = "6.1.0-32-amd64") -> None:
        self.root = root
        self.written: list[tuple[str, str]] = []
        self.refused: dict[str, int] = {}
        for key, value in START.items():
            self.put(f"/proc/sys/{key}", value + "\n")
        self.put("/proc/sys/kernel/osrelease", release + "\n")
        self.put("/proc/meminfo", MEMINFO)
        self.put("/proc/vmstat", VMSTAT)
        self.put("/proc/zoneinfo", ZONEINFO)
        self.put("/etc/sysctl.d/README", "")

    def put(self, path: str, text: str) -> None:
        """Write a file of the host."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def text(self, path: str) -> str | None:
        """Return a file of the host, None where there is none."""
        file = self.root / path.lstrip("/")
        return file.read_text(encoding="utf-8") if file.exists() else None

    def get(self, name: str) -> str:
        """Return a running value."""
        return self.text("/proc/sys/" + name.replace(".", "/", 1)).strip()

    def write(self, name: str, value: str) -> None:
        """Do what the kernel does when a value is written (mm/page-writeback.c, mm/util.c)."""
        if name in self.refused:
            raise OSError(self.refused[name], os.strerror(self.refused[name]))
        key = name.replace(".", "/", 1)
        if key.endswith("_bytes") and int(value) < (8192 if key == "vm/dirty_bytes" else 1):
            raise OSError(errno.EINVAL, "Invalid argument")
        self.written.append((name, value))
        changed = self.get(name) != value
        self.put(f"/proc/sys/{key}", value + "\n")
        if key in PAIRS and (changed or key not in ("vm/dirty_ratio", "vm/dirty_bytes")):
            self.put("/proc/sys/" + PAIRS[key], "0\n")

    def state(self) -> dict[str, str]:
        """Return every file of the host with its text."""
        return {
            str(file.relative_to(self.root)): file.read_text(encoding="utf-8")
            for file in sorted(self.root.rglob("*"))
            if file.is_file()
        }

    def change(self, settings=None, check=False, **options) -> Change:
        """Run the module's work and return it."""
        values = {
            "settings": settings,
            "path": "/etc/sysctl.d/90-linux_memory_oom.conf",
            "state": "present" if settings is not None else "absent",
            "on_override": "fail",
            "force": False,
        }
        one = Change({**values, **options}, root=str(self.root), write_value=self.write)
        one.look()
        if not check:
            one.apply()
        return one
