# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether hosts are as their roles would make them: what the roles answer in check mode in, a sentence per setting out.

A role in check mode reads what the kernel and systemd have, and says what it would change: what it would not change is
as it has to be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from xml.etree import ElementTree

# What a module says of a setting that is in a file and yet not in force (their documentation has the words).
NOT_IN_FORCE = {
    "persisted_only": "it is in the file, and may not be written here",
    "read_only": "it is in the file, and the kernel's own is read-only here",
    "needs_restart": "a process still runs with what was before; restart the unit",
    "not_enforced": "systemd has it, and this host's kernel cannot enforce it",
    "missing_unit": "there is no such unit",
}
# XML 1.0 has no place for other control characters.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Check:
    """One setting of one host: whether it is as the role wants it, and one sentence about it."""

    host: str
    role: str
    what: str
    passed: bool
    sentence: str

    def told(self) -> str:
        """Return the sentence with its verdict and its host."""
        return f"{'PASS' if self.passed else 'FAIL'} {self.host}: {self.sentence}"


def checks(host: str, role: str, answer: Mapping, refused: str = "") -> list[Check]:
    """Return a check for each setting in what the modules of a role answered in check mode; refused: why it did not.

    A role that answers and has nothing to set is no check at all.
    """
    if refused:
        return [Check(host, role, role, False, f"{role} cannot be applied: {_one_line(refused)}")]
    return [_check(host, role, *setting) for setting in _settings(answer)]


def unasked(host: str) -> Check:
    """Return the check of a host that gave no answer."""
    return Check(host, "host", "answer", False, "the host could not be asked.")


def given_back(answer: Mapping) -> list[str]:
    """Return a sentence for each setting that the modules of a role took back, or would take back in check mode."""
    told = [
        f"{what} was {_words(before)} and is {_words(after)} again."
        for what, before, after, _status in _settings(answer)
        if before != after
    ]
    return told + [f"{name} is gone." for name in _gone(answer)]


def _gone(answer: Mapping) -> Iterator[str]:
    """Give the names of files and units that were there and are not to be."""
    for part in (answer.get("parts") or {}).values():
        yield from _gone(part)
    units = answer.get("units")
    for item in [*(answer.get("files") or []), *(units if isinstance(units, list) else [])]:
        if item.get("before") and not item.get("after"):
            yield item.get("path") or item["name"]


def _check(host: str, role: str, what: str, before: object, after: object, status: str) -> Check:
    if before != after:
        return Check(host, role, what, False, f"{what} is {_words(before)} and has to be {_words(after)}.")
    if status in NOT_IN_FORCE:
        return Check(host, role, what, False, f"{what} has to be {_words(after)}: {NOT_IN_FORCE[status]}.")
    return Check(host, role, what, True, f"{what} is {_words(after)}.")


def _settings(answer: Mapping) -> Iterator[tuple[str, object, object, str]]:
    """Give (what, before, after, status) for each setting in an answer, and in those of the parts of together."""
    for part in (answer.get("parts") or {}).values():
        yield from _settings(part)
    for name, item in (answer.get("keys") or {}).items():
        status = item.get("status") or ""
        yield name, item.get("before"), item.get("after"), status
        yield f"{name} at boot", item.get("boot_before"), item.get("boot"), ""
    for item in answer.get("items") or []:
        what = f"{item['unit']} {item['directive']}" if "unit" in item else item["name"]
        yield what, item.get("before"), item.get("after"), item.get("status") or ""
    for name, shares in (answer.get("devices") or {}).items():
        for key, item in shares.items():
            if isinstance(item, Mapping) and "after" in item:
                yield f"{key} of {name}", item.get("before"), item.get("after"), item.get("status") or ""
                yield f"{key} of {name} at boot", item.get("boot_before"), item.get("boot"), ""
    for item in answer.get("files") or []:
        yield from _of_parts(item["path"], item)
    units = answer.get("units")
    # systemd_dropin has a dictionary of that name, of other things.
    for item in units if isinstance(units, list) else []:
        yield from _of_parts(item["name"], item)


def _of_parts(name: str, item: Mapping) -> Iterator[tuple[str, object, object, str]]:
    """Give each property of something that has several, such as a swap file's size and priority."""
    before, after = item.get("before") or {}, item.get("after") or {}
    for key in after:
        yield f"{key} of {name}", before.get(key), after[key], ""


def _words(value: object) -> str:
    """Return a value as a person reads it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return _one_line(json.dumps(value, sort_keys=True))
    return _one_line(str(value)) or "empty"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def as_json(found: list[Check]) -> str:
    """Return checks as JSON: {passed, failed, checks}."""
    failed = sum(1 for check in found if not check.passed)
    told = {"passed": len(found) - failed, "failed": failed, "checks": [asdict(check) for check in found]}
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


def as_junit(found: list[Check]) -> str:
    """Return checks as JUnit's XML, which CI servers read: a suite for each host, a case for each setting."""
    root = ElementTree.Element("testsuites", name="linux_memory.oom")
    for host in dict.fromkeys(check.host for check in found):
        of_host = [check for check in found if check.host == host]
        failed = str(sum(1 for check in of_host if not check.passed))
        suite = ElementTree.SubElement(
            root, "testsuite", name=_xml(host), tests=str(len(of_host)), failures=failed, errors="0"
        )
        for check in of_host:
            case = ElementTree.SubElement(suite, "testcase", classname=_xml(check.role), name=_xml(check.what))
            if not check.passed:
                ElementTree.SubElement(case, "failure", message=_xml(check.sentence)).text = _xml(check.told())
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
