# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the tables of docs/choosing_a_remedy.md from the code; with --check only say whether they are current."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "docs" / "choosing_a_remedy.md"
sys.path.insert(0, str(ROOT / "build" / "collections"))

from ansible_collections.linux_memory.oom.plugins.plugin_utils import human  # noqa: E402
from ansible_collections.linux_memory.oom.plugins.plugin_utils.evidence import CAUSES  # noqa: E402
from ansible_collections.linux_memory.oom.plugins.plugin_utils.thresholds import CONFIDENCE, THRESHOLDS  # noqa: E402


def row(*cells: str) -> str:
    """Return one row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    return "\n".join([row(*head), row(*("---" for _cell in head)), *(row(*cells) for cells in rows)])


def causes() -> str:
    """Return the table of causes, in the order of thought."""
    rows = [
        (
            f"`{name}`",
            cause.meaning,
            f"role `{cause.role}`" if cause.role else "a person" if cause.advice else "nothing to do",
            cause.advice or "",
            cause.article or "",
        )
        for name, cause in CAUSES.items()
    ]
    return table(("cause", "meaning", "remedy", "what to do", "article"), rows)


def thresholds() -> str:
    """Return the table of thresholds, and of what the words for confidence mean."""
    rows = [
        (f"`{name}`", human.quantity(entry.value, entry.unit), entry.why, entry.source)
        for name, entry in THRESHOLDS.items()
    ]
    return table(("threshold", "value", "why", "source"), rows)


def confidences() -> str:
    """Return the table of what the words for confidence mean."""
    return table(("word", "value", "meaning"), [(word, f"{e.value:g}", e.why) for word, e in CONFIDENCE.items()])


def filled(text: str) -> str:
    """Return the document with each part between its markers written anew."""
    for name, make in (("causes", causes), ("confidences", confidences), ("thresholds", thresholds)):
        start, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _start, rest = text.partition(start)
        _old, _end, after = rest.partition(end)
        text = f"{before}{start}\n\n{make()}\n\n{end}{after}"
    return text


def main() -> int:
    """Return 0 when the document is that of the code."""
    current = DOCUMENT.read_text()
    wanted = filled(current)
    if sys.argv[1:] == ["--check"]:
        if current != wanted:
            print(f"{DOCUMENT.relative_to(ROOT)} is not that of the code: run python tests/tools/remedy_doc.py")
        return int(current != wanted)
    DOCUMENT.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
