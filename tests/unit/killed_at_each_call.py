# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kill a program at each of its system calls that write, with strace's fault injection.

    for place, call in killed_at_each_call(command, arrange, tmp_path):
        ...look at what is left in place, run the program again, look at what it made of that...

A call is killed when it is entered, so before it does anything; what it would have left is what the next one finds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# The calls by which a program changes files, and how a file that is opened for writing can be told.
OPENS = ("open", "openat")
WRITES = (
    *("write", "pwrite64", "writev", "truncate", "ftruncate", "fallocate", "copy_file_range", "sendfile"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir"),
    *("mkdir", "mkdirat", "fsync", "fdatasync", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat"),
    *("setxattr", "fsetxattr", "utimensat"),
)
_CALL = re.compile(r"^(?:[0-9]+\s+)?([a-z0-9_]+)\((.*)")
_FOR_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
# Python writes to itself and to its standard streams.
_STREAMS = re.compile(r"(?:1|2)(?:<[^>]*>)?,|[0-9]+<(?:pipe|socket|anon_inode|/dev/)")


def _environment() -> dict[str, str]:
    """Return an environment in which a program makes the same calls each time."""
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}


def strace(command: list[str], *options: str, log: Path) -> int:
    """Run a command under strace and return its exit status."""
    names = ",".join(f"?{name}" for name in (*OPENS, *WRITES))
    line = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", f"trace={names}", *options, "--", *command]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=_environment())
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        pytest.skip("ptrace is not permitted here, so strace cannot kill anything")
    return done.returncode


def writing_calls(log: str) -> list[tuple[str, int]]:
    """Return the writing calls of a strace log: [(name, its number among the calls of that name)]."""
    seen: Counter = Counter()
    found = []
    for line in log.splitlines():
        match = _CALL.match(line)
        if not match:
            continue
        name, arguments = match.groups()
        seen[name] += 1
        if name in OPENS and not _FOR_WRITING.search(arguments):
            continue
        if name in WRITES and _STREAMS.match(arguments):
            continue
        found.append((name, seen[name]))
    return found


def killed_at_each_call(
    command: Callable[[Path], list[str]], arrange: Callable[[Path], None], folder: Path
) -> Iterator[tuple[Path, tuple[str, int]]]:
    """Run a program once for each of its writing calls, killed there, and give (its place, the call) after each.

    command: the program's command line for a place. arrange: puts into a new place what the program finds there.
    """
    if not shutil.which("strace"):
        pytest.skip("strace is not installed; make packages installs it")
    whole = folder / "whole"
    for _warm in range(2):
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        arrange(whole)
        assert strace(command(whole), log=folder / "log") == 0, "the program fails even where nobody kills it"
    calls = writing_calls((folder / "log").read_text(encoding="utf-8", errors="replace"))
    assert calls, "the program writes nothing"
    for number, (name, when) in enumerate(calls):
        place = folder / f"killed{number}"
        place.mkdir()
        arrange(place)
        status = strace(command(place), "-e", f"inject={name}:signal=KILL:when={when}", log=folder / "log")
        assert status in (-9, 137), f"the program was not killed at {name} number {when}"
        yield place, (name, when)
        shutil.rmtree(place)
