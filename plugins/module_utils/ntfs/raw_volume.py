# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NTFS read without libntfs-3g: file records and their data, straight from the clusters.

For what must be known before a mount (state), what the library cannot do (growing) and
what has to be checked independently of it (mft). Source: libntfs-3g's layout.h.
"""

from __future__ import annotations

import struct

from ..common.errors import Corrupt
from ..disk.block_device import BlockDevice
from . import attribute_records, boot

MFT, MIRROR, LOG_FILE, VOLUME, ROOT, BITMAP, BAD_CLUSTERS = 0, 1, 2, 3, 5, 6, 8
#: Larger attribute lists are not believed.
_MAXIMUM_LIST = 256 * 1024
#: More pieces of one attribute than this are not believed.
_MAXIMUM_RUNS = 4_000_000


class RawVolume:
    """The records of the NTFS on ``device``: ``geometry`` and reading by cluster, run and attribute."""

    def __init__(self, device: BlockDevice) -> None:
        self.device = device
        self.geometry = boot.read_geometry(device)
        self.what = f"The NTFS volume on {device.name}"
        size = self.geometry.record_size
        first = bytearray(device.pread(size, self.geometry.mft_cluster * self.geometry.cluster_size))
        attribute_records.unprotect(first, b"FILE", f"{self.what}, file record 0")
        base = [
            one
            for one in attribute_records.attributes(first, self.what)
            if one.type == attribute_records.DATA and not one.name
        ]
        if not base or base[0].value is not None:
            raise attribute_records.damaged(self.what, "$MFT has no data")
        self._mft_runs = self._checked(attribute_records.decode_runs(base[0].runs, self.what))
        self.mft_size = base[0].initialized
        covered = sum(length for length, _first in self._mft_runs) * self.geometry.cluster_size
        if covered < base[0].size:
            # $MFT itself has an attribute list: its first part, above, locates the records with the rest.
            self._mft_runs = self.attribute(MFT, attribute_records.DATA)[1]
            covered = sum(length for length, _first in self._mft_runs) * self.geometry.cluster_size
        self.mft_size = min(self.mft_size, covered)

    @property
    def mft_runs(self) -> list[tuple[int, int | None]]:
        """[(clusters, first cluster)] of $MFT."""
        return self._mft_runs

    @property
    def record_count(self) -> int:
        return self.mft_size // self.geometry.record_size

    def _checked(self, runs: list[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
        clusters = self.geometry.clusters
        if len(runs) > _MAXIMUM_RUNS:
            raise attribute_records.damaged(self.what, "a file has too many pieces")
        for length, first in runs:
            if first is not None and first + length > clusters:
                raise attribute_records.damaged(self.what, "a run lies outside it")
        return runs

    def pieces(self, runs: list[tuple[int, int | None]], offset: int, count: int):
        """Yield (device offset or None for a hole, bytes) that make up ``count`` bytes from ``offset`` of runs."""
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
            raise attribute_records.damaged(self.what, "a file is shorter than it claims")

    def read_runs(self, runs: list[tuple[int, int | None]], offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset`` of what the runs hold."""
        return b"".join(
            bytes(part) if start is None else self.device.pread(part, start)
            for start, part in self.pieces(runs, offset, count)
        )

    def record(self, number: int) -> bytearray:
        """Return a file record with its fixups undone; Corrupt when it is none or unreadable."""
        size = self.geometry.record_size
        if not 0 <= number < self.record_count:
            raise attribute_records.damaged(self.what, f"it refers to file record {number} of {self.record_count}")
        data = bytearray(self.read_runs(self._mft_runs, number * size, size))
        attribute_records.unprotect(data, b"FILE", f"{self.what}, file record {number}")
        return data

    def write_record(self, number: int, data: bytearray) -> None:
        """Write a record whose fixups are undone, and its copy in $MFTMirr when it has one."""
        size = self.geometry.record_size
        protected = bytearray(data)
        attribute_records.protect(protected)
        position = 0
        for start, part in self.pieces(self._mft_runs, number * size, size):
            if start is None:
                raise attribute_records.damaged(self.what, "$MFT has a hole")
            self.device.pwrite(bytes(protected[position : position + part]), start)
            position += part
        mirror = self.attribute(MIRROR, attribute_records.DATA)
        if (number + 1) * size <= mirror[0].size:
            position = 0
            for start, part in self.pieces(mirror[1], number * size, size):
                if start is not None:
                    self.device.pwrite(bytes(protected[position : position + part]), start)
                position += part

    def attribute(
        self, number: int, kind: int, name: str = ""
    ) -> tuple[attribute_records.Attribute, list[tuple[int, int | None]]]:
        """Return an attribute of a file and all its runs (none when resident); Corrupt when it is missing.

        The attribute's sizes are those of its first part.
        """
        found = self.find(number, kind, name)
        if found is None:
            raise attribute_records.damaged(self.what, f"file record {number} has no attribute {kind:#x}")
        return found

    def find(
        self, number: int, kind: int, name: str = ""
    ) -> tuple[attribute_records.Attribute, list[tuple[int, int | None]]] | None:
        """As attribute(), None when it is missing."""
        record = self.record(number)
        own = list(attribute_records.attributes(record, self.what))
        listing = [one for one in own if one.type == attribute_records.ATTRIBUTE_LIST]
        parts = [one for one in own if one.type == kind and one.name == name]
        if listing:
            parts = self._listed(number, listing[0], own, kind, name)
        if not parts:
            return None
        first = parts[0]
        if first.value is not None:
            return first, []
        runs: list[tuple[int, int | None]] = []
        expected = 0
        for part in parts:
            if part.value is not None or part.lowest_vcn != expected:
                raise attribute_records.damaged(self.what, f"attribute {kind:#x} of file record {number} is not whole")
            more = self._checked(attribute_records.decode_runs(part.runs, self.what))
            runs += more
            expected += sum(length for length, _first in more)
        return first, self._checked(runs)

    def _listed(
        self,
        number: int,
        listing: attribute_records.Attribute,
        own: list[attribute_records.Attribute],
        kind: int,
        name: str,
    ) -> list[attribute_records.Attribute]:
        if listing.value is not None:
            data = listing.value
        else:
            if listing.size > _MAXIMUM_LIST:
                raise attribute_records.damaged(
                    self.what, f"file record {number} has a list of attributes of {listing.size} bytes"
                )
            data = self.read_runs(
                self._checked(attribute_records.decode_runs(listing.runs, self.what)), 0, listing.size
            )
        parts: list[attribute_records.Attribute] = []
        cache: dict[int, list[attribute_records.Attribute]] = {number: own}
        position = 0
        while position + 26 <= len(data):
            entry_kind, length, name_length, name_offset, lowest, reference, instance = struct.unpack_from(
                "<IHBBqQH", data, position
            )
            if length < 26 or position + length > len(data) or name_offset + 2 * name_length > length:
                raise attribute_records.damaged(
                    self.what, f"the list of attributes of file record {number} does not fit"
                )
            if entry_kind == kind:
                holder = reference & attribute_records.REFERENCE_MASK
                if holder not in cache:
                    cache[holder] = list(attribute_records.attributes(self.record(holder), self.what))
                for one in cache[holder]:
                    if one.type == kind and one.name == name and one.instance == instance and one.lowest_vcn == lowest:
                        parts.append(one)
            position += length
        return sorted(parts, key=lambda one: one.lowest_vcn)

    def read(
        self, number: int, kind: int, name: str = "", *, offset: int = 0, count: int | None = None, limit: int = 1 << 30
    ) -> bytes:
        """Return bytes of an attribute, everything by default; Corrupt when that is more than ``limit``."""
        attribute, runs = self.attribute(number, kind, name)
        available = max(attribute.size - offset, 0)
        count = available if count is None else min(count, available)
        if count > limit:
            raise attribute_records.damaged(
                self.what, f"attribute {kind:#x} of file record {number} claims {attribute.size} bytes"
            )
        if attribute.value is not None:
            return attribute.value[offset : offset + count]
        if attribute.flags & 0xFF:
            raise Corrupt(f"{self.what} has compressed metadata, which NTFS does not have.", code="ntfs.damaged")
        valid = max(min(count, attribute.initialized - offset), 0)
        return self.read_runs(runs, offset, valid) + bytes(count - valid)

    def root_reference(self, name: str) -> int | None:
        """Return the record number of a file in the root directory by its ASCII name, whatever its case."""
        wanted = name.upper()
        for data, header in self._root_blocks():
            first, used = struct.unpack_from("<II", data, header)
            position, end = header + first, min(header + used, len(data))
            while position + 16 <= end:
                reference, length, key_length, flags = struct.unpack_from("<QHHH", data, position)
                if length < 16 or key_length > length - 16 or position + length > end:
                    raise attribute_records.damaged(self.what, "the root directory's index does not fit")
                if flags & 2:
                    break
                entry = attribute_records.FileName.unpack(
                    bytes(data[position + 16 : position + 16 + key_length]), self.what
                )
                if entry.name.upper() == wanted:
                    return reference & attribute_records.REFERENCE_MASK
                position += length
        return None

    def _root_blocks(self):
        root = self.read(ROOT, attribute_records.INDEX_ROOT, "$I30", limit=65536)
        if len(root) < 32:
            raise attribute_records.damaged(self.what, "the root directory has no index")
        yield root, 16
        allocation = self.find(ROOT, attribute_records.INDEX_ALLOCATION, "$I30")
        if allocation is None:
            return
        size = struct.unpack_from("<I", root, 8)[0]
        if not 512 <= size <= 65536 or size & (size - 1):
            raise attribute_records.damaged(self.what, "the root directory's index does not fit")
        used = self.read(ROOT, attribute_records.BITMAP, "$I30", limit=1 << 20)
        for number in range(min(allocation[0].size // size, 8 * len(used))):
            if used[number // 8] >> number % 8 & 1:
                block = bytearray(self.read_runs(allocation[1], number * size, size))
                attribute_records.unprotect(block, b"INDX", self.what)
                yield block, 24
