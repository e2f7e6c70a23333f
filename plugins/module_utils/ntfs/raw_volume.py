# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read NTFS file records and their data from the clusters, without libntfs-3g.

Used for checks before a mount (volume_state), for growing a volume, which the library
cannot do (resize), and for reading all of $MFT (mft). Source: libntfs-3g's layout.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..disk.block_device import BlockDevice
from . import attribute_records, boot
from .attribute_records import Attribute, Runs
from .damage import damaged

MFT, MIRROR, LOG_FILE, VOLUME, ROOT, BITMAP, BAD_CLUSTERS = 0, 1, 2, 3, 5, 6, 8
#: Bytes of the largest valid attribute list.
_MAXIMUM_LIST = 256 * 1024
#: The largest valid number of runs of an attribute.
_MAXIMUM_RUNS = 4_000_000


class RawVolume:
    """The file records of the NTFS volume on ``device``; ``subject`` is its name in error messages."""

    def __init__(self, device: BlockDevice) -> None:
        self.device = device
        self.geometry = boot.read_geometry(device)
        self.subject = f"The NTFS volume on {device.name}"
        size = self.geometry.record_size
        first = bytearray(device.pread(size, self.geometry.mft_cluster * self.geometry.cluster_size))
        attribute_records.unprotect(first, b"FILE", f"{self.subject}, file record 0")
        base = [
            attribute
            for attribute in attribute_records.attributes(first, self.subject)
            if attribute.type == attribute_records.DATA and not attribute.name
        ]
        if not base or base[0].value is not None:
            raise damaged(self.subject, "$MFT has no data")
        self._mft_runs = self._checked(attribute_records.decode_runs(base[0].runs, self.subject))
        self.mft_size = base[0].initialized
        covered = sum(length for length, _first in self._mft_runs) * self.geometry.cluster_size
        if covered < base[0].size:
            # $MFT has an attribute list: the runs of its first part, above, contain the records with the other parts.
            self._mft_runs = self.attribute(MFT, attribute_records.DATA)[1]
            covered = sum(length for length, _first in self._mft_runs) * self.geometry.cluster_size
        self.mft_size = min(self.mft_size, covered)

    @property
    def mft_runs(self) -> Runs:
        """The runs of $MFT."""
        return self._mft_runs

    @property
    def record_count(self) -> int:
        """The number of file records in $MFT, used or not."""
        return self.mft_size // self.geometry.record_size

    def _checked(self, runs: Runs) -> Runs:
        clusters = self.geometry.clusters
        if len(runs) > _MAXIMUM_RUNS:
            raise damaged(self.subject, "a file has too many runs")
        for length, first in runs:
            if first is not None and first + length > clusters:
                raise damaged(self.subject, "a run is outside the volume")
        return runs

    def pieces(self, runs: Runs, offset: int, count: int) -> Iterator[tuple[int | None, int]]:
        """Yield (device offset or None for a hole, bytes) of the pieces of ``count`` bytes from ``offset`` of ``runs``."""
        size = self.geometry.cluster_size
        position = 0
        for length, first in runs:
            end = position + length * size
            if count and offset < end:
                inside = offset - position
                part = min(count, end - offset)
                yield None if first is None else first * size + inside, part
                offset += part
                count -= part
            position = end
            if not count:
                return
        if count:
            raise damaged(self.subject, "a file has fewer clusters than its size needs")

    def read_runs(self, runs: Runs, offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset`` of the data in ``runs``."""
        return b"".join(
            bytes(part) if start is None else self.device.pread(part, start)
            for start, part in self.pieces(runs, offset, count)
        )

    def record(self, number: int) -> bytearray:
        """Return a file record with its fixups undone; raise Corrupt when it is damaged or does not exist."""
        size = self.geometry.record_size
        if not 0 <= number < self.record_count:
            raise damaged(
                self.subject, f"it refers to file record {number}, but has only {self.record_count} file records"
            )
        data = bytearray(self.read_runs(self._mft_runs, number * size, size))
        attribute_records.unprotect(data, b"FILE", f"{self.subject}, file record {number}")
        return data

    def write_record(self, number: int, data: bytearray) -> None:
        """Write a record whose fixups are undone, and its copy in $MFTMirr if there is a copy."""
        size = self.geometry.record_size
        protected = bytearray(data)
        attribute_records.protect(protected)
        position = 0
        for start, part in self.pieces(self._mft_runs, number * size, size):
            if start is None:
                raise damaged(self.subject, "$MFT has a hole")
            self.device.pwrite(bytes(protected[position : position + part]), start)
            position += part
        mirror = self.attribute(MIRROR, attribute_records.DATA)
        if (number + 1) * size <= mirror[0].size:
            position = 0
            for start, part in self.pieces(mirror[1], number * size, size):
                if start is not None:
                    self.device.pwrite(bytes(protected[position : position + part]), start)
                position += part

    def attribute(self, number: int, kind: int, name: str = "") -> tuple[Attribute, Runs]:
        """Return an attribute of a file and all its runs (none when resident); raise Corrupt when it does not exist.

        The attribute's sizes are those of its first part.
        """
        result = self.find(number, kind, name)
        if result is None:
            raise damaged(self.subject, f"file record {number} has no attribute {kind:#x}")
        return result

    def find(self, number: int, kind: int, name: str = "") -> tuple[Attribute, Runs] | None:
        """Return the same as ``attribute``, but None when the attribute does not exist."""
        record = self.record(number)
        own = list(attribute_records.attributes(record, self.subject))
        listing = [attribute for attribute in own if attribute.type == attribute_records.ATTRIBUTE_LIST]
        parts = [attribute for attribute in own if attribute.type == kind and attribute.name == name]
        if listing:
            parts = self._listed(number, listing[0], own, kind, name)
        if not parts:
            return None
        first = parts[0]
        if first.value is not None:
            return first, []
        runs: Runs = []
        expected = 0
        for part in parts:
            if part.value is not None or part.lowest_vcn != expected:
                raise damaged(self.subject, f"attribute {kind:#x} of file record {number} is incomplete")
            more = self._checked(attribute_records.decode_runs(part.runs, self.subject))
            runs += more
            expected += sum(length for length, _first in more)
        return first, self._checked(runs)

    def _listed(
        self,
        number: int,
        listing: Attribute,
        own: list[Attribute],
        kind: int,
        name: str,
    ) -> list[Attribute]:
        if listing.value is not None:
            data = listing.value
        else:
            if listing.size > _MAXIMUM_LIST:
                raise damaged(self.subject, f"file record {number} has a list of attributes of {listing.size} bytes")
            data = self.read_runs(
                self._checked(attribute_records.decode_runs(listing.runs, self.subject)), 0, listing.size
            )
        parts: list[Attribute] = []
        cache: dict[int, list[Attribute]] = {number: own}
        position = 0
        while position + 26 <= len(data):
            entry_kind, length, name_length, name_offset, lowest, reference, instance = struct.unpack_from(
                "<IHBBqQH", data, position
            )
            if length < 26 or position + length > len(data) or name_offset + 2 * name_length > length:
                raise damaged(self.subject, f"the list of attributes of file record {number} does not fit")
            if entry_kind == kind:
                holder = reference & attribute_records.REFERENCE_MASK
                if holder not in cache:
                    cache[holder] = list(attribute_records.attributes(self.record(holder), self.subject))
                for attribute in cache[holder]:
                    if (
                        attribute.type == kind
                        and attribute.name == name
                        and attribute.instance == instance
                        and attribute.lowest_vcn == lowest
                    ):
                        parts.append(attribute)
            position += length
        return sorted(parts, key=lambda attribute: attribute.lowest_vcn)

    def read(
        self, number: int, kind: int, name: str = "", *, offset: int = 0, count: int | None = None, limit: int = 1 << 30
    ) -> bytes:
        """Return bytes of an attribute, all of them by default; raise Corrupt for more than ``limit`` bytes."""
        attribute, runs = self.attribute(number, kind, name)
        available = max(attribute.size - offset, 0)
        count = available if count is None else min(count, available)
        if count > limit:
            raise damaged(
                self.subject,
                f"attribute {kind:#x} of file record {number} has an impossible size of {attribute.size} bytes",
            )
        if attribute.value is not None:
            return attribute.value[offset : offset + count]
        if attribute.flags & 0xFF:
            raise damaged(self.subject, "its metadata is marked as compressed")
        valid = max(min(count, attribute.initialized - offset), 0)
        return self.read_runs(runs, offset, valid) + bytes(count - valid)

    def root_reference(self, name: str) -> int | None:
        """Return the record number of a file in the root directory by its ASCII name, ignoring case; None if it does not exist."""
        folded = name.upper()
        for data, header in self._root_blocks():
            first, used = struct.unpack_from("<II", data, header)
            position, end = header + first, min(header + used, len(data))
            while position + 16 <= end:
                reference, length, key_length, flags = struct.unpack_from("<QHHH", data, position)
                if length < 16 or key_length > length - 16 or position + length > end:
                    raise damaged(self.subject, "the root directory's index does not fit")
                if flags & 2:
                    break
                entry = attribute_records.FileName.unpack(
                    bytes(data[position + 16 : position + 16 + key_length]), self.subject
                )
                if entry.name.upper() == folded:
                    return reference & attribute_records.REFERENCE_MASK
                position += length
        return None

    def _root_blocks(self) -> Iterator[tuple[bytes | bytearray, int]]:
        """Yield (block, offset of its index header) of each block of the root directory's index."""
        root = self.read(ROOT, attribute_records.INDEX_ROOT, "$I30", limit=65536)
        if len(root) < 32:
            raise damaged(self.subject, "the root directory has no index")
        yield root, 16
        allocation = self.find(ROOT, attribute_records.INDEX_ALLOCATION, "$I30")
        if allocation is None:
            return
        size = struct.unpack_from("<I", root, 8)[0]
        if not 512 <= size <= 65536 or size & (size - 1):
            raise damaged(self.subject, "the root directory's index does not fit")
        used = self.read(ROOT, attribute_records.BITMAP, "$I30", limit=1 << 20)
        for number in range(min(allocation[0].size // size, 8 * len(used))):
            if used[number // 8] >> number % 8 & 1:
                block = bytearray(self.read_runs(allocation[1], number * size, size))
                attribute_records.unprotect(block, b"INDX", self.subject)
                yield block, 24
