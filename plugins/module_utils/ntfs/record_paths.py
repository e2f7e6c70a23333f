# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the paths of files from their file records."""

from __future__ import annotations

from . import attribute_records
from .damage import damaged
from .file_state import Name, read_state
from .mft import MasterFileTable
from .raw_volume import ROOT

_EXTEND = 11
#: A path of 32,767 UTF-16 units has at most this number of names.
_MAXIMUM_DEPTH = 16384


class Paths:
    """The paths of the files of a volume, with a cache of directories."""

    def __init__(self, table: MasterFileTable) -> None:
        self._table = table
        self._known: dict[int, str | None] = {}

    def path(self, name: Name) -> str | None:
        """Return the path of a name ("/" between names), or None below $Extend, where NTFS keeps its own files.

        Raises Corrupt when a directory of the path does not exist or contains itself.
        """
        above = self.directory(name.parent)
        return None if above is None else f"{above}/{name.name}" if above else name.name

    def directory(self, reference: int) -> str | None:
        """Return the path of a directory by its reference ("" for the root), or None below $Extend."""
        chain: list[tuple[int, str]] = []
        path: str | None = ""
        while reference & attribute_records.REFERENCE_MASK != ROOT:
            if reference in self._known:
                path = self._known[reference]
                break
            number = reference & attribute_records.REFERENCE_MASK
            if number == _EXTEND:
                path = None
                break
            state = read_state(self._table, number)
            if (
                state is None
                or not state.is_directory
                or not state.names
                or state.sequence != reference >> 48
                or len(chain) > _MAXIMUM_DEPTH
            ):
                raise damaged(
                    self._table.raw.subject, f"a file belongs to a directory (file record {number}) that does not exist"
                )
            chain.append((reference, state.names[0].name))
            reference = state.names[0].parent
        if len(self._known) > 200_000:
            self._known.clear()
        for key, name in reversed(chain):
            path = None if path is None else f"{path}/{name}" if path else name
            self._known[key] = path
        return path
