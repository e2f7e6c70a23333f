# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that can be written while the disk below it stays as it is."""

from __future__ import annotations

import heapq
import mmap
import os
import tempfile
from array import array
from collections import OrderedDict
from collections.abc import Iterator

from ..common.errors import InvalidInput
from ..common.files import TEMPORARY_PREFIX
from ..common.libraries import np
from .device import BlockDevice, write_all
from .grains import GRAIN_SHIFT, GRAIN_SIZE, MAX_CAPACITY, ZERO_GRAIN, grain_total

_INSIDE = GRAIN_SIZE - 1


class CopyOnWriteDevice(BlockDevice):
    """``base`` with changes on top, kept by grain in memory and in an unlinked file in ``scratch_folder``.

    ``size`` (bytes) may be larger than the base; what is beyond it reads as zeros.
    ``cache_bytes`` bounds the grains held in memory. One thread at a time may use it,
    but ``read_grain`` may be called from several while nobody writes. Two processes must
    not share one: a child that writes has to finish the work with it.

    File systems read and write a few hundred bytes at a time, next to each other, so the
    grain used last is the one that ``pread`` and ``pwrite`` look at first.
    """

    read_only = False

    def __init__(self, base: BlockDevice, scratch_folder: str, *, size: int | None = None, cache_bytes: int = 64 << 20) -> None:
        self.base = base
        self.name = base.name
        self.size = base.size if size is None else size
        if not base.size <= self.size <= MAX_CAPACITY:
            raise InvalidInput(f"{base.name} with {base.size} bytes cannot become {self.size} bytes.", code="device.size", hint="Disks can only grow.")
        self.grain_count = grain_total(self.size)
        self._by_grain = getattr(base, "grain_size", None) == GRAIN_SIZE
        self._cache: OrderedDict[int, bytearray] = OrderedDict()
        self._limit = max(4, cache_bytes >> GRAIN_SHIFT)
        self._unsaved: set[int] = set()
        self._last: int | None = None
        self._grain = bytearray()
        self._last_unsaved = False
        # One u32 a grain: 1 + its slot in the file, 0 while unwritten. Untouched pages take no memory.
        self._map = mmap.mmap(-1, max(4 * self.grain_count, mmap.PAGESIZE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._slots = memoryview(self._map).cast("I")
        self._written = array("I")
        self._file, path = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=scratch_folder)
        os.unlink(path)

    # -- the device ---------------------------------------------------------------

    def pread(self, count: int, offset: int) -> bytes:
        start = offset & _INSIDE
        end = start + count
        if start <= end <= GRAIN_SIZE and offset + count <= self.size:
            if offset >> GRAIN_SHIFT != self._last:
                self.check_range(count, offset)
                self._select(offset >> GRAIN_SHIFT)
            return bytes(self._grain[start:end])
        self.check_range(count, offset)
        pieces = []
        while count:
            start = offset & _INSIDE
            length = min(count, GRAIN_SIZE - start)
            self._select(offset >> GRAIN_SHIFT)
            pieces.append(self._grain[start:start + length])
            offset += length
            count -= length
        return b"".join(pieces)

    def pwrite(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        start = offset & _INSIDE
        end = start + len(data)
        if end <= GRAIN_SIZE and offset >> GRAIN_SHIFT == self._last and self._last_unsaved and offset + len(data) <= self.size:
            self._grain[start:end] = data
            return
        self.check_range(len(data), offset)
        view = memoryview(data).cast("B")
        while view:
            start = offset & _INSIDE
            length = min(len(view), GRAIN_SIZE - start)
            self._select(offset >> GRAIN_SHIFT, whole=length == GRAIN_SIZE)
            self._mark()
            self._grain[start:start + length] = view[:length]
            offset += length
            view = view[length:]

    def close(self) -> None:
        if self._file >= 0:
            descriptor, self._file = self._file, -1
            os.close(descriptor)
            self._cache.clear()
            self._unsaved.clear()
            self._last, self._grain, self._last_unsaved = None, bytearray(), False
            self._slots.release()
            self._map.close()

    def data_extents(self) -> Iterator[tuple[int, int]]:
        """As the base class: the base's extents, widened to grains, and every grain that was written."""
        dirty = self.dirty_grains().astype(np.int64)
        cuts = np.flatnonzero(np.diff(dirty) != 1) + 1
        runs = ((int(dirty[first]), int(dirty[last - 1]) + 1) for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(dirty)]) if last > first)
        below = ((start >> GRAIN_SHIFT, grain_total(end)) for start, end in self.base.data_extents())
        begin = end = 0
        for first, last in heapq.merge(below, runs):
            if first > end:
                if end > begin:
                    yield begin << GRAIN_SHIFT, end << GRAIN_SHIFT
                begin = first
            end = max(end, last)
        if end > begin:
            yield begin << GRAIN_SHIFT, min(end << GRAIN_SHIFT, self.size)

    # -- grains -------------------------------------------------------------------

    def dirty_grains(self):
        """Return the ascending numbers (u32) of the grains that were written, whatever was written."""
        return np.sort(np.array(self._written, dtype=np.uint32))

    def changed_grains(self):
        """Return the ascending numbers (u32) of the grains whose content differs from the base."""
        dirty = self.dirty_grains()
        changed = [self.read_grain(number) != self._read_base(number) for number in dirty.tolist()]
        return dirty[np.array(changed, dtype=np.bool_)]

    def read_grain(self, number: int) -> bytes:
        """Return the 64 KiB of a grain without keeping it in the cache; beyond the disk's end it holds zeros."""
        if not 0 <= number < self.grain_count:
            self.check_range(GRAIN_SIZE, number << GRAIN_SHIFT)
        grain = self._cache.get(number)
        if grain is not None:
            return bytes(grain)
        slot = self._slots[number]
        return os.pread(self._file, GRAIN_SIZE, (slot - 1) << GRAIN_SHIFT) if slot else self._read_base(number)

    def _read_base(self, number: int) -> bytes:
        offset = number << GRAIN_SHIFT
        length = min(GRAIN_SIZE, self.base.size - offset)
        if length <= 0:
            return ZERO_GRAIN
        if self._by_grain:
            return self.base.read_grain(number) or ZERO_GRAIN
        return self.base.pread(length, offset).ljust(GRAIN_SIZE, b"\0")

    def _select(self, number: int, whole: bool = False) -> None:
        """Make a grain the one used last; ``whole`` when all of it is about to be overwritten."""
        grain = self._cache.get(number)
        if grain is None:
            if len(self._cache) >= self._limit:
                self._evict()
            grain = bytearray(GRAIN_SIZE) if whole else bytearray(self.read_grain(number))
            self._cache[number] = grain
        else:
            self._cache.move_to_end(number)
        self._last, self._grain = number, grain
        self._last_unsaved = number in self._unsaved

    def _mark(self) -> None:
        """Note that the grain used last is about to be written."""
        if not self._last_unsaved:
            self._unsaved.add(self._last)
            self._last_unsaved = True
            if not self._slots[self._last]:
                self._written.append(self._last)
                self._slots[self._last] = len(self._written)

    def _evict(self) -> None:
        number, grain = next(iter(self._cache.items()))
        if number in self._unsaved:
            write_all(self._file, grain, (self._slots[number] - 1) << GRAIN_SHIFT, f"the changes of {self.name}")
            self._unsaved.discard(number)
        del self._cache[number]
        if number == self._last:
            self._last, self._grain, self._last_unsaved = None, bytearray(), False
