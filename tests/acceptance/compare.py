# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two prefixes, file by file and key by key, and separate the differences that are allowed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import yaml

from ...plugins.module_utils.winregistry.hive_items import Value
from ...plugins.module_utils.winregistry.hive_model import Key
from . import wine, wine_registry
from .wine import Prefix

FILE, KEY, VALUE = "file", "key", "value"
_HIVE_NAMES = {wine.SYSTEM: "HKLM", wine.USER_DEFAULTS: "HKCU", wine.SERVICE_DEFAULTS: "HKU\\.Default"}
_SHOWN = 120
_PIECE = 1 << 20


@dataclass(frozen=True)
class Difference:
    """``kind`` FILE, KEY or VALUE; ``path`` on C: with "/", or of a key with backslashes, a value's name behind "::"."""

    kind: str
    path: str
    description: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}: {self.description}"


@dataclass(frozen=True)
class Allowed:
    """Differences that are expected: ``*`` matches within a name, ``**`` any number of names.

    One that does not occur is no longer needed, unless it occurs only ``sometimes``.
    """

    kind: str
    path: str
    reason: str
    sometimes: bool = False

    def holds_for(self, difference: Difference) -> bool:
        if difference.kind != self.kind and not (self.kind == KEY and difference.kind == VALUE):
            return False
        pattern = re.escape(self.path).replace(r"\*\*", "\0").replace(r"\*", r"[^/\\]*").replace("\0", ".*")
        return (
            re.fullmatch(
                pattern + (r"(?:\\.*|::.*)?" if self.kind == KEY else ""), difference.path, re.IGNORECASE | re.DOTALL
            )
            is not None
        )


def load_allowed(path: str) -> list[Allowed]:
    """Return a list of a YAML file by its name: kind, path, reason."""
    with open(path, encoding="utf-8") as stream:
        return [Allowed(**entry) for entry in yaml.safe_load(stream)]


def split(differences: list[Difference], allowed: list[Allowed]) -> tuple[list[Difference], list[Allowed]]:
    """Return the differences that no permission allows, and the permissions that no difference needed."""
    used: set[Allowed] = set()
    left = []
    for difference in differences:
        fitting = [rule for rule in allowed if rule.holds_for(difference)]
        used.update(fitting)
        if not fitting:
            left.append(difference)
    return left, [rule for rule in allowed if rule not in used and not rule.sometimes]


def compare(expected: Prefix, found: Prefix) -> list[Difference]:
    """Return all differences of ``found`` and ``expected``, by path."""
    differences = compare_trees(expected.drive, found.drive)
    for name in wine.REGISTRY:
        differences += compare_keys(
            wine_registry.read(expected.read_registry(name)),
            wine_registry.read(found.read_registry(name)),
            _HIVE_NAMES[name],
        )
    return differences


# -- files


def compare_trees(expected: str, found: str) -> list[Difference]:
    """Return the differences of two host folders: existence, spelling, kind and content of files."""
    expected_tree, found_tree = _tree(expected), _tree(found)
    result = []
    for folded in sorted(expected_tree.keys() | found_tree.keys()):
        mine, other = expected_tree.get(folded), found_tree.get(folded)
        if other is None:
            result.append(Difference(FILE, mine, "missing"))
        elif mine is None:
            result.append(Difference(FILE, other, "not expected"))
        else:
            if mine != other:
                result.append(Difference(FILE, mine, f"spelled {other}"))
            description = _content_difference(os.path.join(expected, mine), os.path.join(found, other))
            if description:
                result.append(Difference(FILE, mine, description))
    return result


def _tree(folder: str) -> dict[str, str]:
    found = {}
    for above, folders, files in os.walk(folder):
        below = os.path.relpath(above, folder)
        for name in folders + files:
            path = name if below == "." else f"{below}/{name}"
            found[path.casefold()] = path
    return found


def _content_difference(expected: str, found: str) -> str | None:
    if os.path.isdir(expected) or os.path.isdir(found):
        kinds = ["folder" if os.path.isdir(path) else "file" for path in (expected, found)]
        return None if kinds[0] == kinds[1] else f"a {kinds[1]} instead of a {kinds[0]}"
    sizes = [os.path.getsize(path) for path in (expected, found)]
    if sizes[0] != sizes[1]:
        return f"{sizes[1]} bytes instead of {sizes[0]}"
    with open(expected, "rb") as first, open(found, "rb") as second:
        for start in range(0, sizes[0], _PIECE):
            mine, other = first.read(_PIECE), second.read(_PIECE)
            if mine != other:
                offset = next(number for number, (first, second) in enumerate(zip(mine, other)) if first != second)
                return f"other content from byte {start + offset} on"
    return None


# -- registry


def compare_keys(expected: Key, found: Key, path: str) -> list[Difference]:
    """Return the differences of two keys and all their subkeys, except times, security and the order of values."""
    result = []
    if expected.class_name != found.class_name:
        result.append(Difference(KEY, path, f"class {found.class_name!r} instead of {expected.class_name!r}"))
    if expected.is_symbolic_link != found.is_symbolic_link:
        result.append(Difference(KEY, path, "a link" if found.is_symbolic_link else "no link"))
    for name in sorted({*expected.values, *found.values}, key=str.upper):
        mine, other = expected.value(name), found.value(name)
        where = f"{path}::{name or '(default)'}"
        if other is None:
            result.append(Difference(VALUE, where, f"missing, expected {show(mine)}"))
        elif mine is None:
            result.append(Difference(VALUE, where, f"not expected: {show(other)}"))
        elif name == mine.name and (mine.type, mine.data, mine.name) != (other.type, other.data, other.name):
            spelled = f" (spelled {other.name})" if mine.name != other.name else ""
            result.append(Difference(VALUE, where, f"{show(other)}{spelled} instead of {show(mine)}"))
    for name in sorted({*expected.subkeys, *found.subkeys}, key=str.upper):
        mine, other = expected.key(name), found.key(name)
        where = f"{path}\\{name}"
        if other is None:
            result.append(Difference(KEY, where, "missing"))
        elif mine is None:
            result.append(Difference(KEY, where, "not expected"))
        elif name == mine.name:
            if mine.name != other.name:
                result.append(Difference(KEY, where, f"spelled {other.name}"))
            result += compare_keys(mine, other, where)
    return result


def show(value: Value) -> str:
    """Return a value as readable text."""
    if value.type in (1, 2, 7) and len(value.data) % 2 == 0:
        text = repr(value.data.decode("utf-16-le", "replace").rstrip("\0"))
    elif value.type == 4 and len(value.data) == 4:
        text = str(int.from_bytes(value.data, "little"))
    else:
        text = f"{value.data[:32].hex(' ')}{'...' if len(value.data) > 32 else ''}"
    kind = {1: "REG_SZ", 2: "REG_EXPAND_SZ", 3: "REG_BINARY", 4: "REG_DWORD", 7: "REG_MULTI_SZ", 11: "REG_QWORD"}.get(
        value.type, f"type {value.type:#x}"
    )
    return f"{kind} {text[:_SHOWN]}{'...' if len(text) > _SHOWN else ''}"
