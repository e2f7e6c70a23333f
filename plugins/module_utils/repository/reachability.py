# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The needs of the references and documents of a repository: every blob that must be kept, with its users."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..common.errors import Corrupt, NotFound, StrataError
from .blobs import Descriptor
from .oci_layout import INDEX, MANIFEST, MAX_JSON

if TYPE_CHECKING:
    from .repository import Repository

#: Raises StrataError for a damaged document: (kind, name, document).
DocumentCheck = Callable[[str, str, dict], None]
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True)
class Damage:
    """A damage: ``problem`` is missing, digest, size, manifest or document; ``subject`` is a digest or kind of document."""

    problem: str
    subject: str
    message: str
    needed_by: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        """Return the JSON object for a module's result."""
        return {
            "problem": self.problem,
            "what": self.subject,
            "message": self.message,
            "needed_by": list(self.needed_by),
        }


@dataclass
class Need:
    """The users of a blob, and the size in bytes that they expect (None: not known)."""

    size: int | None = None
    users: set[str] = field(default_factory=set)


class Reachable:
    """The blobs that are needed, by digest, and ``broken``: damage that keeps needs from being known."""

    def __init__(self, repository: Repository) -> None:
        self.needs: dict[str, Need] = {}
        self.broken: list[Damage] = []
        self._repository = repository

    @classmethod
    def from_repository(
        cls, repository: Repository, *, without: Collection[str] = (), check: DocumentCheck | None = None
    ) -> Reachable:
        """Follow the references of index.json, except ``without``, and the digests in documents.

        ``check`` examines every document; a document that it refuses is reported as broken.
        """
        found = cls(repository)
        for item in repository.layout.index():
            descriptor = Descriptor.from_json(item)
            user = str(item.get("annotations", {}).get("org.opencontainers.image.ref.name", descriptor.digest))
            if user not in without:
                found._follow(descriptor, user, certain=True)
        for kind in repository.catalog.kinds():
            try:
                documents = repository.catalog.documents(kind)
            except StrataError as error:
                found.broken.append(Damage("document", kind, error.message))
                continue
            for name, document in documents:
                try:
                    if check:
                        check(kind, name, document)
                except StrataError as error:
                    found.broken.append(Damage("document", kind, error.message))
                found._add_document(f"{kind} {name}", document)
        return found

    def add_pins(self, digests: Iterable[str]) -> None:
        """Follow what running tasks have pinned."""
        for digest in digests:
            self._follow(Descriptor(MANIFEST, digest, 0), "pin", certain=False)

    def _add_document(self, user: str, document: dict) -> None:
        # A document may also hold digests of other things; only digests of blobs that exist are followed.
        for digest in set(_DIGEST.findall(json.dumps(document))):
            if self._repository.layout.has(digest):
                self._follow(Descriptor(MANIFEST, digest, 0), user, certain=False)

    def _follow(self, first: Descriptor, user: str, *, certain: bool) -> None:
        """Mark ``first`` and everything it refers to.

        Unless ``certain``, ``first`` may be any blob: it is followed only if it reads as a manifest.
        """
        waiting = [(first, certain)]
        seen: set[str] = set()
        while waiting:
            descriptor, known = waiting.pop()
            if descriptor.digest in seen:
                continue
            seen.add(descriptor.digest)
            need = self.needs.setdefault(descriptor.digest, Need())
            need.users.add(user)
            if known:
                need.size = descriptor.size
            if descriptor.media_type not in (MANIFEST, INDEX):
                continue
            try:
                waiting += [(child, True) for child in self._children(descriptor.digest, known)]
            except NotFound:
                if known:
                    message = f"The manifest {descriptor.digest} of {user} is missing."
                    self.broken.append(Damage("missing", descriptor.digest, message, (user,)))
            except StrataError as error:
                self.broken.append(Damage("manifest", descriptor.digest, error.message, (user,)))

    def _children(self, digest: str, certain: bool) -> list[Descriptor]:
        """Return what a manifest lists; nothing for a blob that is not ``certain`` to be a manifest and is none."""
        blobs = self._repository.layout.blobs
        if not certain:
            # A blob that only the registry of record has is not fetched here.
            if not blobs.has(digest) or blobs.size(digest) > MAX_JSON:
                return []
            with blobs.open(digest, verify=False) as stream:
                if stream.read(1) != b"{":
                    return []
        try:
            document = json.loads(blobs.read(digest, MAX_JSON))
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or document.get("mediaType") not in (MANIFEST, INDEX):
            if not certain:
                return []
            raise _damaged(digest, "is not a manifest")
        if document["mediaType"] == INDEX:
            listed = document.get("manifests")
        else:
            listed = [document.get("config"), *(document.get("layers") or ())]
        if not isinstance(listed, list):
            raise _damaged(digest, "is a manifest without a list of blobs")
        return [Descriptor.from_json(item) for item in listed]


def _damaged(digest: str, problem: str) -> Corrupt:
    return Corrupt(
        f"The blob {digest} {problem}.",
        code="repository.manifest",
        hint="Restore the blob from a backup of the repository, or delete what refers to it.",
        digest=digest,
    )
