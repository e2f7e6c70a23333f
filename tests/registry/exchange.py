# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and answers: bodies of any size, the journal, and the rules."""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import socket
import time
import urllib.parse
from typing import BinaryIO

from .faults import Entry, Rule
from .site import Site
from .store import PIECE

#: The bytes of a body without use that are read to keep the connection; more closes it.
_DRAINED = 256 << 10


class Interrupted(Exception):
    """The connection ended, or is to be ended, before the request or its answer was complete."""


class Exchange(http.server.BaseHTTPRequestHandler):
    """One connection. A subclass sets ``server_name`` and answers requests in ``act``."""

    protocol_version = "HTTP/1.1"
    server_name = ""
    # An answer is one packet at least: without this, small answers wait for acknowledgements.
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 120
    site: Site
    entry: Entry
    rule: Rule

    def act(self) -> None:
        """Answer the request."""
        raise NotImplementedError

    # Requests

    def _handle(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        self.url_path = urllib.parse.unquote(url.path)
        self.query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].partition(" ")[0]
        self.entry = self.site.journal.add(self.server_name, self.command, self.path, headers)
        self.rule = self.site.rules.acting(self.server_name, self.command, self.path) or Rule()
        self.entry.rule = self.rule.number
        self._left: int | None = int(self.headers.get("Content-Length") or 0)
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            self._left = None
        self._chunk = 0
        began = time.monotonic()
        try:
            if self.rule.delay:
                time.sleep(self.rule.delay)
            if self.rule.expire_tokens:
                self.site.tokens.expire()
            if self.rule.cut_request == 0:
                raise Interrupted
            if self.rule.status is not None:
                headers = {"Content-Type": "text/html", **self.rule.headers}
                self.answer(self.rule.status, self.rule.body.encode(), headers)
            else:
                self.act()
            self.wfile.flush()
        except (Interrupted, OSError):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        finally:
            self.entry.seconds = time.monotonic() - began

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing: the journal has all requests."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time of the header Date."""
        now = time.time() if timestamp is None else timestamp
        return super().date_time_string(now + self.site.settings.clock_offset)

    def version_string(self) -> str:
        """Return the header Server."""
        return "registry"

    def parameter(self, name: str, default: str = "") -> str:
        """Return a parameter of the query."""
        return self.query.get(name, [default])[0]

    def piece(self, size: int = PIECE) -> bytes:
        """Return the next bytes of the request's body, empty at its end. Raises Interrupted if the connection ends."""
        cut = self.rule.cut_request
        if cut is not None:
            if self.entry.received >= cut:
                raise Interrupted
            size = min(size, cut - self.entry.received)
        data = self._chunked_piece(size) if self._left is None or self._chunk else self._plain_piece(size)
        self.entry.received += len(data)
        return data

    def _plain_piece(self, size: int) -> bytes:
        assert self._left is not None
        if not self._left:
            return b""
        data = self.rfile.read1(min(size, self._left))
        if not data:
            raise Interrupted
        self._left -= len(data)
        return data

    def _chunked_piece(self, size: int) -> bytes:
        if self._chunk == 0:
            self._chunk = int(self.rfile.readline(100).partition(b";")[0].strip() or b"-1", 16)
            if self._chunk < 0:
                raise Interrupted
            if self._chunk == 0:
                self.rfile.readline(100)
                self._left = 0
                return b""
        data = self.rfile.read1(min(size, self._chunk))
        if not data:
            raise Interrupted
        self._chunk -= len(data)
        if self._chunk == 0:
            self.rfile.readline(2 + 1)
        return data

    def body(self, limit: int) -> bytes | None:
        """Return the whole body, or None if it has more than ``limit`` bytes."""
        data = b""
        while piece := self.piece():
            data += piece
            if len(data) > limit:
                return None
        return data

    # Answers

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Send an answer with a small body."""
        self._begin(status, headers or {}, len(body))
        self._send_body([body])

    def error(self, status: int, code: str, message: str = "", headers: dict[str, str] | None = None) -> None:
        """Send an error in the form of OCI distribution."""
        document = {"errors": [{"code": code, "message": message or code.lower().replace("_", " ")}]}
        self.answer(status, json.dumps(document).encode(), {"Content-Type": "application/json", **(headers or {})})

    def answer_file(self, path: pathlib.Path, headers: dict[str, str]) -> None:
        """Send a file, or a range of it."""
        size = path.stat().st_size
        settings = self.site.settings
        if settings.ranges:
            headers = {**headers, "Accept-Ranges": "bytes"}
        requested = self.headers.get("Range", "") if settings.ranges and self.command == "GET" else ""
        first, last = 0, size - 1
        if requested:
            found = _range(requested, size)
            if found is None or (requested.endswith("-") and not settings.open_ranges):
                self.error(416, "RANGE_INVALID", headers={"Content-Range": f"bytes */{size}"})
                return
            first, last = found
            headers = {**headers, "Content-Range": f"bytes {first}-{last}/{size}"}
        with path.open("rb") as stream:
            stream.seek(first)
            self._begin(206 if requested else 200, headers, last - first + 1)
            self._send_body(_pieces(stream, last - first + 1))

    def _begin(self, status: int, headers: dict[str, str], length: int) -> None:
        self._drain()
        if self.rule.cut_answer == -1:
            raise Interrupted
        if self.rule.truncate is not None:
            length = min(length, self.rule.truncate)
        self._length = length
        self.entry.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _drain(self) -> None:
        # What a refused request still sends is read, as far as this is cheap; otherwise the client sees a reset.
        drained = 0
        while piece := self.piece():
            drained += len(piece)
            if drained > _DRAINED:
                self.close_connection = True
                return

    def _send_body(self, pieces) -> None:
        if self.command == "HEAD":
            return
        for piece in pieces:
            piece = piece[: self._length - self.entry.sent]
            corrupt, cut = self.rule.corrupt, self.rule.cut_answer
            if corrupt is not None and self.entry.sent <= corrupt < self.entry.sent + len(piece):
                at = corrupt - self.entry.sent
                piece = piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]
            if cut is not None and self.entry.sent + len(piece) > cut:
                piece = piece[: cut - self.entry.sent]
                self.wfile.write(piece)
                self.wfile.flush()
                self.entry.sent += len(piece)
                raise Interrupted
            self.wfile.write(piece)
            self.entry.sent += len(piece)


def _range(text: str, size: int) -> tuple[int, int] | None:
    unit, _equals, limits = text.partition("=")
    first, _minus, last = limits.partition("-")
    if unit != "bytes" or not first.isdigit() or (last and not last.isdigit()):
        return None
    begin, end = int(first), min(int(last) if last else size - 1, size - 1)
    return (begin, end) if begin <= end else None


def _pieces(stream: BinaryIO, length: int):
    while length:
        piece = stream.read(min(PIECE, length))
        if not piece:
            raise Interrupted
        length -= len(piece)
        yield piece
