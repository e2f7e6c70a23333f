# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs of a repository: their sizes, and small blobs as a whole."""

from __future__ import annotations

import re

from ...common.errors import Corrupt, NotFound
from ..connection.exchange import Request
from ..connection.requester import Requester
from ..login import scopes
from .manifest_documents import digest_of

_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)


class Blobs:
    """The blobs of all repositories of a registry. Every method raises as ``Requester.answer``."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def request(self, method: str, repository: str, digest: str, *, bytes_range: str = "", bound: int = 0) -> Request:
        """Return a request for a blob, or for a range of it such as "0-99"."""
        headers = {"Range": f"bytes={bytes_range}"} if bytes_range else {}
        url, subject = self._requester.endpoints.blob(repository, digest), f"the blob {digest} of {repository}"
        return Request(method, url, repository, subject, scopes.pull(repository), headers, bound=bound)

    def size(self, repository: str, digest: str) -> int | None:
        """Return the size of a blob in bytes, None if the repository does not have it."""
        answer = self._requester.answer(self.request("HEAD", repository, digest), 200, 404, 400, 403, 405)
        if answer.status == 404:
            return None
        size = answer.number("Content-Length")
        if answer.status == 200 and size is not None:
            return size
        if answer.status == 403 and self._requester.endpoints.is_own(answer.url):
            raise self._requester.refused(self.request("HEAD", repository, digest), answer)
        # The object store to which the registry redirects may allow only GET.
        first = self.request("GET", repository, digest, bytes_range="0-0", bound=1 << 20)
        answer = self._requester.answer(first, 200, 206, 404, 416)
        if answer.status == 404:
            return None
        match = _CONTENT_RANGE.fullmatch(answer.header("Content-Range") or "")
        if answer.status == 206 and match is not None and match[3] != "*":
            return int(match[3])
        return len(answer.body) if answer.status == 200 else 0

    def has(self, repository: str, digest: str, size: int) -> bool:
        """Return whether a repository has a blob.

        Raises:
            Corrupt: ``oci_registry.blob_size`` if the blob there has a different size.
        """
        found = self.size(repository, digest)
        if found is not None and found != size:
            raise self.other_size(repository, digest, size, found)
        return found is not None

    def read(self, repository: str, digest: str, bound: int) -> bytes:
        """Return a small blob, whose digest is checked.

        Raises:
            NotFound: ``oci_registry.blob_missing``.
            Corrupt: ``oci_registry.blob_digest``, or ``oci_registry.answer`` if it has more than ``bound`` bytes.
        """
        answer = self._requester.answer(self.request("GET", repository, digest, bound=bound), 200, 404)
        if answer.status == 404:
            raise self.missing(repository, digest)
        if digest_of(answer.body) != digest:
            raise self.other_digest(repository, digest)
        return answer.body

    def missing(self, repository: str, digest: str) -> NotFound:
        """Return the error for a blob that a manifest lists and the registry does not have."""
        return NotFound(
            f"{self._label()} does not have the blob {digest} in the repository {repository}.",
            code="oci_registry.blob_missing",
            hint="Push the version again from a repository that has it; the registry may have removed the blob.",
            repository=repository,
            digest=digest,
        )

    def other_digest(self, repository: str, digest: str) -> Corrupt:
        """Return the error for a blob whose bytes do not agree with its digest."""
        return Corrupt(
            f"{self._label()} sent different bytes for the blob {digest} of the repository {repository}.",
            code="oci_registry.blob_digest",
            hint="Check the disks of the registry, and every proxy or cache in front of it.",
            repository=repository,
            digest=digest,
        )

    def other_size(self, repository: str, digest: str, expected: int, found: int) -> Corrupt:
        """Return the error for a blob of a different size."""
        return Corrupt(
            f"{self._label()} has the blob {digest} of the repository {repository} with {found} bytes, expected {expected} bytes.",
            code="oci_registry.blob_size",
            hint="Check the disks of the registry, and every proxy or cache in front of it.",
            repository=repository,
            digest=digest,
            expected=expected,
            found=found,
        )

    def _label(self) -> str:
        label = self._requester.connection.label
        return f"{label[0].upper()}{label[1:]}"


def range_in(header: str | None) -> tuple[int, int, int | None] | None:
    """Return first byte, end and total size in bytes of a header Content-Range, None if it is not valid."""
    match = _CONTENT_RANGE.fullmatch((header or "").strip())
    if match is None:
        return None
    return int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3])
