# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kdump killed at each call that writes, its own and its tools': each file is old or new, and the next run repairs."""

from __future__ import annotations

import shutil

import pytest
from kdump_hosts import Host
from killed_at_each_call import killed_at_each_call

FIRST = {"keep_bytes": "1G"}
OTHER = {"crashkernel": "512M", "target": "ssh", "target_location": "crash@vault", "keep_dumps": 0}
DISABLED = {"state": "disabled"}
ABSENT = {"state": "absent"}
MIB = 1 << 20


def state(place, family):
    """Return all files of a host, those of the tools' own state among them."""
    host = Host.there(place, family)
    found = {name.replace(str(place), ""): text for name, text in host.files().items()}
    for path in ("/sys/kernel/kexec_crash_size", "/sys/kernel/kexec_crash_loaded"):
        found[path] = host.get(path).strip()
    if family == "debian":
        found["menu"] = host.get("/boot/grub/grub.cfg")
    # A half-written file that nobody reads is swept when its file is written again.
    return {name: text for name, text in found.items() if not name.endswith("~") and "/.linux_memory.oom." not in name}


@pytest.mark.parametrize("family", ["debian", "rhel"])
@pytest.mark.parametrize(
    ("before", "wanted"),
    [(None, FIRST), (FIRST, OTHER), (FIRST, DISABLED), (FIRST, ABSENT)],
    ids=["first", "other", "disabled", "undo"],
)
def test_old_or_new_and_repaired(before, wanted, family, tmp_path):
    untouched, start, end = (tmp_path / name for name in ("untouched", "start", "end"))
    for place in (untouched, start, end):
        # The memory of a host on which it is to be given back is one that is in use.
        Host(place, family, reserved=256 * MIB if wanted is DISABLED else 0)
        if before and place is not untouched:
            Host.there(place, family).apply(**before)
    Host.there(end, family).apply(**wanted)
    nothing, old, new = (state(place, family) for place in (untouched, start, end))
    killed = []

    def arrange(place):
        shutil.copytree(start, place, symlinks=True, dirs_exist_ok=True)

    for place, call in killed_at_each_call(lambda place: Host.there(place, family).apply(**wanted), arrange, tmp_path):
        size = place / "sys/kernel/kexec_crash_size"
        if not size.read_text(encoding="utf-8"):
            # The kernel's file is not emptied by being opened.
            size.write_text(old["/sys/kernel/kexec_crash_size"], encoding="utf-8")
        for name, text in state(place, family).items():
            if name.startswith("/etc"):
                # The file that says nothing any more stands while the menu is written without it.
                empty = name.endswith("kdump.cfg") and "Says nothing" in text
                assert text in (old.get(name), new.get(name)) or empty, (call, name)
        undone = tmp_path / "undone"
        shutil.copytree(place, undone, symlinks=True)
        Host.there(undone, family).apply(**ABSENT)
        same = state(undone, family)
        if wanted is DISABLED:
            same.update({name: nothing[name] for name in nothing if name.startswith("/sys")})
        assert same == nothing, call
        shutil.rmtree(undone)
        Host.there(place, family).apply(**wanted)
        assert state(place, family) == new, call
        again = Host.there(place, family).change(**wanted)
        assert (again.changed, again.steps) == (False, []), call
        killed.append(call[0])
    assert len(killed) >= 5 and {"rename", "unlink"} & set(killed)
