# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole $MFT at numpy speed, read without libntfs-3g.

File records are read in pieces of bounded size and their fixups undone for all records of
a piece at once. Source: libntfs-3g's layout.h.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

from ..common.optional_imports import np
from ..disk.block_device import BlockDevice
from . import attribute_records
from .raw_volume import BITMAP, MFT, RawVolume

#: Records read at once: 16 MiB of 1 KiB records.
CHUNK = 16384


@dataclasses.dataclass(slots=True)
class MftRecord:
    """One file record in use. ``base`` is the base record's reference, 0 for a base record itself."""

    number: int
    sequence: int
    link_count: int
    flags: int
    base: int
    attributes: list[attribute_records.Attribute]

    @property
    def is_directory(self) -> bool:
        return bool(self.flags & attribute_records.RECORD_IS_DIRECTORY)

    @property
    def reference(self) -> int:
        return self.number | self.sequence << 48

    def names(self) -> list[attribute_records.FileName]:
        """Return the $FILE_NAMEs in this record."""
        return [
            attribute_records.FileName.unpack(one.value or b"", f"File record {self.number}")
            for one in self.attributes
            if one.type == attribute_records.FILE_NAME
        ]


class MasterFileTable:
    """Reads the file records of the NTFS on ``device``."""

    def __init__(self, device: BlockDevice) -> None:
        self.raw = RawVolume(device)
        self.record_size = self.raw.geometry.record_size
        self.record_count = self.raw.record_count

    def chunks(self, count: int = CHUNK) -> Iterator[tuple[int, object, object]]:
        """Yield (number of the first record, uint8 array (n, record size) without fixups, bool array (n): record is sound).

        A record that was never used, or whose fixups do not match, is not sound.
        """
        for first in range(0, self.record_count, count):
            number = min(count, self.record_count - first)
            data = self.raw.read_runs(self.raw.mft_runs, first * self.record_size, number * self.record_size)
            table = np.frombuffer(bytearray(data), np.uint8).reshape(number, self.record_size)
            yield first, table, undo_fixups(table)

    def raw_bitmap(self) -> bytes:
        """Return $MFT's own bitmap of records in use."""
        return self.raw.read(MFT, attribute_records.BITMAP, limit=1 << 30)

    def records(self) -> Iterator[MftRecord]:
        """Yield every record in use, extension records too; Corrupt for one that contradicts itself."""
        for first, table, sound in self.chunks():
            flags = table[:, 22]
            for row in np.flatnonzero(sound & (flags & attribute_records.RECORD_IN_USE).astype(bool)):
                data = table[row].tobytes()
                sequence, links, _offset, kind = struct.unpack_from("<HHHH", data, 16)
                base = struct.unpack_from("<Q", data, 32)[0]
                number = first + int(row)
                what = f"{self.raw.what}, file record {number}"
                yield MftRecord(number, sequence, links, kind, base, list(attribute_records.attributes(data, what)))

    def cluster_bitmap(self):
        """Return $Bitmap as a uint8 array, bits behind the last cluster cleared."""
        clusters = self.raw.geometry.clusters
        size = (clusters + 7) // 8
        data = self.raw.read(BITMAP, attribute_records.DATA, count=size, limit=1 << 30)
        if len(data) < size:
            raise attribute_records.damaged(self.raw.what, "$Bitmap does not cover it")
        bitmap = np.frombuffer(bytearray(data), np.uint8)
        if clusters % 8:
            bitmap[-1] &= (1 << clusters % 8) - 1
        return bitmap

    def owned_clusters(self) -> tuple[object, int]:
        """Return (uint8 array, one element a cluster: how many runs own it up to 255, runs that leave the volume)."""
        clusters = self.raw.geometry.clusters
        owners = np.zeros(clusters, np.uint8)
        outside = 0
        for record in self.records():
            for attribute in record.attributes:
                if attribute.value is not None:
                    continue
                for length, start in attribute_records.decode_runs(attribute.runs, self.raw.what):
                    if start is None:
                        continue
                    if start + length > clusters:
                        outside += 1
                        continue
                    part = owners[start : start + length]
                    np.add(part, 1, out=part, where=part < 255)
        return owners, outside


def undo_fixups(table):
    """Undo the fixups of an array (n, record size) of FILE records in place; return which rows are sound."""
    count, size = table.shape
    sectors = size // 512
    words = table.view(np.uint16)
    sound = (table[:, :4] == np.frombuffer(b"FILE", np.uint8)).all(axis=1)
    offsets = words[:, 2].astype(np.intp)
    lengths = words[:, 3]
    sound &= (lengths == sectors + 1) & (offsets % 2 == 0) & (offsets >= 42) & (offsets + 2 * (sectors + 1) <= 510)
    rows = np.flatnonzero(sound)
    if not len(rows):
        return sound
    at = offsets[rows] // 2
    stamps = words[rows, at]
    for sector in range(sectors):
        end = (sector + 1) * 256 - 1
        sound[rows] &= words[rows, end] == stamps
        words[rows, end] = words[rows, at + sector + 1]
    return sound


def count_allocated(bitmap) -> int:
    """Return how many bits of a uint8 array are 1."""
    total, step = 0, 1 << 20
    for start in range(0, len(bitmap), step):
        total += int(np.unpackbits(bitmap[start : start + step]).sum())
    return total
