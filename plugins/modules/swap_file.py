#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make swap files and swap devices, now and at boot."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: swap_file
short_description: Make swap files and swap devices, now and at boot
version_added: 0.1.0
description:
  - Makes swap files on ext2, ext3, ext4, xfs and btrfs, switches them on, and enters them in C(/etc/fstab), in a block of lines that
    this module owns. A path that is a block device becomes swap as a whole.
  - A swap file that is to have another size, priority or discard policy is replaced without ever having less swap than before or
    after, whichever is less. A second file beside it, C(.NAME.linux_memory_oom.bridge), takes its place meanwhile, so that the file
    system needs room for the new size besides the old one.
  - Swap is switched off for good, or made smaller, only where what is in use of it fits into the memory that is available
    (C(MemAvailable)), with a margin of a twentieth of the memory, at least 64 MiB. The same holds for any change of a swap device.
  - A file is made under another name, and gets its own when it is whole; what an interrupted run left is put right by the next one.
  - What is active is what C(/proc/swaps) says, before and after.
  - Swap that is not in the block of O(owner) is never changed. A path that exists already and is not there is refused.
  - In containers the kernel refuses swap to everybody. That is found out by asking it, and nothing is left behind.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.changer
options:
  files:
    description: The swap files and devices. Each needs a path, and a file needs a size.
    type: list
    elements: dict
    suboptions:
      path:
        description: See O(path).
        type: str
        required: true
      size:
        description: See O(size).
        type: str
      priority:
        description: See O(priority).
        type: int
      discard:
        description: See O(discard).
        type: str
        choices: [none, once, pages, both]
        default: none
  path:
    description:
      - One file or block device, instead of O(files). An absolute path, without control characters.
      - The directory must be there. Everything but root is kept from the file (mode 0600).
    type: str
  size:
    description:
      - The size of a file, bytes or a number with K, M, G or T (powers of 1024), from V(1M) to V(16T). It is rounded down to whole pages.
      - A device is taken as large as it is, and has no O(size).
    type: str
  priority:
    description: From 0 to 32767; the kernel uses areas of a higher priority first. By default the kernel chooses one below all of these.
    type: int
  discard:
    description: What is told to the device below when swap is freed (swapon(8)), as far as the device takes it.
    type: str
    choices: [none, once, pages, both]
    default: none
  state:
    description:
      - V(present) makes the swap. V(absent) takes it away again, with its lines in C(/etc/fstab).
      - V(absent) without a path takes away everything in the block of O(owner).
    type: str
    choices: [present, absent]
    default: present
  exclusive:
    description: With V(present), whether whatever else is in the block of O(owner) is taken away.
    type: bool
    default: false
  owner:
    description: The name of the block in C(/etc/fstab), letters, digits, V(_) and V(-). Each owner sees its own block only.
    type: str
    default: swap_file
  on_refusal:
    description:
      - What to do where the kernel lets nobody switch swap on or off, as in a container.
      - V(fail) fails. V(skip) leaves everything as it is, and RV(files[].status) is V(not_permitted).
    type: str
    choices: [fail, skip]
    default: fail
  force:
    description:
      - Switch swap off even where what is in use does not fit into the memory that is available. The OOM killer may run.
    type: bool
    default: false
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Have 2 GiB of swap in a file
  linux_memory.oom.swap_file:
    path: /swapfile
    size: 2G
    priority: 10

- name: Have swap on a fast disk first, and in a file after it
  linux_memory.oom.swap_file:
    files:
      - path: /dev/disk/by-id/nvme-fast-part3
        priority: 100
        discard: once
      - path: /var/swap/slow
        size: 8G
        priority: 1

- name: Take away what this module made
  linux_memory.oom.swap_file:
    state: absent
"""

RETURN = r"""
differs:
  description: Whether the host was not as asked for. The same as C(changed), for plays that ask in check mode first and hide that.
  type: bool
  returned: success
files:
  description: Each file and device that was asked for, or that is in the block, in the order of their paths.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path.
      type: str
      returned: always
    before:
      description:
        - Size in bytes, whether it was active, its priority (null where the kernel chose it), the discard policy, and whether the
          next boot would have switched it on.
      type: dict
      returned: always
      sample: {size: null, active: false, priority: null, discard: none, boot: false}
    after:
      description: The same afterwards, or in check mode as it would be.
      type: dict
      returned: always
      sample: {size: 2147483648, active: true, priority: 10, discard: none, boot: true}
    status:
      description: V(applied), V(removed), V(unchanged), or V(not_permitted) with O(on_refusal=skip).
      type: str
      returned: always
    steps:
      description: What was done, or would be, in this order.
      type: list
      elements: str
      returned: always
      sample: [fstab /swapfile, create /swapfile, on /swapfile]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import leave
from ansible_collections.linux_memory.oom.plugins.module_utils.swap_file_change import SPEC, run


def main():
    """Run the module."""
    leave(AnsibleModule(supports_check_mode=True, **SPEC), run)


if __name__ == "__main__":
    main()
