# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file index of a layer: all its entries with the digests of their contents, without the contents.

Planning, conflicts and provenance read it instead of unpacking the archive. Format: Zstandard over
JSON lines. The first line is ``{"format": "strata.index", "version": 1}``. A line ``["", base64]``
defines the next security descriptor, counted from 0, which entries name by number (-1: inherit).
Every other list is one entry, in the archive's order::

    [path, kind (0 file, 1 directory, 2 link, 3 whiteout), attributes, size,
     created, written, accessed, changed (FILETIME or null), security number, SHA-256 (hex) or null, more]

``more`` is 0 or an object of n (8.3 name), l (link target), r (reparse), e (extended attributes), o
(object ID), each base64 where binary, p (sparse runs), i (implied), s (streams: [name, size, SHA-256]).
The last line is ``{"entries": count}``.

The digest of the uncompressed lines names the layer's content: equal digests, equal entries and
contents, whichever compressor wrote the archive.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ..common.errors import Corrupt, Unsupported
from ..common.optional_imports import zstandard
from . import entry as model
from .entry import Entry, path_problem, stream_problem
from .entry_headers import runs_problem
from .extended_attributes import unpack_eas

MEDIA_TYPE = "application/vnd.strata.layer.index.v1+zstd"
VERSION = 1
MAX_ENTRIES = 2_000_000
MAX_UNPACKED = 2 << 30
MAX_LINE = 16 << 20

_KINDS = (model.FILE, model.DIRECTORY, model.LINK, model.WHITEOUT)
_CODES = {kind: code for code, kind in enumerate(_KINDS)}
_CHUNK = 1 << 20
_MAX_NUMBER = (1 << 63) - 1


@dataclass(slots=True)
class Record:
    """An entry with the SHA-256 (32 bytes) of its unnamed stream, None without one, and of each named stream."""

    entry: Entry
    digest: bytes | None = None
    stream_digests: list[bytes] = field(default_factory=list)


class IndexWriter:
    """Writes an index to ``output``, or only takes its digest when that is None. A context manager."""

    def __init__(self, output: BinaryIO | None) -> None:
        self._stream = (
            zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(output, closefd=False)
            if output is not None
            else None
        )
        self._hash = hashlib.sha256()
        self._security: dict[bytes, int] = {}
        self._lines: list[str] = []
        self.entries = 0
        self._line({"format": "strata.index", "version": VERSION})

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.close()

    def add(self, entry: Entry, digest: bytes | None = None, stream_digests: list[bytes] | None = None) -> None:
        """Add an entry (not of kind "hive") with the digests that ArchiveWriter.add returned for it."""
        security = -1
        if entry.security is not None:
            security = self._security.get(entry.security, -1)
            if security < 0:
                security = self._security[entry.security] = len(self._security)
                self._line(["", b64encode(entry.security).decode("ascii")])
        more: dict = {}
        if entry.short_name is not None:
            more["n"] = entry.short_name
        if entry.link_target is not None:
            more["l"] = entry.link_target
        for key, value in (("r", entry.reparse), ("e", entry.eas), ("o", entry.object_id)):
            if value is not None:
                more[key] = b64encode(value).decode("ascii")
        if entry.sparse is not None:
            more["p"] = entry.sparse
        if entry.implied:
            more["i"] = 1
        if entry.streams:
            more["s"] = [
                [name, size, value.hex()]
                for (name, size), value in zip(entry.streams, stream_digests or (), strict=True)
            ]
        self._line(
            [
                entry.path,
                _CODES[entry.kind],
                entry.attributes,
                entry.size,
                entry.created,
                entry.written,
                entry.accessed,
                entry.changed,
                security,
                digest.hex() if digest is not None else None,
                more or 0,
            ]
        )
        self.entries += 1

    def close(self) -> str:
        """Write the end; return the digest of the content, "sha256:..."."""
        self._line({"entries": self.entries})
        self._flush()
        if self._stream is not None:
            self._stream.close()
        return self.content_digest

    @property
    def content_digest(self) -> str:
        """Digest of the lines so far; that of the content after ``close``."""
        return "sha256:" + self._hash.hexdigest()

    def _line(self, value: object) -> None:
        self._lines.append(json.dumps(value, separators=(",", ":")))
        if len(self._lines) >= 1000:
            self._flush()

    def _flush(self) -> None:
        if self._lines:
            data = ("\n".join(self._lines) + "\n").encode("ascii")
            self._lines.clear()
            self._hash.update(data)
            if self._stream is not None:
                self._stream.write(data)


def read_index(source: BinaryIO) -> Iterator[Record]:
    """The records of an index, in order. Corrupt for anything that breaks the format or its bounds."""
    batches = _batches(source)
    reader = _Reader()
    for values in batches:
        for value in values:
            if value.__class__ is list:
                record = reader.record(value)
                if record is not None:
                    yield record
            else:
                reader.control(value)
    if not reader.ended:
        raise Corrupt(
            "The file index of a layer is truncated.",
            code="layers.index_truncated",
            hint="Fetch or build the layer version again.",
        )


def load_index(source: BinaryIO) -> list[Record]:
    """All records of an index as a list."""
    return list(read_index(source))


class _Reader:
    def __init__(self) -> None:
        self.begun = self.ended = False
        self._security: list[bytes] = []
        self._count = 0

    def control(self, value: object) -> None:
        if self.ended or not isinstance(value, dict):
            raise _damaged()
        if not self.begun:
            if value.get("format") != "strata.index" or value.get("version").__class__ is not int:
                raise _damaged()
            if value["version"] != VERSION:
                raise Unsupported(
                    "The file index of a layer is of a newer format than this version of the collection reads.",
                    code="layers.index_version",
                    hint="Update the collection strata.layering on this composer.",
                )
            self.begun = True
        elif value == {"entries": self._count}:
            self.ended = True
        else:
            raise _damaged()

    def record(self, value: list) -> Record | None:
        if not self.begun or self.ended:
            raise _damaged()
        if len(value) == 2 and value[0] == "":
            if len(self._security) >= MAX_ENTRIES:
                raise _damaged()
            self._security.append(_binary(value[1], model.MAX_SECURITY))
            return None
        self._count += 1
        if self._count > MAX_ENTRIES or len(value) != 11:
            raise _damaged()
        path, code, attributes, size, created, written, accessed, changed, security, digest, more = value
        if (
            path.__class__ is not str
            or path_problem(path)
            or code.__class__ is not int
            or not 0 <= code < len(_KINDS)
            or attributes.__class__ is not int
            or not 0 <= attributes < 1 << 32
            or size.__class__ is not int
            or not 0 <= size <= _MAX_NUMBER
            or security.__class__ is not int
            or not -1 <= security < len(self._security)
        ):
            raise _damaged()
        for time in (created, written, accessed, changed):
            if time is not None and (time.__class__ is not int or not 0 <= time <= _MAX_NUMBER):
                raise _damaged()
        kind = _KINDS[code]
        entry = Entry(
            path,
            kind,
            attributes,
            created,
            written,
            accessed,
            changed,
            self._security[security] if security >= 0 else None,
            None,
            size,
        )
        record = Record(entry, None if digest is None else _digest(digest))
        if more:
            _read_more(record, more)
        if (kind == model.LINK) != (entry.link_target is not None) or (kind == model.FILE) != (
            record.digest is not None
        ):
            raise _damaged()
        return record


def _read_more(record: Record, more: object) -> None:
    if more.__class__ is not dict:
        raise _damaged()
    entry = record.entry
    for key, value in more.items():
        if key == "n":
            if value.__class__ is not str or not 0 < len(value) <= 12:
                raise _damaged()
            entry.short_name = value
        elif key == "l":
            if value.__class__ is not str or path_problem(value):
                raise _damaged()
            entry.link_target = value
        elif key == "r":
            entry.reparse = _binary(value, model.MAX_REPARSE)
        elif key == "e":
            entry.eas = _binary(value, model.MAX_EAS)
            if unpack_eas(entry.eas) is None:
                raise _damaged()
        elif key == "o":
            entry.object_id = _binary(value, 64)
        elif key == "p":
            entry.sparse = [(_number(run[0]), _number(run[1])) for run in _lists(value, 2)]
            if runs_problem(entry.sparse, entry.size):
                raise _damaged()
        elif key == "s":
            for name, size, digest in _lists(value, 3):
                if name.__class__ is not str or stream_problem(name):
                    raise _damaged()
                entry.streams.append((name, _number(size)))
                record.stream_digests.append(_digest(digest))
        elif key == "i":
            entry.implied = value == 1
        else:
            raise _damaged()


def _lists(value: object, length: int) -> list[list]:
    if value.__class__ is not list or any(item.__class__ is not list or len(item) != length for item in value):
        raise _damaged()
    return value


def _number(value: object) -> int:
    if value.__class__ is not int or not 0 <= value <= _MAX_NUMBER:
        raise _damaged()
    return value


def _digest(value: object) -> bytes:
    try:
        digest = bytes.fromhex(value)
    except (TypeError, ValueError):
        raise _damaged() from None
    if len(digest) != 32:
        raise _damaged()
    return digest


def _binary(value: object, bound: int) -> bytes:
    if value.__class__ is not str or len(value) > bound * 4 // 3 + 8:
        raise _damaged()
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _damaged() from None


def _batches(source: BinaryIO) -> Iterator[list]:
    """Lists of the values of many lines at a time, which is what makes reading fast."""
    stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(source, read_across_frames=True)
    rest = b""
    total = 0
    while True:
        try:
            chunk = stream.read(_CHUNK)
        except zstandard.ZstdError:
            raise _damaged() from None
        total += len(chunk)
        if total > MAX_UNPACKED:
            raise _damaged()
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if len(rest) > MAX_LINE:
            raise _damaged()
        if newline:
            try:
                yield json.loads(b"[" + lines.replace(b"\n", b",") + b"]")
            except (ValueError, RecursionError):
                raise _damaged() from None
        if not chunk:
            if rest:
                raise _damaged()
            return


def _damaged() -> Corrupt:
    return Corrupt(
        "The file index of a layer is damaged.",
        code="layers.index_corrupt",
        hint="Verify the repository, then fetch or build the layer version again.",
    )
