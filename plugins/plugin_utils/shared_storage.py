# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Targets on a network that several hosts of the fleet lie on, and that are slow for one of them at least.

Each host sees its own waiting only. Together they tell whether the target has more to do than it can, which is where
the article's advice belongs: fewer compute nodes on shared storage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.linux_memory.oom.plugins.plugin_utils.from_storage import writeback_of
from ansible_collections.linux_memory.oom.plugins.plugin_utils.slow_storage import (
    devices,
    slow,
    target_label,
    target_of,
)
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import rows

ADVICE = (
    "It is shared: move some of its hosts elsewhere, or bound what each of them writes (role dirty_throttle); what one "
    "host alone changes helps the others more than itself."
)
ARTICLE = "1d"


def _complaints(one: Mapping[str, Any]) -> dict[str, str]:
    """Return {device: what is slow about it} of a host: what was measured, and what its dirty pages wait for."""
    found = {name: fault.said for name, fault in slow(one["facts"]).items()}
    dirty = [each for each in rows(one["findings"]) if each.get("cause") == "dirty_pages"]
    waited_for = writeback_of(one["facts"]).slowest if dirty else None
    if waited_for:
        found.setdefault(waited_for, f"dirty pages wait for {waited_for}")
    return found


def _uses(one: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return {target: {host, devices, slow}} of one host; slow is what it says of the target, or None."""
    complaints, found = _complaints(one), {}
    for device in devices(one["facts"]):
        target = target_of(device.facts)
        if target:
            use = found.setdefault(target, {"host": one["host"], "devices": [], "slow": None})
            use["devices"].append(device.name)
            use["slow"] = use["slow"] or complaints.get(device.name)
    return found


def shared(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the slow targets that several hosts share: [{kind, target, label, hosts, slow_hosts, advice, article}].

    hosts are those that the target is slow for, then the others; slow_hosts is how many the former are. The target that
    is slow for most hosts comes first.
    """
    users: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for one in records:
        for target, use in _uses(one).items():
            users[target].append(use)
    found = [
        {
            "kind": target[0],
            "target": target[1],
            "label": target_label(target),
            "hosts": sorted(hosts, key=lambda use: (use["slow"] is None, use["host"])),
            "slow_hosts": sum(use["slow"] is not None for use in hosts),
            "advice": ADVICE,
            "article": ARTICLE,
        }
        for target, hosts in users.items()
        if len(hosts) > 1
    ]
    return sorted((each for each in found if each["slow_hosts"]), key=lambda each: (-each["slow_hosts"], each["label"]))


def sentence(group: Mapping[str, Any]) -> str:
    """Return one sentence on a target of shared()."""
    return f"{group['label']} is slow for {group['slow_hosts']} of the {len(group['hosts'])} hosts that share it."
