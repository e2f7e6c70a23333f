# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file index of a layer: all its entries with the digests of their contents, without the contents.

Planning, conflicts and provenance read the index instead of unpacking the archive. Format: Zstandard over
JSON lines. The first line is ``{"format": "strata.index", "version": 1}``. A line ``["", base64]``
defines the next security descriptor, counted from 0, which entries reference by number (-1: inherit).
Every other list is an entry, in the order of the archive::

    [path, kind (0 file, 1 directory, 2 link, 3 whiteout), attributes, size,
     created, written, accessed, changed (FILETIME or null), security number, SHA-256 (hex) or null, more]

``more`` is 0 or an object of n (8.3 name), l (link target), r (reparse), e (extended attributes), o
(object ID), each base64 where binary, p (sparse runs), i (implied), s (streams: [name, size, SHA-256]).
The last line is ``{"entries": count}``.

The digest of the uncompressed lines identifies the content of the layer: equal digests mean equal
entries and contents, independent of the compressor that wrote the archive.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, cast

from ..common.counting import counted
from ..common.errors import Corrupt, Unsupported
from ..common.optional_imports import zstandard
from . import entry as model
from .archive_writer import Writable
from .entry import Entry, path_problem
from .index_fields import (
    DEFAULTS,
    MAX_NUMBER,
    OPTIONAL,
    InvalidValue,
    Record,
    get_optional,
    pack_optional,
    read_binary,
)

MEDIA_TYPE = "application/vnd.strata.layer.index.v1+zstd"
VERSION = 1
MAX_ENTRIES = 2_000_000
MAX_UNPACKED = 2 << 30
MAX_LINE = 16 << 20

_KINDS = (model.FILE, model.DIRECTORY, model.LINK, model.WHITEOUT)
_CODES = {kind: code for code, kind in enumerate(_KINDS)}
_CHUNK = 1 << 20
#: The positions of an entry's line, as errors name them.
_COLUMNS = (
    "path",
    "kind",
    "attributes",
    "size",
    "created",
    "written",
    "accessed",
    "changed",
    "security",
    "digest",
    "more",
)


class IndexWriter:
    """Writes an index to ``output``, or only computes its digest if ``output`` is None. A context manager."""

    def __init__(self, output: Writable | None) -> None:
        self._stream = (
            zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(cast(BinaryIO, output), closefd=False)
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
        more: dict[str, Any] | int = 0
        optional = get_optional(entry)
        if optional != DEFAULTS:
            more = pack_optional(optional, stream_digests or ())
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
                more,
            ]
        )
        self.entries += 1

    def close(self) -> str:
        """Write the last line; return the digest of the content, "sha256:..."."""
        self._line({"entries": self.entries})
        self._flush()
        if self._stream is not None:
            self._stream.close()
        return self.content_digest

    @property
    def content_digest(self) -> str:
        """The digest of the lines written so far; after ``close``, the digest of the content."""
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


def content_digest(records: Iterable[Record]) -> str:
    """Return the digest that identifies the content of a layer with these records."""
    with IndexWriter(None) as index:
        for record in records:
            index.add(record.entry, record.digest, record.stream_digests)
    return index.content_digest


def read_index(source: BinaryIO, label: str) -> Iterator[Record]:
    """Yield the records of an index, in order; ``label`` names the layer in errors.

    Raises:
        Corrupt layers.index_corrupt: the index breaks the format or its limits.
        Corrupt layers.index_truncated: the end of the index is missing.
        Unsupported layers.index_version: a newer version of the collection wrote the index.
    """
    reader = _Reader(label)
    try:
        for values in _batches(source):
            for value in values:
                if value.__class__ is not list:
                    reader.control(value)
                elif len(value) == 2 and value[0] == "":
                    reader.add_security(value[1])
                else:
                    yield reader.record(value)
    except InvalidValue as error:
        raise Corrupt(
            f"The file index of {label} is damaged: {error}.",
            code="layers.index_corrupt",
            hint="Verify the repository, then fetch or build the layer version again.",
            layer=label,
        ) from None
    if not reader.ended:
        raise Corrupt(
            f"The file index of {label} is truncated: it ends after {counted(reader.count, 'entry', 'entries')}.",
            code="layers.index_truncated",
            hint="Verify the repository, then fetch or build the layer version again.",
            layer=label,
        )


def load_index(source: BinaryIO, label: str) -> list[Record]:
    """Return all records of an index; raises like ``read_index``."""
    return list(read_index(source, label))


class _Reader:
    def __init__(self, label: str) -> None:
        self._label = label
        self.begun = self.ended = False
        self.count = 0
        self._security: list[bytes] = []

    def control(self, value: Any) -> None:
        """Check the first or last line."""
        if self.ended or not isinstance(value, dict):
            raise InvalidValue("it contains a line that is neither a list nor its first or last line")
        if not self.begun:
            if value.get("format") != "strata.index" or value.get("version").__class__ is not int:
                raise InvalidValue("its first line does not contain format and version")
            if value["version"] != VERSION:
                raise Unsupported(
                    f"The file index of {self._label} has the format version {value['version']}; version {VERSION} is supported.",
                    code="layers.index_version",
                    hint="Update the collection strata.layering on this composer.",
                    layer=self._label,
                )
            self.begun = True
        elif value == {"entries": self.count}:
            self.ended = True
        else:
            raise InvalidValue(f"its last line does not match its {self.count} entries")

    def record(self, value: list[Any]) -> Record:
        """Return the record of an entry's list."""
        if not self.begun or self.ended:
            raise self._misplaced()
        self.count += 1
        if self.count > MAX_ENTRIES:
            raise InvalidValue(f"it has more than {MAX_ENTRIES} entries")
        if len(value) != 11:
            raise InvalidValue(f"entry {self.count} has {len(value)} fields instead of 11")
        path, code, attributes, size, created, written, accessed, changed, security, digest, more = value
        # One condition for all: a sound index is read at the speed of the parser. The field is looked up for an error.
        if (
            path.__class__ is not str
            or path_problem(path)
            or code.__class__ is not int
            or not 0 <= code < len(_KINDS)
            or attributes.__class__ is not int
            or not 0 <= attributes < 1 << 32
            or size.__class__ is not int
            or not 0 <= size <= MAX_NUMBER
            or security.__class__ is not int
            or not -1 <= security < len(self._security)
        ):
            raise self._invalid(self._invalid_column(value))
        for time in (created, written, accessed, changed):
            if time is not None and (time.__class__ is not int or not 0 <= time <= MAX_NUMBER):
                raise self._invalid(self._invalid_column(value))
        kind = _KINDS[code]
        descriptor = self._security[security] if security >= 0 else None
        entry = Entry(path, kind, attributes, created, written, accessed, changed, descriptor, None, size)
        record = Record(entry)
        if digest is not None:
            try:
                record.digest = bytes.fromhex(digest)
            except (TypeError, ValueError):
                raise self._invalid("digest") from None
            if len(record.digest) != 32:
                raise self._invalid("digest")
        if more:
            if more.__class__ is not dict:
                raise self._invalid("more")
            for key, item in more.items():
                optional = OPTIONAL.get(key)
                if optional is None:
                    raise self._invalid(f"{key[:20]!r}")
                try:
                    optional.read(record, item)
                except InvalidValue:
                    raise self._invalid(optional.attribute) from None
        if (kind == model.LINK) != (entry.link_target is not None):
            raise self._invalid("link_target")
        if (kind == model.FILE) != (digest is not None):
            raise self._invalid("digest")
        return record

    @staticmethod
    def _misplaced() -> InvalidValue:
        return InvalidValue("it contains entries before its first or after its last line")

    def add_security(self, value: object) -> None:
        """Add the next security descriptor."""
        if not self.begun or self.ended:
            raise self._misplaced()
        if len(self._security) >= MAX_ENTRIES:
            raise InvalidValue(f"it has more than {MAX_ENTRIES} security descriptors")
        try:
            self._security.append(read_binary(value, model.MAX_SECURITY))
        except InvalidValue:
            raise InvalidValue(f"its security descriptor {len(self._security)} is invalid") from None

    def _invalid_column(self, value: list[Any]) -> str:
        """Return the name of the first invalid field of a record."""
        path, code, attributes, size, *times, security, _digest, _more = value

        def is_number(item: object, end: int, start: int = 0) -> bool:
            return isinstance(item, int) and item.__class__ is int and start <= item < end

        valid = (
            path.__class__ is str and not path_problem(path),
            is_number(code, len(_KINDS)),
            is_number(attributes, 1 << 32),
            is_number(size, MAX_NUMBER + 1),
            *(time is None or is_number(time, MAX_NUMBER + 1) for time in times),
            is_number(security, len(self._security), -1),
        )
        return _COLUMNS[valid.index(False)]

    def _invalid(self, column: str) -> InvalidValue:
        return InvalidValue(f"the field {column} of entry {self.count} is invalid")


def _batches(source: BinaryIO) -> Iterator[list[Any]]:
    """Yield lists of the values of many lines, because parsing many lines at once is fast."""
    stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(source, read_across_frames=True)
    rest = b""
    total = 0
    while True:
        try:
            chunk = stream.read(_CHUNK)
        except zstandard.ZstdError as error:
            raise InvalidValue(f"it cannot be decompressed ({error})") from None
        total += len(chunk)
        if total > MAX_UNPACKED:
            raise InvalidValue(f"its unpacked size exceeds {MAX_UNPACKED} bytes")
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if len(rest) > MAX_LINE:
            raise InvalidValue(f"a line is longer than {MAX_LINE} bytes")
        if newline:
            try:
                values = json.loads(b"[" + lines.replace(b"\n", b",") + b"]")
            except (ValueError, RecursionError):
                raise InvalidValue("a line is not JSON") from None
            yield values
        if not chunk:
            if rest:
                raise InvalidValue("its last line has no end")
            return
