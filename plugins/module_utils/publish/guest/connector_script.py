# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connector's script: a program on the composer that is run after an image was published.

Environment variables describe the published image. Of the composer's own environment, which may contain
secrets, only a few variables are passed on. The exit code decides whether the script succeeded.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from typing import IO

from ...common.errors import InternalError, StrataError, TimedOut
from .script_check import check_script

#: Variables of the composer's environment that are passed on.
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")
#: Bytes at the end of the output that are kept.
_KEPT = 64 << 10
_SHOWN_LINES = 5
_LONGEST_LINE = 200
_POLL = 0.5


class ScriptFailed(StrataError):
    """The connector's script cannot be started, or ended with an exit code that is not 0."""

    default_code = "publish.connector_script"


def run_script(path: str, variables: dict[str, str], *, timeout: float, tick: Callable[[], None] = lambda: None) -> str:
    """Run the script with ``variables`` in its environment and return the last lines of its output.

    ``tick`` is called about twice a second and may raise to stop the script. Every process in the script's process
    group ends with it.

    Raises:
        ScriptFailed: ``publish.connector_script`` if it cannot be started or its exit code is not 0.
        TimedOut: ``publish.connector_script`` if it runs longer than ``timeout`` seconds.
        InvalidInput: as ``check_script``.
    """
    check_script(path)
    process = _start(path, variables)
    if process.stdout is None:
        raise InternalError("The output of the connector's script is not a pipe.", code="publish.connector_script")
    kept: deque[bytes] = deque()
    deadline = time.monotonic() + timeout
    try:
        _listen(process, process.stdout, kept, deadline, tick)
    except BaseException:
        _kill(process)
        raise
    finally:
        process.stdout.close()
    output = _last_lines(b"".join(kept))
    if process.returncode is None:
        _kill(process)
        raise TimedOut(
            f"The connector's script {path} did not end within {timeout:g} s{_output_text(output)}.",
            code="publish.connector_script",
            hint="Run this playbook again: only the script is repeated. If it needs more time, increase connector_script in the option timeouts.",
        )
    if process.returncode:
        raise ScriptFailed(
            f"The connector's script {path} ended with exit code {process.returncode}{_output_text(output)}.",
            code="publish.connector_script",
            hint="The image is published. Fix the cause that the script reports and run this playbook again: only the script is repeated.",
            exit_code=process.returncode,
            output=output,
        )
    return output


def _start(path: str, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the script; raise ScriptFailed when that fails."""
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ} | variables
    try:
        # The engine has no AnsibleModule and so no run_command, which could not be stopped either.
        return subprocess.Popen(  # pylint: disable=consider-using-with,ansible-bad-function
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
            f"The connector's script {path} cannot be started: {error.strerror}.",
            code="publish.connector_script",
            hint="Check the interpreter in its first line and its permissions, and run this playbook again.",
        ) from error


def _listen(
    process: subprocess.Popen[bytes], pipe: IO[bytes], kept: deque[bytes], deadline: float, tick: Callable[[], None]
) -> None:
    """Collect output until the script has ended or the deadline has passed; background processes may keep the pipe open."""
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            if selector.get_map() and selector.select(0 if ended else _POLL):
                piece = os.read(pipe.fileno(), _KEPT)
                if not piece:
                    selector.unregister(pipe)
                kept.append(piece)
                size += len(piece)
                while size - len(kept[0]) >= _KEPT:
                    size -= len(kept.popleft())
            elif ended:
                return
            elif not selector.get_map():
                time.sleep(0.02)
            tick()


def _kill(process: subprocess.Popen[bytes]) -> None:
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


def _output_text(output: str) -> str:
    return f"; its last output is: {' / '.join(output.splitlines())}" if output else "; it wrote no output"
