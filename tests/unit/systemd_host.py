# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A systemd made of files, and the module systemd_dropin run against it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

from ansible.module_utils import basic
from ansible_collections.linux_memory.oom.plugins.module_utils import dropin, owned_file, systemd, systemd_dropin_change
from ansible_collections.linux_memory.oom.plugins.modules import systemd_dropin


class Done(Exception):
    """The module has answered."""


class Systemd:
    """Answers as the real ones did: it has the units given, and reads drop-ins when it is told to reload."""

    def __init__(self, folder: Path, units: dict[str, dict[str, str]] | None = None) -> None:
        self.units = units or {"a.service": {}, "b.service": {"Nice": "0"}}
        self.folder = str(folder)
        self.calls: list[list[str]] = []
        self.complaints = ""
        self.stubborn: dict[str, str] = {}
        self.read: dict[str, str] = {}
        self.daemon_reload(None)

    def __call__(self, command, **_options):
        self.calls.append(command)
        return getattr(self, command[1].split("=")[0].strip("-").replace("-", "_"))(command)

    def dump_configuration_items(self, _command):
        """Answer what is known."""
        return 0, "[Unit]\nStartLimitBurst=X\nStartLimitIntervalSec=X\n[Service]\nMemoryMax=X\nNice=X\nRestart=X\n", ""

    def version(self, _command):
        """Answer systemctl --version."""
        return 0, "systemd 252 (252.39-1~deb12u2)\n", ""

    def show(self, command):
        """Answer systemctl show."""
        found = []
        names = command[command.index("--") + 1 :]
        for name in self.units if names == ["*"] else names:
            text = self.read.get(name)
            path = dropin.path_of(name, "x", self.folder)
            properties = {
                "Id": name,
                "LoadState": "loaded" if name in self.units else "not-found",
                "DropInPaths": path if text else "",
                "MemoryMax": "infinity",
                "NeedDaemonReload": "no" if owned_file.read(path) == text else "yes",
                **self.units.get(name, {}),
            }
            for _section, directive, value, _line in dropin.parse(text):
                properties[directive] = str(dropin.parse_size(value)) if directive == "MemoryMax" else value
            properties.update(self.stubborn)
            found.append("".join(f"{key}={value}\n" for key, value in properties.items()))
        return 0, "\n".join(found), ""

    def daemon_reload(self, _command):
        """Read the drop-ins."""
        texts = {name: owned_file.read(dropin.path_of(name, "x", self.folder)) for name in self.units}
        self.read = {name: text for name, text in texts.items() if text is not None}
        return 0, "", ""

    def verify(self, command):
        """Answer systemd-analyze verify; it says nothing through its exit status."""
        return 0, "", self.complaints.replace("STAGE", os.path.dirname(command[-1]))

    def __str__(self) -> str:
        return " ".join(call[1] for call in self.calls)


def run(host: Systemd, check: bool = False, **options) -> dict:
    """Run the module and return its answer; a failure has "failed"."""
    results = []

    def leave(_self, **result):
        results.append(result)
        raise Done

    def fail(_self, msg, **_rest):
        leave(_self, failed=True, msg=msg)

    temporary = os.path.join(os.path.dirname(host.folder), "tmp")
    arguments = {"purpose": "x", **options, "_ansible_check_mode": check, "_ansible_tmpdir": temporary}
    os.makedirs(temporary, exist_ok=True)
    host.calls.clear()
    module = basic.AnsibleModule
    with (
        mock.patch.object(dropin, "DIRECTORY", host.folder),
        mock.patch.object(dropin.path_of, "__defaults__", (host.folder,)),
        mock.patch.object(systemd.Systemd, "running", lambda self: True),
        mock.patch.object(systemd, "_DAEMONS", ("/bin/sh",)),
        mock.patch.object(systemd_dropin_change, "SETTLE_SECONDS", 0),
        mock.patch.object(module, "run_command", lambda self, command, **options: host(command, **options)),
        mock.patch.object(module, "exit_json", leave),
        mock.patch.object(module, "fail_json", fail),
        mock.patch.object(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()),
        mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True),
    ):
        try:
            systemd_dropin.main()
        except Done:
            pass
    return results[-1]
