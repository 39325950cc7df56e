# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/proc/pressure, pressure stall information (Documentation/accounting/psi.rst)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno

RESOURCES = ("memory", "io", "cpu")
AVERAGES = ("avg10", "avg60", "avg300")


def parse_pressure(text):
    """Return {"some": {avg10, avg60, avg300 (percent), total (seconds)}, "full": {...}} of what can be understood."""
    result = {}
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] not in ("some", "full"):
            continue
        fields = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        try:
            values = {name: float(fields[name]) for name in AVERAGES}
            values["total"] = int(fields["total"]) / 1000000.0
        except (KeyError, ValueError):
            continue
        # "nan" and "inf" are numbers to float() and nonsense here.
        if all(0 <= values[name] <= 100 for name in AVERAGES) and values["total"] >= 0:
            result[words[0]] = values
    return result


def read(tree, path):
    """Return the parsed pressure file, or None and the reason in words."""
    try:
        parsed = parse_pressure(tree.read(path))
    except EnvironmentError as error:
        if error.errno == errno.EOPNOTSUPP:
            return None, "%s: switched off in this kernel (boot with psi=1)" % path
        if error.errno == errno.ENOENT:
            return None, "%s: does not exist (the kernel was built without CONFIG_PSI, or runs with psi=0)" % path
        return None, error
    return (parsed, None) if parsed else (None, "%s: no line could be understood" % path)


def sample(tree):
    """Return the stall totals at the start of the window: {resource: {some|full: seconds}}."""
    result = {}
    for resource in RESOURCES:
        parsed, _why = read(tree, "/proc/pressure/" + resource)
        if parsed:
            result[resource] = {kind: values["total"] for kind, values in parsed.items()}
    return result


def collect(tree, options, earlier=None):
    """Return the pressure of memory, io and cpu; share is the part of the window that was stalled, 0 to 1."""
    result = {}
    reasons = {}
    for resource in RESOURCES:
        parsed, why = read(tree, "/proc/pressure/" + resource)
        if parsed is None:
            reasons[resource] = why
            continue
        for kind, values in parsed.items():
            before = earlier[0].get(resource, {}).get(kind) if earlier else None
            values["share"] = None
            if before is not None and earlier[1] > 0:
                values["share"] = min(1.0, max(0.0, (values["total"] - before) / earlier[1]))
        result[resource] = parsed
    if not result:
        tree.missing("pressure", reasons["memory"])
        return None
    for resource, why in reasons.items():
        tree.missing("pressure." + resource, why)
    return result
