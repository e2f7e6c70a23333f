# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content-addressed blobs: written once, whole or not at all, and checked when they are read.

A blob is hashed while it is written to a temporary file, which is synced and renamed to its digest.
Reading verifies: a stream is hashed as it passes and refused at its end; a file that is read at
random is hashed before. So that a base disk of many gigabytes is not hashed at every publish, a blob
of a megabyte or more that this host has verified or written is remembered by inode, size,
modification and change time, in the user's cache folder (``$XDG_CACHE_HOME/strata.layering/verified``),
never in the repository, where another host could vouch for it. Verifying the repository ignores that
memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..common.atomic_files import TEMPORARY_PREFIX, atomic_write, sync_folder
from ..common.errors import Corrupt, InvalidInput, NoSpace, NotFound
from ..common.progress import Progress, silent
from .space import space_for

_CHUNK = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
MAX_SIZE = 1 << 50
_WORTH_REMEMBERING = 1 << 20


@dataclass(frozen=True)
class Descriptor:
    """What an OCI manifest says about a blob: media type, "sha256:..." and size in bytes."""

    media_type: str
    digest: str
    size: int

    def to_json(self) -> dict:
        """The descriptor as it stands in a manifest."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}

    @classmethod
    def from_json(cls, value: object) -> Descriptor:
        """A descriptor out of untrusted JSON; Corrupt when it is not one."""
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
            "A manifest of the repository has a descriptor that is not well formed.",
            code="repository.manifest",
            hint="Verify the repository.",
        )


def check_digest(digest: str) -> str:
    """``digest`` if it is "sha256:" and 64 lower-case hexadecimal digits, else InvalidInput."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{str(digest)[:90]!r} is not a SHA-256 digest.", code="repository.digest")
    return digest


def is_digest(value: object) -> bool:
    """Whether ``value`` is a digest as blobs are named by."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


class BlobWriter:
    """A blob in the making; ``descriptor`` is set when its block ended without an exception."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0
        self.descriptor: Descriptor | None = None

    def write(self, data: bytes) -> int:
        """Append ``data``."""
        self._hash.update(data)
        self._stream.write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back here."""

    def digest(self) -> str:
        """Digest of what was written so far."""
        return "sha256:" + self._hash.hexdigest()


class Blobs:
    """The blobs of a repository, ``blobs/sha256`` of the OCI image layout under ``root``."""

    def __init__(self, root: str) -> None:
        self._folder = os.path.join(root, "blobs", "sha256")
        self._temporary = os.path.join(root, "tmp")

    def path(self, digest: str) -> str:
        """Where the blob is or would be; says nothing about its being there or sound."""
        return os.path.join(self._folder, check_digest(digest)[7:])

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        return os.path.isfile(self.path(digest))

    def size(self, digest: str) -> int:
        """Size in bytes; NotFound when it is not there."""
        return self._stat(digest).st_size

    def digests(self) -> list[str]:
        """All blobs, sorted."""
        return sorted(digest for name in os.listdir(self._folder) if _DIGEST.fullmatch(digest := "sha256:" + name))

    # --- writing ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def writer(self, media_type: str) -> Iterator[BlobWriter]:
        """Write a blob of unknown digest: the block writes, its end makes the blob.

        An exception in the block leaves nothing; a killed process a temporary file that collecting
        removes. NoSpace when the disk or quota is full.
        """
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise InvalidInput(f"{media_type[:80]!r} is not a media type.", code="repository.media_type")
        temporary = os.path.join(self._temporary, TEMPORARY_PREFIX + secrets.token_hex(12))
        try:
            with space_for("a blob"):
                # Created here and not by tempfile, so that the umask decides who may read a shared repository.
                with os.fdopen(
                    os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb", buffering=_CHUNK
                ) as stream:
                    writer = BlobWriter(stream)
                    yield writer
                    stream.flush()
                    os.fsync(stream.fileno())
                descriptor = Descriptor(media_type, writer.digest(), writer.size)
                self._place(temporary, descriptor)
                writer.descriptor = descriptor
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    def put(self, data: bytes | BinaryIO, media_type: str, *, expected: str | None = None) -> Descriptor:
        """Store ``data``; with ``expected`` only if it has that digest, else Corrupt."""
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
                    f"What arrived for {expected} has the digest {writer.digest()}.",
                    code="repository.digest_mismatch",
                    hint="Transfer it again; if it stays so the source is damaged.",
                )
        return writer.descriptor

    def _holds(self, digest: str, data: bytes) -> bool:
        path = self.path(digest)
        try:
            with open(path, "rb") as stream:
                if stream.read(len(data) + 1) != data:
                    return False
            os.utime(path)  # young again for collecting, which spares what was just stored
        except OSError:
            return False
        return True

    def _place(self, temporary: str, descriptor: Descriptor) -> None:
        path = self.path(descriptor.digest)
        if self._remembered(descriptor.digest):
            with contextlib.suppress(OSError):
                os.utime(path)
                self._remember(descriptor.digest)
                return
        # A blob that is there but was not verified by this host is replaced: the same bytes, or a cure.
        try:
            os.replace(temporary, path)
        except PermissionError:
            if not os.path.isfile(path):
                raise
        sync_folder(self._folder)
        self._remember(descriptor.digest)

    def remove(self, digest: str) -> int:
        """Remove a blob; return the bytes freed. Only collecting may do so."""
        try:
            size = self._stat(digest).st_size
            os.unlink(self.path(digest))
        except (NotFound, FileNotFoundError):
            return 0
        with contextlib.suppress(OSError):
            os.unlink(self._memory(digest))
        return size

    # --- reading ----------------------------------------------------------------------------

    def open(self, blob: Descriptor | str, *, verify: bool = True) -> BinaryIO:
        """Open a blob for reading from front to back.

        Without ``verify``, or when this host has verified it before, a plain file; otherwise a
        stream whose last read raises Corrupt if digest or size are wrong. NotFound when it is missing.
        """
        digest, size = (blob.digest, blob.size) if isinstance(blob, Descriptor) else (blob, None)
        status = self._stat(digest)
        if size is not None and status.st_size != size:
            raise _wrong(digest, f"has {status.st_size} bytes instead of {size}")
        known = not verify or self._remembered(digest)
        stream = open(self.path(digest), "rb", buffering=-1 if known else 0)
        return stream if known else _VerifyingReader(stream, digest, status.st_size, self)

    def read(self, blob: Descriptor | str, bound: int) -> bytes:
        """All bytes of a small blob, always verified; Corrupt when it is larger than ``bound``."""
        digest = blob.digest if isinstance(blob, Descriptor) else blob
        if self.size(digest) > bound:
            raise _wrong(digest, f"is larger than the {bound} bytes it may have")
        with self.open(blob) as stream:
            data = stream.read()
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise _wrong(digest, "does not have the content its name says")
        return data

    def verified_path(self, blob: Descriptor | str, progress: Progress = silent) -> str:
        """Path of a blob for reading at random, after making sure that it is sound."""
        digest, size = (blob.digest, blob.size) if isinstance(blob, Descriptor) else (blob, None)
        if size is not None and self.size(digest) != size:
            raise _wrong(digest, f"has {self.size(digest)} bytes instead of {size}")
        if not self._remembered(digest):
            self.verify(digest, progress)
        return self.path(digest)

    def verify(self, digest: str, progress: Progress = silent) -> int:
        """Hash a blob, whatever is remembered; return its size, Corrupt when it is damaged."""
        with contextlib.suppress(OSError):
            os.unlink(self._memory(digest))
        done = 0
        with _VerifyingReader(open(self.path(digest), "rb", buffering=0), digest, self.size(digest), self) as stream:
            while chunk := stream.read(_CHUNK):
                done += len(chunk)
                progress("verify", done, stream.size)
            return stream.size

    def _stat(self, digest: str) -> os.stat_result:
        try:
            return os.stat(self.path(digest))
        except FileNotFoundError:
            raise NotFound(
                f"The blob {digest} is missing from the repository.",
                code="repository.blob_missing",
                hint="Verify the repository.",
                digest=digest,
            ) from None

    # --- what this host has verified --------------------------------------------------------

    def _memory(self, digest: str) -> str:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        key = hashlib.sha256(os.fsencode(os.path.realpath(self.path(digest)))).hexdigest()
        return os.path.join(base, "strata.layering", "verified", key)

    def _state(self, digest: str) -> list:
        status = os.stat(self.path(digest))
        return [digest, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]

    def _remembered(self, digest: str) -> bool:
        try:
            with open(self._memory(digest), "rb") as stream:
                return json.loads(stream.read(1024)) == self._state(digest)
        except (OSError, ValueError, RecursionError):
            return False

    def _remember(self, digest: str) -> None:
        # A home that cannot be written only costs the time to verify again.
        with contextlib.suppress(OSError, NoSpace):
            state = self._state(digest)
            if state[2] >= _WORTH_REMEMBERING:
                memory = self._memory(digest)
                os.makedirs(os.path.dirname(memory), mode=0o700, exist_ok=True)
                atomic_write(memory, json.dumps(state).encode("ascii"), 0o600)


class _VerifyingReader(io.RawIOBase):
    def __init__(self, stream: BinaryIO, digest: str, size: int, blobs: Blobs) -> None:
        super().__init__()
        self._stream = stream
        self._digest = digest
        self._blobs = blobs
        self._before = os.fstat(stream.fileno())
        self._hash = hashlib.sha256()
        self._position = 0
        self.size = size
        if not size:
            self._check()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = self._stream.readinto(buffer)
        self._hash.update(memoryview(buffer)[:count])
        self._position += count
        if not count and self._position < self.size:
            raise _wrong(self._digest, f"ends after {self._position} of {self.size} bytes")
        if count and self._position >= self.size:
            self._check()
        return count

    def _check(self) -> None:
        if self._position != self.size or "sha256:" + self._hash.hexdigest() != self._digest:
            raise _wrong(self._digest, "does not have the content its name says")
        after = os.fstat(self._stream.fileno())
        if (after.st_size, after.st_mtime_ns, after.st_ctime_ns) == (
            self._before.st_size,
            self._before.st_mtime_ns,
            self._before.st_ctime_ns,
        ):
            self._blobs._remember(self._digest)  # pylint: disable=protected-access

    def close(self) -> None:
        self._stream.close()
        super().close()


def _wrong(digest: str, problem: str) -> Corrupt:
    return Corrupt(
        f"The blob {digest} of the repository {problem}.",
        code="repository.blob_corrupt",
        hint="Verify the repository and fetch or build what it lists as damaged again.",
        digest=digest,
    )
