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
    problem = component_problem(name)
    if problem:
        return problem
    if any(character in _FORBIDDEN or character < " " for character in name):
        return "contains a character that Windows does not allow"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "is not valid UTF-8"
    if name[-1] in ". ":
        return "ends in a dot or space"
    if name.partition(".")[0].rstrip(" ").lower() in _RESERVED:
        return "is a name that Windows reserves for a device"
    return None


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
    if path[:3].lower() == "c:/":
        path = path[3:]
    elif path.startswith("/") and not path.startswith("//"):
        path = path[1:]
    path = path.rstrip("/")
    problem = path_problem(path, windows_name_problem)
    if problem:
        raise InvalidInput(
            f"The path {printable(text)!r} {problem}.",
            code="layers.path",
            hint=r"Write the path of a file or folder below C:\, without wildcards.",
            path=printable(text),
        )
    return path
