# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer versions and templates of a few bytes, stored by the functions that the modules use; nothing reads their content."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from ...plugins.module_utils.catalog import document_collections, layer_store
from ...plugins.module_utils.catalog.connector_document import ConnectorDocument
from ...plugins.module_utils.catalog.kinds import LOCK
from ...plugins.module_utils.catalog.layer_document import LayerDocument, LayerEntry, OsLayerEntry, SoftwareLayerEntry
from ...plugins.module_utils.catalog.layers import (
    expect_new_version,
    find_layer_to_change,
    find_version,
    layer_lock,
    store_layer,
)
from ...plugins.module_utils.catalog.template_document import TemplateDocument
from ...plugins.module_utils.catalog.templates import resolve
from ...plugins.module_utils.catalog.version_name import VersionName
from ...plugins.module_utils.common.errors import Conflict
from ...plugins.module_utils.layers.layer_version import (
    APP,
    DEPLOYABLE,
    OS,
    ROLE_ARCHIVE,
    ROLE_DISK,
    ROLE_GRAINS,
    ROLE_INDEX,
    Blob,
    LayerVersion,
)
from ...plugins.module_utils.repository.repository import Repository

CREATED = "2026-01-01T00:00:00Z"


def add_os_layer(repository: Repository, name: str, version: str, disk: bytes = b"disk") -> LayerEntry:
    """Build a version of an OS layer with ``disk``, as the module os_layer does."""
    layer = LayerVersion(
        OS, name, version, size_gb=1, statistics={"bytes": len(disk)}, facts={"disk": {"partition": 1}}
    )
    layer.blobs = {ROLE_DISK: _blob(repository, disk), ROLE_GRAINS: _blob(repository, b"grains of " + disk)}
    return _store(repository, layer)


def add_app_layer(
    repository: Repository,
    name: str,
    version: str,
    archive: bytes = b"archive",
    *,
    os_layer: VersionName,
    prerequisites: tuple[VersionName, ...] = (),
) -> LayerEntry:
    """Build a version of an app layer with ``archive``, as the module app_layer does."""
    layer = LayerVersion(
        APP,
        name,
        version,
        os_layer=find_version(repository, OS, os_layer.name, os_layer.version),
        prerequisites=[find_version(repository, APP, item.name, item.version) for item in prerequisites],
        statistics={"files": 1},
    )
    layer.content_digest = "sha256:" + hashlib.sha256(archive).hexdigest()
    layer.blobs = {ROLE_ARCHIVE: _blob(repository, archive), ROLE_INDEX: _blob(repository, b"index of " + archive)}
    return _store(repository, layer)


def _blob(repository: Repository, data: bytes) -> Blob:
    blob = repository.layout.put_blob(data, "application/vnd.strata.test")
    return Blob(blob.media_type, blob.digest, blob.size)


def _store(repository: Repository, layer: LayerVersion) -> LayerEntry:
    with repository.locks.hold(layer_lock(layer.kind, layer.name)):
        before = find_layer_to_change(repository, layer.kind, layer.name, layer.version)
        if before is not None and layer.version in before.versions:
            raise Conflict("The version exists.", code="test.version_exists", hint="None.")
        expect_new_version(repository, layer.kind, layer.name, layer.version)
        entry = _entry(layer_store.put_version(repository, layer))
        after = (before or LayerDocument.new(layer.kind, layer.name)).with_version(layer.version, entry)
        store_layer(repository, before, after, layer.version, None)
    return entry


def _entry(layer: LayerVersion) -> LayerEntry:
    common: dict[str, Any] = {
        "digest": layer.digest,
        "status": DEPLOYABLE,
        "size": 1,
        "version_description": "",
        "created": CREATED,
        "source": {},
        "script": None,
    }
    if layer.os_layer is None:
        return OsLayerEntry(**common, size_gb=1, windows={})
    return SoftwareLayerEntry(
        **common,
        content_digest=layer.content_digest,
        os_layer=VersionName(layer.os_layer.name, layer.os_layer.version),
        prerequisites=tuple(VersionName(item.name, item.version) for item in layer.prerequisites),
        changes={"files": 1},
    )


def describe_layer(repository: Repository, kind: str, name: str, description: str) -> None:
    """Change the description of a layer, as the modules do."""
    with repository.locks.hold(layer_lock(kind, name)):
        before = document_collections.layers(repository, kind).require(name)
        after = dataclasses.replace(before, description=description)
        store_layer(repository, before, after, before.sorted_versions()[-1], None)


def add_connector(repository: Repository, name: str = "vdi") -> None:
    """Store a connector, which templates need."""
    document = ConnectorDocument(
        name=name,
        datacenter="DC",
        cluster="Cluster",
        esxi_host=None,
        resource_pool=None,
        datastore="datastore",
        folder=None,
        network=None,
        storage_policy=None,
        vm_template="template",
    )
    document_collections.connectors(repository).put(name, document, before=None, comment=None)


def put_template(
    repository: Repository,
    name: str,
    os_layer: VersionName,
    app_layers: tuple[VersionName, ...] = (),
    description: str = "",
    connector: str = "vdi",
) -> TemplateDocument:
    """Create or change a template, as the module image_template does."""
    templates = document_collections.templates(repository)
    with repository.locks.hold(LOCK):
        before = templates.get(name)
        after = TemplateDocument(
            name=name,
            description=description,
            os_layer=os_layer,
            app_layers=app_layers,
            platform_layer=None,
            connector=connector,
            disk_size_gb=None,
            vm_name=name,
            publish_mode="full",
            created=before.created if before else CREATED,
        )
        resolve(repository, after)
        if after != before:
            templates.put(name, after, before=before, comment=None)
    return after


def delete_template(repository: Repository, name: str) -> None:
    """Delete a template, as the module image_template does."""
    with repository.locks.hold(LOCK):
        document_collections.templates(repository).delete(name, comment=None)
