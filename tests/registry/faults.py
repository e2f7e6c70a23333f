# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for requests that fail, wait or lose their answer, and the journal of all requests."""

from __future__ import annotations

import itertools
import re
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Rule:
    """What happens to matching requests.

    A request matches by ``server`` ("registry", "store", "token", or "" for any), ``method`` ("" for any) and ``path``, a
    regular expression that is searched in path and query. The first ``skip`` matching requests are left alone; then the
    rule acts ``count`` times (None: always).
    """

    server: str = ""
    method: str = ""
    path: str = ""
    skip: int = 0
    count: int | None = 1
    #: Seconds before the request is read further.
    delay: float = 0.0
    #: Close the connection after this number of bytes of the request's body, before acting; 0: at once.
    cut_request: int | None = None
    #: Close the connection after this number of bytes of the answer's body; -1: without an answer, after acting.
    cut_answer: int | None = None
    #: Answer with this status instead of acting, with ``headers`` and ``body`` (text).
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    #: Invert the bits of the byte at this offset of the answer's body.
    corrupt: int | None = None
    #: Make all Bearer tokens invalid, including the token of the request.
    expire_tokens: bool = False
    #: End the answer's body after this number of bytes, with a Content-Length that says so.
    truncate: int | None = None

    number: int = 0
    seen: int = 0
    hits: int = 0

    def take(self, server: str, method: str, target: str) -> bool:
        """Count a request and return whether the rule acts on it."""
        if self.server not in ("", server) or self.method not in ("", method) or not re.search(self.path, target):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.count is not None and self.hits >= self.count):
            return False
        self.hits += 1
        return True


class Rules:
    """The rules, in the order in which they were added: the first that acts decides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._rules: dict[int, Rule] = {}

    def add(self, values: dict[str, Any]) -> int:
        """Add a rule; return its number. Raises TypeError for an unknown name."""
        with self._lock:
            rule = Rule(**{**values, "number": next(self._numbers)})
            self._rules[rule.number] = rule
            return rule.number

    def list(self) -> list[dict[str, Any]]:
        """Return the rules."""
        with self._lock:
            return [asdict(rule) for rule in self._rules.values()]

    def remove(self, number: int | None = None) -> None:
        """Remove a rule, or all rules."""
        with self._lock:
            if number is None:
                self._rules.clear()
            else:
                self._rules.pop(number, None)

    def acting(self, server: str, method: str, target: str) -> Rule | None:
        """Return the rule that acts on a request."""
        with self._lock:
            return next((rule for rule in self._rules.values() if rule.take(server, method, target)), None)


@dataclass
class Entry:
    """A request in the journal. ``received`` and ``sent`` are the bytes of the bodies that were really transferred.

    ``status`` is 0 if there was no answer. ``headers`` have names in lower case; Authorization is only the scheme.
    """

    number: int
    server: str
    method: str
    target: str
    headers: dict[str, str]
    time: float
    status: int = 0
    received: int = 0
    sent: int = 0
    seconds: float = 0.0
    rule: int = 0


class Journal:
    """All requests since the start or the last ``clear``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def add(self, server: str, method: str, target: str, headers: dict[str, str]) -> Entry:
        """Add a request."""
        with self._lock:
            entry = Entry(len(self._entries) + 1, server, method, target, headers, time.time())
            self._entries.append(entry)
            return entry

    def list(self) -> list[dict[str, Any]]:
        """Return the requests in the order of their arrival."""
        with self._lock:
            return [asdict(entry) for entry in self._entries]

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._entries.clear()
