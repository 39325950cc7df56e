# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be true of every scenario after its first run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine_sysctl
import recorded


def test_check_mode_predicted_what_the_run_did():
    (predicted,) = recorded.runs("converge.yml", check=True)
    has_undo = (Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "undo.yml").exists()
    recorded.assert_predicted(predicted, recorded.runs("converge.yml", check=False)[0], something=has_undo)


def test_the_machines_own_settings_did_not_change():
    record = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "machine_sysctl.json"
    before = json.loads(record.read_text(encoding="utf-8"))
    assert len(before) > 20
    assert machine_sysctl.settings() == before
