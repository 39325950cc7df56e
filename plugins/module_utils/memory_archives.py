# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host keeps samples of its memory, and how they are read: the sampler, sysstat, atop, PCP, the kernel."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import time

from ansible_collections.linux_memory.oom.plugins.module_utils import memory_samples
from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import parse_meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.system import multi_gen_lru, page_size
from ansible_collections.linux_memory.oom.plugins.module_utils.vmstat import parse_vmstat

DAY = 86400
SYSSTAT = ("/var/log/sysstat", "/var/log/sa")
ATOP = ("/var/log/atop",)
PCP = "/var/log/pcp/pmlogger"
# As often as the sampler looks, whatever the interval of the archive.
PCP_INTERVAL = "300sec"
# saDD or saYYYYMMDD; sarDD are texts for people. sadf reads no compressed file.
_SADC_FILE = re.compile(r"^sa[0-9]{2,8}$", re.ASCII)
_ATOP_FILE = re.compile(r"^atop_[0-9]{8}$", re.ASCII)
# A window of so many samples is thinned: each is then the worst of some that follow each other.
MOST_SAMPLES = 20000


class NoSamples(Exception):
    """The samples that were asked for are not there; the message is a sentence for the user."""


def samples(tree, run, options, now=None):
    """Return (source, samples), in the order of time, the last one of now. Raises NoSamples.

    run is what commands.runner returns; options are source, path and days.
    """
    now = time.time() if now is None else now
    begin = now - options["days"] * DAY
    wanted = options["source"]
    sources = [wanted] if wanted != "auto" else ["sampler", "pcp", "sysstat", "atop"]
    for source in sources if wanted != "none" else []:
        pairs, why = READERS[source](tree, run, options, begin)
        if pairs:
            return source, _until_now(tree, now, pairs)
        if wanted == source:
            raise NoSamples(
                "source is %s, and it has no sample of the last %d days: %s." % (source, options["days"], why)
            )
        tree.missing(source, why)
    return "none", _until_now(tree, now, [])


def _until_now(tree, now, pairs):
    """Return the samples of a source and the one of this moment."""
    last = of_now(tree, now, pairs)
    if multi_gen_lru(tree):
        # Its active list is of the young generations. A file that is read and not mapped gets into none of them,
        # however often that is (Documentation/mm/multigen_lru.rst); in the lab on 7.3 the list stayed empty.
        for sample, _counters in [*pairs, last]:
            sample["active_file"] = None
    return memory_samples.with_differences(thinned(pairs) + [last])


def of_now(tree, now, pairs):
    """Return (sample, counters) of this moment, of the last boot of the samples where the host has not booted since."""
    memory = _by_kernel_name(tree.text("/proc/meminfo", ""))
    boot = tree.text("/proc/sys/kernel/random/boot_id", "")
    if pairs:
        # The archives name no boot: theirs is this one where the last sample is younger than it.
        uptime = float((tree.text("/proc/uptime", "") or "0").split()[0])
        boot = pairs[-1][0]["boot"] if pairs[-1][0]["time"] > now - uptime else boot
    events = parse_vmstat(tree.text("/proc/vmstat", ""))
    return memory_samples.from_kernel(int(now), boot, page_size(tree), memory, events, {})


def _by_kernel_name(text):
    """Return /proc/meminfo by the kernel's own names, which the sampler keeps."""
    names = {}
    for line in text.splitlines():
        name = line.partition(":")[0]
        names.update(dict.fromkeys(parse_meminfo(line), name))
    return {names[key]: value for key, value in parse_meminfo(text).items()}


def thinned(pairs, most=MOST_SAMPLES):
    """Return at most that many: of each run of samples that follow each other the one with the least free memory."""
    if len(pairs) <= most:
        return list(pairs)
    width = -(-len(pairs) // most)
    runs = [pairs[place : place + width] for place in range(0, len(pairs), width)]
    return [min(run, key=lambda pair: pair[0]["available"] or pair[0]["free"] or 0) for run in runs]


def _sampler(tree, _run, options, begin):
    try:
        text = tree.read(options["path"])
    except EnvironmentError as error:
        return [], "%s: %s" % (options["path"], os.strerror(error.errno))
    pairs = [pair for pair in memory_samples.parse_sampler(text) if pair[0]["time"] >= begin]
    return pairs, "%s has none" % options["path"]


def _files(tree, directories, pattern, begin):
    """Return the files of an archive that were written since then, the oldest first."""
    found = []
    for directory in directories:
        for name in tree.names(directory):
            path = directory + "/" + name
            try:
                changed = os.stat(tree.real(path)).st_mtime
            except EnvironmentError:
                continue
            if pattern.match(name) and changed >= begin:
                found.append((changed, path))
    return [path for _changed, path in sorted(found)]


def _archive(tree, run, begin, directories, pattern, command, parse):
    """Return what a program tells of the files of its archive."""
    files = _files(tree, directories, pattern, begin)
    if not files:
        return [], "%s: no file of that time" % " and ".join(directories)
    found, why = [], ""
    for path in files:
        status, output, error = run(command(path), environ_update={"LC_ALL": "C", "TZ": "UTC"})
        if status:
            why = (error or output).strip().split("\n")[0] or "%s failed with status %d" % (command(path)[0], status)
            continue
        try:
            found.extend(sample for sample in parse(output) if sample["time"] >= begin)
        except (ValueError, KeyError, TypeError, AttributeError):
            why = "%s answers with something else than was asked for" % command(path)[0]
    # Their numbers are of intervals already: nothing is left to be subtracted.
    found.sort(key=lambda sample: sample["time"])
    return [(sample, {}) for sample in found], why or "its files hold none"


def _sysstat(tree, run, _options, begin):
    page = page_size(tree)
    return _archive(
        tree,
        run,
        begin,
        SYSSTAT,
        _SADC_FILE,
        lambda path: ["sadf", "-j", path, "--", "-r", "ALL", "-S", "-W"],
        lambda text: memory_samples.parse_sadf(text, page),
    )


def _atop(tree, run, _options, begin):
    return _archive(
        tree,
        run,
        begin,
        ATOP,
        _ATOP_FILE,
        lambda path: ["atop", "-r", path, "-P", "MEM,SWP,PAG"],
        memory_samples.parse_atop,
    )


def _pcp(tree, run, _options, begin):
    """Return what pmlogger has of this host: of several directories, that which was written last."""
    directories = [PCP + "/" + name for name in tree.names(PCP) if tree.is_dir(PCP + "/" + name)]
    if not directories:
        return [], "%s: no archive" % PCP
    newest = max(directories, key=lambda path: os.stat(tree.real(path)).st_mtime)
    metrics = [*memory_samples.PCP_MEMORY, *memory_samples.PCP_EVENTS, memory_samples.PCP_UPTIME]
    command = ["pmrep", "-a", newest, "-o", "csv", "-r", "--ignore-unknown", "-f", "%s", "-t", PCP_INTERVAL]
    status, output, error = run(command + metrics, environ_update={"LC_ALL": "C"})
    if status:
        return [], (error or output).strip().split("\n")[0] or "pmrep failed with status %d" % status
    pairs = memory_samples.parse_pmrep(output, page_size(tree))
    return [pair for pair in pairs if pair[0]["time"] >= begin], "%s has none" % newest


READERS = {"sampler": _sampler, "sysstat": _sysstat, "atop": _atop, "pcp": _pcp}
