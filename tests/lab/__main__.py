# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as a tool: `python tests/lab --help`. Needs root, mmdebstrap and qemu (make packages installs them)."""

from __future__ import annotations

import argparse
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import machines
from rootfs import LabError, cache

HERE = Path(__file__).resolve().parent
TREES = HERE.parent / "unit" / "fixtures" / "trees"
SOSREPORTS = TREES.with_name("sosreports")
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


def place_of(name: str) -> Path:
    """Return the directory of a machine that stays."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise LabError(f"name: {name!r} is not made of letters, digits, '.', '_' and '-'")
    return cache() / "machines" / name


def found(name: str) -> machines.Machine:
    """Return the machine that was brought up under this name. Raises LabError where there is none."""
    if not (place_of(name) / "machine.json").exists():
        raise LabError(
            f"{name} is not up; python tests/lab up IMAGE starts one, python tests/lab list names those there"
        )
    return machines.Machine.load(place_of(name))


def disk(text: str) -> machines.Disk:
    """Read SIZE[:LIMIT], MiB and MiB/s."""
    read = re.fullmatch(r"([1-9][0-9]{0,6})(?::([0-9]{1,6}(?:\.[0-9]+)?))?", text)
    limit = int(float(read[2]) * MIB) if read and read[2] else 0
    if not read or (read[2] and not limit):
        raise argparse.ArgumentTypeError(f"{text} is not SIZE or SIZE:LIMIT, in MiB and MiB/s, both above 0")
    return machines.Disk(int(read[1]) * MIB, limit)


def memory(text: str) -> int:
    """Read the memory of a machine, MiB."""
    if not re.fullmatch(r"[1-9][0-9]{2,6}", text):
        raise argparse.ArgumentTypeError(f"{text} is not a number of MiB of at least 100")
    return int(text)


def up(options: argparse.Namespace) -> None:
    """Bring a machine up; it stays until it is taken down."""
    name = options.name or options.image
    place = place_of(name)
    if place.exists():
        raise LabError(f"{name} is there already; python tests/lab down {name} takes it away")
    image = machines.image(options.image)
    disks = (*options.disk, *(SPARE_DISKS if options.spare_disks else ()))
    one = machines.Machine(image, place, memory=options.memory * MIB, append=options.append, disks=disks)
    try:
        one.prepare()
        one.start()
        one.wait()
    except BaseException:
        # Whatever ends it, somebody at the keyboard included: half a machine is of no use, and would be in the way.
        one.cut()
        remove(one)
        raise
    print(f"{name} is up. python tests/lab ssh {name} opens it; its console is in {one.console}")


def down(options: argparse.Namespace) -> None:
    """Take a machine down and remove what it wrote."""
    place = place_of(options.name)
    if place.exists() and not (place / "machine.json").exists():
        shutil.rmtree(place)  # it was killed before it had a machine
        return
    one = found(options.name)
    one.stop()
    remove(one)


def remove(one: machines.Machine) -> None:
    """Remove what a machine wrote; its console is kept elsewhere."""
    one.keep_console()
    shutil.rmtree(one.place)


def reboot(options: argparse.Namespace) -> None:
    """Restart a machine with what its own boot loader says."""
    found(options.name).reboot()


def ssh(options: argparse.Namespace) -> None:
    """Open a shell in a machine, or run a command there."""
    command = found(options.name).ssh(*options.command)
    os.execvp(command[0], command)


def show(_options: argparse.Namespace) -> None:
    """List the machines that are there."""
    for place in sorted((cache() / "machines").glob("*/machine.json")):
        one = machines.Machine.load(place.parent)
        state = f"up, SSH on port {one.port}" if one.running() else "off"
        print(f"{place.parent.name}: {one.image.name}, {one.memory // MIB} MiB, {state}")


def inventory(options: argparse.Namespace) -> None:
    """Print an inventory for Ansible of the machines that are up, or of those named."""
    there = options.names or [place.parent.name for place in sorted((cache() / "machines").glob("*/machine.json"))]
    hosts = {name: machines.ansible_host(found(name)) for name in there}
    print(json.dumps({"all": {"hosts": hosts}}, indent=1))


def capture(options: argparse.Namespace) -> None:
    """Boot a machine, give it one of everything, and keep what memory_facts would read as a fixture."""
    for name in options.names or CAPTURES:
        if name not in CAPTURES:
            raise LabError(f"capture: {name} is not one of {', '.join(CAPTURES)}")
        image, append = CAPTURES[name]
        with machines.machine(image, append=append, disks=SPARE_DISKS) as one:
            one.run((HERE / "furnish.sh").read_text(encoding="utf-8"))
            keep(TREES / f"{name}.tar.xz", answer(one, "capture.py", "python3", "-"))


def sosreport(options: argparse.Namespace) -> None:
    """Boot a machine, give it one of everything, and keep what sosreport tells of its memory as a fixture."""
    with machines.machine(options.image, disks=SPARE_DISKS) as one:
        one.run((HERE / "furnish.sh").read_text(encoding="utf-8"))
        release = ".".join(one.run("uname -r").stdout.split(".")[:2])
        keep(SOSREPORTS / f"{options.image}-{release}.tar.xz", answer(one, "sosreport.sh", "sh", "-eu", "-s"))


def answer(one: machines.Machine, script: str, *interpreter: str) -> bytes:
    """Run a script of the lab in a machine and return what it wrote."""
    done = subprocess.run(one.ssh(*interpreter), input=(HERE / script).read_bytes(), capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"{script} failed in {one.image.name}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout


def keep(path: Path, archive: bytes) -> None:
    """Write an archive, compressed, as a fixture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(lzma.compress(archive, preset=9))
    partial.replace(path)
    print(f"{path.name}: {len(archive)} bytes captured")


def main() -> int:
    """Read the command and do it."""
    parser = argparse.ArgumentParser(prog="python tests/lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    images = ", ".join(machines.IMAGES)

    one = commands.add_parser("up", help=up.__doc__)
    one.add_argument("image", help=f"{images}; with {machines.KDUMP} one that can save its crashes")
    one.add_argument("--name", help="what to call it (the image's name where not given)")
    one.add_argument("--memory", type=memory, default=1024, metavar="MIB", help="of it, at least 100 (1024)")
    one.add_argument("--append", default="", help="added to the kernel's command line at every boot")
    one.add_argument(
        "--disk",
        type=disk,
        action="append",
        default=[],
        metavar="SIZE[:LIMIT]",
        help="add an empty disk of SIZE MiB, /dev/disk/by-id/virtio-lab0 and so on; writes limited to LIMIT MiB/s",
    )
    one.add_argument("--spare-disks", action="store_true", help="add the six small disks that furnish.sh wants")
    one.set_defaults(run=up)

    one = commands.add_parser("ssh", help=ssh.__doc__)
    one.add_argument("name")
    one.add_argument("command", nargs=argparse.REMAINDER)
    one.set_defaults(run=ssh)

    for name, run in (("down", down), ("reboot", reboot)):
        one = commands.add_parser(name, help=run.__doc__)
        one.add_argument("name")
        one.set_defaults(run=run)

    one = commands.add_parser("list", help=show.__doc__)
    one.set_defaults(run=show)

    one = commands.add_parser("inventory", help=inventory.__doc__)
    one.add_argument("names", nargs="*")
    one.set_defaults(run=inventory)

    one = commands.add_parser("capture", help=capture.__doc__)
    one.add_argument("names", nargs="*", help=f"all, or some of {', '.join(CAPTURES)}")
    one.set_defaults(run=capture)

    one = commands.add_parser("sosreport", help=sosreport.__doc__)
    one.add_argument("image", help=images)
    one.set_defaults(run=sosreport)

    options = parser.parse_args()
    try:
        options.run(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
