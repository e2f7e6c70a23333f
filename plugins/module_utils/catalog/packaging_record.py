# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of packaging machines: the sources, the location and the progress of the export of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..layers.layer_version import LayerReference
from .fields import DocumentName, Fields, Stored
from .kinds import PACKAGING
from .vsphere_records import MachineRecord, UploadRecord


@dataclass(frozen=True)
class BaseImage(Stored):
    """The image that capturing compares the disk of the VM with; ``manifest`` is None while it is not known."""

    content_digest: str
    manifest: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete({"content_digest": self.content_digest, "manifest": self.manifest})

    @classmethod
    def from_fields(cls, fields: Fields) -> BaseImage:
        """Read the JSON object; Corrupt names the field that is damaged."""
        content_digest, manifest = fields.text("content_digest"), fields.text_or_none("manifest")
        return cls(content_digest, manifest, unrecognized=fields.unrecognized())


@dataclass(frozen=True)
class ExportRecord:
    """The export of the VM's disk.

    Both numbers are those of the event of the VM's last power-on: before the export began, and
    before it finished (None until then). They are None too when vCenter knows no such event.
    """

    begun_after: int | None
    exported_after: int | None


@dataclass(frozen=True, kw_only=True)
class PackagingRecord(Stored):
    """A packaging machine and the layer version that is packaged in it.

    ``base`` is stored as ``given``. ``vm`` is None until the VM exists. ``upload`` is the upload of its disk once a host has received
    it whole. ``package`` is the folder of its export. ``finalizing`` is true once it was asked to shut down for the export. ``export`` is
    None until an export began.
    """

    kind: str
    layer: str
    version: str
    os_layer: LayerReference
    prerequisites: tuple[LayerReference, ...]
    start_from: LayerReference | None
    connector: str
    base: BaseImage
    vm: MachineRecord | None = None
    package: str | None = None
    finalizing: bool = False
    created: str
    export: ExportRecord | None = None
    upload: UploadRecord | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        fields: dict[str, object] = {
            "kind": self.kind,
            "layer": self.layer,
            "version": self.version,
            "os_layer": self.os_layer.to_dict(),
            "prerequisites": [layer.to_dict() for layer in self.prerequisites],
            "start_from": self.start_from.to_dict() if self.start_from else None,
            "connector": self.connector,
            "given": self.base.to_dict(),
            "vm": self.vm.to_dict() if self.vm else None,
            "package": self.package,
            "finalizing": self.finalizing,
            "created": self.created,
        }
        if self.export is not None:
            fields["export_begun_after"] = self.export.begun_after
            fields["exported_after"] = self.export.exported_after
        if self.upload is not None:
            fields["upload"] = self.upload.to_dict()
        return self._complete(fields)

    @classmethod
    def from_dict(cls, value: object, name: str) -> PackagingRecord:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(PACKAGING, name))
        return cls(
            kind=fields.text("kind"),
            layer=fields.text("layer"),
            version=fields.text("version"),
            os_layer=fields.reference("os_layer"),
            prerequisites=fields.references("prerequisites"),
            start_from=fields.reference_or_none("start_from"),
            connector=fields.text("connector"),
            base=BaseImage.from_fields(fields.record("given")),
            vm=MachineRecord.read(fields),
            package=fields.later("package", fields.text_or_none, None),
            finalizing=fields.later("finalizing", fields.flag, False, False),
            created=fields.text("created"),
            export=_read_export(fields),
            upload=UploadRecord.read(fields) if fields.has("upload") else None,
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )


def _read_export(fields: Fields) -> ExportRecord | None:
    if not fields.has("export_begun_after") and not fields.has("exported_after"):
        return None
    return ExportRecord(
        fields.later("export_begun_after", fields.number_or_none, None),
        fields.later("exported_after", fields.number_or_none, None),
    )
