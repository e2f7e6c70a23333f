# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read manifests, indexes and descriptors that a registry sends: untrusted JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ..model import Referrer, is_digest

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
#: The media types of manifests that are accepted.
ACCEPTED = ", ".join(
    (
        MANIFEST_TYPE,
        INDEX_TYPE,
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_LONGEST_TEXT, _LARGEST = 1024, 1 << 50
_MOST_ANNOTATIONS, _LONGEST_ANNOTATION = 256, 64 << 10


def digest_of(data: bytes) -> str:
    """Return the SHA-256 digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def document_in(data: bytes) -> dict[str, Any]:
    """Return the JSON object in a manifest, an empty object if it is different."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def media_type_of(document: Mapping[str, Any], header: str | None) -> str:
    """Return the media type of a manifest: its own, or that of the answer."""
    own = _text(document, "mediaType")
    sent = (header or "").partition(";")[0].strip().lower()
    if own:
        return own
    if sent and sent not in ("application/octet-stream", "application/json", "text/plain"):
        return sent
    return INDEX_TYPE if isinstance(document.get("manifests"), list) else MANIFEST_TYPE


def subject_of(document: Mapping[str, Any]) -> str | None:
    """Return the digest of the subject of a manifest, None without a valid subject."""
    subject = document.get("subject")
    digest = _text(subject, "digest") if isinstance(subject, dict) else ""
    return digest if is_digest(digest) else None


def referrer_from(data: bytes, media_type: str) -> Referrer:
    """Return the descriptor of a manifest that has a subject."""
    document = document_in(data)
    config = document.get("config")
    artifact_type = _text(document, "artifactType") or (_text(config, "mediaType") if isinstance(config, dict) else "")
    return Referrer(digest_of(data), len(data), media_type, artifact_type, _annotations(document.get("annotations")))


def referrers_in(value: object) -> Iterator[Referrer]:
    """Yield the valid descriptors of an index."""
    listed = value.get("manifests") if isinstance(value, dict) else None
    for entry in listed if isinstance(listed, list) else []:
        if not isinstance(entry, dict):
            continue
        digest, size = _text(entry, "digest"), entry.get("size")
        if is_digest(digest) and size.__class__ is int and 0 <= size <= _LARGEST:
            annotations = _annotations(entry.get("annotations"))
            yield Referrer(digest, size, _text(entry, "mediaType"), _text(entry, "artifactType"), annotations)


def index_of(referrers: list[Referrer]) -> bytes:
    """Return the index with which referrers are listed under a tag."""
    manifests: list[dict[str, Any]] = []
    for referrer in referrers:
        entry: dict[str, Any] = {
            "mediaType": referrer.media_type or MANIFEST_TYPE,
            "digest": referrer.digest,
            "size": referrer.size,
        }
        if referrer.annotations:
            entry["annotations"] = dict(referrer.annotations)
        if referrer.artifact_type:
            entry["artifactType"] = referrer.artifact_type
        manifests.append(entry)
    document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
    return json.dumps(document, separators=(",", ":")).encode()


def _annotations(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return MappingProxyType({})
    found = {
        key: text
        for key, text in list(value.items())[:_MOST_ANNOTATIONS]
        if isinstance(text, str) and len(key) <= _LONGEST_TEXT and len(text) <= _LONGEST_ANNOTATION
    }
    return MappingProxyType(found)


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) and len(found) <= _LONGEST_TEXT else ""
