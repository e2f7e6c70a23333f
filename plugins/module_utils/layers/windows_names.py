# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Windows accepts as file names, for trees that come from elsewhere.

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
    """Why Windows would not accept ``name`` as the name of a file, or None."""
    problem = component_problem(name)
    if problem:
        return problem
    if any(character in _FORBIDDEN or character < " " for character in name):
        return "holds a character that Windows forbids"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "is not valid UTF-8"
    if name[-1] in ". ":
        return "ends in a dot or space"
    if name.partition(".")[0].rstrip(" ").lower() in _RESERVED:
        return "is a name that Windows reserves for a device"
    return None


def fold(name: str) -> str:
    """``name`` as Windows compares it, near enough to find collisions; a volume's own $UpCase has the last word.

    Like that table it maps one UTF-16 unit to one, and only where the way back leads to the same
    character (so final sigma, micro and long s stay themselves).
    """
    return name.upper() if name.isascii() else "".join(_upper(character) for character in name)


def _upper(character: str) -> str:
    for upper in (character.upper(), character.title()):
        if len(upper) == 1 and upper.lower() == character <= "\uffff":
            return upper
    return character


def windows_path(text: str) -> str:
    """A path on the system drive as an administrator writes it, as an entry's path.

    Backslashes or slashes; a leading one, or ``C:`` with one, is dropped. InvalidInput when it leads
    outside, names the root, or has a name Windows does not accept.
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
            hint=r"Name one file or folder below C:\, without wildcards.",
            path=printable(text),
        )
    return path
