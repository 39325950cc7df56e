# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The OOM killers: the kernel's and its settings (Documentation/admin-guide/sysctl/vm.rst), and those in user space."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.linux_memory.oom.plugins.module_utils import units
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mounts
from ansible_collections.linux_memory.oom.plugins.module_utils.processes import hidden, names
from ansible_collections.linux_memory.oom.plugins.module_utils.system import setting, vm_setting
from ansible_collections.linux_memory.oom.plugins.module_utils.vmstat import vmstat

# The kernel keeps this much of a process's name (TASK_COMM_LEN in include/linux/sched.h, less the end mark).
LONGEST_NAME = 15

# Name, units, and where the packages of the distributions and a make install put the program. nohang is a script: its
# process is called python3 where it is started by way of env, so that its unit is what tells.
KILLERS = (
    (
        "systemd-oomd",
        ("systemd-oomd.service",),
        ("/usr/lib/systemd/systemd-oomd", "/lib/systemd/systemd-oomd"),
    ),
    (
        "earlyoom",
        ("earlyoom.service",),
        ("/usr/bin/earlyoom", "/usr/local/bin/earlyoom", "/usr/sbin/earlyoom"),
    ),
    (
        "nohang",
        ("nohang.service", "nohang-desktop.service"),
        ("/usr/sbin/nohang", "/usr/bin/nohang", "/usr/local/sbin/nohang", "/usr/local/bin/nohang"),
    ),
)


def system_slices(tree):
    """Return the directories of system.slice in every hierarchy that systemd fills."""
    found = [
        mount["mount"].rstrip("/") + "/system.slice"
        for mount in mounts(tree)
        if mount["type"] == "cgroup2" or (mount["type"] == "cgroup" and "name=systemd" in mount["super_options"])
    ]
    return found or ["/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/systemd/system.slice"]


def has_processes(tree, unit, slices):
    """Return whether a process is in the unit's group."""
    return any(tree.text("%s/%s/cgroup.procs" % (directory, unit)) for directory in slices)


def running(tree, name, services):
    """Return whether a killer runs; None where nothing tells."""
    slices = tree.once("system_slices", lambda: system_slices(tree))
    if any(has_processes(tree, unit, slices) for unit in services):
        return True
    known = names(tree)
    if known and name[:LONGEST_NAME] in known:
        return True
    # Whoever sees neither other users' processes nor the groups of the services knows nothing.
    if known and (not hidden(tree) or any(tree.is_dir(directory) for directory in slices)):
        return False
    states = [units.active(tree, unit) for unit in services]
    return None if None in states else any(states)


def killers(tree):
    """Return the known killers in user space: name, whether installed, whether running."""
    found = []
    for name, services, programs in KILLERS:
        active = running(tree, name, services)
        installed = any(tree.exists(path) for path in programs) or any(units.present(tree, unit) for unit in services)
        found.append({"name": name, "present": installed or bool(active), "active": active})
    return found


def _whole(text):
    """Return a setting as a number; it may be negative (kernel.panic = -1 is "at once"). None for garbage."""
    try:
        return int(text)
    except (TypeError, ValueError):
        return None


def collect(tree, options, earlier=None):
    """Return the kills since boot, the settings, and the killers in user space."""
    found = {
        "kills": vmstat(tree).get("oom_kill"),
        "panic_on_oom": vm_setting(tree, "panic_on_oom"),
        "oom_kill_allocating_task": vm_setting(tree, "oom_kill_allocating_task"),
        "oom_dump_tasks": vm_setting(tree, "oom_dump_tasks"),
        "panic": _whole(setting(tree, "kernel.panic")),
    }
    if found["kills"] is None:
        why = "the kernel does not count them (before 4.13)" if vmstat(tree) else "not readable"
        tree.missing("oom.kills", "/proc/vmstat: " + why)
    found["killers"] = killers(tree)
    known = [value for name, value in found.items() if name != "killers"]
    known += [value for killer in found["killers"] for value in (killer["present"] or None, killer["active"])]
    if all(value is None for value in known):
        tree.missing("oom", "neither /proc/vmstat nor the settings in /proc/sys could be read")
        return None
    return found
