# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repository knows of its registry of record: the file ``upstream.json``, which belongs to the repository folder.

Only what the registry had once may be removed here when the registry does not have it any more: a layer version that
exists only here was never sent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...common.atomic_files import atomic_write
from ...repository.repository import Repository
from ..items.names import TEMPLATE, ItemName

FILE = "upstream.json"
_SCHEMA_VERSION = 1
_MAX_SIZE = 64 << 20


@dataclass(frozen=True)
class Pending:
    """A change that the registry has, and whose document was about to be written here.

    ``fingerprint`` identifies the document after the change; ``removed`` are the items that the change deleted in the registry,
    with their digests.
    """

    kind: str
    name: str
    fingerprint: str
    removed: Mapping[ItemName, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordState:
    """What the registry of record ``location`` had when this repository was equal to it.

    ``generation`` identifies that state of the registry, None if it is not known; ``surveyed`` is the time (seconds since
    1970) at which everything was compared. ``digests`` has the manifests of the layer versions and templates. ``pending`` is
    the last change by this repository: the rest is valid only if its document was written.
    """

    location: str
    generation: str | None = None
    surveyed: float = 0.0
    digests: Mapping[ItemName, str] = field(default_factory=dict)
    pending: Pending | None = None

    def settled(self, fingerprint: str) -> RecordState:
        """Return the state without ``pending``, whose document has ``fingerprint``; a run may have been killed before it wrote it."""
        if self.pending is None:
            return self
        if self.pending.fingerprint == fingerprint:
            return replace(self, pending=None)
        return replace(self, pending=None, generation=None, digests={**self.digests, **self.pending.removed})

    def with_digest(self, item: ItemName, digest: str | None) -> RecordState:
        """Return the state after an item was stored in the registry, or deleted (None)."""
        digests = {known: value for known, value in self.digests.items() if known != item}
        return replace(self, digests=digests if digest is None else {**digests, item: digest})

    def save(self, repository: Repository) -> None:
        """Write the file. The caller holds the lock of the catalog."""
        document: dict[str, Any] = {
            "schema_version": _SCHEMA_VERSION,
            "location": self.location,
            "generation": self.generation,
            "surveyed": self.surveyed,
            "items": _written(self.digests),
        }
        if self.pending is not None:
            removed = _written(self.pending.removed)
            document["pending"] = {**vars(self.pending), "removed": removed}
        atomic_write(os.path.join(repository.path, FILE), json.dumps(document, sort_keys=True).encode("ascii") + b"\n")

    @classmethod
    def load(cls, repository: Repository, location: str) -> RecordState:
        """Read the file; a file that is missing, damaged or of another registry means that nothing is known."""
        try:
            with open(os.path.join(repository.path, FILE), "rb") as stream:
                document = json.loads(stream.read(_MAX_SIZE))
            if document["schema_version"] != _SCHEMA_VERSION or document["location"] != location:
                return cls(location)
            generation, surveyed = document["generation"], float(document["surveyed"])
            digests = dict(map(_read_item, document["items"]))
            pending = _read_pending(document["pending"]) if "pending" in document else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return cls(location)
        return cls(location, generation if isinstance(generation, str) else None, surveyed, digests, pending)


def _read_item(item: dict[str, Any]) -> tuple[ItemName, str]:
    name = ItemName(str(item["kind"]), str(item["name"]), None if item["kind"] == TEMPLATE else str(item["version"]))
    return name, str(item["digest"])


def _read_pending(value: dict[str, Any]) -> Pending:
    removed = dict(map(_read_item, value["removed"]))
    return Pending(str(value["kind"]), str(value["name"]), str(value["fingerprint"]), removed)


def _written(digests: Mapping[ItemName, str]) -> list[dict[str, Any]]:
    return [
        {"kind": item.kind, "name": item.name, "version": item.version, "digest": digest}
        for item, digest in sorted(digests.items(), key=lambda pair: _order(pair[0]))
    ]


def _order(item: ItemName) -> tuple[str, str, str]:
    return item.kind, item.name, item.version or ""


def forget(repository: Repository) -> None:
    """Remove the file: the registry of record has changed."""
    try:
        os.unlink(os.path.join(repository.path, FILE))
    except FileNotFoundError:
        pass
