# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounting of promised memory (Documentation/mm/overcommit-accounting.rst, mm/util.c vm_commit_limit)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.system import page_size, vm_setting


def limit_in_mode_2(memory, ratio, kbytes, page):
    """Return the CommitLimit in bytes: a share of RAM without huge pages, or a fixed size, plus all swap.

    memory is a parsed meminfo, ratio percent, kbytes in bytes (0: the ratio rules), page the page size: the kernel
    counts in whole pages. None where a part is missing.
    """
    total, swap = memory.get("mem_total"), memory.get("swap_total")
    if total is None or swap is None:
        return None
    if kbytes:
        return kbytes // page * page + swap
    if ratio is None:
        return None
    huge = memory.get("hugetlb")
    if huge is None:
        # Kernels before 4.16 have no Hugetlb line; their pool is of the default size.
        huge = memory.get("huge_pages_total", 0) * memory.get("hugepagesize", 0)
    return (total - huge) // page * ratio // 100 * page + swap


def collect(tree, options, earlier=None):
    """Return the mode, both settings, the limit and the promised memory, in bytes."""
    mode = vm_setting(tree, "overcommit_memory")
    memory = meminfo(tree)
    if mode is None and "committed_as" not in memory:
        tree.missing("overcommit", "/proc/sys/vm/overcommit_memory and Committed_AS of /proc/meminfo: not readable")
        return None
    ratio = vm_setting(tree, "overcommit_ratio")
    kbytes = vm_setting(tree, "overcommit_kbytes")
    user_reserve = vm_setting(tree, "user_reserve_kbytes")
    admin_reserve = vm_setting(tree, "admin_reserve_kbytes")
    in_bytes = [None if value is None else value * 1024 for value in (kbytes, user_reserve, admin_reserve)]
    limit = limit_in_mode_2(memory, ratio, in_bytes[0], page_size(tree))
    committed = memory.get("committed_as")
    return {
        "mode": mode,
        "ratio": ratio,
        "kbytes": in_bytes[0],
        "limit_by": None if kbytes is None else "kbytes" if kbytes else "ratio",
        "commit_limit": memory.get("commit_limit"),
        "committed": committed,
        "user_reserve": in_bytes[1],
        "admin_reserve": in_bytes[2],
        "limit_in_mode_2": limit,
        "fits_mode_2": None if limit is None or committed is None else committed <= limit,
    }
