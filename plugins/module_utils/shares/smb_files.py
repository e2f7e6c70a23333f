# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of an SMB share as streams: reading with read-ahead, writing under another name first.

Several requests are under way at once, so that the line is busy while earlier bytes are worked
on. Both go on after the connection was lost for a while: reading at the same byte of a file that
is still the same one, writing with everything that the server has not promised to keep.
"""

from __future__ import annotations

import contextlib
import struct
from collections import OrderedDict, deque
from typing import Any

from ..common.errors import Corrupt, Unavailable
from ..common.optional_imports import smb_open
from ..common.streams import SeekableReader, SeekableStream
from .smb_client import Handle, Live, SmbClient, unpack
from .smb_status import END_OF_FILE, MISSING, Lost, Refused

#: A file is read and written in pieces of this many bytes.
PIECE = 1 << 20
_UNIT = 1 << 16
#: Pieces that are asked for before they are needed, and that are kept.
_AHEAD = 8
_KEPT = 24
#: Bytes that may be written before the server has to promise that it keeps them.
_UNSAFE = 64 << 20
_READ = struct.Struct("<HBBI")

#: MS-SMB2 2.2.13.1.1: FILE_GENERIC_READ; FILE_GENERIC_WRITE with reading attributes and DELETE, which renaming needs.
_READ_ACCESS = 0x00120089
_WRITE_ACCESS = 0x00130196


class SmbReader(SeekableReader):
    """A file that is read; ``size`` in bytes. Seekable; not to be used by two threads at once.

    Raises Corrupt when the file changes meanwhile, Unavailable "share.gone" when the server
    is away for too long.
    """

    def __init__(self, client: SmbClient, path: str, place: str) -> None:
        super().__init__()
        self.name = place
        self._client, self._path = client, path
        self._handle: Handle | None = None
        self._first: Handle | None = None
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self._under_way: dict[int, Any] = {}
        self._next = self._run = 0
        self.size = client.attempt(self._open, place).size

    def _read_at(self, position: int, count: int) -> bytes:
        parts = []
        while count:
            number, start = divmod(position, PIECE)
            part = self._piece(number)[start : start + count]
            parts.append(part)
            count -= len(part)
            position += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        if not self.closed:
            self._pieces.clear()
            handle, self._handle = self._handle, None
            if handle is not None and handle.live.usable:
                with self._client.lock, contextlib.suppress(Lost, Refused):
                    for request in self._under_way.values():
                        handle.live.answer(request)
                    handle.close()
            self._under_way.clear()
        super().close()

    def _open(self, live: Live) -> Handle:
        """The file's handle on this connection; after another one it must be the same file."""
        if self._handle is not None and self._handle.live is live:
            return self._handle
        self._under_way.clear()
        try:
            handle = live.open(
                self._path,
                _READ_ACCESS,
                smb_open.CreateDisposition.FILE_OPEN,
                smb_open.CreateOptions.FILE_NON_DIRECTORY_FILE,
            )
        except Refused as error:
            if error.status in MISSING and self._first is not None:
                raise self._changed() from error
            raise
        if self._first is None:
            self._first = handle
        elif (handle.size, handle.written) != (self._first.size, self._first.written):
            handle.close()
            raise self._changed()
        self._handle = handle
        return handle

    def _piece(self, number: int) -> bytes:
        found = self._pieces.get(number)
        if found is not None:
            self._pieces.move_to_end(number)
            if not self._under_way:
                return found
        near = abs(number - self._next) <= 2
        self._run = min(self._run + 1, _AHEAD) if near else 0
        self._next = number + 1
        ahead = min(1 << self._run, _AHEAD) if self._run else 0
        return self._client.attempt(lambda live: self._fetch(live, number, ahead), self.name)

    def _fetch(self, live: Live, number: int, ahead: int) -> bytes:
        handle = self._open(live)
        most = max(1, min(_AHEAD + 1, live.credits * _UNIT // PIECE - 1))
        for wanted in range(number, min(number + ahead, (self.size - 1) // PIECE) + 1):
            if len(self._under_way) >= most and wanted > number:
                break
            if wanted not in self._pieces and wanted not in self._under_way:
                if len(self._under_way) >= most:
                    self._collect(live, next(iter(self._under_way)))
                length = min(PIECE, self.size - wanted * PIECE)
                message, unused = handle.opened.read(wanted * PIECE, length, send=False)
                self._under_way[wanted] = live.send(message)
        if number in self._under_way:
            self._collect(live, number)
        return self._pieces[number]

    def _collect(self, live: Live, number: int) -> None:
        expected = min(PIECE, self.size - number * PIECE)
        try:
            answer = live.answer(self._under_way[number])
        except Refused as error:
            if error.status == END_OF_FILE:
                raise self._changed() from error
            raise
        finally:
            self._under_way.pop(number, None)
        place, length = unpack(_READ, answer)[1::2]
        data = answer[place - 64 : place - 64 + length]
        if len(data) != expected:
            raise self._changed()
        self._pieces[number] = data
        while len(self._pieces) > _KEPT:
            self._pieces.popitem(last=False)

    def _changed(self) -> Corrupt:
        return Corrupt(
            f"The file {self.name} was changed while it was being read.",
            code="shares.changed",
            hint="Make sure that nothing writes to it, and run again.",
        )


class SmbWriter(SeekableStream):
    """A file in the making, under the name ``temporary``; ``finish`` gives it its own, ``give_up`` removes it.

    May be written anywhere. What the server has not been made to keep yet is held in memory
    and written again after the connection was lost.
    """

    def __init__(self, client: SmbClient, temporary: str, path: str, place: str) -> None:
        super().__init__()
        self.name = place
        self._client, self._temporary, self._path = client, temporary, path
        self._handle: Handle | None = None
        self._identity: int | None = None
        self._emitted_size = self._safe_size = 0
        self._gathered = bytearray()
        self._gathered_at = 0
        self._unsafe: list[tuple[int, bytes]] = []
        self._unsafe_bytes = self._sent = 0
        #: Requests with the first byte that they write and the one behind the last.
        self._under_way: deque[tuple[Any, int, int]] = deque()
        client.attempt(self._open, place)

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        """Write all of ``data``; NoSpace when the share is full."""
        view = memoryview(data).cast("B")
        if self._position != self._gathered_at + len(self._gathered):
            self._emit()
            self._gathered_at = self._position
        done = 0
        while done < len(view):
            part = view[done : done + PIECE - len(self._gathered)]
            self._gathered += part
            done += len(part)
            if len(self._gathered) == PIECE:
                self._emit()
        self._position += len(view)
        self.size = max(self.size, self._position)
        return len(view)

    def finish(self) -> None:
        """Make the server keep everything, and give the file its name in place of another one."""
        self._emit()
        self._client.attempt(self._keep, self.name)
        self._client.attempt(self._rename, self.name)
        self._close()

    def give_up(self) -> None:
        """Remove what was written, if the server can be reached at once; otherwise it is left under its temporary name."""
        self._unsafe.clear()
        with self._client.lock, contextlib.suppress(Exception):
            handle = self._handle
            if handle is not None and handle.live.usable:
                # What is under way fails or not; the file goes.
                handle.remove()
        self._close()

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None and handle.live.usable:
            with self._client.lock:
                handle.close()
        self.close()

    def _emit(self) -> None:
        if not self._gathered:
            return
        data = bytes(self._gathered)
        self._unsafe.append((self._gathered_at, data))
        self._unsafe_bytes += len(data)
        self._gathered_at += len(data)
        self._emitted_size = max(self._emitted_size, self._gathered_at)
        self._gathered.clear()
        self._client.attempt(self._keep if self._unsafe_bytes >= _UNSAFE else self._send, self.name)

    def _open(self, live: Live) -> Handle:
        """The temporary file's handle on this connection; on another one than before everything unsafe is to be sent again."""
        if self._handle is not None and self._handle.live is live:
            return self._handle
        self._under_way.clear()
        self._sent = 0
        disposition = smb_open.CreateDisposition
        again = self._identity is not None
        options = smb_open.CreateOptions.FILE_NON_DIRECTORY_FILE | smb_open.CreateOptions.FILE_SEQUENTIAL_ONLY
        try:
            handle = live.open(
                self._temporary,
                _WRITE_ACCESS,
                disposition.FILE_OPEN if again else disposition.FILE_OVERWRITE_IF,
                options,
            )
        except Refused as error:
            if error.status in MISSING and again:
                raise self._disturbed() from error
            raise
        identity = handle.identity()
        if again and (identity != self._identity or handle.size < self._safe_size):
            handle.close()
            raise self._disturbed()
        self._identity = identity
        self._handle = handle
        return handle

    def _send(self, live: Live) -> Handle:
        handle = self._open(live)
        most = max(1, min(_AHEAD, live.credits * _UNIT // PIECE - 1))
        while self._sent < len(self._unsafe):
            offset, data = self._unsafe[self._sent]
            end = offset + len(data)
            # A server may do what is under way in any order, so that nothing is written over what it may not have written yet.
            while len(self._under_way) >= most or any(
                begin < end and offset < behind for _request, begin, behind in self._under_way
            ):
                live.answer(self._under_way.popleft()[0])
            self._under_way.append((live.send(handle.opened.write(data, offset, send=False)[0]), offset, end))
            self._sent += 1
        return handle

    def _keep(self, live: Live) -> None:
        handle = self._send(live)
        while self._under_way:
            live.answer(self._under_way.popleft()[0])
        live.ask(handle.opened.flush(send=False)[0])
        self._safe_size = self._emitted_size
        self._unsafe.clear()
        self._unsafe_bytes = self._sent = 0

    def _rename(self, live: Live) -> None:
        handle = self._handle
        if handle is None or handle.live is not live:
            # The answer to an earlier attempt may be what was lost.
            if self._has_its_name(live):
                return
            handle = self._open(live)
        handle.rename(self._path)

    def _has_its_name(self, live: Live) -> bool:
        try:
            found = live.open(self._path, _READ_ACCESS, smb_open.CreateDisposition.FILE_OPEN, 0)
        except Refused as error:
            if error.status in MISSING:
                return False
            raise
        with contextlib.closing(found):
            return found.identity() == self._identity

    def _disturbed(self) -> Unavailable:
        return Unavailable(
            f"The file {self.name} was removed or cut off while it was being written.",
            code="shares.changed",
            hint="Run again.",
        )
