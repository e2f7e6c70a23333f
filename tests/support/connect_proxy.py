# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP proxy for CONNECT on the loopback interface."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading


class ConnectProxy:
    """Joins clients with the servers that they ask for; ``targets`` lists these. ``status`` refuses them."""

    def __init__(self, *, status: str = "200 Connected") -> None:
        self.targets: list[str] = []
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(self, status))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> ConnectProxy:
        self._thread.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(proxy: ConnectProxy, status: str) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        """Reads the request of a client, and copies bytes in both directions."""

        timeout = 20

        def handle(self) -> None:
            parts = self.rfile.readline(1000).split()
            if len(parts) != 3 or parts[0] != b"CONNECT":
                self.wfile.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
            while self.rfile.readline(1000).strip():
                pass
            proxy.targets.append(parts[1].decode())
            host, port = proxy.targets[-1].rsplit(":", 1)
            if ":" in host and not host.startswith("["):
                # RFC 9110, 9.3.6: the target is an authority, in which an IPv6 address has brackets.
                self.wfile.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
            self.wfile.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
            if not status.startswith("200"):
                return
            with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port))) as server:
                back = threading.Thread(target=_pump, args=(server, self.connection))
                back.start()
                _pump(self.connection, server)
                back.join()

    return Handler


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            sink.sendall(block)
        sink.shutdown(socket.SHUT_WR)
