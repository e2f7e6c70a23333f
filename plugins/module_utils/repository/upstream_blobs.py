# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs that only the registry of record has: they are known from the manifests that list them, and fetched on first use."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..common.errors import Corrupt, NotFound
from ..common.progress import Progress, silent
from .blobs import Descriptor
from .oci_layout import MAX_JSON
from .upstream import SHARED_REFERENCES

if TYPE_CHECKING:
    from .repository import Repository
    from .upstream import Upstream

_ANY = "application/octet-stream"
#: Seconds to wait for another process that fetches the same blob.
_LOCK_TIMEOUT = 6 * 3600.0


@dataclass(frozen=True)
class SharedBlob:
    """A blob of layer versions: its size in bytes, and the digests of the manifests that list it."""

    size: int
    manifests: tuple[str, ...]


class UpstreamBlobs:
    """The blobs of the layer versions of a repository, as a source for blobs that are not stored here."""

    def __init__(self, repository: Repository, upstream: Upstream) -> None:
        self._repository = repository
        self._upstream = upstream
        self._lock = threading.RLock()
        self._known: dict[str, SharedBlob] = {}
        self._state: object = None

    @property
    def label(self) -> str:
        """The name of the registry of record in messages."""
        return self._upstream.label

    def find(self, digest: str) -> SharedBlob | None:
        """Return the blob with ``digest`` if a stored layer version lists it."""
        with self._lock:
            state = self._index_state()
            if digest not in self._known and state != self._state:
                self._known, self._state = dict(shared_blobs(self._repository)), state
            return self._known.get(digest)

    def size(self, digest: str) -> int | None:
        """Return the size of a blob in bytes, None if no layer version lists it."""
        found = self.find(digest)
        return None if found is None else found.size

    def fetch(self, digest: str, progress: Progress = silent) -> None:
        """Store a blob that a layer version lists, if it is not stored; parallel processes fetch it once.

        Raises:
            Unavailable: the registry of record cannot be reached.
            NotFound: the registry of record does not have the blob; ``repository.blob_missing`` if no layer version lists it.
            NoSpace: ``repository.no_space``.
            Conflict: ``repository.lock_held`` if another process fetches the blob for more than six hours.
        """
        blobs, found = self._repository.layout.blobs, self.find(digest)
        if found is None:
            raise blobs.missing(digest)
        name = digest.rpartition(":")[2]

        def fill(target: str) -> None:
            shown = self._upstream.progress if progress is silent else progress
            self._upstream.fetch(found.manifests, digest, found.size, target, shown)

        with self._repository.locks.hold(f"fetch/{name}", timeout=_LOCK_TIMEOUT, purpose="fetch a blob"):
            blobs.receive(Descriptor(_ANY, digest, found.size), fill)

    def has_upstream(self, digest: str) -> bool:
        """Return whether the registry of record has a blob that a layer version lists."""
        found = self.find(digest)
        return found is not None and self._upstream.has(found.manifests, digest, found.size)

    def _index_state(self) -> object:
        with contextlib.suppress(OSError):
            status = os.stat(os.path.join(self._repository.path, "index.json"))
            return status.st_ino, status.st_mtime_ns, status.st_size
        return None


def shared_blobs(repository: Repository) -> Mapping[str, SharedBlob]:
    """Return every blob that the layer versions of a repository list, by digest. Damaged manifests are left out."""
    found: dict[str, SharedBlob] = {}
    for reference, manifest in repository.layout.references().items():
        if not reference.startswith(SHARED_REFERENCES) or not repository.layout.has(manifest.digest):
            continue
        with contextlib.suppress(Corrupt, NotFound):
            for blob in _listed(repository, manifest.digest):
                known = found.get(blob.digest, SharedBlob(blob.size, ()))
                found[blob.digest] = SharedBlob(known.size, (*known.manifests, manifest.digest))
    return found


def _listed(repository: Repository, digest: str) -> list[Descriptor]:
    try:
        document = json.loads(repository.layout.blobs.read(digest, MAX_JSON))
        items = [document["config"], *document["layers"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return list(dict.fromkeys(Descriptor.from_json(item) for item in items))
