# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report: records, summaries, what memory holds, and a page in which no host's string is markup."""

from __future__ import annotations

import copy
import json
from html.parser import HTMLParser

import pytest
import report_samples as samples
import yaml
from ansible_collections.linux_memory.oom.plugins.plugin_utils import composition, diagnosis, page, report
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GIB = samples.GIB
TEXTS = st.text(alphabet=st.characters()) | st.sampled_from(samples.HOSTILE)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


class Page(HTMLParser):
    """The elements of a page with their attributes, its text, and what never closed."""

    VOID = ("meta", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.unclosed, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.unclosed.append(tag)

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)


def shape(records):
    """Return the elements of a page without what may differ between hosts."""
    return [(tag, tuple(sorted(attributes))) for tag, attributes in Page(page.render(records, samples.TIME)).elements]


# --- what memory holds ---


def test_the_parts_add_up_to_all_memory():
    parts = {part.name: part for part in composition.parts(samples.facts())}
    assert sum(part.size for part in parts.values()) == 8 * GIB
    assert sum(part.percent for part in parts.values()) == pytest.approx(100)


def test_cached_is_divided_without_counting_twice():
    memory = {"mem_total": 1000, "cached": 500, "buffers": 20, "shmem": 100, "dirty": 30, "writeback": 40}
    sizes = {part.name: part.size for part in composition.parts({"meminfo": memory})}
    assert sizes == {"clean_cache": 350, "dirty": 70, "shared": 100, "unaccounted": 480}


def test_kernel_stacks_are_not_counted_as_vmalloc_too():
    sizes = {
        part.name: part.size
        for part in composition.parts({"meminfo": {"mem_total": 1000, "kernel_stack": 100, "vmalloc_used": 250}})
    }
    assert sizes == {"kernel_stacks": 100, "vmalloc": 150, "unaccounted": 750}


def test_swap_cache_counts_only_what_no_process_maps():
    memory = {
        "mem_total": 1000,
        "anon_pages": 300,
        "swap_cached": 200,
        "active": 200,
        "inactive": 150,
        "unevictable": 0,
    }
    sizes = {part.name: part.size for part in composition.parts({"meminfo": memory})}
    assert sizes == {"anonymous": 300, "swap_cache": 50, "unaccounted": 650}


def test_compressed_swap_is_found_where_meminfo_is_silent():
    facts = {"meminfo": {"mem_total": 10000}, "vmstat": {"pages": {"nr_zspages": 2}}, "system": {"page_size": 4096}}
    assert {part.name: part.size for part in composition.parts(facts)} == {"compressed": 8192, "unaccounted": 1808}


def test_a_huge_page_pool_is_found_without_its_total():
    memory = {"mem_total": 1000, "huge_pages_total": 3, "hugepagesize": 200}
    assert composition.parts({"meminfo": memory})[0].size == 600


def test_counters_that_exceed_memory_are_scaled_and_free_memory_is_not():
    memory = {"mem_total": 1000, "anon_pages": 900, "s_unreclaim": 900, "mem_free": 100}
    sizes = {part.name: part.size for part in composition.parts({"meminfo": memory})}
    assert sizes == {"anonymous": 450, "slab_unreclaimable": 450, "free": 100}


COUNTERS = sorted(samples.meminfo()) + ["nfs_unstable", "zswap", "hugepagesize", "huge_pages_total"]


@given(st.dictionaries(st.sampled_from(COUNTERS), st.integers(-5, 1 << 70) | JSON), st.integers(1, 1 << 60))
def test_any_counters_add_up(memory, total):
    parts = composition.parts({"meminfo": {**memory, "mem_total": total}})
    assert sum(part.size for part in parts) == total
    assert all(part.size > 0 for part in parts)
    widths = page.memory_bar({"meminfo": {**memory, "mem_total": total}})
    assert sum(float(part["width"]) for part in widths) == pytest.approx(100, abs=1e-6)


def test_without_a_total_there_is_no_bar():
    assert composition.parts({}) == composition.parts({"meminfo": {"mem_total": 0}}) == []


# --- names of files ---


@pytest.mark.parametrize("host", ["web1", "db-1.example.org", "10.0.0.1", "a_b"])
def test_an_ordinary_host_names_its_file(host):
    assert report.file_name(host) == host


@pytest.mark.parametrize(
    "host",
    ["", ".", "..", "../x", "/etc/passwd", "Web1", "a b", "x" * 300, "\0", "\udcff", "ü", "con\n", "-rf", ".hidden"],
)
def test_any_other_host_gets_a_digest(host):
    name = report.file_name(host)
    assert name != host
    assert report._HASHED_NAME.fullmatch(name)


@given(st.lists(st.text(alphabet=st.characters(), max_size=200) | st.sampled_from(["a", "A", "a-"]), unique=True))
def test_files_are_safe_and_no_two_hosts_share_one(hosts):
    names = [report.file_name(host) for host in hosts]
    assert len({name.lower() for name in names}) == len(hosts)
    for name in names:
        assert len(name) <= 100
        assert name.strip("abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
        assert name[0] not in ".-"


def test_a_host_that_is_named_like_a_digest_gets_its_own():
    other = report.file_name("A B")
    assert report.file_name(other) != other


# --- records and summary ---


def test_a_host_that_was_read_is_diagnosed():
    one = report.record("web1", {"status": "ok", "message": ""}, samples.facts())
    assert one["findings"] == diagnosis.diagnose(samples.facts())
    assert one["collected"] == samples.TIME
    assert one["message"] is None


def test_findings_of_the_play_are_kept():
    findings = [samples.finding("swap_exhausted")]
    assert report.record("a", {"status": "ok", "findings": findings}, {})["findings"] == findings


def test_facts_of_a_host_that_was_not_read_are_old_and_left_out():
    one = report.record("a", {"status": "unreachable", "message": "Task failed: No route to host"}, samples.facts())
    assert one["facts"] == {}
    assert one["findings"] == []
    assert one["message"] == "No route to host"


def test_a_host_of_which_the_play_says_nothing_counts_as_failed():
    assert report.record("a", None, {})["status"] == "failed"
    assert report.record("a", {"status": "fine"}, {})["status"] == "failed"


def test_the_worst_comes_first():
    weak = samples.ok("weak", [samples.finding(confidence=0.3)])
    roomy = samples.ok("roomy", host_facts=samples.facts(free=0.6))
    ordered = report.worst_first([roomy, *samples.fleet(), weak])
    assert [one["host"].split(".")[0] for one in ordered] == [
        "db1", "weak", "build7", "old-backup", "cache1", "web1", "web2", "roomy",
    ]  # fmt: skip


def test_the_summary_names_every_host_and_counts_verdicts():
    made = report.summary(samples.fleet(), samples.TIME)
    assert made["counts"] == {"none": 2, "dirty_pages": 1, "unexplained": 1, "unreachable": 1, "failed": 1}
    assert made["hosts"][0] == {
        "host": "db1.example.org",
        "status": "ok",
        "message": None,
        "verdict": "dirty_pages",
        "confidence": 0.86,
        "summary": samples.finding()["summary"],
        "oom_reports": 0,
        "oom_killed": 0,
        "oom_last": None,
        "other_reports": 0,
        "log": None,
        "file": "hosts/db1.example.org.json",
    }
    assert len(made["hosts"]) == 6


@given(TEXTS, JSON, JSON)
def test_a_record_always_makes_json_and_comes_back(host, message, facts):
    one = report.record(
        host, {"status": "ok", "message": message, "findings": []}, facts if isinstance(facts, dict) else {}
    )
    assert json.loads(report.as_json(one)) == one


# --- terminal ---


def test_the_terminal_says_verdict_evidence_and_what_to_do():
    text = report.terminal([samples.fleet()[2]], "/srv/reports/index.html")
    assert text.splitlines() == [
        "db1.example.org  Storage slower than its writers (86 % sure)",
        "    Storage is slower than the writers: dirty pages and writeback fill 91 % of what may be dirty.",
        "    evidence: dirty and writeback: 1.4 GiB (threshold 1.2 GiB, /proc/meminfo Dirty + Writeback)",
        "    do: Faster storage is the real cure; until then bound what may be dirty.",
        "    role: linux_memory.oom.dirty_throttle with",
        "        dirty_throttle_bytes: 268435456",
        "        dirty_throttle_background_bytes: 67108864",
        "    why: dirty_throttle_bytes 256 MiB: 25.6 MiB/s measured on vda x 10 s = 256 MiB; at most the 1.5",
        "        GiB in force, at least 64 MiB.",
        "    why: dirty_throttle_background_bytes 64 MiB = 25 % of it.",
        "    why: How much this would have changed does not follow from the evidence.",
        "",
        "1 host: 1 needs attention",
        "Report: /srv/reports/index.html",
    ]


def test_the_arithmetic_of_a_remedy_is_shown_wherever_its_values_are():
    records = [samples.fleet()[2]]
    why = samples.finding()["remedy"]["why"]
    shown = page.render(records, samples.TIME)
    assert all(f"<li>{said}</li>" in shown for said in why)
    assert all(said in " ".join(report.terminal(records).split()) for said in why)
    # Findings of an older version, or of somebody else, have none.
    for remedy in (None, {"role": "x", "vars": {}}, {"role": "x", "vars": {}, "why": "text"}, {"role": "x", "why": 3}):
        assert report.arithmetic(samples.finding(remedy=remedy)) == []


def test_hosts_that_were_not_read_give_their_reason():
    lines = report.terminal([samples.unread("a"), samples.unread("b", "failed", None)]).splitlines()
    assert lines[:2] == ["a  Unreachable", "    Failed to connect to the host via ssh: No route to host"]
    assert lines[3:5] == ["b  Could not be read", "    no reason was given"]


def test_many_healthy_hosts_get_one_line_each():
    text = report.terminal([samples.ok(f"web{number:02}") for number in range(30)])
    assert text.splitlines()[0] == "web00  Healthy, 48 % of memory available"
    assert len(text.splitlines()) == 32


def test_nothing_of_a_host_acts_on_the_terminal():
    text = report.terminal(samples.hostile())
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_remedy_is_yaml_that_reads_back():
    settings_of = {"limits": {"a.service": "1G", "b: c": None}, "text": "{{ 7 * 7 }}\n#"}
    _role, text, _advice = report.remedy_lines(samples.finding(remedy={"role": "x", "vars": settings_of}))
    assert yaml.safe_load(text) == settings_of


# --- page ---


def test_a_page_is_well_formed_and_complete():
    parsed = Page(page.render(samples.fleet(), samples.TIME))
    assert parsed.open == []
    assert parsed.unclosed == []
    text = " ".join(" ".join(parsed.words).split())
    for words in (
        "6 hosts: 1 needs attention, 2 could not be read, 1 without a verdict, 2 healthy.",
        "Storage slower than its writers",
        "86 % sure",
        "1.4 GiB",
        "dirty_throttle_bytes: 268435456",
        "unavailable: /proc/pressure/cpu: no line could be understood",
        "No route to host",
        "At this rate full in 2 h 29 min.",
        "48 × postgres",
    ):
        assert words in text, words


def test_one_host_needs_no_table_of_hosts():
    parsed = Page(page.render([samples.ok("web1")], samples.TIME))
    assert ("form", {"class": "filter", "hidden": None}) not in parsed.elements
    assert [attributes for tag, attributes in parsed.elements if tag == "details"][0].get("open", "no") is None


def test_no_host_at_all_is_a_page_too():
    assert "No host" in page.render([], None)


def test_hostile_strings_are_text():
    parsed = Page(page.render(samples.hostile(), samples.TIME))
    assert parsed.unclosed == []
    assert {tag for tag, _attributes in parsed.elements} == {
        tag for tag, _attributes in Page(page.render([*samples.fleet(), samples.killed()], samples.TIME)).elements
    }
    assert "<script>alert(1)</script>" in "".join(parsed.words)
    assert "49" not in "".join(parsed.words).replace("492", "")


@settings(max_examples=40, deadline=None)
@given(TEXTS.filter(bool))
def test_any_string_leaves_the_elements_as_they_are(text):
    def hosts(word):
        facts = samples.facts(word)
        facts["system"].update(kernel=word, distribution={"pretty_name": word})
        facts["cgroups"]["groups"] = [samples.group("x", GIB, None) | {"unit": word, "path": word}]
        facts["processes"]["top"] = [samples.process(word, 1, GIB) | {"unit": word}]
        facts["unavailable"] = {"kdump": word}
        remedy = {"role": "other.collection." + word, "vars": {word: word}}
        bad = samples.finding(summary=word, advice=word, remedy=remedy)
        bad["evidence"] = [{"what": word, "value": word, "unit": "text", "threshold": word, "source": word}]
        seen = samples.ok("a", [bad], facts)
        seen["reports"] = [samples.hostile_report(word, samples.TIME)]
        seen["log"] = {"failed": word, "sources": [], "unavailable": {word: word}, "unparsed": {"count": 1}}
        return [seen, samples.unread("b", message=word)]

    assert shape(hosts(text)) == shape(hosts("plain"))


@st.composite
def broken(draw, whole):
    """Return a copy of whole in which some values, at any depth, are of another kind."""
    whole = copy.deepcopy(whole)
    for _time in range(draw(st.integers(1, 6))):
        node = whole
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            if not (isinstance(node[key], (dict, list)) and node[key] and draw(st.integers(0, 3))):
                break
            node = node[key]
        node[key] = draw(JSON)
    return whole


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    broken(samples.facts()),
    broken([samples.finding()]),
    broken(samples.log([samples.oom_report(), samples.cgroup_report()])),
    st.booleans(),
)
def test_any_facts_findings_and_reports_make_a_report(facts, findings, log, diagnosed):
    found = {"status": "ok", "findings": None if diagnosed else findings}
    one = report.record("a", found, facts, log)
    assert Page(page.render([one], samples.TIME)).unclosed == []
    assert report.terminal([one])
    assert json.loads(report.as_json(report.summary([one], 0)))


def test_the_page_loads_nothing():
    parsed = Page(page.render(samples.fleet(), samples.TIME))
    sources = [attributes.get(name) for _tag, attributes in parsed.elements for name in ("src", "href", "action")]
    assert all(value.startswith(("#host-", "hosts/", "data:,")) for value in sources if value)
    policy = next(
        attributes["content"]
        for tag, attributes in parsed.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not [attributes for _tag, attributes in parsed.elements if "style" in attributes]


def test_a_host_stays_small():
    one, many = (len(page.render([samples.ok(f"w{n}") for n in range(count)], 0)) for count in (100, 200))
    assert (many - one) / 100 < 12000


def test_pressure_that_is_off_is_said_once():
    facts = samples.facts()
    del facts["pressure"]
    facts["unavailable"]["pressure"] = "switched off in this kernel (boot with psi=1)"
    del facts["unavailable"]["pressure.cpu"]
    assert page.pressure(facts) == [
        {"label": "All", "kind": "", "reason": "switched off in this kernel (boot with psi=1)"}
    ]


def test_a_role_that_is_not_there_yet_is_said_to_be_so(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROLES", tmp_path)
    (tmp_path / "swap_tuning").mkdir()
    assert report.role_note("linux_memory.oom.swap_tuning") == ""
    assert "does not carry the role yet" in report.role_note("linux_memory.oom.memory_sizing")
    assert report.role_note("other.collection.role") == ""
