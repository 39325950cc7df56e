# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnose every log of a folder from its reports alone, and compare the verdicts with what is known of each.

    python tests/tools/corpus_causes.py FOLDER [FILE ...]      (or OOM_CORPUS=FOLDER)

The folder's SOURCES.tsv tells per file its accepted_causes, separated by "|"; a file without any is shown and not
counted. The exit status is 1 where fewer than 19 of 20 agree.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build" / "collections"))

from ansible_collections.linux_memory.oom.plugins.plugin_utils.diagnosis import diagnose
from corpus_check import expected, read

GOAL = 19 / 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("OOM_CORPUS"))
    parser.add_argument("files", nargs="*")
    parser.add_argument("--verbose", action="store_true", help="show all findings and their evidence")
    arguments = parser.parse_args()
    if not arguments.folder or not Path(arguments.folder).is_dir():
        print("Name a folder of logs, as an argument or in OOM_CORPUS.", file=sys.stderr)
        return 2
    folder = Path(arguments.folder)
    rows, agreed, counted = expected(folder), 0, 0
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name == "SOURCES.tsv" or arguments.files and path.name not in arguments.files:
            continue
        found = diagnose({}, read(path)[0])
        accepted = [cause for cause in rows.get(path.name, {}).get("accepted_causes", "").split("|") if cause]
        agrees = found[0]["cause"] in accepted
        agreed, counted = agreed + (agrees and bool(accepted)), counted + bool(accepted)
        told = ", ".join(f"{each['cause']} {each['confidence']}" for each in found[:4])
        print(f"{'ok ' if agrees else 'BAD' if accepted else '   '} {path.name}: {told} [{' | '.join(accepted)}]")
        if arguments.verbose or (accepted and not agrees):
            print(f"      {found[0]['summary']}")
        for each in found if arguments.verbose else ():
            print(f"    {each['cause']} {each['confidence']}: {each['summary']}")
            for piece in each["evidence"]:
                print(f"        {piece['what']}: {piece['value']} {piece['unit']} ({piece['source']})")
    print(f"{agreed} of {counted} agree")
    return 0 if counted and agreed / counted >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
