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
    """A sentence that says why a host name cannot be used, and a hint that says what to write instead."""

    message: str
    hint: str


def host_name_problem(hostname: str, *, variable: str, example: str) -> HostNameProblem | None:
    """Return why the option hostname is not a host name or an IP address alone, None if it is.

    ``variable`` is the environment variable of the option, ``example`` a host name for the hint.
    """
    if not hostname.strip():
        return HostNameProblem(
            "The option hostname is empty.", f"Set hostname, or the environment variable {variable}."
        )
    if any(character.isspace() for character in hostname):
        return HostNameProblem(
            f"The option hostname is {hostname!r}: a host name has no spaces.",
            f"Write the host name alone: {''.join(hostname.split())}.",
        )
    match = _URL.fullmatch(hostname) or _WITH_PORT.fullmatch(hostname) or _WITH_PATH.fullmatch(hostname)
    if match is None or _is_address(hostname):
        return None
    host, port = (*match.groups(), None)[:2]
    # A URL may contain a password.
    found = "a URL" if "//" in hostname else f"'{hostname}'"
    port_text = f" Give the port as port: {port}." if port else ""
    return HostNameProblem(
        f"The option hostname is {found}, not a host name alone.",
        f"Write the host name alone: {(host or '').strip('[]') or example}.{port_text}",
    )


def _is_address(hostname: str) -> bool:
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True
