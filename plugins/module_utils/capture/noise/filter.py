# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Subtract a noise profile from a capture."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from ...winregistry.delta import Delta
from ...winregistry.delta_format import read_delta, write_delta
from ..path_changes import PathChanges
from ..rules import LeftOut
from .noise_profile import NoiseProfile
from .paths import PathSubtraction
from .registry import DeltaSubtraction
from .subtraction import Overrides, Subtraction


@dataclasses.dataclass(frozen=True)
class NoiseFilter:
    """Removes what a noise profile has from the paths and the deltas of a capture.

    ``overrides`` are the rules that the profile does not override. Of a database that the layer contains, everything or
    nothing is removed: a first subtraction from a copy shows the databases of which something remains.
    """

    profile: NoiseProfile
    overrides: Overrides
    paths: PathSubtraction

    def apply(self, changes: PathChanges, deltas: dict[str, Delta], left_out: LeftOut) -> list[str]:
        """Remove the changes, and the deltas in which nothing remains; return items that an installer may have changed."""
        trial = dataclasses.replace(changes, taken=dict(changes.taken), whiteouts=dict(changes.whiteouts))
        copies = {name: read_delta(write_delta(delta)) for name, delta in deltas.items()}
        self._subtract(trial, copies, Subtraction(self.overrides, LeftOut()))
        kept = frozenset(name for name in self._databases(trial, copies) if name)
        state = Subtraction(dataclasses.replace(self.overrides, kept=kept), left_out)
        self._subtract(changes, deltas, state)
        for name in [name for name, delta in deltas.items() if delta.is_empty]:
            del deltas[name]
        return state.doubtful

    def _subtract(self, changes: PathChanges, deltas: Mapping[str, Delta], state: Subtraction) -> None:
        self.paths.apply(changes, state)
        for name, delta in deltas.items():
            noise = self.profile.deltas.get(name)
            if noise is not None:
                DeltaSubtraction(delta, noise, state).apply()

    def _databases(self, changes: PathChanges, deltas: Mapping[str, Delta]) -> Iterator[str]:
        """Yield the databases that changes belong to, "" for a change that belongs to none."""
        for path in (*(taken.path for taken in changes.taken.values()), *changes.whiteouts.values()):
            yield self.overrides.database_of_file(path)
        for name, delta in deltas.items():
            for path, key in delta.walk():
                if not key.subkeys:
                    yield self.overrides.database_of_key(name, path)
                for value in key.values.values():
                    yield self.overrides.database_of_value(name, path, value.name)
