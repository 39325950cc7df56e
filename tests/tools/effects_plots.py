# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draw the plots of docs/effects.md. They alone need matplotlib."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
# The same numbers give the same file.
matplotlib.rcParams.update({"svg.hashsalt": "linux_memory.oom", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen first

MIB = 1024**2
# Colours that differ in brightness too, for eyes that do not tell red from green (Okabe and Ito).
COLOURS = ("#000000", "#0072b2", "#e69f00", "#cc79a7", "#009e73", "#d55e00", "#56b4e9")


def plot(record: dict, shown: list[str], path: Path) -> None:
    """Draw what an experiment has measured over the time, one panel for each quantity."""
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


def grid(told: dict[str, dict[str, bool]], words: tuple[str, str], path: Path) -> None:
    """Draw what was so and what was not, a column for each kernel; words: for the one and for the other."""
    kernels, rows = list(told), list(dict.fromkeys(row for column in told.values() for row in column))
    figure, panel = plt.subplots(figsize=(7, 0.9 + 0.22 * len(rows)))
    figure.set_layout_engine("constrained")
    for word, value, marker, colour in zip(words, (True, False), "ox", (COLOURS[1], COLOURS[5]), strict=True):
        places = [
            (kernels.index(kernel), rows.index(row))
            for kernel, column in told.items()
            for row, so in column.items()
            if so is value
        ]
        # Both words are explained, whether or not there is one of the kind.
        across, down = zip(*places, strict=True) if places else ((), ())
        panel.scatter(across, down, marker=marker, color=colour, label=word, s=36, zorder=3)
    panel.set_xticks(range(len(kernels)), kernels)
    panel.set_yticks(range(len(rows)), rows)
    panel.set_xlim(-0.5, len(kernels) - 0.5)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.xaxis.tick_top()
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
