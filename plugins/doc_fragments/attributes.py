# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attributes that the modules of this collection share."""

from __future__ import annotations


class ModuleDocFragment:
    """What every module says of itself; the others add what differs."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and say what it would change, without changing anything.
  diff_mode:
    description: Says in diff mode what has changed, or in check mode what would change.
  platform:
    description: The systems that the module runs on.
    platforms: linux
"""

    # A reader never changes a host.
    READER = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - The module changes nothing, in check mode and without it.
  diff_mode:
    support: none
    details:
      - Nothing is changed, so there is no difference to show.
  platform:
    support: full
"""

    # A changer predicts in check mode what a run does, item by item.
    CHANGER = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    support: full
"""
