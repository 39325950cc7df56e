# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes that only a kernel can show, induced on a running one, and `diagnose` that has to name each.

These are the ones that are seldom seen; `make experiment-diagnosis-bookworm` has all of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

LAB = Path(__file__).resolve().parents[1] / "lab"
sys.path[:0] = [str(LAB), str(LAB / "effects")]
import machines  # noqa: E402 - the lab is no package of the collection
import naming  # noqa: E402

# Huge pages first: a machine that has run for long has no free blocks for them.
NAMES = ("hugepages", "cgroup_slice", "cpuset", "mlocked", "tmpfs", "slab", "page_tables")


@pytest.fixture(scope="module")
def collector():
    """Return what makes failures happen on a machine with two nodes."""
    with naming.booted(machines.tested(), "v2_numa") as one:
        yield one


@pytest.mark.parametrize("name", NAMES)
def test_the_cause_that_was_induced_is_named(collector, name):
    told = naming.named(collector, name)
    assert told["right"] == "yes", told
