# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kdump: what is reserved and loaded, both families' configuration, and the dumps that are found."""

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import kdump as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = {"top": 10, "process_arguments": False, "seconds": 0}
MOUNTINFO = (
    "21 1 254:3 / / rw - ext4 /dev/vda3 rw\n"
    "22 21 254:4 / /srv/dumps rw - xfs /dev/mapper/vg-dumps rw\n"
    "23 21 0:50 / /net/dumps rw - nfs4 store:/export/dumps rw\n"
)
KERNEL = {
    "/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/vda3 crashkernel=384M-:128M quiet\n",
    "/proc/self/mountinfo": MOUNTINFO,
    "/sys/kernel/kexec_crash_size": "134217728\n",
    "/sys/kernel/kexec_crash_loaded": "1\n",
}
RHEL_CONF = """# path /not/this
path /var/crash
core_collector makedumpfile -l --message-level 7 -d 31
auto_reset_crashkernel yes
"""
DEBIAN_CONF = """# kdump-tools configuration
USE_KDUMP=1
KDUMP_COREDIR="/var/crash"
#NFS="<nfs mount>"
#FTP_PASSWORD=""
"""
LONG_AGO = 1700000000


def build(root, *parts):
    for files in parts:
        for name, text in files.items():
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return Tree(str(root))


def dump(root, path, size=7, time=LONG_AGO):
    path = root / path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(str(path), (time, time))


def link(root, path, target):
    path = root / path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(target, str(path))


def test_debian(tmp_path):
    tree = build(
        tmp_path,
        KERNEL,
        {"/etc/default/kdump-tools": DEBIAN_CONF, "/lib/systemd/system/kdump-tools.service": "[Unit]\n"},
    )
    wants = "/etc/systemd/system/basic.target.wants/kdump-tools.service"
    link(tmp_path, wants, "/lib/systemd/system/kdump-tools.service")
    link(tmp_path, "/run/systemd/units/invocation:kdump-tools.service", "0" * 32)
    dump(tmp_path, "/var/crash/202401021530/dump.202401021530", 21, LONG_AGO + 60)
    dump(tmp_path, "/var/crash/202401021530/dmesg.202401021530")
    dump(tmp_path, "/var/crash/202301021530/dump-incomplete.lz4", 5, LONG_AGO)
    dump(tmp_path, "/var/crash/202501021530/vmcore.202501021530", 9, LONG_AGO + 90)
    dump(tmp_path, "/var/crash/kexec_cmd")
    dump(tmp_path, "/var/crash/_usr_bin_x.1000.crash")
    assert subject.collect(tree, OPTIONS) == {
        "crashkernel": "384M-:128M",
        "reserved": 134217728,
        "loaded": True,
        "service": {"name": "kdump-tools.service", "present": True, "enabled": True, "active": True},
        "config": "/etc/default/kdump-tools",
        "switched_on": True,
        "target": "local",
        "directory": {"path": "/var/crash", "device": "/dev/vda3", "size": None, "free": None, "exists": True},
        "dumps": [
            {"path": "/var/crash/202301021530/dump-incomplete.lz4", "size": 5, "time": LONG_AGO},
            {"path": "/var/crash/202401021530/dump.202401021530", "size": 21, "time": LONG_AGO + 60},
            {"path": "/var/crash/202501021530/vmcore.202501021530", "size": 9, "time": LONG_AGO + 90},
        ],
    }
    assert tree.unavailable == {}


def test_rhel(tmp_path):
    tree = build(tmp_path, KERNEL, {"/etc/kdump.conf": RHEL_CONF, "/usr/lib/systemd/system/kdump.service": ""})
    link(tmp_path, "/etc/systemd/system/multi-user.target.wants/kdump.service", "/usr/lib/systemd/system/kdump.service")
    (tmp_path / "run/systemd/units").mkdir(parents=True)
    where = "/var/crash/127.0.0.1-2024-01-02-15:30:00"
    for name in ("vmcore", "vmcore-dmesg.txt", "kexec-dmesg.log", "vmcore.flat", "vmcore-creation.status"):
        dump(tmp_path, where + "/" + name)
    dump(tmp_path, "/var/crash/127.0.0.1-2024-01-03-15:30:00/vmcore-incomplete", 3)
    dump(tmp_path, "/var/crash/127.0.0.1-2024-01-03-15:30:00/vmcore-dmesg-incomplete.txt", 3)
    value = subject.collect(tree, OPTIONS)
    assert value["service"] == {"name": "kdump.service", "present": True, "enabled": True, "active": False}
    assert (value["config"], value["target"], value["switched_on"]) == ("/etc/kdump.conf", "local", None)
    assert [found["path"].rsplit("/", 1)[1] for found in value["dumps"]] == [
        "vmcore",
        "vmcore.flat",
        "vmcore-incomplete",
    ]


@pytest.mark.parametrize(
    ("config", "target", "directory"),
    [
        ("ssh kdump@store\npath /crash\n", "ssh:kdump@store", None),
        ("raw /dev/vg/dump\n", "raw:/dev/vg/dump", None),
        ("nfs store:/export/dumps\npath /hosts # here\n", "nfs:store:/export/dumps", "/net/dumps/hosts"),
        ("nfs other:/export\n", "nfs:other:/export", None),
        ("net kdump@store\n", "ssh:kdump@store", None),
        ("xfs /dev/mapper/vg-dumps\npath //deep//down\n", "xfs:/dev/mapper/vg-dumps", "/srv/dumps/deep/down"),
        ("ext4 UUID=aa-bb\n", "ext4:UUID=aa-bb", "/srv/by-uuid/var/crash"),
        ('ext4 LABEL="crash"\npath "/x"\n', 'ext4:LABEL="crash"', "/srv/by label/x"),
        (
            "dracut_args --mount '/dev/mapper/vg-dumps /mnt xfs defaults'\n",
            "xfs:/dev/mapper/vg-dumps",
            "/srv/dumps/var/crash",
        ),
        ("path relative\n", "local", "/var/crash"),
        ("path //a//b\n", "local", "/a/b"),
        ("path /net/dumps/x\n", "nfs:store:/export/dumps", "/net/dumps/x"),
        ("#ssh kdump@store\n\n  path /a b\n", "local", "/a b"),
        ("", "local", "/var/crash"),
    ],
)
def test_rhel_targets(tmp_path, config, target, directory):
    fstab = "# x\nUUID=aa-bb /srv/by-uuid ext4 noauto 0 0\nLABEL=crash /srv/by\\040label ext4 noauto 0 0\n"
    tree = build(tmp_path, KERNEL, {"/etc/kdump.conf": config, "/etc/fstab": fstab})
    value = subject.collect(tree, OPTIONS)
    assert value["target"] == target
    assert (value["directory"] or {}).get("path") == directory
    if directory is None:
        away = target.startswith(("ssh", "raw"))
        assert tree.unavailable["kdump.dumps"] == ("dumps go to " + target if away else target + " is not mounted")
    elif directory.startswith("/net"):
        assert value["directory"]["exists"] is None
        assert "could block" in tree.unavailable["kdump.directory"]


@pytest.mark.parametrize(
    ("config", "target", "switched_on", "directory"),
    [
        ('USE_KDUMP=0\nKDUMP_COREDIR="/srv/dumps"\n', "local", False, "/srv/dumps"),
        ("USE_KDUMP=1\nNFS='store:/crash'\n", "nfs:store:/crash", True, None),
        ('USE_KDUMP=1\nSSH="root@store"\nSSH_KEY=/root/key\n', "ssh:root@store", True, None),
        ('FTP="store:/x"\nFTP_PASSWORD="hush"\nSSH=a@b # both\n', "ftp:store:/x, ssh:a@b", None, None),
        ("USE_KDUMP=0\nUSE_KDUMP=1\nexport KDUMP_COREDIR=/a\n", "local", True, "/a"),
        ('KDUMP_COREDIR=\nNFS=""\n', "local", None, "/var/crash"),
        ('nonsense ( = \n"', "local", None, "/var/crash"),
    ],
)
def test_debian_targets(tmp_path, config, target, switched_on, directory):
    tree = build(tmp_path, KERNEL, {"/etc/default/kdump-tools": config})
    value = subject.collect(tree, OPTIONS)
    assert (value["target"], value["switched_on"]) == (target, switched_on)
    assert (value["directory"] or {}).get("path") == directory
    assert "hush" not in json.dumps([value, tree.unavailable])


def test_the_configuration_of_the_installed_service_is_taken(tmp_path):
    files = {"/etc/kdump.conf": "path /rhel\n", "/etc/default/kdump-tools": "KDUMP_COREDIR=/debian\n"}
    tree = build(tmp_path, KERNEL, files, {"/lib/systemd/system/kdump-tools.service": ""})
    assert subject.collect(tree, OPTIONS)["directory"]["path"] == "/debian"
    build(tmp_path, {"/lib/systemd/system/kdump.service": ""})
    assert subject.collect(Tree(str(tmp_path)), OPTIONS)["directory"]["path"] == "/rhel"


def test_without_systemd(tmp_path):
    tree = build(tmp_path, KERNEL, {"/etc/init.d/kdump-tools": "#!/bin/sh\n"})
    assert subject.collect(tree, OPTIONS)["service"] == {
        "name": "kdump-tools.service",
        "present": True,
        "enabled": False,
        "active": None,
    }
    link(tmp_path, "/etc/rc3.d/S01kdump-tools", "../init.d/kdump-tools")
    assert subject.collect(Tree(str(tmp_path)), OPTIONS)["service"]["enabled"] is True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("root=/dev/sda1 crashkernel=256M quiet", "256M"),
        ("crashkernel=512M,high crashkernel=72M,low", "512M,high 72M,low"),
        ('x="crashkernel" crashkernel="2G-64G:256M,64G-:512M"', "2G-64G:256M,64G-:512M"),
        ("crashkernel=", None),
        ("nocrashkernel=1 quiet", None),
        ("", None),
    ],
)
def test_crashkernel(text, value):
    assert subject.parse_crashkernel(text) == value


@pytest.mark.parametrize(
    ("files", "reserved", "loaded"),
    [
        ({"/sys/kernel/kexec_crash_size": "0\n", "/sys/kernel/kexec_crash_loaded": "0\n"}, 0, False),
        ({"/sys/kernel/kexec/crash_size": "5\n", "/sys/kernel/kexec/crash_loaded": "1\n"}, 5, True),
        ({"/sys/kernel/fadump/mem_reserved": "9\n", "/sys/kernel/fadump_registered": "1\n"}, 9, True),
        ({"/sys/kernel/kexec_crash_loaded": "0\n", "/sys/kernel/fadump/registered": "1\n"}, None, True),
        ({"/sys/kernel/kexec_crash_size": "-1\n", "/sys/kernel/kexec_crash_loaded": "?\n"}, None, None),
    ],
)
def test_reserved_and_loaded(tmp_path, files, reserved, loaded):
    tree = build(tmp_path, {"/proc/cmdline": "quiet\n"}, files)
    value = subject.collect(tree, OPTIONS)
    assert (value["reserved"], value["loaded"]) == (reserved, loaded)
    assert ("kdump.reserved" in tree.unavailable) is (reserved is None)
    assert ("kdump.loaded" in tree.unavailable) is (loaded is None)


def test_nothing(tmp_path):
    tree = build(tmp_path, {"/etc/hostname": "x\n"})
    assert subject.collect(tree, OPTIONS) is None
    assert "nothing about kdump" in tree.unavailable["kdump"]


def test_dumps_remain_when_the_tools_are_gone(tmp_path):
    dump(tmp_path, "/var/crash/202401021530/dump.202401021530")
    value = subject.collect(build(tmp_path, KERNEL), OPTIONS)
    assert (value["service"], value["config"], value["target"]) == (None, None, None)
    assert len(value["dumps"]) == 1


def test_unreadable_directories_are_said(tmp_path, monkeypatch):
    tree = build(tmp_path, KERNEL, {"/etc/kdump.conf": RHEL_CONF})
    for number in range(1, 4):
        dump(tmp_path, "/var/crash/10.0.0.%d-2024-01-02-15:30:00/vmcore" % number)
    real = os.scandir

    def scandir(path):
        if "10.0.0.2" in path or "10.0.0.3" in path:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(subject.os, "scandir", scandir)
    value = subject.collect(tree, OPTIONS)
    assert len(value["dumps"]) == 1
    assert tree.unavailable == {
        "kdump.dumps": "/var/crash/10.0.0.2-2024-01-02-15:30:00: permission denied (and 1 more)"
    }


@pytest.mark.parametrize(
    ("number", "unavailable"),
    [
        (errno.ESTALE, {"kdump.dumps": "/var/crash/10.0.0.2-2024-01-02-15:30:00: %s" % os.strerror(errno.ESTALE)}),
        # Removed between the look at its directory and that at itself.
        (errno.ENOENT, {}),
    ],
)
def test_a_directory_that_does_not_answer_is_no_empty_one(tmp_path, monkeypatch, number, unavailable):
    dump(tmp_path, "/var/crash/10.0.0.2-2024-01-02-15:30:00/vmcore")
    real = os.scandir

    def scandir(path):
        if "10.0.0.2" in path:
            raise OSError(number, os.strerror(number), path)
        return real(path)

    monkeypatch.setattr(subject.os, "scandir", scandir)
    tree = Tree(str(tmp_path))
    assert subject.dumps(tree, "/var/crash") == []
    assert tree.unavailable == unavailable


def test_an_unreadable_configuration_is_said(tmp_path):
    class Denying(Tree):
        def read(self, path):
            if path == "/etc/kdump.conf":
                raise PermissionError(13, "Permission denied", path)
            return Tree.read(self, path)

    build(tmp_path, KERNEL, {"/etc/kdump.conf": ""})
    tree = Denying(str(tmp_path))
    value = subject.collect(tree, OPTIONS)
    assert (value["config"], value["target"], value["directory"]) == ("/etc/kdump.conf", None, None)
    assert tree.unavailable == {"kdump.config": "/etc/kdump.conf: permission denied"}


def test_links_in_the_dump_directory_are_not_followed(tmp_path):
    tree = build(tmp_path, KERNEL, {"/etc/kdump.conf": RHEL_CONF})
    dump(tmp_path, "/elsewhere/vmcore")
    link(tmp_path, "/var/crash/loop", "../../elsewhere")
    assert subject.collect(tree, OPTIONS)["dumps"] == []


LISTING = """/var/crash:
total 0
drwxr-xr-x.  3 root root system_u:object_r:kdump_crash_t:s0   42 Jan  2 15:30 .
drwxr-xr-x.  2 root root system_u:object_r:kdump_crash_t:s0   67 Jan  2 15:30 127.0.0.1-2024-01-02-15:30:00

/var/crash/127.0.0.1-2024-01-02-15:30:00:
total 65000
-rw-------.  1 root root system_u:object_r:kdump_crash_t:s0 65732096 Jan  2 15:31 vmcore
-rw-------.  1 root root system_u:object_r:kdump_crash_t:s0    98765 Jan  2  2023 vmcore-dmesg.txt
"""


def test_sosreport_listing(tmp_path):
    files = {"/etc/kdump.conf": RHEL_CONF, "/sos_commands/kdump/ls_-alZR_.var.crash": LISTING}
    tree = build(tmp_path, KERNEL, files)
    (tmp_path / "var/crash").mkdir(parents=True)
    assert subject.collect(tree, OPTIONS)["dumps"] == [
        {"path": "/var/crash/127.0.0.1-2024-01-02-15:30:00/vmcore", "size": 65732096, "time": None}
    ]


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("-rw------- 1 root root 21M Nov 23 05:09 dump.202401021530", 21 << 20),
        ("-rw------- 1 root root 1.5G Nov 23  2023 dump.202401021530", 3 << 29),
        ("-rw------- 1 root root ? 512 Nov 23 05:09 dump.202401021530", 512),
        ("-rw-r--r-- 1 root root 512 Nov 23 05:09 dmesg.202401021530", None),
        ("lrwxrwxrwx 1 root root 512 Nov 23 05:09 vmcore -> x", None),
    ],
)
def test_listing_lines(line, size):
    found = subject.parse_listing("/c/d:\n" + line + "\n")
    assert found == ([("/c/d/dump.202401021530", size)] if size else [])


def check_parsers(text):
    value = subject.parse_crashkernel(text)
    assert value is None or value
    conf = subject.parse_kdump_conf(text)
    assert conf["path"] is None or conf["path"].startswith("/")
    assert conf["target"] is None or len(conf["target"]) == 2
    tools = subject.parse_kdump_tools(text)
    assert tools["path"] is None or tools["path"].startswith("/")
    assert tools["switched_on"] in (None, True, False)
    assert all(size >= 0 and "/" in path for path, size in subject.parse_listing(text))


@given(st.text())
def test_parsers_take_anything(text):
    check_parsers(text)


@given(st.sampled_from([RHEL_CONF, DEBIAN_CONF, LISTING, KERNEL["/proc/cmdline"]]), st.data())
def test_mutated_text_never_raises(original, data):
    place = data.draw(st.integers(0, len(original)))
    cut = place + data.draw(st.integers(0, 20))
    check_parsers(original[:place] + data.draw(st.text(max_size=5)) + original[cut:])


@given(st.text())
def test_garbage_in_every_file(text):
    class Garbage(Tree):
        def read(self, path):
            return text

    json.dumps(subject.collect(Garbage("/nonexistent"), OPTIONS))


def test_live_host():
    tree = Tree()
    value = subject.collect(tree, OPTIONS)
    with open("/proc/cmdline") as file:
        assert (value["crashkernel"] is not None) == ("crashkernel=" in file.read())
    json.dumps(value)


def test_live_space_is_what_df_says(tmp_path):
    tree = Tree()
    for path in (tmp_path, tmp_path / "not" / "yet"):
        found = subject.directory(tree, str(path))
        line = (
            subprocess.run(
                ["df", "-B1", "--output=source,size,avail", str(tmp_path)], stdout=subprocess.PIPE, check=True
            )
            .stdout.decode()
            .splitlines()[1]
            .split()
        )
        assert found["exists"] == path.is_dir()
        assert found["size"] == int(line[1])
        assert abs(found["free"] - int(line[2])) < 1 << 30
        assert found["device"] == line[0] or line[0] == "/dev/root"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_unprivileged(checkout, tmp_path):
    root = tmp_path / "host"
    build(root, KERNEL, {"/etc/kdump.conf": RHEL_CONF})
    dump(root, "/var/crash/10.0.0.1-2024-01-02-15:30:00/vmcore")
    dump(root, "/var/crash/10.0.0.2-2024-01-02-15:30:00/vmcore")
    for path in [tmp_path] + list(tmp_path.parents):
        if path.stat().st_mode & 0o005 != 0o005 and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    (root / "var/crash/10.0.0.2-2024-01-02-15:30:00").chmod(0o700)
    code = (
        "import sys, os, json; sys.path.insert(0, {path!r})\n"
        "from ansible_collections.linux_memory.oom.plugins.module_utils import kdump\n"
        "from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "tree = Tree({root!r}); value = kdump.collect(tree, {options!r})\n"
        "print(json.dumps([value, tree.unavailable, kdump.collect(Tree(), {options!r})]))\n"
    ).format(path=str(checkout / "build/collections"), options=OPTIONS, root=str(root))
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    value, unavailable, live = json.loads(done.stdout)
    assert [found["path"] for found in value["dumps"]] == ["/var/crash/10.0.0.1-2024-01-02-15:30:00/vmcore"]
    assert unavailable == {"kdump.dumps": "/var/crash/10.0.0.2-2024-01-02-15:30:00: permission denied"}
    assert live is None or live["dumps"] is not None


def test_target_by_device_number(tmp_path):
    # A device file of this host that is mounted under another name: LVM has two for each volume.
    if not shutil.which("findmnt"):
        pytest.skip("no findmnt")
    tree = Tree()
    entry = [entry for entry in subject.mounts(tree) if entry["source"].startswith("/dev/")]
    if not entry or not os.path.exists(entry[0]["source"]):
        pytest.skip("no file system on a device of its own")
    name = entry[0]["source"].replace("/dev/", "/dev/./")
    found = subject.mount_of_target(tree, name)
    assert found in [other["mount"] for other in entry if other["device"] == entry[0]["device"]]
