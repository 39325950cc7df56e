# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration files of kdump: our settings in a block of their own, everything else as it was, byte for byte.

/etc/default/kdump-tools (Debian, Ubuntu) is a shell file: of several assignments the last counts, so that the block at
the end is all that is needed. /etc/kdump.conf (RHEL family) may hold an option once (kdumpctl: _set_config, "Duplicated
kdump config value"): other lines with the same option are put behind a marker and come back when the block goes.
What was there before the first change stands in the block, as owned_file has it.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import re

from ansible_collections.linux_memory.oom.plugins.module_utils import kdump, owned_file

BEGIN = "# BEGIN linux_memory.oom: managed by the Ansible collection; changes made in this block are lost."
END = "# END linux_memory.oom"
ASIDE = "#linux_memory.oom# "

DEBIAN = "debian"
RHEL = "rhel"

# makedumpfile(8): how a page is compressed. "none" leaves pages as they are.
COMPRESSIONS = {"zlib": "-c", "lzo": "-l", "snappy": "-p", "zstd": "-z", "none": ""}
_FLAGS = {flag: name for name, flag in COMPRESSIONS.items() if flag}
# What makedumpfile can be built without.
OPTIONAL = ("lzo", "snappy", "zstd")

# What decides where a dump goes: one of these at most.
_RHEL_TARGETS = kdump.TARGETS
# Kept from one run to the next and shown value by value; the rest of a file is not ours.
SHELL_KEYS = (
    "USE_KDUMP",
    "KDUMP_COREDIR",
    "MAKEDUMP_ARGS",
    "KDUMP_NUM_DUMPS",
    "NFS",
    "SSH",
    "SSH_KEY",
    "FTP",
)
RHEL_KEYS = ("target", "path", "core_collector", "sshkey", "auto_reset_crashkernel")


class BadInput(ValueError):
    """What was asked for cannot be written; the text is one sentence."""


def split(text):
    """Return (text without our block and with what it had put aside, lines of our block or None)."""
    lines = text.splitlines(True)
    starts = [number for number, line in enumerate(lines) if line.startswith(BEGIN)]
    block = None
    if starts:
        start = starts[0]
        ends = [number for number in range(start, len(lines)) if lines[number].startswith(END)]
        # A block without an end is one that somebody damaged: what follows it is not taken for ours.
        end = ends[0] if ends else start
        block = [line.rstrip("\n") for line in lines[start + 1 : end]]
        lines = lines[:start] + lines[end + 1 :]
    restored = [line[len(ASIDE) :] if line.startswith(ASIDE) else line for line in lines]
    return "".join(restored), block


def before(text):
    """Return what the block of a file remembers, name to value; {} where there is no block."""
    _rest, block = split(text)
    return owned_file.remembered("\n".join(block or []))


def with_block(text, family, settings, remembered=()):
    """Return the text with our block of settings at its end, instead of the one that it has.

    settings: {name: value or None}, in order; a value None leaves the option to its default, and of kdump.conf puts
    other lines of it aside. remembered: pairs for the block's first lines.
    """
    rest, _block = split(text)
    if family == RHEL:
        rest = "".join(_aside(line, settings) for line in rest.splitlines(True))
    lines = [BEGIN]
    lines += [owned_file.BEFORE + json.dumps([name, value], sort_keys=True) for name, value in remembered]
    lines += _debian_lines(settings) if family == DEBIAN else _rhel_lines(settings)
    lines.append(END)
    missing = "\n" if rest and not rest.endswith("\n") else ""
    return rest + missing + "\n".join(lines) + "\n"


def _aside(line, settings):
    words = line.split("#", 1)[0].split(None, 1)
    if not words:
        return line
    name = "target" if words[0] in _RHEL_TARGETS or (words[0] == "dracut_args" and "--mount" in line) else words[0]
    return ASIDE + line if name in settings else line


def _debian_lines(settings):
    # kdump-config reads the file as shell: what it saves then is for root alone.
    lines = ["umask 077"]
    for name, value in settings.items():
        text = "" if value is None else str(value)
        if re.search(r"[\"'`$\\\x00-\x1f]", text):
            raise BadInput("%s: %r holds a character that cannot stand in a quoted word of shell" % (name, text))
        # Numbers without quotes, as the package has them.
        lines.append("%s=%s" % (name, text if text.isdigit() else '"%s"' % text))
    return lines


def _rhel_lines(settings):
    lines = []
    for name, value in settings.items():
        if value is None:
            continue
        if re.search(r"[#\x00-\x1f]", str(value)):
            raise BadInput("%s: %r holds a character that kdump.conf takes for a comment or an end" % (name, value))
        lines.append(str(value) if name == "target" else "%s %s" % (name, value))
    return lines


def values(text, family, names):
    """Return {name: value or None} of what the file says now, as the tools read it: the last one in shell."""
    found = {}
    if family == DEBIAN:
        for match in re.finditer(r"^[ \t]*([A-Z_]+)=(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\s#;]*))", text, re.MULTILINE):
            found[match.group(1)] = next(part for part in match.groups()[1:] if part is not None)
    else:
        for line in text.splitlines():
            words = line.split("#", 1)[0].split(None, 1)
            if len(words) < 2:
                continue
            if words[0] in _RHEL_TARGETS or (words[0] == "dracut_args" and "--mount" in line):
                found["target"] = "%s %s" % (words[0], words[1].strip())
            else:
                found[words[0]] = words[1].strip()
    return {name: found.get(name) or None for name in names}


def collector(level, compression, flattened):
    """Return makedumpfile's arguments for a level and a compression; flattened: for a pipe or a server."""
    return " ".join(part for part in ("-F" if flattened else "", COMPRESSIONS[compression], "-d", str(level)) if part)


def compressions(text):
    """Return the compressions of the makedumpfile that printed this with -v, or None where it says nothing of them.

    It has a line for each that it could have been built with, "lzo", a tab and "enabled" or "disabled" (print_info.c:
    show_version, since 1.5.6). One that it does not name is younger than it is.
    """
    said = dict(re.findall(r"^(%s)[ \t]+(enabled|disabled)[ \t]*$" % "|".join(OPTIONAL), text, re.MULTILINE))
    return ["zlib"] + [name for name in OPTIONAL if said.get(name) == "enabled"] + ["none"] if said else None


def debian_settings(wish, directory):
    """Return the settings of /etc/default/kdump-tools. wish: the module's options; directory: where dumps go here."""
    target = wish["target"]
    found = {"USE_KDUMP": "1", "KDUMP_COREDIR": directory}
    found["MAKEDUMP_ARGS"] = collector(wish["dump_level"], wish["compression"], False)
    # The script counts directories after it has saved one; 0 keeps all.
    found["KDUMP_NUM_DUMPS"] = str(wish["keep_dumps"])
    # kdump-config saves to every target that is set: what is not wanted is emptied.
    found["NFS"] = wish["target_location"] if target == "nfs" else None
    found["SSH"] = wish["target_location"] if target == "ssh" else None
    if target == "ssh" and wish["ssh_key"]:
        found["SSH_KEY"] = wish["ssh_key"]
    found["FTP"] = None
    return found


def rhel_settings(wish, path, file_system, explicit):
    """Return the settings of /etc/kdump.conf. path is relative to the target; file_system: of a device.

    explicit: whether the reservation is a value of our own, which kdump-utils would overwrite with its default when its
    package is updated (kdump.conf(5), auto_reset_crashkernel).
    """
    target = wish["target"]
    found = {"target": None, "path": path}
    if target == "device":
        found["target"] = "%s %s" % (file_system, wish["target_location"])
    elif target in ("nfs", "ssh"):
        found["target"] = "%s %s" % (target, wish["target_location"])
    # kdump.conf(5), "core_collector", note 1: ssh needs the flattened form.
    options = collector(wish["dump_level"], wish["compression"], target == "ssh")
    found["core_collector"] = "makedumpfile %s --message-level 7" % options
    if target == "ssh" and wish["ssh_key"]:
        found["sshkey"] = wish["ssh_key"]
    if explicit is not None:
        found["auto_reset_crashkernel"] = "no" if explicit else "yes"
    return found
