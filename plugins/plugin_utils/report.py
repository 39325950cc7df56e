# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report over many hosts: host records, the summary of all, the summary for the terminal.

A host record is {host, status: "ok"|"unreachable"|"failed", message, findings, facts, reports, log, collected}. log is
what was read of the kernel log beside the reports (incidents.log_of), or None where nobody asked for it. A record made
of log files alone has no facts, and the names of its files in "files".
"""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from collections import Counter
from pathlib import Path

import yaml
from ansible_collections.linux_memory.oom.plugins.plugin_utils import diagnosis, human, incidents, shared_storage
from ansible_collections.linux_memory.oom.plugins.plugin_utils.plain import plain
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import at, mapping, rows

OURS = "linux_memory.oom."
ROLES = Path(__file__).resolve().parent.parent.parent / "roles"

STATUSES = ("ok", "unreachable", "failed")

# What a cause is called in a heading. Those that are missing are called by their own name.
TITLES = {
    "dirty_pages": "Storage slower than its writers",
    "storage_fault": "Faulty storage",
    "anonymous_growth": "A program that keeps growing",
    "runaway_process": "One runaway program",
    "too_many_workers": "Too many workers",
    "undersized_memory": "Too little memory",
    "swap_exhausted": "Swap is full",
    "cgroup_limit": "A unit at its own limit",
    "node_constraint": "Bound to a node without memory",
    "zone_exhausted": "A memory zone is exhausted",
    "fragmentation": "Fragmented memory",
    "shared_memory": "Shared memory and tmpfs",
    "kernel_memory": "Memory held by the kernel",
    "unaccounted_memory": "Memory that no counter owns",
    "page_tables": "Large page tables",
    "mlocked_memory": "Locked memory",
    "hugepages_reserved": "Reserved huge pages",
    "overcommit_limit": "Strict overcommit limit",
    "manual_trigger": "OOM killer run by hand",
    "unexplained": "Unexplained",
    "none": "Healthy",
}
NO_REPORT_TITLE = "No OOM report"
UNREAD_TITLES = {"unreachable": "Unreachable", "failed": "Could not be read"}

# Worst first. "info" is a verdict that found no cause and does not call the host healthy either.
LEVELS = ("problem", "unread", "info", "healthy")

# From this many hosts on, a healthy one gets a single line in the terminal.
MANY_HOSTS = 20
LINE = 100
# So many groups of OOM reports of a host are told in the terminal; the page and the files have the others.
MOST_GROUPS = 3
MOST_NAMES = 5

# What ansible-core 2.19 and newer put before the reason.
_CORE_PREFIX = re.compile(r"^(?:(?:Task|Action) failed: )+")

_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_HASHED_NAME = re.compile(r".*-[0-9a-f]{12}")


def file_name(host):
    """Return a file name (without an ending) for a host: the host's own name where any file system takes it.

    Every other name gets a digest, so that no two hosts share a file, also where case does not count.
    """
    if _PLAIN_NAME.fullmatch(host) and not _HASHED_NAME.fullmatch(host):
        return host
    digest = hashlib.sha256(host.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return (re.sub(r"[^a-z0-9._-]+", "_", host.lower()).strip("._-") or "host")[:80] + "-" + digest


def record(host, found, facts, log=None):
    """Return the host record of what a play found, {status, message, findings, reports, crash, collected} or None.

    log is the result of oom_report_info, which gives the reports where found has none. Without findings the facts and
    the reports are diagnosed here. Facts of a host that could not be read this time are left out, as they may come from
    a cache.
    """
    found = (
        plain(mapping(found)) if found else {"status": "failed", "message": "The play ended before this host was read."}
    )
    status = found.get("status") if found.get("status") in STATUSES else "failed"
    message = _CORE_PREFIX.sub("", str(found.get("message") or "")).strip() or None
    reports = found.get("reports") or (plain(mapping(log).get("reports")) if status == "ok" else None) or []
    reports = list(rows(reports))
    facts = plain(mapping(facts)) if status == "ok" else {}
    findings = found.get("findings")
    if findings is None and status == "ok":
        findings = diagnosis.diagnose(facts, reports, found.get("crash"))
    return {
        "host": plain(host),
        "status": status,
        "message": message,
        "findings": list(rows(plain(findings or []))),
        "facts": facts,
        "reports": reports,
        "log": incidents.log_of(log) if status == "ok" else None,
        "collected": found.get("collected") or at(facts, "system", "time"),
    }


def records_of_log(log):
    """Return one record for each host that the reports of a result of oom_report_info name, and for each file of whose
    reports none names a host; where there is no report at all, one record that says so. Facts are left out."""
    kept, groups = incidents.log_of(log), {}
    for report in rows(plain(mapping(log).get("reports"))):
        path = str(report.get("path") or "?")
        groups.setdefault(str(report.get("host") or "") or None, {}).setdefault(path, []).append(report)
    named = [(host, [each for found in files.values() for each in found]) for host, files in groups.items() if host]
    unnamed = groups.get(None, {})
    alike = Counter(Path(path).name for path in unnamed)
    named += [(path if alike[Path(path).name] > 1 else Path(path).name, found) for path, found in unnamed.items()]
    records = [_log_record(host, found, kept) for host, found in named]
    return records or [_log_record(_names([Path(path).name for path in quiet_files(log)]), [], kept)]


def _log_record(name, reports, log):
    # A host may have the name of a file that another host is in, but not twice the same.
    files = sorted({str(path) for each in reports for path in (each.get("path"), *(each.get("also_in") or ())) if path})
    return {
        "host": name,
        "status": "ok",
        "message": None if reports else f"No report of the OOM killer was found in {name}.",
        "findings": diagnosis.diagnose({}, reports) if reports else [],
        "facts": {},
        "reports": incidents.ordered(reports),
        "log": log,
        "files": files,
        "collected": None,
    }


def quiet_files(log):
    """Return the logs of a result of oom_report_info that were read and hold no report."""
    return [str(row.get("path")) for row in rows(mapping(log).get("sources")) if not row.get("reports")]


def _names(names):
    """Return names in a few words: "a.log", "a.log and b.log", "a.log, b.log and 7 more"."""
    if len(names) > MOST_NAMES:
        return f"{', '.join(names[: MOST_NAMES - 1])} and {len(names) - MOST_NAMES + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "the log")))


def log_notes(log):
    """Return the sentences on logs that no record tells: those that could not be read, and those without a report."""
    kept, quiet = incidents.log_of(log), quiet_files(log)
    missing = mapping(mapping(kept).get("unavailable"))
    lines = [f"{path} could not be read: {why}." for path, why in list(missing.items())[:MOST_NAMES]]
    if len(missing) > MOST_NAMES:
        lines.append(f"{len(missing) - MOST_NAMES} more logs could not be read.")
    if quiet and list(rows(mapping(log).get("reports"))):
        lines.append(f"No OOM report in {_names([Path(path).name for path in quiet])}.")
    return lines


def verdict(one):
    """Return the first finding of a record, or None."""
    return one["findings"][0] if one["findings"] else None


def level(one):
    """Return one of LEVELS for a record."""
    if one["status"] != "ok":
        return "unread"
    first = verdict(one)
    if first is None or first.get("cause") == "unexplained":
        return "info"
    return "healthy" if first.get("cause") == "none" else "problem"


def title(one):
    """Return the verdict of a record in a few words."""
    if one["status"] != "ok":
        return UNREAD_TITLES[one["status"]]
    first = verdict(one)
    if not first and one.get("log") and not one["reports"]:
        return NO_REPORT_TITLE
    return cause_title(first.get("cause")) if first else "No verdict"


def cause_title(cause):
    """Return what a cause is called in a heading."""
    return TITLES.get(str(cause)) or str(cause).replace("_", " ").capitalize()


def available_share(facts):
    """Return MemAvailable as a share of MemTotal, or None."""
    available, total = (human.number(at(facts, "meminfo", name)) for name in ("mem_available", "mem_total"))
    return available / total if available is not None and total else None


def worst_first(records):
    """Return the records with the surest problems first, then hosts that could not be read, then the healthy ones,
    those with the least memory available first."""

    def rank(one):
        confidence = human.number((verdict(one) or {}).get("confidence")) or 0
        available = available_share(one["facts"])
        by_confidence = -confidence if level(one) == "problem" else 0
        return LEVELS.index(level(one)), by_confidence, 1 if available is None else available, one["host"]

    return sorted(records, key=rank)


def summary(records, created):
    """Return what summary.json holds. created is the time of the report in seconds since the epoch."""
    hosts = []
    for one in worst_first(records):
        first = verdict(one) or {}
        hosts.append(
            {
                "host": one["host"],
                "status": one["status"],
                "message": one["message"],
                "verdict": first.get("cause"),
                "confidence": first.get("confidence"),
                "summary": first.get("summary"),
                **incidents.counts(one["reports"]),
                "log": " ".join(incidents.notes(one.get("log"))) or None,
                "file": f"hosts/{file_name(one['host'])}.json",
            }
        )
    counts = Counter(str(host["verdict"] or host["status"]) for host in hosts)
    kills = {name: sum(host[name] for host in hosts) for name in ("oom_reports", "oom_killed", "other_reports")}
    return {
        "created": created,
        "hosts": hosts,
        "counts": dict(counts.most_common()),
        **kills,
        "shared_storage": shared_storage.shared(records),
    }


def as_json(value):
    """Return plain data as JSON text that is safe in any encoding."""
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def yaml_text(value):
    """Return plain data as YAML to copy."""
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=False, allow_unicode=True, width=1000)


def remedy_lines(finding):
    """Return (name of the role or None, YAML of its variables, advice or None) of a finding."""
    remedy = finding.get("remedy")
    role, settings = None, ""
    if mapping(remedy).get("role"):
        name = str(remedy["role"])
        role = name if "." in name else OURS + name
        settings = yaml_text(remedy["vars"]) if remedy.get("vars") else ""
    return role, settings, finding.get("advice")


def arithmetic(finding):
    """Return the sentences that say how the variables of a finding's remedy follow from what was measured, and what
    would have been with them."""
    remedy = mapping(finding.get("remedy"))
    why, would = remedy.get("why"), at(remedy, "counterfactual", "said")
    if remedy.get("vars") and not would:
        would = "How much this would have changed does not follow from the evidence."
    return [str(said) for said in [*(why if isinstance(why, (list, tuple)) else []), would] if said]


def role_note(role):
    """Return a sentence where this version of the collection does not carry the role yet, else an empty text."""
    name = role.removeprefix(OURS)
    if name == role or (re.fullmatch("[a-z_]+", name) and (ROLES / name).is_dir()):
        return ""
    return "This version does not carry the role yet; the values say what to set by hand."


def evidence_text(item):
    """Return one piece of evidence in one line: what, value, threshold, source."""
    unit = item.get("unit")
    text = f"{item.get('what')}: {human.quantity(item.get('value'), unit)}"
    notes = []
    if item.get("threshold") is not None:
        notes.append(f"threshold {human.quantity(item['threshold'], unit)}")
    if item.get("source"):
        notes.append(str(item["source"]))
    return f"{text} ({', '.join(notes)})" if notes else text


def confidence_text(finding):
    """Return the confidence of a finding as "86 % sure", or an empty text."""
    confidence = human.number(finding.get("confidence"))
    return "" if confidence is None else f"{confidence * 100:.0f} % sure"


def counted(number, one, many):
    """Return "1 host" or "2 hosts"."""
    return f"{number} {one if number == 1 else many}"


def headline(records):
    """Return one sentence about all hosts."""
    count = Counter(level(one) for one in records)
    parts = [
        (count["problem"], "needs attention", "need attention"),
        (count["unread"], "could not be read", "could not be read"),
        (count["info"], "without a verdict", "without a verdict"),
        (count["healthy"], "healthy", "healthy"),
    ]
    said = ", ".join(counted(number, one, many) for number, one, many in parts if number)
    kills = sum(incidents.counts(one["reports"])["oom_reports"] for one in records)
    told = f"; {counted(kills, 'OOM report', 'OOM reports')}" if kills else ""
    if len(records) == 1 and "files" in records[0] and not kills:
        return NO_REPORT_TITLE
    return f"{counted(len(records), 'host', 'hosts')}: {said}{told}" if records else "No host"


def _wrapped(text, indent):
    return textwrap.wrap(str(text), width=LINE, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _host_lines(one, width, brief):
    """Return the lines of one host. width is that of the column of host names."""
    first = verdict(one) or {}
    heading = title(one)
    if first and one["status"] == "ok" and first.get("cause") != "none" and confidence_text(first):
        heading += f" ({confidence_text(first)})"
    lines = [f"{one['host']:<{width}}  {heading}"]
    indent = " " * 4
    if one["status"] != "ok":
        return lines + _wrapped(human.shorten(one["message"] or "no reason was given", 300), indent)
    if brief and level(one) == "healthy":
        available = available_share(one["facts"])
        return [lines[0] + (f", {human.percent(available * 100)} of memory available" if available is not None else "")]
    if one["message"]:
        lines += _wrapped(human.shorten(one["message"], 300), indent)
    if first.get("summary"):
        lines += _wrapped(first["summary"], indent)
    for item in list(rows(first.get("evidence")))[:1]:
        lines += _wrapped(human.shorten(f"evidence: {evidence_text(item)}", 2 * LINE), indent)
    lines += _report_lines(one, indent, 1 if brief else MOST_GROUPS)
    if level(one) != "healthy":
        lines += _action_lines(first, indent)
    for note in incidents.notes(one.get("log")):
        lines += _wrapped(f"note: {note}", indent)
    return lines


def _report_lines(one, indent, most):
    """Return the OOM reports of a host, those that repeat in one line, the newest first, at most so many lines."""
    groups = incidents.joined(one["reports"])
    lines = []
    for group in groups[:most]:
        text = human.shorten(incidents.line(group), 2 * LINE)
        lines += textwrap.wrap(text, LINE, initial_indent=indent, subsequent_indent=indent * 2, break_on_hyphens=False)
    if len(groups) > most:
        rest = sum(len(group) for group in groups[most:])
        lines.append(f"{indent}and {counted(rest, 'more report', 'more reports')}")
    return lines


def _action_lines(finding, indent):
    """Return what to do about a finding: the advice, the role with its variables, and how their values follow."""
    role, settings, advice = remedy_lines(finding)
    lines = _wrapped(f"do: {advice}", indent) if advice else []
    if role:
        lines.append(f"{indent}role: {role}" + (" with" if settings else ""))
        lines += [f"{indent}    {line}" for line in settings.splitlines()]
        for said in arithmetic(finding):
            lines += textwrap.wrap(
                f"why: {said}",
                LINE,
                initial_indent=indent,
                subsequent_indent=indent * 2,
                break_on_hyphens=False,
            )
        lines += _wrapped(f"({role_note(role)})", indent) if role_note(role) else []
    return lines


def _unread_logs(records):
    """Return one line on the hosts that have a single line and of whose kernel log something could not be read."""
    found = [one for one in records if level(one) == "healthy" and incidents.unread(one.get("log"))]
    if not found:
        return []
    said = (
        f"Of {counted(len(found), 'healthy host', 'healthy hosts')} the kernel log could not be read, or not all of it"
    )
    return _wrapped(f"{said}: {_names([one['host'] for one in found])}.", "")


def _shared_lines(records):
    """Return the lines on slow storage that several hosts share: no host alone can tell of it."""
    lines = []
    for group in shared_storage.shared(records):
        lines += _wrapped(f"Shared storage: {shared_storage.sentence(group)}", "")
        slow = [use["host"] for use in group["hosts"] if use["slow"]]
        others = [use["host"] for use in group["hosts"] if not use["slow"]]
        lines += _wrapped(f"slow for {_names(slow)}" + (f"; also used by {_names(others)}" if others else ""), " " * 4)
        lines += _wrapped(f"do: {group['advice']}", " " * 4)
    return lines


def terminal(records, page=None, notes=()):
    """Return the summary for the terminal: a few lines for each host, worst first, then the sentence about all."""
    widest = max((len(one["host"]) for one in records), default=0)
    width = min(widest, 32)
    brief = len(records) > MANY_HOSTS
    blocks = [_host_lines(one, width, brief) for one in worst_first(records)]
    lines = []
    for before, block in zip([[]] + blocks, blocks, strict=False):
        if lines and (len(before) > 1 or len(block) > 1):
            lines.append("")
        lines += block
    lines.append("")
    for note in notes:
        lines += _wrapped(note, "")
    lines += _shared_lines(records)
    lines += _unread_logs(records) if brief else []
    lines.append(headline(records))
    if page:
        lines.append(f"Report: {page}")
    # A line that holds a line end or a colour sequence got it from a host.
    return "\n".join(human.printable(line) for line in lines)
