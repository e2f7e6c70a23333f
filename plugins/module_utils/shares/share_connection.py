# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a share of an SMB server, and the files and folders that are open on it."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import Any

from ..common.errors import StrataError, Unsupported
from ..common.optional_imports import smb_errors, smb_open
from .smb_status import MISSING, NO_MORE_FILES, TRANSIENT, Lost, Refused

#: The listing of a folder with more entries is refused.
MAXIMUM_NAMES = 100_000
#: Units of 64 KiB that may be in flight; the server may grant fewer.
CREDITS = 512
_CREATED = struct.Struct("<HBBIQQQQQQI")
_FILETIME_1970 = 116444736000000000
#: MS-SMB2 2.2.37 info types; MS-FSCC 2.4 and 2.5 information classes.
_FILE, _FILE_SYSTEM = 1, 2
_DIRECTORY_INFORMATION, _INTERNAL, _RENAME, _DISPOSITION, _FULL_SIZE = 1, 6, 10, 13, 7
_SPACE, _IDENTITY = struct.Struct("<QQQII"), struct.Struct("<Q")
_QUERY_HEADER = 8
_READ_ATTRIBUTES = 0x80


class _EndOfListing(Exception):
    pass


class Handle:
    """An open file or folder of a connection.

    ``size`` is in bytes, ``written`` in units of 100 ns since 1601. ``opened`` is the library's object.
    """

    __slots__ = ("connection", "opened", "size", "written", "is_folder")

    def __init__(self, connection: ShareConnection, opened: Any, response: bytes) -> None:
        self.connection = connection
        self.opened = opened
        fields = unpack(_CREATED, response)
        self.written, self.size = fields[6], fields[9]
        self.is_folder = bool(fields[10] & 0x10)

    @property
    def mtime_ns(self) -> int:
        """The time of the last change of the data, in nanoseconds since 1970."""
        return (self.written - _FILETIME_1970) * 100

    def rename(self, path: str) -> None:
        """Rename the file to ``path`` on the share; an existing file of that name is replaced."""
        target = path.replace("/", "\\").encode("utf-16-le")
        self._set(_RENAME, struct.pack("<B7xQI", 1, 0, len(target)) + target)

    def remove(self) -> None:
        """Remove the file or folder, as soon as all its handles are closed."""
        self._set(_DISPOSITION, b"\x01")

    def space(self) -> tuple[int, int]:
        """Return the bytes that this user may still write, and the size of the volume in bytes."""
        total, free, _actual_free, sectors, size = self._query(_FILE_SYSTEM, _FULL_SIZE, _SPACE)
        return free * sectors * size, total * sectors * size

    def identity(self) -> int:
        """Return the file's number: it is unique on the volume, and a rename does not change it."""
        return self._query(_FILE, _INTERNAL, _IDENTITY)[0]

    def names(self) -> list[Any]:
        """Return the entries of the folder, as FileDirectoryInformation structures."""
        entries: list[Any] = []
        with contextlib.suppress(_EndOfListing):
            while len(entries) <= MAXIMUM_NAMES:
                entries += self._next_names()
            raise Unsupported(
                f"A folder of the file share holds more than {MAXIMUM_NAMES} files.",
                code="shares.too_many",
                hint="Use a separate folder for the packages, and set file_share to it.",
                limit=MAXIMUM_NAMES,
            )
        return entries

    def _next_names(self) -> list[Any]:
        message, finish = self.opened.query_directory("*", _DIRECTORY_INFORMATION, flags=0, send=False)
        request = self.connection.send(message)
        try:
            self.connection.receive(request)
        except Refused as error:
            if error.status in (NO_MORE_FILES, *MISSING):
                raise _EndOfListing from error
            raise
        with library_errors():
            return finish(request)

    def _query(self, info_type: int, information_class: int, layout: struct.Struct) -> tuple[Any, ...]:
        message = smb_open.SMB2QueryInfoRequest()
        message["info_type"] = info_type
        message["file_info_class"] = information_class
        message["output_buffer_length"] = layout.size
        message["file_id"] = self.opened.file_id
        return unpack(layout, self.connection.exchange(message), _QUERY_HEADER)

    def _set(self, information_class: int, data: bytes) -> None:
        message = smb_open.SMB2SetInfoRequest()
        message["info_type"] = _FILE
        message["file_info_class"] = information_class
        message["file_id"] = self.opened.file_id
        message["buffer"] = data
        self.connection.exchange(message)

    def close(self) -> None:
        """Close the handle; a lost connection has closed it already."""
        with contextlib.suppress(Lost, Refused):
            self.connection.exchange(self.opened.close(send=False)[0])


class ShareConnection:
    """A connection with its session, connected to a share. The arguments are the library's objects."""

    def __init__(self, transport: Any, session: Any, tree: Any) -> None:
        self.transport = transport
        self._session = session
        self._tree = tree
        self.process = os.getpid()
        self.credits = CREDITS

    @property
    def usable(self) -> bool:
        """Whether the connection is open and was opened by this process."""
        return self.process == os.getpid() and self.transport.transport.connected

    def send(self, message: Any) -> Any:
        """Send a request without waiting for its response."""
        with library_errors():
            return self.transport.send(message, self._session.session_id, self._tree.tree_connect_id)

    def receive(self, request: Any) -> bytes:
        """Wait for the response to a request and return its bytes after the header. Raises Lost or Refused."""
        with library_errors():
            return self.transport.receive(request)["data"].get_value()

    def exchange(self, message: Any) -> bytes:
        """Send a request, wait for its response and return its bytes after the header."""
        return self.receive(self.send(message))

    def open(self, path: str, access: int, disposition: int, options: int) -> Handle:
        """Open or create ``path``, which is relative to the share's root and written with slashes.

        Other clients may read, write, rename and remove the file while it is open.
        """
        opened = smb_open.Open(self._tree, path.replace("/", "\\"))
        share = smb_open.ShareAccess
        message, finish = opened.create(
            smb_open.ImpersonationLevel.Impersonation,
            access,
            0,
            share.FILE_SHARE_READ | share.FILE_SHARE_WRITE | share.FILE_SHARE_DELETE,
            disposition,
            options,
            send=False,
        )
        with library_errors():
            request = self.transport.send(message, self._session.session_id, self._tree.tree_connect_id)
            response = self.transport.receive(request)["data"].get_value()
            finish(request)
        return Handle(self, opened, response)

    def stat(self, path: str) -> Handle | None:
        """Return a closed handle with the status of ``path``; None if it does not exist."""
        try:
            handle = self.open(path, _READ_ATTRIBUTES, smb_open.CreateDisposition.FILE_OPEN, 0)
        except Refused as error:
            if error.status in MISSING:
                return None
            raise
        handle.close()
        return handle


@contextlib.contextmanager
def library_errors() -> Iterator[None]:
    """Convert the exceptions of the SMB library to Lost or Refused."""
    try:
        yield
    except StrataError:
        raise
    except smb_errors.SMBResponseException as error:
        if error.status in TRANSIENT:
            raise Lost(f"the server answered with status 0x{error.status:08X}") from error
        raise Refused(error.status) from error
    except MemoryError:
        raise
    except Exception as error:
        # Includes exceptions of the library's receiving thread: a damaged message can cause any exception there.
        raise Lost(_reason(error)) from error


def unpack(layout: struct.Struct, response: bytes, offset: int = 0) -> tuple[Any, ...]:
    """Return the fields at ``offset`` of a response. Raises Lost if the response is too short."""
    with library_errors():
        return layout.unpack_from(response, offset)


def _reason(error: BaseException) -> str:
    if isinstance(error, (smb_errors.SMBConnectionClosed, BrokenPipeError, ConnectionResetError)):
        return "the connection was closed"
    if isinstance(error, TimeoutError) or "timeout" in str(error).lower():
        return "the server did not respond in time"
    # The library wraps the message of the operating system in a ValueError.
    text = str(error)[:200]
    if text and isinstance(error, (OSError, ValueError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
