# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names: what Windows and NTFS allow, and 8.3 names.

A name is a str of UTF-16 code units; lone surrogates are legal in NTFS and are carried
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
_DOS_EXACT = re.compile(r"[A-Za-z0-9!#$%&'()\-@^_`{}~]{1,8}(?:\.[A-Za-z0-9!#$%&'()\-@^_`{}~]{1,3})?")
_DOS_GIVEN = re.compile(r"[^\x00-\x20\"*+,./:;<=>?\[\\\]|]{1,8}(?:\.[^\x00-\x20\"*+,./:;<=>?\[\\\]|]{1,3})?")


def encode(name: str) -> bytes:
    """Return the UTF-16LE code units of ``name``."""
    return name.encode("utf-16-le", "surrogatepass")


def decode(units: bytes) -> str:
    """Return the str of UTF-16LE code units."""
    return units.decode("utf-16-le", "surrogatepass")


def _bad(name: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{name[:300]!r} cannot be the name of a file on Windows: {why}.",
        code="ntfs.name",
        hint="Rename the file in the layer's source.",
    )


def check_name(name: str, *, allow_trailing: bool = False) -> bytes:
    """Return the code units of a file's or directory's name; InvalidInput when Windows could not hold it.

    Reserved device names such as ``nul`` are legal in NTFS and allowed. A trailing dot or
    space is legal in NTFS but out of reach for Win32 programs: only with ``allow_trailing``.
    """
    units = encode(name)
    if not units:
        raise _bad(name, "it is empty")
    if len(units) > 2 * MAXIMUM_UNITS:
        raise _bad(name, f"it has {len(units) // 2} UTF-16 units and {MAXIMUM_UNITS} are allowed")
    if name in (".", ".."):
        raise _bad(name, "it means a directory itself or the one above")
    found = _FORBIDDEN.search(name)
    if found:
        raise _bad(name, f"it contains {found.group()!r}")
    if name[-1] in ". " and not allow_trailing:
        raise _bad(name, "it ends with a dot or a space")
    return units


def check_short_name(name: str) -> bytes:
    """Return the code units of an 8.3 name; InvalidInput when it is none."""
    if not _DOS_GIVEN.fullmatch(name):
        raise InvalidInput(
            f"{name[:300]!r} is no 8.3 name.",
            code="ntfs.short_name",
            hint="Use up to eight characters, a dot and up to three.",
        )
    return encode(name)


def check_stream_name(name: str) -> bytes:
    """Return the code units of an alternate stream's name ("" is the file's own data)."""
    units = encode(name)
    if len(units) > 2 * MAXIMUM_UNITS or _FORBIDDEN_IN_STREAM.search(name):
        raise InvalidInput(f"{name[:300]!r} cannot be the name of an alternate stream.", code="ntfs.stream_name")
    return units


def is_short_name(name: str) -> bool:
    """Whether Windows would take ``name`` for its own 8.3 name whatever the OEM code page is."""
    return bool(_DOS_EXACT.fullmatch(name))
