# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image templates as a playbook wants them."""

from __future__ import annotations

import hashlib

from ..common.errors import Conflict, InvalidInput
from ..common.module import Outcome
from ..images.template import ResolvedTemplate, apply_order
from ..layers.model import APP, OS, LayerReference, check_description, check_layer_name
from ..repository.repository import Repository
from .documents import CONNECTOR, LOCK, TEMPLATE, delete_document, now, put_document, read_icon, store_icon
from .layer_documents import catalog_kind, find_version
from .repository import open_repository

#: vSphere allows 80 characters, of which the image's digest takes nine.
MAX_VM_NAME = 71
_NOT_IN_VM_NAMES = frozenset("/\\%@\"'`<>|:*?&;$#^,")


def ensure_image_template(params: dict, *, check_mode: bool) -> Outcome:
    """Bring the image template into ``state``."""
    name = check_layer_name(params["name"])
    repository = open_repository(params, check_mode=check_mode)
    icon = read_icon(params["icon"])
    with repository.locks.hold(LOCK, shared=check_mode, purpose=f"change the image template {name}"):
        before = repository.catalog.get(TEMPLATE, name)
        if params["state"] == "absent":
            if before is not None and not check_mode:
                delete_document(repository, TEMPLATE, name, params["comment"])
            return Outcome(before is not None, before, None)
        after = _document(params, before)
        if icon is not None:
            after["icon"] = f"sha256:{hashlib.sha256(icon).hexdigest()}" if check_mode else store_icon(repository, icon)
        resolved = resolve(repository, after)
        if after != before and not check_mode:
            put_document(repository, TEMPLATE, name, after, before, params["comment"])
    return Outcome(after != before, before, after, {"template": describe(after, resolved)})


def _document(params: dict, before: dict | None) -> dict:
    vm_name = params["vm_name"] or params["name"]
    if len(vm_name) > MAX_VM_NAME or not vm_name.isprintable() or _NOT_IN_VM_NAMES & set(vm_name):
        raise InvalidInput(
            f"{vm_name[:80]!r} cannot be the beginning of a machine's name.",
            code="template.vm_name",
            hint=f"Set vm_name to at most {MAX_VM_NAME} letters, digits, spaces, dots, dashes and underscores.",
        )
    size = params["disk_size_gb"]
    if size is not None and not 1 <= size <= 62 * 1024:
        raise InvalidInput(f"A disk cannot have {size} GiB.", code="template.disk_size", hint="Set disk_size_gb between 1 and 63488.")
    return {
        "name": params["name"],
        "description": check_description(params["description"]),
        "os_layer": dict(params["os_layer"]),
        "app_layers": sorted((dict(layer) for layer in params["app_layers"]), key=lambda layer: (layer["name"].casefold(), layer["name"])),
        "platform_layer": None,
        "connector": params["connector"],
        "disk_size_gb": size,
        "vm_name": vm_name,
        "publish_mode": params["publish_mode"],
        "icon": before["icon"] if before else None,
        "created": before["created"] if before else now(),
    }


def resolve(repository: Repository, document: dict) -> ResolvedTemplate:
    """Find every layer version and the connector that a template names; NotFound or Conflict when one does not fit."""
    connector = repository.catalog.require(CONNECTOR, document["connector"])
    os_layer = find_version(repository, OS, document["os_layer"]["name"], document["os_layer"]["version"])
    apps: list[tuple[int, LayerReference]] = []
    for wanted in document["app_layers"]:
        layer = find_version(repository, APP, wanted["name"], wanted["version"])
        if any(layer.name == other.name for _priority, other in apps):
            raise Conflict(f"The image template {document['name']} names the app layer {layer.name} twice.", code="template.twice", hint="Name one version of it.")
        layer_document = repository.catalog.require(catalog_kind(APP), layer.name)
        made_for = layer_document["versions"][layer.version]["os_layer"]
        if made_for["name"] != os_layer.name:
            raise Conflict(
                f"The app layer {layer.name} {layer.version} was made for the OS layer {made_for['name']}, not for {os_layer.name}.",
                code="template.other_os_layer",
                hint=f"Make a version of it for {os_layer.name}, or leave it out.",
            )
        apps.append((layer_document["priority"], layer))
    return ResolvedTemplate(
        document["name"],
        os_layer,
        apply_order(apps),
        None,
        connector,
        document["disk_size_gb"],
        document["vm_name"],
        document["publish_mode"],
        document["description"],
    )


def describe(document: dict, resolved: ResolvedTemplate) -> dict:
    """What modules return about a template: its document with digests."""
    return dict(
        document,
        os_layer=resolved.os_layer.to_dict(),
        app_layers=[layer.to_dict() for layer in resolved.app_layers],
        content_digest=resolved.content_digest,
        image_digest=resolved.image_digest,
    )
