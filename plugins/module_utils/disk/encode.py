# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encode a disk as compressed grains, on all processors, in bounded memory."""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from ..common.arrays import U32, Mask
from ..common.errors import InternalError
from ..common.optional_imports import isal_zlib, np
from ..common.progress import Progress, silent
from .block_device import BlockDevice
from .grains import BLAKE3, GRAIN_SHIFT, GRAIN_SIZE, ZERO_GRAIN, GrainHash, GrainIndex, grain_total
from .overlay import CopyOnWriteDevice
from .vmdk_layout import check_capacity, check_end, pack_grain, padded_sectors
from .vmdk_reader import StreamOptimizedDisk
from .vmdk_writer import Output, StreamOptimizedWriter, write_function

#: Grains that are read and compressed together: 1 MiB, never across a grain table.
_BATCH = 16
#: A grain with more compressed bytes is compressed again.
_WORTH_COPYING = GRAIN_SIZE + 1024
_LEVEL = 1


_Row: TypeAlias = "tuple[int, bytes | memoryview | None, bytes | None]"


class _Batch:
    """Up to sixteen neighbouring grains as they are stored in a VMDK, without grains of zeros."""

    __slots__ = ("numbers", "sizes", "digests", "data")

    def __init__(self, grains: list[tuple[int, bytes, bytes]]) -> None:
        self.numbers = [number for number, _compressed, _digest in grains]
        self.sizes = [len(compressed) for _number, compressed, _digest in grains]
        self.digests = b"".join(digest for _number, _compressed, digest in grains)
        self.data = b"".join([pack_grain(number, compressed) for number, compressed, _digest in grains])


class _Source:
    """The grains of a device, read in the cheapest way that the device supports.

    ``_compressed`` is the stream-optimized disk whose grains can be copied: the device itself
    or the base of ``_overlay``, the device with changes.
    """

    def __init__(self, device: BlockDevice, algorithm: GrainHash) -> None:
        self.device = device
        self._digest = algorithm.digest
        self._overlay = device if isinstance(device, CopyOnWriteDevice) else None
        below = device if self._overlay is None else self._overlay.base
        self._compressed: StreamOptimizedDisk | None = None
        if isinstance(below, StreamOptimizedDisk) and below.grain_size == GRAIN_SIZE:
            self._compressed = below
        self._written: U32 = np.zeros(0, dtype=np.uint32) if self._overlay is None else self._overlay.dirty_grains()
        self.concurrent = self._overlay is not None or device.concurrent_reads

    def fetch(self, numbers: list[int]) -> list[_Row]:
        """Return ``(number, plain, compressed)`` of each grain; at least one of the two is None."""
        overlay, source = self._overlay, self._compressed
        if source is None:
            if overlay is None:
                return self._fetch_plain(numbers)
            return [(number, overlay.read_grain(number), None) for number in numbers]
        low, high = np.searchsorted(self._written, np.array((numbers[0], numbers[-1] + 1), dtype=np.uint32)).tolist()
        written = set(self._written[low:high].tolist())
        rows: list[_Row] = []
        for number in numbers:
            if overlay is not None and number in written:
                rows.append((number, overlay.read_grain(number), None))
            elif number < source.grain_count:
                rows.append((number, None, source.read_compressed(number)))
        return rows

    def _fetch_plain(self, numbers: list[int]) -> list[_Row]:
        start = numbers[0] << GRAIN_SHIFT
        end = min((numbers[-1] + 1) << GRAIN_SHIFT, self.device.size)
        data = self.device.pread(end - start, start)
        if len(data) % GRAIN_SIZE:
            data += bytes(-len(data) % GRAIN_SIZE)
        view = memoryview(data)
        offsets = ((number, (number << GRAIN_SHIFT) - start) for number in numbers)
        return [(number, view[offset : offset + GRAIN_SIZE], None) for number, offset in offsets]

    def compress(self, rows: list[_Row]) -> _Batch:
        """Hash every grain, compress the grains that are not compressed, and drop grains of zeros."""
        grains = []
        source = self._compressed
        for number, plain, compressed in rows:
            if compressed is not None and source is not None:
                plain, exact = source.inflate(number, compressed)
                if not exact or len(compressed) > _WORTH_COPYING:
                    compressed = None
            if plain is None or not any(plain[:32]) and bytes(plain) == ZERO_GRAIN:
                continue
            if compressed is None:
                compressed = isal_zlib.compress(plain, _LEVEL)
            grains.append((number, compressed, self._digest(plain)))
        return _Batch(grains)


def encode(
    device: BlockDevice,
    out: Output,
    *,
    algorithm: GrainHash = BLAKE3,
    keep: Mask | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> GrainIndex:
    """Write a device to ``out`` as a stream-optimized VMDK and return the index of its grains, with digests of ``algorithm``.

    ``keep`` has an element for each grain: grains for which it is false become zeros. Grains
    of zeros are not stored. Compressed grains of a stream-optimized VMDK (the device itself,
    or the unmodified part of a CopyOnWriteDevice's base) are verified and copied without
    compressing them again. ``progress`` counts plain bytes in the step "encode". The device
    must not change during the call.

    Raises:
        Corrupt: the device cannot be read.
        InvalidInput disk.vmdk_capacity: a VMDK cannot have the size of the device.
        NoSpace disk.vmdk_too_large: the VMDK would be larger than 2 TiB.
    """
    source = _Source(device, algorithm)
    writer = StreamOptimizedWriter(out, device.size)
    digests = bytearray()
    for batch in _batches(source, _stored_grains(device, keep), workers, progress):
        if batch.numbers:
            writer.add_run(np.array(batch.numbers, dtype=np.uint32), np.array(batch.sizes, dtype=np.uint32), batch.data)
            digests += batch.digests
    numbers, sectors, sizes = writer.finish()
    return GrainIndex(device.size, numbers, sectors, sizes, np.frombuffer(digests, dtype=np.uint8), algorithm)


def encode_grains(
    device: BlockDevice,
    grains: U32,
    out: Output,
    algorithm: GrainHash,
    *,
    workers: int | None = None,
    progress: Progress = silent,
) -> GrainIndex:
    """Write only ``grains`` (ascending) to ``out``: marker, zlib data and padding of each grain.

    The ``sectors`` of the returned index count from the first byte written. Grains of zeros
    are not stored. Raises the errors of ``encode``.
    """
    check_capacity(device.size)
    write = write_function(out)
    grains = np.asarray(grains, dtype=np.uint32)
    if len(grains) and (int(grains[-1]) >= grain_total(device.size) or (grains[1:] <= grains[:-1]).any()):
        raise InternalError(
            f"The grain numbers to be encoded are not ascending within {device.name}.", code="disk.encode_grains"
        )
    numbers: list[int] = []
    sizes: list[int] = []
    digests = bytearray()
    for batch in _batches(_Source(device, algorithm), grains, workers, progress):
        numbers += batch.numbers
        sizes += batch.sizes
        digests += batch.digests
        write(batch.data)
    ends = np.cumsum(padded_sectors(np.array(sizes, dtype=np.uint32)))
    check_end(int(ends[-1]) if len(ends) else 0)
    return GrainIndex(
        device.size,
        numbers,
        np.concatenate(([0], ends[:-1])) if len(ends) else ends,
        sizes,
        np.frombuffer(digests, dtype=np.uint8),
        algorithm,
    )


def _stored_grains(device: BlockDevice, keep: Mask | None) -> U32:
    """Return the numbers of the grains that may hold data and that ``keep`` keeps."""
    mask = np.zeros(grain_total(device.size), dtype=np.bool_)
    for start, end in device.data_extents():
        mask[start >> GRAIN_SHIFT : grain_total(end)] = True
    if keep is not None:
        keep = np.asarray(keep, dtype=np.bool_)
        if keep.shape != mask.shape:
            raise InternalError(
                f"The mask of grains to keep has {keep.size} entries, but {device.name} has {mask.size} grains.",
                code="disk.encode_keep",
            )
        mask &= keep
    return np.flatnonzero(mask).astype(np.uint32)


def _split(numbers: U32) -> Iterator[list[int]]:
    """Split ascending grain numbers into batches."""
    groups = numbers // _BATCH
    first = 0
    for cut in (np.flatnonzero(groups[1:] != groups[:-1]) + 1).tolist():
        yield numbers[first:cut].tolist()
        first = cut
    if len(numbers):
        yield numbers[first:].tolist()


def _batches(source: _Source, numbers: U32, workers: int | None, progress: Progress) -> Iterator[_Batch]:
    """Yield the compressed batches in order; later batches are compressed in the meantime."""
    total = len(numbers) * GRAIN_SIZE
    count = workers or min(len(os.sched_getaffinity(0)), 32)
    done = 0
    reported = time.monotonic()
    waiting: collections.deque[tuple[int, Future[_Batch]]] = collections.deque()
    with ThreadPoolExecutor(count, thread_name_prefix="encode") as pool:
        try:
            for piece in _split(numbers):
                if source.concurrent:
                    future = pool.submit(_work, source, piece)
                else:
                    future = pool.submit(source.compress, source.fetch(piece))
                waiting.append((len(piece), future))
                if len(waiting) < 3 * count:
                    continue
                size, future = waiting.popleft()
                yield future.result()
                done += size * GRAIN_SIZE
                if time.monotonic() - reported > 0.25:
                    reported = time.monotonic()
                    progress("encode", done, total)
            while waiting:
                yield waiting.popleft()[1].result()
            progress("encode", total, total)
        finally:
            for _size, future in waiting:
                future.cancel()


def _work(source: _Source, piece: list[int]) -> _Batch:
    return source.compress(source.fetch(piece))
