#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say how much memory a host needs, from how it was used over a window of time."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: memory_sizing_info
short_description: Say how much memory a host needs, from how it was used
version_added: 0.1.0
description:
  - Reads samples of how memory was used, from the sampler of the role P(linux_memory.oom.memory_sizing#role), or from the archives
    that Performance Co-Pilot, sysstat or atop keep on the host, and adds what the kernel says now.
  - Says how many bytes the load needed at the least, likely and at the most, which parts that is made of, how it grows, when it
    will no longer fit, what each unit used at most, and which settings of applications would change it.
  - A refault is a page that was read again although it had been in memory not long before. It tells a page cache that is needed from
    one that only fills what nobody else wanted.
  - Nothing is changed. Of the configuration of applications only the settings that are named leave the host.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.reader
options:
  source:
    description:
      - Where samples are taken from. V(sampler) reads O(path), V(sysstat) runs C(sadf) on the files in C(/var/log/sysstat) or
        C(/var/log/sa), V(atop) runs C(atop) on those in C(/var/log/atop), and V(pcp) runs C(pmrep) on the host's own directory in
        C(/var/log/pcp/pmlogger).
      - V(auto) takes the first of these that has a sample. V(none) is content with what the kernel says now.
      - sysstat and atop do not tell which part of the page cache is used, so that the interval of the answer is wide. The samples of
        all archives have no units.
    type: str
    choices: [auto, sampler, pcp, sysstat, atop, none]
    default: auto
  path:
    description: The file of the sampler.
    type: path
    default: /var/lib/linux_memory_oom-memory_sizing/samples.jsonl
  days:
    description: How many days before now are looked at, 1 to 366.
    type: int
    default: 28
  headroom_percent:
    description: What is added to the need for what was not seen in that time, percent of it, 0 to 200.
    type: int
    default: 15
  horizon_days:
    description: For how many days growth is added, 0 to 3650, where it is sure that there is some.
    type: int
    default: 90
seealso:
  - module: linux_memory.oom.memory_facts
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Ask how much memory the host needs
  linux_memory.oom.memory_sizing_info:
    days: 14
  register: answer

- name: Say it
  ansible.builtin.debug:
    msg: "{{ answer.sentences }}"
"""

RETURN = r"""
source:
  description: Where the samples are from, V(sampler), V(pcp), V(sysstat), V(atop) or V(none).
  returned: success
  type: str
sizing:
  description: How much memory the host needs. Sizes are bytes, times seconds since 1970.
  returned: success
  type: dict
  contains:
    total:
      description: The RAM that the host has.
      type: int
    least:
      description: What was needed at the least, with no more of the page cache than programs had mapped.
      type: int
    likely:
      description: What was needed at the peak, with the page cache that was used.
      type: int
    most:
      description: What was needed at the most, with all of the page cache and of swap.
      type: int
    usual:
      description: The median of what was likely needed.
      type: int
    at:
      description: When the most was likely needed.
      type: int
    parts:
      description: What RV(sizing.likely) is made of, C(held), C(swap_wanted_back), C(page_cache) and what the kernel keeps, C(reserve).
      type: dict
    page_cache_told:
      description:
        - Whether the kernel or the archive tells what of the page cache was used more than once. The multi-generational LRU does not; half
          of the cache is then taken for likely needed.
      type: bool
    at_least_only:
      description: Why the need may be larger than what could be seen. Null where memory was not short.
      type: str
    growth:
      description:
        - C(bytes_per_day) with C(low) and C(high), the ends of its 95 % interval, over the C(seconds) since the last boot. Null
          where it cannot be said, and C(why).
      type: dict
    full:
      description: When growth will have used up what is left, C(likely), C(earliest) and C(latest). Null for never or unknown.
      type: dict
    growth_added:
      description: What growth adds until the horizon.
      type: int
    advised:
      description: The size to plan with, RV(sizing.likely) with growth and headroom, in whole 64 MiB.
      type: int
    swap_left_lying:
      description: The most that lay in swap and was not wanted back, which swap spares in RAM.
      type: int
    swapped_in_rate:
      description: Bytes a second that were read back from swap. Null where nobody counted.
      type: float
    committed_peak:
      description: The most that programs had reserved (C(Committed_AS)). Null where unknown.
      type: int
    units:
      description: The ten units with the largest C(peak) of memory and swap together, with C(anonymous), C(swapped) and C(time).
      type: list
      elements: dict
    all_units_at_their_peak:
      description: How much more anonymous memory there would be if all units met their peaks at the same time.
      type: int
    window:
      description: From when until when how many samples are, C(from), C(until) and C(samples).
      type: dict
applications:
  description:
    - What applications are told to use, with C(application), whether it is C(running), C(place), C(settings), C(could_hold) (bytes, null without a bound),
      C(because), C(change), and C(unit) with C(unit_peak) where samples tell of its unit.
  returned: success
  type: list
  elements: dict
sentences:
  description: The answer and its reasons, a sentence each.
  returned: success
  type: list
  elements: str
unavailable:
  description: What could not be read, and why.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils import memory_archives, sizing, sizing_words
from ansible_collections.linux_memory.oom.plugins.module_utils.applications import applications
from ansible_collections.linux_memory.oom.plugins.module_utils.commands import runner
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from ansible_collections.linux_memory.oom.plugins.module_utils.writeback import reserve

ARGUMENTS = {
    "source": {"type": "str", "choices": ["auto", "sampler", "pcp", "sysstat", "atop", "none"], "default": "auto"},
    "path": {"type": "path", "default": "/var/lib/linux_memory_oom-memory_sizing/samples.jsonl"},
    "days": {"type": "int", "default": 28},
    "headroom_percent": {"type": "int", "default": 15},
    "horizon_days": {"type": "int", "default": 90},
}
RANGES = {"days": (1, 366), "headroom_percent": (0, 200), "horizon_days": (0, 3650)}


def out_of_range(options):
    """Return a sentence on the first option that is out of its range, or None."""
    for name, (least, most) in sorted(RANGES.items()):
        if not least <= options[name] <= most:
            return "%s is %d, and takes %d to %d." % (name, options[name], least, most)
    return None


def answer(tree, run, options):
    """Return what the module returns. Raises memory_archives.NoSamples."""
    source, samples = memory_archives.samples(tree, run, options)
    found = sizing.size(samples, reserve(tree), options["headroom_percent"], options["horizon_days"])
    if found is None:
        raise memory_archives.NoSamples("/proc/meminfo does not tell the sizes that are needed")
    uses = sizing_words.with_units(applications(tree), found["units"])
    return {
        "source": source,
        "sizing": found,
        "applications": uses,
        "sentences": sizing_words.sentences(source, found, uses, options),
        "unavailable": tree.unavailable,
    }


def main():
    """Check the arguments, read, answer."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    wrong = out_of_range(module.params)
    if wrong:
        module.fail_json(msg=wrong)
    try:
        found = answer(Tree("/"), runner(module), module.params)
    except memory_archives.NoSamples as error:
        module.fail_json(msg=str(error))
    module.exit_json(**found)


if __name__ == "__main__":
    main()
