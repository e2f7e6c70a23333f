# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write disk images with uncompressed data: sparse files, or streams whose length is known in advance.

A format (``raw_file`` here, ``vhd``, ``vhdx``) only decides the positions of the grains and what is around them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import os
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from ..common.arrays import I64, U32
from ..common.optional_imports import np
from ..common.progress import Progress, silent
from .block_device import GrainDevice, write_all
from .grains import GRAIN_SHIFT, ZERO_GRAIN

#: Grains that a thread inflates and writes together: 1 MiB.
_BATCH = 16
_ZEROS = memoryview(bytes(1 << 20))

_Batch: TypeAlias = "list[tuple[int, int]]"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DiskFile:
    """The layout of a disk image: the parts of a file of ``length`` bytes that are not zeros.

    ``pieces`` are ascending (offset, data) of headers and tables. ``numbers`` are the grains of the disk that hold
    data, ascending, and ``positions`` the byte offsets of their plain data in the file, both of shape (n,).
    ``marks`` are the ascending offsets at which ``mark`` is stored. No parts overlap. ``capacity`` is the size of the
    disk in bytes: the last grain is truncated there.
    """

    length: int
    capacity: int
    numbers: U32
    positions: I64
    pieces: tuple[tuple[int, bytes], ...] = ()
    marks: I64 = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    mark: bytes = b""

    def store(self, disk: GrainDevice, descriptor: int, name: str, progress: Progress = silent) -> None:
        """Write the file to an empty file that is open for writing, on all processors; zeros stay holes.

        ``name`` is the file in error messages. ``progress`` counts plain bytes in the step "write".

        Raises:
            NoSpace disk.device_no_space: the file system or quota is full.
            Corrupt: a grain of ``disk`` cannot be read.
        """
        os.ftruncate(descriptor, self.length)
        failed = threading.Event()

        def write(batch: _Batch) -> int:
            if failed.is_set():
                return 0
            try:
                for number, position in batch:
                    write_all(descriptor, self._grain(disk, number), position, name)
            except BaseException:
                failed.set()
                raise
            return len(batch)

        for offset, data in self._metadata():
            write_all(descriptor, data, offset, name)
        done, total = 0, len(self.numbers) << GRAIN_SHIFT
        workers = len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(workers) as pool:
            running: deque[Future[int]] = deque()
            for batch in self._batches():
                running.append(pool.submit(write, batch))
                if len(running) > 4 * workers:
                    done += running.popleft().result() << GRAIN_SHIFT
                    progress("write", done, total)
            while running:
                done += running.popleft().result() << GRAIN_SHIFT
        progress("write", done, total)

    def stream(self, disk: GrainDevice, progress: Progress = silent) -> Iterator[bytes | memoryview]:
        """Yield the file in order, ``length`` bytes in all, in chunks of at most 1 MiB; zeros are written out.

        ``progress`` counts bytes of the file in the step "write".

        Raises:
            Corrupt: a grain of ``disk`` cannot be read.
        """
        position = 0
        for offset, data in heapq.merge(self._metadata(), self._inflated(disk), key=_offset):
            yield from _zeros(offset - position)
            yield data
            position = offset + len(data)
            progress("write", position, self.length)
        yield from _zeros(self.length - position)
        progress("write", self.length, self.length)

    def _metadata(self) -> Iterator[tuple[int, bytes]]:
        marks = ((int(position), self.mark) for position in self.marks)
        return heapq.merge(iter(self.pieces), marks, key=_offset)

    def _batches(self) -> Iterator[_Batch]:
        for first in range(0, len(self.numbers), _BATCH):
            part = slice(first, first + _BATCH)
            yield list(zip(self.numbers[part].tolist(), self.positions[part].tolist()))

    def _grain(self, disk: GrainDevice, number: int) -> bytes:
        grain = disk.read_grain(number) or ZERO_GRAIN
        return grain[: self.capacity - (number << GRAIN_SHIFT)]

    def _inflated(self, disk: GrainDevice) -> Iterator[tuple[int, bytes]]:
        """Yield position and data of each grain in order; later grains are inflated in the meantime."""

        def inflate(batch: _Batch) -> list[tuple[int, bytes]]:
            return [(position, self._grain(disk, number)) for number, position in batch]

        workers = len(os.sched_getaffinity(0))
        running: deque[Future[list[tuple[int, bytes]]]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                for batch in self._batches():
                    running.append(pool.submit(inflate, batch))
                    if len(running) > 2 * workers:
                        yield from running.popleft().result()
                while running:
                    yield from running.popleft().result()
            finally:
                for future in running:
                    future.cancel()


def raw_file(capacity: int, numbers: U32) -> DiskFile:
    """Return the layout of a raw disk image."""
    return DiskFile(capacity, capacity, numbers, numbers.astype(np.int64) << GRAIN_SHIFT)


def derived_guid(identity: str, purpose: str) -> uuid.UUID:
    """Return the GUID that a file gets for ``purpose``: equal content has equal GUIDs (version 8 of RFC 9562)."""
    value = bytearray(hashlib.sha256(f"strata.layering {purpose} {identity}".encode()).digest()[:16])
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(value))


def _offset(part: tuple[int, bytes]) -> int:
    return part[0]


def _zeros(count: int) -> Iterator[memoryview]:
    while count > 0:
        yield _ZEROS[:count]
        count -= len(_ZEROS)
