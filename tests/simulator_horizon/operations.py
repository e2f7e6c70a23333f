# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of the REST API, by method and path as the contract names them.

The modules ``config_operations``, ``image_operations`` and ``member_operations`` register their handlers here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod


@dataclass
class Call:
    """A request, after its check."""

    arguments: dict[str, str]
    query: dict[str, str]
    body: Any
    #: The fields of a list that a filter can compare.
    filters: frozenset[str] = frozenset()


@dataclass
class Answer:
    """An answer: status, JSON body (None: no body) and additional headers."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Pod, Call], Answer]
HANDLERS: dict[str, Handler] = {}


def operation(name: str) -> Callable[[Handler], Handler]:
    """Register the handler of an operation."""

    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register


def flag(text: str | None) -> bool:
    """Return a query parameter of type boolean."""
    return (text or "").lower() == "true"


def privileged(name: str) -> bool:
    """Return whether an operation changes something, so that a read-only user is refused."""
    return name.startswith("POST ") and not re.match(r"POST /(login|refresh|logout)$", name)
