# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image templates in the catalogue: what a document means once its layers are found."""

from __future__ import annotations

from collections.abc import Sequence

from ..common.errors import Conflict
from ..layers.layer_version import APP, OS, PLATFORM, LayerReference
from ..repository.repository import Repository
from .collections import connectors
from .layers import catalog_kind, find_version
from .resolved_template import LAYER, ResolvedTemplate, apply_order


def resolve(repository: Repository, document: dict) -> ResolvedTemplate:
    """Find every layer version and the connector that a template names; NotFound or Conflict when one does not fit."""
    connector = connectors(repository).require(document["connector"])
    os_layer = find_version(repository, OS, document["os_layer"]["name"], document["os_layer"]["version"])
    return ResolvedTemplate(
        document["name"],
        os_layer,
        stack_of(
            repository,
            os_layer.name,
            document["app_layers"],
            what=f"The image template {document['name']}",
        ),
        _platform_layer(repository, document, os_layer),
        connector,
        document["disk_size_gb"],
        document["vm_name"],
        document["publish_mode"],
        document["description"],
        {
            key: document[key]
            for key in ("outdated_files", "registry_lists")
            if document.get(key) not in (None, [], LAYER)
        },
        document.get("script"),
    )


def stack_of(repository: Repository, os_layer: str, wanted: Sequence[dict], *, what: str) -> tuple[LayerReference, ...]:
    """The app layer versions of name and version that ``wanted`` lists, in the order in which they are applied.

    NotFound or Conflict when one is missing, twice there or made for another OS layer than ``os_layer``; messages begin with
    ``what``.
    """
    found: list[tuple[int, LayerReference, list[tuple[str, str]]]] = []
    for one in wanted:
        layer = find_version(repository, APP, one["name"], one["version"])
        if any(layer.name == other.name for _priority, other, _below in found):
            raise Conflict(
                f"{what} names the app layer {layer.name} twice.",
                code="catalog.layer_twice",
                hint="Name one version of it.",
            )
        document = repository.catalog.require(catalog_kind(APP), layer.name)
        version = document["versions"][layer.version]
        made_for = version["os_layer"]["name"]
        if made_for != os_layer:
            raise Conflict(
                f"{what} is for the OS layer {os_layer}, but the app layer {layer.name} {layer.version} was made for the OS layer {made_for}.",
                code="catalog.other_os_layer",
                hint=f"Make a version of {layer.name} for {os_layer}, or leave it out.",
            )
        found.append(
            (document["priority"], layer, [(below["name"], below["version"]) for below in version["prerequisites"]])
        )
    return apply_order(found)


def _platform_layer(repository: Repository, document: dict, os_layer: LayerReference) -> LayerReference | None:
    """The platform layer version, which must have been made for this very OS layer version or confirmed for it."""
    wanted = document["platform_layer"]
    if not wanted:
        return None
    layer = find_version(repository, PLATFORM, wanted["name"], wanted["version"])
    entry = repository.catalog.require(catalog_kind(PLATFORM), layer.name)["versions"][layer.version]
    made_for = entry["os_layer"]
    if made_for["name"] != os_layer.name or os_layer.version not in (
        made_for["version"],
        *entry.get("confirmed_for", []),
    ):
        raise Conflict(
            f"The platform layer {layer.name} {layer.version} was made for the OS layer {made_for['name']} {made_for['version']}, "
            f"not for {os_layer.name} {os_layer.version}.",
            code="catalog.template_platform_layer",
            hint="Make a version of it for that OS layer version, or confirm it with confirmed_for when it was tried and is good.",
        )
    return layer


def describe(document: dict, resolved: ResolvedTemplate) -> dict:
    """What modules return about a template: its document with digests."""
    return dict(
        document,
        os_layer=resolved.os_layer.to_dict(),
        app_layers=[layer.to_dict() for layer in resolved.app_layers],
        platform_layer=resolved.platform_layer.to_dict() if resolved.platform_layer else None,
        content_digest=resolved.content_digest,
        image_digest=resolved.image_digest,
    )
