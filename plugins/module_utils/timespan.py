# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time spans as systemd writes and reads them (systemd.time(7))."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

_PART = re.compile(r"\s*([0-9]+)(?:\.([0-9]*))?\s*([A-Za-zµμ]*)")
_UNITS = {}
for _names, _microseconds in (
    ("us usec µs μs", 1),
    ("ms msec", 10**3),
    ("s sec second seconds", 10**6),
    ("m min minute minutes", 60 * 10**6),
    ("h hr hour hours", 3600 * 10**6),
    ("d day days", 86400 * 10**6),
    ("w week weeks", 7 * 86400 * 10**6),
    # As systemd.time(7) defines them: 30.44 and 365.25 days.
    ("M month months", 2629800 * 10**6),
    ("y year years", 31557600 * 10**6),
):
    for _one in _names.split():
        _UNITS[_one] = _microseconds


def microseconds(text):
    """Return the microseconds of a time span such as 90, 1min 30s or infinity (then None). Raises ValueError."""
    text = text.strip()
    if text == "infinity":
        return None
    if not text:
        raise ValueError("is empty")
    position, total = 0, 0
    while position < len(text):
        match = _PART.match(text, position)
        if not match or match.end() == position:
            raise ValueError("is no time span")
        unit = match.group(3) or "s"
        if unit not in _UNITS:
            raise ValueError("has a unit that systemd does not know")
        fraction = match.group(2) or ""
        total += int(match.group(1)) * _UNITS[unit]
        total += int(fraction) * _UNITS[unit] // 10 ** len(fraction) if fraction else 0
        position = match.end()
    return total
