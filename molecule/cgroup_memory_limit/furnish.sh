#!/bin/sh
# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# A unit whose limit another file sets again, one whose drop-in has our name and is not ours, and one that is masked.
set -eu
cd /etc/systemd/system
mkdir -p taken.service.d foreign.service.d
printf '[Service]\nExecStart=/bin/true\n' > taken.service
cp taken.service foreign.service
printf '[Service]\n\nMemoryMax=1G\n' > taken.service.d/90-admin.conf
printf '[Service]\n' > foreign.service.d/50-linux_memory_oom-memory_limit.conf
mv masked.service /usr/lib/systemd/system/ 2>/dev/null || mv masked.service /lib/systemd/system/
systemctl mask masked.service
systemctl daemon-reload
