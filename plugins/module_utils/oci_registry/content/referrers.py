# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests that refer to a manifest, such as signatures, through the API of the registry or a tag that lists them.

A registry without the API of version 1.1 of the specification has an index under the tag ``sha256-HEX`` of the subject, which its
clients keep. There is no way to change a tag only if it did not change: an entry is read again after it was written.
"""

from __future__ import annotations

from ...common.errors import Unavailable
from ..connection.exchange import Request
from ..connection.requester import Requester
from ..login import scopes
from ..model import Referrer
from .manifest_documents import INDEX_TYPE, document_in, index_of, referrer_from, referrers_in, subject_of
from .manifests import Manifests
from .pages import pages_of

#: Referrers of a manifest; writes of the index until an entry is in it.
_MOST_REFERRERS, _WRITES = 10_000, 6


class Referrers:
    """The referrers of all manifests of a registry."""

    def __init__(self, requester: Requester, manifests: Manifests) -> None:
        self._requester = requester
        self._manifests = manifests

    def read(self, repository: str, digest: str, artifact_type: str | None = None) -> list[Referrer]:
        """Return the referrers of a manifest, of all types or of one type. Raises as ``Requester.answer``."""
        found = self._from_api(repository, digest, artifact_type)
        if found is None:
            found = self._from_tag(repository, digest)
        return [referrer for referrer in found if artifact_type is None or referrer.artifact_type == artifact_type]

    def add(self, repository: str, data: bytes, media_type: str) -> None:
        """Add a manifest to the index of its subject; for registries without the API.

        Raises:
            Unavailable: ``oci_registry.referrers`` if other clients keep removing the entry; and as ``Requester.answer``.
        """
        subject, entry = subject_of(document_in(data)), referrer_from(data, media_type)
        if subject is None:
            return
        for count in range(_WRITES):
            listed = self._from_tag(repository, subject)
            if any(referrer.digest == entry.digest for referrer in listed):
                return
            self._manifests.write(repository, _tag(subject), index_of([*listed, entry]), INDEX_TYPE)
        if not any(referrer.digest == entry.digest for referrer in self._from_tag(repository, subject)):
            raise Unavailable(
                f"The index of referrers of {repository}@{subject} does not keep the entry {entry.digest}.",
                code="oci_registry.referrers",
                hint="Check for other clients that write to the repository, and run this playbook again.",
                writes=count + 1,
            )

    def remove(self, repository: str, data: bytes) -> None:
        """Remove a manifest that is deleted from the index of its subject, if there is an index."""
        subject, entry = subject_of(document_in(data)), referrer_from(data, "")
        if subject is None:
            return
        for attempt in range(_WRITES):
            listed = self._from_tag(repository, subject)
            kept = [referrer for referrer in listed if referrer.digest != entry.digest]
            if len(kept) == len(listed):
                return
            self._manifests.write(repository, _tag(subject), index_of(kept), INDEX_TYPE)

    def _from_api(self, repository: str, digest: str, artifact_type: str | None) -> list[Referrer] | None:
        """Return what the API of the registry lists, None if it has no such API."""
        query = {} if artifact_type is None else {"artifactType": artifact_type}
        request = Request(
            "GET",
            self._requester.endpoints.referrers(repository, digest, query),
            repository,
            f"the referrers of {repository}@{digest}",
            scopes.pull(repository),
            {"Accept": INDEX_TYPE},
        )
        found: list[Referrer] = []
        for answer in pages_of(self._requester, request, 200, 400, 404, 405, 501):
            if answer.status != 200:
                return None
            document = document_in(answer.body)
            if not isinstance(document.get("manifests"), list):
                # A gateway may answer every unknown path with a page.
                return None
            found += referrers_in(document)
            if len(found) > _MOST_REFERRERS:
                raise self._requester.wrong(request.subject, f"it lists more than {_MOST_REFERRERS} manifests")
        return found

    def _from_tag(self, repository: str, digest: str) -> list[Referrer]:
        index = self._manifests.read(repository, _tag(digest))
        return [] if index is None else list(referrers_in(document_in(index.data)))


def _tag(digest: str) -> str:
    return digest.replace(":", "-")
