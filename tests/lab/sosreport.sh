# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Runs in a guest of the lab after furnish.sh: makes a sosreport with the distribution's own tool, keeps of it what tells of
# memory, and writes it to its output as an archive. The package comes from the mirror that the guest was made from.
{
  [ -s /etc/resolv.conf ] || echo 'nameserver 10.0.2.3' >/etc/resolv.conf
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q update
  apt-get -q install -y --no-install-recommends sosreport
  mkdir -p /root/sos
  sos report --batch --quiet --build --label lab --tmp-dir /root/sos --plugin-timeout 900 --cmd-timeout 300 \
    --only-plugins block,cgroups,date,devicemapper,filesys,host,kdump,kernel,lvm2,md,memory,process,system,systemd
} >&2
cd /root/sos/sosreport-*/ || exit 1
# Nothing of the surroundings, no command lines or environments, no copies of what is large and never read.
rm -rf sos_logs sos_reports sos_strings etc/apt sys/kernel/debug
find . -type p -delete -o -type s -delete
find . -name environ -delete -o -name '*cmdline' -path './proc/[0-9]*' -delete -o -type f -size +256k -delete
tar -cf - .
