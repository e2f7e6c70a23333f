# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names that Windows accepts, for trees that come from other systems.

Source: Microsoft, "Naming Files, Paths, and Namespaces".
"""

from __future__ import annotations

from ..common.errors import InvalidInput
from .entry import component_problem, path_problem, printable

_FORBIDDEN = frozenset('<>:"|?*\\/')
_RESERVED = frozenset(
    (
        "con",
        "prn",
        "aux",
        "nul",
        "conin$",
        "conout$",
        *(f"{port}{number}" for port in ("com", "lpt") for number in "0123456789\u00b9\u00b2\u00b3"),
    )
)


def windows_name_problem(name: str) -> str | None:
    """Return why Windows does not accept ``name`` as a file name, or None."""
    if any("\ud800" <= character <= "\udfff" for character in name):
        return f"is not UTF-8{_other_encoding(name)}"
    bad = dict.fromkeys(character for character in name if character in _FORBIDDEN or character < " ")
    if bad:
        shown = " and ".join(f"'{printable(character)}'" for character in bad)
        return f"has {shown} in its name, which Windows does not allow"
    problem = component_problem(name)
    if problem:
        return problem
    if name[-1] in ". ":
        return "ends in a dot or space"
    if name.partition(".")[0].rstrip(" ").lower() in _RESERVED:
        return "is a name that Windows reserves for a device"
    return None


def _other_encoding(name: str) -> str:
    """Return how a name that is not UTF-8 is written in bytes, and how Windows-1252 reads it."""
    data = name.encode("utf-8", "surrogatepass" if _has_lone_surrogates(name) else "surrogateescape")
    raw = data.decode("ascii", "backslashreplace")
    try:
        return f" (its bytes are {raw}; as Windows-1252 it would be {printable(data.decode('cp1252'))})"
    except UnicodeDecodeError:
        return f" (its bytes are {raw})"


def _has_lone_surrogates(name: str) -> bool:
    return any("\ud800" <= character <= "\udfff" and not "\udc80" <= character <= "\udcff" for character in name)


def fold(name: str) -> str:
    """Return ``name`` as Windows compares it, close enough to find collisions; the $UpCase table of a volume is exact.

    Like that table, the function maps a UTF-16 unit to a UTF-16 unit, and only if the lower case of the
    result is the original character (so final sigma, micro and long s are not changed).
    """
    return name.upper() if name.isascii() else "".join(_upper(character) for character in name)


def _upper(character: str) -> str:
    for upper in (character.upper(), character.title()):
        if len(upper) == 1 and upper.lower() == character <= "\uffff":
            return upper
    return character


def windows_path(text: str) -> str:
    """Convert a path on the system drive, as an administrator writes it, to the path of an entry.

    Separators are backslashes or slashes. A leading separator, or ``C:`` with a separator, is dropped.

    Raises:
        InvalidInput layers.path: the path leaves the drive, is the root, or contains a name that Windows does not accept.
    """
    path = text.replace("\\", "/")
    if path[:3].lower() == "c:/" or path.lower() == "c:":
        path = path[3:]
    elif path.startswith("/") and not path.startswith("//"):
        path = path[1:]
    problem = _form_problem(path)
    path = path.rstrip("/")
    problem = problem or path_problem(path, windows_name_problem)
    if problem:
        raise InvalidInput(
            f"The path '{printable(text)}' {problem}.",
            code="layers.path",
            hint=r"Write the path of a file or folder below C:\, without wildcards.",
            path=printable(text),
        )
    return path


def _form_problem(path: str) -> str | None:
    if not path.rstrip("/"):
        return "is not below the drive"
    if path.startswith("//"):
        return "is on a server, not on drive C"
    if path[0].isascii() and path[0].isalpha() and path[1:2] == ":" and path[2:3] in ("", "/"):
        return f"is on drive {path[0].upper()}, but a layer holds drive C only"
    return "has two separators in a row" if "//" in path.rstrip("/") else None
