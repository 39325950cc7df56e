# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host is worse off after a change: by its kills outside of limited units, and by its stalls."""

from __future__ import annotations

from ansible_collections.linux_memory.oom.plugins.plugin_utils.outcome import worse
from hypothesis import given
from hypothesis import strategies as st


def reading(uptime, kills=0, stalled=0.0, average=0.0, units=None):
    """Return facts; units: {name: (kills in it, percent of the time that it stands still)}."""
    groups = [
        {"unit": name, "events": {"oom_kill": killed}, "pressure": {"full": {"avg10": full}}}
        for name, (killed, full) in (units or {}).items()
    ]
    full = {"total": stalled, "avg10": average, "avg60": 0.0, "avg300": 0.0}
    return {
        "system": {"uptime": uptime},
        "vmstat": {"counters": {"oom_kill": kills}},
        "pressure": {"memory": {"full": full}},
        "cgroups": {"groups": groups},
    }


def test_nothing_that_happened_is_nothing_worse():
    assert worse(reading(100, kills=3, stalled=50), reading(160, kills=3, stalled=50.5)) == []


def test_a_kill_is_worse_and_one_inside_of_a_limited_unit_is_not():
    before = reading(100, units={"shop.service": (1, 0)})
    inside = reading(160, kills=1, units={"shop.service": (2, 0)})
    assert worse(before, inside, ["shop.service"]) == []
    (said,) = worse(before, inside)
    assert "killed a process outside" in said
    both = reading(160, kills=3, units={"shop.service": (2, 0)})
    (said,) = worse(before, both, ["shop.service"])
    assert "2 processes outside of the limited units (and 1 inside" in said


def test_in_a_container_only_its_own_units_count():
    before = reading(100, units={"shop.service": (0, 0), "other.service": (1, 0)})
    after = reading(160, kills=9, stalled=50, units={"shop.service": (2, 0), "other.service": (1, 0)})
    after["system"]["container"] = "podman"
    assert worse(before, after, ["shop.service"]) == []
    (said,) = worse(before, after, ["other.service"])
    assert "2 processes outside" in said


def test_standing_still_is_worse_where_it_is_twice_as_much_as_before():
    (said,) = worse(reading(100, stalled=10, average=4), reading(160, stalled=25, average=4))
    assert "25 % of the 1 min" in said
    assert "4 % before" in said
    # As bad before, or too little to matter.
    assert worse(reading(100, stalled=10, average=20), reading(160, stalled=25)) == []
    assert worse(reading(100, stalled=10), reading(160, stalled=14)) == []


def test_a_limited_unit_that_stands_still_is_not_the_host():
    before, after = reading(100), reading(160, stalled=40, units={"shop.service": (0, 80)})
    assert worse(before, after, ["shop.service"]) == []
    assert worse(before, after, ["other.service"])


def test_a_host_that_started_anew_is_worse():
    assert worse(reading(1000, kills=3), reading(20)) == ["The host has started anew since the change."]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["system", "uptime", "vmstat", "counters", "oom_kill", "pressure", "memory", "full", "total"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything, anything)
def test_facts_that_hold_anything_are_no_trouble(before, after):
    assert isinstance(worse(before, after, ["a.service"]), list)
