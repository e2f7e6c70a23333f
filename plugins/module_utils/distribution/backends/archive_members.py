# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a tar file with an OCI image layout: positions of files when it is read, deterministic headers when written.

Source: POSIX.1-2017, pax ("ustar Interchange Format"); GNU tar's long names. Tools write such a file as "oci-archive".
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from ...common.errors import Corrupt, Unsupported
from ...common.streams import SeekableReader
from ...layers import tar

_MAX_MEMBERS = 200_000
_MAX_EXTENSION, _MAX_RECORDS, _MAX_NAME = 1 << 16, 100, 1000
_REGULAR = (tar.REGULAR, b"\0", b"7")
#: The first bytes of compressed files, and the command that unpacks them.
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"\x28\xb5\x2f\xfd": "zstd -d", b"\xfd7zXZ\0": "unxz", b"BZh": "bunzip2"}


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive: ``size`` bytes at ``offset``."""

    offset: int
    size: int


class MemberReader(SeekableReader):
    """The bytes of a member. It owns ``stream``, and closes it."""

    def __init__(self, stream: BinaryIO, member: Member, name: str) -> None:
        super().__init__(member.size)
        self.name = name
        self._stream, self._offset = stream, member.offset

    def _read_at(self, position: int, count: int) -> bytes:
        self._stream.seek(self._offset + position)
        return self._stream.read(count)

    def close(self) -> None:
        self._stream.close()
        super().close()


def read_members(stream: BinaryIO, path: str) -> dict[str, Member]:
    """Return the positions of the files in an archive by their names; ``path`` names the archive in messages.

    Raises:
        Corrupt: ``distribution.archive`` if it is not a tar file, is truncated or contains a link, a file twice, or a
            path that leads out of it.
        Unsupported: ``distribution.archive_compressed``.
    """
    end = stream.seek(0, io.SEEK_END)
    try:
        return _Walk(stream, end, path).members()
    except tar.FormatError as error:
        raise _damaged(path, str(error)) from None


class _Walk:
    def __init__(self, stream: BinaryIO, end: int, path: str) -> None:
        self._stream, self._end, self._path = stream, end, path
        self._long_name: bytes | None = None
        self._records: Mapping[str, bytes] = {}

    def members(self) -> dict[str, Member]:
        found: dict[str, Member] = {}
        position = 0
        for _number in range(_MAX_MEMBERS):
            self._stream.seek(position)
            block = self._stream.read(tar.BLOCK)
            if position == 0:
                self._refuse_compressed(block)
            if not any(block) and (len(block) == tar.BLOCK or found):
                return found
            if len(block) < tar.BLOCK:
                raise tar.FormatError("it is truncated, or not a tar file")
            header = tar.parse_header(block)
            position += tar.BLOCK
            size = self._size(header)
            if position + size > self._end:
                raise tar.FormatError(
                    f"it is truncated: a member needs {position + size} bytes, the file has {self._end}"
                )
            if not self._extension(header, position, size):
                name = self._name(header)
                if header.kind in _REGULAR and not name.endswith("/"):
                    if name in found:
                        raise tar.FormatError(f"it contains {name!r} twice")
                    found[name] = Member(position, size)
                elif header.kind not in (*_REGULAR, tar.DIRECTORY):
                    raise tar.FormatError(f"its member {name!r} is a link or a special file")
                self._long_name, self._records = None, {}
            position += size + len(tar.padding(size))
        raise tar.FormatError(f"it has more than {_MAX_MEMBERS} members")

    def _size(self, header: tar.Header) -> int:
        text = self._records.get("size")
        if text is None or header.kind in (tar.EXTENDED, tar.GLOBAL, tar.LONG_NAME, tar.LONG_LINK):
            return header.size
        if not text.isdigit() or len(text) > 19 or int(text) > tar.MAX_NUMBER:
            raise tar.FormatError("the size in an extended header is not a number")
        return int(text)

    def _extension(self, header: tar.Header, position: int, size: int) -> bool:
        """Read a member that describes the next member; return whether it is one."""
        if header.kind not in (tar.EXTENDED, tar.GLOBAL, tar.LONG_NAME, tar.LONG_LINK):
            return False
        if size > _MAX_EXTENSION:
            raise tar.FormatError(f"an extended header has {size} bytes; the limit is {_MAX_EXTENSION} bytes")
        self._stream.seek(position)
        body = self._stream.read(size)
        if header.kind == tar.LONG_NAME:
            self._long_name = body.rstrip(b"\0")
        elif header.kind == tar.EXTENDED:
            self._records = tar.parse_pax(body, _MAX_RECORDS)
            if any(key.startswith("GNU.sparse") for key in self._records):
                raise tar.FormatError("it contains a sparse file")
        return True

    def _name(self, header: tar.Header) -> str:
        data = self._records.get("path") or self._long_name or header.name
        try:
            name = data.decode("utf-8")
        except UnicodeDecodeError:
            raise tar.FormatError("the name of a member is not UTF-8") from None
        while name.startswith("./"):
            name = name[2:].lstrip("/")
        if name.startswith("/") or "\\" in name or "\0" in name or len(name) > _MAX_NAME or ".." in name.split("/"):
            raise tar.FormatError(f"the path {name[:100]!r} of a member leads out of it")
        return name

    def _refuse_compressed(self, block: bytes) -> None:
        for magic, command in _COMPRESSED.items():
            if block.startswith(magic):
                raise Unsupported(
                    f"The file {self._path} is compressed.",
                    code="distribution.archive_compressed",
                    hint=f"Unpack it with '{command}', and name the tar file. Layers in it are compressed already.",
                )


def member_header(name: str, size: int) -> bytes:
    """Return the header of a file, whose bytes and ``tar.padding`` follow; equal arguments give equal bytes."""
    encoded = name.encode("ascii")
    large = tar.pax_member(encoded, {"size": b"%d" % size}) if size > tar.MAX_OCTAL else b""
    return large + tar.header_block(encoded, tar.REGULAR, size, 0o644, 0)


def folder_header(name: str) -> bytes:
    """Return the header of a folder."""
    return tar.header_block(f"{name}/".encode("ascii"), tar.DIRECTORY, 0, 0o755, 0)


def _damaged(path: str, problem: str) -> Corrupt:
    return Corrupt(
        f"The file {path} cannot be read: {problem}.",
        code="distribution.archive",
        hint="Copy the file again, or export the layers again.",
        path=path,
    )
