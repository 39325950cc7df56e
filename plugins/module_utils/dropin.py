# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drop-ins of systemd units: names of units, text, directives by systemd's version, values as systemd has them.

Sources: systemd.unit(5), systemd.syntax(7), systemd.resource-control(5), systemd.time(7); the parsers of systemd 239 to
257 in src/basic/parse-util.c, src/basic/time-util.c and src/core/load-fragment.c. Nothing here touches a host.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils import timespan

DIRECTORY = "/etc/systemd/system"

# systemd.unit(5): the kinds of units that can have drop-ins, and the section that is named after each.
SECTIONS = {
    "service": "Service",
    "slice": "Slice",
    "scope": "Scope",
    "socket": "Socket",
    "mount": "Mount",
    "swap": "Swap",
    "automount": "Automount",
    "timer": "Timer",
    "path": "Path",
    "target": "Unit",
    "device": "Unit",
}
# Restarting one of these stops what runs in it, or cannot be done at all.
NEVER_RESTARTED = ("slice", "scope", "target", "device", "mount", "swap")

_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]+\.([a-z]+)$")
_PURPOSE = re.compile(r"[a-z][a-z0-9_]{0,39}$")
_SECTION = re.compile(r"[A-Z][A-Za-z0-9]*$")
_DIRECTIVE = re.compile(r"[A-Z][A-Za-z0-9]*$")
_ITEM = re.compile(r"([A-Za-z0-9]+)=[A-Z]")


class BadInput(Exception):
    """What was asked for cannot be done; the text is one sentence for the user."""


# Names


def check_purpose(purpose):
    """Raise BadInput unless a purpose can be part of a file's name."""
    if not _PURPOSE.match(purpose):
        raise BadInput(
            "purpose: %r is not made of up to 40 lower-case letters, digits and '_', beginning with a letter" % purpose
        )


def kind(unit):
    """Return the kind of a unit by its name, such as "service". Raises BadInput for what is no name of a unit."""
    match = _NAME.match(unit) if len(unit) <= 255 else None
    if not match or match.group(1) not in SECTIONS or unit.startswith("."):
        raise BadInput("units: %r is not the full name of a unit such as nginx.service or user-.slice" % unit)
    return match.group(1)


def pattern(unit):
    """Return the pattern of the units that a name stands for, or None for the name of one unit.

    foo@.service stands for its instances; foo-.slice, whose name ends with a hyphen, for all that begin so
    (systemd.unit(5): since 239).
    """
    stem, ending = unit.rsplit(".", 1)
    if stem.endswith("@"):
        return stem + "*." + ending
    if stem.endswith("-") and stem != "-":
        return stem + "*." + ending
    return None


def path_of(unit, purpose, directory=DIRECTORY):
    """Return the path of the drop-in of a unit."""
    return "%s/%s.d/%s" % (directory, unit, file_name(purpose))


def file_name(purpose):
    """Return the name of the drop-in for a purpose."""
    return "50-linux_memory_oom-%s.conf" % purpose


def unit_of_path(path):
    """Return the unit that a path of a drop-in belongs to."""
    return path.split("/")[-2][: -len(".d")]


# Text


def text_of(value):
    """Return a value of YAML as systemd spells it. Raises ValueError for what is no value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return "%.15g" % value if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return value
    raise ValueError("is neither text nor a number")


def _single(unit, directive, value):
    try:
        text = text_of(value)
    except ValueError as error:
        raise BadInput("units: %s of %s %s: %r" % (directive, unit, error, value))
    for character in text:
        if (ord(character) < 32 and character != "\t") or ord(character) in (0x7F, 0x85, 0x2028, 0x2029):
            raise BadInput("units: %s of %s holds a control character or an end of line: %r" % (directive, unit, value))
    if text != text.strip():
        raise BadInput("units: %s of %s begins or ends with blanks, which systemd drops: %r" % (directive, unit, value))
    if text.endswith("\\"):
        # systemd.syntax(7): the next line would become part of this one.
        raise BadInput("units: %s of %s ends with a backslash, which continues a line: %r" % (directive, unit, value))
    return text


def wishes(unit, sections):
    """Return [(section or None, directive, [texts])] of what is asked for one unit, in its order.

    A directive that stands outside a section has None: section_of() places it. Raises BadInput.
    """
    if not isinstance(sections, dict) or not sections:
        raise BadInput("units: %s needs a dictionary of sections or directives, and got %r" % (unit, sections))
    found = []
    for name, inner in sections.items():
        if isinstance(inner, dict):
            if not isinstance(name, str) or not _SECTION.match(name):
                raise BadInput("units: %r of %s is not the name of a section such as Service" % (name, unit))
            for directive, value in inner.items():
                found.append(_wish(unit, name, directive, value))
        else:
            found.append(_wish(unit, None, name, inner))
    if not found:
        raise BadInput("units: no directive is given for %s" % unit)
    return found


def _wish(unit, section, directive, value):
    if not isinstance(directive, str) or not _DIRECTIVE.match(directive):
        raise BadInput("units: %r of %s is not a directive as systemd spells it, such as MemoryMax" % (directive, unit))
    values = value if isinstance(value, list) else [value]
    if not values:
        raise BadInput("units: %s of %s is an empty list; an empty text resets a directive" % (directive, unit))
    return section, directive, [_single(unit, directive, one) for one in values]


def body(wanted):
    """Return the lines of a drop-in for [(section, directive, [texts])]; each section once."""
    order = []
    for section, _directive, _values in wanted:
        if section not in order:
            order.append(section)
    lines = []
    for section in order:
        lines.append("[%s]" % section)
        for other, directive, values in wanted:
            if other == section:
                lines.extend("%s=%s" % (directive, value) for value in values)
    return lines


def parse(text):
    """Return [(section, directive, value, line number)] of a unit file, as systemd reads it (systemd.syntax(7)).

    A backslash at the end of a line continues it with a blank; comments begin with "#" or ";" and may stand between.
    """
    found = []
    section = None
    held, first = None, 0
    for number, line in enumerate((text or "").split("\n"), 1):
        stripped = line.strip()
        # A comment between continued lines is left out, and so is an empty line that continues nothing.
        if stripped.startswith(("#", ";")) or (not stripped and held is None):
            continue
        if held is None:
            first = number
        joined = stripped if held is None else held + " " + stripped
        if joined.endswith("\\"):
            held = joined[:-1].rstrip()
            continue
        held = None
        if joined.startswith("[") and joined.endswith("]"):
            section = joined[1:-1]
        elif "=" in joined and section is not None:
            directive, _equals, value = joined.partition("=")
            found.append((section, directive.strip(), value.strip(), first))
    return found


def gathered(text):
    """Return {(section, directive): [values]} of a unit file."""
    found = {}
    for section, directive, value, _line in parse(text):
        found.setdefault((section, directive), []).append(value)
    return found


# Directives by version

# What systemd once called what it now calls otherwise. Read where a host's systemd does not know the first name; the
# other way round where it knows the first name and was asked for the second (the same value stands for both).
#   MemoryMax, IO...: NEWS of 230 and 231. Both hierarchies take the new names: cgroup_context_apply() in
#   src/core/cgroup.c writes MemoryMax to memory.limit_in_bytes and IOWriteBandwidthMax to blkio.throttle on cgroup v1
#   since these versions, and 257 is the last one that knows v1. So the version decides, not the hierarchy.
#   ManagedOOMMemoryPressureLimitPercent: 247 only, NEWS of 248.
#   StartLimitIntervalSec: NEWS of 230, before in [Service] and without "Sec".
OLD_NAMES = {
    "MemoryMax": ((None, "MemoryLimit"),),
    "IOAccounting": ((None, "BlockIOAccounting"),),
    "IOReadBandwidthMax": ((None, "BlockIOReadBandwidth"),),
    "IOWriteBandwidthMax": ((None, "BlockIOWriteBandwidth"),),
    "ManagedOOMMemoryPressureLimit": ((None, "ManagedOOMMemoryPressureLimitPercent"),),
    "StartLimitIntervalSec": (("Unit", "StartLimitInterval"), ("Service", "StartLimitInterval")),
    "StartLimitBurst": (("Service", "StartLimitBurst"),),
}
_NEW_NAMES = {old: new for new, names in OLD_NAMES.items() for _section, old in names if old != new}

# The version of systemd that brought a directive, for messages: its NEWS file.
SINCE = {
    "MemoryMax": 231,
    "MemoryHigh": 231,
    "MemoryLow": 231,
    "MemorySwapMax": 232,
    "MemoryMin": 240,
    "OOMPolicy": 243,
    "ManagedOOMSwap": 247,
    "ManagedOOMMemoryPressure": 247,
    "ManagedOOMMemoryPressureLimit": 247,
    "ManagedOOMPreference": 248,
    "MemoryZSwapMax": 253,
    "RestartSteps": 254,
    "RestartMaxDelaySec": 254,
    "MemoryZSwapWriteback": 256,
    "ManagedOOMMemoryPressureDurationSec": 257,
}


def parse_items(text):
    """Return {section: names of directives} of `systemd --dump-configuration-items`."""
    found = {}
    section = None
    for line in text.split("\n"):
        if line.startswith("[") and line.endswith("]"):
            section = found.setdefault(line[1:-1], set())
        else:
            match = _ITEM.match(line)
            if match and section is not None:
                section.add(match.group(1))
    return found


def section_of(unit, directive, known):
    """Return the section that a directive of a unit belongs to; None where systemd knows it in none.

    known: of parse_items(); {} where that could not be asked.
    """
    own = SECTIONS[kind(unit)]
    if not known:
        return "Unit" if directive.startswith(("StartLimit", "On", "Description", "Documentation")) else own
    # [Service] still takes some that have moved to [Unit] (StartLimitBurst), so [Unit] is asked first.
    for section in ("Unit", own):
        if directive in known.get(section, ()):
            return section
    return None


def translate(unit, section, directive, known):
    """Return (section, directive) as this host's systemd spells it, or None where it knows no name for it."""
    modern = _NEW_NAMES.get(directive, directive)
    names = [(section, directive)] if modern == directive else [(section, modern), (section, directive)]
    names += [(where or section, old) for where, old in OLD_NAMES.get(modern, ())]
    for where, name in names:
        if where is None:
            where = section_of(unit, name, known)
        if where is not None and (not known or name in known.get(where, ())):
            return where, name
    return None


# Values

_SIZE_PART = re.compile(r"\s*([0-9]+)(?:\.([0-9]*))?\s*([A-Z]?)")
_SIZE_UNITS = ("", "K", "M", "G", "T", "P", "E")
_PERCENT = re.compile(r"([0-9]+)(?:\.([0-9]{1,2}))?%$")
SIZES = frozenset(
    [
        "MemoryMax",
        "MemoryHigh",
        "MemoryLow",
        "MemoryMin",
        "MemorySwapMax",
        "MemoryZSwapMax",
        "MemoryLimit",
        "DefaultMemoryLow",
        "DefaultMemoryMin",
    ]
)
# "PATH VALUE": one line for each device. Bandwidths count in thousands (systemd.resource-control(5)).
DEVICES = frozenset(
    [
        "IOReadBandwidthMax",
        "IOWriteBandwidthMax",
        "IOReadIOPSMax",
        "IOWriteIOPSMax",
        "IODeviceWeight",
        "IODeviceLatencyTargetSec",
        "BlockIOReadBandwidth",
        "BlockIOWriteBandwidth",
        "BlockIODeviceWeight",
    ]
)
# What `systemctl show` prints in the words of the directive.
_PLAIN = frozenset(
    [
        "Restart",
        "OOMPolicy",
        "OOMScoreAdjust",
        "Nice",
        "StartLimitBurst",
        "StartLimitAction",
        "KillMode",
        "TasksMax",
        "CPUWeight",
        "IOWeight",
        "BlockIOWeight",
        "ManagedOOMSwap",
        "ManagedOOMMemoryPressure",
        "ManagedOOMPreference",
        "MemoryAccounting",
        "IOAccounting",
        "BlockIOAccounting",
        "CPUAccounting",
        "TasksAccounting",
        "SendSIGKILL",
        "RemainAfterExit",
        "RestartSteps",
    ]
)
_SHARES = ("ManagedOOMMemoryPressureLimit", "ManagedOOMMemoryPressureLimitPercent")
_TRUE, _FALSE = ("1", "yes", "y", "true", "t", "on"), ("0", "no", "n", "false", "f", "off")


def parse_size(text, base=1024):
    """Return the bytes of a size such as 512M, 1.5G or 1G 512M (parse_size() in parse-util.c). Raises ValueError.

    Units are decreasing, fractions are cut to whole bytes.
    """
    position, total, last = 0, 0, len(_SIZE_UNITS)
    text = text.strip()
    if not text:
        raise ValueError("is empty")
    while position < len(text):
        match = _SIZE_PART.match(text, position)
        if not match or match.end() == position:
            raise ValueError("is no size")
        unit = "" if match.group(3) == "B" else match.group(3)
        if unit not in _SIZE_UNITS or _SIZE_UNITS.index(unit) >= last:
            raise ValueError("has a unit that systemd does not know or that is not smaller than the one before")
        last = _SIZE_UNITS.index(unit)
        factor = base**last
        fraction = match.group(2) or ""
        total += int(match.group(1)) * factor
        total += int(fraction) * factor // 10 ** len(fraction) if fraction else 0
        position = match.end()
    if total > 2**64 - 1:
        raise ValueError("is more than 64 bits hold")
    return total


def parse_percent(text):
    """Return the hundredths of a percent of a text such as 40% or 12.5%, or None for what is no percentage."""
    match = _PERCENT.match(text.strip())
    if not match:
        return None
    return int(match.group(1)) * 100 + int((match.group(2) or "").ljust(2, "0"))


def property_of(directive):
    """Return the property that `systemctl show` has for a directive."""
    if directive == "StartLimitInterval":
        return "StartLimitIntervalUSec"
    if directive in DEVICES:
        return directive
    return directive[:-3] + "USec" if directive.endswith("Sec") else directive


def size_of(text, total):
    """Return the bytes of the value of a size directive, None for infinity. Raises ValueError.

    total: the bytes that a percentage is of. systemd cuts to whole pages (physical_memory_scale()); the difference
    is not counted here.
    """
    text = text.strip()
    if text == "infinity":
        return None
    share = parse_percent(text)
    if share is not None:
        return total * share // 10000 // 4096 * 4096
    size = parse_size(text)
    return None if size == 2**64 - 1 else size


def split_device(text):
    """Return (path, value) of a line such as "/var/lib/db 10M". Raises ValueError."""
    text = text.strip()
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        path, rest = (text[1:end], text[end + 1 :]) if end > 0 else ("", "")
    else:
        path, _blank, rest = text.partition(" ")
    if not path.startswith("/") or not rest.strip() or len(rest.split()) != 1:
        raise ValueError("is not an absolute path and a value")
    return path, rest.strip()


def _device_value(directive, text):
    """Return the value of a device's line in the kernel's unit."""
    if text == "infinity":
        return "infinity"
    if directive.endswith("Sec"):
        return timespan.microseconds(text)
    return parse_size(text, 1000)


def _devices(directive, lines):
    """Return {path: value} of the lines of a device directive."""
    found = {}
    for line in lines:
        if not line:
            found = {}
            continue
        path, value = split_device(line)
        found[path] = _device_value(directive, value)
    return found


class Host:
    """What values are relative to, in bytes.

    memory: what can be used: of the container where it has less than the host. installed: of the host. swap: all of it.
    """

    def __init__(self, installed, swap, contained=None):
        self.installed = installed
        self.swap = swap
        self.memory = min(installed, contained) if contained else installed

    def totals(self, directive):
        """Return what a percentage may be of: versions differ in whether limits of swap are of memory or of swap."""
        totals = [self.memory, self.installed]
        return totals + [self.swap] if "Swap" in directive else totals


def agrees(directive, values, shown, host):
    """Return whether what systemd shows is what was asked for; None where the two cannot be compared.

    values: the texts of the directive. shown: the property's values, a list, or None where systemd shows none.
    """
    if shown is None:
        return None
    try:
        return _agrees(directive, values, shown, host)
    except ValueError:
        # A value that only systemd understands, or a property in another form than the directive.
        return None


def _agrees(directive, values, shown, host):
    if directive in DEVICES:
        wanted, there = _devices(directive, values), _devices(directive, shown)
        if directive.endswith("Sec") or not wanted:
            return None
        return all(there.get(path) == value for path, value in wanted.items() if value != "infinity")
    if len(shown) != 1 or values == [""]:
        return None
    wanted, there = values[-1], shown[0]
    if directive in SIZES:
        have = None if there == "infinity" else parse_size(there)
        share = parse_percent(wanted)
        if share is None:
            return size_of(wanted, 0) == have
        # Rounding to pages, and a total that is not exactly the one systemd read.
        return have is not None and any(
            abs(have - total * share // 10000) <= max(65536, total // 1000) for total in host.totals(directive)
        )
    if directive.endswith("Sec") or directive == "StartLimitInterval":
        return timespan.microseconds(wanted) == timespan.microseconds(there)
    if directive in _SHARES:
        return _share(wanted, there)
    if directive in _PLAIN:
        return _plain(wanted, there)
    return True if wanted == there else None


def _share(wanted, there):
    """Compare percentages: systemd shows them as text (247) or scaled to 32 bits."""
    share = parse_percent(wanted)
    if share is None:
        raise ValueError("is no percentage")
    have = parse_percent(there)
    if have is None:
        have = int(there) * 10000 / (2**32 - 1)
    return abs(have - share) < 1


def _plain(wanted, there):
    if there in ("yes", "no") and wanted.lower() in _TRUE + _FALSE:
        return (wanted.lower() in _TRUE) == (there == "yes")
    if re.match(r"[+-]?[0-9]+$", wanted) and re.match(r"[+-]?[0-9]+$", there):
        return int(wanted) == int(there)
    if "%" in wanted:
        return None
    return wanted == there


def canonical(directive, values, host):
    """Return one text for values of a directive: bytes and seconds where it is a size or a time, else as they are.

    Both what is asked for and what systemd shows become comparable for a reader; agrees() is what decides.
    """
    try:
        if directive in SIZES and len(values) == 1:
            size = size_of(values[0], host.totals(directive)[0])
            return "infinity" if size is None else str(size)
        if property_of(directive).endswith("USec") and len(values) == 1:
            time = timespan.microseconds(values[0])
            return "infinity" if time is None else "%.15gs" % (time / 10**6)
        if directive in DEVICES and not directive.endswith("Sec"):
            found = _devices(directive, values)
            return ", ".join("%s %s" % (path, found[path]) for path in sorted(found))
        if directive in _SHARES and len(values) == 1:
            share = parse_percent(values[0])
            share = share if share is not None else int(round(int(values[0]) * 10000 / (2**32 - 1)))
            return "%.15g%%" % (share / 100)
    except ValueError:
        pass
    return ", ".join(values)


# What a daemon-reload brings to a running unit

# Directives of processes whose names begin like those of the unit's group.
_OF_PROCESSES = frozenset(
    [
        "CPUAffinity",
        "CPUSchedulingPolicy",
        "CPUSchedulingPriority",
        "CPUSchedulingResetOnFork",
        "IOSchedulingClass",
        "IOSchedulingPriority",
        "MemoryDenyWriteExecute",
        "MemoryKSM",
    ]
)
_LIVE = re.compile(
    r"(?:Startup)?(?:Memory|DefaultMemory|IO|BlockIO|CPU|Tasks|ManagedOOM|AllowedCPUs|AllowedMemoryNodes|IPAccounting|IPAddress"
    r"|Restart|StartLimit|OOMPolicy$|Timeout|RuntimeMax|RuntimeRandomized|Kill|FinalKill|SendSIG|WatchdogSec|SuccessExit"
    r"|FailureAction|SuccessAction)"
)


def live(section, directive):
    """Return whether a directive counts for a unit that runs as soon as systemd has read it."""
    if section == "Unit":
        return True
    return directive not in _OF_PROCESSES and _LIVE.match(directive) is not None
