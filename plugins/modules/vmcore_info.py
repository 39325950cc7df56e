#!/usr/bin/python

# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the state of memory in a saved crash."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: vmcore_info
short_description: Read how memory stood in a saved crash of a Linux host
version_added: 0.1.0
description:
  - Reads dumps that kdump has saved, and says where memory was when the kernel panicked, which tasks and slab caches held it, how
    much was dirty on which device, and which report of the OOM killer led to the panic.
  - With drgn and the debug symbols of the dumped kernel it reads the kernel's own structures. Without them it reads the log that
    was saved beside the dump, or the log in the dump with C(makedumpfile --dump-dmesg), and says what was missing.
  - Sizes are bytes, times are seconds. What a kernel's structures do not tell is null with a reason, never zero.
  - It returns the names of programs, never their arguments, environments or memory.
  - It changes nothing. A dump is read where it lies; only where drgn or makedumpfile cannot read a flattened one, it is
    rearranged in a temporary directory of mode 0700, after a look at the free space, and removed again.
extends_documentation_fragment:
  - linux_memory.oom.attributes
  - linux_memory.oom.attributes.reader
options:
  path:
    description:
      - A dump, a log that was saved instead of one, or a directory of them such as C(/var/crash).
      - Where the default directory does not exist, there is no crash; any other path has to exist.
      - A dump may be in the form of ELF, of kdump (compressed by any of makedumpfile's methods), or flattened.
    type: path
    default: /var/crash
  which:
    description: Of a directory, whether to read the V(newest) crash or V(all) of them.
    type: str
    choices: [newest, all]
    default: newest
  debuginfo:
    description:
      - A C(vmlinux) with debug symbols, or a directory that holds some as C(/usr/lib/debug) does.
      - Without it, C(/usr/lib/debug) is searched for C(boot/vmlinux-VERSION), C(lib/modules/VERSION/vmlinux) and the build ID.
      - Symbols of another build of the kernel are refused.
    type: path
  debuginfod:
    description:
      - Whether to ask the servers in the environment's C(DEBUGINFOD_URLS) for symbols that are not found. A module does not see
        what a login shell sets; give it with the C(environment) of the task.
      - Hundreds of megabytes may be fetched into the cache of debuginfod, which C(DEBUGINFOD_CACHE_PATH) moves. Few servers send
        the symbols of a kernel quickly, for which reason drgn itself asks them for Fedora's kernels only; this option asks for any.
      - It needs a drgn that was built with debuginfod, as the one of PyPI is; C(drgn --version) tells.
    type: bool
    default: false
  limit:
    description: How many tasks, slab caches and cgroups to list, the largest first, 1 to 100000.
    type: int
    default: 20
requirements:
  - drgn 0.1 or newer for this Python, and debug symbols (without them the log alone is read)
  - makedumpfile, where neither drgn nor a saved log is there
notes:
  - Reading C(/var/crash) needs root. A dump holds secrets, and a warning tells where others may read one.
  - drgn is imported by the Python that runs the module; choose one that has it with C(ansible_python_interpreter).
  - The counters of a cgroup are those of the kernel's last sum, which is up to two seconds old.
seealso:
  - module: linux_memory.oom.memory_facts
  - module: linux_memory.oom.oom_report_info
  - plugin: linux_memory.oom.diagnose
    plugin_type: filter
  - name: kdump
    description: How the kernel saves a crash, in its Documentation/admin-guide/kdump/kdump.rst.
    link: https://docs.kernel.org/admin-guide/kdump/kdump.html
  - name: makedumpfile
    description: The forms of dumps, makedumpfile(8).
    link: https://github.com/makedumpfile/makedumpfile
  - name: drgn
    description: How drgn reads a dump, and what it needs.
    link: https://drgn.readthedocs.io/
author:
  - linux_memory.oom contributors (@linux-memory)
"""

EXAMPLES = r"""
- name: Read the newest crash
  linux_memory.oom.vmcore_info:
  register: vmcore

- name: Say what the dump tells
  ansible.builtin.debug:
    msg: "{{ ({} | linux_memory.oom.diagnose(crash=vmcore.crashes | first) | first).summary }}"
  when: vmcore.crashes | length > 0

- name: Read a dump that was fetched, with symbols unpacked beside it
  linux_memory.oom.vmcore_info:
    path: /srv/cases/1234/vmcore
    debuginfo: /srv/cases/1234/usr/lib/debug
    limit: 50
  delegate_to: localhost

- name: Read a dump of Fedora, with symbols from its server
  linux_memory.oom.vmcore_info:
    path: /var/crash
    debuginfod: true
  environment:
    DEBUGINFOD_URLS: https://debuginfod.fedoraproject.org/
"""

RETURN = r"""
crashes:
  description: The crashes that were read, the newest first. Empty where a directory holds none.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The dump, or the log where there is no dump.
      type: str
      returned: always
    log:
      description: The log that was saved with it.
      type: str
      returned: always
    size:
      description: The size of that file.
      type: int
      returned: always
    form:
      description: V(elf), V(kdump) or V(flattened); V(log) where there is no dump, V(gzip) and the like where one was packed.
      type: str
      returned: always
    incomplete:
      description: Whether the dump's name says that it was not finished.
      type: bool
      returned: always
    source:
      description: Who told, V(drgn) the kernel's structures or V(dmesg) the log alone. Null where neither could be read.
      type: str
      returned: always
    why:
      description: Why the kernel's structures were not read and how to change that, one sentence; null with RV(crashes[].source=drgn).
      type: str
      returned: always
    debuginfo:
      description: The symbols that were used.
      type: str
      returned: always
    unavailable:
      description: What the kernel's structures do not tell, by name, with the reason.
      type: dict
      returned: always
    kernel:
      description: The release of the kernel that crashed.
      type: str
      returned: always
      sample: 6.1.0-50-cloud-amd64
    epoch:
      description: When, in seconds since 1970; of the dump's file where the dump does not tell.
      type: float
      returned: always
    time:
      description: The same in ISO 8601.
      type: str
      returned: always
    uptime:
      description: Seconds since boot at the crash.
      type: float
      returned: always
    panic:
      description: The panic's message.
      type: str
      returned: always
      sample: "Out of memory: system-wide panic_on_oom is enabled"
    report:
      description:
        - The report of the OOM killer that led to the panic, as in RV(linux_memory.oom.oom_report_info#module:reports). Null where
          something else did.
      type: dict
      returned: always
    oom_reports:
      description: How many reports of the OOM killer are in the log.
      type: int
      returned: always
    system:
      description: Kernel, host name, architecture and page size.
      type: dict
      returned: with RV(crashes[].source=drgn)
    memory:
      description:
        - The memory by kind, as C(/proc/meminfo) would have told at the crash, names as in
          RV(linux_memory.oom.memory_facts#module:ansible_facts.linux_memory.meminfo).
      type: dict
      returned: with RV(crashes[].source=drgn)
      sample: {mem_total: 1278746624, mem_free: 50589696, anon_pages: 1138352128, dirty: 0}
    swap:
      description: Swap and its devices, as in RV(linux_memory.oom.memory_facts#module:ansible_facts.linux_memory.swap).
      type: dict
      returned: with RV(crashes[].source=drgn)
    zones:
      description: The zones with watermarks, reserves and free blocks, named as in a report.
      type: list
      elements: dict
      returned: with RV(crashes[].source=drgn)
    hugepages:
      description: The pools of huge pages.
      type: list
      elements: dict
      returned: with RV(crashes[].source=drgn)
    slab:
      description: How many slab caches there are, their C(bytes), and the largest C(caches).
      type: dict
      returned: with RV(crashes[].source=drgn)
    writeback:
      description:
        - Dirty memory, the limits in force, and of each backing device what was C(dirty), under C(writeback), its
          C(write_bandwidth) as the kernel estimates it, and its limits.
      type: dict
      returned: with RV(crashes[].source=drgn)
    processes:
      description: The largest processes (C(top)) with their cgroup and unit, and all of one name together (C(by_comm)).
      type: dict
      returned: with RV(crashes[].source=drgn)
    cgroups:
      description: The largest memory cgroups with limits and events.
      type: dict
      returned: with RV(crashes[].source=drgn)
    overcommit:
      description: Mode and settings of memory accounting, what was promised, and the limit.
      type: dict
      returned: with RV(crashes[].source=drgn)
    sysctl:
      description: In C(keys) the settings that decide what happens when memory runs out, each with its C(running) value.
      type: dict
      returned: with RV(crashes[].source=drgn)
found:
  description: Every crash that the directory holds, oldest first, with the paths of its C(dump) and C(log), C(size) and C(time).
  returned: success
  type: list
  elements: dict
unavailable:
  description:
    - What could not be listed or read, by its path, with the reason. Where RV(crashes) is empty, there is no crash only if this is
      empty too, or tells of a path that does not exist.
    - C(kdump.dumps) are directories and dumps that could not be looked at; its reason begins with the path of the first.
  returned: success
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.linux_memory.oom.plugins.module_utils import log_source, vmcore, vmcore_drgn, vmcore_files

MOST = 100000
DEFAULT_PATH = "/var/crash"


def check(params):
    """Raise ValueError with one sentence for an argument that is not allowed."""
    if not 1 <= params["limit"] <= MOST:
        raise ValueError("limit: %d is not allowed; it has to be from 1 to %d" % (params["limit"], MOST))
    for name, what in (
        ("path", "a dump, a saved log or a directory of them"),
        ("debuginfo", "a vmlinux or a directory"),
    ):
        path = params[name]
        if path is None or (path == DEFAULT_PATH and not os.path.lexists(path)):
            continue
        try:
            os.stat(path)
        except EnvironmentError as error:
            raise ValueError("%s: %s: %s; it has to be %s" % (name, path, log_source.why(error), what))
        if not os.access(path, os.R_OK):
            raise ValueError("%s: %s may not be read by this user; it has to be %s" % (name, path, what))


def chosen(params):
    """Return ([crash] to read, [crash] that there are, {path: why not})."""
    path = params["path"]
    if path == DEFAULT_PATH and not os.path.lexists(path):
        return [], [], {path: "does not exist: no crash was ever saved there"}
    if os.path.isdir(path):
        found, missing = vmcore_files.crashes(path)
        newest_first = found[::-1]
        return newest_first[:1] if params["which"] == "newest" else newest_first, found, missing
    status = os.stat(path)
    known = vmcore_files.form_of(path) != "unknown"
    log = vmcore_files.log_beside(path) if known else path
    one = {"dump": path if known else None, "log": log, "size": status.st_size, "time": status.st_mtime}
    return [one], [one], {}


def kernel_of(dump, params, scratch):
    """Return (Kernel, symbols) of a dump. Raises OpenError or ValueError with a clause."""
    form = vmcore_files.form_of(dump)
    if form == "empty":
        raise ValueError("the dump is empty: it was never written")
    if form in vmcore_files.PACKED:
        raise ValueError("the dump is packed with %s; unpack it first" % form)
    try:
        program = vmcore_drgn.open_dump(dump)
    except vmcore_drgn.OpenError:
        if vmcore_drgn.drgn is None or form != "flattened":
            raise
        # Built without what reads flattened dumps; one that is cut off is refused there.
        program = vmcore_drgn.open_dump(vmcore_files.rearrange(dump, scratch))
    release, build_id = vmcore_drgn.identity(program)
    tried = []
    for path in vmcore_files.symbols(params["debuginfo"], release, build_id):
        try:
            vmcore_drgn.load_symbols(program, path)
            return vmcore_drgn.Kernel(program), path
        except vmcore_drgn.OpenError as error:  # noqa: PERF203 (the next place may hold the right one)
            tried.append("%s: %s" % (path, error))
    if params["debuginfod"]:
        try:
            vmcore_drgn.load_symbols(program, None)
            return vmcore_drgn.Kernel(program), "debuginfod"
        except vmcore_drgn.OpenError as error:
            tried.append("debuginfod: %s" % error)
    what = "; ".join(tried) if tried else "no debug symbols of %s were found" % release
    raise ValueError("%s; %s" % (what, vmcore_files.how_to_get(release)))


def read(crash, params, parent):
    """Return one crash."""
    dump, log = crash["dump"], crash["log"]
    result = {
        "path": dump or log,
        "log": log,
        "size": crash["size"],
        "form": "log" if dump is None else vmcore_files.form_of(dump),
        "incomplete": dump is not None and vmcore_files.incomplete(dump),
        "source": None,
        "why": None,
        "debuginfo": None,
        "unavailable": {},
        "epoch": crash["time"],
    }
    with vmcore_files.Scratch(parent) as scratch:
        data, uptime = None, None
        try:
            if dump is None:
                raise ValueError("no dump was saved, only the log")
            kernel, result["debuginfo"] = kernel_of(dump, params, scratch)
            reader = vmcore.Reader(kernel, params["limit"])
            result.update(reader.read())
            result["source"] = "drgn"
            told = reader.attempt("time", kernel.times)
            if told is not None:
                result["epoch"], uptime = told
            data = reader.attempt("log", kernel.log)
            result["unavailable"] = reader.unavailable
        except (vmcore_drgn.OpenError, ValueError) as error:
            result["why"] = "The kernel's structures were not read: %s." % str(error).rstrip(".")
        except Exception as error:  # a dump that ends too early can fail anywhere
            result["why"] = "The kernel's structures were not read: the dump is damaged or cut off (%s)." % (
                vmcore_drgn.reason(error)
            )
        if result.get("memory") is not None and result["memory"].get("mem_total") is None:
            result["why"] = "The kernel's structures were not read: the dump is damaged or cut off (%s)." % (
                result["unavailable"].get("memory.mem_total")
            )
            result["source"], result["unavailable"], data = None, {}, None
            for name in ("system", "memory", "swap", "zones", "hugepages", "slab", "writeback"):
                result.pop(name, None)
            for name in ("processes", "cgroups", "overcommit", "sysctl"):
                result.pop(name, None)
        if data is None:
            data = log_of(dump, log, scratch, result)
        add_log(result, data, uptime)
    return result


def log_of(dump, log, scratch, result):
    """Return the log that was saved, else that in the dump, else None with the reason in the result."""
    reasons = []
    try:
        if log is not None:
            return vmcore_files.read_log(log)
        reasons.append("no log was saved beside it")
        return vmcore_files.dmesg_of(dump, scratch)
    except (ValueError, EnvironmentError) as error:
        reasons.append(str(error))
    result["unavailable"]["log"] = "; ".join(reasons)
    return None


def add_log(result, data, uptime):
    """Add what the log tells, or nulls."""
    named = result.get("system") or {}
    told = dict.fromkeys(("panic", "report", "oom_reports", "kernel", "uptime", "log_bytes"))
    if data is not None:
        told = vmcore.from_log(data, result["log"] or result["path"], result["epoch"], uptime)
        result["source"] = result["source"] or "dmesg"
    del told["log_bytes"]
    told["kernel"] = named.get("kernel") or told["kernel"]
    result.update(told, time=vmcore.moment(result["epoch"]))


def main():
    """Check the arguments, read, answer."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": DEFAULT_PATH},
            "which": {"type": "str", "choices": ["newest", "all"], "default": "newest"},
            "debuginfo": {"type": "path"},
            "debuginfod": {"type": "bool", "default": False},
            "limit": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    try:
        check(module.params)
        wanted, found, missing = chosen(module.params)
    except ValueError as error:
        module.fail_json(msg=str(error))
    except EnvironmentError as error:
        module.fail_json(msg="path: %s: %s" % (module.params["path"], log_source.why(error)))
    for one in wanted:
        said = vmcore_files.open_to_others(one["dump"]) if one["dump"] else None
        if said:
            module.warn(said)
    crashes = []
    for one in wanted:
        try:
            crashes.append(read(one, module.params, module.tmpdir))
        except EnvironmentError as error:  # noqa: PERF203 (one dump must not cost the others)
            path = one["dump"] or one["log"]
            missing[path] = log_source.why(error)
    if missing and not crashes and not os.path.isdir(module.params["path"]):
        module.fail_json(msg="path: %s: %s" % next(iter(missing.items())))
    module.exit_json(crashes=crashes, found=found, unavailable=missing)


if __name__ == "__main__":
    main()
