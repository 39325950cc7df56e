#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read how the memory of a host stands."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: memory_facts
short_description: Read how the memory of a Linux host stands
version_added: 0.1.0
description:
  - Reads the kernel's own account of memory, swap, writeback, pressure, storage, cgroups and processes, and the settings that
    decide what happens when memory runs out.
  - It needs no privileges and changes nothing. What could not be read is named in RV(ansible_facts.linux_memory.unavailable)
    with the reason, so that an absent value is never taken for a zero.
  - Sizes are bytes, times are seconds, rates are per second, shares run from 0 to 1.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.reader
attributes:
  facts:
    description: Returns facts that later tasks can use.
    support: full
options:
  gather_subset:
    description:
      - What to read. A name reads that subset, a name with V(!) before it leaves it out, and V(all) stands for every one.
      - A list of exclusions alone starts from V(all).
      - The subsets are V(meminfo), V(vmstat), V(pressure), V(swap), V(writeback), V(storage), V(cgroups), V(processes),
        V(overcommit), V(oom), V(kdump) and V(sysctl).
    type: list
    elements: str
    default: [all]
  sample_seconds:
    description:
      - How long to watch the host, in seconds, 0 to 3600. Rates, latencies and the growth of swap need two readings.
      - With V(0) there is one reading, and everything that would need two is null.
    type: float
    default: 0
  root:
    description:
      - The root of the host's files. Another directory than V(/) reads a mounted host or an unpacked sosreport, as far as they
        hold what the kernel says.
      - O(sample_seconds) has to be V(0) then, since such a tree does not move.
    type: path
    default: /
  top:
    description: How many processes and cgroups to list, the largest first, 1 to 10000.
    type: int
    default: 10
  process_arguments:
    description:
      - Whether to return the command lines of the listed processes.
      - They may hold secrets, and facts may be cached or logged. Environments are never returned.
    type: bool
    default: false
  smart:
    description:
      - Whether to ask the disks of this machine for their own health, where C(smartctl) (smartmontools 7.0 or newer) is installed and
        the module runs as root. Part of the subset V(storage).
      - It is read only. A disk that sleeps is not woken up, disks behind USB, on a network and of a virtual machine are not asked, and
        a disk that does not answer within 5 seconds is left out, with all disks of a host after 20 seconds.
    type: bool
    default: true
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Read everything, with rates over two seconds
  linux_memory.oom.memory_facts:
    sample_seconds: 2

- name: Say how much of the memory is available
  ansible.builtin.debug:
    msg: "{{ ansible_facts.linux_memory.meminfo.mem_available | human_readable }}"

- name: Read all but the list of processes
  linux_memory.oom.memory_facts:
    gather_subset: ["!processes"]

- name: Read an unpacked sosreport on the controller
  linux_memory.oom.memory_facts:
    root: /srv/cases/1234/sosreport-web1
  delegate_to: localhost
"""

RETURN = r"""
ansible_facts:
  description: The facts of this collection, below one name.
  returned: success
  type: dict
  contains:
    linux_memory:
      description: How the memory of the host stands. A subset that was not asked for, or could not be read, is absent.
      type: dict
      returned: success
      contains:
        system:
          description: Kernel, architecture, page size, uptime, kind of container, distribution, and the time of the reading.
          type: dict
          returned: always
        unavailable:
          description: What could not be read, by subset or part of a subset, with the reason.
          type: dict
          returned: always
          sample: {pressure: "/proc/pressure/memory: switched off in this kernel (boot with psi=1)"}
        meminfo:
          description:
            - Every line of C(/proc/meminfo) in bytes, its name in snake_case. C(huge_pages_*) are counts of pages.
          type: dict
          returned: when the subset V(meminfo) is read
          sample: {mem_total: 2067288064, mem_available: 1799864320, active_anon: 1593344}
        vmstat:
          description:
            - C(counters) holds the events of C(/proc/vmstat) since boot under their kernel names, with the sums C(pgscan),
              C(pgsteal) and C(allocstall); C(pages) holds its gauges in pages; C(dirty_threshold) and
              C(dirty_background_threshold) are bytes.
            - C(rates) holds the events per second of the window that decide whether memory is short, null without a window.
          type: dict
          returned: when the subset V(vmstat) is read
        pressure:
          description:
            - Pressure stall information of C(memory), C(io) and C(cpu), for C(some) and C(full) tasks. C(avg10), C(avg60) and
              C(avg300) are percent as the kernel prints them, C(total) is seconds since boot, C(share) is the stalled part of
              the window.
          type: dict
          returned: when the subset V(pressure) is read and the kernel counts pressure
        swap:
          description:
            - Sizes of all swap, each device with its kind, priority and the disks below it, zswap, swappiness, and with a
              window the C(growth) in bytes per second and the C(seconds_until_full).
          type: dict
          returned: when the subset V(swap) is read
        writeback:
          description:
            - Dirty memory and writeback, the memory that may be dirty, both thresholds in force, which of a pair of settings
              rules, and the limits of each backing device.
          type: dict
          returned: when the subset V(writeback) is read
        storage:
          description:
            - Disks with throughput, latency (C(await)), utilisation and errors, arrays, devices that do not run, file systems
              gone read-only, and which mount lies on which disks.
            - Each disk has its C(class) (C(rotational), C(ssd), C(nvme), C(virtual), C(network) or null), what it did since boot
              (C(history)), and like each mount the C(target) on a network that it lies on. C(service_time) is how long a disk was
              busy per request of the window.
            - C(multipath) names the paths of each disk that has several, and why a path is C(down); C(smart) holds what the disks
              say of their own health; C(io_errors) counts the failed requests that the kernel's log tells of since boot.
          type: dict
          returned: when the subset V(storage) is read
        cgroups:
          description:
            - Hierarchy version, and per unit or container its memory, limits, swap, events and pressure; the largest ones and
              every one that ran out of memory or is close to it.
            - C(limited) counts all groups that have a limit and names the first 100 by their paths (C(paths)), and names the first 100
              units whose files limit their memory (C(units)), which may not run.
          type: dict
          returned: when the subset V(cgroups) is read
        processes:
          description:
            - The largest processes by resident and swapped memory (C(top)), and the same summed by name (C(by_comm)).
            - C(by_reserved) is what all processes of a name have reserved by their private writable mappings, which strict
              accounting counts (C(reserved)), and how much of that is in RAM or swap (C(used)). A sosreport without C(/proc/PID/status) has none.
          type: dict
          returned: when the subset V(processes) is read
        overcommit:
          description: Mode and settings of memory accounting, what is promised, and the limit that mode 2 would set.
          type: dict
          returned: when the subset V(overcommit) is read
        oom:
          description: OOM kills since boot, the settings of the OOM killer, and the killers in user space.
          type: dict
          returned: when the subset V(oom) is read
        kdump:
          description: Whether a crash kernel is reserved and loaded, its service, where dumps go, and those found.
          type: dict
          returned: when the subset V(kdump) is read
        sysctl:
          description:
            - For every C(vm.*) and C(kernel.panic*) key the running value, the value that the next boot would set, the file and
              line that win, and those that lose.
          type: dict
          returned: when the subset V(sysctl) is read
"""

import math
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils import (
    cgroups,
    kdump,
    meminfo,
    oom,
    overcommit,
    pressure,
    processes,
    storage,
    swap,
    sysctl,
    system,
    vmstat,
    writeback,
)
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

# The order of the documentation and of the answer.
SUBSETS = (
    ("meminfo", meminfo),
    ("vmstat", vmstat),
    ("pressure", pressure),
    ("swap", swap),
    ("writeback", writeback),
    ("storage", storage),
    ("cgroups", cgroups),
    ("processes", processes),
    ("overcommit", overcommit),
    ("oom", oom),
    ("kdump", kdump),
    ("sysctl", sysctl),
)
NAMES = [name for name, _module in SUBSETS]
LONGEST_SAMPLE = 3600
LONGEST_LIST = 10000


def chosen(wanted):
    """Return the names of the subsets that gather_subset asks for. Raises ValueError with a sentence."""
    for word in wanted:
        if word.lstrip("!") not in NAMES + ["all"] or word.startswith("!!"):
            raise ValueError(
                "gather_subset: %s is not a subset; allowed are all, %s, each also with ! before it"
                % (word, ", ".join(NAMES))
            )
    named = set(wanted) & set(NAMES)
    excluded = {word[1:] for word in wanted if word.startswith("!")}
    # As ansible.builtin.setup has it: "!all" leaves what is named beside it.
    start = named if "!all" in wanted or (named and "all" not in wanted) else set(NAMES)
    return start - excluded


def check(params):
    """Return the chosen subsets. Raises ValueError with one sentence for an argument that is not allowed."""
    names = chosen(params["gather_subset"])
    seconds, root = params["sample_seconds"], params["root"]
    if not (math.isfinite(seconds) and 0 <= seconds <= LONGEST_SAMPLE):
        raise ValueError(
            "sample_seconds: %s is not allowed; it has to be from 0 to %d seconds" % (seconds, LONGEST_SAMPLE)
        )
    if not 1 <= params["top"] <= LONGEST_LIST:
        raise ValueError("top: %d is not allowed; it has to be from 1 to %d" % (params["top"], LONGEST_LIST))
    if not os.path.isdir(root):
        what = "is not a directory (unpack an archive first)" if os.path.exists(root) else "does not exist"
        raise ValueError(
            "root: %s %s; it has to be the directory that holds the host's proc, sys and etc" % (root, what)
        )
    if not os.access(root, os.R_OK | os.X_OK):
        raise ValueError(
            "root: %s may not be read by this user; it has to be a directory that this user may enter" % root
        )
    if not any(os.path.isdir(os.path.join(root, name)) for name in ("proc", "sys", "etc")):
        raise ValueError(
            "root: %s holds none of proc, sys and etc; it has to be the root of a host or of a sosreport" % root
        )
    if seconds and os.path.abspath(root) != "/":
        raise ValueError(
            "sample_seconds: %s is not allowed with root %s; a stored tree does not move, so it has to be 0"
            % (seconds, root)
        )
    return names


def gather(tree, names, options):
    """Return the facts. One subset that fails in a way nobody foresaw does not cost the others."""
    modules = [(name, module) for name, module in SUBSETS if name in names]
    before, started = {}, time.monotonic()
    if options["seconds"]:
        for name, module in modules:
            if hasattr(module, "sample"):
                before[name] = (attempt(tree, name, module.sample, tree), time.monotonic())
        time.sleep(max(0, options["seconds"] - (time.monotonic() - started)))
    facts = {"system": system.collect(tree, options)}
    for name, module in modules:
        earlier = None
        if before.get(name) and before[name][0] is not None:
            earlier = (before[name][0], time.monotonic() - before[name][1])
        value = attempt(tree, name, module.collect, tree, options, earlier)
        if value is not None:
            facts[name] = value
    facts["unavailable"] = tree.unavailable
    return facts


def attempt(tree, name, function, *arguments):
    """Return the function's answer, or None with the error recorded: a reader must not fail for what a host holds."""
    try:
        return function(*arguments)
    except Exception as error:  # whatever a kernel file may hold, the other subsets are still wanted
        tree.missing(name, "error in this collection, please report it: %s: %s" % (type(error).__name__, error))
        return None


def main():
    """Check the arguments, read, answer."""
    module = AnsibleModule(
        argument_spec={
            "gather_subset": {"type": "list", "elements": "str", "default": ["all"]},
            "sample_seconds": {"type": "float", "default": 0},
            "root": {"type": "path", "default": "/"},
            "top": {"type": "int", "default": 10},
            "process_arguments": {"type": "bool", "default": False},
            "smart": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        names = check(module.params)
    except ValueError as error:
        module.fail_json(msg=str(error))
    options = {
        "top": module.params["top"],
        "process_arguments": module.params["process_arguments"],
        "seconds": module.params["sample_seconds"],
        "smart": module.params["smart"],
    }
    facts = gather(Tree(module.params["root"]), names, options)
    module.exit_json(ansible_facts={"linux_memory": facts})


if __name__ == "__main__":
    main()
