# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a volume with dissect.ntfs, which shares no code with the engine, and compare it with a manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Iterable
from typing import BinaryIO

from dissect.ntfs import NTFS
from dissect.util.stream import RangeStream

from .plan import DIRECTORY, MIB, Expected

_STANDARD_INFORMATION, _FILE_NAME, _OBJECT_ID, _DATA, _REPARSE_POINT, _EA = 0x10, 0x30, 0x40, 0x80, 0xC0, 0xE0
_DOS = 2
_ROOT = 5
_FIRST_USER = 16
_SDS_MIRROR = 0x40000


@dataclasses.dataclass
class Found(Expected):
    """One path as it was found; ``record`` is its file record, ``names`` how many names that has."""

    record: int = 0


def read_volume(image: str, offset: int, size: int) -> dict[str, Found]:
    """Return the content of the NTFS volume at ``offset`` of a raw image, by path."""
    with open(image, "rb") as stream:
        return read_stream(RangeStream(stream, offset, size))


def read_stream(stream: BinaryIO) -> dict[str, Found]:
    """As ``read_volume``, of a stream that is the volume."""
    volume = NTFS(stream)
    descriptors = _descriptors(volume)
    result: dict[str, Found] = {}
    seen: dict[int, Found] = {}
    waiting = [("", volume.mft.get(_ROOT), None)]
    while waiting:
        path, record, parent = waiting.pop()
        known = seen.get(record.segment)
        if known is None:
            known = seen[record.segment] = _facts(record, descriptors)
        result[path] = dataclasses.replace(known, short_name=_short_name(record, parent, path.rpartition("/")[2]))
        if not record.is_dir():
            continue
        for entry in record.iterdir(ignore_dos=True):
            child = entry.dereference()
            name = entry.attribute.file_name
            if (
                child.segment != _ROOT
                and child.segment >= _FIRST_USER
                and not (record.segment == _ROOT and name == "$Extend")
            ):
                _check_entry(entry, child, f"{path}/{name}")
                waiting.append((f"{path}/{name}" if path else name, child, record.segment))
    return result


def _descriptors(volume: NTFS) -> dict[int, bytes]:
    """Return every descriptor of $Secure:$SDS by its number, read from the bytes; both copies must agree."""
    data = volume.mft.get(9).open("$SDS").read()
    found: dict[int, bytes] = {}
    position = 0
    while position + 20 <= len(data):
        _hash, number, offset, length = struct.unpack_from("<IIQI", data, position)
        if not length:
            position = (position // (2 * _SDS_MIRROR) + 1) * 2 * _SDS_MIRROR
            continue
        if (
            offset != position
            or data[position : position + length] != data[position + _SDS_MIRROR : position + _SDS_MIRROR + length]
        ):
            raise ValueError(f"$SDS contradicts itself at {position}")
        found[number] = data[position + 20 : position + length]
        position += (length + 15) & ~15
        if position % (2 * _SDS_MIRROR) >= _SDS_MIRROR:
            position = (position // (2 * _SDS_MIRROR) + 1) * 2 * _SDS_MIRROR
    return found


def _check_entry(entry, record, path: str) -> None:
    """Check that times and attributes in the directory equal those of the file."""
    standard = record.attributes[_STANDARD_INFORMATION][0].data()
    copy = entry.attribute.attr
    times = (copy.CreationTime, copy.LastModificationTime, copy.LastChangeTime, copy.LastAccessTime)
    if times != struct.unpack_from("<QQQQ", standard):
        raise ValueError(f"the directory has other times for {path} than its record")
    if copy.FileAttributes & 0xFFFF != struct.unpack_from("<I", standard, 32)[0] & 0xFFFF:
        raise ValueError(f"the directory has other attributes for {path} than its record")


def _raw(record, kind: int) -> str | None:
    attributes = record.attributes[kind]
    return attributes[0].data().hex() if attributes else None


def _facts(record, descriptors: dict[int, bytes]) -> Found:
    standard = record.attributes[_STANDARD_INFORMATION][0].data()
    created, written, changed, accessed = struct.unpack_from("<QQQQ", standard)
    attributes = struct.unpack_from("<I", standard, 32)[0] | (DIRECTORY if record.is_dir() else 0)
    size, checksum = 0, None
    if not record.is_dir():
        size, checksum = _digest(record.open())
    streams = {}
    for name in sorted({attribute.name for attribute in record.attributes[_DATA]} - {""}):
        streams[name] = _digest(record.open(name))[1]
    names = sum(attribute.flags != _DOS for attribute in record.attributes[_FILE_NAME])
    return Found(
        kind="directory" if record.is_dir() else "file",
        attributes=attributes,
        created=created,
        written=written,
        accessed=accessed,
        changed=changed,
        security=descriptors[struct.unpack_from("<I", standard, 52)[0]].hex(),
        size=size,
        sha256=checksum,
        reparse=_raw(record, _REPARSE_POINT),
        streams=streams,
        object_id=_raw(record, _OBJECT_ID),
        eas=_raw(record, _EA),
        names=names,
        record=record.segment,
    )


def _digest(stream: BinaryIO) -> tuple[int, str]:
    checksum, size = hashlib.sha256(), 0
    while chunk := stream.read(4 * MIB):
        checksum.update(chunk)
        size += len(chunk)
    return size, checksum.hexdigest()


def _short_name(record, parent: int | None, name: str) -> str | None:
    names = [attribute.attribute for attribute in record.attributes[_FILE_NAME]]
    mine = [entry for entry in names if entry.attr.ParentDirectory.SegmentNumberLowPart == parent]
    if not any(entry.file_name == name and entry.flags == 1 for entry in mine):
        return None
    return next((entry.file_name for entry in mine if entry.flags == _DOS), None)


def differences(expected: dict[str, Expected], found: dict[str, Found], ignore: Iterable[str] = ()) -> list[str]:
    """Return a line for each difference; ``ignore`` has names of facts that are not compared."""
    lines = [f"{path}: missing" for path in sorted(expected.keys() - found.keys())]
    lines += [f"{path}: not expected" for path in sorted(found.keys() - expected.keys())]
    compared = {field.name for field in dataclasses.fields(Expected)} - {"kind", "link_target", "names", *ignore}
    for path in sorted(expected.keys() & found.keys()):
        planned, have = expected[path], found[path]
        first = expected[planned.link_target] if planned.link_target else planned
        if have.kind != first.kind:
            lines.append(f"{path}: {have.kind} instead of {first.kind}")
        if planned.link_target and found.get(planned.link_target, have).record != have.record:
            lines.append(f"{path}: not the same file as {planned.link_target}")
        if have.names != first.names:
            lines.append(f"{path}: {have.names} names instead of {first.names}")
        for name in sorted(compared):
            if getattr(planned, name) != getattr(have, name):
                lines.append(f"{path}: {name} is {getattr(have, name)} instead of {getattr(planned, name)}")
    return lines
