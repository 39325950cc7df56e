# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks that are reached by more than one path, and which of the paths are down.

Sources: /sys/block/dm-*/dm (Documentation/ABI/testing/sysfs-block-dm) with the state of each path's SCSI device
(drivers/scsi/scsi_sysfs.c sdev_states), "dmsetup status" (drivers/md/dm-mpath.c multipath_status; dmsetup(8)), and the
controllers of NVMe subsystems (drivers/nvme/host/sysfs.c nvme_sysfs_show_state). None of it needs multipathd.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from ansible_collections.linux_memory.oom.plugins.module_utils.bounded import run
from ansible_collections.linux_memory.oom.plugins.module_utils.disk_origin import NVME_FABRICS, controllers, transport
from ansible_collections.linux_memory.oom.plugins.module_utils.log_source import find_command

# SCSI says "running", NVMe "live".
GOOD_STATES = ("running", "live")

_STATUS = re.compile(r"^(.+): [0-9]+ [0-9]+ multipath (.*)$")
_PATH = re.compile(r"(?<!\S)([0-9]+:[0-9]+) ([AF]) [0-9]+(?!\S)")
_DMSETUP_SECONDS = 3


def parse_status(text):
    """Return {name of the map: {"major:minor" of a path: True where it works}} of "dmsetup status".

    A path is its number, A or F, and the count of its failures; what stands between belongs to features, groups and
    the path selector, and never looks like that.
    """
    found = {}
    for line in text.split("\n"):
        match = _STATUS.match(line.strip())
        if match:
            found[match.group(1)] = {number: letter == "A" for number, letter in _PATH.findall(match.group(2))}
    return found


def _statuses(tree):
    """Return what dmsetup says of all maps; {} where it cannot be asked, with the reason recorded."""
    if not tree.live:
        return {}
    command = find_command("dmsetup")
    if command is None or os.geteuid() != 0:
        why = "dmsetup is not installed" if command is None else "dmsetup needs root"
        tree.missing("storage.multipath_status", why + "; a path that only device-mapper has failed is not seen")
        return {}
    try:
        # --noflush: the default would first make every target write out what it holds.
        status, text = run([command, "status", "--noflush", "--target", "multipath"], _DMSETUP_SECONDS)
    except ValueError as error:
        tree.missing("storage.multipath_status", error)
        return {}
    if status:
        tree.missing("storage.multipath_status", "dmsetup ended with status %d" % status)
    return parse_status(text)


def _dm_maps(tree):
    known = blocks(tree)
    names = [name for name in tree.names("/sys/block") if name.startswith("dm-")]
    maps = [name for name in names if (known.text(name, "dm/uuid") or "").startswith("mpath-")]
    statuses = _statuses(tree) if maps else {}
    found = []
    for name in maps:
        alias = known.text(name, "dm/name") or name
        status = statuses.get(alias, {})
        paths = [_scsi_path(known, slave, status) for slave in known.names(name, "slaves")]
        wwid = known.text(name, "dm/uuid")[len("mpath-") :]
        found.append({"name": alias, "kind": "dm", "id": wwid, "paths": paths})
    return found


def _scsi_path(known, name, status):
    """Return one path; down says why nothing goes through it, None where it works."""
    state = known.text(name, "device/state")
    failed = status.get(known.number(name)) is False
    down = state if state and state not in GOOD_STATES else "failed" if failed else None
    return {"name": name, "down": down}


def _nvme_subsystems(tree):
    """Return the NVMe subsystems that are reached over a network or by several controllers."""
    found = []
    for name in tree.names("/sys/class/nvme-subsystem"):
        known = controllers(tree, name)
        if len(known) < 2 and not any(transport(tree, one) in NVME_FABRICS for one in known):
            continue
        states = [(one, tree.text("/sys/class/nvme/%s/state" % one)) for one in known]
        paths = [{"name": one, "down": state if state and state not in GOOD_STATES else None} for one, state in states]
        nqn = tree.text("/sys/class/nvme-subsystem/%s/subsysnqn" % name)
        found.append({"name": name, "kind": "nvme", "id": nqn, "paths": paths})
    return found


def collect(tree):
    """Return [{name, kind: "dm" or "nvme", id, paths: [{name, down}]}] of all multipath devices, sorted by name."""
    return _dm_maps(tree) + _nvme_subsystems(tree)
