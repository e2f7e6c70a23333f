# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses between attempts of a request."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Mapping

from ..model import Patience

#: Seconds: the pause when a registry limits the rate without naming a time, and the shortest pause.
_THROTTLED_PAUSE, _SHORTEST_THROTTLED_PAUSE = 5.0, 0.25


class Attempts:
    """Decides whether a request is made again, and waits before it."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._throttled = patience.throttled
        self._failures = 0

    def progress(self) -> None:
        """Forget the failures: a part of the work was done since."""
        self._failures = 0

    @property
    def failures(self) -> int:
        """Return the number of failures since the last progress."""
        return self._failures

    def again(self) -> bool:
        """Wait after a failure. Return False after too many failures without progress."""
        self._failures += 1
        if self._failures >= self._patience.attempts:
            return False
        pause = min(self._patience.pause * 2 ** (self._failures - 1), self._patience.longest_pause)
        # Several streams that lose a registry at the same moment must not come back at the same moment.
        time.sleep(pause * random.uniform(0.75, 1.25))
        return True

    def again_after_limit(self, headers: Mapping[str, str]) -> bool:
        """Wait as long as a registry demands that limits the rate of requests. Return False if that is too long."""
        pause = retry_after(headers)
        pause = max(_THROTTLED_PAUSE if pause is None else pause, _SHORTEST_THROTTLED_PAUSE)
        if pause > self._throttled:
            return False
        self._throttled -= pause
        time.sleep(pause)
        return True


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a registry wants to be left alone, None if it does not say; the header may have a date."""
    text = (headers.get("Retry-After") or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            now = email.utils.parsedate_to_datetime(headers.get("Date") or "").timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            now = time.time()
        try:
            seconds = max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return seconds if 0 <= seconds < 1 << 20 else None
