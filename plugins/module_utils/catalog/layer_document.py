# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of layers: one document for each layer, with its versions.

The digest of a version never changes; the fields that describe it may.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import InternalError
from ..layers.layer_version import APP, DEPLOYABLE, OS, LayerReference, version_key
from .fields import DocumentName, Fields, Stored, without_none
from .kinds import layer_kind, layer_label
from .script_record import ScriptRecord
from .version_name import VersionName

DEFAULT_PRIORITY = 500


@dataclass(frozen=True, kw_only=True)
class LayerEntry(Stored):
    """A version of a layer.

    ``digest`` is that of its manifest, None only in check mode, in which nothing is stored. ``size`` is
    the number of bytes that the version adds to the repository, ``source`` describes what the
    version was built from. ``updated`` is the time (RFC 3339, UTC) of the newest details of the version that were exchanged
    with a remote, ``cloned_from`` the version of which this version is a clone; both are missing in the document while they are None.
    """

    digest: str | None
    status: str
    size: int
    version_description: str
    created: str
    source: Mapping[str, object]
    script: ScriptRecord | None
    updated: str | None = None
    cloned_from: LayerReference | None = None

    @property
    def deployable(self) -> bool:
        """Whether images can use the version."""
        return self.status == DEPLOYABLE

    def _common(self) -> dict[str, object]:
        return {
            "digest": self.digest,
            "status": self.status,
            "size": self.size,
            "version_description": self.version_description,
            "created": self.created,
            "source": dict(self.source),
            "script": self.script.to_dict() if self.script else None,
            **without_none(updated=self.updated, cloned_from=self.cloned_from.to_dict() if self.cloned_from else None),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete(self._common())


@dataclass(frozen=True, kw_only=True)
class OsLayerEntry(LayerEntry):
    """A version of an OS layer. ``windows`` holds facts of its Windows installation, ``size_gb`` is the disk size in GiB."""

    size_gb: int
    windows: Mapping[str, object]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete(self._common() | {"size_gb": self.size_gb, "windows": dict(self.windows)})

    @classmethod
    def from_fields(cls, fields: Fields) -> OsLayerEntry:
        """Read the JSON object; Corrupt names the field that is damaged."""
        return cls(
            **_common_fields(fields),
            size_gb=fields.number("size_gb"),
            windows=fields.later("windows", fields.json, {}, {}),
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )


@dataclass(frozen=True, kw_only=True)
class SoftwareLayerEntry(LayerEntry):
    """A version of an app or platform layer.

    ``os_layer`` and ``prerequisites`` are the layer versions that it was built for and on.
    ``changes`` counts what it changes. ``confirmed_for`` lists further versions of the OS layer for
    which an administrator has confirmed a platform layer.
    """

    content_digest: str | None
    os_layer: VersionName
    prerequisites: tuple[VersionName, ...]
    changes: Mapping[str, object]
    confirmed_for: tuple[str, ...] = ()
    # New entries omit the key until an administrator has confirmed a version.
    omitted: Mapping[str, object] = field(default_factory=lambda: {"confirmed_for": []}, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        fields = self._common() | {
            "content_digest": self.content_digest,
            "os_layer": self.os_layer.to_dict(),
            "prerequisites": [layer.to_dict() for layer in self.prerequisites],
            "changes": dict(self.changes),
            "confirmed_for": list(self.confirmed_for),
        }
        return self._complete(fields)

    @classmethod
    def from_fields(cls, fields: Fields) -> SoftwareLayerEntry:
        """Read the JSON object; Corrupt names the field that is damaged."""
        return cls(
            **_common_fields(fields),
            content_digest=fields.later("content_digest", fields.text_or_none, None),
            os_layer=VersionName.from_fields(fields.record("os_layer")),
            prerequisites=tuple(VersionName.from_fields(record) for record in fields.records("prerequisites")),
            changes=fields.later("changes", fields.json, {}, {}),
            confirmed_for=fields.later("confirmed_for", fields.texts, (), []),
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )


def _common_fields(fields: Fields) -> dict[str, Any]:
    return {
        "digest": fields.digest("digest"),
        "status": fields.text("status"),
        "size": fields.number("size"),
        "version_description": fields.text("version_description"),
        "created": fields.text("created"),
        "source": fields.json("source"),
        "script": fields.later("script", lambda key: ScriptRecord.read(fields, key), None),
        "updated": fields.text_if_present("updated"),
        "cloned_from": fields.reference("cloned_from") if fields.has("cloned_from") else None,
    }


@dataclass(frozen=True, kw_only=True)
class LayerDocument(Stored):
    """A layer. ``icon`` is a digest or None, ``priority`` belongs to app layers, ``connector`` to OS layers.

    ``sort_name`` is the first name of a layer that was renamed: app layers of equal priority are ordered by it, so that a
    new name does not change any image. It is missing in the document while it is None.
    """

    name: str
    kind: str
    description: str = ""
    icon: str | None = None
    priority: int | None = None
    connector: str | None = None
    sort_name: str | None = None
    versions: Mapping[str, LayerEntry] = field(default_factory=dict)

    @classmethod
    def new(cls, kind: str, name: str) -> LayerDocument:
        """Return the document of a layer without versions."""
        return cls(name=name, kind=kind, priority=DEFAULT_PRIORITY if kind == APP else None)

    @property
    def label(self) -> str:
        """The name of the layer in messages, such as ``OS layer Windows 11``."""
        return f"{layer_label(self.kind)} {self.name}"

    def sorted_versions(self) -> list[str]:
        """Return the version names, oldest first in their natural order."""
        return sorted(self.versions, key=version_key)

    def deployable_versions(self) -> list[str]:
        """Return the names of the versions that images can use, oldest first."""
        return [version for version in self.sorted_versions() if self.versions[version].deployable]

    def os_version(self, version: str) -> OsLayerEntry:
        """Return a version of an OS layer."""
        entry = self.versions[version]
        if not isinstance(entry, OsLayerEntry):
            raise InternalError(f"The {self.label} was read as an OS layer.", code="catalog.entry_kind")
        return entry

    def software_version(self, version: str) -> SoftwareLayerEntry:
        """Return a version of an app or platform layer."""
        entry = self.versions[version]
        if not isinstance(entry, SoftwareLayerEntry):
            raise InternalError(f"The {self.label} was read as an app or platform layer.", code="catalog.entry_kind")
        return entry

    def software_versions(self) -> Iterator[tuple[str, SoftwareLayerEntry]]:
        """Yield name and entry of each version of an app or platform layer."""
        for version in self.versions:
            yield version, self.software_version(version)

    def with_version(self, version: str, entry: LayerEntry) -> LayerDocument:
        """Return the document with a version added or replaced."""
        return dataclasses.replace(self, versions={**self.versions, version: entry})

    def without_versions(self, versions: list[str]) -> LayerDocument:
        """Return the document without the versions of these names."""
        kept = {version: entry for version, entry in self.versions.items() if version not in versions}
        return dataclasses.replace(self, versions=kept)

    def describe_version(self, version: str) -> dict[str, Any]:
        """Return what modules return about a version."""
        document, entry = self.to_dict(), self.versions[version].to_dict()
        del document["versions"], entry["source"]
        return document | {"version": version} | entry

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        own: dict[str, object] = {}
        if self.kind == APP:
            own = {"priority": self.priority}
        elif self.kind == OS:
            own = {"connector": self.connector}
        return self._complete(
            {
                "name": self.name,
                "kind": self.kind,
                "description": self.description,
                "icon": self.icon,
                "versions": {version: entry.to_dict() for version, entry in self.versions.items()},
                **own,
                **without_none(sort_name=self.sort_name),
            }
        )

    @classmethod
    def from_dict(cls, value: object, kind: str, name: str) -> LayerDocument:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(layer_kind(kind), name))
        if fields.text("kind") != kind:
            raise fields.refuse("kind", repr(kind))
        read_entry = OsLayerEntry.from_fields if kind == OS else SoftwareLayerEntry.from_fields
        return cls(
            name=fields.text("name"),
            kind=kind,
            description=fields.text("description"),
            icon=fields.text_or_none("icon"),
            priority=fields.number("priority") if kind == APP else None,
            connector=fields.later("connector", fields.text_or_none, None) if kind == OS else None,
            sort_name=fields.text_if_present("sort_name"),
            versions={version: read_entry(entry) for version, entry in fields.record_map("versions").items()},
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )
