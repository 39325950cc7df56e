# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine is what it was."""

from __future__ import annotations

import os
from pathlib import Path


def test_everything_is_as_it_was(host):
    script = (Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "snapshot.sh").read_text(encoding="utf-8")
    before = (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "guest-snapshot.txt").read_text(encoding="utf-8")
    now = host.run("sh -c %s", script)
    assert now.succeeded, now.stderr
    assert now.stdout.strip().splitlines() == before.strip().splitlines()
