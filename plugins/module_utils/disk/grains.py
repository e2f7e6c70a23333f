# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grains: the 64 KiB pieces in which disks are compressed, compared and copied."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from ..common.arrays import U8, U32
from ..common.errors import Corrupt
from ..common.optional_imports import blake3, np
from .block_device import BlockDevice, GrainDevice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Bytes of a grain: 128 sectors, the size that vSphere and qemu-img use in stream-optimized disks.
GRAIN_SIZE = 65536
GRAIN_SHIFT = 16
ZERO_GRAIN = bytes(GRAIN_SIZE)
DIGEST_SIZE = 16

#: Bytes of the largest virtual disk of vSphere: 62 TiB.
MAX_CAPACITY = 62 << 40
#: Bytes of the largest compressed grain that is accepted; compression can make a grain larger.
MAX_COMPRESSED_GRAIN = 2 * GRAIN_SIZE

_MAGIC = b"STRATAGI"
_HEADER = struct.Struct("<8sIIQQ")


_Data: TypeAlias = "bytes | bytearray | memoryview"


@dataclass(frozen=True)
class GrainHash:
    """An algorithm for the digests of grains.

    ``version`` is that of the formats that store its digests. ``digest`` returns the 16 bytes for the 64 KiB of a
    grain (pad a short last grain with zeros first); ``zero`` is the digest of a grain of zeros.
    """

    name: str
    version: int
    digest: Callable[[_Data], bytes]
    zero: bytes


def _blake2b(data: _Data) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE).digest()


def _blake3(data: _Data) -> bytes:
    digest: bytes = blake3.blake3(data).digest(length=DIGEST_SIZE)
    return digest


#: The algorithm of OS layers that earlier releases imported, and of the images that are based on them.
BLAKE2B = GrainHash("BLAKE2b", 1, _blake2b, _blake2b(ZERO_GRAIN))
#: The algorithm of new OS layers: seven times as fast on a processor with AVX-512.
BLAKE3 = GrainHash("BLAKE3", 2, _blake3, bytes.fromhex("3bdeaf8f8e98780b318106aafdc3ca25"))
#: The algorithms by the version of the formats.
GRAIN_HASHES = {algorithm.version: algorithm for algorithm in (BLAKE2B, BLAKE3)}


def grain_total(size: int) -> int:
    """Return the number of grains that cover ``size`` bytes."""
    return (size + GRAIN_SIZE - 1) >> GRAIN_SHIFT


def grain_device(device: BlockDevice) -> GrainDevice | None:
    """Return ``device`` if it reads whole grains of 64 KiB, else None."""
    if getattr(device, "grain_size", None) == GRAIN_SIZE and hasattr(device, "read_grain"):
        return cast("GrainDevice", device)
    return None


@dataclass(frozen=True)
class GrainDigests:
    """The digests of every grain of a disk that holds data: ``numbers`` ascending, u32 (n,), and ``digests``, u8 (n, 16)."""

    numbers: U32
    digests: U8
    algorithm: GrainHash


class GrainIndex:
    """The position and digest of each grain of a stream-optimized VMDK.

    Only stored grains have a row; every other grain of the disk is zeros. Rows are in
    ascending order of grain number. ``numbers``, ``sectors`` (position of the grain marker
    in the file, in 512-byte sectors) and ``sizes`` (compressed bytes) have shape (n,),
    ``digests`` has shape (n, 16) and was computed with ``algorithm``. ``capacity`` is the disk's size in bytes.
    """

    __slots__ = ("capacity", "numbers", "sectors", "sizes", "digests", "algorithm")

    capacity: int
    numbers: U32
    sectors: U32
    sizes: U32
    digests: U8

    def __init__(
        self,
        capacity: int,
        numbers: ArrayLike,
        sectors: ArrayLike,
        sizes: ArrayLike,
        digests: ArrayLike,
        algorithm: GrainHash,
    ) -> None:
        self.capacity = capacity
        self.numbers = np.ascontiguousarray(numbers, dtype=np.uint32)
        self.sectors = np.ascontiguousarray(sectors, dtype=np.uint32)
        self.sizes = np.ascontiguousarray(sizes, dtype=np.uint32)
        self.digests = np.ascontiguousarray(digests, dtype=np.uint8).reshape(-1, DIGEST_SIZE)
        self.algorithm = algorithm

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def grain_count(self) -> int:
        """The number of grains of the disk, stored or not."""
        return grain_total(self.capacity)

    @property
    def grain_digests(self) -> GrainDigests:
        """The digests of the stored grains."""
        return GrainDigests(self.numbers, self.digests, self.algorithm)

    @property
    def stored_size(self) -> int:
        """The bytes of the disk that are stored: those of all grains that are not zeros, uncompressed."""
        return len(self) * GRAIN_SIZE

    def to_bytes(self) -> bytes:
        """Return the index as bytes: a 32-byte header with the version of the algorithm, then the four arrays, little-endian."""
        return b"".join(
            (
                _HEADER.pack(_MAGIC, self.algorithm.version, GRAIN_SIZE, self.capacity, len(self.numbers)),
                self.numbers.astype("<u4").tobytes(),
                self.sectors.astype("<u4").tobytes(),
                self.sizes.astype("<u4").tobytes(),
                self.digests.tobytes(),
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "The grain index") -> GrainIndex:
        """Read an index from bytes of ``to_bytes``; raise Corrupt ``disk.grains_corrupt`` when it is invalid."""

        def corrupt(cause: str) -> Corrupt:
            return Corrupt(
                f"{name} is damaged: {cause}.",
                code="disk.grains_corrupt",
                hint="Verify the repository and import the OS layer again.",
            )

        if len(data) < _HEADER.size:
            raise corrupt("it is shorter than its header")
        magic, version, grain_size, capacity, count = _HEADER.unpack_from(data)
        algorithm = GRAIN_HASHES.get(version)
        if magic != _MAGIC or algorithm is None or grain_size != GRAIN_SIZE:
            raise corrupt("its header is not that of a grain index of version 1 or 2")
        if not 0 < capacity <= MAX_CAPACITY:
            raise corrupt(f"it gives the disk {capacity} bytes")
        if count > grain_total(capacity) or len(data) != _HEADER.size + count * (12 + DIGEST_SIZE):
            raise corrupt("its length does not match its number of grains")
        arrays = np.frombuffer(data, dtype="<u4", count=3 * count, offset=_HEADER.size).reshape(3, count)
        numbers, sectors, sizes = arrays
        digests = np.frombuffer(data, dtype=np.uint8, offset=_HEADER.size + 12 * count)
        if count:
            if int(numbers[-1]) >= grain_total(capacity) or (numbers[1:] <= numbers[:-1]).any():
                raise corrupt("its grain numbers are not ascending or not within the disk")
            if int(sizes.min()) == 0 or int(sizes.max()) > MAX_COMPRESSED_GRAIN:
                raise corrupt(f"a grain has a compressed size of 0 or more than {MAX_COMPRESSED_GRAIN} bytes")
        return cls(capacity, numbers, sectors, sizes, digests, algorithm)
