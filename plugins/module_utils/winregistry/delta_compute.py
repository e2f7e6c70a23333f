# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two hives and return the delta that leads from the first to the second.

Access bits, which Windows sets while it starts, do not count as a change; neither does a time of last writing
alone. A key that was deleted and created again looks like a changed key: only .reg files and differencing hives
record the deletion.
"""

from __future__ import annotations

from ..common.errors import InvalidInput
from .delta import CARRIED_FLAGS, CREATE, REMOVE, Before, Delta, KeyDelta, ValueDelta
from .hive_model import Hive, Key


def compute_delta(base: Hive, changed: Hive, *, name: str = "") -> Delta:
    """Return the delta from ``base`` to ``changed``; neither is altered.

    ``name`` is the hive's name; if it is empty, the name stored in the file is used.

    Raises:
        InvalidInput: one of them is a differencing hive.
    """
    delta = Delta(name or changed.name.rpartition("\\")[2], table=changed.root.context.upcase)
    stack = [(base.root, changed.root, _Position(None, "", "", delta.root))]
    while stack:
        before, after, position = stack.pop()
        _check(before, delta.hive)
        _check(after, delta.hive)
        touched = _attributes(before, after, position)
        if not _same_values(before, after):
            touched |= _values(before, after, position, delta.hive)
        old, new = before.subkeys.by_folded_name(), after.subkeys.by_folded_name()
        for folded, key in new.items():
            other = old.get(folded)
            if other is not None:
                stack.append((other, key, _Position(position, folded, key.name)))
            else:
                position.node().subkeys[folded] = created(key, delta.hive)
                touched = True
        # If no key was created, different numbers show that a key was removed.
        if touched or len(old) != len(new):
            for folded, key in old.items():
                if folded not in new:
                    position.node().subkeys[folded] = KeyDelta(key.name, REMOVE)
                    touched = True
        if touched and before.last_written != after.last_written:
            position.node().last_written = after.last_written
    return delta


class _Position:
    """The position of a pair of keys in the delta. Its node is created when a change is recorded there."""

    __slots__ = ("parent", "folded", "name", "created")

    def __init__(self, parent: _Position | None, folded: str, name: str, created: KeyDelta | None = None) -> None:
        self.parent = self if parent is None else parent
        self.folded = folded
        self.name = name
        self.created = created

    @property
    def is_root(self) -> bool:
        return self.parent is self

    def node(self) -> KeyDelta:
        """Return the node, created with those above it if necessary. The root has its node from the beginning."""
        missing = []
        position = self
        while position.created is None:
            missing.append(position)
            position = position.parent
        node = position.created
        for below in reversed(missing):
            node.subkeys[below.folded] = below.created = node = KeyDelta(below.name)
        return node


def _check(key: Key, hive: str) -> None:
    if key.layer_semantics or key.inherit_class:
        raise InvalidInput(
            f"The registry hive {hive} with the key {key.name} is a differencing hive and cannot be compared.",
            code="winregistry.differencing",
            hint="Merge it with its parent hive first.",
        )


def flags_of(key: Key) -> tuple[int, int, int]:
    """Return the flags of a key as a delta carries them."""
    return key.flags & CARRIED_FLAGS, key.control, key.predefined_handle


def _attributes(before: Key, after: Key, position: _Position) -> bool:
    touched = False
    if before.security != after.security:
        position.node().security = after.security
        touched = True
    if before.class_data != after.class_data:
        position.node().class_data = after.class_data
        touched = True
    if flags_of(before) != flags_of(after):
        position.node().flags = flags_of(after)
        touched = True
    if before.name != after.name and not position.is_root:
        position.node().renamed = True
        touched = True
    return touched


def _same_values(before: Key, after: Key) -> bool:
    # Comparing the stored form takes a third of the time of decoding it.
    return list(before.encoded_values()) == list(after.encoded_values())


def _values(before: Key, after: Key, position: _Position, hive: str) -> bool:
    old, new = before.values.by_folded_name(), after.values.by_folded_name()
    changes: dict[str, ValueDelta] = {}
    for folded, value in new.items():
        other = old.get(folded)
        if value.tombstone or (other is not None and other.tombstone):
            _refuse_tombstone(after, value.name, hive)
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
        position.node().order = tuple(value.name for value in new.values())
    elif not changes:
        return False
    position.node().values = changes
    return True


def _refuse_tombstone(key: Key, name: str, hive: str) -> None:
    raise InvalidInput(
        f"The value {name or '(default)'} of the key {key.name} in the registry hive {hive} is a deletion marker of a differencing hive.",
        code="winregistry.differencing",
        hint="Merge the differencing hive with its parent hive first.",
    )


def created(key: Key, hive: str, action: int = CREATE) -> KeyDelta:
    """Return the delta that creates ``key`` of the hive ``hive`` and everything below it; ``action`` is that of the topmost key.

    Raises:
        InvalidInput: the key belongs to a differencing hive.
    """
    top = KeyDelta(key.name, action)
    stack = [(key, top)]
    while stack:
        source, node = stack.pop()
        _check(source, hive)
        node.security = source.security
        node.class_data = source.class_data
        node.flags = flags_of(source)
        node.last_written = source.last_written
        for folded, value in source.values.by_folded_name().items():
            if value.tombstone:
                _refuse_tombstone(source, value.name, hive)
            node.values[folded] = ValueDelta(value.name, value.type, value.data, wide=value.wide)
        for folded, below in source.subkeys.by_folded_name().items():
            node.subkeys[folded] = KeyDelta(below.name, CREATE)
            stack.append((below, node.subkeys[folded]))
    return top
