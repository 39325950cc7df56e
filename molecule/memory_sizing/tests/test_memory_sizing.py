# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sampler looks, and only root can read what it saw; what it saw can be asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))
from waiting import eventually

SAMPLES = "/var/lib/linux_memory_oom-memory_sizing/samples.jsonl"


def samples(host):
    """Return the samples, once there are some: the timer looks every ten seconds."""

    def lines():
        done = host.run(f"cat {SAMPLES}")
        there = done.stdout.splitlines() if done.rc == 0 else []
        return there if len(there) >= 2 else None

    there = eventually(lines)
    assert there, host.run("systemctl status --no-pager linux_memory_oom-memory_sizing.service").stdout
    return [json.loads(line) for line in there]


def test_the_timer_runs(host):
    timer = host.service("linux_memory_oom-memory_sizing.timer")
    assert timer.is_running
    assert timer.is_enabled


def test_samples_are_taken(host):
    first, *_more, last = samples(host)
    assert last["time"] > first["time"]
    total = int(host.check_output("awk '/^MemTotal/ {print $2}' /proc/meminfo")) * 1024
    assert last["memory"]["MemTotal"] == total
    assert last["boot"] == host.check_output("cat /proc/sys/kernel/random/boot_id")


def test_samples_are_for_root_alone(host):
    samples(host)
    file, directory = host.file(SAMPLES), host.file(SAMPLES.rpartition("/")[0])
    assert (file.user, file.mode) == ("root", 0o600)
    assert (directory.user, directory.mode) == ("root", 0o700)
