# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After undo each host is as it was before the role came."""

from __future__ import annotations

import json
from pathlib import Path

SNAPSHOT = Path(__file__).resolve().parents[1] / "snapshot.sh"


def test_everything_is_as_it_was(host):
    before = json.loads(host.file("/var/tmp/refused.json").content_string)["before"]
    script = SNAPSHOT.read_text(encoding="utf-8").replace("'", "'\\''")
    assert host.check_output(f"sh -c '{script}'").splitlines() == before


def test_the_unit_went_on_running(host):
    assert host.service("backup.service").is_running
