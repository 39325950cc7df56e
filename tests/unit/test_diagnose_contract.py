# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of the filter: any facts, well-formed findings, documented numbers, clear refusals."""

from __future__ import annotations

import ast
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.linux_memory.oom.plugins.filter.diagnose import FilterModule
from ansible_collections.linux_memory.oom.plugins.plugin_utils import diagnosis, evidence, thresholds, values
from diagnose_hosts import MIB, causes, group, host, meminfo, pressure, process, size
from hypothesis import given, settings
from hypothesis import strategies as st

diagnose = FilterModule().filters()["diagnose"]

KEYS = ["cause", "confidence", "summary", "evidence", "remedy", "advice", "article"]
PIECES = ["what", "value", "unit", "threshold", "source"]
PLAIN = (dict, list, str, int, float, bool, type(None))


def assert_plain(value):
    """Assert that value is made of Python's own types, with no tag of Ansible and no number that JSON lacks."""
    assert type(value) in PLAIN, type(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        assert_plain(inner)


def assert_well_formed(findings):
    """Assert everything that the documentation promises of any list of findings."""
    assert_plain(findings)
    json.dumps(findings, allow_nan=False)
    assert findings
    names = [each["cause"] for each in findings]
    assert len(set(names)) == len(names)
    assert "none" not in names or names == ["none"]
    confidences = [each["confidence"] for each in findings]
    assert confidences == sorted(confidences, reverse=True)
    for each in findings:
        assert list(each) == KEYS
        assert each["cause"] in evidence.CAUSES
        assert 0 <= each["confidence"] <= 1
        assert each["summary"].endswith(".") and each["summary"].isprintable()
        assert each["remedy"] is None or list(each["remedy"]) == ["role", "vars", "why", "counterfactual"]
        if each["remedy"] and each["remedy"]["vars"]:
            # Each value comes with its arithmetic.
            assert each["remedy"]["why"]
            assert all(said.endswith(".") and said.isprintable() for said in each["remedy"]["why"])
        assert each["article"] is None or isinstance(each["article"], str)
        for piece in each["evidence"]:
            assert list(piece) == PIECES
            assert piece["unit"] in evidence.UNITS
            assert piece["source"] and piece["what"]
            assert (piece["unit"] == "text") == isinstance(piece["value"], str)
            assert piece["threshold"] is None or isinstance(piece["threshold"], (int, float))


SICK = [
    host(
        meminfo=meminfo(anon=13, file=1, available=0.7, swap_free=0, dirty=0.5),
        pressure={"memory": pressure(40), "io": pressure(60)},
        processes={
            "top": [process("hog", 9, 1, "a.service")],
            "by_comm": [{"comm": "w", "processes": 9, "rss": size(9)}],
        },
        swap={"growth": 1.0 * MIB, "seconds_until_full": 60.0},
        cgroups={"version": "v2", "groups": [group(current=1, max=1, anon=0.9, dirty=0.5, oom=1, some=50.0)]},
        storage={"arrays": [{"name": "md0", "degraded": 1}], "disks": {"sda": {"write_rate": 1.0 * MIB}}},
        overcommit={"mode": 2, "commit_limit": size(10), "committed": size(10)},
    ),
    host(meminfo=meminfo(anon=1, file=1, shmem=4, slab_unreclaimable=4, lost=3, page_tables=2, available=0.4)),
    host(meminfo=meminfo(anon=1, file=1, huge_total=5000, huge_free=5000, available=0.4), pressure=None),
    host(meminfo=meminfo(anon=2, file=6, dirty=5, available=6), system={"container": "docker"}),
    host(),
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["12", "1e400", "-1", "nan", "0x10", 10**30, -5, "\x1b[31m\n", "9" * 5000, "\ud800"])
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def paths(value, prefix=()):
    """Yield the path of every entry, at any depth."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*prefix, key)
            yield from paths(inner, (*prefix, key))


PATHS = [list(paths(facts)) for facts in SICK]


@st.composite
def damaged(draw):
    """Return the facts of a host with some entries replaced by junk or missing."""
    index = draw(st.integers(0, len(SICK) - 1))
    facts = copy.deepcopy(SICK[index])
    for path in draw(st.lists(st.sampled_from(PATHS[index]), min_size=1, max_size=8)):
        inner = facts
        try:
            for key in path[:-1]:
                inner = inner[key]
            if draw(st.booleans()) and isinstance(inner, dict):
                del inner[path[-1]]
            else:
                inner[path[-1]] = draw(JUNK)
        except (KeyError, IndexError, TypeError):
            pass  # an entry above was replaced before
    return facts


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_damaged_facts_never_raise(facts):
    assert_well_formed(diagnose(facts))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(host())) | st.text(max_size=6), JUNK), st.lists(JUNK, max_size=3), JUNK)
def test_arbitrary_facts_reports_and_crash_never_raise(facts, reports, crash):
    assert_well_formed(diagnose(facts, reports, crash if isinstance(crash, dict) else None))


@pytest.mark.parametrize("facts", [{}, *SICK])
def test_findings_are_well_formed(facts):
    assert_well_formed(diagnose(facts))


@pytest.mark.parametrize("subset", sorted(host()))
@pytest.mark.parametrize("value", [None, {}, [], "text", 7])
def test_any_subset_may_be_missing_or_of_another_kind(subset, value):
    for facts in SICK:
        assert_well_formed(diagnose({**facts, subset: value}))
        assert_well_formed(diagnose({key: inner for key, inner in facts.items() if key != subset}))


def test_each_subset_alone_is_enough_for_an_answer():
    for facts in SICK:
        for subset, value in facts.items():
            assert_well_formed(diagnose({subset: value}))


def test_numbers_may_be_text():
    facts = SICK[0]
    as_text = {**facts, "meminfo": {key: str(value) for key, value in facts["meminfo"].items()}}
    assert diagnose(as_text) == diagnose(facts)


def test_the_facts_are_not_changed():
    for facts in SICK:
        before = copy.deepcopy(facts)
        diagnose(facts)
        assert facts == before


def test_names_of_a_host_cannot_break_the_sentence():
    facts = copy.deepcopy(SICK[0])
    facts["processes"]["top"][0]["comm"] = "evil\n\x1b[2Jname" + "x" * 500
    for each in diagnose(facts):
        assert each["summary"].isprintable() and len(each["summary"]) < 500


def test_findings_follow_the_confidence_and_then_the_order_of_thought():
    order = [judge.__name__ for judge in diagnosis.JUDGES]
    assert order[:3] == ["manual_trigger", "dirty_pages", "storage_fault"]
    found = diagnose(SICK[0])
    assert len(found) > 4
    assert found == sorted(found, key=lambda each: (-each["confidence"], order.index(each["cause"])))


# Reports


REPORT = {
    "kind": "oom",
    "epoch": 100.0,
    "scope": "global",
    "memory": {
        "active_anon": size(13),
        "inactive_anon": size(1),
        "free": size(0.1),
        "dirty": 0,
        "writeback": 0,
        "shmem": size(0.1),
        "slab_unreclaimable": size(0.2),
    },
    "swap": {"total": 0, "free": 0},
    "tasks": [{"pid": 7, "comm": "leaky", "rss": size(12), "swap": 0}, {"pid": 8, "comm": "sshd", "rss": 9, "swap": 0}],
}


def test_a_report_of_the_host_outweighs_that_it_is_healthy_now():
    found = causes(host(), reports=[REPORT])
    assert next(iter(found)) == "runaway_process"
    assert "leaky (PID 7)" in found["runaway_process"]["summary"]
    assert "none" not in found


def test_the_newest_report_counts():
    older = {**REPORT, "epoch": 50.0, "memory": {**REPORT["memory"], "shmem": size(14)}, "tasks": []}
    for reports in ([REPORT, older], [older, REPORT]):
        assert diagnose(host(), reports)[0]["summary"] == diagnose(host(), [REPORT])[0]["summary"]


def test_the_report_in_a_crash_counts():
    assert diagnose(host(), [], {"report": REPORT}) == diagnose(host(), [REPORT])


def test_a_report_of_a_cgroup_says_nothing_of_the_host():
    found = causes(host(), reports=[{**REPORT, "scope": "cgroup", "cgroup": "/a.service"}])
    assert list(found) == ["cgroup_limit"]
    assert found["cgroup_limit"]["summary"].startswith("a.service met its own memory limit")


# Arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([],), "facts of one host as a dictionary, not a list"),
        (("text",), "not a string"),
        ((None,), r"not nothing \(none\)"),
        ((7,), "not a number"),
        (({}, "text"), "reports as a list, not a string"),
        (({}, {}), "reports as a list, not a dictionary"),
        (({}, [], []), "crash as a dictionary or none, not a list"),
        (({}, [], True), "not a truth value"),
    ],
)
def test_wrong_arguments_give_one_sentence(arguments, words):
    with pytest.raises(AnsibleFilterError, match=words) as caught:
        diagnose(*arguments)
    assert str(caught.value).count(".") == 3 and "\n" not in str(caught.value)


def test_none_stands_for_no_reports():
    assert diagnose(host(), None, None) == diagnose(host())


def test_inside_ansible_with_data_of_a_file(tmp_path, checkout):
    """Ansible 2.19 hands over tagged strings in lazy containers; the answer is the same."""
    facts, answer = tmp_path / "facts.json", tmp_path / "answer.json"
    facts.write_text(json.dumps({"facts": SICK[0]}))
    task = {"content": "{{ facts | linux_memory.oom.diagnose | to_json }}", "dest": str(answer)}
    command = [sys.executable, "-m", "ansible", "adhoc", "localhost", "-c", "local", "-m", "ansible.builtin.copy"]
    run = subprocess.run(
        [*command, "-a", json.dumps(task), "-e", f"@{facts}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(checkout / "build" / "collections"),
            "ANSIBLE_HOME": str(tmp_path / "home"),
        },
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(answer.read_text()) == diagnose(SICK[0])


# The tables


SOURCES = [Path(diagnosis.__file__), *(Path(diagnosis.__file__).parent / "causes").glob("*.py")]
SOURCES += [Path(diagnosis.__file__).with_name(name) for name in ("shortage.py", "from_facts.py", "from_storage.py")]
SOURCES += [
    Path(diagnosis.__file__).with_name(name) for name in ("from_report.py", "slow_storage.py", "counterfactual.py")
]


def constants(path):
    """Yield every constant of a file outside of its own named constants, with its line."""
    tree = ast.parse(path.read_text())
    named = [node for node in tree.body if isinstance(node, ast.Assign)]
    inside = {id(inner) for node in named for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in inside:
            yield node.value, node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_number_hides_in_the_code(path):
    numbers = [(value, line) for value, line in constants(path) if type(value) in (int, float) and value not in (0, 1)]
    # round(x, 2) of a confidence is no threshold.
    rounded = [(2, line) for line, text in enumerate(path.read_text().splitlines(), 1) if "round(" in text]
    assert [each for each in numbers if each not in rounded] == []


def test_every_threshold_is_used_and_says_why():
    used = {value for path in SOURCES for value, _line in constants(path) if isinstance(value, str)}
    # Built from the kind of pressure.
    used |= {"pressure_some", "pressure_full"}
    for table in (thresholds.THRESHOLDS, thresholds.CONFIDENCE):
        for name, entry in table.items():
            assert name in used, f"{name} is used nowhere"
            assert entry.value > 0 and entry.unit in evidence.UNITS
            assert len(entry.why) > 20 and len(entry.source) > 4, name
    assert all(thresholds.limit(name) is not None for name in thresholds.THRESHOLDS)


def test_shares_and_confidences_are_between_their_bounds():
    for name, entry in thresholds.THRESHOLDS.items():
        if entry.unit == "share":
            assert 0 < entry.value < 1 or name.endswith("headroom")
        if entry.unit == "percent":
            assert 1 <= entry.value <= values.PERCENT
    assert all(0 < entry.value < 1 for entry in thresholds.CONFIDENCE.values())


def test_every_judge_has_a_described_cause():
    assert {judge.__name__ for judge in diagnosis.JUDGES} <= set(evidence.CAUSES)
    assert all(judge.__doc__ for judge in diagnosis.JUDGES)


def test_the_document_on_remedies_is_that_of_the_code(checkout):
    run = subprocess.run(
        [sys.executable, str(checkout / "tests" / "tools" / "remedy_doc.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
