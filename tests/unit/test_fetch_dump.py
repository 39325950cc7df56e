# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dump on its way to the controller: whole or not at all, private, resumed, and never where it does not fit."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.linux_memory.oom.plugins.action import fetch_dump

BLOCK = fetch_dump.BLOCK


class Task:
    check_mode = False
    async_val = 0


class Host(fetch_dump.ActionModule):
    """The action on a host that is this machine; it can be told to break off."""

    def __init__(self, options, check=False, pieces=None, damage=False):
        self.options, self.pieces, self.damage, self.asked = options, pieces, damage, []
        self._task = Task()
        self._task.check_mode = check

    def validate_argument_spec(self, spec):
        return None, {**{name: one.get("default") for name, one in spec.items()}, **self.options}

    def _low_level_execute_command(self, command, sudoable=False):
        assert sudoable
        self.asked.append(command)
        if command.startswith("dd") and self.pieces is not None:
            if self.pieces == 0:
                return {"rc": 1, "stderr": "Connection lost\n", "stdout": ""}
            self.pieces -= 1
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        text = done.stdout
        if self.damage and command.startswith("dd"):
            text = ("B" if text[0] == "A" else "A") + text[1:]
        return {"rc": done.returncode, "stdout": text, "stderr": done.stderr}


@pytest.fixture(autouse=True)
def no_base(monkeypatch):
    monkeypatch.setattr(fetch_dump.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "var" / "it's a dump"
    path.parent.mkdir()
    path.write_bytes(os.urandom(5 * BLOCK + 77))
    return path


def fetch(source, dest, check=False, pieces=None, damage=False, **options):
    host = Host(
        {"src": str(source), "dest": str(dest), "piece": 2 * BLOCK, "keep_free": 0, **options}, check, pieces, damage
    )
    return host.run(), host


def test_the_file_is_whole_and_private(source, tmp_path):
    dest = tmp_path / "dumps" / "web1" / "vmcore"
    old = os.umask(0)
    try:
        result, _host = fetch(source, dest)
    finally:
        os.umask(old)
    assert dest.read_bytes() == source.read_bytes()
    assert result["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert stat.S_IMODE(dest.stat().st_mode) == 0o600
    assert stat.S_IMODE(dest.parent.stat().st_mode) == 0o700
    assert os.listdir(dest.parent) == ["vmcore"]
    again, host = fetch(source, dest)
    assert again["changed"] is False
    assert not any(command.startswith("dd") for command in host.asked)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [0o644, 0o400])
def test_what_is_there_already_is_made_private(source, tmp_path, before):
    """As scp leaves it, which nobody else may read either."""
    dest = tmp_path / "vmcore"
    dest.write_bytes(source.read_bytes())
    dest.chmod(before)
    assert fetch(source, dest, check=True)[0]["changed"] is True
    assert mode(dest) == before
    result, host = fetch(source, dest)
    assert result["changed"] is True
    assert mode(dest) == 0o600
    assert not any(command.startswith("dd") for command in host.asked)
    assert fetch(source, dest)[0]["changed"] is False


@pytest.mark.parametrize("taken", [{}, {"keep_free": 1 << 60}])
def test_a_part_is_made_private_before_it_goes_on(source, tmp_path, taken):
    dest = tmp_path / "vmcore"
    with pytest.raises(AnsibleActionFail):
        fetch(source, dest, pieces=1)
    (part,) = tmp_path.glob(".vmcore.*.part")
    part.chmod(0o644)
    with pytest.raises(AnsibleActionFail):
        fetch(source, dest, pieces=0, **taken)
    assert mode(part) == 0o600


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_it_goes_on_where_it_stopped(source, tmp_path, pieces):
    dest = tmp_path / "vmcore"
    with pytest.raises(AnsibleActionFail, match="Connection lost"):
        fetch(source, dest, pieces=pieces)
    assert not dest.exists()
    result, _host = fetch(source, dest)
    assert result["resumed_at"] == pieces * 2 * BLOCK
    assert dest.read_bytes() == source.read_bytes()


def test_a_part_that_was_torn_within_a_block_is_taken_to_its_last_whole_block(source, tmp_path):
    dest = tmp_path / "vmcore"
    with pytest.raises(AnsibleActionFail):
        fetch(source, dest, pieces=1)
    (part,) = tmp_path.glob(".vmcore.*.part")
    part.write_bytes(part.read_bytes()[: BLOCK + 5])
    result, _host = fetch(source, dest)
    assert result["resumed_at"] == BLOCK
    assert dest.read_bytes() == source.read_bytes()


def test_the_part_of_another_dump_is_not_continued(source, tmp_path):
    dest = tmp_path / "vmcore"
    with pytest.raises(AnsibleActionFail):
        fetch(source, dest, pieces=1)
    source.write_bytes(os.urandom(5 * BLOCK))
    assert fetch(source, dest)[0]["resumed_at"] == 0
    assert dest.read_bytes() == source.read_bytes()


def test_what_was_changed_on_the_way_is_thrown_away(source, tmp_path):
    dest = tmp_path / "vmcore"
    with pytest.raises(AnsibleActionFail, match="is not what the host has"):
        fetch(source, dest, damage=True)
    assert not dest.exists()
    assert list(tmp_path.glob(".vmcore.*")) == []


def test_it_never_fills_the_disk(source, tmp_path):
    dest = tmp_path / "new" / "vmcore"
    with pytest.raises(
        AnsibleActionFail, match=r"has \d+ bytes free and \d+ are needed, 327757 for what is still to come"
    ) as caught:
        fetch(source, dest, keep_free=1 << 60)
    assert "\n" not in str(caught.value)
    assert not dest.parent.exists()


def test_it_stops_where_others_fill_the_disk_meanwhile_and_goes_on_later(source, tmp_path, monkeypatch):
    """Files of other hosts come at the same time: each look finds less, as they leave it, and room for one piece."""
    dest = tmp_path / "vmcore"
    usage = fetch_dump.shutil.disk_usage(tmp_path)
    seen = iter([9 * BLOCK, 8 * BLOCK, 4 * BLOCK])
    monkeypatch.setattr(fetch_dump.shutil, "disk_usage", lambda _path: usage._replace(free=next(seen)))
    still, kept = 3 * BLOCK + 77, 2 * BLOCK
    with pytest.raises(AnsibleActionFail) as caught:
        fetch(source, dest, keep_free=kept)
    assert str(caught.value) == (
        f"dest: {tmp_path} has {4 * BLOCK} bytes free and {still + kept} are needed, "
        f"{still} for what is still to come of the file and {kept} to stay free (keep_free)"
    )
    assert not dest.exists()
    monkeypatch.undo()
    monkeypatch.setattr(fetch_dump.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    assert fetch(source, dest)[0]["resumed_at"] == 2 * BLOCK
    assert dest.read_bytes() == source.read_bytes()


def test_check_mode_writes_nothing(source, tmp_path):
    dest = tmp_path / "new" / "vmcore"
    assert fetch(source, dest, check=True)[0]["changed"] is True
    assert not dest.parent.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"src": "relative"}, "src: relative is not allowed"),
        ({"src": "/nowhere/dump"}, "src: /nowhere/dump cannot be read"),
        ({"piece": 1000}, "piece: 1000 is not allowed"),
        ({"keep_free": -1}, "keep_free: -1 is not allowed"),
    ],
)
def test_arguments_that_are_not_allowed(source, tmp_path, options, said):
    with pytest.raises(AnsibleActionFail, match=said):
        fetch(options.pop("src", source), tmp_path / "vmcore", **options)
