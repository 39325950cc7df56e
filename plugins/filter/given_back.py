# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter linux_memory.oom.given_back: what a role took back."""

from __future__ import annotations

DOCUMENTATION = r"""
name: given_back
short_description: Say what a role took back
version_added: 0.1.0
author:
  - The linux_memory.oom contributors (@linux-memory)
description:
  - Turns what the modules of a role answered with its state C(absent) into one sentence for each setting.
  - The playbook C(linux_memory.oom.undo) uses it.
positional: _input
options:
  _input:
    description: What the module of a role registered.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what was taken back
  ansible.builtin.debug:
    msg: "{{ answer | linux_memory.oom.given_back }}"
"""

RETURN = r"""
_value:
  description: A sentence for each setting, file or unit that was there and is as before; empty where nothing was.
  type: list
  elements: str
"""

from ansible_collections.linux_memory.oom.plugins.plugin_utils import audit
from ansible_collections.linux_memory.oom.plugins.plugin_utils.plain import plain


def given_back(answer):
    """Return what was taken back."""
    return audit.given_back(plain(answer) or {})


class FilterModule:
    """The filter linux_memory.oom.given_back."""

    def filters(self):
        """Return the filters of this file."""
        return {"given_back": given_back}
