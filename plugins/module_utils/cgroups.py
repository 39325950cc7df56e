# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory by control group: cgroup v2, v1, and both side by side.

Formats: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, mm/memcontrol.c, mm/memcontrol-v1.c.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import re

from ansible_collections.linux_memory.oom.plugins.module_utils import pressure as psi
from ansible_collections.linux_memory.oom.plugins.module_utils import system, units
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mounts
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import reason

# A group this full is listed whatever its size: the next allocation may be the one that meets the limit.
NEAR_LIMIT = 0.9

# Hosts with more groups exist only by accident (a leak of scopes); a reading of them must still end soon.
MOST_GROUPS = 20000
# A node of Kubernetes has some hundred limited groups: more names than these tell a person nothing.
MOST_LIMITED = 100

EVENTS = ("low", "high", "max", "oom", "oom_kill", "oom_group_kill")

# "No limit" in v1 is the largest counter, in whole pages: LONG_MAX bytes rounded down to a page on 64 bits (page sizes
# up to 64 KiB), LONG_MAX pages on 32 bits, and ULLONG_MAX before Linux 3.19 (include/linux/page_counter.h).
_UNLIMITED_64 = 0x7FFFFFFFFFFF0000
_UNLIMITED_32 = frozenset(0x7FFFFFFF * size for size in system.PAGE_SIZES)

_FLAT_LINE = re.compile(r"^([a-z][a-z0-9_.]*) ([0-9]{1,20})$", re.ASCII | re.MULTILINE)
_UNIT = re.compile(r"^[A-Za-z0-9:_.\\@-]+\.(?:service|scope|slice|socket|mount|swap)$")

# What the engines call the group of one container. Their monitors (libpod-conmon-ID.scope, lxc.monitor.NAME) are none.
_CONTAINER = re.compile(
    r"^(?:(?:docker|libpod|cri-containerd|crio|containerd|podman|nerdctl|buildkit)-[0-9a-f]{12,}(?:\.scope)?"
    r"|[0-9a-f]{64}(?:\.scope)?"
    r"|lxc\.payload\..+"
    r"|systemd-nspawn@.+\.service"
    r"|machine-(?!qemu).+\.scope)$"
)
_POD = re.compile(r"pod[0-9a-f]{8}[0-9a-f_-]{4,}")
_PARENTS_OF_CONTAINERS = ("lxc", "lxc.payload")


def parse_flat(text):
    """Return {name: count} of a flat keyed file (memory.stat, memory.events, memory.oom_control). Never negative."""
    return {match.group(1): int(match.group(2)) for match in _FLAT_LINE.finditer(text)}


def parse_number(text):
    """Return the whole number of a cgroup file (bytes or a count); None for "max", for garbage and for nothing."""
    text = (text or "").strip()
    return int(text) if re.match(r"[0-9]{1,20}$", text, re.ASCII) else None


def parse_limit_v1(text):
    """Return a limit of cgroup v1 in bytes, or None where there is none."""
    value = parse_number(text)
    if value is None or value >= _UNLIMITED_64 or value in _UNLIMITED_32:
        return None
    return value


def parse_proc_cgroup(text):
    """Return {controller: path} of /proc/PID/cgroup; "" is the v2 hierarchy, "name=systemd" that of systemd on v1."""
    found = {}
    for line in text.splitlines():
        fields = line.split(":", 2)
        if len(fields) < 3 or not fields[0].isdigit() or not fields[2].startswith("/"):
            continue
        path = fields[2]
        # So a group of v2 is named that was removed while the process still ends (proc_cgroup_show).
        if path.endswith(" (deleted)"):
            path = path[: -len(" (deleted)")]
        for controller in fields[1].split(","):
            found[controller] = path
    return found


def unit_name(name):
    """Return the systemd unit that a directory in the cgroup tree is of, or None.

    systemd puts "_" before a name that would collide with a file of the kernel's (cg_escape in its cgroup-util.c).
    """
    if name.startswith("_"):
        name = name[1:]
    return name if _UNIT.match(name) else None


def unit_of(path):
    """Return the innermost unit that a process in the group belongs to: a service or scope, else a slice, else None."""
    units = [unit for unit in (unit_name(name) for name in path.split("/")) if unit]
    for unit in reversed(units):
        if not unit.endswith(".slice"):
            return unit
    return units[-1] if units else None


def in_container(path):
    """Return whether the group is a container, a pod, or inside one, going by the names that the engines use."""
    names = [name for name in path.split("/") if name]
    pods = False
    for place, name in enumerate(names):
        pods = pods or "kubepods" in name
        if _CONTAINER.match(name) or (pods and _POD.search(name)):
            return True
        if name in _PARENTS_OF_CONTAINERS and place + 1 < len(names):
            return True
    return False


class Hierarchy:
    """Where the groups of the memory controller lie.

    version is "v2", "v1" or "hybrid" (v1 with a v2 tree beside it, which only systemd and pressure use); directory is
    the mount point; root the path of the group that is mounted there (not "/" in a container without a cgroup
    namespace); pressure the directory that holds memory.pressure by the same paths, or None.
    """

    def __init__(self, version, mount, pressure):
        self.version = version
        self.directory = mount["mount"].rstrip("/")
        self.root = "" if mount["root"] in (None, "/") else mount["root"].rstrip("/")
        self.pressure = pressure
        self.local_events = "memory_localevents" in mount["super_options"]

    def path(self, below):
        """Return the group's path as /proc/PID/cgroup has it; below is "" for the mounted group itself."""
        return (self.root + below) or "/"

    def file(self, below, name):
        """Return the path of a file of the group."""
        return "%s%s/%s" % (self.directory, below, name)


def hierarchy(tree):
    """Return the Hierarchy of the memory controller, or None; found once for all subsets."""
    return tree.once("cgroup_hierarchy", lambda: _find(tree))


def _find(tree):
    second = _mounted(tree, "cgroup2", lambda mount: True, "cgroup.controllers")
    first = _mounted(tree, "cgroup", lambda mount: "memory" in mount["super_options"], "memory.stat")
    if first:
        beside = second["mount"].rstrip("/") if second and second["root"] == first["root"] else None
        return Hierarchy("hybrid" if second else "v1", first, beside)
    if second:
        return Hierarchy("v2", second, second["mount"].rstrip("/"))
    # A copied tree may lack the list of mounts: systemd's mount points are everybody's.
    for version, mount, mark in (
        ("v2", "/sys/fs/cgroup", "cgroup.controllers"),
        ("v1", "/sys/fs/cgroup/memory", "memory.stat"),
    ):
        if tree.exists(mount + "/" + mark):
            entry = {"mount": mount, "root": "/", "super_options": []}
            return Hierarchy(version, entry, mount if version == "v2" else None)
    return None


def _mounted(tree, kind, fits, mark):
    """Return the mount of that type that shows the most (a bind mount shows one group) and can be reached, or None."""
    candidates = [mount for mount in mounts(tree) if mount["type"] == kind and fits(mount)]
    for mount in sorted(candidates, key=lambda mount: len(mount["root"] or "/")):
        if tree.exists(mount["mount"].rstrip("/") + "/" + mark):
            return mount
    return None


class Group:
    """One control group in the first, cheap pass: what decides whether it is listed."""

    def __init__(self, below, current, limit, events):
        self.below = below
        self.current = current
        self.limit = limit
        self.events = events  # None: nothing happened here or below, so the file was not read

    @property
    def killed(self):
        """True where the group, or on v2 one below it, met the OOM killer."""
        return self.events is not None and (self.events.get("oom", 0) > 0 or self.events.get("oom_kill", 0) > 0)

    @property
    def full(self):
        """True where the group is close to its limit."""
        return self.limit is not None and self.current >= NEAR_LIMIT * self.limit


class Reader:
    """Reads the groups of one hierarchy; the subclasses know the files of v2 and v1."""

    CURRENT = LIMIT = EVENTS_FILE = None

    def __init__(self, tree, place):
        self.tree = tree
        self.place = place
        self.groups = []
        self.failed = {}
        self.no_pressure = None

    def text(self, below, name):
        """Return a file's text, or None. What is there and cannot be read is kept for unavailable."""
        path = self.place.file(below, name)
        try:
            return self.tree.read(path)
        except EnvironmentError as error:
            # A group that ends during the reading (ENOENT, ENODEV) is no failure, nor is a file that a kernel lacks.
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.EOPNOTSUPP):
                self.failed[path] = error
            return None

    def number(self, below, name):
        """Return the number that a file holds; None for "max" and where it cannot be read."""
        return parse_number(self.text(below, name))

    def walk(self):
        """Fill groups with every group that has the memory controller, its parents before it."""
        waiting = [("", True)]
        while waiting and len(self.groups) < MOST_GROUPS:
            below, ask = waiting.pop()
            current = self.number(below, self.CURRENT)
            # Without the controller here nothing below has it either; only v2's real root lacks the files.
            if current is None and below:
                continue
            if current is not None and not (below == "" and self.is_host()):
                group = Group(below, current, self.limit(below), self.first_events(below) if ask else None)
                self.groups.append(group)
                ask = group.killed if self.inherits() else ask
            waiting.extend((below + "/" + name, ask) for name in self.children(below))

    def children(self, below):
        """Return the names of the groups directly below."""
        real = self.tree.real(self.place.directory + below) if below or self.place.directory else "/"
        try:
            # In kernfs, as in ext4, a directory has two links and one for each directory in it: most groups are
            # leaves, and a list of their forty files can be saved. Where links are not so counted it is not 2.
            if below and os.stat(real).st_nlink == 2:
                return []
            with os.scandir(real) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except EnvironmentError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                self.failed[self.place.directory + below] = error
            return []

    def is_host(self):
        """Return whether the group that is mounted is the whole host, which is no group to be judged."""
        raise NotImplementedError

    def inherits(self):
        """Return whether the events of a group count those below it."""
        raise NotImplementedError

    def limit(self, below):
        """Return the limit of the group in bytes, or None."""
        raise NotImplementedError

    def first_events(self, below):
        """Return what the kernel counted of OOM in the group."""
        return parse_flat(self.text(below, self.EVENTS_FILE) or "")

    def chosen(self, top):
        """Return the groups to list, the largest first: the top ones, and all that met or nearly meet a limit."""
        ordered = sorted(self.groups, key=lambda group: (-group.current, group.below))
        return ordered[:top] + [group for group in ordered[top:] if group.killed or group.full]

    def processes(self, below):
        """Return how many processes are in the group and below; None for a slice, which would cost a file per unit."""
        if below.endswith(".slice"):
            return None
        count = None
        waiting = [below]
        while waiting:
            here = waiting.pop()
            text = self.text(here, "cgroup.procs")
            if text is not None:
                count = (count or 0) + len(text.split())
            waiting.extend(here + "/" + name for name in self.children(here))
        return count

    def pressure(self, below):
        """Return the memory pressure of the group as the subset pressure has it, or None."""
        if self.place.pressure is None:
            self.no_pressure = "cgroup v1 does not count pressure by group"
            return None
        where = self.place.pressure + below
        if self.place.version == "hybrid" and not self.tree.is_dir(where):
            self.no_pressure = self.no_pressure or "%s: not in the v2 tree, and v1 does not count pressure" % where
            return None
        parsed, why = psi.read(self.tree, where + "/memory.pressure")
        if parsed is None:
            self.no_pressure = self.no_pressure or why
        return parsed

    def details(self, group):
        """Return the group as the facts have it."""
        path = self.place.path(group.below)
        return {
            "path": path,
            "unit": unit_name(path.rsplit("/", 1)[1]),
            "container": in_container(path) or (not group.below and system.container(self.tree) is not None),
            "current": group.current,
            "max": group.limit,
            "pressure": self.pressure(group.below),
            "processes": self.processes(group.below),
        }


class Second(Reader):
    """cgroup v2."""

    CURRENT = "memory.current"
    EVENTS_FILE = "memory.events"
    # memory.stat counts all memory of the kernel since 5.18; before, these are its parts.
    KERNEL_PARTS = ("kernel_stack", "pagetables", "sec_pagetables", "percpu", "vmalloc", "slab")

    def is_host(self):
        # The host's own root has no memory.current, so what has one is a container's.
        return False

    def inherits(self):
        # Since 5.2 memory.events is hierarchical, unless the mount says otherwise; memory.events.local came with it.
        return not self.place.local_events and self.tree.once("memory.events.local", self._has_local)

    def _has_local(self):
        return bool(self.groups) and self.tree.exists(self.place.file(self.groups[0].below, "memory.events.local"))

    def limit(self, below):
        return self.number(below, "memory.max")

    def details(self, group):
        below = group.below
        found = Reader.details(self, group)
        stat = parse_flat(self.text(below, "memory.stat") or "")
        events = group.events if group.events is not None else self.first_events(below)
        parts = [stat[name] for name in self.KERNEL_PARTS if name in stat]
        together = self.text(below, "memory.oom.group")
        found.update(
            {
                "peak": self.number(below, "memory.peak"),
                "low": self.number(below, "memory.low"),
                "min": self.number(below, "memory.min"),
                "high": self.number(below, "memory.high"),
                "swap_current": self.number(below, "memory.swap.current"),
                "swap_max": self.number(below, "memory.swap.max"),
                "anon": stat.get("anon"),
                "file": stat.get("file"),
                "shmem": stat.get("shmem"),
                "kernel": stat.get("kernel", sum(parts) if parts else None),
                "slab": stat.get("slab"),
                "dirty": stat.get("file_dirty"),
                "writeback": stat.get("file_writeback"),
                "events": {name: events.get(name) for name in EVENTS},
                "oom_group": None if parse_number(together) is None else parse_number(together) == 1,
            }
        )
        return found


class First(Reader):
    """cgroup v1, its files by the words of v2.

    There is no low, min and high (the soft limit is none of them), no events but failcnt (how often the limit was met,
    v2's max) and oom_kill (since 4.13, not hierarchical), and no slab in memory.stat.
    """

    CURRENT = "memory.usage_in_bytes"
    EVENTS_FILE = "memory.oom_control"

    def is_host(self):
        # release_agent is in the root of a hierarchy only; a copied tree may not have it.
        if self.tree.exists(self.place.file("", "release_agent")):
            return True
        return not self.tree.live and not self.place.root and system.container(self.tree) is None

    def inherits(self):
        return False

    def limit(self, below):
        return parse_limit_v1(self.text(below, "memory.limit_in_bytes"))

    def details(self, group):
        below = group.below
        found = Reader.details(self, group)
        stat = parse_flat(self.text(below, "memory.stat") or "")
        events = dict.fromkeys(EVENTS)
        events["max"] = self.number(below, "memory.failcnt")
        events["oom_kill"] = (group.events or {}).get("oom_kill")
        found.update(dict.fromkeys(("low", "min", "high", "slab", "oom_group")))
        found.update(
            {
                "peak": self.number(below, "memory.max_usage_in_bytes"),
                "swap_current": self._swap(group, stat),
                "swap_max": self._swap_limit(group),
                "anon": self._hierarchical(stat, "rss"),
                "file": self._hierarchical(stat, "cache"),
                "shmem": self._hierarchical(stat, "shmem"),
                "kernel": self.number(below, "memory.kmem.usage_in_bytes"),
                "dirty": self._hierarchical(stat, "dirty"),
                "writeback": self._hierarchical(stat, "writeback"),
                "events": events,
            }
        )
        return found

    @staticmethod
    def _hierarchical(stat, name):
        """Return what the group and those below it hold, as usage_in_bytes and all of v2 count."""
        return stat.get("total_" + name, stat.get(name))

    def _swap(self, group, stat):
        """Return the swap in use; None where the kernel does not account it (swapaccount=0)."""
        value = self._hierarchical(stat, "swap")
        if value is None:
            both = self.number(group.below, "memory.memsw.usage_in_bytes")
            value = None if both is None else max(0, both - group.current)
        return value

    def _swap_limit(self, group):
        """Return what is left for swap once memory is at its limit: v1 limits the sum of both (memory.memsw)."""
        both = parse_limit_v1(self.text(group.below, "memory.memsw.limit_in_bytes"))
        if both is None:
            return None
        return both if group.limit is None else max(0, both - group.limit)


def collect(tree, options, earlier=None):
    """Return the hierarchy's version and its largest groups, every one with an OOM event, and every nearly full one.

    Bytes and counts; None is "no limit" for min, low, high, max and swap_max, else "unknown". limited tells of all
    groups that have a limit of their own: how many, and the paths of the first MOST_LIMITED; and the first MOST_LIMITED
    units whose files limit them, those that do not run among them.
    """
    place = hierarchy(tree)
    if place is None:
        tree.missing("cgroups", "no cgroup file system with the memory controller is mounted")
        return None
    reader = (Second if place.version == "v2" else First)(tree, place)
    reader.walk()
    _say_failures(tree, reader)
    if not reader.groups:
        tree.missing("cgroups", "%s: no group has the memory controller" % place.directory)
        return None
    groups = [reader.details(group) for group in reader.chosen(options["top"])]
    _say_failures(tree, reader)
    if reader.no_pressure and not any(group["pressure"] for group in groups):
        tree.missing("cgroups.pressure", reader.no_pressure)
    limited = sorted(place.path(group.below) for group in reader.groups if group.limit is not None)
    return {
        "version": place.version,
        "examined": len(reader.groups),
        "limited": {
            "count": len(limited),
            "paths": limited[:MOST_LIMITED],
            "units": units.limited(tree)[:MOST_LIMITED],
        },
        "groups": groups,
    }


def _say_failures(tree, reader):
    if len(reader.groups) >= MOST_GROUPS:
        tree.missing("cgroups.groups", "only the first %d groups were read" % MOST_GROUPS)
    if reader.failed:
        first = sorted(reader.failed)[0]
        more = " (and %d more)" % (len(reader.failed) - 1) if len(reader.failed) > 1 else ""
        tree.missing("cgroups.files", reason(reader.failed[first], first) + more)
