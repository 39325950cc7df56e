# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether memory limits and restarts of units are safe to set: what would cause the outage that they are to prevent.

Pure functions: what is wished, what the host has; sentences out. Sources: systemd.resource-control(5),
systemd.service(5), systemd.unit(5), Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import math

from ansible_collections.linux_memory.oom.plugins.module_utils import dropin, timespan

# A service that does nothing takes more than this; a smaller limit is a number whose unit was forgotten.
SMALLEST = 1024**2

RESTARTS = ("always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog")
_BOUNDS = ("RestartSec", "StartLimitIntervalSec", "StartLimitBurst")

# What cgroup v1 has no file for (systemd.resource-control(5)).
ONLY_V2 = frozenset(
    [
        "MemoryHigh",
        "MemoryLow",
        "MemoryMin",
        "MemorySwapMax",
        "MemoryZSwapMax",
        "ManagedOOMSwap",
        "ManagedOOMMemoryPressure",
        "ManagedOOMMemoryPressureLimit",
        "IODeviceLatencyTargetSec",
        "IOReadIOPSMax",
        "IOWriteIOPSMax",
    ]
)


def megabytes(size):
    """Return bytes as a reader takes them in."""
    if size is None:
        return "no limit"
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size >= factor:
            return "%.1f %s" % (size / factor, unit)
    return "%d bytes" % size


class Wish:
    """What is wished of one unit, and how it is now.

    values: {directive: last text}. changed: the directives whose values are new. shown: {property: text} of systemd.
    usage: {"current", "peak", "swap_current"} in bytes or None.
    """

    def __init__(self, unit, values, changed, shown, usage):
        self.unit = unit
        self.values = values
        self.changed = changed
        self.shown = shown
        self.usage = usage

    def size(self, directive, host):
        """Return (whether it is known, bytes or None for no limit) of a size as it will be."""
        text = self.values.get(directive, self.shown.get(directive))
        if text is None or text == "":
            return False, None
        try:
            return True, dropin.size_of(text, host.totals(directive)[0])
        except ValueError:
            return False, None


def restarts_an_hour(delay, interval, burst):
    """Return how many restarts the settings allow in the worst hour.

    delay and interval in microseconds, None for infinity; burst: starts in an interval, 0 for no bound.
    """
    hour = 3600 * 10**6
    if delay is None:
        return 0
    by_delay = float("inf") if delay == 0 else hour / delay
    if not burst or interval == 0:
        bound = float("inf")
    elif interval is None:
        bound = burst
    else:
        # The last starts of an interval can be followed at once by those of the next (systemd, src/basic/ratelimit.c).
        bound = burst * (math.ceil(hour / interval) + 1)
    least = min(by_delay, bound)
    return least if least == float("inf") else int(math.ceil(least))


def _rate(wish):
    """Return (restarts in an hour, the settings in words) of a unit as it will be."""
    times = {}
    for directive, otherwise in (("RestartSec", "100ms"), ("StartLimitIntervalSec", "10s")):
        text = wish.values.get(directive) or wish.shown.get(dropin.property_of(directive)) or otherwise
        times[directive] = (text, timespan.microseconds(text))
    burst = wish.values.get("StartLimitBurst") or wish.shown.get("StartLimitBurst") or "5"
    allowed = restarts_an_hour(times["RestartSec"][1], times["StartLimitIntervalSec"][1], int(burst))
    words = "RestartSec=%s, StartLimitIntervalSec=%s, StartLimitBurst=%s" % (
        times["RestartSec"][0],
        times["StartLimitIntervalSec"][0],
        burst,
    )
    return allowed, words


def _number(rate):
    return "any number of" if rate == float("inf") else "up to %d" % rate


def refusals(wishes, host, restarts_per_hour, oomd=False):
    """Return (sentences that refuse, sentences that warn) for all units of a host.

    host: dropin.Host. oomd: whether systemd-oomd runs.
    """
    wrong, warn = [], []
    for wish in wishes:
        _sizes(wish, host, wrong)
        _high(wish, host, oomd, wrong)
        _use(wish, host, wrong)
        _restart(wish, restarts_per_hour, wrong, warn)
        managed = [name for name in ("ManagedOOMSwap", "ManagedOOMMemoryPressure") if wish.values.get(name) == "kill"]
        if managed and not oomd:
            warn.append("%s: %s=kill has no effect while systemd-oomd does not run." % (wish.unit, managed[0]))
    _sums(wishes, host, wrong, warn)
    return wrong, warn


def _sizes(wish, host, wrong):
    for directive in ("MemoryMax", "MemoryHigh"):
        if directive not in wish.values:
            continue
        known, size = wish.size(directive, host)
        if known and size is not None and size < SMALLEST:
            wrong.append(
                "%s: %s=%s is %s, less than any program needs (systemd counts bytes where no K, M or G follows)."
                % (wish.unit, directive, wish.values[directive], megabytes(size))
            )
        elif known and size is not None and size > host.memory and dropin.parse_percent(wish.values[directive]) is None:
            wrong.append(
                "%s: %s=%s is more than this host's memory of %s, so it limits nothing."
                % (wish.unit, directive, wish.values[directive], megabytes(host.memory))
            )
    order = ("MemoryMin", "MemoryLow", "MemoryHigh", "MemoryMax")
    for place, lower in enumerate(order):
        for upper in order[place + 1 :]:
            if not (lower in wish.values and upper in wish.values) or (lower, upper) == ("MemoryMin", "MemoryLow"):
                continue
            (known, low), (sure, high) = wish.size(lower, host), wish.size(upper, host)
            if known and sure and high is not None and (low is None or low > high):
                wrong.append(
                    "%s: %s=%s is above %s=%s, so the second is met first and the first means nothing."
                    % (wish.unit, lower, wish.values[lower], upper, wish.values[upper])
                )


def _high(wish, host, oomd, wrong):
    if "MemoryHigh" not in wish.values:
        return
    known, high = wish.size("MemoryHigh", host)
    if not known or high is None:
        return
    killed = oomd and wish.values.get("ManagedOOMMemoryPressure") == "kill"
    sure, most = wish.size("MemoryMax", host)
    if (not sure or most is None) and not killed:
        wrong.append(
            "%s: MemoryHigh=%s without MemoryMax would throttle the unit for ever and never kill it; set MemoryMax a "
            "little above it." % (wish.unit, wish.values["MemoryHigh"])
        )
    sure, swap = wish.size("MemorySwapMax", host)
    if killed:
        return
    if host.swap == 0:
        wrong.append(
            "%s: MemoryHigh=%s on a host without swap leaves anonymous memory nowhere to go: the unit would be "
            "throttled for ever; use MemoryMax alone, or add swap." % (wish.unit, wish.values["MemoryHigh"])
        )
    elif sure and swap == 0:
        wrong.append(
            "%s: MemoryHigh=%s with MemorySwapMax=0 leaves anonymous memory nowhere to go: the unit would be throttled "
            "for ever; use MemoryMax alone, or allow swap." % (wish.unit, wish.values["MemoryHigh"])
        )


def _use(wish, host, wrong):
    current = wish.usage.get("current")
    for directive in ("MemoryMax", "MemoryHigh"):
        if directive not in wish.changed or current is None:
            continue
        known, size = wish.size(directive, host)
        if known and size is not None and size < current:
            what = "the kernel would kill in it" if directive == "MemoryMax" else "it would be throttled"
            wrong.append(
                "%s: %s=%s is below the %s that the unit uses now%s: %s at once."
                % (wish.unit, directive, wish.values[directive], megabytes(current), _peak(wish), what)
            )


def _peak(wish):
    peak = wish.usage.get("peak")
    return "" if peak is None else " (at most %s so far)" % megabytes(peak)


def _restart(wish, most, wrong, warn):
    asked = wish.values.get("Restart")
    limit = [name for name in ("StartLimitIntervalSec", "StartLimitBurst") if wish.values.get(name) in (None, "")]
    if asked is not None and asked not in RESTARTS + ("no",):
        hint = " (an unquoted yes is true in YAML)" if asked == "yes" else ""
        wrong.append("%s: Restart=%s is not one of no, %s%s." % (wish.unit, asked, ", ".join(RESTARTS), hint))
        return
    try:
        allowed, words = _rate(wish)
    except ValueError:
        # systemd passes over what it does not understand, and takes its own bound.
        if asked in RESTARTS:
            given = ["%s=%s" % (name, wish.values[name]) for name in _BOUNDS if wish.values.get(name)]
            wrong.append(
                "%s: Restart=%s has no bound that can be told from %s: RestartSec and StartLimitIntervalSec take time "
                "spans such as 1h, StartLimitBurst a whole number." % (wish.unit, asked, ", ".join(given))
            )
        return
    if asked in RESTARTS:
        if limit:
            wrong.append(
                "%s: Restart=%s without %s could restart for ever what eats memory again at once; as it is, the "
                "settings allow %s restarts an hour (%s)."
                % (wish.unit, asked, " and ".join(limit), _number(allowed), words)
            )
        elif allowed > most:
            wrong.append(
                "%s: Restart=%s may restart %s times an hour (%s), and at most %d are allowed; lengthen RestartSec or "
                "StartLimitIntervalSec, or lower StartLimitBurst." % (wish.unit, asked, _number(allowed), words, most)
            )
    elif asked is None and "MemoryMax" in wish.values and wish.shown.get("Restart", "no") != "no" and allowed > most:
        warn.append(
            "%s: the unit has Restart=%s of its own, and what is killed at its MemoryMax may be restarted %s times "
            "an hour (%s); set StartLimitIntervalSec and StartLimitBurst."
            % (wish.unit, wish.shown["Restart"], _number(allowed), words)
        )


def _sums(wishes, host, wrong, warn):
    for directive in ("MemoryMin", "MemoryLow"):
        total = 0
        for wish in wishes:
            if directive in wish.values:
                known, size = wish.size(directive, host)
                total += (host.memory + 1 if size is None else size) if known else 0
        # The kernel, the page cache and everything else need some too.
        if total > host.memory * 9 // 10:
            wrong.append(
                "units: all %s together are %s, and this host has %s of memory: what is promised to all helps nobody."
                % (directive, megabytes(total), megabytes(host.memory))
            )
    total = 0
    for wish in wishes:
        if "MemoryMax" in wish.values and not wish.unit.endswith(".slice"):
            known, size = wish.size("MemoryMax", host)
            total += size or 0 if known else 0
    if total > host.memory + host.swap:
        warn.append(
            "units: all MemoryMax together are %s, and this host has %s of memory and swap: the host can run out of "
            "memory before any unit meets its limit." % (megabytes(total), megabytes(host.memory + host.swap))
        )
