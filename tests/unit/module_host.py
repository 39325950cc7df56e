# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module whole, with AnsibleModule and its absolute paths, on a host that is a directory.

    result = inside(place, lambda: run(swap_file, {...}, programs))

A fork makes the directory its root, so that the module writes the files that it would write on a host. The programs of
the host are functions: {name: function(words) -> (status, output, errors)}; they change files of the directory, as the
real ones change the kernel.
"""

from __future__ import annotations

import ctypes
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from ansible.module_utils import basic

# <sched.h>; who is not root may change the root directory of a process in a user namespace of its own.
_CLONE_NEWUSER = 0x10000000


class Done(Exception):
    """The module has answered."""


def _warm() -> None:
    """Import what AnsibleModule imports when it is used: below another root there is nothing to import."""
    text = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_tmpdir": "/tmp"}}).encode()
    with (
        mock.patch.object(basic, "_ANSIBLE_ARGS", text),
        mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True),
    ):
        basic.AnsibleModule(argument_spec={}).from_json("{}")


_warm()


def enter(place: Path) -> None:
    """Make a directory the root of this process. Raises PermissionError."""
    try:
        os.chroot(place)
    except PermissionError:
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER):
            raise
        os.chroot(place)
    os.chdir("/")


def inside(place: Path, work: Callable[[], object]):
    """Return what the work returns (JSON) with the place as its root directory, in a process of its own."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        answer: dict = {}
        try:
            enter(place)
            answer = {"value": work()}
        except PermissionError as error:
            answer = {
                "error": traceback.format_exc(),
                "refused": error.filename is None or error.filename == str(place),
            }
        except BaseException:
            answer = {"error": traceback.format_exc()}
        finally:
            with open(writer, "w", encoding="utf-8", closefd=False) as file:
                json.dump(answer, file)
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        answer = json.load(file)
    os.waitpid(process, 0)
    if answer.get("refused"):
        pytest.skip("this user may not change a process's root directory")
    assert "error" not in answer, answer["error"]
    return answer["value"]


def run(module, options: dict, programs: dict, check: bool = False) -> dict:
    """Run a module's main() and return its answer; that of a failure has "failed"."""
    results = []

    def leave(_self, **result):
        results.append(result)
        raise Done

    def fail(_self, msg, **rest):
        leave(_self, failed=True, msg=msg, **rest)

    def call(_self, words, **_options):
        return programs[os.path.basename(words[0])](words[1:])

    def find(_self, name, required=False, **_options):
        assert name in programs or not required, f"the host has no {name}"
        return "/usr/bin/" + name if name in programs else None

    arguments = {**options, "_ansible_check_mode": check, "_ansible_tmpdir": "/tmp", "_ansible_remote_tmp": "/tmp"}
    os.makedirs("/tmp", exist_ok=True)
    text = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    with (
        mock.patch.object(basic.AnsibleModule, "run_command", call),
        mock.patch.object(basic.AnsibleModule, "get_bin_path", find),
        mock.patch.object(basic.AnsibleModule, "exit_json", leave),
        mock.patch.object(basic.AnsibleModule, "fail_json", fail),
        mock.patch.object(basic, "_ANSIBLE_ARGS", text),
        mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True),
    ):
        try:
            module.main()
        except Done:
            pass
    return results[-1]


def put(path: str, text: str) -> None:
    """Replace a file at once: what a kernel or a daemon knows is never half."""
    with open(path + "~", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + "~", path)


def files(place: Path) -> dict[str, str]:
    """Return every file and link of a host, by its path there."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = "/" + str(path.relative_to(place))
        if path.is_symlink():
            found[name] = "-> " + os.readlink(path)
        elif path.is_file():
            found[name] = path.read_text(encoding="utf-8", errors="surrogateescape")
    return found
