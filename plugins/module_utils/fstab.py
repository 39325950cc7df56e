# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/etc/fstab (fstab(5)): what it says of swap, and the block of lines in it that the collection owns.

Nobody but the block's owner writes between its two marker lines, and the collection writes nowhere else: every other
byte of the file stays as it is, the missing end of its last line included.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import unescape

_BEGIN = "# BEGIN linux_memory.oom %s: written by the Ansible collection, changes between these two lines are lost"
_END = "# END linux_memory.oom %s"

# What the first marker remembers for undo, at its end.
_NO_LINE_END = " (the line above had no end)"
_NO_FILE = " (there was no file)"

_SPECIAL = re.compile(r"[ \t\n\\]")


def escape(text):
    """Return a field as fstab(5) writes it: blanks, tabs, line ends and backslashes as octal numbers."""
    return _SPECIAL.sub(lambda match: "\\%03o" % ord(match.group(0)), text)


def swap_line(path, options):
    """Return the line that switches swap on at boot. options: those of its fourth field, in order."""
    return "%s none swap %s 0 0" % (escape(path), ",".join(options))


def parse_line(line):
    """Return the fields of a line as a dict, or None for a comment, an empty line and what is no entry."""
    # As getmntent(3): blanks and tabs, and no other kind of space.
    fields = re.split("[ \t]+", line.strip(" \t\r\n"))
    if len(fields) < 3 or fields[0].startswith("#"):
        return None
    return {
        "source": unescape(fields[0]),
        "mount": unescape(fields[1]),
        "type": fields[2],
        "options": fields[3].split(",") if len(fields) > 3 else [],
    }


class Fstab:
    """The text of an fstab (None: there is no file), seen by the owner of one block, who is known by a name.

    Raises ValueError where the markers of the block are not one pair.
    """

    def __init__(self, text, owner):
        self.owner = owner
        self.text = text
        lines = (text or "").split("\n")
        begin = _BEGIN % owner
        starts = [
            number for number, line in enumerate(lines) if line in (begin, begin + _NO_LINE_END, begin + _NO_FILE)
        ]
        ends = [number for number, line in enumerate(lines) if line == _END % owner]
        if not starts and not ends:
            self.before, self.inside, self.after = text or "", None, ""
            self.note = ""
            return
        if len(starts) != 1 or len(ends) != 1 or ends[0] < starts[0]:
            raise ValueError(
                "/etc/fstab has %d lines '# BEGIN linux_memory.oom %s' and %d lines '# END linux_memory.oom %s', where "
                "one pair is allowed: mend the file by hand." % (len(starts), owner, len(ends), owner)
            )
        start, end = starts[0], ends[0]
        self.note = lines[start][len(begin) :]
        self.inside = lines[start + 1 : end]
        self.before = "".join(line + "\n" for line in lines[:start])
        if self.note == _NO_LINE_END:
            self.before = self.before[:-1]
        self.after = "\n".join(lines[end + 1 :])

    def ours(self):
        """Return the swap entries of the block: {path: options}."""
        entries = [parse_line(line) for line in self.inside or []]
        return {entry["source"]: entry["options"] for entry in entries if entry and entry["type"] == "swap"}

    def others(self):
        """Return the swap entries outside of the block: {source: number of the line}."""
        found = {}
        owned = 2 + len(self.inside) if self.inside is not None else 0
        above = len(self.before.split("\n")) - (0 if self.note == _NO_LINE_END else 1)
        for number, line in enumerate(self.before.split("\n")):
            self._other(found, line, number + 1)
        for number, line in enumerate(self.after.split("\n")):
            self._other(found, line, above + owned + number + 1)
        return found

    @staticmethod
    def _other(found, line, number):
        entry = parse_line(line)
        if entry and entry["type"] == "swap":
            found.setdefault(entry["source"], number)

    def with_lines(self, lines):
        """Return the text of the file with these lines in the block, without the block where there are none.

        None: the file is to be removed, since there was none before the block.
        """
        if not lines:
            if self.inside is None:
                return self.text
            # What others have appended since stays on lines of its own.
            joint = "\n" if self.note == _NO_LINE_END and self.after else ""
            rest = self.before + joint + self.after
            return None if self.note == _NO_FILE and not rest else rest
        if self.inside is None:
            note = _NO_FILE if self.text is None else ""
            before = self.before
            if before and not before.endswith("\n"):
                note = _NO_LINE_END
        else:
            note, before = self.note, self.before
        if note == _NO_LINE_END:
            before += "\n"
        block = [_BEGIN % self.owner + note] + list(lines) + [_END % self.owner]
        return before + "\n".join(block) + "\n" + self.after
