# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stream a VMDK whose compressed grains are stored in other files.

Grains are not compressed, decompressed or hashed: long runs of neighbouring grains are
copied, only the tables are new, and the length is known before the first byte.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

from ..common.arrays import I64, U8, U32, U64
from ..common.errors import Corrupt, InternalError
from ..common.optional_imports import np
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

#: Bytes of the largest chunk. Small enough to stay in the processor's cache between read and send.
CHUNK = 1 << 20


class GrainSource:
    """A file with grains in the form of a VMDK: at a multiple of 512 bytes the 12-byte marker, zlib data, padding to a sector."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.name = os.fspath(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill ``buffer`` from a byte offset of the file; raise Corrupt ``disk.vmdk_stream`` when the file is too short."""
        while buffer:
            done = os.preadv(self._descriptor, [buffer], offset)
            if not done:
                raise _damaged(self.name, f"it ends at byte {offset}")
            buffer = buffer[done:]
            offset += done

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> GrainSource:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


@dataclasses.dataclass(slots=True)
class StreamPlan:
    """The grains of a VMDK and their positions in files; arrays of shape (n,), ascending by grain number.

    ``sources`` are indexes into the files that ``stream`` takes, ``positions`` the byte offsets
    of the grains' markers in these files, ``sizes`` their compressed bytes. ``capacity`` is the
    size of the disk in bytes.
    """

    capacity: int
    numbers: U32
    sources: U8
    positions: U64 | I64
    sizes: U32

    @property
    def length(self) -> int:
        """Bytes of the whole VMDK."""
        return stream_length(self.capacity, self.numbers, self.sizes)

    def stream(self, files: Sequence[GrainSource]) -> Iterator[memoryview]:
        """Return an iterator over the VMDK in chunks of at most 1 MiB, ``length`` bytes in all.

        A chunk is valid only until the next chunk is requested. The bytes are those that
        StreamOptimizedWriter writes for the same grains.

        Raises:
            InternalError disk.vmdk_plan: the plan is impossible (at once).
            NoSpace disk.vmdk_too_large: the VMDK would be larger than 2 TiB (at once).
            Corrupt disk.vmdk_stream: a file is truncated or has other data at a grain's position (while streaming).
        """
        positions = self.positions.astype(np.int64)
        sectors, end = place_grains(self.capacity, self.numbers, self.sizes)
        if not len(self.numbers) == len(self.sources) == len(positions):
            raise InternalError(
                f"A grain plan has {len(self.numbers)} grain numbers, {len(self.sources)} sources and {len(positions)} positions.",
                code="disk.vmdk_plan",
            )
        if len(positions) and (int(np.max(self.sources)) >= len(files) or int(np.min(positions)) < 0):
            raise InternalError(
                f"A grain plan refers to file {int(np.max(self.sources))} of {len(files)}, or to byte {int(np.min(positions))}.",
                code="disk.vmdk_plan",
            )
        if (positions % SECTOR).any():
            raise InternalError("A grain plan has a position that is not a multiple of 512.", code="disk.vmdk_plan")
        return _Stream(self, positions, sectors, end, files).chunks()


class _Stream:
    """The state of a stream: ``_offset`` is the offset of the buffer in the VMDK, ``_first`` the first row whose grain is in the buffer."""

    def __init__(self, plan: StreamPlan, positions: I64, sectors: I64, end: int, files: Sequence[GrainSource]) -> None:
        self.capacity, self.numbers, self.sources, self.sizes = plan.capacity, plan.numbers, plan.sources, plan.sizes
        self.positions, self.sectors, self.end, self.files = positions, sectors, end, files
        self._buffer = np.empty(CHUNK, dtype=np.uint8)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._offset = 0
        self._first = 0

    def chunks(self) -> Iterator[memoryview]:
        front = pack_front(self.capacity)
        yield memoryview(front)
        self._offset = len(front)
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
                directory[tables[last - 1]] = (self._offset + self._filled) // SECTOR + 1
                self._view[self._filled : self._filled + len(data)] = data
                self._filled += len(data)
                table_first = last
        if self._filled:
            yield self._flush(len(self.numbers))
        yield memoryview(pack_end(self.capacity, directory, self.end))

    def _copy(self, first: int, last: int, lengths: I64) -> Iterator[memoryview]:
        """Copy grains that are next to each other in a file, in as few reads as the buffer allows."""
        file = self.files[self.sources[first]]
        run_end = int(self.positions[last - 1]) + int(lengths[last - 1])
        while first < last:
            start = int(self.positions[first])
            space = CHUNK - self._filled
            upto = last
            if run_end - start > space:
                # The grains that fit: positions are ascending in a run.
                upto = (
                    first + int(np.searchsorted(self.positions[first:last], np.int64(start + space), side="right")) - 1
                )
            if upto == first:
                yield self._flush(first)
                continue
            length = (int(self.positions[upto]) if upto < last else run_end) - start
            file.read_into(self._view[self._filled : self._filled + length], start)
            self._filled += length
            first = upto

    def _flush(self, upto: int) -> memoryview:
        """Check the markers of the grains in the buffer, up to row ``upto``, and return the buffer."""
        rows = slice(self._first, upto)
        offsets = self.sectors[rows] * SECTOR - self._offset
        addresses = self._buffer.view("<u8")[offsets // 8]
        sizes = self._buffer.view("<u4")[offsets // 4 + 2]
        wrong = np.flatnonzero(
            (addresses != self.numbers[rows].astype(np.uint64) * GRAIN_SECTORS) | (sizes != self.sizes[rows])
        )
        if len(wrong):
            row = self._first + int(wrong[0])
            raise _damaged(
                self.files[self.sources[row]].name,
                f"grain {int(self.numbers[row])} is not at byte {int(self.positions[row])}, where the index expects it",
            )
        chunk = self._view[: self._filled]
        self._offset += self._filled
        self._filled = 0
        self._first = upto
        return chunk


def _damaged(name: str, cause: str) -> Corrupt:
    return Corrupt(
        f"The grain file {name} is damaged: {cause}.",
        code="disk.vmdk_stream",
        hint="Verify the repository, and import the layer again if a blob is damaged.",
    )
