#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare what is expected of a host's memory settings with what the kernel and systemd have."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: settings_info
short_description: Compare what is expected of a host's memory settings with what the kernel and systemd have
version_added: 0.1.0
description:
  - Says of each expectation whether it is met, whoever has made the setting, in one sentence with what was found and where.
  - A sysctl is looked at in the kernel and in what the next boot reads, with all files and their order.
  - A directive of a unit is what C(systemctl show) says, and what the kernel has in the unit's control group where it runs.
  - It fails only for expectations that cannot be some. The role P(linux_memory.oom.memory_verify#role) fails where one is not met.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.reader
options:
  sysctls:
    description: Names of sysctls with their values, such as C(vm.swappiness) and V(10).
    type: dict
    default: {}
  sysctl_moments:
    description: When they have to be so, in the kernel V(running) now, or what the next V(boot) sets. A container has only the latter.
    type: list
    elements: str
    choices: [running, boot]
    default: [running, boot]
  units:
    description:
      - Units with the directives that are expected of them, as in O(linux_memory.oom.systemd_dropin#module:units).
      - Sizes, times and percentages are compared by what they mean, so that V(1G) is V(1024M).
    type: dict
    default: {}
  swaps:
    description: Swap areas that have to be active.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file or device, as C(/proc/swaps) names it.
        type: path
        required: true
      size:
        description: The least size, in bytes or with a unit such as V(2G) (of 1024).
        type: str
      priority:
        description: The priority, -32768 to 32767.
        type: int
  crash_kernel:
    description: Whether a crash kernel has to be loaded, or must not be. It is not looked at where this is left out.
    type: bool
seealso:
  - module: linux_memory.oom.memory_facts
  - module: linux_memory.oom.vm_sysctl
  - module: linux_memory.oom.systemd_dropin
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: See whether the image is as it has to be
  linux_memory.oom.settings_info:
    sysctl_moments: [boot]
    sysctls:
      vm.swappiness: 10
    units:
      shop.service:
        MemoryMax: 1G
        Restart: on-failure
  register: answer

- name: Say what is not
  ansible.builtin.debug:
    msg: "{{ answer.checks | rejectattr('passed') | map(attribute='sentence') }}"
"""

RETURN = r"""
checks:
  description: One for each expectation, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: The setting.
      type: str
    expected:
      description: What is expected; sizes in bytes, times in seconds.
      type: raw
    found:
      description: What was found, null where nothing is set.
      type: raw
    passed:
      description: Whether that is the same.
      type: bool
    source:
      description: Where it was read, or which file decides; null where there is none.
      type: str
    sentence:
      description: All of it as one sentence.
      type: str
failed_checks:
  description: How many are not met.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils import expectations
from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from ansible_collections.linux_memory.oom.plugins.module_utils.commands import runner
from ansible_collections.linux_memory.oom.plugins.module_utils.systemd import Systemd, SystemdError
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

ARGUMENTS = {
    "sysctls": {"type": "dict", "default": {}},
    "sysctl_moments": {
        "type": "list",
        "elements": "str",
        "choices": ["running", "boot"],
        "default": ["running", "boot"],
    },
    "units": {"type": "dict", "default": {}},
    "swaps": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "size": {"type": "str"},
            "priority": {"type": "int"},
        },
    },
    "crash_kernel": {"type": "bool"},
}


def look(tree, systemd, options):
    """Return the checks. Raises expectations.BadInput and SystemdError."""

    def number_of(path):
        devices = blocks(tree)
        name = devices.of_source(path)
        return devices.number(name) if name else None

    found = expectations.of_sysctls(tree, options["sysctls"], options["sysctl_moments"])
    found += expectations.of_units(tree, systemd, options["units"], number_of)
    found += expectations.of_swaps(tree, options["swaps"])
    if options["crash_kernel"] is not None:
        found += expectations.of_crash_kernel(tree, options["crash_kernel"])
    return found


def main():
    """Check the arguments, compare, answer."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        checks = look(Tree("/"), Systemd(runner(module)), module.params)
    except (expectations.BadInput, SystemdError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(checks=checks, failed_checks=sum(1 for check in checks if not check["passed"]))


if __name__ == "__main__":
    main()
