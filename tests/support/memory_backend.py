# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A back end in memory that a test can tamper with: nothing in it is verified when it is changed from outside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, NotFound, Unavailable
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    Referrer,
    RemoteManifest,
    Uploaded,
)

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class MemoryBackend:
    """Repositories as dictionaries: ``blobs`` and ``manifests`` by (repository, digest), ``tagged`` by (repository, tag).

    ``requests`` lists the calls as (method, reference). A call whose method is in ``failing`` raises Unavailable.
    """

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.tagged: dict[tuple[str, str], str] = {}
        self.requests: list[tuple[str, str]] = []
        self.failing: set[str] = set()

    @property
    def label(self) -> str:
        return "the registry registry.example.com"

    def tags(self, repository: str) -> list[str]:
        self._record("tags", repository)
        return sorted(tag for known, tag in self.tagged if known == repository)

    def digest_of(self, repository: str, reference: str) -> str | None:
        self._record("digest_of", reference)
        if reference.startswith("sha256:"):
            return reference if (repository, reference) in self.manifests else None
        return self.tagged.get((repository, reference))

    def manifest(self, repository: str, reference: str, *, bound: int = 4 << 20) -> RemoteManifest | None:
        self._record("manifest", reference)
        digest = reference if reference.startswith("sha256:") else self.tagged.get((repository, reference), "")
        if (repository, digest) not in self.manifests:
            return None
        data, media_type = self.manifests[repository, digest]
        return RemoteManifest(_checked(data, digest, bound, "manifest"), digest, media_type)

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> None:
        self._record("put_manifest", reference)
        document = json.loads(data)
        for blob in (document["config"], *document["layers"]):
            assert (repository, blob["digest"]) in self.blobs, f"MANIFEST_BLOB_UNKNOWN {blob['digest']}"
        digest = digest_of(data)
        self.manifests[repository, digest] = (data, media_type)
        if reference.startswith("sha256:"):
            assert reference == digest
        else:
            self.tagged[repository, reference] = digest

    def delete_manifest(self, repository: str, digest: str) -> bool:
        self._record("delete_manifest", digest)
        for key in [key for key, named in self.tagged.items() if key[0] == repository and named == digest]:
            del self.tagged[key]
        return self.manifests.pop((repository, digest), None) is not None

    def delete_tag(self, repository: str, tag: str) -> bool:
        self._record("delete_tag", tag)
        return self.tagged.pop((repository, tag), None) is not None

    def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> list[Referrer]:
        self._record("referrers", digest)
        found = []
        for (known, own), (data, media_type) in self.manifests.items():
            document = json.loads(data) if known == repository else {}
            if document.get("subject", {}).get("digest") == digest:
                kind = document.get("artifactType", "")
                if artifact_type in (None, kind):
                    found.append(Referrer(own, len(data), media_type, kind, document.get("annotations", {})))
        return found

    def blob_size(self, repository: str, digest: str) -> int | None:
        self._record("blob_size", digest)
        data = self.blobs.get((repository, digest))
        return None if data is None else len(data)

    def upload(
        self,
        repository: str,
        digest: str,
        size: int,
        source: str | bytes,
        *,
        mount_from: Sequence[str] = (),
        progress: Any = None,
    ) -> Uploaded:
        self._record("upload", digest)
        if (repository, digest) in self.blobs:
            return Uploaded.PRESENT
        for other in mount_from:
            if (other, digest) in self.blobs:
                self.blobs[repository, digest] = self.blobs[other, digest]
                return Uploaded.MOUNTED
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        assert (digest_of(data), len(data)) == (digest, size), "DIGEST_INVALID"
        self.blobs[repository, digest] = data
        return Uploaded.SENT

    def download(self, repository: str, digest: str, size: int, target: str, *, progress: Any = None) -> None:
        self._record("download", digest)
        Path(target).write_bytes(self._blob(repository, digest, size))

    def read_blob(self, repository: str, digest: str, bound: int) -> bytes:
        self._record("read_blob", digest)
        return self._blob(repository, digest, bound)

    def server_time(self) -> float | None:
        return None

    def close(self) -> None:
        """Keep everything."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def copy(self) -> MemoryBackend:
        """Return a copy that changes independently."""
        other = MemoryBackend()
        other.blobs, other.manifests, other.tagged = dict(self.blobs), dict(self.manifests), dict(self.tagged)
        return other

    # --- tampering --------------------------------------------------------------------------

    def store(self, repository: str, tag: str, *layers: bytes, **fields: Any) -> RemoteManifest:
        """Store a manifest of these blobs under a tag ("" for none); ``fields`` are further fields of the manifest."""
        config, *rest = [self._stored(repository, data) for data in (b"{}", *layers)]
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": rest} | fields
        data = json.dumps(document).encode()
        self.put_manifest(repository, tag or digest_of(data), data, MANIFEST)
        return RemoteManifest(data, digest_of(data), MANIFEST)

    def tamper(self, repository: str, digest: str, data: bytes) -> None:
        """Replace what is stored under the digest of a blob or manifest."""
        if (repository, digest) in self.blobs:
            self.blobs[repository, digest] = data
        else:
            self.manifests[repository, digest] = (data, MANIFEST)

    def _stored(self, repository: str, data: bytes) -> dict[str, Any]:
        self.blobs[repository, digest_of(data)] = data
        return {"mediaType": "application/octet-stream", "digest": digest_of(data), "size": len(data)}

    def _blob(self, repository: str, digest: str, bound: int) -> bytes:
        if (repository, digest) not in self.blobs:
            raise NotFound(
                f"The blob {digest} does not exist.", code="oci_registry.blob_missing", hint="Push it again."
            )
        return _checked(self.blobs[repository, digest], digest, bound, "blob")

    def _record(self, method: str, reference: str) -> None:
        self.requests.append((method, reference))
        if method in self.failing:
            raise Unavailable("The registry does not answer.", code="oci_registry.connection", hint="Start it.")


def _checked(data: bytes, digest: str, bound: int, kind: str) -> bytes:
    if len(data) > bound or digest_of(data) != digest:
        raise Corrupt(f"The content of {digest} is damaged.", code=f"oci_registry.{kind}_digest", hint="Push it again.")
    return data
