# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything is as it was before the first playbook ran."""

from __future__ import annotations


def test_each_file_is_as_before(host):
    now = host.check_output("find /etc /usr/local -path /etc/resolv.conf -prune -o -type f -exec sha256sum {} +")
    assert sorted(now.splitlines()) == sorted(host.check_output("cat /root/before").splitlines())


def test_systemd_has_no_limit_any_more(host):
    assert host.check_output("systemctl show -P MemoryMax steady.service") == "infinity"
    assert host.check_output("systemctl is-active steady.service") == "active"
