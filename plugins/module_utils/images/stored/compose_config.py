# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config that is stored with a thin image: its sources and the results of composing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...catalog.fields import DocumentName, Fields, Stored
from ...catalog.scripts import PlacedScript
from ...layers.layer_version import LayerReference


@dataclass(frozen=True, kw_only=True)
class ComposeStatistics(Stored):
    """The numbers of files and bytes that composing wrote.

    ``files`` counts hard-linked files once, ``links`` their other names; ``bytes`` is the file data.
    ``dropped`` lists the first hundred pieces of metadata that were left out, because another file has
    them. ``grains`` were compressed from ``plain_bytes`` to ``compressed_bytes``. ``incremental``
    is true if composing started from an older image.
    """

    files: int = 0
    links: int = 0
    directories: int = 0
    removed: int = 0
    bytes: int = 0
    dropped: tuple[str, ...] = ()
    grains: int = 0
    plain_bytes: int = 0
    compressed_bytes: int = 0
    incremental: bool = False

    def to_dict(self) -> dict:
        """Return the JSON object."""
        return self._complete(
            {
                "files": self.files,
                "links": self.links,
                "directories": self.directories,
                "removed": self.removed,
                "bytes": self.bytes,
                "dropped": list(self.dropped),
                "grains": self.grains,
                "plain_bytes": self.plain_bytes,
                "compressed_bytes": self.compressed_bytes,
                "incremental": self.incremental,
            }
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> ComposeStatistics:
        """Read the JSON object; Corrupt names the field that is damaged."""
        return cls(
            files=fields.number("files"),
            links=fields.number("links"),
            directories=fields.number("directories"),
            removed=fields.number("removed"),
            bytes=fields.number("bytes"),
            dropped=fields.texts("dropped"),
            grains=fields.number("grains"),
            plain_bytes=fields.number("plain_bytes"),
            compressed_bytes=fields.number("compressed_bytes"),
            incremental=fields.flag("incremental"),
            unrecognized=fields.unrecognized(),
        )


@dataclass(frozen=True, kw_only=True)
class RegistrySummary(Stored):
    """The changes of the registry by composing.

    ``hives`` maps each changed hive to the digest of the deltas that were merged into it. ``findings``
    are JSON objects, at most 500; ``finding_count`` counts all findings.
    """

    hives: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[dict, ...] = ()
    finding_count: int = 0

    def to_dict(self) -> dict:
        """Return the JSON object."""
        return self._complete(
            {"hives": dict(self.hives), "findings": list(self.findings), "finding_count": self.finding_count}
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> RegistrySummary:
        """Read the JSON object; Corrupt names the field that is damaged."""
        return cls(
            hives=fields.text_map("hives"),
            findings=fields.json_list("findings"),
            finding_count=fields.number("finding_count"),
            unrecognized=fields.unrecognized(),
        )


@dataclass(frozen=True, kw_only=True)
class ComposeConfig(Stored):
    """The sources of a thin image and the results of composing it.

    ``content_digest`` identifies the image. ``disk_size_gb`` is None to keep the size of the OS layer.
    Some keys exist only in some images; their fields are None in the others: ``outdated_files`` and
    ``registry_lists`` if the template sets them, ``scripts`` for images of templates (also without
    scripts), ``ancestor`` (a manifest digest) for images that grew on another image. ``statistics``,
    ``registry`` and ``skipped``, the (layer, position) pairs of entries that were not applied, are
    results; they are empty until the image is composed. ``startup_checked`` is true if composing checked
    that Windows can start from the image, which earlier versions of the collection did not. ``journals_removed`` is true
    if composing removed the journals of replaced files, which earlier versions did not either. ``boot_controllers``
    are the disk controllers from which the image can start (see windows/boot_controllers.py), None if they are not known.
    """

    content_digest: str
    os_layer: LayerReference
    layers: tuple[LayerReference, ...]
    disk_size_gb: int | None = None
    outdated_files: str | None = None
    registry_lists: tuple[dict, ...] | None = None
    scripts: tuple[PlacedScript, ...] | None = None
    ancestor: str | None = None
    statistics: ComposeStatistics = field(default_factory=ComposeStatistics)
    registry: RegistrySummary = field(default_factory=RegistrySummary)
    skipped: tuple[tuple[int, int], ...] = ()
    startup_checked: bool = False
    journals_removed: bool = False
    boot_controllers: tuple[str, ...] | None = None

    def to_dict(self) -> dict:
        """Return the JSON object."""
        optional = {
            "outdated_files": self.outdated_files,
            "registry_lists": None if self.registry_lists is None else list(self.registry_lists),
            "scripts": None if self.scripts is None else [script.to_dict() for script in self.scripts],
            "ancestor": self.ancestor,
            "startup_checked": self.startup_checked or None,
            "journals_removed": self.journals_removed or None,
            "boot_controllers": None if self.boot_controllers is None else list(self.boot_controllers),
        }
        return self._complete(
            {
                "content_digest": self.content_digest,
                "os_layer": self.os_layer.to_dict(),
                "layers": [layer.to_dict() for layer in self.layers],
                "disk_size_gb": self.disk_size_gb,
                **{key: value for key, value in optional.items() if value is not None},
                "statistics": self.statistics.to_dict(),
                "registry": self.registry.to_dict(),
                "skipped": [list(pair) for pair in self.skipped],
            }
        )

    @classmethod
    def from_dict(cls, value: object, content_digest: str) -> ComposeConfig:
        """Read the config of the image ``content_digest``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName("thin_image", content_digest[:19]))
        if fields.text("content_digest") != content_digest:
            raise fields.refuse("content_digest", content_digest)
        return cls(
            content_digest=content_digest,
            os_layer=fields.reference("os_layer"),
            layers=fields.references("layers"),
            disk_size_gb=fields.number_or_none("disk_size_gb"),
            outdated_files=fields.text("outdated_files") if fields.has("outdated_files") else None,
            registry_lists=fields.json_list("registry_lists") if fields.has("registry_lists") else None,
            scripts=_scripts(fields) if fields.has("scripts") else None,
            ancestor=fields.text("ancestor") if fields.has("ancestor") else None,
            statistics=ComposeStatistics.from_fields(fields.record("statistics")),
            registry=fields.later(
                "registry",
                lambda key: RegistrySummary.from_fields(fields.record(key)),
                RegistrySummary(),
                RegistrySummary().to_dict(),
            ),
            skipped=fields.later("skipped", fields.pairs, (), []),
            startup_checked=fields.flag("startup_checked") if fields.has("startup_checked") else False,
            journals_removed=fields.flag("journals_removed") if fields.has("journals_removed") else False,
            boot_controllers=fields.texts("boot_controllers") if fields.has("boot_controllers") else None,
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )


def _scripts(fields: Fields) -> tuple[PlacedScript, ...]:
    return tuple(PlacedScript.from_dict(script) for script in fields.json_list("scripts"))
