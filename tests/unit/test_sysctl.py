# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sysctl subset: the rules by hand-made trees, and against systemd-sysctl and sysctl --system themselves.

The programs run in a chroot without any /proc mounted, where /proc/sys is a directory of plain files: they cannot reach
the settings of the machine that runs the tests.
"""

import errno
import json
import os
import re
import shutil
import subprocess

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import sysctl as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RUNNING = {
    "vm/swappiness": "60",
    "vm/dirty_ratio": "20",
    "vm/dirty_bytes": "0",
    "vm/dirty_background_ratio": "10",
    "vm/dirty_background_bytes": "0",
    "vm/overcommit_ratio": "50",
    "vm/overcommit_kbytes": "0",
    "vm/lowmem_reserve_ratio": "256\t256\t32\t0\t0",
    "kernel/panic": "0",
    "kernel/panic_on_oops": "1",
    "kernel/hostname": "not ours",
}
OPTIONS = {"top": 10, "process_arguments": False, "seconds": 0}


def put(root, path, text):
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def make(root, files, running=None):
    for key, value in (running or RUNNING).items():
        put(root, "/proc/sys/" + key, value + "\n")
    for path, text in files.items():
        put(root, path, text)
    return Tree(str(root))


def boot(root, files):
    return subject.boot_values(make(root, files))["keys"]


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("vm.swappiness", "vm/swappiness"),
        ("vm/swappiness", "vm/swappiness"),
        ("/vm/swappiness", "vm/swappiness"),
        ("net.ipv4.conf.eth0/1.rp_filter", "net/ipv4/conf/eth0.1/rp_filter"),
        ("net/ipv4/conf/eth0.1/rp_filter", "net/ipv4/conf/eth0.1/rp_filter"),
        ("vm..swappiness", "vm/swappiness"),
        ("vm//./swappiness", "vm/swappiness"),
        ("swappiness", "swappiness"),
        ("", ""),
    ],
)
def test_names_with_dots_and_slashes(written, key):
    assert subject.normalise(written) == key


def test_lines_of_a_file():
    text = "# c\n ; c\n\nvm.a = 1  2 # kept\r\n-vm.b=2\n- vm.c\nvm.d\n = 5\n-\nvm/e=\n  vm.f = x = y\nvm/../h=1\n"
    assert [(one["line"], one["key"], one["value"], one["ignore"]) for one in subject.parse_conf(text)] == [
        (4, "vm/a", "1  2 # kept", False),
        (5, "vm/b", "2", True),
        (6, "vm/c", None, False),
        (10, "vm/e", "", False),
        (11, "vm/f", "x = y", False),
    ]


def test_last_file_name_wins_whatever_its_directory(tmp_path):
    found = boot(
        tmp_path,
        {
            "/etc/sysctl.d/10-a.conf": "# first\nvm.swappiness = 1\n",
            "/usr/lib/sysctl.d/90-z.conf": "\n\nvm.swappiness=2\n",
            "/run/sysctl.d/50-m.conf": "vm/swappiness = 3\n",
        },
    )["vm.swappiness"]
    assert (found["value"], found["file"], found["line"]) == ("2", "/usr/lib/sysctl.d/90-z.conf", 3)
    assert found["losers"] == [
        {"file": "/etc/sysctl.d/10-a.conf", "line": 2, "value": "1"},
        {"file": "/run/sysctl.d/50-m.conf", "line": 1, "value": "3"},
    ]
    assert found["procps"] is None


def test_same_name_hides_the_lower_directory(tmp_path):
    files = {where + "/x.conf": "vm.swappiness = %d\n" % at for at, where in enumerate(subject.DIRECTORIES)}
    here = make(tmp_path, files)
    found = subject.boot_values(here)
    assert found["keys"]["vm.swappiness"]["value"] == "0"
    assert found["keys"]["vm.swappiness"]["losers"] == []
    assert found["files"] == ["/etc/sysctl.d/x.conf"]
    assert [one["path"] for one in found["masked"]] == [where + "/x.conf" for where in subject.DIRECTORIES[1:]]
    assert {one["by"] for one in found["masked"]} == {"/etc/sysctl.d/x.conf"}


@pytest.mark.parametrize("mask", ["empty", "null", "dangling"])
def test_masks(tmp_path, mask):
    here = make(tmp_path, {"/usr/lib/sysctl.d/x.conf": "vm.swappiness = 9\n", "/etc/sysctl.d/a.conf": "vm.x = 1\n"})
    if mask == "empty":
        put(tmp_path, "/etc/sysctl.d/x.conf", "")
    else:
        (tmp_path / "etc/sysctl.d/x.conf").symlink_to("/dev/null" if mask == "null" else "nowhere")
    found = subject.boot_values(here)
    assert "vm.swappiness" not in found["keys"]
    assert found["masked"] == [{"path": "/usr/lib/sysctl.d/x.conf", "by": "/etc/sysctl.d/x.conf"}]
    assert here.unavailable == {}


def test_merged_lib_is_read_once(tmp_path):
    make(tmp_path, {"/usr/lib/sysctl.d/x.conf": "vm.swappiness = 9\n"})
    (tmp_path / "lib").symlink_to("usr/lib")
    files, masked = subject.config_files(Tree(str(tmp_path)))
    assert (files, masked) == (["/usr/lib/sysctl.d/x.conf"], [])


def test_only_conf_and_sysctl_conf_only_through_its_link(tmp_path):
    files = {"/etc/sysctl.d/x.conf.bak": "vm.swappiness=1\n", "/etc/sysctl.conf": "vm.swappiness=2\n"}
    found = boot(tmp_path, files)["vm.swappiness"]
    assert (found["value"], found["file"]) == (None, None)
    assert found["procps"] == {"value": "2", "file": "/etc/sysctl.conf", "line": 1}
    (tmp_path / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    found = boot(tmp_path, {})["vm.swappiness"]
    assert (found["value"], found["file"], found["procps"]) == ("2", "/etc/sysctl.d/99-sysctl.conf", None)


def test_procps_reads_sysctl_conf_last(tmp_path):
    found = boot(tmp_path, {"/etc/sysctl.d/zz.conf": "vm.swappiness=5\n", "/etc/sysctl.conf": "\nvm.swappiness=6\n"})
    assert found["vm.swappiness"]["value"] == "5"
    assert found["vm.swappiness"]["procps"] == {"value": "6", "file": "/etc/sysctl.conf", "line": 2}


def test_explicit_beats_glob_in_either_order_and_exclusion_beats_it_too(tmp_path):
    found = boot(
        tmp_path,
        {
            "/etc/sysctl.d/1.conf": "vm.swappiness = 1\n-vm.overcommit_ratio\n",
            "/etc/sysctl.d/2.conf": "vm.*_ratio = 7\nvm.swap* = 8\n",
            "/etc/sysctl.d/3.conf": "vm.dirty_ratio = 3\n",
        },
    )
    assert (found["vm.swappiness"]["value"], found["vm.dirty_ratio"]["value"]) == ("1", "3")
    assert found["vm.swappiness"]["losers"] == [{"file": "/etc/sysctl.d/2.conf", "line": 2, "value": "8"}]
    assert found["vm.dirty_background_ratio"]["value"] == "7"
    assert (found["vm.dirty_background_ratio"]["file"], found["vm.dirty_background_ratio"]["line"]) == (
        "/etc/sysctl.d/2.conf",
        1,
    )
    assert found["vm.overcommit_ratio"]["value"] is None
    assert "vm.overcommit_kbytes" not in found
    assert found["vm.lowmem_reserve_ratio"]["value"] == "7"


def test_exclusion_undoes_what_came_before_with_systemd_only(tmp_path):
    found = boot(tmp_path, {"/etc/sysctl.d/1.conf": "vm.swappiness = 1\n-vm.swappiness\n"})["vm.swappiness"]
    assert (found["value"], found["file"]) == (None, None)
    assert found["procps"] == {"value": "1", "file": "/etc/sysctl.d/1.conf", "line": 1}
    assert found["losers"][1] == {"file": "/etc/sysctl.d/1.conf", "line": 2, "value": None}
    found = boot(tmp_path, {"/etc/sysctl.d/1.conf": "-vm.swappiness\nvm.swappiness = 1\n"})["vm.swappiness"]
    assert (found["value"], found["procps"]) == ("1", None)


def test_later_of_a_pair_zeroes_the_other(tmp_path):
    found = boot(
        tmp_path,
        {
            "/etc/sysctl.d/1.conf": "vm.dirty_ratio = 5\n",
            "/etc/sysctl.d/2.conf": "# x\nvm.dirty_bytes = 1000000\n",
        },
    )
    assert found["vm.dirty_bytes"]["value"] == "1000000"
    ratio = found["vm.dirty_ratio"]
    assert (ratio["value"], ratio["file"], ratio["line"]) == ("0", "/etc/sysctl.d/2.conf", 2)
    assert ratio["zeroed_by"] == "vm.dirty_bytes"
    assert ratio["losers"] == [{"file": "/etc/sysctl.d/1.conf", "line": 1, "value": "5"}]


def test_value_said_twice_keeps_its_first_place_so_the_pair_ends_differently_with_procps(tmp_path):
    found = boot(
        tmp_path,
        {
            "/etc/sysctl.d/1.conf": "vm.dirty_ratio = 5\n",
            "/etc/sysctl.d/2.conf": "vm.dirty_bytes = 1000000\n",
            "/etc/sysctl.d/3.conf": "vm.dirty_ratio = 5\n",
        },
    )
    assert (found["vm.dirty_ratio"]["value"], found["vm.dirty_bytes"]["value"]) == ("0", "1000000")
    assert found["vm.dirty_ratio"]["procps"] == {"value": "5", "file": "/etc/sysctl.d/3.conf", "line": 1}
    assert found["vm.dirty_bytes"]["procps"]["value"] == "0"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # The kernel zeroes the other of this pair only on a change, of the next pair always.
        ("dirty_bytes=1000000;dirty_ratio=0", {"dirty_bytes": "1000000", "dirty_ratio": "0"}),
        ("dirty_background_bytes=9;dirty_background_ratio=0", {"dirty_background_bytes": "0"}),
        ("overcommit_ratio=80;overcommit_kbytes=0", {"overcommit_ratio": "0", "overcommit_kbytes": "0"}),
        ("overcommit_kbytes=0;overcommit_ratio=80", {"overcommit_ratio": "80", "overcommit_kbytes": "0"}),
        # Refused by the kernel: less than two pages, no number, more than 100 %.
        ("dirty_ratio=5;dirty_bytes=0", {"dirty_ratio": "5", "dirty_bytes": "0"}),
        ("dirty_ratio=5;dirty_bytes=8191", {"dirty_ratio": "5", "dirty_bytes": "0"}),
        ("dirty_ratio=5;dirty_bytes=8192", {"dirty_ratio": "0", "dirty_bytes": "8192"}),
        ("dirty_bytes=9999;dirty_ratio=101", {"dirty_ratio": "0", "dirty_bytes": "9999"}),
        ("dirty_bytes=9999;dirty_ratio=many", {"dirty_ratio": "0", "dirty_bytes": "9999"}),
        ("dirty_background_ratio=5;dirty_background_bytes=0", {"dirty_background_ratio": "5"}),
        ("dirty_background_ratio=5;dirty_background_bytes=0x10", {"dirty_background_ratio": "0"}),
    ],
)
def test_pairs_as_the_kernel_has_them(tmp_path, lines, expected):
    text = "".join("vm.%s\n" % line for line in lines.split(";"))
    library = "/usr/lib/systemd/libsystemd-shared-249.so"
    found = boot(tmp_path, {"/etc/sysctl.d/1.conf": text, library: ""})
    assert {name: found["vm." + name]["value"] for name in expected} == expected


@pytest.mark.parametrize(
    "library",
    [
        "/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so",
        "/usr/lib/systemd/libsystemd-shared-257.9-1.fc42.so",
        "/etc/x",
    ],
)
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # systemd 250 and newer does not write what is there already, so that the other of the pair stays.
        (
            "dirty_background_bytes=9;dirty_background_ratio=0",
            {"dirty_background_bytes": "9", "dirty_background_ratio": "0"},
        ),
        ("overcommit_ratio=80;overcommit_kbytes=0", {"overcommit_ratio": "80", "overcommit_kbytes": "0"}),
        ("overcommit_kbytes=9;overcommit_ratio=80", {"overcommit_kbytes": "0", "overcommit_ratio": "80"}),
        ("overcommit_ratio=80;overcommit_kbytes=9", {"overcommit_kbytes": "9", "overcommit_ratio": "0"}),
    ],
)
def test_pairs_as_a_systemd_leaves_them_that_compares_first(tmp_path, library, lines, expected):
    # One file for each line: within one file, the last line of a key is the only one that is written.
    files = {"/etc/sysctl.d/%d.conf" % number: "vm.%s\n" % line for number, line in enumerate(lines.split(";"))}
    found = boot(tmp_path, {**files, library: ""})
    assert {name: found["vm." + name]["value"] for name in expected} == expected


def test_kernel_command_line_comes_before_every_file(tmp_path):
    command = 'root=/dev/sda1 sysctl.vm.swappiness=33 sysctl/kernel/panic_on_oops="0" panic=20 -- panic=7\n'
    files = {"/proc/cmdline": command, "/proc/sys/kernel/osrelease": "6.1.0-32-amd64\n"}
    found = boot(tmp_path, files)
    assert (found["vm.swappiness"]["value"], found["vm.swappiness"]["file"]) == ("33", "/proc/cmdline")
    assert (found["kernel.panic"]["value"], found["kernel.panic_on_oops"]["value"]) == ("20", "0")
    found = boot(tmp_path, {"/etc/sysctl.d/a.conf": "vm.swappiness=1\n"})["vm.swappiness"]
    assert (found["value"], found["losers"]) == ("1", [{"file": "/proc/cmdline", "line": 1, "value": "33"}])
    found = boot(tmp_path, {"/etc/sysctl.d/a.conf": "", "/proc/sys/kernel/osrelease": "5.4.0\n"})
    assert "vm.swappiness" not in found
    assert found["kernel.panic"]["value"] == "20"


def test_credential_counts_only_where_the_unit_imports_it(tmp_path):
    path = "/run/credentials/@system/sysctl.extra"
    assert "vm.swappiness" not in boot(tmp_path, {path: "vm.swappiness=4\n"})
    unit = {"/usr/lib/systemd/system/systemd-sysctl.service": "[Service]\nImportCredential=sysctl.*\n"}
    found = boot(tmp_path, dict(unit, **{"/etc/sysctl.d/zz.conf": "vm.swappiness=3\n"}))["vm.swappiness"]
    assert (found["value"], found["file"]) == ("4", path)
    assert found["procps"]["value"] == "3"


def test_host_without_systemd(tmp_path):
    here = make(
        tmp_path,
        {
            "/etc/init.d/procps": "#!/bin/sh\n",
            "/etc/sysctl.conf": "vm.swappiness=6\n",
            "/etc/sysctl.d/zz.conf": "vm.swappiness=5\n",
        },
    )
    found = subject.collect(here, OPTIONS)
    assert (found["tool"], found["files"]) == ("procps", ["/etc/sysctl.d/zz.conf", "/etc/sysctl.conf"])
    assert found["keys"]["vm.swappiness"]["boot"] == "6"
    assert "procps" not in found["keys"]["vm.swappiness"]


def test_what_if_a_file_were_there(tmp_path):
    files = {"/etc/sysctl.d/50.conf": "vm.swappiness=5\n", "/usr/lib/sysctl.d/60.conf": "vm.swappiness=6\n"}
    here = make(tmp_path, files)
    new = {"/etc/sysctl.d/70.conf": "vm.swappiness=7\n"}
    assert subject.boot_values(here, new)["keys"]["vm.swappiness"]["file"] == "/etc/sysctl.d/70.conf"
    assert subject.boot_values(here, {"/etc/sysctl.d/60.conf": ""})["keys"]["vm.swappiness"]["value"] == "5"
    assert subject.boot_values(here, {"/usr/lib/sysctl.d/60.conf": None})["keys"]["vm.swappiness"]["value"] == "5"
    assert subject.boot_values(here)["keys"]["vm.swappiness"]["value"] == "6"


def test_collect(tmp_path):
    text = "vm.swappiness=0x3c\nvm.lowmem_reserve_ratio = 256 256  32 0 0\nkernel.panic=9\nvm.new=1\n"
    here = make(tmp_path, {"/etc/sysctl.d/1.conf": text})
    found = subject.collect(here, OPTIONS)
    keys = found["keys"]
    assert keys["vm.swappiness"] == {
        "running": "60",
        "boot": "0x3c",
        "file": "/etc/sysctl.d/1.conf",
        "line": 1,
        "losers": [],
        "agrees": True,
    }
    assert (keys["vm.lowmem_reserve_ratio"]["running"], keys["vm.lowmem_reserve_ratio"]["agrees"]) == (
        "256 256 32 0 0",
        True,
    )
    assert (keys["kernel.panic"]["boot"], keys["kernel.panic"]["agrees"]) == ("9", False)
    assert (keys["kernel.panic_on_oops"]["boot"], keys["kernel.panic_on_oops"]["agrees"]) == (None, True)
    assert (keys["vm.new"]["running"], keys["vm.new"]["agrees"]) == (None, None)
    assert "kernel.hostname" not in keys
    assert list(here.unavailable) == ["sysctl.vm.new"]
    assert json.loads(json.dumps(found)) == found


def test_actions_are_never_read(tmp_path):
    running = dict(RUNNING, **{"vm/stat_refresh": "", "vm/drop_caches": "3", "vm/compact_memory": ""})
    here = make(tmp_path, {"/etc/sysctl.d/1.conf": "vm.drop_caches=3\n"}, running)
    read = []
    real = here.read
    here.read = lambda path: read.append(path) or real(path)
    keys = subject.collect(here, OPTIONS)["keys"]
    assert not [key for key in keys if "stat_refresh" in key or "drop_caches" in key or "compact_memory" in key]
    assert "/proc/sys/vm/swappiness" in read
    assert not [path for path in read if "stat_refresh" in path]


def test_sosreport(tmp_path):
    listing = "sysctl: permission denied on key 'vm.stat_refresh'\nkernel.panic = 5\nvm.swappiness = 60\nfs.x = 1\n"
    put(tmp_path, "/sos_commands/kernel/sysctl_-a", listing)
    put(tmp_path, "/etc/sysctl.d/1.conf", "vm.swap* = 10\n")
    found = subject.collect(Tree(str(tmp_path)), OPTIONS)
    assert set(found["keys"]) == {"kernel.panic", "vm.swappiness"}
    assert found["keys"]["vm.swappiness"]["boot"] == "10"
    assert found["keys"]["vm.swappiness"]["agrees"] is False
    assert found["tool"] == "systemd"


def test_nothing_there(tmp_path):
    here = Tree(str(tmp_path))
    assert subject.collect(here, OPTIONS) is None
    assert list(here.unavailable) == ["sysctl"]


def test_unreadable_file_is_said(tmp_path, monkeypatch):
    here = make(tmp_path, {"/etc/sysctl.d/1.conf": "vm.swappiness=1\n", "/etc/sysctl.d/2.conf": "vm.swappiness=2\n"})
    read = here.read

    def refuse(path):
        if path == "/etc/sysctl.d/2.conf":
            raise OSError(errno.EACCES, "", str(tmp_path) + path)
        return read(path)

    monkeypatch.setattr(here, "read", refuse)
    assert subject.collect(here, OPTIONS)["keys"]["vm.swappiness"]["boot"] == "1"
    assert here.unavailable == {"sysctl.files": "/etc/sysctl.d/2.conf: permission denied"}


@given(st.text())
def test_any_text(text):
    for one in subject.parse_conf(text) + subject.parse_command_line(text):
        assert one["line"] >= 1
        assert one["key"] and not one["key"].startswith("/")
    subject.glob_matches(text, "vm/swappiness")
    subject.same_value(text, "1 2")
    assert len(subject.expand_braces(text)) <= subject._MAX_BRACES


LINES = st.lists(
    st.tuples(
        st.sampled_from(["", "", "", "-"]),
        st.sampled_from(
            [
                "vm.swappiness",
                "vm/swappiness",
                "vm.dirty_ratio",
                "vm.dirty_bytes",
                "vm.swap*",
                "vm.dirty_*",
                "vm.?irty_ratio",
                "kernel.panic",
                "kernel/panic*",
                "vm.{swappiness,dirty_*}",
                "*.panic",
                "vm.[a-d]*",
                "vm.[^d]*",
                "vm.missing",
                "/vm/dirty_bytes",
                "vm..dirty_ratio",
                "# vm.swappiness",
                ";",
            ]
        ),
        st.sampled_from([" = ", "=", "\t=\t", "", " ="]),
        st.sampled_from(["1", "2", "10000", "1 2", "x", ""]),
    ),
    max_size=5,
)
NAMES = ["10-a.conf", "20-b.conf", "9.conf", "B.conf", "a.conf", "99-sysctl.conf", "x.txt"]
FILES = st.dictionaries(
    st.tuples(st.sampled_from(["etc", "run", "usr/local/lib", "usr/lib"]), st.sampled_from(NAMES)),
    st.one_of(st.none(), LINES),
    max_size=6,
)
PROGRAMS = {
    "systemd": next((p for p in subject._PROGRAMS if os.path.exists(p)), None),
    "procps": next((p for p in ("/usr/sbin/sysctl", "/sbin/sysctl") if os.path.exists(p)), None),
}
CHROOT = shutil.which("chroot", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@pytest.fixture(scope="session")
def jail(tmp_path_factory):
    """Return a directory with the two programs and nothing of the machine's /proc, to be used with chroot."""
    if os.geteuid() != 0 or not all(PROGRAMS.values()) or not CHROOT or not shutil.which("ldd"):
        pytest.skip("needs root, chroot, systemd-sysctl, sysctl and ldd")
    root = tmp_path_factory.mktemp("jail")
    for program in PROGRAMS.values():
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for path in [program, *re.findall(r"(/\S+) \(", listed)]:
            copy = root / path.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                shutil.copy(path, copy)
    put(root, "/dev/null", "")
    return root


def settle(jail, files):
    for where in ("etc", "run", "usr/local/lib", "usr/lib", "proc"):
        shutil.rmtree(jail / where / ("sys" if where == "proc" else "sysctl.d"), ignore_errors=True)
    make(jail, {})
    for (where, name), lines in files.items():
        if lines is None:
            (jail / where / "sysctl.d").mkdir(parents=True, exist_ok=True)
            (jail / where / "sysctl.d" / name).symlink_to("/dev/null")
        else:
            text = "".join("%s%s%s%s\n" % line for line in lines)
            put(jail, "/%s/sysctl.d/%s" % (where, name), text)


def run(jail, *command):
    environment = {"SYSTEMD_LOG_LEVEL": "debug", "SYSTEMD_LOG_TARGET": "console", "LC_ALL": "C"}
    assert not os.path.exists(jail / "proc" / "self")
    command = [CHROOT, str(jail), *command]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=30)


def outcome(writes):
    """What is in plain files after writes: no pair has an effect there."""
    state = dict(RUNNING)
    state.update((key, one["value"]) for key, one in writes if key in RUNNING)
    return state


MANY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(files=FILES)
def test_same_as_systemd(jail, files):
    settle(jail, files)
    ran = run(jail, PROGRAMS["systemd"])
    wrote = re.findall(r"^Setting '/proc/sys/(.*)' to '(.*)'$", ran.stderr, re.MULTILINE)
    here = Tree(str(jail))
    paths = subject.config_files(here)[0]
    assert paths == re.findall(r"^# (/\S*\.conf)$", run(jail, PROGRAMS["systemd"], "--cat-config").stdout, re.MULTILINE)
    ours = subject.systemd_writes(subject.assignments_of(here, paths), sorted(RUNNING))
    # The contents of the files tell less: systemd writes over them without cutting off what was longer.
    assert outcome(ours) == dict(RUNNING, **{key: value for key, value in wrote if key in RUNNING})
    # glob(3) is asked not to sort, so only the order of what is named is fixed; it decides which of a pair stays.
    named = {one["key"] for _key, one in ours}
    assert [pair for pair in wrote if pair[0] in named and pair[0] in RUNNING] == [
        (key, one["value"]) for key, one in ours if key in named and key in RUNNING
    ]


def followed(line):
    """Whether our procps does as each procps 4 does.

    It compares names as written, so "vm..x" and "/vm/x" are keys of their own to it; and only its newest releases take
    a pattern after "-" for a pattern.
    """
    exclusion = line[0] == "-" and "=" not in line[2]
    return not re.search(r"\.\.|^/", line[1]) and not (exclusion and re.search(r"[*?[]", line[1]))


@MANY
@given(files=FILES, conf=st.one_of(st.none(), LINES))
def test_same_as_procps(jail, files, conf):
    files = {key: lines and [line for line in lines if followed(line)] for key, lines in files.items()}
    conf = conf and [line for line in conf if followed(line)]
    settle(jail, files)
    (jail / "etc/sysctl.conf").unlink(missing_ok=True)
    if conf is not None:
        put(jail, "/etc/sysctl.conf", "".join("%s%s%s%s\n" % line for line in conf))
    ran = run(jail, PROGRAMS["procps"], "--system")
    here = Tree(str(jail))
    paths = subject.config_files(here)[0] + subject._sysctl_conf(here, None)
    assert paths == re.findall(r"^\* Applying (\S*) \.\.\.$", ran.stdout, re.MULTILINE)
    ours = subject.procps_writes(subject.assignments_of(here, paths), sorted(RUNNING))
    assert outcome(ours) == {key: (jail / "proc/sys" / key).read_text().rstrip("\n") for key in RUNNING}
