# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/article.md has every row of the article, and all that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import CAUSES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "article.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| [0-9]", line)
]
NUMBERS = ["0", "0b", "1", "1a", "1b", "1+", "1c", "1d", "1e", "1f"]
NUMBERS += ["2", "2a", "2b", "2c", "2d", "3", "3a", "4", "5", "6", "7"]


def test_every_row_of_the_article_is_there():
    assert [row[0] for row in ROWS] == NUMBERS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_row_names_exists(row):
    _number, _says, here, shown = row
    names = re.findall("`([^`]+)`", here)
    for kind, known in (
        ("role", {path.name for path in (ROOT / "roles").iterdir()}),
        ("finding", set(CAUSES)),
        ("module", {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}),
        ("playbook", {path.stem for path in (ROOT / "playbooks").glob("*.yml")}),
    ):
        for said in re.findall(rf"\b{kind}s? ((?:`[a-z_]+`(?:, | and )?)+)", here):
            # A role may be followed by its variables.
            first, *more = re.findall("`([^`]+)`", said)
            assert first in known, (kind, first)
            assert all(name in known or name.startswith(f"{first}_") for name in more), (kind, more)
    assert names or "section below" in here
    for path in re.findall("`([^`]+)`", shown):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_is_shown_by_a_test_or_told_below(row):
    assert re.search(r"`(tests|molecule)/", row[3]) or f"({row[0]})" in PAGE.split("## Where a playbook")[1]
