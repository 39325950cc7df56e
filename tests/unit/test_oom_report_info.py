# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which logs are read, and that one event is one report whatever the number of logs that tell of it."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import stat
import subprocess
import sys
from pathlib import Path

import oom_texts
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import log_source, oom_report_merge, oom_report_table
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from ansible_collections.linux_memory.oom.plugins.modules import oom_report_info
from ansible_collections.linux_memory.oom.plugins.plugin_utils import diagnosis, from_report, page

NOW = 1_760_000_000.0
# The local time of the reports in oom_texts, as their logs write it.
MTIME = 1_741_700_000


def log(path: Path, text: str, mtime: float = MTIME) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("latin-1" if text.startswith("__CURSOR") else "utf-8"))
    os.utime(path, (mtime, mtime))
    return path


def collect(*sources, **options) -> oom_report_merge.Collection:
    collection = oom_report_merge.Collection(**options)
    for source in sources:
        collection.read(source)
    return collection


def utf_16(raw: bytes) -> bytes:
    """Return a text as PowerShell writes it."""
    return raw.decode().encode("utf-16")


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, lzma.compress, bz2.compress, utf_16],
    ids=["plain", "gz", "xz", "bz2", "utf-16"],
)
def test_what_a_file_is_packed_with_is_seen_in_it(tmp_path, pack):
    path = tmp_path / "any-name"
    path.write_bytes(pack(oom_texts.syslog_seconds(oom_texts.global_612()).encode()))
    collection = collect(log_source.FileSource(str(path)))
    assert [report["victim"]["pid"] for report in collection.reports()] == [4321]
    assert collection.reports()[0]["path"] == str(path)
    assert collection.unavailable == {}


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_zstd_by_its_command(tmp_path, monkeypatch):
    path = log(tmp_path / "kern.log.3.zst", "")
    path.write_bytes(b"\x28\xb5\x2f\xfd" + oom_texts.dmesg(oom_texts.memcg_v2()).encode())
    fake(tmp_path, "zstd", "tail -c +5\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert collect(log_source.FileSource(str(path))).reports()[0]["victim"]["pid"] == 701


def test_zstd_without_its_command(tmp_path, monkeypatch):
    path = log(tmp_path / "kern.log.3.zst", "")
    path.write_bytes(b"\x28\xb5\x2f\xfdxxxx")
    monkeypatch.setattr(log_source, "find_command", lambda name: None)
    collection = collect(log_source.FileSource(str(path)))
    assert collection.unavailable == {str(path): "compressed with zstd, and no zstd command is installed"}


@pytest.mark.parametrize("cut", [200, 900])
def test_a_damaged_archive_gives_what_came_before(tmp_path, cut):
    path = tmp_path / "kern.log.2.gz"
    path.write_bytes(gzip.compress(oom_texts.dmesg(oom_texts.global_612()).encode())[:-cut])
    collection = collect(log_source.FileSource(str(path)))
    assert str(path) in collection.unavailable
    assert all(report["truncated"] for report in collection.reports())


def test_the_logs_of_a_host(tmp_path):
    names = (
        "kern.log",
        "kern.log.1",
        "kern.log.2.gz",
        "syslog",
        "messages-20250301",
        "auth.log",
        "kern.logs.txt",
        "dmesg",
    )
    for age, name in enumerate(names):
        log(tmp_path / "var/log" / name, "x\n", MTIME - age)
    (tmp_path / "var/log/messages").mkdir()
    found = [source.path for source in log_source.host_files(Tree(str(tmp_path)))]
    assert found == [
        "/var/log/" + name for name in ("messages-20250301", "syslog", "kern.log.2.gz", "kern.log.1", "kern.log")
    ]
    assert len(log_source.host_files(Tree(str(tmp_path)), since=MTIME - 1)) == 2


def test_the_logs_of_a_sosreport(tmp_path):
    log(tmp_path / "sos_commands/logs/journalctl_--no-pager_--boot", oom_texts.journal_short(oom_texts.global_612()))
    log(tmp_path / "sos_commands/kernel/dmesg_-T", oom_texts.dmesg_human(oom_texts.global_612()))
    log(tmp_path / "var/log/messages", oom_texts.syslog_seconds(oom_texts.global_612()))
    params = {"source": "auto", "root": str(tmp_path), "boots": 0}
    sources, missing = oom_report_info.choose(params, [], None, None)
    assert sorted(missing) == ["journal", "kmsg"]
    collection = collect(*sources)
    reports = collection.reports()
    assert (collection.found, len(reports)) == (3, 1)
    assert len(reports[0]["also_in"]) == 2
    assert reports[0]["uptime"] is not None


def test_one_event_in_many_logs_is_one_report(tmp_path):
    lines = oom_texts.global_612()
    cut = "".join(oom_texts.syslog_seconds(lines).splitlines(True)[:40])
    sources = [
        log_source.FileSource(str(log(tmp_path / name, text)))
        for name, text in (
            ("cut", cut),
            ("journal", oom_texts.journal_json(lines)),
            ("syslog", oom_texts.syslog_seconds(lines)),
        )
    ]
    collection = collect(*sources)
    reports = collection.reports()
    # What was cut names no victim, so nothing says that it is the same event.
    assert [report["truncated"] for report in reports] in ([True, False], [False, True])
    whole = next(report for report in reports if not report["truncated"])
    assert len(whole["also_in"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.update(boot="another"),
        lambda report: report.update(host="db-2"),
        lambda report: report.update(uptime=report["uptime"] + 5),
        lambda report: report["trigger"].update(pid=9),
        lambda report: report["victim"].update(pid=9),
    ],
)
def test_two_events_stay_two(change):
    def report():
        raw = oom_texts.journal_json(oom_texts.global_612()).encode()
        assembler = oom_report_merge.Assembler(NOW, "x")
        return next(oom_report_merge.scan([raw], assembler))

    other = report()
    assert len(oom_report_merge.merge([[report()], [report()]])) == 1
    assert len(oom_report_merge.merge([[report(), report()]])) == 2
    change(other)
    assert len(oom_report_merge.merge([[report()], [other]])) == 2


def test_the_same_second_told_by_two_clocks():
    """Syslog without the kernel's time and the journal: the same victim within two seconds."""

    def read(prefix):
        assembler = oom_report_merge.Assembler(NOW, prefix.__name__)
        return list(oom_report_merge.scan([prefix(oom_texts.global_612()).encode()], assembler))

    iso, plain = read(oom_texts.syslog_iso), read(oom_texts.syslog)
    plain[0]["epoch"] = iso[0]["epoch"] - 1.4
    merged = oom_report_merge.merge([iso, plain])
    assert [(report["path"], report["also_in"]) for report in merged] == [("syslog_iso", ["syslog"])]
    plain[0]["epoch"] = iso[0]["epoch"] - 2.6
    assert len(oom_report_merge.merge([iso, plain])) == 2


def test_the_newest_of_many(tmp_path):
    text = "".join(
        oom_texts.syslog_iso(oom_texts.memcg_v2())
        .replace("T03:54", f"T{hour:02d}:54")
        .replace("5000.", f"5{hour:02d}0.")
        for hour in range(3, 9)
    )
    source = log_source.FileSource(str(log(tmp_path / "kern.log", text)))
    assert len(collect(source).reports()) == 6
    some = collect(source, limit=2)
    assert (some.found, [report["time"][11:13] for report in some.reports()]) == (6, ["07", "08"])
    since = oom_report_merge.parse_when("2025-03-11T05:00:00+02:00", NOW)
    until = oom_report_merge.parse_when("2025-03-11T07:00:00+02:00", NOW)
    chosen = collect(source, since=since, until=until).reports()
    assert [report["time"][11:13] for report in chosen] == ["05", "06"]


def test_a_report_without_a_time_is_never_left_out(tmp_path):
    source = log_source.FileSource(str(log(tmp_path / "dmesg", oom_texts.dmesg(oom_texts.memcg_v2()))))
    assert len(collect(source, since=NOW).reports()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW), ("@17.5", 17.5), ("90s", NOW - 90), ("30min", NOW - 1800), ("-12h", NOW - 43200),
        ("7d", NOW - 604800),
        ("2 weeks ago", NOW - 1209600), ("1.5 hours", NOW - 5400), ("2025-06-20T12:00:00Z", 1750420800),
        ("2025-06-20 12:00+02:00", 1750413600), ("2025-06-20T12:00:00.25Z", 1750420800.25),
    ],
)  # fmt: skip
def test_points_in_time(text, expected):
    assert oom_report_merge.parse_when(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "2025-13-01", "2025-02-30", "2025-06-20T25:00", "12", "7 d 3 h", "0000-01-01x"]
)
def test_no_points_in_time(text):
    with pytest.raises(ValueError, match=".*"):
        oom_report_merge.parse_when(text, NOW)


GOOD = {"since": None, "until": None, "limit": 100, "boots": 0, "root": "/", "source": "auto", "paths": [], "tasks": 0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"since": "soon"}, ("since", "soon", "ISO 8601")),
        ({"until": "never"}, ("until", "never", "ISO 8601")),
        ({"since": "1h", "until": "2h"}, ("since", "1h", "until", "2h")),
        ({"limit": -1}, ("limit", "-1", "100000")),
        ({"boots": -2}, ("boots", "-2", "0")),
        ({"tasks": -2}, ("tasks", "-2", "0")),
        ({"root": "/no/such"}, ("root", "/no/such", "does not exist")),
        ({"root": "/etc/passwd"}, ("root", "/etc/passwd", "not a directory")),
    ],
)
def test_bad_arguments_get_one_sentence(change, words):
    with pytest.raises(ValueError, match=".") as error:
        oom_report_info.check(dict(GOOD, **change), NOW)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def test_paths_are_expanded_once(tmp_path):
    for name in ("a.log", "b.log"):
        log(tmp_path / name, "x\n")
    first, second = str(tmp_path / "a.log"), str(tmp_path / "b.log")
    assert oom_report_info.expand([second, str(tmp_path / "*.log")]) == [second, first]
    with pytest.raises(ValueError, match=r"paths: /no/such\* does not exist"):
        oom_report_info.expand(["/no/such*"])


def test_only_the_paths_are_read_when_there_are_any(tmp_path):
    folder = tmp_path / "logs"
    log(folder / "b.log", oom_texts.dmesg(oom_texts.memcg_v2()))
    log(folder / "a.log", oom_texts.dmesg(oom_texts.global_612()))
    sources, missing = oom_report_info.choose(dict(GOOD, source="journal"), [str(folder)], None, None)
    assert ([source.path for source in sources], missing) == ([str(folder / "a.log"), str(folder / "b.log")], {})


JOURNAL = """case "$*" in
*--list-boots*) echo " -1 11111111111111111111111111111111 Mon" ; echo "  0 22222222222222222222222222222222 Tue" ;;
*) echo "$@" >> "$LOG" ; cat "$TEXT" ;;
esac
"""


def journal(tmp_path, monkeypatch, script=JOURNAL) -> Path:
    """Put a journalctl in the path that prints a report and notes its arguments."""
    fake(tmp_path, "journalctl", script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(tmp_path / "arguments"))
    monkeypatch.setenv("TEXT", str(log(tmp_path / "text", oom_texts.journal_json(oom_texts.global_612()))))
    return tmp_path / "arguments"


def test_the_journal(tmp_path, monkeypatch):
    arguments = journal(tmp_path, monkeypatch)
    collection = collect(log_source.host_journal(Tree("/"), boots=1, since=10.5, until=20.5))
    assert [(report["source"], report["boot"]) for report in collection.reports()] == [
        ("journal", "0123456789abcdef" * 2)
    ]
    said = arguments.read_text().split()
    assert {"--output=json", "_TRANSPORT=kernel", "--since=@10", "--until=@21", "_BOOT_ID=" + "2" * 32} <= set(said)
    assert "_BOOT_ID=" + "1" * 32 not in said


def test_the_journal_of_another_tree(tmp_path, monkeypatch):
    arguments = journal(tmp_path, monkeypatch)
    assert log_source.host_journal(Tree(str(tmp_path))) is None
    (tmp_path / "var/log/journal").mkdir(parents=True)
    collect(log_source.host_journal(Tree(str(tmp_path))))
    assert f"--directory={tmp_path}/var/log/journal" in arguments.read_text()


def test_journal_files_and_directories_among_the_paths(tmp_path, monkeypatch):
    arguments = journal(tmp_path, monkeypatch)
    path = tmp_path / "saved"
    path.write_bytes(b"LPKSHHRH" + bytes(300))
    folder = tmp_path / "machines"
    (folder / ("0" * 32)).mkdir(parents=True)
    for one in (path, folder):
        assert [report["victim"]["pid"] for report in collect(*log_source.path_sources(str(one))).reports()] == [4321]
    assert f"--file={path}" in arguments.read_text()
    assert f"--directory={folder}" in arguments.read_text()


def test_an_old_journalctl_without_output_fields(tmp_path, monkeypatch):
    script = (
        'case "$*" in *--output-fields*) echo "journalctl: unrecognized option x" >&2; exit 1;; *) cat "$TEXT";; esac\n'
    )
    journal(tmp_path, monkeypatch, script)
    assert len(collect(log_source.host_journal(Tree("/"))).reports()) == 1


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ('echo "journalctl: No journal files were found." >&2; exit 1\n', "No journal files were found."),
        ('echo "Hint: You are currently not seeing messages from other users." >&2\n', "permission denied"),
        ("exit 3\n", "ended with status 3"),
    ],
)
def test_a_journal_that_cannot_be_read(tmp_path, monkeypatch, script, reason):
    journal(tmp_path, monkeypatch, script)
    collection = collect(log_source.host_journal(Tree("/")))
    assert reason in collection.unavailable["journal"]
    assert collection.sources == []


def test_a_silent_journal_is_not_taken_for_one_without_kills(tmp_path, monkeypatch):
    """journalctl ends well for a user who may only see the journal of their own."""
    folder = tmp_path / "journal" / ("0" * 32)
    with pytest.raises(log_source.SourceError, match="no journal of the system is kept"):
        log_source._require_system_journal((str(tmp_path / "journal"),))
    folder.mkdir(parents=True)
    (folder / "user-1000.journal").write_text("")
    with pytest.raises(log_source.SourceError, match="no journal of the system is kept"):
        log_source._require_system_journal((str(tmp_path / "journal"),))
    (folder / "system.journal").write_text("")
    log_source._require_system_journal((str(tmp_path / "journal"),))
    monkeypatch.setattr(log_source.os, "access", lambda path, mode: not str(path).endswith("system.journal"))
    with pytest.raises(log_source.SourceError, match="permission denied"):
        log_source._require_system_journal((str(tmp_path / "journal"),))


def test_the_hosts_silent_journal_is_looked_at(tmp_path, monkeypatch):
    journal(tmp_path, monkeypatch, "exit 0\n")

    def closed():
        raise log_source.SourceError("permission denied")

    monkeypatch.setattr(log_source, "_require_system_journal", closed)
    assert collect(log_source.host_journal(Tree("/"))).unavailable == {"journal": "permission denied"}


def large(tasks: int, victim: int = 4321) -> list[str]:
    """Return a global report with so many tasks besides its own, the largest of them last."""
    lines = oom_texts.global_612(victim)
    at = next(number for number, line in enumerate(lines) if line.startswith("[    201]"))
    rows = [
        f"[{pid:7d}]  1000 {pid:5d}   210300   {pid - 9000:6d}   {pid - 9000:6d}        0        0    40960        1"
        f"             0 w{pid % 7}"
        for pid in range(10000, 10000 + tasks)
    ]
    return [*lines[:at], *rows, *lines[at:]]


def test_tables_are_small_and_their_sums_are_of_all_tasks(tmp_path):
    text = "".join(
        oom_texts.syslog_iso(large(2500, 4000 + hour)).replace("T03:54", f"T{hour:02d}:54") for hour in (3, 4)
    )
    source = log_source.FileSource(str(log(tmp_path / "kern.log", text)))
    (whole, newest), (small, more) = (
        oom_report_info.shorten_tables(collect(source, tasks=tasks).reports(), tasks) for tasks in (0, 20)
    )
    assert [len(report["tasks"]) for report in (whole, newest)] == [2504, 2504]
    # The one that asked and the one that was killed are kept, whatever their size.
    assert {task["pid"] for task in small["tasks"]} == {*range(12480, 12500), 4003, 4319} - {12480}
    assert (len(small["tasks"]), small["tasks_left_out"]) == (21, 2483)
    assert (len(more["tasks"]), more["tasks_left_out"]) == (1000, 1504)
    for report in (whole, newest, small, more):
        rows = (whole if report in (whole, small) else newest)["tasks"]
        assert report["tasks_total"]["tasks"] == 2504
        for name in ("rss", "rss_anon", "rss_file", "rss_shmem", "swap"):
            assert report["tasks_total"][name] == sum(task[name] for task in rows)
        first = report["tasks_by_comm"][0]
        assert first["tasks"] == sum(task["comm"] == first["comm"] for task in rows)
        assert first["rss"] == sum(task["rss"] for task in rows if task["comm"] == first["comm"])
    assert len(json.dumps(small)) < 20000


def test_a_small_table_gives_the_same_verdict(tmp_path):
    """Where the tasks of one name hold most of memory, together and not each."""
    source = log_source.FileSource(str(log(tmp_path / "kern.log", oom_texts.syslog_iso(large(3000)))))
    (report,) = collect(source).reports()
    verdicts = diagnosis.diagnose({}, [report])
    pools = from_report.pools_of(report, from_report.tasks_of(report))
    oom_report_table.shorten(report, 20)
    assert report["tasks_left_out"] == 2983
    assert [one["summary"] for one in diagnosis.diagnose({}, [report])] == [one["summary"] for one in verdicts]
    small = from_report.pools_of(report, from_report.tasks_of(report))
    assert [(pool.name, pool.count, pool.size) for pool in small] == [
        (pool.name, pool.count, pool.size) for pool in pools
    ]
    shown = page._names_then(report)
    assert shown[0].startswith("429 × w")


def test_a_report_of_20000_tasks_does_not_blow_up(tmp_path, checkout):
    answer = run(checkout, {"paths": [str(log(tmp_path / "kern.log", oom_texts.syslog_iso(large(20000))))]})
    (report,) = answer["reports"]
    assert len(report["tasks"]) + report["tasks_left_out"] == report["tasks_total"]["tasks"] == 20004
    assert len(report["tasks"]) <= 1002
    assert len(json.dumps(answer)) < 500_000


def test_whether_the_limit_left_something_out(tmp_path):
    text = "".join(
        oom_texts.syslog_iso(oom_texts.memcg_v2()).replace("T03:54", f"T{hour:02d}:54") for hour in range(3, 6)
    )
    source = log_source.FileSource(str(log(tmp_path / "kern.log", text)))
    for limit, number, limited in ((0, 3, False), (3, 3, False), (2, 2, True)):
        reports, over = oom_report_info.newest(collect(source, limit=limit), limit)
        assert (len(reports), over) == (number, limited)


def test_no_journalctl(monkeypatch):
    monkeypatch.setattr(log_source, "find_command", lambda name: None)
    assert collect(log_source.host_journal(Tree("/"))).unavailable == {"journal": "journalctl is not installed"}


def test_the_ring_buffer(tmp_path):
    text = oom_texts.kmsg(oom_texts.global_612()).replace("Mem-Info:\n", "Mem-Info:\n SUBSYSTEM=pci\n DEVICE=+pci:0\n")
    path = log(tmp_path / "kmsg", text)
    collection = collect(log_source.KmsgSource(str(path)))
    report = collection.reports()[0]
    assert (report["source"], report["truncated"], report["time_computed"]) == ("kmsg", False, True)


def test_the_ring_buffer_of_a_host_without_dev_kmsg(tmp_path, monkeypatch):
    fake(tmp_path, "dmesg", f"cat {log(tmp_path / 'text', oom_texts.pstore(oom_texts.memcg_v2()))}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert len(collect(log_source.KmsgSource(str(tmp_path / "none"))).reports()) == 1


def test_a_file_that_may_not_be_read(tmp_path):
    pipe = tmp_path / "kern.log"
    os.mkfifo(pipe)
    collection = collect(log_source.FileSource(str(pipe)), log_source.FileSource(str(tmp_path / "gone")))
    assert collection.unavailable == {str(pipe): "not a regular file", str(tmp_path / "gone"): "does not exist"}


def test_an_error_in_the_reader_costs_one_log(tmp_path, monkeypatch):
    def broken(pieces, assembler):
        raise IndexError("x")

    path = log(tmp_path / "kern.log", "x")
    monkeypatch.setattr(oom_report_merge, "scan", broken)
    collection = collect(log_source.FileSource(str(path)))
    assert collection.unavailable == {str(path): "error in this collection, please report it: IndexError: x"}


def run(checkout: Path, arguments: dict) -> dict:
    """Run the module as Ansible does, as a program of its own."""
    code = "from ansible_collections.linux_memory.oom.plugins.modules import oom_report_info; oom_report_info.main()"
    wrapped = json.dumps({"ANSIBLE_MODULE_ARGS": dict(arguments, _ansible_remote_tmp="/tmp", _ansible_check_mode=True)})
    setup = (
        "import sys\n"
        f"sys.path.insert(0, {str(checkout / 'build' / 'collections')!r})\n"
        "from ansible.module_utils import basic\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        f"context = patch_module_args({wrapped!r} and __import__('json').loads({wrapped!r})['ANSIBLE_MODULE_ARGS'])\n"
        "context.__enter__()\n"
    )
    result = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, check=False)
    assert result.stdout.strip().startswith("{"), result.stderr
    return json.loads(result.stdout)


def test_the_module(tmp_path, checkout):
    path = log(tmp_path / "some.log", oom_texts.syslog_iso(oom_texts.global_612()))
    answer = run(checkout, {"paths": [str(path)]})
    assert (answer["changed"], answer["found"]) == (False, 1)
    assert answer["reports"][0]["path"] == str(path)
    assert answer["sources"] == [{"source": "file", "path": str(path), "reports": 1}]
    assert (answer["unparsed"], answer["unavailable"]) == ({"count": 0, "samples": []}, {})
    assert run(checkout, {"paths": ["/no/such"]})["msg"].startswith("paths: /no/such does not exist")
