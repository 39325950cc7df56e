# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task table of a report made small: sums over all tasks, and the largest of them.

A host of 20,000 tasks prints a table of 20,000 lines each time. What a diagnosis needs of it are the largest tasks,
those that asked or were killed, and what the tasks of one name hold together.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import heapq

# Tasks that the newest report of the OOM killer keeps, whatever is asked for: the diagnosis turns on it.
NEWEST = 1000
# Names of which the sums are kept, the largest ones.
MOST_NAMES = 50

_SUMMED = ("rss", "rss_anon", "rss_file", "rss_shmem", "swap")


def held(task):
    """Return what a task holds that its end gives back: anonymous and shared memory and swap."""
    private = None
    if task.get("rss_anon") is not None:
        private = task["rss_anon"] + (task.get("rss_shmem") or 0)
    return (task.get("rss") or 0 if private is None else private) + (task.get("swap") or 0)


def _add(sums, task):
    sums["tasks"] += 1
    for name in _SUMMED:
        if task.get(name) is not None:
            sums[name] = (sums[name] or 0) + task[name]


def _nothing():
    return {"tasks": 0, "rss": None, "rss_anon": None, "rss_file": None, "rss_shmem": None, "swap": None}


def sum_up(report):
    """Put the sums over all tasks of a report's table into it: of all together, and of those of each name."""
    total, names = _nothing(), {}
    for task in report["tasks"] or []:
        _add(total, task)
        _add(names.setdefault(task["comm"], _nothing()), task)
    largest = heapq.nlargest(MOST_NAMES, names.items(), key=lambda entry: held(entry[1]))
    report["tasks_total"] = total if report["tasks"] is not None else None
    report["tasks_by_comm"] = [dict(sums, comm=comm) for comm, sums in largest] if report["tasks"] is not None else None
    report["tasks_left_out"] = 0


def shorten(report, most):
    """Keep the largest tasks of a report, at most so many, in the order of the table; 0 keeps all.

    The task that asked and those that were killed are kept beyond that.
    """
    tasks = report["tasks"] or []
    named = {victim["pid"] for victim in report["victims"]} | {report["trigger"]["pid"]}
    if not most or len(tasks) <= most + (len(named) if report["tasks_left_out"] else 0):
        return
    kept = set(heapq.nlargest(most, range(len(tasks)), key=lambda place: (held(tasks[place]), -place)))
    left = [task for place, task in enumerate(tasks) if place in kept or task["pid"] in named]
    report["tasks_left_out"] += len(tasks) - len(left)
    report["tasks"] = left
