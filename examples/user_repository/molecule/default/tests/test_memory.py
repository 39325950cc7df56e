# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same with testinfra: pytest --hosts=ansible://all --ansible-inventory=INVENTORY molecule/default/tests"""

from testinfra_memory import assert_memory, memory_checks


def test_the_limit_is_in_force_and_the_loop_is_bounded(host):
    wanted = {"shop-import.service": {"MemoryMax": "512M", "StartLimitIntervalSec": "1h", "StartLimitBurst": 4}}
    assert_memory(host, units=wanted)


def test_the_next_boot_swaps_late(host):
    (check,) = memory_checks(host, sysctl_moments=["boot"], sysctls={"vm.swappiness": 10})
    assert check["source"] == "/etc/sysctl.d/60-shop.conf line 3"
    assert check["passed"], check["sentence"]
