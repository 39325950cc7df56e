# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dumps that go to another machine, over SSH and over NFS: what is refused beforehand, and what arrives there.

Two machines and one story in the order of the tests. The vault keeps the dumps; the guest crashes and reaches the vault
at the address that qemu gives to the machine that runs both.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
import machines  # noqa: E402 - the lab is no package of the collection
import play  # noqa: E402

pytestmark = pytest.mark.matrix

MIB = 1024**2
NAME = "panic_on_oom_kdump"
HERE = "10.0.2.2"  # qemu(1), user networking: the loopback of the machine that runs qemu
KEY = "/root/.ssh/for_dumps"
WISHES = {
    "crashkernel": "256M",
    "packages": False,
    "wait_seconds": 300,
    "reboot_ok": True,
    "reboot_timeout": 900,
}
SSH = {"target": "ssh", "target_location": "crash@vault", "path": "/srv/ssh/dumps", "ssh_key": KEY}
NFS = {"target": "nfs", "target_location": "vault:/srv/nfs", "path": "/srv/dumps"}
CRASH = "sync; echo 1 > /proc/sys/kernel/sysrq; nohup sh -c 'sleep 1; echo c > /proc/sysrq-trigger' > /dev/null 2>&1 &"

# What the role may change on the guest, and what it may not even while it looks.
STATE = (
    "cat /etc/default/kdump-tools /etc/default/grub.d/*.cfg /etc/sysctl.d/*;"
    " ls /etc/systemd/system; systemctl is-enabled kdump-tools || true;"
    " cat /proc/sys/vm/panic_on_oom /proc/sys/kernel/panic"
)
TRACES = (
    "cat /root/.ssh/known_hosts; ls /root/.ssh; find /tmp -name 'linux_memory_oom*';"
    " grep ' nfs4* ' /proc/mounts || true; grep '^v' /proc/fs/nfsfs/volumes 2>/dev/null || true"
)
KEPT = "find /srv /home/crash -printf '%p %m %u %s\\n' | sort"

VAULT = r"""
useradd --create-home --shell /bin/sh crash
install -d -m 0700 -o crash /home/crash/.ssh
install -d -m 0755 -o crash /srv/ssh
install -d -m 0755 /srv/nfs /srv/squashed /srv/roots
printf '%s *(rw,insecure,no_subtree_check,no_root_squash)\n' /srv/nfs > /etc/exports
printf '%s *(rw,insecure,no_subtree_check,root_squash)\n' /srv/squashed >> /etc/exports
systemctl start nfs-kernel-server
"""
# vault: the second machine. closed: nobody listens. silent: connections are taken and nothing is said.
GUEST = r"""
printf '%s vault closed silent\n' HERE >> /etc/hosts
mkdir -p -m 0700 /root/.ssh
for one in vault:SSH_PORT closed:1 silent:SILENT_PORT; do
  printf 'Host %s\n  HostName HERE\n  Port %s\n' "${one%:*}" "${one#*:}"
done > /root/.ssh/config
ssh-keygen -q -t ed25519 -N '' -f KEY
ssh-keygen -q -t ed25519 -N '' -f KEY.other
touch /root/.ssh/known_hosts
"""


@pytest.fixture(scope="module")
def vault():
    """Return the machine that keeps the dumps."""
    forwards = ((machines.free_port(), 2049),)
    with machines.machine(machines.tested(machines.REMOTE), memory=512 * MIB, forwards=forwards) as one:
        one.run(VAULT)
        yield one


@pytest.fixture(scope="module")
def guest(vault):
    """Return the machine that crashes. It has a key for the vault and does not know its host key yet."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        machines.machine(machines.tested(machines.REMOTE), memory=1536 * MIB) as one,
    ):
        ports = {"SSH_PORT": vault.port, "NFS_PORT": vault.forwards[0][0], "SILENT_PORT": silent.getsockname()[1]}
        script = GUEST.replace("HERE", HERE).replace("KEY", KEY)
        for name, port in ports.items():
            script = script.replace(name, str(port))
        public = one.run(script + f"cat {KEY}.pub").stdout
        vault.run(f"cat > /home/crash/.ssh/authorized_keys <<'END'\n{public}END\n")
        mount_at(one, "vault", ports["NFS_PORT"])
        one.silent = ports["SILENT_PORT"]
        yield one


def mount_at(guest, server: str, port: int) -> None:
    """Let the guest mount from a server at a port; mount.nfs of nfs-utils 2.6 takes the last such section alone.

    That of 1.3 goes on with version 3 where 4 alone is asked for and the export is not there, and no port is for that.
    """
    guest.run(f"printf '[ Server \"{server}\" ]\\nPort={port}\\nNfsvers=4.2\\n' > /etc/nfsmount.conf")


@pytest.fixture(scope="module")
def state_before(guest):
    """Return the state of the guest before the role first ran."""
    return guest.run(STATE).stdout


def role(guest, *words, check=True, **wishes):
    """Run the role; wishes have the names of its options without its own."""
    given = {f"{NAME}_{name}": value for name, value in {**WISHES, **wishes}.items()}
    return play.role(guest, NAME, given, *words, check=check)


def trust(guest, vault) -> None:
    """Let the guest know the vault's host key."""
    public = vault.run("cat /etc/ssh/ssh_host_ed25519_key.pub").stdout
    guest.run(f"cat > /root/.ssh/known_hosts <<'END'\n[{HERE}]:{vault.port} {public}END\n")


def crash(guest) -> None:
    """Crash the machine and wait until it is back."""
    before = guest.boot_id()
    guest.run(CRASH)
    guest.wait_for_other_boot(before, 1800)


def crashes(vault, path: str, kept: Path) -> list[dict]:
    """Return what vmcore_info says of the dumps below a directory of the vault."""
    tasks = [
        {"linux_memory.oom.vmcore_info": {"path": path, "which": "all"}, "register": "answer"},
        {
            "ansible.builtin.copy": {"content": "{{ answer.crashes | to_json }}", "dest": str(kept), "mode": "0600"},
            "delegate_to": "localhost",
        },
    ]
    play.run(vault, [{"hosts": "guest", "gather_facts": False, "tasks": tasks}])
    return json.loads(kept.read_text(encoding="utf-8"))


def refused(guest, vault, state_before, wishes, reason, modes=((),)) -> None:
    """Assert that the role refuses with a reason and leaves both machines as they are."""
    kept, traces = vault.run(KEPT).stdout, guest.run(TRACES).stdout
    for words in modes:
        done = role(guest, *words, check=False, **wishes)
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode and reason in said, said
    assert guest.run(STATE).stdout == state_before
    # The mount goes with the last process of its namespace, which may take a moment.
    until(lambda: guest.run(TRACES).stdout == traces)
    assert vault.run(KEPT).stdout == kept


def until(holds, seconds: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.5)


# What is asked for and why it is refused, before the guest knows the vault's host key.
STRANGERS = {
    "an unknown host key": (SSH, "the host key of crash@vault is not in root's known_hosts"),
    "nobody listens": (
        {**SSH, "target_location": "crash@closed"},
        "target_location: crash@closed cannot be logged in to: connect to host 10.0.2.2 port 1: Connection refused",
    ),
    "a server that says nothing": (
        {**SSH, "target_location": "crash@silent"},
        "target_location: crash@silent cannot be logged in to: Connection timed out",
    ),
    "no such export": (
        {**NFS, "target_location": "vault:/nothing"},
        "target_location: vault:/nothing cannot be mounted: mounting vault:/nothing failed, reason given by server",
    ),
    "an export where root is nobody": (
        {**NFS, "target_location": "vault:/srv/squashed"},
        "path: root of this host (see no_root_squash and rw) may not write to / on vault:/srv/squashed",
    ),
}
# Once the host key is known.
ACCOUNTS = {
    "another key": (
        {**SSH, "ssh_key": f"{KEY}.other"},
        f"ssh_key: {KEY}.other does not open crash@vault (crash@10.0.2.2: Permission denied",
    ),
    "a directory of somebody else": (
        {**SSH, "path": "/srv/roots/dumps"},
        "path: that account may not write to /srv/roots on crash@vault, where /srv/roots/dumps would be made",
    ),
    "a directory that others could read": (
        SSH,
        # 0022, and 0002 on Debian 13.
        "path: dumps in /srv/ssh/dumps on crash@vault could be read by others there: the account's umask is 00",
    ),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_it_refuses_a_server_that_would_not_take_a_dump(guest, vault, state_before, case):
    wishes, reason = STRANGERS[case]
    both = ((), ("--check",)) if case == "an unknown host key" else ((),)
    refused(guest, vault, state_before, wishes, reason, both)


def test_it_refuses_an_export_of_a_server_that_says_nothing(guest, vault, state_before):
    mount_at(guest, "silent", guest.silent)
    try:
        wishes = {**NFS, "target_location": "silent:/srv/nfs"}
        reason = (
            "target_location: silent:/srv/nfs cannot be mounted: the kernel gave up, as it does where a server does not"
        )
        refused(guest, vault, state_before, wishes, reason)
    finally:
        mount_at(guest, "vault", vault.forwards[0][0])


@pytest.mark.parametrize("case", ACCOUNTS)
def test_it_refuses_an_account_that_could_not_keep_a_dump(guest, vault, state_before, case):
    trust(guest, vault)
    wishes, reason = ACCOUNTS[case]
    refused(guest, vault, state_before, wishes, reason)


def test_it_refuses_a_crash_kernel_without_a_network(guest, vault, state_before):
    guest.run("systemctl mask systemd-networkd-wait-online")
    try:
        masked = guest.run(STATE).stdout
        refused(guest, vault, masked, NFS, "(systemd-networkd-wait-online.service is masked)")
    finally:
        guest.run("systemctl unmask systemd-networkd-wait-online")


def test_it_sets_up_a_dump_over_ssh(guest, vault, state_before):
    vault.run("chmod 0700 /srv/ssh")
    traces, kept = guest.run(TRACES).stdout, vault.run(KEPT).stdout
    predicted = role(guest, "--check", **SSH)
    assert play.changed(predicted) > 0
    assert guest.run(STATE).stdout == state_before
    role(guest, **SSH)
    assert guest.run("cat /sys/kernel/kexec_crash_loaded").stdout.strip() == "1"
    assert play.changed(role(guest, **SSH)) == 0
    assert guest.run(TRACES).stdout == traces
    assert vault.run(KEPT).stdout == kept


def test_a_crash_arrives_over_ssh(guest, vault, tmp_path):
    crash(guest)
    (dump,) = vault.run("ls /srv/ssh/dumps/*/dump.*").stdout.split()
    assert re.fullmatch(r"/srv/ssh/dumps/10\.0\.2\.15-(\d{12})/dump\.\1", dump)
    # The account's umask lets others read the file itself; nobody gets there.
    assert vault.run(f"runuser -u crash -- head -c 12 {dump}").stdout == "makedumpfile"
    assert vault.run(f"runuser -u nobody -- head -c 12 {dump}", check=False).returncode
    (one,) = crashes(vault, "/srv/ssh/dumps", tmp_path / "crashes.json")
    assert (one["path"], one["form"], one["incomplete"]) == (dump, "flattened", False), one
    assert "sysrq" in json.dumps(one).lower()
    assert guest.run("find /var/crash /srv -name 'dump.*'").stdout == ""
    # Ready for the next one.
    assert play.changed(role(guest, **SSH)) == 0
    assert guest.run("cat /sys/kernel/kexec_crash_loaded").stdout.strip() == "1"


def test_a_crash_arrives_over_nfs(guest, vault, tmp_path):
    role(guest, **NFS)
    assert play.changed(role(guest, **NFS)) == 0
    until(lambda: guest.run("grep ' nfs4* ' /proc/mounts || true").stdout == "")
    crash(guest)
    (dump,) = vault.run("ls /srv/nfs/*/dump.*").stdout.split()
    assert re.fullmatch(r"/srv/nfs/10\.0\.2\.15-(\d{12})/dump\.\1", dump)
    assert vault.run(f"stat -c '%a %U' {dump} $(dirname {dump})").stdout == "600 root\n700 root\n"
    (one,) = crashes(vault, "/srv/nfs", tmp_path / "crashes.json")
    assert (one["path"], one["form"], one["incomplete"]) == (dump, "flattened", False), one
    assert "sysrq" in json.dumps(one).lower()
    assert len(vault.run("ls /srv/ssh/dumps").stdout.split()) == 1
    assert play.changed(role(guest, **NFS)) == 0


def test_undo_brings_back_what_was_there(guest, state_before):
    role(guest, state="absent")
    assert guest.run(STATE).stdout == state_before
    assert play.changed(role(guest, state="absent")) == 0
