# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that make chosen requests fail, wait or lose their answer."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import THROTTLED, ControlError

HTML = (
    "<!DOCTYPE html><html><head><title>{status}</title></head>"
    "<body><h1>Service Unavailable</h1><p>The service is starting.</p></body></html>"
)
_FORMS = ("errors", "error_message", "error_messages")
_KEYS = {429: THROTTLED}


@dataclass
class Rule:
    """A rule. Its fields are those of the control endpoint; the README describes them."""

    path: str
    method: str = "*"
    skip: int = 0
    count: int = 1
    status: int | None = None
    key: str = ""
    message: str = ""
    form: str = "errors"
    body: Any = None
    html: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    drop_connection: bool = False
    after: bool = False
    delay_ms: int = 0
    expire_tokens: str = ""
    act: list[dict[str, Any]] = field(default_factory=list)
    id: int = 0
    seen: int = 0
    hits: int = 0
    released: threading.Event = field(default_factory=threading.Event, repr=False)

    def check(self) -> None:
        """Raise unless the rule has a meaning."""
        try:
            re.compile(self.path)
        except (re.error, TypeError) as error:
            raise ControlError(f"The path {self.path!r} is not a regular expression: {error}") from None
        if self.form not in _FORMS:
            raise ControlError(f"form must be one of {', '.join(_FORMS)}, not {self.form!r}.")
        if self.expire_tokens not in ("", "access", "all"):
            raise ControlError("expire_tokens must be access or all.")
        does = self.status, self.drop_connection, self.delay_ms, self.expire_tokens, self.act
        if not any(does):
            raise ControlError("The rule does nothing: set status, drop_connection, delay_ms, expire_tokens or act.")

    @property
    def answers(self) -> bool:
        """Whether the client gets an answer of the rule instead of Horizon's, or no answer."""
        return self.status is not None or self.drop_connection

    @property
    def error_key(self) -> str:
        """The error key of the answer."""
        return self.key or _KEYS.get(self.status or 0, "simulator.rule")

    @property
    def error_message(self) -> str:
        """The text of the answer."""
        return self.message or f"A rule of the simulator answered with {self.status}."

    def wait(self) -> None:
        """Wait as long as the rule says, in real time, or until it is removed or released."""
        if self.delay_ms:
            self.released.wait(self.delay_ms / 1000)

    def values(self) -> dict[str, Any]:
        """Return the rule as the control endpoint shows it."""
        return {name: value for name, value in vars(self).items() if name != "released"}


class Rules:
    """The rules in the order in which they were added; the first that matches acts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._number = 0

    def add(self, fields: dict[str, Any]) -> Rule:
        """Add a rule."""
        try:
            rule = Rule(**fields)
        except TypeError as error:
            raise ControlError(f"The rule is wrong: {error}") from None
        rule.check()
        with self._lock:
            self._number += 1
            rule.id, rule.seen, rule.hits = self._number, 0, 0
            self._rules.append(rule)
        return rule

    def find(self, method: str, path: str) -> Rule | None:
        """Return the rule that acts on a request."""
        with self._lock:
            acting = None
            for rule in self._rules:
                if rule.method not in ("*", method) or not re.search(rule.path, path):
                    continue
                rule.seen += 1
                due = rule.seen > rule.skip and (rule.count < 0 or rule.hits < rule.count)
                if due and acting is None:
                    rule.hits += 1
                    acting = rule
            return acting

    def remove(self, number: int = 0) -> None:
        """Remove a rule, or all of them; requests that wait because of it continue."""
        with self._lock:
            for rule in [rule for rule in self._rules if number in (0, rule.id)]:
                self._rules.remove(rule)
                rule.released.set()

    def release(self, number: int) -> None:
        """End the delay of a rule."""
        with self._lock:
            for rule in self._rules:
                if rule.id == number:
                    rule.released.set()

    def list(self) -> list[dict[str, Any]]:
        """Return all rules."""
        with self._lock:
            return [rule.values() for rule in self._rules]
