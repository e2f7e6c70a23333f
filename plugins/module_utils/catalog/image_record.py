# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of published images, and the document with the images of one template."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..layers.layer_version import APP, OS, PLATFORM
from .fields import DocumentName, Fields, Stored, without_none
from .kinds import IMAGE
from .vsphere_records import MachineRecord, VCenterRecord

_KIND_ORDER = (OS, APP, PLATFORM)


def _time_if_present(fields: Fields, key: str) -> str | None:
    """Return a time with its time zone, None when the key is missing."""
    text = fields.text_if_present(key)
    try:
        known = text is None or datetime.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        known = False
    if not known:
        raise fields.refuse(key, "a time with a time zone (RFC 3339)")
    return text


@dataclass(frozen=True)
class ScriptRun(Stored):
    """The run of a connector's script for an image: ``done`` once it succeeded, ``output`` what it printed."""

    path: str
    done: bool
    output: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete({"path": self.path, "done": self.done, "output": self.output})

    @classmethod
    def read(cls, fields: Fields, key: str = "script") -> ScriptRun | None:
        """Read the field ``key`` of a document, which may be null."""
        found = fields.record_or_none(key)
        if found is None:
            return None
        path, done, output = found.text("path"), found.flag("done"), found.text_or_none("output")
        return cls(path, done, output, unrecognized=found.unrecognized())


@dataclass(frozen=True, kw_only=True)
class ImageRecord(Stored):
    """A published image.

    ``layers`` maps ``<kind>/<name>`` to versions. ``checks`` are the results of the Horizon checks,
    ``scripts`` is the last report of the guest about the scripts in the image, both as JSON objects.
    ``snapshot_moid`` is the managed object ID of the snapshot. ``last_used`` is the time (RFC 3339, UTC) at which a push to Horizon
    replaced the image. Both are missing in the document while they are None, and so is ``former_templates``, the former names of the
    template, while it is empty: the VM of an image that was published before a rename has one of them in its settings.
    """

    template: str
    image_digest: str
    content_digest: str
    layers: Mapping[str, str]
    connector: str
    vcenter: VCenterRecord
    vm: MachineRecord
    snapshot: str
    datastore_path: str | None
    published: str
    checks: tuple[dict[str, Any], ...] = ()
    scripts: dict[str, Any] | None = None
    script: ScriptRun | None = None
    snapshot_moid: str | None = None
    last_used: str | None = None
    former_templates: tuple[str, ...] = ()

    @property
    def template_names(self) -> tuple[str, ...]:
        """The names of the template that the settings of the VM may have."""
        return (self.template, *self.former_templates)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete(
            {
                "template": self.template,
                "image_digest": self.image_digest,
                "content_digest": self.content_digest,
                "layers": dict(self.layers),
                "connector": self.connector,
                "vcenter": self.vcenter.to_dict(),
                "vm": self.vm.to_dict(),
                "snapshot": self.snapshot,
                "datastore_path": self.datastore_path,
                "published": self.published,
                "checks": list(self.checks),
                "scripts": self.scripts,
                "script": self.script.to_dict() if self.script else None,
                **without_none(
                    snapshot_moid=self.snapshot_moid,
                    last_used=self.last_used,
                    former_templates=list(self.former_templates) or None,
                ),
            }
        )

    def result(self) -> dict[str, Any]:
        """Return the image as modules return it."""
        return self.to_dict() | {
            "snapshot_moid": self.snapshot_moid,
            "last_used": self.last_used,
            "connector_script": self.script.to_dict() if self.script else None,
            "layer_versions": [
                {"kind": kind, "name": name, "version": version} for kind, name, version in self.layer_versions()
            ],
        }

    def layer_versions(self) -> list[tuple[str, str, str]]:
        """Return kind, name and version of the layers: the OS layer, app layers by name, the platform layer."""
        named = [(*key.partition("/")[::2], version) for key, version in self.layers.items()]
        return sorted(named, key=lambda layer: (_KIND_ORDER.index(layer[0]), layer[1].casefold(), layer[1]))

    @classmethod
    def from_fields(cls, fields: Fields) -> ImageRecord:
        """Read the JSON object; Corrupt names the field that is damaged."""
        return cls(
            template=fields.text("template"),
            image_digest=fields.text("image_digest"),
            content_digest=fields.text("content_digest"),
            layers=fields.text_map("layers"),
            connector=fields.text("connector"),
            vcenter=VCenterRecord.from_fields(fields.record("vcenter")),
            vm=MachineRecord.from_fields(fields.record("vm")),
            snapshot=fields.text("snapshot"),
            datastore_path=fields.text_or_none("datastore_path"),
            published=fields.text("published"),
            checks=fields.later("checks", fields.json_list, (), []),
            scripts=fields.later("scripts", fields.json_or_none, None),
            script=fields.later("script", lambda key: ScriptRun.read(fields, key), None),
            snapshot_moid=fields.text_if_present("snapshot_moid"),
            last_used=_time_if_present(fields, "last_used"),
            former_templates=fields.texts("former_templates") if fields.has("former_templates") else (),
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )


@dataclass(frozen=True, kw_only=True)
class ImagesDocument(Stored):
    """The images of one template, the newest first."""

    template: str
    images: tuple[ImageRecord, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete({"template": self.template, "images": [image.to_dict() for image in self.images]})

    @classmethod
    def from_dict(cls, value: object, name: str) -> ImagesDocument:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(IMAGE, name))
        return cls(
            template=fields.text("template"),
            images=tuple(ImageRecord.from_fields(record) for record in fields.records("images")),
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )
