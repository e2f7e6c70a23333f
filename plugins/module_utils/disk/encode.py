# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turning a disk into compressed grains, on all processors, in bounded memory."""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from ..common.errors import InvalidInput
from ..common.optional_imports import isal_zlib, np
from ..common.progress import Progress, silent
from .block_device import BlockDevice
from .grains import GRAIN_SHIFT, GRAIN_SIZE, ZERO_GRAIN, GrainIndex, grain_digest, grain_total
from .overlay import CopyOnWriteDevice
from .vmdk_layout import check_capacity, check_end, pack_grain, padded_sectors
from .vmdk_reader import StreamOptimizedDisk
from .vmdk_writer import StreamOptimizedWriter

#: Grains read and compressed as one piece of work: 1 MiB, never across a grain table.
_BATCH = 16
#: A grain that another program compressed badly is compressed again.
_WORTH_COPYING = GRAIN_SIZE + 1024
_LEVEL = 1


class _Batch:
    """What became of up to sixteen neighbouring grains: those that are not zeros, as they stand in a VMDK."""

    __slots__ = ("numbers", "sizes", "digests", "data")

    def __init__(self, grains: list[tuple[int, bytes, bytes]]) -> None:
        self.numbers = [number for number, _compressed, _digest in grains]
        self.sizes = [len(compressed) for _number, compressed, _digest in grains]
        self.digests = b"".join(digest for _number, _compressed, digest in grains)
        self.data = b"".join([pack_grain(number, compressed) for number, compressed, _digest in grains])


class _Source:
    """Grains of a device, in the cheapest way that the device allows."""

    def __init__(self, device: BlockDevice, reuse: StreamOptimizedDisk | None) -> None:
        self.device = device
        below = device.base if isinstance(device, CopyOnWriteDevice) else device
        if reuse is not None and reuse is not below:
            raise InvalidInput(f"{reuse.name} is not the disk below {device.name}.", code="disk.encode_reuse")
        whole = isinstance(below, StreamOptimizedDisk) and below.grain_size == GRAIN_SIZE
        self._compressed = below if whole else None
        self._by_grain = isinstance(device, CopyOnWriteDevice)
        self._written = np.zeros(0, dtype=np.uint32)
        if self._by_grain:
            self._written = device.dirty_grains()
        self.concurrent = self._by_grain or device.concurrent_reads

    def fetch(self, numbers: list[int]) -> list[tuple[int, bytes | memoryview | None, bytes | None]]:
        """Return ``(number, plain, compressed)`` a grain; one of the two is None."""
        if self._compressed is None and not self._by_grain:
            return self._fetch_plain(numbers)
        written = set(numbers)
        if self._compressed is not None:
            low, high = np.searchsorted(
                self._written, np.array((numbers[0], numbers[-1] + 1), dtype=np.uint32)
            ).tolist()
            written = set(self._written[low:high].tolist())
        rows = []
        for number in numbers:
            if number in written:
                rows.append((number, self.device.read_grain(number), None))
            elif number < self._compressed.grain_count:
                rows.append((number, None, self._compressed.read_compressed(number)))
        return rows

    def _fetch_plain(self, numbers: list[int]) -> list[tuple[int, memoryview | None, bytes | None]]:
        start = numbers[0] << GRAIN_SHIFT
        end = min((numbers[-1] + 1) << GRAIN_SHIFT, self.device.size)
        data = self.device.pread(end - start, start)
        if len(data) % GRAIN_SIZE:
            data += bytes(-len(data) % GRAIN_SIZE)
        view = memoryview(data)
        places = ((number, (number << GRAIN_SHIFT) - start) for number in numbers)
        return [(number, view[place : place + GRAIN_SIZE], None) for number, place in places]

    def compress(self, rows: list[tuple[int, bytes | memoryview | None, bytes | None]]) -> _Batch:
        """Hash every grain and compress those that are not compressed yet; grains of zeros vanish."""
        grains = []
        for number, plain, compressed in rows:
            if compressed is not None:
                plain, exact = self._compressed.inflate(number, compressed)
                if not exact or len(compressed) > _WORTH_COPYING:
                    compressed = None
            if plain is None or not any(plain[:32]) and bytes(plain) == ZERO_GRAIN:
                continue
            if compressed is None:
                compressed = isal_zlib.compress(plain, _LEVEL)
            grains.append((number, compressed, grain_digest(plain)))
        return _Batch(grains)


def encode(
    device: BlockDevice,
    out: BinaryIO | Callable[[bytes], object],
    *,
    keep=None,
    reuse: StreamOptimizedDisk | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> GrainIndex:
    """Write a device to ``out`` as a stream-optimized VMDK and return the index of its grains.

    ``keep`` is a bool array over all grains: those where it is false become zeros. Grains of
    zeros are left out. Grains that stand compressed in a stream-optimized VMDK, the device
    itself or the unmodified part of a CopyOnWriteDevice's base, are verified and copied as
    they are; ``reuse`` names that disk for a caller who relies on it. ``progress`` counts
    plain bytes in the step "encode". Nobody may write to the device meanwhile.
    """
    source = _Source(device, reuse)
    writer = StreamOptimizedWriter(out, device.size)
    digests = bytearray()
    for batch in _batches(source, _wanted(device, keep), workers, progress):
        if batch.numbers:
            writer.add_run(np.array(batch.numbers, dtype=np.uint32), np.array(batch.sizes, dtype=np.uint32), batch.data)
            digests += batch.digests
    numbers, sectors, sizes = writer.finish()
    return GrainIndex(device.size, numbers, sectors, sizes, np.frombuffer(digests, dtype=np.uint8))


def encode_grains(
    device: BlockDevice,
    grains,
    out: BinaryIO | Callable[[bytes], object],
    *,
    workers: int | None = None,
    progress: Progress = silent,
) -> GrainIndex:
    """Write only ``grains`` (ascending u32) to ``out``: marker, zlib data, padding, nothing around them.

    The ``sectors`` of the index returned count from the first byte written. Grains of zeros
    are left out of both.
    """
    check_capacity(device.size)
    write = getattr(out, "write", out)
    grains = np.asarray(grains, dtype=np.uint32)
    if len(grains) and (int(grains[-1]) >= grain_total(device.size) or (grains[1:] <= grains[:-1]).any()):
        raise InvalidInput(f"The grains to be written do not ascend within {device.name}.", code="disk.encode_grains")
    numbers: list[int] = []
    sizes: list[int] = []
    digests = bytearray()
    for batch in _batches(_Source(device, None), grains, workers, progress):
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
    )


def _wanted(device: BlockDevice, keep):
    """Return the numbers (u32) of the grains that may hold data and are to be kept."""
    mask = np.zeros(grain_total(device.size), dtype=np.bool_)
    for start, end in device.data_extents():
        mask[start >> GRAIN_SHIFT : grain_total(end)] = True
    if keep is not None:
        keep = np.asarray(keep, dtype=np.bool_)
        if keep.shape != mask.shape:
            raise InvalidInput(
                f"The mask of grains to keep has {keep.size} entries and {device.name} has {mask.size} grains.",
                code="disk.encode_keep",
            )
        mask &= keep
    return np.flatnonzero(mask).astype(np.uint32)


def _split(numbers) -> Iterator[list[int]]:
    """Cut ascending grain numbers into pieces of work."""
    groups = numbers // _BATCH
    first = 0
    for cut in (np.flatnonzero(groups[1:] != groups[:-1]) + 1).tolist():
        yield numbers[first:cut].tolist()
        first = cut
    if len(numbers):
        yield numbers[first:].tolist()


def _batches(source: _Source, numbers, workers: int | None, progress: Progress) -> Iterator[_Batch]:
    """Yield the compressed batches in order while later ones are being worked on."""
    total = len(numbers) * GRAIN_SIZE
    count = workers or min(len(os.sched_getaffinity(0)), 32)
    done = 0
    told = time.monotonic()
    waiting: collections.deque[tuple[int, Future]] = collections.deque()
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
                if time.monotonic() - told > 0.25:
                    told = time.monotonic()
                    progress("encode", done, total)
            while waiting:
                yield waiting.popleft()[1].result()
            progress("encode", total, total)
        finally:
            for _size, future in waiting:
                future.cancel()


def _work(source: _Source, piece: list[int]) -> _Batch:
    return source.compress(source.fetch(piece))
