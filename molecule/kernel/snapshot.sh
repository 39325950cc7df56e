#!/bin/sh
# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Prints what the roles may change of a host, and undo has to bring back.
set -eu
for key in vm.dirty_bytes vm.dirty_ratio vm.dirty_background_bytes vm.dirty_background_ratio vm.swappiness vm.panic_on_oom \
    kernel.panic; do
    sysctl "$key"
done
sha256sum /etc/fstab /etc/default/kdump-tools /etc/default/grub
find /etc/systemd /etc/sysctl.d /etc/udev /etc/default /usr/local -print | sort
grep -o 'crashkernel=[^ ]*' /boot/grub/grub.cfg | sort -u
# How much of it is used is no setting.
awk '{print $1, $2, $3, $5}' /proc/swaps
cat /sys/class/bdi/*/max_ratio
cat /sys/fs/cgroup/system.slice/steady.service/memory.max /sys/fs/cgroup/system.slice/steady.service/memory.high
systemctl is-enabled kdump-tools.service || true
