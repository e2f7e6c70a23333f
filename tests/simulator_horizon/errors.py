# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that the simulated Connection Server answers, in the form of a current Horizon."""

from __future__ import annotations

from typing import Any

_NAMES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_SERVER_ERROR",
    503: "SERVICE_UNAVAILABLE",
}
THROTTLED = "common.api-throttle-limit.exceeded.error"


class ApiError(Exception):
    """A request that Horizon refuses: HTTP status, Horizon's error key, text and headers."""

    def __init__(self, status: int, key: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.key = key
        self.message = message
        self.headers = dict(headers or {})


class ControlError(Exception):
    """A request to the control endpoint that is wrong."""


def error_body(status: int, key: str, message: str, now: int, form: str = "errors") -> dict[str, Any]:
    """Return the body of an error: ``form`` is errors (current), error_message or error_messages (earlier versions)."""
    body: dict[str, Any] = {"status": _NAMES.get(status, str(status)), "timestamp": now}
    if form == "error_message":
        return {**body, "error_message": message}
    if form == "error_messages":
        return {**body, "error_messages": [message]}
    return {**body, "errors": [{"error_key": key, "error_message": message}]}
