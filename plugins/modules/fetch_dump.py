#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of an action that runs on the controller: plugins/action/fetch_dump.py."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: fetch_dump
short_description: Bring a dump to the controller, in pieces
version_added: 0.1.0
description:
  - Brings one large file of a host, such as a dump, to the machine that runs Ansible. The file gets mode 0600, also where
    it is there already with the right content; directories that are missing get 0700.
  - It looks at the free space of the controller first, and refuses where the file would leave less than O(keep_free). It looks
    again before each piece, since files of other hosts may come at the same time, and stops where the rest would leave less.
    Several hosts together leave at most one O(piece) each less than O(keep_free).
  - A transfer that was interrupted goes on where it stopped. The file gets its name when all of it is there, on disk, and its
    SHA-256 is that of the host's file.
extends_documentation_fragment:
  - linux_memory.oom.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: posix
    support: full
    details:
      - The host needs C(dd), C(stat), C(base64) and C(sha256sum) of GNU coreutils or busybox.
options:
  src:
    description: The absolute path of the file on the host.
    type: str
    required: true
  dest:
    description: The path of the file on the controller; a relative path starts where the command was run.
    type: path
    required: true
  keep_free:
    description: How many bytes have to stay free on the controller's file system.
    type: int
    default: 1073741824
  piece:
    description: How many bytes to ask for at once, a multiple of 65536; the controller holds about three times as many in memory.
    type: int
    default: 8388608
seealso:
  - module: linux_memory.oom.vmcore_info
author:
  - linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Bring the newest dump
  linux_memory.oom.fetch_dump:
    src: "{{ (vmcore.crashes | first).path }}"
    dest: "dumps/{{ inventory_hostname }}/vmcore"
  become: true
"""

RETURN = r"""
path:
  description: The file on the controller.
  returned: success
  type: str
size:
  description: Its size.
  returned: success
  type: int
sha256:
  description: Its SHA-256, which is that of the host's file.
  returned: success
  type: str
resumed_at:
  description: From which byte on the file was brought; what was before that came in an earlier run.
  returned: success
  type: int
"""
