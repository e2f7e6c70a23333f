# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locations of file shares (a folder of this host, or ``//server[:port]/share[/path]``) and paths within them.

Paths within a share are relative and written with slashes. Only names that Windows accepts are allowed
(MS-FSCC 2.1.5, MS-DOS device names), because clients on Windows must be able to read the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..common.errors import InvalidInput

SMB_PORT = 445
_SERVER = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
_FORBIDDEN = re.compile(r'[\x00-\x1f"*:<>?|/\\]')
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
_LONGEST_NAME = 255
_LONGEST_PATH = 1000


@dataclass(frozen=True, slots=True)
class SmbLocation:
    """The parts of //server[:port]/share[/path].

    ``server`` is a name or an address without brackets; ``path`` is relative to the share, "" for its root.
    """

    server: str
    port: int
    share: str
    path: str

    def __str__(self) -> str:
        server = f"[{self.server}]" if ":" in self.server else self.server
        port = "" if self.port == SMB_PORT else f":{self.port}"
        return "/".join((f"//{server}{port}/{self.share}", self.path)).rstrip("/")


def is_smb(location: str) -> bool:
    """Return whether ``location`` is an SMB share: it begins with exactly two slashes or backslashes."""
    return re.match(r"(//|\\\\)[^/\\]", location) is not None


def parse_smb(location: str) -> SmbLocation:
    """Parse ``//server[:port]/share[/path]``, with slashes or backslashes.

    Raises:
        InvalidInput: ``shares.address`` if the location does not have this form; ``shares.name`` or
            ``shares.outside`` if its path is not acceptable.
    """
    server, *names = location.replace("\\", "/")[2:].rstrip("/").split("/")
    match = _SERVER.fullmatch(server)
    port = int(match["port"] or SMB_PORT) if match else 0
    if match is None or not 0 < port < 65536 or not names:
        # The part before @ may be a password.
        shown = f"'{location}'" if "@" not in server else "with credentials in its location"
        raise InvalidInput(
            f"The file share {shown} does not have the form //server/share/path.",
            code="shares.address",
            hint="Write //server/share/path and set file_share_username and file_share_password.",
        )
    for name in names:
        _check_component(name, location)
    return SmbLocation(match["host"].strip("[]"), port, names[0], "/".join(names[1:]))


def split_smb_file(location: str) -> tuple[str, str]:
    """Split ``//server/share/folder/file`` into ``//server/share`` and the path on the share.

    Raises:
        InvalidInput: as ``parse_smb``; also ``shares.address`` if the location has no path.
    """
    parsed = parse_smb(location)
    if not parsed.path:
        raise InvalidInput(
            f"The location '{location}' names a file share, not a file on it.",
            code="shares.address",
            hint="Write //server/share/path/file.",
        )
    return str(SmbLocation(parsed.server, parsed.port, parsed.share, "")), parsed.path


def check_path(path: str) -> str:
    """Return a path within a share, written with slashes.

    Raises:
        InvalidInput: ``shares.outside`` if the path leads out of the share; ``shares.name`` if it is absolute,
            longer than 1000 characters, or has a name that Windows does not accept.
    """
    plain = path.replace("\\", "/")
    if plain.startswith("/"):
        raise InvalidInput(
            f"The path '{path[:200]}' is not relative to the file share.",
            code="shares.name",
            hint="Write the path without a leading slash.",
        )
    for name in plain.split("/"):
        _check_component(name, path)
    if len(plain) > _LONGEST_PATH:
        raise InvalidInput(
            f"The path '{path[:100]}...' has {len(plain)} characters; the limit is {_LONGEST_PATH}.",
            code="shares.name",
            hint="Use shorter names of folders and files.",
        )
    return plain


def _check_component(name: str, path: str) -> None:
    if name == "..":
        raise InvalidInput(
            f"The path '{path}' leads out of the file share.",
            code="shares.outside",
            hint="Set a path below the share, without '..'.",
        )
    if (
        name in ("", ".")
        or _FORBIDDEN.search(name)
        or name[-1] in ". "
        or _DEVICE.fullmatch(name.split(".")[0].rstrip(" "))
        or len(name.encode("utf-16-le", "surrogatepass")) > 2 * _LONGEST_NAME
        or any("\ud800" <= letter <= "\udfff" for letter in name)
    ):
        raise InvalidInput(
            f"The path {path[:200]!r} contains the name {name[:100]!r}, which Windows does not accept.",
            code="shares.name",
            hint=f'Use names of 1 to {_LONGEST_NAME} characters without control characters and " * : < > ? | / \\, '
            "which do not end with a dot or a space and are not device names such as NUL.",
        )
