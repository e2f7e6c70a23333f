# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise profiles of OS layer versions: store, load and remove them.

A noise profile lists what Windows changes by itself when an untouched packaging machine is started and shut down.
It belongs to an OS layer version but is not part of it: storing it changes neither the version nor its digest.
Garbage collection keeps its content because the document names the digest of the blob.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..common.timestamps import now
from ..layers.layer_version import OS, LayerReference
from ..repository.repository import Repository
from . import document_collections
from .kinds import NOISE_PROFILE
from .noise_profile_record import NoiseProfileRecord

MEDIA_TYPE = "application/vnd.strata.noise-profile.v1+zstd"
#: Bytes of a stored noise profile, compressed.
MAX_SIZE = 256 << 20


def has_noise_profile(repository: Repository, name: str, version: str) -> bool:
    """Return whether the version ``version`` of the OS layer ``name`` exists and has a noise profile."""
    layer = document_collections.layers(repository, OS).get(name)
    if layer is None or version not in layer.versions:
        return False
    record = document_collections.noise_profiles(repository).get(_document_name(name, version))
    return record is not None and record.os_layer.digest == layer.versions[version].digest


def find_record(repository: Repository, os_layer: LayerReference) -> NoiseProfileRecord | None:
    """Return the record of the noise profile of an OS layer version, None if it has no profile."""
    name = _document_name(os_layer.name, os_layer.version)
    record = document_collections.noise_profiles(repository).get(name)
    # The record of a version that was removed and imported again from other content does not count.
    return record if record is not None and record.os_layer.digest == os_layer.digest else None


def records_by_digest(repository: Repository) -> dict[str, NoiseProfileRecord]:
    """Return the records of all noise profiles by the digest of their OS layer version."""
    return {record.os_layer.digest: record for _name, record in document_collections.noise_profiles(repository).all()}


def store(
    repository: Repository,
    os_layer: LayerReference,
    content: bytes,
    *,
    source: Mapping[str, Any],
    changes: Mapping[str, Any],
    comment: str | None,
) -> NoiseProfileRecord:
    """Store the noise profile of an OS layer version, in place of an earlier profile, with an audit record.

    The caller holds the lock of the layer. ``content`` is the encoded profile.

    Raises:
        NoSpace: the disk of the repository is full.
    """
    name = _document_name(os_layer.name, os_layer.version)
    before = document_collections.noise_profiles(repository).get(name)
    with repository.pin(purpose=f"store the noise profile of the OS layer {os_layer.name} {os_layer.version}") as pin:
        blob = repository.layout.put_blob(content, MEDIA_TYPE)
        pin.add([blob.digest])
        record = NoiseProfileRecord(
            os_layer=os_layer, digest=blob.digest, size=blob.size, source=source, changes=changes, created=now()
        )
        document_collections.noise_profiles(repository).store(name, record)
    action = "create" if before is None else "update"
    details = {"digest": {"before": before.digest if before else None, "after": record.digest}}
    _audit(repository, action, os_layer.name, os_layer.version, comment, details)
    return record


def copy(repository: Repository, profile: NoiseProfileRecord, os_layer: LayerReference) -> None:
    """Store the noise profile of an OS layer version for its clone ``os_layer``, whose lock the caller holds."""
    record = replace(profile, os_layer=os_layer, created=now())
    document_collections.noise_profiles(repository).store(_document_name(os_layer.name, os_layer.version), record)


def load(repository: Repository, record: NoiseProfileRecord) -> bytes:
    """Return the encoded content of a noise profile.

    Raises:
        NotFound: ``repository.blob_missing``.
        Corrupt: ``repository.blob_corrupt`` if the content is damaged or too large.
    """
    return repository.layout.blobs.read(record.digest, MAX_SIZE)


def remove(repository: Repository, os_layer: LayerReference, *, comment: str | None) -> None:
    """Remove the noise profile of an OS layer version and write an audit record; the version must have a profile."""
    document_collections.noise_profiles(repository).remove(_document_name(os_layer.name, os_layer.version))
    _audit(repository, "delete", os_layer.name, os_layer.version, comment, {})


def discard(repository: Repository, name: str, version: str) -> None:
    """Remove the noise profile, if there is one, of an OS layer version that is being deleted."""
    document_collections.noise_profiles(repository).remove(_document_name(name, version))


def _document_name(name: str, version: str) -> str:
    return f"{name}/{version}"


def _audit(
    repository: Repository, action: str, name: str, version: str, comment: str | None, details: dict[str, Any]
) -> None:
    repository.audit.append(action, NOISE_PROFILE, name, version=version, comment=comment, details=details)
