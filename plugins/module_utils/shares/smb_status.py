# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status codes of an SMB server, converted to errors of this collection.

Source: MS-ERREF 2.3.1, NTSTATUS values.
"""

from __future__ import annotations

from ..common.errors import Conflict, InvalidInput, NoSpace, NotFound, StrataError, Unavailable, Unsupported

END_OF_FILE = 0xC0000011
NAME_COLLISION = 0xC0000035
#: A file of this name exists, possibly as long as another client has it open: name collision, delete pending, sharing violation.
EXISTS = frozenset((NAME_COLLISION, 0xC0000056, 0xC0000043))
#: The file, or a folder on the way to it, does not exist.
MISSING = frozenset((0xC000000F, 0xC0000034, 0xC000003A, 0xC0000103))
NO_MORE_FILES = 0x80000006
NOT_EMPTY = 0xC0000101
#: The connection, the session or the file handle is no longer valid, or the server is out of resources: reconnecting helps.
TRANSIENT = frozenset(
    (
        0xC00000C9,
        0xC0000203,
        0xC000035C,
        0xC0000128,
        0xC0000008,
        0xC000020C,
        0xC000020D,
        0xC000023A,
        0xC00000B5,
        0xC000009A,
        0xC0000205,
        0xC0000120,
    )
)
_CREDENTIALS = {
    0xC000006D: "the user name or the password is wrong",
    0xC000006A: "the password is wrong",
    0xC0000064: "the user does not exist",
    0xC000006E: "the account is restricted",
    0xC000006F: "the account may not log on at this time",
    0xC0000070: "the account may not log on from this host",
    0xC0000071: "the password has expired",
    0xC0000072: "the account is disabled",
    0xC000015B: "the account may not log on over the network",
    0xC0000193: "the account has expired",
    0xC0000224: "the password must be changed",
    0xC0000234: "the account is locked out",
}
_FULL = frozenset((0xC000007F, 0xC0000044, 0xC0000802, 0xC0000904))
_DENIED = frozenset((0xC0000022, 0xC0000061, 0xC00000A2, 0xC0000121))
_BAD_NETWORK_NAME = 0xC00000CC
_IS_A_FOLDER = 0xC00000BA
_LINK = frozenset((0x8000002D, 0xC0000275, 0xC0000277, 0xC0000278))
_PATH_NOT_COVERED = 0xC0000257
_INVALID_NAME = frozenset((0xC0000033, 0xC0000039, 0xC000003B))
_IN_USE = frozenset((0xC0000043, 0xC0000054, 0xC0000055, 0xC0000056))


class Lost(Exception):
    """The connection broke or did not respond; the text is the reason. It never leaves this package."""


class Refused(Exception):
    """The server answered with an error status. It never leaves this package.

    ``status`` is the NTSTATUS value.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"status 0x{status:08X}")
        self.status = status


def refusal(status: int, location: str, share: str) -> StrataError | FileNotFoundError:
    """Return the error for a server that refuses an operation on ``location``, a path of ``share``, with ``status``."""
    if status in MISSING:
        return FileNotFoundError(2, "No such file or directory", location)
    return (
        _access_refusal(status, location, share)
        or _state_refusal(status, location, share)
        or _path_refusal(status, location, share)
        or Unavailable(
            f"The file share {share} failed with status 0x{status:08X} at {location}.",
            code="shares.failed",
            hint="Check the log of the file server.",
        )
    )


def _access_refusal(status: int, location: str, share: str) -> StrataError | None:
    """Return the error if the login, the share or the permissions are the cause."""
    if status in _CREDENTIALS:
        return Unavailable(
            f"The file share {share} rejected the login: {_CREDENTIALS[status]}.",
            code="shares.credentials",
            hint="Check file_share_username and file_share_password.",
        )
    if status == _BAD_NETWORK_NAME:
        return NotFound(
            f"The file share {share} does not exist on its server.",
            code="shares.missing",
            hint="Correct the name of the share in file_share.",
        )
    if status in _DENIED:
        return Unavailable(
            f"The file share {share} denies access to {location}.",
            code="shares.denied",
            hint="Check the permissions of file_share_username on the share and in the folder.",
        )
    return None


def _state_refusal(status: int, location: str, share: str) -> StrataError | None:
    """Return the error if the current state of the share or the file is the cause."""
    if status in _FULL:
        return NoSpace(
            f"The file share {share} has no space left for {location}.",
            code="shares.files_no_space",
            hint="Free space on the file share and run again.",
            path=location,
        )
    if status in _IN_USE:
        return Conflict(
            f"The file {location} is in use by another client.",
            code="shares.in_use",
            hint="Wait until the file is no longer in use, and run again.",
        )
    if status == NAME_COLLISION:
        return Conflict(
            f"The file or folder {location} already exists.",
            code="shares.exists",
            hint="Remove it, or set a different name.",
        )
    if status == NOT_EMPTY:
        return Conflict(f"The folder {location} is not empty.", code="shares.not_empty", hint="Remove its files first.")
    return None


def _path_refusal(status: int, location: str, share: str) -> StrataError | None:
    """Return the error if the path itself is the cause."""
    if status == _IS_A_FOLDER:
        return InvalidInput(f"{location} is a folder, not a file.", code="shares.kind", hint="Set the path of a file.")
    if status in _LINK:
        return Unsupported(
            f"The path {location} contains a symbolic link, which is not followed.",
            code="shares.link",
            hint="Set the path of the link's target.",
        )
    if status == _PATH_NOT_COVERED:
        return Unsupported(
            f"The path {location} is in a DFS namespace, which is not supported over SMB.",
            code="shares.dfs",
            hint="Set file_share to the server and share behind the namespace, or mount the share on the composer.",
        )
    if status in _INVALID_NAME:
        return InvalidInput(
            f"The file share {share} does not accept the name {location}.",
            code="shares.name",
            hint="Set a different name.",
        )
    return None
