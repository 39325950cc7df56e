# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers and strings for people."""

from __future__ import annotations

import unicodedata

import pytest
from ansible_collections.linux_memory.oom.plugins.plugin_utils import human
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1 MiB"),
        (1023.96 * 1024**2, "1 GiB"),
        (21 * 1024**2 + 4096, "21 MiB"),
        (123.4 * 1024**2, "123 MiB"),
        (2067288064, "1.9 GiB"),
        (-4096, "-4 KiB"),
        (1024**7, "1024 EiB"),
    ],
)
def test_size(value, text):
    assert human.size(value) == text


@given(st.integers(min_value=0, max_value=1024**6))
def test_a_size_is_never_far_from_its_bytes(value):
    shown, unit = human.size(value).split(" ")
    scale = 1024 ** human.BYTE_UNITS.index(unit)
    assert abs(float(shown) * scale - value) <= 0.05 * max(scale, value)
    assert len(shown) <= 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (0.012, "12 ms"),
        (0.4123, "412 ms"),
        (4.25, "4.2 s"),
        (59.99, "60 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7200, "2 h"),
        (8947.8, "2 h 29 min"),
        (187200, "2 d 4 h"),
        (-90, "-1 min 30 s"),
    ],
)
def test_duration(value, text):
    assert human.duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 %"), (0.01, "<0.1 %"), (4.24, "4.2 %"), (9.96, "10 %"), (93.4, "93 %"), (100.0, "100 %")]
)
def test_percent(value, text):
    assert human.percent(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "bytes", "unknown"),
        (True, "count", "yes"),
        (1 << 30, "bytes", "1 GiB"),
        (0.913, "share", "91 %"),
        (12.5, "percent", "12 %"),
        (1234.5, "per_second", "1,234 per second"),
        (2 << 20, "bytes_per_second", "2 MiB/s"),
        (12345, "count", "12,345"),
        ("sda", "text", "sda"),
        ("sda", "bytes", "sda"),
        (["sda", "sdb"], "text", "sda, sdb"),
        (3, "parsecs", "3"),
        (float("nan"), "bytes", "nan"),
    ],
)
def test_quantity(value, unit, text):
    assert human.quantity(value, unit) == text


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()), st.sampled_from(list(human._UNITS)))
@example(1.8e306, "share")
def test_any_value_has_words(value, unit):
    assert isinstance(human.quantity(value, unit), str)


@given(st.text(alphabet=st.characters()))
def test_nothing_printable_acts_on_a_terminal(text):
    shown = human.printable(text)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(shown) == len(text)


def test_lines_are_kept_only_where_asked_for():
    assert human.printable("a\nb\x1b[2J") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[2J"
    assert human.printable("a\nb\tc", keep_lines=True) == "a\nb c"


def test_shorten():
    assert human.shorten("one  two\nthree", 20) == "one two three"
    assert human.shorten("one two three", 8) == "one two…"
