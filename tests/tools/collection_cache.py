# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collections of others that the tests need, out of the PyPI package `ansible`, which carries them.

A package index is all that is needed: no Galaxy server. Kept in the cache by version, never inside the tree.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from environment import cache

# The newest that belongs to ansible-core 2.19, with which the scenarios run.
VERSION = "12.3.0"
WANTED = ("ansible/posix", "containers/podman")


def collections(wanted: tuple[str, ...] = WANTED) -> Path:
    """Return a directory for ANSIBLE_COLLECTIONS_PATH that holds the wanted collections (namespace/name)."""
    place = cache() / "collections"
    place.mkdir(parents=True, exist_ok=True)
    names = "+".join(sorted(name.replace("/", ".") for name in wanted))
    target = place / f"{VERSION}-{names}"
    with open(place / f".{target.name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=place, prefix=".partial-") as scratch:
                unpack(download(Path(scratch)), Path(scratch) / "made", wanted)
                os.replace(Path(scratch) / "made", target)
    return target


def download(folder: Path) -> Path:
    """Download the package into a folder and return the wheel."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--only-binary=:all:", "--dest", str(folder), f"ansible=={VERSION}"],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("ansible-*.whl"))
    if done.returncode or not wheels:
        sys.exit(f"pip could not download ansible {VERSION}. Is a package index reachable?\n{done.stderr}")
    return wheels[0]


def unpack(wheel: Path, target: Path, wanted: tuple[str, ...]) -> None:
    """Unpack the wanted collections of a wheel."""
    prefixes = tuple(f"ansible_collections/{name}/" for name in wanted)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if name.startswith(prefixes)])
    missing = [name for name in wanted if not (target / "ansible_collections" / name / "plugins").is_dir()]
    if missing:
        shutil.rmtree(target)
        sys.exit(f"ansible {VERSION} does not carry {', '.join(missing)}")


if __name__ == "__main__":
    print(collections())
