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
from ..items.details import DETAILS_TYPE
from ..items.items import Attachment, LayerItem
from ..items.names import ItemName
from ..sides.local import ATTACHMENTS

#: The only repository of the view; callers may use other names for it.
_ALL = "copies"
#: The beginnings of references that the collection sets itself, except those of layer versions.
_OWN = (f"{ATTACHMENTS}/", "images/")
_FALLBACK = "sha256-"


@dataclass(frozen=True)
class Copy:
    """A manifest of a layer version and the reference names that it has, except that of a recorded version.

    ``item`` is the name of a recorded version; ``is_unnamed``: there is an entry without a reference name.
    """

    descriptor: Descriptor
    references: tuple[str, ...]
    is_unnamed: bool = False
    item: ItemName | None = None


@dataclass(frozen=True)
class Copies:
    """What other tools have copied: ``unknown`` layer versions; and all recorded versions, ``known``."""

    unknown: tuple[Copy, ...]
    known: tuple[Copy, ...]


def find_copies(repository: Repository) -> Copies:
    """Return the layer versions that other tools have copied into the folder of a repository, sorted by reference name.

    Raises:
        Corrupt: ``repository.index``, ``repository.manifest`` if index.json is damaged, or a document.
    """
    recorded = _recorded(repository)
    view = CopyView(repository)
    found: dict[Descriptor, list[str]] = {}
    for item in repository.layout.index():
        reference = item.get("annotations", {}).get(REFERENCE)
        if isinstance(reference, str) and reference.startswith(_OWN):
            continue
        descriptor = Descriptor.from_json(item)
        if view.is_layer(descriptor):
            found.setdefault(descriptor, []).append(reference if isinstance(reference, str) else "")
    unknown, known = [], []
    for descriptor, references in sorted(found.items(), key=_key):
        names, is_unnamed = tuple(sorted(filter(None, references))), "" in references
        recorded_as = recorded.get(descriptor.digest)
        if recorded_as is None:
            unknown.append(Copy(descriptor, names, is_unnamed))
        else:
            foreign = tuple(name for name in names if not name.startswith("layers/"))
            known.append(Copy(descriptor, foreign, is_unnamed, recorded_as))
    return Copies(tuple(unknown), tuple(known))


def _recorded(repository: Repository) -> dict[str, ItemName]:
    """Return the names of all recorded versions by their digests."""
    return {
        entry.digest: ItemName(kind, name, version)
        for kind in KINDS
        for name, layer in document_collections.layers(repository, kind).all()
        for version, entry in layer.versions.items()
        if entry.digest is not None
    }


def _key(named: tuple[Descriptor, list[str]]) -> tuple[list[str], str]:
    return sorted(named[1]), named[0].digest


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

    def unnamed_signatures(self, layer: LayerItem) -> tuple[Attachment, ...]:
        """Return the signatures of the manifest that have no reference of the collection yet."""
        prefix = f"{ATTACHMENTS}/{self._digest[7:]}/"
        stored = {name.removeprefix(prefix) for name in self._layout.references() if name.startswith(prefix)}
        return tuple(found for found in layer.attachments if found.digest[7:] not in stored)

    def details(self) -> set[str]:
        """Return the digests of the details of the manifest, and of the signatures of these details."""
        found = {item.digest for item in self.referrers(_ALL, self._digest, DETAILS_TYPE)}
        return found | {item.digest for digest in found for item in self.referrers(_ALL, digest)}

    def is_listing_of(self, entry: dict, digests: set[str]) -> bool:
        """Return whether an entry of index.json is an index of referrers that lists nothing but these manifests."""
        listed = [child.digest for child in self._children(Descriptor.from_json(entry))]
        return _entry(entry).tag is not None and bool(listed) and digests.issuperset(listed)

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
