#!/bin/sh
# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in a container without a network, a boot loader and a crash kernel: writes what stands for the packages. update-grub reads
# GRUB's settings in the order of grub-mkconfig.
set -eu
mkdir -p /etc/default/grub.d /etc/sysctl.d
cat >/etc/default/grub <<'END'
GRUB_CMDLINE_LINUX_DEFAULT="quiet crashkernel=64M splash"
GRUB_CMDLINE_LINUX="console=ttyS0"
END
cat >/etc/default/grub.d/kdump-tools.cfg <<'END'
GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=384M-:128M"
END
cat >/etc/default/kdump-tools <<'END'
# whether the crash kernel is loaded
USE_KDUMP=0
KDUMP_COREDIR="/var/crash"
#KDUMP_NUM_DUMPS=
END
cat >/lib/systemd/system/kdump-tools.service <<'END'
[Service]
Type=oneshot
ExecStart=/bin/true
RemainAfterExit=yes
[Install]
WantedBy=multi-user.target
END
cat >/usr/sbin/update-grub <<'END'
#!/bin/sh
set -e
cd /etc/default
. ./grub
for file in grub.d/*.cfg; do [ ! -e "$file" ] || . "./$file"; done
mkdir -p /boot/grub
{
  printf '\tlinux\t/boot/vmlinuz root=/dev/vda1 ro %s\n' "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"
  printf '\tlinux\t/boot/vmlinuz root=/dev/vda1 ro single %s\n' "$GRUB_CMDLINE_LINUX"
} >/boot/grub/grub.cfg
END
for program in /usr/sbin/kdump-config /usr/bin/makedumpfile /usr/sbin/kexec; do
  printf '#!/bin/sh\n' >"$program"
done
chmod 0755 /usr/sbin/update-grub /usr/sbin/kdump-config /usr/bin/makedumpfile /usr/sbin/kexec
systemctl daemon-reload
update-grub
# To be compared after what is refused, and after undo.
find /etc/default /etc/systemd /etc/sysctl.d /boot /usr/local /srv -type f -exec sha256sum {} + | sort >/root/start
