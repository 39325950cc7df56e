# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After undo nothing of the role is left, and what is important runs on."""

from __future__ import annotations


def test_the_files_are_those_from_before(host):
    now = host.check_output("find /etc/systemd /usr/local /etc/linux_memory_oom -print 2>/dev/null; true")
    assert sorted(now.splitlines()) == sorted(host.check_output("cat /root/before").splitlines())


def test_no_unit_is_left(host):
    assert "linux_memory_oom" not in host.check_output("systemctl list-units --all --no-legend --no-pager")
    assert "linux_memory_oom" not in host.check_output("systemctl list-unit-files --no-legend --no-pager")


def test_the_service_runs_on(host):
    said = host.check_output("systemctl show --property=ActiveState,Wants,OOMScoreAdjust important.service")
    assert {"ActiveState=active", "OOMScoreAdjust=0"} <= set(said.splitlines())
    assert "linux_memory_oom" not in said
    # The brackets keep the pattern from matching the command that holds it.
    assert host.run("pgrep -f 'oom_canary[.]py'").rc == 1
