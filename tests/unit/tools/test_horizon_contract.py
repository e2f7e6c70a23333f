# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of Horizon's API agrees with the official documents, and the comparison finds differences."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.strata.layering.tests.simulator_horizon.contract import VERSIONS, Contract
from ansible_collections.strata.layering.tests.simulator_horizon.contract_types import (
    Enumeration,
    ListOf,
    Record,
    Scalar,
    Type,
)
from ansible_collections.strata.layering.tests.tools import horizon_contract

CANCEL = "/inventory/v1/desktop-pools/{id}/action/cancel-scheduled-push-image"
PUSH = "/inventory/v2/desktop-pools/{id}/action/schedule-push-image"
SWITCH = "/inventory/v1/desktop-pools/action/enable"


def _schema(kind: Type, references: str) -> dict[str, Any]:
    if isinstance(kind, Record):
        return {"$ref": f"{references}{kind.name}"}
    if isinstance(kind, ListOf):
        return {"type": "array", "items": _schema(kind.item, references)} | (
            {"uniqueItems": True} if kind.unique else {}
        )
    if isinstance(kind, Enumeration):
        return {"type": "string", "enum": list(kind.values)}
    assert isinstance(kind, Scalar)
    limits = {"minimum": kind.low, "maximum": kind.high}
    form = {"int32": "integer", "int64": "integer", "double": "number"}.get(kind.name)
    schema: dict[str, Any] = {"type": form, "format": kind.name} if form else {"type": kind.name}
    return schema | {name: limit for name, limit in limits.items() if limit is not None}


def _definitions(contract: Contract, references: str) -> dict[str, dict]:
    result = {}
    for record in contract.names.values():
        if isinstance(record, Record):
            fields = {name: (field.official or (field.type, field.required)) for name, field in record.fields.items()}
            result[record.name] = {
                "required": [name for name, (_kind, required) in fields.items() if required],
                "properties": {name: _schema(kind, references) for name, (kind, _required) in fields.items()},
            }
    return result


def _document(version: str, openapi: bool) -> dict[str, Any]:
    """Return a document of the contract of ``version``, in the form of OpenAPI 3.0 or Swagger 2.0."""
    contract = Contract.load(version)
    references = "#/components/schemas/" if openapi else "#/definitions/"
    paths: dict[str, dict] = {}
    for operation in contract.operations:
        entry: dict[str, Any] = {"parameters": [], "responses": {"Not Found": {}}}
        for name, parameter in operation.query.items():
            schema = _schema(parameter.type, references)
            item = {"in": "query", "name": name, "required": parameter.required}
            entry["parameters"].append(item | ({"schema": schema} if openapi else schema))
        if operation.body and openapi:
            content = {"application/json": {"schema": _schema(operation.body, references)}}
            entry["requestBody"] = {"content": content, "required": operation.body_required}
        elif operation.body:
            body = {"in": "body", "name": "body", "schema": _schema(operation.body, references)}
            entry["parameters"].append(body | {"required": operation.body_required})
        for status, kind in operation.answers.items():
            schema = {"schema": _schema(kind, references)} if kind else {}
            entry["responses"][str(status)] = {"content": {"*/*": schema}} if openapi and schema else schema
        paths.setdefault(operation.path, {})[operation.method.lower()] = entry
    schemas = _definitions(contract, references)
    return {"paths": paths} | ({"components": {"schemas": schemas}} if openapi else {"definitions": schemas})


def _differences(version: str, document: dict[str, Any]) -> list[str]:
    return list(horizon_contract.differences(version, horizon_contract.OfficialDocument(document)))


@pytest.mark.parametrize("path", horizon_contract.documents() or [None], ids=lambda path: path.stem if path else "none")
def test_contract_agrees_with_the_official_document(path):
    if path is None:
        pytest.skip(f"there are no official documents; {horizon_contract.FOLDER_VARIABLE} can name their folder")
    official = horizon_contract.OfficialDocument.read(path)
    assert list(horizon_contract.differences(path.stem, official)) == []


@pytest.mark.parametrize("openapi", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_comparison_with_the_same_contract_reports_nothing(version, openapi):
    assert _differences(version, _document(version, openapi)) == []


def _fields(document: dict[str, Any], record: str) -> dict[str, Any]:
    return document["components"]["schemas"][record]["properties"]


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "operation is missing": lambda document: document["paths"].pop(PUSH),
    "query parameter is missing": lambda document: document["paths"]["/login"]["post"]["parameters"].pop(),
    "query parameter is new": lambda document: document["paths"]["/logout"]["post"]["parameters"].append(
        {"in": "query", "name": "forced", "schema": {"type": "boolean"}}
    ),
    "query parameter is optional": lambda document: document["paths"]["/external/v1/datacenters"]["get"]["parameters"][
        0
    ].update(required=False),
    "query parameter has another type": lambda document: document["paths"]["/login"]["post"]["parameters"][0].update(
        schema={"type": "boolean"}
    ),
    "body is missing": lambda document: document["paths"][PUSH]["post"].pop("requestBody"),
    "body is optional": lambda document: document["paths"][PUSH]["post"]["requestBody"].pop("required"),
    "status is missing": lambda document: document["paths"][PUSH]["post"]["responses"].pop("403"),
    "status is new": lambda document: document["paths"][PUSH]["post"]["responses"].update({"409": {}}),
    "status of real servers is declared": lambda document: document["paths"][CANCEL]["post"]["responses"].update(
        {"400": {}}
    ),
    "answer has no body": lambda document: document["paths"][PUSH]["post"]["responses"].update({"200": {}}),
    "request field is new": lambda document: _fields(document, "PushImage").update(new={"type": "string"}),
    "request field is missing": lambda document: _fields(document, "PushImage").pop("start_time"),
    "request field is required": lambda document: document["components"]["schemas"]["PushImage"]["required"].append(
        "parent_vm_id"
    ),
    "request field has other limits": lambda document: _fields(document, "PushImage")["compute_profile_ram_mb"].update(
        minimum=512
    ),
    "request list is not unique": lambda document: _fields(document, "PushImage")["machine_ids"].pop("uniqueItems"),
    "known difference is gone": lambda document: _fields(document, "Login").update(password={"type": "string"}),
    "known difference is another": lambda document: _fields(document, "Login").update(password={"type": "boolean"}),
    "answer field is missing": lambda document: _fields(document, "Pool").pop("source"),
    "answer field has another type": lambda document: _fields(document, "Pool").update(enabled={"type": "string"}),
    "answer field is a list": lambda document: _fields(document, "Machine").update(
        state={"type": "array", "items": {"type": "string"}}
    ),
    "answer field is required": lambda document: document["components"]["schemas"]["Pool"]["required"].append("id"),
    "new answer field is required": lambda document: (
        _fields(document, "Pool").update(new={"type": "string"}),
        document["components"]["schemas"]["Pool"]["required"].append("new"),
    ),
    "value is new": lambda document: _fields(document, "Task")["operation"]["enum"].append("NEW"),
    "value is missing": lambda document: _fields(document, "Task")["operation"]["enum"].remove("ARCHIVE"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_comparison_with_a_changed_document_finds_the_difference(change):
    document = _document("2512", openapi=True)
    CHANGES[change](document)
    assert _differences("2512", document) != []


def test_comparison_new_answer_field_is_accepted():
    document = _document("2512", openapi=True)
    _fields(document, "Pool")["new"] = {"type": "string"}
    assert _differences("2512", document) == []


def test_comparison_filters_are_read_from_descriptions():
    document = _document("2512", openapi=True)
    fields = _fields(document, "Machine")
    found = Contract.load().match("GET", "/inventory/v3/machines")
    assert found is not None
    for name in found[0].filters:
        fields[name]["description"] = "ID. Supported Filters: 'Equals'."
    assert _differences("2512", document) == []
    fields["desktop_pool_id"]["description"] = "ID."
    assert len(_differences("2512", document)) == 1


def test_comparison_operation_that_exists_earlier_is_found():
    document = _document("2206", openapi=False)
    document["paths"][SWITCH] = _document("2512", openapi=False)["paths"][SWITCH]
    assert [text.startswith(f"POST {SWITCH}: ") for text in _differences("2206", document)] == [True]


def test_main_prints_the_differences_and_fails(tmp_path, capsys):
    document = _document("2406", openapi=True)
    (tmp_path / "2406.json").write_text(json.dumps(document), encoding="utf-8")
    assert horizon_contract.main([str(tmp_path)]) == 0
    del document["paths"]["/login"]
    (tmp_path / "2406.json").write_text(json.dumps(document), encoding="utf-8")
    assert horizon_contract.main([str(tmp_path)]) == 1
    assert "2406: POST /login: " in capsys.readouterr().out


def test_main_without_documents_fails(tmp_path):
    assert horizon_contract.main([str(tmp_path)]) == 1
