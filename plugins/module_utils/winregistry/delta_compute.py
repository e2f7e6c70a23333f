# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two hives: the delta that leads from one to the other.

Access bits, which Windows sets while it starts, are no change, nor is a lone time of last
writing. A key that was deleted and made anew cannot be told from one that was changed:
only .reg files and differencing hives say so.
"""

from __future__ import annotations

from ..common.errors import InvalidInput
from .delta import CARRIED_FLAGS, CREATE, REMOVE, Before, Delta, KeyDelta, ValueDelta
from .hive_model import Hive, Key


def compute_delta(base: Hive, changed: Hive, *, name: str = "") -> Delta:
    """Return what leads from ``base`` to ``changed``; neither is altered. ``name`` is the hive's name, else the one in the file.

    Raises InvalidInput when one of them is a differencing hive.
    """
    delta = Delta(name or changed.name.rpartition("\\")[2], table=changed.root.context.upcase)
    stack = [(base.root, changed.root, _Place(None, "", "", delta.root))]
    while stack:
        before, after, place = stack.pop()
        _check(before)
        _check(after)
        touched = _attributes(before, after, place)
        if not _same_values(before, after):
            touched |= _values(before, after, place)
        old, new = before.subkeys.by_folded_name(), after.subkeys.by_folded_name()
        for folded, key in new.items():
            other = old.get(folded)
            if other is not None:
                stack.append((other, key, _Place(place, folded, key.name)))
            else:
                place.node().subkeys[folded] = created(key)
                touched = True
        # Where no key was created, the numbers tell whether one is gone.
        if touched or len(old) != len(new):
            for folded, key in old.items():
                if folded not in new:
                    place.node().subkeys[folded] = KeyDelta(key.name, REMOVE)
                    touched = True
        if touched and before.last_written != after.last_written:
            place.node().last_written = after.last_written
    return delta


class _Place:
    """Where a pair of keys stands in the delta; its node is made when there is something to say."""

    __slots__ = ("parent", "folded", "name", "made")

    def __init__(self, parent: _Place | None, folded: str, name: str, made: KeyDelta | None = None) -> None:
        self.parent = parent
        self.folded = folded
        self.name = name
        self.made = made

    def node(self) -> KeyDelta:
        missing = []
        place = self
        while place.made is None:
            missing.append(place)
            place = place.parent
        for below in reversed(missing):
            below.made = place.made.subkeys[below.folded] = KeyDelta(below.name)
            place = below
        return self.made


def _check(key: Key) -> None:
    if key.layer_semantics or key.inherit_class:
        raise InvalidInput(
            f"The registry hive with the key {key.name} is a differencing hive, which has no changes of its own to compare.",
            code="winregistry.differencing",
            hint="Merge it with the hive that it belongs to first.",
        )


def flags_of(key: Key) -> tuple[int, int, int]:
    """The flags of a key as a delta carries them."""
    return key.flags & CARRIED_FLAGS, key.control, key.predefined_handle


def _attributes(before: Key, after: Key, place: _Place) -> bool:
    touched = False
    if before.security != after.security:
        place.node().security = after.security
        touched = True
    if before.class_data != after.class_data:
        place.node().class_data = after.class_data
        touched = True
    if flags_of(before) != flags_of(after):
        place.node().flags = flags_of(after)
        touched = True
    if before.name != after.name and place.parent is not None:
        place.node().renamed = True
        touched = True
    return touched


def _same_values(before: Key, after: Key) -> bool:
    # Comparing what is stored costs a third of decoding it.
    return list(before.encoded_values()) == list(after.encoded_values())


def _values(before: Key, after: Key, place: _Place) -> bool:
    old, new = before.values.by_folded_name(), after.values.by_folded_name()
    changes: dict[str, ValueDelta] = {}
    for folded, value in new.items():
        other = old.get(folded)
        if value.tombstone or (other is not None and other.tombstone):
            _refuse_tombstone(after, value.name)
        renamed = other is not None and (other.name != value.name or other.wide != value.wide)
        if other is None or renamed or other.type != value.type or other.data != value.data:
            changes[folded] = ValueDelta(
                value.name, value.type, value.data, Before.of(other), renamed=renamed, wide=value.wide
            )
    for folded, value in old.items():
        if folded not in new:
            changes[folded] = ValueDelta(value.name, 0, None, Before.of(value))
    order = [folded for folded in old if folded in new] + [folded for folded in new if folded not in old]
    if order != list(new):
        place.node().order = tuple(value.name for value in new.values())
    elif not changes:
        return False
    place.node().values = changes
    return True


def _refuse_tombstone(key: Key, name: str) -> None:
    raise InvalidInput(
        f"The registry key {key.name} holds a mark that its value {name or '(default)'} was deleted, as differencing hives do.",
        code="winregistry.differencing",
        hint="Merge the differencing hive with the hive that it belongs to first.",
    )


def created(key: Key, action: int = CREATE) -> KeyDelta:
    """The delta that makes ``key`` and all below it; ``action`` is that of the topmost key."""
    top = KeyDelta(key.name, action)
    stack = [(key, top)]
    while stack:
        source, node = stack.pop()
        _check(source)
        node.security = source.security
        node.class_data = source.class_data
        node.flags = flags_of(source)
        node.last_written = source.last_written
        for folded, value in source.values.by_folded_name().items():
            if value.tombstone:
                _refuse_tombstone(source, value.name)
            node.values[folded] = ValueDelta(value.name, value.type, value.data, wide=value.wide)
        for folded, below in source.subkeys.by_folded_name().items():
            node.subkeys[folded] = KeyDelta(below.name, CREATE)
            stack.append((below, node.subkeys[folded]))
    return top
