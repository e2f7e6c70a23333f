# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layer_metadata: rename a layer or a version, and edit what describes it, without its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog import document_collections
from ..catalog.icons import read_icon, store_icon
from ..catalog.kinds import layer_kind, layer_label
from ..catalog.layer_document import LayerDocument
from ..catalog.layers import LayerMetadata, check_names, find_layer
from ..catalog.renaming.layer_rename import LayerRename
from ..catalog.renaming.layer_renaming import (
    NamedDocument,
    naming_documents,
    refuse_rename,
    rename_layer,
    rename_locks,
    renamed_document,
    resume_rename,
)
from ..catalog.spelling import spelling_hint
from ..common.errors import Conflict, InvalidInput, NotFound
from ..common.outcome import Outcome
from ..layers.layer_version import APP, OS, check_layer_name, check_version_name
from ..repository.repository import Repository
from .options import RepositoryOptions

_MAX_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class LayerMetadataOptions:
    """Options of the module layer_metadata; None keeps what is stored.

    ``former_name`` and ``former_version`` are the names that the layer and the version had.
    """

    repository: RepositoryOptions
    kind: str
    name: str
    version: str | None
    former_name: str | None
    former_version: str | None
    metadata: LayerMetadata
    icon: str | None

    @property
    def label(self) -> str:
        """The name of the layer in messages."""
        return f"{layer_label(self.kind)} {self.name}"

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LayerMetadataOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.metadata_kind`` if an option does not belong to this kind of layer;
                ``operations.metadata_version`` if an option describes a version and none is named.
        """
        former = params["rename_from"] or {}
        for option, kind in (("priority", APP), ("connector", OS)):
            if params[option] is not None and params["kind"] != kind:
                raise InvalidInput(
                    f"The option {option} belongs to {layer_label(kind)}s, but kind is {params['kind']}.",
                    code="operations.metadata_kind",
                    hint=f"Remove {option}, or set kind to {kind}.",
                )
        of_version = {
            "version_description": params["version_description"],
            "rename_from.version": former.get("version"),
        }
        named = [option for option, value in of_version.items() if value is not None]
        if named and params["version"] is None:
            raise InvalidInput(
                f"The option {named[0]} is about one version, but version is not set.",
                code="operations.metadata_version",
                hint="Set version to the name of the version, with rename_from.version to its new name.",
            )
        return cls(
            repository=RepositoryOptions.from_params(params),
            kind=params["kind"],
            name=params["name"],
            version=params["version"],
            former_name=former.get("name"),
            former_version=former.get("version"),
            metadata=LayerMetadata(
                params["description"], params["version_description"], params["priority"], params["connector"]
            ),
            icon=params["icon"],
        )


@dataclass(frozen=True)
class _Found:
    """The stored document of the layer, and the rename that is still to be done (None: none)."""

    layer: LayerDocument
    rename: LayerRename | None


def ensure_layer_metadata(options: LayerMetadataOptions, *, check_mode: bool) -> Outcome:
    """Give the layer and its version their names and what describes them.

    Raises:
        InvalidInput: names, priority, descriptions or an icon that cannot be used.
        NotFound: ``operations.metadata_layer_missing``, ``operations.metadata_version_missing``.
        Conflict: ``operations.rename_both_exist`` if the former and the new name exist; as ``refuse_rename``.
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    check_names(options.name, options.version, options.metadata.priority)
    if options.former_name is not None:
        check_layer_name(options.former_name)
    if options.former_version is not None:
        check_version_name(options.former_version)
    repository = options.repository.open(check_mode=check_mode)
    icon = read_icon(options.icon)
    names = LayerRename(kind=options.kind, name=options.former_name or options.name, new_name=options.name)
    with rename_locks(repository, names, shared=check_mode):
        if not check_mode:
            resume_rename(repository, layer_kind(names.kind), names.name)
        found = _find(repository, options)
        before = layer = found.layer
        naming: list[NamedDocument] = []
        if found.rename is not None:
            refuse_rename(repository, found.rename, layer)
            naming = naming_documents(repository, found.rename)
            layer = renamed_document(repository, found.rename, layer)
            if not check_mode:
                rename_layer(repository, found.rename, before, options.repository.comment)
        after = options.metadata.apply(layer, options.version or "")
        if icon is not None:
            after = dataclasses.replace(after, icon=store_icon(repository, icon, check_mode=check_mode))
        if after != layer and not check_mode:
            document_collections.layers(repository, options.kind).put(
                after.name, after, before=layer, comment=options.repository.comment, version=options.version
            )
    result = {"layer": _describe(after, options.version), "renamed_in": [document.to_dict() for document in naming]}
    shown = [document.to_dict() for document in naming]
    return Outcome(
        after != before, before.to_dict(), after.to_dict() | ({"renamed_in": shown} if shown else {}), result
    )


def _find(repository: Repository, options: LayerMetadataOptions) -> _Found:
    layer, name = find_layer(repository, options.kind, options.name), options.name
    former = options.former_name if options.former_name != options.name else None
    if former is not None:
        stored = find_layer(repository, options.kind, former)
        if stored is not None and layer is not None:
            raise _both(f"The {layer_label(options.kind)}s {former!r} and {options.name!r}", "rename_from.name")
        if stored is not None:
            layer, name = stored, former
    if layer is None:
        raise _missing_layer(repository, options)
    versions = _version_rename(layer, options)
    if name == options.name and not versions:
        return _Found(layer, None)
    return _Found(layer, LayerRename(kind=options.kind, name=name, new_name=options.name, versions=versions))


def _version_rename(layer: LayerDocument, options: LayerMetadataOptions) -> dict[str, str]:
    """Return the version that still has its former name, with its new name."""
    version, former = options.version, options.former_version
    if version is None:
        return {}
    if former is not None and former != version and former in layer.versions:
        if version in layer.versions:
            raise _both(f"The versions {former!r} and {version!r} of the {layer.label}", "rename_from.version")
        return {former: version}
    if version not in layer.versions:
        known = layer.sorted_versions()
        raise NotFound(
            f"The {layer.label} has no version {version!r}.",
            code="operations.metadata_version_missing",
            hint=f"{spelling_hint(version, known)}It has: {', '.join(known)}.",
        )
    return {}


def _both(subject: str, option: str) -> Conflict:
    return Conflict(
        f"{subject} exist both.",
        code="operations.rename_both_exist",
        hint=f"Remove {option} to edit the object with the new name, or delete one of them.",
    )


def _missing_layer(repository: Repository, options: LayerMetadataOptions) -> NotFound:
    known = document_collections.layers(repository, options.kind).names()
    named = f"{options.former_name!r} or {options.name!r}" if options.former_name else repr(options.name)
    return NotFound(
        f"The repository has no {layer_label(options.kind)} named {named}.",
        code="operations.metadata_layer_missing",
        hint=f"{spelling_hint(options.name, known)}It has: {', '.join(known[:_MAX_SHOWN])}."
        if known
        else f"Create it with strata.layering.{options.kind}_layer.",
    )


def _describe(layer: LayerDocument, version: str | None) -> dict[str, Any]:
    if version is not None:
        return layer.describe_version(version)
    return {key: value for key, value in layer.to_dict().items() if key != "versions"} | {
        "versions": layer.sorted_versions()
    }
