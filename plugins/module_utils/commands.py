# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running commands on a host that may be very busy."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

# run_command asks twice in a row whether a command has ended, and waits for a second between its looks at the output.
_BETWEEN_LOOKS = 0.5


def runner(module):
    """Return AnsibleModule.run_command, with all that a command prints.

    By itself it loses what a command prints after run_command has waited for a second in vain, if the command has ended
    before it goes on (https://github.com/ansible/ansible/issues/51393). On a host that is short of memory or processors
    that happens: `systemctl show` ended well and had said nothing.
    """

    def run(words, **options):
        return module.run_command(words, before_communicate_callback=_end_late, **options)

    return run


def _end_late(process):
    """Let a process (subprocess.Popen) tell of its end late enough for its output to be looked at once more."""
    poll, seen = process.poll, []

    def poll_late():
        status = poll()
        if status is None:
            return None
        seen.append(time.monotonic())
        return status if seen[-1] - seen[0] >= _BETWEEN_LOOKS else None

    process.poll = poll_late
