# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines of the scenario, asked over SSH."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import testinfra
import yaml

PLATFORMS = yaml.safe_load(Path(os.environ["MOLECULE_FILE"]).read_text(encoding="utf-8"))["platforms"]


def connect(name: str):
    """Return testinfra's view of a machine."""
    place = Path(os.environ["LINUX_MEMORY_OOM_MACHINES"]) / f"{os.environ['LINUX_MEMORY_OOM_RUN']}-{name}"
    known = json.loads((place / "machine.json").read_text(encoding="utf-8"))
    return testinfra.get_host(
        f"ssh://root@127.0.0.1:{known['port']}",
        ssh_identity_file=str(place / "key"),
        ssh_extra_args="-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
    )


@pytest.fixture(scope="session", params=[platform["name"] for platform in PLATFORMS])
def host(request):
    """Return each machine."""
    return connect(request.param)
