# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compressed parts of the audit history, ``audit/YYYY-MM.jsonl.zst``: reading them, and moving old records into them.

Moving records changes several files, but is committed by one rename, so that no record is lost or doubled when the process is
killed. First the records that stay are written to ``audit/next.jsonl``. While this file exists, parts with the suffix ``.new`` do
not count. They are written next; each is the old part and the new records. Then ``next.jsonl`` is renamed to ``audit.jsonl``: from
this moment the ``.new`` parts count and replace the parts without the suffix, to which they are renamed at the end. The next run
that moves records completes or undoes what a killed run left. All this happens under the lock of the history.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ..common.atomic_files import atomic_file, sync_folder
from ..common.errors import Corrupt
from ..common.optional_imports import zstandard

MAX_LINE = 64 * 1024
_SUFFIX = ".jsonl.zst"
_NEW = ".new"
_NEXT = "next.jsonl"
_MONTH = re.compile(r"\d{4}-\d{2}")
_LEVEL = 9
#: Bytes of memory for unpacking, at most.
_MAX_WINDOW = 1 << 27


@dataclass
class Moved:
    """The records that were moved, or would be moved, into the part of each month."""

    months: Counter[str] = field(default_factory=Counter)

    @property
    def records(self) -> int:
        """The number of records."""
        return self.months.total()


@dataclass(frozen=True)
class Source:
    """An open file of the history. ``month`` (YYYY-MM) is that of all its records, None if they may be of any time."""

    name: str
    month: str | None
    stream: BinaryIO

    def lines(self) -> Iterator[bytes]:
        """Yield the lines, oldest first, without line ends; a line that is too long is split.

        Raises:
            Corrupt: ``repository.audit_corrupt`` if a compressed part is damaged.
        """
        with contextlib.closing(self.stream):
            if not self.name.endswith((_SUFFIX, _SUFFIX + _NEW)):
                yield from _lines(self.stream)
                return
            unpacked = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
                self.stream, read_across_frames=True
            )
            try:
                yield from _lines(io.BufferedReader(unpacked))
            except zstandard.ZstdError as error:
                raise Corrupt(
                    f"The part {self.name} of the audit history is damaged ({error}).",
                    code="repository.audit_corrupt",
                    hint="Restore the file from a backup of the repository.",
                    name=self.name,
                ) from error


def _lines(stream: BinaryIO | io.BufferedReader) -> Iterator[bytes]:
    while line := stream.readline(MAX_LINE):
        yield line.rstrip(b"\n")


def open_sources(folder: str, current: str) -> list[Source]:
    """Open all files of the history, oldest first, the file ``current`` last; the caller holds the lock, shared.

    What is written to the files afterwards does not disturb a reader that has opened them. Other files named ``*.jsonl`` or
    ``*.jsonl.zst`` in ``folder`` are read, too, in the order of their names.
    """
    sources = []
    for name in _parts(folder):
        with contextlib.suppress(FileNotFoundError):
            stem = name.partition(".")[0]
            month = stem if _MONTH.fullmatch(stem) and _SUFFIX in name else None
            sources.append(Source(name, month, open(os.path.join(folder, name), "rb")))  # noqa: SIM115
    with contextlib.suppress(FileNotFoundError):
        sources.append(Source(os.path.basename(current), None, open(current, "rb")))  # noqa: SIM115
    return sources


def _parts(folder: str) -> list[str]:
    """Return the names of the files that count, sorted."""
    names = set(_listed(folder))
    uncommitted = _NEXT in names
    parts = {name for name in names if name.endswith((".jsonl", _SUFFIX)) and name != _NEXT and name[0] != "."}
    for name in names if not uncommitted else ():
        if name.endswith(_SUFFIX + _NEW):
            parts.discard(name.removesuffix(_NEW))
            parts.add(name)
    return sorted(parts)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def month_of(line: bytes) -> str | None:
    """Return the month (UTC, YYYY-MM) of a record, None for a line that is not a record."""
    try:
        moment = datetime.datetime.fromisoformat(json.loads(line)["time"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    with contextlib.suppress(OverflowError):
        return f"{moment.astimezone(datetime.UTC):%Y-%m}"
    return None


def plan_move(current: str, before: str) -> Moved:
    """Count the records of the file ``current`` that are of a month before ``before`` (YYYY-MM)."""
    moved = Moved()
    for month, line in _sorted_lines(current, before):
        if month is not None and month_of(line) is not None:
            moved.months[month] += 1
    return moved


def move(folder: str, current: str, before: str) -> Moved:
    """Move the records of months before ``before`` (YYYY-MM) into the parts; the caller holds the lock of the history.

    Raises:
        NoSpace: ``common.files_no_space``.
    """
    recover(folder)
    moved = plan_move(current, before)
    if not moved.records:
        return moved
    os.makedirs(folder, exist_ok=True)
    next_file = os.path.join(folder, _NEXT)
    mode = stat.S_IMODE(os.stat(current).st_mode)
    with atomic_file(next_file, mode) as stream:
        for month, line in _sorted_lines(current, before):
            if month is None:
                stream.write(line + b"\n")
    _write_parts(folder, current, before, mode)
    os.replace(next_file, current)  # The commit.
    sync_folder(os.path.dirname(current))
    sync_folder(folder)
    recover(folder)
    return moved


def recover(folder: str) -> None:
    """Complete what a killed run had committed, and remove what it had not; the caller holds the lock of the history."""
    names = _listed(folder)
    new = [name for name in names if name.endswith(_SUFFIX + _NEW)]
    if _NEXT in names:
        for name in new:
            os.unlink(os.path.join(folder, name))
        sync_folder(folder)
        os.unlink(os.path.join(folder, _NEXT))
    else:
        for name in new:
            os.replace(os.path.join(folder, name), os.path.join(folder, name.removesuffix(_NEW)))
    if new or _NEXT in names:
        sync_folder(folder)


def _sorted_lines(current: str, before: str) -> Iterator[tuple[str | None, bytes]]:
    """Yield each line with the month of its part, None for a line that stays; what is not a record follows the line before it."""
    month: str | None = None
    try:
        stream = open(current, "rb")  # noqa: SIM115
    except FileNotFoundError:
        return
    with stream:
        for line in _lines(stream):
            found = month_of(line)
            if found is not None:
                month = found if found < before else None
            yield month, line


def _write_parts(folder: str, current: str, before: str, mode: int) -> None:
    """Write the ``.new`` part of each month; consecutive records of a month are one frame."""
    started: set[str] = set()
    with contextlib.ExitStack() as opened:
        open_month, writer = None, None
        for month, line in _sorted_lines(current, before):
            if month is None:
                continue
            if month != open_month:
                opened.close()
                path = os.path.join(folder, month + _SUFFIX + _NEW)
                if month not in started:
                    _start_part(path, mode)
                    started.add(month)
                writer = opened.enter_context(_appending(path))
                open_month = month
            if writer is not None:
                writer.write(line + b"\n")
    sync_folder(folder)


def _start_part(path: str, mode: int) -> None:
    """Begin a ``.new`` part with the records that the part has already."""
    with open(path, "wb") as target:
        with contextlib.suppress(FileNotFoundError), open(path.removesuffix(_NEW), "rb") as stored:
            shutil.copyfileobj(stored, target, 1 << 20)
        os.fchmod(target.fileno(), mode)


@contextlib.contextmanager
def _appending(path: str) -> Iterator[BinaryIO]:
    with open(path, "ab") as target:
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        with compressor.stream_writer(target, closefd=False) as writer:
            yield writer
        target.flush()
        os.fsync(target.fileno())
