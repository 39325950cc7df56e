# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long vmcore_info takes for a dump, against kmem -i of crash(8) on the same dump.

    make bench BENCH=vmcore DUMP=/var/crash/STAMP/vmcore DEBUG=/usr/lib/debug [ROUNDS=5]

Both start anew in each round, one after the other, so that a busy machine slows both; medians are told, of the time on
the clock and of the time on the processors. Both read the same rearranged copy of a flattened dump. vmcore_info runs
as the module does on a host, its Python included; what Ansible needs to send it there is left out on purpose.

Measured on 28 November 2026, 2 busy cores, a dump of 28 MB of a Debian 12 guest with swap and dirty pages, drgn 0.3.0,
crash 8.0.2, 3 rounds: 0.91 s against 9.21 s on the clock (0.098), 0.59 s against 5.90 s on the processors (0.101); 1047
values against 39 numbers. Two days before, a dump of 22 MB: 0.089 and 0.089.
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build" / "collections"))
from ansible_collections.linux_memory.oom.plugins.module_utils import vmcore_drgn, vmcore_files  # noqa: E402


def timed(command: list[str], text: str) -> tuple[float, float, str]:
    """Return (seconds on the clock, seconds on processors, output) of a command."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, cwd=ROOT)
    took, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, spent, done.stdout


def main() -> int:
    """Measure and tell."""
    dump, debug = os.environ.get("DUMP"), os.environ.get("DEBUG")
    if not dump or not debug:
        sys.exit("DUMP= has to be a dump and DEBUG= the directory of its debug symbols, such as /usr/lib/debug")
    with vmcore_files.Scratch(tempfile.gettempdir()) as scratch:
        if vmcore_files.form_of(dump) == "flattened":
            dump = vmcore_files.rearrange(dump, scratch)
        release, build_id = vmcore_drgn.identity(vmcore_drgn.open_dump(dump))
        symbols = vmcore_files.symbols(debug, release, build_id)[0]
        module = ROOT / "build/collections/ansible_collections/linux_memory/oom/plugins/modules/vmcore_info.py"
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"path": dump, "debuginfo": symbols}})
        environment = f"PYTHONPATH={ROOT / 'build/collections'}"
        ours, theirs = [], []
        for _round in range(int(os.environ.get("ROUNDS", "5"))):
            *spent, output = timed(["env", environment, sys.executable, str(module)], arguments)
            crash = json.loads(output)["crashes"][0]
            if crash["source"] != "drgn":
                sys.exit(f"vmcore_info did not read the dump: {crash['why']}")
            ours.append(spent)
            *spent, output = timed(["crash", "-s", symbols, dump], "kmem -i\nquit\n")
            if "TOTAL MEM" not in output:
                sys.exit(f"crash did not read the dump: {output[-300:]}")
            theirs.append(spent)
    (clock, spent), (their_clock, their_spent) = (
        [statistics.median(column) for column in zip(*rows, strict=True)] for rows in (ours, theirs)
    )
    sys.stdout.write(
        f"{len(ours)} rounds of each, medians, dump of {release}\n"
        f"vmcore_info     {clock:7.2f} s on the clock {spent:7.2f} s on processors\n"
        f"crash, kmem -i  {their_clock:7.2f} s on the clock {their_spent:7.2f} s on processors\n"
        f"ratio           {clock / their_clock:7.3f}               {spent / their_spent:7.3f}\n"
        f"vmcore_info     tells {len_of(crash)} values\n"
        f"crash, kmem -i  tells {numbers_in(output)}\n"
    )
    return 0


def numbers_in(text: str) -> int:
    """Return how many numbers a table of crash(8) holds."""
    return len(re.findall(r"\b\d+(?:\.\d+)?\b", text))


def len_of(value: object) -> int:
    """Return how many values a nested value holds."""
    if isinstance(value, dict):
        return sum(map(len_of, value.values()))
    return sum(map(len_of, value)) if isinstance(value, list) else int(value is not None)


if __name__ == "__main__":
    sys.exit(main())
