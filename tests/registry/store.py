# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The blobs, manifests, tags and uploads of the registry: files in a folder, so that large blobs are never in memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import threading
from dataclasses import dataclass, field
from typing import Any

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PIECE = 1 << 20


def is_digest(text: str) -> bool:
    """Return whether a text is a SHA-256 digest."""
    return bool(_DIGEST.fullmatch(text))


def digest_of(data: bytes) -> str:
    """Return ``sha256:HEX``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Upload:
    """An upload session: its file, and the states (part of the Location) that the registry has issued, the newest last."""

    repository: str
    identifier: str
    path: pathlib.Path
    states: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of bytes that have arrived."""
        return self.path.stat().st_size

    def next_state(self) -> str:
        """Issue a new state, which makes earlier states old."""
        self.states.append(secrets.token_urlsafe(9))
        return self.states[-1]


@dataclass(frozen=True)
class Manifest:
    """A stored manifest."""

    data: bytes
    media_type: str
    digest: str

    @property
    def document(self) -> dict[str, Any]:
        """The parsed manifest."""
        return dict(json.loads(self.data))


class Store:
    """Repositories in ``folder``. The methods may be called by several threads."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self.lock = threading.RLock()
        self.uploads: dict[str, Upload] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Remove everything."""
        with self.lock:
            self.uploads.clear()
            shutil.rmtree(self._folder)
            self._folder.mkdir()

    def _path(self, repository: str, *names: str) -> pathlib.Path:
        # "_" cannot begin a part of a repository's name, so that these folders are never a repository.
        return self._folder.joinpath(*repository.split("/"), *names)

    def exists(self, repository: str) -> bool:
        """Return whether the repository has blobs or manifests."""
        return self._path(repository, "_blobs").is_dir() or self._path(repository, "_manifests").is_dir()

    def repositories(self) -> list[str]:
        """Return the names of all repositories."""
        return sorted(
            {
                path.parent.relative_to(self._folder).as_posix()
                for kind in ("_blobs", "_manifests")
                for path in self._folder.rglob(kind)
            }
        )

    # Blobs

    def blob(self, repository: str, digest: str) -> pathlib.Path | None:
        """Return the file of a blob, or None."""
        path = self._path(repository, "_blobs", digest.partition(":")[2])
        return path if is_digest(digest) and path.is_file() else None

    def add_blob(self, repository: str, digest: str, path: pathlib.Path) -> None:
        """Move a file to its place."""
        target = self._path(repository, "_blobs", digest.partition(":")[2])
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Give a repository the blob of another repository; False if it has none."""
        found = self.blob(source, digest)
        if found is None:
            return False
        target = self._path(repository, "_blobs", found.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(found, target)
        return True

    def delete_blob(self, repository: str, digest: str) -> bool:
        """Delete a blob; False if it does not exist."""
        found = self.blob(repository, digest)
        if found is not None:
            found.unlink()
        return found is not None

    # Uploads

    def begin_upload(self, repository: str) -> Upload:
        """Open a session."""
        identifier = secrets.token_hex(16)
        path = self._path(repository, "_uploads", identifier)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        upload = Upload(repository, identifier, path)
        with self.lock:
            self.uploads[identifier] = upload
        return upload

    def end_upload(self, upload: Upload) -> None:
        """Forget a session and its data."""
        with self.lock:
            self.uploads.pop(upload.identifier, None)
        upload.path.unlink(missing_ok=True)

    # Manifests and tags

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """Return a manifest by digest or tag."""
        with self.lock:
            digest = reference if is_digest(reference) else self.tags(repository).get(reference, "")
            path = self._path(repository, "_manifests", digest.partition(":")[2])
            if not digest or not path.is_file():
                return None
            media_type = path.with_suffix(".type").read_text()
            return Manifest(path.read_bytes(), media_type, digest)

    def put_manifest(self, repository: str, data: bytes, media_type: str, tag: str = "") -> str:
        """Store a manifest, with a tag or none; return its digest."""
        digest = digest_of(data)
        with self.lock:
            path = self._path(repository, "_manifests", digest.partition(":")[2])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.with_suffix(".type").write_text(media_type)
            if tag:
                target = self._path(repository, "_tags", tag)
                target.parent.mkdir(exist_ok=True)
                target.write_text(digest)
        return digest

    def manifests(self, repository: str) -> list[Manifest]:
        """Return all manifests of a repository."""
        with self.lock:
            digests = [f"sha256:{path.name}" for path in sorted(self._path(repository, "_manifests").glob("[0-9a-f]*"))]
            found = (self.manifest(repository, digest) for digest in digests if is_digest(digest))
            return [manifest for manifest in found if manifest is not None]

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest and the tags that name it; False if it does not exist."""
        with self.lock:
            path = self._path(repository, "_manifests", digest.partition(":")[2])
            if not path.is_file():
                return False
            for tag, tagged in self.tags(repository).items():
                if tagged == digest:
                    self.delete_tag(repository, tag)
            path.unlink()
            path.with_suffix(".type").unlink()
            return True

    def tags(self, repository: str) -> dict[str, str]:
        """Return the tags and their digests."""
        with self.lock:
            folder = self._path(repository, "_tags")
            return {path.name: path.read_text() for path in sorted(folder.iterdir())} if folder.is_dir() else {}

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag; False if it does not exist."""
        with self.lock:
            path = self._path(repository, "_tags", tag)
            found = path.is_file()
            path.unlink(missing_ok=True)
            return found
