# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine of the scenario, asked over SSH, and what its failures left behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import testinfra
import yaml

PLACE = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


@pytest.fixture(scope="session")
def host():
    """Return testinfra's view of the machine: it goes the way that Molecule goes."""
    (one,) = yaml.safe_load(Path(os.environ["MOLECULE_INSTANCE_CONFIG"]).read_text(encoding="utf-8"))
    return testinfra.get_host(
        f"ssh://{one['user']}@{one['address']}:{one['port']}",
        ssh_identity_file=one["identity_file"],
        ssh_extra_args="-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
    )


def kept(name: str):
    """Return what a playbook has kept of the machine."""
    return json.loads((PLACE / f"guest-{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def before():
    """Return what was seen of the failures before a role was applied."""
    return kept("before")


@pytest.fixture(scope="session")
def after():
    """Return what was seen of them afterwards."""
    return kept("after")


@pytest.fixture(scope="session")
def crash():
    """Return what the log tells that was saved with the dump, and what diagnose says of it."""
    return kept("crash")


@pytest.fixture(scope="session")
def dump():
    """Return the same of the dump itself."""
    return kept("dump")
