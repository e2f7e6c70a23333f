# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifests with which a registry attaches signatures to the manifest that they sign.

Sources: OCI image-spec 1.1 (manifest.md, "Guidelines for Artifact Usage"), cosign (pkg/oci/remote/write.go).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..common import timestamps
from ..common.errors import Corrupt, InternalError
from .bundle import BUNDLE, BUNDLE_TYPES, PREDICATE, PREDICATE_ANNOTATION, make_bundle
from .keys import SigningKey
from .simple_signing import SIGNATURE, SIMPLE_SIGNING
from .strict_json import MAX_BYTES, Malformed, field_of, is_digest, read_object

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_BLOB = b"{}"
#: The bound of a manifest with signatures, in bytes, and of the signatures in it.
MAX_MANIFEST, MAX_SIGNATURES = 256 << 10, 100


@dataclass(frozen=True)
class SignatureArtifact:
    """A signature as a registry stores it: a manifest, its digest, and the blobs that it names, by their digests."""

    manifest: bytes
    digest: str
    blobs: Mapping[str, bytes]
    media_type: str = MANIFEST
    artifact_type: str = BUNDLE


@dataclass(frozen=True)
class StoredSignature:
    """A signature that a manifest names: the digest and the size (bytes) of its blob.

    In the form of cosign 2, the blob is the payload, and ``signature`` is the signature in base64. For a bundle it is None.
    """

    digest: str
    size: int
    signature: str | None = None


def sign_manifest(digest: str, key: SigningKey, *, size: int, media_type: str = MANIFEST) -> SignatureArtifact:
    """Return a signature of the manifest with this digest, size (bytes) and media type, as an artifact attached to it."""
    if not is_digest(digest):
        raise InternalError(f"{digest!r} is not a SHA-256 digest.", code="signing.digest")
    bundle = make_bundle(digest, key)
    blobs = {_digest(data): data for data in (EMPTY_BLOB, bundle)}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": {"mediaType": EMPTY, "digest": _digest(EMPTY_BLOB), "size": len(EMPTY_BLOB)},
        "layers": [{"mediaType": BUNDLE, "digest": _digest(bundle), "size": len(bundle)}],
        "subject": {"mediaType": media_type, "digest": digest, "size": size},
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            PREDICATE_ANNOTATION: PREDICATE,
            "org.opencontainers.image.created": timestamps.now(),
        },
    }
    data = json.dumps(manifest, separators=(",", ":")).encode("ascii")
    return SignatureArtifact(data, _digest(data), blobs)


def signatures_of_manifest(manifest: bytes, digest: str) -> list[StoredSignature]:
    """Return the signatures that a manifest has for the manifest ``digest``.

    It has a single bundle and that ``subject``, or any number of signatures in the form of cosign 2.

    Raises:
        Corrupt: ``signing.manifest`` if the manifest breaks its format, or is attached to a different manifest.
    """
    try:
        document = read_object(manifest, bound=MAX_MANIFEST)
        simple = [
            StoredSignature(blob["digest"], blob["size"], blob["annotations"][SIGNATURE])
            for blob in _blobs(document, (SIMPLE_SIGNING,))
            if isinstance(blob.get("annotations"), dict) and isinstance(blob["annotations"].get(SIGNATURE), str)
        ]
        bundles = list(_blobs(document, BUNDLE_TYPES))
        if bundles and field_of(document, "subject", dict).get("digest") != digest:
            raise Malformed("it is attached to a different manifest")
        if len(bundles) > 1:
            raise Malformed(f"it has {len(bundles)} bundles; the limit is 1")
        return [StoredSignature(blob["digest"], blob["size"]) for blob in bundles] + simple
    except Malformed as error:
        raise Corrupt(
            f"The manifest with a signature of {digest} is damaged: {error}.",
            code="signing.manifest",
            hint="Delete this signature, and sign the manifest again.",
            digest=digest,
        ) from None


def simple_signing_tag(digest: str) -> str:
    """Return the tag at which cosign 2 stores the signatures of a manifest."""
    return f"{digest.replace(':', '-')}.sig"


def _blobs(document: dict[str, Any], media_types: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    layers = field_of(document, "layers", list)
    if len(layers) > MAX_SIGNATURES:
        raise Malformed(f"it has {len(layers)} blobs; the limit is {MAX_SIGNATURES}")
    for layer in layers:
        if not isinstance(layer, dict) or layer.get("mediaType") not in media_types:
            continue
        size = field_of(layer, "size", int)
        if not is_digest(layer.get("digest")) or not 0 < size <= MAX_BYTES:
            raise Malformed(f"a blob has no SHA-256 digest, or not between 1 and {MAX_BYTES} bytes")
        yield layer


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
