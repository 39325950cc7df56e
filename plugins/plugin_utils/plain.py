# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data of a host as plain Python data that every renderer takes."""

from __future__ import annotations

import math
from collections.abc import Mapping

# Deeper than any fact; what is deeper is not followed, so that a structure made to hurt cannot.
DEEPEST = 40


def plain(value, depth=0):
    """Return value made of dict, list, str, int, float, bool and None only.

    Ansible hands out its own kinds of strings and mappings, some of which are resolved only when they are read. Numbers
    that JSON does not have (infinity, not-a-number) become None, text that UTF-8 does not have becomes U+FFFD.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        # str() of a subclass may give the subclass back; a slice of the encoded text never does.
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth >= DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(value[key], depth + 1) for key in value}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    return plain(str(value))
