# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTPS server that answers as a test scripts it, with the login of a Connection Server."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import ssl
import threading
import time
import urllib.parse
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USERNAME, DOMAIN, PASSWORD = "svc-images", "EXAMPLE", "s3cret/Pa ss"
_REFUSALS = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 500: "INTERNAL_SERVER_ERROR"}


@dataclass(frozen=True)
class Reply:
    """An answer. ``body`` is JSON data, or bytes as they are. ``cut`` closes the connection after that many bytes of the body, -1 without an answer.

    ``trickle`` is the pause in seconds after each byte of the body. ``chunked`` sends the body in chunks.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    delay: float = 0.0
    trickle: float = 0.0
    chunked: bool = False


@dataclass(frozen=True)
class Received:
    """A request that the server has received."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]


class _ServerOfIPv6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


class ScriptedServer:
    """Answers each request with the next reply for its method and path; the last reply is repeated.

    ``received`` has all requests. Tokens are refused unless the server has granted them and they have not expired.
    """

    def __init__(self, certificate: Path, *, token: Any = None, address: str = "127.0.0.1") -> None:
        self.received: list[Received] = []
        self.replies: dict[tuple[str, str], list[Reply]] = defaultdict(list)
        self.access: set[str] = set()
        self.refresh: set[str] = set()
        self.date = True
        self._token = token or (lambda number: f"access-{number}")
        self._granted = 0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        kind = _ServerOfIPv6 if ":" in address else http.server.ThreadingHTTPServer
        self._server = kind((address, 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def script(self, method: str, path: str, *replies: Reply) -> None:
        """Answer requests with these replies from now on."""
        self.replies[method, path] = list(replies)

    def requests(self, method: str, path: str) -> list[Received]:
        """Return the requests with this method and path, without those to log in."""
        return [request for request in self.received if (request.method, request.path) == (method, path)]

    def expire(self, *, refresh: bool = False) -> None:
        """Let all access tokens expire, and the refresh tokens if requested."""
        self.access.clear()
        if refresh:
            self.refresh.clear()

    def reply_to(self, request: Received) -> Reply:
        """Return the reply to a request."""
        script = self.replies[request.method, request.path]
        if script:
            return script.pop(0) if len(script) > 1 else script[0]
        if request.method == "POST" and request.path in ("/login", "/refresh", "/logout"):
            return getattr(self, f"_{request.path[1:]}")(request.body)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.access:
            return refusal(401, "common.token.invalid")
        return refusal(404, "common.not.found")

    def permits(self, request: Received) -> bool:
        """Return whether a request that is scripted has a token that is valid."""
        public = request.path in ("/login", "/refresh", "/logout")
        return public or request.headers.get("authorization", "").removeprefix("Bearer ") in self.access

    def _login(self, body: Any) -> Reply:
        if body != {"username": USERNAME, "domain": DOMAIN, "password": PASSWORD}:
            return refusal(401, "auth.credentials.invalid", f"No login with {(body or {}).get('password')}.")
        self._granted += 1
        self.refresh.add(f"refresh-{self._granted}")
        headers = {"Set-Cookie": f"JSESSIONID=cookie-{self._granted}; Path=/rest; Secure; HttpOnly"}
        return Reply(200, {"access_token": self._grant(), "refresh_token": f"refresh-{self._granted}"}, headers)

    def _refresh(self, body: Any) -> Reply:
        if body["refresh_token"] not in self.refresh:
            return refusal(400, "auth.refresh.invalid")
        self._granted += 1
        return Reply(200, {"access_token": self._grant()})

    def _logout(self, body: Any) -> Reply:
        self.refresh.discard(body["refresh_token"])
        return Reply(200)

    def _grant(self) -> str:
        token = self._token(self._granted)
        self.access.add(token)
        return token


def refusal(status: int, key: str, text: str = "Refused.", **headers: str) -> Reply:
    """Return an answer with an error in the present form of Horizon."""
    errors = [{"error_key": key, "error_message": text}]
    body = {"status": _REFUSALS.get(status, str(status)), "timestamp": 1, "errors": errors}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def _handler(server: ScriptedServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Reads a request, and sends the reply to it."""

        protocol_version = "HTTP/1.1"
        timeout = 20

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

        def do_GET(self) -> None:
            split = urllib.parse.urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            received = Received(
                self.command,
                split.path.removeprefix("/rest"),
                dict(urllib.parse.parse_qsl(split.query)),
                json.loads(content) if content else None,
                {name.lower(): value for name, value in self.headers.items()},
            )
            server.received.append(received)
            reply = server.reply_to(received)
            if reply.status < 400 and not server.permits(received):
                reply = refusal(401, "common.token.invalid")
            time.sleep(reply.delay)
            with contextlib.suppress(OSError):
                self.answer(reply)

        do_POST = do_GET

        def answer(self, reply: Reply) -> None:
            if reply.cut == -1:
                self.close_connection = True
                return
            body = (
                reply.body
                if isinstance(reply.body, bytes)
                else b""
                if reply.body is None
                else json.dumps(reply.body).encode()
            )
            self.send_response_only(reply.status)
            if server.date and "Date" not in reply.headers:
                self.send_header("Date", self.date_time_string())
            length = {"Transfer-Encoding": "chunked"} if reply.chunked else {"Content-Length": str(len(body))}
            for name, value in (length | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if reply.chunked:
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            if reply.trickle:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(reply.trickle)
            else:
                self.wfile.write(body if reply.cut is None else body[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True

        def log_message(self, *unused: object) -> None:
            pass

    return Handler
