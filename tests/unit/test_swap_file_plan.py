# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order in which swap files change: never less swap than before or after, wherever a run before was stopped."""

from __future__ import annotations

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import swap_file_plan as plan
from hypothesis import given
from hypothesis import strategies as st

MIB = plan.MIB
P = "/srv/swap"
SIZES = st.sampled_from([8 * MIB, 16 * MIB, 64 * MIB, 65 * MIB, 512 * MIB])
PRIORITIES = st.none() | st.integers(0, 3)
SWAP = st.fixed_dictionaries({"size": SIZES, "priority": PRIORITIES, "discard": st.sampled_from(plan.DISCARDS)})
WISHES = st.none() | SWAP


def nothing(**changed):
    return {
        "kind": "file", "exists": False, "size": None, "signature": False, "mode_right": True, "active": False,
        "active_size": 0, "used": 0, "priority": None, "fstab": None, "parts": [], "bridge": None, **changed,
    }  # fmt: skip


def wish(size=64 * MIB, priority=None, discard="none"):
    return {"size": size, "priority": priority, "discard": discard}


class World:
    """A small host that does steps as the kernel would, and refuses what it would refuse."""

    def __init__(self, state):
        self.files = {}  # path: [size, signature]
        self.active = {}  # path: (size, priority)
        self.fstab = state["fstab"]
        self.parts = list(state["parts"])
        if state["exists"]:
            self.files[P] = [state["size"], state["signature"]]
        if state["active"]:
            self.active[P] = (state["active_size"], state["priority"])
        if state["bridge"]:
            self.files[plan.bridge_of(P)] = [state["bridge"]["size"], True]
            if state["bridge"]["active"]:
                self.active[plan.bridge_of(P)] = (state["bridge"]["size"], None)

    def total(self):
        return sum(size for size, _priority in self.active.values())

    def do(self, step):
        what, path = step["do"], step["path"]
        if what == "fstab":
            self.fstab = step["options"]
        elif what == "create":
            assert path not in self.active, "an active swap file cannot be replaced"
            self.files[path] = [step["size"], True]
        elif what == "delete":
            assert path not in self.active, "an active swap file cannot be removed"
            if path in plan.parts_of(P):
                self.parts.remove(path)
            else:
                del self.files[path]
        elif what == "on":
            size, signature = self.files[path]
            assert signature and path not in self.active
            self.active[path] = (size, step["priority"])
        elif what == "off":
            del self.active[path]
        elif what == "format":
            self.files[path][1] = True
        elif what == "wipe":
            self.files[path][1] = False
        elif what != "mode":
            raise AssertionError(what)

    def state(self):
        """Return what a run that starts now would see."""
        bridge = self.files.get(plan.bridge_of(P))
        there = self.files.get(P)
        return nothing(
            exists=there is not None,
            size=there[0] if there else None,
            signature=bool(there and there[1]),
            active=P in self.active,
            active_size=self.active[P][0] if P in self.active else 0,
            priority=self.active[P][1] if P in self.active else None,
            fstab=self.fstab,
            parts=list(self.parts),
            bridge=bridge and {"active": plan.bridge_of(P) in self.active, "size": bridge[0]},
        )


@st.composite
def states(draw):
    """Return a state that is ours or not there at all, also what no run of ours leaves."""
    kind = draw(st.sampled_from(["nothing", "half", "inactive", "active", "active", "active"]))
    exists, signature, active = kind != "nothing", kind in ("inactive", "active"), kind == "active"
    size = draw(SIZES) if exists else None
    bridge = draw(st.none() | st.fixed_dictionaries({"active": st.sampled_from([True, True, False]), "size": SIZES}))
    options = plan.boot_options(draw(SWAP))
    return nothing(
        exists=exists, signature=signature, active=active, size=size,
        active_size=draw(st.just(size) | SIZES) if active else 0,
        priority=draw(PRIORITIES) if active else None,
        mode_right=draw(st.booleans()) if exists else True,
        fstab=options if exists or bridge else draw(st.none() | st.just(options)),
        parts=draw(st.lists(st.sampled_from(plan.parts_of(P)), unique=True)), bridge=bridge,
    )  # fmt: skip


@given(states(), WISHES)
def test_the_steps_lead_to_the_wish_and_never_below(state, wanted):
    steps = plan.steps_for(P, state, wanted)
    world = World(state)
    least = min(state["active_size"], wanted["size"]) if wanted else 0
    for step in steps:
        world.do(step)
        assert world.total() >= least, step
    if wanted:
        assert world.active == {P: (wanted["size"], wanted["priority"])}
        assert list(world.files) == [P]
        assert world.fstab == plan.boot_options(wanted)
    elif state["fstab"] is not None:
        assert not world.active
        assert not world.files
        assert world.fstab is None
    assert not world.parts
    # What the plan believes of the totals is what happened.
    believed = list(plan.walk({P: state}, steps))
    assert believed[-1][1] == world.total()
    assert believed[-1][2] == sum(size for size, _signature in world.files.values())


@given(states(), WISHES, st.integers(0, 12), st.integers(0, 12))
def test_a_run_that_was_stopped_anywhere_is_completed_by_the_next(state, wanted, first, second):
    world = World(state)
    for stop in (first, second):
        for step in plan.steps_for(P, world.state(), wanted)[:stop]:
            world.do(step)
    total = world.total()
    steps = plan.steps_for(P, world.state(), wanted)
    for step in steps:
        world.do(step)
        if wanted:
            assert world.total() >= min(wanted["size"], state["active_size"], total)
    assert plan.steps_for(P, world.state(), wanted) == []


@given(states(), SWAP)
def test_nothing_is_off_before_something_is_on(state, wanted):
    done = [(step["do"], step["path"]) for step in plan.steps_for(P, state, wanted)]
    if ("off", P) in done:
        covered = ("on", plan.bridge_of(P)) in done[: done.index(("off", P))]
        assert covered or state["bridge"]["active"]


def test_growth():
    state = nothing(exists=True, size=MIB, signature=True, active=True, active_size=MIB, fstab=["sw", "nofail"])
    steps = plan.steps_for(P, state, wish(2 * MIB))
    bridge = plan.bridge_of(P)
    assert [(step["do"], step["path"]) for step in steps] == [
        ("create", bridge), ("on", bridge), ("off", P), ("delete", P), ("create", P), ("on", P), ("off", bridge),
        ("delete", bridge),
    ]  # fmt: skip
    assert plan.disk_needed({P: state}, steps) == 2 * MIB


def test_an_area_that_is_right_is_left_alone():
    state = nothing(
        exists=True, size=MIB, signature=True, active=True, active_size=MIB, priority=3, fstab=["sw", "nofail", "pri=3"]
    )
    assert plan.steps_for(P, state, wish(MIB, 3)) == []
    assert [step["do"] for step in plan.steps_for(P, {**state, "fstab": None}, wish(MIB, 3))] == ["fstab"]


def test_a_bridge_that_is_too_small_is_made_anew():
    """It was made for less: what is to be grown now has grown since."""
    state = nothing(
        exists=True, size=8 * MIB, signature=True, active=True, active_size=8 * MIB, fstab=["sw", "nofail"],
        bridge={"active": True, "size": MIB},
    )  # fmt: skip
    done = [(step["do"], step["path"]) for step in plan.steps_for(P, state, wish(16 * MIB))]
    assert done[:3] == [("off", plan.bridge_of(P)), ("delete", plan.bridge_of(P)), ("create", plan.bridge_of(P))]


def test_a_file_that_was_changed_below_its_active_swap_is_not_right():
    state = nothing(exists=True, size=2 * MIB, signature=True, active=True, active_size=MIB, fstab=["sw", "nofail"])
    assert ("off", P) in [(step["do"], step["path"]) for step in plan.steps_for(P, state, wish(2 * MIB))]


def test_what_is_not_ours_is_not_removed():
    state = nothing(exists=True, size=MIB, signature=True, active=True, active_size=MIB)
    assert plan.steps_for(P, state, None) == []
    assert plan.memory_needed({P: {**state, "used": MIB}}, {P: None}) == 0


def active(size, used, **changed):
    return nothing(
        exists=True,
        size=size,
        signature=True,
        active=True,
        active_size=size,
        used=used,
        fstab=["sw", "nofail"],
        **changed,
    )


@pytest.mark.parametrize(
    "wanted, refused",
    [(None, True), (wish(400 * MIB), True), (wish(600 * MIB), False), (wish(500 * MIB, 7), False)],
    ids=["removal", "shrink", "growth", "priority"],
)
def test_room_is_needed_where_swap_goes_or_shrinks(wanted, refused):
    states_now = {P: active(500 * MIB, 300 * MIB)}
    said = plan.refuse_room(states_now, {P: wanted}, available=300 * MIB, total=1024 * MIB)
    assert bool(said) == refused
    if said:
        assert "300.0 MiB of swap in use" in said and "300.0 MiB are available" in said
    assert plan.refuse_room(states_now, {P: wanted}, available=364 * MIB, total=1024 * MIB) is None


def test_a_device_needs_room_for_any_change():
    device = active(500 * MIB, 300 * MIB, kind="device")
    assert plan.refuse_room({P: device}, {P: wish(500 * MIB, 7)}, 300 * MIB, 1024 * MIB)
    assert plan.refuse_room({P: device}, {P: wish(500 * MIB)}, 300 * MIB, 1024 * MIB) is None


def test_several_areas_are_added_up():
    states_now = {"/a": active(200 * MIB, 100 * MIB), "/b": active(200 * MIB, 150 * MIB)}
    assert "250.0 MiB of swap" in plan.refuse_room(states_now, {"/a": None, "/b": None}, 260 * MIB, 1024 * MIB)


def test_disk():
    assert plan.refuse_disk(100 * MIB, free=200 * MIB, total=1024 * MIB, where=P) is None
    said = plan.refuse_disk(100 * MIB, free=120 * MIB, total=1024 * MIB, where=P)
    assert "100.0 MiB" in said and "120.0 MiB are free" in said and "51.2 MiB" in said


@pytest.mark.parametrize(
    "kind, kernel, profiles, devices, word",
    [
        ("tmpfs", (6, 1), (), 1, "memory itself"),
        ("overlay", (6, 1), (), 1, "map its files"),
        ("nfs4", (6, 1), (), 1, "network"),
        ("zfs", (6, 1), (), 1, "ZFS"),
        ("fuse.sshfs", (6, 1), (), 1, "only ext2"),
        (None, (6, 1), (), 1, "not known"),
        ("btrfs", (4, 19), (), 1, "since kernel 5.0"),
        ("btrfs", (6, 1), ("raid1", "single"), 1, "as raid1"),
        ("btrfs", (6, 1), ("single",), 2, "2 devices"),
    ],
)
def test_file_systems_that_are_refused(kind, kernel, profiles, devices, word):
    assert word in plan.file_system_refusal(kind, kernel, profiles, devices)


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4", "xfs", "btrfs"])
def test_file_systems_that_serve(kind):
    assert plan.file_system_refusal(kind, (5, 10), ("single",), 1) is None


def test_preallocation():
    assert plan.may_preallocate("ext4", (4, 4))
    assert plan.may_preallocate("xfs", (4, 18)) and not plan.may_preallocate("xfs", (4, 17))
    assert plan.may_preallocate("btrfs", (5, 0))
    assert not plan.may_preallocate("ext3", (6, 1))


@pytest.mark.parametrize(
    "text, size",
    [("2G", 2 * plan.GIB), ("1536M", 1536 * MIB), (str(MIB), MIB), ("1GiB", plan.GIB), ("16T", plan.MAX_SIZE)],
)
def test_sizes(text, size):
    assert plan.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "2 G", "-1G", "1.5G", "50%", "0", "1023K", "17T", "1E", "0x10", "G", True, "٣G"])
def test_sizes_that_are_refused(text):
    with pytest.raises(ValueError, match="it must be"):
        plan.parse_size(text)


@given(SWAP)
def test_discard_is_read_back_from_what_was_written(wanted):
    assert plan.discard_of(plan.boot_options(wanted)) == wanted["discard"]


@given(states(), WISHES)
def test_the_prediction_is_what_comes_true(state, wanted):
    _before, after = plan.predicted(state, wanted)
    world = World(state)
    for step in plan.steps_for(P, state, wanted):
        world.do(step)
    reached, _after = plan.predicted(world.state(), wanted)
    if wanted or state["fstab"] is not None:
        assert reached == after
