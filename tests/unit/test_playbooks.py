# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks as a user runs them, on hosts that answer, one that is down and one without Python."""

from __future__ import annotations

import json
import lzma
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import oom_texts
import pytest

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
OOM = Path(__file__).resolve().parent / "fixtures" / "oom"
HOSTS = {
    "web1": {"ansible_connection": "local"},
    "<script>alert(1)</script>": {"ansible_connection": "local"},
    "down": {"ansible_host": "127.0.0.1", "ansible_port": 1},
    "nopython": {"ansible_connection": "local", "ansible_python_interpreter": "/nowhere/python"},
}


def play(folder, name, *arguments, inventory=None, environment=None):
    """Run a playbook of the collection in a folder, with facts kept out of the variables."""
    if inventory:
        variables = {"ansible_python_interpreter": sys.executable}
        (folder / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "hosts": inventory}}))
        arguments = ("--inventory", "hosts.json", *arguments)
    (folder / "ansible.cfg").write_text("[defaults]\n")
    settings = {
        "ANSIBLE_INJECT_FACT_VARS": "false",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        # Fact caches and settings of whoever runs the tests are none of theirs.
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "PWD": "/nowhere",
    }
    return subprocess.run(
        [PLAYBOOK, f"linux_memory.oom.{name}", *arguments],
        cwd=folder,
        env={**os.environ, **settings, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


UNORDERED = re.compile(
    r"\| *(?:ansible\.builtin\.)?(?:intersect|union|difference|symmetric_difference)\b[^|]*(?:\| *(\w+)|$)"
)


@pytest.mark.parametrize("folder", ["playbooks", "roles"])
def test_no_order_is_left_to_chance(folder):
    """What Ansible's filters on sets return comes in another order in each run: good for counting alone."""
    files = [path for end in ("yml", "j2") for path in (Path(__file__).parents[2] / folder).rglob(f"*.{end}")]
    assert len(files) > 10
    told = []
    for path in files:
        for line in path.read_text(encoding="utf-8").splitlines():
            told += [
                f"{path.name}: {line.strip()}"
                for found in UNORDERED.finditer(line)
                if found[1] != "length" and not re.search(r"\) == \[\]", found[0])
            ]
    assert told == []


def test_check_mode_as_a_keyword_is_kept():
    """A task's own check_mode wins over that of its play, of which ansible_check_mode does not tell: a look asks for
    check mode, and everything else leaves it to the play."""
    for folder in ("playbooks", "roles"):
        for path in (Path(__file__).parents[2] / folder).rglob("*.yml"):
            text = path.read_text(encoding="utf-8")
            for said in re.findall(r"^ *check_mode: (.+)$", text, re.MULTILINE):
                assert re.fullmatch(r'"\{\{ true if \w+ \| bool else omit \}\}"', said) or (
                    # What a report of a check is written with.
                    path.name == "audit.yml" and said == "false"
                ), f"{path}: {said}"


def messages(run):
    """Return the message of each task that failed."""
    lines = [line for line in run.stdout.splitlines() if line.startswith("fatal: ")]
    return [json.loads(line.split("=> ", 1)[1])["msg"] for line in lines]


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory):
    """Return the run of diagnose over all hosts, and its folder."""
    folder = tmp_path_factory.mktemp("diagnose")
    return play(folder, "diagnose", "-e", "sample_seconds=0.1", inventory=HOSTS), folder


def test_every_host_is_in_the_report(diagnosed):
    _run, folder = diagnosed
    summary = json.loads((folder / "reports" / "summary.json").read_text())
    statuses = {host["host"]: host["status"] for host in summary["hosts"]}
    assert statuses == {
        "web1": "ok",
        "<script>alert(1)</script>": "ok",
        "down": "unreachable",
        "nopython": "failed",
    }
    reasons = {host["host"]: host["message"] for host in summary["hosts"]}
    assert "Connection refused" in reasons["down"]
    assert "/nowhere/python" in reasons["nopython"]
    one = json.loads((folder / "reports" / "hosts" / "web1.json").read_text())
    assert one["facts"]["meminfo"]["mem_total"] > 0
    assert one["findings"][0]["cause"]


def test_the_terminal_shows_the_summary_as_text(diagnosed):
    run, folder = diagnosed
    lines = run.stdout.splitlines()
    assert any(line.startswith("down ") and line.endswith("Unreachable") for line in lines)
    assert f"Report: {folder}/reports/index.html" in lines
    assert any(line.startswith("4 hosts: ") and "2 could not be read" in line for line in lines)


def test_the_exit_status_tells_that_hosts_are_missing(diagnosed):
    run, _folder = diagnosed
    assert run.returncode == 2
    recap = {line.split()[0]: line for line in run.stdout.split("PLAY RECAP")[1].splitlines() if "ok=" in line}
    assert "failed=0" in recap["web1"]
    assert "failed=1" in recap["down"]
    assert "failed=1" in recap["nopython"]


def test_the_exit_status_may_be_told_to_forgive(tmp_path):
    down = {"web1": HOSTS["web1"], "down": HOSTS["down"]}
    arguments = ("-e", "fail_on_unread=false", "-e", "sample_seconds=0", "-e", "memory_report_dest=out")
    run = play(tmp_path, "diagnose", *arguments, inventory=down)
    assert run.returncode == 0, run.stdout
    assert (tmp_path / "out" / "index.html").exists()


def test_what_a_host_answers_is_no_template(tmp_path):
    interpreter = tmp_path / "python"
    attack = "{{ 7 * 7 }} {{ lookup('pipe', 'touch owned') }}"
    interpreter.write_text(f'#!/bin/sh\necho "{attack}" >&2\nexit 1\n')
    interpreter.chmod(0o755)
    host = {"ansible_connection": "local", "ansible_python_interpreter": str(interpreter)}
    run = play(tmp_path, "diagnose", inventory={"nasty": host})
    summary = json.loads((tmp_path / "reports" / "summary.json").read_text())
    assert attack in summary["hosts"][0]["message"]
    assert attack in messages(run)[-1]
    assert not list(tmp_path.rglob("owned"))


# A log that somebody sent, without any host.


def said(run):
    """Return what a run printed of its report, without the words of Ansible."""
    return [line for line in run.stdout.splitlines() if line and not line.startswith(("PLAY", "TASK", "changed:"))]


def test_a_log_in_a_verdict_out(tmp_path):
    (tmp_path / "it is.log").write_bytes(lzma.decompress((OOM / "6.12_cgroup_loop_v2.log.xz").read_bytes()))
    (tmp_path / "old.log.xz").write_bytes((OOM / "5.10_tmpfs.log.xz").read_bytes())
    (tmp_path / "quiet.log").write_text("nothing\n")
    names = {"log": ["it is.log", "old.log.xz", "quiet.log"], "memory_report_dest": "out"}
    run = play(tmp_path, "diagnose", "-e", json.dumps(names))
    assert run.returncode == 0, run.stdout
    lines = said(run)
    assert "No OOM report in quiet.log." in lines
    assert "2 hosts: 2 need attention; 4 OOM reports" in lines
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["oom_reports"] == 4
    # One log names its host, the other is what dmesg printed.
    hosts = {host["host"]: json.loads((tmp_path / "out" / host["file"]).read_text()) for host in summary["hosts"]}
    assert {name: (one["facts"], len(one["reports"])) for name, one in hosts.items()} == {
        "lab": ({}, 3),
        "old.log.xz": ({}, 1),
    }
    assert [Path(path).name for path in hosts["lab"]["files"]] == ["it is.log"]
    assert "When the OOM killer ran" in (tmp_path / "out" / "index.html").read_text()


def test_a_log_without_a_report_is_an_answer(tmp_path):
    (tmp_path / "quiet.log").write_text("nothing\n")
    run = play(tmp_path, "diagnose", "-e", "log=quiet.log")
    assert run.returncode == 0
    assert "    No report of the OOM killer was found in quiet.log." in said(run)


def test_a_sosreport_is_read_as_a_host(tmp_path):
    logs = tmp_path / "sos" / "var" / "log"
    logs.mkdir(parents=True)
    (tmp_path / "sos" / "sos_commands").mkdir()
    (logs / "kern.log").write_bytes(lzma.decompress((OOM / "6.12_cgroup_loop_v2.log.xz").read_bytes()))
    run = play(tmp_path, "diagnose", "-e", "log=sos")
    assert run.returncode == 0, run.stdout
    assert json.loads((tmp_path / "reports" / "summary.json").read_text())["oom_reports"] == 3


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"log": "nope.log"}, "log: {}/nope.log does not exist; it has to be a log file, a directory or a pattern."),
        ({"log": ["a*.log"]}, "log: {}/a*.log does not exist; it has to be a log file, a directory or a pattern."),
        ({"log": " , "}, "log: it is empty; it has to be a log file, a directory or a pattern."),
        ({"log": "empty"}, "log: {}/empty holds no file."),
        ({"log": "/dev/null"}, "log: /dev/null could not be read: not a regular file."),
        ({"log": "empty", "limit": -1}, "limit: -1 is not allowed; it has to be from 0 (all) to 100000"),
        ({"since": "soon"}, "since: soon is not a time; it has to be ISO 8601 (2026-01-31 or"),
    ],
)
def test_a_log_that_cannot_be_read_gets_one_sentence(tmp_path, variables, sentence):
    (tmp_path / "empty").mkdir()
    inventory = None if "log" in variables else {"web1": HOSTS["web1"]}
    run = play(tmp_path, "diagnose", "-e", json.dumps(variables), inventory=inventory)
    assert run.returncode == 2
    assert messages(run)[-1].startswith(sentence.format(tmp_path))
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("names", "first"), [("kern.log", "kern.log"), ("there.log gone.log", "gone.log"), ("no such.log", "no")]
)
def test_make_diagnose_says_which_log_is_not_there(tmp_path, names, first):
    (tmp_path / "there.log").touch()
    script = Path(__file__).resolve().parent.parent / "tools" / "diagnose.sh"
    command = [script, PLAYBOOK.parent, "", names]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    said = f"LOG: {first} does not exist; it has to be a log file, a directory or a pattern\n"
    assert (run.returncode, run.stdout, run.stderr) == (2, "", said)


def journalctl(folder, script):
    """Put a journalctl into the path of a host."""
    command = folder / "bin" / "journalctl"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n" + script)
    command.chmod(0o755)
    return {"PATH": f"{command.parent}:{os.environ['PATH']}"}


def test_the_kernel_log_of_a_host_is_read(tmp_path):
    """With the facts, of the time that was asked for, and of thirty days where none was."""
    report = oom_texts.journal_json(oom_texts.global_612())
    (tmp_path / "journal").write_text(report)
    path = journalctl(tmp_path, f'echo "$@" >> {tmp_path}/asked\ncat {tmp_path}/journal\n')
    options = {"sample_seconds": 0, "since": "@1"}
    run = play(tmp_path, "diagnose", "-e", json.dumps(options), inventory={"web1": HOSTS["web1"]}, environment=path)
    assert run.returncode == 0, run.stdout
    one = json.loads((tmp_path / "reports" / "hosts" / "web1.json").read_text())
    assert one["facts"]["meminfo"]["mem_total"] > 0
    assert [report["victim"]["pid"] for report in one["reports"] if report["path"] == "journal"] == [4321]
    assert one["findings"][0]["cause"] not in ("none", "unexplained")
    assert "--since=@1" in (tmp_path / "asked").read_text()
    play(tmp_path, "diagnose", "-e", "sample_seconds=0", inventory={"web1": HOSTS["web1"]}, environment=path)
    since = re.findall(r"--since=@(\d+)", (tmp_path / "asked").read_text())[-1]
    assert time.time() - int(since) == pytest.approx(30 * 86400, abs=300)


def test_a_kernel_log_that_cannot_be_read_does_not_fail_the_host(tmp_path):
    path = journalctl(tmp_path, "exit 5\n")
    options = ("-e", "sample_seconds=0", "-e", "host_timeout=60")
    run = play(tmp_path, "diagnose", *options, inventory={"web1": HOSTS["web1"]}, environment=path)
    assert run.returncode == 0, run.stdout
    one = json.loads((tmp_path / "reports" / "hosts" / "web1.json").read_text())
    assert (one["status"], bool(one["facts"])) == ("ok", True)
    assert one["log"]["unavailable"]["journal"] == "journalctl ended with status 5"


def test_the_kernel_log_may_be_left_alone(tmp_path):
    options = ("-e", "sample_seconds=0", "-e", "read_log=false")
    run = play(tmp_path, "diagnose", *options, inventory={"web1": HOSTS["web1"]})
    assert run.returncode == 0, run.stdout
    assert json.loads((tmp_path / "reports" / "hosts" / "web1.json").read_text())["log"] is None


def test_facts_answers_a_question(tmp_path):
    question = json.dumps({"facts_query": "[].{host: host, total: meminfo.mem_total}"})
    run = play(
        tmp_path, "facts", "-e", question, "-e", "output=csv", "-e", "dest=out.csv", "--limit", "web1", inventory=HOSTS
    )
    assert run.returncode == 0, run.stdout
    text = (tmp_path / "out.csv").read_text()
    assert text.splitlines()[0] == "host,total"
    assert text.splitlines()[1].startswith("web1,")
    assert text in run.stdout


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"facts_query": "[?a"}, 'query: "[?a" is not a JMESPath expression: it ends too early, after column 3'),
        ({"query": "nope(@)"}, 'query: "nope(@)" uses an unknown function: nope()'),
        ({"output": "xml"}, "output: xml is not allowed; it has to be one of table, json, csv"),
        ({"target": "nobody"}, "target: nobody matches no host of the inventory."),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, variables, sentence):
    run = play(tmp_path, "facts", "-e", json.dumps(variables), inventory={"web1": HOSTS["web1"]})
    assert run.returncode == 2
    assert messages(run)[-1] == sentence


def test_no_inventory_gets_one_sentence(tmp_path):
    run = play(tmp_path, "diagnose")
    assert run.returncode == 2
    assert messages(run) == ["There is no host to read: the inventory is empty, name one with -i."]
    assert not (tmp_path / "reports").exists()
