# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several changes in one run: all look before one acts, and each answers as its module would by itself."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from unittest import mock

import module_host
import pytest
import swap_host
import units_host
from ansible_collections.linux_memory.oom.plugins.module_utils import swap_file_change
from ansible_collections.linux_memory.oom.plugins.modules import owned_units, swap_file, together

ROOT = Path(__file__).resolve().parents[2]
AREA = {"path": "/srv/swap", "size": "1M"}
PROGRAMS = {**swap_host.PROGRAMS, **units_host.PROGRAMS}


@pytest.fixture(name="place")
def a_host(tmp_path):
    units_host.make(tmp_path)
    swap_host.make(tmp_path)
    return tmp_path


def part(module, name=None, **options):
    return {"module": module, "name": name, "options": options}


def files(path="/srv/swap", **options):
    return part("swap_file", "files", files=[{**AREA, "path": path}], **options)


def units(**options):
    return part("owned_units", "units", **{"purpose": "x", "files": units_host.timer("daily"), **options})


def work(module, options, check):
    with mock.patch.object(swap_file_change, "swap_permitted", lambda: True):
        return module_host.run(module, options, PROGRAMS, check)


def run(place, *parts, check=False):
    return module_host.inside(place, lambda: work(together, {"parts": list(parts)}, check))


def alone(place, module, options, check=False):
    return module_host.inside(place, lambda: work(module, options, check))


def state(place):
    return {**swap_host.state(place), **units_host.state(place)}


def test_every_part_is_done_and_then_nothing_differs(place):
    done = run(place, files(), units())
    assert (done["changed"], done["differs"]) == (True, True)
    assert "/srv/swap" in (place / "proc/swaps").read_text(encoding="utf-8")
    assert "linux_memory_oom-x-one.timer" in units_host.state(place)["active"]
    before = state(place)
    again = run(place, files(), units())
    assert (again["changed"], again["differs"], again["diff"]) == (False, False, [])
    assert state(place) == before


def test_check_mode_says_it_all_and_changes_nothing(place):
    before = state(place)
    predicted = run(place, files(), units(), check=True)
    assert state(place) == before
    assert predicted == run(place, files(), units())


def test_each_part_answers_as_its_module(place, tmp_path_factory):
    done = run(place, files(), units())
    other = tmp_path_factory.mktemp("other")
    units_host.make(other)
    swap_host.make(other)
    for module, options in ((swap_file, files()["options"]), (owned_units, units()["options"])):
        by_itself = alone(other, module, options)
        name = module.__name__.rpartition(".")[2]
        assert done["parts"]["files" if module is swap_file else "units"] == {**by_itself, "module": name}
        assert by_itself["differs"]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([units(), files(path="/proc")], "path: /proc is neither a regular file nor a block device"),
        ([units(), part("swap_file", "files", files=[{"size": "1M"}])], "parts: files: .*required.* path"),
        ([units(), part("swap_file", "files", sizes="1M")], "parts: files: sizes.* Supported parameters"),
        ([units(), part("swap_file", "files", state="gone")], "parts: files: .*state must be one of: .*gone"),
        ([units(), files(), files()], "parts: name: files is given to more than one part"),
        ([units(), part("swap", "files")], "module must be one of: bdi_limits, .*vm_sysctl, got: swap"),
        ([files(), units(needs={"/usr/bin/none": "nothing"})], "needs: /usr/bin/none is not there"),
    ],
    ids=["path", "missing", "unknown", "choice", "name", "module", "needs"],
)
def test_what_one_part_refuses_changes_nothing_of_any(place, parts, says):
    before = state(place)
    refused = run(place, *parts)
    assert refused["failed"]
    assert "\n" not in refused["msg"]
    assert re.search(says, refused["msg"]), refused["msg"]
    assert state(place) == before


def test_a_part_that_fails_while_it_acts_names_what_was_changed_before(place):
    def fails(_words):
        return 1, "", "mkswap: broken"

    with mock.patch.dict(PROGRAMS, mkswap=fails):
        failed = run(place, units(), files())
    assert failed["msg"].startswith("`mkswap /srv/")
    assert failed["msg"].endswith(" Changed before that: units.")
    assert "linux_memory_oom-x-one.timer" in units_host.state(place)["active"]


def test_an_error_of_the_system_is_one_sentence(place):
    with mock.patch.object(swap_file_change, "decide", side_effect=OSError(5, "Input/output error", "/srv/swap")):
        failed = run(place, files())
    assert failed["msg"] == "/srv/swap: Input/output error"


def test_a_warning_is_given_once(place):
    with mock.patch.object(together.AnsibleModule, "warn", autospec=True) as warn:
        text = (place / "proc/swaps").read_text(encoding="utf-8") + "/srv/swap\\040(deleted) file 8 0 5\n"
        (place / "proc/swaps").write_text(text, encoding="utf-8")
        said = module_host.inside(
            place,
            lambda: [work(together, {"parts": [files()]}, False), [call.args[1] for call in warn.mock_calls]],
        )[1]
    assert len(said) == 1
    assert "/srv/swap was removed while it was active" in said[0]


def test_it_knows_every_module_that_changes_a_host():
    """A module that changes hosts says so with its documentation fragment."""
    changers = {
        path.stem
        for path in (ROOT / "plugins/modules").glob("*.py")
        if "linux_memory.oom.attributes.changer" in path.read_text(encoding="utf-8")
    }
    assert set(together.WORK) == changers - {"together"}


@pytest.mark.parametrize("name", sorted(together.WORK))
def test_the_module_itself_does_the_same_work(name):
    tree = ast.parse((ROOT / "plugins/modules" / f"{name}.py").read_text(encoding="utf-8"))
    imported = {
        (node.module.rpartition(".")[2], alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    library = together.WORK[name]().__name__.rpartition(".")[2]
    assert {(library, "SPEC"), (library, "run")} <= imported
