# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder or SMB share with an OCI image layout, used as a registry: skopeo, oras and regctl read and write the same files.

```
oci-layout               the version of the layout
index.json               the entries: REPOSITORY:TAG, see layout_index
blobs/sha256/HEX         manifests and blobs of all repositories
.strata-index.lock       exists while a composer changes index.json
.strata-swept            when unused blobs were removed last
```

Blobs and index.json get their names when they are complete. index.json is replaced under a lock file, and a manifest is
accepted only while everything that it lists is there, so that neither two pushes nor a push and the removal of unused blobs
disturb each other. Other tools do not know the lock: while they write to the folder, nothing else should.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, TypeVar

from ...common.composer_paths import TEMPORARY_PREFIX, current_user
from ...common.errors import Corrupt, InvalidInput, NoSpace, NotFound, StrataError, Unavailable
from ...common.progress import Progress, silent
from ...oci_registry.model import Uploaded, is_digest
from ...repository.blobs import Descriptor
from ...shares.share import Share
from .folder_sweep import sweep_if_due
from .layout_index import (
    BLOBS,
    INDEX_FILE,
    LAYOUT_FILE,
    MAX_INDEX,
    IndexEntry,
    LayoutIndex,
    blob_file,
    check_names,
    is_layout_file,
    layout_file,
)
from .layout_manifest import digest_of
from .layout_reader import LayoutReader, copy_verified, open_source
from .share_lock import ShareClock, ShareLock

T = TypeVar("T")

_LOCK = ".strata-index.lock"
#: The file that makes a folder a repository of strata.layering.
_REPOSITORY = "repository.json"
#: Names that a new share may already contain, and names that this module creates before the layout is complete.
_IGNORED = frozenset(
    ("lost+found", ".snapshot", ".snapshots", "System Volume Information", "$RECYCLE.BIN", ".DS_Store", "~snapshot")
)
_OWN = frozenset((LAYOUT_FILE, INDEX_FILE, "blobs"))
#: Bytes from which on the free space is checked before a blob is written.
_LARGE = 64 << 20
#: Seconds in which a server may refuse to replace index.json, as long as another client reads it.
_BUSY = 5.0


class Folder(LayoutReader):
    """The layout in the folder of ``share``, as a ``Backend``.

    With ``create``, a missing or empty folder is an empty layout, and the first manifest creates its files.

    Raises:
        NotFound: ``distribution.folder_missing`` if there is no layout, without ``create``.
        InvalidInput: ``distribution.folder_is_repository``; ``distribution.folder_not_empty``;
            ``distribution.folder_version``.
        Unavailable: if the share cannot be reached.
    """

    def __init__(self, share: Share, *, create: bool = False) -> None:
        super().__init__()
        self.label = f"the folder {share.name}"
        self._share = share
        self._clock = ShareClock(share)
        self._lock = ShareLock(share, _LOCK, self._clock)
        self._parsed: tuple[bytes, LayoutIndex] | None = None
        self._exists = self._check(create)

    # --- manifests --------------------------------------------------------------------------

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> None:
        """Store a manifest under a tag or its digest.

        Raises:
            Corrupt: ``distribution.layout_manifest`` if it is not a manifest, is too large, or has another digest.
            Conflict: ``distribution.layout_incomplete`` if a blob that it lists is missing; ``distribution.folder_locked``.
            NoSpace, Unavailable: if the share is full or cannot be written.
        """
        check_names(repository, reference)
        content = self._manifest_to_store(reference, data)
        descriptor = Descriptor(media_type, digest_of(data), len(data))
        self._prepare()
        self._write_small(descriptor.digest, data)
        with self._changing_index() as index:
            for listed in (descriptor, *content.listed):
                self._require(listed, descriptor.digest)
            index.put(repository, None if is_digest(reference) else reference, descriptor, content.artifact_type)
        with self._writing():
            sweep_if_due(self)

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest and its tags; return whether it existed. Its blobs are removed later if nothing uses them."""
        check_names(repository, digest)
        return self._remove(lambda index: index.remove_manifest(repository, digest))

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and keep its manifest for a day; return whether the tag existed."""
        check_names(repository, tag)
        return self._remove(lambda index: index.remove_tag(repository, tag))

    # --- blobs ------------------------------------------------------------------------------

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
        """Store a blob; all repositories of the folder share it, so that nothing has to be mounted.

        Raises:
            Corrupt: ``distribution.layout_blob`` if ``source`` has another size or digest.
            NoSpace, Unavailable: if the share is full or cannot be written.
        """
        check_names(repository, digest)
        if self._size(digest) == size:
            return Uploaded.PRESENT
        self._prepare()
        if size >= _LARGE:
            self._upload_large(digest, size, source, progress)
        else:
            with self._writing(), open_source(source) as stream, self._create(blob_file(digest)) as target:
                copy_verified(stream, target, digest, size, progress)
        return Uploaded.SENT

    def _upload_large(self, digest: str, size: int, source: str | bytes, progress: Progress) -> None:
        """Store a blob, and continue what a killed run of any composer has left of it."""
        path, temporary = blob_file(digest), f"{TEMPORARY_PREFIX}part-{digest[7:]}"
        partial = f"{BLOBS}/{temporary}"
        status = self._share.stat(partial)
        stored = status.size if status is not None else 0
        if stored > size:
            self._share.remove(partial)
            stored = 0
        self._check_space(digest, size - stored)
        try:
            with self._writing(), open_source(source) as stream, self._share.resume(path, temporary) as target:
                copy_verified(stream, target, digest, size, progress, done=target.tell())
        except FileNotFoundError:
            # Another composer wrote the same file, and has renamed it.
            if self._size(digest) != size:
                raise

    # --- the share --------------------------------------------------------------------------

    def server_time(self) -> float | None:
        """Return the time of the file server; None if its folder cannot be written."""
        if not self._exists and not self._share.is_folder():
            return None
        with contextlib.suppress(OSError, Unavailable):
            return self._clock.now()
        return None

    def close(self) -> None:
        self._share.close()

    @property
    def share(self) -> Share:
        """The share."""
        return self._share

    @property
    def clock(self) -> ShareClock:
        """The clock of the file server."""
        return self._clock

    def remove_unused(self, untagged_before: float, unused: Sequence[str]) -> None:
        """Remove untagged manifests that are older than a time in seconds since 1970, and blobs that nothing uses.

        What is in use by now is kept.
        """
        with self._changing_index() as index:
            index.remove(self.forgotten(index, untagged_before))
        with self._lock.hold():
            needed = self.reachable(self._index())
            for digest in unused:
                if needed is not None and digest not in needed:
                    self._lock.check()
                    self._share.remove(blob_file(digest))

    def forgotten(self, index: LayoutIndex, before: float) -> list[IndexEntry]:
        """Return the untagged manifests that describe nothing that is kept and are older than ``before``."""
        found = []
        for entry in self.loose_entries(index):
            status = self._share.stat(blob_file(entry.descriptor.digest))
            if status is not None and status.mtime_ns / 1e9 < before:
                found.append(entry)
        return found

    def current_index(self) -> LayoutIndex:
        """Return the entries of index.json as they are now."""
        return self._index()

    # --- reading the layout -----------------------------------------------------------------

    def _index(self) -> LayoutIndex:
        if not self._exists:
            return LayoutIndex()
        data = self._read_index()
        if self._parsed is None or self._parsed[0] != data:
            self._parsed = (data, LayoutIndex.parse(data, self._index_path()))
        return self._parsed[1].copy()

    def _read_index(self) -> bytes:
        try:
            # The server may refuse to open a file that is being replaced.
            return _while_busy(lambda: self._share.read(INDEX_FILE, MAX_INDEX + 1))
        except FileNotFoundError:
            raise Corrupt(
                f"The file {self._index_path()} is missing.",
                code="distribution.layout_index",
                hint="Restore it from a backup, or push the layers to an empty folder.",
            ) from None

    def _index_path(self) -> str:
        return self._share.where(INDEX_FILE)

    def _size(self, digest: str) -> int | None:
        status = self._share.stat(blob_file(digest)) if self._exists else None
        return None if status is None or status.is_folder else status.size

    def _open(self, digest: str) -> BinaryIO:
        return self._share.open(blob_file(digest))

    # --- writing the layout -----------------------------------------------------------------

    def _check(self, create: bool) -> bool:
        """Return whether the layout exists; raise if the folder is not a layout and cannot become one."""
        share = self._share
        if share.is_file(_REPOSITORY):
            raise InvalidInput(
                f"The folder {share.name} is a repository of strata.layering, not a folder for transfers.",
                code="distribution.folder_is_repository",
                hint="Set other_repository to this folder (mounted on the composer), or use a different folder.",
            )
        if share.is_file(LAYOUT_FILE) and (not create or share.is_file(INDEX_FILE)):
            if not is_layout_file(share.read(LAYOUT_FILE, 4096)):
                raise InvalidInput(
                    f"The file {share.where(LAYOUT_FILE)} is damaged, or of a version that is not supported.",
                    code="distribution.folder_version",
                    hint="Use a different folder, or update the collection strata.layering on this composer.",
                )
            return True
        if not create:
            raise NotFound(
                f"The folder {share.name} does not exist or has no OCI image layout.",
                code="distribution.folder_missing",
                hint="Check that the share is mounted, or push layers to the folder first.",
            )
        try:
            foreign = sorted(
                name
                for name, _status in share.names()
                if name not in _IGNORED | _OWN and not name.startswith(".strata-")
            )
        except FileNotFoundError:
            foreign = []
        if foreign:
            raise InvalidInput(
                f"The folder {share.name} has no OCI image layout, and it is not empty: it contains {', '.join(foreign[:5])}.",
                code="distribution.folder_not_empty",
                hint="Use a folder that is empty or does not exist.",
                found=foreign[:10],
            )
        return False

    def _prepare(self) -> None:
        """Create the layout unless it exists."""
        if self._exists:
            return
        with self._writing():
            self._share.make_folders(BLOBS)
            with self._lock.hold():
                # Another process may create the same layout: oci-layout is written last and marks it as complete.
                if not self._share.is_file(INDEX_FILE):
                    self._share.write(INDEX_FILE, LayoutIndex().to_bytes())
                if not self._share.is_file(LAYOUT_FILE):
                    self._share.write(LAYOUT_FILE, layout_file())
        self._exists = True

    @contextlib.contextmanager
    def _changing_index(self) -> Iterator[LayoutIndex]:
        """Change index.json: the block changes the entries; they are written at its end if they differ."""
        with self._writing(), self._lock.hold():
            index = self._index()
            before = index.to_bytes()
            yield index
            after = index.to_bytes()
            if after != before:
                if len(after) > MAX_INDEX:
                    raise NoSpace(
                        f"The file {self._index_path()} would have {len(after)} bytes; the limit is {MAX_INDEX} bytes.",
                        code="distribution.folder_index_full",
                        hint="Delete layer versions from the folder, or use a different folder.",
                    )
                _while_busy(lambda: self._replace_index(after))

    def _replace_index(self, data: bytes) -> None:
        with self._create(INDEX_FILE) as stream:
            stream.write(data)
            self._lock.check()

    def _create(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        # A share looks for leftovers of the same file, and lists all blobs for that; here, folder_sweep removes them.
        return self._share.create(path, temporary=TEMPORARY_PREFIX + secrets.token_hex(8))

    def _remove(self, change: Callable[[LayoutIndex], bool]) -> bool:
        if not self._exists:
            return False
        with self._changing_index() as index:
            removed = change(index)
        if removed:
            with self._writing():
                sweep_if_due(self)
        return removed

    def _write_small(self, digest: str, data: bytes) -> None:
        if self._size(digest) != len(data):
            with self._writing():
                with self._create(blob_file(digest)) as stream:
                    stream.write(data)

    def _check_space(self, digest: str, needed: int) -> None:
        free = self._share.space()[0]
        if free < needed:
            raise NoSpace(
                f"The folder {self._share.name} has {free} bytes free; the blob {digest} needs {needed} bytes.",
                code="distribution.folder_no_space",
                hint="Free space on the share, or use a different folder.",
                free=free,
                needed=needed,
            )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Convert the errors of a local folder that cannot be written."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise Unavailable(
                f"The folder {self._share.name} cannot be written by the user {current_user()}: {error.strerror}.",
                code="distribution.folder_read_only",
                hint="Mount the share writable, and give the user write access to the folder.",
            ) from error


def _while_busy(work: Callable[[], T]) -> T:
    """Repeat ``work`` for a few seconds while the server refuses it because another client has the file open."""
    deadline = time.monotonic() + _BUSY
    while True:
        try:
            return work()
        except StrataError as error:
            if error.code not in ("shares.denied", "shares.in_use") or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
