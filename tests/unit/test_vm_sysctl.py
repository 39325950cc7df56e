# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_sysctl on a host in a directory: set, read back, override, rename, undo, and what must not happen."""

from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import owned_file, vm_sysctl_change
from ansible_collections.linux_memory.oom.plugins.module_utils.vm_sysctl_change import Refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sysctl_hosts import Kernel

OURS = "/etc/sysctl.d/90-linux_memory_oom.conf"
DIRTY = {"vm.dirty_bytes": 268435456, "vm.dirty_background_bytes": 67108864}


@pytest.fixture
def host(tmp_path):
    """Return a host as it starts."""
    return Kernel(tmp_path)


def brief(change, *names):
    """Return what a run says of settings, in short."""
    items = change.items()
    return [(items[name]["before"], items[name]["after"], items[name]["boot"], items[name]["status"]) for name in names]


# Set, and take back.


def test_set_now_and_at_boot(host):
    done = host.change(DIRTY)
    assert done.changed
    assert brief(done, "vm.dirty_bytes", "vm.dirty_ratio") == [
        ("0", "268435456", "268435456", "applied"),
        ("20", "0", "0", "applied"),
    ]
    assert done.items()["vm.dirty_bytes"]["file"] == OURS
    assert host.get("vm.dirty_bytes") == "268435456"
    assert host.get("vm.dirty_ratio") == "0"
    line = host.text(OURS).splitlines()[done.items()["vm.dirty_bytes"]["line"] - 1]
    assert line == "vm.dirty_bytes = 268435456"


def test_twice_changes_nothing(host):
    host.change(DIRTY)
    before = host.state()
    host.written.clear()
    again = host.change(DIRTY)
    assert not again.changed
    assert not host.written
    assert host.state() == before


def test_undo_restores_everything(host):
    before = host.state()
    host.change({**DIRTY, "vm.swappiness": 10, "kernel.panic": 10})
    undone = host.change()
    assert undone.changed
    assert brief(undone, "vm.swappiness", "vm.dirty_ratio") == [
        ("10", "60", None, "restored"),
        ("0", "20", None, "restored"),
    ]
    assert host.state() == before
    assert not host.change().changed


def test_undo_where_nothing_was_done(host):
    before = host.state()
    done = host.change()
    assert (done.changed, done.items(), host.state()) == (False, {}, before)


def test_what_was_before_survives_other_values_and_a_reboot(host):
    host.put("/proc/sys/vm/swappiness", "33\n")
    host.change({"vm.swappiness": 10})
    host.change({"vm.swappiness": 20, "vm.page-cluster": 0})
    host.change({"vm.swappiness": 20})
    assert host.get("vm.page-cluster") == "3"
    host.change()
    assert host.get("vm.swappiness") == "33"


def test_a_value_that_somebody_changed_since_is_left(host):
    host.change({"vm.swappiness": 10})
    host.put("/proc/sys/vm/swappiness", "35\n")
    undone = host.change()
    assert brief(undone, "vm.swappiness") == [("35", "35", None, "left")]
    assert host.get("vm.swappiness") == "35"
    assert "changed by somebody else" in undone.warnings[0]
    assert host.text(OURS) is None


def test_a_running_value_that_drifted_is_set_again(host):
    host.change({"vm.swappiness": 10})
    host.put("/proc/sys/vm/swappiness", "35\n")
    done = host.change({"vm.swappiness": 10})
    assert done.changed
    assert host.get("vm.swappiness") == "10"
    host.change()
    assert host.get("vm.swappiness") == "60"


def test_a_running_value_that_is_right_and_a_boot_that_is_not(host):
    done = host.change({"vm.swappiness": 60})
    assert done.changed
    assert not host.written
    assert brief(done, "vm.swappiness") == [("60", "60", "60", "applied")]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["vm.swappiness", "vm.dirty_ratio", "vm.dirty_background_bytes", "vm.overcommit_kbytes"]),
            st.integers(1, 100),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_sequence_is_predicted_and_can_be_undone(tmp_path_factory, steps):
    host = Kernel(tmp_path_factory.mktemp("host"))
    start = host.state()
    for step in [*steps, None]:
        before = host.state()
        predicted = host.change(step, check=True, force=True)
        assert host.state() == before
        done = host.change(step, force=True)
        assert (predicted.items(), predicted.diff(), predicted.changed) == (done.items(), done.diff(), done.changed)
        assert done.changed == (host.state() != before)
        for name, value in (step or {}).items():
            assert host.get(name) == str(value)
    assert host.state() == start


# Other files.


def test_a_later_file_is_named_and_nothing_changes(host):
    host.put("/etc/sysctl.d/99-local.conf", "# x\nvm.swappiness = 60\n")
    before = host.state()
    with pytest.raises(Refused, match=r"/etc/sysctl.d/99-local.conf line 2 sets vm.swappiness to 60"):
        host.change({"vm.swappiness": 10})
    assert host.state() == before


def test_the_other_one_of_a_pair_is_an_override_too(host):
    host.put("/usr/lib/sysctl.d/95-vendor.conf", "vm.dirty_ratio = 40\n")
    with pytest.raises(Refused, match="95-vendor.conf line 1 sets vm.dirty_ratio, which makes vm.dirty_bytes 0"):
        host.change(DIRTY)


def test_an_exclusion_is_an_override_too(host):
    host.put("/etc/sysctl.d/99-local.conf", "-vm.swappiness\n")
    with pytest.raises(Refused, match="99-local.conf line 1 keeps vm.swappiness from being set"):
        host.change({"vm.swappiness": 10})


def test_an_earlier_file_is_none(host):
    host.put("/etc/sysctl.d/10-local.conf", "vm.swappiness = 60\nvm.dirty_ratio = 3\n")
    done = host.change({"vm.swappiness": 10, **DIRTY})
    assert done.items()["vm.swappiness"]["boot_before"] == "60"
    assert brief(done, "vm.dirty_ratio") == [("20", "0", "0", "applied")]


def test_the_same_value_elsewhere_is_none(host):
    host.put("/etc/sysctl.d/99-local.conf", "vm.swappiness = 10\n")
    assert host.change({"vm.swappiness": 10}).changed


def test_warn_writes_all_the_same(host):
    host.put("/etc/sysctl.d/99-local.conf", "vm.swappiness = 60\n")
    done = host.change({"vm.swappiness": 10}, on_override="warn")
    assert brief(done, "vm.swappiness") == [("60", "10", "60", "applied")]
    assert "99-local.conf line 1 sets vm.swappiness to 60" in done.warnings[0]
    assert not host.change({"vm.swappiness": 10}, on_override="warn").changed


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ("95-x.conf", "99-linux_memory_oom.conf"),
        ("99-sysctl.conf", "zz-linux_memory_oom.conf"),
        ("zz-z.conf", "zzz-linux_memory_oom.conf"),
    ],
)
def test_rename_takes_a_later_name_and_finds_it_again(host, other, name):
    host.put("/etc/sysctl.d/" + other, "vm.swappiness = 60\n")
    start = host.state()
    host.change({"vm.page-cluster": 0})
    done = host.change({"vm.page-cluster": 0, "vm.swappiness": 10}, on_override="rename")
    assert done.place == "/etc/sysctl.d/" + name
    assert host.text(OURS) is None
    assert brief(done, "vm.swappiness") == [("60", "10", "10", "applied")]
    again = host.change({"vm.page-cluster": 0, "vm.swappiness": 10})
    assert (again.changed, again.place) == (False, done.place)
    host.change()
    assert host.state() == start


def test_no_name_helps_against_what_is_read_last(host):
    host.put("/usr/lib/systemd/system/systemd-sysctl.service", "[Service]\nImportCredential=sysctl.*\n")
    host.put("/etc/credstore/sysctl.extra", "vm.swappiness = 1\n")
    with pytest.raises(Refused, match="is read late enough: .*sysctl.extra line 1 sets"):
        host.change({"vm.swappiness": 10}, on_override="rename")


def test_two_purposes_do_not_meet(host):
    swap = "/etc/sysctl.d/90-linux_memory_oom-swap.conf"
    host.change({"vm.swappiness": 10}, path=swap)
    host.change(DIRTY)
    host.change(path=swap)
    assert host.get("vm.swappiness") == "60"
    assert host.get("vm.dirty_bytes") == "268435456"
    host.change()
    assert host.get("vm.dirty_ratio") == "20"


def test_a_file_of_somebody_else_is_not_touched(host):
    host.put(OURS, "vm.swappiness = 1\n")
    before = host.state()
    for wish in ({"vm.swappiness": 10}, None):
        with pytest.raises(Refused, match="is not a file of this collection"):
            host.change(wish)
    assert host.state() == before


def test_a_vendors_file_of_the_same_name_is_not_hidden(host):
    host.put("/usr/lib/sysctl.d/90-linux_memory_oom.conf", "vm.swappiness = 1\n")
    with pytest.raises(Refused, match="would hide /usr/lib/sysctl.d/90-linux_memory_oom.conf"):
        host.change({"vm.swappiness": 10})


@pytest.mark.parametrize(
    "path", ["/etc/sysctl.conf", "/etc/sysctl.d/x", "/etc/sysctl.d/../x.conf", "x.conf", "/etc/sysctl.d/.x.conf"]
)
def test_a_path_elsewhere_is_refused(host, path):
    with pytest.raises(Refused, match="path: .* is not a file in /etc/sysctl.d whose name ends with .conf"):
        host.change({"vm.swappiness": 10}, path=path)


# Agents.


def test_tuned_is_named_where_it_wins(host):
    host.put("/etc/tuned/active_profile", "mine\n")
    host.put("/etc/tuned/mine/tuned.conf", "[main]\ninclude=throughput-performance\n[sysctl]\nvm.swappiness=30\n")
    host.put("/usr/lib/tuned/throughput-performance/tuned.conf", "[sysctl]\nvm.dirty_ratio = 40\nvm.swappiness=10\n")
    done = host.change({"vm.swappiness": 10, **DIRTY})
    assert [(one["agent"], one["name"], one["value"], one["line"], one["wins"]) for one in done.agents] == [
        ("TuneD", "vm.dirty_ratio", "40", 2, False),
        ("TuneD", "vm.swappiness", "30", 4, False),
    ]
    assert not done.warnings
    host.put("/etc/tuned/tuned-main.conf", "reapply_sysctl = 0\n")
    done = host.change({"vm.swappiness": 10, **DIRTY})
    assert (
        "TuneD sets vm.swappiness to 30 (/etc/tuned/mine/tuned.conf line 4): reapply_sysctl is off" in done.warnings[1]
    )
    # The same value is no fight.
    assert not host.change({"vm.swappiness": 30}).agents


def test_a_kubelet_is_named(host):
    host.put("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
    done = host.change({"vm.panic_on_oom": 1, "kernel.panic": 10})
    assert [(one["agent"], one["name"], one["wins"]) for one in done.agents] == [("kubelet", "vm.panic_on_oom", True)]
    host.put("/var/lib/kubelet/config.yaml", "protectKernelDefaults: true\n")
    assert "does not start" in host.change({"vm.panic_on_oom": 1, "kernel.panic": 10}).agents[0]["why"]


@pytest.mark.parametrize("line", ["sysctl -w kernel.panic=-1", "echo -n -1 > /proc/sys/kernel/panic"])
def test_a_negative_value_of_others_is_named(host, line):
    host.put("/etc/rc.local", line + "\n")
    assert [one["value"] for one in host.change({"kernel.panic": 10}).agents] == ["-1"]
    # The same value is no fight.
    assert not host.change({"kernel.panic": -1}).agents


@pytest.mark.parametrize(
    ("path", "text", "agent"),
    [
        ("/etc/cloud/cloud.cfg.d/90-x.cfg", "runcmd:\n  - sysctl -w vm.swappiness=1\n", "cloud-init"),
        (
            "/var/lib/cloud/instance/user-data.txt",
            "#cloud-config\nbootcmd: [sh, -c, 'echo 1 > /proc/sys/vm/swappiness']\n",
            "cloud-init",
        ),
        ("/etc/tmpfiles.d/x.conf", "#\nw /proc/sys/vm/swappiness - - - - 1\n", "tmpfiles.d"),
        ("/etc/rc.local", "#!/bin/sh\necho 1 | tee /proc/sys/vm/swappiness\n", "boot script"),
        ("/etc/systemd/system/x.service", "[Service]\nExecStart=/sbin/sysctl vm.swappiness=1\n", "unit"),
        ("/etc/cron.d/x", "\n@reboot root sysctl -w 'vm/swappiness=1'\n", "cron"),
    ],
)
def test_other_places_are_named_with_their_line(host, path, text, agent):
    host.put(path, text)
    host.put("/etc/tmpfiles.d/y.conf", "# vm.swappiness = 1\nw /proc/sys/vm/page-cluster - - - - 1\n")
    done = host.change({"vm.swappiness": 10})
    assert [(one["agent"], one["name"], one["value"], one["file"], one["line"]) for one in done.agents] == [
        (agent, "vm.swappiness", "1", path, 2)
    ]
    assert path in done.warnings[0]


def test_sysctl_by_hand_and_a_masked_service_are_told_of(host):
    host.put("/etc/sysctl.conf", "vm.swappiness = 1\n")
    (host.root / "etc/systemd/system").mkdir(parents=True)
    (host.root / "etc/systemd/system/systemd-sysctl.service").symlink_to("/dev/null")
    done = host.change({"vm.swappiness": 10})
    assert "/etc/sysctl.conf line 1" in done.warnings[0]
    assert "systemd-sysctl.service is masked" in done.warnings[1]


# What cannot be written.


def read_only(monkeypatch, number):
    """Let /proc/sys refuse to be opened for writing."""
    real = os.open

    def refuse(path, flags, *rest, **more):
        if "proc/sys" in str(path) and flags & os.O_WRONLY:
            raise OSError(number, os.strerror(number), path)
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(vm_sysctl_change.os, "open", refuse)


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.EROFS, "read_only"), (errno.EACCES, "persisted_only"), (errno.EPERM, "persisted_only")],
)
def test_what_the_kernel_keeps_is_told_for_each_setting(host, monkeypatch, number, status):
    read_only(monkeypatch, number)
    wish = {"vm.swappiness": 10, "vm.page-cluster": 3}
    predicted = host.change(wish, check=True)
    done = host.change(wish)
    assert predicted.items() == done.items()
    assert brief(done, "vm.swappiness", "vm.page-cluster") == [("60", "60", "10", status), ("3", "3", "3", "applied")]
    assert not host.written
    (told,) = done.refusals()
    assert "/proc/sys: vm.swappiness: " in told
    assert not host.change(wish).changed
    undone = host.change()
    assert undone.changed
    assert brief(undone, "vm.swappiness") == [("60", "60", None, "restored")]
    assert host.text(OURS) is None


def test_a_write_that_is_refused_after_all_is_told(host):
    host.refused["vm.swappiness"] = errno.EPERM
    done = host.change({"vm.swappiness": 10, "vm.page-cluster": 0})
    assert brief(done, "vm.swappiness", "vm.page-cluster") == [
        ("60", "60", "10", "persisted_only"),
        ("3", "0", "0", "applied"),
    ]


def test_a_value_that_the_kernel_does_not_take_puts_everything_back(host):
    host.refused["vm.swappiness"] = errno.EINVAL
    before = host.state()
    with pytest.raises(
        Refused, match="the kernel does not take 10 for vm.swappiness .Invalid argument.; everything is as it was"
    ):
        host.change({"vm.page-cluster": 0, "vm.swappiness": 10, **DIRTY})
    assert host.state() == before


def test_a_kernel_that_says_something_else_is_told_and_everything_put_back(host):
    before = host.state()
    real = host.write

    def halve(name, value):
        real(name, str(int(value) // 2) if value == "100" else value)

    host.write = halve
    with pytest.raises(Refused, match="vm.swappiness was to be 100, and the kernel says 50; everything is as it was"):
        host.change({"vm.page-cluster": 0, "vm.swappiness": 100})
    assert host.state() == before


def test_a_file_that_cannot_be_written_refuses_before_anything(host, monkeypatch):
    monkeypatch.setattr(vm_sysctl_change.os, "access", lambda *_what: False)
    before = host.state()
    for check in (True, False):
        with pytest.raises(Refused, match="90-linux_memory_oom.conf cannot be written .permission denied., so nothing"):
            host.change({"vm.swappiness": 10}, check=check)
    assert host.state() == before


# What would hurt.


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (
            {"vm.dirty_bytes": 3 * 10**9},
            "vm.dirty_bytes is 3000000000 bytes, and of this host's memory only 20[0-9]+ bytes",
        ),
        (
            {"vm.dirty_ratio": 5},
            "the background limit would not be below the dirty limit .vm.dirty_background_bytes 0, vm.dirty_bac",
        ),
        ({"vm.dirty_background_bytes": 10**9}, "the background limit would not be below"),
        ({"vm.overcommit_memory": 2}, "at most 3072000000 bytes could be promised, and 3993600000 bytes are already"),
        (
            {"vm.overcommit_memory": 2, "vm.overcommit_kbytes": 1000},
            "at most 1025024000 bytes could be promised, and 39",
        ),
    ],
)
@pytest.mark.parametrize("writable", [True, False])
def test_what_the_numbers_speak_against_is_refused_unless_forced(host, monkeypatch, wish, words, writable):
    if not writable:
        read_only(monkeypatch, errno.EROFS)
    host.put("/proc/meminfo", host.text("/proc/meminfo").replace("2900000", "3900000"))
    before = host.state()
    with pytest.raises(Refused, match=words):
        host.change(wish)
    assert host.state() == before
    done = host.change(wish, force=True)
    assert done.warnings
    # What is there already is no reason to fail later, when the numbers have moved.
    assert not host.change(wish).changed


def test_the_diff_has_each_value(host):
    host.put("/etc/sysctl.d/10-x.conf", "vm.swappiness = 30\n")
    assert host.change({"vm.swappiness": 10}).diff() == {
        "before_header": "running and boot values",
        "after_header": "running and boot values",
        "before": "vm.swappiness = 60, at boot 30 (/etc/sysctl.d/10-x.conf line 1)\n",
        "after": f"vm.swappiness = 10, at boot 10 ({OURS} line 4)\n",
    }


def test_two_files_after_a_killed_rename_become_one(host):
    host.put("/etc/sysctl.d/99-sysctl.conf", "vm.swappiness = 60\n")
    start = host.state()
    done = host.change({"vm.swappiness": 10}, on_override="rename")
    host.put(OURS, host.text(done.place))
    again = host.change({"vm.swappiness": 10})
    assert again.changed
    assert host.text(OURS) is None
    host.put(OURS, host.text(done.place))
    host.change()
    assert host.state() == start


def test_a_damaged_memory_leaves_the_value(host):
    host.change({"vm.swappiness": 10})
    host.put(OURS, host.text(OURS).replace(owned_file.BEFORE, "# befor: "))
    done = host.change()
    assert brief(done, "vm.swappiness") == [("10", "10", None, "left")]
