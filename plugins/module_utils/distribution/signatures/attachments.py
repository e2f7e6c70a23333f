# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures that travel with the manifest that they sign, whether this site has keys for them or not."""

from __future__ import annotations

from ...common.errors import Corrupt, NotFound
from ...signing.artifact import signatures_of_manifest, simple_signing_tag
from ..backends.backend import Backend
from ..items.artifacts import EMPTY_DIGEST, listed_blobs, parse_manifest
from ..items.items import Attachment, Item
from .trust import SignatureReader

_MAX_BLOB, _MAX_ATTACHMENTS = 1 << 20, 32


def read_attachments(backend: Backend, repository: str, digest: str) -> tuple[Attachment, ...]:
    """Return the signatures of a stored manifest.

    A signature that is damaged or incomplete does not travel, and does not keep the manifest from travelling.
    """
    reader = SignatureReader(backend, repository, digest)
    found: list[Attachment] = []
    for manifest in reader.manifests():
        attachment = _read(backend, repository, manifest, digest)
        if attachment is not None and len(found) < _MAX_ATTACHMENTS:
            found.append(attachment)
    return tuple(found)


def _read(backend: Backend, repository: str, manifest: str, subject: str) -> Attachment | None:
    try:
        found = backend.manifest(repository, manifest)
        if found is None or not signatures_of_manifest(found.data, subject):
            return None
        blobs = listed_blobs(parse_manifest(found.data, found.digest))
        for blob in blobs:
            if blob.digest != EMPTY_DIGEST:
                backend.read_blob(repository, blob.digest, min(blob.size, _MAX_BLOB))
    except (Corrupt, NotFound):
        return None
    return Attachment(found.data, found.digest, tuple(blobs))


def new_attachments(source: Item, target: Item | None) -> tuple[Attachment, ...]:
    """Return the signatures of ``source`` that ``target`` lacks. A manifest has a single tag for signatures of cosign 2."""
    existing = target.attachments if target is not None else ()
    digests, has_tag = {item.digest for item in existing}, any(item.is_tagged for item in existing)
    return tuple(item for item in source.attachments if item.digest not in digests and not (item.is_tagged and has_tag))


def reference_of(attachment: Attachment, subject: str) -> str:
    """Return the reference under which a remote stores a signature: its digest, or the tag of signatures of cosign 2."""
    return simple_signing_tag(subject) if attachment.is_tagged else attachment.digest
