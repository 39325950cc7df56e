#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of an action that runs on the controller: plugins/action/query_facts.py."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: query_facts
short_description: Ask the memory facts of all hosts of a play one question
version_added: 0.1.0
description:
  - Applies a JMESPath expression to the facts that M(linux_memory.oom.memory_facts) gathered earlier in the play, prints the
    answer, and writes it to a file if asked to. It runs on the controller alone.
  - The expression sees a list with one object for each host that has facts. Each holds C(host) and the subsets of
    M(linux_memory.oom.memory_facts) by their names, such as C(meminfo) and C(swap).
  - Beside the functions of JMESPath there is C(human_bytes(number)), which writes a size such as V(1.9 GiB).
extends_documentation_fragment:
  - linux_memory.oom.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode it prints the answer and writes no file.
  diff_mode:
    support: none
  platform:
    platforms: posix
    support: full
    details:
      - It runs on the machine that runs Ansible.
requirements:
  - The Python library jmespath on the controller.
options:
  query:
    description: The JMESPath expression.
    type: str
    required: true
  hosts:
    description: The hosts to ask, by their names in the inventory.
    type: list
    elements: str
    default: []
  output:
    description:
      - How to write the answer, V(table), V(json) or V(csv). In V(table) and V(csv) each object of a list becomes a row, its
        keys become columns, and what is nested stays JSON.
    type: str
    default: table
  dest:
    description: A file that also gets the answer; a relative path starts where the command was run.
    type: path
  file_mode:
    description: The mode of that file.
    type: str
    default: "0600"
  check_options:
    description: Only check the other options, so that a mistake is found before many hosts are read.
    type: bool
    default: false
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: List the hosts that have less than 1 GiB available
  linux_memory.oom.query_facts:
    hosts: "{{ ansible_play_hosts_all }}"
    query: "[?meminfo.mem_available < `1073741824`].{host: host, available: human_bytes(meminfo.mem_available)}"
  run_once: true
"""

RETURN = r"""
answer:
  description: The answer; its kind follows from the expression.
  type: raw
  returned: success
path:
  description: The file that was written.
  type: str
  returned: when O(dest) is set
"""
