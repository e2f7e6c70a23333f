# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove passwords and tokens from texts that are shown."""

from __future__ import annotations

import base64
import json
import threading
import urllib.parse

_HIDDEN = "***"
#: The number of tokens that are remembered: a run of hours gets a token a minute.
_MOST = 4096


class Secrets:
    """The texts that must not be shown: passwords, and every token that a server has sent."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Secrets({len(self._texts)})"

    def add(self, secret: str | None) -> None:
        """Hide a secret from now on, also as it is written in URLs and JSON."""
        if not secret:
            return
        encoded = (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
        with self._lock:
            self._texts |= dict.fromkeys((secret, urllib.parse.quote(secret, safe=""), *encoded))
            while len(self._texts) > _MOST:
                del self._texts[next(iter(self._texts))]

    def add_login(self, username: str, password: str) -> None:
        """Hide a password, and the header of a login with it."""
        self.add(password)
        self.add(base64.b64encode(f"{username}:{password}".encode()).decode())

    def hide(self, text: str) -> str:
        """Return ``text`` with three asterisks in place of each secret."""
        with self._lock:
            # A secret may contain a shorter one.
            known = sorted(self._texts, key=len, reverse=True)
        for secret in known:
            text = text.replace(secret, _HIDDEN)
        return text
