# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login to a Connection Server, and its renewal.

A login that Horizon rejected is never repeated: it counts as a failed login of the account, and a few of them lock it.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

from ...common.errors import InvalidInput, StrataError
from .answers import Answer
from .connection import HorizonConnection
from .errors import connection_error, login_error, protocol_error, read_refusal, response_error
from .exchange import Request, Response
from .pacing import Attempts
from .redaction import Secrets
from .tokens import Tokens
from .transport import ExchangeFailed, Transport

#: Logins of which the answer was lost: they may count as failed logins, too.
_LOST_LOGINS = 3
#: Seconds for the answer to a logout, which nothing depends on.
_LOGOUT_TIMEOUT = 10.0


class Login:
    """The tokens of a session; a token is obtained by password, or by the refresh token."""

    def __init__(self, connection: HorizonConnection, transport: Transport, secrets: Secrets) -> None:
        """Prepare the login; nothing is sent.

        Raises:
            InvalidInput: ``horizon.credentials`` if user, domain or password is empty.
        """
        for name in ("username", "domain", "password"):
            if not getattr(connection, name):
                raise InvalidInput(
                    f"The option {name} is empty.",
                    code="horizon.credentials",
                    hint=f"Set {name}, or the environment variable HORIZON_{name.upper()}.",
                )
        self._connection = connection
        self._transport = transport
        self._secrets = secrets
        self._tokens: Tokens | None = None
        self._rejected: StrataError | None = None
        secrets.add(connection.password)

    def token(self) -> str:
        """Return an access token that has not expired as far as that is known; log in or refresh before, if necessary.

        Raises:
            Unavailable: ``horizon.login`` if the login is rejected; for all reasons of ``open``.
        """
        if self._tokens is None:
            return self._log_in()
        return self.renew() if self._tokens.due else self._tokens.access

    def open(self) -> None:
        """Log in for the first time.

        A refused connection or an unknown name is more likely a wrong option than a restart, and is reported at once.

        Raises:
            Unavailable: ``horizon.login``, ``horizon.protocol``, ``horizon.throttled`` and ``horizon.unavailable``; as ``connection_error``.
            TimedOut: ``horizon.no_answer``.
        """
        self._log_in(patient=False)

    def renew(self, *, by_password: bool = False) -> str:
        """Return a new access token: refresh it, else log in again.

        Raises:
            Unavailable, TimedOut: as ``open``.
        """
        old, self._tokens = self._tokens, None
        if old is None or old.refresh is None or by_password:
            return self._log_in()
        response = self._send(Request("POST", "/refresh", body={"refresh_token": old.refresh}))
        # Horizon answers 400 or 500 when the refresh token has expired.
        if response.status != 200:
            return self._log_in()
        return self._accept(response, old.refresh)

    def close(self) -> None:
        """Log out; a session that has already ended, or a server that does not respond, is not an error."""
        tokens, self._tokens = self._tokens, None
        if tokens is None or tokens.refresh is None:
            return
        request = Request("POST", "/logout", body={"refresh_token": tokens.refresh}, token=tokens.access)
        with contextlib.suppress(ExchangeFailed, StrataError):
            self._transport.exchange(request, timeout=_LOGOUT_TIMEOUT)

    def _log_in(self, *, patient: bool = True) -> str:
        if self._rejected is not None:
            raise self._rejected
        body = {
            "domain": self._connection.domain,
            "username": self._connection.username,
            "password": self._connection.password,
        }
        request = Request("POST", "/login", body=body)
        response = self._send(request, patient=patient, most_lost=_LOST_LOGINS)
        if response.status == 200:
            return self._accept(response, None)
        if 300 <= response.status < 400 or response.status >= 500 or response.status == 429:
            raise response_error(request, response, self._connection, self._secrets)
        if response.status not in (400, 401, 403, 404) or not read_refusal(response, self._secrets).from_horizon:
            raise protocol_error(response, self._connection)
        self._rejected = login_error(response, self._connection, self._secrets)
        raise self._rejected

    def _accept(self, response: Response, refresh: str | None) -> str:
        """Take the tokens of an answer; the answer to a refresh has an access token only."""
        try:
            value: Any = response.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise protocol_error(response, self._connection)
        answer = Answer(value, "the login to Horizon")
        for name in ("access_token", "refresh_token"):
            if isinstance(value.get(name), str):
                self._secrets.add(value[name])
        found = answer.text("access_token")
        self._tokens = Tokens.received(found, answer.text_or_none("refresh_token") or refresh, response.server_time())
        return found

    def _send(self, request: Request, *, patient: bool = True, most_lost: int = 1 << 20) -> Response:
        """Send a request until there is an answer other than "too many requests" and "not ready"."""
        attempt, lost = Attempts(self._connection.patience), 0
        while True:
            try:
                response = self._transport.exchange(request)
            except ExchangeFailed as failure:
                lost += failure.sent
                certain = isinstance(failure.cause, (ssl.SSLCertVerificationError, StrataError))
                wrong = not patient and not failure.sent and not isinstance(failure.cause, ConnectionResetError)
                if certain or wrong or lost >= most_lost or not attempt.again():
                    raise connection_error(failure.cause, self._connection) from failure.cause
                continue
            if response.status == 429 and attempt.again_after_limit(response):
                continue
            if response.status in (502, 503, 504):
                lost += response.status != 503
                if lost < most_lost and attempt.again():
                    continue
            return response
