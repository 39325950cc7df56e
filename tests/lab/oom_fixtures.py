# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the OOM reports of tests/unit/fixtures/oom: boots kernels, lets memory fail by induce.py, keeps the log.

The logs are kept as they were, byte by byte, in xz: some have the carriage returns of a console, and tools that look
after text would change them.

`python tests/lab/oom_fixtures.py bookworm` makes those of one image anew, `--kinds slab,tmpfs` some of them. The table
index.json says of each file which kernel wrote it, what was done, which cause is right, and in which form it was read.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path

import induce
import machines
from rootfs import LabError, locked

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "unit" / "fixtures" / "oom"
INDEX = FIXTURES / "index.json"
MIB = 1024**2

# How a kernel log can be read. $since is the time at which the failure began.
FORMS = {
    "dmesg": "dmesg",
    "dmesg_levels": "dmesg --raw",
    "dmesg_time": "dmesg --ctime",
    "dmesg_decode": "dmesg --decode",
    "dmesg_iso": "dmesg --time-format iso",
    "journal": "journalctl -k -q --no-pager --since @$since",
    "journal_precise": "journalctl -k -q --no-pager --since @$since -o short-precise",
    "journal_iso": "journalctl -k -q --no-pager --since @$since -o short-iso",
    "journal_monotonic": "journalctl -k -q --no-pager --since @$since -o short-monotonic",
    "journal_json": "journalctl -k -q --no-pager --since @$since -o json",
    "journal_export": "journalctl -k -q --no-pager --since @$since -o export",
    "kmsg": "timeout 5 dd if=/dev/kmsg bs=8192 iflag=nonblock status=none 2>/dev/null || true",
    "console": "",  # read from outside
}
# What the guest runs. The connection is not to be killed, and induce.py is not to be of the SSH service: systemd would
# stop that with the first kill. The answer is an archive.
GUEST = """\
for pid in $$ $PPID; do echo -1000 > /proc/$pid/oom_score_adj; done
cd /root && rm -rf out && mkdir out
dmesg --clear
cut -d' ' -f1 /proc/uptime > out/uptime
since=$(date +%s.%N)
systemd-run --quiet --wait --pipe --collect --unit=induce --property=OOMPolicy=continue \
  python3 /root/induce.py KIND > out/said 2> out/error
READS
tar -cf - out
"""

# Of these failures all forms are kept; of the others one, and the forms take turns.
IN_ALL_FORMS = ("global_hog", "cgroup_hog")
TURNS = ("dmesg", "journal", "dmesg_time", "console", "kmsg", "journal_iso", "dmesg_levels", "journal_json", "dmesg")
LARGE = ("journal_json", "journal_export")  # in all forms, these only of one kernel

NUMA = (
    *("-object", "memory-backend-ram,id=ram0,size=256M", "-object", "memory-backend-ram,id=ram1,size=256M"),
    *("-numa", "node,nodeid=0,cpus=0,memdev=ram0", "-numa", "node,nodeid=1,memdev=ram1"),
)
V1 = "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
V2 = "systemd.unified_cgroup_hierarchy=1"

# The machines that the failures need, for each image: addition to the command line, options of qemu, what it offers.
SETUPS = {
    "v2": (V2, (), {"v2", "cgroup", "swap", "disk", "start", "end"}),
    "v1": (V1, NUMA, {"v1", "cgroup", "numa", "disk", "swap", "start"}),
    # Kernels that were built without CONFIG_CPUSETS_V1 have cpusets on v2 only.
    "v2_numa": (V2, NUMA, {"v2", "cgroup", "numa", "disk", "swap", "start"}),
}
# Kinds that say the same on all are made on the first.
ONLY = {"v1": ("cgroup_hog", "cgroup_slice", "cpuset", "mempolicy"), "v2_numa": ("cpuset", "mempolicy")}
DISKS = (machines.Disk(1024 * MIB),)


def kinds_for(setup: str, wanted: Iterable[str] = ()) -> list[str]:
    """Return the names of the failures that a machine of a set-up is to show, in the order in which it can."""
    offered = SETUPS[setup][2]
    fitting = [name for name, one in induce.KINDS.items() if one.needs <= offered]
    if wanted:
        fitting = [name for name in fitting if name in wanted]
    elif setup in ONLY:
        fitting = [name for name in fitting if name in ONLY[setup]]
    needs = {name: induce.KINDS[name].needs for name in fitting}
    return sorted(fitting, key=lambda name: ("start" not in needs[name], "end" in needs[name]))


def forms_for(name: str, turn: int, first: bool) -> list[str]:
    """Return the forms in which the log of a failure is kept."""
    if "end" in induce.KINDS[name].needs:
        return ["console"]
    if name == "ring_overflow":
        return ["dmesg"]  # only the ring buffer is too small: the journal has it all
    if name in IN_ALL_FORMS:
        return [form for form in FORMS if first or form not in LARGE]
    return [TURNS[turn % len(TURNS)]]


def console_part(text: bytes) -> bytes:
    """Return what the kernel wrote to the console: the lines that begin with its time."""
    lines = text.splitlines(keepends=True)
    return b"".join(line for line in lines if re.match(rb"\[ *\d+\.\d+\]", line) and b"systemd[" not in line[:40])


def kmsg_part(text: bytes, uptime: float) -> bytes:
    """Return the records of /dev/kmsg that are not older; clearing the ring buffer does not hide them there."""
    kept, keep = [], False
    for line in text.splitlines(keepends=True):
        record = re.match(rb"\d+,\d+,(\d+),", line)
        if record:
            keep = int(record[1]) >= uptime * 1e6
        if keep:
            kept.append(line)
    return b"".join(kept)


class Collector:
    """One booted machine, and what its kernel said about each failure."""

    def __init__(self, one: machines.Machine, image: str, setup: str):
        self.one, self.image, self.setup = one, image, setup
        self.release = one.run("uname -r").stdout.strip()
        self.kernel = ".".join(self.release.split(".")[:2])
        self.rows: dict[str, dict] = {}
        self.console_from = 0  # where the console stood when the failure began
        subprocess.run(one.ssh("cat > /root/induce.py"), input=(HERE / "induce.py").read_bytes(), check=True)

    def ssh(self, *command: str) -> list[str]:
        """Return the command that runs another one in the machine, with patience: it may be out of memory for long."""
        program, *rest = self.one.ssh(*command)
        return [program, "-o", "ConnectTimeout=120", *rest]

    def fail(self, name: str, forms: list[str]) -> None:
        """Make one failure happen and keep its log."""
        if "end" in induce.KINDS[name].needs:
            said, texts = self.until_panic(name), {}
        else:
            said, texts = self.induced(name, [form for form in forms if FORMS[form]])
        if "console" in forms:
            texts["console"] = console_part(self.console_since())
        print(f"{self.kernel} {self.setup} {name}: {said}", flush=True)
        if "failed" not in said:
            for form, text in texts.items():
                self.keep(name, form, text, said)

    def console_since(self) -> bytes:
        """Return what came to the console since the failure began."""
        return self.one.console.read_bytes()[self.console_from :]

    def induced(self, name: str, forms: list[str]) -> tuple[dict, dict[str, bytes]]:
        """Let the machine do it; return what it answers, or why it did not, and the log in each form."""
        reads = [f"( {FORMS[form]} ) > out/{form}" for form in forms]
        script = GUEST.replace("KIND", name).replace("READS", "\n".join(reads))
        done = self.patiently(script, name)
        if done.returncode:
            return {"failed": f"exit status {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}"}, {}
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            files = {Path(one.name).name: archive.extractfile(one).read() for one in archive if one.isfile()}
        said, error, uptime = files.pop("said"), files.pop("error"), float(files.pop("uptime"))
        if "kmsg" in files:
            files["kmsg"] = kmsg_part(files["kmsg"], uptime)
        answer = json.loads(said) if said else {"failed": ""}
        if "failed" in answer:
            answer["failed"] += error.decode(errors="replace")[-500:]
        return answer, files

    def patiently(self, script: str, name: str, tries: int = 6) -> subprocess.CompletedProcess[bytes]:
        """Run a script in the machine; where the connection is refused or lost, do it again (255, see ssh(1))."""
        for number in range(tries):
            time.sleep(5 * number)
            self.console_from = self.one.console.stat().st_size  # of a lost try nothing is kept
            try:
                done = subprocess.run(
                    self.ssh("sh", "-s"), input=script.encode(), capture_output=True, check=False, timeout=900
                )
            except subprocess.TimeoutExpired:
                raise LabError(f"{name} did not come to an end:\n{self.one.told()}") from None
            if done.returncode != 255:
                break
        return done

    def until_panic(self, name: str, seconds: float = 300) -> dict:
        """Let the machine do what ends it, and wait for its last words."""
        self.console_from = self.one.console.stat().st_size
        started = subprocess.Popen(self.ssh("python3", "/root/induce.py", name), stdin=subprocess.DEVNULL)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                if machines.STOPPED in self.console_since():
                    self.one.cut()  # it would only wait
                    return {"kills": 0, "memory": self.one.memory, "cgroups": self.setup}
                time.sleep(0.5)
        finally:
            started.kill()
            started.wait()
        return {"failed": f"no panic within {seconds:.0f} s"}

    def keep(self, name: str, form: str, text: bytes, said: dict) -> None:
        """Write a fixture and its row."""
        group = f"_{said['cgroups']}" if name.startswith("cgroup") else ""
        suffix = f".{form}" if name in IN_ALL_FORMS else ""
        path = FIXTURES / f"{self.kernel}_{name}{group}{suffix}.log.xz"
        path.write_bytes(lzma.compress(text, preset=9))
        self.rows[path.name] = {
            "file": path.name,
            "kernel": self.release,
            "kind": name,
            "form": form,
            "cgroups": said["cgroups"],
            "kills": said["kills"],
            "memory": said["memory"],
            "made": f"python tests/lab/oom_fixtures.py {self.image} --setups {self.setup} --kinds {name}",
        }


def rows() -> dict[str, dict]:
    """Return the table, by file."""
    found = json.loads(INDEX.read_text(encoding="utf-8")) if INDEX.exists() else []
    return {row["file"]: row for row in found if (FIXTURES / row["file"]).exists()}


def log(name: str) -> bytes:
    """Return a log of the table as it was read from its kernel."""
    return lzma.decompress((FIXTURES / name).read_bytes())


def told(row: dict) -> dict:
    """Return a row with what induce.py says of its kind today."""
    one = induce.KINDS[row["kind"]]
    return {**row, "cause": one.cause, "accepted": list(one.accepted), "told": one.told}


def save(added: dict[str, dict]) -> None:
    """Add rows to the table."""
    with locked("oom-index"):
        table = {**rows(), **added}
        text = json.dumps([told(table[name]) for name in sorted(table)], indent=1)
        partial = INDEX.with_suffix(".partial")
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(INDEX)


def collect(image: str, setup: str, wanted: set[str], first: bool) -> None:
    """Boot one machine and make the failures that it can show. Raises LabError where it stops answering."""
    append, options, _offered = SETUPS[setup]
    names = kinds_for(setup, wanted)
    if not names:
        return
    with machines.machine(
        image, append=append, memory=512 * MIB, processors=1, disks=DISKS, qemu_options=options
    ) as one:
        collector = Collector(one, image, setup)
        for turn, name in enumerate(names):
            collector.fail(name, forms_for(name, turn, first))
            save(collector.rows)


def attempt(image: str, setup: str, wanted: set[str], large: bool) -> int:
    """Collect, and return 0, or say what went wrong and return 1: the other machines are still tried."""
    try:
        collect(image, setup, wanted, large)
    except LabError as error:
        print(f"{image} {setup}: {error}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Read the command and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", choices=sorted(machines.IMAGES))
    parser.add_argument("--kinds", default="", help=f"some of {', '.join(induce.KINDS)}; all where not given")
    parser.add_argument("--setups", default=",".join(SETUPS))
    parser.add_argument("--large", action="store_true", help="keep the large forms (journal as JSON and export) too")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))  # the machine is to end, too
    FIXTURES.mkdir(parents=True, exist_ok=True)
    failed = 0
    for image in options.images:
        for setup in options.setups.split(","):
            failed |= attempt(image, setup, set(filter(None, options.kinds.split(","))), options.large)
    return failed


if __name__ == "__main__":
    sys.exit(main())
