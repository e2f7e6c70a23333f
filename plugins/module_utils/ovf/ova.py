# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVA archives, which are OVF packages in a tar file: read in place, and written as a stream.

Source: POSIX.1-2017 ustar and pax, GNU tar's base-256 sizes and long names; DSP0243 for the order of the
members: descriptor, manifest, then the files in the order of References. The reader walks the headers; it
neither unpacks members nor keeps them in memory.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import BinaryIO

from ..common.errors import Corrupt, InternalError, Unsupported
from ..common.streams import SeekableReader
from .descriptor import check_file_name, check_file_path
from .envelope import EXPORT_AGAIN
from .manifest import Entry, write_manifest

_BLOCK = 512
_MAXIMUM_MEMBERS = 1000
_MAXIMUM_EXTENSION = 1 << 16
_COPY_AGAIN = "Copy the OVA again, or export the virtual machine again."
_UNPACK = "Unpack the OVA into a folder with 'tar -xf', and set the option to the .ovf file in it."
#: Entries that describe the archive or the next member: volume label, folder listing of GNU tar, long link name,
#: global pax header, and access control list of Solaris.
_IGNORED = (b"V", b"D", b"K", b"g", b"A")
#: The first bytes of compressed files.
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "ZIP",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive; its data is ``size`` bytes at ``offset``."""

    name: str
    offset: int
    size: int


def read_members(stream: BinaryIO, subject: str) -> tuple[Member, ...]:
    """Return the positions of the files in an archive; folders, labels and extended headers are left out.

    ``stream`` must be seekable. ``subject`` is the archive's name at the start of error messages. The blocks of
    zeros at the end of the archive may be missing.

    Raises:
        Corrupt: ``ovf.ova_not_tar``, ``ovf.ova_truncated``, ``ovf.ova_size``, ``ovf.ova_extension``,
            ``ovf.ova_duplicate``, ``ovf.ova_members`` or ``ovf.file_name`` if the archive is damaged.
        Unsupported: ``ovf.ova_kind`` if it contains a link or a special file; ``ovf.ova_sparse`` if it contains a
            sparse member; ``ovf.ova_compressed`` if it is compressed.
    """
    end = stream.seek(0, io.SEEK_END)
    members: dict[str, Member] = {}
    position = 0
    overrides: dict[str, str] = {}
    for _number in range(2 * _MAXIMUM_MEMBERS):
        stream.seek(position)
        header = stream.read(_BLOCK)
        if not any(header) and (len(header) == _BLOCK or members):
            return tuple(members.values())
        if position == 0:
            _check_kind(header, subject)
        if len(header) < _BLOCK:
            raise Corrupt(
                f"{subject} is truncated: it ends within a tar header.",
                code="ovf.ova_truncated",
                hint=_COPY_AGAIN,
            )
        _check_sum(header, subject)
        kind = header[156:157]
        size = int(overrides["size"]) if "size" in overrides else _size(header[124:136], subject)
        data = position + _BLOCK
        position = data + -(-size // _BLOCK) * _BLOCK
        if data + size > end:
            raise Corrupt(
                f"{subject} is truncated: it has {end} bytes, but a file ends at byte {data + size}.",
                code="ovf.ova_truncated",
                hint=_COPY_AGAIN,
            )
        if kind in (b"x", b"X", b"L"):
            # An extended header: its values override those of the next header.
            overrides.update(_extension(stream, kind, size, subject))
        elif kind not in _IGNORED:
            name = overrides.get("path") or _name(header)
            if kind == b"S" or "sparse" in overrides:
                raise _sparse(name, subject)
            overrides = {}
            if kind != b"5":
                _add_member(members, Member(name, data, size), kind, subject)
    raise Corrupt(
        f"{subject} contains more than {_MAXIMUM_MEMBERS} files, the limit for an OVA.",
        code="ovf.ova_members",
        hint=EXPORT_AGAIN,
    )


def _add_member(members: dict[str, Member], member: Member, kind: bytes, subject: str) -> None:
    if kind not in (b"0", b"\0", b"7"):
        raise Unsupported(
            f"{subject} contains {member.name[:120]!r}, which is a link or a special file.",
            code="ovf.ova_kind",
            hint=_UNPACK,
            member=member.name[:120],
        )
    name = check_file_path(member.name, subject)
    if name in members:
        raise Corrupt(f"{subject} contains the file {name} twice.", code="ovf.ova_duplicate", hint=_UNPACK, member=name)
    members[name] = replace(member, name=name)


class MemberStream(SeekableReader):
    """A file of an archive as a seekable, read-only stream; closing it closes ``stream``."""

    def __init__(self, stream: BinaryIO, member: Member) -> None:
        super().__init__(member.size)
        self.name = member.name
        self._stream = stream
        self._offset = member.offset

    def _read_at(self, position: int, count: int) -> bytes:
        self._stream.seek(self._offset + position)
        return self._stream.read(count)

    def close(self) -> None:
        """Close the archive."""
        if not self.closed:
            self._stream.close()
        super().close()


class OvaWriter:
    """Write an OVA to a seekable file: the descriptor, the manifest, then the disks.

    The manifest comes before the disks whose digests it contains. Its length depends only on the names, so its
    space is left free and ``finish`` fills it in. The result depends only on the input: owner, mode and times are
    fixed.
    """

    def __init__(self, out: BinaryIO, name: str, descriptor: bytes, files: Iterable[str]) -> None:
        self._out = out
        self._files = [check_file_name(file, "The OVA") for file in files]
        self._entries = [Entry(f"{name}.ovf", "sha256", hashlib.sha256(descriptor).hexdigest())]
        check_file_name(f"{name}.ovf", "The OVA")
        out.seek(0)
        self._member(f"{name}.ovf", len(descriptor))
        out.write(descriptor + bytes(-len(descriptor) % _BLOCK))
        blank = write_manifest([*self._entries, *(Entry(file, "sha256", "0" * 64) for file in self._files)])
        self._member(f"{name}.mf", len(blank))
        self._manifest = out.tell()
        out.write(blank + bytes(-len(blank) % _BLOCK))

    def add(self, name: str, size: int, blocks: Iterable[bytes | memoryview]) -> str:
        """Write the next file and return its SHA-256.

        Raises:
            InternalError: ``ovf.ova_order`` if it is not the next file of the constructor's list;
                ``ovf.ova_written_size`` if ``blocks`` do not have ``size`` bytes in total.
        """
        position = len(self._entries) - 1
        if position >= len(self._files) or self._files[position] != name:
            raise InternalError(
                f"The file {name} is not the next file of the OVA.",
                code="ovf.ova_order",
                file=name,
                expected=self._files[position] if position < len(self._files) else None,
            )
        self._member(name, size)
        digest = hashlib.sha256()
        done = 0
        for block in blocks:
            done += len(block)
            digest.update(block)
            self._out.write(block)
        if done != size:
            raise InternalError(
                f"The file {name} of the OVA has a wrong size: expected {size} bytes, found {done} bytes.",
                code="ovf.ova_written_size",
                file=name,
                expected=size,
                found=done,
            )
        self._out.write(bytes(-size % _BLOCK))
        self._entries.append(Entry(name, "sha256", digest.hexdigest()))
        return digest.hexdigest()

    def finish(self) -> None:
        """Write the end of the archive and the manifest.

        Raises:
            InternalError: ``ovf.ova_order`` if not every file was added.
        """
        if len(self._entries) != len(self._files) + 1:
            raise InternalError(
                "Not every file of the OVA was written.",
                code="ovf.ova_order",
                missing=self._files[len(self._entries) - 1 :],
            )
        self._out.write(bytes(2 * _BLOCK))
        end = self._out.tell()
        self._out.seek(self._manifest)
        self._out.write(write_manifest(self._entries))
        self._out.seek(end)

    def _member(self, name: str, size: int) -> None:
        header = tarfile.TarInfo(name)
        header.size = size
        header.mode = 0o644
        self._out.write(header.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict"))


def _sparse(name: str, subject: str) -> Unsupported:
    return Unsupported(
        f"{subject} stores {name[:120]!r} as a sparse file, which cannot be read in place.",
        code="ovf.ova_sparse",
        hint=_UNPACK,
        member=name[:120],
    )


def _check_kind(start: bytes, subject: str) -> None:
    """Raise Unsupported if the archive starts like a compressed file."""
    for magic, kind in _COMPRESSED.items():
        if start.startswith(magic):
            raise Unsupported(
                f"{subject} is a compressed file ({kind}), not a tar archive.",
                code="ovf.ova_compressed",
                hint="Decompress the file first: an OVA is a tar archive without compression.",
                compression=kind,
            )


def _check_sum(header: bytes, subject: str) -> None:
    match = re.fullmatch(rb"\s*([0-7]{1,7})[\s\0]*", header[148:156])
    if match is None or int(match[1], 8) != sum(header[:148]) + sum(header[156:]) + 8 * 32:
        raise Corrupt(
            f"{subject} is not an OVA, or it is damaged: a tar header has a wrong checksum.",
            code="ovf.ova_not_tar",
            hint="Set the option to an .ovf or .ova file, copy the OVA again, or export the virtual machine again.",
        )


def _size(field: bytes, subject: str) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[4:], "big")
    # GNU tar leaves the size of a volume label empty.
    match = re.fullmatch(rb"\s*([0-7]{0,12})[\s\0]*", field)
    if match is None:
        raise Corrupt(f"{subject} has a member whose size is not a number.", code="ovf.ova_size", hint=EXPORT_AGAIN)
    return int(match[1] or b"0", 8)


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")


def _extension(stream: BinaryIO, kind: bytes, size: int, subject: str) -> dict[str, str]:
    if size > _MAXIMUM_EXTENSION:
        raise Corrupt(
            f"{subject} has an extended header of {size} bytes; the limit is {_MAXIMUM_EXTENSION} bytes.",
            code="ovf.ova_extension",
            hint=EXPORT_AGAIN,
        )
    data = stream.read(size)
    if kind == b"L":
        return {"path": data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")}
    overrides: dict[str, str] = {}
    while data:
        match = re.match(rb"([0-9]{1,6}) ", data)
        length = int(match[1]) if match else 0
        if not match or length <= match.end() or length > len(data):
            raise Corrupt(f"{subject} has a damaged extended header.", code="ovf.ova_extension", hint=EXPORT_AGAIN)
        key, separator, value = data[match.end() : length - 1].partition(b"=")
        if key.startswith(b"GNU.sparse."):
            overrides["sparse"] = "yes"
        if key in (b"path", b"GNU.sparse.name"):
            overrides["path"] = value.decode("utf-8", "surrogateescape")
        elif key == b"size":
            if not re.fullmatch(rb"[0-9]{1,19}", value):
                raise Corrupt(
                    f"{subject} has a member whose size is not a number.", code="ovf.ova_size", hint=EXPORT_AGAIN
                )
            overrides["size"] = value.decode("ascii")
        data = data[length:]
    return overrides
