#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read every report of the OOM killer in a host's logs."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: oom_report_info
short_description: Read every report of the kernel's OOM killer in a host's logs
version_added: 0.1.0
description:
  - Finds the reports that the OOM killer has written, in the journal, in the kernel's ring buffer and in log files, and returns
    each as data, whatever the kernel and whatever the log's format.
  - It also returns what the kernel says of page allocations that failed, and of allocations that strict accounting refused.
  - All sizes are bytes, all times are seconds. What a report does not say is null or absent, never zero.
  - A report with lines that are missing, cut or mixed with another's says so in RV(reports[].truncated). Lines that look like
    a report's and were not understood are counted in RV(unparsed).
  - It changes nothing. Logs are read in pieces, so that the memory it needs does not depend on their size.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.reader
options:
  source:
    description:
      - Which logs of the host to read.
      - V(journal) reads the kernel's messages in the systemd journal, V(kmsg) the kernel's ring buffer, V(files) the files
        C(kern.log), C(messages) and C(syslog) in C(/var/log) with their rotated and compressed predecessors.
      - V(auto) reads all of them. An event that several logs tell of is one report.
      - Without effect when O(paths) is given.
    type: str
    choices: [auto, journal, kmsg, files]
    default: auto
  paths:
    description:
      - Logs to read instead of the host's own, each a file, a directory, or a pattern such as C(/srv/logs/kern*).
      - A file may be text of any kind that holds kernel messages (syslog, dmesg, a journal in JSON or in the export format,
        lines of a container runtime or of a cloud's log, a serial console, a mail, a page or an issue into which somebody has
        copied it, a terminal that broke the lines), in UTF-8 or UTF-16, plain or compressed with gzip, xz, bzip2 or zstd, or a
        journal file.
      - A directory with journal files is read as a journal, another one file by file.
    type: list
    elements: path
    default: []
  root:
    description:
      - The root of the host's files. Another directory than V(/) reads the logs of a mounted host or of an unpacked sosreport.
      - The ring buffer is left out then.
    type: path
    default: /
  since:
    description:
      - Leave out reports that are older. A date or a time as in ISO 8601 (V(2026-01-31), V(2026-01-31T12:00:00Z)), seconds
        since 1970 (V(@1769860800)), or how long ago (V(90s), V(30min), V(12h), V(7d), V(2w)).
      - A time without a zone is the local time of the host. A report whose time is not known is never left out.
    type: str
  until:
    description: Leave out reports that are newer, with times as in O(since).
    type: str
  limit:
    description: How many reports to return, the newest ones, 1 to 100000; V(0) returns all.
    type: int
    default: 100
  boots:
    description: How many boots of the journal to read, the newest ones with the one that runs; V(0) reads all.
    type: int
    default: 0
  tasks:
    description:
      - How many tasks of each report's task table to return, the largest ones in the order of the table; V(0) returns all.
      - The task that asked for memory and those that were killed are returned in any case, and of the newest report of the OOM
        killer 1000 tasks.
      - RV(reports[].tasks_total) and RV(reports[].tasks_by_comm) are sums over all tasks, also over those that are left out.
    type: int
    default: 200
notes:
  - Reading the journal and the ring buffer needs root, or the groups C(adm) or C(systemd-journal). What may not be read is named
    in RV(unavailable), and the module goes on with the rest.
  - A syslog line has no year. The last year is taken in which the line is not later than the file, and RV(reports[].year_assumed)
    says so.
seealso:
  - module: linux_memory.oom.memory_facts
author:
  - linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Read the reports of the last week
  linux_memory.oom.oom_report_info:
    since: 7d
  register: oom

- name: Say who was killed
  ansible.builtin.debug:
    msg: "{{ item.time }}: {{ item.victim.comm }} held {{ item.victim.anon_rss }} bytes"
  loop: "{{ oom.reports | selectattr('victim') }}"
  loop_control:
    label: "{{ item.time }}"

- name: Read one file that somebody sent
  linux_memory.oom.oom_report_info:
    paths: [/tmp/kern.log]
  delegate_to: localhost

- name: Read an unpacked sosreport
  linux_memory.oom.oom_report_info:
    root: /srv/sosreport-web1-2026-01-31
  delegate_to: localhost

- name: Read the last boot only
  linux_memory.oom.oom_report_info:
    source: journal
    boots: 1
"""

RETURN = r"""
reports:
  description: The reports, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(oom) for a report of the OOM killer, V(allocation_failure) for a page allocation that failed, V(overcommit_refusal)
          for an allocation that strict accounting refused.
      type: str
      returned: always
    path:
      description: The log that the report was read from, as the host names it.
      type: str
      returned: always
    also_in:
      description: Other logs that hold the same report.
      type: list
      elements: str
      returned: always
    source:
      description: The kind of that log, V(journal), V(kmsg) or V(file).
      type: str
      returned: always
    time:
      description:
        - When, as ISO 8601. A log without zones gives a time without a zone, which is the log's local time.
        - Null where the log tells only seconds since boot.
      type: str
      returned: always
      sample: "2026-01-31T12:00:00.123456Z"
    epoch:
      description: The same in seconds since 1970. A time without a zone is taken for this host's local time.
      type: float
      returned: always
    time_text:
      description: The time as the log writes it.
      type: str
      returned: always
    year_assumed:
      description: Whether the year of RV(reports[].time) is not in the log.
      type: bool
      returned: always
    time_computed:
      description: Whether RV(reports[].time) is computed from the seconds since boot, which do not count suspended time.
      type: bool
      returned: always
    uptime:
      description: The kernel's own time, seconds since boot.
      type: float
      returned: always
    host:
      description: The host that the log names.
      type: str
      returned: always
    boot:
      description: The boot ID that the journal names.
      type: str
      returned: always
    kernel:
      description: The kernel's release.
      type: str
      returned: always
      sample: 6.1.0-18-amd64
    scope:
      description:
        - Where memory was short, V(global), V(cgroup), V(cpuset) or V(mempolicy). Null where the report does not say.
        - Kernels before 5.0 do not tell cpusets and memory policies; their reports are V(global) unless of a cgroup.
      type: str
      returned: always
    constraint:
      description: The kernel's name for that, as printed, also one that this module does not know.
      type: str
      returned: always
      sample: CONSTRAINT_MEMCG
    cgroup:
      description: The cgroup whose limit was met.
      type: str
      returned: always
    oom_memcg:
      description: The cgroup whose limit was met, as the summary line names it.
      type: str
      returned: always
    task_memcg:
      description: The cgroup of the victim.
      type: str
      returned: always
    nodemask:
      description: The NUMA nodes that the allocation might use, where it was bound to some.
      type: str
      returned: always
    mems_allowed:
      description: The NUMA nodes of the cpuset.
      type: str
      returned: always
    cpuset:
      description: The cpuset of the task that asked for memory.
      type: str
      returned: always
    sysrq:
      description: Whether somebody called the OOM killer by hand, with SysRq.
      type: bool
      returned: always
    trigger:
      description: The task that asked for memory, with C(comm), C(pid), C(uid), its C(gfp_mask) in hexadecimal, C(gfp_flags)
        by name, C(order), C(oom_score_adj), C(oom_adj) on old kernels, and its C(cpu).
      type: dict
      returned: always
    victim:
      description: The task that was killed, with C(comm), C(pid), C(uid), C(total_vm), C(anon_rss), C(file_rss), C(shmem_rss),
        C(pgtables), C(oom_score_adj) and C(score), and its C(rss) and C(swap) from the task table. Null where none was.
      type: dict
      returned: always
    victims:
      description: All tasks that this report says were killed, the first one included.
      type: list
      elements: dict
      returned: always
    group_kill:
      description: The cgroup whose tasks were all killed, where C(memory.oom.group) is set.
      type: str
      returned: always
    outcome:
      description: V(killed), V(panic), V(deadlocked), V(no_killable_process) or V(victim_exiting). Null where the end is missing.
      type: str
      returned: always
    allocating_task:
      description: Whether the task that asked was killed because of C(vm.oom_kill_allocating_task).
      type: bool
      returned: always
    panicked:
      description: Whether the report led to a panic.
      type: bool
      returned: always
    panic:
      description: The reason of that panic.
      type: str
      returned: always
    reaped:
      description: What the OOM reaper says, per task C(pid), C(comm), C(reaped), and what it left in C(anon_rss), C(file_rss) and
        C(shmem_rss).
      type: list
      elements: dict
      returned: always
    page_size:
      description: The size of a page, by which counts of pages were made bytes.
      type: int
      returned: always
    page_size_from:
      description: What tells the size of a page, V(blocks), V(nodes) or V(victim) for lines of the report, or V(assumed).
      type: str
      returned: always
    memory:
      description: The global counters of Mem-Info by their names in the report, with C(ram), C(reserved), C(highmem), C(pagecache)
        and what else the kernel counts at the end. Null where there is no Mem-Info.
      type: dict
      returned: always
    swap:
      description: Swap C(total), C(free) and C(cached), and how often pages were C(added) to the swap cache, C(deleted),
        C(looked_up) and C(found).
      type: dict
      returned: always
    nodes:
      description: The counters of each NUMA node.
      type: list
      elements: dict
      returned: always
    zones:
      description: The counters of each zone, with C(node) (null where the kernel prints none), C(zone), C(lowmem_reserve), and the
        free C(blocks) by C(size), C(count) and migration C(types).
      type: list
      elements: dict
      returned: always
    hugepages:
      description: The huge pages of each node and C(size), C(total), C(free) and C(surplus) as counts.
      type: list
      elements: dict
      returned: always
    memcg:
      description: The account of the cgroup, C(path), C(usage), C(limit) (null for no limit), C(failcnt), the same of C(swap),
        C(memsw) and C(kmem), its C(stats), and of kernels that print one account per child group all of them in C(groups).
      type: dict
      returned: always
    protection:
      description: What C(memory.min) and C(memory.low) kept from reclaim, as C(min) and C(low), in the cgroup that met its limit
        or else on the host. Null where the kernel does not say.
      type: dict
      returned: always
    tasks:
      description: The task table, with C(comm), C(pid), C(uid), C(tgid), C(total_vm), C(rss), C(swap), C(pgtables) and
        C(oom_score_adj), and what else the kernel prints. Null where it printed no table.
      type: list
      elements: dict
      returned: always
    tasks_left_out:
      description: How many tasks of the table were left out because of O(tasks).
      type: int
      returned: always
    tasks_total:
      description: The number of all tasks in the table, C(tasks), and what they hold together, C(rss), C(rss_anon), C(rss_file),
        C(rss_shmem) and C(swap), as far as the kernel prints it. Null where it printed no table.
      type: dict
      returned: always
    tasks_by_comm:
      description: The same sums for the tasks of each name, C(comm), the 50 names that hold the most, the largest first. Null
        where the kernel printed no table.
      type: list
      elements: dict
      returned: always
    slab_info:
      description: The caches of unreclaimable slab, C(name), C(used) and C(total). Null where the kernel printed none.
      type: list
      elements: dict
      returned: always
    allocations:
      description: The largest users of memory in the kernel's own code, where it profiles allocations, with C(bytes) (rounded
        by the kernel unless C(exact)), C(calls), C(file), C(line), C(module) and C(function). Null where it does not.
      type: list
      elements: dict
      returned: always
    unparsed:
      description: Lines inside the report that look like figures and were not understood.
      type: list
      elements: str
      returned: always
    bytes:
      description: How much was asked for, of an overcommit refusal.
      type: int
      returned: always
    truncated:
      description: Whether lines are missing, cut, or may be another report's.
      type: bool
      returned: always
found:
  description: How many reports were read in all logs, before those that are told twice and the older ones were left out.
  returned: success
  type: int
limited:
  description: Whether older reports were left out because of O(limit).
  returned: success
  type: bool
unparsed:
  description: Lines that look like a report's and were not understood.
  returned: success
  type: dict
  contains:
    count:
      description: How many.
      type: int
      returned: always
    samples:
      description: The first of them, each with its C(path) and C(text).
      type: list
      elements: dict
      returned: always
sources:
  description: The logs that were read, each with C(source), C(path) and the number of its C(reports).
  returned: success
  type: list
  elements: dict
unavailable:
  description: The logs that could not be read, with the reason.
  returned: success
  type: dict
  sample: {/var/log/syslog.2.zst: "compressed with zstd, and no zstd command is installed"}
"""

import glob
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils import log_source
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_merge import Collection, merge, parse_when
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_table import NEWEST, shorten
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

MOST_REPORTS = 100000


def when(params, name, now):
    """Return an option's point in time in epoch seconds, or None where it is not given. Raises ValueError."""
    if params[name] is None:
        return None
    try:
        return parse_when(params[name], now)
    except ValueError:
        raise ValueError(
            "%s: %s is not a time; it has to be ISO 8601 (2026-01-31 or 2026-01-31T12:00:00Z), @seconds since 1970, "
            "or how long ago (90s, 30min, 12h, 7d, 2w)" % (name, params[name])
        )


def check(params, now):
    """Return (since, until) in epoch seconds. Raises ValueError with one sentence for an argument that is not allowed."""
    since, until = when(params, "since", now), when(params, "until", now)
    if since is not None and until is not None and since > until:
        raise ValueError("since: %s is after until: %s; it has to be before" % (params["since"], params["until"]))
    if not 0 <= params["limit"] <= MOST_REPORTS:
        raise ValueError("limit: %d is not allowed; it has to be from 0 (all) to %d" % (params["limit"], MOST_REPORTS))
    if params["boots"] < 0:
        raise ValueError("boots: %d is not allowed; it has to be 0 (all) or more" % params["boots"])
    if params["tasks"] < 0:
        raise ValueError("tasks: %d is not allowed; it has to be 0 (all) or more" % params["tasks"])
    if not os.path.isdir(params["root"]):
        what = "is not a directory (unpack an archive first)" if os.path.exists(params["root"]) else "does not exist"
        raise ValueError("root: %s %s; it has to be the root of a host or of a sosreport" % (params["root"], what))
    return since, until


def expand(paths):
    """Return the paths with patterns replaced by what they match. Raises ValueError for one that names nothing."""
    found = []
    for path in paths:
        matches = [path] if os.path.lexists(path) else sorted(glob.glob(path))
        if not matches:
            raise ValueError("paths: %s does not exist; it has to be a log file, a directory or a pattern" % path)
        found += [match for match in matches if match not in found]
    return found


def named(params, paths, since, until):
    """Return ([Source], {path: why not}) of the paths that the caller named."""
    sources, missing = [], {}
    for path in paths:
        try:
            sources += log_source.path_sources(path, params["boots"], since, until)
        except EnvironmentError as error:  # noqa: PERF203 (one unreadable path must not cost the others)
            missing[path] = log_source.why(error)
    return sources, missing


def choose(params, paths, since, until):
    """Return ([Source], {path: why not}) of the logs to read, in the order in which to read them."""
    if paths:
        return named(params, paths, since, until)
    sources, missing = [], {}
    wanted = ("journal", "files", "kmsg") if params["source"] == "auto" else (params["source"],)
    tree = Tree(params["root"])
    if "journal" in wanted:
        journal = log_source.host_journal(tree, params["boots"], since, until)
        if journal is None:
            missing["journal"] = "no /var/log/journal below %s" % params["root"]
        else:
            sources.append(journal)
    if "files" in wanted:
        files = log_source.host_files(tree, since)
        if not files:
            missing["files"] = "no kern.log, messages or syslog in /var/log"
        sources += files
    if "kmsg" in wanted:
        if tree.live:
            sources.append(log_source.KmsgSource())
        else:
            missing["kmsg"] = "the ring buffer is this host's, not that of %s" % params["root"]
    return sources, missing


def newest(collection, limit):
    """Return (reports, whether older ones were left out): each event once, oldest first, the newest limit of them."""
    merged = merge(collection.kept)
    over = bool(limit) and (len(merged) > limit or any(source["reports"] > limit for source in collection.sources))
    return merged[-limit:] if limit else merged, over


def shorten_tables(reports, most):
    """Keep the largest tasks of each report, and more of the newest report of the OOM killer. reports: oldest first."""
    newest_one = next((report for report in reversed(reports) if report["kind"] == "oom"), None)
    for report in reports:
        shorten(report, max(most, NEWEST) if most and report is newest_one else most)
    return reports


def main():
    """Check the arguments, read, answer."""
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str", "choices": ["auto", "journal", "kmsg", "files"], "default": "auto"},
            "paths": {"type": "list", "elements": "path", "default": []},
            "root": {"type": "path", "default": "/"},
            "since": {"type": "str"},
            "until": {"type": "str"},
            "limit": {"type": "int", "default": 100},
            "boots": {"type": "int", "default": 0},
            "tasks": {"type": "int", "default": 200},
        },
        supports_check_mode=True,
    )
    try:
        since, until = check(module.params, time.time())
        paths = expand(module.params["paths"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    sources, missing = choose(module.params, paths, since, until)
    collection = Collection(since, until, module.params["limit"], module.params["tasks"])
    for source in sources:
        collection.read(source)
    missing.update(collection.unavailable)
    reports, limited = newest(collection, module.params["limit"])
    module.exit_json(
        changed=False,
        reports=shorten_tables(reports, module.params["tasks"]),
        found=collection.found,
        limited=limited,
        unparsed=collection.unparsed,
        sources=collection.sources,
        unavailable=missing,
    )


if __name__ == "__main__":
    main()
