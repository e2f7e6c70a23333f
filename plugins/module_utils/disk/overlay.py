# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A writable disk on top of a disk that does not change."""

from __future__ import annotations

import ctypes
import heapq
import mmap
import os
import tempfile
from array import array
from collections import OrderedDict
from collections.abc import Iterator

from ..common.arrays import U32
from ..common.atomic_files import TEMPORARY_PREFIX
from ..common.errors import InvalidInput
from ..common.optional_imports import np
from .block_device import BlockDevice, write_all
from .grains import GRAIN_SHIFT, GRAIN_SIZE, MAX_CAPACITY, ZERO_GRAIN, grain_device, grain_total

_INSIDE = GRAIN_SIZE - 1


class _Grain:
    """A grain in memory: its bytes and their address; ``used`` since the last search for eviction; ``saved`` if the file has the same bytes."""

    __slots__ = ("data", "address", "used", "saved")

    def __init__(self, data: memoryview, address: int) -> None:
        self.data = data
        self.address = address
        self.used = True
        self.saved = True


class CopyOnWriteDevice(BlockDevice):
    """``base`` with changes on top, which are kept by grain in memory and in an unlinked file in ``scratch_folder``.

    ``size`` (bytes) may be larger than the base; bytes beyond the base read as zeros.
    ``cache_bytes`` limits the grains in memory. Only one thread at a time may use the
    device, but several threads may call ``read_grain`` while no thread writes. Two
    processes must not share a device: after a child process has written, only the child
    can use it.

    Raises InvalidInput ``disk.device_size`` when the base is larger than ``size``.
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
                f"The size of {base.name} cannot change from {base.size} to {self.size} bytes: "
                f"disks can only grow, up to {MAX_CAPACITY} bytes.",
                code="disk.device_size",
                hint="Change max_layer_size_gb of the OS layer, or disk_size_gb of the image template.",
            )
        self.grain_count = grain_total(self.size)
        self._grains = grain_device(base)
        self._cache: OrderedDict[int, _Grain] = OrderedDict()
        self._limit = max(4, cache_bytes >> GRAIN_SHIFT)
        # The memory of the cached grains, in units of a grain.
        memory = mmap.mmap(-1, self._limit << GRAIN_SHIFT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory = memoryview(memory)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._free = [index << GRAIN_SHIFT for index in reversed(range(self._limit))]
        # A u32 for each grain: 1 + its slot in the file, 0 while it is not written. Unused pages take no memory.
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
            # The memory is unmapped with the last reference to a grain, such as one in a traceback.
            self._memory.release()
            self._slots.release()
            self._map.close()

    def data_extents(self) -> Iterator[tuple[int, int]]:
        """Yield the extents of the base, widened to grains, and every grain that was written."""
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

    def dirty_grains(self) -> U32:
        """Return the ascending numbers of the grains that were written, even if their content did not change."""
        return np.sort(np.array(self._written, dtype=np.uint32))

    def changed_grains(self) -> U32:
        """Return the ascending numbers of the grains whose content differs from the base."""
        dirty = self.dirty_grains()
        changed = [self._content(number) != self._read_base(number) for number in dirty.tolist()]
        return dirty[np.array(changed, dtype=np.bool_)]

    def read_grain(self, number: int) -> bytes:
        """Return the 64 KiB of a grain without keeping it in the cache; bytes beyond the end of the disk are zeros."""
        if not 0 <= number < self.grain_count:
            self.check_range(GRAIN_SIZE, number << GRAIN_SHIFT)
        return bytes(self._content(number))

    def _content(self, number: int) -> bytes | memoryview:
        """Return the content of a grain; the content of a grain in memory is not copied."""
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
        if self._grains is not None:
            return self._grains.read_grain(number) or ZERO_GRAIN
        return self.base.pread(length, offset).ljust(GRAIN_SIZE, b"\0")

    def _hold(self, number: int, whole: bool = False) -> _Grain:
        """Load a grain into memory and return it; with ``whole`` all its bytes will be overwritten."""
        grain = self._cache.get(number)
        if grain is None:
            content = None if whole else self._content(number)
            if not self._free:
                self._evict()
            start = self._free[-1]
            grain = _Grain(self._memory[start : start + GRAIN_SIZE], self._address + start)
            if content is not None:
                grain.data[:] = content
            self._cache[number] = grain
            self._free.pop()
        grain.used = True
        return grain

    def _mark(self, number: int, grain: _Grain) -> None:
        """Note that a grain will be written."""
        grain.saved = False
        if not self._slots[number]:
            self._written.append(number)
            self._slots[number] = len(self._written)

    def _evict(self) -> None:
        """Remove a grain from memory: the oldest grain that was not used since the last search (second chance)."""
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
