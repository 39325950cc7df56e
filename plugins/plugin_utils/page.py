# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of the report: one file that needs no network, in which nothing that came from a host is markup."""

from __future__ import annotations

import base64
import functools
import hashlib
import time
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ansible_collections.linux_memory.oom.plugins.plugin_utils import composition, human, report
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import at, mapping, rows

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "roles" / "memory_report" / "templates"

# The tables of a page show no more rows than this, of whatever the facts hold: the JSON beside the page has all.
MOST_ROWS = 10
# On a page of many hosts the healthy ones are kept shorter.
FEWER_ROWS = 4
MANY_HOSTS = 50

# A part of the bar that is narrower than this has no room for its letter.
LETTER_PERCENT = 2.5
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

RESOURCES = (("memory", "Memory"), ("io", "I/O"), ("cpu", "CPU"))


def _size(value):
    numeric = human.number(value)
    return "" if numeric is None else human.size(numeric)


def _meter(part, whole):
    """Return part of whole as the width of a meter in percent, or None."""
    part, whole = human.number(part), human.number(whole)
    return None if part is None or not whole or whole < 0 else round(max(0.0, min(100.0, part * 100.0 / whole)), 1)


def instant(seconds):
    """Return a time in seconds since the epoch as "2026-11-23 05:11 UTC", or an empty text."""
    numeric = human.number(seconds)
    try:
        return "" if numeric is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(numeric))
    except (OverflowError, ValueError, OSError):
        return ""


def memory_bar(facts):
    """Return the parts of the memory bar: letter, name, label, size, percent, and x and width in percent of the bar.

    The widths add up to exactly 100, since each part ends where the next begins.
    """
    found = composition.parts(facts)
    edges, total = [0.0], sum(part.size for part in found)
    done = 0
    for part in found:
        done += part.size
        edges.append(round(done * 100.0 / total, 3))
    return [
        {
            "letter": letter,
            "name": part.name,
            "label": part.label,
            "size": human.size(part.size),
            "percent": human.percent(part.percent),
            "x": f"{left:g}",
            "width": f"{right - left:.3f}".rstrip("0").rstrip("."),
            "middle": f"{(left + right) / 2:g}" if right - left >= LETTER_PERCENT else None,
        }
        for letter, part, left, right in zip(LETTERS, found, edges, edges[1:], strict=False)
    ]


def findings(one):
    """Return the findings of a record, ready to show."""
    return [_finding(item) for item in one["findings"]]


def _finding(item):
    role, settings, advice = report.remedy_lines(item)
    return {
        "cause": item.get("cause"),
        "title": report.cause_title(item.get("cause")),
        "sure": report.confidence_text(item),
        "summary": item.get("summary"),
        "evidence": [_evidence(piece) for piece in rows(item.get("evidence"))],
        "role": role,
        "role_note": report.role_note(role) if role else "",
        "settings": settings,
        "advice": advice,
        "article": item.get("article"),
    }


def _evidence(piece):
    unit, threshold = piece.get("unit"), piece.get("threshold")
    return {
        "what": piece.get("what"),
        "value": human.quantity(piece.get("value"), unit),
        "threshold": "" if threshold is None else human.quantity(threshold, unit),
        "source": piece.get("source") or "",
    }


def pressure(facts):
    """Return one row for each resource and kind of pressure: its averages, or why there are none."""
    values, missing = mapping(facts.get("pressure")), mapping(facts.get("unavailable"))
    lines = []
    for name, label in RESOURCES:
        kinds = mapping(values.get(name))
        if not kinds:
            reason = str(missing.get(f"pressure.{name}") or missing.get("pressure") or "not read")
            lines.append({"label": label, "kind": "", "reason": reason})
        lines += [
            {"label": label, "kind": kind, "reason": None, "averages": _averages(kinds[kind])}
            for kind in ("some", "full")
            if kind in kinds
        ]
    reasons = {line["reason"] for line in lines}
    # One reason for all three is said once.
    if len(reasons) == 1 and None not in reasons:
        lines = [{"label": "All", "kind": "", "reason": reasons.pop()}]
    return lines


def _averages(kind):
    numbers = [human.number(at(kind, name)) for name in ("avg10", "avg60", "avg300")]
    return [{"text": "" if value is None else human.percent(value), "meter": _meter(value, 100)} for value in numbers]


def units(facts, most):
    """Return the largest units and containers by the memory that they hold now."""
    groups = sorted(rows(at(facts, "cgroups", "groups")), key=lambda group: -(human.number(group.get("current")) or 0))
    lines = []
    for group in groups[:most]:
        kills = at(group, "events", "oom_kill")
        limit, stall = human.number(group.get("max")), human.number(at(group, "pressure", "some", "avg10"))
        lines.append(
            {
                "name": group.get("unit") or group.get("path") or "?",
                "path": group.get("path") or "",
                "current": _size(group.get("current")),
                "limit": "none" if limit is None else human.size(limit),
                "meter": _meter(group.get("current"), limit),
                "swap": _size(group.get("swap_current")),
                "kills": human.quantity(kills, "count") if kills else "",
                "stall": "" if stall is None else human.percent(stall),
            }
        )
    return lines


def processes(facts, most):
    """Return the largest processes, with their share of MemTotal as a meter."""
    total = at(facts, "meminfo", "mem_total")
    return [
        {
            "name": process.get("comm") or "?",
            "pid": process.get("pid"),
            "unit": process.get("unit") or "",
            "rss": _size(process.get("rss")),
            "meter": _meter(process.get("rss"), total),
            "swap": _size(process.get("swap")),
            "adj": process.get("oom_score_adj"),
        }
        for process in list(rows(at(facts, "processes", "top")))[:most]
    ]


def same_names(facts):
    """Return the names that many processes share, as "40 × php-fpm, 3.2 GiB": what a list of processes hides."""
    groups = rows(at(facts, "processes", "by_comm"))
    many = [group for group in groups if (human.number(group.get("processes")) or 0) > 1]
    return [f"{group['processes']} × {group.get('comm')}, {_size(group.get('rss'))}" for group in many[:3]]


def swap(facts):
    """Return the swap devices, and notes on what else is known of swap."""
    values, missing = mapping(facts.get("swap")), mapping(facts.get("unavailable"))
    devices = []
    for device in rows(values.get("devices")):
        rotates = device.get("rotational")
        kind = "rotating disk" if rotates is True else "no rotation" if rotates is False else ""
        disks = device.get("disks")
        below = ", ".join(str(disk) for disk in disks) if isinstance(disks, list) else ""
        devices.append(
            {
                "path": device.get("path") or "?",
                "kind": device.get("kind") or "",
                "size": _size(device.get("size")),
                "used": _size(device.get("used")),
                "meter": _meter(device.get("used"), device.get("size")),
                "priority": device.get("priority"),
                "disks": " ".join(filter(None, (below, f"({kind})" if kind and below else kind))),
            }
        )
    return {"devices": devices, "notes": _swap_notes(values, missing, devices)}


def _swap_notes(values, missing, devices):
    notes = []
    if not devices:
        notes.append(f"Unavailable: {missing['swap']}" if "swap" in missing else "No swap." if values else "Not read.")
    if values.get("swappiness") is not None:
        notes.append(f"Swappiness {values['swappiness']}.")
    zswap = mapping(values.get("zswap"))
    if zswap.get("enabled"):
        notes.append(f"zswap is on ({zswap.get('compressor')}, at most {zswap.get('max_pool_percent')} % of memory).")
    growth, left = human.number(values.get("growth")), human.number(values.get("seconds_until_full"))
    if growth:
        notes.append(f"Changing by {human.size(growth)} per second.")
    if left is not None:
        notes.append(f"Full in {human.duration(left)} at this rate.")
    return notes


def _machine(hypervisor):
    if not hypervisor:
        return None
    return "virtual machine" if hypervisor == "unknown" else f"virtual machine ({hypervisor})"


def about(facts):
    """Return what kind of host it is, as a list of short texts."""
    system, meminfo = mapping(facts.get("system")), mapping(facts.get("meminfo"))
    distribution = mapping(system.get("distribution"))
    uptime, kills = human.number(system.get("uptime")), human.number(at(facts, "oom", "kills"))
    texts = [
        f"{_size(meminfo.get('mem_total'))} of memory" if meminfo.get("mem_total") else None,
        f"{system['cpus']} CPUs" if system.get("cpus") else None,
        distribution.get("pretty_name"),
        f"kernel {system['kernel']}" if system.get("kernel") else None,
        f"{system['container']} container" if system.get("container") else None,
        _machine(system.get("hypervisor")),
        f"up {human.duration(uptime)}" if uptime else None,
        report.counted(int(kills), "OOM kill", "OOM kills") + " since boot" if kills is not None else None,
    ]
    return [str(text) for text in texts if text]


def host(one, number, most):
    """Return everything that the page shows of one host. number makes its anchor, most bounds its tables."""
    facts = one["facts"]
    meminfo, swaps = mapping(facts.get("meminfo")), mapping(facts.get("swap"))
    available = report.available_share(facts)
    stall = human.number(at(facts, "pressure", "memory", "some", "avg10"))
    level = report.level(one)
    return {
        "anchor": f"host-{number}",
        "name": one["host"],
        "level": level,
        "title": report.title(one),
        "sure": report.confidence_text(report.verdict(one) or {}) if level == "problem" else "",
        "status": one["status"],
        "message": one["message"],
        "short_message": human.shorten(one["message"] or "", 90),
        "read": instant(one["collected"]),
        "file": f"hosts/{report.file_name(one['host'])}.json",
        "total": _size(meminfo.get("mem_total")),
        "available": "" if available is None else human.percent(available * 100),
        "available_meter": None if available is None else _meter(available, 1),
        "swap_used": "none" if swaps and not swaps.get("total") else _size(swaps.get("used")),
        "stall": "" if stall is None else human.percent(stall),
        "about": about(facts),
        "findings": findings(one),
        "bar": memory_bar(facts),
        "pressure": pressure(facts) if facts else [],
        "units": units(facts, most),
        "processes": processes(facts, most),
        "same_names": same_names(facts),
        "swap": swap(facts),
        "unavailable": sorted(mapping(facts.get("unavailable")).items()),
        "facts": bool(facts),
    }


def model(records):
    """Return the hosts of the page, worst first."""
    ordered = report.worst_first(records)
    many = len(ordered) > MANY_HOSTS
    hosts = [
        host(one, number, FEWER_ROWS if many and report.level(one) == "healthy" else MOST_ROWS)
        for number, one in enumerate(ordered, 1)
    ]
    for number, one in enumerate(hosts):
        one["open"] = len(hosts) == 1 or (number == 0 and one["level"] == "problem")
    return hosts


def _without_comment(text):
    """Return text without its first comment, the licence, which says nothing to a reader of the page."""
    return text.split("*/", 1)[1].strip()


def _digest(text):
    """Return the source expression of the Content-Security-Policy that allows exactly this inline text."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"


def _shown(value):
    """Return what an expression of a template prints: text without the characters that a browser acts on."""
    if value is None:
        return ""
    return value if isinstance(value, (Markup, int, float)) else human.printable(value, keep_lines=True)


@functools.lru_cache(maxsize=1)
def _template():
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def render(records, created, title="Memory report"):
    """Return the page as text. Everything that is no Markup of ours is escaped by the environment, in one place."""
    style = _without_comment((TEMPLATES / "style.css").read_text("utf-8"))
    script = _without_comment((TEMPLATES / "page.js").read_text("utf-8"))
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    hosts = model(records)
    counts = {name: sum(one["level"] == name for one in hosts) for name in report.LEVELS}
    return _template().render(
        title=title,
        headline=report.headline(records),
        created=instant(created),
        hosts=hosts,
        counts=[(name, counts[name]) for name in report.LEVELS if counts[name]],
        policy=Markup(policy),
        style=Markup(style),
        script=Markup(script),
    )
