# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the findings of a host propose, as a file of host_vars for a person to review.

Every value stands below its evidence. What the evidence does not carry far enough is there as a comment, with the
reason. Names and texts come from the host: none of them becomes a template, and none ends a comment.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ansible_collections.linux_memory.oom.plugins.plugin_utils import files, human, report

REVIEWED = "linux_memory_oom_reviewed"
ROLES = "linux_memory_oom_roles"
# Below it a finding is as likely wrong as right; a value that follows from it is for a person to decide.
SURE_ENOUGH = 0.6
_WIDTH = 118

_HEAD = f"""\
Proposed for {{host}} by linux_memory.oom.diagnose{{when}}.
Each value stands below the evidence that it follows from. Change what you know better, take out what you do not want,
and set {REVIEWED} to true: linux_memory.oom.remediate applies nothing before."""


class _Unsafe(str):
    """A text from a host in which Ansible would see a template."""


class _Dumper(yaml.SafeDumper):
    """Writes such a text with the tag that keeps Ansible from it."""


_Dumper.add_representer(_Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


@dataclass
class _Variable:
    """One variable of a role: its value, and the findings that it follows from, each with what became of it."""

    role: str
    name: str
    value: object = None
    is_set: bool = False
    said: list[str] = field(default_factory=list)


def proposal(host: str, findings: list[Mapping], when: str = "") -> str | None:
    """Return the text of the file for a host, or None where its findings propose no role.

    The findings stand in their order, the verdict first. Where two of them propose the same variable, units are put
    together, and of two values for one thing that of the earlier finding stays; a comment has the other.
    """
    variables: dict[str, _Variable] = {}
    for finding in findings:
        _take(finding, variables)
    if not variables:
        return None
    roles = sorted({variable.role for variable in variables.values() if variable.is_set})
    parts = [_comment(_HEAD.format(host=host, when=f" on {when}" if when else ""))]
    parts.append(_dump({REVIEWED: False, ROLES: roles}))
    return "---\n" + "\n".join(parts) + "".join(_blocks(list(variables.values())))


def _blocks(variables: list[_Variable]) -> Iterator[str]:
    """Give the text of each variable: its value, below what was not said right above it already."""
    shown: set[str] = set()
    before: list[str] = []
    for variable in variables:
        lines = _dump({variable.name: _safe(variable.value)}) if variable.is_set else ""
        if variable.said == before:
            yield lines
            continue
        said = [one.split("\n")[0] + " (See above.)" if one in shown else one for one in variable.said]
        yield "\n" + "\n".join(_comment(one) for one in said) + "\n" + lines
        shown.update(variable.said)
        before = variable.said


def place(path: Path, text: str, permissions: int = files.FILE_MODE) -> Path | None:
    """Write a proposal to a path, and return where it is now, or None where nothing new is proposed.

    A file that is there is somebody's work: a proposal of other values is written beside it, with the ending .new,
    which Ansible does not read. Raises OSError.
    """
    if not path.exists():
        files.write(path, text, permissions)
        return path
    if _values(path.read_text(encoding="utf-8", errors="replace")) == _values(text):
        return None
    beside = path.with_name(f"{path.name}.new")
    files.write(beside, text, permissions)
    return beside


def _values(text: str) -> object:
    """Return what a proposal sets, whether it is reviewed or not; the text itself where it is no longer YAML."""
    try:
        values = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        return text
    return {key: value for key, value in values.items() if key != REVIEWED} if isinstance(values, dict) else text


class _Loader(yaml.SafeLoader):
    """Reads !unsafe texts, and whatever else a person has put in, as what they are."""


_Loader.add_multi_constructor("!", lambda loader, tag, node: (tag, getattr(node, "value", None) and str(node.value)))


def _take(finding: Mapping, variables: dict[str, _Variable]) -> None:
    """Add what a finding proposes."""
    remedy = finding.get("remedy") or {}
    role = str(remedy.get("role") or "").removeprefix(report.OURS)
    if not role:
        return
    sure = (human.number(finding.get("confidence")) or 0) >= SURE_ENOUGH
    evidence = _evidence(finding)
    wanted = remedy.get("vars") or {}
    if not wanted:
        name = f"{role} (no value follows from the evidence)"
        variable = variables.setdefault(name, _Variable(role, name))
        variable.said.append(f"{evidence}\nThe role {role} fits; its values are for you to choose, see its README.")
    for name, value in wanted.items():
        variable = variables.setdefault(name, _Variable(role, name))
        variable.said.append(evidence)
        if not sure:
            text = _dump({name: _safe(value)}).rstrip("\n")
            variable.said.append(f"Not set, since that is not sure enough ({SURE_ENOUGH:.0%} is asked for):\n{text}")
        elif variable.is_set:
            variable.value, left = _merged(variable.value, value)
            variable.said += [f"Of the finding above, this was left out for an earlier one: {one}" for one in left]
        else:
            variable.value, variable.is_set = value, True


def _evidence(finding: Mapping) -> str:
    """Return what a finding is and what it rests on."""
    lines = [f"{report.cause_title(finding.get('cause'))}, {report.confidence_text(finding)}: {finding.get('summary')}"]
    lines += [f"- {report.evidence_text(item)}" for item in finding.get("evidence") or []]
    lines += report.arithmetic(finding)
    return "\n".join(lines)


def _merged(first: object, second: object, path: str = "") -> tuple[object, list[str]]:
    """Return two values together, and what of the second was left out."""
    if not isinstance(first, Mapping) or not isinstance(second, Mapping):
        return first, [] if first == second else [f"{path or 'the value'} {human.shorten(second, 200)}"]
    merged, left = dict(first), []
    for key, value in second.items():
        if key in merged:
            merged[key], more = _merged(merged[key], value, f"{path} {key}".strip())
            left += more
        else:
            merged[key] = value
    return merged, left


def _safe(value: object) -> object:
    """Return a value in which no text is a template."""
    if isinstance(value, Mapping):
        return {str(key): _safe(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_safe(inner) for inner in value]
    if isinstance(value, str) and "{" in value:
        return _Unsafe(value)
    return value


def _dump(value: object) -> str:
    # ASCII: of U+0085 and its like PyYAML reads something else than it wrote.
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000)


def _comment(text: str) -> str:
    """Return a text as lines of comments. What is indented is kept as it is; other lines are wrapped."""
    lines = []
    for line in human.printable(text, keep_lines=True).split("\n"):
        indent = "  " if line.startswith("- ") else ""
        wrapped = textwrap.wrap(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lines += [f"# {part}".rstrip() for part in ([line] if line.startswith(" ") else wrapped or [""])]
    return "\n".join(lines)
