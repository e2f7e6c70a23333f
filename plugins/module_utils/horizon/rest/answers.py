# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed reads of the JSON that a Connection Server sends.

The JSON is untrusted: each read checks the type and the size of a value. Fields of an answer are optional in Horizon's API, so
that an object or a list that is missing reads as empty; only the values that a caller requires are reported when they are missing.
"""

from __future__ import annotations

from typing import Any

from ...common.errors import Corrupt

#: Bounds of a value: characters of a text, elements of a list, bits of a number.
_LONGEST_TEXT, _LONGEST_LIST, _NUMBER_BITS = 1 << 16, 200_000, 63
_HINT = "Run this playbook again. If the error repeats, set api_log and report the answer that the file contains."


class Answer:
    """A JSON object of an answer. ``where`` names it in errors, such as "the desktop pool sales"."""

    def __init__(self, value: Any, where: str, *, path: str = "") -> None:
        """Take a decoded JSON value; ``path`` names the field of the answer that has it, if it is not the answer itself.

        Raises:
            Corrupt: ``horizon.answer`` if the value is not an object.
        """
        self.where = where
        self._path = path
        if not isinstance(value, dict):
            raise self._wrong(path, value, "an object")
        #: The object as Horizon sent it, for reports about unknown states.
        self.raw: dict[str, Any] = value

    def __repr__(self) -> str:
        return f"Answer({self.where!r})"

    def __contains__(self, key: str) -> bool:
        return self.raw.get(key) is not None

    def text(self, key: str) -> str:
        """Return a text that must be there and not be empty. Raises Corrupt (horizon.answer)."""
        found = self.text_or_none(key)
        if not found:
            raise self._wrong(self._at(key), self.raw.get(key), "a text")
        return found

    def text_or_none(self, key: str) -> str | None:
        """Return a text, None if it is missing. Raises Corrupt (horizon.answer) for a value of a different type."""
        found = self.raw.get(key)
        if found is not None and (not isinstance(found, str) or len(found) > _LONGEST_TEXT):
            raise self._wrong(self._at(key), found, f"a text of at most {_LONGEST_TEXT} characters")
        return found

    def number(self, key: str) -> int:
        """Return a whole number that must be there. Raises Corrupt (horizon.answer)."""
        found = self.number_or_none(key)
        if found is None:
            raise self._wrong(self._at(key), None, "a whole number")
        return found

    def number_or_none(self, key: str) -> int | None:
        """Return a whole number, None if it is missing. Raises Corrupt (horizon.answer) for a value of a different type."""
        found = self.raw.get(key)
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if found is not None and (
            not isinstance(found, int) or isinstance(found, bool) or found.bit_length() > _NUMBER_BITS
        ):
            raise self._wrong(self._at(key), found, "a whole number of 64 bits")
        return found

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return a boolean, ``default`` if it is missing. Raises Corrupt (horizon.answer) for a value of a different type."""
        found = self.flag_or_none(key)
        return default if found is None else found

    def flag_or_none(self, key: str) -> bool | None:
        """Return a boolean, None if it is missing. Raises Corrupt (horizon.answer) for a value of a different type."""
        found = self.raw.get(key)
        if found is not None and not isinstance(found, bool):
            raise self._wrong(self._at(key), found, "true or false")
        return found

    def record(self, key: str) -> Answer:
        """Return an object, empty if it is missing. Raises Corrupt (horizon.answer) for a value of a different type."""
        found = self.raw.get(key)
        return Answer({} if found is None else found, self.where, path=self._at(key))

    def record_or_none(self, key: str) -> Answer | None:
        """Return an object, None if it is missing. Raises Corrupt (horizon.answer) for a value of a different type."""
        return self.record(key) if key in self else None

    def records(self, key: str) -> list[Answer]:
        """Return a list of objects, empty if it is missing. Raises Corrupt (horizon.answer) for values of a different type."""
        return [
            Answer(element, self.where, path=f"{self._at(key)}[{number}]")
            for number, element in enumerate(self._elements(key))
        ]

    def texts(self, key: str) -> list[str]:
        """Return a list of texts, empty if it is missing. Raises Corrupt (horizon.answer) for values of a different type."""
        found = self._elements(key)
        for number, element in enumerate(found):
            if not isinstance(element, str) or len(element) > _LONGEST_TEXT:
                raise self._wrong(f"{self._at(key)}[{number}]", element, "a text")
        return found

    def _elements(self, key: str) -> list[Any]:
        found = self.raw.get(key)
        if found is None:
            return []
        if not isinstance(found, list) or len(found) > _LONGEST_LIST:
            raise self._wrong(self._at(key), found, f"a list of at most {_LONGEST_LIST} elements")
        return found

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _wrong(self, field: str, found: Any, expected: str) -> Corrupt:
        subject = f"The field {field} of {self.where}" if field else f"The answer of Horizon for {self.where}"
        return Corrupt(
            f"{subject} is {_shown(found)}, not {expected}.",
            code="horizon.answer",
            hint=_HINT,
            field=field,
            found=_shown(found),
        )


def records_of(value: Any, where: str) -> list[Answer]:
    """Return the objects of an answer that is a list; ``where`` names each object in errors.

    Raises:
        Corrupt: ``horizon.answer`` if the answer is not a list of objects.
    """
    return Answer({"list": value if value is not None else 0}, where).records("list")


def _shown(value: Any) -> str:
    """Return a short text for a value of an unexpected type. Its content may be long, and is not worth showing."""
    if value is None:
        return "missing"
    if isinstance(value, (bool, int, float)):
        return str(value).lower() if not isinstance(value, int) or value.bit_length() <= 128 else "a very large number"
    if isinstance(value, str):
        return repr(value) if len(value) <= 80 else f"a text of {len(value)} characters"
    return f"a list of {len(value)} elements" if isinstance(value, list) else "an object"
