# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names: the rules of Windows and NTFS for names, 8.3 names and stream names.

A name is a str of UTF-16 code units. Lone surrogates are legal in NTFS and are encoded
with "surrogatepass". Source: Microsoft, "Naming Files, Paths, and Namespaces", and
[MS-FSCC] 2.1.5 (pathname components, 8.3 names, stream names).
"""

from __future__ import annotations

import re

from ..common.errors import InvalidInput

#: Values of the namespace byte of $FILE_NAME.
POSIX, WIN32, DOS, WIN32_AND_DOS = 0, 1, 2, 3

MAXIMUM_UNITS = 255
_FORBIDDEN = re.compile(r'[\x00-\x1f"*/:<>?\\|]')
_FORBIDDEN_IN_STREAM = re.compile(r"[\x00/:\\]")
_DOS_ASCII = re.compile(r"[A-Za-z0-9!#$%&'()\-@^_`{}~]{1,8}(?:\.[A-Za-z0-9!#$%&'()\-@^_`{}~]{1,3})?")
_DOS_ANY = re.compile(r"[^\x00-\x20\"*+,./:;<=>?\[\\\]|]{1,8}(?:\.[^\x00-\x20\"*+,./:;<=>?\[\\\]|]{1,3})?")


def encode(name: str) -> bytes:
    """Return the UTF-16LE code units of ``name``."""
    return name.encode("utf-16-le", "surrogatepass")


def decode(units: bytes) -> str:
    """Return the str of UTF-16LE code units."""
    return units.decode("utf-16-le", "surrogatepass")


def _invalid(name: str, cause: str) -> InvalidInput:
    return InvalidInput(
        f"{name[:300]!r} cannot be a file name on Windows: {cause}.",
        code="ntfs.name",
        hint="Rename the file in the source of the layer.",
    )


def check_name(name: str, *, allow_trailing: bool = False) -> bytes:
    """Return the UTF-16LE code units of the name of a file or directory.

    Reserved device names such as ``nul`` are legal in NTFS and allowed. A trailing dot or
    space is legal in NTFS, but Win32 programs cannot open the file: it is allowed only with
    ``allow_trailing``. Raises InvalidInput ``ntfs.name`` for any other name that Windows
    does not allow.
    """
    units = encode(name)
    if not units:
        raise _invalid(name, "it is empty")
    if len(units) > 2 * MAXIMUM_UNITS:
        raise _invalid(name, f"it has {len(units) // 2} UTF-16 units; the limit is {MAXIMUM_UNITS}")
    if name in (".", ".."):
        raise _invalid(name, "it is reserved for the directory itself or its parent")
    match = _FORBIDDEN.search(name)
    if match:
        raise _invalid(name, f"it contains {match.group()!r}")
    if name[-1] in ". " and not allow_trailing:
        raise _invalid(name, "it ends with a dot or a space")
    return units


def check_short_name(name: str) -> bytes:
    """Return the UTF-16LE code units of an 8.3 name; raise InvalidInput ``ntfs.short_name`` when it is invalid."""
    if not _DOS_ANY.fullmatch(name):
        raise InvalidInput(
            f"{name[:300]!r} is not a valid 8.3 name.",
            code="ntfs.short_name",
            hint="Use up to eight characters, then optionally a dot and up to three characters.",
        )
    return encode(name)


def check_stream_name(name: str) -> bytes:
    """Return the UTF-16LE code units of a stream's name ("" for the data of the file itself).

    Raises InvalidInput ``ntfs.stream_name`` when the name is invalid.
    """
    units = encode(name)
    if len(units) > 2 * MAXIMUM_UNITS or _FORBIDDEN_IN_STREAM.search(name):
        raise InvalidInput(
            f"{name[:300]!r} cannot be the name of an alternate stream.",
            code="ntfs.stream_name",
            hint="Rename the stream in the source of the layer: use up to 255 characters without / : and \\.",
        )
    return units


def is_short_name(name: str) -> bool:
    """Return whether ``name`` is a valid 8.3 name in every OEM code page of Windows."""
    return bool(_DOS_ASCII.fullmatch(name))
