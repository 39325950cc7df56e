# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets tests import the checkout under its collection name, whatever directory the checkout lies in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine is slow, which says nothing about the code; tests of speed measure it themselves.
settings.register_profile("any machine", deadline=None)
# What a check refuses has to be the change and not the dice: in CI the same inputs every time, at home new ones.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "any machine")

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / "build" / "collections"


def link_checkout() -> None:
    """Make build/collections/ansible_collections/linux_memory/oom, a link to the checkout."""
    link = COLLECTIONS / "ansible_collections" / "linux_memory" / "oom"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        fresh = link.with_name(f"oom.{os.getpid()}")
        fresh.symlink_to("../../../..")
        os.replace(fresh, link)


link_checkout()
sys.path.insert(0, str(COLLECTIONS))
os.environ.setdefault("ANSIBLE_COLLECTIONS_PATH", str(COLLECTIONS))


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Return the root of the checkout."""
    return ROOT
