# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the findings of a host propose: a file of host_vars, each value below its evidence, nothing of it a template."""

from __future__ import annotations

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible_collections.linux_memory.oom.plugins.plugin_utils import proposals
from hypothesis import given
from hypothesis import strategies as st


def finding(confidence=0.85, role="cgroup_memory_limit", **variables):
    """Return a finding that proposes variables."""
    return {
        "cause": "runaway_process",
        "confidence": confidence,
        "summary": "The process java holds 3 GiB.",
        "evidence": [
            {"what": "resident", "value": 3 << 30, "unit": "bytes", "threshold": None, "source": "task table"}
        ],
        "remedy": {"role": role, "vars": variables, "why": ["MemoryMax 2 GiB = 4 GiB - 2 GiB."]},
    }


def limits(**units):
    """Return the variable of the role cgroup_memory_limit."""
    return {"cgroup_memory_limit_units": {f"{name}.service": {"MemoryMax": size} for name, size in units.items()}}


def read(text):
    """Return what Ansible reads from a file."""
    return DataLoader().load(text)


def test_a_file_is_not_reviewed_until_a_person_says_so():
    told = read(proposals.proposal("web1", [finding(**limits(shop=5))]))
    assert told[proposals.REVIEWED] is False
    assert told[proposals.ROLES] == ["cgroup_memory_limit"]
    assert told["cgroup_memory_limit_units"] == {"shop.service": {"MemoryMax": 5}}


def test_each_value_stands_below_its_evidence():
    text = proposals.proposal("web1", [finding(**limits(shop=5))], "2026-11-23")
    order = [
        "web1",
        "2026-11-23",
        "java holds 3 GiB",
        "resident: 3 GiB (task table)",
        "MemoryMax 2 GiB",
        "shop.service:",
    ]
    places = [text.index(word) for word in order]
    assert places == sorted(places)


def test_units_of_several_findings_are_put_together_and_the_earlier_value_stays():
    text = proposals.proposal("web1", [finding(**limits(a=1, b=2)), finding(**limits(b=3, c=4))])
    units = read(text)["cgroup_memory_limit_units"]
    assert {name: unit["MemoryMax"] for name, unit in units.items()} == {"a.service": 1, "b.service": 2, "c.service": 4}
    assert "left out for an earlier one: b.service MemoryMax 3" in text


def test_what_is_not_sure_enough_is_a_comment_with_the_reason():
    text = proposals.proposal("web1", [finding(0.45, "swap_tuning", swap_tuning_swappiness=100)])
    assert "swap_tuning_swappiness" not in read(text)
    assert read(text)[proposals.ROLES] == []
    assert "# swap_tuning_swappiness: 100" in text
    assert "not sure enough" in text


def test_a_role_without_values_is_named():
    text = proposals.proposal("web1", [finding(role="linux_memory.oom.memory_sizing")])
    assert "The role memory_sizing fits" in text
    assert read(text)[proposals.ROLES] == []


def test_findings_without_a_role_give_no_file():
    assert proposals.proposal("web1", [{"cause": "none", "confidence": 1, "summary": "Fine."}]) is None
    assert proposals.proposal("web1", []) is None


def test_a_text_from_a_host_is_no_template():
    text = proposals.proposal("web1", [finding(role="swap_tuning", swap_tuning_files=[{"path": "/{{ 7 * 7 }}"}])])
    assert "!unsafe" in text
    assert read(text)["swap_tuning_files"] == [{"path": "/{{ 7 * 7 }}"}]


def test_a_file_that_is_there_is_somebodys_work(tmp_path):
    path, text = tmp_path / "web1.yml", proposals.proposal("web1", [finding(**limits(shop=5))])
    assert proposals.place(path, text) == path
    assert path.stat().st_mode & 0o777 == 0o600
    # Reviewed, and proposed again with other evidence: nothing new.
    path.write_text(text.replace(f"{proposals.REVIEWED}: false", f"{proposals.REVIEWED}: true"), encoding="utf-8")
    before = path.read_text(encoding="utf-8")
    assert proposals.place(path, text.replace("3 GiB", "4 GiB")) is None
    # Other values stand beside it.
    beside = proposals.place(path, proposals.proposal("web1", [finding(**limits(shop=6))]))
    assert beside == tmp_path / "web1.yml.new"
    assert path.read_text(encoding="utf-8") == before
    assert {file.name for file in tmp_path.iterdir()} == {"web1.yml", "web1.yml.new"}


def test_a_file_that_is_no_yaml_any_more_or_holds_secrets_is_left_alone(tmp_path):
    text = proposals.proposal("web1", [finding(**limits(shop=5))])
    for there in ("{", "- a list\n", f"{text}secret: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n"):
        path = tmp_path / "web1.yml"
        path.write_text(there, encoding="utf-8")
        assert proposals.place(path, text) == tmp_path / "web1.yml.new"
        assert path.read_text(encoding="utf-8") == there


hostile = st.text(alphabet=st.sampled_from("ab{}%#:-\n\r\t\x85\u2028\u202e'\"!&*|> \\"), max_size=40)


@given(hostile, hostile, hostile, hostile)
def test_whatever_a_host_says_the_file_holds_the_values_and_nothing_else(host, summary, what, unit):
    one = finding(cgroup_memory_limit_units={unit: {"MemoryMax": 1, "Other": what}})
    one["summary"], one["evidence"][0]["what"] = summary, what
    one["remedy"]["why"] = [what]
    told = read(proposals.proposal(host, [one]))
    assert told == {
        proposals.REVIEWED: False,
        proposals.ROLES: ["cgroup_memory_limit"],
        "cgroup_memory_limit_units": {unit: {"MemoryMax": 1, "Other": what}},
    }


def test_the_same_findings_give_the_same_file():
    found = [finding(**limits(a=1)), finding(0.3, "swap_tuning", swap_tuning_swappiness=100)]
    assert proposals.proposal("web1", found) == proposals.proposal("web1", found)
    assert yaml.safe_load(proposals.proposal("web1", found))
