# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Safe readers of facts that may hold anything.

Facts come from a file of last week as often as from a live host: a field may be missing, null or of another type.
Whatever is read here comes back as plain Python data without Ansible's tags, or as None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils import human

# No counter of a kernel is larger, and no text that names something of a host needs to be longer.
LARGEST = 1 << 64
LONGEST_NUMBER = 32
LONGEST_TEXT = 120

PERCENT = 100
KIB = 1024
MIB = 1024**2


def number(value: Any) -> float | int | None:
    """Return a finite number of at least 0 and at most LARGEST, read from a number or from its text, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        if isinstance(value, str):
            value = float(value) if len(value) <= LONGEST_NUMBER else math.nan
        if not 0 <= value <= LARGEST:
            return None
    except ValueError:
        return None
    whole = int(value)
    return whole if whole == value else float(value)


def text(value: Any, longest: int = LONGEST_TEXT) -> str | None:
    """Return one printable line of at most so many characters, or None where value is no text or empty."""
    if not isinstance(value, str):
        return None
    line = "".join(sign if sign.isprintable() else "?" for sign in value[:longest]).strip()
    return line or None


def flag(value: Any) -> bool | None:
    """Return a truth value, or None where value is none."""
    return bool(value) if isinstance(value, bool) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def at(value: Any, *keys: str) -> Any:
    """Return value[key][key]..., None as soon as a step is missing or is no mapping."""
    for key in keys:
        value = mapping(value).get(key)
    return value


def numbers(value: Any) -> dict[str, float | int]:
    """Return the entries of a mapping that are numbers."""
    found = ((key, number(raw)) for key, raw in mapping(value).items() if isinstance(key, str))
    return {key: known for key, known in found if known is not None}


def rows(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the mappings of a list, nothing where value is no list."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        yield from (row for row in value if isinstance(row, Mapping))


def total(*values: float | None) -> float | int | None:
    """Return the sum of the values that are known, None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def ratio(part: float | None, whole: float | None) -> float | None:
    """Return part/whole, None where either is unknown or whole is 0."""
    return None if part is None or not whole else part / whole


def percent(share: float) -> str:
    """Return a share of 0 to 1 as "12 %"."""
    return human.percent(share * PERCENT)
