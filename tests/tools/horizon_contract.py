# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the project's contract of Horizon's REST API with the official documents of the vendor.

    python -m ansible_collections.strata.layering.tests.tools.horizon_contract FOLDER

FOLDER contains documents named after versions, such as 2406.json: Swagger 2.0 or OpenAPI 3.0, whole or trimmed.
They are published as docs/horizon-server/versions/VERSION/rest-api-swagger-docs.json in github.com/euc-dev/horizon-apis.
They are not part of this project, because the license terms of the repository and of the documents contradict each other.

Each difference is printed as ``VERSION: operation: problem``; the command returns 1 if there are any.
Requests are compared in both directions. Answers must have the contract's fields with the same types.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

from ..simulator_horizon.contract import Contract, Operation, Parameter
from ..simulator_horizon.contract_types import Enumeration, Field, ListOf, Record, Scalar, Type

FOLDER_VARIABLE = "STRATA_HORIZON_DOCUMENTS"
_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_FORMATS = {"int32", "int64", "double"}
#: The descriptions of fields name the filters; later versions have more of them.
_FILTER = re.compile(r"supported filters?[^']*'Equals'", re.IGNORECASE)
#: Types without a format; the parameters of pages have none since 2303.
_FORMATLESS = {"integer": "int32", "number": "double"}


def documents() -> list[pathlib.Path]:
    """Return the official documents in the folder of STRATA_HORIZON_DOCUMENTS or next to the checkout, oldest first."""
    folder = os.environ.get(FOLDER_VARIABLE) or _CHECKOUT.parent / "shared" / "data" / "horizon"
    return sorted(pathlib.Path(folder).glob("[0-9][0-9][0-9][0-9].json"))


class OfficialDocument:
    """An official document, read into the types of the contract."""

    def __init__(self, document: dict):
        schemas = (document.get("components") or {}).get("schemas") or document.get("definitions") or {}
        self._schemas: dict[str, dict] = schemas
        self._records: dict[str, Record] = {}
        self._paths = {path.removeprefix("/rest"): entry for path, entry in document["paths"].items()}

    @classmethod
    def read(cls, path: pathlib.Path) -> OfficialDocument:
        """Read a document from a JSON file."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def operation(self, method: str, path: str) -> dict | None:
        """Return the entry of an operation, None if this version does not have it."""
        return self._paths.get(path, {}).get(method.lower())

    def query(self, entry: dict) -> dict[str, Parameter]:
        """Return the query parameters of an operation."""
        return {
            item["name"]: Parameter(self._type(item.get("schema") or item), bool(item.get("required")))
            for item in entry.get("parameters", [])
            if item["in"] == "query"
        }

    def body(self, entry: dict) -> tuple[Type | None, bool | None]:
        """Return the type of the request body, and whether it is required, None if the document does not say."""
        for item in entry.get("parameters", []):
            if item["in"] == "body":
                return self._type(item["schema"]), item.get("required")
        if "requestBody" not in entry:
            return None, False
        return self._type(_content(entry["requestBody"])), entry["requestBody"].get("required")

    def answers(self, entry: dict) -> dict[int, Type | None]:
        """Return the type of the body for each numeric status."""
        found = {status: _content(answer) for status, answer in entry["responses"].items() if status.isdigit()}
        return {int(status): self._type(schema) if schema else None for status, schema in found.items()}

    def filters(self, entry: dict) -> set[str] | None:
        """Return the fields of a list that a filter can compare, None if the document has no descriptions."""
        schema = _content(entry["responses"].get("200", {}))
        record = self._schemas.get(schema.get("items", {}).get("$ref", "").rpartition("/")[2], {})
        texts = {name: field.get("description", "") for name, field in record.get("properties", {}).items()}
        found = {name for name, text in texts.items() if _FILTER.search(text)}
        return found if found else None

    def _type(self, schema: dict) -> Type:
        if "$ref" in schema:
            return self._record(schema["$ref"].rpartition("/")[2])
        kind = schema.get("type", "object")
        if kind == "array":
            return ListOf(self._type(schema["items"]), bool(schema.get("uniqueItems")))
        if "enum" in schema:
            return Enumeration("", tuple(schema["enum"]), tuple(schema["enum"]))
        if kind == "object":
            return self._fields(Record(""), schema)
        name = schema.get("format") if schema.get("format") in _FORMATS else _FORMATLESS.get(kind, kind)
        return Scalar(str(name), schema.get("minimum"), schema.get("maximum"))

    def _record(self, name: str) -> Record:
        if name not in self._records:
            self._records[name] = Record(name)
            self._fields(self._records[name], self._schemas[name])
        return self._records[name]

    def _fields(self, record: Record, schema: dict) -> Record:
        required = schema.get("required", [])
        for name, entry in schema.get("properties", {}).items():
            record.fields[name] = Field(self._type(entry), name in required)
        return record


def _content(entry: dict) -> dict:
    """Return the schema of a body; all media types of a document have the same."""
    return entry.get("schema") or next((item.get("schema", {}) for item in (entry.get("content") or {}).values()), {})


def differences(version: str, official: OfficialDocument) -> Iterator[str]:
    """Yield the differences between the contract of ``version`` and its official document."""
    contract, newest = Contract.load(version), Contract.load()
    ours = {str(operation): operation for operation in contract.operations}
    for operation in newest.operations:
        entry = official.operation(operation.method, operation.path)
        if str(operation) not in ours:
            if entry is not None:
                yield f"{operation}: the contract has it in later versions only"
        elif entry is None:
            yield f"{operation}: the document does not have it"
        else:
            yield from (f"{operation}: {text}" for text in _operation(ours[str(operation)], official, entry))


def _operation(ours: Operation, official: OfficialDocument, entry: dict) -> Iterator[str]:
    query = official.query(entry)
    yield from _names("query parameters", set(ours.query), set(query), both=True)
    for name in sorted(set(ours.query) & set(query)):
        yield from _compare(ours.query[name].type, query[name].type, f"query/{name}", both=True)
        if ours.query[name].required != query[name].required:
            yield f"query/{name}: required is {query[name].required} in the document"
    body, required = official.body(entry)
    if (ours.body is None) != (body is None):
        yield f"request: body is {body} in the document"
    elif ours.body is not None and body is not None:
        yield from _compare(ours.body, body, "request", both=True)
        if ours.body_required != bool(required):
            yield f"request: required is {required} in the document"
    filters = official.filters(entry)
    if filters is not None and not ours.filters <= filters:
        yield f"filters: only in the contract: {', '.join(sorted(ours.filters - filters))}"
    yield from _answers(ours, official.answers(entry))


def _answers(ours: Operation, theirs: dict[int, Type | None]) -> Iterator[str]:
    yield from _names("statuses", {str(key) for key in ours.answers}, {str(key) for key in theirs}, both=True)
    for status, reason in ours.undeclared.items():
        if status in theirs:
            yield f"status {status}: is declared, remove the reason: {reason}"
    for status in sorted(set(ours.answers) & set(theirs)):
        mine, other = ours.answers[status], theirs[status]
        if (mine is None) != (other is None):
            yield f"status {status}: body is {other} in the document"
        elif mine is not None and other is not None:
            yield from _compare(mine, other, f"status {status}", both=False)


def _compare(ours: Type, theirs: Type, where: str, both: bool) -> Iterator[str]:
    """Yield differences of types; ``both`` also reports fields that only the document has."""
    if type(ours) is not type(theirs):
        yield f"{where}: expected {_shown(ours)}, the document has {_shown(theirs)}"
    elif isinstance(ours, Scalar):
        limits = ours != theirs if both else ours.name != getattr(theirs, "name", "")
        if limits:
            yield f"{where}: expected {ours}, the document has {theirs}"
    elif isinstance(ours, Enumeration) and isinstance(theirs, Enumeration):
        yield from _names(f"{where}: values", set(ours.values), set(theirs.values), both=True)
    elif isinstance(ours, ListOf) and isinstance(theirs, ListOf):
        if both and ours.unique != theirs.unique:
            yield f"{where}: unique is {theirs.unique} in the document"
        yield from _compare(ours.item, theirs.item, f"{where}/*", both)
    elif isinstance(ours, Record) and isinstance(theirs, Record):
        yield from _record(ours, theirs, where, both)


def _record(ours: Record, theirs: Record, where: str, both: bool) -> Iterator[str]:
    required = {name for name, field in theirs.fields.items() if field.required}
    yield from _names(f"{where}: fields", set(ours.fields), set(theirs.fields) if both else required, both, theirs)
    for name in sorted((ours.all_fields - set(ours.fields)) & set(theirs.fields)):
        yield f"{where}/{name}: the contract has it in other versions only"
    for name in sorted(set(ours.fields) & set(theirs.fields)):
        mine, other, path_in_body = ours.fields[name], theirs.fields[name], f"{where}/{name}"
        found = [*_compare(mine.type, other.type, path_in_body, both)]
        if mine.required != other.required:
            found.append(f"{path_in_body}: required is {other.required} in the document")
        if mine.official is None:
            yield from found
        elif not found:
            yield f"{path_in_body}: no longer differs, remove the reason: {mine.reason}"
        else:
            kind, expected = mine.official
            yield from _compare(kind, other.type, path_in_body, both)
            if expected != other.required:
                yield f"{path_in_body}: required is {other.required} in the document"


def _names(subject: str, ours: set[str], theirs: set[str], both: bool, record: Record | None = None) -> Iterator[str]:
    extra = ours - (theirs if record is None else set(record.fields))
    if extra:
        yield f"{subject}: only in the contract: {', '.join(sorted(extra))}"
    if theirs - ours and (both or record is not None):
        yield f"{subject}: only in the document: {', '.join(sorted(theirs - ours))}"


def _shown(kind: Any) -> str:
    return f"[{_shown(kind.item)}]" if isinstance(kind, ListOf) else f"{type(kind).__name__} {kind.name}".strip()


def main(arguments: list[str] | None = None) -> int:
    """Compare all documents of a folder; return 1 if there are differences or no documents."""
    parser = argparse.ArgumentParser(description="Compare the contract of Horizon's API with official documents.")
    parser.add_argument("folder", type=pathlib.Path, help="folder of documents named VERSION.json")
    folder = parser.parse_args(arguments).folder
    paths = sorted(folder.glob("[0-9][0-9][0-9][0-9].json"))
    found = [f"{path.stem}: {text}" for path in paths for text in differences(path.stem, OfficialDocument.read(path))]
    for text in found:
        sys.stdout.write(f"{text}\n")
    sys.stdout.write(f"{len(paths)} documents compared, {len(found)} differences\n")
    return 1 if found or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
