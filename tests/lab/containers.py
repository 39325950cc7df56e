# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images with systemd for the Molecule scenarios, and the settings with which podman runs them here.

An image is either made from a Debian suite (rootfs.py) and kept in podman's own storage under the recipe's key, or
named by a registry reference, which podman pulls when it makes the container.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rootfs import LabError, Recipe, build

REPOSITORY = "localhost/linux-memory-oom"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "procps", "udev", "iproute2", "util-linux", "mount")

# How many images are built at a time: unpacking packages is work for one core each.
BUILDERS = 2

# Bit of CAP_SYS_RESOURCE in a capability mask (include/uapi/linux/capability.h).
CAP_SYS_RESOURCE = 24

# What the containers get where podman's own limits may not be set: enough for systemd.
FILES, PROCESSES = (1024, 20000), (32768, 32768)


def recipe(suite: str) -> Recipe:
    """Return what the image of a Debian suite is made from."""
    return Recipe(suite, PACKAGES)


def reference(suite: str) -> str:
    """Return the name of the image of a Debian suite."""
    return f"{REPOSITORY}:{recipe(suite).key}"


def podman(*arguments: str, **options) -> subprocess.CompletedProcess:
    """Run podman and return what it answered. Raises LabError with podman's words where it fails."""
    try:
        done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False, **options)
    except FileNotFoundError:
        raise LabError("podman is not installed; make packages installs what the scenarios need") from None
    if done.returncode:
        raise LabError(f"podman {arguments[0]} failed: {done.stderr.strip()}")
    return done


def image(suite: str) -> str:
    """Return the name of the image of a Debian suite, made where podman does not have it yet."""
    name = reference(suite)
    listed = podman("image", "ls", "--quiet", "--filter", f"reference={name}")
    if not listed.stdout.strip():
        podman("import", "--quiet", "--change", 'CMD ["/sbin/init"]', str(build(recipe(suite))), name)
    return name


def images(suites: Iterable[str]) -> dict[str, str]:
    """Return the image of each suite; those that are missing are built side by side."""
    wanted = list(dict.fromkeys(suites))
    with ThreadPoolExecutor(max_workers=BUILDERS) as pool:
        return dict(zip(wanted, pool.map(image, wanted), strict=True))


def pure_v2(cgroups: Path = Path("/sys/fs/cgroup")) -> bool:
    """Return whether this machine has cgroup v2 alone, and not v1 or both."""
    return (cgroups / "cgroup.controllers").exists()


def may_raise_limits(status: Path = Path("/proc/self/status")) -> bool:
    """Return whether this user may set limits above its own, as podman's defaults need."""
    mask = re.search(r"^CapEff:\s*([0-9a-f]+)", status.read_text(encoding="ascii"), re.MULTILINE)
    return os.geteuid() != 0 or bool(mask and int(mask[1], 16) >> CAP_SYS_RESOURCE & 1)


def limit(name: str, wanted: tuple[int, int], which: int) -> str:
    """Return a limit as podman writes it, never above what this process itself has."""
    hard = resource.getrlimit(which)[1]
    soft, highest = (value if hard == resource.RLIM_INFINITY else min(value, hard) for value in wanted)
    return f'"{name}={soft}:{highest}"'


def configuration() -> str:
    """Return the containers.conf that this machine needs, empty where podman's defaults work (LAB: crun refuses v1)."""
    text = ""
    if not may_raise_limits():
        limits = [limit("nofile", FILES, resource.RLIMIT_NOFILE), limit("nproc", PROCESSES, resource.RLIMIT_NPROC)]
        text += f"[containers]\ndefault_ulimits = [{', '.join(limits)}]\n"
    if not pure_v2():
        text += '[engine]\nruntime = "runc"\n'
    return text


def environment(folder: Path) -> dict[str, str]:
    """Return the variables with which podman works on this machine; a containers.conf goes into the folder."""
    text = configuration()
    if not text or os.environ.get("CONTAINERS_CONF"):
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "containers.conf"
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return {"CONTAINERS_CONF": str(path)}
