# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a stream-optimized VMDK, grain by grain, to anything that takes bytes in order."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import BinaryIO

from ..common.errors import InvalidInput
from ..common.optional_imports import np
from .grains import MAX_COMPRESSED_GRAIN, grain_total
from .vmdk_layout import (
    OVERHEAD_SECTORS,
    SECTOR,
    TABLE_ENTRIES,
    TABLE_SECTORS,
    check_end,
    check_plan,
    directory_count,
    pack_end,
    pack_front,
    pack_grain,
    pack_table,
    padded_sectors,
)


class StreamOptimizedWriter:
    """Writes a VMDK whose bytes depend only on the capacity and the grains added.

    ``out`` is a callable or an object with ``write``; it must take all bytes it is given.
    Grains come in ascending order; those left out read as zeros.
    """

    def __init__(self, out: BinaryIO | Callable[[bytes], object], capacity: int) -> None:
        self._write = getattr(out, "write", out)
        self.capacity = capacity
        self._grains = grain_total(capacity)
        self._write(pack_front(capacity))
        self._sector = OVERHEAD_SECTORS
        self._next = 0
        self._table = -1
        self._first_row = 0
        self._directory = np.zeros(directory_count(capacity), dtype=np.uint32)
        self._numbers, self._sectors, self._sizes = array("I"), array("I"), array("I")

    def add(self, number: int, compressed: bytes) -> None:
        """Write one grain: its zlib data."""
        self._check(number, len(compressed))
        self._enter(number)
        data = pack_grain(number, compressed)
        self._numbers.append(number)
        self._sectors.append(self._sector)
        self._sizes.append(len(compressed))
        self._write(data)
        self._advance(number, len(data) // SECTOR)

    def add_run(self, numbers, sizes, data: bytes | bytearray | memoryview) -> None:
        """Write grains that are laid out already: marker, zlib data, padding, one after the other.

        ``numbers`` ascending and ``sizes`` (compressed bytes) say what ``data`` holds; its
        markers are believed. Raises InvalidInput when they do not fit together.
        """
        numbers, sizes = np.asarray(numbers), np.asarray(sizes)
        if not len(numbers):
            return
        check_plan(self.capacity, numbers, sizes)
        self._check(int(numbers[0]), int(sizes[0]))
        ends = np.cumsum(padded_sectors(sizes))
        if int(ends[-1]) * SECTOR != len(data):
            raise InvalidInput("A run of grains has another length than its sizes say.", code="disk.vmdk_plan")
        view = memoryview(data)
        tables = numbers // TABLE_ENTRIES
        cuts = [0, *(np.flatnonzero(tables[1:] != tables[:-1]) + 1).tolist(), len(numbers)]
        for first, last in zip(cuts, cuts[1:]):
            self._enter(int(numbers[first]))
            before = int(ends[first - 1]) if first else 0
            starts = np.concatenate(([0], ends[first : last - 1] - before)) + self._sector
            self._numbers.frombytes(numbers[first:last].astype(np.uint32).tobytes())
            self._sectors.frombytes(starts.astype(np.uint32).tobytes())
            self._sizes.frombytes(sizes[first:last].astype(np.uint32).tobytes())
            self._write(view[before * SECTOR : int(ends[last - 1]) * SECTOR])
            self._advance(int(numbers[last - 1]), int(ends[last - 1]) - before)

    def finish(self):
        """Write the tables and the end; return ``(numbers, sectors, sizes)``, u32 arrays of shape (n,), as GrainIndex takes them."""
        self._leave()
        self._write(pack_end(self.capacity, self._directory, self._sector))
        return tuple(
            np.frombuffer(column, dtype=np.uint32).copy() for column in (self._numbers, self._sectors, self._sizes)
        )

    def _check(self, number: int, size: int) -> None:
        if not self._next <= number < self._grains:
            raise InvalidInput(f"Grain {number} is out of order or outside the disk.", code="disk.vmdk_plan")
        if not 0 < size <= MAX_COMPRESSED_GRAIN:
            raise InvalidInput(f"Grain {number} has {size} compressed bytes.", code="disk.vmdk_plan")

    def _enter(self, number: int) -> None:
        table = number // TABLE_ENTRIES
        if table != self._table:
            self._leave()
            self._table = table
            self._first_row = len(self._numbers)

    def _leave(self) -> None:
        if self._table < 0:
            return
        numbers = np.array(self._numbers[self._first_row :], dtype=np.uint32)
        entries = np.zeros(TABLE_ENTRIES, dtype=np.uint32)
        entries[numbers % TABLE_ENTRIES] = np.array(self._sectors[self._first_row :], dtype=np.uint32)
        self._write(pack_table(entries))
        self._directory[self._table] = self._sector + 1
        self._sector += 1 + TABLE_SECTORS
        self._table = -1

    def _advance(self, number: int, sectors: int) -> None:
        self._sector += sectors
        self._next = number + 1
        check_end(self._sector + 1 + TABLE_SECTORS)
