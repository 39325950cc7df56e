# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a crash of the kernel would be saved, where, and what was saved.

Documentation/admin-guide/kdump/kdump.rst; kdump.conf(5) of the RHEL family, kdump-tools(5) of Debian and Ubuntu.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import re

from ansible_collections.linux_memory.oom.plugins.module_utils import units
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mount_of, mounts, unescape
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import reason

DEFAULT_DIRECTORY = "/var/crash"
RHEL_CONFIG = "/etc/kdump.conf"
DEBIAN_CONFIG = "/etc/default/kdump-tools"
SERVICES = (("kdump.service", RHEL_CONFIG), ("kdump-tools.service", DEBIAN_CONFIG))

FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "minix", "virtiofs")
TARGETS = FILE_SYSTEMS + ("raw", "nfs", "nfs4", "ssh", "net")

# A server that does not answer would block whoever asks for the free space of its file system.
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "9p", "autofs", "fuse.sshfs", "fuse.glusterfs")

# vmcore, vmcore.flat, vmcore-incomplete; on Debian dump.STAMP, dump-incomplete, vmcore.STAMP, perhaps compressed. What
# else lies there is the kernel's log and the notes of the tools (vmcore-dmesg.txt, dmesg.STAMP, kexec_cmd).
# An extended regular expression (regex(7)) as well: find(1) gets it too, see kdump_change.
DUMP_NAMES = r"(vmcore(\.flat|-incomplete|\.[0-9]{8,14})?|dump(-incomplete|\.[0-9]{8,14}))(\.(gz|bz2|xz|lz4|zst))?"
_DUMP = re.compile("^%s$" % DUMP_NAMES, re.ASCII)
_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(?:"([^"\n]*)"|'([^'\n]*)'|([^\s#;"']*))""", re.MULTILINE
)
_MOUNT_ARGUMENT = re.compile(r"""--mount[= ]+["']?(\S+) +(\S+) +([A-Za-z0-9]+)""")
_LS_LINE = re.compile(
    r"^-\S+ +[0-9]+ +\S+ +\S+ +(?:\S*[:?]\S* +)?([0-9]+(?:[.,][0-9]+)?)([KMGTP]?) +[A-Za-z]+ +[0-9]+ +[0-9:]+ (.+)$",
    re.ASCII,
)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}


def parse_crashkernel(text):
    """Return all values of crashkernel= on a kernel command line, joined by blanks (one may be ,high and one ,low)."""
    values = [word.split("=", 1)[1].strip('"') for word in text.split() if word.startswith("crashkernel=")]
    return " ".join(value for value in values if value) or None


def parse_kdump_conf(text):
    """Return {"path": str or None, "target": (kind, where) or None} of /etc/kdump.conf.

    Comments may end a line and values may be quoted, as kdump's own reader has it (kdump-lib-initramfs.sh).
    """
    found = {"path": None, "target": None}
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(None, 1)
        if len(words) < 2:
            continue
        name, value = words[0], words[1].strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        if name == "path" and value.startswith("/"):
            found["path"] = re.sub(r"/+", "/", value)
        elif name in TARGETS and value:
            # "net" was the word of RHEL 6 for both.
            kind = ("ssh" if "@" in value else "nfs") if name == "net" else name
            found["target"] = (kind, value)
        elif name == "dracut_args" and found["target"] is None:
            match = _MOUNT_ARGUMENT.search(words[1])
            if match:
                found["target"] = (match.group(3), match.group(1))
    return found


def parse_kdump_tools(text):
    """Return the settings of /etc/default/kdump-tools that say where dumps go; a later assignment wins, as in sh."""
    values = {}
    for match in _ASSIGNMENT.finditer(text):
        values[match.group(1)] = next(value for value in match.groups()[1:] + ("",) if value is not None)
    # kdump-config saves to every one that is set (kdump_save_core and its like).
    remote = [(kind.lower(), values[kind]) for kind in ("FTP", "SSH", "NFS") if values.get(kind)]
    path = values.get("KDUMP_COREDIR", "")
    return {
        "path": path if path.startswith("/") else None,
        "remote": remote,
        "switched_on": values["USE_KDUMP"] == "1" if values.get("USE_KDUMP") else None,
    }


def parse_listing(text):
    """Return [(path, bytes)] of the dumps in the output of ls -lR; sizes of ls -h are rounded."""
    found = []
    directory = ""
    for line in text.splitlines():
        if line.startswith("/") and line.endswith(":"):
            directory = line[:-1]
            continue
        match = _LS_LINE.match(line)
        if match and _DUMP.match(match.group(3)):
            size = float(match.group(1).replace(",", ".")) * _UNITS[match.group(2)]
            found.append(("%s/%s" % (directory, match.group(3)), int(size)))
    return found


def _first_number(tree, *paths):
    """Return the first number that one of the files holds, or None."""
    for path in paths:
        value = tree.integer(path)
        if value is not None and value >= 0:
            return value
    return None


def reserved(tree):
    """Return the bytes set aside for the crash kernel, or None.

    Newest kernels have these files in a directory of their own; POWER's own kind of dump (fadump) has another.
    """
    return _first_number(
        tree,
        "/sys/kernel/kexec_crash_size",
        "/sys/kernel/kexec/crash_size",
        "/sys/kernel/fadump/mem_reserved",
    )


def loaded(tree):
    """Return whether a crash would start the crash kernel now, or None."""
    values = [
        _first_number(tree, "/sys/kernel/kexec_crash_loaded", "/sys/kernel/kexec/crash_loaded"),
        _first_number(tree, "/sys/kernel/fadump/registered", "/sys/kernel/fadump_registered"),
    ]
    values = [value for value in values if value is not None]
    return any(values) if values else None


def service(tree):
    """Return the service that loads the crash kernel at boot, or None where none is installed."""
    for unit, _config in SERVICES:
        script = unit[: -len(".service")]
        by_script = tree.exists("/etc/init.d/" + script)
        if not by_script and not units.present(tree, unit):
            continue
        enabled = units.enabled(tree, unit)
        if units.file_of(tree, unit) is None and by_script:
            enabled = enabled or _starts(tree, script)
        return {"name": unit, "present": True, "enabled": enabled, "active": units.active(tree, unit)}
    return None


def _starts(tree, script):
    """Return whether System V's run levels start the script."""
    links = [name for level in "2345" for name in tree.names("/etc/rc%s.d" % level)]
    return any(re.match(r"S[0-9][0-9]", name) and name[3:] == script for name in links)


class Plan:
    """What the configuration says: its file, where dumps go, and whether kdump-tools is switched on."""

    def __init__(self):
        self.config = None
        self.switched_on = None
        self.target = None
        self.directory = None  # as this host sees it; None where dumps do not go to a directory of it
        self.why = None


def plan(tree, unit):
    """Return the Plan; unit is the name of the service in use or None."""
    found = Plan()
    for name, config in sorted(SERVICES, key=lambda pair: pair[0] != unit):
        try:
            text = tree.read(config)
        except EnvironmentError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                found.config = config
                tree.missing("kdump.config", error)
                return found
            continue
        found.config = config
        (_plan_rhel if name == "kdump.service" else _plan_debian)(tree, parse(config, text), found)
        return found
    found.directory = DEFAULT_DIRECTORY if tree.is_dir(DEFAULT_DIRECTORY) else None
    return found


def parse(config, text):
    """Return the parsed configuration, whichever of the two it is."""
    return (parse_kdump_conf if config == RHEL_CONFIG else parse_kdump_tools)(text)


def _plan_debian(tree, values, found):
    found.switched_on = values["switched_on"]
    found.target = ", ".join("%s:%s" % pair for pair in values["remote"]) or "local"
    if values["remote"]:
        found.why = "dumps go to %s" % found.target
    else:
        found.directory = values["path"] or DEFAULT_DIRECTORY


def _plan_rhel(tree, values, found):
    path = values["path"] or DEFAULT_DIRECTORY
    if values["target"] is None:
        mount = mount_of(mounts(tree), path)
        # So kdump decides as well (is_nfs_dump_target in kdump-lib-initramfs.sh).
        found.target = "nfs:%s" % mount["source"] if mount and mount["type"] in ("nfs", "nfs4") else "local"
        found.directory = path
        return
    kind, where = values["target"]
    found.target = "%s:%s" % (kind, where)
    if kind in ("ssh", "raw"):
        found.why = "dumps go to %s" % found.target
        return
    # The path is relative to the target, which has to be mounted when the service starts.
    mount = mount_of_target(tree, where)
    if mount is None:
        found.why = "%s is not mounted" % found.target
    else:
        found.directory = re.sub(r"/+", "/", "%s/%s" % (mount, path))


def mount_of_target(tree, where):
    """Return where a device (by path, LABEL= or UUID=) or an NFS export is mounted, by the kernel or by fstab."""
    return mounted_at(tree, where) or in_fstab(tree, where)


def mounted_at(tree, where):
    """Return where the kernel has mounted a device or an export, or None."""
    names = [where]
    match = re.match(r"(UUID|LABEL|PARTUUID|PARTLABEL)=[\"']?([^\"']+)", where)
    if match:
        names = ["/dev/disk/by-%s/%s" % (match.group(1).lower(), match.group(2))]
    number = _device_number(tree, names[0])
    for entry in mounts(tree):
        if entry["source"] in names or (number is not None and entry["device"] == number):
            return entry["mount"]
    return None


def in_fstab(tree, where):
    """Return where fstab(5) has a device or an export under this name, or None."""
    for line in tree.text("/etc/fstab", "").splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[0].replace('"', "") == where.replace('"', "") and fields[1].startswith("/"):
            return unescape(fields[1])
    return None


def _device_number(tree, path):
    """Return "MAJOR:MINOR" of a device file of this host, or None."""
    if not tree.live or not path.startswith("/dev/"):
        return None
    try:
        number = tree.stat(path).st_rdev
    except EnvironmentError:
        return None
    return "%d:%d" % (os.major(number), os.minor(number)) if number else None


def directory(tree, path):
    """Return {path, device, size, free, exists} of the dump directory; size and free are of its file system (see df).

    None stands for what cannot be known: the space of another tree, and anything on a server, which is not asked.
    """
    mount = mount_of(mounts(tree), path)
    found = {"path": path, "device": mount["source"] if mount else None, "size": None, "free": None, "exists": None}
    if mount and mount["type"] in REMOTE:
        tree.missing("kdump.directory", "%s is on %s, which was not asked: it could block" % (path, mount["type"]))
        return found
    found["exists"] = tree.is_dir(path)
    if tree.live:
        space = _space(path)
        if space is not None:
            found["size"] = space.f_blocks * space.f_frsize
            found["free"] = space.f_bavail * space.f_frsize
    return found


def _space(path):
    """Return statvfs of the directory, or of the nearest one above it that exists; None where that fails."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    try:
        return os.statvfs(path)
    except EnvironmentError:
        return None


def dumps(tree, path):
    """Return the dumps below the directory, oldest first: [{path, size, time}], bytes and seconds since the epoch."""
    found = []
    unread = []
    for name, inner in _entries(tree, path, unread):
        if inner:
            for file_name, _inner in _entries(tree, "%s/%s" % (path, name), unread):
                _add_dump(tree, "%s/%s/%s" % (path, name, file_name), found, unread)
        else:
            _add_dump(tree, "%s/%s" % (path, name), found, unread)
    if unread:
        more = " (and %d more)" % (len(unread) - 1) if len(unread) > 1 else ""
        tree.missing("kdump.dumps", unread[0] + more)
    if not found and tree.sosreport:
        found = _from_listing(tree, path)
    return sorted(found, key=lambda dump: (dump["time"] or 0, dump["path"]))


def _entries(tree, path, unread):
    """Return [(name, whether a directory)] of a directory, in order; links are not followed."""
    try:
        with os.scandir(tree.real(path)) as entries:
            return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except EnvironmentError as error:
        _remember(error, path, unread)
        return []


def _add_dump(tree, path, found, unread):
    if not _DUMP.match(path.rsplit("/", 1)[1]):
        return
    try:
        status = tree.stat(path)
    except EnvironmentError as error:
        _remember(error, path, unread)
        return
    found.append({"path": path, "size": status.st_size, "time": status.st_mtime})


def _remember(error, path, unread):
    """Add why a path could not be looked at. What is not there, or was removed meanwhile, holds no dump."""
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        unread.append(reason(error, path))


def _from_listing(tree, path):
    """Return the dumps that a sosreport lists; it holds no dump itself. ls prints no year, so time is None."""
    where = "/sos_commands/kdump"
    for name in tree.names(where):
        if name.startswith("ls_"):
            found = parse_listing(tree.text("%s/%s" % (where, name), ""))
            if found:
                return [{"path": item[0], "size": item[1], "time": None} for item in found]
    return []


def collect(tree, options, earlier=None):
    """Return what is reserved and loaded, the service, the target, its directory, and the dumps found.

    switched_on is USE_KDUMP of kdump-tools, None where there is no such switch.
    """
    command_line = tree.text("/proc/cmdline")
    found = {
        "crashkernel": None if command_line is None else parse_crashkernel(command_line),
        "reserved": reserved(tree),
        "loaded": loaded(tree),
        "service": service(tree),
    }
    way = plan(tree, found["service"]["name"] if found["service"] else None)
    if all(value is None for value in (command_line, found["loaded"], found["service"], way.config, way.directory)):
        tree.missing("kdump", "nothing about kdump could be read: no /proc/cmdline, no service, no configuration")
        return None
    found.update({"config": way.config, "switched_on": way.switched_on, "target": way.target})
    found["directory"] = directory(tree, way.directory) if way.directory else None
    found["dumps"] = dumps(tree, way.directory) if found["directory"] and found["directory"]["exists"] else []
    if way.why:
        tree.missing("kdump.dumps", way.why)
    _say_missing(tree, found, command_line)
    return found


def _say_missing(tree, found, command_line):
    for part, path in (("reserved", "kexec_crash_size"), ("loaded", "kexec_crash_loaded")):
        if found[part] is None:
            tree.missing("kdump." + part, "/sys/kernel/%s: not there (a kernel without kexec, or no /sys)" % path)
    if command_line is None:
        tree.missing("kdump.crashkernel", "/proc/cmdline: not readable")
