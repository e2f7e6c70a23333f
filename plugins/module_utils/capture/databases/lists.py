# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of lists (REG_MULTI_SZ) without the items that a layer does not contain."""

from __future__ import annotations

from collections.abc import Callable

from ...winregistry.delta import ValueDelta
from ...winregistry.hive_items import Value
from ...winregistry.registry_values import REG_MULTI_SZ, decode_multi_string, encode_multi_string


def without_items(value: ValueDelta, is_left_out: Callable[[str], bool]) -> ValueDelta | None:
    """Return the change of a list in which the items that are left out stay as they were, None if nothing is left of it."""
    before = _items(value.before.type, value.before.data) if value.before is not None else []
    after = _items(value.type, value.data)
    if not any(map(is_left_out, (*before, *after))):
        return value
    kept = [item for item in after if not is_left_out(item)]
    if kept == [item for item in before if not is_left_out(item)] and (value.before is not None or not kept):
        return None
    for number, item in enumerate(before):
        if is_left_out(item):
            # Items of the image stay behind the item that they followed.
            above = next((kept.index(other) + 1 for other in reversed(before[:number]) if other in kept), 0)
            kept.insert(above, item)
    return ValueDelta(
        value.name, REG_MULTI_SZ, encode_multi_string(kept), value.before, renamed=value.renamed, wide=value.wide
    )


def _items(kind: int, data: bytes | None) -> list[str]:
    return decode_multi_string(Value("", kind, data)) or [] if data is not None else []
