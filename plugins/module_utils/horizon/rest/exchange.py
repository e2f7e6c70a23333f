# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request to a Connection Server and its answer."""

from __future__ import annotations

import email.message
import email.utils
import json
import re
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import Corrupt

#: IDs are part of paths; they come from answers.
_PATH = re.compile(r"(?:/[A-Za-z0-9_~:@.-]+)+")


@dataclass(frozen=True, slots=True)
class Request:
    """A request. ``path`` is below /rest; ``body`` is encoded as JSON unless None; ``token`` is the access token, if any."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    token: str | None = field(default=None, repr=False)

    @property
    def target(self) -> str:
        """Return path and query as they are sent.

        Raises:
            Corrupt: ``horizon.answer`` if an ID that Horizon sent cannot be part of a path.
        """
        if not _PATH.fullmatch(self.path) or {".", ".."} & set(self.path.split("/")):
            raise Corrupt(
                f"The path {self.path[:200]!r} cannot be requested from Horizon: an ID in it has characters that IDs do not have.",
                code="horizon.answer",
                hint="Check that the option hostname names a Connection Server.",
            )
        query = urllib.parse.urlencode(self.query, quote_via=urllib.parse.quote)
        return f"/rest{self.path}?{query}" if query else f"/rest{self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is complete. ``received`` is its time on the monotonic clock."""

    status: int
    headers: email.message.Message
    body: bytes = field(repr=False)
    received: float

    def header(self, name: str) -> str | None:
        """Return a header, None if the server did not send it."""
        found = self.headers.get(name)
        return None if found is None else str(found)

    def text(self) -> str:
        """Return the body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as JSON data, None if it is empty. Raises ValueError if it is not JSON."""
        if not self.body.strip():
            return None
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("too many levels") from None

    def server_time(self) -> int | None:
        """Return the server's present time in milliseconds since 1970, by the header Date and the age of the answer."""
        try:
            date = email.utils.parsedate_to_datetime(self.header("Date") or "")
            age = min(int(self.header("Age") or 0), 86400)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return round((date.timestamp() + max(age, 0) + time.monotonic() - self.received) * 1000)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
