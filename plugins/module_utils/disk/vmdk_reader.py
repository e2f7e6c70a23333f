# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read stream-optimized VMDKs of any program; every number in them is checked.

The tables are read once, in pieces of bounded size; afterwards each access costs one read
of the file. Threads may share a disk for reading.
"""

from __future__ import annotations

import io
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO, cast

from ..common.arrays import I64, U16, U32
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
#: Neighbouring grain tables are read together, up to this number of bytes.
_TABLE_BATCH = 1 << 20


class _File:
    """A file that threads share for reading at offsets, given as a path or an open binary file."""

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

    @property
    def has_descriptor(self) -> bool:
        """Whether the file is read by its descriptor, without a position that processes would share."""
        return self._descriptor >= 0

    def pread(self, count: int, offset: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``; fewer only at the end of the file."""
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

    The disk has ``grain_count`` grains of ``grain_size`` bytes (65536 except in files of other
    programs). The grains ``numbers`` (ascending) are stored, with their markers at
    ``sectors`` of the file. ``cache_bytes`` limits the plain grains that are kept for ``pread``.

    Raises:
        Corrupt disk.vmdk_truncated, disk.vmdk_corrupt: the file is truncated or damaged.
        Unsupported disk.vmdk_version, disk.vmdk_not_stream_optimized: the file is another kind of VMDK.
        Unsupported disk.vmdk_has_parent: the disk needs a parent.
    """

    concurrent_reads = True

    def __init__(self, source: str | os.PathLike | BinaryIO, *, cache_bytes: int = 8 << 20) -> None:
        self._file = _File(source)
        self.name = self._file.name
        self.forked_reads = self._file.has_descriptor
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._cache_limit = max(2, cache_bytes // self.grain_size)
        self._cache_lock = threading.Lock()

    @property
    def file_size(self) -> int:
        """The size of the VMDK file in bytes."""
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
            raise damaged(self.name, "the markers before and after its footer are missing", "disk.vmdk_truncated")
        if (footer.capacity, footer.grain_sectors, footer.table_entries) != (
            header.capacity,
            header.grain_sectors,
            header.table_entries,
        ):
            raise damaged(self.name, "its header and its footer differ")
        if footer.directory_sector == DIRECTORY_AT_END:
            raise damaged(self.name, "its footer has no position of the grain directory")
        return footer

    def _check_descriptor(self, header: SparseHeader) -> None:
        if not header.descriptor_sector:
            return
        first, count = header.descriptor_sector, header.descriptor_sectors
        if count > MAX_DESCRIPTOR_SECTORS or first > self._file_sectors or first + count > self._file_sectors:
            raise damaged(self.name, "its descriptor is not within the file")
        descriptor = parse_descriptor(self._file.pread(count * SECTOR, first * SECTOR), self.name)
        if descriptor.create_type and descriptor.create_type.lower() != "streamoptimized":
            raise damaged(
                self.name,
                f"its descriptor has the type {descriptor.create_type[:40]!r}, but its header is stream-optimized",
            )
        if len(descriptor.extents) > 1 or descriptor.extents and descriptor.extents[0].size != header.capacity * SECTOR:
            raise damaged(self.name, "its descriptor and its header give different sizes of the disk")

    def _load_directory(self, header: SparseHeader) -> U32:
        """Return the grain directory: the sector of each grain table, 0 for a table that is not stored."""
        count, start = header.table_count, header.directory_sector
        if not 0 < start <= self._file_sectors - (-(-count * 4 // SECTOR)):
            raise damaged(self.name, "its grain directory is not within the file", "disk.vmdk_truncated")
        data = self._file.pread(count * 4, start * SECTOR)
        if len(data) != count * 4:
            raise damaged(self.name, "it ends inside its grain directory", "disk.vmdk_truncated")
        return np.frombuffer(data, dtype="<u4")

    def _load_tables(self, header: SparseHeader) -> None:
        entries = header.table_entries
        sectors = -(-entries * 4 // SECTOR)
        directory = self._load_directory(header)
        tables = np.flatnonzero(directory)
        starts: I64 = directory[tables].astype(np.int64)
        order = np.sort(starts)
        if len(order) and (int(order[-1]) + sectors > self._file_sectors or (np.diff(order) < sectors).any()):
            raise damaged(
                self.name, "a grain table overlaps another table or is not within the file", "disk.vmdk_truncated"
            )
        numbers: list[U32] = []
        grains: list[U32] = []
        count = 0
        per_read = max(1, _TABLE_BATCH // (sectors * SECTOR))
        cuts = np.flatnonzero(np.diff(starts) != sectors) + 1
        for run_first, run_last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(starts)]):
            for first in range(run_first, run_last, per_read):
                last = min(first + per_read, run_last)
                length = (last - first) * sectors * SECTOR
                data = self._file.pread(length, int(starts[first]) * SECTOR)
                if len(data) != length:
                    raise damaged(self.name, "it ends inside a grain table", "disk.vmdk_truncated")
                table = np.frombuffer(data, dtype="<u4").reshape(last - first, -1)[:, :entries]
                row, column = np.nonzero(table)
                number = tables[first:last][row].astype(np.int64) * entries + column
                inside = number < self.grain_count
                numbers.append(number[inside].astype(np.uint32))
                grains.append(table[row, column][inside])
                count += len(numbers[-1])
                if count > min(self._file_sectors, MAX_GRAINS):
                    raise damaged(self.name, f"its grain tables list {count} grains or more, too many for the file")
        self.numbers: U32 = np.concatenate(numbers) if numbers else np.zeros(0, dtype=np.uint32)
        self.sectors: U32 = np.concatenate(grains) if grains else np.zeros(0, dtype=np.uint32)
        if header.flags & FLAG_ZEROED_GRAIN and len(self.sectors):
            stored = self.sectors != 1
            self.numbers, self.sectors = self.numbers[stored], self.sectors[stored]
        self._spans = self._bound_grains()

    def _bound_grains(self) -> U16:
        """Return the largest number of sectors that each grain can take: up to the next grain or the end of the file."""
        sectors = self.sectors
        limit = -(-(self._max_compressed + MARKER_SIZE) // SECTOR)
        file_end = -(-self._file.size // SECTOR)
        # Programs that stream a VMDK write grains in order; sorting is needed only for other files.
        order = None if (sectors[1:] > sectors[:-1]).all() else np.argsort(sectors)
        ordered = sectors if order is None else sectors[order]
        gaps = np.empty(len(ordered), dtype=np.uint32)
        gaps[:-1] = ordered[1:] - ordered[:-1]
        if len(ordered):
            if int(ordered[-1]) >= file_end or not gaps[:-1].all():
                raise damaged(
                    self.name, "a grain is not within the file, or two grains have one position", "disk.vmdk_truncated"
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

    def read_compressed(self, number: int) -> bytes | None:
        """Return the zlib data of a grain, or None if it is not stored; raise Corrupt when its marker is wrong."""
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
            raise damaged(self.name, f"the marker of grain {number} is wrong")
        if MARKER_SIZE + size > len(data):
            raise damaged(
                self.name, f"it ends inside grain {number}, or the grain overlaps the next one", "disk.vmdk_truncated"
            )
        return data[MARKER_SIZE : MARKER_SIZE + size]

    def inflate(self, number: int, compressed: bytes) -> tuple[bytes, bool]:
        """Return the ``grain_size`` plain bytes of a grain, and whether ``compressed`` contains exactly these bytes.

        Other data (bytes after the end of the zlib data, or a last grain that ends at the end
        of the disk) must not be copied without change. Raises Corrupt when the data is invalid.
        """
        size = self.grain_size
        decoder = isal_zlib.decompressobj()
        try:
            plain = decoder.decompress(compressed, size + 1)
        except cast("type[Exception]", isal_zlib.error) as error:
            raise damaged(self.name, f"grain {number} cannot be decompressed") from error
        used = min(size, self.size - number * size)
        if decoder.eof and len(plain) in (size, used):
            if used == size:
                return plain, not decoder.unused_data
            # Bytes of the last grain beyond the end of the disk must not appear when the disk grows.
            return plain[:used] + bytes(size - used), False
        raise damaged(self.name, f"grain {number} does not decompress to {size} bytes")

    def read_grain(self, number: int) -> bytes | None:
        """Return the ``grain_size`` plain bytes of a grain without keeping it in the cache; None if it is not stored."""
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
