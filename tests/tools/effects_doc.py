# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/effects.md and its plots from the numbers of the experiments (docs/effects/*.json)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
MIB = 1024**2
MOST_COLUMNS = 5
UNMEASURED = "not measured"

HEAD = """<!-- SPDX-FileCopyrightText: 2026 linux_memory.oom contributors -->
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->

# What the remedies do

Measured on virtual machines with kernels of their own: the same failure without a role and with it, each on a fresh
machine of the same image in `dirty_throttle`, `swap_tuning` and `cgroup_memory_limit`; in the other experiments one
machine goes through what is compared, step by step. Machines under emulation are slow: compare the columns of a table,
not the tables.
Kernels before 5.15 print nothing where strict accounting refuses memory, and `diagnose` cannot name it there.
The command below each table repeats it; `make experiments` repeats all of them, and `make effects` writes this page
from the numbers in [effects/](effects/). In one line each, by the kernel:
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
            said = f"{told.get(label(name), '?')} → {said}" if when == "after" else said
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


def version(record: dict) -> tuple[int, ...]:
    """Return the version of a record's kernel as numbers: 5.10 is older than 6.1."""
    return tuple(int(part) for part in record["kernel"].split("-")[0].split("+")[0].split("."))


def series_of(record: dict) -> str:
    """Return the kernel's series, as a reader names it: 6.1."""
    return ".".join(map(str, version(record)[:2]))


def chain(name: str, *variants: str) -> Callable[[dict], str]:
    """Return what tells one number of some machines of an experiment, in their order.

    A record can be older than a machine that the experiment has by now.
    """

    def tell(record: dict) -> str:
        numbers = {variant["name"]: variant["numbers"] for variant in record["variants"]}
        if not numbers.keys() >= set(variants):
            return UNMEASURED
        return " → ".join(number(name, numbers[variant].get(name)) for variant in variants)

    return tell


def each(name: str) -> Callable[[dict], dict[str, bool]]:
    """Return what tells for which failures of an experiment a number is "yes"."""
    return lambda record: {variant["name"]: variant["numbers"][name] == "yes" for variant in record["variants"]}


def yes(name: str) -> Callable[[dict], str]:
    """Return what counts the failures of an experiment for which a number is "yes"."""
    tell = each(name)
    return lambda record: f"{sum(tell(record).values())} of {len(record['variants'])}"


def panics(record: dict) -> str:
    """Return how many cases end in a panic, setting by setting."""
    told = [list(variant["numbers"].values()) for variant in record["variants"]]
    return " → ".join(str(cases.count("the host panics")) for cases in told) + f" of {len(told[0])}"


# The page's order, and what each experiment says in one line: (experiment, what, what tells it of a record).
GLANCE: tuple[tuple[str, str, Callable[[dict], str]], ...] = (
    (
        "panic_on_oom_kdump",
        "verdict: of the running host → of the log saved with the dump",
        chain("verdict", "without", "panic and dump"),
    ),
    (
        "panic_on_oom_kdump",
        "what is kept: without → with the role",
        chain("kept for later", "without", "panic and dump"),
    ),
    ("panic_on_oom_modes", "cases that panic: vm.panic_on_oom 0 → 1 → 2", panics),
    (
        "dirty_throttle",
        "most that waited to be written: without → dirty bytes",
        chain("peak of dirty + writeback (bytes)", "without", "dirty bytes"),
    ),
    (
        "dirty_throttle",
        "the same, of a writer started again, with dirty bytes: over its cached file → with a new file",
        chain(
            "peak of dirty + writeback (bytes)",
            "dirty bytes, writer started again",
            "dirty bytes, writer started again with a new file",
        ),
    ),
    (
        "dirty_throttle",
        "reader beside a direct writer stalled: without → writer limited",
        chain("reader stalled on io (share of the time)", "direct, without", "direct, writer limited"),
    ),
    (
        "swap_tuning",
        "seconds until the OOM killer: without → swap file → scheduled restarts",
        chain(
            "OOM killer after (seconds; none: not while it was watched)", "without", "swap file", "scheduled restarts"
        ),
    ),
    (
        "cgroup_memory_limit",
        "requests lost by innocent servers: without → MemoryMax → bounded restarts",
        chain("requests lost", "without", "MemoryMax", "MemoryMax, bounded restarts"),
    ),
    ("diagnosis", "failures that were induced, and whose cause was named", yes("right")),
    ("cure_rate", "failures cured by what `diagnose` proposed", yes("cured")),
)


def panicking(record: dict) -> dict[str, bool]:
    """Return which cases ended in a panic, by setting."""
    return {
        f"{case}, {variant['name'].removeprefix('vm.')}": outcome == "the host panics"
        for variant in record["variants"]
        for case, outcome in variant["numbers"].items()
    }


# Experiments that end in yes or no have one picture for all kernels: (what tells it of a record, the words for both).
GRIDS: dict[str, tuple[Callable[[dict], dict[str, bool]], tuple[str, str]]] = {
    "panic_on_oom_modes": (panicking, ("the host panics", "one program is killed")),
    "diagnosis": (each("right"), ("the cause was named", "not named")),
    "cure_rate": (each("cured"), ("cured", "not cured, or nothing was said of it")),
}


def glance(records: dict[str, list[dict]]) -> str:
    """Return the table of all experiments, a column for each kernel."""
    kernels = {version(record)[:2]: series_of(record) for found in records.values() for record in found}
    heads = [kernels[key] for key in sorted(kernels)]
    lines = [["experiment", "what", *heads]]
    for experiment, what, tell in GLANCE:
        told = {series_of(record): tell(record) for record in records.get(experiment, [])}
        cells = [told.get(head, UNMEASURED) for head in heads]
        if set(cells) != {UNMEASURED}:
            lines.append([f"[{experiment}](#{experiment})", what, *cells])
    first, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([first, "|---" * len(lines[0]) + "|", *rest])


def applied(record: dict) -> str:
    """Return which role was applied to which machine, with which variables."""
    return "\n".join(
        f"- **{variant['name']}**: role `{variant['role']}` with `{json.dumps(variant['variables'])}`"
        for variant in record["variants"]
        if variant["role"]
    )


def joined(*parts: str) -> str:
    """Return paragraphs as one text, without those that are empty."""
    return "\n\n".join(part for part in parts if part)


def section(record: dict, picture: str, own: tuple[Callable[[dict], str], ...]) -> str:
    """Return what an experiment has shown on one kernel; own: what tells what is not the same on all kernels."""
    how = "under emulation" if record["emulated"] else "with KVM"
    shown = quantities(record)
    setting, roles = (tell(record) if tell in own else "" for tell in (setting_of, applied))
    return joined(
        f"### {record['experiment']}, kernel {record['kernel']}",
        setting,
        table(record),
        f"![{', '.join(shown)} over the time]({picture})" if shown else "",
        roles,
        f"Measured on {record['date']}, {how}: `{command(record)}`.",
    )


def command(record: dict) -> str:
    """Return what repeats an experiment in a fresh clone: its environment and packages are made first."""
    return f"make experiment-{record['experiment']}-{record['image']}"


def setting_of(record: dict) -> str:
    """Return in what the failure was made to happen."""
    return record["setting"]


def chapter(experiment: str, found: list[dict]) -> str:
    """Return what an experiment has shown, from the oldest kernel to the newest; what is the same is said once."""
    own = tuple(tell for tell in (setting_of, applied) if len({tell(record) for record in found}) > 1)
    common = [tell(found[0]) for tell in (setting_of, applied) if tell not in own]
    if experiment in GRIDS:
        common.append(f"![{' or '.join(GRIDS[experiment][1])}, by kernel](effects/{experiment}.svg)")
    return joined(
        f"## {experiment}",
        f"**{found[0]['title']}.**",
        *common,
        *(section(record, f"effects/{experiment}-{record['image']}.svg", own) for record in found),
    )


def recorded() -> dict[str, list[dict]]:
    """Return the records of each experiment, from the oldest kernel to the newest."""
    records: dict[str, list[dict]] = {}
    for path in (DOCS / "effects").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        records.setdefault(record["experiment"], []).append(record)
    for found in records.values():
        found.sort(key=version)
    return records


def page(records: dict[str, list[dict]]) -> str:
    """Return docs/effects.md."""
    order = dict.fromkeys(experiment for experiment, _what, _tell in GLANCE)
    chapters = [chapter(experiment, records[experiment]) for experiment in order if experiment in records]
    return joined(HEAD.rstrip(), glance(records), *chapters) + "\n"


def draw(records: dict[str, list[dict]]) -> None:
    """Draw the plots of the page."""
    # matplotlib is not there where only the page is asked for.
    import effects_plots

    for experiment, found in records.items():
        for record in found:
            if quantities(record):
                picture = DOCS / "effects" / f"{experiment}-{record['image']}.svg"
                effects_plots.plot(record, quantities(record), picture)
        if experiment in GRIDS:
            tell, words = GRIDS[experiment]
            picture = DOCS / "effects" / f"{experiment}.svg"
            effects_plots.grid({series_of(record): tell(record) for record in found}, words, picture)


def main() -> int:
    """Write the page and its plots."""
    records = recorded()
    draw(records)
    (DOCS / "effects.md").write_text(page(records), encoding="utf-8")
    print(f"docs/effects.md: {sum(map(len, records.values()))} records of {len(records)} experiments")
    missing = set(records) - {experiment for experiment, _what, _tell in GLANCE}
    if missing:
        print(f"effects_doc.py: GLANCE does not know {', '.join(sorted(missing))}", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
