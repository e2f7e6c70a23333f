# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a connection to a Horizon Connection Server, checked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits for waiting, in seconds.

    ``calls``: while the connection fails or the service is not ready, a call that can be repeated is repeated for that time.
    ``throttled``: a call waits that long in total when Horizon limits the rate of calls. ``socket``: the server may send nothing.
    ``connect``: a connection must be open. ``answer``: an answer must be complete.
    """

    calls: float = 300
    throttled: float = 300
    connect: float = 30
    socket: float = 120
    answer: float = 300


@dataclass(frozen=True, slots=True)
class HorizonConnection:
    """A Connection Server and the account with which to log in.

    ``domain`` is the name of the account's domain. ``ca_file`` has certificate authorities in PEM form in addition to those of the
    system. ``api_log`` is the path of a file to which requests and answers are appended, None for no log.
    """

    hostname: str
    username: str
    domain: str
    password: str = field(repr=False)
    validate_certs: bool = True
    port: int = 443
    ca_file: str | None = None
    proxy_host: str | None = None
    proxy_port: int | None = None
    api_log: str | None = None
    patience: Patience = Patience()

    @property
    def label(self) -> str:
        """Return the name of the server in messages."""
        return f"the Connection Server {self.hostname} (port {self.port})"
