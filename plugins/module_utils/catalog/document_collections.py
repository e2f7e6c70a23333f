# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed access to the documents of the repository, one collection for each kind of document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from ..common.errors import NotFound
from ..repository.repository import Repository
from .cancellation_record import CancellationRecord
from .connector_document import ConnectorDocument
from .exchanged_template import ExchangedTemplate
from .fields import DocumentName, Fields
from .image_record import ImagesDocument
from .kinds import (
    CANCELLATION,
    CONNECTOR,
    EXCHANGED_TEMPLATE,
    IMAGE,
    LAYER_KINDS,
    NOISE_PROFILE,
    PACKAGING,
    RENAME,
    TASK,
    TEMPLATE,
    layer_kind,
)
from .layer_document import LayerDocument
from .noise_profile_record import NoiseProfileRecord
from .packaging_record import PackagingRecord
from .publish_task_record import PublishTaskRecord
from .rename_record import RenameRecord
from .spelling import absent_warnings, refuse_other_spelling, spelling_hint
from .template_document import TemplateDocument

#: The kinds of documents that a registry of record has. Those of a site, such as connectors and images, stay local.
SHARED_KINDS = frozenset((*LAYER_KINDS, TEMPLATE))


class _Document(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


D = TypeVar("D", bound=_Document)


class Documents(Generic[D]):
    """The documents of one kind. Every method that reads raises Corrupt (``catalog.field``) for a damaged document.

    If the repository has a registry of record, a change of a layer or a template is sent to it first; the methods that
    write then raise what ``Upstream.before_change`` raises, and store nothing.
    """

    def __init__(self, repository: Repository, kind: str, from_dict: Callable[[object, str], D]) -> None:
        self._repository = repository
        self._kind = kind
        self._from_dict = from_dict

    def get(self, name: str) -> D | None:
        """Return a document, None when there is none."""
        found = self._repository.catalog.get(self._kind, name)
        return None if found is None else self._from_dict(found, name)

    def require(self, name: str) -> D:
        """Return a document; NotFound when there is none, with a hint if a document has the name in another spelling."""
        try:
            found = self._repository.catalog.require(self._kind, name)
        except NotFound as error:
            error.hint = f"{spelling_hint(name, self.names())}{error.hint}"
            raise
        return self._from_dict(found, name)

    def refuse_other_spelling(self, name: str) -> None:
        """Raise Conflict (``catalog.other_spelling``) if a document has the new ``name`` except for case."""
        refuse_other_spelling(self._kind.replace("_", " "), name, self.names())

    def absent_warnings(self, name: str) -> list[str]:
        """Return a warning if the document ``name`` does not exist, but exists in another spelling."""
        return absent_warnings(self._kind.replace("_", " "), name, self.names())

    def names(self) -> list[str]:
        """Return the names of all documents, sorted without regard to case."""
        return self._repository.catalog.names(self._kind)

    def all(self) -> list[tuple[str, D]]:
        """Return (name, document) of all documents, sorted by name without regard to case."""
        found = self._repository.catalog.documents(self._kind)
        return [(name, self._from_dict(document, name)) for name, document in found]

    def store(self, name: str, document: D) -> None:
        """Write a document without an audit record."""
        self.send(name, document)
        self.mirror(name, document)

    def put(self, name: str, document: D, *, before: D | None, comment: str | None, version: str | None = None) -> None:
        """Write a document and an audit record of the difference from ``before`` (None: the document is new).

        ``version`` is the version of a layer that was created or changed.
        """
        after, old = document.to_dict(), before.to_dict() if before else {}
        self.send(name, document)
        self._repository.catalog.put(self._kind, name, after)
        is_new = before is None or (version is not None and version not in old.get("versions", {}))
        self._repository.audit.append(
            "create" if is_new else "update",
            self._kind,
            name,
            version=version,
            comment=comment,
            details=_difference(old, after) if before else {},
        )

    def remove(self, name: str) -> None:
        """Delete a document without an audit record."""
        self.send(name, None)
        self._repository.catalog.delete(self._kind, name)

    def delete(self, name: str, *, comment: str | None) -> None:
        """Delete a document and write an audit record."""
        self.send(name, None)
        self._repository.catalog.delete(self._kind, name)
        self._repository.audit.append("delete", self._kind, name, comment=comment)

    def mirror(self, name: str, document: D | None) -> None:
        """Write a document that the registry of record has already, None to delete it; without an audit record."""
        if document is None:
            self._repository.catalog.delete(self._kind, name)
        else:
            self._repository.catalog.put(self._kind, name, document.to_dict())

    def send(self, name: str, document: D | None) -> None:
        """Change a document in the registry of record only, None to delete it; nothing happens if there is none.

        Raises:
            StrataError: as ``Upstream.before_change``.
        """
        if self._kind not in SHARED_KINDS:
            return
        upstream = self._repository.shared_upstream()
        if upstream is not None:
            before, after = self._repository.catalog.get(self._kind, name), document.to_dict() if document else None
            upstream.before_change(self._kind, name, before, after)


def _difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    changed = sorted(
        key for key in before.keys() | after.keys() if key != "versions" and before.get(key) != after.get(key)
    )
    return {key: {"before": before.get(key), "after": after.get(key)} for key in changed}


def layers(repository: Repository, kind: str) -> Documents[LayerDocument]:
    """Return the layers of a kind (os, app or platform)."""
    return Documents(repository, layer_kind(kind), lambda value, name: LayerDocument.from_dict(value, kind, name))


def templates(repository: Repository) -> Documents[TemplateDocument]:
    """Return the image templates."""
    return Documents(repository, TEMPLATE, TemplateDocument.from_dict)


def connectors(repository: Repository) -> Documents[ConnectorDocument]:
    """Return the connectors."""
    return Documents(repository, CONNECTOR, ConnectorDocument.from_dict)


def images(repository: Repository) -> Documents[ImagesDocument]:
    """Return the published images: one document for each template."""
    return Documents(repository, IMAGE, ImagesDocument.from_dict)


def tasks(repository: Repository) -> Documents[PublishTaskRecord]:
    """Return the publish tasks, named by their identifier."""
    return Documents(repository, TASK, PublishTaskRecord.from_dict)


def packaging_records(repository: Repository) -> Documents[PackagingRecord]:
    """Return the records of packaging machines, named ``<kind>/<layer>/<version>``."""
    return Documents(repository, PACKAGING, PackagingRecord.from_dict)


def cancellations(repository: Repository) -> Documents[CancellationRecord]:
    """Return the requests to cancel a publishing, named by their template."""
    return Documents(repository, CANCELLATION, CancellationRecord.from_dict)


def noise_profiles(repository: Repository) -> Documents[NoiseProfileRecord]:
    """Return the noise profiles of OS layer versions, named ``<layer>/<version>``."""
    return Documents(repository, NOISE_PROFILE, NoiseProfileRecord.from_dict)


def renames(repository: Repository) -> Documents[RenameRecord]:
    """Return the journals of renames that are being carried out, named ``<kind of document>/<name>``."""
    return Documents(repository, RENAME, RenameRecord.from_dict)


def exchanged_templates(repository: Repository) -> Documents[ExchangedTemplate]:
    """Return what templates had in common with remotes, named by the template."""
    return Documents(repository, EXCHANGED_TEMPLATE, ExchangedTemplate.from_dict)


_READERS: dict[str, Callable[[object, str], object]] = {
    TEMPLATE: TemplateDocument.from_dict,
    CONNECTOR: ConnectorDocument.from_dict,
    IMAGE: ImagesDocument.from_dict,
    TASK: PublishTaskRecord.from_dict,
    PACKAGING: PackagingRecord.from_dict,
    CANCELLATION: CancellationRecord.from_dict,
    NOISE_PROFILE: NoiseProfileRecord.from_dict,
    RENAME: RenameRecord.from_dict,
    EXCHANGED_TEMPLATE: ExchangedTemplate.from_dict,
}


def check_document(kind: str, name: str, document: object) -> None:
    """Raise Corrupt for a damaged document. A document of a kind that this version does not know has to be an object."""
    if kind in LAYER_KINDS:
        LayerDocument.from_dict(document, LAYER_KINDS[kind], name)
    elif kind in _READERS:
        _READERS[kind](document, name)
    else:
        Fields(document, DocumentName(kind, name))
