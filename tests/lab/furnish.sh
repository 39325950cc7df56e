# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Runs in a guest of the lab that has six spare disks (lab0 to lab5): gives it one of each thing that memory_facts reads.
disk() { readlink -f "/dev/disk/by-id/virtio-lab$1"; }
quiet() { "$@" >/dev/null 2>&1; }

# A service that met its limit and went on, and one that holds memory. They come before there is swap: the old hierarchy
# has no limit for it, and the first would move there instead. It knows MemoryMax by the name MemoryLimit.
cat >/etc/systemd/system/greedy.service <<'END'
[Service]
MemoryMax=48M
MemoryLimit=48M
MemorySwapMax=0
OOMPolicy=continue
ExecStart=/bin/sh -c 'python3 -c "x = bytes(range(256)) * (1 << 20)"; exec sleep infinity'
END
cat >/etc/systemd/system/holder.service <<'END'
[Service]
MemoryHigh=200M
MemoryMax=256M
MemoryLimit=256M
OOMScoreAdjust=-500
ExecStart=/usr/bin/python3 -c "import time; x = b'x' * (80 << 20); time.sleep(1000000)"
END
systemctl daemon-reload
systemctl start greedy holder
n=0
until dmesg | grep -q 'Memory cgroup out of memory' || [ "$n" -ge 60 ]; do n=$((n + 1)) && sleep 1; done

# Swap on a disk, in a file, and compressed in memory.
quiet mkswap "$(disk 0)"
swapon --priority 5 "$(disk 0)"
dd if=/dev/zero of=/swapfile bs=1M count=64 status=none
chmod 0600 /swapfile
quiet mkswap /swapfile
swapon /swapfile
if modprobe zram 2>/dev/null && [ -e /sys/block/zram0/disksize ]; then
  echo 64M >/sys/block/zram0/disksize
  quiet mkswap /dev/zram0
  swapon --priority 100 /dev/zram0
fi

# A mirror with one half missing, a file system on the device mapper, one on a partition, one behind a loop.
modprobe -a raid1 dm-mod loop 2>/dev/null || true
quiet mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 "$(disk 1)" missing || true
if [ -b /dev/md0 ]; then quiet mkfs.ext4 -q /dev/md0 && mkdir -p /srv/array && mount /dev/md0 /srv/array; fi
quiet mkfs.ext4 -q "$(disk 2)"
if dmsetup create lab-linear --table "0 $(($(blockdev --getsz "$(disk 2)"))) linear $(disk 2) 0"; then
  udevadm settle
  mkdir -p "/srv/with space" && mount /dev/mapper/lab-linear "/srv/with space"
fi
# One partition of 64 MiB from sector 2048 on, written by hand: the guest has no partitioning tool.
{
  printf '\000\000\000\000\203\000\000\000\000\010\000\000\000\000\002\000'
  dd if=/dev/zero bs=48 count=1 status=none
  printf '\125\252'
} | dd of="$(disk 3)" bs=1 seek=446 conv=notrunc,fsync status=none
# udev looks at the disk after each write and keeps it busy meanwhile.
n=0
until blockdev --rereadpt "$(disk 3)" 2>/dev/null || [ "$n" -ge 60 ]; do n=$((n + 1)) && sleep 1; done
udevadm settle
quiet mkfs.ext4 -q "$(disk 3)1" && mkdir -p /srv/part && mount "$(disk 3)1" /srv/part
dd if=/dev/zero of=/srv/part/image bs=1M count=16 status=none
quiet mkfs.ext4 -q /srv/part/image && mkdir -p /srv/loop && mount -o loop /srv/part/image /srv/loop
# A file system that fstab wants writable and that is not.
quiet mkfs.ext4 -q "$(disk 4)"
mkdir -p /srv/broken
echo "$(disk 4) /srv/broken ext4 defaults 0 0" >>/etc/fstab
mount -o ro "$(disk 4)" /srv/broken

# Settings from several directories: hidden, excluded, by pattern, with slashes, overridden.
mkdir -p /etc/sysctl.d /run/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d
printf 'vm.swappiness = 10\nvm.dirty_ratio=15\n' >/etc/sysctl.d/10-first.conf
printf '# later\nvm/swappiness = 40\n-vm.does_not_exist = 1\n' >/usr/local/lib/sysctl.d/50-later.conf
printf 'vm.swappiness = 99\n' >/usr/lib/sysctl.d/60-hidden.conf
ln -sf /dev/null /etc/sysctl.d/60-hidden.conf
printf 'vm.overcommit_* = 0\n-vm.overcommit_ratio\nvm.max_map_count=262144\n' >/run/sysctl.d/70-pattern.conf
printf 'vm.dirty_background_bytes = 67108864\nkernel.panic = 10\n' >/etc/sysctl.d/90-bytes.conf
systemctl restart systemd-sysctl
sysctl -q -w vm.page-cluster=1

# Memory of kinds that a host may hold: huge pages, tmpfs, locked pages, dirty pages.
sysctl -q -w vm.nr_hugepages=8
dd if=/dev/urandom of=/dev/shm/held bs=1M count=24 status=none
sync
dd if=/dev/zero of=/srv/part/dirty bs=1M count=8 status=none
