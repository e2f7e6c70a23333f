# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the credential helpers of docker and podman.

A helper is a program ``docker-credential-NAME``. It reads the host from its standard input and writes a JSON object with the
fields Username and Secret (https://github.com/docker/docker-credential-helpers).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass, field

from ...common.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Bytes of the output, and seconds.
_LONGEST_OUTPUT, _LONGEST_TIME = 64 << 10, 60.0
_NOT_FOUND = "credentials not found"


@dataclass(frozen=True, slots=True)
class HelperAnswer:
    """What a helper knows about a host."""

    username: str
    secret: str = field(repr=False)


def program_of(helper: str) -> str | None:
    """Return the path of the program of a helper, None if it is not installed.

    Raises:
        InvalidInput: ``oci_registry.credential_helper` if the name cannot be that of a helper.
    """
    if not _NAME.fullmatch(helper):
        raise _failed(helper, "its name has characters that names of helpers do not have")
    return shutil.which(f"docker-credential-{helper}")


def ask_helper(helper: str, host: str, *, seconds: float = _LONGEST_TIME) -> HelperAnswer | None:
    """Return the credentials that a helper has for a host, None if it has none.

    Raises:
        InvalidInput: ``oci_registry.credential_helper`` if the program is missing, fails, or does not end in time.
    """
    program = program_of(helper)
    if program is None:
        raise _failed(helper, f"docker-credential-{helper} is not installed")
    output, code = _run(program, helper, host, seconds)
    if code != 0:
        text = output.decode("utf-8", "replace")
        if _NOT_FOUND in text.lower():
            return None
        # The output is not shown: a helper that fails late may have written a secret.
        raise _failed(helper, f"it ended with the code {code}")
    try:
        value = json.loads(output)
        username, secret = value["Username"], value["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _failed(helper, "its output is not the JSON object of a credential helper") from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _failed(helper, "its output is not the JSON object of a credential helper")
    return HelperAnswer(username, secret) if secret else None


def _run(program: str, helper: str, host: str, seconds: float) -> tuple[bytes, int]:
    """Return the output and the exit code of a helper, which gets the host on its standard input."""
    try:
        # Not a context manager: it would wait for a helper that does not end.
        process = subprocess.Popen(  # pylint: disable=consider-using-with,ansible-bad-function
            [program, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise _failed(helper, f"it cannot be started ({error.strerror})") from error
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    stdin, stdout = process.stdin, process.stdout
    output = b""
    try:
        if stdin is not None and stdout is not None:
            try:
                stdin.write(f"{host}\n".encode())
                stdin.close()
            except BrokenPipeError:
                pass
            output = stdout.read(_LONGEST_OUTPUT + 1)
            stdout.close()
        if len(output) > _LONGEST_OUTPUT:
            raise _failed(helper, f"its output is longer than {_LONGEST_OUTPUT} bytes")
        code = process.wait()
    finally:
        timer.cancel()
        _kill(process)
        process.wait()
    if late.is_set():
        raise _failed(helper, f"it did not end within {seconds:g} seconds")
    return output, code


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a helper and the programs that it has started, which may hold its output open."""
    if process.returncode is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


def _failed(helper: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"The credential helper '{helper[:64]}' has no credentials for the registry: {reason}.",
        code="oci_registry.credential_helper",
        hint="Install and test the helper on the composer, or set registry_username and registry_password.",
        helper=helper[:64],
    )
