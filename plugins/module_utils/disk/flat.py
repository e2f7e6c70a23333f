# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open a disk image by its content: raw, stream-optimized VMDK, or a descriptor with flat extents."""

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

#: The first bytes of files of kinds that are not supported.
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
    """The flat extents of a VMDK descriptor, one after the other, read-only.

    Raises:
        Corrupt: the descriptor or an extent is damaged or truncated.
        NotFound disk.not_found: an extent file does not exist.
        Unsupported disk.vmdk_extent_kind, disk.vmdk_has_parent: the disk is not flat, or needs a parent.
    """

    concurrent_reads = True
    forked_reads = True

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
            raise damaged(path, "its descriptor lists no extents")

    def _open(self, extent: Extent) -> FileDevice | None:
        if extent.kind == "ZERO":
            return None
        if extent.kind not in ("FLAT", "VMFS"):
            raise Unsupported(
                f"{self.name} has an extent of kind {extent.kind[:40]}, which is not supported.",
                code="disk.vmdk_extent_kind",
                hint="Export the VM as OVF, or convert the disk with 'qemu-img convert -O vmdk -o subformat=streamOptimized'.",
            )
        name = extent.file
        folder = os.path.realpath(os.path.dirname(os.path.abspath(self.name)))
        plain = bool(name) and name.isprintable() and len(name.encode()) <= 255 and "/" not in name and "\\" not in name
        target = os.path.realpath(os.path.join(folder, name)) if plain else ""
        if os.path.dirname(target) != folder:
            raise Corrupt(
                f"The descriptor {self.name} refers to an extent file outside its folder.",
                code="disk.vmdk_extent_path",
                hint="Copy the descriptor and its extents into one folder.",
            )
        device = self._files.get(target)
        if device is None:
            device = self._files[target] = FileDevice(_regular(target))
        if extent.offset + extent.size > device.size:
            raise damaged(
                self.name,
                f"its extent file {name} has {device.size} bytes, but {extent.offset + extent.size} bytes are expected",
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
    """Open a disk image read-only; its kind is recognised by content, not by name.

    Raises:
        NotFound disk.not_found: the file does not exist.
        Unsupported disk.kind: the file is not a disk image of a supported kind.
        Corrupt disk.truncated: the size is not a multiple of 512; and the errors of ``FlatDisk`` and ``StreamOptimizedDisk``.
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
                f"{path} is a {kind}, which is not supported.",
                code="disk.kind",
                hint="Convert the disk with 'qemu-img convert -O raw', or export the VM as OVF from vSphere.",
            )
    if not size or size % SECTOR:
        raise Corrupt(
            f"{path} is not a disk image: its size ({size} bytes) is not a multiple of 512.",
            code="disk.truncated",
            hint="Export or copy the disk again.",
        )
    return FileDevice(path)


def _regular(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise NotFound(
            f"The disk image {path} does not exist.",
            code="disk.not_found",
            hint="Check the path, and that the file system with the image is mounted.",
        ) from None
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise Unsupported(f"{path} is not a file.", code="disk.kind", hint="Specify the path of the disk image itself.")
    return path
