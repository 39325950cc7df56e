# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After undo nothing of the role is left."""

from __future__ import annotations


def test_the_files_are_those_from_before(host):
    now = host.check_output("find /etc/sysctl.d /etc/systemd -print")
    assert sorted(now.splitlines()) == sorted(host.check_output("cat /root/before").splitlines())


def test_the_next_boot_would_not_be_strict(host):
    assert "overcommit" not in host.run("/lib/systemd/systemd-sysctl --cat-config").stdout
