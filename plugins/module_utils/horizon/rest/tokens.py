# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens of a login: when the access token expires, so that it is renewed in time."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from dataclasses import dataclass, field

from ...common.errors import Corrupt

#: Seconds before the end of its lifetime at which a token is renewed; at most a tenth of the lifetime.
_MARGIN = 60.0
_LONGEST_TOKEN = 16 << 10
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Tokens:
    """``renew_at`` is the time on the monotonic clock at which the access token is to be renewed, None if that is not known."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    renew_at: float | None

    @classmethod
    def received(cls, access: str, refresh: str | None, server_time: int | None) -> Tokens:
        """Return tokens that have just been received; ``server_time`` is the server's clock in milliseconds since 1970.

        Raises:
            Corrupt: ``horizon.answer`` if a token cannot be sent in a header.
        """
        for token in (access, refresh or "x"):
            if len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
                raise Corrupt(
                    "The login to Horizon returned a token with characters or of a length that tokens do not have.",
                    code="horizon.answer",
                    hint="Check that the option hostname names a Connection Server.",
                )
        lifetime = _lifetime(access, server_time)
        if lifetime is None:
            return cls(access, refresh, None)
        return cls(access, refresh, time.monotonic() + lifetime - min(_MARGIN, lifetime / 10))

    @property
    def due(self) -> bool:
        """Return whether the access token has expired or is about to."""
        return self.renew_at is not None and time.monotonic() >= self.renew_at


def _lifetime(token: str, server_time: int | None) -> float | None:
    """Return the seconds for which a new token is valid, None if that is not known.

    A JSON Web Token contains the times of its issue and its expiry by the server's clock. Their difference does not depend on
    the clock of this host. The signature is not verified: the server does that.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    expiry, issue = claims.get("exp"), claims.get("iat")
    if not _is_time(issue):
        issue = None if server_time is None else server_time / 1000
    if issue is None or not _is_time(expiry) or expiry <= issue:
        return None
    return float(expiry - issue)


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1 << 40
