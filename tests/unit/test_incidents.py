# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OOM reports as people see them: what memory held, in one line, on one axis of time, and logs without a host."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
import report_samples as samples
from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report, oom_report_scan
from ansible_collections.linux_memory.oom.plugins.plugin_utils import composition, incidents, page, report, timeline
from hypothesis import given
from hypothesis import strategies as st

GIB, MIB, TIME = samples.GIB, samples.MIB, samples.TIME
LOGS = sorted((Path(__file__).resolve().parent / "fixtures" / "oom").glob("*.log.xz"))


def sizes(found):
    """Return the parts of a report by name."""
    return {part.name: part.size for part in composition.parts_of_report(found)}


# --- what memory held ---


def test_the_parts_of_a_report_are_those_of_its_lines():
    parts = sizes(samples.oom_report())
    assert sum(parts.values()) == 8 * GIB - 200 * MIB
    # 6 GiB on the anonymous lists, of which 512 MiB are shared; 60 MiB of file pages, of which 9 MiB are not written.
    assert (parts["anonymous"], parts["shared"]) == (6 * GIB - 512 * MIB, 512 * MIB)
    assert (parts["clean_cache"], parts["dirty"], parts["kernel_stacks"]) == (51 * MIB, 9 * MIB, 9 * MIB)
    known = 6 * GIB + (60 + 16 + 64 + 128 + 32 + 100 + 9) * MIB
    assert parts["unaccounted"] == 8 * GIB - 200 * MIB - known


def test_the_parts_that_only_nodes_or_zones_count():
    before = sizes(samples.oom_report(nodes=[]))
    told = {"gpu_active": 3 * MIB, "gpu_reclaim": MIB, "balloon": 5 * MIB}
    parts = sizes(samples.oom_report(nodes=[told], zones=[{"zspages": 2 * MIB}, {"zspages": MIB}]))
    assert (parts["graphics"], parts["compressed"]) == (4 * MIB, 3 * MIB)
    # What a balloon took may be out of the host's RAM already: it is no part of it.
    assert before["unaccounted"] - parts["unaccounted"] == 7 * MIB


def test_the_parts_of_a_cgroup_are_those_of_its_account():
    parts = sizes(samples.cgroup_report())
    assert parts["anonymous"] == 900 * MIB
    assert (parts["shared"], parts["clean_cache"]) == (20 * MIB, 40 * MIB)
    assert parts["other"] == GIB - (900 + 60 + 30) * MIB
    assert sum(parts.values()) == GIB


def test_cgroup_v1_counts_the_cgroups_below():
    stats = {"cache": 0, "rss": 1, "total_cache": 100, "total_rss": 700, "total_shmem": 40, "total_dirty": 10}
    memcg = {"usage": 900, "limit": 900, "stats": stats, "kmem": {"usage": 60}}
    assert sizes(samples.cgroup_report(memcg=memcg)) == {
        "anonymous": 700, "shared": 40, "clean_cache": 50, "dirty": 10, "kernel": 60, "other": 40,
    }  # fmt: skip
    # Before 4.18 each cgroup has an account of its own, and none includes another.
    groups = [{"stats": {"cache": 100, "rss": 300}}, {"stats": {"cache": 50, "rss": 400}}]
    apart = {"usage": 900, "stats": groups[0]["stats"], "groups": groups}
    assert sizes(samples.cgroup_report(memcg=apart)) == {"anonymous": 700, "clean_cache": 150, "other": 50}


def test_a_cut_report_accuses_nobody_of_the_rest():
    parts = sizes(samples.oom_report(truncated=True))
    assert "unaccounted" not in parts
    assert parts["other"] > 0
    assert sizes(samples.oom_report(memory=None, nodes=[])) == {}
    assert sizes(samples.oom_report(memory={"free": 0}, nodes=[])) == {}


def test_a_kernel_that_does_not_tell_programs_from_files():
    memory = {"active": 600, "inactive": 200, "dirty": 50, "free": 100, "slab": 30, "ram": 1000, "reserved": 0}
    parts = sizes(samples.oom_report(memory=memory, nodes=[]))
    assert parts == {"lists": 750, "dirty": 50, "slab_unreclaimable": 30, "free": 100, "unaccounted": 70}


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_reports_of_booted_kernels_are_divided_without_a_rest_that_cannot_be(path):
    data = lzma.decompress(path.read_bytes())
    found = list(oom_report_scan.scan([data], oom_report.Assembler(TIME, path.name)))
    assert found
    for each in found:
        parts = composition.parts_of_report(each)
        if each["truncated"] or each["kind"] == "overcommit_refusal":
            # The lists of pages are lost, or were never printed.
            assert parts == []
            continue
        total = sum(part.size for part in parts)
        account = each["memcg"] if each["scope"] == "cgroup" else None
        assert total == (account["usage"] if account else each["memory"]["ram"] - each["memory"]["reserved"])
        told = account["stats"] if account else each["memory"]
        anonymous = next((part.size for part in parts if part.name == "anonymous"), 0)
        known = [told[name] for name in ("anon", "total_rss") if account and name in told]
        lists = told["active_anon"] + told["inactive_anon"] + told.get("isolated_anon", 0) if not account else 0
        assert anonymous == pytest.approx(known[0] if account else max(0, lists - told["shmem"]), rel=0.02)


# --- one line ---


def test_reports_of_one_trouble_are_one_line():
    reports = [samples.cgroup_report(TIME - 7200 + number * 600) for number in range(4)] + [samples.oom_report()]
    groups = incidents.joined(reports[::-1])
    assert [len(group) for group in groups] == [1, 4]
    assert incidents.line(groups[0]) == "2025-11-23 04:00:00 UTC  killed java (4242), 5 GiB, on the host"
    assert incidents.line(groups[1]) == (
        "2025-11-23 03:30:00 UTC  killed java (4242), 5 GiB, in /system.slice/shop.service, "
        "4 times since 2025-11-23 03:00:00 UTC, every 10 min"
    )


def test_what_differs_is_not_joined():
    other = dict(samples.oom_report()["victim"], comm="mysqld")
    different = [
        samples.oom_report(),
        samples.oom_report(victim=other, victims=[other]),
        samples.oom_report(victim=None, victims=[], outcome="panic"),
        samples.oom_report(kind="allocation_failure"),
        samples.cgroup_report(),
        samples.cgroup_report(unit="b.service"),
    ]
    assert [len(group) for group in incidents.joined(different)] == [1] * 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"victim": None, "victims": [], "outcome": "panic"}, "the kernel panicked"),
        ({"victim": None, "victims": [], "outcome": None}, "no victim is told"),
        ({"victims": [{"comm": "a", "pid": 1}] * 5}, "killed java (4242), 5 GiB and 4 more"),
        ({"kind": "overcommit_refusal", "bytes": GIB}, "allocation refused of 1 GiB: nginx (77)"),
        ({"victim": {"comm": "x", "pid": None, "rss": None}}, "killed x"),
        ({"victim": {"comm": "x", "pid": 3, "rss": None, "anon_rss": MIB, "shmem_rss": MIB}}, "killed x (3), 2 MiB"),
    ],
)
def test_what_happened(change, said):
    assert incidents.happened(samples.oom_report(**change)) == said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time": "2026-01-31T12:00:00.123456Z"}, "2026-01-31 12:00:00 UTC"),
        ({"time": "2026-01-31T12:00:00"}, "2026-01-31 12:00:00"),
        ({"time": "2026-01-31T12:00:00.5+02:00"}, "2026-01-31 12:00:00+02:00"),
        ({"time": None, "uptime": 7260.5}, "2 h 1 min after boot"),
        ({"time": None}, "time not told"),
    ],
)
def test_a_time_says_no_more_than_the_log(change, said):
    assert incidents.moment(samples.oom_report(**change)) == said


def test_kills_are_counted_by_report_and_by_victim():
    group = samples.cgroup_report(victims=[{"comm": "a"}] * 4)
    refused = samples.oom_report(kind="overcommit_refusal")
    counted = {"oom_reports": 2, "oom_killed": 5, "oom_last": "2025-11-23T04:00:00Z", "other_reports": 1}
    assert incidents.counts([samples.oom_report(), group, refused]) == counted


# --- what of a log could not be read ---

CLOSED = {"journal": "permission denied: this user sees no messages of the system", "/dev/kmsg": "permission denied"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, ""),
        ({"unavailable": {"/dev/kmsg": "permission denied"}}, ""),
        (
            {"sources": [], "unavailable": CLOSED},
            (
                "The kernel log could not be read (journal: permission denied: this user sees no messages of the "
                "system; kmsg: permission denied), so OOM kills of the past are not seen; run with --become to read it."
            ),
        ),
        (
            {"sources": [{"source": "kmsg"}], "unavailable": {"journal": "journalctl is not installed"}},
            (
                "Of the kernel log only the ring buffer could be read (journal: journalctl is not installed), so older "
                "OOM kills are not seen."
            ),
        ),
        (
            {"failed": True, "msg": "Timed out after 120 second(s)."},
            "The kernel log was not read: Timed out after 120 second(s).",
        ),
        ({"sources": []}, "The kernel log could not be read, so OOM kills of the past are not seen."),
    ],
)
def test_what_could_not_be_read_is_one_sentence(change, sentence):
    assert incidents.unread(incidents.log_of(samples.log(**change))) == sentence


def test_a_log_that_nobody_asked_for_is_nothing():
    assert incidents.log_of({}) is None
    assert incidents.log_of({"skipped": True, "changed": False}) is None
    assert incidents.notes(None) == []


def test_gaps_are_said():
    log = incidents.log_of(samples.log(unparsed={"count": 2, "samples": []}, limited=True))
    assert [note.split(":")[0] for note in incidents.notes(log)] == [
        "2 lines look like an OOM report's and could not be understood",
        "Only the newest reports were read",
    ]


def test_a_log_that_was_not_read_costs_a_host_nothing_else():
    one = report.record("a", {"status": "ok"}, samples.facts(), {"failed": True, "msg": "no"})
    assert one["status"] == "ok"
    assert one["facts"]
    assert one["reports"] == []
    assert "    note: The kernel log was not read: no." in report.terminal([one]).splitlines()
    assert "The kernel log was not read: no." in page.render([one], TIME)


def test_many_healthy_hosts_with_closed_logs_get_one_line():
    closed = incidents.log_of(samples.log(sources=[], unavailable=CLOSED))
    hosts = [{**samples.ok(f"web{number:02}"), "log": closed} for number in range(30)]
    lines = report.terminal(hosts).splitlines()
    assert " ".join(lines[-3:-1]) == (
        "Of 30 healthy hosts the kernel log could not be read, or not all of it: "
        "web00, web01, web02, web03 and 26 more."
    )


# --- logs without a host ---


def test_a_log_is_told_by_the_hosts_that_it_names():
    reports = [
        samples.oom_report(host="web1", path="/logs/all.log"),
        samples.cgroup_report(host="db1", path="/logs/all.log"),
        samples.cgroup_report(host=None, path="/logs/dmesg.txt"),
        samples.cgroup_report(host=None, path="/a/kern.log"),
        samples.cgroup_report(host=None, path="/b/kern.log"),
    ]
    records = report.records_of_log(samples.log(reports))
    assert [(one["host"], len(one["reports"])) for one in records] == [
        ("web1", 1), ("db1", 1), ("dmesg.txt", 1), ("/a/kern.log", 1), ("/b/kern.log", 1),
    ]  # fmt: skip
    assert all(one["facts"] == {} and one["findings"] for one in records)
    assert "read from /var/log/kern.log, /logs/all.log" not in page.render(records, TIME)
    assert "read from /logs/all.log, /var/log/kern.log" in page.render(records, TIME)


def test_a_log_without_reports_says_so():
    log = samples.log(sources=[{"source": "file", "path": "/logs/quiet.log", "reports": 0}])
    records = report.records_of_log(log)
    assert report.terminal(records).splitlines() == [
        "quiet.log  No OOM report",
        "    No report of the OOM killer was found in quiet.log.",
        "",
        "No OOM report",
    ]
    assert "No report of the OOM killer was found in quiet.log." in page.render(records, TIME)


def test_logs_that_are_quiet_or_closed_are_named_beside_the_others():
    sources = [{"source": "file", "path": f"/logs/{name}", "reports": 0} for name in ("a", "b", "c", "d", "e", "f")]
    log = samples.log([samples.oom_report()], sources=sources, unavailable={"/logs/x": "permission denied"})
    assert report.log_notes(log) == [
        "/logs/x could not be read: permission denied.",
        "No OOM report in a, b, c, d and 2 more.",
    ]


# --- the timeline ---


def lanes(*hosts, until=TIME):
    """Return the timeline of hosts, each a list of reports."""
    return timeline.model([(f"host-{n}", f"h{n}", reports) for n, reports in enumerate(hosts, 1)], until)


def test_every_kill_is_drawn_where_it_happened():
    shown = lanes([samples.oom_report(TIME - 86400)], [samples.cgroup_report(TIME - 43200)] * 3, [])
    assert [(lane["name"], lane["count"]) for lane in shown["lanes"]] == [("h2", 3), ("h1", 1)]
    places = [[float(part["x"]) for part in lane["bars"]] for lane in shown["lanes"]]
    assert places == [[pytest.approx(50, abs=1.7)], [pytest.approx(1.9, abs=1.7)]]
    assert shown["all"]["count"] == 4
    assert [(name, number) for name, _label, number in shown["scopes"]] == [("global", 1), ("cgroup", 3)]
    assert shown["lanes"][0]["alternative"] == "h2: 3 OOM reports between 2025-11-22 17:00 UTC and 2025-11-22 17:00 UTC"


def test_reports_without_a_time_are_counted_and_not_drawn():
    assert lanes([samples.oom_report(None)]) is None
    shown = lanes([samples.oom_report(), samples.oom_report(None), samples.oom_report(12.0)])
    assert (shown["reports"], shown["untimed"], len(shown["lanes"][0]["bars"])) == (3, 2, 1)


def test_only_kills_are_on_the_timeline():
    assert lanes([samples.oom_report(kind="overcommit_refusal")]) is None


def test_many_hosts_share_the_last_lane():
    shown = lanes(*[[samples.oom_report()]] * 100)
    assert len(shown["lanes"]) == timeline.MOST_LANES + 1
    assert (shown["lanes"][-1]["name"], shown["lanes"][-1]["count"]) == ("85 other hosts", 85)
    assert (len(shown["rows"]), shown["more_rows"]) == (50, 50)


@given(
    st.lists(st.floats(allow_nan=False) | st.integers(-1, 1 << 70) | st.none(), min_size=1, max_size=40),
    st.none() | st.floats(allow_nan=False),
)
def test_any_times_fit_the_axis(times, until):
    shown = lanes([dict(samples.oom_report(None), epoch=when) for when in times], until=until)
    if shown is None:
        return
    for part in shown["lanes"][0]["bars"]:
        assert 0 <= float(part["x"]) <= 100
        assert float(part["y"]) >= -0.1
        assert float(part["y"]) + float(part["height"]) <= 100.1
    assert len(shown["ticks"]) <= timeline.MOST_TICKS + 1
    assert all(0 <= float(tick["x"]) <= 100 for tick in shown["ticks"])


# --- the page ---


def test_a_page_with_reports_tells_them():
    text = " ".join(page.render([samples.killed(), *samples.fleet()], TIME).split())
    for words in (
        "When the OOM killer ran",
        "12 times since 2025-11-20 05:00:00 UTC, every 30 min",
        "What memory held then",
        "1 GiB of a limit of 1 GiB",
        'java <span class="quiet">4242</span> <span class="tag problem">killed</span>',
        'nginx <span class="quiet">77</span> <span class="tag info">asked</span>',
        "By name: 2 × nginx, 69 MiB. 40 smaller tasks are not shown.",
        "GFP_HIGHUSER_MOVABLE",
        "0 B free of 2 GiB",
        "journal, /var/log/kern.log",
    ):
        assert words in text, words


def test_hundreds_of_kills_are_a_few_rows():
    units = [samples.cgroup_report(TIME - number, unit=f"u{number}.service") for number in range(300)]
    shown = page.oom_reports(samples.killed(reports=units), 10, 20, 400)
    assert (shown["count"], len(shown["groups"]), shown["full"], shown["more"]) == (300, 20, 10, 280)
    same = page.oom_reports(samples.killed(reports=[samples.cgroup_report(TIME - n) for n in range(300)]), 10, 20, 400)
    assert (len(same["groups"]), same["more"]) == (1, 0)


def test_a_large_fleet_has_a_page_that_opens(monkeypatch):
    monkeypatch.setattr(page, "MANY_HOSTS", 5)
    monkeypatch.setattr(page, "MOST_HOSTS", 10)
    monkeypatch.setattr(page, "MOST_IN_FULL", 16)
    pages = [page.render([samples.killed(f"h{number}") for number in range(count)], TIME) for count in (20, 30)]
    assert pages[1].count('<details class="also oom"') == page.MOST_IN_FULL
    # All of these are in trouble; those that come late are short.
    assert (len(pages[1]) - len(pages[0])) / 10 < 9000
