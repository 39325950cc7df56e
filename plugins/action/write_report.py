# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action of linux_memory.oom.write_report: runs on the controller, where the report is written."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.linux_memory.oom.plugins.plugin_utils import files, incidents, page, play, proposals, report

OPTIONS = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "dest": {"type": "path", "default": "reports"},
    "title": {"type": "str", "default": "Memory report"},
    "directory_mode": {"type": "str", "default": "0700"},
    "file_mode": {"type": "str", "default": "0600"},
    "by_log": {"type": "bool", "default": False},
    "proposals": {"type": "path"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

_FILE = re.compile(r"hosts/[a-z0-9][a-z0-9._-]*\.json")


class ActionModule(ActionBase):
    """Writes the report of a play, and prints its summary."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Return what was written. Raises AnsibleActionFail with one sentence."""
        result = super().run(tmp, task_vars)
        _spec, options = self.validate_argument_spec(OPTIONS)
        dest = Path(os.path.expanduser(options["dest"])).absolute()
        try:
            if options["state"] == "absent":
                removed = remove(dest, check=self._task.check_mode)
                result.update(changed=bool(removed), removed=removed)
                return result
            records, notes = self._records(task_vars, options)
            proposed = []
            if not self._task.check_mode:
                self._write(records, dest, options)
                proposed = self._propose(records, options)
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        except OSError as error:
            raise AnsibleActionFail(f"dest: {error.filename or dest} cannot be written: {error.strerror}") from None
        shown = None if self._task.check_mode else dest / "index.html"
        notes = [*notes, *(f"Proposed for review: {path}" for path in proposed)]
        text = report.terminal(records, shown, notes)
        Display().display(f"\n{text}\n")
        unread = [one["host"] for one in records if one["status"] != "ok"]
        result.update(changed=True, path=str(dest), summary=report.headline(records), unread=unread)
        result["proposed"] = [str(path) for path in proposed]
        return result

    @staticmethod
    def _propose(records, options):
        """Write what is proposed for the hosts, where that was asked for, and return the files that are new."""
        if not options["proposals"]:
            return []
        directory = Path(os.path.expanduser(options["proposals"])).absolute()
        files.make_directory(directory, files.mode(options["directory_mode"], "directory_mode"))
        placed = []
        for one in records:
            text = proposals.proposal(one["host"], one["findings"], incidents.instant(one["collected"]))
            path = directory / f"{report.file_name(one['host'])}.yml"
            if text:
                placed.append(proposals.place(path, text, files.mode(options["file_mode"], "file_mode")))
        return [path for path in placed if path]

    @classmethod
    def _records(cls, task_vars, options):
        """Return the records of the hosts, or of what the logs name, and sentences that no record tells."""
        if not options["by_log"]:
            return [cls._record(task_vars, host) for host in options["hosts"]], []
        logs = [play.kernel_log(play.variables(task_vars, host)) for host in options["hosts"]]
        records = [one for log in logs for one in report.records_of_log(log)]
        return records, [note for log in logs for note in report.log_notes(log)]

    @staticmethod
    def _record(task_vars, host):
        found = play.variables(task_vars, host)
        log = play.kernel_log(found)
        return report.record(host, found.get("memory_report_host"), play.memory_facts(found), log)

    @staticmethod
    def _write(records, dest, options):
        directory_mode = files.mode(options["directory_mode"], "directory_mode")
        file_mode = files.mode(options["file_mode"], "file_mode")
        created = time.time()
        summary = report.summary(records, created)
        # Rendered before anything is written: a failure leaves the report of the last run as it was.
        text = page.render(records, created, options["title"])
        former = written_files(dest)
        files.make_directory(dest / "hosts", directory_mode)
        for one in records:
            files.write(dest / "hosts" / f"{report.file_name(one['host'])}.json", report.as_json(one), file_mode)
        files.write(dest / "index.html", text, file_mode)
        files.write(dest / "summary.json", report.as_json(summary), file_mode)
        for name in former - {host["file"] for host in summary["hosts"]}:
            (dest / name).unlink(missing_ok=True)


def written_files(dest):
    """Return the files of hosts that the last report in dest names: what this collection wrote, and nothing else."""
    try:
        hosts = json.loads((dest / "summary.json").read_text("utf-8"))["hosts"]
        names = {host["file"] for host in hosts}
    except (OSError, ValueError, TypeError, KeyError):
        return set()
    return {name for name in names if isinstance(name, str) and _FILE.fullmatch(name)}


def remove(dest, check=False):
    """Remove the report in dest, and the directories if nothing else is in them. Return what was removed."""
    if not (dest / "summary.json").exists():
        return []
    names = sorted(written_files(dest)) + ["index.html", "summary.json"]
    present = [name for name in names if (dest / name).exists()]
    if not check:
        for name in present:
            (dest / name).unlink(missing_ok=True)
        for directory in (dest / "hosts", dest):
            if directory.is_dir() and not any(directory.iterdir()):
                directory.rmdir()
    return present
