# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An independent consistency check of an NTFS volume.

It reads records, clusters, directory indexes, $Secure, $Reparse and $ObjId without
libntfs-3g and checks that they agree with each other. It repairs nothing and does not
check file content. Source: libntfs-3g's layout.h.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

from ...plugins.module_utils.common.arrays import U8
from ...plugins.module_utils.common.optional_imports import np
from ...plugins.module_utils.disk.block_device import BlockDevice
from ...plugins.module_utils.ntfs import attribute_records, file_names
from ...plugins.module_utils.ntfs.attribute_records import Attribute, FileName, Runs
from ...plugins.module_utils.ntfs.damage import damaged
from ...plugins.module_utils.ntfs.file_state import read_state
from ...plugins.module_utils.ntfs.mft import MasterFileTable
from ...plugins.module_utils.ntfs.raw_volume import MFT, RawVolume

_EXTEND, _UPCASE, _SECURE, _ROOT = 11, 10, 9, 5
_FIRST_USER = 24
_MAXIMUM_FINDINGS = 200
_MAXIMUM_DEPTH = 32
_SDS_BLOCK = 0x40000


@dataclasses.dataclass(slots=True)
class MftRecord:
    """A file record in use. ``base`` is the reference of the base record, 0 for a base record itself."""

    number: int
    sequence: int
    link_count: int
    flags: int
    base: int
    attributes: list[Attribute]

    @property
    def is_directory(self) -> bool:
        return bool(self.flags & attribute_records.RECORD_IS_DIRECTORY)

    @property
    def reference(self) -> int:
        return self.number | self.sequence << 48

    def names(self) -> list[FileName]:
        """Return the $FILE_NAMEs in this record."""
        return [
            FileName.unpack(attribute.value or b"", f"File record {self.number}")
            for attribute in self.attributes
            if attribute.type == attribute_records.FILE_NAME
        ]


class RecordTable(MasterFileTable):
    """All file records of a volume as objects, and the clusters that their attributes own."""

    def raw_bitmap(self) -> bytes:
        """Return $MFT's own bitmap of records in use."""
        return self.raw.read(MFT, attribute_records.BITMAP, limit=1 << 30)

    def records(self) -> Iterator[MftRecord]:
        """Yield every record in use, including extension records; raise Corrupt for a record that is damaged."""
        for first, table, sound in self.chunks():
            flags = table[:, 22]
            for row in np.flatnonzero(sound & (flags & attribute_records.RECORD_IN_USE).astype(bool)):
                data = table[row].tobytes()
                sequence, links, _offset, kind = struct.unpack_from("<HHHH", data, 16)
                base = struct.unpack_from("<Q", data, 32)[0]
                number = first + int(row)
                subject = f"{self.raw.subject}, file record {number}"
                yield MftRecord(number, sequence, links, kind, base, list(attribute_records.attributes(data, subject)))

    def owned_clusters(self) -> tuple[U8, int]:
        """Return (for each cluster the number of runs that own it, up to 255; number of runs that leave the volume)."""
        clusters = self.raw.geometry.clusters
        owners = np.zeros(clusters, np.uint8)
        outside = 0
        for record in self.records():
            for attribute in record.attributes:
                if attribute.value is not None:
                    continue
                for length, start in attribute_records.decode_runs(attribute.runs, self.raw.subject):
                    if start is None:
                        continue
                    if start + length > clusters:
                        outside += 1
                        continue
                    part = owners[start : start + length]
                    np.add(part, 1, out=part, where=part < 255)
        return owners, outside


def count_allocated(bitmap: U8) -> int:
    """Return the number of bits that are 1."""
    return int(np.unpackbits(bitmap).sum())


def file_runs(device: BlockDevice, reference: int) -> Runs:
    """Return the runs of the unnamed stream of a file, empty for data inside the file record."""
    state = read_state(MasterFileTable(device), reference & attribute_records.REFERENCE_MASK)
    if state is None:
        raise damaged(device.name, f"file record {reference & attribute_records.REFERENCE_MASK} is not in use")
    content = state.streams[attribute_records.DATA, ""].content
    return list(content) if isinstance(content, tuple) else []


def check(device: BlockDevice, *, entries_follow: bool = False) -> list[str]:
    """Return a sentence for each inconsistency of the NTFS volume on ``device``; empty for a consistent volume.

    With ``entries_follow``, the times, sizes and attributes in directory indexes must equal
    those of the files; Windows itself does not update them for all hard links. Memory is
    proportional to the number of files and clusters. Raises Corrupt when the volume cannot
    be read.
    """
    return _Checker(device, entries_follow).run()


class _Checker:
    def __init__(self, device: BlockDevice, entries_follow: bool) -> None:
        self.table = RecordTable(device)
        self.raw: RawVolume = self.table.raw
        self.entries_follow = entries_follow
        self.findings: list[str] = []
        self.base: dict[int, MftRecord] = {}
        self.extensions: dict[int, list[MftRecord]] = {}
        upcase = self.raw.read(_UPCASE, attribute_records.DATA, limit=131072)
        self.upcase = memoryview(upcase[: len(upcase) & ~1]).cast("H")

    def run(self) -> list[str]:
        for record in self.table.records():
            if record.base:
                self.extensions.setdefault(record.base & attribute_records.REFERENCE_MASK, []).append(record)
            else:
                self.base[record.number] = record
        self.check_records()
        self.check_clusters()
        self.check_names()
        self.check_security()
        self.check_extend("$Reparse", "$R", attribute_records.REPARSE_POINT)
        self.check_extend("$ObjId", "$O", attribute_records.OBJECT_ID)
        return self.findings[:_MAXIMUM_FINDINGS]

    def _report(self, sentence: str) -> None:
        if len(self.findings) < _MAXIMUM_FINDINGS:
            self.findings.append(sentence)

    def all_attributes(self, record: MftRecord) -> list[Attribute]:
        result = list(record.attributes)
        for extension in self.extensions.get(record.number, ()):
            if extension.base >> 48 == record.sequence:
                result += extension.attributes
        return result

    def check_records(self) -> None:
        bitmap = self.table.raw_bitmap()
        used = set(self.base)
        for base, parts in self.extensions.items():
            for part in parts:
                used.add(part.number)
                if base not in self.base or self.base[base].sequence != part.base >> 48:
                    self._report(f"File record {part.number} extends record {base}, which does not exist.")
        for number in range(_FIRST_USER, self.table.record_count):
            marked = number // 8 < len(bitmap) and bitmap[number // 8] >> number % 8 & 1
            if bool(marked) != (number in used):
                self._report(
                    f"File record {number} is {'marked' if marked else 'not marked'} in $MFT's bitmap but {'in use' if number in used else 'free'}."
                )

    def check_clusters(self) -> None:
        owners, outside = self.table.owned_clusters()
        bits = np.unpackbits(self.table.cluster_bitmap(), bitorder="little")[: len(owners)]
        if outside:
            self._report(f"{outside} runs leave the volume.")
        for mask, problem in (
            (owners > 1, "belong to more than one file"),
            ((owners > 0) & (bits == 0), "belong to a file but are free in $Bitmap"),
            ((owners == 0) & (bits == 1), "are used in $Bitmap but belong to no file"),
        ):
            count = int(mask.sum())
            if count:
                self._report(f"{count} clusters {problem}, the first is {int(np.flatnonzero(mask)[0])}.")

    # -- directories

    def fold(self, name: str) -> tuple[list[int], list[int]]:
        units = memoryview(file_names.encode(name)).cast("H")
        limit = len(self.upcase)
        return [self.upcase[unit] if unit < limit else unit for unit in units], list(units)

    def check_names(self) -> None:
        expected: dict[int, set[tuple[int, int, str]]] = {}
        for record in self.base.values():
            names = [
                FileName.unpack(attribute.value or b"", f"File record {record.number}")
                for attribute in self.all_attributes(record)
                if attribute.type == attribute_records.FILE_NAME
            ]
            if len(names) != record.link_count and record.number >= _FIRST_USER:
                self._report(f"File record {record.number} has {len(names)} names but counts {record.link_count}.")
            if not names and record.number >= _FIRST_USER:
                self._report(f"File record {record.number} has no name.")
            spaces = sorted(name.namespace for name in names if name.namespace in (file_names.WIN32, file_names.DOS))
            if spaces not in ([], [file_names.WIN32, file_names.DOS]):
                self._report(f"File record {record.number} has a long or 8.3 name without its counterpart.")
            for name in names:
                parent = self.base.get(name.parent & attribute_records.REFERENCE_MASK)
                if parent is None or parent.reference != name.parent or not parent.is_directory:
                    self._report(f"File record {record.number} says that it is in a directory that does not exist.")
                    continue
                expected.setdefault(parent.number, set()).add((record.reference, name.namespace, name.name))
        for record in self.base.values():
            if record.is_directory and any(
                attribute.type == attribute_records.INDEX_ROOT and attribute.name == "$I30"
                for attribute in self.all_attributes(record)
            ):
                self.check_directory(record, expected.get(record.number, set()))

    def check_directory(self, record: MftRecord, expected: set[tuple[int, int, str]]) -> None:
        seen: set[tuple[int, int, str]] = set()
        last = None
        folded: set[tuple[int, ...]] = set()
        for key, reference in self.index(record.number, "$I30"):
            name = FileName.unpack(key, f"The index of file record {record.number}")
            order = self.fold(name.name)
            if last is not None and order <= last:
                self._report(f"The index of file record {record.number} is out of order at {name.name!r}.")
            last = order
            if tuple(order[0]) in folded and reference & attribute_records.REFERENCE_MASK >= _FIRST_USER:
                self._report(f"The directory with file record {record.number} contains {name.name!r} twice.")
            folded.add(tuple(order[0]))
            seen.add((reference, name.namespace, name.name))
            if self.entries_follow and reference & attribute_records.REFERENCE_MASK >= _FIRST_USER:
                self.check_entry(record.number, reference, name)
        index = f"The index of file record {record.number}"
        for reference, _space, text in sorted(seen - expected)[:5]:
            number = reference & attribute_records.REFERENCE_MASK
            self._report(f"{index} has {text!r} of record {number}, which does not have this name.")
        for reference, _space, text in sorted(expected - seen)[:5]:
            number = reference & attribute_records.REFERENCE_MASK
            self._report(f"{index} lacks {text!r} of record {number}.")

    def check_entry(self, directory: int, reference: int, name: FileName) -> None:
        record = self.base.get(reference & attribute_records.REFERENCE_MASK)
        if record is None:
            return
        allocated = size = 0
        standard = b""
        for attribute in self.all_attributes(record):
            if attribute.type == attribute_records.STANDARD_INFORMATION:
                standard = attribute.value or b""
            elif (
                attribute.type == attribute_records.DATA
                and not attribute.name
                and not attribute.lowest_vcn
                and not record.is_directory
            ):
                size = attribute.size
                allocated = attribute.allocated if attribute.value is None else attribute.size + 7 & ~7
                if attribute.value is None and attribute.flags & 0x80FF:
                    allocated = attribute.compressed
        if len(standard) < 48:
            self._report(f"File record {record.number} has no standard information.")
            return
        created, written, changed, accessed, attributes = struct.unpack_from("<qqqqI", standard)
        have = (
            name.created,
            name.written,
            name.changed,
            name.accessed,
            name.allocated,
            name.size,
            name.attributes & ~attribute_records.I30_PRESENT,
        )
        if have != (created, written, changed, accessed, allocated, size, attributes):
            self._report(
                f"The index of file record {directory} and file record {record.number} differ about {name.name!r}."
            )

    def index(self, number: int, name: str) -> Iterator[tuple[bytes, int]]:
        """Yield (key, first eight bytes of the entry) of an index in its order."""
        root = self.raw.read(number, attribute_records.INDEX_ROOT, name, limit=65536)
        size = struct.unpack_from("<I", root, 8)[0]
        allocation = self.raw.find(number, attribute_records.INDEX_ALLOCATION, name)
        bitmap = self.raw.read(number, attribute_records.BITMAP, name, limit=1 << 24) if allocation else b""
        unit = self.raw.geometry.cluster_size if self.raw.geometry.cluster_size <= size else 512
        visited: set[int] = set()

        def node(block: bytes | bytearray, header: int, depth: int) -> Iterator[tuple[bytes, int]]:
            first, used = struct.unpack_from("<II", block, header)
            position, end = header + first, min(header + used, len(block))
            while position + 16 <= end:
                head, length, key_length, flags = struct.unpack_from("<QHHH", block, position)
                if length < 16 or length % 8 or position + length > end or key_length > length - 16:
                    break
                if flags & 1:
                    yield from child(struct.unpack_from("<q", block, position + length - 8)[0], depth + 1)
                if flags & 2:
                    return
                yield bytes(block[position + 16 : position + 16 + key_length]), head
                position += length
            self._report(f"An index block {name} of file record {number} is inconsistent.")

        def child(vcn: int, depth: int) -> Iterator[tuple[bytes, int]]:
            where = vcn * unit // size
            if (
                vcn < 0
                or depth > _MAXIMUM_DEPTH
                or vcn in visited
                or not allocation
                or (where + 1) * size > allocation[0].size
            ):
                self._report(f"The index {name} of file record {number} points to a block that does not exist.")
                return
            visited.add(vcn)
            if where // 8 >= len(bitmap) or not bitmap[where // 8] >> where % 8 & 1:
                self._report(f"The index {name} of file record {number} uses a block that is free in its bitmap.")
            block = bytearray(self.raw.read_runs(allocation[1], vcn * unit, size))
            attribute_records.unprotect(block, b"INDX", self.raw.subject)
            yield from node(block, 24, depth)

        yield from node(root, 16, 0)

    # -- $Secure and $Extend

    def check_security(self) -> None:
        data = self.raw.read(_SECURE, attribute_records.DATA, "$SDS", limit=1 << 30)
        known: dict[int, tuple[int, int, int]] = {}
        for start in range(0, len(data), 2 * _SDS_BLOCK):
            position, end = start, min(start + _SDS_BLOCK, len(data))
            while position + 20 <= end:
                digest, number, offset, length = struct.unpack_from("<IIQI", data, position)
                if not length or offset != position or position + length > end:
                    break
                known[number] = (digest, offset, length)
                mirrored = data[position + _SDS_BLOCK : position + _SDS_BLOCK + length]
                if mirrored != data[position : position + length]:
                    self._report(f"Security descriptor {number} differs from its copy.")
                position += length + 15 & ~15
        for index, key_size in (("$SII", 4), ("$SDH", 8)):
            listed = {
                struct.unpack_from("<I", key, key_size - 4)[0]
                for key, _head in self.index(_SECURE, index)
                if len(key) >= key_size
            }
            if listed != set(known):
                self._report(f"$Secure:{index} and $Secure:$SDS hold different security descriptors.")
        for record in self.base.values():
            for attribute in record.attributes:
                if (
                    attribute.type == attribute_records.STANDARD_INFORMATION
                    and attribute.value is not None
                    and len(attribute.value) >= 72
                ):
                    number = struct.unpack_from("<I", attribute.value, 52)[0]
                    if number and number not in known:
                        self._report(
                            f"File record {record.number} has security descriptor {number}, which $Secure does not contain."
                        )
                    if (
                        not number
                        and record.number >= _FIRST_USER
                        and not any(other.type == attribute_records.SECURITY_DESCRIPTOR for other in record.attributes)
                    ):
                        self._report(f"File record {record.number} has no security descriptor.")

    def check_extend(self, name: str, index: str, kind: int) -> None:
        named = (
            (record.number, attribute.parent & attribute_records.REFERENCE_MASK)
            for record in self.base.values()
            for attribute in record.names()
            if attribute.name == name
        )
        number = next((number for number, parent in named if parent == _EXTEND), None)
        if number is None:
            return
        # $R is keyed by tag and file reference, $O by object ID.
        expected = set()
        for record in self.base.values():
            for attribute in self.all_attributes(record):
                if attribute.type == kind:
                    value = (
                        attribute.value if attribute.value is not None else self.raw.read(record.number, kind, count=16)
                    )
                    expected.add(
                        value[:4] + struct.pack("<Q", record.reference)
                        if kind == attribute_records.REPARSE_POINT
                        else value[:16]
                    )
        listed = {
            key[: 12 if kind == attribute_records.REPARSE_POINT else 16] for key, _head in self.index(number, index)
        }
        if listed != expected:
            self._report(
                f"{name} lists {len(listed)} files and {len(expected)} are marked; {len(listed ^ expected)} differ."
            )
