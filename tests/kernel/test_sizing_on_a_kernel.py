# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role `memory_sizing` on a machine with a kernel of its own, whose need is known.

What it says grows by what a load needs, and not by what the load only leaves in the page cache. A kernel that does not
tell these apart (the multi-generational LRU) gets half of the cache, and the interval holds the truth.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
import machines  # noqa: E402 - the lab is no package of the collection
import play  # noqa: E402

pytestmark = pytest.mark.matrix

IMAGE = machines.tested()
MIB = 1024**2
HELD, READ, STREAMED = 200, 100, 200
ROLE = {"memory_sizing_sampler": {"interval_seconds": 10}}
SAMPLES = "/var/lib/linux_memory_oom-memory_sizing/samples.jsonl"

# Holds memory of its own, and reads one file again and again; another one was read once.
LOAD = f"""
import mmap, os, time
held = bytearray(os.urandom(1 << 20)) * {HELD}
for name, size in (("once", {STREAMED}), ("again", {READ})):
    with open("/var/tmp/" + name, "wb") as file:
        for _block in range(size):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
os.system("echo 3 > /proc/sys/vm/drop_caches")
def read(name):
    with open("/var/tmp/" + name, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
read("once")
for _round in range(4):
    read("again")
open("/run/load-ready", "w").close()
while True:
    read("again")
    for place in range(0, len(held), 4096):
        held[place] = 1
    time.sleep(2)
"""


@pytest.fixture(scope="module")
def guest():
    with machines.machine(IMAGE, memory=1536 * MIB) as one:
        yield one


def answer(guest) -> dict:
    """Return what the role's module says now."""
    done = play.ansible(guest, "ansible", "guest", "-m", "linux_memory.oom.memory_sizing_info")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.partition("=>")[2])


def wait_for_samples(guest, count: int) -> None:
    """Wait until the sampler has looked so often more."""
    before = int(guest.run(f"wc -l < {SAMPLES} 2>/dev/null || echo 0").stdout)
    end = time.monotonic() + 900
    while int(guest.run(f"wc -l < {SAMPLES} 2>/dev/null || echo 0").stdout) < before + count:
        assert time.monotonic() < end, guest.run(
            "systemctl status linux_memory_oom-memory_sizing.service", False
        ).stdout
        time.sleep(2)


def test_the_need_grows_by_what_the_load_needs(guest):
    play.role(guest, "memory_sizing", ROLE)
    wait_for_samples(guest, 2)
    idle = answer(guest)
    assert idle["source"] == "sampler"
    guest.run("cat > /root/load.py <<'END'\n" + LOAD + "\nEND\nsystemd-run --unit load python3 /root/load.py")
    guest.run("while [ ! -e /run/load-ready ]; do sleep 1; done", seconds=900)
    wait_for_samples(guest, 3)
    busy = answer(guest)
    grown = (busy["sizing"]["likely"] - idle["sizing"]["likely"]) / MIB
    told = guest.run("cat /sys/kernel/mm/lru_gen/enabled || echo 0x0000", False).stdout.strip()[-1:] in "02468ace"
    assert busy["sizing"]["page_cache_told"] == told
    # Python itself is some MiB. What was read once is not in it.
    cache = READ if told else (READ + STREAMED) / 2
    assert 0.85 * (HELD + cache) < grown < 1.2 * (HELD + cache), busy["sentences"]
    beyond = (busy["sizing"]["most"] - busy["sizing"]["likely"]) / MIB
    assert beyond > 0.8 * (READ + STREAMED - cache), busy["sentences"]
    assert busy["sizing"]["least"] - idle["sizing"]["least"] < (HELD + READ) * MIB < busy["sizing"]["most"]
    (load,) = [unit for unit in busy["sizing"]["units"] if unit["unit"] == "load.service"]
    assert HELD * MIB <= load["anonymous"] < 1.2 * HELD * MIB
    assert busy["sizing"]["at_least_only"] is None


def test_pages_that_are_wanted_back_count_and_others_do_not(guest):
    """The load is pushed out by a limit: what it touches comes back from swap all the time."""
    guest.run("fallocate -l 512M /swap; chmod 600 /swap; mkswap /swap; swapon /swap")
    guest.run(f"systemctl set-property --runtime load.service MemoryMax={HELD // 2}M", seconds=900)
    wait_for_samples(guest, 4)
    found = answer(guest)
    assert found["sizing"]["swapped_in_rate"] > 0
    assert "read back from swap all the time" in (found["sizing"]["at_least_only"] or ""), found["sentences"]


def test_all_of_it_goes(guest):
    guest.run("systemctl stop load; swapoff /swap; rm -f /swap")
    play.role(guest, "memory_sizing", {"memory_sizing_state": "absent"})
    left = guest.run("find /etc /usr/local /var/lib -name '*linux_memory_oom*'").stdout
    assert left == ""
