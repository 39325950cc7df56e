# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The experiments that end in a panic: what it leaves behind, and which shortage brings it about."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

import machines
import naming
import play
from rootfs import LabError

MIB = 1024**2
GUEST = Path(__file__).resolve().with_name("guest.py")
ROLE = {
    "panic_on_oom_kdump_crashkernel": "256M",
    "panic_on_oom_kdump_packages": False,
    "panic_on_oom_kdump_wait_seconds": 300,
    "panic_on_oom_kdump_reboot_ok": True,
    "panic_on_oom_kdump_reboot_timeout": 900,
}
# What may run out of memory, and how it is made to.
SCOPES = {
    "a cgroup at its limit": "cgroup_hog",
    "a cpuset of one node": "cpuset",
    "a memory policy of one node": "mempolicy",
    "the whole host": "global_hog",
}


def kdump(image: str) -> dict:
    """Let one program take all memory of a machine: without the role, and with a crash kernel that saves the state."""
    with machines.machine(image + machines.KDUMP, memory=1536 * MIB) as one:
        subprocess.run(one.ssh("cat > /root/guest.py"), input=GUEST.read_bytes(), check=True)
        one.run("python3 /root/guest.py install")
        killed = without(one)
        play.role(one, "panic_on_oom_kdump", ROLE)
        return {
            "title": "One program takes all memory",
            "setting": "1.5 GiB of memory, no swap; hog.service takes 256 MiB each second.",
            "kernel": one.run("uname -r").stdout.strip(),
            "variants": [
                {"name": "without", "role": "", "variables": {}, **killed},
                {"name": "panic and dump", "role": "panic_on_oom_kdump", "variables": ROLE, **panicked(one)},
            ],
        }


def without(one: machines.Machine) -> dict:
    """Return what was seen where the OOM killer did what it does."""
    seen = [
        json.loads(line)
        for line in one.run("python3 /root/guest.py drive hog 600 --until-kill --stream").stdout.split("\n")[:-2]
    ]
    answer = asked(one, "oom_report_info", {}, "{} | linux_memory.oom.diagnose(reports=answer.reports)")
    return {"numbers": {**verdict(answer), "kept for later": "lines of the log"}, "series": series(seen)}


def panicked(one: machines.Machine) -> dict:
    """Return what was seen until the panic, and what the saved log says afterwards.

    Raises LabError where the dump itself says something else.
    """
    before, started = one.boot_id(), time.monotonic()
    seen = []
    with subprocess.Popen(
        one.ssh("python3", "/root/guest.py", "drive", "hog", "90", "--stream"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    ) as driving:  # fmt: skip
        try:
            one.wait_for_other_boot(before, 1800)
            up_again = time.monotonic() - started
        finally:
            # The connection has nobody at its other end.
            driving.kill()
        seen = [json.loads(line) for line in driving.stdout if line.endswith("}\n")]
    answer = dumped(one, "/var/crash")
    # Where no log lies beside it, the dump itself is read.
    one.run("ln /var/crash/2*/dump.* /root/vmcore")
    if (itself := dumped(one, "/root/vmcore")) != answer:
        raise LabError(f"the dump tells {verdict(itself)}, and the log that was saved with it {verdict(answer)}")
    size = one.run("stat -c %s /var/crash/2*/dump.*").stdout.split()[0]
    numbers = {
        **verdict(answer),
        "kept for later": f"the log, and a dump of {int(size) / MIB:.0f} MiB",
        "the host is up again after (seconds)": round(up_again),
    }
    return {"numbers": numbers, "series": series(seen)}


def dumped(one: machines.Machine, path: str) -> list[dict]:
    """Return what diagnose finds in a saved crash."""
    return asked(one, "vmcore_info", {"path": path}, "{} | linux_memory.oom.diagnose(crash=answer.crashes[0])")


def asked(one: machines.Machine, module: str, options: dict, findings: str) -> list[dict]:
    """Run a reader of the collection on the machine and return what diagnose finds in its answer."""
    with tempfile.TemporaryDirectory() as place:
        kept = Path(place) / "findings.json"
        content = {"content": f"{{{{ {findings} | to_json }}}}", "dest": str(kept), "mode": "0600"}
        tasks = [
            {f"linux_memory.oom.{module}": options, "register": "answer"},
            {"ansible.builtin.copy": content, "delegate_to": "localhost"},
        ]
        play.run(one, [{"hosts": "guest", "gather_facts": False, "tasks": tasks}])
        return json.loads(kept.read_text(encoding="utf-8"))


def verdict(findings: list[dict]) -> dict:
    """Return the verdict as rows of the table."""
    return {"verdict": findings[0]["cause"], "in words": findings[0]["summary"]}


def series(seen: list[dict]) -> dict[str, list]:
    """Return what is plotted."""
    return {"time": [look["time"] for look in seen], "available": [look["available"] for look in seen]}


def modes(image: str) -> dict:
    """Let a cgroup, a cpuset, a memory policy and the host run out of memory, with each value of vm.panic_on_oom."""
    with naming.booted(image, "v2_numa") as collector:
        one = collector.one
        return {
            "title": "What panics when memory runs out",
            "setting": "512 MiB of memory on two nodes, no swap; kernel.panic = 1 restarts the machine after a panic.",
            "kernel": one.run("uname -r").stdout.strip(),
            "variants": [
                {
                    "name": f"vm.panic_on_oom = {mode}",
                    "role": "",
                    "variables": {},
                    "numbers": {scope: outcome(one, mode, kind) for scope, kind in SCOPES.items()},
                    "series": {},
                }
                for mode in (0, 1, 2)
            ],
        }


def outcome(one: machines.Machine, mode: int, kind: str, seconds: float = 900) -> str:
    """Return whether a failure killed a program or the host. Raises LabError where it did neither in time."""
    one.run(f"sysctl -qw vm.panic_on_oom={mode} kernel.panic=1; sync")
    before, end = one.boot_id(), time.monotonic() + seconds
    # Not of the SSH service, which systemd would stop with the first kill.
    command = f"systemd-run --quiet --wait --collect --property=OOMPolicy=continue python3 /root/induce.py {kind}"
    with subprocess.Popen(one.ssh(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as failing:
        try:
            while time.monotonic() < end:
                if failing.poll() == 0:
                    return "one program is killed"
                if one.boot_id() not in ("", before):
                    one.wait()
                    return "the host panics"
                time.sleep(1)
        finally:
            failing.kill()
    raise LabError(f"{kind} with vm.panic_on_oom={mode} did not come to an end:\n{one.told()}")
