# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository as an OCI image layout: manifests and the references that name them.

Source: OCI image-spec, image-layout.md, manifest.md ("Guidelines for Artifact Usage"), annotations.md.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from ..common.atomic_files import atomic_write
from ..common.errors import Corrupt, NotFound, Unsupported
from ..common.progress import Progress, silent
from .blobs import Blobs, BlobWriter, Descriptor, check_digest, is_digest
from .encoding import check_reference
from .lock import Locks

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
REFERENCE = "org.opencontainers.image.ref.name"
MAX_JSON = 4 << 20
_LAYOUT_VERSION = "1.0.0"


def create_layout(root: str) -> None:
    """Create the files and folders of an empty layout; keep those that exist."""
    os.makedirs(os.path.join(root, "blobs", "sha256"), exist_ok=True)
    for name, document in (
        ("index.json", {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}),
        ("oci-layout", {"imageLayoutVersion": _LAYOUT_VERSION}),
    ):
        if not os.path.exists(os.path.join(root, name)):
            atomic_write(os.path.join(root, name), _json(document))


class Layout:
    """The blobs, manifests and references of a repository; ``exists`` is false for a repository that is not created yet."""

    def __init__(self, root: str, locks: Locks, *, exists: bool = True) -> None:
        self._root = root
        self._locks = locks
        self.blobs = Blobs(root)
        if not exists:
            return
        marker = self._read_json("oci-layout")
        if marker.get("imageLayoutVersion") != _LAYOUT_VERSION:
            raise Unsupported(
                f"The OCI layout {root} has version {marker.get('imageLayoutVersion')!r}, not {_LAYOUT_VERSION}.",
                code="repository.layout_version",
                hint="Update the collection strata.layering on this composer.",
            )

    # --- blobs, by their short names --------------------------------------------------------

    def put_blob(self, data: bytes | BinaryIO, media_type: str, *, expected: str | None = None) -> Descriptor:
        """Store ``data`` as a blob; see ``Blobs.put``."""
        return self.blobs.put(data, media_type, expected=expected)

    def blob_writer(self, media_type: str) -> contextlib.AbstractContextManager[BlobWriter]:
        """Write a blob; see ``Blobs.writer``."""
        return self.blobs.writer(media_type)

    def open_blob(self, blob: Descriptor | str, verify: bool = True) -> BinaryIO:
        """Open a blob for sequential reading; see ``Blobs.open``."""
        return self.blobs.open(blob, verify=verify)

    def blob_path(self, blob: Descriptor | str, progress: Progress = silent) -> str:
        """Return the path of a verified blob for random access; see ``Blobs.verified_path``."""
        return self.blobs.verified_path(blob, progress)

    def obtain(self, blobs: Iterable[Descriptor], progress: Progress = silent) -> None:
        """Fetch those of ``blobs`` that are not stored here from the registry of record, before they are needed in a hurry.

        Raises:
            StrataError: as ``BlobSource.fetch``.
        """
        missing = [blob for blob in {blob.digest: blob for blob in blobs}.values() if not self.has(blob.digest)]
        done, total = 0, sum(blob.size for blob in missing)
        for blob in missing:
            self.blobs.obtain(blob.digest, _part_of(progress, done, total))
            done += blob.size

    def has(self, digest: str) -> bool:
        """Return whether a blob is stored here."""
        return self.blobs.has(digest)

    def size(self, digest: str) -> int:
        """Return the size of a blob in bytes."""
        return self.blobs.size(digest)

    # --- manifests --------------------------------------------------------------------------

    def put_manifest(
        self,
        config: Descriptor,
        layers: Sequence[Descriptor],
        annotations: Mapping[str, str] | None = None,
        artifact_type: str | None = None,
        *,
        layer_annotations: Sequence[Mapping[str, str] | None] = (),
        reference: str | None = None,
    ) -> Descriptor:
        """Store a manifest that lists stored blobs, and set ``reference`` to it unless that is None.

        The same arguments give the same digest.

        Raises:
            NotFound: ``repository.blob_missing``.
            Corrupt: ``repository.blob_corrupt`` if a blob has another size than its descriptor.
        """
        listed = []
        for number, layer in enumerate(layers):
            item: dict = layer.to_json()
            added = layer_annotations[number] if number < len(layer_annotations) else None
            if added:
                item["annotations"] = dict(added)
            listed.append(item)
        document: dict = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config.to_json(), "layers": listed}
        if artifact_type:
            document["artifactType"] = artifact_type
        if annotations:
            document["annotations"] = dict(annotations)
        with self._locks.hold("collect", shared=True, timeout=600, purpose="store a manifest"):
            for blob in (config, *layers):
                self._check_size(blob)
            manifest = self.put_blob(_json(document), MANIFEST)
            if reference is not None:
                self._set_reference(reference, manifest, artifact_type)
        return manifest

    def adopt_manifest(self, data: bytes, reference: str, *, elsewhere: Collection[str] = ()) -> Descriptor:
        """Store a manifest as it is, whose blobs are stored already, and set ``reference`` to it; return its descriptor.

        The blobs ``elsewhere`` may be missing here, because a registry of record has them.

        Raises:
            NotFound: ``repository.blob_missing`` if a blob that it lists is missing.
            Corrupt: ``repository.blob_corrupt``, ``repository.manifest`` if it is damaged.
        """
        with self._locks.hold("collect", shared=True, timeout=600, purpose="store a manifest"):
            stored = self.put_blob(data, MANIFEST)
            document = self.manifest(stored.digest)
            for blob in map(Descriptor.from_json, (document["config"], *document["layers"])):
                if blob.digest not in elsewhere or self.has(blob.digest):
                    self._check_size(blob)
            self._set_reference(reference, stored, document.get("artifactType"))
        return stored

    def manifest(self, name: str) -> dict:
        """Return the manifest with the digest or reference ``name``, verified, with its ``digest`` added.

        Raises:
            NotFound: ``repository.reference_missing``, ``repository.blob_missing``.
            Corrupt: ``repository.blob_corrupt``, ``repository.json``, ``repository.manifest``.
        """
        digest = name if is_digest(name) else self.resolve(name).digest
        document = _parse(self.blobs.read(digest, MAX_JSON), f"The manifest {digest}")
        if not isinstance(document.get("layers"), list) or not isinstance(document.get("annotations", {}), dict):
            raise Corrupt(
                f"The manifest {digest} is not an image manifest.",
                code="repository.manifest",
                hint="Verify the repository with state verified, and restore the damaged content from a backup.",
                digest=digest,
            )
        for item in (document.get("config"), *document["layers"]):
            Descriptor.from_json(item)
        document["digest"] = digest
        return document

    # --- references -------------------------------------------------------------------------

    def references(self) -> dict[str, Descriptor]:
        """Return all references with the descriptors of their manifests, sorted."""
        found = {}
        for item in self.index():
            reference = item.get("annotations", {}).get(REFERENCE)
            if isinstance(reference, str):
                found[reference] = Descriptor.from_json(item)
        return dict(sorted(found.items()))

    def resolve(self, reference: str) -> Descriptor:
        """Return the descriptor of a reference; NotFound (``repository.reference_missing``) if there is none."""
        found = self.references().get(check_reference(reference))
        if found is None:
            raise NotFound(
                f"The repository {self._root} has no reference {reference!r}.",
                code="repository.reference_missing",
                hint="Verify the repository with state verified, and build what is missing again.",
                reference=reference,
            )
        return found

    def add_reference(self, reference: str, manifest: Descriptor) -> bool:
        """Set a reference to a stored manifest, which may move it; return whether anything changed."""
        with self._locks.hold("collect", shared=True, timeout=600, purpose="add a reference"):
            self._check_size(manifest)
            return self._set_reference(reference, manifest, self.manifest(manifest.digest).get("artifactType"))

    def remove_reference(self, reference: str) -> bool:
        """Remove a reference; return whether it existed. Blobs are kept until the repository is cleaned up."""
        check_reference(reference)
        with self._changing_index() as manifests:
            kept = [item for item in manifests if item.get("annotations", {}).get(REFERENCE) != reference]
            changed = len(kept) < len(manifests)
            manifests[:] = kept
        return changed

    def remove_entries(self, is_gone: Callable[[dict], bool]) -> bool:
        """Remove the entries of index.json for which ``is_gone`` is true, also entries without a name; return whether there were any."""
        with self._changing_index() as manifests:
            kept = [item for item in manifests if not is_gone(item)]
            changed = len(kept) < len(manifests)
            manifests[:] = kept
        return changed

    def index(self) -> list[dict]:
        """Return the descriptors of index.json; Corrupt (``repository.index``) if it is damaged."""
        manifests = self._read_json("index.json").get("manifests")
        if not isinstance(manifests, list):
            raise self._damaged_index("it has no list of manifests")
        for item in manifests:
            Descriptor.from_json(item)
            if not isinstance(item.get("annotations", {}), dict):
                raise self._damaged_index(f"the annotations of {item['digest']} are not an object")
        return manifests

    def _damaged_index(self, problem: str) -> Corrupt:
        return Corrupt(
            f"The file {self._root}/index.json is damaged: {problem}.",
            code="repository.index",
            hint="Restore it from a backup of the repository.",
        )

    def _check_size(self, blob: Descriptor) -> None:
        size = self.size(blob.digest)
        if size != blob.size:
            raise Corrupt(
                f"The blob {blob.digest} has {size} bytes, but its descriptor says {blob.size}.",
                code="repository.blob_corrupt",
                hint="Verify the repository with state verified, and restore the damaged content from a backup.",
                digest=blob.digest,
            )

    def _set_reference(self, reference: str, manifest: Descriptor, artifact_type: str | None) -> bool:
        check_reference(reference)
        check_digest(manifest.digest)
        item: dict = {**manifest.to_json(), "annotations": {REFERENCE: reference}}
        if artifact_type:
            item["artifactType"] = artifact_type
        with self._changing_index() as manifests:
            before = list(manifests)
            manifests[:] = [
                other for other in manifests if other.get("annotations", {}).get(REFERENCE) != reference
            ] + [item]
            manifests.sort(key=lambda other: (str(other.get("annotations", {}).get(REFERENCE, "")), other["digest"]))
            return manifests != before

    @contextlib.contextmanager
    def _changing_index(self) -> Iterator[list[dict]]:
        with self._locks.hold("index", purpose="change index.json"):
            document = self._read_json("index.json")
            manifests = self.index()
            before = json.dumps(manifests, sort_keys=True)
            yield manifests
            if json.dumps(manifests, sort_keys=True) != before:
                atomic_write(os.path.join(self._root, "index.json"), _json({**document, "manifests": manifests}))

    def _read_json(self, name: str) -> dict:
        path = os.path.join(self._root, name)
        try:
            with open(path, "rb") as stream:
                data = stream.read(16 * MAX_JSON + 1)
        except FileNotFoundError:
            raise Corrupt(
                f"The file {path} is missing.",
                code="repository.layout",
                hint="Restore it from a backup of the repository.",
            ) from None
        if len(data) > 16 * MAX_JSON:
            raise Corrupt(
                f"The file {path} has more than {16 * MAX_JSON} bytes.",
                code="repository.layout",
                hint="Restore it from a backup of the repository.",
            )
        return _parse(data, f"The file {path}")


def _part_of(progress: Progress, done: int, total: int) -> Progress:
    """Return the progress of a blob, which reports the bytes of all blobs."""

    def report(step: str, fetched: int, size: int | None) -> None:
        progress("fetch", done + fetched, total)

    return report


def _json(document: dict) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _parse(data: bytes, subject: str) -> dict:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Corrupt(
            f"{subject} is not a JSON object.",
            code="repository.json",
            hint="Verify the repository with state verified, and restore the damaged content from a backup.",
        )
    return document
