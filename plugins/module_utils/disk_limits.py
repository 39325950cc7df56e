# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits for the disks of a unit, given by path: one line for each whole disk that the path lies on.

systemd.resource-control(5): IOWriteBandwidthMax= and its kin take the path of any file, but look no further than the
device directly below its file system, and the kernel wants a whole disk. Here dm, md, partitions and btrfs are looked
through.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

# Directive: whether two limits for one disk can be joined, by the smaller one.
DIRECTIVES = {
    "IOReadBandwidthMax": True,
    "IOWriteBandwidthMax": True,
    "IOReadIOPSMax": True,
    "IOWriteIOPSMax": True,
    "IODeviceWeight": False,
    "IODeviceLatencyTargetSec": False,
    "BlockIOReadBandwidth": True,
    "BlockIOWriteBandwidth": True,
    "BlockIODeviceWeight": False,
}

_AMOUNT = re.compile(r"([0-9]{1,18})([KMGT]?)$")
_FACTORS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}


def expand(sections, disks_of):
    """Return (sections, resolved): limits given by path as one "/dev/DISK VALUE" for each whole disk below the path.

    sections: {section: {directive: value or list}}; what is no limit of a disk stays as it is.
    disks_of: path to names of whole disks, as Blocks.of_path_or_device of blockdev.py.
    resolved: {path: [disk]}. An empty value, which resets the list, stays where it is.
    Raises ValueError with one sentence: for a path that lies on no disk, a value that is not "PATH VALUE", and two
    values for one disk that cannot be joined.
    """
    resolved = {}
    result = {}
    for section, directives in sections.items():
        result[section] = {}
        for directive, value in directives.items():
            if directive in DIRECTIVES:
                value = _expand(directive, value, disks_of, resolved)
            result[section][directive] = value
    return result, resolved


def _expand(directive, value, disks_of, resolved):
    lines = []
    wanted = {}
    for entry in value if isinstance(value, (list, tuple)) else [value]:
        text = "" if entry is None else str(entry).strip()
        if not text:
            lines, wanted = [""], {}
            continue
        path, _blank, limit = text.rpartition(" ")
        path = path.strip().strip("\"'")
        if not path.startswith("/") or not limit:
            raise ValueError('%s: %r is not a path and a value, such as "/srv 20M".' % (directive, text))
        resolved[path] = disks_of(path)
        if not resolved[path]:
            raise ValueError(
                "%s: %s does not exist or lies on no disk of this host (a file system in memory, on the network, or "
                "a container's), so nothing can be limited there." % (directive, path)
            )
        for disk in resolved[path]:
            wanted[disk] = _joined(directive, disk, wanted.get(disk), limit)
    lines += ["/dev/%s %s" % (disk.replace("!", "/"), wanted[disk]) for disk in sorted(wanted)]
    return lines if isinstance(value, (list, tuple)) or len(lines) != 1 else lines[0]


def _joined(directive, disk, known, limit):
    if known is None or known == limit:
        return limit
    amounts = [_amount(known), _amount(limit)]
    if not DIRECTIVES[directive] or None in amounts:
        raise ValueError(
            "%s: %s and %s are both asked for disk %s, which can have only one." % (directive, known, limit, disk)
        )
    return known if amounts[0] <= amounts[1] else limit


def _amount(text):
    """Return a number with one of systemd's suffixes, which are powers of 1000 here, or None."""
    if text == "infinity":
        return float("inf")
    match = _AMOUNT.match(text)
    return int(match.group(1)) * _FACTORS[match.group(2)] if match else None
