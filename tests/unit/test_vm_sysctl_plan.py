# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written so that settings are as wished, in which order, and the way back."""

from __future__ import annotations

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import vm_sysctl_plan as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.sysctl import PAIRS, swap_separators
from hypothesis import assume, given
from hypothesis import strategies as st
from sysctl_hosts import START

KNOWN = [swap_separators(key) for key in START]
RUNNING = {swap_separators(key): " ".join(value.split()) for key, value in START.items()}
GIB = 1024**3


def check(settings, version=(6, 1), known=KNOWN):
    """Return the checked settings as an ordinary dict."""
    return dict(subject.check(settings, known, version, 4096, " (a kernel)"))


@pytest.mark.parametrize(
    ("settings", "checked"),
    [
        ({"vm.swappiness": 100}, {"vm.swappiness": "100"}),
        ({"vm/swappiness": "0x10"}, {"vm.swappiness": "16"}),
        ({"vm.swappiness": " 7 "}, {"vm.swappiness": "7"}),
        ({"vm.page-cluster": 0}, {"vm.page-cluster": "0"}),
        ({"vm.lowmem_reserve_ratio": "256 256\t32"}, {"vm.lowmem_reserve_ratio": "256 256 32"}),
        ({"vm.dirty_bytes": 8192}, {"vm.dirty_bytes": "8192"}),
        ({"vm.dirty_bytes": 10**9, "vm.dirty_ratio": 0}, {"vm.dirty_bytes": "1000000000"}),
        ({"vm.dirty_background_ratio": 0}, {"vm.dirty_background_ratio": "0"}),
        ({"kernel.panic": -1}, {"kernel.panic": "-1"}),
        ({}, {}),
    ],
)
def test_settings_are_understood(settings, checked):
    assert check(settings) == checked


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"vm.swappiness": 201}, "vm.swappiness is 201; this kernel .a kernel. takes 0 to 200"),
        ({"vm.swappiness": -1}, "takes 0 to 200"),
        ({"vm.swappiness": "many"}, "'many', which is not a whole number"),
        ({"vm.swappiness": True}, "True, which is not a whole number"),
        ({"vm.swappiness": 1.5}, "1.5, which is not a whole number"),
        ({"vm.swappiness": None}, "None, which is not a whole number"),
        ({"vm.swappiness": "1 2"}, "not a whole number"),
        ({"vm.swappiness": ""}, "not a whole number"),
        ({"vm.swappiness": "1\nkernel.sysrq=1"}, "not a whole number"),
        ({"vm.swappiness": 1, "vm/swappiness": 2}, "vm.swappiness is given twice"),
        ({"vm.swapiness": 1}, "has no vm.swapiness"),
        ({"vm.drop_caches": 3}, "does something once"),
        ({"kernel.sysrq": 1}, "kernel.sysrq is not a setting of vm or kernel.panic"),
        ({"net.core.somaxconn": 1}, "is not a setting of vm or kernel.panic"),
        ({"vm.../x": 1}, "is not a setting of vm or kernel.panic"),
        ({"vm.x = 1\nvm.y": 1}, "is not a setting of vm or kernel.panic"),
        ({"vm.dirty_bytes": 8191}, "takes 8192 to"),
        ({"vm.dirty_bytes": 0}, "vm.dirty_bytes may not be 0; what is meant by that is said with vm.dirty_ratio"),
        ({"vm.dirty_ratio": 0}, "vm.dirty_ratio may not be 0"),
        ({"vm.overcommit_kbytes": 0}, "vm.overcommit_kbytes may not be 0"),
        ({"vm.dirty_bytes": 10**9, "vm.dirty_ratio": 20}, "are one setting"),
        ({"vm.dirty_background_bytes": 0, "vm.dirty_background_ratio": 0}, "are one setting"),
        ({"vm.dirty_ratio": 10, "vm.dirty_background_ratio": 10}, "is 10, which is not below vm.dirty_ratio, 10"),
        ({"vm.dirty_bytes": 10**8, "vm.dirty_background_bytes": 10**9}, "not below vm.dirty_bytes"),
        ({"vm.overcommit_memory": 3}, "takes 0 to 2"),
        ({"vm.swappiness": 2**80}, "takes 0 to 200"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(settings, words):
    with pytest.raises(ValueError, match=words) as caught:
        check(settings)
    assert str(caught.value).startswith("settings: ")
    assert str(caught.value).endswith(".")
    assert str(caught.value).count(". ") == 0


@pytest.mark.parametrize(
    ("name", "value", "version", "takes"),
    [
        ("vm.swappiness", 150, (5, 7), False),
        ("vm.swappiness", 150, (5, 8), True),
        ("vm.swappiness", 100, (4, 18), True),
        ("vm.watermark_scale_factor", 2000, (5, 16), False),
        ("vm.watermark_scale_factor", 2000, (5, 17), True),
    ],
)
def test_ranges_depend_on_the_kernel(name, value, version, takes):
    if takes:
        assert check({name: value}, version) == {name: str(value)}
    else:
        with pytest.raises(ValueError, match="this kernel"):
            check({name: value}, version)


def test_versions():
    assert subject.kernel_version("5.10.0-32-amd64") == (5, 10)
    assert subject.kernel_version("7.3") == (7, 3)
    assert subject.kernel_version(None) > (7, 3)


# The pairs, as the kernel treats them.


def write(values, name, value):
    """Return the values after the kernel has taken one."""
    key = name.replace(".", "/", 1)
    after = {**values, name: value}
    other = swap_separators(PAIRS[key]) if key in PAIRS else None
    if other and (values[name] != value or name not in ("vm.dirty_ratio", "vm.dirty_bytes")):
        after[other] = "0"
    return after


def states(plan, running):
    """Return every state that the writes of a plan pass through, the first and the last among them."""
    found = [dict(running)]
    for name, value in plan.writes:
        found.append(write(found[-1], name, value))
    return found


RATIO, BYTES = st.integers(1, 100).map(str), st.integers(8192, 2 * GIB).map(str)


@st.composite
def pairs(draw):
    """Return values of both dirty pairs that a kernel can have."""
    values = {}
    for ratio, size in (
        ("vm.dirty_ratio", "vm.dirty_bytes"),
        ("vm.dirty_background_ratio", "vm.dirty_background_bytes"),
    ):
        by_ratio = draw(st.booleans())
        values[ratio], values[size] = (draw(RATIO), "0") if by_ratio else ("0", draw(BYTES))
    return values


@given(pairs(), pairs(), st.integers(64 * 1024**2, 64 * GIB))
def test_the_background_limit_never_reaches_the_dirty_limit_on_the_way(start, end, dirtyable):
    assume(subject.background_is_below(start, dirtyable) and subject.background_is_below(end, dirtyable))
    wanted = {name: value for name, value in end.items() if value != "0"}
    made = subject.plan(wanted, start, dirtyable=dirtyable)
    passed = states(made, start)
    assert passed[-1] == end == dict(made.target)
    for state in passed:
        assert subject.background_is_below(state, dirtyable)


@given(pairs(), pairs())
def test_what_is_taken_back_is_what_was_there(start, end):
    wanted = {name: value for name, value in end.items() if value != "0"}
    there = subject.plan(wanted, start)
    middle = states(there, start)[-1]
    back = subject.plan({}, middle, old=wanted, remembered=dict(there.before))
    assert states(back, middle)[-1] == start
    assert not back.left
    # Twice is once.
    assert not subject.plan(wanted, middle, wanted, dict(there.before)).writes
    again = subject.plan({}, start, old=wanted, remembered=dict(there.before))
    assert not again.writes and not again.left


def test_a_pair_is_written_once_and_told_of_twice():
    made = subject.plan({"vm.dirty_bytes": "1000000"}, RUNNING)
    assert made.writes == [("vm.dirty_bytes", "1000000")]
    assert dict(made.target) == {"vm.dirty_bytes": "1000000", "vm.dirty_ratio": "0"}
    assert dict(made.before) == {"vm.dirty_bytes": "0", "vm.dirty_ratio": "20"}


def test_what_was_before_is_remembered_from_the_first_time():
    made = subject.plan(
        {"vm.swappiness": "10"}, {"vm.swappiness": "30"}, {"vm.swappiness": "30"}, {"vm.swappiness": "60"}
    )
    assert dict(made.before) == {"vm.swappiness": "60"}


def test_what_is_no_longer_asked_for_goes_back():
    running = {**RUNNING, "vm.swappiness": "10", "vm.page-cluster": "0"}
    made = subject.plan(
        {"vm.swappiness": "10"},
        running,
        {"vm.swappiness": "10", "vm.page-cluster": "0"},
        {"vm.swappiness": "60", "vm.page-cluster": "3"},
    )
    assert made.writes == [("vm.page-cluster", "3")]
    assert dict(made.before) == {"vm.swappiness": "60"}
    assert made.dropped == ["vm.page-cluster"]


def test_what_somebody_else_has_changed_stays():
    made = subject.plan({}, {**RUNNING, "vm.swappiness": "33"}, {"vm.swappiness": "10"}, {"vm.swappiness": "60"})
    assert (made.writes, made.left) == ([], ["vm.swappiness"])
    assert dict(made.target) == {"vm.swappiness": "33"}


def test_from_bytes_to_a_ratio_keeps_what_was_there_first():
    running = {**RUNNING, "vm.dirty_bytes": "1000000", "vm.dirty_ratio": "0"}
    made = subject.plan(
        {"vm.dirty_ratio": "5"},
        running,
        {"vm.dirty_bytes": "1000000"},
        {"vm.dirty_bytes": "0", "vm.dirty_ratio": "20"},
    )
    assert made.writes == [("vm.dirty_ratio", "5")]
    assert made.dropped == []
    assert dict(made.before) == {"vm.dirty_bytes": "0", "vm.dirty_ratio": "20"}


def test_what_cannot_be_written_stays():
    made = subject.plan({"vm.dirty_bytes": "1000000", "vm.swappiness": "60"}, RUNNING, writable=lambda _name: False)
    assert made.writes == []
    assert dict(made.target) == {"vm.dirty_bytes": "0", "vm.dirty_ratio": "20", "vm.swappiness": "60"}


@pytest.mark.parametrize(
    ("running", "wanted", "order"),
    [
        # The limit before the mode that needs it, the mode away before its limit.
        (
            {},
            {"vm.overcommit_memory": "2", "vm.overcommit_ratio": "90"},
            ["vm.overcommit_ratio", "vm.overcommit_memory"],
        ),
        (
            {"vm.overcommit_memory": "2", "vm.overcommit_ratio": "90"},
            {"vm.overcommit_memory": "0", "vm.overcommit_ratio": "50"},
            ["vm.overcommit_memory", "vm.overcommit_ratio"],
        ),
        # A restart after a panic before panics are asked for, and the reverse.
        ({}, {"vm.panic_on_oom": "1", "kernel.panic": "10"}, ["kernel.panic", "vm.panic_on_oom"]),
        (
            {"vm.panic_on_oom": "1", "kernel.panic": "10"},
            {"vm.panic_on_oom": "0", "kernel.panic": "0"},
            ["vm.panic_on_oom", "kernel.panic"],
        ),
        (
            {},
            {"vm.dirty_ratio": "5", "vm.dirty_background_ratio": "2"},
            ["vm.dirty_background_ratio", "vm.dirty_ratio"],
        ),
        (
            {},
            {"vm.dirty_ratio": "60", "vm.dirty_background_ratio": "30"},
            ["vm.dirty_ratio", "vm.dirty_background_ratio"],
        ),
    ],
)
def test_order(running, wanted, order):
    assert [name for name, _value in subject.plan(wanted, {**RUNNING, **running}).writes] == order


def test_unlike_limits_are_compared_where_it_is_known_of_what():
    values = {"vm.dirty_ratio": "20", "vm.dirty_background_bytes": "1000000000"}
    assert subject.background_is_below(values) is None
    assert subject.background_is_below(values, 4 * 10**9) is False
    assert subject.background_is_below(values, 10**10) is True
    assert subject.background_is_below({}) is None


@given(st.text())
def test_any_file_is_read(text):
    subject.values_of(text)


def test_of_a_pair_the_later_line_counts():
    assert subject.values_of("vm.dirty_ratio = 3\nvm.dirty_bytes=9000\nvm.swappiness=1\n") == {
        "vm.dirty_bytes": "9000",
        "vm.swappiness": "1",
    }
