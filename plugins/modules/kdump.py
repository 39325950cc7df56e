#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set up kdump: memory for a crash kernel, where its dumps go, and whether it is loaded; and the way back."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: kdump
short_description: Set up the crash kernel that saves a dump, and read back whether it is loaded
version_added: 0.1.0
description:
  - Sets memory aside for a crash kernel on the command line of the next boot, says where its dumps go, enables the service that
    loads it, loads it where the memory is there already, and then asks the kernel whether it is loaded.
  - On Debian and Ubuntu it works with the package C(kdump-tools) and GRUB, on the RHEL family with C(kdumpctl), C(grubby) and
    C(/etc/kdump.conf).
  - C(/etc/default/kdump-tools) and C(/etc/kdump.conf) belong to their packages. The module adds one block to them and keeps the
    rest byte for byte; the block remembers what there was before.
  - On Debian and Ubuntu a file for GRUB, C(/etc/default/grub.d/zz-linux_memory_oom-kdump.cfg), is read last. It takes
    every other C(crashkernel=) off the command line and adds one, so that none is ever there twice.
  - Where dumps go to a file system of its own, a drop-in of C(kdump-tools-dump.service) lets the crash kernel mount that first, also where
    C(/etc/fstab) says C(nofail).
  - Everything is checked before anything changes; see O(force) for what is refused because of the host's numbers.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.changer
options:
  state:
    description:
      - V(present) sets the crash kernel up.
      - V(disabled) takes it out of use. The service is disabled, no C(crashkernel=) is on the command line of the next boot,
        also none of the package, and the memory is given back at once.
      - V(absent) takes back what the module did. What was there before is there again, such as the C(crashkernel=) of the package.
    type: str
    choices: [present, disabled, absent]
    default: present
  crashkernel:
    description:
      - What the kernel sets aside, as its own argument C(crashkernel=) has it - V(256M), ranges such as
        V(2G-64G:256M,64G-:512M), or two values separated by a blank, V(512M,high 72M,low).
      - V(auto) takes the default of the distribution. On RHEL 9 and newer that is what C(kdumpctl) says, on RHEL 8 V(auto), which
        its kernel knows. Where C(kdumpctl estimate) recommends more than the default reserves, as for an encrypted disk or large
        modules, it is that instead, rounded up to 32 MiB; in check mode C(kdumpctl) is only asked where the crash kernel's own
        initrd is there, as it makes one first. On Debian and Ubuntu it is the ranges of the package C(kdump-tools)
        where they are enough for this host, and else a quarter more than the crash kernel needs.
      - What V(auto) has set stays while it is enough. What is not a default of the distribution is kept from updates of
        C(kdump-utils), which would set the default again.
    type: str
    default: auto
  target:
    description:
      - Where dumps go - V(local), O(path) on this host; V(device), O(path) on the file system of O(target_location), which is
        mounted, and by C(/etc/fstab) for the crash kernel too; V(nfs) or V(ssh), O(path) on that server.
      - A server is asked beforehand, in check mode as well, as the crash kernel will do it. With V(ssh) the module logs in with
        O(ssh_key). With V(nfs) it mounts the export for a moment, where no other process sees it. It looks whether there
        can be a directory, whether it can be written to, and how much room there is. Nothing is changed, on this host or there.
    type: str
    choices: [local, device, nfs, ssh]
    default: local
  target_location:
    description:
      - The device - V(/dev/vdb1), V(UUID=...) or V(LABEL=...) -, the export - V(server:/export) - or the account on a server -
        V(user@server).
      - Names and ports are taken as root's C(ssh) and C(mount) take them, from C(/root/.ssh/config) and C(/etc/nfsmount.conf) too.
        The host key of an SSH server has to be in root's C(known_hosts), since a crash kernel has no terminal to confirm it.
    type: str
  path:
    description:
      - The directory of the dumps. On Debian and Ubuntu, with O(target=nfs), it is where the crash kernel mounts the export on this
        host, and dumps are in the export's own directory. On the RHEL family it is below the export and has to be there.
      - Each dump of a server is in a directory of its own, named after the address of this host and the time.
    type: str
    default: /var/crash
  ssh_key:
    description:
      - The private key with which the crash kernel logs in, with O(target=ssh). The key is not made here, and has no passphrase.
      - Without it the key that the configuration file names is used, or C(/root/.ssh/kdump_id_rsa).
    type: str
  dump_level:
    description:
      - What C(makedumpfile) leaves out, 0 to 31. V(31) leaves out free pages, zero pages, page cache and the memory of programs, and
        keeps what the kernel itself has, counters included. V(23) keeps the memory of programs too.
    type: int
    default: 31
  compression:
    description:
      - How C(makedumpfile) compresses pages. V(zlib) is known to all versions.
      - What C(makedumpfile -v) says that this host's was built without is refused. Those of Debian 11 and 12 have V(lzo), that of
        Debian 13 V(lzo) and V(zstd).
    type: str
    choices: [zlib, lzo, snappy, zstd, none]
    default: zlib
  keep_dumps:
    description:
      - How many dumps stay below the directory of this host. A service removes the oldest beyond that at each boot, and
        C(kdump-tools) also after it has saved one. 0 keeps all. The newest always stays. Nothing is removed on a server.
      - The service waits for the file system of the directory, with C(nofail) in C(/etc/fstab) as well. Where that cannot be
        mounted it does not run, and the host starts all the same.
    type: int
    default: 5
  keep_bytes:
    description: How many bytes of dumps stay, such as V(20G). The service removes the oldest beyond that, and never the newest.
    type: str
  packages:
    description:
      - Whether packages that are missing are installed, also the one of C(ssh) or C(mount.nfs) where O(target) needs it. A server is
        then asked when they are installed, before anything else is changed.
    type: bool
    default: true
  boot_loader:
    description:
      - How the command line of the next boot is set - V(grub) is Debian's and Ubuntu's C(update-grub), V(grubby) that of the
        RHEL family, V(auto) the one of the host. With V(none) the command line is somebody else's, and only what the kernel
        has set aside counts.
    type: str
    choices: [auto, grub, grubby, none]
    default: auto
  wait_seconds:
    description:
      - For how long the module waits until the crash kernel is loaded, or its memory given back. Rules of udev load it as well, and the
        kernel answers EBUSY to whoever comes second.
    type: int
    default: 90
  force:
    description:
      - Do also what is refused otherwise, with a warning - a O(crashkernel) that reserves nothing on this host, less than the crash
        kernel needs, or more than half of the memory; a directory without room for a dump, or on a file system in memory; an
        O(ssh_key) that is not there; a server that does not answer or would not take a dump; dumps that others on an SSH server
        could read; a crash kernel that would have no network.
    type: bool
    default: false
notes:
  - What a crash kernel needs is estimated as C(kdumpctl estimate) does it - kernel, loaded modules, three times its initrd, and 16 MiB.
  - A dump holds what programs had in memory. On Debian and Ubuntu C(kdump-config) writes it over SSH with the umask of the account, so
    that this has to be 077 or a directory on the way to O(path) closed to others. C(kdump-utils) sets its own.
  - The crash kernel of Debian and Ubuntu starts what C(network-online.target) wants, and nothing else of the network. With
    O(target=ssh) or O(target=nfs) C(systemd-networkd-wait-online.service), or what it is called with another network, has to be enabled.
    An address in O(target_location) spares the crash kernel a resolver.
  - The part for the RHEL family was written from the sources of kdump-utils and has not run on such a host.
seealso:
  - module: linux_memory.oom.vm_sysctl
  - module: linux_memory.oom.memory_facts
author:
  - The linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Save crashes on this host, keep three dumps
  linux_memory.oom.kdump:
    keep_dumps: 3
  register: crash_kernel

- name: Save them on another host
  linux_memory.oom.kdump:
    target: ssh
    target_location: crash@vault.example.com
    path: /srv/dumps
    ssh_key: /root/.ssh/for_dumps

- name: Save them on a second disk, at most 20 GiB of them
  linux_memory.oom.kdump:
    crashkernel: 256M
    target: device
    target_location: LABEL=crash
    path: /dumps
    keep_bytes: 20G

- name: Take the crash kernel out of use and its memory back
  linux_memory.oom.kdump:
    state: disabled
"""

RETURN = r"""
differs:
  description: Whether the host was not as asked for. The same as C(changed), for plays that ask in check mode first and hide that.
  type: bool
  returned: success
items:
  description: Each thing that the module looked at, in the order in which they are set.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description:
        - V(packages), V(directory), V(retention), V(mount) - what the crash kernel mounts before it saves a dump -,
          V(crashkernel) - what the next boot reserves -, V(service), V(loaded),
          V(reserved), or the name of a setting in the configuration file.
      type: str
    before:
      description: What there was, null for nothing.
      type: raw
    after:
      description: What there is, or would be in check mode.
      type: raw
    status:
      description: V(ok) or V(changed).
      type: str
crashkernel:
  description: What C(crashkernel=) is to be; null with another O(state) than V(present).
  type: str
  returned: success
  sample: 256M
reserved:
  description: The bytes that the running kernel has set aside.
  type: int
  returned: success
loaded:
  description: Whether a crash now would be saved.
  type: bool
  returned: success
needed:
  description: The bytes that the crash kernel needs at least, null where that cannot be estimated.
  type: int
  returned: success
memory:
  description: This host's memory in bytes, as ranges of O(crashkernel) are compared with it.
  type: int
  returned: success
directory:
  description: Where dumps are on this host, null where they go to a server.
  type: str
  returned: success
dumps:
  description: The dumps that are there, the oldest first.
  type: list
  elements: dict
  returned: success
  contains:
    path:
      description: The dump.
      type: str
    size:
      description: Its bytes.
      type: int
    time:
      description: When it was saved, in seconds since 1970.
      type: float
reboot_required:
  description: Whether only a restart brings the running kernel to what was asked for.
  type: bool
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import leave
from ansible_collections.linux_memory.oom.plugins.module_utils.kdump_change import SPEC, run


def main():
    """Run the module."""
    leave(AnsibleModule(supports_check_mode=True, **SPEC), run)


if __name__ == "__main__":
    main()
