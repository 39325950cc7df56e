# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where crashes are saved, in which form, and where the debug symbols of their kernels lie.

Documentation/admin-guide/kdump/kdump.rst and makedumpfile(8) have the forms; kdump-tools(5) of Debian and Ubuntu and
kdump.conf(5) of the RHEL family the places.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile

from ansible_collections.linux_memory.oom.plugins.module_utils import kdump, log_source
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

# makedumpfile.h MAKEDUMPFILE_SIGNATURE; diskdump_mod.h KDUMP_SIGNATURE and DISK_DUMP_SIGNATURE; elf.h.
_FORMS = (
    (b"makedumpfile", "flattened"),
    (b"KDUMP   ", "kdump"),
    (b"DISKDUMP", "kdump"),
    (b"\x7fELF", "elf"),
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
PACKED = ("gzip", "xz", "bzip2", "zstd", "lz4")
_LOG = re.compile(r"^(?:vmcore-dmesg(?:-incomplete)?\.txt|dmesg\.[0-9]{8,14})$")
_INCOMPLETE = re.compile(r"incomplete")
# No kernel's ring buffer is larger (2 GiB at most by log_buf_len=, and far less in use); a log is read whole.
LARGEST_LOG = 256 * 1024 * 1024
# Left free where a dump is rearranged.
MARGIN = 256 * 1024 * 1024
# Seconds for makedumpfile, which rearranges some 100 MB a second.
LONGEST = 1800
DEBUG_ROOT = "/usr/lib/debug"


def form_of(path):
    """Return the form of a dump by its first bytes: flattened, kdump, elf, one of PACKED, empty or unknown."""
    with open(path, "rb") as stream:
        head = stream.read(16)
    if not head:
        return "empty"
    return next((name for mark, name in _FORMS if head.startswith(mark)), "unknown")


def incomplete(path):
    """Return whether the name says that the dump was not finished (vmcore-incomplete, dump-incomplete)."""
    return bool(_INCOMPLETE.search(os.path.basename(path)))


def crashes(directory):
    """Return ([crash], {path: why not}) below a directory, oldest first; a crash is {dump, log, size, time}.

    dump is None where only the log was saved, log is None where only the dump was.
    """
    tree, root = Tree("/"), os.path.abspath(directory)
    found = [{"dump": one["path"], "size": one["size"], "time": one["time"]} for one in kdump.dumps(tree, root)]
    for one in found:
        one["log"] = log_beside(one["dump"])
    logs = {one["log"] for one in found}
    for path in sorted(_logs(root)):
        if path not in logs:
            status = os.stat(path)
            found.append({"dump": None, "log": path, "size": status.st_size, "time": status.st_mtime})
    found.sort(key=lambda one: (one["time"], one["dump"] or one["log"]))
    return found, dict(tree.unavailable)


def _logs(root):
    for folder in [root] + _folders(root):
        try:
            names = os.listdir(folder)
        except EnvironmentError:
            continue
        for name in names:
            path = os.path.join(folder, name)
            if _LOG.match(name) and os.path.isfile(path) and not os.path.islink(path):
                yield path


def _folders(root):
    try:
        with os.scandir(root) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except EnvironmentError:
        return []


def log_beside(dump):
    """Return the path of the log that was saved with a dump, or None. On Debian both have the same stamp."""
    folder, name = os.path.split(dump)
    stamp = re.search(r"\.([0-9]{8,14})", name)
    wanted = ["dmesg." + stamp.group(1)] if stamp else []
    if not stamp:
        wanted += ["vmcore-dmesg.txt", "vmcore-dmesg-incomplete.txt"]
        try:
            others = sorted(one for one in os.listdir(folder) if _LOG.match(one))
        except EnvironmentError:
            others = []
        # A dump that was not finished has no stamp yet, and its log may have one.
        wanted += others if len(others) == 1 else []
    for one in wanted:
        path = os.path.join(folder, one)
        if os.path.isfile(path) and not os.path.islink(path):
            return path
    return None


def read_log(path):
    """Return the bytes of a saved log. Raises ValueError with a clause."""
    try:
        if os.stat(path).st_size > LARGEST_LOG:
            raise ValueError("%s is larger than %d bytes, and no log of a kernel is" % (path, LARGEST_LOG))
        with open(path, "rb") as stream:
            return stream.read()
    except EnvironmentError as error:
        raise ValueError("%s: %s" % (path, log_source.why(error)))


def open_to_others(path):
    """Return a sentence where more than its owner may read a dump, else None."""
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o077:
        return "%s has mode %04o: a dump holds what programs had in memory, passwords too; it has to be 0600" % (
            path,
            mode,
        )
    return None


def symbols(debuginfo, release, build_id):
    """Return the paths of a vmlinux to try, the surest first: what was given, or the places of the distributions."""
    if debuginfo and os.path.isfile(debuginfo):
        return [debuginfo]
    found = []
    for root in [debuginfo] if debuginfo else [DEBUG_ROOT]:
        # Debian's -dbg packages, then kernel-debuginfo of the RHEL family and Ubuntu's -dbgsym.
        names = ["boot/vmlinux-" + release, "vmlinux-" + release, "lib/modules/%s/vmlinux" % release]
        if build_id and re.match(r"^[0-9a-f]{8,}$", build_id):
            names.append(".build-id/%s/%s.debug" % (build_id[:2], build_id[2:]))
        inner = DEBUG_ROOT.strip("/")
        places = names + [inner + "/" + name for name in names] + (["vmlinux"] if debuginfo else [])
        found += [os.path.join(root, name) for name in places]
    return [path for path in found if os.path.isfile(path)]


def how_to_get(release):
    """Return how a person gets the symbols of a kernel, in a clause."""
    return (
        "install linux-image-%s-dbg (Debian), linux-image-%s-dbgsym (Ubuntu) or kernel-debuginfo-%s (RHEL family), "
        "or give debuginfo" % (release, release, release)
    )


def room(directory, needed):
    """Raise ValueError with both numbers where a file system has not so many bytes free."""
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if free < needed + MARGIN:
        raise ValueError(
            "%s has %d bytes free, and %d are needed: %d to rearrange the dump and %d to leave free"
            % (directory, free, needed + MARGIN, needed, MARGIN)
        )


class Scratch:
    """A directory of mode 0700 that is made when it is first needed, and removed in any case."""

    def __init__(self, parent):
        self.parent = parent
        self._path = None

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = None

    def path(self, name):
        """Return the path of a file in it."""
        if self._path is None:
            self._path = tempfile.mkdtemp(prefix="linux_memory_oom-", dir=self.parent)
        return os.path.join(self._path, name)


def check_flattened(path):
    """Raise ValueError where a flattened dump does not end as it has to: makedumpfile -R never ends on such a one.

    After 4096 bytes of header come (offset, size, data), two numbers of eight bytes each, and at the end -1 twice
    (makedumpfile.h struct makedumpfile_data_header).
    """
    size = os.stat(path).st_size
    with open(path, "rb") as stream:
        position = 4096
        while True:
            stream.seek(position)
            head = stream.read(16)
            if len(head) < 16:
                break
            where, length = struct.unpack(">qq", head)
            if where == -1 and length == -1:
                return
            if where < 0 or length <= 0 or position + 16 + length > size:
                break
            position += 16 + length
    raise ValueError("the dump is cut off at %d bytes: it was not finished" % size)


def rearrange(dump, scratch):
    """Write a flattened dump as makedumpfile -R does, for readers that cannot take it as it is. Raises ValueError."""
    command = log_source.find_command("makedumpfile")
    if command is None:
        raise ValueError("it is flattened, and there is no makedumpfile to rearrange it; install makedumpfile")
    check_flattened(dump)
    target = scratch.path("vmcore")
    room(os.path.dirname(target), os.stat(dump).st_size)
    with open(dump, "rb") as source:
        _run([command, "-R", target], source)
    return target


def dmesg_of(dump, scratch):
    """Return the kernel's log in a dump as makedumpfile reads it, which needs no debug symbols. Raises ValueError."""
    command = log_source.find_command("makedumpfile")
    if command is None:
        raise ValueError("there is no makedumpfile to read its log; install makedumpfile")
    if form_of(dump) == "flattened":
        dump = rearrange(dump, scratch)
    target = scratch.path("dmesg")
    _run([command, "--dump-dmesg", dump, target], subprocess.DEVNULL)
    return read_log(target)


def _run(command, source):
    environment = dict(os.environ, LC_ALL="C")
    try:
        done = subprocess.run(
            command,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            check=False,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        raise ValueError("makedumpfile did not end within %d seconds" % LONGEST)
    except EnvironmentError as error:
        raise ValueError("%s: %s" % (command[0], log_source.why(error)))
    if done.returncode != 0 or not os.path.exists(command[-1]):
        lines = [line.strip() for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
        told = [line for line in lines if "Failed" not in line and "supported" not in line and "incomplete" not in line]
        raise ValueError("makedumpfile cannot read it (%s)" % (told[-1] if told else "status %d" % done.returncode))
