# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the REST API of Horizon, in the form of one version, and checks of requests and responses.

``contract.json`` describes all versions; its entry ``about`` explains the format.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .contract_types import Enumeration, Field, Named, Record, Scalar, Type, entries, known, parse_type

DOCUMENT = pathlib.Path(__file__).with_name("contract.json")
VERSIONS = ("2206", "2312", "2406", "2512")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Parameter:
    """A query parameter."""

    type: Type
    required: bool


@dataclass(frozen=True)
class Operation:
    """An operation of one version: ``path`` is below /rest and contains arguments in braces.

    ``answers`` gives the type of the body for each declared status, None where the documents describe no body.
    ``undeclared`` gives the reason for each status that real servers answer although the official documents do not declare it.
    ``filters`` are the fields of a list that a filter can compare.
    """

    method: str
    path: str
    query: dict[str, Parameter]
    body: Type | None
    body_required: bool
    answers: dict[int, Type | None]
    undeclared: dict[int, str]
    filters: frozenset[str]
    pattern: re.Pattern[str] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def check_request(self, query: Mapping[str, str], body: Any) -> list[str]:
        """Return what is wrong with the query parameters and the body; None is a missing body."""
        problems = [
            f"query/{name}: is missing" for name, item in self.query.items() if item.required and name not in query
        ]
        for name, value in query.items():
            if name not in self.query:
                problems.append(f"query/{name}: is not a parameter of {self}")
            else:
                problems += self.query[name].type.problems(_typed(self.query[name].type, value), f"query/{name}")
        if body is None:
            return problems + (["body: is missing"] if self.body_required else [])
        if self.body is None:
            return [*problems, f"body: {self} has none"]
        return problems + list(self.body.problems(body, "body"))

    def check_response(self, status: int, body: Any) -> list[str]:
        """Return what is wrong with a response; None is an empty body. The body of an error is not checked."""
        if status not in self.answers and status not in self.undeclared:
            return [f"status: {self} does not declare {status}"]
        expected = self.answers.get(status)
        if expected is not None:
            return list(expected.problems(body, "body"))
        return [f"body: {self} has none with status {status}"] if status < 300 and body is not None else []

    def fill(self, body: Any, status: int = 200) -> Any:
        """Return ``body``, written for the newest version, in the form of this version.

        Fields of other versions are removed, required fields are added, and values that an enumeration does not have yet become UNKNOWN.
        """
        expected = self.answers.get(status)
        return body if expected is None or body is None else expected.adapted(body)


class Contract:
    """The operations of one version of Horizon."""

    def __init__(self, version: str, operations: list[Operation], names: Mapping[str, Named]):
        self.version = version
        self.operations = operations
        self.names = names

    @classmethod
    def load(cls, version: str = VERSIONS[-1]) -> Contract:
        """Read the contract of ``version``, such as 2406.

        :raises ValueError: if the version is older than the oldest supported version.
        """
        document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
        if version < document["oldest"]:
            raise ValueError(f"The contract begins with Horizon {document['oldest']}, not {version}.")
        names = _named_types(document, version)
        operations = [
            _operation(mark, entry, version, names)
            for mark, entry in document["operations"].items()
            if known(mark, version)
        ]
        return cls(version, operations, names)

    def match(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation of ``path`` (below /rest, without query) and the arguments in the path."""
        for operation in self.operations:
            if operation.method == method.upper():
                found = operation.pattern.fullmatch(path)
                if found:
                    return operation, found.groupdict()
        return None

    def methods(self, path: str) -> list[str]:
        """Return the methods that ``path`` supports."""
        return sorted({operation.method for operation in self.operations if operation.pattern.fullmatch(path)})


def _typed(kind: Type, value: str) -> object:
    """Return the text of a query parameter as the JSON value that ``kind`` expects, if it has that form."""
    if isinstance(kind, Scalar) and kind.name == "boolean":
        return _BOOLEANS.get(value.lower(), value)
    if isinstance(kind, Scalar) and kind.name.startswith("int") and re.fullmatch(r"-?\d+", value):
        return int(value)
    return value


def _named_types(document: dict, version: str) -> dict[str, Named]:
    names: dict[str, Named] = {}
    for name, text in document["enumerations"].items():
        every = tuple(word.partition("@")[0] for word in text.split())
        names[name] = Enumeration(name, tuple(entries(text, version)), every)
    for name, fields in document["records"].items():
        names[name] = Record(name, {}, frozenset(_name(mark) for mark in fields))
    for name, fields in document["records"].items():
        record = names[name]
        if isinstance(record, Record):
            record.fields.update(_fields(fields, version, names))
    return names


def _fields(fields: dict, version: str, names: Mapping[str, Named]) -> Iterator[tuple[str, Field]]:
    for mark, entry in fields.items():
        if not known(mark, version):
            continue
        entry = entry if isinstance(entry, dict) else {"type": entry}
        kind, flags = parse_type(entry["type"], version, names)
        official = None
        if "official" in entry:
            other, their_flags = parse_type(entry["official"], version, names)
            official = other, "required" in their_flags
        yield _name(mark), Field(kind, "required" in flags, official, entry.get("reason", ""))


def _operation(mark: str, entry: dict, version: str, names: Mapping[str, Named]) -> Operation:
    method, path = _name(mark).split(" ")
    query = {}
    for parameter, text in entry.get("query", {}).items():
        if known(parameter, version):
            kind, flags = parse_type(text, version, names)
            query[_name(parameter)] = Parameter(kind, "required" in flags)
    body, body_flags = parse_type(entry["body"], version, names) if "body" in entry else (None, {"optional"})
    answers: dict[int, Type | None] = {int(status): None for status in entries(entry["statuses"], version)}
    for status, text in entry.get("answer", {}).items():
        answers[int(status)] = parse_type(text, version, names)[0]
    pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))
    undeclared = {int(status): reason for status, reason in entry.get("undeclared", {}).items()}
    filters = frozenset(entries(entry.get("filters", ""), version))
    return Operation(method, path, query, body, "optional" not in body_flags, answers, undeclared, filters, pattern)


def _name(mark: str) -> str:
    return mark.partition("@")[0]
