# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request to a registry, and its answer."""

from __future__ import annotations

import email.utils
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...common.errors import StrataError

#: Bytes of an answer that is read into memory, unless the request has a bound of its own.
ANSWER_BOUND = 4 << 20
#: Bytes that are read, sent or hashed at once.
PIECE = 256 << 10


class Body(Protocol):
    """The body of a request. It can be sent again: each iteration yields all of its bytes in pieces."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes | memoryview]: ...


class ExchangeFailed(Exception):
    """A request has no complete answer; the registry may have executed it. ``error`` is the error for the user."""

    def __init__(self, cause: BaseException, error: StrataError, *, final: bool) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause
        self.error = error
        #: Whether a repetition would fail in the same way, such as for a certificate that is not trusted.
        self.final = final


@dataclass(frozen=True, slots=True)
class Request:
    """A request. ``url`` is absolute.

    ``repository`` selects the credentials, ``scopes`` is the access that the token must grant. ``bound`` is the number of
    bytes of an answer. ``timeout`` is in seconds without a byte from the registry; None for the default. ``subject`` names the
    object of the request in errors, such as "the blob sha256:...".
    """

    method: str
    url: str
    repository: str
    subject: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | bytes | None = field(default=None, repr=False)
    bound: int = ANSWER_BOUND
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is complete. ``url`` is where it came from, after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str

    def header(self, name: str) -> str | None:
        """Return a header, None if the registry did not send it."""
        return self.headers.get(name)

    def text(self) -> str:
        """Return the body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as JSON data. Raises ValueError if it is not JSON."""
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("too many levels") from None

    def number(self, name: str) -> int | None:
        """Return a header that is a number that is not negative, None if it is missing or different."""
        text = self.header(name) or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


class Stream:
    """An answer whose body has not been read."""

    def __init__(
        self, status: int, headers: Mapping[str, str], url: str, read: Callable[[int], bytes], close: Callable[[], None]
    ) -> None:
        self.status = status
        self.headers = headers
        self.url = url
        self._read = read
        self._close = close

    def read(self, count: int = PIECE) -> bytes:
        """Return the next bytes, at most ``count``, empty at the end. Raises ExchangeFailed."""
        return self._read(count)

    def close(self) -> None:
        """Give up the rest of the body."""
        self._close()


def server_time(headers: Mapping[str, str]) -> float | None:
    """Return the time in the header Date in seconds since 1970, None without a valid header."""
    try:
        return email.utils.parsedate_to_datetime(headers.get("Date") or "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
