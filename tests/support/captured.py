# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A packaging machine without a VM: compose an image, change its disk, capture it and compose the image again."""

from __future__ import annotations

import contextlib
import os
import random
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

from ...plugins.module_utils.capture.capture import CaptureResult, capture
from ...plugins.module_utils.capture.noise.noise_profile import NoiseProfile
from ...plugins.module_utils.capture.noise.record import record_profile
from ...plugins.module_utils.capture.rule import DatabaseRule, Rule
from ...plugins.module_utils.capture.rules import parse_rules
from ...plugins.module_utils.catalog import layer_store
from ...plugins.module_utils.catalog.resolved_template import canonical_digest
from ...plugins.module_utils.disk.block_device import BlockDevice, FileDevice
from ...plugins.module_utils.disk.encode import encode
from ...plugins.module_utils.disk.grains import BLAKE3, GrainHash
from ...plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ...plugins.module_utils.disk.partitions import (
    TYPE_BASIC_DATA,
    TYPE_EFI_SYSTEM,
    TYPE_MICROSOFT_RESERVED,
    read_partitions,
)
from ...plugins.module_utils.images.composing import compose
from ...plugins.module_utils.images.composing.compose import Composition
from ...plugins.module_utils.images.stack.layer_stack import stacked_layer
from ...plugins.module_utils.images.stored.compose_config import ComposeConfig
from ...plugins.module_utils.images.stored.os_disk import INDEX_TYPE, VMDK_TYPE, OsDisk
from ...plugins.module_utils.images.stored.thin_image import ThinImage
from ...plugins.module_utils.layers.layer_version import LayerReference, LayerVersion
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.ntfs.volume_state import read_state
from ...plugins.module_utils.repository.repository import Repository
from ...plugins.module_utils.windows.installation import WindowsInstallation
from ...plugins.module_utils.winregistry.delta import Delta
from ...plugins.module_utils.winregistry.delta_format import read_delta
from ...plugins.module_utils.winregistry.hive_reader import read_hive
from ...plugins.module_utils.winregistry.hive_writer import write_hive
from ..sample import hives
from ..sample.disk import make_ntfs
from ..sample.esp import make_fat
from ..sample.tree import Tree, junction, symlink
from . import stored_layers, windows_start
from .gpt_disk import PartitionSpec, format_gpt
from .ntfs_tree import Name, read_tree
from .registry_data import hive_content
from .volume_changes import existing

#: Rules that override all default exclusions.
INCLUDE_EVERYTHING = (Rule("**", "", include=True), Rule("**", "", registry=True, include=True))


def make_windows_disk(
    path: str,
    megabytes: int = 96,
    *,
    disk_guid: str = "6b1d5c1e-0f0a-4e57-9b7e-2f1c9a5d7e10",
    first_sector: int = 0,
    esp_files: Mapping[str, bytes] | None = None,
) -> None:
    """Create a raw disk with an NTFS volume that has the hives of Windows and files of every kind.

    The disk has a GPT, with an EFI system partition if ``esp_files`` are its files, or with ``first_sector`` an MBR with
    one partition that begins there.
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
                *([PartitionSpec(TYPE_EFI_SYSTEM, 40 << 20, "ESP")] if esp_files else []),
                PartitionSpec(TYPE_MICROSOFT_RESERVED, 16 << 20, "Reserved"),
                PartitionSpec(TYPE_BASIC_DATA, None, "Windows"),
            ]
            table = format_gpt(device, specs, disk_guid=disk_guid)
            if esp_files:
                make_fat(path, table.partitions[0].offset, table.partitions[0].size, dict(esp_files))
        partition = max(read_partitions(device).partitions, key=lambda partition: partition.size)
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
    """Yield the Windows installation of a disk with files added, and keys and values (key -> name -> type, data) set."""
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
                    created = hive.root.create(key)
                    for name, (kind, data) in values.items():
                        created.set_value(name, kind, data)
            yield windows


class Packaging:
    """A repository with a raw disk as OS layer; ``base_image`` is the image that a packaging machine starts from.

    ``algorithm`` is that of the digests of the OS layer's grains.
    """

    def __init__(self, folder: str, raw: str, algorithm: GrainHash = BLAKE3) -> None:
        self.repository = Repository.open(os.path.join(folder, "repository"), create=True)
        self.scratch = os.path.join(folder, "scratch")
        os.makedirs(self.scratch, exist_ok=True)
        layout = self.repository.layout
        with FileDevice(raw) as device, layout.blob_writer(VMDK_TYPE) as vmdk:
            index = encode(device, vmdk, algorithm=algorithm)
            self.partition = max(read_partitions(device).partitions, key=lambda partition: partition.size)
        self.base = OsDisk("sha256:" + "0" * 64, vmdk.descriptor, layout.put_blob(index.to_bytes(), INDEX_TYPE))
        self.os_layer = LayerReference("os", "Windows", "7", self.base.digest)
        self.base_image = self.compose([])

    @property
    def offset(self) -> int:
        return self.partition.offset

    def compose(self, layers: list[LayerVersion]) -> ThinImage:
        """Return the thin image of these layers on the OS layer."""
        return self._compose([layer.reference() for layer in layers], None)

    def grow(self, image: ThinImage, layers: list[LayerVersion]) -> ThinImage:
        """Return the thin image with these layers on top of ``image``; its disk descends from that of ``image``."""
        return self._compose([*image.config.layers, *(layer.reference() for layer in layers)], image)

    def _compose(self, references: list[LayerReference], ancestor: ThinImage | None) -> ThinImage:
        content = {
            "layers": [reference.digest for reference in references],
            "ancestor": ancestor and ancestor.manifest.digest,
        }
        config = ComposeConfig(
            content_digest=canonical_digest(content),
            os_layer=self.os_layer,
            layers=tuple(references),
            ancestor=ancestor.manifest.digest if ancestor else None,
        )
        return self.compose_config(config, ancestor)

    def compose_config(self, config: ComposeConfig, ancestor: ThinImage | None = None) -> ThinImage:
        """Compose the thin image that a config describes, except its scripts."""
        layers = tuple(stacked_layer(self.repository, reference) for reference in config.layers)
        composition = Composition(self.base, self.partition.number, layers, None, config, ancestor)
        return compose.compose(self.repository, composition)

    @contextlib.contextmanager
    def changed(self, change: Callable[[Volume], None], image: ThinImage | None = None) -> Iterator[CopyOnWriteDevice]:
        """Yield the disk of an image after ``change`` has changed its Windows volume."""
        with (image or self.base_image).open_disk() as base, CopyOnWriteDevice(base, self.scratch) as device:
            with Volume.mount(self.partition.window(device), writable=True) as volume:
                change(volume)
            assert not read_state(self.partition.window(device)).dirty
            yield device

    def tree(self, device: BlockDevice) -> dict[str, Name]:
        """Return the tree that dissect.ntfs reads on the Windows volume of a disk."""
        return read_tree(device, self.partition.offset, self.partition.size)


def tree_differences(
    expected: dict[str, Name], found: dict[str, Name], base: dict[str, Name] | None = None
) -> list[str]:
    """Describe the differences of two trees, except access times and the folder times that depend on the content.

    A file without an 8.3 name may have the 8.3 name of the file at its path in ``base``.
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
        target, have = expected[path].file, found[path].file
        facts = ["is_directory", "attributes", "security", "size", "sha256", "streams", "reparse", "eas", "object_id"]
        for fact in facts:
            known = base.get(path) if base and fact == "object_id" else None
            if known is not None and known.file.object_id == have.object_id:
                continue  # Another object ID alone is not a change.
            if getattr(target, fact) != getattr(have, fact):
                lines.append(f"{path}: {fact} is {getattr(have, fact)} instead of {getattr(target, fact)}")
        times = (0,) if target.is_directory else (0, 1)
        for index in times:
            if target.times[index] != have.times[index]:
                lines.append(f"{path}: time {index} is {have.times[index]} instead of {target.times[index]}")
        short, folder = found[path].short_name, path.rpartition("/")[0]
        if short is None and (folder, expected[path].short_name) in shorts:
            continue  # A file that replaced another file got its 8.3 name.
        if (
            len(groups[target.record]) == 1
            and expected[path].short_name != short
            and (expected[path].short_name or tunnelled.get(path.upper()) != short)
        ):
            lines.append(f"{path}: 8.3 name is {found[path].short_name} instead of {expected[path].short_name}")
    return lines


def capture_change(
    packaging: Packaging,
    change: Callable[[Volume], None],
    *rules: Rule | DatabaseRule | Mapping,
    noise: NoiseProfile | None = None,
    name: str = "App",
) -> tuple[CaptureResult, dict[str, str], dict[str, Delta]]:
    """Capture a change of the volume; return the result, the layer's paths with their kinds, and its deltas.

    ``rules`` are rules or entries of the option exclusions; ``name`` is the name of the layer.
    """
    parsed = [rule if isinstance(rule, (Rule, DatabaseRule)) else parse_rules([rule])[0] for rule in rules]
    with packaging.changed(change) as device:
        result = capture(
            packaging.repository,
            packaging.base_image,
            lambda: device,
            LayerVersion("app", name, "1"),
            parsed,
            noise=noise,
        )
    entries = {
        record.entry.path: record.entry.kind
        for record in stored_layers.records(packaging.repository, result.layer)
        if not record.entry.implied
    }
    with stored_layers.open_archive(packaging.repository, result.layer, hives=True) as archive:
        deltas = {
            entry.path: read_delta(next(iter(contents))[2].read())
            for entry, contents in archive
            if entry.kind == "hive"
        }
    return result, entries, {name.removesuffix(layer_store.DELTA_SUFFIX): delta for name, delta in deltas.items()}


def record_noise(packaging: Packaging, change: Callable[[Volume], None]) -> NoiseProfile:
    """Return the noise profile of a packaging machine in which ``change`` is what Windows did by itself."""
    with packaging.changed(change) as device:
        return NoiseProfile.decode(record_profile(packaging.base_image, lambda: device).content)


def left_out(result: CaptureResult, kind: str) -> dict[str, list[str]]:
    """Return the examples of excluded items of a kind, by reason."""
    return {entry["reason"]: entry["examples"] for entry in result.left_out if entry["kind"] == kind}


def read_software(packaging: Packaging, device: BlockDevice) -> dict:
    """Return the content of the hive SOFTWARE on the Windows volume of a disk."""
    with (
        Volume.mount(packaging.partition.window(device)) as volume,
        existing(volume, "Windows/System32/config/SOFTWARE") as node,
    ):
        return hive_content(read_hive(node.read()).root)


def make_started_disk(path: str) -> None:
    """Create the disk of ``make_windows_disk`` with what the starts of ``windows_start`` change."""
    make_windows_disk(path)
    with FileDevice(path, writable=True) as device:
        partition = max(read_partitions(device).partitions, key=lambda partition: partition.size)
        with Volume.mount(partition.window(device), writable=True) as volume:
            windows_start.prepare(volume)
