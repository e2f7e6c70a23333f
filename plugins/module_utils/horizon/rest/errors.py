# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's errors for failed connections and for requests that Horizon refused."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from ...common.errors import Conflict, NotFound, StrataError, TimedOut, Unavailable
from .connection import HorizonConnection
from .exchange import Request, Response
from .pacing import retry_after
from .redaction import Secrets
from .requirements import GLOBAL, console_name, privilege_for

#: Characters: of a page that is searched for text, and of the text that is shown.
_LONGEST_PAGE, _LONGEST_TEXT = 20_000, 600
_ERRORS_SHOWN = 5
#: Numbers of OpenSSL for the reasons why a certificate is not accepted.
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED, _UNKNOWN_AUTHORITY, _OTHER_NAME = (18, 19), (2, 20, 21), (62, 64)


class AnswerLost(Unavailable):
    """A request may have been executed although its answer did not arrive: read the state again before anything else."""

    default_code = "horizon.answer_lost"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer with an error says. ``from_horizon`` is False for a page of a gateway or of a different server."""

    status: int
    key: str | None
    text: str
    from_horizon: bool

    @property
    def reason(self) -> str:
        """Return text, key and status for the end of a message."""
        facts = f"{self.key}, HTTP {self.status}" if self.key else f"HTTP {self.status}"
        return f"{self.text} ({facts})" if self.text else facts


def read_refusal(response: Response, secrets: Secrets) -> Refusal:
    """Return what an answer with an error says; all versions of Horizon and gateways have forms of their own."""
    try:
        value = response.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        page = re.sub(r"<(style|script|title)\b[^>]*>[^<]*|<[^>]*>", " ", response.text()[:_LONGEST_PAGE])
        return Refusal(response.status, None, _shown([page], secrets), False)
    errors = value.get("errors")
    found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    keys = [error.get("error_key") for error in found] + [value.get("error_key")]
    messages = [error.get("error_message") for error in found]
    if not any(messages):
        several = value.get("error_messages")
        messages = several if isinstance(several, list) else []
    if not any(messages):
        messages = [value.get("error_message") or value.get("message") or value.get("error")]
    key = next((key for key in keys if isinstance(key, str) and key), None)
    return Refusal(response.status, key and secrets.hide(key)[:200], _shown(messages, secrets), True)


def _shown(messages: list[Any], secrets: Secrets) -> str:
    texts = [" ".join(message.split()).rstrip(". ") for message in messages if isinstance(message, str)]
    text = "; ".join(dict.fromkeys(text for text in texts[:_ERRORS_SHOWN] if text))
    return secrets.hide(text)[:_LONGEST_TEXT]


def response_error(
    request: Request, response: Response, connection: HorizonConnection, secrets: Secrets
) -> StrataError:
    """Return the error for an answer that is not a success."""
    refusal = read_refusal(response, secrets)
    server, call = _server(connection), f"{request.method} {request.path}"
    facts: dict[str, Any] = {"status": refusal.status, "error_key": refusal.key, "error_message": refusal.text}
    facts |= {"method": request.method, "path": request.path}
    status = refusal.status
    if status == 401:
        return Unavailable(
            f"{server} does not accept the login of {account(connection)} that it has just granted: {refusal.reason}.",
            code="horizon.session",
            hint="Set hostname to a single Connection Server, not a load balancer, and run this playbook again.",
            **facts,
        )
    if status == 403:
        return _forbidden(request, connection, refusal, facts)
    if status == 429:
        return Unavailable(
            f"{server} limits the rate of the request {call}: {refusal.reason}.",
            code="horizon.throttled",
            hint="Run this playbook later, or with a longer pause between its requests (wait_sleep).",
            retry_after=retry_after(response),
            **facts,
        )
    if status >= 500:
        return Unavailable(
            f"The service of {connection.label} is not available for the request {call}: {refusal.reason}.",
            code="horizon.unavailable",
            hint="Wait until the services of the Connection Server run, check its logs, and run this playbook again.",
            **facts,
        )
    if 300 <= status < 400:
        return _redirected(response, connection, facts)
    return _state_error(request, connection, refusal, facts)


def _state_error(
    request: Request, connection: HorizonConnection, refusal: Refusal, facts: dict[str, Any]
) -> StrataError:
    """Return the error for a request that does not fit the state of its object."""
    server, call = _server(connection), f"{request.method} {request.path}"
    if refusal.status == 404:
        return NotFound(
            f"{server} did not find the object of the request {call}: {refusal.reason}.",
            code="horizon.not_found",
            hint="An administrator may have removed it; run this playbook again.",
            **facts,
        )
    if refusal.status == 409:
        return Conflict(
            f"{server} refused the request {call}, which conflicts with the state of the object: {refusal.reason}.",
            code="horizon.conflict",
            hint="Check the tasks of the pool or farm in Horizon Console, and run this playbook again.",
            **facts,
        )
    return Unavailable(
        f"{server} refused the request {call}: {refusal.reason}.",
        code="horizon.refused",
        hint="Check the state of the pool or farm in Horizon Console, and the options of the module.",
        **facts,
    )


def _forbidden(request: Request, connection: HorizonConnection, refusal: Refusal, facts: dict[str, Any]) -> StrataError:
    privilege = privilege_for(request.method, request.path)
    needed = f"the privilege {privilege} ({console_name(privilege)})" if privilege else "a privilege for it"
    groups = (
        "the root access group"
        if privilege in GLOBAL
        else "the access group of the pool or farm, or on the root access group"
    )
    return Unavailable(
        f"{_server(connection)} denies {account(connection)} the request {request.method} {request.path}: {refusal.reason}.",
        code="horizon.forbidden",
        hint=f"Give the user a role with {needed} on {groups}.",
        privilege=privilege,
        **facts,
    )


def _redirected(response: Response, connection: HorizonConnection, facts: dict[str, Any]) -> StrataError:
    match = re.match(r"https?://([A-Za-z0-9.:\[\]-]{1,253})", response.header("Location") or "")
    target = f" to {match[1]}" if match else ""
    return Unavailable(
        f"{_server(connection)} redirects requests{target} (HTTP {response.status}), which are not followed.",
        code="horizon.redirect",
        hint="Set hostname and port to the Connection Server itself.",
        **facts,
    )


def protocol_error(response: Response, connection: HorizonConnection) -> StrataError:
    """Return the error for a server that does not have Horizon's REST API."""
    return Unavailable(
        f"{_server(connection)} did not answer as Horizon's REST API does (HTTP {response.status}).",
        code="horizon.protocol",
        hint="Check the options hostname and port: they name a Connection Server of Horizon 2206 or newer.",
        status=response.status,
    )


def login_error(response: Response, connection: HorizonConnection, secrets: Secrets) -> StrataError:
    """Return the error for a login that Horizon rejected."""
    refusal = read_refusal(response, secrets)
    return Unavailable(
        f"{_server(connection)} rejected the login of {account(connection)}: {refusal.reason}.",
        code="horizon.login",
        hint="Check username, domain and password, and that the user has a role in Horizon Console. Repeated logins may lock the account.",
        status=refusal.status,
        error_key=refusal.key,
        error_message=refusal.text,
    )


def account(connection: HorizonConnection) -> str:
    """Return the user in a sentence."""
    return f"the user {connection.domain}\\{connection.username}"


def connection_error(error: BaseException, connection: HorizonConnection) -> StrataError:
    """Return the engine's error for a failed connection; before the proxy answers, the proxy has failed."""
    if isinstance(error, StrataError):
        return error
    label, option = connection.label, "hostname"
    if connection.proxy_host:
        if isinstance(error, OSError) and str(error).startswith("Tunnel connection failed"):
            return Unavailable(
                f"The proxy {connection.proxy_host} refused a connection to {label}: {_text(error)}.",
                code="horizon.proxy",
                hint="Check proxy_host and proxy_port, and that the proxy allows connections to the Connection Server.",
            )
        if isinstance(error, (ConnectionRefusedError, TimeoutError, socket.gaierror)):
            label, option = f"the proxy {connection.proxy_host} (port {connection.proxy_port or 3128})", "proxy_host"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_error(error, connection)
    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Unavailable(
            f"The TLS connection to {label} failed: {error.reason or error}.",
            code="horizon.tls",
            hint="Check the options hostname and port.",
        )
    if isinstance(error, socket.gaierror):
        return Unavailable(
            f"The name of {label} cannot be resolved.",
            code="horizon.name_resolution",
            hint=f"Check the option {option}, and DNS on the composer.",
        )
    if isinstance(error, ConnectionRefusedError):
        return Unavailable(
            f"The connection to {label} was refused.",
            code="horizon.connection_refused",
            hint="Check that the service runs, and that no firewall blocks the connection.",
        )
    if isinstance(error, TimeoutError):
        return TimedOut(
            f"{_capital(label)} did not respond: the connection timed out.",
            code="horizon.no_answer",
            hint="Check that the service runs, and that no firewall blocks the connection.",
        )
    return Unavailable(
        f"The connection to {label} broke: {_text(error)}.",
        code="horizon.connection",
        hint="Check the network and the service, and run this playbook again.",
    )


def _certificate_error(error: ssl.SSLCertVerificationError, connection: HorizonConnection) -> StrataError:
    number = error.verify_code
    if number in _OTHER_NAME:
        reason, remedy = "name", "Set hostname to a name that the certificate has."
    elif number == _EXPIRED:
        reason, remedy = (
            "expired",
            "Renew the certificate of the Connection Server, or check the clock of the composer.",
        )
    elif number == _NOT_YET_VALID:
        reason, remedy = "not_yet_valid", "Check the clocks of the composer and of the Connection Server."
    elif number in _SELF_SIGNED:
        reason, remedy = "self_signed", "Set ca_path to a file with this certificate in PEM form."
    elif number in _UNKNOWN_AUTHORITY:
        reason, remedy = "unknown_authority", "Set ca_path to a file with its certificate authority in PEM form."
    else:
        reason, remedy = "invalid", "Replace the certificate of the Connection Server."
    return Unavailable(
        f"The certificate of {connection.label} is not trusted: {error.verify_message.rstrip('.')}.",
        code="horizon.certificate",
        hint=f"{remedy} Without any check of certificates: set validate_certs to false.",
        reason=reason,
    )


def answer_lost(request: Request, connection: HorizonConnection, cause: str, **facts: Any) -> AnswerLost:
    """Return the error for a request that Horizon may have executed."""
    return AnswerLost(
        f"{_server(connection)} may have executed the request {request.method} {request.path}; its answer was lost: {cause}.",
        code="horizon.answer_lost",
        hint="Run this playbook again: it reads the state before it changes anything.",
        method=request.method,
        path=request.path,
        **facts,
    )


def _server(connection: HorizonConnection) -> str:
    """Return the server at the beginning of a sentence."""
    return _capital(connection.label)


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _text(error: BaseException) -> str:
    """Return what an exception says, in one line and without the bytes of an answer."""
    if isinstance(error, http.client.IncompleteRead):
        return "the answer is incomplete"
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        return "the answer is not HTTP"
    return " ".join(str(error).split())[:200].rstrip(". ") or type(error).__name__
