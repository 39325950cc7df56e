# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kind of host a tree is of: kernel, page size, uptime, container, distribution."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import time

from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo

# Page sizes that Linux has (arch/*/include/asm/page.h); the largest is that of arm64 and ppc64 with 64K pages.
PAGE_SIZES = (4096, 8192, 16384, 65536)

_SHELL_LINE = re.compile(r"""^([A-Z_]+)=(["']?)(.*?)\2\s*$""", re.MULTILINE)
_SETTING_LINE = re.compile(r"^([a-z0-9_.]+) = (.*)$", re.MULTILINE)
_KERNEL = re.compile(r"Linux version (\S+)")

# /run/systemd/container or the environment of PID 1 hold these names (container interface of systemd);
# the files are what the engines leave in every container.
_MARKER_FILES = (("/run/.containerenv", "podman"), ("/.dockerenv", "docker"))
_KNOWN_CONTAINERS = ("podman", "docker", "lxc", "systemd-nspawn")

# The number of the namespace that the kernel boots with (PROC_PID_INIT_INO in include/linux/proc_ns.h). Images of
# machines that were made from a container's carry its marker files, so these alone say nothing.
_FIRST_PID_NAMESPACE = "pid:[4026531836]"


def parse_os_release(text):
    """Return the keys of os-release(5) that name the distribution, in lower case."""
    found = {match.group(1): match.group(3) for match in _SHELL_LINE.finditer(text)}
    return {key: found.get(key.upper()) for key in ("id", "version_id", "pretty_name")}


def parse_sysctl_list(text):
    """Return {key: value} of the output of sysctl -a."""
    return {match.group(1): match.group(2).strip() for match in _SETTING_LINE.finditer(text)}


def setting(tree, key):
    """Return the running value of a sysctl such as "vm.swappiness" as text, or None where it cannot be read."""
    value = tree.text("/proc/sys/" + key.replace(".", "/"))
    if value is None and tree.sosreport:
        listed = tree.once("sysctl_-a", lambda: parse_sysctl_list(tree.text("/sos_commands/kernel/sysctl_-a", "")))
        value = listed.get(key)
    return value


def vm_setting(tree, name):
    """Return the running value of vm.NAME as a whole number, or None where it cannot be read or is none."""
    value = setting(tree, "vm." + name)
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def page_size(tree):
    """Return the page size in bytes: of this host, or for another tree inferred from MemFree and its page count."""
    return tree.once("page_size", lambda: os.sysconf("SC_PAGE_SIZE") if tree.live else _inferred_page_size(tree))


def _inferred_page_size(tree):
    match = re.search(r"^nr_free_pages ([0-9]+)$", tree.text("/proc/vmstat", ""), re.MULTILINE)
    pages = int(match.group(1)) if match else 0
    free = meminfo(tree).get("mem_free")
    if not pages or not free:
        return PAGE_SIZES[0]
    # The two were not read at the same moment, so the nearest size is taken and not the quotient.
    return min(PAGE_SIZES, key=lambda size: abs(free - pages * size))


def container(tree):
    """Return which kind of container this is, or None on a host of its own."""
    named = tree.text("/run/systemd/container")
    if named:
        return named if named in _KNOWN_CONTAINERS else "other"
    if tree.live and tree.link("/proc/self/ns/pid") == _FIRST_PID_NAMESPACE:
        return None
    for path, name in _MARKER_FILES:
        if tree.exists(path):
            return name
    # Readable for root only; without it the answers above have to do.
    environment = tree.text("/proc/1/environ", "")
    for variable in environment.split("\0"):
        if variable.startswith("container="):
            name = variable[len("container=") :]
            return name if name in _KNOWN_CONTAINERS else "other"
    return None


def hypervisor(tree):
    """Return the vendor that the firmware or the hypervisor names, such as "QEMU", or None where nothing says so."""
    if " hypervisor" not in tree.text("/proc/cpuinfo", ""):
        return None
    return tree.text("/sys/hypervisor/type") or tree.text("/sys/class/dmi/id/sys_vendor") or "unknown"


def multi_gen_lru(tree):
    """Return whether the multi-generational LRU is on (Documentation/admin-guide/mm/multigen_lru.rst), else None."""
    try:
        return int(tree.text("/sys/kernel/mm/lru_gen/enabled", ""), 16) & 1 == 1
    except ValueError:
        return None


def uptime(tree):
    """Return seconds since boot, or None."""
    try:
        return float(tree.text("/proc/uptime", "").split()[0])
    except (IndexError, ValueError):
        return None


def kernel(tree):
    """Return the release of the kernel, such as "6.1.0-32-amd64", or None."""
    release = tree.text("/proc/sys/kernel/osrelease")
    if release is None:
        match = _KERNEL.search(tree.text("/proc/version", ""))
        release = match.group(1) if match else None
    return release


def collect(tree, options):
    """Return what the other subsets need to be understood."""
    release = tree.text("/etc/os-release") or tree.text("/usr/lib/os-release", "")
    processors = re.findall(r"^cpu[0-9]+ ", tree.text("/proc/stat", ""), re.MULTILINE)
    return {
        "time": time.time(),
        "root": tree.root,
        "sample_seconds": options["seconds"],
        "kernel": kernel(tree),
        "architecture": os.uname()[4] if tree.live else None,
        "page_size": page_size(tree),
        "uptime": uptime(tree),
        "container": container(tree),
        "hypervisor": hypervisor(tree),
        "distribution": parse_os_release(release),
        "hostname": tree.text("/proc/sys/kernel/hostname") or tree.text("/etc/hostname"),
        "cpus": len(processors) or None,
        "lru_gen": multi_gen_lru(tree),
    }
