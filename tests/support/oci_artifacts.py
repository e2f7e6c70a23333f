# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small artifacts in the form of layer versions, for tests of back ends: bytes, digests, and a push of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from ...plugins.module_utils.distribution.backends.backend import Backend

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TYPE = "application/vnd.strata.layer.v1+json"
CONFIG = "application/vnd.strata.layer.config.v1+json"


def digest(data: bytes) -> str:
    """Return the digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Artifact:
    """A manifest with a config and layers; ``subject`` is the artifact that it describes."""

    config: bytes = b'{"name":"Editor"}'
    layers: tuple[bytes, ...] = (b"archive", b"index")
    subject: Artifact | None = None
    artifact_type: str = TYPE
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def manifest(self) -> bytes:
        """The bytes of the manifest."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": self.artifact_type,
            "config": descriptor(self.config, CONFIG),
            "layers": [descriptor(layer, "application/octet-stream") for layer in self.layers],
        }
        if self.subject is not None:
            document["subject"] = descriptor(self.subject.manifest, MANIFEST)
        if self.annotations:
            document["annotations"] = self.annotations
        return json.dumps(document).encode()

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return digest(self.manifest)

    @property
    def blobs(self) -> tuple[bytes, ...]:
        """Config and layers."""
        return (self.config, *self.layers)

    def push(self, backend: Backend, repository: str, reference: str | None = None) -> None:
        """Store blobs and manifest, under a tag or the digest."""
        for blob in self.blobs:
            backend.upload(repository, digest(blob), len(blob), blob)
        backend.put_manifest(repository, reference or self.digest, self.manifest, MANIFEST)


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    """Return the descriptor of bytes."""
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}
