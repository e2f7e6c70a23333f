# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests of artifacts that this package writes: details, templates, catalogue entries and claims.

Source: OCI image-spec, manifest.md ("Guidelines for Artifact Usage", "Guidance for an Empty Descriptor").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...common.errors import Corrupt
from ...repository.blobs import Descriptor
from ...repository.oci_layout import MANIFEST

#: The config of an artifact that has none.
EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY_DIGEST = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
CREATED = "org.opencontainers.image.created"


def descriptor_of(data: bytes, media_type: str) -> Descriptor:
    """Return the descriptor of a blob with these bytes."""
    return Descriptor(media_type, "sha256:" + hashlib.sha256(data).hexdigest(), len(data))


def manifest_bytes(
    artifact_type: str,
    config: Descriptor,
    layers: Sequence[Descriptor] = (),
    *,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
    created: str | None = None,
) -> bytes:
    """Return the manifest of an artifact; equal arguments give equal bytes.

    An artifact without layers lists the empty blob, because registries require a layer.
    """
    listed = list(layers) or [descriptor_of(EMPTY, EMPTY_TYPE)]
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in listed],
    }
    if subject is not None:
        document["subject"] = subject.to_json()
    noted = dict(annotations or {}) | ({CREATED: created} if created else {})
    if noted:
        document["annotations"] = noted
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def parse_manifest(data: bytes, digest: str) -> dict[str, Any]:
    """Read the manifest with the digest ``digest``, which is added to it; its descriptors are checked.

    Raises:
        Corrupt: ``distribution.manifest``.
    """
    try:
        document = json.loads(data)
        if not isinstance(document, dict) or not isinstance(document.get("annotations", {}), dict):
            raise ValueError
        for item in (
            document["config"],
            *document["layers"],
            *([document["subject"]] if "subject" in document else []),
        ):
            Descriptor.from_json(item)
    except (ValueError, KeyError, TypeError, RecursionError, Corrupt):
        raise Corrupt(
            f"The manifest {digest} is damaged.",
            code="distribution.manifest",
            hint="Push it again from a repository that has it.",
            digest=digest,
        ) from None
    document["digest"] = digest
    return document


def listed_blobs(manifest: Mapping[str, Any]) -> list[Descriptor]:
    """Return the blobs that a parsed manifest lists, its config first; each once."""
    found = [Descriptor.from_json(item) for item in (manifest["config"], *manifest["layers"])]
    return list({blob.digest: blob for blob in found}.values())
