# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that the engine raises.

Every error has a message, which is one sentence that names its subject; a stable ``code``, which a playbook
can test; and a ``hint``, which says what to do. ``common.module_runner`` catches ``StrataError`` for all modules.
"""

from __future__ import annotations

import errno
import os

from .composer_paths import TEMPORARY_PREFIX, current_user

#: The hint of every InternalError.
INTERNAL_HINT = "This is a defect of strata.layering: report it with these details."


class StrataError(Exception):
    """Base class of all errors that the engine raises on purpose.

    ``message`` is one sentence that names the subject; ``hint`` says what to do; ``code`` is a stable
    identifier ``<package>.<name>``, such as ``ovf.checksum``; ``details`` is a flat, JSON-compatible mapping
    that is returned to the playbook. None of them may contain a secret.
    """

    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def __reduce__(self):
        # common.child_process sends errors to the parent process: the keyword arguments must survive pickling.
        return (_rebuild, (type(self), self.message, self.code, self.hint, self.details))


def _rebuild(cls: type[StrataError], message: str, code: str, hint: str | None, details: dict) -> StrataError:
    return cls(message, code=code, hint=hint, **details)


class InvalidInput(StrataError):
    """An option, or a file that an option names, is not acceptable."""

    default_code = "invalid_input"


class NotFound(StrataError):
    """An object that an option names does not exist."""

    default_code = "not_found"


class Conflict(StrataError):
    """The request contradicts the current state: a name in use, a referenced layer, a lock that is held."""

    default_code = "conflict"


class Corrupt(StrataError):
    """Data is damaged or contradicts itself, and cannot be read reliably."""

    default_code = "corrupt"


class Untrusted(StrataError):
    """Content has no valid signature by a key that the administrator trusts."""

    default_code = "untrusted"


class Unsupported(StrataError):
    """Valid data of a kind that this collection does not support."""

    default_code = "unsupported"


class Unavailable(StrataError):
    """An external service (vCenter, an ESXi host, a file share) refused a request, failed or disconnected."""

    default_code = "unavailable"


class TimedOut(Unavailable):
    """An external service did not respond, or a state was not reached, within the time limit."""

    default_code = "timed_out"


class NoSpace(StrataError):
    """A disk, a file system or a limit is too small for the data."""

    default_code = "no_space"


class MissingLibrary(StrataError):
    """A Python library or system library that the composer needs is not installed."""

    default_code = "missing_library"


class InternalError(StrataError):
    """A function of this collection was called in a wrong way by code of this collection."""

    default_code = "internal"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None, **details: object) -> None:
        super().__init__(message, code=code, hint=hint or INTERNAL_HINT, **details)


def composer_error(error: OSError) -> StrataError:
    """Return the error for an operation that the composer's own file system or memory refused."""
    file = error.filename or "a file"
    folder, name = os.path.split(os.fsdecode(file)) if isinstance(file, (str, bytes)) else ("", "")
    if name.startswith(TEMPORARY_PREFIX):
        # The file exists only during the operation: the administrator can change its folder.
        file = folder
    if error.errno in (errno.EACCES, errno.EPERM):
        message = f"The user {current_user()} has no access to {file}: {error.strerror}."
        hint = f"Give the user access to {file} and the folders above it, or run the module as a user that has access (become)."
    elif error.errno == errno.EROFS:
        message = f"The composer cannot write {file}: its file system is mounted read-only."
        hint = "Mount the file system writable, or use a folder on a different file system."
    elif error.errno == errno.EXDEV:
        message = f"The composer cannot rename {file} to {error.filename2}: they are on different file systems."
        hint = "Keep all folders of the repository, or of the target, on one file system."
    else:
        message = f"The composer cannot use {file}: {error.strerror or error}."
        hint = "Check the path and its file system on the composer."
    return StrataError(message, code="common.host_io", hint=hint)
