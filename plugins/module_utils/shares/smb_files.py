# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of an SMB share as streams: reading with read-ahead, writing under a temporary name.

Several requests are in flight at once, so that the network is used while earlier bytes are processed. Both
streams resume after a lost connection. The reader continues at the same byte, if the file did not change. The
writer sends again all data that the server has not flushed.
"""

from __future__ import annotations

import contextlib
import struct
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from ..common.errors import Corrupt, Unavailable
from ..common.optional_imports import smb_open
from ..common.streams import SeekableReader, SeekableStream
from .share_connection import Handle, ShareConnection, unpack
from .smb_client import SmbClient
from .smb_status import END_OF_FILE, MISSING, Lost, Refused

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: A file is read and written in pieces of this many bytes.
PIECE = 1 << 20
_UNIT = 1 << 16
#: Pieces that are requested before they are needed, and pieces that are kept.
_AHEAD = 8
_KEPT = 24
#: Bytes that may be written before the server must flush them.
_UNFLUSHED = 64 << 20
_READ = struct.Struct("<HBBI")

#: MS-SMB2 2.2.13.1.1: FILE_GENERIC_READ; FILE_GENERIC_WRITE plus read attributes and DELETE, which renaming needs.
_READ_ACCESS = 0x00120089
_WRITE_ACCESS = 0x00130196


class SmbReader(SeekableReader):
    """A seekable stream that reads a file; ``size`` is in bytes. It is not thread-safe.

    Raises:
        FileNotFoundError: if the file does not exist.
        Corrupt: ``shares.changed`` if the file changes while it is read.
        Unavailable: ``shares.gone`` if the connection is lost and cannot be restored.
    """

    def __init__(self, client: SmbClient, path: str, location: str) -> None:
        super().__init__()
        self.name = location
        self._client, self._path = client, path
        self._handle: Handle | None = None
        self._first: Handle | None = None
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self._in_flight: dict[int, Any] = {}
        self._next = self._run = 0
        self.size = client.attempt(self._open, location).size

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
            if handle is not None and handle.connection.usable:
                with self._client.lock, contextlib.suppress(Lost, Refused):
                    for request in self._in_flight.values():
                        handle.connection.receive(request)
                    handle.close()
            self._in_flight.clear()
        super().close()

    def _open(self, connection: ShareConnection) -> Handle:
        """Return the file's handle on this connection; after a reconnect, check that the file did not change."""
        if self._handle is not None and self._handle.connection is connection:
            return self._handle
        self._in_flight.clear()
        try:
            handle = connection.open(
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
        piece = self._pieces.get(number)
        if piece is not None:
            self._pieces.move_to_end(number)
            if not self._in_flight:
                return piece
        near = abs(number - self._next) <= 2
        self._run = min(self._run + 1, _AHEAD) if near else 0
        self._next = number + 1
        ahead = min(1 << self._run, _AHEAD) if self._run else 0
        return self._client.attempt(lambda connection: self._fetch(connection, number, ahead), self.name)

    def _fetch(self, connection: ShareConnection, number: int, ahead: int) -> bytes:
        handle = self._open(connection)
        limit = max(1, min(_AHEAD + 1, connection.credits * _UNIT // PIECE - 1))
        for piece in range(number, min(number + ahead, (self.size - 1) // PIECE) + 1):
            if len(self._in_flight) >= limit and piece > number:
                break
            if piece not in self._pieces and piece not in self._in_flight:
                if len(self._in_flight) >= limit:
                    self._collect(connection, next(iter(self._in_flight)))
                length = min(PIECE, self.size - piece * PIECE)
                message, _finish = handle.opened.read(piece * PIECE, length, send=False)
                self._in_flight[piece] = connection.send(message)
        if number in self._in_flight:
            self._collect(connection, number)
        return self._pieces[number]

    def _collect(self, connection: ShareConnection, number: int) -> None:
        expected = min(PIECE, self.size - number * PIECE)
        try:
            response = connection.receive(self._in_flight[number])
        except Refused as error:
            if error.status == END_OF_FILE:
                raise self._changed() from error
            raise
        finally:
            self._in_flight.pop(number, None)
        # The offset counts from the start of the header, which has 64 bytes.
        offset, length = unpack(_READ, response)[1::2]
        data = response[offset - 64 : offset - 64 + length]
        if len(data) != expected:
            raise self._changed()
        self._pieces[number] = data
        while len(self._pieces) > _KEPT:
            self._pieces.popitem(last=False)

    def _changed(self) -> Corrupt:
        return Corrupt(
            f"The file {self.name} changed while it was read.",
            code="shares.changed",
            hint="Make sure that no other program writes to the file, and run again.",
            path=self.name,
        )


class SmbWriter(SeekableStream):
    """A seekable stream that writes the file ``temporary``; ``finish`` renames it to ``path``, ``discard`` removes it.

    With ``resume``, an existing temporary file is continued, and ``size`` is its size; otherwise it is truncated.

    Data that the server has not flushed is kept in memory and written again after a lost connection.

    Raises:
        NoSpace: ``shares.files_no_space`` if the share is full.
        Unavailable: ``shares.changed`` if the temporary file is removed or truncated by another program,
            ``shares.gone`` if the connection is lost and cannot be restored.
    """

    def __init__(self, client: SmbClient, temporary: str, path: str, location: str, *, resume: bool = False) -> None:
        super().__init__()
        self.name = location
        self._client, self._temporary, self._path = client, temporary, path
        self._resume = resume
        self._handle: Handle | None = None
        self._identity: int | None = None
        self._emitted_size = self._flushed_size = 0
        self._gathered = bytearray()
        self._gathered_at = 0
        self._unflushed: list[tuple[int, bytes]] = []
        self._unflushed_bytes = self._sent = 0
        #: Requests, each with the range of bytes that it writes: the first byte, and the byte after the last.
        self._in_flight: deque[tuple[Any, int, int]] = deque()
        self.size = client.attempt(self._open, location).size

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Write all of ``data``."""
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
        """Flush all data and rename the file; an existing file of that name is replaced."""
        self._emit()
        self._client.attempt(self._flush, self.name)
        self._client.attempt(self._rename, self.name)
        self._close()

    def abandon(self) -> None:
        """Flush what the server accepts and close the file, which stays under its temporary name."""
        with contextlib.suppress(Exception):
            if self._handle is not None and self._handle.connection.usable:
                self._client.attempt(self._flush, self.name)
        self._close()

    def discard(self) -> None:
        """Remove the temporary file, if the connection is open; otherwise it stays under its temporary name."""
        self._unflushed.clear()
        with self._client.lock, contextlib.suppress(Exception):
            handle = self._handle
            if handle is not None and handle.connection.usable:
                # The results of requests in flight do not matter: the file is removed.
                handle.remove()
        self._close()

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None and handle.connection.usable:
            with self._client.lock:
                handle.close()
        self.close()

    def _emit(self) -> None:
        if not self._gathered:
            return
        data = bytes(self._gathered)
        self._unflushed.append((self._gathered_at, data))
        self._unflushed_bytes += len(data)
        self._gathered_at += len(data)
        self._emitted_size = max(self._emitted_size, self._gathered_at)
        self._gathered.clear()
        self._client.attempt(self._flush if self._unflushed_bytes >= _UNFLUSHED else self._send, self.name)

    def _open(self, connection: ShareConnection) -> Handle:
        """Return the temporary file's handle on this connection.

        After a reconnect, all unflushed data is sent again.
        """
        if self._handle is not None and self._handle.connection is connection:
            return self._handle
        self._in_flight.clear()
        self._sent = 0
        disposition = smb_open.CreateDisposition
        reopened = self._identity is not None
        options = smb_open.CreateOptions.FILE_NON_DIRECTORY_FILE | smb_open.CreateOptions.FILE_SEQUENTIAL_ONLY
        try:
            handle = connection.open(
                self._temporary,
                _WRITE_ACCESS,
                disposition.FILE_OPEN if reopened else self._first_disposition(),
                options,
            )
        except Refused as error:
            if error.status in MISSING and reopened:
                raise self._disturbed() from error
            raise
        identity = handle.identity()
        if reopened and (identity != self._identity or handle.size < self._flushed_size):
            handle.close()
            raise self._disturbed()
        self._identity = identity
        self._handle = handle
        return handle

    def _first_disposition(self) -> int:
        disposition = smb_open.CreateDisposition
        return disposition.FILE_OPEN_IF if self._resume else disposition.FILE_OVERWRITE_IF

    def _send(self, connection: ShareConnection) -> Handle:
        handle = self._open(connection)
        limit = max(1, min(_AHEAD, connection.credits * _UNIT // PIECE - 1))
        while self._sent < len(self._unflushed):
            offset, data = self._unflushed[self._sent]
            end = offset + len(data)
            # A server may process requests in any order: a range is not written again while it is in flight.
            while len(self._in_flight) >= limit or any(
                begin < end and offset < after for _request, begin, after in self._in_flight
            ):
                connection.receive(self._in_flight.popleft()[0])
            self._in_flight.append((connection.send(handle.opened.write(data, offset, send=False)[0]), offset, end))
            self._sent += 1
        return handle

    def _flush(self, connection: ShareConnection) -> None:
        handle = self._send(connection)
        while self._in_flight:
            connection.receive(self._in_flight.popleft()[0])
        connection.exchange(handle.opened.flush(send=False)[0])
        self._flushed_size = self._emitted_size
        self._unflushed.clear()
        self._unflushed_bytes = self._sent = 0

    def _rename(self, connection: ShareConnection) -> None:
        handle = self._handle
        if handle is None or handle.connection is not connection:
            # An earlier attempt may have renamed the file although its response was lost.
            if self._is_renamed(connection):
                return
            handle = self._open(connection)
        handle.rename(self._path)

    def _is_renamed(self, connection: ShareConnection) -> bool:
        try:
            handle = connection.open(self._path, _READ_ACCESS, smb_open.CreateDisposition.FILE_OPEN, 0)
        except Refused as error:
            if error.status in MISSING:
                return False
            raise
        with contextlib.closing(handle):
            return handle.identity() == self._identity

    def _disturbed(self) -> Unavailable:
        return Unavailable(
            f"The temporary file of {self.name} was removed or truncated while it was written.",
            code="shares.changed",
            hint="Make sure that no other program changes files in the folder, and run again.",
            path=self.name,
        )
