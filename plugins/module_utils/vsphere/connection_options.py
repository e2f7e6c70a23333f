# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the options of a connection before anything is sent: the host name without scheme and port, and the credentials."""

from __future__ import annotations

import ipaddress
import re

from ..common.errors import InvalidInput

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^@/]*@)?(\[[^\]/]*\]|[^:/]*)(?::(\d+))?(?:/.*)?", re.DOTALL)
_WITH_PORT = re.compile(r"(\[[^\]/]*\]|[^:/]+):(\d+)/?")
_WITH_PATH = re.compile(r"([^:/]+)/.*", re.DOTALL)


def check_hostname(hostname: str) -> None:
    """Check that ``hostname`` is a host name or an IP address alone.

    Raises:
        InvalidInput: ``vsphere.hostname``.
    """
    if not hostname.strip():
        raise InvalidInput(
            "The option hostname is empty.",
            code="vsphere.hostname",
            hint="Set hostname, or the environment variable VMWARE_HOST.",
        )
    if hostname.strip() != hostname or any(character.isspace() for character in hostname):
        raise InvalidInput(
            f"The option hostname is {hostname!r}: a host name has no spaces.",
            code="vsphere.hostname",
            hint=f"Write the host name alone: {''.join(hostname.split())}.",
        )
    match = _URL.fullmatch(hostname) or _WITH_PORT.fullmatch(hostname) or _WITH_PATH.fullmatch(hostname)
    if match is None or _is_address(hostname):
        return
    host, port = (*match.groups(), None)[:2]
    # A URL may contain a password.
    found = "a URL" if "//" in hostname else f"'{hostname}'"
    port_text = f" Give the port as port: {port}." if port else ""
    raise InvalidInput(
        f"The option hostname is {found}, not a host name alone.",
        code="vsphere.hostname",
        hint=f"Write the host name alone: {(host or '').strip('[]') or 'vcenter.example.com'}.{port_text}",
    )


def check_credentials(username: str, password: str) -> None:
    """Check that neither is empty, before vCenter counts a failed login.

    Raises:
        InvalidInput: ``vsphere.credentials``.
    """
    if not username:
        raise InvalidInput(
            "The option username is empty.",
            code="vsphere.credentials",
            hint="Set username, or the environment variable VMWARE_USER, to a name such as administrator@vsphere.local.",
        )
    if not password:
        raise InvalidInput(
            f"The password of the user {username} is empty.",
            code="vsphere.credentials",
            hint="Set password, or the environment variable VMWARE_PASSWORD.",
        )


def _is_address(hostname: str) -> bool:
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True
