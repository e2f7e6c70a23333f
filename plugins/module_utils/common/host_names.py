# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that an option names a host alone, without scheme, port and path."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^@/]*@)?(\[[^\]/]*\]|[^:/]*)(?::(\d+))?(?:/.*)?", re.DOTALL)
_WITH_PORT = re.compile(r"(\[[^\]/]*\]|[^:/]+):(\d+)/?")
_WITH_PATH = re.compile(r"([^:/]+)/.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class HostNameProblem:
    """What an option has instead of a host name, such as "a URL, not a host name alone", and the host name to write instead.

    ``port`` is the port in it, if any.
    """

    found: str
    host: str
    port: str | None = None

    @property
    def advice(self) -> str:
        """Return what to write instead, for the end of a hint."""
        return f"{self.host}. Give the port as port: {self.port}." if self.port else f"{self.host}."


def host_name_problem(hostname: str, example: str) -> HostNameProblem | None:
    """Return why a text that is not empty is not a host name or an IP address alone, None if it is.

    ``example`` is the host name to write if the text has none.
    """
    if any(character.isspace() for character in hostname):
        return HostNameProblem(f"{hostname!r}: a host name has no spaces", "".join(hostname.split()))
    match = _URL.fullmatch(hostname) or _WITH_PORT.fullmatch(hostname) or _WITH_PATH.fullmatch(hostname)
    if match is None or _is_address(hostname):
        return None
    host, port = (*match.groups(), None)[:2]
    # A URL may contain a password.
    found = "a URL" if "//" in hostname else f"'{hostname}'"
    return HostNameProblem(f"{found}, not a host name alone", (host or "").strip("[]") or example, port)


def _is_address(hostname: str) -> bool:
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True
