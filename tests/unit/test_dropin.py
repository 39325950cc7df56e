# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drop-ins: their text, names of units and directives, values as systemd has them, and the plan."""

from __future__ import annotations

import string

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import dropin, dropin_plan, owned_file, timespan
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024**2
HOST = dropin.Host(8 * 1024 * MIB, 2 * 1024 * MIB)

NAMES = st.from_regex(r"[A-Z][A-Za-z0-9]{0,20}", fullmatch=True)
# What a line can hold: neither line ends nor control characters, no blanks at its ends, no backslash at its end.
VALUES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))).filter(
    lambda text: text == text.strip() and not text.endswith("\\")
)
SECTIONS = st.dictionaries(
    NAMES,
    st.dictionaries(NAMES, st.lists(VALUES, min_size=1, max_size=3), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)


@given(SECTIONS)
def test_what_is_written_is_read_again(sections):
    wanted = dropin.wishes("a.service", sections)
    text = owned_file.render(dropin.body(wanted), [("Service.MemoryMax", "infinity")])
    expected = {(section, directive): values for section, directive, values in wanted}
    assert dropin.gathered(text) == expected


@given(st.text())
def test_any_text_can_be_read(text):
    for section, directive, value, line in dropin.parse(text):
        assert section is not None
        assert directive == directive.strip()
        assert value == value.strip()
        assert line >= 1


def test_lines_are_continued_and_comments_left_out():
    text = "[Service]\n# no\nExecStart=/bin/a \\\n  # between\n  b \\\n\n c=d\n; no\nNice = 5 \nloose\n[Unit]\nA==b\n"
    assert dropin.parse(text) == [
        ("Service", "ExecStart", "/bin/a b", 3),
        ("Service", "c", "d", 7),
        ("Service", "Nice", "5", 9),
        ("Unit", "A", "=b", 12),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "yes"), (False, "no"), (512, "512"), (1.5, "1.5"), (None, ""), ("512M", "512M"), ("ä b", "ä b")],
)
def test_values_of_yaml(value, text):
    assert dropin.wishes("a.service", {"Restart": value}) == [(None, "Restart", [text])]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        None,
        "MemoryMax=5",
        ["MemoryMax"],
        {"MemoryMax": "5\n[Install]"},
        {"MemoryMax": "5\r"},
        {"MemoryMax": "5\0"},
        {"MemoryMax": "5\u2028"},
        {"MemoryMax": " 5"},
        {"MemoryMax": "5\\"},
        {"MemoryMax": []},
        {"MemoryMax": [["5"]]},
        {"MemoryMax=5\nX": 1},
        {"memorymax": 1},
        {"Service": {"Memory Max": 1}},
        {"[Service]": {"MemoryMax": 1}},
        {5: 1},
        {"Service": {}},
    ],
)
def test_what_is_no_directive_is_refused(sections):
    with pytest.raises(dropin.BadInput, match=r"^units: "):
        dropin.wishes("a.service", sections)


@pytest.mark.parametrize(
    ("unit", "kind", "pattern"),
    [
        ("nginx.service", "service", None),
        ("getty@.service", "service", "getty@*.service"),
        ("getty@tty1.service", "service", None),
        ("user-.slice", "slice", "user-*.slice"),
        ("-.slice", "slice", None),
        ("system-foo.slice", "slice", None),
        ("dev-disk-by\\x2duuid-1.swap", "swap", None),
        ("session-1.scope", "scope", None),
        ("app-.scope", "scope", "app-*.scope"),
        ("docker.socket", "socket", None),
        ("x@.socket", "socket", "x@*.socket"),
    ],
)
def test_names_of_units(unit, kind, pattern):
    assert dropin.kind(unit) == kind
    assert dropin.pattern(unit) == pattern
    path = dropin.path_of(unit, "x")
    assert path == f"/etc/systemd/system/{unit}.d/50-linux_memory_oom-x.conf"
    assert dropin.unit_of_path(path) == unit


@pytest.mark.parametrize(
    "unit",
    ["nginx", "nginx.conf", "a/b.service", "../x.service", ".service", "a b.service", "x" * 250 + ".service", ""],
)
def test_what_is_no_name_of_a_unit(unit):
    with pytest.raises(dropin.BadInput, match="is not the full name of a unit"):
        dropin.kind(unit)


@pytest.mark.parametrize("purpose", ["", "A", "a-b", "../a", "a" * 41, "1a", "a b"])
def test_what_is_no_purpose(purpose):
    with pytest.raises(dropin.BadInput):
        dropin.check_purpose(purpose)


# Values


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("512M", 512 * MIB),
        ("1.5G", 1536 * MIB),
        ("1G 512M", 1536 * MIB),
        ("1G512M", 1536 * MIB),
        ("1.25K", 1280),
        (".5G", None),
        ("512Q", None),
        ("512m", None),
        ("-1", None),
        ("1M 1G", None),
        ("1M 1M", None),
        ("", None),
        ("1.5.5G", None),
        ("99999999E", None),
    ],
)
def test_sizes(text, size):
    if size is None:
        with pytest.raises(ValueError, match=r"."):
            dropin.parse_size(text)
    else:
        assert dropin.parse_size(text) == size


@given(st.integers(min_value=0, max_value=2**50), st.sampled_from(["", "K", "M", "G"]))
def test_sizes_scale(number, unit):
    factor = 1024 ** ["", "K", "M", "G"].index(unit)
    if number * factor < 2**64:
        assert dropin.parse_size(f"{number}{unit}") == number * factor


@pytest.mark.parametrize(
    ("text", "share"),
    [("40%", 4000), ("12.5%", 1250), ("0%", 0), ("100%", 10000), ("0.05%", 5), ("40", None), ("%", None), ("a%", None)],
)
def test_percentages(text, share):
    assert dropin.parse_percent(text) == share


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1min 30s", 90),
        ("1min30s", 90),
        ("1.5h", 5400),
        ("100ms", 0.1),
        ("2us", 0.000002),
        ("1d 3h", 97200),
        ("1w", 604800),
        ("1M", 2629800),
        ("infinity", None),
    ],
)
def test_time_spans(text, seconds):
    assert timespan.microseconds(text) == (None if seconds is None else int(seconds * 10**6))


@pytest.mark.parametrize("text", ["", "x", "5 parsecs", "-5", "1,5s"])
def test_what_is_no_time_span(text):
    with pytest.raises(ValueError, match=r"."):
        timespan.microseconds(text)


@given(st.text(alphabet=string.digits + string.ascii_letters + " .%-"))
def test_any_value_is_compared_without_falling(text):
    for directive in ("MemoryMax", "RestartSec", "IOWriteBandwidthMax", "OOMScoreAdjust", "Environment"):
        for shown in (None, [], ["infinity"], [text], ["5", text]):
            assert dropin.agrees(directive, [text], shown, HOST) in (True, False, None)
        dropin.canonical(directive, [text], HOST)


# As systemctl show of systemd 247, 252 and 257 printed them.
@pytest.mark.parametrize(
    ("directive", "wished", "shown", "same"),
    [
        ("MemoryMax", "512M", "536870912", True),
        ("MemoryMax", "512M", "536870913", False),
        ("MemoryMax", "512M", "infinity", False),
        ("MemoryMax", "infinity", "infinity", True),
        ("MemoryMax", "50%", str(4096 * MIB), True),
        ("MemoryMax", "50%", str(4096 * MIB - 4096), True),
        ("MemoryMax", "50%", "infinity", False),
        ("MemoryMax", "50%", str(5000 * MIB), False),
        # of swap in some versions, of memory in others
        ("MemorySwapMax", "50%", str(1024 * MIB), True),
        ("MemorySwapMax", "50%", str(4096 * MIB), True),
        ("MemoryMax", "50%", str(1024 * MIB), False),
        ("RestartSec", "90", "1min 30s", True),
        ("RestartSec", "90", "1min 31s", False),
        ("StartLimitIntervalSec", "1h", "1h", True),
        ("StartLimitInterval", "1h", "60min", True),
        ("StartLimitBurst", "5", "5", True),
        ("OOMScoreAdjust", "-200", "-200", True),
        ("OOMScoreAdjust", "+200", "200", True),
        ("OOMPolicy", "kill", "stop", False),
        ("Restart", "on-failure", "no", False),
        ("MemoryAccounting", "true", "yes", True),
        ("MemoryAccounting", "off", "yes", False),
        ("ManagedOOMMemoryPressureLimit", "60.5%", "2598455213", True),
        ("ManagedOOMMemoryPressureLimit", "60%", "2598455213", False),
        ("ManagedOOMMemoryPressureLimitPercent", "60%", "60%", True),
        ("TasksMax", "30%", "57819", None),
        ("Environment", "A=1", "A=1", True),
        ("Environment", "A=1", "A=1 B=2", None),
        ("MemoryMax", "", "infinity", None),
    ],
)
def test_what_systemd_shows_is_compared(directive, wished, shown, same):
    assert dropin.agrees(directive, [wished], [shown], HOST) is same


def test_limits_of_disks_are_compared_by_disk():
    wished = ["/dev/vda 10M", "/dev/vdb 1G"]
    shown = ["/dev/vdb 1000000000", "/dev/vdc 5", "/dev/vda 10000000"]
    assert dropin.agrees("IOWriteBandwidthMax", wished, shown, HOST) is True
    assert dropin.agrees("IOWriteBandwidthMax", wished, shown[:2], HOST) is False
    assert dropin.agrees("IOWriteBandwidthMax", wished, [], HOST) is False
    assert dropin.canonical("IOWriteBandwidthMax", wished, HOST) == "/dev/vda 10000000, /dev/vdb 1000000000"


@pytest.mark.parametrize(
    ("directive", "values", "text"),
    [
        ("MemoryMax", ["512M"], "536870912"),
        ("MemoryMax", ["50%"], str(4096 * MIB)),
        ("RestartSec", ["1min 30s"], "90s"),
        ("RestartSec", ["100ms"], "0.1s"),
        ("ManagedOOMMemoryPressureLimit", ["2598455213"], "60.5%"),
        ("Environment", ["A=1", "B=2"], "A=1, B=2"),
        ("MemoryMax", ["what"], "what"),
    ],
)
def test_values_for_a_reader(directive, values, text):
    assert dropin.canonical(directive, values, HOST) == text


def test_what_counts_without_a_restart():
    for directive in ("MemoryMax", "IOWriteBandwidthMax", "Restart", "RuntimeMaxSec", "OOMPolicy", "ManagedOOMSwap"):
        assert dropin.live("Service", directive), directive
    for directive in ("OOMScoreAdjust", "Environment", "CPUAffinity", "IOSchedulingClass", "Nice", "LimitNOFILE"):
        assert not dropin.live("Service", directive), directive
    assert dropin.live("Unit", "Description")


# Names by version: excerpts of `systemd --dump-configuration-items` of 252 and 247, and as 239 and 229 have them.

ITEMS_252 = """\
The following sections and options are recognized:

[Unit]
Description=STRING
StartLimitIntervalSec=SECONDS
StartLimitBurst=UNSIGNED

[Service]
StartLimitBurst=UNSIGNED
Restart=SERVICERESTART
OOMPolicy=OTHER
MemoryMax=LIMIT
MemoryLimit=LIMIT
IOWriteBandwidthMax=LIMIT
ManagedOOMMemoryPressureLimit=OTHER

[Slice]
MemoryMax=LIMIT
"""
KNOWN = dropin.parse_items(ITEMS_252)
KNOWN_247 = {"Service": {"ManagedOOMMemoryPressureLimitPercent", "MemoryMax"}}
KNOWN_229 = {
    "Unit": set(),
    "Service": {"MemoryLimit", "BlockIOWriteBandwidth", "StartLimitInterval", "StartLimitBurst"},
}


@pytest.mark.parametrize(
    ("known", "section", "directive", "spelt"),
    [
        (KNOWN, None, "MemoryMax", ("Service", "MemoryMax")),
        (KNOWN, None, "StartLimitBurst", ("Unit", "StartLimitBurst")),
        (KNOWN, "Service", "MemoryLimit", ("Service", "MemoryMax")),
        (KNOWN, "Service", "BlockIOWriteBandwidth", ("Service", "IOWriteBandwidthMax")),
        (KNOWN, None, "ManagedOOMMemoryPressureLimitPercent", ("Service", "ManagedOOMMemoryPressureLimit")),
        (KNOWN, "Unit", "MemoryMax", None),
        (KNOWN, None, "MemoryMaxi", None),
        (KNOWN, "Nonsense", "MemoryMax", None),
        (KNOWN_247, None, "ManagedOOMMemoryPressureLimit", ("Service", "ManagedOOMMemoryPressureLimitPercent")),
        (KNOWN_247, None, "OOMPolicy", None),
        (KNOWN_229, None, "MemoryMax", ("Service", "MemoryLimit")),
        (KNOWN_229, None, "IOWriteBandwidthMax", ("Service", "BlockIOWriteBandwidth")),
        (KNOWN_229, "Unit", "StartLimitIntervalSec", ("Service", "StartLimitInterval")),
        (KNOWN_229, None, "StartLimitBurst", ("Service", "StartLimitBurst")),
        ({}, None, "MemoryMax", ("Service", "MemoryMax")),
        ({}, None, "StartLimitIntervalSec", ("Unit", "StartLimitIntervalSec")),
    ],
)
def test_a_directive_has_the_name_that_this_systemd_knows(known, section, directive, spelt):
    assert dropin.translate("a.service", section, directive, known) == spelt


# The plan


def unit(text=None, shown=None, wanted=(), name="a.service", **properties):
    """Return a unit as the module has gathered it."""
    path = dropin.path_of(name, "x")
    instance = {"Id": [name], "LoadState": ["loaded"], "NeedDaemonReload": ["no"]}
    instance["DropInPaths"] = [path if text else ""]
    instance.update({key: [value] for key, value in {**(shown or {}), **properties}.items()})
    return dropin_plan.Unit(name, name, path, text, [instance] if shown is not None else [], list(wanted))


def planned(one, kernel=None):
    """Return the unit with its plan."""
    dropin_plan.plan(one, HOST, kernel or (lambda directive, instances: None))
    return one


WISH = [("Service", "MemoryMax", ["512M"]), ("Service", "Environment", ["A=1", "B=2"])]


def test_a_first_run_remembers_what_was_there():
    one = planned(unit(shown={"MemoryMax": "infinity", "Environment": "C=3"}, wanted=WISH))
    assert [(item["before"], item["after"]) for item in one.items] == [("infinity", "536870912"), (None, "A=1, B=2")]
    assert owned_file.remembered(one.new_text) == {"Service.MemoryMax": "infinity", "Service.Environment": None}
    assert one.changed


def test_a_second_run_changes_nothing():
    first = planned(unit(shown={"MemoryMax": "infinity", "Environment": ""}, wanted=WISH))
    second = planned(unit(text=first.new_text, shown={"MemoryMax": "536870912", "Environment": "A=1 B=2"}, wanted=WISH))
    assert second.new_text == first.new_text
    assert not second.changed
    assert not second.stale()
    assert dropin_plan.diff([second]) == {"before": "", "after": ""}


def test_a_run_that_was_killed_before_the_reload_is_repaired():
    first = planned(unit(shown={"MemoryMax": "infinity", "Environment": ""}, wanted=WISH))
    second = planned(
        unit(text=first.new_text, shown={"MemoryMax": "infinity", "Environment": ""}, wanted=WISH, DropInPaths="")
    )
    assert second.stale()
    assert second.changed
    assert owned_file.remembered(second.new_text)["Service.MemoryMax"] == "infinity"


def test_a_limit_that_somebody_changed_in_the_kernel_is_seen():
    first = planned(unit(shown={"MemoryMax": "infinity", "Environment": ""}, wanted=WISH))
    second = planned(
        unit(text=first.new_text, shown={"MemoryMax": "536870912", "Environment": "A=1 B=2"}, wanted=WISH),
        kernel=lambda directive, instances: "4096" if directive == "MemoryMax" else None,
    )
    assert [(item["before"], item["after"]) for item in second.items][0] == ("4096", "536870912")


def test_undo_says_what_will_be_there_again():
    first = planned(unit(shown={"MemoryMax": "1073741824", "Environment": ""}, wanted=WISH))
    second = planned(unit(text=first.new_text, shown={"MemoryMax": "536870912", "Environment": "A=1 B=2"}))
    assert second.new_text is None
    found = {item["directive"]: (item["before"], item["after"]) for item in second.items}
    assert found["MemoryMax"] == ("536870912", "1073741824")
    assert dropin_plan.diff([second])["after"] == "a.service [Service] MemoryMax=1073741824\n"


def test_a_directive_that_is_no_longer_wished_goes():
    first = planned(unit(shown={"MemoryMax": "infinity", "Environment": ""}, wanted=WISH))
    second = planned(
        unit(text=first.new_text, shown={"MemoryMax": "536870912", "Environment": "A=1 B=2"}, wanted=WISH[1:])
    )
    assert "MemoryMax" not in second.new_text.split("[Service]")[1]
    assert [(item["directive"], item["after"]) for item in second.items if item["value"] is None] == [
        ("MemoryMax", "infinity")
    ]


def test_a_file_of_somebody_else_that_is_read_later_is_named():
    later = "/etc/systemd/system/a.service.d/60-late.conf"
    earlier = "/run/systemd/system.control/a.service.d/50-MemoryMax.conf"
    one = unit(shown={}, wanted=WISH, DropInPaths=f"{earlier} {later}")
    files = {later: "[Service]\nNice=1\nMemoryMax=1G\n", earlier: "[Service]\nMemoryMax=1G\n"}
    assert dropin_plan.overridden(one, {"MemoryMax"}, files.get) == [("MemoryMax", later, 3)]
    assert dropin_plan.overridden(one, {"OOMPolicy"}, files.get) == []
