# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What vmcore_info tells of a dump beside what crash(8) does: the count of README.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
import bench_vmcore  # noqa: E402 - a tool, no package


def test_the_count_of_the_readme():
    fixture = ROOT / "tests" / "unit" / "fixtures" / "vmcore_bookworm_load.json"
    (crash,) = json.loads(fixture.read_text(encoding="utf-8"))["crashes"]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"it told {bench_vmcore.len_of(crash):,} values in" in readme


def test_numbers_of_a_table_are_counted():
    assert bench_vmcore.numbers_in("   FREE   208962     816.3 MB   10% of TOTAL MEM\n   USED\n") == 3
