#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limit how much of the dirty memory single devices may have, now and at boot."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: bdi_limits
short_description: Limit how much of the dirty memory a device may have, now and at boot
version_added: 0.1.0
description:
  - Sets C(max_ratio) and C(strict_limit) of devices in C(/sys/class/bdi) and reads them back, and writes a rule of udev that sets
    them whenever the device appears.
  - A device is named by a path - a device node, or a file or directory on it. The device is the one that the file system is on, so
    the logical volume and not the disks below it; for a partition it is the whole disk.
  - The rule finds the device by what lasts over a boot, such as a serial number or the UUID of a logical volume. Where udev knows
    nothing of the kind, it is the name that the kernel gave it.
  - The module owns the file of rules whole. A device that was in it and is no longer asked for gets back what it had before, unless
    somebody else has changed it since.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.changer
options:
  devices:
    description:
      - Path to limits. Required with O(state=present).
      - C(max_ratio), 1 to 100, is the share of the dirty limit, in percent, that the device may use at most. The kernel keeps to it
        strictly only above half of the way to the limit, or with C(strict_limit).
      - C(strict_limit), true or false, keeps the device to its share always. The kernel has it from Linux 6.2 on.
    type: dict
  path:
    description: The file of rules, in C(/etc/udev/rules.d). One that this collection has not written is never touched.
    type: path
    default: /etc/udev/rules.d/99-linux_memory_oom-bdi.rules
  state:
    description: V(absent) removes the rules and gives the devices what they had before.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: linux_memory.oom.vm_sysctl
author:
  - linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Leave a slow backup disk at most a tenth of the dirty memory
  linux_memory.oom.bdi_limits:
    devices:
      /srv/backup:
        max_ratio: 10
        strict_limit: true

- name: Go back to what was there before
  linux_memory.oom.bdi_limits:
    state: absent
"""

RETURN = r"""
devices:
  description: Each device that was asked for, or was given up, by the name that the kernel gives it now.
  returned: success
  type: dict
  contains:
    device:
      description: Its number.
      type: str
    paths:
      description: The paths by which it was asked for.
      type: list
      elements: str
    max_ratio:
      description: The share in percent; absent where nothing was asked of it. RV(devices.strict_limit) has the same parts.
      type: dict
      contains:
        before:
          description: The running value before.
          type: str
        after:
          description: The running value afterwards, as the kernel says it; in check mode as it would be.
          type: str
        boot_before:
          description: What the rules set before, null for nothing.
          type: str
        boot:
          description: What the rules set now, null for nothing.
          type: str
        status:
          description:
            - V(applied), V(persisted_only) where only the rule could be written, V(read_only) where C(/sys) is read-only,
              V(restored) and V(left) for what is no longer asked for, as with M(linux_memory.oom.vm_sysctl).
          type: str
    strict_limit:
      description: Whether the device is always kept to its share, V(0) or V(1).
      type: dict
  sample:
    sdb:
      device: "8:16"
      paths: [/srv/backup]
      max_ratio:
        before: "100"
        after: "10"
        boot_before: null
        boot: "10"
        status: applied
differs:
  description: Whether the host was not as asked for. The same as C(changed), for plays that ask in check mode first and hide that.
  type: bool
  returned: success
file:
  description: The file of rules.
  returned: success
  type: str
  sample: /etc/udev/rules.d/99-linux_memory_oom-bdi.rules
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils.bdi import SPEC, run
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import leave


def main():
    """Run the module."""
    leave(AnsibleModule(supports_check_mode=True, **SPEC), run)


if __name__ == "__main__":
    main()
