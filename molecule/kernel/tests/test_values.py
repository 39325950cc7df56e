# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel and systemd have, before a restart and after it: nothing here was read from a file of ours."""

from __future__ import annotations

MIB = 1024**2
STEADY = "/sys/fs/cgroup/system.slice/steady.service"


def text(host, path: str) -> str:
    """Return a kernel file's text."""
    return host.check_output(f"cat {path}")


def device(host) -> str:
    """Return the numbers of the slow disk."""
    return host.check_output("lsblk -dnro MAJ:MIN /dev/disk/by-id/virtio-lab0")


def test_the_dirty_pair_is_in_bytes(host):
    keys = ("dirty_bytes", "dirty_ratio", "dirty_background_bytes", "dirty_background_ratio")
    assert [text(host, f"/proc/sys/vm/{key}") for key in keys] == [str(16 * MIB), "0", str(8 * MIB), "0"]


def test_the_unit_may_write_so_fast_to_the_whole_disk(host):
    assert f"{device(host)} rbps=max wbps=2000000 riops=max wiops=max" in text(host, f"{STEADY}/io.max").splitlines()


def test_the_device_has_its_share(host):
    assert text(host, f"/sys/class/bdi/{device(host)}/max_ratio") == "20"


def test_swap_is_there(host):
    _head, *lines = text(host, "/proc/swaps").splitlines()
    (swap,) = [line.split() for line in lines if line.startswith("/swapfile")]
    # In kB, less the page that holds the header.
    assert (swap[1], int(swap[2]), swap[4]) == ("file", 512 * 1024 - 4, "5")
    assert text(host, "/proc/sys/vm/swappiness") == "80"
    assert host.file("/swapfile").mode == 0o600


def test_the_unit_has_its_limit(host):
    assert text(host, f"{STEADY}/memory.max") == str(96 * MIB)


def test_the_service_is_restarted_from_time_to_time(host):
    said = host.check_output("systemctl show -P RuntimeMaxUSec -P Restart leaky.service")
    assert set(said.split()) == {"12s", "always"}


def test_the_host_panics_when_it_is_out_of_memory_and_comes_back(host):
    assert text(host, "/proc/sys/vm/panic_on_oom") == "1"
    assert int(text(host, "/proc/sys/kernel/panic")) > 0


def test_the_next_boot_sets_memory_aside(host):
    lines = [line for line in text(host, "/boot/grub/grub.cfg").splitlines() if line.strip().startswith("linux")]
    assert lines
    for line in lines:
        wanted = [] if " single" in line else ["crashkernel=256M"]
        assert [word for word in line.split() if word.startswith("crashkernel=")] == wanted
