# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The trees that `python tests/lab capture` took from booted machines, unpacked once for a run of the tests."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

TREES = Path(__file__).parent / "fixtures" / "trees"
NAMES = sorted(path.name[: -len(".tar.xz")] for path in TREES.glob("*.tar.xz"))


@functools.lru_cache(maxsize=None)
def root(name: str) -> Path:
    """Return the directory that holds the tree."""
    place = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    with tarfile.open(TREES / f"{name}.tar.xz") as archive:
        # The links of a host lead where they led there; Tree keeps them inside.
        if hasattr(tarfile, "fully_trusted_filter"):
            archive.extraction_filter = tarfile.fully_trusted_filter
        archive.extractall(place)
    return place


def expected(name: str) -> dict[str, str]:
    """Return what the tools of the machine said at that moment, by the name of the tool."""
    return json.loads((root(name) / "expected.json").read_text(encoding="utf-8"))
