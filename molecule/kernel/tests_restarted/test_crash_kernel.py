# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is true only after the restart: memory is set aside, and a crash kernel is in it."""

from __future__ import annotations


def test_the_crash_kernel_is_loaded(host):
    assert host.check_output("cat /sys/kernel/kexec_crash_size") == str(256 * 1024**2)
    assert host.check_output("cat /sys/kernel/kexec_crash_loaded") == "1"


def test_it_was_this_boot_that_set_it_aside(host):
    words = host.check_output("cat /proc/cmdline").split()
    assert [word for word in words if word.startswith("crashkernel=")] == ["crashkernel=256M"]
