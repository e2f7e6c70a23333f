# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that differ only in case: no second object gets such a name, and errors name the existing spelling."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from ..common.errors import Conflict


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def other_spelling(name: str, names: Iterable[str]) -> str | None:
    """Return the first of ``names`` that differs from ``name`` only in case; None if there is none or ``name`` exists."""
    listed = list(names)
    if name in listed:
        return None
    folded = _fold(name)
    return next((other for other in listed if _fold(other) == folded), None)


def spelling_hint(name: str, names: Iterable[str]) -> str:
    """Return the beginning of a hint that names the existing spelling of ``name``, "" if there is no other spelling."""
    other = other_spelling(name, names)
    return f"Write {other!r} instead of {name!r}. " if other is not None else ""


def refuse_other_spelling(label: str, name: str, names: Iterable[str], option: str = "name") -> None:
    """Raise if a new object would have the name of an existing object except for case.

    ``label`` is what has the name, such as "app layer".

    Raises:
        Conflict catalog.other_spelling: one of ``names`` differs from ``name`` only in case.
    """
    other = other_spelling(name, names)
    if other is not None:
        raise Conflict(
            f"The {label} {name!r} cannot be created: there is the {label} {other!r} already.",
            code="catalog.other_spelling",
            hint=f"Set {option} to {other!r}, or choose a name that differs in more than case.",
            name=name,
            existing=other,
        )


def absent_warnings(label: str, name: str, names: Iterable[str]) -> list[str]:
    """Return a warning if the object that is to be absent does not exist, but exists in another spelling."""
    other = other_spelling(name, names)
    if other is None:
        return []
    return [f"There is no {label} {name!r} to delete, but there is {other!r}. To delete that, write its name so."]


def lookup_warnings(label: str, name: str | None, names: Iterable[str]) -> list[str]:
    """Return a warning if the object ``name`` that was looked up does not exist, but exists in another spelling."""
    other = other_spelling(name, names) if name is not None else None
    return [f"There is no {label} {name!r}, but there is {other!r}."] if other is not None else []
