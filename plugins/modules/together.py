#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several of this collection's changers in one run."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: together
short_description: Several changes in one run, all or none
version_added: 0.1.0
description:
  - Runs the work of several modules of this collection on a host in one run.
  - Each part first looks and says what it refuses. Only where no part refuses anything does the first one change something, and
    only parts that differ from the host change it. In check mode it ends with the look.
  - A host that is as asked for costs one module run, however many parts there are.
  - Where a part fails while it changes the host, the parts before it have been changed, and those behind it have not. The message
    names them.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.changer
options:
  parts:
    description: What is asked for, in the order in which it is done.
    type: list
    elements: dict
    required: true
    suboptions:
      module:
        description: The module of this collection whose work it is.
        type: str
        required: true
        choices: [bdi_limits, kdump, owned_units, swap_file, systemd_dropin, vm_sysctl]
      name:
        description: The name of the part in the answer. No two parts have the same. The module's where it is left out.
        type: str
      options:
        description: What the module takes, as it is described there.
        type: dict
        default: {}
seealso:
  - module: linux_memory.oom.bdi_limits
  - module: linux_memory.oom.kdump
  - module: linux_memory.oom.owned_units
  - module: linux_memory.oom.swap_file
  - module: linux_memory.oom.systemd_dropin
  - module: linux_memory.oom.vm_sysctl
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Let less memory be dirty, and a backup write less
  linux_memory.oom.together:
    parts:
      - module: vm_sysctl
        options:
          settings:
            vm.dirty_bytes: 268435456
            vm.dirty_background_bytes: 67108864
      - module: systemd_dropin
        options:
          purpose: backup
          units:
            backup.service:
              IOWriteBandwidthMax: /srv 20M
"""

RETURN = r"""
parts:
  description: What each module answers, by the name of the part; C(module) is its name.
  returned: success
  type: dict
  sample:
    vm_sysctl:
      module: vm_sysctl
      changed: true
      differs: true
      diff: {before: "vm.swappiness = 60\n", after: "vm.swappiness = 100\n"}
      file: /etc/sysctl.d/90-linux_memory_oom.conf
      keys: {vm.swappiness: {before: "60", after: "100", status: applied}}
differs:
  description: Whether the host was not as asked for. The same as C(changed), for plays that ask in check mode first and hide that.
  type: bool
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import Refused, leave, told

# Each is imported when it is asked for: what Python need not read makes the run shorter.


def _bdi_limits():
    from ansible_collections.linux_memory.oom.plugins.module_utils import bdi

    return bdi


def _kdump():
    from ansible_collections.linux_memory.oom.plugins.module_utils import kdump_change

    return kdump_change


def _owned_units():
    from ansible_collections.linux_memory.oom.plugins.module_utils import owned_units_change

    return owned_units_change


def _swap_file():
    from ansible_collections.linux_memory.oom.plugins.module_utils import swap_file_change

    return swap_file_change


def _systemd_dropin():
    from ansible_collections.linux_memory.oom.plugins.module_utils import systemd_dropin_change

    return systemd_dropin_change


def _vm_sysctl():
    from ansible_collections.linux_memory.oom.plugins.module_utils import vm_sysctl_change

    return vm_sysctl_change


WORK = {
    "bdi_limits": _bdi_limits,
    "kdump": _kdump,
    "owned_units": _owned_units,
    "swap_file": _swap_file,
    "systemd_dropin": _systemd_dropin,
    "vm_sysctl": _vm_sysctl,
}


class Part:
    """One of the changers: it is to its work what an AnsibleModule of its own would be. See changer.py."""

    def __init__(self, module, asked):
        self.module = self.whole = module
        self.kind = asked["module"]
        self.name = asked["name"] or self.kind
        self.work = WORK[self.kind]()
        self.check_mode = True
        self.warnings = []
        checked = ArgumentSpecValidator(**self.work.SPEC).validate(asked["options"])
        if checked.error_messages:
            raise Refused("parts: %s: %s" % (self.name, checked.error_messages[0]))
        self.params = checked.validated_parameters

    def __getattr__(self, name):
        return getattr(self.module, name)

    def warn(self, text):
        """Keep a warning: a part that looks and then changes the host would say it twice."""
        self.warnings.append(text)

    def run(self, check_mode):
        """Return what the module would answer. Raises Refused."""
        self.check_mode = check_mode
        self.warnings = []
        try:
            answer = self.work.run(self)
        except EnvironmentError as error:
            raise Refused(told(error))
        return dict(answer, differs=answer["changed"], module=self.kind)


def parts_of(module):
    """Return the parts in their order. Raises Refused."""
    parts = [Part(module, asked) for asked in module.params["parts"]]
    names = [part.name for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise Refused("parts: name: %s is given to more than one part, and each needs one of its own." % name)
    return parts


def act(parts, answers):
    """Change what differs, one part after another. Raises Refused."""
    done = []
    for part in parts:
        if not answers[part.name]["changed"]:
            continue
        try:
            answers[part.name] = part.run(check_mode=False)
        except Refused as refusal:
            raise Refused("%s%s" % (refusal, " Changed before that: %s." % ", ".join(done) if done else ""))
        done.append(part.name)


def diffs(name, diff):
    """Return the differences of one part as a list, each with a name."""
    some = diff if isinstance(diff, list) else [diff]
    return [dict({"before_header": name, "after_header": name}, **one) for one in some if one["before"] != one["after"]]


def run(module):
    """Let all parts look, then let those that differ act, and return what they answer. Raises Refused."""
    parts = parts_of(module)
    answers = {part.name: part.run(check_mode=True) for part in parts}
    if not module.check_mode:
        act(parts, answers)
    for part in parts:
        for warning in part.warnings:
            module.warn(warning)
    return {
        "changed": any(answer["changed"] for answer in answers.values()),
        "parts": answers,
        "diff": [one for part in parts for one in diffs(part.name, answers[part.name]["diff"])],
    }


def main():
    """Run the module."""
    part = {
        "module": {"type": "str", "required": True, "choices": sorted(WORK)},
        "name": {"type": "str"},
        "options": {"type": "dict", "default": {}},
    }
    leave(
        AnsibleModule(
            argument_spec={"parts": {"type": "list", "elements": "dict", "required": True, "options": part}},
            supports_check_mode=True,
        ),
        run,
    )


if __name__ == "__main__":
    main()
