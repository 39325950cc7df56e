# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module kdump on hosts in a directory: what it plans, sets, refuses and takes back."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import crashkernel, kdump_change, kdump_config
from ansible_collections.linux_memory.oom.plugins.module_utils.kdump_change import Refused
from ansible_collections.linux_memory.oom.plugins.module_utils.kdump_host import Failed
from hypothesis import given, settings
from hypothesis import strategies as st
from kdump_hosts import KDUMP_CONF, KDUMP_TOOLS, RELEASE, Host

MIB = 1 << 20


@pytest.fixture(params=["debian", "rhel"])
def host(request, tmp_path):
    """Return a host of each family, with kdump's packages and nothing set up."""
    return Host(tmp_path, request.param)


def of(change):
    """Return {name: (before, after)} of what changes."""
    return {item["name"]: (item["before"], item["after"]) for item in change.items if item["before"] != item["after"]}


def test_a_second_run_changes_nothing_and_check_mode_says_what_the_run_does(host):
    predicted = host.change()
    done = host.apply()
    assert of(predicted) == of(done) and of(done)
    assert predicted.diff() == done.diff()
    again = host.change()
    assert (again.changed, again.steps) == (False, [])
    assert done.reboot_required()


def test_undo_brings_back_every_byte(host):
    before = host.files()
    host.apply(keep_bytes="1G", target="ssh", target_location="crash@vault", dump_level=1)
    assert host.files() != before
    predicted = host.change(state="absent")
    done = host.apply(state="absent")
    assert of(predicted) == of(done)
    assert host.files() == before
    assert not host.change(state="absent").changed


def test_the_command_line_holds_one_value_whatever_other_files_say(tmp_path):
    host = Host(tmp_path)
    host.put(
        "/etc/default/grub",
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet crashkernel=1M splash"\nGRUB_CMDLINE_LINUX="crashkernel=2M"\n',
    )
    host.update_grub()
    change = host.apply()
    assert of(change)["crashkernel"] == ("2M 1M 384M-:128M", "256M")
    assert host.get("/boot/grub/grub.cfg").count("crashkernel=") == 1
    assert "quiet splash" in host.get("/boot/grub/grub.cfg")


def test_every_kernel_of_the_rhel_family_gets_one_value_and_its_own_back(tmp_path):
    host = Host(tmp_path, "rhel")
    before = {kernel: sorted(arguments.split()) for kernel, arguments in host.entries.items()}
    host.apply()
    assert [arguments.count("crashkernel=") for arguments in host.entries.values()] == [1, 1]
    host.entries = {**host.entries, "/boot/vmlinuz-new": "ro crashkernel=256M"}
    host.apply(state="absent")
    after = {kernel: sorted(arguments.split()) for kernel, arguments in host.entries.items()}
    assert "crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M" in after.pop("/boot/vmlinuz-new")
    assert after == before


def test_other_targets_are_put_aside_in_kdump_conf(tmp_path):
    host = Host(tmp_path, "rhel")
    host.put("/server/here/.keep", "")
    host.apply(target="nfs", target_location="vault:/dumps", path="/here", compression="lzo", dump_level=17)
    text = host.get("/etc/kdump.conf")
    active = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert active == [
        "failure_action shell",
        "nfs vault:/dumps",
        "path /here",
        "core_collector makedumpfile -l -d 17 --message-level 7",
        "auto_reset_crashkernel no",
    ]


def test_kdump_tools_reads_what_was_asked_for_with_a_shell(tmp_path):
    host = Host(tmp_path)
    host.apply(path="/srv/crash", keep_dumps=7)
    host.put("/etc/default/kdump-tools", host.get("/etc/default/kdump-tools"))
    script = '. ./kdump-tools; umask; echo "$USE_KDUMP $KDUMP_COREDIR $MAKEDUMP_ARGS $KDUMP_NUM_DUMPS [$NFS$SSH$FTP]"'
    said = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=tmp_path / "etc/default", capture_output=True, text=True, check=True
    )
    assert said.stdout == "0077\n1 /srv/crash -c -d 31 7 []\n"
    assert host.get("/etc/default/kdump-tools").startswith(KDUMP_TOOLS)


def test_packages_are_installed_and_the_memory_is_of_what_they_brought(tmp_path):
    host = Host(tmp_path, installed=False)
    predicted = host.change()
    done = host.apply()
    assert of(predicted) == of(done)
    assert [call for call in host.calls if call[0] == "apt-get"]
    host.apply(state="absent")
    assert host.get("/etc/default/kdump-tools") == KDUMP_TOOLS


def test_the_crash_kernel_is_loaded_where_there_is_memory_for_it(host):
    host.put("/sys/kernel/kexec_crash_size", str(256 * MIB))
    host.put("/proc/cmdline", "ro crashkernel=256M")
    change = host.apply()
    assert change.loaded and not change.reboot_required()


def test_a_crash_kernel_for_which_there_is_too_little_yet_waits_for_the_restart(tmp_path):
    """As after a reservation that was forced: loading it would fail, and the play would end before the restart."""
    host = Host(tmp_path)
    host.put("/var/lib/kdump/initrd.img-" + RELEASE, "x" * (20 * MIB))
    host.put("/sys/kernel/kexec_crash_size", str(64 * MIB))
    host.put("/proc/cmdline", "ro crashkernel=64M")
    host.fails["systemctl restart"] = "kexec_file_load failed: Cannot assign requested address"
    change = host.apply(crashkernel="256M")
    assert not change.loaded and change.reboot_required()
    # Where nothing better comes with a restart, it is tried, and said.
    with pytest.raises(Failed, match="Cannot assign requested address"):
        host.apply(crashkernel="64M", force=True)


MOUNTED = """\
22 1 8:1 / / rw - ext4 /dev/vda1 rw
31 22 8:16 / /srv rw - ext4 /dev/vdb rw
32 31 8:32 / /srv/crash-dumps rw - xfs /dev/vdc rw
"""
DROP_IN = "/etc/systemd/system/kdump-tools-dump.service.d/50-linux_memory_oom-kdump.conf"


def test_the_crash_kernel_waits_for_the_file_system_of_the_dumps(tmp_path):
    host = Host(tmp_path)
    host.put("/proc/self/mountinfo", MOUNTED)
    host.put("/run/systemd/system/.keep", "")
    before = host.files()
    unit = r"srv-crash\x2ddumps.mount"
    assert of(host.apply(path="/srv/crash-dumps/here"))["mount"] == (None, unit)
    assert host.get(DROP_IN).splitlines()[1:] == ["[Unit]", "Wants=" + unit, "After=" + unit]
    assert not host.change(path="/srv/crash-dumps/here").changed
    assert of(host.apply(path="/srv/dumps"))["mount"] == (unit, "srv.mount")
    host.put(DROP_IN, host.get(DROP_IN) + "After=network.target\n")
    assert of(host.apply(path="/srv/dumps"))["mount"] == ("another file", "srv.mount")
    assert of(host.apply(path="/var/crash"))["mount"] == ("srv.mount", None)
    assert not (tmp_path / DROP_IN[1:]).parent.exists()
    host.apply(path="/srv/dumps")
    host.apply(state="absent")
    assert host.files() == before


def test_a_drop_in_of_somebody_else_is_not_overwritten(tmp_path):
    host = Host(tmp_path)
    host.put("/proc/self/mountinfo", MOUNTED)
    host.put(DROP_IN, "[Unit]\n")
    with pytest.raises(Refused, match="50-linux_memory_oom-kdump.conf is there and was not written by this"):
        host.change(path="/srv/dumps")


def test_a_mount_that_systemd_does_not_wait_for_is_said(tmp_path, monkeypatch):
    host = Host(tmp_path)
    host.put("/proc/self/mountinfo", MOUNTED)
    host.put("/run/systemd/system/.keep", "")
    monkeypatch.setattr(host, "after", lambda _path: "")
    with pytest.raises(Failed, match=r"mount: systemd does not start kdump-tools-dump.service after srv.mount"):
        host.apply(path="/srv/dumps")


def test_the_crash_kernels_of_the_rhel_family_mount_by_themselves(tmp_path):
    host = Host(tmp_path, "rhel")
    host.put("/proc/self/mountinfo", MOUNTED)
    assert "mount" not in of(host.apply(path="/srv/dumps"))


def test_a_crash_kernel_that_does_not_load_is_a_failure_that_says_why(host):
    host.put("/sys/kernel/kexec_crash_size", str(256 * MIB))
    host.fails["systemctl restart"] = "kexec_file_load failed: Device or resource busy"
    with pytest.raises(Failed, match="kexec_crash_loaded is not 1 after 0 s.*Device or resource busy"):
        host.apply()


def test_disabled_gives_the_memory_back_and_leaves_no_reservation(host):
    host.apply()
    host.put("/sys/kernel/kexec_crash_size", str(256 * MIB))
    host.put("/sys/kernel/kexec_crash_loaded", "1")
    change = host.apply(state="disabled")
    assert (change.reserved, change.loaded) == (0, False)
    assert "crashkernel" not in (
        host.get("/boot/grub/grub.cfg") if host.family == "debian" else str(list(host.entries.values()))
    )
    assert not host.change(state="disabled").changed


def patient(host, **wishes):
    """Run the module as Host.apply does, and return how long it slept each time."""
    change = host.change(wait_seconds=90, **wishes)
    slept = []
    change.sleep = slept.append
    change.apply()
    change.refresh()
    return slept


@pytest.mark.parametrize("times", [1, 2])
def test_a_crash_kernel_that_another_loads_at_the_same_time_is_waited_for(host, monkeypatch, times):
    """The kernel has one lock for kexec, and says EBUSY to who comes second (kernel/kexec_internal.h)."""
    host.put("/sys/kernel/kexec_crash_size", str(256 * MIB))
    answer, busy = host.run, ["kexec_file_load failed: Device or resource busy"] * times

    def run(command, **more):
        return (1, "", busy.pop()) if command[:2] == ["systemctl", "restart"] and busy else answer(command, **more)

    monkeypatch.setattr(host, "run", run)
    assert patient(host) == [2] * times
    assert (busy, host.get("/sys/kernel/kexec_crash_loaded")) == ([], "1\n")


class Busy:
    """A file of sysfs that the kernel does not take: what was written to it is refused when it is closed."""

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        return self

    def write(self, _text):
        pass

    def __exit__(self, *_error):
        raise OSError(self.number, os.strerror(self.number))


def refused(monkeypatch, *numbers):
    """Let the kernel refuse kexec_crash_size with these errors, one after the other, and then take it."""
    left = list(numbers)

    def opened(path, *mode, **more):
        assert path.endswith("/sys/kernel/kexec_crash_size") and mode == ("w",)
        return Busy(left.pop(0)) if left else open(path, *mode, **more)

    monkeypatch.setattr(kdump_change, "open", opened, raising=False)
    return left


@pytest.mark.parametrize("times", [1, 2])
def test_memory_that_cannot_be_given_back_yet_is_waited_for(host, monkeypatch, times):
    host.put("/sys/kernel/kexec_crash_size", str(256 * MIB))
    left = refused(monkeypatch, *[errno.EBUSY] * times)
    assert patient(host, state="disabled") == [0.5] * times
    assert (left, host.get("/sys/kernel/kexec_crash_size")) == ([], "0\n")


def test_memory_that_is_never_given_back_is_a_failure_that_says_why(host, monkeypatch):
    host.put("/sys/kernel/kexec_crash_size", str(256 * MIB))
    refused(monkeypatch, errno.EBUSY)
    with pytest.raises(Failed, match="kexec_crash_size: 0 could not be written: Device or resource busy"):
        host.apply(state="disabled")
    # Another error does not pass by itself.
    refused(monkeypatch, errno.EINVAL)
    with pytest.raises(Failed, match="kexec_crash_size: 0 could not be written: Invalid argument"):
        patient(host, state="disabled")


def test_disabled_on_a_host_without_kdump_changes_nothing(tmp_path):
    assert not Host(tmp_path, installed=False).change(state="disabled").changed


@pytest.mark.parametrize("loaders", [["none"], ["none", "auto"], ["auto", "none"], ["auto", "none", "auto"]])
@pytest.mark.parametrize("state", ["present", "disabled"])
def test_undo_restores_the_boot_loader_whichever_run_changed_it_first(host, loaders, state):
    def entries():
        """Return the words of each: grubby puts them in another order."""
        return [sorted(words.split()) for words in host.entries.values()]

    before, entries_before = host.files(), entries()
    for loader in loaders:
        host.apply(state=state, boot_loader=loader)
    host.apply(state="absent")
    assert entries() == entries_before
    assert host.files() == before


def test_undo_loads_the_crash_kernel_that_was_configured_before(tmp_path):
    """On the RHEL family the configuration is in the initrd of the crash kernel: it would go on as we said."""
    host = Host(tmp_path, "rhel", reserved=256 * MIB)
    host.systemctl("enable", host.unit)
    host.apply(target="ssh", target_location="crash@vault")
    assert host.change().loaded
    host.calls.clear()
    assert of(host.apply(state="absent"))["loaded"] == (False, True)
    assert ["systemctl", "restart", "kdump.service"] in host.calls


def test_absent_asks_for_no_boot_loader_where_it_was_left_alone(tmp_path):
    host = Host(tmp_path)
    (tmp_path / "usr/sbin/update-grub").unlink()
    before = host.files()
    host.apply(boot_loader="none")
    host.apply(state="absent")
    assert host.files() == before


def test_disabled_takes_nothing_out_of_the_boot_loader_that_it_could_not_bring_back(tmp_path):
    host = Host(tmp_path, "rhel", installed=False)
    entries = host.entries
    with pytest.raises(
        Refused, match="state: disabled takes crashkernel= out of the boot loader, and there is no /etc/"
    ):
        host.apply(state="disabled")
    host.apply(state="disabled", boot_loader="none")
    assert host.entries == entries
    host.entries = dict.fromkeys(entries, "ro")
    assert not host.apply(state="disabled").changed


def test_absent_on_a_host_that_has_nothing_of_us_asks_for_no_boot_loader(tmp_path):
    host = Host(tmp_path)
    (tmp_path / "usr/sbin/update-grub").unlink()
    assert not host.change(state="absent").changed
    # On a system that is not known, either.
    host.put("/etc/os-release", "ID=alpine\n")
    assert not host.change(state="absent").changed


def test_a_menu_that_does_not_follow_is_said_with_both_values(tmp_path):
    host = Host(tmp_path)
    host.put("/etc/default/grub.d/zzz-later.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="crashkernel=1M"\n')
    with pytest.raises(Failed, match="update-grub wrote crashkernel=1M into .*, and crashkernel=256M was asked for"):
        host.apply()


def test_what_is_too_small_is_said_beforehand(tmp_path):
    host = Host(tmp_path)
    host.put("/var/lib/kdump/initrd.img-" + RELEASE, "x" * (20 * MIB))
    # 32 MiB kernel, 1 MiB modules, 3 * 20 MiB, 16 MiB.
    with pytest.raises(Refused, match="96M reserves 96 MiB, and this host's crash kernel needs 109 MiB or more"):
        host.change(crashkernel="96M")
    assert host.change(crashkernel="128M").value == "128M"
    assert host.change(crashkernel="auto").value == "384M-:128M"
    host.put("/var/lib/kdump/initrd.img-" + RELEASE, "x" * (40 * MIB))
    assert host.change(crashkernel="auto").value == "224M"


def test_what_is_too_small_even_without_an_initrd_is_refused_before_there_is_one(tmp_path):
    host = Host(tmp_path)
    host.put("/boot/initrd.img-" + RELEASE, "x" * (20 * MIB))
    with pytest.raises(
        Refused, match="48M reserves 48 MiB, and this host's crash kernel needs 49 MiB or more, without any initrd"
    ):
        host.change(crashkernel="48M")
    change = host.change(crashkernel="64M")
    assert (change.value, len(change.warnings)) == ("64M", 1)
    assert "needs 109 MiB or more, estimated from the usual initrd" in change.warnings[0]


BAD = {
    "no value": ({"crashkernel": " "}, "crashkernel: it is empty"),
    "no size": ({"crashkernel": "much"}, "much is neither a size such as 256M nor ranges"),
    "a list for a shell": ({"crashkernel": '256M";reboot'}, "is neither a size"),
    "reserves nothing": ({"crashkernel": "4G-:256M"}, "reserves nothing on this host, which has 2048 MiB"),
    "more than half": ({"crashkernel": "1500M"}, "more than half of this host's 2048 MiB"),
    "a level beyond": ({"dump_level": 32}, "dump_level: 32 is not between 0 and 31"),
    "a negative number": ({"keep_dumps": -1}, "keep_dumps: -1 is negative"),
    "no bytes": ({"keep_bytes": "lots"}, "keep_bytes: lots is not a number of bytes such as 20G"),
    "a relative path": ({"path": "crash"}, "path: crash is not an absolute path"),
    "a path upwards": ({"path": "/var/../etc"}, "is not an absolute path"),
    "a path with a shell in it": ({"path": "/var/$(reboot)"}, "is not an absolute path"),
    "a tmpfs": ({"path": "/run/crash"}, "path: /run/crash is on tmpfs, whose files are gone after the restart"),
    "a location without a target": ({"target_location": "a:/b"}, "a:/b is given, and target=local has none"),
    "nfs without an export": ({"target": "nfs", "target_location": "server"}, "server is not SERVER:/EXPORT"),
    "ssh without a user": ({"target": "ssh", "target_location": "vault"}, "vault is not USER@SERVER"),
    "a device that is not there": (
        {"target": "device", "target_location": "/dev/sdz9"},
        "/dev/sdz9 is not mounted and not in /etc/fstab; write it there and mount it first",
    ),
    "a device that is in fstab only": (
        {"target": "device", "target_location": "LABEL=crash"},
        "LABEL=crash is in /etc/fstab and not mounted; mount it at /srv/crash first",
    ),
    "a key without ssh": ({"ssh_key": "/root/key"}, "only target=ssh uses one"),
    "a key that is not there": (
        {"target": "ssh", "target_location": "a@b", "ssh_key": "/root/key"},
        "ssh_key: /root/key is not on this host",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_sentence_and_nothing_changes(host, case):
    host.put("/etc/fstab", "LABEL=crash /srv/crash ext4 nofail 0 2\n")
    before = host.files()
    wishes, reason = BAD[case]
    with pytest.raises(Refused) as refused:
        host.apply(**wishes)
    assert reason in str(refused.value) and "\n" not in str(refused.value)
    assert host.files() == before


# Half of slab, struct page, and what the level does not leave out: of what the host's meminfo says.
KERNEL = 40000 * 1024 + 1990000 * 1024 // 64


@pytest.mark.parametrize(
    ("level", "wanted"),
    [
        (31, KERNEL // 2),
        (15, KERNEL // 2 + 800000 * 512),
        (23, KERNEL // 2 + 600000 * 512),
        (27, KERNEL // 2 + 510000 * 512),
        (0, KERNEL // 2 + 1910000 * 512),
    ],
)
@pytest.mark.parametrize(
    ("wishes", "directory"),
    [
        ({"path": "/var/crash"}, "/var/crash"),
        ({"target": "device", "target_location": "/dev/vdb", "path": "/dumps"}, "/srv/dumps"),
    ],
)
def test_a_directory_without_room_for_a_dump_is_refused(host, monkeypatch, wishes, directory, level, wanted):
    host.put("/proc/self/mountinfo", MOUNTED)
    ask, free = kdump_change.kdump.directory, {directory: wanted - 1}
    monkeypatch.setattr(
        kdump_change.kdump, "directory", lambda tree, path: dict(ask(tree, path), free=free.get(path, 1 << 40))
    )
    before = host.files()
    with pytest.raises(Refused) as refused:
        host.apply(dump_level=level, **wishes)
    said = "path: %s has %d MiB free, and a dump of this host takes %d MiB or more now"
    assert str(refused.value) == said % (directory, wanted // MIB, wanted // MIB + 1)
    assert host.files() == before
    assert str(refused.value) in host.change(dump_level=level, force=True, **wishes).warnings
    free[directory] = wanted
    assert not any("free" in why for why in host.change(dump_level=level, **wishes).warnings)


def test_what_is_not_compressed_is_not_halved(tmp_path, monkeypatch):
    ask = kdump_change.kdump.directory
    monkeypatch.setattr(kdump_change.kdump, "directory", lambda tree, path: dict(ask(tree, path), free=KERNEL - 1))
    host = Host(tmp_path)
    host.change(compression="zlib")
    with pytest.raises(Refused, match="path: /var/crash has 69 MiB free, and a dump of this host takes 70 MiB or more"):
        host.change(compression="none")


# What makedumpfile -v prints of Debian's packages 1:1.6.8-4, 1:1.7.2-1 and 1:1.7.6-1 (Debian 11, 12 and 13).
VERSIONS = {
    11: "makedumpfile: version 1.6.8 (released on 16 Nov 2020)\nlzo\tenabled\nsnappy\tdisabled\n\n",
    12: "makedumpfile: version 1.7.2 (released on 20 Oct 2022)\nlzo\tenabled\nsnappy\tdisabled\nzstd\tdisabled\n\n",
    13: "makedumpfile: version 1.7.6 (released on 23 Oct 2024)\nlzo\tenabled\nsnappy\tdisabled\nzstd\tenabled\n\n",
}
# What one before 1.5.6 prints (print_info.c: show_version).
SILENT = "makedumpfile: version 1.5.5 (released on 18 Dec 2013)\n\n"


@pytest.mark.parametrize(("version", "known"), [(11, ["lzo"]), (12, ["lzo"]), (13, ["lzo", "zstd"])])
@pytest.mark.parametrize("method", ["zlib", "lzo", "snappy", "zstd", "none"])
def test_a_compression_that_makedumpfile_was_built_without_is_refused(host, version, known, method):
    host.makedumpfile = VERSIONS[version]
    known = ["zlib", *known, "none"]
    assert kdump_config.compressions(host.makedumpfile) == known
    if method in known:
        assert host.change(compression=method).warnings == []
        assert (["/usr/bin/makedumpfile", "-v"] in host.calls) == (method in kdump_config.OPTIONAL)
        return
    before = host.files()
    with pytest.raises(Refused) as refused:
        host.apply(compression=method)
    said = "compression: %s is not what this host's makedumpfile was built with, which is %s"
    assert str(refused.value) == said % (method, ", ".join(known))
    assert host.files() == before
    assert host.change(compression=method, force=True).warnings == [str(refused.value)]


@pytest.mark.parametrize("said", ["", SILENT])
def test_a_makedumpfile_that_does_not_tell_its_compressions_is_taken_at_any(host, said):
    host.makedumpfile = said
    assert host.change(compression="zstd").warnings == []


def test_a_makedumpfile_that_is_installed_by_the_run_is_asked_before_anything_else_changes(tmp_path):
    host = Host(tmp_path, installed=False)
    host.makedumpfile = VERSIONS[12]
    with pytest.raises(Refused, match="compression: zstd is not what this host's makedumpfile was built with"):
        host.apply(compression="zstd")
    assert host.get("/etc/default/kdump-tools") == KDUMP_TOOLS
    assert not host.change(state="absent").changed


def test_missing_packages_loader_and_foreign_files_are_refused(tmp_path):
    host = Host(tmp_path, installed=False)
    with pytest.raises(Refused, match="kdump-config and makedumpfile and kexec is not on this host"):
        host.change(packages=False)
    host.put("/etc/default/grub.d/zz-linux_memory_oom-kdump.cfg", "GRUB_TIMEOUT=1\n")
    with pytest.raises(Refused, match="was not written by this collection"):
        host.change()
    (tmp_path / "usr/sbin/update-grub").unlink()
    with pytest.raises(Refused, match="boot_loader: update-grub is not there"):
        host.change()
    host.put("/etc/os-release", "ID=alpine\n")
    with pytest.raises(Refused, match="neither Debian, Ubuntu nor of the RHEL family"):
        host.change()


def test_force_warns_instead(host):
    assert "reserves nothing" in host.change(crashkernel="4G-:256M", force=True).warnings[0]


@pytest.mark.parametrize(
    ("value", "gib", "reserved"),
    [
        ("256M", 2, 256),
        ("256M@16M", 2, 256),
        ("512M,high 72M,low", 8, 584),
        ("2G-64G:256M,64G-:512M", 1, 0),
        ("2G-64G:256M,64G-:512M", 2, 256),
        ("2G-64G:256M,64G-:512M", 64, 512),
        ("2g-64g:256m", 63, 256),
    ],
)
def test_what_a_value_reserves(value, gib, reserved):
    """Documentation/admin-guide/kdump/kdump.rst: a range includes its start and not its end."""
    assert crashkernel.problem(value) is None
    assert crashkernel.reserves(value, gib << 30) == reserved * MIB


def test_kdumpctls_estimate_is_understood(tmp_path):
    assert Host(tmp_path, "rhel").change().host.estimate() == 192 * MIB


LINES = st.lists(
    st.text(
        st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
        max_size=20,
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(lines=LINES, family=st.sampled_from(["debian", "rhel"]), end=st.booleans())
def test_a_block_in_any_file_goes_without_a_trace(lines, family, end):
    text = "\n".join(lines) + ("\n" if end or not lines else "")
    text = "" if not lines else text
    if any(line.startswith((kdump_config.BEGIN, kdump_config.ASIDE)) for line in text.splitlines()):
        return
    settings_ = {"path": "/a"} if family == "rhel" else {"USE_KDUMP": "1"}
    once = kdump_config.with_block(text, family, settings_, [("enabled", False)])
    assert kdump_config.with_block(once, family, settings_, [("enabled", False)]) == once
    assert kdump_config.before(once) == {"enabled": False}
    rest = kdump_config.split(once)[0]
    assert rest in (text, text + "\n")  # a last line without an end gets one


def test_files_of_the_packages_survive():
    for text, family in ((KDUMP_TOOLS, "debian"), (KDUMP_CONF, "rhel")):
        settings_ = dict.fromkeys(["target", "path"], None) if family == "rhel" else {"SSH": None}
        assert kdump_config.split(kdump_config.with_block(text, family, settings_))[0] == text


def test_the_oldest_dumps_go_and_the_newest_stays(tmp_path):
    script = tmp_path / "retention.sh"
    script.write_text(kdump_change._RETENTION_SCRIPT, encoding="utf-8")
    crash = tmp_path / "crash"
    for day in range(1, 6):
        folder = crash / f"2026010{day}0000"
        folder.mkdir(parents=True)
        (folder / f"dump.2026010{day}0000").write_bytes(b"x" * MIB)
        subprocess.run(["touch", "-d", f"2026-01-0{day}", str(folder)], check=True)
    foreign = {"other": "note", "pg": "dump.sql", "mysql": "dump-2026-01.tar.gz", "tools": "vmcore-notes"}
    for folder, file in foreign.items():
        (crash / folder).mkdir()
        (crash / folder / file).write_bytes(b"x")

    def left(keep, size):
        subprocess.run(["sh", str(script), str(crash), str(keep), str(size)], check=True, capture_output=True)
        return sorted(path.name[6:8] for path in crash.iterdir() if path.name not in foreign)

    assert left(0, 0) == ["01", "02", "03", "04", "05"]
    assert left(4, 0) == ["02", "03", "04", "05"]
    assert left(0, 2 * MIB + 65536) == ["04", "05"]
    assert left(0, 1) == ["05"]
    assert all((crash / folder / file).exists() for folder, file in foreign.items())


@pytest.mark.parametrize(
    "name",
    ["vmcore", "vmcore.flat", "vmcore-incomplete", "vmcore.202601010000.gz", "dump.202601010000", "dump-incomplete"],
)
def test_each_form_of_a_dump_is_one_that_goes(tmp_path, name):
    script = tmp_path / "retention.sh"
    script.write_text(kdump_change._RETENTION_SCRIPT, encoding="utf-8")
    for day in ("01", "02"):
        (tmp_path / "crash" / day).mkdir(parents=True)
        (tmp_path / "crash" / day / name).touch()
        subprocess.run(["touch", "-d", "2026-01-" + day, str(tmp_path / "crash" / day)], check=True)
    subprocess.run(["sh", str(script), str(tmp_path / "crash"), "1", "0"], check=True)
    assert [path.name for path in (tmp_path / "crash").iterdir()] == ["02"]


def test_a_path_with_an_end_of_line_is_refused(host):
    with pytest.raises(Refused, match="is not an absolute path of letters, digits"):
        host.change(path="/var/crash\n")


def test_a_menu_without_the_marks_of_grub_mkconfig_is_read_by_its_images():
    menu = "\tlinux /boot/vmlinuz-6.1 ro crashkernel=256M\n\tlinux16 /boot/memtest86+x64.bin\n\tlinux\n"
    assert kdump_change.crashkernel.parse_grub_cfg(menu) == ["256M"]


def test_a_mount_point_that_a_unit_cannot_name_is_refused(host):
    host.put("/etc/fstab", "/dev/vdb1 /mnt/crash\\040disk ext4 defaults 0 2\n")
    mounted = "40 22 254:17 / /mnt/crash\\040disk rw - ext4 /dev/vdb1 rw\n"
    host.put("/proc/self/mountinfo", host.get("/proc/self/mountinfo") + mounted)
    said = "target_location: /dev/vdb1 is mounted at /mnt/crash disk, which is not made of letters, digits"
    with pytest.raises(Refused, match=said):
        host.change(target="device", target_location="/dev/vdb1", path="/d")


RETENTION = kdump_change.RETENTION_UNIT_PATH


@pytest.mark.parametrize(
    ("wishes", "directory"),
    [
        ({"path": "/srv/crash-dumps/here"}, "/srv/crash-dumps/here"),
        ({"target": "device", "target_location": "/dev/vdb", "path": "/here"}, "/srv/here"),
    ],
)
def test_the_oldest_dumps_go_only_where_their_file_system_is_mounted(tmp_path, wishes, directory):
    host = Host(tmp_path)
    host.put("/proc/self/mountinfo", MOUNTED)
    limits = directory + ": 3 dumps, 0 bytes"
    assert of(host.apply(**wishes))["retention"] == (None, limits)
    unit, _rest = host.get(RETENTION).split("[Service]")
    assert unit.splitlines()[1:] == [
        "[Unit]", "Description=Keep the newest kernel dumps in " + directory, "After=local-fs.target",
        "RequiresMountsFor=" + directory, "",
    ]  # fmt: skip
    assert not host.change(**wishes).changed
    # As an earlier version wrote it.
    host.put(RETENTION, host.get(RETENTION).replace("RequiresMountsFor=" + directory + "\n", ""))
    assert of(host.apply(**wishes)) == {"retention": ("another unit", limits)}
    assert "\nRequiresMountsFor=" in host.get(RETENTION)


def test_a_run_that_ends_between_two_steps_is_repaired_by_the_next(tmp_path):
    """The memory of before is in the first file that is written, so undo is exact as well, wherever a run ended."""
    for number, (family, state) in enumerate([(f, s) for f in ("debian", "rhel") for s in ("present", "absent")]):
        for ended_after in range(1, 8):
            host = Host(tmp_path / f"{number}-{ended_after}", family)
            before = host.files()
            if state == "absent":
                host.apply()
            change = host.change(state=state)
            _before_lines = change.before_lines
            for _name, step in change.steps[:ended_after]:
                step()
            host.apply(state=state)
            assert not host.change(state=state).changed
            host.apply(state="absent")
            assert host.files() == before


def test_what_kdumpctl_recommends_is_compared(tmp_path):
    host = Host(tmp_path, "rhel")
    with pytest.raises(Refused, match="128M reserves 128 MiB, and kdumpctl estimate recommends 192 MiB"):
        host.change(crashkernel="128M")
    host.put("/run/ostree-booted", "")
    with pytest.raises(Refused, match="this host boots from OSTree"):
        host.change()


def test_auto_takes_what_kdumpctl_recommends_where_that_is_more_than_the_default(tmp_path):
    """As on a host whose disk is encrypted: its kernels have the default already, and it is not enough."""
    host = Host(tmp_path, "rhel")
    host.entries = dict.fromkeys(host.entries, "ro crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M")
    before = host.files()
    assert host.change(crashkernel="auto").value == "1G-4G:192M,4G-64G:256M,64G-:512M"
    host.estimate = host.estimate.replace("Recommended crashkernel: 192M", "Recommended crashkernel: 417M")
    predicted = host.change(crashkernel="auto")
    done = host.apply(crashkernel="auto")
    assert of(predicted) == of(done)
    assert [words.split()[-1] for words in host.entries.values()] == ["crashkernel=448M"] * 2
    # With "yes" kdump-utils would set its default again with the next kernel.
    assert "auto_reset_crashkernel no" in host.get("/etc/kdump.conf")
    host.estimate = host.estimate.replace("417M", "418M")
    host.calls.clear()
    assert not host.change(crashkernel="auto").changed
    assert ["kdumpctl", "estimate"] not in host.calls
    # A kernel that has come since has another value.
    host.entries = {**host.entries, "/boot/vmlinuz-new": "ro"}
    host.estimate = host.estimate.replace("418M", "449M")
    assert host.change(crashkernel="auto").value == "480M"
    with pytest.raises(Refused, match="256M reserves 256 MiB, and kdumpctl estimate recommends 449 MiB"):
        host.change(crashkernel="256M")
    host.estimate = host.estimate.replace("449M", "1025M")
    with pytest.raises(Refused, match="crashkernel: 1056M reserves 1056 MiB, more than half of this host's 2048 MiB"):
        host.change(crashkernel="auto")
    host.entries = {kernel: words for kernel, words in host.entries.items() if kernel != "/boot/vmlinuz-new"}
    host.apply(state="absent")
    assert host.files() == before


def test_check_mode_asks_kdumpctl_only_where_that_makes_no_initrd(tmp_path):
    host = Host(tmp_path, "rhel")
    host.change(check_mode=True, crashkernel="128M")
    assert ["kdumpctl", "estimate"] not in host.calls
    refused = "kdumpctl estimate recommends 192 MiB"
    with pytest.raises(Refused, match=refused):
        host.change(crashkernel="128M")
    host.put("/boot/initramfs-%skdump.img" % RELEASE, "x")
    with pytest.raises(Refused, match=refused):
        host.change(check_mode=True, crashkernel="128M")


def test_auto_is_raised_where_the_crash_kernel_needs_more_than_is_recommended(tmp_path):
    """kdumpctl counts only the modules that its initrd holds."""
    host = Host(tmp_path, "rhel")
    host.put("/boot/initramfs-%skdump.img" % RELEASE, "x" * (50 * MIB))
    # 32 MiB kernel, 1 MiB modules, 3 * 50 MiB, 16 MiB: 199 MiB and a little.
    assert host.change(crashkernel="auto").value == "224M"
    with pytest.raises(Refused, match="192M reserves 192 MiB, and this host's crash kernel needs 199 MiB or more"):
        host.change(crashkernel="192M")


# Made after what kdumpctl of kdump-utils prints (kdumpctl: do_estimate): a note on the initrd that it makes first goes
# to the same stream, sizes may be followed by a blank, and the warnings come last.
PLAIN = "Reserved crashkernel:    0M\nRecommended crashkernel: 256M \n\nKernel image size:   56M\n"
REBUILT = """\
kdump: Rebuilding /boot/initramfs-6.12.0-55.el10.x86_64kdump.img
Reserved crashkernel:    256M
Recommended crashkernel: 512M

Kernel image size:   47M
Large modules:
    xfs: 1556480
WARNING: Current crashkernel size is lower than recommended size 512M.
"""
ENCRYPTED = """\
Encrypted kdump target requires extra memory, assuming using the keyslot with maximum memory requirement

Reserved crashkernel:    1G
Recommended crashkernel: 1G
"""
ESTIMATES = [(PLAIN, 256), (REBUILT, 512), (ENCRYPTED, 1024), ("kdump: failed to make kdump initrd\n", None)]


@pytest.mark.parametrize(("said", "size"), ESTIMATES)
def test_what_kdumpctl_estimates_is_read(said, size):
    assert crashkernel.parse_estimate(said) == (size * MIB if size else None)


# Made after grubby --info=ALL of grubby's BLS half (grubby-bls: print_info): variables of tuned and the rescue entry
# are there as they stand in the entries, and initrd has a variable as well.
INFO = """\
index=0
kernel="/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64"
args="ro crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M resume=/dev/mapper/rhel-swap rhgb quiet $tuned_params"
root="/dev/mapper/rhel-root"
initrd="/boot/initramfs-5.14.0-427.13.1.el9_4.x86_64.img $tuned_initrd"
title="Red Hat Enterprise Linux (5.14.0-427.13.1.el9_4.x86_64) 9.4 (Plow)"
id="0123456789abcdef0123456789abcdef-5.14.0-427.13.1.el9_4.x86_64"
index=1
kernel="/boot/vmlinuz-0-rescue-0123456789abcdef0123456789abcdef"
args="ro resume=/dev/mapper/rhel-swap rhgb quiet"
root="/dev/mapper/rhel-root"
initrd="/boot/initramfs-0-rescue-0123456789abcdef0123456789abcdef.img"
title="Red Hat Enterprise Linux (0-rescue-0123456789abcdef0123456789abcdef) 9.4 (Plow)"
id="0123456789abcdef0123456789abcdef-0-rescue"
index=2
non linux entry
"""


def test_what_grubby_says_of_each_entry_is_read():
    assert crashkernel.parse_grubby(INFO) == {
        "/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64": "1G-4G:192M,4G-64G:256M,64G-:512M",
        "/boot/vmlinuz-0-rescue-0123456789abcdef0123456789abcdef": None,
    }


@pytest.mark.parametrize(
    ("release", "packages", "value", "resets"),
    [
        ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="8.10"\n', ("kexec-tools",), "auto", None),
        ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n', ("kexec-tools",), "1G-4G:192M", "yes"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.5"\n', ("kexec-tools",), "1G-4G:192M", "yes"),
        (
            'ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="10"\n',
            ("kdump-utils", "makedumpfile"),
            "2G-64G:256M",
            "yes",
        ),
        ("ID=fedora\nVERSION_ID=40\n", ("kexec-tools",), "2G-64G:256M", "yes"),
        ("ID=fedora\nVERSION_ID=43\n", ("kdump-utils", "makedumpfile"), "2G-64G:256M", "yes"),
        ('ID="ol"\nID_LIKE="fedora"\nVERSION_ID="8.9"\n', ("kexec-tools",), "auto", None),
    ],
    ids=["rhel8", "rhel9", "rocky9", "centos10", "fedora40", "fedora43", "oracle8"],
)
def test_each_release_of_the_rhel_family_has_its_packages_and_its_default(
    tmp_path, monkeypatch, release, packages, value, resets
):
    """Packages: kdump-utils was split off in Fedora 41 and RHEL 10. os-release: made after os-release(5) of each."""
    monkeypatch.setattr("os.uname", lambda: ("Linux", "host", "5.14.0", "#1", "x86_64"))
    host = Host(tmp_path, "rhel", installed=False)
    host.put("/etc/os-release", release)
    change = host.change(crashkernel="auto")
    assert change.host.packages == packages
    assert change.value.startswith(value)
    assert change.settings.get("auto_reset_crashkernel") == resets
