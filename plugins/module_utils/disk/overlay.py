# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that can be written while the disk below it stays as it is."""

from __future__ import annotations

import ctypes
import heapq
import mmap
import os
import tempfile
from array import array
from collections import OrderedDict
from collections.abc import Iterator

from ..common.atomic_files import TEMPORARY_PREFIX
from ..common.errors import InvalidInput
from ..common.optional_imports import np
from .block_device import BlockDevice, write_all
from .grains import GRAIN_SHIFT, GRAIN_SIZE, MAX_CAPACITY, ZERO_GRAIN, grain_total

_INSIDE = GRAIN_SIZE - 1


class _Grain:
    """A grain in memory: its bytes, where they are, whether they were looked at since eviction passed by, whether they are in the file as they are."""

    __slots__ = ("data", "address", "used", "saved")

    def __init__(self, data: memoryview, address: int) -> None:
        self.data = data
        self.address = address
        self.used = True
        self.saved = True


class CopyOnWriteDevice(BlockDevice):
    """``base`` with changes on top, kept by grain in memory and in an unlinked file in ``scratch_folder``.

    ``size`` (bytes) may be larger than the base; what is beyond it reads as zeros.
    ``cache_bytes`` bounds the grains held in memory. One thread at a time may use it,
    but ``read_grain`` may be called from several while nobody writes. Two processes must
    not share one: a child that writes has to finish the work with it.
    """

    read_only = False

    def __init__(
        self, base: BlockDevice, scratch_folder: str, *, size: int | None = None, cache_bytes: int = 64 << 20
    ) -> None:
        self.base = base
        self.name = base.name
        self.size = base.size if size is None else size
        if not base.size <= self.size <= MAX_CAPACITY:
            raise InvalidInput(
                f"{base.name} with {base.size} bytes cannot become {self.size} bytes.",
                code="disk.device_size",
                hint="Disks can only grow.",
            )
        self.grain_count = grain_total(self.size)
        self._by_grain = getattr(base, "grain_size", None) == GRAIN_SIZE
        self._cache: OrderedDict[int, _Grain] = OrderedDict()
        self._limit = max(4, cache_bytes >> GRAIN_SHIFT)
        # Where the grains in memory stand.
        memory = mmap.mmap(-1, self._limit << GRAIN_SHIFT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._places = memoryview(memory)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._free = [place << GRAIN_SHIFT for place in reversed(range(self._limit))]
        # One u32 a grain: 1 + its slot in the file, 0 while unwritten. Untouched pages take no memory.
        self._map = mmap.mmap(-1, max(4 * self.grain_count, mmap.PAGESIZE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._slots = memoryview(self._map).cast("I")
        self._written = array("I")
        self._file, path = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=scratch_folder)
        os.unlink(path)

    # -- the device ---------------------------------------------------------------

    def pread(self, count: int, offset: int) -> bytes:
        self.check_range(count, offset)
        pieces = []
        while count:
            start = offset & _INSIDE
            length = min(count, GRAIN_SIZE - start)
            pieces.append(bytes(self._hold(offset >> GRAIN_SHIFT).data[start : start + length]))
            offset += length
            count -= length
        return b"".join(pieces)

    def pwrite(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        self.check_range(len(data), offset)
        view = memoryview(data).cast("B")
        while view:
            start = offset & _INSIDE
            length = min(len(view), GRAIN_SIZE - start)
            number = offset >> GRAIN_SHIFT
            grain = self._hold(number, whole=length == GRAIN_SIZE)
            if grain.saved:
                self._mark(number, grain)
            grain.data[start : start + length] = view[:length]
            offset += length
            view = view[length:]

    def locate(self, count: int, offset: int, writing: bool) -> int:
        start = offset & _INSIDE
        if start + count > GRAIN_SIZE:
            return 0
        number = offset >> GRAIN_SHIFT
        grain = self._cache.get(number) or self._hold(number)
        grain.used = True
        if writing and grain.saved:
            self._mark(number, grain)
        return grain.address + start

    def close(self) -> None:
        if self._file >= 0:
            descriptor, self._file = self._file, -1
            os.close(descriptor)
            self._cache.clear()
            # Unmapped when nobody looks at a grain any more: an exception on its way may.
            self._places.release()
            self._slots.release()
            self._map.close()

    def data_extents(self) -> Iterator[tuple[int, int]]:
        """As the base class: the base's extents, widened to grains, and every grain that was written."""
        dirty = self.dirty_grains().astype(np.int64)
        cuts = np.flatnonzero(np.diff(dirty) != 1) + 1
        runs = (
            (int(dirty[first]), int(dirty[last - 1]) + 1)
            for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(dirty)])
            if last > first
        )
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
        changed = [self._content(number) != self._read_base(number) for number in dirty.tolist()]
        return dirty[np.array(changed, dtype=np.bool_)]

    def read_grain(self, number: int) -> bytes:
        """Return the 64 KiB of a grain without keeping it in the cache; beyond the disk's end it holds zeros."""
        if not 0 <= number < self.grain_count:
            self.check_range(GRAIN_SIZE, number << GRAIN_SHIFT)
        return bytes(self._content(number))

    def _content(self, number: int) -> bytes | memoryview:
        """The content of a grain; of one in memory no copy."""
        grain = self._cache.get(number)
        if grain is not None:
            return grain.data
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

    def _hold(self, number: int, whole: bool = False) -> _Grain:
        """Return a grain in memory; ``whole`` when all of it is about to be overwritten."""
        grain = self._cache.get(number)
        if grain is None:
            content = None if whole else self._content(number)
            if not self._free:
                self._evict()
            place = self._free[-1]
            grain = _Grain(self._places[place : place + GRAIN_SIZE], self._address + place)
            if content is not None:
                grain.data[:] = content
            self._cache[number] = grain
            self._free.pop()
        grain.used = True
        return grain

    def _mark(self, number: int, grain: _Grain) -> None:
        """Note that a grain is about to be written."""
        grain.saved = False
        if not self._slots[number]:
            self._written.append(number)
            self._slots[number] = len(self._written)

    def _evict(self) -> None:
        """Let go of the grain that was put here first, of those that were not used since this came by."""
        cache = self._cache
        number, grain = next(iter(cache.items()))
        while grain.used:
            grain.used = False
            cache.move_to_end(number)
            number, grain = next(iter(cache.items()))
        if not grain.saved:
            write_all(self._file, grain.data, (self._slots[number] - 1) << GRAIN_SHIFT, f"the changes of {self.name}")
        del cache[number]
        self._free.append(grain.address - self._address)
