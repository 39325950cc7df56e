# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failed requests that the kernel has told of since boot, by disk.

Source: block/blk-mq.c blk_print_req_error and the names of its statuses (block/blk-core.c blk_errors); before 4.14
block/blk-core.c end_request. Of ten in five seconds the kernel tells, of more it does not, so that counts are lower
bounds.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils.kernel_log import parse_line
from ansible_collections.linux_memory.oom.plugins.module_utils.log_source import KmsgSource, SourceError

_SIGN = " error, dev "
_ERROR = re.compile(
    r"(?:\w+: )?(I/O|critical medium|timeout|protection) error, dev ([^\s,/]+(?:/[^\s,/]+)?), sector [0-9]+"
    r"(?: op 0x([0-9a-f]{1,8}):)?"
)
# READ, WRITE, FLUSH (include/linux/blk_types.h). Many healthy devices refuse to discard or to write zeroes.
_OPERATIONS = ("0", "1", "2")

# Where sosreport puts what dmesg prints.
_SOS_DMESG = "/sos_commands/kernel/dmesg"


def parse(lines):
    """Return {disk: {count, last}} of lines of a kernel log; last is seconds after boot, None where no line says when.

    Refusals of a command ("critical target", "operation not supported") and failures of a path are not counted: the
    first are no fault, and the second are told of the path.
    """
    found = {}
    for text in lines:
        if _SIGN not in text:
            continue
        line = parse_line(text)
        match = _ERROR.match(line.text)
        if not match or not line.kernel or match.group(3) not in (None,) + _OPERATIONS:
            continue
        entry = found.setdefault(match.group(2).replace("/", "!"), {"count": 0, "last": None})
        entry["count"] += 1
        if line.uptime is not None:
            entry["last"] = max(entry["last"] or 0, line.uptime)
    return found


def _live_lines():
    for piece in KmsgSource().pieces():
        for line in piece.split(b"\n"):
            yield line.decode("utf-8", "replace")


def read(tree, disks):
    """Return what parse() finds of the disks that are there now; a stick that was pulled out is no fault.

    Of a live host that is the kernel's ring buffer, of a sosreport its copy, and {} of another tree. Where it may not
    be read the reason is recorded.
    """
    try:
        lines = _live_lines() if tree.live else tree.text(_SOS_DMESG, "").split("\n") if tree.sosreport else ()
        found = parse(lines)
    except SourceError as error:
        tree.missing("storage.io_errors", "the kernel's log: %s" % error)
        return {}
    return {name: entry for name, entry in found.items() if name in disks}
