# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that is to take dumps: what it is asked, what its answer means, and what the module kdump makes of it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import kdump_remote, owned_file
from ansible_collections.linux_memory.oom.plugins.module_utils.kdump_change import Refused
from hypothesis import given
from hypothesis import strategies as st
from kdump_hosts import Host

SSH = {"target": "ssh", "target_location": "crash@vault", "path": "/srv/dumps"}
NFS = {"target": "nfs", "target_location": "vault:/dumps", "path": "/srv/dumps"}
CLOSED = "drwx------ 2 crash crash 4096 Nov 26 10:00 /srv/dumps"
OPEN = "drwxr-xr-x 2 crash crash 4096 Nov 26 10:00 /srv/dumps"


def answer(umask="0022", mode=OPEN, nearest="/srv/dumps", writable="yes", free=10 * 1024**2, more=""):
    """Return what the script prints."""
    return (
        f"kdump.umask={umask}\n{more}kdump.nearest={nearest}\nkdump.writable={writable}\n"
        f"kdump.df=/dev/vda 4000000 1000 {free} 1% /\nkdump.mode={mode}\n"
        "kdump.mode=drwxr-xr-x 4 root root 4096 Nov 26 10:00 /srv\nkdump.mode=drwxr-xr-x 18 root root 4096 Nov 26 /\n"
        "kdump.end=yes\n"
    )


@pytest.fixture(params=["debian", "rhel"])
def host(request, tmp_path):
    """Return a host of each family, with kdump's packages and nothing set up."""
    return Host(tmp_path, request.param)


def asked(place, path, umask=0o022):
    """Return what the script says of a directory of this machine, run as the server runs it."""
    command, script = kdump_remote.ssh_command("crash@vault", "/root/key", str(place) + path)
    words = command[command.index("sh") :]
    done = subprocess.run(words, input=script, capture_output=True, text=True, check=True, umask=umask)
    return kdump_remote.parse(done.stdout)


def test_the_script_says_what_is_there(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_text("", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    there = asked(tmp_path, "/a/b")
    assert (there["nearest"], there["obstacle"], there["writable"]) == (f"{tmp_path}/a/b", None, True)
    space = os.statvfs(tmp_path)
    assert abs(there["free"] - space.f_bavail * space.f_frsize) < 64 * 1024**2
    assert asked(tmp_path, "/a/b/c/d")["nearest"] == f"{tmp_path}/a/b"
    assert asked(tmp_path, "/a/file/d")["obstacle"] == f"{tmp_path}/a/file"
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert asked(tmp_path, "/gone")["obstacle"] == f"{tmp_path}/gone"


@pytest.fixture
def open_place():
    """Return a directory that everybody can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place)
        path.chmod(0o755)
        assert all(parent.stat().st_mode & 0o001 for parent in path.parents)
        yield path


def test_the_script_tells_who_could_read_a_dump(open_place):
    """A directory without a way in for others, here or above; a link leads to the real one, and so does its way."""
    place = open_place / "a" / "b"
    place.mkdir(parents=True)
    (open_place / "link").symlink_to(place)
    for mode, closed in ((0o755, False), (0o750, True), (0o700, True), (0o1777, False), (0o745, False), (0o1770, True)):
        place.parent.chmod(mode)
        for path in ("/a/b", "/link", "/a/b/later"):
            assert asked(open_place, path)["closed"] is closed, (oct(mode), path)
    place.parent.chmod(0o755)
    assert {asked(open_place, "/a/b", umask)["umask"] for umask in (0o077, 0o027)} == {0o077, 0o027}


def test_the_script_changes_nothing(tmp_path):
    asked(tmp_path, "/a/b")
    assert list(tmp_path.iterdir()) == []


@given(noise=st.lists(st.text(max_size=30), max_size=4), umask=st.integers(0, 0o777), free=st.integers(0, 1 << 40))
def test_an_answer_among_anything_that_a_login_prints(noise, umask, free):
    text = "".join(f"{line.replace('kdump.', '')}\n" for line in noise)
    found = kdump_remote.parse(text + answer(umask=f"{umask:04o}", free=free) + text)
    assert (found["umask"], found["free"], found["writable"]) == (umask, free * 1024, True)
    assert kdump_remote.readable(found) == (umask & 0o077 != 0o077)


@given(text=st.text(), cut=st.integers(0, 300))
def test_no_text_makes_the_parser_fail_and_half_an_answer_is_none(text, cut):
    kdump_remote.parse(text)
    assert kdump_remote.parse(answer()[: min(cut, len(answer()) - 2)]) is None


def test_the_login_is_that_of_the_crash_kernel_and_leaves_nothing():
    command, _script = kdump_remote.ssh_command("crash@vault", "/root/key", "/srv/dumps")
    assert command[: command.index("ssh") + 3] == ["timeout", "-k", "5", "60", "ssh", "-i", "/root/key"]
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "IdentityAgent=none"):
        assert command[command.index(option) - 1] == "-o"


# What OpenSSH and mount.nfs print (ssh 8.4 to 10.0, nfs-utils 1.3 to 2.8), and the sentence.
UNKNOWN = (
    "No ED25519 host key is known for vault and you have requested strict checking.\nHost key verification failed.\n"
)
CHANGED = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n"
LOGINS = {
    "an unknown host key": (255, UNKNOWN, "target_location: the host key of crash@vault is not in root's known_hosts"),
    "another host key": (255, CHANGED, "target_location: the host key of crash@vault is not the one in root's known"),
    "a key that is not taken": (
        255,
        "crash@vault: Permission denied (publickey).\n",
        "ssh_key: /root/.ssh/kdump_id_rsa does not open crash@vault (crash@vault: Permission denied (publickey))",
    ),
    "a key that others read": (
        255,
        'Load key "/root/k": bad permissions\ncrash@vault: Permission denied (publickey).\n',
        "ssh_key: ssh ignores /root/.ssh/kdump_id_rsa, which others than root may read; its mode has to be 0600",
    ),
    "nobody listens": (
        255,
        "ssh: connect to host vault port 22: Connection refused\n",
        "target_location: crash@vault cannot be logged in to: connect to host vault port 22: Connection refused",
    ),
    "no name": (
        255,
        "ssh: Could not resolve hostname vault: Name or service not known\n",
        "target_location: crash@vault cannot be logged in to: Could not resolve hostname vault",
    ),
    "a server that hangs": (124, "", "target_location: crash@vault did not answer within 60 s"),
    "an account without a shell": (
        1,
        "This account is currently not available.\n",
        "crash@vault does not run sh, mkdir",
    ),
    "an account that says something else": (0, "", "target_location: the account crash@vault does not run sh"),
}


@pytest.mark.parametrize("case", LOGINS)
def test_a_login_that_fails_is_refused_with_its_reason(host, case):
    status, errors, reason = LOGINS[case]
    host.server_says = (status, "welcome\n", errors)
    before = host.files()
    for act in (host.change, host.apply):  # the same in check mode
        with pytest.raises(Refused) as refused:
            act(**SSH)
        assert reason in str(refused.value) and "\n" not in str(refused.value)
    assert host.files() == before
    assert any(reason in warning for warning in host.change(force=True, **SSH).warnings)


MOUNTS = {
    "no such export": (
        32,
        "mount.nfs: access denied by server while mounting vault:/dumps\n",
        "target_location: vault:/dumps cannot be mounted: access denied by server while mounting vault:/dumps",
    ),
    "nobody listens": (32, "mount.nfs: Connection refused\n", "vault:/dumps cannot be mounted: Connection refused"),
    "a server that hangs": (137, "", "target_location: the server of vault:/dumps did not answer within 60 s"),
    "a server that says nothing": (
        32,
        "mount.nfs: mount system call failed\n",
        "cannot be mounted: the kernel gave up",
    ),
    "no namespaces": (1, "unshare: unshare failed: Operation not permitted\n", "cannot be mounted: unshare failed: Op"),
}


@pytest.mark.parametrize("case", MOUNTS)
def test_a_mount_that_fails_is_refused_with_its_reason(host, case):
    status, errors, reason = MOUNTS[case]
    host.server_says = (status, "", errors)
    with pytest.raises(Refused) as refused:
        host.apply(**NFS)
    assert reason in str(refused.value) and "\n" not in str(refused.value)


DIRECTORIES = {
    "not writable": (answer(writable="no"), "path: that account may not write to /srv/dumps on crash@vault"),
    "not to be made": (
        answer(writable="no", nearest="/srv"),
        "path: that account may not write to /srv on crash@vault, where /srv/dumps would be made",
    ),
    "a file": (
        answer(nearest="/srv", more="kdump.obstacle=/srv/dumps\n"),
        "/srv/dumps on crash@vault is not a directory",
    ),
    "no room": (answer(umask="0077", free=1024), "path: /srv/dumps on crash@vault has 1 MiB free, and a dump of this"),
}


@pytest.mark.parametrize("case", DIRECTORIES)
def test_a_directory_that_takes_no_dump_is_refused(host, case):
    said, reason = DIRECTORIES[case]
    host.server_says = (0, said, "")
    with pytest.raises(Refused) as refused:
        host.change(**SSH)
    assert reason in str(refused.value)


def test_dumps_that_others_could_read_are_refused_where_the_tool_leaves_it_to_the_account(host):
    """kdump-utils sets its own umask (kdump.sh: dump_ssh), kdump-tools does not."""
    host.server_says = (0, answer(), "")
    if host.family == "rhel":
        assert host.change(**SSH).warnings == []
        return
    with pytest.raises(Refused, match=r"could be read by others there: the account's umask is 0022 and no directory"):
        host.change(**SSH)
    for closed in (answer(umask="0077"), answer(mode=CLOSED)):
        host.server_says = (0, closed, "")
        assert host.change(**SSH).warnings == []


def test_an_export_is_asked_for_the_directory_that_the_dump_goes_to(host):
    """Debian mounts the export at path, and the RHEL family has path below it, where it has to be there."""
    host.put("/server/elsewhere/.keep", "")
    if host.family == "rhel":
        with pytest.raises(Refused, match=r"path: /srv/dumps is not on vault:/dumps, and kdumpctl does not make it"):
            host.change(**NFS)
        host.put("/server/srv/dumps/.keep", "")
    done = host.apply(**NFS)
    assert done.directory is None and done.warnings == []
    assert (host.root / "srv/dumps").is_dir() is (host.family == "debian")
    question = next(call for call in host.calls if call[0] == "timeout")
    assert question[question.index("--") + 3] == "vault:/dumps"
    place = question[question.index("--") + 2]
    assert not os.path.exists(place)
    assert question[question.index("--") + 1] == place + ("" if host.family == "debian" else "/srv/dumps")
    assert not host.change(**NFS).changed


def test_a_run_asks_once_and_not_for_other_targets(host):
    host.apply(**SSH)
    assert len([call for call in host.calls if call[0] == "timeout"]) == 1
    host.calls.clear()
    host.apply()
    host.apply(state="absent")
    assert not [call for call in host.calls if call[0] == "timeout"]


def test_the_key_is_the_one_that_the_crash_kernel_takes(host):
    config, line = {
        "debian": ("/etc/default/kdump-tools", "SSH_KEY=/root/other\n"),
        "rhel": ("/etc/kdump.conf", "sshkey /root/other\n"),
    }[host.family]
    assert host.change(**SSH)._ssh_key() == "/root/.ssh/kdump_id_rsa"
    host.put(config, host.get(config) + line)
    assert host.change(**SSH)._ssh_key() == "/root/other"
    host.put("/root/key", "")
    assert host.change(**SSH, ssh_key="/root/key")._ssh_key() == "/root/key"


@pytest.mark.parametrize(("wishes", "program"), [(SSH, "usr/bin/ssh"), (NFS, "usr/sbin/mount.nfs")], ids=["ssh", "nfs"])
def test_what_asks_the_server_is_installed_and_asks_before_the_rest_changes(tmp_path, wishes, program):
    host = Host(tmp_path)
    (host.root / program).unlink()
    with pytest.raises(Refused, match=r"is not on this host, and packages=false forbids to install .* and (ope|nfs)"):
        host.change(packages=False, **wishes)
    predicted = host.change(**wishes)
    assert "is installed, before anything else is changed" in predicted.warnings[0]
    before = host.files()
    host.server_says = (0, answer(writable="no"), "")
    with pytest.raises(Refused, match="may not write to"):
        host.apply(**wishes)
    assert host.files() == before
    assert [call[0] for call in host.calls] == ["apt-get", "timeout"]
    host.server_says = None
    host.apply(**wishes)
    assert not host.change(**wishes).changed


def test_a_client_that_is_missing_does_not_make_the_service_one_that_was_off(tmp_path):
    host = Host(tmp_path)
    host.systemctl("enable", host.unit)
    (host.root / "usr/bin/ssh").unlink()
    host.apply(**SSH)
    host.apply(state="absent")
    assert (host.root / "etc/systemd/system/multi-user.target.wants" / host.unit).is_symlink()


def test_a_crash_kernel_without_a_network_is_refused(tmp_path):
    host = Host(tmp_path)
    mask = tmp_path / "etc/systemd/system/systemd-networkd-wait-online.service"
    mask.symlink_to("/dev/null")
    with pytest.raises(
        Refused, match=r"target: ssh needs a network .* \(systemd-networkd-wait-online.service is masked\)"
    ):
        host.change(**SSH)
    assert host.change().warnings == []
    host.put("/etc/systemd/system/kdump-tools-dump.service.d/network.conf", "[Unit]\nWants=my-network.service\n")
    assert host.change(**SSH).warnings == []
    (tmp_path / "etc/systemd/system/kdump-tools-dump.service.d/network.conf").unlink()
    # Ours settles another thing, of an earlier target.
    host.put(
        "/etc/systemd/system/kdump-tools-dump.service.d/50-linux_memory_oom-kdump.conf",
        owned_file.render(["[Unit]", "Wants=srv.mount"]),
    )
    mask.unlink()
    assert host.change(**SSH).warnings == []
    (tmp_path / "etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service").unlink()
    with pytest.raises(Refused, match="nothing that brings it up is enabled for that on this host; enable"):
        host.change(**NFS)


@pytest.mark.parametrize(
    "wishes",
    [{**SSH, "target_location": "-oProxyCommand=x@vault"}, {**NFS, "target_location": "-x:/dumps"}],
    ids=["ssh", "nfs"],
)
def test_a_location_is_no_option_of_the_tools(host, wishes):
    with pytest.raises(Refused, match="target_location: -"):
        host.change(**wishes)
