# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A packaging machine without a machine: an image that is given out, changed, captured and composed again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from ...plugins.module_utils.disk.device import FileDevice
from ...plugins.module_utils.disk.encode import encode
from ...plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ...plugins.module_utils.disk.partitions import read_partitions
from ...plugins.module_utils.images import compose
from ...plugins.module_utils.images.compose import Composition
from ...plugins.module_utils.images.os_disk import INDEX_TYPE, VMDK_TYPE, OsDisk
from ...plugins.module_utils.images.template import canonical_digest
from ...plugins.module_utils.images.thin_image import ThinImage
from ...plugins.module_utils.layers.model import LayerVersion
from ...plugins.module_utils.ntfs.state import read_state
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.repository.repository import Repository
from .ntfs_tree import Name, read_tree


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
        references = [layer.reference() for layer in layers]
        config = {
            "content_digest": canonical_digest({"layers": [one.digest for one in references]}), "os_layer": {"digest": self.base.digest},
            "layers": [one.to_dict() for one in references], "disk_size_gb": None,
        }
        stacked = tuple(compose.stacked_layer(self.repository, one) for one in references)
        return compose.compose(self.repository, Composition(self.base, self.partition.number, stacked, None, config))

    @contextlib.contextmanager
    def changed(self, change: Callable[[Volume], None], image: ThinImage | None = None) -> Iterator[CopyOnWriteDevice]:
        """The disk of an image after ``change`` worked on its Windows volume."""
        with (image or self.given).open_disk() as base, CopyOnWriteDevice(base, self.scratch) as device:
            with Volume.mount(self.partition.window(device), writable=True) as volume:
                change(volume)
            assert read_state(self.partition.window(device)).clean
            yield device

    def tree(self, device) -> dict[str, Name]:
        """What dissect.ntfs reads on the Windows volume of a disk."""
        return read_tree(device, self.partition.offset, self.partition.size)


def tree_differences(expected: dict[str, Name], found: dict[str, Name]) -> list[str]:
    """How two trees differ, but for times of access and, of folders, those that change with what is in them."""
    lines = [f"{path}: missing" for path in sorted(expected.keys() - found.keys())]
    lines += [f"{path}: not expected" for path in sorted(found.keys() - expected.keys())]
    groups: dict[int, set[str]] = {}
    others: dict[int, set[str]] = {}
    for path in expected.keys() & found.keys():
        groups.setdefault(expected[path].file.record, set()).add(path)
        others.setdefault(found[path].file.record, set()).add(path)
    shapes = {frozenset(group) for group in others.values()}
    lines += [f"{sorted(group)}: not the same hard links" for group in groups.values() if frozenset(group) not in shapes]
    for path in sorted(expected.keys() & found.keys()):
        if not path:
            continue
        wanted, have = expected[path].file, found[path].file
        facts = ["is_directory", "attributes", "security", "size", "sha256", "streams", "reparse", "eas", "object_id"]
        lines += [f"{path}: {fact} is {getattr(have, fact)} instead of {getattr(wanted, fact)}" for fact in facts if getattr(wanted, fact) != getattr(have, fact)]
        times = (0,) if wanted.is_directory else (0, 1)
        lines += [f"{path}: time {index} is {have.times[index]} instead of {wanted.times[index]}" for index in times if wanted.times[index] != have.times[index]]
        if len(groups[wanted.record]) == 1 and expected[path].short_name != found[path].short_name:
            lines.append(f"{path}: 8.3 name is {found[path].short_name} instead of {expected[path].short_name}")
    return lines
