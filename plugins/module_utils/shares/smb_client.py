# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client for a share of an SMB server: it connects at the first use and reconnects when the connection is lost.

Every message is signed or encrypted; a response that is not is refused. Each client has its own connection,
so that its credentials serve no other client. Before a process forks, it closes its idle connections; the
child and the parent connect again at the next use.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from ..common.errors import Unavailable, Unsupported
from ..common.optional_imports import smb_connection, smb_errors, smb_session, smb_tree
from .location import SmbLocation
from .share_connection import CREDITS, ShareConnection, library_errors
from .smb_status import Lost, Refused, refusal

#: Seconds before each attempt to reconnect after the connection was lost.
DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
#: Limits in seconds for connecting, and for each response.
CONNECT_TIMEOUT = 10
ANSWER_TIMEOUT = 30
_LOGON_FAILURE, _ACCESS_DENIED, _PENDING = 0xC000006D, 0xC0000022, 0x103
_DIALECTS = {0x202: "2.0.2", 0x210: "2.1", 0x300: "3.0", 0x302: "3.0.2", 0x311: "3.1.1"}

# Without a handler the library reports broken connections on standard error.
logging.getLogger("smbprotocol").addHandler(logging.NullHandler())

T = TypeVar("T")
_clients: weakref.WeakSet[SmbClient] = weakref.WeakSet()


def _before_fork() -> None:
    for client in list(_clients):
        client.close()


os.register_at_fork(before=_before_fork)


class SmbClient:
    """A share of a server, with the credentials for it.

    ``username`` is ``DOMAIN\\user`` or ``user@domain``; without ``password`` a Kerberos ticket is used.
    ``encrypt`` requires SMB 3 encryption; without it messages are signed. ``delays`` are the pauses in
    seconds before each attempt to reconnect, ``answer_timeout`` the limit in seconds for each response.
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
        self._current: ShareConnection | None = None
        self._was_connected = False
        _clients.add(self)

    def attempt(self, work: Callable[[ShareConnection], T], location: str) -> T:
        """Call ``work`` with a connection; if that is lost, reconnect and call it again, up to len(delays) times.

        ``work`` must be idempotent. ``location`` is the file or folder that it uses, for error messages.

        Raises:
            Unavailable: ``shares.unreachable`` if the server was never reached, ``shares.gone`` if the
                connection was lost and could not be restored, ``shares.credentials`` or ``shares.denied``.
            FileNotFoundError: if the file or folder does not exist.
            StrataError: other refusals of the server; see ``smb_status.refusal``.
        """
        with self.lock:
            for delay in (*self._delays, None):
                try:
                    return work(self._connection())
                except Refused as error:
                    raise refusal(error.status, location, self.name) from error
                except Lost as error:
                    self._drop()
                    lost = error
                    if not self._was_connected:
                        break
                if delay is not None:
                    time.sleep(delay)
        if not self._was_connected:
            raise Unavailable(
                f"The file share {self.name} cannot be reached: {lost}.",
                code="shares.unreachable",
                hint="Check the server and port in file_share, and that the server is running.",
            ) from lost
        raise Unavailable(
            f"The connection to the file share {self.name} was lost while {location} was in use: {lost}.",
            code="shares.gone",
            hint="Check the server and the network, and run again.",
            share=self.name,
            path=location,
        ) from lost

    def close(self) -> None:
        """Close the connection, if there is one; the next use opens a new connection."""
        with self.lock:
            self._drop()

    def __del__(self) -> None:
        # The library's receiving thread ends with the connection.
        with contextlib.suppress(Exception):
            self._drop()

    def facts(self) -> dict[str, Any]:
        """Return the dialect of the connection and whether messages are encrypted."""
        return self.attempt(
            lambda connection: {"dialect": _dialect(connection.transport.dialect), "encrypted": self._encrypt},
            self.name,
        )

    def _drop(self) -> None:
        connection, self._current = self._current, None
        if connection is not None and connection.process == os.getpid():
            with contextlib.suppress(OSError):
                # Without a logoff: a server that hangs would not answer it.
                connection.transport.disconnect(False)

    def _connection(self) -> ShareConnection:
        if self._current is not None and self._current.usable:
            return self._current
        self._drop()
        self._current = self._connect()
        self._was_connected = True
        return self._current

    def _connect(self) -> ShareConnection:
        location = self.location
        transport = _connection_class()(uuid.uuid4(), location.server, location.port, True)
        timeout = transport.answer_timeout = min(CONNECT_TIMEOUT, self._answer_timeout)
        try:
            with library_errors():
                transport.connect(timeout=timeout)
                # A send to a server that no longer reads must end, too.
                transport.transport._sock.settimeout(self._answer_timeout)  # pylint: disable=protected-access
            if self._encrypt and not transport.supports_encryption:
                raise Unsupported(
                    f"The server of the file share {self.name} does not support SMB encryption.",
                    code="shares.encryption",
                    hint="Use a server with SMB 3, or set file_share_encrypt to false if the network is trusted.",
                )
            session = self._log_on(transport)
            tree = smb_tree.TreeConnect(session, f"\\\\{location.server}\\{location.share}")
            with library_errors():
                tree.connect()
                transport.strict = True
                # The server decides how many credits it grants; requests in flight are limited by that number.
                transport.echo(sid=session.session_id, timeout=timeout, credit_request=CREDITS)
            transport.answer_timeout = self._answer_timeout
        except BaseException:
            with contextlib.suppress(OSError, AttributeError):
                transport.disconnect(False)
            raise
        connection = ShareConnection(transport, session, tree)
        window = transport.sequence_window
        connection.credits = min(CREDITS, window["high"] - window["low"])
        return connection

    def _log_on(self, transport: Any) -> Any:
        session = smb_session.Session(
            transport,
            self._username,
            self._password,
            require_encryption=self._encrypt,
            auth_protocol="negotiate" if self._password is not None else "kerberos",
        )
        try:
            with library_errors():
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
                f"The file share {self.name} rejected the login: {str(error)[:300]}.",
                code="shares.credentials",
                hint="Check file_share_username and file_share_password.",
            )
        return Unavailable(
            f"The file share {self.name} cannot be used with Kerberos, and no password is set: {str(error)[:300]}.",
            code="shares.credentials",
            hint="Set file_share_username and file_share_password. For Kerberos, install smbprotocol[kerberos], "
            "run kinit, and name the server in file_share as the domain does.",
        )


@functools.cache
def _connection_class() -> type[Any]:
    class Connection(smb_connection.Connection):
        """The library's connection with limited waiting, without links, and strict about unprotected responses."""

        answer_timeout: float = ANSWER_TIMEOUT
        strict = False

        def receive(
            self, request: Any, wait: bool = True, timeout: float | None = None, resolve_symlinks: bool = False
        ) -> Any:
            return super().receive(request, wait=wait, timeout=timeout or self.answer_timeout, resolve_symlinks=False)

        def verify_signature(self, header: Any, session_id: int, force: bool = False) -> None:
            # Called for every response that is not encrypted. Interim responses have no data and are never signed
            # (MS-SMB2 3.2.5.1.3).
            session = self.session_table.get(session_id)
            if self.strict and session is not None and header["status"].get_value() != _PENDING:
                if session.encrypt_data:
                    raise smb_errors.SMBException("a response was not encrypted")
                force = True
            super().verify_signature(header, session_id, force)

    return Connection


def _dialect(number: int) -> str:
    return _DIALECTS.get(number, hex(number))
