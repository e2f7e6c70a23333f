# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk whose grains are stored compressed in several files, with random access."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import cast

from ...common.errors import Corrupt
from ...common.optional_imports import isal_zlib, np
from ...disk.block_device import BlockDevice
from ...disk.grains import GRAIN_SHIFT, GRAIN_SIZE, ZERO_GRAIN, grain_total
from ...disk.vmdk_layout import GRAIN_SECTORS, MARKER_SIZE
from ...disk.vmdk_stream import GrainSource, StreamPlan


class ThinDisk(BlockDevice):
    """The disk that a StreamPlan describes, as a read-only device. Closing it closes the sources.

    Several threads may call ``read_grain``. ``pread`` caches ``cache_bytes`` of plain grains, so that
    only one thread may call it.
    """

    read_only = True
    grain_size = GRAIN_SIZE
    concurrent_reads = False

    def __init__(
        self, name: str, plan: StreamPlan, sources: Sequence[GrainSource], *, cache_bytes: int = 8 << 20
    ) -> None:
        self.name = name
        self.size = plan.capacity
        self.grain_count = grain_total(plan.capacity)
        self._plan = plan
        self._sources = sources
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._limit = max(4, cache_bytes >> GRAIN_SHIFT)

    def read_grain(self, number: int) -> bytes | None:
        """Return the 64 KiB of a grain, None if they are zeros; raise Corrupt images.grain for damage."""
        plan = self._plan
        row = int(np.searchsorted(plan.numbers, np.uint32(number)))
        if row >= len(plan.numbers) or plan.numbers[row] != number:
            return None
        source = self._sources[plan.sources[row]]
        size = int(plan.sizes[row])
        buffer = bytearray(MARKER_SIZE + size)
        source.read_into(memoryview(buffer), int(plan.positions[row]))
        if (
            int.from_bytes(buffer[:8], "little") != number * GRAIN_SECTORS
            or int.from_bytes(buffer[8:12], "little") != size
        ):
            raise self._damaged(number, source)
        inflater = isal_zlib.decompressobj()
        try:
            data = inflater.decompress(memoryview(buffer)[MARKER_SIZE:], GRAIN_SIZE + 1)
        except cast("type[Exception]", isal_zlib.error):
            raise self._damaged(number, source) from None
        if len(data) != GRAIN_SIZE or not inflater.eof:
            raise self._damaged(number, source)
        return data

    def pread(self, count: int, offset: int) -> bytes:
        """Return ``count`` bytes at ``offset``."""
        self.check_range(count, offset)
        pieces = []
        while count:
            start = offset & (GRAIN_SIZE - 1)
            length = min(count, GRAIN_SIZE - start)
            pieces.append(self._cached(offset >> GRAIN_SHIFT)[start : start + length])
            offset += length
            count -= length
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def data_extents(self) -> Iterator[tuple[int, int]]:
        """Yield (start, end) of consecutive grains that hold data, in bytes."""
        numbers = self._plan.numbers
        if not len(numbers):
            return
        cuts = np.flatnonzero(numbers[1:] != numbers[:-1] + 1)
        firsts = numbers[np.concatenate(([0], cuts + 1))].tolist()
        lasts = numbers[np.concatenate((cuts, [len(numbers) - 1]))].tolist()
        for first, last in zip(firsts, lasts):
            yield first << GRAIN_SHIFT, min((last + 1) << GRAIN_SHIFT, self.size)

    def close(self) -> None:
        """Close the sources."""
        for source in self._sources:
            source.close()

    def _cached(self, number: int) -> bytes:
        data = self._cache.get(number)
        if data is None:
            if len(self._cache) >= self._limit:
                self._cache.popitem(last=False)
            data = self._cache[number] = self.read_grain(number) or ZERO_GRAIN
        else:
            self._cache.move_to_end(number)
        return data

    @staticmethod
    def _damaged(number: int, source: GrainSource) -> Corrupt:
        return Corrupt(
            f"Grain {number} in {source.name} is damaged.",
            code="images.grain",
            hint="Verify the repository; import a damaged OS layer again, publish a damaged image again.",
        )
