# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes with memory settings that can be seen without a host: settings in, mistakes out, each with its line.

What is only unwise on some hosts is left to the roles, which ask the host: here nothing may be wrong that is right
somewhere. Sources: Documentation/admin-guide/sysctl/vm.rst and kernel.rst, systemd.service(5), systemd.unit(5),
systemd.resource-control(5), systemd.exec(5) and the NEWS of systemd 230 and 231.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.linux_memory.oom.plugins.module_utils import dropin, sysctl, timespan, vm_sysctl_plan
from ansible_collections.linux_memory.oom.plugins.module_utils.unit_limits import RESTARTS

# tag: what it finds. docs/lint.md has the table; a test compares.
TAGS = {
    "sysctl-range": "a value that no kernel takes, such as a swappiness above 200",
    "sysctl-pair": "both of a pair, such as dirty_ratio and dirty_bytes: the kernel obeys the one that is written last",
    "dirty-background": "a background limit that is not below the limit: the kernel takes half of the limit instead",
    "panic-without-restart": "panic_on_oom without a crash kernel and without kernel.panic: the host stands still",
    "overcommit-without-limit": "overcommit_memory 2 without ratio or kbytes: half of the memory is refused",
    "restart-value": "a Restart= that systemd does not know and ignores, such as yes",
    "restart-unbounded": "a restart that never gives up: what consumes memory and is killed comes back for ever",
    "start-limit-section": "StartLimitIntervalSec= in [Service], where systemd ignores it: it belongs to [Unit]",
    "old-name": "MemoryLimit= and BlockIO...=, names of cgroup v1, which newer systemd warns of or drops",
    "high-above-max": "a MemoryHigh= that MemoryMax= is met before",
    "oom-score-range": "an OOMScoreAdjust= outside -1000 to 1000, which systemd ignores",
    "oom-score-spread": "OOMScoreAdjust=-1000 for so many that the OOM killer has nobody left, or for a template",
}

# Protecting one program is a decision; more of them leave the kernel to kill what nobody thought of, or to panic.
MOST_PROTECTED = 2
_RESTARTS = (*RESTARTS, "no")
# Success is no kill: it does not start the loop that the limit is for.
_AFTER_A_KILL = tuple(word for word in RESTARTS if word != "on-success")
_PANIC = ("vm.panic_on_oom", "kernel.panic")
_BACKGROUNDS = (
    ("vm.dirty_ratio", "vm.dirty_background_ratio"),
    ("vm.dirty_bytes", "vm.dirty_background_bytes"),
)
_OF_THE_LOOP = {"Restart", "RestartSec", "StartLimitIntervalSec", "StartLimitInterval", "StartLimitBurst"}
_DEFAULT_INTERVAL, _DEFAULT_BURST, _DEFAULT_DELAY = "10s", "5", "100ms"
_NEWEST = (99, 0)
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_STATEMENT = re.compile(r"\{%[-+]?\s*([a-z]+)")
_OPENS = {"if", "for", "macro", "call", "filter", "block"}


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake: where, which, and one sentence that says what is right instead."""

    line: int
    tag: str
    message: str


@dataclass(frozen=True)
class Setting:
    """A sysctl that somebody sets: its name as sysctl(8) writes it, the text of its value, and where.

    group: settings of other groups are never in force together, as with tasks under different conditions.
    """

    name: str
    value: str
    line: int
    group: object = None


@dataclass(frozen=True)
class Directive:
    """A line of a unit file, or what becomes one. is_sure: it is there, whatever a template decides."""

    section: str
    name: str
    value: str
    line: int
    is_sure: bool = True


# Sysctls


def of_sysctls(settings: Iterable[Setting], elsewhere: frozenset[str] = frozenset()) -> list[Mistake]:
    """Return the mistakes in settings that are set together.

    elsewhere: what the surroundings set or say as well: names of sysctls, and "kdump" where a crash kernel is set up.
    """
    settings = list(settings)
    known = [setting for setting in settings if _is_number(setting.value)]
    # What holds a template is set as well, to whatever it may be.
    names = elsewhere | {setting.name for setting in settings}
    found = [mistake for setting in known for mistake in _of_range(setting)]
    for group in dict.fromkeys(setting.group for setting in known):
        # The last one counts, as it does for the kernel.
        last = {setting.name: setting for setting in known if setting.group == group}
        found += [*_of_pairs(last), *_of_background(last), *_of_panic(last, names), *_of_overcommit(last, names)]
    return sorted(set(found))


def of_sysctl_file(text: str, elsewhere: frozenset[str] = frozenset()) -> list[Mistake]:
    """Return the mistakes in the text of sysctl.conf or a file of sysctl.d."""
    return of_sysctls(settings_of(text), elsewhere)


def settings_of(text: str, offset: int = 0, group: object = None) -> list[Setting]:
    """Return what the text of a sysctl file, or a template of one, sets; offset is added to the lines."""
    text, conditional = of_template(text)
    found = []
    for one in sysctl.parse_conf(text):
        if one["value"] is not None:
            own = (group, one["line"]) if one["line"] in conditional else group
            found.append(Setting(name_of(one["key"]), one["value"], one["line"] + offset, own))
    return found


def of_template(text: str) -> tuple[str, frozenset[int]]:
    """Return (the text without the comments of a template, the numbers of the lines that are there or not).

    Which of those are there together is not known, so each of them is judged alone.
    """
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    conditional, depth = set(), 0
    for number, line in enumerate(text.split("\n"), 1):
        if depth > 0:
            conditional.add(number)
        words = _STATEMENT.findall(line)
        depth += sum(1 for word in words if word in _OPENS) - sum(1 for word in words if word.startswith("end"))
        if words:
            conditional.add(number)
    return text, frozenset(conditional)


def name_of(text: str) -> str:
    """Return the name of a sysctl with dots, however it was written."""
    return vm_sysctl_plan.name_of(text)


def _is_number(value: str) -> bool:
    return sysctl.number(value) is not None


def _number(setting: Setting) -> int:
    return sysctl.number(setting.value)


def _of_range(setting: Setting) -> list[Mistake]:
    try:
        vm_sysctl_plan.check({setting.name: setting.value}, {setting.name}, _NEWEST)
    except ValueError as error:
        # Other names than those of memory are somebody else's, and so is the 0 of a pair, which says nothing.
        if " takes " in str(error):
            told = str(error).partition("settings: ")[2].replace("this kernel", "the kernel")
            return [Mistake(setting.line, "sysctl-range", told)]
    return []


def _of_pairs(last: dict[str, Setting]) -> list[Mistake]:
    found = []
    for name, other in vm_sysctl_plan.PAIRS.items():
        if name < other and name in last and other in last and _number(last[name]) and _number(last[other]):
            first, later = sorted((last[name], last[other]), key=lambda setting: setting.line)
            found.append(
                Mistake(
                    later.line,
                    "sysctl-pair",
                    f"{later.name} = {later.value} makes {first.name} = {first.value} of line {first.line} void: "
                    "the kernel obeys the one that is written last; set only one of the two.",
                )
            )
    return found


def _of_background(last: dict[str, Setting]) -> list[Mistake]:
    return [
        Mistake(
            last[background].line,
            "dirty-background",
            f"{background} = {last[background].value} is not below {limit} = {last[limit].value}: the kernel would "
            "take half of the limit; choose a smaller one.",
        )
        for limit, background in _BACKGROUNDS
        if limit in last and background in last and 0 < _number(last[limit]) <= _number(last[background])
    ]


def _of_panic(last: dict[str, Setting], names: frozenset[str]) -> list[Mistake]:
    panic, seconds = (last.get(name) for name in _PANIC)
    if panic is None or _number(panic) not in (1, 2) or "kdump" in names:
        return []
    if seconds is None and "kernel.panic" in names:
        return []
    if seconds is not None and _number(seconds) != 0:
        return []
    return [
        Mistake(
            panic.line,
            "panic-without-restart",
            f"vm.panic_on_oom = {panic.value} without a crash kernel and without kernel.panic: a host out of memory "
            "would stand still until somebody comes; set kernel.panic to some seconds, or set up kdump.",
        )
    ]


def _of_overcommit(last: dict[str, Setting], names: frozenset[str]) -> list[Mistake]:
    mode = last.get("vm.overcommit_memory")
    if mode is None or _number(mode) != 2 or {"vm.overcommit_ratio", "vm.overcommit_kbytes"} & names:
        return []
    return [
        Mistake(
            mode.line,
            "overcommit-without-limit",
            "vm.overcommit_memory = 2 without vm.overcommit_ratio or vm.overcommit_kbytes: the kernel would promise "
            "swap and half of the memory, and refuse the rest; say how much it may promise.",
        )
    ]


# Units


def of_unit_file(text: str, unit: str, whole: bool = True) -> list[Mistake]:
    """Return the mistakes in the text of a unit file; unit is the name of the unit, whole is false for a drop-in."""
    return of_directives(directives_of(text), unit, whole)


def directives_of(text: str, offset: int = 0) -> list[Directive]:
    """Return the lines of a unit file, or of a template of one; offset is added to the lines."""
    text, conditional = of_template(text)
    return [
        Directive(section, name, value, line + offset, line not in conditional)
        for section, name, value, line in dropin.parse(text)
    ]


def of_directives(directives: Sequence[Directive], unit: str, whole: bool = True) -> list[Mistake]:
    """Return the mistakes in the directives of one unit; whole is false where it has others elsewhere.

    What holds a template's braces is not judged, and what is there on a condition is judged alone.
    """
    known = [one for one in directives if "{{" not in one.value and "{%" not in one.value]
    found = [mistake for one in known for mistake in _of_one(one)]
    unsure = {one.name for one in directives if not one.is_sure or one not in known}
    last = {one.name: one for one in known if one.name not in unsure}
    if not unsure & _OF_THE_LOOP:
        found += _of_loop(last, whole and len(known) == len(directives))
    found += _of_high(last)
    score = last.get("OOMScoreAdjust")
    if score and score.value == "-1000" and "@." in unit:
        found.append(
            Mistake(
                score.line,
                "oom-score-spread",
                f"OOMScoreAdjust=-1000 for all instances of {unit}: whatever runs in them can never be killed; "
                "protect the one instance that matters.",
            )
        )
    return sorted(set(found))


def of_protected(lines: Sequence[int], what: str) -> list[Mistake]:
    """Return the mistakes of protecting too many: lines are where OOMScoreAdjust=-1000 stands, for a unit each."""
    if len(lines) <= MOST_PROTECTED:
        return []
    return [
        Mistake(
            line,
            "oom-score-spread",
            f"OOMScoreAdjust=-1000 for {len(lines)} units of {what}: when they are all that is left, the kernel has "
            f"nobody to kill and panics; protect at most {MOST_PROTECTED}, and limit the others.",
        )
        for line in lines
    ]


def _of_one(one: Directive) -> list[Mistake]:
    if one.name == "Restart" and one.value and one.value not in _RESTARTS:
        return [
            Mistake(
                one.line,
                "restart-value",
                f"Restart={one.value} is nothing that systemd knows, and it is ignored; take one of "
                f"{', '.join(_RESTARTS)}.",
            )
        ]
    if one.section == "Service" and one.name == "StartLimitIntervalSec":
        told = "StartLimitIntervalSec= in [Service] is ignored; it belongs to [Unit]."
        return [Mistake(one.line, "start-limit-section", told)]
    # Without a value it takes back what another file says, which is no use of it.
    if one.name in _OLD and one.value:
        return [Mistake(one.line, "old-name", f"{one.name}= {_OLD[one.name]}.")]
    if one.name == "OOMScoreAdjust" and one.value and not _is_score(one.value):
        told = f"OOMScoreAdjust={one.value} is not a number from -1000 to 1000, and systemd ignores it."
        return [Mistake(one.line, "oom-score-range", told)]
    return []


# systemd 230 and 231 (NEWS) brought the new names; cgroup v1, which the old ones are of, is gone from 258.
_OLD = {
    "MemoryLimit": "is old: MemoryMax= since systemd 231, and with MemoryHigh= below it the unit is slowed down first",
    "BlockIOAccounting": "is old: IOAccounting= since systemd 230",
    "BlockIOWeight": "is old: IOWeight= since systemd 230, with another range",
    "StartupBlockIOWeight": "is old: StartupIOWeight= since systemd 230, with another range",
    "BlockIODeviceWeight": "is old: IODeviceWeight= since systemd 230, with another range",
    "BlockIOReadBandwidth": "is old: IOReadBandwidthMax= since systemd 230",
    "BlockIOWriteBandwidth": "is old: IOWriteBandwidthMax= since systemd 230, which buffered writes obey too",
}


def _is_score(value: str) -> bool:
    number = sysctl.number(value)
    return number is not None and -1000 <= number <= 1000


def _of_loop(last: dict[str, Directive], is_whole: bool) -> list[Mistake]:
    """Return the mistake of a restart without an end.

    No limit at all is one in any unit. A limit that is too far away is one where memory is limited: there the loop of
    consuming, being killed and starting anew is what happens. The limit may stand elsewhere where this is not whole.
    """
    restart = last.get("Restart")
    if restart is None or restart.value not in _AFTER_A_KILL:
        return []
    limits = [last.get(name) for name in ("StartLimitIntervalSec", "StartLimitInterval")]
    interval = next((one for one in limits if one), None)
    burst = last.get("StartLimitBurst")
    try:
        window = timespan.microseconds(interval.value if interval and interval.value else _DEFAULT_INTERVAL)
        delay = timespan.microseconds(last["RestartSec"].value if "RestartSec" in last else _DEFAULT_DELAY)
        starts = int(burst.value if burst and burst.value else _DEFAULT_BURST)
    except ValueError:
        return []
    if window == 0 or starts == 0:
        told = "StartLimitBurst=0" if starts == 0 else f"{interval.name}={interval.value}"
        why = f"{told} switches the limit off"
    elif (
        _limited(last)
        and (is_whole or interval)
        and window is not None
        and delay is not None
        and delay * starts >= window
    ):
        why = (
            f"{starts} starts never fall into {timespan_text(window)} when each waits {timespan_text(delay)}: the "
            "limit is never met"
        )
    else:
        return []
    return [
        Mistake(
            restart.line,
            "restart-unbounded",
            f"Restart={restart.value} without an end: {why}, and what is killed for its memory comes back for ever; "
            "set StartLimitIntervalSec= to more than StartLimitBurst= times RestartSec=.",
        )
    ]


def _limited(last: dict[str, Directive]) -> bool:
    limits = (last.get("MemoryMax"), last.get("MemoryLimit"))
    return any(one and one.value and one.value != "infinity" for one in limits)


def timespan_text(microseconds: int) -> str:
    """Return a time span as a unit file may have it."""
    return f"{microseconds / 10**6:g}s"


def _of_high(last: dict[str, Directive]) -> list[Mistake]:
    high, most = last.get("MemoryHigh"), last.get("MemoryMax")
    if not high or not most:
        return []
    try:
        above = dropin.parse_size(high.value) > dropin.parse_size(most.value)
    except ValueError:
        return []  # percentages, infinity
    if not above:
        return []
    told = f"MemoryHigh={high.value} is above MemoryMax={most.value}: the unit is killed before it is slowed down."
    return [Mistake(high.line, "high-above-max", told)]
