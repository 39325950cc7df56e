# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running a command that asks a device, which may never answer."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import subprocess
import tempfile

from ansible_collections.linux_memory.oom.plugins.module_utils.log_source import why

# What a command prints beyond this is not read: all of it is kept in memory, on a host that may have little.
MOST = 1024 * 1024


def run(command, seconds):
    """Return (exit status, output) of a command. Raises ValueError with a clause where it did not start or not end.

    A command whose device hangs sits in the kernel where no signal ends it. It is killed and not waited for, unlike
    subprocess.run, which would wait for ever. Its output goes to a file, since a pipe could be kept open as long.
    """
    environment = dict(os.environ, LC_ALL="C")
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, env=environment
            )
        except EnvironmentError as error:
            raise ValueError("%s: %s" % (command[0], why(error)))
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ValueError("%s did not end within %g seconds" % (os.path.basename(command[0]), seconds))
        output.seek(0)
        return status, output.read(MOST).decode("utf-8", "replace")
