# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals: files next to a database file, with changes that its program completes or reverts when it opens the database.

A journal belongs to exactly one state of its main file. With another state of the main file, the program writes pages
of the wrong state into it, which destroys the database.

Sources: the SQLite documentation "Temporary Files Used By SQLite" (-journal, -wal and -shm) and the description of
registry files by M. Suhanov (.LOG1 and .LOG2; NAME{GUID}.TM.blf and NAME{GUID}.TMContainer...regtrans-ms of the
transaction manager). Logs of the database engine ESE have no name in common with their database: rules about them name
whole folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

from .directory_index import Child

#: Suffixes of a main file's name.
SUFFIXES = ("-wal", "-shm", "-journal", ".LOG1", ".LOG2")
_LOWERED = tuple(suffix.lower() for suffix in SUFFIXES)
_TRANSACTIONS = re.compile(
    r"(?P<main>.+?)\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}\.(?:TM\.blf|TMContainer[0-9]+\.regtrans-ms)",
    re.IGNORECASE,
)
_TRANSACTION_SUFFIXES = (".blf", ".regtrans-ms")


def main_name(name: str) -> str | None:
    """Return the name or path of the main file of the journal ``name``; None if the name is not that of a journal."""
    lowered = name.lower()
    if lowered.endswith(_LOWERED):
        suffix = next(suffix for suffix in _LOWERED if lowered.endswith(suffix))
        main = name[: -len(suffix)]
        return main if main and main[-1] not in "/\\" else None
    if lowered.endswith(_TRANSACTION_SUFFIXES):
        found = _TRANSACTIONS.fullmatch(name)
        main = found["main"] if found else ""
        return main if main and main[-1] not in "/\\" else None
    return None


def journals_of(
    children: Iterable[Child], mains: Collection[str], fold: Callable[[str], str]
) -> dict[str, list[Child]]:
    """Return the journals among the ``children`` of a folder of the main files with the folded names ``mains``."""
    found: dict[str, list[Child]] = {}
    for child in children:
        main = None if child.is_directory else main_name(child.name)
        if main is not None and (folded := fold(main)) in mains:
            found.setdefault(folded, []).append(child)
    return found
