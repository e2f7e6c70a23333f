# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a delta to a hive."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import cell_layout
from . import key_security as descriptors
from .delta import KEEP, REMOVE, REPLACE, Delta, KeyDelta, sets_something
from .hive_model import Hive, Key


@dataclass
class Applied:
    """The result of applying a delta. ``missing`` names keys that the delta changes or removes but the hive did not have."""

    keys_created: int = 0
    keys_changed: int = 0
    keys_removed: int = 0
    values_set: int = 0
    values_removed: int = 0
    missing: list[str] = field(default_factory=list)


def apply_delta(hive: Hive, delta: Delta) -> Applied:
    """Apply ``delta`` to ``hive`` and return what was done.

    If a key to change is missing, it is created when the delta sets something in it; it inherits the security of its
    parent. If a key to create exists, the content of the delta is added to it.
    """
    applied = Applied()
    fold = hive.root.context.upcase.fold
    _change(hive.root, delta.root, applied)
    stack = [("", hive.root, delta.root)]
    while stack:
        path, key, node = stack.pop()
        for below in node.subkeys.values():
            # Folded again: the hive may use the upcase table of its volume.
            child = key.subkeys.by_folded_name().get(fold(below.name))
            here = f"{path}\\{below.name}" if path else below.name
            if child is None and below.action in (KEEP, REMOVE):
                applied.missing.append(here)
                if below.action == REMOVE or not sets_something(below):
                    continue
            if child is not None and below.action in (REMOVE, REPLACE):
                key.delete(below.name)
                applied.keys_removed += 1
                if below.action == REMOVE:
                    continue
                child = None
            if child is None:
                child = Key(
                    below.name,
                    security=descriptors.inherit(key.security),
                    last_written=key.last_written,
                    context=key.context,
                )
                key.add(child)
                applied.keys_created += 1
            elif below.values or below.changes_attributes:
                applied.keys_changed += 1
            _change(child, below, applied)
            stack.append((here, child, below))
    return applied


def _change(key: Key, node: KeyDelta, applied: Applied) -> None:
    node.set_attributes(key)
    if key.flags & cell_layout.KEY_PREDEF_HANDLE:
        return
    values = key.values
    for value in node.values.values():
        existing = values.get(value.name)
        if value.data is None:
            if existing is not None:
                key.delete_value(value.name)
                applied.values_removed += 1
            continue
        changed = key.set_value(value.name, value.type, value.data)
        if existing is None or value.renamed:
            changed.name, changed.wide = value.name, value.wide
        applied.values_set += 1
    if node.order:
        key.order_values(node.order)
