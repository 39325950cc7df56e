# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring drop-ins of units to what was asked for, and read systemd and the control groups back.

dropin.py knows the directives, dropin_plan.py what becomes of a file; this reads, writes and compares.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import time

from ansible_collections.linux_memory.oom.plugins.module_utils import (
    disk_limits,
    dropin,
    dropin_plan,
    owned_file,
    unit_groups,
    unit_limits,
    units,
)
from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import Refused
from ansible_collections.linux_memory.oom.plugins.module_utils.commands import runner
from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.systemd import (
    FOR_LIMITS,
    Systemd,
    SystemdError,
    first,
    words,
)
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

# systemd brings new limits to the groups soon after it has read its files, not before it says so.
SETTLE_SECONDS = 30
# After which it is helped: systemd 257 was seen to leave memory.max of a unit that runs as it was.
PATIENCE_SECONDS = 5

# What a limit on memory is, for the plan.
_MEMORY = ("MemoryMax", "MemoryLimit", "MemoryHigh", "MemorySwapMax", "MemoryLow", "MemoryMin")


# What the module takes, for AnsibleModule and for linux_memory.oom.together.
SPEC = {
    "argument_spec": {
        "purpose": {"type": "str", "required": True},
        "units": {"type": "dict", "default": {}},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "others": {"type": "str", "choices": ["keep", "remove"], "default": "keep"},
        "validate": {"type": "bool", "default": True},
        "missing_units": {"type": "str", "choices": ["fail", "allow"], "default": "fail"},
        "unknown_directives": {"type": "str", "choices": ["fail", "skip"], "default": "fail"},
        "restart": {"type": "str", "choices": ["never", "if_needed", "always"], "default": "never"},
        "resolve_paths": {"type": "bool", "default": True},
        "restarts_per_hour": {"type": "int", "default": 10},
        "force": {"type": "bool", "default": False},
    },
}


class Differs(Exception):
    """systemd or the kernel has something else than what was asked for, after it was asked to read the files."""


class Dropins:
    """One run of the module."""

    def __init__(self, module):
        self.module = module
        self.options = module.params
        self.systemd = Systemd(runner(module))
        self.tree = Tree("/")
        self.running = self.systemd.running()
        self.groups = unit_groups.Groups(self.tree, self.number_of)
        self.host = self._host()
        self.units = []
        self.warnings = []
        self.usage = {}

    def number_of(self, path):
        """Return the number of the device at a path, such as "8:0", or None."""
        devices = blocks(self.tree)
        name = devices.of_source(path)
        return devices.number(name) if name else None

    def _host(self):
        memory = meminfo(self.tree)
        place = self.groups.place
        contained = None
        if place is not None:
            contained = self.groups.usage(place.root or "/")["max"]
        return dropin.Host(memory.get("mem_total") or 0, memory.get("swap_total") or 0, contained)

    # What is wished, and what is there

    def wanted(self):
        """Return {name of unit: [(section, directive, [texts])]} and fill what is left out. Raises BadInput."""
        found = {}
        for name, sections in self.options["units"].items():
            dropin.kind(name)
            if self.options["state"] == "absent":
                found[name] = ([], {}, [])
                continue
            found[name] = self._placed(name, dropin.wishes(name, sections))
        return found

    def _placed(self, name, wishes):
        known = self.systemd.known()
        placed, skipped, seen = [], [], set()
        for section, directive, values in wishes:
            spelt = dropin.translate(name, section, directive, known)
            if spelt is None:
                why = self._unknown(name, section, directive, known)
                if self.options["unknown_directives"] == "fail":
                    raise dropin.BadInput(why)
                self.warnings.append(why + " It is left out.")
                skipped.append(directive)
                continue
            if spelt in seen:
                raise dropin.BadInput("units: %s of %s is given twice, as %s" % (directive, name, spelt[1]))
            seen.add(spelt)
            placed.append(spelt + (values,))
        if not self.options["resolve_paths"]:
            return placed, {}, skipped
        nested = {}
        for section, directive, values in placed:
            nested.setdefault(section, {})[directive] = values
        try:
            nested, disks = disk_limits.expand(nested, blocks(self.tree).of_path_or_device)
        except ValueError as error:
            raise dropin.BadInput("units: %s: %s" % (name, error))
        return [(section, directive, nested[section][directive]) for section, directive, _old in placed], disks, skipped

    def _unknown(self, name, section, directive, known):
        version = self.systemd.version()
        since = dropin.SINCE.get(directive)
        if since and version and version < since:
            return "units: %s of %s came with systemd %d, and this host has systemd %d." % (
                directive,
                name,
                since,
                version,
            )
        where = " in [%s]" % section if section else ""
        elsewhere = sorted(other for other, names in known.items() if directive in names)
        hint = "; it knows it in [%s]" % "], [".join(elsewhere) if elsewhere else ""
        return "units: systemd %s of this host does not know %s%s for %s%s." % (
            version or "",
            directive,
            where,
            name,
            hint,
        )

    def names(self, wanted):
        """Return the names of all units of this run: those asked for, and those whose drop-ins are to go."""
        names = list(wanted)
        if self.options["state"] == "absent" and not names or self.options["others"] == "remove":
            name = dropin.file_name(self.options["purpose"])
            paths = glob.glob("%s/*.d/%s" % (dropin.DIRECTORY, name))
            found = [dropin.unit_of_path(path) for path in paths if owned_file.is_owned(owned_file.read(path))]
            # A run that was killed has removed the file, and systemd has not heard of it.
            found += self.systemd.reading(name) if self.running else []
            names += [unit for unit in sorted(set(found)) if unit not in names]
        return names

    def properties(self, wanted, texts):
        """Return the properties that systemd is asked for."""
        found = set(FOR_LIMITS)
        for wishes, _disks, _skipped in wanted.values():
            found.update(dropin.property_of(directive) for _section, directive, _values in wishes)
        for text in texts:
            found.update(dropin.property_of(directive) for _section, directive, _value, _line in dropin.parse(text))
        return found

    def gather(self):
        """Fill units with what is wished and what is there. Raises BadInput and SystemdError."""
        dropin.check_purpose(self.options["purpose"])
        wanted = self.wanted()
        names = self.names(wanted)
        purpose = self.options["purpose"]
        texts = [owned_file.read(dropin.path_of(name, purpose)) for name in names]
        self.asked = self.properties(wanted, texts)
        shown = self.systemd.show(names, self.asked) if self.running else {}
        present = self.options["state"] == "present"
        taken = {}
        for name in names:
            instances = shown.get(name, [])
            wishes, disks, skipped = wanted.get(name, ([], {}, []))
            present_here = name in wanted and present
            unit_id = self._id(name, instances)
            if present_here:
                self._exists(name, instances)
            if unit_id in taken and name not in wanted:
                continue  # asked for by another of its names
            if unit_id in taken:
                raise dropin.BadInput("units: %s and %s are one unit; name it once" % (taken[unit_id], name))
            taken[unit_id] = name
            path = dropin.path_of(unit_id, purpose)
            text = owned_file.read(path)
            if text is not None and not owned_file.is_owned(text):
                if not present_here:
                    continue  # nothing of ours, so nothing to take back
                raise dropin.BadInput("units: %s is there and was not written by this collection; move it away" % path)
            # Of a unit that is not there systemd shows defaults, which say nothing.
            instances = [one for one in instances if first(one, "LoadState") not in ("not-found", "masked")]
            unit = dropin_plan.Unit(name, unit_id, path, text, instances, wishes if present_here else [])
            unit.disks, unit.skipped = disks, skipped
            self.units.append(unit)

    @staticmethod
    def _id(name, instances):
        if dropin.pattern(name) or not instances or first(instances[0], "LoadState") == "not-found":
            return name
        return first(instances[0], "Id", name)

    def _exists(self, name, instances):
        """Refuse a unit that the host does not have, or that is masked."""
        if any(first(one, "LoadState") == "masked" for one in instances):
            raise dropin.BadInput("units: %s is masked, so it can neither run nor be limited" % name)
        if self.options["missing_units"] == "allow":
            return
        if dropin.pattern(name):
            stem = name.rsplit(".", 1)[0]
            there = bool(instances) or units.file_of(self.tree, name) is not None
            if not there and stem.endswith("-"):
                there = any(
                    entry.startswith(stem) for directory in units.DIRECTORIES for entry in self.tree.names(directory)
                )
        elif self.running:
            there = bool(instances) and first(instances[0], "LoadState") != "not-found"
        else:
            there = units.file_of(self.tree, name) is not None
        if not there:
            raise dropin.BadInput(
                "units: this host has no unit %s; install it before, or set missing_units to allow" % name
            )

    # Plan and refusals

    def plan(self):
        """Fill the items of all units, and refuse what must not be. Raises BadInput."""
        for unit in self.units:
            dropin_plan.plan(unit, self.host, self._kernel_differs)
        self._refuse_overridden()
        wishes = [self._wish(unit) for unit in self.units if unit.wanted]
        oomd = units.active(self.tree, "systemd-oomd.service") is True
        wrong, warn = unit_limits.refusals(wishes, self.host, self.options["restarts_per_hour"], oomd)
        self.warnings.extend(warn)
        if wrong and self.options["force"]:
            self.warnings.extend(wrong)
        elif wrong:
            raise dropin.BadInput(" ".join(wrong) + " Nothing was changed; force overrides this.")

    def _kernel_differs(self, directive, instances):
        """Return the kernel's value where a group can be written and does not hold what systemd shows, else None."""
        for instance in instances:
            shown = instance.get(dropin.property_of(directive))
            status, value, _why = self.groups.check(directive, shown, first(instance, "ControlGroup"))
            if status == unit_groups.DIFFERS:
                return value
        return None

    def _refuse_overridden(self):
        for unit in self.units:
            directives = {directive for _section, directive, _values in unit.wanted}
            for directive, path, line in dropin_plan.overridden(unit, directives, owned_file.read):
                raise dropin.BadInput(
                    "units: %s of %s is set again in %s, line %d, which systemd reads after %s; remove it there"
                    % (directive, unit.name, path, line, os.path.basename(unit.path))
                )

    def _wish(self, unit):
        """Return the wish of a unit as the checks of limits want it: of the unit that uses most, for a pattern."""
        values = {}
        for _section, directive, texts in unit.wanted:
            values[self._modern(directive)] = texts[-1]
        changed = {self._modern(item["directive"]) for item in unit.items if item["before"] != item["after"]}
        best, shown = {}, {}
        for instance in unit.instances:
            usage = self.groups.usage(first(instance, "ControlGroup"))
            if (usage["current"] or 0) >= (best.get("current") or 0):
                best, shown = usage, {name: first(instance, name) for name in FOR_LIMITS if name in instance}
        self.usage[unit.name] = {name: best.get(name) for name in ("current", "peak", "swap_current")}
        return unit_limits.Wish(unit.name, values, changed, shown, self.usage[unit.name])

    @staticmethod
    def _modern(directive):
        return {"MemoryLimit": "MemoryMax", "StartLimitInterval": "StartLimitIntervalSec"}.get(directive, directive)

    def sentences(self):
        """Return the plan in words, for units with limits on memory."""
        found = []
        for unit in self.units:
            limits = [item for item in unit.items if item["directive"] in _MEMORY]
            if not limits:
                continue
            usage = self.usage.get(unit.name) or {}
            use = self._use(unit, usage)
            changes = ["%s %s" % (one["directive"], self._change(one)) for one in limits]
            found.append("%s %s; %s." % (unit.name, use, ", ".join(changes)))
        return found

    def _use(self, unit, usage):
        if usage.get("current") is None:
            return "runs, and what it uses is not known" if self._runs(unit) else "does not run"
        peak = usage.get("peak")
        return "uses %s%s" % (
            unit_limits.megabytes(usage["current"]),
            " (at most %s so far)" % unit_limits.megabytes(peak) if peak is not None else "",
        )

    @staticmethod
    def _runs(unit):
        return any(first(one, "ActiveState") in ("active", "reloading", "activating") for one in unit.instances)

    @staticmethod
    def _change(item):
        sizes = [
            unit_limits.megabytes(int(text)) if (text or "").isdigit() else text or "unknown"
            for text in (item["before"], item["after"])
        ]
        if item["before"] == item["after"]:
            return "stays %s" % sizes[0]
        return "goes from %s to %s" % tuple(sizes)

    def validate(self):
        """Let systemd check copies of the drop-ins that are to change. Raises BadInput."""
        tried = {}
        for unit in self.units:
            if unit.new_text is None or not unit.file_changes:
                continue
            fragment = first(unit.instances[0], "FragmentPath") if unit.instances else ""
            if not fragment:
                fragment = units.file_of(self.tree, unit.id) or ""
            tried[unit.id] = (unit.new_text, fragment)
        if not tried or not self.options["validate"]:
            return
        name = dropin.file_name(self.options["purpose"])
        complaints = self.systemd.verify(tried, name, self.module.tmpdir)
        if complaints:
            unit = sorted(complaints)[0]
            raise dropin.BadInput(
                "units: systemd does not take what is set for %s: %s" % (unit, "; ".join(complaints[unit]))
            )

    # Apply and read back

    def needs_reload(self):
        """Return whether systemd has to read its files again."""
        return any(unit.changed or unit.stale() for unit in self.units)

    def apply(self):
        """Write, reload, compare; put everything back where it does not agree. Raises SystemdError and Differs."""
        written = []
        limited = {first(one, "Id"): self._devices(one) for unit in self.units for one in unit.instances}
        try:
            for unit in self.units:
                if unit.file_changes:
                    written.append(unit)
                    self._write(unit, unit.new_text)
            if self.running:
                self.systemd.reload()
                self._settle()
                self._release(limited)
        except (SystemdError, Differs, EnvironmentError):
            self._put_back(written)
            raise

    def _write(self, unit, text):
        if text is None:
            owned_file.remove(unit.path)
            try:
                # Ours where nothing else is in it.
                os.rmdir(os.path.dirname(unit.path))
            except EnvironmentError:
                pass
        else:
            owned_file.write(unit.path, text, self.module.atomic_move)
            self._sweep(os.path.dirname(unit.path))

    @staticmethod
    def _sweep(folder):
        """Remove what a run that was killed while it wrote has left; systemd does not read it."""
        for path in glob.glob(os.path.join(glob.escape(folder), ".linux_memory.oom.*")):
            os.unlink(path)

    def _put_back(self, written):
        for unit in written:
            self._write(unit, unit.text)
        if self.running and written:
            try:
                self.systemd.reload()
                # What was handed over is in the kernel by now.
                self.look()
                self._hand_over()
            except SystemdError:
                pass  # the first error is the one to tell

    def look(self):
        """Read again what systemd has."""
        if not self.running:
            return
        shown = self.systemd.show([unit.id for unit in self.units], self.asked)
        for unit in self.units:
            unit.instances = [one for one in shown[unit.id] if first(one, "LoadState") not in ("not-found", "masked")]

    @staticmethod
    def _devices(instance):
        """Return {directive: paths of the devices that it limits}, as systemd shows a unit."""
        found = {}
        for directive in unit_groups.OF_DEVICES:
            lines = instance.get(directive) or []
            found[directive] = {line.rsplit(None, 1)[0] for line in lines if len(line.split()) > 1}
        return found

    def _release(self, before):
        """Take limits on devices back that systemd has no more. Raises Differs."""
        for unit in self.units:
            for instance in unit.instances:
                now, was = self._devices(instance), before.get(first(instance, "Id"), {})
                for directive in unit_groups.OF_DEVICES:
                    gone = was.get(directive, set()) - now[directive]
                    left = self.groups.release(directive, gone, first(instance, "ControlGroup"))
                    if left:
                        raise Differs(
                            "%s: %s is taken back, and the kernel still limits %s. The files are as they were before."
                            % (first(instance, "Id"), directive, ", ".join(left))
                        )

    def _realize(self):
        """Let systemd give units the controllers that they lack in the kernel."""
        lacking = set()
        for unit in self.units:
            for instance in unit.instances:
                group = first(instance, "ControlGroup")
                for _section, directive, _values in unit.wanted:
                    shown = instance.get(dropin.property_of(directive))
                    lacking.add((os.path.dirname(group), self.groups.lacks(directive, shown, group)))
        for above, controller in sorted(pair for pair in lacking if pair[1]):
            self.systemd.realize(above, controller)

    def _hand_over(self):
        """Write what systemd has to the groups that have something else."""
        for unit in self.units:
            directives = [directive for _section, directive, _values in unit.wanted]
            directives += [item["directive"] for item in unit.items if item["value"] is None]
            for instance in unit.instances:
                group = first(instance, "ControlGroup")
                for directive in directives:
                    shown = instance.get(dropin.property_of(directive))
                    if self.groups.check(directive, shown, group)[0] == unit_groups.DIFFERS:
                        self.groups.write(directive, shown, group)

    def _settle(self):
        begin = time.time()
        self.look()
        self._realize()
        while True:
            self.look()
            wrong = [text for unit in self.units for text in self._disagreements(unit)]
            if not wrong:
                return
            if time.time() > begin + PATIENCE_SECONDS:
                self._hand_over()
            if time.time() > begin + SETTLE_SECONDS:
                raise Differs(
                    "%s The files are as they were before, and systemd has read them again." % " ".join(wrong)
                )
            time.sleep(0.2)

    def _disagreements(self, unit):
        """Return a sentence for each thing that is not as it was asked for."""
        found = []
        for instance in unit.instances:
            loaded = unit.path in words(first(instance, "DropInPaths"))
            if loaded != (unit.new_text is not None):
                found.append(
                    "%s: systemd %s %s." % (unit.name, "still reads" if loaded else "does not read", unit.path)
                )
            for _section, directive, values in unit.wanted:
                shown = instance.get(dropin.property_of(directive))
                if dropin.agrees(directive, values, shown, self.host) is False:
                    if dropin.pattern(unit.id):
                        continue  # one of its units has a value of its own
                    found.append(
                        "%s: %s was set to %s, and systemd has %s."
                        % (unit.name, directive, ", ".join(values), ", ".join(shown) or "nothing")
                    )
                    continue
                found.extend(self._kernel_disagrees(instance, directive, ", ".join(values)))
            for item in unit.items:
                if item["value"] is None:
                    found.extend(self._kernel_disagrees(instance, item["directive"], "what it was before"))
        return found

    def _kernel_disagrees(self, instance, directive, wanted):
        """Return [a sentence] where the kernel has not got what systemd has: it follows a reload a while later."""
        shown = instance.get(dropin.property_of(directive))
        status, value, _why = self.groups.check(directive, shown, first(instance, "ControlGroup"))
        if status != unit_groups.DIFFERS:
            return []
        return [
            "%s: %s was set to %s, systemd has %s, and the kernel has %s."
            % (first(instance, "Id"), directive, wanted, ", ".join(shown), value)
        ]

    # Restarts

    def starts_needed(self, unit, changes):
        """Return {id: directives} of the unit's running instances that count only from a start that is still to come.

        changes: whether the file changes in this run, or would in check mode.
        """
        found = {}
        later = [
            (item["directive"], item["value"])
            for item in unit.items
            if not dropin.live(item["section"], item["directive"]) and (item["value"] is not None or changes)
        ]
        if not later:
            return found
        for instance in unit.instances:
            if first(instance, "ActiveState") not in ("active", "reloading", "activating"):
                continue
            if not changes and not self._older(instance, unit.path):
                continue
            directives = [directive for directive, value in later if not self._has(instance, directive, value)]
            if directives:
                found[first(instance, "Id")] = directives
        return found

    @staticmethod
    def _older(instance, path):
        """Return whether what runs of a unit was started before its drop-in was written."""
        started = int(first(instance, "ExecMainStartTimestampMonotonic", "0") or 0)
        started = started or int(first(instance, "ActiveEnterTimestampMonotonic", "0") or 0)
        try:
            written = os.stat(path).st_mtime
        except EnvironmentError:
            return False
        age = time.time() - written
        return started / 10**6 < time.clock_gettime(time.CLOCK_MONOTONIC) - age

    def _has(self, instance, directive, value):
        """Return whether the main process has a value already; False where that cannot be seen."""
        pid = first(instance, "MainPID", "0")
        if directive != "OOMScoreAdjust" or value is None or pid == "0":
            return False
        score = self.groups.score(pid)
        try:
            return score is not None and score == int(dropin.text_of(value))
        except ValueError:
            return False

    def to_restart(self, before):
        """Return the ids of the units to restart. before: {unit's name: starts_needed}."""
        mode = self.options["restart"]
        found = []
        for unit in self.units:
            ids = []
            if mode == "if_needed":
                ids = sorted(before[unit.name])
            elif mode == "always" and unit.changed:
                ids = sorted(
                    first(one, "Id") for one in unit.instances if first(one, "ActiveState") in ("active", "reloading")
                )
            if ids and dropin.kind(unit.id) in dropin.NEVER_RESTARTED:
                self.warnings.append("%s is not restarted: that would end all that runs in it." % unit.name)
                ids = []
            found.extend(ids)
        return found

    def restart(self, ids):
        """Restart units; where one does not come back, put the files back and start it as it was."""
        try:
            self.systemd.restart(ids)
            self.look()
            failed = [
                first(instance, "Id")
                for unit in self.units
                for instance in unit.instances
                if first(instance, "Id") in ids and first(instance, "ActiveState") == "failed"
            ]
            if failed:
                raise SystemdError("%s failed to start" % ", ".join(failed))
        except SystemdError as error:
            self._put_back([unit for unit in self.units if unit.file_changes])
            self.systemd.start(ids)
            raise SystemdError(
                "restart: %s did not come back with the new settings (%s); the files are as they were before, and it "
                "was started again." % (", ".join(ids), str(error).rstrip("."))
            )

    # Answer

    def finish(self, predicted, needed):
        """Fill what items say of the present. needed: {unit's name: starts_needed}."""
        for unit in self.units:
            waiting = {directive for names in needed[unit.name].values() for directive in names}
            for item in unit.items:
                item.update(self._present(unit, item, predicted, waiting))
                if not predicted and item["value"] is None:
                    self._restored(unit, item)

    def _restored(self, unit, item):
        """Say what a directive is now that was removed: another file can say something else than before."""
        values = dropin_plan.shown_of(unit.instances, item["directive"], None, self.host)
        if values and item["after"] is not None:
            item["after"] = dropin.canonical(item["directive"], values, self.host)

    def _present(self, unit, item, predicted, waiting):
        if predicted and (item["before"] != item["after"] or unit.file_changes):
            return {"status": "predicted", "kernel": None, "reason": None}
        if item["value"] is None:
            return {"status": "removed", "kernel": None, "reason": None}
        if not self.running:
            return {"status": "persisted_only", "kernel": None, "reason": "systemd does not run here"}
        if not unit.instances:
            status = "not_running" if dropin.pattern(unit.id) else "missing_unit"
            return {"status": status, "kernel": None, "reason": None}
        if item["directive"] in waiting:
            return {"status": "needs_restart", "kernel": self._score(unit, item), "reason": None}
        answers = []
        for instance in unit.instances:
            shown = instance.get(dropin.property_of(item["directive"]))
            answers.append(self.groups.check(item["directive"], shown, first(instance, "ControlGroup")))
        for wanted in (unit_groups.NOT_ENFORCED, unit_groups.APPLIED, unit_groups.NOT_RUNNING):
            for status, value, why in answers:
                if status == wanted:
                    return {"status": status, "kernel": value, "reason": why}
        live = dropin.live(item["section"], item["directive"])
        return {
            "status": "applied" if live or self._runs(unit) else "not_running",
            "kernel": self._score(unit, item),
            "reason": None,
        }

    def _score(self, unit, item):
        """Return the score of the main process where the item is about that."""
        if item["directive"] != "OOMScoreAdjust" or not unit.instances:
            return None
        pid = first(unit.instances[0], "MainPID", "0")
        score = self.groups.score(pid) if pid not in ("", "0") else None
        return None if score is None else str(score)

    def answer(self, reloaded, restarted, needed):
        """Return the module's result."""
        return {
            "changed": bool(reloaded or restarted or any(unit.changed for unit in self.units)),
            "diff": dropin_plan.diff(self.units),
            "items": [item for unit in self.units for item in unit.items],
            "units": {
                unit.name: {
                    "id": unit.id,
                    "path": unit.path,
                    "needs_restart": bool(needed[unit.name]),
                    "memory": self.usage.get(unit.name) or dict.fromkeys(("current", "peak", "swap_current")),
                    "disks": unit.disks,
                }
                for unit in self.units
            },
            "plan": self.sentences(),
            "reloaded": reloaded,
            "restarted": restarted,
        }

    def run(self):
        """Do it, and return the result. Raises BadInput, SystemdError, Differs and OSError."""
        self.gather()
        self.plan()
        self.validate()
        reload = self.running and self.needs_reload()
        changes = {unit.name: unit.file_changes for unit in self.units}
        needed = {unit.name: self.starts_needed(unit, changes[unit.name]) for unit in self.units}
        restarts = self.to_restart(needed) if self.running else []
        if self.module.check_mode:
            self.finish(True, needed)
            return self.answer(reload, restarts, self._after_restart(needed, restarts))
        if reload or any(changes.values()):
            self.apply()
        if restarts:
            self.restart(restarts)
            needed = self._after_restart(needed, restarts)
        self.finish(False, needed)
        return self.answer(reload, restarts, needed)

    @staticmethod
    def _after_restart(needed, restarts):
        return {
            name: {one: directives for one, directives in found.items() if one not in restarts}
            for name, found in needed.items()
        }


def run(module):
    """Do what is asked for and return the result. Raises Refused."""
    if module.params["restarts_per_hour"] < 1:
        raise Refused("restarts_per_hour: %d is not a number of at least 1" % module.params["restarts_per_hour"])
    dropins = Dropins(module)
    try:
        result = dropins.run()
    except (dropin.BadInput, SystemdError, Differs) as error:
        raise Refused(str(error))
    for warning in dropins.warnings:
        module.warn(warning)
    return result
