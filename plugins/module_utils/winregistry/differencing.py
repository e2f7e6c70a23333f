# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's differencing hives: the form in which layers of Windows containers carry registry changes.

Such a hive (version 1.6, ``Hives/System_Delta`` and the like) lies upon a parent: its key nodes
say whether they add to the parent's key, delete it, hide what it holds itself, or stand for the whole
tree, and values may be marks that the parent's value is deleted. Source: "Windows registry file
format specification" by Maxim Suhanov, "Layered keys"; what that leaves open (which side's
spelling and security count) follows hives that Windows made.
"""

from __future__ import annotations

from ..common.errors import InvalidInput
from . import cell_layout
from . import key_security as descriptors
from .delta import CARRIED_FLAGS, KEEP, REMOVE, REPLACE, Delta, KeyDelta, sets_something
from .delta_compute import compute_delta, created
from .hive_model import Hive, Key

VERSION = 6
# Base block flag of a hive that may hold layered keys.
LAYERED = 0x2


def is_differencing(hive: Hive) -> bool:
    """True for a hive that stands upon another one."""
    return hive.minor == VERSION


def merge_differencing(parent: Hive, layered: Hive) -> None:
    """Change ``parent`` into what Windows shows of ``layered`` upon it. Raises InvalidInput where ``layered`` is no differencing hive."""
    if not is_differencing(layered):
        raise InvalidInput(
            f"The registry hive {layered.name} is no differencing hive; its version is 1.{layered.minor}, not 1.{VERSION}.",
            code="winregistry.differencing",
        )
    stack = [(parent.root, layered.root)]
    _take_over(parent.root, layered.root)
    while stack:
        key, upper = stack.pop()
        for above in upper.subkeys.values():
            below = key.subkeys.get(above.name)
            semantics = above.layer_semantics
            if below is not None and semantics in (cell_layout.LAYER_TOMBSTONE, cell_layout.LAYER_SUPERSEDE_TREE):
                key.delete(above.name)
                below = None
            if semantics == cell_layout.LAYER_TOMBSTONE:
                continue
            if below is None:
                below = Key(above.name, security=above.security, last_written=above.last_written, context=key.context)
                key.add(below)
            elif semantics == cell_layout.LAYER_SUPERSEDE_LOCAL:
                for name in list(below.values):
                    below.delete_value(name)
            _take_over(below, above)
            stack.append((below, above))


def _take_over(key: Key, above: Key) -> None:
    """Lay the key node ``above`` upon ``key``: its values, its security and flags, the class unless inherited, the later time."""
    if not key.flags & cell_layout.KEY_HIVE_ENTRY:
        key.name = above.name
    key.security = above.security
    key.flags = key.flags & ~CARRIED_FLAGS | above.flags & CARRIED_FLAGS
    key.control = above.control
    key.predefined_handle = above.predefined_handle
    key.last_written = max(key.last_written, above.last_written)
    if not above.inherit_class:
        key.class_data = above.class_data
    for value in above.values.values():
        if not value.tombstone:
            laid = key.set_value(value.name, value.type, value.data)
            laid.name, laid.wide = value.name, value.wide
        elif value.name in key.values:
            key.delete_value(value.name)


def delta_from_differencing(base: Hive, layered: Hive, *, name: str) -> Delta:
    """Return the delta of the hive ``name`` that does to ``base`` what ``layered`` does; ``base`` is not altered.

    A key that stands for its whole tree replaces the one of ``base`` where there is one, so
    that what lower layers added to it goes, too.
    """
    result = Hive(base.root.copy(), base_block=bytes(base.base_block))
    merge_differencing(result, layered)
    delta = compute_delta(base, result, name=name)
    stack = [(base.root, result.root, layered.root, delta.root)]
    while stack:
        below, merged, above, node = stack.pop()
        fold = delta.upcase.fold
        for key in above.subkeys.values():
            folded = fold(key.name)
            old = below.subkeys.get(key.name)
            if old is None or key.layer_semantics == cell_layout.LAYER_TOMBSTONE:
                continue
            made = merged.subkeys[key.name]
            if key.layer_semantics == cell_layout.LAYER_SUPERSEDE_TREE:
                node.subkeys[folded] = created(made, REPLACE)
                continue
            child = node.subkeys.get(folded)
            if child is None:
                child = node.subkeys[folded] = KeyDelta(made.name)
            stack.append((old, made, key, child))
    delta.prune()
    return delta


def differencing_from_delta(base: Hive, delta: Delta, *, name: str = "") -> Hive:
    """Return the differencing hive that does to ``base`` what ``delta`` does; ``name`` is the file name it holds.

    Key nodes that only lead to others repeat security, flags and time of ``base``, as those that Windows makes.
    """
    hive = Hive.new(
        name,
        minor=VERSION,
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
            if below.action == REMOVE:
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
            made = key.set_value(value.name, value.type, value.data)
            made.wide = value.wide
            present = None if old is None else old.value(value.name)
            if present is not None and not value.renamed:
                made.name, made.wide = present.name, present.wide
        elif old is not None:
            made = key.set_value(value.name, 0, b"")
            made.tombstone = True
