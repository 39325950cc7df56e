# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as a tool: `python tests/lab --help`. Needs root, mmdebstrap and qemu (make packages installs them)."""

from __future__ import annotations

import argparse
import json
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import machines
from rootfs import LabError, cache

HERE = Path(__file__).resolve().parent
TREES = HERE.parent / "unit" / "fixtures" / "trees"
MIB = 1024**2

# name of the captured tree: image, addition to the kernel's command line
CAPTURES = {
    "bullseye-5.10-v1": ("bullseye", "systemd.unified_cgroup_hierarchy=0"),
    "bullseye-5.10-v2": ("bullseye", "systemd.unified_cgroup_hierarchy=1"),
    "bookworm-6.1-v2": ("bookworm", ""),
    "trixie-6.12-v2": ("trixie", ""),
    "backports-7.3-v2": ("backports", ""),
}
SPARE_DISKS = (machines.Disk(256 * MIB), *[machines.Disk(96 * MIB)] * 5)


def state_of(name: str) -> Path:
    """Return the file that describes a machine that was brought up."""
    return cache() / "machines" / name / "machine.json"


def found(name: str) -> machines.Machine:
    """Return the machine that was brought up under this name. Raises LabError where there is none."""
    path = state_of(name)
    if not path.exists():
        raise LabError(f"{name} is not up; python tests/lab up {name} starts it")
    saved = json.loads(path.read_text(encoding="utf-8"))
    one = machines.Machine(machines.image(saved["image"]), path.parent)
    one.port, one.pid = saved["port"], saved["pid"]
    return one


def up(options: argparse.Namespace) -> None:
    """Bring a machine up; it stays until it is taken down."""
    place = state_of(options.name).parent
    if place.exists():
        raise LabError(f"{options.name} is there already; python tests/lab down {options.name} takes it away")
    disks = SPARE_DISKS if options.spare_disks else ()
    one = machines.Machine(
        machines.image(options.name), place, memory=options.memory * MIB, append=options.append, disks=disks
    )
    one.prepare()
    one.start()
    saved = {"image": options.name, "port": one.port, "pid": one.pid}
    state_of(options.name).write_text(json.dumps(saved), encoding="utf-8")
    one.wait()
    print(f"{options.name} is up (console: {one.console}). python tests/lab ssh {options.name} opens it.")


def down(options: argparse.Namespace) -> None:
    """Take a machine down and remove what it wrote."""
    one = found(options.name)
    one.stop()
    shutil.rmtree(one.place)


def ssh(options: argparse.Namespace) -> None:
    """Open a shell in a machine, or run a command there."""
    command = found(options.name).ssh(*options.command)
    os.execvp(command[0], command)


def capture(options: argparse.Namespace) -> None:
    """Boot a machine, give it one of everything, and keep what memory_facts would read as a fixture."""
    for name in options.names or CAPTURES:
        if name not in CAPTURES:
            raise LabError(f"capture: {name} is not one of {', '.join(CAPTURES)}")
        image, append = CAPTURES[name]
        with machines.machine(image, append=append, disks=SPARE_DISKS) as one:
            one.run((HERE / "furnish.sh").read_text(encoding="utf-8"))
            done = subprocess.run(
                one.ssh("python3", "-"), input=(HERE / "capture.py").read_bytes(), capture_output=True, check=False
            )
        if done.returncode:
            raise LabError(f"capture.py failed in {name}: {done.stderr.decode(errors='replace')}")
        TREES.mkdir(parents=True, exist_ok=True)
        partial = TREES / f".{name}.partial"
        partial.write_bytes(lzma.compress(done.stdout, preset=9))
        partial.replace(TREES / f"{name}.tar.xz")
        print(f"{name}: {len(done.stdout)} bytes captured")


def main() -> int:
    """Read the command and do it."""
    parser = argparse.ArgumentParser(prog="python tests/lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    images = ", ".join(machines.IMAGES)

    one = commands.add_parser("up", help=up.__doc__)
    one.add_argument("name", help=images)
    one.add_argument("--memory", type=int, default=1024, help="MiB")
    one.add_argument("--append", default="", help="added to the kernel's command line")
    one.add_argument("--spare-disks", action="store_true", help="add six small empty disks")
    one.set_defaults(run=up)

    one = commands.add_parser("ssh", help=ssh.__doc__)
    one.add_argument("name", help=images)
    one.add_argument("command", nargs="*")
    one.set_defaults(run=ssh)

    one = commands.add_parser("down", help=down.__doc__)
    one.add_argument("name", help=images)
    one.set_defaults(run=down)

    one = commands.add_parser("capture", help=capture.__doc__)
    one.add_argument("names", nargs="*", help=f"all, or some of {', '.join(CAPTURES)}")
    one.set_defaults(run=capture)

    options = parser.parse_args()
    try:
        options.run(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
