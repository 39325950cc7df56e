# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Molecule scenario `kernel`: all roles on one machine, with the failures before and after, and a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_molecule_runs_the_article(tmp_path):
    binaries = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "run"),
        "NO_COLOR": "1",
    }
    # As Molecule finds it by itself where the checkout is one of git.
    molecule = [str(binaries / "molecule"), "--base-config", str(ROOT / ".config" / "molecule" / "config.yml")]
    try:
        done = subprocess.run(
            [*molecule, "test", "--scenario-name", "kernel"],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-4000:]
    finally:
        # Where the run was stopped, its machine is still there.
        subprocess.run([*molecule, "destroy", "--scenario-name", "kernel"], cwd=ROOT, env=environment,
                       stdin=subprocess.DEVNULL, capture_output=True, check=False)  # fmt: skip
