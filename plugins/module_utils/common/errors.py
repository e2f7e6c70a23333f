# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one family of errors that the engine raises.

Every error is a sentence that names the thing it is about, a stable ``code`` that a
playbook can test, and a ``hint`` that says what to do. Modules catch ``StrataError``
once, in ``common.module.run``.
"""

from __future__ import annotations

#: What to do about a defect of this collection.
INTERNAL_HINT = "This is a defect of strata.layering: report it with these details."


class StrataError(Exception):
    """Base of every error the engine raises on purpose.

    ``message`` is one sentence naming the thing; ``hint`` one sentence saying what to do;
    ``code`` a dotted, stable identifier such as ``vmdk.truncated``; ``details`` a flat
    JSON-compatible mapping that is returned to the playbook. None may hold a secret.
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
        # Errors cross the process boundary of ntfs.guard; keyword arguments must survive pickling.
        return (_rebuild, (type(self), self.message, self.code, self.hint, self.details))


def _rebuild(cls: type[StrataError], message: str, code: str, hint: str | None, details: dict) -> StrataError:
    return cls(message, code=code, hint=hint, **details)


class InvalidInput(StrataError):
    """What the user asked for, or a file they gave, is not acceptable."""

    default_code = "invalid_input"


class NotFound(StrataError):
    """Something that was named does not exist."""

    default_code = "not_found"


class Conflict(StrataError):
    """The request contradicts what exists: a name in use, a layer still referenced, a lock held."""

    default_code = "conflict"


class Corrupt(StrataError):
    """Data is damaged or lies about itself; reading it further would be guessing."""

    default_code = "corrupt"


class Unsupported(StrataError):
    """Sound data of a kind that this collection does not handle."""

    default_code = "unsupported"


class Unavailable(StrataError):
    """A service outside (vCenter, a host, a share, a registry) refused, failed or went away."""

    default_code = "unavailable"


class TimedOut(Unavailable):
    """A service outside did not answer, or a state was not reached, in the time allowed."""

    default_code = "timed_out"


class NoSpace(StrataError):
    """A disk, a file system or a limit is too small for what has to be written."""

    default_code = "no_space"


class MissingLibrary(StrataError):
    """A Python or system library that the composer needs is not installed."""

    default_code = "missing_library"


class InternalError(StrataError):
    """Code of this collection broke the contract of another part of it."""

    default_code = "internal"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None, **details: object) -> None:
        super().__init__(message, code=code, hint=hint or INTERNAL_HINT, **details)
