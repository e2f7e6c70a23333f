# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer versions that other tools copied into the folder of a repository: entries of index.json that no document names.

skopeo, oras, regctl and crane store blobs and add an entry with a reference name of their own, or without one. The entry may
lack artifactType, so that the manifest is read. What is attached to a manifest (details, signatures) is a further entry
without a name, or is listed by the tag ``sha256-<hex>``.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from ...catalog import document_collections
from ...layers.layer_version import ARTIFACT_TYPE, KINDS
from ...oci_registry.model import Referrer, RemoteManifest, is_tag
from ...repository.blobs import Descriptor
from ...repository.oci_layout import REFERENCE
from ...repository.repository import Repository
from ..backends.backend import MAX_MANIFEST, Backend
from ..backends.layout_index import IndexEntry, LayoutIndex
from ..backends.layout_reader import LayoutReader
from ..local import ATTACHMENTS

#: The only repository of the view; callers may use other names for it.
_ALL = "copies"
#: The beginnings of references that the collection sets itself, except those of layer versions.
_OWN = (f"{ATTACHMENTS}/", "images/")
_FALLBACK = "sha256-"


@dataclass(frozen=True)
class Copy:
    """A manifest of a layer version that no document names, and the reference names that it has."""

    descriptor: Descriptor
    references: tuple[str, ...]


@dataclass(frozen=True)
class Copies:
    """What other tools have copied: ``unknown`` layer versions, and further reference names of recorded ``known`` versions."""

    unknown: tuple[Copy, ...]
    known: tuple[Copy, ...]


def find_copies(repository: Repository) -> Copies:
    """Return the layer versions that other tools have copied into the folder of a repository, sorted by reference name.

    Raises:
        Corrupt: ``repository.index``, ``repository.manifest`` if index.json is damaged, or a document.
    """
    recorded = {
        entry.digest
        for kind in KINDS
        for _name, layer in document_collections.layers(repository, kind).all()
        for entry in layer.versions.values()
    }
    view = CopyView(repository)
    found: dict[Descriptor, list[str]] = {}
    for item in repository.layout.index():
        reference = item.get("annotations", {}).get(REFERENCE)
        if isinstance(reference, str) and reference.startswith(_OWN):
            continue
        descriptor = Descriptor.from_json(item)
        if view.is_layer(descriptor):
            found.setdefault(descriptor, []).append(reference if isinstance(reference, str) else "")
    copies = [
        Copy(descriptor, tuple(sorted(filter(None, references))))
        for descriptor, references in sorted(found.items(), key=_key)
    ]
    return Copies(
        tuple(found for found in copies if found.descriptor.digest not in recorded),
        tuple(
            dataclasses.replace(known, references=foreign)
            for known in copies
            if known.descriptor.digest in recorded and (foreign := _foreign(known.references))
        ),
    )


def _key(named: tuple[Descriptor, list[str]]) -> tuple[list[str], str]:
    return sorted(named[1]), named[0].digest


def _foreign(references: Sequence[str]) -> tuple[str, ...]:
    return tuple(reference for reference in references if not reference.startswith("layers/"))


class CopyView(LayoutReader):
    """The folder of a repository as a back end that has the manifest ``digest`` under every tag, with all that is attached to it."""

    def __init__(self, repository: Repository, digest: str = "") -> None:
        super().__init__()
        self.label = f"the repository {repository.path}"
        self._layout = repository.layout
        self._digest = digest
        self._entries = LayoutIndex(_entry(item) for item in repository.layout.index())

    def of(self, digest: str) -> CopyView:
        """Return the same entries as a back end with another manifest; manifests that were read are not read again."""
        other = copy.copy(self)
        other._digest = digest  # pylint: disable=protected-access  # of the same class
        return other

    @property
    def backend(self) -> Backend:
        """This view for functions that only read."""
        return cast(Backend, self)

    def is_layer(self, descriptor: Descriptor) -> bool:
        """Return whether a manifest says that it is a layer version; a manifest that cannot be read is not."""
        content = self._content(descriptor)
        return content is not None and not content.is_index and content.artifact_type == ARTIFACT_TYPE

    def attached(self) -> list[str]:
        """Return the digests of the manifests that describe the manifest, and of those that describe them."""
        found: list[str] = []
        waiting = [self._digest]
        while waiting:
            for referrer in self.referrers(_ALL, waiting.pop()):
                if referrer.digest not in found:
                    found.append(referrer.digest)
                    waiting.append(referrer.digest)
        return found

    # --- the back end: the name of the repository is ignored ---------------------------------

    def tags(self, repository: str) -> list[str]:
        return []

    def digest_of(self, repository: str, reference: str) -> str | None:
        if is_tag(reference) and not reference.startswith(_FALLBACK):
            return self._digest
        return super().digest_of(_ALL, reference)

    def manifest(self, repository: str, reference: str, *, bound: int = MAX_MANIFEST) -> RemoteManifest | None:
        return super().manifest(_ALL, reference, bound=bound)

    def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> list[Referrer]:
        return super().referrers(_ALL, digest, artifact_type)

    def _index(self) -> LayoutIndex:
        return self._entries

    def _index_path(self) -> str:
        return "index.json"

    def _size(self, digest: str) -> int | None:
        return self._layout.size(digest) if self._layout.has(digest) else None

    def _open(self, digest: str) -> BinaryIO:
        return open(self._layout.blobs.path(digest), "rb")


def _entry(item: dict) -> IndexEntry:
    """Return an entry of index.json as an untagged manifest of all repositories, or as the tag of an index of referrers."""
    descriptor = Descriptor.from_json(item)
    reference = item.get("annotations", {}).get(REFERENCE)
    tag = reference.rpartition(":")[2] if isinstance(reference, str) else ""
    if tag.startswith(_FALLBACK) and is_tag(tag):
        return IndexEntry(item, descriptor, _ALL, tag)
    plain = {key: value for key, value in item.items() if key != "annotations"}
    return IndexEntry(plain, descriptor, None, None)
