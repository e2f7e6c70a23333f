# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the simulators of vSphere and Horizon have in common: a process, its control endpoint, and the rules for faults."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import select
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Any


def first_line(output: IO[bytes], timeout: float) -> bytes:
    """Return the first line of a process, empty if it ends or takes longer than ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    line = b""
    while not line.endswith(b"\n"):
        ready = select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]
        chunk = os.read(output.fileno(), 65536) if ready else b""
        if not chunk:
            return b""
        line += chunk
    return line


def stop_process(path: str | os.PathLike[str], is_simulator: Callable[[int], bool]) -> bool:
    """Stop the process that a file with ``pid`` and ``log`` describes, and remove the file; False when it no longer ran.

    ``is_simulator`` returns whether the process with an ID is a simulator: a different process may have the ID now.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return False
    saved = json.loads(path.read_text(encoding="utf-8"))
    pid, log = int(saved["pid"]), saved.get("log")
    stopped = False
    if is_simulator(pid):
        stopped = True
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 15
        while is_simulator(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.05)
    if log:
        pathlib.Path(log).unlink(missing_ok=True)
    path.unlink()
    return stopped


class ControlError(Exception):
    """The control endpoint of a simulator refused a request."""


class ControlEndpoint:
    """The control endpoint at the address ``control``, which is set when the process has started."""

    control: str

    def ask(self, method: str, path: str, value: object = None) -> Any:
        """Send a request to the control endpoint: JSON in, JSON out."""
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(self.control + path, data=data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            with contextlib.suppress(ValueError, KeyError, TypeError):
                text = json.loads(text)["error"]
            raise ControlError(text) from None


class ControlRules:
    """The rules of a simulator: calls that fail, wait or lose their answer."""

    def __init__(self, simulator: ControlEndpoint) -> None:
        self._simulator = simulator

    def list(self) -> list[dict[str, Any]]:
        """Return the rules, each with ``seen`` (matching calls) and ``hits`` (calls on which it acted)."""
        return list(self._simulator.ask("GET", "/rules"))

    def release(self, number: int) -> None:
        """End the delay of a rule: calls that wait because of it continue, and later calls do not wait."""
        self._simulator.ask("POST", f"/rules/{number}/release")

    def remove(self, number: int) -> None:
        """Remove a rule; calls that wait because of it continue."""
        self._simulator.ask("DELETE", f"/rules/{number}")

    def clear(self) -> None:
        """Remove all rules."""
        self._simulator.ask("DELETE", "/rules")
