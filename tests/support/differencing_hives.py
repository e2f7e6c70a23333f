# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build differencing hives from deltas, as the inverse of what the engine reads."""

from __future__ import annotations

from ...plugins.module_utils.winregistry import cell_layout
from ...plugins.module_utils.winregistry import key_security as descriptors
from ...plugins.module_utils.winregistry.cell_layout import DIFFERENCING_VERSION
from ...plugins.module_utils.winregistry.delta import (
    CARRIED_FLAGS,
    KEEP,
    REMOVE,
    REPLACE,
    Delta,
    KeyDelta,
    sets_something,
)
from ...plugins.module_utils.winregistry.hive_model import Hive, Key

# Base block flag of a hive that may hold layered keys.
LAYERED = 0x2


def differencing_from_delta(base: Hive, delta: Delta, *, name: str = "") -> Hive:
    """Return the differencing hive with the effect of ``delta`` on ``base``; ``name`` is the file name stored in it.

    Key nodes on the way to a change repeat security, flags and time of ``base``, as the key nodes that Windows writes.
    """
    hive = Hive.new(
        name,
        minor=DIFFERENCING_VERSION,
        last_written=delta.root.last_written or base.root.last_written,
        security=base.root.security,
        root_name=base.root.name,
        table=base.root.context.upcase,
    )
    hive.flags = LAYERED
    _describe(hive.root, base.root, delta.root)
    hive.root.inherit_class = False
    hive.root.class_data = base.root.class_data if delta.root.class_data is None else delta.root.class_data
    stack: list[tuple[Key, Key | None, KeyDelta]] = [(hive.root, base.root, delta.root)]
    while stack:
        key, old, node = stack.pop()
        _values(key, old, node)
        for below in node.subkeys.values():
            under = None if old is None else old.subkeys.get(below.name)
            if under is None and (below.action == REMOVE or below.action == KEEP and not sets_something(below)):
                continue
            child = Key(
                below.name,
                security=descriptors.inherit(key.security),
                last_written=key.last_written,
                context=key.context,
            )
            if under is not None and below.action == REMOVE:
                child.security, child.last_written = under.security, under.last_written
                child.layer_semantics = cell_layout.LAYER_TOMBSTONE
            elif below.action == REPLACE or under is None:
                under = None
                _describe(child, None, below)
                child.layer_semantics = cell_layout.LAYER_SUPERSEDE_TREE
            else:
                _describe(child, under, below)
            key.add(child)
            if below.action != REMOVE:
                stack.append((child, under, below))
    return hive


def _describe(key: Key, old: Key | None, node: KeyDelta) -> None:
    if old is not None:
        key.name = old.name
        key.security, key.last_written, key.control, key.predefined_handle = (
            old.security,
            old.last_written,
            old.control,
            old.predefined_handle,
        )
        key.flags = key.flags & ~CARRIED_FLAGS | old.flags & CARRIED_FLAGS
        key.inherit_class = node.class_data is None
    node.set_attributes(key)


def _values(key: Key, old: Key | None, node: KeyDelta) -> None:
    for value in node.values.values():
        if value.data is not None:
            added = key.set_value(value.name, value.type, value.data)
            added.wide = value.wide
            present = None if old is None else old.value(value.name)
            if present is not None and not value.renamed:
                added.name, added.wide = present.name, present.wide
        elif old is not None:
            key.set_value(value.name, 0, b"").tombstone = True
