# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a file's names to its paths, by file records alone."""

from __future__ import annotations

from . import attribute_records
from .file_state import Name, read_state
from .mft import MasterFileTable
from .raw_volume import ROOT

_EXTEND = 11
#: A path of 32,767 units has no more names.
_MAXIMUM_DEPTH = 16384


class Paths:
    """The paths of the files of one volume. Directories that were met are remembered."""

    def __init__(self, table: MasterFileTable) -> None:
        self._table = table
        self._known: dict[int, str | None] = {}

    def path(self, name: Name) -> str | None:
        """The path of a name ("/" between names); None below $Extend, where NTFS keeps what is its own.

        Corrupt when a directory on the way does not exist or the way leads in a circle.
        """
        above = self.directory(name.parent)
        return None if above is None else f"{above}/{name.name}" if above else name.name

    def directory(self, reference: int) -> str | None:
        """The path of a directory by its reference; "" is the root."""
        chain: list[tuple[int, str]] = []
        found: str | None = ""
        while reference & attribute_records.REFERENCE_MASK != ROOT:
            if reference in self._known:
                found = self._known[reference]
                break
            number = reference & attribute_records.REFERENCE_MASK
            if number == _EXTEND:
                found = None
                break
            state = read_state(self._table, number)
            if (
                state is None
                or not state.is_directory
                or not state.names
                or state.sequence != reference >> 48
                or len(chain) > _MAXIMUM_DEPTH
            ):
                raise attribute_records.damaged(
                    self._table.raw.what, f"a file lies in a directory (file record {number}) that does not exist"
                )
            chain.append((reference, state.names[0].name))
            reference = state.names[0].parent
        if len(self._known) > 200_000:
            self._known.clear()
        for key, name in reversed(chain):
            found = None if found is None else f"{found}/{name}" if found else name
            self._known[key] = found
        return found
