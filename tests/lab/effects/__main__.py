# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows what a remedy does: lets memory fail without it and with it, on machines of the same image.

    make experiment-dirty_throttle-bookworm

The numbers go to docs/effects/NAME-IMAGE.json; `make effects` writes docs/effects.md and its plots from them.
Machines are booted one after another; an experiment takes three to ten minutes under emulation.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(LAB))
import compare  # noqa: E402 - the lab is no package
import crash  # noqa: E402
import cure  # noqa: E402
import machines  # noqa: E402
import naming  # noqa: E402
from rootfs import LabError  # noqa: E402

RESULTS = LAB.parent.parent / "docs" / "effects"

# name: what runs it on an image and gives title, setting, kernel and variants, and, where something was not as it has
# to be, what: broken.
RUNS: dict[str, Callable[[str], dict]] = {
    **{name: functools.partial(compare.compare, name) for name in compare.EXPERIMENTS},
    "panic_on_oom_kdump": crash.kdump,
    "panic_on_oom_modes": crash.modes,
    "cure_rate": cure.rate,
    "diagnosis": naming.causes,
}


def run(name: str, image: str) -> dict:
    """Run an experiment and return its record."""
    return {
        "experiment": name,
        **RUNS[name](image),
        "image": image,
        "emulated": not machines.has_kvm(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def main() -> int:
    """Read the command and do it."""
    parser = argparse.ArgumentParser(prog="python tests/lab/effects", description=__doc__)
    parser.add_argument("experiment", choices=sorted(RUNS))
    parser.add_argument("image", choices=sorted(machines.IMAGES))
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory for the numbers (docs/effects)")
    options = parser.parse_args()
    # A terminated run takes its machine down as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_what: sys.exit(143))
    try:
        record = run(options.experiment, options.image)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{options.experiment}-{options.image}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record) + "\n", encoding="utf-8")
    partial.replace(path)
    for sentence in record.get("broken", []):
        print(sentence, file=sys.stderr)
    return int(bool(record.get("broken")))


if __name__ == "__main__":
    sys.exit(main())
