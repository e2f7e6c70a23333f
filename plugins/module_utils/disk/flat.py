# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a disk image by what it holds: raw, stream-optimized VMDK, or a descriptor with flat extents."""

from __future__ import annotations

import bisect
import os
import stat
from collections.abc import Iterator

from ..common.errors import Corrupt, NotFound, Unsupported
from .block_device import BlockDevice, FileDevice
from .vmdk_descriptor import MAX_DESCRIPTOR, Extent, is_descriptor, parse_descriptor
from .vmdk_layout import MAGIC, SECTOR, damaged
from .vmdk_reader import StreamOptimizedDisk

#: How files begin that are disk images of kinds that are not read here.
_FOREIGN = {
    b"QFI\xfb": "qcow2",
    b"COWD": "VMFS-sparse VMDK",
    b"\xbe\xba\xfe\xca\0\0\0\0": "SE-sparse VMDK",
    b"conectix": "VHD",
    b"vhdxfile": "VHDX",
    b"PK\x03\x04": "ZIP archive",
    b"\x1f\x8b": "gzip file",
}


class FlatDisk(BlockDevice):
    """A descriptor's flat extents, one after the other, read-only."""

    concurrent_reads = True

    def __init__(self, path: str) -> None:
        self.name = path
        self._files: dict[str, FileDevice] = {}
        self._parts: list[tuple[FileDevice | None, int, int]] = []
        self._starts: list[int] = []
        try:
            with open(path, "rb") as stream:
                descriptor = parse_descriptor(stream.read(MAX_DESCRIPTOR + 1), path)
            position = 0
            for extent in descriptor.extents:
                self._parts.append((self._open(extent), extent.offset, extent.size))
                self._starts.append(position)
                position += extent.size
        except BaseException:
            self.close()
            raise
        self.size = position
        if not position:
            raise damaged(path, "its descriptor names no extent")

    def _open(self, extent: Extent) -> FileDevice | None:
        if extent.kind == "ZERO":
            return None
        if extent.kind not in ("FLAT", "VMFS"):
            raise Unsupported(
                f"{self.name} has an extent of kind {extent.kind}.",
                code="disk.vmdk_extent_kind",
                hint="Export the machine as OVF, or convert the disk with 'qemu-img convert -O vmdk -o subformat=streamOptimized'.",
            )
        name = extent.file
        folder = os.path.realpath(os.path.dirname(os.path.abspath(self.name)))
        plain = bool(name) and name.isprintable() and len(name.encode()) <= 255 and "/" not in name and "\\" not in name
        target = os.path.realpath(os.path.join(folder, name)) if plain else ""
        if os.path.dirname(target) != folder:
            raise Corrupt(
                f"The descriptor {self.name} names an extent file outside its own folder.",
                code="disk.vmdk_extent_path",
                hint="Copy the descriptor and its extents into one folder.",
            )
        device = self._files.get(target)
        if device is None:
            device = self._files[target] = FileDevice(_regular(target))
        if extent.offset + extent.size > device.size:
            raise damaged(
                self.name,
                f"its extent file {name} has {device.size} bytes but {extent.offset + extent.size} are needed",
                "disk.vmdk_truncated",
            )
        return device

    def pread(self, count: int, offset: int) -> bytes:
        self.check_range(count, offset)
        pieces = []
        while count:
            index = bisect.bisect_right(self._starts, offset) - 1
            device, file_offset, size = self._parts[index]
            inside = offset - self._starts[index]
            length = min(count, size - inside)
            pieces.append(bytes(length) if device is None else device.pread(length, file_offset + inside))
            offset += length
            count -= length
        return b"".join(pieces)

    def data_extents(self) -> Iterator[tuple[int, int]]:
        for position, (device, file_offset, size) in zip(self._starts, self._parts):
            if device is None:
                continue
            for start, end in device.data_extents():
                start, end = max(start, file_offset), min(end, file_offset + size)
                if start < end:
                    yield position + start - file_offset, position + end - file_offset

    def close(self) -> None:
        for device in self._files.values():
            device.close()


def open_disk(path: str) -> BlockDevice:
    """Open a disk image read-only, judged by its content and never by its name.

    Raises NotFound when there is no such file, Corrupt for a damaged or cut-off image,
    Unsupported for a kind that is not read here.
    """
    with FileDevice(_regular(path)) as probe:
        size = probe.size
        start = probe.pread(min(size, SECTOR), 0)
    if start[:4] == MAGIC:
        return StreamOptimizedDisk(path)
    if is_descriptor(start):
        return FlatDisk(path)
    for magic, kind in _FOREIGN.items():
        if start.startswith(magic):
            raise Unsupported(
                f"{path} is a {kind}.",
                code="disk.kind",
                hint="Convert it with 'qemu-img convert -O raw', or export the machine as OVF from vSphere.",
            )
    if not size or size % SECTOR:
        raise Corrupt(
            f"{path} is no disk image: its {size} bytes are not whole sectors.",
            code="disk.truncated",
            hint="Export or copy the disk again.",
        )
    return FileDevice(path)


def _regular(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise NotFound(f"There is no disk image {path}.", code="disk.not_found", hint="Check the path.") from None
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise Unsupported(f"{path} is not a file.", code="disk.kind", hint="Name the disk image itself.")
    return path
