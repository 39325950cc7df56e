# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/proc/vmstat: counters of events, gauges in pages (mm/vmstat.c), and rates between two readings."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils.system import page_size

_LINE = re.compile(r"^(\w+) ([0-9]+)$", re.ASCII | re.MULTILINE)

# Counters that the kernel splits, by zone or by who reclaims, and that are asked for as one. Each name stands for
# the lines that begin with it followed by "_", less those that count something else.
SUMS = {
    "pgscan": ("pgscan_kswapd", "pgscan_direct", "pgscan_khugepaged", "pgscan_proactive"),
    "pgsteal": ("pgsteal_kswapd", "pgsteal_direct", "pgsteal_khugepaged", "pgsteal_proactive"),
    "allocstall": ("allocstall",),
}
# Kernels before 4.8 count by zone (pgscan_kswapd_dma32), newer ones have one line each. These begin alike and are not
# parts of the sum.
NOT_IN_SUMS = ("pgscan_direct_throttle",)

RATES = (
    "oom_kill",
    "pswpin",
    "pswpout",
    "pgmajfault",
    "pgscan",
    "pgsteal",
    "allocstall",
    "workingset_refault_anon",
    "workingset_refault_file",
    "compact_stall",
)


def parse_vmstat(text):
    """Return {name: count} of every line that can be understood. Values are non-negative."""
    values = {}
    for match in _LINE.finditer(text):
        values[match.group(1)] = int(match.group(2))
    return values


def with_sums(values):
    """Return the counters with pgscan, pgsteal and allocstall added where the kernel only has their parts."""
    result = dict(values)
    for name, parts in SUMS.items():
        found = [
            count
            for key, count in values.items()
            if key not in NOT_IN_SUMS and any(key == part or key.startswith(part + "_") for part in parts)
        ]
        if name not in values and found:
            result[name] = sum(found)
    return result


def rates(before, after, seconds):
    """Return the change per second of each counter in RATES; None for one that the kernel lacks or that was reset."""
    result = {}
    for name in RATES:
        if name in before and name in after and after[name] >= before[name] and seconds > 0:
            result[name] = (after[name] - before[name]) / seconds
        else:
            result[name] = None
    return result


def vmstat(tree):
    """Return the parsed /proc/vmstat, read once for all subsets; empty where it cannot be read."""
    return tree.once("vmstat", lambda: with_sums(parse_vmstat(tree.text("/proc/vmstat", ""))))


def sample(tree):
    """Return the counters at the start of the window."""
    return with_sums(parse_vmstat(tree.text("/proc/vmstat", "")))


def collect(tree, options, earlier=None):
    """Return counters, gauges, the dirty thresholds in bytes, and rates where there was an earlier reading."""
    try:
        tree.read("/proc/vmstat")
    except EnvironmentError as error:
        tree.missing("vmstat", error)
        return None
    values = vmstat(tree)
    if not values:
        tree.missing("vmstat", "/proc/vmstat: no line could be understood")
        return None
    size = page_size(tree)

    def in_bytes(name):
        return values[name] * size if name in values else None

    return {
        "counters": {name: value for name, value in values.items() if not name.startswith("nr_")},
        "pages": {name: value for name, value in values.items() if name.startswith("nr_")},
        "dirty_threshold": in_bytes("nr_dirty_threshold"),
        "dirty_background_threshold": in_bytes("nr_dirty_background_threshold"),
        "rates": rates(earlier[0], values, earlier[1]) if earlier else None,
    }
