# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units, drop-ins and programs that the collection installs whole, and which units follow from them.

The name of each file holds the purpose it is for, and each begins with the mark of owned_file: what is there and no
longer wished is found by that, and nothing is remembered elsewhere.
Sources: systemd.unit(5), systemd.timer(5), systemd.time(7), zram-generator.conf(5), zram-generator(8).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible_collections.linux_memory.oom.plugins.module_utils import timespan

UNITS = "/etc/systemd/system"
ZRAM = "/etc/systemd/zram-generator.conf.d"
# Where zram-generator and its settings are; of a file that is in several of the directories the first one counts.
ZRAM_GENERATORS = ("/usr/lib/systemd/system-generators/zram-generator", "/lib/systemd/system-generators/zram-generator")
ZRAM_PLACES = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
PROGRAMS = "/usr/local/lib/linux_memory_oom"
SETTINGS = "/etc/linux_memory_oom"

# Where the interpreter that runs the module stands in a file: a host may have no /usr/bin/python3 (RHEL 8).
PYTHON = "@PYTHON@"

PURPOSE = re.compile(r"[a-z0-9_]{1,40}$")
_DROP_IN = re.compile(r"/etc/systemd/system/([A-Za-z0-9:_.\\@-]{1,240}\.[a-z]{4,9})\.d$")
_ZRAM = re.compile(r"^\s*\[(zram[0-9]{1,4})\]\s*$", re.MULTILINE)
_PRIORITY = re.compile(r"^\s*swap-priority\s*=\s*(-?[0-9]+)\s*$", re.MULTILINE)
_PART_OF = re.compile(r"^PartOf=(\S+)\s*$", re.MULTILINE)
_CALENDAR = re.compile(r"^OnCalendar=(.*)$", re.MULTILINE)
_SPAN = re.compile(r"^((?:RandomizedDelay|OnBoot|OnUnitActive|OnActive|RuntimeMax|Accuracy)Sec)=(.*)$", re.MULTILINE)


def name_is_owned(name, purpose):
    """Return whether a file's name is one of a purpose."""
    return bool(re.match(r"(?:[0-9]{2}-)?linux_memory_oom-%s(?:[-.]|$)" % re.escape(purpose), name))


def pending(purpose):
    """Return the file that is there while a run changes the files of a purpose: a run that was stopped leaves it."""
    return "%s/.linux_memory_oom-%s.pending" % (SETTINGS, purpose)


def brought(purpose):
    """Return the file that is there where a package was installed for a purpose that had not been there."""
    return "/var/lib/linux_memory_oom-%s.brought" % purpose


def drop_in_unit(path):
    """Return the unit that a drop-in is for, or None for another file."""
    match = _DROP_IN.match(os.path.dirname(path))
    return match.group(1) if match else None


def wrong_path(path, purpose):
    """Return why a file may not be owned under this path, or None."""
    if os.path.normpath(path) != path or not re.match(r"/[\x21-\x7e]+$", path):
        return "it is not a plain absolute path"
    if os.path.dirname(path) not in (UNITS, ZRAM, PROGRAMS, SETTINGS) and not drop_in_unit(path):
        return "its directory must be %s, one of its drop-in directories, %s, %s or %s" % (
            UNITS,
            ZRAM,
            PROGRAMS,
            SETTINGS,
        )
    if not name_is_owned(os.path.basename(path), purpose):
        return "its name must begin with linux_memory_oom-%s or with two digits, a hyphen and that" % purpose
    return None


def directories(names):
    """Return where owned files can be. names: those in UNITS."""
    drop_ins = [os.path.join(UNITS, name) for name in names if drop_in_unit(os.path.join(UNITS, name, "x"))]
    return [UNITS, ZRAM, PROGRAMS, SETTINGS] + drop_ins


def zram_devices(text):
    """Return the names of the devices that a file of zram-generator describes."""
    return _ZRAM.findall(text or "")


def zram_priorities(text):
    """Return {device: swap priority, None where none is given} of a file of zram-generator."""
    parts = _ZRAM.split(text or "")
    found = {}
    for number in range(1, len(parts), 2):
        match = _PRIORITY.search(parts[number + 1])
        found[parts[number]] = int(match.group(1)) if match else None
    return found


def zram_settings(exists, names):
    """Return the files that zram-generator reads. exists(path), and names(path) of a directory, ask the host."""
    files = [path for path in ("%s/zram-generator.conf" % place for place in ZRAM_PLACES) if exists(path)][:1]
    more = {}
    for folder in ("%s/zram-generator.conf.d" % place for place in ZRAM_PLACES):
        for name in names(folder) if exists(folder) else ():
            if name.endswith(".conf"):
                more.setdefault(name, "%s/%s" % (folder, name))
    return files + [more[name] for name in sorted(more)]


def zram_device(unit):
    """Return the device of a swap unit of zram, or None for another unit."""
    match = re.match(r"dev-(zram[0-9]{1,4})\.swap$", unit)
    return match.group(1) if match else None


def units_of(path, text):
    """Return the units that are to run because of a file: a timer, a companion, the swap of each zram device."""
    folder, name = os.path.split(path)
    if folder == UNITS and (name.endswith(".timer") or partner(path, text)):
        return [name]
    if folder == ZRAM:
        return ["dev-%s.swap" % device for device in zram_devices(text)]
    return []


def partner(path, text):
    """Return the unit with which a service runs, the one that it is PartOf=, or None for another file."""
    if os.path.dirname(path) != UNITS or not path.endswith(".service"):
        return None
    match = _PART_OF.search(text or "")
    return match.group(1) if match else None


def is_enabled_by_link(unit):
    """Return whether a unit is switched on for boot by systemctl enable.

    That of zram comes from its generator, and a companion with the unit that it is part of.
    """
    return unit.endswith(".timer")


def calendars(text):
    """Return the values of OnCalendar= in a unit's text."""
    return [value.strip() for value in _CALENDAR.findall(text)]


def spans(text):
    """Return [(directive, value)] of the time spans in a unit's text."""
    return [(name, value.strip()) for name, value in _SPAN.findall(text)]


def wrong_spans(text):
    """Return [(directive, value)] of the time spans in a unit's text that systemd.time(7) does not know."""
    return [(name, value) for name, value in spans(text) if not _is_span(value)]


def _is_span(value):
    try:
        timespan.microseconds(value)
    except ValueError:
        return False
    return True
