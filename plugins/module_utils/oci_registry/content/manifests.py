# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests of a repository: read, write and delete them."""

from __future__ import annotations

from ...common.errors import Corrupt, InternalError, StrataError, Unsupported
from ..connection.exchange import ANSWER_BOUND, Answer, Request
from ..connection.refusals import read_refusal
from ..connection.requester import Requester
from ..login import scopes
from ..model import RemoteManifest, is_digest
from .manifest_documents import ACCEPTED, digest_of, document_in, media_type_of


class Manifests:
    """The manifests of all repositories of a registry. Every method raises as ``Requester.answer``."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest of the manifest with a tag or digest, None if there is none."""
        answer = self._requester.answer(self._request("HEAD", repository, reference), 200, 404, 405)
        if answer.status == 404:
            return None
        found = answer.header("Docker-Content-Digest")
        if answer.status == 200 and found is not None and is_digest(found):
            if is_digest(reference) and found != reference:
                raise self._other_digest(repository, reference, found)
            return found
        # The header is optional, and some gateways do not pass HEAD.
        manifest = self.read(repository, reference)
        return None if manifest is None else manifest.digest

    def read(self, repository: str, reference: str, *, bound: int = ANSWER_BOUND) -> RemoteManifest | None:
        """Return a manifest by tag or digest, None if there is none.

        Raises:
            Corrupt: ``oci_registry.manifest_digest``, or ``oci_registry.answer`` if it has more than ``bound`` bytes.
        """
        answer = self._requester.answer(self._request("GET", repository, reference, bound=bound), 200, 404)
        if answer.status == 404:
            return None
        digest = digest_of(answer.body)
        promised = reference if is_digest(reference) else answer.header("Docker-Content-Digest")
        if promised is not None and is_digest(promised) and promised != digest:
            raise self._other_digest(repository, promised, digest)
        document = document_in(answer.body)
        if not document:
            raise self._requester.wrong(_subject(repository, reference), "it is not the JSON object of a manifest")
        return RemoteManifest(answer.body, digest, media_type_of(document, answer.header("Content-Type")))

    def write(self, repository: str, reference: str, data: bytes, media_type: str) -> Answer:
        """Store a manifest under a tag or its digest and return the answer.

        Raises:
            Corrupt: ``oci_registry.manifest_digest`` if the registry stored different bytes.
        """
        digest = digest_of(data)
        if is_digest(reference) and reference != digest:
            raise InternalError(f"The manifest {digest} is written as {reference}.", code="oci_registry.reference")
        request = Request(
            "PUT",
            self._requester.endpoints.manifest(repository, reference),
            repository,
            _subject(repository, reference),
            scopes.push(repository),
            {"Content-Type": media_type},
            data,
        )
        answer = self._requester.answer(request, 201, 200, 202)
        stored = answer.header("Docker-Content-Digest")
        if stored is not None and is_digest(stored) and stored != digest:
            raise self._other_digest(repository, digest, stored)
        return answer

    def delete(self, repository: str, reference: str) -> bool:
        """Delete a manifest by digest, or a tag; return whether there was one.

        Raises:
            Unsupported: ``oci_registry.delete`` if the registry does not allow it.
        """
        request = Request(
            "DELETE",
            self._requester.endpoints.manifest(repository, reference),
            repository,
            _subject(repository, reference),
            scopes.delete(repository),
        )
        # Registries before distribution 3 refuse to delete a tag with the status 400.
        answer = self._requester.answer(request, 202, 200, 204, 404, 405, 501, 400)
        if answer.status in (400, 405, 501):
            raise self._not_deleted(request, answer, is_tag=not is_digest(reference))
        return answer.status != 404

    def _request(self, method: str, repository: str, reference: str, *, bound: int = ANSWER_BOUND) -> Request:
        url = self._requester.endpoints.manifest(repository, reference)
        subject, headers = _subject(repository, reference), {"Accept": ACCEPTED}
        return Request(method, url, repository, subject, scopes.pull(repository), headers, bound=bound)

    def _not_deleted(self, request: Request, answer: Answer, *, is_tag: bool) -> StrataError:
        refusal = read_refusal(answer, self._requester.secrets)
        if answer.status == 400 and not (refusal.unsupported or is_tag):
            return self._requester.refused(request, answer)
        label = self._requester.connection.label
        return Unsupported(
            f"{label[0].upper()}{label[1:]} does not allow to delete {request.subject}: {refusal.reason}.",
            code="oci_registry.delete",
            hint="Allow deletion in the configuration of the registry (distribution: storage.delete.enabled), or delete it with the tools of the registry.",
            repository=request.repository,
            status=answer.status,
        )

    def _other_digest(self, repository: str, expected: str, found: str) -> Corrupt:
        return Corrupt(
            f"{self._requester.connection.label[0].upper()}{self._requester.connection.label[1:]} has a different manifest in the "
            f"repository {repository}: expected {expected}, found {found}.",
            code="oci_registry.manifest_digest",
            hint="Check the registry and every proxy in front of it: the content of a digest must never change.",
            repository=repository,
            expected=expected,
            found=found,
        )


def _subject(repository: str, reference: str) -> str:
    separator = "@" if is_digest(reference) else ":"
    return f"the manifest {repository}{separator}{reference}"
