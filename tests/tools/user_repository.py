# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Do what the CI of examples/user_repository does, in a copy of it and with a container image made here.

Its lint, its Molecule scenario and its tests have to pass; with a mistake or another expectation they have to fail.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collection_cache import collections

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
import containers  # noqa: E402 - beside the lab, not beside the tools

BIN = Path(sys.executable).parent
OURS = ROOT / "build" / "collections"
SUITE = "bookworm"


class Failed(Exception):
    """Something of the example does not do what it is there for."""


def run(place: Path, variables: dict[str, str], *command: str) -> tuple[int, str]:
    """Run a command in the copy; return its exit status and what it said."""
    done = subprocess.run(
        command, cwd=place, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def must(place: Path, variables: dict[str, str], *command: str) -> None:
    """Run a command in the copy. Raises Failed where it fails."""
    status, said = run(place, variables, *command)
    if status:
        raise Failed(f"{' '.join(command)} ended with {status}:\n{said[-6000:]}")


def words(said: str) -> str:
    """Return what a command said without colours, frames and line breaks."""
    return re.sub(r"[\s│]+", " ", re.sub(r"\x1b\[[0-9;]*m", "", said))


def scenario(place: Path, variables: dict[str, str]) -> None:
    """Go through the scenario, the tests with testinfra included."""
    for step in ("create", "converge", "idempotence", "verify"):
        must(place, variables, "molecule", step)
    inventory = Path(variables["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
    asked = ["--hosts=ansible://all", f"--ansible-inventory={inventory}", "-p", "no:cacheprovider"]
    must(place, variables, "pytest", "-q", *asked, "molecule/default/tests")
    status, said = run(place, {**variables, "SHOP_SWAPPINESS": "61"}, "molecule", "verify")
    told = "FAIL vm.swappiness at boot is 10 and has to be 61 (/etc/sysctl.d/60-shop.conf line 3)."
    if status == 0 or told not in words(said):
        raise Failed(f"another swappiness was expected, and verify ended with {status}:\n{said[-6000:]}")


def lint(place: Path, variables: dict[str, str]) -> None:
    """Lint the repository; a mistake that is put in has to be found."""
    must(place, variables, "./lint.sh")
    unit = place / "roles" / "shop" / "templates" / "shop-import.service.j2"
    text = unit.read_text(encoding="utf-8")
    unit.write_text(text.replace("Restart=on-failure", "Restart=yes"), encoding="utf-8")
    status, said = run(place, variables, "./lint.sh")
    unit.write_text(text, encoding="utf-8")
    if status == 0 or "linux-memory[restart-value]" not in said:
        raise Failed(f"Restart=yes was put in, and lint.sh ended with {status}:\n{said[-3000:]}")


def main() -> int:
    """Do all of it, and leave nothing behind."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "repository"
        shutil.copytree(ROOT / "examples" / "user_repository", place)
        variables = {
            **os.environ,
            **containers.environment(ROOT / "build" / "lab"),
            "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, [OURS, collections()])),
            "ANSIBLE_HOME": str(Path(folder) / "ansible"),
            "COLLECTIONS": str(OURS),
            "PYTHONPATH": str(OURS / "ansible_collections/linux_memory/oom/extensions/testinfra"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MOLECULE_EPHEMERAL_DIRECTORY": str(Path(folder) / "molecule"),
            "SHOP_IMAGE": containers.images([SUITE])[SUITE],
            "SHOP_TEST_NAME": f"linux-memory-oom-{secrets.token_hex(4)}-shop",
        }
        try:
            lint(place, variables)
            scenario(place, variables)
        except Failed as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            run(place, variables, "molecule", "destroy")
    print(f"user repository: passed in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
