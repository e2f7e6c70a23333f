# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading an OCI image layout that holds several repositories; where its files are stored is up to the subclass.

Blobs are shared by all repositories of the layout. A manifest can be read in the repositories whose entries in index.json
name it, directly or through an image index.
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self

from ...common.errors import Conflict, Corrupt, NotFound
from ...common.progress import Progress, silent
from ...oci_registry.model import Referrer, RemoteManifest, is_digest
from ...repository.blobs import Descriptor
from .backend import MAX_MANIFEST
from .layout_index import IndexEntry, LayoutIndex, check_names
from .layout_manifest import ManifestContent, digest_of

CHUNK = 1 << 20


class LayoutReader(abc.ABC):
    """The methods of a ``Backend`` that read. ``label`` names the layout in messages."""

    label: str

    def __init__(self) -> None:
        self._contents: dict[str, ManifestContent] = {}

    # --- the files of the layout ------------------------------------------------------------

    @abc.abstractmethod
    def _index(self) -> LayoutIndex:
        """Return the current entries, which the caller may change."""

    @abc.abstractmethod
    def _index_path(self) -> str:
        """Return the name of index.json in messages."""

    @abc.abstractmethod
    def _size(self, digest: str) -> int | None:
        """Return the size of a blob in bytes, None if it does not exist."""

    @abc.abstractmethod
    def _open(self, digest: str) -> BinaryIO:
        """Open a blob; the stream is seekable. FileNotFoundError if it does not exist."""

    # --- manifests --------------------------------------------------------------------------

    def tags(self, repository: str) -> list[str]:
        """Return all tags of a repository, sorted."""
        check_names(repository)
        return self._index().tags(repository)

    def digest_of(self, repository: str, reference: str) -> str | None:
        """Return the digest of the manifest with a tag or digest."""
        found = self._find(repository, reference)
        return None if found is None else found.digest

    def manifest(self, repository: str, reference: str, *, bound: int = MAX_MANIFEST) -> RemoteManifest | None:
        """Return the manifest with a tag or digest.

        Raises:
            Corrupt: ``distribution.layout_blob`` if it is missing or damaged; ``distribution.layout_index``.
        """
        found = self._find(repository, reference)
        if found is None:
            return None
        data = self._read(found.digest, bound)
        if len(data) != found.size:
            raise self._damaged(found.digest, f"has {len(data)} bytes, not {found.size}")
        return RemoteManifest(data, found.digest, found.media_type)

    def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> list[Referrer]:
        """Return the manifests whose subject is ``digest``.

        They are entries of index.json, or listed by the image index with the tag ``sha256-<hex>``, which tools write for
        registries without an interface for referrers.
        """
        check_names(repository, digest)
        index = self._index()
        candidates = {
            entry.descriptor.digest: entry.descriptor
            for entry in index.of(repository)
            if artifact_type is None or entry.item.get("artifactType", artifact_type) == artifact_type
        }
        fallback = index.find(repository, digest.replace(":", "-"), self._index_path())
        if fallback is not None:
            candidates |= {child.digest: child for child in self._children(fallback)}
        found = []
        for descriptor in candidates.values():
            content = self._content(descriptor)
            if content is None or content.subject != digest or artifact_type not in (None, content.artifact_type):
                continue
            media_type = content.media_type or descriptor.media_type
            found.append(
                Referrer(descriptor.digest, descriptor.size, media_type, content.artifact_type, content.annotations)
            )
        return sorted(found, key=lambda referrer: referrer.digest)

    def _find(self, repository: str, reference: str) -> Descriptor | None:
        check_names(repository, reference)
        index = self._index()
        found = index.find(repository, reference, self._index_path())
        if found is not None or not is_digest(reference):
            return found
        listing = [entry.descriptor for entry in index.of(repository)]
        for descriptor in listing:
            for child in self._children(descriptor):
                if child.digest == reference:
                    return child
        return None

    def _children(self, descriptor: Descriptor) -> tuple[Descriptor, ...]:
        """Return the manifests that an image index lists; nothing for other manifests."""
        if not descriptor.media_type.endswith(("index.v1+json", "manifest.list.v2+json")):
            return ()
        content = self._content(descriptor)
        return content.listed if content is not None and content.is_index else ()

    def _content(self, descriptor: Descriptor) -> ManifestContent | None:
        """Return what a manifest of the index refers to; None if it cannot be read."""
        if descriptor.digest not in self._contents:
            try:
                data = self._read(descriptor.digest, MAX_MANIFEST)
                self._contents[descriptor.digest] = ManifestContent.parse(data, f"The manifest {descriptor.digest}")
            except Corrupt:
                # It is reported when it is read for its own sake.
                return None
        return self._contents[descriptor.digest]

    def reachable(self, index: LayoutIndex) -> set[str] | None:
        """Return the digests of everything that the entries refer to; None if a manifest cannot be read."""
        found: set[str] = set()
        waiting = [entry.descriptor for entry in index.entries]
        while waiting:
            descriptor = waiting.pop()
            if descriptor.digest in found:
                continue
            found.add(descriptor.digest)
            content = self._content(descriptor)
            if content is None:
                return None
            if content.is_index:
                waiting += content.listed
            else:
                found |= {blob.digest for blob in content.listed}
        return found

    def loose_entries(self, index: LayoutIndex) -> list[IndexEntry]:
        """Return the untagged manifests that describe, directly or through other manifests, nothing that is kept.

        A signature of details describes details, which describe a version with a tag: both are kept.
        """
        kept = {entry.descriptor.digest for entry in index.entries if entry.tag is not None or entry.repository is None}
        others = [entry for entry in index.entries if entry.descriptor.digest not in kept]
        subjects = {entry.descriptor.digest: self._subject(entry.descriptor) for entry in others}
        found = []
        for entry in others:
            described, followed = entry.descriptor.digest, set()
            while described in subjects and described not in followed:
                followed.add(described)
                described = subjects[described] or ""
            if described not in kept:
                found.append(entry)
        return found

    def _subject(self, descriptor: Descriptor) -> str | None:
        content = self._content(descriptor)
        return content.subject if content is not None else None

    def _manifest_to_store(self, reference: str, data: bytes) -> ManifestContent:
        """Return what a manifest refers to that is to be stored under a tag or its digest; Corrupt if it cannot be stored."""
        digest = digest_of(data)
        content = ManifestContent.parse(data, f"The manifest {digest}")
        if len(data) > MAX_MANIFEST or (is_digest(reference) and reference != digest):
            raise Corrupt(
                f"The manifest {digest} of {len(data)} bytes cannot be stored as {reference}.",
                code="distribution.layout_manifest",
                hint=f"Store at most {MAX_MANIFEST} bytes, under a tag or under the digest of the manifest.",
            )
        self._contents[digest] = content
        return content

    def _require(self, listed: Descriptor, manifest: str) -> None:
        """Raise Conflict unless a blob that a manifest lists is stored."""
        size = self._size(listed.digest)
        if size != listed.size:
            problem = "is missing" if size is None else f"has {size} bytes, not {listed.size}"
            raise Conflict(
                f"The manifest {manifest} cannot be stored in {self.label}: its blob {listed.digest} {problem}.",
                code="distribution.layout_incomplete",
                hint="Run again: missing blobs are written then. Remove a blob that has the wrong size.",
                digest=listed.digest,
            )

    # --- blobs ------------------------------------------------------------------------------

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Return the size of a blob in bytes."""
        check_names(repository, digest)
        return self._size(digest)

    def read_blob(self, repository: str, digest: str, bound: int) -> bytes:
        """Return a small blob.

        Raises:
            NotFound: ``distribution.layout_blob_missing``.
            Corrupt: ``distribution.layout_blob`` if it has more than ``bound`` bytes or another digest.
        """
        check_names(repository, digest)
        if self._size(digest) is None:
            raise self._missing(digest)
        return self._read(digest, bound)

    def download(self, repository: str, digest: str, size: int, target: str, *, progress: Progress = silent) -> None:
        """Write a blob to the file ``target``; what a killed run has left there is continued.

        Raises:
            NotFound: ``distribution.layout_blob_missing``.
            Corrupt: ``distribution.layout_blob`` if it has another size or digest. The file is removed.
        """
        check_names(repository, digest)
        stored = self._size(digest)
        if stored is None:
            raise self._missing(digest)
        if stored != size:
            raise self._damaged(digest, f"has {stored} bytes, not {size}")
        with self._reading(digest) as source, open(target, "ab+") as stream:
            hashed = hashlib.sha256()
            done = _hash_prefix(stream, size, hashed)
            continued = bool(done)
            actual = _copy(source, stream, done, size, hashed, progress)
            if actual != digest and continued:
                # The file may be from another source, or have lost data in a power failure.
                stream.truncate(0)
                actual = _copy(source, stream, 0, size, hashlib.sha256(), progress)
        if actual != digest:
            os.unlink(target)
            raise self._damaged(digest, "does not have the content that its digest names")

    def _read(self, digest: str, bound: int) -> bytes:
        """Return the bytes of a small blob, verified; Corrupt if it is missing or damaged."""
        with self._reading(digest) as stream:
            data = stream.read(bound + 1)
        if len(data) > bound:
            raise self._damaged(digest, f"has more than {bound} bytes")
        if digest_of(data) != digest:
            raise self._damaged(digest, "does not have the content that its digest names")
        return data

    @contextlib.contextmanager
    def _reading(self, digest: str) -> Iterator[BinaryIO]:
        try:
            with self._open(digest) as stream:
                yield stream
        except (FileNotFoundError, IsADirectoryError):
            raise self._damaged(digest, "is missing") from None

    def _missing(self, digest: str) -> NotFound:
        return NotFound(
            f"The blob {digest} is missing from {self.label}.",
            code="distribution.layout_blob_missing",
            hint="Push the layer version again from a repository that has it.",
            digest=digest,
        )

    def _damaged(self, digest: str, problem: str) -> Corrupt:
        return Corrupt(
            f"The blob {digest} of {self.label} {problem}.",
            code="distribution.layout_blob",
            hint="Remove the damaged blob, and push the layer version again from a repository that has it.",
            digest=digest,
        )

    # --- connection -------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connection, if there is one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def open_source(source: str | bytes) -> Iterator[BinaryIO]:
    """Open the file or the bytes that are to be uploaded."""
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream:
        yield stream


def copy_verified(
    source: BinaryIO, target: BinaryIO, digest: str, size: int, progress: Progress, *, done: int = 0
) -> None:
    """Copy a blob, of which the target has the first ``done`` bytes.

    Raises:
        Corrupt: ``distribution.layout_blob`` if the source has another size or digest.
    """
    hashed, left = hashlib.sha256(), done
    while left and (data := source.read(min(CHUNK, left))):
        hashed.update(data)
        left -= len(data)
    while data := source.read(CHUNK):
        done += len(data)
        if done > size:
            break
        hashed.update(data)
        target.write(data)
        progress("upload", done, size)
    if done != size or f"sha256:{hashed.hexdigest()}" != digest:
        raise Corrupt(
            f"The data for the blob {digest} do not have its {size} bytes or its digest.",
            code="distribution.layout_blob",
            hint="Verify the repository with state verified, and restore the damaged content from a backup.",
            digest=digest,
        )


def _hash_prefix(stream: BinaryIO, size: int, hashed: hashlib._Hash) -> int:
    """Hash what a file has already, if it is not longer than ``size``; return the number of bytes to keep."""
    length = stream.seek(0, os.SEEK_END)
    if length > size:
        stream.truncate(0)
        return 0
    stream.seek(0)
    while data := stream.read(CHUNK):
        hashed.update(data)
    return length


def _copy(source: BinaryIO, target: BinaryIO, done: int, size: int, hashed: hashlib._Hash, progress: Progress) -> str:
    """Append the bytes of ``source`` from ``done`` on; return the digest of all bytes."""
    source.seek(done)
    while done < size:
        data = source.read(min(CHUNK, size - done))
        if not data:
            break
        hashed.update(data)
        target.write(data)
        done += len(data)
        progress("download", done, size)
    return f"sha256:{hashed.hexdigest()}"
