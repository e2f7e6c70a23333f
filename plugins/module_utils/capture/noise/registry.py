# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove from a registry delta the changes that Windows makes by itself."""

from __future__ import annotations

from typing import TypeVar

from ...layers.entry import printable
from ...winregistry.delta import CREATE, KEEP, KEPT_BEFORE, REMOVE, Before, Delta, KeyDelta, ValueDelta
from ...winregistry.hive_items import Value
from ...winregistry.merge_rules import COUNTER, MULTI_STRING, SEPARATED, Rules, compile_rules
from ...winregistry.registry_values import (
    REG_DWORD,
    REG_DWORD_BIG_ENDIAN,
    REG_EXPAND_SZ,
    REG_MULTI_SZ,
    REG_QWORD,
    REG_SZ,
    decode_integer,
    decode_multi_string,
    decode_string,
)
from ...winregistry.three_way import merge_value
from .similarity import is_alike, shape_of_name
from .subtraction import REASON, Subtraction, Verdict

_Item = TypeVar("_Item")
_Shapes = dict[str, list[_Item]]

_NUMBERS = (REG_DWORD, REG_DWORD_BIG_ENDIAN, REG_QWORD)
_TEXTS = (REG_SZ, REG_EXPAND_SZ)
_LISTS = (SEPARATED, MULTI_STRING, COUNTER)
#: Bounds for the comparison of keys under generated names: levels, subkeys of a key, and keys of the same shape.
_MAXIMUM_LEVELS, _MAXIMUM_SUBKEYS, _MAXIMUM_CANDIDATES = 64, 256, 64
#: Numbers below are settings and counts, numbers from here on times, identifiers and sizes.
_LARGE = 256


class DeltaSubtraction:
    """Compares the delta of a hive with that of the noise profile."""

    def __init__(self, delta: Delta, noise: Delta, state: Subtraction, rules: Rules | None = None) -> None:
        self._delta, self._noise, self._state = delta, noise, state
        self._lists = rules or compile_rules()
        self._shapes: dict[int, tuple[_Shapes[KeyDelta], _Shapes[ValueDelta]]] = {}

    def apply(self) -> None:
        """Remove changes from the delta and report them."""
        self._key("", self._delta.root, self._noise.root)
        self._delta.prune()

    def _key(self, path: str, key: KeyDelta, noise: KeyDelta) -> None:
        """Remove what ``noise`` has from a key that both change. Windows limits the depth of keys to 512."""
        if noise.action not in (KEEP, CREATE) or key.action not in (KEEP, CREATE):
            return
        if key.action == KEEP:
            _drop_equal_attributes(key, noise)
        varying = self._values(path, key, noise)
        prefix = f"{path}\\" if path else ""
        for folded, below in list(key.subkeys.items()):
            other = noise.subkeys.get(folded)
            if other is None:
                if self._is_generated(prefix + below.name, below, noise):
                    self._drop_key(prefix + below.name, key, folded)
                continue
            if below.action == REMOVE:
                if other.action == REMOVE:
                    self._drop_key(prefix + below.name, key, folded)
                continue
            self._key(prefix + below.name, below, other)
            if below.action == other.action == CREATE and not (below.values or below.subkeys):
                self._drop_key(prefix + below.name, key, folded)
        if key.action == KEEP and not key.values and not key.changes_attributes:
            key.forget_time()
            key.order = None
        # A value that differs from that of the profile, next to values of the installer, may be a value of the installer.
        if key.values:
            shown = (printable(f"{self._delta.hive}\\{prefix}{name or '(default)'}") for name in varying)
            self._state.doubtful += [f"value {name}" for name in shown]

    def _drop_key(self, path: str, parent: KeyDelta, folded: str) -> None:
        if self._state.overrides.key(self._delta.hive, path):
            return
        del parent.subkeys[folded]
        self._state.left_out.add("key", REASON, printable(f"{self._delta.hive}\\{path}"))

    def _values(self, path: str, key: KeyDelta, noise: KeyDelta) -> list[str]:
        """Remove values from a key; return the names of those that vary."""
        varying = []
        for folded, value in list(key.values.items()):
            other = noise.values.get(folded) or self._generated_value(value, noise)
            if other is None:
                continue
            if self._state.overrides.value(self._delta.hive, path, value.name):
                continue
            if not value.same_effect(other) and self._joined(path, key, folded, other):
                continue
            verdict = _value_verdict(value, other)
            if verdict is Verdict.KEPT:
                continue
            del key.values[folded]
            self._report_value(path, value.name)
            if verdict is Verdict.VARIES:
                varying.append(value.name)
        return varying

    def _joined(self, path: str, key: KeyDelta, folded: str, noise: ValueDelta) -> bool:
        """Remove from a list, or a counter, what Windows added to it by itself; return whether the value is a list.

        The change from the list of the noise profile to that of the packaging machine is applied to the list before.
        """
        value = key.values[folded]
        rule = self._lists.find(self._delta.hive, path, value.name)
        if rule is None or rule.kind not in _LISTS or noise.data is None or len(noise.data) > KEPT_BEFORE:
            return False
        before = value.before
        if value.data is None or before is not None and before.data is None:
            return False
        content = None if before is None or before.data is None else (before.type, before.data)
        windows = Before(noise.type, len(noise.data), noise.data, None)
        joined, result = merge_value(rule, windows, content, value)
        if not joined or result is None:
            return False
        if result == content:
            del key.values[folded]
        elif result == (value.type, value.data):
            return True
        else:
            value.type, value.data = result
        self._report_value(path, value.name)
        return True

    def _report_value(self, path: str, name: str) -> None:
        prefix = f"{path}\\" if path else ""
        self._state.left_out.add("value", REASON, printable(f"{self._delta.hive}\\{prefix}{name or '(default)'}"))

    def _is_generated(self, path: str, key: KeyDelta, noise: KeyDelta) -> bool:
        """Return whether Windows created a key of the same content under another generated name in the profile."""
        shape = shape_of_name(key.name)
        if shape is None or key.action != CREATE or self._includes(path, key):
            return False
        candidates = self._of_shape(noise)[0].get(shape, [])
        return any(_same_key(key, other) for other in candidates[:_MAXIMUM_CANDIDATES])

    def _generated_value(self, value: ValueDelta, noise: KeyDelta) -> ValueDelta | None:
        """Return a value that the profile adds under another generated name and that has the same text or data, if any."""
        shape = shape_of_name(value.name)
        if shape is None or value.before is not None or value.data is None:
            return None
        for other in self._of_shape(noise)[1].get(shape, [])[:_MAXIMUM_CANDIDATES]:
            if value.same_effect(other) or value.type in _TEXTS and _is_alike(value, other):
                return other
        return None

    def _of_shape(self, noise: KeyDelta) -> tuple[_Shapes[KeyDelta], _Shapes[ValueDelta]]:
        """Return the keys and values that the profile adds to a key under generated names, by the shape of the name."""
        found = self._shapes.get(id(noise))
        if found is None:
            found = self._shapes[id(noise)] = {}, {}
            for key in noise.subkeys.values():
                if key.action == CREATE and (shape := shape_of_name(key.name)) is not None:
                    found[0].setdefault(shape, []).append(key)
            for value in noise.values.values():
                if value.before is None and (shape := shape_of_name(value.name)) is not None:
                    found[1].setdefault(shape, []).append(value)
        return found

    def _includes(self, path: str, key: KeyDelta) -> bool:
        """Return whether a user's rule or a database includes a key, or something below it."""
        overrides, hive = self._state.overrides, self._delta.hive
        return any(overrides.key(hive, f"{path}\\{below}" if below else path) for below, _key in key.walk())


def _drop_equal_attributes(key: KeyDelta, noise: KeyDelta) -> None:
    if key.security == noise.security:
        key.security = None
    if key.class_data == noise.class_data:
        key.class_data = None
    if key.flags == noise.flags:
        key.flags = None


def _value_verdict(value: ValueDelta, noise: ValueDelta) -> Verdict:
    """Return the verdict about a value that both the capture and the noise profile change."""
    if value.same_effect(noise):
        return Verdict.EQUAL
    if value.data is None or noise.data is None or value.type != noise.type:
        return Verdict.KEPT
    if (value.before is None) != (noise.before is None):
        return Verdict.KEPT
    if value.type in _NUMBERS:
        return Verdict.VARIES if _counts(value, noise) else Verdict.KEPT
    if value.type in _TEXTS or value.type == REG_MULTI_SZ:
        return Verdict.VARIES if _is_alike(value, noise) else Verdict.KEPT
    return Verdict.VARIES


def _counts(value: ValueDelta, noise: ValueDelta) -> bool:
    """Return whether a number varies by itself: a large number, or a counter that was moved on in both.

    A small number that is moved in opposite directions, or that did not exist before, is a setting.
    """
    found, other = _number(value.type, value.data), _number(noise.type, noise.data)
    if found is None or other is None:
        return False
    if min(found, other) >= _LARGE:
        return True
    before = value.before
    start = _number(before.type, before.data) if before is not None else None
    return start is not None and (start < found) == (start < other) and start not in (found, other)


def _number(kind: int, data: bytes | None) -> int | None:
    return decode_integer(Value("", kind, data)) if data is not None else None


def _is_alike(value: ValueDelta, noise: ValueDelta) -> bool:
    """Return whether two values are equal except for generated parts."""
    if value.same_effect(noise):
        return True
    if value.data is None or noise.data is None or value.type != noise.type:
        return False
    first, second = Value("", value.type, value.data), Value("", noise.type, noise.data)
    if value.type in _TEXTS:
        texts = decode_string(first), decode_string(second)
        return texts[0] is not None and texts[1] is not None and is_alike(texts[0], texts[1])
    if value.type == REG_MULTI_SZ:
        lists = decode_multi_string(first), decode_multi_string(second)
        if lists[0] is None or lists[1] is None or len(lists[0]) != len(lists[1]):
            return False
        return all(is_alike(item, other) for item, other in zip(lists[0], lists[1]))
    return value.type in _NUMBERS or len(value.data) == len(noise.data)


def _same_key(key: KeyDelta, noise: KeyDelta) -> bool:
    """Return whether two created keys have the same values and subkeys, except for generated parts.

    At least one text must be equal in shape: names and types alone do not show that Windows created both.
    """
    return _differs_only_in_generated_parts(key, noise) and any(
        value.type in _TEXTS for _path, below in key.walk() for value in below.values.values()
    )


def _differs_only_in_generated_parts(key: KeyDelta, noise: KeyDelta, level: int = 0) -> bool:
    if key.values.keys() != noise.values.keys() or len(key.subkeys) != len(noise.subkeys):
        return False
    if level == _MAXIMUM_LEVELS or len(key.subkeys) > _MAXIMUM_SUBKEYS:
        return False
    if not all(_is_alike(value, noise.values[folded]) for folded, value in key.values.items()):
        return False
    left = list(noise.subkeys.values())
    for folded, below in key.subkeys.items():
        shape = shape_of_name(below.name)
        match = next(
            (
                other
                for other in left
                if (noise.subkeys.get(folded) is other or shape is not None and shape_of_name(other.name) == shape)
                and _differs_only_in_generated_parts(below, other, level + 1)
            ),
            None,
        )
        if match is None:
            return False
        left.remove(match)
    return True
