# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is expected of a host beside what it has: met, or told in one sentence with what was found."""

from __future__ import annotations

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import expectations
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

MIB = 1 << 20
UNKNOWN = "systemd shows no such directive of this unit"
SHOP = {
    "LoadState": ["loaded"],
    "MemoryMax": [str(1024 * MIB)],
    "Restart": ["on-failure"],
    "RestartUSec": ["5s"],
    "OOMScoreAdjust": ["-500"],
    "ControlGroup": [""],
}


class Systemd:
    """A systemd that knows shop.service."""

    def running(self):
        """Return that it runs."""
        return True

    def show(self, names, _properties):
        """Return what it has for units."""
        return {name: [SHOP if name == "shop.service" else {"LoadState": ["not-found"]}] for name in names}


@pytest.fixture
def tree(tmp_path):
    """Return a host with two files of sysctls, of which the later one wins, and a swap file."""
    files = {
        "proc/sys/vm/swappiness": "60\n",
        "proc/sys/vm/dirty_ratio": "20\n",
        "etc/sysctl.d/10-image.conf": "vm.swappiness = 10\n",
        "etc/sysctl.d/90-other.conf": "vm.swappiness = 60\n",
        "proc/swaps": "Filename Type Size Used Priority\n/swapfile file 1048572 0 -2\n",
        "proc/meminfo": "MemTotal: 4194304 kB\n",
        "sys/kernel/kexec_crash_loaded": "1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Tree(str(tmp_path))


def told(checks):
    """Return what each check says."""
    return [(check["passed"], check["sentence"]) for check in checks]


def test_a_sysctl_is_looked_at_now_and_at_boot_and_the_file_that_wins_is_named(tree):
    assert told(expectations.of_sysctls(tree, {"vm.swappiness": 10}, ["running", "boot"])) == [
        (False, "vm.swappiness is 60 and has to be 10 (/proc/sys/vm/swappiness)."),
        (False, "vm.swappiness at boot is 60 and has to be 10 (/etc/sysctl.d/90-other.conf line 1)."),
    ]
    assert [check["passed"] for check in expectations.of_sysctls(tree, {"vm/swappiness": "0x3c"}, ["running"])] == [
        True
    ]
    assert told(expectations.of_sysctls(tree, {"vm.dirty_ratio": 20, "vm.nothing": 1}, ["boot"])) == [
        (False, "vm.dirty_ratio at boot is not set and has to be 20."),
        (False, "vm.nothing at boot is not set and has to be 1."),
    ]


def test_directives_are_compared_by_what_they_mean(tree):
    wanted = {"Service": {"MemoryMax": "1G", "RestartSec": "5000ms"}, "Restart": "on-failure", "OOMScoreAdjust": -500}
    checks = expectations.of_units(tree, Systemd(), {"shop.service": wanted}, lambda path: None)
    assert [check["passed"] for check in checks] == [True] * 4, told(checks)
    (one,) = expectations.of_units(tree, Systemd(), {"shop.service": {"MemoryMax": "25%"}}, lambda path: None)
    assert one["passed"]


def test_what_is_not_met_says_what_was_found(tree):
    wanted = {"shop.service": {"MemoryMax": "2G", "MemoryHigh": "1G"}, "gone.service": {"Restart": "no"}}
    assert told(expectations.of_units(tree, Systemd(), wanted, lambda path: None)) == [
        (False, f"shop.service MemoryMax is {1024 * MIB} and has to be {2048 * MIB} (systemctl show)."),
        (False, f"shop.service MemoryHigh is not set and has to be {1024 * MIB}: {UNKNOWN}."),
        (
            False,
            "gone.service Restart is not set and has to be no: systemd has no unit of that name loaded.",
        ),
    ]


def test_swap_has_to_be_active_large_enough_and_of_its_priority(tree):
    met = expectations.of_swaps(tree, [{"path": "/swapfile", "size": "1G", "priority": -2}])
    assert [check["passed"] for check in met] == [True, True, True]
    checks = expectations.of_swaps(tree, [{"path": "/swapfile", "size": "2G", "priority": 5}, {"path": "/other"}])
    assert [check["passed"] for check in checks] == [True, False, False, False]
    assert checks[-1]["sentence"] == "swap /other is not active and has to be active (/proc/swaps)."


def test_a_crash_kernel_is_loaded_or_must_not_be(tree):
    assert [check["passed"] for check in expectations.of_crash_kernel(tree, True)] == [True]
    assert [check["passed"] for check in expectations.of_crash_kernel(tree, False)] == [False]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda tree: expectations.of_sysctls(tree, {"swappiness": 1}, []), "sysctls: swappiness: 1 is not a setting"),
        (lambda tree: expectations.of_units(tree, Systemd(), {"shop": {"A": 1}}, None), "units: 'shop' is not"),
        (lambda tree: expectations.of_units(tree, Systemd(), {"a.service": {}}, None), "units: a.service needs"),
        (lambda tree: expectations.of_swaps(tree, [{"path": "/swapfile", "size": "much"}]), "swaps: size much"),
    ],
)
def test_what_cannot_be_expected_is_refused_in_one_sentence(tree, ask, said):
    with pytest.raises(expectations.BadInput, match=said):
        ask(tree)
