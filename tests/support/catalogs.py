# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories with layers, templates, images and tasks, without the data of layers."""

from __future__ import annotations

import json

from ...plugins.module_utils.catalog import document_collections, layer_store
from ...plugins.module_utils.catalog.connector_document import ConnectorDocument
from ...plugins.module_utils.catalog.image_record import ImageRecord, ImagesDocument
from ...plugins.module_utils.catalog.layer_document import LayerDocument
from ...plugins.module_utils.catalog.publish_task_record import PublishTaskRecord
from ...plugins.module_utils.catalog.template_document import TemplateDocument
from ...plugins.module_utils.catalog.templates import resolve
from ...plugins.module_utils.catalog.version_name import VersionName
from ...plugins.module_utils.catalog.vsphere_records import MachineRecord, VCenterRecord
from ...plugins.module_utils.layers.layer_version import APP, OS, LayerReference, LayerVersion
from ...plugins.module_utils.repository.repository import Repository
from .layer_documents import os_entry, software_entry

CREATED = "2026-01-01T00:00:00Z"
VCENTER = VCenterRecord("vcenter.example.com", "uuid-of-vcenter")


def store_layer(
    repository: Repository,
    kind: str,
    name: str,
    version: str,
    *,
    os_layer: VersionName | None = None,
    prerequisites: tuple[VersionName, ...] = (),
    created: str = CREATED,
    **fields,
) -> VersionName:
    """Store a layer version with a manifest; return its name."""
    documents = document_collections.layers(repository, kind)
    layer = LayerVersion(kind, name, version)
    if os_layer is not None:
        layer.os_layer = reference(repository, OS, os_layer)
        layer.prerequisites = [reference(repository, APP, below) for below in prerequisites]
        added = software_entry(os_layer=os_layer, prerequisites=prerequisites, created=created).to_dict()
    else:
        added = os_entry(created=created).to_dict()
    value = (documents.get(name) or LayerDocument.new(kind, name)).to_dict()
    stored = layer_store.put_version(repository, layer)
    value["versions"] = {**value["versions"], version: {**added, "digest": stored.digest, **fields}}
    documents.store(name, LayerDocument.from_dict(value, kind, name))
    return VersionName(name, version)


def reference(repository: Repository, kind: str, layer: VersionName) -> LayerReference:
    """Return the reference by digest to a stored layer version."""
    entry = document_collections.layers(repository, kind).require(layer.name).versions[layer.version]
    assert entry.digest is not None
    return LayerReference(kind, layer.name, layer.version, entry.digest)


def store_connector(repository: Repository) -> None:
    """Store the connector ``site``."""
    connector = ConnectorDocument(name="site", datacenter="DC", datastore="store", vm_template="blank")
    document_collections.connectors(repository).store("site", connector)


def store_template(
    repository: Repository, name: str, os_layer: VersionName, *app_layers: VersionName, **fields
) -> TemplateDocument:
    """Store an image template for the connector ``site``."""
    template = TemplateDocument(
        **{
            "name": name,
            "description": "",
            "os_layer": os_layer,
            "app_layers": tuple(sorted(app_layers, key=lambda layer: (layer.name.casefold(), layer.name))),
            "platform_layer": None,
            "connector": "site",
            "disk_size_gb": None,
            "vm_name": name,
            "publish_mode": "automatic",
            "created": CREATED,
            **fields,
        }
    )
    document_collections.templates(repository).store(name, template)
    return template


def image_of(repository: Repository, template: str, *, published: str = CREATED, **fields) -> ImageRecord:
    """Return the record of an image as if the stored template had been published."""
    resolved = resolve(repository, document_collections.templates(repository).require(template))
    layers = {f"{layer.kind}/{layer.name}": layer.version for layer in (resolved.os_layer, *resolved.layers)}
    return ImageRecord(
        **{
            "template": template,
            "image_digest": resolved.image_digest,
            "content_digest": resolved.content_digest,
            "layers": layers,
            "connector": "site",
            "vcenter": VCENTER,
            "vm": MachineRecord(f"{template}-vm", "vm-1", f"uuid-of-{template}"),
            "snapshot": "strata-1",
            "datastore_path": None,
            "published": published,
            **fields,
        }
    )


def store_images(repository: Repository, template: str, *images: ImageRecord) -> None:
    """Store the image records of a template."""
    document = ImagesDocument(template=template, images=images or (image_of(repository, template),))
    document_collections.images(repository).store(template, document)


def store_task(repository: Repository, identifier: str, template: str, **fields) -> PublishTaskRecord:
    """Store a publish task."""
    task = PublishTaskRecord(
        **{
            "id": identifier,
            "template": template,
            "digest": "sha256:" + "a" * 64,
            "content_digest": "sha256:" + "b" * 64,
            "connector": "site",
            "vcenter": VCENTER,
            "publish_mode": "automatic",
            "status": "Complete",
            "description": "Done.",
            "created": CREATED,
            "updated": CREATED,
            **fields,
        }
    )
    document_collections.tasks(repository).store(identifier, task)
    return task


def digests(repository: Repository) -> dict[str, tuple[str, str]]:
    """Return the content and image digest of every template."""
    found = {}
    for name, template in document_collections.templates(repository).all():
        resolved = resolve(repository, template)
        found[name] = (resolved.content_digest, resolved.image_digest)
    return found


def documents(repository: Repository) -> dict[str, dict]:
    """Return all documents of a repository as JSON objects."""
    return {
        f"{kind}/{name}": json.loads(json.dumps(document))
        for kind in repository.catalog.kinds()
        for name, document in repository.catalog.documents(kind)
    }
