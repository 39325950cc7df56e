# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking systemd: properties of units, what it knows, what it says of a drop-in before it counts; reload and restart.

What was seen of systemd-analyze verify with systemd 247, 252 and 257: it exits 0 whatever is unknown or invalid in a
drop-in, and says "PATH:LINE: ..." ("[PATH:LINE] ..." before 240, src/shared/conf-parser.c); it reads drop-ins of
templates and prefixes only through a unit that uses them; it takes no scope. Older versions want the path of a file
that is there, and look for drop-ins beside it first (generate_path() in src/analyze/analyze-verify.c).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fnmatch
import os
import re
import shutil
import tempfile

from ansible_collections.linux_memory.oom.plugins.module_utils import dropin

_DAEMONS = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

# What makes a unit want a controller (systemd.resource-control(5)).
_ACCOUNTING = {"io": "IOAccounting", "memory": "MemoryAccounting", "pids": "TasksAccounting"}

# What is asked of each unit beside the properties of its directives.
ALWAYS = (
    "Id",
    "LoadState",
    "ActiveState",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "ControlGroup",
    "MainPID",
    "ExecMainStartTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
)
# What the preflight of limits wants to know besides.
FOR_LIMITS = ("MemoryMax", "MemorySwapMax", "Restart", "RestartUSec", "StartLimitIntervalUSec", "StartLimitBurst")

# A made-up unit of each kind that a drop-in can be tried on where the host has no file for it.
_EMPTY = {
    "service": "[Service]\nExecStart=/bin/true\n",
    "socket": "[Socket]\nListenStream=/run/linux_memory_oom.socket\n",
    "timer": "[Timer]\nOnActiveSec=1h\n",
    "path": "[Path]\nPathExists=/\n",
    "slice": "[Slice]\n",
    "target": "[Unit]\n",
}


class SystemdError(Exception):
    """systemd or one of its tools failed; the text says which and how."""


class Systemd:
    """One host's systemd. run: what commands.runner returns."""

    def __init__(self, run):
        self._run = run
        self._known = None

    def _call(self, command, environment=None):
        return self._run(
            command, environ_update=dict(environment or {}, LC_ALL="C", SYSTEMD_COLORS="0", SYSTEMD_PAGER="")
        )

    def running(self):
        """Return whether systemd runs this host (sd_booted(3))."""
        return os.path.isdir("/run/systemd/system")

    def known(self):
        """Return {section: directives} that this host's systemd knows; {} where it cannot be asked."""
        if self._known is None:
            self._known = {}
            for program in _DAEMONS:
                if os.path.exists(program):
                    status, said, _errors = self._call([program, "--dump-configuration-items"])
                    self._known = dropin.parse_items(said) if status == 0 else {}
                    break
        return self._known

    def version(self):
        """Return the version, such as 252, or None."""
        status, said, _errors = self._call(["systemctl", "--version"])
        match = re.match(r"systemd ([0-9]+)", said) if status == 0 else None
        return int(match.group(1)) if match else None

    def show(self, names, properties):
        """Return {name: [properties of each unit]}, each {property: [values]}; asked for in one call.

        A name of one unit has one entry, a pattern (template, prefix) one for each unit that systemd has loaded.
        """
        plain = [name for name in names if not dropin.pattern(name)]
        patterns = {name: dropin.pattern(name) for name in names if dropin.pattern(name)}
        if not names:
            return {}
        wanted = ",".join(sorted(set(ALWAYS) | set(properties)))
        # systemctl answers plain names first and in their order, then what the patterns match.
        status, said, errors = self._call(
            ["systemctl", "show", "--property=" + wanted, "--"] + plain + sorted(patterns.values())
        )
        blocks = parse_show(said)
        if status != 0 or len(blocks) < len(plain):
            raise SystemdError("systemctl show failed: %s" % (errors.strip() or "it answered for too few units"))
        found = {name: [blocks[place]] for place, name in enumerate(plain)}
        for name, wildcard in patterns.items():
            rest = blocks[len(plain) :]
            found[name] = [block for block in rest if fnmatch.fnmatchcase(first(block, "Id"), wildcard)]
        return found

    def reading(self, name):
        """Return the units whose drop-ins of a name systemd has read, whether or not the files are still there."""
        status, said, errors = self._call(["systemctl", "show", "--property=DropInPaths", "--", "*"])
        if status != 0:
            raise SystemdError("systemctl show failed: %s" % errors.strip())
        paths = {path for block in parse_show(said) for path in words(first(block, "DropInPaths"))}
        return sorted(
            dropin.unit_of_path(path)
            for path in paths
            if path.startswith(dropin.DIRECTORY) and path.endswith(".d/" + name)
        )

    def reload(self):
        """Make systemd read its files again."""
        status, _said, errors = self._call(["systemctl", "daemon-reload"])
        if status != 0:
            raise SystemdError("systemctl daemon-reload failed: %s" % errors.strip())

    def realize(self, above, controller):
        """Let systemd enable a controller for what runs in a slice. above: the slice's control group; "/" is the root.

        After daemon-reload systemd enables controllers unit by unit, in any order: what comes before its slice goes
        without (seen with 257; systemd issue 33819). A unit that starts in the slice and wants the controller brings it
        to all of them. Nothing is said where that fails: what is read back afterwards says it.
        """
        name = os.path.basename(above) or "-.slice"
        if not name.endswith(".slice") or controller not in _ACCOUNTING:
            return
        words = ["--quiet", "--wait", "--collect", "--slice=" + name, "--property=%s=yes" % _ACCOUNTING[controller]]
        self._call(["systemd-run"] + words + ["true"])

    def restart(self, units):
        """Restart units that run. Raises SystemdError with systemd's words."""
        status, _said, errors = self._call(["systemctl", "try-restart", "--"] + units)
        if status != 0:
            raise SystemdError(_one_line(errors))

    def start(self, units):
        """Start units, as well as it goes."""
        self._call(["systemctl", "reset-failed", "--"] + units)
        self._call(["systemctl", "start", "--"] + units)

    def verify(self, drop_ins, name, folder):
        """Return what systemd complains of in drop-ins, {unit: [sentences]}; only units with complaints.

        drop_ins: {unit: (text of the drop-in, path of the unit's own file or None)}. name: of the drop-ins' files.
        folder: where to lay the copies that are read.
        """
        stage = tempfile.mkdtemp(prefix="verify-", dir=folder)
        try:
            tried = {}
            for unit, (text, fragment) in drop_ins.items():
                tried[unit] = _lay(stage, unit, text, fragment, name)
            said = self._verify(stage, tried.values())
            found = {}
            for unit in drop_ins:
                complaints = complaints_in(said, os.path.join(stage, tried[unit][0], name))
                if complaints:
                    found[unit] = complaints
            odd = [unit for unit in drop_ins if unit not in found and _of_unit(said, tried[unit][1])]
            if odd:
                # A whole unit is refused only together with its drop-in: what is said without it is none of ours.
                for unit in odd:
                    os.unlink(os.path.join(stage, tried[unit][0], name))
                before = self._verify(stage, [tried[unit] for unit in odd])
                for unit in odd:
                    known = _of_unit(before, tried[unit][1])
                    fresh = [line for line in _of_unit(said, tried[unit][1]) if line not in known]
                    if fresh:
                        found[unit] = fresh
            return found
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    def _verify(self, stage, tried):
        paths = [os.path.join(stage, one) for one in sorted({path for _folder, path in tried})]
        status, said, errors = self._call(
            ["systemd-analyze", "verify", "--man=no"] + paths, {"SYSTEMD_UNIT_PATH": stage + ":"}
        )
        if status == 127 or "not found" in errors and "systemd-analyze" in errors.split("\n", 1)[0]:
            raise SystemdError("systemd-analyze is not installed, so nothing can be validated before it counts")
        return _COLOURS.sub("", said + errors)


def _lay(stage, unit, text, fragment, name):
    """Lay the copy of a drop-in and of the unit that it is tried on; return (folder of the drop-in, unit's file)."""
    ending = unit.rsplit(".", 1)[1]
    folder = unit + ".d"
    if ending == "scope":
        # A scope has no file and cannot be verified. A service takes what a scope takes.
        folder, ending = unit[: -len("scope")] + "service.d", "service"
        text = text.replace("[Scope]", "[Service]")
    tried = folder[: -len(".d")]
    stem = tried[: -len(ending) - 1]
    if dropin.pattern(unit):
        # What a template or a prefix says is read through one of its units.
        tried = stem + "linux_memory_oom." + ending
    own = None
    if fragment:
        try:
            with open(fragment, encoding="utf-8", errors="surrogateescape") as file:
                own = file.read()
        except (IOError, OSError):
            own = None
    if own is None:
        own = _EMPTY.get(ending)
    os.makedirs(os.path.join(stage, folder), 0o755)
    for path, content in ((os.path.join(folder, name), text), (tried, own)):
        if content is not None:
            with open(os.path.join(stage, path), "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(content)
    return folder, tried


def complaints_in(said, path):
    """Return what systemd-analyze said of a file, without the file's name, each sentence once."""
    found = []
    for line in said.split("\n"):
        match = re.match(r"\[?" + re.escape(path) + r"(?=[:\] ])[:\]0-9]* *(.*)", line.strip())
        # Old names that it still takes are no fault: they are used where there is no new one.
        if match and "please use" not in match.group(1) and match.group(1) not in found:
            found.append(match.group(1))
    return found


def _of_unit(said, unit):
    """Return the lines that systemd-analyze said of a unit as a whole."""
    return [line.strip() for line in said.split("\n") if line.strip().startswith((unit + ":", "Unit " + unit))]


def _one_line(text):
    return " ".join(line.strip() for line in text.strip().split("\n") if line.strip())


def parse_show(text):
    """Return the units that systemctl show printed: a list of {property: [values]}."""
    blocks, block = [], {}
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if equals and re.match(r"[A-Za-z0-9]+$", name):
            block.setdefault(name, []).append(value)
        elif not line and block:
            blocks.append(block)
            block = {}
    return blocks + [block] if block else blocks


def first(block, name, otherwise=""):
    """Return the first value of a property."""
    values = block.get(name)
    return values[0] if values else otherwise


def words(text):
    """Return the words of a list of paths as systemctl shows it (DropInPaths): blanks and backslashes are escaped."""
    return [re.sub(r"\\(x[0-9a-f]{2}|.)", _unescape, word) for word in text.split(" ") if word]


def _unescape(match):
    what = match.group(1)
    return chr(int(what[1:], 16)) if len(what) == 3 else what
