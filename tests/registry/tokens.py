# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins of the registry, and its token service."""

from __future__ import annotations

import base64
import math
import secrets
import threading
import time
from collections.abc import Iterable
from typing import Any

from .settings import Settings

SERVICE = "registry.example.com"


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Return user name and password of an Authorization header, or None."""
    scheme, _space, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, password) if colon else None


def parse_scopes(scopes: Iterable[str]) -> set[tuple[str, str]]:
    """Return (repository, action) of scopes such as ``repository:windows/app:pull,push``, separated by spaces or given apart."""
    found = set()
    for scope in " ".join(scopes).split():
        kind, _colon, rest = scope.partition(":")
        name, _colon, actions = rest.rpartition(":")
        if kind == "repository":
            found |= {(name, action) for action in actions.split(",")}
    return found


class Tokens:
    """The tokens that have been issued."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._issued: dict[str, tuple[float, set[tuple[str, str]]]] = {}
        self._refresh: set[str] = set()

    def clear(self) -> None:
        """Make all tokens invalid, including refresh tokens."""
        with self._lock:
            self._issued.clear()
            self._refresh.clear()

    def expire(self) -> None:
        """Make all access tokens invalid."""
        with self._lock:
            self._issued.clear()

    def granted(self, header: str) -> set[tuple[str, str]] | None:
        """Return what the token in an Authorization header grants, or None if it is not valid."""
        scheme, _space, token = header.partition(" ")
        with self._lock:
            expires, scopes = self._issued.get(token if scheme.lower() == "bearer" else "", (0.0, set()))
        return scopes if time.monotonic() < expires else None

    def knows_user(self, settings: Settings, fields: dict[str, str], header: str) -> bool | None:
        """Return whether a request for a token has a valid login; None if it has no login."""
        if fields.get("grant_type") == "refresh_token":
            with self._lock:
                known = self._refresh | ({settings.refresh_token} if settings.refresh_token else set())
            return fields.get("refresh_token", "") in known
        if fields.get("grant_type") == "password":
            return (fields.get("username"), fields.get("password")) == (settings.username, settings.password)
        if not header:
            return None
        return basic_credentials(header) == (settings.username, settings.password)

    def issue(self, settings: Settings, scopes: Iterable[str], *, user: bool, offline: bool) -> dict[str, Any]:
        """Return the answer with a token that grants what may be granted of ``scopes``."""
        allowed = {"pull"} if settings.read_only or not user else {"pull", "push", "delete", "*"}
        token = secrets.token_urlsafe(24)
        granted = {(name, action) for name, action in parse_scopes(scopes) if action in allowed}
        answer: dict[str, Any] = dict.fromkeys(settings.token_fields, token)
        expires_in = math.ceil(settings.token_lifetime) if settings.expires_in == -1 else settings.expires_in
        if expires_in is not None:
            answer["expires_in"] = expires_in
        with self._lock:
            self._issued[token] = (time.monotonic() + settings.token_lifetime, granted)
            if offline and settings.refresh_tokens:
                answer["refresh_token"] = secrets.token_urlsafe(24)
                self._refresh.add(answer["refresh_token"])
        return answer
