# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for the drop-ins of one host's units: what is there, what is wished, what is to be done. Pure functions."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ansible_collections.linux_memory.oom.plugins.module_utils import dropin, owned_file
from ansible_collections.linux_memory.oom.plugins.module_utils.systemd import first, words


class Unit:
    """One unit that was asked for, and all that is known of it before anything changes.

    name: as asked for. id: as systemd calls it (an alias is looked through). path: of the drop-in. text: of the drop-in
    as it is, or None. instances: properties of the unit, or of each that a pattern stands for; [] where systemd does
    not run. wanted: [(section, directive, [texts])], [] for a drop-in that is to go.
    """

    def __init__(self, name, unit_id, path, text, instances, wanted):
        self.name = name
        self.id = unit_id
        self.path = path
        self.text = text
        self.instances = instances
        self.wanted = wanted
        self.items = []
        self.new_text = None
        self.disks = {}
        self.skipped = []

    @property
    def file_changes(self):
        """Return whether the drop-in's file is to change."""
        return self.new_text != self.text

    @property
    def changed(self):
        """Return whether anything of the unit is to change."""
        return self.file_changes or any(item["before"] != item["after"] for item in self.items)

    def stale(self):
        """Return whether systemd has not read the file as it is."""
        for instance in self.instances:
            if first(instance, "LoadState") == "not-found":
                continue
            loaded = self.path in words(first(instance, "DropInPaths"))
            if self.text is None and not loaded:
                continue  # what else systemd has not read is not ours
            if loaded != (self.text is not None) or first(instance, "NeedDaemonReload") == "yes":
                return True
        return False


def plan(unit, host, kernel):
    """Fill the unit's items and new text.

    kernel: function of (directive, instances) to the kernel's value where that is not what systemd shows, else None.
    """
    old = dropin.gathered(unit.text) if owned_file.is_owned(unit.text) else {}
    remembered = owned_file.remembered(unit.text) if owned_file.is_owned(unit.text) else {}
    wished = {(section, directive): values for section, directive, values in unit.wanted}
    kept = []
    for section, directive, values in unit.wanted:
        name = "%s.%s" % (section, directive)
        shown = shown_of(unit.instances, directive, values, host)
        now = old.get((section, directive))
        before = _now(directive, shown, now, host)
        same = dropin.agrees(directive, values, shown, host)
        if same is None:
            # What cannot be compared is what the file says, once systemd has read it.
            same = now == values and not unit.stale()
            before = dropin.canonical(directive, now, host) if now else None
        # A value that is there by other means is still written: it is to stay.
        after = before if same else dropin.canonical(directive, values, host)
        held = kernel(directive, unit.instances) if same else None
        if held is not None:
            before, after = held, dropin.canonical(directive, values, host)
        unit.items.append(_item(unit, section, directive, values, before, after))
        kept.append((name, remembered.get(name, before)))
    for (section, directive), values in old.items():
        if (section, directive) not in wished:
            shown = shown_of(unit.instances, directive, values, host)
            before = _now(directive, shown, values, host)
            after = remembered.get("%s.%s" % (section, directive))
            unit.items.append(_item(unit, section, directive, None, before, after))
    if unit.wanted:
        unit.new_text = owned_file.render(dropin.body(unit.wanted), kept)


def _item(unit, section, directive, values, before, after):
    return {
        "unit": unit.name,
        "section": section,
        "directive": directive,
        "value": None if values is None else values[0] if len(values) == 1 else values,
        "before": before,
        "after": after,
    }


def _now(directive, shown, in_file, host):
    """Return the value before: what systemd shows, else what the file says, else None."""
    if shown:
        return dropin.canonical(directive, shown, host)
    return dropin.canonical(directive, in_file, host) if in_file else None


def shown_of(instances, directive, values, host):
    """Return what systemd shows of a directive: of a pattern's units the first that is not as wished."""
    name = dropin.property_of(directive)
    shown = [instance[name] for instance in instances if name in instance]
    if directive in dropin.DEVICES and instances and not shown:
        # systemctl prints no line for an empty list.
        return []
    for one in shown:
        if values is not None and dropin.agrees(directive, values, one, host) is False:
            return one
    return shown[0] if shown else None


def overridden(unit, directive_names, read):
    """Return [(directive, path, line)] of drop-ins that systemd reads after ours and that set the same again.

    Drop-ins are read in the order of their names, whatever their directories (systemd.unit(5)). read: path to text or
    None. For a pattern nothing is said: what is set for one of its units is meant to differ.
    """
    if dropin.pattern(unit.id):
        return []
    mine = os.path.basename(unit.path)
    found = []
    for instance in unit.instances:
        for path in words(first(instance, "DropInPaths")):
            if os.path.basename(path) <= mine or path == unit.path:
                continue
            for _section, directive, value, line in dropin.parse(read(path)):
                if directive in directive_names and (value == "" or directive not in dropin.DEVICES):
                    found.append((directive, path, line))
    return found


def diff(units):
    """Return the difference of all units, directive by directive."""
    sides = {"before": [], "after": []}
    for unit in units:
        different = [item for item in unit.items if item["before"] != item["after"]]
        for item in different:
            for side, lines in sides.items():
                if item[side] is not None:
                    lines.append("%s [%s] %s=%s" % (item["unit"], item["section"], item["directive"], item[side]))
        if unit.file_changes and not different:
            # The file is to hold what counts already by other means, or the other way round.
            for side, text in (("before", unit.text), ("after", unit.new_text)):
                if text is not None:
                    sides[side].extend([unit.path] + dropin_lines(text))
    return {side: "".join(line + "\n" for line in lines) for side, lines in sides.items()}


def dropin_lines(text):
    """Return the lines of a drop-in that systemd reads, indented."""
    return ["  " + line for line in text.split("\n") if line and not line.startswith("#")]
