# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTPS server of the Connection Server, with the faults of the rules."""

from __future__ import annotations

import contextlib
import email.utils
import http.server
import json
import socket
import ssl
import sys
import time
import urllib.parse
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.api import PREFIX, Api, Request
from ansible_collections.strata.layering.tests.simulator_horizon.control import Control
from ansible_collections.strata.layering.tests.simulator_horizon.errors import error_body
from ansible_collections.strata.layering.tests.simulator_horizon.operations import Answer
from ansible_collections.strata.layering.tests.simulator_horizon.rules import HTML, Rule, Rules

_TIMEOUT = 120


class Server(http.server.ThreadingHTTPServer):
    """Listens on loopback. Handshakes take place in the thread of their connection."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, api: Api, control: Control, rules: Rules, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api
        self.control = control
        self.rules = rules
        self._context = context

    def get_request(self) -> tuple[socket.socket, Any]:
        """Return the next connection."""
        connection, address = super().get_request()
        connection.settimeout(_TIMEOUT)
        try:
            wrapped = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            connection.close()
            raise OSError(str(error)) from error
        return wrapped, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write what is not the end of a connection or a refused certificate to standard error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # pylint: disable=redefined-builtin
        """Write no log: the journal has the requests."""

    def _serve(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path.removeprefix(PREFIX) if parts.path.startswith(f"{PREFIX}/") else parts.path
        request = Request(self.command, path, query, raw, self.headers.get("Authorization", ""))
        if path == parts.path:
            self._send(Answer(404, {"error": "not found"}))
            return
        started = time.monotonic()
        rule = self.server.rules.find(self.command, path)
        if rule is None:
            answer: Answer | None = self.server.api.answer(request)
        elif rule.after:
            answer = self.server.api.answer(request)
            answer = self._act(rule, answer)
        else:
            answer = self._act(rule, None)
            if answer is None and not rule.drop_connection:
                answer = self.server.api.answer(request)
        self.server.api.record(request, answer, None if rule is None else rule.id, started)
        if answer is None:
            self._drop()
        else:
            self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve

    def _act(self, rule: Rule, answer: Answer | None) -> Answer | None:
        """Do what a rule says and return the answer that the client gets, if it is known by then."""
        rule.wait()
        api = self.server.api
        if rule.expire_tokens:
            with api.pod.lock:
                api.pod.tokens.expire(refresh=rule.expire_tokens == "all")
        for call in rule.act:
            if call.get("control"):
                self.server.control.carry_out(call["method"], call["path"], call.get("body") or {})
            else:
                api.act(call)
        if rule.drop_connection:
            return None
        return answer if rule.status is None else self._rule_answer(rule)

    def _rule_answer(self, rule: Rule) -> Answer:
        status = rule.status or 500
        body = rule.body
        if rule.html:
            body = HTML.format(status=status)
        elif body is None and status >= 400:
            now = self.server.api.pod.timeline.now
            body = error_body(status, rule.error_key, rule.error_message, now, rule.form)
        return Answer(status, body, dict(rule.headers))

    def _drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, answer: Answer) -> None:
        if isinstance(answer.body, str):
            data, kind = answer.body.encode(), "text/html;charset=UTF-8"
        else:
            data, kind = b"" if answer.body is None else json.dumps(answer.body).encode(), "application/json"
        try:
            self.send_response_only(answer.status)
            self.send_header(
                "Date", email.utils.formatdate(self.server.api.pod.timeline.clock.read() / 1000, usegmt=True)
            )
            for name, value in answer.headers.items():
                self.send_header(name, str(value))
            if data:
                self.send_header("Content-Type", kind)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(data)))
            # In one packet with the headers: two small writes wait for each other.
            self._headers_buffer: list[bytes]
            self._headers_buffer += [b"\r\n", data if self.command != "HEAD" else b""]
            self.flush_headers()
        except OSError:
            self.close_connection = True
