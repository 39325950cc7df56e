# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the main process of a service holds, by the kernel's own account (/proc/PID/status)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

from ansible_collections.linux_memory.oom.plugins.module_utils.processes import parse_status

# Filling memory takes a second for each few GiB, and longer on a host that is short of it.
PATIENCE = 30.0
STEP = 0.1


class Process:
    """A process: sizes in bytes; oom_score_adj None where it cannot be read."""

    def __init__(self, pid, status, oom_score_adj):
        self.pid = pid
        # Shared and file pages, such as those of the interpreter, are nothing that it holds.
        self.resident = status["rss_anon"] if status["rss_anon"] is not None else status["rss"]
        self.locked = status["locked"] or 0
        self.swapped = status["swap"] or 0
        self.oom_score_adj = oom_score_adj

    @classmethod
    def read(cls, tree, pid):
        """Return the process, or None where there is none (systemd writes 0 for no main process)."""
        status = parse_status(tree.text("/proc/%s/status" % pid, "") if pid and pid != "0" else "")
        if status["rss"] is None:
            return None
        return cls(int(pid), status, tree.integer("/proc/%s/oom_score_adj" % pid))

    def holds(self, size):
        """Return whether it has that much in RAM."""
        return self.resident >= size

    def told(self):
        """Return it as a module's answer has it."""
        return {
            "pid": self.pid,
            "resident": self.resident,
            "locked": self.locked,
            "swapped": self.swapped,
            "oom_score_adj": self.oom_score_adj,
        }


def wait_until(condition, seconds=PATIENCE):
    """Ask again and again, at most for so many seconds, and return the last answer."""
    end = time.time() + seconds
    while not condition():
        if time.time() >= end:
            return False
        time.sleep(STEP)
    return True
