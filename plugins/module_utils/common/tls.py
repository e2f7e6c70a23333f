# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS connections, directly or through a proxy, to servers that are named or given as IPv6 addresses."""

from __future__ import annotations

import functools
import http.client
import ssl


class TlsConnection(http.client.HTTPSConnection):
    """A connection that can pass a proxy to an IPv6 address.

    http.client of Python before 3.11.9 and 3.12.4 sends ``CONNECT ::1:443``, without the brackets that RFC 9110 requires.
    """

    #: Host of the tunnel; set by ``set_tunnel``.
    _tunnel_host: str | None

    def _tunnel(self) -> None:
        host = self._tunnel_host or ""
        self._tunnel_host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            # Without brackets, the address is compared with those in the certificate.
            self._tunnel_host = host


def plain_host(host: str) -> str:
    """Return a host name or address without the brackets of an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


# Loading the authorities takes longer than the handshake with a host.
@functools.lru_cache(maxsize=8)
def verifying_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that trusts the authorities of the system and those of ``ca_file``, in PEM form.

    Raises:
        OSError: ``ca_file`` cannot be read, or has no certificates (ssl.SSLError).
    """
    context = ssl.create_default_context()
    # Certificates of the VMware Certificate Authority lack extensions that the strict mode requires.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def unverified_context() -> ssl.SSLContext:
    """Return a context that accepts every certificate: the caller checks it in a different way, or not at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
