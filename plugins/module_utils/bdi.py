# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of the dirty memory one device may have: now in /sys/class/bdi, at each boot by a rule of udev.

Documentation/ABI/testing/sysfs-class-bdi of the kernel. A rule finds its device by what lasts over a reboot, such as
its serial number, as udev(7) knows it; the rule's owned file remembers what was there before.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import re
from collections import OrderedDict

from ansible_collections.linux_memory.oom.plugins.module_utils import owned_file
from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import Refused, carry_out
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree, reason
from ansible_collections.linux_memory.oom.plugins.module_utils.writeback import backing_of

FOLDER = "/etc/udev/rules.d"
_PATH = re.compile(r"/etc/udev/rules\.d/[A-Za-z0-9][A-Za-z0-9_.-]*\.rules$")
_RULES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d")

# strict_limit came with 6.2 (8e9d5ead865d).
ATTRIBUTES = ("max_ratio", "strict_limit")

# What names a device for good, the best first; the name that the kernel gave it has to do where udev knows no more.
_NAMES = ("DM_UUID", "MD_UUID", "ID_SERIAL", "ID_WWN", "DM_NAME", "ID_PATH")
_PROPERTY = re.compile(r"^E:([A-Z_]+)=(.+)$", re.MULTILINE)
_RULE = re.compile(r'(?:ENV\{([A-Z_]+)\}|KERNEL)=="([^"]*)"')
_ASSIGNED = re.compile(r'ATTR\{bdi/([a-z_]+)\}="([^"]*)"')
_OTHERS = re.compile(r"\bATTR\{(?:bdi/)?(?:max_ratio|strict_limit)\}\s*=[^=]")
# udev compares with patterns; what means something in one, or ends the text, is any character.
_SPECIAL = re.compile(r'["\\*?\[\]|]')


# What the module takes, for AnsibleModule and for linux_memory.oom.together.
SPEC = {
    "argument_spec": {
        "devices": {"type": "dict"},
        "path": {"type": "path", "default": "/etc/udev/rules.d/99-linux_memory_oom-bdi.rules"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    },
    "required_if": [("state", "present", ["devices"])],
}


def properties(text):
    """Return the properties in a file of udev's database."""
    return dict(_PROPERTY.findall(text))


def identity(known, name):
    """Return what finds the device again: (property, value), ("KERNEL", name) where udev knows nothing that lasts."""
    found = next(((key, known[key]) for key in _NAMES if known.get(key)), ("KERNEL", name))
    return found[0], _SPECIAL.sub("?", found[1])


def rule(who, values):
    """Return the rule that sets a device's values whenever it appears."""
    match = 'KERNEL=="%s"' % who[1] if who[0] == "KERNEL" else 'ENV{%s}=="%s"' % who
    sets = ", ".join('ATTR{bdi/%s}="%s"' % pair for pair in sorted(values.items()))
    return 'ACTION!="remove", SUBSYSTEM=="block", ENV{DEVTYPE}=="disk", %s, %s' % (match, sets)


def parse_rules(text):
    """Return what rules of ours set: {(property, value): {attribute: value}}; of several rules the last counts."""
    found = OrderedDict()
    for who, attribute, value in _assignments(text):
        found.setdefault(who, {})[attribute] = value
    return found


def _assignments(text):
    """Return [((property, value), attribute, value)] of rules of ours, in their order."""
    found = []
    for line in _rule_lines(text):
        who = [match for match in _RULE.finditer(line) if match.group(1) != "DEVTYPE"]
        if who:
            name = (who[-1].group(1) or "KERNEL", who[-1].group(2))
            found.extend((name, attribute, value) for attribute, value in _ASSIGNED.findall(line))
    return found


def _rule_lines(text):
    return [line for line in (text or "").split("\n") if line.startswith("ACTION")]


def check(devices):
    """Return {path: {attribute: text}} of what the user gave. Raises ValueError with one sentence."""
    found = OrderedDict()
    for path in sorted(devices):
        wish = devices[path]
        if not path.startswith("/"):
            raise ValueError("devices: %s is not an absolute path." % path)
        if not isinstance(wish, dict) or not wish:
            raise ValueError("devices: %s has none of %s." % (path, " and ".join(ATTRIBUTES)))
        found[path] = {}
        for name, value in wish.items():
            if name not in ATTRIBUTES:
                raise ValueError("devices: %s of %s is none of %s." % (name, path, " and ".join(ATTRIBUTES)))
            found[path][name] = _value(path, name, value)
    return found


def _value(path, name, value):
    if name == "strict_limit":
        words = {"true": "1", "yes": "1", "on": "1", "1": "1", "false": "0", "no": "0", "off": "0", "0": "0"}
        if str(value).lower() not in words:
            raise ValueError("devices: strict_limit of %s is %r, which is neither true nor false." % (path, value))
        return words[str(value).lower()]
    if isinstance(value, bool) or not re.match(r"[0-9]{1,3}$", str(value)) or not 1 <= int(value) <= 100:
        raise ValueError("devices: max_ratio of %s is %r, which is not a percentage from 1 to 100." % (path, value))
    return str(int(value))


class Change:
    """One run: look() plans and predicts, apply() does it."""

    def __init__(self, options, root="/", move=os.rename):
        self.options, self.root, self.move = options, root, move
        self.path = options["path"]
        self.warnings = []

    def look(self):
        """Read the host and decide; nothing is changed. Raises Refused."""
        self.tree = Tree(self.root)
        if not _PATH.match(self.path):
            raise Refused("path: %s is not a file in %s whose name ends with .rules." % (self.path, FOLDER))
        self.old_text = self._read()
        self.old = parse_rules(self.old_text)
        self.remembered = {
            tuple(name.split("=", 1)): value
            for name, value in owned_file.remembered(self.old_text).items()
            if "=" in name
        }
        self.wanted = self._wanted()
        self.here = self._all_here()
        self.items = OrderedDict()
        self.writes = []
        before = OrderedDict()
        for who, (name, paths, wish) in self.wanted.items():
            before[who] = dict(self.remembered.get(who) or {})
            for attribute in ATTRIBUTES:
                if attribute in wish:
                    now = self._now(name, attribute)
                    before[who].setdefault(attribute, now)
                    self._aim(name, paths, attribute, (now, wish[attribute], wish[attribute]), "applied")
                elif attribute in before[who]:
                    self._give_up(who, name, paths, attribute)
                    del before[who][attribute]
        for who in sorted(set(self.old) | set(self.remembered)):
            if who not in self.wanted and who in self.here:
                for attribute in ATTRIBUTES:
                    if attribute in self.old.get(who, ()) or attribute in (self.remembered.get(who) or ()):
                        self._give_up(who, self.here[who], [], attribute)
        self.before = before
        self.text = self._render(self._rules(), before) if self.wanted else None
        if self.text != self.old_text:
            self._refuse_unwritable()
        self._name_other_rules()

    def _read(self):
        try:
            text = owned_file.read(self.tree.real(self.path))
        except EnvironmentError as error:
            raise Refused("path: %s." % reason(error, self.path))
        if text is not None and not owned_file.is_owned(text):
            raise Refused("path: %s is not a file of this collection; it is left as it is." % self.path)
        return text

    def _wanted(self):
        """Return {identity: (name of the device, paths, {attribute: value})}."""
        if self.options["state"] == "absent":
            return OrderedDict()
        try:
            devices = check(self.options["devices"])
        except ValueError as error:
            raise Refused(str(error))
        found = OrderedDict()
        for path, wish in devices.items():
            number = backing_of(self.tree, path)
            name = blocks(self.tree).name(number) if number and not number.startswith("0:") else None
            if name is None:
                raise Refused(
                    "devices: %s does not exist or lies on no device with a name that lasts over a boot (a file system "
                    "in memory, on the network, btrfs, or a container's), so it has no limit that could be set." % path
                )
            who = self._identity(name)
            known = found.setdefault(who, (name, [], {}))
            for attribute, value in wish.items():
                if known[2].setdefault(attribute, value) != value:
                    raise Refused(
                        "devices: %s and %s lie on one device, %s, which can have only one %s."
                        % (known[1][0], path, name, attribute)
                    )
                self._refuse_what_the_kernel_would(path, name, attribute, value)
            known[1].append(path)
        return found

    def _refuse_what_the_kernel_would(self, path, name, attribute, value):
        if self._now(name, attribute) is None:
            raise Refused("devices: this kernel has no %s for %s (%s)." % (attribute, path, name))
        least = self._now(name, "min_ratio")
        if attribute == "max_ratio" and least is not None and int(value) < int(least):
            raise Refused(
                "devices: max_ratio of %s is %s, which is below the device's min_ratio, %s." % (path, value, least)
            )

    def _identity(self, name):
        """Return what finds the device: as the rule of an earlier run has it, while that still fits, else the best."""
        known = properties(self.tree.text("/run/udev/data/b%s" % blocks(self.tree).number(name), ""))
        fitting = [(key, _SPECIAL.sub("?", known[key])) for key in _NAMES if known.get(key)] + [("KERNEL", name)]
        return next((who for who in self.old if who in fitting), identity(known, name))

    def _all_here(self):
        names = self.tree.names("/sys/block") if self.old or self.remembered else []
        return {self._identity(name): name for name in names}

    def _file(self, name, attribute):
        return "/sys/class/bdi/%s/%s" % (blocks(self.tree).number(name), attribute)

    def _now(self, name, attribute):
        return self.tree.text(self._file(name, attribute))

    def _aim(self, name, paths, attribute, values, status):
        """Note one item: (now, then, what the file says or None)."""
        now, then, boot = values
        if now != then:
            try:
                # Opening for writing changes nothing, and is refused as the write would be.
                os.close(os.open(self.tree.real(self._file(name, attribute)), os.O_WRONLY))
                self.writes.append((name, attribute, then))
            except EnvironmentError as error:
                then, status = now, "read_only" if error.errno == errno.EROFS else "persisted_only"
        item = self.items.setdefault(name, {"device": blocks(self.tree).number(name), "paths": paths})
        was = next(
            (rules[attribute] for who, rules in self.old.items() if self._is(who, name) and attribute in rules), None
        )
        item[attribute] = {"before": now, "after": then, "boot_before": was, "boot": boot, "status": status}

    def _is(self, who, name):
        return self.here.get(who) == name or (who in self.wanted and self.wanted[who][0] == name)

    def _give_up(self, who, name, paths, attribute):
        now, was = self._now(name, attribute), (self.remembered.get(who) or {}).get(attribute)
        ours = [value for whose, what, value in _assignments(self.old_text) if (whose, what) == (who, attribute)]
        if was is None or now not in ours + [was]:
            self.warnings.append("%s of %s has been changed by somebody else since, so it is left." % (attribute, name))
            self._aim(name, paths, attribute, (now, now, None), "left")
        else:
            self._aim(name, paths, attribute, (now, was, None), "restored")

    def _rules(self):
        return sorted(rule(who, wish) for who, (_name, _paths, wish) in self.wanted.items())

    @staticmethod
    def _render(lines, before):
        return owned_file.render(lines, [("%s=%s" % who, before[who]) for who in sorted(before)])

    def _meanwhile(self):
        """Return the file for as long as values change: what was set and what will be, and all that is remembered.

        A run that is stopped there leaves a host of which each value is known to be ours, and what it was before.
        """
        before = {who: dict(values or {}) for who, values in self.remembered.items()}
        for who, values in self.before.items():
            before[who] = dict(values, **before.get(who, {}))
        old = _rule_lines(self.old_text)
        return self._render(old + [line for line in self._rules() if line not in old], before)

    def _refuse_unwritable(self):
        folder = os.path.join(self.root, FOLDER.lstrip("/"))
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Refused("path: %s cannot be written, so nothing was changed." % self.path)

    def _name_other_rules(self):
        """Warn of rules that are read later and set the same attributes of some device."""
        for where in _RULES if self.wanted else ():
            for file in self.tree.names(where):
                if file <= os.path.basename(self.path) or not file.endswith(".rules"):
                    continue
                for number, line in enumerate(self.tree.text("%s/%s" % (where, file), "").split("\n"), 1):
                    if _OTHERS.search(line) and not line.lstrip().startswith("#"):
                        self.warnings.append("%s/%s line %d may set another value at boot." % (where, file, number))

    @property
    def changed(self):
        """Return whether anything changes."""
        return bool(self.writes) or self.text != self.old_text

    def diff(self):
        """Return the values, before and after, one line each."""
        texts = {}
        for side, boot in (("before", "boot_before"), ("after", "boot")):
            lines = []
            for name, item in sorted(self.items.items()):
                for attribute in ATTRIBUTES:
                    if attribute in item:
                        one = item[attribute]
                        at_boot = "not set" if one[boot] is None else one[boot]
                        lines.append("%s of %s = %s, at boot %s\n" % (attribute, name, one[side], at_boot))
            texts[side] = "".join(lines)
        return dict(texts, before_header="running and boot values", after_header="running and boot values")

    def refusals(self):
        """Return warnings on values that could not be written."""
        told = []
        for name, item in sorted(self.items.items()):
            for attribute in ATTRIBUTES:
                status = item.get(attribute, {}).get("status")
                if status in ("persisted_only", "read_only"):
                    why = "/sys is read-only here" if status == "read_only" else "it may not be written here"
                    told.append("%s of %s keeps its running value: %s." % (attribute, name, why))
        return told

    def apply(self):
        """Do what look() planned and read it back. Raises Refused where that fails, with everything as it was."""
        real = os.path.join(self.root, self.path.lstrip("/"))
        done = []
        try:
            meanwhile = bool(self.old_text and self.writes)
            if self.text is not None and self.text != self.old_text:
                owned_file.write(real, self._meanwhile() if meanwhile else self.text, self.move)
            for name, attribute, value in self.writes:
                self._write(name, attribute, value)
                done.append((name, attribute))
                if self._now(name, attribute) != value:
                    raise Refused(
                        "devices: %s of %s was to be %s, and the kernel says %s; everything is as it was."
                        % (attribute, name, value, self._now(name, attribute))
                    )
            if self.text is None:
                owned_file.remove(real)
            elif meanwhile and self.text != self.old_text:
                owned_file.write(real, self.text, self.move)
        except (Refused, EnvironmentError) as error:
            for name, attribute in done:
                _as_far_as_it_goes(self._write, name, attribute, self.items[name][attribute]["before"])
            if self.old_text is None:
                _as_far_as_it_goes(owned_file.remove, real)
            else:
                _as_far_as_it_goes(owned_file.write, real, self.old_text, self.move)
            raise Refused(str(error) if isinstance(error, Refused) else "%s; everything is as it was." % reason(error))

    def _write(self, name, attribute, value):
        handle = os.open(self.tree.real(self._file(name, attribute)), os.O_WRONLY)
        try:
            os.write(handle, (value + "\n").encode())
        finally:
            os.close(handle)


def _as_far_as_it_goes(function, *arguments):
    try:
        function(*arguments)
    except EnvironmentError:
        pass


def run(module):
    """Do what is asked for and return the result. Raises Refused."""
    change = Change(module.params, move=module.atomic_move)
    carry_out(module, change)
    return {
        "changed": change.changed,
        "devices": change.items,
        "file": change.path,
        "diff": change.diff(),
    }
