# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a play has found out about its hosts, as plain data."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.linux_memory.oom.plugins.plugin_utils.plain import plain


def variables(task_vars, host):
    """Return the variables of a host without resolving templates in them; empty for a host that the inventory lacks.

    What hosts answered must never be taken for a template of ours, and resolving all variables of 500 hosts takes long.
    """
    hostvars = task_vars["hostvars"]
    return hostvars.raw_get(host) if host in hostvars else {}


def memory_facts(found):
    """Return the facts of memory_facts among the variables of a host, or an empty dict."""
    facts = (found.get("ansible_facts") or {}).get("linux_memory")
    return plain(facts) if facts else {}


def kernel_log(found):
    """Return the result of oom_report_info among the variables of a host, or an empty dict."""
    result = found.get("memory_report_log")
    return result if isinstance(result, Mapping) else {}
