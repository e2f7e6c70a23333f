# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a layer archive, ours or that of Windows' container tools, without trusting it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..common.errors import Unsupported
from . import entry as model
from . import entry_headers, tar
from .archive_stream import CHUNK, Part, Tape
from .entry import Entry, printable, stream_problem


@dataclass(frozen=True)
class Limits:
    """What an archive may ask of its reader; beyond it the archive is refused as damaged.

    ``entries`` counts members (streams too), ``unpacked`` the bytes of the tar stream, ``file`` the
    bytes of one file with its holes, ``header`` one extended header, ``runs`` the runs of one file.
    """

    entries: int = 2_000_000
    unpacked: int = 1 << 40
    file: int = 1 << 40
    header: int = 1 << 20
    header_records: int = 1024
    runs: int = 1 << 18


class Contents:
    """What an entry holds: iterate once for (stream name, size, Part); "" is the unnamed stream and comes first."""

    def __init__(self, reader: ArchiveReader, entry: Entry, main: Part | None) -> None:
        self._parts = self._walk(reader, entry, main)

    def __iter__(self) -> Iterator[tuple[str, int, Part]]:
        return self._parts

    @staticmethod
    def _walk(reader: ArchiveReader, entry: Entry, main: Part | None) -> Iterator[tuple[str, int, Part]]:
        if main is not None:
            yield "", main.size, main
            reader.end_part(main)
        if entry.kind not in (model.FILE, model.DIRECTORY):
            return
        listed = list(entry.streams)
        found: list[tuple[str, int]] = []
        names: set[str] = set()
        while (stream := reader.next_stream(entry)) is not None:
            name, part = stream
            if name in names or len(names) >= entry_headers.MAX_STREAMS:
                raise tar.damaged(f"{printable(entry.path)} has too many streams, or two of one name")
            names.add(name)
            found.append((name, part.size))
            yield name, part.size, part
            reader.end_part(part)
        if listed and listed != found:
            raise tar.damaged(f"the streams of {printable(entry.path)} are not those it lists")
        entry.streams = found


class _Member:
    """A member of the tar with its extended records, not yet given a meaning."""

    __slots__ = ("header", "records", "name", "size")

    def __init__(self, header: tar.Header, fields: dict[str, bytes]) -> None:
        self.header = header
        self.records = fields
        self.size = header.size
        if "size" in fields:
            if not fields["size"].isdigit() or len(fields["size"]) > 19:
                raise tar.damaged("a size is not a number")
            self.size = int(fields["size"])
        if header.kind not in (tar.REGULAR, b"\0", b"7"):
            self.size = 0
        self.name = entry_headers.member_name(header, fields)


class ArchiveReader:
    """Iterates (Entry, Contents) over ``source``, sequentially and once.

    Zstandard, gzip and plain tar are told apart by content. ``Files/`` is the volume's root; entries
    of ``Hives/`` come as kind "hive" when ``hives`` is set; ``UtilityVM/`` is passed over. When an
    entry is handed out its streams are known if this collection wrote the archive; of others the
    list is complete once its Contents were iterated (or the next entry was asked for). At the end
    ``source`` has been read to its end, so that a verifying source has verified. Raises Corrupt for
    damage, hostile names and what exceeds ``limits``; Unsupported for members no layer has. With
    ``ahead`` a thread unpacks what comes next, until the end or ``close``.
    """

    def __init__(
        self, source: BinaryIO, *, limits: Limits = Limits(), hives: bool = False, ahead: bool = False
    ) -> None:
        self._source = source
        self._limits = limits
        self._hives = hives
        self._tape = Tape(source, limits.unpacked, ahead=ahead)
        self._pending: _Member | None = None
        self._ended = False
        self._members = 0
        self._padding = 0
        self._own = False
        self._files: set[int] = set()

    def __iter__(self) -> Iterator[tuple[Entry, Contents]]:
        while (member := self._next()) is not None:
            self._pending = None
            found = self._meaning(member)
            if found is None:
                self._tape.skip(member.size)
                self._tape.skip(-member.size % tar.BLOCK)
                continue
            entry, main = found
            contents = Contents(self, entry, main)
            yield entry, contents
            for _name, _size, _part in contents:
                pass
        self._tape.close()
        while self._source.read(CHUNK):
            pass

    def close(self) -> None:
        """End reading ahead; before ``source`` is closed."""
        self._tape.close()

    # --- for Contents -----------------------------------------------------------------------

    def next_stream(self, entry: Entry) -> tuple[str, Part] | None:
        """The stream of ``entry`` that follows, if the next member is one."""
        member = self._next()
        if member is None or member.header.kind not in (tar.REGULAR, b"\0") or ":" not in member.name:
            return None
        folder, _slash, full = member.name.partition("/")
        full = entry_headers.true_path(member.records, "STRATA.path", full)
        if folder != entry_headers.FILES or not full.startswith(entry.path + ":"):
            return None
        name = full[len(entry.path) + 1 :]
        name = name[:-6] if name.upper().endswith(":$DATA") else name
        problem = stream_problem(name)
        if problem:
            raise tar.damaged(f"the name of a stream of {printable(entry.path)} {problem}")
        self._pending = None
        return name, self._part(member)

    def end_part(self, part: Part) -> None:
        """Go to the end of a part and of its padding."""
        part.finish()
        self._tape.skip(self._padding)
        self._padding = 0

    # --- members ----------------------------------------------------------------------------

    def _next(self) -> _Member | None:
        if self._pending is None and not self._ended:
            self._pending = self._read_member()
            self._ended = self._pending is None
        return self._pending

    def _read_member(self) -> _Member | None:
        fields: dict[str, bytes] = {}
        for _attempt in range(8):
            block = self._tape.take(tar.BLOCK)
            if block == tar.ZERO_BLOCK:
                return None
            header = tar.parse_header(block)
            if header.kind in (tar.EXTENDED, tar.GLOBAL, tar.LONG_NAME, tar.LONG_LINK):
                if header.size > self._limits.header:
                    raise tar.damaged(f"an extended header is larger than {self._limits.header} bytes")
                body = self._tape.take(header.size)
                self._tape.skip(-header.size % tar.BLOCK)
                if header.kind == tar.EXTENDED:
                    fields.update(tar.parse_pax(body, self._limits.header_records))
                elif header.kind in (tar.LONG_NAME, tar.LONG_LINK):
                    fields["path" if header.kind == tar.LONG_NAME else "linkpath"] = body.rstrip(b"\0")
                continue
            self._members += 1
            if self._members > self._limits.entries:
                raise tar.damaged(f"it has more than {self._limits.entries} entries")
            return _Member(header, fields)
        raise tar.damaged("too many extended headers follow each other")

    def _meaning(self, member: _Member) -> tuple[Entry, Part | None] | None:
        folder, slash, path = member.name.partition("/")
        kind = member.header.kind
        if not slash and folder in (entry_headers.FILES, entry_headers.HIVES, "UtilityVM") and kind == tar.DIRECTORY:
            self._read_version(member.records)
            return None
        if folder == "UtilityVM" or (folder == entry_headers.HIVES and not self._hives):
            return None
        if folder not in (entry_headers.FILES, entry_headers.HIVES):
            raise tar.damaged(f"{printable(member.name)!r} is neither below Files nor below Hives")
        carried_whiteout = path.rpartition("/")[2].startswith(entry_headers.WHITEOUT_PREFIX)
        true = entry_headers.checked_path(
            entry_headers.true_path(
                member.records, "STRATA.path", path if not carried_whiteout else self._whiteout(path)
            )
        )
        if folder == entry_headers.HIVES:
            if kind not in (tar.REGULAR, b"\0"):
                return None
            return self._with_data(Entry(true, model.HIVE), member)
        if carried_whiteout:
            if member.size or kind not in (tar.REGULAR, b"\0"):
                raise tar.damaged(f"the whiteout {printable(path)} holds something")
            return Entry(true, model.WHITEOUT), None
        if "STRATA.path" not in member.records and any(
            part.startswith(entry_headers.WHITEOUT_PREFIX) for part in path.split("/")
        ):
            raise tar.damaged(f"the name {printable(path)!r} has a whiteout for a folder")
        return self._file(true, member)

    def _file(self, path: str, member: _Member) -> tuple[Entry, Part | None]:
        kind, fields = member.header.kind, member.records
        if kind == tar.HARD_LINK:
            entry = entry_headers.read_entry(path, model.LINK, member.header, fields, own=self._own)
            folder, _slash, target = entry_headers.link_text(member.header, fields).partition("/")
            entry.link_target = entry_headers.checked_path(entry_headers.true_path(fields, "STRATA.linkpath", target))
            if folder != entry_headers.FILES or hash(entry.link_target) not in self._files:
                raise tar.damaged(
                    f"{printable(path)} is a hard link to {printable(entry.link_target)}, which the archive does not have before it"
                )
            self._remember(path)
            return entry, None
        if kind == tar.DIRECTORY or (
            kind == tar.SYMLINK and entry_headers.read_attributes(fields) & model.ATTRIBUTE_DIRECTORY
        ):
            return entry_headers.read_entry(path, model.DIRECTORY, member.header, fields, own=self._own), None
        if kind not in (tar.REGULAR, b"\0", b"7", tar.SYMLINK):
            raise Unsupported(
                f"The layer archive has {printable(path)} as a member of type {kind!r}, which Windows layers do not have.",
                code="layers.archive_member_type",
            )
        self._remember(path)
        return self._with_data(entry_headers.read_entry(path, model.FILE, member.header, fields, own=self._own), member)

    def _remember(self, path: str) -> None:
        if hash(path) in self._files:
            raise tar.damaged(f"{printable(path)} is in it twice")
        self._files.add(hash(path))

    def _with_data(self, entry: Entry, member: _Member) -> tuple[Entry, Part]:
        part = self._part(member)
        entry.size = part.size
        if "GNU.sparse.major" in member.records:
            entry.sparse = part.data_runs
        return entry, part

    @staticmethod
    def _whiteout(path: str) -> str:
        folder, slash, base = path.rpartition("/")
        base = base[len(entry_headers.WHITEOUT_PREFIX) :]
        if base.startswith(entry_headers.WHITEOUT_PREFIX):
            raise Unsupported(
                f"The layer archive has the opaque whiteout {printable(path)}.",
                code="layers.archive_opaque",
                hint="Windows layers delete by name; export the layer again with a tool for Windows layers.",
            )
        return folder + slash + base

    def _read_version(self, fields: dict[str, bytes]) -> None:
        version = fields.get("STRATA.version")
        if version is None:
            return
        if version != b"%d" % entry_headers.VERSION:
            raise Unsupported(
                "The layer archive is of a newer format than this version of the collection reads.",
                code="layers.archive_version",
                hint="Update the collection strata.layering on this composer.",
            )
        self._own = True

    def _part(self, member: _Member) -> Part:
        size = member.size
        self._padding = -size % tar.BLOCK
        fields = member.records
        if not any(key.startswith("GNU.sparse.") for key in fields):
            if size > self._limits.file:
                raise tar.damaged(f"{printable(member.name)} is larger than {self._limits.file} bytes")
            return Part(self._tape, size)
        real = fields.get("GNU.sparse.realsize", b"")
        if (
            fields.get("GNU.sparse.major") != b"1"
            or fields.get("GNU.sparse.minor") != b"0"
            or not real.isdigit()
            or len(real) > 19
        ):
            raise Unsupported(
                f"The layer archive has {printable(member.name)} in a sparse form other than GNU 1.0.",
                code="layers.archive_sparse",
            )
        runs, used = self._sparse_map(size)
        if (
            int(real) > self._limits.file
            or entry_headers.runs_problem(runs, int(real))
            or used + sum(length for _offset, length in runs) != size
        ):
            raise tar.damaged(f"the sparse map of {printable(member.name)} is wrong")
        return Part(self._tape, int(real), [run for run in runs if run[1]])

    def _sparse_map(self, size: int) -> tuple[list[tuple[int, int]], int]:
        numbers: list[int] = []
        rest = b""
        used = 0
        wanted = 1
        while len(numbers) < wanted:
            if used + tar.BLOCK > size or len(rest) > 32:
                raise tar.damaged("a sparse map does not end")
            *lines, rest = (rest + self._tape.take(tar.BLOCK)).split(b"\n")
            used += tar.BLOCK
            for line in lines[: wanted - len(numbers) if len(numbers) else None]:
                if not line.isdigit() or len(line) > 19:
                    raise tar.damaged("a sparse map holds something else than numbers")
                numbers.append(int(line))
                if len(numbers) == 1:
                    if numbers[0] > self._limits.runs:
                        raise tar.damaged(f"a sparse map has more than {self._limits.runs} runs")
                    wanted = 1 + 2 * numbers[0]
                if len(numbers) == wanted:
                    break
        return list(zip(numbers[1::2], numbers[2::2])), used
