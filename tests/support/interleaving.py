# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run functions in threads, a single function at a time; a seed decides where they take turns."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence


class Interleaving:
    """Functions that take turns at each call of ``pause``. The same seed gives the same order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._condition = threading.Condition()
        self._waiting: list[int] = []
        self._turn = -1
        self._local = threading.local()
        self._errors: list[BaseException] = []

    def run(self, functions: Sequence[Callable[[], None]]) -> None:
        """Run the functions to their ends; raise the first error."""
        self._waiting = list(range(len(functions)))
        threads = [
            threading.Thread(target=self._thread, args=(number, function)) for number, function in enumerate(functions)
        ]
        self._turn = self._random.choice(self._waiting)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def pause(self) -> None:
        """Let a function run that the seed chooses, which may be the calling function."""
        number = getattr(self._local, "number", None)
        if number is None:
            return  # Outside of ``run``.
        with self._condition:
            if self._errors:
                raise SystemExit
            self._turn = self._random.choice(self._waiting)
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._turn == number or bool(self._errors))

    def sleep(self, seconds: float) -> None:
        """Let the other functions take a few turns for any number of seconds."""
        for _turn in range(self._random.randrange(1, 40)):
            self.pause()

    def _thread(self, number: int, function: Callable[[], None]) -> None:
        self._local.number = number
        with self._condition:
            self._condition.wait_for(lambda: self._turn == number or bool(self._errors))
        try:
            function()
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self._errors.append(error)
        finally:
            with self._condition:
                self._waiting.remove(number)
                if self._waiting:
                    self._turn = self._random.choice(self._waiting)
                self._condition.notify_all()
