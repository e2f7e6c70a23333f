# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer versions in the repository: storing what was built, loading it, reading its index and archive."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from ..common.errors import Corrupt, NotFound
from ..common.progress import Progress, silent
from ..layers import archive, file_index
from ..layers import entry as model
from ..layers.archive import ArchiveReader, ArchiveWriter
from ..layers.entry import Entry
from ..layers.file_index import IndexWriter, Record
from ..layers.folder import Opener
from ..layers.icon import icon_media_type
from ..layers.layer_version import (
    ARTIFACT_TYPE,
    CONFIG_MEDIA_TYPE,
    ROLE,
    ROLE_ARCHIVE,
    ROLE_ICON,
    ROLE_INDEX,
    Blob,
    LayerVersion,
    version_key,
)
from ..repository.blobs import Descriptor
from ..repository.encoding import reference_name
from ..repository.repository import Repository

_MAX_CONFIG = 1 << 20
#: What the name of a registry delta in the archive's folder of hives ends in.
DELTA_SUFFIX = ".strata-delta"


def layer_reference_name(kind: str, name: str, version: str) -> str:
    """The reference in index.json that names a layer version."""
    return reference_name("layers", kind, name, version)


def put_files(
    repository: Repository,
    layer: LayerVersion,
    entries: Iterable[tuple[Entry, Opener | None]],
    *,
    hives: Sequence[tuple[str, bytes]] = (),
    icon: bytes | None = None,
    progress: Progress = silent,
) -> LayerVersion:
    """Store ``layer`` with the files of ``entries``; return it with blobs, statistics and digests.

    ``hives`` are (name, registry delta) pairs, which stand in the archive's folder of hives.

    Every byte is read once: archive and file index are written side by side. A process that is
    killed leaves temporary files only, or blobs that nothing names; the reference comes last. The
    same entries and the same metadata give the same digest.
    """
    files = total = whiteouts = 0
    with repository.pin(purpose=f"store the layer {layer.name} {layer.version}") as pin:
        with (
            repository.layout.blob_writer(archive.MEDIA_TYPE) as packed,
            repository.layout.blob_writer(file_index.MEDIA_TYPE) as listed,
            ArchiveWriter(packed) as archive_writer,
            IndexWriter(listed) as index_writer,
        ):
            for name, delta in sorted(hives):
                archive_writer.add(Entry(f"{name}{DELTA_SUFFIX}", model.HIVE, size=len(delta)), delta)
            for entry, opener in entries:
                with contextlib.ExitStack() as opened:
                    data = (
                        opened.enter_context(opener(""))
                        if opener and entry.kind == model.FILE and not _bare_link(entry)
                        else None
                    )
                    streams = [(name, opened.enter_context(opener(name))) for name, _size in entry.streams]
                    digest, digests = archive_writer.add(entry, data, streams)
                index_writer.add(entry, digest, digests)
                files += entry.kind in (model.FILE, model.LINK)
                whiteouts += entry.kind == model.WHITEOUT
                total += entry.size + sum(size for _name, size in entry.streams)
                progress("store", total, None)
        layer.content_digest = with_hives(index_writer.content_digest, hives)
        layer.statistics = {"files": files, "whiteouts": whiteouts, "entries": index_writer.entries, "bytes": total}
        layer.blobs[ROLE_ARCHIVE] = _blob(packed.descriptor)
        layer.blobs[ROLE_INDEX] = _blob(listed.descriptor)
        pin.add([packed.descriptor.digest, listed.descriptor.digest])
        return put_version(repository, layer, icon=icon)


def with_hives(content_digest: str, hives: Sequence[tuple[str, bytes]]) -> str:
    """The content digest of a layer whose files have ``content_digest`` and that also carries registry deltas."""
    if not hives:
        return content_digest
    deltas = b"".join(hashlib.sha256(delta).digest() for _name, delta in sorted(hives))
    return f"sha256:{hashlib.sha256(deltas + content_digest.encode('ascii')).hexdigest()}"


def put_version(repository: Repository, layer: LayerVersion, *, icon: bytes | None = None) -> LayerVersion:
    """Store config and manifest of a layer whose ``blobs`` are in the repository, and name it; return it with its digest."""
    with repository.pin(purpose=f"store the layer {layer.name} {layer.version}") as pin:
        if icon is not None:
            layer.blobs[ROLE_ICON] = _blob(repository.layout.put_blob(icon, icon_media_type(icon)))
        pin.add(blob.digest for blob in layer.blobs.values())
        data = json.dumps(
            layer.config(), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        ).encode("ascii")
        config = repository.layout.put_blob(data, CONFIG_MEDIA_TYPE)
        pin.add([config.digest])
        roles = sorted(layer.blobs)
        manifest = repository.layout.put_manifest(
            config,
            [Descriptor(*layer.blobs[role]) for role in roles],
            layer.annotations(),
            ARTIFACT_TYPE,
            layer_annotations=[{ROLE: role} for role in roles],
            reference=layer_reference_name(layer.kind, layer.name, layer.version),
        )
    layer.digest = manifest.digest
    return layer


def load_version(repository: Repository, name: str) -> LayerVersion:
    """The layer version with the manifest digest or the reference ``name``; NotFound, Corrupt or Unsupported otherwise."""
    manifest = repository.layout.manifest(name)
    return LayerVersion.from_documents(manifest, _config(repository, manifest))


def find_version(repository: Repository, kind: str, name: str, version: str) -> LayerVersion | None:
    """The stored layer version of that name, None when there is none."""
    reference = layer_reference_name(kind, name, version)
    if reference not in repository.layout.references():
        return None
    return load_version(repository, reference)


def versions(repository: Repository, kind: str | None = None, name: str | None = None) -> list[LayerVersion]:
    """All layer versions the repository names, by kind, name and natural order of versions."""
    prefix = f"layers/{kind}/" if kind else "layers/"
    found = [
        load_version(repository, item.digest)
        for reference, item in repository.layout.references().items()
        if reference.startswith(prefix)
    ]
    wanted = [layer for layer in found if name is None or layer.name == name]
    return sorted(wanted, key=lambda layer: (layer.kind, layer.name.casefold(), layer.name, version_key(layer.version)))


def remove_version(repository: Repository, kind: str, name: str, version: str) -> bool:
    """Forget a layer version; return whether it was there. Its blobs go when the repository is collected."""
    return repository.layout.remove_reference(layer_reference_name(kind, name, version))


def records(repository: Repository, layer: LayerVersion) -> Iterator[Record]:
    """The file index of a layer, entry by entry."""
    with open_role(repository, layer, ROLE_INDEX) as stream:
        yield from file_index.read_index(stream, layer.label)


@contextlib.contextmanager
def open_archive(repository: Repository, layer: LayerVersion, *, hives: bool = False) -> Iterator[ArchiveReader]:
    """The archive of a layer, verified at its end at the latest."""
    with open_role(repository, layer, ROLE_ARCHIVE) as stream:
        yield ArchiveReader(stream, layer.label, hives=hives)


def open_role(repository: Repository, layer: LayerVersion, role: str) -> BinaryIO:
    """Open the blob that has ``role`` in a layer version; NotFound when it has none."""
    return repository.layout.open_blob(Descriptor(*role_blob(layer, role)))


def role_blob(layer: LayerVersion, role: str) -> Blob:
    """The blob that has ``role`` in a layer version; NotFound when it has none."""
    if role not in layer.blobs:
        raise NotFound(
            f"The layer version {layer.name} {layer.version} has no {role}.",
            code="catalog.layer_role_missing",
            role=role,
        )
    return layer.blobs[role]


def _config(repository: Repository, manifest: Mapping) -> object:
    data = repository.layout.blobs.read(Descriptor.from_json(manifest["config"]), _MAX_CONFIG)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Corrupt(
            f"The description of the layer version {manifest['digest']} is not JSON.", code="catalog.layer_corrupt"
        ) from None


def _blob(descriptor: Descriptor) -> Blob:
    return Blob(descriptor.media_type, descriptor.digest, descriptor.size)


def _bare_link(entry: Entry) -> bool:
    return entry.size == 0 and entry.reparse is not None
