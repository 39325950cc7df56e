# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kill a module's work at each of its system calls that write, with strace's fault injection.

    for place, call in killed_at_each_call(work, arrange, tmp_path):
        ...look at what is left in place, do the work again, look at what it made of that...

A call is killed when it is entered, so before it does anything; what it would have left is what the next one finds.
The work is done by a fork of the test, which has imported everything: what strace sees is the work and nothing else.
Programs that the work starts are not traced: they stand for the host's.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
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
_CALL = re.compile(r"^([a-z0-9_]+)\((.*)")
_FOR_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
# Python writes to itself and to its standard streams.
_STREAMS = re.compile(r"(?:1|2)(?:<[^>]*>)?,|[0-9]+<(?:pipe|socket|anon_inode|/dev/)")
# <sys/prctl.h>: whoever may signal the process may trace it, where Yama asks.
_PR_SET_PTRACER, _ANY = 0x59616D61, ctypes.c_ulong(-1)
# A machine that does many things at once needs some time to start strace.
_PATIENCE = 60


def _fork(work: Callable[[Path], object], place: Path) -> int:
    """Return the number of a process that stands still, and then does the work and ends with 0, or with 1."""
    process = os.fork()
    if process:
        os.waitpid(process, os.WUNTRACED)
        return process
    status = 1
    try:
        sys.dont_write_bytecode = True
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work(place)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _traced(process: int) -> bool:
    """Return whether somebody traces a process."""
    return "TracerPid:\t0\n" not in Path(f"/proc/{process}/status").read_text(encoding="ascii")


def strace(work: Callable[[Path], object], place: Path, *options: str, log: Path) -> int:
    """Do the work under strace and return how it ended: 0, 1, or -9 where it was killed."""
    names = ",".join(f"?{name}" for name in (*OPENS, *WRITES))
    process = _fork(work, place)
    line = ["strace", "-y", "-qq", "-o", str(log), "-e", f"trace={names}", *options, "-p", str(process)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as tracer:
        end = time.monotonic() + _PATIENCE
        while tracer.poll() is None and time.monotonic() < end and not _traced(process):
            time.sleep(0.001)
        if not _traced(process):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            tracer.kill()
            said = tracer.communicate()[1]
            if "not permitted" in said:
                pytest.skip("ptrace is not permitted here, so strace cannot kill anything")
            raise AssertionError(f"strace did not begin: {said}")
        os.kill(process, signal.SIGCONT)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        tracer.communicate()
    return status


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
    work: Callable[[Path], object], arrange: Callable[[Path], object], folder: Path
) -> Iterator[tuple[Path, tuple[str, int]]]:
    """Do some work once for each of its writing calls, killed there, and give (its place, the call) after each.

    work: what a module does in a place. arrange: puts into a new place what is there before.
    """
    if not shutil.which("strace"):
        pytest.skip("strace is not installed; make packages installs it")
    log, whole = folder / "log", folder / "whole"
    whole.mkdir()
    arrange(whole)
    assert strace(work, whole, log=log) == 0, "the work fails even where nobody kills it"
    calls = writing_calls(log.read_text(encoding="utf-8", errors="replace"))
    assert calls, "nothing is written"
    for number, (name, when) in enumerate(calls):
        place = folder / f"killed{number}"
        place.mkdir()
        arrange(place)
        status = strace(work, place, "-e", f"inject={name}:signal=KILL:when={when}", log=log)
        assert status == -signal.SIGKILL, f"the work was not killed at {name} number {when}"
        yield place, (name, when)
        shutil.rmtree(place)
