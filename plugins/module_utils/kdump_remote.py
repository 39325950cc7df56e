# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a server would take a dump: what it is asked, and what the answer means. Nothing is changed on either side.

A crash kernel has no terminal and tries a few times only, so that what is wrong has to be found beforehand. It logs in
as kdump-config of Debian and Ubuntu does (ssh -i KEY USER@SERVER) or kdump.sh of kdump-utils, and mounts as they do.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils import dropin, units

# Whose drop-in it is that says which mount the crash kernel waits for; that settles no network.
PURPOSE = "kdump"

# Both families log in with it where no other is named (SSH_KEY of kdump-tools, sshkey of kdump.conf).
DEFAULT_KEY = "/root/.ssh/kdump_id_rsa"

# Seconds for the whole question. A server that answers does so within a few, one that is gone never.
LONGEST = 60
_BOUNDED = ("timeout", "-k", "5", str(LONGEST))
# timeout(1): 124 where it ended the command, 137 where it had to kill it.
_TIMED_OUT = (124, 137)

# Agents and connections of whoever runs this are not there in the crash kernel. StrictHostKeyChecking=yes asks nobody
# and UpdateHostKeys=no learns nothing: known_hosts stays as it is.
_SSH_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=10",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "IdentityAgent=none",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "LogLevel=ERROR",
)

# Portable shell: the server may be any Unix. $1 is the directory, $2 what it lies below and is not left.
_PROBE = r"""
below=${2%/}
place=$1
echo "kdump.umask=$(umask)"
while [ ! -d "$place" ] && [ "$place" != "$below" ] && [ "$place" != / ]; do
  if [ -e "$place" ] || [ -h "$place" ]; then echo "kdump.obstacle=${place#"$below"}"; fi
  place=$(dirname "$place")
done
echo "kdump.nearest=${place#"$below"}"
if [ -w "$place" ] && [ -x "$place" ]; then echo kdump.writable=yes; else echo kdump.writable=no; fi
echo "kdump.df=$(df -Pk "$place" | tail -n 1)"
if cd "$place" 2>/dev/null; then place=$(pwd -P); fi
while :; do
  echo "kdump.mode=$(ls -ld "$place")"
  [ "$place" != / ] || break
  place=$(dirname "$place")
done
echo kdump.end=yes
"""

# In a mount namespace of its own, so that the mount goes with the process, however that ends. $3 is the export; the
# options are those of kdump-config, with little patience.
_MOUNTED = 'mount -t nfs -o nolock,tcp,soft,timeo=50,retrans=1,retry=0 "$3" "$2" || exit 32\n' + _PROBE

_LINE = re.compile(r"^kdump\.([a-z]+)=(.*)$", re.MULTILINE)
_DF = re.compile(r"\s([0-9]+)\s+([0-9]+)\s+(-?[0-9]+)\s+(?:[0-9]+%|-)\s+/")
_CLOSED = re.compile(r"^d.{8}[-T]")


def ssh_command(where, key, path):
    """Return (command, standard input) that asks an account of a server for a directory."""
    options = [word for option in _SSH_OPTIONS for word in ("-o", option)]
    return list(_BOUNDED) + ["ssh", "-i", key] + options + [where, "sh", "-s", "--", path, "/"], _PROBE


def nfs_command(export, place, path):
    """Return (command, standard input) that asks an export for a directory; place: an empty directory of this host."""
    inside = (place + path).rstrip("/")
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-s", "--", inside, place, export]
    return list(_BOUNDED) + words, _MOUNTED


def parse(text):
    """Return what the server has answered, or None where that is not a whole answer; other lines may be among it.

    nearest: the nearest directory that exists; obstacle: what is there instead of a directory, or None; writable;
    free: bytes, or None; umask: a number, or None; closed: whether others cannot reach what is in there.
    """
    found = {}
    modes = []
    for name, value in _LINE.findall(text):
        if name == "mode":
            modes.append(value)
        else:
            found.setdefault(name, value.strip())
    if found.get("end") != "yes" or "nearest" not in found:
        return None
    space = _DF.search(found.get("df", ""))
    umask = found.get("umask", "")
    return {
        "nearest": found["nearest"] or "/",
        "obstacle": found.get("obstacle"),
        "writable": found.get("writable") == "yes",
        "free": max(0, int(space.group(3))) * 1024 if space else None,
        "umask": int(umask, 8) if re.match(r"^[0-7]{1,5}$", umask, re.ASCII) else None,
        "closed": any(_CLOSED.match(mode) for mode in modes),
    }


def _last(errors):
    """Return the last line that a tool said, without its own name and the stop at its end."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return re.sub(r"^(?:mount(?:\.nfs4?)?|ssh|unshare|sh|timeout): ", "", lines[-1]).rstrip(".") if lines else ""


def ssh_problem(where, key, status, errors):
    """Return the sentence on a login that did not end in an answer."""
    if status in _TIMED_OUT:
        return "target_location: %s did not answer within %d s" % (where, LONGEST)
    if "HOST IDENTIFICATION HAS CHANGED" in errors:
        return (
            "target_location: the host key of %s is not the one in root's known_hosts, and the crash kernel would "
            "not log in; find out why, and correct known_hosts" % where
        )
    if "Host key verification failed" in errors or "host key is known for" in errors:
        return (
            "target_location: the host key of %s is not in root's known_hosts, and the crash kernel has no terminal to "
            "confirm it; check it and add it to /root/.ssh/known_hosts" % where
        )
    if "bad permissions" in errors or "UNPROTECTED PRIVATE KEY" in errors:
        return "ssh_key: ssh ignores %s, which others than root may read; its mode has to be 0600" % key
    if "Permission denied" in errors:
        return (
            "ssh_key: %s does not open %s (%s); its public half has to be in that account's authorized_keys, and it "
            "may have no passphrase" % (key, where, _last(errors))
        )
    if status == 255:
        return "target_location: %s cannot be logged in to: %s" % (where, _last(errors) or "ssh does not say why")
    return "target_location: the account %s does not run sh, mkdir and dd as kdump needs them%s" % (
        where,
        ": " + _last(errors) if _last(errors) else "",
    )


def nfs_problem(export, status, errors):
    """Return the sentence on an export that could not be looked at."""
    if status in _TIMED_OUT:
        return "target_location: the server of %s did not answer within %d s" % (export, LONGEST)
    if "mount system call failed" in errors:
        # What mount.nfs makes of EIO.
        return (
            "target_location: %s cannot be mounted: the kernel gave up, as it does where a server does not answer"
            % export
        )
    return "target_location: %s cannot be mounted: %s" % (export, _last(errors) or "mount does not say why")


def problems(answer, path, where, target, debian):
    """Return the sentences on what is wrong with a directory. where: the account or the export, as it was given."""
    if answer["obstacle"]:
        return ["path: %s on %s is not a directory" % (answer["obstacle"], where)]
    there = answer["nearest"] == path
    found = []
    if not answer["writable"]:
        found.append(
            "path: %s may not write to %s on %s%s"
            % (
                "that account" if target == "ssh" else "root of this host (see no_root_squash and rw)",
                answer["nearest"],
                where,
                "" if there else ", where %s would be made" % path,
            )
        )
    elif target == "nfs" and not debian and not there:
        # mkdumprd: check_save_path_fs. Over SSH kdumpctl makes it.
        found.append("path: %s is not on %s, and kdumpctl does not make it" % (path, where))
    if target == "ssh" and debian and readable(answer):
        found.append(
            "path: dumps in %s on %s could be read by others there: the account's umask is %04o and no directory on "
            "the way is closed to them, as one of mode 0700 is" % (path, where, answer["umask"])
        )
    return found


def readable(answer):
    """Return whether dumps could be read by others than the account that writes them.

    kdump-config writes with the umask of the account; kdump.sh of kdump-utils sets one of its own (dump_ssh).
    """
    return answer["umask"] is not None and answer["umask"] & 0o077 != 0o077 and not answer["closed"]


def network_problem(tree, target):
    """Return the sentence where kdump-tools' crash kernel would have no network on this host, or None.

    It boots kdump-tools-dump.service and what that wants, which is network-online.target. What brings the network up is
    started only where something that this target wants requires it, such as systemd-networkd-wait-online.service.
    """
    wanted = set()
    for directory in units.DIRECTORIES:
        if set(tree.names(directory + "/kdump-tools-dump.service.d")) - {dropin.file_name(PURPOSE)}:
            return None  # somebody has settled it in another way
        for kind in (".wants", ".requires"):
            wanted.update(tree.names("%s/network-online.target%s" % (directory, kind)))
    if any(units.file_of(tree, unit) and not units.masked(tree, unit) for unit in wanted):
        return None
    masked = sorted(unit for unit in wanted if units.masked(tree, unit))
    return (
        "target: %s needs a network in the crash kernel, which waits for network-online.target, and nothing that "
        "brings it up is enabled for that on this host%s; enable what does, as systemd-networkd-wait-online.service"
        % (target, " (%s is masked)" % ", ".join(masked) if masked else "")
    )
