# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root file systems from Debian packages: what containers and virtual machines are made of.

Each is built once for what it is made from (suites, packages, scripts) and kept outside the tree, in the images/ folder
of the cache. Needs root and mmdebstrap.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

# A mirror to take packages from; where it is not set, the one that this machine's apt uses.
MIRROR_VARIABLE = "LINUX_MEMORY_OOM_MIRROR"


class LabError(Exception):
    """What the lab could not do, in one sentence."""


def cache() -> Path:
    """Return the cache directory of the collection (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "linux_memory.oom"


@dataclass(frozen=True)
class Recipe:
    """What a root file system is made from. script runs in it at the end, as root, with /proc mounted."""

    suite: str
    packages: tuple[str, ...]
    pockets: tuple[str, ...] = ()  # further suites, such as trixie-backports
    pinned: tuple[str, ...] = ()  # packages to take from the pockets, where both have them
    script: str = ""

    @property
    def key(self) -> str:
        """Return the name of the result: the same ingredients, the same name."""
        made_from = json.dumps(asdict(self), sort_keys=True)
        return f"{self.suite}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"


def mirror() -> str:
    """Return the mirror to take packages from. Raises LabError where none is known."""
    named = os.environ.get(MIRROR_VARIABLE)
    if named:
        return named.rstrip("/") + "/"
    wanted = "$(ORIGIN) $(LABEL) $(REPO_URI)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listed.stdout.splitlines():
        if line.startswith("Debian Debian "):
            return line.split()[2]
    raise LabError(f"{MIRROR_VARIABLE} is not set, and apt on this machine knows no Debian mirror; set it to one's URL")


@contextlib.contextmanager
def locked(name: str) -> Iterator[Path]:
    """Hold the lock of one cached thing and give its path: two builders never build the same."""
    place = cache() / "images"
    place.mkdir(parents=True, exist_ok=True)
    with open(place / f".{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place / name


def build(recipe: Recipe) -> Path:
    """Return the root file system as a tar archive, built where it is not in the cache yet."""
    with locked(f"{recipe.key}.tar") as target:
        if not target.exists():
            _bootstrap(recipe, target)
    return target


def _bootstrap(recipe: Recipe, target: Path) -> None:
    if not shutil.which("mmdebstrap"):
        raise LabError("mmdebstrap is not installed; make packages installs what the lab needs")
    source = mirror()
    partial = target.with_suffix(f".{os.getpid()}.partial.tar")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", '--aptopt=Acquire::Retries "5"']
    if recipe.packages:
        command.append("--include=" + ",".join(recipe.packages))
    with tempfile.TemporaryDirectory() as scratch:
        if recipe.pinned:
            preferences = Path(scratch) / "pockets"
            preferences.write_text(
                f"Package: {' '.join(recipe.pinned)}\nPin: release n={recipe.pockets[0]}\nPin-Priority: 900\n",
                encoding="utf-8",
            )
            command.append(f"--setup-hook=copy-in {preferences} /etc/apt/preferences.d")
            command.insert(-1, '--setup-hook=mkdir -p "$1/etc/apt/preferences.d"')
        if recipe.script:
            script = Path(scratch) / "setup.sh"
            script.write_text(recipe.script, encoding="utf-8")
            command += [
                f"--customize-hook=copy-in {script} /root",
                '--customize-hook=mount --bind /proc "$1/proc" 2>/dev/null || true',
                '--customize-hook=chroot "$1" sh -eu /root/setup.sh',
                '--customize-hook=umount "$1/proc" 2>/dev/null || true',
                '--customize-hook=rm "$1/root/setup.sh"',
            ]
        # What the build left of its own surroundings: the image must not know this machine.
        command += [
            '--customize-hook=rm -f "$1/etc/resolv.conf"',
            '--customize-hook=echo lab > "$1/etc/hostname"',
            '--customize-hook=: > "$1/etc/machine-id"',
        ]
        lines = [f"deb {source} {suite} main" for suite in (recipe.suite, *recipe.pockets)]
        done = subprocess.run(
            [*command, recipe.suite, str(partial), "-"],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        partial.unlink(missing_ok=True)
        told = "\n".join(done.stderr.splitlines()[-30:])
        raise LabError(f"mmdebstrap could not build {recipe.suite}:\n{told}")
    partial.replace(target)
