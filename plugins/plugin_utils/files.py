# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on the controller: written whole or not at all, and for the eyes of their owner unless told otherwise."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


def mode(text, option):
    """Return a mode such as "0640" as a number. Raises ValueError with one sentence."""
    try:
        value = int(str(text), 8)
    except ValueError:
        value = -1
    if not 0 <= value <= 0o777:
        raise ValueError(f'{option}: {text} is not allowed; it has to be an octal mode in quotes, such as "0640"')
    return value


def make_directory(path, permissions=DIRECTORY_MODE):
    """Make a directory and its parents where they are missing. One that exists keeps its mode. Raises OSError."""
    path = Path(path)
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(mode=permissions, exist_ok=True)
        # The umask took bits away from the mode above.
        directory.chmod(permissions)


def write(path, text, permissions=FILE_MODE):
    """Write text to path as UTF-8; a reader sees the old file or the new one, never a part. Raises OSError."""
    path = Path(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="\n") as stream:
            stream.write(text)
        os.chmod(name, permissions)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
