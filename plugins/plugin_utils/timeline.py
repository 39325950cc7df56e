# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the OOM killer ran on which host: bars on one axis of time, a lane for each host, as numbers to draw."""

from __future__ import annotations

import math
import time
from collections import Counter

from ansible_collections.linux_memory.oom.plugins.plugin_utils import incidents

BINS = 60
MOST_LANES = 15
MOST_ROWS = 50
MOST_TICKS = 5
# The shortest span of the axis; a single kill stands in the middle of it.
SHORTEST = 600
MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS = (
    *(MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR),
    *(DAY, 2 * DAY, 5 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 91 * DAY, 182 * DAY, 365 * DAY, 1825 * DAY, 10000 * DAY),
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# A clock that says less, or more, was not set: 2000-01-01 and 2200-01-01.
EARLIEST, LATEST = 946684800, 7258118400
# A bar of one kill is this high, so that it is seen beside a hundred.
LOWEST = 0.3


def _events(reports):
    """Return (epoch or None, scope) of each report of the OOM killer."""
    found = []
    for report in incidents.of_killer(reports):
        when = incidents.epoch(report)
        known = when is not None and EARLIEST <= when <= LATEST
        found.append((when if known else None, incidents.scope(report), report))
    return found


def model(hosts, until=None):
    """Return what the timeline shows, or None where no report tells its time.

    hosts are (anchor, name, reports); until is where the axis ends at least, such as the time of the reading.
    """
    found = [(anchor, name, _events(reports)) for anchor, name, reports in hosts]
    found = [(anchor, name, events) for anchor, name, events in found if events]
    times = [when for _anchor, _name, events in found for when, _scope, _report in events if when is not None]
    if not times:
        return None
    start, end = _span(min(times), max(times), until)
    # The most kills first; at the same number, the order of the page.
    found.sort(key=lambda one: -len(one[2]))
    rest = found[MOST_LANES:]
    lanes = [_lane(anchor, name, events, start, end) for anchor, name, events in found[:MOST_LANES]]
    if rest:
        together = [event for _anchor, _name, events in rest for event in events]
        lanes.append(_lane(None, f"{len(rest)} other hosts", together, start, end))
    everything = [event for _anchor, _name, events in found for event in events]
    scopes = Counter(scope for _when, scope, _report in everything)
    return {
        "ticks": _ticks(start, end),
        "all": _lane(None, "All hosts", everything, start, end) if len(found) > 1 else None,
        "lanes": lanes,
        "scopes": [(name, incidents.SCOPE_LABELS[name], scopes[name]) for name in incidents.SCOPES if scopes[name]],
        "reports": len(everything),
        "hosts": len(found),
        "untimed": len(everything) - len(times),
        "first": incidents.instant(min(times)),
        "last": incidents.instant(max(times)),
        "rows": [_row(anchor, name, events) for anchor, name, events in found[:MOST_ROWS]],
        "more_rows": max(0, len(found) - MOST_ROWS),
    }


def _span(first, last, until):
    end = max(last, until) if until is not None and EARLIEST <= until <= LATEST else last
    missing = max(0, SHORTEST - (end - first)) / 2
    start, end = first - missing, end + missing
    margin = (end - start) * 0.02
    return start - margin, end + margin


def _label(seconds, step, first):
    then = time.gmtime(seconds)
    day, clock = f"{then.tm_mday} {MONTHS[then.tm_mon - 1]}", f"{then.tm_hour:02}:{then.tm_min:02}"
    if step >= 30 * DAY:
        return f"{MONTHS[then.tm_mon - 1]} {then.tm_year}"
    if step >= DAY:
        return day
    if first:
        return f"{day} {clock}"
    return day if clock == "00:00" else clock


def _ticks(start, end):
    """Return the marks of the axis at round times (UTC): where, in percent, and how they are called."""
    step = next((one for one in STEPS if (end - start) / one <= MOST_TICKS), STEPS[-1])
    places = range(math.ceil(start / step), math.floor(end / step) + 1)
    return [
        {"x": f"{(place * step - start) * 100 / (end - start):.2f}", "label": _label(place * step, step, number == 0)}
        for number, place in enumerate(places)
    ]


def _lane(anchor, name, events, start, end):
    bins = {}
    for when, scope, report in events:
        if when is not None:
            place = min(BINS - 1, int((when - start) * BINS / (end - start)))
            bins.setdefault(place, []).append((when, scope, report))
    most = max((len(inside) for inside in bins.values()), default=1)
    timed = sorted(when for when, _scope, _report in events if when is not None)
    return {
        "anchor": anchor,
        "name": name,
        "count": len(events),
        "bars": [part for place, inside in sorted(bins.items()) for part in _bars(place, inside, most)],
        "most": most,
        "alternative": _alternative(name, events, timed),
    }


def _bars(place, inside, most):
    """Return the parts of one bar, one above the other: x, y, width and height in percent, scope, and a title."""
    whole = LOWEST + (1 - LOWEST) * (len(inside) - 1) / (most - 1) if most > 1 else 0.7
    counts = Counter(scope for _when, scope, _report in inside)
    if len(inside) == 1:
        title = f"{incidents.moment(inside[0][2])}: {incidents.happened(inside[0][2])}"
    else:
        when = sorted(time for time, _scope, _report in inside)
        parts = ", ".join(
            f"{counts[name]} × {incidents.SCOPE_LABELS[name]}" for name in incidents.SCOPES if counts[name]
        )
        title = f"{len(inside)} OOM reports, {incidents.instant(when[0])} to {incidents.instant(when[-1])}: {parts}"
    bars, top = [], 100.0
    for name in incidents.SCOPES:
        if counts[name]:
            height = whole * 100 * counts[name] / len(inside)
            top -= height
            bars.append(
                {
                    "x": f"{place * 100 / BINS:.2f}",
                    "y": f"{top:.1f}",
                    "height": f"{height:.1f}",
                    "scope": name,
                    "title": title,
                }
            )
    return bars


def _alternative(name, events, timed):
    said = f"{name}: {len(events)} OOM {'report' if len(events) == 1 else 'reports'}"
    if not timed:
        return f"{said}, without a time"
    if len(timed) == 1:
        return f"{said}, {incidents.instant(timed[0])}"
    return f"{said} between {incidents.instant(timed[0])} and {incidents.instant(timed[-1])}"


def _row(anchor, name, events):
    timed = sorted(when for when, _scope, _report in events if when is not None)
    counts = Counter(scope for _when, scope, _report in events)
    return {
        "anchor": anchor,
        "name": name,
        "count": len(events),
        "first": incidents.instant(timed[0]) if timed else "",
        "last": incidents.instant(timed[-1]) if timed else "",
        "scopes": ", ".join(
            f"{counts[scope]} × {incidents.SCOPE_LABELS[scope]}" for scope in incidents.SCOPES if counts[scope]
        ),
    }
