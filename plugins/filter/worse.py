# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter linux_memory.oom.worse: what of a host is worse than before a change."""

from __future__ import annotations

DOCUMENTATION = r"""
name: worse
short_description: Say what of a host is worse than before a change
version_added: 0.1.0
author:
  - The linux_memory.oom contributors (@linux-memory)
description:
  - Compares two readings of the module M(linux_memory.oom.memory_facts) by what the host itself counts.
  - Worse is a kill of the OOM killer outside of the units that the change has limited, or that all programs stand still
    for memory for at least a tenth of the time (PSI, C(full)) and at least twice as much as before.
  - The playbook C(linux_memory.oom.remediate) uses it.
positional: _input, before, limited
options:
  _input:
    description: The facts after the change, with the subsets C(system), C(pressure), C(vmstat) and C(cgroups).
    type: dict
    required: true
  before:
    description: The same facts before the change.
    type: dict
    required: true
  limited:
    description: Names of the units that the change has limited. Kills inside of them are what a limit is for.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Stop where the host is worse off
  ansible.builtin.fail:
    msg: "{{ found | join(' ') }}"
  when: found | length > 0
  vars:
    found: "{{ after.ansible_facts.linux_memory | linux_memory.oom.worse(before.ansible_facts.linux_memory, ['shop.service']) }}"
"""

RETURN = r"""
_value:
  description: A sentence for each thing that is worse; empty where nothing is.
  type: list
  elements: str
"""

from ansible_collections.linux_memory.oom.plugins.plugin_utils import outcome
from ansible_collections.linux_memory.oom.plugins.plugin_utils.plain import plain


def worse(after, before, limited=()):
    """Return what is worse than before."""
    return outcome.worse(plain(before), plain(after), plain(list(limited)))


class FilterModule:
    """The filter linux_memory.oom.worse."""

    def filters(self):
        """Return the filters of this file."""
        return {"worse": worse}
