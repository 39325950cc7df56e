# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a virtual environment outside the tree, once for each set of requirements, and link to it.

    environment.py LINK REQUIREMENTS.txt [REQUIREMENT ...]

The environment lies in the cache under a name made from the requirements and the Python version, so a second clone
finds it ready. It is built under another name and marked complete at the end: one that was interrupted is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

FLOOR = (3, 10)


def cache() -> Path:
    """Return the collection's cache directory (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "linux_memory.oom"


def requirement_text(path: Path) -> str:
    """Return the requirements of a file, with those it includes by -r."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            lines.append(requirement_text(path.parent / line[3:].strip()))
        elif line.strip() and not line.startswith("#"):
            lines.append(line.strip())
    return "\n".join(lines)


def build(place: Path, text: str) -> None:
    """Make the environment at its final place (an environment cannot be moved) and mark it complete."""
    shutil.rmtree(place, ignore_errors=True)
    print(f"Making a Python environment (once): {place.name}", file=sys.stderr, flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(place)], capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(place, ignore_errors=True)
        sys.exit(
            "This Python cannot make virtual environments. On Debian and Ubuntu install python3-venv "
            f"(elsewhere the package that carries ensurepip), then run make again.\n{made.stdout}{made.stderr}"
        )
    wanted = place / "requirements.txt"
    wanted.write_text(text + "\n", encoding="utf-8")
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "-r", str(wanted)], check=False).returncode:
        sys.exit("pip could not install the requirements named above. Is a package index reachable from here?")
    (place / ".complete").touch()


def main(arguments: list[str]) -> None:
    """Make or find the environment and point the link at it."""
    if sys.version_info < FLOOR:
        sys.exit(
            f"Python {'.'.join(map(str, FLOOR))} or newer is needed on the controller, and this is "
            f"{sys.version.split()[0]}. Name another one: make PYTHON=python3.11 …"
        )
    link, requirements, *extra = arguments
    text = "\n".join([requirement_text(Path(requirements)), *extra])
    key = hashlib.sha256(f"{sys.version}\n{sys.executable}\n{text}".encode()).hexdigest()[:16]
    place = cache() / "venvs" / f"{Path(requirements).stem}-{key}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.parent / f"{place.name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / ".complete").exists():
            build(place, text)
    target = Path(link)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    fresh.symlink_to(place)
    os.replace(fresh, target)


if __name__ == "__main__":
    main(sys.argv[1:])
