# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Join changes that two layers made to one value: the value before, its current state, and its state in the layer."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Sequence

from . import upcase
from .delta import Before, ValueDelta
from .hive_items import Value
from .merge_rules import COUNTER, MULTI_STRING, SEPARATED, VERSION, Rule
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

# A list of more items than any list of Windows contains other data.
_MAXIMUM_ITEMS = 4096

_VERSION = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20}){0,7}", re.ASCII)

Content = tuple[int, bytes]


def merge_value(
    rule: Rule, before: Before | None, current: Content | None, after: ValueDelta
) -> tuple[bool, Content | None]:
    """Join the change ``before`` to ``after`` into ``current``; return (whether that was possible, the result).

    Joining is not possible if a value is not of the rule's kind, was too large to be kept, or was removed
    by the layer. A counter may be removed. Of two versions, the higher is the result.
    """
    old: Content | None = None
    if before is not None:
        if before.data is None:
            return False, current
        old = before.type, before.data
    new = None if after.data is None else (after.type, after.data)
    if rule.kind == COUNTER:
        return _count(old, current, new)
    if rule.kind == VERSION:
        # A layer that changes exactly this version has replaced or removed it: its files are gone, so that a lower version remains.
        replaces = new is not None and old is not None and current == old
        return (True, new) if replaces else _newest(current, new)
    if new is None or (current is None and old is not None) or rule.kind not in (SEPARATED, MULTI_STRING):
        return False, current
    lists = []
    for content in (old, current, new):
        items = _items(rule, content)
        if items is None or len(items) > _MAXIMUM_ITEMS:
            return False, current
        lists.append(items)
    fold = _path_fold if ";" in rule.separator else _fold
    return True, _encoded(rule, merge_lists(lists[0], lists[1], lists[2], fold=fold), current, new)


def merge_lists(
    before: Sequence[str], current: Sequence[str], after: Sequence[str], *, fold: Callable[[str], str]
) -> list[str]:
    """Apply the change from list ``before`` to ``after`` to ``current``.

    Removed items are removed. An added item is inserted where it was added: at the beginning, at the end, or
    after the item that it follows. Items that changed their position move. An item that exists already is not
    added a second time; items are equal if ``fold`` returns the same for them.
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
    """Return the ``keys`` that can stay where they are while the others move, so that all have the order of ``position``."""
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
    last = chain[-1] if chain else None
    while last is not None:
        result.add(last)
        last = previous[last]
    return result


def _fold(item: str) -> str:
    return upcase.WINDOWS.fold(item.strip())


def _path_fold(item: str) -> str:
    text = _fold(item).replace('"', "")
    return text[:-1] if len(text) > 3 and text.endswith("\\") else text


def _items(rule: Rule, content: Content | None) -> list[str] | None:
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
            # Some programs continue reading after an empty text: the data there must not be lost.
            return None
        return items
    text = decode_string(value) if value.type in (REG_SZ, REG_EXPAND_SZ) else None
    return None if text is None else _split(text, rule.separator)


def _split(text: str, separators: str) -> list[str]:
    """Return the items of a text; a separator within double quotes is part of an item."""
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


def _encoded(rule: Rule, items: list[str], current: Content | None, new: Content) -> Content:
    if rule.kind == MULTI_STRING:
        return REG_MULTI_SZ, encode_multi_string(items)
    separator = rule.separator[0]
    text = separator.join(items)
    kind, data = current or new
    # Some lists end with their separator, and programs that read them may depend on it.
    model = decode_string(Value("", kind, data)) or ""
    if model.endswith(separator) and not text.endswith(separator):
        text += separator
    return REG_EXPAND_SZ if REG_EXPAND_SZ in (kind, new[0]) else kind, encode_string(text)


_WIDTHS = {REG_DWORD: 4, REG_DWORD_BIG_ENDIAN: 4, REG_QWORD: 8}


def _count(old: Content | None, current: Content | None, new: Content | None) -> tuple[bool, Content | None]:
    """Add the difference between ``old`` and ``new`` to ``current``. If the layer removed the value, zero removes it."""
    numbers = []
    for content in (old, current, new):
        if content is not None and content[0] not in _WIDTHS:
            return False, current
        number = 0 if content is None else decode_integer(Value("", *content))
        if number is None:
            return False, current
        numbers.append(number)
    kind = (new or current or old or (REG_DWORD, b""))[0]
    total = max(numbers[1] + numbers[2] - numbers[0], 0)
    if not total and new is None:
        return True, None
    width = _WIDTHS[kind]
    return True, (
        kind,
        min(total, (1 << 8 * width) - 1).to_bytes(width, "big" if kind == REG_DWORD_BIG_ENDIAN else "little"),
    )


def _newest(current: Content | None, new: Content | None) -> tuple[bool, Content | None]:
    """Return the higher of two versions."""
    if current is None or new is None:
        return new is not None, new or current
    versions = [_version(content) for content in (current, new)]
    if versions[0] is None or versions[1] is None:
        return False, current
    return True, new if versions[1] >= versions[0] else current


def _version(content: Content) -> tuple[int, ...] | None:
    """Return the numbers of a version such as 9.0.30729.1, without the zeros at the end; None for other texts."""
    text = decode_string(Value("", *content)) if content[0] in (REG_SZ, REG_EXPAND_SZ) else None
    if text is None or not _VERSION.fullmatch(text):
        return None
    numbers = [int(part) for part in text.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
