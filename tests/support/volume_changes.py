# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change files and hives of a mounted volume, single or at random."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

from ...plugins.module_utils.layers.entry import leads_elsewhere
from ...plugins.module_utils.ntfs import file_names
from ...plugins.module_utils.ntfs.links import add_name, remove_name
from ...plugins.module_utils.ntfs.node import Node
from ...plugins.module_utils.ntfs.times import Times
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.winregistry.hive_model import Key
from ...plugins.module_utils.winregistry.hive_reader import read_hive
from ...plugins.module_utils.winregistry.hive_writer import write_hive
from .ntfs_changes import delete_stream

NAMES = [
    "a",
    "New file.text",
    "\u00e4\u00d6\u00fc and more.dat",
    "x" * 180,
    "file number 3.dat",
    "FILE NUMBER 2.DAT",
    "Sub",
    "sub folder with a long name",
    "data.bin",
]
SIZES = [0, 10, 600, 3000, 65_536, 200_000, 1_500_000]
#: FILETIME before the times that the changes set.
FIRST_TIME = 132_000_000_000_000_000
#: The kinds of random changes: names of methods of VolumeWorker.
KINDS = (
    "create",
    "create",
    "folder",
    "write",
    "append",
    "overwrite",
    "truncate",
    "delete",
    "rename",
    "move",
    "swap",
    "link",
    "unlink",
    "stream",
    "unstream",
    "times",
    "attributes",
    "security",
    "reparse",
    "eas",
    "object_id",
    "short_name",
    "case",
    "replace",
    "become",
    "cloud",
    "sparse",
    "compressed",
)


def existing(volume: Volume, path: str) -> Node:
    """Open a file or folder that must exist."""
    node = volume.find(path)
    assert node is not None, f"{path} does not exist"
    return node


def put(volume: Volume, path: str, data: bytes = b"content") -> None:
    """Write a file, and create the folders above it."""
    node = volume.root
    *folders, name = path.split("/")
    for folder in folders:
        below = node.child(folder) or node.create_directory(folder)
        node.close()
        node = below
    with node:
        old = node.child(name)
        if old is None:
            node.create_file(name, data).close()
            return
        with old:
            old.truncate(0)
            old.write(data)


def edit_hive(volume: Volume, path: str, change: Callable[[Key], object]) -> None:
    """Apply ``change`` to the root key of a hive on the volume."""
    with existing(volume, path) as node:
        hive = read_hive(node.read())
        change(hive.root)
        data = write_hive(hive)
    put(volume, path, data)


def rename(volume: Volume, path: str, folder: str, name: str) -> None:
    """Rename or move a file or folder as Windows does: it keeps its file record."""
    with contextlib.ExitStack() as opened:
        node = opened.enter_context(existing(volume, path))
        target = opened.enter_context(existing(volume, folder))
        assert node.parent is not None, f"{path} is the root"
        parent = opened.enter_context(volume.open(node.parent))
        inode = node.inode
        removed = [
            file_name
            for file_name in inode.file_names()
            if file_name.parent == node.parent
            and (file_name.name == node.name or (node.short_name and file_name.namespace == file_names.DOS))
        ]
        has_other_names = len(inode.file_names()) > len(removed)
        namespace = file_names.POSIX if has_other_names else file_names.WIN32
        for file_name in removed:
            remove_name(inode, parent.inode, file_name)
        fields = inode.name_fields().file_name(target.file_reference, inode.name_extra(), namespace, name)
        add_name(inode, target.inode, fields)
        inode.mark_dirty()


class VolumeWorker:
    """Makes random changes to a volume; the seed decides which."""

    #: The share of changes that apply to a folder instead of a file.
    folders = 0.25

    def __init__(self, volume, seed: int) -> None:
        self.volume, self.random = volume, random.Random(seed)
        self.clock = 0
        self.done: list[str] = []

    def tick(self) -> Times:
        self.clock += 10
        return Times(*(FIRST_TIME + self.clock + number for number in range(4)))

    def everything(self):
        """Return (path, is a folder) of all files and folders that may change."""
        found, waiting = [], ["Program Files", "Data"]
        while waiting:
            path = waiting.pop()
            found.append((path, True))
            with self.volume.find(path) as node:
                children = sorted(node.children())
            for child in children:
                below = f"{path}/{child.name}"
                if child.is_directory:
                    waiting.append(below)
                else:
                    found.append((below, False))
        return found

    def pick(self, folders: bool):
        chosen = [path for path, is_folder in sorted(self.everything()) if is_folder == folders]
        return self.random.choice(chosen) if chosen else None

    def free_name(self, folder: str) -> str | None:
        names = [name for name in NAMES if (node := self.volume.find(f"{folder}/{name}")) is None or node.close()]
        return self.random.choice(names) if names else None

    def data(self) -> bytes:
        return self.random.randbytes(self.random.choice(SIZES))

    def step(self, kind: str) -> None:
        path = self.pick(
            folders=kind in ("create", "folder", "sparse", "compressed") or self.random.random() < self.folders
        )
        folder = path if path else "Data"
        node = self.volume.find(path) if path else None
        if node is None:
            return
        with node:
            if leads_elsewhere(node.reparse) and kind not in ("delete", "times"):
                return
            self.done.append(f"{kind} {path}")
            getattr(self, kind)(node, path, folder)

    # Each change gets the node of an existing path.

    def create(self, node, _path, folder):
        name = self.free_name(folder)
        if node.is_directory and name:
            short = (
                f"S{self.random.randrange(10**5)}~1.T" if self.random.random() < 0.5 and not name.isascii() else None
            )
            node.create_file(name, self.data(), times=self.tick(), security=node.security, short_name=short).close()

    def replace(self, node, path, _folder):
        if node.is_directory:
            return
        parent, _slash, name = path.rpartition("/")
        node.delete()
        with self.volume.find(parent) as above:
            above.create_file(name, self.data(), times=self.tick(), security=above.security).close()

    def become(self, node, path, _folder):
        """Replace a folder with a file, or a file with a folder."""
        parent, _slash, name = path.rpartition("/")
        was_directory = node.is_directory
        if not parent:
            return
        node.delete()
        with self.volume.find(parent) as above:
            if was_directory:
                above.create_file(name, self.data(), times=self.tick(), security=above.security).close()
            else:
                with above.create_directory(name, times=self.tick(), security=above.security) as made:
                    made.create_file("inside", self.data(), times=self.tick(), security=made.security).close()

    def cloud(self, node, path, _folder):
        """Set a reparse point on a folder, of the kind whose files are stored in the folder."""
        if node.is_directory and "/" in path:
            node.set_reparse(b"\x1a\x60\x00\x90\x08\x00\x00\x00cloudy!!")

    def sparse(self, node, _path, folder):
        name = self.free_name(folder)
        if node.is_directory and name:
            with (
                node.create_file(name, attributes=0x220, times=self.tick(), security=node.security) as made,
                made.open_stream() as stream,
            ):
                stream.truncate(900_000)
                stream.pwrite(b"island" * 1000, 400_000)

    def compressed(self, node, _path, folder):
        name = self.free_name(folder)
        if node.is_directory and name:
            with node.create_file(name, attributes=0x820, times=self.tick(), security=node.security) as made:
                made.write(b"compress me " * self.random.randrange(1, 30_000))

    def folder(self, node, _path, folder):
        name = self.free_name(folder)
        if node.is_directory and name:
            with node.create_directory(name, times=self.tick(), security=node.security) as made:
                for number in range(self.random.randrange(4)):
                    made.create_file(f"inside {number}", self.data(), times=self.tick(), security=node.security).close()

    def write(self, node, _path, _folder):
        if not node.is_directory and node.size:
            node.write(self.random.randbytes(50), self.random.randrange(node.size))
            node.set_times(self.tick())

    def overwrite(self, node, _path, _folder):
        """Overwrite data in place, without a change of the file's record."""
        if not node.is_directory and node.size > 2000:
            node.write(self.random.randbytes(100), self.random.randrange(node.size - 100))

    def append(self, node, _path, _folder):
        if not node.is_directory:
            node.write(self.data() or b"x", node.size)
            node.set_times(self.tick())

    def truncate(self, node, _path, _folder):
        if not node.is_directory:
            node.truncate(node.size // 2)

    def delete(self, node, path, _folder):
        if path.count("/") > 0:
            node.delete()

    def unlink(self, node, path, _folder):
        if not node.is_directory and node.link_count > 1:
            node.delete()

    def link(self, node, _path, _folder):
        other = self.pick(folders=True)
        name = self.free_name(other)
        with self.volume.find(other) as target:
            if not node.is_directory and name and not leads_elsewhere(target.reparse):
                target.link(node, name).close()

    def rename(self, node, path, _folder):
        parent = path.rpartition("/")[0]
        name = self.free_name(parent) if parent else None
        node.close()
        if name:
            rename(self.volume, path, parent, name)

    def swap(self, node, path, _folder):
        """Exchange the names of two folders or files."""
        other = self.pick(folders=node.is_directory)
        node.close()
        if (
            other
            and min(path.count("/"), other.count("/")) > 0
            and not (other + "/").startswith(path + "/")
            and not (path + "/").startswith(other + "/")
        ):
            rename(self.volume, path, "Data", "between")
            rename(self.volume, other, *path.rpartition("/")[::2])
            rename(self.volume, "Data/between", *other.rpartition("/")[::2])

    def move(self, node, path, _folder):
        target = self.pick(folders=True)
        name = self.free_name(target)
        with self.volume.find(target) as found:
            plain = not leads_elsewhere(found.reparse)
        node.close()
        if name and plain and path.count("/") > 0 and not (target + "/").startswith(path + "/"):
            rename(self.volume, path, target, name)

    def case(self, node, path, _folder):
        parent, _slash, name = path.rpartition("/")
        is_directory = node.is_directory
        node.close()
        if not is_directory and name.isascii():
            rename(self.volume, path, parent, name.swapcase())

    def stream(self, node, _path, _folder):
        node.write(self.random.randbytes(self.random.choice((5, 900, 5000))), 0, f"stream{self.random.randrange(3)}")

    def unstream(self, node, _path, _folder):
        if node.streams and not node.is_directory:
            delete_stream(node, node.streams[0][0])

    def times(self, node, _path, _folder):
        node.set_times(self.tick())

    def attributes(self, node, _path, _folder):
        node.set_attributes(node.attributes ^ 0x3)

    def security(self, node, _path, _folder):
        with self.volume.find("Windows/System32/config/SAM") as other:
            node.set_security(other.security)

    def reparse(self, node, _path, _folder):
        if not node.is_directory and not node.size and not node.streams:
            node.set_reparse(b"\x1a\x70\x00\x90\x08\x00\x00\x00cloudy!!")

    def eas(self, node, _path, _folder):
        if not node.is_directory:
            node.set_eas(b"\x10\0\0\0\0\4\2\0NAME\0ok\0" if self.random.random() < 0.8 else None)

    def object_id(self, node, _path, _folder):
        node.set_object_id(self.random.randbytes(16))

    def short_name(self, node, _path, _folder):
        if node.link_count == 1 and len(node.name) > 12:
            node.set_short_name(f"S{self.random.randrange(10**5)}~1")
