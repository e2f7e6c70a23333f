# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TLS connection on which nothing may move for a long time.

An ESXi host sends nothing while it reads the zeros of a thick disk, and receives nothing while its storage is busy. Both may take
minutes, and are normal as long as the host's TCP stack answers. TCP keepalive ends the connection to a host that has disappeared.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

_Result = TypeVar("_Result")
#: Seconds between two ticks.
_SLICE = 1.0
#: Seconds of silence before the first TCP probe, seconds between probes, and probes without an answer that end the connection.
_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class PatientSocket(ssl.SSLSocket):
    """A TLS socket that accepts silence; ``be_patient`` sets for how long."""

    _stall: float | None = None
    _tick: Callable[[], None]

    def be_patient(self, stall: float, tick: Callable[[], None]) -> None:
        """Raise TimeoutError only after ``stall`` seconds in which nothing moved; until then, call ``tick`` about once a second.

        ``tick`` may raise to end the transfer.
        """
        self._stall, self._tick = stall, tick
        self.settimeout(min(_SLICE, stall))

    def be_impatient(self, timeout: float) -> None:
        """Raise TimeoutError after ``timeout`` seconds."""
        self._stall = None
        self.settimeout(timeout)

    def keep_alive(self) -> None:
        """Send TCP probes while nothing moves."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if hasattr(socket, name):
                self.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Receive into ``buffer``, as ``socket.recv_into``."""
        return self._patiently(lambda: super(PatientSocket, self).recv_into(buffer, nbytes, flags))

    def send(self, data: Any, flags: int = 0) -> int:
        """Send a part of ``data``, as ``socket.send``."""
        return self._patiently(lambda: super(PatientSocket, self).send(data, flags))

    def _patiently(self, move: Callable[[], _Result]) -> _Result:
        started = time.monotonic()
        while True:
            try:
                return move()
            except TimeoutError as error:
                # With ETIMEDOUT, the host did not answer the probes of TCP.
                lost = error.errno == errno.ETIMEDOUT
                if self._stall is None or lost or time.monotonic() - started >= self._stall:
                    raise
            self._tick()
