# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of a place to which layers travel: repositories with tags, manifests, blobs and referrers.

The names follow the OCI distribution-spec: a *repository* is a path such as ``windows/app/editor``, a *tag* names a
manifest in it, a *referrer* is a manifest whose ``subject`` is another manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from ...common.progress import Progress, silent
from ...oci_registry.model import Referrer, RemoteManifest, Uploaded

#: The largest manifest, in bytes: registries refuse a larger manifest.
MAX_MANIFEST = 4 << 20


class Backend(Protocol):
    """A registry, a folder or share with an OCI image layout, or a file with one.

    ``label`` names it in messages, such as "the registry registry.example.com". Methods that read return None or
    nothing for a repository, tag or manifest that does not exist. Everything that is returned was compared with its
    digest. A connection that fails raises Unavailable; refused credentials raise InvalidInput or Unavailable.
    """

    @property
    def label(self) -> str: ...

    def tags(self, repository: str) -> list[str]:
        """Return all tags."""

    def digest_of(self, repository: str, reference: str) -> str | None:
        """Return the digest of the manifest with a tag or digest."""

    def manifest(self, repository: str, reference: str, *, bound: int = MAX_MANIFEST) -> RemoteManifest | None:
        """Return the manifest with a tag or digest; Corrupt if it has more than ``bound`` bytes or another digest."""

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> None:
        """Store a manifest under a tag or its digest. What it lists must be stored already.

        A manifest with a ``subject`` becomes one of its referrers.
        """

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest with all its tags; return whether it existed; Unsupported if deleting is not allowed."""

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and keep its manifest; return whether it existed; Unsupported if deleting is not allowed."""

    def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> list[Referrer]:
        """Return the manifests whose subject is ``digest``."""

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Return the size of a blob in bytes."""

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
        """Store a blob from the file ``source``, or from bytes; ``mount_from`` are repositories that may have it already."""

    def download(self, repository: str, digest: str, size: int, target: str, *, progress: Progress = silent) -> None:
        """Write a blob to the file ``target``. What a killed run has left there is continued.

        Raises:
            Corrupt: the blob has another digest or size. The file is removed.
        """

    def read_blob(self, repository: str, digest: str, bound: int) -> bytes:
        """Return a small blob; Corrupt if it has more than ``bound`` bytes or another digest."""

    def server_time(self) -> float | None:
        """Return the time of the server's last answer in seconds since 1970, None if it is not known."""

    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
