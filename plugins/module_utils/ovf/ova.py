# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVA archives: a package as one tar file, read in place and written as a stream.

Source: POSIX.1-2017 ustar and pax, GNU tar's base-256 sizes and long names; DSP0243 for
the order of the members: descriptor, manifest, then the files as References lists them.
Members are found by walking the headers, so that nothing is unpacked or kept in memory.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from ..common.errors import Corrupt, InvalidInput, Unsupported
from ..common.streams import SeekableReader
from .descriptor import check_file_name
from .manifest import Entry, write_manifest

_BLOCK = 512
_MAXIMUM_MEMBERS = 1000
_MAXIMUM_EXTENSION = 1 << 16
_HINT = "Export the virtual machine again."


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive: its data are ``size`` bytes at ``offset``."""

    name: str
    offset: int
    size: int


def read_members(stream: BinaryIO, what: str) -> tuple[Member, ...]:
    """Where the files of the archive lie; Corrupt when it is damaged or ends early.

    ``stream`` must be seekable. Folders and extended headers are not returned.
    """
    end = stream.seek(0, io.SEEK_END)
    members: dict[str, Member] = {}
    position = 0
    pending: dict[str, str] = {}
    for unused in range(2 * _MAXIMUM_MEMBERS):
        stream.seek(position)
        header = stream.read(_BLOCK)
        if len(header) < _BLOCK:
            raise Corrupt(f"{what} ends in the middle of its archive.", code="ovf.ova_truncated", hint=_HINT)
        if not any(header):
            return tuple(members.values())
        _check_sum(header, what)
        kind = header[156:157]
        size = int(pending["size"]) if "size" in pending else _size(header[124:136], what)
        data = position + _BLOCK
        position = data + -(-size // _BLOCK) * _BLOCK
        if data + size > end:
            raise Corrupt(f"{what} ends in the middle of a file.", code="ovf.ova_truncated", hint=_HINT)
        if kind in (b"x", b"L"):
            pending.update(_extension(stream, kind, size, what))
            continue
        if kind == b"g":
            continue
        name = pending.get("path") or _name(header)
        pending = {}
        if kind == b"5":
            continue
        if kind not in (b"0", b"\0", b"7"):
            raise Unsupported(
                f"{what} holds a link or special file, which an OVA never does.", code="ovf.ova_kind", hint=_HINT
            )
        name = check_file_name(name.removeprefix("./"), what)
        if name in members:
            raise Corrupt(f"{what} holds {name} twice.", code="ovf.ova_duplicate", hint=_HINT)
        members[name] = Member(name, data, size)
    raise Corrupt(f"{what} holds more than {_MAXIMUM_MEMBERS} files.", code="ovf.ova_members", hint=_HINT)


class MemberStream(SeekableReader):
    """One file of an archive as a seekable, read-only stream with its own position; owns ``stream``."""

    def __init__(self, stream: BinaryIO, member: Member) -> None:
        super().__init__(member.size)
        self.name = member.name
        self._stream = stream
        self._offset = member.offset

    def _read_at(self, position: int, count: int) -> bytes:
        self._stream.seek(self._offset + position)
        return self._stream.read(count)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class OvaWriter:
    """Writes an OVA to a seekable file: descriptor, room for the manifest, then the disks.

    The manifest stands before the disks whose digests it holds: its length is known from
    the names, so its place is left free and filled in by ``finish``. The result depends only
    on the input: owner, mode and times are fixed.
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

    def add(self, name: str, size: int, blocks: Iterable[bytes]) -> str:
        """Write the next file, in the order promised; returns its SHA-256.

        Raises InvalidInput when it is not its turn or ``blocks`` do not make ``size`` bytes.
        """
        position = len(self._entries) - 1
        if position >= len(self._files) or self._files[position] != name:
            raise InvalidInput(f"The file {name} is not the next of the OVA.", code="ovf.ova_order")
        self._member(name, size)
        digest = hashlib.sha256()
        done = 0
        for block in blocks:
            done += len(block)
            digest.update(block)
            self._out.write(block)
        if done != size:
            raise InvalidInput(
                f"The file {name} of the OVA should have {size} bytes and has {done}.", code="ovf.ova_size"
            )
        self._out.write(bytes(-size % _BLOCK))
        self._entries.append(Entry(name, "sha256", digest.hexdigest()))
        return digest.hexdigest()

    def finish(self) -> None:
        """Write the end of the archive and the manifest; every file must have been added."""
        if len(self._entries) != len(self._files) + 1:
            raise InvalidInput("Not every file of the OVA was written.", code="ovf.ova_order")
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


def _check_sum(header: bytes, what: str) -> None:
    match = re.fullmatch(rb"\s*([0-7]{1,7})[\s\0]*", header[148:156])
    if match is None or int(match[1], 8) != sum(header[:148]) + sum(header[156:]) + 8 * 32:
        raise Corrupt(
            f"{what} is not an OVA: it is not a tar archive, or it is damaged.",
            code="ovf.ova_not_tar",
            hint="Name an .ovf or .ova file.",
        )


def _size(field: bytes, what: str) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[4:], "big")
    match = re.fullmatch(rb"\s*([0-7]{1,12})[\s\0]*", field)
    if match is None:
        raise Corrupt(f"{what} gives a size that is not a number.", code="ovf.ova_size", hint=_HINT)
    return int(match[1], 8)


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")


def _extension(stream: BinaryIO, kind: bytes, size: int, what: str) -> dict[str, str]:
    if size > _MAXIMUM_EXTENSION:
        raise Corrupt(f"{what} has an extended header of {size} bytes.", code="ovf.ova_extension", hint=_HINT)
    data = stream.read(size)
    if kind == b"L":
        return {"path": data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")}
    found = {}
    while data:
        match = re.match(rb"([0-9]{1,6}) ", data)
        length = int(match[1]) if match else 0
        if not match or length <= match.end() or length > len(data):
            raise Corrupt(f"{what} has a damaged extended header.", code="ovf.ova_extension", hint=_HINT)
        key, separator, value = data[match.end() : length - 1].partition(b"=")
        if key == b"path":
            found["path"] = value.decode("utf-8", "surrogateescape")
        elif key == b"size":
            if not re.fullmatch(rb"[0-9]{1,19}", value):
                raise Corrupt(f"{what} gives a size that is not a number.", code="ovf.ova_size", hint=_HINT)
            found["size"] = value.decode("ascii")
        data = data[length:]
    return found
