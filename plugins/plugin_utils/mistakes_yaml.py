# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds what Ansible's files set: sysctls and directives of units, in tasks, in variables, in text that is copied.

The text is composed, never constructed: lines stay known, and no tag (!vault, !unsafe) is acted on. Literal loops are
followed; what else holds Jinja is not guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from ansible_collections.linux_memory.oom.plugins.plugin_utils import mistakes, mistakes_commands
from ansible_collections.linux_memory.oom.plugins.plugin_utils.mistakes import Directive, Mistake, Setting

_SYSCTL = {"sysctl", "ansible.posix.sysctl", "ansible.builtin.sysctl"}
_COMMANDS = {"command", "shell", "ansible.builtin.command", "ansible.builtin.shell", "raw", "ansible.builtin.raw"}
_COPY = {"copy", "ansible.builtin.copy"}
_LINE = {"lineinfile", "ansible.builtin.lineinfile"}
_BLOCK = {"blockinfile", "ansible.builtin.blockinfile"}
_INI = {"ini_file", "community.general.ini_file"}
_OURS = {"vm_sysctl", "linux_memory.oom.vm_sysctl"}
_DROPIN = {"systemd_dropin", "linux_memory.oom.systemd_dropin"}
# Lists of {name, value}: the roles of linux-system-roles.
_LISTS = {"kernel_settings_sysctl"}
# The variables of our roles that are sysctls.
_VARIABLES = {
    "dirty_throttle_bytes": "vm.dirty_bytes",
    "dirty_throttle_ratio": "vm.dirty_ratio",
    "dirty_throttle_background_bytes": "vm.dirty_background_bytes",
    "dirty_throttle_background_ratio": "vm.dirty_background_ratio",
    "swap_tuning_swappiness": "vm.swappiness",
    "overcommit_limit_ratio": "vm.overcommit_ratio",
    "overcommit_limit_kbytes": "vm.overcommit_kbytes",
}
_UNITS = {"cgroup_memory_limit_units"}
# What runs on the same hosts, or holds for them, as what is above it. Other keys are groups of their own: hosts of an
# inventory, entries of a dictionary, and rescue or always, which run when something else went wrong or is over.
_TOGETHER = {"tasks", "pre_tasks", "post_tasks", "handlers", "block", "roles", "vars"}
_LOOPS = ("loop", "with_items", "with_list", "ansible.builtin.items", "with_ansible.builtin.items")

_SYSCTL_FILE = re.compile(r"(^|/)sysctl\.conf$|(^|/)sysctl\.d/[^/]+\.conf$")
_UNIT_FILE = re.compile(r"([^/]+\.(?:service|slice|scope|socket|mount|swap|timer))(?:\.d/[^/]+\.conf)?$")
_KEY = re.compile(r"(?:vm|kernel)[./][a-z][A-Za-z0-9_./-]*$")
_NAME = re.compile(r"(?:abi|debug|dev|fs|kernel|net|user|vm)\.[A-Za-z0-9_.*/-]+$")
# Whatever sets a crash kernel up has one of these words: packages, services, roles, command lines.
_KDUMP = re.compile(r"kdump|kexec-tools|crashkernel", re.IGNORECASE)
_ITEM = re.compile(r"\{\{\s*item(?:\.([A-Za-z_]\w*)|\[['\"]([A-Za-z_]\w*)['\"]\])?\s*\}\}")


def unit_of(path: str) -> str | None:
    """Return the name of the unit that a path is of, as a unit file or a drop-in; None for another path."""
    match = _UNIT_FILE.search(path)
    return match[1] if match else None


def is_sysctl_file(path: str) -> bool:
    """Return whether a path is one of those from which sysctls are read at boot."""
    return bool(_SYSCTL_FILE.search(path))


def is_sysctl_name(name: str) -> bool:
    """Return whether a name is one of the kernel's settings, as sysctl(8) writes them."""
    return bool(_NAME.match(name))


def says_kdump(text: str) -> bool:
    """Return whether a text sets up a crash kernel, or speaks of one."""
    return bool(_KDUMP.search(text))


def of_yaml(text: str) -> list[Mistake]:
    """Return the mistakes in a file of Ansible's: a playbook, tasks, handlers, or variables."""
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError:
        return []  # others say so
    found = _Found()
    for number, document in enumerate(documents):
        _walk(document, (number,), found)
    return found.mistakes(says_kdump(text))


@dataclass
class _Found:
    """What a file sets, and what was wrong in itself."""

    settings: list[Setting] = field(default_factory=list)
    units: dict[tuple, list[Directive]] = field(default_factory=dict)
    wrong: list[Mistake] = field(default_factory=list)

    def add_unit(self, unit: str, group: object, directives: list[Directive]) -> None:
        """Take directives of a unit."""
        self.units.setdefault((unit, group), []).extend(directives)

    def mistakes(self, has_kdump: bool) -> list[Mistake]:
        """Return the mistakes in all of it."""
        found = [*self.wrong, *mistakes.of_sysctls(self.settings, frozenset({"kdump"} if has_kdump else ()))]
        protected = {}
        for (unit, _group), directives in self.units.items():
            found += mistakes.of_directives(directives, unit, whole=False)
            for one in directives:
                if (one.name, one.value) == ("OOMScoreAdjust", "-1000"):
                    protected[unit] = one.line
        found += mistakes.of_protected(sorted(protected.values()), "this file")
        return sorted(set(found))


# Nodes


def _pairs(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the pairs of a mapping; empty for another node."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _text(node: yaml.Node | None) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _first_line(node: yaml.Node) -> int:
    """Return the line in which the text of a scalar begins: for a block, the one after its sign."""
    return _line(node) + (node.style in ("|", ">"))


def _is_literal(text: str | None) -> bool:
    return text is not None and "{{" not in text and "{%" not in text


def _is_absent(options: Mapping[str, yaml.Node]) -> bool:
    """Return whether a task takes a setting away, or may do so."""
    state = _text(options.get("state"))
    return state == "absent" or (state is not None and not _is_literal(state))


# The walk


def _walk(node: yaml.Node | None, group: tuple, found: _Found) -> None:
    """Look at a node and what is below it. group: the play and the conditions above."""
    for number, inner in enumerate(_items(node)):
        # Each play is for hosts of its own; tasks of a list belong together.
        _walk(inner, (*group, number) if "hosts" in _pairs(inner) else group, found)
    pairs = _pairs(node)
    if not pairs:
        return
    group = (*group, *(_told(pairs[name]) for name in ("when", "delegate_to") if name in pairs))
    _look_at_variables(pairs, group, found)
    for name, value in pairs.items():
        for item in _loop(pairs):
            _look_at(name, value, item, group, found)
        if name not in _LOOPS:
            _walk(value, group if name in _TOGETHER else (*group, name, _line(value)), found)


def _told(node: yaml.Node) -> str:
    """Return a condition, or a host, as one text."""
    return " and ".join(filter(None, map(_text, _items(node)))) or _text(node) or ""


def _loop(pairs: Mapping[str, yaml.Node]) -> Iterator[yaml.Node | None]:
    """Give the items of a task's literal loop; None alone for a task without one."""
    loops = [pairs[name] for name in _LOOPS if name in pairs]
    items = _items(loops[0]) if loops else []
    yield from items or [None]


def _filled(node: yaml.Node | None, item: yaml.Node | None) -> tuple[str | None, int]:
    """Return (the text of a node with the loop's item in it, its line); the line is the item's where that decides."""
    text = _text(node)
    if text is None or item is None or "item" not in text:
        return text, _line(node) if node else 0
    used = []

    def fill(match: re.Match) -> str:
        name = match[1] or match[2]
        value = _pairs(item).get(name) if name else item
        used.append(value)
        return _text(value) if _text(value) is not None else match[0]

    filled = _ITEM.sub(fill, text)
    there = [value for value in used if value is not None]
    return filled, _line(there[-1]) if there else _line(node)


def _look_at(name: str, value: yaml.Node, item: yaml.Node | None, group: tuple, found: _Found) -> None:
    """Look at one key: a module with its options, or a variable that is a list or a dictionary of settings."""
    options = _pairs(value) or _free_form(name, value)
    if name in _SYSCTL and not _is_absent(options):
        key, _line_of_key = _filled(options.get("name") or options.get("key"), item)
        what, line = _filled(options.get("value") or options.get("val"), item)
        if _is_literal(key) and what is not None:
            found.settings.append(Setting(mistakes.name_of(key), what, line, group))
    elif name in _OURS and not _is_absent(options):
        _settings(options.get("settings"), group, found)
    elif name in _COMMANDS:
        _of_command(value if _text(value) is not None else options.get("cmd"), options.get("argv"), group, found)
    elif name in _LISTS:
        for one in map(_pairs, _items(value)):
            if _text(one.get("name")) and _text(one.get("value")) is not None:
                key = mistakes.name_of(_text(one["name"]))
                found.settings.append(Setting(key, _text(one["value"]), _line(one["value"]), group))
    elif name in _COPY and options:
        _of_text(_filled(options.get("dest"), item)[0], options.get("content"), group, found)
    elif name in _BLOCK and options:
        _of_text(_filled(options.get("path") or options.get("dest"), item)[0], options.get("block"), group, found)
    elif name in _LINE and not _is_absent(options):
        path, _line_of_path = _filled(options.get("path") or options.get("dest"), item)
        line, number = _filled(options.get("line"), item)
        if _is_literal(path) and line is not None and is_sysctl_file(path):
            found.settings += mistakes.settings_of(line, number - 1, group)
        elif _is_literal(path) and line is not None and unit_of(path):
            directive, _sign, what = line.partition("=")
            found.add_unit(unit_of(path), group, [Directive("", directive.strip(), what.strip(), number)])
    elif name in _INI and not _is_absent(options):
        _of_ini(options, item, group, found)
    elif name in _DROPIN and not _is_absent(options):
        _of_units(options.get("units"), group, found)
    elif name in _UNITS:
        _of_units(value, group, found)


def _look_at_variables(pairs: Mapping[str, yaml.Node], group: tuple, found: _Found) -> None:
    """Look at a mapping as a whole: variables of our roles, or a dictionary that has sysctls for keys."""
    for name, sysctl in _VARIABLES.items():
        if _text(pairs.get(name)) is not None:
            found.settings.append(Setting(sysctl, _text(pairs[name]), _line(pairs[name]), group))
    if all(_KEY.match(name) or "." in name for name in pairs) and any(_KEY.match(name) for name in pairs):
        for name, value in pairs.items():
            # A dictionary of the kernel settings role has {name: {value: 1}} in some collections.
            text = _text(value) if _text(value) is not None else _text(_pairs(value).get("value"))
            if _KEY.match(name) and text is not None:
                found.settings.append(Setting(mistakes.name_of(name), text, _line(value), group))


def _settings(node: yaml.Node | None, group: tuple, found: _Found) -> None:
    """Take a dictionary of settings."""
    for name, value in _pairs(node).items():
        if _KEY.match(name) and _text(value) is not None:
            found.settings.append(Setting(mistakes.name_of(name), _text(value), _line(value), group))


def _free_form(name: str, value: yaml.Node) -> dict[str, yaml.Node]:
    """Return the options of a module that were written as one text, name=vm.swappiness value=10."""
    text = _text(value)
    if text is None or name not in _SYSCTL:
        return {}
    try:
        words = [word.partition("=") for word in shlex.split(text)]
    except ValueError:
        return {}
    mark = value.start_mark
    return {key: yaml.ScalarNode("tag:yaml.org,2002:str", word, mark, mark) for key, sign, word in words if sign}


def _of_command(command: yaml.Node | None, argv: yaml.Node | None, group: tuple, found: _Found) -> None:
    """Take what a command line, or a command with its arguments, sets."""
    there = [
        (name, value, _line(argv)) for name, value in mistakes_commands.of_arguments(list(map(_text, _items(argv))))
    ]
    if _text(command) is not None:
        first = _first_line(command)
        there += [(name, value, first + line) for name, value, line in mistakes_commands.of_shell(_text(command))]
    found.settings += [Setting(mistakes.name_of(name), value, line, group) for name, value, line in there]


def _of_text(path: str | None, content: yaml.Node | None, group: tuple, found: _Found) -> None:
    """Take the text that is written to a path."""
    text = _text(content)
    if path is None or text is None:
        return
    offset = _first_line(content) - 1
    if is_sysctl_file(path):
        found.settings += mistakes.settings_of(text, offset, group)
    elif unit_of(path):
        found.add_unit(unit_of(path), group, mistakes.directives_of(text, offset))


def _of_ini(options: Mapping[str, yaml.Node], item: yaml.Node | None, group: tuple, found: _Found) -> None:
    """Take one directive that ini_file writes into a unit file."""
    path, section, name = (
        _filled(options.get(option) or options.get(other), item)[0]
        for option, other in (("path", "dest"), ("section", "section"), ("option", "option"))
    )
    value, line = _filled(options.get("value"), item)
    if path and section and name and value is not None and unit_of(path):
        found.add_unit(unit_of(path), group, [Directive(section, name, value, line)])


def _of_units(node: yaml.Node | None, group: tuple, found: _Found) -> None:
    """Take {unit: {section: {directive: value}}}, the sections may be left out."""
    for unit, sections in _pairs(node).items():
        directives = []
        for name, value in _pairs(sections).items():
            inner = _pairs(value) or {name: value}
            for directive, one in inner.items():
                for text in [_text(one)] if _text(one) is not None else map(_text, _items(one)):
                    section = name if name != directive else ""
                    directives.append(Directive(section, directive, text or "", _line(one)))
        found.add_unit(unit, group, directives)
