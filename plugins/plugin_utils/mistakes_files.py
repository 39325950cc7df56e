# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes with memory settings in one file of a repository: of Ansible, of a unit, of sysctls, or a template."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.linux_memory.oom.plugins.plugin_utils import mistakes, mistakes_yaml
from ansible_collections.linux_memory.oom.plugins.plugin_utils.mistakes import Mistake

# Where several files of a directory become one configuration of a host: nobody reads more than these.
_MOST_NEIGHBOURS = 200
_PROTECTED = re.compile(r"^\s*OOMScoreAdjust\s*=\s*-1000\s*$", re.MULTILINE)


def of_file(path: str | Path, text: str, is_yaml: bool) -> list[Mistake]:
    """Return the mistakes in a file. is_yaml: it is a playbook, tasks or variables, and not a file for a host."""
    place = Path(path)
    if is_yaml:
        return mistakes_yaml.of_yaml(text)
    meant = str(place.with_suffix("") if place.suffix == ".j2" else place)
    if mistakes_yaml.is_sysctl_file(meant) or _is_sysctl_by_content(place, meant, text):
        return _of_sysctls(place, text)
    unit = mistakes_yaml.unit_of(meant)
    return _of_unit(place, text, unit) if unit else []


def _is_sysctl_by_content(place: Path, meant: str, text: str) -> bool:
    """Return whether a .conf below files/ or templates/ of a role holds sysctls: where it goes is said elsewhere."""
    if not meant.endswith(".conf") or not {"files", "templates"} & set(place.parts):
        return False
    settings = mistakes.settings_of(text)
    return bool(settings) and all(mistakes_yaml.is_sysctl_name(setting.name) for setting in settings)


def _of_sysctls(place: Path, text: str) -> list[Mistake]:
    settings = mistakes.settings_of(text)
    said = {"kdump"} if mistakes_yaml.says_kdump(text) else set()
    for other in _neighbours(place, (".conf", ".j2")):
        said |= {setting.name for setting in mistakes.settings_of(other)}
        said |= {"kdump"} if mistakes_yaml.says_kdump(other) else set()
    return mistakes.of_sysctls(settings, frozenset(said))


def _of_unit(place: Path, text: str, unit: str) -> list[Mistake]:
    found = mistakes.of_unit_file(text, unit, whole=place.parent.suffix != ".d")
    here = [text.count("\n", 0, match.start(0)) + 1 for match in _PROTECTED.finditer(text)]
    if here:
        others = sum(1 for other in _neighbours(place, place.suffixes[-1:]) if _PROTECTED.search(other))
        lines = [*here[-1:], *[here[-1]] * others]
        found += mistakes.of_protected(lines, f"the directory {place.parent.name}")
    return sorted(set(found))


def _neighbours(place: Path, suffixes: tuple[str, ...] | list[str]) -> list[str]:
    """Return the texts of the other files in a file's directory; what cannot be read is left out."""
    texts = []
    for other in sorted(place.absolute().parent.glob("*"))[:_MOST_NEIGHBOURS]:
        if other.suffix in suffixes and other.name != place.name and other.is_file():
            try:
                texts.append(other.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError):
                continue
    return texts
