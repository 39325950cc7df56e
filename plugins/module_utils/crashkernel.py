# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's crashkernel= argument: what a value reserves, what a host needs, and what the boot loader hands over.

Documentation/admin-guide/kdump/kdump.rst, "crashkernel syntax"; grubby(8) and grub-mkconfig of GRUB 2.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

MIB = 1 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = r"([0-9]+)([KMGT]?)"
_PLAIN = re.compile(r"^%s(?:@0?x?[0-9a-fA-F]+[KMG]?|,high|,low|,cma)?$" % _SIZE, re.IGNORECASE | re.ASCII)
_RANGE = re.compile(r"^%s-(?:%s)?:%s$" % (_SIZE, _SIZE, _SIZE), re.IGNORECASE | re.ASCII)
# grub-mkconfig writes these lines around what each script of /etc/grub.d says.
_GRUB_SECTION = re.compile(r"^### (BEGIN|END) /etc/grub\.d/(\S+) ###$", re.MULTILINE)

# What kdumpctl adds for all that the crash kernel allocates at run time (kdump-utils, kdumpctl: do_estimate).
RUNTIME = 16 * MIB

# For hosts whose own tools name no ranges yet, since they are still to be installed. kdump-utils, kdump-lib.sh:
# kdump_get_arch_recommend_crashkernel; "Configure kdump memory reservation" of RHEL 10's documentation, by which it no
# longer supports the ranges of RHEL 9.
RHEL_RANGES = {
    "x86_64": "2G-64G:256M,64G-:512M",
    "s390x": "2G-64G:256M,64G-:512M",
    "aarch64": "2G-4G:256M,4G-64G:320M,64G-:576M",
    "ppc64le": "2G-4G:384M,4G-16G:512M,16G-64G:1G,64G-128G:2G,128G-:4G",
}
# kexec-tools 2.0.23 to 2.0.29, the same function; "Supported kdump configurations and targets" of RHEL 9's
# documentation. A host of 1 to 2 GiB gets something there, and nothing by the ranges above.
RHEL9_RANGES = {
    "x86_64": "1G-4G:192M,4G-64G:256M,64G-:512M",
    "s390x": "1G-4G:192M,4G-64G:256M,64G-:512M",
    "aarch64": "1G-4G:256M,4G-64G:320M,64G-:576M",
    "ppc64le": "2G-4G:384M,4G-16G:512M,16G-64G:1G,64G-128G:2G,128G-:4G",
}
# RHEL 8's kernel knows crashkernel=auto, which reserves as these ranges do (its documentation, "Managing, monitoring
# and updating the kernel", "Memory requirements for kdump").
RHEL8_AUTO = "1G-4G:160M,4G-64G:192M,64G-:256M"
# Debian's and Ubuntu's package kdump-tools, debian/rules: what its file for GRUB holds where it is not there.
DEBIAN_RANGES = "384M-:128M"


def size(digits, unit):
    """Return bytes of a number and its unit, K, M, G or T in any case."""
    return int(digits) * _UNITS[(unit or "").upper()]


def problem(text):
    """Return why a value of crashkernel= cannot be meant, or None. Several values are separated by blanks."""
    words = text.split()
    if not words:
        return "it is empty"
    for word in words:
        if _PLAIN.match(word):
            continue
        ranges = word.split("@")[0].split(",")
        if not all(_RANGE.match(part) for part in ranges):
            return "%s is neither a size such as 256M nor ranges such as 2G-64G:256M,64G-:512M" % word
    return None


def reserves(text, memory):
    """Return the bytes that a value of crashkernel= sets aside on a host with that much memory.

    Several words add up: ",high" and ",low" are two regions. What is not understood sets nothing aside.
    """
    total = 0
    for word in (text or "").split():
        match = _PLAIN.match(word)
        if match:
            total += size(match.group(1), match.group(2))
            continue
        for part in word.split("@")[0].split(","):
            match = _RANGE.match(part)
            if not match:
                break
            start = size(match.group(1), match.group(2))
            end = size(match.group(3), match.group(4)) if match.group(3) else None
            if start <= memory and (end is None or memory < end):
                total += size(match.group(5), match.group(6))
                break
    return total


def words_of(arguments):
    """Return the values of crashkernel= on a kernel command line, joined by blanks, or None."""
    values = [word.split("=", 1)[1].strip('"') for word in arguments.split() if word.startswith("crashkernel=")]
    return " ".join(value for value in values if value) or None


def arguments_of(value):
    """Return what stands on the kernel command line for a value."""
    return " ".join("crashkernel=" + word for word in (value or "").split())


def parse_grub_cfg(text):
    """Return [the value of crashkernel= or None] for each entry of a grub.cfg that starts a kernel of ours normally.

    Entries of recovery mode (grub-mkconfig gives them "single") do not count: they get GRUB_CMDLINE_LINUX only. Nor do
    those of other scripts than 10_linux: memtest86+, other systems that os-prober found, and entries of the
    administrator's own are not made from /etc/default/grub.
    """
    sections = _GRUB_SECTION.search(text)
    ours = not sections
    found = []
    for line in text.splitlines():
        section = _GRUB_SECTION.match(line)
        if section:
            ours = section.group(1) == "BEGIN" and section.group(2).startswith("10_linux")
        elif ours and _starts_normally(line.split()):
            found.append(words_of(" ".join(line.split()[2:])))
    return found


def _starts_normally(words):
    """Return whether the words of a line of grub.cfg start Linux, and not its recovery mode."""
    return (
        len(words) > 1
        and words[0] in ("linux", "linux16", "linuxefi")
        and words[1].rpartition("/")[2].startswith("vmlinu")
        and "single" not in words
        and "recovery" not in words
    )


def parse_grubby(text):
    """Return {kernel: value of crashkernel= or None} of the output of grubby --info=ALL.

    Its lines are index=0, kernel="/boot/vmlinuz-5.14.0", args="ro rhgb quiet", root=..., one block for each entry.
    Two entries of one kernel (a rescue or a debug entry) count as one: the first.
    """
    found = {}
    kernel = None
    for line in text.splitlines():
        name, _equals, value = line.strip().partition("=")
        value = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
        if name == "index":
            kernel = None
        elif name == "kernel":
            kernel = value
        elif name == "args" and kernel is not None:
            found.setdefault(kernel, words_of(value))
    return found


def parse_estimate(text):
    """Return the bytes that kdumpctl estimate recommends, or None: "Recommended crashkernel: 256M"."""
    match = re.search(r"^Recommended crashkernel:\s*([0-9]+)([KMGT]?)", text, re.MULTILINE | re.ASCII)
    return size(match.group(1), match.group(2)) if match else None


def kernel_image(iomem):
    """Return the bytes of the running kernel's code, data and bss from /proc/iomem, 0 where it hides addresses."""
    total = 0
    for line in iomem.splitlines():
        match = re.match(r"^\s*([0-9a-f]+)-([0-9a-f]+) : Kernel (?:code|rodata|data|bss)$", line)
        if match:
            total += int(match.group(2), 16) - int(match.group(1), 16)
    return total


def modules_size(modules):
    """Return the bytes of all loaded modules, from /proc/modules."""
    return sum(int(line.split()[1]) for line in modules.splitlines() if len(line.split()) > 2)


def needs(kernel, modules, initrd):
    """Return the least that a crash kernel needs, in bytes, as kdumpctl estimates it.

    Its initrd lies in the reservation packed, is unpacked there to a tmpfs, and a tmpfs takes at most half of memory:
    three times its size (kdump-utils, kdumpctl: do_estimate).
    """
    return kernel + modules + 3 * initrd + RUNTIME


def rounded(amount, step=32 * MIB):
    """Return a number of bytes rounded up to whole steps, as the kernel's command line has it: "192M"."""
    return "%dM" % (-(-amount // step) * step // MIB)
