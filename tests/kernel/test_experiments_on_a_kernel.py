# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the experiments of docs/effects.md show and no other test does, in a shorter time and by their own code.

`make experiment-NAME-IMAGE` runs one as it is; the scenario `kernel` has the crash, the dump, the buffered
writer, the leak and the burst.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

LAB = Path(__file__).resolve().parents[1] / "lab"
sys.path[:0] = [str(LAB), str(LAB / "effects")]
import compare  # noqa: E402 - the lab is no package of the collection
import crash  # noqa: E402
import machines  # noqa: E402
import naming  # noqa: E402

IMAGE = machines.tested()
KILLED, PANICKED = "one program is killed", "the host panics"
# Documentation/admin-guide/sysctl/vm.rst: with 1 only a shortage of the whole host is a panic, with 2 every one is.
PANICS = [(1, "cgroup_hog", KILLED), (2, "cgroup_hog", PANICKED), (1, "cpuset", KILLED), (2, "cpuset", PANICKED)]


@pytest.fixture(scope="module")
def two_nodes():
    """Return a machine with two nodes of memory, and what makes failures happen."""
    with naming.booted(IMAGE, "v2_numa") as collector:
        yield collector.one


@pytest.mark.parametrize(("mode", "shortage", "outcome"), PANICS)
def test_what_panics_is_what_the_mode_says(two_nodes, mode, shortage, outcome):
    assert crash.outcome(two_nodes, mode, shortage) == outcome


def test_a_direct_writer_is_held_and_the_reader_beside_it_waits_less():
    direct = tuple(one for one in compare.EXPERIMENTS["dirty_throttle"].variants if one.drive == "dirty_direct")
    without, limited = (
        one["numbers"] for one in compare.compare("dirty_throttle", IMAGE, variants=direct, seconds=20)["variants"]
    )
    assert limited["written to disk (bytes)"] < without["written to disk (bytes)"]
    stalled = "reader stalled on io (share of the time)"
    assert limited[stalled] < without[stalled] / 2
    assert limited["reads done"] > without["reads done"]
