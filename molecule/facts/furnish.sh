#!/bin/sh
# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Settings for the next boot, with each rule by which systemd-sysctl decides. Nothing here is applied: /proc/sys is
# read-only in these containers.
set -eu

setting() {
  mkdir -p "${1%/*}"
  cat >"$1"
}

# Overridden by a later name, in a directory of lower rank.
setting /etc/sysctl.d/10-early.conf <<'END'
vm.swappiness = 11
vm.dirty_ratio=13
END
setting /usr/lib/sysctl.d/70-late.conf <<'END'
# the winner

vm/swappiness = 71
END

# Masked by the same name in a directory of higher rank.
setting /usr/lib/sysctl.d/80-vendor.conf <<'END'
vm.swappiness = 99
vm.page-cluster = 9
END
setting /run/sysctl.d/80-vendor.conf <<'END'
vm.page-cluster = 2
END

# Masked by a link to nothing.
setting /usr/local/lib/sysctl.d/85-off.conf <<'END'
vm.overcommit_memory = 2
END
ln -sf /dev/null /etc/sysctl.d/85-off.conf

# A pattern, a key that it must leave alone, and a key that beats it by name.
setting /etc/sysctl.d/90-pattern.conf <<'END'
vm.overcommit_* = 0
-vm.overcommit_ratio
vm.overcommit_kbytes = 4096
END

# A failure that may be ignored, with a value all the same.
setting /etc/sysctl.d/95-may-fail.conf <<'END'
-vm.max_map_count = 262144
kernel.panic = 10
END

# Where crash dumps would go, and one that is there.
setting /etc/default/kdump-tools <<'END'
USE_KDUMP=1
KDUMP_COREDIR="/var/crash"
END
mkdir -p /var/crash/202601020304
head -c 123456 /dev/zero >/var/crash/202601020304/dump.202601020304
