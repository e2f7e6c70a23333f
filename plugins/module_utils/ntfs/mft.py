# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read all of $MFT with numpy, without libntfs-3g.

File records are read in chunks of bounded size, and the fixups of all records of a chunk
are undone at the same time. Source: libntfs-3g's layout.h.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from ..common.arrays import U8, Indexes, Mask
from ..common.optional_imports import np
from ..disk.block_device import BlockDevice
from . import attribute_records
from .damage import damaged
from .raw_volume import BITMAP, MFT, RawVolume

#: Records that are read at a time: 16 MiB of 1 KiB records.
CHUNK = 16384
#: NTFS has at most 2**32 file records.
_MAXIMUM_BITMAP = 1 << 29


class MasterFileTable:
    """The file records of the NTFS volume on ``device``."""

    def __init__(self, device: BlockDevice) -> None:
        self.raw = RawVolume(device)
        self.record_size = self.raw.geometry.record_size
        self.record_count = self.raw.record_count

    def chunks(self, count: int = CHUNK) -> Iterator[tuple[int, U8, Mask]]:
        """Yield (number of the first record, u8 array (n, record size) without fixups, bool array (n): record is sound).

        A record that was never used, or whose fixups do not match, is not sound.

        Raises Corrupt ``ntfs.damaged`` when a record in use was not written completely.
        """
        for first in range(0, self.record_count, count):
            number = min(count, self.record_count - first)
            data = self.raw.read_runs(self.raw.mft_runs, first * self.record_size, number * self.record_size)
            table = np.frombuffer(bytearray(data), np.uint8).reshape(number, self.record_size)
            incomplete = has_signature(table, b"BAAD")
            files = has_signature(table, b"FILE")
            sound = undo_fixups(table)
            self.require_free(first + np.flatnonzero(incomplete | files & ~sound))
            yield first, table, sound

    def is_in_use(self, numbers: Indexes) -> Mask:
        """Return which of the file records are in use, from the bitmap of $MFT; shape (n)."""
        bitmap = self._record_bitmap
        places = numbers.astype(np.int64)
        inside = places < 8 * len(bitmap)
        result = np.zeros(len(places), dtype=np.bool_)
        result[inside] = (bitmap[places[inside] >> 3] >> (places[inside] & 7).astype(np.uint8) & 1).astype(np.bool_)
        return result

    def require_free(self, incomplete: Indexes) -> None:
        """Raise Corrupt ``ntfs.damaged`` if a record that was not written completely is in use.

        Windows does not repair free records: it formats them when it uses them again.
        """
        if not len(incomplete):
            return
        damaged_records = incomplete[self.is_in_use(incomplete)]
        if len(damaged_records):
            raise damaged(
                f"{self.raw.subject}, file record {int(damaged_records[0])}",
                "a sector of it was not written completely",
            )

    @functools.cached_property
    def _record_bitmap(self) -> U8:
        """The bitmap of $MFT, one bit per file record, lowest first."""
        return np.frombuffer(self.raw.read(MFT, attribute_records.BITMAP, limit=_MAXIMUM_BITMAP), np.uint8)

    def cluster_bitmap(self) -> U8:
        """Return $Bitmap, one bit per cluster, lowest first; bits after the last cluster are 0."""
        clusters = self.raw.geometry.clusters
        size = (clusters + 7) // 8
        data = self.raw.read(BITMAP, attribute_records.DATA, count=size, limit=1 << 30)
        if len(data) < size:
            raise damaged(self.raw.subject, "$Bitmap covers only a part of the volume")
        bitmap = np.frombuffer(bytearray(data), np.uint8)
        if clusters % 8:
            bitmap[-1] &= (1 << clusters % 8) - 1
        return bitmap


def has_signature(table: U8, signature: bytes) -> Mask:
    """Return which records, shape (n, record size), begin with ``signature``."""
    mask: Mask = (table[:, :4] == np.frombuffer(signature, np.uint8)).all(axis=1)
    return mask


def undo_fixups(table: U8) -> Mask:
    """Undo the fixups of FILE records, shape (n, record size), in place; return which rows are sound."""
    _count, size = table.shape
    sectors = size // 512
    units = table.view(np.uint16)
    sound = has_signature(table, b"FILE")
    offsets = units[:, 2].astype(np.intp)
    lengths = units[:, 3]
    sound &= (lengths == sectors + 1) & (offsets % 2 == 0) & (offsets >= 42) & (offsets + 2 * (sectors + 1) <= 510)
    rows = np.flatnonzero(sound)
    if not len(rows):
        return sound
    at = offsets[rows] // 2
    stamps = units[rows, at]
    for sector in range(sectors):
        end = (sector + 1) * 256 - 1
        sound[rows] &= units[rows, end] == stamps
        units[rows, end] = units[rows, at + sector + 1]
    return sound
