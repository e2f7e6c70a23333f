# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove passwords and tokens from what is shown or logged."""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import Any

_HIDDEN = "***"
_SECRET_KEY = re.compile(r"passw|secret|token|cookie|authorization|credential|private", re.IGNORECASE)
#: Bounds of a value in the log: levels, elements of a list or an object, characters of a text.
_LEVELS, _ELEMENTS, _CHARACTERS = 16, 100, 4096


class Secrets:
    """The texts that must not be shown: the password, and every token that the server has sent."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def __repr__(self) -> str:
        return f"Secrets({len(self._texts)})"

    def add(self, secret: str) -> None:
        """Hide a secret from now on, also as it is written in URLs and JSON."""
        if secret:
            encoded = (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
            self._texts |= {secret, urllib.parse.quote(secret, safe=""), *encoded}

    def hide(self, text: str) -> str:
        """Return ``text`` with three asterisks in place of each secret."""
        # A secret may contain a shorter one.
        for secret in sorted(self._texts, key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return text

    def hide_in(self, value: Any, *, levels: int = _LEVELS) -> Any:
        """Return JSON data without secrets, and without the values of fields whose name says that they are secret.

        Long texts and lists are shortened, and the levels of objects and lists are limited.
        """
        if isinstance(value, str):
            cut = f"... ({len(value)} characters)" if len(value) > _CHARACTERS else ""
            return self.hide(value)[:_CHARACTERS] + cut
        if not isinstance(value, (dict, list)):
            return value
        if not levels:
            return "..."
        if isinstance(value, list):
            shown = [self.hide_in(element, levels=levels - 1) for element in value[:_ELEMENTS]]
            return shown + ([f"... ({len(value)} elements)"] if len(value) > _ELEMENTS else [])
        return {
            self.hide(key)[:_CHARACTERS]: _HIDDEN
            if _SECRET_KEY.search(key) and isinstance(element, (str, list, dict))
            else self.hide_in(element, levels=levels - 1)
            for key, element in list(value.items())[:_ELEMENTS]
        }
