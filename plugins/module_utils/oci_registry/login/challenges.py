# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the header WWW-Authenticate, with which a registry asks for a login (RFC 9110, section 11)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LONGEST_HEADER, _MOST_SCOPES = 8192, 32
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
#: A parameter with its value, or the name of a scheme.
_PART = re.compile(
    rf'\s*,*\s*(?:(?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))|(?P<scheme>{_TOKEN}))'
)
_SCOPE = re.compile(r"[A-Za-z0-9()_-]+:[^\s,]{1,512}:[a-z*]+(?:,[a-z*]+)*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A scheme in lower case, such as "bearer", and its parameters by name in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the valid scopes that the registry names."""
        named = self.parameters.get("scope", "").split()
        return tuple(scope for scope in named[:_MOST_SCOPES] if _SCOPE.fullmatch(scope))


def parse_challenges(header: str | None) -> list[Challenge]:
    """Return the challenges of a header; the rest of a header from the first invalid part on is ignored."""
    found: list[tuple[str, dict[str, str]]] = []
    text, position = (header or "")[:_LONGEST_HEADER], 0
    while match := _PART.match(text, position):
        position = match.end()
        if match["scheme"]:
            found.append((match["scheme"].lower(), {}))
        elif found:
            value = match["plain"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
            found[-1][1][match["name"].lower()] = value
        else:
            break
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def joined_scopes(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return scopes without duplicates; the actions of scopes for the same resource are joined."""
    actions: dict[str, dict[str, None]] = {}
    for group in groups:
        for scope in group:
            resource, _colon, names = scope.rpartition(":")
            actions.setdefault(resource, {}).update(dict.fromkeys(names.split(",")))
    return tuple(f"{resource}:{','.join(names)}" for resource, names in actions.items())
