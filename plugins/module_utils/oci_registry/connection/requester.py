# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a registry with login, redirects, rate limits and repetition."""

from __future__ import annotations

import dataclasses
import io

from ...common.errors import Corrupt, StrataError, Unavailable
from ..login.credentials import CredentialStore
from ..login.hidden_secrets import Secrets
from ..login.tokens import Authorizer
from ..model import RegistryConnection
from .endpoints import Endpoints
from .exchange import PIECE, Answer, ExchangeFailed, Request, Stream
from .pacing import Attempts
from .refusals import is_rate_limit, refused
from .transport import Transport

_REDIRECTS, _MOST_REDIRECTS = (301, 302, 303, 307, 308), 5
#: Statuses of a server that is overloaded, restarts, or is not reached by its gateway.
TRANSIENT = frozenset((408, 500, 502, 503, 504))
_RENEWALS = 2
#: Bytes of an answer with an error.
_ERROR_BOUND = 256 << 10


class Requester:
    """Sends requests of all parts of the client. Several threads may use it."""

    def __init__(self, connection: RegistryConnection) -> None:
        """Prepare; nothing is sent. Raises InvalidInput for options that cannot be used."""
        self.connection = connection
        self.endpoints = Endpoints(connection)
        self.secrets = Secrets()
        self.transport = Transport(connection)
        self._credentials = CredentialStore(connection)
        self._authorizer = Authorizer(connection, self._credentials, self.secrets, self._fetch_token)

    def answer(self, request: Request, *expected: int, attempts: int | None = None) -> Answer:
        """Return the answer to a request that may be repeated: it must have one of the statuses ``expected``.

        ``attempts`` is the number of attempts if it is not that of the connection.

        Raises:
            InvalidInput: ``oci_registry.login``, ``oci_registry.credentials_file``, ``oci_registry.credential_helper``.
            Unavailable: ``oci_registry.forbidden``, ``.throttled``, ``.unavailable``, ``.redirect``, ``.too_large``,
                ``.refused``, ``.token``, ``.token_realm``, ``.certificate``, ``.tls``, ``.name_resolution``, ``.proxy``,
                ``.connection_refused``, ``.connection``; TimedOut: ``.no_answer``.
            NotFound: ``oci_registry.not_found``.
            Conflict: ``oci_registry.immutable``.
            Corrupt: ``oci_registry.answer`` for an answer that is longer than the bound of the request.
        """
        patience = self.connection.patience
        pacing = Attempts(patience if attempts is None else dataclasses.replace(patience, attempts=attempts))
        while True:
            try:
                answer = self.attempt(request)
            except ExchangeFailed as failure:
                if failure.final or not pacing.again():
                    raise failure.error from failure.cause
                continue
            if answer.status in expected:
                return answer
            if answer.status not in TRANSIENT or not self._again(answer, pacing):
                raise self.refused(request, answer)

    def attempt(self, request: Request) -> Answer:
        """Send a request once and return the answer with any status; logins and rate limits are dealt with.

        Raises:
            ExchangeFailed: there is no complete answer.
        """
        return self.complete(request, self.stream(request))

    def stream(self, request: Request) -> Stream:
        """Send a request as ``attempt`` does; the caller reads and closes the answer."""
        attempts, renewals = Attempts(self.connection.patience), 0
        while True:
            authorization = self._authorizer.header(request)
            stream = self._follow(request, authorization)
            if stream.status == 401 and self.endpoints.is_own(stream.url) and renewals < _RENEWALS:
                answer = self.complete(request, stream)
                renewals += 1
                if self._authorizer.challenged(request, answer, authorization):
                    continue
                stream = _stream_of(answer)
            elif stream.status in (403, 429):
                answer = self.complete(request, stream)
                if is_rate_limit(answer) and attempts.again_after_limit(answer.headers):
                    continue
                stream = _stream_of(answer)
            return stream

    def complete(self, request: Request, stream: Stream) -> Answer:
        """Read an answer, which must not be longer than the request allows. Raises ExchangeFailed or Corrupt."""
        bound = request.bound if 200 <= stream.status < 300 else _ERROR_BOUND
        blocks, total = [], 0
        try:
            # Also an answer without a body is read: only then is its connection used again.
            while block := stream.read(min(PIECE, bound + 1 - total)):
                blocks.append(block)
                total += len(block)
                if total > bound:
                    if stream.status >= 300:
                        # The text of an error is not worth more.
                        break
                    raise self.too_long(request)
        finally:
            stream.close()
        return Answer(stream.status, stream.headers, b"".join(blocks), stream.url)

    def refused(self, request: Request, answer: Answer) -> StrataError:
        """Return the error for an answer that is not a success."""
        challenge = answer.header("WWW-Authenticate") or ""
        if answer.status == 401 and "insufficient_scope" in challenge and self._credentials.find(request.repository):
            # The token server accepted the login, and granted less than was requested.
            answer = Answer(403, answer.headers, answer.body, answer.url)
        account = self._credentials.account(request.repository)
        return refused(request, answer, self.connection, self.secrets, account)

    def too_long(self, request: Request) -> Corrupt:
        """Return the error for an answer that is longer than its bound."""
        return Corrupt(
            f"The answer of {self.connection.label} for {request.subject} has more than {request.bound} bytes.",
            code="oci_registry.answer",
            hint="Check that the option registry names the registry itself.",
            bound=request.bound,
        )

    def wrong(self, subject: str, reason: str) -> Corrupt:
        """Return the error for an answer that contradicts the protocol."""
        return Corrupt(
            f"The answer of {self.connection.label} for {subject} cannot be used: {reason}.",
            code="oci_registry.answer",
            hint="Check that the option registry names an OCI registry. If the error repeats, check the logs of the registry.",
        )

    def _follow(self, request: Request, authorization: str | None) -> Stream:
        """Send a request and follow redirects to object stores, to which no credentials are sent."""
        url = request.url
        for count in range(_MOST_REDIRECTS + 1):
            own = self.endpoints.is_own(url)
            stream = self.transport.send(request, url, authorization if own else None)
            location = stream.headers.get("Location")
            if stream.status not in _REDIRECTS or request.method not in ("GET", "HEAD") or not location:
                return stream
            self.complete(request, stream)
            url = self.endpoints.resolve(url, location)
        raise Unavailable(
            f"{self.connection.label[0].upper()}{self.connection.label[1:]} redirects a request for {request.subject} too often.",
            code="oci_registry.redirect",
            hint="Check the configuration of the registry and of its reverse proxy.",
            redirects=count,
        )

    def _fetch_token(self, request: Request, authorization: str | None) -> Answer:
        attempts = Attempts(self.connection.patience)
        while True:
            try:
                answer = self.complete(request, self.transport.send(request, request.url, authorization))
            except ExchangeFailed as failure:
                if failure.final or not attempts.again():
                    raise failure.error from failure.cause
                continue
            if answer.status in TRANSIENT or answer.status == 429:
                if self._again(answer, attempts):
                    continue
            return answer

    @staticmethod
    def _again(answer: Answer, attempts: Attempts) -> bool:
        """Wait after a status that may be transient, as long as the server demands."""
        if answer.header("Retry-After") is not None or answer.status == 429:
            return attempts.again_after_limit(answer.headers)
        return attempts.again()


def _stream_of(answer: Answer) -> Stream:
    """Return a stream over an answer that has been read."""
    body = io.BytesIO(answer.body)
    return Stream(answer.status, answer.headers, answer.url, body.read, body.close)
