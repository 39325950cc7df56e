# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host in a directory with a systemd that knows what it has read and started, for owned_units; for module_host."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import module_host
from ansible_collections.linux_memory.oom.plugins.modules import owned_units

SYSTEM = "/etc/systemd/system"
# What this systemd has read, and what is active.
STATE = "/run/state.json"
SERVICES = {"leaky.service": "always", "other.service": "no"}
WANTS = SYSTEM + "/timers.target.wants/"


def make(place: Path) -> None:
    """Make the host."""
    for name in (SYSTEM, WANTS, "/run/systemd/system", "/usr/local/lib", "/proc"):
        (place / name.lstrip("/")).mkdir(parents=True, exist_ok=True)
    (place / "proc/swaps").write_text("Filename Type Size Used Priority\n", encoding="utf-8")
    (place / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 4000000 kB\n", encoding="utf-8")
    (place / STATE.lstrip("/")).write_text('{"read": {}, "active": []}', encoding="utf-8")


def _known() -> dict:
    return json.loads(Path(STATE).read_text(encoding="utf-8"))


def _files() -> dict[str, str]:
    """Return what systemd reads: units and drop-ins."""
    found = {}
    for folder, _folders, names in os.walk(SYSTEM):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith((".timer", ".service", ".conf")) and not os.path.islink(path):
                found[path] = Path(path).read_text(encoding="utf-8")
    return found


def _of(unit: str, texts: dict[str, str]) -> dict[str, str]:
    return {path: text for path, text in texts.items() if path.startswith((f"{SYSTEM}/{unit}.d/", f"{SYSTEM}/{unit}"))}


def _show(words: list[str]) -> str:
    known, texts, blocks = _known(), _files(), []
    for unit in words[words.index("--") + 1 :]:
        read = _of(unit, known["read"])
        # A unit that systemd has not read yet it reads when it is asked for it.
        fresh = not read and unit not in SERVICES and unit not in known["active"]
        properties = {
            "Id": unit,
            "LoadState": "loaded" if unit in SERVICES or f"{SYSTEM}/{unit}" in texts else "not-found",
            "ActiveState": "active" if unit in known["active"] else "inactive",
            "UnitFileState": "enabled" if os.path.lexists(WANTS + unit) else "disabled",
            "Restart": SERVICES.get(unit, "no"),
            "MainPID": str(_pid(unit) if unit in known["active"] and unit.endswith(".service") else 0),
            "DropInPaths": " ".join(path for path in read if path.endswith(".conf")),
            "NeedDaemonReload": "no" if fresh or read == _of(unit, texts) else "yes",
        }
        for text in read.values():
            properties.update(re.findall(r"^(Restart|RuntimeMaxSec)=(.*)$", text, re.MULTILINE))
        blocks.append("".join(f"{name}={value}\n" for name, value in properties.items()))
    return "\n".join(blocks)


def _pid(unit: str) -> int:
    return 100 + len(unit)


def _run(unit: str) -> None:
    """Start the main process of a service, which holds as much as its command says and has the score of its unit."""
    text = Path(f"{SYSTEM}/{unit}").read_text(encoding="utf-8")
    size = re.search(r"^ExecStart=.* ([0-9]+)$", text, re.MULTILINE)
    if not size:
        return
    place = f"/proc/{_pid(unit)}"
    os.makedirs(place, exist_ok=True)
    score = re.search(r"^OOMScoreAdjust=(.*)$", text, re.MULTILINE)
    module_host.put(f"{place}/oom_score_adj", score[1] if score else "0")
    module_host.put(f"{place}/status", status(int(size[1])))


def status(size: int) -> str:
    """Return /proc/PID/status of a process that holds so many bytes beside its program."""
    return f"Name:\tx\nVmLck:\t 0 kB\nVmRSS:\t {size // 1024 + 9000} kB\nRssAnon:\t {size // 1024} kB\nVmSwap:\t 0 kB\n"


def systemctl(words: list[str]) -> tuple[int, str, str]:
    """Do what systemctl does."""
    verb, known = words[0], _known()
    names = [word for word in words[1:] if not word.startswith("-")]
    if verb == "show":
        return 0, _show(words), ""
    if verb == "daemon-reload":
        known["read"] = _files()
    for name in names:
        if verb in ("start", "restart", "enable") and not os.path.exists(f"{SYSTEM}/{name}"):
            return 1, "", f"Unit {name} not found."
        if verb == "enable" and not os.path.lexists(WANTS + name):
            os.symlink(f"{SYSTEM}/{name}", WANTS + name)
        elif verb == "disable" and os.path.lexists(WANTS + name):
            os.unlink(WANTS + name)
        elif verb in ("start", "restart"):
            # Nothing happens where it runs already.
            if name.endswith(".service") and (verb == "restart" or name not in known["active"]):
                _run(name)
            known["active"] = sorted({*known["active"], name})
            # A timer that is started runs by what its file says.
            known["read"].update(_of(name, _files()) if not _of(name, known["read"]) else {})
        elif verb == "stop":
            known["active"] = [one for one in known["active"] if one != name]
            shutil.rmtree(f"/proc/{_pid(name)}", ignore_errors=True)
    if verb in ("daemon-reload", "start", "restart", "stop"):
        module_host.put(STATE, json.dumps(known, sort_keys=True))
    return 0, "", ""


def _yes(_words: list[str]) -> tuple[int, str, str]:
    return 0, "", ""


def _no(_words: list[str]) -> tuple[int, str, str]:
    return 1, "", ""


PROGRAMS = {"systemctl": systemctl, "systemd-analyze": _yes, "systemd-detect-virt": _no, "apt-get": _yes}


def work(options: dict, check: bool = False) -> dict:
    """Run the module, with the host as the root directory."""
    return module_host.run(owned_units, {"purpose": "x", **options}, PROGRAMS, check)


def units(place: Path, check: bool = False, **options) -> dict:
    """Run the module on a host."""
    return module_host.inside(place, lambda: work(options, check))


def state(place: Path) -> dict[str, str]:
    """Return all files of the host, what systemd has read and what is active among them."""
    # A process of this host that was stopped while it started has left files that mean nothing.
    passing = ("/tmp/", "/proc/1")
    found = {name: text for name, text in module_host.files(place).items() if not name.startswith(passing)}
    found["read"] = str({path: text for path, text in json.loads(found.pop(STATE))["read"].items() if "~" not in path})
    found["active"] = str(json.loads((place / STATE.lstrip("/")).read_text(encoding="utf-8"))["active"])
    return found


def timer(text: str, name: str = "one") -> list[dict]:
    """Return the files of a timer and its service."""
    base = f"{SYSTEM}/linux_memory_oom-x-{name}"
    return [
        {"path": base + ".timer", "content": f"[Timer]\nOnCalendar={text}\n"},
        {"path": base + ".service", "content": "[Service]\nType=oneshot\nExecStart=@PYTHON@ /usr/local/lib/x\n"},
    ]


def program(text: str) -> list[dict]:
    """Return a program that others may not read."""
    return [{"path": "/usr/local/lib/linux_memory_oom/linux_memory_oom-x.py", "content": text, "mode": "0700"}]


def activate(place: Path, *names: str) -> None:
    """Let units run."""
    path = place / STATE.lstrip("/")
    known = json.loads(path.read_text(encoding="utf-8"))
    known["active"] = sorted({*known["active"], *names})
    path.write_text(json.dumps(known, sort_keys=True), encoding="utf-8")


def companion(size: int, partner: str = "leaky.service") -> dict:
    """Return the options for a companion that holds so many bytes, with what starts and what follows it."""
    base = f"{SYSTEM}/linux_memory_oom-x-bird"
    text = f"[Unit]\nPartOf={partner}\n[Service]\nExecStart=/usr/local/lib/x {size}\nOOMScoreAdjust=1000\n"
    wants = "[Unit]\nWants=linux_memory_oom-x-bird.service\n"
    return {
        "files": [
            {"path": base + ".service", "content": text},
            {"path": base + "-died.target", "content": f"[Unit]\nConflicts={partner}\n"},
            {"path": f"{SYSTEM}/{partner}.d/50-linux_memory_oom-x.conf", "content": wants},
        ],
        "resident": {"linux_memory_oom-x-bird.service": size},
    }


def drop_in(text: str) -> list[dict]:
    """Return a drop-in of a service of the host."""
    return [
        {
            "path": f"{SYSTEM}/leaky.service.d/50-linux_memory_oom-x.conf",
            "content": f"[Service]\nRuntimeMaxSec={text}\n",
        }
    ]
