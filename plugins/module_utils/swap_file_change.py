# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring swap files and devices to what was asked for, and read /proc/swaps and /etc/fstab back.

swap_file_plan.py decides on the steps, this takes them.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import ctypes
import errno
import os
import re
import stat

from ansible_collections.linux_memory.oom.plugins.module_utils import owned_file
from ansible_collections.linux_memory.oom.plugins.module_utils import swap_file_plan as plan
from ansible_collections.linux_memory.oom.plugins.module_utils.blockdev import blocks
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import Refused, command, must
from ansible_collections.linux_memory.oom.plugins.module_utils.fstab import Fstab, swap_line
from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mount_of, mounts
from ansible_collections.linux_memory.oom.plugins.module_utils.swap import parse_swaps
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

FSTAB = "/etc/fstab"
MAGIC = b"SWAPSPACE2"
CHUNK = 4 * plan.MIB


_AREA = {
    "size": {"type": "str"},
    "priority": {"type": "int"},
    "discard": {"type": "str", "choices": list(plan.DISCARDS), "default": "none"},
}
# What the module takes, for AnsibleModule and for linux_memory.oom.together.
SPEC = {
    "argument_spec": dict(
        _AREA,
        files={"type": "list", "elements": "dict", "options": dict(_AREA, path={"type": "str", "required": True})},
        path={"type": "str"},
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        exclusive={"type": "bool", "default": False},
        owner={"type": "str", "default": "swap_file"},
        on_refusal={"type": "str", "choices": ["fail", "skip"], "default": "fail"},
        force={"type": "bool", "default": False},
    )
}


def page_size():
    """Return the size of a page, in bytes."""
    return os.sysconf("SC_PAGE_SIZE")


def kernel_version():
    """Return (major, minor) of the running kernel."""
    match = re.match(r"([0-9]+)\.([0-9]+)", os.uname()[2])
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def swap_permitted():
    """Return whether the kernel lets this process change swap, by asking it for what cannot be: swap on "".

    swapon(2) looks at the privilege before it looks at the path (mm/swapfile.c), so that nothing can come of it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.swapon(b"", 0)
    return ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS, errno.EACCES)


def read_exactly(path):
    """Return the text of a file with its line ends as they are, or None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except (IOError, OSError) as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def has_signature(path):
    """Return whether a file or device begins as swap of this machine's page size does (mkswap(8))."""
    with open(path, "rb") as file:
        page = file.read(page_size())
    return page[-len(MAGIC) :] == MAGIC and len(page) == page_size()


def device_size(path):
    """Return the size of a block device, in whole pages."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return plan.rounded(os.lseek(handle, 0, os.SEEK_END), page_size())
    finally:
        os.close(handle)


def wishes_of(params):
    """Return {path: wish}, None for one that is to go. Raises Refused for what makes no sense."""
    if params["files"] is not None and params["path"] is not None:
        raise Refused("path and files were both given: only one of them may be.")
    single = {name: params[name] for name in ("path", "size", "priority", "discard")}
    given = params["files"] if params["files"] is not None else ([single] if params["path"] is not None else [])
    if params["path"] is None and (params["size"] is not None or params["priority"] is not None):
        raise Refused("size and priority were given without path: with files they belong into its entries.")
    if params["state"] == "present" and not given and not params["exclusive"]:
        raise Refused("files: it is empty, and without exclusive there is nothing to do; name at least one path.")
    if not re.match(r"[A-Za-z0-9_-]{1,64}$", params["owner"]):
        raise Refused("owner: %r is not made of letters, digits, '_' and '-'." % params["owner"])
    wishes = {}
    for one in given:
        path = one["path"]
        if not path.startswith("/") or os.path.normpath(path) != path or path == "/" or path.startswith("//"):
            raise Refused("path: %r is not the plain absolute path of a file or block device." % path)
        if re.search(r"[\x00-\x1f\x7f]", path):
            raise Refused("path: %r has control characters, which /etc/fstab cannot hold safely." % path)
        if len(os.path.basename(path).encode("utf-8", "surrogateescape")) > 200:
            raise Refused("path: the name in %r is longer than 200 bytes." % path)
        if path in wishes:
            raise Refused("path: %s was given twice." % path)
        wishes[path] = None if params["state"] == "absent" else wish_of(path, one)
    return wishes


def wish_of(path, one):
    """Return what one entry asks for."""
    if one["priority"] is not None and not plan.PRIORITIES[0] <= one["priority"] <= plan.PRIORITIES[1]:
        raise Refused("priority: %d of %s is not from %d to %d." % ((one["priority"], path) + plan.PRIORITIES))
    try:
        size = None if one["size"] is None else plan.rounded(plan.parse_size(one["size"]), page_size())
    except ValueError as error:
        raise Refused("size: %s of %s: %s." % (one["size"], path, error))
    return {"size": size, "priority": one["priority"], "discard": one["discard"]}


class Host:
    """The host as it is, and the hands that change it."""

    def __init__(self, module):
        self.module = module
        self.owner = module.params["owner"]
        self.target = os.path.realpath(FSTAB)
        self.look()

    def look(self):
        """Read everything anew."""
        self.tree = Tree("/")
        self.memory = meminfo(self.tree)
        self.swaps = parse_swaps(self.tree.read("/proc/swaps"))
        self.fstab = Fstab(read_exactly(self.target), self.owner)
        self.numbers = {}
        for one in self.swaps:
            try:
                found = os.stat(one["path"])
            except OSError:
                continue  # its file was removed, or it is that of another mount namespace
            if not one["deleted"]:
                number = found.st_rdev if stat.S_ISBLK(found.st_mode) else (found.st_dev, found.st_ino)
                self.numbers[number] = one

    def active(self, found):
        """Return the entry of /proc/swaps for a file or device (its os.stat), or None."""
        if found is None:
            return None
        return self.numbers.get(found.st_rdev if stat.S_ISBLK(found.st_mode) else (found.st_dev, found.st_ino))

    @staticmethod
    def stat(path, follow=True):
        """Return os.stat of a path, or None where there is nothing."""
        try:
            return os.stat(path) if follow else os.lstat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise

    def state(self, path):
        """Return the state of one area as swap_file_plan wants it. Raises Refused for what can be no swap."""
        found = self.stat(path)
        device = found is not None and stat.S_ISBLK(found.st_mode)
        if not device:
            found = self.stat(path, follow=False)
            if found is not None and not stat.S_ISREG(found.st_mode):
                raise Refused("path: %s is neither a regular file nor a block device." % path)
        entry = self.active(found)
        bridge = self.stat(plan.bridge_of(path), follow=False)
        on_bridge = self.active(bridge)
        state = {
            "kind": "device" if device else "file",
            "exists": found is not None,
            "size": None if found is None else device_size(path) if device else found.st_size,
            "signature": found is not None and has_signature(path),
            "mode_right": device or found is None or (stat.S_IMODE(found.st_mode) == 0o600 and found.st_uid == 0),
            "active": entry is not None,
            "active_size": entry["size"] + page_size() if entry else 0,
            "used": entry["used"] if entry else 0,
            "priority": entry["priority"] if entry and entry["priority"] >= 0 else None,
            "fstab": self.fstab.ours().get(path),
            "parts": [name for name in plan.parts_of(path) if self.stat(name, follow=False) is not None],
            "bridge": None,
        }
        if bridge is not None:
            state["bridge"] = {
                "active": on_bridge is not None,
                "size": bridge.st_size,
                "used": on_bridge["used"] if on_bridge else 0,
            }
        return state

    def refuse(self, path, state, wish):
        """Raise Refused where an area cannot be what is wished, or is somebody else's."""
        if state["fstab"] is None:
            line = self.fstab.others().get(path)
            if line:
                raise Refused(
                    "path: %s is in line %d of /etc/fstab, which is not this module's: it is left alone; choose "
                    "another path, or take it out there first." % (path, line)
                )
            if state["active"]:
                raise Refused("path: %s is active swap that this module did not make: it is left alone." % path)
            if state["exists"] and state["kind"] == "file":
                raise Refused("path: %s exists and was not made by this module: nothing is written over it." % path)
        if state["kind"] == "device":
            if wish["size"] is not None:
                raise Refused("size: %s is a block device, which is taken as large as it is: leave size out." % path)
            self.refuse_device(path, state)
            return
        if path.startswith("/dev/"):
            raise Refused("path: there is no block device %s, and no swap file is made below /dev." % path)
        if wish["size"] is None:
            raise Refused("size: %s is a file, and needs a size, such as 2G." % path)
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            raise Refused("path: the directory of %s does not exist." % path)
        reason = self.file_system_refusal(folder)
        if reason:
            raise Refused("path: %s cannot be swap: %s." % (path, reason))

    def mount(self, folder):
        """Return the mount that a directory lies on."""
        return mount_of(mounts(self.tree), os.path.realpath(folder)) or {
            "type": None,
            "super_options": [],
            "options": [],
        }

    def file_system_refusal(self, folder):
        """Return why there can be no swap file in a directory, or None."""
        entry = self.mount(folder)
        profiles, devices = (), 1
        if entry["type"] == "btrfs":
            names = blocks(self.tree).devices_of_mount(entry)
            devices = len(names)
            for uuid in self.tree.names("/sys/fs/btrfs"):
                if names and names[0] in self.tree.names("/sys/fs/btrfs/%s/devices" % uuid):
                    data = "/sys/fs/btrfs/%s/allocation/data" % uuid
                    profiles = [name for name in self.tree.names(data) if self.tree.is_dir(os.path.join(data, name))]
        if "ro" in entry["options"] or "ro" in entry["super_options"]:
            return "the file system there is mounted read-only"
        return plan.file_system_refusal(entry["type"], kernel_version(), profiles, devices)

    def refuse_device(self, path, state):
        """Raise Refused where a device holds anything but our own swap."""
        known = blocks(self.tree)
        name = known.of_source(path) or os.path.basename(os.path.realpath(path))
        holders = known.holders(name)
        if holders:
            raise Refused("path: %s is part of %s, and nothing is written over it." % (path, ", ".join(holders)))
        number = known.number(name)
        for entry in mounts(self.tree):
            if number and entry["device"] == number:
                raise Refused("path: %s is mounted on %s." % (path, entry["mount"]))
        if known.partitions(name):
            raise Refused("path: %s has partitions: name one of them." % path)
        if state["signature"] and state["fstab"] is not None:
            return
        # -p: what is on the device now, not what a cache remembers. 2: nothing is known there (blkid(8)).
        status, out, dummy = command(self.module, ["blkid", "-p", "-o", "export", path])
        if status not in (0, 2):
            raise Refused("path: blkid cannot tell what is on %s, so nothing is written over it." % path)
        found = re.findall(r"^(?:TYPE|PTTYPE)=(.*)$", out, re.MULTILINE)
        if found or status == 0:
            raise Refused(
                "path: %s holds %s, which this module did not make: it is left alone; `wipefs --all` makes it free."
                % (path, " and ".join(found) or "a signature")
            )

    def disk(self, folder):
        """Return (device number, free bytes, total bytes) of the file system of a directory."""
        found = os.statvfs(folder)
        return os.stat(folder).st_dev, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    # Hands.

    def do(self, step):
        """Do one step of the plan."""
        getattr(self, "do_" + step["do"])(step["path"], step)

    def do_fstab(self, path, step):
        """Enter an area into the block, or take it out."""
        self.fstab = Fstab(read_exactly(self.target), self.owner)
        text = with_entry(self.fstab, path, step["options"])
        if text is None:
            owned_file.remove(self.target)
        elif text != self.fstab.text:
            owned_file.write(self.target, text, self.module.atomic_move)

    def do_create(self, path, step):
        """Make a swap file under another name, and give it its own when it is whole."""
        part = plan.part_of(path)
        folder = os.path.dirname(path)
        kind = self.mount(folder)["type"]
        remove(part)
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(handle, 0o600)
                os.fchown(handle, 0, 0)
                if kind == "btrfs":
                    # Only an empty file can become one that is not copied on write (chattr(1)).
                    must(self.module, ["chattr", "+C", part])
                if plan.may_preallocate(kind, kernel_version()):
                    os.posix_fallocate(handle, 0, step["size"])
                else:
                    write_zeros(handle, step["size"])
                label(part)
                os.fsync(handle)
            finally:
                os.close(handle)
            must(self.module, ["mkswap", part])
            sync(part)
            os.rename(part, path)
        except (IOError, OSError) as error:
            remove(part)
            raise Refused("%s could not be made: %s." % (path, os.strerror(error.errno or 0)))
        except Refused:
            remove(part)
            raise
        owned_file.sync_folder(folder)

    def do_format(self, path, step):
        """Make a device swap."""
        must(self.module, ["mkswap", path])

    def do_wipe(self, path, step):
        """Take the signature of swap off a device."""
        must(self.module, ["wipefs", "--all", "--types", "swap", path])

    def do_mode(self, path, step):
        """Keep everybody but root from a file."""
        os.chown(path, 0, 0)
        os.chmod(path, 0o600)

    def do_delete(self, path, step):
        """Remove a file."""
        owned_file.remove(path)

    def do_on(self, path, step):
        """Switch an area on."""
        words = ["swapon"]
        if step["priority"] is not None:
            words += ["--priority", str(step["priority"])]
        if step["discard"] != "none":
            words.append("--discard" if step["discard"] == "both" else "--discard=" + step["discard"])
        must(self.module, words + [path])

    def do_off(self, path, step):
        """Switch an area off."""
        must(self.module, ["swapoff", path])


def with_entry(fstab, path, options):
    """Return the text of fstab with one area in the block, or with options None without it."""
    entries = fstab.ours()
    if options is None:
        entries.pop(path, None)
    else:
        entries[path] = options
    return fstab.with_lines([swap_line(name, entries[name]) for name in sorted(entries)])


def write_zeros(handle, size):
    """Write zeros. What is written leaves memory at once: a host that needs swap has none to spare for it."""
    zeros = b"\0" * CHUNK
    done = 0
    while done < size:
        done += os.write(handle, zeros[: min(CHUNK, size - done)])
        if done % (16 * CHUNK) == 0 or done == size:
            os.fdatasync(handle)
            os.posix_fadvise(handle, 0, done, os.POSIX_FADV_DONTNEED)


def label(path):
    """Give a file the type that SELinux's policy has for swap files, where SELinux is on."""
    if not os.path.exists("/sys/fs/selinux/enforce"):
        return
    name = "security.selinux"
    fields = os.getxattr(path, name).decode("ascii").rstrip("\0").split(":")
    if len(fields) > 2:
        fields[2] = "swapfile_t"
        os.setxattr(path, name, (":".join(fields) + "\0").encode("ascii"))


def sync(path):
    """Write a file to its disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path):
    """Remove a file, where there is one."""
    if os.path.lexists(path):
        os.unlink(path)


def refuse_disk(host, states, work):
    """Raise Refused where a file system has no room for what is to be made on it."""
    folders = {}
    for path, steps in work:
        if states[path]["kind"] == "file" and any(step["do"] == "create" for step in steps):
            folders.setdefault(host.disk(os.path.dirname(path))[0], []).append(path)
    for paths in folders.values():
        dummy, free, total = host.disk(os.path.dirname(paths[0]))
        steps = [step for path, some in work if path in paths for step in some]
        needed = plan.disk_needed({path: states[path] for path in paths}, steps)
        reason = plan.refuse_disk(needed, free, total, ", ".join(paths))
        if reason:
            raise Refused("size: %s." % reason)


def as_text(files, side):
    """Return one side of the diff: a line for each value."""
    lines = []
    for one in files:
        if one["before"] == one["after"]:
            continue
        values = [(name, one[side][name]) for name in ("size", "active", "priority", "discard", "boot")]
        lines.extend("%s %s: %s" % (one["path"], name, "null" if value is None else value) for name, value in values)
    return "\n".join(lines) + ("\n" if lines else "")


def decide(host, wishes, params, skip):
    """Return (states, wishes, work): work is a list of (path, steps). Raises Refused, unless all will be skipped."""
    ours = host.fstab.ours()
    if (params["state"] == "present" and params["exclusive"]) or (params["state"] == "absent" and not wishes):
        wishes = dict(dict.fromkeys(ours), **wishes)
    states = {}
    for path in sorted(wishes):
        states[path] = host.state(path)
        if wishes[path] is not None and not skip:
            host.refuse(path, states[path], wishes[path])
            if states[path]["kind"] == "device":
                wishes[path]["size"] = states[path]["size"]
    # What is added comes before what goes.
    order = sorted(wishes, key=lambda path: (wishes[path] is None, path))
    work = [(path, plan.steps_for(path, states[path], wishes[path])) for path in order]
    return states, wishes, work


def run(module):
    """Do what is asked for and return the result. Raises Refused."""
    params = module.params
    wishes = wishes_of(params)
    host = Host(module)
    permitted = swap_permitted()
    try:
        states, wishes, work = decide(host, wishes, params, not permitted and params["on_refusal"] == "skip")
    except ValueError as error:
        raise Refused(str(error))
    steps = [step for dummy, some in work for step in some]
    files = []
    for path in sorted(wishes):
        before, after = plan.predicted(states[path], wishes[path])
        mine = dict(work)[path]
        files.append(
            {
                "path": path,
                "before": before,
                "after": after,
                "status": ("removed" if wishes[path] is None else "applied") if mine else "unchanged",
                "steps": ["%s %s" % (step["do"], step["path"]) for step in mine],
            }
        )
    result = {"changed": bool(steps), "files": files}
    if steps and not permitted:
        sentence = (
            "The kernel lets this process neither switch swap on nor off (swapon: EPERM, as in a container or "
            "without root): nothing was changed; swap is set up on the machine that runs the container."
        )
        if params["on_refusal"] == "fail":
            raise Refused(sentence)
        module.warn(sentence)
        for one in files:
            one.update(after=one["before"], status="not_permitted" if one["steps"] else "unchanged", steps=[])
        return {"changed": False, "files": files, "diff": {"before": "", "after": ""}}
    for one in host.swaps:
        if one["deleted"] and one["path"] in wishes:
            module.warn("%s was removed while it was active: its swap stays until the next boot." % one["path"])
    refuse_disk(host, states, work)
    if not params["force"]:
        reason = plan.refuse_room(states, wishes, host.memory.get("mem_available", 0), host.memory.get("mem_total", 0))
        if reason:
            raise Refused("swap_file: %s." % reason)
    result["diff"] = {"before": as_text(files, "before"), "after": as_text(files, "after")}
    if steps and not module.check_mode:
        apply(host, steps)
        verify(host, wishes, files)
    return result


def apply(host, steps):
    """Do the steps; daemon-reload at the end where systemd runs, so that it knows the new fstab."""
    for step in steps:
        host.do(step)
    if any(step["do"] == "fstab" for step in steps) and os.path.isdir("/run/systemd/system"):
        must(host.module, ["systemctl", "daemon-reload"])


def verify(host, wishes, files):
    """Read back what is active and in fstab. Raises Refused where it is not what was asked for."""
    host.look()
    for one in files:
        actual = plan.predicted(host.state(one["path"]), wishes[one["path"]])[0]
        if actual != one["after"]:
            raise Refused("%s was to be %s, and reads back as %s." % (one["path"], one["after"], actual))
