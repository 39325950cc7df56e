# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of the report: one file that needs no network, in which nothing that came from a host is markup."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path

from ansible_collections.linux_memory.oom.plugins.plugin_utils import (
    composition,
    human,
    incidents,
    report,
    shared_storage,
    timeline,
)
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import at, mapping, rows
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "roles" / "memory_report" / "templates"

# The tables of a page show no more rows than this, of whatever the facts hold: the JSON beside the page has all.
MOST_ROWS = 10
# On a page of many hosts the healthy ones are kept shorter.
FEWER_ROWS = 4
MANY_HOSTS = 50
# From this host on, the worst being first, a host has its verdict, its memory and its OOM reports on the page, no more.
MOST_HOSTS = 200

# Hosts that share storage which are named; those that it is slow for come first.
MOST_SHARING = 20

# Evidence of a finding that stands before what to do; the rest opens on request.
MOST_EVIDENCE = 6

# OOM reports of a host that are shown in full, and those that are one line each. The files have all of them.
MOST_REPORTS, FEWER_REPORTS = 10, 2
MOST_LINES, FEWER_LINES = 10, 3
# So many reports are shown in full on a page, those of the first hosts, which are the worst.
MOST_IN_FULL = 400

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


def memory_bar(facts):
    """Return the parts of the memory bar: letter, name, label, size, percent, and x and width in percent of the bar.

    The widths add up to exactly 100, since each part ends where the next begins.
    """
    return _bar(composition.parts(facts))


def _bar(found):
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


def findings(one, brief=False):
    """Return the findings of a record, ready to show; brief leaves out evidence but the first of the verdict."""
    shown = [_finding(item) for item in one["findings"]]
    for number, item in enumerate(shown if brief else ()):
        item["more_evidence"] = []
        if number:
            item.update(evidence=[], role=None, advice=None)
    return shown


def _finding(item):
    role, settings, advice = report.remedy_lines(item)
    evidence = [_evidence(piece) for piece in rows(item.get("evidence"))]
    # One row more is no reason to hide it.
    shown = len(evidence) if len(evidence) <= MOST_EVIDENCE + 1 else MOST_EVIDENCE
    return {
        "cause": item.get("cause"),
        "title": report.cause_title(item.get("cause")),
        "sure": report.confidence_text(item),
        "summary": item.get("summary"),
        "evidence": evidence[:shown],
        "more_evidence": evidence[shown:],
        "role": role,
        "role_note": report.role_note(role) if role else "",
        "settings": settings,
        "why": report.arithmetic(item),
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
        notes.append(f"At this rate full {human.until(left)}.")
    return notes


def _machine(hypervisor):
    if not hypervisor:
        return None
    return "virtual machine" if hypervisor == "unknown" else f"virtual machine ({hypervisor})"


def log_notes(one):
    """Return what a reader should know of the kernel log: what of it could not be read or understood."""
    return incidents.notes(one.get("log"))


def oom_reports(one, most, lines, left):
    """Return the OOM reports of a record: groups that repeat together, the newest first, most of them in full, lines of
    them as one line, and the number of the others. left says how many may still be shown in full on the page."""
    groups = incidents.joined(one["reports"])
    shown = [_incident(group, number < min(most, left)) for number, group in enumerate(groups[: max(most, lines)])]
    return {
        "count": len(one["reports"]),
        "groups": shown,
        "full": sum(group["full"] for group in shown),
        "more": sum(len(group) for group in groups[len(shown) :]),
    }


def _incident(group, full):
    """Return one group of reports, ready to show; in full it is told by its newest report."""
    newest = group[-1]
    shown = {
        "full": full,
        "when": incidents.moment(newest),
        "what": incidents.happened(newest),
        "where": _place(newest),
        "scope": incidents.scope(newest),
        "scope_label": _scope_label(newest),
        "repeats": incidents.repeats(group),
    }
    if full:
        shown.update(_in_full(group))
    return shown


def _place(report):
    """Return where memory was short where that is not the host, as short as a heading needs it."""
    if incidents.scope(report) == "cgroup":
        return "in " + human.shorten(str(report.get("cgroup") or "").rstrip("/").rpartition("/")[-1] or "/", 48)
    return incidents.where(report) if incidents.scope(report) == "node" else ""


def _scope_label(report):
    what = incidents.kind(report)
    if what != "oom":
        return incidents.KINDS.get(what, what)
    return "by hand" if report.get("sysrq") is True else incidents.SCOPE_LABELS[incidents.scope(report)]


def _in_full(group):
    newest = group[-1]
    held = composition.parts_of_report(newest)
    account, of_cgroup = mapping(newest.get("memcg")), newest.get("scope") == "cgroup"
    limit, usage = human.number(account.get("limit")), human.number(account.get("usage"))
    whole = sum(part.size for part in held)
    if of_cgroup:
        heading = "What the cgroup held"
        bound = "" if usage is None else _size(usage) + (f" of a limit of {human.size(limit)}" if limit else "")
    else:
        heading, bound = "What memory held then", human.size(whole) if whole else ""
    return {
        "heading": heading,
        "bound": bound,
        "bar": _bar(held),
        "facts": [(label, text) for label, text in _told(group) if text],
        "tasks": _tasks_then(newest, limit if of_cgroup and limit else whole),
        "names": _names_then(newest),
        "left_out": _left_out(newest),
    }


def _told(group):
    """Return (label, text) of what else a report tells."""
    newest = group[-1]
    trigger, swaps = mapping(newest.get("trigger")), mapping(newest.get("swap"))
    order, flags = human.number(trigger.get("order")), trigger.get("gfp_flags") or trigger.get("gfp_mask")
    pages = f"order {order:.0f}" if order is not None and order >= 0 else ""
    page = human.number(newest.get("page_size"))
    if pages and page and order < 32:
        pages += f" ({human.size(page * 2 ** int(order))})"
    asked = ", ".join(filter(None, (incidents.task_text(trigger) if trigger.get("comm") else "", pages)))
    total, free = human.number(swaps.get("total")), human.number(swaps.get("free"))
    swap_text = (
        "none"
        if total == 0
        else f"{human.size(free)} free of {human.size(total)}"
        if total and free is not None
        else ""
    )
    memcg = mapping(newest.get("memcg"))
    in_swap = human.number(at(memcg, "swap", "usage"))
    ended = incidents.OUTCOMES.get(str(newest.get("outcome")))
    files = [str(newest.get("path") or ""), *(str(path) for path in newest.get("also_in") or [])]
    return (
        ("Size of the victim", incidents.sizes(group)),
        ("Asked for memory", asked),
        ("Flags of the request", str(flags)[:200] if flags else ""),
        ("Nodes", newest.get("nodemask") or newest.get("mems_allowed") if incidents.scope(newest) == "node" else ""),
        ("Cgroup at its limit", newest.get("cgroup")),
        ("Cgroup of the victim", newest.get("task_memcg") if newest.get("task_memcg") != newest.get("cgroup") else ""),
        ("All killed together", newest.get("group_kill")),
        ("Swap", swap_text),
        ("Swap of the cgroup", _size(in_swap) + " used" if in_swap is not None else ""),
        ("End", ended.capitalize() if ended else ""),
        ("Panic", newest.get("panic")),
        ("Kernel", newest.get("kernel")),
        ("Log", ", ".join(filter(None, files))),
        ("Year", "not in the log; taken from the file's date" if newest.get("year_assumed") else ""),
        ("Completeness", "lines are missing or cut, or mixed with another report" if newest.get("truncated") else ""),
    )


def _tasks_then(newest, whole):
    """Return the largest tasks of a report, and the one that asked and the one that was killed wherever they stand."""
    table = sorted(rows(newest.get("tasks")), key=lambda task: -_held(task))
    killed = [victim.get("pid") for victim in rows(newest.get("victims"))]
    asked = at(newest, "trigger", "pid")
    top = table[:MOST_ROWS]
    top += [task for task in table[MOST_ROWS:] if task.get("pid") in killed or task.get("pid") == asked][:MOST_ROWS]
    return [
        {
            "name": task.get("comm") or "?",
            "pid": task.get("pid"),
            "killed": task.get("pid") in killed,
            "asked": asked is not None and task.get("pid") == asked,
            "rss": _size(incidents.task_size(task)),
            "meter": _meter(incidents.task_size(task), whole),
            "swap": _size(task.get("swap")),
            "adj": task.get("oom_score_adj"),
        }
        for task in top
    ]


def _held(task):
    return (human.number(incidents.task_size(task)) or 0) + (human.number(task.get("swap")) or 0)


def _names_then(newest):
    """Return the names that many tasks of a report share, as "40 × php-fpm, 3.2 GiB", the largest three."""
    sums = {}
    if human.number(newest.get("tasks_left_out")):
        for row in rows(newest.get("tasks_by_comm")):
            sums[str(row.get("comm"))] = (int(human.number(row.get("tasks")) or 0), _held(row))
    for task in rows(newest.get("tasks")) if not sums else ():
        count, held = sums.get(str(task.get("comm")), (0, 0))
        sums[str(task.get("comm"))] = (count + 1, held + _held(task))
    many = sorted(((held, count, name) for name, (count, held) in sums.items() if count > 1), reverse=True)
    return [f"{count} × {name}, {human.size(held)}" for held, count, name in many[:3]]


def _left_out(newest):
    """Return how many tasks of a report are not shown."""
    number = len(list(rows(newest.get("tasks")))) - MOST_ROWS
    return max(0, number) + int(human.number(newest.get("tasks_left_out")) or 0)


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


def _about_log(one):
    """Return what a record of log files says in the place of a host's machine."""
    return ["read from " + ", ".join(one["files"])] if one.get("files") else []


def host(one, number, most, full=MOST_IN_FULL, fewer=False, brief=False):
    """Return everything that the page shows of one host.

    number makes its anchor, most bounds its tables, full the OOM reports shown in full; fewer is for large fleets,
    brief for the hosts of them that come late.
    """
    facts = one["facts"]
    meminfo, swaps = mapping(facts.get("meminfo")), mapping(facts.get("swap"))
    available = report.available_share(facts)
    stall = human.number(at(facts, "pressure", "memory", "some", "avg10"))
    level = report.level(one)
    reports = oom_reports(
        one, FEWER_REPORTS if fewer else MOST_REPORTS, FEWER_LINES if fewer else MOST_LINES + MOST_REPORTS, full
    )
    return {
        "anchor": f"host-{number}",
        "name": one["host"],
        "level": level,
        "title": report.title(one),
        "sure": report.confidence_text(report.verdict(one) or {}) if level == "problem" else "",
        "status": one["status"],
        "message": one["message"],
        "short_message": human.shorten(one["message"] or "", 90),
        "read": incidents.instant(one["collected"]),
        "reports": reports,
        "log_notes": log_notes(one),
        "file": f"hosts/{report.file_name(one['host'])}.json",
        "total": _size(meminfo.get("mem_total")),
        "available": "" if available is None else human.percent(available * 100),
        "available_meter": None if available is None else _meter(available, 1),
        "swap_used": "none" if swaps and not swaps.get("total") else _size(swaps.get("used")),
        "stall": "" if stall is None else human.percent(stall),
        "about": about(facts) + _about_log(one),
        "findings": findings(one, brief),
        "bar": memory_bar(facts),
        "tables": None if brief or not facts else _tables(facts, most),
        "unavailable": [] if brief else sorted(mapping(facts.get("unavailable")).items()),
    }


def _tables(facts, most):
    return {
        "pressure": pressure(facts),
        "units": units(facts, most),
        "processes": processes(facts, most),
        "same_names": same_names(facts),
        "swap": swap(facts),
    }


def model(records):
    """Return the hosts of the page, worst first."""
    ordered = report.worst_first(records)
    many, left, hosts = len(ordered) > MANY_HOSTS, MOST_IN_FULL, []
    for number, one in enumerate(ordered, 1):
        most = FEWER_ROWS if many and report.level(one) == "healthy" else MOST_ROWS
        hosts.append(host(one, number, most, left, many, number > MOST_HOSTS))
        left -= hosts[-1]["reports"]["full"]
    for number, one in enumerate(hosts):
        one["open"] = len(hosts) == 1 or (number == 0 and one["level"] == "problem")
        one["reports"]["open"] = len(hosts) == 1
    return hosts


def shared_targets(records, anchors):
    """Return the slow storage that several hosts share, ready to show; anchors are {host: anchor}."""
    shown = []
    for group in shared_storage.shared(records):
        uses = [
            {**use, "anchor": anchors[use["host"]], "devices": ", ".join(use["devices"])}
            for use in group["hosts"][:MOST_SHARING]
        ]
        said = shared_storage.sentence(group)
        shown.append({**group, "said": said, "uses": uses, "more": len(group["hosts"]) - len(uses)})
    return shown


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
    anchored = [
        (shown["anchor"], one["host"], one["reports"])
        for shown, one in zip(hosts, report.worst_first(records), strict=True)
    ]
    live = any("files" not in one for one in records)
    counts = {name: sum(one["level"] == name for one in hosts) for name in report.LEVELS}
    return _template().render(
        title=title,
        headline=report.headline(records),
        created=incidents.instant(created),
        hosts=hosts,
        shared=shared_targets(records, {name: anchor for anchor, name, _reports in anchored}),
        timeline=timeline.model(anchored, created if live else None),
        measured=any(one["facts"] for one in records),
        killed=any(one["reports"]["count"] for one in hosts),
        counts=[(name, counts[name]) for name in report.LEVELS if counts[name]],
        policy=Markup(policy),
        style=Markup(style),
        script=Markup(script),
    )
