# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Details of a layer version: what only its document has, as an artifact next to the version's manifest.

The manifest of a layer version never changes. Its description, priority, icon, status and further fields of the document
may; the current name and version, too. They travel as a manifest with artifactType ``DETAILS_TYPE``, whose ``subject`` is the
manifest of the version. Its config is a JSON object: ``schema_version``, ``updated`` (RFC 3339, UTC), and ``layer``, which is the
document of the layer with this version only. The icon is its layer.

Source: OCI image-spec, manifest.md ("Guidelines for Artifact Usage"; subject).
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...catalog.layer_document import LayerDocument, LayerEntry, OsLayerEntry, SoftwareLayerEntry
from ...catalog.script_record import ScriptRecord
from ...catalog.version_name import VersionName
from ...common.errors import Corrupt, InvalidInput, StrataError
from ...layers.layer_version import (
    APP,
    DEPLOYABLE,
    KINDS,
    OS,
    ROLE_ICON,
    ROLE_SCRIPT,
    LayerVersion,
    check_layer_name,
    check_version_name,
)
from ...repository.blobs import Descriptor
from .artifacts import CREATED, EMPTY_DIGEST, descriptor_of, manifest_bytes
from .names import ItemName

DETAILS_TYPE = "application/vnd.strata.layer.details.v1+json"
CONFIG_TYPE = "application/vnd.strata.layer.details.config.v1+json"
MAX_CONFIG = 1 << 20
_SCHEMA_VERSION = 1
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
#: Each change of details gets a later time than the details before it. No later time may follow the end of this year.
_LAST_YEAR = 9000
#: Keys of a version's source that hold paths of a composer or share: only the last part travels.
_PATHS = frozenset(("files", "packaged_disk", "package", "ovf_package", "path", "file_share", "registry", "folder"))


@dataclass(frozen=True)
class Details:
    """The document of a layer with one version, without what belongs to a site.

    ``updated`` is the time of the artifact; in a repository it is the time of the newest artifact that was exchanged, None if
    there was none. ``derived``: the remote has no details, and these are what the manifest says.
    """

    document: LayerDocument
    updated: str | None = None
    icon: Descriptor | None = None
    derived: bool = False

    @property
    def version(self) -> str:
        """The current name of the version."""
        return next(iter(self.document.versions))

    @property
    def entry(self) -> LayerEntry:
        """The version."""
        return self.document.versions[self.version]

    @property
    def item(self) -> ItemName:
        """The current name of the layer version."""
        return ItemName(self.document.kind, self.document.name, self.version)

    def same_as(self, other: Details) -> bool:
        """Return whether both describe the version alike; the time does not count."""
        return self._compared() == other._compared()

    def _compared(self) -> dict[str, Any]:
        return self.document.to_dict()


def of_document(document: LayerDocument, version: str, icon: Descriptor | None = None) -> Details:
    """Return the details of a version of a stored layer, without what belongs to its site: connector and paths."""
    stored = document.versions[version]
    entry = dataclasses.replace(stored, source=travelling_source(stored.source), updated=None)
    alone = dataclasses.replace(document, versions={version: entry}, connector=None)
    return Details(alone, stored.updated, icon)


def travelling_source(source: Mapping[str, object]) -> dict[str, object]:
    """Return what a version was built from with the last parts of paths only."""
    return {
        key: posixpath.basename(value.replace("\\", "/").rstrip("/"))
        if key in _PATHS and isinstance(value, str)
        else value
        for key, value in source.items()
    }


def of_manifest(layer: LayerVersion, created: str) -> Details:
    """Return the details of a version that came without any, as its manifest and config describe it."""
    script = None
    if layer.script is not None and ROLE_SCRIPT in layer.blobs:
        blob = layer.blobs[ROLE_SCRIPT]
        script = ScriptRecord(layer.script, blob.digest, blob.size)
    common: dict[str, Any] = {
        "digest": layer.digest,
        "status": DEPLOYABLE,
        "size": sum(blob.size for blob in layer.blobs.values()),
        "version_description": layer.version_description,
        "created": created,
        "source": {},
        "script": script,
    }
    entry: LayerEntry
    if layer.kind == OS:
        entry = OsLayerEntry(**common, size_gb=layer.size_gb or 0, windows=_windows(layer.facts))
    else:
        entry = SoftwareLayerEntry(
            **common,
            content_digest=layer.content_digest,
            os_layer=_version_name(layer),
            prerequisites=tuple(VersionName(item.name, item.version) for item in layer.prerequisites),
            changes=layer.statistics,
        )
    icon = layer.blobs.get(ROLE_ICON)
    document = LayerDocument.new(layer.kind, layer.name)
    document = dataclasses.replace(
        document,
        description=layer.description,
        icon=icon.digest if icon else None,
        priority=(layer.priority if layer.priority is not None else document.priority) if layer.kind == APP else None,
        versions={layer.version: entry},
    )
    return Details(document, None, Descriptor(*icon) if icon else None, derived=True)


def _windows(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != "readiness"}


def _version_name(layer: LayerVersion) -> VersionName:
    if layer.os_layer is None:
        raise _damaged(layer.digest, "it names no OS layer")
    return VersionName(layer.os_layer.name, layer.os_layer.version)


def to_artifact(
    details: Details, subject: Descriptor, updated: str, annotations: Mapping[str, str] | None = None
) -> tuple[bytes, bytes]:
    """Return the manifest and the config of the artifact; equal arguments give equal bytes."""
    config = _json({"schema_version": _SCHEMA_VERSION, "updated": updated, "layer": details.document.to_dict()})
    layers = [details.icon] if details.icon else []
    manifest = manifest_bytes(
        DETAILS_TYPE,
        descriptor_of(config, CONFIG_TYPE),
        layers,
        subject=subject,
        annotations=annotations,
        created=updated,
    )
    return manifest, config


def of_artifact(manifest: Mapping[str, Any], config: bytes, subject: str) -> Details:
    """Read untrusted details of the version whose manifest has the digest ``subject``.

    Raises:
        Corrupt: ``distribution.details``.
    """
    digest = manifest.get("digest")
    try:
        value = json.loads(config)
        if value["schema_version"] != _SCHEMA_VERSION or manifest["subject"]["digest"] != subject:
            raise ValueError
        layer, updated = value["layer"], value["updated"]
        kind, name = layer["kind"], layer["name"]
        if (
            kind not in KINDS
            or not isinstance(updated, str)
            or not _TIME.fullmatch(updated)
            or not isinstance(name, str)
            # The newest details are found by the annotation. Any other time would hide all later details.
            or manifest["annotations"][CREATED] != updated
            or datetime.datetime.fromisoformat(updated).year > _LAST_YEAR
        ):
            raise ValueError
        document = dataclasses.replace(LayerDocument.from_dict(layer, kind, name), connector=None)
        check_layer_name(name)
        (version,) = document.versions
        check_version_name(version)
        icons = [icon for icon in map(Descriptor.from_json, manifest["layers"]) if icon.digest != EMPTY_DIGEST]
    except (ValueError, KeyError, TypeError, RecursionError, InvalidInput, Corrupt) as error:
        reason = (
            error.message.rstrip(".") if isinstance(error, StrataError) else "they do not have the form of this version"
        )
        raise _damaged(digest, reason) from None
    if document.versions[version].digest != subject or [icon.digest for icon in icons] != (
        [document.icon] if document.icon else []
    ):
        raise _damaged(digest, "they belong to another layer version")
    return Details(document, updated, icons[0] if icons else None)


def _damaged(digest: object, problem: str) -> Corrupt:
    return Corrupt(
        f"The details {str(digest)[:80]} of a layer version cannot be used: {problem}.",
        code="distribution.details",
        hint="Delete this manifest from the remote, and push the layer version again from a repository that has it.",
    )


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
