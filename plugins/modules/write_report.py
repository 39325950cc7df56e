#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of an action that runs on the controller: plugins/action/write_report.py."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: write_report
short_description: Write the memory report of the hosts of a play
version_added: 0.1.0
description:
  - Writes C(index.html), a page that needs no network, C(summary.json), and C(hosts/NAME.json) for each host, and prints a
    summary of a few lines a host.
  - It takes what the play knows of each host - the variable C(memory_report_host) with C(status), C(message), C(findings) and
    C(reports), the facts of M(linux_memory.oom.memory_facts), and what M(linux_memory.oom.oom_report_info) returned where it
    was registered as C(memory_report_log) - and runs on the controller alone. The role
    P(linux_memory.oom.memory_report#role) is the way to call it.
  - Each file is replaced whole. Files of hosts that the last report in the same directory named, and this one does not, are
    removed, so that a directory never holds two reports mixed. Nothing else in the directory is touched.
extends_documentation_fragment:
  - linux_memory.oom.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode it prints the summary and writes nothing.
  diff_mode:
    support: none
  platform:
    platforms: posix
    support: full
    details:
      - It runs on the machine that runs Ansible.
options:
  hosts:
    description: The hosts to report on, by their names in the inventory.
    type: list
    elements: str
    required: true
  dest:
    description:
      - The directory of the report; a relative path starts where the command was run.
      - A directory that is missing is made, one that exists keeps its mode.
    type: path
    default: reports
  title:
    description: The title of the page.
    type: str
    default: Memory report
  directory_mode:
    description: The mode of directories that are made.
    type: str
    default: "0700"
  file_mode:
    description: The mode of the files. A report holds no secrets, but names of processes and units.
    type: str
    default: "0600"
  by_log:
    description:
      - Report on the hosts that the reports in C(memory_report_log) name, and on log files that name none, instead of O(hosts).
        This is for logs that somebody sent, so facts are left out.
    type: bool
    default: false
  proposals:
    description:
      - A directory for what the findings propose, such as C(host_vars) beside the inventory; a file for each host whose findings name
        a role, every value below its evidence. None is written where this is not given.
      - A file that is there is never replaced. A proposal of other values is written beside it, with the ending C(.new).
      - Nothing in a file is applied before a person has set C(linux_memory_oom_reviewed) in it to V(true).
    type: path
  state:
    description: Whether the report is to be there. V(absent) removes what the last report in O(dest) wrote.
    type: str
    choices: [present, absent]
    default: present
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Write the report of all hosts of this play
  linux_memory.oom.write_report:
    hosts: "{{ ansible_play_hosts_all }}"
    dest: /srv/reports/memory
  run_once: true
"""

RETURN = r"""
proposed:
  description: The files of proposals that are new.
  type: list
  elements: str
  returned: with O(state=present)
path:
  description: The directory of the report.
  type: str
  returned: when O(state=present)
summary:
  description: One sentence about all hosts.
  type: str
  returned: when O(state=present)
  sample: "20 hosts: 1 needs attention, 19 healthy"
unread:
  description: The hosts that could not be read.
  type: list
  elements: str
  returned: when O(state=present)
removed:
  description: The files that were removed.
  type: list
  elements: str
  returned: when O(state=absent)
"""
