# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry in memory for tests of the packages above the back ends: each method is one request, which a test may watch.

It behaves as registries do: manifests need their blobs, tags move, a deleted manifest loses its tags, referrers are found
by their subject.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...plugins.module_utils.common.errors import NotFound, Unavailable, Unsupported
from ...plugins.module_utils.common.progress import Progress, silent
from ...plugins.module_utils.oci_registry.model import Referrer, RemoteManifest, Uploaded
from ...plugins.module_utils.repository.oci_layout import MANIFEST


@functools.lru_cache(maxsize=100_000)
def parsed(data: bytes) -> dict[str, Any]:
    """Return a JSON document, which must not be changed."""
    found: dict[str, Any] = json.loads(data)
    return found


@dataclass
class _Content:
    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)


class SharedRegistry:
    """The content of a registry by repository."""

    def __init__(self, *, deletion: bool = True) -> None:
        self.repositories: dict[str, _Content] = {}
        self.deletion = deletion
        self.offline = False
        self.requests: list[tuple[str, ...]] = []
        self.time = 1_800_000_000.0

    def content(self, repository: str) -> _Content:
        """Return the content of a repository, which may be new."""
        return self.repositories.setdefault(repository, _Content())

    def tags(self) -> dict[str, str]:
        """Return the digest of each tag by ``REPOSITORY:TAG``."""
        return {
            f"{name}:{tag}": digest
            for name, content in self.repositories.items()
            for tag, digest in content.tags.items()
        }


class SharedBackend:
    """A connection to a registry in memory; ``before_request`` is called before each request with its method and repository."""

    label = "the registry registry.example.com"

    def __init__(
        self, registry: SharedRegistry, before_request: Callable[[str, str], None] = lambda method, repository: None
    ) -> None:
        self.registry = registry
        self._before_request = before_request

    def _begin(self, method: str, repository: str, *details: str) -> _Content:
        self._before_request(method, repository)
        if self.registry.offline:
            raise Unavailable(
                "The registry registry.example.com cannot be reached.",
                code="oci_registry.connection",
                hint="Check the network.",
            )
        self.registry.requests.append((method, repository, *details))
        self.registry.time += 0.001
        return self.registry.repositories.get(repository, _Content())

    def tags(self, repository: str) -> list[str]:
        """Return all tags."""
        return list(self._begin("tags", repository).tags)

    def digest_of(self, repository: str, reference: str) -> str | None:
        """Return the digest of a tag or stored manifest."""
        content = self._begin("digest_of", repository, reference)
        return content.tags.get(reference) or (reference if reference in content.manifests else None)

    def manifest(self, repository: str, reference: str, *, bound: int = 4 << 20) -> RemoteManifest | None:
        """Return a manifest."""
        content = self._begin("manifest", repository, reference)
        digest = content.tags.get(reference, reference)
        data = content.manifests.get(digest)
        return None if data is None else RemoteManifest(data, digest, MANIFEST)

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> None:
        """Store a manifest whose blobs are stored."""
        self._begin("put_manifest", repository, reference)
        content = self.registry.content(repository)
        document = parsed(data)
        for blob in (document["config"], *document["layers"]):
            if blob["digest"] not in content.blobs:
                raise NotFound(
                    f"The blob {blob['digest']} is unknown.", code="oci_registry.manifest_blob", hint="None."
                )
        digest = _digest(data)
        content.manifests[digest] = data
        if ":" not in reference:
            content.tags[reference] = digest

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest and its tags."""
        content = self._begin("delete_manifest", repository, digest)
        self._require_deletion()
        for tag in [tag for tag, found in content.tags.items() if found == digest]:
            del content.tags[tag]
        return content.manifests.pop(digest, None) is not None

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag."""
        content = self._begin("delete_tag", repository, tag)
        self._require_deletion()
        return content.tags.pop(tag, None) is not None

    def _require_deletion(self) -> None:
        if not self.registry.deletion:
            raise Unsupported("The registry deletes nothing.", code="oci_registry.delete", hint="Allow it.")

    def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> list[Referrer]:
        """Return manifests with this subject."""
        content = self._begin("referrers", repository, digest)
        found = []
        for own, data in content.manifests.items():
            document = parsed(data)
            kind = document.get("artifactType", "")
            if document.get("subject", {}).get("digest") == digest and artifact_type in (None, kind):
                found.append(Referrer(own, len(data), MANIFEST, kind, document.get("annotations", {})))
        return found

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Return the size of a blob."""
        data = self._begin("blob_size", repository, digest).blobs.get(digest)
        return None if data is None else len(data)

    def upload(
        self,
        repository: str,
        digest: str,
        size: int,
        source: str | bytes,
        *,
        mount_from: Sequence[str] = (),
        progress: Progress = silent,
    ) -> Uploaded:
        """Store a blob."""
        self._begin("upload", repository, digest)
        content = self.registry.content(repository)
        if digest in content.blobs:
            return Uploaded.PRESENT
        for other in mount_from:
            linked = self.registry.repositories.get(other, _Content()).blobs.get(digest)
            if linked is not None:
                self.registry.requests.append(("mount", repository, digest))
                content.blobs[digest] = linked
                return Uploaded.MOUNTED
        if isinstance(source, bytes):
            data = source
        else:
            with open(source, "rb") as stream:
                data = stream.read()
        assert _digest(data) == digest and len(data) == size
        content.blobs[digest] = data
        return Uploaded.SENT

    def download(self, repository: str, digest: str, size: int, target: str, *, progress: Progress = silent) -> None:
        """Write a blob to a file."""
        data = self._begin("download", repository, digest).blobs[digest]
        with open(target, "wb") as stream:
            stream.write(data)
        progress("download", size, size)

    def read_blob(self, repository: str, digest: str, bound: int) -> bytes:
        """Return a blob."""
        return self._begin("read_blob", repository, digest).blobs[digest]

    def server_time(self) -> float | None:
        """Return the time of the registry."""
        return self.registry.time

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> SharedBackend:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
