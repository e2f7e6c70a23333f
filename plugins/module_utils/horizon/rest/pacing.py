# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses between attempts of a request."""

from __future__ import annotations

import time

from .connection import Patience
from .exchange import Response

#: Seconds: the pauses after failures, which double.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
#: Seconds: the pause when Horizon limits the rate without naming a time, and the shortest pause.
_THROTTLED_PAUSE, _SHORTEST_THROTTLED_PAUSE = 5.0, 0.25
_ERRORS = 3


class Attempts:
    """Decides whether a request is made again, and waits before it."""

    def __init__(self, patience: Patience) -> None:
        self._deadline = time.monotonic() + patience.calls
        self._pause = min(_FIRST_PAUSE, patience.calls / 16)
        self._throttled = patience.throttled
        self._errors = 0
        self._attempts = 0

    def again(self) -> bool:
        """Wait after a failed connection, or a service that is not ready. Return False when the time is over.

        There is always a second attempt: the first attempt may have used all the time until its connection broke.
        """
        self._attempts += 1
        if self._attempts > 1 and time.monotonic() + self._pause > self._deadline:
            return False
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return True

    def again_after_error(self) -> bool:
        """Wait after an internal error of the server, which is rarely transient. Return False after a few errors."""
        self._errors += 1
        return self._errors < _ERRORS and self.again()

    def again_after_limit(self, response: Response) -> bool:
        """Wait as long as a server demands that limits the rate of requests. Return False if that is too long."""
        pause = retry_after(response)
        pause = max(_THROTTLED_PAUSE if pause is None else pause, _SHORTEST_THROTTLED_PAUSE)
        if pause > self._throttled:
            return False
        self._throttled -= pause
        time.sleep(pause)
        return True


def retry_after(response: Response) -> float | None:
    """Return the seconds that the server wants to be left alone, None if it does not say."""
    text = response.header("X-Rate-Limit-Retry-After-Seconds") or response.header("Retry-After") or ""
    try:
        seconds = float(text)
    except ValueError:
        # Retry-After may have a date instead; Horizon sends seconds.
        return None
    return seconds if 0 <= seconds < 1 << 20 else None
