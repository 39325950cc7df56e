#!/bin/sh
# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Everything that the role could change: files with their times, the kernel's settings, and what systemd has.
find /etc /run/systemd/system /usr/lib/systemd /usr/lib/sysctl.d /usr/lib/udev -xdev ! -type d -printf '%p %s %T@ %m %l\n' | sort
grep -r . /proc/sys/vm/dirty_* /sys/class/bdi/*/*_ratio 2>/dev/null
systemctl show --property=IOWriteBandwidthMax,IOWriteIOPSMax,NeedDaemonReload,DropInPaths backup.service user.slice
