# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rule for ansible-lint: each planted mistake of fixtures/lint/bad, and nothing in fixtures/lint/good.

index.json says which mistakes were planted on which lines.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.linux_memory.oom.plugins.plugin_utils import mistakes, mistakes_files, mistakes_yaml
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = Path(__file__).parent / "fixtures" / "lint"
PLANTED = json.loads((FIXTURES / "index.json").read_text(encoding="utf-8"))
BAD, GOOD = (
    sorted(path.relative_to(FIXTURES / kind) for path in (FIXTURES / kind).rglob("*") if path.is_file())
    for kind in ("bad", "good")
)
# How a user's .ansible-lint makes it look at files for hosts, and at a directory of playbooks: docs/lint.md.
CONFIGURATION = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "lint.md").read_text(encoding="utf-8"), re.DOTALL)[1]


def found(kind: str, name: Path) -> list[list]:
    """Return [line, tag] of what is wrong in a file."""
    path = FIXTURES / kind / name
    is_yaml = path.suffix == ".yml"
    return sorted(
        [one.line, one.tag] for one in mistakes_files.of_file(path, path.read_text(encoding="utf-8"), is_yaml)
    )


def test_there_are_forty_files_of_each_and_a_mistake_of_each_kind():
    assert (len(BAD) >= 40, len(GOOD) >= 40) == (True, True)
    assert {tag for planted in PLANTED.values() for _line, tag in planted} == set(mistakes.TAGS)


@pytest.mark.parametrize("name", BAD, ids=str)
def test_what_was_planted_is_found(name):
    assert found("bad", name) == sorted(PLANTED[str(name)])


@pytest.mark.parametrize("name", GOOD, ids=str)
def test_nothing_is_found_where_nothing_is_wrong(name):
    assert found("good", name) == []


def test_protecting_too_many_is_seen_across_the_files_of_a_directory(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.service").write_text("[Service]\nExecStart=/x\nOOMScoreAdjust=-1000\n", encoding="utf-8")
    (one,) = mistakes_files.of_file(tmp_path / "b.service", (tmp_path / "b.service").read_text(encoding="utf-8"), False)
    assert (one.line, one.tag) == (3, "oom-score-spread")
    assert "3 units" in one.message


def test_each_message_is_one_sentence_that_says_what_is_right():
    for name in BAD:
        path = FIXTURES / "bad" / name
        for one in mistakes_files.of_file(path, path.read_text(encoding="utf-8"), path.suffix == ".yml"):
            assert one.message.endswith("."), one
            assert "\n" not in one.message


@given(st.text(alphabet=st.sampled_from("abvm.: -[]{}\"'=\n#|>&*!%1")))
def test_no_text_is_too_much(text):
    mistakes_yaml.of_yaml(text)
    for path in ("/etc/sysctl.d/x.conf", "x.service", "templates/x.service.j2"):
        mistakes_files.of_file(path, text, False)


@given(st.integers(-1000, 1000))
def test_a_swappiness_is_wrong_exactly_where_no_kernel_takes_it(value):
    wrong = mistakes.of_sysctl_file(f"vm.swappiness = {value}\n")
    assert [one.tag for one in wrong] == ([] if 0 <= value <= 200 else ["sysctl-range"])


def test_the_documentation_has_each_tag():
    said = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", said, re.MULTILINE))
    assert rows == mistakes.TAGS


@pytest.fixture
def lint(tmp_path):
    """Return a function that runs ansible-lint with the rule on a copy of a tree and gives [file, line, tag]."""

    def run(kind: str) -> list[list]:
        tree = tmp_path / kind
        shutil.copytree(FIXTURES / kind, tree)
        (tree / ".ansible-lint").write_text(CONFIGURATION, encoding="utf-8")
        collections = ROOT / "build" / "collections"
        rules = collections / "ansible_collections" / "linux_memory" / "oom" / "extensions" / "lint"
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-lint"), "--format", "json", "--rules-dir", str(rules)],
            cwd=tree, capture_output=True, text=True, check=False,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_HOME": str(tmp_path / "home")},
        )  # fmt: skip
        assert done.returncode in (0, 2), done.stderr
        return [
            [one["location"]["path"], one["location"]["lines"]["begin"], one["check_name"].partition("[")[2].strip("]")]
            for one in json.loads(done.stdout)
        ]

    return run


def test_ansible_lint_finds_them_with_the_configuration_of_the_documentation(lint):
    assert sorted(lint("bad")) == sorted([name, *one] for name, planted in PLANTED.items() for one in planted)
    assert lint("good") == []
