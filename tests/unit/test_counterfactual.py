# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would have been with a proposal: numbers that follow from the evidence, and none where nothing follows."""

from __future__ import annotations

from ansible_collections.linux_memory.oom.plugins.plugin_utils import counterfactual
from ansible_collections.linux_memory.oom.plugins.plugin_utils.state import (
    Event,
    Group,
    Memory,
    Overcommit,
    State,
    Swap,
    Task,
)

GIB, MIB = 1 << 30, 1 << 20
MEMORY = Memory(total=4 * GIB, available=GIB // 8, dirty=GIB)


def less(amount):
    """Return an amount less what others may hold a minute later: a hundredth of memory."""
    return int(amount - 0.01 * MEMORY.total)


def limits(most):
    """Return a limit of a unit."""
    return {"cgroup_memory_limit_units": {"shop.service": {"MemoryMax": most}}}


def test_what_a_limit_leaves_is_what_the_unit_held_above_it():
    task = Task("java", 3 * GIB, unit="shop.service")
    state = State(memory=MEMORY, tasks=(task,), event=Event(when="2026-11-23 03:12:07"))
    told = counterfactual.of(state, limits(2 * GIB))
    assert told["value"] == less(GIB + GIB // 8)
    assert told["said"] == (
        "With MemoryMax=2 GiB on shop.service, at least 1.1 GiB would be available at 2026-11-23 03:12:07 "
        "instead of 128 MiB."
    )


def test_what_the_unit_has_in_swap_is_not_taken_from_what_others_hold():
    task = Task("java", 7 * GIB // 2, unit="shop.service")
    swap = Swap(total=2 * GIB, free=GIB)
    state = State(memory=MEMORY, swap=swap, tasks=(task,))
    # Others hold 4 GiB - 1/8 GiB + 1 GiB in swap - 3.5 GiB.
    assert counterfactual.of(state, limits(2 * GIB))["value"] == less(GIB * 5 // 8)
    group = Group("/shop", unit="shop.service", anon=5 * GIB // 2, swap=GIB)
    assert counterfactual.of(State(memory=MEMORY, swap=swap, groups=(group,)), limits(2 * GIB))["value"] == less(
        GIB * 5 // 8
    )


def test_page_cache_that_comes_back_is_not_promised():
    memory = Memory(total=4 * GIB, available=0, overdrawn=GIB // 8, regrowing=GIB // 4)
    state = State(memory=memory, tasks=(Task("java", 3 * GIB, unit="shop.service"),), event=Event())
    assert counterfactual.of(state, limits(GIB))["value"] == less(4 * GIB - (GIB + GIB // 8) - GIB - GIB // 4)


def test_a_limit_that_is_raised_leaves_less_and_says_no_instead():
    group = Group("/shop", unit="shop.service", current=GIB, anon=GIB, max=GIB)
    state = State(memory=Memory(total=4 * GIB, available=2 * GIB), groups=(group,))
    told = counterfactual.of(state, limits(2 * GIB))
    assert told["value"] == less(GIB)
    assert "instead" not in told["said"]


def test_a_limit_that_leaves_nothing_says_nothing():
    state = State(memory=MEMORY, tasks=(Task("java", GIB, unit="shop.service"),))
    assert counterfactual.of(state, limits(3 * GIB)) is None
    assert counterfactual.of(State(), limits(GIB)) is None


def test_restarts_bound_what_a_leak_holds():
    event = Event(growth=((0.0, GIB), (3600.0, 2 * GIB)))
    settings = {"swap_tuning_restarts": [{"unit": "shop.service", "runtime_max": "1800s", "restart": "always"}]}
    told = counterfactual.of(State(event=event), settings)
    assert (told["value"], told["unit"]) == (GIB // 2, "bytes")


def test_more_swap_lasts_longer():
    state = State(swap=Swap(total=GIB, free=GIB // 2, growth=1 << 20, seconds_until_full=512))
    told = counterfactual.of(state, {"swap_tuning_files": [{"path": "/s", "size": "1024M"}]})
    assert (told["value"], told["unit"]) == (512 + 1024, "seconds")
    full = State(swap=Swap(total=GIB, free=0))
    assert counterfactual.of(full, {"swap_tuning_files": [{"path": "/s", "size": "512M"}]})["value"] == GIB // 2


def test_dirty_bytes_bound_what_waits():
    told = counterfactual.of(State(memory=MEMORY), {"dirty_throttle_bytes": 64 << 20})
    assert told["value"] == 72 << 20
    assert told["said"] == (
        "With dirty_bytes 64 MiB, at most 72 MiB would wait for storage now instead of 1 GiB: "
        "the kernel sees a little late that the limit is met."
    )


def test_a_raised_ratio_says_how_much_more_may_be_promised():
    state = State(memory=MEMORY, swap=Swap(total=GIB), overcommit=Overcommit(mode=2, committed=3 * GIB))
    assert (
        counterfactual.of(state, {"overcommit_limit_ratio": 80})["value"]
        == int(GIB + 4 * GIB * 0.8) // MIB * MIB - 3 * GIB
    )
    assert counterfactual.of(state, {"overcommit_limit_kbytes": 1 << 20}) is None
    assert counterfactual.of(state, {"overcommit_limit_mode": 0}) is None


def test_what_was_refused_is_promised_too():
    over = Overcommit(mode=2, committed=3 * GIB)
    event = Event(kind="overcommit_refusal", wanted=GIB // 4)
    told = counterfactual.of(State(memory=MEMORY, overcommit=over, event=event), {"overcommit_limit_ratio": 100})
    assert (told["what"], told["value"]) == ("memory that may still be promised", less(GIB - GIB // 4))
    assert told["said"] == (
        "With it 4 GiB may be promised, 1 GiB more than is now, and 727 MiB once the 256 MiB that "
        "were refused are promised too."
    )
    event = Event(kind="overcommit_refusal", wanted=2 * GIB)
    assert (
        counterfactual.of(State(memory=MEMORY, overcommit=over, event=event), {"overcommit_limit_ratio": 100}) is None
    )


def test_where_it_is_not_known_what_was_refused_nothing_is_said_of_what_is_left():
    over = Overcommit(mode=2, committed=3 * GIB)
    state = State(memory=MEMORY, overcommit=over, event=Event(kind="overcommit_refusal"))
    told = counterfactual.of(state, {"overcommit_limit_ratio": 100})
    assert (told["what"], told["value"]) == ("memory that may be promised", 4 * GIB)
    assert told["said"].endswith("; how much was refused is not known.")
