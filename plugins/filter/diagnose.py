# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter linux_memory.oom.diagnose: what is wrong with a host's memory, from data alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.linux_memory.oom.plugins.plugin_utils.diagnosis import diagnose as findings

DOCUMENTATION = r"""
name: diagnose
short_description: Say what is wrong with a host's memory
version_added: 0.1.0
author: linux_memory.oom contributors (@linux-memory)
description:
  - Reads the facts of M(linux_memory.oom.memory_facts) and the reports of M(linux_memory.oom.oom_report_info), and returns the
    causes that they support, the surest first. Either of them may be empty.
  - A pure function of its input, so that it works as well on facts of last week or of an unpacked sosreport.
  - A cause is named only where it is large and where memory is short. A healthy host yields exactly one finding,
    V(none), with the headroom as its evidence.
  - Facts may lack any subset. What was needed and is missing appears in the evidence of V(unexplained) and V(none).
positional: _input
options:
  _input:
    description: The value of RV(linux_memory.oom.memory_facts#module:ansible_facts.linux_memory), or any part of it.
    type: dict
    required: true
  reports:
    description:
      - The value of RV(linux_memory.oom.oom_report_info#module:reports) of the same host.
      - The newest report of the OOM killer decides. The others tell whether a task grew from report to report, and how often
        it happened. Where the facts of now do not fit, the evidence says so.
      - A report outweighs facts that are in order, because they were read after it. A report of which lines are missing
        (RV(linux_memory.oom.oom_report_info#module:reports[].truncated)) makes every finding less sure.
    type: list
    elements: dict
    default: []
  crash:
    description:
      - One of the RV(linux_memory.oom.vmcore_info#module:crashes) of the same host, or V(none).
      - The report that led to the crash decides, as it would if it were among O(reports); the verdict is the same.
      - Where the dump itself was read, its evidence is added, such as the dirty memory of each device, the largest slab caches and
        the units of tasks, and the task list where the report has none.
      - A crash that no report led to is judged by the memory that the dump shows.
    type: dict
seealso:
  - module: linux_memory.oom.vmcore_info
  - module: linux_memory.oom.memory_facts
  - module: linux_memory.oom.oom_report_info
"""

EXAMPLES = r"""
- name: Read the state of memory
  linux_memory.oom.memory_facts:
    sample_seconds: 5

- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ (ansible_facts.linux_memory | linux_memory.oom.diagnose | first).summary }}"

- name: Read the reports of the OOM killer
  linux_memory.oom.oom_report_info:
  register: oom

- name: Say why it fired
  ansible.builtin.debug:
    msg: "{{ ({} | linux_memory.oom.diagnose(reports=oom.reports) | first).summary }}"

- name: Show the hosts whose verdict is not "none"
  ansible.builtin.debug:
    msg: "{{ verdict.cause }} ({{ verdict.confidence }}): {{ verdict.summary }}"
  vars:
    verdict: "{{ ansible_facts.linux_memory | linux_memory.oom.diagnose | first }}"
  when: verdict.cause != 'none'
"""

RETURN = r"""
_value:
  description:
    - Findings, the surest first. The first is the verdict. V(none) stands alone.
  type: list
  elements: dict
  contains:
    cause:
      description:
        - The name of the cause, such as V(dirty_pages). V(none) means healthy, V(unexplained) that the numbers
          support no cause.
      type: str
      sample: undersized_memory
    confidence:
      description: How far the evidence carries, from 0 to 1.
      type: float
      sample: 0.72
    summary:
      description: One sentence with the numbers that matter.
      type: str
      sample: "This host keeps reading 1800 pages/s back from swap, and programs wait for it."
    evidence:
      description:
        - What was measured, each with RV(_value[].evidence[].what), RV(_value[].evidence[].value),
          RV(_value[].evidence[].unit), RV(_value[].evidence[].threshold) and RV(_value[].evidence[].source).
      type: list
      elements: dict
      contains:
        what:
          description: What was measured.
          type: str
        value:
          description: The measured value.
          type: raw
        unit:
          description: One of V(bytes), V(bytes_per_second), V(percent), V(per_second), V(seconds), V(count), V(share) and V(text).
          type: str
        threshold:
          description: The value that it is compared with, or V(none).
          type: float
        source:
          description: Where it was read.
          type: str
    remedy:
      description: The role that helps and its variables as far as the evidence yields them, or V(none).
      type: dict
      contains:
        role:
          description: The name of the role.
          type: str
        vars:
          description: Variables of the role.
          type: dict
        why:
          description: How each of these values follows from what was measured, one sentence each.
          type: list
          elements: str
        counterfactual:
          description: What would be, or would have been, with these values, or V(none) where nothing follows.
          type: dict
          contains:
            said:
              description: One sentence.
              type: str
            what:
              description: What its number is of, such as V(memory available).
              type: str
            value:
              description: The number. At least so much is left, or at most so much is held.
              type: int
            unit:
              description: V(bytes) or V(seconds).
              type: str
    advice:
      description: What a person should know or do, or V(none).
      type: str
    article:
      description: The section of the article that the remedy comes from, or V(none).
      type: str
"""


def diagnose(facts: Any, reports: Any = None, crash: Any = None) -> list[dict[str, Any]]:
    """Check the kinds of the arguments and return the findings; raises AnsibleFilterError with one sentence."""
    reports = [] if reports is None else reports
    if not isinstance(facts, Mapping):
        raise AnsibleFilterError(
            f"linux_memory.oom.diagnose needs the facts of one host as a dictionary, not {_kind(facts)}."
        )
    if isinstance(reports, (str, bytes)) or not isinstance(reports, Sequence):
        raise AnsibleFilterError(f"linux_memory.oom.diagnose needs reports as a list, not {_kind(reports)}.")
    if crash is not None and not isinstance(crash, Mapping):
        raise AnsibleFilterError(f"linux_memory.oom.diagnose needs crash as a dictionary or none, not {_kind(crash)}.")
    return findings(facts, reports, crash)


def _kind(value: Any) -> str:
    for kind, name in ((str, "a string"), (Mapping, "a dictionary"), (Sequence, "a list"), (bool, "a truth value")):
        if isinstance(value, kind):
            return name
    return "nothing (none)" if value is None else "a number" if isinstance(value, (int, float)) else "another type"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its short name."""
        return {"diagnose": diagnose}
