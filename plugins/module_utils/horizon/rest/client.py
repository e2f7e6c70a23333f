# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session with a Horizon Connection Server that renews itself.

Requests that change nothing are repeated while the connection fails or the service is not ready. Requests that change
something are repeated only when Horizon certainly did not execute them.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...common.errors import Corrupt, InvalidInput, StrataError, Unavailable, Unsupported
from ...common.host_names import host_name_problem
from .answers import Answer
from .api_log import ApiLog
from .connection import HorizonConnection
from .errors import AnswerLost, answer_lost, connection_error, protocol_error, read_refusal, response_error
from .exchange import Request, Response
from .login import Login
from .pacing import Attempts
from .redaction import Secrets
from .requirements import first_version, release_of
from .transport import ExchangeFailed, Transport

__all__ = ("AnswerLost", "Environment", "HorizonClient", "HorizonConnection")

_ENVIRONMENT = "/config/v2/environment-properties"
#: Elements of a page, the most that Horizon allows, and pages of a list.
_PAGE_SIZE, _PAGES = 1000, 500


@dataclass(frozen=True, slots=True)
class Environment:
    """What a Connection Server reports about itself. ``version`` is such as "8.12.0"; ``release`` has its first two numbers."""

    version: str
    build: str
    pod: str
    cluster_guid: str
    release: tuple[int, int] | None


class HorizonClient:
    """A logged-in session; use as a context manager to log out. Not for use by several threads.

    A path is below /rest, such as "/inventory/v6/desktop-pools". ``label`` names the server in messages. Every request raises:

        Unavailable: ``horizon.forbidden``, ``horizon.refused``, ``horizon.unavailable``, ``horizon.throttled``, ``horizon.login``,
            ``horizon.session``, ``horizon.redirect``, ``horizon.protocol``, and as ``connection_error``.
        NotFound: ``horizon.not_found``. Conflict: ``horizon.conflict``. TimedOut: ``horizon.no_answer``.
        Unsupported: ``horizon.version`` if the Connection Server is older than the request.
        Corrupt: ``horizon.answer`` if the answer is not what was asked for.
    """

    @classmethod
    def connect(cls, connection: HorizonConnection) -> HorizonClient:
        """Log in.

        Raises:
            InvalidInput: ``horizon.hostname``, ``horizon.credentials``, ``horizon.ca_file`` or ``horizon.api_log`` if an option cannot be used.
            Unavailable: ``horizon.login``, ``horizon.protocol``, ``horizon.redirect``; as ``connection_error``.
            TimedOut: ``horizon.no_answer``.
        """
        client = cls(connection)
        try:
            client._login.open()
        except BaseException:
            client.close()
            raise
        return client

    def __init__(self, connection: HorizonConnection) -> None:
        _check_hostname(connection.hostname)
        self.label = connection.label
        self._connection = connection
        self._secrets = Secrets()
        self._log = ApiLog(connection.api_log, self._secrets) if connection.api_log else None
        self._transport = Transport(connection, self._secrets, self._log)
        self._login = Login(connection, self._transport, self._secrets)
        self._environment: Environment | None = None
        self._dated: Response | None = None

    def __repr__(self) -> str:
        return f"HorizonClient({self._connection.hostname!r}, port={self._connection.port})"

    def __enter__(self) -> HorizonClient:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Log out; a session that has already ended is not an error."""
        self._login.close()
        self._transport.close()
        if self._log is not None:
            self._log.close()

    @property
    def environment(self) -> Environment:
        """The version of the Connection Server and its pod; read once. Raises as every request."""
        if self._environment is None:
            answer = Answer(self.get(_ENVIRONMENT), "the environment of Horizon")
            version = answer.text_or_none("local_connection_server_version") or ""
            self._environment = Environment(
                version=version,
                build=answer.text_or_none("local_connection_server_build") or "",
                pod=answer.text_or_none("local_pod_name") or "",
                cluster_guid=answer.text_or_none("cluster_guid") or "",
                release=release_of(version),
            )
        return self._environment

    def get(self, path: str, **query: Any) -> Any:
        """Return the decoded answer. A query parameter that is None is left out. Raises as every request."""
        return self._decoded(self._answered(Request("GET", path, _query(query))))

    def pages(
        self, path: str, filter: Mapping[str, str | bool] | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the objects of a list, which is read page by page. Raises as every request.

        ``filter`` has fields with the value that they must have; only fields that the operation can filter by.
        """
        if filter:
            query["filter"] = _filter(filter)
        for page in range(1, _PAGES + 1):
            request = Request("GET", path, _query({**query, "page": page, "size": _PAGE_SIZE}))
            try:
                response = self._answered(request)
            except Unavailable as error:
                # A page beyond the end is refused: objects were removed since the page before.
                if page > 1 and error.code == "horizon.refused":
                    return
                raise
            found = self._decoded(response)
            if (
                not isinstance(found, list)
                or len(found) > _PAGE_SIZE
                or not all(isinstance(element, dict) for element in found)
            ):
                raise self._wrong(request, f"it is not a list of at most {_PAGE_SIZE} objects")
            yield from found
            more = response.header("HAS_MORE_RECORDS")
            if more is None or more.strip().lower() == "false" or not found:
                return
        raise self._wrong(request, f"the list has more than {_PAGES * _PAGE_SIZE} objects")

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return the decoded answer, None if it is empty. Raises as every request, and:

        Raises:
            AnswerLost: ``horizon.answer_lost`` if Horizon may have executed the request.
        """
        request = Request("POST", path, _query(query), body)
        response = self._answered(request)
        try:
            return response.json()
        except ValueError as error:
            raise answer_lost(request, self._connection, "it is not JSON", status=response.status) from error

    def server_time(self) -> int:
        """Return the present time of the Connection Server in milliseconds since 1970.

        Raises:
            Unavailable: ``horizon.server_time`` if the server does not send its time; as every request.
        """
        if self._dated is None:
            self._answered(Request("GET", _ENVIRONMENT))
        found = None if self._dated is None else self._dated.server_time()
        if found is None:
            raise Unavailable(
                f"The answers of {self.label} have no time (header Date).",
                code="horizon.server_time",
                hint="Check for a proxy or gateway between the composer and the Connection Server that removes headers.",
            )
        return found

    def _answered(self, request: Request) -> Response:
        """Return the answer to a request that succeeded; repeat it as far as that is allowed."""
        attempt, renewals, repeatable = Attempts(self._connection.patience), 0, request.method == "GET"
        while True:
            token = self._login.token()
            try:
                response = self._transport.exchange(_with_token(request, token))
            except ExchangeFailed as failure:
                self._after_failure(request, failure, attempt)
                continue
            if response.server_time() is not None:
                self._dated = response
            status = response.status
            if 200 <= status < 300:
                return response
            if status == 401 and renewals < 2:
                # Horizon did not execute the request. If a refreshed token is not accepted either, a new login is.
                self._login.renew(by_password=renewals > 0)
                renewals += 1
            elif not self._again(request, response, attempt):
                if status >= 500 and not repeatable and not self._not_executed(response):
                    refusal = read_refusal(response, self._secrets)
                    raise answer_lost(request, self._connection, refusal.reason, status=status, error_key=refusal.key)
                raise self._refused(request, response)

    def _after_failure(self, request: Request, failure: ExchangeFailed, attempt: Attempts) -> None:
        """Wait before a request without an answer is repeated, or raise."""
        cause = failure.cause
        error = connection_error(cause, self._connection)
        if failure.sent and request.method != "GET":
            raise answer_lost(request, self._connection, error.message.rstrip("."), failure=error.code) from cause
        if isinstance(cause, (ssl.SSLCertVerificationError, StrataError)) or not attempt.again():
            raise error from cause

    def _again(self, request: Request, response: Response, attempt: Attempts) -> bool:
        """Return whether a request that did not succeed is to be made again, after a pause."""
        status, repeatable = response.status, request.method == "GET"
        if status == 429:
            return attempt.again_after_limit(response)
        if status in (502, 503, 504) and (repeatable or self._not_executed(response)):
            return attempt.again()
        return status >= 500 and repeatable and attempt.again_after_error()

    def _not_executed(self, response: Response) -> bool:
        """Return whether the gateway answered instead of Horizon, because the service does not run."""
        return response.status == 503 and not read_refusal(response, self._secrets).from_horizon

    def _refused(self, request: Request, response: Response) -> StrataError:
        """Return the error for an answer; a path that is not found may be newer than the Connection Server."""
        if response.status == 404:
            version = self._missing_version(request)
            if version is not None:
                return version
        return response_error(request, response, self._connection, self._secrets)

    def _missing_version(self, request: Request) -> StrataError | None:
        needed, release = first_version(request.path)
        if request.path == _ENVIRONMENT:
            version = "older than Horizon 2012, or not a Connection Server"
        elif self.environment.release is None or self.environment.release >= needed:
            return None
        else:
            version = f"version {self.environment.version}"
        return Unsupported(
            f"The request {request.method} {request.path} needs Horizon {release} or newer; {self.label} is {version}.",
            code="horizon.version",
            hint=f"Upgrade the Connection Servers of the pod to Horizon {release} or newer.",
            version=self._environment.version if self._environment else None,
            needed=release,
            status=404,
        )

    def _decoded(self, response: Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise protocol_error(response, self._connection) from error

    def _wrong(self, request: Request, reason: str) -> Corrupt:
        return Corrupt(
            f"The answer of {self.label} to the request {request.method} {request.path} cannot be used: {reason}.",
            code="horizon.answer",
            hint="Run this playbook again. If the error repeats, set api_log and report the answer that the file contains.",
            path=request.path,
        )


def _check_hostname(hostname: str) -> None:
    if not hostname.strip():
        raise InvalidInput(
            "The option hostname is empty.",
            code="horizon.hostname",
            hint="Set hostname, or the environment variable HORIZON_HOST.",
        )
    problem = host_name_problem(hostname, "cs01.example.com")
    if problem is not None:
        raise InvalidInput(
            f"The option hostname is {problem.found}.",
            code="horizon.hostname",
            hint=f"Write the host name alone: {problem.advice}",
        )


def _with_token(request: Request, token: str) -> Request:
    return Request(request.method, request.path, request.query, request.body, token)


def _query(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(value)) for name, value in values.items() if value is not None)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _filter(values: Mapping[str, str | bool]) -> str:
    """Return Horizon's filter for objects whose fields have exactly these values."""
    filters = [{"type": "Equals", "name": name, "value": value} for name, value in values.items()]
    return json.dumps(filters[0] if len(filters) == 1 else {"type": "And", "filters": filters}, separators=(",", ":"))
