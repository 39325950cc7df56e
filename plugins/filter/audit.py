# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter linux_memory.oom.audit: whether hosts are as their roles would make them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: audit
short_description: Say of each setting of each host whether it is as its role would make it
version_added: 0.1.0
author:
  - The linux_memory.oom contributors (@linux-memory)
description:
  - Turns what the modules of roles answered in check mode into one sentence for each setting.
  - The playbook C(linux_memory.oom.audit) uses it.
positional: _input
options:
  _input:
    description:
      - For each host a list of dictionaries with C(role), C(answer), what its module registered, and C(refused), why the role
        refuses, where it does. A host without a list could not be asked.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say whether swappiness is what it has to be
  ansible.builtin.debug:
    msg: "{{ {inventory_hostname: [{'role': 'swap', 'answer': answer}]} | linux_memory.oom.audit }}"
"""

RETURN = r"""
_value:
  description:
    - C(lines), a sentence for each setting that begins with PASS or FAIL and the host.
    - C(passed) and C(failed), how many.
    - C(json) and C(junit), the same as text for programs.
  type: dict
"""

from ansible_collections.linux_memory.oom.plugins.plugin_utils import audit as subject
from ansible_collections.linux_memory.oom.plugins.plugin_utils.plain import plain


def audit(hosts):
    """Return what is to be said of the hosts."""
    found = []
    for host, answers in plain(hosts).items():
        if not isinstance(answers, list):
            found.append(subject.unasked(host))
            continue
        for one in answers:
            found += subject.checks(host, one["role"], one.get("answer") or {}, one.get("refused") or "")
    failed = sum(1 for check in found if not check.passed)
    return {
        "lines": [check.told() for check in found],
        "passed": len(found) - failed,
        "failed": failed,
        "json": subject.as_json(found),
        "junit": subject.as_junit(found),
    }


class FilterModule:
    """The filter linux_memory.oom.audit."""

    def filters(self):
        """Return the filters of this file."""
        return {"audit": audit}
