# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grains in which a thin image differs from its base, and where they are stored.

The format, little-endian, in version 1 with BLAKE2b and in version 2 with BLAKE3 digests: the magic ``STRATAGM``, u32 version, u32 count of
blobs, u64 capacity in bytes, u64 count of grains; then for each grain, array after array:
u32 number, u32 sector, u32 size, u16 blob, 16 bytes digest. A size of 0 means
that the grain is zeros in the image although the base has data there; its sector and blob are 0.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from ...common.arrays import U8, U16, U32, Mask
from ...common.errors import Corrupt
from ...common.optional_imports import np
from ...disk.grains import (
    DIGEST_SIZE,
    GRAIN_HASHES,
    MAX_CAPACITY,
    MAX_COMPRESSED_GRAIN,
    GrainHash,
    GrainIndex,
    grain_total,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MEDIA_TYPE = "application/vnd.strata.image.grain-map.v1"

_MAGIC = b"STRATAGM"
_HEADER = struct.Struct("<8sIIQQ")
_ROW_BYTES = 4 + 4 + 4 + 2 + DIGEST_SIZE


class GrainMap:
    """The location of each grain.

    Arrays of shape (n,), ascending by ``numbers`` (u32): ``blobs`` (u16, number of the grain blob),
    ``sectors`` (u32, position of the grain's marker in the blob), ``sizes`` (u32, compressed bytes or 0).
    ``digests`` has the shape (n, 16). ``capacity`` is the size of the image in bytes, ``blob_count`` the
    number of grain blobs. The digests are those of ``algorithm``, which is that of the base.
    """

    __slots__ = ("capacity", "blob_count", "numbers", "blobs", "sectors", "sizes", "digests", "algorithm")

    def __init__(
        self,
        capacity: int,
        blob_count: int,
        numbers: ArrayLike,
        blobs: ArrayLike,
        sectors: ArrayLike,
        sizes: ArrayLike,
        digests: ArrayLike,
        algorithm: GrainHash,
    ) -> None:
        self.capacity = capacity
        self.blob_count = blob_count
        self.numbers: U32 = np.ascontiguousarray(numbers, dtype=np.uint32)
        self.blobs: U16 = np.ascontiguousarray(blobs, dtype=np.uint16)
        self.sectors: U32 = np.ascontiguousarray(sectors, dtype=np.uint32)
        self.sizes: U32 = np.ascontiguousarray(sizes, dtype=np.uint32)
        self.digests: U8 = np.ascontiguousarray(digests, dtype=np.uint8).reshape(-1, DIGEST_SIZE)
        self.algorithm = algorithm

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def empty(cls, capacity: int, algorithm: GrainHash) -> GrainMap:
        """Return the map of an image that equals its base."""
        return cls(capacity, 0, [], [], [], [], np.zeros((0, DIGEST_SIZE), dtype=np.uint8), algorithm)

    def over(self, older: GrainMap) -> GrainMap:
        """Return the grains of this map, and those of the older map for which this map has no grain.

        Blob numbers are kept, so that both maps must number the same list of blobs.
        """
        rest = _absent(older.numbers, self.numbers)
        numbers = np.concatenate((self.numbers, older.numbers[rest]))
        order = np.argsort(numbers, kind="stable")

        def column(name: str) -> Any:
            return np.concatenate((getattr(self, name), getattr(older, name)[rest]))[order]

        return GrainMap(
            self.capacity,
            max(self.blob_count, older.blob_count),
            numbers[order],
            column("blobs"),
            column("sectors"),
            column("sizes"),
            column("digests"),
            self.algorithm,
        )

    def resolve(self, base: GrainIndex) -> tuple[U32, U16, U32, U32, U8]:
        """Return ``(numbers, sources, sectors, sizes, digests)`` of every grain of map and base that holds data.

        ``sources`` (u16) is 0 for the VMDK of the base and 1 + blob number for a grain blob.
        """
        kept = _absent(base.numbers, self.numbers)
        here = self.sizes > 0
        numbers = np.concatenate((base.numbers[kept], self.numbers[here]))
        order = np.argsort(numbers, kind="stable")
        sources = np.concatenate((np.zeros(int(kept.sum()), dtype=np.uint16), self.blobs[here] + np.uint16(1)))[order]
        sectors = np.concatenate((base.sectors[kept], self.sectors[here]))[order]
        sizes = np.concatenate((base.sizes[kept], self.sizes[here]))[order]
        digests = np.concatenate((base.digests[kept], self.digests[here]))[order]
        return numbers[order], sources, sectors, sizes, digests

    def to_bytes(self) -> bytes:
        """Return the map in its format."""
        return b"".join(
            (
                _HEADER.pack(_MAGIC, self.algorithm.version, self.blob_count, self.capacity, len(self)),
                self.numbers.astype("<u4").tobytes(),
                self.sectors.astype("<u4").tobytes(),
                self.sizes.astype("<u4").tobytes(),
                self.blobs.astype("<u2").tobytes(),
                self.digests.tobytes(),
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "The grain map") -> GrainMap:
        """Read the result of ``to_bytes``; raise Corrupt images.grain_map for anything else. ``name`` begins the message."""

        def corrupt(problem: str) -> Corrupt:
            return Corrupt(
                f"{name} is damaged: {problem}.",
                code="images.grain_map",
                hint="Verify the repository, then publish the image again.",
            )

        if len(data) < _HEADER.size:
            raise corrupt("it is shorter than its header")
        magic, version, blob_count, capacity, count = _HEADER.unpack_from(data)
        algorithm = GRAIN_HASHES.get(version)
        if magic != _MAGIC or algorithm is None or blob_count > 0xFFFF or not 0 < capacity <= MAX_CAPACITY:
            raise corrupt("its header is not that of a grain map of version 1 or 2")
        if count > grain_total(capacity) or len(data) != _HEADER.size + count * _ROW_BYTES:
            raise corrupt(f"its length does not match the {count} grains of its header")
        numbers, sectors, sizes = np.frombuffer(data, dtype="<u4", count=3 * count, offset=_HEADER.size).reshape(
            3, count
        )
        blobs = np.frombuffer(data, dtype="<u2", count=count, offset=_HEADER.size + 12 * count)
        digests = np.frombuffer(data, dtype=np.uint8, offset=_HEADER.size + 14 * count)
        if count:
            if int(numbers[-1]) >= grain_total(capacity) or (numbers[1:] <= numbers[:-1]).any():
                raise corrupt("its grain numbers are not ascending or exceed the disk")
            if int(sizes.max()) > MAX_COMPRESSED_GRAIN or (blobs[sizes > 0] >= blob_count).any():
                raise corrupt("a grain has an invalid size or blob number")
        return cls(capacity, blob_count, numbers, blobs, sectors, sizes, digests, algorithm)


def _absent(numbers: U32, among: U32) -> Mask:
    """Return which of ``numbers`` are not in ``among``, both ascending. (numpy.isin would import much of numpy.)"""
    if not len(among):
        return np.full(len(numbers), True)
    return among[np.minimum(np.searchsorted(among, numbers), len(among) - 1)] != numbers


def zero_digests(count: int, algorithm: GrainHash) -> U8:
    """Return ``count`` rows of the digest of a grain of zeros, for grains that a thin image removes."""
    return np.tile(np.frombuffer(algorithm.zero, dtype=np.uint8), (count, 1))
