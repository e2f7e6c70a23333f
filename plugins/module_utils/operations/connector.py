# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connectors as a playbook wants them."""

from __future__ import annotations

from ..catalog.connector_document import ConnectorDocument
from ..catalog.documents import CONNECTOR, LOCK, delete_document, put_document, refuse_in_use, templates_using
from ..common.errors import InvalidInput
from ..common.outcome import Outcome
from ..publish.placement import resolve_placement
from ..repository.repository import Repository
from ..vsphere.session import Session
from .repository import open_repository

_FIELDS = (
    "type",
    "description",
    "datacenter",
    "cluster",
    "esxi_hostname",
    "resource_pool",
    "datastore",
    "folder",
    "network",
    "vm_template",
    "script",
)
#: Names of custom attributes in vCenter have at most 80 characters.
_LONGEST_ATTRIBUTE = 80


def ensure_connector(params: dict, *, connection: dict | None, check_mode: bool) -> Outcome:
    """Bring the connector into ``state``; with ``test`` look up in vSphere what it names."""
    repository = open_repository(params, check_mode=check_mode)
    name = params["name"]
    if params["state"] == "absent":
        return _absent(repository, name, params, check_mode)
    _refuse_incomplete(params)
    wanted = dict(
        {field: params[field] for field in _FIELDS},
        name=name,
        custom_attributes=_attributes(params["custom_attributes"]),
    )
    result: dict = {"connector": wanted}
    if params["test"]:
        result["tested"] = _test(wanted, connection)
    with repository.locks.hold(LOCK, shared=check_mode, purpose=f"change the connector {name}"):
        before = repository.catalog.get(CONNECTOR, name)
        if before != wanted and not check_mode:
            put_document(repository, CONNECTOR, name, wanted, before, params["comment"])
    return Outcome(before != wanted, before, wanted, result)


def _refuse_incomplete(params: dict) -> None:
    """Raise InvalidInput when something that is needed is given, but empty, as variables are that nobody has filled in."""
    lacking = [field for field in ("datacenter", "datastore", "vm_template") if not params[field]]
    if not params["cluster"] and not params["esxi_hostname"]:
        lacking.append("cluster or esxi_hostname")
    if lacking:
        raise InvalidInput(
            f"The connector {params['name']} has nothing in {', '.join(lacking)}.",
            code="operations.connector_incomplete",
            hint="Name what is in vSphere.",
        )


def _absent(repository: Repository, name: str, params: dict, check_mode: bool) -> Outcome:
    with repository.locks.hold(LOCK, shared=check_mode, purpose=f"remove the connector {name}"):
        before = repository.catalog.get(CONNECTOR, name)
        if before is not None:
            refuse_in_use(
                f"The connector {name}", templates_using(repository, lambda template: template["connector"] == name)
            )
            if not check_mode:
                delete_document(repository, CONNECTOR, name, params["comment"])
    return Outcome(before is not None, before, None)


def _attributes(given: dict | None) -> dict[str, str]:
    for name in given or {}:
        if not 0 < len(name) <= _LONGEST_ATTRIBUTE:
            raise InvalidInput(
                f"{name[:100]!r} cannot be the name of a custom attribute.",
                code="operations.connector_attribute",
                hint=f"Use at most {_LONGEST_ATTRIBUTE} characters.",
            )
    return {name: str(value) for name, value in (given or {}).items()}


def _test(connector: dict, connection: dict | None) -> dict:
    with Session.connect(**connection) as session:
        document = ConnectorDocument.from_dict(connector, connector["name"])
        return resolve_placement(session, document, create_folder=False).summary()
