#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install units, drop-ins and small programs for one purpose, all at once, and take them away again."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: owned_units
short_description: Install systemd units and what they run for one purpose, all at once
version_added: 0.1.0
description:
  - Makes the files of a O(purpose) exactly those that are given. Files of the purpose that are there and not given are removed, and
    their units are stopped before. Files that this collection did not write are never changed.
  - A timer among the files is enabled and started, and one whose file has changed is started anew. The zram devices that a file
    for zram-generator describes are switched on as swap, and off before their description changes or goes. Where other files of the
    host describe the same device, it is made anew by those then.
  - A service among the files that is C(PartOf=) another unit is its companion. It runs where that unit runs, and is started anew where
    its file has changed. A C(Wants=) in a drop-in of the unit starts it from then on.
  - zram swap is switched off only where what is in use of it fits into the memory that is available, with a margin.
  - There is one C(systemctl daemon-reload). Afterwards systemd is asked what is enabled and active.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.changer
options:
  purpose:
    description: What the files are for, small letters, digits and V(_). It is part of the name of every file.
    type: str
    required: true
  files:
    description: The files, all of them.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - The path, in C(/etc/systemd/system), a drop-in directory of it, C(/etc/systemd/zram-generator.conf.d),
            C(/usr/local/lib/linux_memory_oom) or C(/etc/linux_memory_oom).
          - Its name begins with C(linux_memory_oom-PURPOSE), or with two digits, a hyphen and that.
        type: str
        required: true
      content:
        description:
          - What stands below the line that marks the file. C(@PYTHON@) becomes the interpreter that runs this module.
        type: str
        required: true
      mode:
        description: The mode of the file.
        type: str
        choices: ["0644", "0600", "0700"]
        default: "0644"
  need_units:
    description: Units that must exist on the host. Where one does not, nothing is changed.
    type: list
    elements: str
    default: []
  need_restart:
    description:
      - Services that must come back when they end by C(RuntimeMaxSec=), by their own settings or by what O(files) set for them. Where
        C(Restart=) of one is neither V(always), V(on-failure) nor V(on-abnormal), nothing is changed. Nor is it where O(files) has
        a C(RuntimeMaxSec=) of less than 360 s for one, unless O(force) is set.
    type: list
    elements: str
    default: []
  needs:
    description:
      - Paths that must be there, and what each comes with. Where one is not, nothing is changed. In check mode it is RV(missing), and
        what would be changed with it is predicted.
    type: dict
    default: {}
  resident:
    description:
      - Companions, and how many bytes of RAM the main process of each is to hold. It is waited for, and a companion that holds less,
        because it was swapped out or has lost some, is started anew.
    type: dict
    default: {}
  state:
    description: V(absent) removes all files of the O(purpose).
    type: str
    choices: [present, absent]
    default: present
  force:
    description: Switch zram swap off even where what is in use does not fit into the memory that is available.
    type: bool
    default: false
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Restart a service every night
  linux_memory.oom.owned_units:
    purpose: nightly
    need_units: [leaky.service]
    files:
      - path: /etc/systemd/system/linux_memory_oom-nightly.service
        content: |
          [Service]
          Type=oneshot
          ExecStart=/bin/systemctl try-restart leaky.service
      - path: /etc/systemd/system/linux_memory_oom-nightly.timer
        content: |
          [Timer]
          OnCalendar=*-*-* 03:00
          RandomizedDelaySec=30min
          [Install]
          WantedBy=timers.target
"""

RETURN = r"""
differs:
  description: Whether the host was not as asked for. The same as C(changed), for plays that ask in check mode first and hide that.
  type: bool
  returned: success
files:
  description: Each file of the purpose that is there or is wished, with the text before and after.
  returned: success
  type: list
  elements: dict
  sample:
    - path: /etc/systemd/system/linux_memory_oom-nightly.timer
      before: {present: false, mode: null}
      after: {present: true, mode: "0644"}
      status: written
units:
  description: Each unit that follows from the files, with whether it was enabled and active, and is now.
  returned: success
  type: list
  elements: dict
  sample:
    - name: linux_memory_oom-nightly.timer
      before: {active: false, enabled: false}
      after: {active: true, enabled: true}
processes:
  description:
    - The main processes of the companions in O(resident) that run, by their services. C(resident), C(locked) and C(swapped) are bytes.
  returned: success
  type: dict
  sample:
    linux_memory_oom-nightly-watch.service: {pid: 812, resident: 77275136, locked: 67108864, swapped: 0, oom_score_adj: 1000}
missing:
  description: The paths of O(needs) that are not there.
  returned: success
  type: list
  elements: str
brought:
  description:
    - Whether C(/var/lib/linux_memory_oom-PURPOSE.brought) is there, the note of a play that installed a package for the purpose. The
      settings that came with that package describe no device then.
  returned: success
  type: bool
  sample: false
package_manager:
  description: The first of V(apt), V(dnf), V(yum) and V(zypper) that the host has, null where it has none.
  returned: success
  type: str
  sample: apt
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import leave
from ansible_collections.linux_memory.oom.plugins.module_utils.owned_units_change import SPEC, run


def main():
    """Run the module."""
    leave(AnsibleModule(supports_check_mode=True, **SPEC), run)


if __name__ == "__main__":
    main()
