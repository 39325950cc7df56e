# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read every log of a folder and say per file how many reports were found, and what was not understood.

    python tests/tools/corpus_check.py FOLDER [FILE ...]      (or OOM_CORPUS=FOLDER)

With a SOURCES.tsv in the folder (file, constraint, order, dirty, writeback, killed as columns) each file's first
report is compared with it. The exit status is 1 where a file has no report, two, or lines that were not understood.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build" / "collections"))

from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report, oom_report_scan


def read(path: Path) -> tuple[list[dict], dict]:
    """Return the reports of a file, and what was not understood in it."""
    assembler = oom_report.Assembler(path.stat().st_mtime, str(path))
    with path.open("rb") as stream:
        pieces = iter(lambda: stream.read(oom_report_scan.PIECE), b"")
        reports = list(oom_report_scan.scan(pieces, assembler))
    return reports, assembler.unparsed


def expected(folder: Path) -> dict[str, dict]:
    """Return the rows of SOURCES.tsv by file, or nothing where there is none."""
    table = folder / "SOURCES.tsv"
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as stream:
        return {row["file"]: row for row in csv.DictReader(stream, delimiter="\t")}


def differences(report: dict, row: dict) -> list[str]:
    """Say where a report differs from what SOURCES.tsv tells of its file."""
    found = []
    if row.get("constraint") and report["constraint"] != row["constraint"]:
        found.append(f"constraint {report['constraint']} instead of {row['constraint']}")
    if row.get("order") and str(report["trigger"]["order"]) != row["order"]:
        found.append(f"order {report['trigger']['order']} instead of {row['order']}")
    victim = report["victim"] or {}
    if row.get("killed") and f"{victim.get('pid')}:{victim.get('comm')}" != row["killed"]:
        found.append(f"victim {victim.get('pid')}:{victim.get('comm')} instead of {row['killed']}")
    for name in ("dirty", "writeback"):
        found += _amount(report, row.get(name) or "", name)
    return found


def _amount(report: dict, text: str, name: str) -> list[str]:
    if not text:
        return []
    number, unit = int(text[:-1]), text[-1]
    stats = (report["memcg"] or {}).get("stats") or {}
    if report["memory"] and name in report["memory"]:
        value = report["memory"][name]
    else:
        value = stats.get(name, stats.get("file_" + name))
    # Of a cgroup without memory.stat the table tells kB.
    scale = report["page_size"] if report["memory"] else 1024
    wanted = number * scale if unit == "p" else number
    return [] if value == wanted else [f"{name} {value} instead of {wanted}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("OOM_CORPUS"))
    parser.add_argument("files", nargs="*")
    parser.add_argument("--json", action="store_true", help="print the reports instead")
    arguments = parser.parse_args()
    if not arguments.folder or not Path(arguments.folder).is_dir():
        print("Name a folder of logs, as an argument or in OOM_CORPUS.", file=sys.stderr)
        return 2
    folder = Path(arguments.folder)
    rows = expected(folder)
    bad = 0
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name == "SOURCES.tsv" or arguments.files and path.name not in arguments.files:
            continue
        reports, unparsed = read(path)
        if arguments.json:
            print(json.dumps(reports, indent=1, ensure_ascii=False))
        problems = [] if len(reports) == 1 else [f"{len(reports)} reports"]
        if unparsed["count"]:
            problems.append(f"{unparsed['count']} lines not understood: {unparsed['samples'][:2]}")
        if reports and path.name in rows:
            problems += differences(reports[0], rows[path.name])
        bad += bool(problems)
        first = reports[0] if reports else {}
        state = "cut" if first.get("truncated") else "whole"
        print(
            f"{'BAD' if problems else 'ok ':3} {path.name}: {state}, {first.get('scope')}, "
            f"{len(first.get('tasks') or [])} tasks {'; '.join(problems)}"
        )
    print(f"{bad} files with problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
