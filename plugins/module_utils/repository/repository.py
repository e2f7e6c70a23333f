# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository: one folder with layers, templates, images, tasks and their history."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..common.atomic_files import atomic_write
from ..common.composer_paths import current_user, is_windows_path
from ..common.errors import Corrupt, InvalidInput, NotFound, Unavailable, Unsupported
from .audit import Audit
from .document_store import Catalog, OverlaidCatalog
from .lock import Locks
from .oci_layout import Layout, create_layout
from .pins import Pin, Pins
from .upstream import Upstream, UpstreamSettings, required_upstream
from .upstream_blobs import UpstreamBlobs

#: The newest schema version that this version of the collection reads.
SCHEMA_VERSION = 2
#: The schema version of a repository without upstream. A collection that does not know ``upstream`` must refuse a repository
#: that has it: its changes would stay on one composer.
_PLAIN_SCHEMA = 1
MARKER = "repository.json"
MAX_MARKER = 1 << 18
_FORMAT = "strata.layering.repository"
#: Names that a new file system or share may already contain.
_IGNORED = frozenset(
    ("lost+found", ".snapshot", ".snapshots", "System Volume Information", "$RECYCLE.BIN", ".DS_Store")
)


class Repository:
    """An open repository: ``layout`` (blobs, manifests), ``catalog``, ``audit``, ``locks`` and ``pins``.

    ``path`` is absolute; ``created`` is true if opening created it, ``exists`` is false for ``planned``.
    ``upstream_settings`` is the registry of record that the repository is a copy of, None if it is of its own;
    ``upstream`` is the connection to it once it is attached, and ``upstream_blobs`` are its blobs.
    """

    def __init__(
        self, path: str, *, created: bool = False, exists: bool = True, upstream: UpstreamSettings | None = None
    ) -> None:
        self.path = path
        self.created = created
        self.upstream_settings = upstream
        self.upstream: Upstream | None = None
        self.upstream_blobs: UpstreamBlobs | None = None
        self.locks = Locks(os.path.join(path, "locks"))
        self.layout = Layout(path, self.locks, exists=exists)
        self.catalog = Catalog(os.path.join(path, "catalog"))
        self.audit = Audit(os.path.join(path, "audit.jsonl"), self.locks)
        self.pins = Pins(os.path.join(path, "pins"), self.locks)

    @classmethod
    def open(cls, path: str, create: bool = False, *, writable: bool = False) -> Repository:
        """Open the repository in the folder ``path``; with ``create`` create it in a new or empty folder.

        Raises:
            NotFound: ``repository.missing``.
            InvalidInput: ``repository.path``; ``repository.not_empty`` if the folder holds something else.
            Unsupported: ``repository.schema`` if a newer version created the repository.
            Unavailable: ``repository.unreadable``; ``repository.read_only`` if ``writable`` or ``create`` is
                set and the folder cannot be written.
            Corrupt: ``repository.marker``, ``repository.layout`` if files of the repository are damaged.
        """
        if not path:
            raise InvalidInput(
                "The option repository is empty.",
                code="repository.path",
                hint="Set repository, or STRATA_REPOSITORY in the environment.",
            )
        if is_windows_path(path):
            raise InvalidInput(
                f"The repository '{path}' is a path in Windows.",
                code="repository.path",
                hint="Set repository to a folder of the composer (Linux).",
            )
        path = os.path.abspath(os.path.expanduser(path))
        marker = _read_marker(path)
        created = marker is None and create
        if marker is None:
            if not create:
                raise _missing(path)
            _create(path)
        if (writable or create) and not all(
            os.access(os.path.join(path, name), os.W_OK | os.X_OK) for name in ("", "tmp", "locks", "blobs/sha256")
        ):
            raise Unavailable(
                f"The repository {path} cannot be written.",
                code="repository.read_only",
                hint=f"Mount it writable, and give the user {current_user()} write access.",
            )
        return cls(path, created=created, upstream=marker.upstream if marker else None)

    def attach(self, upstream: Upstream) -> None:
        """Use ``upstream`` as the registry of record: missing blobs are fetched, changes are sent to it first."""
        self.upstream = upstream
        self.upstream_blobs = self.layout.blobs.source = UpstreamBlobs(self, upstream)

    def shared_upstream(self) -> Upstream | None:
        """Return the registry of record for a change, None if the repository has none.

        Raises:
            InternalError: ``repository.upstream_detached`` if it has one that is not attached.
        """
        return required_upstream(self.upstream, self.upstream_settings)

    def set_upstream(self, settings: UpstreamSettings | None) -> bool:
        """Store the registry of record, None for none; return whether it differs. Open the repository again afterwards."""
        path = os.path.join(self.path, MARKER)
        with self.locks.hold("upstream", purpose="change the upstream"):
            marker = _read_marker(self.path)
            if marker is not None and marker.upstream == settings:
                return False
            atomic_write(path, _marker_bytes(settings))
        return True

    @classmethod
    def planned(cls, path: str) -> Repository:
        """Return the empty repository that would be created in the folder ``path``; it can only be read.

        Raises:
            InvalidInput, Unavailable: as ``refuse_unusable``.
        """
        refuse_unusable(path)
        return cls(os.path.abspath(os.path.expanduser(path)), exists=False)

    def overlaid(self, changes: Mapping[tuple[str, str], dict | None]) -> Repository:
        """Return the repository with other documents by kind and name; None deletes one. Nothing is stored."""
        other = copy.copy(self)
        other.catalog = OverlaidCatalog(os.path.join(self.path, "catalog"), changes)
        return other

    def pin(self, digests: Iterable[str] = (), *, purpose: str = "") -> contextlib.AbstractContextManager[Pin]:
        """Keep blobs, and everything that manifests among them refer to, from garbage collection during a block."""
        return self.pins.pin(digests, purpose=purpose)


@dataclass(frozen=True)
class _Marker:
    """The content of ``repository.json``."""

    schema_version: int
    upstream: UpstreamSettings | None


def _read_marker(path: str) -> _Marker | None:
    """Return the marker of the repository in ``path``, None if there is none.

    Raises:
        Unsupported: ``repository.schema``.
        Unavailable: ``repository.unreadable``.
        Corrupt: ``repository.marker``.
    """
    marker = os.path.join(path, MARKER)
    try:
        with open(marker, "rb") as stream:
            document = json.loads(stream.read(MAX_MARKER))
        version = document["schema_version"]
        if document["format"] != _FORMAT or version.__class__ is not int or version < 1:
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unavailable(
            f"The repository {path} cannot be read ({error.strerror}).",
            code="repository.unreadable",
            hint=f"Check the mount, and give the user {current_user()} read access to the repository.",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Corrupt(
            f"The file {marker} is damaged.",
            code="repository.marker",
            hint="Restore it from a backup of the repository.",
        ) from None
    if version > SCHEMA_VERSION:
        raise Unsupported(
            f"The repository {path} has schema version {version}; "
            f"this version of the collection reads up to {SCHEMA_VERSION}.",
            code="repository.schema",
            hint="Update the collection strata.layering on this composer.",
        )
    if version == _PLAIN_SCHEMA:
        return _Marker(version, None)
    return _Marker(version, UpstreamSettings.from_dict(document.get("upstream"), marker))


def _marker_bytes(upstream: UpstreamSettings | None) -> bytes:
    document: dict[str, Any] = {"format": _FORMAT, "schema_version": _PLAIN_SCHEMA}
    if upstream is not None:
        document |= {"schema_version": SCHEMA_VERSION, "upstream": upstream.to_dict()}
    return json.dumps(document, sort_keys=True).encode("ascii") + b"\n"


def _missing(path: str) -> NotFound:
    if not os.path.isdir(path):
        problem = f"The repository folder {path} does not exist."
    else:
        problem = f"The folder {path} is not a repository of strata.layering."
    return NotFound(
        problem,
        code="repository.missing",
        hint="Check that the share is mounted, or create the repository with strata.layering.repository.",
    )


def refuse_unusable(path: str) -> None:
    """Raise the error that creating a repository in the folder ``path`` would raise, as far as it can be known."""
    path = os.path.abspath(os.path.expanduser(path))
    if os.path.lexists(path) and not os.path.isdir(path):
        raise InvalidInput(
            f"The path {path} is not a folder.",
            code="repository.path",
            hint="Set repository to a folder that is empty or does not exist.",
        )
    existing = path
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing) or not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        raise _cannot_create(path, f"{existing} is not a folder that can be written")
    # An interrupted creation left some of these and no marker, which is written last.
    own = {"blobs", "catalog", "index.json", "locks", "oci-layout", "pins", "tmp"}
    foreign = sorted(set(os.listdir(path)) - _IGNORED - own) if existing == path else []
    if foreign and not all(name.startswith(".strata-tmp-") for name in foreign):
        raise InvalidInput(
            f"The folder {path} is not a repository, and it is not empty: it contains {', '.join(foreign[:5])}.",
            code="repository.not_empty",
            hint="Set repository to a folder that is empty or does not exist.",
            found=foreign[:10],
        )


def _cannot_create(path: str, reason: str) -> Unavailable:
    return Unavailable(
        f"The repository {path} cannot be created ({reason}).",
        code="repository.read_only",
        hint=f"Check the mount, and give the user {current_user()} write access to the folder that contains the repository.",
    )


def _create(path: str) -> None:
    refuse_unusable(path)
    try:
        os.makedirs(path, exist_ok=True)
        for name in ("catalog", "locks", "pins", "tmp"):
            os.makedirs(os.path.join(path, name), exist_ok=True)
        # Another process that creates the same repository now may have added a reference to the index already.
        with Locks(os.path.join(path, "locks")).hold("index", purpose="create the repository"):
            create_layout(path)
        atomic_write(os.path.join(path, MARKER), _marker_bytes(None))
    except OSError as error:
        raise _cannot_create(path, error.strerror or str(error)) from error
