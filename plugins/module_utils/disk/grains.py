# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grains: the 64 KiB pieces in which disks are compressed, compared and copied."""

from __future__ import annotations

import hashlib
import struct

from ..common.errors import Corrupt
from ..common.optional_imports import np

#: Bytes in a grain: 128 sectors, the size that vSphere and qemu-img use in stream-optimized disks.
GRAIN_SIZE = 65536
GRAIN_SHIFT = 16
ZERO_GRAIN = bytes(GRAIN_SIZE)
DIGEST_SIZE = 16

#: The largest virtual disk that vSphere knows: 62 TiB.
MAX_CAPACITY = 62 << 40
#: A compressed grain may be larger than its content, but not without bound.
MAX_COMPRESSED_GRAIN = 2 * GRAIN_SIZE

_MAGIC = b"STRATAGI"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQQ")


def grain_digest(data: bytes | bytearray | memoryview) -> bytes:
    """Return the 16-byte BLAKE2b digest of a grain's 64 KiB of plain data (a short last grain is padded with zeros first)."""
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE).digest()


ZERO_DIGEST = grain_digest(ZERO_GRAIN)


def grain_total(size: int) -> int:
    """Return how many grains cover ``size`` bytes."""
    return (size + GRAIN_SIZE - 1) >> GRAIN_SHIFT


class GrainIndex:
    """Where each grain of a stream-optimized VMDK stands and what it holds.

    Only grains that are present have a row; every other grain of the disk is zeros. Rows
    are in ascending order of grain number. ``numbers`` (u32), ``sectors`` (u32, position
    of the grain marker in the file, in 512-byte sectors), ``sizes`` (u32, compressed bytes)
    have shape (n,), ``digests`` (u8) has shape (n, 16). ``capacity`` is the disk's size in bytes.
    """

    __slots__ = ("capacity", "numbers", "sectors", "sizes", "digests")

    def __init__(self, capacity: int, numbers, sectors, sizes, digests) -> None:
        self.capacity = capacity
        self.numbers = np.ascontiguousarray(numbers, dtype=np.uint32)
        self.sectors = np.ascontiguousarray(sectors, dtype=np.uint32)
        self.sizes = np.ascontiguousarray(sizes, dtype=np.uint32)
        self.digests = np.ascontiguousarray(digests, dtype=np.uint8).reshape(-1, DIGEST_SIZE)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def grain_count(self) -> int:
        """How many grains the disk has, present or not."""
        return grain_total(self.capacity)

    def row(self, grain: int) -> int:
        """Return the row of a grain, or -1 when it is absent (all zeros)."""
        row = int(np.searchsorted(self.numbers, np.uint32(grain)))
        return row if row < len(self.numbers) and self.numbers[row] == grain else -1

    def rows(self, grains):
        """Return the rows (int64) of an array of grain numbers, -1 where absent."""
        grains = np.asarray(grains, dtype=np.uint32)
        if not len(self.numbers):
            return np.full(len(grains), -1, dtype=np.int64)
        rows = np.minimum(np.searchsorted(self.numbers, grains), len(self.numbers) - 1)
        return np.where(self.numbers[rows] == grains, rows, -1)

    def mask(self):
        """Return a bool array over all grains of the disk: which are present."""
        mask = np.zeros(self.grain_count, dtype=np.bool_)
        mask[self.numbers] = True
        return mask

    def digest(self, grain: int) -> bytes:
        """Return the digest of a grain's plain data; an absent grain has that of zeros."""
        row = self.row(grain)
        return ZERO_DIGEST if row < 0 else self.digests[row].tobytes()

    def differing(self, other: GrainIndex):
        """Return the ascending numbers (u32) of grains whose content differs between two disks."""
        numbers = np.union1d(self.numbers, other.numbers)
        here, there = self.rows(numbers), other.rows(numbers)
        differs = (here < 0) | (there < 0)
        both = np.flatnonzero(~differs)
        differs[both] = (self.digests[here[both]] != other.digests[there[both]]).any(axis=1)
        return numbers[differs]

    def to_bytes(self) -> bytes:
        """Return the index as bytes: a 32-byte header, then the four arrays, little-endian."""
        return b"".join(
            (
                _HEADER.pack(_MAGIC, _VERSION, GRAIN_SIZE, self.capacity, len(self.numbers)),
                self.numbers.astype("<u4").tobytes(),
                self.sectors.astype("<u4").tobytes(),
                self.sizes.astype("<u4").tobytes(),
                self.digests.tobytes(),
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "The grain index") -> GrainIndex:
        """Read what ``to_bytes`` wrote; Corrupt when it is anything else or contradicts itself."""

        def corrupt(why: str) -> Corrupt:
            return Corrupt(
                f"{name} is damaged: {why}.",
                code="disk.grains_corrupt",
                hint="Verify the repository and import the layer again.",
            )

        if len(data) < _HEADER.size:
            raise corrupt("it is shorter than its header")
        magic, version, grain_size, capacity, count = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != _VERSION or grain_size != GRAIN_SIZE:
            raise corrupt("its header is not one of a grain index of version 1")
        if not 0 < capacity <= MAX_CAPACITY:
            raise corrupt(f"it names a disk of {capacity} bytes")
        if count > grain_total(capacity) or len(data) != _HEADER.size + count * (12 + DIGEST_SIZE):
            raise corrupt("its length does not fit the number of grains it names")
        arrays = np.frombuffer(data, dtype="<u4", count=3 * count, offset=_HEADER.size).reshape(3, count)
        numbers, sectors, sizes = arrays
        digests = np.frombuffer(data, dtype=np.uint8, offset=_HEADER.size + 12 * count)
        if count:
            if int(numbers[-1]) >= grain_total(capacity) or (numbers[1:] <= numbers[:-1]).any():
                raise corrupt("its grain numbers are not ascending within the disk")
            if int(sizes.min()) == 0 or int(sizes.max()) > MAX_COMPRESSED_GRAIN:
                raise corrupt("a grain has an impossible size")
        return cls(capacity, numbers, sectors, sizes, digests)
