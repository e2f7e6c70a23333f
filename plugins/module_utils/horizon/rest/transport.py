# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests to a Connection Server over TLS, with cookies and bounds for what the server sends."""

from __future__ import annotations

import contextlib
import email.message
import email.utils
import http.client
import http.cookies
import json
import selectors
import socket
import time

from ...common.errors import Corrupt, InvalidInput, StrataError, TimedOut
from ...common.tls import TlsConnection, plain_host, unverified_context, verifying_context
from .api_log import ApiLog
from .connection import HorizonConnection
from .exchange import Request, Response
from .redaction import Secrets

#: Exceptions of a request when the server is unreachable, closes the connection or sends invalid data.
_CONNECTION_ERRORS = (OSError, http.client.HTTPException, ValueError)
#: Bytes of an answer; the largest page has 1,000 pools.
_LONGEST_ANSWER = 64 << 20
_BLOCK = 64 << 10
#: Seconds after which a connection is not used again, because the server may be closing it; less for a request that is not repeated.
_IDLE, _IDLE_BEFORE_CHANGE = 15.0, 1.0
_DEFAULT_PROXY_PORT = 3128
_COOKIES, _LONGEST_COOKIE = 32, 4096


class ExchangeFailed(Exception):
    """There is no answer, because of ``cause``. ``sent`` says whether the server may have received the request."""

    def __init__(self, cause: BaseException, *, sent: bool) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause
        self.sent = sent


class Transport:
    """Makes one request after the other over a connection that is kept open, with the cookies of the server."""

    def __init__(self, connection: HorizonConnection, secrets: Secrets, log: ApiLog | None) -> None:
        """Prepare the connection; nothing is sent.

        Raises:
            InvalidInput: ``horizon.ca_file`` if the file of certificate authorities cannot be used.
        """
        self._connection = connection
        self._secrets = secrets
        self._log = log
        try:
            self._context = verifying_context(connection.ca_file) if connection.validate_certs else unverified_context()
        except OSError as error:
            raise InvalidInput(
                f"The file of certificate authorities {connection.ca_file} cannot be used: {error.strerror or error}.",
                code="horizon.ca_file",
                hint="Set ca_path to a file with certificates in PEM form.",
            ) from error
        self._cookies: dict[str, str] = {}
        self._http: TlsConnection | None = None
        self._used = 0.0

    def close(self) -> None:
        """Close the connection."""
        http_connection, self._http = self._http, None
        if http_connection is not None:
            http_connection.close()

    def exchange(self, request: Request, *, timeout: float | None = None) -> Response:
        """Send a request once and return the answer with any status. ``timeout`` is in seconds.

        Raises:
            ExchangeFailed: there is no complete answer.
            Corrupt: ``horizon.answer`` if the path has an ID that cannot be one.
        """
        target, body = request.target, None if request.body is None else json.dumps(request.body).encode()
        started = time.monotonic()
        try:
            response = self._exchange(request, target, body, timeout or self._connection.patience.socket)
        except ExchangeFailed as failure:
            self.close()
            if self._log is not None:
                self._log.record(request, time.monotonic() - started, failure.cause)
            raise
        if self._log is not None:
            self._log.record(request, time.monotonic() - started, response)
        return response

    def _exchange(self, request: Request, target: str, body: bytes | None, timeout: float) -> Response:
        try:
            connected = self._connected(_IDLE if request.method == "GET" else _IDLE_BEFORE_CHANGE)
        except _CONNECTION_ERRORS as error:
            raise ExchangeFailed(error, sent=False) from error
        try:
            connected.sock.settimeout(timeout)
            connected.request(request.method, target, body=body, headers=self._headers(request))
            answer = connected.getresponse()
            content = _read(answer, time.monotonic() + self._connection.patience.answer)
        except (*_CONNECTION_ERRORS, StrataError) as error:
            raise ExchangeFailed(error, sent=True) from error
        self._used = time.monotonic()
        self._take_cookies(answer.headers)
        if answer.will_close:
            self.close()
        return Response(answer.status, answer.headers, content, self._used)

    def _connected(self, idle: float) -> TlsConnection:
        """Return a connection that the server has certainly not closed while it was idle."""
        if self._http is not None and (
            self._http.sock is None or time.monotonic() - self._used > idle or _readable(self._http.sock)
        ):
            self.close()
        if self._http is None:
            options, server = self._connection, (plain_host(self._connection.hostname), self._connection.port)
            proxy = options.proxy_host and (plain_host(options.proxy_host), options.proxy_port or _DEFAULT_PROXY_PORT)
            opened = TlsConnection(*(proxy or server), timeout=options.patience.connect, context=self._context)
            if proxy:
                opened.set_tunnel(*server)
            try:
                opened.connect()
            except BaseException:
                opened.close()
                raise
            self._http = opened
        return self._http

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Accept": "*/*", "Accept-Language": "en", "User-Agent": "strata.layering"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        elif request.method != "GET":
            headers["Content-Length"] = "0"
        if request.token is not None:
            headers["Authorization"] = f"Bearer {request.token}"
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return headers

    def _take_cookies(self, headers: email.message.Message) -> None:
        for header in headers.get_all("Set-Cookie") or []:
            if len(header) > _LONGEST_COOKIE:
                continue
            found: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
            with contextlib.suppress(http.cookies.CookieError):
                found.load(str(header))
            for name, cookie in found.items():
                self._cookies.pop(name, None)
                if (
                    cookie.value
                    and cookie["max-age"] != "0"
                    and cookie.coded_value.isascii()
                    and len(self._cookies) < _COOKIES
                ):
                    self._cookies[name] = cookie.coded_value
                    self._secrets.add(cookie.coded_value)


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    """Return the body of an answer, which must be complete, short enough and in time."""
    if answer.length is not None and answer.length > _LONGEST_ANSWER:
        raise _too_long()
    expected, blocks, total = answer.length, [], 0
    while expected is None or total < expected:
        # read1 returns what has arrived: the server may send a byte now and then.
        block = answer.read1(_BLOCK)
        if not block:
            break
        blocks.append(block)
        total += len(block)
        if total > _LONGEST_ANSWER:
            raise _too_long()
        if time.monotonic() > deadline:
            raise TimedOut(
                "The Connection Server did not send a complete answer in time.",
                code="horizon.no_answer",
                hint="Check the network and the load of the server, and run this playbook again.",
                bytes=total,
            )
    answer.close()
    if expected is not None and total < expected:
        raise http.client.IncompleteRead(b"", expected - total)
    if answer.getheader("Content-Encoding", "identity") != "identity":
        raise http.client.HTTPException("the answer is compressed, although this was not requested")
    return b"".join(blocks)


def _too_long() -> Corrupt:
    return Corrupt(
        f"An answer of the Connection Server is longer than {_LONGEST_ANSWER >> 20} MiB.",
        code="horizon.answer",
        hint="Check that the option hostname names a Connection Server.",
    )


def _readable(sock: socket.socket) -> bool:
    """Return whether an idle connection has data to read: the server has closed it, or sent data without a request."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))
