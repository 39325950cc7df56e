# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host could live with strict accounting (vm.overcommit_memory 2): pure functions of its facts.

The article's warning is that programs ask for tens of times what they use. Here is how much they ask for, beside what
they use, and what would be refused them: what is promised already, what a fork of a large program needs once more, and
programs that are known to ask for much.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.linux_memory.oom.plugins.module_utils.overcommit import limit_in_mode_2
from ansible_collections.linux_memory.oom.plugins.plugin_utils.human import printable, size
from ansible_collections.linux_memory.oom.plugins.plugin_utils.values import (
    KIB,
    MIB,
    PERCENT,
    at,
    number,
    numbers,
    rows,
    text,
)

STRICT = 2
# What root needs to log in and repair a host in mode 2, on x86-64 (Documentation/admin-guide/sysctl/vm.rst,
# admin_reserve_kbytes).
RECOVERY = 128 * MIB
# So many programs are shown.
SHOWN = 10

FORKS, REFUSE, WARN = "forks", "refuse", "warn"


@dataclass(frozen=True)
class Kind:
    """Programs that need overcommit: their names as the kernel has them (15 characters), and what to do about them."""

    names: re.Pattern[str]
    verdict: str
    why: str


# The reason of each, and where it is told.
KINDS = (
    # The warning at the start of Redis and of Valkey; valkey-io/valkey-container#87. fork(2) charges the child for all
    # private writable mappings once more (kernel/fork.c, dup_mmap), and nothing is shared in this account.
    Kind(
        re.compile(r"(redis|valkey|keydb)-server"),
        FORKS,
        "saves from a fork, which is charged for all of its memory once more",
    ),
    # kubernetes/kubernetes#15087: a kubelet sets vm.overcommit_memory to 1 whenever it starts. moby/moby#31834: dockerd
    # could not start its helpers in mode 2.
    Kind(
        re.compile(r"dockerd|containerd(-shim.*)?|crio|kubelet|kubelite|k3s.*|rke2.*|podman"),
        REFUSE,
        "starts containers, and what they reserve is not known before they run",
    ),
    # HotSpot reserves its heap unwritable and commits it piece by piece up to -Xmx; where that fails it aborts: "Native
    # memory allocation (mmap) failed to map N bytes for committing reserved memory".
    Kind(re.compile(r"java"), REFUSE, "commits its heap piece by piece up to -Xmx, and aborts where that is refused"),
    # flynn/flynn#4033: fork/exec of a Go program is refused for the size of its mappings; a Go program that is refused
    # memory ends with "fatal error: runtime: cannot allocate memory".
    Kind(
        re.compile(
            r"alertmanager|caddy|consul|coredns|etcd|gitea|grafana(-server)?|influxd|loki|minio|node_exporter|nomad"
            r"|prometheus|telegraf|traefik|vault|victoria-metric"
        ),
        WARN,
        "is a Go program, which ends where memory is refused",
    ),
)


@dataclass(frozen=True)
class Program:
    """All processes of one name together, in bytes."""

    name: str
    processes: int
    reserved: float
    used: float

    @property
    def kind(self) -> Kind | None:
        """Return what is known of programs of this name."""
        return next((kind for kind in KINDS if kind.names.fullmatch(self.name)), None)

    def spoken(self) -> str:
        """Return the program with its numbers."""
        return f"{self.name} reserves {size(self.reserved)} and uses {size(self.used)}"


@dataclass(frozen=True)
class Wish:
    """The settings that are asked for: a ratio or a size, and what is kept for root; None for what is not."""

    ratio: float | None = None
    kbytes: float | None = None
    admin_reserve_kbytes: float | None = None

    def spoken(self) -> str:
        """Return the setting that decides, with its value."""
        if self.kbytes is not None:
            return f"overcommit_limit_kbytes is {self.kbytes:g}"
        return f"overcommit_limit_ratio is {self.ratio:g}"


def programs_of(facts: Any) -> list[Program]:
    """Return the programs of the facts, the largest reservation first."""
    found = []
    for row in rows(at(facts, "processes", "by_reserved")):
        name, reserved, used = text(row.get("comm")), number(row.get("reserved")), number(row.get("used"))
        if name is not None and reserved is not None and used is not None:
            found.append(Program(printable(name), int(number(row.get("processes")) or 1), reserved, used))
    return found


def limit_of(facts: Any, wish: Wish) -> int | None:
    """Return the CommitLimit that the settings make, in bytes, or None where the facts do not tell."""
    page = int(number(at(facts, "system", "page_size")) or 0)
    memory = {key: int(value) for key, value in numbers(at(facts, "meminfo")).items()}
    return limit_in_mode_2(memory, wish.ratio, int(wish.kbytes or 0) * KIB, page) if page else None


def table_of(programs: Sequence[Program]) -> list[str]:
    """Return what programs reserve against what they use of that, a line for each of the largest and one for all."""
    together = Program(
        "together",
        sum(one.processes for one in programs),
        sum(one.reserved for one in programs),
        sum(one.used for one in programs),
    )
    return [f"{'program':<16}{'processes':>9}{'reserved':>11}{'used':>11}{'times':>8}"] + [
        f"{one.name:<16}{one.processes:>9}{size(one.reserved):>11}{size(one.used):>11}{_times(one):>8}"
        for one in (*programs[:SHOWN], together)
    ]


def _times(program: Program) -> str:
    return f"{program.reserved / program.used:.1f}" if program.used else "-"


def commitment(
    facts: Any,
    wish: Wish,
    margin: float = 0,
    accepted: Sequence[str] = (),
) -> dict[str, Any]:
    """Return how strict accounting with these settings would be on a host.

    limit, promised, left: bytes or None. left is what ordinary programs could still get, less what is kept for root.
    refused: sentences on why it should not be; warnings: sentences on what may fail. table: lines of text.
    margin: percent of what is promised that has to be left. accepted: names of programs that somebody has looked at.
    """
    limit, promised = limit_of(facts, wish), number(at(facts, "overcommit", "committed"))
    programs = programs_of(facts)
    reserve = wish.admin_reserve_kbytes
    kept = number(at(facts, "overcommit", "admin_reserve")) if reserve is None else reserve * KIB
    left = None if limit is None or promised is None else limit - promised - (kept or 0)
    answer: dict[str, Any] = {
        "limit": limit,
        "promised": promised,
        "left": left,
        "programs": [vars(one) for one in programs[:SHOWN]],
        "table": table_of(programs),
        "refused": [],
        "warnings": [],
    }
    if _is_raise(facts, limit):
        return answer
    numbers = _short(wish, limit, promised, left, margin)
    answer["refused"] = ([numbers] if numbers else []) + (
        [] if _is_strict(facts) else _needy(programs, left, accepted, REFUSE, FORKS)
    )
    answer["warnings"] = ([] if _is_strict(facts) else _needy(programs, left, accepted, WARN)) + _recovery(kept)
    return answer


def _is_strict(facts: Any) -> bool:
    return at(facts, "overcommit", "mode") == STRICT


def _is_raise(facts: Any, limit: float | None) -> bool:
    """Return whether the host is strict already and gets more room: what runs there can only gain."""
    now = number(at(facts, "overcommit", "commit_limit"))
    return _is_strict(facts) and None not in (limit, now) and limit >= now


def _short(wish: Wish, limit: float | None, promised: float | None, left: float | None, margin: float) -> str | None:
    """Return the sentence on a limit that is too small, or None."""
    if limit is None or promised is None or left is None:
        return f"{wish.spoken()}, and how much could be promised with it, or is promised now, could not be read"
    said = f"{wish.spoken()}, with which {size(limit)} could be promised, and {size(promised)} are promised already"
    if promised > limit:
        return f"{said} (Committed_AS), so that the next request of any program would fail"
    least = promised * margin / PERCENT
    if left < least:
        return (
            f"{said} (Committed_AS), which leaves {size(left)} beside what is kept for root, where {size(least)}, "
            f"{margin:g} % of what is promised, have to be left (overcommit_limit_margin_percent)"
        )
    return None


def _needy(programs: Sequence[Program], left: float | None, accepted: Sequence[str], *verdicts: str) -> list[str]:
    """Return a sentence for each program that is known to need overcommit, with what it reserves and uses."""
    found = []
    for one in programs:
        kind = one.kind
        if kind is None or kind.verdict not in verdicts or one.name in accepted:
            continue
        if kind.verdict == FORKS and left is not None and one.reserved <= left:
            continue
        room = f", and {size(left)} would be left" if kind.verdict == FORKS and left is not None else ""
        found.append(f"{one.spoken()}; it {kind.why}{room}")
    return found


def _recovery(kept: float | None) -> list[str]:
    """Return what to say of what is kept for root, which in mode 2 decides whether it can still log in."""
    if kept is None or kept >= RECOVERY:
        return []
    needed = f"a login and its tools need about {size(RECOVERY)} once all else is promised"
    return [
        f"vm.admin_reserve_kbytes keeps {size(kept)} for root, where {needed} (overcommit_limit_admin_reserve_kbytes)"
    ]


def wish_of(settings: Mapping[str, Any]) -> Wish:
    """Return the wish of sysctl settings. Raises ValueError with a sentence."""
    values = {}
    for name in ("ratio", "kbytes", "admin_reserve_kbytes"):
        key = f"vm.{name if name.startswith('admin') else 'overcommit_' + name}"
        if key in settings:
            values[name] = number(settings[key])
            if values[name] is None:
                raise ValueError(f"commitment: {key} is {settings[key]!r}, which is no number")
    if "ratio" not in values and "kbytes" not in values:
        raise ValueError("commitment: the settings have neither vm.overcommit_ratio nor vm.overcommit_kbytes")
    return Wish(**values)
