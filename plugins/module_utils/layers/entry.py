# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of a layer: a file, a directory, a hard link or a whiteout, with all that NTFS keeps about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

FILE = "file"
DIRECTORY = "directory"
LINK = "link"
WHITEOUT = "whiteout"
#: A file of the archive's Hives folder; only readers that ask for hives see it.
HIVE = "hive"
KINDS = (FILE, DIRECTORY, LINK, WHITEOUT, HIVE)

ATTRIBUTE_READONLY = 0x1
ATTRIBUTE_HIDDEN = 0x2
ATTRIBUTE_SYSTEM = 0x4
ATTRIBUTE_DIRECTORY = 0x10
ATTRIBUTE_ARCHIVE = 0x20
ATTRIBUTE_SPARSE = 0x200
ATTRIBUTE_REPARSE = 0x400
ATTRIBUTE_COMPRESSED = 0x800

REPARSE_SYMLINK = 0xA000000C
REPARSE_MOUNT_POINT = 0xA0000003
_FOLDER_KEEPS_FILES = 0x10000000

MAX_NAME = 255  # UTF-16 units of one component, NTFS's own bound
MAX_PATH = 32767  # UTF-16 units of a whole path, Windows' bound for extended-length paths
MAX_REPARSE = 16 * 1024
MAX_SECURITY = 64 * 1024
MAX_EAS = 64 * 1024

_EPOCH = 116444736000000000  # 1970-01-01 as FILETIME


@dataclass(slots=True)
class Entry:
    """What a layer says about one path.

    ``path`` is relative to the volume's root, "/"-separated, without leading slash, in the case
    the layer spells it; lone UTF-16 surrogates appear as lone surrogates of the str. Times are
    FILETIME (100 ns since 1601-01-01 UTC), None when the layer does not say. ``security`` is a
    self-relative descriptor, None to inherit from the folder. ``reparse`` is the whole reparse
    buffer with its tag, on files and directories. ``sparse`` lists the (offset, length) runs of the
    unnamed stream that hold data, ascending and within ``size``; None when the file is not sparse.
    ``streams`` lists (name, size) of the named streams, without ":" and ":$DATA". ``eas`` is the
    chain of extended attributes as it stands on disk (the last NextEntryOffset is its own length).
    ``object_id`` is 16 bytes, or 64 with the birth IDs. A ``link`` has only ``link_target``, the path
    of the file of the same layer whose further name it is. A ``whiteout`` has only its path.

    ``implied`` marks a directory that is there to carry its children: where a lower layer has the
    directory it stays as it is; attributes, times and security here are for creating it.
    """

    path: str
    kind: str
    attributes: int = 0
    created: int | None = None
    written: int | None = None
    accessed: int | None = None
    changed: int | None = None
    security: bytes | None = None
    short_name: str | None = None
    size: int = 0
    link_target: str | None = None
    reparse: bytes | None = None
    streams: list[tuple[str, int]] = field(default_factory=list)
    eas: bytes | None = None
    object_id: bytes | None = None
    sparse: list[tuple[int, int]] | None = None
    implied: bool = False

    @property
    def reparse_tag(self) -> int | None:
        """The tag of the reparse buffer, None without one."""
        return int.from_bytes(self.reparse[:4], "little") if self.reparse else None


def leads_elsewhere(reparse: bytes | None) -> bool:
    """Whether a folder with this reparse point has nothing of its own below it, as a junction has not.

    Tags with the directory bit (of OneDrive and its like) leave a folder's files in it. Source: [MS-FSCC] 2.1.2.1.
    """
    return reparse is not None and not int.from_bytes(reparse[:4], "little") & _FOLDER_KEEPS_FILES


def filetime_from_unix_ns(nanoseconds: int) -> int:
    """A POSIX time in nanoseconds as FILETIME, rounded down to 100 ns."""
    return nanoseconds // 100 + _EPOCH


def unix_100ns(filetime: int) -> int:
    """A FILETIME as 100 ns since 1970, negative before."""
    return filetime - _EPOCH


def utf16_length(text: str) -> int:
    """Number of UTF-16 units of ``text``."""
    return len(text) + sum(character > "\uffff" for character in text) if not text.isascii() else len(text)


def component_problem(name: str) -> str | None:
    """Why ``name`` cannot be one component of an entry's path, or None.

    These are the bounds that keep a path inside the volume and apart from stream names; what
    Windows additionally refuses (reserved names, trailing dots) is judged where names are made.
    """
    if not name:
        return "has an empty component"
    if name.strip(". ") == "":
        return "has a component of only dots and spaces"
    if "\0" in name or "/" in name or "\\" in name or ":" in name:
        return "holds NUL, slash, backslash or colon inside a component"
    if len(name) > 127 and utf16_length(name) > MAX_NAME:
        return f"has a component longer than {MAX_NAME} UTF-16 units"
    return None


def path_problem(path: str, problem: Callable[[str], str | None] = component_problem) -> str | None:
    """Why ``path`` cannot be an entry's path, or None."""
    if len(path) > MAX_PATH or utf16_length(path) > MAX_PATH:
        return f"is longer than {MAX_PATH} UTF-16 units"
    for name in path.split("/"):
        found = problem(name)
        if found:
            return found
    return None


def stream_problem(name: str) -> str | None:
    """Why ``name`` cannot name a stream, or None."""
    if not name or "\0" in name or "/" in name or "\\" in name or ":" in name:
        return "is empty or holds NUL, slash, backslash or colon"
    return f"is longer than {MAX_NAME} UTF-16 units" if utf16_length(name) > MAX_NAME else None


def printable(path: str) -> str:
    """``path`` fit for a message: lone surrogates and control characters escaped, bounded."""
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in path[:300])
    return text + "..." if len(path) > 300 else text
