# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The header Authorization: Basic, or Bearer with tokens that are fetched for their scopes and renewed.

The token server is asked as the specification of docker's registry describes
(https://distribution.github.io/distribution/spec/auth/token/): GET with the password, or POST with an identity token.
"""

from __future__ import annotations

import base64
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import Corrupt, StrataError, Unavailable
from ..connection.endpoints import shown, with_query
from ..connection.exchange import Answer, Request
from ..connection.refusals import read_refusal, refused
from ..model import RegistryConnection
from .challenges import Challenge, joined_scopes, parse_challenges
from .credentials import Credentials, CredentialStore
from .hidden_secrets import Secrets

#: Seconds that a token is valid if the server does not say, and the most that is believed.
_DEFAULT_LIFE, _LONGEST_LIFE = 60.0, 3600.0
#: A token is renewed before its end: by this part of its life, at most by this number of seconds.
_RENEWED_PART, _RENEWED_BEFORE = 0.2, 15.0
_LONGEST_TOKEN, _ANSWER_BOUND = 64 << 10, 1 << 20
_CLIENT_ID = "strata.layering"


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    renewal: float


@dataclass(frozen=True, slots=True)
class _Realm:
    """Where tokens come from."""

    url: str
    service: str


class Authorizer:
    """Answers the challenges of a registry. Several threads may use it."""

    def __init__(
        self,
        connection: RegistryConnection,
        credentials: CredentialStore,
        secrets: Secrets,
        fetch: Callable[[Request, str | None], Answer],
    ) -> None:
        """``fetch`` sends a request with a header Authorization, and repeats it while its server is not available."""
        self._connection = connection
        self._credentials = credentials
        self._secrets = secrets
        self._fetch = fetch
        self._lock = threading.Lock()
        self._basic = False
        self._realm: _Realm | None = None
        self._tokens: dict[tuple[str, tuple[str, ...]], _Token] = {}
        #: Scopes that a registry demanded in addition to those of the protocol.
        self._demanded: dict[tuple[str, ...], tuple[str, ...]] = {}

    def header(self, request: Request) -> str | None:
        """Return the header for a request, None before the registry has asked for a login.

        Raises:
            InvalidInput: ``oci_registry.login``, or unusable credentials.
            Unavailable: ``oci_registry.token``, or the token server cannot be reached.
        """
        with self._lock:
            if self._basic:
                return self._basic_header(request.repository)
            if self._realm is None:
                return None
            key = request.repository, request.scopes
            token = self._tokens.get(key)
            if token is None or time.monotonic() >= token.renewal:
                token = self._tokens[key] = self._fetch_token(self._realm, request)
            return token.header

    def challenged(self, request: Request, answer: Answer, used: str | None) -> bool:
        """Take a challenge (HTTP 401) to a request with the header ``used``; return whether to send the request again.

        Raises:
            Unavailable: ``oci_registry.token_realm`` if credentials would be sent without encryption.
        """
        challenges = parse_challenges(answer.header("WWW-Authenticate"))
        with self._lock:
            for challenge in challenges:
                if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                    return self._take_bearer(challenge, request, used)
            if any(challenge.scheme == "basic" for challenge in challenges):
                self._basic = True
                header = self._basic_header(request.repository)
                return header is not None and header != used
        return False

    def _take_bearer(self, challenge: Challenge, request: Request, used: str | None) -> bool:
        realm = _Realm(challenge.parameters["realm"], challenge.parameters.get("service", ""))
        self._check_realm(realm)
        key = request.repository, request.scopes
        token = self._tokens.get(key)
        if token is None or token.header == used or realm != self._realm:
            self._tokens.pop(key, None)
        self._basic, self._realm = False, realm
        self._demanded[request.scopes] = challenge.scopes
        return True

    def _basic_header(self, repository: str) -> str | None:
        credentials = self._credentials.find(repository)
        if credentials is None or not credentials.password:
            return None
        return self._login_header(credentials)

    def _login_header(self, credentials: Credentials) -> str:
        self._secrets.add_login(credentials.username, credentials.password)
        login = f"{credentials.username}:{credentials.password}".encode()
        return f"Basic {base64.b64encode(login).decode()}"

    def _check_realm(self, realm: _Realm) -> None:
        """Raise unless the password may be sent to a token server: over TLS, or as openly as to the registry itself."""
        try:
            parts = urllib.parse.urlsplit(realm.url)
            host, scheme, valid = parts.hostname, parts.scheme, "@" not in parts.netloc
        except ValueError:
            host, scheme, valid = None, "", False
        if valid and host and (scheme == "https" or (scheme == "http" and self._connection.plain_http)):
            return
        raise Unavailable(
            f"{self._label()} refers to a token server whose URL is not https: {shown(realm.url) if valid and host else 'a URL that is not valid'}.",
            code="oci_registry.token_realm",
            hint="Configure the token server (realm) of the registry with an https URL. The password is not sent without encryption.",
        )

    def _fetch_token(self, realm: _Realm, request: Request) -> _Token:
        scopes = joined_scopes(request.scopes, self._demanded.get(request.scopes, ()))
        credentials = self._credentials.find(request.repository)
        asked, authorization = self._token_request(realm, scopes, credentials, request)
        started = time.monotonic()
        answer = self._fetch(asked, authorization)
        if answer.status in (401, 403):
            account = self._credentials.account(request.repository)
            raise refused(asked, _as_login(answer), self._connection, self._secrets, account)
        if answer.status != 200:
            raise Unavailable(
                f"The token server of {self._connection.label} refused the request for access to {request.subject}: "
                f"{read_refusal(answer, self._secrets).reason}.",
                code="oci_registry.token",
                hint="Check the logs of the token server, and run this playbook again.",
                status=answer.status,
            )
        text, life = self._token_in(answer)
        self._secrets.add(text)
        return _Token(f"Bearer {text}", started + life - min(life * _RENEWED_PART, _RENEWED_BEFORE))

    def _token_request(
        self, realm: _Realm, scopes: tuple[str, ...], credentials: Credentials | None, request: Request
    ) -> tuple[Request, str | None]:
        subject = f"a token for {request.subject}"
        if credentials is not None and credentials.identity_token:
            self._secrets.add(credentials.identity_token)
            form = {
                "grant_type": "refresh_token",
                "service": realm.service,
                "client_id": _CLIENT_ID,
                "scope": " ".join(scopes),
                "refresh_token": credentials.identity_token,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = urllib.parse.urlencode(form).encode()
            return Request("POST", realm.url, request.repository, subject, headers=headers, body=body), None
        url = with_query(realm.url, "service", realm.service) if realm.service else realm.url
        for scope in scopes:
            url = with_query(url, "scope", scope)
        authorization = None
        if credentials is not None:
            url = with_query(url, "account", credentials.username)
            authorization = self._login_header(credentials)
        return Request("GET", url, request.repository, subject, bound=_ANSWER_BOUND), authorization

    def _token_in(self, answer: Answer) -> tuple[str, float]:
        """Return the token of an answer, and the seconds that it is valid."""
        try:
            value: Any = answer.json()
        except ValueError:
            value = None
        token = value.get("token") or value.get("access_token") if isinstance(value, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or len(token) > _LONGEST_TOKEN:
            raise self._unusable()
        life = value.get("expires_in")
        if isinstance(life, bool) or not isinstance(life, (int, float)) or not life > 0:
            life = _DEFAULT_LIFE
        return token, min(float(min(life, _LONGEST_LIFE)), _LONGEST_LIFE)

    def _unusable(self) -> StrataError:
        return Corrupt(
            f"The token server of {self._connection.label} sent an answer without a token.",
            code="oci_registry.token",
            hint="Check that the option registry names an OCI registry, and check the logs of its token server.",
        )

    def _label(self) -> str:
        return f"{self._connection.label[0].upper()}{self._connection.label[1:]}"


def _as_login(answer: Answer) -> Answer:
    """Return an answer of a token server as the registry itself would refuse the login."""
    return Answer(401, answer.headers, answer.body, answer.url)
