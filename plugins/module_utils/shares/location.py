# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a file share is: a folder of this host, or ``//server[:port]/share[/path]``; and names within it.

Names within a share are relative and written with slashes. They are those that Windows accepts
(MS-FSCC 2.1.5, MS-DOS device names), so that what is written over SMB can be read by everybody.
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
    """``server`` is a name or address without brackets, ``share`` the share's name, ``path`` what is below it ("" for its root)."""

    server: str
    port: int
    share: str
    path: str

    def __str__(self) -> str:
        server = f"[{self.server}]" if ":" in self.server else self.server
        port = "" if self.port == SMB_PORT else f":{self.port}"
        return "/".join((f"//{server}{port}/{self.share}", self.path)).rstrip("/")


def is_smb(location: str) -> bool:
    """Whether ``location`` is spoken to directly: it begins with exactly two slashes or backslashes."""
    return re.match(r"(//|\\\\)[^/\\]", location) is not None


def parse_smb(location: str) -> SmbLocation:
    """Read ``//server[:port]/share[/path]``, with slashes or backslashes; InvalidInput when it is not that."""
    server, *names = location.replace("\\", "/")[2:].rstrip("/").split("/")
    match = _SERVER.fullmatch(server)
    port = int(match["port"] or SMB_PORT) if match else 0
    if match is None or not 0 < port < 65536 or not names:
        shown = location if "@" not in server else "the given address"
        raise InvalidInput(
            f"The file share {shown} is not written as //server/share/path.",
            code="shares.address",
            hint="Credentials are options of their own.",
        )
    for name in names:
        _check_component(name, location)
    return SmbLocation(match["host"].strip("[]"), port, names[0], "/".join(names[1:]))


def split_smb_file(location: str) -> tuple[str, str]:
    """Cut ``//server/share/folder/file`` into the share's own part ``//server/share`` and the path below it."""
    place = parse_smb(location)
    if not place.path:
        raise InvalidInput(
            f"{location} names a share, not a file on it.",
            code="shares.address",
            hint="Write it as //server/share/path/file.",
        )
    return str(SmbLocation(place.server, place.port, place.share, "")), place.path


def check_path(path: str) -> str:
    """Return a path within a share with slashes alone; InvalidInput for one that leads out or that Windows does not accept."""
    plain = path.replace("\\", "/")
    if plain.startswith("/"):
        raise InvalidInput(
            f"{path[:200]} is not relative to the file share.",
            code="shares.name",
            hint="Give the path below it, without a leading slash.",
        )
    for name in plain.split("/"):
        _check_component(name, path)
    if len(plain) > _LONGEST_PATH:
        raise InvalidInput(f"The path {path[:100]}... is too long.", code="shares.name")
    return plain


def _check_component(name: str, whole: str) -> None:
    if name == "..":
        raise InvalidInput(
            f"{whole} leads out of the file share.",
            code="shares.outside",
            hint="Give a path within the share, without '..'.",
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
            f"{name[:100]!r} in {whole[:200]!r} is no name that a file share can have.",
            code="shares.name",
            hint="Give a plain name.",
        )
