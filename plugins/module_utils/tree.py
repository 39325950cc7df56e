# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading of one host's files, live (/) or from another tree.

Every reader of the collection goes through Tree, so that it works the same on the running host, on a
mounted host and on an unpacked sosreport, and so that what could not be read is written down in one place.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import stat

# No kernel file that is read here is larger in practice; the limit keeps garbage from filling the memory.
READ_LIMIT = 8 * 1024 * 1024

# As the kernel's own limit on symbolic links in one path (path_resolution(7)).
MAX_LINKS = 40

_REASONS = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EOPNOTSUPP: "not supported by this kernel",
    errno.EISDIR: "is a directory",
}


def reason(error, path=None):
    """Return one short clause for an OSError: the path, and why it could not be read."""
    name = path or getattr(error, "filename", None) or "file"
    text = _REASONS.get(error.errno) or (os.strerror(error.errno) if error.errno else str(error))
    return "%s: %s" % (name, text)


class Tree:
    """Files of one host below root. Paths are given as the host sees them, absolute.

    In a tree that is not /, absolute symbolic links stay inside the tree, as chroot(2) would have it.
    unavailable collects what could not be read: {"subset" or "subset.part": reason}.
    """

    def __init__(self, root="/"):
        self.root = os.path.abspath(root)
        self.live = self.root == "/"
        self.unavailable = {}
        self._memo = {}

    @property
    def sosreport(self):
        """True where the tree is an unpacked sosreport (it holds sos_commands/)."""
        return self.once("sosreport", lambda: not self.live and os.path.isdir(os.path.join(self.root, "sos_commands")))

    def once(self, key, function):
        """Return function(), computed at most once for this tree: several subsets need the same list."""
        if key not in self._memo:
            self._memo[key] = function()
        return self._memo[key]

    def missing(self, what, why):
        """Record that what ("subset" or "subset.part") could not be read; why is an OSError or a sentence."""
        text = reason(why, self.host_path(why.filename)) if isinstance(why, EnvironmentError) else str(why)
        self.unavailable.setdefault(what, text)

    def host_path(self, path):
        """Return path as the host itself would name it (without root); None stays None."""
        if path and not self.live and path.startswith(self.root):
            return path[len(self.root) :] or "/"
        return path

    def real(self, path):
        """Return the path on this machine for the host's path. Raises OSError: ELOOP, or EINVAL for a NUL."""
        if "\0" in path:
            # Some paths come out of files, and Python answers a NUL with ValueError, which nobody here expects.
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path.replace("\0", "\\0"))
        if self.live:
            return path
        return self._resolve(path)

    def _resolve(self, path):
        todo = [part for part in path.split("/") if part and part != "."]
        done = []
        links = 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                if done:
                    done.pop()
                continue
            here = os.path.join(self.root, *(done + [part]))
            try:
                target = os.readlink(here)
            except EnvironmentError:
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
            if target.startswith("/"):
                done = []
            todo = [piece for piece in target.split("/") if piece and piece != "."] + todo
        return os.path.join(self.root, *done)

    def read(self, path):
        """Return the text of a file (at most 8 MiB; bytes that are not UTF-8 become U+FFFD). Raises OSError."""
        real = self.real(path)
        # O_NONBLOCK: a tree made by somebody else may hold a FIFO where a file is expected.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        try:
            if not self.live and not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", real)
            pieces = []
            size = 0
            while size < READ_LIMIT:
                piece = os.read(descriptor, min(131072, READ_LIMIT - size))
                if not piece:
                    break
                pieces.append(piece)
                size += len(piece)
        except EnvironmentError as error:
            # A read that fails, unlike an open, does not name its file.
            raise OSError(error.errno, os.strerror(error.errno) if error.errno else str(error), real)
        finally:
            os.close(descriptor)
        return b"".join(pieces).decode("utf-8", "replace")

    def text(self, path, default=None):
        """Return the text of a file, stripped, or default where it cannot be read."""
        try:
            return self.read(path).strip()
        except EnvironmentError:
            return default

    def integer(self, path, default=None):
        """Return the whole number that a file holds, or default where it cannot be read or is none."""
        try:
            return int(self.read(path))
        except (EnvironmentError, ValueError):
            return default

    def names(self, path):
        """Return the sorted names in a directory; an empty list where it cannot be read."""
        try:
            return sorted(os.listdir(self.real(path)))
        except EnvironmentError:
            return []

    def exists(self, path):
        """Return whether the path exists in the tree."""
        try:
            return os.path.exists(self.real(path))
        except EnvironmentError:
            return False

    def is_dir(self, path):
        """Return whether the path is a directory in the tree."""
        try:
            return os.path.isdir(self.real(path))
        except EnvironmentError:
            return False

    def link(self, path):
        """Return the target of a symbolic link as written, or None. Only the last component is not followed."""
        try:
            parent, name = os.path.split(path)
            return os.readlink(os.path.join(self.real(parent), name))
        except EnvironmentError:
            return None

    def stat(self, path):
        """Return os.stat of the path in the tree. Raises OSError."""
        return os.stat(self.real(path))
