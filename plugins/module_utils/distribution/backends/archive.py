# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A single file with layers, for sites without a network: a tar file with an OCI image layout ("oci-archive").

skopeo and podman read the file as ``oci-archive:FILE:REPOSITORY:TAG``. Its index.json is that of a folder of layers. Blobs are
read at their positions; nothing is unpacked. Changes are collected and written at the end of the ``with`` block, in one pass
and in a fixed order with fixed times, so that equal content gives an equal file. Until then the file has a temporary name,
and an exception in the block leaves the file as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO

from ...common.atomic_files import ABANDONED, TEMPORARY_PREFIX
from ...common.errors import Corrupt, NoSpace, NotFound, StrataError
from ...common.progress import Progress, silent
from ...layers import tar
from ...oci_registry.model import Uploaded, is_digest
from ...repository.blobs import Descriptor
from ...shares.share import Share, Status, join, parent_of
from .archive_members import Member, MemberReader, folder_header, member_header, read_members
from .layout_index import (
    BLOBS,
    INDEX_FILE,
    LAYOUT_FILE,
    MAX_INDEX,
    LayoutIndex,
    blob_file,
    check_names,
    is_layout_file,
    layout_file,
)
from .layout_manifest import digest_of
from .layout_reader import LayoutReader, copy_verified, open_source
from .share_lock import ShareClock

_LARGE = 64 << 20


class Archive(LayoutReader):
    """The file ``path`` on ``share``, as a ``Backend``. With ``create``, a missing file is an empty layout.

    Files that were uploaded must exist until ``commit``.

    Raises:
        NotFound: ``distribution.archive_missing`` without ``create``.
        Corrupt: ``distribution.archive``, ``distribution.layout_index`` if the file is damaged.
        Unsupported: ``distribution.archive_compressed``.
    """

    def __init__(self, share: Share, path: str, *, create: bool = False) -> None:
        super().__init__()
        self._share, self._path = share, path
        self._where = share.where(path)
        self.label = f"the file {self._where}"
        self._members: dict[str, Member] = {}
        self._added: dict[str, tuple[str | bytes, int, Progress]] = {}
        self._state = self._status()
        self._entries = LayoutIndex()
        if self._state is not None:
            self._read_layout()
        elif not create:
            raise NotFound(
                f"The file {self._where} does not exist.",
                code="distribution.archive_missing",
                hint="Correct the path, or push layers to the file first.",
            )
        self._stored = self._entries.to_bytes()

    # --- manifests and blobs ----------------------------------------------------------------

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> None:
        """Add a manifest under a tag or its digest.

        Raises:
            Corrupt: ``distribution.layout_manifest`` if it is not a manifest, is too large, or has another digest.
            Conflict: ``distribution.layout_incomplete`` if a blob that it lists was not added.
        """
        check_names(repository, reference)
        content = self._manifest_to_store(reference, data)
        descriptor = Descriptor(media_type, digest_of(data), len(data))
        for listed in content.listed:
            self._require(listed, descriptor.digest)
        if self._size(descriptor.digest) != len(data):
            self._added[descriptor.digest] = (data, len(data), silent)
        self._entries.put(repository, None if is_digest(reference) else reference, descriptor, content.artifact_type)

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest and its tags; return whether it existed."""
        check_names(repository, digest)
        return self._entries.remove_manifest(repository, digest)

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag; return whether it existed. Its manifest is not written unless another entry names it."""
        check_names(repository, tag)
        return self._entries.remove_tag(repository, tag)

    def upload(
        self,
        repository: str,
        digest: str,
        size: int,
        source: str | bytes,
        *,
        mount_from: Sequence[str] = (),
        progress: Progress = silent,
    ) -> Uploaded:
        """Add a blob, which is read when the file is written."""
        check_names(repository, digest)
        if self._size(digest) == size:
            return Uploaded.PRESENT
        self._added[digest] = (source, size, progress)
        return Uploaded.SENT

    def server_time(self) -> float | None:
        """Return the time of the file server; None if the folder of the file cannot be written."""
        with contextlib.suppress(OSError, StrataError):
            return ShareClock(self._share.folder(parent_of(self._path))).now()
        return None

    def close(self) -> None:
        """Close the connection. Changes that were not committed are lost."""
        self._share.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.close()

    # --- reading ----------------------------------------------------------------------------

    def _index(self) -> LayoutIndex:
        return self._entries

    def _index_path(self) -> str:
        return f"{INDEX_FILE} in {self._where}"

    def _size(self, digest: str) -> int | None:
        if digest in self._added:
            return self._added[digest][1]
        member = self._members.get(blob_file(digest))
        return None if member is None else member.size

    def _open(self, digest: str) -> BinaryIO:
        if digest in self._added:
            source = self._added[digest][0]
            return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")
        return self._open_member(blob_file(digest))

    def _open_member(self, name: str) -> BinaryIO:
        if name not in self._members:
            raise FileNotFoundError(name)
        if self._status() != self._state:
            raise Corrupt(
                f"The file {self._where} changed while it was read.",
                code="distribution.archive_changed",
                hint="Make sure that no other program writes the file, and run again.",
            )
        return MemberReader(self._share.open(self._path), self._members[name], self._where)

    def _status(self) -> Status | None:
        status = self._share.stat(self._path)
        if status is not None and status.is_folder:
            raise self._damaged_file("it is a folder")
        return status

    def _read_layout(self) -> None:
        with self._share.open(self._path) as stream:
            self._members = read_members(stream, self._where)
        if LAYOUT_FILE not in self._members or INDEX_FILE not in self._members:
            raise self._damaged_file(f"it has no {LAYOUT_FILE} and {INDEX_FILE}, and is not an OCI archive")
        with self._open_member(LAYOUT_FILE) as stream:
            if not is_layout_file(stream.read(4096)):
                raise self._damaged_file(f"its {LAYOUT_FILE} is damaged, or of a version that is not supported")
        with self._open_member(INDEX_FILE) as stream:
            self._entries = LayoutIndex.parse(stream.read(MAX_INDEX + 1), self._index_path())

    def _damaged_file(self, problem: str) -> Corrupt:
        return Corrupt(
            f"The file {self._where} cannot be read: {problem}.",
            code="distribution.archive",
            hint="Name a file that strata.layering or skopeo (oci-archive) wrote.",
        )

    # --- writing ----------------------------------------------------------------------------

    def commit(self) -> bool:
        """Write the file if its content changed; return whether it was written.

        Raises:
            Corrupt: ``distribution.layout_blob`` if a blob has another size or digest than it was added with.
            NoSpace: ``distribution.archive_no_space`` and others, if the file system is full.
        """
        self._entries.remove(self.loose_entries(self._entries))
        index = self._entries.to_bytes()
        if index == self._stored:
            return False
        digests = self.reachable(self._entries)
        if digests is None:
            raise self._damaged_file("a manifest in it is damaged")
        sizes = {digest: self._required_size(digest) for digest in sorted(digests)}
        self._share.make_folders(parent_of(self._path))
        self._check_space(sum(sizes.values()) + len(index))
        self._remove_leftovers()
        with self._share.create(self._path, temporary=self._temporary()) as stream:
            _write_member(stream, LAYOUT_FILE, layout_file())
            _write_member(stream, INDEX_FILE, index)
            stream.write(folder_header("blobs") + folder_header(BLOBS))
            for digest, size in sizes.items():
                self._write_blob(stream, digest, size)
            stream.write(tar.END)
        self._stored = index
        return True

    def _write_blob(self, stream: BinaryIO, digest: str, size: int) -> None:
        stream.write(member_header(blob_file(digest), size))
        if digest in self._added:
            added, _size, progress = self._added[digest]
            with open_source(added) as source:
                copy_verified(source, stream, digest, size, progress)
        else:
            with self._reading(digest) as source:
                copy_verified(source, stream, digest, size, silent)
        stream.write(tar.padding(size))

    def _required_size(self, digest: str) -> int:
        size = self._size(digest)
        if size is None:
            raise self._missing(digest)
        return size

    def _check_space(self, size: int) -> None:
        free = self._share.folder(parent_of(self._path)).space()[0] if size >= _LARGE else size
        if free < size:
            raise NoSpace(
                f"{free} bytes are free for the file {self._where}, which needs {size} bytes.",
                code="distribution.archive_no_space",
                hint="Free space on this file system, or use a different folder.",
                free=free,
                needed=size,
            )

    def _temporary(self) -> str:
        """Return a temporary name, by which a later writer of the same file finds it if it is left behind."""
        return f"{TEMPORARY_PREFIX}{hashlib.sha256(self._path.encode()).hexdigest()[:12]}-{secrets.token_hex(4)}"

    def _remove_leftovers(self) -> None:
        """Remove the temporary files of killed writers of this file."""
        folder, prefix = parent_of(self._path), self._temporary()[: len(TEMPORARY_PREFIX) + 13]
        oldest = ShareClock(self._share.folder(folder)).now() - ABANDONED
        for name, status in self._share.names(folder):
            if name.startswith(prefix) and status.mtime_ns / 1e9 < oldest:
                self._share.remove(join(folder, name))


def _write_member(stream: BinaryIO, name: str, data: bytes) -> None:
    stream.write(member_header(name, len(data)) + data + tar.padding(len(data)))
