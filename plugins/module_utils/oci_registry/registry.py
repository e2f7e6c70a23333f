# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OCI registry as a store of manifests and blobs."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ..common.errors import InvalidInput, Unavailable
from ..common.progress import Progress, silent
from .connection.exchange import ANSWER_BOUND, Answer, Request
from .connection.requester import Requester
from .content.blob_sources import BlobSource
from .content.blobs import Blobs
from .content.downloads import Downloads
from .content.manifest_documents import document_in, subject_of
from .content.manifests import Manifests
from .content.referrers import Referrers
from .content.tags import tags_of
from .content.uploads import Uploads
from .model import Referrer, RegistryConnection, RemoteManifest, Uploaded, is_digest

__all__ = ("Registry",)

_VERSION_HEADER, _VERSION = "Docker-Distribution-Api-Version", "registry/2.0"


class Registry:
    """A connected registry; use it as a context manager. Several threads may use it at the same time.

    ``repository`` is the path behind the host, such as ``windows/app/editor``. Every method may raise:

        InvalidInput: ``oci_registry.login``, ``oci_registry.credentials_file``, ``oci_registry.credential_helper``.
        Unavailable: ``oci_registry.forbidden``, ``.throttled``, ``.unavailable``, ``.refused``, ``.redirect``, ``.too_large``,
            ``.token``, ``.token_realm``, ``.certificate``, ``.tls``, ``.name_resolution``, ``.proxy``, ``.connection_refused``,
            ``.connection``; TimedOut: ``.no_answer``.
        NotFound: ``oci_registry.not_found``.
        Conflict: ``oci_registry.immutable``.
        Corrupt: ``oci_registry.answer``.
    """

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self.label = requester.connection.label
        self._manifests = Manifests(requester)
        self._referrers = Referrers(requester, self._manifests)
        self._blobs = Blobs(requester)
        self._uploads = Uploads(requester, self._blobs)
        self._downloads = Downloads(requester, self._blobs)

    @classmethod
    def connect(cls, connection: RegistryConnection) -> Registry:
        """Connect to a registry and log in.

        Raises:
            InvalidInput: ``oci_registry.ca_file``, ``oci_registry.proxy_url``.
            Unavailable: ``oci_registry.protocol`` if the server is not a registry.
        """
        requester = Requester(connection)
        try:
            _ping(requester)
        except BaseException:
            requester.transport.close()
            raise
        return cls(requester)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._requester.transport.close()

    def server_time(self) -> float | None:
        """Return the time of the newest answer of the registry in seconds since 1970, None if it sends no time."""
        return self._requester.transport.server_time()

    def tags(self, repository: str) -> list[str]:
        """Return all tags, sorted; an empty list if the repository does not exist."""
        return tags_of(self._requester, repository)

    def digest_of(self, repository: str, reference: str) -> str | None:
        """Return the digest of the manifest with a tag or digest, None if there is none."""
        return self._manifests.digest(repository, reference)

    def manifest(self, repository: str, reference: str, *, bound: int = ANSWER_BOUND) -> RemoteManifest | None:
        """Return the manifest with a tag or digest, None if there is none.

        Raises:
            Corrupt: ``oci_registry.manifest_digest``, or ``oci_registry.answer`` for more than ``bound`` bytes.
        """
        return self._manifests.read(repository, reference, bound=bound)

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> None:
        """Store a manifest under a tag or its digest; a manifest with a subject becomes one of its referrers.

        Raises:
            Corrupt: ``oci_registry.manifest_digest`` if the registry stored different bytes.
            Unavailable: ``oci_registry.referrers`` if the list of referrers cannot be written.
        """
        answer = self._manifests.write(repository, reference, data, media_type)
        # The registry confirms the subject if it keeps the list of referrers itself.
        if answer.header("OCI-Subject") is None and subject_of(document_in(data)) is not None:
            self._referrers.add(repository, data, media_type)

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest and its tags; return whether there was one.

        Raises:
            Unsupported: ``oci_registry.delete`` if the registry does not allow it.
        """
        manifest = self._manifests.read(repository, digest)
        if manifest is None or not self._manifests.delete(repository, digest):
            return False
        self._referrers.remove(repository, manifest.data)
        return True

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and keep its manifest; return whether there was one.

        Raises:
            Unsupported: ``oci_registry.delete`` if the registry does not allow it.
        """
        if is_digest(tag):
            return self.delete_manifest(repository, tag)
        return self._manifests.delete(repository, tag)

    def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> list[Referrer]:
        """Return the manifests whose subject is ``digest``, of all types or of one type."""
        return self._referrers.read(repository, digest, artifact_type)

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Return the size of a blob in bytes, None if the repository does not have it."""
        return self._blobs.size(repository, digest)

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
        """Store a blob, from a file or from bytes, unless the repository or one of ``mount_from`` has it.

        Raises:
            Corrupt: ``oci_registry.source`` if the source is damaged, ``oci_registry.upload_digest``, ``oci_registry.blob_size``.
        """
        with BlobSource(source, digest, size) as opened:
            return self._uploads.upload(repository, opened, mount_from=mount_from, progress=progress)

    def download(self, repository: str, digest: str, size: int, target: str, *, progress: Progress = silent) -> None:
        """Write a blob to the file ``target``; continue what a killed run has left next to it.

        Raises:
            NotFound: ``oci_registry.blob_missing``.
            Corrupt: ``oci_registry.blob_digest``, ``oci_registry.blob_size``.
            Conflict: ``oci_registry.download_busy``.
            NoSpace: ``oci_registry.no_space``.
        """
        self._downloads.download(repository, digest, size, target, progress=progress)

    def read_blob(self, repository: str, digest: str, bound: int) -> bytes:
        """Return a small blob.

        Raises:
            NotFound: ``oci_registry.blob_missing``.
            Corrupt: ``oci_registry.blob_digest``, or ``oci_registry.answer`` for more than ``bound`` bytes.
        """
        return self._blobs.read(repository, digest, bound)


def _ping(requester: Requester) -> None:
    """Log in, and check that the server is a registry."""
    request = Request("GET", requester.endpoints.ping, requester.connection.address.prefix, "its start page")
    try:
        # A wrong address is reported after seconds; a registry that restarts during a transfer gets more time.
        answer = requester.answer(request, 200, 404, attempts=2)
    except InvalidInput as error:
        if error.code != "oci_registry.login":
            raise
        # Public repositories can be read without a login although the start page cannot.
        if requester.connection.username:
            raise
        return
    if answer.status == 404 or not _is_registry(answer):
        raise Unavailable(
            f"{requester.connection.label[0].upper()}{requester.connection.label[1:]} did not answer as an OCI registry does "
            f"(HTTP {answer.status} for {requester.endpoints.ping}).",
            code="oci_registry.protocol",
            hint="Set registry to the host and port of the registry; a path is only the beginning of the names of repositories.",
            status=answer.status,
        )


def _is_registry(answer: Answer) -> bool:
    """Return whether a start page is that of a registry: JSON, an empty page, or the header that registries send."""
    if answer.header(_VERSION_HEADER) == _VERSION or not answer.body.strip():
        return True
    try:
        answer.json()
    except ValueError:
        return False
    return True
