# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small layer versions, and copies of them into another repository as skopeo, oras or regctl make them."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

from ...plugins.module_utils.catalog import document_collections, layer_store
from ...plugins.module_utils.catalog.layer_document import LayerDocument, LayerEntry
from ...plugins.module_utils.catalog.version_name import VersionName
from ...plugins.module_utils.layers.layer_version import APP, OS, ROLE_DISK, Blob, LayerVersion
from ...plugins.module_utils.repository.oci_layout import MANIFEST, REFERENCE
from ...plugins.module_utils.repository.repository import Repository
from .layer_documents import os_entry, software_entry


def add_os(repository: Repository, data: bytes | None = None) -> LayerVersion:
    """Add version 1 of the OS layer Windows, whose disk is ``data``."""
    disk = repository.layout.put_blob(data or os.urandom(1 << 20), "application/x.disk")
    blobs = {ROLE_DISK: Blob(disk.media_type, disk.digest, disk.size)}
    version = layer_store.put_version(repository, LayerVersion(OS, "Windows", "1", size_gb=60, blobs=blobs))
    record(repository, version)
    return version


def record(repository: Repository, version: LayerVersion) -> None:
    """Add the document of a stored layer version."""
    entry: LayerEntry
    if version.kind == OS:
        entry = os_entry(digest=version.digest)
    else:
        bases = tuple(VersionName(base.name, base.version) for base in version.prerequisites)
        entry = software_entry(digest=version.digest, prerequisites=bases)
    document = LayerDocument.new(version.kind, version.name).with_version(version.version, entry)
    document_collections.layers(repository, version.kind).store(version.name, document)


def copy(source: Repository, target: Repository, name: str, reference: str | None, kind: str = APP, **item: Any) -> str:
    """Do what a tool does: copy a manifest and its blobs, and add an entry to index.json; return the digest."""
    digest = digest_in(source, name, kind)
    manifest = json.loads(source.layout.blobs.read(digest, 1 << 20))
    for blob in (digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])):
        _copy_blob(source, target, blob)
    add_entry(target, digest, reference, **item)
    return digest


def _copy_blob(source: Repository, target: Repository, digest: str) -> None:
    pathlib.Path(target.layout.blobs.path(digest)).write_bytes(
        pathlib.Path(source.layout.blobs.path(digest)).read_bytes()
    )


def add_entry(target: Repository, digest: str, reference: str | None, **item: Any) -> None:
    """Add an entry to index.json, as a tool does that knows no locks."""
    path = pathlib.Path(target.path, "index.json")
    index = json.loads(path.read_bytes())
    entry = {"mediaType": MANIFEST, "digest": digest, "size": target.layout.size(digest)} | item
    if reference is not None:
        entry["annotations"] = {REFERENCE: reference}
    index["manifests"].append(entry)
    path.write_text(json.dumps(index))


def digest_in(repository: Repository, name: str, kind: str = APP) -> str:
    """Return the digest of version 1 of a layer."""
    digest = document_collections.layers(repository, kind).require(name).versions["1"].digest
    assert digest is not None
    return digest
