# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of the contract: scalars, enumerations, lists and records that check and adapt JSON values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

_PYTHON = {"string": str, "boolean": bool, "int32": int, "int64": int, "double": (int, float)}
_BITS = {"int32": 31, "int64": 63}
_LEAST: dict[str, object] = {"string": "", "boolean": False, "int32": 0, "int64": 0, "double": 0}
_RANGE = re.compile(r"(\d+)\.\.(\d*)")


class Type(Protocol):
    """A type of a JSON value."""

    def problems(self, value: object, where: str) -> Iterator[str]:
        """Yield what is wrong with ``value``, which is at the path ``where``."""

    def adapted(self, value: Any) -> Any:
        """Return ``value`` in the form that this version has."""

    def least(self) -> Any:
        """Return the smallest value of the type."""


@dataclass(frozen=True)
class Scalar:
    """A string, boolean, int32, int64 or double; a number may have limits."""

    name: str
    low: int | None = None
    high: int | None = None

    def problems(self, value: object, where: str) -> Iterator[str]:
        """Yield a sentence if ``value`` has another type or is out of range."""
        if not isinstance(value, _PYTHON[self.name]) or isinstance(value, bool) != (self.name == "boolean"):  # type: ignore[arg-type]
            yield f"{where}: expected {self.name}, found {value!r:.80}"
            return
        if not isinstance(value, int) or self.name not in _BITS:
            return
        limit = 1 << _BITS[self.name]
        low, high = -limit if self.low is None else self.low, limit - 1 if self.high is None else self.high
        if not low <= value <= high:
            yield f"{where}: expected {low} to {high}, found {value}"

    def adapted(self, value: Any) -> Any:
        """Return ``value``."""
        return value

    def least(self) -> Any:
        """Return an empty string, False, 0 or the lower limit."""
        return _LEAST[self.name] if self.low is None else self.low


@dataclass(frozen=True)
class Enumeration:
    """A string of a fixed set; ``all_values`` contains those of all versions."""

    name: str
    values: tuple[str, ...]
    all_values: tuple[str, ...]

    def problems(self, value: object, where: str) -> Iterator[str]:
        """Yield a sentence if this version does not have ``value``."""
        if value not in self.values:
            yield f"{where}: expected a value of {self.name}, found {value!r:.80}"

    def adapted(self, value: Any) -> Any:
        """Return UNKNOWN for a value of another version, if this version has UNKNOWN."""
        if value in self.all_values and value not in self.values and "UNKNOWN" in self.values:
            return "UNKNOWN"
        return value

    def least(self) -> Any:
        """Return the first value."""
        return self.values[0]


@dataclass(frozen=True)
class ListOf:
    """A list of one type; ``unique`` refuses a value that occurs twice."""

    item: Type
    unique: bool = False

    def problems(self, value: object, where: str) -> Iterator[str]:
        """Yield the problems of the list and its items."""
        if not isinstance(value, list):
            yield f"{where}: expected a list, found {value!r:.80}"
            return
        for number, item in enumerate(value):
            yield from self.item.problems(item, f"{where}/{number}")
        if self.unique and len(value) != len({str(item) for item in value}):
            yield f"{where}: expected unique items"

    def adapted(self, value: Any) -> Any:
        """Return the list with adapted items."""
        return [self.item.adapted(item) for item in value] if isinstance(value, list) else value

    def least(self) -> Any:
        """Return an empty list."""
        return []


@dataclass(frozen=True)
class Field:
    """A field of a record; ``official`` is its type in the official documents if that differs, ``reason`` says why."""

    type: Type
    required: bool = False
    official: tuple[Type, bool] | None = None
    reason: str = ""


@dataclass
class Record:
    """An object with known fields; ``all_fields`` contains the names of those of all versions."""

    name: str
    fields: dict[str, Field] = field(default_factory=dict)
    all_fields: frozenset[str] = frozenset()

    def problems(self, value: object, where: str) -> Iterator[str]:
        """Yield missing and undeclared fields and the problems of their values."""
        if not isinstance(value, dict):
            yield f"{where}: expected {self.name}, found {value!r:.80}"
            return
        for name, known in self.fields.items():
            if name in value:
                yield from known.type.problems(value[name], f"{where}/{name}")
            elif known.required:
                yield f"{where}/{name}: is missing"
        for name in value:
            if name not in self.fields:
                yield f"{where}/{name}: is not a field of {self.name}"

    def adapted(self, value: Any) -> Any:
        """Return the record without fields of other versions and with all required fields."""
        if not isinstance(value, dict):
            return value
        result = {
            name: self.fields[name].type.adapted(item) if name in self.fields else item
            for name, item in value.items()
            if name in self.fields or name not in self.all_fields
        }
        for name, known in self.fields.items():
            if known.required and name not in result:
                result[name] = known.type.least()
        return result

    def least(self) -> Any:
        """Return a record with the required fields only."""
        return self.adapted({})


Named = Enumeration | Record


def known(mark: str, version: str) -> bool:
    """Return whether ``version`` is in the range after the @ of ``mark``: X, X@2309, X@..2306 or X@2309..2406."""
    first, dots, last = mark.partition("@")[2].partition("..")
    return (not first or version >= first) and (not dots or not last or version <= last)


def entries(text: str, version: str) -> list[str]:
    """Return the entries of ``text`` that ``version`` knows, without their marks."""
    return [word.partition("@")[0] for word in text.split() if known(word, version)]


def parse_type(text: str, version: str, names: Mapping[str, Named]) -> tuple[Type, set[str]]:
    """Return the type that ``text`` describes, and its flags: required, optional.

    :raises KeyError: if it names an unknown type.
    """
    name, low, high, flags = "", None, None, set()
    for word in entries(text, version):
        limits = _RANGE.fullmatch(word)
        if limits:
            low, high = int(limits[1]), int(limits[2]) if limits[2] else None
        elif word in ("required", "optional", "unique"):
            flags.add(word)
        else:
            name = word
    if name.startswith("["):
        item, _flags = parse_type(name[1:-1], version, names)
        return ListOf(item, "unique" in flags), flags
    return Scalar(name, low, high) if name in _PYTHON else names[name], flags
