# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the memory settings of the machine that runs the containers into a file.

vm.* has no namespace: a container that could write there would change the machine. A scenario records these before
its first container starts and compares at its end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def settings() -> dict[str, str]:
    """Return each vm.* and kernel.panic* key that can be read, with its value."""
    files = [*Path("/proc/sys/vm").iterdir(), *Path("/proc/sys/kernel").glob("panic*")]
    # compact_memory, drop_caches and their like can only be written.
    readable = [path for path in files if path.stat().st_mode & 0o444]
    return {f"{path.parent.name}.{path.name}": path.read_text(encoding="ascii").strip() for path in readable}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(settings(), indent=1), encoding="utf-8")
