#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set vm.* and kernel.panic* values, running and at boot, and read both back."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: vm_sysctl
short_description: Set the kernel's memory settings, now and at boot, and read them back
version_added: 0.1.0
description:
  - Brings any number of C(vm.*) and C(kernel.panic*) settings to the values wished, in the running kernel and, with one file in
    C(/etc/sysctl.d) that it owns, at every boot. Afterwards it asks the kernel, and works out what the next boot will set.
  - The file holds O(settings) and nothing else. A setting that was in it and is no longer asked for gets back the value that it
    had before, unless somebody else has changed it since.
  - A later file, or one with a directory of higher rank, can override the file. That is worked out by the rules of
    C(systemd-sysctl) before anything changes; see O(on_override).
  - A pair such as C(vm.dirty_ratio) and C(vm.dirty_bytes) is one setting, since the kernel sets one to 0 when the other is written.
    Give the one that counts; RV(keys) tells of both.
  - Values are written in an order that passes through no dangerous state, so that for example the background limit stays below the
    dirty limit.
  - Where the kernel does not take a value, or says another one afterwards, everything is put back and the module fails.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.changer
options:
  settings:
    description:
      - The settings by name, such as C(vm.swappiness), each with the value to bring it to.
      - A name in C(vm) or one that begins with C(kernel.panic), which the running kernel has. Values are checked against the ranges of
        its version, so C(vm.swappiness) goes up to 200 from Linux 5.8 on, and up to 100 before.
      - Required with O(state=present).
    type: dict
  path:
    description:
      - The file for the next boot, in C(/etc/sysctl.d). Each purpose has a file of its own.
      - A file there that this collection has not written is never touched.
    type: path
    default: /etc/sysctl.d/90-linux_memory_oom.conf
  state:
    description:
      - V(present) sets the values.
      - V(absent) removes the file, so that the boot is as it was, and gives the running settings the values that they had before the
        file was first written. A setting that somebody else has changed since is left as it is.
    type: str
    choices: [present, absent]
    default: present
  on_override:
    description:
      - What to do where another file would set something else at boot.
      - V(fail) changes nothing and names that file and its line.
      - V(rename) gives the file a name that is read later, such as C(zz-linux_memory_oom.conf); it is found again under that name.
      - V(warn) writes the file all the same, and warns.
    type: str
    choices: [fail, rename, warn]
    default: fail
  force:
    description:
      - Set values that this host's numbers speak against as well, with a warning. Without it these are refused - C(vm.dirty_bytes)
        above the memory that can be dirty now, a background limit that would not be below the dirty limit, C(vm.overcommit_memory) 2
        where more is promised already than could be then.
    type: bool
    default: false
notes:
  - Whether a running value can be written is tried, not guessed, by opening it for writing; check mode does the same. In a container
    C(/proc/sys) is read-only as a rule. The module then writes the file, says so in RV(keys.status) and warns.
  - C(vm.*) has no namespace. A container that may write it changes the machine that it runs on.
seealso:
  - module: linux_memory.oom.memory_facts
author:
  - linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Let less memory be dirty
  linux_memory.oom.vm_sysctl:
    settings:
      vm.dirty_bytes: 268435456
      vm.dirty_background_bytes: 67108864

- name: Use swap early, whatever other files say
  linux_memory.oom.vm_sysctl:
    path: /etc/sysctl.d/90-linux_memory_oom-swap.conf
    settings:
      vm.swappiness: 100
    on_override: rename

- name: Go back to what was there before
  linux_memory.oom.vm_sysctl:
    path: /etc/sysctl.d/90-linux_memory_oom-swap.conf
    state: absent
"""

RETURN = r"""
keys:
  description: Each setting that was asked for, or was given up, by its name; of a pair both names.
  returned: success
  type: dict
  contains:
    before:
      description: The running value before, null where it could not be read.
      type: str
    after:
      description: The running value afterwards, as the kernel says it; in check mode as it would be.
      type: str
    boot_before:
      description: What a boot would have set before, null for nothing.
      type: str
    boot:
      description: What the next boot sets, null for nothing.
      type: str
    file:
      description: The file that decides what the next boot sets, null for none.
      type: str
    line:
      description: The line in that file.
      type: int
    status:
      description:
        - V(applied) - the running value is the one wished, and so is the file's.
        - V(persisted_only) - the file has the value, and the running value may not be written by this user or here.
        - V(read_only) - the file has the value, and C(/proc/sys) is read-only here, so that a boot of this container will not set it
          either; it has to be set on the machine that runs the container.
        - V(restored) - no longer asked for, and as it was before.
        - V(left) - no longer asked for; somebody else has changed it since, so that it stays.
      type: str
  sample:
    vm.swappiness:
      before: "60"
      after: "100"
      boot_before: null
      boot: "100"
      file: /etc/sysctl.d/90-linux_memory_oom.conf
      line: 4
      status: applied
differs:
  description: Whether the host was not as asked for. The same as C(changed), for plays that ask in check mode first and hide that.
  type: bool
  returned: success
file:
  description: The file, under the name that it has or had.
  returned: success
  type: str
  sample: /etc/sysctl.d/90-linux_memory_oom.conf
agents:
  description: Who else sets what was asked for, and would undo it, each with a warning unless the file is applied after it.
  returned: success
  type: list
  elements: dict
  contains:
    agent:
      description: Who it is - V(TuneD), V(kubelet), V(cloud-init), V(tmpfiles.d), V(udev), V(unit), V(cron) or V(boot script).
      type: str
    name:
      description: The setting.
      type: str
    value:
      description: The value that it sets.
      type: str
    file:
      description: Where that is written.
      type: str
    line:
      description: The line there, null where there is none.
      type: int
    wins:
      description: True where its value would stay, false where the file is applied after it, null where that is not known.
      type: bool
    why:
      description: How that comes.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import leave
from ansible_collections.linux_memory.oom.plugins.module_utils.vm_sysctl_change import SPEC, run


def main():
    """Run the module."""
    leave(AnsibleModule(supports_check_mode=True, **SPEC), run)


if __name__ == "__main__":
    main()
