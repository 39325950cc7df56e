# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter linux_memory.oom.commitment: what strict accounting would mean for a host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: commitment
short_description: Say what strict accounting of memory would mean for a host
version_added: 0.1.0
author:
  - The linux_memory.oom contributors (@linux-memory)
description:
  - Compares what programs have reserved with what could be promised in mode 2 of C(vm.overcommit_memory), by the kernel's own
    arithmetic (C(vm_commit_limit()) in C(mm/util.c)), and names programs that are known to need overcommit.
  - A pure function of the facts of M(linux_memory.oom.memory_facts), subsets V(meminfo), V(overcommit) and V(processes).
positional: _input
options:
  _input:
    description: The value of RV(linux_memory.oom.memory_facts#module:ansible_facts.linux_memory).
    type: dict
    required: true
  settings:
    description:
      - The settings as M(linux_memory.oom.vm_sysctl) takes them. C(vm.overcommit_ratio), C(vm.overcommit_kbytes) and
        C(vm.admin_reserve_kbytes) count.
    type: dict
    required: true
  margin:
    description: What has to be left, as percent of what is promised.
    type: float
    default: 0
  accepted:
    description: Names of programs that are known to need overcommit and that somebody has looked at.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Read what is promised
  linux_memory.oom.memory_facts:
    gather_subset: [meminfo, overcommit, processes]
    top: 100

- name: Say what programs reserve against what they use
  ansible.builtin.debug:
    msg: "{{ (ansible_facts.linux_memory | linux_memory.oom.commitment({'vm.overcommit_ratio': 80})).table }}"
"""

RETURN = r"""
_value:
  description:
    - C(limit), C(promised) and C(left) in bytes, C(left) being what ordinary programs could still get; null where the facts do not
      tell.
    - C(programs), the ten that reserve most, each with C(name), C(processes), C(reserved) and C(used), and C(table), the same in
      lines of text.
    - C(refused), sentences on why these settings should not be, and C(warnings), sentences on what may fail. A host that is in mode
      2 and gets more room is never refused.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.linux_memory.oom.plugins.plugin_utils import commitment as subject
from ansible_collections.linux_memory.oom.plugins.plugin_utils.plain import plain


def commitment(facts, settings, margin=0, accepted=()):
    """Return what strict accounting with the settings would mean. Raises AnsibleFilterError with one sentence."""
    try:
        wish = subject.wish_of(plain(settings))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None
    return subject.commitment(plain(facts), wish, float(margin), [str(name) for name in accepted])


class FilterModule:
    """The filter linux_memory.oom.commitment."""

    def filters(self):
        """Return the filters of this file."""
        return {"commitment": commitment}
