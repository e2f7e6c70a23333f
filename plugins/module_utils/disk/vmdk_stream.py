# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streaming a VMDK whose grains stand, compressed already, in other files.

Nothing is compressed, inflated or hashed here: long runs of neighbouring grains are read
as they are, only the tables are new, and the length is known before the first byte.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

from ..common.errors import Corrupt, InvalidInput
from ..common.optional_imports import np
from .grains import GrainIndex
from .vmdk_layout import (
    GRAIN_SECTORS,
    SECTOR,
    TABLE_ENTRIES,
    directory_count,
    pack_end,
    pack_front,
    pack_table,
    padded_sectors,
    place_grains,
    stream_length,
)

#: Bytes handed out at a time. Small enough to stay in the processor's cache between read and send.
CHUNK = 1 << 20


class GrainSource:
    """A file that holds grains as a VMDK does: at a whole sector the 12-byte marker, zlib data, padding to a sector."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.name = os.fspath(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill ``buffer`` from a byte offset of the file; Corrupt when the file ends before."""
        while buffer:
            done = os.preadv(self._descriptor, [buffer], offset)
            if not done:
                raise _damaged(self.name, "it is cut off")
            buffer = buffer[done:]
            offset += done

    def close(self) -> None:
        """Close the file; twice is allowed."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> GrainSource:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


@dataclasses.dataclass(slots=True)
class StreamPlan:
    """Which grains a VMDK has and where each stands now; arrays of shape (n,), ascending by grain number.

    ``sources`` (u8) is an index into the files given to ``stream``, ``positions`` (u64) the
    byte offset of the grain's marker in that file, ``sizes`` (u32) its compressed bytes.
    """

    capacity: int
    numbers: object
    sources: object
    positions: object
    sizes: object

    @property
    def length(self) -> int:
        """Bytes of the whole VMDK."""
        return stream_length(self.capacity, self.numbers, self.sizes)

    def stream(self, files: Sequence[GrainSource]) -> Iterator[memoryview]:
        """Return the VMDK in chunks; see ``stream_vmdk``."""
        return stream_vmdk(self.capacity, self.numbers, self.sources, self.positions, self.sizes, files)


def overlay_plan(capacity: int, base: GrainIndex, dirty, changes: GrainIndex) -> tuple[StreamPlan, GrainIndex]:
    """Plan a disk that is ``base`` except in the ``dirty`` grains, which are as ``changes`` has them or else zeros.

    Source 0 is the base's file, source 1 that of the changes. ``capacity`` may exceed the
    base's. Returns the plan and the index of the VMDK that streaming it makes.
    """
    dirty = np.asarray(dirty, dtype=np.uint32)
    unchanged = ~np.isin(base.numbers, dirty)
    if not np.isin(changes.numbers, dirty).all():
        raise InvalidInput("A changed grain is not among the dirty ones.", code="disk.vmdk_plan")
    numbers = np.concatenate((base.numbers[unchanged], changes.numbers))
    order = np.argsort(numbers, kind="stable")
    kept = int(np.count_nonzero(unchanged))
    sources = np.zeros(len(numbers), dtype=np.uint8)
    sources[kept:] = 1
    sectors = np.concatenate((base.sectors[unchanged], changes.sectors))[order]
    sizes = np.concatenate((base.sizes[unchanged], changes.sizes))[order]
    digests = np.concatenate((base.digests[unchanged], changes.digests))[order]
    numbers = numbers[order]
    plan = StreamPlan(capacity, numbers, sources[order], sectors.astype(np.uint64) * SECTOR, sizes)
    return plan, GrainIndex(capacity, numbers, place_grains(capacity, numbers, sizes)[0], sizes, digests)


def stream_vmdk(
    capacity: int, numbers, sources, positions, sizes, files: Sequence[GrainSource]
) -> Iterator[memoryview]:
    """Return an iterator over the bytes of a stream-optimized VMDK, ``stream_length(capacity, numbers, sizes)`` in all.

    The arrays are those of ``StreamPlan``. A chunk (1 MiB at most) is valid only until the
    next one is asked for. The bytes are those that StreamOptimizedWriter makes of the same
    grains. Raises InvalidInput for an impossible plan at once, and Corrupt while streaming
    when a file is cut off or has something else where a grain should stand.
    """
    numbers = np.asarray(numbers, dtype=np.uint32)
    sources, positions = np.asarray(sources, dtype=np.uint8), np.asarray(positions, dtype=np.int64)
    sizes = np.asarray(sizes, dtype=np.uint32)
    sectors, end = place_grains(capacity, numbers, sizes)
    if not len(numbers) == len(sources) == len(positions):
        raise InvalidInput("A grain plan has as many sources and positions as grain numbers.", code="disk.vmdk_plan")
    if len(numbers) and (int(sources.max()) >= len(files) or int(positions.min()) < 0 or (positions % SECTOR).any()):
        raise InvalidInput(
            "A grain plan names a file that is not there, or a grain that is not at a whole sector.",
            code="disk.vmdk_plan",
        )
    return _Stream(capacity, numbers, sources, positions, sizes, sectors, end, files).chunks()


class _Stream:
    def __init__(
        self, capacity: int, numbers, sources, positions, sizes, sectors, end: int, files: Sequence[GrainSource]
    ) -> None:
        self.capacity, self.numbers, self.sources, self.positions, self.sizes = (
            capacity,
            numbers,
            sources,
            positions,
            sizes,
        )
        self.sectors, self.end, self.files = sectors, end, files
        self._buffer = np.empty(CHUNK, dtype=np.uint8)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._place = 0
        self._first = 0

    def chunks(self) -> Iterator[memoryview]:
        front = pack_front(self.capacity)
        yield memoryview(front)
        self._place = len(front)
        directory = np.zeros(directory_count(self.capacity), dtype=np.uint32)
        lengths = padded_sectors(self.sizes) * SECTOR
        tables = self.numbers // TABLE_ENTRIES
        follows = (
            (self.positions[1:] == self.positions[:-1] + lengths[:-1])
            & (self.sources[1:] == self.sources[:-1])
            & (tables[1:] == tables[:-1])
        )
        cuts = (np.flatnonzero(~follows) + 1).tolist()
        bounds = [0, *cuts, len(self.numbers)] if len(self.numbers) else []
        table_first = 0
        for first, last in zip(bounds, bounds[1:]):
            yield from self._copy(first, last, lengths)
            if last == len(self.numbers) or tables[last] != tables[last - 1]:
                entries = np.zeros(TABLE_ENTRIES, dtype=np.uint32)
                entries[self.numbers[table_first:last] % TABLE_ENTRIES] = self.sectors[table_first:last]
                data = pack_table(entries)
                if self._filled + len(data) > CHUNK:
                    yield self._flush(last)
                directory[tables[last - 1]] = (self._place + self._filled) // SECTOR + 1
                self._view[self._filled : self._filled + len(data)] = data
                self._filled += len(data)
                table_first = last
        if self._filled:
            yield self._flush(len(self.numbers))
        yield memoryview(pack_end(self.capacity, directory, self.end))

    def _copy(self, first: int, last: int, lengths) -> Iterator[memoryview]:
        """Copy a run of grains that neighbour each other in one file, in as few reads as the buffer allows."""
        file = self.files[self.sources[first]]
        run_end = int(self.positions[last - 1]) + int(lengths[last - 1])
        while first < last:
            start = int(self.positions[first])
            room = CHUNK - self._filled
            upto = last
            if run_end - start > room:
                # The grains whose end is within the room: positions ascend in a run.
                upto = (
                    first + int(np.searchsorted(self.positions[first:last], np.int64(start + room), side="right")) - 1
                )
            if upto == first:
                yield self._flush(first)
                continue
            length = (int(self.positions[upto]) if upto < last else run_end) - start
            file.read_into(self._view[self._filled : self._filled + length], start)
            self._filled += length
            first = upto

    def _flush(self, upto: int) -> memoryview:
        """Check the markers of the grains in the buffer, those before row ``upto``, and hand the buffer out."""
        rows = slice(self._first, upto)
        places = self.sectors[rows] * SECTOR - self._place
        addresses = self._buffer.view("<u8")[places // 8]
        sizes = self._buffer.view("<u4")[places // 4 + 2]
        wrong = np.flatnonzero(
            (addresses != self.numbers[rows].astype(np.uint64) * GRAIN_SECTORS) | (sizes != self.sizes[rows])
        )
        if len(wrong):
            row = self._first + int(wrong[0])
            raise _damaged(
                self.files[self.sources[row]].name,
                f"grain {int(self.numbers[row])} does not stand where the index says",
            )
        chunk = self._view[: self._filled]
        self._place += self._filled
        self._filled = 0
        self._first = upto
        return chunk


def _damaged(name: str, why: str) -> Corrupt:
    return Corrupt(
        f"The grain file {name} is damaged: {why}.",
        code="disk.vmdk_stream",
        hint="Verify the repository and import the layer again.",
    )
