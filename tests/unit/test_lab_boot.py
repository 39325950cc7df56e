# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab boots what the guest's own boot loader would boot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import boot
from rootfs import LabError

MENU = """\
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
else
   set default="DEFAULT"
fi
function gfxmode {
    set gfxpayload="${1}"
}
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-1234' {
    load_video
    echo    'Loading Linux 6.12-amd64 ...'
    linux    /boot/vmlinuz-6.12-amd64 root=UUID=1234 ro crashkernel=256M "quoted=a b" console=ttyS0
    echo    'Loading initial ramdisk ...'
    initrd    /boot/initrd.img-6.12-amd64
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-1234' {
    menuentry 'Debian GNU/Linux, with Linux 6.12-amd64' --class debian $menuentry_id_option 'new-1234' {
        linux    /boot/vmlinuz-6.12-amd64 root=UUID=1234 ro
        initrd    /boot/initrd.img-6.12-amd64
    }
    menuentry "Debian GNU/Linux, with Linux 6.1-amd64" --class debian $menuentry_id_option 'old-1234' {
        linux    /boot/vmlinuz-6.1-amd64 root=UUID=1234 ro
        initrd    /boot/microcode.img /boot/initrd.img-6.1-amd64
    }
}
menuentry 'Firmware' $menuentry_id_option 'uefi-firmware' {
    fwsetup
}
"""


def menu(default: str) -> str:
    """Return a grub.cfg with that default."""
    return MENU.replace("DEFAULT", default).replace("    ", "\t")  # grub-mkconfig indents with tabs


def test_entries_are_those_that_start_a_kernel():
    found = boot.entries(menu("0"))
    assert [entry.kernel for entry in found] == [f"/boot/vmlinuz-{v}-amd64" for v in ("6.12", "6.12", "6.1")]
    assert found[0].arguments == 'root=UUID=1234 ro crashkernel=256M "quoted=a b" console=ttyS0'
    assert found[2].initrds == ("/boot/microcode.img", "/boot/initrd.img-6.1-amd64")


@pytest.mark.parametrize(
    ("default", "kernel"),
    [
        ("0", "6.12"),
        ("1>1", "6.1"),
        ("1>0", "6.12"),
        ("gnulinux-advanced-1234>old-1234", "6.1"),
        ("Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1-amd64", "6.1"),
        ("1>old-1234", "6.1"),
        ("7", "6.12"),
        ("not there", "6.12"),
        ("2", "6.12"),
    ],
)
def test_default(default, kernel):
    assert boot.chosen(menu(default)).kernel == f"/boot/vmlinuz-{kernel}-amd64"


def test_saved_and_next_entry():
    saved = menu("${saved_entry}")
    assert boot.chosen(saved).kernel.endswith("6.12-amd64")
    assert boot.chosen(saved, "# GRUB Environment Block\nsaved_entry=1>1\n####").kernel.endswith("6.1-amd64")
    assert boot.chosen(menu("0"), "next_entry=1>1\n").kernel.endswith("6.1-amd64")
    assert boot.chosen(menu("0"), "next_entry=\n").kernel.endswith("6.12-amd64")


def test_no_entry():
    with pytest.raises(LabError, match="no entry"):
        boot.chosen("set default=0\n")


WORDS = ["menuentry 'a' {", "submenu 'b' {", "}", "linux /k x", "initrd /i", "'", '"', "set default=", "\n", " ", "{"]


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=8)), max_size=30))
def test_any_text_is_read(pieces):
    for entry in boot.entries("\n".join(pieces)):
        assert entry.kernel


@pytest.fixture
def image(tmp_path):
    """Return a small ext4 image with a boot directory, in the form that a machine has it."""
    for tool in ("mke2fs", "debugfs", "qemu-img"):
        if not shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin"):
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path / "root" / "boot"
    (folder / "grub").mkdir(parents=True)
    (folder / "grub" / "grub.cfg").write_text(menu("0"), encoding="utf-8")
    (folder / "kernels").mkdir()
    (folder / "kernels" / "one").write_bytes(b"kernel")
    (folder / "vmlinuz-6.12-amd64").symlink_to("kernels/one")
    (folder / "initrd.img-6.12-amd64").write_bytes(b"initrd")
    raw = tmp_path / "disk.raw"
    make = ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(tmp_path / "root"), str(raw), "8M"]
    subprocess.run(make, check=True)
    return raw


@pytest.mark.parametrize("overlay", [False, True])
def test_read_from_an_image(image, tmp_path, overlay):
    if overlay:
        base, image = image, tmp_path / "overlay.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, image], check=True)
    found = boot.read(image, tmp_path / "out")
    assert found.kernel.read_bytes() == b"kernel"
    assert found.initrd.read_bytes() == b"initrd"
    assert found.arguments.startswith("root=UUID=1234 ro crashkernel=256M")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["initrd", "vmlinuz"]


def test_what_is_missing_is_said(image, tmp_path):
    with boot.Disk(image) as disk, pytest.raises(LabError, match="/boot/none is not in disk.raw"):
        disk.copy_out("/boot/none", tmp_path / "none")
