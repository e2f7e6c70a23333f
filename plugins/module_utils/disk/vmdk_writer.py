# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a stream-optimized VMDK, grain by grain, to an output that takes bytes in order."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, cast

from ..common.arrays import U32
from ..common.errors import InternalError
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


class Writable(Protocol):
    """An object with a method that takes bytes."""

    def write(self, data: Any, /) -> object:
        """Take all bytes of ``data``."""


#: Takes bytes in order: a function, or an object with a method "write".
Output: TypeAlias = "Writable | Callable[[Any], object]"


def write_function(out: Output) -> Callable[[bytes | memoryview], object]:
    """Return the function that takes the bytes of an output."""
    return cast("Callable[[bytes | memoryview], object]", getattr(out, "write", out))


class StreamOptimizedWriter:
    """A VMDK whose bytes depend only on the capacity and the grains added.

    ``out`` is a function or an object with ``write``; it must take all bytes of each call.
    Grains are added in ascending order; grains that are not added read as zeros.

    Raises InvalidInput ``disk.vmdk_capacity`` for an impossible capacity, NoSpace
    ``disk.vmdk_too_large`` when the file would exceed 2 TiB, and InternalError
    ``disk.vmdk_plan`` for grains that are out of order or do not match their sizes.
    """

    def __init__(self, out: Output, capacity: int) -> None:
        self._write = write_function(out)
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
        """Write a grain; ``compressed`` is its zlib data."""
        self._check(number, len(compressed))
        self._enter(number)
        data = pack_grain(number, compressed)
        self._numbers.append(number)
        self._sectors.append(self._sector)
        self._sizes.append(len(compressed))
        self._write(data)
        self._advance(number, len(data) // SECTOR)

    def add_run(self, numbers: U32, sizes: U32, data: bytes | bytearray | memoryview) -> None:
        """Write grains from ``data``, where each grain has its marker, zlib data and padding.

        ``numbers`` (ascending) and ``sizes`` (compressed bytes) describe the grains in ``data``;
        its markers are not checked.
        """
        if not len(numbers):
            return
        check_plan(self.capacity, numbers, sizes)
        self._check(int(numbers[0]), int(sizes[0]))
        ends = np.cumsum(padded_sectors(sizes))
        if int(ends[-1]) * SECTOR != len(data):
            raise InternalError(
                f"A run of grains has {len(data)} bytes; {int(ends[-1]) * SECTOR} are expected from its sizes.",
                code="disk.vmdk_plan",
            )
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

    def finish(self) -> tuple[U32, U32, U32]:
        """Write the last tables; return the ``(numbers, sectors, sizes)`` of a GrainIndex."""
        self._leave()
        self._write(pack_end(self.capacity, self._directory, self._sector))
        numbers, sectors, sizes = (
            np.frombuffer(column, dtype=np.uint32).copy() for column in (self._numbers, self._sectors, self._sizes)
        )
        return numbers, sectors, sizes

    def _check(self, number: int, size: int) -> None:
        if not self._next <= number < self._grains:
            raise InternalError(
                f"Grain {number} is out of order or outside the disk: a number from {self._next} to {self._grains - 1} "
                "is expected.",
                code="disk.vmdk_plan",
            )
        if not 0 < size <= MAX_COMPRESSED_GRAIN:
            raise InternalError(
                f"Grain {number} has {size} compressed bytes; 1 to {MAX_COMPRESSED_GRAIN} bytes are possible.",
                code="disk.vmdk_plan",
            )

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
