# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that share a slow target are named together: in the JSON, on the page and in the terminal."""

from __future__ import annotations

import json

import pytest
import report_samples as samples
from ansible_collections.linux_memory.oom.plugins.plugin_utils import page, report, shared_storage
from hypothesis import given, settings
from hypothesis import strategies as st
from report_samples import FAST, IQN, SLOW
from report_samples import on_target as host


def nfs(name, speed, export="filer1:/home", mount="/home"):
    one = host(name)
    entry = {"mount": mount, "type": "nfs4", "target": {"kind": "nfs", "name": export, "lun": None}, **speed}
    one["facts"]["storage"] = {"mounts": [entry]}
    return one


def test_hosts_that_share_a_slow_target_are_named_together():
    (found,) = shared_storage.shared([host("c"), host("b", SLOW), host("a", device="sdc"), host("z", target="other")])
    assert [(use["host"], use["devices"], bool(use["slow"])) for use in found["hosts"]] == [
        ("b", ["sdb"], True), ("a", ["sdc"], False), ("c", ["sdb"], False),
    ]  # fmt: skip
    assert (found["kind"], found["target"], found["slow_hosts"], found["article"]) == ("iscsi", IQN, 1, "1d")
    assert shared_storage.sentence(found) == f"iSCSI target {IQN} is slow for 1 of the 3 hosts that share it."
    assert "takes 900 ms to write" in found["hosts"][0]["slow"]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [host("a", SLOW)],  # alone
        [host("a"), host("b")],  # not slow
        [host("a", SLOW), host("b", SLOW, target="another")],
        [host("a", SLOW), host("b", SLOW, kind="fc")],  # the same text, another kind of thing
        [host("a", SLOW), samples.unread("b")],
        [nfs("a", SLOW), nfs("b", SLOW, export="filer1:/var")],
    ],
)
def test_what_is_not_shared_or_not_slow_is_not_told(records):
    assert shared_storage.shared(records) == []
    assert report.summary(records, 0)["shared_storage"] == []
    assert "Shared storage" not in page.render(records, samples.TIME) + report.terminal(records)


def test_two_paths_of_a_host_are_one_use():
    both = host("a")
    both["facts"]["storage"]["disks"]["sdc"] = {**both["facts"]["storage"]["disks"]["sdb"], **SLOW}
    (found,) = shared_storage.shared([both, host("b")])
    assert [(use["host"], use["devices"]) for use in found["hosts"]] == [("a", ["sdb", "sdc"]), ("b", ["sdb"])]


def test_dirty_pages_that_wait_for_the_target_make_it_slow():
    busy = {"write_rate": 5e6, "utilisation": 1.0}
    finding = samples.finding(cause="dirty_pages")
    assert shared_storage.shared([host("a", busy), host("b")]) == []
    (found,) = shared_storage.shared([host("a", busy, findings=[finding]), host("b")])
    assert found["hosts"][0]["slow"] == "dirty pages wait for sdb"


def test_an_export_that_is_slow_for_most_comes_first():
    records = [nfs("a", SLOW), nfs("b", SLOW, mount="/mnt"), host("c", SLOW), host("d"), host("e")]
    found = shared_storage.shared(records)
    assert [(each["label"], each["slow_hosts"]) for each in found] == [
        ("NFS export filer1:/home", 2), (f"iSCSI target {IQN}", 1),
    ]  # fmt: skip


def test_long_names_that_differ_at_their_end_are_two_targets():
    long = "nqn.2014-08.org.example:" + "x" * 150
    records = [host("a", SLOW, long + "1", "nvme"), host("b", SLOW, long + "2", "nvme")]
    assert shared_storage.shared(records) == []


def test_they_are_told_wherever_the_fleet_is():
    records = [host(f"web{number:02}", SLOW if number < 2 else FAST) for number in range(30)]
    summary = json.loads(report.as_json(report.summary(records, 0)))
    assert len(summary["shared_storage"][0]["hosts"]) == 30
    text = report.terminal(records)
    assert f"Shared storage: iSCSI target {IQN} is slow for 2 of the 30 hosts that share it." in " ".join(text.split())
    assert "slow for web00 and web01; also used by web02, web03, web04, web05 and 24 more" in " ".join(text.split())
    assert "do: It is shared: move some of its hosts elsewhere" in text
    shown = page.render(records, samples.TIME)
    assert f"<h3>iSCSI target {IQN} is slow for 2 of the 30 hosts that share it.</h3>" in shown
    assert "and 10 more" in shown and "takes 900 ms to write" in shown
    anchors = {one["name"]: one["anchor"] for one in page.model(records)}
    assert f'<a href="#{anchors["web01"]}">web01</a></th><td>sdb</td>' in shown


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40), st.text(max_size=300), st.text(min_size=1, max_size=20))
def test_any_text_of_a_host_is_text(kind, target, device):
    records = [host("a", SLOW, target, kind, device=device), host("b", SLOW, target, kind, device=device)]
    shown = page.render(records, samples.TIME)
    assert "<script>" not in shown.split("</style>")[1].split("<script>")[0]
    assert json.loads(report.as_json(report.summary(records, 0)))
    for each in shared_storage.shared(records):
        assert each["slow_hosts"] == 2
        assert each["label"].isprintable()
