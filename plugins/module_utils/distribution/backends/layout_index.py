# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file index.json of an OCI image layout that holds several repositories.

An entry with the reference name ``REPOSITORY:TAG`` is that tag. An entry without a reference name is an untagged manifest: the
annotation ``strata.layering.repository`` names its repository; other tools write such entries without that annotation, which
belong to all repositories. Entries with other reference names are kept, and ignored.

Source: OCI image-spec, image-layout.md ("index.json file") and annotations.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...common.errors import Corrupt, InternalError
from ...oci_registry.model import is_digest, is_repository_name, is_tag
from ...repository.blobs import Descriptor
from ...repository.oci_layout import INDEX, REFERENCE
from .layout_manifest import texts

LAYOUT_VERSION = "1.0.0"
LAYOUT_FILE, INDEX_FILE, BLOBS = "oci-layout", "index.json", "blobs/sha256"
#: The annotation with the repository of an untagged manifest.
REPOSITORY = "strata.layering.repository"
#: The largest index.json in bytes, and its largest number of entries.
MAX_INDEX, _MAX_ENTRIES = 32 << 20, 100_000


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """An entry: ``repository`` and ``tag`` if it is a tag or an untagged manifest of a repository; ``item`` is its JSON object."""

    item: Mapping[str, Any]
    descriptor: Descriptor
    repository: str | None
    tag: str | None

    @property
    def is_shared(self) -> bool:
        """Whether this is an untagged manifest of no repository."""
        return self.repository is None and REFERENCE not in self.item.get("annotations", {})

    def belongs_to(self, repository: str) -> bool:
        """Return whether the manifest can be read in a repository."""
        return self.repository == repository or self.is_shared

    @classmethod
    def read(cls, item: object) -> IndexEntry:
        """Read an untrusted entry; ValueError, TypeError or Corrupt if it is damaged."""
        descriptor = Descriptor.from_json(item)
        if not isinstance(item, dict):
            raise TypeError
        annotations = texts(item.get("annotations", {}))
        name = annotations.get(REFERENCE)
        repository: str | None
        tag: str | None = None
        if name is not None:
            repository, _colon, tag = name.rpartition(":")
            if not is_repository_name(repository) or not is_tag(tag):
                repository = tag = None
        else:
            repository = annotations.get(REPOSITORY)
        return cls(item, descriptor, repository, tag)


class LayoutIndex:
    """The entries of index.json. ``document`` has the further fields of the file."""

    def __init__(self, entries: Iterable[IndexEntry] = (), document: Mapping[str, Any] | None = None) -> None:
        self.entries = list(entries)
        self.document = dict(document or {"schemaVersion": 2, "mediaType": INDEX})

    @classmethod
    def parse(cls, data: bytes, path: str) -> LayoutIndex:
        """Read an untrusted index.json; ``path`` names it in messages.

        Raises:
            Corrupt: ``distribution.layout_index``.
        """
        try:
            if len(data) > MAX_INDEX:
                raise _damaged(path, f"it has more than {MAX_INDEX} bytes")
            document = json.loads(data)
            if not isinstance(document, dict) or not isinstance(document.get("manifests"), list):
                raise _damaged(path, "it has no list of manifests")
            if len(document["manifests"]) > _MAX_ENTRIES:
                raise _damaged(path, f"it has more than {_MAX_ENTRIES} entries")
        except (ValueError, RecursionError):
            raise _damaged(path, "it is not JSON") from None
        entries = []
        for number, item in enumerate(document["manifests"]):
            try:
                entries.append(IndexEntry.read(item))
            except (ValueError, TypeError, Corrupt):
                raise _damaged(path, f"its entry {number} is not the descriptor of a manifest") from None
        return cls(entries, document)

    def copy(self) -> LayoutIndex:
        """Return an index with the same entries, which can be changed."""
        return LayoutIndex(self.entries, self.document)

    def to_bytes(self) -> bytes:
        """Return the file; equal entries give equal bytes."""
        items = sorted((entry.item for entry in self.entries), key=_order)
        return json.dumps(
            {**self.document, "manifests": items}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode("utf-8")

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository, sorted."""
        return sorted({entry.tag for entry in self.entries if entry.repository == repository and entry.tag is not None})

    def find(self, repository: str, reference: str, path: str) -> Descriptor | None:
        """Return the descriptor of the manifest with a tag or digest.

        Raises:
            Corrupt: ``distribution.layout_index`` if a tag is there twice, for different manifests.
        """
        if is_digest(reference):
            for entry in self.entries:
                if entry.descriptor.digest == reference and entry.belongs_to(repository):
                    return entry.descriptor
            return None
        found = {
            entry.descriptor for entry in self.entries if entry.repository == repository and entry.tag == reference
        }
        if len(found) > 1:
            raise _damaged(path, f"it has {len(found)} different manifests for {repository}:{reference}")
        return next(iter(found), None)

    def of(self, repository: str) -> Iterator[IndexEntry]:
        """Yield the entries that can be read in a repository."""
        return (entry for entry in self.entries if entry.belongs_to(repository))

    def put(self, repository: str, tag: str | None, descriptor: Descriptor, artifact_type: str) -> None:
        """Set a tag, or add an untagged manifest. A manifest that loses its last tag remains as an untagged manifest."""
        if tag is None and any(
            entry.repository == repository and entry.descriptor.digest == descriptor.digest for entry in self.entries
        ):
            return
        if tag is not None:
            self._untag(repository, tag)
        self._keep(
            lambda entry: (
                entry.repository != repository or entry.tag is not None or entry.descriptor.digest != descriptor.digest
            )
        )
        self._add(repository, tag, descriptor, artifact_type)

    def remove_tag(self, repository: str, tag: str) -> bool:
        """Remove a tag and keep its manifest; return whether it existed."""
        return self._untag(repository, tag)

    def remove_manifest(self, repository: str, digest: str) -> bool:
        """Remove a manifest and its tags from a repository; return whether it existed."""
        return self._keep(lambda entry: not entry.belongs_to(repository) or entry.descriptor.digest != digest)

    def remove(self, gone: Iterable[IndexEntry]) -> bool:
        """Remove entries; return whether there were any."""
        items = [entry.item for entry in gone]
        return self._keep(lambda entry: entry.item not in items)

    def _untag(self, repository: str, tag: str) -> bool:
        losing = [entry for entry in self.entries if entry.repository == repository and entry.tag == tag]
        self._keep(lambda entry: entry.repository != repository or entry.tag != tag)
        for entry in losing:
            if not any(
                other.repository == repository and other.descriptor.digest == entry.descriptor.digest
                for other in self.entries
            ):
                self._add(repository, None, entry.descriptor, entry.item.get("artifactType", ""))
        return bool(losing)

    def _keep(self, is_kept: Callable[[IndexEntry], bool]) -> bool:
        before = len(self.entries)
        self.entries = [entry for entry in self.entries if is_kept(entry)]
        return len(self.entries) < before

    def _add(self, repository: str, tag: str | None, descriptor: Descriptor, artifact_type: str) -> None:
        annotations = {REPOSITORY: repository} if tag is None else {REFERENCE: f"{repository}:{tag}"}
        item: dict[str, Any] = {**descriptor.to_json(), "annotations": annotations}
        if artifact_type:
            item["artifactType"] = artifact_type
        self.entries.append(IndexEntry(item, descriptor, repository, tag))


def layout_file() -> bytes:
    """Return the file oci-layout."""
    return json.dumps({"imageLayoutVersion": LAYOUT_VERSION}, separators=(",", ":")).encode("ascii")


def is_layout_file(data: bytes) -> bool:
    """Return whether untrusted bytes are the file oci-layout of a version that can be read."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("imageLayoutVersion") == LAYOUT_VERSION


def blob_file(digest: str) -> str:
    """Return the path of a blob within the layout."""
    if not is_digest(digest):
        raise InternalError(f"{digest[:90]!r} is not a SHA-256 digest.", code="distribution.digest")
    return f"{BLOBS}/{digest[7:]}"


def check_names(repository: str, reference: str | None = None) -> None:
    """Raise InternalError for a repository, tag or digest that no registry accepts."""
    if not is_repository_name(repository):
        raise InternalError(
            f"{repository[:90]!r} is not the name of a repository.", code="distribution.repository_name"
        )
    if reference is not None and not is_tag(reference) and not is_digest(reference):
        raise InternalError(f"{reference[:90]!r} is not a tag or a digest.", code="distribution.reference_name")


def _order(item: Mapping[str, Any]) -> tuple[str, str, str]:
    annotations = item.get("annotations", {})
    return str(annotations.get(REFERENCE, "")), str(annotations.get(REPOSITORY, "")), item["digest"]


def _damaged(path: str, problem: str) -> Corrupt:
    return Corrupt(
        f"The file {path} is damaged: {problem}.",
        code="distribution.layout_index",
        hint="Restore it from a backup, or push the layers to an empty folder.",
        path=path,
    )
