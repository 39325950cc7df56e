# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else sets vm.* and kernel.panic* on a host, besides the files of sysctl.d(5), and would undo a setting.

TuneD writes the values of its active profile when it starts and when the profile changes; a kubelet writes its own at
its start; cloud-init, boot scripts and tmpfiles.d write whatever they were told. Nothing here changes anything.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
from collections import OrderedDict

from ansible_collections.linux_memory.oom.plugins.module_utils.sysctl import PAIRS, same_value, swap_separators

# tuned/consts.py: active_profile holds the names, later directories hide earlier ones; since 2.23 profiles are one
# directory deeper.
_ACTIVE_PROFILE = "/etc/tuned/active_profile"
_TUNED_CONF = "/etc/tuned/tuned-main.conf"
_PROFILES = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")
_MAX_PROFILES = 32

# setupKernelTunables() in pkg/kubelet/cm/container_manager_linux.go and pkg/util/sysctl of Kubernetes: written where
# protectKernelDefaults is false, its default; where it is true the kubelet does not start with other values.
_KUBELET = {
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
}
_KUBELET_CONFIG = (
    "/var/lib/kubelet/config.yaml",
    "/etc/kubernetes/kubelet/config.json",
    "/etc/kubernetes/kubelet.conf",
)
_KUBELET_SIGNS = _KUBELET_CONFIG + (
    "/etc/systemd/system/kubelet.service",
    "/usr/lib/systemd/system/kubelet.service",
    "/lib/systemd/system/kubelet.service",
    "/etc/systemd/system/k3s.service",
    "/etc/systemd/system/k3s-agent.service",
    "/etc/systemd/system/snap.kubelet.daemon.service",
)
_PROTECTED = re.compile(r"^\s*[\"']?protectKernelDefaults[\"']?\s*:\s*true\b", re.MULTILINE)

# What may hold a command or a list of settings: a file, or a directory with the ending of the files that count in it.
_SCRIPTS = (
    ("cloud-init", "/etc/cloud/cloud.cfg.d", ".cfg"),
    ("cloud-init", "/etc/cloud/cloud.cfg", None),
    ("cloud-init", "/var/lib/cloud/instance/user-data.txt", None),
    ("cloud-init", "/var/lib/cloud/instance/cloud-config.txt", None),
    ("cloud-init", "/var/lib/cloud/instance/vendor-data.txt", None),
    ("tmpfiles.d", "/etc/tmpfiles.d", ".conf"),
    ("tmpfiles.d", "/run/tmpfiles.d", ".conf"),
    ("tmpfiles.d", "/usr/lib/tmpfiles.d", ".conf"),
    ("udev", "/etc/udev/rules.d", ".rules"),
    ("boot script", "/etc/rc.local", None),
    ("boot script", "/etc/rc.d/rc.local", None),
    ("boot script", "/etc/network/if-up.d", ""),
    ("boot script", "/etc/NetworkManager/dispatcher.d", ""),
    ("unit", "/etc/systemd/system", ".service"),
    ("cron", "/etc/crontab", None),
    ("cron", "/etc/cron.d", ""),
)

# "vm.swappiness=10", "vm.swappiness: 10", "/proc/sys/vm/swappiness - - - - 10", "echo 10 > /proc/sys/vm/swappiness"
_ASSIGNMENT = re.compile(r"\b((?:vm|kernel)[./][a-z_-]+)(?:\s*[=:]\s*|(?:\s+-){4}\s+)[\"']?(-?[0-9]+(?:\s+[0-9]+)*)")
_ECHO = re.compile(
    r"\becho\s+(?:-n\s+)?[\"']?(-?[0-9]+)[\"']?\s*(?:>|\|\s*(?:sudo\s+)?tee\b)[^;&|]*?/proc/sys/((?:vm|kernel)/[a-z_-]+)"
)

_SECTION = re.compile(r"^\[([^]]+)\]\s*$")
_LINE_LIMIT = 4096


def agents(tree, wanted):
    """Return who else sets the names wished, or their pairs: [{agent, name, value, file, line, wins, why}].

    wanted: {name: value}. Somebody who sets the same value is left out. wins: True where the agent's value would stay,
    False where the files of sysctl.d are applied after it, None where it depends on who comes later.
    """
    found = _tuned(tree) + _kubelet(tree) + _scripts(tree)
    result = []
    for one in found:
        key = one["name"].replace(".", "/", 1)
        other = swap_separators(PAIRS[key]) if key in PAIRS else None
        if one["name"] in wanted and same_value(wanted[one["name"]], one["value"]):
            continue
        if one["name"] in wanted or (other in wanted and one["value"] != "0"):
            result.append(one)
    return result


def _agent(agent, name, value, place, wins, why):
    return {
        "agent": agent,
        "name": name,
        "value": value,
        "file": place[0],
        "line": place[1],
        "wins": wins,
        "why": why,
    }


def parse_profile(text):
    """Return (included profiles, {name: (value, line)}) of a tuned.conf: its [main] include= and its [sysctl]."""
    section, included, values = None, [], OrderedDict()
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        heading = _SECTION.match(line)
        if heading:
            section = heading.group(1).strip().lower()
        elif line and line[0] not in "#;" and "=" in line:
            key, _equals, value = (part.strip() for part in line.partition("="))
            if section == "main" and key == "include":
                included = [name for name in re.split(r"[,;]\s*|\s+", value) if name]
            elif section == "sysctl" and key.replace("/", ".").startswith(("vm.", "kernel.panic")):
                values[key.replace("/", ".")] = (value, number)
    return included, values


def _tuned(tree):
    names = tree.text(_ACTIVE_PROFILE, "").split()
    values = OrderedDict()
    _profiles(tree, names, values, [])
    again = re.search(r"^\s*reapply_sysctl\s*=\s*(\S+)", tree.text(_TUNED_CONF, ""), re.MULTILINE)
    reapplies = not again or again.group(1).lower() in ("1", "true", "yes", "on", "y", "t")
    if reapplies:
        why = "TuneD applies the files of /etc/sysctl.d after its profile (reapply_sysctl in %s)" % _TUNED_CONF
    else:
        why = "reapply_sysctl is off in %s, so the profile's value stays" % _TUNED_CONF
    return [_agent("TuneD", name, value, place, not reapplies, why) for name, (value, place) in values.items()]


def _profiles(tree, names, values, seen):
    """Add the values of profiles, those included first: the later ones win."""
    for name in names:
        if name in seen or len(seen) >= _MAX_PROFILES or "/" in name or name.startswith("."):
            continue
        seen.append(name)
        for where in _PROFILES:
            path = "%s/%s/tuned.conf" % (where, name)
            text = _text(tree, path)
            if text is None:
                continue
            included, own = parse_profile(text)
            _profiles(tree, included, values, seen)
            # ">10" and "<10" are conditions; what counts here is which number is meant.
            values.update((key, (value.lstrip("<>=").strip(), (path, line))) for key, (value, line) in own.items())
            break


def _text(tree, path):
    """Return a file's text with every line where it is, or None."""
    try:
        return tree.read(path)
    except EnvironmentError:
        return None


def _kubelet(tree):
    sign = next((path for path in _KUBELET_SIGNS if tree.exists(path)), None)
    if sign is None:
        return []
    protected = any(_PROTECTED.search(tree.text(path, "")) for path in _KUBELET_CONFIG)
    why = "a kubelet writes it at its start"
    if protected:
        why = "with protectKernelDefaults the kubelet does not start while the kernel has another value"
    return [_agent("kubelet", name, value, (sign, None), not protected, why) for name, value in _KUBELET.items()]


def _scripts(tree):
    found = []
    for agent, where, ending in _SCRIPTS:
        paths = (
            [where]
            if ending is None
            else ["%s/%s" % (where, name) for name in tree.names(where) if name.endswith(ending)]
        )
        for path in paths:
            if ending is None or not tree.is_dir(path):
                found += _mentions(tree, agent, path)
    return found


def _mentions(tree, agent, path):
    found = []
    text = _text(tree, path) or ""
    if "vm" not in text and "kernel" not in text:
        return []
    for number, line in enumerate(text.split("\n"), 1):
        line = line[:_LINE_LIMIT]
        if line.lstrip().startswith(("#", ";")):
            continue
        pairs = [match.groups() for match in _ASSIGNMENT.finditer(line)]
        pairs += [match.groups()[::-1] for match in _ECHO.finditer(line)]
        for key, value in pairs:
            name = key.replace("/", ".")
            if name.startswith(("vm.", "kernel.panic")):
                found.append(_agent(agent, name, value, (path, number), None, "it sets it when it runs"))
    return found


def sentence(one):
    """Return what one agent does, as a sentence for a warning."""
    place = one["file"] if one["line"] is None else "%s line %d" % (one["file"], one["line"])
    return "%s sets %s to %s (%s): %s." % (one["agent"], one["name"], one["value"], place, one["why"])
