# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be written so that vm.* and kernel.panic* settings are as wished, now and at boot, and how to go back.

Nothing here reads or writes a host: values come in, a plan comes out. Names are those of sysctl(8), "vm.swappiness".

A pair such as dirty_ratio and dirty_bytes is one setting with two spellings: the kernel obeys the one that was written
last and sets the other to 0 (mm/page-writeback.c, mm/util.c). Only the one that counts is ever written.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
from collections import OrderedDict

from ansible_collections.linux_memory.oom.plugins.module_utils import sysctl
from ansible_collections.linux_memory.oom.plugins.module_utils.sysctl import number, same_value

PAIRS = {sysctl.swap_separators(key): sysctl.swap_separators(other) for key, other in sysctl.PAIRS.items()}

# In a pair only these may be 0. The kernel refuses 0 bytes, takes a dirty_ratio of 0 for no change after dirty_bytes,
# and 0 in overcommit_kbytes would leave a host in mode 2 with its swap alone.
_MAY_BE_ZERO = ("vm.dirty_background_ratio", "vm.overcommit_ratio")

_ACTIONS = ("vm.compact_memory", "vm.drop_caches", "vm.stat_refresh")
_TEXTS = ("vm.numa_zonelist_order", "kernel.panic_sys_info")
_LISTS = ("vm.lowmem_reserve_ratio", "vm.hugetlb_optimize_vmemmap")

_INT = 2**31 - 1
_LONG = 2**63 - 1
_NEW = (99, 0)

# Least and greatest value, from which kernel on: the tables of kernel/sysctl.c, which since 6.12 are in mm/vmscan.c,
# mm/page_alloc.c, mm/compaction.c, mm/page-writeback.c, mm/util.c, mm/swap.c, mm/oom_kill.c, mm/memory-failure.c and
# fs/fs-writeback.c, and those of kernel/panic.c.
# {name: [(before this kernel, least, greatest), ...]}; the first that matches counts.
_RANGES = {
    "vm.admin_reserve_kbytes": [(_NEW, 0, _LONG)],
    "vm.compact_unevictable_allowed": [(_NEW, 0, 1)],
    "vm.compaction_proactiveness": [(_NEW, 0, 100)],
    "vm.dirty_background_bytes": [(_NEW, 1, _LONG)],
    "vm.dirty_background_ratio": [(_NEW, 0, 100)],
    "vm.dirty_expire_centisecs": [(_NEW, 0, _INT)],
    "vm.dirty_ratio": [(_NEW, 0, 100)],
    "vm.dirty_writeback_centisecs": [(_NEW, 0, _INT)],
    "vm.dirtytime_expire_seconds": [(_NEW, 0, _INT)],
    "vm.extfrag_threshold": [(_NEW, 0, 1000)],
    "vm.highmem_is_dirtyable": [(_NEW, 0, 1)],
    "vm.laptop_mode": [(_NEW, 0, _INT)],
    "vm.max_map_count": [(_NEW, 0, _INT)],
    "vm.memory_failure_early_kill": [(_NEW, 0, 1)],
    "vm.memory_failure_recovery": [(_NEW, 0, 1)],
    "vm.min_free_kbytes": [(_NEW, 0, _INT)],
    "vm.min_slab_ratio": [(_NEW, 0, 100)],
    "vm.min_unmapped_ratio": [(_NEW, 0, 100)],
    "vm.nr_hugepages": [(_NEW, 0, _LONG)],
    "vm.nr_overcommit_hugepages": [(_NEW, 0, _LONG)],
    "vm.oom_dump_tasks": [(_NEW, 0, _INT)],
    "vm.oom_kill_allocating_task": [(_NEW, 0, _INT)],
    "vm.overcommit_kbytes": [(_NEW, 1, _LONG)],
    "vm.overcommit_memory": [(_NEW, 0, 2)],
    "vm.overcommit_ratio": [(_NEW, 0, _INT)],
    # A power of two of pages; kernels before 6.0 took any, and made a shift by it that C does not define.
    "vm.page-cluster": [(_NEW, 0, 31)],
    "vm.page_lock_unfairness": [(_NEW, 0, _INT)],
    "vm.panic_on_oom": [(_NEW, 0, 2)],
    "vm.percpu_pagelist_high_fraction": [(_NEW, 0, _INT)],
    "vm.stat_interval": [(_NEW, 0, _INT)],
    # c843966c556d "mm: allow swappiness that prefers reclaiming anon over the file workingset", 5.8.
    "vm.swappiness": [((5, 8), 0, 100), (_NEW, 0, 200)],
    "vm.unprivileged_userfaultfd": [(_NEW, 0, 1)],
    "vm.user_reserve_kbytes": [(_NEW, 0, _LONG)],
    "vm.vfs_cache_pressure": [(_NEW, 0, _INT)],
    "vm.watermark_boost_factor": [(_NEW, 0, _INT)],
    # 39c65a94cd96 "mm/pagealloc: raise watermark_scale_factor's maximum", 5.17: from a tenth to three tenths.
    "vm.watermark_scale_factor": [((5, 17), 1, 1000), (_NEW, 1, 3000)],
    "vm.zone_reclaim_mode": [(_NEW, 0, 7)],
    # Seconds; a negative one restarts at once (kernel/panic.c).
    "kernel.panic": [(_NEW, -1, _INT)],
    "kernel.panic_on_oops": [(_NEW, 0, 1)],
    "kernel.panic_on_warn": [(_NEW, 0, 1)],
    "kernel.panic_on_rcu_stall": [(_NEW, 0, 1)],
    "kernel.panic_on_io_nmi": [(_NEW, 0, 1)],
    "kernel.panic_on_unrecovered_nmi": [(_NEW, 0, 1)],
    "kernel.panic_on_stackoverflow": [(_NEW, 0, 1)],
}

# Where a name comes late in this list it is written late. A way back goes through it from the end.
_ORDER = (
    "kernel.panic",
    "vm.min_free_kbytes",
    "vm.overcommit_ratio",
    "vm.overcommit_kbytes",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
)
_DIRTY = ("vm.dirty_ratio", "vm.dirty_bytes")
_BACKGROUND = ("vm.dirty_background_ratio", "vm.dirty_background_bytes")


def group(key):
    """Return the names that are one setting with this one, itself among them, sorted."""
    return tuple(sorted({key, PAIRS.get(key, key)}))


def kernel_version(release):
    """Return the version of a kernel's release as a pair of numbers; a new one where it is not known."""
    match = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", release or "")
    return (int(match.group(1)), int(match.group(2))) if match else _NEW


def name_of(text):
    """Return a setting's name as sysctl(8) writes it; "vm/swappiness" is taken as well."""
    return sysctl.swap_separators(sysctl.normalise(text))


def check(settings, known, version, page=4096, why=""):
    """Return the settings as {name: value as text}, in a fixed order, of a pair only the name that counts.

    settings: as the user gave them. known: the names that the kernel has. version: of the kernel. why: which kernel
    that is, for the messages. Raises ValueError with one sentence.
    """
    found = {}
    for given, value in settings.items():
        name = name_of(str(given))
        if name in found:
            raise ValueError("settings: %s is given twice." % name)
        _check_name(str(given), name, known, why)
        found[name] = _check_value(name, value, version, page, why)
    for name in sorted(found):
        other = PAIRS.get(name)
        if other not in found or name > other:
            continue
        zeros = [one for one in (name, other) if number(found[one]) == 0]
        if len(zeros) != 1:
            raise ValueError(
                "settings: %s and %s are one setting, of which the kernel keeps the one written last; give only one, "
                "not %s and %s." % (name, other, found[name], found[other])
            )
        del found[zeros[0]]
    for name in found:
        if name in PAIRS and number(found[name]) == 0 and name not in _MAY_BE_ZERO:
            raise ValueError("settings: %s may not be 0; what is meant by that is said with %s." % (name, PAIRS[name]))
    _check_dirty(found)
    return OrderedDict((name, found[name]) for name in sorted(found, key=_rank))


def _check_name(given, name, known, why):
    if not re.match(r"[a-z][A-Za-z0-9_.-]*$", name) or not sysctl.is_ours(name.replace(".", "/", 1)):
        raise ValueError("settings: %s is not a setting of vm or kernel.panic*, which alone this module takes." % given)
    if name in _ACTIONS:
        raise ValueError("settings: %s does something once when it is written; it is no setting." % name)
    if name not in known:
        raise ValueError("settings: this kernel%s has no %s." % (why, name))


def _check_value(name, value, version, page, why):
    if isinstance(value, (bool, float, dict, list)) or value is None:
        raise ValueError("settings: %s is %r, which is not a whole number." % (name, value))
    text = " ".join(str(value).split())
    if name in _TEXTS:
        if not re.match(r"[A-Za-z0-9_,. -]{1,200}$", text):
            raise ValueError("settings: %s is %r, which is not a word." % (name, value))
        return text
    words = [number(word) for word in text.split()]
    if None in words or not words or (len(words) > 1 and name not in _LISTS):
        raise ValueError("settings: %s is %r, which is not a whole number." % (name, value))
    least, greatest = _range(name, version, page)
    # The 0 of a pair's other half may be said; it is not written.
    if not (name in PAIRS and words == [0]) and not all(least <= word <= greatest for word in words):
        raise ValueError("settings: %s is %s; this kernel%s takes %d to %d." % (name, text, why, least, greatest))
    return " ".join(str(word) for word in words)


def _range(name, version, page):
    """Return the least and the greatest value that a kernel takes; all that fits where that is not known."""
    if name == "vm.dirty_bytes":
        return 2 * page, _LONG
    limits = _RANGES.get(name, [(_NEW, -_LONG, _LONG)])
    return next(one[1:] for one in limits if version < one[0] or one[0] == _NEW)


def _check_dirty(found):
    for limit, background in ((_DIRTY[0], _BACKGROUND[0]), (_DIRTY[1], _BACKGROUND[1])):
        if limit in found and background in found and number(found[background]) >= number(found[limit]):
            raise ValueError(
                "settings: %s is %s, which is not below %s, %s; the kernel would halve it."
                % (background, found[background], limit, found[limit])
            )


def _rank(name):
    return (_ORDER.index(name) if name in _ORDER else -1, name)


def values_of(text):
    """Return what an owned file sets: {name: value}; a pair's later line counts."""
    found = OrderedDict()
    for name, value in lines_of(text):
        for other in group(name):
            found.pop(other, None)
        found[name] = value
    return found


def lines_of(text):
    """Return [(name, value)] of the lines of an owned file: a run that was stopped leaves old values above new ones."""
    lines = [(sysctl.swap_separators(one["key"]), one["value"]) for one in sysctl.parse_conf(text or "")]
    return [(name, value) for name, value in lines if value is not None]


class Plan:
    """What has to happen. All of it is {name: value}.

    wanted: what the file says at the end. target: running values at the end, of every name that is touched or wished,
    a pair's both. before: what is remembered for the way back. writes: [(name, value)] in order. left: names that are
    no longer asked for and are not as they were set, so that somebody else has changed them: they stay.
    """

    def __init__(self, wanted, before):
        self.wanted, self.before = wanted, before
        self.target = OrderedDict()
        self.writes = []
        self.left = []
        self.dropped = []


def plan(wanted, running, old=None, remembered=None, writable=None, dirtyable=None, ours=None):
    """Return the Plan that leads from the running values to those wished.

    wanted: as check() returns it; {} takes back everything. running: the values of now, of every name of every group
    that wanted, old or remembered has; a value that could not be read is None. old: what the owned file sets now
    (values_of). remembered: what it remembers. writable: a function that says whether a name's running value can be
    written; the target of one that cannot is what runs. dirtyable: bytes of which a dirty ratio is taken. ours: all
    lines of the owned file (lines_of), where it has more than old: a value of any of them may be one that we have set.
    """
    old, remembered = old or {}, remembered or {}
    ours = list(old.items()) if ours is None else ours
    writable = writable or _always
    before = OrderedDict()
    for name in wanted:
        for one in group(name):
            before[one] = remembered[one] if one in remembered else running.get(one)
    result = Plan(wanted, before)
    todo = OrderedDict()
    for name in wanted:
        _aim(result, todo, {one: wanted[name] if one == name else "0" for one in group(name)}, running, writable)
    groups = {group(name) for name in wanted}
    for name in sorted(set(old) | set(remembered)):
        members = group(name)
        if members in groups:
            continue
        groups.add(members)
        result.dropped.extend(members)
        _go_back(result, todo, members, (running, ours, remembered), writable)
    result.writes = in_order(todo, running, dirtyable)
    return result


def _always(_name):
    return True


def _aim(result, todo, target, running, writable):
    """Set the target of a group and note the one write that leads there."""
    names = list(target)
    if all(running.get(name) is not None and same_value(running[name], target[name]) for name in names):
        write = None
    else:
        counts = [name for name in names if number(target[name]) != 0]
        write = (counts or [name for name in names if name in _MAY_BE_ZERO] or names)[0]
    if write is not None and not writable(write):
        target, write = {name: running.get(name) for name in names}, None
    result.target.update((name, target[name]) for name in names)
    if write is not None:
        todo[write] = target[write]


def _go_back(result, todo, members, values, writable):
    """Aim at what was there before, unless somebody else has changed it since."""
    running, ours, remembered = values
    known = {name: remembered.get(name) for name in members}
    now = {name: running.get(name) for name in members}
    ours = any(name in members and now[name] is not None and same_value(now[name], value) for name, value in ours)
    back = all(isinstance(value, str) for value in known.values())
    if back and all(now[name] is not None and same_value(now[name], known[name]) for name in members):
        result.target.update(now)
    elif ours and back and not (members[0] in _DIRTY and all(number(known[name]) == 0 for name in members)):
        _aim(result, todo, {name: known[name] for name in members}, running, writable)
    else:
        result.target.update(now)
        result.left.extend(members)


def in_order(todo, running, dirtyable=None):
    """Return the writes {name: value} as a list, in an order that passes through no state that is worse than both ends.

    The background limit stays below the dirty limit; strict accounting is switched on after its limit is set and off
    before that is taken away; the restart after a panic is set before panics are asked for.
    """
    rest = [name for name in todo if name not in _DIRTY + _BACKGROUND]
    early, late = [], []
    for name in sorted(rest, key=_rank):
        (late if name in _ORDER else early).append(name)
    switched_off = [
        name
        for name in ("vm.panic_on_oom", "vm.overcommit_memory")
        if name in todo and _eases(name, running.get(name), todo[name])
    ]
    late = switched_off + [name for name in late if name not in switched_off]
    return [(name, todo[name]) for name in early + _dirty_order(todo, running, dirtyable) + late]


def _eases(name, now, then):
    """Return whether a switch goes towards its harmless side."""
    now, then = number(now or "0") or 0, number(then) or 0
    return (now == 2 and then != 2) if name == "vm.overcommit_memory" else then < now


def _dirty_order(todo, running, dirtyable):
    limit = [name for name in _DIRTY if name in todo]
    background = [name for name in _BACKGROUND if name in todo]
    if not limit or not background:
        return limit + background
    first = dict(running)
    for name in group(limit[0]):
        first[name] = todo[name] if name == limit[0] else "0"
    # Both ends are right, so one of the two ways is: see the unit test that tries them all.
    return limit + background if background_is_below(first, dirtyable) is not False else background + limit


def background_is_below(values, dirtyable=None):
    """Return whether the background limit is below the dirty limit, None where that cannot be said.

    values: {name: text}. A ratio is one of dirtyable, in bytes; without that only like is compared with like.
    """
    limits = []
    for in_ratio, in_bytes in (_DIRTY, _BACKGROUND):
        ratio, size = number(values.get(in_ratio) or ""), number(values.get(in_bytes) or "")
        if size:
            limits.append(("bytes", size))
        elif ratio is None:
            return None
        else:
            limits.append(("bytes", ratio * dirtyable // 100) if dirtyable else ("ratio", ratio))
    if limits[0][0] != limits[1][0]:
        return None
    return limits[1][1] < limits[0][1]
