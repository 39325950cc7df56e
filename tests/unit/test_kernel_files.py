# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The subsets that are one kernel file each: meminfo, vmstat, pressure, overcommit, and what kind of host it is."""

from __future__ import annotations

import math
import string

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import meminfo, overcommit, pressure, system, vmstat
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

MEMINFO = """\
MemTotal:        2018836 kB
MemFree:          103936 kB
MemAvailable:    1575256 kB
Active(anon):       1556 kB
SwapTotal:       1048572 kB
SUnreclaim:        31228 kB
CommitLimit:     2057988 kB
Committed_AS:     513764 kB
HugePages_Total:       2
Hugepagesize:       2048 kB
Hugetlb:            4096 kB
DirectMap2M:     2015232 kB
"""


def tree_of(tmp_path, **files):
    """Return a Tree that holds the given files; "__" in a name stands for "/"."""
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(str(tmp_path))


@pytest.mark.parametrize(
    ("kernel", "ours"),
    [
        ("MemTotal", "mem_total"),
        ("SReclaimable", "s_reclaimable"),
        ("SUnreclaim", "s_unreclaim"),
        ("KReclaimable", "k_reclaimable"),
        ("Active(anon)", "active_anon"),
        ("HugePages_Total", "huge_pages_total"),
        ("Hugepagesize", "hugepagesize"),
        ("Committed_AS", "committed_as"),
        ("NFS_Unstable", "nfs_unstable"),
        ("DirectMap2M", "direct_map2m"),
        ("SecPageTables", "sec_page_tables"),
        ("ShmemPmdMapped", "shmem_pmd_mapped"),
        ("AnonHugePages", "anon_huge_pages"),
    ],
)
def test_names_of_meminfo(kernel, ours):
    assert meminfo.snake(kernel) == ours


def test_meminfo_is_bytes_and_huge_pages_are_counts():
    values = meminfo.parse_meminfo(MEMINFO)
    assert values["mem_total"] == 2018836 * 1024
    assert values["active_anon"] == 1556 * 1024
    assert values["huge_pages_total"] == 2
    assert len(values) == len(MEMINFO.splitlines())


def test_meminfo_skips_what_it_does_not_understand():
    assert meminfo.parse_meminfo("MemTotal: lots kB\nMemFree: -3 kB\nMemFree: 1 MB\n\x00\nSlab: 4 kB\n") == {
        "slab": 4096
    }


def test_meminfo_that_is_missing_or_garbage_is_said(tmp_path):
    tree = Tree(str(tmp_path))
    assert meminfo.collect(tree, {}) is None
    assert tree.unavailable["meminfo"] == "/proc/meminfo: does not exist"
    tree = tree_of(tmp_path, proc__meminfo="\x00garbage\n")
    assert meminfo.collect(tree, {}) is None
    assert "no line could be understood" in tree.unavailable["meminfo"]


VMSTAT_OLD = """\
nr_free_pages 100
nr_dirty_threshold 5
nr_dirty_background_threshold 2
pgscan_kswapd_dma 1
pgscan_kswapd_normal 2
pgscan_direct_dma 4
pgscan_direct_throttle 64
pgsteal_kswapd_dma 8
allocstall 3
"""
VMSTAT_NEW = """\
pgscan_kswapd 1
pgscan_direct 2
pgscan_khugepaged 4
pgscan_proactive 8
pgscan_direct_throttle 64
pgscan_anon 7
pgscan_file 8
pgsteal_kswapd 1
pgsteal_direct 1
allocstall_dma 1
allocstall_normal 2
allocstall_movable 3
oom_kill 1
"""


def test_vmstat_sums_of_zones_and_of_reclaimers():
    old = vmstat.with_sums(vmstat.parse_vmstat(VMSTAT_OLD))
    assert (old["pgscan"], old["pgsteal"], old["allocstall"]) == (7, 8, 3)
    new = vmstat.with_sums(vmstat.parse_vmstat(VMSTAT_NEW))
    assert (new["pgscan"], new["pgsteal"], new["allocstall"]) == (15, 2, 6)


def test_vmstat_without_a_counter_has_no_sum_of_it():
    assert "pgscan" not in vmstat.with_sums({"nr_free_pages": 1})


def test_rates_are_per_second_and_null_after_a_reset():
    found = vmstat.rates({"pswpin": 10, "oom_kill": 5}, {"pswpin": 30, "oom_kill": 1}, 4.0)
    assert found["pswpin"] == 5.0
    assert found["oom_kill"] is None
    assert found["pgscan"] is None
    assert set(found) == set(vmstat.RATES)


def test_vmstat_thresholds_are_bytes(tmp_path):
    value = vmstat.collect(tree_of(tmp_path, proc__vmstat=VMSTAT_OLD), {})
    assert value["dirty_threshold"] == 5 * 4096
    assert value["dirty_background_threshold"] == 2 * 4096
    assert value["rates"] is None
    assert "nr_free_pages" in value["pages"]
    assert "nr_free_pages" not in value["counters"]


def test_vmstat_rates_of_a_window(tmp_path):
    tree = tree_of(tmp_path, proc__vmstat="pswpin 100\n")
    assert vmstat.collect(tree, {}, earlier=({"pswpin": 60}, 2.0))["rates"]["pswpin"] == 20.0


PSI = "some avg10=1.50 avg60=0.25 avg300=0.00 total=2500000\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=1000000\n"


def test_pressure_totals_are_seconds():
    parsed = pressure.parse_pressure(PSI)
    assert parsed["some"] == {"avg10": 1.5, "avg60": 0.25, "avg300": 0.0, "total": 2.5}
    assert parsed["full"]["total"] == 1.0


@pytest.mark.parametrize(
    "line",
    [
        "some avg10=nan avg60=0 avg300=0 total=0",
        "some avg10=inf avg60=0 avg300=0 total=0",
        "some avg10=-1 avg60=0 avg300=0 total=0",
        "some avg10=0 avg60=0 total=0",
        "most avg10=0 avg60=0 avg300=0 total=0",
        "some avg10=0 avg60=0 avg300=0 total=x",
        "some",
        "",
    ],
)
def test_pressure_lines_that_are_nonsense_are_skipped(line):
    assert pressure.parse_pressure(line) == {}


def test_pressure_share_of_the_window(tmp_path):
    tree = tree_of(tmp_path, proc__pressure__memory=PSI)
    value = pressure.collect(tree, {}, earlier=({"memory": {"some": 1.5, "full": 1.0}}, 2.0))
    assert value["memory"]["some"]["share"] == 0.5
    assert value["memory"]["full"]["share"] == 0.0
    assert "does not exist" in tree.unavailable["pressure.io"]


def test_no_pressure_at_all_is_one_reason(tmp_path):
    tree = Tree(str(tmp_path))
    assert pressure.collect(tree, {}) is None
    assert list(tree.unavailable) == ["pressure"]
    assert "CONFIG_PSI" in tree.unavailable["pressure"]


def test_commit_limit_is_what_the_kernel_computed():
    memory = meminfo.parse_meminfo(MEMINFO)
    assert abs(overcommit.limit_in_mode_2(memory, 50, 0, 4096) - memory["commit_limit"]) <= 4096 * 2 + 2048 * 1024


@pytest.mark.parametrize(
    ("ratio", "kbytes", "expected"),
    [(50, 0, 4096 * 50 + 1000), (100, 0, 4096 * 100 + 1000), (0, 0, 1000), (50, 8192, 8192 + 1000), (None, 0, None)],
)
def test_commit_limit(ratio, kbytes, expected):
    assert overcommit.limit_in_mode_2({"mem_total": 4096 * 100, "swap_total": 1000}, ratio, kbytes, 4096) == expected


def test_commit_limit_leaves_out_huge_pages_on_old_and_new_kernels():
    base = {"mem_total": 4096 * 1024, "swap_total": 0}
    new = overcommit.limit_in_mode_2({**base, "hugetlb": 4096 * 512}, 100, 0, 4096)
    old = overcommit.limit_in_mode_2({**base, "huge_pages_total": 1, "hugepagesize": 4096 * 512}, 100, 0, 4096)
    assert new == old == 4096 * 512


def test_overcommit_of_a_host(tmp_path):
    tree = tree_of(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__sys__vm__overcommit_memory="2\n",
        proc__sys__vm__overcommit_ratio="50\n",
        proc__sys__vm__overcommit_kbytes="0\n",
        proc__sys__vm__admin_reserve_kbytes="8192\n",
    )
    value = overcommit.collect(tree, {})
    assert (value["mode"], value["limit_by"], value["admin_reserve"]) == (2, "ratio", 8192 * 1024)
    assert value["fits_mode_2"] is True
    assert value["user_reserve"] is None


def test_overcommit_of_a_sosreport_comes_from_its_sysctl_list(tmp_path):
    tree = tree_of(
        tmp_path,
        proc__meminfo=MEMINFO,
        **{"sos_commands__kernel__sysctl_-a": "vm.overcommit_memory = 1\nvm.overcommit_ratio = 80\n"},
    )
    value = overcommit.collect(tree, {})
    assert (value["mode"], value["ratio"], value["limit_by"]) == (1, 80, None)


def test_page_size_of_another_tree_is_inferred(tmp_path):
    tree = tree_of(tmp_path, proc__meminfo="MemFree: 6400 kB\n", proc__vmstat="nr_free_pages 101\n")
    assert system.page_size(tree) == 65536
    assert system.page_size(Tree(str(tmp_path / "empty"))) == 4096


def test_a_container_is_named_by_what_its_engine_left(tmp_path):
    assert system.container(tree_of(tmp_path / "a", etc__x="")) is None
    assert system.container(tree_of(tmp_path / "b", run__systemd__container="systemd-nspawn\n")) == "systemd-nspawn"
    assert system.container(tree_of(tmp_path / "c", **{"run__.containerenv": ""})) == "podman"
    assert system.container(tree_of(tmp_path / "d", **{".dockerenv": ""})) == "docker"
    assert system.container(tree_of(tmp_path / "e", run__systemd__container="wsl\n")) == "other"


def test_what_kind_of_host_it_is(tmp_path):
    tree = tree_of(
        tmp_path,
        **{
            "etc__os-release": 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\n',
            "proc__version": "Linux version 6.1.0-32-amd64 (builder) #1 SMP\n",
            "proc__stat": "cpu  1 2\ncpu0 1 2\ncpu1 1 2\nintr 5\n",
            "proc__uptime": "12.50 20.00\n",
            "sys__kernel__mm__lru_gen__enabled": "0x0007\n",
        },
    )
    value = system.collect(tree, {"seconds": 0})
    assert value["kernel"] == "6.1.0-32-amd64"
    assert value["distribution"] == {"id": "debian", "version_id": "12", "pretty_name": "Debian GNU/Linux 12"}
    assert (value["cpus"], value["uptime"], value["lru_gen"]) == (2, 12.5, True)


anything = st.text() | st.text(alphabet=string.printable)


def mutated(text):
    """Return a strategy: the text with a piece cut out and something else put there."""
    return st.builds(
        lambda start, length, put: text[:start] + put + text[start + length :],
        st.integers(0, len(text)),
        st.integers(0, 40),
        anything,
    )


@given(anything | mutated(MEMINFO))
def test_meminfo_takes_anything(text):
    assert all(isinstance(value, int) and value >= 0 for value in meminfo.parse_meminfo(text).values())


@given(anything | mutated(VMSTAT_NEW) | mutated(VMSTAT_OLD))
def test_vmstat_takes_anything(text):
    assert all(value >= 0 for value in vmstat.with_sums(vmstat.parse_vmstat(text)).values())


@given(anything | mutated(PSI))
def test_pressure_takes_anything(text):
    for values in pressure.parse_pressure(text).values():
        assert all(math.isfinite(value) and value >= 0 for value in values.values())


@given(anything)
def test_what_names_a_host_takes_anything(text):
    assert set(system.parse_os_release(text)) == {"id", "version_id", "pretty_name"}
    system.parse_sysctl_list(text)


@given(st.dictionaries(st.sampled_from(vmstat.RATES), st.integers(0, 2**64)), st.floats(0.001, 3600))
def test_rates_are_never_negative(before, seconds):
    after = {name: value + 1 for name, value in before.items()}
    assert all(value is None or value >= 0 for value in vmstat.rates(before, after, seconds).values())
