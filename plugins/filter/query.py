# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask the facts of many hosts a question."""

from __future__ import annotations

DOCUMENTATION = r"""
name: query
short_description: Ask data a JMESPath question, with errors that name the place
version_added: 0.1.0
author:
  - The linux_memory.oom contributors (@linux-memory)
description:
  - Applies a JMESPath expression and returns its answer.
  - Beside the functions of JMESPath there is C(human_bytes(number)), which writes a size such as V(1.9 GiB). JMESPath itself
    has no arithmetic.
  - A broken expression fails with one sentence that names the expression and the column of the error.
requirements:
  - The Python library jmespath on the controller.
positional: expression
options:
  _input:
    description: The data, for example a list with the facts of one host per item.
    type: raw
    required: true
  expression:
    description: The JMESPath expression.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Say which hosts have less than 1 GiB available
  ansible.builtin.debug:
    msg: "{{ hosts | linux_memory.oom.query('[?meminfo.mem_available < `1073741824`].host') }}"
  vars:
    hosts: "{{ ansible_play_hosts | map('extract', hostvars, ['ansible_facts', 'linux_memory']) | list }}"
"""

RETURN = r"""
_value:
  description: The answer; its kind follows from the expression.
  type: raw
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.linux_memory.oom.plugins.plugin_utils.query import QueryError, search


def query(data, expression):
    """Return the answer of the expression on data. Raises AnsibleFilterError with one sentence."""
    try:
        return search(data, expression)
    except QueryError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filter linux_memory.oom.query."""

    def filters(self):
        """Return the filters of this file."""
        return {"query": query}
