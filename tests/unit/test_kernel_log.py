# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands before a kernel message, in every kind of log, and the times that it tells."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import kernel_log
from hypothesis import given
from hypothesis import strategies as st

# 2025-10-09T08:53:20Z, the latest time in the logs of these tests.
REFERENCE = 1_760_000_000
TEXT = "Mem-Info: x"
CASES = [
    (TEXT, {}),
    ("[  842.796720] " + TEXT, {"uptime": 842.79672}),
    ("[  842.796720][ T5241] " + TEXT, {"uptime": 842.79672, "caller": "T5241"}),
    ("[    1.000000][    C0] " + TEXT, {"uptime": 1.0, "caller": "C0"}),
    ("<4>[  842.796720] " + TEXT, {"uptime": 842.79672}),
    ("    [41369.847965] " + TEXT, {"uptime": 41369.847965}),
    ("> > [  842.796720] " + TEXT, {"uptime": 842.79672}),
    ("| [  842.796720] " + TEXT, {"uptime": 842.79672}),
    ("4,1968,241227987454,-,caller=T12845;" + TEXT, {"uptime": 241227.987454, "caller": "T12845"}),
    ("6,1968,1000000,c;" + TEXT, {"uptime": 1.0}),
    ("kern  :warn  : [  842.796720] " + TEXT, {"uptime": 842.79672}),
    ("[  842.796720 <    0.000012>] " + TEXT, {"uptime": 842.79672}),
    ("[  +0.000012] " + TEXT, {}),
    ("[Aug12 03:54] " + TEXT, {}),
    ("[  842.796720] db-1 kernel: " + TEXT, {"uptime": 842.79672, "host": "db-1", "sender": "kernel"}),
    ("[  842.796720] (2)[1234:kworker/2:1]" + TEXT, {"uptime": 842.79672}),
    ("Jun 20 12:47:02 db-1 kernel: " + TEXT, {"stamp": "Jun 20 12:47:02", "host": "db-1", "sender": "kernel"}),
    ("Jun  2 12:47:02 kernel: [ 5864.708440] " + TEXT, {"stamp": "Jun  2 12:47:02", "uptime": 5864.70844}),
    ("Jun 20 12:47:02.123456 db-1 kernel: " + TEXT, {"stamp": "Jun 20 12:47:02.123456"}),
    ("/var/log/messages-20250622:17:Jun 20 12:47:02 db-1 kernel: " + TEXT, {"stamp": "Jun 20 12:47:02"}),
    ("<6>Jun 20 12:47:02 db-1 kernel: " + TEXT, {"stamp": "Jun 20 12:47:02"}),
    ("<4>1 2025-06-20T12:47:02.5Z db-1 kernel - - - [  1.5] " + TEXT, {"uptime": 1.5, "sender": "kernel"}),
    ("2025-06-20T12:47:02.500000+02:00 db-1 kernel: [  1.5] " + TEXT, {"uptime": 1.5, "host": "db-1"}),
    ("2025-06-20T12:47:02+0200 db-1 kernel: " + TEXT, {"stamp": "2025-06-20T12:47:02+0200"}),
    ("Fri 2025-06-20 12:47:02 CEST db-1 kernel: " + TEXT, {"stamp": "2025-06-20 12:47:02 CEST", "host": "db-1"}),
    ("1723432443.123456 db-1 kernel: " + TEXT, {"epoch": 1723432443.123456, "host": "db-1"}),
    ("2025-06-20T12:47:02.123456789Z stderr F [  1.5] " + TEXT, {"uptime": 1.5}),
    ("[Fri Jun 20 12:47:02 2025] " + TEXT, {"stamp": "Fri Jun 20 12:47:02 2025"}),
    ("[ven. nov. 28 10:11:12 2025] " + TEXT, {"stamp": "ven. nov. 28 10:11:12 2025"}),
    ("[2025-06-20T12:47:02,123456+02:00] " + TEXT, {"stamp": "2025-06-20T12:47:02,123456+02:00"}),
    ("2025-06-20T12:47:02,123456+02:00 " + TEXT, {"stamp": "2025-06-20T12:47:02,123456+02:00"}),
    ("kernel: [  465.863160] " + TEXT, {"uptime": 465.86316, "sender": "kernel"}),
    ("Fri Jun 20 12:47:02 2025 kern.warn kernel: [  1.5] " + TEXT, {"stamp": "Jun 20 12:47:02 2025", "uptime": 1.5}),
    ("Jun 20 12:47:02 router kern.warn kernel: " + TEXT, {"host": "router", "sender": "kernel"}),
    ("2025/06/20 12:47:02 db-1 kernel: " + TEXT, {"stamp": "2025/06/20 12:47:02", "host": "db-1"}),
    ("06-20 12:47:02.123     0     0 W         : " + TEXT, {}),
    ("06-20 12:47:02.123  root     0     0 E kernel  : [  1.5] " + TEXT, {"uptime": 1.5}),
    ("12:47:02.5 [  1.5] " + TEXT, {"uptime": 1.5}),
    ("[12:47:02] [  1.5] " + TEXT, {"uptime": 1.5}),
    ("    MESSAGE=" + TEXT, {"sender": "kernel"}),
    ("Jun 20 12:47:02 db-1 systemd[1]: " + TEXT, {"sender": "systemd"}),
    ("Jun 20 12:47:02 db-1 /usr/bin/java[77]: " + TEXT, {"sender": "java"}),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[case[0][:40] for case in CASES])
def test_prefixes(text, expected):
    line = kernel_log.parse_line(text)
    assert line.text == TEXT
    assert {name: getattr(line, name) for name in expected} == expected
    assert line.bare is (text == TEXT)
    assert line.kernel is (line.sender in (None, "kernel"))


@pytest.mark.parametrize(
    "text",
    [
        "[ 1381]     0  1381   530382     5191      34        4     5489             0 hog",
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
        "runc:[2:INIT] invoked oom-killer: gfp_mask=0x500cc2(GFP_HIGHUSER), order=0, oom_score_adj=0",
        "in:imjournal invoked oom-killer: gfp_mask=0x6200ca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
        "kworker/u17:0 invoked oom-killer: gfp_mask=0x0(), order=0, oom_score_adj=0",
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task=sh,pid=1,uid=0",
        "Out of memory: Killed process 12 (x y) total-vm:1kB",
        "DMA32: 42*4kB (UME) 47*8kB (UE) = 544kB",
        "2991792 pages RAM",
    ],
)
def test_a_message_is_no_prefix(text):
    assert kernel_log.parse_line(text).text == text
    for prefix in (
        "[  842.796720] ",
        "Jun 20 12:47:02 db-1 kernel: ",
        "Jun 20 12:47:02 db-1 kernel: [  1.5] ",
        "<4>[  1.5] ",
    ):
        assert kernel_log.parse_line(prefix + text).text == text


def test_a_journal_entry():
    entry = {
        "__REALTIME_TIMESTAMP": "1741658043500000",
        "_SOURCE_MONOTONIC_TIMESTAMP": "5000250000",
        "_BOOT_ID": "0123456789abcdef",
        "_TRANSPORT": "kernel",
        "_HOSTNAME": "db-1",
        "MESSAGE": "a\n b",
    }
    for message in ("a\n b", list(b"a\n b")):
        line = kernel_log.decode(json.dumps(dict(entry, MESSAGE=message)).encode())
        assert (line.text, line.uptime, line.host, line.boot) == ("a\n b", 5000.25, "db-1", "0123456789abcdef")
        assert (line.epoch, line.kernel, line.bare) == (1741658043.5, True, False)
    other = dict(entry, _TRANSPORT="syslog", SYSLOG_IDENTIFIER="sshd")
    assert kernel_log.decode(json.dumps(other).encode()).kernel is False


def test_a_container_line():
    raw = json.dumps({"log": "[  1.500000] text\n", "stream": "stdout", "time": "2025-03-11T01:54:03.5Z"}).encode()
    line = kernel_log.decode(raw)
    assert (line.text, line.uptime, line.stamp) == ("text", 1.5, "2025-03-11T01:54:03.5Z")


def test_an_export_entry():
    data = b"__CURSOR=s\n_TRANSPORT=kernel\nMESSAGE\n" + (5).to_bytes(8, "little") + b"a\n\nb\n" + b"\nX=1\n\nrest"
    fields, end = kernel_log.export_entry(data, 0)
    assert fields["MESSAGE"] == "a\n\nb\n"
    assert data[end:] == b"rest"
    for cut in range(len(data) - 5):
        assert kernel_log.export_entry(data[:cut], 0) is None


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2025-06-20T12:47:02.5+02:00", "2025-06-20T12:47:02.5+02:00"),
        ("2025/06/20 12:47:02", "2025-06-20T12:47:02"),
        ("2025-06-20 12:47:02 UTC", "2025-06-20T12:47:02Z"),
        ("2025-06-20 12:47:02 CEST", "2025-06-20T12:47:02"),
        ("Di Aug 12 03:54:03 2025", "2025-08-12T03:54:03"),
        ("ven. nov. 28 10:11:12 2025", "2025-11-28T10:11:12"),
        ("mié 12 mar 2025 10:11:12", "2025-03-12T10:11:12"),
        ("Čt pro 11 10:11:12 2025", "2025-12-11T10:11:12"),
        ("пт июн 20 12:47:02 2025", "2025-06-20T12:47:02"),
        ("金 6月 20 12:47:02 2025", "2025-06-20T12:47:02"),
        ("jeu. juil. 3 10:11:12 2025", "2025-07-03T10:11:12"),
        ("lun. juin 2 10:11:12 2025", "2025-06-02T10:11:12"),
        ("xyz qqq 12 10:11:12 2025", None),
        ("Jun 31 10:11:12 2025", None),
        ("Jun 20 25:11:12 2025", None),
    ],
)
def test_times_with_a_year(stamp, expected):
    line = kernel_log.Line()
    line.stamp = stamp
    text, epoch, assumed = kernel_log.wall_clock(line, REFERENCE)
    assert (text, assumed) == (expected, False)
    assert (epoch is None) is (expected is None)


@pytest.mark.parametrize(
    ("stamp", "year"),
    [
        ("Oct  9 01:00:00", 2025),
        ("Oct 12 01:00:00", 2024),
        ("Jan  1 00:00:00", 2025),
        ("Dec 31 23:59:59", 2024),
        ("Feb 29 12:00:00", 2024),
    ],
)
def test_the_year_is_the_last_that_fits(stamp, year):
    line = kernel_log.Line()
    line.stamp = stamp
    text, _epoch, assumed = kernel_log.wall_clock(line, REFERENCE)
    assert (text[:4], assumed) == (str(year), True)
    assert kernel_log.wall_clock(line, None) == (None, None, False)


def test_a_zone_counts(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        line = kernel_log.Line()
        line.stamp = "2025-06-20T12:00:00+02:00"
        assert kernel_log.wall_clock(line)[1] == 1750413600
        line.stamp = "2025-06-20T12:00:00"
        assert kernel_log.wall_clock(line)[1] == 1750435200
    finally:
        monkeypatch.undo()
        time.tzset()


def test_newlines_that_were_escaped():
    assert kernel_log.unescape("a\\x0a b#012 c\\n d") == "a\n b\n c\n d"


@given(st.binary(max_size=300))
def test_any_bytes(raw):
    line = kernel_log.decode(raw)
    kernel_log.wall_clock(line, REFERENCE)
    kernel_log.export_entry(raw, 0)
    assert isinstance(line.text, str)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda one: (
            st.lists(one, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "MESSAGE",
                        "log",
                        "time",
                        "__REALTIME_TIMESTAMP",
                        "_TRANSPORT",
                        "_SOURCE_MONOTONIC_TIMESTAMP",
                        "_HOSTNAME",
                        "x",
                    ]
                ),
                one,
            )
        ),
    )
)
def test_any_json(value):
    line = kernel_log.decode(json.dumps(value).encode())
    kernel_log.wall_clock(line, REFERENCE)
    assert isinstance(line.text, str)
