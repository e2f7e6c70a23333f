# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which grains a disk differs from one whose grain digests are known, on all processors."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from ..common.arrays import U32, Mask
from ..common.optional_imports import np
from ..common.progress import Progress, silent
from .block_device import BlockDevice, GrainDevice
from .grains import (
    DIGEST_SIZE,
    GRAIN_SHIFT,
    GRAIN_SIZE,
    GrainDigests,
    GrainHash,
    grain_device,
    grain_total,
)

#: Grains that are read together: 1 MiB, which stays in the processor's cache while it is hashed.
_BATCH = 16
#: Grains that a thread hashes before it reports: each report costs as much as hashing a few grains.
_TASK = 16 * _BATCH


_Grain: TypeAlias = "bytes | memoryview"


def differing_grains(
    device: BlockDevice,
    other: GrainDigests,
    *,
    among: Mask | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> U32:
    """Return the ascending numbers of the grains of ``device`` that differ from another disk.

    The grains of the other disk that ``other`` does not list are zeros. ``among`` has an element for
    each grain of the device: grains for which it is false are not read and do not differ.
    Grains of the other disk after the end of the device are ignored. ``progress`` counts plain
    bytes in the step "compare". Raises Corrupt when the device cannot be read.
    """
    total = grain_total(device.size)
    inside = other.numbers < total
    numbers, digests = other.numbers[inside], other.digests[inside]
    present = np.zeros(total, dtype=np.bool_)
    for start, end in device.data_extents():
        present[start >> GRAIN_SHIFT : grain_total(end)] = True
    selected = present if among is None else present & among
    zero = np.frombuffer(other.algorithm.zero, dtype=np.uint8)
    here = np.flatnonzero(selected).astype(np.uint32)
    hashes = np.empty((len(here), DIGEST_SIZE), dtype=np.uint8)
    done = 0
    for hashed in _hashed(device, here, other.algorithm, workers):
        count = len(hashed) // DIGEST_SIZE
        hashes[done : done + count] = np.frombuffer(hashed, dtype=np.uint8).reshape(count, DIGEST_SIZE)
        done += count
        progress("compare", done << GRAIN_SHIFT, len(here) << GRAIN_SHIFT)
    rows = np.minimum(np.searchsorted(numbers, here), max(len(numbers) - 1, 0))
    expected = np.tile(zero, (len(here), 1))
    if len(numbers):
        known = numbers[rows] == here
        expected[known] = digests[rows[known]]
    differ = here[(expected != hashes).any(axis=1)]
    # Grains that only the other disk has are zeros here and need not be read.
    missing = ~present[numbers] & (digests != zero).any(axis=1)
    if among is not None:
        missing &= among[numbers]
    return np.union1d(differ, numbers[missing]).astype(np.uint32)


def _hashed(device: BlockDevice, numbers: U32, algorithm: GrainHash, workers: int | None) -> Iterator[bytes]:
    """Yield the digests of the grains in order, batch by batch."""
    grains = grain_device(device)
    count = workers or min(len(os.sched_getaffinity(0)), 32)
    waiting: collections.deque[Future[bytes]] = collections.deque()
    with ThreadPoolExecutor(count, thread_name_prefix="compare") as pool:
        try:
            step = _TASK if grains is not None or device.concurrent_reads else _BATCH
            for first in range(0, len(numbers), step):
                piece = numbers[first : first + step].tolist()
                if grains is not None:
                    waiting.append(pool.submit(_hash_grains, grains, piece, algorithm))
                elif device.concurrent_reads:
                    waiting.append(pool.submit(_hash_ranges, device, piece, algorithm))
                else:
                    waiting.append(pool.submit(_digests, _read(device, piece), algorithm))
                if len(waiting) >= 4 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _hash_grains(device: GrainDevice, numbers: list[int], algorithm: GrainHash) -> bytes:
    return _digests((device.read_grain(number) for number in numbers), algorithm)


def _hash_ranges(device: BlockDevice, numbers: list[int], algorithm: GrainHash) -> bytes:
    return b"".join(
        _digests(_read(device, numbers[first : first + _BATCH]), algorithm) for first in range(0, len(numbers), _BATCH)
    )


def _read(device: BlockDevice, numbers: list[int]) -> Sequence[_Grain]:
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        start, end = numbers[0] << GRAIN_SHIFT, min((numbers[-1] + 1) << GRAIN_SHIFT, device.size)
        data = memoryview(device.pread(end - start, start))
        return [data[offset : offset + GRAIN_SIZE] for offset in range(0, len(data), GRAIN_SIZE)]
    return [
        device.pread(min(GRAIN_SIZE, device.size - (number << GRAIN_SHIFT)), number << GRAIN_SHIFT)
        for number in numbers
    ]


def _digests(grains: Iterable[_Grain | None], algorithm: GrainHash) -> bytes:
    result = []
    for grain in grains:
        if grain is not None and len(grain) < GRAIN_SIZE:
            grain = bytes(grain) + bytes(GRAIN_SIZE - len(grain))
        result.append(algorithm.zero if grain is None else algorithm.digest(grain))
    return b"".join(result)
