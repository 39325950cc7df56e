# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody expects of a host's memory settings beside what the kernel and systemd have: one check for each."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.linux_memory.oom.plugins.module_utils import dropin, kdump, sysctl, unit_groups
from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.swap import parse_swaps
from ansible_collections.linux_memory.oom.plugins.module_utils.systemd import SystemdError, first

# When a sysctl has to be so: in the kernel now, and in what the next boot reads.
MOMENTS = ("running", "boot")
# What systemd shows of a unit besides what is asked for.
_ALWAYS = ("LoadState", "ControlGroup", "ActiveState")


class BadInput(Exception):
    """An expectation that cannot be one; the text names the option, the value and what is allowed."""


def _check(what, expected, found, passed, source, why=None):
    """Return one check, with the sentence that tells it."""
    have = "not set" if found is None else found
    sentence = "%s is %s" % (what, have)
    if not passed:
        sentence += " and has to be %s" % expected
    if why:
        sentence += ": %s" % why
    return {
        "what": what,
        "expected": expected,
        "found": found,
        "passed": passed,
        "source": source,
        "sentence": sentence + (" (%s)." % source if source else "."),
    }


# Sysctls


def of_sysctls(tree, wanted, moments):
    """Return the checks of {name: value}, for each moment. Raises BadInput."""
    keys = {}
    for name, value in wanted.items():
        key = sysctl.normalise(name)
        if "/" not in key or not str(value).strip():
            raise BadInput("sysctls: %s: %s is not a setting and its value, such as vm.swappiness: 10" % (name, value))
        keys[name] = (key, str(value).strip())
    boot = sysctl.boot_values(tree)["keys"] if "boot" in moments else {}
    found = []
    for name, (key, value) in keys.items():
        if "running" in moments:
            found.append(_running(tree, name, key, value))
        if "boot" in moments:
            found.append(_at_boot(boot.get(sysctl.swap_separators(key), {}), name, value))
    return found


def _running(tree, name, key, value):
    path = "/proc/sys/" + key
    text = tree.text(path)
    have = None if text is None else " ".join(text.split())
    passed = have is not None and sysctl.same_value(have, value)
    return _check(name, value, have, passed, path, None if have is not None else "this kernel has no such setting")


def _at_boot(one, name, value):
    have = one.get("value")
    source = "%s line %s" % (one["file"], one["line"]) if one.get("file") else None
    return _check(name + " at boot", value, have, have is not None and sysctl.same_value(have, value), source)


# Units


def of_units(tree, systemd, wanted, number_of):
    """Return the checks of {unit: {directive: value}}, sections may be named. Raises BadInput and SystemdError."""
    wishes = {name: _wishes(name, sections) for name, sections in wanted.items()}
    if not wishes:
        return []
    if not systemd.running():
        raise SystemdError("systemd does not run here, so nothing can be said about units")
    properties = {dropin.property_of(directive) for each in wishes.values() for _section, directive, _values in each}
    shown = systemd.show(list(wishes), properties | set(_ALWAYS))
    groups = unit_groups.Groups(tree, number_of)
    host = host_of(tree, groups)
    return [
        check for name, each in wishes.items() for check in _of_unit(name, each, shown.get(name) or [], groups, host)
    ]


def _wishes(name, sections):
    try:
        dropin.kind(name)
        return dropin.wishes(name, sections)
    except dropin.BadInput as error:
        raise BadInput(str(error))


def host_of(tree, groups):
    """Return what percentages are of."""
    memory = meminfo(tree)
    contained = groups.usage(groups.place.root or "/")["max"] if groups.place is not None else None
    return dropin.Host(memory.get("mem_total") or 0, memory.get("swap_total") or 0, contained)


def _of_unit(name, wishes, instances, groups, host):
    there = [one for one in instances if first(one, "LoadState") == "loaded"]
    found = []
    for _section, directive, values in wishes:
        what, expected = "%s %s" % (name, directive), ", ".join(values)
        if not there:
            found.append(_check(what, expected, None, False, None, "systemd has no unit of that name loaded"))
        found += [_of_directive(what, directive, values, one, groups, host) for one in there]
    return found


def _of_directive(what, directive, values, shown_of, groups, host):
    expected = dropin.canonical(directive, values, host)
    shown = shown_of.get(dropin.property_of(directive))
    if shown is None:
        return _check(what, expected, None, False, None, "systemd shows no such directive of this unit")
    have = dropin.canonical(directive, shown, host)
    agreed = dropin.agrees(directive, values, shown, host)
    # Two texts that only systemd could compare are the same where they are the same.
    passed = (have == expected) if agreed is None else agreed
    status, value, why = groups.check(directive, shown, first(shown_of, "ControlGroup"))
    if passed and status == unit_groups.DIFFERS:
        return _check(what, expected, value, False, "the unit's control group", why)
    # Whether a limit counts is for whoever runs this image on a host of its own.
    note = why if passed and status == unit_groups.NOT_ENFORCED else None
    return _check(what, expected, have, passed, "systemctl show", note)


# Swap and the crash kernel


def of_swaps(tree, wanted):
    """Return the checks of [{path, size, priority}]: active, at least of that size (bytes or 1G), of that priority.

    Raises BadInput.
    """
    there = {one["path"]: one for one in parse_swaps(tree.text("/proc/swaps", ""))}
    found = []
    for one in wanted:
        path = one["path"]
        active = there.get(path)
        what = "swap %s" % path
        if active is None:
            found.append(_check(what, "active", "not active", False, "/proc/swaps"))
            continue
        found.append(_check(what, "active", "active", True, "/proc/swaps"))
        if one.get("size") is not None:
            try:
                size = dropin.parse_size(str(one["size"]))
            except ValueError:
                raise BadInput("swaps: size %s of %s is not a size such as 2G" % (one["size"], path))
            # The first page of an area is its header and holds nothing.
            enough = active["size"] + 65536 >= size
            found.append(_check("size of " + what, "at least %d" % size, active["size"], enough, "/proc/swaps"))
        if one.get("priority") is not None:
            same = active["priority"] == one["priority"]
            found.append(_check("priority of " + what, one["priority"], active["priority"], same, "/proc/swaps"))
    return found


def of_crash_kernel(tree, wanted):
    """Return the check of whether a crash kernel is loaded."""
    words = {True: "loaded", False: "not loaded"}
    have = words[bool(kdump.loaded(tree))]
    return [_check("the crash kernel", words[wanted], have, have == words[wanted], "/sys/kernel/kexec_crash_loaded")]
