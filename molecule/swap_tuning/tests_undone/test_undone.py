# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After undo nothing of the role is left, and the hosts have what they had."""

from __future__ import annotations

LOOK = (
    "sha256sum /etc/fstab; find /etc/systemd /etc/sysctl.d /usr/local /etc/linux_memory_oom -print 2>/dev/null | sort"
)


def test_the_files_are_those_from_before(host):
    assert not host.file("/etc/linux_memory_oom").exists
    assert host.run("sh -c %s", LOOK).stdout.strip() == host.check_output("cat /root/before").strip()


def test_no_unit_is_left(host):
    assert "linux_memory_oom" not in host.check_output("systemctl list-units --all --no-legend --no-pager '*.timer'")
    assert "linux_memory_oom" not in host.check_output("systemctl list-unit-files --no-legend --no-pager")


def test_the_services_are_as_they_were(host):
    said = host.check_output("systemctl show --property=RuntimeMaxUSec,ActiveState,DropInPaths growing.service")
    assert set(said.splitlines()) == {"RuntimeMaxUSec=infinity", "ActiveState=active", "DropInPaths="}
