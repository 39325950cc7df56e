# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What write_report leaves on the disk of the controller."""

from __future__ import annotations

import json
import os
import stat

import pytest
import report_samples as samples
from ansible_collections.linux_memory.oom.plugins.action import write_report
from ansible_collections.linux_memory.oom.plugins.plugin_utils import files

OPTIONS = {"directory_mode": "0700", "file_mode": "0600", "title": "Memory report"}
write = write_report.ActionModule._write


def mode(path):
    """Return the permissions of a path."""
    return stat.S_IMODE(path.stat().st_mode)


def listed(folder):
    """Return every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_report_is_a_page_a_summary_and_a_file_a_host(tmp_path):
    dest = tmp_path / "a" / "reports"
    write(samples.fleet(), dest, OPTIONS)
    summary = json.loads((dest / "summary.json").read_text("utf-8"))
    assert listed(dest) == sorted(["index.html", "summary.json", *(host["file"] for host in summary["hosts"])])
    for host in summary["hosts"]:
        one = json.loads((dest / host["file"]).read_text("utf-8"))
        assert one["host"] == host["host"]
        assert sorted(one) == ["collected", "facts", "findings", "host", "message", "reports", "status"]
    assert (dest / "index.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_only_the_owner_reads_it_whatever_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        write(samples.fleet(), tmp_path / "one", OPTIONS)
        os.umask(0o077)
        write(samples.fleet(), tmp_path / "two", {**OPTIONS, "directory_mode": "0755", "file_mode": "0644"})
    finally:
        os.umask(before)
    assert (mode(tmp_path / "one"), mode(tmp_path / "one" / "hosts")) == (0o700, 0o700)
    assert mode(tmp_path / "one" / "index.html") == mode(tmp_path / "one" / "summary.json") == 0o600
    assert (mode(tmp_path / "two"), mode(tmp_path / "two" / "index.html")) == (0o755, 0o644)


def test_a_directory_that_exists_keeps_its_mode(tmp_path):
    dest = tmp_path / "public"
    dest.mkdir(mode=0o755)
    write(samples.fleet(), dest, OPTIONS)
    assert mode(dest) == 0o755


def test_hosts_of_the_last_report_do_not_stay(tmp_path):
    write(samples.fleet(), tmp_path, OPTIONS)
    (tmp_path / "hosts" / "notes.json").write_text("{}")
    write([samples.ok("other")], tmp_path, OPTIONS)
    assert listed(tmp_path) == ["hosts/notes.json", "hosts/other.json", "index.html", "summary.json"]


@pytest.mark.parametrize(
    "names", [["../victim"], ["/etc/hostname"], ["hosts/../../victim"], ["hosts/.json"], [None], [{}], "x", 5]
)
def test_a_summary_made_by_somebody_else_removes_nothing(tmp_path, names):
    dest = tmp_path / "reports"
    dest.mkdir()
    (tmp_path / "victim").write_text("keep")
    hosts = [{"file": name} for name in names] if isinstance(names, list) else names
    (dest / "summary.json").write_text(json.dumps({"hosts": hosts}))
    write([samples.ok("a")], dest, OPTIONS)
    assert (tmp_path / "victim").read_text() == "keep"
    assert listed(dest) == ["hosts/a.json", "index.html", "summary.json"]


def test_a_failure_leaves_the_last_report(tmp_path, monkeypatch):
    write([samples.ok("a")], tmp_path, OPTIONS)
    before = {name: (tmp_path / name).read_text() for name in listed(tmp_path)}
    monkeypatch.setattr(write_report.page, "render", lambda *_arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write([samples.ok("b")], tmp_path, OPTIONS)
    assert {name: (tmp_path / name).read_text() for name in listed(tmp_path)} == before


def test_a_write_that_fails_leaves_neither_half_a_file_nor_a_temporary_one(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")

    def full(*_names):
        raise OSError(28, "No space left")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(tmp_path / "a", "new")
    assert listed(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_absent_removes_what_was_written_and_nothing_else(tmp_path):
    dest = tmp_path / "reports"
    write(samples.fleet(), dest, OPTIONS)
    assert len(write_report.remove(dest, check=True)) == 8
    assert len(listed(dest)) == 8
    (dest / "mine.txt").write_text("keep")
    assert len(write_report.remove(dest)) == 8
    assert listed(dest) == ["mine.txt"]
    assert write_report.remove(dest) == []
    (dest / "mine.txt").unlink()
    write([samples.ok("a")], dest, OPTIONS)
    write_report.remove(dest)
    assert not dest.exists()


@pytest.mark.parametrize("text", ["rw-r--r--", "0888", "10000", "", None])
def test_a_mode_that_is_none_gets_one_sentence(text):
    with pytest.raises(ValueError, match=r"^file_mode: .* is not allowed; it has to be an octal mode"):
        files.mode(text, "file_mode")


def test_a_mode_is_octal():
    assert files.mode("0640", "file_mode") == files.mode("640", "file_mode") == 0o640
