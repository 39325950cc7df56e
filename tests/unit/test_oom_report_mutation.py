# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damaged reports: lines deleted, repeated, cut, mixed. Never an exception, never a wrong number that looks right."""

from __future__ import annotations

import functools
import lzma
import random
import re
from pathlib import Path

import oom_texts
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import kernel_log, oom_report, oom_report_scan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
FIXTURES = Path(__file__).parent / "fixtures" / "oom"
# What tells where a report was read, not what it says.
PLACE = {
    "path",
    "source",
    "unparsed",
    "truncated",
    "also_in",
    "time",
    "epoch",
    "time_text",
    "uptime",
    "host",
    "boot",
    "year_assumed",
    "time_computed",
    "page_size_from",
}
names = st.sampled_from(sorted(oom_texts.REPORTS))
prefixes = st.sampled_from(
    [
        oom_texts.plain,
        oom_texts.dmesg,
        oom_texts.dmesg_caller,
        oom_texts.syslog_seconds,
        oom_texts.journal_short,
        oom_texts.kmsg,
        oom_texts.journal_json,
    ]
)


def read(text: str | bytes) -> list[dict]:
    """Return the reports in a text."""
    raw = text.encode() if isinstance(text, str) else text
    assembler = oom_report.Assembler(1.75e9, "x")
    return list(oom_report_scan.scan([raw], assembler))


def facts(report: dict) -> dict[tuple, object]:
    """Return every number and name of a report by a key that does not depend on what else was read."""
    found = {}

    def walk(key: tuple, value: object) -> None:
        if isinstance(value, dict):
            for name, one in value.items():
                walk((*key, name), one)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for place, one in enumerate(value):
                walk((*key, mark(one, place)), one)
        elif value is not None and value != [] and value is not False:
            found[key] = repr(value)

    for name, value in report.items():
        if name not in PLACE:
            walk((name,), value)
    return found


def mark(entry: dict, place: int) -> tuple:
    """Return what names an entry of a list: the task, the zone, the block size, the cgroup."""
    for keys in (("node", "zone"), ("node", "size"), ("pid",), ("size",), ("path",), ("name",), ("node",)):
        if all(key in entry for key in keys):
            return tuple(entry[key] for key in keys)
    return (place,)


def wrong(report: dict, true: dict[tuple, object]) -> list[str]:
    """Say what a report asserts that the whole one does not."""
    if report["truncated"]:
        return []
    return [
        f"{key}: {value} instead of {true.get(key)}" for key, value in facts(report).items() if true.get(key) != value
    ]


def originals(*lines: list[str]) -> dict[tuple, object]:
    """Return the facts of whole reports."""
    return {
        key: value for one in lines for report in read(oom_texts.plain(one)) for key, value in facts(report).items()
    }


@pytest.mark.parametrize("name", sorted(oom_texts.REPORTS))
@pytest.mark.parametrize(
    "prefix", [oom_texts.plain, oom_texts.dmesg, oom_texts.journal_short], ids=lambda one: one.__name__
)
def test_each_line_deleted(name, prefix):
    text = prefix(oom_texts.REPORTS[name]()).splitlines(True)
    true = facts(read("".join(text))[0])
    for at in range(len(text)):
        reports = read("".join(text[:at] + text[at + 1 :]))
        for report in reports:
            assert wrong(report, true) == [], text[at]


@pytest.mark.parametrize("name", sorted(oom_texts.REPORTS))
@pytest.mark.parametrize("prefix", [oom_texts.dmesg, oom_texts.syslog_seconds], ids=lambda one: one.__name__)
def test_each_line_repeated_anywhere(name, prefix):
    text = prefix(oom_texts.REPORTS[name]()).splitlines(True)
    true = facts(read("".join(text))[0])
    chance = random.Random(name)
    for at in range(len(text)):
        for place in (at + 1, chance.randint(at, len(text))):
            reports = read("".join(text[:place] + [text[at]] + text[place:]))
            assert len(reports) == 1, text[at]
            assert wrong(reports[0], true) == [], text[at]


@RELAXED
@given(names, prefixes, st.integers(0, 10**6))
def test_cut_at_any_byte(name, prefix, where):
    raw = prefix(oom_texts.REPORTS[name]()).encode()
    true = originals(oom_texts.REPORTS[name]())
    for report in read(raw[: where % (len(raw) + 1)]):
        assert report["truncated"] or wrong(report, true) == []


@RELAXED
@given(names, prefixes, st.integers(0, 10**6))
def test_beginning_lost_at_any_byte(name, prefix, where):
    raw = prefix(oom_texts.REPORTS[name]()).encode()
    cut = where % (len(raw) + 1)
    for report in read(raw[cut:]):
        assert report["truncated"] or wrong(report, originals(oom_texts.REPORTS[name]())) == []


@RELAXED
@given(
    names, prefixes, st.lists(st.tuples(st.sampled_from("dru"), st.integers(0, 400), st.integers(0, 400)), max_size=12)
)
def test_lines_deleted_repeated_and_moved(name, prefix, changes):
    lines = prefix(oom_texts.REPORTS[name]()).splitlines(True)
    true = originals(oom_texts.REPORTS[name]())
    for what, one, two in changes:
        one, two = one % max(1, len(lines)), two % max(1, len(lines))
        if not lines:
            break
        if what == "d":
            del lines[one]
        elif what == "r":
            lines.insert(max(one, two), lines[one])
        else:
            lines[one : one + 2] = reversed(lines[one : one + 2])
    for report in read("".join(lines)):
        assert wrong(report, true) == []


@RELAXED
@given(names, names, st.randoms(use_true_random=False), st.booleans())
def test_two_reports_mixed(one, two, chance, callers):
    first, second = oom_texts.REPORTS[one](), oom_texts.REPORTS[two]()
    prefix = oom_texts.dmesg_caller if callers and one != two else oom_texts.dmesg
    left, right = prefix(first).splitlines(True), prefix(second).splitlines(True)
    true = [facts(report) for lines in (first, second) for report in read(oom_texts.plain(lines))]
    mixed = []
    while left or right:
        source = left if left and (not right or chance.random() < 0.5) else right
        mixed.append(source.pop(0))
    for report in read("".join(mixed)):
        assert any(wrong(report, known) == [] for known in true), (one, two)


def interleaved(one: str, two: str, prefix, order: str) -> str:
    """Return two reports mixed: order says of which the next line is, "a" or "b"; the rest of both follows."""
    left, right = prefix(oom_texts.REPORTS[one]()).splitlines(True), prefix(oom_texts.REPORTS[two]()).splitlines(True)
    mixed = []
    for which in order:
        source = left if which == "a" else right
        if source:
            mixed.append(source.pop(0))
    return "".join(mixed + left + right)


def test_a_kill_and_a_panic_are_not_of_one_report():
    """Two CPUs whose lines nothing tells apart: one kills, the other panics."""
    lines = oom_texts.global_612()
    at = next(number for number, line in enumerate(lines) if line.startswith("oom-kill:"))
    both = [*lines[: at + 1], *oom_texts.panicked()[-2:], *lines[at + 1 :]]
    reports = read(oom_texts.dmesg(both))
    assert [report["truncated"] for report in reports] == [True] * len(reports)


@pytest.mark.parametrize(
    ("one", "two"),
    [("global_612", "panicked"), ("memcg_group", "global_310"), ("panicked", "memcg_v1"), ("memcg_v2", "global_612")],
)
def test_reports_in_long_pieces_of_each_other(one, two):
    """Not only line by line: some lines of one, then many of the other, then the rest of the one and of the other."""
    true = [originals(oom_texts.REPORTS[name]()) for name in (one, two)]
    for first in (1, 2, 3, 9, 24):
        for second in range(1, 64, 2):
            for report in read(interleaved(one, two, oom_texts.dmesg, "a" * first + "b" * second)):
                assert any(wrong(report, known) == [] for known in true), (first, second)


def test_the_end_of_another_report_is_not_taken_for_its_own():
    """The victim is not in the table: the kill is another report's, or the line of its task was lost."""
    lines = oom_texts.global_612()
    at = next(number for number, line in enumerate(lines) if line.startswith("oom-kill:"))
    (report,) = read(oom_texts.dmesg([*lines[:at], *oom_texts.global_612(5555)[at:]]))
    assert (report["victim"]["pid"], report["truncated"]) == (5555, True)
    told = [line.replace("Out of memory:", "Out of memory (oom_kill_allocating_task):") for line in lines]
    kill = [line.replace("pid=4321", "pid=4329").replace("process 4321", "process 4329") for line in told]
    asked = [re.sub(r"PID: \d+", "PID: 4329", line) for line in kill]
    assert [one["truncated"] for lines in (kill, asked) for one in read(oom_texts.dmesg(lines))] == [True, False]


@pytest.mark.parametrize(("one", "two"), [("global_612", "memcg_v2"), ("memcg_v2", "global_612")])
def test_the_call_trace_tells_whose_the_first_lines_are(one, two):
    """Only the report of a cgroup was called for by the code that charges a cgroup."""
    first, body = oom_texts.REPORTS[one](), oom_texts.REPORTS[two]()
    starts = [
        next(at for at, line in enumerate(lines) if line.startswith(("Mem-Info:", "memory: usage")))
        for lines in (first, body)
    ]
    (report,) = read(oom_texts.dmesg([*first[: starts[0]], *body[starts[1] :]]))
    assert report["truncated"]


def test_the_clock_does_not_go_back_within_a_report():
    lines = oom_texts.dmesg(oom_texts.global_612()).splitlines(True)
    at = next(number for number, line in enumerate(lines) if "Mem-Info:" in line)
    for seconds, truncated in ((5.0, True), (0.2, False)):
        earlier = [
            re.sub(r"^\[ *([\d.]+)\]", lambda found: f"[{float(found[1]) - seconds:12.6f}]", line)  # noqa: B023
            for line in lines[at:]
        ]
        assert [one["truncated"] for one in read("".join(lines[:at] + earlier))] == [truncated]


def test_first_lines_whose_report_is_lost_far_above_another_one():
    """The next report's account may be theirs, if the one who asked there is among the tasks."""
    lines = oom_texts.global_612()
    others = [f"usb 1-1: new device number {number}" for number in range(80)]
    asked = re.search(r"PID: (\d+) Comm: (\S+)", "\n".join(lines))
    listed = next(re.search(r"\[ *(\d+)\].* (\S+)$", line) for line in lines if re.match(r"\[ *\d+\]", line))
    for pid, comm, unsure in ((*listed.groups(), True), ("77777", "elsewhere", False)):
        first = [line.replace(asked[1], pid).replace(asked[2], comm) for line in lines[:3]]
        told = read(oom_texts.dmesg([*first, *others, *lines]))
        assert [one["truncated"] for one in told] == [True, unsure]


def test_a_report_that_was_cut_leaves_the_next_one_whole():
    """The newer report is in doubt only where the older one goes on after it began."""
    cut = oom_texts.global_310()[:20]
    reports = read(oom_texts.dmesg([*cut, *oom_texts.global_612()]))
    assert [report["truncated"] for report in reports] == [True, False]


def test_two_cpus_told_apart_by_caller():
    first = oom_texts.dmesg_caller(oom_texts.global_612()).splitlines(True)
    second = oom_texts.dmesg_caller(oom_texts.memcg_v2()).splitlines(True)
    chance = random.Random(5)
    mixed = []
    while first or second:
        source = first if first and (not second or chance.random() < 0.5) else second
        mixed.append(source.pop(0))
    reports = sorted(read("".join(mixed)), key=lambda report: report["trigger"]["comm"])
    assert [report["truncated"] for report in reports] == [False, False]
    assert facts(reports[0]) == facts(read(oom_texts.dmesg_caller(oom_texts.global_612()))[0])
    assert facts(reports[1]) == facts(read(oom_texts.dmesg_caller(oom_texts.memcg_v2()))[0])


@RELAXED
@given(names, names, prefixes, st.lists(st.integers(1, 4000), max_size=8))
def test_pieces_cut_anywhere_make_no_difference(one, two, prefix, cuts):
    noise = "".join(f"[{at:12.6f}] usb 1-1: new high-speed USB device number {at}\n" for at in range(100))
    raw = (noise + prefix(oom_texts.REPORTS[one]()) + noise + prefix(oom_texts.REPORTS[two]())).encode()
    pieces, start = [], 0
    for size in cuts:
        pieces.append(raw[start : start + size])
        start += size
    pieces.append(raw[start:])
    whole = read(raw)
    assembler = oom_report.Assembler(1.75e9, "x")
    assert [facts(report) for report in oom_report_scan.scan(pieces, assembler)] == [facts(report) for report in whole]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=120),
            st.sampled_from(
                [line.encode() for lines in oom_texts.REPORTS.values() for one in lines() for line in one.split("\n")]
            ).flatmap(
                lambda line: st.builds(
                    lambda at, extra: line[:at] + extra, st.integers(0, len(line)), st.binary(max_size=6)
                )
            ),
        ),
        max_size=40,
    )
)
def test_garbage_never_raises(lines):
    for report in read(b"\n".join(lines)):
        assert report["kind"] in ("oom", "allocation_failure", "overcommit_refusal")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_no_line_raises(text):
    line = kernel_log.decode(text.encode("utf-8", "surrogatepass"))
    kernel_log.wall_clock(line, 1.75e9)


@pytest.mark.parametrize("name", sorted(oom_texts.REPORTS))
def test_a_line_cut_inside(name):
    """Cut a line anywhere: what it repeats elsewhere or ends with shows it, but for the line's own last number."""
    lines = oom_texts.dmesg(oom_texts.REPORTS[name]()).splitlines()
    true = facts(read("\n".join(lines) + "\n")[0])
    chance = random.Random(name)
    for at, line in enumerate(lines):
        for _try in range(2):
            cut = chance.randint(15, len(line))
            reports = read("\n".join(lines[:at] + [line[:cut]] + lines[at + 1 :]) + "\n")
            for report in reports:
                for problem in wrong(report, true):
                    value = problem.split(": ", 1)[1].split(" instead")[0].strip("'")
                    assert ends_with(line[:cut], value, report), (line[:cut], problem)


def ends_with(cut: str, value: str, report: dict) -> bool:
    """Return whether a wrong value is the last word of a cut line, in the line's own unit."""
    last = cut.replace("=", " ").replace(":", " ").replace("/", " ").split()[-1] if cut.split() else ""
    if value == last or cut.endswith(value):
        return True
    if value.startswith("["):
        return value.count(",") == report["zones"][0]["lowmem_reserve"].__len__() - 1
    digits = "".join(letter for letter in last if letter.isdigit())
    return (
        bool(digits)
        and value.lstrip("-").isdigit()
        and int(value.lstrip("-")) in {int(digits) * factor for factor in (1, 1024, report["page_size"])}
    )


def families() -> dict[str, Path]:
    """Return the logs of the oldest and of the newest kernel of each kind of failure and version of cgroups, by name.

    Of the forms in which the lab left a log any is taken.
    """
    found: dict[str, Path] = {}
    logs = sorted(FIXTURES.glob("*.log.xz"), key=lambda path: [int(part) for part in kernel_of(path).split(".")])
    for order, newest in ((logs, ""), (logs[::-1], "_newest")):
        for path in order:
            found.setdefault(path.name.split("_", 1)[1].split(".")[0] + newest, path)
    return found


def kernel_of(path: Path) -> str:
    return path.name.split("_", 1)[0]


FAMILIES = families()


@functools.cache
def whole(path: Path) -> tuple[list[bytes], list[dict], list[dict]]:
    """Return the lines of a log around its first two reports, those reports, and their facts."""
    lines = lzma.decompress(path.read_bytes()).splitlines(True)
    mark = re.compile(rb"invoked oom-killer|page allocation failure|vm_enough_memory")
    starts = [at for at, line in enumerate(lines) if mark.search(line)]
    first = max(0, starts[0] - 3) if starts else 0
    lines = lines[first : starts[2] if len(starts) > 2 else None][:900]
    reports = read(b"".join(lines))
    return lines, reports, [facts(report) for report in reports]


def assert_never_wrong(path: Path, damaged: list[bytes], told: object) -> None:
    """Look for a report that asserts what none of the whole ones does, and does not say truncated."""
    _lines, _reports, true = whole(path)
    for report in read(b"".join(damaged)):
        assert any(wrong(report, known) == [] for known in true), told


def test_there_are_families_enough():
    assert len(FAMILIES) >= 50
    assert {kernel_of(path) for path in FAMILIES.values()} >= {"5.10", "7.3"}
    assert {"panic", "cpuset", "mempolicy", "slab", "hugepages", "sysrq", "cgroup_group_kill_v2"} <= set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_lines_deleted_from_each_family(name):
    lines, _reports, _true = whole(FAMILIES[name])
    chance = random.Random(name)
    for _try in range(12):
        gone = {chance.randrange(len(lines)) for _line in range(chance.choice([1, 1, 3, 20]))}
        damaged = [line for at, line in enumerate(lines) if at not in gone]
        assert_never_wrong(FAMILIES[name], damaged, [lines[at] for at in sorted(gone)])


@pytest.mark.parametrize("name", FAMILIES)
def test_lines_repeated_in_each_family(name):
    lines, reports, _true = whole(FAMILIES[name])
    chance = random.Random(name)
    for _try in range(12):
        at = chance.randrange(len(lines))
        place = chance.choice([at + 1, min(len(lines), at + chance.randint(1, 9))])
        damaged = [*lines[:place], lines[at], *lines[place:]]
        assert_never_wrong(FAMILIES[name], damaged, lines[at])
    doubled = [line for line in lines for _twice in range(2)]
    assert len(read(b"".join(doubled))) == len(reports)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_truncated(name):
    lines, _reports, true = whole(FAMILIES[name])
    chance = random.Random(name)
    for _try in range(12):
        at = chance.randrange(len(lines))
        cut = chance.randrange(len(lines[at]) + 1)
        # At the end, where the file stops inside a line; at the start, where the ring buffer was overwritten.
        for report in read(b"".join([*lines[:at], lines[at][:cut]]))[-1:]:
            assert report["truncated"] or any(wrong(report, known) == [] for known in true), lines[at][:cut]
        assert_never_wrong(FAMILIES[name], lines[at:], lines[at])


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_interleaved_with_the_next(name):
    names = list(FAMILIES)
    other = FAMILIES[names[(names.index(name) + 1) % len(names)]]
    (one, _first, true), (two, _second, more) = whole(FAMILIES[name]), whole(other)
    chance = random.Random(name)
    for _try in range(4):
        left, right, mixed = list(one[:200]), list(two[:200]), []
        longest = chance.choice([1, 4, 30])
        while left or right:
            source = left if left and (not right or chance.random() < 0.5) else right
            length = chance.randint(1, longest)
            mixed += source[:length]
            del source[:length]
        for report in read(b"".join(mixed)):
            assert any(wrong(report, known) == [] for known in [*true, *more]), (name, other.name)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.log.xz")), ids=lambda path: path.name)
def test_lines_of_logs_of_booted_kernels_deleted_repeated_and_cut(path):
    lines = lzma.decompress(path.read_bytes()).splitlines(True)
    true = {key: value for report in read(b"".join(lines)) for key, value in facts(report).items()}
    several = len(read(b"".join(lines))) > 1
    chance = random.Random(path.name)
    start = next((at for at, line in enumerate(lines) if b"oom-killer" in line), 0)
    places = range(start, min(len(lines), start + 150))
    for _round in range(3):
        at = chance.choice(places)
        for changed in (
            lines[:at] + lines[at + 1 :],
            [*lines[: at + 1], lines[at], *lines[at + 1 :]],
            [*lines[:at], lines[at][: len(lines[at]) // 2]],
        ):
            reports = read(b"".join(changed))
            assert several or all(wrong(report, true) == [] for report in reports), lines[at]


@pytest.mark.parametrize("name", sorted(oom_texts.REPORTS))
@pytest.mark.parametrize("prefix", [oom_texts.dmesg, oom_texts.syslog_seconds], ids=lambda one: one.__name__)
def test_broken_inside_words_at_any_column(name, prefix):
    true = originals(oom_texts.REPORTS[name]())
    text = prefix(oom_texts.REPORTS[name]())
    for width in range(60, 170):
        folded = "".join(
            line[at : at + width] + "\n" for line in text.splitlines() for at in range(0, max(1, len(line)), width)
        )
        for report in read(folded):
            assert wrong(report, true) == [], width
