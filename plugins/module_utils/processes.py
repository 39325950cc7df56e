# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The largest processes, by resident and swapped memory.

Formats: proc_pid_status(5), proc_pid_stat(5), proc_pid_smaps(5), fs/proc/array.c, fs/proc/task_mmu.c; ps(1) in a
sosreport.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import heapq
import os
import re
import threading

from ansible_collections.linux_memory.oom.plugins.module_utils.cgroups import parse_proc_cgroup, unit_of
from ansible_collections.linux_memory.oom.plugins.module_utils.mounts import mounts

# The kernel walks every page table entry of a process for its PSS, about 15 ms for each GiB, and keeps the process from
# changing its mappings meanwhile. This much is walked in one reading, in bytes, the largest processes that fit first.
PSS_BUDGET = 512 * 1024 * 1024

# On a host that is out of memory, a process can hold the lock of its mappings for minutes, and who reads its PSS or its
# arguments waits (which is why ps hangs there). They are read beside the main thread, which waits no longer than this.
PATIENCE = 0.25

# Who asks for rates waits for seconds anyway: then so many times the budget and the patience are spent.
BUDGET_WITH_WINDOW = 8
PATIENCE_WITH_WINDOW = 4

# A command line can be megabytes long.
LONGEST_ARGUMENTS = 4096

# What the kernel counts start times in for users, whatever its own clock (USER_HZ; 1024 on Alpha alone).
TICKS = 100

# Processes end while they are read: so many more candidates are kept than asked for.
SPARE = 5

_SIZES = (
    ("rss", "VmRSS"),
    ("rss_anon", "RssAnon"),
    ("rss_file", "RssFile"),
    ("rss_shmem", "RssShmem"),
    ("swap", "VmSwap"),
    ("locked", "VmLck"),
    ("page_tables", "VmPTE"),
    ("hugetlb", "HugetlbPages"),
)
_FIELD = re.compile(r"^(\w+):[ \t]*(.*)$", re.ASCII | re.MULTILINE)
_KILOBYTES = re.compile(r"([0-9]{1,16}) kB$", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,16}$", re.ASCII)
_SIGNED = re.compile(r"-?[0-9]{1,9}$", re.ASCII)
_PSS = re.compile(r"^Pss:\s+([0-9]{1,16}) kB$", re.ASCII | re.MULTILINE)
_BOOT = re.compile(r"^btime ([0-9]{1,12})$", re.ASCII | re.MULTILINE)
_GONE = (errno.ENOENT, errno.ESRCH)


def parse_kilobytes(text):
    """Return a size such as "123 kB" in bytes, or None."""
    match = _KILOBYTES.match(text.strip())
    return int(match.group(1)) * 1024 if match else None


def parse_count(text):
    """Return a whole number that is not negative, or None."""
    text = (text or "").strip()
    return int(text) if _COUNT.match(text) else None


def unescape_name(name):
    """Return a process's name as it is: the kernel writes newline and backslash of it as \\n and \\\\."""
    if "\\" not in name:
        return name
    return re.sub(r"\\(.)", lambda match: "\n" if match.group(1) == "n" else match.group(1), name)


def parse_status(text):
    """Return what /proc/PID/status says of identity and memory: bytes, counts, and None for what it lacks.

    comm, state (one letter), uid (the real one, as the kernel's OOM report prints it), threads, and sizes; a kernel
    thread has no sizes.
    """
    fields = dict(_FIELD.findall(text))
    found = {name: parse_kilobytes(fields.get(field, "")) for name, field in _SIZES}
    found["comm"] = unescape_name(fields["Name"]) if "Name" in fields else None
    found["state"] = fields.get("State", "")[:1] or None
    found["uid"] = parse_count((fields.get("Uid", "").split() or [""])[0])
    found["threads"] = parse_count(fields.get("Threads"))
    return found


def parse_size(text):
    """Return (comm, rss, swap) of /proc/PID/status, in bytes, without parsing the rest; None for a kernel thread.

    Every process is read for the ranking, so this is kept short. Zombies have no memory either.
    """
    rss = _after(text, "\nVmRSS:")
    if rss is None:
        return None
    end = text.find("\n")
    name = unescape_name(text[6:end]) if text.startswith("Name:\t") else ""
    return name, rss, _after(text, "\nVmSwap:") or 0


def parse_reserved(text):
    """Return what a process was promised by its private writable mappings, and how much of that is in RAM, in bytes.

    Kernels before 4.5 do not tell the second, which is then None.

    VmData and VmStk of /proc/PID/status, which any user may read: what strict accounting charges (mm/mmap.c,
    accountable_mapping and is_data_mapping), and with it mappings that were made with MAP_NORESERVE, which mode 2 would
    have charged. Not in it is memory that several processes share, which is charged once for all.
    """
    return (_after(text, "\nVmData:") or 0) + (_after(text, "\nVmStk:") or 0), _after(text, "\nRssAnon:")


def _after(text, label):
    start = text.find(label)
    if start < 0:
        return None
    start += len(label)
    end = text.find("\n", start)
    return parse_kilobytes(text[start : end if end >= 0 else len(text)])


def parse_start(text):
    """Return when a process started, in seconds since boot, from /proc/PID/stat, or None."""
    # The name, in parentheses, may itself hold blanks and parentheses. starttime is field 22, the first after it is 3.
    fields = text.rpartition(")")[2].split()
    ticks = parse_count(fields[19]) if len(fields) > 19 else None
    return None if ticks is None else ticks / float(TICKS)


def parse_pss(text):
    """Return the proportional set size of smaps_rollup in bytes, or None."""
    match = _PSS.search(text)
    return int(match.group(1)) * 1024 if match else None


def parse_arguments(text):
    """Return the arguments of /proc/PID/cmdline as a list, cut to LONGEST_ARGUMENTS characters altogether."""
    if len(text) > LONGEST_ARGUMENTS:
        text = text[:LONGEST_ARGUMENTS] + "…"
    text = text.rstrip("\0")
    return text.split("\0") if text else []


def parse_ps(text):
    """Return the processes that ps printed (the formats l and u): a list of {pid, user, rss, comm, arguments}.

    rss is bytes; user a number or a name. Lines of threads, and lines that are not understood, are skipped.
    """
    found = []
    columns = []
    for line in text.splitlines():
        words = line.split()
        if "PID" in words and "RSS" in words and words[-1] == "COMMAND":
            columns = words
            continue
        if not columns:
            continue
        cells = {columns[place]: cell for place, cell in enumerate(line.split(None, len(columns) - 1))}
        pid, rss = parse_count(cells.get("PID")), parse_count(cells.get("RSS"))
        command = cells.get("COMMAND", "").lstrip(" |\\_")
        if pid is None or rss is None or not command:
            continue
        found.append(
            {
                "pid": pid,
                "user": cells.get("UID", cells.get("USER")),
                "rss": rss * 1024,
                "comm": _name_of_command(command),
                "arguments": command,
            }
        )
    return found


def _name_of_command(command):
    """Return what the kernel would call a process, going by its command line: it keeps 15 characters of the file."""
    if command.startswith("["):
        return command.strip("[]")[:15]
    return command.split()[0].rstrip(":").rsplit("/", 1)[-1][:15]


def parse_ps_groups(text):
    """Return {pid: (comm, threads, cgroup path)} of "ps axo pid,ppid,user,group,lwp,nlwp,start_time,comm,cgroup"."""
    found = {}
    for line in text.splitlines():
        cells = line.split()
        if len(cells) < 9 or parse_count(cells[0]) is None or parse_count(cells[5]) is None:
            continue
        # ps joins the lines of /proc/PID/cgroup with commas.
        groups = parse_proc_cgroup(re.sub(r",(?=[0-9]+:)", "\n", cells[-1]))
        found[int(cells[0])] = (" ".join(cells[7:-1]), int(cells[5]), groups)
    return found


def identifiers(tree):
    """Return the numbers of the processes in the tree, as text."""
    return [name for name in tree.names("/proc") if _COUNT.match(name)]


def names(tree):
    """Return the set of the names of all processes (at most 15 characters each), or None where there are none to read.

    The reading of this subset is used where there was one, so that a host is walked once.
    """
    return tree.once("process_names", lambda: _read_names(tree))


def _read_names(tree):
    found = set()
    for pid in identifiers(tree):
        name = tree.text("/proc/%s/comm" % pid)
        if name is None and not tree.live:
            name = (parse_size(tree.text("/proc/%s/status" % pid, "")) or (None,))[0]
        if name:
            found.add(name)
    if not found and tree.sosreport:
        found = {process["comm"] for process in _ps(tree)}
    return found or None


class Survey:
    """The first pass: one file for each process, which ranks them."""

    def __init__(self, keep):
        self.keep = keep
        self.seen = self.read = self.resident = self.reserved = 0
        self.denied = 0
        self.largest = []
        self.by_name = {}
        self.names = set()

    def add(self, pid, text):
        """Count one process, given its status."""
        self.read += 1
        found = parse_size(text)
        if found is None:
            return
        name, rss, swap = found
        reserved, anon = parse_reserved(text)
        self.count(name, rss, swap, reserved, rss if anon is None else anon)
        # The texts of the largest alone are kept: this runs on hosts that have no memory left.
        entry = (rss + swap, pid, text)
        if len(self.largest) < self.keep:
            heapq.heappush(self.largest, entry)
        elif entry > self.largest[0]:
            heapq.heapreplace(self.largest, entry)

    def count(self, name, rss, swap, reserved=0, anon=0):
        """Add a process to the sums."""
        self.resident += rss
        self.reserved += reserved
        self.names.add(name)
        total = self.by_name.setdefault(name, [0, 0, 0, 0, 0])
        total[0] += 1
        total[1] += rss
        total[2] += swap
        total[3] += reserved
        total[4] += anon

    def sums(self, top):
        """Return the memory of all processes of one name together, the largest sums first."""
        ordered = sorted(self.by_name.items(), key=lambda item: (-item[1][1] - item[1][2], item[0]))
        return [{"comm": name, "processes": sums[0], "rss": sums[1], "swap": sums[2]} for name, sums in ordered[:top]]

    def reservations(self, top):
        """Return what all processes of one name have reserved and use of it, the largest reservations first."""
        ordered = sorted(self.by_name.items(), key=lambda item: (-item[1][3], item[0]))
        return [
            {"comm": name, "processes": sums[0], "reserved": sums[3], "used": sums[4] + sums[2]}
            for name, sums in ordered[:top]
        ]


def survey(tree, keep):
    """Return the Survey of all processes that have a status file."""
    found = Survey(keep)
    for pid in identifiers(tree):
        try:
            text = tree.read("/proc/%s/status" % pid)
        except EnvironmentError as error:
            if error.errno not in _GONE:
                found.seen += 1
                found.denied += 1
            continue
        found.seen += 1
        found.add(int(pid), text)
    return found


def boot_time(tree):
    """Return when the host booted, in seconds since the epoch, or None."""
    match = _BOOT.search(tree.once("/proc/stat", lambda: tree.text("/proc/stat", "")))
    return int(match.group(1)) if match else None


def details(tree, pid, status):
    """Return a process as the facts have it, less what is read later; None where it has ended meanwhile."""
    try:
        groups = parse_proc_cgroup(tree.read("/proc/%d/cgroup" % pid))
    except EnvironmentError as error:
        # A kernel without control groups has no such file for any process.
        if error.errno in _GONE and not tree.exists("/proc/%d/status" % pid):
            return None
        groups = {}
    found = parse_status(status)
    found.pop("state")
    started, booted = parse_start(tree.text("/proc/%d/stat" % pid, "")), boot_time(tree)
    found.update(_where(groups))
    found.update(
        {
            "pid": pid,
            "swap": found["swap"] or 0,
            "pss": None,
            "oom_score": parse_count(tree.text("/proc/%d/oom_score" % pid)),
            "oom_score_adj": _signed(tree.text("/proc/%d/oom_score_adj" % pid)),
            "start_time": None if started is None or booted is None else booted + started,
        }
    )
    return found


def _where(groups):
    """Return cgroup and unit of a process: the group that its memory is charged to, and the unit that systemd knows."""
    path = groups.get("memory", groups.get(""))
    return {"cgroup": path, "unit": unit_of(groups.get("name=systemd") or groups.get("") or path or "")}


def _signed(text):
    text = (text or "").strip()
    return int(text) if _SIGNED.match(text) else None


class Slow:
    """What can make its reader wait: the PSS, and the arguments where they are asked for. Safe to give up on."""

    def __init__(self, tree, found, options):
        self.tree = tree
        self.budget = PSS_BUDGET * (BUDGET_WITH_WINDOW if options["seconds"] else 1)
        self.patience = PATIENCE * (PATIENCE_WITH_WINDOW if options["seconds"] else 1)
        self.wanted = _affordable(found, self.budget)
        self.skipped = len(found) - len(self.wanted)
        self.pids = [process["pid"] for process in found] if options["process_arguments"] else []
        self.pss = {}
        self.arguments = {}
        self.denied = 0
        self.done = False

    def read(self):
        """Read until done or, on a live host, until the patience is at an end."""
        if not self.tree.live:
            return self._read()
        # The wait for the lock ends when this process ends, so a thread that still waits holds nobody up.
        worker = threading.Thread(target=self._read)
        worker.daemon = True
        worker.start()
        worker.join(self.patience)
        return None

    def _read(self):
        for pid in self.pids:
            self.arguments[pid] = parse_arguments(self.tree.text("/proc/%d/cmdline" % pid, ""))
        for pid in self.wanted:
            self.pss[pid] = self._pss_of(pid)
        self.done = True

    def _pss_of(self, pid):
        try:
            return parse_pss(self.tree.read("/proc/%d/smaps_rollup" % pid))
        except EnvironmentError as error:
            self.denied += error.errno in (errno.EACCES, errno.EPERM)
            return None

    def say(self):
        """Record what is not there, and why."""
        if self.denied:
            self.tree.missing("processes.pss", "permission denied for %d of the listed processes" % self.denied)
        elif not self.done:
            self.tree.missing(
                "processes.pss", "not all read within %.2f s: a process held its mappings" % self.patience
            )
        elif self.skipped:
            text = "not read for %d of the listed processes: more than %d MiB would have had to be walked"
            self.tree.missing("processes.pss", text % (self.skipped, self.budget >> 20))


def _affordable(found, left):
    """Return the pids, largest first, whose page tables can be walked with that many bytes left."""
    pids = []
    for process in found:
        # Swapped pages have entries of their own, and are walked as well.
        size = (process["rss"] or 0) + process["swap"]
        if size <= left:
            left -= size
            pids.append(process["pid"])
    return pids


def hidden(tree):
    """Return why other users' processes cannot be seen, or None (proc(5), mount option hidepid)."""
    if not tree.live or os.geteuid() == 0:
        return None
    for mount in mounts(tree):
        if mount["mount"] == "/proc" and mount["type"] == "proc":
            for option in mount["super_options"]:
                if option.startswith("hidepid=") and option not in ("hidepid=0", "hidepid=off"):
                    return "/proc is mounted with %s, which hides the processes of other users" % option
    return None


def collect(tree, options, earlier=None):
    """Return the largest processes and the largest sums by name; bytes, and seconds since the epoch.

    count is the processes that exist, examined those that could be read; resident is the sum of their rss, in which
    shared pages count once for each process; reserved is the sum of what was promised to them, see parse_reserved.
    """
    top = options["top"]
    found = survey(tree, top + SPARE)
    if not found.seen and tree.sosreport:
        return _from_ps(tree, options)
    if not found.read:
        tree.missing("processes", "/proc: no process could be read")
        return None
    tree.once("process_names", lambda: found.names)
    if found.denied:
        tree.missing("processes.others", "permission denied for %d of %d processes" % (found.denied, found.seen))
    elif hidden(tree):
        tree.missing("processes.others", hidden(tree))
    largest = []
    for _size, pid, status in sorted(found.largest, key=lambda entry: (-entry[0], entry[1])):
        process = details(tree, pid, status) if len(largest) < top else None
        if process is not None:
            largest.append(process)
    _add_slow(tree, largest, options)
    return {
        "count": found.seen,
        "examined": found.read,
        "resident": found.resident,
        "reserved": found.reserved,
        "top": largest,
        "by_comm": found.sums(top),
        "by_reserved": found.reservations(top),
    }


def _add_slow(tree, largest, options):
    slow = Slow(tree, largest, options)
    slow.read()
    slow.say()
    for process in largest:
        process["pss"] = slow.pss.get(process["pid"])
        if options["process_arguments"]:
            process["arguments"] = slow.arguments.get(process["pid"])


def _ps(tree):
    """Return the processes of a sosreport that has no files of them, by pid, from what ps printed."""
    where = "/sos_commands/process"
    for name in ("ps_alxwww", "ps_auxwwwm", "ps_auxwww", "ps_auxfwww", "ps_auxww", "ps_aux"):
        found = parse_ps(tree.text("%s/%s" % (where, name), ""))
        if found:
            return found
    return []


def _from_ps(tree, options):
    """Return the facts as far as ps tells them: resident memory, but neither swap nor PSS."""
    processes = _ps(tree)
    if not processes:
        tree.missing("processes", "neither /proc/PID/status nor sos_commands/process/ps_* could be read")
        return None
    tree.missing("processes.swap", "the sosreport holds no /proc/PID/status, and ps does not print swap")
    more = tree.text("/sos_commands/process/ps_axo_pid_ppid_user_group_lwp_nlwp_start_time_comm_cgroup", "")
    groups, users = parse_ps_groups(more), _users(tree)
    found = Survey(0)
    for process in processes:
        process["comm"] = groups.get(process["pid"], (process["comm"],))[0]
        if process["rss"]:
            found.count(process["comm"], process["rss"], 0)
    tree.once("process_names", lambda: {process["comm"] for process in processes})
    largest = sorted(processes, key=lambda process: (-process["rss"], process["pid"]))[: options["top"]]
    by_name = found.sums(options["top"])
    for sums in by_name:
        sums["swap"] = None
    return {
        "count": len(processes),
        "examined": len(processes),
        "resident": found.resident,
        "reserved": None,
        "top": [_from_ps_line(line, groups, users, options) for line in largest],
        "by_comm": by_name,
        "by_reserved": None,
    }


def _from_ps_line(line, groups, users, options):
    _comm, threads, paths = groups.get(line["pid"], (None, None, {}))
    found = dict.fromkeys([name for name, _field in _SIZES] + ["pss", "oom_score", "oom_score_adj", "start_time"])
    found.update(_where(paths))
    user = line["user"]
    found.update(
        {
            "pid": line["pid"],
            "comm": line["comm"],
            "uid": parse_count(user) if parse_count(user) is not None else users.get(user),
            "rss": line["rss"],
            "threads": threads,
        }
    )
    if options["process_arguments"]:
        found["arguments"] = parse_arguments(line["arguments"])
    return found


def _users(tree):
    """Return {name: uid} of the tree's passwd file."""
    found = {}
    for line in tree.text("/etc/passwd", "").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and parse_count(fields[2]) is not None:
            found[fields[0]] = int(fields[2])
    return found
