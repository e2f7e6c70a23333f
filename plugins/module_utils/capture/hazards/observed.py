# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items that show a hazard: what was really added, as opposed to databases that Windows writes in each start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Items per hazard; further items are not kept.
_MAXIMUM = 10_000


class Observed:
    """Items by the name of their hazard, each once, in the order in which they were found."""

    def __init__(self) -> None:
        self._items: dict[str, dict[str, None]] = {}

    def add(self, hazard: str, item: str) -> None:
        """Add an item."""
        items = self._items.setdefault(hazard, {})
        if len(items) < _MAXIMUM:
            items[item] = None

    def items(self, hazard: str) -> list[str]:
        """Return the items of a hazard."""
        return list(self._items.get(hazard, ()))

    def without(self, expected: Mapping[str, Iterable[str]]) -> Observed:
        """Return the items that a noise profile does not have."""
        result = Observed()
        for hazard, items in self._items.items():
            known = set(expected.get(hazard, ()))
            for item in items:
                if item not in known:
                    result.add(hazard, item)
        return result

    def to_dict(self) -> dict[str, tuple[str, ...]]:
        """Return the items of all hazards."""
        return {hazard: tuple(items) for hazard, items in self._items.items()}
