# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that this collection owns whole: the line that marks them, what they remember for undo, how they are written.

An owned file begins with MARK. What was there before the first change stands below it, one comment for each thing, as
JSON: a later run keeps these lines, `state: absent` reads them. Nothing about a host is remembered anywhere else.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import json
import os
import tempfile

MARK = "# Managed by the Ansible collection linux_memory.oom. It is written whole: changes made here are lost."
BEFORE = "# before: "


def is_owned(text):
    """Return whether a file's text (None: there is no file) is one that this collection wrote."""
    return bool(text) and text.startswith(MARK)


def render(body, before=()):
    """Return the text of an owned file.

    body: its lines in the format of whoever reads the file, without line ends.
    before: pairs of a name and a JSON value: what was there before the first change.
    """
    remembered = [BEFORE + json.dumps([name, value], sort_keys=True) for name, value in before]
    return "\n".join([MARK] + remembered + list(body)) + "\n"


def remembered(text):
    """Return what an owned file remembers, name to value, in the file's order; damaged lines are left out."""
    found = {}
    for line in (text or "").splitlines():
        if not line.startswith(BEFORE):
            continue
        try:
            name, value = json.loads(line[len(BEFORE) :])
        except (ValueError, TypeError):
            continue
        if isinstance(name, str):
            found[name] = value
    return found


def read(path):
    """Return a file's text, or None where there is none. Raises OSError for what cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (IOError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def write(path, text, move, mode=0o644):
    """Replace a file whole, or leave it as it was: temporary file, fsync, rename, fsync of the directory.

    move: AnsibleModule.atomic_move, which keeps owner, mode and SELinux context of a file that is replaced and gives a
    new one those of its directory. mode: of a file that is new. Directories that are missing are made (0755).
    Raises OSError, and whatever move raises.
    """
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, 0o755)
    new = not os.path.exists(path)
    sweep(path)
    handle, partial = tempfile.mkstemp(prefix=_prefix(path), dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        move(partial, path)
    finally:
        if os.path.lexists(partial):
            os.unlink(partial)
    if new:
        os.chmod(path, mode)
    sync_folder(folder)


def _prefix(path):
    """Return how the name begins under which a file is written."""
    return ".linux_memory.oom.%s." % os.path.basename(path)


def sweep(path):
    """Remove what a run that was killed while it wrote the file has left beside it."""
    folder = os.path.dirname(path)
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if name.startswith(_prefix(path)):
            os.unlink(os.path.join(folder, name))


def remove(path):
    """Remove a file for good; return whether it was there."""
    sweep(path)
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    sync_folder(os.path.dirname(path))
    return True


def sync_folder(folder):
    """Write a directory's entries to disk, so that a power cut does not bring the old file back (fsync(2))."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems have no fsync for directories: nothing more can be done there
    finally:
        os.close(handle)
