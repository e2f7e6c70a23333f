# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module in its own process while the test continues."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

_PROGRAM = """
import json, sys
from ansible_collections.strata.layering.tests.support.modules import attempt
name, options = json.load(sys.stdin)
print(json.dumps(attempt(name, **options)))
"""


class Background:
    """A running module; ``result`` waits for its end. The context manager ends it."""

    def __init__(self, module: str, **options: object) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        with self._process.stdin as stream:
            stream.write(json.dumps([module, options]))

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *unused: object) -> None:
        self.kill()

    def result(self) -> dict:
        """Wait for the end of the module and return its result."""
        assert self._process.stdout is not None
        output = self._process.stdout.read()
        self._process.wait()
        return json.loads(output.strip().splitlines()[-1])

    def kill(self) -> None:
        """Kill the process, like a composer that loses power."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def eventually(look: Callable[[], object], seconds: float = 60) -> object:
    """Call ``look`` until its result is true, and return that; AssertionError if this takes longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"the condition was not met within {seconds} seconds")
        time.sleep(0.05)
    return found
