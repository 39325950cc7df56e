# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much memory a host needs, from samples of how it was used (memory_samples.py).

What each sample says the load needed, in bytes, at the least, likely and at the most:

- held: RAM that is neither free nor a cache of files or a slab cache that can be given back. It cannot be had back
  without swap, whoever owns it.
- the part of swap that is wanted back: what was read back in the last minutes before the sample, and no more than is
  in use. At the most, all that is in use.
- the page cache that is used: at the least what programs have mapped (their own code); likely also what was used more
  than once (the active list; half of the cache where that is not told), and what had to be read again though it had
  been there not long before, which is what the kernel calls a refault (Documentation/mm/multigen_lru.rst,
  mm/workingset.c); at the most all of it.

The host needs the largest of these over the window, and what the kernel keeps free for itself
(calculate_totalreserve_pages() in mm/page_alloc.c).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import math

MIB = 1024 * 1024
DAY = 86400.0
# What comes back from swap, or is read again, within so many seconds is wanted at the same time.
WANTED_SECONDS = 600
# A day and its night have to be in it twice: else the morning looks like growth.
LEAST_GROWTH_SECONDS = 2 * DAY
# Slopes between all pairs of so many means: 45,000 pairs.
MOST_BINS = 300
LEAST_BINS = 12
# The normal distribution's quantile of a 95 % interval.
NORMAL_95 = 1.96
# So little available at any time means that what was used was what there was, and not what was needed.
SHORT_SHARE = 0.05
# Page-ins from swap of 64 KiB a second, all the time, are more than an odd program that wakes up.
SWAPPING_RATE = 64 * 1024


def _known(value):
    return 0 if value is None else value


def recent(samples, name):
    """Return for each sample the sum of a per-interval number over the last minutes of its boot.

    An interval that is longer is taken by its share: what came back in an hour was not wanted all at once.
    """
    sums = []
    for place, sample in enumerate(samples):
        total, here = 0.0, place
        left = float(WANTED_SECONDS)
        while left > 0 and here > 0 and samples[here - 1]["boot"] == sample["boot"]:
            passed = max(1.0, samples[here]["time"] - samples[here - 1]["time"])
            total += _known(samples[here][name]) * min(1.0, left / passed)
            left -= passed
            here -= 1
        sums.append(int(total))
    return sums


def demands(samples):
    """Return [{time, held, swap, cache, least, likely, most}] in bytes; a sample without sizes gives none."""
    found = []
    back, again = recent(samples, "swapped_in"), recent(samples, "refaulted")
    for place, sample in enumerate(samples):
        returned, refaulted = back[place], again[place]
        if None in (sample["total"], sample["free"], sample["file"]):
            continue
        held = max(0, sample["total"] - sample["free"] - sample["file"] - _known(sample["reclaimable"]))
        used = _known(sample["swap_used"])
        hot = min(used, returned)
        mapped = _known(sample["mapped_file"])
        # Without the kernel's lists the middle between nothing and all is as good as any.
        active = sample["active_file"] if sample["active_file"] is not None else sample["file"] // 2
        cache = max(mapped, active) + refaulted
        found.append(
            {
                "time": sample["time"],
                "held": held,
                "swap": hot,
                "cold_swap": used - hot,
                "cache": cache,
                "cache_told": sample["active_file"] is not None,
                "least": held + mapped,
                "likely": held + hot + cache,
                "most": held + used + max(cache, sample["file"] + refaulted),
            }
        )
    return found


# Growth


def bins(points, most=MOST_BINS):
    """Return at most that many (time, mean) of (time, value), each the mean of an equal part of the time."""
    if len(points) <= most:
        return list(points)
    begin, end = points[0][0], points[-1][0]
    width = (end - begin) / most or 1.0
    sums = {}
    for when, value in points:
        place = min(most - 1, int((when - begin) / width))
        number, times, values = sums.get(place, (0, 0.0, 0.0))
        sums[place] = (number + 1, times + when, values + value)
    return [(times / number, values / number) for _place, (number, times, values) in sorted(sums.items())]


def slope(points):
    """Return (slope, low, high) per second: the median of the slopes between all pairs and its 95 % interval.

    After Theil and Sen (Journal of the American Statistical Association 63, 1968): a single peak does not move it. The
    interval takes the points as independent.
    """
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for place, later in enumerate(points)
        for earlier in points[:place]
        if later[0] > earlier[0]
    )
    if not slopes:
        return None
    count = len(points)
    reach = NORMAL_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18.0)
    low = int((len(slopes) - reach) / 2)
    high = int(math.ceil((len(slopes) + reach) / 2)) - 1
    middle = len(slopes) // 2
    median = slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2
    return median, slopes[max(0, low)], slopes[min(len(slopes) - 1, high)]


def growth(samples):
    """Return how what is held in RAM and swap grows, {bytes_per_day, low, high, seconds, why}, of the last boot.

    bytes_per_day is None where that cannot be said, and why is the reason.
    """
    unknown = {"bytes_per_day": None, "low": None, "high": None, "seconds": 0, "why": None}
    last = [sample for sample in samples if sample["boot"] == samples[-1]["boot"]]
    points = [(one["time"], one["held"] + one["swap"] + one["cold_swap"]) for one in demands(last)]
    seconds = points[-1][0] - points[0][0] if points else 0
    unknown["seconds"] = seconds
    if seconds < LEAST_GROWTH_SECONDS:
        unknown["why"] = (
            "the samples since the last boot are of %.1f days, and growth takes %d to be told from a day's rhythm"
            % (
                seconds / DAY,
                LEAST_GROWTH_SECONDS // DAY,
            )
        )
        return unknown
    if len(points) < LEAST_BINS:
        unknown["why"] = "there are %d samples since the last boot, and growth takes %d" % (len(points), LEAST_BINS)
        return unknown
    median, low, high = slope(bins(points))
    return {
        "bytes_per_day": int(median * DAY),
        "low": int(low * DAY),
        "high": int(high * DAY),
        "seconds": seconds,
        "why": None,
    }


def full_at(grows, now, room):
    """Return when the growth will have used the room, {likely, earliest, latest} in seconds since 1970; None: never."""
    if not grows["bytes_per_day"]:
        return {"likely": None, "earliest": None, "latest": None}

    def when(rate):
        return int(now + room / rate * DAY) if rate and rate > 0 and room > 0 else None

    # Growth that may as well be none is not a day in the calendar.
    sure = grows["low"] > 0
    return {
        "likely": when(grows["bytes_per_day"]) if sure else None,
        "earliest": when(grows["high"]) if sure else None,
        "latest": when(grows["low"]) if sure else None,
    }


# Units


def peaks(samples, most=10):
    """Return the units with the largest peaks: [{unit, peak, anonymous, swapped, time}], in bytes, largest first.

    peak is what was in use in RAM and swap together in one sample; the caches of what the unit reads are part of it.
    """
    found = {}
    for sample in samples:
        for unit, (used, anonymous, swapped) in sample["units"].items():
            if unit not in found or used + swapped > found[unit]["peak"]:
                found[unit] = {
                    "unit": unit,
                    "peak": used + swapped,
                    "anonymous": anonymous,
                    "swapped": swapped,
                    "time": sample["time"],
                }
    return sorted(found.values(), key=lambda one: (-one["peak"], one["unit"]))[:most]


def together(samples):
    """Return by how much more anonymous memory the units would hold if all met their peaks at once, in bytes."""
    largest = {}
    sums = []
    for sample in samples:
        for unit, (_used, anonymous, swapped) in sample["units"].items():
            largest[unit] = max(largest.get(unit, 0), anonymous + swapped)
        sums.append(sum(anonymous + swapped for _used, anonymous, swapped in sample["units"].values()))
    return max(0, sum(largest.values()) - max(sums or [0]))


# The answer


def quantile(values, share):
    """Return the value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(math.ceil(share * len(ordered))) - 1)]


def rounded(size, step=64 * MIB):
    """Return the size, in whole steps, not less."""
    return int(-(-size // step) * step)


def swapping(samples):
    """Return the bytes a second that were read back from swap over the whole window; None where nobody counted."""
    counted = [
        (sample["swapped_in"], place) for place, sample in enumerate(samples) if sample["swapped_in"] is not None
    ]
    seconds = sum(
        samples[place]["time"] - samples[place - 1]["time"]
        for _bytes, place in counted
        if place and samples[place - 1]["boot"] == samples[place]["boot"]
    )
    return sum(size for size, _place in counted) / float(seconds) if seconds > 0 else None


def was_short(samples):
    """Return why what was used may be less than what was needed, or None."""
    killed = sum(_known(sample["killed"]) for sample in samples)
    if killed:
        return "the OOM killer ended %d program%s in that time" % (killed, "" if killed == 1 else "s")
    for sample in samples:
        if sample["total"] and sample["available"] is not None and sample["available"] < SHORT_SHARE * sample["total"]:
            return "at times less than %d %% of memory was available" % (100 * SHORT_SHARE)
    rate = swapping(samples)
    if rate is not None and rate > SWAPPING_RATE:
        return "pages are read back from swap all the time, %d KiB a second" % (rate / 1024)
    return None


def size(samples, reserve, headroom_percent, horizon_days):
    """Return how much memory is needed, or None where no sample tells. All in bytes; times in seconds since 1970.

    reserve: what the kernel keeps free. headroom_percent: what is added for what was not seen. horizon_days: for how
    long growth is added that is sure to be some.
    """
    wanted = demands(samples)
    if not wanted:
        return None
    largest = max(wanted, key=lambda one: one["likely"])
    grows = growth(samples)
    added = 0
    if grows["bytes_per_day"] and grows["low"] > 0:
        added = int(grows["bytes_per_day"] * horizon_days)
    likely = largest["likely"] + reserve
    total = next(sample["total"] for sample in reversed(samples) if sample["total"])
    short = was_short(samples)
    return {
        "window": {"from": wanted[0]["time"], "until": wanted[-1]["time"], "samples": len(wanted)},
        "total": total,
        "least": max(one["least"] for one in wanted) + reserve,
        "likely": likely,
        "most": max(one["most"] for one in wanted) + reserve,
        "usual": quantile([one["likely"] for one in wanted], 0.5) + reserve,
        "at": largest["time"],
        "parts": {
            "held": largest["held"],
            "swap_wanted_back": largest["swap"],
            "page_cache": largest["cache"],
            "reserve": reserve,
        },
        "page_cache_told": largest["cache_told"],
        "at_least_only": short,
        "growth": grows,
        "full": full_at(grows, wanted[-1]["time"], total - likely),
        "growth_added": added,
        "advised": rounded((likely + added) * (100 + headroom_percent) / 100.0),
        "swap_left_lying": max(one["cold_swap"] for one in wanted),
        "swapped_in_rate": swapping(samples),
        "committed_peak": max([_known(sample["committed"]) for sample in samples]) or None,
        "units": peaks(samples),
        "all_units_at_their_peak": together(samples),
    }
