# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each vm.* and kernel.panic* setting is now, what the next boot makes it, and which file decides that.

Rules: sysctl.d(5) and src/sysctl/sysctl.c of systemd, sysctl(8) and src/sysctl.c of procps-ng 4 (in version 3 globs do
not exist), do_sysctl_args() of the kernel for sysctl.* on its command line. The rules were compared with both programs
by tests/unit/test_sysctl.py, which runs them where they can touch nothing.

Names are written "vm/swappiness" inside this module, as systemd keeps them, and "vm.swappiness" in what it returns.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fnmatch
import os
import re
import stat
from collections import OrderedDict

from ansible_collections.linux_memory.oom.plugins.module_utils.system import kernel, page_size, parse_sysctl_list

# In order of precedence: a file hides those of the same name in the directories after its own.
DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
SYSCTL_CONF = "/etc/sysctl.conf"
COMMAND_LINE = "/proc/cmdline"

# ImportCredential= of systemd-sysctl.service (systemd 254) takes the first of these; systemd.exec(5).
_CREDENTIALS = (
    "/run/credentials/systemd-sysctl.service",
    "/run/credentials/@system",
    "/etc/credstore",
    "/run/credstore",
    "/usr/local/lib/credstore",
    "/usr/lib/credstore",
)
_UNITS = ("/usr/lib/systemd/system/systemd-sysctl.service", "/lib/systemd/system/systemd-sysctl.service")
_PROGRAMS = ("/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl")
_SCRIPTS = ("/etc/init.d/procps", "/etc/init.d/procps.sh", "/etc/init.d/sysctl")

# Writing to these does something once; reading stat_refresh does, too. They are no settings.
_ACTIONS = ("vm/compact_memory", "vm/drop_caches", "vm/stat_refresh")

# Of each pair the kernel obeys the one that was written last and sets the other to 0 (mm/page-writeback.c, mm/util.c).
PAIRS = {
    "vm/dirty_ratio": "vm/dirty_bytes",
    "vm/dirty_bytes": "vm/dirty_ratio",
    "vm/dirty_background_ratio": "vm/dirty_background_bytes",
    "vm/dirty_background_bytes": "vm/dirty_background_ratio",
    "vm/overcommit_ratio": "vm/overcommit_kbytes",
    "vm/overcommit_kbytes": "vm/overcommit_ratio",
}
# These two do so only when the value written is not the one they already have: "dirty_ratio = 0" after dirty_bytes
# changes nothing, "dirty_background_ratio = 0" after dirty_background_bytes switches the limit off.
_ZERO_OTHER_ON_CHANGE = ("vm/dirty_ratio", "vm/dirty_bytes")

# What the kernel starts with (mm/page-writeback.c, mm/util.c).
_DEFAULTS = {
    "vm/dirty_ratio": "20",
    "vm/dirty_bytes": "0",
    "vm/dirty_background_ratio": "10",
    "vm/dirty_background_bytes": "0",
    "vm/overcommit_ratio": "50",
    "vm/overcommit_kbytes": "0",
}
_SHARED_LIBRARY = re.compile(r"libsystemd-shared-([0-9]{3,4})\b")

# What the kernel takes from its command line under names of its own (Documentation/admin-guide/kernel-parameters.txt).
_PARAMETERS = {"panic": "kernel/panic", "panic_print": "kernel/panic_print", "panic_on_warn": "kernel/panic_on_warn"}

_GLOB = re.compile(r"[*?[]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_MAX_BRACES = 64
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+)$")


def normalise(key):
    """Return a key as a path below /proc/sys, "vm/swappiness", as systemd does.

    If the first separator is a dot, dots and slashes change places; if it is a slash, both stay what they are.
    """
    first = re.search(r"[./]", key)
    if first and first.group(0) == ".":
        key = swap_separators(key)
    return "/".join(part for part in key.split("/") if part and part != ".")


def swap_separators(key):
    """Return the key with "." and "/" exchanged: "vm/swappiness" becomes "vm.swappiness"."""
    return key.replace(".", "\0").replace("/", ".").replace("\0", "/")


def parse_conf(text):
    """Return what a sysctl.d file says: [{line (from 1), key ("vm/x"), value, ignore}], in its order.

    value is None for "-key" alone, which keeps globs from setting the key and undoes what came before. ignore is the
    "-" before an assignment. Comments, empty lines and lines that are neither of both are skipped.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r")
        if not line or line[0] in "#;":
            continue
        key, equals, value = line.partition("=")
        minus = key.startswith("-")
        key = normalise(key[1 if minus else 0 :].strip(" \t\r"))
        # The programs refuse to leave /proc/sys.
        if key and (equals or minus) and ".." not in key.split("/"):
            value = value.strip(" \t\r") if equals else None
            found.append({"line": number, "key": key, "value": value, "ignore": bool(minus and equals)})
    return found


def parse_command_line(text):
    """Return the same as parse_conf for what the kernel sets itself from its command line before any program runs."""
    found = []
    for word in _words(text):
        name, equals, value = word.partition("=")
        name = name.replace("-", "_") if not name.startswith("sysctl") else name
        if equals and re.match(r"sysctl[./]", name):
            key = "/".join(part for part in re.split(r"[./]", name[len("sysctl.") :]) if part)
        elif name == "oops" and value == "panic":
            key, value = "kernel/panic_on_oops", "1"
        elif name in _PARAMETERS and (equals or name == "panic_on_warn"):
            key, value = _PARAMETERS[name], value if equals else "1"
        else:
            continue
        found.append({"line": 1, "key": key, "value": value, "ignore": False})
    return found


def _words(text):
    """Split a kernel command line: double quotes keep blanks, and everything after a lone "--" is for init."""
    words = [word.replace('"', "") for word in re.findall(r'(?:[^\s"]|"[^"]*"?)+', text)]
    return words[: words.index("--")] if "--" in words else words


def same_value(one, other):
    """Return whether two values mean the same to the kernel: blanks or tabs between numbers, hexadecimal or not."""
    return _canonical(one) == _canonical(other)


def _canonical(value):
    return [str(number(word)) if number(word) is not None else word for word in value.split()]


def number(text):
    """Return a whole number as the kernel reads it (0x.. hexadecimal, a leading 0 octal), or None."""
    if not _NUMBER.match(text):
        return None
    digits = text.lstrip("-")
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") and len(digits) > 1 else 10
    try:
        return int(digits, base) * (-1 if text.startswith("-") else 1)
    except ValueError:
        return None


def expand_braces(pattern):
    """Return the patterns that a pattern with {a,b} stands for, at most 64: systemd's glob has them, procps' not."""
    done, todo = [], [pattern]
    while todo and len(done) + len(todo) <= _MAX_BRACES:
        pattern = todo.pop(0)
        match = _BRACES.search(pattern)
        if not match:
            done.append(pattern)
            continue
        before, after = pattern[: match.start()], pattern[match.end() :]
        todo = [before + part + after for part in match.group(1).split(",")] + todo
    return done


def glob_matches(pattern, key):
    """Return whether a glob(7) pattern matches a key; "*" does not reach over a "/"."""
    parts, names = pattern.split("/"), key.split("/")
    if len(parts) != len(names):
        return False
    try:
        return all(fnmatch.fnmatchcase(name, parts[at].replace("[^", "[!")) for at, name in enumerate(names))
    except re.error:
        # fnmatch of older Pythons trips over ranges such as [z-a], which match nothing.
        return False


def is_ours(key):
    """Return whether a key is one that this collection reads."""
    return key.startswith(("vm/", "kernel/panic"))


def systemd_writes(assignments, keys):
    """Return what systemd-sysctl writes, in its order: [(key, assignment that decides)]; keys are all there are.

    A key keeps the place of its first mention with the value it ends up with; another value moves it to the end. That
    order decides which one of a pair survives. A key named anywhere, even to be excluded, is never set by a glob; among
    globs the later write wins.
    """
    current = OrderedDict()
    for one in assignments:
        known = current.get(one["key"])
        if known and known["value"] != one["value"]:
            del current[one["key"]]
        current[one["key"]] = one
    writes = []
    for key, one in current.items():
        if one["value"] is None:
            continue
        if not _GLOB.search(key):
            writes.append((key, one))
            continue
        patterns = expand_braces(key)
        free = [name for name in keys if name not in current]
        writes += [(name, one) for name in free if any(glob_matches(pattern, name) for pattern in patterns)]
    return writes


def procps_writes(assignments, keys):
    """Return what sysctl --system writes, in its order: every assignment, one after the other.

    Unlike with systemd "-key" does not undo an assignment, and it may be a glob itself (not in 4.0.2 and before).
    """
    named = {one["key"] for one in assignments}
    excluded = [one["key"] for one in assignments if one["value"] is None]
    writes = []
    for one in assignments:
        if one["value"] is None:
            continue
        if not _GLOB.search(one["key"]):
            writes.append((one["key"], one))
            continue
        for name in keys:
            if name in named or any(glob_matches(pattern, name) for pattern in excluded):
                continue
            if glob_matches(one["key"], name):
                writes.append((name, one))
    return writes


def kernel_effect(writes, page=4096, state=None, skips_redundant=False):
    """Return what writes, in order, leave in the kernel: {key: {value, by, zeroed_by}}.

    by is the assignment that decides. The boot value of one of a pair is "0" where the other is written later; then
    zeroed_by names that other one. Values that the kernel refuses for a pair change nothing. state is what was left
    by earlier writes. skips_redundant: whoever writes reads first, and does not write what is there already.
    """
    state = dict(state or {})
    for key, one in writes:
        other = PAIRS.get(key)
        if other is None:
            state[key] = {"value": one["value"], "by": one, "zeroed_by": None}
            continue
        wanted = number(one["value"])
        if wanted is None or _refused(key, wanted, page):
            continue
        current = state[key]["value"] if key in state else _DEFAULTS[key]
        state[key] = {"value": one["value"], "by": one, "zeroed_by": None}
        if skips_redundant and one["value"].strip() == current.strip():
            continue
        if not (number(current) == wanted and key in _ZERO_OTHER_ON_CHANGE):
            state[other] = {"value": "0", "by": one, "zeroed_by": key}
    return state


def skips_redundant_writes(tree):
    """Return whether systemd-sysctl of this host leaves alone what is set already: systemd does so since 250.

    The version is that of its shared library; where that is not found, a new one is assumed.
    """
    folders = ["/usr/lib/systemd", "/lib/systemd"]
    folders += ["/usr/lib/%s/systemd" % name for name in tree.names("/usr/lib") if name.endswith("-linux-gnu")]
    for folder in folders:
        for name in tree.names(folder):
            match = _SHARED_LIBRARY.match(name)
            if match:
                return int(match.group(1)) >= 250
    return True


def _refused(key, value, page):
    """Return whether the kernel answers EINVAL (the tables of mm/page-writeback.c; the overcommit pair takes all)."""
    if key == "vm/dirty_bytes":
        return value < 2 * page
    if key == "vm/dirty_background_bytes":
        return value < 1
    return key in ("vm/dirty_ratio", "vm/dirty_background_ratio") and not 0 <= value <= 100


def config_files(tree, replace=None):
    """Return (files, masked): the sysctl.d files in the order in which they are read, and those hidden by another.

    masked is [{path, by}]; by is the file of the same name that counts instead, which may be an empty file or a link
    to /dev/null. replace is {path: text or None}: files to be thought there, or (None) thought absent.
    """
    replace = replace or {}
    chosen = {}
    masked = []
    seen = set()
    for where in DIRECTORIES:
        names = _names(tree, where, seen)
        names.update(os.path.basename(path) for path in replace if os.path.dirname(path) == where)
        for name in sorted(names):
            path = where + "/" + name
            if not name.endswith(".conf") or replace.get(path, "") is None:
                continue
            if name in chosen:
                masked.append({"path": path, "by": chosen[name]})
            else:
                chosen[name] = path
    return [chosen[name] for name in sorted(chosen)], masked


def _names(tree, where, seen):
    """Return the names in a directory, none where it is one that was read before: /lib is often a link to /usr/lib."""
    try:
        found = tree.stat(where)
        identity = (found.st_dev, found.st_ino)
        names = set() if identity in seen else set(os.listdir(tree.real(where)))
    except EnvironmentError as error:
        if os.path.lexists(tree.root + where):
            tree.missing("sysctl.files", error)
        return set()
    seen.add(identity)
    return names


def assignments_of(tree, paths, replace=None):
    """Return the assignments of files, in order, each with its file; those of which no line can be read have none."""
    found = []
    for path in paths:
        text = (replace or {}).get(path)
        if text is None:
            text = _text(tree, path)
        found.extend(dict(one, file=path) for one in parse_conf(text))
    return found


def _text(tree, path):
    if tree.link(path) == "/dev/null":
        return ""
    try:
        return tree.read(path)
    except EnvironmentError as error:
        # A link that leads nowhere masks as well as /dev/null does.
        if not os.path.islink(tree.root + path) or tree.exists(path):
            tree.missing("sysctl.files", error)
        return ""


def _credential(tree):
    """Return the path of the credential sysctl.extra, which systemd reads last, in a list; [] where there is none."""
    for where in _CREDENTIALS:
        path = where + "/sysctl.extra"
        if tree.exists(path):
            units = "".join(tree.text(unit, "") for unit in _UNITS)
            return [path] if re.search(r"^(?:Import|Load)Credential=sysctl\.", units, re.MULTILINE) else []
    return []


def _from_command_line(tree):
    """Return the assignments of the kernel command line; before 5.8 the kernel knew none of sysctl.*."""
    release = re.match(r"([0-9]+)\.([0-9]+)", kernel(tree) or "")
    found = parse_command_line(tree.text(COMMAND_LINE, ""))
    if release and (int(release.group(1)), int(release.group(2))) < (5, 8):
        found = [one for one in found if one["key"] in _PARAMETERS.values() or one["key"] == "kernel/panic_on_oops"]
    return [dict(one, file=COMMAND_LINE) for one in found]


def boot_tool(tree):
    """Return which program sets the values at boot: "systemd", or "procps" where only an init script does."""
    scripts = any(tree.exists(path) for path in _SCRIPTS)
    if scripts and not tree.sosreport and not any(tree.exists(path) for path in _PROGRAMS):
        return "procps"
    return "systemd"


def boot_values(tree, replace=None):
    """Return what the next boot sets: {tool, files, masked, keys}; files in the order in which they are read.

    keys is {"vm.x": {value, file, line, losers, zeroed_by, procps}} for each key that a file or the kernel command line
    sets or tries to: value, file and line None where the end is that nothing is set; losers [{file, line, value}] in
    the order of reading, value None for an exclusion; procps {value, file, line} where sysctl --system by hand would
    leave another value, else None. replace as in config_files: it answers "what if this file were there".
    """
    files, masked = config_files(tree, replace)
    first = _from_command_line(tree)
    by_systemd = assignments_of(tree, files + _credential(tree), replace)
    by_procps = assignments_of(tree, files + _sysctl_conf(tree, replace), replace)
    names = running_names(tree)
    early = [(one["key"], one) for one in first]
    page = page_size(tree)
    at_start = kernel_effect(early, page)
    systemd = kernel_effect(systemd_writes(by_systemd, names), page, at_start, skips_redundant_writes(tree))
    procps = kernel_effect(procps_writes(by_procps, names), page, at_start)
    tool = boot_tool(tree)
    assignments, result, other = first + by_systemd, systemd, procps
    if tool == "procps":
        assignments, result, other = first + by_procps, procps, procps
        files = files + _sysctl_conf(tree, replace)
    keys = {}
    for key in sorted(set(result) | set(other) | {one["key"] for one in assignments if not _GLOB.search(one["key"])}):
        if is_ours(key) and key not in _ACTIONS:
            keys[swap_separators(key)] = _decided(key, result.get(key), other.get(key), assignments)
    return {"tool": tool, "files": files, "masked": masked, "keys": keys}


def _sysctl_conf(tree, replace):
    """Return /etc/sysctl.conf in a list where procps would read it: a regular file, or a link to one."""
    if replace and SYSCTL_CONF in replace:
        return [SYSCTL_CONF] if replace[SYSCTL_CONF] is not None else []
    try:
        return [SYSCTL_CONF] if stat.S_ISREG(tree.stat(SYSCTL_CONF).st_mode) else []
    except EnvironmentError:
        return []


def _decided(key, result, other, assignments):
    winner = result["by"] if result else None
    entry = {
        "value": " ".join(result["value"].split()) if result else None,
        "file": winner["file"] if winner else None,
        "line": winner["line"] if winner else None,
        "losers": [
            {"file": one["file"], "line": one["line"], "value": one["value"]}
            for one in assignments
            if one is not winner and _speaks_of(one, key)
        ],
        "zeroed_by": swap_separators(result["zeroed_by"]) if result and result["zeroed_by"] else None,
        "procps": None,
    }
    if _value(result) is None or _value(other) is None:
        differs = _value(result) is not _value(other)
    else:
        differs = not same_value(result["value"], other["value"])
    if differs:
        by = other["by"] if other else {"file": None, "line": None}
        entry["procps"] = {"value": _value(other), "file": by["file"], "line": by["line"]}
    return entry


def _value(result):
    return result["value"] if result else None


def _speaks_of(one, key):
    if not _GLOB.search(one["key"]):
        return one["key"] == key
    return any(glob_matches(pattern, key) for pattern in expand_braces(one["key"]))


def running_names(tree):
    """Return the keys ("vm/swappiness") that the running kernel has and this collection reads, sorted."""
    return tree.once("sysctl.names", lambda: _running_names(tree))


def _running_names(tree):
    found = ["vm/" + name for name in tree.names("/proc/sys/vm")]
    found += ["kernel/" + name for name in tree.names("/proc/sys/kernel") if name.startswith("panic")]
    if tree.sosreport:
        found += [key for key in (normalise(key) for key in _listed(tree)) if is_ours(key)]
    return sorted({key for key in found if key not in _ACTIONS})


def _listed(tree):
    """Return the running values that a sosreport holds as the output of sysctl -a, by dotted name."""
    return tree.once("sysctl.listed", lambda: parse_sysctl_list(tree.text("/sos_commands/kernel/sysctl_-a", "")))


def running_value(tree, key):
    """Return the running value of a key ("vm/swappiness") with single blanks between numbers. Raises OSError."""
    try:
        return " ".join(tree.read("/proc/sys/" + key).split())
    except EnvironmentError:
        if tree.sosreport and swap_separators(key) in _listed(tree):
            return " ".join(_listed(tree)[swap_separators(key)].split())
        raise


def collect(tree, options, earlier=None):
    """Return {tool, files, masked, keys}: for every key the running value, the boot value, and who decides.

    agrees is True where the boot sets what runs or sets nothing (then boot is None and the kernel's default, which is
    not known here, stays), False where it sets something else, None where the running value could not be read.
    """
    boot = boot_values(tree)
    keys = {}
    for name in sorted(set(running_names(tree)) | {normalise(key) for key in boot["keys"]}):
        keys[swap_separators(name)] = _compared(tree, name, boot["keys"].get(swap_separators(name)))
    if not keys:
        tree.missing("sysctl", "/proc/sys/vm: holds nothing that could be read, and no file sets anything")
        return None
    return {"tool": boot["tool"], "keys": keys, "files": boot["files"], "masked": boot["masked"]}


def _compared(tree, name, decided):
    try:
        running = running_value(tree, name)
    except EnvironmentError as error:
        running = None
        tree.missing("sysctl." + swap_separators(name), error)
    entry = {"running": running, "boot": None, "file": None, "line": None, "losers": [], "agrees": True}
    if decided:
        entry.update((key, decided[key]) for key in ("file", "line", "losers"))
        entry.update((key, decided[key]) for key in ("zeroed_by", "procps") if decided[key])
        entry["boot"] = decided["value"]
    if entry["boot"] is not None:
        entry["agrees"] = same_value(running, entry["boot"]) if running is not None else None
    return entry
