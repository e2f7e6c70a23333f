# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a module in a process of its own, beside the test."""

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
    """A module that runs; ``result`` waits for its end. A context manager that ends it."""

    def __init__(self, module: str, **options) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._process.stdin.write(json.dumps([module, options]))
        self._process.stdin.close()

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *unused: object) -> None:
        self.kill()

    def result(self) -> dict:
        """What the module returned."""
        output = self._process.stdout.read()
        self._process.wait()
        return json.loads(output.strip().splitlines()[-1])

    def kill(self) -> None:
        """End it as a composer that loses its power would."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def eventually(look: Callable[[], object], seconds: float = 20) -> object:
    """What ``look`` returns, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError("it did not come about in time")
        time.sleep(0.05)
    return found
