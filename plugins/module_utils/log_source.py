# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where kernel logs are kept, and their bytes, piece by piece.

A Source is one log: a file (plain or compressed), the journal, or the kernel's ring buffer. Its pieces() never
holds more than a piece in memory. What cannot be read raises SourceError with one clause that says why.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import bz2
import codecs
import errno
import glob
import gzip
import lzma
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
import zlib

from ansible_collections.linux_memory.oom.plugins.module_utils.tree import reason

PIECE = 1024 * 1024

# The logs that take kernel messages, with what log rotation appends: .1, -20260101, .2.gz, -20260101.xz.
_NAMES = re.compile(r"^(?:kern\.log|messages|syslog)(?:[.-][\w.-]+)?$")
_SOS_NAMES = re.compile(r"^(?:journalctl|dmesg)")
_JOURNAL_SIGNATURE = b"LPKSHHRH"
_JOURNAL_FIELDS = (
    "MESSAGE",
    "_TRANSPORT",
    "_HOSTNAME",
    "_BOOT_ID",
    "SYSLOG_IDENTIFIER",
    "_SOURCE_MONOTONIC_TIMESTAMP",
    "_SOURCE_REALTIME_TIMESTAMP",
)
_SEARCH_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
# The ring buffer's records end with lines of "KEY=value" that begin with a blank (kernel: dev-kmsg in ABI/testing).
_KMSG_FIELD = re.compile(rb"^ [A-Z_]+=")


class SourceError(Exception):
    """A log that cannot be read; the text says why, in one clause."""


class Source:
    """One log. name: "journal", "kmsg" or "file". path: as the host names it. reference: the epoch time of its end."""

    def __init__(self, name, path, reference=None, boot_time=None):
        self.name = name
        self.path = path
        self.reference = reference
        self.boot_time = boot_time

    def pieces(self):
        """Yield the log's bytes in order. Raises SourceError."""
        raise NotImplementedError


class FileSource(Source):
    """A log file, which may be compressed: what it holds tells how, not its name."""

    def __init__(self, real, path=None):
        Source.__init__(self, "file", path or real, _mtime(real))
        self.real = real

    def pieces(self):
        try:
            descriptor = os.open(self.real, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as stream:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise SourceError("not a regular file")
                head = stream.read(8)
                stream.seek(0)
                journal = head == _JOURNAL_SIGNATURE
                yield from journal_pieces(["--file=" + self.real]) if journal else as_utf8(_unpacked(stream, head))
        except EnvironmentError as error:
            raise SourceError(why(error))
        except (EOFError, lzma.LZMAError, zlib.error) as error:
            raise SourceError("damaged: %s" % error)


def _unpacked(stream, head):
    if head.startswith(b"\x1f\x8b"):
        return _stream_pieces(gzip.GzipFile(fileobj=stream))
    if head.startswith(b"\xfd7zXZ\x00"):
        return _stream_pieces(lzma.LZMAFile(stream))
    if head.startswith(b"BZh"):
        return _stream_pieces(bz2.BZ2File(stream))
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd_pieces(stream)
    return _stream_pieces(stream)


def _stream_pieces(stream):
    while True:
        piece = stream.read(PIECE)
        if not piece:
            return
        yield piece


def as_utf8(pieces):
    """Yield pieces of text in UTF-8 where a byte order mark says that they are in UTF-16, as PowerShell writes them."""
    decoder = None
    for number, piece in enumerate(pieces):
        if number == 0 and piece[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
        yield decoder.decode(piece).encode("utf-8", "replace") if decoder else piece


def _zstd_pieces(stream):
    """Yield what the zstd command makes of a file; the standard library reads this format only from Python 3.14."""
    # The command reads the descriptor itself, where Python's own reading ahead has moved it on.
    os.lseek(stream.fileno(), 0, os.SEEK_SET)
    for name, arguments in (("zstd", ["-dcq"]), ("unzstd", ["-cq"]), ("zstdcat", [])):
        command = find_command(name)
        if command:
            return command_pieces([command] + arguments, stream)
    raise SourceError("compressed with zstd, and no zstd command is installed")


def find_command(name):
    """Return the path of a command, also where PATH lacks the directories of the system's tools, or None."""
    path = os.environ.get("PATH", "")
    more = [one for one in _SEARCH_PATH if one not in path.split(os.pathsep)]
    return shutil.which(name, path=os.pathsep.join([path] + more))


def command_pieces(command, stdin=None):
    """Yield a command's output. Raises SourceError with its first line of complaint where it fails."""
    environment = dict(os.environ, LC_ALL="C", SYSTEMD_PAGER="", SYSTEMD_COLORS="0")
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                command,
                stdin=stdin if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=environment,
            )
        except EnvironmentError as error:
            raise SourceError("%s: %s" % (command[0], why(error)))
        try:
            while True:
                piece = process.stdout.read(PIECE)
                if not piece:
                    break
                yield piece
        finally:
            process.stdout.close()
            if process.poll() is None:
                process.terminate()
            status = process.wait()
        complaints.seek(0)
        text = complaints.read(4096).decode("utf-8", "replace")
        if status != 0:
            raise SourceError(_complaint(text) or "%s ended with status %d" % (os.path.basename(command[0]), status))
        if "not seeing messages" in text:
            raise SourceError("permission denied: this user sees no messages of the system")


def _complaint(text):
    """Return the first line that a command complained with, without its own name."""
    for line in text.splitlines():
        if line.strip():
            return re.sub(r"^\S+: ", "", line.strip())
    return None


# The journal


class JournalSource(Source):
    """The kernel's messages in a journal: the host's, or one in a directory or a file."""

    def __init__(self, selection, path, boots=0, since=None, until=None):
        Source.__init__(self, "journal", path, time.time())
        self.selection = selection
        self.boots = boots
        self.since = since
        self.until = until

    def pieces(self):
        matches = []
        if self.boots:
            matches = ["_BOOT_ID=" + boot for boot in boot_ids(self.selection)[-self.boots :]]
        span = []
        if self.since is not None:
            span.append("--since=@%d" % self.since)
        if self.until is not None:
            span.append("--until=@%d" % (self.until + 1))
        any_piece = False
        for piece in journal_pieces(self.selection + span + matches):
            any_piece = True
            yield piece
        if not any_piece and not self.selection:
            _require_system_journal()


def journal_pieces(selection):
    """Yield journalctl's JSON lines of kernel messages."""
    command = find_command("journalctl")
    if not command:
        raise SourceError("journalctl is not installed")
    fixed = [command, "--no-pager", "--quiet", "--all", "--output=json"]
    fields = ["--output-fields=" + ",".join(_JOURNAL_FIELDS)]
    matches = ["_TRANSPORT=kernel"]
    # systemd before 236 does not know --output-fields (RHEL 7).
    for options in (fields, []):
        any_piece = False
        try:
            for piece in command_pieces(fixed + options + selection + matches):
                any_piece = True
                yield piece
            return
        except SourceError as error:
            if any_piece or not options or "unrecognized option" not in str(error):
                raise


def _require_system_journal(roots=("/var/log/journal", "/run/log/journal")):
    """Raise SourceError where this user may read no journal of the system.

    journalctl shows somebody who may not read it the user's own journal, and calls that a success.
    """
    found = [one for root in roots for one in glob.glob(os.path.join(root, "*", "system*.journal"))]
    closed = [one for one in found if not os.access(one, os.R_OK)]
    closed += [root for root in roots if os.path.isdir(root) and not os.access(root, os.R_OK | os.X_OK)]
    if closed and len(closed) >= len(found):
        raise SourceError("permission denied: this user sees no messages of the system")
    if not found:
        raise SourceError("no journal of the system is kept")


def boot_ids(selection):
    """Return the ids of the boots in a journal, oldest first."""
    command = find_command("journalctl")
    if not command:
        raise SourceError("journalctl is not installed")
    listed = b"".join(command_pieces([command, "--no-pager", "--quiet", "--list-boots"] + selection))
    text = listed.decode("utf-8", "replace")
    return re.findall(r"^\s*-?\d+\s+([0-9a-f]{32})\b", text, re.M)


# The ring buffer


class KmsgSource(Source):
    """The kernel's ring buffer: /dev/kmsg, or dmesg where that is not there. Only of the boot that runs."""

    def __init__(self, path="/dev/kmsg"):
        Source.__init__(self, "kmsg", path, time.time(), time.time() - time.monotonic())

    def pieces(self):
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except EnvironmentError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
                raise SourceError(why(error))
            yield from self._dmesg()
            return
        try:
            while True:
                try:
                    record = os.read(descriptor, 16384)
                except EnvironmentError as error:
                    if error.errno in (errno.EPIPE, errno.EINTR):
                        # The record was overwritten while the buffer was read: go on with the oldest that is left.
                        continue
                    if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                        return
                    raise SourceError(why(error))
                if not record:
                    return
                lines = [line for line in record.rstrip(b"\n").split(b"\n") if not _KMSG_FIELD.match(line)]
                yield b"\n".join(lines) + b"\n"
        finally:
            os.close(descriptor)

    def _dmesg(self):
        command = find_command("dmesg")
        if not command:
            raise SourceError("neither /dev/kmsg nor dmesg is there")
        return command_pieces([command, "--raw"])


# Which logs a host has


def host_files(tree, since=None):
    """Return the FileSources of a host's kernel logs below tree, oldest first; of a sosreport, what it collected."""
    found = ["/var/log/" + name for name in tree.names("/var/log") if _NAMES.match(name)]
    if tree.sosreport:
        for folder in ("/sos_commands/logs", "/sos_commands/kernel"):
            found += [folder + "/" + name for name in tree.names(folder) if _SOS_NAMES.match(name)]
    sources = []
    for path in found:
        try:
            real = tree.real(path)
        except EnvironmentError:
            continue
        if not os.path.isfile(real):
            continue
        source = FileSource(real, path)
        if since is None or source.reference is None or source.reference >= since:
            sources.append(source)
    sources.sort(key=lambda source: (source.reference or 0, source.path))
    return sources


def host_journal(tree, boots=0, since=None, until=None):
    """Return the JournalSource of a host, or None where the tree is another host's and holds no journal."""
    if tree.live:
        return JournalSource([], "journal", boots, since, until)
    for path in ("/var/log/journal", "/run/log/journal"):
        if tree.is_dir(path):
            return JournalSource(["--directory=" + tree.real(path), "--merge"], path, boots, since, until)
    return None


def path_sources(path, boots=0, since=None, until=None):
    """Return the Sources of a path that somebody named: a log file, a journal, or a directory of either."""
    if not os.path.isdir(path):
        if _is_journal(path):
            return [JournalSource(["--file=" + path], path, boots, since, until)]
        return [FileSource(path)]
    if _holds_journal(path):
        return [JournalSource(["--directory=" + path, "--merge"], path, boots, since, until)]
    found = []
    for name in sorted(os.listdir(path)):
        here = os.path.join(path, name)
        if os.path.isfile(here):
            found.append(FileSource(here))
    return found


def _holds_journal(path):
    """Return whether a directory holds journal files, itself or one level below, as /var/log/journal does."""
    for name in sorted(os.listdir(path)):
        here = os.path.join(path, name)
        if name.endswith((".journal", ".journal~")):
            return True
        if re.match(r"^[0-9a-f]{32}(?:\.\w+)?$", name) and os.path.isdir(here):
            return True
    return False


def _is_journal(path):
    try:
        with open(path, "rb") as stream:
            return stream.read(8) == _JOURNAL_SIGNATURE
    except EnvironmentError:
        return False


def _mtime(path):
    try:
        return os.stat(path).st_mtime
    except EnvironmentError:
        return None


def why(error):
    """Return the clause for an OSError without its path, which is said beside it."""
    return reason(error, "-")[3:]
