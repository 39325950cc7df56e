# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring whole files of systemd - units, drop-ins, programs - to what was asked for, and read systemd back."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import os
import re
import stat
import sys

from ansible_collections.linux_memory.oom.plugins.module_utils import owned_file, swap_file_plan, timespan, unit_files
from ansible_collections.linux_memory.oom.plugins.module_utils.changer import Refused, command, must, only_predicts
from ansible_collections.linux_memory.oom.plugins.module_utils.commands import runner
from ansible_collections.linux_memory.oom.plugins.module_utils.companions import Process, wait_until
from ansible_collections.linux_memory.oom.plugins.module_utils.meminfo import meminfo
from ansible_collections.linux_memory.oom.plugins.module_utils.swap import parse_swaps
from ansible_collections.linux_memory.oom.plugins.module_utils.systemd import Systemd, SystemdError, first
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree

# A service that is restarted more often than that, in seconds, is in a loop: ten times an hour, as for other restarts.
LEAST_RUNTIME = 360
# What the module takes, for AnsibleModule and for linux_memory.oom.together.
SPEC = {
    "argument_spec": {
        "purpose": {"type": "str", "required": True},
        "files": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "path": {"type": "str", "required": True},
                "content": {"type": "str", "required": True},
                "mode": {"type": "str", "choices": ["0644", "0600", "0700"], "default": "0644"},
            },
        },
        "need_units": {"type": "list", "elements": "str", "default": []},
        "need_restart": {"type": "list", "elements": "str", "default": []},
        "needs": {"type": "dict", "default": {}},
        "resident": {"type": "dict", "default": {}},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "force": {"type": "bool", "default": False},
    },
}


class Host:
    """What the host has of the purpose, and the hands that change it."""

    def __init__(self, module):
        self.module = module
        self.purpose = module.params["purpose"]

    def show(self, units, properties):
        """Return {unit: {property: value}} as systemd has it."""
        try:
            shown = Systemd(runner(self.module)).show(list(units), properties)
        except SystemdError as error:
            raise Refused("%s." % str(error).rstrip("."))
        return {
            unit: {name: first(block, name) for block in blocks for name in properties if name in block}
            for unit, blocks in shown.items()
        }

    def units(self, names):
        """Return {unit: {active, enabled}}."""
        found = self.show(names, ["ActiveState", "UnitFileState"])
        return {
            name: {
                "active": said.get("ActiveState") in ("active", "activating", "reloading"),
                "enabled": said.get("UnitFileState") == "enabled" if unit_files.is_enabled_by_link(name) else None,
            }
            for name, said in found.items()
        }

    def not_read(self, paths):
        """Return whether systemd has not read the files of units since they were changed: a run was stopped there."""
        names = {unit_files.drop_in_unit(path) or os.path.basename(path) for path in paths}
        kinds = (".timer", ".service", ".slice", ".scope", ".socket", ".target")
        names = sorted(name for name in names if name.endswith(kinds))
        return any(said.get("NeedDaemonReload") == "yes" for said in self.show(names, ["NeedDaemonReload"]).values())

    def stopped(self):
        """Return whether a run was stopped while it changed the files of the purpose."""
        return os.path.exists(unit_files.pending(self.purpose))

    def begin(self):
        """Note that the files change from now on: what follows from them is done, or is done by the next run."""
        path = unit_files.pending(self.purpose)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path), 0o755)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        owned_file.sync_folder(os.path.dirname(path))

    def end(self):
        """Note that everything is done."""
        path = unit_files.pending(self.purpose)
        owned_file.remove(path)
        if not os.listdir(os.path.dirname(path)):
            os.rmdir(os.path.dirname(path))

    def sweep(self):
        """Remove what a stopped run has left: half-written files of the purpose, and their empty directories."""
        mark = re.compile(r"\.linux_memory\.oom\.(?:[0-9]{2}-)?linux_memory_oom-%s[-.]" % re.escape(self.purpose))
        for folder in self.directories():
            rests = [name for name in os.listdir(folder) if mark.match(name)]
            for name in rests:
                os.unlink(os.path.join(folder, name))
            if rests and folder != unit_files.UNITS and not os.listdir(folder):
                os.rmdir(folder)

    @staticmethod
    def directories():
        """Return the directories that are there and can hold files of ours."""
        names = os.listdir(unit_files.UNITS) if os.path.isdir(unit_files.UNITS) else []
        return [folder for folder in unit_files.directories(sorted(names)) if os.path.isdir(folder)]

    def owned(self):
        """Return {path: (text, mode)} of the files of the purpose that this collection wrote."""
        found = {}
        for folder in self.directories():
            for name in sorted(os.listdir(folder)):
                path = os.path.join(folder, name)
                if unit_files.name_is_owned(name, self.purpose) and os.path.isfile(path) and not os.path.islink(path):
                    text = owned_file.read(path)
                    if owned_file.is_owned(text):
                        found[path] = (text, "%04o" % stat.S_IMODE(os.stat(path).st_mode))
        return found

    def processes(self, units):
        """Return {service: Process} of those whose main process runs."""
        found = {}
        for name, said in self.show(units, ["MainPID"]).items():
            process = Process.read(Tree("/"), said.get("MainPID"))
            if process:
                found[name] = process
        return found

    def zram_swaps(self, units):
        """Return {device: its line of /proc/swaps} of the zram swaps with these units."""
        devices = {"/dev/%s" % device: device for device in map(unit_files.zram_device, units) if device}
        swaps = parse_swaps(Tree("/").read("/proc/swaps"))
        return {devices[one["path"]]: one for one in swaps if one["path"] in devices}

    def brought(self):
        """Return whether a package was installed for the purpose."""
        return os.path.exists(unit_files.brought(self.purpose))

    def others_zram(self, there):
        """Return the units of the zram swaps that files beside ours describe; there: ours, by their paths.

        Those of a zram-generator that was installed for the purpose do not count: they go with it.
        """
        if self.brought() or not any(map(os.path.exists, unit_files.ZRAM_GENERATORS)):
            return set()
        paths = [path for path in unit_files.zram_settings(os.path.exists, os.listdir) if path not in there]
        devices = [device for path in paths for device in unit_files.zram_devices(owned_file.read(path))]
        return {"dev-%s.swap" % device for device in devices}


def wished(params):
    """Return {path: (text, mode)}. Raises Refused."""
    if not unit_files.PURPOSE.match(params["purpose"]):
        raise Refused("purpose: %r is not made of small letters, digits and '_'." % params["purpose"])
    if params["state"] == "absent":
        if params["files"]:
            raise Refused("files: with state absent there are none to give; all of the purpose are removed.")
        return {}
    found = {}
    for one in params["files"]:
        path = one["path"]
        wrong = unit_files.wrong_path(path, params["purpose"])
        if wrong:
            raise Refused("files: %s cannot be owned: %s." % (path, wrong))
        if path in found:
            raise Refused("files: %s was given twice." % path)
        for name, value in unit_files.wrong_spans(one["content"]):
            raise Refused("files: %s=%s in %s is no time span such as 90s or 1h 30min." % (name, value, path))
        body = one["content"].rstrip("\n").replace(unit_files.PYTHON, sys.executable).split("\n")
        found[path] = (owned_file.render(body), one["mode"])
    return found


def refuse(host, params, files, there):
    """Raise Refused for what cannot work on this host, before anything is changed."""
    for path in files:
        if path not in there and os.path.lexists(path):
            raise Refused("files: %s exists and was not written by this collection: it is left alone." % path)
    for path, (text, dummy) in files.items():
        for value in unit_files.calendars(text):
            status, dummy, dummy = command(host.module, ["systemd-analyze", "calendar", value])
            if status:
                raise Refused("files: OnCalendar=%s in %s is no calendar event (systemd.time(7))." % (value, path))
        zram = unit_files.zram_devices(text) and os.path.dirname(path) == unit_files.ZRAM
        if zram and command(host.module, ["systemd-detect-virt", "--container", "--quiet"])[0] == 0:
            raise Refused("files: %s is for zram-generator, which does nothing in a container." % path)
    said = host.show(params["need_units"], ["LoadState"])
    for unit in params["need_units"]:
        if said[unit].get("LoadState") != "loaded":
            raise Refused(
                "need_units: there is no unit %s on this host (LoadState=%s)." % (unit, said[unit].get("LoadState"))
            )
    said = host.show(params["need_restart"], ["Restart"])
    for unit in params["need_restart"]:
        drop_ins = [text for path, (text, dummy) in files.items() if unit_files.drop_in_unit(path) == unit]
        values = re.findall(r"^Restart=(.*)$", "\n".join(drop_ins), re.MULTILINE) or [said[unit].get("Restart")]
        # Undone by this very run: what the unit has without our drop-in is not known, what is written counts.
        if values[-1] not in ("always", "on-failure", "on-abnormal"):
            raise Refused(
                "need_restart: %s has Restart=%s, and RuntimeMaxSec= would stop it for good; give a Restart= of "
                "always, on-failure or on-abnormal." % (unit, values[-1])
            )
        for name, value in [one for text in drop_ins for one in unit_files.spans(text)]:
            length = timespan.microseconds(value) if name == "RuntimeMaxSec" else None
            if length is not None and length < LEAST_RUNTIME * 10**6 and not params["force"]:
                raise Refused(
                    "need_restart: RuntimeMaxSec=%s would restart %s again and again; take at least %d s, or say force."
                    % (value, unit, LEAST_RUNTIME)
                )


def refuse_room(host, units, force):
    """Raise Refused where the zram swap that is to be switched off does not fit into memory."""
    used = sum(one["used"] for one in host.zram_swaps(units).values())
    memory = meminfo(Tree("/"))
    available, margin = memory.get("mem_available", 0), swap_file_plan.memory_margin(memory.get("mem_total", 0))
    if used and not force and used + margin > available:
        raise Refused(
            "zram: %s of swap in use would have to go into memory, where %s are available (MemAvailable) and %s "
            "of them must stay so: stop what is swapped out first, or say force."
            % tuple(swap_file_plan.human(size) for size in (used, available, margin))
        )


def wished_resident(params, files):
    """Return {service: bytes of RAM that its main process is to hold}. Raises Refused."""
    names = {os.path.basename(path) for path, (text, dummy) in files.items() if unit_files.partner(path, text)}
    found = {}
    for name, size in params["resident"].items() if files else ():
        if name not in names:
            raise Refused("resident: %s is no service among the files that is part of another unit." % name)
        try:
            found[name] = int(size)
        except (TypeError, ValueError):
            raise Refused("resident: %s of %s is not a number of bytes." % (size, name))
    return found


def plan(host, files, there, resident):
    """Return (file items, unit items, units to stop first, units to start)."""
    items = []
    for path in sorted(set(files) | set(there)):
        before, after = there.get(path), files.get(path)
        items.append(
            {
                "path": path,
                "before": {"present": before is not None, "mode": before and before[1]},
                "after": {"present": after is not None, "mode": after and after[1]},
                "status": "unchanged" if before == after else "removed" if after is None else "written",
            }
        )
    changed = [one["path"] for one in items if one["status"] != "unchanged"]
    old = {unit: path for path, (text, dummy) in there.items() for unit in unit_files.units_of(path, text)}
    new = {unit: path for path, (text, dummy) in files.items() for unit in unit_files.units_of(path, text)}
    waiting = waiting_companions(host, {unit: unit_files.partner(path, files[path][0]) for unit, path in new.items()})
    now = host.units(sorted(set(old) | set(new)))
    holds = held(host, resident)
    # Without ours, the swap that the host's own settings describe is there again, as after a restart.
    others = host.others_zram(there) if any(map(unit_files.zram_device, old)) else set()
    units, stop, start = [], [], []
    for name in sorted(now):
        link = unit_files.is_enabled_by_link(name)
        active = name in others or name in new and name not in waiting
        after = {"active": active, "enabled": (name in new) if link else None}
        if name in resident:
            now[name]["holds"], after["holds"] = holds.get(name, False), active
        anew = name in new and new[name] in changed or now[name].get("holds", True) != after.get("holds", True)
        # A device that runs by the host's own settings takes ours only when it is made anew.
        ours = name in old or unit_files.zram_device(name)
        if now[name]["active"] and ours and (not active or anew or old.get(name) in changed):
            stop.append(name)
        if active and (now[name] != after or anew or name in stop):
            start.append(name)
        units.append({"name": name, "before": now[name], "after": after})
    return items, units, stop, start


def all_anew(units, stop, start):
    """Return (units to stop first, units to start) after a run that was stopped: what runs may be from before it."""
    running = {one["name"] for one in units if one["after"]["active"]}
    timers = {one["name"] for one in units if one["after"]["enabled"]} & running
    companions = {name for name in running if name.endswith(".service")}
    stopped = {one["name"] for one in units if one["before"]["active"]} & companions
    return sorted(set(stop) | stopped), sorted(set(start) | timers | companions)


def waiting_companions(host, partners):
    """Return the companions whose partners do not run. partners: {unit: the unit that it is part of, or None}."""
    runs = host.units(sorted({partner for partner in partners.values() if partner}))
    return {unit for unit, partner in partners.items() if partner and not runs[partner]["active"]}


def held(host, resident):
    """Return {service: whether its main process has in RAM what it is to hold} of those that run."""
    processes = host.processes(sorted(resident))
    return {name: process.holds(resident[name]) for name, process in processes.items()}


def shown(text, mode):
    """Return the text of a file for the diff; of one that others may not read, and of a program, only its digest."""
    if mode == "0644" or not text:
        return text
    return "sha256 %s\n" % hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def diff_of(items, units, files, there):
    """Return the diff: each changed file as it was and will be, and the units that change."""
    found = []
    for one in items:
        if one["status"] != "unchanged":
            old, new = (shown(*side.get(one["path"], ("", "0644"))) for side in (there, files))
            found.append({"before_header": one["path"], "after_header": one["path"], "before": old, "after": new})
    changed = [one for one in units if one["before"] != one["after"]]
    if changed:
        sides = {
            side: "".join(
                "%s %s: %s\n" % (one["name"], name, one[side][name]) for one in changed for name in sorted(one[side])
            )
            for side in ("before", "after")
        }
        found.append(dict(sides, before_header="units", after_header="units"))
    return found


def apply(host, items, files, stop, start, gone, unread):
    """Change the host."""
    changed = any(one["status"] != "unchanged" for one in items)
    host.begin()
    host.sweep()
    for unit in stop:
        must(host.module, ["systemctl", "stop", unit])
        if unit_files.zram_device(unit):
            # The device is reset by the service that made it (zram-generator(8)).
            must(host.module, ["systemctl", "stop", "systemd-zram-setup@%s.service" % unit_files.zram_device(unit)])
    timers = [unit for unit in gone if unit_files.is_enabled_by_link(unit)]
    if timers:
        must(host.module, ["systemctl", "disable", "--quiet"] + timers)
    for one in items:
        path = one["path"]
        if one["status"] == "removed":
            if path.endswith(".target"):
                must(host.module, ["systemctl", "stop", os.path.basename(path)])
            owned_file.remove(path)
            folder = os.path.dirname(path)
            if folder != unit_files.UNITS and not os.listdir(folder):
                os.rmdir(folder)
        elif one["status"] == "written":
            text, mode = files[path]
            owned_file.write(path, text, host.module.atomic_move, int(mode, 8))
            os.chmod(path, int(mode, 8))
    if changed or unread:
        must(host.module, ["systemctl", "daemon-reload"])
    for one in items:
        if one["status"] == "removed" and one["path"].endswith(".service"):
            # systemd remembers a unit that failed, also without its file, and has nothing to forget of most.
            command(host.module, ["systemctl", "reset-failed", os.path.basename(one["path"])])
    timers = [unit for unit in start if unit_files.is_enabled_by_link(unit)]
    if timers:
        must(host.module, ["systemctl", "enable", "--quiet"] + timers)
    for unit in start:
        must(host.module, ["systemctl", "restart" if unit in timers else "start", unit])


def verify(host, units, files, resident):
    """Read back. Raises Refused where systemd does not have what was asked for."""
    wanted = {one["name"]: resident[one["name"]] for one in units if one["after"].get("holds")}
    wait_until(lambda: all(held(host, wanted).get(name) for name in wanted))
    for name in wanted:
        process = host.processes([name]).get(name)
        if not process or not process.holds(wanted[name]):
            raise Refused(
                "resident: %s was to hold %d bytes in RAM, and %s; `journalctl -u %s` may say why."
                % (name, wanted[name], "holds %d" % process.resident if process else "does not run", name)
            )
    now = host.units([one["name"] for one in units])
    for one in units:
        if one["after"].get("holds") is not None:
            now[one["name"]]["holds"] = one["after"]["holds"]
    for one in units:
        if now[one["name"]] != one["after"]:
            raise Refused("%s was to be %s, and systemd says %s." % (one["name"], one["after"], now[one["name"]]))
    verify_zram(host, files)
    drop_ins = {path: unit_files.drop_in_unit(path) for path in files if unit_files.drop_in_unit(path)}
    said = host.show(sorted(set(drop_ins.values())), ["DropInPaths", "NeedDaemonReload"])
    for path, unit in drop_ins.items():
        if path not in said[unit].get("DropInPaths", "").split():
            raise Refused("%s was written, and systemd does not use it for %s." % (path, unit))


def verify_zram(host, files):
    """Read /proc/swaps. Raises Refused where a zram device is no swap, or has another priority than its file says."""
    for path, text in ((path, file[0]) for path, file in files.items()):
        if os.path.dirname(path) != unit_files.ZRAM:
            continue
        swaps = host.zram_swaps(unit_files.units_of(path, text))
        for device, priority in unit_files.zram_priorities(text).items():
            if device not in swaps:
                raise Refused("%s was to be swap, and /proc/swaps does not have it." % device)
            if priority not in (None, swaps[device]["priority"]):
                raise Refused(
                    "%s was to be swap of priority %d, and /proc/swaps says %d."
                    % (device, priority, swaps[device]["priority"])
                )


def run(module):
    """Do what is asked for and return the result. Raises Refused."""
    params = module.params
    files = wished(params)
    missing = sorted(path for path in params["needs"] if not os.path.exists(path)) if files else []
    if missing and not only_predicts(module):
        raise Refused("needs: %s is not there; it comes with %s." % (missing[0], params["needs"][missing[0]]))
    if not os.path.isdir("/run/systemd/system"):
        raise Refused("purpose: systemd does not run on this host, and there is nothing else that would run units.")
    host = Host(module)
    there = host.owned()
    refuse(host, params, files, there)
    resident = wished_resident(params, files)
    items, units, stop, start = plan(host, files, there, resident)
    refuse_room(host, stop, params["force"])
    unread = host.stopped() or host.not_read(files)
    if unread:
        stop, start = all_anew(units, stop, start)
    changed = any(one["status"] != "unchanged" for one in items) or bool(stop or start) or unread
    if changed and not module.check_mode:
        gone = [one["name"] for one in units if not one["after"]["active"]]
        apply(host, items, files, stop, start, gone, unread)
        verify(host, units, files, resident)
        host.end()
    return {
        "changed": changed,
        "files": items,
        "units": units,
        "processes": {name: process.told() for name, process in host.processes(sorted(resident)).items()},
        "missing": missing,
        "brought": host.brought(),
        "package_manager": package_manager(module),
        "diff": diff_of(items, units, files, there),
    }


def package_manager(module):
    """Return the name of the host's package manager, or None."""
    for name, program in (("apt", "apt-get"), ("dnf", "dnf"), ("yum", "yum"), ("zypper", "zypper")):
        if module.get_bin_path(program):
            return name
    return None
