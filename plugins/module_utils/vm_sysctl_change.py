# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring running values and the file for the next boot to a plan, read both back, or go back where that fails.

Order: the file first, because it remembers what to go back to; then the running values; then what of the file is no
longer needed. A run that is killed anywhere is repaired by the next one. vm_sysctl_plan.py decides, this acts.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import re
from collections import OrderedDict

from ansible_collections.linux_memory.oom.plugins.module_utils import owned_file, sysctl, vm_sysctl_plan
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import Refused, carry_out
from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.overcommit import limit_in_mode_2
from ansible_collections.linux_memory.oom.plugins.module_utils.sysctl import number, same_value
from ansible_collections.linux_memory.oom.plugins.module_utils.sysctl_agents import agents, sentence
from ansible_collections.linux_memory.oom.plugins.module_utils.system import kernel, page_size
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree, reason
from ansible_collections.linux_memory.oom.plugins.module_utils.writeback import dirtyable_memory

FOLDER = "/etc/sysctl.d"
FOR = "# For: "
_PATH = re.compile(r"/etc/sysctl\.d/[A-Za-z0-9_@:+-][A-Za-z0-9_.@:+-]*\.conf$")
_NUMBERED = re.compile(r"(?:[0-9]+|z+)-")
# Names to try where another file is read later: "99-" for order, "zz-" for what is there already with letters.
_LATER = ("99-", "zz-", "zzz-", "zzzz-", "zzzzzzzz-")

APPLIED, PERSISTED, READ_ONLY, RESTORED, LEFT = "applied", "persisted_only", "read_only", "restored", "left"


# What the module takes, for AnsibleModule and for linux_memory.oom.together.
SPEC = {
    "argument_spec": {
        "settings": {"type": "dict"},
        "path": {"type": "path", "default": "/etc/sysctl.d/90-linux_memory_oom.conf"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "on_override": {"type": "str", "choices": ["fail", "rename", "warn"], "default": "fail"},
        "force": {"type": "bool", "default": False},
    },
    "required_if": [("state", "present", ["settings"])],
}


class Change:
    """One run: look() plans and predicts, apply() does it."""

    def __init__(self, options, root="/", move=os.rename, write_value=None):
        """options: the module's. root: where the host's files are, for tests. move: as owned_file.write has it."""
        self.options, self.root, self.move = options, root, move
        self.path = options["path"]
        self.write_value = write_value or self._write_value
        self.refused_by = {}
        self.warnings = []

    # What is there.

    def look(self):
        """Read the host and decide; nothing is changed. Raises Refused."""
        self.tree = Tree(self.root)
        if not _PATH.match(self.path):
            raise Refused("path: %s is not a file in %s whose name ends with .conf." % (self.path, FOLDER))
        self.stem = _NUMBERED.sub("", os.path.basename(self.path), 1)
        self.texts = self._owned()
        self.old, self.ours, self.remembered = OrderedDict(), [], {}
        for text in self.texts.values():
            self.old.update(vm_sysctl_plan.values_of(text))
            self.ours += vm_sysctl_plan.lines_of(text)
            for name, value in owned_file.remembered(text).items():
                self.remembered.setdefault(name, value)
        self.wanted = self._wanted()
        self.running = self._running(set(self.wanted) | set(self.old) | set(self.remembered))
        self.plan = vm_sysctl_plan.plan(
            self.wanted, self.running, self.old, self.remembered, self._writable, self._dirtyable(), self.ours
        )
        self._refuse_what_would_hurt()
        self.boot_before = self._boot({})
        self.place, self.text = self._place()
        # In this order: a run that is killed between a new name and the old one leaves both, never none.
        self.files = OrderedDict([(self.place, self.text)])
        self.files.update((path, None) for path in self.texts if path != self.place)
        self.boot_after = self._boot(self.files)
        self.file_changes = [path for path, text in self.files.items() if self.texts.get(path) != text]
        for path in self.file_changes:
            self._refuse_unwritable(path)
        self._warn()

    def _owned(self):
        """Return {path: text} of our files for this path: one, or two where a run was killed while it renamed."""
        found = OrderedDict()
        here = os.path.basename(self.path)
        for name in self.tree.names(FOLDER):
            if name != here and not (name.endswith("-" + self.stem) and _NUMBERED.sub("", name, 1) == self.stem):
                continue
            path = FOLDER + "/" + name
            try:
                text = owned_file.read(self.tree.real(path))
            except EnvironmentError as error:
                raise Refused("path: %s." % reason(error, path))
            if owned_file.is_owned(text) and (name == here or FOR + self.path in text.split("\n")):
                found[path] = text
            elif name == here and text is not None:
                raise Refused(
                    "path: %s is not a file of this collection; it is left as it is, choose another path." % path
                )
        for where in sysctl.DIRECTORIES[1:]:
            hidden = where + "/" + here
            if not found and self.tree.exists(hidden):
                raise Refused("path: %s would hide %s, choose another path." % (self.path, hidden))
        return found

    def _wanted(self):
        if self.options["state"] == "absent":
            return OrderedDict()
        known = [sysctl.swap_separators(name) for name in sysctl.running_names(self.tree)]
        release = kernel(self.tree)
        try:
            return vm_sysctl_plan.check(
                self.options["settings"],
                known,
                vm_sysctl_plan.kernel_version(release),
                page_size(self.tree),
                " (%s)" % release if release else "",
            )
        except ValueError as error:
            raise Refused(str(error))

    def _running(self, names):
        return {one: self._value(one) for name in names for one in vm_sysctl_plan.group(name)}

    def _value(self, name):
        try:
            return sysctl.running_value(self.tree, name.replace(".", "/", 1))
        except EnvironmentError:
            return None

    def _real(self, name):
        return os.path.join(self.root, "proc/sys", name.replace(".", "/", 1))

    def _writable(self, name):
        """Try: opening for writing changes nothing, and is refused as the write would be."""
        try:
            os.close(os.open(self._real(name), os.O_WRONLY))
        except EnvironmentError as error:
            self.refused_by[name] = error
            return False
        return True

    def _write_value(self, name, value):
        handle = os.open(self._real(name), os.O_WRONLY)
        try:
            os.write(handle, (value + "\n").encode())
        finally:
            os.close(handle)

    def _dirtyable(self):
        """Only where something of the dirty limits is touched: reading it takes a while."""
        if not any(name.startswith("vm.dirty_") for name in self.running):
            return None
        return self.tree.once("vm_sysctl.dirtyable", lambda: dirtyable_memory(self.tree))

    # What must not happen.

    def _refuse_what_would_hurt(self):
        # Whether or not it can be written now: a boot would set it. What is there already is no reason to fail later,
        # when the numbers have moved.
        target = dict(self.running)
        changing = {}
        for name, value in self.wanted.items():
            target.update((one, value if one == name else "0") for one in vm_sysctl_plan.group(name))
            if not _same(self.running.get(name), value) and not _same(self.old.get(name), value):
                changing[name] = value
        problems = []
        dirtyable = self._dirtyable()
        size = number(changing.get("vm.dirty_bytes", ""))
        if dirtyable and size and size > dirtyable:
            problems.append(
                "settings: vm.dirty_bytes is %d bytes, and of this host's memory only %d bytes can be dirty now"
                % (size, dirtyable)
            )
        touched = [name for name in changing if name.startswith(("vm.dirty_ratio", "vm.dirty_b"))]
        if touched and vm_sysctl_plan.background_is_below(self._all_dirty(target), dirtyable) is False:
            problems.append(
                "settings: with %s the background limit would not be below the dirty limit (%s), and the kernel would "
                "take half of that" % (_spoken(changing, touched), _spoken(self._all_dirty(target)))
            )
        if changing.get("vm.overcommit_memory") == "2":
            limit, promised = self._promises(target)
            if limit is not None and promised is not None and promised > limit:
                problems.append(
                    "settings: with vm.overcommit_memory 2 at most %d bytes could be promised, and %d bytes are already"
                    % (limit, promised)
                )
        if problems and self.options["force"]:
            self.warnings += [problem[len("settings: ") :] + "." for problem in problems]
        elif problems:
            raise Refused(problems[0] + "; force sets it all the same.")

    def _promises(self, target):
        """Return what could be promised in mode 2, and what is promised now, in bytes; None where that is not known."""
        values = dict(self._running(vm_sysctl_plan.group("vm.overcommit_ratio")), **target)
        ratio, kbytes = (number(values["vm.overcommit_" + one] or "") for one in ("ratio", "kbytes"))
        memory = meminfo(self.tree)
        return limit_in_mode_2(memory, ratio, (kbytes or 0) * 1024, page_size(self.tree)), memory.get("committed_as")

    def _all_dirty(self, target):
        names = ("vm.dirty_ratio", "vm.dirty_bytes", "vm.dirty_background_ratio", "vm.dirty_background_bytes")
        missing = self._running([name for name in names if name not in target])
        return {name: target[name] if name in target else missing[name] for name in names}

    def _refuse_unwritable(self, path):
        """Ask without trying: there is no way to try to write a file that changes nothing."""
        folder = os.path.join(self.root, FOLDER.lstrip("/"))
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Refused("path: %s cannot be written (%s), so nothing was changed." % (path, _why_not(folder)))

    # Where the file goes.

    def _place(self):
        """Return (path, text) of the file that is to be there, text None for none. Raises Refused for an override."""
        now = next(iter(sorted(self.texts, reverse=True)), self.path)
        if not self.wanted:
            return now, None
        text = self._render(self.wanted.items(), self.plan.before)
        overrides = self._overrides(now, text)
        if overrides and self.options["on_override"] == "rename":
            for start in _LATER:
                path = "%s/%s%s" % (FOLDER, start, self.stem)
                is_free = path in self.texts or not self.tree.exists(path)
                if is_free and not self._overrides(path, text):
                    return path, text
            raise Refused("on_override: no name of a file in %s is read late enough: %s." % (FOLDER, _list(overrides)))
        if overrides and self.options["on_override"] == "fail":
            raise Refused(
                "on_override: %s would be overridden at boot: %s; with on_override=rename the file gets a name that is "
                "read later." % (now, _list(overrides))
            )
        self.warnings += ["%s is overridden at boot: %s." % (now, one) for one in overrides]
        return now, text

    def _render(self, values, before):
        lines = [FOR + self.path] + ["%s = %s" % pair for pair in values]
        return owned_file.render(lines, [(name, before[name]) for name in sorted(before)])

    def _boot(self, files):
        return sysctl.boot_values(Tree(self.root), files)["keys"]

    def _overrides(self, path, text):
        """Return what other files would make of the settings wished, were the file at this path."""
        files = dict.fromkeys(self.texts)
        files[path] = text
        boot = self._boot(files)
        found = []
        for name, value in self.wanted.items():
            entry = boot.get(name)
            if entry and entry["value"] is not None and same_value(entry["value"], value):
                continue
            found.append(_override(name, entry, path))
        return found

    # What the user hears.

    def _warn(self):
        self.agents = agents(self.tree, self.wanted)
        self.warnings += [sentence(one) for one in self.agents if one["wins"] is not False]
        for name in self.wanted:
            by_hand = (self.boot_after.get(name) or {}).get("procps")
            if by_hand and by_hand["file"]:
                self.warnings.append(
                    "sysctl --system, where somebody runs it by hand, sets %s to %s (%s line %d)."
                    % (name, by_hand["value"], by_hand["file"], by_hand["line"])
                )
        unit = "/etc/systemd/system/systemd-sysctl.service"
        if self.wanted and self.tree.link(unit) == "/dev/null":
            self.warnings.append("systemd-sysctl.service is masked by %s, so no boot reads the file." % unit)
        if self.plan.left:
            self.warnings.append(
                "%s: changed by somebody else since, so left as it is; its value from before is forgotten."
                % ", ".join(self.plan.left)
            )

    def refusals(self):
        """Return warnings on running values that could not be written."""
        stuck = OrderedDict()
        for name, item in self.items().items():
            if item["status"] in (PERSISTED, READ_ONLY):
                stuck.setdefault(item["status"], []).append(name)
        told = []
        for status, names in stuck.items():
            why = "is read-only here, so no boot of this container sets it either"
            if status == PERSISTED:
                why = "may not be written here, so only the file was"
            told.append("/proc/sys: %s: %s." % (", ".join(names), why))
        return told

    def items(self):
        """Return {name: {before, after, boot_before, boot, file, line, status}}, as it is or is going to be."""
        found = OrderedDict()
        for name in sorted(self.plan.target):
            was, will = self.boot_before.get(name) or {}, self.boot_after.get(name) or {}
            found[name] = {
                "before": self.running.get(name),
                "after": self.plan.target[name],
                "boot_before": was.get("value"),
                "boot": will.get("value"),
                "file": will.get("file"),
                "line": will.get("line"),
                "status": self._status(name),
            }
        return found

    def _status(self, name):
        members = vm_sysctl_plan.group(name)
        wished = next((one for one in members if one in self.wanted), None)
        after = self.plan.target[name]
        if name in self.plan.left:
            return LEFT
        if wished is None:
            goal, done = self.remembered.get(name), RESTORED
        else:
            goal, done = self.wanted[name] if name == wished else "0", APPLIED
        if after is not None and goal is not None and same_value(after, goal):
            return done
        errors = [self.refused_by[one] for one in members if one in self.refused_by]
        return READ_ONLY if any(error.errno == errno.EROFS for error in errors) else PERSISTED

    @property
    def changed(self):
        """Return whether anything changes."""
        moved = [name for name, value in self.plan.target.items() if not _same(self.running.get(name), value)]
        return bool(moved or self.file_changes)

    def diff(self):
        """Return the running and boot values, before and after, one line each."""
        texts = []
        for running, boot in (("before", self.boot_before), ("after", self.boot_after)):
            lines = []
            for name, item in self.items().items():
                lines.append("%s = %s, at boot %s\n" % (name, item[running], _boot_text(boot.get(name))))
            texts.append("".join(lines))
        header = "running and boot values"
        return {"before": texts[0], "after": texts[1], "before_header": header, "after_header": header}

    # Doing it.

    def apply(self):
        """Do what look() planned, and read it back. Raises Refused where that fails, with everything as it was."""
        written = []
        try:
            if self.texts and (self.plan.dropped or self.plan.writes):
                # Until the kernel has taken the new values the file holds the old ones above them, and all that is
                # remembered: a run that is stopped meanwhile leaves values of which each is known to be ours.
                self._put(self.place, self._render(self._union(), dict(self.remembered, **self.plan.before)))
            elif self.text is not None and self.place in self.file_changes:
                self._put(self.place, self.text)
            for name, value in self.plan.writes:
                self._set(name, value, written)
            for path, text in self.files.items():
                self._put(path, text)
            self._read_back()
        except (Refused, EnvironmentError) as error:
            self._go_back(written)
            raise Refused(str(error) if isinstance(error, Refused) else "%s; everything is as it was." % reason(error))

    def _union(self):
        wanted = list(self.wanted.items())
        return [pair for pair in self.ours if pair not in wanted] + wanted

    def _put(self, path, text):
        real = os.path.join(self.root, path.lstrip("/"))
        if text is None:
            owned_file.remove(real)
        elif owned_file.read(real) != text:
            owned_file.write(real, text, self.move)

    def _set(self, name, value, written):
        try:
            self.write_value(name, value)
        except EnvironmentError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise Refused(
                    "settings: the kernel does not take %s for %s (%s); everything is as it was."
                    % (value, name, os.strerror(error.errno) if error.errno else error)
                )
            # Opening it was allowed, writing is not: the file holds it, the kernel stays.
            self.refused_by[name] = error
            self.plan.target.update((one, self.running[one]) for one in vm_sysctl_plan.group(name))
        else:
            written.append(name)

    def _read_back(self):
        now = self._running(self.plan.target)
        for name, value in self.plan.target.items():
            if not _same(now[name], value):
                raise Refused(
                    "settings: %s was to be %s, and the kernel says %s; everything is as it was."
                    % (name, value, now[name])
                )
        boot = self._boot({})
        for name in self.plan.target:
            one, other = (found.get(name) or {} for found in (boot, self.boot_after))
            if one.get("value") != other.get("value"):
                raise Refused(
                    "path: the next boot was to make %s %s, and by the files it will be %s; everything is as it was."
                    % (name, other.get("value"), one.get("value"))
                )

    def _go_back(self, written):
        """Undo what this run did, as far as it goes; the first error is what the user has to know."""
        for name in reversed(written):
            members = sorted(vm_sysctl_plan.group(name), key=lambda one: number(self.running[one] or "") in (None, 0))
            _as_far_as_it_goes(self.write_value, members[0], self.running[members[0]])
        for path in self.files:
            _as_far_as_it_goes(self._put, path, self.texts.get(path))


def _as_far_as_it_goes(function, *arguments):
    try:
        function(*arguments)
    except EnvironmentError:
        pass


def _same(one, other):
    return one == other if one is None or other is None else same_value(one, other)


def _spoken(values, names=None):
    return ", ".join("%s %s" % (name, values[name]) for name in sorted(names or values))


def _list(overrides):
    return "; ".join(overrides)


def _boot_text(entry):
    if not entry or entry["value"] is None:
        return "not set"
    return "%s (%s line %s)" % (entry["value"], entry["file"], entry["line"])


def _override(name, entry, path):
    """Return what another file makes of a setting, as a clause."""
    entry = entry or {}
    if entry.get("zeroed_by"):
        return "%s line %s sets %s, which makes %s 0" % (entry["file"], entry["line"], entry["zeroed_by"], name)
    if entry.get("value") is not None:
        return "%s line %s sets %s to %s" % (entry["file"], entry["line"], name, entry["value"])
    for loser in entry.get("losers") or []:
        if loser["value"] is None and loser["file"] != path:
            return "%s line %s keeps %s from being set" % (loser["file"], loser["line"], name)
    return "%s is not set by any boot of this host" % name


def _why_not(folder):
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "its file system is read-only"
    return "permission denied"


def run(module):
    """Do what is asked for and return the result. Raises Refused."""
    change = Change(module.params, move=module.atomic_move)
    carry_out(module, change)
    return {
        "changed": change.changed,
        "keys": change.items(),
        "file": change.place,
        "agents": change.agents,
        "diff": change.diff(),
    }
