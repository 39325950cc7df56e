# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module systemd_dropin against a systemd that answers as the real ones did, and a host made of files."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import systemd_host
from ansible_collections.linux_memory.oom.plugins.module_utils import systemd, systemd_dropin_change, unit_groups
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from killed_at_each_call import killed_at_each_call

MIB = 1024**2

# What systemd-analyze verify said of a drop-in with every line wrong: 252, 247 and, by its source, 239.
SAID = """\
/s/t.service.d/x.conf:2: Invalid memory limit '512Q', ignoring: Invalid argument
/s/t.service.d/x.conf:14: Unit uses MemoryLimit=; please use MemoryMax= instead.
\x1b[0;1;38;5;185m/s/t.service.d/x.conf:4: Unknown key name 'Foo' in section 'Service', ignoring.\x1b[0m
[/s/t.service.d/x.conf:17] Unknown lvalue 'Bar' in section 'Service'
/s/t.service.d/x.conf:18: Unknown section 'Slice'. Ignoring.
/s/u.service.d/x.conf:3: Unknown key 'MemoryMaxi' in section [Service], ignoring.
/usr/lib/systemd/system/other.service:3: Unknown key 'A' in section [Service], ignoring.
"""


def test_complaints_are_those_of_the_file():
    said = systemd._COLOURS.sub("", SAID)
    assert systemd.complaints_in(said, "/s/t.service.d/x.conf") == [
        "Invalid memory limit '512Q', ignoring: Invalid argument",
        "Unknown key name 'Foo' in section 'Service', ignoring.",
        "Unknown lvalue 'Bar' in section 'Service'",
        "Unknown section 'Slice'. Ignoring.",
    ]
    assert systemd.complaints_in(said, "/s/u.service.d") == []


def test_units_that_systemctl_shows_are_told_apart():
    first = "Id=a.service\nIOWriteBandwidthMax=/dev/vda 1\nIOWriteBandwidthMax=/dev/vdb 2\nEnvironment=A=b\n"
    said = first + "\nId=b.service\n"
    assert systemd.parse_show(said) == [
        {"Id": ["a.service"], "IOWriteBandwidthMax": ["/dev/vda 1", "/dev/vdb 2"], "Environment": ["A=b"]},
        {"Id": ["b.service"]},
    ]
    assert systemd.parse_show("") == []


@pytest.fixture
def host(tmp_path):
    """Return a function that runs the module, with the systemd and its directory as attributes."""
    folder = tmp_path / "system"
    folder.mkdir()
    fake = systemd_host.Systemd(folder)

    def run(**options):
        return systemd_host.run(fake, **options)

    run.systemd = fake
    run.folder = folder
    return run


LIMIT = {"a.service": {"MemoryMax": "64M"}, "b.service": {"Service": {"Nice": 5}}}


def values(result):
    """Return (unit, directive, before, after) of each item."""
    return [(one["unit"], one["directive"], one["before"], one["after"]) for one in result["items"]]


def test_check_mode_predicts_and_a_second_run_changes_nothing(host):
    predicted = host(check=True, units=LIMIT)
    assert list(host.folder.iterdir()) == []
    done = host(units=LIMIT)
    assert values(predicted) == values(done) != []
    assert predicted["diff"] == done["diff"]
    assert (done["changed"], done["reloaded"]) == (True, True)
    assert str(host.systemd).split().count("daemon-reload") == 1
    again = host(units=LIMIT)
    assert not again["changed"]
    # One question to systemd is all that a host costs where nothing changes.
    assert str(host.systemd) == "--dump-configuration-items show"


def test_undo_restores_and_leaves_nothing(host):
    host(units=LIMIT)
    predicted = host(check=True, state="absent")
    done = host(state="absent")
    assert values(predicted) == values(done)
    assert ("a.service", "MemoryMax", str(64 * MIB), "infinity") in values(done)
    assert list(host.folder.iterdir()) == []
    assert not host(state="absent")["changed"]


def test_a_file_without_a_reload_is_repaired(host):
    host(units=LIMIT)
    host.systemd.read = {}
    again = host(units=LIMIT)
    assert (again["changed"], again["reloaded"]) == (True, True)
    assert not host(units=LIMIT)["changed"]


@pytest.mark.parametrize("names", [{}, LIMIT])
def test_a_removed_file_that_systemd_still_has_is_repaired(host, names):
    host(units=LIMIT)
    shutil.rmtree(host.folder / "a.service.d")
    done = host(state="absent", units=names)
    assert (done["changed"], done["reloaded"]) == (True, True)
    assert host.systemd.read == {}
    assert not host(state="absent", units=names)["changed"]


def test_what_systemd_does_not_take_over_is_put_back(host):
    host(units=LIMIT)
    before = {path: path.read_text() for path in host.folder.rglob("*.conf")}
    host.systemd.stubborn = {"MemoryMax": str(64 * MIB)}
    failed = host(units={"a.service": {"MemoryMax": "128M"}})
    assert "MemoryMax was set to 128M, and systemd has 67108864" in failed["msg"]
    assert {path: path.read_text() for path in host.folder.rglob("*.conf")} == before
    assert str(host.systemd).split().count("daemon-reload") == 2


def test_what_systemd_complains_of_changes_nothing(host):
    host.systemd.complaints = "STAGE/a.service.d/50-linux_memory_oom-x.conf:5: Invalid memory limit '64M', ignoring\n"
    failed = host(units=LIMIT)
    assert failed["msg"] == (
        "units: systemd does not take what is set for a.service: Invalid memory limit '64M', ignoring"
    )
    assert list(host.folder.iterdir()) == []
    assert "daemon-reload" not in str(host.systemd)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"units": {"c.service": {"MemoryMax": "64M"}}}, "this host has no unit c.service"),
        ({"units": {"a.service": {"OOMPolicy": "kill"}}}, "systemd 252 of this host does not know OOMPolicy"),
        ({"units": {"a.service": {"MemoryZSwapMax": "1M"}}}, "MemoryZSwapMax of a.service came with systemd 253"),
        ({"units": {"a.service": {"Unit": {"Nice": 5}}}}, r"in \[Unit\] for a.service; it knows it in \[Service\]"),
        ({"units": {"a.service": {"MemoryMax": "1M", "Service": {"MemoryMax": "2M"}}}}, "is given twice"),
        ({"units": {"a": {"MemoryMax": "1M"}}}, "'a' is not the full name of a unit"),
        ({"units": LIMIT, "purpose": "A B"}, "purpose: 'A B' is not made of"),
        ({"units": LIMIT, "restarts_per_hour": 0}, "restarts_per_hour: 0 is not"),
    ],
)
def test_bad_input_is_refused_before_any_change(host, options, says):
    failed = host(**options)
    assert failed.get("failed")
    assert re.search(says, failed["msg"]), failed["msg"]
    assert list(host.folder.iterdir()) == []
    assert "daemon-reload" not in str(host.systemd)


def test_what_is_unknown_can_be_left_out(host):
    done = host(units={"a.service": {"OOMPolicy": "kill", "MemoryMax": "64M"}}, unknown_directives="skip")
    assert [one["directive"] for one in done["items"]] == ["MemoryMax"]


def test_a_unit_that_is_to_come_can_have_its_drop_in(host):
    done = host(units={"c.service": {"MemoryMax": "64M"}}, missing_units="allow")
    assert [one["status"] for one in done["items"]] == ["missing_unit"]
    assert not host(units={"c.service": {"MemoryMax": "64M"}}, missing_units="allow")["changed"]


def test_units_that_are_no_longer_named_keep_theirs_or_not(host):
    host(units=LIMIT)
    only = {"a.service": LIMIT["a.service"]}
    assert not host(units=only)["changed"]
    done = host(units=only, others="remove")
    assert [one["unit"] for one in done["items"] if one["value"] is None] == ["b.service"]
    assert not (host.folder / "b.service.d").exists()


def test_a_file_of_somebody_else_is_left_alone(host):
    path = host.folder / "a.service.d" / "50-linux_memory_oom-x.conf"
    path.parent.mkdir()
    path.write_text("[Service]\nNice=1\n")
    assert "was not written by this collection" in host(units=LIMIT)["msg"]
    assert path.read_text() == "[Service]\nNice=1\n"
    assert not host(state="absent")["changed"]
    host.systemd.daemon_reload(None)
    for units in ({}, LIMIT):
        assert not host(state="absent", units=units).get("failed")
    assert path.read_text() == "[Service]\nNice=1\n"


def test_what_a_killed_run_has_left_is_swept(host):
    (host.folder / "a.service.d").mkdir()
    (host.folder / "a.service.d" / ".linux_memory.oom.abc").write_text("[Serv")
    host(units=LIMIT)
    assert os.listdir(host.folder / "a.service.d") == ["50-linux_memory_oom-x.conf"]


# Killed

OTHER = {"a.service": {"MemoryMax": "96M"}, "b.service": {"Nice": 7}}


def drop_ins(place: Path) -> dict[str, str]:
    """Return what systemd would read below a directory."""
    return {str(path.relative_to(place)): path.read_text() for path in (place / "system").rglob("*.conf")}


@pytest.mark.parametrize(
    ("before", "wanted"),
    [(None, {"units": LIMIT}), (LIMIT, {"units": OTHER}), (LIMIT, {"state": "absent"})],
    ids=["first", "other", "undo"],
)
def test_killed_at_each_call_it_leaves_old_or_new_and_the_next_run_repairs(before, wanted, tmp_path):
    start, end = tmp_path / "start", tmp_path / "end"
    for place in (start, end):
        (place / "system").mkdir(parents=True)
        if before:
            systemd_host.run(systemd_host.Systemd(place / "system"), units=before)
    systemd_host.run(systemd_host.Systemd(end / "system"), **wanted)
    old, new = drop_ins(start), drop_ins(end)

    def work(place):
        assert not systemd_host.run(systemd_host.Systemd(place / "system"), **wanted).get("failed")

    def arrange(place):
        shutil.copytree(start, place, dirs_exist_ok=True)

    killed = 0
    for place, call in killed_at_each_call(work, arrange, tmp_path):
        for name, text in drop_ins(place).items():
            assert text in (old.get(name), new.get(name)), call
        # Whoever gives up after that gets everything back, too.
        undone = tmp_path / "undone"
        shutil.copytree(place, undone)
        other = systemd_host.Systemd(start / "system")
        other.folder = str(undone / "system")
        assert not systemd_host.run(other, state="absent").get("failed"), call
        assert (drop_ins(undone), other.read) == ({}, {}), call
        shutil.rmtree(undone)
        # systemd still has what it read before the run that was killed.
        still = systemd_host.Systemd(start / "system")
        still.folder = str(place / "system")
        systemd_host.run(still, **wanted)
        assert drop_ins(place) == new, call
        assert sorted(still.read) == sorted(name.split(".d/")[0].split("/")[-1] for name in new), call
        assert not [name for name in place.rglob(".linux_memory.oom*") if "/system/" in str(name)], call
        killed += 1
    assert killed >= 2


# What counts only from the next start


class Running(systemd_host.Systemd):
    """Its units run, and can be restarted."""

    def try_restart(self, _command):
        return 0, "", ""


@pytest.mark.parametrize(
    ("unit", "directive", "mode", "restarted"),
    [
        ("a.service", {"Nice": 5}, "never", False),
        ("a.service", {"Nice": 5}, "if_needed", True),
        ("a.service", {"Nice": 5}, "always", True),
        ("a.service", {"MemoryMax": "64M"}, "if_needed", False),
        ("a.service", {"MemoryMax": "64M"}, "always", True),
        ("a.scope", {"Scope": {"Nice": 5}}, "always", False),
    ],
)
def test_what_counts_from_the_next_start_is_told_and_restarted_where_asked(
    tmp_path, monkeypatch, unit, directive, mode, restarted
):
    items = "[Service]\nMemoryMax=X\nNice=X\n[Scope]\nNice=X\n"
    monkeypatch.setattr(Running, "dump_configuration_items", lambda self, command: (0, items, ""))
    host = Running(tmp_path / "system", {unit: {"ActiveState": "active", "Nice": "0"}})
    wanted = {"units": {unit: directive}, "restart": mode}
    predicted = systemd_host.run(host, check=True, **wanted)
    assert predicted["restarted"] == ([unit] if restarted else [])
    done = systemd_host.run(host, **wanted)
    assert done["restarted"] == predicted["restarted"]
    assert ("try-restart" in str(host).split()) is restarted
    waits = "MemoryMax" not in directive and not restarted
    assert done["units"][unit]["needs_restart"] is predicted["units"][unit]["needs_restart"] is waits
    assert (done["items"][0]["status"] == "needs_restart") is waits


def test_the_plan_says_what_a_unit_uses_and_has_used_at_most(tmp_path, monkeypatch):
    usage = {"current": 5 << 20, "peak": 7 << 20, "swap_current": 0, "max": None}
    monkeypatch.setattr(unit_groups.Groups, "usage", lambda self, group: usage)
    host = systemd_host.Systemd(tmp_path / "system", {"a.service": {"ActiveState": "active"}})
    done = systemd_host.run(host, check=True, units={"a.service": {"MemoryMax": "64M"}})
    assert done["plan"] == [
        "a.service uses 5.0 MiB (at most 7.0 MiB so far); MemoryMax goes from infinity to 64.0 MiB."
    ]
    usage["current"] = None
    done = systemd_host.run(host, check=True, units={"a.service": {"MemoryMax": "64M"}})
    assert done["plan"][0].startswith("a.service runs, and what it uses is not known; ")


# The kernel's files


def groups(tmp_path, files: dict[str, str], mounts: str) -> unit_groups.Groups:
    """Return the groups of a host made of files."""
    for name, text in {**files, "proc/self/mountinfo": mounts}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return unit_groups.Groups(Tree(str(tmp_path)), {"/dev/vda": "254:0", "/dev/vdb": "254:16"}.get)


V2 = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = "31 1 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
PLACE = "sys/fs/cgroup/system.slice/a.service/"


@pytest.mark.parametrize(
    ("directive", "shown", "name", "text", "status", "value"),
    [
        ("MemoryMax", ["67108864"], "memory.max", "67108864\n", "applied", "67108864"),
        ("MemoryMax", ["67108865"], "memory.max", "67108864\n", "applied", "67108864"),
        ("MemoryMax", ["infinity"], "memory.max", "max\n", "applied", "infinity"),
        ("TasksMax", ["50"], "pids.max", "50\n", "applied", "50"),
        ("TasksMax", ["50"], "pids.max", "51\n", None, "51"),
        ("IOWriteBandwidthMax", ["/dev/vda 5"], "io.max", "254:0 rbps=max wbps=5 riops=max\n", "applied", "/dev/vda 5"),
        ("IOWriteBandwidthMax", ["/dev/vda 5"], "io.max", "254:16 rbps=max wbps=5\n", None, "/dev/vda max"),
        ("MemoryMax", ["67108864"], "other", "", "not_enforced", None),
        ("OOMScoreAdjust", ["5"], "other", "", None, None),
    ],
)
def test_the_kernel_is_asked_on_cgroup_v2(tmp_path, directive, shown, name, text, status, value):
    files = {"sys/fs/cgroup/cgroup.controllers": "memory io pids\n", PLACE + name: text}
    one = groups(tmp_path, files, V2)
    found = one.check(directive, shown, "/system.slice/a.service")
    if status is not None or value is None:
        assert found[:2] == (status, value)
    else:
        # It differs; whether that is an error depends on who may write the file.
        assert found[0] in (unit_groups.DIFFERS, unit_groups.NOT_ENFORCED)
        assert found[1] == value


def test_what_is_taken_back_is_waited_for_in_the_kernel():
    dropins = object.__new__(systemd_dropin_change.Dropins)
    kernel = {"MemoryMax": ("differs", "5", ""), "MemoryHigh": ("applied", "infinity", None)}
    dropins.groups = SimpleNamespace(check=lambda directive, _shown, _group: kernel[directive])
    instance = {"Id": ["a.service"], "DropInPaths": [""], "MemoryMax": ["infinity"], "MemoryHigh": ["infinity"]}
    items = [{"directive": name, "value": None} for name in kernel]
    unit = SimpleNamespace(name="a.service", path="/x", new_text=None, wanted=[], items=items, instances=[instance])
    said = "a.service: MemoryMax was set to what it was before, systemd has infinity, and the kernel has 5."
    assert dropins._disagreements(unit) == [said]


GROUP = "/system.slice/a.service"
WITHHELD = {"sys/fs/cgroup/cgroup.controllers": "memory io pids\n", PLACE + "cgroup.controllers": "memory pids\n"}


def test_a_controller_that_the_host_has_and_the_unit_has_not_is_a_difference(tmp_path):
    one = groups(tmp_path, WITHHELD, V2)
    assert one.check("IOWriteBandwidthMax", ["/dev/vda 5"], GROUP)[:2] == ("differs", "nothing")
    assert one.lacks("IOWriteBandwidthMax", ["/dev/vda 5"], GROUP) == "io"
    # What a kernel leaves out of a controller is not there for anybody.
    assert one.check("MemoryZSwapMax", ["5"], GROUP)[0] == "not_enforced"
    assert [one.lacks("MemoryZSwapMax", ["5"], GROUP), one.lacks("IOWriteBandwidthMax", [], GROUP)] == [None, None]
    assert one.lacks("IOWriteBandwidthMax", ["/dev/vda 5"], "") is None


def test_without_a_controller_there_is_no_limit(tmp_path):
    files = {"sys/fs/cgroup/cgroup.controllers": "memory pids\n", PLACE + "cgroup.controllers": "pids\n"}
    one = groups(tmp_path, files, V2)
    assert one.check("MemoryMax", ["5"], GROUP)[0] == "differs"
    assert one.check("MemoryMax", ["infinity"], GROUP)[0] == "not_enforced"


def test_a_controller_that_the_host_has_not_is_not_enforced(tmp_path):
    files = dict.fromkeys(WITHHELD, "memory pids\n")
    one = groups(tmp_path, files, V2)
    assert one.check("IOWriteBandwidthMax", ["/dev/vda 5"], GROUP)[0] == "not_enforced"
    assert one.lacks("IOWriteBandwidthMax", ["/dev/vda 5"], GROUP) is None


@pytest.mark.parametrize(
    ("directive", "before", "written"),
    [
        ("IOWriteBandwidthMax", "254:0 rbps=max wbps=5 riops=max wiops=max\n", "254:0 wbps=max\n"),
        ("IOReadIOPSMax", "254:0 rbps=max wbps=max riops=7 wiops=max\n", "254:0 riops=max\n"),
        ("IOWriteBandwidthMax", "254:0 rbps=9 wbps=max riops=max wiops=max\n", None),
        ("IOWriteBandwidthMax", "254:16 rbps=max wbps=5 riops=max wiops=max\n", None),
    ],
)
def test_a_limit_on_a_device_is_taken_from_the_kernel(tmp_path, directive, before, written):
    one = groups(tmp_path, {"sys/fs/cgroup/cgroup.controllers": "io\n", PLACE + "io.max": before}, V2)
    assert one.release(directive, {"/dev/vda", "/dev/none"}, GROUP) == []
    # The kernel would answer what it holds; this file holds what was written to it.
    assert (tmp_path / PLACE / "io.max").read_text() == (written or before)


@pytest.mark.parametrize(
    ("mounts", "place", "written"),
    [
        (V2, PLACE + "memory.max", "max\n"),
        (V1, "sys/fs/cgroup/memory/system.slice/a.service/memory.limit_in_bytes", "-1\n"),
    ],
)
def test_a_limit_of_memory_that_the_kernel_keeps_is_written(tmp_path, mounts, place, written):
    files = {"sys/fs/cgroup/cgroup.controllers": "memory\n", "sys/fs/cgroup/memory/memory.stat": "", place: "8192\n"}
    one = groups(tmp_path, files, mounts)
    dropins = object.__new__(systemd_dropin_change.Dropins)
    dropins.groups = one
    instance = {"ControlGroup": [GROUP], "MemoryMax": ["infinity"]}
    item = {"directive": "MemoryMax", "value": None}
    dropins.units = [SimpleNamespace(wanted=[], items=[item], instances=[instance])]
    dropins._hand_over()
    assert (tmp_path / place).read_text() == written
    one.write("MemoryMax", ["4096"], GROUP)
    assert (tmp_path / place).read_text() == "4096\n"
    # What is not there is not made.
    one.write("MemoryHigh", ["4096"], GROUP)
    assert not (tmp_path / place).with_name("memory.high").exists()


def test_a_unit_without_the_controller_gets_it_before_it_is_looked_at(tmp_path, monkeypatch):
    dropins = object.__new__(systemd_dropin_change.Dropins)
    dropins.groups, dropins.look, brought = groups(tmp_path, WITHHELD, V2), lambda: None, []
    dropins.systemd = SimpleNamespace(realize=lambda *what: brought.append(what))
    instance = {"Id": ["a.service"], "ControlGroup": [GROUP], "IOWriteBandwidthMax": ["/dev/vda 5"]}
    wanted = [("Service", "IOWriteBandwidthMax", ["/dev/vda 5"])]
    dropins.units = [SimpleNamespace(wanted=wanted, items=[], instances=[instance])]
    monkeypatch.setattr(dropins, "_disagreements", lambda _unit: [])
    dropins._settle()
    assert brought == [("/system.slice", "io")]


def test_what_is_put_back_is_put_back_in_the_kernel(tmp_path):
    """It had been handed over before another unit disagreed."""
    one = groups(tmp_path, {"sys/fs/cgroup/cgroup.controllers": "memory\n", PLACE + "memory.max": "4096\n"}, V2)
    dropins = object.__new__(systemd_dropin_change.Dropins)
    dropins.groups, dropins.running, dropins.look, dropins._write = one, True, lambda: None, lambda *_what: None
    dropins.systemd = SimpleNamespace(reload=lambda: None)
    instance = {"ControlGroup": [GROUP], "MemoryMax": ["infinity"]}
    unit = SimpleNamespace(wanted=[("Service", "MemoryMax", ["4096"])], items=[], instances=[instance], text=None)
    dropins.units = [unit]
    dropins._put_back([unit])
    assert (tmp_path / PLACE / "memory.max").read_text() == "max\n"


def test_a_limit_that_the_kernel_keeps_is_said(tmp_path, monkeypatch):
    held = "254:0 rbps=max wbps=5 riops=max wiops=max\n"
    one = groups(tmp_path, {"sys/fs/cgroup/cgroup.controllers": "io\n", PLACE + "io.max": held}, V2)
    monkeypatch.setattr(one.tree, "real", lambda _path: str(tmp_path / "elsewhere"))
    monkeypatch.setattr(one.tree, "text", lambda _path, _default=None: held)
    assert one.release("IOWriteBandwidthMax", {"/dev/vda"}, GROUP) == ["/dev/vda"]


def test_a_limit_of_cgroup_v1_is_taken_from_the_kernel(tmp_path):
    place = "sys/fs/cgroup/blkio/system.slice/a.service/blkio.throttle.write_bps_device"
    files = {"sys/fs/cgroup/memory/memory.stat": "cache 1\n", place: "254:0 5\n"}
    one = groups(tmp_path, files, V1 + "32 1 0:28 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n")
    assert one.release("IOWriteBandwidthMax", {"/dev/vda"}, GROUP) == []
    assert (tmp_path / place).read_text() == "254:0 0\n"
    assert one.release("IOReadIOPSMax", {"/dev/vda"}, GROUP) == []


@pytest.mark.parametrize(
    ("above", "controller", "words"),
    [
        ("/system.slice", "io", ["--slice=system.slice", "--property=IOAccounting=yes"]),
        ("/", "memory", ["--slice=-.slice", "--property=MemoryAccounting=yes"]),
        ("/user.slice/user-0.slice", "pids", ["--slice=user-0.slice", "--property=TasksAccounting=yes"]),
        ("/user.slice/user-0.slice/user@0.service/app.slice/x.service", "io", None),
    ],
)
def test_a_controller_is_brought_by_a_unit_that_starts_beside(above, controller, words):
    calls = []
    systemd.Systemd(lambda command, **_: calls.append(command) or (0, "", "")).realize(above, controller)
    assert calls == ([["systemd-run", "--quiet", "--wait", "--collect", *words, "true"]] if words is not None else [])


def test_what_cgroup_v1_cannot_is_said(tmp_path):
    place = "sys/fs/cgroup/memory/system.slice/a.service/"
    files = {"sys/fs/cgroup/memory/memory.stat": "cache 1\n", place + "memory.limit_in_bytes": "67108864\n"}
    one = groups(tmp_path, files, V1)
    group = "/system.slice/a.service"
    assert one.check("MemoryMax", ["67108864"], group) == ("applied", "67108864", None)
    assert one.check("MemoryHigh", ["5"], group) == ("not_enforced", None, "cgroup v1 has no MemoryHigh")
    assert one.check("MemoryMax", ["5"], "") == ("not_running", None, None)


def test_the_use_of_a_unit_is_read(tmp_path):
    files = {
        "sys/fs/cgroup/cgroup.controllers": "memory\n",
        PLACE + "memory.current": "5\n",
        PLACE + "memory.max": "max",
    }
    files[PLACE + "memory.peak"] = "7\n"
    expected = {"current": 5, "peak": 7, "swap_current": None, "max": None}
    assert groups(tmp_path, files, V2).usage("/system.slice/a.service") == expected
