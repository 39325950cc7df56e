#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drop-ins of systemd units: written, read by systemd, and compared with what systemd and the kernel then have."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: systemd_dropin
short_description: Set directives of systemd units in drop-ins, and read back what counts
version_added: 0.1.0
description:
  - Writes one drop-in for each unit, C(/etc/systemd/system/UNIT.d/50-linux_memory_oom-PURPOSE.conf), for any number of units
    in one run, makes systemd read its files again once, and then compares what was asked for with what
    C(systemctl show) and the control groups of the units say.
  - Everything is checked before anything changes. The units exist; systemd takes every directive and value of a copy that
    is not in force; no other drop-in sets the same after this one; limits and restarts are such that they do not make the
    outage that they are to prevent, see O(force).
  - Where systemd or the kernel then has something else than was asked for, the files are put back as they were, systemd
    reads them again, and the module fails and says both values.
  - A directive stands in its section, or directly below the unit, and is then put into the section where the host's systemd has
    it. Names that the host's systemd does not know are written by the name that it had before, or has now - C(MemoryLimit) for
    C(MemoryMax), C(BlockIOWriteBandwidth) for C(IOWriteBandwidthMax).
  - Limits for disks - C(IOWriteBandwidthMax) and the like - take the path of a file, a directory or a device. It is resolved to
    the whole disks below it, through device-mapper, md and partitions, with one line for each disk.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.changer
options:
  purpose:
    description:
      - What the drop-ins are for, a part of their files' names. Each purpose has files of its own, and several
        purposes can set different directives of one unit.
      - Lower-case letters, digits and C(_).
    type: str
    required: true
  units:
    description:
      - The units, by their full names, with the directives of each. A value is a text, a number or a boolean as systemd
        spells it; a list writes the directive once for each entry; an empty text resets the directive.
      - Beside services it takes sockets, slices, scopes and so on, templates such as V(getty@.service), which stand for their
        instances, and prefixes such as V(user-.slice), which stand for all units whose names begin so.
      - With O(state=absent) only the names count; without any, all drop-ins of O(purpose) are removed.
    type: dict
    default: {}
  state:
    description: Whether the drop-ins are there. V(absent) removes them, and what they set is again what it was.
    type: str
    choices: [present, absent]
    default: present
  others:
    description:
      - What becomes of drop-ins of the same purpose whose units are not in O(units). V(keep) leaves them, V(remove) removes them.
    type: str
    choices: [keep, remove]
    default: keep
  validate:
    description:
      - Whether systemd checks a copy of each drop-in that is to change, with C(systemd-analyze verify), before it counts.
    type: bool
    default: true
  missing_units:
    description: Whether a unit that the host does not have makes the module fail. V(allow) writes the drop-in all the same.
    type: str
    choices: [fail, allow]
    default: fail
  unknown_directives:
    description:
      - Whether a directive that the host's systemd does not know makes the module fail. V(skip) leaves it out and warns.
    type: str
    choices: [fail, skip]
    default: fail
  restart:
    description:
      - Whether running units are restarted for what counts only from their start, such as C(OOMScoreAdjust).
      - With V(if_needed) only units whose processes do not have yet what was asked for. With V(always) each running unit whose
        drop-in changes. Slices, scopes and mounts are never restarted.
    type: str
    choices: [never, if_needed, always]
    default: never
  resolve_paths:
    description: Whether the paths of limits for disks are resolved to whole disks. Without it systemd gets them as they are.
    type: bool
    default: true
  restarts_per_hour:
    description:
      - How many restarts the settings of a unit that gets C(Restart) here may allow in the worst hour. That is up to twice
        C(StartLimitBurst) where C(StartLimitIntervalSec) is an hour, since the last starts of one interval can be followed at once by
        those of the next.
    type: int
    default: 10
  force:
    description:
      - Set also what is refused otherwise - C(MemoryMax) or C(MemoryHigh) below what the unit uses now; C(MemoryHigh) without
        C(MemoryMax), or without swap to go to, which throttles a unit for ever; C(Restart) without C(StartLimitIntervalSec) and
        C(StartLimitBurst), or more often than O(restarts_per_hour); limits that contradict each other or
        promise more memory than the host has.
    type: bool
    default: false
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Limit a service, and restart it at most four times in six hours
  linux_memory.oom.systemd_dropin:
    purpose: memory
    units:
      nginx.service:
        MemoryMax: 512M
        Restart: on-failure
        RestartSec: 30
        StartLimitIntervalSec: 6h
        StartLimitBurst: 4

- name: Give all users together at most half of the memory, and each at most a fifth
  linux_memory.oom.systemd_dropin:
    purpose: users
    units:
      user.slice:
        Slice:
          MemoryMax: 50%
      user-.slice:
        Slice:
          MemoryMax: 20%

- name: Let a backup write at most 20 MB/s to the disks below /srv
  linux_memory.oom.systemd_dropin:
    purpose: backup
    units:
      backup.service:
        Service:
          IOWriteBandwidthMax: /srv 20M

- name: Take all of that back
  linux_memory.oom.systemd_dropin:
    purpose: memory
    state: absent
"""

RETURN = r"""
items:
  description: Each directive of each unit, in the order of O(units), also those that do not change.
  type: list
  elements: dict
  returned: success
  contains:
    unit:
      description: The unit as it was asked for.
      type: str
    section:
      description: The section of the drop-in.
      type: str
    directive:
      description: The directive as the drop-in has it.
      type: str
    value:
      description: What the drop-in sets; null for what is removed.
      type: raw
    before:
      description:
        - What counted before, in bytes or seconds where it is a size or a time; null where nobody could say.
      type: str
    after:
      description: What counts after, or would in check mode.
      type: str
    status:
      description:
        - V(applied) where systemd has it, and the kernel where it can be asked; V(not_running) where systemd has it for the next
          start; V(needs_restart) where a running process still has something else; V(not_enforced) where systemd has it and
          this host's kernel cannot; V(persisted_only) where systemd does not run; V(missing_unit); V(removed); V(predicted) for
          what check mode says will change.
      type: str
    kernel:
      description: What the control group or the process of the unit had when the module ended; null where there is nothing to read.
      type: str
    reason:
      description: Why it is so, for V(not_enforced).
      type: str
units:
  description: Each unit, by its name as asked for.
  type: dict
  returned: success
  contains:
    id:
      description: The unit as systemd calls it.
      type: str
    path:
      description: The drop-in.
      type: str
    needs_restart:
      description: Whether something counts only from the unit's next start.
      type: bool
    memory:
      description: The memory that the unit uses - C(current), C(peak), C(swap_current) - in bytes, null where it is not known.
      type: dict
    disks:
      description: The whole disks of each path in a limit.
      type: dict
differs:
  description: Whether the host was not as asked for. The same as C(changed), for plays that ask in check mode first and hide that.
  type: bool
  returned: success
plan:
  description: A sentence for each unit with a limit on memory - what it uses, and what changes.
  type: list
  elements: str
  returned: success
reloaded:
  description: Whether systemd has read its files again, or would in check mode.
  type: bool
  returned: success
restarted:
  description: The units that were restarted, or would be in check mode.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import leave
from ansible_collections.linux_memory.oom.plugins.module_utils.systemd_dropin_change import SPEC, run


def main():
    """Run the module."""
    leave(AnsibleModule(supports_check_mode=True, **SPEC), run)


if __name__ == "__main__":
    main()
