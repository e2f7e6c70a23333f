# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image templates in the repository: resolving the layer versions and the connector that a template names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..common.errors import Conflict
from ..layers.layer_version import APP, OS, PLATFORM, LayerReference
from ..repository.repository import Repository
from . import document_collections
from .layers import find_version
from .renaming.pending_names import PendingNames
from .resolved_template import ResolvedTemplate, StaleFilePolicy, apply_order
from .template_document import TemplateDocument
from .version_name import NamedVersion, VersionName


def require_resolved(repository: Repository, name: str) -> ResolvedTemplate:
    """Read an image template and resolve it.

    Raises:
        NotFound: ``repository.catalog_missing`` if there is no such template; and as ``resolve``.
    """
    return resolve(repository, document_collections.templates(repository).require(name))


def resolve(repository: Repository, template: TemplateDocument) -> ResolvedTemplate:
    """Find every layer version and the connector that a template names.

    Raises:
        NotFound: ``repository.catalog_missing`` for the connector; as ``find_version`` for layers.
        Conflict: ``catalog.layer_twice``, ``catalog.other_os_layer``, ``catalog.template_platform_layer``,
            ``catalog.layer_not_deployable``.
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    connector = document_collections.connectors(repository).require(template.connector)
    os_layer = find_version(repository, OS, template.os_layer.name, template.os_layer.version)
    app_layers = stack_of(repository, os_layer.name, template.app_layers, user=f"image template {template.name}")
    platform_layer = _platform_layer(repository, template, os_layer)
    merging: dict[str, object] = {}
    if _decides(repository, template, os_layer, [*app_layers, *([platform_layer] if platform_layer else [])]):
        merging["outdated_files"] = template.outdated_files
    if template.registry_lists:
        merging["registry_lists"] = list(template.registry_lists)
    return ResolvedTemplate(
        template.name,
        os_layer,
        app_layers,
        platform_layer,
        connector,
        template.disk_size_gb,
        template.vm_name,
        template.publish_mode,
        template.description,
        merging,
        template.script,
        template.former_names,
    )


def _decides(
    repository: Repository, template: TemplateDocument, os_layer: LayerReference, layers: Sequence[LayerReference]
) -> bool:
    """Return whether the policy for outdated files is part of the image.

    ``layer`` never is. ``newest_system``, the default, is only if a layer was built for another version of the OS layer:
    other files are not outdated. So the default does not change the digest of an image of layers of one version.
    """
    if template.outdated_files != StaleFilePolicy.NEWEST_SYSTEM:
        return template.outdated_files != StaleFilePolicy.LAYER
    names = PendingNames.read(repository)
    expected = names.current(OS, VersionName(os_layer.name, os_layer.version))
    for layer in layers:
        entry = document_collections.layers(repository, layer.kind).require(layer.name).software_version(layer.version)
        if names.current(OS, entry.os_layer).version != expected.version:
            return True
    return False


def stack_of(
    repository: Repository, os_layer: str, layers: Sequence[NamedVersion], *, user: str
) -> tuple[LayerReference, ...]:
    """Return the app layer versions that ``layers`` names, in the order in which they are applied.

    ``os_layer`` is the name of the OS layer below them. ``user`` is what they are for, as in "image
    template office"; messages name it.

    Raises:
        NotFound, Conflict: as ``find_version``.
        Conflict: ``catalog.layer_twice``; ``catalog.other_os_layer`` if a version was built for another OS layer.
    """
    found: list[tuple[int, LayerReference, Sequence[VersionName]]] = []
    names: set[str] = set()
    sort_names: dict[str, str] = {}
    pending = PendingNames.read(repository)
    os_name = _os_name(pending, os_layer)
    for requested in layers:
        reference = find_version(repository, APP, requested.name, requested.version)
        if reference.name in names:
            raise Conflict(
                f"The {user} names the app layer {reference.name} twice.",
                code="catalog.layer_twice",
                hint=f"Name one version of the app layer {reference.name}.",
            )
        names.add(reference.name)
        layer = document_collections.layers(repository, APP).require(reference.name)
        entry = layer.software_version(reference.version)
        if _os_name(pending, entry.os_layer.name) != os_name:
            raise Conflict(
                f"The {user} uses the OS layer {os_layer}, but the app layer {reference.name} {reference.version} "
                f"was built for the OS layer {entry.os_layer.name}.",
                code="catalog.other_os_layer",
                hint=f"Create a version of {reference.name} for {os_layer}, or leave it out.",
            )
        found.append((layer.priority or 0, reference, entry.prerequisites))
        if layer.sort_name is not None:
            sort_names[layer.name] = layer.sort_name
    stacked = {
        pending.current(APP, VersionName(layer.name, layer.version)): (layer.name, layer.version)
        for _priority, layer, _below in found
    }
    listed = {current.name: name for current, (name, _version) in stacked.items()}

    def below(prerequisite: VersionName) -> tuple[str, str]:
        """Return a prerequisite by the name that it has in this stack."""
        current = pending.current(APP, prerequisite)
        return stacked.get(current, (listed.get(current.name, current.name), current.version))

    return apply_order(
        [(priority, layer, [below(item) for item in needed]) for priority, layer, needed in found], sort_names
    )


def _os_name(pending: PendingNames, name: str) -> str:
    return pending.current(OS, VersionName(name, "")).name


def _platform_layer(
    repository: Repository, template: TemplateDocument, os_layer: LayerReference
) -> LayerReference | None:
    """Return the platform layer version, which must be built for this OS layer version or confirmed for it."""
    requested = template.platform_layer
    if requested is None:
        return None
    layer = find_version(repository, PLATFORM, requested.name, requested.version)
    entry = document_collections.layers(repository, PLATFORM).require(layer.name).software_version(layer.version)
    pending = PendingNames.read(repository)
    known = [entry.os_layer, *(VersionName(entry.os_layer.name, version) for version in entry.confirmed_for)]
    requested_os = pending.current(OS, VersionName(os_layer.name, os_layer.version))
    if requested_os not in [pending.current(OS, version) for version in known]:
        raise Conflict(
            f"The platform layer {layer.name} {layer.version} was built for the OS layer {entry.os_layer}, "
            f"not for {os_layer.name} {os_layer.version}.",
            code="catalog.template_platform_layer",
            hint=f"Create a version of {layer.name} for that OS layer version, or test this version with it and set "
            "confirmed_for of the platform layer.",
        )
    return layer


def describe(template: TemplateDocument, resolved: ResolvedTemplate) -> dict[str, Any]:
    """Return what modules return about a template: its document with digests."""
    return template.to_dict() | {
        "os_layer": resolved.os_layer.to_dict(),
        "app_layers": [layer.to_dict() for layer in resolved.app_layers],
        "platform_layer": resolved.platform_layer.to_dict() if resolved.platform_layer else None,
        "layers": [layer.to_dict() for layer in (resolved.os_layer, *resolved.layers)],
        "content_digest": resolved.content_digest,
        "image_digest": resolved.image_digest,
    }
