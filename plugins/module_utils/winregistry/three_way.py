# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Join changes that two layers made to one value: what it was before, what it is now, what a layer made of it."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

from . import upcase
from .delta import Before, ValueDelta
from .hive_model import Value
from .merge_rules import COUNTER, MULTI_STRING, SEPARATED, Rule
from .registry_values import (
    REG_DWORD,
    REG_DWORD_BIG_ENDIAN,
    REG_EXPAND_SZ,
    REG_MULTI_SZ,
    REG_QWORD,
    REG_SZ,
    decode_integer,
    decode_multi_string,
    decode_string,
    encode_multi_string,
    encode_string,
)

# A list of more items than any that Windows has is data of another kind.
_MAXIMUM_ITEMS = 4096


def merge_value(
    rule: Rule, before: Before | None, current: tuple[int, bytes] | None, after: ValueDelta
) -> tuple[bool, tuple[int, bytes] | None]:
    """Join the change ``before`` to ``after`` into ``current``; return (whether that was possible, the result).

    Not possible: a value that is neither there as the rule says nor absent, one that was too large
    to be kept, or one that the layer removed, unless it is counted.
    """
    if before is not None and before.data is None:
        return False, current
    was = None if before is None else (before.type, before.data)
    now = None if after.data is None else (after.type, after.data)
    if rule.kind == COUNTER:
        return _count(was, current, now)
    if now is None or current is None and was is not None:
        return False, current
    if rule.kind not in (SEPARATED, MULTI_STRING):
        return False, current
    lists = [_items(rule, content) for content in (was, current, now)]
    if any(items is None or len(items) > _MAXIMUM_ITEMS for items in lists):
        return False, current
    merged = merge_lists(*lists, fold=_path_fold if ";" in rule.separator else _fold)
    return True, _encoded(rule, merged, current, now)


def merge_lists(
    before: Sequence[str], current: Sequence[str], after: Sequence[str], *, fold: Callable[[str], str]
) -> list[str]:
    """Apply the change from list ``before`` to ``after`` to ``current``.

    Removed items go; added ones come where they were added: before everything, at the end, or
    behind the item they followed. Items that changed their place move. What is already there is not
    added a second time; ``fold`` says which items are the same.
    """
    old: dict[str, int] = {}
    for index, item in enumerate(before):
        old.setdefault(fold(item), index)
    new: dict[str, str] = {}
    for item in after:
        new.setdefault(fold(item), item)
    kept = _longest_ascending([key for key in new if key in old], old)
    gone = {key for key in old if key not in new or key not in kept}
    result = [item for item in current if fold(item) not in gone]
    keys = [fold(item) for item in result]
    present = set(keys)
    anchors = [index for index, key in enumerate(new) if key in kept and key in present]
    last_anchor = anchors[-1] if anchors else -1
    at = 0
    for index, (key, item) in enumerate(new.items()):
        if key in present:
            at = keys.index(key) + 1
        elif key not in kept:
            if index > last_anchor:
                at = len(keys)
            result.insert(at, item)
            keys.insert(at, key)
            present.add(key)
            at += 1
    return result


def _longest_ascending(keys: list[str], position: dict[str, int]) -> set[str]:
    """Those of ``keys`` that need not move for all to have the order of ``position``."""
    ends: list[int] = []
    chain: list[str] = []
    previous: dict[str, str | None] = {}
    for key in keys:
        at = bisect.bisect_left(ends, position[key])
        previous[key] = chain[at - 1] if at else None
        if at == len(ends):
            ends.append(position[key])
            chain.append(key)
        else:
            ends[at], chain[at] = position[key], key
    result: set[str] = set()
    key = chain[-1] if chain else None
    while key is not None:
        result.add(key)
        key = previous[key]
    return result


def _fold(item: str) -> str:
    return upcase.WINDOWS.fold(item.strip())


def _path_fold(item: str) -> str:
    text = _fold(item).replace('"', "")
    return text[:-1] if len(text) > 3 and text.endswith("\\") else text


def _items(rule: Rule, content: tuple[int, bytes] | None) -> list[str] | None:
    if content is None:
        return []
    value = Value("", *content)
    if rule.kind == MULTI_STRING:
        items = decode_multi_string(value)
        if (
            items is not None
            and value.type == REG_MULTI_SZ
            and any(value.data[len(encode_multi_string(items)) : len(value.data) & ~1])
        ):
            # Some programs read on behind an empty text: what stands there must not get lost.
            return None
        return items
    text = decode_string(value) if value.type in (REG_SZ, REG_EXPAND_SZ) else None
    return None if text is None else _split(text, rule.separator)


def _split(text: str, separators: str) -> list[str]:
    """The items of a text; a separator within double quotes is part of an item."""
    if '"' not in text and len(separators) == 1:
        items = text.split(separators)
    else:
        items, quoted, start = [], False, 0
        for index, character in enumerate(text):
            if character == '"':
                quoted = not quoted
            elif character in separators and not quoted:
                items.append(text[start:index])
                start = index + 1
        items.append(text[start:])
    return [item for item in items if item.strip()]


def _encoded(
    rule: Rule, items: list[str], current: tuple[int, bytes] | None, now: tuple[int, bytes] | None
) -> tuple[int, bytes] | None:
    types = [content[0] for content in (current, now) if content is not None]
    if rule.kind == MULTI_STRING:
        return REG_MULTI_SZ, encode_multi_string(items)
    separator = rule.separator[0]
    text = separator.join(items)
    # Some lists end with their separator, and what reads them may count on it.
    model = decode_string(Value("", *(current or now)))
    if model.endswith(separator) and not text.endswith(separator):
        text += separator
    return REG_EXPAND_SZ if REG_EXPAND_SZ in types else types[0], encode_string(text)


_WIDTHS = {REG_DWORD: 4, REG_DWORD_BIG_ENDIAN: 4, REG_QWORD: 8}


def _count(
    was: tuple[int, bytes] | None, current: tuple[int, bytes] | None, now: tuple[int, bytes] | None
) -> tuple[bool, tuple[int, bytes] | None]:
    """Add to ``current`` what a layer added; a count of zero that a layer left by removing the value is no value."""
    numbers = []
    for content in (was, current, now):
        if content is not None and content[0] not in _WIDTHS:
            return False, current
        number = 0 if content is None else decode_integer(Value("", *content))
        if number is None:
            return False, current
        numbers.append(number)
    kind = (now or current or was or (REG_DWORD, b""))[0]
    total = max(numbers[1] + numbers[2] - numbers[0], 0)
    if not total and now is None:
        return True, None
    width = _WIDTHS[kind]
    return True, (
        kind,
        min(total, (1 << 8 * width) - 1).to_bytes(width, "big" if kind == REG_DWORD_BIG_ENDIAN else "little"),
    )
