# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action of linux_memory.oom.fetch_dump: brings a large, secret file to the controller, in pieces."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shlex
import shutil
import stat
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.linux_memory.oom.plugins.plugin_utils import files

OPTIONS = {
    "src": {"type": "str", "required": True},
    "dest": {"type": "path", "required": True},
    "keep_free": {"type": "int", "default": 1 << 30},
    "piece": {"type": "int", "default": 8 << 20},
}
BLOCK = 1 << 16


class ActionModule(ActionBase):
    """Fetches one file of a host: 0600, resumable, verified, and only where there is room for it."""

    def run(self, tmp=None, task_vars=None):
        """Return what was fetched. Raises AnsibleActionFail with one sentence."""
        result = super().run(tmp, task_vars)
        _spec, options = self.validate_argument_spec(OPTIONS)
        source, piece = options["src"], options["piece"]
        if not source.startswith("/") or "\0" in source:
            raise AnsibleActionFail(f"src: {source} is not allowed; it has to be an absolute path on the host")
        if piece < BLOCK or piece % BLOCK:
            raise AnsibleActionFail(f"piece: {piece} is not allowed; it has to be a multiple of {BLOCK} bytes")
        if options["keep_free"] < 0:
            raise AnsibleActionFail(f"keep_free: {options['keep_free']} is not allowed; it has to be 0 or more bytes")
        dest = Path(os.path.expanduser(options["dest"])).absolute()
        size, digest = self._identity(source)
        result.update(changed=True, path=str(dest), size=size, sha256=digest, resumed_at=0)
        try:
            if dest.is_file() and dest.stat().st_size == size and sha256(dest) == digest:
                result["changed"] = made_private(dest, self._task.check_mode)
                return result
            part = dest.with_name(f".{dest.name}.{digest[:16]}.part")
            have = left_earlier(part, self._task.check_mode)
            have = 0 if have > size else have - have % BLOCK
            enough(dest.parent, size - have, options["keep_free"])
            result["resumed_at"] = have
            if not self._task.check_mode:
                files.make_directory(dest.parent)
                self._copy(source, part, have, size, piece, options["keep_free"])
                finish(part, dest, digest)
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        except OSError as error:
            raise AnsibleActionFail(f"dest: {error.filename or dest} cannot be written: {error.strerror}") from None
        return result

    def _ask(self, command, what):
        """Return what a command on the host prints."""
        done = self._low_level_execute_command(command, sudoable=True)
        if done.get("rc") != 0:
            told = (done.get("stderr") or done.get("stdout") or "").strip().splitlines()
            raise AnsibleActionFail(f"src: {what}: {told[-1] if told else 'the host gave no reason'}")
        return done.get("stdout") or ""

    def _identity(self, source):
        """Return (bytes, SHA-256) of the file."""
        name = shlex.quote(source)
        text = self._ask(f"test -f {name} && stat -L -c %s {name} && sha256sum < {name}", f"{source} cannot be read")
        found = re.search(r"^(\d+)\s+([0-9a-f]{64})\b", text, re.MULTILINE)
        if not found:
            raise AnsibleActionFail(f"src: {source}: the host did not tell its size and SHA-256")
        return int(found.group(1)), found.group(2)

    def _copy(self, source, part, have, size, piece, keep_free):
        """Append pieces to the part, each on disk before the next is asked for, and while there is room for the rest.

        Files of other hosts come at the same time: together they take at most one piece each of what is to stay free.
        """
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, files.FILE_MODE)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), files.FILE_MODE)
            stream.truncate(have)
            stream.seek(have)
            while have < size:
                enough(part.parent, size - have, keep_free)
                count = min(piece, size - have)
                blocks = -(-count // BLOCK)
                command = (
                    f"dd if={shlex.quote(source)} bs={BLOCK} skip={have // BLOCK} count={blocks} 2>/dev/null | base64"
                )
                data = decoded(self._ask(command, f"{source} cannot be read at {have}"))
                if len(data) != count:
                    raise ValueError(
                        f"src: {source}: {len(data)} bytes came where {count} were asked for at {have}; "
                        "run again to go on there"
                    )
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
                have += count


def decoded(text):
    """Return the bytes of base64 text. Raises ValueError."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ValueError("src: what the host sent is not base64; does its login print something?") from None


def sha256(path):
    """Return the SHA-256 of a file on the controller."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def made_private(path, check):
    """Return whether a file has another mode than 0600, which it gets, unless this is only a check."""
    differs = stat.S_IMODE(path.stat().st_mode) != files.FILE_MODE
    if differs and not check:
        path.chmod(files.FILE_MODE)
    return differs


def left_earlier(part, check):
    """Return how many bytes an interrupted transfer left, which are private from here on: they may stay for long."""
    # A link is somebody else's doing, and nothing is written through it either.
    if part.is_symlink() or not part.is_file():
        return 0
    made_private(part, check)
    return part.stat().st_size


def enough(directory, needed, keep_free):
    """Raise ValueError with both numbers where a file system would be left with too little room."""
    while not directory.is_dir():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    if needed and free < needed + keep_free:
        raise ValueError(
            f"dest: {directory} has {free} bytes free and {needed + keep_free} are needed, "
            f"{needed} for what is still to come of the file and {keep_free} to stay free (keep_free)"
        )


def finish(part, dest, digest):
    """Give the whole file its name, if it is what the host has. Raises ValueError."""
    if sha256(part) != digest:
        part.unlink()
        raise ValueError(f"dest: {dest}: what came is not what the host has, so it was removed; run again")
    os.replace(part, dest)
    descriptor = os.open(dest.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
