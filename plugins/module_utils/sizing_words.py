# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answer of sizing.py in sentences."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

from ansible_collections.linux_memory.oom.plugins.module_utils.applications import in_words

HOUR, DAY = 3600.0, 86400.0
SOURCES = {
    "sampler": "the sampler of this role",
    "sysstat": "sysstat",
    "atop": "atop",
    "pcp": "Performance Co-Pilot",
    "none": "the kernel, once",
}
# What a unit holds is not worth a sentence below this.
LEAST_UNIT = 64 * 1024 * 1024
MOST_UNITS = 3


def day(seconds):
    """Return a day in the calendar, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def moment(seconds):
    """Return a minute in the calendar, UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def with_units(applications, units):
    """Return the applications, each with the unit that it is known to run as and that unit's peak, where it has one."""
    found = []
    for one in applications:
        answer = {name: value for name, value in one.items() if name != "units"}
        mine = next((unit for unit in units if unit["unit"].startswith(tuple(one["units"]))), None)
        answer.update({"unit": mine["unit"] if mine else None, "unit_peak": mine["peak"] if mine else None})
        found.append(answer)
    return found


def sentences(source, sizing, applications, options):
    """Return the answer and its reasons, a sentence each."""
    said = [_need(sizing), _advice(sizing, options), _parts(sizing), _cache(sizing), _interval(sizing)]
    said += [_window(source, sizing), _short(sizing), _growth(sizing), _swap(sizing)]
    said += [_unit(unit) for unit in sizing["units"][:MOST_UNITS] if unit["peak"] >= LEAST_UNIT]
    said += [_together(sizing), _committed(sizing)]
    said += [_application(one) for one in applications if one["running"]]
    return [one for one in said if one]


def _need(sizing):
    at_least = "at least " if sizing["at_least_only"] else ""
    return "This host needs %s%s of memory (%s to %s) and has %s." % (
        at_least,
        in_words(sizing["likely"]),
        in_words(sizing["least"]),
        in_words(sizing["most"]),
        in_words(sizing["total"]),
    )


def _advice(sizing, options):
    added = ""
    if sizing["growth_added"]:
        added = ", %s that it grows by in %d days" % (in_words(sizing["growth_added"]), options["horizon_days"])
    return "Plan with %s: the need%s, and %d %% for what was not seen." % (
        in_words(sizing["advised"]),
        added,
        options["headroom_percent"],
    )


def _parts(sizing):
    parts = sizing["parts"]
    return (
        "At the peak, %s, programs and the kernel held %s, %s of swap was wanted back, %s of the page cache was used, "
        "and the kernel keeps %s free."
        % (
            moment(sizing["at"]),
            in_words(parts["held"]),
            in_words(parts["swap_wanted_back"]),
            in_words(parts["page_cache"]),
            in_words(parts["reserve"]),
        )
    )


def _cache(sizing):
    if sizing["page_cache_told"]:
        return None
    return (
        "What of the page cache is used again and again was not told (the multi-generational LRU and some archives do "
        "not): half of it is taken for that."
    )


def _interval(sizing):
    return (
        "The lower end has no page cache but what programs have mapped; the upper end has all of the cache and of "
        "swap; half of the time %s was enough." % in_words(sizing["usual"])
    )


def _window(source, sizing):
    window = sizing["window"]
    if window["samples"] == 1:
        return "That is from a single reading: a peak before it is not in it. Let the sampler run for a week or more."
    return "That is from %d samples of %s over %.1f days." % (
        window["samples"],
        SOURCES[source],
        (window["until"] - window["from"]) / DAY,
    )


def _short(sizing):
    if not sizing["at_least_only"]:
        return None
    return "It may be more: %s, so that what was used is what there was." % sizing["at_least_only"]


def _growth(sizing):
    growth, full = sizing["growth"], sizing["full"]
    if growth["bytes_per_day"] is None:
        return "Of growth nothing is said: %s." % growth["why"]
    if growth["low"] <= 0:
        return "No growth is sure: between %s and %s a day." % (_signed(growth["low"]), _signed(growth["high"]))
    said = "It grows by %s a day (%s to %s)" % (
        in_words(growth["bytes_per_day"]),
        in_words(growth["low"]),
        in_words(growth["high"]),
    )
    if full["likely"] is None:
        return said + "."
    latest = " to %s" % day(full["latest"]) if full["latest"] else ""
    return "%s, and will no longer fit on %s (%s%s)." % (said, day(full["likely"]), day(full["earliest"]), latest)


def _signed(size):
    return "-" + in_words(-size) if size < 0 else in_words(size)


def _swap(sizing):
    if not sizing["swap_left_lying"]:
        return None
    return "Up to %s lay in swap and was not wanted back: as much swap spares as much memory." % in_words(
        sizing["swap_left_lying"]
    )


def _unit(unit):
    swapped = " and %s swapped out" % in_words(unit["swapped"]) if unit["swapped"] else ""
    return "%s used %s at most, of it %s anonymous%s (%s)." % (
        unit["unit"],
        in_words(unit["peak"]),
        in_words(unit["anonymous"]),
        swapped,
        moment(unit["time"]),
    )


def _together(sizing):
    if sizing["all_units_at_their_peak"] < LEAST_UNIT:
        return None
    return "If all units met their peaks at once, which was not seen, it would be %s more." % in_words(
        sizing["all_units_at_their_peak"]
    )


def _committed(sizing):
    if not sizing["committed_peak"]:
        return None
    return "Programs had reserved up to %s, which says what they asked for, not what they use." % in_words(
        sizing["committed_peak"]
    )


def _application(one):
    could = "could hold %s" % in_words(one["could_hold"]) if one["could_hold"] else "has no bound in bytes"
    seen = ", and %s used %s at most" % (one["unit"], in_words(one["unit_peak"])) if one["unit_peak"] else ""
    return "%s (%s) %s (%s)%s; %s would change it." % (
        one["application"],
        one["place"],
        could,
        one["because"],
        seen,
        one["change"],
    )
