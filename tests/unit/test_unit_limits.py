# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which limits and restarts are refused, with what numbers."""

from __future__ import annotations

import re

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import dropin, unit_limits
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024**2
GIB = 1024**3
SWAP = dropin.Host(8 * GIB, 2 * GIB)
NO_SWAP = dropin.Host(8 * GIB, 0)
QUIET = {"MemoryMax": "infinity", "MemorySwapMax": "infinity", "Restart": "no", "RestartUSec": "100ms"}
QUIET.update(StartLimitIntervalUSec="10s", StartLimitBurst="5")


def wish(values, current=None, peak=None, shown=None, name="a.service", changed=None):
    """Return a wish for one unit, all of it new."""
    usage = {"current": current, "peak": peak, "swap_current": None}
    return unit_limits.Wish(name, values, set(values if changed is None else changed), shown or QUIET, usage)


def judge(*wishes, host=SWAP, most=10, oomd=False):
    """Return (refusals, warnings)."""
    return unit_limits.refusals(list(wishes), host, most, oomd)


@pytest.mark.parametrize(
    "one",
    [
        wish({"MemoryMax": "512M"}, current=100 * MIB),
        wish({"MemoryMax": "512M", "MemoryHigh": "480M"}, current=100 * MIB),
        wish({"MemoryMax": "40%"}),
        wish({"MemoryMax": "infinity"}, current=7 * GIB),
        wish({"MemoryMin": "10M", "MemoryLow": "20M"}),
        wish({"Restart": "on-failure", "RestartSec": "1h", "StartLimitIntervalSec": "1d", "StartLimitBurst": "5"}),
        wish({"Restart": "no"}),
        wish({"OOMPolicy": "kill"}),
        # what is there already is not refused again
        wish({"MemoryMax": "512M"}, current=600 * MIB, changed=[]),
    ],
)
def test_what_is_reasonable_passes(one):
    assert judge(one) == ([], [])


@pytest.mark.parametrize(
    ("one", "host", "says"),
    [
        (wish({"MemoryMax": "512"}), SWAP, "MemoryMax=512 is 512 bytes"),
        (wish({"MemoryMax": "9G"}), SWAP, r"MemoryMax=9G is more than this host's memory of 8.0 GiB"),
        (wish({"MemoryMax": "100M"}, 150 * MIB, 300 * MIB), SWAP, r"below the 150.0 MiB .* now \(at most 300.0 MiB"),
        (wish({"MemoryMax": "100M"}, 150 * MIB), SWAP, "the kernel would kill in it at once"),
        (wish({"MemoryMax": "1%"}, 150 * MIB), SWAP, "MemoryMax=1% is below the 150.0 MiB"),
        (wish({"MemoryHigh": "100M", "MemoryMax": "1G"}, 150 * MIB), SWAP, "MemoryHigh=100M is below the 150.0 MiB"),
        (wish({"MemoryHigh": "100M"}), SWAP, "without MemoryMax would throttle the unit for ever"),
        (wish({"MemoryHigh": "100M", "MemoryMax": "infinity"}), SWAP, "without MemoryMax"),
        (wish({"MemoryHigh": "100M", "MemoryMax": "120M"}), NO_SWAP, "on a host without swap"),
        (wish({"MemoryHigh": "100M", "MemoryMax": "120M", "MemorySwapMax": "0"}), SWAP, "with MemorySwapMax=0"),
        (wish({"MemoryHigh": "2G", "MemoryMax": "1G"}), SWAP, "MemoryHigh=2G is above MemoryMax=1G"),
        (wish({"MemoryMin": "2G", "MemoryMax": "1G"}), SWAP, "MemoryMin=2G is above MemoryMax=1G"),
        (wish({"MemoryLow": "infinity", "MemoryMax": "1G"}), SWAP, "MemoryLow=infinity is above MemoryMax=1G"),
        (wish({"Restart": "always"}), SWAP, "without StartLimitIntervalSec and StartLimitBurst .* up to 1805 restarts"),
        (wish({"Restart": "always", "StartLimitBurst": "2"}), SWAP, "without StartLimitIntervalSec could"),
        (wish({"Restart": "yes", "StartLimitBurst": "2"}), SWAP, r"Restart=yes is not one of .*YAML"),
        (
            wish({"Restart": "always", "StartLimitIntervalSec": "0", "StartLimitBurst": "5", "RestartSec": "0"}),
            SWAP,
            "may restart any number of times an hour",
        ),
        (
            wish({"Restart": "always", "StartLimitIntervalSec": "1min", "StartLimitBurst": "5"}),
            SWAP,
            r"may restart up to 305 times an hour \(RestartSec=100ms, StartLimitIntervalSec=1min, StartLimitBurst=5\)",
        ),
        # systemd would pass over what it does not understand, and take its own 10s and 5
        (
            wish({"Restart": "always", "StartLimitIntervalSec": "1 fortnight", "StartLimitBurst": "5"}),
            SWAP,
            r"Restart=always has no bound that can be told .*StartLimitIntervalSec=1 fortnight",
        ),
        (
            wish({"Restart": "always", "StartLimitIntervalSec": "1d", "StartLimitBurst": "few"}),
            SWAP,
            "no bound that can be told .*StartLimitBurst=few",
        ),
    ],
)
def test_what_would_make_an_outage_is_refused(one, host, says):
    wrong, _warn = judge(one, host=host)
    assert any(re.search(says, sentence) for sentence in wrong), wrong
    assert all(sentence.startswith(("a.service: ", "units: all ")) and sentence.endswith(".") for sentence in wrong)


def test_a_killer_in_user_space_makes_throttling_safe():
    values = {"MemoryHigh": "100M", "ManagedOOMMemoryPressure": "kill"}
    assert judge(wish(values), host=NO_SWAP, oomd=True) == ([], [])
    wrong, warn = judge(wish(values), host=NO_SWAP)
    assert len(wrong) == 2
    assert "systemd-oomd does not run" in warn[0]


def test_a_limit_that_the_unit_has_already_counts():
    shown = {**QUIET, "MemoryMax": str(200 * MIB)}
    assert judge(wish({"MemoryHigh": "100M"}, shown=shown)) == ([], [])
    shown = {**QUIET, "MemorySwapMax": "0"}
    assert "MemorySwapMax=0" in judge(wish({"MemoryHigh": "100M", "MemoryMax": "1G"}, shown=shown))[0][0]


def test_promises_are_added_up():
    units = [wish({"MemoryMin": "3G"}, name=f"{name}.service") for name in "abc"]
    (sentence,) = judge(*units)[0]
    assert "all MemoryMin together are 9.0 GiB" in sentence
    assert judge(*units[:2]) == ([], [])


def test_limits_that_together_exceed_the_host_are_said():
    units = [wish({"MemoryMax": "6G"}, name=f"{name}.service") for name in "ab"]
    wrong, (sentence,) = judge(*units)
    assert wrong == []
    assert "all MemoryMax together are 12.0 GiB" in sentence


def test_a_restart_of_the_units_own_is_said():
    shown = {**QUIET, "Restart": "always"}
    wrong, (sentence,) = judge(wish({"MemoryMax": "1G"}, shown=shown))
    assert wrong == []
    assert "up to 1805 times an hour" in sentence


@pytest.mark.parametrize(
    ("delay", "interval", "burst", "rate"),
    [
        (0.1, 10, 5, 1805),
        (90, 10, 5, 40),
        (1, 3600, 4, 8),
        (1, 86400, 10, 20),
        (7200, 10, 5, 1),
        (1, 0, 5, 3600),
        (1, 10, 0, 3600),
        (None, 10, 5, 0),
        (1, None, 3, 3),
        (0, 0, 0, float("inf")),
    ],
)
def test_restarts_in_an_hour(delay, interval, burst, rate):
    times = [None if time is None else int(time * 10**6) for time in (delay, interval)]
    assert unit_limits.restarts_an_hour(*times, burst) == rate


MICROSECONDS = st.integers(min_value=0, max_value=10**12)


@given(MICROSECONDS, MICROSECONDS, st.integers(min_value=1, max_value=1000))
def test_a_longer_delay_never_allows_more(delay, interval, burst):
    rate = unit_limits.restarts_an_hour
    assert rate(delay + 10**6, interval, burst) <= rate(delay, interval, burst)
    assert rate(delay, interval, burst) <= rate(delay, interval, burst + 1)


@given(st.dictionaries(st.sampled_from(["MemoryMax", "MemoryHigh", "MemoryMin", "Restart", "RestartSec"]), st.text()))
def test_any_value_is_judged_without_falling(values):
    judge(wish(values, current=5))
