# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers and strings as a person reads them: in the terminal, in a table, on the page."""

from __future__ import annotations

import math
import unicodedata

BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
TIME_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))

# What a terminal or a browser acts on instead of showing it: control and format characters (colour sequences,
# overrides of the writing direction), unpaired surrogates, and line ends other than those that we write.
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def number(value):
    """Return value as a float, or None where it is no number that anything measures (a bool is none either)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    # A share is shown as a hundred times its value: what is near the end of the floats is no measurement.
    return value if math.isfinite(value) and abs(value) < 1e300 else None


def plain_number(value):
    """Return a number with as many digits as help: "0", "0.043", "4.2", "17", "12,345"."""
    size = abs(value)
    if value == int(value) or size >= 100:
        return f"{value:,.0f}"
    if size >= 1:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2g}" if size >= 0.0001 else "0"


def size(value):
    """Return bytes in the largest binary unit that leaves at least 1: "512 B", "1.9 GiB", "-4 KiB"."""
    value = float(value)
    exponent = 0
    # 1023.95 would be shown as "1024.0".
    while abs(value) >= 1023.95 and exponent < len(BYTE_UNITS) - 1:
        value /= 1024
        exponent += 1
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}".removesuffix(".0")
    return f"{text} {BYTE_UNITS[exponent]}"


def duration(value):
    """Return seconds in at most two units: "12 ms", "4.2 s", "3 min 20 s", "2 d 4 h"."""
    if abs(value) < 1:
        return f"{plain_number(value * 1000)} ms" if value else "0 s"
    if abs(value) < 60:
        return f"{plain_number(value)} s"
    sign = "-" if value < 0 else ""
    rest = round(abs(value))
    for index, (unit, name) in enumerate(TIME_UNITS):
        if rest < unit:
            continue
        whole, rest = divmod(rest, unit)
        smaller, smaller_name = TIME_UNITS[index + 1] if index + 1 < len(TIME_UNITS) else (1, "s")
        part = rest // smaller
        return f"{sign}{whole} {name} {part} {smaller_name}" if part else f"{sign}{whole} {name}"
    return f"{sign}{rest} s"


def until(seconds):
    """Return when something happens: "now" within a second, else "in 3 min 20 s"."""
    return "now" if seconds < 1 else f"in {duration(seconds)}"


def percent(value):
    """Return a number of percent: "0 %", "4.2 %", "93 %", "<0.1 %"."""
    if 0 < abs(value) < 0.05:
        return "<0.1 %"
    rounded = round(value, 1)
    return f"{rounded:.0f} %" if rounded == int(rounded) or abs(rounded) >= 10 else f"{rounded:.1f} %"


_UNITS = {
    "bytes": size,
    "seconds": duration,
    "percent": percent,
    "share": lambda value: percent(value * 100),
    "per_second": lambda value: plain_number(value) + " per second",
    "bytes_per_second": lambda value: size(value) + "/s",
    "count": plain_number,
}


def quantity(value, unit):
    """Return a value of a finding's evidence in words; what is no number of a known unit is returned as its text."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(quantity(one, unit) for one in value)
    numeric = number(value)
    written = _UNITS.get(str(unit))
    return str(value) if numeric is None or written is None else written(numeric)


def printable(text, keep_lines=False):
    """Return text with every character that a terminal acts on replaced by U+FFFD; tabs become blanks."""
    kept = "\n" if keep_lines else ""
    text = str(text).replace("\t", " ")
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in kept or unicodedata.category(char) not in _UNPRINTABLE else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def shorten(text, length):
    """Return text in one line of at most length characters; an ellipsis shows that something was left out."""
    text = " ".join(str(text).split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
