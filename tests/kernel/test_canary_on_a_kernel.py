# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role `oom_canary` on a machine with a kernel of its own, that runs out of memory again and again.

An important service holds 150 MiB, more than any other process, and writes to a file. Forty workers, each smaller than
it, fill the memory. Without a canary the kernel takes the service in the middle of a line; with one, the canary goes,
and the service ends by an ordinary stop. The service is not shielded: what is shown is what the canary does.
The tests build on each other, in their order. MEMORY_OOM_ROUNDS says how often each is tried, ten times by default.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
import machines  # noqa: E402 - the lab is no package of the collection
import play  # noqa: E402

pytestmark = pytest.mark.matrix

IMAGE = machines.tested()
MIB = 1024**2
ROUNDS = int(os.environ.get("MEMORY_OOM_ROUNDS", "10"))
CANARY = "linux_memory_oom-oom_canary-important.service"
DIED = "linux_memory_oom-oom_canary-important-died.target"
SIZE = 128 * MIB
ROLE = {"oom_canary_canaries": [{"unit": "important.service", "size": f"{SIZE // MIB}M"}]}

# Its file is whole where each line has its checksum and the last one says that it is the last.
IMPORTANT = """
import os, signal, time, zlib
held = bytearray(os.urandom(1 << 20)) * 150
data = open("/var/tmp/data", "w", buffering=4096)
def write(text):
    data.write(f"{zlib.crc32(text.encode()):08x} {text}\\n")
# The handler only takes a note: one that writes could meet the loop in the middle of its own writing.
ending = []
signal.signal(signal.SIGTERM, lambda *ignored: ending.append(True))
number = 0
while not ending:
    write(f"line {number}")
    number += 1
    time.sleep(0.01)
for number in range(1000):
    write(f"rest {number} {sum(held[number * 4096:number * 4096 + 64])}")
write("end")
data.flush()
os.fsync(data.fileno())
"""
# Each takes a MiB after the other, all of them together 10 MiB a second. Where the kernel hesitates to kill, most of
# them wait at the canary's death, take their MiB at once, and so do 40 MiB every four seconds from then on: on 7.3 a
# canary of 64 MiB was too small in two of ten rounds. The parent is there to be stopped.
EATER = """
import os, time
for worker in range(40):
    if not os.fork():
        held = []
        while True:
            held.append(os.urandom(4096) * 256)
            time.sleep(4)
while True:
    time.sleep(60)
"""
WHOLE = """
import sys, zlib
lines = open("/var/tmp/data").read().split("\\n")
right = [len(line) > 9 and line[:8] == f"{zlib.crc32(line[9:].encode()):08x}" for line in lines[:-1]]
sys.exit(0 if all(right) and lines[-1] == "" and lines[-2].endswith(" end") else 1)
"""
# One round: everything runs, memory ends, and what became of the service is told.
ROUND = f"""
systemctl start important.service
sleep 2
systemctl start eater.service
for try in $(seq 600); do
    systemctl is-active --quiet important.service || break
    sleep 0.2
done
for try in $(seq 100); do
    test "$(systemctl show -p ActiveState --value important.service)" = deactivating || break
    sleep 0.2
done
systemctl stop eater.service
python3 /opt/whole && whole=true || whole=false
show() {{ systemctl show -p "$2" --value "$1"; }}
ended=$(show important.service InactiveEnterTimestampMonotonic) died=$(show {DIED} ActiveEnterTimestampMonotonic)
cat <<END
{{"result": "$(show important.service Result)", "code": "$(show important.service ExecMainCode)",
"status": "$(show important.service ExecMainStatus)", "active": "$(show important.service ActiveState)",
"whole": $whole, "canary": "$(show {CANARY} Result)", "died": "$(show {DIED} ActiveState)",
"from the canary's death to the end (microseconds)": $((${{ended:-0}} - ${{died:-0}}))}}
END
systemctl stop important.service
systemctl reset-failed
"""
UNITS = {
    "important": "[Service]\nExecStart=/usr/bin/python3 /opt/important\n",
    "eater": "[Service]\nExecStart=/usr/bin/python3 /opt/eater\nOOMPolicy=continue\nTimeoutStopSec=5\n",
}
CLEAN = {"result": "success", "code": "1", "status": "0", "active": "inactive", "whole": True}


@pytest.fixture(scope="module")
def guest():
    """Return a booted machine with the programs."""
    with machines.machine(IMAGE, memory=640 * MIB) as one:
        for name, text in (("important", IMPORTANT), ("eater", EATER), ("whole", WHOLE)):
            one.run(f"cat >/opt/{name} <<'ENDOFPROGRAM'\n{text}ENDOFPROGRAM\n")
        for name, text in UNITS.items():
            one.run(f"cat >/etc/systemd/system/{name}.service <<'END'\n{text}END\n")
        one.run("systemctl daemon-reload; swapoff -a")
        yield one


def tried(guest) -> list[dict]:
    """Return what became of the service in each round."""
    return [json.loads(guest.run(f"{{ {ROUND}}} 2>/dev/null").stdout) for _round in range(ROUNDS)]


def is_clean(answer: dict) -> bool:
    """Return whether the service ended in order, its file whole."""
    return {name: answer[name] for name in CLEAN} == CLEAN


def test_without_a_canary_the_service_is_killed(guest):
    answers = tried(guest)
    killed = [one for one in answers if one["result"] in ("oom-kill", "signal") and not one["whole"]]
    assert len(killed) >= ROUNDS * 0.9, [one for one in answers if one not in killed]


def test_the_canary_is_there_and_is_the_first_choice(guest):
    guest.run("systemctl start important.service")
    done = play.role(guest, "oom_canary", ROLE)
    assert play.changed(done) == 1, done.stdout
    pid = guest.run(f"systemctl show -p MainPID --value {CANARY}").stdout.strip()
    said = guest.run(f"cat /proc/{pid}/oom_score_adj; awk '/^RssAnon/ {{print $2 * 1024}}' /proc/{pid}/status")
    score, anon = map(int, said.stdout.split())
    assert score == 1000
    assert anon >= SIZE
    # In small pages, which the kernel gives back at once, and not locked: its group has no swap.
    assert guest.run(f"cat /sys/fs/cgroup/system.slice/{CANARY}/memory.swap.max").stdout == "0\n"
    areas = (
        f"awk '/^Size:/ {{its = $2 * 1024 == {SIZE}}} its && /^(AnonHugePages|Locked):/ {{print $2}}' /proc/{pid}/smaps"
    )
    assert guest.run(areas).stdout.split() == ["0", "0"]
    assert play.changed(play.role(guest, "oom_canary", ROLE)) == 0
    guest.run("systemctl stop important.service")


def test_with_a_canary_the_service_ends_in_order(guest):
    answers = tried(guest)
    clean = [one for one in answers if is_clean(one)]
    assert len(clean) >= ROUNDS * 0.9, [one for one in answers if not is_clean(one)]
    assert all(one["canary"] in ("oom-kill", "signal") and one["died"] == "active" for one in clean)


def test_the_journal_tells_the_story(guest):
    journal = guest.run(f"journalctl --no-pager -o cat -u {CANARY} -u {DIED}").stdout
    story = [f"holding {SIZE} bytes", "status=9/KILL", "Triggering OnFailure=", "is stopped in order"]
    places = [journal.index(words) for words in story]
    assert places == sorted(places), journal


def test_it_is_armed_after_a_restart_of_the_machine(guest):
    guest.run("systemctl add-wants multi-user.target important.service")
    guest.reboot()
    said = guest.run(f"systemctl is-active important.service {CANARY} {DIED}", check=False).stdout.split()
    assert said == ["active", "active", "inactive"]


def test_undo_leaves_nothing(guest):
    assert play.changed(play.role(guest, "oom_canary", {"oom_canary_state": "absent"})) == 1
    assert guest.run("find /etc /usr/local /run/systemd -name '*linux_memory*'").stdout == ""
    assert "linux_memory" not in guest.run("systemctl list-units --all --no-legend --no-pager").stdout
    assert guest.run("systemctl is-active important.service").stdout.strip() == "active"
