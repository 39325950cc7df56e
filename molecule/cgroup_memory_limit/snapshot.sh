#!/bin/sh
# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# All of the host that a drop-in could change: systemd's files, and what systemd says of the units.
set -eu
find /etc/systemd /run/systemd/system -type f -exec sha256sum {} + | sort
systemctl show steady.service eater.service flaky.service taken.service worker@one.service batch.slice |
  grep -vE '^(After|Before|Requires|Wants|Conflicts)=|Timestamp|CPUUsage|MemoryCurrent|MemoryAvailable|MemoryPeak|Tasks|IO(Read|Write)(Bytes|Op)|IP(In|E)gress|Effective'
systemctl show --property UnitsLoadStartTimestampMonotonic --property UnitsLoadFinishTimestampMonotonic
