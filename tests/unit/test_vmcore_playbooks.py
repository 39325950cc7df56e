# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks collect_dumps and investigate as a user runs them, on hosts that are this machine."""

from __future__ import annotations

import json
import stat
import subprocess
import sys

import oom_texts
import pytest
from test_playbooks import play

LOG = "[    0.000000] Linux version 6.12.0-amd64 (x@y) #1\n" + "".join(
    f"[  120.000001] {line}\n" for line in oom_texts.global_612() if "ill" not in line
)
LOG += "[  130.500000] Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled\n"
LOCAL = {"ansible_connection": "local"}
# A connection to this machine that is lost with the first command that holds LOST.
LOST = """
import os
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import local

DOCUMENTATION = local.DOCUMENTATION.replace("name: local", "name: lost")


class Connection(local.Connection):
    transport = "lost"

    def exec_command(self, cmd, *rest, **more):
        if os.environ["LOST"] in str(cmd):
            raise AnsibleConnectionFailure("the line went dead")
        return super().exec_command(cmd, *rest, **more)
"""


def crash(folder, stamp="202611231105"):
    """Make a crash as kdump-tools saves one, with a dump that nothing can read."""
    place = folder / "crash" / stamp
    place.mkdir(parents=True)
    (place / f"dmesg.{stamp}").write_text(LOG)
    (place / f"dump.{stamp}").write_bytes(b"KDUMP   " + bytes(100_000))
    (place / f"dump.{stamp}").chmod(0o600)
    return str(folder / "crash")


def hosts(folder):
    (folder / "empty").mkdir()
    return {
        "web1": {**LOCAL, "collect_dumps_path": crash(folder)},
        "quiet": {**LOCAL, "collect_dumps_path": str(folder / "empty")},
        "down": {"ansible_host": "127.0.0.1", "ansible_port": 1},
    }


def test_collect_dumps_brings_logs_and_verdict_and_leaves_the_dump(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    run = play(work, "collect_dumps", "-e", f"collect_dumps_dest={tmp_path}/dumps", inventory=hosts(tmp_path))
    assert run.returncode != 0, "a host that is down makes it fail"
    found = sorted(
        str(path.relative_to(tmp_path / "dumps")) for path in (tmp_path / "dumps").rglob("*") if path.is_file()
    )
    assert found == [
        "report/hosts/down.json",
        "report/hosts/web1.json",
        "report/index.html",
        "report/summary.json",
        "web1/202611231105/dmesg.202611231105",
        "web1/crashes.json",
    ]
    for path in (tmp_path / "dumps").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    read = json.loads((tmp_path / "dumps" / "web1" / "crashes.json").read_text())
    assert read["crashes"][0]["panic"] == "Out of memory: system-wide panic_on_oom is enabled"
    record = json.loads((tmp_path / "dumps" / "report" / "hosts" / "web1.json").read_text())
    assert record["findings"][0]["cause"] not in ("none", "unexplained")
    assert "quiet" not in (tmp_path / "dumps" / "report" / "summary.json").read_text()


def summary_of(folder):
    """Return {host: (status, message)} of the report."""
    summary = json.loads((folder / "dumps" / "report" / "summary.json").read_text())
    return {one["host"]: (one["status"], one["message"]) for one in summary["hosts"]}


def collect_while_lost(folder, command, inventory, *arguments):
    """Run collect_dumps where hosts of the connection lost go away with a command; return the run and {host: told}."""
    (folder / "connections").mkdir()
    (folder / "connections" / "lost.py").write_text(LOST)
    environment = {"ANSIBLE_CONNECTION_PLUGINS": str(folder / "connections"), "LOST": command}
    wishes = ("-e", f"collect_dumps_dest={folder}/dumps", *arguments)
    run = play(folder, "collect_dumps", *wishes, inventory=inventory, environment=environment)
    assert (folder / "dumps" / "report" / "summary.json").exists(), run.stdout + run.stderr
    return run, summary_of(folder)


@pytest.mark.parametrize(("command", "counts"), [("vmcore_info", "true"), ("sha256sum", "true"), ("base64", "false")])
def test_collect_dumps_tells_of_a_host_that_goes_away_and_of_all_others(tmp_path, command, counts):
    """Reading, before a file and amid one: a host that is lost costs no other host its report."""
    saved = {"collect_dumps_path": crash(tmp_path)}
    inventory = {"gone": {"ansible_connection": "lost", **saved}, "web1": {**LOCAL, **saved}}
    run, told = collect_while_lost(tmp_path, command, inventory, "-e", f"fail_on_unread={counts}")
    assert told == {"gone": ("unreachable", "the line went dead"), "web1": ("ok", None)}
    assert (run.returncode != 0) is (counts == "true"), run.stdout
    assert (tmp_path / "dumps" / "web1" / "202611231105" / "dmesg.202611231105").exists()


def test_collect_dumps_tells_of_a_host_that_left_before_anything_was_remembered(tmp_path):
    """Here this machine itself is one that can be lost, with the task that only a host with a crash has."""
    inventory = {
        "localhost": {"ansible_connection": "lost"},
        "web1": {**LOCAL, "collect_dumps_path": crash(tmp_path)},
        "down": {"ansible_host": "127.0.0.1", "ansible_port": 1},
    }
    run, told = collect_while_lost(tmp_path, "AnsiballZ_file", inventory, "-e", "target=web1,down")
    assert told["web1"] == ("failed", "The play ended before this host was read.")
    assert told["down"][0] == "unreachable"
    assert run.returncode != 0


def test_collect_dumps_tells_the_reader_which_servers_have_symbols(tmp_path):
    """A module does not see what a login shell of its host sets."""
    work, python = tmp_path / "work", tmp_path / "python"
    work.mkdir()
    python.write_text(f'#!/bin/sh\necho "$DEBUGINFOD_URLS" >> {tmp_path}/seen\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    inventory = {"web1": {**LOCAL, "collect_dumps_path": crash(tmp_path), "collect_dumps_python": str(python)}}
    wishes = ("-e", "collect_dumps_debuginfod=true", "-e", f"collect_dumps_dest={tmp_path}/dumps")
    servers = json.dumps({"collect_dumps_debuginfod_urls": "http://a.example http://b.example"})
    done = play(work, "collect_dumps", *wishes, "-e", servers, inventory=inventory)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "seen").read_text().splitlines() == ["http://a.example http://b.example"]


def test_collect_dumps_brings_the_dump_on_request_and_not_where_it_does_not_fit(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    inventory = {"web1": {**LOCAL, "collect_dumps_path": crash(tmp_path)}}
    wanted = ("-e", "collect_dumps_dump=true", "-e", f"collect_dumps_dest={tmp_path}/dumps")
    full = play(work, "collect_dumps", *wanted, "-e", f"collect_dumps_keep_free={1 << 60}", inventory=inventory)
    assert full.returncode != 0
    assert "bytes free and" in full.stdout
    assert list((tmp_path / "dumps").rglob("dump.*")) == []
    done = play(work, "collect_dumps", *wanted, inventory=inventory)
    assert done.returncode == 0, done.stdout
    dump = tmp_path / "dumps" / "web1" / "202611231105" / "dump.202611231105"
    assert dump.stat().st_size == 100_008
    assert stat.S_IMODE(dump.stat().st_mode) == 0o600


def test_collect_dumps_where_no_host_has_a_crash(tmp_path):
    (tmp_path / "empty").mkdir()
    run = play(tmp_path, "collect_dumps", inventory={"web1": {**LOCAL, "collect_dumps_path": str(tmp_path / "empty")}})
    assert run.returncode == 0, run.stdout
    assert "No host has a saved crash." in run.stdout


def without_become(folder):
    """Return the variables of a host whose modules may read what the modes allow, whoever runs this test."""
    python = folder / "python"
    python.write_text(
        "#!/bin/sh\n"
        f'set -- {sys.executable} "$@"\n'
        '[ "$(id -u)" = 0 ] && set -- setpriv --inh-caps=-all --bounding-set=-dac_override,-dac_read_search "$@"\n'
        'exec "$@"\n'
    )
    python.chmod(0o755)
    return {**LOCAL, "collect_dumps_python": str(python), "collect_dumps_path": str(folder / "crash")}


def test_collect_dumps_does_not_take_what_it_may_not_read_for_no_crash(tmp_path):
    """As kdump-tools is set up: anybody may list the directory, and its owner alone what is in it."""
    (tmp_path / "empty").mkdir()
    crash(tmp_path)
    closed = tmp_path / "crash" / "202611231105"
    closed.chmod(0)
    quiet = {**LOCAL, "collect_dumps_path": str(tmp_path / "empty")}
    inventory = {"web1": without_become(tmp_path), "quiet": quiet}
    run = play(tmp_path, "collect_dumps", "-e", f"collect_dumps_dest={tmp_path}/dumps", inventory=inventory)
    assert run.returncode != 0, run.stdout
    assert "No host has a saved crash." not in run.stdout
    reason = f"Not everything that was saved could be read: {closed}: permission denied."
    assert summary_of(tmp_path) == {"web1": ("failed", reason)}


def test_collect_dumps_tells_of_crashes_that_it_could_not_read_beside_those_it_could(tmp_path):
    crash(tmp_path)
    crash(tmp_path, "202611240000")
    closed = tmp_path / "crash" / "202611240000"
    closed.chmod(0)
    wishes = ("-e", f"collect_dumps_dest={tmp_path}/dumps")
    run = play(tmp_path, "collect_dumps", *wishes, inventory={"web1": without_become(tmp_path)})
    assert run.returncode == 0, run.stdout
    reason = f"Not everything that was saved could be read: {closed}: permission denied."
    assert summary_of(tmp_path) == {"web1": ("ok", reason)}
    assert reason in (tmp_path / "dumps" / "report" / "index.html").read_text()


def running():
    """Return the machine's own settings, which no test may touch."""
    return subprocess.run(
        ["sysctl", "vm.panic_on_oom", "kernel.panic"], capture_output=True, text=True, check=False
    ).stdout


def test_investigate_changes_nothing_anywhere_when_one_host_is_refused(tmp_path):
    before = running()
    refused = {"panic_on_oom_kdump_panic_seconds": -5}
    run = play(
        tmp_path,
        "investigate",
        "--check",
        "-e",
        "panic_on_oom_kdump_crash_kernel=unmanaged",
        inventory={"web1": LOCAL, "web2": {**LOCAL, **refused}},
    )
    assert run.returncode != 0
    assert "panic_on_oom_kdump_panic_seconds is -5" in run.stdout
    assert "Set the hosts up, batch by batch" not in run.stdout
    assert "Set the panic" not in run.stdout
    assert running() == before


def test_investigate_goes_batch_by_batch(tmp_path):
    run = play(
        tmp_path,
        "investigate",
        "--check",
        "-e",
        "panic_on_oom_kdump_crash_kernel=unmanaged",
        inventory={"web1": LOCAL, "web2": LOCAL},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("PLAY [Set the hosts up, batch by batch]") == 2


def test_investigate_refuses_a_batch_that_is_none(tmp_path):
    run = play(tmp_path, "investigate", "-e", "investigate_batch=0", inventory={"web1": LOCAL})
    assert run.returncode != 0
    assert "investigate_batch is 0 and has to be a number of hosts" in run.stdout
    assert "Look at every host" not in run.stdout
