# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: the requests of clients, and the sessions that were logged off."""

from __future__ import annotations

import threading
from typing import Any

_SECRET = {"password", "access_token", "refresh_token"}
HIDDEN = "********"


def without_secrets(value: Any) -> Any:
    """Return a copy of a JSON value in which passwords and tokens are hidden."""
    if isinstance(value, dict):
        return {name: HIDDEN if name in _SECRET else without_secrets(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


class Journal:
    """Entries in the order of the requests. Their numbers continue when the journal is cleared."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._entries: list[dict[str, Any]] = []
        self._logoffs: list[dict[str, Any]] = []
        self._problems: list[str] = []

    def add(self, entry: dict[str, Any]) -> None:
        """Record a request, and separately how it or its answer contradicted the contract."""
        with self._lock:
            self._problems += [f"{entry['method']} {entry['path']}: {problem}" for problem in entry["problems"]]
            self._number += 1
            self._entries.append({"number": self._number, **without_secrets(entry)})

    def add_logoff(self, entry: dict[str, Any]) -> None:
        """Record the end of a session that did not end by itself."""
        with self._lock:
            self._logoffs.append(entry)

    def entries(self, after: int = 0) -> list[dict[str, Any]]:
        """Return the entries with a number greater than ``after``."""
        with self._lock:
            return [entry for entry in self._entries if entry["number"] > after]

    def logoffs(self) -> list[dict[str, Any]]:
        """Return the sessions that were logged off."""
        with self._lock:
            return list(self._logoffs)

    def problems(self) -> list[str]:
        """Return the contradictions since ``forget_problems``. They remain when the journal is cleared."""
        with self._lock:
            return list(self._problems)

    def forget_problems(self) -> None:
        """Remove the contradictions."""
        with self._lock:
            self._problems.clear()

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._entries.clear()
            self._logoffs.clear()
