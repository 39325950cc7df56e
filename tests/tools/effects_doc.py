# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/effects.md and its plots from the numbers of the experiments (docs/effects/*.json)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
# The same numbers give the same file.
matplotlib.rcParams.update({"svg.hashsalt": "linux_memory.oom", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen first

DOCS = Path(__file__).resolve().parents[2] / "docs"
MIB = 1024**2
MOST_COLUMNS = 5
# Colours that differ in brightness too, for eyes that do not tell red from green (Okabe and Ito).
COLOURS = ("#000000", "#0072b2", "#e69f00", "#cc79a7", "#009e73")

HEAD = """<!-- SPDX-FileCopyrightText: 2026 linux_memory.oom contributors -->
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->

# What the remedies do

Measured on virtual machines with kernels of their own: the same failure without a role and with it, each on a fresh
machine of the same image. Machines under emulation are slow: compare the columns of a table, not the tables.
The command below each table repeats it; `make experiments` repeats all of them, and `make effects` writes this page
from the numbers in [effects/](effects/).
"""


def number(name: str, value: object) -> str:
    """Return a number with the unit that its name gives."""
    if value is None:
        return "none"
    if "(bytes)" in name:
        return f"{value / MIB:.0f} MiB"
    if "(share" in name:
        return f"{100 * value:.0f} %"
    if isinstance(value, float):
        return f"{value:.1f}"
    return str(value)


def label(name: str) -> str:
    """Return the name of a number without the units that the cells carry."""
    return name.replace(" (bytes)", "").replace("(share of the time)", "(of the time)")


def paired(numbers: dict) -> dict[str, str]:
    """Return numbers as texts by their labels; what was counted before and after stands in one cell."""
    told: dict[str, str] = {}
    for name, value in numbers.items():
        when, colon, what = name.partition(": ")
        said = number(name, value)
        if colon and when in ("before", "after"):
            name = f"{what}: before → after"
            said = f"{told.get(name, '?')} → {said}" if when == "after" else said
        told[label(name)] = said
    return told


def table(record: dict) -> str:
    """Return the numbers of an experiment, a column for each machine; a line for each, where they are many."""
    variants = record["variants"]
    told = [paired(variant["numbers"]) for variant in variants]
    names = list(dict.fromkeys(name for numbers in told for name in numbers))
    cells = [
        [variant["name"], *(numbers.get(name, "") for name in names)]
        for variant, numbers in zip(variants, told, strict=True)
    ]
    lines = [["", *names], *cells]
    if len(variants) <= MOST_COLUMNS:
        lines = [list(column) for column in zip(*lines, strict=True)]
    first, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([first, "|---" * len(lines[0]) + "|", *rest])


def quantities(record: dict) -> list[str]:
    """Return what an experiment has measured over the time."""
    return [name for name in record["variants"][0]["series"] if name != "time"]


def plot(record: dict, path: Path) -> None:
    """Draw the series of an experiment, one panel for each quantity."""
    shown = quantities(record)
    figure, panels = plt.subplots(len(shown), 1, figsize=(7, 0.4 + 2.3 * len(shown)), sharex=True, squeeze=False)
    figure.set_layout_engine("constrained")
    for panel, quantity in zip(panels[:, 0], shown, strict=True):
        is_share = "stalled" in quantity
        for variant, colour in zip(record["variants"], COLOURS, strict=False):
            values = variant["series"].get(quantity, [])
            scaled = [100 * value if is_share else value / MIB for value in values]
            panel.plot(variant["series"]["time"][: len(scaled)], scaled, label=variant["name"], color=colour)
        panel.set_title(quantity, loc="left")
        panel.set_ylabel("% of the time" if is_share else "MiB")
        panel.set_ylim(bottom=0)
    panels[-1, 0].set_xlabel("seconds")
    # Above the panels: inside it would hide what it names.
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)), fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def section(record: dict, picture: str) -> str:
    """Return the part of the page that tells of an experiment on one kernel."""
    how = "under emulation" if record["emulated"] else "with KVM"
    applied = "\n".join(
        f"- **{variant['name']}**: role `{variant['role']}` with `{json.dumps(variant['variables'])}`"
        for variant in record["variants"]
        if variant["role"]
    )
    shown = quantities(record)
    plotted = f"![{', '.join(shown)} over the time]({picture})\n\n" if shown else ""
    return (
        f"### {record['experiment']}, kernel {record['kernel']}\n\n{record['setting']}\n\n{table(record)}\n\n{plotted}"
        f"{applied}{2 * chr(10) if applied else ''}Measured on {record['date']}, {how}: `{record['command']}`.\n"
    )


def main() -> int:
    """Write the page and its plots."""
    parts, titles = [HEAD], set()
    for path in sorted((DOCS / "effects").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        picture = path.with_suffix(".svg")
        if quantities(record):
            plot(record, picture)
        if record["title"] not in titles:
            parts.append(f"## {record['title']}\n")
            titles.add(record["title"])
        parts.append(section(record, f"effects/{picture.name}"))
    (DOCS / "effects.md").write_text("\n".join(parts), encoding="utf-8")
    print(f"docs/effects.md: {len(parts) - 1 - len(titles)} experiments")
    return 0


if __name__ == "__main__":
    sys.exit(main())
