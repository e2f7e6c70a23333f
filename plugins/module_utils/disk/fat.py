# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read files of a FAT12, FAT16 or FAT32 volume, such as the EFI system partition.

All input is untrusted: a chain of clusters, a folder and the number of files are limited, and damage raises Corrupt.
Source: Microsoft, "FAT32 File System Specification", version 1.03.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from functools import cached_property

from ..common.errors import Corrupt, Unsupported
from .block_device import BlockDevice

_ENTRY = 32
_DIRECTORY, _VOLUME, _LONG_NAME = 0x10, 0x08, 0x0F
_DELETED, _LAST, _KANJI = 0xE5, 0x40, 0x05
_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10
#: Limits: bytes of the allocation table and of a folder, files of a volume, levels of folders, parts of a long name.
_MAX_TABLE = 64 << 20
_MAX_FOLDER = 65536 * _ENTRY
_MAX_FILES = 20_000
_MAX_DEPTH = 32
_MAX_PARTS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class FatFile:
    """A file: its size in bytes, its time of modification as FAT stores it, and its first cluster."""

    path: str
    size: int
    modified: int
    cluster: int


class FatVolume:
    """A FAT volume on a device.

    Raises:
        Unsupported disk.not_fat: the device has no FAT volume.
        Corrupt disk.fat_damaged: the volume contradicts itself (every method).
    """

    def __init__(self, device: BlockDevice) -> None:
        self._device = device
        sector = device.pread(512, 0) if device.size >= 512 else b""
        if sector[510:] != b"\x55\xaa" or sector[0] not in (0xE9, 0xEB):
            raise _not_fat(device)
        size, per_cluster, reserved, tables, root_entries = struct.unpack_from("<HBHBH", sector, 11)
        table_size = struct.unpack_from("<H", sector, 22)[0]
        self._is_fat32 = not table_size
        total = struct.unpack_from("<H", sector, 19)[0] or struct.unpack_from("<I", sector, 32)[0]
        table_size = table_size or struct.unpack_from("<I", sector, 36)[0]
        powers = all(number and not number & number - 1 for number in (size, per_cluster))
        if not powers or not 512 <= size <= 4096 or not reserved or not 1 <= tables <= 2 or not table_size:
            raise _not_fat(device)
        self._cluster_size = size * per_cluster
        self._table_at, self._table_size = reserved * size, table_size * size
        self._root_at = self._table_at + tables * self._table_size
        self._root_size = -(-root_entries * _ENTRY // size) * size
        self._data_at = self._root_at + self._root_size
        self._clusters = (total * size - self._data_at) // self._cluster_size
        self._root_cluster = struct.unpack_from("<I", sector, 44)[0] if self._is_fat32 else 0
        if self._clusters < 1 or self._data_at + self._clusters * self._cluster_size > device.size:
            raise self._damaged("its size does not fit into the partition")
        if self._table_size > _MAX_TABLE:
            raise self._damaged(f"its allocation table has {self._table_size} bytes; the limit is {_MAX_TABLE} bytes")

    def files(self) -> dict[str, FatFile]:
        """Return all files by their path in upper case ("/" between names)."""
        found: dict[str, FatFile] = {}
        waiting = [("", self._root_cluster)]
        seen = {self._root_cluster}
        while waiting:
            above, cluster = waiting.pop()
            for name, attributes, file in self._folder(above, cluster):
                if not attributes & _DIRECTORY:
                    found[file.path.upper()] = file
                elif name not in (".", "..") and file.cluster:
                    if file.cluster in seen or file.path.count("/") >= _MAX_DEPTH:
                        raise self._damaged(f"the folder {file.path} contains itself")
                    seen.add(file.cluster)
                    waiting.append((file.path + "/", file.cluster))
            if len(found) + len(seen) > _MAX_FILES:
                raise self._damaged(f"it has more than {_MAX_FILES} files")
        return found

    def read(self, file: FatFile) -> Iterator[bytes]:
        """Yield the content of a file in pieces."""
        missing = file.size
        if missing > self._clusters * self._cluster_size:
            raise self._damaged(f"the file {file.path} is larger than the volume")
        for piece in self._chain(file.cluster) if missing else ():
            yield piece[:missing]
            missing -= min(missing, len(piece))
            if not missing:
                return
        if missing:
            raise self._damaged(f"the file {file.path} ends {missing} bytes early")

    def _folder(self, above: str, cluster: int) -> Iterator[tuple[str, int, FatFile]]:
        """Yield name, attributes and file of each entry of a folder; cluster 0 is the root of FAT12 and FAT16."""
        parts: list[tuple[int, bytes]] = []
        for entry in self._entries(cluster):
            attributes = entry[11]
            if entry[0] == _DELETED:
                parts = []
            elif attributes & 0x3F == _LONG_NAME:
                if entry[0] & _LAST:
                    parts = []
                if len(parts) < _MAX_PARTS:
                    parts.append((entry[13], entry[1:11] + entry[14:26] + entry[28:32]))
            else:
                if not attributes & _VOLUME:
                    name = _long_name(parts, entry) or _short_name(entry)
                    high, written, day, low, size = struct.unpack_from("<HHHHI", entry, 20)
                    first = low | (high << 16 if self._is_fat32 else 0)
                    yield name, attributes, FatFile(above + name, size, day << 16 | written, first)
                parts = []

    def _entries(self, cluster: int) -> Iterator[bytes]:
        if cluster:
            pieces = self._chain(cluster)
        else:
            pieces = iter((self._device.pread(self._root_size, self._root_at),))
        total = 0
        for piece in pieces:
            for position in range(0, len(piece), _ENTRY):
                if not piece[position]:
                    return
                yield piece[position : position + _ENTRY]
            total += len(piece)
            if total > _MAX_FOLDER:
                raise self._damaged("a folder is too large")

    def _chain(self, cluster: int) -> Iterator[bytes]:
        """Yield the content of the clusters of a chain."""
        for _number in range(self._clusters):
            if not 2 <= cluster < self._clusters + 2:
                raise self._damaged(f"a chain leads to cluster {cluster}, which does not exist")
            yield self._device.pread(self._cluster_size, self._data_at + (cluster - 2) * self._cluster_size)
            cluster = self._following(cluster)
            if not cluster:
                return
        raise self._damaged("a chain of clusters has no end")

    @cached_property
    def _table(self) -> bytes:
        return self._device.pread(self._table_size, self._table_at)

    def _following(self, cluster: int) -> int:
        """Return the cluster after a cluster in its chain, 0 at the end of the chain."""
        if self._is_fat32:
            width, end = 4, 0x0FFFFFF8
            offset = cluster * 4
        elif self._clusters >= 4085:
            width, end = 2, 0xFFF8
            offset = cluster * 2
        else:
            width, end = 2, 0xFF8
            offset = cluster + cluster // 2
        if offset + width > len(self._table):
            raise self._damaged("its allocation table is too short")
        number = int.from_bytes(self._table[offset : offset + width], "little")
        if width == 4:
            number &= 0x0FFFFFFF
        elif end == 0xFF8:
            number = number >> 4 if cluster & 1 else number & 0xFFF
        return 0 if number >= end else number

    def _damaged(self, cause: str) -> Corrupt:
        return Corrupt(
            f"The FAT volume on {self._device.name} is damaged: {cause}.",
            code="disk.fat_damaged",
            hint="Run chkdsk for the EFI system partition in the VM that the disk comes from, and export the disk again.",
        )


def _not_fat(device: BlockDevice) -> Unsupported:
    return Unsupported(
        f"{device.name} has no FAT volume.",
        code="disk.not_fat",
        hint="Check that the EFI system partition in the VM that the disk comes from has the file system FAT32.",
    )


def _long_name(parts: list[tuple[int, bytes]], entry: bytes) -> str | None:
    """Return the long name whose ``parts``, the last part first, are before an entry, None if they belong to another entry."""
    total = 0
    for number in entry[:11]:
        total = ((total & 1) << 7) + (total >> 1) + number & 0xFF
    if not parts or any(checksum != total for checksum, _part in parts):
        return None
    data = b"".join(part for _checksum, part in reversed(parts))
    name = data.decode("utf-16-le", "replace").partition("\0")[0]
    return name.replace("/", "\ufffd") or None


def _short_name(entry: bytes) -> str:
    first = bytes([_DELETED]) if entry[0] == _KANJI else entry[:1]
    base, extension = (first + entry[1:8]).decode("cp437").rstrip(" "), entry[8:11].decode("cp437").rstrip(" ")
    base = base.lower() if entry[12] & _LOWER_BASE else base
    extension = extension.lower() if entry[12] & _LOWER_EXTENSION else extension
    return (f"{base}.{extension}" if extension else base).replace("/", "\ufffd")
