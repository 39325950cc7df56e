# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of the module kdump: look at the host, plan, refuse, apply, read back.

Everything is asked and refused before anything changes. What there was before the first change is remembered in our
block of kdump's configuration file, which is written first and goes last.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import re
import shlex
import tempfile
import time

from ansible_collections.linux_memory.oom.plugins.module_utils import (
    crashkernel,
    dropin,
    kdump,
    kdump_config,
    kdump_host,
    kdump_remote,
    owned_file,
    system,
    units,
)
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import Refused
from ansible_collections.linux_memory.oom.plugins.module_utils.commands import runner
from ansible_collections.linux_memory.oom.plugins.module_utils.kdump_config import BadInput
from ansible_collections.linux_memory.oom.plugins.module_utils.kdump_host import Failed
from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mount_of, mounts
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

RETENTION_UNIT = "linux_memory_oom-crash-retention.service"
RETENTION_UNIT_PATH = "/etc/systemd/system/" + RETENTION_UNIT
RETENTION_SCRIPT_PATH = "/usr/local/lib/linux_memory_oom/crash-retention.sh"

_SIZE = re.compile(r"^([0-9]+)\s*([KMGT]?)(?:i?B)?$", re.IGNORECASE | re.ASCII)
_WHERE = {
    "device": (re.compile(r"^(?:/dev/\S+|(?:UUID|LABEL|PARTUUID|PARTLABEL)=\S+)$"), "/dev/NAME, UUID=... or LABEL=..."),
    "nfs": (re.compile(r"^[^\s:/-]\S*:/\S*$"), "SERVER:/EXPORT"),
    "ssh": (re.compile(r"^[^\s@-][^\s@]*@[^\s@:]+$"), "USER@SERVER"),
}
# What stands in unit files and in the distributions' own scripts without quotes.
_PATH = re.compile(r"^/[A-Za-z0-9._/+@:-]*\Z")
# A dump on them is gone when the host has restarted.
_VOLATILE = ("tmpfs", "ramfs", "devtmpfs")

# makedumpfile(8): what a bit of the dump level leaves out, as /proc/meminfo counts it. 1 leaves out pages of zeros,
# which nothing counts, and 2 a part of what 4 does.
_KERNEL = ["slab", "kernel_stack", "page_tables", "percpu"]
_LEFT_OUT = {4: ["cached", "buffers", "swap_cached"], 8: ["anon_pages", "hugetlb"], 16: ["mem_free"]}

# RequiresMountsFor=: local-fs.target does not wait for mounts with nofail (systemd.mount(5)), and below the mount point
# there are other dumps, or none. Where the disk is gone, the unit does not run, and the host starts all the same.
_RETENTION_UNIT = """\
[Unit]
Description=Keep the newest kernel dumps in {path}
After=local-fs.target
RequiresMountsFor={path}

[Service]
Type=oneshot
ExecStart=/bin/sh {script} {path} {keep} {size}

[Install]
WantedBy=multi-user.target"""

# The newest dump is never removed. Links are not followed; other directories are left alone, those that hold a dump of
# a data base too.
_RETENTION_SCRIPT = """\
# crash-retention.sh DIRECTORY DUMPS BYTES (0: no limit): removes the oldest dumps beyond either.
set -eu
names='NAMES'
count=0
used=0
find "$1" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %f\\n' | sort -rn | while read -r _time name; do
  place="$1/$name"
  [ -n "$(find "$place" -maxdepth 1 -type f -regextype posix-extended -regex ".*/$names")" ] || continue
  size=$(($(du -sk "$place" | cut -f1) * 1024))
  count=$((count + 1))
  if [ "$count" -gt 1 ]; then
    if { [ "$2" -gt 0 ] && [ "$count" -gt "$2" ]; } || { [ "$3" -gt 0 ] && [ $((used + size)) -gt "$3" ]; }; then
      echo "removing $place, $size bytes"
      rm -rf -- "$place"
      continue
    fi
  fi
  used=$((used + size))
done""".replace("NAMES", kdump.DUMP_NAMES)


# What the module takes, for AnsibleModule and for linux_memory.oom.together.
SPEC = {
    "argument_spec": {
        "state": {"type": "str", "choices": ["present", "disabled", "absent"], "default": "present"},
        "crashkernel": {"type": "str", "default": "auto"},
        "target": {"type": "str", "choices": ["local", "device", "nfs", "ssh"], "default": "local"},
        "target_location": {"type": "str"},
        "path": {"type": "str", "default": "/var/crash"},
        "ssh_key": {"type": "str", "no_log": False},
        "dump_level": {"type": "int", "default": 31},
        "compression": {
            "type": "str",
            "choices": ["zlib", "lzo", "snappy", "zstd", "none"],
            "default": "zlib",
        },
        "keep_dumps": {"type": "int", "default": 5},
        "keep_bytes": {"type": "str"},
        "packages": {"type": "bool", "default": True},
        "boot_loader": {"type": "str", "choices": ["auto", "grub", "grubby", "none"], "default": "auto"},
        "wait_seconds": {"type": "int", "default": 90},
        "force": {"type": "bool", "default": False},
    },
}


def mib(amount):
    """Return bytes for a sentence."""
    return "%d MiB" % (amount // crashkernel.MIB)


def or_more(amount):
    """Return the least bytes for a sentence, rounded up: what it says is enough."""
    return mib(amount + crashkernel.MIB - 1) + " or more"


def parse_size(text, name):
    """Return bytes of "20G"; 0 for None. Raises Refused."""
    if text in (None, ""):
        return 0
    match = _SIZE.match(str(text).strip())
    if not match:
        raise Refused("%s: %s is not a number of bytes such as 20G" % (name, text))
    return crashkernel.size(match.group(1), match.group(2))


def check_options(options):
    """Refuse what can be seen to be wrong without a host. Raises Refused."""
    if options["crashkernel"] != "auto":
        why = crashkernel.problem(options["crashkernel"])
        if why:
            raise Refused("crashkernel: %s" % why)
    if not 0 <= options["dump_level"] <= 31:
        raise Refused("dump_level: %d is not between 0 and 31" % options["dump_level"])
    if options["keep_dumps"] < 0:
        raise Refused("keep_dumps: %d is negative; 0 keeps all" % options["keep_dumps"])
    if options["wait_seconds"] < 0:
        raise Refused("wait_seconds: %d is negative" % options["wait_seconds"])
    parse_size(options["keep_bytes"], "keep_bytes")
    path = options["path"]
    if not _PATH.match(path) or ".." in path.split("/"):
        raise Refused("path: %s is not an absolute path of letters, digits and . _ + @ : - /" % path)
    target, where = options["target"], options["target_location"]
    if target == "local":
        if where:
            raise Refused("target_location: %s is given, and target=local has none" % where)
    else:
        pattern, form = _WHERE[target]
        if not where or not pattern.match(where) or re.search(r"[\"'`$\\#\x00-\x1f]", where):
            raise Refused("target_location: %s is not %s, which target=%s needs" % (where or "nothing", form, target))
    if options["ssh_key"]:
        if target != "ssh":
            raise Refused("ssh_key: %s is given, and only target=ssh uses one" % options["ssh_key"])
        if not re.match(r"^/[A-Za-z0-9._/+@:-]+$", options["ssh_key"]):
            raise Refused("ssh_key: %s is not an absolute path" % options["ssh_key"])


class Change:
    """One run. run and move are those of AnsibleModule; root is another tree, for tests."""

    def __init__(self, options, run, move, root="/", sleep=time.sleep, check_mode=False):
        self.options = options
        self.check_mode = check_mode
        self.state = options["state"]
        self.tree = Tree(root)
        self.sleep = sleep
        self.run = run
        self.move = move
        self.host = kdump_host.of(self.tree, run, move)
        self.items = []
        self.warnings = []
        self.settings = {}
        self.names = ()
        self.value = None
        self.directory = None
        self.lacking = []
        self.lacks_client = None
        self.asked = False
        self.memory = 0
        self.reserved = 0
        self.loaded = False
        self.need = None
        self.contained = False
        self.steps = []

    # Looking

    def look(self):
        """Read the host, refuse, and fill items with what is and what will be. Raises Refused and Failed."""
        check_options(self.options)
        if self.host is None and self.state == "absent":
            return  # what cannot be set up is not there
        if self.host is None:
            raise Refused("this host is neither Debian, Ubuntu nor of the RHEL family: its kdump is not known here")
        self.contained = bool(system.container(self.tree))
        self.text = owned_file.read(self.host.real(self.host.config))
        self.remembered = kdump_config.before(self.text or "")
        self.managed = kdump_config.split(self.text or "")[1] is not None
        self.reserved = kdump.reserved(self.tree) or 0
        self.loaded = bool(kdump.loaded(self.tree))
        self.running = crashkernel.words_of(self.tree.text("/proc/cmdline", ""))
        self.memory = self._memory()
        self.names = kdump_config.SHELL_KEYS if self.host.family == kdump_config.DEBIAN else kdump_config.RHEL_KEYS
        self.lacking = self.host.missing()
        self.loader = self._loader()
        if self.state == "present":
            self._plan_present()
        elif self.state == "disabled":
            self._plan_disabled()
        else:
            self._plan_absent()

    def _memory(self):
        """Return the memory that the kernel compares ranges with: rounded up to 128 MiB (kernel/crash_reserve.c)."""
        total = 0
        for line in self.tree.text("/proc/iomem", "").splitlines():
            match = re.match(r"^([0-9a-f]+)-([0-9a-f]+) : System RAM$", line)
            if match and match.group(2).strip("0"):
                total += int(match.group(2), 16) - int(match.group(1), 16) + 1
        total = total or (meminfo(self.tree).get("mem_total") or 0) + self.reserved
        step = 128 * crashkernel.MIB
        return -(-total // step) * step

    def _loader(self):
        """Return which boot loader is configured: grub, grubby or none. Raises Refused."""
        asked = self.options["boot_loader"]
        if asked == "none" or (self.state == "absent" and self._has_no_trace()):
            return "none"
        if asked not in ("auto", self.host.loader):
            raise Refused("boot_loader: %s is not what this host has; it would be %s" % (asked, self.host.loader))
        if not self.host.has_loader():
            raise Refused(
                "boot_loader: %s is not there; give the kernel crashkernel= by other means and set boot_loader to none"
                % ("update-grub" if self.host.loader == "grub" else "grubby")
            )
        if self.host.loader == "grubby" and self.tree.exists("/run/ostree-booted"):
            raise Refused(
                "boot_loader: this host boots from OSTree; change its command line with rpm-ostree kargs, and set "
                "boot_loader to none"
            )
        foreign = self.host.loader_foreign()
        if foreign:
            raise Refused("%s is there and was not written by this collection; move it away" % foreign)
        return self.host.loader

    def _has_no_trace(self):
        """Return whether this collection has never said anything to the boot loader of this host."""
        return self.host.loader_undone() if self.host.loader == "grub" else "crashkernel" not in self.remembered

    def _refuse(self, why):
        """Refuse, or warn where force is set."""
        if not self.options["force"]:
            raise Refused(why)
        self.warnings.append(why)

    def _needs(self):
        """Return (bytes that the crash kernel needs, or None where that is not known, bytes that it needs at least).

        The two differ until its own initrd is made: it is smaller than the usual one, and nobody knows by how much.
        """
        size, exact = self.host.initrd()
        kernel = crashkernel.kernel_image(self.tree.text("/proc/iomem", ""))
        modules = crashkernel.modules_size(self.tree.text("/proc/modules", ""))
        need = None if size is None else crashkernel.needs(kernel, modules, size)
        return need, need if exact else crashkernel.needs(kernel, modules, 0)

    def _wished_value(self):
        """Return what crashkernel= is to be, and refuse what cannot work."""
        self.need, least = self._needs()
        asked = self.options["crashkernel"]
        value, stays = " ".join(asked.split()), True
        if asked == "auto":
            now = self.host.loader_current()[0] if self.loader != "none" and self.managed else None
            # A value of an earlier run stays while it is enough: the estimate moves with modules and initrd.
            stays = bool(now and (now == "auto" or crashkernel.reserves(now, self.memory) >= (self.need or 1)))
            value = now if stays else self.host.default_value(self.memory, self.need)
        recommended = None
        if self.loader != "none" and not (stays and self.host.loader_is(value)):
            recommended = self._recommended()
            if asked == "auto":
                value = self._raised(value, max(recommended or 0, least))
        self._check_reservation(value, least, recommended)
        return value

    def _check_reservation(self, value, least, recommended):
        """Refuse a value that reserves nothing here, too much, or less than what is needed or recommended."""
        known = crashkernel.RHEL8_AUTO if value == "auto" else value
        amount = crashkernel.reserves(known, self.memory)
        if not amount:
            self._refuse(
                "crashkernel: %s reserves nothing on this host, which has %s of memory" % (value, mib(self.memory))
            )
        elif amount * 2 > self.memory:
            self._refuse(
                "crashkernel: %s reserves %s, more than half of this host's %s" % (value, mib(amount), mib(self.memory))
            )
        elif amount < least or (self.need and amount < self.need):
            said = "crashkernel: %s reserves %s, and this host's crash kernel needs %s"
            if amount < least:
                without = "" if least == self.need else ", without any initrd"
                self._refuse(said % (value, mib(amount), or_more(least)) + without)
            else:
                why = said % (value, mib(amount), or_more(self.need))
                self.warnings.append(why + ", estimated from the usual initrd: its own is not made yet")
        elif recommended and amount < recommended:
            self._refuse(
                "crashkernel: %s reserves %s, and kdumpctl estimate recommends %s"
                % (value, mib(amount), mib(recommended))
            )

    def _recommended(self):
        """Return the bytes that the distribution recommends, or None where asking would change this host in check mode.

        kdumpctl makes the crash kernel's initrd first.
        """
        made = self.host.initrd()[1]
        return self.host.estimate() if made or not self.check_mode else None

    def _raised(self, value, least):
        """Return a value of the distribution, or a size where that reserves too little: what reserves nothing stays."""
        return crashkernel.rounded(least) if 0 < crashkernel.reserves(value, self.memory) < least else value

    # Planning

    def item(self, name, before, after, step=None, status=None):
        """Add what is and what will be; step is what brings it there."""
        changes = before != after
        self.items.append(
            {"name": name, "before": before, "after": after, "status": status or ("changed" if changes else "ok")}
        )
        if step and (changes or status == "repair"):
            self.steps.append((name, step))

    def _plan_present(self):
        self.lacks_client = self.host.take(self.options["target"])
        lacking = self.lacking + ([self.lacks_client] if self.lacks_client else [])
        if lacking and not self.options["packages"]:
            raise Refused(
                "packages: %s is not on this host, and packages=false forbids to install %s"
                % (" and ".join(lacking), " and ".join(self.host.packages))
            )
        self._check_compression()
        self._find_directory()
        self.value = self._wished_value()
        self.settings = self._wished_settings()
        self.item(
            "packages",
            "missing" if lacking else "installed",
            "installed",
            self.host.install,
        )
        if "makedumpfile" in self.lacking:
            self.steps.append(("compression", self._check_compression))
        if self.lacks_client:
            self.steps.append(("target", self._ask_server))
        self._plan_config(self.settings)
        self._plan_retention(self.directory if self._retains() else None)
        self._plan_mount(self.directory)
        self._plan_directory()
        if self.loader != "none":
            self._plan_loader(self.value)
        self._plan_service(True)
        self._plan_loaded()

    def _plan_disabled(self):
        if self.loader == "grubby" and self.text is None and any(self.host.loader_values()):
            self._refuse(
                "state: disabled takes crashkernel= out of the boot loader, and there is no %s to remember it in; set "
                "boot_loader to none, or take it out with grubby" % self.host.config
            )
        self.settings = {"USE_KDUMP": "0"} if self.host.family == kdump_config.DEBIAN else {}
        if self.text is not None:
            self._plan_config(self.settings)
        self._plan_retention(None)
        self._plan_mount(None)
        self._plan_service(False)
        if self.loader != "none":
            self._plan_loader(None)
        self._plan_freed()

    def _plan_absent(self):
        self._plan_retention(None)
        self._plan_mount(None)
        if not self.managed:
            if self.loader != "none":
                self._plan_loader_undo()
            return
        was = self.remembered.get("enabled", True)
        self._plan_service(bool(was))
        then = self._plan_loader_undo() if self.loader != "none" else self.running
        rest = kdump_config.split(self.text)[0]
        now = kdump_config.values(self.text, self.host.family, self.names)
        restored = kdump_config.values(rest, self.host.family, self.names)
        for name in self.names:
            if now[name] != restored[name]:
                self.item(name, now[name], restored[name])
        if not was or not then:
            self._plan_freed()
        self.item("config", "ours", "as it was", lambda: self._write_config(rest))
        if was and then and self._is_stale(now != restored) and self.loaded:
            self.item("loaded", False, True, self._load)

    def _retains(self):
        return self.options["keep_dumps"] or parse_size(self.options["keep_bytes"], "keep_bytes")

    def _check_compression(self):
        """Refuse what this host's makedumpfile was built without.

        It would leave pages as they are, or fail where it does not know the option (makedumpfile.c).
        """
        wanted, program = self.options["compression"], self.host.program("makedumpfile")
        if wanted not in kdump_config.OPTIONAL or not program:
            return
        _status, out, _errors = self.run([program, "-v"], environ_update={"LC_ALL": "C"})
        known = kdump_config.compressions(out)
        if known and wanted not in known:
            self._refuse(
                "compression: %s is not what this host's makedumpfile was built with, which is %s"
                % (wanted, ", ".join(known))
            )

    def _find_directory(self):
        """Fill directory: where dumps go on this host; None where they go to a server."""
        options = self.options
        path = _tidy(options["path"])
        self.file_system = None
        self.directory = path
        if options["target"] in ("nfs", "ssh"):
            self.directory = None
        elif options["target"] == "device":
            self.directory = self._directory_on_device(options["target_location"], path)
        if options["ssh_key"] and not self.tree.exists(options["ssh_key"]):
            self._refuse("ssh_key: %s is not on this host" % options["ssh_key"])
        if self.directory:
            self._check_space()
        else:
            self._check_server()

    def _directory_on_device(self, where, path):
        """Return the directory on a device that is mounted, and fill file_system on the RHEL family. Raises Refused."""
        mount = kdump.mounted_at(self.tree, where)
        if mount is None:
            there = kdump.in_fstab(self.tree, where)
            if there:
                raise Refused(
                    "target_location: %s is in /etc/fstab and not mounted; mount it at %s first" % (where, there)
                )
            raise Refused(
                "target_location: %s is not mounted and not in /etc/fstab; write it there and mount it first" % where
            )
        directory = _tidy("%s/%s" % (mount, path))
        if not _PATH.match(directory):
            raise Refused(
                "target_location: %s is mounted at %s, which is not made of letters, digits and . _ + @ : - /"
                % (where, mount)
            )
        if self.host.family == kdump_config.RHEL:
            entry = mount_of(mounts(self.tree), mount)
            self.file_system = entry["type"] if entry else None
            if self.file_system not in kdump.FILE_SYSTEMS:
                raise Refused(
                    "target_location: %s holds %s, and kdump can write to %s"
                    % (where, self.file_system, ", ".join(kdump.FILE_SYSTEMS))
                )
        return directory

    def _check_server(self):
        """Refuse a server that would not take a dump, unless this run has seen already that it would."""
        if self.asked:
            return
        target = self.options["target"]
        if self.host.family == kdump_config.DEBIAN and not self.contained:
            why = kdump_remote.network_problem(self.tree, target)
            if why:
                self._refuse(why)
        if self.lacks_client:
            self.warnings.append(
                "target: %s is looked at only when %s is installed, before anything else is changed"
                % (self.options["target_location"], self.host.packages[-1])
            )
        else:
            self._ask_server()

    def _ask_server(self):
        """Ask the server as the crash kernel will, change nothing there, and refuse what would lose the dump."""
        where, target, path = self.options["target_location"], self.options["target"], self._server_path()
        debian = self.host.family == kdump_config.DEBIAN
        status, out, errors = self._ask_over_ssh(where, path) if target == "ssh" else self._ask_over_nfs(where, path)
        self.asked = True
        answer = kdump_remote.parse(out)
        if answer is None:
            if target == "ssh":
                self._refuse(kdump_remote.ssh_problem(where, self._ssh_key(), status, errors))
            else:
                self._refuse(kdump_remote.nfs_problem(where, status, errors))
            return
        for why in kdump_remote.problems(answer, path, where, target, debian):
            self._refuse(why)
        self._check_room("%s on %s" % (path, where), answer["free"])

    def _server_path(self):
        """Return the directory of the dumps on the server, below the export with nfs.

        kdump-config mounts the export at path and makes the directories of the dumps in it.
        """
        if self.options["target"] == "nfs" and self.host.family == kdump_config.DEBIAN:
            return "/"
        return _tidy(self.options["path"])

    def _ssh_key(self):
        """Return the key that the crash kernel takes: the one asked for, that of the rest of the file, the default."""
        name = "SSH_KEY" if self.host.family == kdump_config.DEBIAN else "sshkey"
        return self.options["ssh_key"] or self._of_the_rest(name) or kdump_remote.DEFAULT_KEY

    def _ask_over_ssh(self, where, path):
        command, script = kdump_remote.ssh_command(where, self._ssh_key(), path)
        return self.run(command, data=script, environ_update={"LC_ALL": "C"})

    def _ask_over_nfs(self, export, path):
        place = tempfile.mkdtemp(prefix="linux_memory_oom-")
        try:
            command, script = kdump_remote.nfs_command(export, place, path)
            return self.run(command, data=script, environ_update={"LC_ALL": "C"})
        finally:
            # Never into what might be mounted there: only the empty directory itself goes.
            os.rmdir(place)

    def _check_space(self):
        mount = mount_of(mounts(self.tree), self.directory)
        if mount and mount["type"] in _VOLATILE:
            self._refuse("path: %s is on %s, whose files are gone after the restart" % (self.directory, mount["type"]))
            return
        self._check_room(self.directory, kdump.directory(self.tree, self.directory)["free"])

    def _check_room(self, where, free):
        wanted = self._dump_size()
        if free is not None and wanted and free < wanted:
            self._refuse(
                "path: %s has %s free, and a dump of this host takes %s now" % (where, mib(free), or_more(wanted))
            )

    def _dump_size(self):
        """Return the bytes that a dump would have now, of which compression is taken to leave half."""
        memory = meminfo(self.tree)
        # struct page: 64 bytes for each 4096 (Documentation/mm/vmemmap_dedup.rst).
        kept = [name for bit, names in _LEFT_OUT.items() if not self.options["dump_level"] & bit for name in names]
        size = sum(memory.get(name) or 0 for name in _KERNEL + kept) + (memory.get("mem_total") or 0) // 64
        return size if self.options["compression"] == "none" else size // 2

    def _wished_settings(self):
        if self.host.family == kdump_config.DEBIAN:
            return kdump_config.debian_settings(self.options, self.directory or self.options["path"])
        # Ranges are the distribution's own; a size is for this host, whoever chose it.
        own = self.options["crashkernel"] != "auto" or ":" not in self.value
        explicit = own if self.host.resets() else None
        return kdump_config.rhel_settings(self.options, self.options["path"], self.file_system, explicit)

    def _plan_config(self, settings):
        now = kdump_config.values(self.text or "", self.host.family, self.names)
        for name in self.names:
            after = settings[name] if name in settings else self._of_the_rest(name)
            self.item(name, now[name], after)
        wrong = self.text is None or self._config_text(self.text, settings) != self.text
        self.steps += [("config", self._set_config)] if wrong else []
        if wrong and not any(item["status"] == "changed" for item in self.items):
            # The values are right and the block is not: told as what it is.
            self.item("config", "another block" if self.managed else "no block", "our block")

    def _of_the_rest(self, name):
        rest = kdump_config.split(self.text or "")[0]
        return kdump_config.values(rest, self.host.family, [name])[name]

    def _memory_lines(self):
        """Return what the block remembers: what it remembers already, else what is now."""
        found = list(self.remembered.items())
        if not self.managed:
            service = kdump.service(self.tree)
            found = [("enabled", bool(service and service["enabled"] and not self.lacking))]
        # An earlier run with boot_loader=none has left it as it was, and did not look.
        if self.loader == "grubby" and "crashkernel" not in self.remembered:
            found.append(("crashkernel", self.host.loader_before()))
        return found

    def _config_text(self, text, settings):
        return kdump_config.with_block(text, self.host.family, settings, self.before_lines)

    @property
    def before_lines(self):
        """Return the lines to remember, found out once, before anything has changed."""
        if not hasattr(self, "_before_lines"):
            self._before_lines = self._memory_lines()
        return self._before_lines

    def _set_config(self):
        # The package that was installed meanwhile has brought the file.
        text = owned_file.read(self.host.real(self.host.config)) or ""
        self._write_config(self._config_text(text, self.settings))

    def _write_config(self, text):
        owned_file.write(self.host.real(self.host.config), text, self.move)

    def _retention_texts(self, directory):
        if directory is None:
            return None, None
        unit = _RETENTION_UNIT.format(
            path=directory,
            script=RETENTION_SCRIPT_PATH,
            keep=self.options["keep_dumps"],
            size=parse_size(self.options["keep_bytes"], "keep_bytes"),
        )
        return owned_file.render(unit.splitlines()), owned_file.render(_RETENTION_SCRIPT.splitlines())

    def _plan_retention(self, directory):
        unit, script = self._retention_texts(directory)
        found_unit = owned_file.read(self.host.real(RETENTION_UNIT_PATH))
        found_script = owned_file.read(self.host.real(RETENTION_SCRIPT_PATH))
        for text, path in ((found_unit, RETENTION_UNIT_PATH), (found_script, RETENTION_SCRIPT_PATH)):
            if text is not None and not owned_file.is_owned(text):
                raise Refused("%s is there and was not written by this collection; move it away" % path)
        enabled = bool(found_unit) and bool(units.enabled(self.tree, RETENTION_UNIT))
        if directory is None and found_unit is None and found_script is None:
            return
        before = self._limits(found_unit) if enabled and found_script == _or(script, found_script) else None
        if unit is None and before is None:
            before = "left over"  # a run was stopped between the unit's link and its file
        elif before == self._limits(unit) and found_unit != unit:
            before = "another unit"  # an earlier version wrote it, or somebody has changed it
        self.item("retention", before, self._limits(unit), lambda: self._set_retention(unit, script))

    @staticmethod
    def _limits(unit):
        match = re.search(r"^ExecStart=/bin/sh \S+ (\S+) (\d+) (\d+)$", unit or "", re.MULTILINE)
        return "%s: %s dumps, %s bytes" % match.groups() if match else None

    def _set_retention(self, unit, script):
        unit_path, script_path = self.host.real(RETENTION_UNIT_PATH), self.host.real(RETENTION_SCRIPT_PATH)
        if unit is None:
            if self._systemd():
                self.host.call("systemctl", "disable", RETENTION_UNIT, must=False)
            owned_file.remove(unit_path)
            owned_file.remove(script_path)
            if os.path.isdir(os.path.dirname(script_path)) and not os.listdir(os.path.dirname(script_path)):
                os.rmdir(os.path.dirname(script_path))
        else:
            owned_file.write(script_path, script, self.move)
            owned_file.write(unit_path, unit, self.move)
        if self._systemd():
            self.host.call("systemctl", "daemon-reload")
            if unit is not None:
                self.host.call("systemctl", "enable", RETENTION_UNIT)

    def _plan_mount(self, directory):
        """Plan that the crash kernel mounts what the directory lies on before it saves a dump there.

        Debian's waits for local-fs.target only, which does not wait for mounts with nofail (systemd.mount(5)). Wants=
        and not Requires=: where the disk is gone, the dump goes below the mount point, and the host restarts.
        """
        if self.host.dump_service is None:
            return
        path = dropin.path_of(self.host.dump_service, kdump_remote.PURPOSE)
        found = owned_file.read(self.host.real(path))
        if found is not None and not owned_file.is_owned(found):
            raise Refused("%s is there and was not written by this collection; move it away" % path)
        mount = mount_of(mounts(self.tree), directory) if directory else None
        unit = units.mount_unit(mount["mount"]) if mount and mount["mount"] != "/" else None
        said = re.search(r"^After=(.*)$", found or "", re.MULTILINE)
        before = said.group(1) if said and found == self._mount_text(said.group(1)) else "another file"
        if found or unit:
            self.item("mount", before if found else None, unit, lambda: self._set_mount(path, unit))

    @staticmethod
    def _mount_text(unit):
        return owned_file.render(["[Unit]", "Wants=" + unit, "After=" + unit])

    def _set_mount(self, path, unit):
        real = self.host.real(path)
        if unit is None:
            owned_file.remove(real)
            if not os.listdir(os.path.dirname(real)):
                os.rmdir(os.path.dirname(real))
        else:
            owned_file.write(real, self._mount_text(unit), self.move)
        if self._systemd():
            self.host.call("systemctl", "daemon-reload")
            said = self.host.call("systemctl", "show", "--property=After", "--value", self.host.dump_service)
            # Names with backslashes are quoted as for a shell.
            if unit and unit not in shlex.split(said):
                raise Failed("mount: systemd does not start %s after %s" % (self.host.dump_service, unit))

    def _systemd(self):
        return self.tree.is_dir("/run/systemd/system")

    def _plan_directory(self):
        """Plan where dumps go, or where the crash kernel of Debian mounts the export: it has to be there."""
        directory = self.directory
        if self.options["target"] == "nfs" and self.host.family == kdump_config.DEBIAN:
            directory = _tidy(self.options["path"])
        if directory:
            there = self.tree.is_dir(directory)
            self.item("directory", directory if there else None, directory, lambda: self._make_directory(directory))

    def _make_directory(self, directory):
        os.makedirs(self.host.real(directory), 0o700)

    def _plan_loader(self, value):
        now, same = self.host.loader_current()
        self.item("crashkernel", now if same else "differs from entry to entry", value)
        if not self.host.loader_is(value):
            if now == value and same:
                self.items[-1].update(before="%s, by other files" % now, status="changed")
            self.steps.append(("crashkernel", lambda: self.host.loader_set(value)))

    def _plan_loader_undo(self):
        now, same = self.host.loader_current()
        remembered = self.remembered.get("crashkernel")
        then = remembered[0][1] if remembered else None
        if self.loader == "grub":
            then = self.host.loader_without_us()
        # A file that says what others would say is taken away as well.
        same_value = now == then and same
        self.item("crashkernel", "%s, by our file" % now if same_value and self.loader == "grub" else now, then)
        self.steps.append(("crashkernel", lambda: self.host.loader_undo(remembered)))
        return then

    def _plan_service(self, wanted):
        service = kdump.service(self.tree)
        enabled = bool(service and service["enabled"])
        if service is None and not wanted:
            return
        self.item("service", "enabled" if enabled else "disabled", "enabled" if wanted else "disabled")
        if enabled != wanted and self._systemd():
            self.steps.append(("service", lambda: self._switch(wanted)))

    def _switch(self, wanted):
        self.host.call("systemctl", "enable" if wanted else "disable", self.host.service)
        if not wanted:
            self.host.call("systemctl", "stop", self.host.service, must=False)

    def _plan_loaded(self):
        """The crash kernel is loaded where memory is set aside for it, and anew where what it does has changed."""
        if self.contained or not self.reserved or not self._systemd():
            return
        if not self.loaded and self.reserved < (self.need or 0) and self.reboot_required():
            return  # it would not fit into what there is, and fits into what the next boot reserves
        stale = self._is_stale(any(name == "config" for name, _step in self.steps))
        self.item("loaded", self.loaded and not stale, True, self._load)

    def _is_stale(self, config_changes):
        """Return whether what is loaded does other than the configuration will say: RHEL's is in its own initrd."""
        return config_changes and self.host.family == kdump_config.RHEL and not self.contained and self._systemd()

    def _load(self):
        """Start the service, and wait: udev's rules load it as well, and the kernel says EBUSY meanwhile."""
        end = time.time() + self.options["wait_seconds"]
        told = None
        while True:
            try:
                self.host.call("systemctl", "restart", self.host.service)
                told = None
            except kdump_host.Failed as error:
                told = str(error)
            while told is None and not kdump.loaded(self.tree) and time.time() < end:
                self.sleep(0.5)
            if kdump.loaded(self.tree):
                return
            if time.time() >= end:
                raise kdump_host.Failed(
                    "loaded: %s is asked for, and /sys/kernel/kexec_crash_loaded is not 1 after %d s%s"
                    % (self.host.service, self.options["wait_seconds"], ": " + told if told else "")
                )
            self.sleep(2)

    def _plan_freed(self):
        """Give the memory back at once; the command line frees it for the next boot."""
        if self.contained or not self.reserved:
            return
        self.item("loaded", self.loaded, False, self._unload)
        self.item("reserved", self.reserved, 0, self._free)

    def _unload(self):
        self.host.call("systemctl", "stop", self.host.service, must=False)
        if kdump.loaded(self.tree):
            self.host.call(self.host.program("kexec") or "kexec", "-p", "-u")
        if kdump.loaded(self.tree):
            raise kdump_host.Failed("loaded: false is asked for, and the crash kernel is still loaded")

    def _free(self):
        path = "/sys/kernel/kexec_crash_size"
        end = time.time() + self.options["wait_seconds"]
        while True:
            try:
                with open(self.host.real(path), "w", encoding="ascii") as file:
                    file.write("0\n")
                break
            except (IOError, OSError) as error:
                if error.errno != errno.EBUSY or time.time() >= end:
                    raise kdump_host.Failed("%s: 0 could not be written: %s" % (path, os.strerror(error.errno)))
            self.sleep(0.5)
        left = kdump.reserved(self.tree)
        if left:
            raise kdump_host.Failed("%s: 0 is asked for, and the kernel says %d" % (path, left))

    # Doing

    @property
    def changed(self):
        """Return whether anything is, or will be, other than it was."""
        return any(item["before"] != item["after"] for item in self.items)

    def apply(self):
        """Bring everything there, in the order in which it was planned; the memory of before is written first."""
        _remember = self.before_lines if self.state != "absent" else None
        for _name, step in self.steps:
            step()

    def refresh(self):
        """Read the kernel again, and say where it differs from what was asked for. Raises Failed."""
        self.reserved = kdump.reserved(self.tree) or 0
        self.loaded = bool(kdump.loaded(self.tree))
        again = Change(self.options, self.run, self.move, self.tree.root, self.sleep)
        again.asked = self.asked
        again.look()
        wrong = [item for item in again.items if item["before"] != item["after"]]
        if wrong:
            raise kdump_host.Failed(
                "%s: %s is asked for, and it is %s after the run"
                % (wrong[0]["name"], wrong[0]["after"], wrong[0]["before"])
            )

    def reboot_required(self):
        """Return whether only a restart brings the kernel to what was asked for."""
        if self.contained:
            return False
        if self.state == "present":
            return not self.reserved or (self.loader != "none" and self.running != self.value)
        return False

    def result(self):
        """Return what the module answers."""
        dumps = kdump.dumps(self.tree, self.directory) if self.directory else []
        return {
            "items": self.items,
            "crashkernel": self.value,
            "reserved": self.reserved,
            "loaded": self.loaded,
            "needed": self.need,
            "memory": self.memory,
            "directory": self.directory,
            "dumps": dumps,
            "reboot_required": self.reboot_required(),
        }

    def diff(self):
        """Return what changes, value by value."""
        changing = [item for item in self.items if item["before"] != item["after"]]
        return {
            side: "".join("%s: %s\n" % (item["name"], "" if item[side] is None else item[side]) for item in changing)
            for side in ("before", "after")
        }


def _tidy(path):
    """Return a path without doubled and last slashes."""
    return re.sub(r"/+", "/", path).rstrip("/") or "/"


def _or(text, otherwise):
    return otherwise if text is None else text


def run(module):
    """Do what is asked for and return the result. Raises Refused."""
    change = Change(module.params, runner(module), module.atomic_move, check_mode=module.check_mode)
    try:
        change.look()
        if not module.check_mode and change.steps:
            change.apply()
            change.refresh()
    except (BadInput, Failed) as error:
        raise Refused(str(error))
    for warning in change.warnings:
        module.warn(warning)
    return dict(change.result(), changed=change.changed, diff=change.diff())
