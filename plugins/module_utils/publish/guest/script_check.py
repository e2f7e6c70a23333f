# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that the connector's script can be executed on the composer, before anything depends on it."""

from __future__ import annotations

import os
import shutil

from ...common.composer_paths import login_name
from ...common.errors import InvalidInput

#: Bytes of the first line that Linux reads.
_FIRST_LINE = 256


def check_script(path: str) -> None:
    """Check that a script exists, is executable by the user of this process, and has an interpreter that exists.

    Raises:
        InvalidInput: ``publish.connector_script``.
    """
    problem = _problem(path)
    if problem is not None:
        text, hint = problem
        raise InvalidInput(
            f"The connector's script {path} {text}.", code="publish.connector_script", hint=hint, path=path
        )


def _problem(path: str) -> tuple[str, str] | None:
    """Return the end of the error's sentence and the hint, None when the script can be executed."""
    option = "Set script of the connector to the full path of an executable file on the composer, or remove it."
    if not os.path.isabs(path):
        return "is not an absolute path", option
    if not os.path.exists(path):
        return "does not exist on the composer", option
    if not os.path.isfile(path):
        return "is not a file", option
    if not os.access(path, os.X_OK):
        return (
            f"is not executable by the user {login_name()}",
            "Give the user execute permission (chmod +x), and check that the file system is not mounted with noexec.",
        )
    return _interpreter_problem(path)


def _interpreter_problem(path: str) -> tuple[str, str] | None:
    try:
        with open(path, "rb") as stream:
            begin = stream.read(_FIRST_LINE)
    except PermissionError:
        # A program may be executable without being readable.
        return None
    if not begin.startswith(b"#!"):
        if begin and b"\0" in begin:
            return None
        return "has no first line that names an interpreter", "Add a first line such as #!/bin/sh."
    line = begin[2:].partition(b"\n")[0].decode("utf-8", "replace")
    if line.endswith("\r"):
        return "has Windows line ends", "Convert its line ends to LF, for example with dos2unix."
    parts = line.split()
    interpreter = parts[0] if parts else ""
    if not (os.path.isfile(interpreter) and os.access(interpreter, os.X_OK)):
        return (
            f"needs the interpreter {interpreter or 'without a name'}, which does not exist on the composer",
            "Correct the first line of the script, or install the interpreter.",
        )
    if os.path.basename(interpreter) == "env" and len(parts) > 1:
        program = next((word for word in parts[1:] if not word.startswith("-") and "=" not in word), None)
        if program is not None and shutil.which(program) is None:
            return (
                f"needs the program {program}, which is not in PATH of the user {login_name()}",
                "Correct the first line of the script, or install the program.",
            )
    return None
