# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that were captured in the lab (`python tests/lab capture`), unpacked for the tests that read them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

TREES = Path(__file__).parent / "fixtures" / "trees"


def captured() -> list[str]:
    """Return the names of the captured hosts."""
    return sorted(path.name.removesuffix(".tar.xz") for path in TREES.glob("*.tar.xz"))


@pytest.fixture(scope="session", params=captured())
def captured_host(request, tmp_path_factory) -> Path:
    """Return the root of each captured host in turn; expected.json in it is what tools of that host said."""
    root = tmp_path_factory.mktemp(request.param)
    with tarfile.open(TREES / f"{request.param}.tar.xz") as archive:
        archive.extractall(root, filter="tar")
    return root
