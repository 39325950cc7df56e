# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is there after undo: what was there before the role first ran, byte for byte."""

from __future__ import annotations


def test_every_file_is_what_it_was(host):
    look = "find /etc/default /etc/systemd /etc/sysctl.d /boot /usr/local /srv -type f -exec sha256sum {} + | sort"
    assert host.check_output(look) == host.file("/root/start").content_string.strip()


def test_nothing_of_the_role_runs_at_boot(host):
    assert host.run("systemctl is-enabled kdump-tools").stdout.strip() == "disabled"
    assert host.run("systemctl cat linux_memory_oom-crash-retention").rc != 0
