# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that are alike, for errors about a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

#: Names that an error lists.
SHOWN = 10


def similar_names(name: str, existing: Iterable[str]) -> list[str]:
    """Return up to five existing names that differ from ``name`` in case or in few characters, most alike first."""
    folded: dict[str, list[str]] = {}
    for other in existing:
        folded.setdefault(other.casefold(), []).append(other)
    alike = difflib.get_close_matches(name.casefold(), folded, n=5, cutoff=0.7)
    return [other for key in alike for other in sorted(set(folded[key]))][:5]


def listed(names: Sequence[str]) -> str:
    """Return names for a sentence, at most SHOWN of them."""
    rest = len(names) - SHOWN
    return ", ".join(repr(name) for name in names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
