# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts, and what systemd says of their units."""

from __future__ import annotations

import pytest
import testinfra


class Host:
    """One host of the matrix."""

    def __init__(self, name: str, asked: testinfra.host.Host) -> None:
        self.name, self.testinfra = name, asked
        self._units: dict[str, dict[str, str]] = {}
        self._files: dict[str, str | None] = {}

    def said(self, command: str) -> str:
        """Return what a command prints on the host."""
        return self.testinfra.check_output(command)

    def show(self, unit: str) -> dict[str, str]:
        """Return the properties of a unit as they are now."""
        said = self.said(f"systemctl show '{unit}'")
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def steady(self, unit: str) -> dict[str, str]:
        """Return the properties of a unit that do not change while tests run: systemd is asked once."""
        if unit not in self._units:
            self._units[unit] = self.show(unit)
        return self._units[unit]

    def file(self, path: str) -> str | None:
        """Return what a file holds, read once; None where there is none."""
        if path not in self._files:
            done = self.testinfra.run(f"cat '{path}'")
            self._files[path] = done.stdout if done.succeeded else None
        return self._files[path]


@pytest.fixture(scope="session")
def host(name, host) -> Host:
    """Return each host of the scenario."""
    return Host(name, host)
