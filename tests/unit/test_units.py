# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What files say of a systemd unit."""

import os
import shutil
import subprocess

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import units as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

UNIT = "kdump.service"


def unit_file(root, directory, text="[Service]\n"):
    path = root / directory.lstrip("/") / UNIT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def link(root, path, target):
    path = root / path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(target, str(path))


def state(root):
    tree = Tree(str(root))
    return subject.present(tree, UNIT), subject.enabled(tree, UNIT), subject.active(tree, UNIT)


def test_nothing(tmp_path):
    assert state(tmp_path) == (False, False, None)


@pytest.mark.parametrize(
    "directory",
    ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"]
    + ["/lib/systemd/system"],
)
def test_installed(tmp_path, directory):
    unit_file(tmp_path, directory)
    assert state(tmp_path) == (True, False, None)


@pytest.mark.parametrize("wants", ["multi-user.target.wants", "basic.target.requires"])
@pytest.mark.parametrize("directory", ["/etc/systemd/system", "/usr/lib/systemd/system"])
def test_enabled_by_a_link(tmp_path, directory, wants):
    unit_file(tmp_path, "/usr/lib/systemd/system")
    # The link may lead to a directory that the tree has under another name, as after the merge of /lib and /usr/lib.
    link(tmp_path, "%s/%s/%s" % (directory, wants, UNIT), "/lib/systemd/system/" + UNIT)
    assert state(tmp_path) == (True, True, None)


def test_a_link_elsewhere_enables_nothing(tmp_path):
    unit_file(tmp_path, "/usr/lib/systemd/system")
    link(tmp_path, "/etc/systemd/system/other.d/" + UNIT, "/lib/systemd/system/" + UNIT)
    link(tmp_path, "/etc/systemd/system/multi-user.target.wants/other.service", "/lib/systemd/system/other.service")
    assert state(tmp_path) == (True, False, None)


def test_masked(tmp_path):
    unit_file(tmp_path, "/usr/lib/systemd/system")
    link(tmp_path, "/etc/systemd/system/multi-user.target.wants/" + UNIT, "/lib/systemd/system/" + UNIT)
    link(tmp_path, "/etc/systemd/system/" + UNIT, "/dev/null")
    assert subject.masked(Tree(str(tmp_path)), UNIT)
    assert state(tmp_path) == (True, False, None)


def test_active(tmp_path):
    (tmp_path / "run/systemd/units").mkdir(parents=True)
    assert state(tmp_path)[2] is False
    link(tmp_path, "/run/systemd/units/invocation:" + UNIT, "0123456789abcdef0123456789abcdef")
    assert state(tmp_path)[2] is True


LIST_UNITS = """  UNIT                  LOAD   ACTIVE     SUB       DESCRIPTION
  dev-vda.device        loaded active     plugged   Disk
  kdump.service         loaded active     exited    Crash recovery kernel arming
● failed.service        loaded failed     failed    Broken

LOAD   = Reflects whether the unit definition was properly loaded.
"""
LIST_FILES = """UNIT FILE             STATE           VENDOR PRESET
kdump.service         enabled         enabled
other.service         disabled        enabled
"""


def test_sosreport(tmp_path):
    where = tmp_path / "sos_commands/systemd"
    where.mkdir(parents=True)
    assert state(tmp_path) == (False, False, None)
    (where / "systemctl_list-units").write_text(LIST_UNITS)
    (where / "systemctl_list-unit-files").write_text(LIST_FILES)
    assert state(tmp_path) == (True, True, True)
    tree = Tree(str(tmp_path))
    assert subject.active(tree, "failed.service") is False
    assert subject.active(tree, "unknown.service") is False
    assert subject.enabled(tree, "other.service") is False


def test_lists():
    assert subject.parse_list_units(LIST_UNITS) == {
        "dev-vda.device": "active",
        "kdump.service": "active",
        "failed.service": "failed",
    }
    assert subject.parse_list_unit_files(LIST_FILES) == {"kdump.service": "enabled", "other.service": "disabled"}


@given(st.text(), st.integers(0, 300))
def test_lists_take_anything(text, place):
    for whole in (text, LIST_UNITS[:place] + text + LIST_UNITS[place:], LIST_FILES[:place] + text):
        for found in (subject.parse_list_units(whole), subject.parse_list_unit_files(whole)):
            assert all(name and state for name, state in found.items())


def write(root, **files):
    """Write files below the directories of units; their names have __ for a slash."""
    folders = {"etc": "etc/systemd/system", "run": "run/systemd/system", "usr": "usr/lib/systemd/system"}
    for name, text in files.items():
        folder, rest = name.split("__", 1)
        path = root / folders[folder] / rest.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "limited"),
    [
        ({}, []),
        ({"usr__a_service": "[Service]\nMemoryMax=1G\n"}, ["a.service"]),
        ({"usr__a_service": "[Service]\n  MemoryLimit = 10%\n"}, ["a.service"]),
        ({"usr__a_service": "[Service]\nMemoryMax=infinity\n", "etc__b_slice": "[Slice]\nMemoryMax=\n"}, []),
        ({"usr__a_service": "[Service]\n#MemoryMax=1G\nMemoryHigh=1G\n"}, []),
        ({"etc__a_service": "[Service]\n", "usr__a_service": "[Service]\nMemoryMax=1G\n"}, []),
        ({"usr__a_service": "[Service]\n", "etc__a_service_d__x_conf": "[Service]\nMemoryMax=1G\n"}, ["a.service"]),
        ({"etc__user-_slice_d__x_conf": "[Slice]\nMemoryMax=20%\n"}, ["user-.slice"]),
        ({"etc__a_service_d__x_conf~": "[Service]\nMemoryMax=1G\n"}, []),
        (
            {
                "usr__a_service_d__10_conf": "[Service]\nMemoryMax=1G\n",
                "run__a_service_d__20_conf": "[Service]\nMemoryMax=infinity\n",
            },
            [],
        ),
        (
            {
                "usr__a_service_d__10_conf": "[Service]\nMemoryMax=1G\n",
                "etc__a_service_d__10_conf": "[Service]\n",
            },
            [],
        ),
        ({"usr__a_timer": "[Timer]\nMemoryMax=1G\n"}, []),
    ],
)
def test_units_that_are_limited_whether_they_run_or_not(tmp_path, files, limited):
    write(tmp_path, **files)
    assert subject.limited(Tree(str(tmp_path))) == limited


@pytest.mark.parametrize(
    ("point", "unit"),
    [
        ("/", "-.mount"),
        ("/srv/crash", "srv-crash.mount"),
        ("/var/lib/crash-dumps/", r"var-lib-crash\x2ddumps.mount"),
        ("/.crash", r"\x2ecrash.mount"),
        ("/srv/.crash", "srv-.crash.mount"),
        ("/srv/a b+é", r"srv-a\x20b\x2b\xc3\xa9.mount"),
    ],
)
def test_the_unit_of_a_mount_is_named_as_systemd_does(point, unit):
    assert subject.mount_unit(point) == unit
    escape = shutil.which("systemd-escape")
    if escape:
        said = subprocess.run([escape, "--path", "--suffix=mount", point], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == unit
