# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot be is refused with one sentence, and the host is afterwards what it was before."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import testinfra
import yaml

RUN = os.environ["LINUX_MEMORY_OOM_RUN"]
PLATFORMS = yaml.safe_load(Path(os.environ["MOLECULE_FILE"]).read_text(encoding="utf-8"))["platforms"]
HOST = PLATFORMS[len(PLATFORMS) // 2]["name"]

CASES = {
    "swappiness": ({"swap_tuning_swappiness": 201}, "swap_tuning_swappiness: 201 is not from 0 to 200"),
    "page cluster": ({"swap_tuning_page_cluster": 11}, "swap_tuning_page_cluster: 11 is not from 0 to 10"),
    "no limit": ({"swap_tuning_watch": {"for_seconds": 5}}, "needs used_percent or swap_in_mib"),
    "limit": ({"swap_tuning_watch": {"used_percent": 101}}, "used_percent 101 is not from 1 to 100"),
    "interval": ({"swap_tuning_watch": {"used_percent": 9, "interval_seconds": 1}}, "interval_seconds 1 is not"),
    "command": ({"swap_tuning_watch": {"used_percent": 9, "command": ["mail"]}}, "absolute path of a program"),
    "no unit": (
        {"swap_tuning_restarts": [{"unit": "nowhere.service", "calendar": "daily"}]},
        "no unit nowhere.service on this host",
    ),
    "calendar": (
        {"swap_tuning_restarts": [{"unit": "leaky.service", "calendar": "at noon"}]}, "OnCalendar=at noon",
    ),
    "delay": (
        {"swap_tuning_restarts": [{"unit": "leaky.service", "calendar": "daily", "random_delay": "a while"}]},
        "RandomizedDelaySec=a while",
    ),
    "neither": ({"swap_tuning_restarts": [{"unit": "leaky.service"}]}, "needs either calendar or runtime_max"),
    "no restart": (
        {"swap_tuning_restarts": [{"unit": "leaky.service", "runtime_max": "1d"}]}, "leaky.service has Restart=no",
    ),
    "never": (
        {"swap_tuning_restarts": [{"unit": "growing.service", "runtime_max": "0"}]}, "which never ends it",
    ),
    "two lines": (
        {"swap_tuning_restarts": [{"unit": "leaky.service", "calendar": "daily\nExecStart=/bin/x"}]},
        "more than one line",
    ),
    "relative": ({"swap_tuning_files": [{"path": "swapfile", "size": "16M"}]}, "not the plain absolute path"),
    "size": ({"swap_tuning_files": [{"path": "/swapfile", "size": "lots"}]}, "size: lots of /swapfile: it must be"),
    "priority": (
        {"swap_tuning_files": [{"path": "/swapfile", "size": "16M", "priority": 32768}]},
        "32768 of /swapfile is not from 0",
    ),
    "not ours": ({"swap_tuning_files": [{"path": "/etc/passwd", "size": "16M"}]}, "nothing is written over it"),
    "in memory": ({"swap_tuning_files": [{"path": "/run/swap", "size": "16M"}]}, "it lies in memory itself"),
    "in an image": ({"swap_tuning_files": [{"path": "/swapfile", "size": "16M"}]}, "the file system there is overlay"),
    "twice": (
        {"swap_tuning_files": [{"path": "/swapfile", "size": "16M"}] * 2}, "/swapfile is named twice",
    ),
}  # fmt: skip

# Everything that the role could change: content, mode and time of each file, what systemd has, and the settings.
LOOK = """
find / -xdev \\( -path /tmp -o -path /var -o -path /root \\) -prune -o -type f -printf '%p %m %s %T@\\n' | sort
systemctl list-unit-files --no-legend --no-pager
systemctl list-timers --all --no-legend --no-pager | awk '{print $(NF-1)}' | sort
cat /proc/sys/vm/swappiness /proc/sys/vm/page-cluster; cut -d' ' -f1 /proc/swaps
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Try all of them, looking at the host before and after; return what was said to each."""
    place = tmp_path_factory.mktemp("refusals")
    cases = [{"name": name, "vars": given} for name, (given, _words) in CASES.items()]
    (place / "vars.json").write_text(json.dumps({"cases": cases, "told": str(place / "told")}), encoding="utf-8")
    host = testinfra.get_host(f"podman://{RUN}-{HOST}")
    before = host.check_output("sh -c %s", LOOK)
    done = subprocess.run(
        ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", f"{HOST},localhost"]
        + ["-e", f"@{place / 'vars.json'}", str(Path(__file__).with_name("refusals.yml"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert host.check_output("sh -c %s", LOOK) == before, "something changed"
    return json.loads((place / f"told.{HOST}").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_one_sentence(said, case):
    words = CASES[case][1]
    assert said[case], "it was not refused"
    assert words in said[case]
    assert "\n" not in said[case]
