# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a registry: the registry itself, its object store, and the control endpoint."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import ssl
import threading
from typing import Any

from .exchange import Exchange
from .protocol import RegistryExchange, StoreExchange
from .site import Site


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Report nothing: connections that end are what the tests are about."""
        import sys  # pylint: disable=import-outside-toplevel

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Servers:
    """The running servers of a registry on loopback ports; ``context`` makes them serve TLS."""

    def __init__(self, site: Site, context: ssl.SSLContext | None = None) -> None:
        self.site = site
        self._servers = [_bind(site, exchange, context) for exchange in (RegistryExchange, StoreExchange)]
        scheme = "https" if context else "http"
        ports = [server.server_address[1] for server in self._servers]
        site.info |= {"host": "127.0.0.1", "port": ports[0], "url": f"{scheme}://127.0.0.1:{ports[0]}"}
        # A different name of the same host: a client must not send it what belongs to the registry.
        site.info["store"] = f"{scheme}://localhost:{ports[1]}"
        self._servers.append(_Server(("127.0.0.1", 0), type("Bound", (ControlExchange,), {"site": site})))
        site.info["control"] = f"http://127.0.0.1:{self._servers[-1].server_address[1]}"

    def start(self) -> None:
        """Serve in threads."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _bind(site: Site, exchange: type[Exchange], context: ssl.SSLContext | None) -> _Server:
    server = _Server(("127.0.0.1", 0), type("Bound", (exchange,), {"site": site}))
    if context:
        # The handshake takes place in the thread of the connection.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


class ControlExchange(http.server.BaseHTTPRequestHandler):
    """The control endpoint: JSON in, JSON out."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    site: Site

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        try:
            value = json.loads(self.rfile.read(length)) if length else None
            status, answer = 200, self._answer(value)
        except (LookupError, TypeError, ValueError) as error:
            status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""

    def _answer(self, value: Any) -> object:
        site, request = self.site, f"{self.command} {self.path}"
        if found := re.fullmatch(r"DELETE /rules/(\d+)", request):
            site.rules.remove(int(found[1]))
            return {}
        if request == "GET /repositories":
            return {name: site.store.tags(name) for name in site.store.repositories()}
        if request == "GET /rules":
            return site.rules.list()
        if request == "POST /rules":
            return {"number": site.rules.add(value)}
        if request == "GET /journal":
            return site.journal.list()
        actions = {
            "DELETE /rules": site.rules.remove,
            "DELETE /journal": site.journal.clear,
            "DELETE /tokens": site.tokens.expire,
        }
        if request in actions:
            actions[request]()
        elif request == "POST /settings":
            site.settings = site.settings.changed(**value)
        elif request == "POST /reset":
            site.reset(value or {})
        else:
            raise LookupError(request)
        return {}
