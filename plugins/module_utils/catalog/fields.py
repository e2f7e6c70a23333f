# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding of stored documents: each read of a field checks its type, and an error names the document and the field.

A document that an earlier version wrote may lack keys that were added later. A document that a
newer version wrote may have keys that this version does not know. ``Stored`` keeps track of both,
so that ``to_dict`` returns exactly the document that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from ..common.errors import Corrupt, StrataError
from ..layers.layer_version import LayerReference
from ..repository.blobs import is_digest

T = TypeVar("T")
_NAMES = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "an integer", float: "a number"}


@dataclass(frozen=True)
class DocumentName:
    """The kind and the name under which a document is stored; errors name them."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.name!r}"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The parts of a JSON object that a typed document keeps in addition to its fields.

    ``unrecognized`` holds keys that this version does not know. ``omitted`` holds the keys that the
    object lacks because an earlier version wrote it, with the values that the fields got instead.
    """

    unrecognized: Mapping[str, object] = field(default_factory=dict, hash=False)
    omitted: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    def _complete(self, fields: dict[str, object]) -> dict[str, Any]:
        """Return the JSON object: ``fields`` without omitted keys that still have their default, and the unknown keys."""
        omitted = self.omitted
        kept = {key: value for key, value in fields.items() if key not in omitted or omitted[key] != value}
        return kept | dict(self.unrecognized)


def without_none(**fields: object) -> dict[str, object]:
    """Return the fields that are set: a document has a field that was added later only if it has a value."""
    return {key: value for key, value in fields.items() if value is not None}


class Fields:
    """The fields of one JSON object of a stored document.

    Every method raises Corrupt (``catalog.field``) when the field is missing or has another type. The
    methods with a ``default`` accept a missing key, which documents of earlier versions may lack.
    """

    def __init__(self, value: object, document: DocumentName, path: str = "") -> None:
        self.document = document
        self._path = path
        if not isinstance(value, dict):
            raise self._error(path, "an object", value)
        self._values = value
        self._read: set[str] = set()
        self.omitted: dict[str, object] = {}

    def text(self, key: str) -> str:
        """Return a text that must be present."""
        return self._typed(key, str)

    def digest(self, key: str) -> str:
        """Return the digest of a blob, which must be present."""
        value = self.text(key)
        if not is_digest(value):
            raise self._error(self._at(key), 'a digest ("sha256:" and 64 hexadecimal digits)', value)
        return value

    def text_or_none(self, key: str) -> str | None:
        """Return a text or None; the key must be present."""
        return self._typed_or_none(key, str)

    def text_if_present(self, key: str) -> str | None:
        """Return a text, or None when the key is missing; null is not accepted."""
        return self.text(key) if self.has(key) else None

    def number(self, key: str) -> int:
        """Return an integer that must be present."""
        return self._typed(key, int)

    def number_or_none(self, key: str) -> int | None:
        """Return an integer or None; the key must be present."""
        return self._typed_or_none(key, int)

    def flag(self, key: str) -> bool:
        """Return a boolean that must be present."""
        return self._typed(key, bool)

    def json(self, key: str) -> dict[str, Any]:
        """Return a JSON object whose fields are not part of the document's format."""
        return self._typed(key, dict)

    def json_or_none(self, key: str) -> dict[str, Any] | None:
        """Return a JSON object whose fields are not part of the document's format, or None."""
        return self._typed_or_none(key, dict)

    def json_list(self, key: str) -> tuple[dict[str, Any], ...]:
        """Return a list of JSON objects whose fields are not part of the document's format."""
        return tuple(self._each(key, dict))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(self._each(key, str))

    def pairs(self, key: str) -> tuple[tuple[int, int], ...]:
        """Return a list of pairs of integers."""
        pairs = []
        for number, pair in enumerate(self._each(key, list)):
            if len(pair) != 2 or not all(_is(item, int) for item in pair):
                raise self._error(f"{self._at(key)}[{number}]", "a pair of integers", pair)
            pairs.append((pair[0], pair[1]))
        return tuple(pairs)

    def text_map(self, key: str) -> dict[str, str]:
        """Return an object whose values are texts."""
        values = self._typed(key, dict)
        for name, value in values.items():
            if not isinstance(value, str):
                raise self._error(f"{self._at(key)}[{name}]", "text", value)
        return values

    def record(self, key: str) -> Fields:
        """Return the fields of an object that must be present."""
        return Fields(self._required(key), self.document, self._at(key))

    def record_or_none(self, key: str) -> Fields | None:
        """Return the fields of an object, or None; the key must be present."""
        value = self._required(key)
        return None if value is None else Fields(value, self.document, self._at(key))

    def records(self, key: str) -> list[Fields]:
        """Return the fields of each object of a list."""
        values = self._typed(key, list)
        return [Fields(value, self.document, f"{self._at(key)}[{number}]") for number, value in enumerate(values)]

    def record_map(self, key: str) -> dict[str, Fields]:
        """Return the fields of each object of an object of objects."""
        values = self._typed(key, dict)
        return {name: Fields(value, self.document, f"{self._at(key)}[{name}]") for name, value in values.items()}

    def reference(self, key: str) -> LayerReference:
        """Return a reference to a layer version by digest."""
        return self._reference(self._required(key), self._at(key))

    def reference_or_none(self, key: str) -> LayerReference | None:
        """Return a reference to a layer version by digest, or None; the key must be present."""
        value = self._required(key)
        return None if value is None else self._reference(value, self._at(key))

    def references(self, key: str) -> tuple[LayerReference, ...]:
        """Return a list of references to layer versions by digest."""
        values = self._typed(key, list)
        return tuple(self._reference(value, f"{self._at(key)}[{number}]") for number, value in enumerate(values))

    def later(self, key: str, read: Callable[[str], T], default: T, stored: object = None) -> T:
        """Return ``read(key)``, or ``default`` when the key is missing: documents of earlier versions lack it.

        ``stored`` is the JSON value of ``default``.
        """
        if key in self._values:
            return read(key)
        self.omitted[key] = stored
        return default

    def has(self, key: str) -> bool:
        """Return whether the object has the key."""
        return key in self._values

    def unrecognized(self) -> dict[str, object]:
        """Return the keys that no method has read, with their values."""
        return {key: value for key, value in self._values.items() if key not in self._read}

    def refuse(self, key: str, expected: str) -> Corrupt:
        """Return the error for a field whose value is not ``expected``."""
        return self._error(self._at(key), expected, self._values.get(key))

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _required(self, key: str) -> object:
        self._read.add(key)
        if key not in self._values:
            raise self._damaged(f"the field {self._at(key)} is missing", self._at(key), "a value", "nothing")
        return self._values[key]

    def _typed(self, key: str, kind: type[T]) -> T:
        value = self._required(key)
        if not _is(value, kind):
            raise self._error(self._at(key), _NAMES[kind], value)
        return cast(T, value)

    def _typed_or_none(self, key: str, kind: type[T]) -> T | None:
        return None if self._required(key) is None else self._typed(key, kind)

    def _each(self, key: str, kind: type[T]) -> list[T]:
        values = self._typed(key, list)
        for number, value in enumerate(values):
            if not _is(value, kind):
                raise self._error(f"{self._at(key)}[{number}]", _NAMES[kind], value)
        return values

    def _reference(self, value: object, path: str) -> LayerReference:
        try:
            return LayerReference.from_dict(value)
        except StrataError:
            raise self._error(path, "a layer version with kind, name, version and digest", value) from None

    def _error(self, path: str, expected: str, value: object) -> Corrupt:
        found = _NAMES.get(type(value), "null" if value is None else type(value).__name__)
        if isinstance(value, str):
            found = repr(value[:40])
        return self._damaged(f"{path or 'its content'} is {found}, not {expected}", path, expected, found)

    def _damaged(self, problem: str, path: str, expected: str, found: str) -> Corrupt:
        return Corrupt(
            f"The document of the {self.document} is damaged: {problem}.",
            code="catalog.field",
            hint="Restore the document from a backup of the repository, or delete it.",
            kind=self.document.kind,
            name=self.document.name,
            field=path,
            expected=expected,
            found=found,
        )


def _is(value: object, kind: type) -> bool:
    # JSON booleans are Python integers.
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))
