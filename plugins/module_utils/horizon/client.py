# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session with a Horizon Connection Server that renews itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import Unavailable
from .connection import HorizonConnection


class AnswerLost(Unavailable):
    """A request may have been executed although its answer did not arrive: read the state again before anything else."""

    default_code = "horizon.answer_lost"


@dataclass(frozen=True, slots=True)
class Environment:
    """What a Connection Server reports about itself. ``version`` is such as "8.12.0"; ``release`` has its first two numbers."""

    version: str
    build: str
    pod: str
    cluster_guid: str
    release: tuple[int, int] | None


class HorizonClient:
    """A logged-in session; use as a context manager to log out. A path is below /rest, such as "/inventory/v6/desktop-pools"."""

    label: str
    environment: Environment

    @classmethod
    def connect(cls, connection: HorizonConnection) -> HorizonClient:
        """Log in."""
        raise NotImplementedError

    def __enter__(self) -> HorizonClient:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Log out; a session that has already ended is not an error."""

    def get(self, path: str, **query: Any) -> Any:
        """Return the decoded answer; repeat the request while the connection fails, Horizon is busy or limits the rate of calls."""
        raise NotImplementedError

    def pages(
        self, path: str, filter: Mapping[str, str | bool] | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the objects of a list page by page; ``filter`` has the exact values that fields must have."""
        raise NotImplementedError

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return the decoded answer, None if it is empty; repeat the request only when Horizon certainly did not execute it.

        Raises:
            AnswerLost: ``horizon.answer_lost`` if Horizon may have executed the request.
        """
        raise NotImplementedError

    def server_time(self) -> int:
        """Return the time of the server in milliseconds since 1970."""
        raise NotImplementedError
