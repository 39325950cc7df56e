# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes trees whose /sys has block devices as a kernel lays them out: links to directories under /sys/devices."""

from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree


class Host:
    """A tree in the making."""

    def __init__(self, root):
        self.root = root

    @property
    def tree(self):
        return Tree(str(self.root))

    def put(self, path, text=""):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return self

    def link(self, path, target):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)
        return self

    def _device(self, name, number, below, attributes):
        where = "devices/%s/%s" % (below, name)
        self.put("/sys/%s/dev" % where, number + "\n")
        for key, value in attributes.items():
            self.put("/sys/%s/%s" % (where, key), "%s\n" % value)
        self.link("/sys/class/block/" + name, "../../" + where)
        self.link("/sys/dev/block/" + number, "../../" + where)
        return where

    def disk(self, name, number, rotational=1, size=2097152, below="pci0000:00/host0/block", **attributes):
        extra = {key.replace("__", "/"): value for key, value in attributes.items()}
        values = dict({"queue/rotational": rotational, "size": size}, **extra)
        where = self._device(name, number, below, values)
        (self.root / "sys" / where / "slaves").mkdir()
        (self.root / "sys" / where / "holders").mkdir()
        return self.link("/sys/block/" + name, "../" + where)

    def partition(self, name, number, disk):
        where = self._device(name, number, "pci0000:00/host0/block/" + disk, {"partition": 1})
        (self.root / "sys" / where / "holders").mkdir()
        return self

    def virtual(self, name, number, slaves=(), **attributes):
        extra = {key.replace("__", "/"): value for key, value in attributes.items()}
        where = self._device(name, number, "virtual/block", dict({"size": 1024, "queue/rotational": 0}, **extra))
        (self.root / "sys" / where / "slaves").mkdir()
        for slave in slaves:
            self.link("/sys/%s/slaves/%s" % (where, slave), "../../../../class/block/" + slave)
            self.link("/sys/class/block/%s/holders/%s" % (slave, name), "../" + name)
        return self.link("/sys/block/" + name, "../" + where)

    def mountinfo(self, *lines):
        text = "".join(
            "%d 1 %s\n" % (at, line) if at == 20 else "%d 20 %s\n" % (at, line) for at, line in enumerate(lines, 20)
        )
        return self.put("/proc/self/mountinfo", text)
