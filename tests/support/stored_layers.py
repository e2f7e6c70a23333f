# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries of the layer versions in a repository that only tests need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...plugins.module_utils.catalog.layer_store import layer_reference_name, load_version, role_blob
from ...plugins.module_utils.layers.archive import ArchiveReader
from ...plugins.module_utils.layers.file_index import Record, load_index
from ...plugins.module_utils.layers.layer_version import ROLE_ARCHIVE, ROLE_INDEX, LayerVersion, version_key
from ...plugins.module_utils.repository.blobs import Descriptor
from ...plugins.module_utils.repository.repository import Repository


def find_version(repository: Repository, kind: str, name: str, version: str) -> LayerVersion | None:
    """Return the stored layer version of that name, None if it does not exist."""
    reference = layer_reference_name(kind, name, version)
    if reference not in repository.layout.references():
        return None
    return load_version(repository, reference)


def require_version(repository: Repository, kind: str, name: str, version: str) -> LayerVersion:
    """Return the stored layer version of that name, which must exist."""
    return load_version(repository, layer_reference_name(kind, name, version))


def versions(repository: Repository, kind: str | None = None, name: str | None = None) -> list[LayerVersion]:
    """Return all layer versions that the repository names, by kind, name and natural order of versions."""
    prefix = f"layers/{kind}/" if kind else "layers/"
    layers = [
        load_version(repository, item.digest)
        for reference, item in repository.layout.references().items()
        if reference.startswith(prefix)
    ]
    selected = [layer for layer in layers if name is None or layer.name == name]
    return sorted(
        selected, key=lambda layer: (layer.kind, layer.name.casefold(), layer.name, version_key(layer.version))
    )


def records(repository: Repository, layer: LayerVersion) -> list[Record]:
    """Return the file index of a layer."""
    with repository.layout.open_blob(Descriptor(*role_blob(layer, ROLE_INDEX))) as stream:
        return load_index(stream, layer.label)


@contextlib.contextmanager
def open_archive(repository: Repository, layer: LayerVersion, *, hives: bool = False) -> Iterator[ArchiveReader]:
    """Open the archive of a layer; its digest is verified when it has been read to its end."""
    with repository.layout.open_blob(Descriptor(*role_blob(layer, ROLE_ARCHIVE))) as stream:
        yield ArchiveReader(stream, layer.label, hives=hives)
