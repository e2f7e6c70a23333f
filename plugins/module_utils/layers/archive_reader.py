# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a layer archive of this collection or of the container tools of Windows, without trusting it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..common.errors import Corrupt, Unsupported
from . import entry as model
from . import entry_headers, header_reader, tar
from .archive_stream import CHUNK, ArchiveStream, Member
from .entry import Entry, printable, stream_problem
from .tar import FormatError


@dataclass(frozen=True)
class Limits:
    """The limits of an archive; the reader rejects an archive that exceeds them as damaged.

    ``entries`` counts members including streams. ``unpacked`` limits the tar stream, ``file`` a file with
    its holes, ``header`` an extended header (all in bytes), ``header_records`` the records of a header and
    ``runs`` the runs of a file.
    """

    entries: int = 2_000_000
    unpacked: int = 1 << 40
    file: int = 1 << 40
    header: int = 1 << 20
    header_records: int = 1024
    runs: int = 1 << 18


class Contents:
    """The data of an entry: iterate once for (stream name, size, Member); the unnamed stream "" comes first."""

    def __init__(self, reader: ArchiveReader, entry: Entry, main: Member | None) -> None:
        self._members = self._walk(reader, entry, main)

    def __iter__(self) -> Iterator[tuple[str, int, Member]]:
        return self._members

    @staticmethod
    def _walk(reader: ArchiveReader, entry: Entry, main: Member | None) -> Iterator[tuple[str, int, Member]]:
        if main is not None:
            yield "", main.size, main
            reader.end_member(main)
        if entry.kind not in (model.FILE, model.DIRECTORY):
            return
        listed = list(entry.streams)
        streams: list[tuple[str, int]] = []
        names: set[str] = set()
        while (stream := reader.next_stream(entry)) is not None:
            name, member = stream
            if name in names or len(names) >= entry_headers.MAX_STREAMS:
                raise reader.damaged(f"{printable(entry.path)} has too many streams, or two streams of the same name")
            names.add(name)
            streams.append((name, member.size))
            yield name, member.size, member
            reader.end_member(member)
        if listed and listed != streams:
            raise reader.damaged(f"the streams of {printable(entry.path)} differ from its list of streams")
        entry.streams = streams


class _Header:
    """The headers of a member with their extended records, not yet interpreted."""

    __slots__ = ("kind", "is_file", "header", "records", "name", "size")

    def __init__(self, header: tar.Header, records: dict[str, bytes]) -> None:
        self.header = header
        self.kind = header.kind
        #: A regular file of tar: a file, a stream or a whiteout.
        self.is_file = header.kind in (tar.REGULAR, b"\0")
        self.records = records
        self.size = header.size
        if "size" in records:
            if not records["size"].isdigit() or len(records["size"]) > 19:
                raise FormatError("a size is not a number")
            self.size = int(records["size"])
        if not self.is_file and self.kind != b"7":
            self.size = 0
        self.name = header_reader.member_name(header, records)


class ArchiveReader:
    """Iterates over (Entry, Contents) of ``source``, sequentially and once; ``label`` names the layer in errors.

    Zstandard, gzip and plain tar are recognized by content. ``Files/`` is the volume's root; entries
    of ``Hives/`` are yielded as kind "hive" if ``hives`` is set; ``UtilityVM/`` is skipped. The streams
    of an entry are known when it is yielded if this collection wrote the archive. In other archives
    they are known after its Contents were iterated or the next entry was requested. At the end,
    ``source`` has been read to its end, so that a verifying source has verified its digest. With
    ``ahead``, a thread unpacks the next data until the end or ``close``.

    Iterating over the reader, over Contents and reading a Member raises:
        Corrupt layers.archive_corrupt: damage, malicious names and data beyond ``limits``.
        Corrupt layers.archive_truncated: the end of the archive is missing.
        Unsupported layers.archive_*: a member or form that Windows layers do not have.
    """

    def __init__(
        self, source: BinaryIO, label: str, *, limits: Limits = Limits(), hives: bool = False, ahead: bool = False
    ) -> None:
        self._source = source
        self.label = label
        self._limits = limits
        self._hives = hives
        self._stream = ArchiveStream(source, label, limits.unpacked, ahead=ahead)
        self._pending: _Header | None = None
        self._ended = False
        self._members = 0
        self._padding = 0
        self._own = False
        self._files: set[int] = set()

    def __iter__(self) -> Iterator[tuple[Entry, Contents]]:
        while (header := self._next()) is not None:
            self._pending = None
            try:
                found = self._interpret(header)
            except FormatError as error:
                raise self.damaged(str(error)) from None
            if found is None:
                self._stream.skip(header.size)
                self._stream.skip(-header.size % tar.BLOCK)
                continue
            entry, main = found
            contents = Contents(self, entry, main)
            yield entry, contents
            for _name, _size, _member in contents:
                pass
        self._stream.close()
        while self._source.read(CHUNK):
            pass

    def close(self) -> None:
        """Stop unpacking in advance; call it before ``source`` is closed."""
        self._stream.close()

    def damaged(self, problem: str) -> Corrupt:
        """Return the error for an archive that breaks the format."""
        return self._stream.damaged(problem)

    def _unsupported(self, feature: str, *, code: str, hint: str) -> Unsupported:
        return Unsupported(f"The archive of {self.label} {feature}.", code=code, hint=hint, layer=self.label)

    # --- for Contents -----------------------------------------------------------------------

    def next_stream(self, entry: Entry) -> tuple[str, Member] | None:
        """Return the next stream of ``entry``, None if the next member is not a stream of it."""
        header = self._next()
        if header is None or not header.is_file or ":" not in header.name:
            return None
        try:
            folder, _slash, full = header.name.partition("/")
            full = header_reader.true_path(header.records, "STRATA.path", full)
            if folder != entry_headers.FILES or not full.startswith(entry.path + ":"):
                return None
            name = full[len(entry.path) + 1 :]
            name = name[:-6] if name.upper().endswith(":$DATA") else name
            problem = stream_problem(name)
            if problem:
                raise FormatError(f"the name of a stream of {printable(entry.path)} {problem}")
            self._pending = None
            return name, self._member(header)
        except FormatError as error:
            raise self.damaged(str(error)) from None

    def end_member(self, member: Member) -> None:
        """Skip the rest of a member and its padding."""
        member.finish()
        self._stream.skip(self._padding)
        self._padding = 0

    # --- members ----------------------------------------------------------------------------

    def _next(self) -> _Header | None:
        if self._pending is None and not self._ended:
            try:
                self._pending = self._read_header()
            except FormatError as error:
                raise self.damaged(str(error)) from None
            self._ended = self._pending is None
        return self._pending

    def _read_header(self) -> _Header | None:
        records: dict[str, bytes] = {}
        for _attempt in range(8):
            block = self._stream.take(tar.BLOCK)
            if block == tar.ZERO_BLOCK:
                return None
            header = tar.parse_header(block)
            if header.kind in (tar.EXTENDED, tar.GLOBAL, tar.LONG_NAME, tar.LONG_LINK):
                if header.size > self._limits.header:
                    raise FormatError(f"an extended header is larger than {self._limits.header} bytes")
                body = self._stream.take(header.size)
                self._stream.skip(-header.size % tar.BLOCK)
                if header.kind == tar.EXTENDED:
                    records.update(tar.parse_pax(body, self._limits.header_records))
                elif header.kind in (tar.LONG_NAME, tar.LONG_LINK):
                    records["path" if header.kind == tar.LONG_NAME else "linkpath"] = body.rstrip(b"\0")
                continue
            self._members += 1
            if self._members > self._limits.entries:
                raise FormatError(f"it has more than {self._limits.entries} entries")
            return _Header(header, records)
        raise FormatError("it has more than 7 consecutive extended headers")

    def _interpret(self, header: _Header) -> tuple[Entry, Member | None] | None:
        """Return the entry and the data of a member, None for members that are skipped."""
        folder, slash, path = header.name.partition("/")
        is_top_folder = not slash and folder in (entry_headers.FILES, entry_headers.HIVES, "UtilityVM")
        if is_top_folder and header.kind == tar.DIRECTORY:
            self._read_version(header.records)
            return None
        if folder == "UtilityVM" or (folder == entry_headers.HIVES and not self._hives):
            return None
        if folder not in (entry_headers.FILES, entry_headers.HIVES):
            raise FormatError(f"{printable(header.name)!r} is neither below Files nor below Hives")
        is_whiteout = path.rpartition("/")[2].startswith(entry_headers.WHITEOUT_PREFIX)
        carried = self._whiteout_path(path) if is_whiteout else path
        true_path = header_reader.checked_path(header_reader.true_path(header.records, "STRATA.path", carried))
        if folder == entry_headers.HIVES:
            return self._with_data(Entry(true_path, model.HIVE), header) if header.is_file else None
        if is_whiteout:
            if header.size or not header.is_file:
                raise FormatError(f"the whiteout {printable(path)} is not an empty file")
            return Entry(true_path, model.WHITEOUT), None
        if "STRATA.path" not in header.records and any(
            part.startswith(entry_headers.WHITEOUT_PREFIX) for part in path.split("/")
        ):
            raise FormatError(f"the name {printable(path)!r} has a whiteout as a folder")
        return self._file(true_path, header)

    def _file(self, path: str, header: _Header) -> tuple[Entry, Member | None]:
        kind, records = header.kind, header.records
        if "MSWINDOWS.sd" in records and "MSWINDOWS.rawsd" not in records:
            raise self._unsupported(
                f"contains the security of {printable(path)} as SDDL text",
                code="layers.archive_sddl",
                hint="Export the layer again with a current version of the tool that wrote it.",
            )
        if kind == tar.HARD_LINK:
            return self._hard_link(path, header), None
        if kind == tar.DIRECTORY or (
            kind == tar.SYMLINK and header_reader.read_attributes(records) & model.ATTRIBUTE_DIRECTORY
        ):
            return header_reader.read_entry(path, model.DIRECTORY, header.header, records, own=self._own), None
        if not header.is_file and kind not in (b"7", tar.SYMLINK):
            raise self._unsupported(
                f"contains {printable(path)} as a member of type {kind!r}, which Windows layers do not have",
                code="layers.archive_member_type",
                hint="Export the layer again with a tool for Windows layers.",
            )
        self._remember(path)
        return self._with_data(
            header_reader.read_entry(path, model.FILE, header.header, records, own=self._own), header
        )

    def _hard_link(self, path: str, header: _Header) -> Entry:
        entry = header_reader.read_entry(path, model.LINK, header.header, header.records, own=self._own)
        folder, _slash, target = header_reader.link_text(header.header, header.records).partition("/")
        entry.link_target = header_reader.checked_path(
            header_reader.true_path(header.records, "STRATA.linkpath", target)
        )
        if folder != entry_headers.FILES or hash(entry.link_target) not in self._files:
            raise FormatError(
                f"{printable(path)} is a hard link to {printable(entry.link_target)}, which is not an earlier entry"
            )
        self._remember(path)
        return entry

    def _remember(self, path: str) -> None:
        if hash(path) in self._files:
            raise FormatError(f"it contains {printable(path)} twice")
        self._files.add(hash(path))

    def _with_data(self, entry: Entry, header: _Header) -> tuple[Entry, Member]:
        member = self._member(header)
        entry.size = member.size
        if "GNU.sparse.major" in header.records:
            entry.sparse = member.data_runs
        return entry, member

    def _whiteout_path(self, path: str) -> str:
        folder, slash, base = path.rpartition("/")
        base = base[len(entry_headers.WHITEOUT_PREFIX) :]
        if base.startswith(entry_headers.WHITEOUT_PREFIX):
            raise self._unsupported(
                f"contains the opaque whiteout {printable(path)}",
                code="layers.archive_opaque",
                hint="Windows layers delete by name; export the layer again with a tool for Windows layers.",
            )
        return folder + slash + base

    def _read_version(self, records: dict[str, bytes]) -> None:
        version = records.get("STRATA.version")
        if version is None:
            return
        if version != b"%d" % entry_headers.VERSION:
            raise self._unsupported(
                f"has the format version {version[:20].decode('ascii', 'replace')}; version {entry_headers.VERSION} is supported",
                code="layers.archive_version",
                hint="Update the collection strata.layering on this composer.",
            )
        self._own = True

    # --- data of a member -------------------------------------------------------------------

    def _member(self, header: _Header) -> Member:
        size = header.size
        self._padding = -size % tar.BLOCK
        records = header.records
        if not any(key.startswith("GNU.sparse.") for key in records):
            if size > self._limits.file:
                raise FormatError(f"{printable(header.name)} is larger than {self._limits.file} bytes")
            return Member(self._stream, size)
        real = records.get("GNU.sparse.realsize", b"")
        version = records.get("GNU.sparse.major"), records.get("GNU.sparse.minor")
        if version != (b"1", b"0") or not real.isdigit() or len(real) > 19:
            raise self._unsupported(
                f"contains {printable(header.name)} in a sparse form other than GNU 1.0",
                code="layers.archive_sparse",
                hint="Export the layer again with a tool for Windows layers.",
            )
        runs, used = self._sparse_map(size)
        if (
            int(real) > self._limits.file
            or entry_headers.runs_problem(runs, int(real))
            or used + sum(length for _offset, length in runs) != size
        ):
            raise FormatError(f"the sparse map of {printable(header.name)} is wrong")
        return Member(self._stream, int(real), [run for run in runs if run[1]])

    def _sparse_map(self, size: int) -> tuple[list[tuple[int, int]], int]:
        """Read the map at the front of a sparse member of ``size`` bytes: (runs, bytes that the map takes)."""
        numbers: list[int] = []
        rest = b""
        used = 0
        expected = 1
        while len(numbers) < expected:
            if used + tar.BLOCK > size or len(rest) > 32:
                raise FormatError("a sparse map has no end")
            *lines, rest = (rest + self._stream.take(tar.BLOCK)).split(b"\n")
            used += tar.BLOCK
            for line in lines[: expected - len(numbers) if len(numbers) else None]:
                if not line.isdigit() or len(line) > 19:
                    raise FormatError("a sparse map contains a value that is not a number")
                numbers.append(int(line))
                if len(numbers) == 1:
                    if numbers[0] > self._limits.runs:
                        raise FormatError(f"a sparse map has more than {self._limits.runs} runs")
                    expected = 1 + 2 * numbers[0]
                if len(numbers) == expected:
                    break
        return list(zip(numbers[1::2], numbers[2::2])), used
