# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer versions in the repository: store, load and delete them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..common.errors import Corrupt, InternalError, NotFound
from ..common.progress import Progress, silent
from ..layers.entry import Entry
from ..layers.layer_version import (
    ARTIFACT_TYPE,
    CONFIG_MEDIA_TYPE,
    ROLE,
    ROLE_ARCHIVE,
    ROLE_ICON,
    ROLE_INDEX,
    Blob,
    LayerVersion,
)
from ..repository.blobs import Descriptor
from ..repository.encoding import reference_name
from ..repository.repository import Repository

if TYPE_CHECKING:
    from ..layers.archive import ArchiveWriter
    from ..layers.file_index import IndexWriter
    from ..layers.folder import Opener

_MAX_CONFIG = 1 << 20
#: The suffix of registry deltas in the archive's folder of hives.
DELTA_SUFFIX = ".strata-delta"


def layer_reference_name(kind: str, name: str, version: str) -> str:
    """Return the reference in index.json that names a layer version."""
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

    ``hives`` are (name, registry delta) pairs, which the archive carries in its folder of hives.

    Every byte is read once: archive and file index are written at the same time. A killed process
    leaves only temporary files, or blobs without a reference, because the reference is written last.
    Equal entries and equal metadata give the same digest.

    Raises:
        InvalidInput layers.entry: an archive cannot carry an entry.
        InvalidInput layers.changed: a file changed while it was read.
        NoSpace: the disk of the repository is full.
    """
    from ..layers import archive, file_index
    from ..layers import entry as model
    from ..layers.archive import ArchiveWriter
    from ..layers.file_index import IndexWriter

    with repository.pin(purpose=f"store the {layer.label}") as pin:
        with (
            repository.layout.blob_writer(archive.MEDIA_TYPE) as packed,
            repository.layout.blob_writer(file_index.MEDIA_TYPE) as listed,
            ArchiveWriter(packed) as archive_writer,
            IndexWriter(listed) as index_writer,
        ):
            for name, delta in sorted(hives):
                archive_writer.add(Entry(f"{name}{DELTA_SUFFIX}", model.HIVE, size=len(delta)), delta)
            statistics = _write_entries(entries, archive_writer, index_writer, progress)
        layer.content_digest = with_hives(index_writer.content_digest, hives)
        layer.statistics = statistics
        layer.blobs[ROLE_ARCHIVE] = _blob(packed.descriptor)
        layer.blobs[ROLE_INDEX] = _blob(listed.descriptor)
        pin.add([layer.blobs[ROLE_ARCHIVE].digest, layer.blobs[ROLE_INDEX].digest])
        return put_version(repository, layer, icon=icon, progress=progress)


def _write_entries(
    entries: Iterable[tuple[Entry, Opener | None]],
    archive_writer: ArchiveWriter,
    index_writer: IndexWriter,
    progress: Progress,
) -> dict[str, int]:
    from ..layers import entry as model

    files = total = whiteouts = 0
    for entry, opener in entries:
        with contextlib.ExitStack() as opened:
            data, streams = None, []
            if opener is not None:
                if entry.kind == model.FILE and not _is_link(entry):
                    data = opened.enter_context(opener(""))
                streams = [(name, opened.enter_context(opener(name))) for name, _size in entry.streams]
            digest, stream_digests = archive_writer.add(entry, data, streams)
        index_writer.add(entry, digest, stream_digests)
        files += entry.kind in (model.FILE, model.LINK)
        whiteouts += entry.kind == model.WHITEOUT
        total += entry.size + sum(size for _name, size in entry.streams)
        progress("store", total, None)
    return {"files": files, "whiteouts": whiteouts, "entries": index_writer.entries, "bytes": total}


def with_hives(content_digest: str, hives: Sequence[tuple[str, bytes]]) -> str:
    """Return the content digest of a layer with registry deltas whose files have ``content_digest``."""
    if not hives:
        return content_digest
    deltas = b"".join(hashlib.sha256(delta).digest() for _name, delta in sorted(hives))
    return f"sha256:{hashlib.sha256(deltas + content_digest.encode('ascii')).hexdigest()}"


def put_version(
    repository: Repository, layer: LayerVersion, *, icon: bytes | None = None, progress: Progress = silent
) -> LayerVersion:
    """Store config, manifest and reference of a layer whose ``blobs`` are in the repository; return it with its digest.

    If the repository has a registry of record, the blobs and the manifest are sent to it; no other composer sees the
    version before its document is stored.

    Raises:
        NoSpace: the disk of the repository is full.
        Unavailable: the registry of record cannot be reached. The version has no reference then.
    """
    from ..layers.icon import icon_media_type

    with repository.pin(purpose=f"store the {layer.label}") as pin:
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
        _send(repository, layer, manifest.digest, progress)
    layer.digest = manifest.digest
    return layer


def _send(repository: Repository, layer: LayerVersion, manifest: str, progress: Progress) -> None:
    upstream = repository.shared_upstream()
    if upstream is None:
        return
    try:
        upstream.upload(manifest, progress)
    except BaseException:
        remove_version(repository, layer.kind, layer.name, layer.version)
        raise


def load_version(repository: Repository, name: str) -> LayerVersion:
    """Return the layer version whose manifest has the digest or the reference ``name``.

    Raises:
        NotFound: the repository does not contain the manifest.
        Corrupt layers.corrupt, catalog.layer_corrupt: its documents are damaged.
        Unsupported layers.artifact_type, layers.schema: it is not a layer version, or of a newer version.
    """
    manifest = repository.layout.manifest(name)
    return LayerVersion.from_documents(manifest, _config(repository, manifest))


def remove_version(repository: Repository, kind: str, name: str, version: str) -> bool:
    """Delete the reference to a layer version; return whether it existed. Garbage collection deletes its blobs."""
    return repository.layout.remove_reference(layer_reference_name(kind, name, version))


def role_blob(layer: LayerVersion, role: str) -> Blob:
    """Return the blob that has ``role`` in a layer version, else raise NotFound catalog.layer_role_missing."""
    if role not in layer.blobs:
        raise NotFound(
            f"The {layer.label} has no blob with the role {role}.",
            code="catalog.layer_role_missing",
            hint="Use a layer version that contains it; OS layers have a disk, other layers have files.",
            role=role,
        )
    return layer.blobs[role]


def _config(repository: Repository, manifest: Mapping[str, Any]) -> object:
    data = repository.layout.blobs.read(Descriptor.from_json(manifest["config"]), _MAX_CONFIG)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Corrupt(
            f"The description of the layer version {manifest['digest']} is damaged: it is not JSON.",
            code="catalog.layer_corrupt",
            hint="Verify the repository, then fetch or build the layer version again.",
        ) from None


def _blob(descriptor: Descriptor | None) -> Blob:
    if descriptor is None:
        raise InternalError("A blob is used before it was written.", code="catalog.blob_not_written")
    return Blob(descriptor.media_type, descriptor.digest, descriptor.size)


def _is_link(entry: Entry) -> bool:
    return entry.size == 0 and entry.reparse is not None
