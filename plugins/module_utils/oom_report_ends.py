# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines that end a report: why and whom the kernel chose, the kill, the reaper, or a panic instead."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.linux_memory.oom.plugins.module_utils import oom_report_fields as fields
from ansible_collections.linux_memory.oom.plugins.module_utils.oom_report_data import (
    AFTER,
    KILL,
    empty_victim,
    integer,
)


class EndLines:
    """Takes the last lines of reports; each method returns whether it understood the line."""

    def __init__(self, opened):
        self._opened = opened

    def context(self, line, text):
        """Take "oom-kill:constraint=…"."""
        if not fields.OOM_KILL.search(text):
            return False
        found = fields.parse_context(text)
        builder = self._opened.context_owner(line, found)
        if found["cut"]:
            builder.mixed = True
        if builder.context is None:
            builder.context = found
        elif builder.context != found:
            builder.mixed = True
        return True

    def kill(self, line, text):
        """Take a line that names a victim."""
        match = fields.KILLED.match(text) or fields.KILLED_CUT.match(text)
        if match:
            return self._killed(line, match)
        match = fields.KILL.match(text)
        if match:
            return self._intent(line, match)
        return False

    def _intent(self, line, match):
        pid = int(match.group("pid"))
        if match.group("sharing"):
            builder = self._opened.last_of(lambda one: bool(one.victims))
            if builder is not None and all(victim["pid"] != pid for victim in builder.victims):
                builder.victims.append(empty_victim(pid, match.group("comm")))
            return True
        builder = self._opened.kill_owner(line, pid)
        if builder.intent is None:
            builder.intent = {"pid": pid, "comm": match.group("comm"), "score": integer(match.group("score"))}
        elif builder.intent["pid"] != pid:
            builder.mixed = True
        builder.message = builder.message or match.group("message")
        return self._opened.touch(builder, line, KILL)

    def _killed(self, line, match):
        if match.group("comm") is None and match.group("short") is None:
            return self._killed_cut(line, match)
        victim = fields.parse_victim(match)
        builder = self._opened.kill_owner(line, victim["pid"])
        if any(other["pid"] == victim["pid"] for other in builder.victims):
            builder.last = self._opened.number
            return True
        if victim.pop("cut"):
            builder.mixed = True
        expected = builder.context.get("pid") if builder.context else None
        if expected not in (None, victim["pid"]) and not builder.victims and builder.intent is None:
            builder.mixed = True
        victim["score"] = builder.intent["score"] if builder.intent else None
        builder.victims.append(victim)
        builder.message = builder.message or match.group("message")
        return self._opened.touch(builder, line, KILL)

    def _killed_cut(self, line, match):
        """Handle a kill line that ends after the pid, or inside it: the line before it names the victim."""
        builder = self._opened.kill_owner(line, int(match.group("pid")))
        context = builder.context or {}
        builder.mixed = True
        if not builder.victims and str(context.get("pid", "")).startswith(match.group("pid")):
            builder.victims.append(dict(empty_victim(context["pid"], context["comm"]), uid=context["uid"]))
        builder.outcome = builder.outcome or "killed"
        builder.message = builder.message or match.group("message")
        return self._opened.touch(builder, line, KILL)

    def exiting(self, line, text):
        """Take what the kernel says where it need not kill: the victim is exiting by itself."""
        match = fields.EXITING.match(text)
        if not match:
            return False
        builder = self._opened.end(line)
        builder.outcome = "victim_exiting"
        builder.message = match.group("message")
        builder.victims.append(empty_victim(int(match.group("pid")), match.group("comm")))
        return self._opened.touch(builder, line, KILL)

    def group(self, line, text):
        """Take the line that says that a cgroup is killed as a whole."""
        match = fields.GROUP.match(text)
        if not match:
            return False
        builder = self._opened.group_owner(match.group(1)) or self._opened.pick(line, KILL)
        builder.group = match.group(1)
        builder.last = self._opened.number
        return True

    def reaper(self, text):
        """Take what the reaper did, or could not do."""
        match = fields.REAPED.search(text) or fields.NOT_REAPED.search(text)
        if not match:
            return False
        pid = int(match.group("pid"))
        done = "reaped process" in text
        sizes = fields.pairs_kb(text[match.start() :].replace("-rss:", "_rss:")) if done else {}
        entry = {
            "pid": pid,
            "comm": match.group("comm"),
            "reaped": done,
            "anon_rss": sizes.get("anon_rss"),
            "file_rss": sizes.get("file_rss"),
            "shmem_rss": sizes.get("shmem_rss"),
        }
        builder = self._opened.last_of(lambda one: any(victim["pid"] == pid for victim in one.victims))
        if builder is None and self._opened.reaped_late(entry):
            return True
        if builder is None:
            builder = self._opened.last_of(lambda one: one.kind == "oom" and bool(one.victims))
        if builder is not None:
            if entry not in builder.reaped and builder.room(builder.reaped):
                builder.reaped.append(entry)
            builder.last = self._opened.number
        return True

    def panic(self, line, text):
        """Take a panic, or that there is nothing to kill."""
        match = fields.PANIC.match(text)
        reason = fields.panic_reason(match.group(1)) if match else None
        if reason is not None and "emory" not in reason:
            return True
        if reason is None:
            if "no killable" in text and text.lower().startswith(("out of memory", "memory cgroup out of memory")):
                builder = self._opened.end(line)
                builder.outcome = builder.outcome or "no_killable_process"
                builder.last = self._opened.number
                return True
            return False
        builder = self._opened.last_of(lambda one: one.outcome == "no_killable_process") or self._opened.end(line)
        builder.panic = builder.panic or reason
        builder.outcome = "deadlocked" if "deadlock" in reason else "panic"
        builder.last = self._opened.number
        builder.position = AFTER
        return True

    def deadlocked(self, line, text):
        """Take the reason of a panic that stands alone."""
        if not text[:60].lower().startswith("system is deadlocked on memory"):
            return False
        builder = self._opened.end(line)
        builder.outcome = "deadlocked"
        return True
