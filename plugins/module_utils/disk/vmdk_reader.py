# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading stream-optimized VMDKs, whoever wrote them, without believing a number in them.

The tables are read once, in bounded pieces; afterwards each access costs one read of the
file. Threads may share a disk for reading.
"""

from __future__ import annotations

import io
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO

from ..common.optional_imports import isal_zlib, np
from .block_device import BlockDevice
from .vmdk_descriptor import parse_descriptor
from .vmdk_layout import (
    DIRECTORY_AT_END,
    FLAG_ZEROED_GRAIN,
    MARKER_FOOTER,
    MARKER_SIZE,
    MAX_DESCRIPTOR_SECTORS,
    MAX_GRAINS,
    SECTOR,
    SparseHeader,
    damaged,
    unpack_header,
    unpack_marker,
)

_MARKER = struct.Struct("<QI")
#: Grain tables that stand next to each other are read together up to this many bytes.
_TABLE_BATCH = 1 << 20


class _File:
    """Positional reads of a path or an open binary file, shared by threads."""

    def __init__(self, source: str | os.PathLike | BinaryIO) -> None:
        self._stream: BinaryIO | None = None
        self._lock = threading.Lock()
        self._descriptor = -1
        if isinstance(source, (str, os.PathLike)):
            self.name = os.fspath(source)
            self._descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        else:
            self.name = str(getattr(source, "name", "in memory"))
            if isinstance(source, (io.FileIO, io.BufferedReader, io.BufferedRandom)):
                source.flush()
                self._descriptor = os.dup(source.fileno())
            else:
                self._stream = source
        if self._stream is not None:
            self.size = self._stream.seek(0, os.SEEK_END)
        else:
            self.size = os.lseek(self._descriptor, 0, os.SEEK_END)

    def pread(self, count: int, offset: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``; fewer only where the file ends."""
        if self._stream is not None:
            with self._lock:
                self._stream.seek(offset)
                return self._stream.read(count)
        data = os.pread(self._descriptor, count, offset)
        while 0 < len(data) < count:
            more = os.pread(self._descriptor, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class StreamOptimizedDisk(BlockDevice):
    """A stream-optimized VMDK as a read-only disk.

    ``grain_size`` bytes a grain (65536 but in foreign files), ``grain_count`` grains of
    which ``numbers`` (u32, ascending) are present, with their markers at ``sectors`` (u32)
    of the file. ``cache_bytes`` bounds the plain grains kept for ``pread``.

    Raises Corrupt for a file that is cut off or lies, Unsupported for another kind of VMDK
    or one that needs a parent.
    """

    concurrent_reads = True

    def __init__(self, source: str | os.PathLike | BinaryIO, *, cache_bytes: int = 8 << 20) -> None:
        self._file = _File(source)
        self.name = self._file.name
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._cache_limit = max(2, cache_bytes // self.grain_size)
        self._cache_lock = threading.Lock()

    @property
    def capacity(self) -> int:
        """The disk's size in bytes."""
        return self.size

    @property
    def file_size(self) -> int:
        """The VMDK file's size in bytes."""
        return self._file.size

    # -- the tables ---------------------------------------------------------------

    def _open(self) -> None:
        self._file_sectors = self._file.size // SECTOR
        header = unpack_header(self._file.pread(SECTOR, 0), self.name)
        self._check_descriptor(header)
        if header.directory_sector == DIRECTORY_AT_END:
            header = self._footer(header)
        self.header = header
        self.size = header.capacity * SECTOR
        self.grain_size = header.grain_sectors * SECTOR
        self.grain_count = -(-header.capacity // header.grain_sectors)
        self._max_compressed = 2 * self.grain_size
        self._load_tables(header)

    def _footer(self, header: SparseHeader) -> SparseHeader:
        if self._file_sectors < 4 or self._file.size % SECTOR:
            raise damaged(self.name, "it ends before its footer", "disk.vmdk_truncated")
        tail = self._file.pread(3 * SECTOR, self._file.size - 3 * SECTOR)
        footer = unpack_header(tail[SECTOR : 2 * SECTOR], self.name, "footer")
        if unpack_marker(tail[:SECTOR])[2] != MARKER_FOOTER or unpack_marker(tail[2 * SECTOR :]) != (0, 0, 0):
            raise damaged(
                self.name, "its footer does not stand between the markers that belong there", "disk.vmdk_truncated"
            )
        if (footer.capacity, footer.grain_sectors, footer.table_entries) != (
            header.capacity,
            header.grain_sectors,
            header.table_entries,
        ):
            raise damaged(self.name, "its header and its footer contradict each other")
        if footer.directory_sector == DIRECTORY_AT_END:
            raise damaged(self.name, "its footer does not say where the grain directory is")
        return footer

    def _check_descriptor(self, header: SparseHeader) -> None:
        if not header.descriptor_sector:
            return
        first, count = header.descriptor_sector, header.descriptor_sectors
        if count > MAX_DESCRIPTOR_SECTORS or first > self._file_sectors or first + count > self._file_sectors:
            raise damaged(self.name, "its descriptor does not lie within the file")
        descriptor = parse_descriptor(self._file.pread(count * SECTOR, first * SECTOR), self.name)
        if descriptor.create_type and descriptor.create_type.lower() != "streamoptimized":
            raise damaged(
                self.name,
                f"its descriptor calls it {descriptor.create_type[:40]!r} but its header says stream-optimized",
            )
        if len(descriptor.extents) > 1 or descriptor.extents and descriptor.extents[0].size != header.capacity * SECTOR:
            raise damaged(self.name, "its descriptor and its header contradict each other about the disk's size")

    def _load_tables(self, header: SparseHeader) -> None:
        count, entries = header.table_count, header.table_entries
        sectors = -(-entries * 4 // SECTOR)
        place = header.directory_sector
        if not 0 < place <= self._file_sectors - (-(-count * 4 // SECTOR)):
            raise damaged(self.name, "its grain directory does not lie within the file", "disk.vmdk_truncated")
        data = self._file.pread(count * 4, place * SECTOR)
        if len(data) != count * 4:
            raise damaged(self.name, "it ends inside its grain directory", "disk.vmdk_truncated")
        directory = np.frombuffer(data, dtype="<u4")
        tables = np.flatnonzero(directory)
        places = directory[tables].astype(np.int64)
        order = np.sort(places)
        if len(order) and (int(order[-1]) + sectors > self._file_sectors or (np.diff(order) < sectors).any()):
            raise damaged(self.name, "a grain table overlaps another or lies outside the file", "disk.vmdk_truncated")
        numbers, grains = [], []
        found = 0
        per_read = max(1, _TABLE_BATCH // (sectors * SECTOR))
        cuts = np.flatnonzero(np.diff(places) != sectors) + 1
        for run_first, run_last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(places)]):
            for first in range(run_first, run_last, per_read):
                last = min(first + per_read, run_last)
                length = (last - first) * sectors * SECTOR
                data = self._file.pread(length, int(places[first]) * SECTOR)
                if len(data) != length:
                    raise damaged(self.name, "it ends inside a grain table", "disk.vmdk_truncated")
                table = np.frombuffer(data, dtype="<u4").reshape(last - first, -1)[:, :entries]
                row, column = np.nonzero(table)
                number = tables[first:last][row].astype(np.int64) * entries + column
                inside = number < self.grain_count
                numbers.append(number[inside].astype(np.uint32))
                grains.append(table[row, column][inside])
                found += len(numbers[-1])
                if found > min(self._file_sectors, MAX_GRAINS):
                    raise damaged(
                        self.name, f"its grain tables name {found} grains or more, which is more than the file can hold"
                    )
        self.numbers = np.concatenate(numbers) if numbers else np.zeros(0, dtype=np.uint32)
        self.sectors = np.concatenate(grains) if grains else np.zeros(0, dtype=np.uint32)
        if header.flags & FLAG_ZEROED_GRAIN and len(self.sectors):
            stored = self.sectors != 1
            self.numbers, self.sectors = self.numbers[stored], self.sectors[stored]
        self._spans = self._bound_grains()

    def _bound_grains(self):
        """Return how many sectors (u16) each grain can take at most: up to the next grain or the end."""
        sectors = self.sectors
        limit = -(-(self._max_compressed + MARKER_SIZE) // SECTOR)
        file_end = -(-self._file.size // SECTOR)
        # Programs that stream write grains in order; only others pay for sorting.
        order = None if (sectors[1:] > sectors[:-1]).all() else np.argsort(sectors)
        ordered = sectors if order is None else sectors[order]
        gaps = np.empty(len(ordered), dtype=np.uint32)
        gaps[:-1] = ordered[1:] - ordered[:-1]
        if len(ordered):
            if int(ordered[-1]) >= file_end or not gaps[:-1].all():
                raise damaged(
                    self.name, "a grain lies outside the file or two grains share a place", "disk.vmdk_truncated"
                )
            gaps[-1] = min(file_end - int(ordered[-1]), limit)
        spans = np.minimum(gaps, limit).astype(np.uint16)
        if order is not None:
            spans[order] = spans.copy()
        return spans

    # -- grains -------------------------------------------------------------------

    def _row(self, number: int) -> int:
        row = int(np.searchsorted(self.numbers, np.uint32(number)))
        return row if row < len(self.numbers) and self.numbers[row] == number else -1

    def grain_present(self, number: int) -> bool:
        """Tell whether the file holds a grain; absent ones read as zeros."""
        return 0 <= number < self.grain_count and self._row(number) >= 0

    def read_compressed(self, number: int) -> bytes | None:
        """Return a grain's zlib data as it stands in the file, None when absent; Corrupt when its marker lies."""
        if not 0 <= number < self.grain_count:
            raise damaged(self.name, f"grain {number} is outside the disk")
        row = self._row(number)
        if row < 0:
            return None
        data = self._file.pread(int(self._spans[row]) * SECTOR, int(self.sectors[row]) * SECTOR)
        if len(data) < MARKER_SIZE:
            raise damaged(self.name, f"it ends inside grain {number}", "disk.vmdk_truncated")
        address, size = _MARKER.unpack_from(data)
        if address != number * self.header.grain_sectors or not 0 < size <= self._max_compressed:
            raise damaged(self.name, f"the marker of grain {number} is that of something else")
        if MARKER_SIZE + size > len(data):
            raise damaged(
                self.name, f"it ends inside grain {number}, or the grain overlaps the next one", "disk.vmdk_truncated"
            )
        return data[MARKER_SIZE : MARKER_SIZE + size]

    def inflate(self, number: int, compressed: bytes) -> tuple[bytes, bool]:
        """Return the ``grain_size`` plain bytes of a grain, and whether ``compressed`` is exactly them.

        Data that is not exactly a grain (bytes behind the end, or a last grain cut at the
        disk's end) must not be copied verbatim. Raises Corrupt when it is no grain at all.
        """
        size = self.grain_size
        decoder = isal_zlib.decompressobj()
        try:
            plain = decoder.decompress(compressed, size + 1)
        except isal_zlib.error as error:
            raise damaged(self.name, f"grain {number} does not inflate") from error
        used = min(size, self.size - number * size)
        if decoder.eof and len(plain) in (size, used):
            if used == size:
                return plain, not decoder.unused_data
            # What a last grain holds beyond the disk's end must not come to light when the disk grows.
            return plain[:used] + bytes(size - used), False
        raise damaged(self.name, f"grain {number} does not inflate to {size} bytes")

    def read_grain(self, number: int) -> bytes | None:
        """Return the plain ``grain_size`` bytes of a grain, None when absent. Not kept in the cache."""
        compressed = self.read_compressed(number)
        return None if compressed is None else self.inflate(number, compressed)[0]

    # -- the device ---------------------------------------------------------------

    def pread(self, count: int, offset: int) -> bytes:
        self.check_range(count, offset)
        pieces = []
        while count:
            number, start = divmod(offset, self.grain_size)
            length = min(count, self.grain_size - start)
            pieces.append(self._cached(number)[start : start + length])
            count -= length
            offset += length
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _cached(self, number: int) -> bytes:
        with self._cache_lock:
            plain = self._cache.get(number)
            if plain is not None:
                self._cache.move_to_end(number)
                return plain
        plain = self.read_grain(number)
        if plain is None:
            return bytes(self.grain_size)
        with self._cache_lock:
            self._cache[number] = plain
            while len(self._cache) > self._cache_limit:
                self._cache.popitem(last=False)
        return plain

    def data_extents(self) -> Iterator[tuple[int, int]]:
        numbers = self.numbers.astype(np.int64)
        cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
        for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(numbers)]):
            if last > first:
                yield (
                    int(numbers[first]) * self.grain_size,
                    min((int(numbers[last - 1]) + 1) * self.grain_size, self.size),
                )

    def close(self) -> None:
        self._file.close()
