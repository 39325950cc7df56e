# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check mode predicts, for each module that changes a host: from any state of ours or of others, for any wish, the same
`changed`, the same items and the same diff as the run after it, and nothing touched; and a second run changes nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import module_host
import swap_host
import systemd_host
import units_host
from ansible_collections.linux_memory.oom.plugins.module_utils.bdi import Refused as BdiRefused
from ansible_collections.linux_memory.oom.plugins.module_utils.kdump_change import Refused as KdumpRefused
from ansible_collections.linux_memory.oom.plugins.module_utils.vm_sysctl_change import Refused as SysctlRefused
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kdump_hosts import Host as KdumpHost
from sysctl_hosts import Kernel
from test_bdi_limits import Devices

# Each example makes a host of files, so that there are not many.
few = settings(max_examples=30, deadline=None)
some = settings(max_examples=60, deadline=None)


def predicts(check, run, state):
    """Hold check mode against the run: each returns the module's answer, or None where it refuses."""
    before = state()
    predicted = check()
    assert state() == before, "check mode changed something"
    done = run()
    assert predicted == done
    if done is None:
        assert state() == before, "what was refused changed something"
        return
    # What did not change is told as unchanged.
    assert done["changed"] or state() == before
    again = run()
    assert again is not None and not again["changed"], "a second run changes something"


# vm_sysctl

SETTINGS = {
    "vm.swappiness": st.integers(0, 200),
    "vm.page-cluster": st.integers(0, 8),
    "vm.dirty_ratio": st.integers(5, 60),
    "vm.dirty_bytes": st.sampled_from([8192, 100000000]),
    "vm.dirty_background_ratio": st.integers(0, 70),
    "vm.dirty_background_bytes": st.sampled_from([4096, 200000000]),
    "vm.overcommit_memory": st.integers(0, 2),
    "vm.panic_on_oom": st.integers(0, 2),
    "kernel.panic": st.integers(-1, 60),
}


def part_of(strategies):
    """Return dictionaries that have any of the keys."""
    return st.fixed_dictionaries({}, optional=strategies)


def some_of(strategies):
    """Return dictionaries that have at least one of the keys."""
    return st.sampled_from(sorted(strategies)).flatmap(
        lambda there: st.fixed_dictionaries(
            {there: strategies[there]}, optional={name: one for name, one in strategies.items() if name != there}
        )
    )


SYSCTL_WISHES = st.none() | some_of(SETTINGS)
OVERRIDE = st.sampled_from([None, "vm.swappiness = 33\n", "vm.dirty_ratio = 7\n", "-vm.panic_on_oom = 1\n"])


@some
@given(SYSCTL_WISHES, SYSCTL_WISHES, OVERRIDE, st.sampled_from(["fail", "rename", "warn"]), part_of(SETTINGS))
def test_vm_sysctl(before, wish, override, on_override, drift):
    with tempfile.TemporaryDirectory() as name:
        host = Kernel(Path(name))
        if before:
            try:
                host.change(before, on_override="warn")
            except SysctlRefused:
                pass
        if override:
            host.put("/etc/sysctl.d/95-other.conf", override)
        for key, value in drift.items():
            host.write(key, str(value))

        def work(check):
            try:
                one = host.change(wish, check=check, on_override=on_override)
            except SysctlRefused:
                return None
            return {"changed": one.changed, "items": one.items(), "diff": one.diff()}

        predicts(lambda: work(True), lambda: work(False), host.state)


# bdi_limits

# Two digits: what is left of a longer number in a file of this host would not be in the kernel's.
SHARES = some_of({"max_ratio": st.integers(10, 99), "strict_limit": st.booleans()})
DEVICES = st.none() | some_of({"/srv": SHARES, "/": SHARES, "/dev/sdc": SHARES, "/nowhere": SHARES})


@some
@given(DEVICES, DEVICES, st.none() | st.integers(10, 99))
def test_bdi_limits(before, wish, drift):
    with tempfile.TemporaryDirectory() as name:
        host = Devices(Path(name))
        try:
            host.change(before)
        except BdiRefused:
            pass
        if drift is not None:
            host.put("/sys/class/bdi/253:0/max_ratio", f"{drift}\n")

        def work(check):
            try:
                one = host.change(wish, check=check)
            except BdiRefused:
                return None
            return {"changed": one.changed, "items": one.items, "diff": one.diff()}

        predicts(lambda: work(True), lambda: work(False), host.state)


# systemd_dropin

UNIT = some_of({"MemoryMax": st.sampled_from(["64M", "1G"]), "Nice": st.integers(-5, 5)})
UNITS = some_of({"a.service": UNIT, "b.service": UNIT, "c.service": UNIT})
DROP_INS = st.just({"state": "absent"}) | st.fixed_dictionaries(
    {"units": UNITS}, optional={"others": st.sampled_from(["keep", "remove"]), "missing_units": st.just("allow")}
)


def texts(place: Path):
    """Return every file below a directory with its text."""
    return {str(path): path.read_text(encoding="utf-8") for path in sorted(place.rglob("*")) if path.is_file()}


@few
@given(DROP_INS, DROP_INS, st.sampled_from(["", "unread", "lost"]))
def test_systemd_dropin(before, wish, accident):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "system"
        folder.mkdir()
        systemd = systemd_host.Systemd(folder)
        systemd_host.run(systemd, **before)
        if accident == "unread":
            systemd.read = {}
        elif accident == "lost":
            for path in folder.rglob("*.conf"):
                path.unlink()

        def work(check):
            result = systemd_host.run(systemd, check=check, **wish)
            if result.get("failed"):
                return None
            # What the kernel made of a limit can only be told once it has it: check mode says "predicted".
            read_back = ("status", "kernel", "reason")
            items = [{key: value for key, value in item.items() if key not in read_back} for item in result["items"]]
            return {"changed": result["changed"], "items": items, "diff": result["diff"]}

        predicts(lambda: work(True), lambda: work(False), lambda: (texts(folder), dict(systemd.read)))


# kdump

KDUMP = part_of(
    {
        "state": st.sampled_from(["present", "disabled", "absent"]),
        "crashkernel": st.sampled_from(["256M", "512M", "auto", "3G", "64M"]),
        "keep_dumps": st.integers(0, 3),
        "keep_bytes": st.sampled_from([None, "1G"]),
        "target": st.sampled_from(["local", "ssh"]),
        "dump_level": st.sampled_from([1, 31]),
        "path": st.sampled_from(["/var/crash", "/srv/new"]),
    }
).map(lambda wish: {**wish, "target_location": "crash@vault"} if wish.get("target") == "ssh" else wish)


@few
@given(st.sampled_from(["debian", "rhel"]), KDUMP, KDUMP, st.booleans(), st.booleans())
def test_kdump(family, before, wish, installed, reserved):
    with tempfile.TemporaryDirectory() as name:
        host = KdumpHost(Path(name), family, installed=installed, reserved=(256 << 20) * reserved)
        try:
            host.apply(**before)
        except KdumpRefused:
            pass

        def answer(one):
            return {"changed": one.changed, "items": one.items, "diff": one.diff()}

        def check():
            try:
                return answer(host.change(**wish))
            except KdumpRefused:
                return None

        def run():
            try:
                return answer(host.apply(**wish))
            except KdumpRefused:
                return None

        predicts(check, run, host.files)


# owned_units

FILES = st.lists(
    st.sampled_from(
        [
            *(units_host.timer(when, name) for when in ("daily", "weekly") for name in ("one", "two")),
            *(units_host.drop_in(text) for text in ("1d", "2d")),
            *(units_host.program(text) for text in ("first", "other")),
        ]
    ),
    max_size=4,
).map(lambda chosen: list({one["path"]: one for some_ in chosen for one in some_}.values()))
OWNED = st.just({"state": "absent"}) | st.fixed_dictionaries(
    {"files": FILES}, optional={"need_units": st.sampled_from([["leaky.service"], ["nowhere.service"]])}
)


@few
@example({"files": units_host.drop_in("1d")}, {"files": units_host.drop_in("1d")}, "unread")
@given(OWNED, OWNED, st.sampled_from(["", "stopped", "unread", "lost"]))
def test_owned_units(before, wish, accident):
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        units_host.make(place)
        units_host.units(place, **before)
        if accident == "stopped":
            module_host.inside(place, lambda: units_host.systemctl(["stop", "linux_memory_oom-x-one.timer"]))
        elif accident == "unread":
            state = place / units_host.STATE.lstrip("/")
            state.write_text(
                json.dumps({**json.loads(state.read_text(encoding="utf-8")), "read": {}}), encoding="utf-8"
            )
        elif accident == "lost":
            for path in place.glob("etc/systemd/system/*.timer"):
                path.unlink()

        def work(check):
            result = units_host.units(place, check=check, **wish)
            if result.get("failed"):
                return None
            return {name: result[name] for name in ("changed", "files", "units", "diff")}

        predicts(lambda: work(True), lambda: work(False), lambda: units_host.state(place))


# swap_file

AREA = st.fixed_dictionaries(
    {"path": st.sampled_from(["/srv/one", "/srv/two", "/srv/taken"]), "size": st.sampled_from(["1M", "2M", "9T"])},
    optional={"priority": st.integers(0, 3), "discard": st.sampled_from(["none", "once"])},
)
SWAP = st.just({"state": "absent"}) | st.fixed_dictionaries(
    {"files": st.lists(AREA, min_size=1, max_size=2, unique_by=lambda area: area["path"])},
    optional={"exclusive": st.booleans(), "state": st.sampled_from(["present", "absent"])},
)


@few
@given(SWAP, SWAP, st.sampled_from(["", "off", "lost", "no fstab"]))
def test_swap_file(before, wish, accident):
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        swap_host.make(place, None if accident == "no fstab" else swap_host.FSTAB)
        (place / "srv/taken").write_bytes(b"somebody's")
        swap_host.swap(place, **before)
        if accident == "off":
            (place / "proc/swaps").write_text(swap_host.HEADER, encoding="utf-8")
        elif accident == "lost":
            (place / "proc/swaps").write_text(swap_host.HEADER, encoding="utf-8")
            for path in ("srv/one", "srv/two"):
                if os.path.exists(place / path):
                    os.unlink(place / path)

        def work(check):
            result = swap_host.swap(place, check=check, **wish)
            if result.get("failed"):
                return None
            return {name: result[name] for name in ("changed", "files", "diff")}

        predicts(lambda: work(True), lambda: work(False), lambda: swap_host.state(place))
