# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's errors for connections to a registry, a token server or an object store that failed."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator

from ...common.errors import StrataError, TimedOut, Unavailable
from ..model import RegistryConnection

#: Numbers of OpenSSL for the reasons why a certificate is not accepted.
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED, _UNKNOWN_AUTHORITY, _OTHER_NAME = (18, 19), (2, 20, 21), (62, 64)
#: Causes of causes that are examined: the libraries wrap each other's exceptions.
_DEEPEST = 12


def connection_error(error: BaseException, connection: RegistryConnection, host: str) -> StrataError:
    """Return the error for a failed connection to ``host``, which has a port if it is not the default port."""
    for cause in _causes(error):
        if isinstance(cause, StrataError):
            return cause
    label = connection.label if host == connection.address.authority else f"{host}, to which {connection.label} refers,"
    if any(type(cause).__name__ == "ProxyError" for cause in _causes(error)):
        label = f"the proxy of {connection.label}"
    for cause in _causes(error):
        found = _known(cause, connection, label)
        if found is not None:
            return found
    return Unavailable(
        f"The connection to {label} broke: {_text(error)}.",
        code="oci_registry.connection",
        hint="Check the network and the registry, and run this playbook again: the transfer resumes.",
    )


def is_final(error: BaseException) -> bool:
    """Return whether a repetition would fail in the same way."""
    return any(isinstance(cause, (ssl.SSLCertVerificationError, StrataError)) for cause in _causes(error))


def _known(cause: BaseException, connection: RegistryConnection, label: str) -> StrataError | None:
    text = str(cause)
    if isinstance(cause, OSError) and text.startswith("Tunnel connection failed"):
        return Unavailable(
            f"{label[0].upper()}{label[1:]} refused the connection: {_text(cause)}.",
            code="oci_registry.proxy",
            hint="Check the option proxy, and that the proxy allows connections to the registry.",
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _certificate_error(cause, label)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        plain = cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
        return Unavailable(
            f"The TLS connection to {label} failed: {cause.reason or _text(cause)}.",
            code="oci_registry.tls",
            hint="Check the port in registry. If the registry has no TLS, set plain_http to true."
            if plain
            else "Check the port in registry, and the TLS versions that the registry accepts.",
        )
    if isinstance(cause, socket.gaierror):
        return Unavailable(
            f"The name of {label} cannot be resolved.",
            code="oci_registry.name_resolution",
            hint="Check the option registry, the option proxy if it is set, and DNS on the composer.",
        )
    if isinstance(cause, ConnectionRefusedError):
        return Unavailable(
            f"The connection to {label} was refused.",
            code="oci_registry.connection_refused",
            hint="Check the port in registry (or in proxy), that the server runs, and that no firewall blocks the connection.",
        )
    if isinstance(cause, TimeoutError) or type(cause).__name__ in ("ReadTimeoutError", "ConnectTimeoutError"):
        return TimedOut(
            f"{label[0].upper()}{label[1:]} did not respond: the connection timed out.",
            code="oci_registry.no_answer",
            hint="Check that the registry runs, and that no firewall blocks the connection.",
        )
    return None


def _certificate_error(error: ssl.SSLCertVerificationError, label: str) -> StrataError:
    number = error.verify_code
    if number in _OTHER_NAME:
        reason, remedy = "name", "Set registry to a host name that the certificate has."
    elif number == _EXPIRED:
        reason, remedy = "expired", "Renew the certificate of the registry, or check the clock of the composer."
    elif number == _NOT_YET_VALID:
        reason, remedy = "not_yet_valid", "Check the clocks of the composer and of the registry."
    elif number in _SELF_SIGNED:
        reason, remedy = "self_signed", "Set ca_path to a file with this certificate in PEM form."
    elif number in _UNKNOWN_AUTHORITY:
        reason, remedy = "unknown_authority", "Set ca_path to a file with its certificate authority in PEM form."
    else:
        reason, remedy = "invalid", "Replace the certificate of the registry."
    return Unavailable(
        f"The certificate of {label.rstrip(',')} is not trusted: {error.verify_message.rstrip('.')}.",
        code="oci_registry.certificate",
        hint=f"{remedy} Without any check of certificates: set validate_certs to false.",
        reason=reason,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and the exceptions that it wraps, as cause, argument or reason; the innermost first."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < _DEEPEST:
        cause = waiting.pop(0)
        if any(cause is known for known in found):
            continue
        found.append(cause)
        inner = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        waiting += [exception for exception in inner if isinstance(exception, BaseException)]
    yield from reversed(found)


def _text(error: BaseException) -> str:
    """Return what an exception says, in one line and without addresses of objects."""
    innermost = next(_causes(error))
    name = type(innermost).__name__
    if name in ("IncompleteRead", "InvalidChunkLength"):
        return "the answer is incomplete"
    if isinstance(innermost, http.client.RemoteDisconnected):
        return "the registry closed it without an answer"
    if isinstance(innermost, http.client.HTTPException):
        return "the answer is not HTTP"
    if isinstance(innermost, OSError) and innermost.strerror:
        return innermost.strerror
    text = " ".join(str(innermost).split())
    return name if not text or " at 0x" in text else text[:200].rstrip(". ")
