# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between the families of distributions when a crash kernel is set up: packages, files, boot loader.

Debian and Ubuntu: the package kdump-tools, and grub-mkconfig, which reads /etc/default/grub and then
/etc/default/grub.d/*.cfg as shell. RHEL family: kdumpctl and grubby (kdump-utils: kdumpctl, _update_kernel_cmdline).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible_collections.linux_memory.oom.plugins.module_utils import crashkernel, kdump_config, owned_file, system

GRUB_OURS = "/etc/default/grub.d/zz-linux_memory_oom-kdump.cfg"
GRUB_CFG = "/boot/grub/grub.cfg"
# What the package ships; its ranges are the distribution's.
GRUB_PACKAGE = "/etc/default/grub.d/kdump-tools.cfg"

# grub-mkconfig reads the files in this order, and ours last (util/grub-mkconfig.in). No crashkernel= of theirs stays.
_STRIP = (
    "# One crashkernel= at most, whatever the files before this one say.",
    'GRUB_CMDLINE_LINUX=$(printf %s "$GRUB_CMDLINE_LINUX" | sed "s/\\(^\\| \\)crashkernel=[^ ]*//g")',
    'GRUB_CMDLINE_LINUX_DEFAULT=$(printf %s "$GRUB_CMDLINE_LINUX_DEFAULT" | sed "s/\\(^\\| \\)crashkernel=[^ ]*//g")',
)
_SIMULATION = r"""
cd "$1" || exit 1
GRUB_CMDLINE_LINUX= GRUB_CMDLINE_LINUX_DEFAULT=
[ ! -e default/grub ] || . ./default/grub
for file in default/grub.d/*.cfg; do
  [ ! -e "$file" ] || [ "$file" = "default/grub.d/$2" ] || . "./$file"
done
printf '%s\n' "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"
"""


class Failed(Exception):
    """A tool failed, or what was read back differs; the text says which and how."""


class Host:
    """What both families share. run: of commands.runner; real: a path of the host to one that can be opened."""

    family = None
    service = None
    # What saves the dump in the crash kernel, where that is a unit on this host; else an initrd of its own does it.
    dump_service = None
    config = None
    packages = ()
    programs = ()
    # What a target needs beyond these: (program, package).
    clients = {}

    def __init__(self, tree, run, move):
        self.tree = tree
        self.run = run
        self.move = move

    def real(self, path):
        """Return where a path of the host can be written."""
        return self.tree.real(path)

    def call(self, *command, **options):
        """Run a tool and return what it printed. Raises Failed."""
        status, out, err = self.run(list(command), environ_update=dict(options.get("environment") or {}, LC_ALL="C"))
        if status and options.get("must", True):
            told = (err.strip() or out.strip()).splitlines()
            raise Failed("%s failed: %s" % (" ".join(command), " ".join(told[-3:]) or "exit status %d" % status))
        return out if not status else None

    def program(self, name):
        """Return the path of a program of the host, or None."""
        for folder in ("/usr/sbin", "/sbin", "/usr/bin", "/bin"):
            if self.tree.exists("%s/%s" % (folder, name)):
                return "%s/%s" % (folder, name)
        return None

    def missing(self):
        """Return the programs of kdump that are not there, by name."""
        return [name for name in self.programs if not self.program(name)]

    def take(self, target):
        """Count what a target needs among the packages, and return its program where it is not there, else None."""
        if target not in self.clients:
            return None
        program, package = self.clients[target]
        self.packages = self.packages + (package,)
        return None if self.program(program) else program

    def release(self):
        """Return the running kernel's release."""
        return system.kernel(self.tree) or ""

    def initrd(self):
        """Return (bytes of the initrd that the crash kernel gets, True), (of the usual one, False) or (None, False)."""
        for exact, path in self.initrds(self.release()):
            if self.tree.exists(path):
                return self.tree.stat(path).st_size, exact
        return None, False

    def estimate(self):
        """Return the bytes that the distribution's own tool recommends, or None: Debian has no such tool."""

    def initrds(self, release):
        """Return [(whether it is the crash kernel's own, path)] in the order of their worth."""
        raise NotImplementedError


class Debian(Host):
    """Debian and Ubuntu."""

    family = kdump_config.DEBIAN
    service = "kdump-tools.service"
    dump_service = "kdump-tools-dump.service"
    config = "/etc/default/kdump-tools"
    packages = ("kdump-tools", "makedumpfile")
    programs = ("kdump-config", "makedumpfile", "kexec")
    clients = {"ssh": ("ssh", "openssh-client"), "nfs": ("mount.nfs", "nfs-common")}
    loader = "grub"

    def install(self):
        """Install the packages, and nothing that they only recommend."""
        self.call(
            "apt-get",
            *("--yes", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", "install") + self.packages,
            environment={"DEBIAN_FRONTEND": "noninteractive"},
        )

    def initrds(self, release):
        """Return the initrd of /var/lib/kdump, which the package makes, and the usual one, which is larger."""
        return [(True, "/var/lib/kdump/initrd.img-" + release), (False, "/boot/initrd.img-" + release)]

    def default_value(self, memory, need):
        """Return the distribution's ranges where they are enough on this host, else a size that is."""
        ranges = crashkernel.words_of(self.tree.text(GRUB_PACKAGE, "").replace('"', " ")) or crashkernel.DEBIAN_RANGES
        if crashkernel.problem(ranges) or (need and crashkernel.reserves(ranges, memory) < need):
            return crashkernel.rounded(need + need // 4) if need else crashkernel.DEBIAN_RANGES
        return ranges

    def has_loader(self):
        """Return whether GRUB is configured by the distribution's tool here."""
        return self.program("update-grub") is not None

    def loader_values(self):
        """Return what each entry of the menu reserves."""
        return crashkernel.parse_grub_cfg(self.tree.text(GRUB_CFG, ""))

    def loader_before(self):
        """Return what has to be remembered of the boot loader: nothing, its other files stay as they are."""
        return

    def loader_text(self, value):
        """Return our file for GRUB; a value None leaves no crashkernel= at all."""
        body = list(_STRIP)
        if value:
            words = crashkernel.arguments_of(value)
            body.append('GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT %s"' % words)
        return owned_file.render(body)

    def loader_foreign(self):
        """Return a file that stands where ours would and is not ours, or None."""
        text = owned_file.read(self.real(GRUB_OURS))
        return GRUB_OURS if text is not None and not owned_file.is_owned(text) else None

    def loader_current(self):
        """Return (what the next boot reserves, whether all of it is as our file for that value says)."""
        values = self.loader_values()
        return values[0] if values else None, len(set(values)) < 2

    def loader_is(self, value):
        """Return whether nothing has to be done for the value."""
        if value is None and self.loader_undone() and self.loader_without_us() is None:
            return not any(self.loader_values())
        same = owned_file.read(self.real(GRUB_OURS)) == self.loader_text(value)
        values = self.loader_values()
        return same and bool(values) and all(found == value for found in values)

    def loader_set(self, value):
        """Make the next boot reserve that, and nothing else; None: nothing at all."""
        owned_file.write(self.real(GRUB_OURS), self.loader_text(value), self.move)
        self._generate(value)

    def loader_without_us(self):
        """Return what the other files of GRUB reserve, as grub-mkconfig would read them."""
        said = self.call("sh", "-c", _SIMULATION, "sh", self.real("/etc"), os.path.basename(GRUB_OURS), must=False)
        return crashkernel.words_of(said or "")

    def loader_undone(self):
        """Return whether there is nothing of us left in the boot loader."""
        return not self.tree.exists(GRUB_OURS)

    def loader_undo(self, _remembered):
        """Take our file away."""
        expected = self.loader_without_us()
        # The menu is written before the file is forgotten: a run that ends between the two is repeated.
        path = self.real(GRUB_OURS)
        ours = owned_file.read(path)
        owned_file.write(path, owned_file.render(["# Says nothing any more."]), self.move)
        try:
            self._generate(expected)
        except Failed:
            owned_file.write(path, ours, self.move)
            raise
        owned_file.remove(path)

    def _generate(self, expected):
        self.call(self.program("update-grub"))
        found = self.loader_values()
        wrong = [value for value in found if value != expected]
        if wrong or not found:
            raise Failed(
                "update-grub wrote %s into %s, and %s was asked for"
                % (_spoken(wrong[0]) if wrong else "no entry that starts a kernel", GRUB_CFG, _spoken(expected))
            )


class Rhel(Host):
    """RHEL and what is made of it, CentOS Stream, Fedora."""

    family = kdump_config.RHEL
    service = "kdump.service"
    config = "/etc/kdump.conf"
    packages = ("kexec-tools",)
    programs = ("kdumpctl", "makedumpfile", "kexec")
    clients = {"ssh": ("ssh", "openssh-clients"), "nfs": ("mount.nfs", "nfs-utils")}
    loader = "grubby"

    def __init__(self, tree, run, move):
        Host.__init__(self, tree, run, move)
        release = system.parse_os_release(tree.text("/etc/os-release") or tree.text("/usr/lib/os-release", ""))
        self.major = int(re.match(r"[0-9]*", release["version_id"] or "").group() or 0)
        self.fedora = release["id"] == "fedora"
        # kexec-tools was split: kdump-utils and makedumpfile are packages of their own (Fedora 41, RHEL 10).
        if self.major >= (41 if self.fedora else 10):
            self.packages = ("kdump-utils", "makedumpfile")

    def install(self):
        """Install the packages."""
        self.call(self.program("dnf") or "yum", "--assumeyes", "install", *self.packages)

    def initrds(self, release):
        """Return the initramfs that mkdumprd makes beside the kernel, and the usual one."""
        return [(True, "/boot/initramfs-%skdump.img" % release), (False, "/boot/initramfs-%s.img" % release)]

    def resets(self):
        """Return whether this host's kdumpctl knows a default and sets it (RHEL 9, Fedora 36): RHEL 8's does not.

        Its check_config refuses auto_reset_crashkernel as an invalid option, and kdump does not start.
        """
        return self.fedora or self.major >= 9

    def default_value(self, _memory, _need):
        """Return what kdumpctl takes by default; before RHEL 9 the kernel knows "auto"."""
        if not self.resets():
            return "auto"
        said = self.call("kdumpctl", "get-default-crashkernel", must=False) if self.program("kdumpctl") else None
        value = (said or "").strip()
        if value and crashkernel.problem(value) is None:
            return value
        ranges = crashkernel.RHEL9_RANGES if self.major == 9 and not self.fedora else crashkernel.RHEL_RANGES
        return ranges.get(os.uname()[4], ranges["x86_64"])

    def estimate(self):
        """Return the bytes that kdumpctl recommends, or None where it does not say."""
        if not self.resets() or not self.program("kdumpctl"):
            return None
        return crashkernel.parse_estimate(self.call("kdumpctl", "estimate", must=False) or "")

    def has_loader(self):
        """Return whether grubby is there."""
        return self.program("grubby") is not None

    def _kernels(self):
        return crashkernel.parse_grubby(self.call("grubby", "--info=ALL"))

    def loader_values(self):
        """Return what each kernel's entry reserves."""
        return list(self._kernels().values())

    def loader_before(self):
        """Return [[kernel, what it reserves now]], for undo; the first entry comes first."""
        return [list(pair) for pair in self._kernels().items()]

    def loader_foreign(self):
        """Return None: there is no file of ours."""

    def loader_current(self):
        """Return (what the first entry reserves, whether the others do the same)."""
        values = self.loader_values()
        return values[0] if values else None, len(set(values)) < 2

    def loader_is(self, value):
        """Return whether every kernel has the value."""
        values = self.loader_values()
        return bool(values) and all(found == value for found in values)

    def loader_set(self, value):
        """Give every kernel the value; grubby writes /etc/default/grub and /etc/kernel/cmdline as well."""
        # Without it a second word of the same name (size,high and size,low) would stay.
        self.call("grubby", "--update-kernel=ALL", "--remove-args=crashkernel")
        if value:
            self.call("grubby", "--update-kernel=ALL", "--args=" + crashkernel.arguments_of(value))
        self._zipl()
        if not self.loader_is(value):
            raise Failed(
                "grubby --info=ALL says %s, and %s was asked for"
                % (", ".join(_spoken(found) for found in self.loader_values()) or "no kernel", _spoken(value))
            )

    def _zipl(self):
        if self.tree.exists("/etc/zipl.conf"):
            self.call("zipl")

    def loader_undo(self, remembered):
        """Give each kernel back what it had; one that has come since gets what the first had."""
        otherwise = remembered[0][1] if remembered else None
        remembered = dict(remembered or [])
        for kernel in self._kernels():
            value = remembered.get(kernel, otherwise)
            self.call("grubby", "--update-kernel=" + kernel, "--remove-args=crashkernel")
            if value:
                self.call("grubby", "--update-kernel=" + kernel, "--args=" + crashkernel.arguments_of(value))
        self._zipl()

    def loader_without_us(self):
        """Return None: the caller takes what was remembered."""

    def loader_undone(self):
        """Return None: only what was remembered can say so."""


def _spoken(value):
    return crashkernel.arguments_of(value) if value else "no crashkernel="


def of(tree, run, move):
    """Return the Host by what the distribution calls itself (os-release(5)), or None for another family."""
    text = tree.text("/etc/os-release") or tree.text("/usr/lib/os-release", "")
    match = re.findall(r"^(?:ID|ID_LIKE)=[\"']?([^\"'\n]*)", text, re.MULTILINE)
    names = set(" ".join(match).split())
    if names & {"debian", "ubuntu"}:
        return Debian(tree, run, move)
    if names & {"rhel", "fedora", "centos"}:
        return Rhel(tree, run, move)
    return None
