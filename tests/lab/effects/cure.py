# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a failure to a host that is cured of it, as a user goes: diagnose, review, remediate; then it happens again.

Nobody edits a value in between. Cured means that the OOM killer kills nobody outside of the guilty unit, that who is
innocent keeps answering, and that nothing panics.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import machines
import play
import yaml
from rootfs import LabError

MIB = 1024**2
GUEST = Path(__file__).resolve().with_name("guest.py")
SNAPSHOT = Path(__file__).resolve().parents[3] / "molecule" / "kernel" / "snapshot.sh"
UNITS = "/etc/systemd/system"
SLOW_DISK = machines.Disk(1024 * MIB, limit=4 * MIB)
# A small swap area that somebody else has made.
SWAP = "fallocate -l 192M /swap; chmod 600 /swap; mkswap /swap; swapon /swap"
# Shielded from the OOM killer, so that it takes the innocent first.
SHIELDED = f"""
mkdir -p {UNITS}/hog.service.d
printf '[Service]\\nOOMScoreAdjust=-500\\n' > {UNITS}/hog.service.d/10-admin.conf
systemctl daemon-reload
"""
# The file has its size, so that the writer need not wait for the journal, which is on the same disk. Each time it is a
# new one: what the page cache still has of a file is another matter, see the experiment dirty_throttle.
NEW_FILE = "rm -f /srv/slow/written; fallocate -l 800M /srv/slow/written"
# What some guides advise for throughput: nearly all of memory may wait for a disk that takes minutes for it.
LAZY = f"""
{NEW_FILE}
printf 'vm.dirty_ratio = 90\\nvm.dirty_background_ratio = 85\\nvm.dirty_expire_centisecs = 360000\\n' \\
  > /etc/sysctl.d/50-admin.conf
sysctl -q -p /etc/sysctl.d/50-admin.conf
"""
LOW_LIMIT = f"""
mkdir -p {UNITS}/tight.service.d
printf '[Service]\\nMemoryMax=48M\\n' > {UNITS}/tight.service.d/10-admin.conf
systemctl daemon-reload
"""
STRICT = """
printf 'vm.overcommit_memory = 2\\nvm.overcommit_ratio = 25\\n' > /etc/sysctl.d/50-admin.conf
sysctl -q -p /etc/sysctl.d/50-admin.conf
"""


# When a leak and a writer are far enough for somebody to look at the host. A kernel that keeps its generations swaps
# long before memory is short (7.3), and on 6.12 a tenth is available almost until the end: somebody looks once programs
# wait as well. Where the leak was faster than the look, its end is what is looked at.
SWAPPING = (
    "awk '/^MemTotal/ {most = $2} /^MemAvailable/ {left = $2} /^SwapTotal/ {all = $2} /^SwapFree/ {free = $2}"
    " /^some/ {waiting = substr($2, 7) + 0} /^oom_kill / {killed = $2}"
    " END {exit !killed && (all - free < 40000 || left * 10 >= most || waiting < 5)}'"
    " /proc/meminfo /proc/pressure/memory /proc/vmstat"
)
PILING = "awk '/^Dirty/ {exit $2 < 400000}' /proc/meminfo"


@dataclass(frozen=True)
class Failure:
    """A failure: what guest.py lets happen and for how long, and whose fault it is.

    live: the host is diagnosed while it happens, once this command of the guest succeeds. units: those with another
    command. anew: what makes the host as it was before the first time. told_from: the first kernel that says anything
    of it, as (5, 15); () for all.
    """

    drive: str
    guilty: str
    seconds: float
    setup: str = ""
    live: str = ""
    memory: int = 768 * MIB
    disks: tuple[machines.Disk, ...] = ()
    units: str = ""
    anew: str = ""
    told_from: tuple[int, ...] = ()


# What a counterfactual speaks of: whether its number is the least or the most, and what the run with the remedy has of
# it. What happens later than the run is not seen here.
MEASURES: dict[str, tuple[bool, Callable[[dict], float]]] = {
    "memory available": (True, lambda told: min(look["available"] for look in told["seen"])),
    "dirty and writeback": (False, lambda told: max(look["dirty"] + look["writeback"] for look in told["seen"])),
    "free swap": (True, lambda told: min(look["swap_total"] - look["swap_used"] for look in told["seen"])),
    "memory that may be promised": (True, lambda told: min(look["commit_limit"] for look in told["seen"])),
    "memory that may still be promised": (True, lambda told: min(look["promisable"] for look in told["seen"])),
}
# What is said of a failure that the kernel does not print.
UNTOLD = "this kernel says nothing"
# What is said where the evidence was too weak for a value: the proposal has comments alone.
NOTHING = "nothing was applied"
# Below it a proposal is a comment in its file (plugin_utils/proposals.py).
SURE_ENOUGH = 0.6

FAILURES = {
    "a program takes all memory": Failure("runaway", "hog", 45, SHIELDED),
    "workers without measure": Failure("burst", "bursty", 45),
    "a slow leak": Failure("leak", "leaky", 150, SWAP, live=SWAPPING, memory=512 * MIB),
    "a fast writer": Failure(
        "dirty",
        "writer",
        90,
        LAZY,
        live=PILING,
        memory=1024 * MIB,
        disks=(SLOW_DISK,),
        units="'writer=write /srv/slow/written 800'",
        anew=NEW_FILE,
    ),
    "a limit that is too low": Failure("limit", "tight", 40, LOW_LIMIT),
    "strict accounting": Failure("refusal", "reserving", 40, STRICT, told_from=(5, 15)),
}


def rate(image: str, names: tuple[str, ...] = tuple(FAILURES)) -> dict:
    """Let each failure happen on a fresh machine, go the way of a user, and let it happen again."""
    variants, kernel = [], ""
    for name in names:
        failure = FAILURES[name]
        with machines.machine(image + machines.KDUMP, memory=failure.memory, disks=failure.disks) as one:
            kernel = one.run("uname -r").stdout.strip()
            variant = cured(one, failure)
        print(f"{name}: {json.dumps(variant['numbers'])}", flush=True)
        variants.append({"name": name, **variant})
    return {
        "title": "From verdict to remedy",
        "setting": "Each failure on a machine of its own: `diagnose` writes a proposal, it is reviewed, nothing is "
        "changed in it, `remediate` applies it, the same failure is let happen again; then `audit` and `undo`.",
        "kernel": kernel,
        "variants": variants,
        "broken": [
            f"{one['name']}: {one['numbers']['cured']}"
            for one in variants
            if one["numbers"]["cured"] not in ("yes", UNTOLD)
        ],
    }


def cured(one: machines.Machine, failure: Failure) -> dict:
    """Return what became of one failure."""
    subprocess.run(one.ssh("cat > /root/guest.py"), input=GUEST.read_bytes(), check=True)
    one.run(f"python3 /root/guest.py install {failure.units}")
    if failure.setup:
        one.run(failure.setup)
    one.run(STEADY)
    before = snapshot(one)
    with tempfile.TemporaryDirectory() as place:
        told, record = first_time(one, failure, Path(place))
        for finding in record["findings"]:
            print(f"- {finding['confidence']:.2f} {finding['summary']}", flush=True)
        numbers = {"verdict": record["findings"][0]["cause"], **happened(told, failure, "before")}
        proposal = Path(place) / "host_vars" / "guest.yml"
        if not proposal.exists():
            numbers["cured"] = UNTOLD if kernel_of(one) < failure.told_from else "no proposal"
            return {"role": "", "variables": {}, "series": {"time": []}, "numbers": numbers}
        text = proposal.read_text(encoding="utf-8")
        proposal.write_text(text.replace("_reviewed: false", "_reviewed: true"), encoding="utf-8")
        reviewed = ("-e", f"@{proposal}")
        boot = one.boot_id()
        play.must(play.ansible(one, "ansible-playbook", "linux_memory.oom.remediate", *reviewed, "-e", WATCH))
        # What the first time has left for a slow disk is not of the second.
        one.run(f"sync; {failure.anew}", seconds=900)
        again = drive(one, failure)
        green = play.ansible(one, "ansible-playbook", "--check", "linux_memory.oom.audit", *reviewed)
        play.must(play.ansible(one, "ansible-playbook", "linux_memory.oom.undo"))
    applied = yaml.safe_load(text)
    roles = applied.pop("linux_memory_oom_roles")
    applied.pop("linux_memory_oom_reviewed")
    after = snapshot(one)
    answers = not again["lost"] and all(again["survived"].values())
    numbers.update(
        {
            "applied": ", ".join(roles) or "nothing",
            **happened(again, failure, "after"),
            "promised": promised(record["findings"], roles, again),
            "cured": is_cured(roles, answers and not outside(again, failure) and one.boot_id() == boot),
            "audit": "green" if green.returncode == 0 else "red",
            "undo": "clean" if after == before else "; ".join(sorted(set(after) ^ set(before)))[:200],
        }
    )
    return {"role": ", ".join(roles), "variables": applied, "series": {"time": []}, "numbers": numbers}


def is_cured(roles: list[str], unharmed: bool) -> str:
    """Return what is said of a failure that came back to a host that has these remedies."""
    return ("yes" if unharmed else "no") if roles else NOTHING


def kernel_of(one: machines.Machine) -> tuple[int, ...]:
    """Return the series of the running kernel, as (6, 1)."""
    return tuple(int(part) for part in one.run("uname -r").stdout.split(".")[:2])


def promised(findings: list[dict], roles: list[str], again: dict) -> str:
    """Return what the proposals that were applied had said of each other, and what came of it."""
    said = []
    for finding in findings:
        remedy = finding["remedy"] or {}
        told = remedy.get("counterfactual")
        if not told or remedy["role"].rpartition(".")[2] not in roles or finding["confidence"] < SURE_ENOUGH:
            continue
        least, measure = MEASURES.get(told["what"], (True, None))
        bound = "at least" if least else "at most"
        if measure is None:
            said.append(f"{told['what']} {bound} {told['value']} {told['unit']}: not seen here")
            continue
        value = measure(again)
        kept = value >= told["value"] if least else value <= told["value"]
        words = f"{told['what']} {bound} {told['value'] / MIB:.0f} MiB: was {value / MIB:.0f} MiB"
        said.append(f"{words}, {'kept' if kept else 'missed'}")
    return "; ".join(said) or "nothing"


WATCH = json.dumps({"remediate_watch_seconds": 10})
STEADY = f"""
printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > {UNITS}/steady.service
systemctl daemon-reload
systemctl start steady
if command -v update-grub > /dev/null; then update-grub 2> /dev/null; fi
"""


def snapshot(one: machines.Machine) -> list[str]:
    """Return what the roles may change of a host."""
    return one.run(SNAPSHOT.read_text(encoding="utf-8")).stdout.splitlines()


def first_time(one: machines.Machine, failure: Failure, place: Path) -> tuple[dict, dict]:
    """Let the failure happen and diagnose it, then or meanwhile; return what was seen and the report of the host."""
    began = one.run("date +%s.%N").stdout.strip()
    asked = {
        "since": f"@{began}",
        "sample_seconds": 10 if failure.live else 0,
        "host_timeout": 900,
        "memory_report_dest": str(place / "report"),
        "memory_report_proposals": str(place / "host_vars"),
    }
    told: list[dict] = []
    # A service that was not killed runs on until somebody looks, as it does on a host.
    happening = threading.Thread(target=lambda: told.append(drive(one, failure, "--leave")))
    happening.start()
    if failure.live:
        one.run(f"for try in $(seq 300); do {failure.live} && exit 0; sleep 1; done; exit 1", seconds=900)
    else:
        happening.join()
    play.must(play.ansible(one, "ansible-playbook", "linux_memory.oom.diagnose", "-e", json.dumps(asked)))
    happening.join()
    one.run(f"python3 /root/guest.py stop {failure.drive}")
    if not told:
        raise LabError("the failure could not be watched")
    (path,) = (place / "report" / "hosts").glob("*.json")
    return told[0], json.loads(path.read_text(encoding="utf-8"))


def drive(one: machines.Machine, failure: Failure, more: str = "") -> dict:
    """Let the failure happen and return what was seen."""
    done = one.run(f"python3 /root/guest.py drive {failure.drive} {failure.seconds} {more}", seconds=1800)
    return json.loads(done.stdout)


def outside(told: dict, failure: Failure) -> int:
    """Return how many processes were killed outside of the guilty unit."""
    return sum(1 for group in told["killed"] if f"/{failure.guilty}.service" not in group)


def happened(told: dict, failure: Failure, when: str) -> dict:
    """Return what a run was like for those who are innocent."""
    return {
        f"{when}: times the host ran out of memory": told["ran_out"],
        f"{when}: killed outside of the guilty unit": outside(told, failure),
        f"{when}: requests lost": f"{told['lost']} of {told['asked']}" if told["asked"] else "none asked",
        f"{when}: innocent units that survived": f"{sum(told['survived'].values())} of {len(told['survived'])}",
    }
