# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What strict accounting would mean for a host: the limit, what is left of it, and the programs that need more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.linux_memory.oom.plugins.filter.commitment import FilterModule
from ansible_collections.linux_memory.oom.plugins.module_utils import meminfo, overcommit, processes, system
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from ansible_collections.linux_memory.oom.plugins.plugin_utils.causes import limits
from ansible_collections.linux_memory.oom.plugins.plugin_utils.diagnosis import diagnose
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
GIB = 1024**3
MIB = 1024**2
commitment = FilterModule().filters()["commitment"]
ROOM = {"vm.overcommit_ratio": 100, "vm.admin_reserve_kbytes": 131072}


def program(name, reserved, used, count=1):
    return {"comm": name, "processes": count, "reserved": reserved, "used": used}


def host(committed=GIB, programs=(), mode=0, **changes):
    """Return the facts of a host with 8 GiB of RAM and 1 GiB of swap."""
    return {
        "system": {"page_size": 4096},
        "meminfo": {"mem_total": 8 * GIB, "swap_total": GIB, "hugetlb": 0},
        "overcommit": {"mode": mode, "committed": committed, "commit_limit": 5 * GIB, "admin_reserve": 8 * MIB}
        | changes,
        "processes": {"by_reserved": list(programs)},
    }


def refused(facts, settings=None, **more):
    return commitment(facts, settings or ROOM, **more)["refused"]


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"vm.overcommit_ratio": 50}, 5 * GIB),
        ({"vm.overcommit_ratio": 100}, 9 * GIB),
        ({"vm.overcommit_kbytes": 1024}, GIB + MIB),
        # What the kernel counts in whole pages: 5 KiB are one.
        ({"vm.overcommit_kbytes": 5}, GIB + 4096),
    ],
)
def test_the_limit_is_the_kernels(settings, limit):
    assert commitment(host(), settings)["limit"] == limit


def test_huge_pages_are_not_part_of_the_limit():
    facts = host()
    facts["meminfo"]["hugetlb"] = 2 * GIB
    assert commitment(facts, {"vm.overcommit_ratio": 50})["limit"] == 4 * GIB


def test_what_is_kept_for_root_is_not_left():
    answer = commitment(host(), ROOM)
    assert (answer["promised"], answer["left"]) == (GIB, 8 * GIB - 128 * MIB)
    assert (answer["refused"], answer["warnings"]) == ([], [])
    small = commitment(host(), {"vm.overcommit_ratio": 100})
    assert small["left"] == 8 * GIB - 8 * MIB
    assert "keeps 8 MiB for root, where a login and its tools need about 128 MiB" in small["warnings"][0]


def test_a_limit_below_what_is_promised_is_refused_with_both():
    (said,) = refused(host(committed=6 * GIB), {"vm.overcommit_ratio": 50})
    assert "overcommit_limit_ratio is 50" in said
    assert "5 GiB could be promised, and 6 GiB are promised already (Committed_AS)" in said


def test_a_limit_that_leaves_too_little_is_refused():
    wish = {"vm.overcommit_kbytes": 4 * MIB, "vm.admin_reserve_kbytes": 0}
    assert refused(host(committed=4 * GIB), wish, margin=25) == []
    (said,) = refused(host(committed=4 * GIB + 4096), wish, margin=25)
    assert "leaves 1024 MiB" in said or "leaves 1 GiB" in said
    assert "25 % of what is promised, have to be left (overcommit_limit_margin_percent)" in said


def test_what_cannot_be_read_is_refused():
    facts = host()
    del facts["overcommit"]
    for unknown in (facts, {}, {"meminfo": None, "overcommit": [], "processes": 5}):
        (said,) = refused(unknown)
        assert "could not be read" in said


@pytest.mark.parametrize("name", ["redis-server", "valkey-server", "keydb-server"])
def test_a_fork_that_saves_needs_its_parents_memory_again(name):
    facts = host(committed=5 * GIB, programs=[program(name, 3 * GIB, 2 * GIB)])
    assert refused(facts) == [], "3.9 GiB are left"
    facts = host(committed=6 * GIB, programs=[program(name, 3 * GIB, 2 * GIB)])
    (said,) = refused(facts)
    assert said.startswith(f"{name} reserves 3 GiB and uses 2 GiB; it saves from a fork")
    assert "2.9 GiB would be left" in said


@pytest.mark.parametrize("name", ["java", "dockerd", "containerd", "containerd-shim", "kubelet", "k3s-server", "crio"])
def test_programs_that_need_overcommit_are_refused_unless_accepted(name):
    facts = host(programs=[program("postgres", 2 * GIB, GIB), program(name, 10 * GIB, GIB)])
    (said,) = refused(facts)
    assert said.startswith(f"{name} reserves 10 GiB and uses 1 GiB; it ")
    assert refused(facts, accepted=["nothing"]) == [said]
    assert refused(facts, accepted=[name]) == []


def test_go_programs_are_warned_of():
    answer = commitment(host(programs=[program("prometheus", GIB, GIB // 2)]), ROOM)
    assert answer["refused"] == []
    assert answer["warnings"] == [
        "prometheus reserves 1 GiB and uses 512 MiB; it is a Go program, which ends where memory is refused"
    ]


@pytest.mark.parametrize("name", ["javascript", "my-redis-server", "postgres", "dockerd-rootles", "vaults", "gojava"])
def test_other_names_are_left_alone(name):
    answer = commitment(host(programs=[program(name, GIB, MIB)]), ROOM)
    assert (answer["refused"], answer["warnings"]) == ([], [])


def test_the_table_shows_what_is_reserved_against_what_is_used():
    rows = [program(f"p{number}", (20 - number) * MIB, 2 * MIB, count=2) for number in range(14)]
    table = commitment(host(programs=rows), ROOM)["table"]
    assert table[0].split() == ["program", "processes", "reserved", "used", "times"]
    assert table[1].split() == ["p0", "2", "20", "MiB", "2", "MiB", "10.0"]
    assert [line.split()[0] for line in table[1:]] == [f"p{number}" for number in range(10)] + ["together"]
    # 20 + 19 + ... + 7
    assert table[-1].split() == ["together", "28", "189", "MiB", "28", "MiB", "6.8"]


def test_no_name_of_a_program_reaches_the_terminal_as_it_is():
    table = commitment(host(programs=[program("\x1b[2J", GIB, MIB)]), ROOM)["table"]
    assert "\x1b" not in "".join(table)


def test_a_strict_host_that_gets_more_room_is_not_refused():
    tight = host(committed=5 * GIB, mode=2, programs=[program("java", 4 * GIB, GIB)])
    assert refused(tight, {"vm.overcommit_ratio": 51}, margin=50) == []
    # Less room is judged by its numbers; the programs run in mode 2 already.
    (said,) = refused(tight, {"vm.overcommit_ratio": 40}, margin=50)
    assert "4.2 GiB could be promised, and 5 GiB are promised already" in said
    assert refused(host(mode=2, programs=[program("java", 4 * GIB, GIB)]), {"vm.overcommit_ratio": 40}) == []


def test_a_setting_that_is_no_number_is_named():
    with pytest.raises(AnsibleFilterError, match=r"vm\.overcommit_ratio is 'half', which is no number"):
        commitment(host(), {"vm.overcommit_ratio": "half"})
    with pytest.raises(AnsibleFilterError, match="neither"):
        commitment(host(), {"vm.swappiness": 5})


SIZES = st.integers(0, 1 << 45)


@given(
    total=SIZES, swap=SIZES, huge=SIZES, committed=SIZES, kept=st.integers(0, 1 << 30),
    ratio=st.integers(1, 1000), margin=st.integers(0, 1000),
)  # fmt: skip
def test_a_host_is_refused_by_its_numbers_exactly_where_they_do_not_fit(
    total, swap, huge, committed, kept, ratio, margin
):
    facts = host(committed=committed, admin_reserve=kept)
    facts["meminfo"] = {"mem_total": total, "swap_total": swap, "hugetlb": min(huge, total)}
    answer = commitment(facts, {"vm.overcommit_ratio": ratio}, margin=margin)
    # mm/util.c, vm_commit_limit: pages times percent, rounded down, and the swap.
    limit = (total - min(huge, total)) // 4096 * ratio // 100 * 4096 + swap
    fits = committed <= limit and limit - committed - kept >= committed * margin / 100
    assert (answer["limit"], answer["refused"] == []) == (limit, fits)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(
    facts=st.fixed_dictionaries(
        {},
        optional={
            "system": st.fixed_dictionaries({}, optional={"page_size": ANYTHING}) | ANYTHING,
            "meminfo": st.dictionaries(st.sampled_from(["mem_total", "swap_total", "hugetlb"]), ANYTHING) | ANYTHING,
            "overcommit": st.dictionaries(st.sampled_from(["mode", "committed", "commit_limit"]), ANYTHING) | ANYTHING,
            "processes": st.fixed_dictionaries({"by_reserved": ANYTHING}) | ANYTHING,
        },
    )
)
def test_whatever_facts_hold_there_is_an_answer(facts):
    answer = commitment(facts, ROOM)
    assert all(isinstance(said, str) for said in answer["refused"] + answer["warnings"] + answer["table"])


# From what a host's own files say.


STATUS = "Name:\tjava\nVmRSS:\t {} kB\nRssAnon:\t {} kB\nVmData:\t {} kB\nVmStk:\t 1024 kB\nVmSwap:\t {} kB\n"


def test_a_host_is_judged_from_its_files(tmp_path):
    files = {
        "proc/meminfo": "MemTotal: 8388608 kB\nSwapTotal: 0 kB\nCommitted_AS: 1048576 kB\nCommitLimit: 4194304 kB\n",
        "proc/sys/vm/overcommit_memory": "0\n",
        "proc/sys/vm/admin_reserve_kbytes": "8192\n",
        "proc/7/status": STATUS.format(9024, 1024, 2097152, 5),
        "proc/8/status": STATUS.format(1024, 1024, 1024, 0),
        "proc/9/status": "Name:\tkthreadd\nThreads:\t1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    tree = Tree(str(tmp_path))
    options = {"top": 10000, "process_arguments": False, "seconds": 0}
    modules = {"system": system, "meminfo": meminfo, "overcommit": overcommit, "processes": processes}
    facts = {name: module.collect(tree, options) for name, module in modules.items()}
    assert facts["processes"]["reserved"] == 2 * GIB + 3 * MIB
    answer = commitment(facts, {"vm.overcommit_ratio": 80})
    assert answer["programs"][0] == {
        "name": "java",
        "processes": 2,
        "reserved": 2 * GIB + 3 * MIB,
        "used": 2 * MIB + 5120,
    }
    assert answer["refused"][0].startswith("java reserves 2 GiB and uses 2 MiB")


# What the diagnosis proposes is what the role takes, and does not refuse.

SPEC = yaml.safe_load((ROOT / "roles/overcommit_limit/meta/argument_specs.yml").read_text(encoding="utf-8"))
OPTIONS = SPEC["argument_specs"]["main"]["options"]


@given(
    total=st.integers(64, 1 << 22), swap=st.integers(0, 1 << 20), ratio=st.integers(1, 200),
    used=st.floats(0.951, 1.0), by_size=st.booleans(),
)  # fmt: skip
def test_what_is_proposed_is_not_refused(total, swap, ratio, used, by_size):
    """total and swap in MiB. The same facts, from the diagnosis to the role's preflight."""
    memory = {"mem_total": total * MIB, "swap_total": swap * MIB, "hugetlb": 0, "mem_available": total * MIB // 2}
    kbytes = total * 1024 * ratio // 100 if by_size else 0
    limit = overcommit.limit_in_mode_2(memory, ratio, kbytes * 1024, 4096)
    facts = {
        "system": {"page_size": 4096},
        "meminfo": memory,
        "swap": {"total": swap * MIB, "used": 0},
        "overcommit": {
            "mode": 2, "ratio": 0 if by_size else ratio, "kbytes": kbytes * 1024, "commit_limit": limit,
            "committed": int(limit * used), "admin_reserve": 8 * MIB,
        },
        "processes": {"by_reserved": [program("java", 4 * GIB, GIB)]},
    }  # fmt: skip
    found = {each["cause"]: each for each in diagnose(facts)}
    settings = found["overcommit_limit"]["remedy"]["vars"]
    assert settings
    assert set(settings) <= set(OPTIONS)
    names = {"overcommit_limit_ratio": "vm.overcommit_ratio", "overcommit_limit_kbytes": "vm.overcommit_kbytes"}
    wish = {names[name]: value for name, value in settings.items() if name in names}
    if not wish:
        assert settings == {"overcommit_limit_mode": 0}
        return
    default = yaml.safe_load((ROOT / "roles/overcommit_limit/defaults/main.yml").read_text(encoding="utf-8"))
    answer = commitment(facts, wish, margin=default["overcommit_limit_margin_percent"])
    assert answer["refused"] == []
    assert answer["limit"] > facts["overcommit"]["commit_limit"], "no more room than before"


def test_every_variable_that_the_diagnosis_names_is_one_of_the_role():
    named = set(re.findall(r'"(overcommit_limit_\w+)"', Path(limits.__file__).read_text(encoding="utf-8")))
    assert len(named) == 3
    assert named <= set(OPTIONS)
