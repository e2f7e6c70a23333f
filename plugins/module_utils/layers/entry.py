# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of a layer: files, directories, hard links and whiteouts, with all metadata that NTFS stores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

FILE = "file"
DIRECTORY = "directory"
LINK = "link"
WHITEOUT = "whiteout"
#: A file of the archive's Hives folder; a reader yields it only on request.
HIVE = "hive"
KINDS = (FILE, DIRECTORY, LINK, WHITEOUT, HIVE)

ATTRIBUTE_DIRECTORY = 0x10
ATTRIBUTE_ARCHIVE = 0x20
ATTRIBUTE_SPARSE = 0x200
ATTRIBUTE_REPARSE = 0x400

REPARSE_SYMLINK = 0xA000000C
REPARSE_MOUNT_POINT = 0xA0000003
_FOLDER_KEEPS_FILES = 0x10000000

MAX_NAME = 255  # UTF-16 units of a path component, the limit of NTFS
MAX_PATH = 32767  # UTF-16 units of a whole path, the limit of Windows for extended-length paths
MAX_REPARSE = 16 * 1024
MAX_SECURITY = 64 * 1024
MAX_EAS = 64 * 1024

_EPOCH = 116444736000000000  # 1970-01-01 as FILETIME


@dataclass(slots=True)
class Entry:
    """The state that a layer gives to a path.

    ``path`` is relative to the volume's root, separated by "/", without a leading slash, in the
    spelling of the layer; lone UTF-16 surrogates are lone surrogates of the str. Times are
    FILETIME (100 ns since 1601-01-01 UTC), None if the layer does not set them. ``security`` is a
    self-relative descriptor, None to inherit from the folder. ``reparse`` is the whole reparse
    buffer with its tag, of a file or directory. ``sparse`` lists the (offset, length) runs of the
    unnamed stream that hold data, ascending and within ``size``; None if the file is not sparse.
    ``streams`` lists (name, size) of the named streams, without ":" and ":$DATA". ``eas`` is the
    chain of extended attributes as NTFS stores it (the last NextEntryOffset is the record's own length).
    ``object_id`` has 16 bytes, or 64 with the birth IDs. A ``link`` has only ``link_target``, the path
    of a file of the same layer to which it adds a name. A ``whiteout`` has only its path.

    ``implied`` marks a directory that exists only to carry its children: if a lower layer has the
    directory, its metadata is kept; attributes, times and security of the entry apply on creation only.
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


def leads_elsewhere(reparse: bytes | None) -> bool:
    """Return whether a reparse point redirects its folder, so that no files are stored below it, as a junction does.

    Tags with the directory bit (OneDrive, for example) keep the folder's files in it. Source: [MS-FSCC] 2.1.2.1.
    """
    return reparse is not None and not int.from_bytes(reparse[:4], "little") & _FOLDER_KEEPS_FILES


def filetime_from_unix_ns(nanoseconds: int) -> int:
    """Convert a POSIX time in nanoseconds to FILETIME, rounded down to 100 ns."""
    return nanoseconds // 100 + _EPOCH


def unix_100ns(filetime: int) -> int:
    """Convert a FILETIME to units of 100 ns since 1970, negative before."""
    return filetime - _EPOCH


def utf16_length(text: str) -> int:
    """Return the number of UTF-16 units of ``text``."""
    return len(text) + sum(character > "\uffff" for character in text) if not text.isascii() else len(text)


def component_problem(name: str) -> str | None:
    """Return why ``name`` cannot be a component of an entry's path, or None.

    These rules keep a path inside the volume and distinct from stream names. ``windows_names``
    checks what Windows refuses in addition (reserved names, trailing dots).
    """
    if not name:
        return "has an empty component"
    if name.strip(". ") == "":
        return "has a component of only dots and spaces"
    if "\0" in name or "/" in name or "\\" in name or ":" in name:
        return "contains NUL, slash, backslash or colon inside a component"
    if len(name) > 127 and utf16_length(name) > MAX_NAME:
        return f"has a component longer than {MAX_NAME} UTF-16 units"
    return None


def path_problem(path: str, problem: Callable[[str], str | None] = component_problem) -> str | None:
    """Return why ``path`` cannot be an entry's path, or None."""
    if len(path) > MAX_PATH or utf16_length(path) > MAX_PATH:
        return f"is longer than {MAX_PATH} UTF-16 units"
    for name in path.split("/"):
        name_problem = problem(name)
        if name_problem:
            return name_problem
    return None


def stream_problem(name: str) -> str | None:
    """Return why ``name`` cannot be the name of a stream, or None."""
    if not name or "\0" in name or "/" in name or "\\" in name or ":" in name:
        return "is empty or contains NUL, slash, backslash or colon"
    return f"is longer than {MAX_NAME} UTF-16 units" if utf16_length(name) > MAX_NAME else None


def printable(path: str) -> str:
    """Return ``path`` for a message: lone surrogates and control characters escaped, at most 300 characters."""
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in path[:300])
    return text + "..." if len(path) > 300 else text
