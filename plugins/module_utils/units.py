# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files of a host say of a systemd unit, without asking systemd: present, enabled, active.

systemd.unit(5) has the directories and the links; units/invocation:NAME in /run/systemd exists from the first command
that a unit starts until it is inactive (unit_export_state_files and unit_notify in systemd's src/core/unit.c, since
235), so that a unit without commands to start, which is none that is asked for here, never has it.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
import string

# Earlier ones win. /lib is /usr/lib on merged systems, and the only one on Debian before 12 unmerged.
DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
# What stands for itself in the name of a unit.
_PLAIN = string.ascii_letters + string.digits + ":_."
_INVOCATIONS = "/run/systemd/units"
_LISTED = re.compile(r"^[ *●○×]*([A-Za-z0-9:_.\\@-]+\.[a-z]+) +\S+ +([a-z-]+) ", re.MULTILINE)
_LISTED_FILE = re.compile(r"^([A-Za-z0-9:_.\\@-]+\.[a-z]+) +([a-z-]+)", re.MULTILINE)
_LIMIT = re.compile(r"^[ \t]*Memory(?:Max|Limit)[ \t]*=[ \t]*(\S*)", re.MULTILINE)
_LIMITABLE = (".service", ".slice", ".scope", ".socket", ".mount", ".swap")
_ENABLED = ("enabled", "enabled-runtime", "alias", "linked", "linked-runtime")
_ACTIVE = ("active", "activating", "deactivating", "reloading", "refreshing")


def mount_unit(point):
    """Return the name of the unit of a mount point (systemd.unit(5), "String Escaping for Inclusion in Names")."""
    words = [word for word in point.split("/") if word]
    name = "".join(map(_escaped, bytearray("/".join(words).encode("utf-8", "surrogateescape")))) or "-"
    return (_escaped_byte(ord(".")) + name[1:] if name.startswith(".") else name) + ".mount"


def _escaped(byte):
    if byte == ord("/"):
        return "-"
    return chr(byte) if chr(byte) in _PLAIN else _escaped_byte(byte)


def _escaped_byte(byte):
    return "\\x%02x" % byte


def parse_list_units(text):
    """Return {unit: active state} of the output of systemctl list-units."""
    return {match.group(1): match.group(2) for match in _LISTED.finditer(text)}


def parse_list_unit_files(text):
    """Return {unit: enablement} of the output of systemctl list-unit-files."""
    return {match.group(1): match.group(2) for match in _LISTED_FILE.finditer(text)}


def _listed(tree, command, parse):
    """Return what systemctl printed into a sosreport, parsed; {} elsewhere."""
    if not tree.sosreport:
        return {}
    return tree.once(command, lambda: parse(tree.text("/sos_commands/systemd/" + command, "")))


def file_of(tree, unit):
    """Return the path of the unit's file, or None."""
    for directory in DIRECTORIES:
        path = directory + "/" + unit
        # A mask is a link to /dev/null, which a copied tree does not hold.
        if tree.link(path) is not None or tree.exists(path):
            return path
    return None


def masked(tree, unit):
    """Return whether the unit was made unable to start."""
    path = file_of(tree, unit)
    return path is not None and tree.link(path) == "/dev/null"


def present(tree, unit):
    """Return whether the unit is installed."""
    return file_of(tree, unit) is not None or unit in _listed(tree, "systemctl_list-unit-files", parse_list_unit_files)


def enabled(tree, unit):
    """Return whether a boot starts the unit because a target wants or requires it.

    systemctl is-enabled says enabled for links that an administrator made, static for those that came with a package.
    """
    if masked(tree, unit):
        return False
    for directory in DIRECTORIES:
        for name in tree.once("names of " + directory, lambda path=directory: tree.names(path)):
            if name.endswith((".wants", ".requires")) and tree.link("%s/%s/%s" % (directory, name, unit)) is not None:
                return True
    return _listed(tree, "systemctl_list-unit-files", parse_list_unit_files).get(unit) in _ENABLED


def active(tree, unit):
    """Return whether systemd has the unit started or is about to; None where no file says so."""
    if tree.is_dir(_INVOCATIONS):
        return tree.link("%s/invocation:%s" % (_INVOCATIONS, unit)) is not None
    for command in ("systemctl_list-units_--all", "systemctl_list-units"):
        states = _listed(tree, command, parse_list_units)
        if states:
            return states.get(unit) in _ACTIVE
    return None


def _files(tree):
    """Return {name of a unit, or of what its drop-ins are for: its texts in the order in which systemd takes them}."""
    fragments, drop_ins = {}, {}
    for directory in DIRECTORIES:
        for name in tree.names(directory):
            path = directory + "/" + name
            if name.endswith(".d"):
                for conf in tree.names(path):
                    if conf.endswith(".conf"):
                        drop_ins.setdefault(name[:-2], {}).setdefault(conf, path + "/" + conf)
            elif name.endswith(_LIMITABLE):
                fragments.setdefault(name, path)
    found = {name: [tree.text(path, "")] for name, path in fragments.items()}
    for name, confs in drop_ins.items():
        found.setdefault(name, []).extend(tree.text(confs[conf], "") for conf in sorted(confs))
    return found


def limited(tree):
    """Return the sorted names of units whose files limit their memory, whether they run or not.

    A drop-in for many units is told by the name of its directory, such as user-.slice.
    """
    found = []
    for name, texts in _files(tree).items():
        values = _LIMIT.findall("\n".join(texts))
        if values and values[-1] not in ("", "infinity"):
            found.append(name)
    return sorted(found)
