# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts of a scenario, asked directly through podman: through Ansible each question would take seconds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import testinfra
import yaml

PLATFORMS = yaml.safe_load(Path(os.environ["MOLECULE_FILE"]).read_text(encoding="utf-8"))["platforms"]


@pytest.fixture(scope="session", params=[platform["name"] for platform in PLATFORMS])
def name(request):
    """Return the name of each host."""
    return request.param


@pytest.fixture(scope="session")
def host(name):
    """Return testinfra's view of the host."""
    return testinfra.get_host(f"podman://{os.environ['LINUX_MEMORY_OOM_RUN']}-{name}")
