# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs one machine until it is switched off: `python keeper.py DIRECTORY`. Machine.start() starts it.

When the guest restarts, qemu ends, the keeper reads from the disk what the guest's boot loader would boot now, and
starts qemu with that. SIGTERM is the power cut.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import machines
from rootfs import LabError

PR_SET_PDEATHSIG = 1  # prctl(2)

# A guest that restarts again and again within this time does not come up: seconds, times.
QUICK, QUICK_TIMES = 10.0, 3


def why_it_ended(events: IO[bytes]) -> str:
    """Return the last reason that qemu gave for its end (QMP's SHUTDOWN event); empty where it was killed."""
    reason = ""
    for line in events:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == "SHUTDOWN":
            reason = str(event.get("data", {}).get("reason", ""))
    return reason


def end_with_parent() -> None:
    """Let this process be killed when the one that started it ends: no machine is left without its keeper."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Keeper:
    """The life of one machine."""

    def __init__(self, one: machines.Machine):
        self.one = one
        self.qemu: subprocess.Popen[bytes] | None = None
        self.ended = False

    def cut(self, *_signal: object) -> None:
        """Cut the power."""
        self.ended = True
        if self.qemu:
            self.qemu.kill()

    def once(self, boot: machines.Boot) -> str:
        """Run qemu until it ends and return why it did."""
        with open(self.one.place / "qemu.log", "ab") as log:
            self.qemu = subprocess.Popen(
                [*self.one.command(boot), "-qmp", "stdio"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, preexec_fn=end_with_parent,
            )  # fmt: skip
        if self.ended:  # the signal came while it was started
            self.qemu.kill()
        try:
            self.qemu.stdin.write(b'{"execute": "qmp_capabilities"}\n')
            self.qemu.stdin.flush()
        except BrokenPipeError:
            pass  # it ended at once; its log says why
        reason = why_it_ended(self.qemu.stdout)
        self.qemu.wait()
        return reason

    def run(self) -> str:
        """Run the machine until it is switched off and return why it ended."""
        # A machine whose power was cut comes up with what is on its disk by then.
        mark = self.one.place / "booted"
        boot, quick = self.one.next_boot() if mark.exists() else self.one.first_boot(), 0
        mark.touch()
        while True:
            started = time.monotonic()
            reason = self.once(boot)
            quick = quick + 1 if time.monotonic() - started < QUICK else 0
            if self.ended or reason != "guest-reset" or quick >= QUICK_TIMES:
                return reason
            boot = self.one.next_boot()
            self.one.begin()


def main() -> int:
    """Run the machine of the directory that the command line names."""
    place = Path(sys.argv[1])
    keeper = Keeper(machines.Machine.load(place))
    signal.signal(signal.SIGTERM, keeper.cut)
    try:
        keeper.run()
    except LabError as error:
        with open(place / "qemu.log", "a", encoding="utf-8") as log:
            log.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
