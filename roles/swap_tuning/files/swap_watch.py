# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at swap once, and say when it crosses a limit for some time: python3 swap_watch.py SETTINGS.

A timer runs it. What it saw last is in the file that the settings name, in /run, so that a boot forgets it. It prints
one line for each thing that happens, with the journal's priority before it (sd-daemon(3)), and nothing otherwise.
Python 3.6, standard library.
"""

import json
import os
import subprocess
import sys
import tempfile

MIB = 1024**2
COMMAND_SECONDS = 60
WARNING, NOTICE, ERROR = "<4>", "<5>", "<3>"
NAMES = {"used": "swap in use", "swap_in": "swap-in"}
UNITS = {"used": "%", "swap_in": "MiB/s"}


def read_settings(text):
    """Return the settings of a file of JSON; lines with a # before them say who wrote it."""
    return json.loads("\n".join(line for line in text.split("\n") if not line.startswith("#")))


def look(root="/"):
    """Return the sample: seconds since boot, bytes of swap and of memory, pages read back from swap."""

    def lines(name):
        with open(os.path.join(root, name), encoding="ascii", errors="replace") as file:
            return file.read().split("\n")

    memory = {line.split(":")[0]: line.split()[1] for line in lines("proc/meminfo") if len(line.split()) > 1}
    events = dict(line.split(" ", 1) for line in lines("proc/vmstat") if " " in line)
    return {
        "time": float(lines("proc/uptime")[0].split()[0]),
        "total": int(memory.get("SwapTotal", 0)) * 1024,
        "free": int(memory.get("SwapFree", 0)) * 1024,
        "available": int(memory.get("MemAvailable", 0)) * 1024,
        "swapped_in": int(events.get("pswpin", 0)) * os.sysconf("SC_PAGE_SIZE"),
    }


def values_of(sample, last):
    """Return {"used": percent, "swap_in": MiB per second}; None for what cannot be said (no swap, no last sample)."""
    used = 100.0 * (sample["total"] - sample["free"]) / sample["total"] if sample["total"] else None
    rate = None
    seconds = sample["time"] - last["time"] if last else 0
    if seconds > 0 and sample["swapped_in"] >= last["swapped_in"]:
        rate = (sample["swapped_in"] - last["swapped_in"]) / seconds / MIB
    return {"used": used, "swap_in": rate}


def judge(settings, state, sample):
    """Return (state, events) of one look.

    state: {"last": sample, "since": {name: when it was first over}, "alarm": {name: when it began}}, {} at first.
    An alarm begins when a value has been at or over its limit in each look for at least for_seconds, and is over when
    it is below clear_percent of the limit: a value that swings about the limit alarms once.
    Each event is a dict: name, kind (begins|ends), value, limit, seconds.
    """
    limits = {"used": settings["used_percent"], "swap_in": settings["swap_in_mib"]}
    values = values_of(sample, state.get("last"))
    since, alarm = dict(state.get("since", {})), dict(state.get("alarm", {}))
    events = []
    for name in sorted(limits):
        limit, value = limits[name], values[name]
        if limit is None:
            since.pop(name, None)
            alarm.pop(name, None)
            continue
        if value is None:
            # Without swap there is no alarm to keep; without two looks nothing has changed.
            if name == "swap_in":
                continue
            value = 0.0
        if value >= limit:
            since.setdefault(name, sample["time"])
            seconds = sample["time"] - since[name]
            if name not in alarm and seconds >= settings["for_seconds"]:
                alarm[name] = sample["time"]
                events.append({"name": name, "kind": "begins", "value": value, "limit": limit, "seconds": seconds})
        else:
            since.pop(name, None)
            if name in alarm and value < limit * settings["clear_percent"] / 100.0:
                seconds = sample["time"] - alarm.pop(name)
                events.append({"name": name, "kind": "ends", "value": value, "limit": limit, "seconds": seconds})
    return {"last": sample, "since": since, "alarm": alarm}, events


def sentence(event, sample):
    """Return what the journal says of an event."""
    numbers = "swap %d of %d MiB in use, %d MiB of memory available" % (
        (sample["total"] - sample["free"]) // MIB,
        sample["total"] // MIB,
        sample["available"] // MIB,
    )
    unit, what = UNITS[event["name"]], NAMES[event["name"]]
    if event["kind"] == "begins":
        return "%s is %.1f %s, at or over the limit of %g %s for %d s (%s)" % (
            (what, event["value"], unit, event["limit"], unit, event["seconds"]) + (numbers,)
        )
    return "%s is %.1f %s, well below the limit of %g %s again after %d s of alarm (%s)" % (
        (what, event["value"], unit, event["limit"], unit, event["seconds"]) + (numbers,)
    )


def read_state(path):
    """Return the state; {} where there is none that makes sense."""
    try:
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
        times = list(state["since"].values()) + list(state["alarm"].values()) + list(state["last"].values())
        return state if all(isinstance(one, (int, float)) for one in times) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_state(path, state):
    """Replace the state as a whole."""
    handle, partial = tempfile.mkstemp(prefix=".watch.", dir=os.path.dirname(path))
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(partial, path)


def run_command(command, message, name):
    """Run the command of an alarm; return a line on its failure, or None."""
    environment = dict(os.environ, SWAP_WATCH_MESSAGE=message, SWAP_WATCH_LIMIT=name)
    try:
        status = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, timeout=COMMAND_SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return "the command %s did not end within %d s and was killed" % (command[0], COMMAND_SECONDS)
    except OSError as error:
        return "the command %s could not be run: %s" % (command[0], error.strerror)
    return "the command %s failed with status %d" % (command[0], status) if status else None


def main(arguments):
    """Look once."""
    with open(arguments[0], encoding="utf-8") as file:
        settings = read_settings(file.read())
    sample = look()
    state, events = judge(settings, read_state(settings["state"]), sample)
    # First: a command that hangs must not make the next look run it again.
    write_state(settings["state"], state)
    failed = False
    for event in events:
        message = sentence(event, sample)
        print((WARNING if event["kind"] == "begins" else NOTICE) + message, flush=True)
        if event["kind"] == "begins" and settings["command"]:
            wrong = run_command(settings["command"], message, event["name"])
            if wrong:
                print(ERROR + wrong, flush=True)
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
