# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes: the ranking, the details of the largest, and what is not read: secrets, and what could block."""

import json
import mmap
import os
import shutil
import subprocess
import sys
import time

import booted_trees
import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import processes as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024 * 1024
OPTIONS = {"top": 10, "process_arguments": False, "seconds": 0}

STATUS = """Name:\t{name}
Umask:\t0022
State:\t{state}
Tgid:\t{pid}
Pid:\t{pid}
PPid:\t1
Uid:\t1001\t0\t0\t0
Gid:\t100\t100\t100\t100
VmPeak:\t  300000 kB
VmSize:\t  300000 kB
VmLck:\t      64 kB
VmPin:\t       0 kB
VmHWM:\t  200000 kB
VmRSS:\t{rss:>8} kB
RssAnon:\t     700 kB
RssFile:\t     200 kB
RssShmem:\t     100 kB
VmData:\t    3000 kB
VmStk:\t     132 kB
VmPTE:\t     120 kB
VmSwap:\t{swap:>8} kB
HugetlbPages:\t    2048 kB
Threads:\t7
"""
KERNEL_THREAD = "Name:\tkthreadd\nState:\tS (sleeping)\nPid:\t2\nUid:\t0\t0\t0\t0\nThreads:\t1\n"
STAT = "{pid} (a (b) c) S 1 1 1 0 -1 4194560 9 9 0 0 1 2 3 4 20 0 7 0 {start} 300000000 5000 18446744073709551615 1 1\n"


def write(root, files):
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def process(
    root, pid, rss, swap=0, name="worker", state="S (sleeping)", cgroup="0::/system.slice/db.service\n", **more
):
    files = {
        "status": STATUS.format(name=name, pid=pid, rss=rss // 1024, swap=swap // 1024, state=state),
        "cgroup": cgroup,
        "stat": STAT.format(pid=pid, start=12345),
        "oom_score": "667\n",
        "oom_score_adj": "-17\n",
    }
    files.update(more)
    write(root, {"/proc/%d/%s" % (pid, name): text for name, text in files.items()})


class Counting(Tree):
    def __init__(self, root):
        Tree.__init__(self, root)
        self.asked = []

    def read(self, path):
        self.asked.append(path)
        return Tree.read(self, path)


def test_one_process(tmp_path):
    process(
        tmp_path, 42, 1000 * 1024, 24 * 1024, smaps_rollup="1-2 ---p 0 0 0 [rollup]\nRss: 9 kB\nPss:       800 kB\n"
    )
    write(tmp_path, {"/proc/stat": "cpu  1 2\nbtime 1700000000\n", "/proc/2/status": KERNEL_THREAD})
    tree = Tree(str(tmp_path))
    value = subject.collect(tree, OPTIONS)
    assert value == {
        "count": 2,
        "examined": 2,
        "resident": 1000 * 1024,
        "reserved": (3000 + 132) * 1024,
        "top": [
            {
                "pid": 42,
                "comm": "worker",
                "uid": 1001,
                "unit": "db.service",
                "cgroup": "/system.slice/db.service",
                "rss": 1000 * 1024,
                "rss_anon": 700 * 1024,
                "rss_file": 200 * 1024,
                "rss_shmem": 100 * 1024,
                "pss": 800 * 1024,
                "swap": 24 * 1024,
                "oom_score": 667,
                "oom_score_adj": -17,
                "threads": 7,
                "start_time": 1700000123.45,
                "locked": 64 * 1024,
                "page_tables": 120 * 1024,
                "hugetlb": 2048 * 1024,
            }
        ],
        "by_comm": [{"comm": "worker", "processes": 1, "rss": 1000 * 1024, "swap": 24 * 1024}],
        "by_reserved": [{"comm": "worker", "processes": 1, "reserved": 3132 * 1024, "used": 724 * 1024}],
    }
    assert tree.unavailable == {}
    # Who asks for the names next does not walk the host again.
    os.unlink(str(tmp_path / "proc/42/status"))
    assert subject.names(tree) == {"worker"}


def test_order_is_resident_and_swapped(tmp_path):
    process(tmp_path, 1, 30 * MIB, name="a")
    process(tmp_path, 2, 10 * MIB, 25 * MIB, name="b")
    process(tmp_path, 3, 20 * MIB, name="c")
    process(tmp_path, 4, 1 * MIB, 30 * MIB, name="c")
    for pid in range(10, 40):
        process(tmp_path, pid, (pid - 9) * 1024 * 100, name="w")
    value = subject.collect(Tree(str(tmp_path)), dict(OPTIONS, top=3))
    assert [found["pid"] for found in value["top"]] == [2, 4, 1]
    assert value["by_comm"] == [
        {"comm": "c", "processes": 2, "rss": 21 * MIB, "swap": 30 * MIB},
        {"comm": "w", "processes": 30, "rss": 465 * 1024 * 100, "swap": 0},
        {"comm": "b", "processes": 1, "rss": 10 * MIB, "swap": 25 * MIB},
    ]
    assert (value["count"], value["examined"]) == (34, 34)
    assert value["resident"] == 61 * MIB + 465 * 1024 * 100


def test_only_the_largest_are_read_in_detail(tmp_path):
    for pid in range(1, 51):
        process(tmp_path, pid, pid * MIB, smaps_rollup="Pss: 1 kB\n", cmdline="secret\0", environ="SECRET=1\0")
    tree = Counting(str(tmp_path))
    subject.collect(tree, dict(OPTIONS, top=2))
    by_file = {}
    for path in tree.asked:
        by_file.setdefault(path.rsplit("/", 1)[1], []).append(path)
    assert len(by_file["status"]) == 50
    for name in ("cgroup", "oom_score", "oom_score_adj", "smaps_rollup"):
        assert sorted(by_file[name]) == ["/proc/49/" + name, "/proc/50/" + name]
    assert "cmdline" not in by_file
    assert "environ" not in by_file


def test_arguments_only_where_asked_for(tmp_path):
    process(tmp_path, 1, MIB, cmdline="/usr/bin/db\0--password\0x y\0")
    process(tmp_path, 2, MIB // 2, cmdline="long\0" + "x" * 10000)
    process(tmp_path, 3, MIB // 4, cmdline="")
    tree = Counting(str(tmp_path))
    value = subject.collect(tree, dict(OPTIONS, process_arguments=True))
    assert value["top"][0]["arguments"] == ["/usr/bin/db", "--password", "x y"]
    assert sum(len(word) for word in value["top"][1]["arguments"]) == subject.LONGEST_ARGUMENTS
    assert value["top"][2]["arguments"] == []
    assert not [path for path in tree.asked if path.endswith("environ")]
    assert "arguments" not in subject.collect(Tree(str(tmp_path)), OPTIONS)["top"][0]


def test_a_process_that_ends_meanwhile_is_skipped(tmp_path):
    for pid in range(1, 9):
        process(tmp_path, pid, pid * MIB)

    class Ending(Tree):
        def read(self, path):
            if path == "/proc/8/cgroup":
                shutil.rmtree(str(tmp_path / "proc/8"))
            if path == "/proc/3/status":
                raise OSError(3, "No such process", path)
            return Tree.read(self, path)

    tree = Ending(str(tmp_path))
    value = subject.collect(tree, dict(OPTIONS, top=3))
    assert [found["pid"] for found in value["top"]] == [7, 6, 5]
    assert (value["count"], value["examined"]) == (7, 7)
    assert tree.unavailable == {}


def test_processes_of_others_that_are_hidden(tmp_path):
    process(tmp_path, 1, MIB)
    process(tmp_path, 2, MIB)

    class Denying(Tree):
        def read(self, path):
            if path == "/proc/2/status":
                raise PermissionError(13, "Permission denied", path)
            return Tree.read(self, path)

    tree = Denying(str(tmp_path))
    value = subject.collect(tree, OPTIONS)
    assert (value["count"], value["examined"]) == (2, 1)
    assert tree.unavailable["processes.others"] == "permission denied for 1 of 2 processes"


def test_kernel_without_control_groups(tmp_path):
    process(tmp_path, 1, MIB)
    os.unlink(str(tmp_path / "proc/1/cgroup"))
    found = subject.collect(Tree(str(tmp_path)), OPTIONS)["top"][0]
    assert (found["cgroup"], found["unit"]) == (None, None)


@pytest.mark.parametrize(
    ("text", "cgroup", "unit"),
    [
        (
            "0::/user.slice/user-0.slice/session-1.scope\n",
            "/user.slice/user-0.slice/session-1.scope",
            "session-1.scope",
        ),
        ("4:memory:/a.slice/a.service\n1:name=systemd:/a.slice/a.service\n", "/a.slice/a.service", "a.service"),
        ("4:memory:/jobs/7\n1:name=systemd:/system.slice/x.service\n0::/\n", "/jobs/7", "x.service"),
        ("0::/\n", "/", None),
        ("garbage", None, None),
    ],
)
def test_group_and_unit(tmp_path, text, cgroup, unit):
    process(tmp_path, 1, MIB, cgroup=text)
    found = subject.collect(Tree(str(tmp_path)), OPTIONS)["top"][0]
    assert (found["cgroup"], found["unit"]) == (cgroup, unit)


def test_old_kernel_without_the_split_of_rss(tmp_path):
    process(tmp_path, 1, MIB)
    path = tmp_path / "proc/1/status"
    path.write_text(
        "".join(line for line in path.read_text().splitlines(True) if not line.startswith(("Rss", "VmSwap")))
    )
    found = subject.collect(Tree(str(tmp_path)), OPTIONS)["top"][0]
    assert (found["rss"], found["rss_anon"], found["swap"], found["pss"]) == (MIB, None, 0, None)


def test_names_that_imitate_the_format():
    status = STATUS.format(name=r"VmRSS:\n\\x 9 kB", pid=1, rss=5, swap=0, state="S")
    assert subject.parse_status(status)["comm"] == "VmRSS:\n\\x 9 kB"
    assert subject.parse_status(status)["rss"] == 5 * 1024
    assert subject.parse_size(status) == ("VmRSS:\n\\x 9 kB", 5 * 1024, 0)
    assert subject.parse_start(STAT.format(pid=9, start=500)) == 5.0
    assert subject.parse_start("1 (x) S 1") is None


def test_pss_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "PSS_BUDGET", 10 * MIB)
    for pid, size in ((1, 11), (2, 6), (3, 5), (4, 4)):
        process(tmp_path, pid, size * MIB, smaps_rollup="Pss: %d kB\n" % pid)
    tree = Tree(str(tmp_path))
    value = subject.collect(tree, OPTIONS)
    assert [found["pss"] for found in value["top"]] == [None, 2048, None, 4096]
    assert tree.unavailable["processes.pss"].startswith("not read for 2 of the listed processes")
    tree = Tree(str(tmp_path))
    value = subject.collect(tree, dict(OPTIONS, seconds=2))
    assert [found["pss"] for found in value["top"]] == [1024, 2048, 3072, 4096]
    assert tree.unavailable == {}


def test_a_process_whose_mappings_are_locked_does_not_hold_us_up(monkeypatch):
    class Blocking(Tree):
        def read(self, path):
            if path.endswith("/smaps_rollup"):
                time.sleep(5)
            return Tree.read(self, path)

    monkeypatch.setattr(subject, "PATIENCE", 0.05)
    tree = Blocking()
    start = time.monotonic()
    value = subject.collect(tree, OPTIONS)
    assert time.monotonic() - start < 4
    assert value["top"]
    assert all(found["pss"] is None for found in value["top"])
    assert "held its mappings" in tree.unavailable["processes.pss"]


PS_L = """F   UID     PID    PPID PRI  NI    VSZ   RSS WCHAN  STAT TTY        TIME COMMAND
4     0       1       0  20   0 167000 12000 -      Ss   ?          0:02 /usr/lib/systemd/systemd --switched-root
1     0       2       0  20   0      0     0 -      S    ?          0:00 [kthreadd]
0  1001     900       1  20   0 999999 88888 -      Sl   pts/0      1:00 /opt/java/bin/java -Xmx1g -jar secret.jar
5    26     901       1  20   0 300000 40000 -      Ss   ?          0:00 postgres: checkpointer
5    26     902       1  20   0 300000 50000 -      Ss   ?          0:00 postgres: writer
"""
PS_U = """USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND
root           1  0.0  0.1 167000 12000 ?        Ss   Jan01   0:02 /usr/lib/systemd/systemd
root           -  0.0    -      -     - -        Ss   Jan01   0:02 -
app          900  0.0  0.1 999999 88888 pts/0    Sl   10:00   1:00  |   \\_ /opt/java/bin/java -Xmx1g
"""
PS_G = """    PID    PPID USER     GROUP        LWP NLWP START COMMAND         CGROUP
      1       0 root     root           1    1 Jan01 systemd         0::/init.scope
    900       1 app      app          900   40 10:00 java            12:cpu,cpuacct:/,4:memory:/system.slice/app.service
    901       1 postgres postgres     901    1 10:00 tmux: server    0::/system.slice/pg.service
"""


def test_sosreport_with_files_of_processes(tmp_path):
    (tmp_path / "sos_commands").mkdir()
    process(tmp_path, 7, MIB)
    for name in ("stat",):
        os.unlink(str(tmp_path / "proc/7" / name))
    write(tmp_path, {"/sos_commands/process/ps_alxwww": PS_L})
    value = subject.collect(Tree(str(tmp_path)), OPTIONS)
    assert [found["pid"] for found in value["top"]] == [7]
    assert value["top"][0]["start_time"] is None


def test_sosreport_with_ps_alone(tmp_path):
    groups = "ps_axo_pid_ppid_user_group_lwp_nlwp_start_time_comm_cgroup"
    write(
        tmp_path,
        {
            "/sos_commands/process/ps_alxwww": PS_L,
            "/sos_commands/process/" + groups: PS_G,
            "/proc/meminfo": "MemTotal: 1 kB\n",
        },
    )
    tree = Tree(str(tmp_path))
    value = subject.collect(tree, dict(OPTIONS, top=2))
    assert (value["count"], value["resident"]) == (5, (12000 + 88888 + 40000 + 50000) * 1024)
    java = value["top"][0]
    assert (java["pid"], java["comm"], java["uid"], java["threads"]) == (900, "java", 1001, 40)
    assert (java["rss"], java["swap"], java["pss"]) == (88888 * 1024, None, None)
    assert (java["cgroup"], java["unit"]) == ("/system.slice/app.service", "app.service")
    assert "arguments" not in java
    assert value["by_comm"][0] == {"comm": "java", "processes": 1, "rss": 88888 * 1024, "swap": None}
    assert (value["reserved"], value["by_reserved"]) == (None, None)
    assert {"tmux: server", "postgres", "java", "systemd"} <= subject.names(tree)
    assert "swap" in tree.unavailable["processes.swap"]
    keys = {"pid", "comm", "uid", "unit", "cgroup", "rss", "rss_anon", "rss_file", "rss_shmem", "pss", "swap"}
    keys |= {"oom_score", "oom_score_adj", "threads", "start_time", "locked", "page_tables", "hugetlb"}
    assert set(java) == keys


def test_sosreport_with_ps_aux(tmp_path):
    passwd = "root:x:0:0::/:/bin/sh\napp:x:1002:1002::/:\nbroken\n"
    write(tmp_path, {"/sos_commands/process/ps_auxwwwm": PS_U, "/etc/passwd": passwd})
    value = subject.collect(Tree(str(tmp_path)), dict(OPTIONS, process_arguments=True))
    assert [(found["pid"], found["comm"], found["uid"]) for found in value["top"]] == [
        (900, "java", 1002),
        (1, "systemd", 0),
    ]
    assert value["top"][0]["arguments"] == ["/opt/java/bin/java -Xmx1g"]


def test_nothing_to_read(tmp_path):
    (tmp_path / "proc").mkdir()
    tree = Tree(str(tmp_path))
    assert subject.collect(tree, OPTIONS) is None
    assert tree.unavailable == {"processes": "/proc: no process could be read"}
    (tmp_path / "sos_commands").mkdir()
    tree = Tree(str(tmp_path))
    assert subject.collect(tree, OPTIONS) is None
    assert "ps_" in tree.unavailable["processes"]
    assert subject.names(tree) is None


def test_names_without_a_reading_of_the_subset(tmp_path):
    process(tmp_path, 1, MIB, comm="earlyoom\n")
    process(tmp_path, 2, MIB, name="other")
    assert subject.names(Tree(str(tmp_path))) == {"earlyoom", "other"}


SIZES = ("rss", "rss_anon", "rss_file", "rss_shmem", "swap", "locked", "page_tables", "hugetlb")


def check_parsers(text):
    status = subject.parse_status(text)
    for name in SIZES + ("uid", "threads"):
        assert status[name] is None or (isinstance(status[name], int) and status[name] >= 0)
    size = subject.parse_size(text)
    assert size is None or (isinstance(size[0], str) and size[1] >= 0 and size[2] >= 0)
    for value in (subject.parse_start(text), subject.parse_pss(text), subject.parse_count(text)):
        assert value is None or value >= 0
    assert all(isinstance(word, str) for word in subject.parse_arguments(text))
    for found in subject.parse_ps(text):
        assert found["pid"] >= 0
        assert found["rss"] >= 0
        assert isinstance(found["comm"], str)
    for pid, (name, threads, groups) in subject.parse_ps_groups(text).items():
        assert pid >= 0
        assert threads >= 0
        assert isinstance(name, str)
        assert isinstance(groups, dict)


@given(st.text())
def test_parsers_take_anything(text):
    check_parsers(text)


@given(st.sampled_from([STATUS, STAT, PS_L, PS_U, PS_G, KERNEL_THREAD]), st.data())
def test_mutated_text_never_raises(original, data):
    place = data.draw(st.integers(0, len(original)))
    cut = place + data.draw(st.integers(0, 20))
    check_parsers(original[:place] + data.draw(st.text(max_size=5)) + original[cut:])


@pytest.mark.parametrize(
    "garbage", ["", "\0" * 9, "VmRSS:\n", "Name:\t\nVmRSS:\t-5 kB\n", "9" * 500, "\nVmRSS:\t 5 kB\n"]
)
def test_garbage_in_every_file(tmp_path, garbage):
    process(tmp_path, 2, MIB)
    names = ("status", "stat", "cgroup", "oom_score", "oom_score_adj", "smaps_rollup", "cmdline")
    write(tmp_path, {"/proc/1/" + name: garbage for name in names})
    write(tmp_path, {"/proc/2/" + name: garbage for name in names if name != "status"})
    value = subject.collect(Tree(str(tmp_path)), dict(OPTIONS, process_arguments=True))
    assert value["top"][0]["pid"] == 2
    assert value["top"][0]["oom_score"] is None
    json.dumps(value)


def check_sane(value):
    assert 0 < value["examined"] <= value["count"]
    sizes = [found["rss"] + found["swap"] for found in value["top"]]
    assert sizes == sorted(sizes, reverse=True)
    for found in value["top"]:
        assert found["pid"] > 0
        assert found["comm"]
        assert len(found["comm"]) <= 64
        assert -1000 <= found["oom_score_adj"] <= 1000
        assert found["threads"] >= 1
        # RSS is read earlier: of a process that is just starting it may be half of the PSS.
        assert found["pss"] is None or found["pss"] >= 0
        assert "arguments" not in found
    json.dumps(value)


def test_live_host_finds_a_large_process():
    size = 64 * MIB
    code = (
        "import sys; x = bytearray(%d); x[::4096] = b'x' * len(x[::4096]); print(1, flush=True); sys.stdin.read()"
        % size
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        started = time.time()
        value = subject.collect(Tree(), dict(OPTIONS, top=30))
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()
    check_sane(value)
    found = [entry for entry in value["top"] if entry["pid"] == child.pid][0]
    assert size <= found["rss"] < size + 40 * MIB
    assert found["comm"].startswith("python")
    assert found["uid"] == os.getuid()
    assert found["pss"] is None or size * 0.9 < found["pss"] < found["rss"] + 2 * MIB
    assert abs(found["start_time"] - started) < 20


def test_live_host_agrees_with_ps():
    if not shutil.which("ps"):
        pytest.skip("no ps")
    block = mmap.mmap(-1, 48 * MIB)
    block.write(b"x" * (48 * MIB))
    value = subject.collect(Tree(), dict(OPTIONS, top=50))
    me = [found for found in value["top"] if found["pid"] == os.getpid()][0]
    line = subprocess.run(
        ["ps", "-o", "rss=,ruid=,nlwp=,comm=", "-p", str(os.getpid())], stdout=subprocess.PIPE, check=True
    ).stdout.split()
    assert abs(me["rss"] - int(line[0]) * 1024) < 8 * MIB
    assert me["uid"] == int(line[1])
    assert me["comm"] == line[3].decode()
    block.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_live_host_unprivileged(checkout):
    code = (
        "import sys, os, json; sys.path.insert(0, {path!r})\n"
        "from ansible_collections.linux_memory.oom.plugins.module_utils import processes\n"
        "from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "tree = Tree(); value = processes.collect(tree, {options!r})\n"
        "print(json.dumps([value, tree.unavailable]))\n"
    ).format(path=str(checkout / "build/collections"), options=OPTIONS)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    value, unavailable = json.loads(done.stdout)
    check_sane(value)
    assert value["top"][0]["rss"] > 0
    assert "permission denied" in unavailable["processes.pss"]


@pytest.mark.parametrize("name", booted_trees.NAMES)
def test_booted_machines(name):
    value = subject.collect(Tree(str(booted_trees.root(name))), dict(OPTIONS, top=1000))
    check_sane(value)
    said = {}
    for line in booted_trees.expected(name)["ps"].splitlines()[1:]:
        pid, comm, uid, rss, threads = line.split()
        said[int(pid)] = (comm, int(uid), int(rss) * 1024, int(threads))
    compared = 0
    for found in value["top"]:
        if found["pid"] in said:
            comm, uid, rss, threads = said[found["pid"]]
            assert (found["comm"], found["uid"], found["threads"]) == (comm, uid, threads)
            assert abs(found["rss"] - rss) < 8 * MIB
            assert found["pss"] is None or found["pss"] <= found["rss"] * 1.5 + MIB
            compared += 1
    assert compared >= 8
    first = value["top"][0]
    assert (first["comm"], first["unit"], first["oom_score_adj"]) == ("python3", "holder.service", -500)
    assert 80 * MIB <= first["rss_anon"] + first["swap"] < 110 * MIB
    assert first["start_time"] > 1700000000
    assert any(found["unit"] == "init.scope" and found["pid"] == 1 for found in value["top"])
