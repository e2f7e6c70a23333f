# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read all files of an NTFS volume with dissect.ntfs, which shares no code with the engine.

In addition to tests/sample/reread.py it reads names with lone surrogates, the allocated
ranges of files, and the bytes of file records.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import struct
from collections.abc import Iterator
from unittest import mock

from dissect.cstruct.types import wchar
from dissect.ntfs import NTFS, attr, index, mft
from dissect.util.stream import AlignedStream

from ..sample import reread

_DATA = 0x80
_ROOT = 5
_UPCASE = 10


@dataclasses.dataclass
class File:
    """A file or folder, shared by its hard links. ``times`` are created, written, accessed, changed; ``streams`` SHA-256 by name.

    ``allocated`` are the allocated ranges (offset, length) of the unnamed stream, None for a
    stream inside the file record. ``record`` is the number of the file record.
    """

    is_directory: bool
    attributes: int
    times: tuple[int, int, int, int]
    security: str
    size: int
    sha256: str | None
    streams: dict[str, str]
    reparse: str | None
    eas: str | None
    object_id: str | None
    record: int = -1
    allocated: list[tuple[int, int]] | None = None


@dataclasses.dataclass
class Name:
    """A name of a file in its spelling, with its 8.3 name."""

    path: str
    short_name: str | None
    file: File


class _Device(AlignedStream):
    def __init__(self, device, offset: int, size: int) -> None:
        super().__init__(size)
        self._device, self._offset = device, offset

    def _read(self, offset: int, length: int) -> bytes:
        return self._device.pread(min(length, self.size - offset), self._offset + offset)


@contextlib.contextmanager
def _patched_dissect() -> Iterator[None]:
    """Patch what dissect does not handle.

    Names that are not well-formed UTF-16, which NTFS allows; an attribute of less than 64 bytes at the end of a record;
    index blocks that are free in $BITMAP. Clusters and index blocks must have the same size.
    """

    def characters(cls, stream, count, _context=None):
        return type.__call__(cls, stream.read(2 * count).decode("utf-16-le", "surrogatepass"))

    def name(self):
        self.fh.seek(self.offset + self.header.NameOffset)
        return self.fh.read(self.header.NameLength * 2).decode("utf-16-le", "surrogatepass")

    def entries(self):
        blocks = [self.root.entries()]
        if self._index_stream:
            bitmap = self.record.open("$I30", attr.ATTRIBUTE_TYPE_CODE.BITMAP).read()
            blocks += [
                self.index_buffer(number).entries()
                for number in range(8 * len(bitmap))
                if bitmap[number // 8] >> number % 8 & 1
            ]
        for block in blocks:
            yield from itertools.takewhile(lambda entry: not entry.is_end, block)

    with (
        mock.patch.object(index.Index, "entries", entries),
        mock.patch.object(wchar.Wchar, "_read_array", classmethod(characters)),
        mock.patch.object(attr.AttributeHeader, "name", property(name)),
        mock.patch.object(mft, "BytesIO", lambda data: io.BytesIO(data + bytes(64))),
    ):
        yield


def read_tree(device, offset: int = 0, size: int | None = None) -> dict[str, Name]:
    """Return every name below the root ("") of the volume at ``offset`` of a device (an object with pread and size), by path."""
    stream = _Device(device, offset, device.size - offset if size is None else size)
    with _patched_dissect():
        volume = NTFS(stream)
        files: dict[int, File] = {}
        result = {}
        for path, entry in reread.read_stream(stream).items():
            file = files.get(entry.record)
            if file is None:
                file = files[entry.record] = File(
                    entry.kind == "directory",
                    entry.attributes,
                    (entry.created, entry.written, entry.accessed, entry.changed),
                    entry.security,
                    entry.size,
                    entry.sha256,
                    dict(entry.streams),
                    entry.reparse,
                    entry.eas,
                    entry.object_id,
                    entry.record,
                    _allocated(volume, volume.mft.get(entry.record)),
                )
            result[path] = Name(path, entry.short_name, file)
    return result


def _allocated(volume: NTFS, record) -> list[tuple[int, int]] | None:
    runs = []
    for attribute in record.attributes[_DATA]:
        if attribute.header.name == "":
            if attribute.resident:
                return None
            position = attribute.header.lowest_vcn
            for start, length in attribute.dataruns():
                if start is not None:
                    runs.append((position * volume.cluster_size, length * volume.cluster_size))
                position += length
    return runs


def read_records(device, numbers, offset: int = 0, size: int | None = None) -> dict[int, bytes]:
    """Return file records by number as stored on the disk, without the fields that every write changes: LSN and update sequence."""
    volume = NTFS(_Device(device, offset, device.size - offset if size is None else size))
    length = 1024
    result = {}
    for number in numbers:
        volume.mft.fh.seek(number * length)
        record = bytearray(volume.mft.fh.read(length))
        start, count = struct.unpack_from("<HH", record, 4)
        for sector in range(1, count):
            record[512 * sector - 2 : 512 * sector] = record[start + 2 * sector : start + 2 * sector + 2]
        record[start : start + 2 * count] = bytes(2 * count)
        record[8:16] = bytes(8)
        result[number] = bytes(record)
    return result


def read_fold(device, offset: int = 0, size: int | None = None):
    """Return a function that folds a name by the $UpCase table of the volume, one UTF-16 unit at a time."""
    data = NTFS(_Device(device, offset, device.size - offset if size is None else size)).mft.get(_UPCASE).open().read()
    table = struct.unpack(f"<{len(data) // 2}H", data)

    def fold(name: str) -> str:
        units = name.encode("utf-16-le", "surrogatepass")
        folded = [table[unit] for unit in struct.unpack(f"<{len(units) // 2}H", units)]
        return struct.pack(f"<{len(folded)}H", *folded).decode("utf-16-le", "surrogatepass")

    return fold
