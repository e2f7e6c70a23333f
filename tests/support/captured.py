# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A packaging machine without a machine: an image that is given out, changed, captured and composed again."""

from __future__ import annotations

import contextlib
import os
import random
import struct
from collections.abc import Callable, Iterator, Sequence

from ...plugins.module_utils.catalog.resolved_template import canonical_digest
from ...plugins.module_utils.disk.block_device import FileDevice
from ...plugins.module_utils.disk.encode import encode
from ...plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ...plugins.module_utils.disk.partitions import (
    TYPE_BASIC_DATA,
    TYPE_MICROSOFT_RESERVED,
    read_partitions,
)
from ...plugins.module_utils.images import compose
from ...plugins.module_utils.images.compose import Composition
from ...plugins.module_utils.images.os_disk import INDEX_TYPE, VMDK_TYPE, OsDisk
from ...plugins.module_utils.images.thin_image import ThinImage
from ...plugins.module_utils.layers.layer_version import LayerReference, LayerVersion
from ...plugins.module_utils.ntfs import file_names
from ...plugins.module_utils.ntfs.links import add_name, remove_name
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.ntfs.volume_state import read_state
from ...plugins.module_utils.repository.repository import Repository
from ...plugins.module_utils.windows.installation import WindowsInstallation
from ...plugins.module_utils.winregistry.hive_writer import write_hive
from ..sample import hives
from ..sample.disk import make_ntfs
from ..sample.tree import Tree, junction, symlink
from .gpt_disk import PartitionSpec, format_gpt
from .ntfs_tree import Name, read_tree


def make_machine(
    path: str, megabytes: int = 96, *, disk_guid: str = "6b1d5c1e-0f0a-4e57-9b7e-2f1c9a5d7e10", first_sector: int = 0
) -> None:
    """Make a raw disk whose one NTFS volume holds the hives of a Windows and a bit of everything.

    The disk has a GPT or, with ``first_sector``, an MBR whose one partition begins there.
    """
    with open(path, "wb") as out:
        out.truncate(megabytes << 20)
        if first_sector:
            count = (megabytes << 11) - 2048
            out.write(
                bytes(440)
                + b"DISK\0\0"
                + struct.pack("<B3sB3sII", 0x80, b"\1\1\0", 7, b"\xfe\xff\xff", first_sector, count)
                + bytes(48)
                + b"\x55\xaa"
            )
    with FileDevice(path, writable=True) as device:
        if not first_sector:
            specs = [
                PartitionSpec(TYPE_MICROSOFT_RESERVED, 16 << 20, "Reserved"),
                PartitionSpec(TYPE_BASIC_DATA, None, "Windows"),
            ]
            format_gpt(device, specs, disk_guid=disk_guid)
        partition = max(read_partitions(device).partitions, key=lambda one: one.size)
    tree = Tree()
    config = "Windows/System32/config/"
    for name, hive in (
        ("SYSTEM", hives.small_system()),
        ("SOFTWARE", hives.software()),
        ("DEFAULT", hives.default_user("DEFAULT")),
        ("SAM", hives.sam()),
    ):
        tree.file(config + name, write_hive(hive))
    tree.file("Users/Default/NTUSER.DAT", write_hive(hives.default_user("NTUSER.DAT")))
    tree.directory("Windows/Temp")
    for folder in ("Program Files/Alpha", "Program Files/Beta and more", "Data/one/two"):
        for number, size in enumerate((0, 100, 700, 5000, 70_000, 300_000)):
            tree.file(f"{folder}/file number {number}.dat", random.Random(f"{folder}{number}").randbytes(size))
    tree.link("Data/linked once.dat", "Program Files/Alpha/file number 3.dat")
    tree.link("Data/linked twice.dat", "Program Files/Alpha/file number 3.dat")
    tree.sparse_file("Data/sparse.bin", 2_000_000, [(0, b"begin"), (1_000_000, b"middle" * 20_000)])
    tree.reparse_directory("Data/junction", junction("C:\\Windows"))
    tree.reparse_file("Data/symlink", symlink("sparse.bin", True))
    make_ntfs(path, {"offset": partition.offset, "size": partition.size}, tree.finish(), "Windows")


@contextlib.contextmanager
def changed_windows(
    device: FileDevice, folder: str, system: dict | None = None, software: dict | None = None, files: Sequence[str] = ()
) -> Iterator[WindowsInstallation]:
    """The Windows of a machine's disk after files were written, and keys and values (key -> name -> type and data) were set in its hives."""
    with CopyOnWriteDevice(device, folder) as changed:
        window = read_partitions(device).partitions[1].window(changed)
        with Volume.mount(window, writable=True) as volume:
            for path in files:
                node = volume.root
                for name in path.split("/"):
                    below = node.child(name) or (
                        node.create_file(name, b"x")
                        if path.endswith("/" + name) and "." in name
                        else node.create_directory(name)
                    )
                    node.close()
                    node = below
                node.close()
            windows = WindowsInstallation.open(volume)
            for hive, items in ((windows.system, system), (windows.software, software)):
                for key, values in (items or {}).items():
                    made = hive.root.create(key)
                    for name, (kind, data) in values.items():
                        made.set_value(name, kind, data)
            yield windows


class Packaging:
    """A repository with a machine's raw disk as an OS layer; ``offset`` and ``size`` are its Windows partition's."""

    def __init__(self, folder: str, raw: str) -> None:
        self.repository = Repository.open(os.path.join(folder, "repository"), create=True)
        self.scratch = os.path.join(folder, "scratch")
        os.makedirs(self.scratch, exist_ok=True)
        layout = self.repository.layout
        with FileDevice(raw) as device, layout.blob_writer(VMDK_TYPE) as vmdk:
            index = encode(device, vmdk)
            self.partition = max(read_partitions(device).partitions, key=lambda one: one.size)
        self.base = OsDisk("sha256:" + "0" * 64, vmdk.descriptor, layout.put_blob(index.to_bytes(), INDEX_TYPE))
        self.given = self.compose([])

    @property
    def offset(self) -> int:
        return self.partition.offset

    def compose(self, layers: list[LayerVersion]) -> ThinImage:
        """The thin image of these layers on the OS layer."""
        return self._compose([layer.reference() for layer in layers], None)

    def grow(self, image: ThinImage, layers: list[LayerVersion]) -> ThinImage:
        """The thin image with these layers put on top of ``image``, from which its disk descends."""
        below = [LayerReference.from_dict(one) for one in image.config["layers"]]
        return self._compose([*below, *(layer.reference() for layer in layers)], image)

    def _compose(self, references: list[LayerReference], ancestor: ThinImage | None) -> ThinImage:
        content = {"layers": [one.digest for one in references], "ancestor": ancestor and ancestor.manifest.digest}
        config = {
            "content_digest": canonical_digest(content),
            "os_layer": {"digest": self.base.digest},
            "layers": [one.to_dict() for one in references],
            "disk_size_gb": None,
        } | ({"ancestor": ancestor.manifest.digest} if ancestor else {})
        stacked = tuple(compose.stacked_layer(self.repository, one) for one in references)
        return compose.compose(
            self.repository, Composition(self.base, self.partition.number, stacked, None, config, ancestor)
        )

    @contextlib.contextmanager
    def changed(self, change: Callable[[Volume], None], image: ThinImage | None = None) -> Iterator[CopyOnWriteDevice]:
        """The disk of an image after ``change`` worked on its Windows volume."""
        with (image or self.given).open_disk() as base, CopyOnWriteDevice(base, self.scratch) as device:
            with Volume.mount(self.partition.window(device), writable=True) as volume:
                change(volume)
            assert not read_state(self.partition.window(device)).dirty
            yield device

    def tree(self, device) -> dict[str, Name]:
        """What dissect.ntfs reads on the Windows volume of a disk."""
        return read_tree(device, self.partition.offset, self.partition.size)


def rename(volume: Volume, path: str, folder: str, name: str) -> None:
    """Give a file or folder another name, in another folder if need be, as Windows does: it stays the same file."""
    with volume.find(path) as node, volume.find(folder) as target, volume.open(node.parent) as parent:
        inode = node.inode
        going = [
            one
            for one in inode.file_names()
            if one.parent == node.parent
            and (one.name == node.name or node.short_name and one.namespace == file_names.DOS)
        ]
        stays = len(inode.file_names()) > len(going)
        namespace = file_names.POSIX if stays else file_names.WIN32
        for one in going:
            remove_name(inode, parent.inode, one)
        add_name(
            inode,
            target.inode,
            inode.name_fields().file_name(target.file_reference, inode.name_extra(), namespace, name),
        )
        inode.mark_dirty()


def tree_differences(
    expected: dict[str, Name], found: dict[str, Name], base: dict[str, Name] | None = None
) -> list[str]:
    """How two trees differ, but for times of access and, of folders, those that change with what is in them.

    A file without an 8.3 name may have the one that a file at its path has in ``base``.
    """
    tunnelled = {path.upper(): name.short_name for path, name in (base or {}).items()}
    lines = [f"{path}: missing" for path in sorted(expected.keys() - found.keys())]
    lines += [f"{path}: not expected" for path in sorted(found.keys() - expected.keys())]
    groups: dict[int, set[str]] = {}
    others: dict[int, set[str]] = {}
    for path in expected.keys() & found.keys():
        groups.setdefault(expected[path].file.record, set()).add(path)
        others.setdefault(found[path].file.record, set()).add(path)
    shapes = {frozenset(group) for group in others.values()}
    lines += [
        f"{sorted(group)}: not the same hard links" for group in groups.values() if frozenset(group) not in shapes
    ]
    shorts = {(path.rpartition("/")[0], name.short_name) for path, name in found.items() if name.short_name}
    for path in sorted(expected.keys() & found.keys()):
        if not path:
            continue
        wanted, have = expected[path].file, found[path].file
        facts = ["is_directory", "attributes", "security", "size", "sha256", "streams", "reparse", "eas", "object_id"]
        for fact in facts:
            if getattr(wanted, fact) != getattr(have, fact):
                lines.append(f"{path}: {fact} is {getattr(have, fact)} instead of {getattr(wanted, fact)}")
        times = (0,) if wanted.is_directory else (0, 1)
        for index in times:
            if wanted.times[index] != have.times[index]:
                lines.append(f"{path}: time {index} is {have.times[index]} instead of {wanted.times[index]}")
        short, folder = found[path].short_name, path.rpartition("/")[0]
        if short is None and (folder, expected[path].short_name) in shorts:
            continue  # It went to a file that replaced one with this 8.3 name.
        if (
            len(groups[wanted.record]) == 1
            and expected[path].short_name != short
            and (expected[path].short_name or tunnelled.get(path.upper()) != short)
        ):
            lines.append(f"{path}: 8.3 name is {found[path].short_name} instead of {expected[path].short_name}")
    return lines
