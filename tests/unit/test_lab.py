# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab without its guests: recipes, command lines, and the life of a machine with a qemu that is none."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import keeper
import machines
import play
import rootfs
from boot import Boot

# Ends as the next line of the file "ends" says: by a restart, by a switch-off; "run" goes on until it is killed.
# The guest's console says what the file "says" holds; as with qemu, it begins anew where nothing else is asked for.
QEMU = """\
#!/bin/sh
echo "$@" >> "$LAB_TEST/started"
for word; do
  path=${word##*path=}
  case $word in
    file,*append=on*) cat "$LAB_TEST/says" >> "${path%%,*}" ;;
    file,*path=*) cat "$LAB_TEST/says" > "${path%%,*}" ;;
    file:*) cat "$LAB_TEST/says" > "${word#file:}" ;;
  esac
done
echo '{"QMP": {}}'
end=$(head -n 1 "$LAB_TEST/ends")
sed -i 1d "$LAB_TEST/ends"
[ "$end" = run ] && exec sleep 1000
echo '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "'"$end"'"}}'
"""


def test_a_recipes_name_is_what_it_is_made_from(monkeypatch):
    one = rootfs.Recipe("trixie", ("a", "b"))
    assert one.key == rootfs.Recipe("trixie", ("a", "b")).key
    others = [
        rootfs.Recipe("sid", ("a", "b")),
        rootfs.Recipe("trixie", ("a",)),
        rootfs.Recipe("trixie", ("a", "b"), ("trixie-backports",)),
        rootfs.Recipe("trixie", ("a", "b"), (), ("a",)),
        rootfs.Recipe("trixie", ("a", "b"), script="true"),
    ]
    assert len({recipe.key for recipe in [one, *others]}) == len(others) + 1
    monkeypatch.setenv(rootfs.MIRROR_VARIABLE, "file:///elsewhere")
    assert one.key == rootfs.Recipe("trixie", ("a", "b")).key


def test_a_mirror_of_ones_own(monkeypatch):
    monkeypatch.setenv(rootfs.MIRROR_VARIABLE, "file:///packages")
    assert rootfs.mirror() == "file:///packages/"


def test_what_was_built_is_not_built_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = []

    def bootstrap(recipe, target):
        built.append(recipe.suite)
        target.write_bytes(b"tar")

    monkeypatch.setattr(rootfs, "_bootstrap", bootstrap)
    recipe = rootfs.Recipe("trixie", ("a",))
    assert rootfs.build(recipe) == rootfs.build(recipe) == tmp_path / f"linux_memory.oom/images/{recipe.key}.tar"
    assert built == ["trixie"]


def test_an_image_that_is_none():
    with pytest.raises(rootfs.LabError, match="buster is not one of bullseye, bookworm, trixie, backports"):
        machines.image("buster")


LAB = Path(machines.__file__).resolve().parent


@pytest.mark.parametrize(
    ("wrong", "allowed"),
    [
        (["--memory", "12"], "12 is not a number of MiB of at least 100"),
        (["--memory", "1G"], "1G is not a number of MiB of at least 100"),
        (["--disk=-3"], "-3 is not SIZE or SIZE:LIMIT, in MiB and MiB/s, both above 0"),
        (["--disk", "64:0"], "64:0 is not SIZE or SIZE:LIMIT, in MiB and MiB/s, both above 0"),
        (["--name", "a/b"], "name: 'a/b' is not made of letters"),
    ],
)
def test_a_wrong_option_of_the_tool_is_told_and_nothing_is_made(tmp_path, wrong, allowed):
    done = subprocess.run(
        [sys.executable, str(LAB), "up", "bookworm", *wrong],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode
    assert allowed in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_was_killed_before_it_had_a_machine_can_be_taken_away(tmp_path):
    half = tmp_path / "linux_memory.oom" / "machines" / "bookworm"
    half.mkdir(parents=True)
    subprocess.run(
        [sys.executable, str(LAB), "down", "bookworm"], env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}, check=True
    )
    assert not half.exists()


def test_each_kind_of_image_is_made_from_something_else(monkeypatch, tmp_path):
    """A kind that one test needs leaves the images of all others as they are, which take minutes to make."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = {}
    monkeypatch.setattr(machines, "build", lambda recipe: recipe)
    monkeypatch.setattr(machines, "_make_disk", lambda recipe, place: made.update({recipe: place}))
    for kind in ("", *machines.KINDS):
        assert machines.image("bookworm" + kind).name == "bookworm" + kind
    plain, kdump, remote = list(made)
    assert plain.packages == kdump.packages == machines.PACKAGES
    assert remote.packages == machines.PACKAGES + machines.REMOTE_PACKAGES
    assert (plain.script, kdump.script) == (machines.SETUP, machines.SETUP + machines.KDUMP_SETUP)
    assert len(set(made.values())) == 3


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a machine that a shell script stands in for."""
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "qemu-system-x86_64"
    fake.write_text(QEMU, encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("LAB_TEST", str(tmp_path))
    monkeypatch.setattr(machines, "CONSOLES", tmp_path / "consoles")
    (tmp_path / "says").write_text("it boots\n", encoding="utf-8")
    disk = machines.Image("trixie", tmp_path / "disk.raw", Boot(tmp_path / "k", tmp_path / "i", "root=/dev/vda"))
    monkeypatch.setattr(machines, "image", lambda name: disk)
    one = machines.Machine(disk, tmp_path / "place", append="quiet", disks=(machines.Disk(1024, 512), machines.Disk(7)))
    one.place.mkdir()
    return one


def own_keeper(machine, monkeypatch):
    """Give the keeper, which is a program of its own, the machine's image to load."""
    monkeypatch.setattr(machines, "KEEPER", machine.place.parent / "keeper.py")
    lab = Path(keeper.__file__).parent
    machines.KEEPER.write_text(
        f"import sys, pathlib; sys.path.insert(0, {str(lab)!r})\n"
        "import keeper, machines, boot\n"
        "machines.image = lambda name: machines.Image(name, None, boot.Boot('k', 'i', ''))\n"
        "sys.exit(keeper.main())\n",
        encoding="utf-8",
    )


def answers(machine, script):
    """Let ssh be a program in Python."""
    program = machine.place.parent / "bin" / "ssh"
    program.write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def until(condition):
    """Wait for a condition."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_command_line(machine):
    words = machine.command(Boot(Path("/k"), Path("/i"), "root=UUID=1 ro"))
    assert words[words.index("-append") + 1] == "root=UUID=1 ro quiet"
    assert words[words.index("-kernel") + 1] == "/k"
    drives = [words[number + 1] for number, word in enumerate(words) if word == "-drive"]
    assert [drive.split(",")[1] for drive in drives] == ["id=root", "id=lab0", "id=lab1", "id=labkey"]
    assert [drive.endswith("throttling.bps-write=512") for drive in drives] == [False, True, False, False]
    assert f"user,id=net,hostfwd=tcp:127.0.0.1:{machine.port}-:22" in words
    machine.forwards = ((7, 2049),)
    net = next(word for word in machine.command(Boot(Path("/k"), Path("/i"), "")) if word.startswith("user,"))
    assert net == f"user,id=net,hostfwd=tcp:127.0.0.1:{machine.port}-:22,hostfwd=tcp:127.0.0.1:7-:2049"


@pytest.mark.parametrize(("flags", "kvm"), [("fpu vmx", True), ("fpu svm", True), ("fpu", False)])
def test_the_processor_decides_on_kvm(monkeypatch, flags, kvm):
    monkeypatch.setattr(machines.Path, "read_text", lambda *_arguments, **_options: f"flags : {flags}\n")
    monkeypatch.setattr(machines.os, "access", lambda *_arguments: True)
    assert machines.has_kvm() is kvm


def test_a_machine_is_saved_whole(machine):
    machine.pid, machine.forwards = 7, ((7, 2049),)
    machine.save()
    assert machines.Machine.load(machine.place) == machine


def test_the_reason_of_the_end():
    told = b'{"QMP": 1}\nno json\n[]\n{"event": "RESET"}\n{"event": "SHUTDOWN", "data": {"reason": "guest-reset"}}\n'
    assert keeper.why_it_ended(io.BytesIO(told)) == "guest-reset"
    assert keeper.why_it_ended(io.BytesIO(b"")) == ""


def started(machine) -> list[str]:
    """Return the command lines that the machine was started with."""
    return (machine.place.parent / "started").read_text(encoding="utf-8").splitlines()


def test_a_restart_boots_what_the_boot_loader_says_now(machine, monkeypatch):
    now = Boot(Path("/new"), Path("/initrd"), "crashkernel=1M")
    monkeypatch.setattr(machine, "next_boot", lambda: now)
    (machine.place.parent / "ends").write_text("guest-reset\nguest-shutdown\n", encoding="utf-8")
    assert keeper.Keeper(machine).run() == "guest-shutdown"
    first, second = started(machine)
    assert "root=/dev/vda quiet" in first
    assert "-kernel /new" in second
    assert "crashkernel=1M quiet" in second


def test_the_console_is_kept_over_a_restart(machine, monkeypatch):
    """What a kernel says when it panics is what is looked for when the machine has come up again."""
    says = machine.place.parent / "says"
    says.write_text("Kernel panic - not syncing: System is out of memory\n" + "more\n" * 99, encoding="utf-8")

    def next_boot():
        says.write_text("booted again\n" * 50, encoding="utf-8")
        return machine.first_boot()

    monkeypatch.setattr(machine, "next_boot", next_boot)
    (machine.place.parent / "ends").write_text("guest-reset\nguest-shutdown\n", encoding="utf-8")
    keeper.Keeper(machine).run()
    text = machine.console.read_text(encoding="utf-8")
    assert text.index("Kernel panic") < text.index("booted again")
    assert machine.said().decode() == "booted again\n" * 50
    assert machine.told().startswith("Kernel panic - not syncing: System is out of memory\nbooted again\n")


def test_what_stopped_in_an_earlier_start_does_not_stop_this_one(machine, monkeypatch):
    """A machine whose kernel stopped, whose power was cut, and that was started again, comes up."""
    answers(machine, "print('running')")
    own_keeper(machine, monkeypatch)
    machine.console.write_bytes(machines.STOPPED + b"\n")
    (machine.place.parent / "ends").write_text("run\n", encoding="utf-8")
    machine.start()
    try:
        machine.wait()
        assert machines.STOPPED in machine.console.read_bytes()
        with open(machine.console, "ab") as console:
            console.write(machines.STOPPED)
        with pytest.raises(rootfs.LabError, match="stopped"):
            machine.wait()
    finally:
        machine.cut()


def test_the_console_outlives_the_machine(machine, monkeypatch):
    answers(machine, "print('running')")
    own_keeper(machine, monkeypatch)
    monkeypatch.setattr(machines.Machine, "prepare", lambda _one: None)
    monkeypatch.setattr(machines, "KEPT_CONSOLES", 1)
    (machine.place.parent / "ends").write_text("run\nrun\n", encoding="utf-8")
    for text in ("the first\n", "the second\n"):
        (machine.place.parent / "says").write_text(text, encoding="utf-8")
        with pytest.raises(ZeroDivisionError), machines.machine("trixie") as one:
            until(lambda text=text: text.encode() in one.said())
            assert str(one.kept_console) in one.told()
            raise ZeroDivisionError
        assert not one.place.exists()
        assert [path.name for path in machines.CONSOLES.iterdir()] == [one.kept_console.name]
        assert text in one.kept_console.read_text(encoding="utf-8")


def test_a_machine_that_only_restarts_is_given_up(machine, monkeypatch):
    monkeypatch.setattr(machine, "next_boot", machine.first_boot)
    (machine.place.parent / "ends").write_text("guest-reset\n" * 9, encoding="utf-8")
    assert keeper.Keeper(machine).run() == "guest-reset"
    assert len(started(machine)) == keeper.QUICK_TIMES


def test_a_power_cut_ends_qemu(machine, monkeypatch):
    own_keeper(machine, monkeypatch)
    (machine.place.parent / "ends").write_text("run\n", encoding="utf-8")
    machine.start()
    until(lambda: not (machine.place.parent / "ends").read_text(encoding="utf-8"))
    assert machine.running()
    children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children").read_text(encoding="ascii").split()
    assert len(children) == 1
    machine.cut()
    assert not machine.running()
    assert not Path(f"/proc/{children[0]}").exists()


@pytest.fixture
def hung(machine, monkeypatch):
    """Return a machine that runs and answers SSH only after a minute: it then leaves the file answered."""
    answered = machine.place.parent / "answered"
    answers(machine, f"import pathlib, time\ntime.sleep(60)\npathlib.Path({str(answered)!r}).touch()\nprint('running')")
    own_keeper(machine, monkeypatch)
    (machine.place.parent / "ends").write_text("run\n", encoding="utf-8")
    machine.start()
    until(lambda: b"it boots" in machine.said())
    yield machine
    machine.cut()
    assert not machine.running()
    assert not answered.exists()


def test_a_machine_that_hangs_is_not_waited_for_without_end(hung):
    with pytest.raises(rootfs.LabError, match=r"(?s)did not boot within 1 s.*it boots"):
        hung.wait(1)


def test_a_script_that_hangs_is_told_with_the_console(hung):
    with pytest.raises(rootfs.LabError, match=r"(?s)'sleep inf' did not end within 1 s.*it boots"):
        hung.run("sleep inf\n", seconds=1)


def test_a_playbook_that_hangs_is_told_with_the_consoles(hung, monkeypatch):
    monkeypatch.setattr(play, "LONGEST", 1)
    slow = hung.place.parent / "bin" / "ssh"
    with pytest.raises(rootfs.LabError, match=r"(?s)did not end within 1 s.*second:.*it boots"):
        play.fleet({"second": hung}, str(slow))


def test_a_guest_that_is_short_of_memory_is_not_given_up():
    """It may be silent for five minutes; a connection that nobody answers has an end all the same."""
    if not shutil.which("ssh"):
        pytest.skip("ssh is not installed")
    known = subprocess.run(["ssh", "-G", *machines.SSH_OPTIONS, "guest"], capture_output=True, text=True, check=True)
    options = dict(line.split(" ", 1) for line in known.stdout.splitlines() if " " in line)
    patience = int(options["serveraliveinterval"]) * int(options["serveralivecountmax"])
    assert 300 < patience <= 1800
