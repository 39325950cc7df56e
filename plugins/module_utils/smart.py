# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What disks say of their own health, by smartctl where it is installed.

Sources: smartctl(8) of smartmontools 7.0 and newer (--json, -n, EXIT STATUS), the keys of its JSON; for NVMe the SMART
log of the NVMe base specification.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import time

from ansible_collections.linux_memory.oom.plugins.module_utils.bounded import run
from ansible_collections.linux_memory.oom.plugins.module_utils.log_source import find_command

# A disk that works answers within a tenth of a second; one that retries takes longer, and one that hangs for ever.
DISK_SECONDS = 5
# For all disks of a host together.
HOST_SECONDS = 20

# Bits of the exit status (smartctl(8)). The higher ones tell of the disk, not of the command.
_NOT_PARSED, _NOT_OPENED = 1, 2
_FAILING, _PREFAIL_BELOW = 8, 16

_PENDING, _UNCORRECTABLE, _REALLOCATED = 197, 198, 5
_NVME = ("critical_warning", "percentage_used", "available_spare", "available_spare_threshold", "media_errors")

# "Device is in STANDBY mode", "SLEEP mode", "STANDBY_Y mode", "STANDBY (OS) mode".
_ASLEEP = ("Device is in STANDBY", "Device is in SLEEP")


def _whole(value):
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _mapping(value):
    return value if isinstance(value, dict) else {}


def _entries(value):
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def parse(text):
    """Return what smartctl --json says of one disk. Raises ValueError with a clause where it says nothing of it.

    passed is the disk's own verdict, failing the attributes that are below the maker's limit now and predict a failure;
    the counts are None where the disk does not have them.
    """
    try:
        said = _mapping(json.loads(text))
    except (ValueError, RecursionError):
        raise ValueError("smartctl gave no JSON (it has to be 7.0 or newer)")
    tool = _mapping(said.get("smartctl"))
    told = [str(one.get("string") or "") for one in _entries(tool.get("messages"))]
    if any(sign in line for line in told for sign in _ASLEEP):
        raise ValueError("asleep, and left so")
    status = _whole(tool.get("exit_status")) or 0
    if status & (_NOT_PARSED | _NOT_OPENED):
        raise ValueError(told[0][:200] if told and told[0] else "smartctl ended with status %d" % status)
    health, nvme = _mapping(said.get("smart_status")), _mapping(said.get("nvme_smart_health_information_log"))
    table = _entries(_mapping(said.get("ata_smart_attributes")).get("table"))
    passed = health.get("passed") if isinstance(health.get("passed"), bool) else None
    if passed is None and not table and not nvme:
        raise ValueError("no SMART data")
    found = {
        "passed": False if status & _FAILING else passed,
        "failing": _failing(table),
        "pending": _raw(table, _PENDING),
        "uncorrectable": _raw(table, _UNCORRECTABLE),
        "reallocated": _raw(table, _REALLOCATED),
        "grown_defects": _whole(said.get("scsi_grown_defect_list")),
        "power_on_hours": _whole(_mapping(said.get("power_on_time")).get("hours")),
        "temperature": _whole(_mapping(said.get("temperature")).get("current")),
    }
    found.update((key, _whole(nvme.get(key))) for key in _NVME)
    if status & _PREFAIL_BELOW and not found["failing"]:
        found["failing"] = ["an attribute that smartctl does not name"]
    return found


def _failing(table):
    """Return the names of the attributes that predict a failure and are below their limit now, not in the past."""
    return [
        str(one.get("name"))[:60]
        for one in table
        if one.get("when_failed") == "now" and _mapping(one.get("flags")).get("prefailure") is True
    ]


def _raw(table, number):
    for one in table:
        if one.get("id") == number:
            return _whole(_mapping(one.get("raw")).get("value"))
    return None


def read(tree, names):
    """Return {disk: what parse() says} of the disks of this machine that answer; the others are in unavailable.

    -n standby: a disk that sleeps is not woken up. All reading is bounded in time; once a disk has not answered, the
    host may be in trouble, and what is left of HOST_SECONDS decides whether others are still asked.
    """
    if not names or not tree.live:
        return {}
    command = find_command("smartctl")
    if command is None or os.geteuid() != 0:
        tree.missing("storage.smart", "smartctl is not installed" if command is None else "smartctl needs root")
        return {}
    found, end = {}, time.monotonic() + HOST_SECONDS
    for name in names:
        left = end - time.monotonic()
        try:
            found[name] = _read_one(command, name, min(DISK_SECONDS, left))
        except ValueError as error:
            tree.missing("storage.smart.%s" % name, error)
    return found


def _read_one(command, name, seconds):
    if seconds <= 0:
        raise ValueError("not asked: the disks before it took %d seconds" % HOST_SECONDS)
    device = "/dev/" + name.replace("!", "/")
    _status, text = run([command, "--json", "-n", "standby", "-H", "-A", device], seconds)
    return parse(text)
