# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content-addressed blobs: written once, whole or not at all, and verified when they are read.

A blob is hashed while it is written to a temporary file, which is synced and renamed to its digest.
Reading verifies it: a stream is hashed while it is read and refused at its end; a file for random
access is hashed before. A base disk of many gigabytes must not be hashed at every publish: this host remembers
what it has verified or written (``verified_blobs``). Verifying the repository ignores that memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from ..common.atomic_files import sync_folder
from ..common.composer_paths import TEMPORARY_PREFIX
from ..common.errors import Corrupt, InternalError, NotFound
from ..common.progress import Progress, silent
from .space import space_for
from .verified_blobs import VerifiedBlobs, VerifyingReader, wrong_blob

_CHUNK = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
#: The largest blob, in bytes.
MAX_SIZE = 1 << 50
#: Bytes from which on the last use of a blob is recorded, so that it can be evicted from a cache.
MIN_CACHED = 1 << 16


@dataclass(frozen=True)
class Descriptor:
    """An entry of an OCI manifest for a blob: media type, digest ("sha256:...") and size in bytes."""

    media_type: str
    digest: str
    size: int

    def to_json(self) -> dict:
        """Return the JSON object of a manifest."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}

    @classmethod
    def from_json(cls, value: object) -> Descriptor:
        """Read untrusted JSON; Corrupt (``repository.manifest``) if it is not a descriptor."""
        if isinstance(value, dict):
            media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
            if (
                isinstance(media_type, str)
                and _MEDIA_TYPE.fullmatch(media_type)
                and isinstance(digest, str)
                and _DIGEST.fullmatch(digest)
                and size.__class__ is int
                and 0 <= size <= MAX_SIZE
            ):
                return cls(media_type, digest, size)
        raise Corrupt(
            f"A manifest of the repository has a malformed descriptor: {str(value)[:100]}.",
            code="repository.manifest",
            hint="Verify the repository with state verified, and restore the damaged content from a backup.",
        )


def check_digest(digest: str) -> str:
    """Return ``digest``; InternalError unless it is "sha256:" and 64 lower-case hexadecimal digits."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InternalError(f"{str(digest)[:90]!r} is not a SHA-256 digest.", code="repository.digest")
    return digest


def is_digest(value: object) -> bool:
    """Return whether ``value`` is a digest of a blob."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


class BlobWriter:
    """A blob that is being written. Its descriptor is known once its block has ended without an exception."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0
        self._descriptor: Descriptor | None = None

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the stored blob."""
        if self._descriptor is None:
            raise InternalError(
                f"A blob of {self.size} bytes was used before it was stored.", code="repository.blob_unfinished"
            )
        return self._descriptor

    def finish(self, descriptor: Descriptor) -> None:
        """Record that the blob is stored."""
        self._descriptor = descriptor

    def write(self, data: bytes) -> int:
        """Append ``data``."""
        self._hash.update(data)
        self._stream.write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: the stream below has a buffer of its own."""

    def digest(self) -> str:
        """Return the digest of what was written so far."""
        return "sha256:" + self._hash.hexdigest()


class BlobSource(Protocol):
    """A source of blobs that are not stored here, such as a registry of record."""

    def size(self, digest: str) -> int | None:
        """Return the size of a blob in bytes, None if the source does not have it."""

    def fetch(self, digest: str, progress: Progress = silent) -> None:
        """Store a blob."""


class Blobs:
    """The blobs of a repository, ``blobs/sha256`` of the OCI image layout under ``root``.

    If ``source`` is set, a missing blob that the source has is fetched when it is read.
    """

    def __init__(self, root: str) -> None:
        self._folder = os.path.join(root, "blobs", "sha256")
        self._temporary = os.path.join(root, "tmp")
        self._uses = os.path.join(root, "uses")
        self._verified = VerifiedBlobs(self.path)
        self.source: BlobSource | None = None

    def path(self, digest: str) -> str:
        """Return the path of a blob, whether or not it exists."""
        return os.path.join(self._folder, check_digest(digest)[7:])

    def has(self, digest: str) -> bool:
        """Return whether the blob is stored here."""
        return os.path.isfile(self.path(digest))

    def size(self, digest: str) -> int:
        """Return the size in bytes; NotFound (``repository.blob_missing``) if neither repository nor source have the blob."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            size = self.source.size(digest) if self.source else None
            if size is None:
                raise self.missing(digest) from None
            return size

    def obtain(self, digest: str, progress: Progress = silent) -> None:
        """Fetch a blob that is not stored here from the source, if the source has it."""
        if self.source is not None and not self.has(digest) and self.source.size(digest) is not None:
            self.source.fetch(digest, progress)

    def digests(self) -> list[str]:
        """Return the digests of all blobs, sorted."""
        return sorted(digest for name in os.listdir(self._folder) if _DIGEST.fullmatch(digest := "sha256:" + name))

    # --- writing ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def writer(self, media_type: str) -> Iterator[BlobWriter]:
        """Write a blob whose digest is not known yet: the block writes, and the end of the block stores the blob.

        An exception in the block leaves nothing. A killed process leaves a temporary file, which garbage
        collection removes.

        Raises:
            NoSpace: ``repository.no_space`` if the disk or quota is full.
        """
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise InternalError(f"{media_type[:80]!r} is not a media type.", code="repository.media_type")
        temporary = os.path.join(self._temporary, TEMPORARY_PREFIX + secrets.token_hex(12))
        try:
            with space_for("a blob"):
                # Not created by tempfile: the umask has to decide who may read a shared repository.
                with os.fdopen(
                    os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb", buffering=_CHUNK
                ) as stream:
                    writer = BlobWriter(stream)
                    yield writer
                    stream.flush()
                    os.fsync(stream.fileno())
                descriptor = Descriptor(media_type, writer.digest(), writer.size)
                self._store(temporary, descriptor)
                writer.finish(descriptor)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    def put(self, data: bytes | BinaryIO, media_type: str, *, expected: str | None = None) -> Descriptor:
        """Store ``data`` and return its descriptor.

        Raises:
            Corrupt: ``repository.digest_mismatch`` if ``expected`` is set and the data have another digest.
            NoSpace: ``repository.no_space``.
        """
        if isinstance(data, (bytes, bytearray, memoryview)):
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            if expected in (None, digest) and self._holds(digest, bytes(data)):
                return Descriptor(media_type, digest, len(data))
            data = io.BytesIO(data)
        with self.writer(media_type) as writer:
            while chunk := data.read(_CHUNK):
                writer.write(chunk)
            if expected is not None and writer.digest() != check_digest(expected):
                raise Corrupt(
                    f"The data for the blob {expected} has the digest {writer.digest()}.",
                    code="repository.digest_mismatch",
                    hint="Transfer the data again. If the error remains, the source is damaged.",
                )
        return writer.descriptor

    def receive(self, blob: Descriptor, fill: Callable[[str], None]) -> None:
        """Store a blob that ``fill`` writes to a path, unless it exists.

        ``fill`` must have compared what it wrote with the digest. The path is the same in each call, so that ``fill`` can
        continue what a killed process has left; garbage collection removes it after a day. Only one process may receive
        a blob at a time.

        Raises:
            Corrupt: ``repository.digest_mismatch`` if the file has another size than the descriptor.
            NoSpace: ``repository.no_space``.
        """
        if self.has(blob.digest):
            return
        partial = os.path.join(self._temporary, TEMPORARY_PREFIX + "part-" + check_digest(blob.digest)[7:])
        with space_for("a blob"):
            fill(partial)
            with open(partial, "rb+") as stream:
                size = os.fstat(stream.fileno()).st_size
                os.fsync(stream.fileno())
            if size != blob.size:
                os.unlink(partial)
                raise Corrupt(
                    f"The data for the blob {blob.digest} have {size} bytes, not {blob.size}.",
                    code="repository.digest_mismatch",
                    hint="Transfer the data again. If the error remains, the source is damaged.",
                )
            self._store(partial, blob)

    def _holds(self, digest: str, data: bytes) -> bool:
        path = self.path(digest)
        try:
            with open(path, "rb") as stream:
                if stream.read(len(data) + 1) != data:
                    return False
            os.utime(path)  # garbage collection keeps blobs that were stored recently
        except OSError:
            return False
        return True

    def _store(self, temporary: str, descriptor: Descriptor) -> None:
        path = self.path(descriptor.digest)
        if self._verified.has(descriptor.digest):
            with contextlib.suppress(OSError):
                os.utime(path)
                self._verified.add(descriptor.digest)
                return
        # A blob that exists but was not verified by this host is replaced: by the same bytes, or by undamaged bytes.
        try:
            os.replace(temporary, path)
        except PermissionError:
            if not os.path.isfile(path):
                raise
        sync_folder(self._folder)
        self._verified.add(descriptor.digest)

    def remove(self, digest: str) -> int:
        """Remove a blob and return the bytes freed. Only garbage collection and the eviction of the cache may call this."""
        try:
            size = self._stat(digest).st_size
            os.unlink(self.path(digest))
        except (NotFound, FileNotFoundError):
            return 0
        self._verified.forget(digest)
        with contextlib.suppress(OSError):
            os.unlink(self._use(digest))
        return size

    def last_use(self, digest: str) -> float:
        """Return when a stored blob was last read or written, in the file server's seconds since 1970; 0 if it is not stored."""
        times = [0.0]
        for path in (self.path(digest), self._use(digest)):
            with contextlib.suppress(FileNotFoundError):
                times.append(os.stat(path).st_mtime)
        return max(times)

    def _use(self, digest: str) -> str:
        return os.path.join(self._uses, check_digest(digest)[7:])

    def _record_use(self, digest: str, size: int) -> None:
        # In a file of its own: a new time of the blob itself would make this host verify the blob again.
        if self.source is None or size < MIN_CACHED:
            return
        path = self._use(digest)
        with contextlib.suppress(OSError):  # A repository that cannot be written has no cache to evict either.
            os.makedirs(self._uses, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
            os.utime(path)

    # --- reading ----------------------------------------------------------------------------

    def open(self, blob: Descriptor | str, *, verify: bool = True) -> BinaryIO:
        """Open a blob for sequential reading.

        Return a plain file without ``verify``, or if this host has verified the blob before. Otherwise return
        a stream whose last read raises Corrupt if digest or size are wrong.

        Raises:
            NotFound: ``repository.blob_missing``.
            Corrupt: ``repository.blob_corrupt``.
            StrataError: as ``BlobSource.fetch``, if the blob is not stored here.
        """
        digest, size = (blob.digest, blob.size) if isinstance(blob, Descriptor) else (blob, None)
        self.obtain(digest)
        status = self._stat(digest)
        if size is not None and status.st_size != size:
            raise wrong_blob(digest, f"has {status.st_size} bytes, not {size}")
        self._record_use(digest, status.st_size)
        known = not verify or self._verified.has(digest)
        if known:
            return open(self.path(digest), "rb")
        reader = VerifyingReader(open(self.path(digest), "rb", buffering=0), digest, status.st_size, self._verified)
        return cast(BinaryIO, reader)

    def read(self, blob: Descriptor | str, bound: int) -> bytes:
        """Return the bytes of a small blob, always verified; Corrupt if it has more than ``bound`` bytes."""
        digest = blob.digest if isinstance(blob, Descriptor) else blob
        if self.size(digest) > bound:
            raise wrong_blob(digest, f"has {self.size(digest)} bytes, more than the {bound} that are allowed")
        with self.open(blob) as stream:
            data = stream.read()
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise wrong_blob(digest, "does not have the content that its digest names")
        return data

    def verified_path(self, blob: Descriptor | str, progress: Progress = silent) -> str:
        """Return the path of a blob for random access, after verifying it."""
        digest, size = (blob.digest, blob.size) if isinstance(blob, Descriptor) else (blob, None)
        if size is not None and self.size(digest) != size:
            raise wrong_blob(digest, f"has {self.size(digest)} bytes, not {size}")
        self.obtain(digest, progress)
        if not self._verified.has(digest):
            self.verify(digest, progress)
        self._record_use(digest, self.size(digest))
        return self.path(digest)

    def verify(self, digest: str, progress: Progress = silent) -> int:
        """Hash a blob even if this host has verified it before; return its size in bytes, Corrupt if it is damaged."""
        self._verified.forget(digest)
        done, size = 0, self._stat(digest).st_size
        with VerifyingReader(open(self.path(digest), "rb", buffering=0), digest, size, self._verified) as stream:
            while chunk := stream.read(_CHUNK):
                done += len(chunk)
                progress("verify", done, stream.size)
            return stream.size

    def _stat(self, digest: str) -> os.stat_result:
        try:
            return os.stat(self.path(digest))
        except FileNotFoundError:
            raise self.missing(digest) from None

    @staticmethod
    def missing(digest: str) -> NotFound:
        """Return the error for a blob that the repository does not have."""
        return NotFound(
            f"The blob {digest} is missing from the repository.",
            code="repository.blob_missing",
            hint="Verify the repository with state verified, and restore the missing content from a backup.",
            digest=digest,
        )
