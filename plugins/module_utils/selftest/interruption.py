# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unwind when a signal asks the process to end, so that the test VM is removed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Let the first signal in the block raise KeyboardInterrupt, and ignore later signals.

    Yield a function after whose call all signals are ignored, so that the cleanup completes. Signals are not changed outside of the
    main thread.
    """
    ended = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal ended
        if not ended:
            ended = True
            raise KeyboardInterrupt

    def shield() -> None:
        nonlocal ended
        ended = True

    if threading.current_thread() is not threading.main_thread():
        yield shield
        return
    previous = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield shield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
