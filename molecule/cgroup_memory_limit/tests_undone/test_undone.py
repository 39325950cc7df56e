# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd says of the units after undo."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "unit",
    ["steady.service", "eater.service", "worker@one.service", "batch.slice", "user-4711.slice", "dbus.socket"],
)
def test_no_unit_is_limited(host, unit):
    properties = host.steady(unit)
    assert properties["MemoryMax"] == properties["MemorySwapMax"] == "infinity"
    assert properties["MemoryLow"] == "0"
    assert properties["NeedDaemonReload"] == "no"
    assert "linux_memory_oom" not in properties.get("DropInPaths", "")


def test_the_unit_is_as_before(host):
    properties = host.steady("steady.service")
    assert (properties["OOMPolicy"], properties["OOMScoreAdjust"], properties["ActiveState"]) == ("stop", "0", "active")
    assert host.said(f"cat /proc/{properties['MainPID']}/oom_score_adj") == "0"
    properties = host.steady("flaky.service")
    assert (properties["Restart"], properties["StartLimitIntervalUSec"]) == ("no", "10s")


def test_no_file_of_the_role_is_left(host):
    left = host.said("find /etc/systemd -name '*linux_memory*' -o -name '*.d' -empty").split()
    # This one was there before, and is not the role's.
    assert left == ["/etc/systemd/system/foreign.service.d/50-linux_memory_oom-memory_limit.conf"]
