# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-test sanity on the collection as it would be built, on each named ansible-core version, side by side.

    sanity.py 2.16 2.19

ansible-test wants the collection below a directory ansible_collections and takes everything that it finds there, so
each version gets a copy, outside the checkout, of the files that git knows of. There is no ignore file: the copy must
be clean.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from environment import cache

ROOT = Path(__file__).resolve().parent.parent.parent

# ansible-test installs pip into its environments by a script that it downloads, from a host that a closed network does
# not reach. Python carries a pip of its own, which then installs the version that was asked for (ensurepip runs as a
# program: as a library it switches off pip's configuration for the whole process).
BOOTSTRAP = """\
import subprocess, sys
subprocess.check_call([sys.executable, "-m", "ensurepip", "--upgrade"])
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet"] + wanted))
"""
PIP_VERSION = re.compile(r"\bpip='([0-9.]+)'")


def home(environment: Path) -> Path:
    """Return a home directory of ansible-test's own, so that the user's is left alone.

    ansible-test passes few variables on, but pip finds the user's configuration (its index) below the home directory.
    """
    place = cache() / "ansible-test"
    for name in (".config/pip", ".pip", ".netrc"):
        theirs, ours = Path.home() / name, place / name
        ours.parent.mkdir(parents=True, exist_ok=True)
        if theirs.exists() and not ours.is_symlink():
            ours.symlink_to(theirs)
    scripts = place / ".ansible" / "test" / "cache"
    scripts.mkdir(parents=True, exist_ok=True)
    (source,) = environment.glob("lib/python3*/site-packages/ansible_test/_internal/python_requirements.py")
    for version in PIP_VERSION.findall(source.read_text(encoding="utf-8")):
        version = version.replace(".", "_")
        fresh = scripts / f"get_pip_{version}.py.{os.getpid()}"
        fresh.write_text(BOOTSTRAP, encoding="utf-8")
        fresh.replace(scripts / f"get_pip_{version}.py")
    return place


def search_path(environment: Path) -> str:
    """Return a PATH on which each python3.N is a real interpreter: ansible-test tries the modules on all that it finds.

    pyenv puts placeholders on PATH that fail for versions that are installed and not selected; its real ones are used.
    """
    folders = os.environ["PATH"].split(os.pathsep)
    pyenv = os.environ.get("PYENV_ROOT")
    if pyenv:
        folders = [str(folder) for folder in sorted(Path(pyenv).glob("versions/*/bin"))] + [
            folder for folder in folders if Path(folder) != Path(pyenv) / "shims"
        ]
    return os.pathsep.join([str(environment / "bin"), *folders])


def copy(target: Path) -> None:
    """Copy what git knows of, and what is new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, copied = ROOT / name, target / name
        if not os.path.lexists(source):
            continue
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copied, follow_symlinks=False)


def run(version: str) -> tuple[str, int, str]:
    """Run the sanity tests on one ansible-core version; return the version, the exit status and the output."""
    environment = ROOT / "build" / f"venv-core-{version}"
    made = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests/tools/environment.py"),
            str(environment),
            str(ROOT / "requirements/run.txt"),
            f"ansible-core~={version}.0",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        return version, made.returncode, made.stdout + made.stderr
    with tempfile.TemporaryDirectory(prefix="sanity-") as place:
        collection = Path(place) / "ansible_collections" / "linux_memory" / "oom"
        copy(collection)
        done = subprocess.run(
            [str(environment / "bin" / "ansible-test"), "sanity", "--venv", "--color", "no", "--python", "default"],
            cwd=collection,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
                "HOME": str(home(environment)),
                "PATH": search_path(environment),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if not done.returncode and "Running sanity test" not in done.stdout:
        return version, 1, f"ansible-test ran nothing:\n{done.stdout}"
    return version, done.returncode, done.stdout


def main(versions: list[str]) -> int:
    """Run all versions and print, for those that failed, what ansible-test said."""
    status = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for version, code, output in pool.map(run, versions):
            told = [line for line in output.splitlines() if line.startswith(("ERROR", "FATAL", "WARNING: Reviewing"))]
            if code:
                status = 1
                print("\n".join(told) if told else output)
            tests = output.count("Running sanity test")
            print(f"ansible-core {version}: {tests} sanity tests {'failed' if code else 'passed'}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
