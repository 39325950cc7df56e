# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What YAML and Jinja make of the text of playbooks and roles, where linters see nothing wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("tasks", "handlers", "vars", "defaults")
FILES = [
    *sorted(ROOT.glob("playbooks/**/*.yml")),
    *sorted(path for folder in FOLDERS for path in ROOT.glob(f"roles/*/{folder}/*.yml")),
]


def texts(value):
    """Return every string in what a YAML file holds."""
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_backslash_reaches_jinja_once(path):
    r"""Ansible hands backslashes on as they are: only what is in double quotes of YAML has them doubled in the file.

    Elsewhere '[.\\s]' would be a dot, a backslash or the letter s.
    """
    held = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert not [text for text in texts(held) if "{{" in text and "\\\\" in text]
