# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server on loopback that stores what webhooks send."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, TypeVar

_Server = TypeVar("_Server", bound=socketserver.BaseServer)


class WebServer(ThreadingHTTPServer):
    """Stores the bodies and headers of requests by path; answers with the statuses in ``answers`` first, then with 202."""

    def __init__(self, answers: Mapping[str, Sequence[int]] = MappingProxyType({}), *, prefix: str = "hooks") -> None:
        super().__init__(("127.0.0.1", 0), _WebHandler)
        self.answers = answers
        self.received: dict[str, list[tuple[dict[str, Any], dict[str, str]]]] = {}
        self._prefix = prefix

    def hook(self, path: str, **more: Any) -> dict[str, Any]:
        """Return a webhook of the role notifications with this name."""
        return {"name": path, "url": f"http://127.0.0.1:{self.server_port}/{self._prefix}/{path}"} | more

    def events(self, path: str) -> list[list[tuple[str, str]]]:
        """Return the kind and subject of the events of each request in the format json."""
        return [
            [(event["event"], event["subject"]) for event in body["events"]]
            for body, _headers in self.received.get(path, [])
        ]


class _WebHandler(BaseHTTPRequestHandler):
    server: WebServer

    def do_POST(self) -> None:  # noqa: N802
        """Store a request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.rpartition("/")[2]
        requests = self.server.received.setdefault(name, [])
        answers = self.server.answers.get(name, [])
        self.send_response(answers[len(requests)] if len(requests) < len(answers) else 202)
        requests.append((body, dict(self.headers)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def served(server: _Server) -> Iterator[_Server]:
    """Serve requests in a thread until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
