# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of publish tasks: the progress of publishing a template in one vCenter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .fields import DocumentName, Fields, Stored, without_none
from .image_record import ScriptRun
from .kinds import TASK
from .vsphere_records import MachineRecord, UploadRecord, VCenterRecord


def _step_name(step: str) -> str:
    """Return the name of a step; version 0.1 wrote spaces, such as ``power on``."""
    return step.replace(" ", "_")


@dataclass(frozen=True, kw_only=True)
class PublishTaskRecord(Stored):
    """A publish task.

    ``snapshot_moid`` is the managed object ID of the snapshot, missing in the document while it is None. ``upload`` is the upload of the
    disk of ``vm`` once a host has received it whole. ``timings`` are seconds by step, ``bytes`` counts by purpose. ``progress``
    describes the running step (step, unit, done, total, percent, rate, seconds_left). ``preflight`` are the findings before the
    image was composed, ``scripts`` is the last report of the guest, ``checks`` are the results of the Horizon checks, ``script`` is
    the run of the connector's script. ``error`` has code, message and hint. ``former_templates`` are former names of the template, as in
    ``ImageRecord``.

    A stored task has every value that ``from_dict`` requires. A task that is only returned, for a template that is not being published,
    has no ``id`` and no times; if the template cannot be resolved, only ``template``, ``status`` and ``description`` are known.
    """

    template: str
    status: str
    description: str
    id: str | None = None
    digest: str | None = None
    content_digest: str | None = None
    connector: str | None = None
    vcenter: VCenterRecord | None = None
    publish_mode: str | None = None
    created: str | None = None
    updated: str | None = None
    step: str | None = None
    vm: MachineRecord | None = None
    snapshot: str | None = None
    snapshot_moid: str | None = None
    datastore_path: str | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    upload: UploadRecord | None = None
    progress: dict[str, Any] | None = None
    scripts: dict[str, Any] | None = None
    preflight: tuple[dict[str, Any], ...] = ()
    checks: tuple[dict[str, Any], ...] = ()
    script: ScriptRun | None = None
    warnings: tuple[str, ...] = ()
    error: dict[str, Any] | None = None
    former_templates: tuple[str, ...] = ()

    @property
    def template_names(self) -> tuple[str, ...]:
        """The names of the template that the settings of the VM may have."""
        return (self.template, *self.former_templates)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete(
            {
                "id": self.id,
                "template": self.template,
                "digest": self.digest,
                "content_digest": self.content_digest,
                "connector": self.connector,
                "vcenter": self.vcenter.to_dict() if self.vcenter else None,
                "publish_mode": self.publish_mode,
                "status": self.status,
                "step": self.step,
                "description": self.description,
                "created": self.created,
                "updated": self.updated,
                "vm": self.vm.to_dict() if self.vm else None,
                "snapshot": self.snapshot,
                "datastore_path": self.datastore_path,
                "timings": dict(self.timings),
                "bytes": dict(self.bytes),
                "upload": self.upload.to_dict() if self.upload else None,
                "progress": self.progress,
                "scripts": self.scripts,
                "preflight": list(self.preflight),
                "checks": list(self.checks),
                "script": self.script.to_dict() if self.script else None,
                "warnings": list(self.warnings),
                "error": self.error,
                **without_none(snapshot_moid=self.snapshot_moid, former_templates=list(self.former_templates) or None),
            }
        )

    def result(self) -> dict[str, Any]:
        """Return the task as modules return it: with the names of steps that this version uses, and with a name for each digest."""
        timings: dict[str, float] = {}
        for step, seconds in self.timings.items():
            name = _step_name(step)
            timings[name] = round(timings.get(name, 0) + seconds, 2)
        return self.to_dict() | {
            "snapshot_moid": self.snapshot_moid,
            "step": _step_name(self.step) if self.step else self.step,
            "timings": timings,
            "image_digest": self.digest,
            "connector_script": self.script.to_dict() if self.script else None,
        }

    @classmethod
    def from_dict(cls, value: object, name: str) -> PublishTaskRecord:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(TASK, name))
        return cls(
            id=fields.text("id"),
            template=fields.text("template"),
            digest=fields.text("digest"),
            content_digest=fields.text("content_digest"),
            connector=fields.text("connector"),
            vcenter=VCenterRecord.from_fields(fields.record("vcenter")),
            publish_mode=fields.text("publish_mode"),
            status=fields.text("status"),
            step=fields.text_or_none("step"),
            description=fields.text("description"),
            created=fields.text("created"),
            updated=fields.text("updated"),
            vm=MachineRecord.read(fields),
            snapshot=fields.text_or_none("snapshot"),
            snapshot_moid=fields.text_if_present("snapshot_moid"),
            datastore_path=fields.later("datastore_path", fields.text_or_none, None),
            timings=fields.later("timings", fields.json, {}, {}),
            bytes=fields.later("bytes", fields.json, {}, {}),
            upload=fields.later("upload", lambda key: UploadRecord.read(fields, key), None),
            progress=fields.later("progress", fields.json_or_none, None),
            scripts=fields.later("scripts", fields.json_or_none, None),
            preflight=fields.later("preflight", fields.json_list, (), []),
            checks=fields.later("checks", fields.json_list, (), []),
            script=fields.later("script", lambda key: ScriptRun.read(fields, key), None),
            warnings=fields.later("warnings", fields.texts, (), []),
            error=fields.later("error", fields.json_or_none, None),
            former_templates=fields.texts("former_templates") if fields.has("former_templates") else (),
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )
