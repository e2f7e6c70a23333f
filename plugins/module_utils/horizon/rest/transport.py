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
import re
import selectors
import socket
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import Corrupt, InvalidInput, StrataError, TimedOut
from ...common.tls import TlsConnection, plain_host, unverified_context, verifying_context
from .api_log import ApiLog
from .connection import HorizonConnection
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
#: IDs are part of paths; they come from answers.
_PATH = re.compile(r"(?:/[A-Za-z0-9_~:@.-]+)+")


@dataclass(frozen=True, slots=True)
class Request:
    """A request. ``path`` is below /rest; ``body`` is encoded as JSON unless None; ``token`` is the access token, if any."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    token: str | None = field(default=None, repr=False)

    @property
    def target(self) -> str:
        """Return path and query as they are sent.

        Raises:
            Corrupt: ``horizon.answer`` if an ID that Horizon sent cannot be part of a path.
        """
        if not _PATH.fullmatch(self.path) or {".", ".."} & set(self.path.split("/")):
            raise Corrupt(
                f"The path {self.path[:200]!r} cannot be requested from Horizon: an ID in it has characters that IDs do not have.",
                code="horizon.answer",
                hint="Check that the option hostname names a Connection Server.",
            )
        query = urllib.parse.urlencode(self.query, quote_via=urllib.parse.quote)
        return f"/rest{self.path}?{query}" if query else f"/rest{self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is complete. ``received`` is its time on the monotonic clock."""

    status: int
    headers: email.message.Message
    body: bytes = field(repr=False)
    received: float

    def header(self, name: str) -> str | None:
        """Return a header, None if the server did not send it."""
        found = self.headers.get(name)
        return None if found is None else str(found)

    def text(self) -> str:
        """Return the body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as JSON data, None if it is empty. Raises ValueError if it is not JSON."""
        if not self.body.strip():
            return None
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("too many levels") from None

    def server_time(self) -> int | None:
        """Return the server's present time in milliseconds since 1970, by the header Date and the age of the answer."""
        try:
            date = email.utils.parsedate_to_datetime(self.header("Date") or "")
            age = min(int(self.header("Age") or 0), 86400)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return round((date.timestamp() + max(age, 0) + time.monotonic() - self.received) * 1000)


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


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
