# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, access tokens and refresh tokens."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass

from ansible_collections.strata.layering.tests.simulator_horizon.clock import Timeline
from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError
from ansible_collections.strata.layering.tests.simulator_horizon.settings import Settings


@dataclass(frozen=True)
class User:
    """A user who may log in. A read-only user is refused with 403 when it changes something."""

    domain: str
    username: str
    password: str
    read_only: bool = False


@dataclass
class _Session:
    user: User
    refresh_token: str
    expires: int


class Tokens:
    """The sessions of the REST API. An access token is a JWT without a valid signature, whose ``exp`` clients can read."""

    def __init__(self, timeline: Timeline, settings: Settings) -> None:
        self._timeline = timeline
        self._settings = settings
        self.users: list[User] = []
        self._sessions: dict[str, _Session] = {}
        self._access: dict[str, tuple[str, int]] = {}

    def log_in(self, domain: str, username: str, password: str) -> tuple[str, str]:
        """Return an access token and a refresh token."""
        for user in self.users:
            same_name = (user.domain.lower(), user.username.lower()) == (domain.lower(), username.lower())
            if same_name and secrets.compare_digest(user.password.encode(), password.encode()):
                break
        else:
            raise ApiError(401, "auth.bad.credentials", "The user name or the password is incorrect.")
        refresh = self._refresh_token()
        expires = self._timeline.now + int(self._settings.refresh_token_minutes * 60_000)
        self._sessions[refresh] = _Session(user, refresh, expires)
        return self._grant(refresh), refresh

    def refresh(self, refresh: str) -> str:
        """Return a new access token; those before remain valid until they expire."""
        session = self._sessions.get(refresh)
        if session is None or session.expires <= self._timeline.now:
            raise ApiError(400, "auth.refresh.token.invalid", "The refresh token is invalid or has expired.")
        return self._grant(refresh)

    def log_out(self, refresh: str) -> None:
        """Make a refresh token and its access tokens invalid."""
        if self._sessions.pop(refresh, None) is None:
            raise ApiError(400, "auth.refresh.token.invalid", "The refresh token is invalid or has expired.")
        self._access = {token: grant for token, grant in self._access.items() if grant[0] != refresh}

    def user(self, access: str) -> User:
        """Return the user of an access token."""
        refresh, expires = self._access.get(access, ("", 0))
        session = self._sessions.get(refresh)
        if session is None or expires <= self._timeline.now:
            raise ApiError(401, "auth.user.not.authenticated", "The user is not authenticated.")
        return session.user

    def expire(self, *, refresh: bool = False) -> int:
        """Make all access tokens invalid, with ``refresh`` also the refresh tokens; return the number of access tokens."""
        number = len(self._access)
        self._access.clear()
        if refresh:
            self._sessions.clear()
        return number

    def sessions(self) -> int:
        """Return the number of users that are logged in."""
        return len(self._sessions)

    def _grant(self, refresh: str) -> str:
        now = self._timeline.now // 1000
        expires = now + max(1, int(self._settings.access_token_seconds))
        claims = {"sub": secrets.token_hex(8), "iss": "horizon simulator", "iat": now, "exp": expires}
        token = ".".join([_part({"alg": "RS256", "typ": "JWT"}), _part(claims), secrets.token_urlsafe(32)])
        self._access[token] = (refresh, expires * 1000)
        return token

    @staticmethod
    def _refresh_token() -> str:
        return ".".join(
            [_part({"alg": "RS256", "typ": "JWT"}), _part({"jti": secrets.token_hex(8)}), secrets.token_urlsafe(32)]
        )


def _part(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
