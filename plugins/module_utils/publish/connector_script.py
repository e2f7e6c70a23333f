# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connector's script: a program on the composer that is run when an image has been published.

It gets what was published in its environment and nothing that the composer's own environment
may hold in secret. Its exit code counts.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable

from ..common.errors import InvalidInput, StrataError, TimedOut

#: What is passed on of the composer's environment.
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")
#: Of what the script puts out, so much of its end is kept.
_KEPT = 64 << 10
_SHOWN_LINES = 5
_LONGEST_LINE = 200
_POLL = 0.5


class ScriptFailed(StrataError):
    """The connector's script ended with another exit code than 0."""

    default_code = "publish.connector_script"


def check_script(path: str) -> None:
    """Raise InvalidInput when ``path`` is not a program that can be run."""
    if not (os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK)):
        raise InvalidInput(
            f"The connector's script {path} is not an executable file on the composer.",
            code="publish.connector_script",
            hint="Give the full path of an executable file, or remove script from the connector.",
        )


def run_script(path: str, variables: dict[str, str], *, timeout: float, tick: Callable[[], None] = lambda: None) -> str:
    """Run the script with ``variables`` in its environment and return the last lines of its output.

    ``tick`` is called about twice a second and may raise to stop it. ScriptFailed when its exit code is not 0, TimedOut
    when it ran longer than ``timeout`` seconds; whatever it started in its process group ends with it.
    """
    check_script(path)
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ} | variables
    try:
        # The engine knows no AnsibleModule, whose run_command is meant; that could not be stopped either.
        process = subprocess.Popen(  # pylint: disable=consider-using-with,ansible-bad-function
            [path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise ScriptFailed(
            f"The connector's script {path} cannot be run ({error.strerror}).",
            hint="Check its first line and its rights, and run again.",
        ) from error
    kept: deque[bytes] = deque()
    deadline = time.monotonic() + timeout
    try:
        _listen(process, kept, deadline, tick)
    except BaseException:
        _kill(process)
        raise
    finally:
        process.stdout.close()
    output = _last_lines(b"".join(kept))
    if process.returncode is None:
        _kill(process)
        raise TimedOut(
            f"The connector's script {path} did not end within {timeout:g} seconds{_said(output)}.",
            code="publish.connector_script",
            hint="Run again: only the script is run again. Allow more time with timeouts when it is only slow.",
        )
    if process.returncode:
        raise ScriptFailed(
            f"The connector's script {path} ended with exit code {process.returncode}{_said(output)}.",
            hint="The image is published. Correct what the script complains about and run again: only the script is run again.",
            exit_code=process.returncode,
            output=output,
        )
    return output


def _listen(process: subprocess.Popen, kept: deque[bytes], deadline: float, tick: Callable[[], None]) -> None:
    """Collect output until the script has ended, or the deadline; what it left running may keep the pipe open."""
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            if selector.get_map() and selector.select(0 if ended else _POLL):
                piece = os.read(process.stdout.fileno(), _KEPT)
                if not piece:
                    selector.unregister(process.stdout)
                kept.append(piece)
                size += len(piece)
                while size - len(kept[0]) >= _KEPT:
                    size -= len(kept.popleft())
            elif ended:
                return
            elif not selector.get_map():
                time.sleep(0.02)
            tick()


def _kill(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _last_lines(data: bytes) -> str:
    lines = [
        line.strip()[:_LONGEST_LINE] for line in data[-_KEPT:].decode("utf-8", "replace").splitlines() if line.strip()
    ]
    return "\n".join(
        "".join(character if character.isprintable() else " " for character in line) for line in lines[-_SHOWN_LINES:]
    )


def _said(output: str) -> str:
    return f"; it said at last: {' / '.join(output.splitlines())}" if output else "; it put nothing out"
