# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""containers.podman's connection with pipelining: a module goes in by standard input, one command instead of four."""

from __future__ import annotations

DOCUMENTATION = """
name: podman_pipelined
short_description: Run modules in a podman container with one command each
description:
  - What containers.podman.podman does, with the module on the standard input of the one command that runs it.
author: linux_memory.oom contributors
options:
  remote_addr:
    description: The container.
    default: inventory_hostname
    vars:
      - name: ansible_host
      - name: inventory_hostname
  remote_user:
    description: The user in the container.
    vars:
      - name: ansible_user
  podman_extra_args:
    description: Options of podman itself.
    default: ''
    vars:
      - name: ansible_podman_extra_args
  podman_executable:
    description: The program.
    default: podman
    vars:
      - name: ansible_podman_executable
"""

from ansible_collections.containers.podman.plugins.connection.podman import Connection as Podman  # noqa: E402


class Connection(Podman):
    """A connection to one container."""

    transport = "podman_pipelined"
    has_pipelining = True

    def _connect(self):
        """Do nothing: few tasks copy files, and `podman cp` does that, so the file system need not be mounted."""
        self._connected = True

    def _podman(self, cmd, cmd_args=None, in_data=None, use_container_id=True):
        """Run podman; where there is something for standard input, the command in the container gets it."""
        if in_data is not None:
            cmd = [cmd[0], "--interactive", *cmd[1:]]
        return super()._podman(cmd, cmd_args, in_data, use_container_id)
