# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The storage subset: rates worked out by hand, arrays, faults, and no alarm for what is read-only by design."""

import json
import os

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import storage as subject
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from block_trees import Host
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = {"top": 10, "process_arguments": False, "seconds": 0}
DISKSTATS = """   8       0 sda 100 5 4000 250 50 6 8000 1750 3 900 2000
   8       1 sda1 1 0 8 1 0 0 0 0 0 1 1
 253       0 dm-0 1 0 8 1 0 0 0 0 0 1 1 2 0 16 4
 259       0 nvme0n1 10 0 80 5 20 0 160 10 0 12 15 4 0 32 8 7 9
 104       0 cciss/c0d0 1 0 8 1 0 0 0 0 -1 1 1
"""
LATER = """   8       0 sda 110 5 4080 300 70 6 12000 2950 4 1300 3250
 259       0 nvme0n1 10 0 80 5 20 0 160 10 0 12 15 8 0 64 28 7 9
"""
MDSTAT = """Personalities : [raid1] [raid6] [raid5] [raid4]
md0 : active raid1 sdb1[1] sda1[0](F)
      1048512 blocks super 1.2 [2/1] [_U]
      [==>..................]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec

md1 : active (auto-read-only) raid5 sdd[2](S) sdb2[1] sda2[0](W)
      1048512 blocks level 5, 64k chunk, algorithm 2 [3/3] [UUU]
      \tresync=PENDING
md2 : active raid0 sdc1[0] sdc2[1]
      100 blocks super 1.2 512k chunks

md127 : inactive sde[0](S)
      5 blocks super external:imsm

unused devices: <none>
"""


def test_three_forms_of_diskstats():
    found = subject.parse_diskstats(DISKSTATS + "garbage\n 8 0 sdz 1 2 3\n 8 x sdy 1 2 3 4 5 6 7 8 9 10 11\n")
    assert [len(found[name]) for name in ("sda", "dm-0", "nvme0n1")] == [11, 15, 17]
    assert found["sda"] == {
        "reads": 100, "reads_merged": 5, "sectors_read": 4000, "read_ms": 250, "writes": 50, "writes_merged": 6,
        "sectors_written": 8000, "write_ms": 1750, "in_flight": 3, "io_ms": 900, "weighted_ms": 2000,
    }  # fmt: skip
    assert (found["nvme0n1"]["discards"], found["nvme0n1"]["flush_ms"]) == (4, 9)
    assert found["cciss!c0d0"]["in_flight"] == 0
    assert not {"sdz", "sdy"} & set(found)


def test_rates():
    before, after = subject.parse_diskstats(DISKSTATS), subject.parse_diskstats(LATER)
    # In 2 s: 10 reads of 80 sectors in 50 ms, 20 writes of 4000 sectors in 1200 ms, busy 400 ms, 1250 ms in the queue.
    assert subject.rates(before["sda"], after["sda"], 2.0) == {
        "read_rate": 20480.0, "write_rate": 1024000.0, "read_iops": 5.0, "write_iops": 10.0,
        "await": 1.25 / 30, "read_await": 0.005, "write_await": 0.06, "utilisation": 0.2, "queue_depth": 0.625,
        "service_time": 0.4 / 30,
    }  # fmt: skip
    # Discards are operations to iostat as well: 4 of them took 20 ms.
    discarding = subject.rates(before["nvme0n1"], after["nvme0n1"], 2.0)
    assert (discarding["await"], discarding["read_await"], discarding["write_rate"]) == (0.005, None, 0.0)
    assert discarding["service_time"] is None  # nothing else was asked for
    # A flush is something that the device is busy with as well.
    flushing = dict(before["nvme0n1"], flushes=11, writes=24, io_ms=28)
    assert subject.rates(before["nvme0n1"], flushing, 2.0)["service_time"] == 0.002
    trimming = dict(flushing, discards=5, discard_ms=18)
    assert subject.rates(before["nvme0n1"], trimming, 2.0)["service_time"] == 0.00075
    assert subject.rates(before["nvme0n1"], dict(trimming, discard_ms=900), 2.0)["service_time"] == 0


def test_what_a_disk_did_before_the_window(host):
    then = {"reads": 100, "writes": 50, "read_time": 0.25, "write_time": 1.75, "busy_time": 0.9}
    before = subject.sample(host.tree)
    host.put("/proc/diskstats", LATER)
    assert subject.collect(host.tree, OPTIONS, (before, 2.0))["disks"]["sda"]["history"] == then
    now = subject.collect(host.tree, OPTIONS)["disks"]
    assert (now["sda"]["history"]["reads"], now["vdb"]["history"]) == (110, None)


def test_rates_without_meaning():
    counts = subject.parse_diskstats(DISKSTATS)["sda"]
    empty = dict.fromkeys(subject.RATES)
    assert subject.rates(counts, counts, 0) == empty
    assert subject.rates(dict(counts, reads=10**6), counts, 1.0) == empty
    assert subject.rates({}, counts, 1.0) == empty
    idle = subject.rates(counts, counts, 1.0)
    assert (idle["await"], idle["utilisation"], idle["read_rate"]) == (None, 0.0, 0.0)
    assert subject.rates(counts, dict(counts, io_ms=5000), 1.0)["utilisation"] == 1.0


def test_counters_that_start_again():
    counts = subject.parse_diskstats(DISKSTATS)["sda"]
    before = dict(counts, io_ms=2**32 - 100)
    assert subject.rates(before, dict(counts, io_ms=400), 1.0)["utilisation"] == 0.5


def test_mdstat():
    found = subject.parse_mdstat(MDSTAT)
    assert [tuple(one[key] for key in ("name", "level", "state", "degraded", "sync_action")) for one in found] == [
        ("md0", "raid1", "active", 1, "recover"),
        ("md1", "raid5", "auto-read-only", 0, "idle"),
        ("md2", "raid0", "active", None, "idle"),
        ("md127", None, "inactive", None, None),
    ]
    assert [one["members"] for one in found] == [["sda1", "sdb1"], ["sda2", "sdb2", "sdd"], ["sdc1", "sdc2"], ["sde"]]


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path).put("/proc/diskstats", DISKSTATS)
    made.disk(
        "sda",
        "8:0",
        size=1000,
        device__state="running",
        device__vendor="ATA     ",
        device__model="DISK 1  ",
        device__ioerr_cnt="0x1f",
        device__iodone_cnt="0x10",
    )
    made.disk("nvme0n1", "259:0", rotational=0, device__state="live", device__model="NVMe 2")
    made.disk("vdb", "254:16", device__vendor="0x1af4")
    made.partition("sda1", "8:1", "sda").virtual("dm-0", "253:0", ["sda1"], dm__name="vg-root")
    made.mountinfo(
        "253:0 / / rw,relatime - ext4 /dev/mapper/vg-root rw,errors=remount-ro",
        "0:30 / /run rw - tmpfs tmpfs rw,size=10k",
        "0:5 / /proc rw - proc proc rw",
        "0:6 / /dev rw - devtmpfs udev rw",
    )
    return made


def test_collect(host):
    here = host.tree
    found = subject.collect(here, OPTIONS)
    assert here.unavailable == {}
    assert found["disks"]["sda"] == {
        "size": 512000, "class": "rotational", "target": None, "rotational": True, "state": "running",
        "vendor_model": "ATA DISK 1", "partitions": ["sda1"],
        "holders": ["dm-0"], "in_flight": 3,
        "errors": {"ioerr": 31, "iodone": 16, "iorequest": None, "iotmo": None},
        **dict.fromkeys(subject.RATES),
        "history": {"reads": 100, "writes": 50, "read_time": 0.25, "write_time": 1.75, "busy_time": 0.9},
    }  # fmt: skip
    assert (found["multipath"], found["smart"], found["io_errors"]) == ([], {}, {})
    assert found["disks"]["nvme0n1"]["vendor_model"] == "NVMe 2"
    assert (found["disks"]["vdb"]["vendor_model"], found["disks"]["vdb"]["in_flight"]) == (None, None)
    assert found["mounts"] == [
        {
            "mount": "/", "source": "/dev/mapper/vg-root", "type": "ext4", "device": "253:0", "disks": ["sda"],
            "read_only": False, "target": None,
        },
        {
            "mount": "/run", "source": "tmpfs", "type": "tmpfs", "device": "0:30", "disks": [], "read_only": False,
            "target": None,
        },
    ]  # fmt: skip
    assert [found[key] for key in ("arrays", "not_running", "read_only", "file_system_errors")] == [[], [], [], []]
    assert json.loads(json.dumps(found)) == found


def test_only_hardware_of_this_machine_is_asked_for_smart_and_only_on_request(host, monkeypatch):
    asked = []
    monkeypatch.setattr(subject.smart, "read", lambda _tree, names: asked.append(names) or {"sda": {"passed": True}})
    usb = "pci0000:00/usb2/2-1/host6/target6:0:0/6:0:0:0/block"
    host.disk("sdu", "8:64", below=usb).disk("vdc", "254:32").disk("nbd1", "43:1")
    assert subject.collect(host.tree, dict(OPTIONS, smart=True))["smart"] == {"sda": {"passed": True}}
    assert asked == [["nvme0n1", "sda"]]
    assert subject.collect(host.tree, dict(OPTIONS, smart=False))["smart"] == {} and len(asked) == 1


def test_sampled(host):
    before = subject.sample(host.tree)
    assert sorted(before) == ["cciss!c0d0", "dm-0", "nvme0n1", "sda", "sda1"]
    host.put("/proc/diskstats", LATER + " 254 16 vdb 4 0 8 1 0 0 0 0 0 1 1\n")
    found = subject.collect(host.tree, OPTIONS, (before, 2.0))["disks"]
    assert found["sda"]["read_rate"] == 20480.0
    # It had done nothing yet when the window began.
    assert found["vdb"]["read_iops"] == 2.0


def test_degraded_array_in_sysfs_and_in_mdstat(host):
    host.disk("sdb", "8:16").virtual(
        "md0",
        "9:0",
        ["sda1", "sdb"],
        md__level="raid1",
        md__array_state="clean",
        md__degraded="1",
        md__sync_action="idle",
    )
    host.virtual("md9", "9:9", md__array_state="clear")
    assert subject.collect(host.tree, OPTIONS)["arrays"] == [
        {
            "name": "md0", "level": "raid1", "state": "clean", "degraded": 1, "disks": ["sda", "sdb"],
            "sync_action": "idle",
        }
    ]  # fmt: skip
    host.put("/proc/mdstat", MDSTAT)
    arrays = subject.collect(host.tree, OPTIONS)["arrays"]
    assert [(one["name"], one["degraded"]) for one in arrays] == [("md0", 1), ("md1", 0), ("md127", 0), ("md2", 0)]
    assert arrays[1]["disks"] == ["sda", "sdb", "sdd"]


@pytest.mark.parametrize("state", ["offline", "blocked", "transport-offline", "dead", "resetting"])
def test_device_that_does_not_run(host, state):
    host.put("/sys/class/block/sda/device/state", state + "\n")
    assert subject.collect(host.tree, OPTIONS)["not_running"] == [{"device": "sda", "state": state}]


@pytest.mark.parametrize(
    ("line", "fstab", "why"),
    [
        # The kernel's doing: the mount says rw, the file system ro.
        ("8:1 / /x rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro", "", "remounted"),
        ("0:50 / /x rw - btrfs /dev/sda1 ro,subvol=/", "", "remounted"),
        ("8:1 / /x rw - ext4 /dev/sda1 rw,emergency_ro", "", "remounted"),
        # fstab wants it writable.
        ("8:1 / /x ro - ext4 /dev/sda1 ro", "UUID=1 /x ext4 defaults 0 2", "fstab"),
        ("8:1 / /x ro - ext4 /dev/sda1 ro", "UUID=1 /x/ ext4", "fstab"),
        # Meant to be.
        ("8:1 / /x ro - ext4 /dev/sda1 ro,errors=remount-ro", "", None),
        ("8:1 / /x ro - ext4 /dev/sda1 ro", "UUID=1 /x ext4 noatime,ro 0 2", None),
        ("8:1 / /x ro - ext4 /dev/sda1 rw", "UUID=1 /x ext4 defaults 0 2", None),
        ("7:0 / /x rw - squashfs /dev/loop0 ro", "", None),
        ("11:0 / /x ro - iso9660 /dev/sr0 ro", "/dev/sr0 /x auto defaults,user 0 0", None),
        ("0:5 / /x ro - proc proc ro", "", None),
        ("0:51 / /x rw - overlay overlay ro,lowerdir=/a:/b", "", None),
        ("0:52 / /x rw - nfs4 server:/x ro", "server:/x /x nfs4 defaults 0 0", None),
        ("0:53 / /x rw - tmpfs tmpfs ro", "", None),
        ("8:1 / /x rw - ext4 /dev/sda1 rw,errors=remount-ro", "UUID=1 /x ext4 defaults 0 2", None),
    ],
)
def test_gone_read_only(host, line, fstab, why):
    host.put("/etc/fstab", "# a comment\n%s\n" % fstab).mountinfo("0:1 / / rw - rootfs rootfs rw", line)
    found = subject.collect(host.tree, OPTIONS)["read_only"]
    assert [(one["mount"], one["why"]) for one in found] == ([("/x", why)] if why else [])


def test_a_file_system_is_reported_once(host):
    line = "8:1 %s rw - ext4 /dev/sda1 ro"
    host.mountinfo("0:1 / / rw - rootfs rootfs rw", line % "/ /x", line % "/sub /y")
    assert [one["mount"] for one in subject.collect(host.tree, OPTIONS)["read_only"]] == ["/x"]


def test_without_mountinfo_only_fstab_tells(host):
    (host.root / "proc/self/mountinfo").unlink()
    host.partition("sda2", "8:2", "sda")
    host.put("/proc/mounts", "/dev/sda1 / ext4 ro 0 0\n/dev/sda2 /y ext4 ro 0 0\n")
    host.put("/etc/fstab", "/dev/sda1 / ext4 rw\n")
    found = subject.collect(host.tree, OPTIONS)
    assert [(one["mount"], one["why"]) for one in found["read_only"]] == [("/", "fstab")]
    assert [(one["mount"], one["disks"]) for one in found["mounts"]] == [("/", ["sda"]), ("/y", ["sda"])]


def test_errors_that_ext4_counted(host):
    host.put("/sys/fs/ext4/sda1/errors_count", "3\n").put("/sys/fs/ext4/sda1/last_error_time", "1700000000\n")
    host.put("/sys/fs/ext4/dm-0/errors_count", "0\n").put("/sys/fs/ext4/features/lazy_itable_init", "supported\n")
    assert subject.collect(host.tree, OPTIONS)["file_system_errors"] == [
        {"device": "sda1", "type": "ext4", "errors": 3, "last": 1700000000}
    ]


def test_which_mounts_are_storage(host):
    host.mountinfo(
        "0:90 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w",
        "0:91 / /var/lib/containers/1/merged rw - overlay overlay rw",
        "8:1 /etc/hosts /etc/hosts rw - ext4 /dev/sda1 rw",
        "8:1 /etc/x /etc/x rw - ext4 /dev/sda1 rw",
        "253:0 /sub /bind rw - ext4 /dev/dm-0 rw",
        "253:0 / /data rw - ext4 /dev/dm-0 rw",
        "0:92 /@ /bt rw - btrfs /dev/sda1 rw,subvol=/@",
        "0:92 /@home /home rw - btrfs /dev/sda1 rw,subvol=/@home",
        "0:92 /@home /bind2 rw - btrfs /dev/sda1 rw,subvol=/@home",
        "0:93 / /nfs rw - nfs server:/x rw",
        "0:94 / /sshfs rw - fuse.sshfs me@host: rw",
        "0:95 / /gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw",
        "0:96 / /sys/fs/fuse/connections rw - fusectl fusectl rw",
        "0:97 / /cg rw - cgroup2 cgroup2 rw",
    )
    found = subject.collect(host.tree, OPTIONS)["mounts"]
    assert [one["mount"] for one in found] == ["/", "/bt", "/data", "/etc/hosts", "/home", "/nfs", "/sshfs"]


def test_sosreport(tmp_path):
    host = Host(tmp_path).put("/proc/diskstats", DISKSTATS).put("/proc/mounts", "/dev/mapper/vg-root / ext4 rw 0 0\n")
    host.put(
        "/sos_commands/block/lsblk_-O_-P",
        (
            'KNAME="sda" PKNAME="" MAJ:MIN="8:0" ROTA="1" TYPE="disk" SIZE="1000" NAME="sda"\n'
            'KNAME="dm-0" PKNAME="sda" MAJ:MIN="253:0" TYPE="lvm" NAME="vg-root"\n'
        ),
    )
    found = subject.collect(host.tree, OPTIONS)
    assert list(found["disks"]) == ["sda"]
    assert (found["disks"]["sda"]["size"], found["disks"]["sda"]["rotational"]) == (1000, True)
    assert (found["disks"]["sda"]["in_flight"], found["mounts"][0]["disks"]) == (3, ["sda"])


def test_nothing_there(tmp_path):
    here = Tree(str(tmp_path))
    assert subject.collect(here, OPTIONS) is None
    assert here.unavailable["storage"] == "no disk and no mount could be read"


@pytest.mark.parametrize(("blocks", "used", "size"), [(10, 6 * 512, 10 * 512), (0, None, None)])
def test_space_of_memory_file_systems_on_a_live_host_only(host, monkeypatch, blocks, used, size):
    class Space:
        f_blocks, f_bfree, f_frsize = blocks, 4, 512

    asked = []
    monkeypatch.setattr(subject.os, "statvfs", lambda path: asked.append(path) or Space)
    tree = host.tree
    assert "size" not in subject.collect(tree, OPTIONS)["mounts"][1]
    tree.live = True
    entry = dict(subject.reachable(tree)[1])
    found = subject._mount(tree, None, entry)
    assert (found["mount"], found["used"], found["size"]) == ("/run", used, size)
    # One whose server is gone would not answer.
    subject._mount(tree, subject.blocks(tree), dict(entry, type="nfs4", device="0:99"))
    assert asked == ["/run"]


def test_a_vendor_alone_is_no_name(host):
    host.put("/sys/class/block/vdb/device/vendor", "ACME\n")
    assert subject.collect(host.tree, OPTIONS)["disks"]["vdb"]["vendor_model"] is None


def test_this_machine():
    found = subject.collect(Tree("/"), OPTIONS, (subject.sample(Tree("/")), 1.0))
    assert json.loads(json.dumps(found)) == found
    for one in found["mounts"]:
        if one["type"] == "tmpfs" and one.get("size"):
            space = os.statvfs(one["mount"])
            assert one["size"] == space.f_frsize * space.f_blocks
    for name, disk in found["disks"].items():
        with open("/sys/block/%s/size" % name) as file:
            assert disk["size"] == int(file.read()) * 512


# As the kernel prints it (net/sunrpc/stats.c); the ninth number, errors, came with 5.3.
MOUNTSTATS = """device rootfs mounted on / with fstype rootfs
device filer1:/export/a mounted on /mnt/a\\040b with fstype nfs4 statvers=1.1
\topts:\trw,vers=4.2,rsize=1048576,wsize=1048576,proto=tcp,timeo=600,retrans=2
\tage:\t3379
\tbytes:\t0 2147487744 2172592128 717307904 2172592128 2864795648 0 524289
\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)
\txprt:\ttcp 0 0 6 0 29 169588 169584 0 4885578 0 31 7116 4400333
\tper-op statistics
\t        NULL: 1 1 0 44 24 0 0 0 0
\t        READ: 1000 1000 0 128000 4000 100 1900 2000 0
\t       WRITE: 400 400 0 8000 4000 10 1100 1200 0
\t      COMMIT: 18 18 0 464 336 0 3 3 0

device filer1:/export/b mounted on /mnt/b with fstype nfs statvers=1.1
\t        READ: 1 1 0 1 1 1 1 1
"""


def test_latency_of_nfs_servers(host):
    assert subject.mountstats.parse(MOUNTSTATS) == {
        "/mnt/a b": {"reads": 1000, "read_ms": 2000, "writes": 400, "write_ms": 1200}
    }
    host.put("/proc/self/mountstats", MOUNTSTATS)
    host.mountinfo("0:1 / / rw - rootfs rootfs rw", "0:50 / /mnt/a\\040b rw - nfs4 filer1:/export/a rw")
    before = subject.sample(host.tree)
    later = MOUNTSTATS.replace("400 400 0 8000 4000 10 1100 1200", "440 440 0 9000 4400 10 17000 17200")
    host.put("/proc/self/mountstats", later)
    (found,) = subject.collect(host.tree, OPTIONS, (before, 4.0))["mounts"]
    assert found["target"] == {"kind": "nfs", "name": "filer1:/export/a", "lun": None}
    # 40 writes took 16 s in all, so that four were under way at any time: one was done every 100 ms.
    assert [found[key] for key in subject.mountstats.KEYS] == [0.0, 10.0, None, 0.4, 0.1]
    assert found["history"] == {"reads": 1000, "writes": 400, "read_time": 2.0, "write_time": 1.2}
    now = subject.collect(host.tree, OPTIONS)["mounts"][0]
    assert (now["write_await"], now["history"]["writes"]) == (None, 440)


def test_a_mount_that_was_made_anew_has_no_latency():
    before = {"reads": 10, "read_ms": 10, "writes": 10, "write_ms": 10}
    empty = dict.fromkeys(subject.mountstats.KEYS)
    assert subject.mountstats.latency(before, dict(before, writes=1), 1.0) == empty
    assert subject.mountstats.latency(before, before, 0) == empty
    assert subject.mountstats.latency(before, before, 1.0)["service_time"] is None


@given(st.text(alphabet="READWIT: 0123456789\n\t") | st.text())
def test_any_mountstats(text):
    found = subject.mountstats.parse("device a:/b mounted on /c with fstype nfs4\n" + text + "\n" + MOUNTSTATS)
    assert found["/mnt/a b"]["reads"] == 1000


@given(st.text())
def test_any_text(text):
    subject.parse_diskstats(text)
    subject.parse_mdstat(MDSTAT + text)
    subject.parse_fstab(text)
    subject._hexadecimal(text)


@given(
    st.lists(st.tuples(st.integers(0, 10**4), st.text(max_size=3)), max_size=10),
    st.lists(st.tuples(st.integers(0, 10**4), st.text(max_size=3)), max_size=10),
)
def test_mutated_text(changes, others):
    def mutate(text, list_of_changes):
        for position, piece in list_of_changes:
            position %= len(text)
            text = text[:position] + piece + text[position + 1 :]
        return text

    subject.parse_mdstat(mutate(MDSTAT, changes))
    subject.parse_fstab(mutate("UUID=1 /x ext4 defaults 0 2\n", changes))
    before = subject.parse_diskstats(mutate(DISKSTATS, changes))
    after = subject.parse_diskstats(mutate(DISKSTATS, others))
    for name in set(before) & set(after):
        for key, value in subject.rates(before[name], after[name], 1.5).items():
            assert value is None or value >= 0, key
