# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What programs, distributions, platforms and people put around kernel messages before somebody reads them as a log.

Each wrapper takes a report's records (a record may hold newlines, as one printk may) and returns a log's text, or its
bytes where it is no UTF-8. oom_texts.PREFIXES has the commonest ones.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable

import oom_texts
from oom_texts import BASE, _times

WRAPPERS: dict[str, Callable[[list[str]], str | bytes]] = {}


def wrapper(function: Callable) -> Callable:
    """Add a function to WRAPPERS under its own name."""
    WRAPPERS[function.__name__] = function
    return function


def each_line(name: str, head: str, tail: str = "\n") -> None:
    """Add a wrapper that puts head before each line and tail behind it.

    In head "%S" stands for the kernel's time ("[ 5000.250000] "), "%s" for it without brackets and blanks, "%u" for it
    in microseconds, "%n" for the number of the line, "%T" for the task that prints.
    """

    def wrap(lines: list[str]) -> str:
        text, number = "", 0
        for (when, record), caller in zip(_times(lines), oom_texts.callers(lines), strict=True):
            for line in record.split("\n"):
                number += 1
                begin = head.replace("%S", f"[{when:12.6f}] ").replace("%s", f"{when:.6f}")
                begin = begin.replace("%u", str(int(when * 1e6))).replace("%n", str(number)).replace("%T", caller)
                text += begin + line + tail
        return text

    WRAPPERS[name] = wrap


def padded(name: str, head: str) -> None:
    """Add a wrapper that puts head before each record and as many blanks before its later lines, as journalctl does."""

    def wrap(lines: list[str]) -> str:
        text = ""
        for (when, record), caller in zip(_times(lines), oom_texts.callers(lines), strict=True):
            begin = head.replace("%s", f"{when:12.6f}").replace("%T", caller)
            text += begin + record.replace("\n", "\n" + " " * len(begin)) + "\n"
        return text

    WRAPPERS[name] = wrap


# journalctl -o ...
padded("journal short-precise", "Mar 11 03:54:03.500000 db-1 kernel: ")
padded("journal short-iso", "2025-03-11T03:54:03+0200 db-1 kernel: ")
padded("journal short-iso of systemd 255", "2025-03-11T03:54:03+02:00 db-1 kernel: ")
padded("journal short-iso-precise", "2025-03-11T03:54:03.500000+0200 db-1 kernel: ")
padded("journal short-full", "Tue 2025-03-11 03:54:03 CET db-1 kernel: ")
padded("journal short-unix", "1741658043.500000 db-1 kernel: ")
padded("journal short-monotonic", "[%s] db-1 kernel: ")
padded("journal short-delta", "[%s <    0.001000 >] db-1 kernel: ")
padded("journal without host name", "Mar 11 03:54:03 kernel: ")
padded("journal of a kernel that prints its callers", "Mar 11 03:54:03 db-1 kernel: [%T] ")

# dmesg ...
each_line("dmesg --ctime", "[Tue Mar 11 03:54:03 2025] ")
each_line("dmesg --ctime --decode", "kern  :warn  : [Tue Mar 11 03:54:03 2025] ")
each_line("dmesg --time-format iso", "2025-03-11T03:54:03,500000+01:00 ")
each_line("dmesg --show-delta", "[%s <    0.000012>] ")
each_line("dmesg --ctime --show-delta", "[Tue Mar 11 03:54:03 2025 <    0.000012>] ")
each_line("dmesg --reltime", "[  +0.000012] ")
each_line("dmesg --reltime at a new minute", "[Mar11 03:54] ")
each_line("dmesg --notime", "")
each_line("dmesg --raw", "<4>%S")
each_line("dmesg in colours", "\x1b[32m%S\x1b[0m\x1b[33m", "\x1b[0m\n")
each_line("dmesg in colours, on a serial console", "\x1b[32m%S\x1b[0m\x1b[33m", "\x1b[0m\r\n")
each_line("dmesg of a kernel that prints its callers, apart", "%S[  %T] ")

# Syslog daemons and relays
each_line("syslog with priority", "<4>Mar 11 03:54:03 db-1 kernel: %S")
each_line("syslog of a day before the 10th", "Mar  1 03:54:03 db-1 kernel: %S")
each_line("syslog with a year", "2025 Mar 11 03:54:03 db-1 kernel: %S")
each_line("rsyslog on Ubuntu 24.04", "2025-03-11T03:54:03.500000+00:00 ip-10-0-0-7 kernel: ")
each_line("rsyslog on SUSE", "2025-03-11T03:54:03.500000+01:00 db-1 kernel: %S")
each_line("rsyslog on Tumbleweed", "2025-03-11T03:54:03.500000+01:00 db-1 kernel: [%T] ")
each_line("rsyslog on Synology", "2025-03-11T03:54:03+01:00 nas kernel: %S")
each_line("syslog-ng with its source", "Mar 11 03:54:03 s_sys@db-1 kernel: %S")
each_line("syslog-ng with a priority in words", "Mar 11 03:54:03 db-1 kern.warn kernel: %S")
each_line("syslog through a relay", "Mar 11 03:54:04 relay.example.org Mar 11 03:54:03 db-1 kernel: %S")
each_line("RFC 5424 with structured data", '<4>1 2025-03-11T03:54:03.5Z db-1 kernel - - [meta sequenceId="%n"] %S')
each_line("OpenWrt", "Tue Mar 11 03:54:03 2025 kern.warn kernel: %S")
each_line("metalog", "Mar 11 03:54:03 [kernel] %S")
each_line("socklog", "2025-03-11T01:54:03.50000 kern.warn: %S")
each_line("vmunix", "Mar 11 03:54:03 db-1 vmunix: %S")
each_line("kernel with a process id", "Mar 11 03:54:03 db-1 kernel[0]: %S")
each_line("kernel alone, with its time", "kernel: %S")
each_line("kernel alone", "kernel: ")
each_line("ChromeOS", "2025-03-11T03:54:03.500000Z WARNING kernel: %S")

# Consoles and the network
each_line("serial console", "%S", "\r\n")
each_line("serial console, twice returned", "%S", "\r\r\n")
each_line("serial console with levels", "<4>%S", "\r\n")
each_line("console logger with its own clock", "[2025-03-11 03:54:03] %S")
each_line("console logger with fractions", "[2025-03-11T01:54:03.500Z] %S")
each_line("console logger with a clock only", "03:54:03 %S")
each_line("console of LAVA", "2025-03-11T03:54:03.500000  <4>%S")
each_line("netconsole", "4,%n,%u,-;")
each_line("netconsole through syslog", "2025-03-11T03:54:03.5+02:00 10.0.0.5 %S")
each_line("crash's log with times", "[Tue Mar 11 03:54:03 CET 2025] ")

# Phones
each_line("Android's logcat", "03-11 03:54:03.500     0     0 W         : %S")
each_line("Android of Qualcomm", "<4>%Sc1   4319 ")
each_line("Android of MediaTek", "<4>%S(1)[4319:python3]")
each_line("Android of Samsung", "<4>%S [1:        python3: 4319] ")

# Containers, clusters and clouds
each_line("docker logs --timestamps", "2025-03-11T01:54:03.500000000Z %S")
each_line("docker compose", "app-1  | %S")
each_line("kubectl logs --prefix", "[pod/node-debug/dmesg] %S")
each_line("CRI without the kernel's time", "2025-03-11T01:54:03.500000000Z stdout F db-1 kernel: ")
each_line("CloudWatch", "2025-03-11T01:54:03.000Z Mar 11 03:54:03 ip-10-0-0-7 kernel: %S")
each_line("continuous integration", "2025-03-11T01:54:03.5000000Z %S")
each_line("GitHub's command line", "build\tRun tests\t2025-03-11T01:54:03.5000000Z %S")
each_line("Ansible's or Salt's list", "    - '%S", "'\n")
each_line("a table of tabs", "2025-03-11 03:54:03\tdb-1\tkernel\t%S")
each_line("commas and quotes", '"2025-03-11 03:54:03","db-1","%S', '"\n')

# What people do to it
each_line("indented", "    %S")
each_line("indented by a tab", "\t%S")
each_line("quoted", "> %S")
each_line("quoted twice", ">> %S")
each_line("quoted with another's initials", "JD> %S")
each_line("bullets", "* %S")
each_line("dashes", "- %S")
each_line("code in each line", "`%S", "`\n")
each_line("Windows", "%S", "\r\n")
each_line("numbered by nl", "%n\t%S")
each_line("numbered by cat -n", "     %n\t%S")
each_line("numbered with colons", "%n: %S")
each_line("numbered by grep -n", "%n:%S")
each_line("numbered by grep -n, as context", "%n-%S")
each_line("numbered in brackets", "(%n) %S")
each_line("numbered with a bar", "%n | %S")
each_line("numbered syslog", "%n:Mar 11 03:54:03 db-1 kernel: %S")
each_line("grep over files", "kern.log.1:Mar 11 03:54:03 db-1 kernel: %S")
each_line("grep over files with numbers", "/var/log/kern.log:%n:Mar 11 03:54:03 db-1 kernel: %S")
each_line("grep over files, as context", "/var/log/kern.log-Mar 11 03:54:03 db-1 kernel: %S")
each_line("grep over packed files", "/var/log/messages-20250311.gz:Mar 11 03:54:03 db-1 kernel: %S")
each_line("trailing blanks", "%S", "   \n")
each_line("line ends of a web page", "%S", "<br>\n")
each_line("line ends of a web page, closed", "%S", "<br />\r\n")
each_line("carriage returns as rsyslog escapes them", "Mar 11 03:54:03 db-1 kernel: %S", "#015\n")
each_line("colours as a pager shows them", "ESC[33m%S", "ESC[0m\n")
each_line("colours as cat -v shows them", "^[[33m%S", "^[[0m\n")


@wrapper
def journal_verbose(lines: list[str]) -> str:
    """journalctl -o verbose: a field a line, later lines of a field padded."""
    text = ""
    for at, line in enumerate(lines):
        message = "    MESSAGE=" + line.replace("\n", "\n" + " " * 12)
        text += f"Tue 2025-03-11 03:54:03.{at:06d} CET [s=a;i={at:x};b=0;m=1;t=2;x=3]\n    PRIORITY=4\n{message}\n"
        text += "    _TRANSPORT=kernel\n    SYSLOG_IDENTIFIER=kernel\n"
    return text


@wrapper
def journal_json_sse(lines: list[str]) -> str:
    """journalctl -o json-sse."""
    return "".join("data: " + line + "\n\n" for line in oom_texts.journal_json(lines).splitlines())


@wrapper
def journal_json_seq(lines: list[str]) -> str:
    """journalctl -o json-seq."""
    return "".join("\x1e" + line + "\n" for line in oom_texts.journal_json(lines).splitlines())


@wrapper
def dmesg_json(lines: list[str]) -> str:
    """dmesg --json of util-linux."""
    text = '{\n   "dmesg": [\n      {\n'
    entries = [
        f'         "pri":   4,\n         "time": {when:15.6f},\n         "msg": {json.dumps(line)}\n'
        for when, line in _times(lines)
    ]
    return text + "      },{\n".join(entries) + "      }\n   ]\n}\n"


def _objects(lines: list[str], make: Callable[[str, str], dict]) -> str:
    syslog = oom_texts.syslog_seconds(lines).splitlines()
    return "".join(
        json.dumps(make(part, full)) + "\n"
        for part, full in zip(oom_texts.dmesg(lines).splitlines(), syslog, strict=True)
    )


@wrapper
def cloud_text_payload(lines: list[str]) -> str:
    """Google Cloud's logs of a serial port."""
    return _objects(
        lines, lambda part, _full: {"insertId": "a", "textPayload": part, "timestamp": "2025-03-11T01:54:03Z"}
    )


@wrapper
def cloud_json_payload(lines: list[str]) -> str:
    """Google Cloud's logs of a node."""
    return _objects(
        lines,
        lambda part, _full: {
            "jsonPayload": {"MESSAGE": part, "_TRANSPORT": "kernel"},
            "timestamp": "2025-03-11T01:54:03Z",
        },
    )


@wrapper
def elastic(lines: list[str]) -> str:
    """A document of Filebeat for each line."""
    return _objects(
        lines, lambda _part, full: {"@timestamp": "2025-03-11T01:54:03.5Z", "message": full, "host": {"name": "db-1"}}
    )


@wrapper
def elastic_source(lines: list[str]) -> str:
    """A hit of a search for each line."""
    return _objects(lines, lambda _part, full: {"_index": "logs", "_source": {"message": full}})


@wrapper
def cloudwatch_json(lines: list[str]) -> str:
    """Events of CloudWatch."""
    return _objects(
        lines, lambda _part, full: {"timestamp": 1741658043500, "message": full, "ingestionTime": 1741658044000}
    )


@wrapper
def loki(lines: list[str]) -> str:
    """logcli -o jsonl."""
    return _objects(
        lines, lambda _part, full: {"labels": {"job": "kernel"}, "line": full, "timestamp": "2025-03-11T01:54:03Z"}
    )


@wrapper
def lava(lines: list[str]) -> str:
    """LAVA's log in YAML."""
    return "".join(
        "- " + json.dumps({"dt": "2025-03-11T03:54:03.500000", "lvl": "target", "msg": part}) + "\n"
        for part in oom_texts.dmesg(lines).splitlines()
    )


@wrapper
def web_page(lines: list[str]) -> str:
    """The source of a web page: < > & " escaped."""
    return "<pre>\n" + html.escape(oom_texts.pstore(lines)) + "</pre>\n"


@wrapper
def web_page_of_a_quote(lines: list[str]) -> str:
    """The source of a mail archive's page."""
    return "".join("&gt; " + html.escape(line) + "\n" for line in oom_texts.dmesg(lines).splitlines())


@wrapper
def markdown(lines: list[str]) -> str:
    """An issue: prose, the log between fences, prose."""
    return (
        "After an hour the OOM killer ran:\n\n```\n"
        + oom_texts.dmesg(lines)
        + "```\n\nIs this a bug? The OOM killer killed it.\n"
    )


@wrapper
def details(lines: list[str]) -> str:
    """An issue: the log in a section that opens."""
    return "<details><summary>dmesg</summary>\n\n```console\n" + oom_texts.syslog_seconds(lines) + "```\n</details>\n"


@wrapper
def blank_lines_between(lines: list[str]) -> str:
    """A console whose line ends became two."""
    return oom_texts.dmesg(lines).replace("\n", "\n\n")


@wrapper
def utf_16(lines: list[str]) -> bytes:
    """What PowerShell writes."""
    return oom_texts.dmesg(lines).replace("\n", "\r\n").encode("utf-16")


@wrapper
def byte_order_mark(lines: list[str]) -> bytes:
    """What Notepad writes."""
    return oom_texts.dmesg(lines).replace("\n", "\r\n").encode("utf-8-sig")


def _folded(text: str, width: int) -> str:
    return "".join(
        line[at : at + width] + "\n" for line in text.splitlines() for at in range(0, max(1, len(line)), width)
    )


@wrapper
def terminal_of_80_columns(lines: list[str]) -> str:
    """Copied from a terminal, which breaks lines inside words."""
    return _folded(oom_texts.dmesg(lines), 80)


@wrapper
def terminal_of_132_columns(lines: list[str]) -> str:
    """Copied from a wider one."""
    return _folded(oom_texts.syslog_seconds(lines), 132)


@wrapper
def fold_s(lines: list[str]) -> str:
    """fold -s -w 100: broken after blanks, which stay."""
    text = ""
    for line in oom_texts.syslog_seconds(lines).splitlines():
        while len(line) > 100 and " " in line[40:100]:
            cut = line.rindex(" ", 40, 100) + 1
            text += line[:cut] + "\n"
            line = line[cut:]
        text += line + "\n"
    return text


@wrapper
def with_noise(lines: list[str]) -> str:
    """Other messages of the kernel and of other programs between the lines."""
    noise = (
        f'Mar 11 03:54:03 db-1 kernel: [{BASE:12.6f}] audit: type=1400 audit(1700000000.123:45): apparmor="DENIED"\n',
        "Mar 11 03:54:03 db-1 systemd[1]: app.service: Main process exited, code=killed, status=9/KILL\n",
        'Mar 11 03:54:03 db-1 dockerd[812]: time="2025-03-11T03:54:03Z" level=info msg="oom event"\n',
    )
    return "".join(line + noise[at % 3] for at, line in enumerate(oom_texts.syslog_seconds(lines).splitlines(True)))
