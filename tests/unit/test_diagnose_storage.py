# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage that is slow, has lost paths or says itself that it fails; and the same storage just below each threshold."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import level, limit
from diagnose_hosts import causes, host, meminfo, pressure, verdict
from hypothesis import given, settings
from hypothesis import strategies as st


def evidence(finding, what, key="value"):
    """Return the value, or another key, of the piece of evidence whose text contains what."""
    return next(piece[key] for piece in finding["evidence"] if what in piece["what"])


WAITING = {"memory": pressure(), "io": pressure(limit("pressure_io"))}


def disk(**given):
    """Return a host with one disk that was written to, ten times a second for ten seconds, while programs waited."""
    disks = {"sdb": {"write_iops": 10.0, **given}}
    return host(storage={"disks": disks}, system={"uptime": 864000.0}, pressure=WAITING)


def test_each_class_of_disk_has_a_latency_that_is_long_for_it():
    for kind in ("rotational", "ssd", "nvme", "virtual", "network"):
        bound = limit("latency_" + kind)
        finding = causes(disk(**{"class": kind}, write_await=2 * bound, service_time=bound))["storage_fault"]
        assert evidence(finding, "takes", "threshold") == bound and evidence(finding, "takes") == 2 * bound
        assert verdict(disk(**{"class": kind}, write_await=bound * 0.99, service_time=bound)) == "none"
        # Many wait, and the device works off one after the other as fast as it should.
        assert verdict(disk(**{"class": kind}, write_await=50 * bound, service_time=bound * 0.99)) == "none"
    assert verdict(disk(**{"class": None}, write_await=9, service_time=9)) == "none"


def test_the_worse_direction_is_told_with_its_numbers():
    facts = disk(**{"class": "rotational"}, read_iops=50, read_await=0.9, write_await=0.4, service_time=0.3)
    assert causes(facts)["storage_fault"]["summary"] == (
        "Storage needs a look: the disk sdb takes 900 ms to read, busy for 300 ms with each request "
        "(100 ms is long for a rotating disk)."
    )


def test_few_requests_and_no_window_are_no_measurement():
    slow_disk = {"class": "ssd", "write_await": 5, "service_time": 0.1}
    few = (limit("latency_ios") - 1) / 10
    assert verdict(disk(**slow_disk, write_iops=few)) == "none"
    assert verdict(disk(**slow_disk, write_iops=few + 0.1)) == "storage_fault"
    facts = disk(**slow_disk)
    facts["system"]["sample_seconds"] = 0
    assert verdict(facts) == "none"


def test_few_requests_are_enough_for_a_device_that_was_busy_with_them_all_the_time():
    most = limit("latency_busy_ios")
    service = 10 / most * limit("latency_busy") + 0.001
    given = {"class": "rotational", "write_await": 9.0, "write_iops": most / 10}
    assert verdict(disk(**given, service_time=service)) == "storage_fault"
    assert verdict(disk(**given, service_time=service - 0.002)) == "none"
    assert verdict(disk(**{**given, "write_iops": (most - 1) / 10}, service_time=9.9)) == "none"
    # Reads that it finished meanwhile count for the time that it was busy.
    assert verdict(disk(**given, read_iops=most / 10, service_time=service / 2)) == "storage_fault"


# 100000 writes in 200 s: 2 ms each, and 1 ms of the disk's time.
PAST = {"reads": 0, "writes": 100000, "read_time": 0, "write_time": 200, "busy_time": 100}
MANY = limit("latency_times")


@pytest.mark.parametrize(
    ("waited", "service", "past", "found"),
    [
        (0.05, 0.01 * MANY, {}, True),
        (0.019, 0.019, {}, False),  # less than ten times, and below the floor
        (0.05, 0.0099, {}, False),  # a queue
        (0.019, 0.019, {"write_time": 100}, False),  # ten times, below the floor
        (0.03, 0.03, {"writes": 999, "write_time": 1, "busy_time": 1}, False),  # hardly used until then
        (0.03, 0.03, {"writes": 1000, "write_time": 1, "busy_time": 1}, True),
        (0.03, 0.03, {"write_time": 0}, False),
        (0.03, 0.03, {"busy_time": 400}, False),
    ],
)
def test_a_disk_that_is_much_slower_than_it_was(waited, service, past, found):
    facts = disk(write_await=waited, service_time=service, history={**PAST, **past})
    assert ("storage_fault" in causes(facts)) is found
    if found and not past:
        said = causes(facts)["storage_fault"]["summary"]
        assert "25 times its own mean until then" in said


def test_sums_that_may_have_run_over_are_taken_as_larger():
    # Busy for two days: a sum of 32 bits, 50 days, may have started again while 32 requests at a time waited.
    wrapped = {**PAST, "writes": 10**6, "busy_time": 172800, "write_time": 3600}
    facts = disk(write_await=5.0, service_time=5.0, history=wrapped)
    assert verdict(facts) == "none"
    assert verdict(disk(write_await=45.0, service_time=5.0, history=wrapped)) == "storage_fault"
    # Busy for an hour, it cannot have.
    short = disk(write_await=0.1, service_time=0.1, history={**wrapped, "busy_time": 3600})
    assert verdict(short) == "storage_fault"
    # The sum of busy time itself can, where the host has been up long enough.
    short["system"]["uptime"] = 2**32 / 1000 + 3601
    assert verdict(short) == "none"
    short["system"]["uptime"] = None
    assert verdict(short) == "none"


def test_a_slow_server_is_named_by_its_export():
    mount = {
        "mount": "/home", "type": "nfs4", "target": {"kind": "nfs", "name": "filer1:/home"}, "read_iops": 9.0,
        "read_await": 0.8, "service_time": 0.2, "history": {"reads": 5000, "read_time": 10},
    }  # fmt: skip
    finding = causes(host(storage={"mounts": [mount]}, pressure=WAITING))["storage_fault"]
    assert finding["summary"].startswith(
        "Storage needs a look: the NFS export filer1:/home on /home takes 800 ms to read"
    )
    assert "100 ms is long for storage on a network, 400 times its own mean" in finding["summary"]
    assert evidence(finding, "takes", "threshold") == limit("latency_floor")


def test_slow_storage_is_nobodys_trouble_while_nobody_waits_for_it():
    facts = disk(**{"class": "ssd"}, write_await=5, service_time=5)
    assert causes(facts)["storage_fault"]["confidence"] == level("possible")
    facts["pressure"]["io"] = pressure(limit("pressure_io") - 1)
    assert verdict(facts) == "none"
    # Where the kernel does not count who waits, it is told.
    del facts["pressure"]["io"]
    assert verdict(facts) == "storage_fault"
    facts["pressure"] = {"io": pressure(1), "memory": pressure(30)}
    facts["meminfo"] = meminfo(anon=13, file=1.0, available=0.7)
    assert causes(facts)["storage_fault"]["confidence"] == level("possible")
    facts = disk(**{"class": "ssd"}, write_await=5, service_time=5)
    facts["pressure"]["io"], facts["meminfo"] = pressure(1), meminfo(dirty=2.2, file=6)
    assert verdict(facts) == "storage_fault"


def test_storage_that_is_slow_now_is_no_evidence_of_the_time_of_a_report():
    report = {"kind": "oom", "scope": "global", "time": "2026-01-01T00:00:00Z"}
    found = causes(disk(**{"class": "ssd"}, write_await=5, service_time=5), reports=[report])["storage_fault"]
    assert len(found["evidence"]) == 1 and found["confidence"] == level("possible")


def multipath(*down, kind="dm", names=("sdc", "sdd")):
    paths = [{"name": name, "down": why} for name, why in zip(names, down, strict=True)]
    return [{"name": "mpatha", "kind": kind, "id": "3600", "paths": paths}]


def test_paths_that_are_down_are_told_once():
    one = {"multipath": multipath(None, "offline"), "not_running": [{"device": "sdd", "state": "offline"}]}
    finding = causes(host(storage=one))["storage_fault"]
    assert finding["summary"] == "Storage needs a look: the multipath device mpatha has lost 1 of 2 paths."
    assert [piece["value"] for piece in finding["evidence"]] == ["sdd is offline"]
    both = causes(host(storage={"multipath": multipath("failed", "offline")}))["storage_fault"]
    assert "all of its 2 paths" in both["summary"]
    nvme = {
        "multipath": multipath(None, "connecting", kind="nvme", names=("nvme0", "nvme1")),
        "not_running": [{"device": "nvme1n1", "state": "connecting"}, {"device": "nvme2n1", "state": "dead"}],
    }
    finding = causes(host(storage=nvme))["storage_fault"]
    assert [piece["value"] for piece in finding["evidence"]] == ["nvme1 is connecting", "dead"]
    assert verdict(host(storage={"multipath": multipath(None, None)})) == "none"


def test_requests_that_failed_within_a_day():
    def errors(last, uptime=864000.0):
        return host(storage={"io_errors": {"sda": {"count": 3, "last": last}}}, system={"uptime": uptime})

    finding = causes(errors(864000.0 - 7200))["storage_fault"]
    assert finding["summary"] == "Storage needs a look: requests to the disk sda have failed."
    assert evidence(finding, "sda") == "3 in the log, the last 2 h ago" and finding["confidence"] == level("possible")
    assert verdict(errors(864000.0 - limit("io_errors_age") - 1)) == "none"
    assert verdict(errors(None)) == verdict(errors(5, None)) == "none"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"passed": False, "failing": ["Reallocated_Sector_Ct"]}, "its own health test, Reallocated_Sector_Ct"),
        ({"passed": True, "failing": ["Spin_Retry_Count"]}, "Spin_Retry_Count"),
        ({"passed": False, "critical_warning": 5}, "spare blocks run out, errors have degraded"),
        ({"passed": True, "critical_warning": 8}, "read-only"),
    ],
)
def test_a_disk_that_says_that_it_fails(said, words):
    finding = causes(host(storage={"smart": {"sda": said}}))["storage_fault"]
    assert finding["summary"] == "Storage needs a look: the disk sda says that it is failing."
    assert words in evidence(finding, "failing") and finding["confidence"] == level("even")


@pytest.mark.parametrize(
    ("said", "rotates", "words"),
    [
        ({"passed": True, "pending": limit("smart_pending")}, True, "sectors that it cannot read"),
        ({"passed": False, "critical_warning": 2, "temperature": 84}, False, "too hot"),
    ],
)
def test_a_disk_that_may_be_slow_for_what_it_says(said, rotates, words):
    facts = host(storage={"smart": {"sda": said}, "disks": {"sda": {"rotational": rotates}}})
    finding = causes(facts)["storage_fault"]
    assert words in finding["summary"] and finding["confidence"] == level("possible")
    assert "failing" not in finding["summary"]


@pytest.mark.parametrize(
    "said",
    [
        {"passed": True, "failing": [], "pending": 0, "reallocated": 12, "media_errors": None},
        {"passed": None, "failing": []},
        {"passed": True, "pending": 1},  # of an SSD
        {"passed": True, "critical_warning": 0, "media_errors": 7, "percentage_used": 103},
        {"passed": True, "critical_warning": 64},
        {"passed": True, "failing": 5},
        "text",
    ],
)
def test_a_disk_with_a_past_is_not_named(said):
    facts = host(storage={"smart": {"sda": said}, "disks": {"sda": {"rotational": False}}})
    assert verdict(facts) == "none"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DISK = {
    "class": "ssd", "target": {"kind": "iscsi", "name": "iqn.x"}, "write_iops": 10, "write_await": 5, "service_time": 5,
    "rotational": True, "history": dict(PAST),
}  # fmt: skip
SMART = {"passed": False, "failing": ["a"], "pending": 1, "critical_warning": None, "temperature": 1}
WHOLE = {
    "disks": {"sda": DISK},
    "multipath": multipath("offline", None),
    "smart": {"sda": SMART},
    "io_errors": {"sda": {"count": 3, "last": 863999.0}},
}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_facts_of_storage_have_a_verdict(data):
    storage = copy.deepcopy(WHOLE)
    for _time in range(data.draw(st.integers(1, 4))):
        node = storage
        while True:
            key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
            if not (isinstance(node[key], (dict, list)) and node[key] and data.draw(st.booleans())):
                break
            node = node[key]
        node[key] = data.draw(JSON)
    facts = host(storage=storage, system={"uptime": 864000.0}, pressure=WAITING)
    found = causes(facts)
    assert set(found) <= {"none", "storage_fault"}
    for piece in (piece for each in found.values() for piece in each["evidence"]):
        assert piece["value"] is not None
