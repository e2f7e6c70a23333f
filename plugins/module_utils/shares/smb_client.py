# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a share of an SMB server: made when needed, made anew when it breaks, never shared.

Everything is signed or encrypted, and an answer that is not is no answer. Each client has a
connection of its own, so that no credentials serve anybody else. A process that forks ends its
idle connections first: the child, and the parent when it goes on, make new ones.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import struct
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ..common.errors import StrataError, Unavailable, Unsupported
from ..common.optional_imports import smb_connection, smb_errors, smb_open, smb_session, smb_tree
from .location import SmbLocation
from .smb_status import MISSING, NO_MORE_FILES, PASSING, Lost, Refused, refusal

#: Seconds before each new attempt to go on after the connection was lost.
DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
#: Seconds that a connection may take to be made, and an answer to come.
CONNECT_TIMEOUT = 10
ANSWER_TIMEOUT = 30
#: A folder with more files than this is not listed.
MOST_NAMES = 100_000
#: Units of 64 KiB that may be under way; the server may grant fewer.
_CREDITS = 512
_CREATED = struct.Struct("<HBBIQQQQQQI")
_FILETIME_1970 = 116444736000000000
#: MS-SMB2 2.2.37 info types; MS-FSCC 2.4 and 2.5 information classes.
_FILE, _FILE_SYSTEM = 1, 2
_DIRECTORY_INFORMATION, _INTERNAL, _RENAME, _DISPOSITION, _FULL_SIZE = 1, 6, 10, 13, 7
_SPACE, _IDENTITY = struct.Struct("<QQQII"), struct.Struct("<Q")
_QUERY_HEADER = 8
_READ_ATTRIBUTES = 0x80
_LOGON_FAILURE, _ACCESS_DENIED, _PENDING = 0xC000006D, 0xC0000022, 0x103

# The library tells of broken connections on standard error unless somebody listens.
logging.getLogger("smbprotocol").addHandler(logging.NullHandler())

T = TypeVar("T")
_clients: weakref.WeakSet[SmbClient] = weakref.WeakSet()


def _before_fork() -> None:
    for client in list(_clients):
        client.close()


os.register_at_fork(before=_before_fork)


class _NoMore(Exception):
    pass


class Handle:
    """An opened file or folder of one connection. ``size`` in bytes, ``written`` in units of 100 ns since 1601."""

    __slots__ = ("live", "opened", "size", "written", "is_folder")

    def __init__(self, live: Live, opened, answer: bytes) -> None:
        self.live = live
        self.opened = opened
        fields = unpack(_CREATED, answer)
        self.written, self.size = fields[6], fields[9]
        self.is_folder = bool(fields[10] & 0x10)

    @property
    def mtime_ns(self) -> int:
        """Last change of the data, in nanoseconds since 1970."""
        return (self.written - _FILETIME_1970) * 100

    def rename(self, path: str) -> None:
        """Give it another name on the share, in place of what may have that name."""
        target = path.replace("/", "\\").encode("utf-16-le")
        self._set(_RENAME, struct.pack("<B7xQI", 1, 0, len(target)) + target)

    def remove(self) -> None:
        """Remove it, once everybody has closed it."""
        self._set(_DISPOSITION, b"\x01")

    def space(self) -> tuple[int, int]:
        """Bytes that are free on its volume for this user, and bytes in all."""
        total, free, unused, sectors, size = self._query(_FILE_SYSTEM, _FULL_SIZE, _SPACE)
        return free * sectors * size, total * sectors * size

    def identity(self) -> int:
        """A number that stays with the file when it is renamed, and that no other file of the volume has."""
        return self._query(_FILE, _INTERNAL, _IDENTITY)[0]

    def names(self) -> list:
        """What is in the folder, as FileDirectoryInformation structures."""
        found = []
        with contextlib.suppress(_NoMore):
            while len(found) <= MOST_NAMES:
                found += self._some_names()
            raise Unsupported(
                f"A folder of the file share holds more than {MOST_NAMES} files.",
                code="shares.too_many",
                hint="Use a folder of its own for the packages.",
            )
        return found

    def _some_names(self) -> list:
        message, finish = self.opened.query_directory("*", _DIRECTORY_INFORMATION, flags=0, send=False)
        request = self.live.send(message)
        try:
            self.live.answer(request)
        except Refused as error:
            if error.status in (NO_MORE_FILES, *MISSING):
                raise _NoMore from error
            raise
        with talking():
            return finish(request)

    def _query(self, sort: int, kind: int, form: struct.Struct) -> tuple:
        message = smb_open.SMB2QueryInfoRequest()
        message["info_type"] = sort
        message["file_info_class"] = kind
        message["output_buffer_length"] = form.size
        message["file_id"] = self.opened.file_id
        return unpack(form, self.live.ask(message), _QUERY_HEADER)

    def _set(self, kind: int, data: bytes) -> None:
        message = smb_open.SMB2SetInfoRequest()
        message["info_type"] = _FILE
        message["file_info_class"] = kind
        message["file_id"] = self.opened.file_id
        message["buffer"] = data
        self.live.ask(message)

    def close(self) -> None:
        """Close it; a connection that is lost has closed it already."""
        with contextlib.suppress(Lost, Refused):
            self.live.ask(self.opened.close(send=False)[0])


class Live:
    """One connection with its session, and the share it is connected to."""

    def __init__(self, connection, session, tree) -> None:
        self.connection = connection
        self._session = session
        self._tree = tree
        self.process = os.getpid()
        self.credits = _CREDITS

    @property
    def usable(self) -> bool:
        return self.process == os.getpid() and self.connection.transport.connected

    def send(self, message) -> Any:
        """Send a request without waiting for its answer."""
        with talking():
            return self.connection.send(message, self._session.session_id, self._tree.tree_connect_id)

    def answer(self, request) -> bytes:
        """Wait for the answer to a request; its bytes behind the header. Raises Lost or Refused."""
        with talking():
            return self.connection.receive(request)["data"].get_value()

    def ask(self, message) -> bytes:
        """Send a request and wait for its answer."""
        return self.answer(self.send(message))

    def open(self, path: str, access: int, disposition: int, options: int) -> Handle:
        """Open or create ``path`` (with slashes, from the share's root). Others may read, write, rename and remove it meanwhile."""
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
        with talking():
            request = self.connection.send(message, self._session.session_id, self._tree.tree_connect_id)
            answer = self.connection.receive(request)["data"].get_value()
            finish(request)
        return Handle(self, opened, answer)

    def look(self, path: str) -> Handle | None:
        """What ``path`` is, as a handle that is closed again; None when it does not exist."""
        try:
            handle = self.open(path, _READ_ATTRIBUTES, smb_open.CreateDisposition.FILE_OPEN, 0)
        except Refused as error:
            if error.status in MISSING:
                return None
            raise
        handle.close()
        return handle


@contextlib.contextmanager
def talking() -> Iterator[None]:
    """Turn what the library raises into Lost or Refused."""
    try:
        yield
    except StrataError:
        raise
    except smb_errors.SMBResponseException as error:
        if error.status in PASSING:
            raise Lost(f"the server answered with status 0x{error.status:08X}") from error
        raise Refused(error.status) from error
    except MemoryError:
        raise
    except Exception as error:
        # Also what the library's receiving thread met, which may be anything that a damaged message leads to.
        raise Lost(_reason(error)) from error


def unpack(form: struct.Struct, answer: bytes, place: int = 0) -> tuple:
    """The fields that stand at ``place`` of an answer; Lost when it is too short for them."""
    with talking():
        return form.unpack_from(answer, place)


def _reason(error: BaseException) -> str:
    if isinstance(error, smb_errors.SMBConnectionClosed) or isinstance(error, (BrokenPipeError, ConnectionResetError)):
        return "the connection was closed"
    if isinstance(error, TimeoutError) or "timeout" in str(error).lower():
        return "the server did not answer in time"
    # The library wraps what the system said of the connection into a ValueError.
    said = str(error)[:200]
    if said and isinstance(error, (OSError, ValueError)):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class SmbClient:
    """A share of a server, with the credentials for it.

    ``username`` is ``DOMAIN\\user`` or ``user@domain``; without ``password`` a Kerberos ticket
    is used. ``encrypt`` demands SMB 3 encryption; without it messages are signed.
    """

    def __init__(
        self,
        location: SmbLocation,
        *,
        username: str | None = None,
        password: str | None = None,
        encrypt: bool = True,
        delays: tuple[float, ...] = DELAYS,
        answer_timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        self.location = location
        self.name = str(SmbLocation(location.server, location.port, location.share, ""))
        self.lock = threading.RLock()
        self._username, self._password, self._encrypt = username, password, encrypt
        self._delays, self._answer_timeout = delays, answer_timeout
        self._current: Live | None = None
        self._has_worked = False
        _clients.add(self)

    def attempt(self, work: Callable[[Live], T], place: str) -> T:
        """Call ``work`` with a connection; when that is lost, again with a new one, a bounded number of times.

        ``work`` must be such that doing it twice, or the rest of it, does no harm. ``place`` is
        what it is about. Raises Unavailable "share.gone" at last, and what refusals mean.
        """
        with self.lock:
            for delay in (*self._delays, None):
                try:
                    return work(self._live())
                except Refused as error:
                    raise refusal(error.status, place, self.name) from error
                except Lost as error:
                    self._drop()
                    lost = error
                    if not self._has_worked:
                        break
                if delay is not None:
                    time.sleep(delay)
        if not self._has_worked:
            raise Unavailable(
                f"The file share {self.name} cannot be reached: {lost}.",
                code="shares.unreachable",
                hint="Check its address, and that the server runs.",
            ) from lost
        raise Unavailable(
            f"The file share {self.name} went away while {place} was in use: {lost}.",
            code="shares.gone",
            hint="Run again when the server is back.",
        ) from lost

    def close(self) -> None:
        """End the connection, if there is one; the next use makes a new one."""
        with self.lock:
            self._drop()

    def __del__(self) -> None:
        # The library's receiving thread ends with the connection.
        with contextlib.suppress(Exception):
            self._drop()

    def facts(self) -> dict:
        """How the server is spoken to: dialect, and whether messages are encrypted."""
        return self.attempt(
            lambda live: {"dialect": _dialect(live.connection.dialect), "encrypted": self._encrypt}, self.name
        )

    def _drop(self) -> None:
        live, self._current = self._current, None
        if live is not None and live.process == os.getpid():
            with contextlib.suppress(OSError):
                # Without saying goodbye, which a server that hangs would not answer.
                live.connection.disconnect(False)

    def _live(self) -> Live:
        if self._current is not None and self._current.usable:
            return self._current
        self._drop()
        self._current = self._connect()
        self._has_worked = True
        return self._current

    def _connect(self) -> Live:
        place = self.location
        connection = _connection_class()(uuid.uuid4(), place.server, place.port, True)
        timeout = connection.answer_timeout = min(CONNECT_TIMEOUT, self._answer_timeout)
        try:
            with talking():
                connection.connect(timeout=timeout)
                # A send to a server that reads no more ends, too.
                connection.transport._sock.settimeout(self._answer_timeout)  # pylint: disable=protected-access
            if self._encrypt and not connection.supports_encryption:
                raise Unsupported(
                    f"The server of {self.name} does not encrypt SMB.",
                    code="shares.encryption",
                    hint="Use a server that speaks SMB 3, or set file_share_encrypt to false where the network can be trusted.",
                )
            session = self._log_on(connection)
            tree = smb_tree.TreeConnect(session, f"\\\\{place.server}\\{place.share}")
            with talking():
                tree.connect()
                connection.strict = True
                # The server grants what it wants to, so that what is under way is counted against that.
                connection.echo(sid=session.session_id, timeout=timeout, credit_request=_CREDITS)
            connection.answer_timeout = self._answer_timeout
        except BaseException:
            with contextlib.suppress(OSError, AttributeError):
                connection.disconnect(False)
            raise
        live = Live(connection, session, tree)
        window = connection.sequence_window
        live.credits = min(_CREDITS, window["high"] - window["low"])
        return live

    def _log_on(self, connection):
        session = smb_session.Session(
            connection,
            self._username,
            self._password,
            require_encryption=self._encrypt,
            auth_protocol="negotiate" if self._password is not None else "kerberos",
        )
        try:
            with talking():
                try:
                    session.connect()
                except (smb_errors.SMBAuthenticationError, ImportError) as error:
                    raise self._not_authenticated(error) from error
                except smb_errors.SMBException as error:
                    if "guest" in str(error):
                        raise refusal(_LOGON_FAILURE, self.name, self.name) from error
                    raise
        except Refused as error:
            raise refusal(
                _LOGON_FAILURE if error.status == _ACCESS_DENIED else error.status, self.name, self.name
            ) from error
        return session

    def _not_authenticated(self, error: Exception) -> Unavailable:
        if self._password is not None:
            return Unavailable(
                f"The file share {self.name} does not let the user in: {str(error)[:300]}.",
                code="shares.credentials",
                hint="Check file_share_username and file_share_password.",
            )
        return Unavailable(
            f"There is no password for the file share {self.name}, and Kerberos does not work: {str(error)[:300]}.",
            code="shares.credentials",
            hint="Give file_share_username and file_share_password; or install smbprotocol[kerberos], run kinit, and name the server as its domain does.",
        )


@functools.cache
def _connection_class() -> type:
    class Connection(smb_connection.Connection):
        """As the library's, but that waiting ends, links are not followed, and unprotected answers are refused."""

        answer_timeout = ANSWER_TIMEOUT
        strict = False

        def receive(self, request, wait=True, timeout=None, resolve_symlinks=False):
            return super().receive(request, wait=wait, timeout=timeout or self.answer_timeout, resolve_symlinks=False)

        def verify_signature(self, header, session_id, force=False):
            # Called for every answer that came in the clear. Interim answers carry nothing and are never signed (MS-SMB2 3.2.5.1.3).
            session = self.session_table.get(session_id)
            if self.strict and session is not None and header["status"].get_value() != _PENDING:
                if session.encrypt_data:
                    raise smb_errors.SMBException("an answer was not encrypted")
                force = True
            super().verify_signature(header, session_id, force)

    return Connection


def _dialect(number: int) -> str:
    return {0x202: "2.0.2", 0x210: "2.1", 0x300: "3.0", 0x302: "3.0.2", 0x311: "3.1.1"}.get(number, hex(number))
