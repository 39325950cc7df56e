# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of what the remedies do says what was recorded, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
import effects_doc  # noqa: E402 - a tool, no package

MIB = 1024**2


def record(kernel="6.1.0-50-cloud-amd64", experiment="cure_rate", **numbers_of):
    """Return what an experiment would record, with machines by their name."""
    return {
        "experiment": experiment,
        "image": "bookworm",
        "kernel": kernel,
        "title": "A failure, cured",
        "setting": "1 GiB of memory.",
        "date": "2026-11-27",
        "emulated": True,
        "variants": [
            {"name": name, "role": None, "variables": {}, "numbers": numbers, "series": {"time": []}}
            for name, numbers in numbers_of.items()
        ],
    }


def test_the_page_is_what_was_recorded():
    """Whoever measures anew writes the page anew, with `make effects`."""
    page = effects_doc.page(effects_doc.recorded())
    assert page == (ROOT / "docs" / "effects.md").read_text(encoding="utf-8")


def test_each_picture_of_the_page_is_there_and_no_other():
    page = (ROOT / "docs" / "effects.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(effects/([^)]+\.svg)\)", page))
    assert named == {path.name for path in (ROOT / "docs" / "effects").glob("*.svg")}


def test_every_experiment_was_recorded_on_every_kernel():
    kernels = [["5.10", "6.1", "6.12", "7.3"]] * 7
    assert [list(map(effects_doc.series_of, found)) for found in effects_doc.recorded().values()] == kernels


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("peak (bytes)", 16 * MIB, "16 MiB"),
        ("stalled (share of the time)", 0.149, "15 %"),
        ("seconds", 3.14159, "3.1"),
        ("kills", 3, "3"),
        ("kills", None, "none"),
    ],
)
def test_a_number_has_the_unit_that_its_name_gives(name, value, text):
    assert effects_doc.number(name, value) == text


def test_before_and_after_stand_in_one_cell():
    numbers = {"before: peak (bytes)": 600 * MIB, "after: peak (bytes)": 16 * MIB, "cured": "yes"}
    assert effects_doc.paired(numbers) == {"peak: before → after": "600 MiB → 16 MiB", "cured": "yes"}


def test_few_machines_are_columns_and_many_are_lines():
    few = effects_doc.table(record(one={"kills": 1}, two={"kills": 2}))
    assert few == "|  | one | two |\n|---|---|---|\n| kills | 1 | 2 |"
    many = effects_doc.table(record(**{f"m{count}": {"kills": count} for count in range(6)}))
    assert many.startswith("|  | kills |\n|---|---|\n| m0 | 0 |\n| m1 | 1 |")


def test_at_a_glance_kernels_are_in_order_and_what_was_not_measured_says_so():
    old = record("5.10.0-32-cloud-amd64", one={"cured": "yes"}, two={"cured": "no"})
    new = record("6.1.0-50-cloud-amd64", "diagnosis", one={"right": "yes"}, two={"right": "yes"})
    lines = effects_doc.glance({"cure_rate": [old], "diagnosis": [new]}).split("\n")
    assert lines[0] == "| experiment | what | 5.10 | 6.1 |"
    assert lines[2].endswith("| not measured | 2 of 2 |")
    assert lines[3].endswith("| 1 of 2 | not measured |")


def test_a_machine_that_a_record_does_not_have_is_not_measured():
    tell = effects_doc.chain("kills", "without", "with")
    assert tell(record(without={"kills": 2})) == "not measured"
    assert tell(record(without={"kills": 2}, **{"with": {"kills": 0}})) == "2 → 0"


def test_the_command_of_a_table_is_one_that_the_makefile_has():
    """In a fresh clone, where nothing is installed yet, make knows what the experiment needs."""
    told = effects_doc.section(record(one={"cured": "yes"}), "", ())
    target = re.search(r"under emulation: `make ([a-z0-9_-]+)`", told).group(1)
    steps = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "tests/lab/effects cure_rate bookworm" in steps


def test_what_all_kernels_share_is_said_once():
    old, new = record("5.10.0-32-cloud-amd64", one={"cured": "yes"}), record(one={"cured": "yes"})
    assert effects_doc.chapter("cure_rate", [old, new]).count("1 GiB of memory.") == 1
    new["setting"] = "2 GiB of memory."
    text = effects_doc.chapter("cure_rate", [old, new])
    assert (text.count("1 GiB of memory."), text.count("2 GiB of memory.")) == (1, 1)
    assert text.index("1 GiB of memory.") > text.index("kernel 5.10")
