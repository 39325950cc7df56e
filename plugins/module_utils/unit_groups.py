# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel has for a unit that runs: the limits in its control group, its use, its processes' score.

Files: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst and blkio-controller.rst, proc(5).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible_collections.linux_memory.oom.plugins.module_utils import cgroups, dropin
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mounts
from ansible_collections.linux_memory.oom.plugins.module_utils.unit_limits import ONLY_V2

# Controllers as cgroup.controllers names them, by the names of v1.
_CONTROLLERS = {"blkio": "io"}

# directive: (controller of v1, file of v2, file of v1 or None)
FILES = {
    "MemoryMax": ("memory", "memory.max", "memory.limit_in_bytes"),
    "MemoryLimit": ("memory", "memory.max", "memory.limit_in_bytes"),
    "MemoryHigh": ("memory", "memory.high", None),
    "MemoryLow": ("memory", "memory.low", None),
    "MemoryMin": ("memory", "memory.min", None),
    "MemorySwapMax": ("memory", "memory.swap.max", None),
    "MemoryZSwapMax": ("memory", "memory.zswap.max", None),
    "TasksMax": ("pids", "pids.max", "pids.max"),
    "IOReadBandwidthMax": ("blkio", "io.max", "blkio.throttle.read_bps_device"),
    "IOWriteBandwidthMax": ("blkio", "io.max", "blkio.throttle.write_bps_device"),
    "IOReadIOPSMax": ("blkio", "io.max", None),
    "IOWriteIOPSMax": ("blkio", "io.max", None),
}
_IO_KEYS = {
    "IOReadBandwidthMax": "rbps",
    "IOWriteBandwidthMax": "wbps",
    "IOReadIOPSMax": "riops",
    "IOWriteIOPSMax": "wiops",
}
_STAT_TAIL = re.compile(r"\) \S ")

APPLIED, NOT_RUNNING, NOT_ENFORCED, DIFFERS = "applied", "not_running", "not_enforced", "differs"


# Directives that limit single devices.
OF_DEVICES = tuple(sorted(_IO_KEYS))


class Groups:
    """The control groups of one host's units."""

    def __init__(self, tree, number_of):
        """number_of: path of a device to its number such as "8:0", or None."""
        self.tree = tree
        self.number_of = number_of
        self.place = cgroups.hierarchy(tree)
        self.version = self.place.version if self.place else None

    def _directory(self, group, controller):
        """Return the directory of a unit's group in the hierarchy of a controller, or None."""
        if not group or self.place is None:
            return None
        directory, root = self.place.directory, self.place.root
        if self.version != "v2" and controller != "memory":
            entry = next(
                (one for one in mounts(self.tree) if one["type"] == "cgroup" and controller in one["super_options"]),
                None,
            )
            if entry is None:
                return None
            directory = entry["mount"].rstrip("/")
            root = "" if entry["root"] in (None, "/") else entry["root"].rstrip("/")
        below = group[len(root) :] if root and (group + "/").startswith(root + "/") else group
        return directory + (below if below != "/" else "")

    def usage(self, group):
        """Return the memory that a unit uses and has used at most, {current, peak, swap_current, max}."""
        where = self._directory(group, "memory")
        names = ("memory.current", "memory.peak", "memory.swap.current", "memory.max")
        if self.version != "v2":
            names = ("memory.usage_in_bytes", "memory.max_usage_in_bytes", None, "memory.limit_in_bytes")
        found = {}
        for key, name in zip(("current", "peak", "swap_current", "max"), names):  # noqa: B905 - Python 3.6
            text = self.tree.text(os.path.join(where, name)) if where and name else None
            found[key] = cgroups.parse_limit_v1(text) if key == "max" else cgroups.parse_number(text)
        return found

    def check(self, directive, shown, group):
        """Return (status, the kernel's value or None, why) for what systemd shows of a directive of a unit that runs.

        (None, None, None) for a directive that no file of the group tells of.
        """
        if directive in ONLY_V2 and self.version is not None and self.version != "v2":
            return NOT_ENFORCED, None, "cgroup v1 has no %s" % directive
        if directive not in FILES or not shown:
            return None, None, None
        controller, second, old = FILES[directive]
        if not group:
            return NOT_RUNNING, None, None
        if self.place is None:
            return NOT_ENFORCED, None, "no cgroup file system is mounted"
        name = second if self.version == "v2" else old
        if name is None:
            return NOT_ENFORCED, None, "cgroup v1 has no %s" % directive
        path = os.path.join(self._directory(group, controller) or "", name)
        text = self.tree.text(path)
        if text is None and shown[0] != "infinity" and self._withheld(controller, group):
            return DIFFERS, "nothing", "%s: is not there, and the kernel has the controller" % path
        if text is None:
            return NOT_ENFORCED, None, "%s: is not there, so this host's kernel does not limit the unit" % path
        same, value = self._compare(directive, shown, text)
        if same:
            return APPLIED, value, None
        if not os.access(self.tree.real(path), os.W_OK):
            return NOT_ENFORCED, value, "%s: is read-only and holds %s" % (path, value)
        return DIFFERS, value, "%s holds %s" % (path, value)

    def _withheld(self, controller, group):
        """Return whether the host has a controller and this group has not got it (v2)."""
        if self.version != "v2":
            return False
        name = _CONTROLLERS.get(controller, controller)
        host, own = self.place.directory, self._directory(group, controller)
        offered, given = (self.tree.text(where + "/cgroup.controllers") for where in (host, own))
        return given is not None and name in (offered or "").split() and name not in given.split()

    def lacks(self, directive, shown, group):
        """Return the controller, as cgroup.controllers names it, that a unit needs and has not got, or None."""
        if directive not in FILES or not shown or not group or self.place is None:
            return None
        controller = FILES[directive][0]
        return _CONTROLLERS.get(controller, controller) if self._withheld(controller, group) else None

    def write(self, directive, shown, group):
        """Give a group the number that systemd shows; what is read back afterwards says whether the kernel took it."""
        controller, second, old = FILES[directive]
        name = second if self.version == "v2" else old
        where = self._directory(group, controller)
        if directive in _IO_KEYS or not where or not name or not self.tree.exists(os.path.join(where, name)):
            return
        endless = "-1" if self.version != "v2" and controller == "memory" else "max"
        try:
            text = endless if shown[0] == "infinity" else str(dropin.parse_size(shown[0]))
            with open(self.tree.real(os.path.join(where, name)), "w", encoding="ascii") as handle:
                handle.write(text + "\n")
        except (ValueError, EnvironmentError):
            pass

    def release(self, directive, paths, group):
        """Let the kernel forget the limits of a unit that runs on devices: systemd leaves them when it is told of none.

        Return the paths of the devices that it holds back all the same. With cgroup v1 0 is no limit.
        """
        controller, name, old = FILES[directive]
        where = self._directory(group, controller) if group and self.place is not None else None
        name = name if self.version == "v2" else old
        left = []
        for path in sorted(paths) if where and name else ():
            number = self.number_of(path)
            file = os.path.join(where, name)
            if number is None or self._held(directive, self.tree.text(file, "")).get(number, "max") in ("max", "0"):
                continue
            words = "%s=max" % _IO_KEYS[directive] if self.version == "v2" else "0"
            try:
                with open(self.tree.real(file), "w", encoding="ascii") as handle:
                    handle.write("%s %s\n" % (number, words))
            except EnvironmentError:
                pass  # said by what is read back
            if self._held(directive, self.tree.text(file, "")).get(number, "max") not in ("max", "0"):
                left.append(path)
        return left

    @staticmethod
    def _held(directive, text):
        """Return {device's number: limit} of io.max, or of a file of v1."""
        held = {}
        for line in text.split("\n"):
            fields = line.split()
            if len(fields) == 2 and "=" not in fields[1]:
                held[fields[0]] = fields[1]
            elif fields:
                limits = dict(field.partition("=")[::2] for field in fields[1:])
                held[fields[0]] = limits.get(_IO_KEYS[directive], "max")
        return held

    def _compare(self, directive, shown, text):
        """Return (whether the file holds what systemd shows, what it holds)."""
        if directive in _IO_KEYS:
            return self._compare_devices(directive, shown, text)
        have = cgroups.parse_limit_v1(text) if self.version != "v2" else cgroups.parse_number(text)
        try:
            wanted = None if shown[0] == "infinity" else dropin.parse_size(shown[0])
        except ValueError:
            return True, text
        value = "infinity" if have is None else str(have)
        if wanted is None or have is None:
            return wanted == have, value
        # The kernel cuts bytes to whole pages (page_counter_memparse()).
        page = os.sysconf("SC_PAGE_SIZE") if directive != "TasksMax" else 1
        return wanted // page == have // page, value

    def _compare_devices(self, directive, shown, text):
        held = self._held(directive, text)
        same, told = True, []
        for line in shown:
            try:
                path, value = dropin.split_device(line)
            except ValueError:
                continue
            number = self.number_of(path)
            have = held.get(number, "max")
            told.append("%s %s" % (path, have))
            same = same and number is not None and have == ("max" if value == "infinity" else value)
        return same, ", ".join(told) or "max"

    def score(self, pid):
        """Return the oom_score_adj of a process, or None."""
        return self.tree.integer("/proc/%s/oom_score_adj" % pid)

    def grouped(self, group):
        """Return whether the OOM killer takes the unit as a whole (memory.oom.group), or None."""
        where = self._directory(group, "memory") if self.version == "v2" else None
        return self.tree.integer(where + "/memory.oom.group") if where else None
