# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module connector: store where in vSphere images are published, and test it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..catalog import document_collections
from ..catalog.connector_document import VTPM_REFUSE, ConnectorDocument
from ..catalog.kinds import LOCK
from ..catalog.references import refuse_in_use, templates_using
from ..common.errors import InvalidInput
from ..common.outcome import Outcome
from ..repository.repository import Repository
from .options import ConnectionOptions, RepositoryOptions

if TYPE_CHECKING:
    from ..publish.machine.placement import Target
    from ..vsphere.session import Session

_REQUIRED = ("datacenter", "datastore", "vm_template")
#: Names of custom attributes in vCenter have at most 80 characters.
_MAX_ATTRIBUTE = 80


@dataclass(frozen=True, kw_only=True)
class ConnectorOptions:
    """Options of the module connector. ``document`` is None for state absent; ``connection`` is set for a test."""

    repository: RepositoryOptions
    name: str
    document: ConnectorDocument | None
    connection: ConnectionOptions | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ConnectorOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.connector_incomplete``, ``operations.connector_attribute``.
        """
        absent = params["state"] == "absent"
        return cls(
            repository=RepositoryOptions.from_params(params),
            name=params["name"],
            document=None if absent else connector_document(params),
            connection=ConnectionOptions.optional(params) if params["test"] and not absent else None,
        )


def ensure_connector(options: ConnectorOptions, *, check_mode: bool) -> Outcome:
    """Bring the connector into its state; look up in vSphere what it names if a connection is set.

    Raises:
        InvalidInput: ``operations.connector_incomplete``, ``operations.connector_attribute``.
        Conflict: ``catalog.in_use`` on removal; ``catalog.other_spelling``.
        NotFound, Conflict, Unavailable: as ``resolve_placement`` when it is tested.
        Conflict: ``preflight.failed`` when a check of the test has failed.
        InvalidInput: as ``check_script`` when it is tested.
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    repository = options.repository.open(check_mode=check_mode)
    if options.document is None:
        return _absent(repository, options, check_mode)
    connectors = document_collections.connectors(repository)
    document = options.document.with_empty_fields(connectors.get(options.name))
    result: dict[str, Any] = {"connector": document.result()}
    sentences: list[str] = []
    if options.connection is not None:
        from ..preflight.checks import warnings

        with options.connection.connect() as session:
            target, findings = test_connector(session, document)
            result |= {"tested": target.summary(), "checks": findings}
            sentences = warnings(document.name, findings)
    with repository.locks.hold(LOCK, shared=check_mode, purpose=f"change the connector {options.name}"):
        before = connectors.get(options.name)
        if before is None:
            connectors.refuse_other_spelling(options.name)
        changed = before != document
        if changed and not check_mode:
            connectors.put(options.name, document, before=before, comment=options.repository.comment)
    return Outcome(changed, before.to_dict() if before else None, document.to_dict(), result, sentences)


def test_connector(session: Session, document: ConnectorDocument) -> tuple[Target, list[dict[str, Any]]]:
    """Check the script of a connector and whether it can receive an image; return what it names in vSphere, and the findings.

    Raises:
        NotFound, Conflict, Unavailable: as ``resolve_placement``.
        Conflict: ``preflight.failed``.
        InvalidInput: as ``check_script``.
    """
    from ..preflight.checks import require_passed, run_checks
    from ..publish.guest.script_check import check_script
    from ..publish.machine.placement import resolve_placement

    if document.script:
        check_script(document.script)
    target = resolve_placement(session, document, create_folder=False)
    findings = run_checks(target.preflight(session))
    require_passed(document.name, findings)
    return target, findings


def _absent(repository: Repository, options: ConnectorOptions, check_mode: bool) -> Outcome:
    connectors, name = document_collections.connectors(repository), options.name
    with repository.locks.hold(LOCK, shared=check_mode, purpose=f"delete the connector {name}"):
        before = connectors.get(name)
        if before is None:
            return Outcome(False, warnings=connectors.absent_warnings(name))
        users = templates_using(repository, lambda template: template.connector == name)
        refuse_in_use(f"The connector {name}", users)
        if not check_mode:
            connectors.delete(name, comment=options.repository.comment)
    return Outcome(True, before.to_dict(), None)


def connector_document(params: Mapping[str, Any]) -> ConnectorDocument:
    """Return the connector that the parameters of the module describe.

    Raises:
        InvalidInput: ``operations.connector_incomplete``, ``operations.connector_attribute``.
    """
    # Options may be set but empty, as variables are that were never filled in.
    missing = [option for option in _REQUIRED if not params[option]]
    if not params["cluster"] and not params["esxi_host"]:
        missing.append("cluster (or esxi_host)")
    if missing:
        raise InvalidInput(
            f"The connector {params['name']!r} lacks {' and '.join(missing)}.",
            code="operations.connector_incomplete",
            hint="Set these options to names of objects in vSphere, such as datacenter: Berlin.",
        )
    return ConnectorDocument(
        name=params["name"],
        type=params["type"],
        description=params["description"],
        datacenter=params["datacenter"],
        cluster=params["cluster"],
        esxi_host=params["esxi_host"],
        resource_pool=params["resource_pool"],
        datastore=params["datastore"],
        folder=params["folder"],
        network=params["network"],
        storage_policy=params["storage_policy"] or None,
        vm_template=params["vm_template"],
        script=params["script"],
        custom_attributes=_attributes(params["custom_attributes"] or {}),
        # The default is not stored: documents of earlier versions of the collection lack the field.
        vtpm=None if params["vtpm"] == VTPM_REFUSE else params["vtpm"],
    )


def _attributes(attributes: Mapping[str, Any]) -> dict[str, str]:
    for name in attributes:
        if not 0 < len(name) <= _MAX_ATTRIBUTE:
            raise InvalidInput(
                f"{name[:100]!r} cannot be the name of a custom attribute: it has {len(name)} characters.",
                code="operations.connector_attribute",
                hint=f"Use names of 1 to {_MAX_ATTRIBUTE} characters in custom_attributes.",
            )
    return {name: str(value) for name, value in attributes.items()}
