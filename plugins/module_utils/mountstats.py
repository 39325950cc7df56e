# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long NFS servers take, which no /proc/diskstats tells.

Source: /proc/self/mountstats (fs/nfs/super.c nfs_show_stats, net/sunrpc/stats.c _print_rpc_iostats). A line per kind of
call: calls, transmissions, timeouts, bytes sent and received, then milliseconds queued, on the way, and in all.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import unescape

_DEVICE = re.compile(r"device \S+ mounted on (\S+) with fstype (\S+)")
_CALLS = re.compile(r"\s+(READ|WRITE): ((?:[0-9]{1,20} ?){8,})")
_KEYS = {"READ": ("reads", "read_ms"), "WRITE": ("writes", "write_ms")}

KEYS = ("read_iops", "write_iops", "read_await", "write_await", "service_time")


def parse(text):
    """Return {mount: {reads, read_ms, writes, write_ms}} of the NFS mounts that have both kinds of call."""
    found = {}
    counts = {}
    for line in text.split("\n"):
        device, calls = _DEVICE.match(line), _CALLS.match(line)
        if device:
            counts = {}
            if device.group(2).startswith("nfs"):
                found[unescape(device.group(1))] = counts
        elif calls:
            numbers = [int(word) for word in calls.group(2).split()]
            number, time = _KEYS[calls.group(1)]
            counts.update({number: numbers[0], time: numbers[7]})
    return {mount: counts for mount, counts in found.items() if len(counts) == 4}


def latency(before, after, seconds):
    """Return the KEYS of a mount in a window: calls per second, and the mean time from a call to its answer.

    service_time is the time per call where several are under way at once, so that a queue alone does not make it long.
    All are None where the mount is another one now.
    """
    result = dict.fromkeys(KEYS)
    delta = {key: after[key] - before[key] for key in after}
    if seconds <= 0 or min(delta.values()) < 0:
        return result
    for kind in ("read", "write"):
        calls = delta[kind + "s"]
        result[kind + "_iops"] = calls / seconds
        result[kind + "_await"] = delta[kind + "_ms"] / 1000.0 / calls if calls else None
    calls, spent = delta["reads"] + delta["writes"], (delta["read_ms"] + delta["write_ms"]) / 1000.0
    result["service_time"] = min(spent, seconds) / calls if calls else None
    return result
